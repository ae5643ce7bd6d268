//! What a person at a terminal sees of a run while it works: one line on the standard error,
//! written over every half second and wiped at the end. It has counts only. A job folder is
//! Cortex's, and there nothing is shown.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::cortex::job::JobSource;
use crate::report::ledger::{ItemKind, Ledger};
use crate::report::{ReportBody, RunReport};
use crate::text::format_count;

/// The time between two looks.
pub const TICK: Duration = Duration::from_millis(500);
/// Narrower than the terminals there are, so that the line never breaks.
const WIDEST: usize = 78;
/// To the beginning of the line, and what stood there wiped (ECMA-48).
const WIPE: &str = "\r\x1b[K";

/// The line that says how far a run is.
pub struct Progress {
    program: &'static str,
    run: RunReport,
    started: Instant,
    line: StatusLine,
}

impl Progress {
    /// None where nobody would see it.
    pub fn new(program: &'static str, run: &RunReport, place: &JobSource) -> Option<Self> {
        let is_seen = place.folder().is_none() && stderr().is_terminal();
        is_seen.then(|| Self {
            program,
            run: run.clone(),
            started: Instant::now(),
            line: StatusLine::new(),
        })
    }

    /// Shows how far the run is now.
    pub fn show(&mut self) {
        let line = format_line(
            self.program,
            &self.run.draft().full,
            self.started.elapsed().as_secs(),
        );

        self.line.show(&line);
    }
}

/// A line that says how far something is, for whoever sits at the terminal; elsewhere nothing is
/// shown. It goes when this is dropped.
pub struct StatusLine {
    is_shown: bool,
}

impl StatusLine {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { is_shown: false }
    }

    /// Shows a line in place of the one before.
    pub fn show(&mut self, line: &str) {
        if stderr().is_terminal() {
            let line: String = line.chars().take(WIDEST).collect();
            self.is_shown = true;
            write_stderr(&format!("{WIPE}{line}"));
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if self.is_shown {
            write_stderr(WIPE);
        }
    }
}

/// What cannot be shown is no reason to stop.
fn write_stderr(text: &str) {
    let mut err = stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

/// `misp-import: 12 s, 42 requests, 120 events, 3 created, 90 skipped, 800 attributes`, as far as
/// it fits.
fn format_line(program: &str, full: &ReportBody, seconds: u64) -> String {
    let mut ledger = Ledger::default();
    full.connections
        .iter()
        .for_each(|part| ledger.add(&part.ledger));
    let mut parts = vec![
        format!("{program}: {seconds} s"),
        format_count(full.requests, "request", "requests"),
    ];

    for (item, count) in ledger.counts().filter(|(_, count)| count.fetched > 0) {
        parts.push(format!("{} {}", count.fetched, item.word()));
        // For their verdicts there is no room in a line.
        if matches!(item, ItemKind::Attributes) {
            continue;
        }

        let verdicts = [
            (count.created, "created"),
            (count.updated, "updated"),
            (count.unchanged, "unchanged"),
            (count.found, "found"),
            (count.skipped, "skipped"),
            (count.failed, "failed"),
        ];

        let some = verdicts.iter().filter(|(number, _)| *number > 0);
        parts.extend(some.map(|(number, word)| format!("{number} {word}")));
    }

    let mut line = String::new();
    for part in parts {
        let joint = if line.is_empty() { "" } else { ", " };
        if line.len() + joint.len() + part.len() > WIDEST {
            break;
        }
        line = line + joint + &part;
    }

    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ConnectionReport;
    use crate::report::ledger::Verdict;

    fn full(events: u64) -> ReportBody {
        let mut ledger = Ledger::default();
        ledger.count_fetched(ItemKind::Events, events);
        ledger.record(ItemKind::Events, &Verdict::Created, 3);
        ledger.record(ItemKind::Events, &Verdict::Skipped("a rule".into()), 90);
        ledger.count_fetched(ItemKind::Attributes, 800);

        ReportBody {
            requests: 1,
            connections: vec![ConnectionReport {
                ledger,
                ..ConnectionReport::default()
            }],
            ..ReportBody::default()
        }
    }

    #[test]
    fn it_counts() {
        assert_eq!(
            format_line("misp-import", &full(12), 12),
            "misp-import: 12 s, 1 request, 12 events, 3 created, 90 skipped, 800 attributes"
        );
        assert_eq!(
            format_line("misp-import", &ReportBody::default(), 0),
            "misp-import: 0 s, 0 requests"
        );
    }

    #[test]
    fn it_stays_on_one_line() {
        let line = format_line("misp-import", &full(u64::MAX / 2), u64::MAX);
        assert!(line.len() <= WIDEST, "{line}");
    }
}
