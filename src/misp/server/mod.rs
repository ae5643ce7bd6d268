//! A MISP server, over HTTP: what is asked and what the answers mean; what is written is in
//! `write.rs`. The rules are those of MISP 2.5, as the exchanges in `fixtures/wire/misp/` show
//! them.

pub mod account;
pub mod beside;
mod content;
pub mod filter_names;
mod list;
mod metadata;
mod probe;
mod read;
mod read_list;
mod rest_search;
mod search;
pub mod write;

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::config::connections::{Connection, Target};
use crate::http::{
    self, Client, Endpoint, HttpContext, HttpError, HttpErrorKind, RefusalKind, Response,
};
use crate::json::{Element, JsonStream};
use crate::misp::tag_resolution::KnownTag;
use crate::misp::wire::{Event, unwrap_row};
use crate::report::ConnectionReporter;
use account::Account;
pub use metadata::ATTACK_PATTERN_TAG;
use metadata::WarninglistHits;

/// Events asked for at once. A page is read before its events are, so that no answer waits half
/// read.
const ROWS: usize = 500;

/// What is not wanted of an event's content
/// (`fixtures/wire/misp/432-view-objects-no-attachments.json`).
const WITHOUT: &str = "includeAttachments:0/excludeGalaxy:1/includeFeedCorrelations:0/includeWarninglistHits:0/includeEventCorrelations:0";

/// Where the rows of `attributes/restSearch` are.
const ATTRIBUTE_ROWS: &[&str] = &["response", "Attribute"];

/// A MISP server.
pub struct Server {
    client: Client,
    url: Url,
    account: OnceLock<Account>,
    /// Tags that were asked for before they were needed, and the names by which.
    tags_ahead: OnceLock<(Vec<String>, Vec<KnownTag>)>,
    /// Values that were compared with the warninglists before that was needed, and the lists.
    warninglists_ahead: OnceLock<(Vec<String>, WarninglistHits)>,
    /// Lists of events that failed in a row.
    failed_lists: AtomicU32,
    /// Patterns of tags that decide something: an event keeps such a tag, however many it has.
    pub decisive: Vec<String>,
    /// What is read is only looked at, so that the next page of a big event is asked for while one
    /// is read.
    pub reads_ahead: bool,
    /// Held by whoever asks for a page that is read only later.
    asking_ahead: Mutex<()>,
}

impl Server {
    /// Makes ready; nothing is sent.
    ///
    /// # Errors
    /// A certificate file that cannot be read, a key that no header can carry.
    pub fn open(
        connection: &Connection,
        network: &HttpContext,
        part: &ConnectionReporter,
    ) -> Result<Self> {
        let Target::Server { url, key } = &connection.target else {
            bail!("connection \"{}\" is no server", connection.name)
        };
        let origin = Endpoint {
            url,
            headers: vec![("authorization", key.clone())],
            user_agent: format!("MISP-cortex-misp/{}", env!("CARGO_PKG_VERSION")),
            access: &connection.access,
        };

        let client = Client::new(&origin, network, Arc::new(part.clone()))?;
        Ok(Self {
            client,
            url: url.clone(),
            account: OnceLock::new(),
            tags_ahead: OnceLock::new(),
            warninglists_ahead: OnceLock::new(),
            failed_lists: AtomicU32::new(0),
            decisive: Vec::new(),
            reads_ahead: false,
            asking_ahead: Mutex::default(),
        })
    }

    /// A row of a list of events, as it is kept.
    fn compact_event(&self, row: Element<Event>) -> Element<Event> {
        row.map(|event| event.compact(&self.decisive))
    }

    /// A question by GET, asked again where that may help.
    fn get<T>(&self, path: &str, mut read: impl FnMut(Response) -> Result<T>) -> Result<T> {
        self.client.retry(|| {
            read(
                self.client
                    .get(path)
                    .map_err(|failure| self.explain_error(failure))?,
            )
        })
    }

    /// A question by POST, asked again where that may help.
    fn post_query<T>(
        &self,
        path: &str,
        body: &Value,
        mut read: impl FnMut(Response) -> Result<T>,
    ) -> Result<T> {
        self.client.retry(|| {
            read(
                self.client
                    .post(path, body)
                    .map_err(|failure| self.explain_error(failure))?,
            )
        })
    }

    /// Adds what can be done about it. What the address of a page answers has nothing to do with
    /// rights (`fixtures/wire/misp/453-events-below-wrong-root.json`).
    fn explain_error(&self, failure: HttpError) -> anyhow::Error {
        let is_elsewhere = match &failure.cause {
            HttpErrorKind::Refused { status, .. } => {
                // Where MISP speaks of authentication, the address is right, and the key is not.
                matches!(status, 403..=405) && !error_mentions(&failure, "Auth")
            }
            HttpErrorKind::Redirected { .. } | HttpErrorKind::NotJson(_) => true,
            _ => false,
        };

        match self.page_in_url().filter(|_| is_elsewhere) {
            Some(path) => anyhow!(failure.with_help(advise_shorter_url(path))),
            None => explain_error(failure),
        }
    }

