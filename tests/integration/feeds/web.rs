//! Feeds on web servers: what a folder has comes from the web as well, and whoever serves it can do no harm.

mod broken;
mod clicking;
mod hostile;
mod moved;
pub(crate) mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::Result;
use cortex_misp::config::TimeLimits;
use cortex_misp::config::connections::{Connection, Purpose, Target};
use cortex_misp::http::HttpContext;
use cortex_misp::http::ServerAccess;
use cortex_misp::import::Import;
use cortex_misp::misp::{IndexEntry, Misp, Window};
use cortex_misp::report::{ConnectionReport, RunReport};
use cortex_misp::runtime;
use cortex_misp::time::Clock;
use serde_json::{Map, Value, json};
use url::Url;

use crate::alerts::writing::desk::Desk;
use crate::desk::md5;
use crate::http_fake::Server;
use crate::misp::World;
use crate::program::{Program, counts, failure, full, judged, of};
use crate::thehive;
use shelf::{Shelf, url};

/// The corpus as a feed in a folder: as many events as wanted, their manifest, and the hashes of their values.
fn corpus(most: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus/events");
    let mut paths: Vec<_> = fs::read_dir(events)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let (mut manifest, mut hashes) = (Map::new(), String::new());
    for path in paths.iter().take(most) {
        let mut bytes = fs::read(path).unwrap();
        if path.extension().unwrap() == "gz" {
            let zipped = std::mem::take(&mut bytes);
            flate2::read::GzDecoder::new(zipped.as_slice())
                .read_to_end(&mut bytes)
                .unwrap();
        }
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let event = &file["response"][0]["Event"];
        let uuid = event["uuid"].as_str().unwrap();
        let fields = [
            "info",
            "Orgc",
            "analysis",
            "timestamp",
            "date",
            "threat_level_id",
            "Tag",
        ];
        let entry: Map<_, _> = fields
            .map(|field| (field.to_owned(), event[field].clone()))
            .into_iter()
            .collect();
        manifest.insert(uuid.to_owned(), entry.into());
        for attribute in event["Attribute"].as_array().unwrap() {
            hashes.push_str(&format!(
                "{},{uuid}\n",
                md5(attribute["value"].as_str().unwrap().as_bytes())
            ));
        }
        fs::write(folder.path().join(format!("{uuid}.json")), bytes).unwrap();
    }
    fs::write(
        folder.path().join("manifest.json"),
        Value::from(manifest).to_string(),
    )
    .unwrap();
    fs::write(folder.path().join("hashes.csv"), hashes).unwrap();
    folder
}

/// A small event in a feed, and its entry in the manifest.
fn event(folder: &Path, uuid: &str, values: &[&str]) -> Value {
    let head =
        json!({"info": format!("Event {uuid}"), "date": "2026-01-01", "timestamp": "1795294129"});
    let one = |value: &&str| json!({"type": "domain", "category": "Network activity", "value": value, "to_ids": true, "uuid": value});
    let mut whole = head.clone();
    whole["uuid"] = json!(uuid);
    whole["Attribute"] = values.iter().map(one).collect();
    fs::write(
        folder.join(format!("{uuid}.json")),
        json!({"Event": whole}).to_string(),
    )
    .unwrap();
    head
}

/// The number-th uuid.
fn uuid(number: u64) -> String {
    format!("5f0e5b5c-0000-4000-8000-{number:012}")
}

/// A feed with so many events of one value.
fn small(number: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let entry = |n| {
        (
            uuid(n),
            event(folder.path(), &uuid(n), &[&format!("host-{n}.example")]),
        )
    };
    let manifest: Map<_, _> = (1..=number).map(entry).collect();
    fs::write(
        folder.path().join("manifest.json"),
        Value::from(manifest).to_string(),
    )
    .unwrap();
    folder
}

/// An import of everything that a feed has.
fn import(url: &str, more: &Value) -> Value {
    let mut config = json!({"name": ["feed"], "url": [url], "key": ["-"], "max_age_days": 0, "max_attributes": 0});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config})
}

/// Runs a job in this process, by a clock whose pauses take no time.
fn at_once(job: Value) -> Value {
    judged(
        Program::Import,
        runtime::report_without_waiting::<Import>(job)
            .to_string()
            .as_bytes(),
    )
}

fn folder_url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// A report without what has to differ between a folder and the web.
fn common(report: &Value) -> Value {
    let mut full = full(report).clone();
    let warnings = full["warnings"].as_array_mut().unwrap();
    warnings.retain(|warning| !warning.as_str().unwrap().contains("is read unencrypted"));
    ["requests", "retries"]
        .iter()
        .for_each(|name| drop(full.as_object_mut().unwrap().shift_remove(*name)));
    for part in full["connections"].as_array_mut().unwrap() {
        assert_eq!(part["kind"], "feed");
        ["url", "requests", "retries", "seconds"]
            .iter()
            .for_each(|name| drop(part.as_object_mut().unwrap().shift_remove(*name)));
    }
    json!([full, report["summary"], report["artifacts"]])
}

