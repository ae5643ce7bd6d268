//! The MISP connections: parallel lists whose elements keep their position, turned into checked
//! connections.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::access::Organisations;
use super::overrides::{self, Overrides};
use super::schema::OptionSpec;
use super::urls;
use crate::http::ServerAccess;
use crate::secret::Secret;
use crate::text::did_you_mean;

/// The items that declare connections. Their names are those of the public MISP analyzer, whose
/// values an organisation may have already (`baseConfig` is `MISP`).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// A name of your own for each MISP connection, such as `misp-corp`. It stands in reports, in
    /// tags of cases, and is the source of alerts: choose one that lasts.
    pub name: Vec<Option<String>>,
    /// The URL of each MISP server, such as `https://misp.example.org`, or of a MISP feed:
    /// `file:///path` for one in a folder, or, with the key `-`, `https://host/path` for one on the
    /// web, which is for import only.
    pub url: Vec<Option<String>>,
    /// The API key of each MISP server, in the order of `url`; every server needs one. `-` for a
    /// feed.
    #[serde(default)]
    pub key: Vec<Option<Secret>>,
    /// What each connection is for: `ImportOnly`, `ExportOnly` or `ImportAndExport`; one for all,
    /// or one for each in the order of `url`. A single connection is for both unless said
    /// otherwise; one of several is for import only.
    #[serde(default)]
    pub purpose: Vec<Option<Purpose>>,
    /// A file with further certificates to trust (PEM), such as `/etc/ssl/certs/house-ca.pem`, or a
    /// folder of such files; one for all servers or one for each. The worker must be able to read
    /// it, also in a container.
    #[serde(default)]
    pub cert_path: Vec<Option<String>>,
    /// A file with the client certificate and its private key (PEM) that a server asks for, such as
    /// `/etc/ssl/private/cortex.pem`, one for all servers or one for each.
    #[serde(default)]
    pub client_cert_path: Vec<Option<String>>,
    /// Check the servers' certificates. Switched off, every report carries a warning.
    #[serde(default = "default_true")]
    pub cert_check: bool,
    /// What holds for one connection alone: a JSON object for each, with its `name` and options of
    /// its own, those of either worker, such as
    /// `{"name": "partner", "distribution": 1, "max_age_days": 7, "proxy": "http://proxy:3128"}`.
    /// Also `purpose`, `cert_check` and `proxy` (a URL, or `direct`). Not the lists above,
    /// `thehive_…`, `instance`, `dry_run`, `max_artifacts`, `deadline_minutes` and the timeouts.
    #[serde(default)]
    pub connection_settings: Vec<Option<overrides::RawOverrides>>,
    /// Which TheHive organisations may use the connections.
    #[serde(flatten)]
    pub organisations: Organisations,
}

fn default_true() -> bool {
    true
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// Events come in.
    ImportOnly,
    /// Cases go out.
    ExportOnly,
    /// Both.
    ImportAndExport,
}

impl Purpose {
    /// True if events may come in.
    pub fn allows_import(self) -> bool {
        self != Self::ExportOnly
    }

    /// True if cases may go out.
    pub fn allows_export(self) -> bool {
        self != Self::ImportOnly
    }
}

/// One checked connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name, unique in the configuration.
    pub name: String,
    /// Where it leads.
    pub target: Target,
    /// What it is for.
    pub purpose: Purpose,
    /// How its server is reached.
    pub access: ServerAccess,
    /// Options of the workers that it has of its own.
    pub own: Map<String, Value>,
}

/// Where a connection leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// A MISP server.
    Server {
        /// Its base URL; the path ends with a slash.
        url: Url,
        /// The API key.
        key: Secret,
    },
    /// A MISP feed in a folder.
    Feed {
        /// The folder, absolute.
        folder: PathBuf,
        /// Its URL, for messages.
        url: Url,
    },
    /// A MISP feed on a web server, which can only be read.
    WebFeed {
        /// The URL of the folder with its `manifest.json`; the path ends with a slash.
        url: Url,
    },
}

impl Connection {
    /// The URL, for messages; it carries nothing secret.
    pub fn url(&self) -> &Url {
        match &self.target {
            Target::Server { url, .. } | Target::Feed { url, .. } | Target::WebFeed { url } => url,
        }
    }

    /// The first connection to the same MISP, by its URL, if this is a later one.
    pub fn first_with_same_url<'c>(&self, all: &'c [Self]) -> Option<&'c Self> {
        all.iter()
            .find(|connection| connection.url() == self.url())
            .filter(|first| first.name != self.name)
    }
}

