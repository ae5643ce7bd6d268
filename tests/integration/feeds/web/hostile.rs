//! Whoever serves a feed can name any file and send anything: nothing leaves the feed's folder, and all comes to an end.

use std::fs;

use cortex_misp::time::Clock;
use serde_json::{Map, Value, json};

use super::shelf::{Shelf, endless, url, zipped};
use super::{at_once, event, import, list, open, uuid};
use crate::program::{counts, full, of};

#[test]
fn no_key_of_a_manifest_leads_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::start(folder.path());
    let good = event(folder.path(), &uuid(1), &["one.example"]);
    let hostile = [
        "../secret",
        "../../etc/passwd",
        "%2e%2e%2fsecret",
        "%2e%2e/secret",
        "..\\secret",
        "/secret",
        "//elsewhere.example/secret",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "?secret",
        "#secret",
        "",
        "5f0e5b5c-0000-4000-8000-00000000000g",
        "5f0e5b5c-0000-4000-8000-000000000001/../../secret",
        "5f0e5b5c-0000-4000-8000-000000000001\r\nX-Injected: 1",
    ];
    let mut manifest: Map<_, _> = hostile
        .iter()
        .map(|key| ((*key).to_owned(), good.clone()))
        .collect();
    manifest.insert(uuid(1), good.clone());
    // Other ways to write a uuid name the same file as the usual one.
    manifest.insert(format!("urn:uuid:{}", uuid(2)), good.clone());
    manifest.insert(format!("{{{}}}", uuid(3).to_uppercase()), good);
    let hidden = json!({"uuid": "../secret", "info": "its uuid is its key"});
    manifest.insert(uuid(4), hidden);
    fs::write(
        folder.path().join("manifest.json"),
        Value::from(manifest).to_string(),
    )
    .unwrap();
    let report = at_once(import(&url(&shelf), &json!({"max_parallel": 1})));
    let bad = hostile.len() as u64;
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", bad + 4), ("created", 1), ("failed", bad + 3)])
    );
    let asked: Vec<_> = shelf
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    let mut expected = vec!["/feed/manifest.json".to_owned()];
    expected.extend((1..=4).map(|n| format!("/feed/{}.json", uuid(n))));
    assert_eq!(asked, expected);
}

#[test]
fn nesting_without_end_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::start(folder.path());
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let entry = event(folder.path(), &uuid(1), &["one.example"]);
    let manifest = json!({uuid(1): entry, uuid(2): entry}).to_string();
    fs::write(folder.path().join("manifest.json"), &manifest).unwrap();
    fs::write(
        folder.path().join(format!("{}.json", uuid(2))),
        format!("{{\"Event\": {{\"Attribute\": {deep}}}}}"),
    )
    .unwrap();
    let report = at_once(import(&url(&shelf), &json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("created", 2)])
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 2), ("created", 1), ("failed", 1)])
    );
    let misp = open(&url(&shelf), Clock::start(1));
    for (manifest, events, is_good) in [
        (deep.clone(), 0, false),
        (format!("{{\"x\": {{\"Tag\": {deep}}}}}"), 1, true),
        (
            format!("{},\"x\": {deep}}}", &manifest[..manifest.len() - 1]),
            3,
            true,
        ),
        (format!("{manifest}{deep}"), 2, false),
        ("{\"x\":".repeat(1_000_000), 0, false),
    ] {
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        let (listed, ended) = list(&misp);
        assert_eq!(
            (listed.len(), ended.is_ok()),
            (events, is_good),
            "{ended:?}"
        );
    }
}

#[test]
fn a_manifest_without_end_comes_to_one() {
    const MOST: u64 = 300 << 20;
    let entry = |n: u64, length: usize| {
        format!(
            "\"{}\":{{\"padding\":\"{}\"}},",
            uuid(n),
            "x".repeat(length)
        )
    };
    for (piece, said) in [
        (entry(1, 1 << 20), "it has more than 256 MiB"),
        ("[".repeat(1 << 20), "expected a manifest"),
    ] {
        let start = if piece.starts_with('"') { "{" } else { "" };
        let (url, server) = endless(start, piece.into_bytes());
        let (listed, ended) = list(&open(&url, Clock::start(1)));
        let error = format!("{:#}", ended.unwrap_err());
        let sent = server.join().unwrap();
        assert!(sent < MOST && listed.len() < 300, "{sent} bytes: {error}");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_small_file_that_unpacks_without_end_is_no_way_around_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::start(folder.path());
    let bomb =
        zipped(format!("{{\"x\": {{\"padding\": \"{}\"}}}}", "x".repeat(300 << 20)).as_bytes());
    assert!(bomb.len() < 2 << 20, "{} bytes", bomb.len());
    fs::write(folder.path().join("manifest.json"), bomb).unwrap();
    shelf.world().already_zipped = true;
    let (listed, ended) = list(&open(&url(&shelf), Clock::start(1)));
    let error = format!("{:#}", ended.unwrap_err());
    assert!(
        listed.is_empty() && error.contains("it has more than 256 MiB"),
        "{error}"
    );
    assert_eq!(shelf.requests().len(), 1);
}
