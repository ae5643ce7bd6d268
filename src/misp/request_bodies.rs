//! What we send to a MISP, as its JSON: events, attributes, objects, and changes of them. A server
//! and a feed take the same; what only one of them has is given in `more`.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::changes::{AttachmentPayload, AttributePatch, EventHeader, EventPatch};
use super::draft::AttributeDraft;
use super::tag_resolution::TagResolution;

/// An event that should be, without its attributes.
#[must_use]
pub fn event(uuid: &Uuid, header: &EventHeader<'_>, names: &TagResolution, more: Value) -> Value {
    let event = json!({
        "uuid": uuid,
        "info": header.info,
        "date": header.date,
        "threat_level_id": header.threat_level.to_string(),
        "analysis": header.analysis.to_string(),
        "published": false,
        "Tag": tag_list(header.tags.iter().copied(), names),
    });

    merge_members(event, more)
}

/// An attribute that should be; `content` is the file that it carries.
#[must_use]
pub fn attribute(
    attribute: &AttributeDraft,
    content: Option<&AttachmentPayload>,
    names: &TagResolution,
    more: Value,
) -> Value {
    let mut sent = json!({
        "uuid": attribute.uuid,
        "type": attribute.kind,
        "category": attribute.category,
        "value": attribute.value,
        "to_ids": attribute.to_ids,
        "comment": attribute.comment,
        "Tag": tag_list(attribute.all_tags(), names),
    });

    if let Some(place) = &attribute.place {
        sent = merge_members(sent, json!({"object_relation": place.relation}));
    }

    if let Some(content) = content {
        let of_file = json!({
            "uuid": content.uuid,
            "type": content.kind,
            "object_relation": content.kind,
            "value": content.value,
            "to_ids": content.kind == "malware-sample",
            "data": content.data,
        });

        sent = merge_members(sent, of_file);
    }

    merge_members(sent, more)
}

/// A `file` object with its attributes. The description is sent with the template, since MISP
/// refuses an object whose template version it does not have otherwise.
#[must_use]
pub fn object(uuid: &Uuid, attributes: Vec<Value>, more: Value) -> Value {
    let object = json!({
        "uuid": uuid,
        "name": "file",
        "meta-category": "file",
        "description": "File object describing a file with meta-information",
        "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215",
        "template_version": "24",
        "Attribute": attributes,
    });

    merge_members(object, more)
}

/// The changes of an event itself. What is not named keeps its value on the server
/// (`fixtures/wire/misp/324-edit-published-event.json`).
#[must_use]
pub fn event_patch(head: &EventPatch) -> Value {
    let mut sent = Map::new();
    if let Some(info) = &head.info {
        sent.insert("info".to_owned(), json!(info));
    }
    if let Some(level) = head.threat_level {
        sent.insert("threat_level_id".to_owned(), json!(level.to_string()));
    }
    if let Some(analysis) = head.analysis {
        sent.insert("analysis".to_owned(), json!(analysis.to_string()));
    }
    if head.close {
        sent.insert("distribution".to_owned(), json!("0"));
    }
    insert_tag_changes(&mut sent, &head.add_tags, &head.drop_tags);

    Value::Object(sent)
}

/// The changes of an attribute. What is not named keeps its value (`MispAttribute.php`,
/// `editAttribute`).
#[must_use]
pub fn attribute_patch(uuid: &Uuid, change: &AttributePatch) -> Value {
    let mut sent = Map::from_iter([("uuid".to_owned(), json!(uuid))]);
    if let Some(to_ids) = change.to_ids {
        sent.insert("to_ids".to_owned(), json!(to_ids));
    }
    if let Some(comment) = &change.comment {
        sent.insert("comment".to_owned(), json!(comment));
    }
    if let Some(deleted) = change.deleted {
        sent.insert("deleted".to_owned(), json!(u8::from(deleted)));
    }
    if change.close {
        sent.insert("distribution".to_owned(), json!("0"));
    }
    insert_tag_changes(&mut sent, &change.add_tags, &change.drop_tags);

    Value::Object(sent)
}

/// Those to take off come first, since MISP works through an event's in turn, and one that is there
/// locally is taken off to be added for everybody. Of an attribute all are added first, so that
/// such a tag is only taken off, and the next edit adds it
/// (`fixtures/wire/misp/461-edit-shares-a-local-tag.json`,
/// `462-edit-adds-the-shared-tag-again.json`).
fn insert_tag_changes(sent: &mut Map<String, Value>, add: &[String], drop: &[String]) {
    let dropped = drop.iter().map(|name| json!({"name": name, "deleted": 1}));
    let all: Vec<_> = dropped
        .chain(add.iter().map(|name| json!({"name": name})))
        .collect();
    if !all.is_empty() {
        sent.insert("Tag".to_owned(), Value::Array(all));
    }
}

fn tag_list<'a>(wanted: impl Iterator<Item = &'a str>, names: &TagResolution) -> Vec<Value> {
    wanted
        .filter_map(|name| names.resolve(name))
        .map(|name| json!({"name": name}))
        .collect()
}

/// One object with the members of both; those of `more` count.
#[must_use]
pub fn merge_members(mut shared: Value, more: Value) -> Value {
    if let (Value::Object(shared), Value::Object(more)) = (&mut shared, more) {
        shared.extend(more);
    }
    shared
}
