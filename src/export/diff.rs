//! What differs between the wanted event and the one that is there, and whose word counts. We own
//! the event's title; its threat level and analysis upwards, its TLP and PAP towards the stricter,
//! its distribution down to 0; of attributes with our uuid that they are there, and their TLP
//! towards the stricter. Everything else that people change in MISP stays.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::draft::EventDraft;
use super::exclusive;
use super::plan::{AttributeAction, DiffContext, RetainedAttribute};
use super::retraction::{is_retracted, strip_mark, was_quiet_when_deleted};
use crate::ids::Ids;
use crate::markings::{Pap, Tlp};
use crate::misp::EventContent;
use crate::misp::changes::{AttributePatch, EventPatch};
use crate::misp::draft::AttributeDraft;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::wire::{Attribute, Event};
use crate::secret::truncate_text;
use crate::types::{self, equal};

const DELETED: &str = "deleted in MISP";
/// How a remark begins on what MISP made of an attribute when it took it.
pub const STORED: &str = "MISP stored it otherwise than it was sent";
/// The most of a value that a remark quotes, in characters.
const LONGEST_VALUE: usize = 100;

/// What an event holds, by uuid and by value.
pub struct EventIndex<'a> {
    by_uuid: HashMap<Uuid, &'a Attribute>,
    /// By type and value, as MISP tells values apart: what others added, and our own loose
    /// attributes.
    by_value: HashMap<(&'a str, String), (Owner, &'a Attribute)>,
    /// Objects that only their own organisation sees, and all that is in them.
    closed_objects: HashSet<Uuid>,
    /// The event's own TLP, which an attribute without one shares.
    tlp: Option<Tlp>,
    /// The same of its PAP.
    pap: Option<Pap>,
}

/// Who added an attribute; of several with one value, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Ours,
    Theirs,
    /// It is ours, and soft-deleted.
    Deleted,
}

impl<'a> EventIndex<'a> {
    pub fn new(held: &'a EventContent, ids: &Ids) -> Self {
        let attributes = &held.attributes;
        let mut by_uuid = HashMap::with_capacity(attributes.len());
        let mut by_value = HashMap::new();
        let event = held.uuid();

        for attribute in attributes {
            let uuid = Uuid::parse_str(&attribute.uuid).ok();
            if let Some(uuid) = uuid {
                by_uuid.insert(uuid, attribute);
            }
            let is_mine = uuid.is_some_and(|uuid| ids.is_case_part(&event, &uuid));
            let is_loose = held.object_of(attribute).is_none();
            let whose = match (is_mine, attribute.deleted == Some(true)) {
                (true, false) => Some(Owner::Ours).filter(|_| is_loose),
                (true, true) => Some(Owner::Deleted).filter(|_| is_loose),
                (false, false) => Some(Owner::Theirs),
                (false, true) => None,
            };

            if let Some(whose) = whose {
                let value =
                    equal::equality_key(&types::normalise(&attribute.kind, &attribute.value));
                let known = by_value
                    .entry((attribute.kind.as_str(), value))
                    .or_insert((whose, attribute));
                if whose < known.0 {
                    *known = (whose, attribute);
                }
            }
        }

        let tags = || shared_tags(held.event.tags_with_local_flag());
        let closed_objects = held
            .objects
            .values()
            .filter(|uuid| !held.open_objects.contains(uuid))
            .copied()
            .collect();

        Self {
            by_uuid,
            by_value,
            closed_objects,
            tlp: Tlp::from_plain_tags(tags()),
            pap: Pap::from_plain_tags(tags()),
        }
    }

    /// What is to be done with each wanted attribute. To an object that somebody deleted as a
    /// whole, nothing is added.
    pub fn decide_actions(
        &self,
        wanted: &[AttributeDraft],
        rules: &DiffContext<'_>,
    ) -> Vec<AttributeAction> {
        let mut steps: Vec<_> = wanted
            .iter()
            .map(|attribute| self.decide_action(attribute, rules))
            .collect();
        let objects = |is: &dyn Fn(&AttributeAction) -> bool| -> HashSet<Uuid> {
            let of = wanted.iter().zip(&steps).filter(|(_, step)| is(step));
            of.filter_map(|(attribute, _)| Some(attribute.place.as_ref()?.object))
                .collect()
        };

        let deleted = objects(&|step| matches!(step, AttributeAction::Skip(_)));
        let live =
            objects(&|step| matches!(step, AttributeAction::Leave(_) | AttributeAction::Change(_)));
        for (step, attribute) in steps
            .iter_mut()
            .zip(wanted)
            .filter(|(step, _)| **step == AttributeAction::Add)
        {
            let object = attribute.place.as_ref().map(|place| place.object);
            if object.is_some_and(|object| deleted.contains(&object) && !live.contains(&object)) {
                *step = AttributeAction::Skip(DELETED.to_owned());
            }
        }

        steps
    }

