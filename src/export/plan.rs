//! The plan of an export, as a value: what is wanted, compared with what the event on a MISP holds.
//! Pure: it can be printed (a dry run), counted (the ledger), carried out, and made again: a second
//! run plans nothing, and after a write the same comparison says what arrived.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::case_report;
use super::diff::{self, EventIndex};
use super::draft::EventDraft;
use super::options::RemovedIocPolicy;
use super::retraction;
use super::verdicts::{AttributeResult, Remark, SkipRule};
use crate::ids::Ids;
use crate::misp::EventContent;
use crate::misp::changes::{AttributeEdit, AttributePatch, EventChanges, EventHeader, EventPatch};
use crate::misp::draft::AttributeDraft;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::write_log::WriteLog;
use crate::report::ledger::Verdict;
use crate::text::format_count;

/// What a plan has to know beside the two things it compares.
#[derive(Clone, Copy, Debug)]
pub struct DiffContext<'a> {
    /// Which uuids are ours.
    pub ids: &'a Ids,
    /// What becomes of attributes that are wanted no more.
    pub removed: RemovedIocPolicy,
    /// Why nothing may be retracted: the case was not read as a whole, or is not ours alone; none
    /// if all is well.
    pub whole: Result<(), &'a SkipRule>,
    /// False for a single observable: what else the event holds is not looked at.
    pub is_case: bool,
    /// True where everyone can read it: a feed.
    pub is_public: bool,
    /// The names that tags have there, and those that cannot be set.
    pub tags: &'a TagResolution,
}

/// What is to be done with one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The attribute that is there; if there is none, the uuid that it gets. Of a wanted one that
    /// somebody else added, or that is there as another of ours, it is that one's.
    pub uuid: Uuid,
    /// The object it is in.
    pub object: Option<Uuid>,
    pub subject: Subject,
    pub action: Action,
    pub remarks: Vec<Remark>,
}

/// Which attributes a plan has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One that is wanted.
    Wanted,
    /// One of ours that is not wanted any more, or may not go out any more.
    Unwanted(Unwanted),
    /// One of ours that is neither wanted nor retracted, and becomes stricter.
    Retained,
}

/// What a report says of an attribute that is not wanted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwanted {
    /// Category and type.
    pub attribute: String,
    pub value: String,
    /// True if it stays an IOC of the case, and is only closed, since it may not go out any more.
    pub is_closing: bool,
}

/// What is done with an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Add,
    Change(AttributePatch),
    /// It is taken out: a feed shows everything to everyone.
    Remove,
    Leave,
    Skip(SkipRule),
}

impl Action {
    pub fn needs_write(&self) -> bool {
        matches!(self, Self::Add | Self::Change(_) | Self::Remove)
    }

    fn patch(&self) -> Option<&AttributePatch> {
        match self {
            Self::Change(patch) => Some(patch),
            Self::Add | Self::Remove | Self::Leave | Self::Skip(_) => None,
        }
    }

    /// True if a published event is touched for it, which unpublishes it. New IOCs are told apart:
    /// they go first.
    fn justifies_unpublish(&self) -> bool {
        match self {
            Self::Change(patch) => patch.is_reason,
            Self::Remove => true,
            Self::Add | Self::Leave | Self::Skip(_) => false,
        }
    }

    /// What would become of the attribute if the plan were carried out.
    fn forecast(&self) -> Verdict {
        match self {
            Self::Add => Verdict::Created,
            Self::Change(_) | Self::Remove => Verdict::Updated,
            Self::Leave => Verdict::Unchanged,
            Self::Skip(rule) => rule.clone().into(),
        }
    }
}

impl Planned {
    pub fn new(uuid: Uuid, object: Option<Uuid>, subject: Subject, action: Action) -> Self {
        let remarks = Vec::new();
        Self {
            uuid,
            object,
            subject,
            action,
            remarks,
        }
    }

