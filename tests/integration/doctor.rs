//! The doctor: what it finds on servers and configurations of all kinds, and that it changes nothing.

mod certificates;
mod configuration;
mod connections;
mod misps;
mod targets;
mod thehives;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::misp::{self, key};
use crate::program::{Program, search};
use crate::thehive;

/// What the doctor told.
pub(crate) struct Told {
    /// The table.
    pub(crate) text: String,
    /// The findings.
    findings: Vec<Value>,
}

/// Runs the doctor twice, for the table and for JSON, and compares the two. `has_failed` is what its exit status must say.
pub(crate) fn told(program: Program, given: &Value, has_failed: bool) -> Told {
    let [table, value] = [&[][..], &["--json"]].map(|options| printed(program, given, options));
    let status = Some(i32::from(has_failed));
    let text = String::from_utf8(table.stdout).unwrap();
    assert_eq!(
        (table.status.code(), value.status.code()),
        (status, status),
        "{text}"
    );
    let value: Value = serde_json::from_slice(&value.stdout).unwrap();
    let findings = value["findings"].as_array().unwrap().clone();
    let count = |verdict: &str| {
        findings
            .iter()
            .filter(|finding| finding["verdict"] == verdict)
            .count()
    };
    assert_eq!(
        (value["failed"].as_u64(), count("failed") > 0),
        (Some(count("failed") as u64), has_failed)
    );
    assert_eq!(value["warnings"], count("warning"));
    let words = |finding: &Value| finding["words"].as_str().unwrap().to_owned();
    // What is the same each time stands in both; a secret is proposed anew.
    let is_same = |finding: &&Value| finding["check"] != "secret";
    assert!(
        findings
            .iter()
            .filter(is_same)
            .all(|finding| text.contains(&words(finding))),
        "{text}\n{value:#}"
    );
    Told { text, findings }
}

pub(crate) fn printed(program: Program, given: &Value, options: &[&str]) -> Output {
    let empty = tempfile::tempdir().unwrap();
    let mut child = program
        .command()
        .arg("check")
        .args(options)
        .arg(empty.path())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(given.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let config = given.get("config").unwrap_or(given);
    for stream in [&output.stdout, &output.stderr] {
        search(&json!({"config": config}), &String::from_utf8_lossy(stream));
    }
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

impl Told {
    /// The lines on one thing: `verdict: words`.
    pub(crate) fn lines(&self, subject: &str, check: &str) -> Vec<String> {
        let meant = self
            .findings
            .iter()
            .filter(|one| one["subject"] == subject && one["check"] == check);
        meant
            .map(|one| {
                format!(
                    "{}: {}",
                    one["verdict"].as_str().unwrap(),
                    one["words"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// The one line on one thing.
    pub(crate) fn line(&self, subject: &str, check: &str) -> String {
        let mut lines = self.lines(subject, check);
        assert_eq!(lines.len(), 1, "{subject}, {check}: {}", self.text);
        lines.remove(0)
    }

    /// What was looked at of a subject, in order.
    pub(crate) fn checks(&self, subject: &str) -> Vec<String> {
        let meant = self.findings.iter().filter(|one| one["subject"] == subject);
        meant
            .map(|one| one["check"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A configuration for one MISP, asked as this user.
pub(crate) fn config(misp: &misp::Fake, user: &str, more: &Value) -> Value {
    let mut config = json!({
        "name": ["corp"], "url": [misp.url()], "key": [key(user)], "instance": "hive.example.org",
        "instance_secret": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    config
}

/// A configuration of only this TheHive beside a MISP where nothing listens.
pub(crate) fn access(hive: &thehive::Fake, key_of_user: &str) -> Value {
    json!({"thehive_url": hive.url(), "thehive_key": key_of_user})
}

/// The doctor asks with GET, and with POST only what changes nothing.
pub(crate) fn nothing_was_changed(misp: &misp::Fake) {
    assert_eq!(misp::writes(misp), Vec::<String>::new());
    assert!(
        misp.requests()
            .iter()
            .all(|request| ["GET", "POST"].contains(&request.method.as_str()))
    );
}

/// The same for TheHive.
pub(crate) fn no_alert_was_touched(hive: &thehive::Fake) {
    let is_question =
        |method: &str, path: &str| method == "GET" || path.starts_with("/api/v1/query");
    assert!(
        hive.requests()
            .iter()
            .all(|request| is_question(&request.method, &request.path))
    );
    assert!(!hive.requests().is_empty());
}

/// A header `Date` so many minutes from now.
pub(crate) fn minutes_off(minutes: i64) -> Option<String> {
    let moment = Timestamp::now() + SignedDuration::from_mins(minutes);
    Some(moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Everything in a folder, by name.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
