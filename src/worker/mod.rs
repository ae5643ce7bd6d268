//! What a worker is, for whoever runs one, lists it in a catalogue or looks at its configuration;
//! and how one works on several connections at the same time.

mod parallel;
pub mod requirements;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use url::Url;

use crate::config::schema::{self, OptionSpec};
use crate::config::{TimeLimits, urls};
use crate::cortex::job::Job;
use crate::cortex::manifest::WorkerInfo;
pub use crate::cortex::manifest::WorkerKind;
use crate::environment::Environment;
use crate::http::HttpContext;
use crate::json::describe_kind;
use crate::misp::Misp;
use crate::report::{ConnectionReporter, ReportBody, RunReport, Taxonomy};
use crate::secret::{Scrubber, Secret};
use crate::time::Clock;
pub use parallel::{empty_report, for_each_connection, in_parallel};
use requirements::{Outlook, Requirements};

/// A Cortex worker.
pub trait Worker {
    /// Its name in Cortex's catalogue.
    const NAME: &'static str;
    /// The program's file name.
    const PROGRAM: &'static str;
    /// What it is, for Cortex.
    const KIND: WorkerKind;
    /// One sentence for the catalogue.
    const DESCRIPTION: &'static str;
    /// The data types it takes.
    const DATA_TYPES: &'static [&'static str];
    /// Pictures for the catalogue, in its folder there: file and caption.
    const SCREENSHOTS: &'static [(&'static str, &'static str)];
    /// A job, for people who run it by hand.
    const EXAMPLE: &'static str;
    /// Its configuration; the manifest is made from it.
    type Config: Clone + DeserializeOwned + JsonSchema + Sync;

    /// The limits in the configuration.
    fn limits(config: &Self::Config) -> &TimeLimits;

    /// Does the work, writing into the run what becomes of every item.
    ///
    /// # Errors
    /// What stopped the whole run; a connection's error stands in its part instead.
    fn run(session: &Session<'_>, config: &Self::Config) -> Result<()>;

    /// What is said of a job that its markings refuse: these words of Cortex's first.
    fn explain_refusal(_: &Session<'_>, refusal: anyhow::Error) -> anyhow::Error {
        refusal
    }

    /// What the configuration wants, for the doctor.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn requirements(config: &Self::Config, input: &DoctorInput) -> Result<Requirements>;

    /// Looks at the job as a run would, without asking any MISP; none if there is nothing to say
    /// of it. Nothing is written.
    ///
    /// # Errors
    /// Why a run would not do what the job is for.
    fn look_ahead(
        session: &Session<'_>,
        config: &Self::Config,
        network: &HttpContext,
    ) -> Result<Option<Outlook>>;

    /// What is doubtful in the configuration, beside what is wrong with it.
    fn doubts(config: &Self::Config) -> Vec<String>;

    /// Looks up the names that its filters name on a MISP: true if there are any. What is not there
    /// is a warning of the part.
    ///
    /// # Errors
    /// What stopped the looking; that nothing would be done for want of a name.
    fn check_filter_names(
        config: &Self::Config,
        misp: &Misp,
        part: &ConnectionReporter,
    ) -> Result<bool>;

    /// The outcome in one sentence, from what the run recorded.
    fn summarise(full: &ReportBody) -> String;

    /// The mini reports, from what the run recorded.
    fn taxonomies(full: &ReportBody) -> Vec<Taxonomy>;
}

/// What Cortex's catalogue says of a worker.
pub fn info<W: Worker>() -> WorkerInfo {
    WorkerInfo {
        name: W::NAME,
        program: W::PROGRAM,
        kind: W::KIND,
        description: W::DESCRIPTION,
        data_types: W::DATA_TYPES,
        screenshots: W::SCREENSHOTS,
        options: schema::for_config::<W::Config>(),
    }
}

/// What one run works with.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The job.
    pub job: &'a Job,
    /// The options that a connection can have of its own, of both workers.
    pub connection_options: &'a [OptionSpec],
    /// The run's clock.
    pub clock: Clock,
    /// The report under construction.
    pub run: &'a RunReport,
}

impl Session<'_> {
    /// The HTTP clients of the run, which wait as long as its configuration says.
    pub fn open_network(&self, limits: &TimeLimits) -> HttpContext {
        HttpContext::new(
            limits.timeouts(),
            &self.job.config,
            self.job.folder.as_deref(),
            self.clock,
            self.run.http_context(),
        )
    }

    /// TheHive's address and key as they are configured; none if it may not be asked. An address
    /// alone has a use of its own: it names this installation.
    ///
    /// # Errors
    /// An address that is no URL; a key without one.
    pub fn thehive_access<'k>(
        &self,
        url: Option<&str>,
        key: Option<&'k Secret>,
    ) -> Result<Option<(Url, &'k Secret)>> {
        let Some(key) = key else { return Ok(None) };
        let Some(url) = url else {
            bail!(
                "configuration item \"thehive_key\" is set and \"thehive_url\" is not: set both, \
                 or none"
            )
        };
        let url = urls::parse_thehive(url)?;
        if url.scheme() == "http" {
            self.run
                .warn("TheHive's API key is sent unencrypted: use https in \"thehive_url\"");
        }

        Ok(Some((url, key)))
    }
}

/// An error in one line, with everything that led to it.
pub fn error_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// What the doctor is given: a job, of which the configuration, the case and the organisation
/// matter.
#[derive(Clone, Debug, Default)]
pub struct DoctorInput {
    /// The configuration, as it was given.
    pub config: Map<String, Value>,
    /// The options that a connection can have of its own, of both workers.
    pub options: Vec<OptionSpec>,
    job: Value,
}

impl DoctorInput {
    /// Takes a job, or a configuration alone, which is what has no `config`.
    ///
    /// # Errors
    /// That it is neither.
    pub fn new(given: Value, options: Vec<OptionSpec>) -> Result<Self> {
        let (config, what) = match given.get("config") {
            Some(config) => (config, "the job's config"),
            None => (&given, "what was given"),
        };
        match config {
            Value::Object(config) => Ok(Self {
                config: config.clone(),
                options,
                job: given,
            }),
            other => bail!("{what} is {}, not an object", describe_kind(other)),
        }
    }

    /// What a job of this data type is about; none without such a job.
    pub fn job_data(&self, data_type: &str) -> Option<&Value> {
        let is_meant = self.is_job() && self.job.get("dataType")?.as_str() == Some(data_type);
        self.job.get("data").filter(|_| is_meant)
    }

    /// The organisation of TheHive's that a job comes from.
    pub fn organisation(&self) -> Option<&str> {
        let named = self.job.pointer("/parameters/organisation")?.as_str();
        named.filter(|_| self.is_job())
    }

    /// The job; for a configuration alone one that is about nothing.
    ///
    /// # Errors
    /// What is wrong with the job.
    pub fn to_job(&self, data_types: &[&str]) -> Result<Job> {
        match self.is_job() {
            true => Job::new(self.job.clone(), data_types),
            false => Ok(Job::without_data(self.config.clone())),
        }
    }

    /// True for a job, false for a configuration alone.
    pub fn is_job(&self) -> bool {
        self.job.get("config").is_some()
    }

    /// The secrets in it and in the environment.
    pub fn scrubber(&self, environment: &Environment) -> Scrubber {
        Scrubber::from_job(&json!({"config": self.config}), environment)
    }
}
