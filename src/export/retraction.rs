//! Retraction: attributes of ours whose observable is no IOC of the case any more. They are
//! retracted only if the case was read as a whole and is ours alone, and never many at once, for a
//! case half read looks like one half empty.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::diff::EventIndex;
use super::draft::EventDraft;
use super::options::RemovedIocPolicy;
use super::plan::{DiffContext, RetainedAttribute};
use crate::misp::EventContent;
use crate::misp::changes::AttributePatch;
use crate::misp::draft::AttributeDraft;
use crate::misp::wire::Attribute;
use crate::secret::truncate_text;
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

/// What becomes of an attribute that is wanted no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retraction {
    /// The attribute.
    pub uuid: Uuid,
    /// The object it is in.
    pub object: Option<Uuid>,
    /// Category and type.
    pub attribute: String,
    /// Its value.
    pub value: String,
    /// What is done.
    pub act: RetractAction,
    /// True if it stays an IOC of the case, and is only closed, since it may not go out any more.
    pub is_closing: bool,
}

/// What is done with an attribute that is wanted no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetractAction {
    /// It is marked as retracted.
    Change(AttributePatch),
    /// It is taken out: a feed shows everything to everyone.
    Remove,
    /// It is left, by this rule.
    Skip(String),
    /// It was retracted before.
    Done,
}

impl Retraction {
    fn new(attribute: &Attribute, uuid: Uuid, object: Option<Uuid>, act: RetractAction) -> Self {
        let category = format!("{}/{}", attribute.category, attribute.kind);
        Self {
            uuid,
            object,
            attribute: category,
            value: attribute.value.clone(),
            act,
            is_closing: false,
        }
    }

    /// True if something is to be written for it.
    pub fn needs_write(&self) -> bool {
        matches!(self.act, RetractAction::Change(_) | RetractAction::Remove)
    }
}

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
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> (Vec<Retraction>, Vec<String>) {
    let index = EventIndex::new(held, rules.ids);
    let mut retractions: Vec<_> = wanted
        .withheld
        .iter()
        .filter_map(|attribute| withdraw_withheld(attribute, held, &index, rules))
        .collect();

    let is_exposed = rules.is_public && wanted.tlp.forbids_sharing();

    if is_exposed {
        // No guard holds here: what stays can be read by everyone.
        let all = find_unwanted(wanted, held, &|uuid| {
            rules.ids.is_case_part(&held.uuid(), uuid)
        })
        .into_iter();
        retractions.extend(all.map(|(uuid, one)| {
            Retraction::new(one, uuid, held.object_of(one), RetractAction::Remove)
        }));
    }

    let mut alarms = describe_exposure(&retractions, wanted, is_exposed);

    if rules.is_case && !is_exposed {
        let (dropped, alarm) = retract_dropped(wanted, held, rules);
        retractions.extend(dropped);
        alarms.extend(alarm);
    }

    (retractions, alarms)
}

/// What a feed showed, or shows, to everyone though its TLP forbids that.
fn describe_exposure(
    retractions: &[Retraction],
    wanted: &EventDraft,
    is_exposed: bool,
) -> Vec<String> {
    let mut alarms = Vec::new();
    let exposed = retractions
        .iter()
        .filter(|one| one.act == RetractAction::Remove)
        .count();

    if exposed > 0 {
        alarms.push(format!(
            "{exposed} attributes were exported before their TLP forbade it: they are taken out \
             of the feed now, but \
             whoever pulled it before has them"
        ));
    }

    if is_exposed {
        alarms.push(format!(
            "the case is {} now, and the title of its event can be read by everyone who pulls \
             this feed: remove the event's \
             file if it must not be",
            wanted.tlp.word()
        ));
    }

    alarms
}

