//! What MISP's attributes become in TheHive, and which tags lead back.

use cortex_misp::types::{AttributeInput, Observable, ObservableTypeSet, to_observables};
use uuid::Uuid;

const UUID: &str = "1a2b3c4d-0000-4000-8000-000000000000";
const EVENT: Uuid = Uuid::from_u128(0x5f0e_5b5c_0000_4000_8000_0000_0000_0001);

fn import(kind: &str, category: &str, value: &str) -> Vec<(String, String, Vec<String>)> {
    import_into(&ObservableTypeSet::thehive4(), kind, category, value)
}

fn import_into(
    types: &ObservableTypeSet,
    kind: &str,
    category: &str,
    value: &str,
) -> Vec<(String, String, Vec<String>)> {
    to_observables(
        &AttributeInput {
            kind,
            category,
            value,
            uuid: UUID,
            event: EVENT,
        },
        types,
    )
    .unwrap()
    .into_iter()
    .map(
        |Observable {
             data_type,
             data,
             tags,
         }| (data_type.into_owned(), data, tags),
    )
    .collect()
}

fn plain(data_type: &str, data: &str, tags: &[&str]) -> (String, String, Vec<String>) {
    (
        data_type.to_owned(),
        data.to_owned(),
        tags.iter().map(|&tag| tag.to_owned()).collect(),
    )
}

#[test]
fn what_the_way_back_gives_anyway_gets_no_tag() {
    let network = "Network activity";
    assert_eq!(
        import("ip-dst", network, "203.0.113.5"),
        [plain("ip", "203.0.113.5", &[])]
    );
    assert_eq!(
        import("domain", network, "evil.example"),
        [plain("domain", "evil.example", &[])]
    );
    assert_eq!(
        import("sha256", "Payload delivery", &"A".repeat(64)),
        [plain("hash", &"a".repeat(64), &[])]
    );
    assert_eq!(
        import("url", network, "hxxp://evil[.]example/"),
        [plain("url", "http://evil.example/", &[])]
    );
}

#[test]
fn what_the_way_back_would_change_gets_a_tag() {
    assert_eq!(
        import("ip-src", "Network activity", "203.0.113.5"),
        [plain("ip", "203.0.113.5", &["misp:type=\"ip-src\""])]
    );
    assert_eq!(
        import("domain", "External analysis", "evil.example"),
        [plain(
            "domain",
            "evil.example",
            &["misp:category=\"External analysis\""]
        )]
    );
    assert_eq!(
        import("url", "Network activity", "evil.example"),
        [plain("url", "evil.example", &["misp:type=\"url\""])]
    );
    assert_eq!(
        import("ja3-fingerprint-md5", "Network activity", &"a".repeat(32)),
        [plain(
            "hash",
            &"a".repeat(32),
            &["misp:type=\"ja3-fingerprint-md5\""]
        )]
    );
}

#[test]
fn mails_of_every_kind_but_the_rest_of_email_is_other() {
    for kind in [
        "email",
        "email-src",
        "email-dst",
        "email-reply-to",
        "whois-registrant-email",
        "target-email",
        "dns-soa-email",
    ] {
        assert_eq!(
            import(kind, "Payload delivery", "a@b.example")[0].0,
            "mail",
            "{kind}"
        );
    }
    assert_eq!(
        import("email-subject", "Payload delivery", "Hi")[0].0,
        "mail-subject"
    );
    for kind in [
        "email-body",
        "email-attachment",
        "email-message-id",
        "email-header",
        "email-src-display-name",
    ] {
        let found = import(kind, "Payload delivery", "x");
        assert_eq!(
            found,
            [plain("other", "x", &[&format!("misp:type=\"{kind}\"")])]
        );
    }
}

#[test]
fn composites_are_split_and_linked() {
    let hash = "a".repeat(32);
    let link = "misp:composite=\"filename|md5:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"";
    let artifacts = "misp:category=\"Artifacts dropped\"";
    assert_eq!(
        import(
            "filename|md5",
            "Artifacts dropped",
            &format!("a b.exe|{hash}")
        ),
        [
            plain("filename", "a b.exe", &[link, artifacts]),
            plain("hash", &hash, &[link, artifacts])
        ]
    );
    let link = "misp:composite=\"regkey|value:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"";
    assert_eq!(
        import("regkey|value", "Persistence mechanism", "HKLM\\Run|1"),
        [
            plain("registry", "HKLM\\Run", &[link]),
            plain("other", "1", &[link])
        ]
    );
}

#[test]
fn a_port_is_no_observable() {
    assert_eq!(
        import("ip-dst|port", "Network activity", "203.0.113.5|443"),
        [plain(
            "ip",
            "203.0.113.5",
            &[
                "misp:composite=\"ip-dst|port:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000:443\""
            ]
        )]
    );
    assert_eq!(
        import("hostname|port", "Network activity", "a.example|8443"),
        [plain(
            "hostname",
            "a.example",
            &[
                "misp:composite=\"hostname|port:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000:8443\""
            ]
        )]
    );
}

#[test]
fn custom_types_of_thehive_are_used_for_what_they_stand_for() {
    let types = ObservableTypeSet::new(["cve", "Mac_Address", "asn", "mutex", "other"]);
    assert_eq!(
        import_into(
            &types,
            "vulnerability",
            "External analysis",
            "CVE-2021-44228"
        ),
        [plain("cve", "CVE-2021-44228", &[])]
    );
    assert_eq!(
        import_into(
            &types,
            "mac-address",
            "Network activity",
            "00:11:22:33:44:55"
        )[0]
        .0,
        "Mac_Address"
    );
    assert_eq!(
        import_into(&types, "AS", "Network activity", "64512"),
        [plain("asn", "64512", &[])]
    );
    assert_eq!(
        import_into(&types, "mutex", "Artifacts dropped", "m"),
        [plain("mutex", "m", &[])]
    );
    assert_eq!(
        import_into(&types, "ip-dst", "Network activity", "203.0.113.5"),
        [plain("other", "203.0.113.5", &["misp:type=\"ip-dst\""])]
    );
}

#[test]
fn a_value_that_is_not_what_it_says_is_no_indicator_of_that_type() {
    assert_eq!(
        import("ip-dst", "Network activity", "<script>"),
        [plain("other", "<script>", &["misp:type=\"ip-dst\""])]
    );
    assert_eq!(
        import("domain|ip", "Network activity", "only.example"),
        [plain("other", "only.example", &["misp:type=\"domain|ip\""])]
    );
}

#[test]
fn an_empty_value_is_refused() {
    let found = AttributeInput {
        kind: "text",
        category: "Other",
        value: " \n",
        uuid: UUID,
        event: EVENT,
    };
    let reason = to_observables(&found, &ObservableTypeSet::thehive4()).unwrap_err();
    assert_eq!(reason.to_string(), "Value cannot be empty.");
}

#[test]
fn characters_that_only_misp_cannot_hold_are_kept() {
    assert_eq!(
        import("text", "Other", "😀"),
        [plain("other", "😀", &["misp:type=\"text\""])]
    );
}
