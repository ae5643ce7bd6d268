//! What strangers write is no order: tags in our own words, texts that are commands, identities that join what does not
//! belong together. The inputs in `fixtures/faults/` stand for their kinds.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::alerts::writing::desk::Desk;
use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, failure, full, of};

/// The folder of a fault.
fn folder(name: &str) -> PathBuf {
    fs::canonicalize(Path::new("fixtures/faults").join(name)).unwrap()
}

/// A job of a fault, with what stands for its own folder and for servers filled in.
fn job(fault: &str, name: &str, filled: &[(&str, &str)]) -> Value {
    let text = fs::read_to_string(folder(fault).join(name)).unwrap();
    let text = text.replace("@HERE@", folder(fault).to_str().unwrap());
    serde_json::from_str(
        &filled
            .iter()
            .fold(text, |text, (name, value)| text.replace(name, value)),
    )
    .unwrap()
}

/// An import of a feed's folder without access to TheHive.
fn of_feed(feed: &Path, more: &Value) -> Value {
    let mut config =
        json!({"name": ["feed"], "url": [format!("file://{}", feed.display())], "max_age_days": 0});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Program::Import
        .report(&json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config}))
}

fn tags(one: &Value) -> Vec<&str> {
    one["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect()
}

#[test]
fn a_foreign_events_tag_in_our_words_never_reaches_the_alert() {
    let confidence = "misp:confidence-level=\"usually-confident\"";
    for (feed, expected, number, said) in [
        (
            "feed",
            vec!["src:Example Org", "tlp:green", confidence],
            2,
            "- 1 tag of the event and 1 tag of its attributes are words of this program and were left out",
        ),
        (
            "steer-event",
            vec!["src:Example Org", "tlp:green"],
            1,
            "- 1 tag of the event is a word of this program and was left out",
        ),
        (
            "steer-to",
            vec!["src:Example Org", "tlp:green"],
            1,
            "- 1 tag of the event is a word of this program and was left out",
        ),
        (
            "steer-withdrawn",
            vec!["src:Example Org", "tlp:green"],
            3,
            "- 3 tags of the event are words of this program and were left out",
        ),
    ] {
        let report = of_feed(&folder("16-steering-tags").join(feed), &json!({}));
        let full = full(&report);
        let alert = &full["alerts"][0];
        assert_eq!(tags(alert), expected, "{feed}");
        assert!(
            alert["description"]
                .as_str()
                .unwrap()
                .lines()
                .any(|line| line == said),
            "{alert:#}"
        );
        for one in alert["observables"]
            .as_array()
            .unwrap()
            .iter()
            .chain(report["artifacts"].as_array().unwrap())
        {
            assert_eq!(tags(one), [""; 0], "{one}");
        }
        let part = &full["connections"][0];
        assert_eq!(
            (&part["own_tags"], &part["events"][0]["own_tags"]),
            (&json!(number), &json!(number))
        );
        assert!(
            part["warnings"]
                .to_string()
                .contains("of this program and left out"),
            "{part:#}"
        );
    }
}

#[test]
fn filters_see_every_tag_as_misp_has_it() {
    let feed = folder("16-steering-tags").join("steer-to");
    let report = of_feed(&feed, &json!({"exclude_tags": ["misp:to=*"]}));
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"tag misp:to=* is excluded": 1})
    );
    let report = of_feed(&feed, &json!({"include_tags": ["misp:to=*"]}));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)])
    );
    let report = of_feed(
        &folder("16-steering-tags").join("feed"),
        &json!({"exclude_attribute_tags": ["misp:type=*"]}),
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 2), ("created", 1), ("skipped", 1)])
    );
}

/// Tags that would steer an export, and the way they are written by somebody who wants them to be overlooked.
const STEERING: [&str; 7] = [
    "misp:event=\"partner:0f67aa4e-893b-5020-b952-a31a639b2871\"",
    "MISP : To = \"partner\"",
    "\u{200b}misp:type=\"email-subject\"",
    "ｍｉｓｐ:object=\"file:11111111\"",
    "mіsp:composite=\"domain|ip:11111111\"",
    "misp:withdrawn",
    "SRC:CERT-EU",
];

