//! `lookup_related`: what is related to a value that is looked up. The cases in `fixtures/lookups/related.json` were written
//! down before they were tried, and a real MISP answers them alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::clicks::{events, message, paths, run, taxonomies, taxonomy, warnings};
use crate::desk::md5;
use crate::misp::{Attribute, Event, Fake, World, key};
use crate::program::{counts, full, of};

const EVENT: &str = "5f0e5b5c-1900-4000-8000-000000000001";

/// Values with how each was found: in no words, if it is what was looked up.
type Found = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Written {
    published: Vec<(String, String)>,
    cases: Vec<(String, String, Found)>,
}

fn written() -> Written {
    serde_json::from_str(&fs::read_to_string("fixtures/lookups/related.json").unwrap()).unwrap()
}

/// A MISP with one event that has these values.
fn world(values: &[(&str, &str)]) -> World {
    let mut world = World::new();
    let attributes = values.iter().zip(1..).map(|((kind, value), id)| Attribute {
        id,
        uuid: format!("6f0e5b5c-1900-4000-8000-{id:012}"),
        kind: (*kind).to_owned(),
        category: "Network activity".into(),
        value: (*value).to_owned(),
        distribution: 5,
        ..Attribute::default()
    });
    world.events.push(Event {
        id: 1,
        uuid: EVENT.into(),
        org: 1,
        orgc: 1,
        published: true,
        date: "2026-01-01".into(),
        info: "Published".into(),
        attributes: attributes.collect(),
        ..Event::default()
    });
    world
}

fn job(misp: &Fake, data_type: &str, data: &str, more: &Value) -> Value {
    let mut job = json!({"dataType": data_type, "data": data, "tlp": 2, "pap": 2, "config": {
        "name": ["partner"], "url": [misp.url()], "key": [key("admin")],
    }});
    let config = job["config"].as_object_mut().unwrap();
    config.extend(more.as_object().unwrap().clone());
    job
}

fn look_up(misp: &Fake, data_type: &str, data: &str) -> Value {
    run(&[misp], &job(misp, data_type, data, &json!({})))
}

/// A feed of one event that has these values, with their hashes.
fn feed(folder: &Path, values: &[(&str, &str)]) {
    let row = json!({"info": "Published", "date": "2026-01-01", "timestamp": "1", "Orgc": {"name": "A", "uuid": ""}});
    let attributes: Vec<Value> = values
        .iter()
        .map(|(kind, value)| json!({"type": kind, "category": "Network activity", "value": value, "to_ids": false, "uuid": md5(value.as_bytes())}))
        .collect();
    let mut event = json!({"Event": {"uuid": EVENT, "Attribute": attributes}});
    let head = event["Event"].as_object_mut().unwrap();
    head.extend(row.as_object().unwrap().clone());
    let halves = values.iter().flat_map(|(_, value)| value.split('|'));
    let lines = halves.map(|half| format!("{},{EVENT}\n", md5(half.as_bytes())));
    fs::write(folder.join("hashes.csv"), lines.collect::<String>()).unwrap();
    fs::write(
        folder.join("manifest.json"),
        json!({EVENT: row}).to_string(),
    )
    .unwrap();
    fs::write(folder.join(format!("{EVENT}.json")), event.to_string()).unwrap();
}

