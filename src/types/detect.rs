//! What an observable is, from how it is written: the MISP type for an observable type and a value.
//! Tags and the administrator's lines are looked at elsewhere, before.

use std::net::IpAddr;

use super::forms::certificate;
use super::misp_types::find_row;
use super::observable_types::{self, TypeRule};
use super::patterns::{self, is_hex};
use super::refang;
use super::validate::could_be;

/// A MISP type, and what the analyst should know about the choice.
pub struct DetectedType {
    pub kind: &'static str,
    pub note: Option<String>,
}

const fn without_note(kind: &'static str) -> DetectedType {
    DetectedType { kind, note: None }
}

fn with_note(kind: &'static str, note: impl Into<String>) -> DetectedType {
    DetectedType {
        kind,
        note: Some(note.into()),
    }
}

/// The MISP type for an observable of which no tag and no line of the administrator says one.
pub fn guess(data_type: &str, data: &str) -> DetectedType {
    let Some(line) = observable_types::find(data_type) else {
        return guess_by_name(data_type);
    };
    match line.choice {
        TypeRule::Same(kind) | TypeRule::Sent(kind) => without_note(kind),
        TypeRule::Address => without_note(guess_address(data).unwrap_or("ip-dst")),
        TypeRule::Name(kind) => guess_name(kind, data),
        TypeRule::Web => guess_url(data),
        TypeRule::Hash => guess_hash(data),
        TypeRule::Fingerprint => guess_fingerprint(data),
        TypeRule::Free => without_note(guess_untyped(data)),
    }
}

/// An observable type called like a MISP type is that type.
fn guess_by_name(data_type: &str) -> DetectedType {
    match find_row(data_type).or_else(|| find_row(&observable_types::fold_name(data_type))) {
        Some(row) => without_note(row.kind),
        None => with_note(
            "other",
            format!("MISP has no type for observables of type {data_type}: sent as other"),
        ),
    }
}

fn guess_address(data: &str) -> Option<&'static str> {
    let bare = refang::dots(data.trim());
    // A network is an `ip-dst` as well.
    let ip = bare.split('/').next().unwrap_or_default();
    if ip.parse::<IpAddr>().is_ok() {
        return Some("ip-dst");
    }
    (bare.contains([':', '|']) && could_be("ip-dst|port", &bare)).then_some("ip-dst|port")
}

fn guess_name(kind: &'static str, data: &str) -> DetectedType {
    let bare = refang::dots(data.trim());
    // With a slash it may be a network, or a URL without its scheme.
    let other = match bare.contains('/') {
        true => guess_address(data).or(Some("url")),
        false if looks_like_address(&bare) => guess_address(&bare),
        false => None,
    };
    if let Some(found) = other {
        return with_note(found, format!("is no {kind}: sent as {found}"));
    }
    if ends_in_onion(&bare) && could_be("onion-address", &bare) {
        return without_note("onion-address");
    }
    if bare.contains(':') && could_be("hostname|port", &bare) {
        return without_note("hostname|port");
    }

    if kind == "hostname" && is_bare_hostname(&bare) {
        return with_note(
            "other",
            "a name without a dot is no hostname for MISP: sent as other",
        );
    }

    without_note(kind)
}

fn looks_like_address(bare: &str) -> bool {
    bare.contains(':')
        // No more than a hint: `guess_address` reads it then.
        || bare
            .bytes()
            .next_back()
            .is_some_and(|byte| byte.is_ascii_digit())
}

fn ends_in_onion(bare: &str) -> bool {
    bare.rsplit_once('.')
        .is_some_and(|(_, last)| last.eq_ignore_ascii_case("onion"))
}

fn is_bare_hostname(bare: &str) -> bool {
    !bare.is_empty()
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn guess_url(data: &str) -> DetectedType {
    let bare = refang::url(data.trim());
    if bare.contains("://") {
        return without_note("url");
    }
    if let Some(found) = guess_address(&bare) {
        return with_note(found, format!("has no scheme and no path: sent as {found}"));
    }
    if !bare.contains(['/', '?', '#', ':', '@']) && could_be("domain", &bare) {
        with_note("domain", "has no scheme and no path: sent as domain")
    } else {
        without_note("url")
    }
}

fn guess_hash(data: &str) -> DetectedType {
    let bare = data.trim();
    note_hash(
        match bare.contains(':') {
            true => hash_with_colons(bare),
            false => plain_hash(bare),
        },
        data,
    )
}

/// A hash of no known form goes as `other`.
fn note_hash(kind: Option<&'static str>, data: &str) -> DetectedType {
    kind.map_or_else(
        || {
            let length = data.trim().len();
            with_note(
                "other",
                format!(
                    "no hash that MISP knows has this form ({length} characters): sent as other"
                ),
            )
        },
        without_note,
    )
}

fn plain_hash(bare: &str) -> Option<&'static str> {
    let is_tlsh = || bare.get(1..).is_some_and(is_hex);
    Some(match bare.len() {
        70 if is_tlsh() => "tlsh",
        72 if bare.starts_with(['T', 't']) && is_tlsh() => "tlsh",
        _ if !is_hex(bare) => return None,
        32 => "md5",
        40 => "sha1",
        56 => "sha224",
        62 => "jarm-fingerprint",
        64 => "sha256",
        96 => "sha384",
        128 => "sha512",
        _ => return None,
    })
}

/// Hashes written with colons: fuzzy ones, and fingerprints of certificates and SSH keys.
fn hash_with_colons(bare: &str) -> Option<&'static str> {
    if bare.starts_with("SHA256:") || bare.starts_with("MD5:") {
        return patterns::SSH.matches(bare).then_some("ssh-fingerprint");
    }
    if patterns::is_ssdeep(bare) {
        return Some("ssdeep");
    }
    let bytes = bare.split(':').count();
    fingerprint_of(bytes * 2).filter(|_| patterns::is_mac(bare, bytes))
}

fn guess_fingerprint(data: &str) -> DetectedType {
    let digits = certificate(0).normalise(data);
    note_hash(
        fingerprint_of(digits.len()).filter(|_| is_hex(&digits)),
        data,
    )
}

/// The fingerprint of a certificate that has so many hexadecimal digits.
fn fingerprint_of(digits: usize) -> Option<&'static str> {
    match digits {
        32 => Some("x509-fingerprint-md5"),
        40 => Some("x509-fingerprint-sha1"),
        64 => Some("x509-fingerprint-sha256"),
        _ => None,
    }
}

/// The type of a value that nobody gave one, where it can be nothing else.
fn guess_untyped(data: &str) -> &'static str {
    let bare = data.trim();
    // Nothing that is recognised below is as long.
    if bare.len() > 40 {
        return "other";
    }
    let id = bare.to_ascii_uppercase();
    if patterns::is_cve(&id) {
        return "vulnerability";
    }

    if patterns::is_cwe(&id) {
        return "weakness";
    }
    if bare.len() == 17 && bare.contains([':', '-']) && patterns::is_mac(&bare.replace('-', ":"), 6)
    {
        return "mac-address";
    }

    "other"
}
