//! One alert in hand, in one organisation: created or found, filled page by page, and told at the
//! end what it was made from. A write that may or may not have arrived is never repeated blindly:
//! what is there is looked at first, until it can change no more (`reconcile.rs`).

mod attachment;
mod create;
mod finish;
mod kept;
mod observables;
mod reconcile;

use std::collections::HashMap;

use anyhow::{Result, bail};
use uuid::Uuid;

use super::alert_diff;
use super::mapping::{AlertDraft, ObservableDraft};
use super::observable_diff::{self, ObservableAction};
use super::observable_index::ObservableIndex;
use super::options::Settings;
use super::target::AlertTarget;
use super::twins;
use super::users::Users;
use crate::http::HttpError;
use crate::misp::wire::Event;
use crate::report::ConnectionReporter;
use crate::report::ledger::Verdict;
use crate::thehive::wire::{Alert, Observable};
use crate::time::Clock;
use crate::worker;
pub(super) use attachment::AttachmentTransfer;
use attachment::Files;
pub(super) use kept::{KeptParts, Named};
use observables::WriteBatch;
use reconcile::Doubt;

/// How often a write is tried that brings nothing forward.
const ATTEMPTS: usize = 4;
const NO_TIME: &str =
    "the deadline is near (\"deadline_minutes\"): the rest comes with the next run";

const NO_SHARE: &str = "its organisation's share of the time is used up (\"deadline_minutes\"): \
    it goes on with the next run where it stopped";
/// The rule for what an alert may not take any more.
pub(super) const FULL: &str = "max_attributes: its alert may not grow any more";

/// What all alerts of a connection have in common.
pub(super) struct WriterContext<'a> {
    pub(super) settings: &'a Settings,
    pub(super) case_template: Option<&'a str>,
    pub(super) part: &'a ConnectionReporter,
    /// The time that this event has.
    pub(super) clock: Clock,
    /// That of the run.
    pub(super) of_run: Clock,
    /// The most observables that an alert may have; none for no limit.
    pub(super) most_observables: Option<u64>,
    pub(super) dry_run: bool,
}

impl WriterContext<'_> {
    /// How many observables an alert may still get; none for no limit.
    fn remaining_capacity(&self, alert: Option<&Alert>) -> Option<u64> {
        let has = alert
            .and_then(|alert| u64::try_from(alert.observable_count?).ok())
            .unwrap_or(0);
        self.most_observables.map(|most| most.saturating_sub(has))
    }

    /// Refuses to begin anything new once the time is over.
    fn ensure_time_left(&self) -> Result<()> {
        match (self.of_run.is_near_the_end(), self.clock.is_near_the_end()) {
            (true, _) => bail!(NO_TIME),
            (false, true) => bail!(NO_SHARE),
            (false, false) => Ok(()),
        }
    }
}

/// The event that an alert is made from.
#[derive(Clone, Copy)]
pub(super) struct SourceEvent<'a> {
    pub(super) event: &'a Event,
    pub(super) uuid: &'a Uuid,
}

/// An alert in hand.
pub(super) struct AlertWriter<'a> {
    pub(super) desk: &'a AlertTarget,
    common: &'a WriterContext<'a>,
    from: SourceEvent<'a>,
    alert: Option<Alert>,
    /// This run made it, or would.
    is_new: bool,
    /// Nothing is in it but what this run knows of.
    is_fresh: bool,
    /// It was whole before: an IOC that comes now is news.
    was_whole: bool,
    has_new_ioc: bool,
    /// Something of the event is in it for certain.
    is_filled: bool,
    /// The creation made all of it: there is nothing more to be told.
    is_told: bool,
    /// Pages that were put in.
    pages: usize,
    /// How many observables it has, as far as this run knows.
    number: u64,
    /// A write was not answered, and nobody has looked since.
    is_unsure: bool,
    /// Something that is wanted is not in, and may be next time.
    is_open: bool,
    is_changed: bool,
    removed: u64,
    /// How many observables it may still get; none for no limit.
    room: Option<u64>,
    /// Observables left out since it may not grow any more.
    left_out: u64,
    /// The last change of the event that it was whole with: what is older was in it then.
    whole_since: Option<i64>,
    /// What people did to it.
    kept: KeptParts,
    stopped: Option<String>,
    files: Files,
}

