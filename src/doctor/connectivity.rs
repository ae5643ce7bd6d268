//! How a server is reached: proxy, name, connection, certificate, clock. The same for a MISP and
//! for TheHive.

use std::net::ToSocketAddrs;

use url::{Host, Url};

use super::{Findings, Stop, stop_at};
use crate::http::{Client, HttpError, HttpErrorKind, RefusalKind, ServerCertificate};
use crate::text::join_first;
use crate::time::{self, Clock, DAY};

/// What is looked at before the first question.
const PROXY: &str = "proxy";
const NAME: &str = "name";
/// The first question itself.
pub const CONNECTION: &str = "connection";
/// The server's clock against ours.
pub const CLOCK: &str = "clock";
/// Less time than this before something expires is worth a warning, in seconds.
const SOON: i64 = 21 * DAY;
/// Clocks may be so far apart, in seconds.
const SKEW: i64 = 300;
/// Addresses named.
const ADDRESSES: usize = 4;

/// The way to a server.
pub struct Way<'a> {
    pub url: &'a Url,
    pub client: &'a Client,
    pub clock: Clock,
    /// What is to be said of it.
    pub remarks: Vec<String>,
}

impl Way<'_> {
    /// The proxy, if there is one, and the addresses of the host that is spoken to first.
    pub fn check_proxy_and_name(&self, findings: &mut Findings) -> Result<(), Stop> {
        let Some(proxy) = self.client.describe_proxy() else {
            findings.ok(PROXY, "none: straight to the server");
            return check_dns(self.url, findings);
        };
        findings.ok(PROXY, proxy.clone());
        // The proxy's URL is the first word; what follows says where it was configured.
        match Url::parse(proxy.split(' ').next().unwrap_or_default()) {
            Ok(proxy) => check_dns(&proxy, findings),
            Err(_) => Ok(()),
        }
    }

    /// Takes the answer to the first question. If there is none, the connection failed; if it is
    /// not that of the server that was looked for, `server` did, and if the server does not take
    /// the key, `key`.
    pub fn take_first_answer<T>(
        &self,
        answer: anyhow::Result<T>,
        server: &'static str,
        key: &'static str,
        findings: &mut Findings,
    ) -> Result<T, Stop> {
        let check = match &answer {
            Ok(_) => "",
            Err(error) => match HttpError::of(error).map(|failure| &failure.cause) {
                Some(
                    HttpErrorKind::Unreachable(_)
                    | HttpErrorKind::Broken(_)
                    | HttpErrorKind::Deadline,
                ) => CONNECTION,
                // A web page with 403 is a website's or a proxy's, not an API's word on a key.
                Some(HttpErrorKind::Refused {
                    status: 401 | 403,
                    kind,
                    ..
                }) if *kind != RefusalKind::Page => key,
                _ => server,
            },
        };
        // Whatever else is wrong, something answered at the address.
        if check != CONNECTION {
            self.report_connection(findings);
        }

        answer.map_err(stop_at(check))
    }

    /// That the server answered, and the certificate that it showed.
    fn report_connection(&self, findings: &mut Findings) {
        let url = self.url;
        let (words, trouble) = match (url.scheme(), self.client.server_certificate()) {
            ("http", _) => (format!("{url} answers"), None),
            (_, None) => (format!("{url} answers over TLS"), None),
            (_, Some(certificate)) => describe_certificate(url, &certificate, now(&self.clock)),
        };

        let remarks: Vec<_> = trouble.iter().chain(&self.remarks).cloned().collect();
        match remarks.is_empty() {
            true => findings.ok(CONNECTION, words),
            false => findings.warn(CONNECTION, format!("{words}; {}", remarks.join("; "))),
        }
    }
}

fn check_dns(url: &Url, findings: &mut Findings) -> Result<(), Stop> {
    let Some(Host::Domain(host)) = url.host() else {
        let address = url.host_str().unwrap_or_default();
        findings.ok(NAME, format!("{address} is an address"));
        return Ok(());
    };
    let port = url.port_or_known_default().unwrap_or(0);
    let found = (host, port).to_socket_addrs().map_err(|error| Stop {
        check: NAME,
        words: format!(
            "{host} is not known here ({error}): correct the URL, or have the name made known to \
             this machine's (or container's) DNS"
        ),
    })?;

    let mut found: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    found.dedup();
    findings.ok(NAME, format!("{host} is {}", join_first(&found, ADDRESSES)));
    Ok(())
}

