//! `lookup_artifacts`: the values that stand beside what a look-up finds are offered as artifacts.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::clicks::{answer, message, paths, warnings};
use crate::desk::md5;
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Attribute, Event, Fake, Object, World, key};
use crate::program::full;

const EVENT: &str = "5f0e5b5c-1910-4000-8000-000000000001";
const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";
const SHA256: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afe48bb0";

fn uuid(number: u64) -> String {
    format!("6f0e5b5c-1910-4000-8000-{number:012}")
}

/// Type, value, and the object that it is in; 0 for none.
type Row<'a> = (&'a str, &'a str, u64);

/// A MISP with one event that has these values.
fn world(rows: &[Row<'_>]) -> World {
    let mut world = World::new();
    let attribute = |(number, (kind, value, object)): (u64, &Row<'_>)| Attribute {
        id: number,
        uuid: uuid(number),
        kind: (*kind).to_owned(),
        category: "Payload delivery".into(),
        value: (*value).to_owned(),
        distribution: 5,
        object: *object,
        object_relation: (*object > 0).then(|| (*kind).to_owned()),
        ..Attribute::default()
    };
    let objects: BTreeSet<u64> = rows.iter().map(|(_, _, object)| *object).collect();
    let objects = objects.into_iter().filter(|id| *id > 0).map(|id| Object {
        id,
        uuid: uuid(1_000_000 + id),
        name: "file".into(),
        distribution: 5,
        ..Object::default()
    });
    world.events.push(Event {
        id: 251,
        uuid: EVENT.into(),
        org: 1,
        orgc: 1,
        published: true,
        distribution: 3,
        date: "2026-01-01".into(),
        info: "Phishing wave".into(),
        attribute_count: i64::try_from(rows.len()).unwrap(),
        attributes: (1..).zip(rows).map(attribute).collect(),
        objects: objects.collect(),
        ..Event::default()
    });
    world
}

/// A file, and what else is in its event.
const FILE: [Row<'_>; 6] = [
    ("md5", MD5, 1),
    ("filename", "dropper.exe", 1),
    ("sha256", SHA256, 1),
    ("text", "gone", 1),
    ("filename", "other.exe", 2),
    ("domain", "c2.example", 0),
];

fn file() -> World {
    let mut world = world(&FILE);
    let tlp = world.attached("tlp:red");
    let attributes = &mut world.events[0].attributes;
    attributes[2].to_ids = true;
    attributes[2].tags.push(tlp);
    attributes[2].comment = "of the *dropper*".into();
    attributes[3].deleted = true;
    world
}

fn job(misp: &Fake, (data_type, data): (&str, &str), more: &Value) -> Value {
    let mut job = json!({"dataType": data_type, "data": data, "tlp": 2, "pap": 2, "config": {
        "name": ["partner"], "url": [misp.url()], "key": [key("admin")],
    }});
    let config = job["config"].as_object_mut().unwrap();
    config.extend(more.as_object().unwrap().clone());
    job
}

fn look_up(misp: &Fake, value: (&str, &str), more: &Value) -> Value {
    answer(&[misp], &job(misp, value, more))
}

fn artifacts(report: &Value) -> Vec<Value> {
    report["artifacts"].as_array().unwrap().clone()
}

fn data(report: &Value) -> Vec<String> {
    let text = |one: Value| one["data"].as_str().unwrap().to_owned();
    artifacts(report).into_iter().map(text).collect()
}

fn count_paths(misp: &Fake, path: &str) -> usize {
    paths(misp).iter().filter(|one| *one == path).count()
}

#[test]
fn the_other_attributes_of_an_object_are_offered() {
    let misp = Fake::start(file());
    let report = look_up(&misp, ("hash", MD5), &json!({}));
    let object = format!("misp:object=\"file:{EVENT}:{}\"", uuid(1_000_001));
    assert_eq!(
        artifacts(&report),
        [
            json!({
                "dataType": "hash", "data": SHA256, "tlp": 3,
                "tags": [object, "misp:object-relation=\"sha256\"", "tlp:red"],
                "message": format!("beside {MD5} in object file of event 251 “Phishing wave”\n\n`of the *dropper*`"),
            }),
            json!({
                "dataType": "filename", "data": "dropper.exe", "tlp": 2,
                "tags": [object, "misp:object-relation=\"filename\""],
                "message": format!("beside {MD5} in object file of event 251 “Phishing wave”"),
            }),
        ]
    );
    assert_eq!(
        message(&report),
        format!(
            "1 event knows {MD5} on 1 connection; 2 values beside it in the report's observables"
        )
    );
    assert_eq!(full(&report)["artifacts"], 2);
    let asked = misp.requests().pop().unwrap();
    assert_eq!(asked.path, "/objects/restSearch");
    assert_eq!(asked.body["uuid"], json!([uuid(1)]));
    assert_eq!(asked.body["tags"], false, "no default filter counts");
}

#[test]
fn all_of_an_event_is_offered_if_that_is_wanted() {
    let misp = Fake::start(file());
    let report = look_up(&misp, ("hash", MD5), &json!({"lookup_artifacts": "event"}));
    assert_eq!(
        data(&report),
        [SHA256, "dropper.exe", "other.exe", "c2.example"]
    );
    let tags = |at: usize| artifacts(&report)[at]["tags"].to_string();
    assert!(tags(2).contains(&uuid(1_000_002)), "{}", tags(2));
    assert!(!tags(3).contains("misp:object"), "{}", tags(3));
    assert_eq!(
        artifacts(&report)[3]["message"],
        format!("beside {MD5} in event 251 “Phishing wave”")
    );
    assert_eq!(count_paths(&misp, "/objects/restSearch"), 1);
}

#[test]
fn none_is_offered_and_none_asked_for_if_it_is_off() {
    let misp = Fake::start(file());
    let report = look_up(&misp, ("hash", MD5), &json!({"lookup_artifacts": "off"}));
    assert_eq!(data(&report), [""; 0]);
    assert_eq!(count_paths(&misp, "/objects/restSearch"), 0);
    // Nor is there anything to ask for.
    for wanted in ["object", "event"] {
        let more = json!({"lookup_artifacts": wanted});
        let report = look_up(&misp, ("domain", "absent.example"), &more);
        assert_eq!(data(&report), [""; 0]);
        assert_eq!(count_paths(&misp, "/objects/restSearch"), 0);
    }
    look_up(&misp, ("domain", "c2.example"), &json!({}));
    assert_eq!(count_paths(&misp, "/objects/restSearch"), 0, "it is loose");
}

#[test]
fn both_options_take_at_most_three_requests_more() {
    let misp = Fake::start(world(&[
        ("domain", "www.example.org", 1),
        ("ip-dst", "203.0.113.7", 1),
        ("domain", "example.org", 2),
        ("ip-dst", "203.0.113.8", 2),
    ]));
    let value = ("domain", "www.example.org");
    let off = json!({"lookup_related": false, "lookup_artifacts": "off"});
    look_up(&misp, value, &off);
    let exact = misp.requests().len();
    let report = look_up(&misp, value, &json!({}));
    assert_eq!(data(&report), ["203.0.113.7", "203.0.113.8"]);
    let all = misp.requests().len();
    assert!(all <= exact + 3, "{exact} {all}");
    assert_eq!(
        artifacts(&report)[1]["message"],
        "beside `example.org`, related: parent domain `example.org`, in object file of event 251 “Phishing wave”"
    );
}

#[test]
fn what_stands_beside_the_value_comes_before_what_stands_beside_a_related_one() {
    let mut world = world(&[
        ("domain", "example.org", 1),
        ("ip-dst", "203.0.113.8", 1),
        ("domain", "www.example.org", 2),
        ("ip-dst", "203.0.113.7", 2),
        ("ip-dst", "203.0.113.9", 2),
    ]);
    world.events[0].attributes[1].to_ids = true;
    world.events[0].attributes[4].to_ids = true;
    let misp = Fake::start(world);
    let report = look_up(&misp, ("domain", "www.example.org"), &json!({}));
    assert_eq!(data(&report), ["203.0.113.9", "203.0.113.7", "203.0.113.8"]);
    let report = look_up(
        &misp,
        ("domain", "www.example.org"),
        &json!({"max_artifacts": 2}),
    );
    assert_eq!(data(&report), ["203.0.113.9", "203.0.113.7"]);
    assert_eq!(full(&report)["left_out"]["artifacts"], 1);
    assert!(
        warnings(&report).contains("2 of the values beside what was found are offered, and 1 more"),
        "{}",
        warnings(&report)
    );
}

#[test]
fn the_filters_on_attributes_hold_for_what_is_offered() {
    let misp = Fake::start(file());
    for (filter, expected) in [
        (json!({"ids_only": true}), vec![SHA256]),
        (
            json!({"exclude_attribute_types": ["sha*"]}),
            vec!["dropper.exe"],
        ),
        (
            json!({"exclude_attribute_tags": ["tlp:red"]}),
            vec!["dropper.exe"],
        ),
    ] {
        let report = look_up(&misp, ("hash", MD5), &filter);
        assert_eq!(data(&report), expected, "{filter}");
    }
}

#[test]
fn an_event_that_a_filter_hides_gives_nothing() {
    let misp = Fake::start(file());
    misp.world().events[0].published = false;
    for wanted in ["object", "event"] {
        let more = json!({"lookup_artifacts": wanted});
        let report = look_up(&misp, ("hash", MD5), &more);
        assert_eq!(data(&report), [""; 0]);
        assert_eq!(count_paths(&misp, "/objects/restSearch"), 0);
    }
}

#[test]
fn an_object_of_its_organisation_alone_stays_hidden() {
    let mut world = file();
    world.events[0].objects[1].distribution = 0;
    let misp = Fake::start(world);
    let more = json!({"key": [key("partner")], "lookup_artifacts": "event"});
    let report = look_up(&misp, ("hash", MD5), &more);
    assert_eq!(data(&report), [SHA256, "dropper.exe", "c2.example"]);
}

#[test]
fn an_answer_stays_if_what_stands_beside_it_cannot_be_read() {
    for what in [
        What::Status(500, "{}".into(), "application/json"),
        What::Body("{\"response\": [{\"Object\": {".into()),
        What::Body("{}".into()),
    ] {
        let misp = Fake::start(file());
        misp.fault(Fault {
            on: "/objects/restSearch",
            nth: Nth::Always,
            what,
        });
        let report = look_up(&misp, ("hash", MD5), &json!({}));
        assert_eq!(
            message(&report),
            format!("1 event knows {MD5} on 1 connection")
        );
        assert!(
            warnings(&report).contains("the values beside what was found were not read: "),
            "{}",
            warnings(&report)
        );
        assert_eq!(count_paths(&misp, "/objects/restSearch"), 1);
    }
}

#[test]
fn a_question_that_may_succeed_later_is_put_again() {
    let misp = Fake::start(file());
    misp.fault(Fault {
        on: "/objects/restSearch",
        nth: Nth::Only(1),
        what: What::Status(429, "{}".into(), "application/json"),
    });
    let report = look_up(&misp, ("hash", MD5), &json!({}));
    assert_eq!(data(&report).len(), 2);
}

#[test]
fn what_nobody_could_go_on_from_is_left_out_and_told() {
    let long = format!("https://long.example/{}", "a".repeat(1 << 20));
    let mut world = world(&[
        ("md5", MD5, 1),
        ("text", "100%!", 1),
        ("text", "!x%", 1),
        ("text", "a\u{7}b\u{202e}c", 1),
        ("text", "misp:sync", 1),
        ("url", &long, 1),
        ("text", "\u{200b}", 1),
        ("md5", &MD5.to_uppercase(), 1),
        ("filename|md5", &format!("a.exe|{MD5}"), 1),
    ]);
    let order = world.attached("autoImport:true");
    world.events[0].attributes[1].tags.push(order);
    world.events[0].info = "![x](http://evil.example/) `a`".into();
    let misp = Fake::start(world);
    let report = look_up(&misp, ("hash", MD5), &json!({}));
    let mut found = data(&report);
    found.sort();
    assert_eq!(found, ["!x%", "100%!", "a\u{7}b\u{202e}c", "a.exe"]);
    assert!(
        warnings(&report).contains("3 attributes beside what was found cannot be offered"),
        "{}",
        warnings(&report)
    );
    let text = report["artifacts"].to_string();
    assert!(!text.to_lowercase().contains("autoimport"), "{text}");
    assert!(
        text.contains("event 251 `“![x](http://evil.example/) 'a'”`"),
        "{text}"
    );
}

#[test]
fn of_an_object_that_never_ends_the_first_attributes_are_offered() {
    let values: Vec<String> = (0..25_000).map(|n| format!("host-{n}.example")).collect();
    let mut rows: Vec<Row<'_>> = vec![("md5", MD5, 1)];
    rows.extend(values.iter().map(|value| ("hostname", value.as_str(), 1)));
    let misp = Fake::start(world(&rows));
    for wanted in ["object", "event"] {
        let more = json!({"lookup_artifacts": wanted, "max_artifacts": 0});
        let report = look_up(&misp, ("hash", MD5), &more);
        assert_eq!(data(&report).len(), 300, "{wanted}");
        assert_eq!(full(&report)["left_out"]["artifacts"], 699, "{wanted}");
        assert!(
            warnings(&report)
                .contains("24001 more attributes stand beside what was found, and were not read"),
            "{wanted}: {}",
            warnings(&report)
        );
    }
    assert_eq!(count_paths(&misp, "/attributes/restSearch"), 2);
}

#[test]
fn small_events_are_read_whole_beside_one_that_is_too_large() {
    let mut world = world(&[("md5", MD5, 0), ("domain", "large.example", 0)]);
    let mut small = world.events[0].clone();
    world.events[0].attribute_count = 5_000;
    (small.id, small.uuid) = (252, uuid(900));
    small.attributes[0].id = 3;
    (small.attributes[0].uuid, small.attributes[1].uuid) = (uuid(3), uuid(4));
    (small.attributes[1].id, small.attributes[1].value) = (4, "small.example".into());
    small.date = "2026-02-02".into();
    world.events.push(small);
    let misp = Fake::start(world);
    let report = look_up(&misp, ("hash", MD5), &json!({"lookup_artifacts": "event"}));
    assert_eq!(data(&report), ["small.example"]);
    assert!(
        warnings(&report).contains("5000 more attributes stand beside"),
        "{}",
        warnings(&report)
    );
}

#[test]
fn what_two_connections_offer_comes_once_with_the_stricter_tlp() {
    let mut lax = file();
    lax.events[0].attributes[2].tags.clear();
    let (lax, strict) = (Fake::start(lax), Fake::start(file()));
    let both = json!({
        "name": ["lax", "strict"], "url": [lax.url(), strict.url()], "key": [key("admin"), key("admin")],
    });
    let report = answer(&[&lax, &strict], &job(&lax, ("hash", MD5), &both));
    assert_eq!(data(&report), [SHA256, "dropper.exe"]);
    assert_eq!(artifacts(&report)[0]["tlp"], 3);
}

/// A feed with the events of a world.
fn feed(world: &World) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut manifest, mut hashes) = (json!({}), String::new());
    for event in &world.events {
        let row = json!({"info": event.info, "date": event.date, "timestamp": "1", "Orgc": {"name": "A", "uuid": ""}});
        let inside = |object: u64| -> Vec<Value> {
            let attributes = event.attributes.iter().filter(|one| one.object == object);
            attributes
                .map(|one| json!({"type": one.kind, "category": one.category, "value": one.value, "to_ids": one.to_ids, "uuid": one.uuid, "deleted": one.deleted, "comment": one.comment}))
                .collect()
        };
        let objects = event.objects.iter().map(|object| {
            json!({"name": object.name, "uuid": object.uuid, "deleted": object.deleted, "Attribute": inside(object.id)})
        });
        let objects: Vec<Value> = objects.collect();
        let mut file =
            json!({"Event": {"uuid": event.uuid, "Attribute": inside(0), "Object": objects}});
        let head = file["Event"].as_object_mut().unwrap();
        head.extend(row.as_object().unwrap().clone());
        manifest[&event.uuid] = row;
        for value in event.attributes.iter().flat_map(|one| one.value.split('|')) {
            hashes += &format!("{},{}\n", md5(value.as_bytes()), event.uuid);
        }
        let name = format!("{}.json", event.uuid);
        fs::write(folder.path().join(name), file.to_string()).unwrap();
    }
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(folder.path().join("hashes.csv"), hashes).unwrap();
    folder
}

