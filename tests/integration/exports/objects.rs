//! What belongs together stays together: file objects of several observables, halves of composites, and the way from a feed
//! into a case and out again.

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::misp::writes;
use crate::program::{Program, counts, full, of};
use crate::thehive::World;

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn tagged(tag: &str) -> Value {
    json!({"tags": [tag]})
}

fn of_file() -> Value {
    tagged(
        "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
    )
}

/// Relation (none for a loose one), type and value of everything the event holds, sorted.
fn content(desk: &Desk) -> Vec<(Option<String>, String, String)> {
    let attributes = desk.event().attributes.into_iter();
    let relation =
        |one: &crate::misp::Attribute| one.object_relation.clone().filter(|_| one.object != 0);
    let mut content: Vec<_> = attributes
        .map(|one| (relation(&one), one.kind.clone(), one.value))
        .collect();
    content.sort();
    content
}

fn row(relation: Option<&str>, kind: &str, value: &str) -> (Option<String>, String, String) {
    (
        relation.map(ToOwned::to_owned),
        kind.to_owned(),
        value.to_owned(),
    )
}

#[test]
fn a_name_and_hashes_with_one_object_tag_are_one_file() {
    for world in [World::four(), World::five()] {
        let desk = Desk::new(world, &json!({}));
        desk.ioc("filename", "evil.exe", &of_file());
        desk.ioc("hash", SHA256, &of_file());
        desk.ioc("hash", MD5, &of_file());
        desk.ioc(
            "filename",
            "other.exe",
            &tagged("misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:99999999-0000-4000-8000-000000000000\""),
        );
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 4), ("created", 4)])
        );
        let lines = full(&report)["connections"][0]["observables"]
            .as_array()
            .unwrap()
            .clone();
        let told: Vec<_> = lines
            .iter()
            .map(|line| line["attribute"].as_str().unwrap())
            .collect();
        let category = "Payload delivery";
        assert_eq!(
            told,
            ["filename", "sha256", "md5", "filename"].map(|kind| format!("{category}/{kind}"))
        );
        let expected = [
            row(None, "filename", "other.exe"),
            row(Some("filename"), "filename", "evil.exe"),
            row(Some("md5"), "md5", MD5),
            row(Some("sha256"), "sha256", SHA256),
        ];
        assert_eq!(content(&desk), expected);
        let event = desk.event();
        assert_eq!(
            (
                event.objects.len(),
                event.attributes.iter().all(|one| one.to_ids)
            ),
            (1, true)
        );
        desk.runs_empty();
    }
}

#[test]
fn a_hash_whose_name_is_no_ioc_goes_alone() {
    let desk = Desk::new(World::four(), &json!({}));
    let name = desk.ioc("filename", "harmless.dll", &of_file());
    desk.change(&name, &json!({"ioc": false}));
    desk.ioc("hash", SHA256, &of_file());
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(
        (content(&desk), desk.event().objects.len()),
        (vec![row(None, "sha256", SHA256)], 0)
    );
    assert!(!desk.sent().contains("harmless.dll"));
    desk.runs_empty();
    // The name becomes an IOC: both join a file, and what stood alone is retracted.
    desk.change(&name, &json!({"ioc": true}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("updated", 1)])
    );
    let live: Vec<_> = desk
        .event()
        .attributes
        .into_iter()
        .filter(|one| one.to_ids)
        .map(|one| one.object_relation)
        .collect();
    assert_eq!(
        live,
        [Some("filename".to_owned()), Some("sha256".to_owned())]
    );
    desk.runs_empty();
}

#[test]
fn halves_of_composites_are_rebuilt() {
    for world in [World::four(), World::five()] {
        let desk = Desk::new(world, &json!({}));
        desk.ioc("domain", "evil.example", &tagged("misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\""));
        desk.ioc("ip", "203.0.113.5", &tagged("misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\""));
        desk.ioc("ip", "203.0.113.9", &tagged("misp:composite=\"ip-dst|port:5f0e5b5c-0000-4000-8000-000000000001:2a2b3c4d-0000-4000-8000-000000000000:8443\""));
        desk.ioc("filename", "evil.exe", &tagged("misp:composite=\"filename|md5:5f0e5b5c-0000-4000-8000-000000000001:3a2b3c4d-0000-4000-8000-000000000000\""));
        desk.ioc("hash", MD5, &tagged("misp:composite=\"filename|md5:5f0e5b5c-0000-4000-8000-000000000001:3a2b3c4d-0000-4000-8000-000000000000\""));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 5), ("created", 5)])
        );
        let expected = [
            row(None, "domain|ip", "evil.example|203.0.113.5"),
            row(None, "filename|md5", &format!("evil.exe|{MD5}")),
            row(None, "ip-dst|port", "203.0.113.9|8443"),
        ];
        assert_eq!(content(&desk), expected);
        desk.runs_empty();
    }
}

