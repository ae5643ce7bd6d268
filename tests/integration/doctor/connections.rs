//! What the doctor says of several connections: settings of their own, organisations that may use them, feeds on the web.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::{Value, json};

use super::{access, config, names, nothing_was_changed, told};
use crate::desk::Desk;
use crate::feeds::web::shelf::{self, Shelf};
use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, full, of};
use crate::thehive;

fn two(first: &Fake, second: &Fake, settings: Value) -> Value {
    json!({
        "name": ["one", "two"], "url": [first.url(), second.url()], "key": [key("orgadmin"), key("orgadmin")],
        "purpose": ["ImportAndExport"], "instance": "hive.example.org", "connection_settings": settings,
    })
}

#[test]
fn each_is_looked_at_with_its_own_settings() {
    let (first, second) = (Fake::start(World::new()), Fake::start(World::new()));
    let own = json!([{"name": "two", "include_organisations": ["Nobody"], "exclude_tags": ["none:such"]}]);
    let found = told(Program::Import, &two(&first, &second, own), true);
    assert!(found.lines("one", "names").is_empty(), "{}", found.text);
    assert!(
        found
            .lines("two", "names")
            .iter()
            .any(|line| line.contains("Nobody")),
        "{}",
        found.text
    );
    let wrong = json!([{"name": "two", "distribution": 9}]);
    let found = told(Program::Export, &two(&first, &second, wrong), true);
    assert!(
        found
            .line("two", "settings")
            .starts_with("failed: configuration item \"distribution\" is above 4")
    );
    assert_eq!(found.checks("two"), ["settings", "not looked at"]);
    assert!(found.line("one", "version").starts_with("ok: "));
    let unknown = json!([{"name": "three"}]);
    let found = told(Program::Export, &two(&first, &second, unknown), true);
    assert!(
        found
            .line("configuration", "items")
            .contains("there is no such connection"),
        "{}",
        found.text
    );
    nothing_was_changed(&first);
    nothing_was_changed(&second);
}

#[test]
fn organisations_that_may_not_use_a_connection_are_named() {
    let misp = Fake::start(World::new());
    let said = |more: Value, has_failed: bool| {
        told(
            Program::Import,
            &config(&misp, "orgadmin", &more),
            has_failed,
        )
        .lines("corp", "organisations")
    };
    assert!(said(json!({}), false).is_empty());
    assert_eq!(
        said(json!({"include_thehive_organisations": ["cert"]}), false),
        ["ok: it is for certain organisations of TheHive only"]
    );
    let hive = thehive::Fake::start(thehive::World::five());
    let both = |list: Value| {
        json!({
            "thehive_organisations": ["cert", "soc"], "exclude_thehive_organisations": list,
            "thehive_url": hive.url(), "thehive_key": thehive::KEY,
        })
    };
    assert_eq!(
        said(both(json!(["guest"])), false),
        ["ok: cert, soc may use it"]
    );
    let denied = "it is not for TheHive's organisation \"soc\" (\"exclude_thehive_organisations\")";
    assert_eq!(
        said(both(json!(["soc"])), false),
        [format!("warning: {denied}")]
    );
    assert!(said(both(json!(["soc", "cert"])), true)[0].starts_with("failed: it is not for"));
}

#[test]
fn a_feed_on_the_web_is_looked_at_as_far_as_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let entry = json!({"5f0e5b5c-0000-4000-8000-000000000001": {"info": "One", "timestamp": "1"}});
    fs::write(folder.path().join("manifest.json"), entry.to_string()).unwrap();
    let shelf = Shelf::start(folder.path());
    let given = |url: String| json!({"name": ["feed"], "url": [url], "key": ["-"], "instance": "hive.example.org"});
    let found = told(Program::Import, &given(shelf::url(&shelf)), false);
    assert_eq!(
        found.checks("feed"),
        ["proxy", "name", "connection", "manifest"],
        "{}",
        found.text
    );
    assert!(
        found
            .line("feed", "connection")
            .contains("may be changed on the way"),
        "{}",
        found.text
    );
    assert_eq!(found.line("feed", "manifest"), "ok: 1 event");
    let misp = Fake::start(World::new());
    let found = told(Program::Import, &given(misp.url()), true);
    assert!(
        found.line("feed", "manifest").starts_with("failed: "),
        "{}",
        found.text
    );
}

