//! What the network around us asks for, the same for every server of a job, and who is told of what is sent.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::failure::{WORDS, one_line};
use super::proxy::Proxies;
use super::trust::Roots;
use crate::config::Limits;
use crate::full::Run;
use crate::secret::Scrubber;
use crate::time::Clock;

/// Who is told of what is sent.
pub trait Told: Send + Sync {
    /// A request is sent.
    fn request(&self);

    /// A question is put again; `why` is the status of a refusal, or what broke.
    fn again(&self, why: &str);
}

/// What the network around us asks for, the same for every server of a job.
#[derive(Clone, Debug)]
pub struct Network {
    pub(super) clock: Clock,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) proxies: Proxies,
    /// Certificates in PEM form, from Cortex's `config.cacerts`.
    pub(super) cacerts: Option<String>,
    /// The job folder, where Cortex puts the same as `input/cacerts`.
    pub(super) folder: Option<PathBuf>,
    /// The authorities that every server of the job is checked against, once they were needed.
    pub(super) roots: Arc<OnceLock<Roots>>,
    pub(super) scrubber: Arc<Scrubber>,
    pub(super) run: Run,
}

impl Network {
    /// Takes the limits from the worker's configuration, and proxies and further certificates from where Cortex puts them
    /// (its `JobRunnerSrv.scala`). `folder` is the job folder.
    #[must_use]
    pub fn new(limits: &Limits, config: &Map<String, Value>, folder: Option<&Path>, clock: Clock, run: &Run) -> Self {
        Self {
            clock,
            connect_timeout: Duration::from_secs(limits.connect_timeout),
            read_timeout: Duration::from_secs(limits.read_timeout),
            proxies: Proxies::new(config, |name| run.environment().text(name)),
            cacerts: text(config.get("cacerts")),
            folder: folder.map(ToOwned::to_owned),
            roots: Arc::default(),
            scrubber: run.scrubber(),
            run: run.clone(),
        }
    }

    /// A server's own words, without a key that it may repeat, on one line.
    pub(super) fn said(&self, words: &str) -> String {
        one_line(&self.scrubber.beginning(words, WORDS))
    }

    /// The same network for a part of the work that has a time of its own.
    #[must_use]
    pub fn by(&self, clock: Clock) -> Self {
        Self { clock, ..self.clone() }
    }

    /// The run that it is for.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The run's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }
}

/// A text that is not blank.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    let text = value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    text.map(ToOwned::to_owned)
}