fn look_up_in(folder: &tempfile::TempDir, (data_type, data): (&str, &str), wanted: &str) -> Value {
    let config = json!({
        "name": ["feed"], "url": [format!("file://{}", folder.path().display())], "key": ["-"], "lookup_artifacts": wanted,
    });
    let job = json!({"dataType": data_type, "data": data, "config": config});
    answer(&[], &job)
}

#[test]
fn a_feed_offers_what_a_server_does() {
    let folder = feed(&file());
    let value = ("hash", MD5);
    let mut of_object = data(&look_up_in(&folder, value, "object"));
    of_object.sort();
    assert_eq!(of_object, [SHA256, "dropper.exe"]);
    let mut of_event = data(&look_up_in(&folder, value, "event"));
    of_event.sort();
    assert_eq!(of_event, ["c2.example", SHA256, "dropper.exe", "other.exe"]);
    assert_eq!(data(&look_up_in(&folder, value, "off")), [""; 0]);
    let report = look_up_in(&folder, value, "object");
    assert_eq!(
        artifacts(&report)[1]["message"],
        format!("beside {MD5} in object file of event {EVENT} “Phishing wave”")
    );
}

#[test]
fn a_deleted_object_of_a_feed_gives_nothing() {
    let mut world = file();
    world.events[0].objects[0].deleted = true;
    world.events[0].attributes.push(Attribute {
        value: MD5.into(),
        kind: "md5".into(),
        uuid: uuid(7),
        ..Attribute::default()
    });
    let folder = feed(&world);
    assert_eq!(data(&look_up_in(&folder, ("hash", MD5), "object")), [""; 0]);
    let mut of_event = data(&look_up_in(&folder, ("hash", MD5), "event"));
    of_event.sort();
    assert_eq!(of_event, ["c2.example", "other.exe"]);
}

