//! A feed holds what a server holds, and is searched as one is.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::desks::{Exporter, Importer};
use super::{World, scenarios};

scenarios!(
    a_feed_holds_what_a_server_holds,
    an_event_of_a_server_is_found_in_the_feed_that_was_made_of_it
);

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
    let mut names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = names
        .find(|path| path.file_name().unwrap().len() == 41)
        .expect("an event");
    serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()["Event"].clone()
}

/// Writes what MISP puts out of an event into a feed, as MISP's own command does.
pub(super) fn write_feed(folder: &Path, event: &Value) {
    let uuid = event["uuid"].as_str().unwrap();
    let fields = ["info", "date", "timestamp", "Orgc", "Tag"];
    let row: serde_json::Map<_, _> = fields
        .iter()
        .map(|field| ((*field).to_owned(), event[*field].clone()))
        .collect();
    fs::write(
        folder.join("manifest.json"),
        json!({ uuid: row }).to_string(),
    )
    .unwrap();
    fs::write(
        folder.join(format!("{uuid}.json")),
        json!({ "Event": event }).to_string(),
    )
    .unwrap();
    let of_objects = event["Object"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| &object["Attribute"]);
    let lists = std::iter::once(&event["Attribute"]).chain(of_objects);
    let values = lists
        .flat_map(|list| list.as_array().into_iter().flatten())
        .map(|one| one["value"].as_str().unwrap());
    let hash = |part: &str| format!("{},{uuid}\n", crate::thehive::md5(part.as_bytes()));
    let hashes: String = values
        .flat_map(|value| value.split('|').map(hash))
        .collect();
    fs::write(folder.join("hashes.csv"), hashes).unwrap();
}

fn a_feed_holds_what_a_server_holds(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Exporter::new(world);
    IOCS.iter()
        .for_each(|(kind, data)| drop(desk.ioc(kind, data)));
    desk.run();
    let mut job = desk.job();
    let feed = json!([format!("file://{}", folder.path().display())]);
    (job["config"]["url"], job["config"]["key"]) = (feed, json!(["-"]));
    let report = world.report(crate::program::Program::Export, &job);
    assert_eq!(report["success"], true, "{report:#}");
    let held = desk.event();
    let values = |event: &Value| {
        let list = event["Attribute"].as_array().unwrap().iter();
        let line = |one: &Value| {
            format!(
                "{}/{} {} {}",
                one["category"], one["type"], one["value"], one["to_ids"]
            )
        };
        let mut lines: Vec<String> = list.map(line).collect();
        lines.sort();
        lines
    };
    assert_eq!(values(&event_of(folder.path())), values(&held.event));
}

fn an_event_of_a_server_is_found_in_the_feed_that_was_made_of_it(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Exporter::new(world);
    IOCS.iter()
        .for_each(|(kind, data)| drop(desk.ioc(kind, data)));
    desk.run();
    let event = desk.event().event;
    write_feed(folder.path(), &event);
    let feed = json!([format!("file://{}", folder.path().display())]);
    let desk = Importer::new(world)
        .with(&json!({"include_tags": [], "loop_guard": false, "url": feed, "key": ["-"]}));
    for (kind, data) in IOCS {
        let report = desk.run(kind, data);
        assert!(
            report.message().starts_with("1 event knows "),
            "{data}: {}",
            report.message()
        );
    }
}
