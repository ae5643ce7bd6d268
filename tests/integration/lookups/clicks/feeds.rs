//! Clicks on feeds, which are searched through `hashes.csv`, and on several connections at once.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{events, matches, message, run, taxonomies, taxonomy, warnings};
use crate::desk::md5;
use crate::misp::{Fake, World, key};
use crate::program::{counts, full, of};

const ONE: &str = "5f0e5b5c-0000-4000-8000-000000000001";
const TWO: &str = "5f0e5b5c-0000-4000-8000-000000000002";

/// A feed of another producer: two events, in upper case here and there, one value deleted, one in a deleted object.
fn feed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let attribute = |kind: &str, value: &str, uuid: &str| json!({"type": kind, "category": "Network activity", "value": value, "to_ids": kind != "text", "uuid": uuid});
    let mut deleted = attribute("domain", "gone.example", "d1");
    deleted["deleted"] = json!(true);
    let row = |info: &str, organisation: &str| json!({"info": info, "date": "2020-01-01", "timestamp": "1", "Orgc": {"name": organisation, "uuid": ""}});
    let mut one = json!({"Event": {"Attribute": [
        attribute("domain|ip", "evil.example|192.0.2.1", "a1"), attribute("filename|md5", "x.exe|727CEEF6A51773D8FBDEFB5D1E712F21", "a2"),
        attribute("text", "evil.example", "a3"), deleted,
    ]}});
    let mut two = json!({"Event": {"Object": [
        {"name": "domain-ip", "uuid": "o1", "Attribute": [attribute("domain", "evil.example", "b1")]},
        {"name": "domain-ip", "uuid": "o2", "deleted": true, "Attribute": [attribute("domain", "gone.example", "b2")]},
    ]}});
    let manifest = json!({ONE: row("First", "A"), TWO: row("Second", "B")});
    for (file, uuid) in [(&mut one, ONE), (&mut two, TWO)] {
        file["Event"]
            .as_object_mut()
            .unwrap()
            .extend(manifest[uuid].as_object().unwrap().clone());
    }
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(folder.path().join(format!("{ONE}.json")), one.to_string()).unwrap();
    fs::write(folder.path().join(format!("{TWO}.json")), two.to_string()).unwrap();
    let values = [
        ("evil.example", ONE),
        ("192.0.2.1", ONE),
        ("x.exe", ONE),
        ("727CEEF6A51773D8FBDEFB5D1E712F21", ONE),
        ("gone.example", ONE),
        ("evil.example", TWO),
        ("gone.example", TWO),
        ("stale.example", TWO),
    ];
    write_hashes(folder.path(), &values);
    folder
}

fn write_hashes(folder: &Path, values: &[(&str, &str)]) {
    let lines: String = values
        .iter()
        .map(|(value, uuid)| format!("{},{uuid}\n", md5(value.as_bytes())))
        .collect();
    fs::write(folder.join("hashes.csv"), lines).unwrap();
}

fn click(folder: &Path, data_type: &str, data: &str, more: &Value) -> Value {
    let mut config =
        json!({"name": ["feed"], "url": [format!("file://{}", folder.display())], "key": ["-"]});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let before: Vec<_> = contents(folder);
    let report = run(
        &[],
        &json!({"dataType": data_type, "data": data, "config": config}),
    );
    assert_eq!(contents(folder), before);
    report
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_feed_is_searched_through_its_hashes() {
    let folder = feed();
    for (data_type, data, expected) in [
        ("domain", "EVIL[.]example", vec!["b1", "a1", "a3"]),
        ("ip", "192.0.2.1", vec!["a1"]),
        ("filename", "x.exe", vec!["a2"]),
        ("hash", "727ceef6a51773d8fbdefb5d1e712f21", vec!["a2"]),
        ("hash", "727CEEF6A51773D8FBDEFB5D1E712F21", vec!["a2"]),
        ("domain", "stale.example", vec![]),
        ("domain", "absent.example", vec![]),
    ] {
        let report = click(folder.path(), data_type, data, &json!({}));
        let (mut found, mut expected) = (matches(&report), expected);
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{data}");
        let number = expected.len() as u64;
        assert_eq!(
            counts(full(&report), "attributes")
                .get("found")
                .copied()
                .unwrap_or(0),
            number
        );
    }
    let report = click(folder.path(), "domain", "evil.example", &json!({}));
    assert_eq!(
        message(&report),
        "2 events know evil.example on 1 connection (2 with an IDS attribute)"
    );
    assert_eq!(
        (&events(&report)[0]["title"], &events(&report)[1]["title"]),
        (&json!("First"), &json!("Second"))
    );
}

#[test]
fn filters_hide_the_events_of_a_feed_too() {
    let folder = feed();
    let report = click(
        folder.path(),
        "domain",
        "evil.example",
        &json!({"exclude_organisations": ["b"]}),
    );
    assert_eq!(
        message(&report),
        "1 event knows evil.example on 1 connection (1 with an IDS attribute); 1 more is hidden by filters"
    );
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"organisation b is excluded": 1})
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 3), ("found", 2), ("skipped", 1)])
    );
}

