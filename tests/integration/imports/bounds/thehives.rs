//! What colleagues write in TheHive: an alert or observable that cannot be read costs itself.

use serde_json::json;

use super::{ELEMENT, TEXT};
use crate::alerts::writing::desk::Desk;
use crate::program::{counts, full, of};

#[test]
fn an_alert_that_cannot_be_read_costs_its_event_alone() {
    for desk in Desk::imported(3, &json!({"max_parallel": 1})) {
        let event = "5f0e5b5c-0000-4000-8000-000000000002";
        desk.edit("2", "description", json!("x".repeat(ELEMENT + 1)));
        desk.change("3", |event| event.info = "Changed".to_owned());
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([
                ("fetched", 3),
                ("unchanged", 1),
                ("updated", 1),
                ("failed", 1)
            ]),
            "{report:#}"
        );
        let failures = full(&report)["connections"][0]["failures"].to_string();
        assert!(
            failures.contains(event) && failures.contains("its alert in TheHive"),
            "{failures}"
        );
    }
}

#[test]
fn an_alert_with_very_many_tags_is_read() {
    for desk in Desk::imported(1, &json!({"max_parallel": 1})) {
        let tags: Vec<String> = (0..20_001).map(|n| format!("t{n}")).collect();
        desk.edit("1", "tags", json!(tags));
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("unchanged", 1)])
        );
    }
}

#[test]
fn an_observable_that_cannot_be_read_is_left_as_it_is() {
    for desk in Desk::imported(1, &json!({"max_parallel": 1})) {
        desk.touch("1", "Text 1", "message", json!("x".repeat(TEXT + 1)));
        desk.change("1", |event| {
            event.attributes.retain(|one| one.kind != "domain")
        });
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        let mut data: Vec<_> = desk
            .observables(&desk.alert("1"))
            .iter()
            .map(|one| one["data"].clone())
            .collect();
        data.sort_by_key(ToString::to_string);
        assert_eq!(data, [json!("192.0.2.1"), json!("Text 1")]);
    }
}

#[test]
fn an_observable_of_a_case_that_cannot_be_read_costs_itself() {
    let desk = crate::desk::Desk::new(crate::thehive::World::five(), &json!({}));
    desk.ioc("domain", "good.example", &json!({}));
    let bad = desk.ioc("domain", "bad.example", &json!({}));
    desk.change(&bad, &json!({"message": "x".repeat(TEXT + 1)}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("failed", 1)]),
        "{report:#}"
    );
    assert!(report.to_string().contains("a text has more than 1024 KiB"));
}
