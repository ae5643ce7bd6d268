//! What a plan comes to: what became of each item, told by a second look, and what would become of it.

use super::{Change, Outcome, Plan, Rules, Step};
use crate::export::compare::{self, Index};
use crate::export::retract::{Act, Retraction};
use crate::export::sending::Sending;
use crate::export::wanted::{Wanted, WantedAttribute};
use crate::ledger::Verdict;
use crate::misp::Held;

impl Plan {
    /// What became of each wanted attribute, in its order: read from what the event holds afterwards, not from what the
    /// MISP answered. `after` is none if the event is not there, or could not be looked at, which `sending` tells.
    #[must_use]
    pub fn outcome(&self, wanted: &Wanted, sending: &Sending, after: Option<(&Held, &Rules<'_>)>) -> Vec<Outcome> {
        let index = after.map(|(held, rules)| (Index::new(held, rules.ids), rules));
        let unchanged =
            |attribute: &WantedAttribute, change: &Change| sending.unchanged(&change.instead.unwrap_or(attribute.uuid));
        let outcome = |attribute: &WantedAttribute, step: &Step| match (step, &index) {
            (Step::Leave(remark), _) => (Verdict::Unchanged, remark.clone()),
            (Step::Skip(rule), _) => (Verdict::Skipped(rule.clone()), None),
            (Step::Add, Some((index, rules))) => added(attribute, sending, index, rules),
            (Step::Change(change), Some((index, rules))) => match index.step(attribute, rules) {
                Step::Leave(remark) => (Verdict::Updated, remark),
                Step::Skip(rule) => (Verdict::Skipped(rule), None),
                Step::Add | Step::Change(_) => (unchanged(attribute, change), None),
            },
            (Step::Add, None) => (sending.missing(&attribute.uuid), None),
            (Step::Change(change), None) => (unchanged(attribute, change), None),
        };
        wanted.attributes.iter().zip(&self.steps).map(|(attribute, step)| outcome(attribute, step)).collect()
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
                open.map_or(Verdict::Updated, |_| sending.unchanged(&one.uuid))
            }
            (Act::Change(_) | Act::Remove, None) => sending.unchanged(&one.uuid),
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
        Step::Change(_) => (sending.unchanged(&wanted.uuid), None),
        Step::Skip(rule) => (Verdict::Skipped(rule), None),
        Step::Add => (sending.missing(&wanted.uuid), None),
    }
}
