//! What analysts' observables become in MISP: the type they would choose, unless a tag, the
//! administrator, or the server says otherwise.

use cortex_misp::types::{
    AttributeInput, MappedAttribute, Mapping, MispCapabilities, ObservableInput, ObservableTypeSet,
    Overrides, to_attributes, to_observables,
};
use uuid::Uuid;

use super::validation::old as old_server;

fn export(given: &[(&str, &str, &[&str])]) -> Mapping {
    export_with(given, &Overrides::default(), &MispCapabilities::newest())
}

fn export_with(
    given: &[(&str, &str, &[&str])],
    lines: &Overrides,
    server: &MispCapabilities,
) -> Mapping {
    let tags: Vec<Vec<String>> = given
        .iter()
        .map(|(.., tags)| tags.iter().map(|&tag| tag.to_owned()).collect())
        .collect();
    let given: Vec<ObservableInput<'_>> = given
        .iter()
        .zip(&tags)
        .map(|((data_type, data, _), tags)| ObservableInput {
            data_type,
            data,
            tags,
        })
        .collect();
    to_attributes(&given, lines, server)
}

fn one(data_type: &str, data: &str, tags: &[&str]) -> MappedAttribute {
    let mut found = export(&[(data_type, data, tags)]);
    assert!(
        found.refused.is_empty(),
        "{data_type} {data}: {:?}",
        found.refused
    );
    assert_eq!(found.wanted.len(), 1, "{:?}", found.wanted);
    found.wanted.remove(0)
}

fn becomes(data_type: &str, data: &str, expected: &str) {
    let found = one(data_type, data, &[]);
    assert_eq!(
        format!("{}/{}", found.category, found.kind),
        expected,
        "{data_type} {data}"
    );
}

fn overrides(lines: &[&str]) -> Result<Overrides, String> {
    Overrides::parse(
        &lines
            .iter()
            .map(|&line| line.to_owned())
            .collect::<Vec<_>>(),
    )
}

#[test]
fn the_sixteen_types_of_thehive_4() {
    becomes("ip", "203.0.113.5", "Network activity/ip-dst");
    becomes("domain", "evil.example", "Network activity/domain");
    becomes("fqdn", "www.evil.example", "Network activity/hostname");
    becomes("hostname", "www.evil.example", "Network activity/hostname");
    becomes(
        "url",
        "https://evil.example/gate.php",
        "Network activity/url",
    );
    becomes("uri_path", "/gate.php", "Network activity/uri");
    becomes(
        "user-agent",
        "Mozilla/5.0 (X11)",
        "Network activity/user-agent",
    );
    becomes(
        "mail",
        "attacker@evil.example",
        "Payload delivery/email-src",
    );
    becomes("mail-subject", "Invoice", "Payload delivery/email-subject");
    becomes(
        "hash",
        "d41d8cd98f00b204e9800998ecf8427e",
        "Payload delivery/md5",
    );
    becomes("filename", "invoice.exe", "Payload delivery/filename");
    becomes("file", "invoice.exe", "Payload delivery/filename");
    becomes(
        "registry",
        "HKLM\\Software\\Run",
        "Persistence mechanism/regkey",
    );
    becomes("autonomous-system", "AS64512", "Network activity/AS");
    becomes("regexp", "gate[0-9]+\\.php", "Other/text");
    becomes("other", "whatever", "Other/other");
}

#[test]
fn the_spellings_of_thehive_5_and_common_custom_types() {
    becomes("mail_subject", "Invoice", "Payload delivery/email-subject");
    becomes("cve", "CVE-2021-44228", "External analysis/vulnerability");
    becomes("asn", "AS64512", "Network activity/AS");
    becomes("mac", "00-11-22-33-44-55", "Network activity/mac-address");
    becomes(
        "btc",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "Financial fraud/btc",
    );
    becomes(
        "yara",
        "rule x { condition: true }",
        "Payload installation/yara",
    );
    becomes("user-account", "jdoe", "Targeting data/target-user");
    becomes("User_Name", "jdoe", "Targeting data/target-user");
    becomes(
        "certificate",
        "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:00:11:22:33",
        "Network activity/x509-fingerprint-sha1",
    );
    becomes("imphash", &"a".repeat(32), "Payload delivery/imphash");
    becomes("email-header", "X-A: 1", "Payload delivery/email-header");
}

