//! What a hostile review of the export found, so that it does not come back: refused cases, tags that MISP does not show,
//! events that two cases have, what reviewers decided, and refusals of one part that must not become refusals of all.

use serde_json::{Value, json};

use crate::desk::{Desk, MARK, failures, warnings};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{self, Attribute, Tag, writes};
use crate::program::{counts, failure, full, of};
use crate::thehive::World;

/// A case that went out, and that then becomes stricter than the option allows; everything else about it changes too.
fn refused(desk: &mut Desk, option: &str, most: &str, stricter: &Value) -> Value {
    desk.set(&json!({"distribution": 1, "export_case_tags": true, "export_observable_tags": true, option: most}));
    desk.ioc("domain", "a.example", &json!({"tlp": 1, "message": "C2"}));
    desk.file("b.txt", b"content", &json!({"tlp": 1}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)]),
        "{report:#}"
    );
    desk.change_case(stricter);
    desk.change_case(&json!({"title": "Secret", "tags": ["old", "secret:tag"], "severity": 4}));
    desk.ioc(
        "domain",
        "late.example",
        &json!({"tlp": 1, "tags": ["secret:late"]}),
    );
    desk.run()
}

#[test]
fn a_case_that_may_not_go_out_any_more_makes_its_event_stricter() {
    for (option, most, stricter, tags, distribution) in [
        (
            "max_export_tlp",
            "AMBER",
            json!({"tlp": 3}),
            ["old", "PAP:GREEN", "tlp:red"],
            0,
        ),
        (
            "max_export_tlp",
            "GREEN",
            json!({"tlp": 2}),
            ["old", "PAP:GREEN", "tlp:amber"],
            1,
        ),
        (
            "max_export_pap",
            "AMBER",
            json!({"pap": 3}),
            ["old", "tlp:green", "PAP:RED"],
            1,
        ),
    ] {
        let mut desk = Desk::new(World::four(), &json!({"tlp": 1, "pap": 1, "tags": ["old"]}));
        let report = refused(&mut desk, option, most, &stricter);
        let told = report.to_string();
        assert!(
            told.contains("nothing is exported") && told.contains(option),
            "{told}"
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE: "),
            "{told}"
        );
        let event = desk.event();
        let mut names = desk.misp.world().names(&event.tags);
        names.sort();
        let mut expected = tags.map(ToOwned::to_owned);
        expected.sort();
        assert_eq!(names, expected, "{option} {most}");
        assert_eq!(
            (event.info.as_str(), event.distribution, event.threat_level),
            ("Phishing wave", distribution, 2)
        );
        assert_eq!((event.attributes.len(), event.objects.len()), (1 + 5, 1));
        for one in &event.attributes {
            let quiet = one.kind == "size-in-bytes";
            assert_eq!(
                (one.distribution, one.to_ids, one.comment.contains(MARK)),
                (0, !quiet, false),
                "{}",
                one.kind
            );
        }
        assert!(
            !desk.sent().contains("late.example") && !desk.sent().to_lowercase().contains("secret")
        );
        desk.run();
        assert_eq!(writes(&desk.misp), [""; 0]);
    }
}

#[test]
fn a_feed_loses_what_a_case_may_not_send_any_more() {
    for (option, most, stricter) in [
        ("max_export_tlp", "AMBER", json!({"tlp": 3})),
        ("max_export_tlp", "GREEN", json!({"tlp": 2})),
        ("max_export_pap", "AMBER", json!({"pap": 3})),
    ] {
        let mut desk =
            Desk::with_feed(World::four(), &json!({"tlp": 1, "pap": 1, "tags": ["old"]}));
        let report = refused(&mut desk, option, most, &stricter);
        assert!(
            report.to_string().contains("nothing is exported"),
            "{report:#}"
        );
        let event = desk.feed_event();
        let empty =
            ["Attribute", "Object"].map(|list| event[list].as_array().is_none_or(Vec::is_empty));
        assert_eq!(
            (empty, &event["info"]),
            ([true, true], &json!("Phishing wave")),
            "{event:#}"
        );
        let text: String = desk.files().into_values().collect();
        assert!(
            !text.to_lowercase().contains("secret") && !text.contains("a.example"),
            "{text}"
        );
        let files = desk.files();
        desk.run();
        assert_eq!(desk.files(), files);
    }
}

