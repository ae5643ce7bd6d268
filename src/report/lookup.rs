//! What a report says of a value that was looked up.

use schemars::JsonSchema;
use serde::Serialize;

/// How the search for a value went on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LookupSummary {
    /// False if this MISP could not be searched for the value.
    pub searched: bool,
    /// True if not all that may have the value could be looked at.
    #[serde(skip_serializing_if = "super::is_false")]
    pub in_part: bool,
    /// Events found, hidden ones not counted, in which an attribute that is meant for detection has
    /// the value.
    pub events_with_ids: u64,
    /// Events found, hidden ones not counted, that have the value only in another case or as an
    /// import rule makes it.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub events_differing: u64,
    /// Events found, hidden ones not counted, that do not have the value, and have one that is
    /// related to it: they count in none of the other numbers.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub related_events: u64,
    /// Those of them in which a related attribute is meant for detection.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub related_events_with_ids: u64,
    /// Events with a related value that filters hide.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub related_events_hidden: u64,
    /// Events with the value that this installation exported itself: they are no answer, and not
    /// shown.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub own_events: u64,
}

/// An attribute that has the value that was looked up, or one that is related to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Match {
    /// The attribute's uuid.
    pub uuid: String,
    /// Its category and type: `category/type`.
    pub attribute: String,
    /// Its value, shortened; of a composite, the whole.
    pub value: String,
    /// How it differs from what was looked up, though MISP takes both for the same: `other case`,
    /// where case may mean something, also for accents and the like; `by an import rule`, where
    /// MISP's rules make it of the value.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub differs: &'static str,
    /// How it is related to what was looked up, if it does not have that value itself: `in
    /// 203.0.113.0/24`, `parent domain example.org`, `host of the URL`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub related: String,
    /// How far it is from the value.
    #[serde(skip)]
    #[schemars(skip)]
    pub distance: u8,
    /// True if it is meant for detection.
    pub to_ids: bool,
    /// Its tags, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How often it was sighted. A feed carries no sightings.
    pub sightings: u64,
    /// How often it was sighted as a false positive.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub false_positives: u64,
    /// The day on which it expires, or did: `2026-12-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// Its comment, shortened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Its role in its object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object_relation: String,
    /// True if it stands in an object.
    #[serde(skip)]
    #[schemars(skip)]
    pub is_in_object: bool,
}
