//! Observables put into an alert that is there: looked for, then added or changed.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde_json::{Map, Value};

use super::reconcile::Doubt;
use super::{AlertWriter, Known, Page, PendingWrites, set};
use crate::http::HttpError;
use crate::import::observable_diff::{self, Alike, IndexedBatch, ObservableAction};
use crate::import::patience;
use crate::report::ledger::Verdict;
use crate::thehive::wire::{Alert, Observable};
use crate::thehive::{AddResult, Holder, ObservableTypes, Refusal, TheHive, WriteError};

/// What one look's worth of work has at hand.
pub(super) struct WriteBatch<'r> {
    pub(super) id: &'r str,
    pub(super) page: Page<'r>,
    pub(super) known: &'r Known,
    pub(super) verdicts: &'r mut [Option<Verdict>],
    pub(super) sent: &'r mut PendingWrites,
}

impl WriteBatch<'_> {
    /// What is there of a place.
    fn find_known(&self, place: usize, types: &ObservableTypes) -> Option<&Observable> {
        let one = self.page.wanted.get(place)?;
        self.known
            .get(&types.identity_key(&one.data_type, &one.data))
    }
}

impl AlertWriter<'_> {
    /// Writes what one look at the alert showed to be lacking, up to the first write whose outcome
    /// is unclear.
    pub(super) fn write_batch(
        &mut self,
        round: &mut WriteBatch<'_>,
        open: &[usize],
    ) -> Result<Option<Doubt>> {
        let (mut add, mut changes) = (Vec::new(), Vec::new());

        for place in open {
            let Some(one) = round.page.wanted.get(*place) else {
                continue;
            };
            let known = round.find_known(*place, &self.desk.types);
            self.has_new_ioc |= known.is_some_and(|known| self.is_unreported_ioc(known));

            match observable_diff::decide_action(
                one,
                known,
                &self.desk.users,
                self.desk.scale,
                round.page.is_part,
            ) {
                ObservableAction::Add => add.push(*place),

                ObservableAction::Keep => {
                    let (users, scale, is_part) =
                        (&self.desk.users, self.desk.scale, round.page.is_part);
                    let is_left = known.is_some_and(|known| {
                        observable_diff::is_kept_as_edited(one, known, users, scale, is_part)
                    });
                    if is_left {
                        self.kept.edited.note(&one.data);
                    }
                    let verdict = round.sent.get(place).cloned().unwrap_or(Verdict::Unchanged);
                    self.is_changed |= verdict != Verdict::Unchanged;
                    self.note_added(usize::from(verdict == Verdict::Created));
                    set(round.verdicts, *place, verdict);
                }

                ObservableAction::Change(body) => changes.push((*place, body)),
            }
        }

        for alike in observable_diff::group_changes(changes) {
            self.common.ensure_time_left()?;
            if let Some(doubt) = self.change_observables(round, alike)? {
                return Ok(Some(doubt));
            }
        }

        self.skip_over_capacity(&mut add, round.verdicts);

        if self.common.dry_run {
            self.note_added(add.len());
            add.iter()
                .for_each(|place| set(round.verdicts, *place, Verdict::Created));
            self.is_changed |= !add.is_empty();
            return Ok(None);
        }

        let limit = self.desk.hive.body_limit()?;
        for parcel in
            observable_diff::group_additions(round.page.wanted, &add, self.desk.scale, limit)
        {
            self.common.ensure_time_left()?;
            if let Some(doubt) = self.add_observables(round, parcel)? {
                return Ok(Some(doubt));
            }
        }

        Ok(None)
    }

    /// Changes observables alike by one call, or, if one of them is gone or not taken, by smaller
    /// ones.
    fn change_observables(
        &mut self,
        round: &mut WriteBatch<'_>,
        alike: Alike,
    ) -> Result<Option<Doubt>> {
        let types = &self.desk.types;
        let known: Vec<&Observable> = alike
            .places
            .iter()
            .filter_map(|place| round.find_known(*place, types))
            .collect();

        let ids: Vec<&str> = known.iter().map(|one| one.id.as_str()).collect();
        let is_new_ioc = alike.body.get("ioc") == Some(&true.into()) && self.was_whole;
        match self
            .patch(&ids, &alike.body)
            .map_err(WriteError::from_http_error)
        {
            Ok(()) => {
                self.is_changed = true;
                self.has_new_ioc |= is_new_ioc;
                alike
                    .places
                    .iter()
                    .for_each(|place| set(round.verdicts, *place, Verdict::Updated));
            }

            Err(
                WriteError::Content(failure)
                | WriteError::Duplicate(failure)
                | WriteError::Gone(failure),
            ) => {
                let is_gone = failure.status() == Some(404);
                let places = alike.places.clone();

                let Some(halves) = alike.halves() else {
                    if !is_gone {
                        let failed = Verdict::Failed(failure.to_string());
                        places
                            .iter()
                            .for_each(|place| set(round.verdicts, *place, failed.clone()));
                    }

                    // What went in the meantime is added after the next look.
                    return Ok(None);
                };

                for half in halves {
                    if let Some(doubt) = self.change_observables(round, half)? {
                        return Ok(Some(doubt));
                    }
                }
            }

            Err(WriteError::Denied(failure)) => return Err(failure.into()),

            Err(WriteError::Unclear(failure)) => {
                round
                    .sent
                    .extend(alike.places.iter().map(|place| (*place, Verdict::Updated)));
                self.has_new_ioc |= is_new_ioc;
                return Ok(Some(self.note_unclear_write(&failure, alike.places.len())));
            }
        }

        Ok(None)
    }

    /// Changes observables, unless it is only tried.
    pub(super) fn patch(&self, ids: &[&str], body: &Map<String, Value>) -> Result<(), HttpError> {
        match self.common.dry_run {
            true => Ok(()),
            false => self
                .desk
                .write(self.common.part, |hive| hive.change_observables(ids, body)),
        }
    }

    /// Adds observables by one call, or, if TheHive dislikes something among them, by smaller ones.
    fn add_observables(
        &mut self,
        round: &mut WriteBatch<'_>,
        parcel: IndexedBatch,
    ) -> Result<Option<Doubt>> {
        let values = parcel.places.len();
        if let Some(doubt) = self.put_into_case(values, &|hive, case| {
            hive.add_observables(Holder::Case(case), &parcel.group, None)
        })? {
            return Ok(Some(doubt));
        }

        let is_new_ioc = parcel.group.ioc && self.was_whole;
        match self
            .desk
            .write(self.common.part, |hive| {
                hive.add_observables(Holder::Alert(round.id), &parcel.group, None)
            })
            .map_err(WriteError::from_http_error)
        {
            Ok(added) => Ok(self.record_added(round, &parcel, added)),
            Err(WriteError::Content(failure)) => self.handle_refused_batch(round, parcel, &failure),
            Err(WriteError::Duplicate(_)) => Ok(None),
            Err(WriteError::Denied(failure) | WriteError::Gone(failure)) => Err(failure.into()),

            Err(WriteError::Unclear(failure)) => {
                self.has_new_ioc |= is_new_ioc;
                round
                    .sent
                    .extend(parcel.places.iter().map(|place| (*place, Verdict::Created)));
                Ok(Some(self.note_unclear_write(&failure, values)))
            }
        }
    }

    /// What became of each value of a call.
    fn record_added(
        &mut self,
        round: &mut WriteBatch<'_>,
        parcel: &IndexedBatch,
        added: AddResult,
    ) -> Option<Doubt> {
        let types = &self.desk.types;
        let is_new_ioc = parcel.group.ioc && self.was_whole;
        let key = |data: &String| types.identity_key(&parcel.group.data_type, data).1;
        let there: HashSet<String> = added.there.iter().map(key).collect();
        let refused: HashMap<String, Refusal> = added
            .refused
            .into_iter()
            .map(|(data, why)| (key(&data), why))
            .collect();

        let mut doubt = None;

        for (place, data) in parcel.places.iter().zip(&parcel.group.data) {
            let data = key(data);
            match refused.get(&data) {
                _ if there.contains(&data) => {
                    self.is_changed = true;
                    self.has_new_ioc |= is_new_ioc;
                    self.note_added(1);
                    set(round.verdicts, *place, Verdict::Created);
                }
                // Somebody else was faster: the next look tells.
                Some(refusal) if refusal.is_duplicate() => {}
                Some(refusal) if refusal.is_final() => {
                    set(
                        round.verdicts,
                        *place,
                        Verdict::Failed(format!("refused by TheHive: {}", refusal.message)),
                    );
                }
                Some(refusal) => {
                    doubt = Some(Doubt::without_wait(format!(
                        "refused by TheHive: {}",
                        refusal.message
                    )))
                }
                // It was not answered for: so does it here.
                None => drop(round.sent.insert(*place, Verdict::Created)),
            }
        }

        doubt
    }

    /// True for an IOC that came in after the alert itself was last changed: by a write that was
    /// not answered, or by a run that did not come to its end.
    fn is_unreported_ioc(&self, known: &Observable) -> bool {
        // An alert that was never changed counts from its creation. TheHive stores the observables
        // of a creation after the alert, so they are a little younger.
        let creation =
            i64::try_from(patience::max_write_time(observable_diff::MOST_INLINE).as_millis())
                .unwrap_or(i64::MAX);
        let made = |alert: &Alert| alert.created_at.map(|made| made.saturating_add(creation));
        let last_change = self
            .alert
            .as_ref()
            .and_then(|alert| alert.updated_at.or_else(|| made(alert)));
        let is_later = known
            .created_at
            .zip(last_change)
            .is_some_and(|(created, changed)| created > changed);

        self.was_whole && known.ioc && is_later && observable_diff::is_ours(known, &self.desk.users)
    }

    fn handle_refused_batch(
        &mut self,
        round: &mut WriteBatch<'_>,
        parcel: IndexedBatch,
        failure: &HttpError,
    ) -> Result<Option<Doubt>> {
        let places = parcel.places.clone();
        let is_unknown_type = failure.status() == Some(404);
        if is_unknown_type
            && self
                .desk
                .note_lacking_type(&parcel.group.data_type, self.common.part)
        {
            return Ok(None);
        }
        // An unknown observable type is wrong for each of them alike.
        let halves = if is_unknown_type {
            None
        } else {
            parcel.halves()
        };

        let Some(halves) = halves else {
            places.iter().for_each(|place| {
                set(round.verdicts, *place, Verdict::Failed(failure.to_string()))
            });
            return Ok(None);
        };

        for half in halves {
            if let Some(doubt) = self.add_observables(round, half)? {
                return Ok(Some(doubt));
            }
        }

        Ok(None)
    }

    /// What is new in an alert that is in a case goes there first: a run that dies in between finds
    /// it missing in the alert, and adds it to both again.
    pub(super) fn put_into_case(
        &mut self,
        values: usize,
        add: &dyn Fn(&TheHive, &str) -> Result<AddResult, HttpError>,
    ) -> Result<Option<Doubt>> {
        let Some(case) = self
            .alert
            .as_ref()
            .map(|alert| alert.case.clone())
            .filter(|case| !case.is_empty())
        else {
            return Ok(None);
        };

        if !self.common.settings.update_cases || self.is_new {
            return Ok(None);
        }

        let warn = |reason: String| {
            self.common.part.warn(format!(
                "event {}: not added to its case: {reason}",
                self.from.uuid
            ));
        };

        match self
            .desk
            .write(self.common.part, |hive| add(hive, &case))
            .map_err(WriteError::from_http_error)
        {
            Ok(added) => {
                let refused = added
                    .refused
                    .into_iter()
                    .filter(|(_, refusal)| !refusal.is_duplicate());
                refused.for_each(|(data, refusal)| warn(format!("{data}: {}", refusal.message)));
                Ok(None)
            }

            Err(WriteError::Unclear(failure)) => {
                Ok(Some(self.note_unclear_write(&failure, values)))
            }
            Err(WriteError::Duplicate(_)) => Ok(None),

            Err(
                WriteError::Content(failure)
                | WriteError::Gone(failure)
                | WriteError::Denied(failure),
            ) => {
                warn(failure.to_string());
                Ok(None)
            }
        }
    }
}
