//! What the doctor says of several connections: settings of their own, organisations that may use them, feeds on the web.

use std::fs;

use serde_json::{Value, json};

use super::{config, nothing_was_changed, told};
use crate::misp::{Fake, World, key};
use crate::program::Program;
use crate::web_feeds::shelf::{self, Shelf};

fn two(first: &Fake, second: &Fake, settings: Value) -> Value {
    json!({
        "name": ["one", "two"], "url": [first.url(), second.url()], "key": [key("orgadmin"), key("orgadmin")],
        "purpose": ["ImportAndExport"], "instance": "hive.example.org", "connection_settings": settings,
    })
}

#[test]
fn each_is_looked_at_with_its_own_settings() {
    let (first, second) = (Fake::start(World::new()), Fake::start(World::new()));
    let own = json!([{"name": "two", "include_organisations": ["Nobody"], "exclude_tags": ["none:such"]}]);
    let found = told(Program::Import, &two(&first, &second, own), true);
    assert!(found.lines("one", "names").is_empty(), "{}", found.text);
    assert!(found.lines("two", "names").iter().any(|line| line.contains("Nobody")), "{}", found.text);
    let wrong = json!([{"name": "two", "distribution": 9}]);
    let found = told(Program::Export, &two(&first, &second, wrong), true);
    assert!(found.line("two", "settings").starts_with("failed: configuration item \"distribution\" is above 4"));
    assert_eq!(found.checks("two"), ["settings", "not looked at"]);
    assert!(found.line("one", "version").starts_with("ok: "));
    let unknown = json!([{"name": "three"}]);
    let found = told(Program::Export, &two(&first, &second, unknown), true);
    assert!(found.line("configuration", "items").contains("there is no such connection"), "{}", found.text);
    nothing_was_changed(&first);
    nothing_was_changed(&second);
}

#[test]
fn organisations_that_may_not_use_a_connection_are_named() {
    let misp = Fake::start(World::new());
    let said = |more: Value, has_failed: bool| {
        told(Program::Import, &config(&misp, "orgadmin", &more), has_failed).lines("corp", "organisations")
    };
    assert!(said(json!({}), false).is_empty());
    assert_eq!(
        said(json!({"include_thehive_organisations": ["cert"]}), false),
        ["ok: it is for certain organisations of TheHive only"]
    );
    let both = |list: Value| json!({"thehive_organisations": ["cert", "soc"], "exclude_thehive_organisations": list});
    assert_eq!(said(both(json!(["guest"])), false), ["ok: cert, soc may use it"]);
    let denied = "it is not for TheHive's organisation \"soc\" (\"exclude_thehive_organisations\")";
    assert_eq!(said(both(json!(["soc"])), false), [format!("warning: {denied}")]);
    assert!(said(both(json!(["soc", "cert"])), true)[0].starts_with("failed: it is not for"));
}

#[test]
fn a_feed_on_the_web_is_looked_at_as_far_as_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let entry = json!({"5f0e5b5c-0000-4000-8000-000000000001": {"info": "One", "timestamp": "1"}});
    fs::write(folder.path().join("manifest.json"), entry.to_string()).unwrap();
    let shelf = Shelf::start(folder.path());
    let given = |url: String| json!({"name": ["feed"], "url": [url], "key": ["-"], "instance": "hive.example.org"});
    let found = told(Program::Import, &given(shelf::url(&shelf)), false);
    assert_eq!(found.checks("feed"), ["proxy", "name", "connection", "manifest"], "{}", found.text);
    assert!(found.line("feed", "connection").contains("may be changed on the way"), "{}", found.text);
    assert_eq!(found.line("feed", "manifest"), "ok: 1 event");
    let misp = Fake::start(World::new());
    let found = told(Program::Import, &given(misp.url()), true);
    assert!(found.line("feed", "manifest").starts_with("failed: "), "{}", found.text);
}
