//! What is to be written to an event, as a value: a plan without its reasons. Also where the files
//! come from that go with it.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;
use uuid::Uuid;

use super::draft::AttributeDraft;

/// What is to be written to one event.
pub struct EventChanges<'a> {
    /// The event's uuid.
    pub uuid: Uuid,
    /// True if the event has to be made.
    pub create: bool,
    /// What the event is, if it has to be made.
    pub header: EventHeader<'a>,
    /// What changes on the event itself.
    pub event: &'a EventPatch,
    /// The attributes to change, retractions first.
    pub edits: Vec<AttributeEdit<'a>>,
    /// The attributes to add.
    pub additions: Vec<&'a AttributeDraft>,
    /// The attributes to take out of a feed's event.
    pub removals: Vec<Uuid>,
    /// Objects that are not there yet, in the order in which they are added.
    pub new_objects: Vec<Uuid>,
    /// Objects whose distribution becomes 0.
    pub closed_objects: &'a BTreeSet<Uuid>,
    /// True if the event is published and new IOCs are the only reason to touch it: they go first,
    /// and all else waits if MISP takes none of them.
    pub is_additions_first: bool,
}

impl EventChanges<'_> {
    /// True if nothing is to be written.
    pub fn is_empty(&self) -> bool {
        let no_attribute =
            self.edits.is_empty() && self.additions.is_empty() && self.removals.is_empty();
        !self.create && self.event.is_empty() && no_attribute && self.closed_objects.is_empty()
    }

    /// The uuids of all attributes that are concerned.
    pub fn attribute_uuids(&self) -> impl Iterator<Item = Uuid> {
        let edited = self.edits.iter().map(|edit| edit.uuid);
        self.additions
            .iter()
            .map(|draft| draft.uuid)
            .chain(edited)
            .chain(self.removals.iter().copied())
    }

    /// True for an object that is not there yet.
    pub fn creates_object(&self, object: &Uuid) -> bool {
        self.new_objects.contains(object)
    }
}

/// An event that has to be made, without its attributes.
pub struct EventHeader<'a> {
    /// Its title.
    pub info: &'a str,
    /// Its day, UTC: `2026-11-30`.
    pub date: &'a str,
    /// 1 high, 2 medium, 3 low.
    pub threat_level: u8,
    /// 0 initial, 2 completed.
    pub analysis: u8,
    /// Who may see it: 0 own organisation to 3 all communities, 4 sharing group.
    pub distribution: u64,
    /// The sharing group's number, with distribution 4.
    pub sharing_group: Option<u64>,
    /// The event that it extends.
    pub extends: Option<Uuid>,
    /// Its tags.
    pub tags: Vec<&'a str>,
    /// Who is named as creator in a feed: `{"name", "uuid"}`. A server knows that by the key.
    pub organisation: &'a Value,
}

/// What is to be changed on the event itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPatch {
    /// A new info line.
    pub info: Option<String>,
    /// A higher threat level.
    pub threat_level: Option<u8>,
    /// A further analysis.
    pub analysis: Option<u8>,
    /// True if its distribution becomes 0.
    pub close: bool,
    /// Tags to add.
    pub add_tags: Vec<String>,
    /// Tags to take off.
    pub drop_tags: Vec<String>,
    /// What becomes of the report that is ours.
    pub report: Option<ReportChange>,
    /// True if a published event is touched for it.
    pub is_reason: bool,
}

impl EventPatch {
    /// True if nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What changes, in words.
    pub fn changed_fields(&self) -> String {
        let words = [
            ("info", self.info.is_some()),
            ("threat level", self.threat_level.is_some()),
            ("analysis", self.analysis.is_some()),
            ("distribution", self.close),
            (
                "tags",
                !self.add_tags.is_empty() || !self.drop_tags.is_empty(),
            ),
            ("report", self.report.is_some()),
        ];

        let words: Vec<_> = words
            .iter()
            .filter(|(_, changes)| *changes)
            .map(|(word, _)| *word)
            .collect();

        words.join(", ")
    }
}

/// What becomes of a report of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportChange {
    /// It is added, or changed if it is there.
    Write(ReportPatch),
    /// It is taken out of a feed's event.
    Remove(Uuid),
}

/// A report as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPatch {
    /// Its uuid.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its text, unless that stays as it is.
    pub content: Option<String>,
    /// Who may see it: 0 own organisation to 4 sharing group, 5 as the event.
    pub distribution: i64,
}

/// What is to be changed on an attribute that is there. Everything else on it stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributePatch {
    /// Tags to add.
    pub add_tags: Vec<String>,
    /// Tags to take off: TLP tags that are laxer than the one added.
    pub drop_tags: Vec<String>,
    /// True if its distribution becomes 0.
    pub close: bool,
    /// For detection or not.
    pub to_ids: Option<bool>,
    /// The whole comment.
    pub comment: Option<String>,
    /// Soft-deleted or back.
    pub deleted: Option<bool>,
    /// True if MISP is to look for no other attributes with its value any more.
    pub uncorrelate: bool,
    /// True if a published event is touched for it: a retraction, its reversal, a stricter TLP.
    pub is_reason: bool,
}

/// One change of one attribute, as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct AttributeEdit<'a> {
    /// The attribute.
    pub uuid: Uuid,
    /// The object it is in.
    pub object: Option<Uuid>,
    /// What changes.
    pub change: &'a AttributePatch,
}

/// Where the files come from that attributes carry. They are read when they are sent, one at a
/// time.
pub trait AttachmentSource {
    /// The file that an attribute carries; none for one that carries none.
    ///
    /// # Errors
    /// That it cannot be had, or is another one.
    fn load_payload(&self, attribute: &AttributeDraft) -> Result<Option<AttachmentPayload>>;
}

/// A file as it is sent.
#[derive(Clone, Debug)]
pub struct AttachmentPayload {
    /// The attribute's uuid.
    pub uuid: Uuid,
    /// `malware-sample` or `attachment`.
    pub kind: &'static str,
    /// The file's name; of a sample, with the md5.
    pub value: String,
    /// The file, or the zip that keeps it from harm, in base64.
    pub data: String,
}
