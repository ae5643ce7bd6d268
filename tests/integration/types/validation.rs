//! What MISP takes and what it drops, value by value, as a MISP 2.5.1 answered when asked; and what
//! newer ones take beyond it.

use cortex_misp::types::{
    MISP_TYPES, MispCapabilities, ObservableInput, Overrides, normalise, replace_astral,
    to_attributes, validate,
};

/// MISP 2.5.1: three types fewer than the newest.
pub fn old() -> MispCapabilities {
    let unknown = ["suricata", "edge-extension-id", "uuid"];
    let mappings = MISP_TYPES
        .iter()
        .filter(|row| !unknown.contains(&row.kind))
        .map(|row| (row.default_category(), [row.kind]));
    MispCapabilities::new(mappings, "2.5.1")
}

fn takes_on(server: &MispCapabilities, kind: &str, value: &str, stored: &str) {
    let normal = normalise(kind, value);
    assert_eq!(normal, stored, "{kind} of {value}");
    assert_eq!(validate(kind, &normal, server), Ok(()), "{kind} {value}");
}

/// Both versions take the value and store it so.
fn takes(kind: &str, value: &str, stored: &str) {
    takes_on(&old(), kind, value, stored);
    takes_on(&MispCapabilities::newest(), kind, value, stored);
}

fn drops_on(server: &MispCapabilities, kind: &str, value: &str, reason: &str) {
    let normal = normalise(kind, value);
    let answer = validate(kind, &normal, server).unwrap_err().to_string();
    assert!(answer.starts_with(reason), "{kind} {value}: {answer}");
}

/// Neither version takes the value, for the same reason.
fn drops(kind: &str, value: &str, reason: &str) {
    drops_on(&old(), kind, value, reason);
    drops_on(&MispCapabilities::newest(), kind, value, reason);
}

const IP: &str = "IP address has an invalid format.";
const PORT: &str = "Port numbers have to be integers between 1 and 65535.";
const LINE: &str = "Value must not contain new line character.";
const MAIL: &str = "Email address has an invalid format.";
const FORMAT: &str = "Value not in the right type/format.";
const COMPOSITE: &str =
    "Composite type found but the value not in the composite (value1|value2) format.";

/// A MISP 2.5.1 takes such a value for any other of the kind, and so for the one that is there.
#[test]
fn what_misp_takes_for_the_empty_value_is_none() {
    for value in ["ஂ", "\u{200b}", "\u{a0} \u{200b}", "\u{200d}\u{2060}"] {
        drops(
            "text",
            value,
            "Value has no character by which MISP tells values apart.",
        );
        drops(
            "other",
            value,
            "Value has no character by which MISP tells values apart.",
        );
    }
    takes("text", "\u{200b}a", "\u{200b}a");
}

#[test]
fn addresses() {
    for kind in ["ip-src", "ip-dst"] {
        takes(kind, "1[.]2[.]3[.]4", "1.2.3.4");
        takes(kind, "2001:0DB8:0:0:0:0:0:1", "2001:db8::1");
        takes(kind, "::ffff:1.2.3.4", "::ffff:1.2.3.4");
        takes(kind, "::1.2.3.4", "::1.2.3.4");
        takes(kind, "203.0.113.0/24", "203.0.113.0/24");
        takes(kind, "1.2.3.4/32", "1.2.3.4");
        takes(kind, "2001:DB8::1/128", "2001:db8::1");
        takes(kind, "2001:DB8::/32", "2001:db8::/32");
        for bad in [
            "1.2.3.4:80",
            "[::1]",
            "fe80::1%eth0",
            "01.2.3.4",
            "1.2.3.999",
            "not-an-ip",
        ] {
            drops(kind, bad, IP);
        }
        drops(
            kind,
            "1.2.3.4/33",
            "Invalid CIDR notation value found, for IPv4 must be lower or equal 32.",
        );
        drops(
            kind,
            "2001:db8::/129",
            "Invalid CIDR notation value found, for IPv6 must be lower or equal 128.",
        );
        drops(kind, "1.2.3.4/x", "Invalid CIDR notation value found.");
    }
}

