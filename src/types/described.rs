//! The forms of `table.rs` in words, for the published page. The rules themselves are in
//! `normalise.rs` and `validate.rs`.

use std::borrow::Cow;

use super::table::{Form, Row};

/// What MISP makes of a value of this form, and what it demands of it.
pub(super) fn described(form: Form) -> Cow<'static, str> {
    if let Some(words) = counted(form) {
        return Cow::Owned(words);
    }
    Cow::Borrowed(match form {
        Form::Mac(6) => "six pairs, lower-cased, with colons",
        Form::Mac(_) => "eight pairs, lower-cased, with colons",
        Form::Text => "any text",
        Form::Line | Form::Vhash => "one line",
        Form::Lower => "lower-cased",
        Form::HexText => "hexadecimal digits, upper-cased",
        Form::Tlsh => "36 or more hexadecimal digits, perhaps after a t; lower-cased",
        Form::Telfhash => "70 or 72 hexadecimal digits, lower-cased",
        Form::Ssdeep => "blocksize:hash:hash",
        Form::Impfuzzy => "imports:hash:hash",
        Form::Cdhash => "40 or more hexadecimal digits, lower-cased",
        Form::Ssh => "SHA256: and base64, or MD5",
        Form::FileImpfuzzy => "MISP fails on it: never sent",
        Form::RegistryValue => "one line, exactly one bar",
        Form::Ip => "IPv4 or IPv6, perhaps with a range; refanged, IPv6 compressed, /32 and /128 dropped",
        Form::IpPort => "one address and a port; every usual way of writing is read",
        Form::Port => "1 to 65535",
        Form::Domain | Form::Hostname => {
            "a name with a dot, last label of two or more; refanged, lower-cased, IDN as punycode, no dot at the end"
        }
        Form::HostnamePort => "a name as in hostname, and a port",
        Form::DomainIp => "a name as in domain, and one address without a range",
        Form::Onion => "16 or 56 letters and `.onion`, lower-cased; 56 only on a MISP newer than 2.5.1",
        Form::Email => "no blank before the @, a dot after it; refanged, lower-cased",
        Form::Account => "no blank before the @, a dot after it",
        Form::Url => "one line; hxxp, [.] and the like refanged",
        Form::Link => "a URL with a scheme, ASCII, no blank; refanged",
        Form::HttpMethod => "a method of HTTP or WebDAV, upper-cased",
        Form::As => "up to 4294967295; AS removed, 1.10 is 65546",
        Form::Vulnerability => {
            "CVE-…; on a MISP newer than 2.5.1 also GCVE, GHSA, PYSEC, RHSA, CNVD, JVNDB, CERTFR and others"
        }
        Form::Weakness => "CWE-…",
        Form::Service => "up to 256 bytes, no slash",
        Form::Time => "ISO 8601; microseconds and zone added",
        Form::Whole => "a whole number, 0 or more",
        Form::Integer => "a whole number; not on MISP 2.5.1 and older",
        Form::Number => "a number",
        Form::Card => "digits; anything else is removed",
        Form::Phone => "+ and digits; 00 is +, (0) and anything else is removed",
        Form::Alnum => "letters and digits",
        Form::Bank => "letters and digits, upper-cased; anything else is removed",
        Form::Bool => "1 or 0; true and any text is 1, false is 0",
        Form::Json => "JSON",
        Form::Uuid => "a UUID",
        _ => "",
    })
}

/// The forms that have a number or a file name in them.
fn counted(form: Form) -> Option<String> {
    let hex = |length, how| Some(format!("{length} hexadecimal digits, {how}"));
    let file = |hash: &str| Some(format!("file name of one line and {hash}, exactly one bar"));
    match form {
        Form::Hex(length) => hex(length, "lower-cased"),
        Form::Pehash => hex(40, "lower-cased"),
        Form::Commit => hex(40, "as given"),
        Form::Certificate(length) => hex(length, "colons removed, lower-cased"),
        Form::FileHex(length) => file(&format!("{length} hexadecimal digits")),
        Form::FilePehash => file("40 hexadecimal digits"),
        Form::FileSsdeep => file("blocksize:hash:hash"),
        Form::FileTlsh => file("TLSH"),
        Form::FileVhash => file("any text"),
        Form::Sample => file("MD5"),
        _ => None,
    }
}

/// A value as values of a type usually look.
pub(super) fn sample(row: &Row) -> String {
    match row.form {
        Form::Hex(length) | Form::Certificate(length) => "a".repeat(length),
        Form::Commit | Form::Pehash | Form::Cdhash => "a".repeat(40),
        Form::Tlsh => format!("t1{}", "a".repeat(70)),
        Form::Telfhash => "a".repeat(70),
        Form::Ssdeep | Form::Impfuzzy => "3:a:b".to_owned(),
        Form::Ssh => format!("SHA256:{}", "a".repeat(43)),
        Form::Ip => "192.0.2.1".to_owned(),
        Form::Domain | Form::Hostname => "www.example.org".to_owned(),
        Form::Onion => format!("{}.onion", "a".repeat(16)),
        Form::Url | Form::Link => "https://www.example.org/".to_owned(),
        _ => "x".to_owned(),
    }
}
