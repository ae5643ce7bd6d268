//! The 194 attribute types of MISP: how each is written, what it becomes in TheHive, which
//! categories take it. The other direction is in `observable_types.rs`; what a form means is in
//! `forms.rs`.
//!
//! Types, categories and defaults are those of MISP's `describeTypes`, newest version; the forms
//! follow MISP's AttributeValidationTool.php.

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
    /// Whether MISP takes it for a detection by default.
    pub to_ids: bool,
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
    let at = TABLE.binary_search_by(|row| row.kind.cmp(kind)).ok()?;
    TABLE.get(at)
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
const IDS: bool = true;
const LOG: bool = false;

const fn new(
    kind: &'static str,
    form: ValueForm,
    import: ObservableTarget,
    categories: &'static [&'static str],
    to_ids: bool,
) -> MispType {
    MispType {
        kind,
        form,
        import,
        categories,
        to_ids,
    }
}

/// Every type, sorted by name.
#[rustfmt::skip] // one row a line
pub static TABLE: [MispType; 194] = [
    new("AS", ASN, Is("autonomous-system"), &[NA, PD, EA], LOG),
    new("aba-rtn", NUMBER, Other, &[FF], IDS),
    new("anonymised", LOWER, Other, &CATEGORIES, LOG),
    new("attachment", TEXT, Is("filename"), &[EA, AV, PD, AD, PI, NA, ST], LOG),
    new("authentihash", hex(64), Is("hash"), &[PD, AD, PI], IDS),
    new("azure-application-id", LINE, Other, &[PD, PI], IDS),
    new("bank-account-nr", NUMBER, Other, &[FF], IDS),
    new("bic", BANK, Other, &[FF], IDS),
    new("bin", CARD, Other, &[FF], IDS),
    new("boolean", BOOL, Other, &[OT], LOG),
    new("bro", TEXT, Other, &[NA, EA], IDS),
    new("btc", ALNUM, Other, &[FF], IDS),
    new("campaign-id", LINE, Other, &[AT], LOG),
    new("campaign-name", LINE, Other, &[AT], LOG),
    new("cc-number", CARD, Other, &[FF], IDS),
    new("cdhash", CDHASH, Is("hash"), &[PD, AD, PI], IDS),
    new("chrome-extension-id", LINE, Other, &[PD, PI], IDS),
    new("comment", TEXT, Other, &CATEGORIES, LOG),
    new("community-id", TEXT, Other, &[NA, EA], IDS),
    new("cookie", TEXT, Other, &[NA, AD], LOG),
    new("cortex", JSON, Other, &[EA], LOG),
    new("counter", WHOLE, Other, &[OT], LOG),
    new("country-of-residence", LINE, Other, &[PE], LOG),
    new("cpe", TEXT, Other, &[EA, PD, PI, OT], LOG),
    new("dash", ALNUM, Other, &[FF], IDS),
    new("date-of-birth", LINE, Other, &[PE], LOG),
    new("datetime", TIME, Other, &[OT], LOG),
    new("dkim", LINE, Other, &[NA], LOG),
    new("dkim-signature", LINE, Other, &[NA], LOG),
    new("dns-soa-email", ACCOUNT, Is("mail"), &[AT], LOG),
    new("dom-hash", hex(32), Is("hash"), &[NA, EA], IDS),
    new("domain", DOMAIN, Is("domain"), &[NA, PD, EA], IDS),
    new("domain|ip", DOMAIN_IP, Halves("domain", "ip-dst"), &[NA, EA], IDS),
    new("edge-extension-id", LINE, Other, &[PD, PI], IDS),
    new("email", EMAIL, Is("mail"), &[SN, PD, NA, AT, PE], IDS),
    new("email-attachment", TEXT, Other, &[PD], IDS),
    new("email-body", TEXT, Other, &[PD], LOG),
    new("email-dst", EMAIL, Is("mail"), &[NA, PD, SN], IDS),
    new("email-dst-display-name", LINE, Other, &[PD], LOG),
    new("email-header", TEXT, Other, &[PD], LOG),
    new("email-message-id", LINE, Other, &[PD], LOG),
    new("email-mime-boundary", LINE, Other, &[PD], LOG),
    new("email-reply-to", LINE, Is("mail"), &[PD], LOG),
    new("email-src", EMAIL, Is("mail"), &[PD, NA, SN], IDS),
    new("email-src-display-name", LINE, Other, &[PD], LOG),
    new("email-subject", LINE, Is("mail-subject"), &[PD, NA], LOG),
    new("email-thread-index", LINE, Other, &[PD], LOG),
    new("email-x-mailer", LINE, Other, &[PD], LOG),
    new("eppn", ACCOUNT, Other, &[NA, SN], IDS),
    new("favicon-mmh3", LINE, Is("hash"), &[NA], IDS),
    new("filename", LINE, Is("filename"), &[PD, AD, PI, PM, EA], IDS),
    new("filename-pattern", TEXT, Other, &[PI, PD, AD, NA, EA], IDS),
    new("filename|authentihash", file_hex(64), Halves("filename", "authentihash"), &[PD, AD, PI], IDS),
    new("filename|impfuzzy", FILE_IMPFUZZY, Halves("filename", "impfuzzy"), &[PD, AD, PI], IDS),
    new("filename|imphash", file_hex(32), Halves("filename", "imphash"), &[PD, AD, PI], IDS),
    new("filename|md5", file_hex(32), Halves("filename", "md5"), &[PD, AD, PI, EA], IDS),
    new("filename|pehash", FILE_PEHASH, Halves("filename", "pehash"), &[PD, AD, PI], IDS),
    new("filename|sha1", file_hex(40), Halves("filename", "sha1"), &[PD, AD, PI, EA], IDS),
    new("filename|sha224", file_hex(56), Halves("filename", "sha224"), &[PD, AD, PI], IDS),
    new("filename|sha256", file_hex(64), Halves("filename", "sha256"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-224", file_hex(56), Halves("filename", "sha3-224"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-256", file_hex(64), Halves("filename", "sha3-256"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-384", file_hex(96), Halves("filename", "sha3-384"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-512", file_hex(128), Halves("filename", "sha3-512"), &[PD, AD, PI, EA], IDS),
    new("filename|sha384", file_hex(96), Halves("filename", "sha384"), &[PD, AD, PI], IDS),
    new("filename|sha512", file_hex(128), Halves("filename", "sha512"), &[PD, AD, PI], IDS),
    new("filename|sha512/224", file_hex(56), Halves("filename", "sha512/224"), &[PD, AD, PI], IDS),
    new("filename|sha512/256", file_hex(64), Halves("filename", "sha512/256"), &[PD, AD, PI], IDS),
    new("filename|ssdeep", FILE_SSDEEP, Halves("filename", "ssdeep"), &[PD, AD, PI], IDS),
    new("filename|tlsh", FILE_TLSH, Halves("filename", "tlsh"), &[PD, AD, PI], IDS),
    new("filename|vhash", FILE_VHASH, Halves("filename", "vhash"), &[PD, AD, PI], IDS),
    new("first-name", TEXT, Other, &[PE], LOG),
    new("float", NUMBER, Other, &[OT], LOG),
    new("frequent-flyer-number", LINE, Other, &[PE], LOG),
    new("full-name", TEXT, Other, &[PE], LOG),
    new("gender", LINE, Other, &[PE], LOG),
    new("gene", TEXT, Other, &[AD], LOG),
    new("git-commit-id", COMMIT, Is("hash"), &[IR], LOG),
    new("github-organisation", LINE, Other, &[SN], LOG),
    new("github-repository", LINE, Other, &[SN, EA], LOG),
    new("github-username", LINE, Other, &[SN], LOG),
    new("hassh-md5", hex(32), Is("hash"), &[NA, PD, EA], IDS),
    new("hasshserver-md5", hex(32), Is("hash"), &[NA, PD, EA], IDS),
    new("hex", HEX_TEXT, Other, &[OT, IR, AV, PD, AD, PI, PM, NA, FF, ST], LOG),
    new("hostname", HOSTNAME, Is("hostname"), &[NA, PD, EA], IDS),
    new("hostname|port", HOSTNAME_PORT, Ported("hostname"), &[NA, PD], IDS),
    new("http-method", HTTP_METHOD, Other, &[NA], LOG),
    new("iban", BANK, Other, &[FF], IDS),
    new("identity-card-number", TEXT, Other, &[PE], LOG),
    new("impfuzzy", IMPFUZZY, Is("hash"), &[PD, AD, PI], IDS),
    new("imphash", hex(32), Is("hash"), &[PD, AD, PI], IDS),
    new("integer", INTEGER, Other, &[OT], LOG),
    new("ip-dst", IP, Is("ip"), &[NA, PD, EA], IDS),
    new("ip-dst|port", IP_PORT, Ported("ip-dst"), &[NA, PD, EA], IDS),
    new("ip-src", IP, Is("ip"), &[NA, PD, EA], IDS),
    new("ip-src|port", IP_PORT, Ported("ip-src"), &[NA, PD, EA], IDS),
    new("issue-date-of-the-visa", LINE, Other, &[PE], LOG),
    new("ja3-fingerprint-md5", hex(32), Is("hash"), &[NA, PD, EA], IDS),
    new("jabber-id", ACCOUNT, Other, &[SN], LOG),
    new("jarm-fingerprint", hex(62), Is("hash"), &[NA, PD, EA], IDS),
    new("kusto-query", TEXT, Other, &[AD], LOG),
    new("last-name", TEXT, Other, &[PE], LOG),
    new("link", LINK, Is("url"), &[EA, IR, AV, PD, ST], LOG),
    new("mac-address", MAC, Other, &[NA, PD, EA], LOG),
    new("mac-eui-64", EUI_64, Other, &[NA, PD, EA], LOG),
    new("malware-sample", SAMPLE, Halves("filename", "md5"), &[PD, AD, PI, EA], IDS),
    new("malware-type", LINE, Other, &[PD, PI], LOG),
    new("md5", hex(32), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("middle-name", TEXT, Other, &[PE], LOG),
    new("mime-type", TEXT, Other, &[AD, PD, PI], LOG),
    new("mobile-application-id", LINE, Other, &[PD, PI], IDS),
    new("mutex", TEXT, Other, &[AD], IDS),
    new("named pipe", LINE, Other, &[AD], LOG),
    new("nationality", LINE, Other, &[PE], LOG),
    new("onion-address", ONION, Is("domain"), &[NA, PD, EA], IDS),
    new("other", TEXT, Other, &ALL_BUT_TARGETS, LOG),
    new("passenger-name-record-locator-number", LINE, Other, &[PE], LOG),
    new("passport-country", LINE, Other, &[PE], LOG),
    new("passport-expiration", LINE, Other, &[PE], LOG),
    new("passport-number", LINE, Other, &[PE], LOG),
    new("pattern-in-file", TEXT, Other, &[PI, PD, AD, NA, EA], IDS),
    new("pattern-in-memory", TEXT, Other, &[PI, AD, EA], IDS),
    new("pattern-in-traffic", TEXT, Other, &[NA, PD, PI, EA], IDS),
    new("payment-details", LINE, Other, &[PE], LOG),
    new("pdb", LINE, Is("filename"), &[AD], LOG),
    new("pehash", PEHASH, Is("hash"), &[PD, PI], IDS),
    new("pgp-private-key", TEXT, Other, &[PE, AD, SN, OT], LOG),
    new("pgp-public-key", TEXT, Other, &[PE, AD, SN, OT], LOG),
    new("phone-number", PHONE, Other, &[PE, FF, OT], LOG),
    new("place-of-birth", LINE, Other, &[PE], LOG),
    new("place-port-of-clearance", LINE, Other, &[PE], LOG),
    new("place-port-of-onward-foreign-destination", LINE, Other, &[PE], LOG),
    new("place-port-of-original-embarkation", LINE, Other, &[PE], LOG),
    new("port", PORT, Other, &[NA, OT], LOG),
    new("primary-residence", LINE, Other, &[PE], LOG),
    new("process-state", TEXT, Other, &[AD], LOG),
    new("prtn", PHONE, Other, &[FF], IDS),
    new("redress-number", LINE, Other, &[PE], LOG),
    new("regkey", LINE, Is("registry"), &[PM, AD, EA], IDS),
    new("regkey|value", REGISTRY_VALUE, Halves("regkey", "other"), &[PM, AD, EA], IDS),
    new("sha1", hex(40), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha224", hex(56), Is("hash"), &[PD, AD, PI], IDS),
    new("sha256", hex(64), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-224", hex(56), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-256", hex(64), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-384", hex(96), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-512", hex(128), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha384", hex(96), Is("hash"), &[PD, AD, PI], IDS),
    new("sha512", hex(128), Is("hash"), &[PD, AD, PI], IDS),
    new("sha512/224", hex(56), Is("hash"), &[PD, AD, PI], IDS),
    new("sha512/256", hex(64), Is("hash"), &[PD, AD, PI], IDS),
    new("sigma", TEXT, Other, &[PI, PD, AD], IDS),
    new("size-in-bytes", WHOLE, Other, &[OT], LOG),
    new("snort", TEXT, Other, &[NA, EA], IDS),
    new("special-service-request", LINE, Other, &[PE], LOG),
    new("ssdeep", SSDEEP, Is("hash"), &[PD, AD, PI], IDS),
    new("ssh-fingerprint", SSH, Is("hash"), &[NA], LOG),
    new("stix2-pattern", TEXT, Other, &[PI, PD, AD, NA], IDS),
    new("suricata", TEXT, Other, &[NA, EA], IDS),
    new("target-email", EMAIL, Is("mail"), &[TD], LOG),
    new("target-external", LINE, Other, &[TD], LOG),
    new("target-location", LINE, Other, &[TD], LOG),
    new("target-machine", LINE, Is("hostname"), &[TD], LOG),
    new("target-org", LINE, Other, &[TD], LOG),
    new("target-user", LINE, Other, &[TD], LOG),
    new("telfhash", TELFHASH, Is("hash"), &[PD, AD, PI], IDS),
    new("text", TEXT, Other, &ALL_BUT_TARGETS, LOG),
    new("threat-actor", LINE, Other, &[AT], LOG),
    new("tlsh", TLSH, Is("hash"), &[PD, PI], IDS),
    new("travel-details", LINE, Other, &[PE], LOG),
    new("twitter-id", LINE, Other, &[SN], LOG),
    new("uri", LINE, Is("uri_path"), &[NA], IDS),
    new("url", URL, Is("url"), &[NA, PD, EA], IDS),
    new("user-agent", LINE, Is("user-agent"), &[NA, PD, EA], LOG),
    new("uuid", UUID, Other, &[OT], LOG),
    new("vhash", VHASH, Is("hash"), &[PD, AD, PI], IDS),
    new("visa-number", LINE, Other, &[PE], LOG),
    new("vulnerability", VULNERABILITY, Other, &[EA, PD, PI], LOG),
    new("weakness", WEAKNESS, Other, &[EA, PD, PI], LOG),
    new("whois-creation-date", LINE, Other, &[AT], LOG),
    new("whois-registrant-email", EMAIL, Is("mail"), &[AT, PD, SN], LOG),
    new("whois-registrant-name", LINE, Other, &[AT], LOG),
    new("whois-registrant-org", LINE, Other, &[AT], LOG),
    new("whois-registrant-phone", PHONE, Other, &[AT], LOG),
    new("whois-registrar", LINE, Other, &[AT], LOG),
    new("windows-scheduled-task", LINE, Other, &[AD], LOG),
    new("windows-service-displayname", SERVICE, Other, &[AD], LOG),
    new("windows-service-name", SERVICE, Other, &[AD], LOG),
    new("x509-fingerprint-md5", certificate(32), Is("hash"), &[NA, PD, AD, PI, AT, EA], IDS),
    new("x509-fingerprint-sha1", certificate(40), Is("hash"), &[NA, PD, AD, PI, AT, EA], IDS),
    new("x509-fingerprint-sha256", certificate(64), Is("hash"), &[NA, PD, AD, PI, AT, EA], IDS),
    new("xmr", ALNUM, Other, &[FF], IDS),
    new("yara", TEXT, Other, &[PI, PD, AD], IDS),
    new("zeek", TEXT, Other, &[NA, EA], IDS),
];