#[test]
fn what_a_reviewer_deleted_in_an_object_stays_deleted() {
    let mut desk = Desk::new(World::five(), &json!({}));
    desk.ioc("filename", "evil.exe", &of_file());
    desk.ioc("hash", SHA256, &of_file());
    desk.file("a.txt", b"content", &json!({}));
    desk.run();
    for value in [SHA256, "a.txt", "7"] {
        let mut world = desk.misp.world();
        let event = &mut world.events[0];
        event
            .attributes
            .iter_mut()
            .find(|one| one.value == value)
            .unwrap()
            .deleted = true;
        event.attribute_count -= 1;
    }
    let report = desk.runs_empty();
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"deleted in MISP": 1})
    );
    // A new observable makes a reason to write, and still nothing comes back.
    desk.ioc("domain", "new.example", &json!({}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([
            ("fetched", 4),
            ("created", 1),
            ("unchanged", 2),
            ("skipped", 1)
        ])
    );
    assert_eq!(
        writes(&desk.misp)
            .iter()
            .filter(|path| !path.starts_with("/attributes/add/"))
            .count(),
        0
    );
    assert_eq!(
        desk.event()
            .attributes
            .iter()
            .filter(|one| one.deleted)
            .count(),
        3
    );
    // The whole object.
    {
        let mut world = desk.misp.world();
        let event = &mut world.events[0];
        event.objects.iter_mut().for_each(|one| one.deleted = true);
        event
            .attributes
            .iter_mut()
            .filter(|one| one.object != 0)
            .for_each(|one| one.deleted = true);
        event.attribute_count = 1;
    }
    let report = desk.runs_empty();
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"deleted in MISP": 3})
    );
    // Nothing is added to an object that is gone, the file neither.
    desk.set(&json!({"export_attachments": "sample"}));
    let report = desk.runs_empty();
    assert_eq!(
        full(&report)["ledger"]["files"]["skipped_by"],
        json!({"deleted in MISP": 1})
    );
    assert!(desk.downloads().is_empty());
}

/// The IOCs of the feed, as an import offers them.
fn imported(desk: &Desk) -> Vec<Value> {
    let url = format!("file://{}", desk.folder.path().display());
    let config =
        json!({"name": ["feed"], "url": [url], "max_age_days": 0, "instance": "elsewhere.example"});
    let job = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
    let report = Program::Import.report(&job);
    full(&report);
    report["artifacts"].as_array().unwrap().clone()
}

#[test]
fn what_came_out_of_a_feed_goes_out_as_it_was() {
    let feed = Desk::with_feed(World::five(), &json!({}));
    feed.ioc("filename", "evil.exe", &of_file());
    feed.ioc("hash", SHA256, &of_file());
    feed.ioc(
        "domain",
        "evil.example",
        &tagged(
            "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        ),
    );
    feed.ioc(
        "ip",
        "203.0.113.5",
        &tagged(
            "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        ),
    );
    feed.ioc(
        "url",
        "https://evil.example/a",
        &json!({"message": "landing page"}),
    );
    feed.ioc("mail", "a@evil.example", &json!({}));
    feed.run();
    let first = Desk::new(World::four(), &json!({}));
    let artifacts = imported(&feed);
    assert_eq!(artifacts.len(), 6);
    for artifact in artifacts {
        let text = |name: &str| artifact[name].as_str().unwrap().to_owned();
        first.ioc(
            &text("dataType"),
            &text("data"),
            &json!({"tags": artifact["tags"], "message": artifact["message"]}),
        );
    }
    let report = first.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 6), ("created", 6)]),
        "{report:#}"
    );
    let mut written = Vec::new();
    let event = feed.feed_event();
    let text = |one: &Value, name: &str| one[name].as_str().map(ToOwned::to_owned);
    for list in event["Object"].as_array().unwrap().iter().chain([&event]) {
        let attributes = list["Attribute"].as_array().unwrap().iter();
        written.extend(attributes.map(|one| {
            (
                text(one, "object_relation"),
                text(one, "type").unwrap(),
                text(one, "value").unwrap(),
            )
        }));
    }
    written.sort();
    assert_eq!(content(&first), written);
    assert_eq!(
        first.attribute("https://evil.example/a").comment,
        "landing page"
    );
    first.runs_empty();
}
