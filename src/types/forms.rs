//! How the values of MISP's types are written: what MISP changes before it stores one, what it
//! demands of it, and what it says otherwise, by the cases of AttributeValidationTool.php. A form
//! is one row; what its words mean is in `normalise.rs` (changes) and `patterns.rs` (questions).

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::normalise::{self, lower_second_half, refang_and};
use super::patterns::{self, is_digits, is_hex, is_line, is_number};
use super::refang;
use Check::*;

/// How the values of a type are written.
#[derive(Clone, Copy, Debug)]
pub struct ValueForm {
    /// In words, for the published page; `{}` is the number of digits that `check` asks for.
    pub words: &'static str,
    /// What MISP changes in a value before it stores it.
    pub change: fn(&str) -> String,
    /// What it demands of a value then.
    pub check: Check,
}

/// How often a value may change before it is taken as it is; nothing known needs more than three.
const ROUNDS: usize = 8;

impl ValueForm {
    /// The value as MISP stores it, with every character kept. MISP changes a value once; here it
    /// is changed until nothing changes any more, since a value that MISP would change again is not
    /// the one it stores.
    pub fn normalise(&self, value: &str) -> String {
        // PHP's trim(): no Unicode blanks.
        let change_once =
            |value: &str| (self.change)(value.trim_matches([' ', '\t', '\n', '\r', '\0', '\x0b']));

        let mut stored = change_once(value);
        if stored == value {
            return stored;
        }
        for _ in 1..ROUNDS {
            let next = change_once(&stored);
            if next == stored {
                break;
            }
            stored = next;
        }

        stored
    }
}

