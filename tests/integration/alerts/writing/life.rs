//! What changes in MISP reaches TheHive, each change alone, and nothing else is written.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::program::{counts, full, of};

/// Imports, and gives the writes; the others of the three events are unchanged, and a further run writes nothing.
fn changed(desk: &Desk) -> Vec<(String, Value)> {
    let report = desk.import();
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 3), ("updated", 1), ("unchanged", 2)]),
        "{report:#}"
    );
    let changes = desk.changes();
    desk.rests();
    changes
}

fn patch_of(observable: Value) -> [(String, Value); 2] {
    [
        ("PATCH observable".to_owned(), observable),
        ("PATCH alert".to_owned(), json!({})),
    ]
}

#[test]
fn a_new_title_is_one_write() {
    for desk in Desk::imported(3, &json!({})) {
        desk.change("1", |event| event.info = "Renamed".into());
        assert_eq!(
            changed(&desk),
            [("PATCH alert".to_owned(), json!({"title": "#1 Renamed"}))]
        );
        assert_eq!(desk.alert("1")["title"], "#1 Renamed");
    }
}

#[test]
fn a_deleted_attribute_goes() {
    for desk in Desk::imported(3, &json!({})) {
        desk.alter("1", "192.0.2.1", |one| one.deleted = true);
        assert_eq!(
            changed(&desk),
            [
                ("DELETE observable".to_owned(), Value::Null),
                ("PATCH alert".to_owned(), json!({}))
            ]
        );
        assert_eq!(desk.data("1"), ["Text 1", "host-1.example"]);
    }
}

#[test]
fn a_new_attribute_comes() {
    for desk in Desk::imported(3, &json!({})) {
        desk.add("1", "domain", "new.example", |one| {
            one.comment = "Seen".into()
        });
        let changes = changed(&desk);
        let [(post, body), (patch, rest)] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(
            (post.as_str(), patch.as_str(), rest),
            ("POST observable", "PATCH alert", &json!({}))
        );
        assert_eq!(
            (&body["data"], &body["ioc"], &body["message"]),
            (&json!(["new.example"]), &json!(false), &json!("Seen"))
        );
        assert_eq!(desk.data("1").len(), 4);
        assert!(!desk.has_tag("1", "misp:updated"));
    }
}

#[test]
fn a_new_ioc_is_told_by_a_tag() {
    for desk in Desk::imported(3, &json!({})) {
        desk.add("1", "domain", "new.example", |one| one.to_ids = true);
        let changes = changed(&desk);
        let [(_, body), (_, patch)] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(body["ioc"], true);
        assert_eq!(patch.as_object().unwrap().len(), 1, "{patch}");
        assert!(desk.has_tag("1", "misp:updated") && !desk.has_tag("2", "misp:updated"));
        assert_eq!(
            desk.observable(&desk.alert("1"), "new.example").unwrap()["ioc"],
            true
        );
    }
}

#[test]
fn a_changed_attribute_is_changed_in_place() {
    for desk in Desk::imported(3, &json!({})) {
        desk.alter("1", "Text 1", |one| one.comment = "Better".into());
        assert_eq!(changed(&desk), patch_of(json!({"message": "Better"})));
        desk.alter("1", "Text 1", |one| one.comment = String::new());
        assert_eq!(changed(&desk), patch_of(json!({"message": ""})));
        desk.alter("1", "host-1.example", |one| one.to_ids = false);
        assert_eq!(changed(&desk), patch_of(json!({"ioc": false})));
        assert!(!desk.has_tag("1", "misp:updated"));
        desk.alter("1", "host-1.example", |one| one.to_ids = true);
        let changes = changed(&desk);
        assert_eq!(
            changes[0],
            ("PATCH observable".to_owned(), json!({"ioc": true}))
        );
        assert!(changes.len() == 2 && desk.has_tag("1", "misp:updated"));
    }
}

