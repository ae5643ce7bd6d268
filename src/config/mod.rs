//! Configuration: loose JSON in, checked types out. The types are plain serde types; their JSON
//! schema is the one source for reading them loosely (here), for the manifests and for the page of
//! options (`docs/options.md`).
//!
//! Cortex checks values when a worker is enabled, and not when it is changed later (its
//! `WorkerSrv.scala`), so a number may arrive as text; and it writes an unset item as `null`, `[]`
//! or `[null]`.

pub mod access;
pub mod connections;
pub mod overrides;
pub mod schema;
pub mod urls;

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::Timeouts;
use crate::ids::Ids;
use crate::json;
use crate::secret::Secret;
use crate::text::did_you_mean;
use schema::{OptionKind, OptionSpec};

/// Items that Cortex adds to every worker's configuration by itself (its `BaseConfig.scala` and
/// `JobRunnerSrv.scala`).
const OF_CORTEX: [&str; 12] = [
    "auto_extract",
    "auto_extract_artifacts",
    "cacerts",
    "check_pap",
    "check_tlp",
    "jobCache",
    "jobTimeout",
    "max_pap",
    "max_tlp",
    "proxy",
    "proxy_http",
    "proxy_https",
];

/// Whether warninglist hits are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Warninglists {
    /// They are named.
    #[default]
    Annotate,
    /// They are not asked for.
    Off,
}

/// Which values a look-up gives to pivot from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LookupArtifacts {
    /// Those of the object that a hit stands in.
    #[default]
    Object,
    /// Those of the whole event.
    Event,
    /// None.
    Off,
}

/// Limits in time, the same for both workers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TimeLimits {
    /// Minutes after which a run stops in good order and reports what is left; 0 for none. Keep it
    /// below the job timeout of Cortex, which is 30 minutes unless changed.
    pub deadline_minutes: u64,
    /// Seconds to wait for a connection to a server.
    #[schemars(range(min = 1))]
    pub connect_timeout: u64,
    /// Seconds to wait for the next bytes of an answer. MISP sends the first byte of a search only
    /// when it has all of it.
    #[schemars(range(min = 1))]
    pub read_timeout: u64,
}

impl TimeLimits {
    /// How long a server is waited for.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(self.connect_timeout),
            read: Duration::from_secs(self.read_timeout),
        }
    }
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            deadline_minutes: 25,
            connect_timeout: 10,
            read_timeout: 300,
        }
    }
}

/// A number of MiB in bytes; 0 means no limit.
pub fn mebibytes(limit: u64) -> u64 {
    match limit {
        0 => u64::MAX,
        limit => limit.saturating_mul(1 << 20),
    }
}

/// The installation's name: the option `instance`, else the host of `thehive_url`, else `thehive`.
///
/// # Errors
/// A `thehive_url` that is no URL.
pub fn installation_name(instance: Option<&str>, thehive_url: Option<&str>) -> Result<String> {
    const DEFAULT: &str = "thehive";

    match (instance, thehive_url) {
        (Some(instance), _) => Ok(instance.to_owned()),
        (None, Some(url)) => Ok(urls::parse_thehive(url)?
            .host_str()
            .unwrap_or(DEFAULT)
            .to_owned()),
        (None, None) => Ok(DEFAULT.to_owned()),
    }
}

/// The shortest `instance_secret`, in characters.
const SHORTEST_SECRET: usize = 16;

/// Makes and knows the uuids of an installation.
///
/// # Errors
/// An `instance_secret` that could be guessed.
pub fn build_ids(instance: &str, secret: Option<&Secret>) -> Result<Ids> {
    let is_short = secret.is_some_and(|secret| secret.expose().chars().count() < SHORTEST_SECRET);
    ensure!(
        !is_short,
        "configuration item \"instance_secret\" has fewer than {SHORTEST_SECRET} characters: give \
         a random text, such as `check` proposes"
    );

    Ok(Ids::new(instance, secret))
}

