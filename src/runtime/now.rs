//! `now`: has Cortex run the worker, for a schedule, so that a run stands where a click's would;
//! waits for its end and prints what came of it. `export.rs` asks TheHive for cases, `import.rs`
//! asks Cortex, `metrics.rs` writes what a monitoring system reads.

mod export;
mod import;
mod metrics;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::{Map, Value, json};
use url::Url;

use super::print_error;
use super::progress::StatusLine;
use crate::config::urls;
use crate::cortex::envelope;
use crate::cortex::server::EndedRun;
use crate::environment::Environment;
use crate::files;
use crate::http::{Client, Endpoint, HttpContext, HttpError, ServerAccess, Timeouts};
use crate::report::RunReport;
use crate::secret::{Scrubber, Secret};
use crate::text;
use crate::time::Clock;
pub use export::ExportNow;
pub use import::ImportNow;

/// How long a server is waited for: Cortex answers half a minute after it was asked.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    read: Duration::from_secs(90),
};
/// A longer key is none.
const LONGEST_KEY: u64 = 4_096;

/// What both programs are told.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// A file that holds the key and nothing else, in place of the variable.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Certificates of authorities to trust beside those known to the program: a PEM file.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Minutes to wait for the end of all runs. What still runs then is named, and goes on.
    #[arg(long, value_name = "MINUTES", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=1440))]
    wait: u64,
    /// Writes the outcome to this file, for the textfile collector of Prometheus' node_exporter.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Gets this URL when all was done, and URL/fail when not, for a service that misses a sign of
    /// life.
    #[arg(long, value_name = "URL")]
    ping: Option<String>,
}

/// What a program is asked for by `now`.
pub trait NowArgs: Args {
    /// The variables that hold the address and the key of the server that is asked.
    const VARIABLES: [&'static str; 2];

    /// What both programs are told.
    fn common(&self) -> &CommonArgs;

    /// Has Cortex do the work, and hands over what came of each run as soon as it is known.
    ///
    /// # Errors
    /// Why it could not be asked for.
    fn work(&self, session: &mut NowSession<'_>) -> Result<()>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All was done.
    Complete,
    /// A part was done.
    Incomplete,
    /// Nothing was done, or nobody knows.
    Failed,
    /// The run could not be asked for.
    NotAsked,
}

impl Outcome {
    /// The exit status.
    fn status(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Incomplete | Self::Failed => 1,
            Self::NotAsked => 2,
        }
    }
}

/// What came of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// The report's message.
    pub message: String,
    /// The report's ledger; null if there is none.
    pub ledger: Value,
}

impl RunEnd {
    /// A run without a report.
    pub fn without_report(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
            ledger: Value::Null,
        }
    }
}

/// What came of a run that stands so in Cortex or TheHive; none as long as it is not done.
pub fn read_end(status: &str, report: &Value) -> Option<RunEnd> {
    let ended = EndedRun::read(status, report)?;
    let outcome = match (ended.is_success, ended.is_incomplete) {
        (true, false) => Outcome::Complete,
        (true, true) => Outcome::Incomplete,
        (false, _) => Outcome::Failed,
    };
    Some(RunEnd {
        outcome,
        message: ended.message,
        ledger: ended.ledger,
    })
}

/// What is to be said where a run could not be begun, or perhaps was: it is never begun twice.
pub fn explain_no_start(error: &anyhow::Error, where_to_look: &str) -> RunEnd {
    match HttpError::of(error).is_some_and(HttpError::may_have_written) {
        true => RunEnd::without_report(
            Outcome::Failed,
            format!("nobody knows whether it runs, see {where_to_look}: {error:#}"),
        ),
        false => RunEnd::without_report(Outcome::NotAsked, format!("{error:#}")),
    }
}

/// What `now` works with.
pub struct NowSession<'a> {
    url: Url,
    key: Secret,
    network: HttpContext,
    run: &'a RunReport,
    line: StatusLine,
    ends: Vec<RunEnd>,
}

impl NowSession<'_> {
    /// Shows how far it is, to whoever sits at a terminal.
    fn show(&mut self, words: &str) {
        let seconds = self.network.clock().elapsed_seconds();
        self.line.show(&format!("{words}: {seconds:.0} s"));
    }

    /// Takes what came of a run, and prints it: what was done to the standard output, what was not
    /// to the standard error.
    fn take_end(&mut self, subject: &str, end: RunEnd) {
        // The line that is shown is wiped when it is dropped, before anything is printed.
        self.line = StatusLine::new();
        let line = self.clean(&format!("{subject}{}", end.message));
        match end.outcome {
            Outcome::Complete | Outcome::Incomplete => drop(envelope::print_line(&line)),
            Outcome::Failed | Outcome::NotAsked => print_error(&line),
        }
        self.ends.push(end);
    }

    /// A line without secrets, that cannot steer a terminal.
    fn clean(&self, words: &str) -> String {
        let words = text::one_line(&self.run.clean(words));
        text::reveal_hidden(&words).into_owned()
    }

    /// The worst of all.
    fn outcome(&self) -> Outcome {
        let all = self.ends.iter().map(|end| end.outcome);
        all.max().unwrap_or(Outcome::Complete)
    }
}

