//! The report: its shape, its size, and how it leaves. Cortex takes `output/output.json` as it
//! finds it: cut JSON, or a `full` that is no object, would leave the job in progress for ever, and
//! one unknown key in an artifact fails it (its `JobRunnerSrv.scala`). So the file appears at once
//! and whole, by a rename.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::job::JobSource;
use crate::files::write_atomically;
use crate::secret::Scrubber;
use crate::text;

/// A report stays below this size, in bytes.
pub const LARGEST_REPORT: usize = 1 << 20;

/// A finished report.
#[derive(Clone, Debug)]
pub enum Report {
    /// The job did its work, or a part of it.
    Success {
        /// The body, an object.
        full: Value,
        /// Mini reports (analyzer).
        taxonomies: Vec<Value>,
        /// IOCs to import (analyzer). Cortex takes `dataType`, `data`, `tlp`, `tags` and `message`,
        /// and no other key.
        artifacts: Vec<Value>,
        /// What TheHive is asked to do (responder). An unknown one would leave the action
        /// unfinished on TheHive 4.
        operations: Vec<Value>,
    },
    /// Something failed and nothing was written anywhere.
    Failure {
        /// One readable line.
        message: String,
    },
}

impl Report {
    /// The report as JSON: without secrets, below its largest size.
    pub fn render(self, scrubber: &Scrubber) -> Value {
        let value = match self {
            Self::Success {
                full,
                taxonomies,
                artifacts,
                operations,
            } => json!({
                "success": true,
                "summary": {"taxonomies": taxonomies},
                "artifacts": artifacts,
                "operations": operations,
                "full": full,
            }),
            Self::Failure { message } => {
                json!({"success": false, "errorMessage": text::one_line(&message)})
            }
        };

        // Secrets go first: a character that is named inside one would hide it.
        shrink_to_fit(reveal_in_report(scrubber.clean_report(value)))
    }
}

/// A report whose texts name what cannot be seen in them. What is data, and what Cortex and TheHive
/// make of it, stays as it is: artifacts, operations, and alerts, beside whose values stands how
/// they are shown.
fn reveal_in_report(mut report: Value) -> Value {
    for (name, value) in report.as_object_mut().into_iter().flatten() {
        match (name.as_str(), value) {
            ("full", Value::Object(full)) => {
                full.iter_mut()
                    .filter(|(name, _)| *name != "alerts")
                    .for_each(|(_, value)| reveal_in_value(value));
            }
            ("errorMessage", message) => reveal_in_value(message),
            _ => {}
        }
    }

    report
}

