//! What holds for one connection alone: `connection_settings`, laid over the configuration. An
//! element may name options of either worker, so that both can have the same list; each takes those
//! that it has.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail, ensure};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::connections::{Connection, Purpose};
use super::schema::{self, OptionSpec};
use super::{OptionSource, parse_options};
use crate::http::ProxyChoice;
use crate::secret::{REMOVED, Secret};
use crate::text::did_you_mean;

/// Options that hold for the whole run, or that have a place for each connection already.
const OF_ALL: [&str; 17] = [
    "client_cert_path",
    "cert_path",
    "connect_timeout",
    "connection_settings",
    "deadline_minutes",
    "dry_run",
    "instance",
    "key",
    "max_artifacts",
    "name",
    "observable_commands",
    "read_timeout",
    "thehive_former_users",
    "thehive_key",
    "thehive_organisations",
    "thehive_url",
    "url",
];
const DIRECT: &str = "direct";

/// A connection, and the configuration that holds for it.
#[derive(Clone, Debug)]
pub struct ConnectionConfig<C> {
    /// The connection.
    pub connection: Connection,
    /// The worker's configuration, with what the connection has of its own.
    pub config: C,
}

/// One element of `connection_settings`. It may hold a proxy's password, so it is neither printed
/// nor written.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct RawOverrides(Map<String, Value>);

impl fmt::Debug for RawOverrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REMOVED)
    }
}

impl Serialize for RawOverrides {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REMOVED)
    }
}

impl JsonSchema for RawOverrides {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConnectionSettings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// What a connection's own settings say of the connection itself.
#[derive(Debug, Deserialize, JsonSchema)]
struct OverrideHeader {
    /// Which connection is meant: one of `name`.
    name: String,
    /// What it is for.
    purpose: Option<Purpose>,
    /// False if its server's certificate is not checked.
    cert_check: Option<bool>,
    /// Its proxy's URL, or `direct`.
    proxy: Option<Secret>,
}

/// The settings of one connection, checked.
#[derive(Clone, Default)]
pub struct Overrides {
    pub(super) purpose: Option<Purpose>,
    pub(super) cert_check: Option<bool>,
    pub(super) proxy: Option<ProxyChoice>,
    /// The rest: options of the workers, as they were written.
    pub options: Map<String, Value>,
}

impl Overrides {
    fn new(header: OverrideHeader, rest: Map<String, Value>) -> Self {
        Self {
            purpose: header.purpose,
            cert_check: header.cert_check,
            proxy: header.proxy.map(parse_proxy),
            // An empty value sets nothing: what holds for all connections, a limit for instance,
            // stays.
            options: rest
                .into_iter()
                .filter(|(_, value)| !super::is_unset(value))
                .collect(),
        }
    }
}

/// The settings of each connection, in the order of the names.
///
/// # Errors
/// The first wrong element: its position, its connection, the option, and what is accepted.
pub fn parse_each(
    settings: &[Option<RawOverrides>],
    names: &[Option<String>],
    options: &[OptionSpec],
) -> Result<Vec<Overrides>> {
    let mut each: Vec<Option<Overrides>> = names.iter().map(|_| None).collect();
    let header_items = schema::for_config::<OverrideHeader>();

    for (index, element) in settings.iter().enumerate() {
        // An empty element keeps its place, so that messages count as the form does.
        let Some(RawOverrides(element)) = element else {
            continue;
        };
        let position = format!(
            "configuration item \"connection_settings\" (element {})",
            index + 1
        );
        let (header, rest): (Map<_, _>, Map<_, _>) = element
            .clone()
            .into_iter()
            .partition(|(name, _)| header_items.iter().any(|item| item.name == *name));
        // Only names that are known were put into it, so that there are no warnings.
        let (header, _) = parse_options::<OverrideHeader>(&header, OptionSource::Settings)
            .context(position.clone())?;

        let position = format!("{position}, connection \"{}\"", header.name);
        let place = find_free_place(&mut each, names, &header.name, &position)?;
        rest.iter()
            .try_for_each(|(name, value)| check_option(options, name, value))
            .context(position)?;
        *place = Some(Overrides::new(header, rest));
    }

    Ok(each.into_iter().map(Option::unwrap_or_default).collect())
}

/// Where the settings of a connection go, which is empty so far.
fn find_free_place<'e>(
    each: &'e mut [Option<Overrides>],
    names: &[Option<String>],
    name: &str,
    position: &str,
) -> Result<&'e mut Option<Overrides>> {
    let place = names
        .iter()
        .zip(each)
        .find(|(known, _)| known.as_deref() == Some(name));
    let (_, place) = place.with_context(|| {
        let known: Vec<_> = names.iter().flatten().collect();
        format!(
            "{position}: there is no such connection{}: the names are {}",
            did_you_mean(name, known.iter().map(|name| name.as_str())),
            quote_names(known)
        )
    })?;

    ensure!(
        place.is_none(),
        "{position}: this connection has an element already: write all into one"
    );

    Ok(place)
}

