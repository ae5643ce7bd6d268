//! Imports over HTTP from the fake MISP, in report-only mode.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, failure, full, of};

fn job(misp: &Fake, more: Value) -> Value {
    let mut job = json!({
        "dataType": "other", "data": "misp:sync", "tlp": 0, "pap": 0, "parameters": {"since": "all"},
        "config": {"name": ["partner"], "url": [misp.url()], "key": [key("admin")], "max_age_days": 0, "max_attributes": 0, "published_only": false},
    });
    job["config"]
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    job
}

/// How many live attributes the corpus has, by event uuid.
fn live_attributes(misp: &Fake) -> BTreeMap<String, u64> {
    let world = misp.world();
    let live = |event: &crate::misp::Event| {
        event
            .attributes
            .iter()
            .filter(|attribute| !attribute.deleted)
            .count() as u64
    };
    world
        .events
        .iter()
        .map(|event| (event.uuid.clone(), live(event)))
        .collect()
}

#[test]
fn the_whole_corpus_arrives_and_the_ledger_has_every_attribute() {
    let misp = Fake::start(World::with_corpus());
    let expected = live_attributes(&misp);
    let report = Program::Import.report(&job(&misp, json!({})));
    let full = full(&report);
    let total: u64 = expected.values().sum();
    assert_eq!(
        counts(full, "events"),
        of([("fetched", 34), ("created", 34)])
    );
    assert_eq!(
        counts(full, "attributes"),
        of([("fetched", total), ("created", total)])
    );
    for event in full["connections"][0]["events"].as_array().unwrap() {
        assert_eq!(
            event["attributes"],
            expected[event["uuid"].as_str().unwrap()],
            "{event}"
        );
    }
    assert_eq!(report["artifacts"].as_array().unwrap().len(), 300);
    assert!(
        full["left_out"]["artifacts"].as_u64().unwrap() > 2_000,
        "{}",
        full["left_out"]
    );
    assert_eq!(report["summary"]["taxonomies"][0]["value"], "34");
}

#[test]
fn numbers_instead_of_texts_change_nothing() {
    let told = |numbers: bool| {
        let misp = Fake::start(World {
            numbers,
            ..World::with_corpus()
        });
        let report = Program::Import.report(&job(&misp, json!({})));
        (full(&report)["ledger"].clone(), report["artifacts"].clone())
    };
    assert_eq!(told(true), told(false));
}

