//! The whole corpus as alerts, against an independent reading of it.

use std::collections::{BTreeMap, BTreeSet};

use cortex_misp::cortex::markdown::neutralise_lines;
use cortex_misp::types::{self, AttributeInput, ObservableTypeSet};
use serde_json::{Value, json};

use super::desk::Desk;
use crate::misp::{Attribute, Event, World};
use crate::program::{counts, full, of};
use crate::thehive::{self as hive, Version};

/// What the attributes of one value say together.
#[derive(Default)]
struct Expected {
    ioc: bool,
    tlp: i64,
    tags: BTreeSet<String>,
    comments: BTreeSet<String>,
}

const WORDS: [(&str, i64); 6] = [
    ("tlp:white", 0),
    ("tlp:clear", 0),
    ("tlp:green", 1),
    ("tlp:amber", 2),
    ("tlp:amber+strict", 3),
    ("tlp:red", 4),
];

/// The strictest TLP of some tags, on five levels.
fn tlp(tags: &[String]) -> Option<i64> {
    let level = |tag: &String| {
        WORDS
            .iter()
            .find(|(word, _)| *word == tag.to_lowercase())
            .map(|(_, level)| *level)
    };
    tags.iter().filter_map(level).max()
}

/// The observables of an event by type and value, as TheHive compares them.
fn expected(world: &World, event: &Event, is_five: bool) -> BTreeMap<(String, String), Expected> {
    let mut all = BTreeMap::new();
    let data_types = ObservableTypeSet::thehive4();
    let of_event = tlp(&world.names(&event.tags)).unwrap_or(2);
    for attribute in event.live() {
        let found = AttributeInput {
            kind: &attribute.kind,
            category: &attribute.category,
            value: &attribute.value,
            uuid: &attribute.uuid,
            event: event.uuid.parse().unwrap(),
        };
        for one in types::to_observables(&found, &data_types).unwrap() {
            let is_long = one.data.encode_utf16().count() > 4_096;
            let (data_type, data) = match is_long {
                true => (
                    "other".to_owned(),
                    format!("misp-attribute:{}", attribute.uuid),
                ),
                false => (one.data_type.into_owned(), one.data),
            };
            let data = if is_five && data_type == "domain" {
                data.to_lowercase()
            } else {
                data
            };
            let known: &mut Expected = all.entry((data_type, data)).or_default();
            known.ioc |= attribute.to_ids && !is_long;
            let names = world.names(&attribute.tags);
            known.tlp = known.tlp.max(tlp(&names).unwrap_or(of_event));
            known.tags.extend(names);
            known.tags.extend(within(event, attribute));
            known.comments.insert(attribute.comment.trim().to_owned());
        }
    }
    all
}

fn within(event: &Event, attribute: &Attribute) -> Option<String> {
    let object = event
        .objects
        .iter()
        .find(|object| object.id == attribute.object)?;
    Some(format!(
        "misp:object=\"{}:{}:{}\"",
        object.name, event.uuid, object.uuid
    ))
}

fn level(tlp: i64, is_five: bool) -> i64 {
    if is_five { tlp } else { tlp.min(3) }
}