#[test]
fn a_type_that_nobody_knows_goes_as_other_with_a_warning() {
    let found = one("license-plate", "B-XY 1", &[]);
    assert_eq!(
        (found.kind.as_ref(), found.category.as_ref()),
        ("other", "Other")
    );
    assert_eq!(
        found.warning.as_deref(),
        Some("MISP has no type for observables of type license-plate: sent as other")
    );
}

#[test]
fn hashes_are_told_by_length_and_alphabet() {
    for (length, kind) in [
        (32, "md5"),
        (40, "sha1"),
        (56, "sha224"),
        (64, "sha256"),
        (96, "sha384"),
        (128, "sha512"),
    ] {
        becomes(
            "hash",
            &"B".repeat(length),
            &format!("Payload delivery/{kind}"),
        );
    }
    becomes("hash", "3:abc:def", "Payload delivery/ssdeep");
    becomes(
        "hash",
        &format!("T1{}", "A1".repeat(35)),
        "Payload delivery/tlsh",
    );
    becomes("hash", &"a".repeat(62), "Network activity/jarm-fingerprint");
    becomes(
        "hash",
        "SHA256:glTDKakoUPbVOd03b0gW7idkUX2l4CNVFK9DMWRIDXo=",
        "Network activity/ssh-fingerprint",
    );
    let odd = one("hash", "abcdef", &[]);
    assert_eq!(odd.kind, "other");
    assert_eq!(
        odd.warning.as_deref(),
        Some("no hash that MISP knows has this form (6 characters): sent as other")
    );
}

#[test]
fn form_overrules_a_type_that_was_chosen_wrongly() {
    becomes("ip", "203.0.113.5:443", "Network activity/ip-dst|port");
    becomes("ip", "[2001:db8::1]:443", "Network activity/ip-dst|port");
    becomes("ip", "2001:db8::1:443", "Network activity/ip-dst");
    becomes("domain", "203.0.113.44", "Network activity/ip-dst");
    becomes("domain", "https://evil.example/a", "Network activity/url");
    becomes(
        "hostname",
        "evil.example:8080",
        "Network activity/hostname|port",
    );
    becomes("url", "evil.example", "Network activity/domain");
    becomes("url", "203.0.113.5", "Network activity/ip-dst");
    becomes("url", "hxxp://evil[.]example", "Network activity/url");
    becomes(
        "domain",
        "expyuzz4wqqyqhjn.onion",
        "Network activity/onion-address",
    );
    becomes("hostname", "WORKSTATION-1", "Other/other");
    becomes("other", "cve-2021-44228", "External analysis/vulnerability");
    becomes("other", "00:11:22:33:44:55", "Network activity/mac-address");
}

#[test]
fn fqdn_and_hostname_of_the_same_name_are_one_attribute() {
    let found = export(&[
        ("fqdn", "a.evil.example", &[]),
        ("hostname", "A.evil.example", &[]),
    ]);
    assert_eq!(found.wanted.len(), 1);
    assert_eq!(found.wanted[0].from, [0, 1]);
    assert_eq!(found.wanted[0].fold, "hostname");
}

#[test]
fn a_type_tag_always_wins_and_a_category_tag_where_misp_allows_it() {
    let found = one(
        "ip",
        "203.0.113.5",
        &["misp:type=\"ip-src\"", "misp:category=\"Payload delivery\""],
    );
    assert_eq!(
        (found.kind.as_ref(), found.category.as_ref()),
        ("ip-src", "Payload delivery")
    );
    assert_eq!((found.fold.as_str(), found.warning), ("ip", None));
    let found = one("mail", "a@b.example", &["misp:type=whois-registrant-email"]);
    assert_eq!(
        (found.kind.as_ref(), found.category.as_ref()),
        ("whois-registrant-email", "Attribution")
    );
}

