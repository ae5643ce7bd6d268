//! The plan of an export, as a value: what is wanted, compared with what the event on a MISP holds.
//! Pure: it can be printed (a dry run), counted (the ledger), carried out, and made again: a second
//! run plans nothing, and after a write the same comparison says what arrived.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::diff::{self, EventIndex};
use super::draft::EventDraft;
use super::options::RemovedIocPolicy;
use super::retraction::{self, RetractAction, Retraction};
use crate::ids::Ids;
use crate::misp::EventContent;
use crate::misp::changes::{AttributeEdit, AttributePatch, EventChanges, EventHeader, EventPatch};
use crate::misp::draft::AttributeDraft;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::write_log::WriteLog;
use crate::report::ledger::Verdict;

/// What a plan has to know beside the two things it compares.
#[derive(Clone, Copy, Debug)]
pub struct DiffContext<'a> {
    /// Which uuids are ours.
    pub ids: &'a Ids,
    /// What becomes of attributes that are wanted no more.
    pub removed: RemovedIocPolicy,
    /// Why nothing may be retracted: the case was not read as a whole, or is not ours alone; none
    /// if all is well.
    pub whole: Result<(), &'a str>,
    /// False for a single observable: what else the event holds is not looked at.
    pub is_case: bool,
    /// True where everyone can read it: a feed.
    pub is_public: bool,
    /// The names that tags have there, and those that cannot be set.
    pub tags: &'a TagResolution,
}

/// What is to be done with one wanted attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeAction {
    /// It is not there: add it.
    Add,
    /// It is there: change it.
    Change(AttributePatch),
    /// It is there: leave it. The text is a remark.
    Leave(Option<String>),
    /// It is left out, by this rule.
    Skip(String),
}

/// A change of an attribute that is neither wanted nor retracted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedAttribute {
    /// The attribute.
    pub uuid: Uuid,
    /// The object it is in.
    pub object: Option<Uuid>,
    /// What changes.
    pub change: AttributePatch,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// True if the event has to be made.
    pub create: bool,
    /// What changes on the event itself.
    pub head: EventPatch,
    /// One step for each wanted attribute, in its order.
    pub steps: Vec<AttributeAction>,
    /// What becomes of attributes of ours that are wanted no more.
    pub retractions: Vec<Retraction>,
    /// Attributes of ours that are not wanted any more and stay, by a stricter TLP.
    pub kept: Vec<RetainedAttribute>,
    /// Objects that are not there yet.
    pub new_objects: HashSet<Uuid>,
    /// Objects of ours whose distribution becomes 0.
    pub closed_objects: BTreeSet<Uuid>,
    /// True if the event is published and new IOCs are the only reason to touch it: they go first,
    /// and all else waits if MISP takes none of them.
    pub is_additions_first: bool,
    /// How many attributes, an object counted once, are there for organisations that the case is
    /// shared with, and are none of this export's.
    pub brought: usize,
    /// What differs and is left as it is.
    pub remarks: Vec<String>,
    /// What a person has to act on.
    pub alarms: Vec<String>,
}

/// What became of an attribute, with a remark.
pub type AttributeResult = (Verdict, Option<String>);