    /// What is to be done with a wanted attribute.
    pub fn decide_action(
        &self,
        wanted: &AttributeDraft,
        rules: &DiffContext<'_>,
    ) -> AttributeAction {
        match self.find_by_uuid(wanted) {
            Some(held) if held.deleted == Some(true) && !is_ours_to_revive(held) => {
                match self.find_by_value(wanted) {
                    // Somebody moved it into an object, say, which MISP makes of a copy
                    // (`MispObject.php`, `groupAttributesIntoObject`).
                    Some((Owner::Theirs, there)) => {
                        AttributeAction::Leave(Some(describe_added_by_others(wanted, there)))
                    }
                    Some((Owner::Ours | Owner::Deleted, _)) | None => {
                        AttributeAction::Skip(DELETED.to_owned())
                    }
                }
            }
            Some(held) => self.decide_existing(wanted, held, rules),
            None => match self.find_by_value(wanted) {
                Some((Owner::Theirs, there)) => {
                    AttributeAction::Leave(Some(describe_added_by_others(wanted, there)))
                }
                Some((Owner::Deleted, held)) if !is_ours_to_revive(held) => {
                    AttributeAction::Skip(DELETED.to_owned())
                }
                Some((Owner::Ours | Owner::Deleted, held)) => {
                    self.decide_under_other_uuid(wanted, held, rules)
                }
                None => AttributeAction::Add,
            },
        }
    }

    /// The attribute that has the value of a wanted one outside objects.
    fn find_by_value(&self, wanted: &AttributeDraft) -> Option<(Owner, &'a Attribute)> {
        let there = self
            .by_value
            .get(&(wanted.kind.as_str(), equal::equality_key(&wanted.value)));
        there.copied().filter(|_| wanted.place.is_none())
    }

