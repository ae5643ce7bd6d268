//! What differs between the wanted event and the one that is there, and whose word counts. We own
//! the event's title; its threat level and analysis upwards, its TLP and PAP towards the stricter,
//! its distribution down to 0; of attributes with our uuid that they are there, and their TLP
//! towards the stricter. Everything else that people change in MISP stays.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::case_report;
use super::draft::EventDraft;
use super::plan::{Action, DiffContext, Planned, Subject};
use super::retraction::{is_retracted, strip_mark, was_quiet_when_deleted};
use super::setting_tags;
use super::verdicts::{Remark, SkipRule, join_applying};
use crate::ids::{EventRole, Ids};
use crate::markings::{Pap, Tlp};
use crate::misp::EventContent;
use crate::misp::changes::{AttributePatch, EventPatch};
use crate::misp::draft::AttributeDraft;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::wire::{Attribute, Event};
use crate::secret::truncate_text;
use crate::types::{self, equal};

/// The most of a value that a remark quotes, in characters.
const LONGEST_VALUE: usize = 100;

/// What an event holds, by uuid and by value.
pub struct EventIndex<'a> {
    pub held: &'a EventContent,
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
            let owner = match (is_mine, attribute.deleted == Some(true)) {
                (true, false) if is_loose => Owner::Ours,
                (true, true) if is_loose => Owner::Deleted,
                (false, false) => Owner::Theirs,
                // In an object ours are known by their uuids alone; what others deleted is not
                // there.
                (true, _) | (false, true) => continue,
            };

            let value = equal::equality_key(&types::normalise(&attribute.kind, &attribute.value));
            let known = by_value
                .entry((attribute.kind.as_str(), value))
                .or_insert((owner, attribute));
            if owner < known.0 {
                *known = (owner, attribute);
            }
        }

        let tags = HeldTags::new(held.event.tags_with_local_flag());
        let closed_objects = held
            .objects
            .values()
            .filter(|uuid| !held.open_objects.contains(uuid))
            .copied()
            .collect();

        Self {
            held,
            by_uuid,
            by_value,
            closed_objects,
            tlp: tags.tlp(),
            pap: tags.pap(),
        }
    }

    /// What is to be done with each wanted attribute. To an object that somebody deleted as a
    /// whole, nothing is added.
    pub fn decide_actions(
        &self,
        wanted: &[AttributeDraft],
        rules: &DiffContext<'_>,
    ) -> Vec<Planned> {
        let mut all: Vec<_> = wanted
            .iter()
            .map(|draft| self.decide_action(draft, rules))
            .collect();
        let (mut live, mut deleted) = (HashSet::new(), HashSet::new());

        for planned in &all {
            match planned.action {
                Action::Leave | Action::Change(_) => live.extend(planned.object),
                Action::Skip(_) => deleted.extend(planned.object),
                Action::Add | Action::Remove => {}
            }
        }

        for planned in &mut all {
            let is_deleted = |object| deleted.contains(&object) && !live.contains(&object);
            if planned.action == Action::Add && planned.object.is_some_and(is_deleted) {
                planned.action = Action::Skip(SkipRule::DeletedInMisp);
            }
        }

        all
    }

    fn decide_action(&self, wanted: &AttributeDraft, rules: &DiffContext<'_>) -> Planned {
        let own = self.find_by_uuid(wanted);
        if let Some(held) = own.filter(|held| is_live(held) || is_ours_to_revive(held)) {
            return self.decide_existing(wanted, held, rules);
        }

        let by_value = self.find_by_value(wanted);
        if let Some((Owner::Theirs, there)) = by_value {
            // If our own is deleted, somebody may have moved it into an object, which MISP makes
            // of a copy (`MispObject.php`, `groupAttributesIntoObject`).
            let mut planned = Planned::wanted(wanted, uuid_of(there), Action::Leave);
            let remark = Remark::Text(describe_added_by_others(wanted, there));
            planned.remarks.push(remark);
            return planned;
        }

        let deleted = Action::Skip(SkipRule::DeletedInMisp);
        match (own, by_value) {
            (Some(_), _) => Planned::wanted(wanted, wanted.uuid, deleted),
            (None, Some((owner, held))) => {
                if owner == Owner::Deleted && !is_ours_to_revive(held) {
                    Planned::wanted(wanted, wanted.uuid, deleted)
                } else {
                    self.decide_under_other_uuid(wanted, held, rules)
                }
            }
            (None, None) => Planned::wanted(wanted, wanted.uuid, Action::Add),
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
        own.filter(|held| is_live(held))
            .or_else(|| self.find_by_value(wanted).map(|(_, there)| there))
            .or(own)
    }

    /// The attribute that a wanted one became, by its uuid; a file may have gone out in either of
    /// two ways.
    fn find_by_uuid(&self, wanted: &AttributeDraft) -> Option<&'a Attribute> {
        let other = || self.get(&wanted.file.as_ref()?.other);
        self.get(&wanted.uuid).or_else(other)
    }

    /// The attribute of that uuid, soft-deleted or not.
    pub fn get(&self, uuid: &Uuid) -> Option<&'a Attribute> {
        self.by_uuid.get(uuid).copied()
    }

    /// The comment of the attribute of ours that stands for a wanted one, without the mark of a
    /// retraction.
    pub fn comment_of(&self, wanted: &AttributeDraft) -> Option<String> {
        let by_value = || match self.find_by_value(wanted)? {
            (Owner::Theirs, _) => None,
            (Owner::Ours | Owner::Deleted, held) => Some(held),
        };

        self.find_by_uuid(wanted)
            .or_else(by_value)
            .map(without_mark_if_any)
    }

    /// An attribute of ours with the value of the wanted one: its observable was of another type,
    /// or written otherwise. It becomes as strict as the wanted one, and is brought back if it was
    /// retracted.
    fn decide_under_other_uuid(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        rules: &DiffContext<'_>,
    ) -> Planned {
        let mut remark =
            "there already, in an attribute that was exported for another IOC".to_owned();
        if held.value != wanted.value {
            let written = truncate_text(&held.value, LONGEST_VALUE);
            remark = format!("{remark}, written {written}");
        }

        Planned {
            remarks: vec![Remark::Text(remark)],
            ..self.decide_existing(wanted, held, rules)
        }
    }

    fn decide_existing(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        rules: &DiffContext<'_>,
    ) -> Planned {
        let mut patch = self.tightening_patch(wanted, held, rules);
        let comment = without_mark_if_any(held);
        // Only what an earlier export wrote is replaced: any other comment is somebody's own.
        if comment != wanted.comment && wanted.former.contains(&comment) {
            patch.comment = Some(wanted.comment.clone());
        }

        // Only ever switched off: that TheHive compares it says nothing of what somebody wants in MISP.
        patch.uncorrelate = wanted.is_uncorrelated && held.disable_correlation != Some(true);

        // A retracted one is an IOC again: it gets back what the retraction took.
        if is_retracted(held) {
            let (comment, was_for_detection) = strip_mark(&held.comment);
            patch.comment.get_or_insert(comment);
            patch.is_reason = true;
            // Deleting has left `to_ids` as it was: only what was unflagged gets it back.
            if held.deleted == Some(true) {
                patch.deleted = Some(false);
            } else if was_for_detection {
                patch.to_ids = Some(true);
            }
        }

        let tags = HeldTags::new(held.tags_with_local_flag());
        let pap = tags.pap().or(self.pap);
        let missing = wanted.tags.iter().filter(|tag| match Pap::from_tag(tag) {
            Some(wanted) => pap < Some(wanted),
            None => !tags.has(tag),
        });
        let mut changes = TagChanges::of(&mut patch.add_tags, &mut patch.drop_tags);
        let conflicts = changes.add_missing(missing, &tags, rules.tags);

        let differing = self.describe_difference(wanted, held, &patch, rules);
        let differing = (!differing.is_empty()).then_some(Remark::Differs(differing));
        let is_changed = patch != AttributePatch::default();
        let action = if is_changed {
            Action::Change(patch)
        } else {
            Action::Leave
        };

        Planned {
            remarks: differing
                .into_iter()
                .chain(conflicts.into_iter().map(Remark::Text))
                .collect(),
            ..Planned::wanted(wanted, uuid_of(held), action)
        }
    }

    /// The TLP tag and the distribution, towards the stricter.
    pub fn tightening_patch(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        rules: &DiffContext<'_>,
    ) -> AttributePatch {
        let tags = HeldTags::new(held.tags_with_local_flag());
        let is_laxer = match tags.tlp() {
            Some(tlp) => tlp < wanted.tlp,
            // Without a TLP of its own it has the event's.
            None => wanted.is_stricter && self.tlp < Some(wanted.tlp),
        };
        // Not `is_closed`: a link to the case is closed from the beginning, and stays as people set
        // it unless the case is RED.
        let close = wanted.tlp.forbids_sharing() && held.distribution != Some(0);
        let mut patch = AttributePatch {
            close: close && !rules.is_public,
            ..AttributePatch::default()
        };

        if is_laxer {
            TagChanges::of(&mut patch.add_tags, &mut patch.drop_tags)
                .tighten_tlp(wanted.tlp, &tags, rules.tags);
        }
        patch.is_reason = patch.close || !patch.add_tags.is_empty();

        patch
    }

    /// The fields of an attribute of ours that are not as they are wanted and that this export
    /// leaves alone, with what is there: somebody changed them, or MISP stores them in another way.
    fn describe_difference(
        &self,
        wanted: &AttributeDraft,
        held: &Attribute,
        patch: &AttributePatch,
        rules: &DiffContext<'_>,
    ) -> String {
        let tags = HeldTags::new(held.tags_with_local_flag());
        let tlp = tags.tlp();
        let is_laxer =
            wanted.is_stricter && patch.add_tags.is_empty() && tlp.or(self.tlp) < Some(wanted.tlp);
        let carries_file = wanted.file.is_some();
        let comment = patch.comment.as_ref().unwrap_or(&held.comment);
        let distribution = held.distribution;
        let is_open = wanted.is_closed && !patch.close && !rules.is_public;

        let texts = [
            ("type", &held.kind, &wanted.kind),
            ("category", &held.category, &wanted.category),
            ("value", &held.value, &wanted.value),
        ]
        .map(|(field, held, wanted)| {
            let there = format!("{field} ({})", truncate_text(held, LONGEST_VALUE));
            (there, held != wanted && !carries_file)
        });

        let is_quiet_otherwise = held.to_ids == Some(!wanted.to_ids) && patch.to_ids.is_none();
        let fields = [
            ("to_ids", is_quiet_otherwise && !carries_file),
            ("comment", *comment != wanted.comment),
            (
                "distribution",
                match distribution {
                    Some(0) | None => false,
                    // 5 is that of the event.
                    Some(5) => is_open,
                    Some(_) => is_open || !wanted.is_closed,
                },
            ),
            (
                "distribution (its organisation only, as an earlier export or a person set it)",
                !wanted.is_closed && distribution == Some(0),
            ),
            (
                "distribution (that of its object: its organisation only)",
                !wanted.is_closed && !rules.is_public && self.is_in_closed_object(wanted),
            ),
            ("TLP tag", is_laxer || tlp > Some(wanted.tlp)),
            ("tags", tags.has_foreign(&wanted.tags)),
        ];

        let texts = texts
            .iter()
            .map(|(there, differs)| (there.as_str(), *differs));
        join_applying(texts.chain(fields))
    }

    fn is_in_closed_object(&self, wanted: &AttributeDraft) -> bool {
        let object = wanted.object();
        object.is_some_and(|object| self.closed_objects.contains(&object))
    }
}