fn found(report: &Value) -> Found {
    let rows = events(report);
    let matches = rows
        .iter()
        .flat_map(|row| row["matches"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    matches
        .map(|one| (text(&one["value"]), text(&one["related"])))
        .collect()
}

/// What the counts, the message and the labels say of exact and of related hits.
fn judge_numbers(report: &Value, expected: &Found, data: &str) {
    let related = expected.values().filter(|how| !how.is_empty()).count() as u64;
    let exact = expected.len() as u64 - related;
    let number = |item: &str| counts(full(report), item).get("found").copied();
    assert_eq!(number("attributes").unwrap_or(0), exact, "{data}");
    assert_eq!(
        full(report)["ledger"]["relations"]["found"]
            .as_u64()
            .unwrap_or(0),
        related,
        "{data}"
    );
    assert_eq!(number("events").unwrap_or(0), exact.min(1), "{data}");

    let told = message(report);
    assert_eq!(told.starts_with("no event knows"), exact == 0, "{told}");
    assert_eq!(
        told.contains("; related: 1 event"),
        exact == 0 && related > 0,
        "{told}"
    );
    let labels = taxonomies(report);
    let level = if exact == 0 { "info" } else { "suspicious" };
    assert_eq!(labels[0], taxonomy(level, "Events", &exact.to_string()));
    let is_labelled = labels
        .iter()
        .any(|(_, predicate, _)| predicate == "Related");
    assert_eq!(is_labelled, exact == 0 && related > 0, "{labels:?}");
}

#[test]
fn each_case_finds_what_was_written_down_on_a_server() {
    let Written { published, cases } = written();
    let values: Vec<_> = published
        .iter()
        .map(|(kind, value)| (&**kind, &**value))
        .collect();
    let misp = Fake::start(world(&values));
    for (data_type, data, expected) in &cases {
        let report = look_up(&misp, data_type, data);
        assert_eq!(found(&report), *expected, "{data_type} {data}");
        judge_numbers(&report, expected, data);
        let all = paths(&misp).len();
        let off = json!({"lookup_related": false, "lookup_artifacts": "off"});
        let report = run(&[&misp], &job(&misp, data_type, data, &off));
        let exact: Found = expected
            .clone()
            .into_iter()
            .filter(|(_, how)| how.is_empty())
            .collect();
        assert_eq!(found(&report), exact, "{data_type} {data}");
        assert!(all <= paths(&misp).len() + 3, "{data}: {all} requests");
    }
}

#[test]
fn each_case_finds_what_was_written_down_in_a_feed() {
    let Written { published, cases } = written();
    let values: Vec<_> = published
        .iter()
        .map(|(kind, value)| (&**kind, &**value))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    feed(folder.path(), &values);
    for (data_type, data, expected) in &cases {
        let config = json!({"name": ["feed"], "url": [format!("file://{}", folder.path().display())], "key": ["-"]});
        let report = run(
            &[],
            &json!({"dataType": data_type, "data": data, "config": config}),
        );
        assert_eq!(found(&report), *expected, "{data_type} {data}");
        judge_numbers(&report, expected, data);
    }
}

#[test]
fn a_related_hit_is_marked_and_never_malicious() {
    let mut world = world(&[("ip-dst", "203.0.113.0/24"), ("ip-src", "203.0.0.0/16")]);
    world.events[0].attributes[0].to_ids = true;
    let misp = Fake::start(world);
    let report = look_up(&misp, "ip", "203.0.113.77");
    assert_eq!(
        message(&report),
        "no event knows 203.0.113.77; related: 1 event (1 with an IDS attribute): in 203.0.113.0/24, in 203.0.0.0/16"
    );
    assert_eq!(
        taxonomies(&report),
        [
            taxonomy("info", "Events", "0"),
            taxonomy("suspicious", "Related", "1 (in 203.0.113.0/24)")
        ]
    );
    let [event] = events(&report).try_into().unwrap();
    assert_eq!(
        (&event["attributes"], &event["relations"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(event.get("ids_attributes"), None);
    let look_up = &full(&report)["connections"][0]["look_up"];
    assert_eq!(
        *look_up,
        json!({"searched": true, "events_with_ids": 0, "related_events": 1, "related_events_with_ids": 1})
    );
    assert_eq!(counts(full(&report), "events"), of([]));
    // The event has the value too: then it is one that knows it.
    let mut world = self::world(&[("ip-dst", "203.0.113.77"), ("ip-src", "203.0.0.0/16")]);
    world.events[0].attributes[1].to_ids = true;
    let misp = Fake::start(world);
    let report = self::look_up(&misp, "ip", "203.0.113.77");
    assert_eq!(
        message(&report),
        "1 event knows 203.0.113.77 on 1 connection"
    );
    assert_eq!(taxonomies(&report), [taxonomy("suspicious", "Events", "1")]);
    assert_eq!(found(&report).len(), 2);
}

#[test]
fn filters_hide_related_events_and_nothing_is_imported_of_them() {
    let mut world = world(&[("domain", "example.org")]);
    world.events[0].published = false;
    let misp = Fake::start(world);
    let report = look_up(&misp, "domain", "www.example.org");
    assert_eq!(
        message(&report),
        "no event knows www.example.org; related: 0 events (1 more hidden by filters)"
    );
    assert_eq!(taxonomies(&report), [taxonomy("info", "Events", "0")]);
    assert_eq!(
        full(&report)["ledger"]["relations"]["skipped_by"],
        json!({"not published": 1})
    );
    assert_eq!(found(&report), Found::new());

    let shown = json!({"published_only": false, "click_imports": true});
    let report = run(&[&misp], &job(&misp, "domain", "www.example.org", &shown));
    assert_eq!(full(&report)["connections"].as_array().unwrap().len(), 1);
}

/// The searches for related values.
fn related_searches(misp: &Fake) -> Vec<Value> {
    let bodies = misp.requests().into_iter().map(|request| request.body);
    bodies
        .filter(|body| body["value"].to_string().contains("203.0.113.0/24"))
        .collect()
}

#[test]
fn networks_are_asked_for_by_one_list() {
    let misp = Fake::start(world(&[("ip-dst", "203.0.113.0/24")]));
    look_up(&misp, "ip", "203.0.113.77");
    let searches = related_searches(&misp);
    assert_eq!(searches.len(), 1, "MISP says that there is no more");
    let asked = searches[0]["value"]["OR"].as_array().unwrap();
    let patterns = asked
        .iter()
        .filter(|one| one.as_str().unwrap().ends_with('%'));
    assert_eq!((asked.len(), patterns.count()), (38, 5), "{asked:?}");
}

#[test]
fn many_related_hits_crowd_out_nothing_and_are_told() {
    let mut world = world(&[("ip-dst", "203.0.113.77")]);
    let networks = (2..2_600).map(|id| Attribute {
        id,
        uuid: format!("6f0e5b5c-1900-4000-8000-{id:012}"),
        kind: "ip-src".into(),
        category: "Network activity".into(),
        value: format!("203.0.113.{}/24", id % 256),
        distribution: 5,
        ..Attribute::default()
    });
    let networks: Vec<_> = networks.collect();
    world.events[0].attributes.extend(networks);
    let misp = Fake::start(world);
    let report = look_up(&misp, "ip", "203.0.113.77");
    assert_eq!(
        message(&report),
        "1 event knows 203.0.113.77 on 1 connection; 1 of 1 connections could be searched in part only"
    );
    assert!(
        warnings(&report)
            .contains("only 2000 attributes that may have a related value were looked at"),
        "{}",
        warnings(&report)
    );
    assert_eq!(
        taxonomies(&report)[1],
        taxonomy("suspicious", "Events", "searched in part: 1 of 1")
    );
    assert_eq!(
        counts(full(&report), "relations"),
        of([("fetched", 2_000), ("found", 2_000)])
    );
    assert_eq!(full(&report)["left_out"]["related matches"], 1_995);
}

#[test]
fn what_the_allowed_list_withholds_of_related_values_is_told() {
    let mut world = world(&[("domain", "example.org")]);
    world.allowed_list.push("example.org".into());
    let misp = Fake::start(world);
    let report = look_up(&misp, "domain", "www.example.org");
    assert!(
        message(&report).starts_with("no event that was looked at knows www.example.org"),
        "{}",
        message(&report)
    );
    assert!(
        warnings(&report)
            .contains("1 attribute is not shown with a related value: MISP's allowed list"),
        "{}",
        warnings(&report)
    );
}

#[test]
fn a_parent_chain_of_127_labels_is_one_list() {
    let misp = Fake::start(world(&[("domain", "example.org")]));
    let name = "a.".repeat(124) + "example.org";
    let report = look_up(&misp, "domain", &name);
    assert!(
        message(&report).ends_with("; related: 1 event: parent domain example.org"),
        "{}",
        message(&report)
    );
    assert!(paths(&misp).len() <= 6, "{:?}", paths(&misp));
}

#[test]
fn a_feed_that_names_many_events_by_related_values_hides_none_that_has_the_value() {
    let folder = tempfile::tempdir().unwrap();
    feed(folder.path(), &[("domain", "www.example.org")]);
    let parent = md5(b"example.org");
    let mut lines: String = (0..6_000)
        .map(|n| format!("{parent},7f0e5b5c-1900-4000-8000-{n:012}\n"))
        .collect();
    lines += &format!("{},{EVENT}\n", md5(b"www.example.org"));
    fs::write(folder.path().join("hashes.csv"), lines).unwrap();
    let config = json!({"name": ["feed"], "url": [format!("file://{}", folder.path().display())], "key": ["-"]});
    let report = run(
        &[],
        &json!({"dataType": "domain", "data": "www.example.org", "config": config}),
    );
    assert!(
        message(&report).contains("1 event knows www.example.org"),
        "{}",
        message(&report)
    );
    assert!(
        message(&report).contains("could be searched in part only"),
        "{}",
        message(&report)
    );
}