impl Connections {
    /// Checks the lists against each other and each element by itself; `options` are those that a
    /// connection can have of its own ([`overrides::overridable_options`]). Gives the connections
    /// and warnings on them.
    ///
    /// # Errors
    /// The first wrong element: item, position, what is wrong and what to do. Nothing may be sent
    /// anywhere then.
    pub fn to_connections(&self, options: &[OptionSpec]) -> Result<(Vec<Connection>, Vec<String>)> {
        self.check_lengths()?;
        let own = overrides::parse_each(&self.connection_settings, &self.name, options)?;
        let connections: Vec<_> = own
            .into_iter()
            .enumerate()
            .map(|(index, own)| self.build_connection(index, own))
            .collect::<Result<_>>()?;

        for (index, connection) in connections.iter().enumerate() {
            let first = connections
                .iter()
                .position(|other| other.name == connection.name)
                .unwrap_or(index);
            ensure!(
                first == index,
                "configuration item \"name\": elements {} and {} are both \"{}\": give each \
                 connection a name of its own",
                first + 1,
                index + 1,
                connection.name
            );
        }

        let warnings = connections.iter().flat_map(security_warnings).collect();

        Ok((connections, warnings))
    }

    /// The connections whose purpose allows the work, or the one of them that a job names; and
    /// warnings on the configuration.
    ///
    /// # Errors
    /// What [`Connections::to_connections`] finds; that no connection may do this work, or not the
    /// one of that name; that there is none of that name.
    pub fn select_for_work(
        &self,
        may: impl Fn(Purpose) -> bool,
        work: &str,
        name: Option<&str>,
        options: &[OptionSpec],
    ) -> Result<(Vec<Connection>, Vec<String>)> {
        let (connections, warnings) = self.to_connections(options)?;
        let (allowed, others): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|connection| may(connection.purpose));
        ensure!(!allowed.is_empty(), no_connection_may(work));

        if let Some(other) = others
            .iter()
            .find(|other| Some(other.name.as_str()) == name)
        {
            bail!(
                "connection \"{}\" may not {work}: its \"purpose\" is {:?} (one of several \
                 connections that has none of its own is ImportOnly): set it to ImportAndExport",
                other.name,
                other.purpose
            );
        }

        Ok((narrow_to_named(allowed, name)?, warnings))
    }

    fn check_lengths(&self) -> Result<()> {
        let names = self.name.len();
        // A configuration of nothing but feeds in folders may leave the keys out.
        let all_feeds = self.url.iter().flatten().all(|url| urls::is_file(url));
        let keys = match self.key.is_empty() && all_feeds {
            true => names,
            false => self.key.len(),
        };
        ensure!(
            keys > 0,
            "configuration item \"key\" is not set: give the API key of each MISP's user, in the \
             order of \"url\", and \"-\" for a feed"
        );
        for (item, length) in [("url", self.url.len()), ("key", keys)] {
            ensure!(
                length == names,
                "configuration items \"name\" and \"{item}\" have {names} and {length} elements: \
                 they need the same number, one for each connection"
            );
        }

        let lists = [
            ("purpose", self.purpose.len()),
            ("cert_path", self.cert_path.len()),
            ("client_cert_path", self.client_cert_path.len()),
        ];

        for (item, length) in lists {
            ensure!(
                [0, 1, names].contains(&length),
                "configuration items \"name\" and \"{item}\" have {names} and {length} elements: \
                 give \"{item}\" none, one for all connections, or one for each"
            );
        }

        Ok(())
    }

    fn build_connection(&self, index: usize, own: Overrides) -> Result<Connection> {
        let name = element(&self.name, index, "name", "give every connection a name")?;
        let target = self.build_target(index, &name)?;
        let purpose = own
            .purpose
            .unwrap_or_else(|| self.resolve_purpose(index, &target));
        let is_web_feed = matches!(target, Target::WebFeed { .. });
        ensure!(
            !is_web_feed || !purpose.allows_export(),
            "configuration item \"purpose\": connection \"{name}\" is a feed over http, which is \
             read only, since its key is \"-\": make it ImportOnly, and export into the file:/// \
             folder that the web server shows; if a MISP server is meant, give its API key in \
             \"key\""
        );
        let access = ServerAccess {
            cert_path: element_for(&self.cert_path, index).map(PathBuf::from),
            client_cert_path: element_for(&self.client_cert_path, index).map(PathBuf::from),
            cert_check: own.cert_check.unwrap_or(self.cert_check),
            takes_certificates: true,
            proxy: own.proxy,
        };

        Ok(Connection {
            name,
            target,
            purpose,
            access,
            own: own.options,
        })
    }

    fn build_target(&self, index: usize, name: &str) -> Result<Target> {
        let url = element(
            &self.url,
            index,
            "url",
            "give the URL of the MISP, or file:///path for a feed",
        )?;
        let wrong = |problem: anyhow::Error| {
            let position = index + 1;
            anyhow!(
                "configuration item \"url\": element {position} (connection \"{name}\") {problem}"
            )
        };
        let remedy = "give the API key of the MISP user, or \"-\" if the connection is a feed";
        // That there is none matters only if the connection turns out to lead to a server.
        let key = element(&self.key, index, "key", remedy);

        Ok(if urls::is_file(&url) {
            let (folder, url) = urls::parse_folder(&url).map_err(wrong)?;
            Target::Feed { folder, url }
        } else if key.as_ref().is_ok_and(|key| key.expose() == "-") {
            let url = urls::parse_web_feed(&url).map_err(wrong)?;
            Target::WebFeed { url }
        } else {
            let url = urls::parse_server(&url).map_err(wrong)?;
            Target::Server { url, key: key? }
        })
    }

    fn resolve_purpose(&self, index: usize, target: &Target) -> Purpose {
        let is_web_feed = matches!(target, Target::WebFeed { .. });
        let is_for_all = self.purpose.len() == 1 && self.name.len() > 1;
        // With several connections no case goes out to one that nobody declared for that.
        let default = if self.name.len() == 1 && !is_web_feed {
            Purpose::ImportAndExport
        } else {
            Purpose::ImportOnly
        };

        match element_for(&self.purpose, index) {
            // What is said of all cannot be meant of a feed that is read only.
            Some(Purpose::ImportAndExport) if is_for_all && is_web_feed => Purpose::ImportOnly,
            said => said.unwrap_or(default),
        }
    }
}

