//! What a job asks of the import: an import of all connections, of one, or of one event; or which
//! events know a value. Pure.

use anyhow::{Result, anyhow, bail, ensure};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::config::connections::{Connection, Target};
use crate::cortex::job::Job;
use crate::tags;
use crate::time;

/// What a job may ask for. It may narrow what the configuration says, never widen a filter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parameters {
    /// A command, in place of the job's data.
    pub command: Option<String>,
    /// Only the connection of this name.
    pub connection: Option<String>,
    /// Events published or changed since then: `all`, `24h`, `7d`, `2026-01-31`, or seconds since
    /// 1970.
    pub since: Option<String>,
    /// Only this event: its uuid, or its address on the MISP of a connection.
    pub event: Option<String>,
    /// At most so many new alerts on each connection; 0 for no limit.
    pub limit: Option<u64>,
    /// Report what would be written, and write nothing.
    pub dry_run: bool,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// An import of all events that pass the filters.
    Sync {
        /// Only the connection of this name.
        connection: Option<String>,
    },
    /// An import of one event.
    Event {
        /// The event.
        uuid_or_id: EventRef,
        /// Only the connection of this name. An event that is named by its number always has one.
        connection: Option<String>,
    },
    /// Which events know this value.
    Value(String),
}

/// How an event is named.
#[derive(Clone, Debug, PartialEq)]
pub enum EventRef {
    /// By its uuid, the same on every MISP.
    Uuid(Uuid),
    /// By its number on one server.
    Number(u64),
}

/// A job, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What is wanted.
    pub asked: Request,
    /// Events published or changed since this moment; none for the configured window.
    pub since: Option<i64>,
    /// At most so many new alerts on each connection; none for no limit.
    pub limit: Option<u64>,
    connection: Option<String>,
}

/// The commands, for messages.
pub const COMMANDS: &str = "misp:sync, misp:sync:<connection>, misp:event:<uuid>, and the address \
                            of an event on the MISP of a connection, each as the parameter \
                            \"command\" or on an observable of type other";

/// The command that imports.
pub const SYNC: &str = "misp:sync";
const EVENT: &str = "misp:event:";
/// The one data type whose text may be a command.
pub const OF_COMMANDS: &str = "other";
/// How the data of an observable begins that stands for a value.
pub const STAND_IN: &str = "misp-attribute:";

impl Command {
    /// Reads what the job's data or its parameters ask for. `connections` are those that may
    /// import.
    ///
    /// # Errors
    /// A text that is like a command and is none; a command on an observable, unless these may be
    /// one; parameters that cannot be read, or do not go together.
    pub fn new(
        job: &Job,
        parameters: &Parameters,
        connections: &[Connection],
        observables_may: bool,
        now: i64,
    ) -> Result<Self> {
        let own = parameters.connection.as_deref();
        let asked = Commands { connections }.read_job(
            job,
            parameters.command.as_deref(),
            own,
            observables_may,
        )?;

        let command = Self {
            asked: narrow_to_event(asked, parameters, connections)?,
            since: parse_since(parameters.since.as_deref(), now)?,
            limit: parameters.limit.filter(|limit| *limit > 0),
            connection: parameters.connection.clone(),
        };
        ensure!(
            own.is_none()
                || command
                    .connection_in_command()
                    .is_none_or(|name| Some(name) == own),
            "the command and the parameter \"connection\" name different connections"
        );

        Ok(command)
    }

    /// The only connection that is asked, if it is not all of them.
    pub fn requested_connection(&self) -> Option<&str> {
        self.connection_in_command().or(self.connection.as_deref())
    }

    fn connection_in_command(&self) -> Option<&str> {
        match &self.asked {
            Request::Sync { connection } | Request::Event { connection, .. } => {
                connection.as_deref()
            }
            Request::Value(_) => None,
        }
    }
}

/// Which texts are commands: those that begin `misp:sync` or `misp:event:`, and the addresses of
/// events on these servers.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a> {
    /// The connections that may import.
    pub connections: &'a [Connection],
}