impl Plan {
    /// Compares what is wanted with what is held.
    pub fn new(wanted: &EventDraft, held: Option<&EventContent>, rules: &DiffContext<'_>) -> Self {
        let Some(held) = held else {
            let new_objects = wanted.objects.iter().map(|object| object.uuid).collect();
            let steps = vec![AttributeAction::Add; wanted.attributes.len()];
            return Self {
                create: true,
                steps,
                new_objects,
                ..Self::default()
            };
        };

        let index = EventIndex::new(held, rules.ids);
        let (head, remarks) = diff::event_patch(wanted, held, rules);
        let (retractions, alarms) = retraction::plan_all(wanted, held, rules);
        let held_objects: HashSet<_> = held.objects.values().collect();
        let is_new = |object: &Uuid| !held_objects.contains(object);

        let mut plan = Self {
            create: false,
            head,
            steps: index.decide_actions(&wanted.attributes, rules),
            retractions,
            kept: Vec::new(),
            new_objects: wanted
                .objects
                .iter()
                .map(|object| object.uuid)
                .filter(is_new)
                .collect(),
            closed_objects: BTreeSet::new(),
            is_additions_first: false,
            brought: retraction::find_brought(wanted, held, rules).len(),
            remarks,
            alarms,
        };

        plan.kept = diff::tighten_retained(wanted, &plan.steps, held, &index, rules);
        let edited: HashSet<Uuid> = plan.edits(wanted).map(|edit| edit.uuid).collect();
        plan.kept
            .extend(retraction::restrict_unedited(wanted, held, &edited, rules));
        plan.closed_objects = retraction::objects_to_restrict(wanted, held, rules);

        if wanted.only_tightens {
            plan.new_objects.clear();
            let additions = plan
                .steps
                .iter_mut()
                .filter(|step| **step == AttributeAction::Add);
            additions.for_each(|step| *step = AttributeAction::Skip(ELSEWHERE.to_owned()));
        }

        if held.event.published == Some(true)
            && !rules.is_public
            && !plan.has_other_unpublish_reason()
        {
            if plan.adds_iocs(wanted) {
                plan.is_additions_first = true;
            } else {
                plan.postpone_minor_changes(wanted);
            }
        }

        plan
    }

    /// True if something becomes visible to fewer.
    pub fn restricts_visibility(&self) -> bool {
        let closes = |step: &AttributeAction| matches!(step, AttributeAction::Change(change) if change.close);
        self.head.close || !self.kept.is_empty() || self.steps.iter().any(closes)
    }

    /// The plan for an event that came by synchronisation: nothing is written, and what had to be
    /// is told.
    pub fn into_read_only(self, wanted: &EventDraft) -> Self {
        let skip = AttributeAction::Skip("managed on another MISP".to_owned());
        let remark = "the event came here by synchronisation: it is managed on another MISP, and \
            nothing is written";
        let retracted = self
            .retractions
            .iter()
            .filter(|one| one.needs_write())
            .count();

        let mut undone = Vec::new();
        undone.extend(
            self.restricts_visibility()
                .then(|| format!("what became {} is still open to others", wanted.tlp.word())),
        );
        undone.extend((retracted > 0).then(|| match retracted {
            1 => "1 attribute that is no IOC any more stays as it was".to_owned(),
            more => format!("{more} attributes that are no IOCs any more stay as they were"),
        }));
        let mut alarms = self.alarms;
        alarms.extend((!undone.is_empty()).then(|| {
            format!(
                "the event is managed on another MISP, and not brought in line: {}; change it \
                 there",
                undone.join(", ")
            )
        }));

        Self {
            steps: vec![skip; wanted.attributes.len()],
            remarks: vec![remark.to_owned()],
            alarms,
            ..Self::default()
        }
    }

    /// True if there is a reason beside new IOCs to touch a published event, which unpublishes it:
    /// a retraction or its reversal, a stricter TLP.
    fn has_other_unpublish_reason(&self) -> bool {
        let mut changes = self
            .steps
            .iter()
            .map(|step| matches!(step, AttributeAction::Change(change) if change.is_reason));
        let of_rest = self.retractions.iter().any(Retraction::needs_write)
            || self.tightens_retained_or_objects();
        self.head.is_reason || of_rest || changes.any(|is_reason| is_reason)
    }

    fn adds_iocs(&self, wanted: &EventDraft) -> bool {
        self.additions(wanted).any(is_ioc)
    }

