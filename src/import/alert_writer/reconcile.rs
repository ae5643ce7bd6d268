//! One loop for every write to an alert: what TheHive has is looked at, what is lacking is planned
//! and written, and after a write whose outcome is unclear TheHive is watched until it cannot be at
//! work on it any more (`patience.rs`); only then it is planned again. Nothing is repeated blindly.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

use super::attachment::AttachmentTransfer;
use super::create::Creation;
use super::finish::StaleObservable;
use super::{AlertState, AlertWriter, Page, ReadSummary};
use crate::http::HttpError;
use crate::import::alert_diff::{self, AlertPatch, WriteSummary};
use crate::import::mapping::{AlertDraft, ObservableDraft};
use crate::import::observable_diff::{self, IndexedBatch, IndexedPatch, ObservableAction};
use crate::import::patience::{self, Next, Watch};
use crate::report::ledger::Verdict;
use crate::thehive::OBSERVABLES_PAGE;
use crate::thehive::wire::{Alert, Observable};

/// How often a write is tried that brings nothing forward.
const ATTEMPTS: usize = 4;
/// Before the first look after a write that was not answered well.
const BEFORE_FIRST_LOOK: Duration = Duration::from_secs(2);

/// What of an alert is to be put right.
pub enum Goal<'g> {
    /// That it is there, with these observables, or this file.
    Observables(ObservableGoal<'g>),
    /// That nothing is in it that is over. With those whose removal was not answered.
    NothingStale(ReadSummary<'g>, Vec<StaleObservable>),
    /// That its fields, tags and state line are those of the event.
    State(&'g AlertDraft, WriteSummary),
}

/// Observables that an alert is to have.
pub struct ObservableGoal<'g> {
    pub draft: &'g AlertDraft,
    pub page: Page<'g>,
    /// The wanted ones by the types that TheHive takes.
    pub taken: Cow<'g, [ObservableDraft]>,
    /// Of a file, which then is the only one: where it comes from.
    pub transfer: Option<&'g AttachmentTransfer<'g>>,
    /// What became of each.
    pub slots: Vec<Slot>,
    /// A creation that was not answered.
    pub creation: Option<Box<Creation>>,
}

/// What became of an observable.
#[derive(Clone, PartialEq)]
pub enum Slot {
    Open,
    /// A write of it was not answered; it becomes this if it is found there.
    Sent(Verdict),
    Done(Verdict),
}

impl ObservableGoal<'_> {
    pub fn set(&mut self, index: usize, slot: Slot) {
        if let Some(known) = self.slots.get_mut(index) {
            *known = slot;
        }
    }

    pub fn open_indices(&self) -> Vec<usize> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| !matches!(slot, Slot::Done(_)))
            .map(|(index, _)| index)
            .collect()
    }

    pub fn is_done(&self) -> bool {
        self.open_indices().is_empty()
    }

    /// What was put into an alert that is gone is open again.
    pub fn reopen_written(&mut self) {
        let written = self.slots.iter_mut().filter(|slot| slot.is_in_alert());
        written.for_each(|slot| *slot = Slot::Open);
    }
}

impl Slot {
    fn is_in_alert(&self) -> bool {
        matches!(
            self,
            Self::Done(Verdict::Created | Verdict::Updated | Verdict::Unchanged)
        )
    }
}

impl Goal<'_> {
    /// How much there is to do, as far as it comes one by one.
    fn count_open(&self, diff: &AlertDiff) -> usize {
        match self {
            Self::Observables(goal) => goal.open_indices().len(),
            Self::NothingStale(..) => diff.remove.len(),
            Self::State(..) => 0,
        }
    }

    fn is_filled(&self) -> bool {
        matches!(self, Self::Observables(goal) if goal.slots.iter().any(Slot::is_in_alert))
    }

    pub fn into_slots(self) -> impl Iterator<Item = Slot> {
        let slots = match self {
            Self::Observables(goal) => goal.slots,
            Self::NothingStale(..) | Self::State(..) => Vec::new(),
        };
        slots.into_iter()
    }
}

/// What TheHive has, as far as it was asked.
#[derive(Default, PartialEq)]
pub struct Held {
    pub alerts: Vec<Alert>,
    /// By type and value as TheHive compares them.
    pub observables: HashMap<(String, String), Observable>,
    pub files: Vec<Observable>,
    pub stale: Vec<StaleObservable>,
}

