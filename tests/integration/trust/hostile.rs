//! Servers, folders and callers of bad will. Each case once broke a promise.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, failure, full, of};

fn import(misp: &Fake) -> Value {
    json!({
        "dataType": "other", "data": "misp:sync", "parameters": {"since": "all"},
        "config": {"name": ["partner"], "url": [misp.url()], "key": [key("admin")], "max_age_days": 0, "max_attributes": 0, "published_only": false},
    })
}

fn export(url: &str, observables: Value) -> Value {
    json!({
        "dataType": "thehive:case",
        "data": {"_id": "~1", "caseId": 1, "title": "T", "startDate": 1_795_000_000_000_i64, "tlp": 1, "observables": observables},
        "config": {"name": ["corp"], "url": [url], "key": [key("admin")], "instance": "test.example"},
    })
}

fn domains(number: usize) -> Value {
    (0..number)
        .map(|n| json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true, "tlp": 1}))
        .collect()
}

/// No beginning of a key may stand at a cut either.
fn has_no_part_of(key: &str, report: &Value) {
    let text = report.to_string();
    assert!(!text.contains(&key[..6]), "{text}");
}

#[test]
fn a_key_that_a_cut_would_halve_is_removed_before_the_cut() {
    let misp = Fake::start(World::with_corpus());
    let key = key("admin");
    for before in [970, 980, 990, 995] {
        let echo = json!({"message": format!("{}{key}", "a".repeat(before)), "errors": {"x": [format!("{}{key}", "b".repeat(before))]}});
        misp.heal();
        misp.fault(Fault {
            on: "/servers/getVersion",
            nth: Nth::Always,
            what: What::Status(403, echo.to_string(), "application/json"),
        });
        has_no_part_of(&key, &Program::Import.report(&import(&misp)));
        misp.heal();
        misp.fault(Fault {
            on: "/servers/getVersion",
            nth: Nth::Always,
            what: What::Redirect(format!("https://x.example/{}{key}", "c".repeat(before))),
        });
        has_no_part_of(&key, &Program::Import.report(&import(&misp)));
    }
    misp.heal();
    misp.world().events.truncate(1);
    for before in [60, 80, 95] {
        misp.world().events[0].info = format!("{}{key}", "a".repeat(before));
        has_no_part_of(&key, &Program::Import.report(&import(&misp)));
    }
}

#[test]
fn a_key_in_an_observable_or_a_title_goes_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "thehive-canary-0123456789";
    let observables = json!([
        {"dataType": "url", "data": format!("http://x.example/{secret}"), "ioc": true, "tlp": 1},
        {"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 1, "message": format!("see {secret}")},
        {"dataType": "domain", "data": "b.example", "ioc": true, "tlp": 1, "message": "clean"},
    ]);
    let mut job = export(&format!("file://{}", folder.path().display()), observables);
    job["config"]["key"] = json!(["-"]);
    // A secret of the configuration, whatever it is for.
    job["config"]["instance_secret"] = json!(secret);
    let report = Program::Export.report(&job);
    // What goes out is never rewritten: an item with a whole key in it stays.
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 1), ("failed", 2)])
    );
    for entry in fs::read_dir(folder.path()).unwrap() {
        assert!(
            !fs::read_to_string(entry.unwrap().path())
                .unwrap()
                .contains("canary")
        );
    }
    job["data"]["title"] = json!(format!("T {secret}"));
    assert!(failure(&Program::Export.report(&job)).contains("the case's title carries a key"));
}

