//! What a report shows of very much: events, their organisations and connections take turns, and all sums are told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::program::{Program, full, judged};

fn uuid(number: u64) -> String {
    format!("5f0e5b5c-0000-4000-8000-{number:012}")
}

/// A feed of events: organisation, first label of its domains, how many IOCs.
fn feed(events: &[(&str, &str, u64)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = json!({});
    for (number, (organisation, label, iocs)) in events.iter().enumerate() {
        let uuid = uuid(number as u64);
        let head = json!({"info": label, "date": "2026-01-01", "timestamp": "10", "Orgc": {"name": organisation, "uuid": ""}});
        let mut event = head.clone();
        event["uuid"] = json!(uuid);
        event["Attribute"] = (0..*iocs)
            .map(|n| json!({"type": "domain", "category": "Network activity", "value": format!("{label}.{n}.example"), "to_ids": true, "uuid": uuid}))
            .collect();
        fs::write(
            folder.path().join(format!("{uuid}.json")),
            json!({"Event": event}).to_string(),
        )
        .unwrap();
        manifest[uuid] = head;
    }
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    folder
}

fn run(folders: &[&Path], more: &Value) -> Value {
    let mut config = json!({
        "name": (0..folders.len()).map(|n| format!("feed {n}")).collect::<Vec<_>>(),
        "url": folders.iter().map(|folder| format!("file://{}", folder.display())).collect::<Vec<_>>(),
        "key": vec!["-"; folders.len()], "max_age_days": 0,
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let job = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
    judged(
        Program::Import,
        runtime::report_without_waiting::<Import>(job)
            .to_string()
            .as_bytes(),
    )
}

/// How many artifacts there are of each label.
fn shares(report: &Value) -> BTreeMap<String, u64> {
    let mut shares = BTreeMap::new();
    for artifact in report["artifacts"].as_array().unwrap() {
        let label = artifact["data"]
            .as_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        *shares.entry(label).or_default() += 1;
    }
    shares
}

fn of<const N: usize>(shares: [(&str, u64); N]) -> BTreeMap<String, u64> {
    shares
        .into_iter()
        .map(|(label, number)| (label.to_owned(), number))
        .collect()
}

#[test]
fn one_event_does_not_take_all_artifacts() {
    let folder = feed(&[
        ("A", "large", 2_500),
        ("A", "other", 10),
        ("B", "small", 20),
        ("C", "one", 1),
    ]);
    let report = run(&[folder.path()], &json!({}));
    assert_eq!(
        shares(&report),
        of([("large", 269), ("other", 10), ("small", 20), ("one", 1)])
    );
    assert_eq!(full(&report)["left_out"]["artifacts"], 2_531 - 300);
    let report = run(&[folder.path()], &json!({"max_artifacts": 9}));
    assert_eq!(
        shares(&report),
        of([("large", 2), ("other", 2), ("small", 4), ("one", 1)])
    );
    assert_eq!(full(&report)["left_out"]["artifacts"], 2_531 - 9);
}

#[test]
fn one_connection_does_not_take_those_of_another() {
    let (many, few) = (
        feed(&[("A", "many", 400), ("B", "more", 400)]),
        feed(&[("A", "few", 30)]),
    );
    for folders in [[many.path(), few.path()], [few.path(), many.path()]] {
        let report = run(&folders, &json!({}));
        assert_eq!(
            shares(&report),
            of([("many", 135), ("more", 135), ("few", 30)])
        );
        assert_eq!(full(&report)["left_out"]["artifacts"], 530);
    }
}

#[test]
fn alerts_and_rows_that_are_shown_are_shared_too() {
    let mut events = vec![("Loud", "loud", 1); 400];
    events.extend([("Quiet", "quiet", 1), ("Still", "still", 1)]);
    let (folder, other) = (feed(&events), feed(&[("Other", "other", 1)]));
    let report = run(
        &[folder.path(), other.path()],
        &json!({"max_attributes": 0}),
    );
    let told = full(&report);
    let of = |list: &Value, field: &str| -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for one in list.as_array().unwrap() {
            *counts
                .entry(one[field].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
        counts
    };
    let alerts = of(&told["alerts"], "title");
    assert_eq!(
        (
            alerts["loud"],
            alerts["quiet"],
            alerts["still"],
            alerts["other"]
        ),
        (47, 1, 1, 1)
    );
    let rows = of(&told["connections"][0]["events"], "organisation");
    assert_eq!((rows["Loud"], rows["Quiet"], rows["Still"]), (298, 1, 1));
    assert_eq!(told["left_out"], json!({"alerts": 353, "events": 102}));
}
