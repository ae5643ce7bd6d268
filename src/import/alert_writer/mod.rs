//! The alert of one event in one organisation: created or found, filled page by page, and at the
//! end told what it was made from. What it lacks is planned, written, and looked at again if it is
//! not known what became of a write (`reconcile.rs`).

mod apply;
mod attachment;
mod create;
mod finish;
mod kept;
mod reconcile;

use std::borrow::Cow;
use std::collections::HashSet;

use anyhow::{Result, bail};
use uuid::Uuid;

use super::alert_diff;
use super::mapping::{self, AlertDraft, ObservableDraft};
use super::observable_index::ObservableIndex;
use super::options::Settings;
use super::sync_state::SyncState;
use super::target::AlertTarget;
use super::twins;
use crate::misp::wire::Event;
use crate::report::ConnectionReporter;
use crate::report::ledger::Verdict;
use crate::thehive::wire::{Alert, Observable};
use crate::thehive::{FILE, OBSERVABLES_PAGE};
use crate::time::Clock;
use crate::worker;
pub use attachment::AttachmentTransfer;
pub use kept::{KeptParts, Named};
use reconcile::{Goal, ObservableGoal, Slot};

const NO_TIME: &str =
    "the deadline is near (\"deadline_minutes\"): the rest comes with the next run";

const NO_SHARE: &str = "its organisation's share of the time is used up (\"deadline_minutes\"): \
    it goes on with the next run where it stopped";
/// The rule for what an alert may not take any more.
pub const FULL: &str = "max_attributes: its alert may not grow any more";

/// What all alerts of a connection have in common.
pub struct WriterContext<'a> {
    pub settings: &'a Settings,
    pub case_template: Option<&'a str>,
    pub part: &'a ConnectionReporter,
    /// The time that this event has.
    pub clock: Clock,
    /// That of the run.
    pub of_run: Clock,
    /// The most observables that an alert may have; none for no limit.
    pub most_observables: Option<u64>,
    pub dry_run: bool,
}

impl WriterContext<'_> {
    /// Refuses to begin anything new once the time is over.
    fn ensure_time_left(&self) -> Result<()> {
        match (self.of_run.is_near_the_end(), self.clock.is_near_the_end()) {
            (true, _) => bail!(NO_TIME),
            (false, true) => bail!(NO_SHARE),
            (false, false) => Ok(()),
        }
    }
}

/// The event that an alert is made from.
#[derive(Clone, Copy)]
pub struct SourceEvent<'a> {
    pub event: &'a Event,
    pub uuid: &'a Uuid,
}

/// What there is of an alert.
enum AlertState {
    /// Nothing yet.
    Missing,
    /// This run made it.
    Created {
        alert: Alert,
        /// Nothing is in it but what this run knows of.
        is_fresh: bool,
        /// The creation carried all of the event.
        is_whole: bool,
    },
    /// It was there, with what it says that it was made from.
    Found(Alert, Option<SyncState>),
}

/// Writes one alert.
pub struct AlertWriter<'a> {
    pub target: &'a AlertTarget,
    context: &'a WriterContext<'a>,
    source: SourceEvent<'a>,
    state: AlertState,
    has_new_ioc: bool,
    /// Something of the event is in it for certain.
    is_filled: bool,
    /// A page was put in.
    is_begun: bool,
    /// How many observables came in by this run, as far as it knows.
    added: u64,
    /// A write was not answered, and nobody has looked since.
    is_unsure: bool,
    /// Something that is wanted is not in, and may be next time.
    is_open: bool,
    is_changed: bool,
    removed: u64,
    /// Observables left out since it may not grow any more.
    left_out: u64,
    /// What people did to it.
    kept: KeptParts,
    stopped: Option<String>,
    /// Its files as TheHive last answered; none if it has to be asked.
    files: Option<Vec<Observable>>,
    /// By what those files are known that were written since.
    written_files: HashSet<String>,
    /// All of its observables, if they were read and nothing was written since.
    listed: Option<Vec<Observable>>,
}

