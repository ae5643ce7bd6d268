//! `full`: the body of every report. A run writes into it while it works ([`RunReport`]), so that
//! whatever ends the run, a complete report of what was done so far can be given.

mod builder;
mod extras;
pub mod ledger;
mod lookup;
mod rows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::environment::Environment;
use crate::http::{RequestObserver, RunContext};
use crate::report::ledger::{ItemKind, Ledger, Verdict, strip_identifiers};
use crate::secret::Scrubber;
use builder::push_bounded;
pub use builder::{ReportBuilder, RowSource, Sourced};
pub use extras::{Artifact, Operation, Taxonomy, TaxonomyLevel};
pub use lookup::{LookupSummary, Match};
pub use rows::{Alert, AlertObservable, EventRow, ObservableRow, RetractionRow};

/// What a worker did, in total and for each connection.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ReportBody {
    /// The outcome in one sentence. Begins with `INCOMPLETE:` when a part of the work is missing.
    pub message: String,
    /// True when a part of the work is missing; the message begins so then.
    #[serde(skip_serializing_if = "is_false")]
    pub is_incomplete: bool,
    /// Export only: the case, `#42 Phishing wave`; of an alert its reference at its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The organisation of TheHive that an export is for, if others may see more of the case; it is
    /// told in the message.
    #[serde(skip)]
    pub seen_by: Option<String>,
    /// True for the export of an alert.
    #[serde(skip)]
    pub is_alert: bool,
    /// Import only: the value that was looked up, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// True when nothing was written, by request or because no TheHive is configured.
    pub dry_run: bool,
    /// Import only: true when no TheHive is configured that alerts could be written to.
    #[serde(skip_serializing_if = "is_false")]
    pub is_report_only: bool,
    /// What the reader should know, though it stopped nothing.
    pub warnings: Vec<String>,
    /// What became of every item: the sum over the connections.
    pub ledger: Ledger,
    /// HTTP requests sent in all, those to TheHive included.
    pub requests: u64,
    /// How many questions were put again in all, by what had gone wrong, such as `429` or
    /// `broken connection`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub retries: BTreeMap<String, u64>,
    /// Import only: how many values the report offers as artifacts, for an analyst to import.
    #[serde(skip_serializing_if = "is_zero")]
    pub artifacts: u64,
    /// One part for each MISP connection that took part, in the order of the configuration.
    pub connections: Vec<ConnectionReport>,
    /// Import only: the alerts that were made of the events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// How many elements each list of this report leaves out, where one had to be cut.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
}

/// The part of one MISP connection.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ConnectionReport {
    /// The connection's name, from the configuration.
    pub name: String,
    /// Its URL, without anything secret.
    pub url: String,
    /// A MISP server, or a feed.
    pub kind: ConnectionKind,
    /// The version that a server names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Import only: the filters that the server was asked to apply, such as
    /// `organisations: CIRCL (3)`. Events that do not fit them were not read, so the ledger does
    /// not count them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked_for: Vec<String>,
    /// What became of every item on this connection.
    pub ledger: Ledger,
    /// HTTP requests sent.
    pub requests: u64,
    /// How many of them were questions put again, by what had gone wrong, such as `429` or
    /// `broken connection`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub retries: BTreeMap<String, u64>,
    /// Seconds spent.
    pub seconds: f64,
    /// Why this connection's work stopped, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Remarks on this connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Remarks that stand in the message too: nothing failed, and somebody has to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Single failures, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Import only, where a value was looked up: how the search went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookupSummary>,
    /// The events: those read (import), or the one written (export).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRow>,
    /// Export only: the observables, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observables: Vec<ObservableRow>,
    /// Export only: attributes of earlier exports that the case does not want any more, one line
    /// each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retractions: Vec<RetractionRow>,
    /// Import only: tags of events and attributes that are words of this program: none was passed
    /// on.
    #[serde(skip_serializing_if = "is_zero")]
    pub own_tags: u64,
    /// Import only: attributes that MISP counts of the events that were read and did not send:
    /// hidden from the key's user, or left out by a setting.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_shown: u64,
    /// Import only: attributes whose value stands in the message of their observable, since it is
    /// too long for TheHive or a command of this program.
    #[serde(skip_serializing_if = "is_zero")]
    pub stand_ins: u64,
    /// Export only: open proposals of other organisations to change attributes of this export.
    #[serde(skip_serializing_if = "is_zero")]
    pub proposals: u64,
    /// What stands beside the part until the end.
    #[serde(skip)]
    #[schemars(skip)]
    pub beside: BesidePart,
}