/// Opens a feed on the web, by a clock whose pauses take no time.
fn open(url: &str, clock: Clock) -> Misp {
    let limits = TimeLimits {
        deadline_minutes: 1,
        connect_timeout: 5,
        read_timeout: 5,
    };
    let run = RunReport::default();
    let network = HttpContext::new(
        limits.timeouts(),
        &Map::new(),
        None,
        clock.without_waiting(),
        run.http_context(),
    );
    let target = Target::WebFeed {
        url: Url::parse(url).unwrap(),
    };
    let connection = Connection {
        name: "feed".to_owned(),
        target,
        purpose: Purpose::ImportOnly,
        access: ServerAccess::default(),
        own: Map::new(),
    };
    Misp::open(
        &connection,
        &network,
        &run.open(ConnectionReport::default()),
    )
    .unwrap()
}

/// What was listed, in order, and how the list ended.
fn list(misp: &Misp) -> (Vec<String>, Result<()>) {
    let mut listed = Vec::new();
    let ended = misp.list_events(Window::default(), &mut |one| {
        listed.push(match one {
            IndexEntry::Event(event, uuid) => format!("{uuid} {}", event.info),
            IndexEntry::Bad(problem) => problem,
        });
        Ok(())
    });
    (listed, ended)
}

/// What a TheHive holds of the alerts and their observables, as far as it says where they came from.
fn held(desk: &Desk) -> BTreeMap<String, (Value, BTreeSet<String>)> {
    let plain = |value: &Value| {
        let fields = value.as_object().unwrap().iter();
        let is_own = |name: &String| {
            name.starts_with('_')
                || [
                    "createdAt",
                    "updatedAt",
                    "startDate",
                    "newDate",
                    "lastSyncDate",
                    "number",
                    "id",
                ]
                .contains(&name.as_str())
        };
        fields
            .filter(|(name, _)| !is_own(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Value>()
    };
    let alerts = desk.thehive.world().alerts.clone();
    let one = |alert: &Value| {
        let observables = desk
            .observables(alert)
            .iter()
            .map(|one| plain(one).to_string())
            .collect();
        (
            alert["sourceRef"].as_str().unwrap().to_owned(),
            (plain(alert), observables),
        )
    };
    alerts.iter().map(one).collect()
}

fn desk(url: &str, hive: thehive::World, more: &Value) -> Desk {
    let desk =
        Desk::new(World::new(), hive).with(json!({"name": ["feed"], "url": [url], "key": ["-"]}));
    desk.with(more.clone())
}

/// Runs the desk's import from the web, and counts the requests.
fn run(desk: &Desk, shelf: &Server<Shelf>) -> Value {
    shelf.forget_requests();
    let report = desk.run_uncounted(&desk.job());
    let asked = shelf.requests().len() + desk.thehive.requests().len();
    assert_eq!(report["full"]["requests"], asked, "{report:#}");
    report
}

#[test]
fn the_corpus_comes_from_the_web_as_from_a_folder() {
    let folder = corpus(usize::MAX);
    let expected = common(&Program::Import.report(&import(&folder_url(folder.path()), &json!({}))));
    assert_eq!(
        counts(&expected[0], "events"),
        of([("fetched", 34), ("created", 34)])
    );
    let shelf = Shelf::start(folder.path());
    for (content_type, zips) in [
        ("application/octet-stream", false),
        ("text/plain", true),
        ("application/json; charset=utf-8", true),
        ("text/html", false),
    ] {
        shelf.forget_requests();
        (shelf.world().content_type, shelf.world().zips) = (content_type, zips);
        let report = Program::Import.report(&import(&url(&shelf), &json!({})));
        assert!(common(&report) == expected, "{:#}", common(&report));
        // One for the manifest, one for each event.
        assert_eq!(
            (
                full(&report)["connections"][0]["requests"].as_u64(),
                shelf.requests().len()
            ),
            (Some(35), 35)
        );
        for request in shelf.requests() {
            assert_eq!((request.method.as_str(), request.status), ("GET", 200));
            assert!(
                request.header("authorization").is_none() && request.header("cookie").is_none(),
                "{request:?}"
            );
        }
        assert_eq!(full(&report)["connections"][0]["url"], url(&shelf));
    }
}

#[test]
fn filters_hold_for_the_web_as_for_a_folder() {
    let folder = corpus(usize::MAX);
    let shelf = Shelf::start(folder.path());
    for filters in [
        json!({"include_tags": ["tlp:green"], "ids_only": true}),
        json!({"max_attributes": 20, "min_threat_level": "medium"}),
        json!({"exclude_organisations": ["ORGNAME"]}),
    ] {
        let [on_disk, on_web] = [folder_url(folder.path()), url(&shelf)]
            .map(|url| common(&at_once(import(&url, &filters))));
        assert!(on_disk == on_web, "{filters}: {on_disk:#}\n{on_web:#}");
        assert!(
            counts(&on_web[0], "events").contains_key("skipped"),
            "{on_web:#}"
        );
    }
}

#[test]
fn the_alerts_are_those_of_the_folder_and_a_second_run_writes_nothing() {
    let folder = corpus(12);
    for hive in [thehive::World::four, thehive::World::five] {
        let shelf = Shelf::start(folder.path());
        let (on_disk, on_web) = (
            desk(&folder_url(folder.path()), hive(), &json!({})),
            desk(&url(&shelf), hive(), &json!({})),
        );
        on_disk.import();
        let report = run(&on_web, &shelf);
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 12), ("created", 12)]),
            "{report:#}"
        );
        let (on_disk, held) = (held(&on_disk), held(&on_web));
        assert_eq!(held.len(), 12);
        held.iter()
            .for_each(|(event, alert)| assert_eq!(alert, &on_disk[event], "{event}"));
        let report = run(&on_web, &shelf);
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 12), ("unchanged", 12)]),
            "{report:#}"
        );
        on_web.wrote_nothing();
        assert_eq!(shelf.requests().len(), 1, "only the manifest is asked for");
    }
}

