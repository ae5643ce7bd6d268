//! One bad item costs itself: no bound, shape or value of one event, list, note, proposal, sighting or manifest entry fails
//! what stands around it. Each input is made here, at its bound and above it.

mod feeds;
mod servers;
mod thehives;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};

/// The longest text that is read in a field, in bytes.
const TEXT: usize = 1 << 20;
/// The most that is kept of one element, in bytes.
const ELEMENT: usize = 16 << 20;

/// The number-th uuid.
fn uuid(number: u64) -> String {
    format!("5f0e5b5c-0000-4000-8000-{number:012}")
}

/// The text of an object with some more fields, written as they are: what no JSON value can hold.
fn with(object: &Value, more: &str) -> String {
    let text = object.to_string();
    format!("{}, {more}}}", &text[..text.len() - 1])
}

/// What spoils an element, and what the report says of it.
fn flaws(field: &str) -> Vec<(String, &'static str)> {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    vec![
        (
            format!("\"{field}\": \"{}\"", "x".repeat(TEXT + 1)),
            "a text has more than 1024 KiB",
        ),
        (
            format!("\"{field}\": \"\\ud800\""),
            "unexpected end of hex escape",
        ),
        (format!("\"{field}\": 1e999"), "number out of range"),
        (format!("\"{field}\": 1, \"{field}\": 2"), "duplicate field"),
        (format!("\"Tag\": {deep}"), "nested too deep"),
    ]
}

/// A list of tags that is too long: each takes 97 bytes.
fn too_long() -> (String, &'static str) {
    (
        format!("\"Tag\": [{}1]", "{\"name\": \"a\"},".repeat(ELEMENT / 90)),
        "it has more than 16 MiB",
    )
}

/// What is ignored, of any size and shape: it costs nothing.
fn ignored() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        format!(
            "\"Note\": [{}]",
            vec![format!("{{\"note\": \"{}\"}}", "n".repeat(3 << 20)); 6].join(",")
        ),
        format!(
            "\"Galaxy\": [{}1]",
            "{\"GalaxyCluster\": [{}]},".repeat(20_001)
        ),
        format!(
            "\"x\": {deep}, \"y\": \"\\ud800\", \"z\": 1e999, \"z\": 2, \"RelatedEvent\": {{\"uuid\": 7}}"
        ),
    ]
}

/// A body that is always answered to what is asked for there.
fn always(misp: &Fake, on: &'static str, body: String) {
    misp.fault(Fault {
        on,
        nth: Nth::Always,
        what: What::Body(body),
    });
}

fn first(misp: &Fake, on: &'static str, body: String) {
    misp.fault(Fault {
        on,
        nth: Nth::Only(1),
        what: What::Body(body),
    });
}

fn partner() -> Fake {
    Fake::start(World::with_corpus())
}

/// A job on a server.
fn job(misp: &Fake, data_type: &str, data: &str, more: &Value) -> Value {
    let mut config = json!({"name": ["m"], "url": [misp.url()], "key": [key("admin")], "max_age_days": 0, "max_attributes": 0, "published_only": false});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": data_type, "data": data, "parameters": {"since": "all"}, "config": config})
}

/// A job on a feed in a folder.
fn on_feed(folder: &Path, data_type: &str, data: &str, more: &Value) -> Value {
    let url = format!("file://{}", folder.display());
    let mut config = json!({"name": ["feed"], "url": [url], "key": ["-"], "max_age_days": 0, "instance": "test.example"});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": data_type, "data": data, "parameters": {"since": "all"}, "config": config})
}

/// A feed with so many events, each of one domain.
fn feed(events: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let entries: serde_json::Map<_, _> = (1..=events)
        .map(|n| (uuid(n), entry(folder.path(), n, &json!({}))))
        .collect();
    fs::write(
        folder.path().join("manifest.json"),
        Value::from(entries).to_string(),
    )
    .unwrap();
    folder
}

/// Writes an event's file and gives its entry in the manifest.
fn entry(folder: &Path, number: u64, more: &Value) -> Value {
    let mut event = json!({"uuid": uuid(number), "info": format!("Event {number}"), "date": "2026-01-01", "timestamp": "1795294129"});
    let entry = event.clone();
    event["Attribute"] = json!([{"type": "domain", "category": "Network activity", "value": format!("host-{number}.example"), "to_ids": true, "uuid": uuid(900 + number)}]);
    event
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    fs::write(
        folder.join(format!("{}.json", uuid(number))),
        json!({"Event": event}).to_string(),
    )
    .unwrap();
    entry
}
