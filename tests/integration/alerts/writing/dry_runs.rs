//! A dry run says what the run then does: the same verdicts, counts, rows and warnings, and nothing is written.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::desk::Desk;
use crate::misp::World;
use crate::program::full;
use crate::thehive as hive;

/// What both runs have to say alike, a line each. What is not there yet has no link, and what would be put is not put.
fn told(report: &Value) -> Vec<String> {
    let mut lines = vec![full(report)["ledger"].to_string()];
    for part in full(report)["connections"].as_array().unwrap() {
        let lists = ["events", "warnings", "failures"].map(|name| part[name].as_array().cloned());
        for mut line in lists.into_iter().flatten().flatten() {
            if let Some(row) = line.as_object_mut() {
                row.remove("alert");
            }
            lines.push(line.to_string().replace("would be put", "put"));
        }
    }
    // What TheHive refuses is known only then.
    lines.retain(|line| !line.contains("404: Pattern"));
    lines
}

fn says_what_the_run_then_does(desk: &Desk) {
    let mut job = desk.job();
    job["parameters"]["dry_run"] = json!(true);
    let dry = desk.run(&job);
    desk.wrote_nothing();
    assert_eq!(full(&dry)["dry_run"], true);
    let real = desk.import();
    let (dry, real) = (told(&dry), told(&real));
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        let lines = one.iter().filter(|line| !other.contains(line));
        lines.take(3).cloned().collect()
    };
    assert_eq!((only(&dry, &real), only(&real, &dry)), (vec![], vec![]));
}

fn desks(options: &Value) -> [Desk; 2] {
    [hive::World::four(), hive::World::five()]
        .map(|hive| Desk::new(World::with_corpus(), hive).with(options.clone()))
}

/// The number of the corpus's first events that have some observables each.
const TOUCHED: [&str; 3] = ["4", "5", "7"];

#[test]
fn of_the_corpus_new_changed_worked_on_by_people_and_gone() {
    for desk in desks(&json!({"mark_withdrawn": true, "reopen": true})) {
        says_what_the_run_then_does(&desk);
        says_what_the_run_then_does(&desk);
        for event in TOUCHED {
            let data = desk.data(event);
            desk.change(event, |event| {
                let live: Vec<usize> = (0..event.attributes.len())
                    .filter(|at| !event.attributes[*at].deleted)
                    .collect();
                // One goes, one is meant for detection now, one is said otherwise.
                event.attributes[live[0]].deleted = true;
                event.attributes[live[1]].to_ids ^= true;
                event.attributes[live[2]].comment = "Said otherwise".into();
            });
            desk.touch(event, data.last().unwrap(), "message", json!("Mine"));
            desk.own(event, "a value of hers");
            desk.add(event, "domain", "new.example", |one| one.to_ids = true);
            desk.edit(event, "title", json!("Hers"));
        }
        // Its alert has no observable yet.
        desk.add("2", "domain", "first.example", |one| one.to_ids = true);
        desk.drop("9", &desk.data("9")[0]);
        desk.change("9", |event| event.info = "Renamed".into());
        desk.edit("10", "follow", json!(false));
        desk.change("10", |event| event.info = "Renamed".into());
        desk.misp.world().events.retain(|event| event.id != 12);
        says_what_the_run_then_does(&desk);
        desk.rests();
    }
}

#[test]
fn of_events_that_come_in_pages_and_do_not_fit() {
    for desk in desks(
        &json!({"max_new_alerts": 7, "max_attributes": 20, "exclude_attribute_types": ["text"]}),
    ) {
        says_what_the_run_then_does(&desk);
        for event in 1..=34 {
            let has_alert = desk.thehive.world().alerts.iter().any(|alert| {
                let title = alert["title"].as_str().unwrap();
                title.starts_with(&format!("#{event} "))
            });
            if has_alert {
                for number in 0..45 {
                    let name = format!("more-{number}.example");
                    desk.add(&event.to_string(), "domain", &name, |_| ());
                }
            }
        }
        says_what_the_run_then_does(&desk);
    }
}

/// The events of the corpus as a feed in a folder.
fn corpus_as_feed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = json!({});
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus/events");
    for file in fs::read_dir(corpus).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|name| name == "json") {
            let text = fs::read_to_string(&file).unwrap();
            let event = serde_json::from_str::<Value>(&text).unwrap();
            let event = &event["response"][0]["Event"];
            let uuid = event["uuid"].as_str().unwrap();
            fs::write(
                folder.path().join(format!("{uuid}.json")),
                json!({"Event": event}).to_string(),
            )
            .unwrap();
            let heads = [
                "info",
                "date",
                "timestamp",
                "threat_level_id",
                "analysis",
                "Orgc",
                "Tag",
            ];
            manifest[uuid] = heads
                .iter()
                .map(|name| ((*name).to_owned(), event[*name].clone()))
                .collect();
        }
    }
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    folder
}

#[test]
fn of_the_corpus_as_a_feed() {
    let folder = corpus_as_feed();
    let url = format!("file://{}", folder.path().display());
    for desk in desks(&json!({"url": [url], "key": ["-"]})) {
        says_what_the_run_then_does(&desk);
        says_what_the_run_then_does(&desk);
    }
}