#[test]
fn a_refused_case_without_an_event_makes_none() {
    for to_feed in [false, true] {
        let case = json!({"tlp": 2, "pap": 2});
        let mut desk = if to_feed {
            Desk::with_feed(World::five(), &case)
        } else {
            Desk::new(World::five(), &case)
        };
        desk.ioc("domain", "a.example", &json!({}));
        for option in ["max_export_tlp", "max_export_pap"] {
            desk.set(&json!({"max_export_tlp": null, "max_export_pap": null}));
            desk.set(&json!({option: "GREEN"}));
            let report = desk.run();
            assert!(failure(&report).contains("nothing is exported"));
            assert_eq!(
                (
                    writes(&desk.misp).len(),
                    desk.files().len(),
                    desk.misp.world().events.len()
                ),
                (0, 0, 0)
            );
        }
    }
}

#[test]
fn a_tag_that_misp_does_not_show_is_not_waited_for() {
    let mut desk = Desk::new(World::four(), &json!({"tags": ["mute", "loud"]}));
    desk.set(&json!({"export_case_tags": true}));
    desk.misp.world().tags.push(Tag {
        id: 900,
        name: "mute".into(),
        is_mute: true,
        ..Tag::default()
    });
    desk.ioc("domain", "a.example", &json!({}));
    let report = desk.run();
    for report in [report, desk.runs_empty()] {
        assert_eq!(failures(&report), "null");
        let told = full(&report)["connections"][0]["warnings"]
            .as_array()
            .unwrap()
            .clone();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]
                .as_str()
                .unwrap()
                .starts_with("the tags mute stay here"),
            "{told:?}"
        );
    }
    let event = desk.event();
    assert_eq!(
        desk.misp.world().names(&event.tags),
        ["tlp:amber", "PAP:AMBER", "loud"]
    );
}

/// What it was when it could be mapped stays; what is nothing like it goes, however long the other one stays as it is.
#[test]
fn an_ioc_that_cannot_be_mapped_keeps_only_what_it_may_have_been() {
    for removed in ["unflag", "delete"] {
        for is_file in [true, false] {
            let mut desk = Desk::new(World::four(), &json!({}));
            desk.set(&json!({"removed_iocs": removed}));
            let gone = desk.ioc("domain", "gone.example", &json!({"message": "C2"}));
            desk.ioc("domain", "stays.example", &json!({}));
            let bad = if is_file {
                desk.file("a.txt", b"a", &json!({}))
            } else {
                desk.ioc("domain", "odd[.]example", &json!({}))
            };
            desk.run();
            desk.change(&gone, &json!({"ioc": false}));
            if is_file {
                let mut world = desk.thehive.world();
                let known = world
                    .observables
                    .iter_mut()
                    .find(|known| known.record["_id"] == bad.as_str())
                    .unwrap();
                known.record["attachment"]["hashes"] = json!([crate::desk::md5(b"a")]);
            } else {
                desk.change(&bad, &json!({"dataType": "ip"}));
            }
            let report = desk.run();
            assert_eq!(
                counts(full(&report), "observables"),
                of([("fetched", 2), ("unchanged", 1), ("failed", 1)]),
                "{report:#}"
            );
            let expected = of([("fetched", 2), ("updated", 1), ("skipped", 1)]);
            assert_eq!(counts(full(&report), "retractions"), expected, "{report:#}");
            let rule = "it may be an IOC of the case that could not be mapped";
            assert_eq!(
                full(&report)["ledger"]["retractions"]["skipped_by"],
                json!({rule: 1})
            );
            let message = full(&report)["message"].as_str().unwrap();
            assert!(
                message.contains(&format!(
                    "1 is no IOC of the case any more and stays in MISP ({rule})"
                )),
                "{message}"
            );
            let held = desk.attribute("gone.example");
            assert!(if removed == "unflag" {
                !held.to_ids
            } else {
                held.deleted
            });
            let other = |one: &&Attribute| {
                one.value != "gone.example" && (!one.comment.is_empty() || one.deleted)
            };
            assert_eq!(desk.event().attributes.iter().filter(other).count(), 0);
            desk.remove(&bad);
            let report = desk.run();
            assert_eq!(
                counts(full(&report), "retractions")["updated"],
                1,
                "{report:#}"
            );
        }
    }
}