#[test]
fn a_type_tag_that_does_not_fit_the_value_keeps_no_ioc_back() {
    let found = one("domain", "evil.example", &["misp:type=\"ip-src\""]);
    assert_eq!(
        (found.kind.as_ref(), found.value.as_str()),
        ("domain", "evil.example")
    );
    let told = "not sent as ip-src, which a tag asks for: IP address has an invalid format.";
    assert_eq!(found.warning.as_deref(), Some(told));
    // A value that fits nothing is refused for what it is.
    let found = export(&[("ip", "1.2.3.999", &["misp:type=\"md5\""])]);
    assert_eq!(
        found.refused[0].1.to_string(),
        "IP address has an invalid format."
    );
}

#[test]
fn a_type_tag_that_misp_does_not_know_is_reported_and_ignored() {
    let found = one("ip", "203.0.113.5", &["misp:type=\"ip-destination\""]);
    assert_eq!(found.kind, "ip-dst");
    assert_eq!(
        found.warning.as_deref(),
        Some("MISP has no type ip-destination, which a tag asks for")
    );
}

#[test]
fn several_type_tags_make_several_attributes_with_names_of_their_own() {
    let tags: &[&str] = &["misp:type=\"md5\"", "misp:type=\"imphash\""];
    let found = export(&[("hash", "d41d8cd98f00b204e9800998ecf8427e", tags)]);
    let kinds: Vec<_> = found
        .wanted
        .iter()
        .map(|one| (one.kind.as_ref(), one.fold.as_str()))
        .collect();
    assert_eq!(kinds, [("md5", "hash"), ("imphash", "imphash")]);
}

#[test]
fn halves_go_back_as_their_composite_whatever_lies_between_them() {
    let hash = "a".repeat(64);
    let found = export(&[
        (
            "hash",
            &hash,
            &[
                "misp:composite=\"filename|sha256:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
            ],
        ),
        (
            "domain",
            "evil.example",
            &[
                "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:00000001-0000-4000-8000-000000000000\"",
            ],
        ),
        (
            "ip",
            "203.0.113.5",
            &[
                "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:00000001-0000-4000-8000-000000000000\"",
                "misp:composite=\"ip-dst|port:5f0e5b5c-0000-4000-8000-000000000001:00000002-0000-4000-8000-000000000000:443\"",
            ],
        ),
        (
            "filename",
            "a.exe",
            &[
                "misp:composite=\"filename|sha256:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
            ],
        ),
    ]);
    let all: Vec<_> = found
        .wanted
        .iter()
        .map(|one| (one.kind.as_ref(), one.value.as_str(), one.from.clone()))
        .collect();
    let file = format!("a.exe|{hash}");
    assert_eq!(
        all,
        [
            ("filename|sha256", file.as_str(), vec![3, 0]),
            ("domain|ip", "evil.example|203.0.113.5", vec![1, 2]),
            ("ip-dst|port", "203.0.113.5|443", vec![2]),
        ]
    );
    assert!(
        found
            .wanted
            .iter()
            .all(|one| one.fold == one.kind && one.warning.is_none())
    );
}