/// How many elements each list of a report leaves out.
type LeftOut = BTreeMap<String, u64>;

/// The lists of a part: each takes what finds room in it, and the rest is counted.
impl ConnectionReport {
    fn push_warning(&mut self, warning: String, left_out: &mut LeftOut) {
        push_once(&mut self.warnings, left_out, warning);
    }

    fn push_note(&mut self, note: String, left_out: &mut LeftOut) {
        push_once(&mut self.notes, left_out, note);
    }

    fn push_failures(
        &mut self,
        failures: impl IntoIterator<Item = String>,
        left_out: &mut LeftOut,
    ) {
        let list = &mut self.failures;
        push_bounded(list, failures, SHOWN_FAILURES, left_out, "failures");
    }

    fn push_observables(
        &mut self,
        rows: impl IntoIterator<Item = ObservableRow>,
        left_out: &mut LeftOut,
    ) {
        let list = &mut self.observables;
        push_bounded(list, rows, SHOWN_LINES, left_out, "observables");
    }

    fn push_retractions(
        &mut self,
        rows: impl IntoIterator<Item = RetractionRow>,
        left_out: &mut LeftOut,
    ) {
        let list = &mut self.retractions;
        push_bounded(list, rows, SHOWN_LINES, left_out, "retractions");
    }
}

/// What stands beside the part of one connection while the run works.
#[derive(Clone, Debug, Default)]
pub struct BesidePart {
    /// True if the work is over, well or badly.
    pub has_ended: bool,
    /// Writes under way: what they changed is not known yet.
    pub writing: u32,
    /// Alerts that are only reported.
    pub alerts: Vec<Sourced<Alert>>,
    /// IOCs for the analyst to import (analyzer only).
    pub artifacts: Vec<Sourced<Artifact>>,
    /// Operations that TheHive is asked to do (responder only).
    pub operations: Vec<Operation>,
    /// What is reported of this connection if the run is stopped before its work is over.
    pub foreseen: Option<Box<ReportBuilder>>,
}

/// The JSON schema of `full`, for scripts that read reports.
pub fn schema() -> Value {
    schemars::schema_for!(ReportBody).to_value()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a connection leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// A MISP server.
    #[default]
    Server,
    /// A MISP feed: a folder of event files.
    Feed,
}

/// The first elements of a list are shown; of the rest the report gives the number.
pub const SHOWN_FAILURES: usize = 20;
/// Events and observables shown for each connection.
pub const SHOWN_LINES: usize = 300;
/// Warnings shown, each list.
pub const SHOWN_WARNINGS: usize = 50;

/// The longest text of an event or observable that a report shows, in characters: a sha512 is shown
/// whole.
const SHOWN_TEXT: usize = 128;
/// The longest rule or reason, in characters.
const SHOWN_REASON: usize = 300;

/// A handle on the report under construction, shared by the thread that works and the one that
/// answers Cortex.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    draft: Arc<Mutex<ReportBuilder>>,
    scrubber: Arc<OnceLock<Arc<Scrubber>>>,
    environment: Arc<Environment>,
}

impl RunReport {
    /// A run of a program that was started with these variables.
    pub fn with_environment(environment: Environment) -> Self {
        Self {
            environment: Arc::new(environment),
            ..Self::default()
        }
    }

    /// A run with the same secrets and a report of its own.
    pub fn with_separate_report(&self) -> Self {
        Self {
            draft: Arc::default(),
            ..self.clone()
        }
    }

    /// The variables that the program was started with.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What the HTTP client takes from this run.
    pub fn http_context(&self) -> RunContext {
        RunContext {
            environment: Arc::clone(&self.environment),
            scrubber: self.scrubber(),
            observer: Arc::new(self.clone()),
        }
    }

    /// Learns the run's secrets, once.
    pub fn set_scrubber(&self, scrubber: Scrubber) {
        self.scrubber.get_or_init(|| Arc::new(scrubber));
    }

    /// Knows the run's secrets; none before the job was read.
    pub fn scrubber(&self) -> Arc<Scrubber> {
        self.scrubber.get().cloned().unwrap_or_default()
    }

    /// A text without the run's secrets.
    pub fn clean(&self, text: &str) -> String {
        self.scrubber().clean(text)
    }

