//! What holds for every value: 10,000 random ones of each family of types, and any text at all.

use std::sync::LazyLock;

use cortex_misp::types::equal::equality_key;
use cortex_misp::types::{
    AttributeInput, MISP_TYPES, MispCapabilities, ObservableInput, ObservableTypeSet, Overrides,
    normalise, to_attributes, to_observables, validate,
};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

const CATEGORIES: [&str; 16] = [
    "Internal reference",
    "Targeting data",
    "Antivirus detection",
    "Payload delivery",
    "Artifacts dropped",
    "Payload installation",
    "Persistence mechanism",
    "Network activity",
    "Payload type",
    "Attribution",
    "External analysis",
    "Financial fraud",
    "Support Tool",
    "Social network",
    "Person",
    "Other",
];

const UUID: &str = "1a2b3c4d-0000-4000-8000-000000000000";
const EVENT: Uuid = Uuid::from_u128(0x5f0e_5b5c_0000_4000_8000_0000_0000_0001);

/// A value that MISP takes is taken as it is once normalised, and finds its way through TheHive.
fn holds(kind: &str, raw: &str, nth_category: usize, data_types: &ObservableTypeSet) {
    let newest = MispCapabilities::newest();
    let normal = normalise(kind, raw);
    assert_eq!(
        normalise(kind, &normal),
        normal,
        "{kind} {raw}: normalise is idempotent"
    );
    // What MISP's database takes for the empty value is refused, whatever the type.
    if equality_key(&normal).is_empty() {
        assert!(validate(kind, &normal, &newest).is_err(), "{kind} {raw}");
        return;
    }
    assert_eq!(
        validate(kind, &normal, &newest),
        Ok(()),
        "{kind} {raw} as {normal}"
    );
    let allowed: Vec<&str> = CATEGORIES
        .into_iter()
        .filter(|category| newest.allows(kind, category))
        .collect();
    let category = allowed[nth_category % allowed.len()];
    let there = to_observables(
        &AttributeInput {
            kind,
            category,
            value: raw,
            uuid: UUID,
            event: EVENT,
        },
        data_types,
    )
    .unwrap();
    let given: Vec<ObservableInput<'_>> = there
        .iter()
        .map(|one| ObservableInput {
            data_type: &one.data_type,
            data: &one.data,
            tags: &one.tags,
        })
        .collect();
    let back = to_attributes(&given, &Overrides::default(), &newest);
    assert!(back.refused.is_empty(), "{kind} {raw}: {:?}", back.refused);
    let found: Vec<_> = back
        .wanted
        .iter()
        .map(|one| (one.kind.as_ref(), one.category.as_ref(), one.value.as_str()))
        .collect();
    assert_eq!(
        found,
        [(kind, category, normal.as_str())],
        "through {there:?}"
    );
}

/// TheHive 4, one with other types, and one that has none.
static THEHIVES: LazyLock<[ObservableTypeSet; 3]> = LazyLock::new(|| {
    let custom = [
        "ip",
        "domain",
        "fqdn",
        "url",
        "hash",
        "mail",
        "filename",
        "registry",
        "other",
        "cve",
        "asn",
        "mac",
        "btc",
        "yara",
        "user-account",
        "mail_subject",
        "regexp",
        "md5",
        "port",
    ];
    [
        ObservableTypeSet::thehive4(),
        ObservableTypeSet::new(custom),
        ObservableTypeSet::new(["other"]),
    ]
});

/// One property test per family: kinds, and a strategy for their values.
macro_rules! families {
    ($($family:ident: $kinds:expr => $values:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig {
                cases: 10_000,
                failure_persistence: None,
                ..ProptestConfig::default()
            })]
            $(
                #[test]
                fn $family(
                    kind in select($kinds.to_vec()),
                    raw in $values,
                    nth in 0_usize..16,
                    thehive in 0_usize..3,
                ) {
                    holds(kind, &raw, nth, &THEHIVES[thehive]);
                }
            )*
        }
    };
}

