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
    Fault {
        on,
        nth,
        what: What::CutAfter(after),
    }
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
    for after in (0..length).step_by(1_000) {
        for times in 1..=3 {
            shelf.heal();
            shelf.forget_requests();
            shelf.fault(cut(MANIFEST, Nth::First(times), after));
            let (listed, ended) = list(&misp);
            assert!(
                ended.is_ok() && listed == expected,
                "{times} times at {after}: {ended:?} {listed:?}"
            );
            assert_eq!(shelf.requests().len(), times + 1);
        }
        shelf.heal();
        shelf.forget_requests();
        shelf.fault(cut(MANIFEST, Nth::Always, after));
        let (listed, ended) = list(&misp);
        assert!(format!("{:#}", ended.unwrap_err()).contains("the answer broke off"));
        assert_eq!((listed.len(), shelf.requests().len()), (0, 4));
    }
}

/// A feed with a manifest of 10 MiB, in 20 entries.
fn long_manifest() -> tempfile::TempDir {
    let folder = small(20);
    let bytes = fs::read(folder.path().join("manifest.json")).unwrap();
    let mut manifest: Map<String, Value> = serde_json::from_slice(&bytes).unwrap();
    manifest
        .values_mut()
        .for_each(|entry| entry["padding"] = "x".repeat(1 << 19).into());
    fs::write(
        folder.path().join("manifest.json"),
        Value::from(manifest).to_string(),
    )
    .unwrap();
    folder
}

#[test]
fn a_manifest_that_is_too_long_to_be_held_is_listed_as_far_as_it_came_and_nothing_twice() {
    let folder = long_manifest();
    let shelf = Shelf::start(folder.path());
    let misp = open(&url(&shelf), Clock::start(1));
    shelf.fault(cut(MANIFEST, Nth::Only(1), 5 << 20));
    let (all, ended) = list(&misp);
    assert!(ended.is_ok() && all.len() == 20 && shelf.requests().len() == 2);
    shelf.fault(cut(MANIFEST, Nth::Only(1), 9 << 20));
    let (listed, ended) = list(&misp);
    assert!(format!("{:#}", ended.unwrap_err()).contains("the answer broke off"));
    assert_eq!(
        (listed.as_slice(), shelf.requests().len()),
        (&all[..listed.len()], 3)
    );
    assert!((10..20).contains(&listed.len()), "{}", listed.len());
}

#[test]
fn what_a_broken_manifest_did_not_show_is_not_taken_for_gone_and_comes_with_the_next_run() {
    let folder = long_manifest();
    let shelf = Shelf::start(folder.path());
    let desk = desk(
        &url(&shelf),
        World::five(),
        &json!({"mark_withdrawn": true}),
    );
    shelf.fault(cut(MANIFEST, Nth::Always, 9 << 20));
    let report = run(&desk, &shelf);
    let created = counts(full(&report), "events")["created"];
    assert!(
        (10..20).contains(&created) && held(&desk).len() as u64 == created,
        "{report:#}"
    );
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: ")
    );
    shelf.heal();
    run(&desk, &shelf);
    assert_eq!(held(&desk).len(), 20);
    for after in [1_000, 9 << 20] {
        shelf.heal();
        shelf.fault(cut(MANIFEST, Nth::Always, after));
        let report = desk.run_uncounted(&desk.job());
        assert!(
            report.to_string().contains("the answer broke off"),
            "{report:#}"
        );
        desk.wrote_nothing();
    }
}

#[test]
fn of_a_manifest_that_changes_between_two_attempts_the_last_counts() {
    let folder = small(3);
    let shelf = Shelf::start(folder.path());
    let before = fs::read(small(60).path().join("manifest.json")).unwrap();
    shelf
        .world()
        .before
        .insert("manifest.json", VecDeque::from([before]));
    shelf.fault(cut(MANIFEST, Nth::Only(1), 2_000));
    let (listed, ended) = list(&open(&url(&shelf), Clock::start(1)));
    assert!(ended.is_ok() && listed.len() == 3, "{listed:?}");
}

