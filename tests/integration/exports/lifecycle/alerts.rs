//! An alert is exported as a case is: its IOCs become an event by its own id, which the case goes on with that it becomes.
//! What came from MISP, or went into a case, is refused.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain, warnings};
use crate::misp::key;
use crate::program::{counts, failure, full, of};
use crate::thehive::{Version, World};

/// Adds an alert with these fields, and the IOCs `a.example` and `b.example` beside what is none.
fn add_alert(world: &mut World, fields: &Value) -> String {
    let (id, moment) = (world.next_id(), world.tick());
    let mut alert = json!({
        "_id": id, "_type": "Alert", "_createdBy": "edr@example.org", "_createdAt": moment, "type": "siem", "source": "edr",
        "sourceRef": "EDR 7", "title": "Beacon", "description": "d", "severity": 3, "date": moment, "tags": [], "tlp": 2,
        "pap": 2, "follow": true, "customFields": [], "observableCount": 3, "extraData": {},
    });
    if world.version == Version::Five {
        alert["stage"] = json!("New");
        alert["tlpLabel"] = json!("AMBER");
    }
    alert
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    world.alerts.push(alert);
    for value in ["a.example", "b.example"] {
        world.add_observable(&id, &domain(value));
    }
    world.add_observable(
        &id,
        &json!({"dataType": "domain", "data": "no-ioc.example"}),
    );
    id
}

/// The job of a click on it. What TheHive 4 sends of an alert has no observables.
fn job(desk: &Desk, id: &str) -> Value {
    let mut job = desk.job();
    job["dataType"] = json!("thehive:alert");
    job["data"] = json!({"_id": id, "_type": "alert", "artifacts": []});
    job
}

#[test]
fn an_alerts_iocs_become_an_event_that_a_second_run_leaves_alone() {
    for desk in Desk::both() {
        let id = add_alert(&mut desk.thehive.world(), &json!({}));
        let mut job = job(&desk, &id);
        job["config"]["event_info"] = json!("[{number}] {title}");
        let report = desk.run(&job);
        let event = desk.event();
        let values: Vec<_> = event
            .attributes
            .iter()
            .map(|one| one.value.as_str())
            .collect();
        assert_eq!(
            (event.info.as_str(), event.threat_level),
            ("[EDR 7] Beacon", 1)
        );
        assert_eq!(values, ["a.example", "b.example"]);
        let done = of([("fetched", 2), ("created", 2)]);
        assert_eq!(counts(full(&report), "observables"), done);
        let said = full(&report)["message"].as_str().unwrap();
        assert!(
            said.contains("Exported 2 IOCs of alert EDR 7 to misp-corp"),
            "{said}"
        );
        let operation = &report["operations"][0];
        assert_eq!(operation["type"], "AddTagToAlert");
        let tag = operation["tag"].as_str().unwrap();
        assert!(
            tag.contains(&event.uuid) && tag.contains(".alert:"),
            "{tag}"
        );

        desk.run(&job);
        desk.wrote_nothing();
        desk.asked_at_most(6);
    }
}

#[test]
fn what_is_no_ioc_of_the_alert_any_more_is_retracted() {
    for desk in Desk::both() {
        let id = add_alert(&mut desk.thehive.world(), &json!({}));
        desk.run(&job(&desk, &id));
        let before = desk.event();
        desk.flag(0, false);
        desk.run(&job(&desk, &id));
        assert_eq!(
            changes(&before, &desk.event()),
            ["a.example: comment, to_ids"]
        );
        desk.run(&job(&desk, &id));
        desk.wrote_nothing();
    }
}

/// TheHive puts the tags and observables of an alert on the case that is made of it.
#[test]
fn the_case_that_an_alert_becomes_goes_on_with_its_event() {
    for desk in Desk::both() {
        let id = add_alert(&mut desk.thehive.world(), &json!({}));
        let report = desk.run(&job(&desk, &id));
        let tag = report["operations"][0]["tag"].as_str().unwrap().to_owned();
        let before = desk.event();
        desk.tag(std::slice::from_ref(&tag));
        for value in ["a.example", "b.example", "new.example"] {
            desk.add(&domain(value));
        }

        // Until the alert says that it went into this case, the tag proves nothing.
        let dry = desk.job_with("dry_run", json!(true));
        let told = warnings_and_notes(&desk.run(&dry));
        assert!(told.contains("which did not go into this case"), "{told}");

        desk.thehive.world().alerts[0]["caseId"] = json!(desk.case);
        let report = desk.export();
        assert_eq!(
            changes(&before, &desk.event()),
            ["+ new.example", "event: info"]
        );
        let done = of([("fetched", 3), ("created", 1), ("unchanged", 2)]);
        assert_eq!(counts(full(&report), "observables"), done);

        let refused = desk.run(&job(&desk, &id));
        assert!(failure(&refused).contains("went into case"), "{refused:#}");
        desk.wrote_nothing();
    }
}

fn warnings_and_notes(report: &Value) -> String {
    format!(
        "{} {}",
        full(report)["message"],
        warnings(report).join("\n")
    )
}

#[test]
fn an_alert_that_came_from_misp_is_not_sent_back() {
    for desk in Desk::both() {
        let event = json!({"type": "misp", "source": "misp-corp", "sourceRef": "0650001a-1734-4fc6-a2eb-25b71b7fb632"});
        let id = add_alert(&mut desk.thehive.world(), &event);
        let report = desk.run(&job(&desk, &id));
        assert!(
            failure(&report)
                .contains("the alert was made from event 0650001a-1734-4fc6-a2eb-25b71b7fb632")
        );
        assert!(desk.misp.world().events.is_empty());

        let report = desk.run(&job(&desk, "~404"));
        assert!(
            failure(&report).contains("the alert does not exist"),
            "{report:#}"
        );
    }
}

/// Without TheHive only what the job carries is there, and nothing is taken back for it.
#[test]
fn without_thehive_the_job_has_to_carry_the_observables() {
    let desk = Desk::four();
    let id = add_alert(&mut desk.thehive.world(), &json!({}));
    let mut job = job(&desk, &id);
    for option in ["thehive_url", "thehive_key"] {
        job["config"][option] = Value::Null;
    }
    let report = desk.run(&job);
    assert!(
        failure(&report).contains("the job carries no observables"),
        "{report:#}"
    );

    job["data"] = desk.thehive.world().alerts[0].clone();
    job["data"]["artifacts"] = json!([domain("a.example")]);
    job["config"]["key"] = json!([key("orgadmin")]);
    let report = desk.run(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
}

/// The markings of an alert are those of a case.
#[test]
fn an_alert_that_is_too_strict_is_refused() {
    let desk = Desk::five();
    let id = add_alert(&mut desk.thehive.world(), &json!({"tags": ["tlp:red"]}));
    let mut job = job(&desk, &id);
    job["config"]["max_export_tlp"] = json!("AMBER");
    let report = desk.run(&job);
    assert!(
        report
            .to_string()
            .contains("\\\"max_export_tlp\\\" is AMBER"),
        "{report:#}"
    );
    desk.wrote_nothing();
}