/// Says that no connection is for some work.
pub fn no_connection_may(work: &str) -> String {
    format!(
        "no connection may {work}: set its \"purpose\" to ImportAndExport, or declare one that may"
    )
}

/// An element of a list that has one for each connection.
fn element<T: Clone>(list: &[Option<T>], index: usize, item: &str, remedy: &str) -> Result<T> {
    list.get(index).cloned().flatten().with_context(|| {
        let position = index + 1;
        format!("configuration item \"{item}\": element {position} is empty: {remedy}")
    })
}

/// An element of a list that has none, one for all, or one for each.
fn element_for<T: Clone>(list: &[Option<T>], index: usize) -> Option<T> {
    match list {
        [all] => all.clone(),
        each => each.get(index).cloned().flatten(),
    }
}

/// What is worth a warning in how a server is reached.
pub fn security_warnings(connection: &Connection) -> Vec<String> {
    let name = &connection.name;

    let (url, risk) = match &connection.target {
        Target::Server { url, .. } => (url, "sends its API key unencrypted"),
        Target::WebFeed { url } => (
            url,
            "is read unencrypted, so that what comes may be changed on the way",
        ),
        Target::Feed { .. } => return Vec::new(),
    };

    let mut warnings = Vec::new();
    if url.scheme() == "http" {
        warnings.push(format!(
            "connection \"{name}\" {risk}: use https in \"url\""
        ));
    }

    if !connection.access.cert_check {
        warnings.push(format!(
            "connection \"{name}\": the server's certificate is not checked \
                (\"cert_check\" is false)"
        ));
    }

    warnings
}

/// Keeps the connection that a job names, or all.
///
/// # Errors
/// The names there are, if that one is not among them.
fn narrow_to_named(connections: Vec<Connection>, wanted: Option<&str>) -> Result<Vec<Connection>> {
    let Some(wanted) = wanted else {
        return Ok(connections);
    };
    let names = overrides::quote_names(connections.iter().map(|connection| &connection.name));
    let hint = did_you_mean(wanted, connections.iter().map(|each| each.name.as_str()));
    let kept: Vec<_> = connections
        .into_iter()
        .filter(|connection| connection.name == wanted)
        .collect();
    ensure!(
        !kept.is_empty(),
        "there is no connection of the name that the job asks for{hint}: the names are {names}"
    );

    Ok(kept)
}

#[cfg(test)]
mod tests;