fn is_live(held: &Attribute) -> bool {
    held.deleted != Some(true)
}

/// The uuid of an attribute that is there; one that has none that can be read is nobody's.
fn uuid_of(held: &Attribute) -> Uuid {
    Uuid::parse_str(&held.uuid).unwrap_or_default()
}

/// A value that people added, and in what it is not what this export would have made of it.
fn describe_added_by_others(wanted: &AttributeDraft, there: &Attribute) -> String {
    let written = format!("written {}", truncate_text(&there.value, LONGEST_VALUE));

    join_applying([
        ("added by somebody else", true),
        (&written, there.value != wanted.value),
        (
            "not for detection",
            wanted.to_ids && there.to_ids == Some(false),
        ),
        (
            "for its organisation only",
            !wanted.is_closed && there.distribution == Some(0),
        ),
        (
            "seen by more than its TLP allows",
            wanted.is_closed && there.distribution != Some(0),
        ),
    ])
}

fn without_mark_if_any(held: &Attribute) -> String {
    if is_retracted(held) {
        strip_mark(&held.comment).0
    } else {
        held.comment.clone()
    }
}

/// True for what an export deleted: unflagging takes `to_ids` and deleting leaves it, so one that
/// lost both was deleted by somebody after it was unflagged, unless the comment tells that deleting
/// met it without.
fn is_ours_to_revive(held: &Attribute) -> bool {
    is_retracted(held) && (held.to_ids != Some(false) || was_quiet_when_deleted(&held.comment))
}