/// Changes the attribute with this value as a reviewer in MISP does.
fn review(desk: &Desk, value: &str, change: fn(&mut Attribute)) {
    let mut world = desk.misp.world();
    let now = world.tick();
    let of = world.events[0]
        .attributes
        .iter_mut()
        .filter(|one| one.value == value);
    of.for_each(|one| {
        change(one);
        one.timestamp = now;
    });
    world.events[0].touch(now);
}

#[test]
fn what_a_reviewer_set_to_no_detection_comes_back_so() {
    for removed in ["unflag", "delete"] {
        let mut desk = Desk::new(World::five(), &json!({}));
        desk.set(&json!({"removed_iocs": removed}));
        let ids = ["quiet.example", "loud.example"]
            .map(|one| desk.ioc("domain", one, &json!({"message": "C2"})));
        desk.ioc("domain", "stays.example", &json!({}));
        desk.run();
        review(&desk, "quiet.example", |one| one.to_ids = false);
        desk.runs_empty();
        for _ in 0..2 {
            ids.iter()
                .for_each(|id| desk.change(id, &json!({"ioc": false})));
            let report = desk.run();
            assert_eq!(
                counts(full(&report), "retractions"),
                of([("fetched", 2), ("updated", 2)])
            );
            let held = desk.attribute("quiet.example");
            assert!(
                held.comment.starts_with("C2 ") && held.comment.ends_with(MARK),
                "{}",
                held.comment
            );
            assert_eq!((held.to_ids, held.deleted), (false, removed == "delete"));
            desk.runs_empty();
            ids.iter()
                .for_each(|id| desk.change(id, &json!({"ioc": true})));
            let report = desk.run();
            assert_eq!(
                counts(full(&report), "observables"),
                of([("fetched", 3), ("unchanged", 1), ("updated", 2)])
            );
            for (value, to_ids) in [("quiet.example", false), ("loud.example", true)] {
                let held = desk.attribute(value);
                assert_eq!(
                    (held.to_ids, held.deleted, held.comment.as_str()),
                    (to_ids, false, "C2"),
                    "{removed} {value}"
                );
            }
            desk.runs_empty();
        }
    }
}

#[test]
fn what_a_reviewer_deleted_after_it_was_unflagged_stays_deleted() {
    let desk = Desk::new(World::four(), &json!({}));
    let ids = [
        desk.ioc("domain", "a.example", &json!({})),
        desk.ioc("domain", "quiet.example", &json!({})),
    ];
    desk.ioc("domain", "stays.example", &json!({}));
    desk.run();
    review(&desk, "quiet.example", |one| one.to_ids = false);
    ids.iter()
        .for_each(|id| desk.change(id, &json!({"ioc": false})));
    desk.run();
    ["a.example", "quiet.example"]
        .iter()
        .for_each(|one| review(&desk, one, |one| one.deleted = true));
    ids.iter()
        .for_each(|id| desk.change(id, &json!({"ioc": true})));
    let report = desk.run();
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"deleted in MISP": 2}),
        "{report:#}"
    );
    assert!(desk.attribute("a.example").deleted && desk.attribute("quiet.example").deleted);
    desk.runs_empty();
}

#[test]
fn one_object_that_is_refused_keeps_nothing_else_back() {
    let large = What::Status(
        413,
        "<html>Request Entity Too Large</html>".into(),
        "text/html",
    );
    let forbidden =
        json!({"name": "no objects today", "message": "no objects today", "url": "/objects/add"});
    let forbidden = What::Status(403, forbidden.to_string(), "application/json");
    for (what, reason) in [(large, "413"), (forbidden, "no objects today")] {
        let mut desk = Desk::new(World::five(), &json!({}));
        // What carries its file goes out by itself.
        desk.set(&json!({"export_attachments": "sample"}));
        desk.file("a.txt", b"a", &json!({}));
        desk.file("b.txt", b"b", &json!({}));
        ["a.example", "b.example"]
            .iter()
            .for_each(|one| drop(desk.ioc("domain", one, &json!({}))));
        desk.misp.fault(Fault {
            on: "/objects/add",
            nth: Nth::Only(1),
            what,
        });
        let report = desk.run();
        let count = counts(full(&report), "observables");
        assert_eq!(
            count,
            of([("fetched", 4), ("created", 3), ("failed", 1)]),
            "{report:#}"
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE: ")
        );
        let told = failures(&report);
        assert!(
            told.contains("a.txt (file): refused by MISP: ") && told.contains(reason),
            "{told}"
        );
        assert_eq!(
            (desk.event().attributes.len(), desk.event().objects.len()),
            (2 + 6, 1)
        );
        desk.misp.heal();
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 4), ("created", 1), ("unchanged", 3)])
        );
        desk.runs_empty();
    }
}