/// What an alert lacks of what is wanted. Observables are meant by their index.
#[derive(Default)]
pub struct AlertDiff {
    /// The alert, with what fits into one call.
    pub create: Option<Box<Creation>>,
    /// Observables that are there; true for one that stays as a person edited it.
    pub keep: Vec<(usize, bool)>,
    /// Observables for which there is no room.
    pub full: Vec<usize>,
    pub change: Vec<IndexedPatch>,
    pub add: Vec<IndexedBatch>,
    pub remove: Vec<StaleObservable>,
    pub patch: AlertPatch,
    /// An IOC is there of which nobody was told.
    pub has_unreported_ioc: bool,
}

/// A write that failed in a way that leaves open whether it was done.
#[derive(Debug)]
pub struct Doubt {
    reason: String,
    /// How long TheHive may still be at work on it.
    needed: Duration,
    /// It never reached TheHive.
    is_unsent: bool,
}

impl Doubt {
    /// A doubt about what is over: it has to be looked at once.
    pub fn without_wait(reason: String) -> Self {
        Self {
            reason,
            needed: Duration::ZERO,
            is_unsent: false,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Doubt {}

impl AlertWriter<'_> {
    /// Plans and writes until the goal is reached; `held` is what TheHive has, if that was looked
    /// at before. Gives the reason if something stays open.
    ///
    /// # Errors
    /// What stopped it.
    pub fn reconcile(
        &mut self,
        goal: &mut Goal<'_>,
        mut held: Option<Held>,
    ) -> Result<Option<String>> {
        let mut why = "TheHive did not store it".to_owned();
        let (mut tries, mut last) = (0, usize::MAX);

        while tries < ATTEMPTS {
            let now = match held.take() {
                Some(now) => now,
                None => self.look(goal)?,
            };
            self.is_unsure = false;
            let diff = self.plan(goal, &now)?;
            // Only rounds that bring nothing forward count: a large page may need many.
            let open = goal.count_open(&diff);
            tries = if open < last { 1 } else { tries + 1 };
            last = open;
            self.note_kept(goal, &diff);
            if self.context.dry_run {
                self.forecast(goal, diff);
                return Ok(None);
            }

            let applied = self.apply(goal, &now, diff);
            self.is_filled |= goal.is_filled();
            let error = match applied {
                Ok(true) => return Ok(None),
                Ok(false) => continue,
                Err(error) => error,
            };
            match error.downcast::<Doubt>() {
                Ok(doubt) => {
                    why = doubt.reason.clone();
                    held = self.settle(goal, &doubt)?;
                    if held.is_none() {
                        why += ": TheHive may still be at work on it; the next run looks again";
                        break;
                    }
                }
                Err(error) if self.try_switch_to_twin(goal, &error)? => {
                    (tries, last) = (0, usize::MAX);
                }
                Err(error) => return Err(error),
            }
        }

        // Without an alert there is nothing to go on with.
        if matches!(self.state, AlertState::Missing) {
            bail!(why);
        }
        Ok(Some(why))
    }

    /// Takes note of a failed write of so many values that may have been done all the same.
    pub fn doubt(&mut self, failure: &HttpError, values: usize) -> anyhow::Error {
        self.is_unsure |= failure.was_sent();
        let needed = if failure.may_still_run() {
            patience::max_write_time(values)
        } else {
            Duration::ZERO
        };

        anyhow::Error::new(Doubt {
            reason: failure.to_string(),
            needed,
            is_unsent: !failure.was_sent(),
        })
    }

    /// Looks until it is done, or until two looks agree for longer than the write may take, and
    /// gives the last look; none if there is no time for that. Only then may it be sent again.
    fn settle(&mut self, goal: &mut Goal<'_>, doubt: &Doubt) -> Result<Option<Held>> {
        // A run that is stopped meanwhile reports what was being written as in doubt.
        self.context.part.mark_writing(true);
        let settled = self.wait_until_stable(goal, doubt);
        self.context.part.mark_writing(false);
        let Some(held) = settled? else {
            return Ok(None);
        };

        self.is_unsure = false;
        // The creation has arrived after all.
        if matches!(self.state, AlertState::Missing)
            && let Goal::Observables(goal) = goal
            && let Some(found) = self.choose_alert(held.alerts.clone())
        {
            self.adopt_unconfirmed_alert(goal, found);
            return self.look_for_observables(goal).map(Some);
        }

        Ok(Some(held))
    }

    fn wait_until_stable(&mut self, goal: &mut Goal<'_>, doubt: &Doubt) -> Result<Option<Held>> {
        let clock = self.context.clock;
        clock.pause(BEFORE_FIRST_LOOK);
        let mut watch = Watch::new(doubt.needed);
        let mut last: Option<Held> = None;

        loop {
            self.files = None;
            let now = self.look(goal)?;
            let has_moved = last.as_ref() != Some(&now);
            if doubt.is_unsent || self.is_done(goal, &now)? {
                return Ok(Some(now));
            }

            match watch.next_step(has_moved, clock.left_to_begin()) {
                Next::Settled => return Ok(Some(now)),
                Next::NoTime => return Ok(None),
                Next::Pause(pause) => clock.pause(pause),
            }
            last = Some(now);
        }
    }

    /// True if all that was sent and not answered is there.
    fn is_done(&self, goal: &Goal<'_>, held: &Held) -> Result<bool> {
        let diff = self.plan(goal, held)?;
        Ok(match goal {
            Goal::Observables(_) if diff.create.is_some() => !held.alerts.is_empty(),
            Goal::Observables(goal) => {
                let is_sent = |index: &usize| matches!(goal.slots.get(*index), Some(Slot::Sent(_)));
                let sent: Vec<usize> = goal.open_indices().into_iter().filter(is_sent).collect();
                // With nothing to compare, the first look would settle it.
                !sent.is_empty()
                    && sent
                        .iter()
                        .all(|index| diff.keep.iter().any(|(kept, _)| kept == index))
            }
            Goal::NothingStale(_, sent) => {
                let mut sent = sent.iter();
                sent.all(|observable| !held.stale.contains(observable))
            }
            Goal::State(..) => diff.patch.body.is_empty(),
        })
    }

    /// What TheHive has of it now.
    pub fn look(&mut self, goal: &mut Goal<'_>) -> Result<Held> {
        let mut held = Held::default();
        match goal {
            Goal::Observables(goal) => return self.look_for_observables(goal),
            Goal::NothingStale(extent, _) => {
                let listed = self.listed.take();
                (held.stale, self.kept.over) = self.find_stale(*extent, listed)?;
            }
            Goal::State(..) => held.alerts = vec![self.fetch_same_alert()?],
        }
        Ok(held)
    }

    fn look_for_observables(&mut self, goal: &mut ObservableGoal<'_>) -> Result<Held> {
        let mut held = Held::default();
        goal.taken = self.target.replace_lacking_types(goal.page.wanted);
        // A fresh alert has what its creation carried and nothing else, which spares the first
        // look.
        if let AlertState::Created { is_fresh, .. } = &mut self.state
            && goal.transfer.is_none()
            && std::mem::take(is_fresh)
        {
            return Ok(held);
        }

        match (self.alert().map(|alert| alert.id.clone()), goal.transfer) {
            (None, _) if goal.creation.is_some() => held.alerts = self.fetch_all_alerts()?,
            // It was not there when the events were compared.
            (None, _) => {}
            (Some(id), Some(transfer)) => {
                // It may be one of those that were written since the last look.
                if self.written_files.contains(transfer.file.file_key()) {
                    self.files = None;
                }
                if self.files.is_none() {
                    self.written_files.clear();
                    self.files = Some(self.target.client.fetch_file_observables(&id)?);
                }
                held.files = self.files.clone().unwrap_or_default();
            }
            (Some(id), None) => {
                let found = self.fetch_known_observables(&id, goal)?;
                let types = &self.target.types;
                for observable in found {
                    // Of several with one value ours counts: only that may be changed.
                    let is_ours = observable_diff::is_ours(&observable, &self.target.users);
                    let key = types.identity_key(&observable.data_type, &observable.data);
                    if is_ours || !held.observables.contains_key(&key) {
                        held.observables.insert(key, observable);
                    }
                }
            }
        }
        Ok(held)
    }

    /// The observables of the alert that have one of the wanted values still open. A small alert is
    /// read whole: if nothing is written then, [`Self::find_stale`] need not ask again.
    fn fetch_known_observables(
        &mut self,
        id: &str,
        goal: &ObservableGoal<'_>,
    ) -> Result<Vec<Observable>> {
        let client = &self.target.client;
        if goal.page.is_all && self.is_small() {
            let (mut all, mut has_grown) = (Vec::new(), false);
            client.for_each_observable(id, &mut |observable| {
                // Memory is for as many as the alert had when it was listed.
                has_grown = all.len() >= OBSERVABLES_PAGE;
                if !has_grown {
                    all.push(observable);
                }
                Ok(())
            })?;
            if !has_grown {
                self.listed = Some(all.clone());
                return Ok(all);
            }
        }
        let types = &self.target.types;
        let open: Vec<&ObservableDraft> = goal
            .open_indices()
            .into_iter()
            .filter_map(|index| goal.taken.get(index))
            .collect();
        // TheHive may have lower-cased a value when it stored it.
        let keys: Vec<String> = open
            .iter()
            .map(|draft| types.identity_key(&draft.data_type, &draft.data).1)
            .collect();
        let mut data: Vec<&str> = open.iter().map(|draft| draft.data.as_str()).collect();
        data.extend(keys.iter().map(String::as_str));
        data.sort_unstable();
        data.dedup();

        client.fetch_observables_by_value(id, &data)
    }

    /// What there is of an observable, and whether another page or attribute may want it too.
    fn find_known<'h>(
        &self,
        goal: &ObservableGoal<'_>,
        held: &'h Held,
        draft: &ObservableDraft,
    ) -> Option<(&'h Observable, bool)> {
        let is_part = goal.page.is_part;
        let Some(transfer) = goal.transfer else {
            let key = self
                .target
                .types
                .identity_key(&draft.data_type, &draft.data);
            return held.observables.get(&key).map(|known| (known, is_part));
        };

        // Of the same content: somebody else's file, or that of another attribute, to which this
        // one adds.
        let (file, sha256) = (transfer.file, transfer.sha256());
        let is_same_content = |observable: &Observable| {
            let known = observable
                .attachment
                .as_ref()
                .and_then(|file| file.sha256());
            known.is_some() && known == sha256
        };
        let known = held
            .files
            .iter()
            .filter(|observable| file.is_same_file(observable) || is_same_content(observable))
            .max_by_key(|observable| {
                let is_ours = observable_diff::is_ours(observable, &self.target.users);
                (file.is_same_file(observable), is_ours)
            })?;
        let is_shared = !file.is_same_file(known) || file.is_shared(known);
        Some((known, is_part || is_shared))
    }

    /// What is lacking, given what TheHive has. Nothing is asked, and nothing remembered.
    pub fn plan(&self, goal: &Goal<'_>, held: &Held) -> Result<AlertDiff> {
        let mut diff = AlertDiff::default();
        match goal {
            Goal::Observables(goal) => return self.plan_observables(goal, held),
            Goal::NothingStale(..) => diff.remove.clone_from(&held.stale),
            Goal::State(draft, outcome) => {
                // Somebody may have switched its updates off a moment ago.
                let followed = held.alerts.iter().find(|alert| alert.follow != Some(false));
                if let Some(alert) = followed {
                    let (event, uuid) = (self.source.event, self.source.uuid);
                    let old = alert_diff::known_state(alert, uuid, &self.target.users);
                    let source = (event, uuid);
                    diff.patch =
                        alert_diff::build_patch(draft, source, alert, old.as_ref(), *outcome);
                }
            }
        }
        Ok(diff)
    }

    pub fn plan_observables(&self, goal: &ObservableGoal<'_>, held: &Held) -> Result<AlertDiff> {
        let mut diff = AlertDiff::default();
        let (mut add, mut changes) = (Vec::new(), Vec::new());
        for index in goal.open_indices() {
            let Some(draft) = goal.taken.get(index) else {
                continue;
            };
            let Some((known, is_again)) = self.find_known(goal, held, draft) else {
                add.push(index);
                continue;
            };
            diff.has_unreported_ioc |= self.is_unreported_ioc(known);
            let (users, scale) = (&self.target.users, self.target.scale);
            match observable_diff::decide_action(draft, known, users, scale, is_again) {
                ObservableAction::Keep => diff.keep.push((index, false)),
                ObservableAction::Leave => diff.keep.push((index, true)),
                ObservableAction::Change(body) => changes.push((index, known.id.clone(), body)),
            }
        }

        // What there is no room for is left out: the last of them. The next run looks again.
        if let Some(room) = self.room().filter(|room| *room < add.len()) {
            diff.full = add.split_off(room);
        }
        if matches!(self.state, AlertState::Missing) {
            diff.create = Some(self.prepare_creation(goal, &add, &diff.full)?);
            return Ok(diff);
        }
        diff.change = observable_diff::group_changes(changes);
        let limit = self.target.client.body_limit()?;
        diff.add = observable_diff::group_additions(&goal.taken, &add, self.target.scale, limit);
        Ok(diff)
    }
}
