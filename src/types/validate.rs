//! What MISP would refuse, in its own words: AttributeValidationTool.php (`validate`) and the rules
//! of MispAttribute.php. Values are checked as they are; normalising comes before.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::de::IgnoredAny;

use super::capabilities::MispCapabilities;
use super::equal::equality_key;
use super::misp_types::{self, ValueFormat};
use super::patterns;
use super::time;

/// The longest value, in bytes, that MISP's text column holds (recorded: 70,000 were dropped).
const LONGEST: usize = 65_535;

const EMPTY: &str = "Value cannot be empty.";
const HIDDEN: &str = "Value has no character by which MISP tells values apart.";
const CONTROL: &str =
    "Value provided consists purely of control characters and is therefore considered to be empty.";
const COMPOSITE: &str =
    "Composite type found but the value not in the composite (value1|value2) format.";
const TOO_LONG: &str = "The entered string is too long and would get truncated. Please consider \
                        adding the data as an attachment instead";
const FORMAT: &str =
    "Value not in the right type/format. Please double check the value or select type \"other\".";
const NEWLINE: &str = "Value must not contain new line character.";
const NAME_NEWLINE: &str = "Filename must not contain new line character.";
const ADDRESS: &str = "IP address has an invalid format.";
const PORT: &str = "Port numbers have to be integers between 1 and 65535.";
const MAIL: &str = "Email address has an invalid format. Please double check the value or select \
                    type \"other\".";
const PEHASH: &str = "40 hexadecimal characters). Keep in mind that MISP currently only supports \
                      SHA1 for PEhashes";

/// Why MISP would not store a value; shows MISP's own message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError(Cow<'static, str>);

impl ValidationError {
    pub(super) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValidationError {}

/// Whether this server would store the value as it is, and if not, why.
pub fn validate(kind: &str, value: &str, server: &MispCapabilities) -> Result<(), ValidationError> {
    if !server.has(kind) {
        return Err(ValidationError::new("Invalid type."));
    }
    let row = misp_types::find_row(kind);
    check_common(value, row.is_some_and(misp_types::MispType::is_composite))
        .map_err(ValidationError::new)?;
    row.map_or(Ok(()), |row| check_form(row.form, kind, value, server))
}

/// Like `validate` for a type of the table, on the newest server.
pub(super) fn is_valid(row: &misp_types::MispType, value: &str, newest: &MispCapabilities) -> bool {
    check_common(value, row.is_composite()).is_ok()
        && check_form(row.form, row.kind, value, newest).is_ok()
}

/// The rules for every type (MispAttribute.php, `$validate`).
fn check_common(value: &str, composite: bool) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err(EMPTY);
    }
    if is_control(value) {
        return Err(CONTROL);
    }
    // To MISP's database such a value is the empty one, so that nobody could find it again.
    if !value.bytes().any(|byte| byte.is_ascii_graphic()) && equality_key(value).is_empty() {
        return Err(HIDDEN);
    }

    if composite {
        let Some((first, second)) = value.split_once('|') else {
            return Err(COMPOSITE);
        };
        if second.contains('|') {
            return Err(COMPOSITE);
        }
        if is_control(first) || is_control(second) {
            return Err(CONTROL);
        }
    }

    if value.len() > LONGEST {
        Err(TOO_LONG)
    } else {
        Ok(())
    }
}

fn is_control(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_control())
}

fn check_form(
    form: ValueFormat,
    kind: &str,
    value: &str,
    server: &MispCapabilities,
) -> Result<(), ValidationError> {
    let halves = || value.split_once('|').unwrap_or((value, ""));
    match form {
        ValueFormat::Text | ValueFormat::Lower | ValueFormat::Sample => Ok(()),
        ValueFormat::Line | ValueFormat::Url | ValueFormat::RegistryValue => {
            require(!value.contains('\n'), NEWLINE)
        }
        ValueFormat::Ip => check_network(value),
        ValueFormat::IpPort => check_pair(halves(), |ip| require(is_ip(ip), ADDRESS), check_port),
        ValueFormat::DomainIp => check_pair(
            halves(),
            |name| require(patterns::is_domain(name), "Domain has an invalid format."),
            |ip| require(is_ip(ip), ADDRESS),
        ),
        ValueFormat::HostnamePort => check_pair(
            halves(),
            |name| require(patterns::is_domain(name), "Hostname has an invalid format."),
            check_port,
        ),
        ValueFormat::Port => check_port(value),
        ValueFormat::Domain => check_name(value, "Domain"),
        ValueFormat::Hostname => check_name(value, "Hostname"),
        ValueFormat::Onion => require(
            patterns::is_onion(value) && (server.is_newer() || value.len() == 22),
            "Onion address has an invalid format.",
        ),
        ValueFormat::Email | ValueFormat::Account => require(patterns::is_mail(value), MAIL),
        ValueFormat::Vulnerability => check_vulnerability(value, server),
        ValueFormat::Weakness => require(
            value.strip_prefix("CWE-").is_some_and(patterns::is_digits),
            "Invalid format. Expected: CWE-x...",
        ),
        ValueFormat::HttpMethod => require(is_http_method(value, server), "Unknown HTTP method."),
        ValueFormat::Integer => require(
            server.is_newer() && value.parse::<i128>().is_ok(),
            "The value has to be an integer value.",
        ),
        _ if kind.starts_with("filename|") => check_file_hash(form, kind, halves()),
        _ => check_hash(form, value).unwrap_or_else(|| check_plain(form, value)),
    }
}