#[test]
fn samples_that_join_their_objects_go_out_one_by_one() {
    let mut desk = Desk::new(World::five(), &json!({}));
    for name in ["a.exe", "b.exe", "c.exe"] {
        desk.file(name, format!("MZ {name}").as_bytes(), &json!({}));
    }
    desk.run();
    desk.set(&json!({"export_attachments": "sample"}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "files"),
        of([("fetched", 3), ("created", 3)]),
        "{report:#}"
    );
    let bodies = desk
        .misp
        .requests()
        .into_iter()
        .map(|one| String::from_utf8_lossy(&one.raw).into_owned());
    let files: Vec<_> = bodies
        .map(|body| body.matches("\"data\":").count())
        .filter(|number| *number > 0)
        .collect();
    assert_eq!(files, [1, 1, 1]);
    assert_eq!(
        desk.event()
            .attributes
            .iter()
            .filter(|one| one.data.is_some())
            .count(),
        3
    );
    desk.runs_empty();
}

#[test]
fn a_removed_file_counts_once_for_the_limit() {
    for (number, is_kept) in [(3, false), (10, false), (11, true)] {
        let desk = Desk::new(World::four(), &json!({}));
        let file = |at: u32| {
            desk.file(
                &format!("{at}.txt"),
                format!("content {at}").as_bytes(),
                &json!({}),
            )
        };
        let ids: Vec<_> = (0..number).map(file).collect();
        desk.ioc("domain", "stays.example", &json!({}));
        desk.run();
        ids.iter().for_each(|id| desk.remove(id));
        let report = desk.run();
        let all = u64::from(number);
        let verdict = if is_kept { "skipped" } else { "updated" };
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", all), (verdict, all)]),
            "{report:#}"
        );
        assert_eq!(failures(&report).contains("nothing is retracted"), is_kept);
        desk.runs_empty();
    }
}

/// With one tag the attribute takes the uuid that with both tags the other one has. So ip-src stays as it is and ip-dst does
/// not go out; the report says `unchanged`, "there already, in an attribute that was exported for another IOC".
#[test]
fn a_second_type_by_tag_makes_no_duplicate_and_retracts_nothing() {
    for removed in ["unflag", "delete"] {
        let mut desk = Desk::new(World::five(), &json!({}));
        desk.set(&json!({"removed_iocs": removed}));
        let tag = |kind: &str| format!("misp:type=\"{kind}\"");
        let id = desk.ioc("ip", "192.0.2.1", &json!({"tags": [tag("ip-src")]}));
        desk.run();
        desk.change(&id, &json!({"tags": [tag("ip-src"), tag("ip-dst")]}));
        for report in [desk.runs_empty(), desk.runs_empty()] {
            assert_eq!(
                counts(full(&report), "observables"),
                of([("fetched", 1), ("unchanged", 1)]),
                "{report:#}"
            );
            let line = &full(&report)["connections"][0]["observables"][0];
            let told = (
                line["verdict"].as_str().unwrap(),
                line["reason"].as_str().unwrap(),
            );
            assert_eq!(
                told,
                (
                    "unchanged",
                    "there already, in an attribute that was exported for another IOC"
                )
            );
            assert!(
                full(&report)["ledger"].get("retractions").is_none(),
                "{report:#}"
            );
            assert_eq!(
                (failures(&report).as_str(), warnings(&report).as_str()),
                ("null", "null")
            );
        }
        let held = desk.attribute("192.0.2.1");
        assert_eq!(
            (
                held.kind.as_str(),
                held.to_ids,
                held.deleted,
                held.comment.as_str()
            ),
            ("ip-src", true, false, "")
        );
    }
}