    /// The attribute that stands for a wanted one: its own, or else the one that has its value.
    pub fn find_counterpart(&self, wanted: &AttributeDraft) -> Option<&'a Attribute> {
        let own = self.find_by_uuid(wanted);
        let live = own.filter(|held| held.deleted != Some(true));
        live.or_else(|| self.find_by_value(wanted).map(|(_, there)| there))
            .or(own)
    }

    /// The attribute that a wanted one became, by its uuid; a file may have gone out in either of
    /// two ways.
    fn find_by_uuid(&self, wanted: &AttributeDraft) -> Option<&'a Attribute> {
        let other = || self.get(&wanted.file.as_ref()?.other);
        self.get(&wanted.uuid).or_else(other)
    }

    /// The comment of the attribute of ours that stands for a wanted one, without the mark of a
    /// retraction.
    pub fn comment_of(&self, wanted: &AttributeDraft) -> Option<String> {
        let by_value = || {
            self.find_by_value(wanted)
                .filter(|(whose, _)| *whose != Owner::Theirs)
                .map(|(_, held)| held)
        };

        self.find_by_uuid(wanted)
            .or_else(by_value)
            .map(without_mark_if_any)
    }

    /// True if a wanted attribute is there with our uuid.
    pub fn has_by_uuid(&self, wanted: &AttributeDraft) -> bool {
        self.find_by_uuid(wanted).is_some()
    }

    /// An attribute of ours with the value of the wanted one: its observable was of another type,
    /// or written otherwise. It becomes as strict as the wanted one, and is brought back if it was
    /// retracted.
    fn decide_under_other_uuid(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        rules: &DiffContext<'_>,
    ) -> AttributeAction {
        let mut how = "there already, in an attribute that was exported for another IOC".to_owned();
        if held.value != wanted.value {
            how = format!(
                "{how}, written {}",
                truncate_text(&held.value, LONGEST_VALUE)
            );
        }

        match self.decide_existing(wanted, held, rules) {
            AttributeAction::Change(change) => AttributeAction::Change(AttributePatch {
                remark: Some(how),
                ..change
            }),
            _ => AttributeAction::Leave(Some(how)),
        }
    }

    fn decide_existing(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        rules: &DiffContext<'_>,
    ) -> AttributeAction {
        let mut change = self.tightening_patch(wanted, held, rules);
        let comment = without_mark_if_any(held);
        if comment != wanted.comment && wanted.former.contains(&comment) {
            change.comment = Some(wanted.comment.clone());
        }

        if is_retracted(held) {
            let (comment, was_for_detection) = strip_mark(&held.comment);
            change.comment.get_or_insert(comment);
            change.is_reason = true;
            if held.deleted == Some(true) {
                change.deleted = Some(false);
            } else if was_for_detection {
                change.to_ids = Some(true);
            }
        }

        let pap = Pap::from_plain_tags(shared_tags(held.tags_with_local_flag())).or(self.pap);
        let is_missing = |tag: &&String| match Pap::from_tag(tag) {
            Some(wanted) => pap < Some(wanted),
            None => !has_shared_tag(held.tags_with_local_flag(), tag),
        };
        let mut excluded = Vec::new();
        for tag in wanted
            .tags
            .iter()
            .filter(is_missing)
            .filter_map(|tag| rules.tags.resolve(tag))
        {
            if let Some(rival) = rules
                .tags
                .find_rival(&tag, shared_tags(held.tags_with_local_flag()))
            {
                excluded.push(exclusive::describe_conflict(&tag, rival));
                continue;
            }
            change
                .drop_tags
                .extend(find_local_duplicate(held.tags_with_local_flag(), &tag));
            change.add_tags.push(tag);
        }

        let difference = self.describe_difference(wanted, held, &change, rules);
        let difference =
            difference.map(|fields| format!("differs in MISP, left as it is: {fields}"));
        let remarks: Vec<_> = difference.into_iter().chain(excluded).collect();
        change.remark = Some(remarks.join("; ")).filter(|remark| !remark.is_empty());
        let is_changed = AttributePatch {
            remark: None,
            ..change.clone()
        } != AttributePatch::default();
        change.instead = target_uuid(wanted, held);

        if is_changed {
            AttributeAction::Change(change)
        } else {
            AttributeAction::Leave(change.remark)
        }
    }

    /// The TLP tag and the distribution, towards the stricter.
    pub fn tightening_patch(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        rules: &DiffContext<'_>,
    ) -> AttributePatch {
        let names: Vec<_> = shared_tags(held.tags_with_local_flag()).collect();
        let is_laxer = match Tlp::from_plain_tags(names.iter().copied()) {
            Some(tlp) => tlp < wanted.tlp,
            None => wanted.is_stricter && self.tlp < Some(wanted.tlp),
        };
        let tag = is_laxer
            .then(|| rules.tags.resolve(wanted.tlp.tag()))
            .flatten();
        // Not `is_closed`: a link to the case is closed from the beginning, and stays as people set
        // it unless the case is RED.
        let close = wanted.tlp.forbids_sharing() && held.distribution != Some(0);
        let mut change = AttributePatch {
            close: close && !rules.is_public,
            ..AttributePatch::default()
        };

        if let Some(tag) = tag {
            change.drop_tags = filter_laxer(&names, |name| {
                Tlp::from_tag(name).is_some_and(|tlp| tlp < wanted.tlp)
            });
            change
                .drop_tags
                .extend(find_local_duplicate(held.tags_with_local_flag(), &tag));
            change.add_tags = vec![tag];
        }

        change.is_reason = change.close || !change.add_tags.is_empty();

        change
    }

    /// The fields of an attribute of ours that are not as they are wanted and that this export
    /// leaves alone, with what is there: somebody changed them, or MISP stores them in another way.
    fn describe_difference(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        change: &AttributePatch,
        rules: &DiffContext<'_>,
    ) -> Option<String> {
        let tlp = Tlp::from_plain_tags(shared_tags(held.tags_with_local_flag()));
        let is_laxer =
            wanted.is_stricter && change.add_tags.is_empty() && tlp.or(self.tlp) < Some(wanted.tlp);
        let is_content = wanted.file.is_some();
        let comment = change.comment.as_ref().unwrap_or(&held.comment);
        let is_open = wanted.is_closed
            && !change.close
            && held.distribution.is_some_and(|d| d != 0)
            && !rules.is_public;
        let there = |value: &str| format!("({})", truncate_text(value, LONGEST_VALUE));
        let texts = [
            ("type", &held.kind, &wanted.kind),
            ("category", &held.category, &wanted.category),
            ("value", &held.value, &wanted.value),
        ];

        let of_texts = texts
            .iter()
            .filter(|(_, held, wanted)| held != wanted && !is_content);
        let of_texts = of_texts.map(|(field, held, _)| format!("{field} {}", there(held)));

        let fields = [
            (
                "to_ids",
                held.to_ids == Some(!wanted.to_ids) && change.to_ids.is_none() && !is_content,
            ),
            ("comment", *comment != wanted.comment),
            (
                "distribution",
                is_open
                    || (!wanted.is_closed
                        && held.distribution.is_some_and(|d| ![0, 5].contains(&d))),
            ),
            (
                "distribution (its organisation only, as an earlier export or a person set it)",
                !wanted.is_closed && held.distribution == Some(0),
            ),
            (
                "distribution (that of its object: its organisation only)",
                !wanted.is_closed && !rules.is_public && self.is_in_closed_object(wanted),
            ),
            ("TLP tag", is_laxer || tlp > Some(wanted.tlp)),
            (
                "tags",
                has_foreign_tags(shared_tags(held.tags_with_local_flag()), &wanted.tags),
            ),
        ];

        let of_fields = fields
            .iter()
            .filter(|(_, differs)| *differs)
            .map(|(field, _)| (*field).to_owned());
        let differing: Vec<_> = of_texts.chain(of_fields).collect();

        (!differing.is_empty()).then(|| differing.join(", "))
    }

    fn is_in_closed_object(&self, wanted: &AttributeDraft) -> bool {
        wanted
            .place
            .as_ref()
            .is_some_and(|place| self.closed_objects.contains(&place.object))
    }

    /// What MISP made of an attribute that was added just now, if that is not what was sent: nobody
    /// else can have changed it.
    pub fn describe_stored_difference(
        &self,
        wanted: &AttributeDraft,
        rules: &DiffContext<'_>,
    ) -> Option<String> {
        let held = self.find_by_uuid(wanted)?;
        let difference =
            self.describe_difference(wanted, held, &AttributePatch::default(), rules)?;
        Some(format!("{STORED}: {difference}"))
    }

    /// The attribute of that uuid, soft-deleted or not.
    pub fn get(&self, uuid: &Uuid) -> Option<&'a Attribute> {
        self.by_uuid.get(uuid).copied()
    }
}

