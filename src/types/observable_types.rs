//! The table's other direction: for each observable type of TheHive the MISP type an analyst would
//! choose, and why. How a choice is made by the form of a value stands in `detect.rs`.

use std::borrow::Cow;

use TypeRule::*;

/// Reason enough where the two names are the same word.
const PLAIN: &str = "MISP has the same type";

/// Observable types that mean one thing, and what goes to MISP for them.
#[derive(Debug)]
pub struct ObservableTypeRow {
    /// The name under which all of them count as one; TheHive's own spelling.
    pub fold: &'static str,
    /// Further names, in lower case with `-` for `_`.
    pub names: &'static [&'static str],
    /// The MISP type, or how it is found.
    pub choice: TypeRule,
    /// Why this one; for the page.
    pub why: &'static str,
}

/// How the MISP type of an observable is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeRule {
    /// This type, and values of this type become this observable where TheHive has it.
    Same(&'static str),
    /// This type, one way only.
    Sent(&'static str),
    /// By form: address, or address with port.
    Address,
    /// By form: this type of name, or address, port, onion address, URL.
    Name(&'static str),
    /// By form: URL, or a bare name or address.
    Web,
    /// By form: length and alphabet of the hash.
    Hash,
    /// By form: length of the certificate's fingerprint.
    Fingerprint,
    /// `other`, but for ids that can be nothing else.
    Free,
}

const fn line(
    fold: &'static str,
    names: &'static [&'static str],
    choice: TypeRule,
    why: &'static str,
) -> ObservableTypeRow {
    ObservableTypeRow {
        fold,
        names,
        choice,
        why,
    }
}

/// Every observable type with a choice of its own. One that is named like a MISP type needs none.
#[rustfmt::skip] // a name, its synonyms, its choice and its reason read as one
pub static CHOICES: [ObservableTypeRow; 49] = [
    // TheHive 4 and 5
    line("ip", &["ip-address", "ipaddress", "ipv4", "ipv6", "cidr", "subnet", "network"], Address,
        "an IOC is most often where something went to, and detection looks there; the source of an \
         attack says so by tag. With a port it is `ip-dst|port`"),
    line("domain", &["domain-name"], Name("domain"),
        "what is written like an address, a host with a port, an onion address or a URL goes as \
         that"),
    line("hostname", &["fqdn", "host", "host-name"], Name("hostname"),
        "the full name of one machine; `fqdn` and `hostname` are the same to MISP. A name without a \
         dot is none for MISP and goes as `other`"),
    line("url", &[], Web,
        "`url` is for detection; `link`, which the built-in connector sent, is for reading. A bare \
         domain or address goes as that"),
    line("uri_path", &["uri-path", "uri-query"], Same("uri"), "MISP's word for what follows the \
        host"),
    line("user-agent", &["useragent"], Same("user-agent"), PLAIN),
    line("mail", &["email", "e-mail", "mail-address", "email-address"], Sent("email-src"),
        "a mail address worth reporting is most often the sender of a phishing mail; a recipient or \
         registrant says so by tag"),
    line("mail-subject", &["email-subject", "subject"], Same("email-subject"), PLAIN),
    line("hash", &[], Hash,
        "by length and alphabet: md5, sha1, sha224, sha256, sha384, sha512, ssdeep, tlsh, jarm; with \
         colons a certificate's; what looks the same (imphash, ja3) says so by tag"),
    line("filename", &["file", "file-name", "file-path", "filepath", "path"], Same("filename"),
        "the name. A `file` observable becomes a `file` object with its name, hashes and size; \
         what else goes out of it \
         says `export_attachments`"),
    line("registry", &["registry-key", "regkey"], Same("regkey"), PLAIN),
    line("autonomous-system", &["asn", "as", "as-number"], Same("AS"), "MISP keeps the number \
        alone"),
    line("regexp", &["regex", "pattern"], Sent("text"),
        "TheHive does not say where to look for the pattern, and a wrong `pattern-in-…` becomes a \
         wrong detection; say it by tag: `misp:type=\"pattern-in-traffic\"`"),
    line("other", &[], Free,
        "what an analyst gave no type has none for MISP; only CVE, CWE and MAC are unmistakable"),
    // common custom types
    line("cve", &["cve-id", "vulnerability"], Same("vulnerability"), "GHSA and the other ids too, \
        where MISP takes them"),
    line("cwe", &["cwe-id", "weakness"], Same("weakness"), PLAIN),
    line("mac", &["mac-address", "macaddress"], Same("mac-address"), PLAIN),
    line("btc", &["bitcoin", "btc-address", "bitcoin-address", "btc-wallet"], Same("btc"), PLAIN),
    line("xmr", &["monero", "monero-address"], Same("xmr"), PLAIN),
    line("iban", &[], Same("iban"), PLAIN),
    line("bic", &["swift", "swift-code"], Same("bic"), PLAIN),
    line("credit-card", &["cc-number", "card-number", "creditcard"], Same("cc-number"), PLAIN),
    line("bank-account", &["bank-account-nr"], Same("bank-account-nr"), PLAIN),
    line("phone", &["phone-number", "telephone", "telephone-number"], Same("phone-number"), PLAIN),
    line("yara", &["yara-rule"], Same("yara"), PLAIN),
    line("sigma", &["sigma-rule"], Same("sigma"), PLAIN),
    line("snort", &["snort-rule"], Same("snort"), PLAIN),
    line("suricata", &["suricata-rule"], Same("suricata"), "`other` where MISP is too old to know \
        it"),
    line("zeek", &["zeek-rule"], Same("zeek"), PLAIN),
    line("stix2-pattern", &["stix-pattern"], Same("stix2-pattern"), PLAIN),
    line("user-account", &["user", "username", "user-name", "account", "login"], Same("target-user"),
        "MISP's only general type for a user name; it means the account that was attacked. An \
         attacker's own says so by tag"),
    line("mutex", &[], Same("mutex"), PLAIN),
    line("named-pipe", &["pipe"], Same("named pipe"), PLAIN),
    line("service", &["service-name", "windows-service"], Same("windows-service-name"), PLAIN),
    line("scheduled-task", &["windows-task", "task"], Same("windows-scheduled-task"), PLAIN),
    line("ja3", &["ja3s", "ja3-hash", "ja3-fingerprint"], Same("ja3-fingerprint-md5"), PLAIN),
    line("jarm", &[], Same("jarm-fingerprint"), PLAIN),
    line("hassh", &[], Same("hassh-md5"), PLAIN),
    line("certificate",
        &["certificate-hash", "cert-fingerprint", "ssl-fingerprint", "x509-fingerprint", "thumbprint"],
        Fingerprint, "by length: md5, sha1 or sha256"),
    line("ssh-key", &["ssh-fingerprint"], Same("ssh-fingerprint"), "the fingerprint of the key"),
    line("onion", &["onion-address", "tor-address"], Sent("onion-address"), "`domain` where MISP \
        is too old for version 3"),
    line("pgp-key", &["pgp", "pgp-public-key"], Same("pgp-public-key"), PLAIN),
    line("message-id", &["email-message-id"], Same("email-message-id"), PLAIN),
    line("threat-actor", &["actor", "adversary"], Same("threat-actor"), PLAIN),
    line("campaign", &["campaign-name"], Same("campaign-name"), PLAIN),
    line("malware", &["malware-family", "malware-type"], Same("malware-type"), "MISP names \
        families by galaxies and types by this"),
    line("twitter", &["twitter-id", "twitter-account"], Same("twitter-id"), PLAIN),
    line("github", &["github-user", "github-username"], Same("github-username"), PLAIN),
    line("chrome-extension", &["chrome-extension-id"], Same("chrome-extension-id"), PLAIN),
];

/// The line for an observable type, however it is spelt.
pub fn find(data_type: &str) -> Option<&'static ObservableTypeRow> {
    let exact = CHOICES.iter().find(|line| line.fold == data_type);
    exact.or_else(|| {
        let name = fold_name(data_type);
        CHOICES
            .iter()
            .find(|line| line.fold == name || line.names.contains(&name.as_ref()))
    })
}

