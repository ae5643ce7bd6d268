//! `misp-import now`: has Cortex import.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;

use super::{CommonArgs, NowArgs, NowSession, Outcome, RunEnd, explain_no_start, read_end};
use crate::cortex::server::{Analyzer, CortexServer, command_job};
use crate::import::command::SYNC;

/// Has Cortex import from all MISPs, or from the connection named.
#[derive(Debug, Args)]
#[command(after_help = "\
The variables CORTEX_URL and CORTEX_KEY hold the address of Cortex and the key of a user with the \
roles read and analyze.")]
pub struct ImportNow {
    /// Imports from this connection only.
    #[arg(value_name = "CONNECTION")]
    connection: Option<String>,
    /// Imports events published or changed since then: all, 24h, 7d, 2026-01-31.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The analyzer's name in Cortex, if it is enabled more than once or renamed.
    #[arg(long, value_name = "NAME")]
    analyzer: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// How the analyzer is named in Cortex, unless the administrator names it otherwise.
const NAME: &str = "MISPImport_";

impl NowArgs for ImportNow {
    const VARIABLES: [&'static str; 2] = ["CORTEX_URL", "CORTEX_KEY"];

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn work(&self, session: &mut NowSession<'_>) -> Result<()> {
        let observer = Arc::new(session.run.clone());
        let cortex = CortexServer::open(&session.url, &session.key, &session.network, observer)?;
        let analyzer = choose_analyzer(cortex.analyzers("other")?, self.analyzer.as_deref())?;

        let command = match &self.connection {
            Some(connection) => format!("{SYNC}:{connection}"),
            None => SYNC.to_owned(),
        };
        let job = command_job(&command, self.since.as_deref());
        let mut job = match cortex.run_analyzer(&analyzer, &job) {
            Ok(job) => job,
            Err(error) => {
                session.take_end("", explain_no_start(&error, "the jobs in Cortex"));
                return Ok(());
            }
        };
        let end = loop {
            if let Some(end) = read_end(&job.status, &job.report) {
                break end;
            }
            session.show(&format!("{}, {}", analyzer.name, job.status));
            job = match cortex.wait_for(&job) {
                Ok(job) => job,
                Err(error) => break lost(&job.id, &error),
            };
        };
        session.take_end("", end);
        Ok(())
    }
}

fn lost(job: &str, error: &anyhow::Error) -> RunEnd {
    let words = format!("what came of the import is not known, see job {job} in Cortex: {error:#}");
    RunEnd::without_report(Outcome::Failed, words)
}

fn choose_analyzer(all: Vec<Analyzer>, wanted: Option<&str>) -> Result<Analyzer> {
    let mut fitting: Vec<_> = all
        .into_iter()
        .filter(|analyzer| match wanted {
            Some(name) => analyzer.name == name,
            None => analyzer.name.starts_with(NAME),
        })
        .collect();
    match (fitting.pop(), fitting.is_empty(), wanted) {
        (Some(analyzer), true, _) => Ok(analyzer),
        (Some(_), false, _) => {
            bail!(
                "MISPImport is enabled more than once: name one by --analyzer, or disable the older"
            )
        }
        (None, _, Some(name)) => bail!(
            "no analyzer {name} for the type other is enabled in the organisation of CORTEX_KEY"
        ),
        (None, _, None) => bail!(
            "MISPImport is not enabled in the organisation of CORTEX_KEY; under another name, \
             give that by --analyzer"
        ),
    }
}