impl Commands<'_> {
    /// True for a text that would be a command, or be taken for one, if it stood on an observable
    /// of type `other`.
    pub fn is_command_like(&self, text: &str) -> bool {
        let plain = tags::fold_name(text);
        plain.starts_with(SYNC)
            || plain.starts_with(EVENT)
            || matches!(
                self.resolve_address(text.trim(), None),
                Some(Address::Event(..))
            )
    }

    /// What a job asks for: by its parameter `command`, else by its data.
    fn read_job(
        &self,
        job: &Job,
        command: Option<&str>,
        own: Option<&str>,
        observables_may: bool,
    ) -> Result<Request> {
        if let Some(command) = command {
            return self.parse_request(command.trim(), own)?.ok_or_else(|| {
                anyhow!("the parameter \"command\" is no command: commands are {COMMANDS}")
            });
        }

        let Value::String(text) = &job.data else {
            bail!(
                "the job's data is {}, not a text",
                crate::json::describe_kind(&job.data)
            );
        };
        let text = text.trim();
        let request = match job.data_type.as_str() {
            OF_COMMANDS => self.parse_request(text, own)?,
            _ => None,
        };

        ensure!(
            request.is_none() || !job.is_click || observables_may,
            "the command on this observable is not followed, since what is on an observable may \
             have come from MISP: send it as the job's parameter \"command\", or set \
             \"observable_commands\" in the analyzer's configuration"
        );
        Ok(request.unwrap_or_else(|| Request::Value(text.to_owned())))
    }

    /// The command that a text is; none for a value. `own` is the connection that the job names.
    ///
    /// # Errors
    /// That it is like a command and is none.
    fn parse_request(&self, text: &str, own: Option<&str>) -> Result<Option<Request>> {
        if text == SYNC {
            return Ok(Some(Request::Sync { connection: None }));
        }
        if let Some(name) = text
            .strip_prefix("misp:sync:")
            .filter(|name| !name.is_empty())
        {
            return Ok(Some(Request::Sync {
                connection: Some(name.to_owned()),
            }));
        }

        if let Some(uuid) = text.strip_prefix(EVENT) {
            let event = parse_event_uuid(uuid).ok_or_else(|| {
                anyhow!("{EVENT} is followed by no uuid: commands are {COMMANDS}")
            })?;
            return Ok(Some(Request::Event {
                uuid_or_id: event,
                connection: None,
            }));
        }

        ensure!(
            !tags::fold_name(text).starts_with("misp:"),
            "this is no command, and no value: commands are {COMMANDS}"
        );
        ensure!(
            !text.starts_with(STAND_IN),
            "this observable stands for the value of an attribute, which is in its message: look \
             that value up"
        );

        self.resolve_address(text, own)
            .map(Address::into_request)
            .transpose()
    }

    /// What an address leads to; none for a text that is no address of a MISP. Of two connections
    /// to one server the one that the job names counts, else the first.
    fn resolve_address(&self, text: &str, own: Option<&str>) -> Option<Address<'_>> {
        let address = Url::parse(text).ok().filter(|url| url.has_host())?;
        let event_on = |connection: &Connection| match &connection.target {
            Target::Server { url, .. } => {
                strip_server_url(&address, url).map(|path| parse_event_path(&path))
            }
            Target::Feed { .. } | Target::WebFeed { .. } => None,
        };

        // The connections whose MISP the address is on; without an event where it is another page.
        let servers: Vec<_> = self
            .connections
            .iter()
            .filter_map(|connection| Some((connection.name.as_str(), event_on(connection)?)))
            .collect();
        let events = || {
            servers
                .iter()
                .filter_map(|(name, event)| Some((*name, event.clone()?)))
        };
        let named = events()
            .find(|(name, _)| Some(*name) == own)
            .or_else(|| events().next());

        match (named, servers.first()) {
            (Some((name, event)), _) => Some(Address::Event(event, name)),
            (None, Some((name, _))) => Some(Address::Other(name)),
            (None, None) => is_event_page(&address).then_some(Address::Elsewhere),
        }
    }
}

/// What an address leads to.
#[derive(Debug, PartialEq)]
enum Address<'a> {
    /// An event, on the MISP of the connection of this name.
    Event(EventRef, &'a str),
    /// Another page of that MISP.
    Other(&'a str),
    /// An event of another MISP.
    Elsewhere,
}

impl Address<'_> {
    /// The import of the event, if it is one that can be read.
    fn into_request(self) -> Result<Request> {
        match self {
            Self::Event(uuid_or_id, connection) => Ok(Request::Event {
                uuid_or_id,
                connection: Some(connection.to_owned()),
            }),
            Self::Other(name) => bail!(
                "this address is on the MISP of the connection \"{name}\", and no event's: \
                 commands are {COMMANDS}"
            ),
            Self::Elsewhere => bail!(
                "this is the address of an event on a server that is the MISP of no connection \
                 that may import: commands are {COMMANDS}"
            ),
        }
    }
}