families! {
    hashes_of_32_digits: ["md5", "imphash", "ja3-fingerprint-md5", "hassh-md5", "hasshserver-md5", "dom-hash", "x509-fingerprint-md5"]
        => "[0-9a-fA-F]{32}";
    hashes_of_40_digits: ["sha1", "pehash", "cdhash", "git-commit-id", "x509-fingerprint-sha1"]
        => "[0-9a-fA-F]{40}";
    hashes_of_56_digits: ["sha224", "sha512/224", "sha3-224"] => "[0-9a-fA-F]{56}";
    hashes_of_64_digits: ["sha256", "sha512/256", "sha3-256", "authentihash", "x509-fingerprint-sha256"]
        => "[0-9a-fA-F]{64}";
    longer_hashes: ["sha384", "sha3-384"] => "[0-9a-fA-F]{96}";
    longest_hashes: ["sha512", "sha3-512"] => "[0-9a-fA-F]{128}";
    fuzzy_hashes: ["ssdeep", "impfuzzy"] => "[0-9]{1,5}:[0-9a-zA-Z/+]{0,20}:[0-9a-zA-Z/+]{0,20}";
    tlsh: ["tlsh"] => "[tT]?1?[0-9a-fA-F]{36,72}";
    telfhash: ["telfhash"] => "[0-9a-f]{70}([0-9a-f]{2})?";
    jarm: ["jarm-fingerprint"] => "[0-9a-f]{62}";
    ssh_keys: ["ssh-fingerprint"] => "SHA256:[0-9a-zA-Z/+]{43}=|(MD5:)?[0-9a-f]{2}(:[0-9a-f]{2}){15}";
    named_files_with_md5: ["filename|md5", "filename|imphash", "malware-sample"]
        => "[^|\\pC\\s\u{10000}-\u{10ffff}][^|\\pC\u{10000}-\u{10ffff}]{0,20}[a-z]\\|[0-9a-f]{32}";
    named_files_with_sha256: ["filename|sha256", "filename|authentihash", "filename|sha3-256"]
        => "[a-zA-Z0-9%.\\\\/][a-zA-Z0-9%. \\\\/]{0,20}[a-z]\\|[0-9a-fA-F]{64}";
    named_files_with_others: ["filename|vhash"] => "[a-z. ]{0,9}[a-z]\\|[0-9a-zA-Z]{1,20}";
    named_files_with_fuzzy: ["filename|ssdeep"] => "[a-z. ]{0,9}[a-z]\\|[0-9]{1,3}:[a-zA-Z/+]{1,9}:[a-zA-Z/+]{1,9}";
    addresses: ["ip-src", "ip-dst"] => address();
    addresses_with_ports: ["ip-src|port", "ip-dst|port"] => (single_address(), 1_u16..)
        .prop_map(|(ip, port)| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") });
    names: ["domain", "hostname"] => name();
    names_with_ports: ["hostname|port"] => (name(), select(vec![":", "|"]), 1_u16..)
        .prop_map(|(name, mark, port)| format!("{}{mark}{port}", name.trim_end_matches('.')));
    names_with_addresses: ["domain|ip"] => (name(), single_address()).prop_map(|(name, ip)| format!("{name}|{ip}"));
    onions: ["onion-address"] => "([a-zA-Z2-7]{16}|[a-z2-7]{56})\\.onion";
    mails: ["email", "email-src", "email-dst", "target-email", "whois-registrant-email"]
        => "[a-zA-Z0-9._+-]{1,12}(@|\\[@\\]|\\[at\\])[a-zA-Z0-9-]{1,9}(\\.|\\[\\.\\])[a-z]{2,6}";
    accounts: ["eppn", "jabber-id", "dns-soa-email"] => "[a-zA-Z0-9._+-]{1,12}@[a-zA-Z0-9-]{1,9}\\.[a-z]{2,6}";
    urls: ["url"] => "(http|https|hxxp|hXXps|ftp)://[a-z0-9.-]{1,20}(\\[\\.\\])?[a-z]{2,5}(:[0-9]{1,5})?(/[ -~ä-ü]{0,20})?[a-z]";
    bare_urls: ["url", "uri"] => "[a-zA-Z0-9./?=&%-]{1,30}";
    links: ["link"] => "(http|https|hxxp)://([a-z0-9]{1,9}\\.){1,3}[a-z]{2,5}(:[0-9]{1,4}[1-9])?(/[!-~]{0,20})?".prop_filter("port", |url| {
        url.split(':').nth(2).is_none_or(|port| port.split('/').next().is_some_and(|port| port.parse::<u16>().is_ok()))
    });
    systems: ["AS"] => "(AS|as|)[0-9]{1,9}|[0-9]{1,4}\\.[0-9]{1,4}";
    hardware: ["mac-address"] => "[0-9a-fA-F]{2}([:. -]?[0-9a-fA-F]{2}){5}";
    wide_hardware: ["mac-eui-64"] => "[0-9a-fA-F]{2}([:. -]?[0-9a-fA-F]{2}){7}";
    phones: ["phone-number", "prtn", "whois-registrant-phone"] => "(\\+|00)[1-9][0-9 /()-]{0,14}[0-9]";
    vulnerabilities: ["vulnerability"] => "[cC][vV][eE][–-][0-9]{4}[–-][0-9]{4,7}|GHSA(-[a-z0-9]{4}){3}|RHSA-[0-9]{4}:[0-9]{4,6}";
    weaknesses: ["weakness"] => "[cC][wW][eE]-[0-9]{1,5}";
    wallets: ["btc", "xmr", "dash"] => "[a-zA-Z0-9]{20,90}";
    banks: ["iban", "bic"] => "[a-zA-Z]{2}[0-9a-zA-Z -]{4,30}";
    cards: ["cc-number", "bin"] => "[0-9]{4}[0-9 -]{0,16}";
    numbers: ["float", "bank-account-nr", "aba-rtn"] => "[0-9]{1,12}";
    counts: ["counter", "size-in-bytes", "integer"] => "[0-9]{1,12}";
    ports: ["port"] => (1_u16..).prop_map(|port| port.to_string());
    moments: ["datetime"] => "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])([T ][01][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-]0[0-9]:?[03]0)?)?";
    truths: ["boolean"] => "[tT]rue|[fF]alse|0|1|[a-z]{1,5}";
    methods: ["http-method"] => "[gG][eE][tT]|post|HEAD|PropFind|version-control";
    digits: ["hex"] => "[0-9a-fA-F]{1,40}";
    documents: ["cortex"] => "\\{\"[a-z]{1,5}\":(null|[1-9][0-9]{0,3}|\"[a-z |]{0,9}\")\\}";
    uuids: ["uuid"] => "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
    services: ["windows-service-name", "windows-service-displayname"] => "[a-zA-Z0-9.][a-zA-Z0-9. |-]{0,60}[a-z]";
    registry_values: ["regkey|value"] => "HK(LM|CU)\\\\[a-zA-Z0-9 \\\\]{0,30}[a-z]\\|[ -{}~]{0,20}[a-z]";
    one_line_texts: lines() => "[^\\pC\\s\u{10000}-\u{10ffff}]([^\\pC\u{10000}-\u{10ffff}]{0,40}[^\\pC\\s\u{10000}-\u{10ffff}])?";
    any_texts: texts() => "[!-~ä-ü]([ -~ä-ü\n]{0,60}[!-~ä-ü])?";
}

fn lines() -> [&'static str; 21] {
    [
        "filename",
        "pdb",
        "email-subject",
        "user-agent",
        "favicon-mmh3",
        "regkey",
        "named pipe",
        "target-user",
        "target-machine",
        "target-org",
        "threat-actor",
        "campaign-name",
        "malware-type",
        "windows-scheduled-task",
        "whois-registrar",
        "email-reply-to",
        "email-message-id",
        "github-username",
        "date-of-birth",
        "chrome-extension-id",
        "edge-extension-id",
    ]
}

fn texts() -> [&'static str; 20] {
    [
        "text",
        "comment",
        "other",
        "yara",
        "sigma",
        "snort",
        "suricata",
        "zeek",
        "mutex",
        "cpe",
        "cookie",
        "pattern-in-file",
        "pattern-in-traffic",
        "stix2-pattern",
        "email-body",
        "email-header",
        "attachment",
        "pgp-public-key",
        "full-name",
        "kusto-query",
    ]
}

fn single_address() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<[u16; 8]>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string().to_uppercase()),
        any::<[u8; 8]>().prop_map(|ip| {
            let sparse = ip.map(|part| u16::from(part % 3));
            std::net::Ipv6Addr::from(sparse).to_string()
        }),
    ]
}