/// Files that an option let out before and that it lets out no more: they stay, and are closed when
/// their TLP demands it. What is there for a wanted attribute is brought in line with that.
pub fn tighten_retained(
    wanted: &EventDraft,
    planned: &[Planned],
    index: &EventIndex<'_>,
    rules: &DiffContext<'_>,
) -> Vec<Planned> {
    let handled: HashSet<Uuid> = planned.iter().map(|planned| planned.uuid).collect();
    let tighten = |draft: &AttributeDraft| {
        let there = index.get(&draft.uuid).filter(|held| is_live(held))?;
        let patch = index.tightening_patch(draft, there, rules);
        let object = index.held.object_of(there);
        patch
            .is_reason
            .then(|| Planned::new(draft.uuid, object, Subject::Retained, Action::Change(patch)))
    };

    let retained = wanted.kept.iter();
    retained
        .filter(|draft| !handled.contains(&draft.uuid))
        .filter_map(tighten)
        .collect()
}

/// The tags that are passed on with what they are on: a local tag marks it for nobody else.
pub fn shared_tags<'t>(
    tags: impl Iterator<Item = (&'t str, bool)>,
) -> impl Iterator<Item = &'t str> {
    tags.filter(|(_, is_local)| !is_local).map(|(name, _)| name)
}