fn agrees(desk: &Desk) {
    let is_five = desk.thehive.world().version == Version::Five;
    let misp = desk.misp.world();
    let hive = desk.thehive.world();
    let mut of_alert: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for one in &hive.observables {
        of_alert
            .entry(one.parent.as_str())
            .or_default()
            .push(&one.record);
    }
    for event in &misp.events {
        let alert = hive
            .alerts
            .iter()
            .find(|alert| alert["sourceRef"] == event.uuid.as_str())
            .unwrap();
        head_agrees(&misp, event, alert, is_five);
        let expected = expected(&misp, event, is_five);
        let stored = of_alert
            .remove(alert["_id"].as_str().unwrap())
            .unwrap_or_default();
        assert_eq!(stored.len(), expected.len(), "event {}", event.id);
        for one in stored {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            let wanted = expected
                .get(&(text("dataType"), text("data")))
                .unwrap_or_else(|| panic!("{one:#}"));
            assert_eq!(
                (&one["ioc"], &one["tlp"]),
                (&json!(wanted.ioc), &json!(level(wanted.tlp, is_five))),
                "{one:#}"
            );
            let tags: BTreeSet<&str> = one["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tag| tag.as_str().unwrap())
                .collect();
            assert!(
                wanted
                    .tags
                    .iter()
                    .all(|tag| tag.len() > 128 || tags.contains(tag.as_str())),
                "{one:#}"
            );
            let message = text("message");
            let is_said = |comment: &String| {
                message == neutralise_lines(comment) || text("data").starts_with("misp-attribute:")
            };
            assert!(wanted.comments.iter().any(is_said), "{one:#}");
        }
    }
}

fn head_agrees(world: &World, event: &Event, alert: &Value, is_five: bool) {
    let names = world.names(&event.tags);
    assert_eq!(
        alert["title"],
        format!("#{} {}", event.id, event.info.trim())
    );
    let severity = [2, 3, 2, 1, 2][usize::try_from(event.threat_level).unwrap()];
    let tlp = level(tlp(&names).unwrap_or(2), is_five);
    assert_eq!(
        (&alert["severity"], &alert["tlp"]),
        (&json!(severity), &json!(tlp)),
        "{alert:#}"
    );
    let organisation = &world.organisation(event.orgc).name;
    assert!(
        alert["description"]
            .as_str()
            .unwrap()
            .contains(organisation.as_str())
    );
    let tags = alert["tags"].as_array().unwrap();
    assert_eq!(tags[0], format!("src:{organisation}"));
    assert!(
        names
            .iter()
            .all(|tag| tag.len() > 128 || tags.contains(&json!(tag))),
        "{alert:#}"
    );
    assert!(
        alert["externalLink"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/events/view/{}", event.uuid))
    );
    assert!(
        alert["description"]
            .as_str()
            .unwrap()
            .contains("complete=yes")
    );
}

/// The corpus comes whole; then one value of an event goes and one line of another changes, and nothing else is written.
fn comes_once_and_then_what_changes(desk: &Desk) {
    let report = desk.import();
    let told = full(&report);
    assert_eq!(
        counts(told, "events"),
        of([("fetched", 34), ("created", 34)]),
        "{told:#}"
    );
    assert_eq!(desk.thehive.world().alerts.len(), 34);
    let attributes = counts(told, "attributes");
    assert_eq!(attributes["fetched"], attributes["created"], "{told:#}");
    agrees(desk);
    let again = desk.import();
    assert_eq!(
        counts(full(&again), "events"),
        of([("fetched", 34), ("unchanged", 34)]),
        "{again:#}"
    );
    desk.wrote_nothing();
    let before = desk.observables(&desk.alert("4")).len();
    desk.change("4", |event| {
        event
            .attributes
            .iter_mut()
            .find(|one| !one.deleted)
            .unwrap()
            .deleted = true
    });
    desk.change("5", |event| event.info = "Renamed".into());
    let again = desk.import();
    assert_eq!(
        counts(full(&again), "events"),
        of([("fetched", 34), ("updated", 2), ("unchanged", 32)]),
        "{again:#}"
    );
    let mut verbs = desk.verbs();
    verbs.sort();
    assert_eq!(verbs, ["DELETE observable", "PATCH alert", "PATCH alert"]);
    assert_eq!(desk.observables(&desk.alert("4")).len(), before - 1);
    assert_eq!(desk.alert("5")["title"], "#5 Renamed");
}

#[test]
fn the_corpus_comes_to_thehive_4_and_only_what_changes_is_written_again() {
    comes_once_and_then_what_changes(&Desk::new(World::with_corpus(), hive::World::four()));
}

#[test]
fn the_corpus_comes_to_thehive_5_and_only_what_changes_is_written_again() {
    comes_once_and_then_what_changes(&Desk::new(World::with_corpus(), hive::World::five()));
}
