//! Feeds that break off, move, or are not there: nothing is lost or doubled, and the report says what is wrong.

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use cortex_misp::time::Clock;
use serde_json::{Map, Value, json};

use super::shelf::{Shelf, url};
use super::{at_once, corpus, desk, event, folder_url, held, import, list, open, run, small, uuid};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, failure, full, of};
use crate::thehive::World;

const MANIFEST: &str = "/manifest.json";

fn cut(on: &'static str, nth: Nth, after: usize) -> Fault {
    Fault { on, nth, what: What::CutAfter(after) }
}

fn status(status: u16) -> What {
    What::Status(status, "<h1>No</h1>".to_owned(), "text/html")
}

#[test]
fn a_manifest_that_breaks_off_is_listed_whole_and_once() {
    let folder = corpus(usize::MAX);
    let shelf = Shelf::start(folder.path());
    let misp = open(&url(&shelf), Clock::start(1));
    let (expected, _) = list(&misp);
    assert_eq!(expected.len(), 34);
    let length = fs::read(folder.path().join("manifest.json")).unwrap().len();
    let mut with_some = 0;
    for after in (0..length).step_by(1_000) {
        // Cut once; then cut again at an earlier place, and at a later one.
        let (earlier, later) = (after / 2, (after + length) / 2);
        for cuts in [vec![after], vec![after, earlier], vec![after, earlier, later]] {
            shelf.heal();
            shelf.forget_requests();
            cuts.iter().enumerate().for_each(|(n, after)| shelf.fault(cut(MANIFEST, Nth::Only(n + 1), *after)));
            let (listed, ended) = list(&misp);
            assert!(ended.is_ok() && listed == expected, "{cuts:?}: {ended:?} {listed:?}");
            assert_eq!(shelf.requests().len(), cuts.len() + 1);
        }
        // Cut always.
        shelf.heal();
        shelf.forget_requests();
        shelf.fault(cut(MANIFEST, Nth::Always, after));
        let (listed, ended) = list(&misp);
        assert!(format!("{:#}", ended.unwrap_err()).contains("the answer broke off"));
        assert_eq!((listed.as_slice(), shelf.requests().len()), (&expected[..listed.len()], 4));
        with_some += usize::from(!listed.is_empty());
    }
    assert!(with_some > 10, "the cuts were all before the first event");
}

#[test]
fn what_a_broken_manifest_did_not_show_is_not_taken_for_gone_and_comes_with_the_next_run() {
    let folder = small(60);
    for hive in [World::four, World::five] {
        let shelf = Shelf::start(folder.path());
        let desk = desk(&url(&shelf), hive(), &json!({"mark_withdrawn": true}));
        let length = fs::read(folder.path().join("manifest.json")).unwrap().len();
        shelf.fault(cut(MANIFEST, Nth::Always, length / 2));
        let report = run(&desk, &shelf);
        let created = counts(&report["full"], "events")["created"];
        assert!((1..60).contains(&created) && held(&desk).len() as u64 == created, "{report:#}");
        assert!(full(&report)["message"].as_str().unwrap().starts_with("INCOMPLETE: "));
        shelf.heal();
        run(&desk, &shelf);
        assert_eq!(held(&desk).len(), 60);
        shelf.fault(cut(MANIFEST, Nth::Always, length / 3));
        run(&desk, &shelf);
        desk.wrote_nothing();
    }
}

