//! Through which proxy a server is reached, and what a proxy does wrong, or refuses, in words that
//! say what to do. The connection's own choice comes first, then Cortex's, then the environment's;
//! `NO_PROXY` holds for the last two. A client speaks to one server, so this is decided once. A
//! proxy is named without its password.

use anyhow::{Context, Result, anyhow, ensure};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Proxy;
use reqwest::blocking::ClientBuilder;
use serde_json::{Map, Value};
use url::Url;

use super::Endpoint;
use super::context::{ProxyChoice, non_blank_text};
use super::error::{HttpError, HttpErrorKind, join_causes};
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

/// Where a proxy was given, for messages.
#[derive(Clone, Debug)]
struct ProxySource {
    /// Whose it is, in a word or two.
    owner: String,
    place: String,
    /// What lets a server be reached without it.
    bypass: &'static str,
}

impl ProxySource {
    /// One for all connections, whose servers may be named in `NO_PROXY`.
    fn general(owner: &str, place: String) -> Self {
        Self {
            owner: format!("of {owner}"),
            place,
            bypass: "name the server's host in NO_PROXY to go around it",
        }
    }
}

impl ProxyConfig {
    /// Those of Cortex, `config.proxy.http` and `config.proxy.https`, which it makes of the items
    /// `proxy_http` and `proxy_https` (its `JobRunnerSrv.scala`); without them those of the
    /// environment, whose variables may be written in either case.
    pub fn new(config: &Map<String, Value>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let of_cortex = |scheme: &'static str| {
            let item = format!("proxy_{scheme}");
            let proxy = config.get("proxy").and_then(|proxy| proxy.get(scheme));
            let url = non_blank_text(proxy).or_else(|| non_blank_text(config.get(&item)))?;
            let place = format!("configuration item \"{item}\"");
            Some((scheme, url, ProxySource::general("Cortex", place)))
        };
        let variable = |name: &str| {
            let either_case = [name.to_ascii_lowercase(), name.to_owned()];
            let mut given = either_case.iter().filter_map(|name| environment(name));
            given.find(|text| !text.trim().is_empty())
        };
        let of_environment = |(scheme, name)| {
            let place = format!("environment variable {name}");
            Some((scheme, variable(name)?, ProxySource::general(name, place)))
        };

        // The first of a scheme counts, so that these hold only where Cortex has none.
        let variables = [
            ("http", "HTTP_PROXY"),
            ("https", "HTTPS_PROXY"),
            ("http", "ALL_PROXY"),
            ("https", "ALL_PROXY"),
        ];
        let general = ["http", "https"].into_iter().filter_map(of_cortex);
        let general = general.chain(variables.into_iter().filter_map(of_environment));
        Self {
            general: general
                .map(|(scheme, url, given)| (scheme, Secret::new(&url), given))
                .collect(),
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
                let given = ProxySource {
                    owner: "of the connection".to_owned(),
                    place: "\"proxy\" of the connection".to_owned(),
                    bypass: "give the connection another \"proxy\"",
                };
                return ProxyRoute::new(url, given, server).map(Some);
            }
            None => {}
        }

        let mut general = self.general.iter();
        general
            .find(|(scheme, ..)| *scheme == server.scheme() && !self.is_bypassed(server))
            .map(|(_, url, given)| ProxyRoute::new(url, given.clone(), server))
            .transpose()
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
            // The colons of a bare IPv6 address begin no port.
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
        // People write `host:3128` in these variables, without a scheme.
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };

        let wrong = |problem: &str| anyhow!("{} {problem}: {REMEDY}", given.place);
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
            "{} goes on behind the host: {REMEDY}, and a /, ? or # in a password as %2F, %3F or %23",
            given.place
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
        format!("the proxy {} ({})", self.shown, self.given.owner)
    }

    /// The same on its own: `http://proxy:3128 (proxy of Cortex)`.
    pub fn describe_standalone(&self) -> String {
        format!("{} (proxy {})", self.shown, self.given.owner)
    }

    /// True if we tell it who we are.
    pub fn has_user(&self) -> bool {
        self.url.expose().contains('@')
    }
}

/// Has the client go this way and no other.
///
/// # Errors
/// A proxy that the client refuses.
pub fn apply_route(builder: ClientBuilder, way: Option<&ProxyRoute>) -> Result<ClientBuilder> {
    // Else the client reads the environment by itself, and goes a way that no message names.
    let builder = builder.no_proxy();
    let Some(way) = way else { return Ok(builder) };
    let proxy = Proxy::all(way.url.expose())
        .ok()
        .with_context(|| format!("{} is no URL: {REMEDY}", way.given.place))?;
    Ok(builder.proxy(proxy))
}

