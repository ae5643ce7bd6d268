//! Through which proxy a server is reached. The connection's own choice comes first, then Cortex's,
//! then the environment's; `NO_PROXY` holds for the last two. A client speaks to one server, so
//! this is decided once.

use std::fmt;

use anyhow::{Context, Result, anyhow, ensure};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Proxy;
use reqwest::blocking::ClientBuilder;
use serde_json::{Map, Value};
use url::Url;

use super::Endpoint;
use super::access::ProxyChoice;
use super::context::non_blank_text;
use crate::secret::Secret;

/// What a proxy may be, for messages.
const REMEDY: &str = "write it as http://host:port, or with https, socks5 or socks5h";

/// The proxies that hold for every connection without a choice of its own.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// For `http` and for `https`.
    general: Vec<(&'static str, Secret, ProxySource)>,
    /// Hosts that are reached straight, as `NO_PROXY` lists them.
    straight: String,
}

/// Where a proxy was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxySource {
    Connection,
    /// The item of Cortex's configuration.
    Cortex(&'static str),
    /// The variable.
    Environment(&'static str),
}

impl ProxySource {
    /// Whose it is, in a word or two.
    fn describe_owner(self) -> String {
        match self {
            Self::Connection => "of the connection".to_owned(),
            Self::Cortex(_) => "of Cortex".to_owned(),
            Self::Environment(name) => format!("of {name}"),
        }
    }
}

impl fmt::Display for ProxySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("\"proxy\" of the connection"),
            Self::Cortex(item) => write!(f, "configuration item \"{item}\""),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl ProxyConfig {
    /// Those of Cortex, `config.proxy.http` and `config.proxy.https`, which it makes of the items
    /// `proxy_http` and `proxy_https` (its `JobRunnerSrv.scala`); without them those of the
    /// environment, whose variables may be written in either case.
    pub fn new(
        config: &Map<String, Value>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let of_cortex = |scheme, item| {
            let whole = config
                .get("proxy")
                .and_then(|proxy| non_blank_text(proxy.get(scheme)));
            Some((
                scheme,
                Secret::new(&whole.or_else(|| non_blank_text(config.get(item)))?),
                ProxySource::Cortex(item),
            ))
        };

        let variable = |name: &str| {
            let given = [name.to_ascii_lowercase(), name.to_owned()]
                .into_iter()
                .filter_map(|name| environment(&name));
            given.into_iter().find(|text| !text.trim().is_empty())
        };

        let of_environment = |scheme, name| {
            Some((
                scheme,
                Secret::new(&variable(name)?),
                ProxySource::Environment(name),
            ))
        };

        let general = [
            of_cortex("http", "proxy_http"),
            of_cortex("https", "proxy_https"),
            of_environment("http", "HTTP_PROXY"),
            of_environment("https", "HTTPS_PROXY"),
            of_environment("http", "ALL_PROXY"),
            of_environment("https", "ALL_PROXY"),
        ];

        Self {
            general: general.into_iter().flatten().collect(),
            straight: variable("NO_PROXY").unwrap_or_default(),
        }
    }

    /// The way to a server.
    ///
    /// # Errors
    /// A proxy that is no URL, or none of a kind that we can speak to; named by where it was given.
    pub fn route(&self, origin: &Endpoint<'_>) -> Result<Option<ProxyRoute>> {
        let server = origin.url;
        match &origin.access.proxy {
            Some(ProxyChoice::Direct) => return Ok(None),
            Some(ProxyChoice::Through(url)) => {
                return ProxyRoute::new(url, ProxySource::Connection, server).map(Some);
            }
            None => {}
        }

        let Some((_, url, given)) = self
            .general
            .iter()
            .find(|(scheme, ..)| *scheme == server.scheme())
        else {
            return Ok(None);
        };

        if self.is_bypassed(server) {
            Ok(None)
        } else {
            ProxyRoute::new(url, *given, server).map(Some)
        }
    }

    /// True if `NO_PROXY` names a server: by a suffix of its name, its address, or its network.
    fn is_bypassed(&self, server: &Url) -> bool {
        let port = server
            .port_or_known_default()
            .unwrap_or_default()
            .to_string();

        // Others write `*.example.org` and `host:port` as well.
        let host = |entry: &str| {
            let entry = entry
                .strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(entry);
            match entry
                .rsplit_once(':')
                .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
            {
                Some((host, given)) => {
                    (given == port).then(|| host.trim_matches(['[', ']']).to_owned())
                }
                None => Some(entry.trim_matches(['[', ']']).to_owned()),
            }
        };

        let entries = self
            .straight
            .split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty());
        let entries: Vec<_> = entries.filter_map(host).collect();
        if entries.iter().any(|entry| entry == "*") {
            return true;
        }
        // Any proxy will do: the question is whether it would be gone around.
        let matcher = Matcher::builder()
            .all("http://proxy.invalid")
            .no(entries.join(","))
            .build();

        server
            .as_str()
            .parse()
            .is_ok_and(|server| matcher.intercept(&server).is_none())
    }
}

