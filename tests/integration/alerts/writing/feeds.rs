//! A feed in a folder as the source of alerts.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::desk::Desk;
use crate::program::{counts, full, of};

/// A feed that a test writes, and a TheHive.
struct Feed {
    desk: Desk,
    folder: tempfile::TempDir,
}

fn uuid(number: u64) -> String {
    format!("5f0e5b5c-0000-4000-8000-{number:012}")
}

fn attribute(value: &str) -> Value {
    json!({"type": "domain", "category": "Network activity", "value": value, "to_ids": true, "uuid": value})
}

impl Feed {
    fn both(options: &Value) -> [Self; 2] {
        Desk::small(0).map(|desk| {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("file://{}", folder.path().display());
            let desk = desk
                .with(json!({"name": ["feed"], "url": [url], "key": ["-"]}))
                .with(options.clone());
            let feed = Self { desk, folder };
            feed.write(&[
                (1, 10, &["one.example"]),
                (2, 20, &["two.example", "both.example"]),
                (3, 30, &["three.example"]),
            ]);
            feed
        })
    }

    /// The whole feed: events by number, moment of the last change, and values.
    fn write(&self, events: &[(u64, i64, &[&str])]) {
        let folder: &Path = self.folder.path();
        let mut manifest = json!({});
        for (number, timestamp, values) in events {
            let head = json!({
                "info": format!("Event {number} at {timestamp}"), "date": "2026-01-01", "timestamp": timestamp.to_string(),
                "threat_level_id": "1", "analysis": "2", "Orgc": {"name": "Producer", "uuid": ""}, "Tag": [{"name": "tlp:green"}],
            });
            let mut event = head.clone();
            event["uuid"] = json!(uuid(*number));
            event["Attribute"] = values.iter().map(|value| attribute(value)).collect();
            fs::write(
                folder.join(format!("{}.json", uuid(*number))),
                json!({"Event": event}).to_string(),
            )
            .unwrap();
            manifest[uuid(*number)] = head;
        }
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    }
}

#[test]
fn what_is_new_changed_and_gone_in_a_feed_reaches_thehive() {
    for feed in Feed::both(&json!({"mark_withdrawn": true, "published_only": true})) {
        let desk = &feed.desk;
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("created", 3)]),
            "{report:#}"
        );
        let alert = desk.alert(&uuid(2));
        assert_eq!(
            (&alert["title"], &alert["source"]),
            (&json!("Event 2 at 20"), &json!("feed"))
        );
        assert_eq!(
            (&alert["tlp"], alert.get("externalLink")),
            (&json!(1), None)
        );
        assert_eq!(desk.data(&uuid(2)), ["both.example", "two.example"]);
        desk.rests();
        feed.write(&[
            (1, 10, &["one.example"]),
            (2, 21, &["two.example", "new.example"]),
            (4, 40, &["four.example"]),
        ]);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([
                ("fetched", 4),
                ("created", 1),
                ("updated", 2),
                ("unchanged", 1)
            ]),
            "{report:#}"
        );
        assert_eq!(desk.data(&uuid(2)), ["new.example", "two.example"]);
        assert_eq!(desk.alert(&uuid(2))["title"], "Event 2 at 21");
        assert!(desk.has_tag(&uuid(3), "misp:withdrawn") && desk.has_tag(&uuid(2), "misp:updated"));
        desk.rests();
    }
}

#[test]
fn the_latest_events_of_a_feed_come_first() {
    for feed in Feed::both(&json!({"max_new_alerts": 1})) {
        let report = feed.desk.import();
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({"max_new_alerts": 2})
        );
        assert_eq!(feed.desk.alert(&uuid(3))["title"], "Event 3 at 30");
    }
}

#[test]
fn the_size_of_an_event_of_a_feed_counts_for_new_alerts_only() {
    for feed in Feed::both(&json!({"max_attributes": 1})) {
        let desk = &feed.desk;
        let report = desk.import();
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({"more than 1 attributes": 1}),
            "{report:#}"
        );
        assert_eq!(desk.thehive.world().alerts.len(), 2);
        feed.write(&[
            (1, 11, &["one.example", "more.example"]),
            (3, 30, &["three.example"]),
        ]);
        desk.import();
        assert_eq!(desk.data(&uuid(1)), ["more.example", "one.example"]);
    }
}

/// A feed's list says nothing of the size.
#[test]
fn an_event_that_turns_out_too_large_takes_no_place_of_another() {
    for feed in Feed::both(&json!({"max_attributes": 1, "max_new_alerts": 1})) {
        let desk = &feed.desk;
        feed.write(&[
            (2, 20, &["two.example"]),
            (3, 40, &["three.example", "more.example"]),
            (1, 10, &["one.example"]),
        ]);
        let report = desk.import();
        let skipped = json!({"more than 1 attributes": 1, "max_new_alerts": 1});
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            skipped,
            "{report:#}"
        );
        assert_eq!(desk.alert(&uuid(2))["title"], "Event 2 at 20");
        assert_eq!(desk.thehive.world().alerts.len(), 1);
    }
}

#[test]
fn a_file_that_cannot_be_read_leaves_its_alert_alone() {
    for feed in Feed::both(&json!({})) {
        let desk = &feed.desk;
        desk.import();
        feed.write(&[
            (1, 11, &["other.example"]),
            (2, 20, &["two.example", "both.example"]),
            (3, 30, &["three.example"]),
        ]);
        let path = feed.folder.path().join(format!("{}.json", uuid(1)));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        let report = desk.import();
        assert_eq!(
            counts(&report["full"], "events"),
            of([("fetched", 3), ("unchanged", 2), ("failed", 1)]),
            "{report:#}"
        );
        // What was read before it broke off may have come; nothing has gone.
        assert!(desk.data(&uuid(1)).contains(&"one.example".to_owned()));
        fs::write(&path, text).unwrap();
        desk.import();
        assert_eq!(desk.data(&uuid(1)), ["other.example"]);
        desk.rests();
    }
}