/// The path of an address below the address of a server, in parts; none if it is not there. Both
/// ways of HTTP lead to the same pages.
fn strip_server_url<'a>(address: &'a Url, server: &Url) -> Option<Vec<&'a str>> {
    let host = |url: &Url| {
        url.host_str()
            .map(|host| host.trim_end_matches('.').to_owned())
    };
    let port = |url: &Url| {
        url.port()
            .filter(|port| !matches!((url.scheme(), port), ("http", 80) | ("https", 443)))
    };
    let is_http = ["http", "https"].contains(&address.scheme());
    if !is_http || host(address) != host(server) || port(address) != port(server) {
        return None;
    }
    let mut path = parts(address);
    let base = parts(server);

    (path.len() >= base.len() && path.iter().zip(&base).all(|(one, other)| one == other))
        .then(|| path.split_off(base.len()))
}

fn parts(url: &Url) -> Vec<&str> {
    url.path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect()
}

/// The event whose page a path is: `events/view/<number or uuid>`, as `view2` and the like or
/// without, and whatever stands behind: `.json`, a focus, an extension, a page
/// (`EventsController.php` of MISP).
fn parse_event_path(path: &[&str]) -> Option<EventRef> {
    let path = path.strip_prefix(&["index.php"]).unwrap_or(path);
    let (events, rest) = path.split_first()?;
    let (first, more) = rest.split_first()?;
    let is_view = first
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("view"));
    let name = if is_view { more.first()? } else { first };
    let name = name
        .split('.')
        .next()
        .filter(|_| events.eq_ignore_ascii_case("events"))?;

    parse_event_uuid(name).or_else(|| parse_event_number(name))
}

/// True for an address that looks like an event's page on some MISP.
fn is_event_page(address: &Url) -> bool {
    let parts = parts(address);
    let is_event = |at: usize| {
        parts.get(at + 1) == Some(&"view") && parts.get(at..).and_then(parse_event_path).is_some()
    };
    (0..parts.len()).any(is_event)
}

/// The moment that the parameter `since` names.
fn parse_since(since: Option<&str>, now: i64) -> Result<Option<i64>> {
    let Some(since) = since else { return Ok(None) };
    let moment = time::parse_since(since, now).ok_or_else(|| {
        anyhow!(
            "parameter \"since\" is not understood: all, 24h, 7d, a date such as 2026-01-31, and \
             seconds since 1970 are accepted; a number of days has a d behind it"
        )
    })?;
    Ok(Some(moment))
}

/// The parameter `event` narrows an import to that event.
fn narrow_to_event(
    asked: Request,
    parameters: &Parameters,
    connections: &[Connection],
) -> Result<Request> {
    let Some(text) = parameters.event.as_deref().map(str::trim) else {
        return Ok(asked);
    };

    let (commanded, connection) = match asked {
        Request::Sync { connection } => (None, connection),
        Request::Event {
            uuid_or_id,
            connection,
        } => (Some(uuid_or_id), connection),
        Request::Value(_) => {
            bail!(
                "parameter \"event\" narrows an import, and this job looks a value up: commands \
                 are {COMMANDS}"
            )
        }
    };

    let own = connection.as_deref().or(parameters.connection.as_deref());

    let commands = Commands { connections };
    let (uuid_or_id, other) = match parse_event_uuid(text) {
        Some(event) => (event, None),
        None => match commands.resolve_address(text, own) {
            Some(Address::Event(event, name)) => (event, Some(name.to_owned())),
            _ => bail!(
                "parameter \"event\" names no event: its uuid, or its address on the MISP of a \
                 connection, is accepted"
            ),
        },
    };

    ensure!(
        commanded.is_none_or(|event| event == uuid_or_id),
        "the command and the parameter \"event\" name different events"
    );
    ensure!(
        connection.is_none() || other.is_none() || connection == other,
        "the command and the parameter \"event\" name different connections"
    );

    Ok(Request::Event {
        uuid_or_id,
        connection: connection.or(other),
    })
}

fn parse_event_uuid(text: &str) -> Option<EventRef> {
    const LENGTH: usize = 36;

    Uuid::parse_str(text)
        .ok()
        .filter(|_| text.len() == LENGTH)
        .map(EventRef::Uuid)
}

fn parse_event_number(text: &str) -> Option<EventRef> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_number)
        .map(EventRef::Number)
}

#[cfg(test)]
mod tests;
