//! The 194 attribute types of MISP: how each is written, what it becomes in TheHive, which
//! categories take it. The other direction is in `observable_types.rs`; what a form means is in
//! `normalise.rs` and `validate.rs`.
//!
//! Types, categories and defaults are those of MISP's `describeTypes`, newest version; the forms
//! follow MISP's AttributeValidationTool.php.

use ObservableTarget::*;
use ValueFormat::*;

/// One MISP attribute type.
#[derive(Debug)]
pub(super) struct MispType {
    /// Its name, such as `ip-dst|port`.
    pub(super) kind: &'static str,
    /// How a value is written and checked.
    pub(super) form: ValueFormat,
    /// What it becomes in TheHive.
    pub(super) import: ObservableTarget,
    /// The categories that take it; the first is MISP's default.
    pub(super) categories: &'static [&'static str],
    /// Whether MISP takes it for a detection by default.
    pub(super) to_ids: bool,
}

impl MispType {
    /// MISP's default category for the type.
    pub(super) fn default_category(&self) -> &'static str {
        self.categories.first().copied().unwrap_or(OT)
    }

    /// Whether the value is two values joined by `|`.
    pub(super) fn is_composite(&self) -> bool {
        matches!(self.import, Halves(..) | Ported(_))
    }
}

/// What an attribute becomes in TheHive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObservableTarget {
    /// One observable of this type.
    Is(&'static str),
    /// One observable `other` that says its MISP type, unless TheHive has a type for it.
    Other,
    /// Two observables: what these MISP types become.
    Halves(&'static str, &'static str),
    /// One observable, what this MISP type becomes; the port stands in its tag.
    Ported(&'static str),
}

/// How the values of a type are written: what MISP changes before it stores one and what it
/// demands, by the cases of AttributeValidationTool.php.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueFormat {
    /// Any text.
    Text,
    /// Any text of one line.
    Line,
    /// Any text, lower-cased.
    Lower,
    /// So many hexadecimal digits, lower-cased.
    Hex(usize),
    /// Forty hexadecimal digits, as given.
    Commit,
    /// So many hexadecimal digits once the colons are gone.
    Certificate(usize),
    /// Hexadecimal digits of any number, upper-cased.
    HexText,
    /// More than 35 hexadecimal digits, perhaps after a `t`.
    Tlsh,
    /// 70 or 72 hexadecimal digits.
    Telfhash,
    /// Forty hexadecimal digits.
    Pehash,
    /// `blocksize:hash:hash`.
    Ssdeep,
    /// `imports:hash:hash`.
    Impfuzzy,
    /// Forty or more hexadecimal digits.
    Cdhash,
    /// VirusTotal's own hash: any one line.
    Vhash,
    /// An OpenSSH key fingerprint.
    Ssh,
    /// File name and a hash of so many digits.
    FileHex(usize),
    /// File name and pehash.
    FilePehash,
    /// File name and ssdeep.
    FileSsdeep,
    /// File name and TLSH.
    FileTlsh,
    /// File name and vhash.
    FileVhash,
    /// File name and impfuzzy, which makes MISP answer 500.
    FileImpfuzzy,
    /// File name and MD5 of an attached sample.
    Sample,
    /// Registry key and its value.
    RegistryValue,
    /// Address or network.
    Ip,
    /// Address and port.
    IpPort,
    /// 1 to 65535.
    Port,
    /// Domain, IDN as punycode.
    Domain,
    /// Host name, written like a domain.
    Hostname,
    /// Host name and port.
    HostnamePort,
    /// Domain and address.
    DomainIp,
    /// Tor address, version 2 or 3.
    Onion,
    /// Hardware address of so many bytes.
    Mac(usize),
    /// Mail address, lower-cased.
    Email,
    /// `user@domain` that is no mail address, as given.
    Account,
    /// Anything of one line, refanged.
    Url,
    /// A URL with scheme and host in ASCII.
    Link,
    /// An HTTP method.
    HttpMethod,
    /// Number of an autonomous system.
    As,
    /// CVE and the newer kinds of id.
    Vulnerability,
    /// CWE.
    Weakness,
    /// Name of a Windows service.
    Service,
    /// ISO 8601 with microseconds.
    Time,
    /// A whole number, 0 or more.
    Whole,
    /// A whole number.
    Integer,
    /// A number as PHP's `is_numeric` takes it.
    Number,
    /// Digits only once the rest is gone.
    Card,
    /// `+` and digits once the rest is gone.
    Phone,
    /// Letters and digits.
    Alnum,
    /// Letters and digits, upper-cased, once the rest is gone.
    Bank,
    /// 1 or 0.
    Bool,
    /// A JSON document.
    Json,
    /// A UUID.
    Uuid,
}

