//! Feeds in a folder: what is written, what is mended, what is refused, and what hostile files do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::program::{Program, counts, failure, full, of};

fn export(folder: &Path, case: &str, observables: Value) -> Value {
    json!({
        "dataType": "thehive:case",
        "data": {"_id": case, "caseId": 1, "title": "T", "startDate": 1_795_000_000_000_i64, "tlp": 1, "observables": observables},
        "config": {"name": ["feed"], "url": [format!("file://{}", folder.display())], "key": ["-"], "instance": "test.example"},
    })
}

fn import(folder: &Path, more: Value) -> Value {
    let mut config = json!({"name": ["feed"], "url": [format!("file://{}", folder.display())], "max_age_days": 0});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config})
}

fn domains(number: usize) -> Value {
    (0..number)
        .map(|n| json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true, "tlp": 1}))
        .collect()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            (
                entry.file_name().to_str().unwrap().to_owned(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn red_and_amber_strict_never_go_where_everyone_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let observables = json!([
        {"dataType": "ip", "data": "192.0.2.1", "ioc": true, "tlp": 4},
        {"dataType": "ip", "data": "192.0.2.2", "ioc": true, "tlp": 3},
        {"dataType": "ip", "data": "192.0.2.3", "ioc": true, "tlp": 2},
    ]);
    let report = Program::Export.report(&export(folder.path(), "~1", observables));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 1), ("skipped", 2)])
    );
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"tlp": 2})
    );
    assert!(
        full(&report)["connections"][0]["warnings"]
            .to_string()
            .contains("readable by everyone who pulls this feed")
    );
    for (name, text) in files(folder.path()) {
        let text = String::from_utf8(text).unwrap();
        assert!(
            !text.contains("192.0.2.1") && !text.contains("192.0.2.2"),
            "{name}"
        );
    }
    let other = tempfile::tempdir().unwrap();
    let mut red = export(other.path(), "~1", domains(2));
    red["data"]["tlp"] = json!(4);
    red["config"]["check_tlp"] = json!(false);
    let report = Program::Export.report(&red);
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"tlp": 2})
    );
    assert_eq!(
        files(other.path()).keys().collect::<Vec<_>>(),
        [".cortex-misp.lock"]
    );
}

#[test]
fn a_run_that_died_between_two_files_is_mended_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    Program::Export.report(&export(folder.path(), "~1", domains(2)));
    let whole = files(folder.path());
    for lost in ["manifest.json", "hashes.csv"] {
        fs::remove_file(folder.path().join(lost)).unwrap();
        let report = Program::Export.report(&export(folder.path(), "~1", domains(2)));
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("unchanged", 2)])
        );
        assert_eq!(files(folder.path()), whole);
    }
}

#[test]
fn many_exports_at_once_leave_a_whole_feed() {
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for case in 0..8 {
            let folder = folder.path();
            // Two runs of each of four cases.
            scope.spawn(move || {
                full(&Program::Export.report(&export(
                    folder,
                    &format!("~{}", case % 4),
                    domains(20),
                )))
                .clone()
            });
        }
    });
    let report = Program::Import.report(&import(
        folder.path(),
        json!({"instance": "elsewhere.example"}),
    ));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 4), ("created", 4)])
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 80), ("created", 80)])
    );
    assert_eq!(files(folder.path()).len(), 4 + 3);
}

#[test]
fn files_of_others_are_left_alone_and_named_if_they_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "ours").unwrap();
    fs::write(
        folder
            .path()
            .join("5f0e5b5c-0000-4000-8000-000000000001.json"),
        "{\"Event\": ",
    )
    .unwrap();
    let report = Program::Export.report(&export(folder.path(), "~1", domains(1)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        warnings.contains(
            "5f0e5b5c-0000-4000-8000-000000000001.json is left out of the feed's manifest"
        ),
        "{warnings}"
    );
    assert_eq!(files(folder.path())["notes.txt"], b"ours");
}

#[test]
fn a_dry_run_writes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut dry = export(folder.path(), "~1", domains(3));
    dry["parameters"] = json!({"dry_run": true});
    assert_eq!(
        counts(full(&Program::Export.report(&dry)), "observables"),
        of([("fetched", 3), ("created", 3)])
    );
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_empty_feed_is_no_error_and_one_without_its_manifest_is() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        counts(
            full(&Program::Import.report(&import(folder.path(), json!({})))),
            "events"
        ),
        of([])
    );
    fs::write(
        folder
            .path()
            .join("5f0e5b5c-0000-4000-8000-000000000001.json"),
        "{}",
    )
    .unwrap();
    assert!(
        failure(&Program::Import.report(&import(folder.path(), json!({}))))
            .contains("reading the feed's manifest")
    );
}

#[test]
fn hostile_manifests_and_event_files_are_counted_and_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let good = "5f0e5b5c-0000-4000-8000-000000000001";
    let missing = "5f0e5b5c-0000-4000-8000-000000000002";
    let cut = "5f0e5b5c-0000-4000-8000-000000000003";
    let manifest = json!({
        "../../../etc/passwd": {"info": "path", "timestamp": 1}, "x": 7, good: {"info": "<b>{{7*7}}</b>", "date": "2026-01-01", "timestamp": "1"},
        missing: {"info": "missing", "date": "2026-01-01"}, cut: {"info": "cut", "date": "2026-01-01"},
    });
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let event = json!({"response": [{"Event": {"Attribute": [{"type": "domain", "category": "Network activity", "value": "a.example", "to_ids": true}]}}]});
    fs::write(
        folder.path().join(format!("{good}.json")),
        event.to_string(),
    )
    .unwrap();
    fs::write(
        folder.path().join(format!("{cut}.json")),
        "{\"Event\": {\"Attribute\": [{\"value\": \"b",
    )
    .unwrap();
    let report = Program::Import.report(&import(folder.path(), json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 5), ("created", 1), ("failed", 4)])
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(!report.to_string().contains("root:"));
}

#[test]
fn an_event_above_the_limit_is_counted_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    Program::Export.report(&export(folder.path(), "~1", domains(30)));
    let report = Program::Import.report(&import(
        folder.path(),
        json!({"max_attributes": 10, "instance": "elsewhere.example"}),
    ));
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"more than 10 attributes": 1})
    );
    assert_eq!(counts(full(&report), "attributes"), of([]));
}
