//! What stands in a certificate (X.509, RFC 5280), as far as a person needs it to tell what is
//! wrong. The bytes come from whoever answers: nothing in them may make us stumble, and nothing
//! here decides on trust.

use std::net::IpAddr;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::time::Time;

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

/// A certificate with the names by which it is linked to its issuer's.
pub struct ParsedCertificate {
    pub shown: ServerCertificate,
    pub subject: Name,
    pub issuer: Name,
}

/// The parts of a distinguished name that are shown.
const PARTS: [(&str, &str); 6] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.6", "C"),
];
/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 200;

/// Reads a certificate; none if it is not one.
pub fn parse(der: &[u8]) -> Option<ParsedCertificate> {
    // Old authorities have serial numbers that the standard allows no more.
    let certificate = CertificateInner::<Raw>::from_der(der).ok()?;
    let body = certificate.tbs_certificate();
    let (subject, issuer) = (body.subject().clone(), body.issuer().clone());
    let names = body.get_extension::<SubjectAltName>().ok().flatten();
    let names = names.iter().flat_map(|(_, names)| &names.0);
    let seconds = |time: Time| to_i64(time.to_unix_duration().as_secs());

    Some(ParsedCertificate {
        shown: ServerCertificate {
            subject: format_name(&subject),
            issuer: format_name(&issuer),
            names: names.filter_map(alternative_name).collect(),
            not_before: seconds(body.validity().not_before),
            not_after: seconds(body.validity().not_after),
        },
        subject,
        issuer,
    })
}

pub fn to_i64(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn alternative_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(to_printable(name.as_str())),
        GeneralName::IpAddress(address) => {
            let four = <[u8; 4]>::try_from(address.as_bytes()).map(IpAddr::from);
            let six = || <[u8; 16]>::try_from(address.as_bytes()).map(IpAddr::from);
            Some(four.or_else(|_| six()).ok()?.to_string())
        }
        _ => None,
    }
}

/// A distinguished name, in the order in which it is written.
fn format_name(name: &Name) -> String {
    let parts = name.iter().filter_map(|part| {
        let oid = part.oid.to_string();
        let (_, word) = PARTS.iter().find(|(number, _)| *number == oid)?;
        Some(format!("{word}={}", to_printable(&decode_text(part))))
    });

    let name = parts.collect::<Vec<_>>().join(", ");
    if name.is_empty() {
        "without a name".to_owned()
    } else {
        name.chars().take(LONGEST_NAME).collect()
    }
}

/// A text of one of the kinds that names are written in.
fn decode_text(part: &AttributeTypeAndValue) -> String {
    let bytes = part.value.value();
    match part.value.tag() {
        // Read as Latin-1, which is what is written there in practice.
        Tag::TeletexString => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Tag::BmpString => {
            let (units, _) = bytes.as_chunks();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            String::from_utf16_lossy(&units.collect::<Vec<_>>())
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A text that fits into a line and does nothing to a terminal.
fn to_printable(text: &str) -> String {
    let text = text.replace(char::is_control, "\u{fffd}");
    text.chars().take(LONGEST_NAME).collect()
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

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&bytes));
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
    fn every_authority_of_the_web_can_be_read() {
        let mut all = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        assert!(all.all(|der| parse(der).is_some_and(|read| read.shown.not_after > 0)));
    }

    #[test]
    fn a_cut_certificate_is_none() {
        let der = make_certificate();
        assert!((0..der.len()).all(|length| parse(&der[..length]).is_none()));
    }
}