/// A value that people added, and in what it is not what this export would have made of it.
fn describe_added_by_others(wanted: &AttributeDraft, there: &Attribute) -> String {
    let written = format!("written {}", truncate_text(&there.value, LONGEST_VALUE));

    let differs = [
        (there.value != wanted.value, written.as_str()),
        (
            wanted.to_ids && there.to_ids == Some(false),
            "not for detection",
        ),
        (
            !wanted.is_closed && there.distribution == Some(0),
            "for its organisation only",
        ),
        (
            wanted.is_closed && there.distribution != Some(0),
            "seen by more than its TLP allows",
        ),
    ];

    let differs = differs
        .into_iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, how)| how);
    std::iter::once("added by somebody else")
        .chain(differs)
        .collect::<Vec<_>>()
        .join(", ")
}

fn without_mark_if_any(held: &Attribute) -> String {
    if is_retracted(held) {
        strip_mark(&held.comment).0
    } else {
        held.comment.clone()
    }
}

/// The attribute that is there instead of the wanted one: the same file, sent in the other way.
fn target_uuid(wanted: &AttributeDraft, held: &Attribute) -> Option<Uuid> {
    Uuid::parse_str(&held.uuid)
        .ok()
        .filter(|uuid| *uuid != wanted.uuid)
}

/// True for what an export deleted: unflagging takes `to_ids` and deleting leaves it, so one that
/// lost both was deleted by somebody after it was unflagged, unless the comment tells that deleting
/// met it without.
fn is_ours_to_revive(held: &Attribute) -> bool {
    is_retracted(held) && (held.to_ids != Some(false) || was_quiet_when_deleted(&held.comment))
}

