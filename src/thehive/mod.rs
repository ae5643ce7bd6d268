//! What we ask of TheHive, TheHive 4.1 and TheHive 5 alike. Reads are asked again where that may
//! help; writes never are.

mod alerts;
mod audits;
mod case_observables;
mod cases;
mod connector;
pub mod files;
mod observables;
mod types;
mod user;
pub mod wire;
mod write_error;

use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow, ensure};
use url::Url;

use crate::http::{self, Client, HttpContext, HttpError, HttpErrorKind, RefusalKind};
use crate::markings::Scale;
use crate::report::RunReport;
use crate::secret::Secret;
pub use alerts::{ALERTS_PAGE, MOST_LEFT_OUT, NewAlert, Procedure};
pub use case_observables::{CaseObservables, MOST_OTHERS};
pub use cases::{CaseProcedure, CaseQuestions, CaseWithIocs, MOST_PROCEDURES, NO_CASE};
pub use connector::{Action, CaseName, CaseTag, Responder};
pub use observables::{AddResult, FileUpload, Holder, OBSERVABLES_PAGE, ObservableBatch};
pub use types::{FILE, ObservableTypes};
pub use user::{Greeting, Permission, User};
pub use wire::{Alert, AlertOrigin};
use write_error::Missing;
pub use write_error::{Refusal, WriteError};

/// The largest body that is sent to a TheHive 4, in bytes: it takes 256 kB
/// (`play.http.parser.maxMemoryBuffer` in its `reference-overrides.conf`).
const BODY_OF_FOUR: usize = 200_000;
/// The same for a TheHive 5, which takes 10 MB (its documentation of the service's configuration).
const BODY_OF_FIVE: usize = 8_000_000;

/// A TheHive, asked as one user.
pub struct TheHive {
    client: Client,
    url: Url,
    /// The organisation that is asked for, by its name or its `_id`.
    asked: Option<String>,
    greeting: OnceLock<Greeting>,
    password: OnceLock<String>,
    user: OnceLock<User>,
    types: OnceLock<ObservableTypes>,
}

impl TheHive {
    /// Makes ready; nothing is sent. `organisation` is the one that the user acts for; without it
    /// TheHive takes the user's default.
    ///
    /// # Errors
    /// A key or organisation that no header can carry.
    pub fn open(
        url: &Url,
        key: &Secret,
        organisation: Option<&str>,
        network: &HttpContext,
        run: &RunReport,
    ) -> Result<Self> {
        let mut headers = vec![(
            "authorization",
            Secret::new(&format!("Bearer {}", key.expose())),
        )];
        headers.extend(organisation.map(|name| ("x-organisation", Secret::new(name))));
        let user_agent = format!("cortex-misp/{}", env!("CARGO_PKG_VERSION"));
        let origin = http::Endpoint {
            url,
            headers,
            user_agent,
            access: &http::ServerAccess::default(),
        };

        let client = Client::new(&origin, network, Arc::new(run.clone()))?;

        Ok(Self {
            client,
            url: url.clone(),
            asked: organisation.map(ToOwned::to_owned),
            greeting: OnceLock::new(),
            password: OnceLock::new(),
            user: OnceLock::new(),
            types: OnceLock::new(),
        })
    }

    /// The way to TheHive.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The login of the user: what it created has it as `_createdBy`.
    ///
    /// # Errors
    /// That TheHive cannot be reached, refuses the key, or names no login.
    pub fn login(&self) -> Result<&str> {
        self.user().map(|user| user.login.as_str())
    }

    /// The organisation that the user acts for; empty if TheHive does not say.
    ///
    /// # Errors
    /// See [`Self::login`].
    pub fn organisation(&self) -> Result<&str> {
        self.user().map(|user| user.organisation.as_str())
    }