    /// What is done with a wanted attribute; `uuid` is that of the one that is there.
    pub fn wanted(draft: &AttributeDraft, uuid: Uuid, action: Action) -> Self {
        Self::new(uuid, draft.object(), Subject::Wanted, action)
    }

    pub fn unwanted(&self) -> Option<&Unwanted> {
        match &self.subject {
            Subject::Unwanted(unwanted) => Some(unwanted),
            Subject::Wanted | Subject::Retained => None,
        }
    }

    /// True for an attribute of an earlier export that is not wanted any more, and is to be
    /// changed or taken out.
    fn retracts(&self) -> bool {
        self.unwanted().is_some() && self.action.needs_write()
    }

    fn forecast(&self) -> AttributeResult {
        AttributeResult::new(self.action.forecast(), self.remarks.clone())
    }
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// True if the event has to be made.
    pub create: bool,
    /// What changes on the event itself.
    pub head: EventPatch,
    /// What is done with each attribute: first the wanted ones, in their order, then those that
    /// are wanted no more, then those that only become stricter.
    pub attributes: Vec<Planned>,
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

impl Plan {
    /// What is to be done to bring an event in line. A published event is touched only for its
    /// IOCs: all else waits for the next change of them.
    pub fn new(wanted: &EventDraft, held: Option<&EventContent>, rules: &DiffContext<'_>) -> Self {
        let mut plan = Self::compare(wanted, held, rules);
        let is_published = held.is_some_and(|held| held.event.published == Some(true));

        if is_published && !rules.is_public && !plan.has_other_unpublish_reason() {
            let adds_iocs = plan.additions(wanted).any(is_ioc);
            plan.is_additions_first = adds_iocs;
            if !adds_iocs {
                plan.postpone_minor_changes(wanted);
            }
        }

        plan
    }

    /// Compares what is wanted with what is held: all that differs, whether it may wait or not.
    pub fn compare(
        wanted: &EventDraft,
        held: Option<&EventContent>,
        rules: &DiffContext<'_>,
    ) -> Self {
        let objects = wanted.objects.iter().copied();
        let Some(held) = held else {
            let add = |draft| Planned::wanted(draft, draft.uuid, Action::Add);
            let report = case_report::compare(&wanted.report, wanted.tlp, &[], rules.is_public);
            return Self {
                create: true,
                head: EventPatch {
                    report: report.change,
                    ..EventPatch::default()
                },
                attributes: wanted.attributes.iter().map(add).collect(),
                new_objects: objects.collect(),
                ..Self::default()
            };
        };

        let index = EventIndex::new(held, rules.ids);
        let (head, remarks) = diff::event_patch(wanted, held, rules);
        let (unwanted, alarms) = retraction::plan_all(wanted, &index, rules);

        // The wanted ones stand first and in their order, which `results` counts on.
        let mut attributes = index.decide_actions(&wanted.attributes, rules);
        let retained = diff::tighten_retained(wanted, &attributes, &index, rules);
        attributes.extend(unwanted.into_iter().chain(retained));
        let edits = attributes
            .iter()
            .filter(|planned| planned.action.patch().is_some());
        let edited: HashSet<Uuid> = edits.map(|planned| planned.uuid).collect();
        attributes.extend(retraction::restrict_unedited(wanted, held, &edited, rules));

        let held_objects: HashSet<_> = held.objects.values().collect();
        let mut plan = Self {
            create: false,
            head,
            attributes,
            new_objects: objects
                .filter(|uuid| !held_objects.contains(uuid))
                .collect(),
            closed_objects: retraction::objects_to_restrict(wanted, held, rules),
            is_additions_first: false,
            brought: retraction::find_brought(wanted, held, rules).len(),
            remarks,
            alarms,
        };

        // Nothing is added to an event that is only brought in line.
        if wanted.only_tightens {
            plan.new_objects.clear();
            for planned in &mut plan.attributes {
                if planned.action == Action::Add {
                    planned.action = Action::Skip(SkipRule::InOtherEvent);
                }
            }
        }

        plan
    }

