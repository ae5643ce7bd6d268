//! The event that a case should be: what the mapping makes, and what a plan compares with the event that is there.

use serde_json::Value;
use uuid::Uuid;

use crate::markings::{Pap, Tlp};

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
    /// True if the case may not go there any more: what is there is only made stricter.
    pub is_refused: bool,
    /// Attributes of ours that are neither wanted nor to be retracted: files, which an option once let out. Where one is
    /// there, its TLP counts all the same.
    pub kept: Vec<WantedAttribute>,
}

/// A `file` object that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedObject {
    /// Computed from the event and the file's hash.
    pub uuid: Uuid,
    /// True if it stays in its organisation, whatever the event does.
    pub is_closed: bool,
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

impl WantedAttribute {
    /// 0 (own organisation only) for RED and AMBER+STRICT, so that a later rise of the event's distribution releases
    /// nothing; 5 (as the event) for the rest.
    #[must_use]
    pub fn distribution(&self) -> u8 {
        if self.is_closed { 0 } else { 5 }
    }

    /// Its tags: the TLP, where it is stricter than the case's, and those of the observable.
    pub fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.is_stricter.then(|| self.tlp.tag()).into_iter().chain(self.tags.iter().map(String::as_str))
    }
}
