//! What a plan comes to: what became of each item, told by a second look, and what would become of
//! it.

use super::{AttributeAction, AttributeResult, DiffContext, Plan};
use crate::export::NOT_SENT;
use crate::export::diff::{self, EventIndex};
use crate::export::draft::EventDraft;
use crate::export::retraction::{RetractAction, Retraction};
use crate::misp::EventContent;
use crate::misp::changes::AttributePatch;
use crate::misp::draft::AttributeDraft;
use crate::misp::write_log::WriteLog;
use crate::report::ledger::Verdict;
use uuid::Uuid;

impl Plan {
    /// What became of each wanted attribute, in its order: read from what the event holds
    /// afterwards, not from what the MISP answered. `after` is none if the event is not there, or
    /// could not be looked at, which `sending` tells.
    pub fn final_results(
        &self,
        wanted: &EventDraft,
        sending: &WriteLog,
        after: Option<(&EventContent, &DiffContext<'_>)>,
    ) -> Vec<AttributeResult> {
        let index = after.map(|(held, rules)| (EventIndex::new(held, rules.ids), rules));
        let unchanged = |attribute: &AttributeDraft, change: &AttributePatch| {
            not_changed_verdict(sending, &change.instead.unwrap_or(attribute.uuid))
        };

        let outcome = |attribute: &AttributeDraft, step: &AttributeAction| match (step, &index) {
            (AttributeAction::Leave(remark), _) => (Verdict::Unchanged, remark.clone()),
            (AttributeAction::Skip(rule), _) => (Verdict::Skipped(rule.clone()), None),
            (AttributeAction::Add, Some((index, rules))) => {
                addition_result(attribute, sending, index, rules)
            }
            (AttributeAction::Change(change), Some((index, rules))) => {
                match index.decide_action(attribute, rules) {
                    AttributeAction::Leave(remark) => (Verdict::Updated, remark),
                    AttributeAction::Skip(rule) => (Verdict::Skipped(rule), None),
                    AttributeAction::Add | AttributeAction::Change(_) => {
                        (unchanged(attribute, change), None)
                    }
                }
            }
            (AttributeAction::Add, None) => (missing_verdict(sending, &attribute.uuid), None),
            (AttributeAction::Change(change), None) => (unchanged(attribute, change), None),
        };

        wanted
            .attributes
            .iter()
            .zip(&self.steps)
            .map(|(attribute, step)| outcome(attribute, step))
            .collect()
    }

    /// What is known of each wanted attribute while the plan is on its way: `next` is the plan that
    /// the last look made, so that what it leaves is there. Of the rest nobody knows more than
    /// `sending` says.
    pub fn interim_results(
        &self,
        wanted: &EventDraft,
        sending: &WriteLog,
        next: &Self,
    ) -> Vec<AttributeResult> {
        let attributes = wanted
            .attributes
            .iter()
            .zip(self.steps.iter().zip(&next.steps));

        let outcome =
            |(attribute, (step, next)): (&AttributeDraft, (&AttributeAction, &AttributeAction))| {
                match (step, next) {
                    (AttributeAction::Leave(remark), _) => (Verdict::Unchanged, remark.clone()),
                    (_, AttributeAction::Skip(rule)) | (AttributeAction::Skip(rule), _) => {
                        (Verdict::Skipped(rule.clone()), None)
                    }
                    (AttributeAction::Add, AttributeAction::Leave(remark))
                        if sending.may_have_added(&attribute.uuid) =>
                    {
                        (Verdict::Created, remark.clone())
                    }
                    (AttributeAction::Add, AttributeAction::Leave(remark)) => {
                        (Verdict::Unchanged, remark.clone())
                    }
                    (AttributeAction::Change(_), AttributeAction::Leave(remark)) => {
                        (Verdict::Updated, remark.clone())
                    }
                    (AttributeAction::Add, _) => (missing_verdict(sending, &attribute.uuid), None),
                    (AttributeAction::Change(change), _) => (
                        not_changed_verdict(sending, &change.instead.unwrap_or(attribute.uuid)),
                        None,
                    ),
                }
            };

        attributes.map(outcome).collect()
    }

    /// What became of each retraction, in its order.
    pub fn retraction_verdicts(&self, sending: &WriteLog, after: Option<&Self>) -> Vec<Verdict> {
        let of = |one: &Retraction| match (&one.act, after) {
            (RetractAction::Done, _) => Verdict::Unchanged,
            (RetractAction::Skip(rule), _) => Verdict::Skipped(rule.clone()),
            (RetractAction::Change(_) | RetractAction::Remove, Some(after)) => {
                let is_open = |again: &&Retraction| again.uuid == one.uuid && again.needs_write();
                let open = after.retractions.iter().find(is_open);
                open.map_or(Verdict::Updated, |_| {
                    not_changed_verdict(sending, &one.uuid)
                })
            }
            (RetractAction::Change(_) | RetractAction::Remove, None) => {
                not_changed_verdict(sending, &one.uuid)
            }
        };

        self.retractions.iter().map(of).collect()
    }

    /// What would become of each retraction.
    pub fn forecast_retractions(&self) -> Vec<Verdict> {
        let of = |one: &Retraction| match &one.act {
            RetractAction::Done => Verdict::Unchanged,
            RetractAction::Skip(rule) => Verdict::Skipped(rule.clone()),
            RetractAction::Change(_) | RetractAction::Remove => Verdict::Updated,
        };

        self.retractions.iter().map(of).collect()
    }

    /// What would become of each wanted attribute if the plan were carried out.
    pub fn forecast_results(&self) -> Vec<AttributeResult> {
        let forecast = |step: &AttributeAction| match step {
            AttributeAction::Add => (Verdict::Created, None),
            AttributeAction::Change(change) => (Verdict::Updated, change.remark.clone()),
            AttributeAction::Leave(remark) => (Verdict::Unchanged, remark.clone()),
            AttributeAction::Skip(rule) => (Verdict::Skipped(rule.clone()), None),
        };

        self.steps.iter().map(forecast).collect()
    }
}

/// What became of an attribute that was to be added. What is there without our doing came from
/// another run or from somebody else meanwhile, and was not created by this one.
fn addition_result(
    wanted: &AttributeDraft,
    sending: &WriteLog,
    index: &EventIndex<'_>,
    rules: &DiffContext<'_>,
) -> AttributeResult {
    let is_made = index.has_by_uuid(wanted) && sending.may_have_added(&wanted.uuid);
    match index.decide_action(wanted, rules) {
        AttributeAction::Leave(_) if is_made => (
            Verdict::Created,
            index.describe_stored_difference(wanted, rules),
        ),
        AttributeAction::Leave(remark) => (Verdict::Unchanged, remark),
        AttributeAction::Change(change) if is_made => {
            (Verdict::Created, Some(diff::describe_unfinished(&change)))
        }
        AttributeAction::Change(_) => (not_changed_verdict(sending, &wanted.uuid), None),
        AttributeAction::Skip(rule) => (Verdict::Skipped(rule), None),
        AttributeAction::Add => (missing_verdict(sending, &wanted.uuid), None),
    }
}

/// What is to be thought of an attribute that is not there.
fn missing_verdict(sending: &WriteLog, uuid: &Uuid) -> Verdict {
    failed_verdict(
        sending,
        uuid,
        "lost: MISP took it without an error and does not hold it",
    )
}

/// What is to be thought of an attribute that is not as it should have become.
fn not_changed_verdict(sending: &WriteLog, uuid: &Uuid) -> Verdict {
    failed_verdict(
        sending,
        uuid,
        "lost: MISP took the change without an error and does not show it",
    )
}

fn failed_verdict(sending: &WriteLog, uuid: &Uuid, lost: &str) -> Verdict {
    let sent = match sending.sent.get(uuid) {
        None => NOT_SENT,
        Some(true) if !sending.is_unseen => lost,
        Some(_) => "not verified",
    };

    let reason = sending
        .reasons
        .get(uuid)
        .map_or(sent, String::as_str)
        .to_owned();

    if sending.is_held_elsewhere(uuid) {
        let remedy = "another event holds every uuid that it can have; \"instance_secret\" makes \
            uuids that nobody else can claim";
        return Verdict::Failed(format!("{reason}: {remedy}"));
    }

    Verdict::Failed(reason)
}