    /// How many attributes that are neither wanted nor retracted become stricter.
    pub fn count_retained(&self) -> usize {
        let all = self.attributes.iter();
        all.filter(|planned| planned.subject == Subject::Retained)
            .count()
    }

    /// True if something becomes visible to fewer.
    pub fn restricts_visibility(&self) -> bool {
        let restricts = |planned: &Planned| match planned.subject {
            Subject::Wanted => planned.action.patch().is_some_and(|patch| patch.close),
            Subject::Unwanted(_) => false,
            Subject::Retained => true,
        };

        self.head.close || self.attributes.iter().any(restricts)
    }

    /// The plan for an event that came by synchronisation: nothing is written, and what had to be
    /// is told.
    pub fn into_read_only(self, wanted: &EventDraft) -> Self {
        let remark = "the event came here by synchronisation: it is managed on another MISP, and \
            nothing is written";
        let retracted = self
            .attributes
            .iter()
            .filter(|planned| planned.retracts())
            .count();

        let mut undone = Vec::new();
        if self.restricts_visibility() {
            undone.push(format!(
                "what became {} is still open to others",
                wanted.tlp.word()
            ));
        }
        if retracted > 0 {
            undone.push(format_count(
                retracted as u64,
                "attribute that is no IOC any more stays as it was",
                "attributes that are no IOCs any more stay as they were",
            ));
        }

        let mut alarms = self.alarms;
        if !undone.is_empty() {
            alarms.push(format!(
                "the event is managed on another MISP, and not brought in line: {}; change it \
                 there",
                undone.join(", ")
            ));
        }

        let skip =
            |draft| Planned::wanted(draft, draft.uuid, Action::Skip(SkipRule::ManagedElsewhere));

        Self {
            attributes: wanted.attributes.iter().map(skip).collect(),
            remarks: vec![remark.to_owned()],
            alarms,
            ..Self::default()
        }
    }

    /// True if there is a reason beside new IOCs to touch a published event: a retraction or its
    /// reversal, a stricter TLP.
    fn has_other_unpublish_reason(&self) -> bool {
        let mut actions = self.attributes.iter().map(|planned| &planned.action);
        self.head.is_reason
            || !self.closed_objects.is_empty()
            || actions.any(Action::justifies_unpublish)
    }

    /// Puts off what is no reason to touch a published event.
    pub fn postpone_minor_changes(&mut self, wanted: &EventDraft) {
        /// Differences that the remark names.
        const NAMED: usize = 5;

        let mut waiting = Vec::new();
        if !self.head.is_empty() {
            waiting.push(self.head.changed_fields());
            self.head = EventPatch::default();
        }

        // The wanted ones stand first in a plan, so that no retraction is among these.
        for (planned, draft) in self.attributes.iter_mut().zip(&wanted.attributes) {
            match planned.action {
                Action::Add if !is_ioc(draft) => planned.action = Action::Skip(SkipRule::Waits),
                Action::Change(_) => {
                    planned.action = Action::Leave;
                    let waits = Remark::Text(SkipRule::Waits.to_string());
                    planned.remarks.push(waits);
                }
                Action::Add | Action::Remove | Action::Leave | Action::Skip(_) => continue,
            }

            waiting.push(format!("{} {}", draft.kind, draft.value));
        }

        if !waiting.is_empty() {
            let number = waiting.len();
            waiting.truncate(NAMED);
            self.remarks.push(format!(
                "the event is published, so {number} differences wait for the next change of its \
                 IOCs: {}",
                waiting.join("; ")
            ));
        }
    }

    /// True if nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.count_pending(&WriteLog::default()) == 0
    }