#[test]
fn published_events_only_unless_said_otherwise() {
    let misp = Fake::start(World::with_corpus());
    let published = misp
        .world()
        .events
        .iter()
        .filter(|event| event.published)
        .count() as u64;
    let report = Program::Import.report(&job(&misp, json!({"published_only": null})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", published), ("created", published)])
    );
    // A server that ignored the filter changes nothing in what arrives.
    misp.world()
        .events
        .iter_mut()
        .for_each(|event| event.published = false);
    assert_eq!(
        counts(
            full(&Program::Import.report(&job(&misp, json!({"published_only": "yes"})))),
            "events"
        ),
        of([])
    );
}

#[test]
fn attributes_are_chosen_by_their_own_filters() {
    let misp = Fake::start(World::with_corpus());
    let count = |is: &dyn Fn(&crate::misp::Attribute) -> bool| {
        let world = misp.world();
        let all = world
            .events
            .iter()
            .flat_map(|event| &event.attributes)
            .filter(|attribute| !attribute.deleted);
        all.filter(|attribute| is(attribute)).count()
    };
    let rules = |config: Value| {
        full(&Program::Import.report(&job(&misp, config)))["ledger"]["attributes"]["skipped_by"]
            .clone()
    };
    let quiet = count(&|attribute| !attribute.to_ids);
    assert!(quiet > 100);
    assert_eq!(
        rules(json!({"ids_only": true})),
        json!({"not meant for detection": quiet})
    );
    let no_ip = count(&|attribute| !attribute.kind.starts_with("ip-"));
    assert_eq!(
        rules(json!({"attribute_types": ["IP-*"]})),
        json!({"type is not included": no_ip})
    );
    let md5 = count(&|attribute| attribute.kind == "md5");
    assert_eq!(
        rules(json!({"exclude_attribute_types": ["md5"]})),
        json!({"type md5 is excluded": md5})
    );
    let elsewhere = count(&|attribute| attribute.category != "Network activity");
    assert_eq!(
        rules(json!({"attribute_categories": ["network activity"]})),
        json!({"category is not included": elsewhere})
    );
    let untagged = count(&|attribute| attribute.tags.is_empty());
    assert_eq!(
        rules(json!({"attribute_tags": ["*"]})),
        json!({"no attribute tag is included": untagged})
    );
    let all = count(&|_| true);
    assert_eq!(
        rules(json!({"exclude_attribute_tags": ["*"]})),
        json!({"attribute tag * is excluded": all - untagged})
    );
}

#[test]
fn every_filter_is_counted_under_its_rule() {
    // What the server filters itself is not counted.
    let misp = Fake::start(World {
        ignores_filters: true,
        ..World::with_corpus()
    });
    let rules = |config: Value| {
        full(&Program::Import.report(&job(&misp, config)))["ledger"]["events"]["skipped_by"].clone()
    };
    let partners = misp
        .world()
        .events
        .iter()
        .filter(|event| event.orgc == 2)
        .count();
    assert!(partners > 0);
    assert_eq!(
        rules(json!({"include_organisations": ["partnerorg"]}))["organisation is not included"],
        34 - partners
    );
    assert_eq!(
        rules(json!({"exclude_organisations": ["PartnerOrg"]}))["organisation PartnerOrg is excluded"],
        partners
    );
    assert_eq!(
        rules(json!({"max_attributes": 189})),
        json!({"more than 189 attributes": 1})
    );
    let count = |is: &dyn Fn(&crate::misp::Event) -> bool| {
        misp.world().events.iter().filter(|event| is(event)).count()
    };
    let low = count(&|event| event.threat_level > 2);
    assert_eq!(
        rules(json!({"min_threat_level": "Medium"}))["threat level below medium"],
        low
    );
    let ongoing = count(&|event| event.analysis != 1);
    assert_eq!(
        rules(json!({"include_analysis": ["ongoing"]}))["state of analysis is not included"],
        ongoing
    );
    let closed = count(&|event| ![0, 4].contains(&event.distribution));
    assert_eq!(
        rules(json!({"include_distributions": [0, "4"]}))["distribution is not included"],
        closed
    );
    let other = count(&|event| !event.info.to_lowercase().contains("matrix"));
    assert!(other > 0 && other < 34);
    assert_eq!(
        rules(json!({"include_event_info": "MATRIX"}))["its info is not included"],
        other
    );
    let tags = rules(json!({"exclude_tags": ["TLP:*"]}));
    let world = misp.world();
    let has_tlp = |event: &&crate::misp::Event| {
        world
            .names(&event.tags)
            .iter()
            .any(|name| name.starts_with("tlp:"))
    };
    let with_tlp = world.events.iter().filter(has_tlp).count();
    drop(world);
    assert_eq!(tags["tag TLP:* is excluded"], with_tlp);
    assert!(
        rules(json!({"max_age_days": 365}))["older than 365 days"]
            .as_u64()
            .unwrap()
            > 20
    );
}

#[test]
fn a_window_is_the_union_of_what_was_published_and_what_was_changed() {
    let misp = Fake::start(World::with_corpus());
    let now = misp.world().now;
    {
        let mut world = misp.world();
        for (index, event) in world.events.iter_mut().enumerate() {
            // Three lately published, two of them lately changed too, and one lately changed that was never published.
            (event.timestamp, event.publish_timestamp) = match index {
                0 | 1 => (now, now),
                2 => (1, now),
                3 => (now, 0),
                _ => (1, 1),
            };
        }
    }
    let mut windowed = job(&misp, json!({}));
    windowed["parameters"]["since"] = json!((now - 100).to_string());
    let report = Program::Import.report(&windowed);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 4), ("created", 4)])
    );
}

#[test]
fn our_own_exports_do_not_come_back() {
    let misp = Fake::start(World::new());
    let case = json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 2, "observables": [{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]});
    let config = json!({"name": ["partner"], "url": [misp.url()], "key": [key("admin")], "instance": "here.example"});
    full(
        &Program::Export
            .report(&json!({"dataType": "thehive:case", "data": case, "config": config})),
    );
    let rules = |instance: &str, more: Value| {
        let mut job = job(&misp, json!({"instance": instance}));
        job["config"]
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let report = Program::Import.report(&job);
        (
            counts(full(&report), "events"),
            full(&report)["connections"][0]["warnings"].to_string(),
        )
    };
    assert_eq!(
        rules("here.example", json!({})).0,
        of([("fetched", 1), ("skipped", 1)])
    );
    assert_eq!(
        rules("here.example", json!({"loop_guard": false})).0,
        of([("fetched", 1), ("created", 1)])
    );
    let (counts, warnings) = rules("there.example", json!({}));
    assert_eq!(counts, of([("fetched", 1), ("created", 1)]));
    assert!(
        warnings.contains("under another instance name than \\\"there.example\\\""),
        "{warnings}"
    );
}

