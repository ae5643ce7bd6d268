//! A look-up has a time of its own, and what was not searched by then never reads as a clean no.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::desk::md5;
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, full, judged};

const EVENT: &str = "5f0e5b5c-0000-4000-8000-000000000001";

/// A feed of one event that knows `known.example`.
fn feed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let event = json!({"Event": {"uuid": EVENT, "Attribute": [{"type": "domain", "value": "known.example", "to_ids": true, "uuid": "a"}]}});
    fs::write(
        folder.path().join(format!("{EVENT}.json")),
        event.to_string(),
    )
    .unwrap();
    let manifest = json!({EVENT: {"info": "First", "date": "2026-01-01", "timestamp": "1", "Orgc": {"name": "A"}}});
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(
        folder.path().join("hashes.csv"),
        format!("{},{EVENT}\n", md5(b"known.example")),
    )
    .unwrap();
    folder
}

fn job(misp: &Fake, folder: &Path, value: &str) -> Value {
    json!({"dataType": "domain", "data": value, "config": {
        "name": ["partner", "feed"], "url": [misp.url(), format!("file://{}", folder.display())], "key": [key("admin"), "-"],
        "published_only": false, "look_up_seconds": 1, "deadline_minutes": 25, "lookup_related": false,
    }})
}

fn run(job: Value) -> Value {
    judged(
        Program::Import,
        runtime::report_without_waiting::<Import>(job)
            .to_string()
            .as_bytes(),
    )
}

fn labels(report: &Value) -> Vec<(String, String)> {
    let list = report["summary"]["taxonomies"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.iter()
        .map(|one| (text(&one["level"]), text(&one["value"])))
        .collect()
}

fn label(level: &str, value: &str) -> (String, String) {
    (level.to_owned(), value.to_owned())
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

#[test]
fn a_misp_that_drips_does_not_hold_a_click() {
    let (misp, folder) = (Fake::start(World::with_corpus()), feed());
    misp.world().events[0].attributes[0].value = "known.example".into();
    let drip = What::Drip(Duration::from_millis(300));
    misp.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Always,
        what: drip,
    });
    let report = run(job(&misp, folder.path(), "known.example"));
    assert!(
        message(&report).contains("1 event knows known.example on 1 connection"),
        "{}",
        message(&report)
    );
    assert!(
        message(&report).contains("; 1 of 2 connections could not be searched"),
        "{}",
        message(&report)
    );
    let error = full(&report)["connections"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("not searched within 1 second (\"look_up_seconds\")"),
        "{error}"
    );
    assert_eq!(
        full(&report)["connections"][0]["look_up"]["searched"],
        false
    );
    assert_eq!(
        labels(&report),
        [
            label("malicious", "1"),
            label("suspicious", "not searched: 1 of 2")
        ]
    );
}

#[test]
fn a_misp_that_never_answers_does_not_hold_a_click() {
    let (misp, folder) = (Fake::start(World::with_corpus()), feed());
    misp.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Always,
        what: What::Hang,
    });
    let report = run(job(&misp, folder.path(), "unknown.example"));
    assert!(
        message(&report).contains("no event that was looked at knows unknown.example"),
        "{}",
        message(&report)
    );
    assert_eq!(
        labels(&report),
        [label("suspicious", "not searched: 1 of 2")]
    );
}

#[test]
fn a_connection_that_was_not_searched_is_no_clean_no() {
    let (misp, folder) = (Fake::start(World::with_corpus()), feed());
    misp.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Always,
        what: What::Status(403, "{}".into(), "application/json"),
    });
    let report = run(job(&misp, folder.path(), "unknown.example"));
    assert!(
        message(&report).contains("no event that was looked at knows unknown.example; 1 of 2"),
        "{}",
        message(&report)
    );
    assert_eq!(
        labels(&report),
        [label("suspicious", "not searched: 1 of 2")]
    );
    // One that the caller may not use was not searched either.
    let mut denied = job(&misp, folder.path(), "unknown.example");
    denied["config"]["connection_settings"] =
        json!([{"name": "partner", "exclude_thehive_organisations": ["soc"]}]);
    denied["parameters"] = json!({"organisation": "soc"});
    assert_eq!(
        labels(&run(denied)),
        [label("suspicious", "not searched: 1 of 2")]
    );
}

#[test]
fn an_event_that_could_not_be_read_is_no_clean_no() {
    let (misp, folder) = (Fake::start(World::with_corpus()), feed());
    fs::write(folder.path().join(format!("{EVENT}.json")), "{").unwrap();
    let report = run(job(&misp, folder.path(), "known.example"));
    assert!(
        message(&report).contains("no event that was looked at knows known.example"),
        "{}",
        message(&report)
    );
    assert!(
        message(&report).contains("; 1 of 2 connections could be searched in part only"),
        "{}",
        message(&report)
    );
    assert_eq!(
        labels(&report),
        [label("suspicious", "searched in part: 1 of 2")]
    );
    // A server's list with something that is no attribute.
    let folder = feed();
    let list = json!({"response": {"Attribute": ["no attribute"]}});
    misp.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Only(1),
        what: What::Body(list.to_string()),
    });
    assert_eq!(
        labels(&run(job(&misp, folder.path(), "unknown.example"))),
        [label("suspicious", "searched in part: 1 of 2")]
    );
    assert_eq!(
        labels(&run(job(&misp, folder.path(), "unknown.example"))),
        [label("info", "0")]
    );
}