/// Forms without a case of their own above that are no hashes.
fn check_plain(form: ValueFormat, value: &str) -> Result<(), ValidationError> {
    match form {
        ValueFormat::Mac(bytes) => require(patterns::is_mac(value, bytes), FORMAT),
        ValueFormat::HexText => require(patterns::is_hex(value), FORMAT),
        ValueFormat::Link => require(patterns::is_link(value), FORMAT),
        ValueFormat::Alnum | ValueFormat::Bank => require(
            value.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            FORMAT,
        ),
        ValueFormat::Number | ValueFormat::Card => require(patterns::is_number(value), FORMAT),
        // A single zero is no number for MISP, as a MISP 2.5.1 showed for each of its types of
        // phone numbers.
        ValueFormat::Phone => require(patterns::is_number(value) && value != "0", FORMAT),
        ValueFormat::Json => require(serde_json::from_str::<IgnoredAny>(value).is_ok(), FORMAT),
        ValueFormat::Bool => require(value == "0" || value == "1", FORMAT),
        ValueFormat::Uuid => require(
            patterns::is_uuid(value),
            "The value has to be a valid UUID format.",
        ),
        ValueFormat::Time => require(
            time::to_misp_datetime(value).is_some(),
            "Datetime has to be in the ISO 8601 format.",
        ),
        ValueFormat::Whole => require(
            patterns::is_digits(value),
            "The value has to be a whole number greater or equal 0.",
        ),
        ValueFormat::As => require(
            patterns::is_digits(value) && value.parse::<u32>().is_ok(),
            "AS number have to be integer between 1 and 4294967295",
        ),
        ValueFormat::Service => require(
            value.len() <= 256 && !value.contains(['/', '\\']),
            "Invalid format. Only values shorter than 256 characters that don't include any \
             forward or backward slashes are allowed.",
        ),
        _ => Ok(()),
    }
}

/// Hashes alone; nothing for a form that is no hash.
fn check_hash(form: ValueFormat, value: &str) -> Option<Result<(), ValidationError>> {
    let is_hex = |length| value.len() == length && patterns::is_hex(value);
    Some(match form {
        ValueFormat::Hex(length) | ValueFormat::Certificate(length) => {
            if is_hex(length) {
                Ok(())
            } else {
                checksum_error(&format!("{length}"))
            }
        }
        ValueFormat::Commit => {
            if is_hex(40) {
                Ok(())
            } else {
                checksum_error("40")
            }
        }
        ValueFormat::Telfhash => {
            if is_hex(70) || is_hex(72) {
                Ok(())
            } else {
                checksum_error("70 or 72")
            }
        }
        ValueFormat::Pehash if is_hex(40) => Ok(()),
        ValueFormat::Pehash => Err(ValidationError::new(format!(
            "The input doesn't match the expected sha1 format (expected: {PEHASH}"
        ))),
        ValueFormat::Tlsh => require(
            patterns::is_tlsh(value),
            "Checksum has an invalid length or format (expected: at least 35 hexadecimal \
             characters, optionally starting with t1 instead of hexadecimal characters). Please \
             double check the value or select type \"other\".",
        ),
        ValueFormat::Ssdeep => require(
            patterns::is_ssdeep(value),
            "Invalid SSDeep hash. The format has to be blocksize:hash:hash",
        ),
        ValueFormat::Impfuzzy => require(
            patterns::is_impfuzzy(value),
            "Invalid impfuzzy format. The format has to be imports:hash:hash",
        ),
        ValueFormat::Cdhash => require(
            value.len() >= 40 && patterns::is_lower_hex(value),
            "The input doesn't match the expected format (expected: 40 or more hexadecimal \
             characters)",
        ),
        ValueFormat::Vhash => require(!value.contains('\n'), FORMAT),
        ValueFormat::Ssh => require(
            patterns::is_ssh_fingerprint(value),
            "SSH fingerprint must be in MD5 or SHA256 format.",
        ),
        _ => return None,
    })
}

