//! The places for new alerts: organisations take turns, and what may never find one is named in time.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::alerts::writing::desk::{Desk, events};
use crate::misp;
use crate::program::{counts, full, of};
use crate::thehive;

/// A MISP where the organisation 2 has so many newer events than the three of the organisation 1.
fn world(many: u64) -> misp::World {
    let mut world = events(3 + many);
    world
        .events
        .iter_mut()
        .skip(3)
        .for_each(|event| event.orgc = 2);
    world
}

fn desks(many: u64, options: &Value) -> [Desk; 2] {
    [thehive::World::four(), thehive::World::five()]
        .map(|hive| Desk::new(world(many), hive).with(options.clone()))
}

fn titles(desk: &Desk) -> Vec<String> {
    let world = desk.thehive.world();
    world
        .alerts
        .iter()
        .map(|alert| alert["title"].as_str().unwrap().to_owned())
        .collect()
}

fn warnings(report: &Value) -> String {
    full(report)["connections"][0]["warnings"].to_string()
}

#[test]
fn a_partner_with_very_many_new_events_keeps_nobody_out() {
    // More than are kept while the list is read.
    for desk in desks(1_200, &json!({"max_new_alerts": 4, "max_parallel": 1})) {
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1_203), ("created", 4), ("skipped", 1_199)])
        );
        assert_eq!(
            titles(&desk),
            [
                "#1203 Event 1203",
                "#3 Event 3",
                "#1202 Event 1202",
                "#2 Event 2"
            ]
        );
        // Of what is new at every run, he has his share and no more.
        for number in 1_204..1_214_u64 {
            let mut event = desk.misp.world().event("1203").unwrap().clone();
            event.id = number;
            event.uuid = format!("5f0e5b5c-0000-4000-8000-{number:012}");
            desk.misp.world().events.push(event);
        }
        desk.import();
        assert!(titles(&desk).contains(&"#1 Event 1".to_owned()));
    }
}

#[test]
fn an_event_that_leaves_the_window_without_an_alert_is_named() {
    for desk in desks(4, &json!({"max_new_alerts": 2, "window_days": 30})) {
        let now = i64::try_from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
        .unwrap();
        let old = now - 30 * 86_400 + 3_600;
        for event in &mut desk.misp.world().events {
            (event.timestamp, event.publish_timestamp) = if event.id == 1 {
                (old, old)
            } else {
                (now, now)
            };
        }
        let uuid = desk.misp.world().event("1").unwrap().uuid.clone();
        let mut job = desk.job();
        job["parameters"] = json!({"since": "60d"});
        assert!(!warnings(&desk.run(&job)).contains("leave the window"));
        desk.thehive.world().alerts.clear();
        job["parameters"] = json!({});
        let told = warnings(&desk.run(&job));
        for part in [
            "1 event that has no alert is about to leave the window",
            &uuid,
            "max_new_alerts",
            "window_days",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
}

#[test]
fn changed_events_come_in_turn_by_organisation() {
    for desk in desks(5, &json!({"max_parallel": 1})) {
        desk.import();
        for number in 1..=8_u64 {
            desk.change(&number.to_string(), |event| {
                event.info = format!("Changed {number}")
            });
        }
        desk.import();
        let bodies = desk
            .writes()
            .into_iter()
            .filter_map(|one| one.body["title"].as_str().map(ToOwned::to_owned));
        let mut changed: Vec<String> = bodies.collect();
        changed.truncate(6);
        let by = |title: &String| desk.misp.world().event(&title[1..2]).unwrap().orgc;
        let organisations: Vec<u64> = changed.iter().map(by).collect();
        assert_eq!(
            organisations
                .iter()
                .filter(|organisation| **organisation == 1)
                .count(),
            3,
            "{changed:?}"
        );
    }
}