/// Where a table of values comes from: the word for its members in messages.
#[derive(Clone, Copy, Debug)]
pub enum OptionSource {
    /// The worker's configuration in Cortex.
    Configuration,
    /// The job's parameters.
    Parameters,
    /// What one connection has of its own.
    Settings,
}

impl OptionSource {
    fn member_noun(self) -> &'static str {
        match self {
            Self::Configuration => "configuration item",
            Self::Parameters => "parameter",
            Self::Settings => "setting",
        }
    }

    /// What Cortex and TheHive put beside the worker's own.
    fn platform_items(self) -> &'static [&'static str] {
        match self {
            Self::Configuration => &OF_CORTEX,
            Self::Parameters => &["organisation", "user", "keepJobFolder"],
            Self::Settings => &[],
        }
    }
}

/// Reads a table into its type, and gives the warnings on members that are not known.
///
/// # Errors
/// The first wrong member: its name, the kind of its value (never the value itself, which may be a
/// secret), and what is accepted.
pub fn parse_options<C: DeserializeOwned + JsonSchema>(
    raw: &Map<String, Value>,
    table: OptionSource,
) -> Result<(C, Vec<String>)> {
    let specs = schema::for_config::<C>();
    let noun = table.member_noun();
    let mut known = Map::new();

    for spec in &specs {
        let name = &spec.name;
        let value = raw.get(name).unwrap_or(&Value::Null);
        let value = spec
            .parse_value(value)
            .map_err(|problem| anyhow!("{noun} \"{name}\" {problem}"))?;
        match value {
            Some(value) => drop(known.insert(name.clone(), value)),
            None if spec.required => {
                bail!("{noun} \"{name}\" is not set: {}", spec.description)
            }
            None => {}
        }
    }

    let is_unknown = |name: &&String| {
        !table.platform_items().contains(&name.as_str()) && specs.iter().all(|s| s.name != **name)
    };
    let warnings = raw
        .keys()
        .filter(is_unknown)
        .map(|name| {
            let known = specs.iter().map(|spec| spec.name.as_str());
            let hint = did_you_mean(name, known.chain(table.platform_items().iter().copied()));
            let name = truncate_name(name);
            format!("{noun} \"{name}\" is not known and is ignored{hint}")
        })
        .collect();

    let typed = serde_json::from_value(Value::Object(known))
        .map_err(|error| anyhow!("reading the {noun}s: {error}"))?;

    Ok((typed, warnings))
}

fn truncate_name(name: &str) -> String {
    name.chars().take(60).collect()
}

impl OptionSpec {
    /// Turns a loose value into the exact one, or into none where it means "not set".
    fn parse_value(&self, value: &Value) -> Result<Option<Value>> {
        match (self.multi, value) {
            (_, Value::Null) => Ok(None),
            (true, Value::Array(list)) => self.parse_list(list),
            (true, value) if is_unset(value) => Ok(None),
            // A single value in the place of a list is a list of one.
            (true, value) => Ok(Some(Value::Array(vec![self.parse_one(value)?]))),
            (false, value) if is_unset(value) => Ok(None),
            (false, value) => self.parse_one(value).map(Some),
        }
    }

    fn parse_list(&self, list: &[Value]) -> Result<Option<Value>> {
        let mut read = Vec::new();

        for (index, value) in list.iter().enumerate() {
            if !is_unset(value) {
                read.push(
                    self.parse_one(value)
                        .map_err(|problem| anyhow!("(element {}) {problem}", index + 1))?,
                );
            } else if self.positional {
                // The lists beside this one are counted along: an empty element keeps its place.
                read.push(Value::Null);
            }
        }

        Ok((!read.is_empty()).then_some(Value::Array(read)))
    }

    fn parse_one(&self, value: &Value) -> Result<Value> {
        let read = match &self.kind {
            OptionKind::Text => to_text(value).map(Value::from),
            OptionKind::Boolean => to_bool(value).map(Value::from),
            OptionKind::Object => overrides::parse_object(value),
            OptionKind::Number { least } => {
                let number = to_u64(value).filter(|number| number >= least);
                number.map(Value::from)
            }
            OptionKind::Choice(words) => {
                let text = to_text(value).unwrap_or_default();
                words
                    .iter()
                    .find(|word| word.eq_ignore_ascii_case(text.trim()))
                    .map(|word| Value::from(word.as_str()))
            }
        };

        read.ok_or_else(|| anyhow!(self.kind.describe_problem(value, self.default.as_ref())))
    }
}

