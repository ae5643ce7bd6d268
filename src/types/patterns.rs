//! Questions about the shape of a text, each as MISP asks it (AttributeValidationTool.php). Which
//! form asks which question stands in `forms.rs`. What comes in great numbers (hashes, addresses,
//! names, URLs) is read by hand, which takes a tenth of the time of a regular expression.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use regex_lite::{Captures, NoExpand, Regex};
use uuid::Uuid;

/// A regular expression, compiled when it is asked for first.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub const fn new(text: &'static str) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| Regex::new(self.text).ok())
            .as_ref()
    }

    pub fn matches(&self, value: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(value))
    }

    pub fn replace_all(&self, value: &str, by: &str) -> String {
        match self.regex() {
            Some(regex) => regex.replace_all(value, NoExpand(by)).into_owned(),
            None => value.to_owned(),
        }
    }

    pub fn captures<'v>(&self, value: &'v str) -> Option<Captures<'v>> {
        self.regex()?.captures(value)
    }
}

/// ISO 8601 in the extended format, with or without time, seconds, fraction and zone.
pub static DATETIME: Pattern = Pattern::new(
    r"(?x)^(?<date>\d{4}-\d\d-\d\d)
    (?:[Tt\ ](?<clock>(?:[01]\d|2[0-3]):[0-5]\d)(?::(?<seconds>[0-5]\d))?(?:\.(?<fraction>\d*))?
    \s*(?:[Zz]|(?<sign>[+-])(?<offset>:*\d[\d:]*))?)?$",
);
/// `SHA256:` and 32 bytes in base64, or an MD5 with or without `MD5:` and colons.
pub static SSH: Pattern =
    Pattern::new(r"^(SHA256:[A-Za-z0-9+/]{43}=?|(MD5:)?(:*[0-9A-Fa-f]){32}:*)$");
/// The ids that newer MISPs take, CVE among them.
pub static VULNERABILITY: Pattern = Pattern::new(
    r"(?ix)^(
    cve-\d{4}-\d{4,} | gcve-\d+-\d{4}-\d+ | (fkie|msrc)_cve-\d{4}-\d{4,} |
    ghsa(-[a-z0-9]{4}){3} | rh[bes]a-\d{4}:\d{4,} | (open)?suse-su-\d{4}:\d{4,}-\d |
    pysec-\d{4}-\d{2,5} | gsd-\d{4}-\d{4,5} | mal-\d{4}-\d+ | sca-\d{4}-\d{4,} |
    wid-sec-w-\d{4}-\d{4} | ncsc-\d{4}-\d{4} | ssa-\d{6} | (icsma|icsa|va)-\d\d-\d{3}-\d\d |
    cisco-sa-[a-z0-9][a-z0-9_-]* | nn-\d{4}[:_]\d-\d\d | oxas-adv-\d{4}-\d{4} |
    var-\d{6}-\d{4} | jvndb-\d{4}-\d{6} | ts-\d{4}-\d{4} | cnvd-\d{4}-\d{5} |
    certfr-\d{4}-(avi-\d{4}|ale-\d{3})
    )$",
);

/// The methods that MISP knows, with a blank between: HTTP, WebDAV and its relatives.
pub const METHODS: &str = "OPTIONS GET HEAD POST PUT DELETE TRACE CONNECT PROPFIND PROPPATCH MKCOL \
                           COPY MOVE LOCK UNLOCK VERSION-CONTROL REPORT CHECKOUT CHECKIN \
                           UNCHECKOUT MKWORKSPACE UPDATE LABEL MERGE BASELINE-CONTROL MKACTIVITY \
                           ORDERPATCH ACL PATCH SEARCH";

pub fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// PHP's `is_numeric`: sign, digits, fraction, exponent. What else Rust takes for a number, such as
/// `inf`, is written in other letters.
pub fn is_number(value: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    value.bytes().all(is_part) && value.parse::<f64>().is_ok()
}

/// `CVE-`, four digits, `-`, and four or more.
pub fn is_cve(value: &str) -> bool {
    value
        .strip_prefix("CVE-")
        .and_then(|id| id.split_once('-'))
        .is_some_and(|(year, number)| {
            year.len() == 4 && is_digits(year) && number.len() >= 4 && is_digits(number)
        })
}

pub fn is_cwe(value: &str) -> bool {
    value.strip_prefix("CWE-").is_some_and(is_digits)
}

/// A uuid with its dashes, in any case.
pub fn is_uuid(value: &str) -> bool {
    const LENGTH: usize = 36;

    value.len() == LENGTH && Uuid::try_parse(value).is_ok()
}

pub fn is_line(value: &str) -> bool {
    !value.contains('\n')
}

pub fn is_hex(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub fn is_lower_hex(value: &str) -> bool {
    is_hex(value) && !value.bytes().any(|byte| byte.is_ascii_uppercase())
}

pub fn is_port(value: &str) -> bool {
    // Without its zeros port 0 is empty, and so no port.
    is_digits(value) && value.trim_start_matches('0').parse::<u16>().is_ok()
}

/// Any name with a dot whose last label has two or more letters, digits or `-`. MISP takes
/// `1.2.3.44` for one.
pub fn is_domain(value: &str) -> bool {
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

pub fn is_onion(value: &str) -> bool {
    value.strip_suffix(".onion").is_some_and(|name| {
        (name.len() == 16 || name.len() == 56)
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

/// No blank before the `@`, a dot somewhere after it, one line.
pub fn is_mail(value: &str) -> bool {
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

pub fn is_mac(value: &str, bytes: usize) -> bool {
    value.split(':').count() == bytes
        && value.split(':').all(|pair| pair.len() == 2 && is_hex(pair))
}

pub fn is_tlsh(value: &str) -> bool {
    let hash = value.strip_prefix('t').unwrap_or(value);
    hash.len() > 35 && is_hex(hash)
}

/// `blocksize:hash:hash`.
pub fn is_ssdeep(value: &str) -> bool {
    let is_hash = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'/' || byte == b'+')
    };
    let Some((blocksize, hashes)) = value.split_once(':') else {
        return false;
    };
    is_digits(blocksize)
        && hashes
            .split_once(':')
            .is_some_and(|(first, second)| is_hash(first) && is_hash(second))
}

/// `imports:hash:hash`.
pub fn is_impfuzzy(value: &str) -> bool {
    value.split(':').count() == 3 && value.split(':').next().is_some_and(is_digits)
}

pub fn is_ip(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

/// An address, or a network.
pub fn check_network(value: &str) -> Result<(), &'static str> {
    const ADDRESS: &str = "IP address has an invalid format.";

    let Some((ip, range)) = value.split_once('/') else {
        return is_ip(value).then_some(()).ok_or(ADDRESS);
    };
    if !is_digits(range) {
        return Err("Invalid CIDR notation value found.");
    }
    // A number that does not fit is too large as well.
    let bits = range.parse::<u8>().unwrap_or(u8::MAX);

    match ip.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) if bits > 32 => {
            Err("Invalid CIDR notation value found, for IPv4 must be lower or equal 32.")
        }
        Ok(IpAddr::V6(_)) if bits > 128 => {
            Err("Invalid CIDR notation value found, for IPv6 must be lower or equal 128.")
        }
        Ok(_) => Ok(()),
        Err(_) => Err(ADDRESS),
    }
}

/// PHP's `FILTER_VALIDATE_URL`: printable ASCII, a scheme, and a host; one of http(s) is a proper
/// name or address.
pub fn is_link(value: &str) -> bool {
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
        // PHP asks for a host, but not of these three.
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