/// How an event was read, when all of it was.
#[derive(Clone, Copy)]
pub(super) struct ReadSummary<'a> {
    /// In several answers, between which it may have changed.
    pub(super) is_paged: bool,
    /// Something in it could not be understood, or much of it was not shown: what seems to be gone
    /// may be there.
    pub(super) is_flawed: bool,
    /// The digest of every observable that its attributes stand for.
    pub(super) live: &'a ObservableIndex,
    /// Tells whether it is still as it was when its reading began.
    pub(super) is_same: &'a dyn Fn() -> Result<bool>,
}

/// How an alert ended.
pub(super) struct AlertResult {
    pub(super) verdict: Verdict,
    pub(super) link: Option<String>,
    pub(super) removed: u64,
    pub(super) kept: KeptParts,
    /// Observables left out since it may not grow any more.
    pub(super) left_out: u64,
}

/// A page of an event's observables.
#[derive(Clone, Copy)]
pub(super) struct Page<'p> {
    pub(super) wanted: &'p [ObservableDraft],
    /// The event has more pages: then what another page wants of the same value stays, and this one
    /// adds to it.
    pub(super) is_part: bool,
    /// Nothing comes after it, no page and no file.
    pub(super) is_all: bool,
}

/// Observables that are there, by type and value as TheHive compares them.
type Known = HashMap<(String, String), Observable>;

/// What was sent of which place, and what it becomes if it is found there.
type PendingWrites = HashMap<usize, Verdict>;

impl<'a> AlertWriter<'a> {
    /// Takes an alert in hand; none for one that is to be created.
    pub(super) fn new(
        desk: &'a AlertTarget,
        common: &'a WriterContext<'a>,
        from: SourceEvent<'a>,
        alert: Option<Alert>,
    ) -> Self {
        Self {
            desk,
            common,
            from,
            room: common.remaining_capacity(alert.as_ref()),
            left_out: 0,
            is_new: alert.is_none(),
            was_whole: alert
                .as_ref()
                .is_some_and(|alert| was_whole(alert, from.uuid, &desk.users)),
            whole_since: alert
                .as_ref()
                .and_then(|alert| whole_since(alert, from.uuid, &desk.users)),
            alert,
            is_fresh: false,
            has_new_ioc: false,
            is_filled: false,
            is_told: false,
            pages: 0,
            number: 0,
            is_unsure: false,
            is_open: false,
            is_changed: false,
            removed: 0,
            kept: KeptParts::default(),
            stopped: None,
            files: Files::default(),
        }
    }

    /// True if nothing more can be done for it in this run.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Leaves out what the alert has no room for: of these places the last. It is told, and looked
    /// at again with the next run.
    fn skip_over_capacity(&mut self, add: &mut Vec<usize>, verdicts: &mut [Option<Verdict>]) {
        let Some(room) = self
            .room
            .and_then(|room| usize::try_from(room).ok())
            .filter(|room| *room < add.len())
        else {
            return;
        };

        for place in add.split_off(room) {
            self.left_out += 1;
            self.is_open = true;
            set(verdicts, place, Verdict::Skipped(FULL.to_owned()));
        }
    }

    /// Takes note of observables that were added.
    fn note_added(&mut self, by: usize) {
        self.number += by as u64;
        self.room = self.room.map(|room| room.saturating_sub(by as u64));
    }

    /// Puts a page of observables in, each with its verdict.
    pub(super) fn write_page(&mut self, alert: &AlertDraft, page: Page<'_>) -> Vec<Verdict> {
        let mut verdicts = vec![None; page.wanted.len()];
        if self.stopped.is_none()
            && let Err(error) = self.try_write_page(alert, page, &mut verdicts)
        {
            self.stopped = Some(self.describe_error(&error));
        }
        self.pages += 1;
        for (one, _) in page
            .wanted
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| **verdict == Some(Verdict::Created))
        {
            self.note_return(one);
        }
        self.is_filled |= verdicts
            .iter()
            .flatten()
            .any(|one| !matches!(one, Verdict::Failed(_) | Verdict::Skipped(_)));
        let reason = self.stopped.clone().unwrap_or_default();

