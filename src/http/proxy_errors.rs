//! What a proxy on the way does wrong, or refuses, in words that say what to do. A proxy is named
//! without its password.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use url::Url;

use super::context::HttpContext;
use super::error::{HttpError, HttpErrorKind, join_causes};
use super::proxy::ProxyRoute;
use crate::secret::truncate_text;

/// What is read of a proxy's refusal, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// How much of a proxy's own words is repeated, in characters.
const WORDS: usize = 200;
/// How many of its ways to be told who asks are repeated.
const MOST_WAYS: usize = 5;

/// What the HTTP client says of a connection to the proxy itself that did not come about.
pub const PROXY_ITSELF: &str = "failed to create underlying connection";

/// A proxy's refusal of a tunnel.
#[derive(Debug, Default, PartialEq, Eq)]
struct ProxyRefusal {
    status: u16,
    /// Its words beside the number.
    reason: String,
    /// The ways in which it lets itself be told who asks (`Proxy-Authenticate`).
    ways: Vec<String>,
}

/// Why no connection came about, if it is the proxy's doing; none if it is the server's, and the
/// proxy only in between.
pub fn describe_connect_error(
    error: &reqwest::Error,
    way: &ProxyRoute,
    server: &Url,
    network: &HttpContext,
) -> Option<String> {
    let (why, name) = (join_causes(error), way.describe());
    if !error.is_connect() {
        return None;
    }

    if why.contains("proxy authorization required") {
        return Some(describe_auth_refusal(
            way,
            &probe_tunnel(way, server, network).unwrap_or_default().ways,
        ));
    }

    if why.contains("tunnel error: unsuccessful") {
        let refusal = probe_tunnel(way, server, network).unwrap_or_default();
        return Some(describe_refusal(&refusal, way, server, network));
    }
    let is_its_own =
        !way.is_tunnel || why.contains("tunnel error: ") || why.contains("SOCKS error: ");
    if error.is_timeout() {
        return Some(format!(
            "no connection in time ({why}) through {name}, given in {}",
            way.describe_source()
        ));
    }

    if why.contains("error resolving for socks proxy") {
        let place = way.describe_source();
        return Some(format!(
            "the host name is not known here: write socks5h in {place}, and the proxy looks it up \
             ({why})"
        ));
    }

    let fault = describe_fault(&why);
    is_its_own.then(|| format!("{name} {fault}: check {}", way.describe_source()))
}