#[test]
fn a_tag_in_our_words_reaches_no_alert_when_it_is_made_and_none_when_it_is_updated() {
    for desk in Desk::small(2) {
        let steering: Vec<_> = STEERING.iter().map(|tag| desk.tag(tag)).collect();
        let kept = desk.tag("misp:threat-level=\"no-risk\"");
        let all = || steering.iter().cloned().chain([kept.clone()]);
        desk.change("1", |event| event.tags.extend(all()));
        desk.add("1", "domain", "steered.example", |one| {
            one.tags.extend(all())
        });
        desk.import();
        // The other has its alert before the tags come.
        desk.change("2", |event| event.tags.extend(all()));
        desk.add("2", "domain", "steered.example", |one| {
            one.tags.extend(all())
        });
        let report = desk.import();
        assert_eq!(
            full(&report)["connections"][0]["own_tags"],
            14,
            "{report:#}"
        );
        for event in ["1", "2"] {
            let alert = desk.alert(event);
            let observable = desk.observable(&alert, "steered.example").unwrap();
            for one in [&alert, &observable] {
                let left: Vec<_> = tags(one)
                    .into_iter()
                    .filter(|tag| STEERING.contains(tag))
                    .collect();
                assert_eq!(left, [""; 0], "{one:#}");
                assert!(
                    tags(one).contains(&"misp:threat-level=\"no-risk\""),
                    "{one:#}"
                );
            }
            let said = "- 7 tags of the event and 7 tags of its attributes are words of this program and were left out";
            assert!(
                alert["description"].as_str().unwrap().contains(said),
                "{alert:#}"
            );
        }
        desk.rests();
    }
}

#[test]
fn an_address_of_an_event_is_its_command_whatever_stands_behind_it() {
    let misp = Fake::start(World::with_corpus());
    let event = misp.world().event("25").unwrap().clone();
    let (uuid, attribute) = (event.uuid.as_str(), event.attributes[0].uuid.as_str());
    for name in [
        "job-extended.json",
        "job-focus.json",
        "job-json.json",
        "job-pivot.json",
        "job-query.json",
    ] {
        for named in ["25", uuid] {
            let admin = key("admin");
            let filled = [
                ("@MISP@", misp.url()),
                ("@KEY@", admin.clone()),
                ("@EVENT@", named.to_owned()),
                ("@ATTRIBUTE_UUID@", attribute.to_owned()),
            ];
            let filled: Vec<_> = filled
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let mut job = job("19-event-address", name, &filled);
            let config = json!({"max_age_days": 0, "max_attributes": 0, "published_only": false});
            job["config"]
                .as_object_mut()
                .unwrap()
                .extend(config.as_object().unwrap().clone());
            let report = Program::Import.report(&job);
            assert_eq!(
                full(&report)["alerts"][0]["sourceRef"],
                uuid,
                "{name} {report:#}"
            );
        }
    }
}

#[test]
fn an_import_makes_no_observable_that_would_be_a_command() {
    let misp = Fake::start(World::with_corpus());
    let fault = "21-command-from-an-event";
    let scratch = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder(fault).join("feed")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("@MISP@", &misp.url());
        fs::write(scratch.path().join(path.file_name().unwrap()), text).unwrap();
    }
    let mut import = job(fault, "job-import.json", &[]);
    let admin = key("admin");
    import["config"]["name"] = json!(["feed", "m"]);
    import["config"]["url"] = json!([format!("file://{}", scratch.path().display()), misp.url()]);
    import["config"]["key"] = json!(["-", admin]);
    import["config"]["purpose"] = json!(["ImportOnly", "ImportOnly"]);
    import["parameters"] = json!({"since": "all", "connection": "feed"});
    let report = Program::Import.report(&import);
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 3), ("created", 3)])
    );
    assert_eq!(full(&report)["connections"][0]["stand_ins"], 3);
    assert!(
        full(&report)["connections"][0]["warnings"]
            .to_string()
            .contains("a command of this program")
    );
    assert_eq!(report["artifacts"], json!([]));
    let observables = full(&report)["alerts"][0]["observables"]
        .as_array()
        .unwrap()
        .clone();
    let told: Vec<_> = observables
        .iter()
        .map(|one| one["message"].as_str().unwrap())
        .collect();
    let page = format!("{}/events/view/7", misp.url());
    for (told, value) in told.iter().zip([
        "misp:sync",
        "misp:event:aaaa0001-0000-4000-8000-000000000002",
        &page,
    ]) {
        assert!(told.trim_start_matches('`').starts_with(value), "{told}");
    }
    for (place, one) in observables.iter().enumerate() {
        let uuid = format!("bbbb0001-0000-4000-8000-00000000000{}", place + 1);
        assert_eq!(
            (&one["data"], &one["ioc"]),
            (&json!(format!("misp-attribute:{uuid}")), &json!(false)),
            "{one}"
        );
        let mut click = import.clone();
        (click["data"], click["parameters"]) = (one["data"].clone(), json!({}));
        assert!(failure(&Program::Import.report(&click)).contains("look that value up"));
    }
}

