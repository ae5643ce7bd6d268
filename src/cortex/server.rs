//! A Cortex, asked as one of its users: which analyzers take a type, and a run of one
//! (its `conf/routes`, `JobCtrl.scala`).

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::http::{
    Client, Endpoint, HttpContext, HttpError, HttpErrorKind, RequestObserver, ServerAccess,
};
use crate::json;
use crate::secret::Secret;

/// A Cortex.
pub struct CortexServer {
    client: Client,
}

/// An analyzer that is enabled in the organisation of the key.
#[derive(Clone, Debug, Deserialize)]
pub struct Analyzer {
    /// What it is called by.
    pub id: String,
    /// `MISPImport_1_0`, unless the administrator named it otherwise.
    pub name: String,
}

/// A job of an analyzer.
#[derive(Clone, Debug, Deserialize)]
pub struct AnalyzerJob {
    /// What it is called by.
    pub id: String,
    /// `Waiting`, `InProgress`, `Success`, `Failure`, `Deleted`.
    pub status: String,
    /// The report, or what stands in its place as long as there is none.
    #[serde(default)]
    pub report: Value,
}

impl CortexServer {
    /// Makes ready; nothing is sent.
    ///
    /// # Errors
    /// A key that no header can carry.
    pub fn open(
        url: &Url,
        key: &Secret,
        network: &HttpContext,
        observer: Arc<dyn RequestObserver>,
    ) -> Result<Self> {
        let origin = Endpoint {
            url,
            headers: vec![(
                "authorization",
                Secret::new(&format!("Bearer {}", key.expose())),
            )],
            user_agent: format!("cortex-misp/{}", env!("CARGO_PKG_VERSION")),
            access: &ServerAccess::default(),
        };
        let client = Client::new(&origin, network, observer)?;
        Ok(Self { client })
    }

    /// The enabled analyzers that take a data type.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn analyzers(&self, data_type: &str) -> Result<Vec<Analyzer>> {
        let path = format!("api/analyzer/type/{data_type}");
        self.client.retry(|| {
            let answer = self.client.get(&path).map_err(explain_failure)?;
            answer.read_as().context(NO_CORTEX)
        })
    }

    /// Begins a job. `force` has Cortex run it though it ran a like one lately, whose report it
    /// would give instead. It is sent once, and never again: each is a run of its own.
    ///
    /// # Errors
    /// What Cortex says against it, or that nobody knows whether it runs.
    pub fn run_analyzer(&self, analyzer: &Analyzer, job: &Value) -> Result<AnalyzerJob> {
        let path = format!("api/analyzer/{}/run?force=1", analyzer.id);
        let answer = self.client.post(&path, job).map_err(explain_failure)?;
        let line = answer.request_line().to_owned();
        answer
            .read_as()
            .map_err(|error| HttpError::unreadable_answer(line, &error).into())
    }

    /// The job as it stands after half a minute at the most, as soon as it is done. Cortex closes a
    /// connection that is silent for a minute.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn wait_for(&self, job: &AnalyzerJob) -> Result<AnalyzerJob> {
        let path = format!("api/job/{}/waitreport?atMost=30seconds", job.id);
        self.client.retry(|| {
            let answer = self.client.get(&path).map_err(explain_failure)?;
            answer.read_as()
        })
    }
}

const NO_CORTEX: &str = "what answers is no Cortex: correct CORTEX_URL";

/// Adds what can be done about it.
fn explain_failure(failure: HttpError) -> anyhow::Error {
    let is_elsewhere = matches!(
        failure.cause,
        HttpErrorKind::NotJson(_) | HttpErrorKind::Redirected { .. }
    );
    let help = match failure.status() {
        _ if is_elsewhere => NO_CORTEX,
        Some(401) => "check CORTEX_KEY: it is another user's, or was made anew",
        Some(403) => "the user of CORTEX_KEY needs the roles read and analyze",
        Some(404) => "check CORTEX_URL: is this the address of a Cortex?",
        Some(429) => "the analyzer ran as often as the rate limit that it was enabled with allows",
        _ => "",
    };
    anyhow!(failure.with_help(help))
}

/// The body that has an analyzer of the type `other` carry out a command.
pub fn command_job(command: &str, since: Option<&str>) -> Value {
    let mut parameters = json!({"command": command});
    if let Some(since) = since {
        json::set(&mut parameters, "since", json!(since));
    }
    json!({
        "dataType": "other", "data": command, "tlp": 0, "pap": 0, "message": "",
        "parameters": parameters,
    })
}

/// A run of a worker that is done, as Cortex keeps it and TheHive shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedRun {
    /// True if the report says so, and is one of ours.
    pub is_success: bool,
    /// True if a part of the work is missing.
    pub is_incomplete: bool,
    /// The report's message, or that there is none.
    pub message: String,
    /// The report's ledger; null if there is none.
    pub ledger: Value,
}

impl EndedRun {
    /// Reads a status and a report; none as long as the run is not done.
    pub fn read(status: &str, report: &Value) -> Option<Self> {
        if ["Waiting", "InProgress"].contains(&status) {
            return None;
        }
        let full = report.get("full");
        let of_full = |name: &str| full.and_then(|full| full.get(name));
        // The report of a failure has no `full`.
        let message = of_full("message")
            .or_else(|| report.get("errorMessage"))
            .and_then(Value::as_str);

        Some(Self {
            // A report without a message is none of this program's.
            is_success: status == "Success" && message.is_some(),
            is_incomplete: of_full("is_incomplete") == Some(&json!(true)),
            message: message.map_or_else(|| format!("no report ({status})"), ToOwned::to_owned),
            ledger: of_full("ledger").cloned().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_not_done_has_no_end() {
        for status in ["Waiting", "InProgress"] {
            assert_eq!(EndedRun::read(status, &json!(status)), None);
        }
    }

    #[test]
    fn how_a_run_ended() {
        let whole = json!({"success": true, "full": {"message": "2 added"}});
        let part = json!({"full": {"message": "INCOMPLETE: 1", "is_incomplete": true}});
        let failure = json!({"success": false, "errorMessage": "no key"});
        let cases = [
            ("Success", whole, (true, false), "2 added"),
            ("Success", part, (true, true), "INCOMPLETE: 1"),
            ("Failure", failure, (false, false), "no key"),
            // What no report of ours is was not done.
            ("Success", json!({}), (false, false), "no report (Success)"),
            (
                "Deleted",
                json!("Deleted"),
                (false, false),
                "no report (Deleted)",
            ),
            (
                "Failure",
                json!(null),
                (false, false),
                "no report (Failure)",
            ),
        ];
        for (status, report, outcome, message) in cases {
            let end = EndedRun::read(status, &report).unwrap();
            let read = (end.is_success, end.is_incomplete);
            assert_eq!((read, end.message.as_str()), (outcome, message));
        }
    }
}
