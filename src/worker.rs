//! What a worker is, and the life of a run: command line, job, gate, work, report, exit status. Whatever happens, a
//! report is given: the work runs on its own thread and writes into [`Run`], which this thread can read at any time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use uuid::Uuid;

use crate::check;
use crate::check::wants::{OfMisp, Wants};
use crate::config::connections::Connection;
use crate::config::own::Configured;
use crate::config::{self, Limits, Table};
use crate::cortex::job::{Job, Place};
use crate::cortex::report::{self, Report, Taxonomy};
use crate::cortex::{manifest, pretty};
use crate::full::{Draft, Full, Part, PartOf, Run};
use crate::ledger::{Item, Ledger};
use crate::misp::Misp;
use crate::secret::Scrubber;
use crate::time::Clock;

/// A Cortex worker.
pub trait Worker {
    /// Its name in Cortex's catalogue.
    const NAME: &'static str;
    /// The program's file name.
    const PROGRAM: &'static str;
    /// What it is, for Cortex.
    const FLAVOUR: Flavour;
    /// One sentence for the catalogue.
    const DESCRIPTION: &'static str;
    /// The data types it takes.
    const DATA_TYPES: &'static [&'static str];
    /// Its configuration; the manifest is made from it.
    type Config: Clone + DeserializeOwned + JsonSchema + Sync;

    /// The limits in the configuration.
    fn limits(config: &Self::Config) -> &Limits;

    /// Does the work, writing into the run what becomes of every item.
    ///
    /// # Errors
    /// What stopped the whole run; a connection's error stands in its part instead.
    fn run(job: &Job, config: &Self::Config, clock: Clock, run: &Run) -> Result<()>;

    /// What the configuration wants, for the doctor.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn wants(config: &Self::Config, input: &check::Input) -> Result<Wants>;

    /// What it wants of one MISP.
    fn of_misp(config: &Self::Config, connection: &Connection) -> OfMisp;

    /// Looks up the names that its filters name on a MISP: true if there are any. What is not there is a warning of the part.
    ///
    /// # Errors
    /// What stopped the looking; that nothing would be done for want of a name.
    fn names(config: &Self::Config, misp: &Misp, part: &PartOf) -> Result<bool>;

    /// The event that a job stands for, where that is known beforehand.
    fn event(config: &Self::Config, input: &check::Input) -> Option<Uuid>;

    /// The outcome in one sentence, from what the run recorded.
    fn message(full: &Full) -> String;

    /// The mini reports, from what the run recorded.
    fn taxonomies(full: &Full) -> Vec<Taxonomy>;
}

/// The two kinds of Cortex worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Looks things up.
    Analyzer,
    /// Does things.
    Responder,
}

#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// The job folder: the job is JOB_DIR/input/input.json, the report JOB_DIR/output/output.json. Without such a file
    /// the job is read from the standard input and the report written to the standard output.
    #[arg(value_name = "JOB_DIR")]
    folder: Option<PathBuf>,
    /// Prints the manifest for Cortex and ends.
    #[arg(long)]
    manifest: bool,
    /// Prints the report as text for people, not as JSON; for the standard output only.
    #[arg(long)]
    pretty: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Looks at every server that a configuration names: name, certificate, version, key, permissions, clock, names in
    /// filters. Changes nothing, and waits a minute at most for an answer, whatever `read_timeout` says. The exit status is 0 if nothing failed, and 1 if something did; warnings do not count.
    Check {
        /// The job folder: the job is JOB_DIR/input/input.json. Without such a file a job, or a configuration alone (an
        /// object with `name`, `url`, `key`, ...), is read as JSON from the standard input.
        #[arg(value_name = "JOB_DIR")]
        folder: Option<PathBuf>,
        /// Prints JSON, not a table.
        #[arg(long)]
        json: bool,
    },
}

/// How the work ended.
enum End {
    Finished(Result<()>),
    Panicked(String),
    Stopped(&'static str),
}

/// What the working thread tells the one that answers.
enum Note {
    Clock(Clock),
    Signal,
    End(End),
}

/// After the deadline a run has this long to stop by itself.
const GRACE: Duration = Duration::from_secs(60);

/// The whole program. The exit status is 0 once a report is written, be it of a success or of a failure: Kubernetes
/// would run a job with another status again.
#[must_use]
pub fn main<W: Worker>() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Action::Check { folder, json }) = arguments.action {
        let (text, has_failed) = check::told::<W>(&Place::find(folder), json);
        let printed = status(report::print(&text));
        return if has_failed { ExitCode::FAILURE } else { printed };
    }
    if arguments.manifest {
        return status(report::print(manifest::document(&manifest::of::<W>()).trim_end()));
    }
    let place = Place::find(arguments.folder);
    let run = Run::default();
    let end = work::<W>(&place, &run);
    let report = conclude::<W>(std::mem::take(&mut run.draft()), end);
    let report = report.render(&run.scrubber());
    match (&place, arguments.pretty) {
        (Place::Streams(_), true) => status(report::print(&pretty::text(W::PROGRAM, &report))),
        (Place::Streams(_) | Place::Folder(_), _) => status(report::write(&report, &place)),
    }
}

