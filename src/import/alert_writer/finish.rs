//! The end of an alert's import: what the event has no more goes, and the state line is written.

use std::collections::HashSet;

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Map, Value, json};

use super::kept::Named;
use super::reconcile::{Goal, Held};
use super::{AlertResult, AlertState, AlertWriter, ReadSummary};
use crate::import::alert_diff::{self, WriteSummary};
use crate::import::attachments;
use crate::import::chunk_mapping::{Digest, digest};
use crate::import::mapping::AlertDraft;
use crate::import::target::{OTHER, failure_of};
use crate::import::{observable_diff, twins};
use crate::report::ledger::Verdict;
use crate::thehive::WriteError;
use crate::thehive::wire::{Alert, Observable};

/// An observable that is over, or only its IOC flag.
#[derive(Clone, PartialEq)]
pub struct StaleObservable {
    id: String,
    why: Why,
}

/// Why it is over.
#[derive(Clone, Copy, PartialEq)]
enum Why {
    /// The event has it no more.
    Gone,
    /// Nothing in the event means it for detection any more.
    Flag,
    /// Its value is there twice.
    Double,
}

/// What goes by one call: an observable, since there is no call for several, or the flags of as
/// many as can be changed at once.
pub fn group_removals(stale: Vec<StaleObservable>) -> Vec<Vec<StaleObservable>> {
    let (flags, whole): (Vec<_>, Vec<_>) =
        stale.into_iter().partition(|stale| stale.why == Why::Flag);
    let flags = flags.chunks(observable_diff::MOST_ALIKE).map(<[_]>::to_vec);
    flags
        .chain(whole.into_iter().map(|stale| vec![stale]))
        .collect()
}