/// Files that an option let out before and that it lets out no more: they stay, and are closed when
/// their TLP demands it.
pub fn tighten_retained(
    wanted: &EventDraft,
    steps: &[AttributeAction],
    held: &EventContent,
    index: &EventIndex<'_>,
    rules: &DiffContext<'_>,
) -> Vec<RetainedAttribute> {
    let mut handled: HashSet<Uuid> = wanted.attributes.iter().map(|one| one.uuid).collect();
    handled.extend(steps.iter().filter_map(|step| {
        if let AttributeAction::Change(change) = step {
            change.instead
        } else {
            None
        }
    }));

    let of = |one: &AttributeDraft| {
        let there = index
            .get(&one.uuid)
            .filter(|held| held.deleted != Some(true))?;
        let change = index.tightening_patch(one, there, rules);
        change.is_reason.then(|| RetainedAttribute {
            uuid: one.uuid,
            object: held.object_of(there),
            change,
        })
    };

    wanted
        .kept
        .iter()
        .filter(|one| !handled.contains(&one.uuid))
        .filter_map(of)
        .collect()
}

/// The tags that are passed on with what they are on: a local tag marks it for nobody else.
pub fn shared_tags<'t>(
    tags: impl Iterator<Item = (&'t str, bool)>,
) -> impl Iterator<Item = &'t str> {
    tags.filter(|(_, is_local)| !is_local).map(|(name, _)| name)
}

/// A local tag of the same name: MISP keeps one of each, and leaves it local when it is added again
/// (`EventTag.php`, `attachTagToEvent`), so that it is taken off before.
fn find_local_duplicate<'t>(
    tags: impl Iterator<Item = (&'t str, bool)>,
    wanted: &str,
) -> Option<String> {
    let mut local =
        tags.filter(|(name, is_local)| *is_local && name.to_lowercase() == wanted.to_lowercase());
    local.next().map(|(name, _)| name.to_owned())
}

fn filter_laxer(names: &[&str], is_laxer: impl Fn(&str) -> bool) -> Vec<String> {
    names
        .iter()
        .filter(|name| is_laxer(name))
        .map(ToString::to_string)
        .collect()
}

/// True if there is a tag that people added: no marking, and none that is wanted.
fn has_foreign_tags<'a>(mut held: impl Iterator<Item = &'a str>, wanted: &[String]) -> bool {
    let is_marking = |name: &str| Tlp::from_tag(name).is_some() || Pap::from_tag(name).is_some();
    let is_wanted = |name: &str| {
        wanted
            .iter()
            .any(|tag| tag.to_lowercase() == name.to_lowercase())
    };

    held.any(|name| !is_marking(name) && !is_wanted(name))
}

/// True if a tag is there for everybody.
fn has_shared_tag<'t>(tags: impl Iterator<Item = (&'t str, bool)>, name: &str) -> bool {
    shared_tags(tags).any(|tag| tag.to_lowercase() == name.to_lowercase())
}

/// What MISP did not take of a new attribute.
pub fn describe_unfinished(change: &AttributePatch) -> String {
    let words = [
        (
            "tags",
            !change.add_tags.is_empty() || !change.drop_tags.is_empty(),
        ),
        ("distribution", change.close),
        ("to_ids", change.to_ids.is_some()),
    ];

    let words: Vec<_> = words
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(word, _)| *word)
        .collect();

    format!("{STORED}: {}", words.join(", "))
}