/// Names as messages list them.
pub fn quote_names(names: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let quoted: Vec<_> = names
        .into_iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    quoted.join(", ")
}

fn parse_proxy(text: Secret) -> ProxyChoice {
    if text.expose().eq_ignore_ascii_case(DIRECT) {
        ProxyChoice::Direct
    } else {
        ProxyChoice::Through(text)
    }
}

/// The options that a connection can have of its own, of those of both workers, each once.
pub fn overridable_options(of_both: impl IntoIterator<Item = OptionSpec>) -> Vec<OptionSpec> {
    let mut options: Vec<OptionSpec> = Vec::new();
    for option in of_both {
        if is_overridable(&option.name) && options.iter().all(|known| known.name != option.name) {
            options.push(option);
        }
    }

    options
}

/// True for an option that a connection can have of its own.
pub fn is_overridable(option: &str) -> bool {
    !OF_ALL.contains(&option)
}

fn check_option(options: &[OptionSpec], name: &str, value: &Value) -> Result<()> {
    let Some(option) = options.iter().find(|option| option.name == name) else {
        match OF_ALL.contains(&name) {
            true => bail!("\"{name}\" holds for all connections: it cannot be set for one"),
            false => bail!(
                "\"{}\" is no option that a connection can have{}: correct its name, or take it out",
                super::truncate_name(name),
                did_you_mean(name, options.iter().map(|option| option.name.as_str()))
            ),
        }
    };

    option
        .parse_value(value)
        .map(drop)
        .map_err(|problem| anyhow!("\"{name}\" {problem}"))
}

/// Gives each connection the configuration that holds for it: `shared`, which was read from `raw`,
/// with what the connection has of its own in its place. What it sets to nothing is as for all.
///
/// # Errors
/// That what is laid over does not fit. Its parts were looked at before.
pub fn configure_each<C: Clone + DeserializeOwned + JsonSchema>(
    connections: Vec<Connection>,
    raw: &Map<String, Value>,
    shared: &C,
) -> Result<Vec<ConnectionConfig<C>>> {
    let configure = |connection: Connection| {
        if connection.own.is_empty() {
            return Ok(ConnectionConfig {
                connection,
                config: shared.clone(),
            });
        }

        // Of two entries of one name the later stays: the connection's own.
        let whole = raw
            .clone()
            .into_iter()
            .chain(connection.own.clone())
            .collect();
        // The warnings were given when the whole configuration was read.
        let (config, _) =
            parse_options(&whole, OptionSource::Configuration).with_context(|| {
                format!("reading the settings of connection \"{}\"", connection.name)
            })?;
        Ok(ConnectionConfig { connection, config })
    };

    connections.into_iter().map(configure).collect()
}