        verdicts
            .into_iter()
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::Failed(reason.clone())))
            .collect()
    }

    fn try_write_page(
        &mut self,
        alert: &AlertDraft,
        page: Page<'_>,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<()> {
        self.common.ensure_time_left()?;
        let mut sent = PendingWrites::new();

        if self.alert.is_none() {
            if self.common.dry_run {
                verdicts.fill(Some(Verdict::Created));
                return Ok(());
            }

            self.create(alert, page, verdicts, &mut sent)?;
        }

        let mut why = "TheHive did not store it".to_owned();
        let (mut tries, mut last) = (0, usize::MAX);

        while tries < ATTEMPTS {
            let Some(id) = self.alert.as_ref().map(|alert| alert.id.clone()) else {
                return Ok(());
            };
            let open: Vec<usize> = find_open_indices(verdicts);
            if open.is_empty() {
                return Ok(());
            }
            // Only rounds that bring nothing forward count: a large page may need many.
            tries = if open.len() < last { 1 } else { tries + 1 };
            last = open.len();
            let taken = self.desk.replace_lacking_types(page.wanted);
            let page = Page {
                wanted: &taken,
                ..page
            };
            let known = if self.is_fresh {
                HashMap::new()
            } else {
                self.fetch_known_observables(&id, page.wanted, &open)?
            };

            (self.is_fresh, self.is_unsure) = (false, false);

            let mut round = WriteBatch {
                id: &id,
                page,
                known: &known,
                verdicts: &mut *verdicts,
                sent: &mut sent,
            };

            let doubt = match self.write_batch(&mut round, &open) {
                Ok(Some(doubt)) => doubt,
                Ok(None) => continue,
                Err(error) => {
                    if !self.try_switch_to_twin(&error)? {
                        return Err(error);
                    }
                    reset_written_verdicts(verdicts);
                    (tries, last) = (0, usize::MAX);
                    continue;
                }
            };

            why = format!("not verified: {}", doubt.reason);
            if !self.settle_batch(&round, &open, &doubt)? {
                why = format!("not verified: {}", doubt.describe_unsettled());
                break;
            }
        }

        self.fail_open_places(verdicts, &why);
        Ok(())
    }

    fn fail_open_places(&mut self, verdicts: &mut [Option<Verdict>], reason: &str) {
        for place in find_open_indices(verdicts) {
            self.is_open = true;
            set(verdicts, place, Verdict::Failed(reason.to_owned()));
        }
    }

    /// Looks what became of a write of a page; false if there is no time to find out.
    fn settle_batch(
        &mut self,
        round: &WriteBatch<'_>,
        open: &[usize],
        doubt: &Doubt,
    ) -> Result<bool> {
        let (desk, page) = (self.desk, round.page);
        let look = |hand: &Self| hand.fetch_known_observables(round.id, page.wanted, open);
        let in_doubt: Vec<&ObservableDraft> = open
            .iter()
            .filter(|place| round.sent.contains_key(place))
            .filter_map(|place| page.wanted.get(*place))
            .collect();

        let is_as_wanted = |one: &&ObservableDraft, known: &Known| {
            let known = known.get(&desk.types.identity_key(&one.data_type, &one.data));
            observable_diff::decide_action(one, known, &desk.users, desk.scale, page.is_part)
                == ObservableAction::Keep
        };

        // With nothing to compare, the first look would settle it.
        let is_done = |known: &Known| {
            !in_doubt.is_empty() && in_doubt.iter().all(|one| is_as_wanted(one, known))
        };

        Ok(self.reconcile(doubt, look, is_done)?.is_some())
    }

    /// The alert as it is now: the one in hand, or, if that is not there any more, the one that
    /// counts. Whatever became of the last write to it is seen.
    fn fetch_current_alert(&mut self) -> Result<Option<Alert>> {
        let found = self.fetch_all_alerts()?;
        self.is_unsure = false;
        let id = self.alert.as_ref().map(|alert| &alert.id);
        let own = found.iter().find(|alert| Some(&alert.id) == id).cloned();

        Ok(own.or_else(|| twins::choose_alert(found, self.from.uuid, &self.desk.users)))
    }

    /// All alerts of the event.
    fn fetch_all_alerts(&self) -> Result<Vec<Alert>> {
        self.desk
            .hive
            .fetch_alerts_of_event(&self.source(), self.from.uuid)
    }

    /// True if an alert that cannot be written to has a twin that another import made: that is
    /// taken in hand. Only the first page can be put into it, since nobody has the pages before it
    /// any more.
    fn try_switch_to_twin(&mut self, error: &anyhow::Error) -> Result<bool> {
        if self.pages > 0 || !matches!(HttpError::status_of(error), Some(403 | 404)) {
            return Ok(false);
        }
        let before = self.alert.as_ref().map(|alert| alert.id.clone());
        let found = self
            .fetch_current_alert()?
            .filter(|alert| Some(&alert.id) != before.as_ref());
        let is_other = found.is_some();
        found.into_iter().for_each(|alert| self.adopt_alert(alert));

        Ok(is_other)
    }

    /// Takes an alert in hand that another import made in the meantime.
    fn adopt_alert(&mut self, alert: Alert) {
        self.room = self.common.remaining_capacity(Some(&alert));
        (self.is_new, self.is_fresh) = (false, false);
        self.was_whole = was_whole(&alert, self.from.uuid, &self.desk.users);
        self.whole_since = whole_since(&alert, self.from.uuid, &self.desk.users);
        self.kept = KeptParts::default();
        self.alert = Some(alert);
    }

    /// Takes note of an observable that was put in, if the event had it when the alert was whole:
    /// it is back.
    fn note_return(&mut self, one: &ObservableDraft) {
        if self
            .whole_since
            .zip(one.changed)
            .is_some_and(|(then, changed)| changed <= then)
        {
            self.kept.back.note(&one.data);
        }
    }

    /// What stopped the writing, in words.
    fn describe_error(&self, error: &anyhow::Error) -> String {
        let reason = self.desk.prefix_organisation(&worker::error_line(error));
        if self.is_unsure {
            format!("not verified: {reason}")
        } else {
            reason
        }
    }

    /// The rest follows with the next run, which is to look at the event again.
    pub(super) fn mark_incomplete(&mut self) {
        self.is_open = true;
    }

    fn source(&self) -> String {
        super::mapping::source(&self.common.part.name(), &self.common.part.run.scrubber())
    }

    /// The observables of the alert that have one of the wanted values still open.
    fn fetch_known_observables(
        &self,
        id: &str,
        wanted: &[ObservableDraft],
        open: &[usize],
    ) -> Result<Known> {
        let types = &self.desk.types;
        let of_open = || open.iter().filter_map(|place| wanted.get(*place));
        // TheHive may have lower-cased a value when it stored it.
        let keys: Vec<_> = of_open()
            .map(|one| types.identity_key(&one.data_type, &one.data))
            .collect();
        let lowered = keys
            .iter()
            .zip(of_open())
            .filter(|((_, key), one)| *key != one.data);
        let mut data: Vec<&str> = of_open().map(|one| one.data.as_str()).collect();
        data.extend(lowered.map(|((_, key), _)| key.as_str()));
        data.sort_unstable();
        data.dedup();
        let mut known = Known::new();
        for one in self.desk.hive.fetch_observables_by_value(id, &data)? {
            let is_ours = observable_diff::is_ours(&one, &self.desk.users);
            let key = types.identity_key(&one.data_type, &one.data);
            if is_ours || !known.contains_key(&key) {
                known.insert(key, one);
            }
        }

        Ok(known)
    }
}

