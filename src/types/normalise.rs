//! What MISP changes in a value before it stores it (AttributeValidationTool.php,
//! `modifyBeforeValidation`, after the trimming and refanging of MispAttribute.php). Which form
//! asks for which change stands in `forms.rs`. Whether a value is valid is not asked here.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use jiff::civil::Date;

use super::patterns::{self, is_digits};
use super::refang;

/// Characters that MISP's three-byte columns cannot hold, each as `?`.
pub fn replace_astral(value: &str) -> Cow<'_, str> {
    if count_astral(value) == 0 {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace(|c| c > '\u{ffff}', "?"))
}

/// How many characters of a text lie above U+FFFF.
pub fn count_astral(value: &str) -> usize {
    // Only what lies above U+FFFF begins with such a byte in UTF-8: it takes four.
    value.bytes().filter(|&byte| byte >= 0xf0).count()
}

/// A change of a value whose dots may be hidden.
pub fn refang_and(value: &str, change: fn(&str) -> String) -> String {
    change(&refang::dots(value))
}

/// The part after the first `|` in lower case, the part before it kept.
pub fn lower_second_half(value: &str) -> String {
    match value.split_once('|') {
        Some((first, second)) => format!("{first}|{}", second.to_ascii_lowercase()),
        None => value.to_owned(),
    }
}

/// The fingerprint of a certificate: lower case, no colons.
pub fn fingerprint(value: &str) -> String {
    value.replace(':', "").to_ascii_lowercase()
}

/// IPv6 in its shortest form; `/32` of an IPv4 and `/128` of an IPv6 address dropped.
pub fn address(value: &str) -> String {
    let (ip, range) = match value.split_once('/') {
        Some((ip, range)) => (ip, Some(range)),
        None => (value, None),
    };
    let ip = ip
        .parse::<Ipv6Addr>()
        .map_or_else(|_| ip.to_owned(), format_ipv6);

    match range {
        None => ip,
        Some("32") if ip.contains('.') && !ip.contains(':') => ip,
        Some("128") if ip.contains(':') => ip,
        Some(range) => format!("{ip}/{range}"),
    }
}

/// As `inet_ntop` writes it, which shows IPv4 in `::1.2.3.4` where Rust would not.
fn format_ipv6(ip: Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => ip.to_string(),
    }
}

/// `ip|port` from any of the spellings that MISP takes apart: `1.2.3.4:80`, `[2001:db8::1]:80`,
/// `2001:db8::1.80`, `… port 80`, `…p80`, `…#80`, and the ambiguous `2001:db8::1:80`.
pub fn address_and_port(value: &str) -> String {
    match value.split_once('|').or_else(|| split_port(value)) {
        Some((ip, port)) => format!("{}|{port}", address(ip)),
        None => value.to_owned(),
    }
}

fn split_port(value: &str) -> Option<(&str, &str)> {
    let bracketed = value
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"));
    if bracketed.is_some() {
        return bracketed;
    }
    if value.matches(':').count() < 2 {
        return value.split_once(':');
    }
    // The colon comes last, since it may as well belong to the address.
    [".", " port ", "p", "#", ":"]
        .into_iter()
        .filter_map(|mark| value.rsplit_once(mark))
        .find(|(ip, port)| is_digits(port) && ip.parse::<Ipv6Addr>().is_ok())
}

/// Lower case, no dots around, IDN as punycode. MISP leaves a host name's trailing dot and
/// non-ASCII letters, and then refuses it; both kinds of name are written alike here.
pub fn domain(value: &str) -> String {
    let name = value.trim_matches('.').to_ascii_lowercase();
    if name.is_ascii() {
        return name;
    }
    match idna::domain_to_ascii(&name) {
        Ok(ascii) if !ascii.is_empty() => ascii,
        _ => name,
    }
}

pub fn host_and_port(value: &str) -> String {
    match value.split_once(['|', ':']) {
        Some((host, port)) => format!("{}|{port}", domain(host)),
        None => value.to_ascii_lowercase(),
    }
}

pub fn domain_and_address(value: &str) -> String {
    match value.split_once('|') {
        Some((name, ip)) => format!("{}|{}", domain(name.trim()), address(ip.trim())),
        None => value.to_ascii_lowercase(),
    }
}

/// `00-11-22…` and `0011.22…` as `00:11:22…`.
pub fn mac(value: &str) -> String {
    let bare = value.to_ascii_lowercase().replace(['.', ':', '-', ' '], "");
    // Only in ASCII two bytes are two digits.
    if !bare.is_ascii() {
        return value.to_owned();
    }
    let pairs: Vec<_> = bare
        .as_bytes()
        .chunks(2)
        .map(String::from_utf8_lossy)
        .collect();
    pairs.join(":")
}

/// `AS13335` as `13335`, asdot `1.10` as `65546`.
pub fn asn(value: &str) -> String {
    let number = refang::strip_prefix_ignore_case(value, "as").unwrap_or(value);
    let part = |digits: &str| {
        let number: u64 = digits.parse().ok()?;
        // Bounded, so that the sum below cannot overflow; no AS number is as large.
        (is_digits(digits) && number < 1 << 40).then_some(number)
    };
    let dotted = number
        .split_once('.')
        .and_then(|(high, low)| Some(part(high)? * 65_536 + part(low)?));

    dotted.map_or_else(|| number.to_owned(), |number| number.to_string())
}

/// CVE and GCVE in capitals; other ids keep their letters (GHSA is written in small ones).
pub fn vulnerability(value: &str) -> String {
    let id = value.replace('–', "-");
    let source = id.split('-').next().unwrap_or_default();
    if source.eq_ignore_ascii_case("cve") || source.eq_ignore_ascii_case("gcve") {
        id.to_ascii_uppercase()
    } else {
        id
    }
}

pub fn phone(value: &str) -> String {
    let international = match value.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => value.to_owned(),
    };
    international
        .replace("(0)", "")
        .replace(|c: char| c != '+' && !c.is_ascii_digit(), "")
}

/// `2024-01-02T03:04:05.678901+0000`; a time without a zone is GMT, a date without a time midnight.
/// Only ISO 8601 is read, none of the other spellings ("yesterday") that PHP takes.
pub fn datetime(value: &str) -> Option<String> {
    let parts = patterns::DATETIME.captures(value)?;
    let part = |name, default: &'static str| {
        parts
            .name(name)
            .map_or(default, |part| part.as_str())
            .to_owned()
    };
    let date = part("date", "");
    date.parse::<Date>().ok()?;

    let micros: String = part("fraction", "")
        .chars()
        .chain("000000".chars())
        .take(6)
        .collect();
    let digits = part("offset", "").replace(':', "");
    let offset = match digits.len() {
        0 => "0000".to_owned(),
        2 => format!("{digits}00"),
        4 => digits,
        _ => return None,
    };
    // No time zone is further than fourteen hours from UTC.
    let (hours, minutes) = offset.split_at_checked(2)?;
    if hours > "14" || minutes > "59" {
        return None;
    }

    Some(format!(
        "{date}T{}:{}.{micros}{}{offset}",
        part("clock", "00:00"),
        part("seconds", "00"),
        part("sign", "+")
    ))
}
