//! The MISP connections: parallel lists whose elements keep their position, turned into checked connections.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::organisations::Organisations;
use super::own::{self, Own};
use crate::secret::Secret;

/// The items that declare connections. Their names are those of the public MISP analyzer, whose values an organisation
/// may have already (`baseConfig` is `MISP`).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// A name of your own for each MISP connection, such as `misp-corp`; it stands in reports and alerts.
    pub name: Vec<Option<String>>,
    /// The URL of each MISP server, such as `https://misp.example.org`, or of a MISP feed: `file:///path` for one in a folder, or, with the key `-`, `https://host/path` for one on the web, which is for import only.
    pub url: Vec<Option<String>>,
    /// The API key of each MISP server; `-` for a feed.
    #[serde(default)]
    pub key: Vec<Option<Secret>>,
    /// What each connection is for: `ImportOnly`, `ExportOnly` or `ImportAndExport`. A single connection is for both unless said otherwise; one of several is for import only.
    #[serde(default)]
    pub purpose: Vec<Option<Purpose>>,
    /// A file with further certificates to trust (PEM), one for all servers or one for each.
    #[serde(default)]
    pub cert_path: Vec<Option<String>>,
    /// A file with the client certificate and its private key (PEM) that a server asks for, one for all servers or one for each.
    #[serde(default)]
    pub client_cert_path: Vec<Option<String>>,
    /// Check the servers' certificates. Switched off, every report carries a warning.
    #[serde(default = "yes")]
    pub cert_check: bool,
    /// What holds for one connection alone: a JSON object for each, with its `name` and options of this table, such as `{"name": "partner", "max_age_days": 7, "proxy": "http://proxy:3128"}`. Also `purpose`, `cert_check` and `proxy` (a URL, or `direct`).
    #[serde(default)]
    pub connection_settings: Vec<own::Settings>,
    /// Which TheHive organisations may use the connections.
    #[serde(flatten)]
    pub organisations: Organisations,
}

fn yes() -> bool {
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
    #[must_use]
    pub fn imports(self) -> bool {
        self != Self::ExportOnly
    }

    /// True if cases may go out.
    #[must_use]
    pub fn exports(self) -> bool {
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
    pub access: Access,
    /// Options of the workers that it has of its own.
    pub own: Map<String, Value>,
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Further certificates to trust, a PEM file.
    pub cert_path: Option<PathBuf>,
    /// Our own certificate and its private key, a PEM file.
    pub client_cert_path: Option<PathBuf>,
    /// False if the server's certificate is not checked.
    pub cert_check: bool,
    /// The connection's own choice of a proxy; none if Cortex's or the environment's holds.
    pub proxy: Option<OwnProxy>,
}

impl Default for Access {
    fn default() -> Self {
        Self { cert_path: None, client_cert_path: None, cert_check: true, proxy: None }
    }
}

/// A connection's own choice of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnProxy {
    /// None: straight to the server.
    Direct,
    /// Through the proxy of this URL, which may carry a user and a password.
    Through(Secret),
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
    #[must_use]
    pub fn url(&self) -> &Url {
        match &self.target {
            Target::Server { url, .. } | Target::Feed { url, .. } | Target::WebFeed { url } => url,
        }
    }
}

impl Connections {
    /// Checks the lists against each other and each element by itself. Gives the connections and warnings on them.
    ///
    /// # Errors
    /// The first wrong element: item, position, what is wrong and what to do. Nothing may be sent anywhere then.
    pub fn checked(&self) -> Result<(Vec<Connection>, Vec<String>)> {
        self.check_lengths()?;
        let own = own::of_each(&self.connection_settings, &self.name)?;
        let connections = own.into_iter().enumerate().map(|(index, own)| self.connection(index, own));
        let connections: Vec<_> = connections.collect::<Result<_>>()?;
        for (index, one) in connections.iter().enumerate() {
            if let Some(first) = connections.iter().take(index).position(|other| other.name == one.name) {
                bail!(
                    "configuration item \"name\": elements {} and {} are both \"{}\": give each connection a name of its own",
                    first + 1,
                    index + 1,
                    one.name
                );
            }
        }
        let warnings = connections.iter().flat_map(warnings).collect();
        Ok((connections, warnings))
    }

    /// The connections whose purpose allows the work, or the one of them that a job names; and warnings on the
    /// configuration.
    ///
    /// # Errors
    /// What [`Connections::checked`] finds; that no connection may do this work; that there is none of that name.
    pub fn chosen(
        &self,
        may: impl Fn(Purpose) -> bool,
        work: &str,
        name: Option<&str>,
    ) -> Result<(Vec<Connection>, Vec<String>)> {
        let (connections, warnings) = self.checked()?;
        let allowed: Vec<_> = connections.into_iter().filter(|connection| may(connection.purpose)).collect();
        ensure!(
            !allowed.is_empty(),
            "no connection may {work}: set its \"purpose\" to ImportAndExport, or declare one that may"
        );
        Ok((narrowed(allowed, name)?, warnings))
    }

