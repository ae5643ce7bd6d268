//! The event that a case should be: what the mapping makes, and what a plan compares with the event
//! that is there.

use std::collections::HashSet;

use serde_json::Value;
use uuid::Uuid;

use super::case_report::{ReportDraft, ReportText};
use crate::ids::{EventRole, Ids};
use crate::markings::{Pap, Tlp};
use crate::misp::EventContent;
use crate::misp::draft::AttributeDraft;
use crate::misp::wire::Attribute;
use crate::types::equal;

/// The event that a case should be.
#[derive(Clone, Debug)]
pub struct EventDraft {
    /// Computed from the case, so that every export meets the same event.
    pub uuid: Uuid,
    /// The case's title, in the configured pattern.
    pub info: String,
    /// The day the case began, UTC.
    pub date: String,
    /// 1 high, 2 medium, 3 low.
    pub threat_level: u8,
    /// 0 initial, 2 completed.
    pub analysis: u8,
    /// Who may see it, if it is new: 0 own organisation to 3 all communities, 4 sharing group.
    pub distribution: u64,
    /// The sharing group's number, with distribution 4.
    pub sharing_group: Option<u64>,
    /// The event that this one extends, if it is new.
    pub extends: Option<Uuid>,
    /// The case's TLP.
    pub tlp: Tlp,
    /// The case's PAP.
    pub pap: Option<Pap>,
    /// Further tags of the case.
    pub tags: Vec<String>,
    /// The report of it.
    pub report: ReportDraft,
    /// Who is named as creator in a feed: `{"name", "uuid"}`. A server knows that by the key.
    pub organisation: Value,
    /// The `file` objects, each computed from the event and the file's hash; their attributes stand
    /// among the others.
    pub objects: Vec<Uuid>,
    /// The attributes, those in objects too.
    pub attributes: Vec<AttributeDraft>,
    /// Attributes that would be wanted if their TLP did not forbid it here.
    pub withheld: Vec<AttributeDraft>,
    /// What TheHive says to be an IOC, asked for it by its value when it was to be retracted: it
    /// stays as it is.
    pub spared: Vec<AttributeDraft>,
    /// What IOCs of the case may be there as that could not be mapped.
    pub doubts: Doubts,
    /// Whose the event is. Another case's keeps its title, threat level, analysis and tags; of one
    /// that people made nothing is changed but attributes and objects of ours.
    pub role: EventRole,
    /// True if what is there is only made stricter: the case may not go there any more, or its IOCs
    /// go to another event.
    pub only_tightens: bool,
    /// Attributes of ours that are neither wanted nor to be retracted: files, which an option once
    /// let out. Where one is there, its TLP counts all the same.
    pub kept: Vec<AttributeDraft>,
}

/// What is known of IOCs that could not be mapped. What they were when they could be is not known,
/// but what is nothing like them they never were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Their values.
    pub values: Vec<String>,
    /// True if files are among them: in which hashes and names they went out is not known.
    pub files: bool,
}

impl Doubts {
    /// True if an attribute may stand for one of them.
    pub fn may_match(&self, value: &str, is_in_object: bool) -> bool {
        let value = equal::equality_key(value);
        let is_like = |doubt: &String| value.contains(doubt.as_str()) || doubt.contains(&value);
        (self.files && is_in_object) || self.values.iter().any(is_like)
    }
}

impl EventDraft {
    /// The tags that the event should have: TLP, PAP, further ones.
    pub fn event_tags(&self) -> impl Iterator<Item = &str> {
        let markings = std::iter::once(self.tlp.tag()).chain(self.pap.map(Pap::tag));
        markings.chain(self.tags.iter().map(String::as_str))
    }

    /// Attributes that may be there: wanted, withheld, or kept as they are.
    pub fn drafts(&self) -> impl Iterator<Item = &AttributeDraft> {
        let all = self.attributes.iter().chain(&self.withheld);
        all.chain(&self.kept)
    }

    /// The same, in the same order.
    pub fn drafts_mut(&mut self) -> impl Iterator<Item = &mut AttributeDraft> {
        let all = self.attributes.iter_mut().chain(&mut self.withheld);
        all.chain(&mut self.kept)
    }

