//! What a job asks of the import: an import of all connections, of one, or of one event; or which events know a value. Pure.

use anyhow::{Result, anyhow, bail, ensure};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::config::connections::{Connection, Target};
use crate::cortex::job::Job;
use crate::time;

/// What a job may ask for. It may narrow what the configuration says, never widen a filter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Parameters {
    /// A command, in place of the job's data.
    #[serde(default)]
    pub command: Option<String>,
    /// Only the connection of this name.
    #[serde(default)]
    pub connection: Option<String>,
    /// Events published or changed since then: `all`, `24h`, `7d`, `2026-01-31`, or seconds since 1970.
    #[serde(default)]
    pub since: Option<String>,
    /// Only this event: its uuid, or its address on the MISP of a connection.
    #[serde(default)]
    pub event: Option<String>,
    /// At most so many new alerts on each connection; 0 for no limit.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Report what would be written, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An import of all events that pass the filters.
    Sync {
        /// Only the connection of this name.
        connection: Option<String>,
    },
    /// An import of one event.
    Event {
        /// The event.
        uuid_or_id: EventName,
        /// Only the connection of this name. An event that is named by its number always has one.
        connection: Option<String>,
    },
    /// Which events know this value.
    Value(String),
}

/// How an event is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventName {
    /// By its uuid, the same on every MISP.
    Uuid(Uuid),
    /// By its number on one server.
    Number(u64),
}

/// A job, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is wanted.
    pub asked: Asked,
    /// Events published or changed since this moment; none for the configured window.
    pub since: Option<i64>,
    /// At most so many new alerts on each connection; none for no limit.
    pub limit: Option<u64>,
    connection: Option<String>,
}

/// The commands, for messages.
pub const COMMANDS: &str = "misp:sync, misp:sync:<connection>, misp:event:<uuid>, and the address of an event on the MISP \
                            of a connection, each on an observable of type other";

const SYNC: &str = "misp:sync";
const EVENT: &str = "misp:event:";
/// The one data type whose text may be a command.
const OF_COMMANDS: &str = "other";

impl Command {
    /// Reads what the job's data or its parameters ask for. `connections` are those that may import.
    ///
    /// # Errors
    /// A command that names no event; parameters that cannot be read, or do not go together.
    pub fn new(job: &Job, parameters: &Parameters, connections: &[Connection], now: i64) -> Result<Self> {
        let asked = match (&parameters.command, &job.data) {
            (Some(command), _) => of_command(command.trim(), parameters, connections)?
                .ok_or_else(|| anyhow!("the parameter \"command\" is no command: commands are {COMMANDS}"))?,
            (None, Value::String(text)) if job.data_type == OF_COMMANDS => {
                of_command(text.trim(), parameters, connections)?
                    .unwrap_or_else(|| Asked::Value(text.trim().to_owned()))
            }
            (None, Value::String(text)) => Asked::Value(text.trim().to_owned()),
            (None, other) => bail!("the job's data is {}, not a text", crate::json::kind(other)),
        };
        let since = parameters.since.as_deref().map(|since| {
            time::since(since, now).ok_or_else(|| {
                anyhow!("parameter \"since\" is not understood: all, 24h, 7d, a date such as 2026-01-31, and seconds since 1970 are accepted; a number of days has a d behind it")
            })
        });
        let asked = with_event(asked, parameters, connections)?;
        let command = Self {
            asked,
            since: since.transpose()?,
            limit: parameters.limit.filter(|limit| *limit > 0),
            connection: parameters.connection.clone(),
        };
        if let (Some(one), Some(other)) = (command.named(), &command.connection) {
            ensure!(one == other, "the command and the parameter \"connection\" name different connections");
        }
        Ok(command)
    }

