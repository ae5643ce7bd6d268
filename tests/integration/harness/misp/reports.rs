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
    let seen = world
        .events
        .iter()
        .filter(|event| world.sees(&ask.user, event));
    let wanted = seen.filter(|event| wanted.is_none_or(|wanted| wanted == event.id));
    let rows = wanted.flat_map(|event| {
        let reports = event.reports.as_array().into_iter().flatten();
        reports
            .filter(|report| report["deleted"] != true)
            .map(|report| row(world, event, report))
    });
    Reply::json(200, &rows.collect())
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
        !attribute.deleted
            && world.sees(&ask.user, event)
            && world.sees_attribute(&ask.user, event, attribute)
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
    let md5: String = Md5::digest(&content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = attribute.value.split('|').next().unwrap_or_default();
    cortex_misp::sample::pack(name, &md5, &content).expect("a zip")
}