#[test]
fn addresses_with_ports() {
    for kind in ["ip-src|port", "ip-dst|port"] {
        takes(kind, "1.2.3.4:80", "1.2.3.4|80");
        takes(kind, "1.2.3.4|80", "1.2.3.4|80");
        takes(kind, "[2001:DB8::1]:80", "2001:db8::1|80");
        takes(kind, "2001:db8::1.80", "2001:db8::1|80");
        takes(kind, "2001:db8::1 port 80", "2001:db8::1|80");
        takes(kind, "2001:db8::1p80", "2001:db8::1|80");
        takes(kind, "2001:db8::1#80", "2001:db8::1|80");
        takes(kind, "2001:db8::1:80", "2001:db8::1|80");
        takes(kind, "2001:DB8::1|80", "2001:db8::1|80");
        drops(kind, "1.2.3.4|0", PORT);
        drops(kind, "1.2.3.4|65536", PORT);
        drops(kind, "1.2.3.0/24|80", IP);
        drops(kind, "1.2.3.4", COMPOSITE);
    }
    takes("port", "65535", "65535");
    drops("port", "0", PORT);
    drops("port", "65536", PORT);
    drops("port", "http", PORT);
}

#[test]
fn domains_and_hostnames() {
    takes("domain", "Exämple.COM.", "xn--exmple-cua.com");
    takes("domain", "_dmarc.example.com", "_dmarc.example.com");
    takes("domain", "evil[.]example", "evil.example");
    takes("domain", "1.2.3.44", "1.2.3.44");
    for bad in ["localhost", "example.c", "a b.com", "1.2.3.4"] {
        drops(
            "domain",
            bad,
            "Domain has an invalid format. Please double check the value or select type \"other\".",
        );
    }
    takes("hostname", "A.B.com", "a.b.com");
    drops("hostname", "single", "Hostname has an invalid format.");
    takes("domain|ip", "Ex.com|2001:DB8:0::1", "ex.com|2001:db8::1");
    drops("domain|ip", "ex.com|10.0.0.0/8", IP);
    drops(
        "domain|ip",
        "localhost|10.0.0.1",
        "Domain has an invalid format.",
    );
    drops("domain|ip", "ex.com", COMPOSITE);
    takes("hostname|port", "H.com:8080", "h.com|8080");
    drops("hostname|port", "h|80", "Hostname has an invalid format.");
    drops("hostname|port", "h.com|0", PORT);
}

#[test]
fn a_hostname_that_misp_would_drop_as_it_is_gets_what_a_domain_gets() {
    for value in ["a.b.com.", "exämple.com"] {
        let reason = validate("hostname", value, &MispCapabilities::newest())
            .unwrap_err()
            .to_string();
        assert!(reason.starts_with("Hostname has an invalid format."));
    }
    takes("hostname", "a.b.com.", "a.b.com");
    takes("hostname", "exämple.com", "xn--exmple-cua.com");
}

#[test]
fn urls_and_links() {
    takes("url", "hxxps://evil[.]example/a", "https://evil.example/a");
    takes("url", "anything at all", "anything at all");
    takes(
        "url",
        "http://BÜCHER.example/päth",
        "http://BÜCHER.example/päth",
    );
    drops("url", "http://a\nb", LINE);
    takes("uri", "/a/b.php?x=1", "/a/b.php?x=1");
    drops("uri", "/a\n/b", LINE);
    takes(
        "link",
        "https://example.org/report",
        "https://example.org/report",
    );
    takes("link", "hxxp://example[.]org/", "http://example.org/");
    for bad in [
        "example.com",
        "http://exämple.com/a",
        "http://a/b c",
        "http://",
        "http://a_b.com/",
    ] {
        drops("link", bad, FORMAT);
    }
}

#[test]
fn mails() {
    for kind in ["email", "email-src", "email-dst"] {
        takes(kind, "X@Y.Z", "x@y.z");
        takes(kind, "x[@]y[.]z", "x@y.z");
        drops(kind, "a@b", MAIL);
        drops(kind, "John Doe <a@b.c>", MAIL);
    }
    takes("email-subject", "Invoice ünïcödé", "Invoice ünïcödé");
    drops("email-subject", "a\nb", LINE);
    takes("eppn", "User@Example.ORG", "User@Example.ORG");
}

