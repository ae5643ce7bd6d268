//! Retraction: attributes of ours whose observable is no IOC of the case any more. They are
//! retracted only if the case was read as a whole and is ours alone, and never many at once, for a
//! case half read looks like one half empty.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::diff::EventIndex;
use super::draft::EventDraft;
use super::options::RemovedIocPolicy;
use super::plan::{Action, DiffContext, Planned, Subject, Unwanted};
use super::reporting::NAMED;
use super::verdicts::SkipRule;
use crate::misp::EventContent;
use crate::misp::changes::AttributePatch;
use crate::misp::draft::AttributeDraft;
use crate::misp::wire::Attribute;
use crate::secret::truncate_text;
use crate::text::join_first;
use crate::types::equal;

/// What ends the comment of a retracted attribute. Only what ends so is brought back.
const MARK: &str = "[retracted by cortex-misp]";
/// What is sent where a message has the mark in it: a text from outside retracts nothing, and
/// brings nothing back.
const NO_MARK: &str = "(retracted by cortex-misp)";
/// What stands before the mark if the attribute was not for detection already, so that its return
/// restores that.
const QUIET: &str = "(to_ids was 0)";
/// The same of an attribute that was deleted, not unflagged, so that it is known who deleted it.
const QUIET_DELETED: &str = "(deleted, to_ids was 0)";
/// So many may be retracted at once, however small the event is.
const FEW: usize = 10;
/// The share of our attributes that may be retracted at once, in percent.
const SHARE: usize = 20;
/// The longest comment that is kept before the mark, in characters: MISP stores 65,535 bytes.
const LONGEST_COMMENT: usize = 10_000;

/// True for an attribute that an export retracted, as its comment says.
pub fn is_retracted(attribute: &Attribute) -> bool {
    attribute.comment.trim_end().ends_with(MARK)
}

/// A message from outside as a comment that no export takes for one of a retraction; and whether it
/// had the mark.
pub fn neutralise_mark(message: &str) -> (String, bool) {
    (message.replace(MARK, NO_MARK), message.contains(MARK))
}

/// A comment without the mark at its end, and whether the attribute was for detection before it was
/// retracted.
pub fn strip_mark(comment: &str) -> (String, bool) {
    let comment = comment.trim_end();
    let comment = comment.strip_suffix(MARK).unwrap_or(comment).trim_end();
    let before = [QUIET, QUIET_DELETED]
        .iter()
        .find_map(|quiet| comment.strip_suffix(quiet));
    (
        before.unwrap_or(comment).trim_end().to_owned(),
        before.is_none(),
    )
}

/// True if the comment tells that the attribute was not for detection when an export deleted it.
pub fn was_quiet_when_deleted(comment: &str) -> bool {
    comment
        .trim_end()
        .strip_suffix(MARK)
        .is_some_and(|comment| comment.trim_end().ends_with(QUIET_DELETED))
}

