//! What came from outside is no leak of ours: it is never rewritten, and withheld only for a whole long secret.

use std::fs;

use serde_json::{Value, json};

use crate::misp;
use crate::program::{Program, counts, failure, full, of};

/// A proxy whose password is a word.
fn proxy() -> Value {
    json!({"http": "http://svc:login@127.0.0.1:1", "https": "http://svc:login@127.0.0.1:1"})
}

#[test]
fn a_password_that_is_a_word_keeps_no_ioc_back_and_changes_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    let job = fs::read_to_string("fixtures/faults/20-short-secret/job.json").unwrap();
    let mut job: Value =
        serde_json::from_str(&job.replace("@HERE@", folder.path().to_str().unwrap())).unwrap();
    // The folder's own search for secrets would find the word where it stands rightly: the report is looked at here.
    let output = Program::Export.streams(job.to_string().as_bytes());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 4), ("created", 4)]),
        "{report:#}"
    );
    assert!(!report.to_string().contains("[removed]"));
    let out = folder.path().join("out");
    let texts: String = fs::read_dir(&out)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for whole in [
        "login-microsoft.example",
        "http://evil.example/login.php",
        "see svc:login",
    ] {
        assert!(texts.contains(whole), "{whole}");
    }
    // And back again, as artifacts of a run that only reports.
    job["dataType"] = json!("other");
    job["data"] = json!("misp:sync");
    job["parameters"] = json!({"since": "all"});
    job["config"]["purpose"] = json!(["ImportAndExport"]);
    job["config"]["loop_guard"] = json!(false);
    job["config"]["max_age_days"] = json!(0);
    let output = Program::Import.streams(job.to_string().as_bytes());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let data: Vec<_> = report["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["data"].as_str().unwrap())
        .collect();
    assert!(
        data.contains(&"login-microsoft.example") && data.len() == 4,
        "{data:?}"
    );
    assert!(!report.to_string().contains("[removed]"));
}

#[test]
fn a_misp_that_puts_our_key_into_an_event_makes_nobody_read_it() {
    let fake = misp::Fake::start(misp::World::with_corpus());
    fake.world().events.truncate(1);
    fake.world().events[0].published = true;
    let key = misp::key("admin");
    let job = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": {
        "name": ["a"], "url": [fake.url()], "key": [key], "max_age_days": 0, "max_attributes": 0, "proxy": proxy(), "warninglists": "off",
    }});
    let number = |report: &Value, verdict: &str| {
        counts(full(report), "attributes")
            .get(verdict)
            .copied()
            .unwrap_or(0)
    };
    let before = Program::Import.report_in(&[("NO_PROXY", "*")], &job);
    let attribute = fake.world().events[0].attributes[0].clone();
    for text in crate::canaries::forms(&key) {
        let put: [&dyn Fn(&mut misp::Attribute); 2] =
            [&|one| one.value = format!("x {text}"), &|one| {
                one.comment = format!("x {text} y")
            }];
        for put in put {
            fake.world().events[0].attributes[0] = attribute.clone();
            put(&mut fake.world().events[0].attributes[0]);
            let report = Program::Import.report_in(&[("NO_PROXY", "*")], &job);
            assert_eq!(
                number(&report, "failed"),
                number(&before, "failed") + 1,
                "{text}"
            );
        }
    }
    fake.world().events[0].attributes[0] = attribute;
    fake.world().events[0].info = format!("title {key}");
    let report = Program::Import.report_in(&[("NO_PROXY", "*")], &job);
    assert!(failure(&report).contains("it holds a key of this program's own configuration"));
}