#[test]
fn an_error_of_the_handler_is_not_put_down_to_the_web_server() {
    let folder = small(60);
    let shelf = Shelf::start(folder.path());
    let misp = open(&url(&shelf), Clock::start(1));
    let mut number = 0;
    let ended = misp.list_events(cortex_misp::misp::Window::default(), &mut |_| {
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
            shelf.fault(Fault {
                on,
                nth: Nth::First(2),
                what: what.clone(),
            });
            let report = at_once(import(&url(&shelf), &json!({})));
            assert_eq!(
                counts(full(&report), "events"),
                of([("fetched", 2), ("created", 2)]),
                "{what:?}: {report:#}"
            );
            assert_eq!(
                counts(full(&report), "attributes"),
                of([("fetched", 2), ("created", 2)])
            );
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
            What::Status(
                200,
                "<html>Please wait</html>".to_owned(),
                "application/json",
            ),
            "this is a web page, and no file of a feed",
        ),
        (
            What::Redirect("ftp://elsewhere.example/".to_owned()),
            "redirects to ftp://elsewhere.example/, which is not followed",
        ),
        (What::Body("[]".to_owned()), "there are 0 events in it"),
        (
            What::Body(
                "{\"Event\": {\"uuid\": \"5f0e5b5c-0000-4000-8000-000000000003\"}}".to_owned(),
            ),
            "but another",
        ),
    ] {
        let desk = desk(&url(&shelf), World::five(), &json!({}));
        shelf.fault(Fault {
            on: FILE,
            nth: Nth::Always,
            what,
        });
        let report = run(&desk, &shelf);
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("created", 2), ("failed", 1)]),
            "{report:#}"
        );
        let failures = full(&report)["connections"][0]["failures"].to_string();
        assert!(
            failures.contains(reason) && failures.contains(&uuid(2)),
            "{reason}: {failures}"
        );
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
    let padding = "x".repeat(1_800);
    let one = |n: u32| {
        let value = format!("host-{n}.example");
        json!({"type": "domain", "category": "Network activity", "value": value, "uuid": value, "padding": padding})
    };
    let mut whole = event(folder.path(), &uuid(1), &[]);
    fs::write(
        folder.path().join("manifest.json"),
        json!({uuid(1): whole}).to_string(),
    )
    .unwrap();
    whole["Attribute"] = (0..5_100).map(one).collect();
    let text = json!({"Event": whole}).to_string();
    fs::write(folder.path().join(format!("{}.json", uuid(1))), &text).unwrap();
    let shelf = Shelf::start(folder.path());
    let desk = desk(&url(&shelf), World::five(), &json!({}));
    // It is opened to be judged, and read again since it is large.
    shelf.fault(cut("/5f0e5b5c", Nth::Only(2), text.len() - 100));
    let report = run(&desk, &shelf);
    assert_eq!(
        counts(&report["full"], "events"),
        of([("fetched", 1), ("failed", 1)]),
        "{report:#}"
    );
    assert_eq!(
        (shelf.requests().len(), desk.data(&uuid(1)).len()),
        (3, 5_000)
    );
    let report = run(&desk, &shelf);
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 5_100), ("created", 100), ("unchanged", 5_000)])
    );
    assert_eq!(desk.data(&uuid(1)).len(), 5_100);
}

#[test]
fn what_is_no_feed_is_explained() {
    let folder = small(1);
    let shelf = Shelf::start(folder.path());
    for (what, reason) in [
        (
            status(404),
            "manifest.json: 404: a web page, not an API's answer: is \"url\" the folder of a manifest.json?",
        ),
        (
            status(401),
            "401: a web page, not an API's answer: a feed is read without any key",
        ),
        (
            What::Redirect("ftp://www.example.org/".to_owned()),
            "302: the server redirects to ftp://www.example.org/",
        ),
        (
            What::Body("\n  <!DOCTYPE html><html>".to_owned()),
            "this is a web page, no feed: is \"url\" the folder of a manifest.json?",
        ),
        (
            What::Body("[1]".to_owned()),
            "expected a manifest: an object with an entry for each event",
        ),
        (What::Body(String::new()), "EOF while parsing"),
    ] {
        shelf.heal();
        shelf.forget_requests();
        shelf.fault(Fault {
            on: MANIFEST,
            nth: Nth::Always,
            what,
        });
        let report = at_once(import(&url(&shelf), &json!({})));
        assert!(failure(&report).contains(reason), "{report:#}");
        assert_eq!(shelf.requests().len(), 1);
    }
}

#[test]
fn a_folder_without_a_manifest_is_empty_and_a_web_site_without_one_is_no_feed() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::start(folder.path());
    assert_eq!(
        counts(
            full(&at_once(import(&folder_url(folder.path()), &json!({})))),
            "events"
        ),
        of([])
    );
    assert!(
        failure(&at_once(import(&url(&shelf), &json!({}))))
            .contains("is \"url\" the folder of a manifest.json?")
    );
    fs::write(folder.path().join("manifest.json"), "{}").unwrap();
    assert_eq!(
        counts(full(&at_once(import(&url(&shelf), &json!({})))), "events"),
        of([])
    );
}

#[test]
fn a_web_server_that_holds_or_drips_is_given_up() {
    let folder = small(2);
    let shelf = Shelf::start(folder.path());
    shelf.fault(Fault {
        on: "/5f0e5b5c-0000-4000-8000-000000000001.json",
        nth: Nth::Always,
        what: What::Hang,
    });
    let report = at_once(import(&url(&shelf), &json!({"read_timeout": 1})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("created", 1), ("failed", 1)]),
        "{report:#}"
    );
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .contains("no answer in time"),
        "{report:#}"
    );
    shelf.heal();
    shelf.fault(Fault {
        on: MANIFEST,
        nth: Nth::Always,
        what: What::Drip(Duration::from_millis(100)),
    });
    let misp = open(
        &url(&shelf),
        Clock::start_with_limit(Some(Duration::from_secs(1))),
    );
    let (listed, ended) = list(&misp);
    assert!(listed.is_empty() && ended.is_err());
}
