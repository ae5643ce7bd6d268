//! Observables put into an alert that is there: looked for, then added or changed.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::{Hand, Sent, set};
use crate::http::Failure;
use crate::import::map::Wanted;
use crate::import::plan::{self, Parcel, Step};
use crate::ledger::Verdict;
use crate::thehive::wire::Observable;
use crate::thehive::{Added, TheHive, Trouble, is_duplicate};

/// What one look's worth of work has at hand.
pub(super) struct Round<'r> {
    pub(super) id: &'r str,
    pub(super) wanted: &'r [Wanted],
    pub(super) known: &'r HashMap<(String, String), Observable>,
    pub(super) is_part: bool,
    pub(super) verdicts: &'r mut [Option<Verdict>],
    pub(super) sent: &'r mut Sent,
}

impl Hand<'_> {
    /// One look's worth of work. Gives the reason if something may or may not have arrived.
    pub(super) fn round(&mut self, round: &mut Round<'_>, open: &[usize]) -> Result<Option<String>> {
        let mut add = Vec::new();
        let mut unclear = None;
        for place in open {
            let Some(one) = round.wanted.get(*place) else { continue };
            let known = round.known.get(&self.desk.types.key(&one.data_type, &one.data));
            self.has_new_ioc |= known.is_some_and(|known| self.is_left_over(known));
            let step = plan::step(one, known, &self.desk.users, self.desk.scale, round.is_part);
            match (step, known) {
                (Step::Add, _) | (Step::Change(_), None) => add.push(*place),
                (Step::Keep, _) => {
                    let verdict = round.sent.get(place).cloned().unwrap_or(Verdict::Unchanged);
                    self.is_changed |= verdict != Verdict::Unchanged;
                    self.has_grown(usize::from(verdict == Verdict::Created));
                    set(round.verdicts, *place, verdict);
                }
                (Step::Change(body), Some(known)) => {
                    self.common.has_time()?;
                    let is_ioc = one.ioc && !known.ioc;
                    if let Some(reason) = self.change(round, *place, &known.id, &body.into(), is_ioc)? {
                        unclear = Some(reason);
                    }
                }
            }
        }
        self.leave_out(&mut add, round.verdicts);
        if self.common.dry_run {
            self.has_grown(add.len());
            add.iter().for_each(|place| set(round.verdicts, *place, Verdict::Created));
            self.is_changed |= !add.is_empty();
            return Ok(None);
        }
        let limit = self.desk.hive.body_limit()?;
        for parcel in plan::parcels(round.wanted, &add, self.desk.scale, limit) {
            self.common.has_time()?;
            if let Some(reason) = self.parcel(round, parcel)? {
                unclear = Some(reason);
            }
        }
        Ok(unclear)
    }

    pub(super) fn change(
        &mut self,
        round: &mut Round<'_>,
        place: usize,
        id: &str,
        body: &serde_json::Value,
        is_ioc: bool,
    ) -> Result<Option<String>> {
        let changed = match self.common.dry_run {
            true => Ok(()),
            false => self.desk.write(self.common.part, |hive| hive.change_observable(id, body)),
        };
        match changed.map_err(Trouble::of) {
            Ok(()) => {
                self.is_changed = true;
                self.has_new_ioc |= is_ioc && self.was_whole;
                set(round.verdicts, place, Verdict::Updated);
            }
            Err(Trouble::Content(failure) | Trouble::Duplicate(failure)) => {
                set(round.verdicts, place, Verdict::Failed(failure.to_string()));
            }
            // It went in the meantime: the next look adds it.
            Err(Trouble::Gone(_)) => {}
            Err(Trouble::Denied(failure)) => return Err(failure.into()),
            Err(Trouble::Unclear(failure)) => {
                round.sent.insert(place, Verdict::Updated);
                self.has_new_ioc |= is_ioc && self.was_whole;
                self.is_unsure = true;
                return Ok(Some(failure.to_string()));
            }
        }
        Ok(None)
    }

    /// Adds observables by one call, or, if TheHive dislikes something among them, by smaller ones.
    fn parcel(&mut self, round: &mut Round<'_>, parcel: Parcel) -> Result<Option<String>> {
        if let Some(reason) = self.put_into_case(&|hive, case| hive.add_to_case(case, &parcel.group))? {
            return Ok(Some(reason));
        }
        let is_new_ioc = parcel.group.ioc && self.was_whole;
        match self.desk.write(self.common.part, |hive| hive.add(round.id, &parcel.group)).map_err(Trouble::of) {
            Ok(added) => {
                let types = &self.desk.types;
                let key = |data: &String| types.key(&parcel.group.data_type, data).1;
                let there: HashSet<String> = added.there.iter().map(key).collect();
                let refused: HashMap<String, String> =
                    added.refused.into_iter().map(|(data, message)| (key(&data), message)).collect();
                for (place, data) in parcel.places.iter().zip(&parcel.group.data) {
                    let data = key(data);
                    match refused.get(&data) {
                        _ if there.contains(&data) => {
                            self.is_changed = true;
                            self.has_new_ioc |= is_new_ioc;
                            self.has_grown(1);
                            set(round.verdicts, *place, Verdict::Created);
                        }
                        Some(message) if !is_duplicate(message) => {
                            set(round.verdicts, *place, Verdict::Failed(format!("refused by TheHive: {message}")));
                        }
                        // Somebody else was faster: the next look tells.
                        Some(_) => {}
                        // It was not answered for: so does it here.
                        None => drop(round.sent.insert(*place, Verdict::Created)),
                    }
                }
                Ok(None)
            }
            Err(Trouble::Content(failure)) => self.refused(round, parcel, &failure),
            Err(Trouble::Duplicate(_)) => Ok(None),
            Err(Trouble::Denied(failure) | Trouble::Gone(failure)) => Err(failure.into()),
            Err(Trouble::Unclear(failure)) => {
                self.is_unsure = true;
                round.sent.extend(parcel.places.iter().map(|place| (*place, Verdict::Created)));
                Ok(Some(failure.to_string()))
            }
        }
    }

    /// True for an IOC that came in after the alert was last told of: by a write that was not answered, or by a run that
    /// did not come to its end.
    fn is_left_over(&self, known: &Observable) -> bool {
        let told = self.alert.as_ref().and_then(|alert| alert.updated_at);
        let is_later = known.created_at.zip(told).is_some_and(|(created, told)| created > told);
        self.was_whole && known.ioc && is_later && plan::is_ours(known, &self.desk.users)
    }

    fn refused(&mut self, round: &mut Round<'_>, parcel: Parcel, failure: &Failure) -> Result<Option<String>> {
        let places = parcel.places.clone();
        // An unknown observable type is wrong for each of them alike.
        let halves = if failure.status() == Some(404) { None } else { parcel.halves() };
        let Some(halves) = halves else {
            places.iter().for_each(|place| set(round.verdicts, *place, Verdict::Failed(failure.to_string())));
            return Ok(None);
        };
        let mut unclear = None;
        for half in halves {
            unclear = self.parcel(round, half)?.or(unclear);
        }
        Ok(unclear)
    }

    /// What is new in an alert that is in a case goes there first: a run that dies in between finds it missing in the
    /// alert, and adds it to both again.
    pub(super) fn put_into_case(
        &mut self,
        add: &dyn Fn(&TheHive, &str) -> Result<Added, Failure>,
    ) -> Result<Option<String>> {
        let Some(case) = self.alert.as_ref().map(|alert| alert.case.clone()).filter(|case| !case.is_empty()) else {
            return Ok(None);
        };
        if !self.common.settings.update_cases || self.is_new {
            return Ok(None);
        }
        let warn = |reason: String| {
            self.common.part.warn(format!("event {}: not added to its case: {reason}", self.from.uuid));
        };
        match self.desk.write(self.common.part, |hive| add(hive, &case)).map_err(Trouble::of) {
            Ok(added) => {
                let refused = added.refused.into_iter().filter(|(_, message)| !is_duplicate(message));
                refused.for_each(|(data, message)| warn(format!("{data}: {message}")));
                Ok(None)
            }
            Err(Trouble::Unclear(failure)) => {
                self.is_unsure = true;
                Ok(Some(failure.to_string()))
            }
            Err(Trouble::Duplicate(_)) => Ok(None),
            Err(Trouble::Content(failure) | Trouble::Gone(failure) | Trouble::Denied(failure)) => {
                warn(failure.to_string());
                Ok(None)
            }
        }
    }
}