#[test]
fn a_manifest_that_changes_between_two_attempts_is_not_mixed() {
    let folder = small(60);
    let bytes = fs::read(folder.path().join("manifest.json")).unwrap();
    let manifest: Map<String, Value> = serde_json::from_slice(&bytes).unwrap();
    let (mut other, mut shorter) = (manifest.clone(), manifest.clone());
    other.shift_remove(&uuid(1));
    shorter.retain(|key, _| *key == uuid(1));
    let shelf = Shelf::start(folder.path());
    let misp = open(&url(&shelf), Clock::start(1));
    for (now, is_good) in [(manifest, true), (other, false), (shorter, false)] {
        fs::write(folder.path().join("manifest.json"), Value::from(now).to_string()).unwrap();
        shelf.heal();
        shelf.world().before.insert("manifest.json", VecDeque::from([bytes.clone()]));
        shelf.fault(cut(MANIFEST, Nth::Only(1), bytes.len() / 2));
        let (listed, ended) = list(&misp);
        match is_good {
            true => assert!(ended.is_ok() && listed.len() == 60),
            false => assert!(ended.unwrap_err().to_string().contains("reading the answer")),
        }
        let mut once = listed.clone();
        once.dedup();
        assert_eq!(once, listed);
    }
    let (_, ended) = list(&misp);
    assert!(ended.is_ok());
}

#[test]
fn an_error_of_the_handler_is_not_put_down_to_the_web_server() {
    let folder = small(60);
    let shelf = Shelf::start(folder.path());
    let misp = open(&url(&shelf), Clock::start(1));
    let mut number = 0;
    let ended = misp.list(cortex_misp::misp::Window::default(), &mut |_| {
        number += 1;
        anyhow::bail!("TheHive says: the answer broke off")
    });
    assert!(format!("{:#}", ended.unwrap_err()).contains("TheHive says"));
    assert_eq!((number, shelf.requests().len()), (1, 1));
}

#[test]
fn a_file_that_fails_for_a_moment_is_asked_for_again() {
    let folder = small(2);
    let shelf = Shelf::start(folder.path());
    for what in [status(503), status(429), status(504), What::CutAfter(30)] {
        for on in [MANIFEST, "/5f0e5b5c-0000-4000-8000-000000000002.json"] {
            shelf.heal();
            shelf.forget_requests();
            shelf.fault(Fault { on, nth: Nth::First(2), what: what.clone() });
            let report = at_once(import(&url(&shelf), &json!({})));
            assert_eq!(counts(full(&report), "events"), of([("fetched", 2), ("created", 2)]), "{what:?}: {report:#}");
            assert_eq!(counts(full(&report), "attributes"), of([("fetched", 2), ("created", 2)]));
            assert_eq!(shelf.requests().len(), 5);
        }
    }
}

#[test]
fn one_event_file_that_cannot_be_read_fails_alone_and_comes_later() {
    const FILE: &str = "/5f0e5b5c-0000-4000-8000-000000000002.json";
    let folder = small(3);
    let shelf = Shelf::start(folder.path());
    for (what, reason) in [
        (status(404), "404: a web page"),
        (status(403), "it has to be open to everyone"),
        (status(500), "500: "),
        (What::CutAfter(30), "the answer broke off"),
        (
            What::Status(200, "<html>Please wait</html>".to_owned(), "application/json"),
            "this is a web page, and no file of a feed",
        ),
        (
            What::Redirect("https://elsewhere.example/".to_owned()),
            "redirects to https://elsewhere.example/, which is not followed",
        ),
        (What::Body("[]".to_owned()), "there are 0 events in it"),
        (What::Body("{\"Event\": {\"uuid\": \"5f0e5b5c-0000-4000-8000-000000000003\"}}".to_owned()), "but another"),
    ] {
        let desk = desk(&url(&shelf), World::five(), &json!({}));
        shelf.fault(Fault { on: FILE, nth: Nth::Always, what });
        let report = run(&desk, &shelf);
        assert_eq!(counts(full(&report), "events"), of([("fetched", 3), ("created", 2), ("failed", 1)]), "{report:#}");
        let failures = full(&report)["connections"][0]["failures"].to_string();
        assert!(failures.contains(reason) && failures.contains(&uuid(2)), "{reason}: {failures}");
        shelf.heal();
        let report = run(&desk, &shelf);
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("created", 1), ("unchanged", 2)]),
            "{report:#}"
        );
    }
}