#[test]
fn what_was_deleted_makes_no_event_known() {
    let folder = feed();
    let report = click(folder.path(), "domain", "gone.example", &json!({}));
    assert_eq!(message(&report), "no event knows gone.example");
    assert_eq!(
        full(&report)["ledger"]["attributes"]["skipped_by"],
        json!({"deleted": 2})
    );
    assert_eq!(counts(full(&report), "events"), of([]));
}

/// Whatever its index says or lacks, an event that the manifest names is read.
#[test]
fn a_feed_without_a_usable_index_is_searched_event_by_event() {
    let folder = feed();
    let hashes = folder.path().join("hashes.csv");
    let of_files = format!("{ONE}.json,{},1\n", "0".repeat(32));
    for index in [
        None,
        Some(String::new()),
        Some("<html></html>".into()),
        Some("\u{feff}".into()),
        Some(of_files),
    ] {
        match &index {
            None => fs::remove_file(&hashes).unwrap(),
            Some(text) => fs::write(&hashes, text).unwrap(),
        }
        let report = click(folder.path(), "domain", "evil.example", &json!({}));
        assert_eq!(
            message(&report),
            "2 events know evil.example on 1 connection (2 with an IDS attribute)"
        );
        let report = click(folder.path(), "domain", "absent.example", &json!({}));
        assert_eq!(
            message(&report),
            "no event knows absent.example",
            "{index:?}"
        );
        assert_eq!(taxonomies(&report), [taxonomy("info", "Events", "0")]);
    }
}

#[test]
fn a_feed_that_cannot_be_read_is_not_searched() {
    let folder = feed();
    fs::write(folder.path().join("manifest.json"), "<html></html>").unwrap();
    fs::remove_file(folder.path().join("hashes.csv")).unwrap();
    let report = click(folder.path(), "domain", "evil.example", &json!({}));
    assert_eq!(
        message(&report),
        "evil.example was not looked up: no connection could be searched for it"
    );
    assert!(
        warnings(&report).contains("not searchable: the feed has no hashes.csv"),
        "{}",
        warnings(&report)
    );
    assert_eq!(
        taxonomies(&report),
        [taxonomy("suspicious", "Events", "not searched")]
    );
    // With an index at least what it names can be found, and what it does not name is no clean no.
    write_hashes(folder.path(), &[("evil.example", ONE)]);
    let report = click(folder.path(), "domain", "evil.example", &json!({}));
    assert!(
        message(&report).starts_with("1 event knows evil.example"),
        "{}",
        message(&report)
    );
    assert!(
        message(&report).contains("1 of 1 connections could be searched in part only"),
        "{}",
        message(&report)
    );
    let in_part = taxonomy("suspicious", "Events", "searched in part: 1 of 1");
    assert_eq!(
        taxonomies(&report),
        [taxonomy("malicious", "Events", "1"), in_part.clone()]
    );
    let report = click(folder.path(), "domain", "absent.example", &json!({}));
    assert_eq!(
        message(&report),
        "no event that was looked at knows absent.example; 1 of 1 connections could be searched in part only"
    );
    assert_eq!(taxonomies(&report), [in_part]);
}