#[test]
fn hashes() {
    let lengths = [
        ("md5", 32),
        ("sha1", 40),
        ("sha224", 56),
        ("sha256", 64),
        ("sha384", 96),
        ("sha512", 128),
    ];
    for (kind, length) in lengths {
        takes(kind, &"A".repeat(length), &"a".repeat(length));
        let wrong = format!(
            "Checksum has an invalid length or format (expected: {length} hexadecimal characters)."
        );
        drops(kind, &"a".repeat(length - 1), &wrong);
        drops(kind, &"g".repeat(length), &wrong);
    }
    takes("ssdeep", "3:abc:def", "3:abc:def");
    drops(
        "ssdeep",
        "3:abc:def,\"file\"",
        "Invalid SSDeep hash. The format has to be blocksize:hash:hash",
    );
    takes(
        "tlsh",
        &format!("T1{}", "A".repeat(70)),
        &format!("t1{}", "a".repeat(70)),
    );
    takes("tlsh", &"a".repeat(36), &"a".repeat(36));
    drops(
        "tlsh",
        &"a".repeat(35),
        "Checksum has an invalid length or format (expected: at least 35",
    );
}

#[test]
fn hashes_of_structures_and_keys() {
    takes("imphash", &"a".repeat(32), &"a".repeat(32));
    takes("impfuzzy", "24:a:b", "24:a:b");
    drops("impfuzzy", "24:a", "Invalid impfuzzy format.");
    takes("pehash", &"a".repeat(40), &"a".repeat(40));
    drops(
        "pehash",
        "a",
        "The input doesn't match the expected sha1 format (expected: 40",
    );
    takes("authentihash", &"a".repeat(64), &"a".repeat(64));
    takes("telfhash", &"a".repeat(70), &"a".repeat(70));
    takes("telfhash", &"a".repeat(72), &"a".repeat(72));
    drops(
        "telfhash",
        &"a".repeat(71),
        "Checksum has an invalid length or format (expected: 70 or 72",
    );
    takes("cdhash", &"A".repeat(41), &"a".repeat(41));
    drops(
        "cdhash",
        &"a".repeat(39),
        "The input doesn't match the expected format (expected: 40 or more",
    );
    takes(
        "x509-fingerprint-md5",
        "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99",
        "aabbccddeeff00112233445566778899",
    );
    for (kind, length) in [
        ("ja3-fingerprint-md5", 32),
        ("hassh-md5", 32),
        ("jarm-fingerprint", 62),
    ] {
        takes(kind, &"a".repeat(length), &"a".repeat(length));
    }
    takes("favicon-mmh3", "-123456789", "-123456789");
    takes(
        "ssh-fingerprint",
        "MD5:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99",
        "MD5:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99",
    );
    drops(
        "ssh-fingerprint",
        "SHA256:short",
        "SSH fingerprint must be in MD5 or SHA256 format.",
    );
}

#[test]
fn files() {
    takes("filename", "C:\\a|b/c.exe", "C:\\a|b/c.exe");
    drops("filename", "a\nb", LINE);
    takes(
        "filename|md5",
        &format!("A.exe|{}", "A".repeat(32)),
        &format!("A.exe|{}", "a".repeat(32)),
    );
    drops(
        "filename|md5",
        &format!("a|b|{}", "a".repeat(32)),
        COMPOSITE,
    );
    drops("filename|sha256", "onlyname", COMPOSITE);
    drops(
        "filename|sha256",
        "name|short",
        "Checksum has an invalid length or format (expected: filename|64 hexadecimal",
    );
    takes("filename|ssdeep", "A.exe|3:Abc:def", "A.exe|3:Abc:def");
    drops("filename|ssdeep", "a|b", "Invalid ssdeep hash");
    drops(
        "filename|tlsh",
        "a|b",
        "TLSH hash has an invalid length or format",
    );
    takes("filename|vhash", "a|B", "a|b");
    drops(
        "filename|pehash",
        "a|b",
        "The input doesn't match the expected filename|sha1 format",
    );
    takes("malware-sample", "a.exe|b", "a.exe|b");
    drops("malware-sample", "a.exe", COMPOSITE);
    takes("regkey", "HKLM\\Run", "HKLM\\Run");
    drops("regkey", "HKLM\nRun", LINE);
    takes("regkey|value", "HKLM\\Run|x y", "HKLM\\Run|x y");
    drops("regkey|value", "HKLM\\Run", COMPOSITE);
    drops("regkey|value", "HKLM|Run|x", COMPOSITE);
}

