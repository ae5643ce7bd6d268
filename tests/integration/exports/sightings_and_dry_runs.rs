//! Sightings, retractions by each option, and dry runs, which foretell what a run does.

use serde_json::{Value, json};

use crate::desk::{Desk, MARK, failures, laid, warnings};
use crate::misp::{Sighting, writes};
use crate::program::{counts, full, of};
use crate::thehive::World;

/// Source and value of every sighting that the MISP holds.
fn sightings(desk: &Desk) -> Vec<(String, String)> {
    let world = desk.misp.world();
    let value = |id: u64| {
        world
            .attribute(&id.to_string())
            .map(|(_, one)| one.value.clone())
            .unwrap_or_default()
    };
    world
        .sightings
        .iter()
        .map(|one| (one.source.clone(), value(one.attribute)))
        .collect()
}

fn sighting(value: &str) -> (String, String) {
    ("cortex-misp".to_owned(), value.to_owned())
}

#[test]
fn a_sighted_observable_is_one_sighting_and_stays_one() {
    for world in [World::four(), World::five()] {
        let mut desk = Desk::new(world, &json!({}));
        let seen = json!({"sighted": true});
        let id = desk.ioc("domain", "seen.example", &seen);
        desk.ioc("fqdn", "host.seen.example", &seen);
        desk.ioc("hostname", "host.seen.example", &seen);
        let unseen = desk.ioc("domain", "unseen.example", &json!({}));
        desk.file("evil.exe", b"MZ", &seen);
        desk.ioc(
            "domain",
            "no-ioc.example",
            &json!({"sighted": true, "ioc": false}),
        );
        desk.run();
        assert_eq!(sightings(&desk), []);
        desk.set(&json!({"export_sightings": true}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "sightings"),
            of([("fetched", 3), ("created", 3)]),
            "{report:#}"
        );
        let mut held = sightings(&desk);
        held.sort();
        let sha256 = cortex_misp::sample::sha256(b"MZ");
        assert_eq!(
            held,
            [
                sighting(&sha256),
                sighting("host.seen.example"),
                sighting("seen.example")
            ]
        );
        let report = desk.runs_empty();
        assert_eq!(
            counts(full(&report), "sightings"),
            of([("fetched", 3), ("unchanged", 3)])
        );
        // Without a new sighting of the same observable, which counts once; with one of another.
        desk.change(&id, &json!({"sighted": false}));
        desk.change(
            &unseen,
            &json!({"sighted": true, "sightedAt": 1_795_200_000_000_i64}),
        );
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "sightings"),
            of([("fetched", 3), ("created", 1), ("unchanged", 2)])
        );
        assert_eq!(
            desk.misp.world().sightings.last().unwrap().date,
            1_795_200_000
        );
    }
}