#[test]
fn an_event_or_attribute_that_cannot_be_read_may_have_the_value() {
    let folder = feed();
    let path = folder.path().join(format!("{TWO}.json"));
    let whole = fs::read_to_string(&path).unwrap();
    let flawed = whole.replacen("\"b1\"", "\"b1\", \"value\": {\"a\": 1}", 1);
    assert_ne!(flawed, whole);
    for text in [flawed.as_str(), "{\"Event\": {\"Attribute\": [", ""] {
        fs::write(&path, text).unwrap();
        let report = click(folder.path(), "domain", "absent.example", &json!({}));
        assert!(
            message(&report).starts_with("no event that was looked at knows absent.example"),
            "{}",
            message(&report)
        );
        assert!(warnings(&report).contains(TWO), "{}", warnings(&report));
        assert_eq!(
            taxonomies(&report),
            [taxonomy("suspicious", "Events", "searched in part: 1 of 1")]
        );
    }
}

#[test]
fn events_that_cannot_be_read_fail_by_themselves_and_the_others_of_the_manifest_are_read() {
    let folder = feed();
    let (missing, broken) = (
        "5f0e5b5c-0000-4000-8000-000000000003",
        "5f0e5b5c-0000-4000-8000-000000000004",
    );
    let unlisted = "5f0e5b5c-0000-4000-8000-000000000005";
    let attribute = json!({"type": "domain", "value": "evil.example", "to_ids": true}).to_string();
    fs::write(
        folder.path().join(format!("{broken}.json")),
        format!("{{\"Event\":{{\"Attribute\":[{attribute},"),
    )
    .unwrap();
    fs::write(
        folder.path().join(format!("{unlisted}.json")),
        format!("{{\"Event\":{{\"Attribute\":[{attribute}]}}}}"),
    )
    .unwrap();
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    for uuid in [missing, broken] {
        manifest[uuid] = json!({"info": "Third", "date": "2020-01-01"});
    }
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    write_hashes(
        folder.path(),
        &[ONE, missing, broken, unlisted].map(|uuid| ("evil.example", uuid)),
    );
    let report = click(folder.path(), "domain", "evil.example", &json!({}));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 5), ("found", 3), ("failed", 2)])
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 5), ("found", 4), ("failed", 1)])
    );
    assert!(
        message(&report).starts_with("INCOMPLETE: 3 events know evil.example"),
        "{}",
        message(&report)
    );
    let failures = full(&report)["connections"][0]["failures"].to_string();
    for part in [missing, broken, "No such file", "EOF while parsing"] {
        assert!(failures.contains(part), "{part} is not in {failures}");
    }
}

#[test]
fn every_connection_tells_what_it_knows() {
    let (folder, misp) = (feed(), Fake::start(World::with_corpus()));
    misp.world().events[0].attributes[0].value = "evil.example".into();
    let job = |url: String| {
        json!({"dataType": "domain", "data": "evil.example", "config": {
            "name": ["partner", "feed"], "url": [url, format!("file://{}", folder.path().display())], "key": [key("admin"), "-"],
        }})
    };
    let report = run(&[&misp], &job(misp.url()));
    assert_eq!(
        message(&report),
        "3 events know evil.example on 2 connections (3 with an IDS attribute)"
    );
    assert_eq!(taxonomies(&report), [taxonomy("malicious", "Events", "3")]);
    let known =
        |part: usize| full(&report)["connections"][part]["ledger"]["events"]["found"].clone();
    assert_eq!([known(0), known(1)], [1, 2]);

    let mut narrowed = job(misp.url());
    narrowed["parameters"] = json!({"connection": "feed"});
    let report = run(&[&misp], &narrowed);
    assert_eq!(full(&report)["connections"].as_array().unwrap().len(), 1);
    assert!(misp.requests().is_empty());

    let report = run(&[], &job("http://127.0.0.1:9".into()));
    let told = message(&report);
    assert!(
        told.starts_with("INCOMPLETE: 2 events know evil.example on 1 connection"),
        "{told}"
    );
    assert!(
        told.contains("; 1 of 2 connections could not be searched. partner: "),
        "{told}"
    );
    assert!(
        full(&report)["connections"][0]["error"]
            .as_str()
            .unwrap()
            .contains("nothing listens there")
    );
}
