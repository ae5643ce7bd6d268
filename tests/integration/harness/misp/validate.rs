//! What MISP does to a value before it stores it, and which values it refuses.

use std::net::{IpAddr, Ipv6Addr};

use super::types::{self, Type};

/// Why a value is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The field at fault and MISP's message.
    Field(&'static str, String),
    /// Left out without a word, see `World::dropped`.
    Silent,
    /// The validator itself throws: 500 (recorded as `278-add-filename-impfuzzy-500`).
    Crash,
}

impl Refused {
    fn value(message: &str) -> Self {
        Self::Field("value", message.to_owned())
    }
}

/// The value as it is stored, `ruled` if import rules rewrite it first.
pub(crate) fn value(kind: &str, category: &str, raw: &str, ruled: bool) -> Result<String, Refused> {
    let Some(known) = types::known(kind) else {
        return Err(Refused::Field("type", "Invalid type.".into()));
    };
    if !known.categories.iter().any(|allowed| allowed == category) {
        return Err(Refused::Field(
            "category",
            "Options depend on the selected category.".into(),
        ));
    }
    if kind == "filename|impfuzzy" {
        return Err(Refused::Crash);
    }
    let value = normal(kind, known, raw.trim());
    let value = if ruled {
        super::rules::rewritten(value)?
    } else {
        value
    };
    if value.is_empty() {
        return Err(Refused::value("The value should not be empty."));
    }
    if value.len() > 65_535 {
        return Err(Refused::value("Value exceeds maximum length."));
    }
    if known.composite && value.matches('|').count() != 1 {
        return Err(Refused::value(
            "Composite type, but value format is not valid.",
        ));
    }
    check(kind, known, &value).map(|()| value)
}

fn normal(kind: &str, known: &Type, raw: &str) -> String {
    let value: String = raw
        .chars()
        .map(|c| if u32::from(c) > 0xFFFF { '?' } else { c })
        .collect();
    let value = refanged(kind, value);
    match kind {
        "ip-src" | "ip-dst" => ip_with_prefix(&value),
        "ip-src|port" | "ip-dst|port" => ip_and_port(&value),
        "domain" => domain(&value),
        "cc-number" | "bin" => value.chars().filter(char::is_ascii_digit).collect(),
        "iban" | "bic" => value
            .to_uppercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect(),
        "prtn" | "phone-number" | "whois-registrant-phone" => phone(&value),
        "domain|ip" => value
            .split_once('|')
            .map_or(value.to_lowercase(), |(domain, ip)| {
                format!("{}|{}", self::domain(domain), ip_with_prefix(ip))
            }),
        "hostname|port" => value.to_lowercase().replace(':', "|"),
        "AS" => autonomous_system(&value),
        "mac-address" | "mac-eui-64" => mac(&value),
        "boolean" => if ["", "0", "false"].contains(&value.as_str()) {
            "0"
        } else {
            "1"
        }
        .to_owned(),
        "vulnerability" | "weakness" => value.replace('–', "-").to_uppercase(),
        _ if kind.starts_with("x509-") => value.replace(':', "").to_lowercase(),
        _ if known.composite && known.lower => value.split_once('|').map_or_else(
            || value.clone(),
            |(name, hash)| format!("{name}|{}", hash.to_lowercase()),
        ),
        _ if known.lower => value.to_lowercase(),
        _ if known.upper => value.to_uppercase(),
        _ => value,
    }
}

fn refanged(kind: &str, value: String) -> String {
    let dots = |value: String| {
        value
            .replace("[.]", ".")
            .replace("[dot]", ".")
            .replace("(dot)", ".")
    };
    match kind {
        "url" | "link" => {
            let value = dots(value).replace("[:]", ":");
            let fangs = ["hxxp", "hxtp", "htxp", "meow", "h[tt]p"];
            let start = fangs.into_iter().find(|fang| value.starts_with(fang));
            start.map_or(value.clone(), |fang| {
                format!("http{}", &value[fang.len()..])
            })
        }
        "email" | "email-src" | "email-dst" => dots(value).replace("[@]", "@").replace("[at]", "@"),
        _ if kind.starts_with("ip-")
            || kind.starts_with("domain")
            || kind.starts_with("hostname") =>
        {
            dots(value)
        }
        _ => value,
    }
}

/// Addresses in their shortest form, without a prefix that says nothing.
fn ip_with_prefix(value: &str) -> String {
    let (address, prefix) = value
        .split_once('/')
        .map_or((value, None), |(address, prefix)| (address, Some(prefix)));
    let address = address
        .parse::<Ipv6Addr>()
        .map_or(address.to_owned(), |address| address.to_string());
    match prefix {
        None => address,
        Some("32") if !address.contains(':') => address,
        Some("128") if address.contains(':') => address,
        Some(prefix) => format!("{address}/{prefix}"),
    }
}