    /// Every tag that this export may have to set anywhere.
    pub fn event_and_attribute_tags(&self) -> Vec<&str> {
        let of_drafts = self.drafts().flat_map(AttributeDraft::all_tags);
        let mut all: Vec<&str> = self.event_tags().chain(of_drafts).collect();
        all.sort_unstable();
        all.dedup();

        all
    }

    /// Leaves of what is wanted only that nothing there is laxer, and that what is no IOC any more
    /// is retracted.
    pub fn limit_to_tightening(&mut self) {
        self.only_tightens = true;
        self.tags.clear();
        self.report.text = ReportText::NotWanted;
        self.drafts_mut().for_each(|draft| draft.tags.clear());
    }

    /// Has each attribute say what the event does not: its head is not touched, so that what it
    /// lacks of the case's TLP and PAP stands on all that is added.
    pub fn mark_each(&mut self, tlp: Option<Tlp>, pap: Option<Pap>) {
        let lacking = self.pap.filter(|of_case| pap < Some(*of_case));
        for draft in self.drafts_mut() {
            draft.is_stricter = tlp < Some(draft.tlp);
            let has_own = draft.tags.iter().any(|tag| Pap::from_tag(tag).is_some());
            let missing = lacking.filter(|_| !has_own);
            draft.tags.extend(missing.map(|pap| pap.tag().to_owned()));
        }
    }

    /// The same with the uuids that things have in the event: anybody who can compute a uuid may
    /// have used it elsewhere, and MISP stores none twice
    /// (`fixtures/wire/misp/416-attributes-add-known-uuid-in-list.json`). What is there under one
    /// of its fall-backs keeps that; what is not there and whose uuid is `taken` gets the next one.
    pub fn resolve_uuids(
        &self,
        held: Option<&EventContent>,
        taken: &HashSet<Uuid>,
        ids: &Ids,
    ) -> Self {
        let ids = ids.for_event(&self.uuid);
        let attributes: HashSet<Uuid> = held
            .iter()
            .flat_map(|held| held.attributes_by_uuid().map(|(uuid, _)| uuid))
            .collect();

        let objects: HashSet<Uuid> = held
            .iter()
            .flat_map(|held| held.objects.values())
            .copied()
            .collect();

        let resolve = |uuid: Uuid, there: &HashSet<Uuid>| {
            if there.contains(&uuid) || (there.is_empty() && !taken.contains(&uuid)) {
                return uuid;
            }
            let is_free = |other: &Uuid| taken.contains(&uuid) && !taken.contains(other);
            let fallbacks = || ids.fallback_uuids(&uuid);
            fallbacks()
                .find(|other| there.contains(other))
                .or_else(|| fallbacks().find(is_free))
                .unwrap_or(uuid)
        };

        let mut settled = self.clone();
        for object in &mut settled.objects {
            *object = resolve(*object, &objects);
        }

        let mut spared = std::mem::take(&mut settled.spared);
        for draft in settled.drafts_mut().chain(&mut spared) {
            draft.uuid = resolve(draft.uuid, &attributes);
            if let Some(place) = &mut draft.place {
                place.object = resolve(place.object, &objects);
            }
            if let Some(file) = &mut draft.file {
                file.other = resolve(file.other, &attributes);
            }
        }
        settled.spared = spared;

        settled
    }
}

impl EventContent {
    /// Its attributes, as far as their uuids can be read.
    pub fn attributes_by_uuid(&self) -> impl Iterator<Item = (Uuid, &Attribute)> {
        let attributes = self.attributes.iter();
        attributes.filter_map(|held| Some((Uuid::parse_str(&held.uuid).ok()?, held)))
    }
}

impl AttributeDraft {
    /// The object it is in.
    pub fn object(&self) -> Option<Uuid> {
        self.place.as_ref().map(|place| place.object)
    }

    /// True if it may be there with this uuid: a file may have gone out in either of two ways.
    pub fn may_have_uuid(&self, uuid: &Uuid) -> bool {
        self.uuid == *uuid || self.file.as_ref().is_some_and(|file| file.other == *uuid)
    }
}
