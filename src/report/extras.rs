//! What stands beside the body of a report: artifacts, operations and mini reports, as Cortex and
//! TheHive take them.

use schemars::JsonSchema;
use serde::Serialize;

/// What an analyst may import from a report. Cortex accepts these keys and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Artifact {
    /// One of TheHive's observable types.
    #[serde(rename = "dataType")]
    pub data_type: String,
    /// Its value.
    pub data: String,
    /// 0 to 3.
    pub tlp: u8,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its comment.
    pub message: String,
}

impl Artifact {
    /// True if it is the same observable.
    pub fn is_same(&self, other: &Self) -> bool {
        self.data == other.data && self.data_type == other.data_type
    }

    /// The bytes of its texts.
    pub fn text_size(&self) -> usize {
        let tags = self.tags.iter().map(String::len);
        self.data.len() + self.message.len() + tags.sum::<usize>()
    }
}

/// What TheHive is asked to do after a responder. An unknown one would leave the action unfinished
/// on TheHive 4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum Operation {
    /// Adds a tag to the case.
    AddTagToCase {
        /// The tag.
        tag: String,
    },
    /// Adds a tag to the alert.
    AddTagToAlert {
        /// The tag.
        tag: String,
    },
}

/// The mini report that TheHive draws beside an observable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taxonomy {
    /// How the value is coloured.
    pub level: TaxonomyLevel,
    /// Always `MISP`.
    pub namespace: &'static str,
    /// What is counted.
    pub predicate: &'static str,
    /// The count.
    pub value: String,
}

/// A taxonomy's level; another word would make TheHive 4 drop all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaxonomyLevel {
    /// Neutral.
    Info,
    /// Known, and not meant for detection.
    Suspicious,
    /// Known, and meant for detection.
    Malicious,
}
