//! What a plan comes to: what became of each item, told by a second look, and what would become of it.

use super::{Outcome, Plan, Rules, Step};
use crate::export::NOT_SENT;
use crate::export::compare::{self, Index};
use crate::export::retract::{Act, Retraction};
use crate::export::wanted::Wanted;
use crate::misp::Held;
use crate::misp::changes::Change;
use crate::misp::draft::WantedAttribute;
use crate::misp::write_log::Sending;
use crate::report::ledger::Verdict;
use uuid::Uuid;

impl Plan {
    /// What became of each wanted attribute, in its order: read from what the event holds afterwards, not from what the
    /// MISP answered. `after` is none if the event is not there, or could not be looked at, which `sending` tells.
    #[must_use]
    pub fn outcome(&self, wanted: &Wanted, sending: &Sending, after: Option<(&Held, &Rules<'_>)>) -> Vec<Outcome> {
        let index = after.map(|(held, rules)| (Index::new(held, rules.ids), rules));
        let unchanged = |attribute: &WantedAttribute, change: &Change| {
            not_changed(sending, &change.instead.unwrap_or(attribute.uuid))
        };
        let outcome = |attribute: &WantedAttribute, step: &Step| match (step, &index) {
            (Step::Leave(remark), _) => (Verdict::Unchanged, remark.clone()),
            (Step::Skip(rule), _) => (Verdict::Skipped(rule.clone()), None),
            (Step::Add, Some((index, rules))) => added(attribute, sending, index, rules),
            (Step::Change(change), Some((index, rules))) => match index.step(attribute, rules) {
                Step::Leave(remark) => (Verdict::Updated, remark),
                Step::Skip(rule) => (Verdict::Skipped(rule), None),
                Step::Add | Step::Change(_) => (unchanged(attribute, change), None),
            },
            (Step::Add, None) => (missing(sending, &attribute.uuid), None),
            (Step::Change(change), None) => (unchanged(attribute, change), None),
        };
        wanted.attributes.iter().zip(&self.steps).map(|(attribute, step)| outcome(attribute, step)).collect()
    }

    /// What is known of each wanted attribute while the plan is on its way: `next` is the plan that the last look made, so that
    /// what it leaves is there. Of the rest nobody knows more than `sending` says.
    #[must_use]
    pub fn so_far(&self, wanted: &Wanted, sending: &Sending, next: &Self) -> Vec<Outcome> {
        let attributes = wanted.attributes.iter().zip(self.steps.iter().zip(&next.steps));
        let outcome = |(attribute, (step, next)): (&WantedAttribute, (&Step, &Step))| match (step, next) {
            (Step::Leave(remark), _) => (Verdict::Unchanged, remark.clone()),
            (_, Step::Skip(rule)) | (Step::Skip(rule), _) => (Verdict::Skipped(rule.clone()), None),
            (Step::Add, Step::Leave(remark)) if sending.made(&attribute.uuid) => (Verdict::Created, remark.clone()),
            (Step::Add, Step::Leave(remark)) => (Verdict::Unchanged, remark.clone()),
            (Step::Change(_), Step::Leave(remark)) => (Verdict::Updated, remark.clone()),
            (Step::Add, _) => (missing(sending, &attribute.uuid), None),
            (Step::Change(change), _) => (not_changed(sending, &change.instead.unwrap_or(attribute.uuid)), None),
        };
        attributes.map(outcome).collect()
    }

    /// What became of each retraction, in its order.
    #[must_use]
    pub fn retracted(&self, sending: &Sending, after: Option<&Self>) -> Vec<Verdict> {
        let of = |one: &Retraction| match (&one.act, after) {
            (Act::Done, _) => Verdict::Unchanged,
            (Act::Skip(rule), _) => Verdict::Skipped(rule.clone()),
            (Act::Change(_) | Act::Remove, Some(after)) => {
                let is_open = |again: &&Retraction| again.uuid == one.uuid && again.is_reason();
                let open = after.retractions.iter().find(is_open);
                open.map_or(Verdict::Updated, |_| not_changed(sending, &one.uuid))
            }
            (Act::Change(_) | Act::Remove, None) => not_changed(sending, &one.uuid),
        };
        self.retractions.iter().map(of).collect()
    }

    /// What would become of each retraction.
    #[must_use]
    pub fn retraction_forecast(&self) -> Vec<Verdict> {
        let of = |one: &Retraction| match &one.act {
            Act::Done => Verdict::Unchanged,
            Act::Skip(rule) => Verdict::Skipped(rule.clone()),
            Act::Change(_) | Act::Remove => Verdict::Updated,
        };
        self.retractions.iter().map(of).collect()
    }

    /// What would become of each wanted attribute if the plan were carried out.
    #[must_use]
    pub fn forecast(&self) -> Vec<Outcome> {
        let forecast = |step: &Step| match step {
            Step::Add => (Verdict::Created, None),
            Step::Change(change) => (Verdict::Updated, change.remark.clone()),
            Step::Leave(remark) => (Verdict::Unchanged, remark.clone()),
            Step::Skip(rule) => (Verdict::Skipped(rule.clone()), None),
        };
        self.steps.iter().map(forecast).collect()
    }
}

/// What became of an attribute that was to be added. What is there without our doing came from another run or from
/// somebody else meanwhile, and was not created by this one.
fn added(wanted: &WantedAttribute, sending: &Sending, index: &Index<'_>, rules: &Rules<'_>) -> Outcome {
    let is_made = index.holds(wanted) && sending.made(&wanted.uuid);
    match index.step(wanted, rules) {
        Step::Leave(_) if is_made => (Verdict::Created, index.stored_otherwise(wanted, rules)),
        Step::Leave(remark) => (Verdict::Unchanged, remark),
        Step::Change(change) if is_made => (Verdict::Created, Some(compare::unfinished(&change))),
        Step::Change(_) => (not_changed(sending, &wanted.uuid), None),
        Step::Skip(rule) => (Verdict::Skipped(rule), None),
        Step::Add => (missing(sending, &wanted.uuid), None),
    }
}

/// What is to be thought of an attribute that is not there.
fn missing(sending: &Sending, uuid: &Uuid) -> Verdict {
    not_arrived(sending, uuid, "lost: MISP took it without an error and does not hold it")
}

/// What is to be thought of an attribute that is not as it should have become.
fn not_changed(sending: &Sending, uuid: &Uuid) -> Verdict {
    not_arrived(sending, uuid, "lost: MISP took the change without an error and does not show it")
}

fn not_arrived(sending: &Sending, uuid: &Uuid, lost: &str) -> Verdict {
    let sent = match sending.sent.get(uuid) {
        None => NOT_SENT,
        Some(true) if !sending.is_unseen => lost,
        Some(_) => "not verified",
    };
    let reason = sending.reasons.get(uuid).map_or(sent, String::as_str).to_owned();
    if sending.is_held_elsewhere(uuid) {
        let remedy = "another event holds every uuid that it can have; \"instance_secret\" makes uuids that nobody else can claim";
        return Verdict::Failed(format!("{reason}: {remedy}"));
    }
    Verdict::Failed(reason)
}