impl AlertWriter<'_> {
    /// Takes out what the event has no more, and writes down what the alert was made from.
    pub fn finish(mut self, draft: &AlertDraft, extent: ReadSummary<'_>) -> AlertResult {
        let done = match self.stopped.take() {
            Some(reason) => Err(reason),
            None => {
                let done = self.try_finish(draft, extent);
                done.map_err(|error| self.describe_error(&error))
            }
        };
        if self.is_unsure {
            // Nobody could look: it counts as written.
            self.target.note_write_arrived();
        }

        AlertResult {
            verdict: match done {
                Err(reason) => Verdict::Failed(reason),
                Ok(()) if self.is_new() => Verdict::Created,
                Ok(()) if self.is_changed => Verdict::Updated,
                Ok(()) => Verdict::Unchanged,
            },
            link: self
                .alert()
                .map(|alert| self.target.client.alert_link(&alert.id)),
            kept: self.kept,
            removed: self.removed,
            left_out: self.left_out,
        }
    }

    fn try_finish(&mut self, draft: &AlertDraft, extent: ReadSummary<'_>) -> Result<()> {
        match self.state {
            // A dry run makes none.
            AlertState::Missing if self.is_begun => return Ok(()),
            // The creation made all of it.
            AlertState::Created {
                is_fresh: true,
                is_whole: true,
                ..
            } if !self.is_open => return Ok(()),
            _ => {}
        }
        let Some(mut now) = self.fetch_current_alert()? else {
            bail!("the alert is gone from TheHive")
        };
        // Another import removed it as a twin of its own.
        if self.alert().is_some_and(|alert| alert.id != now.id) {
            return self.accept_superseding_alert(now);
        }

        let is_new = self.is_new();
        let count = now
            .observable_count
            .and_then(|count| u64::try_from(count).ok());
        // More than this run knows of: an unanswered write, or somebody else, put it in.
        let has_more = count.is_some_and(|count| count > self.added);
        let extent = ReadSummary {
            // In a new alert nothing can be over: only doubles are looked for.
            is_flawed: extent.is_flawed || is_new,
            ..extent
        };
        let mut goal = Goal::NothingStale(extent, Vec::new());
        let held = if !is_new || has_more {
            self.look(&mut goal)?
        } else {
            Held::default()
        };
        let is_gone = held.stale.iter().any(|stale| stale.why != Why::Double);
        let mut is_complete = !self.is_open;

        // If the event has changed meanwhile, nothing is taken out: the next run compares again.
        if (extent.is_paged && !is_new || is_gone) && !(extent.is_same)()? {
            is_complete = false;
        } else if !held.stale.is_empty() {
            self.reconcile_fully(&mut goal, held)?;
            // Much time may have passed.
            now = self.fetch_current_alert()?.unwrap_or(now);
        }

        let outcome = WriteSummary {
            scale: self.target.scale,
            is_five: self.target.is_five,
            is_complete,
            has_new_ioc: self.has_new_ioc,
            reopens: self.context.settings.reopen,
        };
        let held = Held {
            alerts: vec![now],
            ..Held::default()
        };
        self.reconcile_fully(&mut Goal::State(draft, outcome), held)
    }

    fn reconcile_fully(&mut self, goal: &mut Goal<'_>, held: Held) -> Result<()> {
        match self.reconcile(goal, Some(held))? {
            None => Ok(()),
            Some(why) => bail!(why),
        }
    }

    /// The alert is gone, and another import has one of the same event: if that is complete, all is
    /// well.
    fn accept_superseding_alert(&mut self, other: Alert) -> Result<()> {
        let state = alert_diff::known_state(&other, self.source.uuid, &self.target.users);
        ensure!(
            state.is_some_and(|state| state.is_current(self.source.event)),
            "another import removed its alert for one of its own: the next run compares that"
        );
        match &mut self.state {
            AlertState::Created { alert, .. } | AlertState::Found(alert, _) => *alert = other,
            AlertState::Missing => {}
        }
        Ok(())
    }

    /// The observables, ours and untouched, that no attribute of the event stands for any more,
    /// unless they are sighted; the IOCs that none means for detection any more, which of an event
    /// in several pages is known only after the last; and those of a value that is there twice.
    /// `listed` are all of its observables, if they need not be asked for.
    /// Beside them those that no attribute stands for and that stay, since somebody edited or
    /// sighted them.
    pub fn find_stale(
        &self,
        extent: ReadSummary<'_>,
        listed: Option<Vec<Observable>>,
    ) -> Result<(Vec<StaleObservable>, Named)> {
        let (mut stale, mut kept, mut is_empty) = (Vec::new(), Named::default(), true);
        let Some(alert) = self.alert() else {
            return Ok((stale, kept));
        };
        let (mut seen, mut twice) = (HashSet::new(), Vec::new());

        let mut examine = |observable: Observable| {
            is_empty = false;
            // Half a digest saves memory: there may be half a million observables. Different values
            // with the same half are sorted out by `find_duplicates`.
            let half = u128::from_be_bytes(self.value_digest(&observable)) >> 64;
            if observable.attachment.is_none()
                && !seen.insert(u64::try_from(half).unwrap_or_default())
            {
                twice.push(observable.data.clone());
            }
            if extent.is_flawed || !self.target.users.has(&observable.created_by) {
                return Ok(());
            }
            let said = extent.live.look_up(&self.observable_digests(&observable));
            let is_gone =
                !said.is_live && twins::can_remove_observable(&observable, &self.target.users);
            if !said.is_live && !is_gone {
                kept.note(
                    observable
                        .attachment
                        .as_ref()
                        .map_or(&observable.data, |file| &file.name),
                );
            }
            if !observable_diff::is_ours(&observable, &self.target.users) {
                return Ok(());
            }

            if is_gone || (extent.is_paged && observable.ioc && said.is_wanted && !said.is_ioc) {
                stale.push(StaleObservable {
                    id: observable.id,
                    why: if is_gone { Why::Gone } else { Why::Flag },
                });
            }

            Ok(())
        };
        let client = &self.target.client;
        match listed {
            Some(all) => all.into_iter().try_for_each(&mut examine)?,
            None => client.for_each_observable(&alert.id, &mut examine)?,
        }

        ensure!(
            !(is_empty && self.is_filled),
            "TheHive lists no observables of an alert that has some"
        );
        stale.extend(self.find_duplicates(&alert.id, &twice)?);

        Ok((stale, kept))
    }

    /// Which of the observables of these values may go since another one of the same value stays.
    fn find_duplicates(&self, alert: &str, twice: &[String]) -> Result<Vec<StaleObservable>> {
        let types = &self.target.types;
        let data: Vec<&str> = twice.iter().map(String::as_str).collect();
        let known = if data.is_empty() {
            Vec::new()
        } else {
            self.target
                .client
                .fetch_observables_by_value(alert, &data)?
        };

        let gone = twins::find_duplicates(&known, &self.target.users, |observable| {
            types.identity_key(&observable.data_type, &observable.data)
        });

        Ok(gone
            .into_iter()
            .map(|observable| StaleObservable {
                id: observable.id.clone(),
                why: Why::Double,
            })
            .collect())
    }

    /// Under which digests an observable may be live: its value; of a file what
    /// [`attachments::keys_of_stored_file`] says.
    fn observable_digests(&self, observable: &Observable) -> Vec<Digest> {
        let digest_of = |data_type: &str, data: &str| {
            let (data_type, data) = self.target.types.identity_key(data_type, data);
            digest(&data_type, &data)
        };
        match &observable.attachment {
            Some(file) => attachments::keys_of_stored_file(file, &observable.tags)
                .iter()
                .map(|name| digest_of(&observable.data_type, name))
                .collect(),
            None => {
                // What TheHive has no type for is there under another one.
                let lacking = if observable.data_type == OTHER {
                    self.target.lacking_types()
                } else {
                    Vec::new()
                };

                let names = lacking
                    .iter()
                    .map(|data_type| digest_of(data_type, &observable.data));
                names.chain([self.value_digest(observable)]).collect()
            }
        }
    }

    fn value_digest(&self, observable: &Observable) -> Digest {
        let (data_type, data) = self
            .target
            .types
            .identity_key(&observable.data_type, &observable.data);
        digest(&data_type, &data)
    }

    /// Removes an observable, or the flags of several.
    pub fn remove_stale(
        &mut self,
        group: &[StaleObservable],
        sent: &mut Vec<StaleObservable>,
    ) -> Result<()> {
        self.context.ensure_time_left()?;
        let ids: Vec<&str> = group.iter().map(|stale| stale.id.as_str()).collect();
        let done = self.write(|client| match group {
            [stale] if stale.why != Why::Flag => client.delete_observable(&stale.id),
            _ => {
                let no_ioc = Map::from_iter([("ioc".to_owned(), false.into())]);
                client.change_observables(&ids, &no_ioc)
            }
        });

        match done {
            Ok(()) => group.iter().for_each(|stale| self.note_removed(stale)),
            // One of them is gone, and the others were left as they are.
            Err(WriteError::Gone(_)) if group.len() > 1 => {
                let (some, others) = group.split_at(group.len() / 2);
                self.remove_stale(some, sent)?;
                self.remove_stale(others, sent)?;
            }
            Err(WriteError::Gone(_)) => {
                self.is_changed |= group.iter().any(|stale| stale.why != Why::Double);
            }
            Err(WriteError::Unclear(failure)) => {
                sent.extend_from_slice(group);
                return Err(self.doubt(&failure, group.len()));
            }
            Err(error) => return Err(failure_of(error).into()),
        }
        Ok(())
    }

    /// Takes note of a removal. What goes since two writes brought it twice is not reported.
    pub fn note_removed(&mut self, stale: &StaleObservable) {
        self.is_changed |= stale.why != Why::Double;
        self.removed += u64::from(stale.why == Why::Gone);
    }

    /// The last write: fields, tags and the state line, on the alert as it is now.
    pub fn write_state(
        &mut self,
        alert: &Alert,
        outcome: WriteSummary,
        body: Map<String, Value>,
    ) -> Result<()> {
        if !body.is_empty() {
            match self.write(|client| client.change_alert(&alert.id, &body.into())) {
                Ok(()) => {}
                Err(WriteError::Unclear(failure)) => return Err(self.doubt(&failure, 1)),
                Err(error) => return Err(failure_of(error).into()),
            }
        }

        // TheHive 5: a closed alert is opened by its status, for which there is a permission of its
        // own.
        if outcome.is_five && outcome.has_new_ioc && outcome.reopens && alert.stage == "Closed" {
            let opened = self.target.write(self.context.part, |client| {
                client.change_alert(&alert.id, &json!({"status": "New"}))
            });
            if let Err(failure) = opened {
                self.warn(&format!("its alert is not opened again: {failure}"));
            }
        }
        Ok(())
    }

    /// The alert as it is now.
    pub fn fetch_same_alert(&self) -> Result<Alert> {
        let id = self.alert().map(|alert| &alert.id);
        self.fetch_all_alerts()?
            .into_iter()
            .find(|alert| Some(&alert.id) == id)
            .ok_or_else(|| anyhow!("the alert is gone from TheHive"))
    }
}
