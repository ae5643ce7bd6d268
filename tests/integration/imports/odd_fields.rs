//! Fields that hold something else than they should, each in turn: the item is counted and named, or has MISP's default for it,
//! and what is mended arrives. Numbers and lists that cannot be read are never equal to others, never empty, never dropped.

use std::fs;
use std::path::Path;

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::alerts::writing::desk::Desk;
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, full, judged, of};
use crate::thehive;

const BEFORE: i64 = 1_795_294_129;

fn odd() -> Vec<Value> {
    let nested = json!({"a": {"b": [1]}});
    vec![
        json!(null),
        json!({}),
        json!([]),
        json!(""),
        json!("x"),
        json!(-1),
        json!(1e30),
        json!([[1]]),
        nested,
        json!(true),
        json!(false),
    ]
}

/// What PHP makes of nothing.
fn is_empty(value: &Value) -> bool {
    [json!(null), json!({}), json!([])].contains(value)
}

fn uuid(number: usize) -> String {
    format!("5f0e5b5c-0000-4000-8000-{number:012}")
}

/// An event with an attribute of its own and one in an object.
fn event(number: usize) -> Value {
    let attribute = |place: usize| {
        json!({
            "id": (10 * number + place).to_string(), "uuid": uuid(100_000 + 10 * number + place), "type": "domain", "category": "Network activity",
            "value": format!("host-{number}-{place}.example"), "to_ids": true, "comment": "seen", "deleted": false, "distribution": "5",
            "first_seen": "2026-01-01T00:00:00+00:00", "last_seen": null, "object_id": "0", "object_relation": "domain",
            "timestamp": BEFORE.to_string(), "Tag": [{"name": "tlp:green", "colour": "#33FF00", "local": false}],
        })
    };
    json!({
        "id": number.to_string(), "uuid": uuid(number), "info": format!("Event {number}"), "date": "2026-01-01", "published": true,
        "analysis": "0", "threat_level_id": "2", "distribution": "3", "sharing_group_id": "0", "attribute_count": "2",
        "timestamp": BEFORE.to_string(), "publish_timestamp": BEFORE.to_string(), "locked": false,
        "Orgc": {"id": "1", "name": "Example", "uuid": uuid(900_000)}, "Tag": [{"name": "tlp:green", "colour": "#33FF00", "local": false}],
        "Attribute": [attribute(1)],
        "Object": [{"id": "7", "name": "domain-ip", "uuid": uuid(200_000 + number), "deleted": false, "Attribute": [attribute(2)]}],
        "EventReport": [{"id": "3", "event_id": number.to_string(), "name": "Report", "content": "Words", "deleted": false}],
    })
}

