//! What we send to a MISP, as its JSON: events, attributes, objects, and changes of them. A server
//! and a feed take the same; what only one of them has is added there.

use serde_json::{Value, json};
use uuid::Uuid;

use super::changes::{AttachmentPayload, AttributePatch, EventHeader, EventPatch, ReportPatch};
use super::draft::AttributeDraft;
use super::tag_resolution::TagResolution;
use crate::json;

/// An event that should be, without its attributes.
pub fn event(uuid: &Uuid, header: &EventHeader<'_>, names: &TagResolution) -> Value {
    json!({
        "uuid": uuid,
        "info": header.info,
        "date": header.date,
        "threat_level_id": header.threat_level.to_string(),
        "analysis": header.analysis.to_string(),
        "published": false,
        "Tag": tag_list(header.tags.iter().copied(), names),
    })
}

/// An attribute that should be; `content` is the file that it carries.
pub fn attribute(
    attribute: &AttributeDraft,
    content: Option<&AttachmentPayload>,
    names: &TagResolution,
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

    if attribute.is_uncorrelated {
        json::set(&mut sent, "disable_correlation", json!(true));
    }
    if let Some(place) = &attribute.place {
        json::set(&mut sent, "object_relation", json!(place.relation));
    }
    if let Some(content) = content {
        // What the file turned out to be counts: that is known only once it is read.
        json::set(&mut sent, "uuid", json!(content.uuid));
        json::set(&mut sent, "type", json!(content.kind));
        json::set(&mut sent, "object_relation", json!(content.kind));
        json::set(&mut sent, "value", json!(content.value));
        json::set(&mut sent, "to_ids", json!(content.kind == "malware-sample"));
        json::set(&mut sent, "data", json!(content.data));
    }

    sent
}

/// A `file` object with its attributes. The description is sent with the template, since MISP
/// refuses an object whose template version it does not have otherwise.
pub fn object(uuid: &Uuid, attributes: Vec<Value>) -> Value {
    json!({
        "uuid": uuid,
        "name": "file",
        "meta-category": "file",
        "description": "File object describing a file with meta-information",
        "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215",
        "template_version": "24",
        "Attribute": attributes,
    })
}

/// The changes of an event itself. What is not named keeps its value on the server
/// (`fixtures/wire/misp/324-edit-published-event.json`).
pub fn event_patch(head: &EventPatch) -> Value {
    let mut sent = json!({});
    if let Some(info) = &head.info {
        json::set(&mut sent, "info", json!(info));
    }
    if let Some(level) = head.threat_level {
        json::set(&mut sent, "threat_level_id", json!(level.to_string()));
    }
    if let Some(analysis) = head.analysis {
        json::set(&mut sent, "analysis", json!(analysis.to_string()));
    }
    if head.close {
        json::set(&mut sent, "distribution", json!("0"));
    }
    insert_tag_changes(&mut sent, &head.add_tags, &head.drop_tags);

    sent
}

/// A report of an event. MISP adds one that it does not have, and of one that it has takes no text
/// that is not named; without a moment it counts as newer (`EventReport.php`, `editReport`,
/// `fixtures/wire/misp/609-edit-changes-a-report.json`).
pub fn report(report: &ReportPatch) -> Value {
    let mut sent = json!({
        "uuid": report.uuid,
        "name": report.name,
        "distribution": report.distribution.to_string(),
    });
    if let Some(content) = &report.content {
        json::set(&mut sent, "content", json!(content));
    }

    sent
}

/// The changes of an attribute. What is not named keeps its value (`MispAttribute.php`,
/// `editAttribute`).
pub fn attribute_patch(uuid: &Uuid, change: &AttributePatch) -> Value {
    let mut sent = json!({"uuid": uuid});
    if let Some(to_ids) = change.to_ids {
        json::set(&mut sent, "to_ids", json!(to_ids));
    }
    if let Some(comment) = &change.comment {
        json::set(&mut sent, "comment", json!(comment));
    }
    if let Some(deleted) = change.deleted {
        json::set(&mut sent, "deleted", json!(u8::from(deleted)));
    }
    if change.close {
        json::set(&mut sent, "distribution", json!("0"));
    }
    if change.uncorrelate {
        json::set(&mut sent, "disable_correlation", json!(true));
    }
    insert_tag_changes(&mut sent, &change.add_tags, &change.drop_tags);

    sent
}

/// Those to take off come first, since MISP works through an event's in turn, and one that is there
/// locally is taken off to be added for everybody. Of an attribute all are added first, so that
/// such a tag is only taken off, and the next edit adds it
/// (`fixtures/wire/misp/461-edit-shares-a-local-tag.json`,
/// `462-edit-adds-the-shared-tag-again.json`).
fn insert_tag_changes(sent: &mut Value, add: &[String], drop: &[String]) {
    let dropped = drop.iter().map(|name| json!({"name": name, "deleted": 1}));
    let all: Vec<_> = dropped
        .chain(add.iter().map(|name| json!({"name": name})))
        .collect();
    if !all.is_empty() {
        json::set(sent, "Tag", Value::Array(all));
    }
}

fn tag_list<'a>(wanted: impl Iterator<Item = &'a str>, names: &TagResolution) -> Vec<Value> {
    wanted
        // A tag that cannot be set here has no name.
        .filter_map(|name| names.resolve(name))
        .map(|name| json!({"name": name}))
        .collect()
}