fn marked_comment(attribute: &Attribute, removed: RemovedIocPolicy) -> String {
    let comment = truncate_text(attribute.comment.trim_end(), LONGEST_COMMENT);
    let quiet = match (attribute.to_ids, removed) {
        (Some(false), RemovedIocPolicy::Delete) => QUIET_DELETED,
        (Some(false), RemovedIocPolicy::Unflag | RemovedIocPolicy::Keep) => QUIET,
        (Some(true) | None, _) => "",
    };

    [comment.as_str(), quiet, MARK]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// All retractions of an event, and what a person has to act on.
pub fn plan_all(
    wanted: &EventDraft,
    index: &EventIndex<'_>,
    rules: &DiffContext<'_>,
) -> (Vec<Planned>, Vec<String>) {
    let held = index.held;
    let mut retractions: Vec<_> = wanted
        .withheld
        .iter()
        .filter_map(|draft| withdraw_withheld(draft, index, rules))
        .collect();

    if rules.is_public && wanted.tlp.forbids_sharing() {
        // No guard holds here: what stays can be read by everyone.
        let all = find_unwanted(wanted, held, &|uuid| {
            rules.ids.is_case_part(&held.uuid(), uuid)
        });
        let remove = |(uuid, attribute)| retract(held, uuid, attribute, Action::Remove);
        retractions.extend(all.into_iter().map(remove));

        let mut alarms = describe_exposure(&retractions);
        alarms.push(format!(
            "the case is {} now, and the title of its event can be read by everyone who pulls \
             this feed: remove the event's file if it must not be",
            wanted.tlp.word()
        ));
        return (retractions, alarms);
    }

    let mut alarms = describe_exposure(&retractions);
    if rules.is_case {
        let (dropped, alarm) = retract_dropped(wanted, held, rules);
        retractions.extend(dropped);
        alarms.extend(alarm);
    }

    (retractions, alarms)
}

/// What is done with an attribute that is there and that is wanted no more.
fn retract(held: &EventContent, uuid: Uuid, attribute: &Attribute, action: Action) -> Planned {
    let unwanted = Unwanted {
        attribute: format!("{}/{}", attribute.category, attribute.kind),
        value: attribute.value.clone(),
        is_closing: false,
    };
    let object = held.object_of(attribute);

    Planned::new(uuid, object, Subject::Unwanted(unwanted), action)
}

/// What a feed showed to everyone though its TLP forbids that.
fn describe_exposure(retractions: &[Planned]) -> Vec<String> {
    let exposed = retractions
        .iter()
        .filter(|planned| planned.action == Action::Remove)
        .count();

    let alarm = (exposed > 0).then(|| {
        format!(
            "{exposed} attributes were exported before their TLP forbade it: they are taken out \
             of the feed now, but whoever pulled it before has them"
        )
    });

    alarm.into_iter().collect()
}

/// The retractions of what is no IOC of the case any more, and the alarm if they are too many at
/// once.
fn retract_dropped(
    wanted: &EventDraft,
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> (Vec<Planned>, Option<String>) {
    let dropped = find_unwanted(wanted, held, &|uuid| {
        rules.ids.is_this_side_part(&held.uuid(), uuid)
    });
    // Whatever people made of it since, it is not retracted a second time.
    let is_done = |attribute: &Attribute| attribute.comment.contains(MARK);
    let is_doubtful = |attribute: &Attribute| {
        let is_in_object = held.object_of(attribute).is_some();
        wanted.doubts.may_match(&attribute.value, is_in_object)
    };

    // An object counts once: its attributes are one observable.
    let open: HashSet<_> = dropped
        .iter()
        .filter(|(_, attribute)| !is_done(attribute) && !is_doubtful(attribute))
        .map(|(uuid, attribute)| held.object_of(attribute).unwrap_or(*uuid))
        .collect();

    let rule = reason_to_keep(open.len(), held, rules);

    // The other rules are told by the ledger; too many at once is for somebody to look at.
    let alarm = match &rule {
        Some(rule @ SkipRule::MoreThan(_)) => {
            let values = dropped
                .iter()
                .filter(|(_, attribute)| !is_done(attribute))
                .map(|(_, attribute)| truncate_text(&attribute.value, 100));
            let values: Vec<_> = values.collect();

            Some(format!(
                "{} attributes are no IOCs of the case any more, {rule}: nothing is retracted; \
                 check the case, then change these in MISP: {}",
                values.len(),
                join_first(&values, NAMED)
            ))
        }
        _ => None,
    };

    let plan = |(uuid, attribute): (Uuid, &Attribute)| {
        let action = match &rule {
            _ if is_done(attribute) => Action::Leave,
            Some(rule) => Action::Skip(rule.clone()),
            None if is_doubtful(attribute) => Action::Skip(SkipRule::MayBeUnmapped),
            None => Action::Change(AttributePatch {
                close: needs_restricting(attribute, wanted, rules),
                ..retraction_patch(attribute, rules.removed)
            }),
        };

        retract(held, uuid, attribute, action)
    };

    (dropped.iter().copied().map(plan).collect(), alarm)
}

/// True for an attribute that would be released if somebody raised the distribution of an event
/// whose case is RED or AMBER+STRICT.
fn needs_restricting(attribute: &Attribute, wanted: &EventDraft, rules: &DiffContext<'_>) -> bool {
    wanted.tlp.forbids_sharing() && !rules.is_public && attribute.distribution != Some(0)
}

/// What of ours is not edited otherwise and is closed with its case, whatever became of it:
/// retracted, or there under another uuid than it would have now.
pub fn restrict_unedited(
    wanted: &EventDraft,
    held: &EventContent,
    edited: &HashSet<Uuid>,
    rules: &DiffContext<'_>,
) -> Vec<Planned> {
    let event = held.uuid();
    let restrict = |(uuid, attribute): (Uuid, &Attribute)| {
        let is_open =
            attribute.deleted != Some(true) && needs_restricting(attribute, wanted, rules);
        let is_ours = rules.ids.is_case_part(&event, &uuid) && !edited.contains(&uuid);
        let patch = AttributePatch {
            close: true,
            is_reason: true,
            ..AttributePatch::default()
        };
        let object = held.object_of(attribute);

        (is_open && is_ours)
            .then(|| Planned::new(uuid, object, Subject::Retained, Action::Change(patch)))
    };

    held.attributes_by_uuid().filter_map(restrict).collect()
}

/// Objects of ours that are closed: with their case, or since what they are made of is.
pub fn objects_to_restrict(
    wanted: &EventDraft,
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> BTreeSet<Uuid> {
    if rules.is_public {
        return BTreeSet::new();
    }
    let open = wanted.attributes.iter().filter(|draft| !draft.is_closed);
    let open: HashSet<Uuid> = open.filter_map(AttributeDraft::object).collect();
    let of_iocs = wanted.objects.iter().copied();
    let of_withheld = wanted.withheld.iter().filter_map(AttributeDraft::object);
    let closed: HashSet<Uuid> = of_iocs
        .filter(|object| !open.contains(object))
        .chain(of_withheld)
        .collect();
    let is_closed = |uuid: &&Uuid| {
        rules.ids.is_case_part(&held.uuid(), uuid)
            && (wanted.tlp.forbids_sharing() || closed.contains(*uuid))
    };

    held.open_objects
        .iter()
        .filter(is_closed)
        .copied()
        .collect()
}

/// Why nothing is retracted, where it is not; `open` is how much there is to retract.
fn reason_to_keep(open: usize, held: &EventContent, rules: &DiffContext<'_>) -> Option<SkipRule> {
    if rules.removed == RemovedIocPolicy::Keep {
        return Some(SkipRule::RemovedIocsAreKept);
    }
    if let Err(rule) = rules.whole {
        return Some(rule.clone());
    }

    let event = held.uuid();
    let live: HashSet<Uuid> = held
        .attributes_by_uuid()
        .filter(|(_, attribute)| attribute.deleted != Some(true))
        .filter(|(uuid, _)| rules.ids.is_this_side_part(&event, uuid))
        .map(|(uuid, attribute)| held.object_of(attribute).unwrap_or(uuid))
        .collect();
    let most = FEW.max(live.len() * SHARE / 100);

    (open > most).then_some(SkipRule::MoreThan(most))
}

/// What the other side of a shared case has there, this one does not want, and stays: each
/// attribute, an object once.
pub fn find_brought(
    wanted: &EventDraft,
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> HashSet<Uuid> {
    if !rules.is_case || (rules.is_public && wanted.tlp.forbids_sharing()) {
        return HashSet::new();
    }
    let brought = find_unwanted(wanted, held, &|uuid| {
        rules.ids.is_other_side_part(&held.uuid(), uuid)
    });
    let live = brought.into_iter().filter(|(_, attribute)| {
        attribute.deleted != Some(true) && !attribute.comment.contains(MARK)
    });
    live.map(|(uuid, attribute)| held.object_of(attribute).unwrap_or(uuid))
        .collect()
}

/// What is ours and no longer wanted: live ones, and those that were retracted before.
fn find_unwanted<'a>(
    wanted: &EventDraft,
    held: &'a EventContent,
    is_ours: &dyn Fn(&Uuid) -> bool,
) -> Vec<(Uuid, &'a Attribute)> {
    let iocs = || wanted.attributes.iter().chain(&wanted.spared);
    let known = wanted.drafts().chain(&wanted.spared);
    let known: HashSet<Uuid> = known.map(|draft| draft.uuid).collect();
    let is_open =
        |attribute: &Attribute| attribute.deleted != Some(true) || is_retracted(attribute);
    // The link to the case is no IOC that could have left it.
    let is_link = |attribute: &Attribute| {
        attribute.kind == "link"
            && attribute.category == "Internal reference"
            && attribute.to_ids == Some(false)
    };

    // What is an IOC still is not taken back: it may be there under the uuid that it had when its
    // observable was of another type, written otherwise, or when its object did not have the hash
    // yet by which it is called now.
    let mut values: HashMap<(&str, String), bool> = HashMap::new();
    for draft in iocs().filter(|draft| draft.to_ids || draft.place.is_none()) {
        *values
            .entry((draft.kind.as_str(), equal::equality_key(&draft.value)))
            .or_default() |= draft.place.is_none();
    }

    let is_value = |attribute: &Attribute| {
        let is_loose = values.get(&(
            attribute.kind.as_str(),
            equal::equality_key(&attribute.value),
        ));
        is_loose.is_some_and(|is_loose| *is_loose || held.object_of(attribute).is_some())
    };

    held.attributes_by_uuid()
        .filter(|(uuid, _)| !known.contains(uuid))
        .filter(|(_, attribute)| is_open(attribute) && !is_link(attribute) && !is_value(attribute))
        // Last, since each answer takes a computation.
        .filter(|(uuid, _)| is_ours(uuid))
        .collect()
}

fn retraction_patch(attribute: &Attribute, removed: RemovedIocPolicy) -> AttributePatch {
    let change = AttributePatch {
        comment: Some(marked_comment(attribute, removed)),
        is_reason: true,
        ..AttributePatch::default()
    };

    match removed {
        RemovedIocPolicy::Delete => AttributePatch {
            deleted: Some(true),
            ..change
        },
        RemovedIocPolicy::Unflag | RemovedIocPolicy::Keep => AttributePatch {
            to_ids: Some(false),
            ..change
        },
    }
}

/// What went out before its TLP forbade it. In a feed it is taken out; on a server it is closed:
/// its TLP, and for its own organisation only. That retracts nothing, so it needs no guard.
fn withdraw_withheld(
    wanted: &AttributeDraft,
    index: &EventIndex<'_>,
    rules: &DiffContext<'_>,
) -> Option<Planned> {
    let attribute = index.get(&wanted.uuid)?;
    let withdraw = |action| retract(index.held, wanted.uuid, attribute, action);

    if rules.is_public && (wanted.tlp.forbids_sharing() || rules.is_case) {
        return Some(withdraw(Action::Remove));
    }
    if attribute.deleted == Some(true) {
        return None;
    }

    let mut patch = index.tightening_patch(wanted, attribute, rules);
    patch.close = attribute.distribution != Some(0);
    patch.is_reason |= patch.close;
    let mut planned = withdraw(if patch.is_reason {
        Action::Change(patch)
    } else {
        Action::Leave
    });
    if let Subject::Unwanted(unwanted) = &mut planned.subject {
        unwanted.is_closing = true;
    }

    Some(planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_message_makes_an_attribute_retracted(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(MARK.to_owned()), Just(QUIET.to_owned()), Just("[retracted by ".to_owned()), Just("cortex-misp]".to_owned()),
                    Just(" \n".to_owned()), ".{0,5}",
                ],
                0..8,
            )
        ) {
            let (comment, _) = neutralise_mark(&parts.concat());
            prop_assert!(!comment.contains(MARK), "{}", comment);
            let attribute = Attribute { comment, to_ids: Some(true), ..Attribute::default() };
            prop_assert!(!is_retracted(&attribute) && !was_quiet_when_deleted(&attribute.comment));
        }
    }
}