/// The tags that an event or an attribute has in MISP.
struct HeldTags<'t> {
    /// Those that are there for everybody.
    shared: Vec<&'t str>,
    local: Vec<&'t str>,
}

impl<'t> HeldTags<'t> {
    fn new(tags: impl Iterator<Item = (&'t str, bool)>) -> Self {
        let (mut shared, mut local) = (Vec::new(), Vec::new());
        for (name, is_local) in tags {
            if is_local { &mut local } else { &mut shared }.push(name);
        }

        Self { shared, local }
    }

    fn tlp(&self) -> Option<Tlp> {
        Tlp::from_plain_tags(self.shared.iter().copied())
    }

    fn pap(&self) -> Option<Pap> {
        Pap::from_plain_tags(self.shared.iter().copied())
    }

    fn has(&self, tag: &str) -> bool {
        self.shared.iter().any(|name| is_same_tag(name, tag))
    }

    /// True if there is a tag that people added: no marking, and none that is wanted.
    fn has_foreign(&self, wanted: &[String]) -> bool {
        self.shared.iter().any(|name| {
            let is_marking = Tlp::from_tag(name).is_some() || Pap::from_tag(name).is_some();
            !is_marking && !wanted.iter().any(|tag| is_same_tag(tag, name))
        })
    }
}

fn is_same_tag(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// What changes of the tags of an event or an attribute.
struct TagChanges<'p> {
    add: &'p mut Vec<String>,
    drop: &'p mut Vec<String>,
}

impl<'p> TagChanges<'p> {
    fn of(add: &'p mut Vec<String>, drop: &'p mut Vec<String>) -> Self {
        Self { add, drop }
    }

