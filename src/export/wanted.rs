//! The event that a case should be: what the mapping makes, and what a plan compares with the event that is there.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use crate::ids::Ids;
use crate::markings::{Pap, Tlp};
use crate::misp::Held;
use crate::types::equal;

/// The event that a case should be.
#[derive(Clone, Debug)]
pub struct Wanted {
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
    /// Who is named as creator in a feed: `{"name", "uuid"}`. A server knows that by the key.
    pub organisation: Value,
    /// The objects; their attributes stand among the others.
    pub objects: Vec<WantedObject>,
    /// The attributes, those in objects too.
    pub attributes: Vec<WantedAttribute>,
    /// Attributes that would be wanted if their TLP did not forbid it here.
    pub withheld: Vec<WantedAttribute>,
    /// What TheHive says to be an IOC, asked for it by its value when it was to be retracted: it stays as it is.
    pub spared: Vec<WantedAttribute>,
    /// What IOCs of the case may be there as that could not be mapped.
    pub doubts: Doubts,
    /// True if the event is another case's: it keeps its title, threat level, analysis and tags.
    pub is_guest: bool,
    /// True if what is there is only made stricter: the case may not go there any more, or its IOCs go to another event.
    pub only_tightens: bool,
    /// Attributes of ours that are neither wanted nor to be retracted: files, which an option once let out. Where one is
    /// there, its TLP counts all the same.
    pub kept: Vec<WantedAttribute>,
}

/// A `file` object that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedObject {
    /// Computed from the event and the file's hash.
    pub uuid: Uuid,
}

/// An attribute that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedAttribute {
    /// Computed from the event or object and what the attribute stands for.
    pub uuid: Uuid,
    /// The object it is in, and its role there; none for an attribute of the event itself.
    pub place: Option<Place>,
    /// MISP's type.
    pub kind: String,
    /// MISP's category.
    pub category: String,
    /// The value, as MISP will store it.
    pub value: String,
    /// True for an IOC; false for what stands beside one, such as a file's size.
    pub to_ids: bool,
    /// The observable's message.
    pub comment: String,
    /// Comments that an earlier export may have written in its place, as far as they were asked for.
    pub former: Vec<String>,
    /// The stricter of the observable's TLP and the case's.
    pub tlp: Tlp,
    /// True if that is stricter than the case's.
    pub is_stricter: bool,
    /// True if it stays in its organisation, whatever the event does.
    pub is_closed: bool,
    /// Further tags of the observable.
    pub tags: Vec<String>,
    /// The observables that it stands for, by their position; none for what stands beside them.
    pub from: Vec<usize>,
    /// The file that it carries.
    pub file: Option<WantedFile>,
}

/// What is known of IOCs that could not be mapped. What they were when they could be is not known, but what is nothing like them
/// they never were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Their values.
    pub values: Vec<String>,
    /// True if files are among them: in which hashes and names they went out is not known.
    pub files: bool,
}

impl Doubts {
    /// True if an attribute may stand for one of them.
    #[must_use]
    pub fn cover(&self, value: &str, is_in_object: bool) -> bool {
        let value = equal::key(value);
        let is_like = |doubt: &String| value.contains(doubt.as_str()) || doubt.contains(&value);
        (self.files && is_in_object) || self.values.iter().any(is_like)
    }
}

/// The role of an attribute in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The object's uuid.
    pub object: Uuid,
    /// The role, such as `sha256`.
    pub relation: String,
}

/// A file to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFile {
    /// The observable that has it, by its position.
    pub of: usize,
    /// The name it goes by.
    pub name: String,
    /// True if it goes as it is, unless it turns out to be an executable.
    pub is_plain: bool,
    /// The same file sent in the other way: an executable, which never goes as it is.
    pub other: Uuid,
}

impl Wanted {
    /// The tags that the event should have: TLP, PAP, further ones.
    pub fn all_tags(&self) -> impl Iterator<Item = &str> {
        let markings = std::iter::once(self.tlp.tag()).chain(self.pap.map(Pap::tag));
        markings.chain(self.tags.iter().map(String::as_str))
    }

    /// Every tag that this export may have to set anywhere.
    #[must_use]
    pub fn every_tag(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.all_tags().collect();
        all.extend(self.attributes.iter().chain(&self.withheld).chain(&self.kept).flat_map(WantedAttribute::all_tags));
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Wanted {
    /// Leaves of what is wanted only that nothing there is laxer, and that what is no IOC any more is retracted.
    pub fn only_tighten(&mut self) {
        self.only_tightens = true;
        self.tags.clear();
        let all = self.attributes.iter_mut().chain(&mut self.withheld).chain(&mut self.kept);
        all.for_each(|attribute| attribute.tags.clear());
    }

    /// The same with the uuids that things have in the event: anybody who can compute a uuid may have used it elsewhere, and
    /// MISP stores none twice (`fixtures/wire/misp/416-attributes-add-known-uuid-in-list.json`). What is there under one of
    /// its fall-backs keeps that; what is not there and whose uuid is `taken` gets the next one.
    #[must_use]
    pub fn settled(&self, held: Option<&Held>, taken: &HashSet<Uuid>, ids: &Ids) -> Self {
        let ids = ids.inside(&self.uuid);
        let attributes: HashSet<Uuid> = held
            .iter()
            .flat_map(|held| &held.attributes)
            .filter_map(|attribute| Uuid::parse_str(&attribute.uuid).ok())
            .collect();
        let objects: HashSet<Uuid> = held.iter().flat_map(|held| held.objects.values()).copied().collect();
        let settle = |uuid: Uuid, there: &HashSet<Uuid>| {
            if there.contains(&uuid) || (there.is_empty() && !taken.contains(&uuid)) {
                return uuid;
            }
            let is_free = |other: &Uuid| taken.contains(&uuid) && !taken.contains(other);
            let there = ids.fallbacks(&uuid).find(|other| there.contains(other));
            there.or_else(|| ids.fallbacks(&uuid).find(is_free)).unwrap_or(uuid)
        };
        let mut settled = self.clone();
        let mut moved = HashMap::new();
        for object in &mut settled.objects {
            let uuid = settle(object.uuid, &objects);
            moved.insert(object.uuid, uuid);
            object.uuid = uuid;
        }
        let of_iocs = settled.attributes.iter_mut().chain(&mut settled.spared);
        for attribute in of_iocs.chain(&mut settled.withheld).chain(&mut settled.kept) {
            attribute.uuid = settle(attribute.uuid, &attributes);
            if let Some(place) = &mut attribute.place {
                place.object = *moved.entry(place.object).or_insert_with(|| settle(place.object, &objects));
            }
            if let Some(file) = &mut attribute.file {
                file.other = settle(file.other, &attributes);
            }
        }
        settled
    }
}

impl WantedAttribute {
    /// 0 (own organisation only) for RED and AMBER+STRICT, so that a later rise of the event's distribution releases
    /// nothing; 5 (as the event) for the rest.
    #[must_use]
    pub fn distribution(&self) -> u8 {
        if self.is_closed { 0 } else { 5 }
    }

    /// Its value, or the two halves of a composite one.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let halves = self.value.split_once('|').filter(|_| self.kind.contains('|'));
        let (first, second) = halves.map_or((self.value.as_str(), None), |(first, second)| (first, Some(second)));
        [Some(first), second].into_iter().flatten().filter(|part| !part.is_empty())
    }

    /// Its tags: the TLP, where it is stricter than the case's, and those of the observable.
    pub fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.is_stricter.then(|| self.tlp.tag()).into_iter().chain(self.tags.iter().map(String::as_str))
    }
}
