//! Clicks on servers that answer what was not asked, or do not answer.

use serde_json::{Value, json};

use super::{click, events, look_up, matches, message, run};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World};
use crate::program::{counts, failure, full, of};

const EVENT: &str = "3369ff1d-14c3-5f35-8aa4-9cba22183b31";

fn always(misp: &Fake, on: &'static str, what: What) {
    misp.fault(Fault {
        on,
        nth: Nth::Always,
        what,
    });
}

fn first(misp: &Fake, on: &'static str, body: &Value) {
    misp.fault(Fault {
        on,
        nth: Nth::Only(1),
        what: What::Body(body.to_string()),
    });
}

fn attribute(id: u64, value: &Value) -> Value {
    json!({"id": id, "event_uuid": EVENT, "uuid": "u", "type": "ip-dst", "category": "Network activity", "value": value, "to_ids": true})
}

#[test]
fn attributes_of_other_values_are_no_hits() {
    let misp = Fake::start(World::with_corpus());
    let others: Vec<_> = [
        "198.51.100.9",
        "203.0.113.7",
        "203.0.113.77.",
        "",
        "203.0.113.0/24",
        "a|203.0.113.77",
    ]
    .iter()
    .enumerate()
    .map(|(n, value)| attribute(n as u64 + 1, &json!(value)))
    .collect();
    first(
        &misp,
        "/attributes/restSearch",
        &json!({"response": {"Attribute": others}}),
    );
    let report = look_up(&misp, "ip", "203.0.113.77", &json!({}));
    assert_eq!(message(&report), "no event knows 203.0.113.77");
    assert_eq!(counts(full(&report), "attributes"), of([]));
}

#[test]
fn garbage_between_hits_is_counted_and_stops_nothing() {
    let misp = Fake::start(World::with_corpus());
    let value = json!("203.0.113.77");
    let mut homeless = attribute(3, &value);
    homeless["event_uuid"] = json!("../../etc/passwd");
    let list = json!([attribute(1, &value), "text", 7, null, [], {}, {"id": 2, "value": {"a": 1}}, homeless]);
    first(
        &misp,
        "/attributes/restSearch",
        &json!({"response": {"Attribute": list}}),
    );
    let report = look_up(&misp, "ip", "203.0.113.77", &json!({}));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("found", 1)])
    );
    let attributes = &full(&report)["ledger"]["attributes"];
    assert_eq!(
        (&attributes["found"], &attributes["failed"]),
        (&json!(1), &json!(7))
    );
    assert!(
        message(&report).starts_with("INCOMPLETE: 1 event knows"),
        "{}",
        message(&report)
    );
}

#[test]
fn texts_of_a_server_are_shortened_and_cannot_break_the_report() {
    let misp = Fake::start(World::with_corpus());
    let long = "<b>{{7*7}}</b>".repeat(300);
    let mut one = attribute(1, &json!("203.0.113.77"));
    for field in ["comment", "category", "uuid", "object_relation"] {
        one[field] = json!(long);
    }
    one["Tag"] = (0..500).map(|_| json!({"name": long})).collect();
    one["Sighting"] = json!([{"type": "0"}, {"type": 0}, {"type": 1}, "x", {}]);
    first(
        &misp,
        "/attributes/restSearch",
        &json!({"response": {"Attribute": [one]}}),
    );
    let report = look_up(&misp, "ip", "203.0.113.77", &json!({}));
    assert_eq!(matches(&report).len(), 1);
    let shown = &events(&report)[0]["matches"][0];
    assert_eq!(shown["sightings"], 2);
    assert!(
        shown.to_string().len() < 5_000,
        "{}",
        shown.to_string().len()
    );
}

#[test]
fn lists_that_are_none_and_lists_without_end_are_errors() {
    let two: Vec<_> = (0..1_001)
        .map(|id| attribute(id, &json!("203.0.113.77")))
        .collect();
    let same = json!({"response": {"Attribute": [attribute(1, &json!("x"))]}}).to_string();
    for (what, told) in [
        (What::Body("[]".into()), "an object with the key response"),
        (What::Body("{\"a\": 1}".into()), "has no \"response\""),
        (
            What::Body("{\"response\": {\"Attribute\": [{\"id\": ".into()),
            "EOF",
        ),
        (What::Body(same), "the same page again and again"),
        (
            What::Body(json!({"response": {"Attribute": two}}).to_string()),
            "more than the 1000 elements asked for",
        ),
        (What::CutAfter(300), "broke off"),
        (
            What::Status(
                403,
                json!({"message": "Authentication failed."}).to_string(),
                "application/json",
            ),
            "check \"key\"",
        ),
        (What::Status(200, "<html>".into(), "text/html"), "not JSON"),
    ] {
        let misp = Fake::start(World::with_corpus());
        always(&misp, "/attributes/restSearch", what);
        let report = run(&[&misp], &click(&misp, "ip", "203.0.113.77"));
        assert!(
            failure(&report).contains(told),
            "{told} is not in {}",
            failure(&report)
        );
    }
}

#[test]
fn a_search_that_fails_for_a_moment_is_put_again() {
    let misp = Fake::start(World::with_corpus());
    for (what, why) in [
        (What::CutAfter(300), "broken answer"),
        (What::Status(503, "{}".into(), "application/json"), "503"),
    ] {
        misp.heal();
        misp.fault(Fault {
            on: "/attributes/restSearch",
            nth: Nth::Only(1),
            what,
        });
        let report = look_up(&misp, "ip", "203.0.113.77", &json!({}));
        assert_eq!(matches(&report).len(), 3);
        assert_eq!(
            full(&report)["connections"][0]["retries"],
            json!({why: 1}),
            "{report:#}"
        );
    }
}

#[test]
fn events_whose_rows_are_not_given_fail_and_others_do_not_take_their_place() {
    let misp = Fake::start(World::with_corpus());
    let other = json!([{"id": "1", "uuid": "a3c857c5-3f0b-5c68-bc60-d2306e227b9a", "info": "Another", "published": true}, 7]);
    for rows in [json!([]), other] {
        misp.heal();
        first(&misp, "/events/index", &rows);
        let report = run(&[&misp], &click(&misp, "ip", "203.0.113.77"));
        assert!(failure(&report).contains(&format!(
            "event {EVENT}: an event that has the value is not in the list"
        )));
        assert!(
            failure(&report).contains("events 1 fetched: 1 failed"),
            "{}",
            failure(&report)
        );
        assert!(
            failure(&report).contains("attributes 3 fetched: 3 failed"),
            "{}",
            failure(&report)
        );
    }
}
