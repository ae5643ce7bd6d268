//! What goes wrong between us and a server's certificate, in words that say what to do.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::TlsState;
use super::certificate::to_i64;
use super::handshake::PeerCertificate;
use crate::text::join_first;
use crate::time::format_date_time;

/// How many of a certificate's names are shown.
const NAMES: usize = 5;

/// What went wrong, and what to do about it.
pub fn describe_tls_error(error: &Error, trust: &TlsState) -> String {
    match error {
        Error::InvalidCertificate(problem) => describe_certificate_error(problem, trust),
        Error::AlertReceived(alert) => describe_alert(*alert, trust),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!(
                "the port speaks plain http: write http:// in \"{}\", or correct the port",
                trust.url_item()
            )
        }
        Error::PeerIncompatible(_) => {
            format!(
                "the server speaks no TLS that is still safe: it needs TLS 1.2 or 1.3 with modern \
                 ciphers ({error})"
            )
        }
        other => format!("no TLS connection could be made ({other})"),
    }
}

impl TlsState {
    /// The configuration item that has the URL.
    fn url_item(&self) -> &'static str {
        if self.takes_certificates {
            "url"
        } else {
            "thehive_url"
        }
    }

    /// Where a certificate to be trusted is given.
    fn trust_item(&self) -> &'static str {
        if self.takes_certificates {
            "\"cert_path\", or in Cortex's \"cacerts\""
        } else {
            "Cortex's \"cacerts\""
        }
    }
}

fn describe_certificate_error(problem: &CertificateError, trust: &TlsState) -> String {
    use CertificateError as Problem;

    // What could not be parsed was not kept.
    let Some(shown) = trust.seen.last() else {
        return format!("the server's certificate cannot be read ({problem:?})");
    };

    match problem {
        Problem::UnknownIssuer => describe_untrusted(&shown, trust),
        Problem::ExpiredContext { not_after, .. } => {
            describe_expired(&shown, to_i64(not_after.as_secs()))
        }
        Problem::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is valid only from {} on: that is still to come, or this \
             machine's clock is wrong",
            format_date_time(to_i64(not_before.as_secs()))
        ),
        Problem::NotValidForNameContext { expected, .. } => {
            describe_wrong_name(&shown, &expected.to_str(), trust)
        }
        Problem::InvalidPurposeContext { .. } | Problem::InvalidPurpose => {
            "the server's certificate was not made for servers: its extended key usage needs \
             serverAuth"
                .to_owned()
        }
        // The verifier has no word of its own for this one (its webpki's `CaUsedAsEndEntity`).
        Problem::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            describe_untrusted(&shown, trust)
        }
        Problem::BadSignature
        | Problem::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "the server's certificate was signed by another authority of the same name ({}): if \
             that was made anew, give \
             its new certificate in {}",
            shown.authority,
            trust.trust_item()
        ),
        other => format!("the server's certificate is not accepted ({other:?})"),
    }
}

fn describe_untrusted(shown: &PeerCertificate, trust: &TlsState) -> String {
    let place = trust.trust_item();

    if shown.is_self_signed {
        return format!(
            "the server's certificate is self-signed ({}): if it is the right one, it suffices to \
             give this certificate in \
             {place}",
            shown.certificate.subject
        );
    }

    format!(
        "the server's certificate comes from an authority that is not trusted here ({}): give \
         that authority's \
         certificate in {place}",
        shown.authority
    )
}

fn describe_expired(shown: &PeerCertificate, since: i64) -> String {
    let whose = if shown.certificate.not_after == since {
        "the server's certificate"
    } else {
        "a certificate of the chain that the server sends"
    };

    format!(
        "{whose} expired on {}: it must be renewed there, or this machine's clock is wrong",
        format_date_time(since)
    )
}

fn describe_wrong_name(shown: &PeerCertificate, wanted: &str, trust: &TlsState) -> String {
    let names = &shown.certificate.names;
    if names.is_empty() {
        return format!(
            "the server's certificate is for no host name at all: it needs {wanted} as a subject \
             alternative name"
        );
    }

    format!(
        "the server's certificate is for another host name: it is for {}, not for {wanted}: \
         correct the host in \"{}\", or the certificate",
        join_first(names, NAMES),
        trust.url_item()
    )
}

/// A server that ends the handshake.
fn describe_alert(alert: AlertDescription, trust: &TlsState) -> String {
    use AlertDescription as Alert;

    // Servers give this refusal many names, so it is enough that ours was asked for and is missing.
    if !trust.has_own
        && (trust.seen.is_client_cert_requested() || alert == Alert::CertificateRequired)
    {
        return describe_missing_certificate(trust.takes_certificates).to_owned();
    }

    let ours = match alert {
        Alert::UnknownCA => Some("it does not know the authority that signed it"),
        Alert::CertificateExpired => Some("it has expired, or is not valid yet"),
        Alert::CertificateRevoked => Some("it was revoked"),
        Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied
        | Alert::DecryptError
        | Alert::HandshakeFailure
        | Alert::CertificateRequired => {
            Some("it must be one for clients, by an authority that this server trusts")
        }
        _ => None,
    };

    match (ours, alert) {
        // Only then it can be about our certificate.
        (Some(why), _) if trust.has_own && trust.seen.is_client_cert_requested() => {
            format!(
                "the server refuses our client certificate (\"client_cert_path\"): {why} \
                 ({alert:?})"
            )
        }
        (_, Alert::UnrecognisedName) => format!(
            "the server has no site of that host name: check \"{}\"",
            trust.url_item()
        ),
        (_, Alert::ProtocolVersion | Alert::InsufficientSecurity | Alert::HandshakeFailure) => {
            format!(
                "the server speaks no TLS that is still safe: it needs TLS 1.2 or 1.3 with modern \
                 ciphers ({alert:?})"
            )
        }
        (_, other) => format!("the server ended the TLS handshake ({other:?})"),
    }
}

/// What is said of a server that wants a certificate of ours.
pub fn describe_missing_certificate(takes_certificates: bool) -> &'static str {
    if takes_certificates {
        "the server demands a client certificate: give it, with its private key, in \
         \"client_cert_path\""
    } else {
        "the server demands a client certificate, which can be given for MISP only: let it accept \
         API keys alone"
    }
}

/// What a refusal is about that comes as a web page, from the server that stands before the
/// application.
pub fn recognise_page(text: &str) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 6] = [
        // nginx, Apache, Go, Tomcat.
        ("plain HTTP request was sent to HTTPS port", IS_TLS),
        ("speaking plain HTTP to an SSL-enabled server port", IS_TLS),
        ("sent an HTTP request to an HTTPS server", IS_TLS),
        ("combination of host and port requires TLS", IS_TLS),
        // nginx.
        (
            "No required SSL certificate was sent",
            "the server demands a client certificate: for MISP, give it in \"client_cert_path\"",
        ),
        (
            "The SSL certificate error",
            "the server refuses our client certificate: it must be one by an authority that this \
             server trusts",
        ),
    ];

    SIGNS
        .iter()
        .find(|(sign, _)| text.contains(sign))
        .map(|(_, words)| *words)
}

/// What is said of a port that speaks TLS where plain http was expected.
const IS_TLS: &str = "the port speaks TLS: write https:// in the URL, or correct the port";