#[test]
fn network_details() {
    takes("mac-address", "00-11-22-AA-BB-CC", "00:11:22:aa:bb:cc");
    takes("mac-address", "0011.22aa.bbcc", "00:11:22:aa:bb:cc");
    drops("mac-address", "00:11:22", FORMAT);
    takes("mac-eui-64", "0011223344556677", "00:11:22:33:44:55:66:77");
    takes("AS", "AS13335", "13335");
    takes("AS", "1.10", "65546");
    takes("AS", "4294967295", "4294967295");
    drops(
        "AS",
        "4294967296",
        "AS number have to be integer between 1 and 4294967295",
    );
    drops("AS", "ASX", "AS number have to be integer");
    takes("user-agent", "Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)");
    drops("user-agent", "a\nb", LINE);
    takes("http-method", "propfind", "PROPFIND");
    drops("http-method", "FETCH", "Unknown HTTP method.");
    takes_on(&old(), "http-method", "get /x", "GET /X");
    drops_on(
        &MispCapabilities::newest(),
        "http-method",
        "get /x",
        "Unknown HTTP method.",
    );
    takes(
        "community-id",
        "1:rcoMtxkGWsgIeSxxF0OLLsIBTss=",
        "1:rcoMtxkGWsgIeSxxF0OLLsIBTss=",
    );
}

#[test]
fn vulnerabilities_and_weaknesses() {
    takes("vulnerability", "cve-2024-1234", "CVE-2024-1234");
    takes("vulnerability", "CVE–2024–12345", "CVE-2024-12345");
    drops_on(
        &old(),
        "vulnerability",
        "CVE-2024-123",
        "Invalid format. Expected: CVE-xxxx-xxxx...",
    );
    drops_on(
        &old(),
        "vulnerability",
        "GHSA-jfh8-c2jp-5v3q",
        "Invalid format. Expected: CVE-xxxx-xxxx...",
    );
    drops_on(
        &MispCapabilities::newest(),
        "vulnerability",
        "CVE-2024-123",
        "Invalid vulnerability ID format.",
    );
    for id in [
        "GHSA-jfh8-c2jp-5v3q",
        "GCVE-1-2024-0001",
        "PYSEC-2024-12",
        "RHSA-2024:1234",
        "CNVD-2024-12345",
        "JVNDB-2024-123456",
        "CERTFR-2024-AVI-0001",
        "cisco-sa-asaftd-x_y",
        "openSUSE-SU-2024:1234-1",
        "ICSMA-24-001-02",
        "WID-SEC-W-2024-1234",
        "NN-2024:1-02",
    ] {
        takes_on(&MispCapabilities::newest(), "vulnerability", id, id);
    }
    takes("weakness", "cwe-79", "CWE-79");
    drops("weakness", "79", "Invalid format. Expected: CWE-x...");
}

#[test]
fn money_phones_and_numbers() {
    for kind in ["btc", "xmr", "dash"] {
        takes(kind, "1A1zP1eP5Q", "1A1zP1eP5Q");
        drops(kind, "1A-b", FORMAT);
    }
    takes("iban", "de89 3704 0044", "DE8937040044");
    takes("bic", "deut-deff", "DEUTDEFF");
    takes("cc-number", "4111 1111 1111 1111", "4111111111111111");
    takes("phone-number", "0049 (0) 30 1234", "+49301234");
    takes("phone-number", "+49 (0)30/1234", "+49301234");
    drops("phone-number", "call me", "Value cannot be empty.");
    takes("float", "-1.5e3", "-1.5e3");
    drops("float", "1,5", FORMAT);
    takes("size-in-bytes", "0", "0");
    drops(
        "counter",
        "-1",
        "The value has to be a whole number greater or equal 0.",
    );
    takes("hex", "deadbeef", "DEADBEEF");
    drops("hex", "xyz", FORMAT);
    takes("boolean", "true", "1");
    takes("boolean", "FALSE", "0");
    takes("boolean", "whatever", "1");
    takes("datetime", "2024-01-01", "2024-01-01T00:00:00.000000+0000");
    takes(
        "datetime",
        "2024-01-02 03:04:05.67+01:00",
        "2024-01-02T03:04:05.670000+0100",
    );
    drops(
        "datetime",
        "1704067200",
        "Datetime has to be in the ISO 8601 format.",
    );
    drops(
        "datetime",
        "2024-02-30",
        "Datetime has to be in the ISO 8601 format.",
    );
    takes("cortex", "{\"a\":1}", "{\"a\":1}");
    drops("cortex", "{a:1}", FORMAT);
    takes("windows-service-name", "evilsvc", "evilsvc");
    drops(
        "windows-service-name",
        "a/b",
        "Invalid format. Only values shorter than 256",
    );
}