    /// Adds a tag for everybody, in place of those that it replaces and of a local one of its name:
    /// MISP keeps one of each, and leaves it local when it is added again (`EventTag.php`,
    /// `attachTagToEvent`).
    fn replace(&mut self, tag: String, held: &HeldTags<'_>, replaces: impl Fn(&str) -> bool) {
        let replaced = held.shared.iter().filter(|name| replaces(name));
        let local = held.local.iter().find(|name| is_same_tag(name, &tag));
        let dropped = replaced.chain(local).map(ToString::to_string);
        self.drop.extend(dropped);
        self.add.push(tag);
    }

    /// Sets a TLP in place of laxer ones, if its tag can be set; true if so.
    fn tighten_tlp(&mut self, wanted: Tlp, held: &HeldTags<'_>, tags: &TagResolution) -> bool {
        let tag = tags.resolve(wanted.tag());
        let is_set = tag.is_some();
        if let Some(tag) = tag {
            self.replace(tag, held, |name| {
                Tlp::from_tag(name).is_some_and(|tlp| tlp < wanted)
            });
        }

        is_set
    }

    /// Adds the tags that can be set and that no tag excludes which is there. Gives what is said
    /// of those that are excluded.
    fn add_missing<'w>(
        &mut self,
        missing: impl Iterator<Item = &'w String>,
        held: &HeldTags<'_>,
        tags: &TagResolution,
    ) -> Vec<String> {
        let mut conflicts = Vec::new();

        for tag in missing.filter_map(|tag| tags.resolve(tag)) {
            match tags.find_rival(&tag, held.shared.iter().copied()) {
                Some(rival) => conflicts.push(setting_tags::describe_conflict(&tag, rival)),
                None => self.replace(tag, held, |_| false),
            }
        }

        conflicts
    }
}

/// What MISP did not take of a new attribute.
pub fn describe_unfinished(patch: &AttributePatch) -> String {
    let has_tags = !patch.add_tags.is_empty() || !patch.drop_tags.is_empty();
    join_applying([
        ("tags", has_tags),
        ("distribution", patch.close),
        ("to_ids", patch.to_ids.is_some()),
    ])
}

/// What changes on the event itself, and what differs and is left.
pub fn event_patch(
    wanted: &EventDraft,
    held: &EventContent,
    rules: &DiffContext<'_>,
) -> (EventPatch, Vec<String>) {
    let event = &held.event;
    if wanted.role == EventRole::Into {
        return (EventPatch::default(), Vec::new());
    }
    let report = case_report::compare(&wanted.report, wanted.tlp, &held.reports, rules.is_public);
    // Nothing of such a case goes into a feed, not even its title; the report of it leaves.
    if rules.is_public && wanted.tlp.forbids_sharing() {
        let patch = EventPatch {
            is_reason: report.is_reason,
            report: report.change,
            ..EventPatch::default()
        };
        return (patch, Vec::new());
    }

    let is_ours = !wanted.only_tightens && !wanted.role.is_guest();
    let higher = event
        .threat_level_id
        // 4 is undefined, and so below all others.
        .is_none_or(|level| level == 4 || i64::from(wanted.threat_level) < level);
    let further = event
        .analysis
        .is_none_or(|analysis| i64::from(wanted.analysis) > analysis);
    let mut patch = EventPatch {
        info: (event.info != wanted.info && is_ours).then(|| wanted.info.clone()),
        threat_level: (higher && is_ours).then_some(wanted.threat_level),
        analysis: (further && wanted.analysis > 0 && is_ours).then_some(wanted.analysis),
        close: wanted.tlp.forbids_sharing() && event.distribution != Some(0),
        report: report.change,
        ..EventPatch::default()
    };

    let tags = HeldTags::new(event.tags_with_local_flag());
    let (is_tlp_set, mut remarks) = patch_event_tags(wanted, &tags, rules.tags, &mut patch);
    patch.is_reason = is_tlp_set || patch.close || report.is_reason;
    remarks.extend(report.remark);
    remarks.extend(describe_left_as_is(wanted, event, &tags, rules));

    (patch, remarks)
}