fn ip_and_port(value: &str) -> String {
    let split = value
        .split_once('|')
        .or_else(|| value.rsplit_once(':'))
        .or_else(|| value.split_once('#'));
    let Some((ip, port)) = split else {
        return value.to_owned();
    };
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    format!("{}|{port}", ip_with_prefix(ip))
}

/// A name that is none otherwise becomes Punycode.
fn domain(value: &str) -> String {
    let value = value.to_lowercase().trim_matches('.').to_owned();
    if is_domain(&value) {
        value
    } else {
        idna::domain_to_ascii(&value).unwrap_or(value)
    }
}

fn phone(value: &str) -> String {
    let value = value
        .strip_prefix("00")
        .map_or(value.to_owned(), |rest| format!("+{rest}"));
    value
        .replace("(0)", "")
        .chars()
        .filter(|c| *c == '+' || c.is_ascii_digit())
        .collect()
}

fn autonomous_system(value: &str) -> String {
    let value = value.to_uppercase();
    let digits = value.strip_prefix("AS").unwrap_or(&value);
    let halves = digits
        .split_once('.')
        .and_then(|(high, low)| Some((high.parse::<u64>().ok()?, low.parse::<u64>().ok()?)));
    halves.map_or(digits.to_owned(), |(high, low)| {
        (high * 65_536 + low).to_string()
    })
}

fn mac(value: &str) -> String {
    let digits: Vec<char> = value
        .to_lowercase()
        .chars()
        .filter(|c| !".:- ".contains(*c))
        .collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    pairs.join(":")
}

fn check(kind: &str, known: &Type, value: &str) -> Result<(), Refused> {
    let ok = match kind {
        "ip-src" | "ip-dst" => is_ip(value, true),
        "ip-src|port" | "ip-dst|port" => halves(value, |ip| is_ip(ip, false), is_port),
        "domain|ip" => halves(value, is_domain, |ip| is_ip(ip, false)),
        "hostname|port" => halves(value, is_domain, is_port),
        "port" => is_port(value),
        "AS" => value
            .parse::<u64>()
            .is_ok_and(|number| number <= 4_294_967_295),
        // A real MISP 2.5.1 takes every number but 0.
        "prtn" | "phone-number" | "whois-registrant-phone" => {
            value != "0" && value.parse::<f64>().is_ok()
        }
        "float" | "cc-number" | "bin" | "bank-account-nr" | "aba-rtn" => {
            value.parse::<f64>().is_ok()
        }
        "link" => value.is_ascii() && value.contains("://") && !value.contains(char::is_whitespace),
        // Recorded as `280-add-integer-dropped` and `100-add-attr-onion-v3`: 2.5.1 takes no integer and no long onion.
        "integer" => false,
        "onion-address" => value.len() == 22 && pattern(known, value),
        _ => pattern(known, value),
    };
    if ok {
        Ok(())
    } else {
        Err(Refused::value(&message(kind)))
    }
}

fn pattern(known: &Type, value: &str) -> bool {
    known
        .pattern
        .as_ref()
        .is_none_or(|pattern| pattern.is_match(value))
}

fn halves(value: &str, first: impl Fn(&str) -> bool, second: impl Fn(&str) -> bool) -> bool {
    value
        .split_once('|')
        .is_some_and(|(one, two)| first(one) && second(two))
}

fn is_ip(value: &str, prefix_allowed: bool) -> bool {
    let (address, prefix) = value
        .split_once('/')
        .map_or((value, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| {
        prefix_allowed && prefix.parse::<u8>().is_ok_and(|bits| bits <= longest)
    })
}

fn is_port(value: &str) -> bool {
    value
        .parse::<u32>()
        .is_ok_and(|port| (1..=65_535).contains(&port))
}

fn is_domain(value: &str) -> bool {
    types::known("domain").is_some_and(|domain| pattern(domain, value))
}

fn message(kind: &str) -> String {
    let hint = "Please double check the value or select type \"other\".";
    match kind {
        "ip-src" | "ip-dst" => "IP address has an invalid format.".into(),
        "domain" | "hostname" => {
            format!(
                "{} name has an invalid format. {hint}",
                if kind == "domain" { "Domain" } else { "Host" }
            )
        }
        "email" | "email-src" | "email-dst" => {
            format!("Email address has an invalid format. {hint}")
        }
        "port" => "Port numbers have to be integers between 1 and 65535.".into(),
        _ if ["md5", "sha", "imphash", "pehash"]
            .iter()
            .any(|hash| kind.contains(hash)) =>
        {
            format!("Checksum has an invalid length or format. {hint}")
        }
        "prtn" | "phone-number" | "whois-registrant-phone" => {
            format!("Value not in the right type/format. {hint}")
        }
        _ => format!("Value has an invalid format. {hint}"),
    }
}