#[test]
fn texts_take_anything() {
    for kind in [
        "text",
        "comment",
        "other",
        "yara",
        "snort",
        "sigma",
        "cpe",
        "mutex",
        "cookie",
        "email-body",
    ] {
        takes(kind, "line one\nline two", "line one\nline two");
    }
    drops("campaign-name", "a\nb", LINE);
}

#[test]
fn what_the_recorded_server_dropped_without_a_word_is_refused_by_name() {
    drops("ip-dst", "not-an-ip", IP); // 081
    drops("no-such-type", "x", "Invalid type."); // 082
    drops(
        "md5",
        "nope",
        "Checksum has an invalid length or format (expected: 32",
    ); // 085
    drops("text", "", "Value cannot be empty."); // 089
    drops("text", "   ", "Value cannot be empty."); // 089
    drops(
        "text",
        "\u{1}\u{2}",
        "Value provided consists purely of control characters",
    );
    drops("filename|sha256", "onlyname", COMPOSITE); // 098
    drops("domain|ip", "x.example", COMPOSITE); // 098
    drops(
        "text",
        &"y".repeat(70_000),
        "The entered string is too long",
    ); // 099
    let v3 = format!("{}.onion", "a".repeat(56));
    drops_on(
        &old(),
        "onion-address",
        &v3,
        "Onion address has an invalid format.",
    ); // 100
    takes_on(&MispCapabilities::newest(), "onion-address", &v3, &v3);
    drops(
        "filename|impfuzzy",
        "a.exe|24:DfLVu:7LVu0",
        "Unknown attribute type filename|impfuzzy.",
    ); // 278
    drops_on(
        &old(),
        "integer",
        "5",
        "The value has to be an integer value.",
    ); // 280
    takes_on(&MispCapabilities::newest(), "integer", "-5", "-5");
}

#[test]
fn what_the_recorded_server_changed_is_changed_before() {
    takes("domain", "  spaced.rec.example  ", "spaced.rec.example"); // 090
    takes("url", "http://x.rec.example/ \n", "http://x.rec.example/"); // 090
    takes("domain", "GOOD.rec.example", "good.rec.example"); // 091
    takes("ip-dst|port", "192.0.2.1:80", "192.0.2.1|80"); // 098
    takes(
        "onion-address",
        "EXPYUZZ4WQQYQHJN.onion",
        "expyuzz4wqqyqhjn.onion",
    ); // 100
    takes("text", "emoji 😀 value", "emoji ? value"); // 304
    assert_eq!(replace_astral("emoji 😀 comment"), "emoji ? comment"); // 305, 307, 309
}

#[test]
fn a_category_that_misp_would_drop_is_never_sent() {
    for category in ["Person", "No such category"] {
        let tags = [format!("misp:category=\"{category}\"")]; // 083, 084
        let given = [ObservableInput {
            data_type: "ip",
            data: "192.0.2.1",
            tags: &tags,
        }];
        let found = to_attributes(&given, &Overrides::default(), &MispCapabilities::newest());
        assert_eq!(found.wanted[0].category, "Network activity");
        let warning = found.wanted[0].warning.clone().unwrap();
        assert_eq!(
            warning,
            format!("MISP does not take ip-dst in category {category}, which a tag asks for")
        );
    }
}

#[test]
fn equal_values_in_different_spellings_are_one_attribute() {
    let given = [
        "good.rec.example",
        "GOOD.rec.example",
        "good[.]rec.example.",
    ] // 091
    .map(|data| ObservableInput {
        data_type: "domain",
        data,
        tags: &[],
    });
    let found = to_attributes(&given, &Overrides::default(), &MispCapabilities::newest());
    assert_eq!(found.wanted.len(), 1);
    assert_eq!(found.wanted[0].from, [0, 1, 2]);
}