    /// The largest body that is sent, in bytes.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    pub fn body_limit(&self) -> Result<usize> {
        Ok(if self.is_five()? {
            BODY_OF_FIVE
        } else {
            BODY_OF_FOUR
        })
    }

    /// The page of an alert in the web interface. That of TheHive 4 has none for a single alert,
    /// only the list of all (its `frontend/app/scripts/app.js`).
    pub fn alert_link(&self, id: &str) -> String {
        let url = &self.url;
        // A TheHive that does not say its version is taken for a newer one.
        let has_page = self.is_five().unwrap_or(true) && is_id(id);
        if has_page {
            format!("{url}alerts/{id}/details")
        } else {
            format!("{url}index.html#!/alert/list")
        }
    }

    /// How many TLP levels this TheHive has.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    pub fn scale(&self) -> Result<Scale> {
        Ok(self.cached_greeting()?.scale())
    }

    /// True for TheHive 5 and later.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    pub fn is_five(&self) -> Result<bool> {
        Ok(self.cached_greeting()?.is_five())
    }

    /// True for TheHive 5.5 and later, whose cases have links to other places.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    fn has_external_links(&self) -> Result<bool> {
        let version = parse_version(&self.cached_greeting()?.version);
        Ok(version.as_slice() >= [5, 5].as_slice())
    }

    /// The same for a write, which fails in the way of writes.
    fn is_five_for_write(&self) -> Result<bool, HttpError> {
        self.is_five()
            .map_err(|error| match error.downcast::<HttpError>() {
                Ok(failure) => failure,
                Err(error) => {
                    HttpError::unreadable_answer("asking TheHive for its version", &error)
                }
            })
    }

    /// Its version. Asked once, when it matters.
    fn cached_greeting(&self) -> Result<&Greeting> {
        if let Some(greeting) = self.greeting.get() {
            return Ok(greeting);
        }
        let greeting = self.fetch_greeting()?;
        ensure!(
            !parse_version(&greeting.version).is_empty(),
            "TheHive names a version that is none"
        );
        Ok(self.greeting.get_or_init(|| greeting))
    }
}

/// The numbers of a version, 4, 1, 24, 1 for instance.
fn parse_version(version: &str) -> Vec<u32> {
    version
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect()
}

/// True for what can be an id, and as such part of a path.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "~-_".contains(c))
}

/// Nothing is sent to the path of what is no id.
fn ensure_id(id: &str) -> Result<&str, HttpError> {
    if is_id(id) {
        Ok(id)
    } else {
        Err(HttpError::not_sent(
            "writing to TheHive",
            "an id that TheHive gave is none",
        ))
    }
}

/// What is said of what answers otherwise than TheHive does.
const ADDRESS: &str = "check \"thehive_url\": is this the address of a TheHive 4.1 or 5?";

/// The same of a MISP.
const MISP: &str = "this is a MISP, not a TheHive: give TheHive's address in \"thehive_url\", and MISP's in \"url\"";

/// The same of a web page.
const PAGE: &str = "this is no TheHive, or something stands before it, such as a proxy or a login \
    page: check \"thehive_url\", and have this machine let through";

/// True for what MISP says to whoever asks it what only TheHive has, with a wrong key and with a
/// good one (`allow` and `_loginByAuthKey` in MISP's `AppController.php`).
fn is_misp(failure: &HttpError) -> bool {
    match &failure.cause {
        HttpErrorKind::Refused {
            status: 403,
            kind: RefusalKind::Plain,
            message,
            ..
        } => {
            message.contains("API key of an API enabled user")
                || message.contains("You do not have permission to use this functionality")
        }
        _ => false,
    }
}

/// Adds what can be done about it. A refusal of TheHive's own has a `type` (ScalliGraph's
/// `ErrorHandler.scala`, `fixtures/wire/thehive`); another server's, MISP's for instance, has none.
fn explain_failure(failure: HttpError) -> anyhow::Error {
    // A TheHive 4.1 or 5 has every route that this is about: another server answers.
    let is_elsewhere = Missing::from_http_error(&failure) == Some(Missing::Route)
        || match &failure.cause {
            HttpErrorKind::Refused {
                status: 400..=405,
                kind,
                ..
            } => !matches!(kind, RefusalKind::Named(_)),
            HttpErrorKind::NotJson(_) | HttpErrorKind::Redirected { .. } => true,
            _ => false,
        };

    let help = match failure.status() {
        _ if failure.is_redirect_to_https() => "write https:// in \"thehive_url\"",
        _ if is_misp(&failure) => MISP,
        _ if is_elsewhere && failure.is_page() => PAGE,
        _ if is_elsewhere => ADDRESS,
        Some(401) => "check \"thehive_key\", and whether its user belongs to the organisation",
        Some(403) => "the user of \"thehive_key\" lacks a permission",
        _ => "",
    };

    anyhow!(failure.with_help(help))
}
