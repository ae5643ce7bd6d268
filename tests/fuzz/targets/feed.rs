//! An event file of a feed, imported and looked up in: whatever stands in it, every attribute has its line in the ledger.
#![no_main]

use std::fs;

use cortex_misp::import::Import;
use cortex_misp::runtime::report_without_waiting;
use cortex_misp_fuzz::{EVENT, config, judge};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    // The first byte decides what is broken.
    let (manifest, event, hashes) = match data.split_first() {
        Some((0, rest)) => (rest.to_vec(), b"{}".to_vec(), Vec::new()),
        Some((1, rest)) => (manifest(), event(), rest.to_vec()),
        Some((_, rest)) => (manifest(), rest.to_vec(), Vec::new()),
        None => return,
    };
    let write =
        |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("a file");
    write("manifest.json", &manifest);
    write(&format!("{EVENT}.json"), &event);
    write("hashes.csv", &hashes);
    let config = config(folder.path());
    judge(&report_without_waiting::<Import>(json!({
        "dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config,
    })));
    judge(&report_without_waiting::<Import>(
        json!({"dataType": "domain", "data": "evil.example", "config": config}),
    ));
});

fn manifest() -> Vec<u8> {
    json!({EVENT: {"info": "An event", "date": "2026-01-01", "timestamp": "1795294129"}})
        .to_string()
        .into_bytes()
}

fn event() -> Vec<u8> {
    let one = json!({"type": "domain", "category": "Network activity", "value": "evil.example", "to_ids": true, "uuid": EVENT});
    json!({"Event": {"uuid": EVENT, "info": "An event", "Attribute": [one]}})
        .to_string()
        .into_bytes()
}