#[test]
fn a_large_event_that_breaks_off_late_comes_with_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<String> = (0..6_000).map(|n| format!("host-{n}.example")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let manifest = json!({uuid(1): event(folder.path(), &uuid(1), &values)});
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let length = fs::read(folder.path().join(format!("{}.json", uuid(1)))).unwrap().len();
    let shelf = Shelf::start(folder.path());
    let desk = desk(&url(&shelf), World::five(), &json!({}));
    shelf.fault(cut("/5f0e5b5c", Nth::Only(1), length - 100));
    let report = run(&desk, &shelf);
    assert_eq!(counts(&report["full"], "events"), of([("fetched", 1), ("failed", 1)]), "{report:#}");
    assert_eq!((shelf.requests().len(), desk.data(&uuid(1)).len()), (2, 5_000));
    let report = run(&desk, &shelf);
    assert_eq!(counts(full(&report), "attributes"), of([("fetched", 6_000), ("created", 1_000), ("unchanged", 5_000)]));
    assert_eq!(desk.data(&uuid(1)).len(), 6_000);
}

#[test]
fn what_is_no_feed_is_explained() {
    let folder = small(1);
    let shelf = Shelf::start(folder.path());
    for (what, reason) in [
        (status(404), "manifest.json: 404: a web page, not an API's answer: is \"url\" the folder of a manifest.json?"),
        (status(401), "401: a web page, not an API's answer: a feed is read without any key"),
        (
            What::Redirect("https://www.example.org/login".to_owned()),
            "302: the server redirects to https://www.example.org/login, which is not followed",
        ),
        (
            What::Body("\n  <!DOCTYPE html><html>".to_owned()),
            "this is a web page, no feed: is \"url\" the folder of a manifest.json?",
        ),
        (What::Body("[]".to_owned()), "expected a manifest: an object with an entry for each event"),
        (What::Body(String::new()), "EOF while parsing"),
    ] {
        shelf.heal();
        shelf.forget_requests();
        shelf.fault(Fault { on: MANIFEST, nth: Nth::Always, what });
        let report = at_once(import(&url(&shelf), &json!({})));
        assert!(failure(&report).contains(reason), "{report:#}");
        assert_eq!(shelf.requests().len(), 1);
    }
}

#[test]
fn a_folder_without_a_manifest_is_empty_and_a_web_site_without_one_is_no_feed() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::start(folder.path());
    assert_eq!(counts(full(&at_once(import(&folder_url(folder.path()), &json!({})))), "events"), of([]));
    assert!(failure(&at_once(import(&url(&shelf), &json!({})))).contains("is \"url\" the folder of a manifest.json?"));
    fs::write(folder.path().join("manifest.json"), "{}").unwrap();
    assert_eq!(counts(full(&at_once(import(&url(&shelf), &json!({})))), "events"), of([]));
}

#[test]
fn a_web_server_that_holds_or_drips_is_given_up() {
    let folder = small(2);
    let shelf = Shelf::start(folder.path());
    shelf.fault(Fault { on: "/5f0e5b5c-0000-4000-8000-000000000001.json", nth: Nth::Always, what: What::Hang });
    let report = at_once(import(&url(&shelf), &json!({"read_timeout": 1})));
    assert_eq!(counts(full(&report), "events"), of([("fetched", 2), ("created", 1), ("failed", 1)]), "{report:#}");
    assert!(full(&report)["message"].as_str().unwrap().contains("no answer in time"), "{report:#}");
    shelf.heal();
    shelf.fault(Fault { on: MANIFEST, nth: Nth::Always, what: What::Drip(Duration::from_millis(100)) });
    let misp = open(&url(&shelf), Clock::until(Some(Duration::from_secs(1))));
    let (listed, ended) = list(&misp);
    assert!(listed.is_empty() && ended.is_err());
}
