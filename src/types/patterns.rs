//! Questions about the shape of a text, each as MISP asks it (AttributeValidationTool.php, in place
//! of its regular expressions). Which type asks which question stands in `validate.rs`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The methods that MISP knows: HTTP, WebDAV and its relatives.
pub(super) const METHODS: [&str; 30] = [
    "OPTIONS",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "VERSION-CONTROL",
    "REPORT",
    "CHECKOUT",
    "CHECKIN",
    "UNCHECKOUT",
    "MKWORKSPACE",
    "UPDATE",
    "LABEL",
    "MERGE",
    "BASELINE-CONTROL",
    "MKACTIVITY",
    "ORDERPATCH",
    "ACL",
    "PATCH",
    "SEARCH",
];

/// Ids of vulnerabilities beside CVE that newer MISPs take. `9` stands for a digit, `#` for one or
/// more digits, `*` for a letter or digit, `~` for any number of letters, digits, `_` and `-`.
const ADVISORIES: [&str; 34] = [
    "gcve-#-9999-#",
    "fkie_cve-9999-999#",
    "ghsa-****-****-****",
    "pysec-9999-99",
    "pysec-9999-999",
    "pysec-9999-9999",
    "pysec-9999-99999",
    "gsd-9999-9999",
    "gsd-9999-99999",
    "mal-9999-#",
    "wid-sec-w-9999-9999",
    "ncsc-9999-9999",
    "ssa-999999",
    "rhba-9999:999#",
    "rhea-9999:999#",
    "rhsa-9999:999#",
    "icsma-99-999-99",
    "icsa-99-999-99",
    "va-99-999-99",
    "cisco-sa-*~",
    "sca-9999-999#",
    "nn-9999:9-99",
    "nn-9999_9-99",
    "oxas-adv-9999-9999",
    "msrc_cve-9999-999#",
    "var-999999-9999",
    "jvndb-9999-999999",
    "ts-9999-9999",
    "suse-su-9999:999#-9",
    "opensuse-su-9999:999#-9",
    "cnvd-9999-99999",
    "certfr-9999-avi-9999",
    "certfr-9999-ale-999",
    "cve-9999-999#",
];

pub(super) fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_hex(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn is_lower_hex(value: &str) -> bool {
    is_hex(value) && !value.bytes().any(|byte| byte.is_ascii_uppercase())
}

pub(super) fn is_port(value: &str) -> bool {
    is_digits(value) && value.trim_start_matches('0').parse::<u16>().is_ok()
}

/// Any name with a dot whose last label has two or more letters, digits or `-`. MISP takes
/// `1.2.3.44` for one.
pub(super) fn is_domain(value: &str) -> bool {
    let Some((head, last)) = value.rsplit_once('.') else {
        return false;
    };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !head.is_empty()
        && head
            .bytes()
            .all(|byte| is_part(byte) || byte == b'.' || byte == b'_')
        && last.len() >= 2
        && last.bytes().all(is_part)
}

pub(super) fn is_onion(value: &str) -> bool {
    value.strip_suffix(".onion").is_some_and(|name| {
        (name.len() == 16 || name.len() == 56)
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

/// No blank before the `@`, a dot somewhere after it, one line.
pub(super) fn is_mail(value: &str) -> bool {
    let mut letters = value.chars();
    if letters.next().is_none_or(|first| first == '\n') {
        return false;
    }
    let Some((user, host)) = letters.as_str().split_once('@') else {
        return false;
    };
    !user.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
        && host.contains('.')
        && !host.contains('\n')
}

pub(super) fn is_mac(value: &str, bytes: usize) -> bool {
    value.split(':').count() == bytes
        && value.split(':').all(|pair| pair.len() == 2 && is_hex(pair))
}

pub(super) fn is_tlsh(value: &str) -> bool {
    let hash = value.strip_prefix('t').unwrap_or(value);
    hash.len() > 35 && is_hex(hash)
}

pub(super) fn is_ssdeep(value: &str) -> bool {
    let mut parts = value.split(':');
    let mut hash = || {
        parts.next().is_some_and(|part| {
            part.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'/' || byte == b'+')
        })
    };

    let (first, second, third) = (hash(), hash(), hash());
    first
        && second
        && third
        && parts.next().is_none()
        && value.split(':').next().is_some_and(is_digits)
}

pub(super) fn is_impfuzzy(value: &str) -> bool {
    value.matches(':').count() == 2 && value.split(':').next().is_some_and(is_digits)
}

/// `SHA256:` and 32 bytes in base64, or an MD5 with or without `MD5:` and colons.
pub(super) fn is_ssh_fingerprint(value: &str) -> bool {
    if let Some(encoded) = value.strip_prefix("SHA256:") {
        let bare = encoded.strip_suffix('=').unwrap_or(encoded);
        return bare.len() == 43
            && bare
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    }

    let digits = value.strip_prefix("MD5:").unwrap_or(value).replace(':', "");
    digits.len() == 32 && is_hex(&digits)
}

pub(super) fn is_uuid(value: &str) -> bool {
    let lengths = value.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && value.split('-').all(is_hex)
}

/// PHP's `is_numeric`: sign, digits, fraction, exponent.
pub(super) fn is_number(value: &str) -> bool {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_part = |part: &str| part.is_empty() || is_digits(part);

    is_part(whole)
        && is_part(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent
            .is_none_or(|exponent| is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

pub(super) fn is_cve(value: &str) -> bool {
    value
        .strip_prefix("CVE-")
        .is_some_and(|rest| matches_pattern(rest, "9999-999#"))
}

pub(super) fn is_vulnerability(value: &str) -> bool {
    let id = value.to_ascii_lowercase();
    ADVISORIES
        .iter()
        .any(|pattern| matches_pattern(&id, pattern))
}

/// Whether a text has the shape of a pattern as in `ADVISORIES`.
fn matches_pattern(text: &str, pattern: &str) -> bool {
    let mut rest = text;

    for mark in pattern.chars() {
        let length = match mark {
            '#' => rest.bytes().take_while(u8::is_ascii_digit).count(),
            '~' => rest
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
                .count(),
            _ => usize::from(rest.chars().next().is_some_and(|c| matches_mark(mark, c))),
        };

        if length == 0 && mark != '~' {
            return false;
        }
        rest = rest.get(length..).unwrap_or_default();
    }

    rest.is_empty()
}

fn matches_mark(mark: char, c: char) -> bool {
    match mark {
        '9' => c.is_ascii_digit(),
        '*' => c.is_ascii_alphanumeric(),
        _ => c == mark,
    }
}

/// PHP's `FILTER_VALIDATE_URL`: printable ASCII, a scheme, and a host; one of http(s) is a proper
/// name or address.
pub(super) fn is_link(value: &str) -> bool {
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let Some((scheme, rest)) = value.split_once(':') else {
        return false;
    };
    let mut letters = scheme.bytes();
    if !letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        || !letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    {
        return false;
    }
    let Some(rest) = rest.strip_prefix("//") else {
        return ["mailto", "news", "file"].contains(&scheme) && !rest.is_empty();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();

    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        is_host_and_port(host)
    } else {
        !host.is_empty() || scheme == "file"
    }
}

fn is_host_and_port(host: &str) -> bool {
    if let Some((ip, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = rest.strip_prefix(':').unwrap_or(rest);
        return ip.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || is_port(port));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));

    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };

    let name = name.strip_suffix('.').unwrap_or(name);

    (port.is_empty() || is_port(port))
        && (name.parse::<Ipv4Addr>().is_ok()
            || (name.len() <= 253 && name.split('.').all(is_label)))
}