    /// Puts off what is no reason to touch a published event.
    pub fn postpone_minor_changes(&mut self, wanted: &EventDraft) {
        let mut waiting = Vec::new();
        if !self.head.is_empty() {
            waiting.push(self.head.changed_fields());
            self.head = EventPatch::default();
        }

        for (step, attribute) in self.steps.iter_mut().zip(&wanted.attributes) {
            let put_off = match step {
                AttributeAction::Add if is_ioc(attribute) => continue,
                AttributeAction::Add => AttributeAction::Skip(WAITS.to_owned()),
                AttributeAction::Change(change) => {
                    AttributeAction::Leave(Some(join_remarks(change.remark.take(), WAITS)))
                }
                AttributeAction::Leave(_) | AttributeAction::Skip(_) => continue,
            };

            waiting.push(format!("{} {}", attribute.kind, attribute.value));
            *step = put_off;
        }

        if !waiting.is_empty() {
            let number = waiting.len();
            let first: Vec<_> = waiting.into_iter().take(NAMED).collect();
            self.remarks.push(format!(
                "the event is published, so {number} differences wait for the next change of its \
                 IOCs: {}",
                first.join("; ")
            ));
        }
    }

    /// True if nothing is to be written.
    pub fn is_empty(&self) -> bool {
        let is_write = |step: &AttributeAction| {
            matches!(step, AttributeAction::Add | AttributeAction::Change(_))
        };
        let is_any_write =
            self.steps.iter().any(is_write) || self.retractions.iter().any(Retraction::needs_write);
        !self.changes_event() && !is_any_write && !self.tightens_retained_or_objects()
    }

    /// What is to be written, as a MISP takes it.
    pub fn to_event_changes<'a>(&'a self, wanted: &'a EventDraft) -> EventChanges<'a> {
        let header = EventHeader {
            info: &wanted.info,
            date: &wanted.date,
            threat_level: wanted.threat_level,
            analysis: wanted.analysis,
            distribution: wanted.distribution,
            sharing_group: wanted.sharing_group,
            extends: wanted.extends,
            tags: wanted.event_tags().collect(),
            organisation: &wanted.organisation,
        };

        let removed = self
            .retractions
            .iter()
            .filter(|one| one.act == RetractAction::Remove);
        let objects = wanted.objects.iter().map(|object| object.uuid);

        EventChanges {
            uuid: wanted.uuid,
            create: self.create,
            header,
            event: &self.head,
            edits: self.edits(wanted).collect(),
            additions: self.additions(wanted).collect(),
            removals: removed.map(|one| one.uuid).collect(),
            new_objects: objects
                .filter(|object| self.new_objects.contains(object))
                .collect(),
            closed_objects: &self.closed_objects,
            is_additions_first: self.is_additions_first,
        }
    }

    /// True if something that is not wanted, or an object, becomes stricter.
    fn tightens_retained_or_objects(&self) -> bool {
        !self.kept.is_empty() || !self.closed_objects.is_empty()
    }

    fn changes_event(&self) -> bool {
        self.create || !self.head.is_empty()
    }

    /// How many things are still to be written, without what was refused already.
    pub fn count_pending(&self, wanted: &EventDraft, sending: &WriteLog) -> usize {
        let is_open = |uuid: &Uuid| !sending.reasons.contains_key(uuid);
        let retractions = self
            .retractions
            .iter()
            .filter(|one| one.needs_write() && is_open(&one.uuid))
            .count();

        let kept = self.kept.iter().filter(|one| is_open(&one.uuid)).count();

        let steps = self
            .steps
            .iter()
            .zip(&wanted.attributes)
            .filter(|(step, attribute)| {
                matches!(step, AttributeAction::Add | AttributeAction::Change(_))
                    && is_open(&attribute.uuid)
            });

        usize::from(self.create)
            + usize::from(!self.head.is_empty())
            + steps.count()
            + retractions
            + kept
            + self.closed_objects.len()
    }

    /// What became of the event itself.
    pub fn event_verdict(&self, sending: &WriteLog) -> Verdict {
        match (self.create, sending.was_taken) {
            (true, false) => Verdict::Created,
            (true, true) if sending.had_effect() => Verdict::Updated,
            (true, true) => Verdict::Unchanged,
            (false, _) if self.is_empty() || !sending.had_effect() => Verdict::Unchanged,
            (false, _) => Verdict::Updated,
        }
    }

