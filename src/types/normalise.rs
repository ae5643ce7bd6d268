//! A value as MISP stores it (AttributeValidationTool.php, `modifyBeforeValidation`, after the
//! trimming and refanging of MispAttribute.php). Whether it is valid is not asked here.
//!
//! MISP changes a value once; here it is changed until nothing changes any more, since a value that
//! MISP would change again is not the one it stores.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::misp_types::{self, ValueFormat};
use super::refang::{self, map_cow};
use super::time;

/// How often a value may change before it is taken as it is; nothing known needs more than three.
const ROUNDS: usize = 8;

/// The value as MISP stores it for an attribute of this type. Characters above U+FFFF, which MISP
/// replaces (recorded: "emoji 😀 value" became "emoji ? value"), are `?`.
pub fn normalise(kind: &str, value: &str) -> String {
    let form = misp_types::find_row(kind).map_or(ValueFormat::Text, |row| row.form);
    normalise_fully(form, &replace_astral(value)).into_owned()
}

/// Characters that MISP's three-byte columns cannot hold, each as `?`.
pub fn replace_astral(value: &str) -> Cow<'_, str> {
    if count_astral(value) == 0 {
        return Cow::Borrowed(value);
    }
    Cow::Owned(
        value
            .chars()
            .map(|c| if c > '\u{ffff}' { '?' } else { c })
            .collect(),
    )
}

/// How many characters of a text lie above U+FFFF.
pub(super) fn count_astral(value: &str) -> usize {
    value.bytes().filter(|&byte| byte >= 0xf0).count()
}

/// The value in its final form, with every character kept.
pub(super) fn normalise_fully(form: ValueFormat, value: &str) -> Cow<'_, str> {
    let mut found = normalise_once(form, value);
    if matches!(found, Cow::Borrowed(same) if same == value) {
        return found;
    }

    for _ in 1..ROUNDS {
        let next = normalise_once(form, &found);
        if next == found {
            break;
        }
        found = Cow::Owned(next.into_owned());
    }

    found
}

fn normalise_once(form: ValueFormat, value: &str) -> Cow<'_, str> {
    // PHP's trim(): no Unicode blanks.
    let value = value.trim_matches([' ', '\t', '\n', '\r', '\0', '\x0b']);
    match form {
        ValueFormat::Lower
        | ValueFormat::Hex(_)
        | ValueFormat::Tlsh
        | ValueFormat::Telfhash
        | ValueFormat::Pehash => lower(value),
        ValueFormat::Cdhash | ValueFormat::Vhash | ValueFormat::Onion => lower(value),
        ValueFormat::HttpMethod | ValueFormat::HexText => upper(value),
        ValueFormat::Certificate(_) => map_cow(remove_chars(value, |c| c == ':'), lower),
        ValueFormat::FileHex(_)
        | ValueFormat::FilePehash
        | ValueFormat::FileTlsh
        | ValueFormat::FileVhash => change_second_half(value, lower),
        ValueFormat::Ip => map_cow(refang::dots(value), address),
        ValueFormat::IpPort => map_cow(refang::dots(value), address_and_port),
        ValueFormat::Domain | ValueFormat::Hostname => map_cow(refang::dots(value), domain),
        ValueFormat::HostnamePort => map_cow(refang::dots(value), host_and_port),
        ValueFormat::DomainIp => map_cow(refang::dots(value), domain_and_address),
        ValueFormat::Mac(_) => mac(value),
        ValueFormat::Email => map_cow(refang::mail(value), lower),
        ValueFormat::Url | ValueFormat::Link => refang::url(value),
        ValueFormat::As => asn(value),
        ValueFormat::Vulnerability => map_cow(replace_dashes(value), cve),
        ValueFormat::Weakness => map_cow(replace_dashes(value), upper),
        ValueFormat::Time => time::to_misp_datetime(value)
            .map_or(Cow::Borrowed(value), |iso| borrow_if_same(value, iso)),
        ValueFormat::Card => remove_chars(value, |c| !c.is_ascii_digit()),
        ValueFormat::Phone => phone(value),
        ValueFormat::Bank => map_cow(remove_chars(value, |c| !c.is_ascii_alphanumeric()), upper),
        ValueFormat::Bool => Cow::Borrowed(bool_digit(value)),
        ValueFormat::Text
        | ValueFormat::Line
        | ValueFormat::Commit
        | ValueFormat::Ssdeep
        | ValueFormat::Impfuzzy
        | ValueFormat::Ssh => Cow::Borrowed(value),
        ValueFormat::FileSsdeep
        | ValueFormat::FileImpfuzzy
        | ValueFormat::Sample
        | ValueFormat::RegistryValue => Cow::Borrowed(value),
        ValueFormat::Port
        | ValueFormat::Account
        | ValueFormat::Service
        | ValueFormat::Whole
        | ValueFormat::Integer => Cow::Borrowed(value),
        ValueFormat::Number | ValueFormat::Alnum | ValueFormat::Json | ValueFormat::Uuid => {
            Cow::Borrowed(value)
        }
    }
}

fn borrow_if_same(value: &str, changed: String) -> Cow<'_, str> {
    if changed == value {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(changed)
    }
}

fn lower(value: &str) -> Cow<'_, str> {
    if value.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(value.to_ascii_lowercase())
    } else {
        Cow::Borrowed(value)
    }
}

fn upper(value: &str) -> Cow<'_, str> {
    if value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Cow::Owned(value.to_ascii_uppercase())
    } else {
        Cow::Borrowed(value)
    }
}

fn remove_chars(value: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if value.contains(&unwanted) {
        Cow::Owned(value.replace(unwanted, ""))
    } else {
        Cow::Borrowed(value)
    }
}