const VALUES: [(&str, &str); 9] = [
    ("domain", "evil.example"),
    ("domain", "EVIL.example"),
    ("hostname", "evil.example"),
    ("hostname", "www.evil.example"),
    ("domain|ip", "evil.example|192.0.2.1"),
    ("domain|ip", "other.example|192.0.2.1"),
    ("ip-dst", "192.0.2.1"),
    ("url", "http://evil.example/"),
    ("text", "Evil.Example"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_artifact_is_the_value_and_none_comes_twice(
        rows in prop::collection::vec((0..VALUES.len(), 0..3_u64), 1..12),
        sought in 0..VALUES.len(),
        is_event: bool,
    ) {
        let rows: Vec<Row<'_>> = rows
            .iter()
            .map(|(at, object)| (VALUES[*at].0, VALUES[*at].1, *object))
            .collect();
        let folder = feed(&world(&rows));
        let (kind, value) = VALUES[sought];
        let value = value.split('|').next().unwrap();
        let data_type = match kind {
            "url" => "url",
            "ip-dst" => "ip",
            _ => "domain",
        };
        let wanted = if is_event { "event" } else { "object" };
        let report = look_up_in(&folder, (data_type, value), wanted);
        let all: Vec<(String, String)> = artifacts(&report)
            .iter()
            .map(|one| (one["dataType"].to_string(), one["data"].as_str().unwrap().to_owned()))
            .collect();
        let different: BTreeSet<_> = all.iter().collect();
        prop_assert_eq!(different.len(), all.len(), "{:?}", all);
        prop_assert!(
            all.iter().all(|(_, data)| data.to_lowercase() != value.to_lowercase()),
            "{:?}", all
        );
    }
}