/// The names, folded, of observable types that mean a MISP type exactly.
pub fn observable_names_for(kind: &str) -> impl Iterator<Item = &'static str> {
    let means = move |line: &&ObservableTypeRow| matches!(line.choice, Same(same) if same == kind);
    CHOICES.iter().filter(means).flat_map(all_names)
}

/// All names, folded, of the line that an observable type begins.
pub fn synonyms(fold: &str) -> impl Iterator<Item = &'static str> {
    CHOICES
        .iter()
        .filter(move |line| line.fold == fold)
        .flat_map(all_names)
}

fn all_names(line: &'static ObservableTypeRow) -> impl Iterator<Item = &'static str> {
    [line.fold].into_iter().chain(line.names.iter().copied())
}

/// A name in lower case with `-` for `_`: `mail_subject` and `Mail-Subject` are one.
pub fn fold_name(name: &str) -> Cow<'_, str> {
    if name
        .bytes()
        .any(|byte| byte == b'_' || byte.is_ascii_uppercase())
    {
        Cow::Owned(name.to_ascii_lowercase().replace('_', "-"))
    } else {
        Cow::Borrowed(name)
    }
}

/// What an observable type counts as: `fqdn` as `hostname`, `mail_subject` as `mail-subject`.
pub fn canonical_type(data_type: &str) -> Cow<'_, str> {
    find(data_type).map_or_else(|| fold_name(data_type), |line| Cow::Borrowed(line.fold))
}
