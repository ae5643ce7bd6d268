//! What the network around us asks for, the same for every server of a job; how one server is
//! reached; and who is told of what is sent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::WORDS;
use super::proxy::ProxyConfig;
use super::tls::TrustedRoots;
use crate::environment::Environment;
use crate::secret::{Scrubber, Secret};
use crate::text::one_line;
use crate::time::Clock;

/// Who learns of requests while they are sent.
pub trait RequestObserver: Send + Sync {
    /// A request is sent.
    fn on_request(&self);

    /// A question is put again; `why` is the status of a refusal, or what broke.
    fn on_retry(&self, why: &str);

    /// Something that the reader of the report should know, though it stops nothing.
    fn on_warning(&self, warning: String);
}

/// What the HTTP client takes from the run that it works for.
#[derive(Clone)]
pub struct RunContext {
    /// The variables that the program was started with.
    pub environment: Arc<Environment>,
    /// Knows the run's secrets.
    pub scrubber: Arc<Scrubber>,
    /// Learns of warnings that concern no single server.
    pub observer: Arc<dyn RequestObserver>,
}

impl fmt::Debug for RunContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunContext")
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// What the network around us asks for, the same for every server of a job.
#[derive(Clone, Debug)]
pub struct HttpContext {
    pub(super) clock: Clock,
    pub(super) timeouts: Timeouts,
    pub(super) proxies: ProxyConfig,
    /// Certificates in PEM form, from Cortex's `config.cacerts`.
    pub(super) cacerts: Option<String>,
    /// The job folder, where Cortex puts the same as `input/cacerts`.
    pub(super) folder: Option<PathBuf>,
    /// The authorities that every server of the job is checked against, once they were needed.
    pub(super) roots: Arc<OnceLock<TrustedRoots>>,
    pub(super) run: RunContext,
}

impl HttpContext {
    /// Takes proxies and further certificates from where Cortex puts them
    /// (its `JobRunnerSrv.scala`). `folder` is the job folder.
    pub fn new(
        timeouts: Timeouts,
        config: &Map<String, Value>,
        folder: Option<&Path>,
        clock: Clock,
        run: RunContext,
    ) -> Self {
        Self {
            clock,
            timeouts,
            proxies: ProxyConfig::new(config, |name| run.environment.var(name)),
            cacerts: non_blank_text(config.get("cacerts")),
            folder: folder.map(ToOwned::to_owned),
            roots: Arc::default(),
            run,
        }
    }

    /// A server's own words, without a key that it may repeat, on one line.
    pub(super) fn clean_words(&self, words: &str) -> String {
        one_line(&self.run.scrubber.clean_truncated(words, WORDS))
    }

    /// The same network for a part of the work that has a time of its own.
    pub fn with_clock(&self, clock: Clock) -> Self {
        Self {
            clock,
            ..self.clone()
        }
    }

    /// The run's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }
}

/// A text that is not blank.
pub fn non_blank_text(value: Option<&Value>) -> Option<String> {
    let text = value
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty());
    text.map(ToOwned::to_owned)
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct ServerAccess {
    /// Further certificates to trust, a PEM file or a folder of such.
    pub cert_path: Option<PathBuf>,
    /// Our own certificate and its private key, a PEM file.
    pub client_cert_path: Option<PathBuf>,
    /// False if the server's certificate is not checked.
    pub cert_check: bool,
    /// True if the configuration has items for this server's certificates; it has none for
    /// TheHive's.
    pub takes_certificates: bool,
    /// The connection's own choice of a proxy; none if Cortex's or the environment's holds.
    pub proxy: Option<ProxyChoice>,
}

impl Default for ServerAccess {
    fn default() -> Self {
        Self {
            cert_path: None,
            client_cert_path: None,
            cert_check: true,
            takes_certificates: false,
            proxy: None,
        }
    }
}

/// A connection's own choice of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None: straight to the server.
    Direct,
    /// Through the proxy of this URL, which may carry a user and a password.
    Through(Secret),
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub read: Duration,
}