/// The part after the first `|` changed, the part before it kept.
fn change_second_half(value: &str, change: impl Fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    let Some((first, second)) = value.split_once('|') else {
        return Cow::Borrowed(value);
    };
    match change(second) {
        Cow::Borrowed(same) if same.len() == second.len() => Cow::Borrowed(value),
        changed => Cow::Owned(format!("{first}|{changed}")),
    }
}

/// IPv6 in its shortest form; `/32` of an IPv4 and `/128` of an IPv6 address dropped.
fn address(value: &str) -> Cow<'_, str> {
    let (ip, range) = match value.split_once('/') {
        Some((ip, range)) => (ip, Some(range)),
        None => (value, None),
    };
    let ip = match ip.parse::<Ipv6Addr>() {
        Ok(v6) => borrow_if_same(ip, format_ipv6(v6)),
        Err(_) => Cow::Borrowed(ip),
    };
    match range {
        None => ip,
        Some("32") if ip.contains('.') && !ip.contains(':') => ip,
        Some("128") if ip.contains(':') => ip,
        Some(range) => borrow_if_same(value, format!("{ip}/{range}")),
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
fn address_and_port(value: &str) -> Cow<'_, str> {
    let parts = match value.split_once('|') {
        Some(parts) => Some(parts),
        None => split_port(value),
    };
    parts.map_or(Cow::Borrowed(value), |(ip, port)| {
        borrow_if_same(value, format!("{}|{port}", address(ip)))
    })
}

fn split_port(value: &str) -> Option<(&str, &str)> {
    if let Some((ip, port)) = value
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        return Some((ip, port));
    }
    if value.matches(':').count() < 2 {
        return value.split_once(':');
    }
    [".", " port ", "p", "#", ":"]
        .into_iter()
        .filter_map(|mark| value.rsplit_once(mark))
        .find(|(ip, port)| is_digits(port) && ip.parse::<Ipv6Addr>().is_ok())
}

fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lower case, no dots around, IDN as punycode. MISP leaves a host name's trailing dot and
/// non-ASCII letters, and then refuses it; both kinds of name are written alike here.
fn domain(value: &str) -> Cow<'_, str> {
    let name = lower(value.trim_matches('.'));
    if name.is_ascii() {
        return name;
    }
    match idna::domain_to_ascii(&name) {
        Ok(ascii) if !ascii.is_empty() => Cow::Owned(ascii),
        _ => name,
    }
}

fn host_and_port(value: &str) -> Cow<'_, str> {
    match value.split_once(['|', ':']) {
        Some((host, port)) => borrow_if_same(value, format!("{}|{port}", domain(host))),
        None => lower(value),
    }
}

fn domain_and_address(value: &str) -> Cow<'_, str> {
    match value.split_once('|') {
        Some((name, ip)) => borrow_if_same(
            value,
            format!("{}|{}", domain(name.trim()), address(ip.trim())),
        ),
        None => lower(value),
    }
}

/// `00-11-22…` and `0011.22…` as `00:11:22…`.
fn mac(value: &str) -> Cow<'_, str> {
    let bare = value.to_ascii_lowercase().replace(['.', ':', '-', ' '], "");
    if !bare.is_ascii() {
        return Cow::Borrowed(value);
    }
    let mut pairs = String::with_capacity(bare.len() * 3 / 2);
    for (at, digit) in bare.chars().enumerate() {
        if at > 0 && at % 2 == 0 {
            pairs.push(':');
        }
        pairs.push(digit);
    }

    borrow_if_same(value, pairs)
}

/// `AS13335` as `13335`, asdot `1.10` as `65546`.
fn asn(value: &str) -> Cow<'_, str> {
    let number = match value.split_at_checked(2) {
        Some((start, number)) if start.eq_ignore_ascii_case("as") => number,
        _ => value,
    };
    match number.split_once('.') {
        Some((high, low)) if is_digits(high) && is_digits(low) => {
            match (high.parse::<u64>(), low.parse::<u64>()) {
                (Ok(high), Ok(low)) if high < 1 << 40 && low < 1 << 40 => {
                    Cow::Owned((high * 65_536 + low).to_string())
                }
                _ => Cow::Borrowed(number),
            }
        }
        _ => Cow::Borrowed(number),
    }
}

fn replace_dashes(value: &str) -> Cow<'_, str> {
    if value.contains('–') {
        Cow::Owned(value.replace('–', "-"))
    } else {
        Cow::Borrowed(value)
    }
}

/// CVE and GCVE in capitals; other ids keep their letters (GHSA is written in small ones).
fn cve(value: &str) -> Cow<'_, str> {
    let source = value.split('-').next().unwrap_or_default();
    if source.eq_ignore_ascii_case("cve") || source.eq_ignore_ascii_case("gcve") {
        upper(value)
    } else {
        Cow::Borrowed(value)
    }
}

fn phone(value: &str) -> Cow<'_, str> {
    let international = match value.strip_prefix("00") {
        Some(rest) => Cow::Owned(format!("+{rest}")),
        None => Cow::Borrowed(value),
    };
    let bare = if international.contains("(0)") {
        Cow::Owned(international.replace("(0)", ""))
    } else {
        international
    };

    map_cow(bare, |text| {
        remove_chars(text, |c| c != '+' && !c.is_ascii_digit())
    })
}

/// MISP takes any text but `false` and `0` for true (recorded).
fn bool_digit(value: &str) -> &'static str {
    match value {
        "" => "",
        "0" => "0",
        _ if value.eq_ignore_ascii_case("false") => "0",
        _ => "1",
    }
}