/// Reads an object, or the text of one. What it says is never shown: it may be a password.
pub fn parse_object(value: &Value) -> Option<Value> {
    match value {
        Value::Object(_) => Some(value.clone()),
        Value::String(text) => serde_json::from_str(text).ok().filter(Value::is_object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::connections::Connections;
    use crate::export::Config as ExportConfig;
    use crate::import::Config as ImportConfig;
    use serde_json::json;

    fn both_workers_options() -> Vec<OptionSpec> {
        overridable_options(
            schema::for_config::<ImportConfig>()
                .into_iter()
                .chain(schema::for_config::<ExportConfig>()),
        )
    }

    fn config(settings: Value) -> Map<String, Value> {
        let config = json!({
            "name": ["corp", "partner"], "url": ["https://corp", "https://partner"], "key": ["k", "k"],
            "max_age_days": 7, "include_tags": ["apt"], "connection_settings": settings,
        });
        config.as_object().unwrap().clone()
    }

    fn parse_connections(settings: Value) -> Result<Vec<Connection>, String> {
        let read = parse_options::<Connections>(&config(settings), OptionSource::Configuration);
        read.and_then(|(lists, _)| lists.to_connections(&both_workers_options()))
            .map(|(connections, _)| connections)
            .map_err(|e| format!("{e:#}"))
    }

    fn import_configs(settings: Value) -> Vec<ConnectionConfig<ImportConfig>> {
        let raw = config(settings.clone());
        let (shared, _) = parse_options::<ImportConfig>(&raw, OptionSource::Configuration).unwrap();
        configure_each(parse_connections(settings).unwrap(), &raw, &shared).unwrap()
    }

    #[test]
    fn a_connection_has_its_own_options_and_shares_the_others() {
        let text = r#"{"name": "partner", "max_age_days": "3", "include_tags": ["*"], "max_attributes": null, "distribution": 2}"#;
        for settings in [
            json!([text]),
            json!([serde_json::from_str::<Value>(text).unwrap()]),
            json!(text),
        ] {
            let [corp, partner] = import_configs(settings).try_into().unwrap();
            assert_eq!(
                (
                    corp.config.filters.max_age_days,
                    corp.config.filters.include_tags.len()
                ),
                (7, 1)
            );

            assert_eq!(
                (
                    partner.config.filters.max_age_days,
                    partner.config.filters.include_tags
                ),
                (3, vec!["*".to_owned()])
            );

            assert_eq!(
                partner.config.filters.max_attributes,
                corp.config.filters.max_attributes
            );
        }
    }

    #[test]
    fn purpose_certificates_and_proxy_can_differ() {
        let settings = json!([
            {"name": "partner", "purpose": "exportonly", "cert_check": "no", "proxy": "http://user:canary@proxy:3128"},
            {"name": "corp", "proxy": "DIRECT"},
        ]);
        let [corp, partner] = parse_connections(settings).unwrap().try_into().unwrap();
        assert_eq!(
            (corp.purpose, corp.access.cert_check),
            (Purpose::ImportOnly, true)
        );
        assert_eq!(corp.access.proxy, Some(ProxyChoice::Direct));
        assert_eq!(
            (partner.purpose, partner.access.cert_check),
            (Purpose::ExportOnly, false)
        );
        assert!(
            matches!(&partner.access.proxy, Some(ProxyChoice::Through(url)) if url.expose().contains("canary"))
        );
        assert!(!format!("{partner:?}").contains("canary"));
    }

    #[test]
    fn a_wrong_setting_is_explained_and_never_shown() {
        let wrong = [
            json!(["canary"]),
            json!([{"max_age_days": 1}]),
            json!([{"name": "parner"}]),
            json!([{"name": "corp"}, {"name": "corp"}]),
            json!([{"name": "corp", "max_age": 1}]),
            json!([{"name": "corp", "thehive_key": "canary"}]),
            json!([{"name": "corp", "max_age_days": "canary"}]),
            json!([{"name": "corp", "removed_iocs": "canary"}]),
            json!([{"name": "corp", "purpose": "canary"}]),
        ];

        let messages: Vec<_> = wrong
            .into_iter()
            .map(|settings| parse_connections(settings).unwrap_err())
            .collect();
        assert!(!messages.concat().contains("canary"));

        insta::assert_snapshot!(messages.join("\n"), @r#"
        configuration item "connection_settings" (element 1) is a text that is no JSON (line 1, column 1): write one such as {"name": "partner", "max_age_days": 7}
        configuration item "connection_settings" (element 1): setting "name" is not set: Which connection is meant: one of `name`.
        configuration item "connection_settings" (element 1), connection "parner": there is no such connection (did you mean "partner"?): the names are "corp", "partner"
        configuration item "connection_settings" (element 2), connection "corp": this connection has an element already: write all into one
        configuration item "connection_settings" (element 1), connection "corp": "max_age" is no option that a connection can have (did you mean "max_age_date"?): correct its name, or take it out
        configuration item "connection_settings" (element 1), connection "corp": "thehive_key" holds for all connections: it cannot be set for one
        configuration item "connection_settings" (element 1), connection "corp": "max_age_days" is a text, not a number: write a whole number from 0 on, such as 90
        configuration item "connection_settings" (element 1), connection "corp": "removed_iocs" is none of its words: write one of unflag, delete, keep
        configuration item "connection_settings" (element 1): setting "purpose" is none of its words: write one of ImportOnly, ExportOnly, ImportAndExport
        "#);
    }
}
