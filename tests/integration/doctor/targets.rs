//! Several MISPs that an export goes to, and feeds.

use std::fs;

use cortex_misp::ids::Ids;
use serde_json::{Value, json};

use super::{names, nothing_was_changed, told};
use crate::misp::{Event, Fake, World, key};
use crate::program::Program;

const CREATED: i64 = 1_630_917_246_993;

/// A world that holds this event, created by the organisation of that number.
fn holding(uuid: &str, orgc: u64, locked: bool) -> World {
    let mut world = World::new();
    world.events.push(Event {
        id: 9,
        uuid: uuid.to_owned(),
        org: 2,
        orgc,
        locked,
        distribution: 1,
        ..Event::default()
    });
    world
}

fn both(worlds: [World; 2], more: &Value) -> Vec<String> {
    let misps = worlds.map(Fake::start);
    let [one, other] = &misps;
    let config = json!({
        "name": ["corp", "sector"], "url": [one.url(), other.url()], "key": [key("partner"), key("partner")],
        "purpose": ["ExportOnly"], "instance": "hive.example.org",
    });
    let is_job = more.get("data").is_some();
    let mut given = if is_job {
        json!({"config": config})
    } else {
        config
    };
    given
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    // Without TheHive no case can be exported.
    let told = told(Program::Export, &given, is_job);
    misps.iter().for_each(nothing_was_changed);
    told.lines("configuration", "targets")
}

fn event() -> String {
    Ids::new("hive.example.org", None)
        .event_uuid("~8", &CREATED.to_string())
        .to_string()
}

#[test]
fn two_targets_that_synchronise_are_named_with_what_comes_of_it() {
    let case = json!({"dataType": "thehive:case", "data": {"_id": "~8", "_createdAt": CREATED}});
    // Without a case the events of the key's organisation are compared, with one its event alone.
    for more in [json!({}), case] {
        let lines = both(
            [holding(&event(), 2, false), holding(&event(), 2, true)],
            &more,
        );
        let begin = format!(
            "warning: \"corp\" and \"sector\" hold the same event: {}. The two synchronise, for on \"sector\"",
            event()
        );
        assert!(
            lines.len() == 1 && lines[0].starts_with(&begin),
            "{lines:?}"
        );
        assert!(lines[0].contains("an export to \"sector\" is refused"));
    }
    let lines = both(
        [holding(&event(), 2, false), holding(&event(), 2, false)],
        &json!({}),
    );
    assert!(
        lines[0].contains("If the two synchronise, one of two exports is refused"),
        "{lines:?}"
    );
    let lines = both(
        [holding(&event(), 2, false), holding(&event(), 3, false)],
        &json!({}),
    );
    assert!(
        lines[0].contains("for on \"sector\" it came from another MISP"),
        "{lines:?}"
    );
    let other_case =
        json!({"dataType": "thehive:case", "data": {"_id": "~9", "_createdAt": CREATED}});
    for (worlds, more) in [
        ([holding(&event(), 2, false), World::new()], json!({})),
        (
            [holding(&event(), 2, false), holding(&event(), 2, true)],
            other_case,
        ),
        // Events of other people may be on both: that is what communities are for.
        (
            ["5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e99"; 2].map(|uuid| holding(uuid, 2, true)),
            json!({}),
        ),
    ] {
        assert_eq!(
            both(worlds, &more),
            ["ok: no event of ours is on two of the servers for export"]
        );
    }
}

#[test]
fn two_connections_to_one_misp_have_events_of_their_own() {
    let misp = Fake::start(holding(&event(), 2, false));
    let config = json!({
        "name": ["corp", "sector"], "url": [misp.url(), misp.url()], "key": [key("partner"), key("partner")],
        "purpose": ["ExportOnly"], "instance": "hive.example.org",
    });
    let lines = told(Program::Export, &config, false).lines("configuration", "targets");
    assert!(
        lines[0].starts_with(
            "ok: \"corp\" and \"sector\" lead to the same MISP: a case gets an event of its own"
        ),
        "{lines:?}"
    );
}

#[test]
fn a_connection_that_takes_no_part_is_named_and_left_alone() {
    let misps = [World::new(), World::new()].map(Fake::start);
    let [one, other] = &misps;
    let mut config = json!({
        "name": ["corp", "partner"], "url": [one.url(), other.url()], "key": [key("partner"), key("partner")],
        "purpose": ["ExportOnly", null], "instance": "hive.example.org",
    });
    let found = told(Program::Export, &config, false);
    assert_eq!(
        found.line("partner", "purpose"),
        "skipped: for import only, so not looked at: it takes no part in an export"
    );
    assert!(other.requests().is_empty() && found.lines("configuration", "targets").is_empty());
    config["purpose"] = json!([]);
    let none = told(Program::Export, &config, true);
    assert!(
        none.line("configuration", "purpose")
            .starts_with("failed: no connection may export: set its \"purpose\"")
    );
}

#[test]
fn a_feed_is_looked_at_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"name": ["feed"], "url": [format!("file://{}", folder.path().display())], "key": ["-"]});
    let empty = told(Program::Export, &config, false);
    let place = folder.path().display();
    assert_eq!(
        empty.line("feed", "folder"),
        format!("ok: {place} is there and can be written")
    );
    assert_eq!(empty.line("feed", "manifest"), "ok: 0 events");
    assert_eq!(names(folder.path()), Vec::<String>::new());
    let entry = json!({"info": "x", "timestamp": "1", "date": "2026-01-01"});
    fs::write(
        folder.path().join("manifest.json"),
        json!({event(): entry, "no-uuid": {}, "list": []}).to_string(),
    )
    .unwrap();
    let full = told(Program::Import, &config, false);
    assert_eq!(full.line("feed", "folder"), format!("ok: {place} is there"));
    assert_eq!(
        full.line("feed", "manifest"),
        "warning: 1 events, and 2 entries that are none"
    );
    fs::write(folder.path().join("manifest.json"), "{").unwrap();
    assert!(
        told(Program::Import, &config, true)
            .line("feed", "manifest")
            .starts_with("failed: reading the feed's manifest")
    );
    let gone = json!({"name": ["feed"], "url": [format!("file://{place}/gone")], "key": ["-"]});
    let missing = told(Program::Export, &gone, true);
    assert!(
        missing
            .line("feed", "folder")
            .contains("does not exist: create it, or mount it into the container")
    );
    assert_eq!(missing.line("feed", "not looked at"), "skipped: manifest");
}

/// A folder that stands where files cannot be made, for any user.
#[test]
fn a_feed_that_cannot_be_written_fails_an_export_only() {
    let config = json!({"name": ["feed"], "url": ["file:///proc/self"], "key": ["-"]});
    let told_export = told(Program::Export, &config, true);
    assert!(
        told_export
            .line("feed", "folder")
            .starts_with("failed: /proc/self cannot be written (")
    );
}
