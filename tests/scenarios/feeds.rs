//! A feed holds what a server holds, and is searched as one is.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::desks::{Exporter, Importer};
use super::{World, scenarios};

scenarios!(a_feed_holds_what_a_server_holds, an_event_of_a_server_is_found_in_the_feed_that_was_made_of_it);

const IOCS: [(&str, &str); 6] = [
    ("domain", "a.MARK.example"),
    ("ip", "198.51.100.90"),
    ("ip", "198.51.100.91:8080"),
    ("url", "https://MARK.example/a?b=c"),
    ("hash", "d41d8cd98f00b204e9800998ecf8427c"),
    ("mail", "someone@MARK.example"),
];

/// The one event file of a feed.
fn event_of(folder: &Path) -> Value {
    let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = names.find(|path| path.file_name().unwrap().len() == 41).expect("an event");
    serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()["Event"].clone()
}

fn a_feed_holds_what_a_server_holds(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Exporter::new(world);
    IOCS.iter().for_each(|(kind, data)| drop(desk.ioc(kind, data)));
    desk.run();
    let mut job = desk.job();
    let feed = json!([format!("file://{}", folder.path().display())]);
    (job["config"]["url"], job["config"]["key"]) = (feed, json!(["-"]));
    let report = crate::program::Program::Export.report(&job);
    assert_eq!(report["success"], true, "{report:#}");
    let held = desk.event();
    let values = |event: &Value| {
        let list = event["Attribute"].as_array().unwrap().iter();
        let line = |one: &Value| format!("{}/{} {} {}", one["category"], one["type"], one["value"], one["to_ids"]);
        let mut lines: Vec<String> = list.map(line).collect();
        lines.sort();
        lines
    };
    assert_eq!(values(&event_of(folder.path())), values(&held.event));
}

/// What MISP puts out of an event, written into a feed as MISP's own command does: every observable is found there.
fn an_event_of_a_server_is_found_in_the_feed_that_was_made_of_it(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Exporter::new(world);
    IOCS.iter().for_each(|(kind, data)| drop(desk.ioc(kind, data)));
    desk.run();
    let event = desk.event().event;
    let uuid = event["uuid"].as_str().unwrap().to_owned();
    let row = json!({"info": event["info"], "date": event["date"], "timestamp": event["timestamp"], "Orgc": event["Orgc"], "Tag": event["Tag"]});
    fs::write(folder.path().join("manifest.json"), json!({uuid.clone(): row}).to_string()).unwrap();
    fs::write(folder.path().join(format!("{uuid}.json")), json!({ "Event": event }).to_string()).unwrap();
    let hashes: String = event["Attribute"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| {
            let value = one["value"].as_str().unwrap();
            value
                .split('|')
                .map(|part| format!("{},{uuid}\n", crate::thehive::md5(part.as_bytes())))
                .collect::<Vec<_>>()
        })
        .collect();
    fs::write(folder.path().join("hashes.csv"), hashes).unwrap();
    let feed = json!([format!("file://{}", folder.path().display())]);
    let desk = Importer::new(world).with(&json!({"include_tags": [], "loop_guard": false, "url": feed, "key": ["-"]}));
    for (kind, data) in IOCS {
        let report = desk.run(kind, data);
        assert!(report.message().starts_with("1 event knows "), "{data}: {}", report.message());
    }
}