#[test]
fn one_event_that_cannot_be_read_does_not_stop_the_others() {
    let broken = "{\"Event\": {\"Attribute\": [";
    for (what, mends_itself) in [
        (What::CutAfter(500), true),
        (What::Body(broken.into()), false),
        (What::Status(500, "{}".into(), "application/json"), false),
    ] {
        let misp = Fake::start(World::with_corpus());
        // Each event is read by itself.
        misp.fault(Fault {
            on: "/events/restSearch",
            nth: Nth::Always,
            what: What::Status(500, "{}".into(), "application/json"),
        });
        misp.fault(Fault {
            on: "/events/view/",
            nth: Nth::Only(3),
            what,
        });
        let report = Program::Import.report(&job(&misp, json!({})));
        if mends_itself {
            assert_eq!(
                counts(full(&report), "events"),
                of([("fetched", 34), ("created", 34)])
            );
            continue;
        }
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 34), ("created", 33), ("failed", 1)])
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE: "),
            "{}",
            full(&report)["message"]
        );
    }
}

#[test]
fn attributes_of_any_shape_are_counted() {
    let misp = Fake::start(World::with_corpus());
    let event = json!({"Event": {"Attribute": [
        {"type": "ip-dst", "category": "Network activity", "value": "192.0.2.1", "to_ids": true},
        {"type": "ip-dst", "category": "Network activity", "value": "192.0.2.1", "to_ids": "0"},
        "text", 7, null, [1], {"type": "ip-dst", "value": null}, {"type": ["x"], "value": {"a": 1}}, {"type": "domain", "value": "a.example", "deleted": "1"},
        {"type": "no-such-type", "category": "Other", "value": "<b onerror=alert(1)>{{7*7}}</b>"},
    ], "Object": [{"name": "file", "uuid": "x", "Attribute": {}}, 3, {"Attribute": [{"type": "md5", "value": "44d88612fea8a8f36de82e1278abb02f"}]}], "RelatedEvent": [{"Event": {"Attribute": [1]}}]}});
    misp.fault(Fault {
        on: "/events/view/",
        nth: Nth::Only(1),
        what: What::Body(event.to_string()),
    });
    misp.world().events.truncate(1);
    let report = Program::Import.report(&job(&misp, json!({})));
    let attributes = &full(&report)["ledger"]["attributes"];
    assert_eq!(attributes["skipped_by"], json!({"deleted": 1}));
    assert_eq!(
        (
            &attributes["fetched"],
            &attributes["created"],
            &attributes["failed"]
        ),
        (&json!(12), &json!(4), &json!(7))
    );
}

#[test]
fn lists_that_are_no_lists_are_explained() {
    for (body, message) in [
        ("<html>login</html>", "reading the answer: expected a list"),
        ("{\"a\": 1}", "reading the answer: expected a list"),
        ("[{\"uuid\": ", "reading the answer: EOF"),
    ] {
        let misp = Fake::start(World::with_corpus());
        misp.fault(Fault {
            on: "/events/index",
            nth: Nth::Always,
            what: What::Body(body.into()),
        });
        let report = Program::Import.report(&job(&misp, json!({})));
        assert!(failure(&report).contains(message), "{}", failure(&report));
    }
    let misp = Fake::start(World::with_corpus());
    let rows = "[1, {}, {\"uuid\": \"../../etc\"}]";
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Always,
        what: What::Body(rows.into()),
    });
    let report = Program::Import.report(&job(&misp, json!({})));
    for message in [
        "the server sends the same page again and again",
        "an event of the list is a number, not an object",
        "events 3 fetched: 3 failed (2: an event of the list has no uuid; 1: an event of the list is a number, not an object)",
    ] {
        assert!(failure(&report).contains(message), "{}", failure(&report));
    }
}