#[test]
fn an_attributes_tags_and_tlp_follow() {
    for desk in Desk::imported(3, &json!({})) {
        let (red, seen) = (desk.tag("tlp:red"), desk.tag("seen"));
        desk.alter("1", "Text 1", |one| one.tags = vec![red, seen]);
        let strictest = if desk.thehive.world().version == crate::thehive::Version::Five {
            4
        } else {
            3
        };
        let changes = changed(&desk);
        assert_eq!(changes[0].1["tlp"], strictest, "{changes:?}");
        let tags = desk.observable(&desk.alert("1"), "Text 1").unwrap()["tags"].clone();
        assert!(
            tags.as_array()
                .unwrap()
                .ends_with(&[json!("tlp:red"), json!("seen")]),
            "{tags}"
        );
        desk.alter("1", "Text 1", |one| one.tags.clear());
        let changes = changed(&desk);
        assert_eq!((changes.len(), &changes[0].1["tlp"]), (2, &json!(2)));
    }
}

#[test]
fn a_new_tag_is_added() {
    for desk in Desk::imported(3, &json!({})) {
        let tag = desk.tag("phishing:kit");
        desk.change("1", |event| event.tags.push(tag));
        let changes = changed(&desk);
        let whole = json!({"tags": ["src:ORGNAME", "phishing:kit"]});
        let body = if changes[0].1.get("tags").is_some() {
            whole
        } else {
            json!({"addTags": ["phishing:kit"]})
        };
        assert_eq!(changes, [("PATCH alert".to_owned(), body)]);
        // A tag that is gone from the event stays: somebody may rely on it.
        desk.change("1", |event| event.tags.clear());
        assert_eq!(desk.import()["success"], true);
        assert!(desk.has_tag("1", "phishing:kit") && desk.has_tag("1", "src:ORGNAME"));
    }
}

#[test]
fn another_tlp_replaces_the_first() {
    for desk in Desk::imported(3, &json!({})) {
        let (green, red, pap) = (
            desk.tag("tlp:green"),
            desk.tag("tlp:red"),
            desk.tag("PAP:GREEN"),
        );
        desk.change("1", |event| event.tags = vec![green, pap]);
        changed(&desk);
        assert_eq!(
            (&desk.alert("1")["tlp"], &desk.alert("1")["pap"]),
            (&json!(1), &json!(1))
        );
        desk.change("1", |event| event.tags[0] = red);
        let changes = changed(&desk);
        let verbs: Vec<_> = changes.iter().map(|(verb, _)| verb.as_str()).collect();
        // Observables without a TLP of their own have the event's.
        assert_eq!(verbs, ["PATCH _bulk", "PATCH alert"]);
        let alert = desk.alert("1");
        let strictest = &changes[1].1["tlp"];
        assert_eq!(&alert["tlp"], strictest);
        assert!(
            strictest.as_i64() >= Some(3)
                && desk
                    .observables(&alert)
                    .iter()
                    .all(|one| &one["tlp"] == strictest)
        );
        assert!(
            desk.has_tag("1", "tlp:red")
                && desk.has_tag("1", "PAP:GREEN")
                && !desk.has_tag("1", "tlp:green")
        );
    }
}

#[test]
fn what_is_published_comes_and_what_is_being_edited_stays() {
    for desk in Desk::small(3) {
        let desk = desk.with(json!({"published_only": true}));
        desk.misp.world().event_mut("3").unwrap().published = false;
        assert_eq!(
            counts(full(&desk.import()), "events"),
            of([("fetched", 2), ("created", 2)])
        );
        desk.change("3", |_| ());
        assert_eq!(
            counts(full(&desk.import()), "events"),
            of([("fetched", 3), ("created", 1), ("unchanged", 2)])
        );
        assert_eq!(desk.verbs(), ["POST alert"]);
        desk.change("2", |event| event.info = "Unfinished".into());
        desk.misp.world().event_mut("2").unwrap().published = false;
        let report = desk.import();
        let told = full(&report);
        assert_eq!(
            counts(told, "events"),
            of([("fetched", 3), ("unchanged", 2), ("skipped", 1)])
        );
        assert!(
            told["ledger"]["events"]["skipped_by"]
                .to_string()
                .contains("being edited"),
            "{told:#}"
        );
        desk.wrote_nothing();
        assert_eq!(desk.alert("2")["title"], "#2 Event 2");
    }
}