fn address() -> impl Strategy<Value = String> {
    (single_address(), 0_u8..129, any::<bool>()).prop_map(|(ip, bits, network)| {
        let bits = if ip.contains(':') { bits } else { bits % 33 };
        let ip = if bits % 2 == 0 {
            ip.replacen('.', "[.]", 2)
        } else {
            ip
        };
        if network { format!("{ip}/{bits}") } else { ip }
    })
}

fn name() -> impl Strategy<Value = String> {
    "([a-zA-Z0-9_äöé][a-zA-Z0-9_]{0,9}(\\.|\\[\\.\\])){1,3}[a-zA-Z]{2,6}\\.?"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_of_any_type_is_normal_after_one_step_and_never_lost(
        value in "\\PC{0,30}|[ -~]{0,40}|.{0,20}|[0-9a-fhxp:.|/@\\[\\]() ]{0,30}",
        thehive in 0_usize..3,
    ) {
        for row in &MISP_TYPES {
            let (kind, category) = (row.kind, row.default_category());
            let normal = normalise(kind, &value);
            assert_eq!(normalise(kind, &normal), normal, "{kind}");
            let found = to_observables(&AttributeInput { kind, category, value: &value, uuid: UUID, event: EVENT }, &THEHIVES[thehive]);
            assert!(found.is_err() || found.is_ok_and(|all| all.iter().all(|one| !one.data.is_empty())));
        }
    }

    #[test]
    fn every_observable_stands_among_the_wanted_or_the_refused_and_never_in_both(
        given in proptest::collection::vec(
            (
                select(vec!["ip", "domain", "fqdn", "hostname", "url", "hash", "filename", "other", "mail", "nothing"]),
                "[a-c0-9.:|/]{0,12}|203\\.0\\.113\\.[0-9]|[a-c]\\.example|[a-f0-9]{32}|😀",
                proptest::collection::vec(select(vec![
                    "misp:type=\"ip-src\"", "misp:type=\"nothing\"", "misp:type=md5", "misp:category=\"Other\"",
                    "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:00000001-0000-4000-8000-000000000000\"", "misp:composite=\"filename|md5:5f0e5b5c-0000-4000-8000-000000000001:00000002-0000-4000-8000-000000000000\"", "tlp:red",
                    "misp:composite=\"ip-dst|port:5f0e5b5c-0000-4000-8000-000000000001:00000003-0000-4000-8000-000000000000:80\"", "misp:composite=\"x\"", "misp:composite=\"md5:5f0e5b5c-0000-4000-8000-000000000001:00000004-0000-4000-8000-000000000000\"",
                    "misp:composite=\"malware-sample:5f0e5b5c-0000-4000-8000-000000000001:00000005-0000-4000-8000-000000000000\"", "misp:type=\"filename\"", "misp:type=\"filename|md5\"",
                ]), 0..4),
            ),
            0..8,
        ),
    ) {
        let tags: Vec<Vec<String>> = given.iter().map(|(.., tags)| tags.iter().map(|&tag| tag.to_owned()).collect()).collect();
        let all: Vec<ObservableInput<'_>> = given.iter().zip(&tags)
            .map(|((data_type, data, _), tags)| ObservableInput { data_type, data, tags }).collect();
        let found = to_attributes(&all, &Overrides::default(), &MispCapabilities::newest());
        for at in 0..all.len() {
            let wanted = found.wanted.iter().any(|one| one.from.contains(&at));
            let refused = found.refused.iter().filter(|(place, _)| *place == at).count();
            assert_eq!(usize::from(wanted) + refused, 1, "{at} of {given:?}: {found:?}");
        }
        for (nth, one) in found.wanted.iter().enumerate() {
            assert_eq!(validate(&one.kind, &one.value, &MispCapabilities::newest()), Ok(()));
            assert!(MispCapabilities::newest().allows(&one.kind, &one.category));
            let twin = |other: &cortex_misp::types::MappedAttribute| other.fold == one.fold && other.value == one.value;
            assert!(!found.wanted[..nth].iter().any(twin), "{found:?}");
        }
    }
}
