//! Options of one connection alone, through the real programs.

use serde_json::{Value, json};

use crate::desk::{Desk, laid};
use crate::misp::{self, Fake, key};
use crate::program::{Program, counts, failure, full, of};
use crate::thehive::World;

/// A job of the desk to its own MISP, "one", and to another, "two".
fn two(desk: &Desk, second: &Fake, settings: Value) -> Value {
    let lists = json!({
        "name": ["one", "two"], "url": [desk.misp.url(), second.url()], "key": [key("admin"), key("admin")],
        "purpose": ["ExportOnly"], "connection_settings": settings,
    });
    let mut job = desk.job();
    job["config"] = laid(job["config"].clone(), &lists);
    job
}

#[test]
fn an_export_to_one_can_differ_from_that_to_another() {
    let desk = Desk::new(World::five(), &json!({"tags": ["internal", "apt"]}));
    desk.ioc("ip", "198.51.100.7", &json!({"tags": ["seen"]}));
    let second = Fake::start(misp::World::new());
    let own = json!({
        "name": "two", "distribution": "1", "export_case_tags": true, "exclude_export_tags": ["internal"],
        "event_info": "Partner: {title}", "type_mapping": ["ip=Network activity/ip-src"],
        // An option of the import, which shares the configuration.
        "max_age_days": 3,
    });
    for settings in [json!([own.to_string()]), json!([null, own])] {
        let report = Program::Export.report(&two(&desk, &second, settings));
        assert_eq!(
            counts(full(&report), "observables").get("failed"),
            None,
            "{report:#}"
        );
        let (one, two) = (desk.event(), second.world().events[0].clone());
        assert_eq!((one.info.as_str(), one.distribution), ("Phishing wave", 0));
        assert_eq!(
            (two.info.as_str(), two.distribution),
            ("Partner: Phishing wave", 1)
        );
        assert_eq!(
            (
                one.attributes[0].kind.as_str(),
                two.attributes[0].kind.as_str()
            ),
            ("ip-dst", "ip-src")
        );
        let names = |world: &misp::World, event: &misp::Event| world.names(&event.tags).join(" ");
        assert!(!names(&desk.misp.world(), &one).contains("apt"));
        let tags = names(&second.world(), &two);
        assert!(tags.contains("apt") && !tags.contains("internal"), "{tags}");
    }
}

#[test]
fn an_import_from_one_can_differ_from_that_from_another() {
    let (first, second) = (
        Fake::start(misp::World::with_corpus()),
        Fake::start(misp::World::with_corpus()),
    );
    let count = |settings: Value, parameters: Value| {
        let job = json!({"dataType": "other", "data": "misp:sync", "tlp": 0, "pap": 0, "parameters": parameters, "config": {
            "name": ["one", "two"], "url": [first.url(), second.url()], "key": [key("admin"), key("admin")],
            "max_age_days": 0, "max_attributes": 0, "published_only": false, "max_artifacts": 1,
            "connection_settings": settings,
        }});
        let report = Program::Import.report(&job);
        let parts = full(&report)["connections"].as_array().unwrap();
        parts
            .iter()
            .map(|part| counts(part, "events")["created"])
            .collect::<Vec<_>>()
    };
    let all = json!({"since": "all"});
    assert_eq!(count(json!(null), all.clone()), [34, 34]);
    let [one, two] = count(
        json!([{"name": "two", "include_tags": ["tlp:white"]}]),
        all.clone(),
    )
    .try_into()
    .unwrap();
    assert!(one == 34 && two < 34, "{one} {two}");
    // What is not set there is as for all.
    assert_eq!(
        count(json!([{"name": "one", "published_only": ""}]), all),
        [34, 34]
    );
}

#[test]
fn a_purpose_of_its_own_decides() {
    let desk = Desk::new(World::four(), &json!({}));
    desk.ioc("domain", "evil.example", &json!({}));
    let second = Fake::start(misp::World::new());
    let report = Program::Export.report(&two(
        &desk,
        &second,
        json!([{"name": "two", "purpose": "ImportOnly"}]),
    ));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(second.requests().is_empty());
}

#[test]
fn a_wrong_setting_stops_everything_before_anything_is_sent() {
    let desk = Desk::new(World::four(), &json!({}));
    let second = Fake::start(misp::World::new());
    for (settings, expected) in [
        (
            json!([{"name": "three"}]),
            "there is no such connection: the names are \"one\", \"two\"",
        ),
        (
            json!([{"name": "two", "distributoin": 1}]),
            "\"distributoin\" is no option that a connection can have",
        ),
        (
            json!([{"name": "two", "distribution": 5}]),
            "the settings of connection \"two\": configuration item \"distribution\" is above 4",
        ),
        (
            json!([{"name": "two", "instance": "x"}]),
            "\"instance\" holds for all connections",
        ),
        (
            json!([{"name": "two", "key": "canary-key-0123456789"}]),
            "\"key\" holds for all connections",
        ),
        // An empty element counts: who looks for the wrong one counts as the form does.
        (
            json!([null, "", {"name": "three"}]),
            "\"connection_settings\" (element 3), connection \"three\"",
        ),
        (
            json!(["{\"name\": \"two\", \"proxy\": \"http://u:canary-key-0123456789@p\""]),
            "is a text that is no JSON",
        ),
    ] {
        let report = Program::Export.report(&two(&desk, &second, settings));
        assert!(failure(&report).contains(expected), "{report:#}");
        assert!(!report.to_string().contains("canary-key"));
    }
    assert!(
        desk.misp.requests().is_empty()
            && second.requests().is_empty()
            && desk.thehive.requests().is_empty()
    );
}

/// One of several connections is for import only unless it says otherwise: that is what is wrong then, not its name.
#[test]
fn a_connection_that_may_not_do_the_work_is_not_said_to_be_missing() {
    let desk = Desk::new(World::four(), &json!({}));
    let second = Fake::start(misp::World::new());
    let mut job = two(&desk, &second, json!(null));
    job["config"]["purpose"] = json!(["ExportOnly", null]);
    job["parameters"]["connection"] = json!("two");
    let message = failure(&Program::Export.report(&job)).to_owned();
    let expected = "connection \"two\" may not export: its \"purpose\" is ImportOnly";
    assert!(message.contains(expected), "{message}");
    job["parameters"]["connection"] = json!("three");
    let message = failure(&Program::Export.report(&job)).to_owned();
    assert!(
        message.contains("there is no connection of the name that the job asks for"),
        "{message}"
    );
}