#[test]
fn a_half_without_its_other_half_goes_as_what_it_is() {
    let found = one(
        "hash",
        &"a".repeat(32),
        &[
            "misp:composite=\"filename|imphash:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        ],
    );
    assert_eq!(
        (found.kind.as_ref(), found.fold.as_str()),
        ("imphash", "hash")
    );
    let found = one(
        "ip",
        "203.0.113.5",
        &[
            "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        ],
    );
    assert_eq!(found.kind, "ip-dst");
}

#[test]
fn a_composite_that_makes_misp_fail_falls_apart_with_the_reason() {
    let link: &[&str] = &[
        "misp:composite=\"filename|impfuzzy:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
    ];
    let found = export(&[
        ("filename", "a.exe", link),
        ("hash", "24:DfLVu:7LVu0", link),
    ]);
    let all: Vec<_> = found.wanted.iter().map(|one| one.kind.as_ref()).collect();
    assert_eq!(all, ["filename", "impfuzzy"]);
    let warning = "not sent as filename|impfuzzy: Unknown attribute type filename|impfuzzy.";
    assert!(
        found
            .wanted
            .iter()
            .all(|one| one.warning.as_deref() == Some(warning))
    );
}

#[test]
fn a_composite_that_makes_misp_fail_falls_apart_where_a_tag_asks_for_it() {
    let tags: &[&str] = &["misp:type=\"filename|impfuzzy\""];
    let found = export(&[("other", "a|b.exe|24:DfLVu:7LVu0", tags)]);
    let all: Vec<_> = found
        .wanted
        .iter()
        .map(|one| (one.kind.as_ref(), one.value.as_str(), one.from.as_slice()))
        .collect();
    assert_eq!(
        all,
        [
            ("filename", "a|b.exe", &[0][..]),
            ("impfuzzy", "24:DfLVu:7LVu0", &[0][..])
        ]
    );
    let warning = "not sent as filename|impfuzzy, which no MISP stores: its halves go alone";
    assert!(
        found
            .wanted
            .iter()
            .all(|one| one.warning.as_deref() == Some(warning))
    );
    let found = one("other", "a.exe|no impfuzzy", tags);
    assert_eq!(found.kind, "other");
}

#[test]
fn a_port_that_is_none_is_left_out_with_the_reason() {
    let found = one(
        "ip",
        "203.0.113.5",
        &[
            "misp:composite=\"ip-src|port:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000:99999\"",
        ],
    );
    assert_eq!(found.kind, "ip-src");
    assert_eq!(
        found.warning.as_deref(),
        Some("not sent as ip-src|port: Port numbers have to be integers between 1 and 65535.")
    );
}

#[test]
fn an_old_misp_gets_what_it_takes_and_the_report_says_so() {
    let server = old_server();
    let v3 = format!("{}.onion", "a".repeat(56));
    let given: &[(&str, &str, &[&str])] = &[
        ("domain", &v3, &[]),
        ("suricata", "alert tcp any any -> any any (sid:1;)", &[]),
        ("cve", "GHSA-jfh8-c2jp-5v3q", &[]),
        ("other", "5", &["misp:type=\"integer\""]),
    ];
    let found = export_with(given, &Overrides::default(), &server);
    let all: Vec<_> = found
        .wanted
        .iter()
        .map(|one| (one.kind.as_ref(), one.value.as_str()))
        .collect();
    assert_eq!(
        all,
        [
            ("domain", v3.as_str()),
            ("other", given[1].1),
            ("other", given[2].1),
            ("other", "5")
        ]
    );
    assert_eq!(
        found.wanted[1].warning.as_deref(),
        Some("MISP 2.5.1 does not take it as suricata (Invalid type.): sent as other")
    );
    assert!(found.wanted.iter().all(|one| one.warning.is_some()));
}

#[test]
fn a_newer_misp_keeps_types_that_this_table_does_not_know() {
    let server = MispCapabilities::new(
        [("Network activity", vec!["ip-dst", "ja4-fingerprint"])],
        "2.6.0",
    );
    let tags: &[&str] = &[
        "misp:type=\"ja4-fingerprint\"",
        "misp:category=\"Network activity\"",
    ];
    let found = export_with(
        &[("other", "t13d1516h2_8daaf6152771", tags)],
        &Overrides::default(),
        &server,
    );
    assert_eq!(
        (
            found.wanted[0].kind.as_ref(),
            found.wanted[0].category.as_ref()
        ),
        ("ja4-fingerprint", "Network activity")
    );
    let found = AttributeInput {
        kind: "ja4-fingerprint",
        category: "Network activity",
        value: "t13d",
        uuid: "",
        event: Uuid::nil(),
    };
    assert_eq!(
        to_observables(&found, &ObservableTypeSet::thehive4()).unwrap()[0].tags,
        tags
    );
}

#[test]
fn characters_that_misp_cannot_store_are_replaced_and_reported() {
    let found = one("other", "a 😀 b", &[]);
    assert_eq!(found.value, "a ? b");
    assert_eq!(
        found.warning.as_deref(),
        Some("characters above U+FFFF, which MISP cannot store, became ?: 1")
    );
}

#[test]
fn halves_are_joined_by_the_whole_identity_alone() {
    let link = |event: u128, attribute: u128| {
        format!(
            "misp:composite=\"filename|md5:{}:{}\"",
            Uuid::from_u128(event),
            Uuid::from_u128(attribute)
        )
    };
    let md5 = "d".repeat(32);
    let kinds = |given: &[(&str, &str)]| -> Vec<String> {
        let all: Vec<[&str; 1]> = given.iter().map(|(_, tag)| [*tag]).collect();
        let given = given.iter().zip(&all).map(|((data, _), tags)| match *data {
            "hash" => ("hash", md5.as_str(), tags.as_slice()),
            name => ("filename", name, tags.as_slice()),
        });
        let found = export(&given.collect::<Vec<_>>());
        found
            .wanted
            .iter()
            .map(|one| format!("{} {}", one.kind, one.value.split('|').next().unwrap()))
            .collect()
    };
    let (one, other, upper) = (
        link(0xa, 0xb),
        link(0xc, 0xb),
        link(0xa, 0xb).replace("0a", "0A"),
    );
    let hash = format!("md5 {md5}");
    assert_eq!(
        kinds(&[("a.exe", &one), ("hash", &upper)]),
        ["filename|md5 a.exe"]
    );
    assert_eq!(
        kinds(&[("a.exe", &other), ("hash", &one)]),
        ["filename a.exe", hash.as_str()]
    );
    // Two names for one place, as two attributes with the same uuid leave them.
    assert_eq!(
        kinds(&[("a.exe", &one), ("b.exe", &one), ("hash", &one)]),
        ["filename a.exe", "filename b.exe", hash.as_str()]
    );
    let short = "misp:composite=\"filename|md5:0000000a\"";
    assert_eq!(
        kinds(&[("a.exe", short), ("hash", short)]),
        ["filename a.exe", hash.as_str()]
    );
}

#[test]
fn a_sample_without_its_file_says_so() {
    let link: &[&str] = &[
        "misp:composite=\"malware-sample:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
    ];
    let found = export(&[("filename", "a.exe", link), ("hash", &"a".repeat(32), link)]);
    assert_eq!(found.wanted[0].kind, "malware-sample");
    assert_eq!(
        found.wanted[0].warning.as_deref(),
        Some("malware-sample is sent without its file")
    );
}

#[test]
fn the_administrators_lines_overrule_the_table_but_not_the_tags() {
    let lines = overrides(&[
        "ip = Payload delivery/ip-src",
        "",
        "hostname=Network activity/domain",
    ])
    .unwrap();
    let given: &[(&str, &str, &[&str])] = &[
        ("ip", "203.0.113.5", &[]),
        ("ip", "203.0.113.6", &["misp:type=\"ip-dst\""]),
        ("fqdn", "a.evil.example", &[]),
        ("ip", "203.0.113.7:80", &[]),
    ];
    let found = export_with(given, &lines, &MispCapabilities::newest());
    let all: Vec<_> = found
        .wanted
        .iter()
        .map(|one| format!("{}/{}", one.category, one.kind))
        .collect();
    assert_eq!(
        all,
        [
            "Payload delivery/ip-src",
            "Network activity/ip-dst",
            "Network activity/domain",
            "Network activity/ip-dst|port",
        ]
    );
    assert_eq!(
        found.wanted[3].warning.as_deref(),
        Some("not sent as ip-src, which type_mapping asks for: IP address has an invalid format.")
    );
}

#[test]
fn a_wrong_line_of_the_administrator_says_what_is_accepted() {
    let wrong = |line: &str| overrides(&[line]).unwrap_err();
    assert_eq!(
        wrong("ip=ip-src"),
        "type_mapping `ip=ip-src`: no `/` after the category; accepted is `observable type=MISP category/MISP type`"
    );
    assert!(wrong("ip").contains("no `=`"));
    assert!(wrong("=Other/text").contains("no observable type"));
    assert_eq!(
        wrong("ip=Person/ip-src"),
        "type_mapping `ip=Person/ip-src`: MISP does not take ip-src in category Person; accepted: Network activity, Payload delivery, External analysis"
    );
    assert!(
        wrong("ip=Networking/ip-src")
            .contains("MISP has no category Networking (did you mean \"Network activity\"?); accepted for ip-src: Network activity")
    );
    assert!(
        wrong("ip=Person/ip-source").contains(
            "MISP has no type ip-source (did you mean \"ip-src\"?); accepted in Person: "
        )
    );
    assert!(wrong("ip=X/ip-source").contains("accepted categories: "));
    assert!(
        overrides(&["ip=Other/text", "ip=Other/other"])
            .unwrap_err()
            .contains("a second line for ip")
    );
    assert!(overrides(&["hash=Payload delivery/sha512/256"]).is_ok());
}
