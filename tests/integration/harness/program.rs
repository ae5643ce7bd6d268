//! Running the real programs: in a scrubbed environment, with every report judged as Cortex and TheHive would judge it,
//! and every output searched for the job's secrets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

pub(crate) use crate::canaries::search;
use crate::canaries::{ENVIRONMENT, planted, search_feeds, search_files};

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Export,
    Import,
}

impl Program {
    pub(crate) fn command(self) -> Command {
        let path = match self {
            Self::Export => env!("CARGO_BIN_EXE_misp-export"),
            Self::Import => env!("CARGO_BIN_EXE_misp-import"),
        };
        let mut command = Command::new(path);
        command
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs with a job on the standard input and gives the judged report.
    pub(crate) fn report(self, job: &Value) -> Value {
        self.report_in(&[], job)
    }

    /// The same with some variables of the environment changed.
    pub(crate) fn report_in(self, environment: &[(&str, &str)], job: &Value) -> Value {
        let job = &planted(job);
        let output = self.streams_in(environment, job.to_string().as_bytes());
        let report = judged(self, &output.stdout);
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        search(job, &String::from_utf8_lossy(&output.stdout));
        search_feeds(job);
        report
    }

    /// Runs with any bytes on the standard input; gives what was printed.
    pub(crate) fn streams(self, input: &[u8]) -> Output {
        self.streams_in(&[], input)
    }

    fn streams_in(self, environment: &[(&str, &str)], input: &[u8]) -> Output {
        // A folder that holds no job, so that a job folder of the machine is never taken.
        let empty = tempfile::tempdir().unwrap();
        let mut child = self
            .command()
            .envs(environment.iter().copied())
            .arg(empty.path())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that stops reading early closes the pipe, which is its right.
        drop(stdin.write_all(input));
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Runs with a job folder and gives the judged report; nothing may be printed.
    pub(crate) fn folder(self, job: &Value, folder: &Path) -> Value {
        let job = &planted(job);
        let [input, output] = ["input", "output"].map(|name| folder.join(name));
        fs::create_dir_all(&input).unwrap();
        fs::create_dir_all(&output).unwrap();
        fs::write(input.join("input.json"), job.to_string()).unwrap();
        let printed = self.command().arg(folder).output().unwrap();
        assert_eq!(
            (
                printed.status.code(),
                printed.stdout.len(),
                printed.stderr.len()
            ),
            (Some(0), 0, 0)
        );
        let left: Vec<_> = fs::read_dir(&output)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["output.json"]);
        let report = fs::read(output.join("output.json")).unwrap();
        search_files(job, folder);
        search_feeds(job);
        judged(self, &report)
    }
}

/// The error message of a report that must be a failure.
pub(crate) fn failure(report: &Value) -> &str {
    assert_eq!(report["success"], false, "{report:#}");
    report["errorMessage"].as_str().unwrap()
}

/// The body of a report that must be a success.
pub(crate) fn full(report: &Value) -> &Value {
    assert_eq!(report["success"], true, "{report:#}");
    &report["full"]
}

/// The counts of one kind of item over the whole run that are not zero.
pub(crate) fn counts(of: &Value, item: &str) -> BTreeMap<String, u64> {
    let count = of["ledger"][item]
        .as_object()
        .unwrap_or_else(|| panic!("no {item} in {of:#}"));
    let numbers = count
        .iter()
        .filter_map(|(name, number)| Some((name.clone(), number.as_u64()?)));
    numbers.filter(|(_, number)| *number > 0).collect()
}

/// Counts to compare with.
pub(crate) fn of<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts
        .into_iter()
        .map(|(name, number)| (name.to_owned(), number))
        .collect()
}

/// Reads a report as Cortex does; breaks on anything that would leave a job hanging or lose a part of the report.
pub(crate) fn judged(program: Program, report: &[u8]) -> Value {
    assert!(
        report.len() < 1 << 20,
        "the report has {} bytes",
        report.len()
    );
    let report: Value = serde_json::from_slice(report)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(report)));
    if report["success"] == json!(true) {
        let full = &report["full"];
        assert!(
            full["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{report:#}"
        );
        judge_lists(program, &report);
        judge_ledger(full);
    } else {
        assert_eq!(report["success"], json!(false));
        let message = report["errorMessage"].as_str().unwrap();
        assert!(
            !message.trim().is_empty() && !message.contains('\n'),
            "{message}"
        );
    }
    report
}

fn judge_lists(program: Program, report: &Value) {
    let artifacts = report["artifacts"].as_array().unwrap();
    assert!(artifacts.len() <= 300 && (program == Program::Import || artifacts.is_empty()));
    for artifact in artifacts {
        let keys: Vec<_> = artifact
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["dataType", "data", "tlp", "tags", "message"]);
        assert!(
            artifact["tlp"].as_u64().unwrap() <= 3
                && !artifact["data"].as_str().unwrap().is_empty()
        );
        assert!(
            artifact["tags"]
                .as_array()
                .unwrap()
                .iter()
                .all(Value::is_string)
                && artifact["message"].is_string()
        );
    }
    for operation in report["operations"].as_array().unwrap() {
        let kind = operation["type"].as_str().unwrap();
        assert!(["AddTagToCase", "AddTagToAlert"].contains(&kind), "{kind}");
        assert!(
            operation["tag"]
                .as_str()
                .is_some_and(|tag| tag.starts_with("misp:event="))
        );
    }
    for taxonomy in report["summary"]["taxonomies"].as_array().unwrap() {
        let keys: Vec<_> = taxonomy
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["level", "namespace", "predicate", "value"]);
        assert!(
            ["info", "safe", "suspicious", "malicious"]
                .contains(&taxonomy["level"].as_str().unwrap())
        );
    }
}

/// Sums match in each count, reasons add up, and the total is the sum of the connections.
fn judge_ledger(full: &Value) {
    let mut total: BTreeMap<(String, String), u64> = BTreeMap::new();
    for part in full["connections"].as_array().unwrap() {
        for (item, count) in part["ledger"].as_object().unwrap() {
            judge_count(count);
            for (name, number) in count.as_object().unwrap() {
                *total.entry((item.clone(), name.clone())).or_default() +=
                    number.as_u64().unwrap_or(0);
            }
        }
    }
    for (item, count) in full["ledger"].as_object().unwrap() {
        judge_count(count);
        for (name, number) in count.as_object().unwrap() {
            assert_eq!(
                total[&(item.clone(), name.clone())],
                number.as_u64().unwrap_or(0),
                "{item} {name} in {full:#}"
            );
        }
    }
}

fn judge_count(count: &Value) {
    let number = |name: &str| count[name].as_u64().unwrap();
    let verdicts = ["created", "updated", "unchanged", "skipped", "failed"].map(number);
    // Only a look-up has it.
    let found = count["found"].as_u64().unwrap_or(0);
    assert_eq!(
        number("fetched"),
        verdicts.iter().sum::<u64>() + found,
        "{count:#}"
    );
    for (verdict, reasons) in [("skipped", "skipped_by"), ("failed", "failed_by")] {
        let reasons = count[reasons]
            .as_object()
            .unwrap()
            .values()
            .map(|number| number.as_u64().unwrap());
        assert_eq!(number(verdict), reasons.sum::<u64>(), "{count:#}");
    }
}