#[test]
fn a_refusal_of_another_shape_is_told_of_each_ioc() {
    let desk = Desk::new(World::four(), &json!({}));
    ["a.example", "b.example"]
        .iter()
        .for_each(|one| drop(desk.ioc("domain", one, &json!({}))));
    let errors = json!({"saved": false, "name": "Could not add Attribute", "errors": {"Attribute": ["not on a Sunday"]}});
    let what = What::Status(403, errors.to_string(), "application/json");
    desk.misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Always,
        what,
    });
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("failed", 2)]),
        "{report:#}"
    );
    let told = failures(&report);
    for value in ["a.example", "b.example"] {
        assert!(
            told.contains(&format!("{value} (domain): refused by MISP: ")),
            "{told}"
        );
    }
    assert_eq!(
        (
            told.matches("not on a Sunday").count(),
            told.contains("lost")
        ),
        (2, false),
        "{told}"
    );
    desk.misp.heal();
    assert_eq!(
        counts(full(&desk.run()), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
}

#[test]
fn a_click_on_one_observable_extends_the_event_of_the_cases_alert() {
    const ORIGIN: &str = "5f0e5b5c-1111-4000-8000-000000000001";
    for (world, alerts, extends) in [
        (World::four(), 1, ORIGIN),
        (World::five(), 1, ORIGIN),
        (World::five(), 2, ""),
    ] {
        let desk = Desk::new(world, &json!({}));
        let origin = misp::Event {
            id: 7,
            uuid: ORIGIN.into(),
            org: 2,
            orgc: 2,
            distribution: 1,
            ..Default::default()
        };
        desk.misp.world().events.push(origin);
        for number in 0..alerts {
            let mut world = desk.thehive.world();
            let id = world.next_id();
            let source = if number == 0 {
                ORIGIN.to_owned()
            } else {
                ORIGIN.replace("1111", "2222")
            };
            world.alerts.push(json!({
                "_id": id, "_type": "Alert", "type": "misp", "source": "misp-corp", "sourceRef": source, "title": "t",
                "caseId": desk.case,
            }));
        }
        desk.ioc("domain", "a.example", &json!({}));
        let mut job = desk.job();
        job["dataType"] = json!("thehive:case_artifact");
        job["data"] = desk.thehive.world().observables[0].record.clone();
        let report = desk.report(job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("created", 1)]),
            "{report:#}"
        );
        let world = desk.misp.world();
        let made = world
            .events
            .iter()
            .find(|event| event.uuid != ORIGIN)
            .unwrap();
        assert_eq!(
            (made.extends_uuid.as_str(), made.attributes.len()),
            (extends, 1)
        );
    }
}

#[test]
fn new_objects_go_out_in_lists_of_about_1000_attributes() {
    let desk = Desk::new(World::five(), &json!({"tlp": 1}));
    for number in 0..500 {
        desk.file(
            &format!("{number}.exe"),
            format!("MZ {number}").as_bytes(),
            &json!({"tlp": 1}),
        );
    }
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 500), ("created", 500)])
    );
    let event = desk.event();
    assert_eq!((event.objects.len(), event.attributes.len()), (500, 2_500));
    assert_eq!(misp::writes(&desk.misp).len(), 1 + 3);
    let asked: Vec<String> = desk
        .misp
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert!(asked.len() <= 13, "{asked:#?}");
    desk.runs_empty();
}

#[test]
fn a_list_of_objects_that_is_too_large_goes_out_one_by_one() {
    let desk = Desk::new(World::five(), &json!({"tlp": 1}));
    for name in ["a.exe", "b.exe"] {
        desk.file(name, format!("MZ {name}").as_bytes(), &json!({"tlp": 1}));
    }
    let large = "<html>Request Entity Too Large</html>";
    desk.misp.fault(Fault {
        on: "/events/edit",
        nth: Nth::Only(1),
        what: What::Status(413, large.into(), "text/html"),
    });
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)]),
        "{report:#}"
    );
    desk.misp.heal();
    desk.runs_empty();
}

#[test]
fn what_misp_leaves_out_of_a_list_of_objects_is_told_with_its_reason() {
    let desk = Desk::new(World::five(), &json!({"tlp": 1}));
    for name in ["a.exe", "b.exe", "c.exe"] {
        desk.file(name, format!("MZ {name}").as_bytes(), &json!({"tlp": 1}));
    }
    let refused = "this server takes no such file name";
    desk.misp
        .world()
        .refused
        .insert("b.exe".into(), refused.into());
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 2), ("failed", 1)]),
        "{report:#}"
    );
    assert!(failures(&report).contains(refused), "{report:#}");
}
