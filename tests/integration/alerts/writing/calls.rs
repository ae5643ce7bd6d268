//! How many calls an import needs, of MISP and of TheHive.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::http_fake::{Fault, Nth, What};
use crate::misp;
use crate::program::{counts, full, of};
use crate::thehive;

/// Types of attributes with one value each, of whose values TheHive thinks differently.
const TYPES: [(&str, &str); 20] = [
    ("md5", "Payload delivery"),
    ("sha1", "Payload delivery"),
    ("sha256", "Payload delivery"),
    ("sha512", "Payload delivery"),
    ("ssdeep", "Payload delivery"),
    ("ip-src", "Network activity"),
    ("ip-dst", "Network activity"),
    ("domain", "Network activity"),
    ("hostname", "Network activity"),
    ("url", "Network activity"),
    ("uri", "Network activity"),
    ("user-agent", "Network activity"),
    ("AS", "Network activity"),
    ("email-src", "Payload delivery"),
    ("email-dst", "Network activity"),
    ("email-subject", "Payload delivery"),
    ("filename", "Payload delivery"),
    ("regkey", "Persistence mechanism"),
    ("mutex", "Artifacts dropped"),
    ("text", "Other"),
];

fn value(kind: &str, n: usize) -> String {
    match kind {
        "md5" => format!("{n:032x}"),
        "sha1" => format!("{n:040x}"),
        "sha256" => format!("{n:064x}"),
        "sha512" => format!("{n:0128x}"),
        "ip-src" => format!("198.18.{}.{}", n / 256, n % 256),
        "ip-dst" => format!("198.19.{}.{}", n / 256, n % 256),
        "AS" => format!("{}", 64_000 + n),
        "email-src" | "email-dst" => format!("{kind}-{n}@example.org"),
        "domain" | "hostname" => format!("{kind}-{n}.example"),
        "url" => format!("https://host.example/{n}?with=some&more=of&what=urls&are=long"),
        "uri" => format!("ftp://host.example/{n}"),
        "regkey" => format!("HKLM\\Software\\Vendor\\{n}"),
        _ => format!("{kind} {n}"),
    }
}

/// An event of so many attributes without comment, tag or object.
pub(super) fn event(number: u64, attributes: usize) -> misp::Event {
    let attribute = |n: usize| {
        let (kind, category) = TYPES[n % TYPES.len()];
        misp::Attribute {
            id: number * 10_000 + n as u64,
            uuid: uuid::Uuid::from_u64_pair(number, n as u64 + 1).to_string(),
            kind: kind.to_owned(),
            category: category.to_owned(),
            value: value(kind, n),
            to_ids: true,
            distribution: 5,
            timestamp: 1_795_294_129,
            ..misp::Attribute::default()
        }
    };
    misp::Event {
        id: number,
        uuid: uuid::Uuid::from_u64_pair(number, 0).to_string(),
        org: 1,
        orgc: 1,
        info: "crowd".to_owned(),
        date: "2026-01-01".to_owned(),
        published: true,
        timestamp: 1_795_294_129,
        publish_timestamp: 1_795_294_130,
        attribute_count: attributes as i64,
        attributes: (0..attributes).map(attribute).collect(),
        ..misp::Event::default()
    }
}

fn desk(hive: thehive::World, attributes: usize) -> Desk {
    let mut world = misp::World::new();
    world.events.push(event(7, attributes));
    Desk::new(world, hive)
}

/// The requests of the last import: to MISP, to TheHive.
fn calls(desk: &Desk) -> (usize, usize) {
    (desk.misp.requests().len(), desk.thehive.requests().len())
}

#[test]
fn an_alert_of_5000_plain_attributes_costs_at_most_60_calls() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        let version = hive.version;
        let desk = desk(hive, 5_000);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 5_000), ("created", 5_000)]),
            "{report:#}"
        );
        let created = calls(&desk);
        desk.change("7", |_| {});
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 5_000), ("unchanged", 5_000)]),
            "{report:#}"
        );
        let updated = calls(&desk);
        println!(
            "{version:?}: created by {created:?} calls of MISP and TheHive, looked at again by {updated:?}"
        );
        assert!(
            created.1 <= 60 && updated.1 <= 60,
            "{version:?}: {created:?}, {updated:?}"
        );
    }
}

