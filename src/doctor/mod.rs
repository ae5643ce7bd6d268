//! The doctor, `misp-export check` and `misp-import check`: it asks every server of a configuration
//! what a run will need, changes nothing, and tells what it found. Findings are values; `run.rs`
//! goes round, `probe.rs` is a visit to one connection, `misp.rs`, `feed.rs`, `thehive.rs` and
//! `connectivity.rs` ask, `export_targets.rs` compares the targets of an export, `render.rs` lays
//! out. What a worker wants is plain data (`worker/requirements.rs`): nothing here knows an option
//! of an export or an import.

mod connectivity;
mod export_targets;
mod feed;
mod misp;
mod probe;
mod render;
mod run;
mod thehive;

use serde::Serialize;

pub use run::run_check;

/// One thing that was looked at, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The connection's name, `TheHive` or `configuration`.
    pub subject: String,
    /// What was looked at: `version`, `key`, ….
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub words: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or a part of it does; the administrator should look at it.
    Warning,
    /// A run will fail over it.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// The findings on one subject, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Findings {
    subject: String,
    all: Vec<Finding>,
}

impl Findings {
    pub(crate) fn for_subject(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            all: Vec::new(),
        }
    }

    fn add(&mut self, check: &'static str, verdict: Verdict, words: impl Into<String>) {
        self.all.push(Finding {
            subject: self.subject.clone(),
            check,
            verdict,
            words: words.into(),
        });
    }

    pub(crate) fn ok(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Ok, words);
    }

    pub(crate) fn warn(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Warning, words);
    }

    pub(crate) fn fail(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Failed, words);
    }

    pub(crate) fn skip(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Skipped, words);
    }

    /// What an earlier failure leaves in the dark.
    pub(crate) fn mark_unchecked(&mut self, checks: &[&str]) {
        self.skip("not looked at", checks.join(", "));
    }

    pub(crate) fn into_all(self) -> Vec<Finding> {
        self.all
    }
}