/// A certificate in words, and what is wrong with its dates.
fn describe_certificate(
    url: &Url,
    certificate: &ServerCertificate,
    now: i64,
) -> (String, Option<String>) {
    let ServerCertificate {
        subject,
        issuer,
        names,
        not_before: _,
        not_after,
    } = certificate;

    let words = format!(
        "{url} answers over TLS; its certificate is {}, by {}, valid until {}",
        certificate_name(subject, names),
        certificate_name(issuer, &[]),
        time::format_date(*not_after)
    );
    let left = not_after.saturating_sub(now);

    (words, (left < SOON).then(|| describe_remaining_days(left)))
}

/// A certificate without a subject of its own is known by its names.
fn certificate_name(subject: &str, names: &[String]) -> String {
    match (subject.trim(), names) {
        ("", []) => "nameless".to_owned(),
        ("", names) => names
            .iter()
            .take(ADDRESSES)
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
        (subject, _) => subject.to_owned(),
    }
}

/// What is said of something that expires in so many seconds.
fn describe_remaining_days(left: i64) -> String {
    match left {
        ..0 => "that is over".to_owned(),
        _ => format!("that is in {} days, replace it in time", left / DAY),
    }
}

/// When a key expires.
pub fn check_key_expiry(expires: Option<i64>, clock: &Clock, findings: &mut Findings) {
    const CHECK: &str = "key";

    let Some(expires) = expires else { return };
    let words = format!("it expires on {}", time::format_date(expires));
    match expires.saturating_sub(now(clock)) {
        left @ ..SOON => {
            findings.warn(CHECK, format!("{words}: {}", describe_remaining_days(left)))
        }
        _ => findings.ok(CHECK, words),
    }
}

/// The server's clock, in seconds since 1970, against ours; `affects` is what a difference does.
pub fn check_clock(server: Option<i64>, clock: &Clock, affects: &str, findings: &mut Findings) {
    let Some(server) = server else {
        return findings.skip(CLOCK, "the server does not say what time it is");
    };
    let ahead = server.saturating_sub(now(clock));
    let apart = ahead.unsigned_abs();
    if ahead.abs() <= SKEW {
        return findings.ok(CLOCK, "the same as here, to within five minutes");
    }
    let by = match apart {
        0..7_200 => format!("{} minutes", (apart + 30) / 60),
        7_200..172_800 => format!("{} hours", (apart + 1_800) / 3_600),
        172_800.. => format!("{} days", apart / DAY.unsigned_abs()),
    };

    let word = if ahead > 0 { "ahead of" } else { "behind" };
    findings.warn(
        CLOCK,
        format!("the server's is {by} {word} ours: {affects}; set the one that is wrong"),
    );
}

/// The time, in seconds since 1970.
fn now(clock: &Clock) -> i64 {
    // The clock's `now` is the moment at which the run began.
    clock.now.saturating_add(clock.elapsed_seconds() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_with_its_last_day() {
        let url = Url::parse("https://misp.example.org/").unwrap();
        let mut certificate = ServerCertificate {
            subject: String::new(),
            issuer: "CN=Example CA".to_owned(),
            names: vec!["misp.example.org".to_owned()],
            not_before: 0,
            not_after: 100 * DAY,
        };

        let (words, trouble) = describe_certificate(&url, &certificate, 0);

        assert_eq!(
            (words.as_str(), trouble),
            (
                "https://misp.example.org/ answers over TLS; its certificate is misp.example.org, \
                 by CN=Example CA, valid \
                 until 1970-04-11",
                None
            )
        );

        assert_eq!(
            describe_certificate(&url, &certificate, 80 * DAY)
                .1
                .as_deref(),
            Some("that is in 20 days, replace it in time")
        );

        certificate.subject = "CN=misp".to_owned();
        let (words, trouble) = describe_certificate(&url, &certificate, 101 * DAY);
        assert!(
            words.contains("is CN=misp, by") && trouble.as_deref() == Some("that is over"),
            "{words}"
        );
    }
}
