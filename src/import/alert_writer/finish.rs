//! The end of an alert's import: what the event has no more goes, and the state line is written.

use std::collections::HashSet;

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Map, json};

use super::kept::Named;
use super::reconcile::Doubt;
use super::{ATTEMPTS, AlertResult, AlertWriter, ReadSummary};
use crate::import::alert_diff::{self, WriteSummary};
use crate::import::attachments;
use crate::import::chunk_mapping::{Digest, digest};
use crate::import::mapping::AlertDraft;
use crate::import::target::OTHER;
use crate::import::{observable_diff, twins};
use crate::report::ledger::Verdict;
use crate::thehive::WriteError;
use crate::thehive::wire::{Alert, Observable};

/// An observable that is over, or only its IOC flag.
#[derive(Debug, PartialEq, Eq)]
struct StaleObservable {
    id: String,
    what: What,
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The event has it no more.
    Gone,
    /// Nothing in the event means it for detection any more.
    Flag,
    /// Its value is there twice.
    Double,
}

impl StaleObservable {
    /// True if its end is told: what the event took back, not what two writes brought.
    fn is_counted(&self) -> bool {
        self.what == What::Gone
    }
}

impl AlertWriter<'_> {
    /// Takes out what the event has no more, and writes down what the alert was made from.
    pub(in crate::import) fn finish(
        mut self,
        alert: &AlertDraft,
        extent: ReadSummary<'_>,
    ) -> AlertResult {
        let done = match self.stopped.take() {
            Some(reason) => Err(reason),
            None => {
                let done = self.try_finish(alert, extent);
                done.map_err(|error| self.describe_error(&error))
            }
        };

        if self.is_unsure {
            // Nobody could look: it counts as written.
            self.desk.note_write_arrived();
        }

        let verdict = match done {
            Err(reason) => Verdict::Failed(reason),
            Ok(_) if self.is_new => Verdict::Created,
            Ok(is_real) if is_real || self.is_changed => Verdict::Updated,
            Ok(_) => Verdict::Unchanged,
        };

        let link = self
            .alert
            .as_ref()
            .map(|alert| self.desk.hive.alert_link(&alert.id));
        let kept = std::mem::take(&mut self.kept);

        AlertResult {
            verdict,
            link,
            kept,
            removed: self.removed,
            left_out: self.left_out,
        }
    }

    fn try_finish(&mut self, alert: &AlertDraft, extent: ReadSummary<'_>) -> Result<bool> {
        if self.is_new && (self.common.dry_run || (self.is_told && !self.is_open)) {
            return Ok(true);
        }
        let Some(mut now) = self.fetch_current_alert()? else {
            bail!("the alert is gone from TheHive")
        };
        if self.alert.as_ref().is_some_and(|alert| alert.id != now.id) {
            return self.accept_superseding_alert(&now);
        }
        let has_more = now
            .observable_count
            .is_some_and(|count| u64::try_from(count).is_ok_and(|it| it > self.number));
        let extent = ReadSummary {
            is_flawed: extent.is_flawed || self.is_new,
            ..extent
        };
        let mut over = Vec::new();
        if !self.is_new || has_more {
            (over, self.kept.over) = self.find_stale(extent)?;
        }
        let mut is_complete = !self.is_open;
        let is_gone = over.iter().any(|over| !matches!(over.what, What::Double));

        if (extent.is_paged && !self.is_new || is_gone) && !(extent.is_same)()? {
            is_complete = false;
        } else {
            let is_nothing = over.is_empty();
            self.remove_stale(over, extent)?;
            if !is_nothing {
                // Much time may have passed.
                now = self.fetch_current_alert()?.unwrap_or(now);
            }
        }

        self.write_state(alert, is_complete, now)
    }

    /// The alert in hand is gone, and another import has one of the same event: if that is
    /// complete, all is well.
    fn accept_superseding_alert(&mut self, other: &Alert) -> Result<bool> {
        let state = alert_diff::known_state(other, self.from.uuid, &self.desk.users);
        let is_well = state.is_some_and(|state| state.is_current(self.from.event));
        ensure!(
            is_well,
            "another import removed its alert for one of its own: the next run compares that"
        );
        self.alert = Some(other.clone());

        Ok(false)
    }

    /// Puts right what is over; what is not answered is looked at, and done again if it was not
    /// done.
    fn remove_stale(
        &mut self,
        mut over: Vec<StaleObservable>,
        extent: ReadSummary<'_>,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let (mut unclear, mut last) = (Vec::new(), None);
            for one in over {
                if let Some(doubt) = self.remove_one_stale(&one)? {
                    unclear.push(one);
                    last = Some(doubt);
                    // The rest waits until it is settled.
                    break;
                }
            }

            let Some(doubt) = last else { return Ok(()) };
            let is_done =
                |over: &Vec<StaleObservable>| !unclear.iter().any(|one| over.contains(one));
            let Some(left) =
                self.reconcile(&doubt, |hand| Ok(hand.find_stale(extent)?.0), is_done)?
            else {
                bail!(doubt.describe_unsettled());
            };

            let is_done = |one: &&StaleObservable| one.is_counted() && !left.contains(one);
            self.removed += unclear.iter().filter(is_done).count() as u64;
            over = left;
        }

        bail!("TheHive did not do it")
    }

    /// The observables, ours and untouched, that no attribute of the event stands for any more,
    /// unless they are sighted; the IOCs that none means for detection any more, which of an event
    /// in several pages is known only after the last; and those of a value that is there twice.
    /// Beside them those that no attribute stands for and that stay, since somebody edited or
    /// sighted them.
    fn find_stale(&self, extent: ReadSummary<'_>) -> Result<(Vec<StaleObservable>, Named)> {
        let (mut over, mut kept, mut is_empty) = (Vec::new(), Named::default(), true);
        let Some(alert) = &self.alert else {
            return Ok((over, kept));
        };
        let (mut seen, mut twice) = (HashSet::new(), Vec::new());

        self.desk.hive.for_each_observable(&alert.id, &mut |one| {
            is_empty = false;
            // Half a digest saves memory: there may be half a million observables. Different values
            // with the same half are sorted out by `find_duplicates`.
            let half = u128::from_be_bytes(self.value_digest(&one)) >> 64;
            if one.attachment.is_none() && !seen.insert(u64::try_from(half).unwrap_or_default()) {
                twice.push(one.data.clone());
            }
            if extent.is_flawed || !self.desk.users.has(&one.created_by) {
                return Ok(());
            }
            let said = extent.live.look_up(&self.observable_digests(&one));
            let is_gone = !said.is_live && twins::can_remove_observable(&one, &self.desk.users);
            if !said.is_live && !is_gone {
                kept.note(one.attachment.as_ref().map_or(&one.data, |file| &file.name));
            }
            if !observable_diff::is_ours(&one, &self.desk.users) {
                return Ok(());
            }

            if is_gone || (extent.is_paged && one.ioc && said.is_wanted && !said.is_ioc) {
                over.push(StaleObservable {
                    id: one.id,
                    what: if is_gone { What::Gone } else { What::Flag },
                });
            }

            Ok(())
        })?;

        ensure!(
            !(is_empty && self.is_filled),
            "TheHive lists no observables of an alert that has some"
        );
        over.extend(self.find_duplicates(&alert.id, &twice)?);

        Ok((over, kept))
    }

    /// Which of the observables of these values may go since another one of the same value stays.
    fn find_duplicates(&self, alert: &str, twice: &[String]) -> Result<Vec<StaleObservable>> {
        let types = &self.desk.types;
        let data: Vec<&str> = twice.iter().map(String::as_str).collect();
        let known = if data.is_empty() {
            Vec::new()
        } else {
            self.desk.hive.fetch_observables_by_value(alert, &data)?
        };

        let gone = twins::find_duplicates(&known, &self.desk.users, |one| {
            types.identity_key(&one.data_type, &one.data)
        });

        Ok(gone
            .into_iter()
            .map(|one| StaleObservable {
                id: one.id.clone(),
                what: What::Double,
            })
            .collect())
    }

    /// Under which digests an observable may be live: its value; of a file what
    /// [`attachments::keys_of_stored_file`] says.
    fn observable_digests(&self, one: &Observable) -> Vec<Digest> {
        let of = |data_type: &str, data: &str| {
            let (data_type, data) = self.desk.types.identity_key(data_type, data);
            digest(&data_type, &data)
        };
        match &one.attachment {
            Some(file) => attachments::keys_of_stored_file(file, &one.tags)
                .iter()
                .map(|name| of(&one.data_type, name))
                .collect(),
            None => {
                // What TheHive has no type for is there under another one.
                let lacking = if one.data_type == OTHER {
                    self.desk.lacking_types()
                } else {
                    Vec::new()
                };

                let names = lacking.iter().map(|data_type| of(data_type, &one.data));
                names.chain([self.value_digest(one)]).collect()
            }
        }
    }

    fn value_digest(&self, one: &Observable) -> Digest {
        let (data_type, data) = self.desk.types.identity_key(&one.data_type, &one.data);
        digest(&data_type, &data)
    }

    /// Removes an observable, or its flag. Gives what is open if it may or may not be done.
    fn remove_one_stale(&mut self, over: &StaleObservable) -> Result<Option<Doubt>> {
        self.common.ensure_time_left()?;

        let done = match (over.what, self.common.dry_run) {
            (What::Flag, _) => self.patch(
                &[&over.id],
                &Map::from_iter([("ioc".to_owned(), false.into())]),
            ),
            (What::Gone | What::Double, true) => Ok(()),
            (What::Gone | What::Double, false) => self
                .desk
                .write(self.common.part, |hive| hive.delete_observable(&over.id)),
        };

        self.is_changed |= over.what != What::Double;

        match done.map_err(WriteError::from_http_error) {
            Ok(()) => {
                self.removed += u64::from(over.is_counted());
                Ok(None)
            }
            Err(WriteError::Gone(_)) => Ok(None),
            Err(WriteError::Unclear(failure)) => Ok(Some(self.note_unclear_write(&failure, 1))),
            Err(
                WriteError::Content(failure)
                | WriteError::Duplicate(failure)
                | WriteError::Denied(failure),
            ) => Err(failure.into()),
        }
    }

    /// The last write: fields, tags and the state line, on the alert as it is now.
    fn write_state(&mut self, wanted: &AlertDraft, is_complete: bool, now: Alert) -> Result<bool> {
        let settings = self.common.settings;
        let outcome = WriteSummary {
            scale: self.desk.scale,
            is_five: self.desk.is_five,
            is_complete,
            has_new_ioc: self.has_new_ioc,
            reopens: settings.reopen,
        };

        let (mut is_real, mut alert) = (false, now);
        let mut last = None;

        for _ in 0..ATTEMPTS {
            if alert.follow == Some(false) {
                // Somebody switched it off a moment ago.
                return Ok(is_real);
            }
            let of = (self.from.event, self.from.uuid);
            let users = &self.desk.users;
            let change = |alert: &Alert| {
                let old = alert_diff::known_state(alert, self.from.uuid, users);
                alert_diff::build_patch(wanted, of, alert, old.as_ref(), outcome)
            };
            let wants = change(&alert);
            is_real |= wants.is_real;
            self.kept.fields.clone_from(&wants.kept);
            if wants.body.is_empty() || self.common.dry_run {
                self.reopen(&alert, outcome);
                return Ok(is_real);
            }

            match self
                .desk
                .write(self.common.part, |hive| {
                    hive.change_alert(&alert.id, &wants.body.into())
                })
                .map_err(WriteError::from_http_error)
            {
                Ok(()) => {
                    self.reopen(&alert, outcome);
                    return Ok(is_real);
                }

                Err(WriteError::Unclear(failure)) => {
                    let doubt = self.note_unclear_write(&failure, 1);
                    let id = alert.id.clone();
                    let look = |hand: &Self| hand.fetch_same_alert(&id);
                    let Some(now) =
                        self.reconcile(&doubt, look, |now| change(now).body.is_empty())?
                    else {
                        bail!(doubt.describe_unsettled());
                    };

                    alert = now;
                    last = Some(failure);
                }

                Err(
                    WriteError::Content(failure)
                    | WriteError::Duplicate(failure)
                    | WriteError::Gone(failure)
                    | WriteError::Denied(failure),
                ) => return Err(failure.into()),
            }
        }

        Err(last.map_or_else(|| anyhow!("TheHive did not change the alert"), Into::into))
    }

    /// The alert of this id as it is now.
    fn fetch_same_alert(&self, id: &str) -> Result<Alert> {
        self.fetch_all_alerts()?
            .into_iter()
            .find(|alert| alert.id == id)
            .ok_or_else(|| anyhow!("the alert is gone from TheHive"))
    }

    /// TheHive 5: a closed alert is opened by its status, for which there is a permission of its
    /// own.
    fn reopen(&self, alert: &Alert, outcome: WriteSummary) {
        let is_closed = outcome.is_five && alert.stage == "Closed";
        if !is_closed || !outcome.has_new_ioc || !outcome.reopens || self.common.dry_run {
            return;
        }
        let status = json!({"status": "New"});

        if let Err(failure) = self.desk.write(self.common.part, |hive| {
            hive.change_alert(&alert.id, &status)
        }) {
            self.common.part.warn(format!(
                "event {}: its alert is not opened again: {failure}",
                self.from.uuid
            ));
        }
    }
}
