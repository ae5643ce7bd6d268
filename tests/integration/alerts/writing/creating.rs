//! A TheHive 4 that does not see what it is still writing: creations and additions that go on behind a gateway that gave up, and
//! imports at the same time. In the end there is one alert of each event, and one observable of each value.

use std::collections::BTreeMap;
use std::thread;

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use super::calls::event;
use super::desk::Desk;
use crate::http_fake::{Fault, Nth, What};
use crate::misp;
use crate::program::{counts, full, of};
use crate::thehive::{self, Slow, Takes, Write};

/// Events with so many attributes.
fn desk(sizes: &[usize]) -> Desk {
    let mut world = misp::World::new();
    world.events = sizes
        .iter()
        .zip(1..)
        .map(|(attributes, number)| event(number, *attributes))
        .collect();
    Desk::new(world, thehive::World::four()).with(json!({"max_parallel": 1}))
}

fn slow(desk: &Desk, on: Write, nth: Nth, requests: usize) {
    desk.thehive.world().slow_down(Slow {
        on,
        nth,
        takes: Takes::Requests(requests),
        gateway: true,
    });
}

/// What is there twice or not at all, once all writes have ended.
fn wrong(desk: &Desk) -> Vec<String> {
    desk.thehive.world().finish();
    let (misp, hive) = (desk.misp.world(), desk.thehive.world());
    let mut wrong = Vec::new();
    for event in &misp.events {
        let of_event: Vec<&Value> = hive
            .alerts
            .iter()
            .filter(|alert| alert["sourceRef"] == event.uuid.as_str())
            .collect();
        if of_event.len() != 1 {
            wrong.push(format!("{} alerts of event {}", of_event.len(), event.id));
        }
        for alert in of_event {
            let mut values: BTreeMap<String, usize> = BTreeMap::new();
            for one in hive.observables_of(alert["_id"].as_str().unwrap()) {
                *values
                    .entry(format!("{} {}", one["dataType"], one["data"]))
                    .or_default() += 1;
            }
            let twice = values.values().filter(|number| **number > 1).count();
            if twice > 0 || values.len() != event.attributes.len() {
                wrong.push(format!(
                    "event {}: {twice} twice, {} in all",
                    event.id,
                    values.len()
                ));
            }
            if !alert["description"]
                .as_str()
                .unwrap()
                .contains(" complete=yes ")
            {
                wrong.push(format!("event {}: not complete", event.id));
            }
        }
    }
    wrong
}

/// The next run says "unchanged" of all.
fn is_settled(desk: &Desk, events: u64) {
    let report = desk.import();
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", events), ("unchanged", events)]),
        "{report:#}"
    );
    desk.wrote_nothing();
}

#[test]
fn an_alert_that_fits_in_one_call_is_complete_at_once() {
    let desk = desk(&[50, 50]);
    let report = desk.import();
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("created", 2)]),
        "{report:#}"
    );
    assert_eq!(desk.written(), ["POST /api/alert"; 2]);
    assert_eq!(wrong(&desk), [""; 0]);
    is_settled(&desk, 2);
}

#[test]
fn a_creation_behind_a_gateway_that_gave_up_is_waited_for() {
    for requests in [1, 2, 4] {
        let desk = desk(&[50, 3]);
        slow(&desk, Write::Alert, Nth::First(1), requests);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 2)]),
            "{requests}: {report:#}"
        );
        let creations = desk
            .written()
            .into_iter()
            .filter(|one| one == "POST /api/alert")
            .count();
        assert_eq!((wrong(&desk), creations), (Vec::new(), 2), "{requests}");
        is_settled(&desk, 2);
    }
}

#[test]
fn a_creation_that_takes_longer_than_anybody_waits_leaves_no_twin_behind() {
    let desk = desk(&[50, 3]);
    // The second one of the same event ends first.
    desk.thehive.world().slow_down(Slow {
        on: Write::Alert,
        nth: Nth::First(1),
        takes: Takes::Told,
        gateway: true,
    });
    let report = desk.import();
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("created", 2)]),
        "{report:#}"
    );
    desk.thehive.world().finish();
    // Whoever lists them next removes what is too much, and tells.
    let report = desk.import();
    assert!(
        report.to_string().contains("1 alert was there twice"),
        "{report:#}"
    );
    assert_eq!(wrong(&desk), [""; 0]);
    is_settled(&desk, 2);
}

