//! From a partner's event to the export of the case that was made of it: whatever tags the event and its attributes have, what
//! goes out is what would go out without them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cortex_misp::export::Export;
use cortex_misp::import::Import;
use cortex_misp::runtime::report_without_waiting;
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

const EVENT: &str = "5f0e5b5c-0000-4000-8000-000000000001";
/// What this program reads, MISP's own taxonomy, and what is neither.
const NAMES: [&str; 16] = [
    "misp:event",
    "misp:to",
    "misp:type",
    "misp:category",
    "misp:object",
    "misp:composite",
    "misp:updated",
    "misp:withdrawn",
    "misp:warninglist",
    "misp:attribute",
    "misp:into",
    "src:",
    "misp:confidence-level",
    "misp:tool",
    "workflow:state",
    "osint",
];

fn foreign_tag() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        format!("out:{EVENT}"),
        format!("out:{EVENT}:~1.kt8e0pox:0123456789abcdef"),
        "out".to_owned(),
        "nowhere".to_owned(),
        "ip-src".to_owned(),
        "Other".to_owned(),
        format!("file:{EVENT}:{EVENT}"),
        "domain|ip:5f0e5b5c-0000-4000-8000-000000000001:5f0e5b5c-0000-4000-8000-000000000002"
            .to_owned(),
    ]);
    let disguise = prop::sample::select(vec!["", " ", "\u{200b}", "\u{61c}", "\u{feff}"]);
    (
        prop::sample::select(NAMES.to_vec()),
        value,
        disguise,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(name, value, disguise, is_upper, is_quoted)| {
            let name = if is_upper {
                name.to_uppercase()
            } else {
                name.to_owned()
            };
            let value = if is_quoted {
                format!("\"{value}\"")
            } else {
                value
            };
            format!("{disguise}{name}={value}")
        })
}

fn named(tags: &[String]) -> Value {
    tags.iter().map(|name| json!({"name": name})).collect()
}

/// The alert of the event with these tags, as an import without access to TheHive shows it.
fn alert(folder: &Path, of_event: &[String], of_attributes: &[String]) -> Value {
    let event = json!({"Event": {
        "uuid": EVENT, "info": "shared", "date": "2026-11-01", "timestamp": "1795294129", "Orgc": {"name": "Partner"},
        "Tag": named(of_event), "Attribute": [
            {"uuid": "5f0e5b5c-0000-4000-8000-000000000002", "type": "domain", "category": "Network activity", "value": "a.example",
             "to_ids": true, "Tag": named(of_attributes)},
            {"uuid": "5f0e5b5c-0000-4000-8000-000000000003", "type": "ip-dst", "category": "Network activity", "value": "192.0.2.1",
             "to_ids": true, "Tag": named(of_attributes)},
        ],
    }});
    let entry = json!({EVENT: {"info": "shared", "date": "2026-11-01", "timestamp": "1795294129", "Orgc": {"name": "Partner"}}});
    fs::write(folder.join("manifest.json"), entry.to_string()).unwrap();
    fs::write(folder.join(format!("{EVENT}.json")), event.to_string()).unwrap();
    let report = report_without_waiting::<Import>(json!({
        "dataType": "other", "data": "misp:sync", "parameters": {"since": "all", "command": "misp:sync"},
        "config": {"name": ["partner"], "url": [format!("file://{}", folder.display())], "key": ["-"], "max_age_days": 0},
    }));
    report["full"]["alerts"][0].clone()
}

/// What the export of the alert's case writes, file by file, and what it asks TheHive for.
fn exported(alert: &Value) -> (BTreeMap<String, String>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let observables = alert["observables"].as_array().unwrap().iter();
    let observables: Vec<Value> = observables
        .map(|one| json!({"_id": "~9", "dataType": one["dataType"], "data": one["data"], "ioc": one["ioc"], "tlp": one["tlp"], "tags": one["tags"]}))
        .collect();
    let report = report_without_waiting::<Export>(json!({
        "dataType": "thehive:case", "tlp": 2, "pap": 2, "parameters": {"organisation": "soc"},
        "data": {"_id": "~1", "_createdAt": 1_795_294_000_000_i64, "caseId": 1, "title": "Case", "startDate": 1_795_294_000_000_i64,
                 "tlp": 2, "pap": 2, "tags": alert["tags"], "observables": observables},
        "config": {"name": ["out"], "url": [format!("file://{}", folder.path().display())], "key": ["-"], "instance": "here.example"},
    }));
    assert_eq!(report["success"], true, "{report:#}");
    let moment = Regex::new(r#""timestamp":\s*"\d+""#).unwrap();
    let files = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    let files = files.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (
            name,
            moment
                .replace_all(&fs::read_to_string(&path).unwrap(), "")
                .into_owned(),
        )
    });
    (files.collect(), report["operations"].clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_tags_a_foreign_event_has_its_case_goes_out_as_without_them(
        of_event in prop::collection::vec(foreign_tag(), 0..6), of_attributes in prop::collection::vec(foreign_tag(), 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let plain = exported(&alert(folder.path(), &[], &[]));
        let tagged = exported(&alert(folder.path(), &of_event, &of_attributes));
        prop_assert!(plain.0.values().any(|text| text.contains("a.example")));
        prop_assert_eq!(tagged, plain);
    }
}