/// The row of a MISP type, by its exact name.
pub(super) fn find_row(kind: &str) -> Option<&'static MispType> {
    let at = TABLE.binary_search_by(|row| row.kind.cmp(kind)).ok()?;
    TABLE.get(at)
}

/// A category of MISP by its exact name.
pub(super) fn find_category(name: &str) -> Option<&'static str> {
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
pub(super) const CATEGORIES: [&str; 16] = [
    OT, IR, TD, AV, PD, AD, PI, PM, NA, PT, AT, EA, FF, ST, SN, PE,
];
const ALL_BUT_TARGETS: [&str; 15] = [OT, IR, AV, PD, AD, PI, PM, NA, PT, AT, EA, FF, ST, SN, PE];
const IDS: bool = true;
const LOG: bool = false;

const fn new(
    kind: &'static str,
    form: ValueFormat,
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
pub(super) static TABLE: [MispType; 194] = [
    new("AS", As, Is("autonomous-system"), &[NA, PD, EA], LOG),
    new("aba-rtn", Number, Other, &[FF], IDS),
    new("anonymised", Lower, Other, &CATEGORIES, LOG),
    new("attachment", Text, Is("filename"), &[EA, AV, PD, AD, PI, NA, ST], LOG),
    new("authentihash", Hex(64), Is("hash"), &[PD, AD, PI], IDS),
    new("azure-application-id", Line, Other, &[PD, PI], IDS),
    new("bank-account-nr", Number, Other, &[FF], IDS),
    new("bic", Bank, Other, &[FF], IDS),
    new("bin", Card, Other, &[FF], IDS),
    new("boolean", Bool, Other, &[OT], LOG),
    new("bro", Text, Other, &[NA, EA], IDS),
    new("btc", Alnum, Other, &[FF], IDS),
    new("campaign-id", Line, Other, &[AT], LOG),
    new("campaign-name", Line, Other, &[AT], LOG),
    new("cc-number", Card, Other, &[FF], IDS),
    new("cdhash", Cdhash, Is("hash"), &[PD, AD, PI], IDS),
    new("chrome-extension-id", Line, Other, &[PD, PI], IDS),
    new("comment", Text, Other, &CATEGORIES, LOG),
    new("community-id", Text, Other, &[NA, EA], IDS),
    new("cookie", Text, Other, &[NA, AD], LOG),
    new("cortex", Json, Other, &[EA], LOG),
    new("counter", Whole, Other, &[OT], LOG),
    new("country-of-residence", Line, Other, &[PE], LOG),
    new("cpe", Text, Other, &[EA, PD, PI, OT], LOG),
    new("dash", Alnum, Other, &[FF], IDS),
    new("date-of-birth", Line, Other, &[PE], LOG),
    new("datetime", Time, Other, &[OT], LOG),
    new("dkim", Line, Other, &[NA], LOG),
    new("dkim-signature", Line, Other, &[NA], LOG),
    new("dns-soa-email", Account, Is("mail"), &[AT], LOG),
    new("dom-hash", Hex(32), Is("hash"), &[NA, EA], IDS),
    new("domain", Domain, Is("domain"), &[NA, PD, EA], IDS),
    new("domain|ip", DomainIp, Halves("domain", "ip-dst"), &[NA, EA], IDS),
    new("edge-extension-id", Line, Other, &[PD, PI], IDS),
    new("email", Email, Is("mail"), &[SN, PD, NA, AT, PE], IDS),
    new("email-attachment", Text, Other, &[PD], IDS),
    new("email-body", Text, Other, &[PD], LOG),
    new("email-dst", Email, Is("mail"), &[NA, PD, SN], IDS),
    new("email-dst-display-name", Line, Other, &[PD], LOG),
    new("email-header", Text, Other, &[PD], LOG),
    new("email-message-id", Line, Other, &[PD], LOG),
    new("email-mime-boundary", Line, Other, &[PD], LOG),
    new("email-reply-to", Line, Is("mail"), &[PD], LOG),
    new("email-src", Email, Is("mail"), &[PD, NA, SN], IDS),
    new("email-src-display-name", Line, Other, &[PD], LOG),
    new("email-subject", Line, Is("mail-subject"), &[PD, NA], LOG),
    new("email-thread-index", Line, Other, &[PD], LOG),
    new("email-x-mailer", Line, Other, &[PD], LOG),
    new("eppn", Account, Other, &[NA, SN], IDS),
    new("favicon-mmh3", Line, Is("hash"), &[NA], IDS),
    new("filename", Line, Is("filename"), &[PD, AD, PI, PM, EA], IDS),
    new("filename-pattern", Text, Other, &[PI, PD, AD, NA, EA], IDS),
    new("filename|authentihash", FileHex(64), Halves("filename", "authentihash"), &[PD, AD, PI], IDS),
    new("filename|impfuzzy", FileImpfuzzy, Halves("filename", "impfuzzy"), &[PD, AD, PI], IDS),
    new("filename|imphash", FileHex(32), Halves("filename", "imphash"), &[PD, AD, PI], IDS),
    new("filename|md5", FileHex(32), Halves("filename", "md5"), &[PD, AD, PI, EA], IDS),
    new("filename|pehash", FilePehash, Halves("filename", "pehash"), &[PD, AD, PI], IDS),
    new("filename|sha1", FileHex(40), Halves("filename", "sha1"), &[PD, AD, PI, EA], IDS),
    new("filename|sha224", FileHex(56), Halves("filename", "sha224"), &[PD, AD, PI], IDS),
    new("filename|sha256", FileHex(64), Halves("filename", "sha256"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-224", FileHex(56), Halves("filename", "sha3-224"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-256", FileHex(64), Halves("filename", "sha3-256"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-384", FileHex(96), Halves("filename", "sha3-384"), &[PD, AD, PI, EA], IDS),
    new("filename|sha3-512", FileHex(128), Halves("filename", "sha3-512"), &[PD, AD, PI, EA], IDS),
    new("filename|sha384", FileHex(96), Halves("filename", "sha384"), &[PD, AD, PI], IDS),
    new("filename|sha512", FileHex(128), Halves("filename", "sha512"), &[PD, AD, PI], IDS),
    new("filename|sha512/224", FileHex(56), Halves("filename", "sha512/224"), &[PD, AD, PI], IDS),
    new("filename|sha512/256", FileHex(64), Halves("filename", "sha512/256"), &[PD, AD, PI], IDS),
    new("filename|ssdeep", FileSsdeep, Halves("filename", "ssdeep"), &[PD, AD, PI], IDS),
    new("filename|tlsh", FileTlsh, Halves("filename", "tlsh"), &[PD, AD, PI], IDS),
    new("filename|vhash", FileVhash, Halves("filename", "vhash"), &[PD, AD, PI], IDS),
    new("first-name", Text, Other, &[PE], LOG),
    new("float", Number, Other, &[OT], LOG),
    new("frequent-flyer-number", Line, Other, &[PE], LOG),
    new("full-name", Text, Other, &[PE], LOG),
    new("gender", Line, Other, &[PE], LOG),
    new("gene", Text, Other, &[AD], LOG),
    new("git-commit-id", Commit, Is("hash"), &[IR], LOG),
    new("github-organisation", Line, Other, &[SN], LOG),
    new("github-repository", Line, Other, &[SN, EA], LOG),
    new("github-username", Line, Other, &[SN], LOG),
    new("hassh-md5", Hex(32), Is("hash"), &[NA, PD, EA], IDS),
    new("hasshserver-md5", Hex(32), Is("hash"), &[NA, PD, EA], IDS),
    new("hex", HexText, Other, &[OT, IR, AV, PD, AD, PI, PM, NA, FF, ST], LOG),
    new("hostname", Hostname, Is("hostname"), &[NA, PD, EA], IDS),
    new("hostname|port", HostnamePort, Ported("hostname"), &[NA, PD], IDS),
    new("http-method", HttpMethod, Other, &[NA], LOG),
    new("iban", Bank, Other, &[FF], IDS),
    new("identity-card-number", Text, Other, &[PE], LOG),
    new("impfuzzy", Impfuzzy, Is("hash"), &[PD, AD, PI], IDS),
    new("imphash", Hex(32), Is("hash"), &[PD, AD, PI], IDS),
    new("integer", Integer, Other, &[OT], LOG),
    new("ip-dst", Ip, Is("ip"), &[NA, PD, EA], IDS),
    new("ip-dst|port", IpPort, Ported("ip-dst"), &[NA, PD, EA], IDS),
    new("ip-src", Ip, Is("ip"), &[NA, PD, EA], IDS),
    new("ip-src|port", IpPort, Ported("ip-src"), &[NA, PD, EA], IDS),
    new("issue-date-of-the-visa", Line, Other, &[PE], LOG),
    new("ja3-fingerprint-md5", Hex(32), Is("hash"), &[NA, PD, EA], IDS),
    new("jabber-id", Account, Other, &[SN], LOG),
    new("jarm-fingerprint", Hex(62), Is("hash"), &[NA, PD, EA], IDS),
    new("kusto-query", Text, Other, &[AD], LOG),
    new("last-name", Text, Other, &[PE], LOG),
    new("link", Link, Is("url"), &[EA, IR, AV, PD, ST], LOG),
    new("mac-address", Mac(6), Other, &[NA, PD, EA], LOG),
    new("mac-eui-64", Mac(8), Other, &[NA, PD, EA], LOG),
    new("malware-sample", Sample, Halves("filename", "md5"), &[PD, AD, PI, EA], IDS),
    new("malware-type", Line, Other, &[PD, PI], LOG),
    new("md5", Hex(32), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("middle-name", Text, Other, &[PE], LOG),
    new("mime-type", Text, Other, &[AD, PD, PI], LOG),
    new("mobile-application-id", Line, Other, &[PD, PI], IDS),
    new("mutex", Text, Other, &[AD], IDS),
    new("named pipe", Line, Other, &[AD], LOG),
    new("nationality", Line, Other, &[PE], LOG),
    new("onion-address", Onion, Is("domain"), &[NA, PD, EA], IDS),
    new("other", Text, Other, &ALL_BUT_TARGETS, LOG),
    new("passenger-name-record-locator-number", Line, Other, &[PE], LOG),
    new("passport-country", Line, Other, &[PE], LOG),
    new("passport-expiration", Line, Other, &[PE], LOG),
    new("passport-number", Line, Other, &[PE], LOG),
    new("pattern-in-file", Text, Other, &[PI, PD, AD, NA, EA], IDS),
    new("pattern-in-memory", Text, Other, &[PI, AD, EA], IDS),
    new("pattern-in-traffic", Text, Other, &[NA, PD, PI, EA], IDS),
    new("payment-details", Line, Other, &[PE], LOG),
    new("pdb", Line, Is("filename"), &[AD], LOG),
    new("pehash", Pehash, Is("hash"), &[PD, PI], IDS),
    new("pgp-private-key", Text, Other, &[PE, AD, SN, OT], LOG),
    new("pgp-public-key", Text, Other, &[PE, AD, SN, OT], LOG),
    new("phone-number", Phone, Other, &[PE, FF, OT], LOG),
    new("place-of-birth", Line, Other, &[PE], LOG),
    new("place-port-of-clearance", Line, Other, &[PE], LOG),
    new("place-port-of-onward-foreign-destination", Line, Other, &[PE], LOG),
    new("place-port-of-original-embarkation", Line, Other, &[PE], LOG),
    new("port", Port, Other, &[NA, OT], LOG),
    new("primary-residence", Line, Other, &[PE], LOG),
    new("process-state", Text, Other, &[AD], LOG),
    new("prtn", Phone, Other, &[FF], IDS),
    new("redress-number", Line, Other, &[PE], LOG),
    new("regkey", Line, Is("registry"), &[PM, AD, EA], IDS),
    new("regkey|value", RegistryValue, Halves("regkey", "other"), &[PM, AD, EA], IDS),
    new("sha1", Hex(40), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha224", Hex(56), Is("hash"), &[PD, AD, PI], IDS),
    new("sha256", Hex(64), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-224", Hex(56), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-256", Hex(64), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-384", Hex(96), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha3-512", Hex(128), Is("hash"), &[PD, AD, PI, EA], IDS),
    new("sha384", Hex(96), Is("hash"), &[PD, AD, PI], IDS),
    new("sha512", Hex(128), Is("hash"), &[PD, AD, PI], IDS),
    new("sha512/224", Hex(56), Is("hash"), &[PD, AD, PI], IDS),
    new("sha512/256", Hex(64), Is("hash"), &[PD, AD, PI], IDS),
    new("sigma", Text, Other, &[PI, PD, AD], IDS),
    new("size-in-bytes", Whole, Other, &[OT], LOG),
    new("snort", Text, Other, &[NA, EA], IDS),
    new("special-service-request", Line, Other, &[PE], LOG),
    new("ssdeep", Ssdeep, Is("hash"), &[PD, AD, PI], IDS),
    new("ssh-fingerprint", Ssh, Is("hash"), &[NA], LOG),
    new("stix2-pattern", Text, Other, &[PI, PD, AD, NA], IDS),
    new("suricata", Text, Other, &[NA, EA], IDS),
    new("target-email", Email, Is("mail"), &[TD], LOG),
    new("target-external", Line, Other, &[TD], LOG),
    new("target-location", Line, Other, &[TD], LOG),
    new("target-machine", Line, Is("hostname"), &[TD], LOG),
    new("target-org", Line, Other, &[TD], LOG),
    new("target-user", Line, Other, &[TD], LOG),
    new("telfhash", Telfhash, Is("hash"), &[PD, AD, PI], IDS),
    new("text", Text, Other, &ALL_BUT_TARGETS, LOG),
    new("threat-actor", Line, Other, &[AT], LOG),
    new("tlsh", Tlsh, Is("hash"), &[PD, PI], IDS),
    new("travel-details", Line, Other, &[PE], LOG),
    new("twitter-id", Line, Other, &[SN], LOG),
    new("uri", Line, Is("uri_path"), &[NA], IDS),
    new("url", Url, Is("url"), &[NA, PD, EA], IDS),
    new("user-agent", Line, Is("user-agent"), &[NA, PD, EA], LOG),
    new("uuid", Uuid, Other, &[OT], LOG),
    new("vhash", Vhash, Is("hash"), &[PD, AD, PI], IDS),
    new("visa-number", Line, Other, &[PE], LOG),
    new("vulnerability", Vulnerability, Other, &[EA, PD, PI], LOG),
    new("weakness", Weakness, Other, &[EA, PD, PI], LOG),
    new("whois-creation-date", Line, Other, &[AT], LOG),
    new("whois-registrant-email", Email, Is("mail"), &[AT, PD, SN], LOG),
    new("whois-registrant-name", Line, Other, &[AT], LOG),
    new("whois-registrant-org", Line, Other, &[AT], LOG),
    new("whois-registrant-phone", Phone, Other, &[AT], LOG),
    new("whois-registrar", Line, Other, &[AT], LOG),
    new("windows-scheduled-task", Line, Other, &[AD], LOG),
    new("windows-service-displayname", Service, Other, &[AD], LOG),
    new("windows-service-name", Service, Other, &[AD], LOG),
    new("x509-fingerprint-md5", Certificate(32), Is("hash"), &[NA, PD, AD, PI, AT, EA], IDS),
    new("x509-fingerprint-sha1", Certificate(40), Is("hash"), &[NA, PD, AD, PI, AT, EA], IDS),
    new("x509-fingerprint-sha256", Certificate(64), Is("hash"), &[NA, PD, AD, PI, AT, EA], IDS),
    new("xmr", Alnum, Other, &[FF], IDS),
    new("yara", Text, Other, &[PI, PD, AD], IDS),
    new("zeek", Text, Other, &[NA, EA], IDS),
];
