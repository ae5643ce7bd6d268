//! A plan carried out, up to the first write whose outcome is unclear, or only told.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde_json::{Map, Value};

use super::attachment::AttachmentTransfer;
use super::reconcile::{AlertDiff, Doubt, Goal, Held, ObservableGoal, Slot};
use super::{AlertWriter, finish};
use crate::http::HttpError;
use crate::import::observable_diff::{self, IndexedBatch, IndexedPatch};
use crate::import::patience;
use crate::import::target::failure_of;
use crate::report::ledger::Verdict;
use crate::thehive::wire::{Alert, Observable};
use crate::thehive::{AddResult, Holder, Refusal, TheHive, WriteError};

impl AlertWriter<'_> {
    /// Takes note of what a plan leaves as it is.
    pub fn note_kept(&mut self, goal: &mut Goal<'_>, diff: &AlertDiff) {
        self.has_new_ioc |= diff.has_unreported_ioc;
        match goal {
            Goal::NothingStale(..) => {}
            Goal::State(..) => self.kept.fields.clone_from(&diff.patch.kept),
            Goal::Observables(goal) => self.note_kept_observables(goal, diff),
        }
    }

    fn note_kept_observables(&mut self, goal: &mut ObservableGoal<'_>, diff: &AlertDiff) {
        for (index, is_edited) in &diff.keep {
            if let Some(draft) = goal.taken.get(*index).filter(|_| *is_edited) {
                self.kept.edited.note(&draft.data);
            }
            match goal.slots.get(*index).cloned() {
                // What was sent and is there was written.
                Some(Slot::Sent(verdict)) => {
                    self.note(goal, &[*index], &Slot::Done(verdict), false);
                }
                _ => goal.set(*index, Slot::Done(Verdict::Unchanged)),
            }
        }
        for index in &diff.full {
            self.left_out += 1;
            self.is_open = true;
            goal.set(*index, Slot::Done(Verdict::Skipped(super::FULL.to_owned())));
        }
    }

    /// A dry run: takes note of a plan as if it had been carried out.
    pub fn forecast(&mut self, goal: &mut Goal<'_>, diff: AlertDiff) {
        if let Goal::Observables(goal) = goal {
            if diff.create.is_some() {
                let all = goal.open_indices();
                self.note(goal, &all, &Slot::Done(Verdict::Created), false);
            }
            for IndexedPatch { body, targets } in diff.change {
                let places: Vec<usize> = targets.into_iter().map(|(index, _)| index).collect();
                self.note(
                    goal,
                    &places,
                    &Slot::Done(Verdict::Updated),
                    sets_ioc(&body),
                );
            }
            for IndexedBatch { group, places } in diff.add {
                self.note(goal, &places, &Slot::Done(Verdict::Created), group.ioc);
            }
        }
        diff.remove
            .iter()
            .for_each(|stale| self.note_removed(stale));
        self.is_changed |= diff.patch.is_real;
    }

    /// Carries a plan out. False if something is still open, which another look tells.
    ///
    /// # Errors
    /// A [`Doubt`] about a write whose outcome is unclear; what stopped it.
    pub fn apply(&mut self, goal: &mut Goal<'_>, held: &Held, diff: AlertDiff) -> Result<bool> {
        match goal {
            Goal::Observables(goal) => return self.apply_to_observables(goal, held, diff),
            Goal::NothingStale(_, sent) => {
                // What was sent before and is not there any more is removed.
                for stale in std::mem::take(sent) {
                    if !diff.remove.contains(&stale) {
                        self.note_removed(&stale);
                    }
                }
                for group in finish::group_removals(diff.remove) {
                    self.remove_stale(&group, sent)?;
                }
            }
            Goal::State(_, outcome) => {
                self.is_changed |= diff.patch.is_real;
                // Somebody may have switched its updates off meanwhile.
                let followed = held.alerts.iter().find(|alert| alert.follow != Some(false));
                if let Some(alert) = followed {
                    self.write_state(alert, *outcome, diff.patch.body)?;
                }
            }
        }
        Ok(true)
    }

    fn apply_to_observables(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        held: &Held,
        diff: AlertDiff,
    ) -> Result<bool> {
        if let Some(creation) = diff.create {
            self.create(goal, creation)?;
        }
        for change in diff.change {
            self.context.ensure_time_left()?;
            self.change_observables(goal, change)?;
        }
        if let Some(transfer) = goal
            .transfer
            .filter(|transfer| !diff.add.is_empty() && !transfer.is_read())
        {
            return self.read_file(goal, held, transfer);
        }
        for batch in diff.add {
            self.context.ensure_time_left()?;
            self.add_observables(goal, batch)?;
        }
        Ok(goal.is_done())
    }

    /// Reads the file that the alert lacks. Its content may be there under another name.
    fn read_file(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        held: &Held,
        transfer: &AttachmentTransfer<'_>,
    ) -> Result<bool> {
        if let Err(missing) = transfer.content() {
            self.is_open |= !missing.is_final;
            goal.set(0, Slot::Done(missing.verdict.clone()));
            return Ok(true);
        }
        let diff = self.plan_observables(goal, held)?;
        self.note_kept_observables(goal, &diff);
        self.apply_to_observables(goal, held, diff)
    }

    /// Takes note of observables that were written, or may have been.
    fn note(&mut self, goal: &mut ObservableGoal<'_>, places: &[usize], slot: &Slot, is_ioc: bool) {
        self.has_new_ioc |= is_ioc && self.was_whole();
        if let Slot::Done(verdict) = slot {
            self.is_changed = true;
            self.added += u64::from(*verdict == Verdict::Created) * places.len() as u64;
        }
        for place in places {
            goal.set(*place, slot.clone());
        }
    }

    /// Changes observables alike by one call, or, if one of them is gone or not taken, by smaller
    /// ones.
    fn change_observables(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        change: IndexedPatch,
    ) -> Result<()> {
        let (places, ids): (Vec<usize>, Vec<&str>) = change
            .targets
            .iter()
            .map(|(index, id)| (*index, id.as_str()))
            .unzip();
        let is_ioc = sets_ioc(&change.body);
        if goal.transfer.is_some() {
            // The files that were looked at are not as they are from now on.
            self.files = None;
        }
        let done = self.write(|client| client.change_observables(&ids, &change.body));

        match done {
            Ok(()) => self.note(goal, &places, &Slot::Done(Verdict::Updated), is_ioc),
            Err(WriteError::Unclear(failure)) => {
                self.note(goal, &places, &Slot::Sent(Verdict::Updated), is_ioc);
                return Err(self.doubt(&failure, places.len()));
            }
            Err(WriteError::Denied(failure)) => return Err(failure.into()),
            Err(
                WriteError::Content(failure)
                | WriteError::Duplicate(failure)
                | WriteError::Gone(failure),
            ) => match change.halves() {
                Some(halves) => {
                    for half in halves {
                        self.change_observables(goal, half)?;
                    }
                }
                // What went in the meantime is added after the next look.
                None if failure.status() == Some(404) => {}
                None => fail(goal, &places, failure.to_string()),
            },
        }
        Ok(())
    }

    /// Adds observables by one call, or, if TheHive dislikes something among them, by smaller ones.
    fn add_observables(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        batch: IndexedBatch,
    ) -> Result<()> {
        let Some(id) = self.alert().map(|alert| alert.id.clone()) else {
            return Ok(());
        };
        let (values, done) = match goal.transfer {
            Some(transfer) => self.upload(&id, transfer, &batch.group)?,
            None => {
                let values = batch.places.len();
                self.put_into_case(values, &|client, case| {
                    client.add_observables(Holder::Case(case), &batch.group, None)
                })?;
                let done = self
                    .write(|client| client.add_observables(Holder::Alert(&id), &batch.group, None));
                (values, done)
            }
        };

        match done {
            Ok(added) => self.record_added(goal, &batch, added),
            Err(WriteError::Content(failure)) => self.handle_refused_batch(goal, batch, &failure),
            // Somebody else was faster: the next look finds it there.
            Err(WriteError::Duplicate(_)) => Ok(()),
            Err(WriteError::Denied(failure) | WriteError::Gone(failure)) => Err(failure.into()),
            Err(WriteError::Unclear(failure)) => {
                self.note(
                    goal,
                    &batch.places,
                    &Slot::Sent(Verdict::Created),
                    batch.group.ioc,
                );
                Err(self.doubt(&failure, values))
            }
        }
    }

    /// What became of each value of a call.
    fn record_added(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        batch: &IndexedBatch,
        added: AddResult,
    ) -> Result<()> {
        let IndexedBatch { group, places } = batch;
        let types = &self.target.types;
        let key = |data: &String| types.identity_key(&group.data_type, data).1;
        let there: HashSet<String> = added.there.iter().map(key).collect();
        let refused: HashMap<String, Refusal> = added
            .refused
            .into_iter()
            .map(|(data, why)| (key(&data), why))
            .collect();
        let mut doubt = None;

        for (place, data) in places.iter().zip(&group.data) {
            let data = key(data);
            match refused.get(&data) {
                _ if there.contains(&data) => {
                    self.note(goal, &[*place], &Slot::Done(Verdict::Created), group.ioc);
                }
                // Somebody else was faster: the next look tells.
                Some(refusal) if refusal.is_duplicate() => {}
                Some(refusal) => {
                    let reason = format!("refused by TheHive: {}", refusal.message);
                    if refusal.is_final() {
                        fail(goal, &[*place], reason);
                    } else {
                        doubt = Some(Doubt::without_wait(reason));
                    }
                }
                // TheHive says nothing of it: the next look tells whether it is there.
                None => goal.set(*place, Slot::Sent(Verdict::Created)),
            }
        }

        doubt.map_or(Ok(()), |doubt| Err(doubt.into()))
    }

    fn handle_refused_batch(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        batch: IndexedBatch,
        failure: &HttpError,
    ) -> Result<()> {
        let places = batch.places.clone();
        // An unknown observable type is wrong for each of them alike.
        let is_unknown_type = failure.status() == Some(404);
        let (target, part) = (self.target, self.context.part);
        if is_unknown_type
            && goal.transfer.is_none()
            && target.note_lacking_type(&batch.group.data_type, part)
        {
            // They stay open: after the next look they are sent as `other`.
            return Ok(());
        }
        let Some(halves) = batch.halves().filter(|_| !is_unknown_type) else {
            fail(goal, &places, failure.to_string());
            return Ok(());
        };
        for half in halves {
            self.add_observables(goal, half)?;
        }
        Ok(())
    }

    /// What is new in an alert that is in a case goes there first: a run that dies in between finds
    /// it missing in the alert, and adds it to both again.
    pub fn put_into_case(
        &mut self,
        values: usize,
        add: &dyn Fn(&TheHive, &str) -> Result<AddResult, HttpError>,
    ) -> Result<()> {
        let case = self.alert().map(|alert| alert.case.clone());
        let Some(case) = case.filter(|case| !case.is_empty()) else {
            return Ok(());
        };
        if !self.context.settings.update_cases || self.is_new() {
            return Ok(());
        }

        match self.write(|client| add(client, &case)) {
            Ok(added) => {
                let refused = added.refused.into_iter();
                for (data, refusal) in refused.filter(|(_, refusal)| !refusal.is_duplicate()) {
                    self.warn_of_case(&format!("{data}: {}", refusal.message));
                }
            }
            Err(WriteError::Unclear(failure)) => return Err(self.doubt(&failure, values)),
            Err(WriteError::Duplicate(_)) => {}
            // The alert is what counts: that its case lacks something is a warning.
            Err(error) => self.warn_of_case(&failure_of(error).to_string()),
        }
        Ok(())
    }

    fn warn_of_case(&self, reason: &str) {
        self.warn(&format!("not added to its case: {reason}"));
    }

    /// Does a write.
    pub fn write<T>(
        &mut self,
        call: impl FnOnce(&TheHive) -> Result<T, HttpError>,
    ) -> Result<T, WriteError> {
        self.listed = None;
        let done = self.target.write(self.context.part, call);
        done.map_err(WriteError::from_http_error)
    }

    /// True for an IOC that came in after the alert itself was last changed: by a write that was
    /// not answered, or by a run that did not come to its end.
    pub fn is_unreported_ioc(&self, known: &Observable) -> bool {
        // An alert that was never changed counts from its creation. TheHive stores the observables
        // of a creation after the alert, so they are a little younger.
        let made = |alert: &Alert| {
            let count = alert
                .observable_count
                .and_then(|count| usize::try_from(count).ok());
            let carried = count.map_or(observable_diff::MOST_INLINE, |count| {
                count.min(observable_diff::MOST_INLINE)
            });
            let creation = i64::try_from(patience::max_write_time(carried).as_millis());
            Some(
                alert
                    .created_at?
                    .saturating_add(creation.unwrap_or(i64::MAX)),
            )
        };
        let last_change = self
            .alert()
            .and_then(|alert| alert.updated_at.or_else(|| made(alert)));
        let is_later = known
            .created_at
            .zip(last_change)
            .is_some_and(|(created, changed)| created > changed);

        self.was_whole()
            && known.ioc
            && is_later
            && observable_diff::is_ours(known, &self.target.users)
    }

    /// True if an alert that cannot be written to has a twin that another import made: the work
    /// goes on with that. Only the first page can be put into it, since nobody has the pages before
    /// it any more.
    pub fn try_switch_to_twin(
        &mut self,
        goal: &mut Goal<'_>,
        error: &anyhow::Error,
    ) -> Result<bool> {
        let failure = error.chain().find_map(|cause| cause.downcast_ref());
        let status = failure.and_then(HttpError::status);
        let Goal::Observables(goal) = goal else {
            return Ok(false);
        };
        let Some(before) = self.alert().map(|alert| alert.id.clone()) else {
            return Ok(false);
        };
        // TheHive 4 answers 403, too, where observables are added to an alert that is gone.
        if self.is_begun || !matches!(status, Some(403 | 404)) {
            return Ok(false);
        }

        let found = self.fetch_current_alert()?;
        let Some(other) = found.filter(|alert| alert.id != before) else {
            return Ok(false);
        };
        self.adopt_alert(other);
        goal.reopen_written();
        Ok(true)
    }
}

fn sets_ioc(body: &Map<String, Value>) -> bool {
    body.get("ioc") == Some(&true.into())
}

fn fail(goal: &mut ObservableGoal<'_>, places: &[usize], reason: String) {
    for place in places {
        goal.set(*place, Slot::Done(Verdict::Failed(reason.clone())));
    }
}