/// Does what is asked, and gives the exit status.
pub fn run<N: NowArgs>(program: &str, asked: &N) -> ExitCode {
    let run = RunReport::with_environment(Environment::from_process());
    let outcome = match open_session(asked, &run) {
        Ok(mut session) => {
            if let Err(error) = asked.work(&mut session) {
                let end = RunEnd::without_report(Outcome::NotAsked, format!("{error:#}"));
                session.take_end(&format!("{program} now: "), end);
            }
            tell_monitoring(program, asked.common(), &session)
        }
        Err(error) => {
            print_error(&format!(
                "{program} now: {}",
                run.clean(&format!("{error:#}"))
            ));
            Outcome::NotAsked
        }
    };

    ExitCode::from(outcome.status())
}

fn open_session<'a, N: NowArgs>(asked: &N, run: &'a RunReport) -> Result<NowSession<'a>> {
    let common = asked.common();
    let [url_name, key_name] = N::VARIABLES;
    let key = read_key(common, key_name, run.environment())?;
    // Named as in a configuration: by the names of its members the scrubber knows what is secret.
    run.set_scrubber(Scrubber::from_job(
        &json!({"config": {"key": key.expose(), "ping": common.ping}}),
        run.environment(),
    ));

    let url = run.environment().var(url_name).unwrap_or_default();
    ensure!(
        !url.trim().is_empty(),
        "the variable {url_name} is not set: write the server's address into it"
    );
    let url = urls::parse_server(&url).map_err(|problem| anyhow!("{url_name} {problem}"))?;

    let mut config = Map::new();
    if let Some(file) = &common.ca_file {
        let certificates = fs::read_to_string(file)
            .with_context(|| format!("--ca-file {} cannot be read", file.display()))?;
        config.insert("cacerts".to_owned(), json!(certificates));
    }
    let clock = Clock::start(common.wait);
    let network = HttpContext::new(TIMEOUTS, &config, None, clock, run.http_context());

    Ok(NowSession {
        url,
        key,
        network,
        run,
        line: StatusLine::new(),
        ends: Vec::new(),
    })
}

/// The key: that of the file, else of the variable. An argument would be seen by every user of the
/// machine.
fn read_key(common: &CommonArgs, name: &str, environment: &Environment) -> Result<Secret> {
    let key = match &common.key_file {
        Some(file) => read_key_file(file)
            .with_context(|| format!("--key-file {} cannot be read", file.display()))?,
        None => environment.var(name).unwrap_or_default(),
    };
    let key = Secret::new(&key);
    if key.expose().is_empty() {
        match &common.key_file {
            Some(file) => bail!("--key-file {} is empty", file.display()),
            None => bail!("no key: set the variable {name}, or name a file by --key-file"),
        }
    }

    Ok(key)
}

fn read_key_file(file: &Path) -> Result<String> {
    let mut text = String::new();
    fs::File::open(file)?
        .take(LONGEST_KEY + 1)
        .read_to_string(&mut text)?;
    ensure!(
        text.len() as u64 <= LONGEST_KEY,
        "it is longer than any key: it should hold the key and nothing else"
    );
    Ok(text)
}

/// Writes the metrics and gets the URL of the health check. What fails there is said, and changes
/// a good outcome into one that was not told to those who should know.
fn tell_monitoring(program: &str, common: &CommonArgs, session: &NowSession<'_>) -> Outcome {
    let outcome = session.outcome();
    let written = common.metrics.as_ref().map(|file| {
        let text = metrics::render(program, &session.ends, outcome, session.network.clock());
        write_metrics(file, &text)
            .with_context(|| format!("--metrics {} cannot be written", file.display()))
    });
    let is_written = written.is_none_or(|written| told(program, session, written));
    let outcome = outcome.max(if is_written {
        Outcome::Complete
    } else {
        Outcome::Failed
    });

    let pinged = common.ping.as_ref().map(|url| ping(url, outcome, session));
    match pinged.is_none_or(|pinged| told(program, session, pinged)) {
        true => outcome,
        false => outcome.max(Outcome::Failed),
    }
}

/// True if it went well; else what went wrong is printed.
fn told(program: &str, session: &NowSession<'_>, result: Result<()>) -> bool {
    if let Err(error) = &result {
        print_error(&session.clean(&format!("{program} now: {error:#}")));
    }
    result.is_ok()
}

fn write_metrics(file: &Path, text: &str) -> Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let name = file.file_name().context("it names no file")?;
    let name = name.to_str().context("its name is no text")?;
    Ok(files::write_atomically(
        folder.unwrap_or(Path::new(".")),
        name,
        text.as_bytes(),
    )?)
}

/// Without our keys: this is another server.
fn ping(url: &str, outcome: Outcome, session: &NowSession<'_>) -> Result<()> {
    let url = match outcome {
        Outcome::Complete => url.to_owned(),
        _ => format!("{}/fail", url.trim_end_matches('/')),
    };
    let url = Url::parse(&url).context("--ping is no URL")?;
    let origin = Endpoint {
        url: &url,
        headers: Vec::new(),
        user_agent: format!("cortex-misp/{}", env!("CARGO_PKG_VERSION")),
        access: &ServerAccess::default(),
    };
    // The time for the runs may be over; this is another work.
    let network = session.network.with_clock(Clock::start(1));
    let client = Client::new(&origin, &network, Arc::new(session.run.clone()))?;
    client
        .retry(|| {
            client.open("")?;
            Ok(())
        })
        .context("--ping")
}