/// Whoever sees an attribute may sight it under any source, or tell it to be a false positive.
#[test]
fn a_sighting_of_another_organisation_stands_for_none_of_ours() {
    let mut desk = Desk::new(World::five(), &json!({}));
    desk.set(&json!({"export_sightings": true, "distribution": 1}));
    let id = desk.ioc("domain", "seen.example", &json!({}));
    desk.run();
    {
        let mut world = desk.misp.world();
        let (event, attribute) = (world.events[0].id, world.events[0].attributes[0].id);
        for (kind, org) in [("0", 3), ("1", world.events[0].org)] {
            let source = "cortex-misp".to_owned();
            world.sightings.push(Sighting {
                event,
                attribute,
                org,
                source,
                kind: kind.into(),
                ..Sighting::default()
            });
        }
    }
    desk.change(&id, &json!({"sighted": true}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "sightings"),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
    let report = desk.runs_empty();
    assert_eq!(
        counts(full(&report), "sightings"),
        of([("fetched", 1), ("unchanged", 1)])
    );
}

#[test]
fn a_value_of_somebody_else_gets_no_sighting() {
    let mut desk = Desk::new(World::five(), &json!({}));
    desk.set(&json!({"export_sightings": true}));
    desk.ioc("domain", "ours.example", &json!({}));
    desk.run();
    {
        let mut world = desk.misp.world();
        let mut other = world.events[0].attributes[0].clone();
        (other.uuid, other.value, other.id) = (
            "5f0e5b5c-0000-4000-8000-000000000001".to_owned(),
            "theirs.example".to_owned(),
            99_999,
        );
        world.events[0].attributes.push(other);
        world.events[0].attribute_count += 1;
    }
    desk.ioc("domain", "theirs.example", &json!({"sighted": true}));
    for dry_run in [true, false] {
        desk.set(&json!({"dry_run": dry_run}));
        let report = desk.runs_empty();
        let skipped = &full(&report)["ledger"]["sightings"]["skipped_by"];
        assert_eq!(
            skipped,
            &json!({"its attribute is not ours or not there": 1}),
            "dry run: {dry_run}"
        );
        assert_eq!(sightings(&desk), []);
    }
}

#[test]
fn a_key_that_may_not_sight_is_told_and_the_iocs_go() {
    let mut desk = Desk::new(World::four(), &json!({}));
    desk.set(&json!({"export_sightings": true}));
    let mut users = desk.misp.world().users.clone();
    users.iter_mut().for_each(|user| user.role.sighting = false);
    desk.misp.world().users = users;
    desk.ioc("domain", "seen.example", &json!({"sighted": true}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(
        counts(full(&report), "sightings"),
        of([("fetched", 1), ("failed", 1)])
    );
    let told = failures(&report);
    assert!(
        told.contains("the sighting of seen.example") && told.contains("do not have permission"),
        "{told}"
    );
    assert_eq!(
        (sightings(&desk), desk.event().attributes.len()),
        (vec![], 1)
    );
}

#[test]
fn a_feed_carries_no_sightings() {
    let mut desk = Desk::with_feed(World::four(), &json!({}));
    desk.set(&json!({"export_sightings": true}));
    desk.ioc("domain", "seen.example", &json!({"sighted": true}));
    let report = desk.run();
    assert!(warnings(&report).contains("a feed carries no sightings"));
    assert!(full(&report)["ledger"].get("sightings").is_none());
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
}

#[test]
fn what_is_no_ioc_any_more_is_unflagged_deleted_or_kept() {
    for (removed, to_ids, deleted, comment) in [
        ("unflag", false, false, format!("C2 {MARK}")),
        ("delete", true, true, format!("C2 {MARK}")),
        ("keep", true, false, "C2".to_owned()),
    ] {
        let mut desk = Desk::new(World::five(), &json!({}));
        desk.set(&json!({"removed_iocs": removed}));
        let message = json!({"message": "C2"});
        let ids = [
            desk.ioc("domain", "a.example", &message),
            desk.file("a.txt", b"content", &message),
        ];
        desk.ioc("domain", "stays.example", &message);
        desk.run();
        ids.iter()
            .for_each(|id| desk.change(id, &json!({"ioc": false})));
        let report = desk.run();
        let count = counts(full(&report), "retractions");
        match removed {
            "keep" => {
                assert_eq!(count, of([("fetched", 2), ("skipped", 2)]));
                assert_eq!(
                    full(&report)["ledger"]["retractions"]["skipped_by"],
                    json!({"removed_iocs is keep": 2})
                );
            }
            _ => assert_eq!(count, of([("fetched", 2), ("updated", 2)])),
        }
        for one in desk.event().attributes {
            if one.value == "stays.example" {
                assert_eq!(
                    (one.to_ids, one.deleted, one.comment.as_str()),
                    (true, false, "C2")
                );
            } else {
                let is_size = one.kind == "size-in-bytes";
                let quiet = if is_size && removed != "keep" {
                    let quiet = if deleted {
                        "(deleted, to_ids was 0)"
                    } else {
                        "(to_ids was 0)"
                    };
                    comment.replace(MARK, &format!("{quiet} {MARK}"))
                } else {
                    comment.clone()
                };
                assert_eq!(
                    (one.to_ids, one.deleted, &one.comment),
                    (to_ids && !is_size, deleted, &quiet),
                    "{removed} {}",
                    one.kind
                );
            }
        }
        desk.runs_empty();
        ids.iter()
            .for_each(|id| desk.change(id, &json!({"ioc": true})));
        desk.run();
        for one in desk.event().attributes {
            let flag = one.kind != "size-in-bytes";
            assert_eq!(
                (one.to_ids, one.deleted, one.comment.as_str()),
                (flag, false, "C2"),
                "{removed} {}",
                one.kind
            );
        }
        desk.runs_empty();
    }
}

/// What a report counts, without what only a run that writes can say.
fn counted(report: &Value) -> Value {
    let ledger = full(report)["ledger"].as_object().unwrap().iter();
    let plain = |count: &Value| {
        [
            "fetched",
            "created",
            "updated",
            "unchanged",
            "skipped",
            "failed",
        ]
        .map(|name| count[name].clone())
        .to_vec()
    };
    ledger
        .map(|(item, count)| (item.clone(), json!(plain(count))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Runs dry, then wet: nothing is written by the first, and both count and show the same.
fn foretold(desk: &mut Desk) -> Value {
    let (files, held) = (desk.files(), desk.misp.world().events.clone());
    desk.set(&json!({"dry_run": true}));
    let dry = desk.run();
    assert_eq!(
        (writes(&desk.misp), desk.files()),
        (vec![], files),
        "{dry:#}"
    );
    let timestamps = |events: &[crate::misp::Event]| {
        events
            .iter()
            .map(|event| event.timestamp)
            .collect::<Vec<_>>()
    };
    assert_eq!(timestamps(&desk.misp.world().events), timestamps(&held));
    assert!(desk.downloads().is_empty());
    assert_eq!(
        (&full(&dry)["dry_run"], &dry["operations"]),
        (&json!(true), &json!([]))
    );
    desk.set(&json!({"dry_run": false}));
    let wet = desk.run();
    assert_eq!(counted(&dry), counted(&wet), "{dry:#} {wet:#}");
    for name in ["observables", "retractions", "events"] {
        let lines = |report: &Value| {
            let lines = full(report)["connections"][0][name]
                .as_array()
                .cloned()
                .unwrap_or_default();
            lines
                .iter()
                .map(|line| (line["verdict"].clone(), line["uuid"].clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&dry), lines(&wet), "{name}");
    }
    let visible =
        |report: &Value| full(report)["connections"][0]["events"][0]["visible_to"].clone();
    assert!(visible(&dry).is_string());
    let attributes =
        |report: &Value| full(report)["connections"][0]["events"][0]["attributes"].clone();
    assert_eq!(attributes(&dry), attributes(&wet));
    dry
}

#[test]
fn a_dry_run_foretells_what_a_run_does() {
    for (removed, to_feed) in [
        ("unflag", false),
        ("delete", false),
        ("unflag", true),
        ("delete", true),
    ] {
        let case = json!({"tlp": 1, "tags": ["apt:one"]});
        let mut desk = if to_feed {
            Desk::with_feed(World::five(), &case)
        } else {
            Desk::new(World::five(), &case)
        };
        desk.set(&json!({
            "export_attachments": "plain", "export_sightings": true, "export_case_tags": true, "export_observable_tags": true,
            "export_case_url": true, "removed_iocs": removed, "distribution": 1,
        }));
        let a = desk.ioc("domain", "a.example", &json!({"sighted": true, "tlp": 1}));
        let b = desk.ioc("domain", "b.example", &json!({"tlp": 1}));
        desk.file("notes.txt", b"notes", &json!({"tlp": 1}));
        desk.ioc("domain", "red.example", &json!({"tlp": 4}));
        let dry = foretold(&mut desk);
        let told = full(&dry)["message"].as_str().unwrap();
        assert!(
            told.starts_with("Dry run: export of 4 IOCs") && told.contains("would be added"),
            "{told}"
        );
        // An update.
        desk.change(&b, &json!({"tlp": 2, "tags": ["new:tag"], "sighted": true}));
        desk.change_case(
            &json!({"title": "Another", "severity": 4, "tags": ["apt:one", "apt:two"]}),
        );
        desk.ioc("ip", "192.0.2.7", &json!({"tlp": 1}));
        let dry = foretold(&mut desk);
        assert_eq!(counts(full(&dry), "observables")["created"], 1);
        assert!(
            full(&dry)["message"]
                .as_str()
                .unwrap()
                .contains("would be updated")
        );
        // A retraction, and back.
        desk.change(&a, &json!({"ioc": false}));
        let dry = foretold(&mut desk);
        assert_eq!(
            counts(full(&dry), "retractions"),
            of([("fetched", 1), ("updated", 1)])
        );
        assert!(
            full(&dry)["message"]
                .as_str()
                .unwrap()
                .contains("1 would be retracted")
        );
        desk.change(&a, &json!({"ioc": true}));
        let dry = foretold(&mut desk);
        assert_eq!(counts(full(&dry), "observables")["updated"], 1);
        desk.change(&b, &json!({"tlp": 4}));
        foretold(&mut desk);
        desk.runs_empty();
    }
}

#[test]
fn the_job_may_ask_for_a_dry_run_too() {
    let desk = Desk::new(World::four(), &json!({}));
    desk.ioc("domain", "a.example", &json!({}));
    let job = laid(
        desk.job(),
        &json!({"parameters": {"organisation": "cert", "dry_run": true}}),
    );
    let report = desk.report(job);
    assert_eq!(
        (&full(&report)["dry_run"], writes(&desk.misp).len()),
        (&json!(true), 0)
    );
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
}
