//! The outcome as Prometheus' text format has it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Outcome, RunEnd};
use crate::cortex::pretty::LEDGER_NUMBERS;
use crate::time::Clock;

/// The text of a metrics file. Items are counted over all runs.
pub fn render(program: &str, ends: &[RunEnd], outcome: Outcome, clock: Clock) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, rows: &[(String, String)]| {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (labels, value) in rows {
            text.push_str(&format!(
                "{name}{{program=\"{program}\"{labels}}} {value}\n"
            ));
        }
    };
    let single = |value: String| [(String::new(), value)];

    gauge(
        "cortex_misp_last_run_timestamp_seconds",
        "When the last run was asked for.",
        &single(clock.now.to_string()),
    );
    gauge(
        "cortex_misp_last_run_duration_seconds",
        "How long it was waited for.",
        &single(format!("{:.3}", clock.elapsed_seconds())),
    );
    gauge(
        "cortex_misp_last_run_exit_status",
        "0 if all was done, 1 if something was not, 2 if it could not be asked for.",
        &single(outcome.status().to_string()),
    );
    let outcomes = [
        ("complete", Outcome::Complete),
        ("incomplete", Outcome::Incomplete),
        ("failed", Outcome::Failed),
        ("not asked", Outcome::NotAsked),
    ];
    let count = |outcome| ends.iter().filter(|end| end.outcome == outcome).count();
    let rows = outcomes
        .map(|(word, outcome)| (format!(",outcome=\"{word}\""), count(outcome).to_string()));
    gauge(
        "cortex_misp_last_run_runs",
        "How many runs of the worker ended so.",
        &rows,
    );
    gauge(
        "cortex_misp_last_run_items",
        "How many items have which verdict; fetched is the sum of the others.",
        &item_rows(ends),
    );

    text
}

/// The sums of all ledgers, by item and verdict.
fn item_rows(ends: &[RunEnd]) -> Vec<(String, String)> {
    let mut sums: BTreeMap<(&str, usize), u64> = BTreeMap::new();
    for (item, counts) in ends
        .iter()
        .filter_map(|end| end.ledger.as_object())
        .flatten()
        // The ledger comes from a server: another name could break the file's format.
        .filter(|(item, _)| item.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    {
        for (place, verdict) in LEDGER_NUMBERS.iter().enumerate() {
            let number = counts.get(*verdict).and_then(Value::as_u64).unwrap_or(0);
            *sums.entry((item, place)).or_default() += number;
        }
    }

    let row = |((item, place), number): ((&str, usize), u64)| {
        let verdict = LEDGER_NUMBERS.get(place).copied().unwrap_or_default();
        (
            format!(",item=\"{item}\",verdict=\"{verdict}\""),
            number.to_string(),
        )
    };
    sums.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn verdicts_are_summed_over_all_runs() {
        let end = |created: u64| RunEnd {
            outcome: Outcome::Complete,
            message: String::new(),
            ledger: json!({"events": {"fetched": created, "created": created, "skipped_by": {}}}),
        };
        let failed = RunEnd::without_report(Outcome::Failed, "no report");
        let ends = [end(2), end(3), failed];
        let text = render("misp-import", &ends, Outcome::Failed, Clock::start(1));
        let has = |line: &str| assert!(text.lines().any(|other| other == line), "{line}\n{text}");

        has(
            "cortex_misp_last_run_items{program=\"misp-import\",item=\"events\",verdict=\"fetched\"} 5",
        );
        has(
            "cortex_misp_last_run_items{program=\"misp-import\",item=\"events\",verdict=\"failed\"} 0",
        );
        has("cortex_misp_last_run_runs{program=\"misp-import\",outcome=\"complete\"} 2");
        has("cortex_misp_last_run_runs{program=\"misp-import\",outcome=\"failed\"} 1");
        has("cortex_misp_last_run_exit_status{program=\"misp-import\"} 1");
    }
}
