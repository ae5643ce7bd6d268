//! A small MISP: four events with attributes of all kinds, one of them so big, by its own count, that it is read in pages.

use serde_json::json;

use crate::misp::{Attached, Attribute, Event, Object, Tag, World};

/// More than an event may count to be read by one answer.
const MANY: i64 = 5_001;
const TLP_RED: u64 = 69;
const TLP_GREEN: u64 = 72;
const OSINT: u64 = 119;
const TECHNIQUE: u64 = 900;

/// The events 101 to 104.
pub(super) fn misp() -> World {
    let mut world = World::new();
    world.tags.push(Tag {
        id: TECHNIQUE,
        name: "misp-galaxy:mitre-attack-pattern=\"Phishing - T1566\"".to_owned(),
        colour: "#000000".to_owned(),
        is_galaxy: true,
        ..Tag::default()
    });
    world.events = vec![plain(), with_objects(), big(), marked()];
    world
}

/// Another title, a tag, an attribute more and one less; in the big event an attribute more.
pub(super) fn change(world: &mut World) {
    let now = world.tick();
    let event = world.event_mut("101").unwrap();
    event.info = "Another title".to_owned();
    event.tags.push(Attached {
        id: 1,
        tag: OSINT,
        local: false,
    });
    event
        .attributes
        .push(attribute(1_090, "ip-src", "198.51.100.99"));
    event
        .attributes
        .iter_mut()
        .find(|one| one.value == "gone.example")
        .unwrap()
        .deleted = true;
    event.attribute_count = event.live().count() as i64;
    (event.timestamp, event.publish_timestamp) = (now, now);
    let event = world.event_mut("103").unwrap();
    event
        .attributes
        .push(attribute(3_090, "domain", "more.example"));
    (event.timestamp, event.publish_timestamp) = (now, now);
    let event = world.event_mut("104").unwrap();
    event.attributes[0].comment = "Another comment".to_owned();
    (event.timestamp, event.publish_timestamp) = (now, now);
}

fn plain() -> Event {
    let tagged = Attribute {
        tags: tags(&[TLP_GREEN]),
        ..attribute(1_008, "domain", "same.example")
    };
    let attributes = vec![
        attribute(1_001, "ip-dst", "203.0.113.7"),
        attribute(1_002, "domain", "gone.example"),
        attribute(1_003, "url", "https://evil.example/a"),
        attribute(1_004, "md5", "44d88612fea8a8f36de82e1278abb02f"),
        Attribute {
            to_ids: false,
            ..attribute(1_005, "email-src", "evil@example.org")
        },
        attribute(1_006, "domain|ip", "pair.example|192.0.2.77"),
        attribute(1_007, "domain", "same.example"),
        tagged,
        Attribute {
            comment: "C2".to_owned(),
            ..attribute(1_009, "ip-src", "198.51.100.4")
        },
    ];
    let tags = tags(&[TLP_GREEN, TECHNIQUE]);
    Event {
        tags,
        ..event(101, "Phishing wave", attributes)
    }
}

fn with_objects() -> Event {
    let inside = |id, kind: &str, relation: &str, value: &str| Attribute {
        object: 7,
        object_relation: Some(relation.to_owned()),
        ..attribute(id, kind, value)
    };
    let attributes = vec![
        inside(2_001, "filename", "filename", "invoice.exe"),
        inside(2_002, "sha256", "sha256", &"5".repeat(64)),
        Attribute {
            to_ids: false,
            ..inside(2_003, "size-in-bytes", "size-in-bytes", "1024")
        },
        attribute(
            2_004,
            "filename|md5",
            "b.exe|0123456789abcdef0123456789abcdef",
        ),
        Attribute {
            deleted: true,
            ..attribute(2_005, "domain", "deleted.example")
        },
    ];
    let object = Object {
        id: 7,
        uuid: uuid(7),
        name: "file".to_owned(),
        meta_category: "file".to_owned(),
        references: json!([]),
        ..Object::default()
    };
    Event {
        objects: vec![object],
        ..event(102, "Loader", attributes)
    }
}

/// It counts more attributes than it shows to us.
fn big() -> Event {
    let attributes = (1..=5)
        .map(|n| attribute(3_000 + n, "hostname", &format!("host-{n}.example")))
        .collect();
    Event {
        attribute_count: MANY,
        ..event(103, "Sinkhole list", attributes)
    }
}

/// With a value that is on a warninglist, and a stricter TLP of its own.
fn marked() -> Event {
    let red = Attribute {
        tags: tags(&[TLP_RED]),
        ..attribute(4_002, "url", "https://red.example/")
    };
    let attributes = vec![attribute(4_001, "ip-dst", "8.8.8.8"), red];
    Event {
        tags: tags(&[OSINT]),
        threat_level: 1,
        ..event(104, "Marked", attributes)
    }
}

fn event(id: u64, info: &str, attributes: Vec<Attribute>) -> Event {
    let live = attributes.iter().filter(|one| !one.deleted).count() as i64;
    Event {
        id,
        uuid: uuid(id),
        org: 1,
        orgc: 1,
        info: info.to_owned(),
        date: "2026-11-01".to_owned(),
        threat_level: 2,
        distribution: 1,
        published: true,
        timestamp: 1_795_000_000,
        publish_timestamp: 1_795_000_100,
        attribute_count: live,
        attributes,
        reports: json!([]),
        galaxies: json!([]),
        clusters: json!([]),
        related: json!([]),
        proposals: json!([]),
        ..Event::default()
    }
}

fn attribute(id: u64, kind: &str, value: &str) -> Attribute {
    Attribute {
        id,
        uuid: uuid(id),
        kind: kind.to_owned(),
        category: "Network activity".to_owned(),
        value: value.to_owned(),
        to_ids: true,
        distribution: 5,
        timestamp: 1_795_000_000,
        galaxies: json!([]),
        ..Attribute::default()
    }
}

fn tags(tags: &[u64]) -> Vec<Attached> {
    tags.iter()
        .map(|tag| Attached {
            id: *tag,
            tag: *tag,
            local: false,
        })
        .collect()
}

fn uuid(number: u64) -> String {
    uuid::Uuid::from_u64_pair(0x5f0e_5b5c_0000_4000, 0x8000_0000_0000_0000 | number).to_string()
}