#[test]
fn additions_behind_a_gateway_that_gave_up_are_waited_for() {
    for (nth, requests) in [(Nth::First(1), 150), (Nth::First(3), 40), (Nth::Only(2), 7)] {
        let desk = desk(&[600]);
        slow(&desk, Write::Observables, nth, requests);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 600), ("created", 600)]),
            "{report:#}"
        );
        assert_eq!(wrong(&desk), [""; 0], "{requests}");
        is_settled(&desk, 1);
    }
}

#[test]
fn changes_behind_a_gateway_that_gave_up_are_waited_for() {
    for nth in [1, 2, 3] {
        let desk = desk(&[40]);
        desk.import();
        desk.change("1", |event| {
            event
                .attributes
                .iter_mut()
                .for_each(|one| one.to_ids = false);
            event.info = "Worse".to_owned();
        });
        slow(&desk, Write::Change, Nth::Only(nth), 3);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)]),
            "{nth}: {report:#}"
        );
        assert_eq!(wrong(&desk), [""; 0], "{nth}");
        is_settled(&desk, 1);
    }
}

#[test]
fn what_cannot_be_settled_before_the_deadline_is_not_verified() {
    let desk = desk(&[50]).with(json!({"deadline_minutes": 1}));
    desk.thehive.world().slow_down(Slow {
        on: Write::Alert,
        nth: Nth::From(1),
        takes: Takes::Told,
        gateway: true,
    });
    // A minute is too short for a write of a thousand values, but not for one of fifty: here the gateway never answers.
    let report = desk.import();
    assert!(!report.to_string().contains("\"created\":1"), "{report:#}");
    assert_eq!(wrong(&desk).len(), 1);
    desk.import();
    assert_eq!(wrong(&desk), [""; 0]);
    is_settled(&desk, 1);
}