#[test]
fn a_refusal_after_the_first_list_is_no_failure_in_which_nothing_was_sent() {
    let misp = Fake::start(World::new());
    let refusal = || {
        What::Status(
            403,
            json!({"message": "Disabled."}).to_string(),
            "application/json",
        )
    };
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Only(2),
        what: refusal(),
    });
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(2),
        what: refusal(),
    });
    let report = Program::Export.report(&export(&misp.url(), domains(1_500)));
    assert_eq!(
        full(&report)["ledger"]["observables"]["failed_by"],
        json!({"not sent": 500})
    );
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: ")
    );
    let again = Program::Export.report(&export(&misp.url(), domains(1_500)));
    assert_eq!(
        counts(full(&again), "observables"),
        of([("fetched", 1_500), ("created", 500), ("unchanged", 1_000)])
    );
}

#[test]
fn one_connection_that_is_well_makes_the_run_no_failure() {
    let (folder, misp) = (tempfile::tempdir().unwrap(), Fake::start(World::new()));
    let mut job = import(&misp);
    job["config"]["name"] = json!(["down", "well"]);
    job["config"]["url"] = json!([
        "file:///nonexistent/feed",
        format!("file://{}", folder.path().display())
    ]);
    job["config"]["key"] = json!(["-", "-"]);
    let report = Program::Import.report(&job);
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: 0 events read"),
        "{report:#}"
    );
    assert_eq!(full(&report)["connections"].as_array().unwrap().len(), 2);
}

#[test]
fn more_elements_than_were_asked_for_are_not_collected() {
    let misp = Fake::start(World::with_corpus());
    let rows = format!("[{}1", "{},".repeat(2_000_000));
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Always,
        what: What::Body(rows),
    });
    // An export asks for the index where MISP breaks down over the event itself.
    misp.fault(Fault {
        on: "/events/restSearch",
        nth: Nth::Always,
        what: What::Status(500, "{}".into(), "application/json"),
    });
    for report in [
        Program::Import.report(&import(&misp)),
        Program::Export.report(&export(&misp.url(), domains(1))),
    ] {
        assert!(
            failure(&report).contains("the server sends more than the 500 elements asked for"),
            "{report}"
        );
    }
    misp.heal();
    misp.world().events.truncate(1);
    let object = format!(
        "{{\"Event\": {{\"Object\": [{{\"Attribute\": [{}{{}}]}}]}}}}",
        "{},".repeat(100_000)
    );
    misp.fault(Fault {
        on: "/events/view/",
        nth: Nth::Always,
        what: What::Body(object),
    });
    let report = Program::Import.report(&import(&misp));
    let attributes = &full(&report)["ledger"]["attributes"];
    assert_eq!(
        (&attributes["fetched"], &attributes["failed"]),
        (&json!(100_001), &json!(100_001)),
        "{attributes:#}"
    );
    assert!(
        attributes["failed_by"]
            .to_string()
            .contains("than are read of one\":80001"),
        "{attributes:#}"
    );
}

#[test]
fn texts_without_end_do_not_fill_the_report() {
    let misp = Fake::start(World::with_corpus());
    let long = "s".repeat(3 << 20);
    for (on, body) in [
        ("/servers/getVersion", json!({"version": long})),
        ("/events/index", json!(long)),
        ("/events/view/", json!({"Event": {"Attribute": long}})),
        (
            "/events/view/",
            json!({"Event": {"Attribute": [{"type": "text", "value": long}]}}),
        ),
    ] {
        misp.heal();
        misp.fault(Fault {
            on,
            nth: Nth::Always,
            what: What::Body(body.to_string()),
        });
        // The harness judges the size.
        Program::Import.report(&import(&misp));
    }
    misp.heal();
    let mut errors = json!({});
    (0..12).for_each(|n| errors[format!("attribute_{n}")] = json!({"value": [long[..1 << 20]]}));
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Always,
        what: What::Body(json!({"errors": errors}).to_string()),
    });
    let report = Program::Export.report(&export(&misp.url(), domains(12)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 12), ("failed", 12)])
    );
}