/// File name and hash.
fn check_file_hash(
    form: ValueFormat,
    kind: &str,
    (name, hash): (&str, &str),
) -> Result<(), ValidationError> {
    let line = !name.is_empty() && !name.contains('\n');
    let hex = |length| line && hash.len() == length && patterns::is_lower_hex(hash);

    match form {
        ValueFormat::FileHex(length) if hex(length) => Ok(()),
        ValueFormat::FileHex(length) => checksum_error(&format!("filename|{length}")),
        ValueFormat::FilePehash if hex(40) => Ok(()),
        ValueFormat::FilePehash => Err(ValidationError::new(format!(
            "The input doesn't match the expected filename|sha1 format (expected: filename|{PEHASH}"
        ))),
        ValueFormat::FileSsdeep | ValueFormat::FileTlsh if name.contains('\n') => {
            require(false, NAME_NEWLINE)
        }
        ValueFormat::FileSsdeep => require(
            patterns::is_ssdeep(hash),
            "Invalid ssdeep hash (expected: blocksize:hash:hash).",
        ),
        ValueFormat::FileTlsh => require(
            patterns::is_tlsh(hash),
            "TLSH hash has an invalid length or format (expected: filename|at least 35 \
             hexadecimal characters, optionally starting with t1 instead of hexadecimal \
             characters). Please double check the value or select type \"other\".",
        ),
        ValueFormat::FileVhash => require(
            line && !hash.is_empty() && !hash.contains('\n'),
            "Checksum has an invalid length or format (expected: filename|string characters). \
             Please double check the value or select type \"other\".",
        ),
        // MISP's validator has no case for it and throws (recorded: 500, half an event stored).
        _ => Err(ValidationError::new(format!(
            "Unknown attribute type {kind}."
        ))),
    }
}

fn require(holds: bool, message: &'static str) -> Result<(), ValidationError> {
    if holds {
        Ok(())
    } else {
        Err(ValidationError::new(message))
    }
}

fn check_pair(
    (first, second): (&str, &str),
    left: impl Fn(&str) -> Result<(), ValidationError>,
    right: impl Fn(&str) -> Result<(), ValidationError>,
) -> Result<(), ValidationError> {
    left(first)?;
    right(second)
}

fn checksum_error(expected: &str) -> Result<(), ValidationError> {
    Err(ValidationError::new(format!(
        "Checksum has an invalid length or format (expected: {expected} hexadecimal characters). \
         Please double check the value or select type \"other\"."
    )))
}

fn is_ip(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn check_network(value: &str) -> Result<(), ValidationError> {
    let Some((ip, range)) = value.split_once('/') else {
        return require(is_ip(value), ADDRESS);
    };
    if !patterns::is_digits(range) {
        return require(false, "Invalid CIDR notation value found.");
    }
    let bits = range.parse::<u8>().unwrap_or(u8::MAX);

    if ip.parse::<Ipv4Addr>().is_ok() {
        require(
            bits <= 32,
            "Invalid CIDR notation value found, for IPv4 must be lower or equal 32.",
        )
    } else if ip.parse::<Ipv6Addr>().is_ok() {
        require(
            bits <= 128,
            "Invalid CIDR notation value found, for IPv6 must be lower or equal 128.",
        )
    } else {
        require(false, ADDRESS)
    }
}

fn check_port(value: &str) -> Result<(), ValidationError> {
    require(patterns::is_port(value), PORT)
}

fn check_name(value: &str, what: &str) -> Result<(), ValidationError> {
    if patterns::is_domain(value) {
        return Ok(());
    }
    Err(ValidationError::new(format!(
        "{what} has an invalid format. Please double check the value or select type \"other\"."
    )))
}

fn check_vulnerability(value: &str, server: &MispCapabilities) -> Result<(), ValidationError> {
    if server.is_newer() {
        require(
            patterns::is_vulnerability(value),
            "Invalid vulnerability ID format.",
        )
    } else {
        require(
            patterns::is_cve(value),
            "Invalid format. Expected: CVE-xxxx-xxxx...",
        )
    }
}

/// MISP 2.5.1 looks for a method anywhere in the value, newer versions take nothing else.
fn is_http_method(value: &str, server: &MispCapabilities) -> bool {
    patterns::METHODS
        .iter()
        .any(|method| value == *method || (!server.is_newer() && value.contains(method)))
}