#[test]
fn servers_that_do_not_answer_as_a_misp_are_explained() {
    let misp = Fake::start(World::with_corpus());
    let said = |what: What| {
        misp.heal();
        misp.fault(Fault {
            on: "/servers/getVersion",
            nth: Nth::Always,
            what,
        });
        failure(&Program::Import.report(&job(&misp, json!({})))).to_owned()
    };
    let maintenance = said(What::Redirect(
        "https://misp.example.org/users/login".into(),
    ));
    assert!(
        maintenance.contains(
            "redirects to https://misp.example.org/users/login: MISP is in maintenance mode"
        ) && !maintenance.contains("final URL"),
        "{maintenance}"
    );
    let elsewhere = said(What::Redirect("https://misp.example.org/".into()));
    assert!(
        elsewhere.contains("which is not followed: give the final URL"),
        "{elsewhere}"
    );
    assert!(
        said(What::Status(200, "<html>".into(), "text/html"))
            .contains("the answer is text/html, not JSON")
    );
    assert!(
        said(What::Status(404, "<html>".into(), "text/html"))
            .contains("404: a web page, not an API's answer: check \"url\"")
    );
    assert!(said(What::Body("{}".into())).contains("names no version: this is no MISP"));
    let key = key("admin");
    let echo = said(What::Status(
        500,
        json!({"message": format!("key {key} failed")}).to_string(),
        "application/json",
    ));
    assert!(echo.contains("500: key [removed] failed"), "{echo}");
    let mut nobody = job(&misp, json!({}));
    nobody["config"]["url"] = json!(["http://127.0.0.1:9"]);
    assert!(
        failure(&Program::Import.report(&nobody)).contains("nothing listens there"),
        "{}",
        failure(&Program::Import.report(&nobody))
    );
}

/// What MISP answers to these addresses says that the user lacks a permission, or that there is no such page.
#[test]
fn the_address_of_a_page_of_misp_is_told_from_a_lack_of_permission() {
    let misp = Fake::start(World::with_corpus());
    let said = |path: &str| {
        let mut job = job(&misp, json!({}));
        job["config"]["url"] = json!([format!("{}{path}", misp.url())]);
        failure(&Program::Import.report(&job)).to_owned()
    };
    for (path, left_out) in [
        ("/events", "leave /events out of \"url\""),
        ("/events/index", "leave /events/index out of \"url\""),
        ("/users/login/", "leave /users/login out of \"url\""),
        ("/misp/attributes", "leave /attributes out of \"url\""),
    ] {
        let said = said(path);
        assert!(
            said.contains(left_out) && !said.contains("lacks a permission"),
            "{path}: {said}"
        );
    }
    // A name that is no page may be the path that MISP lives below.
    assert!(
        said("/misp").contains("check \"url\": is this the address of a MISP?"),
        "{}",
        said("/misp")
    );
}

#[test]
fn a_key_for_other_addresses_names_the_allowed_ips() {
    let misp = Fake::start(World::with_corpus());
    let report = Program::Import.report(&job(&misp, json!({"key": [key("partner_iprestricted")]})));
    let said = failure(&report);
    assert!(
        said.contains("from your IP address: the key is for certain addresses only"),
        "{said}"
    );
    assert!(said.contains("allowed IPs"), "{said}");
}

#[test]
fn http_with_a_key_runs_with_a_warning() {
    let misp = Fake::start(World::with_corpus());
    let report = Program::Import.report(&job(&misp, json!({"cert_check": false, "nonsense": 1})));
    let warnings = full(&report)["warnings"].to_string();
    for warning in [
        "sends its API key unencrypted",
        "certificate is not checked",
        "\\\"nonsense\\\" is not known",
    ] {
        assert!(warnings.contains(warning), "{warning} is not in {warnings}");
    }
}

#[test]
fn options_on_artifacts_and_time_are_kept() {
    let misp = Fake::start(World::with_corpus());
    let report = Program::Import.report(&job(
        &misp,
        json!({"max_artifacts": 5, "connect_timeout": 5, "read_timeout": 60, "deadline_minutes": 0}),
    ));
    assert_eq!(report["artifacts"].as_array().unwrap().len(), 5);
    misp.world()
        .events
        .iter_mut()
        .skip(3)
        .for_each(|event| (event.timestamp, event.publish_timestamp) = (1, 1));
    let mut narrowed = job(
        &misp,
        json!({"window_days": 3650, "thehive_url": "https://thehive.example.org"}),
    );
    narrowed.as_object_mut().unwrap().remove("parameters");
    let report = Program::Import.report(&narrowed);
    assert_eq!(full(&report)["ledger"]["events"]["fetched"], 3);
}