#[test]
fn an_answer_that_is_no_event_is_no_empty_alert() {
    let misp = Fake::start(World::with_corpus());
    misp.world().events.truncate(1);
    for body in [
        "{\"saved\": false, \"message\": \"x\"}",
        "{}",
        "[]",
        "null",
        "{\"response\": []}",
    ] {
        misp.heal();
        misp.fault(Fault {
            on: "/events/view/",
            nth: Nth::Always,
            what: What::Body(body.into()),
        });
        assert!(
            failure(&Program::Import.report(&import(&misp))).contains("reading the event"),
            "{body}"
        );
    }
}

#[test]
fn an_event_of_another_organisation_is_not_written_even_by_an_administrator() {
    let misp = Fake::start(World::new());
    Program::Export.report(&export(&misp.url(), domains(1)));
    misp.world().events[0].orgc = 2;
    misp.forget_requests();
    let before = format!("{:?}", misp.world().events[0]);
    let report = Program::Export.report(&export(&misp.url(), domains(2)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    let world = misp.world();
    assert_eq!(format!("{:?}", world.events[0]), before);
    assert_eq!(
        (world.events.len(), world.events[1].attributes.len()),
        (2, 2),
        "the IOCs have an event of their own"
    );
}

#[test]
fn what_is_red_now_and_stands_in_a_feed_is_taken_out_and_is_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = export(&format!("file://{}", folder.path().display()), domains(2));
    job["config"]["key"] = json!(["-"]);
    Program::Export.report(&job);
    job["data"]["observables"][0]["tlp"] = json!(4);
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("unchanged", 1), ("skipped", 1)])
    );
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message.starts_with("INCOMPLETE: ")
            && message.contains("whoever pulled it before has them"),
        "{message}"
    );
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("updated", 1)])
    );
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("host-0.example"), "{text}");
    }
}

#[test]
fn only_the_boolean_true_makes_an_ioc() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        json!("true"),
        json!(1),
        json!("yes"),
        json!(2),
        json!(-1),
        json!(null),
        json!([true]),
        json!(false),
    ];
    let observables: Value = flags
        .iter()
        .map(|flag| json!({"dataType": "ip", "data": "192.0.2.1", "ioc": flag}))
        .collect();
    let mut job = export(&format!("file://{}", folder.path().display()), observables);
    job["config"]["key"] = json!(["-"]);
    let report = Program::Export.report(&job);
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"not an IOC": 8})
    );
}

#[test]
fn pipes_devices_and_links_in_a_feed_neither_stop_nor_lead_astray() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let mut job = export(&url, domains(1));
    job["config"]["key"] = json!(["-"]);
    Program::Export.report(&job);
    let other = "5f0e5b5c-0000-4000-8000-000000000001.json";
    assert!(
        Command::new("mkfifo")
            .arg(folder.path().join(other))
            .status()
            .unwrap()
            .success()
    );
    fs::remove_file(folder.path().join("hashes.csv")).unwrap();
    symlink("/dev/zero", folder.path().join("hashes.csv")).unwrap();
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("unchanged", 1)])
    );
    assert!(
        full(&report)["connections"][0]["warnings"]
            .to_string()
            .contains("it is no regular file")
    );
    assert!(
        fs::symlink_metadata(folder.path().join("hashes.csv"))
            .unwrap()
            .is_file()
    );
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::remove_file(folder.path().join(".cortex-misp.lock")).unwrap();
    symlink(&victim, folder.path().join(".cortex-misp.lock")).unwrap();
    assert!(
        failure(&Program::Export.report(&job)).contains("symbolic link, which is not followed")
    );
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(folder.path().join("manifest.json"))
            .status()
            .unwrap()
            .success()
    );
    let read = json!({"dataType": "other", "data": "misp:sync", "config": {"name": ["feed"], "url": [url]}});
    assert!(failure(&Program::Import.report(&read)).contains("it is no regular file"));
}

