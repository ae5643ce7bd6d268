//! Event reports: those of an event that is written, `eventReports/index`; and `attributes/download`, which was not recorded.

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::ask::{Ask, int, number, text};
use super::capture::{self, Place, four_bytes};
use super::world::{Attribute, Event, World};
use crate::http_fake::Reply;

/// A report in an edit of an event: added, or changed unless it is older (recorded as `608-edit-adds-a-report` and
/// `609-edit-changes-a-report`). One that another event has is taken from it (`EventReport.php`, `editReport`). Deleted ones
/// stay deleted.
pub(super) fn capture(world: &mut World, from: &Value, place: Place) -> Result<(), ()> {
    let written = ["name", "content"].map(|field| text(&from[field]).unwrap_or_default());
    if written.iter().any(|text| four_bytes(text)) {
        return Err(());
    }
    let uuid = text(&from["uuid"]).unwrap_or_default().to_lowercase();
    if written[0].trim().is_empty() || uuid.is_empty() || world.refuses_reports {
        return Ok(());
    }
    let id = world.next_id();
    let mut known = None;
    for event in &mut world.events {
        let reports = event.reports.as_array_mut().into_iter();
        known = known.or(reports
            .flat_map(|reports| reports.extract_if(.., |report| report["uuid"] == uuid.as_str()))
            .next());
    }
    let event = &mut world.events[place.event];
    let mut report = known.unwrap_or_else(|| {
        json!({
            "id": int(id), "uuid": uuid, "event_id": "0", "name": "", "content": null, "distribution": "0",
            "sharing_group_id": "0", "timestamp": "0", "deleted": false,
        })
    });
    let is_older = number(&from["timestamp"])
        .is_some_and(|given| number(&report["timestamp"]).is_some_and(|held| given <= held));
    if !is_older {
        for field in ["name", "content", "distribution", "deleted"] {
            if !from[field].is_null() {
                report[field] = from[field].clone();
            }
        }
        report["timestamp"] = int(number(&from["timestamp"]).unwrap_or(place.now));
        report["event_id"] = int(event.id);
    }
    if !event.reports.is_array() {
        event.reports = json!([]);
    }
    event
        .reports
        .as_array_mut()
        .into_iter()
        .for_each(|reports| reports.push(report.clone()));
    Ok(())
}

/// `galaxies/view/<uuid>`: that of ATT&CK's attack patterns, as it was recorded (`610-galaxies-view-attack-pattern`) or as a test
/// wants it.
pub(super) fn galaxy(world: &World, ask: &Ask) -> Reply {
    const RECORDED: &str =
        include_str!("../../../../fixtures/wire/misp/610-galaxies-view-attack-pattern.json");
    if ask.first() != "c4e851fa-775f-11e7-8163-b774922098cd" || world.galaxy == Value::Bool(false) {
        return ask.refuse(404, "Invalid Galaxy.");
    }
    let recorded: Value = serde_json::from_str(RECORDED).expect("JSON");
    let mut galaxy = recorded["response"]["body"].clone();
    if let Some(clusters) = world.galaxy.as_array() {
        let all = galaxy["GalaxyCluster"].as_array_mut();
        all.into_iter()
            .for_each(|all| all.extend(clusters.iter().cloned()));
    }
    Reply::json(200, &galaxy)
}

/// `eventReports/index/event_id:<number>`: the reports that are not deleted, or all with `context:all` (recorded as `274-event-report-index`). A uuid
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
            .filter(|report| ask.named("context") == Some("all") || report["deleted"] != true)
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
