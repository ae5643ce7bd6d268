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
    /// Its PAP; TheHive 4 has none for observables.
    #[serde(deserialize_with = "json::marking")]
    pub pap: Option<i64>,
    /// Its TLP in words, from TheHive 5 on.
    #[serde(rename = "tlpLabel", deserialize_with = "json::text")]
    pub tlp_label: String,
    /// True if it is flagged as an indicator of compromise: by the boolean that TheHive writes, and
    /// nothing else.
    #[serde(deserialize_with = "json::exactly_true")]
    pub ioc: bool,
    /// True if it was seen in one's own network.
    #[serde(deserialize_with = "json::exactly_true")]
    pub sighted: bool,
    /// When it was seen there, in milliseconds since 1970; TheHive 4 does not say.
    #[serde(rename = "sightedAt", deserialize_with = "json::number")]
    pub sighted_at: Option<i64>,
    /// True if TheHive looks for nothing alike.
    #[serde(rename = "ignoreSimilarity", deserialize_with = "json::flag")]
    pub ignore_similarity: Option<bool>,
    /// Its tags.
    #[serde(deserialize_with = "json::texts")]
    pub tags: Vec<String>,
    /// The file, for a file.
    #[serde(deserialize_with = "json::object")]
    pub attachment: Option<Attachment>,
    /// The login of whoever created it; empty in a responder's job of TheHive 4.
    #[serde(rename = "_createdBy", deserialize_with = "json::text")]
    pub created_by: String,
    /// The login of whoever changed it last; empty if nobody did.
    #[serde(rename = "_updatedBy", deserialize_with = "json::text")]
    pub updated_by: String,
    /// When it was created, in milliseconds since 1970.
    #[serde(rename = "_createdAt", deserialize_with = "json::number")]
    pub created_at: Option<i64>,
}

/// An alert, as the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// Its id.
    #[serde(rename = "_id", deserialize_with = "json::text")]
    pub id: String,
    /// Its name at its source; for an event its uuid.
    #[serde(rename = "sourceRef", deserialize_with = "json::text")]
    pub source_ref: String,
    /// Its title.
    #[serde(deserialize_with = "json::text")]
    pub title: String,
    /// Its description, in Markdown.
    #[serde(deserialize_with = "json::long_text")]
    pub description: String,
    /// Where it can be read at its source.
    #[serde(rename = "externalLink", deserialize_with = "json::text")]
    pub external_link: String,
    /// 1 (low) to 4 (critical).
    #[serde(deserialize_with = "json::number")]
    pub severity: Option<i64>,
    /// Its date, in milliseconds since 1970.
    #[serde(deserialize_with = "json::number")]
    pub date: Option<i64>,
    /// Its TLP, on the scale of its TheHive.
    #[serde(deserialize_with = "json::marking")]
    pub tlp: Option<i64>,
    /// Its PAP.
    #[serde(deserialize_with = "json::marking")]
    pub pap: Option<i64>,
    /// How many observables it has.
    #[serde(rename = "observableCount", deserialize_with = "json::number")]
    pub observable_count: Option<i64>,
    /// Its tags.
    #[serde(deserialize_with = "json::texts")]
    pub tags: Vec<String>,
    /// False if its updates are to be ignored.
    #[serde(deserialize_with = "json::flag")]
    pub follow: Option<bool>,
    /// Whether somebody read it; TheHive 5 does not say.
    #[serde(deserialize_with = "json::flag")]
    pub read: Option<bool>,
    /// `New`, `InProgress`, `Closed` or `Imported`; empty from TheHive 4.
    #[serde(deserialize_with = "json::text")]
    pub stage: String,
    /// A status of this TheHive's own making, each of which belongs to a stage; empty from TheHive
    /// 4.
    #[serde(deserialize_with = "json::text")]
    pub status: String,
    /// The id of the case it was imported into; empty if there is none.
    #[serde(rename = "caseId", deserialize_with = "json::text")]
    pub case: String,
    /// The login of whoever created it.
    #[serde(rename = "_createdBy", deserialize_with = "json::text")]
    pub created_by: String,
    /// When it was created, in milliseconds since 1970.
    #[serde(rename = "_createdAt", deserialize_with = "json::number")]
    pub created_at: Option<i64>,
    /// The login of whoever changed its fields last; empty if nobody did.
    #[serde(rename = "_updatedBy", deserialize_with = "json::text")]
    pub updated_by: String,
    /// When its fields were last changed, in milliseconds since 1970; none if they never were.
    #[serde(rename = "_updatedAt", deserialize_with = "json::number")]
    pub updated_at: Option<i64>,
    /// The login of whom it is assigned to; empty from TheHive 4.
    #[serde(deserialize_with = "json::text")]
    pub assignee: String,
    /// Its custom fields, which this program never sets.
    #[serde(rename = "customFields")]
    pub custom_fields: Value,
}