/// What changes on the event itself, and what differs and is left.
pub fn event_patch(
    wanted: &EventDraft,
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> (EventPatch, Vec<String>) {
    let event = &held.event;
    let mut remarks = Vec::new();
    if rules.is_public && wanted.tlp.forbids_sharing() {
        return (EventPatch::default(), remarks);
    }
    let is_ours = !wanted.only_tightens && !wanted.is_guest;
    let higher = event
        .threat_level_id
        .is_none_or(|level| level == 4 || i64::from(wanted.threat_level) < level);
    let further = event
        .analysis
        .is_none_or(|analysis| i64::from(wanted.analysis) > analysis);
    let mut head = EventPatch {
        info: (event.info != wanted.info && is_ours).then(|| wanted.info.clone()),
        threat_level: (higher && is_ours).then_some(wanted.threat_level),
        analysis: (further && wanted.analysis > 0 && is_ours).then_some(wanted.analysis),
        close: wanted.tlp.forbids_sharing() && event.distribution != Some(0),
        ..EventPatch::default()
    };

    let names: Vec<_> = shared_tags(event.tags_with_local_flag()).collect();
    let tlp = Tlp::from_plain_tags(names.iter().copied());
    let is_stricter = tlp.is_none_or(|tlp| tlp < wanted.tlp);

    if let (true, Some(tag)) = (is_stricter, rules.tags.resolve(wanted.tlp.tag())) {
        head.drop_tags = filter_laxer(&names, |name| {
            Tlp::from_tag(name).is_some_and(|tlp| tlp < wanted.tlp)
        });
        head.drop_tags
            .extend(find_local_duplicate(event.tags_with_local_flag(), &tag));
        head.add_tags.push(tag);
        head.is_reason = true;
    }

    patch_pap(wanted.pap, event, rules.tags, &mut head, &mut remarks);
    head.is_reason |= head.close;
    let missing = wanted
        .tags
        .iter()
        .filter(|tag| !has_shared_tag(event.tags_with_local_flag(), tag));

    for tag in missing.filter_map(|tag| rules.tags.resolve(tag)) {
        if let Some(rival) = rules
            .tags
            .find_rival(&tag, shared_tags(event.tags_with_local_flag()))
        {
            let remedy = "what is there stays, since a person may have set it: take it off in \
                MISP, and the next export sets the case's";
            remarks.push(format!(
                "{}; {remedy}",
                exclusive::describe_conflict(&tag, rival)
            ));
            continue;
        }

        head.drop_tags
            .extend(find_local_duplicate(event.tags_with_local_flag(), &tag));
        head.add_tags.push(tag);
    }

    remarks.extend(describe_left_as_is(wanted, held, tlp, rules));

    (head, remarks)
}

fn patch_pap(
    wanted: Option<Pap>,
    event: &Event,
    tags: &TagResolution,
    head: &mut EventPatch,
    remarks: &mut Vec<String>,
) {
    let names: Vec<_> = shared_tags(event.tags_with_local_flag()).collect();
    let held = Pap::from_plain_tags(names.iter().copied());

    match wanted {
        Some(pap) if held.is_none_or(|held| held < pap) => {
            if let Some(tag) = tags.resolve(pap.tag()) {
                head.drop_tags.extend(filter_laxer(&names, |name| {
                    Pap::from_tag(name).is_some_and(|held| held < pap)
                }));
                head.drop_tags
                    .extend(find_local_duplicate(event.tags_with_local_flag(), &tag));
                head.add_tags.push(tag);
            }
        }
        Some(pap) if held > Some(pap) => remarks.push(format!(
            "the event's PAP is stricter in MISP than {}, the case's; it is left as it is",
            pap.word()
        )),
        Some(_) | None => {}
    }
}

/// What differs on the event itself and is left as people set it.
fn describe_left_as_is(
    wanted: &EventDraft,
    held: &EventContent,
    tlp: Option<Tlp>,
    rules: &DiffContext<'_>,
) -> Vec<String> {
    let event = &held.event;
    let mut remarks = Vec::new();
    if wanted.is_guest {
        return remarks;
    }

    if tlp > Some(wanted.tlp) {
        remarks.push(format!(
            "the event's TLP is stricter in MISP than {}, the case's; it is left as it is",
            wanted.tlp.word()
        ));
    }

    let distribution = event.distribution.unwrap_or(0);

    let differs = [
        ("date", event.date != wanted.date && !event.date.is_empty()),
        (
            "threat level",
            event
                .threat_level_id
                .is_some_and(|level| level < i64::from(wanted.threat_level)),
        ),
        (
            "analysis",
            event
                .analysis
                .is_some_and(|analysis| analysis > i64::from(wanted.analysis)),
        ),
        (
            "distribution",
            !rules.is_public
                && !wanted.tlp.forbids_sharing()
                && u64::try_from(distribution).is_ok_and(|held| held != wanted.distribution),
        ),
        (
            "tags",
            !wanted.only_tightens
                && has_foreign_tags(shared_tags(event.tags_with_local_flag()), &wanted.tags),
        ),
    ];

    let differs: Vec<_> = differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(word, _)| *word)
        .collect();

    if !differs.is_empty() {
        remarks.push(format!(
            "the event differs in MISP, left as it is: {}",
            differs.join(", ")
        ));
    }

    remarks
}
