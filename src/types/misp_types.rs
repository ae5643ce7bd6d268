//! The 194 attribute types of MISP: how each is written, what it becomes in TheHive, which
//! categories take it. The other direction is in `observable_types.rs`; what a form means is in
//! `forms.rs`.
//!
//! Types, categories and defaults are those of MISP's `describeTypes`, newest version; the forms
//! follow MISP's AttributeValidationTool.php.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::forms::*;
use ObservableTarget::*;

/// One MISP attribute type.
#[derive(Debug)]
pub struct MispType {
    /// Its name, such as `ip-dst|port`.
    pub kind: &'static str,
    /// How a value is written and checked.
    pub form: ValueForm,
    /// What it becomes in TheHive.
    pub import: ObservableTarget,
    /// The categories that take it; the first is MISP's default.
    pub categories: &'static [&'static str],
}

impl MispType {
    /// MISP's default category for the type.
    pub fn default_category(&self) -> &'static str {
        self.categories.first().copied().unwrap_or(OT)
    }

    /// Whether the value is two values joined by `|`.
    pub fn is_composite(&self) -> bool {
        self.halves().is_some()
    }

    /// The MISP types of a composite's halves; of a port, which is no observable, none.
    pub fn halves(&self) -> Option<(&'static str, Option<&'static str>)> {
        match self.import {
            Halves(left, right) => Some((left, Some(right))),
            Ported(left) => Some((left, None)),
            Is(_) | Other => None,
        }
    }

    /// The observable type that the values become by rights.
    pub fn observable_type(&self) -> Option<&'static str> {
        match self.import {
            Is(data_type) => Some(data_type),
            Other | Halves(..) | Ported(_) => None,
        }
    }
}

/// What an attribute becomes in TheHive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservableTarget {
    /// One observable of this type.
    Is(&'static str),
    /// One observable `other` that says its MISP type, unless TheHive has a type for it.
    Other,
    /// Two observables: what these MISP types become.
    Halves(&'static str, &'static str),
    /// One observable, what this MISP type becomes; the port stands in its tag.
    Ported(&'static str),
}

/// The row of a MISP type, by its exact name.
pub fn find_row(kind: &str) -> Option<&'static MispType> {
    TABLE.get(find_place(kind)?)
}

/// The place of a MISP type in the table.
pub fn find_place(kind: &str) -> Option<usize> {
    // Every attribute of an import is looked up; a binary search would compare eight names.
    static PLACES: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
        let kinds = TABLE.iter().map(|row| row.kind);
        kinds.zip(0..).collect()
    });
    PLACES.get(kind).copied()
}

/// A category of MISP by its exact name.
pub fn find_category(name: &str) -> Option<&'static str> {
    CATEGORIES.into_iter().find(|known| *known == name)
}

const IR: &str = "Internal reference";
const TD: &str = "Targeting data";
const AV: &str = "Antivirus detection";
const PD: &str = "Payload delivery";
const AD: &str = "Artifacts dropped";
const PI: &str = "Payload installation";
const PM: &str = "Persistence mechanism";
const NA: &str = "Network activity";
const PT: &str = "Payload type";
const AT: &str = "Attribution";
const EA: &str = "External analysis";
const FF: &str = "Financial fraud";
const ST: &str = "Support Tool";
const SN: &str = "Social network";
const PE: &str = "Person";
const OT: &str = "Other";
/// The categories of MISP.
pub const CATEGORIES: [&str; 16] = [
    OT, IR, TD, AV, PD, AD, PI, PM, NA, PT, AT, EA, FF, ST, SN, PE,
];
const ALL_BUT_TARGETS: [&str; 15] = [OT, IR, AV, PD, AD, PI, PM, NA, PT, AT, EA, FF, ST, SN, PE];

const fn new(
    kind: &'static str,
    form: ValueForm,
    import: ObservableTarget,
    categories: &'static [&'static str],
) -> MispType {
    MispType {
        kind,
        form,
        import,
        categories,
    }
}

