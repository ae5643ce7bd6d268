//! `eventReports/index`, and `attributes/download`, which was not recorded.

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::ask::{Ask, int};
use super::capture;
use super::world::{Attribute, Event, World};
use crate::http_fake::Reply;

/// `eventReports/index/event_id:<number>`: the reports that are not deleted (recorded as `274-event-report-index`). A uuid
/// counts as the number that it begins with, as MariaDB compares a number with a text.
pub(super) fn index(world: &World, ask: &Ask) -> Reply {
    let wanted = ask.named("event_id").map(|given| {
        let digits: String = given.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap_or(0)
    });
    let seen = world.events.iter().filter(|event| world.sees(&ask.user, event));
    let wanted = seen.filter(|event| wanted.is_none_or(|wanted| wanted == event.id));
    let rows = wanted.flat_map(|event| {
        let reports = event.reports.as_array().into_iter().flatten();
        reports.filter(|report| report["deleted"] != true).map(|report| row(world, event, report))
    });
    Reply::json(200, &rows.collect())
}

/// `shadow_attributes/index/<event>/deleted:0`: the proposals to change an event's attributes (recorded as
/// `540-proposals-of-an-event`).
pub(super) fn proposals(world: &World, ask: &Ask) -> Reply {
    let seen = world.event(ask.first()).filter(|event| world.sees(&ask.user, event));
    let rows = seen.into_iter().flat_map(|event| {
        let all = event.proposals.as_array().into_iter().flatten();
        all.filter(|one| ask.named("deleted").is_none_or(|deleted| (deleted == "1") == (one["deleted"] == true)))
            .map(|one| json!({"ShadowAttribute": proposal(world, event, one)}))
    });
    Reply::json(200, &rows.collect())
}

fn proposal(world: &World, event: &Event, one: &Value) -> Value {
    let attribute = event.attributes.iter().find(|attribute| one["uuid"] == attribute.uuid.as_str());
    let org = world.organisation(one["org_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(3));
    let mut row = json!({
        "id": "1", "old_id": "0", "event_id": int(event.id), "type": "", "category": "", "uuid": "", "to_ids": false,
        "comment": "", "org_id": int(org.id), "timestamp": int(world.now), "first_seen": null, "last_seen": null,
        "deleted": false, "proposal_to_delete": false, "disable_correlation": false, "value": "",
        "org_uuid": org.uuid,
        "old_uuid": one["uuid"],
        "event_uuid": event.uuid,
        "Org": {"name": org.name, "uuid": org.uuid, "id": int(org.id)},
    });
    if let Some(attribute) = attribute {
        let fields = row.as_object_mut().expect("an object");
        fields.extend([
            ("old_id".to_owned(), int(attribute.id)),
            ("type".to_owned(), attribute.kind.as_str().into()),
            ("category".to_owned(), attribute.category.as_str().into()),
            ("value".to_owned(), attribute.value.as_str().into()),
        ]);
    }
    row.as_object_mut().expect("an object").extend(one.as_object().cloned().unwrap_or_default());
    row
}

fn row(world: &World, event: &Event, report: &Value) -> Value {
    let organisation = |id: u64| json!({"id": int(id), "name": world.organisation(id).name});
    json!({
        "EventReport": report,
        "Event": {
            "id": int(event.id),
            "orgc_id": int(event.orgc),
            "org_id": int(event.org),
            "info": event.info,
            "user_id": "1",
            "date": event.date,
            "Org": organisation(event.org),
            "Orgc": organisation(event.orgc),
        },
        "SharingGroup": {"id": null, "name": null, "uuid": null},
        "RelationshipInbound": [],
    })
}

/// `attributes/download/<id>`: the file of an attachment, the zip of a sample, by MISP's `AttributesController.php`.
pub(super) fn download(world: &World, ask: &Ask) -> Reply {
    let found = world.attribute(ask.first()).filter(|(event, attribute)| {
        !attribute.deleted && world.sees(&ask.user, event) && world.sees_attribute(&ask.user, event, attribute)
    });
    match found {
        Some((_, attribute)) if attribute.kind == "attachment" => {
            Reply::bytes(200, "application/octet-stream", content(attribute))
        }
        Some((_, attribute)) if attribute.kind == "malware-sample" => {
            Reply::bytes(200, "application/zip", zip(attribute))
        }
        _ => ask.refuse(401, "Attribute does not exist or you do not have the permission to download this attribute."),
    }
}

fn content(attribute: &Attribute) -> Vec<u8> {
    capture::base64(attribute.data.as_deref().unwrap_or_default())
}

/// What came as a zip is kept as it came.
fn zip(attribute: &Attribute) -> Vec<u8> {
    let content = content(attribute);
    if content.starts_with(b"PK") {
        return content;
    }
    let md5: String = Md5::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = attribute.value.split('|').next().unwrap_or_default();
    cortex_misp::sample::pack(name, &md5, &content).expect("a zip")
}
