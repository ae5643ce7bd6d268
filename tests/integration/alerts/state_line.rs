//! The line by which an alert remembers what it was made from: nobody else's text is taken for it, and it counts only in an
//! alert that this import's own user created.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::alerts::writing::desk::{Desk, PERSON};
use crate::program::{counts, full, of};

const FAULT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/faults/23-description-frozen"
);
const EVENT: &str = "aaaa0018-0000-4000-8000-000000000001";

fn description(desk: &Desk, event: &str) -> String {
    desk.alert(event)["description"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn warnings(report: &Value) -> String {
    full(report)["connections"][0]["warnings"].to_string()
}

/// The job of the fixture, with this TheHive.
fn fault_job(desk: &Desk, feed: &str) -> Value {
    let text = fs::read_to_string(Path::new(FAULT).join(format!("job-{feed}.json"))).unwrap();
    let mut job: Value = serde_json::from_str(&text.replace("@HERE@", FAULT)).unwrap();
    job["config"]["thehive_url"] = json!(desk.thehive.url());
    job["config"]["thehive_key"] = json!(crate::thehive::KEY);
    job["parameters"]["since"] = json!("all");
    job
}

#[test]
fn a_report_that_looks_like_a_state_line_freezes_nothing() {
    for desk in Desk::small(0) {
        let report = desk.run(&fault_job(&desk, "feed1"));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)]),
            "{report:#}"
        );
        let text = description(&desk, EVENT);
        assert!(text.contains("first text\n\\(cortex-misp] x\n"), "{text}");
        desk.run(&fault_job(&desk, "feed1"));
        desk.wrote_nothing();
        let report = desk.run(&fault_job(&desk, "feed2"));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        let text = description(&desk, EVENT);
        assert!(text.contains("SECOND TEXT\n\\(cortex-misp] x\n"), "{text}");
        desk.run(&fault_job(&desk, "feed2"));
        desk.wrote_nothing();
    }
}

/// An alert that a person made, with our source, the event's uuid, and a line that says that all of it is in.
fn forged(desk: &Desk, event: &str) -> String {
    let event = desk.misp.world().event(event).unwrap().clone();
    let line = format!(
        "[cortex-misp] event={} timestamp={} publish_timestamp={} complete=yes fields=title:00000000",
        event.uuid, event.timestamp, event.publish_timestamp
    );
    let mut world = desk.thehive.world();
    let (id, now) = (world.next_id(), world.tick());
    let mut alert = json!({
        "_id": id, "_type": "Alert", "_createdBy": PERSON, "_createdAt": now, "type": "misp", "source": "partner",
        "sourceRef": event.uuid, "title": "Ours", "description": format!("Nothing to see\n\n{line}"), "severity": 1, "date": 7,
        "tags": ["ours"], "tlp": 1, "pap": 1, "read": false, "follow": true, "status": "New", "stage": "New", "observableCount": 0,
        "customFields": [], "extraData": {},
    });
    if let Some(organisation) = world
        .alerts
        .first()
        .map(|known| known["organisationId"].clone())
    {
        alert["organisationId"] = organisation;
    }
    world.alerts.push(alert);
    let home = world.users[0].organisations[0].clone();
    world.give(&id, &home);
    id
}

#[test]
fn a_forged_state_line_keeps_no_event_out() {
    for desk in Desk::small(2) {
        let id = forged(&desk, "1");
        // That he switched updates off on his own alert keeps nothing out either.
        desk.thehive
            .world()
            .alerts
            .iter_mut()
            .find(|alert| alert["_id"] == json!(id))
            .unwrap()["follow"] = json!(false);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 1), ("updated", 1)]),
            "{report:#}"
        );
        assert_eq!(desk.data("1"), ["192.0.2.1", "Text 1", "host-1.example"]);
        let told = warnings(&report);
        assert!(
            told.contains(PERSON) && told.contains(desk.alert("1")["sourceRef"].as_str().unwrap()),
            "{told}"
        );
        // What the person wrote stays, and what changes in the event arrives, whatever the line says.
        assert_eq!(
            (&desk.alert("1")["title"], &desk.alert("1")["severity"]),
            (&json!("Ours"), &json!(1))
        );
        desk.rests();
        desk.misp.world().event_mut("1").unwrap().attributes[2].value =
            "Changed without a trace".into();
        desk.import();
        assert!(
            desk.data("1")
                .contains(&"Changed without a trace".to_owned())
        );
        desk.rests();
    }
}

#[test]
fn alerts_of_a_former_user_are_ours_once_it_is_named() {
    for desk in Desk::imported(2, &json!({})) {
        let former = "old-import@example.org";
        for alert in &mut desk.thehive.world().alerts {
            alert["_createdBy"] = json!(former);
        }
        for one in &mut desk.thehive.world().observables {
            one.record["_createdBy"] = json!(former);
        }
        let report = desk.import();
        assert!(warnings(&report).contains(former), "{report:#}");
        desk.change("1", |event| event.info = "Renamed".into());
        desk.alter("1", "Text 1", |one| one.comment = "Better".into());
        desk.import();
        assert_eq!(desk.alert("1")["title"], "#1 Event 1");
        let desk = desk.with(json!({"thehive_former_users": ["Old-Import@example.org"]}));
        desk.change("1", |_| ());
        let report = desk.import();
        assert_eq!(warnings(&report), "null");
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)])
        );
        assert_eq!(
            desk.observable(&desk.alert("1"), "Text 1").unwrap()["message"],
            "Better"
        );
        desk.rests();
    }
}

#[test]
fn an_alert_that_somebody_else_made_is_never_gone() {
    for desk in Desk::imported(1, &json!({"mark_withdrawn": true})) {
        let id = forged(&desk, "1");
        let uuid = "11111111-1111-4111-8111-111111111111";
        desk.thehive.world().alert_mut(&id).unwrap()["sourceRef"] = json!(uuid);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("unchanged", 1)]),
            "{report:#}"
        );
        assert!(!desk.has_tag(uuid, "misp:withdrawn"));
    }
}