#[test]
fn attributes_that_join_5000_others_cost_at_most_60_calls() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        let version = hive.version;
        let desk = desk(hive, 40);
        desk.import();
        desk.change("7", |old| {
            let new = event(7, 5_000);
            (old.attributes, old.attribute_count) = (new.attributes, new.attribute_count);
        });
        let report = desk.import();
        let wanted = of([("fetched", 5_000), ("created", 4_960), ("unchanged", 40)]);
        assert_eq!(counts(full(&report), "attributes"), wanted, "{report:#}");
        println!(
            "{version:?}: 4,960 joined by {:?} calls of MISP and TheHive",
            calls(&desk)
        );
        assert!(calls(&desk).1 <= 60, "{version:?}: {:?}", calls(&desk));
    }
}

#[test]
fn calls_grow_with_what_changed_only() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        // Its version, by two routes of TheHive 4, and the user.
        let who = if hive.version == thehive::Version::Four {
            3
        } else {
            2
        };
        let mut world = misp::World::new();
        world
            .events
            .extend((1..=500).map(|number| event(number, 5)));
        let desk = Desk::new(world, hive);
        desk.import();
        // The observable types, the alerts of the events before and after, those that are not listed.
        assert_eq!(calls(&desk).1, who + 4 + 500);
        desk.import();
        assert!(calls(&desk).0 <= 6 && calls(&desk).1 == who + 3);
        desk.wrote_nothing();
        for number in ["1", "250", "500"] {
            desk.change(number, |event| event.info = "renamed".to_owned());
        }
        desk.import();
        // Of each: its observables, the alert as it is now, its new state.
        assert_eq!(calls(&desk).1, who + 3 + 3 * 3);
        assert_eq!(desk.verbs(), ["PATCH alert"; 3]);
        for number in ["1", "250", "500"] {
            desk.change(number, |event| {
                let attributes = event.attributes.iter_mut();
                attributes.for_each(|attribute| attribute.to_ids = false);
            });
        }
        desk.import();
        // The change of them all as well, and another look.
        assert_eq!(calls(&desk).1, who + 3 + 3 * 5);
        desk.rests();
    }
}

#[test]
fn the_flags_of_an_event_in_pages_go_by_few_calls() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        let desk = desk(hive, 5_200);
        desk.import();
        desk.change("7", |event| {
            let attributes = event.attributes.iter_mut();
            attributes.for_each(|attribute| attribute.to_ids = false);
        });
        // One of them seems to be gone at first.
        let gone = json!({"type": "NotFoundError", "message": "Observable not found"});
        desk.thehive.fault(Fault {
            on: "/observable/_bulk",
            nth: Nth::Only(2),
            what: What::Status(404, gone.to_string(), "application/json"),
        });
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        let is_flagged = |one: &Value| one["ioc"] == true;
        assert!(!desk.observables(&desk.alert("7")).iter().any(is_flagged));
        assert!(calls(&desk).1 <= 75, "{:?}", calls(&desk));
        desk.thehive.heal();
        desk.rests();
    }
}

/// What was asked of TheHive, sorted: method and path without numbers of alerts.
fn asked(desk: &Desk) -> Vec<String> {
    let line = |method: &str, path: &str| {
        let path = path.split('?').next().unwrap();
        let is_number = |part: &&str| part.starts_with('~');
        let parts: Vec<_> = path
            .split('/')
            .map(|part| if is_number(&part) { "…" } else { part })
            .collect();
        format!("{method} {}", parts.join("/"))
    };
    let mut asked: Vec<_> = desk
        .thehive
        .requests()
        .iter()
        .map(|one| line(&one.method, &one.path))
        .collect();
    asked.sort();
    asked
}

#[test]
fn small_imports_need_few_calls() {
    const WHO: [&str; 2] = ["GET /api/v1/status/public", "GET /api/v1/user/current"];
    const QUERY: &str = "POST /api/v1/query";
    let mut world = misp::World::with_corpus();
    world
        .events
        .iter_mut()
        .for_each(|event| event.attributes.truncate(10));
    let desk = Desk::new(world, thehive::World::five());
    desk.import();
    desk.import();
    // The observable types, the alerts of all 34 events at once, and those that changed without being listed.
    assert_eq!(asked(&desk), [&WHO[..], &[QUERY; 3]].concat());
    assert_eq!(desk.misp.requests().len(), 2, "version, list");
    desk.misp.world().events.push(event(9_999, 10));
    desk.import();
    // One call makes it whole; at the end one question for all that were made: whether another import made them too.
    let writes = ["POST /api/v1/alert"];
    assert_eq!(asked(&desk), [&WHO[..], &writes, &[QUERY; 4]].concat());
    assert_eq!(
        desk.misp.requests().len(),
        4,
        "version, list, event, warninglists"
    );
}