/// True for the values by which Cortex says "not set": `null`, `""`, `[]`, `[null]`.
pub fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.iter().all(is_unset),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads a boolean in its loose forms: `true`, `1`, `"yes"`.
pub fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_u64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => json::parse_bool(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn to_u64(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            number
                .as_f64()
                .and_then(json::float_to_integer)
                .and_then(|n| u64::try_from(n).ok())
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Sample {
        /// Names.
        name: Vec<Option<String>>,
        /// Words.
        #[serde(default)]
        words: Vec<String>,
        /// A switch.
        #[serde(default)]
        switch: bool,
        /// A limit.
        #[serde(default)]
        limit: u64,
        #[serde(flatten)]
        limits: TimeLimits,
    }

    fn parse_sample(value: Value) -> Result<(Sample, Vec<String>), String> {
        parse_options(value.as_object().unwrap(), OptionSource::Configuration)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn unset_values_take_the_default() {
        for unset in [json!(null), json!([]), json!([null]), json!("")] {
            let (read, warnings) =
                parse_sample(json!({"name": ["a"], "words": unset, "switch": unset, "limit": unset, "read_timeout": unset}))
                    .unwrap();

            assert_eq!(
                (
                    read.words.len(),
                    read.switch,
                    read.limit,
                    read.limits.read_timeout
                ),
                (0, false, 0, 300)
            );

            assert!(warnings.is_empty());
        }
    }

    #[test]
    fn numbers_and_booleans_may_be_texts() {
        let (read, _) =
            parse_sample(json!({"name": "a", "words": "x", "switch": "True", "limit": "7", "deadline_minutes": 3.0}))
                .unwrap();
        assert_eq!(
            (
                read.words,
                read.switch,
                read.limit,
                read.limits.deadline_minutes
            ),
            (vec!["x".into()], true, 7, 3)
        );
    }

    #[test]
    fn positions_are_kept_where_they_matter_and_only_there() {
        let (read, _) =
            parse_sample(json!({"name": ["a", null, ""], "words": ["x", null, "y"]})).unwrap();
        assert_eq!(read.name, [Some("a".to_owned()), None, None]);
        assert_eq!(read.words, ["x", "y"]);
    }

    #[test]
    fn wrong_values_are_named_and_never_shown() {
        let errors = [
            json!({"name": ["a"], "limit": -1}),
            json!({"name": ["a"], "limit": "many"}),
            json!({"name": ["a"], "switch": {"secret": "canary"}}),
            json!({"name": ["a", {"canary": 1}]}),
            json!({"name": ["a"], "read_timeout": 0}),
            json!({}),
        ];

        let messages: Vec<_> = errors
            .into_iter()
            .map(|config| parse_sample(config).unwrap_err())
            .collect();

        insta::assert_snapshot!(messages.join("\n"), @r#"
        configuration item "limit" is no whole number from 0 on: write a whole number from 0 on, such as 0
        configuration item "limit" is a text, not a number: write a whole number from 0 on, such as 0
        configuration item "switch" is neither true nor false: write one of these
        configuration item "name" (element 2) is an object, not a text: write one text in quotes
        configuration item "read_timeout" is no whole number from 1 on: write a whole number from 1 on, such as 300
        configuration item "name" is not set: Names.
        "#);
    }

    #[test]
    fn unknown_items_are_named_in_a_warning_and_those_of_cortex_are_not() {
        let (_, warnings) =
            parse_sample(json!({"name": ["a"], "max_tlp": 2, "jobTimeout": 30, "colour": 1}))
                .unwrap();
        assert_eq!(
            warnings,
            ["configuration item \"colour\" is not known and is ignored"]
        );
    }
}