/// How an event was read, when all of it was.
#[derive(Clone, Copy)]
pub struct ReadSummary<'a> {
    /// In several answers, between which it may have changed.
    pub is_paged: bool,
    /// Something in it could not be understood, or much of it was not shown: what seems to be gone
    /// may be there.
    pub is_flawed: bool,
    /// The digest of every observable that its attributes stand for.
    pub live: &'a ObservableIndex,
    /// Tells whether it is still as it was when its reading began.
    pub is_same: &'a dyn Fn() -> Result<bool>,
}

/// How an alert ended.
pub struct AlertResult {
    pub verdict: Verdict,
    pub link: Option<String>,
    pub removed: u64,
    pub kept: KeptParts,
    /// Observables left out since it may not grow any more.
    pub left_out: u64,
}

/// A page of an event's observables.
#[derive(Clone, Copy)]
pub struct Page<'p> {
    pub wanted: &'p [ObservableDraft],
    /// The event has more pages: then what another page wants of the same value stays, and this one
    /// adds to it.
    pub is_part: bool,
    /// Nothing comes after it, no page and no file.
    pub is_all: bool,
}

impl<'a> AlertWriter<'a> {
    /// Begins to write an alert; none for one that is to be created.
    pub fn new(
        target: &'a AlertTarget,
        context: &'a WriterContext<'a>,
        source: SourceEvent<'a>,
        alert: Option<Alert>,
    ) -> Self {
        let mut writer = Self {
            target,
            context,
            source,
            state: AlertState::Missing,
            has_new_ioc: false,
            is_filled: false,
            is_begun: false,
            added: 0,
            is_unsure: false,
            is_open: false,
            is_changed: false,
            removed: 0,
            left_out: 0,
            kept: KeptParts::default(),
            stopped: None,
            files: None,
            written_files: HashSet::new(),
            listed: None,
        };
        alert
            .into_iter()
            .for_each(|alert| writer.adopt_alert(alert));
        writer
    }

    /// True if nothing more can be done for it in this run.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The rest follows with the next run, which is to look at the event again.
    pub fn mark_incomplete(&mut self) {
        self.is_open = true;
    }

    /// Puts a page of observables in, each with its verdict.
    pub fn write_page(&mut self, draft: &AlertDraft, page: Page<'_>) -> Vec<Verdict> {
        self.write_observables(draft, page, None)
    }

    /// Puts a file in.
    pub fn write_file(&mut self, draft: &AlertDraft, transfer: &AttachmentTransfer<'_>) -> Verdict {
        if self.stopped.is_none() && !self.target.types.data_types.has(FILE) {
            return Verdict::Skipped("TheHive has no observable type for files".to_owned());
        }
        let page = Page {
            wanted: std::slice::from_ref(&transfer.file.observable),
            is_part: transfer.is_part,
            is_all: false,
        };
        let verdicts = self.write_observables(draft, page, Some(transfer));
        verdicts.into_iter().next().unwrap_or(Verdict::Created)
    }

    fn write_observables(
        &mut self,
        draft: &AlertDraft,
        page: Page<'_>,
        transfer: Option<&AttachmentTransfer<'_>>,
    ) -> Vec<Verdict> {
        let mut goal = Goal::Observables(ObservableGoal {
            draft,
            page,
            taken: Cow::Borrowed(page.wanted),
            transfer,
            slots: vec![Slot::Open; page.wanted.len()],
            creation: None,
        });

        let mut reason = self.stopped.clone().unwrap_or_default();
        if self.stopped.is_none() {
            match self.try_write_observables(&mut goal) {
                Ok(None) => {}
                // What is not known is not done: the state line stays open, so that the next run
                // looks.
                Ok(Some(why)) => {
                    self.is_open = true;
                    reason = format!("not verified: {why}");
                }
                Err(error) => {
                    reason = self.describe_error(&error);
                    // What stopped a page would stop the next one too, so that the rest fails with
                    // it.
                    self.stopped = Some(reason.clone());
                }
            }
        }

        self.is_begun = true;
        let verdicts: Vec<Verdict> = goal
            .into_slots()
            .map(|slot| match slot {
                Slot::Done(verdict) => verdict,
                Slot::Open | Slot::Sent(_) => Verdict::Failed(reason.clone()),
            })
            .collect();
        for (draft, verdict) in page.wanted.iter().zip(&verdicts) {
            // The event had it when the alert was whole: it is back.
            let is_back = self
                .whole_since()
                .zip(draft.changed)
                .is_some_and(|(then, changed)| changed <= then);
            if *verdict == Verdict::Created && is_back {
                self.kept.back.note(&draft.data);
            }
        }

        verdicts
    }

