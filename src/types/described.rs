//! The forms of `misp_types.rs` in words, for the published page. The rules themselves are in
//! `normalise.rs` and `validate.rs`.

use std::borrow::Cow;

use super::misp_types::{MispType, ValueFormat};

/// What MISP makes of a value of this form, and what it demands of it.
pub(super) fn describe_form(form: ValueFormat) -> Cow<'static, str> {
    if let Some(words) = describe_sized_form(form) {
        return Cow::Owned(words);
    }
    Cow::Borrowed(match form {
        ValueFormat::Mac(6) => "six pairs, lower-cased, with colons",
        ValueFormat::Mac(_) => "eight pairs, lower-cased, with colons",
        ValueFormat::Text => "any text",
        ValueFormat::Line | ValueFormat::Vhash => "one line",
        ValueFormat::Lower => "lower-cased",
        ValueFormat::HexText => "hexadecimal digits, upper-cased",
        ValueFormat::Tlsh => "36 or more hexadecimal digits, perhaps after a t; lower-cased",
        ValueFormat::Telfhash => "70 or 72 hexadecimal digits, lower-cased",
        ValueFormat::Ssdeep => "blocksize:hash:hash",
        ValueFormat::Impfuzzy => "imports:hash:hash",
        ValueFormat::Cdhash => "40 or more hexadecimal digits, lower-cased",
        ValueFormat::Ssh => "SHA256: and base64, or MD5",
        ValueFormat::FileImpfuzzy => "MISP fails on it: never sent",
        ValueFormat::RegistryValue => "one line, exactly one bar",
        ValueFormat::Ip => {
            "IPv4 or IPv6, perhaps with a range; refanged, IPv6 compressed, /32 and /128 dropped"
        }
        ValueFormat::IpPort => "one address and a port; every usual way of writing is read",
        ValueFormat::Port => "1 to 65535",
        ValueFormat::Domain | ValueFormat::Hostname => {
            "a name with a dot, last label of two or more; refanged, lower-cased, IDN as punycode, no dot at the end"
        }
        ValueFormat::HostnamePort => "a name as in hostname, and a port",
        ValueFormat::DomainIp => "a name as in domain, and one address without a range",
        ValueFormat::Onion => {
            "16 or 56 letters and `.onion`, lower-cased; 56 only on a MISP newer than 2.5.1"
        }
        ValueFormat::Email => "no blank before the @, a dot after it; refanged, lower-cased",
        ValueFormat::Account => "no blank before the @, a dot after it",
        ValueFormat::Url => "one line; hxxp, [.] and the like refanged",
        ValueFormat::Link => "a URL with a scheme, ASCII, no blank; refanged",
        ValueFormat::HttpMethod => "a method of HTTP or WebDAV, upper-cased",
        ValueFormat::As => "up to 4294967295; AS removed, 1.10 is 65546",
        ValueFormat::Vulnerability => {
            "CVE-…; on a MISP newer than 2.5.1 also GCVE, GHSA, PYSEC, RHSA, CNVD, JVNDB, CERTFR and others"
        }
        ValueFormat::Weakness => "CWE-…",
        ValueFormat::Service => "up to 256 bytes, no slash",
        ValueFormat::Time => "ISO 8601; microseconds and zone added",
        ValueFormat::Whole => "a whole number, 0 or more",
        ValueFormat::Integer => "a whole number; not on MISP 2.5.1 and older",
        ValueFormat::Number => "a number",
        ValueFormat::Card => "digits; anything else is removed",
        ValueFormat::Phone => "+ and digits; 00 is +, (0) and anything else is removed",
        ValueFormat::Alnum => "letters and digits",
        ValueFormat::Bank => "letters and digits, upper-cased; anything else is removed",
        ValueFormat::Bool => "1 or 0; true and any text is 1, false is 0",
        ValueFormat::Json => "JSON",
        ValueFormat::Uuid => "a UUID",
        _ => "",
    })
}

/// The forms that have a number or a file name in them.
fn describe_sized_form(form: ValueFormat) -> Option<String> {
    let hex = |length, how| Some(format!("{length} hexadecimal digits, {how}"));
    let file = |hash: &str| Some(format!("file name of one line and {hash}, exactly one bar"));
    match form {
        ValueFormat::Hex(length) => hex(length, "lower-cased"),
        ValueFormat::Pehash => hex(40, "lower-cased"),
        ValueFormat::Commit => hex(40, "as given"),
        ValueFormat::Certificate(length) => hex(length, "colons removed, lower-cased"),
        ValueFormat::FileHex(length) => file(&format!("{length} hexadecimal digits")),
        ValueFormat::FilePehash => file("40 hexadecimal digits"),
        ValueFormat::FileSsdeep => file("blocksize:hash:hash"),
        ValueFormat::FileTlsh => file("TLSH"),
        ValueFormat::FileVhash => file("any text"),
        ValueFormat::Sample => file("MD5"),
        _ => None,
    }
}

/// A value as values of a type usually look.
pub(super) fn sample_value(row: &MispType) -> String {
    match row.form {
        ValueFormat::Hex(length) | ValueFormat::Certificate(length) => "a".repeat(length),
        ValueFormat::Commit | ValueFormat::Pehash | ValueFormat::Cdhash => "a".repeat(40),
        ValueFormat::Tlsh => format!("t1{}", "a".repeat(70)),
        ValueFormat::Telfhash => "a".repeat(70),
        ValueFormat::Ssdeep | ValueFormat::Impfuzzy => "3:a:b".to_owned(),
        ValueFormat::Ssh => format!("SHA256:{}", "a".repeat(43)),
        ValueFormat::Ip => "192.0.2.1".to_owned(),
        ValueFormat::Domain | ValueFormat::Hostname => "www.example.org".to_owned(),
        ValueFormat::Onion => format!("{}.onion", "a".repeat(16)),
        ValueFormat::Url | ValueFormat::Link => "https://www.example.org/".to_owned(),
        _ => "x".to_owned(),
    }
}
