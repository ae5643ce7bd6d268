//! What stands in a certificate (X.509, RFC 5280), as far as a person needs it to tell what is
//! wrong. The bytes come from whoever answers: nothing in them may make us stumble, and nothing
//! here decides on trust.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::civil::Date;

use crate::time::DAY;

/// What a server shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Whose it is: `CN=misp.example.org, O=Example`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The host names and addresses that it is for.
    pub names: Vec<String>,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
}

/// A certificate with the raw names by which it is linked to its issuer's.
#[derive(Clone, Debug)]
pub(super) struct ParsedCertificate<'a> {
    pub(super) shown: ServerCertificate,
    pub(super) subject: &'a [u8],
    pub(super) issuer: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// The parts of a distinguished name that are shown, with the last byte of their identifiers,
/// 2.5.4.x.
const PARTS: [(u8, &str); 6] = [
    (3, "CN"),
    (10, "O"),
    (11, "OU"),
    (7, "L"),
    (8, "ST"),
    (6, "C"),
];
/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 200;

/// Reads a certificate; none if it is not one.
pub(super) fn parse(der: &[u8]) -> Option<ParsedCertificate<'_>> {
    let mut body =
        DerReader(DerReader(DerReader(der).next_with_tag(SEQUENCE)?).next_with_tag(SEQUENCE)?);
    body.skip_if_tag(VERSION);
    let _serial = body.next()?;
    let _algorithm = body.next_with_tag(SEQUENCE)?;
    let issuer = body.next_with_tag(SEQUENCE)?;
    let mut validity = DerReader(body.next_with_tag(SEQUENCE)?);
    let subject = body.next_with_tag(SEQUENCE)?;
    let _key = body.next_with_tag(SEQUENCE)?;
    let mut names = Vec::new();
    while let Some((tag, value)) = body.next() {
        if tag == EXTENSIONS {
            names = alternative_names(value).unwrap_or_default();
        }
    }

    let (not_before, not_after) = (parse_time(validity.next()?)?, parse_time(validity.next()?)?);
    let shown = ServerCertificate {
        subject: format_name(subject),
        issuer: format_name(issuer),
        names,
        not_before,
        not_after,
    };

    Some(ParsedCertificate {
        shown,
        subject,
        issuer,
    })
}

/// What is left of a text in DER, as its values come.
#[derive(Clone, Copy)]
struct DerReader<'a>(&'a [u8]);

impl<'a> DerReader<'a> {
    /// The next value with its tag. Lengths of more than three bytes are none that a handshake can
    /// carry.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (length, rest): (usize, &[u8]) = match self.0 {
            [_, length @ 0..=0x7f, rest @ ..] => ((*length).into(), rest),
            [_, 0x81, length, rest @ ..] => ((*length).into(), rest),
            [_, 0x82, a, b, rest @ ..] => (u16::from_be_bytes([*a, *b]).into(), rest),
            [_, 0x83, a, b, c, rest @ ..] => {
                (u32::from_be_bytes([0, *a, *b, *c]).try_into().ok()?, rest)
            }
            _ => return None,
        };

        let (tag, (value, rest)) = (*self.0.first()?, rest.split_at_checked(length)?);
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value, which must have this tag.
    fn next_with_tag(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next()
            .and_then(|(tag, value)| (tag == wanted).then_some(value))
    }

    /// Passes over the next value if it has this tag.
    fn skip_if_tag(&mut self, tag: u8) {
        let mut ahead = *self;
        if ahead.next_with_tag(tag).is_some() {
            *self = ahead;
        }
    }
}

impl<'a> Iterator for DerReader<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Self::next(self)
    }
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = DerReader(DerReader(extensions).next_with_tag(SEQUENCE)?);
    let names = extensions.find_map(|(_, extension)| {
        let mut extension = DerReader(extension);
        let is_it = extension.next_with_tag(OID)? == SUBJECT_ALT_NAME;
        // Whether it is critical may stand between its name and its value.
        is_it.then(|| extension.last())?.map(|(_, value)| value)
    })?;

    let names = DerReader(DerReader(names).next_with_tag(SEQUENCE)?);
    Some(
        names
            .filter_map(|(tag, value)| alternative_name(tag, value))
            .collect(),
    )
}

fn alternative_name(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => Some(to_printable(&String::from_utf8_lossy(value))),
        IP_ADDRESS => {
            let four = <[u8; 4]>::try_from(value)
                .ok()
                .map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
            let six = || {
                <[u8; 16]>::try_from(value)
                    .ok()
                    .map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)))
            };

            four.or_else(six).map(|address| address.to_string())
        }
        _ => None,
    }
}