#[test]
fn an_event_that_is_counted_first_is_asked_for_once() {
    let folder = small(3);
    let shelf = Shelf::start(folder.path());
    let report = at_once(import(&url(&shelf), &json!({"max_attributes": 5_000})));
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 3), ("created", 3)])
    );
    assert_eq!(shelf.requests().len(), 4);
}

#[test]
fn the_address_of_the_manifest_is_that_of_the_feed() {
    let folder = small(1);
    let shelf = Shelf::start(folder.path());
    for address in [
        format!("{}manifest.json", url(&shelf)),
        url(&shelf).trim_end_matches('/').to_owned(),
    ] {
        let report = at_once(import(&address, &json!({})));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(full(&report)["connections"][0]["url"], url(&shelf));
    }
}

#[test]
fn an_event_is_imported_by_its_uuid() {
    let folder = small(3);
    let shelf = Shelf::start(folder.path());
    let mut job = import(&url(&shelf), &json!({}));
    job["data"] = json!(format!("misp:event:{}", uuid(2)));
    let report = at_once(job);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)])
    );
    let asked: Vec<_> = shelf
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(
        asked,
        [
            "/feed/manifest.json".to_owned(),
            format!("/feed/{}.json", uuid(2))
        ]
    );
}

#[test]
fn an_export_never_sees_a_feed_on_the_web() {
    let folder = small(1);
    let shelf = Shelf::start(folder.path());
    let case = json!({"_id": "~1", "caseId": 1, "title": "T", "startDate": 1, "tlp": 1, "observables": [{"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 1}]});
    for (purpose, expected) in [
        (json!(null), "no connection may export"),
        (
            json!(["ImportAndExport"]),
            "is a feed over http, which is read only",
        ),
        (
            json!(["ExportOnly"]),
            "export into the `file:///` folder that the web server shows",
        ),
    ] {
        let config =
            json!({"name": ["feed"], "url": [url(&shelf)], "key": ["-"], "purpose": purpose});
        let report = Program::Export
            .report(&json!({"dataType": "thehive:case", "data": case, "config": config}));
        assert!(failure(&report).contains(expected), "{report:#}");
    }
    let error = open(&url(&shelf), Clock::start(1)).lock().err().unwrap();
    assert_eq!(error.to_string(), "a feed over http is read only");
    assert!(shelf.requests().is_empty());
}

#[test]
fn proxies_and_certificates_hold_for_a_feed() {
    let folder = small(1);
    let shelf = Shelf::start(folder.path());
    let report = at_once(import(
        "http://feed.invalid/feed",
        &json!({"proxy": {"http": shelf.url()}}),
    ));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
    assert!(
        shelf
            .requests()
            .iter()
            .all(|request| request.header("host") == Some("feed.invalid"))
    );
    let report = at_once(import(
        "https://feed.invalid",
        &json!({"cert_path": ["/nonexistent.pem"]}),
    ));
    assert!(
        failure(&report).contains("/nonexistent.pem (\"cert_path\")"),
        "{report:#}"
    );
}