/// The retractions of what is no IOC of the case any more, and the alarm if they are too many at
/// once.
fn retract_dropped(
    wanted: &EventDraft,
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> (Vec<Retraction>, Option<String>) {
    let dropped = find_unwanted(wanted, held, &|uuid| {
        rules.ids.is_this_side_part(&held.uuid(), uuid)
    });
    // Whatever people made of it since, it is not retracted a second time.
    let is_done = |attribute: &&Attribute| attribute.comment.contains(MARK);
    let is_doubtful = |attribute: &&Attribute| {
        wanted
            .doubts
            .may_match(&attribute.value, held.object_of(attribute).is_some())
    };

    // An object counts once: its attributes are one observable.
    let open: HashSet<_> = dropped
        .iter()
        .filter(|(_, attribute)| !is_done(attribute) && !is_doubtful(attribute))
        .map(|(uuid, attribute)| held.object_of(attribute).unwrap_or(*uuid))
        .collect();

    let rule = reason_to_keep(open.len(), held, rules);
    let is_held_back = !open.is_empty() && rules.removed != RemovedIocPolicy::Keep;

    let alarm = rule.as_ref().filter(|_| is_held_back).and_then(|rule| {
        let values: Vec<_> = dropped
            .iter()
            .filter(|(_, one)| !is_done(one))
            .map(|(_, one)| one.value.as_str())
            .collect();

        describe_mass_retraction(rule, &values)
    });

    let retract = |(uuid, attribute): (Uuid, &Attribute)| {
        let act = match &rule {
            _ if is_done(&attribute) => RetractAction::Done,
            Some(rule) => RetractAction::Skip(rule.clone()),
            None if is_doubtful(&attribute) => RetractAction::Skip(UNMAPPED.to_owned()),
            None => RetractAction::Change(AttributePatch {
                close: needs_restricting(attribute, wanted, rules),
                ..retraction_patch(attribute, rules.removed)
            }),
        };

        Retraction::new(attribute, uuid, held.object_of(attribute), act)
    };

    (dropped.iter().copied().map(retract).collect(), alarm)
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
) -> Vec<RetainedAttribute> {
    let event = held.uuid();

    let of = |attribute: &Attribute| {
        let uuid = Uuid::parse_str(&attribute.uuid)
            .ok()
            .filter(|uuid| rules.ids.is_case_part(&event, uuid))?;
        let is_wanted =
            attribute.deleted != Some(true) && needs_restricting(attribute, wanted, rules);
        let change = AttributePatch {
            close: true,
            is_reason: true,
            ..AttributePatch::default()
        };

        (is_wanted && !edited.contains(&uuid)).then(|| RetainedAttribute {
            uuid,
            object: held.object_of(attribute),
            change,
        })
    };

    held.attributes.iter().filter_map(of).collect()
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
    let open = wanted.attributes.iter().filter(|one| !one.is_closed);
    let open: HashSet<Uuid> = open
        .filter_map(|one| Some(one.place.as_ref()?.object))
        .collect();
    let of_iocs = wanted
        .objects
        .iter()
        .map(|object| object.uuid)
        .filter(|object| !open.contains(object));

    let of_withheld = wanted
        .withheld
        .iter()
        .filter_map(|one| Some(one.place.as_ref()?.object));
    let closed: HashSet<Uuid> = of_iocs.chain(of_withheld).collect();
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

/// Too many at once is something that somebody has to look at; the other rules are told by the
/// ledger.
fn describe_mass_retraction(rule: &str, values: &[&str]) -> Option<String> {
    const NAMED: usize = 10;

    rule.starts_with(TOO_MANY).then(|| {
        let first: Vec<_> = values
            .iter()
            .take(NAMED)
            .map(|value| truncate_text(value, 100))
            .collect();

        let more = values.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };

        format!(
            "{} attributes are no IOCs of the case any more, {rule}: nothing is retracted; check \
             the case, then change these \
             in MISP: {}{more}",
            values.len(),
            first.join(", ")
        )
    })
}

/// Why what is like an IOC that could not be mapped stays.
const UNMAPPED: &str = "it may be an IOC of the case that could not be mapped";

const TOO_MANY: &str = "more than";

fn reason_to_keep(open: usize, held: &EventContent, rules: &DiffContext<'_>) -> Option<String> {
    let event = held.uuid();
    let is_live = |attribute: &&Attribute| {
        attribute.deleted != Some(true)
            && Uuid::parse_str(&attribute.uuid)
                .is_ok_and(|uuid| rules.ids.is_this_side_part(&event, &uuid))
    };

    let live: HashSet<_> = held
        .attributes
        .iter()
        .filter(is_live)
        .map(|one| {
            held.object_of(one)
                .map_or_else(|| one.uuid.clone(), |object| object.to_string())
        })
        .collect();

    let live = live.len();
    let most = FEW.max(live * SHARE / 100);

    match rules.whole {
        _ if rules.removed == RemovedIocPolicy::Keep => Some("removed_iocs is keep".to_owned()),
        Err(why) => Some(why.to_owned()),
        Ok(()) if open > most => Some(format!("{TOO_MANY} {most} at once")),
        Ok(()) => None,
    }
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
    })
    .into_iter();
    let live = brought.filter(|(_, one)| one.deleted != Some(true) && !one.comment.contains(MARK));
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
    let attributes = iocs().chain(&wanted.withheld);
    let mut known: HashSet<Uuid> = attributes.map(|attribute| attribute.uuid).collect();
    known.extend(wanted.kept.iter().map(|attribute| attribute.uuid));
    let is_open =
        |attribute: &&Attribute| attribute.deleted != Some(true) || is_retracted(attribute);
    let is_link = |attribute: &&Attribute| {
        attribute.kind == "link"
            && attribute.category == "Internal reference"
            && attribute.to_ids == Some(false)
    };

    // What is an IOC still is not taken back: it may be there under the uuid that it had when its
    // observable was of another type, written otherwise, or when its object did not have the hash
    // yet by which it is called now.
    let mut values: HashMap<(&str, String), bool> = HashMap::new();
    for one in iocs().filter(|one| one.to_ids || one.place.is_none()) {
        *values
            .entry((one.kind.as_str(), equal::equality_key(&one.value)))
            .or_default() |= one.place.is_none();
    }

    let is_value = |attribute: &&Attribute| {
        let is_loose = values.get(&(
            attribute.kind.as_str(),
            equal::equality_key(&attribute.value),
        ));
        is_loose.is_some_and(|is_loose| *is_loose || held.object_of(attribute).is_some())
    };

    let of_event = held
        .attributes
        .iter()
        .filter(|one| is_open(one) && !is_link(one) && !is_value(one));

    of_event
        .filter_map(|attribute| {
            let uuid = Uuid::parse_str(&attribute.uuid).ok()?;
            (is_ours(&uuid) && !known.contains(&uuid)).then_some((uuid, attribute))
        })
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
    held: &EventContent,
    index: &EventIndex<'_>,
    rules: &DiffContext<'_>,
) -> Option<Retraction> {
    let attribute = index.get(&wanted.uuid)?;
    let object = held.object_of(attribute);

    if rules.is_public && (wanted.tlp.forbids_sharing() || rules.is_case) {
        return Some(Retraction::new(
            attribute,
            wanted.uuid,
            object,
            RetractAction::Remove,
        ));
    }

    if attribute.deleted == Some(true) {
        return None;
    }
    let mut tightened = index.tightening_patch(wanted, attribute, rules);
    tightened.close = attribute.distribution != Some(0);
    tightened.is_reason |= tightened.close;
    let act = if tightened.is_reason {
        RetractAction::Change(tightened)
    } else {
        RetractAction::Done
    };

    Some(Retraction {
        is_closing: true,
        ..Retraction::new(attribute, wanted.uuid, object, act)
    })
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