    /// How many things are still to be written, without what was refused already.
    pub fn count_pending(&self, log: &WriteLog) -> usize {
        let attributes = self
            .attributes
            .iter()
            .filter(|planned| planned.action.needs_write() && log.may_send(&planned.uuid));

        usize::from(self.create)
            + usize::from(!self.head.is_empty())
            + self.closed_objects.len()
            + attributes.count()
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
            .attributes
            .iter()
            .filter(|planned| planned.action == Action::Remove);
        let objects = wanted.objects.iter().copied();

        EventChanges {
            uuid: wanted.uuid,
            create: self.create,
            header,
            event: &self.head,
            edits: self.edits(),
            additions: self.additions(wanted).collect(),
            removals: removed.map(|planned| planned.uuid).collect(),
            new_objects: objects
                .filter(|object| self.new_objects.contains(object))
                .collect(),
            closed_objects: &self.closed_objects,
            is_additions_first: self.is_additions_first,
        }
    }

    /// The attributes to add.
    pub fn additions<'a>(
        &'a self,
        wanted: &'a EventDraft,
    ) -> impl Iterator<Item = &'a AttributeDraft> {
        let attributes = wanted.attributes.iter().zip(&self.attributes);
        attributes
            .filter(|(_, planned)| planned.action == Action::Add)
            .map(|(draft, _)| draft)
    }

    /// The attributes to change, retractions first.
    pub fn edits(&self) -> Vec<AttributeEdit<'_>> {
        let (retractions, others): (Vec<&Planned>, Vec<&Planned>) = self
            .attributes
            .iter()
            .partition(|planned| planned.unwanted().is_some());

        let mut edits = Vec::new();
        for planned in retractions.into_iter().chain(others) {
            edits.extend(planned.action.patch().map(|change| AttributeEdit {
                uuid: planned.uuid,
                object: planned.object,
                change,
            }));
        }

        edits
    }

    fn patches(&self) -> impl Iterator<Item = &AttributePatch> {
        let actions = self.attributes.iter().map(|planned| &planned.action);
        actions.filter_map(Action::patch)
    }

    /// True if tags of what is there are changed.
    pub fn sets_tags(&self) -> bool {
        let is_tagged = |add: &[String], drop: &[String]| !add.is_empty() || !drop.is_empty();
        is_tagged(&self.head.add_tags, &self.head.drop_tags)
            || self
                .patches()
                .any(|patch| is_tagged(&patch.add_tags, &patch.drop_tags))
    }

    /// True if a tag of an attribute is taken off to be added again, as one that is there locally
    /// has to be: MISP adds before it takes off (`AttributeTag.php`), so that the shared one is set
    /// only by a second edit.
    pub fn replaces_local_tags(&self) -> bool {
        self.patches().any(|patch| {
            let mut added = patch.add_tags.iter();
            added.any(|tag| patch.drop_tags.contains(tag))
        })
    }

    /// How many attributes that are not deleted the event would hold, if it holds so many now.
    pub fn count_live_after(&self, live: usize) -> usize {
        let (mut more, mut less) = (0, 0);

        for planned in &self.attributes {
            match &planned.action {
                Action::Add => more += 1,
                Action::Remove => less += 1,
                Action::Change(patch) if patch.deleted == Some(false) => more += 1,
                Action::Change(patch) if patch.deleted == Some(true) => less += 1,
                Action::Change(_) | Action::Leave | Action::Skip(_) => {}
            }
        }

        (live + more).saturating_sub(less)
    }

    /// What became of the event itself.
    pub fn event_verdict(&self, log: &WriteLog) -> Verdict {
        // If another run was faster, the event is none of this run's making.
        match (self.create, log.was_taken) {
            (true, false) => Verdict::Created,
            (false, _) if self.is_empty() => Verdict::Unchanged,
            _ if log.had_effect() => Verdict::Updated,
            _ => Verdict::Unchanged,
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

    /// What would become of each attribute if the plan were carried out.
    pub fn forecast_results(&self) -> Vec<AttributeResult> {
        self.attributes.iter().map(Planned::forecast).collect()
    }

    /// What became of each attribute, in the order of [`Plan::attributes`]: by the plan that was
    /// made of what the event holds now, not by what the MISP answered. Without such a plan, and of
    /// what is still on its way, nobody knows more than the log says.
    pub fn results(
        &self,
        wanted: &EventDraft,
        log: &WriteLog,
        now: Option<&Self>,
    ) -> Vec<AttributeResult> {
        // What is not retracted any more by a new plan is done.
        let retracted = now.into_iter().flat_map(|now| &now.attributes);
        let unfinished: HashMap<Uuid, &Planned> = retracted
            .filter(|planned| planned.retracts())
            .map(|planned| (planned.uuid, planned))
            .collect();
        // What a new plan does not name is as it should be.
        let done = Planned::new(Uuid::nil(), None, Subject::Retained, Action::Leave);

        let result = |(index, planned): (usize, &Planned)| {
            let draft = wanted.attributes.get(index);
            let next = now.map(|now| match draft {
                Some(_) => now.attributes.get(index).unwrap_or(&done),
                None => unfinished.get(&planned.uuid).copied().unwrap_or(&done),
            });

            planned.result(draft, log, next)
        };

        self.attributes.iter().enumerate().map(result).collect()
    }
}

impl Planned {
    /// What became of the attribute; `next` is what a plan of what is there now would still do, and
    /// `draft` what is wanted of it.
    fn result(
        &self,
        draft: Option<&AttributeDraft>,
        log: &WriteLog,
        next: Option<&Self>,
    ) -> AttributeResult {
        // The uuid of a new attribute may have given way to the next one since the plan was made.
        let uuid = match (&self.action, draft) {
            (Action::Add, Some(draft)) => draft.uuid,
            _ => self.uuid,
        };
        let Some(next) = next.filter(|_| self.action.needs_write()) else {
            return match &self.action {
                Action::Add => AttributeResult::failed(log, &uuid, LOST),
                Action::Change(_) | Action::Remove => {
                    AttributeResult::failed(log, &uuid, NOT_CHANGED)
                }
                Action::Leave | Action::Skip(_) => self.forecast(),
            };
        };

        // What is there without our doing came from another run or from somebody else meanwhile.
        let is_made = || {
            log.may_have_added(&uuid) && draft.is_some_and(|draft| draft.may_have_uuid(&next.uuid))
        };

        match (&self.action, &next.action) {
            // A rule that holds by now, such as that somebody deleted it, says more.
            (_, Action::Skip(_)) => next.forecast(),
            (Action::Add, Action::Leave) if is_made() => {
                let remarks = Remark::of_new_attribute(&next.remarks);
                AttributeResult::new(Verdict::Created, remarks)
            }
            // MISP took the new attribute, and not all of it.
            (Action::Add, Action::Change(patch)) if is_made() && !log.is_unseen => {
                let remark = Remark::Stored(diff::describe_unfinished(patch));
                AttributeResult::new(Verdict::Created, vec![remark])
            }
            (Action::Add, Action::Leave) => next.forecast(),
            (_, Action::Leave) => AttributeResult::new(Verdict::Updated, next.remarks.clone()),
            (Action::Add, Action::Add) => AttributeResult::failed(log, &uuid, LOST),
            (_, Action::Add | Action::Change(_) | Action::Remove) => {
                AttributeResult::failed(log, &uuid, NOT_CHANGED)
            }
        }
    }
}

/// What is said of an attribute that was sent and is not there.
const LOST: &str = "lost: MISP took it without an error and does not hold it";
/// What is said of one that is not as it should have become.
const NOT_CHANGED: &str = "lost: MISP took the change without an error and does not show it";

/// True for what is an IOC itself, not the file that its hashes stand for.
fn is_ioc(draft: &AttributeDraft) -> bool {
    draft.to_ids && draft.file.is_none()
}

#[cfg(test)]
mod tests;