/// A distinguished name, in the order in which it is written.
fn format_name(name: &[u8]) -> String {
    let pairs = DerReader(name).flat_map(|(_, set)| DerReader(set));

    let parts = pairs.filter_map(|(_, pair)| {
        let mut pair = DerReader(pair);
        let [0x55, 0x04, last] = pair.next_with_tag(OID)? else {
            return None;
        };
        let (_, word) = PARTS.iter().find(|(number, _)| number == last)?;
        let (tag, value) = pair.next()?;
        Some(format!("{word}={}", to_printable(&decode_text(tag, value))))
    });

    let name = parts.collect::<Vec<_>>().join(", ");
    if name.is_empty() {
        "without a name".to_owned()
    } else {
        name.chars().take(LONGEST_NAME).collect()
    }
}

/// A text of one of the kinds that names are written in.
fn decode_text(tag: u8, value: &[u8]) -> String {
    const TELETEX: u8 = 0x14;
    const BMP: u8 = 0x1e;

    match tag {
        TELETEX => value.iter().map(|byte| char::from(*byte)).collect(),
        BMP => {
            let units = value
                .as_chunks::<2>()
                .0
                .iter()
                .map(|unit| u16::from_be_bytes(*unit));
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

/// A text that fits into a line and does nothing to a terminal.
fn to_printable(text: &str) -> String {
    text.chars()
        .take(LONGEST_NAME)
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// A moment: `YYMMDDhhmmssZ` of the years 1950 to 2049, or with the whole year.
fn parse_time((tag, value): (u8, &[u8])) -> Option<i64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;

    let digits = value.strip_suffix(b"Z")?;
    let number = |from: usize, length: usize| {
        let digits = digits
            .get(from..from + length)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
    };

    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (
            number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?,
            2,
        ),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };

    let at = |index: usize| number(rest + 2 * index, 2);
    let day = Date::new(
        year.try_into().ok()?,
        at(0)?.try_into().ok()?,
        at(1)?.try_into().ok()?,
    )
    .ok()?;

    let days = day.since(Date::constant(1970, 1, 1)).ok()?.get_days();

    Some(i64::from(days) * DAY + at(2)? * 3_600 + at(3)? * 60 + at(4)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType, date_time_ymd,
    };

    fn make_certificate() -> Vec<u8> {
        let mut params =
            CertificateParams::new(["misp.example.org".to_owned(), "*.example.org".to_owned()])
                .unwrap();
        params
            .subject_alt_names
            .push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
        params
            .subject_alt_names
            .push(SanType::IpAddress("2001:db8::7".parse().unwrap()));
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "LU");
        name.push(
            DnType::OrganizationName,
            DnValue::BmpString("Ünïon".try_into().unwrap()),
        );
        name.push(DnType::CommonName, "misp\n\u{1b}[1m");
        params.distinguished_name = name;
        (params.not_before, params.not_after) =
            (date_time_ymd(1999, 12, 31), date_time_ymd(9999, 12, 31));

        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn a_certificate_is_read() {
        let der = make_certificate();
        let read = parse(&der).unwrap();
        let name = "C=LU, O=Ünïon, CN=misp\u{fffd}\u{fffd}[1m";
        assert_eq!(
            (read.shown.subject.as_str(), read.shown.issuer.as_str()),
            (name, name)
        );

        assert_eq!(
            read.shown.names,
            [
                "misp.example.org",
                "*.example.org",
                "192.0.2.7",
                "2001:db8::7"
            ]
        );

        assert_eq!(
            (read.shown.not_before, read.shown.not_after),
            (946_598_400, 253_402_214_400)
        );
        assert_eq!(read.subject, read.issuer);
    }

    #[test]
    fn moments_are_those_of_the_standard() {
        assert_eq!(parse_time((0x17, b"491231235959Z")), Some(2_524_607_999));
        assert_eq!(parse_time((0x17, b"500101000000Z")), Some(-631_152_000));
        assert_eq!(
            parse_time((0x18, b"99991231235959Z")),
            Some(253_402_300_799)
        );

        for bad in [
            &b"4912312359Z"[..],
            b"491331235959Z",
            b"49123123595+Z",
            b"491231235959",
            b"",
        ] {
            assert_eq!(parse_time((0x17, bad)), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&bytes));
            drop(alternative_names(&bytes));
            drop(format_name(&bytes));
        }

        #[test]
        fn a_broken_certificate_is_read_or_not(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut der = make_certificate();
            let at = at.index(der.len());
            der[at] = byte;
            drop(parse(&der));
        }
    }

    #[test]
    fn a_cut_certificate_is_none() {
        let der = make_certificate();
        assert!((0..der.len()).all(|length| parse(&der[..length]).is_none()));
    }
}
