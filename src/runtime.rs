//! The life of a run: command line, job, gate, work, report, exit status. Whatever happens, a
//! report is given: the work runs on its own thread and writes into [`RunReport`], which this
//! thread can read at any time. What the command line may say is in `cli.rs`, how a record becomes
//! a report in `outcome.rs`, and what a person at a terminal sees meanwhile in `progress.rs`.
//! `now.rs` has Cortex run the worker, for a schedule.

mod cli;
pub mod now;
mod outcome;
mod progress;

use std::any::Any;
use std::io::{IsTerminal, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::schema::{self, OptionSpec};
use crate::config::{self, OptionSource, overrides};
use crate::cortex::envelope;
use crate::cortex::job::{Job, JobSource};
use crate::cortex::{manifest, pretty};
use crate::environment::Environment;
use crate::report::RunReport;
use crate::secret::Scrubber;
use crate::time::Clock;
use crate::worker::{self, Session, Worker};
use crate::{doctor, export, import};
use cli::Action;
use outcome::build_report;
use progress::{Progress, TICK};

/// How the work ended.
enum RunEnd {
    Finished(Result<()>),
    Panicked(String),
    Stopped(&'static str),
}

/// What the working thread tells the one that answers.
enum WorkerMessage {
    Clock(Clock),
    Signal,
    End(RunEnd),
}

/// After the deadline a run has this long to stop by itself.
const GRACE: Duration = Duration::from_secs(60);

/// The whole program. The exit status is 0 once a report is written, be it of a success or of a
/// failure: Kubernetes would run a job with another status again.
pub fn main<W: Worker, N: now::NowArgs>() -> ExitCode {
    let arguments = cli::parse::<W, N>();

    match arguments.action {
        Some(Action::Check { folder, json }) => return check::<W>(folder, json),
        Some(Action::Now(asked)) => return now::run(W::PROGRAM, &asked),
        None => {}
    }

    let arguments = arguments.job;
    if arguments.manifest {
        return exit_code(envelope::print_line(
            manifest::to_json_text(&manifest::build(&worker::info::<W>())).trim_end(),
        ));
    }

    let place = JobSource::find(arguments.folder);
    let run = RunReport::with_environment(Environment::from_process());
    let end = run_on_thread::<W>(&place, &run);
    // A thread that still works writes into an empty draft from here on, which nobody reads.
    let report = build_report::<W>(std::mem::take(&mut run.draft()), end, &run.scrubber());
    let report = report.render(&run.scrubber());
    let is_for_people = arguments.pretty || is_interactive(&place);
    let printed = is_for_people.then(|| envelope::print_line(&pretty::render(W::PROGRAM, &report)));

    // Whether a report was given decides; beside one in a folder, what is printed is an extra.
    exit_code(match (&place, printed) {
        (JobSource::Streams(_), Some(printed)) => printed,
        (JobSource::Streams(_) | JobSource::Folder(_), _) => {
            envelope::write_report(&report, &place)
        }
    })
}

fn check<W: Worker>(folder: Option<PathBuf>, as_json: bool) -> ExitCode {
    let place = JobSource::find(folder);
    let (text, has_failed) = doctor::run_check::<W>(&place, as_json, connection_options());
    let printed = exit_code(envelope::print_line(&text));
    if has_failed {
        ExitCode::FAILURE
    } else {
        printed
    }
}

/// True if somebody started the program without a job, at a terminal.
fn is_interactive(place: &JobSource) -> bool {
    place.folder().is_none() && stdin().is_terminal() && stdout().is_terminal()
}

fn exit_code(written: Result<()>) -> ExitCode {
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one line for a run that can give no report at all"
)]
fn print_error(line: &str) {
    eprintln!("{line}");
}

fn run_on_thread<W: Worker>(place: &JobSource, run: &RunReport) -> RunEnd {
    let (sender, receiver) = mpsc::channel();
    let place_of_panic = capture_panic_location();
    watch_signals(sender.clone());
    let progress = Progress::new(W::PROGRAM, run, place);
    let (place, run) = (place.clone(), run.clone());

    thread::spawn(move || {
        let worked = catch_unwind(AssertUnwindSafe(|| {
            read_and_run_job::<W>(&place, &run, &sender)
        }));
        let end = match worked {
            Ok(result) => RunEnd::Finished(result),
            Err(cause) => RunEnd::Panicked(describe_panic(&*cause, &place_of_panic)),
        };
        // If the run was stopped, nobody listens any more.
        drop(sender.send(WorkerMessage::End(end)));
    });

    wait_for_end(&receiver, progress)
}

/// Waits for the end of the work, a signal, or a deadline that the work does not keep.
fn wait_for_end(receiver: &Receiver<WorkerMessage>, mut progress: Option<Progress>) -> RunEnd {
    // Until the work has read its configuration, no deadline is known.
    let mut last: Option<Instant> = None;
    loop {
        let left = last.map_or(Duration::MAX, |last| {
            last.saturating_duration_since(Instant::now())
        });
        let pause = if progress.is_some() {
            left.min(TICK)
        } else {
            left
        };

        match receiver.recv_timeout(pause) {
            Ok(WorkerMessage::Clock(clock)) => {
                last = clock
                    .time_left()
                    .and_then(|left| Instant::now().checked_add(left + GRACE))
            }
            Ok(WorkerMessage::Signal) => return RunEnd::Stopped("stopped by a signal"),
            Ok(WorkerMessage::End(end)) => return end,
            // Only the pause between two looks is over.
            Err(RecvTimeoutError::Timeout) if pause < left => {
                progress.iter_mut().for_each(Progress::show)
            }
            Err(RecvTimeoutError::Timeout) => return RunEnd::Stopped("stopped at the deadline"),
            Err(RecvTimeoutError::Disconnected) => {
                return RunEnd::Stopped("stopped without a reason");
            }
        }
    }
}

/// If signals cannot be watched, the run goes on without.
fn watch_signals(sender: Sender<WorkerMessage>) {
    if let Ok(mut signals) = Signals::new([SIGTERM, SIGINT]) {
        thread::spawn(move || {
            for _ in signals.forever() {
                drop(sender.send(WorkerMessage::Signal));
            }
        });
    }
}

/// Keeps a panic off the terminal (Cortex would publish it) and remembers where it was.
fn capture_panic_location() -> Arc<Mutex<String>> {
    let place = Arc::new(Mutex::new(String::new()));
    let remembered = Arc::clone(&place);
    std::panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        *remembered.lock().unwrap_or_else(PoisonError::into_inner) = location;
    }));
    place
}