/// Without `thehive_organisations` it is the one of the key's user, as in a run.
#[test]
fn the_users_own_organisation_is_looked_at_too() {
    for world in [thehive::World::four(), thehive::World::five()] {
        let (misp, hive) = (Fake::start(World::new()), thehive::Fake::start(world));
        let said = |list: Value, has_failed: bool| {
            let mut given = config(
                &misp,
                "orgadmin",
                &json!({"include_thehive_organisations": list}),
            );
            given
                .as_object_mut()
                .unwrap()
                .extend(access(&hive, thehive::KEY).as_object().unwrap().clone());
            told(Program::Import, &given, has_failed).line("corp", "organisations")
        };
        assert_eq!(said(json!(["CERT"]), false), "ok: cert may use it");
        assert!(
            said(json!(["soc"]), true)
                .starts_with("failed: it is not for TheHive's organisation \"cert\"")
        );
    }
}

/// A job that names no organisation is denied by a run, and a configuration alone is no job.
#[test]
fn a_job_of_no_organisation_may_use_nothing_that_is_for_some() {
    let misp = Fake::start(World::new());
    let config = config(
        &misp,
        "orgadmin",
        &json!({"exclude_thehive_organisations": ["soc"]}),
    );
    for (program, data_type, data) in [
        (Program::Export, "thehive:case", json!({"_id": "~1"})),
        (Program::Import, "other", json!("misp:sync")),
    ] {
        let said = |given: &Value, has_failed: bool| {
            told(program, given, has_failed).line("corp", "organisations")
        };
        let mut job = json!({"dataType": data_type, "data": data, "config": config});
        assert!(said(&job, true).contains("it is not known for which one this job runs"));
        job["parameters"] = json!({"organisation": "soc"});
        assert!(
            said(&job, true).starts_with("failed: it is not for TheHive's organisation \"soc\"")
        );
        job["parameters"] = json!({"organisation": "cert"});
        // Without TheHive no case can be exported.
        let has_failed = program == Program::Export;
        assert_eq!(said(&job, has_failed), "ok: cert may use it");
        assert_eq!(
            said(&config, false),
            "ok: it is for certain organisations of TheHive only"
        );
    }
}

/// A server that answers only once the other one was asked too.
fn answering_together(all: &Arc<Barrier>) -> String {
    let (listener, all) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::clone(all));
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            all.wait();
            drop(stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ));
        }
    });
    url
}

#[test]
fn one_that_hangs_keeps_no_other_waiting() {
    let all = Arc::new(Barrier::new(2));
    let urls = [answering_together(&all), answering_together(&all)];
    let given = json!({
        "name": ["one", "two"], "url": urls, "key": [key("admin"), key("admin")], "instance": "hive.example.org",
        "read_timeout": 5,
    });
    let found = told(Program::Import, &given, true);
    for name in ["one", "two"] {
        assert!(
            found.line(name, "version").contains("404"),
            "{}",
            found.text
        );
    }
    assert!(
        found.text.find("\none\n") < found.text.find("\ntwo\n"),
        "{}",
        found.text
    );
}

#[test]
fn a_feed_is_judged_as_an_export_finds_it() {
    let desk = Desk::with_feed(thehive::World::five(), &json!({}));
    desk.ioc("domain", "evil.example", &json!({}));
    let folder = desk.folder.path();
    let verdict = |check: &str, has_failed: bool| {
        told(Program::Export, &json!(desk.config), has_failed).line("misp-corp", check)
    };
    // The manifest is made from the event files, whatever stands there.
    fs::write(folder.join("manifest.json"), "broken").unwrap();
    let line = verdict("manifest", false);
    assert!(
        line.starts_with("warning: ") && line.contains("the next export writes it anew"),
        "{line}"
    );
    assert_eq!(names(folder), ["manifest.json"]);
    assert_eq!(
        counts(full(&desk.run()), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(verdict("manifest", false), "ok: 1 event");
    // Where no lock can be had, nothing is written.
    let lock = folder.join(".cortex-misp.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let line = verdict("folder", true);
    assert!(
        line.starts_with("failed: ") && line.contains(".cortex-misp.lock"),
        "{line}"
    );
    assert!(desk.run().to_string().contains("locking the feed"));
}
