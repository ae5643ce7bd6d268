//! Nothing is removed from an alert unless it is certain that the event has it no more.

use serde_json::{Value, json};

use super::desk::{Desk, attribute};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::Meanwhile;
use crate::program::{counts, failure, full, of};

const ALL: [&str; 3] = ["192.0.2.1", "Text 1", "host-1.example"];

fn cut(desk: &Desk, nth: Nth, bytes: usize) {
    desk.misp.fault(Fault {
        on: "/events/view",
        nth,
        what: What::CutAfter(bytes),
    });
}

#[test]
fn a_narrower_filter_removes_nothing() {
    let filters = [
        json!({"ids_only": true}),
        json!({"attribute_types": ["domain"]}),
        json!({"exclude_attribute_types": ["ip-*"]}),
        json!({"attribute_categories": ["Other"]}),
        json!({"attribute_tags": ["none"]}),
    ];
    for filter in filters {
        for desk in Desk::imported(1, &json!({})) {
            let desk = desk.with(filter.clone());
            desk.change("1", |event| event.info = "Renamed".into());
            let report = desk.import();
            assert_eq!(desk.verbs(), ["PATCH alert"], "{filter} {report:#}");
            assert_eq!(desk.data("1"), ALL);
        }
    }
}

#[test]
fn a_soft_deleted_twin_removes_nothing() {
    for desk in Desk::imported(1, &json!({})) {
        desk.change("1", |event| {
            let mut twin = attribute(70_000, "domain", "host-1.example");
            twin.deleted = true;
            event.attributes.insert(0, twin);
        });
        desk.import();
        assert_eq!(desk.data("1"), ALL);
        // Nor does the end of the first, as long as the twin lives.
        desk.change("1", |event| {
            event
                .attributes
                .iter_mut()
                .for_each(|one| one.deleted = !one.deleted)
        });
        desk.import();
        assert_eq!(desk.data("1"), ["host-1.example"]);
        desk.rests();
    }
}

#[test]
fn what_was_sighted_stays() {
    for desk in Desk::imported(1, &json!({})) {
        let user = desk.thehive.world().users[0].login.clone();
        desk.touch("1", "host-1.example", "sighted", json!(true));
        // Sighted by a responder that shares our user: still nobody but a person can say that it is wrong.
        for one in &mut desk.thehive.world().observables {
            one.record["_updatedBy"] = json!(user);
        }
        desk.change("1", |event| {
            event
                .attributes
                .iter_mut()
                .for_each(|one| one.deleted = true)
        });
        desk.import();
        assert_eq!(desk.data("1"), ["host-1.example"]);
        desk.rests();
    }
}

#[test]
fn a_read_that_breaks_off_once_is_done_again() {
    for desk in Desk::imported(1, &json!({})) {
        desk.alter("1", "Text 1", |one| one.deleted = true);
        cut(&desk, Nth::Only(1), 900);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        assert_eq!(desk.data("1"), ["192.0.2.1", "host-1.example"]);
        desk.misp.heal();
        desk.rests();
    }
}

#[test]
fn a_read_that_never_ends_well_removes_nothing() {
    for bytes in [0, 300, 900] {
        for desk in Desk::imported(1, &json!({})) {
            desk.alter("1", "Text 1", |one| one.deleted = true);
            let line = desk.line("1");
            cut(&desk, Nth::Always, bytes);
            let report = desk.import();
            assert!(failure(&report).contains("broke off"), "{report:#}");
            assert_eq!(desk.data("1"), ALL);
            assert_eq!(desk.line("1"), line);
            desk.misp.heal();
            desk.import();
            assert_eq!(desk.data("1"), ["192.0.2.1", "host-1.example"]);
            desk.rests();
        }
    }
}

#[test]
fn an_event_that_changes_while_it_is_read_loses_nothing() {
    for desk in Desk::imported(1, &json!({})) {
        desk.alter("1", "Text 1", |one| one.deleted = true);
        // It is back just after the event was read, when it is asked whether the event is still the same.
        desk.misp.world().meanwhile = Some(Meanwhile {
            before: "/events/view",
            change: |world| {
                world.meanwhile = Some(Meanwhile {
                    before: "/events/index",
                    change: |world| {
                        let now = world.tick();
                        let event = world.event_mut("1").unwrap();
                        event
                            .attributes
                            .iter_mut()
                            .for_each(|one| one.deleted = false);
                        event.timestamp = now;
                    },
                });
            },
        });
        let report = desk.import();
        assert_eq!(desk.data("1"), ALL, "{report:#}");
        assert!(desk.line("1").unwrap().contains("complete=no"));
        let report = desk.import();
        assert_eq!(desk.data("1"), ALL, "{report:#}");
        desk.rests();
    }
}

#[test]
fn other_values_of_an_alert_keep_their_places() {
    for desk in Desk::imported(1, &json!({})) {
        desk.own("1", "Our own");
        let id = |data: &str| desk.observable(&desk.alert("1"), data).unwrap()["_id"].clone();
        let before: Vec<Value> = ["192.0.2.1", "Our own"].map(id).to_vec();
        desk.change("1", |event| {
            event.attributes.retain(|one| one.value == "192.0.2.1")
        });
        desk.import();
        assert_eq!(["192.0.2.1", "Our own"].map(id).to_vec(), before);
        assert_eq!(desk.data("1"), ["192.0.2.1", "Our own"]);
        desk.rests();
    }
}

#[test]
fn composites_and_objects_are_known_again() {
    for desk in Desk::small(1) {
        desk.add(
            "1",
            "filename|md5",
            "a.exe|44d88612fea8a8f36de82e1278abb02f",
            |one| one.to_ids = true,
        );
        desk.add("1", "ip-dst|port", "198.51.100.1|443", |_| ());
        desk.add("1", "domain", "Mixed.Example", |_| ());
        desk.import();
        assert_eq!(desk.data("1").len(), 7);
        desk.rests();
        desk.change("1", |_| ());
        desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"]);
        desk.alter("1", "a.exe|44d88612fea8a8f36de82e1278abb02f", |one| {
            one.deleted = true
        });
        desk.alter("1", "Mixed.Example", |one| one.deleted = true);
        desk.import();
        assert_eq!(
            desk.data("1"),
            ["192.0.2.1", "198.51.100.1", "Text 1", "host-1.example"]
        );
        desk.rests();
    }
}