fn status(written: Result<()>) -> ExitCode {
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one line for a run that can give no report at all")]
fn complain(line: &str) {
    eprintln!("{line}");
}

fn work<W: Worker>(place: &Place, run: &Run) -> End {
    let (sender, receiver) = mpsc::channel();
    let place_of_panic = remember_panics();
    watch_signals(sender.clone());
    let (place, run) = (place.clone(), run.clone());
    thread::spawn(move || {
        let worked = catch_unwind(AssertUnwindSafe(|| job::<W>(&place, &run, &sender)));
        let end = match worked {
            Ok(result) => End::Finished(result),
            Err(cause) => End::Panicked(describe(&*cause, &place_of_panic)),
        };
        drop(sender.send(Note::End(end)));
    });
    wait(&receiver)
}

/// Waits for the end of the work, a signal, or a deadline that the work does not keep.
fn wait(receiver: &Receiver<Note>) -> End {
    let mut last: Option<Instant> = None;
    loop {
        let left = last.map_or(Duration::MAX, |last| last.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left) {
            Ok(Note::Clock(clock)) => last = clock.left().and_then(|left| Instant::now().checked_add(left + GRACE)),
            Ok(Note::Signal) => return End::Stopped("stopped by a signal"),
            Ok(Note::End(end)) => return end,
            Err(RecvTimeoutError::Timeout) => return End::Stopped("stopped at the deadline"),
            Err(RecvTimeoutError::Disconnected) => return End::Stopped("stopped without a reason"),
        }
    }
}

/// If signals cannot be watched, the run goes on without.
fn watch_signals(sender: Sender<Note>) {
    if let Ok(mut signals) = Signals::new([SIGTERM, SIGINT]) {
        thread::spawn(move || {
            for _ in signals.forever() {
                drop(sender.send(Note::Signal));
            }
        });
    }
}

/// Keeps a panic off the terminal (Cortex would publish it) and remembers where it was.
fn remember_panics() -> Arc<Mutex<String>> {
    let place = Arc::new(Mutex::new(String::new()));
    let remembered = Arc::clone(&place);
    std::panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        *remembered.lock().unwrap_or_else(PoisonError::into_inner) = location;
    }));
    place
}

fn describe(cause: &(dyn Any + Send), place: &Mutex<String>) -> String {
    let words =
        cause.downcast_ref::<&str>().map(ToString::to_string).or_else(|| cause.downcast_ref::<String>().cloned());
    let place = place.lock().unwrap_or_else(PoisonError::into_inner);
    format!("a defect in this program, at {place}: {}: please report it", words.unwrap_or_default())
}

fn job<W: Worker>(place: &Place, run: &Run, sender: &Sender<Note>) -> Result<()> {
    started::<W>(place.read()?, Some(place), run, |clock| {
        drop(sender.send(Note::Clock(clock)));
        clock
    })
}

fn started<W: Worker>(
    raw: Value,
    place: Option<&Place>,
    run: &Run,
    on_clock: impl FnOnce(Clock) -> Clock,
) -> Result<()> {
    run.learn(Scrubber::of_job(&raw));
    let job = Job::new(raw, W::DATA_TYPES)?.at(place);
    job.check_markings()?;
    let (config, warnings) = config::read::<W::Config>(&job.config, Table::Configuration)?;
    warnings.into_iter().for_each(|warning| run.warn(warning));
    let clock = on_clock(Clock::start(W::limits(&config).deadline_minutes));
    W::run(&job, &config, clock, run)
}

/// The report on a job, worked on in this process and on this thread, by a clock whose pauses take no time: for tests that
/// run one job very often.
#[must_use]
pub fn report_at_once<W: Worker>(job: Value) -> Value {
    report_by::<W>(job, Clock::without_waiting)
}

/// The same, by a clock of the test's making.
#[must_use]
pub fn report_by<W: Worker>(job: Value, clock: fn(Clock) -> Clock) -> Value {
    let run = Run::default();
    let result = started::<W>(job, None, &run, clock);
    let report = conclude::<W>(std::mem::take(&mut run.draft()), End::Finished(result));
    report.render(&run.scrubber())
}

/// Failures named in the message.
const NAMED_FAILURES: usize = 3;