/// Every field of it, by its place.
fn places() -> Vec<String> {
    fn below(at: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                found.push(format!("{at}/{name}"));
                below(&format!("{at}/{name}"), field, found);
            }),
            Value::Array(items) => items.iter().enumerate().for_each(|(number, item)| {
                found.push(format!("{at}/{number}"));
                below(&format!("{at}/{number}"), item, found);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    below("", &event(1), &mut found);
    found
}

fn with(number: usize, place: &str, value: &Value) -> Value {
    let mut event = event(number);
    *event.pointer_mut(place).unwrap() = value.clone();
    event
}

fn entry(event: &Value) -> Value {
    let fields = [
        "info",
        "Orgc",
        "analysis",
        "timestamp",
        "date",
        "threat_level_id",
        "Tag",
    ];
    fields
        .iter()
        .map(|field| ((*field).to_owned(), event[field].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn write(folder: &Path, events: &[Value], manifest: &serde_json::Map<String, Value>) {
    for (number, event) in events.iter().enumerate() {
        fs::write(
            folder.join(format!("{}.json", uuid(number + 1))),
            json!({"Event": event}).to_string(),
        )
        .unwrap();
    }
    fs::write(folder.join("manifest.json"), json!(manifest).to_string()).unwrap();
}

fn job(url: &str, key: &str) -> Value {
    let config = json!({
        "name": ["m"], "url": [url], "key": [key], "max_age_days": 0, "max_attributes": 0, "published_only": false, "warninglists": "off",
    });
    json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config})
}

fn at_once(job: Value) -> Value {
    judged(
        Program::Import,
        runtime::report_without_waiting::<Import>(job)
            .to_string()
            .as_bytes(),
    )
}

#[test]
fn a_field_of_any_kind_costs_its_item_or_nothing_and_is_never_dropped() {
    let places = places();
    assert!(
        places.len() > 60 && places.contains(&"/Object/0/Attribute/0/Tag/0/name".to_owned()),
        "{places:?}"
    );
    for odd in odd() {
        let folder = tempfile::tempdir().unwrap();
        let events: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(number, place)| with(number + 1, place, &odd))
            .collect();
        let manifest = (1..=places.len())
            .map(|number| (uuid(number), entry(&event(number))))
            .collect();
        write(folder.path(), &events, &manifest);
        let report = at_once(job(&format!("file://{}", folder.path().display()), "-"));
        let part = &full(&report)["connections"][0];
        let lines = part["events"].as_array().unwrap();
        assert_eq!(lines.len(), places.len());
        for place in &places {
            let number = places.iter().position(|one| one == place).unwrap() + 1;
            let line = lines
                .iter()
                .find(|line| line["uuid"] == uuid(number))
                .unwrap();
            let lists = ["/Attribute", "/Object", "/Object/0/Attribute"];
            let is_emptied = lists.contains(&place.as_str()) && is_empty(&odd);
            // An object without attributes has none.
            let is_hollow = place == "/Object/0" && odd.is_object();
            match line["verdict"].as_str().unwrap() {
                "created" if is_emptied || is_hollow => {
                    assert_eq!(line["attributes"], 1, "{place} {odd}")
                }
                "created" => assert_eq!(line["attributes"], 2, "{place} {odd}: {line}"),
                verdict => {
                    assert_eq!(verdict, "failed", "{place} {odd}");
                    assert!(
                        part["failures"].to_string().contains(&uuid(number))
                            || part["failures_cut"] != json!(null),
                        "{place}"
                    );
                }
            }
        }
        if is_empty(&odd) || odd == json!("") {
            let failed = &full(&report)["ledger"]["attributes"]["failed_by"];
            for reason in ["The attribute has no type.", "Value cannot be empty."] {
                assert!(failed[reason].as_u64() >= Some(2), "{odd}: {failed}");
            }
        }
    }
}

#[test]
fn what_is_mended_arrives_and_is_never_taken_for_unchanged() {
    // Each place with three of the values, and each value with a third of the places.
    let (odd, mut cases) = (odd(), Vec::new());
    for (number, place) in places().into_iter().enumerate() {
        cases.extend(
            [0, 3, 7].map(|step| (place.clone(), odd[(number + step) % odd.len()].clone())),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let of_events = |change: &dyn Fn(usize, &str, &Value) -> Value| -> Vec<Value> {
        cases
            .iter()
            .enumerate()
            .map(|(number, (place, odd))| change(number + 1, place, odd))
            .collect()
    };
    let spoilt = of_events(&with);
    // The manifest says the same as the event where it says it at all.
    let manifest = spoilt
        .iter()
        .enumerate()
        .map(|(number, event)| (uuid(number + 1), entry(event)))
        .collect();
    write(folder.path(), &spoilt, &manifest);
    let url = format!("file://{}", folder.path().display());
    let desk = Desk::new(World::new(), thehive::World::five());
    let desk = desk.with(json!({"name": ["feed"], "url": [url], "key": ["-"], "max_age_days": 0, "max_attributes": 0, "max_new_alerts": 0}));
    desk.run_uncounted(&desk.job());
    let mended = of_events(&|number, place, _| {
        let mut event = event(number);
        if place != "/timestamp" {
            event["timestamp"] = json!((BEFORE + 60).to_string());
        }
        event["Attribute"][0]["value"] = json!(format!("mended-{number}.example"));
        event
    });
    let manifest = mended
        .iter()
        .enumerate()
        .map(|(number, event)| (uuid(number + 1), entry(event)))
        .collect();
    write(folder.path(), &mended, &manifest);
    let report = desk.run_uncounted(&desk.job());
    let all = counts(full(&report), "events");
    let arrived = all.get("created").unwrap_or(&0) + all.get("updated").unwrap_or(&0);
    assert_eq!(
        (all["fetched"], arrived),
        (cases.len() as u64, cases.len() as u64),
        "{all:?}"
    );
    for (number, (place, odd)) in cases.iter().enumerate() {
        let alert = desk.alert(&uuid(number + 1));
        let has = |data: String| desk.observable(&alert, &data).is_some();
        assert!(
            has(format!("mended-{}.example", number + 1))
                && has(format!("host-{}-2.example", number + 1)),
            "{place} {odd}"
        );
    }
}

#[test]
fn a_row_of_a_server_with_any_field_spoilt_is_counted_and_named() {
    let fields = [
        "id",
        "uuid",
        "info",
        "date",
        "published",
        "analysis",
        "threat_level_id",
        "distribution",
        "sharing_group_id",
        "attribute_count",
        "timestamp",
        "publish_timestamp",
        "locked",
        "Orgc",
        "EventTag",
    ];
    for odd in odd() {
        let misp = Fake::start(World::new());
        let mut rows = Vec::new();
        for (number, field) in fields.iter().enumerate() {
            let mut row = event(number + 1);
            for list in ["Attribute", "Object", "EventReport"] {
                row.as_object_mut().unwrap().shift_remove(list);
            }
            row[*field] = odd.clone();
            rows.push(row);
            let on: &'static str =
                Box::leak(format!("/events/view/{}", uuid(number + 1)).into_boxed_str());
            misp.fault(Fault {
                on,
                nth: Nth::Always,
                what: What::Body(json!({"Event": event(number + 1)}).to_string()),
            });
        }
        misp.fault(Fault {
            on: "/events/index",
            nth: Nth::Only(1),
            what: What::Body(json!(rows).to_string()),
        });
        let report = at_once(job(&misp.url(), &key("admin")));
        let number = fields.len() as u64;
        // An event without its uuid is none; one whose tag is no name cannot be read.
        let counted = counts(full(&report), "events");
        let failed = counted.get("failed").copied().unwrap_or_default();
        assert_eq!(
            (counted["fetched"], counted["created"]),
            (number, number - failed),
            "{odd}: {counted:?}"
        );
        let failures = full(&report)["connections"][0]["failures"].to_string();
        assert!(
            failed >= 1 && failures.contains("event 2 of the list has no uuid"),
            "{odd}: {failures}"
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([
                ("fetched", 2 * (number - failed)),
                ("created", 2 * (number - failed))
            ]),
            "{odd}"
        );
    }
}

/// The lists that stand in an event, and whether a report tells of their elements.
const LISTS: [(&str, &str); 14] = [
    ("/Attribute", "attributes"),
    ("/Object", "attributes"),
    ("/Object/0/Attribute", "attributes"),
    ("/EventReport", "reports"),
    ("/Tag", ""),
    ("/Attribute/0/Tag", ""),
    ("/Galaxy", ""),
    ("/RelatedEvent", ""),
    ("/ShadowAttribute", ""),
    ("/Attribute/0/Galaxy", ""),
    ("/Attribute/0/ShadowAttribute", ""),
    ("/Attribute/0/Sighting", ""),
    ("/Object/0/ObjectReference", ""),
    ("/EventReport/0/Tag", ""),
];

/// Events in which one of these lists has another shape, with the list's place, what its elements are, and what it became.
fn misshapen() -> Vec<(Value, &'static str, &'static str, Value)> {
    let mut all = Vec::new();
    for (place, elements) in LISTS {
        let (above, name) = place.rsplit_once('/').unwrap();
        let element = event(1)
            .pointer(&format!("{place}/0"))
            .cloned()
            .unwrap_or(json!({"id": "1"}));
        let shapes = ["", "x"].map(|text| json!(text)).into_iter().chain([
            json!(null),
            json!(false),
            json!(true),
            json!(7),
        ]);
        for shape in shapes.chain([json!({}), json!({"3": element}), json!({"uuid": "u"})]) {
            let mut event = event(all.len() + 1);
            let shape = if shape.get("3").is_some() {
                json!({"3": event.pointer(&format!("{place}/0")).cloned().unwrap_or(element.clone())})
            } else {
                shape
            };
            event.pointer_mut(above).unwrap()[name] = shape.clone();
            all.push((event, place, elements, shape));
        }
    }
    all
}

#[test]
fn a_list_that_is_none_costs_itself_and_is_told() {
    let all = misshapen();
    let events: Vec<Value> = all.iter().map(|(event, ..)| event.clone()).collect();
    let folder = tempfile::tempdir().unwrap();
    let manifest = (1..=all.len())
        .map(|number| (uuid(number), entry(&event(number))))
        .collect();
    write(folder.path(), &events, &manifest);
    let of_feed = at_once(job(&format!("file://{}", folder.path().display()), "-"));
    let misp = Fake::start(World::new());
    let rows: Vec<Value> = (1..=all.len()).map(event).collect();
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(1),
        what: What::Body(json!(rows).to_string()),
    });
    for (number, event) in events.iter().enumerate() {
        let on: &'static str =
            Box::leak(format!("/events/view/{}", uuid(number + 1)).into_boxed_str());
        misp.fault(Fault {
            on,
            nth: Nth::Always,
            what: What::Body(json!({ "Event": event }).to_string()),
        });
    }
    let of_server = at_once(job(&misp.url(), &key("admin")));
    for report in [of_feed, of_server] {
        let (mut there, mut failed, mut reports) = (0, 0, 0);
        for (_, place, elements, shape) in &all {
            let is_list = shape.get("3").is_some() || is_empty(shape);
            let is_lost = *elements == "attributes" && shape.get("3").is_none();
            there += if is_lost { 1 } else { 2 };
            failed += u64::from(*elements == "attributes" && !is_list);
            reports += u64::from(*elements == "reports" && !is_list);
            assert!(
                event(1)
                    .pointer(place.rsplit_once('/').unwrap().0)
                    .is_some()
            );
        }
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", all.len() as u64), ("created", all.len() as u64)]),
            "{report:#}"
        );
        let attributes = counts(full(&report), "attributes");
        assert_eq!(
            (attributes["created"], attributes["failed"]),
            (there, failed),
            "{attributes:?}"
        );
        let reasons = full(&report)["ledger"]["attributes"]["failed_by"]
            .as_object()
            .unwrap();
        assert!(
            reasons
                .keys()
                .all(|reason| reason.contains("where its list should be is ")),
            "{reasons:?}"
        );
        let warnings = full(&report)["connections"][0]["warnings"]
            .as_array()
            .unwrap()
            .iter();
        let told = warnings.filter(|one| {
            one.as_str()
                .unwrap()
                .contains("1 of its event reports are left out")
        });
        assert_eq!(told.count() as u64, reports);
    }
}

#[test]
fn tags_longer_than_thehive_takes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let long = |letter: &str| json!({"name": letter.repeat(129)});
    let mut one = event(1);
    one["Tag"] = json!([long("a"), {"name": "b".repeat(128)}]);
    one["Attribute"][0]["Tag"] = json!([long("c"), long("d")]);
    let manifest = serde_json::Map::from_iter([(uuid(1), entry(&one))]);
    write(folder.path(), &[one], &manifest);
    let report = at_once(job(&format!("file://{}", folder.path().display()), "-"));
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    let said = format!(
        "event {}: 3 tags of it and its attributes are longer than TheHive takes (128 characters)",
        uuid(1)
    );
    assert!(warnings.contains(&said), "{warnings}");
    assert!(
        full(&report)["alerts"][0]["tags"]
            .to_string()
            .contains(&format!("{}~", "a".repeat(119)))
    );
}