/// What the HTTP client says of a connection to the proxy itself that did not come about.
pub const PROXY_ITSELF: &str = "failed to create underlying connection";

/// Why no connection came about, if it is the proxy's doing; none if it is the server's, and the
/// proxy only in between.
pub fn describe_connect_error(
    error: &reqwest::Error,
    way: &ProxyRoute,
    server: &Url,
) -> Option<String> {
    let (why, name, place) = (join_causes(error), way.describe(), &way.given.place);
    // The HTTP client has no kinds for this: these words, and those below, are of hyper-util 0.1.
    let is_tunnels = why.contains("tunnel error: ") || why.contains("SOCKS error: ");

    if !error.is_connect() {
        None
    } else if why.contains("proxy authorization required") {
        Some(describe_auth_refusal(way))
    } else if why.contains("tunnel error: unsuccessful") {
        // The client does not say how it was refused.
        Some(format!(
            "{name} makes no tunnel to {}:{}: allow it there, check that it can reach that host, \
             correct its user and password in {place}, or {}",
            server.host_str().unwrap_or_default(),
            server.port_or_known_default().unwrap_or_default(),
            way.given.bypass
        ))
    } else if error.is_timeout() {
        Some(format!(
            "no connection in time ({why}) through {name}, given in {place}"
        ))
    } else if why.contains("error resolving for socks proxy") {
        Some(format!(
            "the host name is not known here: write socks5h in {place}, and the proxy looks it up \
             ({why})"
        ))
    } else if is_tunnels || !way.is_tunnel {
        Some(format!("{name} {}: check {place}", describe_fault(&why)))
    } else {
        None
    }
}

/// What the HTTP client says when a proxy fails, in small letters, since it has no kinds for that,
/// and what it means; the first that is found counts.
const FAULTS: [(&str, &str); 9] = [
    (
        "socks error: credentials not accepted",
        "does not take the user and password",
    ),
    (
        "socks error: no acceptable auth method",
        "wants a user and a password",
    ),
    ("authentication incorrectly", "wants a user and a password"),
    ("socks error: host unreachable", "cannot reach the server"),
    (
        "unexpected end of file",
        "ended the connection without a word",
    ),
    (
        "socks error: failed to create underlying",
        "cannot be reached",
    ),
    (
        "dns error",
        "cannot be reached: its host name is not known here",
    ),
    (
        "connection refused",
        "cannot be reached: connection refused",
    ),
    (
        "parsing server response",
        "does not answer as a SOCKS proxy does",
    ),
];

fn describe_fault(why: &str) -> String {
    let small = why.to_ascii_lowercase();
    let known = FAULTS.iter().find(|(sign, _)| small.contains(sign));
    known.map_or_else(
        || format!("cannot be used: {why}"),
        |(_, meaning)| (*meaning).to_owned(),
    )
}

/// What is said of a proxy whose port speaks TLS where plain http was expected.
pub fn describe_unexpected_tls(way: &ProxyRoute) -> String {
    format!(
        "{} does not speak plain http: write https:// in {}, or correct the port",
        way.describe(),
        way.given.place
    )
}

/// Adds to a refusal what a proxy has to do with it. An answer that came through a tunnel is the
/// server's.
pub fn add_proxy_help(failure: HttpError, way: Option<&ProxyRoute>, is_json: bool) -> HttpError {
    let (Some(way), Some(status)) = (way.filter(|way| !way.is_tunnel), failure.status()) else {
        return failure;
    };
    match status {
        // The proxy passed nothing on.
        407 => HttpError {
            cause: HttpErrorKind::Unreachable(describe_auth_refusal(way)),
            ..failure
        }
        .mark_unsent(),
        403 | 500..=599 if !is_json => failure.with_help(format!(
            "the answer came through {} and may be its own: {}",
            way.describe(),
            way.given.bypass
        )),
        _ => failure,
    }
}

fn describe_auth_refusal(way: &ProxyRoute) -> String {
    let (name, place) = (way.describe(), &way.given.place);
    if way.has_user() {
        format!(
            "{name} does not take the user and password that are given in {place}: correct them \
             there (signs such as @ : / % escaped, as in %40), or have it take Basic, the only way \
             that is spoken here"
        )
    } else {
        format!(
            "{name} wants a user and a password: give them in {place}, before the host: {}",
            way.shown.replacen("://", "://user:password@", 1)
        )
    }
}