    /// The only connection that is asked, if it is not all of them.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        self.named().or(self.connection.as_deref())
    }

    fn named(&self) -> Option<&str> {
        match &self.asked {
            Asked::Sync { connection } | Asked::Event { connection, .. } => connection.as_deref(),
            Asked::Value(_) => None,
        }
    }
}

/// The command that a text is; none for any other text, which is a value.
fn of_command(text: &str, parameters: &Parameters, connections: &[Connection]) -> Result<Option<Asked>> {
    if text == SYNC {
        return Ok(Some(Asked::Sync { connection: None }));
    }
    if let Some(name) = text.strip_prefix("misp:sync:").filter(|name| !name.is_empty()) {
        return Ok(Some(Asked::Sync { connection: Some(name.to_owned()) }));
    }
    if let Some(uuid) = text.strip_prefix(EVENT) {
        let event = by_uuid(uuid).ok_or_else(|| anyhow!("{EVENT} is followed by no uuid: commands are {COMMANDS}"))?;
        return Ok(Some(Asked::Event { uuid_or_id: event, connection: None }));
    }
    let found = by_address(text, parameters.connection.as_deref(), connections);
    Ok(found.map(|(uuid_or_id, connection)| Asked::Event { uuid_or_id, connection }))
}

/// The parameter `event` narrows an import to that event.
fn with_event(asked: Asked, parameters: &Parameters, connections: &[Connection]) -> Result<Asked> {
    let Some(text) = parameters.event.as_deref().map(str::trim) else { return Ok(asked) };
    let (commanded, connection) = match asked {
        Asked::Sync { connection } => (None, connection),
        Asked::Event { uuid_or_id, connection } => (Some(uuid_or_id), connection),
        Asked::Value(_) => {
            bail!("parameter \"event\" narrows an import, and this job looks a value up: commands are {COMMANDS}")
        }
    };
    let own = connection.as_deref().or(parameters.connection.as_deref());
    let (uuid_or_id, other) = by_uuid(text)
        .map(|event| (event, None))
        .or_else(|| by_address(text, own, connections))
        .ok_or_else(|| {
        anyhow!("parameter \"event\" names no event: its uuid, or its address on the MISP of a connection, is accepted")
    })?;
    ensure!(
        commanded.is_none_or(|event| event == uuid_or_id),
        "the command and the parameter \"event\" name different events"
    );
    ensure!(
        connection.is_none() || other.is_none() || connection == other,
        "the command and the parameter \"event\" name different connections"
    );
    Ok(Asked::Event { uuid_or_id, connection: connection.or(other) })
}

fn by_uuid(text: &str) -> Option<EventName> {
    const LENGTH: usize = 36;
    Uuid::parse_str(text).ok().filter(|_| text.len() == LENGTH).map(EventName::Uuid)
}

/// An event's page on a configured server: `<url>/events/view/<uuid or number>` or `<url>/events/<number>`, with or without
/// a slash at the end and a fragment. Of two connections to one server the one that the job names counts, else the first.
fn by_address(text: &str, own: Option<&str>, connections: &[Connection]) -> Option<(EventName, Option<String>)> {
    let mut address = Url::parse(text).ok()?;
    address.set_fragment(None);
    let of_connection = |connection: &&Connection| {
        let Target::Server { url, .. } = &connection.target else { return None };
        let page = address.as_str().strip_prefix(url.as_str())?.strip_prefix("events/")?.trim_end_matches('/');
        match page.strip_prefix("view/") {
            Some(event) => by_uuid(event).or_else(|| by_number(event)),
            None => by_number(page),
        }
    };
    let found: Vec<_> = connections.iter().filter_map(|one| Some((one, of_connection(&one)?))).collect();
    let named = found.iter().find(|(connection, _)| Some(connection.name.as_str()) == own);
    let (connection, event) = named.or(found.first())?;
    Some((event.clone(), Some(connection.name.clone())))
}

fn by_number(text: &str) -> Option<EventName> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(EventName::Number)
}

#[cfg(test)]
mod tests;
