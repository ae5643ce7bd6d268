//! What an export says of an event and its attributes is what MISP holds.

use serde_json::{Value, json};

use crate::desk::{Desk, warnings};
use crate::misp::{Attached, Attribute, Object};
use crate::program::full;
use crate::thehive::World;

/// The uuid of what a reviewer adds.
const THEIRS: &str = "5f0e5b5c-0000-4000-8000-000000000001";

/// What the report says of an observable: attribute, uuid, reason.
fn line(report: &Value, data: &str) -> (String, String, String) {
    let lines = full(report)["connections"][0]["observables"]
        .as_array()
        .unwrap();
    let line = lines.iter().find(|line| line["data"] == data).unwrap();
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    (text("attribute"), text("uuid"), text("reason"))
}

fn told(attribute: &str, uuid: &str, reason: &str) -> (String, String, String) {
    (attribute.to_owned(), uuid.to_owned(), reason.to_owned())
}

#[test]
fn a_line_names_the_attribute_that_misp_holds() {
    let desk = Desk::new(World::five(), &json!({}));
    desk.ioc("domain", "first.example", &json!({}));
    desk.run();
    let ours = desk.event().attributes[0].uuid.clone();
    {
        let event = &mut desk.misp.world().events[0];
        event.attributes[0].value = "edited.example".to_owned();
        event.attributes.push(Attribute {
            id: 90_000,
            uuid: THEIRS.to_owned(),
            kind: "domain".to_owned(),
            category: "External analysis".to_owned(),
            value: "theirs.example".to_owned(),
            distribution: 5,
            ..Attribute::default()
        });
    }
    desk.ioc("domain", "edited.example", &json!({}));
    desk.ioc("domain", "theirs.example", &json!({}));
    let report = desk.runs_empty();
    let theirs = told(
        "External analysis/domain",
        THEIRS,
        "added by somebody else, not for detection",
    );
    assert_eq!(line(&report, "theirs.example"), theirs);
    let edited = told(
        "Network activity/domain",
        &ours,
        "there already, in an attribute that was exported for another IOC",
    );
    assert_eq!(line(&report, "edited.example"), edited);
    let first = told(
        "Network activity/domain",
        &ours,
        "differs in MISP, left as it is: value (edited.example)",
    );
    assert_eq!(line(&report, "first.example"), first);
}

/// MISP makes copies in an object and deletes what was grouped, for good or, once it was published, softly
/// (`MispObject.php`, `groupAttributesIntoObject`).
#[test]
fn what_a_reviewer_groups_into_an_object_is_there() {
    for is_soft in [true, false] {
        let desk = Desk::new(World::five(), &json!({}));
        desk.ioc("filename", "a.exe", &json!({}));
        desk.run();
        {
            let event = &mut desk.misp.world().events[0];
            let one = &mut event.attributes[0];
            let copy = Attribute {
                id: 90_000,
                uuid: THEIRS.to_owned(),
                object: 90_001,
                ..one.clone()
            };
            one.deleted = true;
            event.attributes.retain(|one| is_soft || !one.deleted);
            event.attributes.push(copy);
            let uuid = "5f0e5b5c-0000-4000-8000-00000000000a".to_owned();
            event.objects.push(Object {
                id: 90_001,
                uuid,
                name: "file".to_owned(),
                distribution: 5,
                ..Object::default()
            });
        }
        let report = desk.runs_empty();
        let theirs = told(
            "Payload delivery/filename",
            THEIRS,
            "added by somebody else",
        );
        assert_eq!(line(&report, "a.exe"), theirs, "{is_soft}");
    }
}

#[test]
fn the_line_of_an_event_shows_what_misp_holds() {
    let desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.ioc("domain", "a.example", &json!({"tlp": 1}));
    desk.run();
    // `tlp:red`
    {
        let event = &mut desk.misp.world().events[0];
        "2020-02-03".clone_into(&mut event.date);
        event.tags.push(Attached {
            id: 70_069,
            tag: 69,
            local: false,
        });
    }
    let report = desk.runs_empty();
    let event = &full(&report)["connections"][0]["events"][0];
    assert_eq!(
        (&event["date"], &event["tlp"]),
        (&json!("2020-02-03"), &json!("RED"))
    );
    desk.misp.world().events[0].tags.clear();
    desk.change_case(&json!({"tlp": 2}));
    let mut job = desk.job();
    job["parameters"]["dry_run"] = json!(true);
    for job in [job, desk.job()] {
        let report = desk.report(job);
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["tlp"],
            "AMBER",
            "{report:#}"
        );
    }
}

#[test]
fn a_hash_of_128_digits_is_shown_whole() {
    let desk = Desk::new(World::five(), &json!({}));
    let hash = "ab".repeat(64);
    desk.ioc("hash", &hash, &json!({}));
    assert_eq!(line(&desk.run(), &hash).0, "Payload delivery/sha512");
}

#[test]
fn a_title_that_misp_takes_for_none_is_written_otherwise() {
    let desk = Desk::new(World::five(), &json!({"title": "0"}));
    desk.ioc("domain", "a.example", &json!({}));
    let report = desk.run();
    assert_eq!(desk.event().info, "Case #42: 0");
    assert!(
        warnings(&report).contains("for no title: the event is called \\\"Case #42: 0\\\""),
        "{report:#}"
    );
    desk.runs_empty();
}

#[test]
fn a_title_that_is_cut_is_told() {
    for (length, is_cut) in [(10_000, false), (10_001, true)] {
        let desk = Desk::new(World::five(), &json!({"title": "x".repeat(length)}));
        desk.ioc(
            "domain",
            "a.example",
            &json!({"message": "y".repeat(length)}),
        );
        let report = desk.run();
        assert_eq!(
            warnings(&report).contains("the event's title is cut to 10000 characters"),
            is_cut
        );
        assert_eq!(
            warnings(&report).contains("1 comments are cut to 10000 characters"),
            is_cut
        );
        assert_eq!(desk.event().info.trim_end_matches('…').len(), 10_000);
        desk.runs_empty();
    }
}