fn describe_panic(cause: &(dyn Any + Send), place: &Mutex<String>) -> String {
    let words = cause
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| cause.downcast_ref::<String>().cloned());
    let place = place.lock().unwrap_or_else(PoisonError::into_inner);
    format!(
        "a defect in this program, at {place}: {}: please report it",
        words.unwrap_or_default()
    )
}

fn read_and_run_job<W: Worker>(
    place: &JobSource,
    run: &RunReport,
    sender: &Sender<WorkerMessage>,
) -> Result<()> {
    run_worker::<W>(place.read_job()?, Some(place), run, |clock| {
        drop(sender.send(WorkerMessage::Clock(clock)));
        clock
    })
}

fn run_worker<W: Worker>(
    raw: Value,
    place: Option<&JobSource>,
    run: &RunReport,
    on_clock: impl FnOnce(Clock) -> Clock,
) -> Result<()> {
    // Before anything can fail: every message is cleaned of what is learnt here.
    run.set_scrubber(Scrubber::from_job(&raw, run.environment()));
    let job = Job::new(raw, W::DATA_TYPES)?.with_folder_of(place);
    let options = connection_options();
    let open_session = |clock| Session {
        job: &job,
        connection_options: &options,
        clock,
        run,
    };

    if let Err(refusal) = job.check_markings() {
        // The configuration, which has the deadline, is not read yet; the words of a refusal get a
        // minute.
        let session = open_session(on_clock(Clock::start(1)));
        return Err(W::explain_refusal(&session, refusal));
    }

    let (config, warnings) =
        config::parse_options::<W::Config>(&job.config, OptionSource::Configuration)?;
    warnings.into_iter().for_each(|warning| run.warn(warning));
    let clock = on_clock(Clock::start(W::limits(&config).deadline_minutes));

    W::run(&open_session(clock), &config)
}

/// The options that a connection can have of its own, of both workers, so that both can have the
/// same list of connections.
pub fn connection_options() -> Vec<OptionSpec> {
    overrides::overridable_options(
        schema::for_config::<import::Config>()
            .into_iter()
            .chain(schema::for_config::<export::Config>()),
    )
}

/// The report on a job, worked on in this process and on this thread, by a clock whose pauses take
/// no time and without an environment: for tests that run one job very often.
pub fn report_without_waiting<W: Worker>(job: Value) -> Value {
    report_with_clock::<W>(job, Clock::without_waiting)
}

/// The same, by a clock of the test's making.
pub fn report_with_clock<W: Worker>(job: Value, clock: fn(Clock) -> Clock) -> Value {
    let run = RunReport::default();
    let result = run_worker::<W>(job, None, &run, clock);
    let report = build_report::<W>(
        std::mem::take(&mut run.draft()),
        RunEnd::Finished(result),
        &run.scrubber(),
    );

    report.render(&run.scrubber())
}