    /// The beginning of what came from outside, as a report shows it: cleaned of long secrets
    /// first, for a cut may leave half of one.
    pub fn report_text(&self, text: &str) -> String {
        self.scrubber().clean_content_truncated(text, SHOWN_TEXT)
    }

    /// The report so far. A panic elsewhere does not make it unreadable.
    pub fn draft(&self) -> MutexGuard<'_, ReportBuilder> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a warning to the whole report, once.
    pub fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let full = &mut self.draft().full;
        push_once(&mut full.warnings, &mut full.left_out, warning);
    }

    /// Opens the part of a connection; the handle writes into it.
    pub fn open(&self, part: ConnectionReport) -> ConnectionReporter {
        let mut draft = self.draft();
        draft.full.connections.push(part);
        ConnectionReporter {
            run: self.clone(),
            index: draft.full.connections.len() - 1,
        }
    }

    /// Remembers that something was changed outside.
    pub fn mark_written(&self) {
        self.draft().wrote = true;
    }
}

impl RequestObserver for RunReport {
    fn on_request(&self) {
        self.draft().full.requests += 1;
    }

    fn on_retry(&self, why: &str) {
        *self.draft().full.retries.entry(why.to_owned()).or_default() += 1;
    }

    fn on_warning(&self, warning: String) {
        Self::warn(self, warning);
    }
}

impl RequestObserver for ConnectionReporter {
    fn on_request(&self) {
        self.run.on_request();
        self.update(|part| part.requests += 1);
    }

    fn on_retry(&self, why: &str) {
        self.run.on_retry(why);
        self.update(|part| *part.retries.entry(why.to_owned()).or_default() += 1);
    }

    fn on_warning(&self, warning: String) {
        Self::warn(self, warning);
    }
}

fn push_once(list: &mut Vec<String>, left_out: &mut LeftOut, text: String) {
    if !list.contains(&text) {
        push_bounded(list, [text], SHOWN_WARNINGS, left_out, "warnings");
    }
}

/// A handle on the part of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionReporter {
    /// The whole report.
    pub run: RunReport,
    index: usize,
}

impl ConnectionReporter {
    /// The connection's name.
    pub fn name(&self) -> String {
        let draft = self.run.draft();
        let part = draft.full.connections.get(self.index);
        part.map(|part| part.name.clone()).unwrap_or_default()
    }

    /// Says that a write to this connection, or of what came from it, begins or ends. Until it
    /// ends, it is in doubt what it changed.
    pub fn mark_writing(&self, begins: bool) {
        self.update(|part| {
            let writing = &mut part.beside.writing;
            // Counted, since several threads may write at once.
            *writing = if begins {
                *writing + 1
            } else {
                writing.saturating_sub(1)
            };
        });
    }

    /// Asks TheHive for an operation.
    pub fn request_operation(&self, operation: Operation) {
        self.update(|part| part.beside.operations.push(operation));
    }

    /// Offers IOCs as artifacts, and shows the alert that they are of; what is too much is counted,
    /// `cut` of it already.
    pub fn show_alert(&self, origin: &RowSource, alert: Alert, artifacts: Vec<Artifact>, cut: u64) {
        let mut draft = self.run.draft();
        draft.count_left_out("artifacts", cut);
        artifacts
            .into_iter()
            .for_each(|artifact| draft.add_artifact(self.index, origin, artifact));
        draft.show_alert(self.index, origin, alert);
    }

    /// Offers values as artifacts, the most important first; `cut` of them were left out already.
    pub fn offer_artifacts(&self, artifacts: Vec<Artifact>, cut: u64) {
        let mut draft = self.run.draft();
        draft.count_left_out("artifacts", cut);
        for artifact in artifacts {
            draft.add_artifact(self.index, &RowSource::default(), artifact);
        }
    }

    /// Changes the part.
    pub fn update(&self, change: impl FnOnce(&mut ConnectionReport)) {
        if let Some(part) = self.run.draft().full.connections.get_mut(self.index) {
            change(part);
        }
    }

    /// Counts items as read.
    pub fn count_fetched(&self, item: ItemKind, number: u64) {
        self.update(|part| part.ledger.count_fetched(item, number));
    }