    fn try_write_observables(&mut self, goal: &mut Goal<'_>) -> Result<Option<String>> {
        self.context.ensure_time_left()?;
        self.reconcile(goal, None)
    }

    fn alert(&self) -> Option<&Alert> {
        match &self.state {
            AlertState::Missing => None,
            AlertState::Created { alert, .. } | AlertState::Found(alert, _) => Some(alert),
        }
    }

    /// True for an alert that this run made, or would.
    fn is_new(&self) -> bool {
        !matches!(self.state, AlertState::Found(..))
    }

    /// True for an alert that was there, unless its state line says that something is still
    /// missing, as after a creation that was cut short: an IOC that comes now is news.
    fn was_whole(&self) -> bool {
        match &self.state {
            AlertState::Found(_, made_from) => {
                made_from.as_ref().is_none_or(|state| state.is_complete)
            }
            AlertState::Missing | AlertState::Created { .. } => false,
        }
    }

    /// The last change of the event that the alert was made from, if all of it was put in then.
    fn whole_since(&self) -> Option<i64> {
        match &self.state {
            AlertState::Found(_, Some(made_from)) if made_from.is_complete => {
                made_from.timestamp.filter(|then| *then > 0)
            }
            _ => None,
        }
    }

    /// How many observables it may still get; none for no limit.
    fn room(&self) -> Option<usize> {
        let had = match &self.state {
            AlertState::Found(alert, _) => alert.observable_count.unwrap_or(0),
            AlertState::Missing | AlertState::Created { .. } => 0,
        };
        // What TheHive counted when the alert was found, and what this run has added.
        let has = self.added + u64::try_from(had).unwrap_or(0);
        let room = self.context.most_observables?.saturating_sub(has);
        usize::try_from(room).ok()
    }

    /// Goes on with an alert that this run did not make.
    fn adopt_alert(&mut self, alert: Alert) {
        let made_from = alert_diff::known_state(&alert, self.source.uuid, &self.target.users);
        self.state = AlertState::Found(alert, made_from);
        self.added = 0;
        self.kept = KeptParts::default();
        self.files = None;
        self.listed = None;
    }

    /// True for an alert that was there and whose observables come by one answer.
    fn is_small(&self) -> bool {
        let AlertState::Found(alert, _) = &self.state else {
            return false;
        };
        let count = alert
            .observable_count
            .and_then(|count| usize::try_from(count).ok());
        count.is_some_and(|count| count < OBSERVABLES_PAGE)
    }

    /// The alert as it is now, or, if that is not there any more, the one that counts. Whatever
    /// became of the last write to it is seen.
    fn fetch_current_alert(&mut self) -> Result<Option<Alert>> {
        let found = self.fetch_all_alerts()?;
        self.is_unsure = false;
        let id = self.alert().map(|alert| &alert.id);
        let own = found.iter().find(|alert| Some(&alert.id) == id).cloned();

        Ok(own.or_else(|| self.choose_alert(found)))
    }

    /// All alerts of the event.
    fn fetch_all_alerts(&self) -> Result<Vec<Alert>> {
        let part = self.context.part;
        let source = mapping::source(&part.name(), &part.run.scrubber());
        self.target
            .client
            .fetch_alerts_of_event(&source, self.source.uuid)
    }

    fn choose_alert(&self, alerts: Vec<Alert>) -> Option<Alert> {
        twins::choose_alert(alerts, self.source.uuid, &self.target.users)
    }

    /// What stopped the writing, in words.
    fn describe_error(&self, error: &anyhow::Error) -> String {
        let reason = self.target.prefix_organisation(&worker::error_line(error));
        if self.is_unsure {
            format!("not verified: {reason}")
        } else {
            reason
        }
    }

    fn warn(&self, warning: &str) {
        let uuid = self.source.uuid;
        self.context.part.warn(format!("event {uuid}: {warning}"));
    }
}