/// Every type, sorted by name.
#[rustfmt::skip] // one row a line
pub static TABLE: [MispType; 194] = [
    new("AS", ASN, Is("autonomous-system"), &[NA, PD, EA]),
    new("aba-rtn", NUMBER, Other, &[FF]),
    new("anonymised", LOWER, Other, &CATEGORIES),
    new("attachment", TEXT, Is("filename"), &[EA, AV, PD, AD, PI, NA, ST]),
    new("authentihash", hex(64), Is("hash"), &[PD, AD, PI]),
    new("azure-application-id", LINE, Other, &[PD, PI]),
    new("bank-account-nr", NUMBER, Other, &[FF]),
    new("bic", BANK, Other, &[FF]),
    new("bin", CARD, Other, &[FF]),
    new("boolean", BOOL, Other, &[OT]),
    new("bro", TEXT, Other, &[NA, EA]),
    new("btc", ALNUM, Other, &[FF]),
    new("campaign-id", LINE, Other, &[AT]),
    new("campaign-name", LINE, Other, &[AT]),
    new("cc-number", CARD, Other, &[FF]),
    new("cdhash", CDHASH, Is("hash"), &[PD, AD, PI]),
    new("chrome-extension-id", LINE, Other, &[PD, PI]),
    new("comment", TEXT, Other, &CATEGORIES),
    new("community-id", TEXT, Other, &[NA, EA]),
    new("cookie", TEXT, Other, &[NA, AD]),
    new("cortex", JSON, Other, &[EA]),
    new("counter", WHOLE, Other, &[OT]),
    new("country-of-residence", LINE, Other, &[PE]),
    new("cpe", TEXT, Other, &[EA, PD, PI, OT]),
    new("dash", ALNUM, Other, &[FF]),
    new("date-of-birth", LINE, Other, &[PE]),
    new("datetime", TIME, Other, &[OT]),
    new("dkim", LINE, Other, &[NA]),
    new("dkim-signature", LINE, Other, &[NA]),
    new("dns-soa-email", ACCOUNT, Is("mail"), &[AT]),
    new("dom-hash", hex(32), Is("hash"), &[NA, EA]),
    new("domain", DOMAIN, Is("domain"), &[NA, PD, EA]),
    new("domain|ip", DOMAIN_IP, Halves("domain", "ip-dst"), &[NA, EA]),
    new("edge-extension-id", LINE, Other, &[PD, PI]),
    new("email", EMAIL, Is("mail"), &[SN, PD, NA, AT, PE]),
    new("email-attachment", TEXT, Other, &[PD]),
    new("email-body", TEXT, Other, &[PD]),
    new("email-dst", EMAIL, Is("mail"), &[NA, PD, SN]),
    new("email-dst-display-name", LINE, Other, &[PD]),
    new("email-header", TEXT, Other, &[PD]),
    new("email-message-id", LINE, Other, &[PD]),
    new("email-mime-boundary", LINE, Other, &[PD]),
    new("email-reply-to", LINE, Is("mail"), &[PD]),
    new("email-src", EMAIL, Is("mail"), &[PD, NA, SN]),
    new("email-src-display-name", LINE, Other, &[PD]),
    new("email-subject", LINE, Is("mail-subject"), &[PD, NA]),
    new("email-thread-index", LINE, Other, &[PD]),
    new("email-x-mailer", LINE, Other, &[PD]),
    new("eppn", ACCOUNT, Other, &[NA, SN]),
    new("favicon-mmh3", LINE, Is("hash"), &[NA]),
    new("filename", LINE, Is("filename"), &[PD, AD, PI, PM, EA]),
    new("filename-pattern", TEXT, Other, &[PI, PD, AD, NA, EA]),
    new("filename|authentihash", file_hex(64), Halves("filename", "authentihash"), &[PD, AD, PI]),
    new("filename|impfuzzy", FILE_IMPFUZZY, Halves("filename", "impfuzzy"), &[PD, AD, PI]),
    new("filename|imphash", file_hex(32), Halves("filename", "imphash"), &[PD, AD, PI]),
    new("filename|md5", file_hex(32), Halves("filename", "md5"), &[PD, AD, PI, EA]),
    new("filename|pehash", FILE_PEHASH, Halves("filename", "pehash"), &[PD, AD, PI]),
    new("filename|sha1", file_hex(40), Halves("filename", "sha1"), &[PD, AD, PI, EA]),
    new("filename|sha224", file_hex(56), Halves("filename", "sha224"), &[PD, AD, PI]),
    new("filename|sha256", file_hex(64), Halves("filename", "sha256"), &[PD, AD, PI, EA]),
    new("filename|sha3-224", file_hex(56), Halves("filename", "sha3-224"), &[PD, AD, PI, EA]),
    new("filename|sha3-256", file_hex(64), Halves("filename", "sha3-256"), &[PD, AD, PI, EA]),
    new("filename|sha3-384", file_hex(96), Halves("filename", "sha3-384"), &[PD, AD, PI, EA]),
    new("filename|sha3-512", file_hex(128), Halves("filename", "sha3-512"), &[PD, AD, PI, EA]),
    new("filename|sha384", file_hex(96), Halves("filename", "sha384"), &[PD, AD, PI]),
    new("filename|sha512", file_hex(128), Halves("filename", "sha512"), &[PD, AD, PI]),
    new("filename|sha512/224", file_hex(56), Halves("filename", "sha512/224"), &[PD, AD, PI]),
    new("filename|sha512/256", file_hex(64), Halves("filename", "sha512/256"), &[PD, AD, PI]),
    new("filename|ssdeep", FILE_SSDEEP, Halves("filename", "ssdeep"), &[PD, AD, PI]),
    new("filename|tlsh", FILE_TLSH, Halves("filename", "tlsh"), &[PD, AD, PI]),
    new("filename|vhash", FILE_VHASH, Halves("filename", "vhash"), &[PD, AD, PI]),
    new("first-name", TEXT, Other, &[PE]),
    new("float", NUMBER, Other, &[OT]),
    new("frequent-flyer-number", LINE, Other, &[PE]),
    new("full-name", TEXT, Other, &[PE]),
    new("gender", LINE, Other, &[PE]),
    new("gene", TEXT, Other, &[AD]),
    new("git-commit-id", COMMIT, Is("hash"), &[IR]),
    new("github-organisation", LINE, Other, &[SN]),
    new("github-repository", LINE, Other, &[SN, EA]),
    new("github-username", LINE, Other, &[SN]),
    new("hassh-md5", hex(32), Is("hash"), &[NA, PD, EA]),
    new("hasshserver-md5", hex(32), Is("hash"), &[NA, PD, EA]),
    new("hex", HEX_TEXT, Other, &[OT, IR, AV, PD, AD, PI, PM, NA, FF, ST]),
    new("hostname", HOSTNAME, Is("hostname"), &[NA, PD, EA]),
    new("hostname|port", HOSTNAME_PORT, Ported("hostname"), &[NA, PD]),
    new("http-method", HTTP_METHOD, Other, &[NA]),
    new("iban", BANK, Other, &[FF]),
    new("identity-card-number", TEXT, Other, &[PE]),
    new("impfuzzy", IMPFUZZY, Is("hash"), &[PD, AD, PI]),
    new("imphash", hex(32), Is("hash"), &[PD, AD, PI]),
    new("integer", INTEGER, Other, &[OT]),
    new("ip-dst", IP, Is("ip"), &[NA, PD, EA]),
    new("ip-dst|port", IP_PORT, Ported("ip-dst"), &[NA, PD, EA]),
    new("ip-src", IP, Is("ip"), &[NA, PD, EA]),
    new("ip-src|port", IP_PORT, Ported("ip-src"), &[NA, PD, EA]),
    new("issue-date-of-the-visa", LINE, Other, &[PE]),
    new("ja3-fingerprint-md5", hex(32), Is("hash"), &[NA, PD, EA]),
    new("jabber-id", ACCOUNT, Other, &[SN]),
    new("jarm-fingerprint", hex(62), Is("hash"), &[NA, PD, EA]),
    new("kusto-query", TEXT, Other, &[AD]),
    new("last-name", TEXT, Other, &[PE]),
    new("link", LINK, Is("url"), &[EA, IR, AV, PD, ST]),
    new("mac-address", MAC, Other, &[NA, PD, EA]),
    new("mac-eui-64", EUI_64, Other, &[NA, PD, EA]),
    new("malware-sample", SAMPLE, Halves("filename", "md5"), &[PD, AD, PI, EA]),
    new("malware-type", LINE, Other, &[PD, PI]),
    new("md5", hex(32), Is("hash"), &[PD, AD, PI, EA]),
    new("middle-name", TEXT, Other, &[PE]),
    new("mime-type", TEXT, Other, &[AD, PD, PI]),
    new("mobile-application-id", LINE, Other, &[PD, PI]),
    new("mutex", TEXT, Other, &[AD]),
    new("named pipe", LINE, Other, &[AD]),
    new("nationality", LINE, Other, &[PE]),
    new("onion-address", ONION, Is("domain"), &[NA, PD, EA]),
    new("other", TEXT, Other, &ALL_BUT_TARGETS),
    new("passenger-name-record-locator-number", LINE, Other, &[PE]),
    new("passport-country", LINE, Other, &[PE]),
    new("passport-expiration", LINE, Other, &[PE]),
    new("passport-number", LINE, Other, &[PE]),
    new("pattern-in-file", TEXT, Other, &[PI, PD, AD, NA, EA]),
    new("pattern-in-memory", TEXT, Other, &[PI, AD, EA]),
    new("pattern-in-traffic", TEXT, Other, &[NA, PD, PI, EA]),
    new("payment-details", LINE, Other, &[PE]),
    new("pdb", LINE, Is("filename"), &[AD]),
    new("pehash", PEHASH, Is("hash"), &[PD, PI]),
    new("pgp-private-key", TEXT, Other, &[PE, AD, SN, OT]),
    new("pgp-public-key", TEXT, Other, &[PE, AD, SN, OT]),
    new("phone-number", PHONE, Other, &[PE, FF, OT]),
    new("place-of-birth", LINE, Other, &[PE]),
    new("place-port-of-clearance", LINE, Other, &[PE]),
    new("place-port-of-onward-foreign-destination", LINE, Other, &[PE]),
    new("place-port-of-original-embarkation", LINE, Other, &[PE]),
    new("port", PORT, Other, &[NA, OT]),
    new("primary-residence", LINE, Other, &[PE]),
    new("process-state", TEXT, Other, &[AD]),
    new("prtn", PHONE, Other, &[FF]),
    new("redress-number", LINE, Other, &[PE]),
    new("regkey", LINE, Is("registry"), &[PM, AD, EA]),
    new("regkey|value", REGISTRY_VALUE, Halves("regkey", "other"), &[PM, AD, EA]),
    new("sha1", hex(40), Is("hash"), &[PD, AD, PI, EA]),
    new("sha224", hex(56), Is("hash"), &[PD, AD, PI]),
    new("sha256", hex(64), Is("hash"), &[PD, AD, PI, EA]),
    new("sha3-224", hex(56), Is("hash"), &[PD, AD, PI, EA]),
    new("sha3-256", hex(64), Is("hash"), &[PD, AD, PI, EA]),
    new("sha3-384", hex(96), Is("hash"), &[PD, AD, PI, EA]),
    new("sha3-512", hex(128), Is("hash"), &[PD, AD, PI, EA]),
    new("sha384", hex(96), Is("hash"), &[PD, AD, PI]),
    new("sha512", hex(128), Is("hash"), &[PD, AD, PI]),
    new("sha512/224", hex(56), Is("hash"), &[PD, AD, PI]),
    new("sha512/256", hex(64), Is("hash"), &[PD, AD, PI]),
    new("sigma", TEXT, Other, &[PI, PD, AD]),
    new("size-in-bytes", WHOLE, Other, &[OT]),
    new("snort", TEXT, Other, &[NA, EA]),
    new("special-service-request", LINE, Other, &[PE]),
    new("ssdeep", SSDEEP, Is("hash"), &[PD, AD, PI]),
    new("ssh-fingerprint", SSH, Is("hash"), &[NA]),
    new("stix2-pattern", TEXT, Other, &[PI, PD, AD, NA]),
    new("suricata", TEXT, Other, &[NA, EA]),
    new("target-email", EMAIL, Is("mail"), &[TD]),
    new("target-external", LINE, Other, &[TD]),
    new("target-location", LINE, Other, &[TD]),
    new("target-machine", LINE, Is("hostname"), &[TD]),
    new("target-org", LINE, Other, &[TD]),
    new("target-user", LINE, Other, &[TD]),
    new("telfhash", TELFHASH, Is("hash"), &[PD, AD, PI]),
    new("text", TEXT, Other, &ALL_BUT_TARGETS),
    new("threat-actor", LINE, Other, &[AT]),
    new("tlsh", TLSH, Is("hash"), &[PD, PI]),
    new("travel-details", LINE, Other, &[PE]),
    new("twitter-id", LINE, Other, &[SN]),
    new("uri", LINE, Is("uri_path"), &[NA]),
    new("url", URL, Is("url"), &[NA, PD, EA]),
    new("user-agent", LINE, Is("user-agent"), &[NA, PD, EA]),
    new("uuid", UUID, Other, &[OT]),
    new("vhash", VHASH, Is("hash"), &[PD, AD, PI]),
    new("visa-number", LINE, Other, &[PE]),
    new("vulnerability", VULNERABILITY, Other, &[EA, PD, PI]),
    new("weakness", WEAKNESS, Other, &[EA, PD, PI]),
    new("whois-creation-date", LINE, Other, &[AT]),
    new("whois-registrant-email", EMAIL, Is("mail"), &[AT, PD, SN]),
    new("whois-registrant-name", LINE, Other, &[AT]),
    new("whois-registrant-org", LINE, Other, &[AT]),
    new("whois-registrant-phone", PHONE, Other, &[AT]),
    new("whois-registrar", LINE, Other, &[AT]),
    new("windows-scheduled-task", LINE, Other, &[AD]),
    new("windows-service-displayname", SERVICE, Other, &[AD]),
    new("windows-service-name", SERVICE, Other, &[AD]),
    new("x509-fingerprint-md5", certificate(32), Is("hash"), &[NA, PD, AD, PI, AT, EA]),
    new("x509-fingerprint-sha1", certificate(40), Is("hash"), &[NA, PD, AD, PI, AT, EA]),
    new("x509-fingerprint-sha256", certificate(64), Is("hash"), &[NA, PD, AD, PI, AT, EA]),
    new("xmr", ALNUM, Other, &[FF]),
    new("yara", TEXT, Other, &[PI, PD, AD]),
    new("zeek", TEXT, Other, &[NA, EA]),
];
