//! The doctor, `misp-export check` and `misp-import check`: it asks every server of a configuration
//! what a run will need, changes nothing, and tells what it found. Findings are values; `run.rs`
//! goes round, `misp.rs`, `feed.rs`, `thehive.rs` and `connectivity.rs` ask, `export_targets.rs`
//! compares the targets of an export, `render.rs` lays out. What a worker wants is plain data
//! (`worker/requirements.rs`): nothing here knows an option of an export or an import.

mod connectivity;
mod export_targets;
mod feed;
mod misp;
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
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub words: String,
}

/// Whether something is as it should be.
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
struct Findings {
    subject: String,
    all: Vec<Finding>,
}

/// What ends the looking at a subject: what was looked at, and what is wrong with it.
struct Stop {
    check: &'static str,
    words: String,
}

/// Makes an error one that ends the looking.
fn stop_at(check: &'static str) -> impl Fn(anyhow::Error) -> Stop {
    move |error| Stop {
        check,
        words: format!("{error:#}"),
    }
}

impl Findings {
    fn for_subject(subject: &str) -> Self {
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

    fn ok(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Ok, words);
    }

    fn warn(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Warning, words);
    }

    fn fail(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Failed, words);
    }

    fn fail_with(&mut self, check: &'static str, error: &anyhow::Error) {
        self.fail(check, format!("{error:#}"));
    }

    fn skip(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Skipped, words);
    }

    /// Looks at something in stages. Where an error ends the looking, a finding names the stages
    /// that were not reached.
    fn look<T>(
        &mut self,
        stages: &[&'static str],
        probe: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Option<T> {
        let Stop { check, words } = match probe(self) {
            Ok(found) => return Some(found),
            Err(stop) => stop,
        };
        self.fail(check, words);

        let is_seen = |stage: &str| self.all.iter().any(|finding| finding.check == stage);
        let unseen: Vec<_> = stages
            .iter()
            .copied()
            .filter(|stage| !is_seen(stage))
            .collect();
        if !unseen.is_empty() {
            self.skip("not looked at", unseen.join(", "));
        }

        None
    }
}