    /// The part of our URL's path that is a page of MISP, as somebody copies it from a browser:
    /// `/events/index`.
    fn page_in_url(&self) -> Option<&str> {
        const PAGES: [&str; 13] = [
            "events",
            "attributes",
            "users",
            "servers",
            "dashboards",
            "feeds",
            "tags",
            "galaxies",
            "taxonomies",
            "news",
            "organisations",
            "objects",
            "event_reports",
        ];

        let path = self.url.path().trim_end_matches('/');
        // What stands before the page may be the path below which MISP lives.
        let places = path.match_indices('/').map(|(at, _)| at);

        let is_page = |at: &usize| {
            PAGES.contains(
                &path
                    .get(at + 1..)
                    .unwrap_or_default()
                    .split('/')
                    .next()
                    .unwrap_or_default(),
            )
        };

        places
            .into_iter()
            .find(is_page)
            .and_then(|at| path.get(at..))
    }

    /// The version: the cheapest question that needs a good key.
    ///
    /// # Errors
    /// That the server cannot be reached, refuses the key, or is no MISP.
    pub fn version(&self) -> Result<String> {
        Ok(self.fetch_version_info()?.version)
    }

    /// The way to the server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The page of an event, for people.
    pub fn event_url(url: &Url, uuid: &Uuid) -> String {
        format!("{url}events/view/{uuid}")
    }
}

/// What is kept of the elements of a list in an answer: no more than were asked for.
fn read_list<T: for<'de> Deserialize<'de>, K>(
    answer: Response,
    path: &[&str],
    most: usize,
    keep: &mut dyn FnMut(Element<T>) -> Option<K>,
) -> Result<Vec<K>> {
    let line = answer.request_line().to_owned();
    let collected = JsonStream::new(answer.into_body()).collect(path, most, keep);

    collected.with_context(|| format!("{line}: reading the answer"))
}

/// Hands over each element of a list in an answer, however many there are.
fn for_each_element<T: for<'de> Deserialize<'de>>(
    answer: Response,
    path: &[&str],
    on: &mut dyn FnMut(Element<T>) -> Result<()>,
) -> Result<()> {
    let line = answer.request_line().to_owned();
    let mut source = JsonStream::new(answer.into_body());
    let read = source
        .for_each_at(path, on)
        .and_then(|()| source.require_end());
    read.with_context(|| format!("{line}: reading the answer"))
}

/// Hands over what stands below the name of its model in each row of a list. What cannot be read is
/// passed over.
fn for_each_row<T: for<'de> Deserialize<'de>>(
    answer: Response,
    path: &[&str],
    model: &str,
    on: &mut dyn FnMut(T),
) -> Result<()> {
    for_each_element(answer, path, &mut |row| {
        unwrap_row(row, model).into_iter().for_each(&mut *on);
        Ok(())
    })
}

fn advise_shorter_url(path: &str) -> String {
    format!("leave {path} out of \"url\": it is a page of MISP, and not MISP's own address")
}

/// Adds what can be done about it.
fn explain_error(failure: HttpError) -> anyhow::Error {
    let help = match &failure.cause {
        // `fixtures/wire/misp/292-not-live-partner.json`
        HttpErrorKind::Redirected { .. } if failure.is_redirect_to_https() => {
            Some("write https:// in \"url\"")
        }
        HttpErrorKind::Redirected { to, .. } if to.contains("/users/login") => Some(
            "MISP is in maintenance mode (its setting MISP.live is off) and lets in site \
             administrators only: try again when it is over",
        ),
        // MISP gives no codes: these words, and those below, are of MISP 2.5.
        _ if error_mentions(&failure, "from your IP address") => Some(
            "the key is for certain addresses only: add the one of this machine to the key's \
             allowed IPs, in MISP",
        ),
        _ if error_mentions(&failure, "account has been disabled") => {
            Some("have the user of \"key\" enabled in MISP, or give the key of another one")
        }
        _ if error_mentions(&failure, "Authentication failed") => {
            Some("check \"key\": it is wrong, expired, or its user is disabled")
        }
        _ if error_mentions(&failure, "Invalid Sharing Group") => Some(
            "check \"sharing_group\": there is no such group, it is not active, or the key's \
             organisation is no member of it",
        ),
        _ if error_mentions(&failure, "permission") || error_mentions(&failure, "authorised") => {
            Some("the key's user lacks a permission, or the event is another organisation's")
        }
        // TheHive and Cortex name the kind of a refusal, MISP does not
        // (`fixtures/wire/thehive/024-unknown-route.json`).
        HttpErrorKind::Refused {
            status: 401 | 404,
            kind: RefusalKind::Named(_),
            ..
        } => Some("this is a TheHive or a Cortex, not a MISP: give MISP's address in \"url\""),
        HttpErrorKind::NotJson(_)
        | HttpErrorKind::Refused {
            status: 401 | 403 | 405,
            ..
        } if failure.is_page() => Some(
            "this is no MISP, or something stands before it, such as a proxy or a login page: \
             check \"url\", and have this machine let through",
        ),
        // A MISP that knows no such event, attribute or user says "Invalid …".
        HttpErrorKind::Refused {
            status: 401 | 404 | 405,
            ..
        } if !error_mentions(&failure, "Invalid") => {
            Some("check \"url\": is this the address of a MISP?")
        }
        _ => None,
    };

    anyhow!(failure.with_help(help.unwrap_or_default()))
}

fn error_mentions(failure: &HttpError, word: &str) -> bool {
    matches!(&failure.cause, HttpErrorKind::Refused { message, errors, .. } if message.contains(word) || http::describe_errors(errors).contains(word))
}