/// So many imports at once, whose creations or additions are stored together.
fn race(desk: &Desk, many: usize, on: Write) {
    desk.thehive.world().slow_down(Slow {
        on,
        nth: Nth::First(many),
        takes: Takes::Together(many),
        gateway: false,
    });
    let job = desk.job();
    let reports: Vec<Value> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..many {
            threads.push(scope.spawn(|| runtime::report_without_waiting::<Import>(job.clone())));
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for report in &reports {
        assert_eq!(
            counts(full(report), "events").get("failed"),
            None,
            "{report:#}"
        );
    }
}

#[test]
fn imports_at_once_leave_one_alert_of_each_event() {
    for (many, size) in [(2, 50), (4, 50), (2, 600)] {
        let desk = desk(&[size]);
        race(&desk, many, Write::Alert);
        assert_eq!(wrong(&desk), [""; 0], "{many} {size}");
        is_settled(&desk, 1);
    }
}

#[test]
fn updates_at_once_leave_one_observable_of_each_value() {
    let desk = desk(&[40]);
    desk.import();
    desk.change("1", |old| {
        let new = event(1, 200);
        (old.attributes, old.attribute_count) = (new.attributes, new.attribute_count);
    });
    race(&desk, 2, Write::Observables);
    assert_eq!(wrong(&desk), [""; 0]);
    is_settled(&desk, 1);
}

/// An alert as another import would have made it at the same time, with what it has.
fn twin(desk: &Desk, change: &Value) -> String {
    let mut twin = desk.alert("1");
    let mut world = desk.thehive.world();
    let (id, now) = (world.next_id(), world.tick());
    let inside: Vec<Value> = world
        .observables_of(twin["_id"].as_str().unwrap())
        .cloned()
        .collect();
    twin["_id"] = json!(id);
    twin["_createdAt"] = json!(now);
    twin.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    world.alerts.push(twin);
    for mut one in inside {
        one["_id"] = json!(world.next_id());
        world.add_observable(&id, &one);
    }
    id
}

fn ids(desk: &Desk) -> Vec<String> {
    desk.thehive
        .world()
        .alerts
        .iter()
        .map(|alert| alert["_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn of_twins_the_last_one_stays_or_the_one_that_a_person_touched() {
    let [desk, _] = Desk::imported(1, &json!({}));
    let last = twin(&desk, &json!({}));
    let report = desk.import();
    assert_eq!(ids(&desk), std::slice::from_ref(&last));
    assert!(
        report
            .to_string()
            .contains(&format!("of which {last} stays")),
        "{report:#}"
    );
    is_settled(&desk, 1);
    for touched in [
        json!({"read": true, "_updatedBy": "jane@example.org"}),
        json!({"caseId": "~7", "read": true}),
    ] {
        let [desk, _] = Desk::imported(1, &json!({}));
        let before = ids(&desk);
        let (id, untouched) = (before[0].clone(), twin(&desk, &json!({})));
        desk.thehive
            .world()
            .alert_mut(&id)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .extend(touched.as_object().unwrap().clone());
        desk.import();
        assert_eq!(ids(&desk), before, "{untouched} goes: {touched}");
        // Two that people touched stay both, and are named.
        let second = twin(&desk, &touched);
        let report = desk.import();
        assert_eq!(ids(&desk), [id, second]);
        assert!(
            report
                .to_string()
                .contains("1 alert is there beside another one of the same event"),
            "{report:#}"
        );
    }
}

#[test]
fn a_twin_with_an_observable_that_a_person_touched_stays() {
    let [desk, _] = Desk::imported(1, &json!({}));
    let (before, last) = (ids(&desk), twin(&desk, &json!({})));
    let mut world = desk.thehive.world();
    let one = world
        .observables
        .iter_mut()
        .find(|one| one.parent == before[0])
        .unwrap();
    one.record["_updatedBy"] = json!("jane@example.org");
    drop(world);
    desk.import();
    assert_eq!(ids(&desk), [before[0].clone(), last]);
}

#[test]
fn a_twin_that_may_not_be_removed_is_named() {
    let [desk, _] = Desk::imported(1, &json!({}));
    let (before, last) = (ids(&desk), twin(&desk, &json!({})));
    let no = r#"{"type":"AuthorizationError","message":"Operation not permitted"}"#.to_owned();
    desk.thehive.fault(Fault {
        on: "/api/alert/~",
        nth: Nth::Always,
        what: What::Status(403, no, "application/json"),
    });
    let report = desk.import();
    assert_eq!(ids(&desk), [before[0].clone(), last]);
    assert!(
        report
            .to_string()
            .contains(&format!("{} of event", before[0])),
        "{report:#}"
    );
}

#[test]
fn observables_that_change_alike_change_by_one_call() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        let mut world = misp::World::new();
        world.events.push(event(1, 200));
        let desk = Desk::new(world, hive);
        desk.import();
        desk.change("1", |event| {
            event
                .attributes
                .iter_mut()
                .for_each(|one| one.to_ids = false)
        });
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 200), ("updated", 200)]),
            "{report:#}"
        );
        let bulk = "PATCH /api/v1/observable/_bulk".to_owned();
        assert_eq!(
            desk.written()
                .into_iter()
                .filter(|one| *one == bulk)
                .count(),
            2
        );
        assert!(
            desk.written()
                .iter()
                .all(|one| !one.starts_with("PATCH /api/v1/observable/~"))
        );
    }
}

#[test]
fn what_somebody_edited_stays_and_is_told() {
    for desk in Desk::imported(1, &json!({})) {
        desk.edit("1", "title", json!("Ours"));
        desk.change("1", |event| event.info = "Worse".to_owned());
        let report = desk.import();
        let says = "left as somebody edited it in TheHive, though the event says otherwise: title";
        assert!(report.to_string().contains(says), "{report:#}");
        assert_eq!(desk.alert("1")["title"], "Ours");
        desk.change("1", |_| {});
        assert!(
            !desk
                .import()
                .to_string()
                .contains("left as somebody edited it")
        );
    }
}

#[test]
fn a_type_that_thehive_lists_and_does_not_know_becomes_another() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        let mut world = misp::World::new();
        world.events.push(event(1, 40));
        let desk = Desk::new(world, hive);
        desk.thehive.world().lacks = vec!["domain".to_owned()];
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 40), ("created", 40)]),
            "{report:#}"
        );
        assert!(
            report.to_string().contains("then does not know it"),
            "{report:#}"
        );
        let others = desk.observables(&desk.alert("1"));
        let other = others
            .iter()
            .find(|one| one["data"] == "domain-7.example")
            .unwrap();
        assert_eq!(
            (&other["dataType"], &other["tags"][0]),
            (&json!("other"), &json!("misp:type=\"domain\""))
        );
        desk.change("1", |event| event.info = "Worse".to_owned());
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 40), ("unchanged", 40)]),
            "{report:#}"
        );
        assert_eq!(desk.observables(&desk.alert("1")).len(), 40);
    }
}
