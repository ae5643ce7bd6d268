//! An alert that is not there yet.

use anyhow::{Result, anyhow};

use super::{ATTEMPTS, Hand, PAUSE, Sent, set, was_whole};
use crate::http::Failure;
use crate::import::compare;
use crate::import::desk::Desk;
use crate::import::map::{AlertWanted, Wanted};
use crate::import::plan;
use crate::ledger::Verdict;
use crate::thehive::{Group, NewAlert, Procedure, Trouble};

impl Hand<'_> {
    /// Creates the alert with what fits into one call.
    pub(super) fn create(
        &mut self,
        alert: &AlertWanted,
        wanted: &[Wanted],
        verdicts: &mut [Option<Verdict>],
        sent: &mut Sent,
    ) -> Result<()> {
        let mut places: Vec<usize> = (0..wanted.len()).collect();
        self.leave_out(&mut places, verdicts);
        let limit = self.desk.hive.body_limit()?;
        let room = limit.saturating_sub(2 * alert.description.len() + 4_000);
        let (inline, _) = plan::first(plan::parcels(wanted, &places, self.desk.scale, limit / 2), room);
        let mut new = self.new_alert(alert, inline.iter().map(|parcel| parcel.group.clone()).collect());
        let mut carried: Vec<usize> = inline.into_iter().flat_map(|parcel| parcel.places).collect();
        let mut left_out = LeftOut::default();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let failure = match self.desk.write(self.common.part, |hive| hive.create(&new)) {
                Ok(made) => {
                    let is_whole = made.observable_count == i64::try_from(carried.len()).ok();
                    for place in carried {
                        match is_whole {
                            true => {
                                self.has_grown(1);
                                set(verdicts, place, Verdict::Created);
                            }
                            false => drop(sent.insert(place, Verdict::Created)),
                        }
                    }
                    self.is_fresh = is_whole;
                    self.alert = Some(made);
                    self.rest_of(left_out);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            match Trouble::of(failure) {
                Trouble::Content(failure) if left_out.leave(&mut new, &failure) => carried.clear(),
                Trouble::Content(failure) | Trouble::Denied(failure) | Trouble::Gone(failure) => {
                    return Err(failure.into());
                }
                // Another run made it in the meantime.
                Trouble::Duplicate(failure) if last.is_none() => {
                    let found = self.look()?.ok_or_else(|| anyhow!(failure))?;
                    self.room = self.common.room(Some(&found));
                    (self.is_new, self.was_whole) = (false, was_whole(&found, self.from.uuid, &self.desk.users));
                    self.alert = Some(found);
                    return Ok(());
                }
                // After an attempt that was not answered a duplicate is most likely its late effect.
                Trouble::Duplicate(failure) | Trouble::Unclear(failure) => {
                    self.is_unsure = true;
                    self.common.clock.pause(PAUSE);
                    if let Some(found) = self.look()? {
                        self.desk.arrived();
                        self.alert = Some(found);
                        sent.extend(carried.into_iter().map(|place| (place, Verdict::Created)));
                        self.rest_of(left_out);
                        return Ok(());
                    }
                    last = Some(failure);
                }
            }
        }
        Err(last.map_or_else(|| anyhow!("TheHive did not create the alert"), Into::into))
    }

    fn new_alert(&self, alert: &AlertWanted, observables: Vec<Group>) -> NewAlert {
        let Desk { scale, is_five, .. } = *self.desk;
        let state = compare::state(alert, self.from.event, self.from.uuid, false, scale, is_five);
        let procedures = alert.procedures.iter().filter(|_| is_five);
        NewAlert {
            source: alert.source.clone(),
            source_ref: alert.source_ref.clone(),
            title: alert.title.clone(),
            description: state.put(&alert.description),
            external_link: alert.link.clone(),
            severity: alert.severity,
            date: alert.date,
            tlp: compare::tlp_number(alert.tlp, scale),
            pap: alert.pap.number(),
            tags: alert.tags.clone(),
            case_template: self.common.case_template.map(ToOwned::to_owned),
            procedures: procedures.map(|pattern| Procedure { pattern: pattern.clone(), date: alert.date }).collect(),
            observables,
        }
    }

    /// What a creation was refused for follows singly, so that one bad value does not cost the alert.
    fn rest_of(&mut self, left_out: LeftOut) {
        let Some(alert) = &self.alert else { return };
        let LeftOut { procedures, template, is_bare: _ } = left_out;
        let uuid = self.from.uuid;
        if let Some((template, failure)) = template {
            self.common.part.warn(format!(
                "event {uuid}: its alert was created without the case template \"{template}\": {failure}"
            ));
        }
        for procedure in procedures {
            if let Err(failure) = self.desk.write(self.common.part, |hive| hive.add_procedure(&alert.id, &procedure)) {
                self.common.part.warn(format!("event {uuid}: technique {} is not set: {failure}", procedure.pattern));
            }
        }
    }
}

/// What a creation is sent without after it was refused.
#[derive(Default)]
struct LeftOut {
    /// No observables and procedures are sent any more.
    is_bare: bool,
    procedures: Vec<Procedure>,
    /// With the refusal. It goes last: it can be set on a new alert only.
    template: Option<(String, Failure)>,
}

impl LeftOut {
    /// Takes something out of a creation that was refused; false if nothing is left that could be.
    fn leave(&mut self, new: &mut NewAlert, failure: &Failure) -> bool {
        if !self.is_bare {
            self.is_bare = true;
            self.procedures = std::mem::take(&mut new.procedures);
            new.observables.clear();
            return true;
        }
        self.template = new.case_template.take().map(|template| (template, failure.clone()));
        self.template.is_some()
    }
}