/// The proxy on the way to a server.
#[derive(Clone, Debug)]
pub struct ProxyRoute {
    /// Its URL, which may carry a user and a password.
    url: Secret,
    /// The same without them.
    pub shown: String,
    given: ProxySource,
    /// Whether it is asked for a tunnel (`CONNECT`): it cannot speak in the server's stead then.
    pub is_tunnel: bool,
}

impl ProxyRoute {
    fn new(text: &Secret, given: ProxySource, server: &Url) -> Result<Self> {
        let text = text.expose();
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };

        let wrong = |problem: &str| anyhow!("{given} {problem}: {REMEDY}");
        let mut url =
            Url::parse(&text).map_err(|problem| wrong(&format!("is no URL ({problem})")))?;
        let scheme = url.scheme().to_owned();
        ensure!(
            ["http", "https", "socks5", "socks5h"].contains(&scheme.as_str()),
            wrong(&format!("has the scheme {scheme}"))
        );
        ensure!(
            url.host_str().is_some_and(|host| !host.is_empty()),
            wrong("names no host")
        );
        ensure!(
            ["", "/"].contains(&url.path()) && url.query().is_none() && url.fragment().is_none(),
            "{given} goes on behind the host: {REMEDY}, and a /, ? or # in a password as %2F, %3F \
             or %23"
        );

        let full = Secret::new(url.as_str());
        // What the client cannot use it would silently leave out, and go straight.
        let matcher = Matcher::builder().all(full.expose()).build();
        let is_used = server
            .as_str()
            .parse()
            .is_ok_and(|server| matcher.intercept(&server).is_some());
        ensure!(is_used, wrong("cannot be used"));
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .map_err(|()| wrong("names no host"))?;
        let shown = url.as_str().trim_end_matches('/').to_owned();
        let is_tunnel = server.scheme() == "https" || scheme.starts_with("socks");

        Ok(Self {
            url: full,
            shown,
            given,
            is_tunnel,
        })
    }

    /// True if the proxy itself is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.shown.starts_with("https:")
    }

    /// The proxy and whose it is, for messages.
    pub fn describe(&self) -> String {
        format!("the proxy {} ({})", self.shown, self.given.describe_owner())
    }

    /// The same on its own: `http://proxy:3128 (proxy of Cortex)`.
    pub fn describe_standalone(&self) -> String {
        format!("{} (proxy {})", self.shown, self.given.describe_owner())
    }

    /// Where it was given, for messages.
    pub fn describe_source(&self) -> String {
        self.given.to_string()
    }

    /// What lets a server be reached without it.
    pub fn bypass_hint(&self) -> &'static str {
        match self.given {
            ProxySource::Connection => "give the connection another \"proxy\"",
            ProxySource::Cortex(_) | ProxySource::Environment(_) => {
                "name the server's host in NO_PROXY to go around it"
            }
        }
    }

    /// The URL with user and password.
    pub fn full_url(&self) -> Option<Url> {
        Url::parse(self.url.expose()).ok()
    }

    /// What is sent to the proxy as `Proxy-Authorization`, if it has a user.
    pub fn authorization(&self) -> Option<Secret> {
        let matcher = Matcher::builder().all(self.url.expose()).build();
        let to_anywhere = "http://host.invalid/".parse().ok()?;
        let intercept = matcher.intercept(&to_anywhere)?;
        intercept.basic_auth()?.to_str().ok().map(Secret::new)
    }

    /// True if we tell it who we are.
    pub fn has_user(&self) -> bool {
        self.full_url()
            .is_some_and(|url| !url.username().is_empty() || url.password().is_some())
    }
}

/// Has the client go this way and no other.
///
/// # Errors
/// A proxy that the client refuses.
pub fn apply_route(
    builder: ClientBuilder,
    way: Option<&ProxyRoute>,
) -> Result<ClientBuilder> {
    let builder = builder.no_proxy();
    let Some(way) = way else { return Ok(builder) };
    let proxy = Proxy::all(way.url.expose())
        .ok()
        .with_context(|| format!("{} is no URL: {REMEDY}", way.given))?;
    Ok(builder.proxy(proxy))
}