    /// What would become of the event itself.
    pub fn forecast_event(&self) -> Verdict {
        match (self.create, self.is_empty()) {
            (true, _) => Verdict::Created,
            (false, true) => Verdict::Unchanged,
            (false, false) => Verdict::Updated,
        }
    }

    /// True if tags of what is there are changed.
    pub fn sets_tags(&self, wanted: &EventDraft) -> bool {
        let of_head = !self.head.add_tags.is_empty() || !self.head.drop_tags.is_empty();
        of_head
            || self
                .edits(wanted)
                .any(|edit| !edit.change.add_tags.is_empty() || !edit.change.drop_tags.is_empty())
    }

    /// True if a tag of an attribute is taken off to be added again, as one that is there locally
    /// has to be: MISP adds before it takes off (`AttributeTag.php`), so that the shared one is set
    /// only by a second edit.
    pub fn replaces_local_tags(&self, wanted: &EventDraft) -> bool {
        let is_both = |change: &AttributePatch| {
            change
                .add_tags
                .iter()
                .any(|tag| change.drop_tags.contains(tag))
        };

        self.edits(wanted).any(|edit| is_both(edit.change))
    }

    /// The attributes to add.
    pub fn additions<'a>(
        &'a self,
        wanted: &'a EventDraft,
    ) -> impl Iterator<Item = &'a AttributeDraft> {
        let steps = wanted.attributes.iter().zip(&self.steps);
        steps
            .filter(|(_, step)| **step == AttributeAction::Add)
            .map(|(attribute, _)| attribute)
    }

    /// The attributes to change, retractions first.
    pub fn edits<'a>(&'a self, wanted: &'a EventDraft) -> impl Iterator<Item = AttributeEdit<'a>> {
        let retractions = self.retractions.iter().filter_map(|one| match &one.act {
            RetractAction::Change(change) => Some(AttributeEdit {
                uuid: one.uuid,
                object: one.object,
                change,
            }),
            RetractAction::Remove | RetractAction::Skip(_) | RetractAction::Done => None,
        });

        let steps = wanted
            .attributes
            .iter()
            .zip(&self.steps)
            .filter_map(|(attribute, step)| match step {
                AttributeAction::Change(change) => {
                    let object = attribute.place.as_ref().map(|place| place.object);
                    Some(AttributeEdit {
                        uuid: change.instead.unwrap_or(attribute.uuid),
                        object,
                        change,
                    })
                }
                AttributeAction::Add | AttributeAction::Leave(_) | AttributeAction::Skip(_) => None,
            });

        let kept = self.kept.iter().map(|one| AttributeEdit {
            uuid: one.uuid,
            object: one.object,
            change: &one.change,
        });

        retractions.chain(steps).chain(kept)
    }

    /// How many attributes that are not deleted the event would hold, if it holds so many now.
    pub fn count_live_after(&self, wanted: &EventDraft, live: usize) -> usize {
        let removed = self
            .retractions
            .iter()
            .filter(|one| one.act == RetractAction::Remove)
            .count();

        let made = |deleted: bool| {
            self.edits(wanted)
                .filter(|edit| edit.change.deleted == Some(deleted))
                .count()
        };

        (live + self.additions(wanted).count() + made(false)).saturating_sub(removed + made(true))
    }
}

/// True for what is an IOC itself, not the file that its hashes stand for.
fn is_ioc(attribute: &AttributeDraft) -> bool {
    attribute.to_ids && attribute.file.is_none()
}

const ELSEWHERE: &str = "in another event of the case";
const WAITS: &str = "waits for the next change";
/// Differences that a remark names.
const NAMED: usize = 5;

fn join_remarks(first: Option<String>, second: &str) -> String {
    first.map_or_else(|| second.to_owned(), |first| format!("{first}; {second}"))
}

mod outcomes;
#[cfg(test)]
mod tests;