    /// Records what became of items read before. A rule or reason is cleaned and shortened: it may
    /// quote a server.
    pub fn record(&self, item: ItemKind, verdict: &Verdict, number: u64) {
        let shown = |reason: &String| self.run.scrubber().clean_truncated(reason, SHOWN_REASON);
        let verdict = match verdict {
            Verdict::Skipped(rule) => Verdict::Skipped(shown(rule)),
            // Cleaned before the identifiers go: a part of a secret may look like one.
            Verdict::Failed(reason) => {
                Verdict::Failed(shown(&strip_identifiers(&self.run.clean(reason))))
            }
            plain @ (Verdict::Created | Verdict::Updated | Verdict::Unchanged | Verdict::Found) => {
                plain.clone()
            }
        };

        self.update(|part| part.ledger.record(item, &verdict, number));
    }

    /// Records what became of one item, and names it if it failed.
    pub fn settle(&self, item: ItemKind, verdict: &Verdict, name: impl FnOnce() -> String) {
        self.name_failure(verdict, name);
        self.record(item, verdict, 1);
    }

    /// Names what failed.
    pub fn name_failure(&self, verdict: &Verdict, name: impl FnOnce() -> String) {
        if let Verdict::Failed(reason) = verdict {
            self.add_failure(format!("{}: {reason}", name()));
        }
    }

    /// Adds a warning to this connection, once.
    pub fn warn(&self, warning: impl Into<String>) {
        self.update_list(|part, left_out| part.push_warning(warning.into(), left_out));
    }

    /// Adds a remark that the message has to have too, once.
    pub fn add_note(&self, note: impl Into<String>) {
        self.update_list(|part, left_out| part.push_note(note.into(), left_out));
    }

    /// Names a single failure; of those beyond the first the report gives the number.
    pub fn add_failure(&self, failure: impl Into<String>) {
        self.update_list(|part, left_out| part.push_failures([failure.into()], left_out));
    }

    fn update_list(&self, change: impl FnOnce(&mut ConnectionReport, &mut LeftOut)) {
        let full = &mut self.run.draft().full;
        if let Some(part) = full.connections.get_mut(self.index) {
            change(part, &mut full.left_out);
        }
    }

    /// Counts elements of a list that the report leaves out.
    pub fn count_left_out(&self, list: &str, number: u64) {
        self.run.draft().count_left_out(list, number);
    }

    /// Shows an observable; of those beyond the first the report gives the number.
    pub fn show_observable(&self, row: ObservableRow) {
        self.update_list(|part, left_out| part.push_observables([row], left_out));
    }

    /// Shows a retraction; of those beyond the first the report gives the number.
    pub fn show_retraction(&self, row: RetractionRow) {
        self.update_list(|part, left_out| part.push_retractions([row], left_out));
    }

    /// Shows an event; of those that find no room the report gives the number. What was written or
    /// failed comes first, and organisations take turns.
    pub fn show_event(&self, line: EventRow) {
        self.run.draft().show_event(self.index, line);
    }

    /// A reporter of the same connection with a report of its own, which
    /// [`ConnectionReporter::merge_part`] adds to this one, and which may be set as
    /// [`ConnectionReporter::set_report_if_stopped`] before.
    pub fn separate_part(&self) -> Self {
        let name = self.name();
        self.run.with_separate_report().open(ConnectionReport {
            name,
            ..ConnectionReport::default()
        })
    }

    /// Sets what is reported of this connection if the run is stopped now, in place of what was set
    /// before.
    pub fn set_report_if_stopped(&self, apart: &Self) {
        let foreseen = std::mem::take(&mut *apart.run.draft());
        self.update(|part| part.beside.foreseen = Some(Box::new(foreseen)));
    }

    /// Adds what was recorded apart. What was set for a stopped run goes in the same moment, so
    /// that no report has it twice.
    pub fn merge_part(&self, apart: &Self) {
        // Taken before the other draft is locked, so that no two threads wait for each other.
        let recorded = std::mem::take(&mut *apart.run.draft());
        let mut draft = self.run.draft();
        if let Some(part) = draft.full.connections.get_mut(self.index) {
            part.beside.foreseen = None;
        }
        draft.merge_part(self.index, recorded);
    }

    /// Closes the part: the work on this connection is over, with an error or without.
    pub fn finish(&self, error: Option<String>) {
        self.update(|part| {
            part.ledger
                // What has no verdict by now counts as failed, also where nothing went wrong.
                .close_open(error.as_deref().unwrap_or("not reached"));
            part.error = error;
            part.beside.has_ended = true;
        });
    }
}