/// What the HTTP client says when a proxy fails, which has no kinds for that, and what it means;
/// the first that is found counts.
const FAULTS: [(&str, &str); 10] = [
    (
        "SOCKS error: credentials not accepted",
        "does not take the user and password",
    ),
    (
        "SOCKS error: no acceptable auth method",
        "wants a user and a password",
    ),
    ("authentication incorrectly", "wants a user and a password"),
    ("SOCKS error: host unreachable", "cannot reach the server"),
    (
        "unexpected end of file",
        "ended the connection without a word",
    ),
    (
        "SOCKS error: failed to create underlying",
        "cannot be reached",
    ),
    (
        "dns error",
        "cannot be reached: its host name is not known here",
    ),
    (
        "Connection refused",
        "cannot be reached: connection refused",
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
    FAULTS
        .iter()
        .find(|(sign, _)| why.contains(sign))
        .map_or_else(
            || format!("cannot be used: {why}"),
            |(_, meaning)| (*meaning).to_owned(),
        )
}

/// What is said of a proxy whose port speaks TLS where plain http was expected.
pub fn describe_unexpected_tls(way: &ProxyRoute) -> String {
    format!(
        "{} does not speak plain http: write https:// in {}, or correct the port",
        way.describe(),
        way.describe_source()
    )
}

/// Adds to a refusal what a proxy has to do with it. An answer that came through a tunnel is the
/// server's.
pub fn add_proxy_help(
    failure: HttpError,
    way: Option<&ProxyRoute>,
    is_json: bool,
) -> HttpError {
    let (Some(way), Some(status)) = (way.filter(|way| !way.is_tunnel), failure.status()) else {
        return failure;
    };
    match status {
        407 => HttpError {
            cause: HttpErrorKind::Unreachable(describe_auth_refusal(way, &[])),
            ..failure
        },
        403 | 500..=599 if !is_json => {
            let help = format!(
                "the answer came through {} and may be its own: {}",
                way.describe(),
                way.bypass_hint()
            );

            failure.with_help(help)
        }
        _ => failure,
    }
}

fn describe_auth_refusal(way: &ProxyRoute, ways: &[String]) -> String {
    let (name, place) = (way.describe(), way.describe_source());
    let takes_basic = ways.is_empty() || ways.iter().any(|way| way.eq_ignore_ascii_case("basic"));

    if !takes_basic {
        return format!(
            "{name} takes users by {} only, which is not spoken here: have it take Basic, or let \
             this machine through \
             without a password",
            ways.join(", ")
        );
    }

    match way.has_user() {
        true => format!(
            "{name} does not take the user and password that are given in {place}: correct them \
             there (signs such as \
             @ : / % escaped, as in %40)"
        ),
        false => format!(
            "{name} wants a user and a password: give them in {place}, before the host: {}",
            example_url(way)
        ),
    }
}

/// `http://user:password@proxy:3128`
fn example_url(way: &ProxyRoute) -> String {
    way.shown.replacen("://", "://user:password@", 1)
}

fn describe_refusal(
    refusal: &ProxyRefusal,
    way: &ProxyRoute,
    server: &Url,
    network: &HttpContext,
) -> String {
    let (name, target) = (way.describe(), host_and_port(server));
    let said = |refusal: &ProxyRefusal| {
        // Cleaned before it is cut: half a password is not recognised any more.
        let reason = truncate_text(&network.clean_words(&refusal.reason), WORDS);
        format!("{} {reason}", refusal.status).trim_end().to_owned()
    };

    match refusal.status {
        0 => format!(
            "{name} makes no connection to {target}: ask whoever runs it, or {}",
            way.bypass_hint()
        ),
        200..=299 => {
            format!("{name} made no connection to {target} at first, and does now: try again")
        }
        407 => describe_auth_refusal(way, &refusal.ways),
        403 => format!(
            "{name} does not let us through to {target} ({}): allow it there, or {}",
            said(refusal),
            way.bypass_hint()
        ),
        502..=504 => format!(
            "{name} cannot reach {target} ({}): check the URL, and whether that server can be \
             reached from the proxy, or {}",
            said(refusal),
            way.bypass_hint()
        ),
        _ => format!(
            "{name} makes no connection to {target} ({}): check that it is a proxy, in {}",
            said(refusal),
            way.describe_source()
        ),
    }
}

/// The server as a proxy is told it: `misp.example.org:443`.
fn host_and_port(server: &Url) -> String {
    format!(
        "{}:{}",
        server.host_str().unwrap_or_default(),
        server.port_or_known_default().unwrap_or_default()
    )
}

/// Asks for the tunnel once more, since the client does not say how it was refused; only where that
/// needs no TLS.
fn probe_tunnel(way: &ProxyRoute, server: &Url, network: &HttpContext) -> Option<ProxyRefusal> {
    let proxy = way.full_url().filter(|url| url.scheme() == "http")?;
    let left = network
        .clock
        .time_left()
        .unwrap_or(network.timeouts.connect)
        .min(network.timeouts.connect);

    let patience = left.max(Duration::from_millis(1));
    let host = proxy.host_str()?.trim_matches(['[', ']']);
    let address = (host, proxy.port_or_known_default()?)
        .to_socket_addrs()
        .ok()?
        .next()?;
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.set_write_timeout(Some(patience)))
        .ok()?;
    let target = host_and_port(server);
    let who = way.authorization();
    let who = who.map_or_else(String::new, |who| {
        format!("Proxy-Authorization: {}\r\n", who.expose())
    });
    write!(
        stream,
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{who}\r\n"
    )
    .ok()?;

    let (started, mut head, mut buffer) = (Instant::now(), Vec::new(), [0; 1 << 10]);
    while started.elapsed() < patience
        && head.len() < LARGEST_HEAD
        && !head.windows(4).any(|end| end == b"\r\n\r\n")
    {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => head.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }

    ProxyRefusal::parse(&String::from_utf8_lossy(&head))
}

impl ProxyRefusal {
    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.lines();
        let mut first = lines.next()?.splitn(3, ' ');
        let status = first
            .nth(1)
            .and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok())?
            .as_u16();
        let reason = first.next().unwrap_or_default().trim().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let ways = headers.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authenticate"));
        let ways = ways
            .filter_map(|(_, value)| value.split_whitespace().next())
            .map(ToOwned::to_owned)
            .take(MOST_WAYS)
            .collect();

        Some(Self {
            status,
            reason,
            ways,
        })
    }
}