fn reveal_in_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(named) = text::reveal_hidden_in_lines(text) {
                *text = named;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(reveal_in_value),
        Value::Object(map) => {
            if map
                .keys()
                .any(|name| name.starts_with('$') || text::has_hidden(name))
            {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(name, value)| (member_name(&name), value))
                    .collect();
            }
            map.values_mut().for_each(reveal_in_value);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A reason as the name of a member. One that begins with `$` is quoted, or TheHive's page would
/// pass over it (AngularJS's `ngRepeat` does).
fn member_name(name: &str) -> String {
    let name = text::reveal_hidden_in_lines(name);
    if name.starts_with('$') {
        format!("\"{name}\"")
    } else {
        name.into_owned()
    }
}

/// Lists that may be left out, the most dispensable first.
const LISTS: [&str; 9] = [
    "alerts",
    "artifacts",
    "matches",
    "events",
    "observables",
    "retractions",
    "failures",
    "warnings",
    "connections",
];

/// Empties the report's lists, one after the other, until it fits; what goes is counted in
/// `full.left_out`. Its texts were shortened when they were cleaned.
fn shrink_to_fit(mut report: Value) -> Value {
    for list in LISTS {
        if size_as_written(&report) < LARGEST_REPORT {
            return report;
        }
        let cut = empty_lists(&mut report, list);
        count_left_out(&mut report, list, cut);
    }

    match size_as_written(&report) {
        0..LARGEST_REPORT => report,
        _ => json!({"success": false, "errorMessage": "the report is too large to be given"}),
    }
}

/// Bytes of a report as it leaves: what is hidden in a value is escaped there.
fn size_as_written(report: &Value) -> usize {
    text::escape_json(report.to_string()).len()
}

fn count_left_out(report: &mut Value, list: &str, cut: u64) {
    let full = report.get_mut("full").and_then(Value::as_object_mut);
    let Some(full) = full.filter(|_| cut > 0) else {
        return;
    };
    let left_out = full.entry("left_out").or_insert_with(|| json!({}));
    if let Some(left_out) = left_out.as_object_mut() {
        // The report may have left some out itself.
        let before = left_out.get(list).and_then(Value::as_u64).unwrap_or(0);
        left_out.insert(list.to_owned(), Value::from(before + cut));
    }
}

/// Empties every list of this name, wherever it stands; gives the number of elements cut.
fn empty_lists(value: &mut Value, name: &str) -> u64 {
    match value {
        Value::Object(map) => map
            .iter_mut()
            .map(|(key, value)| match value {
                Value::Array(list) if key == name => list.drain(..).count() as u64,
                value => empty_lists(value, name),
            })
            .sum(),
        Value::Array(list) => list.iter_mut().map(|value| empty_lists(value, name)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Hands the report over. If the disk is full, a short failure is tried in its place.
///
/// # Errors
/// That no report could be written at all.
pub fn write_report(report: &Value, place: &JobSource) -> Result<()> {
    match place {
        JobSource::Folder(folder) => write_to_folder(report, folder),
        JobSource::Streams(_) => print_line(&text::escape_json(report.to_string())),
    }
}

/// Prints a text on the standard output, with a line end.
///
/// # Errors
/// That the standard output is closed.
pub fn print_line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .context("writing the report to the standard output")
}

fn write_to_folder(report: &Value, folder: &Path) -> Result<()> {
    let output = folder.join("output");
    // If the folder cannot be made, writing into it says why.
    drop(fs::create_dir_all(&output));
    let written = write_atomically(
        &output,
        "output.json",
        text::escape_json(report.to_string()).as_bytes(),
    );

    let Err(error) = written else { return Ok(()) };
    let short = json!({"success": false, "errorMessage": format!("the report could not be \
        written: {error}")});

    write_atomically(&output, "output.json", short.to_string().as_bytes())
        // The first error says why; the short report was only tried.
        .map_err(|_| error)
        .with_context(|| {
            format!(
                "writing the report to {}",
                output.join("output.json").display()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(full: Value, artifacts: Vec<Value>) -> Report {
        Report::Success {
            full,
            taxonomies: vec![],
            artifacts,
            operations: vec![],
        }
    }

    #[test]
    fn a_report_that_is_too_large_is_cut_and_says_so() {
        let warnings: Vec<_> = (0..40_000)
            .map(|n| format!("warning number {n}, which is rather long as warnings go"))
            .collect();
        let full = json!({"alerts": warnings, "warnings": ["one"], "left_out": {"alerts": 2}});
        let report = success(full, vec![]).render(&Scrubber::default());
        assert!(size_as_written(&report) < LARGEST_REPORT);
        // What stands behind the list that made it fit is whole.
        assert_eq!(
            report["full"],
            json!({"alerts": [], "warnings": ["one"], "left_out": {"alerts": 40_002}})
        );

        let full = json!({"warnings": warnings, "connections": [{"failures": ["one"]}]});
        let report = success(full, vec![]).render(&Scrubber::default());
        assert_eq!(
            report["full"],
            json!({
                "warnings": [],
                "connections": [{"failures": []}],
                "left_out": {"failures": 1, "warnings": 40_000}
            })
        );
    }

    /// A character that nobody sees takes twice as many bytes when it is escaped.
    #[test]
    fn a_report_of_hidden_characters_is_cut_by_the_size_that_it_gets() {
        let alerts = vec!["\u{202e}".repeat(100); 3_000];
        let full = json!({"alerts": alerts});
        assert!(full.to_string().len() < LARGEST_REPORT);
        let report = success(full, vec![]).render(&Scrubber::default());
        assert_eq!(report["full"]["left_out"]["alerts"], 3_000);
    }

    #[test]
    fn a_report_names_what_is_hidden_and_leaves_data_alone() {
        let part =
            json!({"name": "a\u{202e}b", "ledger": {"events": {"failed_by": {"$x\u{200b}": 1}}}});
        let full = json!({"message": "one\ntwo\u{1b}", "connections": [part]});
        let report =
            success(full, vec![json!({"data": "a\u{202e}b"})]).render(&Scrubber::default());
        assert_eq!(report["artifacts"][0]["data"], "a\u{202e}b");
        assert_eq!(report["full"]["message"], "one\ntwo<U+001B>");
        let part = &report["full"]["connections"][0];
        assert_eq!(part["name"], "a<U+202E>b");
        assert_eq!(
            part["ledger"]["events"]["failed_by"],
            json!({"\"$x<U+200B>\"": 1})
        );
    }

    #[test]
    fn a_failure_is_one_line() {
        let report = Report::Failure {
            message: "one\ntwo\t three".into(),
        }
        .render(&Scrubber::default());
        assert_eq!(
            report,
            json!({"success": false, "errorMessage": "one two three"})
        );
    }
}