#[test]
fn an_id_that_is_a_path_asks_nothing() {
    let misp = Fake::start(World::new());
    for id in ["..", "~1/../../x", "a b", "%2e%2e"] {
        let mut job = export(&misp.url(), json!([]));
        job["data"]["_id"] = json!(id);
        job["config"]["thehive_url"] = json!(misp.url());
        job["config"]["thehive_key"] = json!("canary-key-0123");
        let report = Program::Export.report(&job);
        assert!(
            failure(&report).contains("is not that of a case"),
            "{}",
            failure(&report)
        );
    }
    assert!(misp.requests().is_empty());
}

#[test]
fn events_over_several_pages_are_each_read_once() {
    let misp = Fake::start(World::with_corpus());
    {
        let mut world = misp.world();
        let model = world.events[2].clone();
        for n in 0..1_200_u64 {
            let uuid = format!("5f0e5b5c-0000-4000-8000-{n:012}");
            world.events.push(crate::misp::Event {
                id: 1_000 + n,
                uuid,
                published: true,
                ..model.clone()
            });
        }
    }
    let report = Program::Import.report(&import(&misp));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1_234), ("created", 1_234)])
    );
    assert_eq!(full(&report)["left_out"]["events"], 1_234 - 300);
}

#[test]
fn the_stricter_of_two_observables_of_one_value_decides_in_a_feed() {
    let folder = tempfile::tempdir().unwrap();
    let observables = json!([
        {"dataType": "hostname", "data": "secret.example.com", "ioc": true, "tlp": 4},
        {"dataType": "fqdn", "data": "SECRET.example.com", "ioc": true, "tlp": 1},
        {"dataType": "ip", "data": "192.0.2.1", "ioc": true, "tlp": 1},
    ]);
    let mut job = export(&format!("file://{}", folder.path().display()), observables);
    job["config"]["key"] = json!(["-"]);
    for verdict in ["created", "unchanged"] {
        let report = Program::Export.report(&job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), (verdict, 1), ("skipped", 2)])
        );
        assert!(
            !full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE")
        );
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        assert!(
            !fs::read_to_string(entry.unwrap().path())
                .unwrap()
                .contains("secret.example.com")
        );
    }
}

#[test]
fn an_event_of_more_attributes_than_any_list_can_be_exported_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = export(
        &format!("file://{}", folder.path().display()),
        domains(20_001),
    );
    job["config"]["key"] = json!(["-"]);
    assert_eq!(
        counts(full(&Program::Export.report(&job)), "observables"),
        of([("fetched", 20_001), ("created", 20_001)])
    );
    assert_eq!(
        counts(full(&Program::Export.report(&job)), "observables"),
        of([("fetched", 20_001), ("unchanged", 20_001)])
    );
}

#[test]
fn keys_in_long_texts_of_events_are_removed_before_the_cut() {
    let misp = Fake::start(World::with_corpus());
    let key = key("admin");
    misp.world().events.truncate(1);
    let long = |before: usize| format!("{}{key}", "x".repeat(before));
    for before in [270, 290, 1_965, 1_990, 7_980] {
        {
            let mut world = misp.world();
            let event = &mut world.events[0];
            event.info = long(before);
            event.attributes.truncate(1);
            event.attributes[0].comment = long(before);
            event.attributes[0].to_ids = true;
        }
        has_no_part_of(&key, &Program::Import.report(&import(&misp)));
    }
    misp.fault(Fault {
        on: "/servers/getVersion",
        nth: Nth::Always,
        what: What::Body(json!({"version": format!("2{key}")}).to_string()),
    });
    has_no_part_of(&key, &Program::Import.report(&import(&misp)));
    misp.heal();
    let errors =
        json!({"message": "no", "errors": {"type": long(980), "kind": [key.repeat(1_000)]}});
    misp.fault(Fault {
        on: "/events/add",
        nth: Nth::Always,
        what: What::Status(403, errors.to_string(), "application/json"),
    });
    has_no_part_of(
        &key,
        &Program::Export.report(&export(&misp.url(), domains(1))),
    );
}