    fn check_lengths(&self) -> Result<()> {
        let names = self.name.len();
        let all_feeds = self.url.iter().flatten().all(|url| is_file(url));
        let keys_may_be_absent = self.key.is_empty() && all_feeds;
        for (item, length, may_differ) in [("url", self.url.len(), false), ("key", self.key.len(), keys_may_be_absent)]
        {
            ensure!(
                length == names || may_differ,
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

    fn connection(&self, index: usize, own: Own) -> Result<Connection> {
        let position = index + 1;
        let empty =
            |item: &str, remedy: &str| anyhow!("configuration item \"{item}\": element {position} is empty: {remedy}");
        let element = |list: &[Option<String>], item: &str, remedy: &str| {
            list.get(index).cloned().flatten().ok_or_else(|| empty(item, remedy))
        };
        let name = element(&self.name, "name", "give every connection a name")?;
        let url = element(&self.url, "url", "give the URL of the MISP, or file:///path for a feed")?;
        let wrong = |problem: anyhow::Error| {
            anyhow!("configuration item \"url\": element {position} (connection \"{name}\") {problem}")
        };
        let key = self.key.get(index).cloned().flatten();
        let target = if is_file(&url) {
            feed(&url).map_err(wrong)?
        } else if key.as_ref().map(Secret::expose) == Some("-") {
            Target::WebFeed { url: web_feed_url(&url).map_err(wrong)? }
        } else {
            let url = server_url(&url).map_err(wrong)?;
            let remedy = "give the API key of the MISP user, or \"-\" if the connection is a feed";
            Target::Server { url, key: key.ok_or_else(|| empty("key", remedy))? }
        };
        let purpose = own.purpose.unwrap_or_else(|| self.purpose(index, &target));
        check_purpose(&name, &target, purpose)?;
        let access = self.access(index, own.cert_check, own.proxy);
        Ok(Connection { name, target, purpose, access, own: own.options })
    }

    fn access(&self, index: usize, cert_check: Option<bool>, proxy: Option<OwnProxy>) -> Access {
        Access {
            cert_path: of_position(&self.cert_path, index).map(PathBuf::from),
            client_cert_path: of_position(&self.client_cert_path, index).map(PathBuf::from),
            cert_check: cert_check.unwrap_or(self.cert_check),
            proxy,
        }
    }

    fn purpose(&self, index: usize, target: &Target) -> Purpose {
        let is_web_feed = matches!(target, Target::WebFeed { .. });
        let default = if self.name.len() == 1 && !is_web_feed { Purpose::ImportAndExport } else { Purpose::ImportOnly };
        of_position(&self.purpose, index).unwrap_or(default)
    }
}

/// Refuses a purpose that a connection's target cannot serve.
///
/// # Errors
/// That a feed on the web is read only.
fn check_purpose(name: &str, target: &Target, purpose: Purpose) -> Result<()> {
    let is_web_feed = matches!(target, Target::WebFeed { .. });
    ensure!(
        !is_web_feed || !purpose.exports(),
        "configuration item \"purpose\": connection \"{name}\" is a feed over http, which is read only: make it ImportOnly, \
         and export into the file:/// folder that the web server shows"
    );
    Ok(())
}

/// An element of a list that has none, one for all, or one for each.
fn of_position<T: Clone>(list: &[Option<T>], index: usize) -> Option<T> {
    match list {
        [all] => all.clone(),
        each => each.get(index).cloned().flatten(),
    }
}

fn is_file(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}

fn feed(text: &str) -> Result<Target> {
    const REMEDY: &str = "write file:/// and the absolute path of the feed's folder";
    ensure!(text.get(5..8) == Some("///"), "names no absolute folder: {REMEDY}");
    let url = Url::parse(text).map_err(|_| anyhow!("is no URL: {REMEDY}"))?;
    let folder = url.to_file_path().map_err(|()| anyhow!("names no folder of this machine: {REMEDY}"))?;
    Ok(Target::Feed { folder, url })
}

/// Reads the base URL of a server. MISP may live below a path.
///
/// # Errors
/// What is wrong with it, without showing it: it may contain a password.
pub fn server_url(text: &str) -> Result<Url> {
    const REMEDY: &str = "write it as https://host or https://host/path";
    ensure!(text.contains("://"), "has no scheme: {REMEDY}");
    let mut url = Url::parse(text.trim()).map_err(|problem| anyhow!("is no URL ({problem}): {REMEDY}"))?;
    ensure!(["http", "https"].contains(&url.scheme()), "has the scheme {}: {REMEDY}", url.scheme());
    ensure!(url.username().is_empty() && url.password().is_none(), "carries a user or password: {REMEDY}");
    ensure!(url.query().is_none() && url.fragment().is_none(), "carries a query or fragment: {REMEDY}");
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// Reads the URL of a feed on the web; that of its `manifest.json` means its folder.
fn web_feed_url(text: &str) -> Result<Url> {
    let mut url = server_url(text)?;
    if let Some(folder) = url.path().strip_suffix("/manifest.json/") {
        let folder = format!("{folder}/");
        url.set_path(&folder);
    }
    Ok(url)
}

/// Reads the option `thehive_url`.
///
/// # Errors
/// What is wrong with it.
pub fn thehive_url(text: &str) -> Result<Url> {
    server_url(text).map_err(|problem| anyhow!("configuration item \"thehive_url\" {problem}"))
}

fn warnings(connection: &Connection) -> Vec<String> {
    let name = &connection.name;
    let (url, risk) = match &connection.target {
        Target::Server { url, .. } => (url, "sends its API key unencrypted"),
        Target::WebFeed { url } => (url, "is read unencrypted, so that what comes may be changed on the way"),
        Target::Feed { .. } => return Vec::new(),
    };
    let mut warnings = Vec::new();
    if url.scheme() == "http" {
        warnings.push(format!("connection \"{name}\" {risk}: use https in \"url\""));
    }
    if !connection.access.cert_check {
        warnings
            .push(format!("connection \"{name}\": the server's certificate is not checked (\"cert_check\" is false)"));
    }
    warnings
}

/// Keeps the connection that a job names, or all.
///
/// # Errors
/// The names there are, if that one is not among them.
fn narrowed(connections: Vec<Connection>, wanted: Option<&str>) -> Result<Vec<Connection>> {
    let Some(wanted) = wanted else { return Ok(connections) };
    let names: Vec<_> = connections.iter().map(|connection| format!("\"{}\"", connection.name)).collect();
    let kept: Vec<_> = connections.into_iter().filter(|connection| connection.name == wanted).collect();
    ensure!(
        !kept.is_empty(),
        "there is no connection of the name that the job asks for: the names are {}",
        names.join(", ")
    );
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Table, read};
    use serde_json::json;

    fn checked(config: Value) -> Result<(Vec<Connection>, Vec<String>), String> {
        let (lists, _) = read::<Connections>(config.as_object().unwrap(), Table::Configuration)
            .map_err(|error| error.to_string())?;
        lists.checked().map_err(|error| error.to_string())
    }

    #[test]
    fn a_null_key_never_moves_another_key_to_its_place() {
        let error = checked(json!({"name": ["a", "b"], "url": ["https://a", "https://b"], "key": [null, "canary"]}))
            .unwrap_err();
        insta::assert_snapshot!(error, @r#"configuration item "key": element 1 is empty: give the API key of the MISP user, or "-" if the connection is a feed"#);
    }

    #[test]
    fn feeds_need_no_key_and_servers_do() {
        let (one, _) = checked(json!({"name": ["f"], "url": ["file:///feeds/a%20b"], "key": [null]})).unwrap();
        assert!(matches!(&one[0].target, Target::Feed { folder, .. } if folder.to_str() == Some("/feeds/a b")));
        assert!(checked(json!({"name": ["f"], "url": ["file:///feeds"]})).is_ok());
        assert!(
            checked(json!({"name": ["f", "s"], "url": ["file:///feeds", "https://s"], "key": [null, "k"]})).is_ok()
        );
        assert!(checked(json!({"name": ["f", "s"], "url": ["file:///feeds", "https://s"]})).is_err());
    }

    #[test]
    fn one_of_several_never_starts_to_export_by_itself() {
        let lists = |purpose: Value| json!({"name": ["a", "b"], "url": ["https://a", "https://b"], "key": ["k", "k"], "purpose": purpose});
        let purposes = |purpose| checked(lists(purpose)).unwrap().0.iter().map(|c| c.purpose).collect::<Vec<_>>();
        assert_eq!(purposes(json!(null)), [Purpose::ImportOnly; 2]);
        assert_eq!(purposes(json!([null, "exportonly"])), [Purpose::ImportOnly, Purpose::ExportOnly]);
        assert_eq!(purposes(json!(["ImportAndExport"])), [Purpose::ImportAndExport; 2]);
        let (one, _) = checked(json!({"name": ["a"], "url": ["https://a"], "key": ["k"]})).unwrap();
        assert_eq!(one[0].purpose, Purpose::ImportAndExport);
    }

    #[test]
    fn a_server_below_a_path_keeps_it() {
        let (one, _) = checked(json!({"name": ["a"], "url": ["https://h/misp"], "key": ["k"]})).unwrap();
        assert_eq!(one[0].url().as_str(), "https://h/misp/");
    }

    #[test]
    fn a_feed_on_the_web_is_a_folder_that_is_only_read() {
        for (url, expected) in [
            ("https://h/feed", "https://h/feed/"),
            (" https://h/feed/manifest.json", "https://h/feed/"),
            ("https://h/manifest.json/", "https://h/"),
            ("https://h", "https://h/"),
        ] {
            let (one, warnings) = checked(json!({"name": ["f"], "url": [url], "key": ["-"]})).unwrap();
            assert!(matches!(&one[0].target, Target::WebFeed { url } if url.as_str() == expected), "{:?}", one[0]);
            assert_eq!((one[0].purpose, warnings.len()), (Purpose::ImportOnly, 0));
        }
        let (_, warnings) =
            checked(json!({"name": ["f"], "url": ["http://h"], "key": ["-"], "cert_check": false})).unwrap();
        insta::assert_snapshot!(warnings.join("\n"), @r#"
        connection "f" is read unencrypted, so that what comes may be changed on the way: use https in "url"
        connection "f": the server's certificate is not checked ("cert_check" is false)
        "#);
    }

    #[test]
    fn every_wrong_list_is_explained() {
        let configs = [
            json!({"name": ["a", "b"], "url": ["https://a"], "key": ["k", "k"]}),
            json!({"name": ["a", "b"], "url": ["https://a", "https://b"], "key": ["k"]}),
            json!({"name": ["a", "a"], "url": ["https://a", "https://b"], "key": ["k", "k"]}),
            json!({"name": ["a", "b", "c"], "url": ["https://a", "https://b", "https://c"], "key": ["k", "k", "k"], "purpose": ["ImportOnly", null]}),
            json!({"name": ["a"], "url": ["misp.example.org"], "key": ["k"]}),
            json!({"name": ["a"], "url": ["ftp://misp.example.org"], "key": ["k"]}),
            json!({"name": ["a"], "url": ["https://user:canary@misp.example.org"], "key": ["k"]}),
            json!({"name": ["a"], "url": ["file:feed"], "key": ["-"]}),
            json!({"name": ["a"], "url": ["https://user:canary@feed.example.org"], "key": ["-"]}),
            json!({"name": ["a"], "url": ["https://feed.example.org/manifest.json?token=canary"], "key": ["-"]}),
            json!({"name": ["a"], "url": ["https://feed.example.org"], "key": ["-"], "purpose": ["ImportAndExport"]}),
            json!({"name": ["a", "b"], "url": ["https://feed.example.org", "https://b"], "key": ["-", "k"], "purpose": ["ExportOnly", null]}),
            json!({"name": ["a"], "url": ["https://misp.example.org"], "key": ["k"], "purpose": ["both"]}),
            json!({"name": [null], "url": ["https://misp.example.org"], "key": ["k"]}),
            json!({}),
        ];
        let messages: Vec<_> = configs.into_iter().map(|config| checked(config).unwrap_err()).collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        configuration items "name" and "url" have 2 and 1 elements: they need the same number, one for each connection
        configuration items "name" and "key" have 2 and 1 elements: they need the same number, one for each connection
        configuration item "name": elements 1 and 2 are both "a": give each connection a name of its own
        configuration items "name" and "purpose" have 3 and 2 elements: give "purpose" none, one for all connections, or one for each
        configuration item "url": element 1 (connection "a") has no scheme: write it as https://host or https://host/path
        configuration item "url": element 1 (connection "a") has the scheme ftp: write it as https://host or https://host/path
        configuration item "url": element 1 (connection "a") carries a user or password: write it as https://host or https://host/path
        configuration item "url": element 1 (connection "a") names no absolute folder: write file:/// and the absolute path of the feed's folder
        configuration item "url": element 1 (connection "a") carries a user or password: write it as https://host or https://host/path
        configuration item "url": element 1 (connection "a") carries a query or fragment: write it as https://host or https://host/path
        configuration item "purpose": connection "a" is a feed over http, which is read only: make it ImportOnly, and export into the file:/// folder that the web server shows
        configuration item "purpose": connection "a" is a feed over http, which is read only: make it ImportOnly, and export into the file:/// folder that the web server shows
        configuration item "purpose" (element 1) is a text: one of ImportOnly, ExportOnly, ImportAndExport is accepted
        configuration item "name": element 1 is empty: give every connection a name
        configuration item "name" is not set: A name of your own for each MISP connection, such as `misp-corp`; it stands in reports and alerts.
        "#);
    }
}
