//! TheHive's JSON, as far as we use it: the names of TheHive 4's v0 and v1, and of TheHive 5.

use serde::Deserialize;
use serde_json::Value;

use crate::json;

/// An observable, as a responder's job or the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Observable {
    /// Its id.
    #[serde(rename = "_id", deserialize_with = "json::text")]
    pub id: String,
    /// Its type.
    #[serde(rename = "dataType", deserialize_with = "json::text")]
    pub data_type: String,
    /// Its value; empty for a file.
    #[serde(deserialize_with = "json::text")]
    pub data: String,
    /// Its comment.
    #[serde(deserialize_with = "json::text")]
    pub message: String,
    /// Its TLP, on the scale of its TheHive.
    #[serde(deserialize_with = "json::marking")]
    pub tlp: Option<i64>,
    /// Its TLP in words, from TheHive 5 on.
    #[serde(rename = "tlpLabel", deserialize_with = "json::text")]
    pub tlp_label: String,
    /// True if it is flagged as an indicator of compromise: by the boolean that TheHive writes, and nothing else.
    #[serde(deserialize_with = "json::exactly_true")]
    pub ioc: bool,
    /// Its tags.
    #[serde(deserialize_with = "json::texts")]
    pub tags: Vec<String>,
    /// The file, for a file.
    #[serde(deserialize_with = "json::object")]
    pub attachment: Option<Attachment>,
}

/// A file's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// As it was uploaded.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
}

/// A member of an object by the first of its names that is there and not null: TheHive 4 writes `caseId` and `createdAt`
/// where TheHive 5 writes `number` and `_createdAt`.
#[must_use]
pub fn member<'a>(object: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().filter_map(|name| object.get(name)).find(|value| !value.is_null())
}