#[test]
fn lists_that_are_not_sorted_or_not_filtered_lose_and_double_nothing() {
    let misp = Fake::start(World::with_corpus());
    let row = |id: u64, published: i64, changed: i64| {
        json!({"id": id.to_string(), "uuid": format!("5f0e5b5c-0000-4000-8000-{id:012}"), "info": "x", "date": "2026-01-01", "published": true,
            "publish_timestamp": published, "timestamp": changed, "Orgc": {"name": "O"}})
    };
    let unsorted = json!([row(2, 9, 9), row(1, 9, 9)]).to_string();
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(1),
        what: What::Body(unsorted),
    });
    assert!(failure(&Program::Import.report(&import(&misp))).contains("does not sort its events"));
    // Both lists hold the same rows: those of the window are taken once, the others not at all.
    misp.heal();
    let now = misp.world().now;
    let same = json!([
        row(1, now, now),
        row(2, now, 1),
        row(3, 0, now),
        row(4, 1, 1)
    ])
    .to_string();
    misp.heal();
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(1),
        what: What::Body(same.clone()),
    });
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(2),
        what: What::Body("[]".into()),
    });
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(3),
        what: What::Body(same),
    });
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Only(4),
        what: What::Body("[]".into()),
    });
    let mut windowed = import(&misp);
    windowed["parameters"]["since"] = json!((now - 100).to_string());
    let report = Program::Import.report(&windowed);
    assert_eq!(report["success"], false);
    assert!(
        failure(&report).contains("events 3 fetched: 3 failed"),
        "{}",
        failure(&report)
    );
}

#[test]
fn a_refusal_of_all_attributes_is_no_success_and_no_update() {
    let misp = Fake::start(World::new());
    Program::Export.report(&export(&misp.url(), domains(1)));
    let errors = json!({"message": "Could not add Attribute", "errors": {"attribute_0": {"value": ["Blocked."]}}});
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Always,
        what: What::Status(403, errors.to_string(), "application/json"),
    });
    let mut job = export(
        &misp.url(),
        json!([{"dataType": "ip", "data": "192.0.2.1", "ioc": true, "tlp": 1}]),
    );
    job["config"]["instance"] = json!("test.example");
    assert!(failure(&Program::Export.report(&job)).contains("refused by MISP: Blocked."));
}

#[test]
fn an_address_in_a_connections_name_is_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = export(
        &format!("file://{}", folder.path().display()),
        json!([{"dataType": "domain", "data": "misp.evil.example", "ioc": true, "tlp": 1}]),
    );
    job["config"]["name"] = json!(["misp@cert"]);
    job["config"]["key"] = json!(["-"]);
    fs::create_dir(folder.path().join(".x.cortex-misp.tmp")).unwrap();
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(
        report["operations"][0]["tag"]
            .as_str()
            .unwrap()
            .starts_with("misp:event=\"misp@cert:")
    );
}

#[test]
fn many_tags_on_one_value_do_not_stop_the_run() {
    let misp = Fake::start(World::with_corpus());
    misp.world().events.truncate(1);
    let tags = |n: usize| {
        (0..100)
            .map(|t| json!({"name": format!("tag-{n}-{t}")}))
            .collect::<Vec<_>>()
    };
    let attributes: Vec<_> = (0..2_000).map(|n| json!({"type": "ip-dst", "category": "Network activity", "value": "192.0.2.1", "to_ids": true, "Tag": tags(n)})).collect();
    misp.fault(Fault {
        on: "/events/view/",
        nth: Nth::Always,
        what: What::Body(json!({"Event": {"Attribute": attributes}}).to_string()),
    });
    let report = Program::Import.report(&import(&misp));
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 2_000), ("created", 2_000)])
    );
    assert_eq!(
        report["artifacts"][0]["tags"].as_array().unwrap().len(),
        100
    );
}