/// True unless the alert's state line says that something is still missing, as after a creation
/// that was cut short.
fn was_whole(alert: &Alert, event: &Uuid, users: &Users) -> bool {
    alert_diff::known_state(alert, event, users).is_none_or(|state| state.is_complete)
}

/// The last change of the event that an alert was made from, if all of it was put in then.
fn whole_since(alert: &Alert, event: &Uuid, users: &Users) -> Option<i64> {
    alert_diff::known_state(alert, event, users)
        .filter(|state| state.is_complete)?
        .timestamp
        .filter(|then| *then > 0)
}

fn find_open_indices(verdicts: &[Option<Verdict>]) -> Vec<usize> {
    let open = verdicts
        .iter()
        .enumerate()
        .filter(|(_, verdict)| verdict.is_none());
    open.map(|(place, _)| place).collect()
}

/// What was put into an alert that is gone is open again.
fn reset_written_verdicts(verdicts: &mut [Option<Verdict>]) {
    let is_in = |verdict: &Option<Verdict>| {
        matches!(
            verdict,
            Some(Verdict::Created | Verdict::Updated | Verdict::Unchanged)
        )
    };

    verdicts
        .iter_mut()
        .filter(|verdict| is_in(verdict))
        .for_each(|verdict| *verdict = None);
}

fn set(verdicts: &mut [Option<Verdict>], place: usize, verdict: Verdict) {
    if let Some(slot) = verdicts.get_mut(place) {
        *slot = Some(verdict);
    }
}
