//! What the targets have in common: a feed in a folder, and what has to hold of every report. No target asks a server.

use std::path::Path;

use serde_json::{Value, json};

/// The event of the feed.
pub const EVENT: &str = "5f0e5b5c-0000-4000-8000-000000000001";

/// A configuration that leads to a feed in this folder and nowhere else.
#[must_use]
pub fn config(folder: &Path) -> Value {
    json!({"name": ["feed"], "url": [format!("file://{}", folder.display())], "key": ["-"], "max_age_days": 0, "max_attributes": 0})
}

/// Breaks unless a report is one that Cortex takes, and accounts for every item.
pub fn judge(report: &Value) {
    let is_success = report["success"]
        .as_bool()
        .expect("success is true or false");
    assert!(
        is_success
            || report["errorMessage"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
    );
    assert!(report.to_string().len() < 1 << 20);
    for part in report["full"]["connections"]
        .as_array()
        .into_iter()
        .flatten()
    {
        judge_ledger(&part["ledger"]);
    }
    if is_success {
        judge_ledger(&report["full"]["ledger"]);
    }
}

fn judge_ledger(ledger: &Value) {
    for count in ledger.as_object().expect("a ledger is an object").values() {
        let number = |name: &str| count[name].as_u64().expect("counts are numbers");
        let verdicts = ["created", "updated", "unchanged", "skipped", "failed"].map(number);
        assert_eq!(number("fetched"), verdicts.iter().sum::<u64>(), "{count}");
    }
}