/// The event's tags: its TLP and PAP towards the stricter, and what it has not of the others. Gives
/// whether its TLP changes, and what is left as it is.
fn patch_event_tags(
    wanted: &EventDraft,
    held: &HeldTags<'_>,
    tags: &TagResolution,
    patch: &mut EventPatch,
) -> (bool, Vec<String>) {
    let mut changes = TagChanges::of(&mut patch.add_tags, &mut patch.drop_tags);
    let mut remarks = Vec::new();
    let is_laxer = held.tlp().is_none_or(|tlp| tlp < wanted.tlp);
    let is_tlp_set = is_laxer && changes.tighten_tlp(wanted.tlp, held, tags);

    if let Some(pap) = wanted.pap {
        if held.pap().is_none_or(|held| held < pap) {
            if let Some(tag) = tags.resolve(pap.tag()) {
                changes.replace(tag, held, |name| {
                    Pap::from_tag(name).is_some_and(|held| held < pap)
                });
            }
        } else if held.pap() > Some(pap) {
            remarks.push(describe_stricter("PAP", pap.word()));
        }
    }

    let missing = wanted.tags.iter().filter(|tag| !held.has(tag));
    let conflicts = changes.add_missing(missing, held, tags);
    remarks.extend(conflicts.into_iter().map(|conflict| {
        format!(
            "{conflict}; what is there stays, since a person may have set it: take it off in \
             MISP, and the next export sets the case's"
        )
    }));

    (is_tlp_set, remarks)
}

fn describe_stricter(marking: &str, of_case: &str) -> String {
    format!(
        "the event's {marking} is stricter in MISP than {of_case}, the case's; it is left as it is"
    )
}

/// What differs on the event itself and is left as people set it.
fn describe_left_as_is(
    wanted: &EventDraft,
    event: &Event,
    tags: &HeldTags<'_>,
    rules: &DiffContext<'_>,
) -> Vec<String> {
    if wanted.role.is_guest() {
        return Vec::new();
    }

    let is_stricter = tags.tlp() > Some(wanted.tlp);
    let stricter = is_stricter.then(|| describe_stricter("TLP", wanted.tlp.word()));
    let distribution = u64::try_from(event.distribution.unwrap_or(0));
    let may_be_shared = !rules.is_public && !wanted.tlp.forbids_sharing();
    let threat_level = i64::from(wanted.threat_level);
    let analysis = i64::from(wanted.analysis);

    let differing = join_applying([
        ("date", event.date != wanted.date && !event.date.is_empty()),
        (
            "threat level",
            event
                .threat_level_id
                .is_some_and(|held| held < threat_level),
        ),
        (
            "analysis",
            event.analysis.is_some_and(|held| held > analysis),
        ),
        (
            "distribution",
            may_be_shared && distribution.is_ok_and(|held| held != wanted.distribution),
        ),
        (
            "tags",
            !wanted.only_tightens && tags.has_foreign(&wanted.tags),
        ),
    ]);
    let differing = (!differing.is_empty())
        .then(|| format!("the event differs in MISP, left as it is: {differing}"));

    stricter.into_iter().chain(differing).collect()
}
