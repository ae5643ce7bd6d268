//! A feed over its life: updates, retractions and their reversal, tags, title, objects and files, and no byte changed
//! without a reason.

use serde_json::{Value, json};

use crate::desk::{Desk, MARK, md5};
use crate::program::{counts, full, of};
use crate::thehive::World;

fn names(of: &Value) -> Vec<&str> {
    of["Tag"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect()
}

/// The feed's entry of its one event.
fn entry(desk: &Desk) -> Value {
    let manifest: Value = serde_json::from_str(&desk.files()["manifest.json"]).unwrap();
    let uuid = desk.feed_event()["uuid"].as_str().unwrap().to_owned();
    assert_eq!(manifest.as_object().unwrap().len(), 1);
    manifest[uuid].clone()
}

fn desk() -> Desk {
    let mut desk = Desk::with_feed(
        World::five(),
        &json!({"tlp": 1, "severity": 1, "tags": ["apt:one"]}),
    );
    desk.set(&json!({"export_case_tags": true, "export_observable_tags": true}));
    desk
}

#[test]
fn the_head_of_a_feeds_event_follows_the_case() {
    let desk = desk();
    desk.ioc("domain", "a.example", &json!({"tlp": 1}));
    desk.run();
    desk.runs_empty();
    assert_eq!(
        names(&desk.feed_event()),
        ["tlp:green", "PAP:AMBER", "apt:one"]
    );
    desk.change_case(
        &json!({"title": "Another", "severity": 4, "tlp": 2, "pap": 3, "tags": ["apt:two"], "stage": "Closed"}),
    );
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("unchanged", 1)])
    );
    let event = desk.feed_event();
    let text = |name: &str| event[name].as_str().unwrap();
    assert_eq!(
        (text("info"), text("threat_level_id"), text("analysis")),
        ("Another", "1", "2")
    );
    let mut tags = names(&event);
    tags.sort_unstable();
    assert_eq!(tags, ["PAP:RED", "apt:one", "apt:two", "tlp:amber"]);
    let entry = entry(&desk);
    assert_eq!(
        (
            &entry["info"],
            &entry["threat_level_id"],
            &entry["analysis"]
        ),
        (&json!("Another"), &json!("1"), &json!("2"))
    );
    assert_eq!(
        (names(&entry).len(), &entry["timestamp"]),
        (4, &event["timestamp"])
    );
    assert_eq!(event["published"], false);
    desk.runs_empty();
    desk.change_case(&json!({"severity": 1, "tlp": 1, "pap": 2, "stage": "InProgress"}));
    desk.runs_empty();
}

#[test]
fn attributes_of_a_feed_come_rise_and_get_tags() {
    let desk = desk();
    let id = desk.ioc(
        "domain",
        "a.example",
        &json!({"tlp": 1, "tags": ["one:tag"]}),
    );
    desk.run();
    assert_eq!(names(&desk.feed_attribute("a.example")), ["one:tag"]);
    desk.change(&id, &json!({"tlp": 2, "tags": ["two:tag"]}));
    desk.ioc("domain", "b.example", &json!({"tlp": 1}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("updated", 1)])
    );
    let mut tags = names(&desk.feed_attribute("a.example"))
        .into_iter()
        .map(ToOwned::to_owned)
        .collect::<Vec<_>>();
    tags.sort_unstable();
    assert_eq!(tags, ["one:tag", "tlp:amber", "two:tag"]);
    assert!(desk.files()["hashes.csv"].contains(&md5(b"b.example")));
    desk.runs_empty();
}

#[test]
fn a_feed_is_retracted_from_and_brought_back() {
    for removed in ["unflag", "delete", "keep"] {
        let mut desk = desk();
        desk.set(&json!({"removed_iocs": removed, "export_attachments": "plain"}));
        let message = json!({"message": "C2", "tlp": 1});
        let ids = [
            desk.ioc("domain", "a.example", &message),
            desk.file("a.txt", b"content", &message),
        ];
        desk.ioc("domain", "stays.example", &message);
        desk.run();
        let first = desk.files();
        ids.iter()
            .for_each(|id| desk.change(id, &json!({"ioc": false})));
        let report = desk.run();
        // The file itself is kept, whatever the options are by then.
        let verdict = if removed == "keep" {
            "skipped"
        } else {
            "updated"
        };
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 2), (verdict, 2)]),
            "{report:#}"
        );
        for value in ["a.example", "content"].map(|value| {
            if value == "content" {
                md5(b"content")
            } else {
                value.to_owned()
            }
        }) {
            let held = desk.feed_attribute(&value);
            let expected = match removed {
                "unflag" => (json!(false), json!(false), format!("C2 {MARK}")),
                "delete" => (json!(true), json!(true), format!("C2 {MARK}")),
                _ => (json!(true), json!(false), "C2".to_owned()),
            };
            assert_eq!(
                (
                    held["to_ids"].clone(),
                    held["deleted"].clone(),
                    held["comment"].as_str().unwrap().to_owned()
                ),
                expected
            );
            assert_eq!(
                desk.files()["hashes.csv"].contains(&md5(value.as_bytes())),
                removed != "delete"
            );
        }
        assert_eq!(desk.feed_attribute("stays.example")["to_ids"], true);
        desk.runs_empty();
        ids.iter()
            .for_each(|id| desk.change(id, &json!({"ioc": true})));
        let report = desk.run();
        let verdict = if removed == "keep" {
            "unchanged"
        } else {
            "updated"
        };
        assert_eq!(
            counts(full(&report), "observables")[verdict],
            if removed == "keep" { 3 } else { 2 }
        );
        let plain = |files: &std::collections::BTreeMap<String, String>| {
            let lines = files
                .values()
                .flat_map(|text| text.lines())
                .filter(|line| !line.contains("\"timestamp\""));
            lines.map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(plain(&desk.files()).len(), plain(&first).len());
        assert_eq!(desk.files()["hashes.csv"], first["hashes.csv"]);
        let flags = ["a.example", "7"].map(|value| desk.feed_attribute(value)["to_ids"].clone());
        assert_eq!(flags, [json!(true), json!(false)]);
        desk.runs_empty();
    }
}

#[test]
fn objects_of_a_feed_grow_and_are_found_again() {
    let mut desk = desk();
    let linked = json!({"tlp": 1, "tags": ["misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\""]});
    desk.ioc("filename", "evil.exe", &linked);
    desk.ioc("hash", &"ab".repeat(32), &linked);
    desk.file("notes.txt", b"notes", &json!({"tlp": 1}));
    desk.run();
    let objects = |desk: &Desk| desk.feed_event()["Object"].as_array().unwrap().len();
    assert_eq!(objects(&desk), 2);
    desk.runs_empty();
    desk.ioc("hash", &"cd".repeat(20), &linked);
    desk.file("same.txt", b"notes", &json!({"tlp": 1}));
    desk.set(&json!({"export_attachments": "sample"}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 5), ("created", 2), ("unchanged", 3)])
    );
    let inside: Vec<_> = desk.feed_event()["Object"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Attribute"].as_array().unwrap().len())
        .collect();
    assert_eq!(
        (objects(&desk), inside.iter().sum::<usize>()),
        (2, 3 + 5 + 2)
    );
    desk.runs_empty();
}