/// Turns what a run recorded, and how it ended, into a report. A failure is reported as such only if nothing was
/// written anywhere and nothing was achieved; a run that did a part of its work is an incomplete success.
fn conclude<W: Worker>(mut draft: Draft, end: End) -> Report {
    let stop = match end {
        End::Finished(Ok(())) => None,
        End::Finished(Err(error)) => Some(format!("{error:#}")),
        End::Panicked(defect) => Some(defect),
        End::Stopped(reason) => Some(reason.to_owned()),
    };
    let full = &mut draft.full;
    let is_writing = draft.sides.iter().any(|side| side.writing > 0);
    for (part, side) in full.connections.iter_mut().zip(&draft.sides).filter(|(_, side)| !side.has_ended) {
        let reason = stop.as_deref().unwrap_or("the run ended before");
        let word = if side.writing > 0 { "not verified" } else { "not reached" };
        part.ledger.settle(&format!("{word}: {reason}"));
        part.error = part.error.take().or_else(|| Some(reason.to_owned()));
    }
    let (artifacts, operations) = draft.gathered();
    let full = &mut draft.full;
    full.connections.iter().for_each(|part| full.ledger.add(&part.ledger));
    let failures = failures(full, stop);
    let achieved =
        full.connections.iter().any(|part| part.error.is_none() && part.ledger.counts().all(|(_, c)| c.failed == 0));
    let achieved = achieved || full.ledger.counts().any(|(_, count)| count.done() > 0);
    if !failures.is_empty() && !draft.wrote && !is_writing && !achieved {
        return Report::Failure { message: failure_message(full, &failures) };
    }
    let sentence = W::message(full);
    full.message = match failures.as_slice() {
        [] => sentence,
        failures => format!("INCOMPLETE: {sentence}. {}", named(full, failures)),
    };
    let taxonomies = W::taxonomies(full);
    Report::Success { full: draft.full.into(), taxonomies, artifacts, operations }
}

/// Everything that went wrong, in words: what stopped the run, what stopped a connection, what failed singly.
fn failures(full: &Full, stop: Option<String>) -> Vec<String> {
    let several = full.connections.len() > 1;
    let of_parts = full.connections.iter().flat_map(|part| {
        let error = part.error.iter().filter(|error| stop.as_ref() != Some(error)).cloned();
        let name = if several { format!("{}: ", part.name) } else { String::new() };
        error.chain(part.failures.iter().cloned()).map(move |failure| format!("{name}{failure}"))
    });
    let mut failures: Vec<_> = stop.clone().into_iter().chain(of_parts).collect();
    if failures.is_empty() {
        let failed = full.ledger.counts().flat_map(|(_, count)| count.failed_by.iter());
        failures = failed.map(|(reason, number)| format!("{number}: {reason}")).collect();
    }
    failures
}

fn named(full: &Full, failures: &[String]) -> String {
    let first = failures.iter().take(NAMED_FAILURES).cloned().collect::<Vec<_>>().join("; ");
    let unlisted = full.left_out.get("failures").copied().unwrap_or(0);
    match failures.len().saturating_sub(NAMED_FAILURES) as u64 + unlisted {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

fn failure_message(full: &Full, failures: &[String]) -> String {
    let counted = full.ledger.counts().any(|(_, count)| count.fetched > 0);
    if counted { format!("{}. Ledger: {}", named(full, failures), full.ledger) } else { named(full, failures) }
}

/// An error in one line, with everything that led to it.
#[must_use]
pub fn line(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// Connections that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Works on the connections, several at the same time, so that one that hangs keeps no other waiting. Each has a part of
/// the report, open from the beginning, with a line for each kind of item and how many of them are known already; what
/// goes wrong with one stays there.
pub fn each<C: Sync>(
    connections: &[Configured<C>],
    items: &[(Item, usize)],
    clock: Clock,
    run: &Run,
    work: impl Fn(&Configured<C>, &PartOf) -> Result<()> + Sync,
) {
    let open = |Configured { connection, .. }: &Configured<C>| {
        let mut ledger = Ledger::default();
        items.iter().for_each(|(item, known)| ledger.fetched(*item, *known as u64));
        let (name, url) = (connection.name.clone(), connection.url().to_string());
        run.open(Part { name, url, kind: Misp::kind(connection), ledger, ..Part::default() })
    };
    let parts: Vec<_> = connections.iter().map(open).collect();
    let one = |(connection, part): (&Configured<C>, &PartOf)| {
        let started = clock.seconds();
        let ended = work(connection, part);
        part.with(|part| part.seconds = clock.seconds() - started);
        part.end(ended.err().map(|error| line(&error)));
    };
    if let ([connection], [part]) = (connections, parts.as_slice()) {
        return one((connection, part));
    }
    let next = AtomicUsize::new(0);
    let several = || {
        let number = || next.fetch_add(1, Ordering::Relaxed);
        while let Some(work) = Some(number()).and_then(|number| connections.get(number).zip(parts.get(number))) {
            one(work);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = connections.iter().take(AT_ONCE).map(|_| scope.spawn(several)).collect();
        // A panic is passed on with its cause, once the others are done.
        let ended: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
        if let Some(cause) = ended.into_iter().find_map(Result::err) {
            resume_unwind(cause);
        }
    });
}