#[test]
fn a_click_follows_a_command_only_if_the_administrator_allows_it() {
    let misp = Fake::start(World::with_corpus());
    let admin = key("admin");
    let mut click = job(
        "21-command-from-an-event",
        "job-click.json",
        &[("@MISP@", &misp.url()), ("@KEY@", &admin)],
    );
    click["config"]["thehive_url"] = Value::Null;
    click["config"]["thehive_key"] = Value::Null;
    let of_thehive = json!({"organisation": "soc", "user": "analyst@example.org"});
    // As TheHive sends a click, and as Cortex's module for MISP does.
    let clicks = [
        json!({"message": "47", "parameters": of_thehive}),
        json!({"message": "", "tlp": 0, "pap": 0}),
    ];
    for more in clicks {
        let mut job = click.clone();
        job.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        for data in [
            "misp:sync".to_owned(),
            "misp:sync:m".to_owned(),
            format!("{}/events/view/25", misp.url()),
        ] {
            job["data"] = json!(data);
            misp.forget_requests();
            let told = Program::Import.report(&job);
            assert!(
                failure(&told).contains("\"observable_commands\""),
                "{told:#}"
            );
            assert!(misp.requests().is_empty());
        }
        job["data"] = json!("evil.example");
        assert!(full(&Program::Import.report(&job))["value"].is_string());
        job["data"] = json!("misp:sync");
        job["config"]["observable_commands"] = json!(true);
        assert!(
            full(&Program::Import.report(&job))["ledger"]["events"]["fetched"].as_u64() > Some(0)
        );
        job["config"]["observable_commands"] = json!(false);
        job["parameters"]["command"] = json!("misp:sync");
        assert!(
            full(&Program::Import.report(&job))["ledger"]["events"]["fetched"].as_u64() > Some(0)
        );
    }
}

#[test]
fn an_object_joins_only_what_its_event_and_its_uuid_join() {
    let scratch = tempfile::tempdir().unwrap();
    let mut job = job("22-object-of-another", "job.json", &[]);
    job["config"]["url"] = json!([format!("file://{}", scratch.path().display())]);
    let exported = |job: &Value| {
        let report = Program::Export.report(job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 4), ("created", 4)]),
            "{report:#}"
        );
        let uuid = full(&report)["connections"][0]["events"][0]["uuid"]
            .as_str()
            .unwrap()
            .to_owned();
        let text = fs::read_to_string(scratch.path().join(format!("{uuid}.json"))).unwrap();
        (
            report,
            serde_json::from_str::<Value>(&text).unwrap()["Event"].clone(),
        )
    };
    let (report, event) = exported(&job);
    assert_eq!(
        event["Object"].as_array().map_or(0, Vec::len),
        0,
        "{event:#}"
    );
    assert_eq!(event["Attribute"].as_array().unwrap().len(), 4);
    let warnings = full(&report)["connections"][0]["warnings"]
        .as_array()
        .unwrap();
    let remarks: Vec<_> = warnings
        .iter()
        .filter(|one| one.to_string().contains("version 1.0"))
        .collect();
    assert_eq!(remarks.len(), 1, "{warnings:#?}");
    assert!(
        remarks[0]
            .as_str()
            .unwrap()
            .starts_with("4 IOCs go out without"),
        "{}",
        remarks[0]
    );
    // The same object's uuid in two events: each name stays with the hash of its own event.
    let object = "12345678-0000-4000-8000-000000000000";
    let events = [
        "aaaa0001-0000-4000-8000-000000000001",
        "bbbb0001-0000-4000-8000-000000000001",
    ];
    for (place, event) in [
        (0, events[0]),
        (1, events[0]),
        (2, events[1]),
        (3, events[1]),
    ] {
        job["data"]["observables"][place]["tags"] =
            json!([format!("misp:object=\"file:{event}:{object}\"")]);
    }
    job["data"]["_id"] = json!("~rt10");
    let (_, event) = exported(&job);
    let objects = event["Object"].as_array().unwrap();
    let values: Vec<_> = objects[0]["Attribute"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["value"].clone())
        .collect();
    assert_eq!((objects.len(), values.len()), (1, 2), "{event:#}");
    assert!(
        values.contains(&json!("real-malware.exe")) && values.contains(&json!("a".repeat(64))),
        "{values:?}"
    );
}
