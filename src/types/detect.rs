//! What an observable is, from how it is written: the MISP type for an observable type and a value.
//! Tags and the administrator's lines are looked at elsewhere, before.

use std::borrow::Cow;
use std::net::IpAddr;

use super::capabilities::MispCapabilities;
use super::misp_types::{self, MispType, ValueFormat};
use super::normalise::normalise_fully;
use super::observable_types::{self, TypeRule};
use super::patterns;
use super::refang;
use super::validate;

/// A MISP type, and what the analyst should know about the choice.
pub(super) struct DetectedType {
    pub(super) kind: &'static str,
    pub(super) note: Option<String>,
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

/// The MISP type for an observable without a word from anybody.
pub(super) fn guess(data_type: &str, data: &str) -> DetectedType {
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
    match misp_types::find_row(data_type)
        .or_else(|| misp_types::find_row(&observable_types::fold_name(data_type)))
    {
        Some(row) => without_note(row.kind),
        None => with_note(
            "other",
            format!("MISP has no type for observables of type {data_type}: sent as other"),
        ),
    }
}

fn guess_address(data: &str) -> Option<&'static str> {
    let bare = refang::dots(data.trim());
    let ip = bare.split('/').next().unwrap_or_default();
    if ip.parse::<IpAddr>().is_ok() {
        return Some("ip-dst");
    }
    (bare.contains([':', '|']) && is_valid_as(misp_types::find_row("ip-dst|port")?, &bare))
        .then_some("ip-dst|port")
}

fn is_valid_as(row: &MispType, value: &str) -> bool {
    validate::is_valid(
        row,
        &normalise_fully(row.form, value),
        &MispCapabilities::newest(),
    )
}

fn guess_name(kind: &'static str, data: &str) -> DetectedType {
    let bare = refang::dots(data.trim());
    if bare.contains('/') {
        return match guess_address(data) {
            Some(found) => with_note(found, format!("is no {kind}: sent as {found}")),
            None => with_note("url", format!("is no {kind}: sent as url")),
        };
    }

    if looks_like_address(&bare)
        && let Some(found) = guess_address(&bare)
    {
        return with_note(found, format!("is no {kind}: sent as {found}"));
    }
    if ends_in_onion(&bare)
        && misp_types::find_row("onion-address").is_some_and(|row| is_valid_as(row, &bare))
    {
        return without_note("onion-address");
    }
    if bare.contains(':')
        && misp_types::find_row("hostname|port").is_some_and(|row| is_valid_as(row, &bare))
    {
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
        || bare
            .bytes()
            .next_back()
            .is_some_and(|byte| byte.is_ascii_digit())
}

fn ends_in_onion(bare: &str) -> bool {
    let tail = bare.len().checked_sub(6).and_then(|at| bare.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(".onion"))
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
    let is_name = !bare.contains(['/', '?', '#', ':', '@'])
        && misp_types::find_row("domain").is_some_and(|row| is_valid_as(row, &bare));

    if is_name {
        with_note("domain", "has no scheme and no path: sent as domain")
    } else {
        without_note("url")
    }
}

fn guess_hash(data: &str) -> DetectedType {
    let bare = data.trim();
    if bare.contains(':') {
        return without_note(hash_with_colons(bare).unwrap_or(NO_HASH)).with_hash_note(data);
    }

    let kind = match bare.len() {
        _ if !bare.get(1..).is_some_and(patterns::is_hex) => NO_HASH,
        32 => "md5",
        40 => "sha1",
        56 => "sha224",
        62 => "jarm-fingerprint",
        64 => "sha256",
        70 => "tlsh",
        72 if bare.starts_with(['T', 't']) => "tlsh",
        96 => "sha384",
        128 => "sha512",
        _ => NO_HASH,
    };

    let kind = if kind == "tlsh" || patterns::is_hex(bare) {
        kind
    } else {
        NO_HASH
    };

    without_note(kind).with_hash_note(data)
}

/// What a hash goes as that has no known form.
const NO_HASH: &str = "other";

impl DetectedType {
    fn with_hash_note(self, data: &str) -> Self {
        if self.kind != NO_HASH {
            return self;
        }
        let length = data.trim().len();
        with_note(
            NO_HASH,
            format!("no hash that MISP knows has this form ({length} characters): sent as other"),
        )
    }
}

/// Hashes written with colons: fuzzy ones, and fingerprints of certificates and SSH keys.
fn hash_with_colons(bare: &str) -> Option<&'static str> {
    if bare.starts_with("SHA256:") || bare.starts_with("MD5:") {
        return patterns::is_ssh_fingerprint(bare).then_some("ssh-fingerprint");
    }
    if patterns::is_ssdeep(bare) {
        return Some("ssdeep");
    }

    [
        (16, "x509-fingerprint-md5"),
        (20, "x509-fingerprint-sha1"),
        (32, "x509-fingerprint-sha256"),
    ]
    .into_iter()
    .find_map(|(bytes, kind)| patterns::is_mac(bare, bytes).then_some(kind))
}

fn guess_fingerprint(data: &str) -> DetectedType {
    let digits = normalise_fully(ValueFormat::Certificate(0), data);
    let kind = match digits.len() {
        _ if !patterns::is_hex(&digits) => NO_HASH,
        32 => "x509-fingerprint-md5",
        40 => "x509-fingerprint-sha1",
        64 => "x509-fingerprint-sha256",
        _ => NO_HASH,
    };

    without_note(kind).with_hash_note(data)
}

/// What nobody gave a type but can only be one thing.
fn guess_untyped(data: &str) -> &'static str {
    let bare = data.trim();
    if bare.len() > 40 {
        return "other";
    }
    let id = uppercase_id(bare);
    if patterns::is_cve(&id) {
        return "vulnerability";
    }

    if id.strip_prefix("CWE-").is_some_and(patterns::is_digits) {
        return "weakness";
    }
    if bare.len() == 17 && bare.contains([':', '-']) && patterns::is_mac(&bare.replace('-', ":"), 6)
    {
        return "mac-address";
    }

    "other"
}

fn uppercase_id(bare: &str) -> Cow<'_, str> {
    if bare.starts_with(['c', 'C']) {
        Cow::Owned(bare.to_ascii_uppercase())
    } else {
        Cow::Borrowed(bare)
    }
}