/// A question about a text, and what MISP says if the answer is no.
pub type Question = (fn(&str) -> bool, &'static str);

/// What MISP demands of a value.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// A question, and what MISP says if the answer is no.
    Is(fn(&str) -> bool, &'static str),
    /// The same for each half of a composite.
    Halves([Question; 2]),
    /// So many hexadecimal digits.
    Hex(usize),
    /// A file name, and so many hexadecimal digits in lower case.
    FileHex(usize),
    /// Several questions, or others on a MISP that is newer than 2.5.1, for which the flag stands.
    Asks(fn(&str, bool) -> Result<(), &'static str>),
}

impl Check {
    /// Whether MISP takes a value, and what it says if not.
    pub fn check(self, value: &str, is_newer: bool) -> Result<(), Cow<'static, str>> {
        let (first, second) = value.split_once('|').unwrap_or((value, ""));

        let (holds, message) = match self {
            Is(question, message) => (question(value), message),
            Halves([(question, message), _]) if !question(first) => (false, message),
            Halves([_, (question, message)]) => (question(second), message),
            Hex(length) if value.len() == length && is_hex(value) => (true, ""),
            Hex(length) => return Err(checksum_message(&length.to_string())),
            FileHex(length) if is_file_hash(value, |hash| is_lower_hex_of(hash, length)) => {
                (true, "")
            }
            FileHex(length) => return Err(checksum_message(&format!("filename|{length}"))),
            Asks(question) => return question(value, is_newer).map_err(Cow::Borrowed),
        };

        require(holds, message).map_err(Cow::Borrowed)
    }
}

fn require(holds: bool, message: &'static str) -> Result<(), &'static str> {
    holds.then_some(()).ok_or(message)
}

fn checksum_message(expected: &str) -> Cow<'static, str> {
    Cow::Owned(format!(
        "Checksum has an invalid length or format (expected: {expected} hexadecimal characters). \
         Please double check the value or select type \"other\"."
    ))
}

fn is_lower_hex_of(value: &str, length: usize) -> bool {
    value.len() == length && patterns::is_lower_hex(value)
}

/// A name of one line, and a hash.
fn is_file_hash(value: &str, is_hash: impl Fn(&str) -> bool) -> bool {
    value
        .split_once('|')
        .is_some_and(|(name, hash)| !name.is_empty() && is_line(name) && is_hash(hash))
}

const ADDRESS: &str = "IP address has an invalid format.";
const DOMAIN_HALF: &str = "Domain has an invalid format.";
const FORMAT: &str =
    "Value not in the right type/format. Please double check the value or select type \"other\".";
const HOST_HALF: &str = "Hostname has an invalid format.";
const MAIL: &str = "Email address has an invalid format. Please double check the value or select \
                    type \"other\".";
const NAME_NEWLINE: &str = "Filename must not contain new line character.";
const NEWLINE: &str = "Value must not contain new line character.";
const PORT_RANGE: &str = "Port numbers have to be integers between 1 and 65535.";

const ANY: Check = Is(|_| true, "");
const ONE_LINE: Check = Is(is_line, NEWLINE);

const fn form(words: &'static str, change: fn(&str) -> String, check: Check) -> ValueForm {
    ValueForm {
        words,
        change,
        check,
    }
}

// Texts.
pub const TEXT: ValueForm = form("any text", str::to_owned, ANY);
pub const LINE: ValueForm = form("one line", str::to_owned, ONE_LINE);
pub const LOWER: ValueForm = form("lower-cased", str::to_ascii_lowercase, ANY);
pub const ALNUM: ValueForm = form("letters and digits", str::to_owned, Is(is_alnum, FORMAT));
pub const REGISTRY_VALUE: ValueForm = form("one line, exactly one bar", str::to_owned, ONE_LINE);
pub const SERVICE: ValueForm = form(
    "up to 256 bytes, no slash",
    str::to_owned,
    Is(
        |value| value.len() <= 256 && !value.contains(['/', '\\']),
        "Invalid format. Only values shorter than 256 characters that don't include any forward \
         or backward slashes are allowed.",
    ),
);
pub const JSON: ValueForm = form(
    "JSON",
    str::to_owned,
    Is(
        |value| serde_json::from_str::<IgnoredAny>(value).is_ok(),
        FORMAT,
    ),
);
pub const UUID: ValueForm = form(
    "a UUID",
    str::to_owned,
    Is(
        patterns::is_uuid,
        "The value has to be a valid UUID format.",
    ),
);
/// MISP 2.5.1 looks for a method anywhere in the value, newer versions take nothing else.
pub const HTTP_METHOD: ValueForm = form(
    "a method of HTTP or WebDAV, upper-cased",
    str::to_ascii_uppercase,
    Asks(|value, is_newer| {
        let is_method = |method: &str| value == method || (!is_newer && value.contains(method));
        require(
            patterns::METHODS.split(' ').any(is_method),
            "Unknown HTTP method.",
        )
    }),
);

// Hashes.
pub const fn hex(length: usize) -> ValueForm {
    form(
        "{} hexadecimal digits, lower-cased",
        str::to_ascii_lowercase,
        Hex(length),
    )
}
pub const fn certificate(length: usize) -> ValueForm {
    form(
        "{} hexadecimal digits, colons removed, lower-cased",
        normalise::fingerprint,
        Hex(length),
    )
}
pub const COMMIT: ValueForm = form("{} hexadecimal digits, as given", str::to_owned, Hex(40));
pub const HEX_TEXT: ValueForm = form(
    "hexadecimal digits, upper-cased",
    str::to_ascii_uppercase,
    Is(is_hex, FORMAT),
);
pub const TLSH: ValueForm = form(
    "36 or more hexadecimal digits, perhaps after a t; lower-cased",
    str::to_ascii_lowercase,
    Is(
        patterns::is_tlsh,
        "Checksum has an invalid length or format (expected: at least 35 hexadecimal \
         characters, optionally starting with t1 instead of hexadecimal characters). Please \
         double check the value or select type \"other\".",
    ),
);
pub const TELFHASH: ValueForm = form(
    "70 or 72 hexadecimal digits, lower-cased",
    str::to_ascii_lowercase,
    Is(
        |value| [70, 72].contains(&value.len()) && is_hex(value),
        "Checksum has an invalid length or format (expected: 70 or 72 hexadecimal characters). \
         Please double check the value or select type \"other\".",
    ),
);
pub const PEHASH: ValueForm = form(
    "40 hexadecimal digits, lower-cased",
    str::to_ascii_lowercase,
    Is(
        |value| value.len() == 40 && is_hex(value),
        "The input doesn't match the expected sha1 format (expected: 40 hexadecimal characters). \
         Keep in mind that MISP currently only supports SHA1 for PEhashes",
    ),
);
pub const SSDEEP: ValueForm = form(
    "blocksize:hash:hash",
    str::to_owned,
    Is(
        patterns::is_ssdeep,
        "Invalid SSDeep hash. The format has to be blocksize:hash:hash",
    ),
);
pub const IMPFUZZY: ValueForm = form(
    "imports:hash:hash",
    str::to_owned,
    Is(
        patterns::is_impfuzzy,
        "Invalid impfuzzy format. The format has to be imports:hash:hash",
    ),
);
pub const CDHASH: ValueForm = form(
    "40 or more hexadecimal digits, lower-cased",
    str::to_ascii_lowercase,
    Is(
        |value| value.len() >= 40 && patterns::is_lower_hex(value),
        "The input doesn't match the expected format (expected: 40 or more hexadecimal \
         characters)",
    ),
);
/// VirusTotal's own hash.
pub const VHASH: ValueForm = form("one line", str::to_ascii_lowercase, Is(is_line, FORMAT));
pub const SSH: ValueForm = form(
    "SHA256: and base64, or MD5",
    str::to_owned,
    Is(
        |value| patterns::SSH.matches(value),
        "SSH fingerprint must be in MD5 or SHA256 format.",
    ),
);

// A file's name and a hash.
pub const fn file_hex(length: usize) -> ValueForm {
    form(
        "file name of one line and {} hexadecimal digits, exactly one bar",
        lower_second_half,
        FileHex(length),
    )
}
pub const FILE_PEHASH: ValueForm = form(
    "file name of one line and 40 hexadecimal digits, exactly one bar",
    lower_second_half,
    Is(
        |value| is_file_hash(value, |hash| is_lower_hex_of(hash, 40)),
        "The input doesn't match the expected filename|sha1 format (expected: filename|40 \
         hexadecimal characters). Keep in mind that MISP currently only supports SHA1 for PEhashes",
    ),
);
pub const FILE_SSDEEP: ValueForm = form(
    "file name of one line and blocksize:hash:hash, exactly one bar",
    str::to_owned,
    Halves([
        (is_line, NAME_NEWLINE),
        (
            patterns::is_ssdeep,
            "Invalid ssdeep hash (expected: blocksize:hash:hash).",
        ),
    ]),
);
pub const FILE_TLSH: ValueForm = form(
    "file name of one line and TLSH, exactly one bar",
    lower_second_half,
    Halves([
        (is_line, NAME_NEWLINE),
        (
            patterns::is_tlsh,
            "TLSH hash has an invalid length or format (expected: filename|at least 35 \
             hexadecimal characters, optionally starting with t1 instead of hexadecimal \
             characters). Please double check the value or select type \"other\".",
        ),
    ]),
);
pub const FILE_VHASH: ValueForm = form(
    "file name of one line and any text, exactly one bar",
    lower_second_half,
    Is(
        |value| is_file_hash(value, |hash| !hash.is_empty() && is_line(hash)),
        "Checksum has an invalid length or format (expected: filename|string characters). Please \
         double check the value or select type \"other\".",
    ),
);
/// MISP's validator has no case for it and throws (recorded: 500, half an event stored).
pub const FILE_IMPFUZZY: ValueForm = form(
    "MISP fails on it: never sent",
    str::to_owned,
    Is(|_| false, "Unknown attribute type filename|impfuzzy."),
);
/// The MD5 is that of an attached file, and not looked at.
pub const SAMPLE: ValueForm = form(
    "file name of one line and MD5, exactly one bar",
    str::to_owned,
    ANY,
);

// Addresses and names.
pub const IP: ValueForm = form(
    "IPv4 or IPv6, perhaps with a range; refanged, IPv6 compressed, /32 and /128 dropped",
    |value| refang_and(value, normalise::address),
    Asks(|value, _| patterns::check_network(value)),
);
pub const IP_PORT: ValueForm = form(
    "one address and a port; every usual way of writing is read",
    |value| refang_and(value, normalise::address_and_port),
    Halves([(patterns::is_ip, ADDRESS), (patterns::is_port, PORT_RANGE)]),
);
pub const PORT: ValueForm = form(
    "1 to 65535",
    str::to_owned,
    Is(patterns::is_port, PORT_RANGE),
);
/// What names are made of.
const NAME: &str = "a name with a dot, last label of two or more; refanged, lower-cased, IDN as \
                    punycode, no dot at the end";
pub const DOMAIN: ValueForm = form(
    NAME,
    |value| refang_and(value, normalise::domain),
    Is(
        patterns::is_domain,
        "Domain has an invalid format. Please double check the value or select type \"other\".",
    ),
);
pub const HOSTNAME: ValueForm = form(
    NAME,
    |value| refang_and(value, normalise::domain),
    Is(
        patterns::is_domain,
        "Hostname has an invalid format. Please double check the value or select type \"other\".",
    ),
);
pub const HOSTNAME_PORT: ValueForm = form(
    "a name as in hostname, and a port",
    |value| refang_and(value, normalise::host_and_port),
    Halves([
        (patterns::is_domain, HOST_HALF),
        (patterns::is_port, PORT_RANGE),
    ]),
);
pub const DOMAIN_IP: ValueForm = form(
    "a name as in domain, and one address without a range",
    |value| refang_and(value, normalise::domain_and_address),
    Halves([
        (patterns::is_domain, DOMAIN_HALF),
        (patterns::is_ip, ADDRESS),
    ]),
);
/// MISP 2.5.1 and older take version 2 only.
pub const ONION: ValueForm = form(
    "16 or 56 letters and `.onion`, lower-cased; 56 only on a MISP newer than 2.5.1",
    str::to_ascii_lowercase,
    Asks(|value, is_newer| {
        require(
            patterns::is_onion(value) && (is_newer || value.len() == 22),
            "Onion address has an invalid format.",
        )
    }),
);
pub const MAC: ValueForm = form(
    "six pairs, lower-cased, with colons",
    normalise::mac,
    Is(|value| patterns::is_mac(value, 6), FORMAT),
);
pub const EUI_64: ValueForm = form(
    "eight pairs, lower-cased, with colons",
    normalise::mac,
    Is(|value| patterns::is_mac(value, 8), FORMAT),
);
pub const EMAIL: ValueForm = form(
    "no blank before the @, a dot after it; refanged, lower-cased",
    |value| refang::mail(value).to_ascii_lowercase(),
    Is(patterns::is_mail, MAIL),
);
/// `user@domain` that is no mail address.
pub const ACCOUNT: ValueForm = form(
    "no blank before the @, a dot after it",
    str::to_owned,
    Is(patterns::is_mail, MAIL),
);
pub const URL: ValueForm = form(
    "one line; hxxp, [.] and the like refanged",
    refang::url,
    ONE_LINE,
);
pub const LINK: ValueForm = form(
    "a URL with a scheme, ASCII, no blank; refanged",
    refang::url,
    Is(patterns::is_link, FORMAT),
);
pub const ASN: ValueForm = form(
    "up to 4294967295; AS removed, 1.10 is 65546",
    normalise::asn,
    Is(
        |value| is_digits(value) && value.parse::<u32>().is_ok(),
        "AS number have to be integer between 1 and 4294967295",
    ),
);

// Ids.
pub const VULNERABILITY: ValueForm = form(
    "CVE-…; on a MISP newer than 2.5.1 also GCVE, GHSA, PYSEC, RHSA, CNVD, JVNDB, CERTFR and \
     others",
    normalise::vulnerability,
    Asks(|value, is_newer| match is_newer {
        true => require(
            // Nearly all are, and need no regular expression.
            patterns::is_cve(value) || patterns::VULNERABILITY.matches(value),
            "Invalid vulnerability ID format.",
        ),
        false => require(
            patterns::is_cve(value),
            "Invalid format. Expected: CVE-xxxx-xxxx...",
        ),
    }),
);
pub const WEAKNESS: ValueForm = form(
    "CWE-…",
    |value| value.replace('–', "-").to_ascii_uppercase(),
    Is(patterns::is_cwe, "Invalid format. Expected: CWE-x..."),
);

// Numbers and times.
pub const TIME: ValueForm = form(
    "ISO 8601; microseconds and zone added",
    |value| normalise::datetime(value).unwrap_or_else(|| value.to_owned()),
    Is(
        |value| normalise::datetime(value).is_some(),
        "Datetime has to be in the ISO 8601 format.",
    ),
);
pub const WHOLE: ValueForm = form(
    "a whole number, 0 or more",
    str::to_owned,
    Is(
        is_digits,
        "The value has to be a whole number greater or equal 0.",
    ),
);
pub const INTEGER: ValueForm = form(
    "a whole number; not on MISP 2.5.1 and older",
    str::to_owned,
    Asks(|value, is_newer| {
        require(
            is_newer && value.parse::<i128>().is_ok(),
            "The value has to be an integer value.",
        )
    }),
);
pub const NUMBER: ValueForm = form("a number", str::to_owned, Is(is_number, FORMAT));
pub const CARD: ValueForm = form(
    "digits; anything else is removed",
    |value| value.replace(|c: char| !c.is_ascii_digit(), ""),
    Is(is_number, FORMAT),
);
/// A single zero is no number for MISP, as a MISP 2.5.1 showed for each of its types of phone
/// numbers.
pub const PHONE: ValueForm = form(
    "+ and digits; 00 is +, (0) and anything else is removed",
    normalise::phone,
    Is(|value| is_number(value) && value != "0", FORMAT),
);
pub const BANK: ValueForm = form(
    "letters and digits, upper-cased; anything else is removed",
    |value| {
        value
            .replace(|c: char| !c.is_ascii_alphanumeric(), "")
            .to_ascii_uppercase()
    },
    Is(is_alnum, FORMAT),
);
/// MISP takes any text but `false` and `0` for true (recorded).
pub const BOOL: ValueForm = form(
    "1 or 0; true and any text is 1, false is 0",
    |value| match value {
        "" | "0" => value.to_owned(),
        _ if value.eq_ignore_ascii_case("false") => "0".to_owned(),
        _ => "1".to_owned(),
    },
    Is(|value| value == "0" || value == "1", FORMAT),
);

fn is_alnum(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
