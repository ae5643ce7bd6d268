//! Numbers and times from outside are read as what they are, or named: never 0, never recent, never equal.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Program, counts, full, of};
use crate::thehive;

fn job(feed: &Path, since: &str, more: Value) -> Value {
    let mut config = json!({"name": ["feed"], "url": [format!("file://{}", feed.display())], "key": ["-"], "purpose": ["ImportOnly"],
        "instance": "test.example", "max_age_days": 0});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": since}, "config": config})
}

fn fault(name: &str) -> std::path::PathBuf {
    fs::canonicalize(Path::new("fixtures/faults").join(name)).unwrap()
}

#[test]
fn what_a_decimal_timestamp_marks_as_changed_arrives() {
    let hive = thehive::Fake::start(thehive::World::four());
    let to = json!({"thehive_url": hive.url(), "thehive_key": thehive::KEY});
    let run = |feed: &str| Program::Import.report(&job(&fault(feed), "all", to.clone()));
    let first = run("03-float-timestamp/feed");
    assert_eq!(
        counts(full(&first), "attributes"),
        of([("fetched", 1), ("created", 1)])
    );
    let line = hive.world().alerts[0]["description"].to_string();
    assert!(line.contains(" timestamp=1793000000 "), "{line}");
    assert_eq!(
        counts(full(&run("03-float-timestamp/feed")), "events"),
        of([("fetched", 1), ("unchanged", 1)])
    );
    let second = run("03-float-timestamp/feed2");
    assert_eq!(
        counts(full(&second), "events"),
        of([("fetched", 1), ("updated", 1)])
    );
    assert_eq!(
        counts(full(&second), "attributes"),
        of([("fetched", 3), ("created", 2), ("unchanged", 1)])
    );
}

#[test]
fn milliseconds_make_no_event_recent() {
    let report = Program::Import.report(&job(&fault("17-times/feed-ms"), "7d", json!({})));
    assert!(counts(full(&report), "events").is_empty(), "{report:#}");
    let old = json!({"max_age_days": 90, "max_age_date": "modified"});
    let report = Program::Import.report(&job(&fault("17-times/feed-ms"), "all", old));
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"older than 90 days": 2})
    );
}

#[test]
fn times_and_dates_of_any_form_are_read_or_named() {
    let hive = thehive::Fake::start(thehive::World::four());
    let to = json!({"thehive_url": hive.url(), "thehive_key": thehive::KEY});
    let report = Program::Import.report(&job(&fault("17-times/feed0"), "all", to.clone()));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 9), ("created", 9)]),
        "{report:#}"
    );
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    for said in [
        "(10.11.2026) cannot be read",
        "(1794268800) cannot be read",
        "(2026-02-30) cannot be read",
        "its time of change cannot be read",
    ] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    let date = |title: &str| {
        let world = hive.world();
        let alert = world
            .alerts
            .iter()
            .find(|one| one["title"] == title)
            .unwrap();
        (
            alert["date"].as_i64().unwrap(),
            alert["description"].as_str().unwrap().to_owned(),
        )
    };
    let day = 1_794_268_800_000;
    for title in ["12a ms", "12c date iso", "12f date slash", "12h date space"] {
        assert_eq!(date(title).0, day, "{title}");
    }
    assert_eq!(date("12d date de").0, 1_794_376_800_000);
    assert!(
        date("12a ms")
            .1
            .contains("- Changed: 2026-11-11 06:00 UTC\n")
    );
    assert!(
        date("12b 2038")
            .1
            .contains(" timestamp=? publish_timestamp=0 "),
        "{}",
        date("12b 2038").1
    );
    // Once more: one whose time cannot be true is read again, and the rest is not.
    hive.forget_requests();
    let again = Program::Import.report(&job(&fault("17-times/feed0"), "all", to));
    assert_eq!(
        counts(full(&again), "attributes"),
        of([("fetched", 1), ("unchanged", 1)]),
        "{again:#}"
    );
    // It is not recent either, by whatever is asked.
    let recent = Program::Import.report(&job(&fault("17-times/feed0"), "400d", json!({})));
    assert_eq!(
        full(&recent)["ledger"]["events"]["skipped_by"],
        json!({"its time of change or publication cannot be read": 1})
    );
    let young = json!({"max_age_days": 400});
    let young = Program::Import.report(&job(&fault("17-times/feed0"), "all", young));
    let rules = json!({"its date cannot be read": 3, "its date lies in the future": 1});
    assert_eq!(full(&young)["ledger"]["events"]["skipped_by"], rules);
}

#[test]
fn a_timestamp_that_cannot_be_read_loses_no_event_and_is_never_recent() {
    let folder = tempfile::tempdir().unwrap();
    let uuid = |number: usize| format!("5f0e5b5c-0000-4000-8000-{number:012}");
    let moments = [
        json!(-5),
        json!(0),
        json!(""),
        json!("soon"),
        json!(null),
        json!([1]),
        json!("1e400"),
        json!(9_999_999_999_i64),
    ];
    let entries: serde_json::Map<_, _> = moments.iter().enumerate().map(|(number, moment)| {
        let entry = json!({"info": "x", "date": "2026-11-01", "timestamp": moment});
        let attribute = json!({"uuid": uuid(100 + number), "type": "domain", "category": "Network activity", "value": format!("h{number}.example")});
        let event = json!({"Event": {"uuid": uuid(number), "info": "x", "date": "2026-11-01", "timestamp": moment, "Attribute": [attribute]}});
        fs::write(folder.path().join(format!("{}.json", uuid(number))), event.to_string()).unwrap();
        (uuid(number), entry)
    }).collect();
    fs::write(
        folder.path().join("manifest.json"),
        Value::Object(entries).to_string(),
    )
    .unwrap();
    let number = moments.len() as u64;
    let report = Program::Import.report(&job(folder.path(), "7d", json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", number), ("skipped", number)]),
        "{report:#}"
    );
    let report = Program::Import.report(&job(folder.path(), "all", json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", number), ("created", number)]),
        "{report:#}"
    );
}
