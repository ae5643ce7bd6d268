//! What a job asks of the import: an import of all connections, or of one. Pure.

use anyhow::{Result, anyhow, bail, ensure};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

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
    /// Report only; nothing is written by this version in any case.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Only the connection of this name.
    pub connection: Option<String>,
    /// Events published or changed since this moment; none for the configured window.
    pub since: Option<i64>,
}

const SYNC: &str = "misp:sync";

impl Command {
    /// Reads the command from the job's data or its parameters.
    ///
    /// # Errors
    /// A text that is no command of this version; a parameter that cannot be read.
    pub fn new(data: &Value, parameters: &Parameters, now: i64) -> Result<Self> {
        let text = match (&parameters.command, data) {
            (Some(command), _) => command.as_str(),
            (None, Value::String(text)) => text.as_str(),
            (None, other) => bail!("the job's data is {}, not a text", crate::json::kind(other)),
        };
        let named = connection(text)?;
        if let (Some(one), Some(other)) = (&named, &parameters.connection) {
            ensure!(one == other, "the command and the parameter \"connection\" name different connections");
        }
        let since = parameters.since.as_deref().map(|since| {
            time::since(since, now).ok_or_else(|| {
                anyhow!("parameter \"since\" is not understood: all, 24h, 7d, a date such as 2026-01-31, and seconds since 1970 are accepted")
            })
        });
        Ok(Self { connection: named.or_else(|| parameters.connection.clone()), since: since.transpose()? })
    }
}

fn connection(text: &str) -> Result<Option<String>> {
    match text.trim().strip_prefix(SYNC) {
        Some("") => Ok(None),
        Some(rest) if rest.starts_with(':') && rest.len() > 1 => Ok(rest.get(1..).map(ToOwned::to_owned)),
        _ => bail!(
            "this is no command of this version, and values are not looked up yet: send {SYNC} to import from all connections, \
             or {SYNC}:<connection> for one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(data: &str, parameters: Parameters) -> Result<Command, String> {
        Command::new(&Value::from(data), &parameters, 1_000_000_000).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_are_read_exactly() {
        assert_eq!(command("misp:sync", Parameters::default()), Ok(Command { connection: None, since: None }));
        assert_eq!(command(" misp:sync:partner ", Parameters::default()).unwrap().connection, Some("partner".into()));
        for text in ["misp:synchronise", "misp:sync:", "evil.example.com", "", "misp:event:x"] {
            assert!(command(text, Parameters::default()).unwrap_err().contains("misp:sync"), "{text}");
        }
    }

    #[test]
    fn parameters_narrow() {
        let of = |connection: &str| Parameters { connection: Some(connection.into()), ..Parameters::default() };
        assert_eq!(command("misp:sync", of("a")).unwrap().connection, Some("a".into()));
        assert!(command("misp:sync:b", of("a")).is_err());
        let since = |since: &str| Parameters { since: Some(since.into()), ..Parameters::default() };
        assert_eq!(command("misp:sync", since("all")).unwrap().since, Some(0));
        assert!(command("misp:sync", since("soon")).unwrap_err().contains("since"));
    }

    #[test]
    fn a_command_may_stand_in_the_parameters() {
        let parameters = Parameters { command: Some("misp:sync:a".into()), ..Parameters::default() };
        assert_eq!(command("scheduled", parameters).unwrap().connection, Some("a".into()));
    }
}