/// A file, without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// Where TheHive stores it; its sha256 in both versions.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// `~25313328`: its id as a record, which TheHive 4 does not tell.
    #[serde(rename = "_id", deserialize_with = "json::text")]
    pub internal_id: String,
    /// As it was uploaded.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// Its sha256, sha1 and md5, in hex.
    #[serde(deserialize_with = "json::texts")]
    pub hashes: Vec<String>,
    /// In bytes.
    #[serde(deserialize_with = "json::number")]
    pub size: Option<i64>,
    /// As the uploading client called it.
    #[serde(rename = "contentType", deserialize_with = "json::text")]
    pub content_type: String,
}

impl Attachment {
    /// The sha256, in lower-case hex.
    pub fn sha256(&self) -> Option<String> {
        self.hash(64)
    }

    /// The sha1, in lower-case hex.
    pub fn sha1(&self) -> Option<String> {
        self.hash(40)
    }

    /// The md5, in lower-case hex.
    pub fn md5(&self) -> Option<String> {
        self.hash(32)
    }

    /// TheHive lists its hashes without names; their lengths tell which is which.
    fn hash(&self, length: usize) -> Option<String> {
        let is_it =
            |hash: &&str| hash.len() == length && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.hashes
            .iter()
            .map(|hash| hash.trim())
            .find(is_it)
            .map(str::to_ascii_lowercase)
    }
}

/// What names the alert that a case was made from: for one of `misp-import`'s or TheHive's own, the
/// MISP and the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AlertOrigin {
    /// The alert's `type`, such as `misp`.
    #[serde(rename = "type", deserialize_with = "json::text")]
    pub kind: String,
    /// The name of what it came from.
    #[serde(deserialize_with = "json::text")]
    pub source: String,
    /// Its name there.
    #[serde(rename = "sourceRef", deserialize_with = "json::text")]
    pub source_ref: String,
}

/// A member of an object by the first of its names that is there and not null: TheHive 4 writes
/// `caseId` and `createdAt` where TheHive 5 writes `number` and `_createdAt`.
pub fn member<'a>(object: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names
        .iter()
        .filter_map(|name| object.get(name))
        .find(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn hashes_are_told_by_their_length() {
        let hashes = json!([
            7,
            "x".repeat(64),
            "A".repeat(64),
            "b".repeat(40),
            "c".repeat(32),
            "d".repeat(32),
            null
        ]);

        let file: Attachment = serde_json::from_value(json!({
            "_id": "~8", "id": "a".repeat(64), "name": "a.exe", "hashes": hashes, "size": 12, "contentType": "x/y", "path": "/",
        }))
        .unwrap();

        assert_eq!(
            (file.sha256(), file.sha1(), file.md5()),
            (
                Some("a".repeat(64)),
                Some("b".repeat(40)),
                Some("c".repeat(32))
            )
        );

        assert_eq!(
            (
                file.internal_id.as_str(),
                file.size,
                file.content_type.as_str()
            ),
            ("~8", Some(12), "x/y")
        );

        let empty: Attachment =
            serde_json::from_value(json!({"hashes": "none", "size": {}})).unwrap();
        assert_eq!(
            (empty.clone(), empty.sha256()),
            (Attachment::default(), None)
        );
    }

    #[test]
    fn an_alert_is_read_leniently() {
        let read = |value: Value| serde_json::from_value::<Alert>(value).unwrap();
        let odd = read(
            json!({"_id": 7, "severity": "3", "tlp": "red", "follow": 0, "tags": "none", "caseId": null}),
        );
        let wanted = Alert {
            id: "7".to_owned(),
            severity: Some(3),
            tlp: Some(i64::MAX),
            follow: Some(false),
            ..Alert::default()
        };

        assert_eq!(odd, wanted);
    }

    #[test]
    fn sightings_are_read_leniently() {
        let read = |value: Value| serde_json::from_value::<Observable>(value).unwrap();
        let seen = read(json!({"sighted": true, "sightedAt": 1_795_300_000_000_i64}));
        assert_eq!(
            (seen.sighted, seen.sighted_at),
            (true, Some(1_795_300_000_000))
        );
        assert_eq!(
            read(json!({"sighted": "true", "sightedAt": null})),
            Observable::default()
        );
    }

    proptest! {
        #[test]
        fn a_hash_is_hex_whatever_is_listed(hashes in proptest::collection::vec("[0-9a-fA-FgZé \
            ]{30,66}|[0-9A-F]{32}", 0..5)) {
            let file = Attachment { hashes, ..Attachment::default() };
            for (hash, length) in [(file.sha256(), 64), (file.sha1(), 40), (file.md5(), 32)] {
                prop_assert!(hash.is_none_or(|hash| hash.len() == length && hash.bytes().all(|byte| b"0123456789abcdef".contains(&byte))));
            }
        }
    }
}