#[test]
fn an_edit_that_publishes_without_a_moment_of_publication_is_seen() {
    for desk in Desk::imported(3, &json!({"published_only": true})) {
        let since = desk.misp.world().now;
        desk.change("1", |event| event.info = "Renamed".into());
        desk.misp.world().event_mut("1").unwrap().publish_timestamp = 0;
        let mut job = desk.job();
        job["parameters"]["since"] = json!(since.to_string());
        let report = desk.run(&job);
        assert_eq!(
            desk.changes()[0],
            ("PATCH alert".to_owned(), json!({"title": "#1 Renamed"})),
            "{report:#}"
        );
        assert_eq!(desk.writes().len(), 1);
        desk.run(&job);
        desk.wrote_nothing();
    }
}

#[test]
fn a_publication_without_change_rewrites_the_line_only() {
    for desk in Desk::imported(3, &json!({})) {
        let before = desk.alert("1");
        desk.misp.world().now += 86_400;
        let now = desk.misp.world().tick();
        desk.misp.world().event_mut("1").unwrap().publish_timestamp = now;
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("unchanged", 3)]),
            "{report:#}"
        );
        assert_eq!(desk.changes(), [("PATCH alert".to_owned(), json!({}))]);
        assert!(
            desk.line("1")
                .unwrap()
                .contains(&format!("publish_timestamp={now} complete=yes"))
        );
        assert_eq!(
            (&desk.alert("1")["title"], &desk.alert("1")["tags"]),
            (&before["title"], &before["tags"])
        );
        desk.rests();
    }
}

#[test]
fn a_withdrawn_event_is_marked_until_it_is_back() {
    for desk in Desk::imported(3, &json!({"mark_withdrawn": true})) {
        let gone = desk.misp.world().events.remove(0);
        let report = desk.import();
        let told = full(&report);
        assert_eq!(
            counts(told, "events"),
            of([("fetched", 3), ("updated", 1), ("unchanged", 2)]),
            "{told:#}"
        );
        assert_eq!(desk.verbs(), ["PATCH alert"]);
        let tags = desk.alert(&gone.uuid)["tags"].clone();
        assert_eq!(tags, json!(["src:ORGNAME", "misp:withdrawn"]));
        desk.rests();
        desk.misp.world().events.insert(0, gone);
        let report = desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"], "{report:#}");
        assert_eq!(desk.alert("1")["tags"], json!(["src:ORGNAME"]));
        desk.rests();
    }
}

#[test]
fn without_the_option_a_withdrawn_event_is_only_told() {
    for desk in Desk::imported(3, &json!({})) {
        desk.misp.world().events.remove(0);
        let report = desk.import();
        let skipped = &full(&report)["ledger"]["events"]["skipped_by"];
        assert_eq!(skipped, &json!({"gone from MISP": 1}));
        desk.wrote_nothing();
    }
}

#[test]
fn many_that_are_gone_at_once_are_not_marked() {
    for desk in Desk::imported(6, &json!({"mark_withdrawn": true})) {
        desk.misp.world().events.truncate(2);
        let report = desk.import();
        desk.wrote_nothing();
        let part = &full(&report)["connections"][0];
        assert!(
            part["warnings"].to_string().contains("4 of 4 events"),
            "{part:#}"
        );
        assert_eq!(
            part["ledger"]["events"]["skipped_by"],
            json!({"gone from MISP": 4})
        );
    }
}
