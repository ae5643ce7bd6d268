//! A MISP as a security team might have it: events that tell something, of several organisations.

use crate::alerts::writing::desk::attribute;
use crate::misp::{self, Event, World};

/// An event in short: title, organisation, date, threat level, tags, and attributes as type, value, `to_ids`, comment.
type Short = (
    &'static str,
    u64,
    &'static str,
    u64,
    &'static [&'static str],
    &'static [(&'static str, &'static str, bool, &'static str)],
);

const EVENTS: [Short; 9] = [
    (
        "Credential phishing against municipal web mail",
        2,
        "2026-11-24",
        2,
        &[
            "tlp:green",
            "PAP:GREEN",
            "misp-galaxy:mitre-attack-pattern=\"Phishing - T1566\"",
        ],
        &[
            (
                "domain",
                "webmail-townhall.example",
                true,
                "look-alike of the web mail",
            ),
            (
                "url",
                "https://webmail-townhall.example/owa/auth",
                true,
                "asks for the password twice",
            ),
            ("ip-dst", "198.51.100.24", true, ""),
            ("email-src", "it-desk@webmail-townhall.example", true, ""),
            ("email-subject", "Your mailbox is almost full", false, ""),
        ],
    ),
    (
        "Ransomware intrusion through an unpatched VPN gateway",
        3,
        "2026-11-22",
        1,
        &["tlp:amber", "PAP:AMBER"],
        &[
            ("ip-dst", "203.0.113.99", true, "exit of the stolen session"),
            (
                "sha256",
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                true,
                "encryptor",
            ),
            ("filename", "svchost32.exe", true, ""),
            ("mutex", "Global\\vpn-lock-77", true, ""),
        ],
    ),
    (
        "Infostealer in cracked design software",
        4,
        "2026-11-19",
        3,
        &["tlp:clear"],
        &[
            ("domain", "free-design-suite.example", true, ""),
            ("md5", "5d41402abc4b2a76b9719d911017c592", true, "installer"),
            (
                "text",
                "Spread by videos that promise a licence key",
                false,
                "",
            ),
        ],
    ),
    (
        "Scanning for exposed build servers",
        2,
        "2026-11-18",
        3,
        &["tlp:clear", "type:OSINT"],
        &[
            ("ip-src", "192.0.2.17", false, ""),
            ("ip-src", "192.0.2.18", false, ""),
        ],
    ),
    (
        "Invoice fraud: supplier mailboxes taken over",
        3,
        "2026-11-15",
        2,
        &["tlp:amber+strict"],
        &[
            (
                "email-src",
                "billing@supp1ier.example",
                true,
                "one letter changed",
            ),
            ("iban", "GB33BUKB20201555555555", true, "mule account"),
            ("ip-dst", "203.0.113.99", true, "log-in to the mailbox"),
        ],
    ),
    (
        "Loader drops a remote access tool through a shared drive",
        4,
        "2026-11-11",
        2,
        &["tlp:green"],
        &[
            ("url", "http://cdn-loader.example/a/stage2.bin", true, ""),
            ("domain|ip", "cdn-loader.example|203.0.113.99", true, ""),
            (
                "regkey",
                "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\DriveSync",
                true,
                "",
            ),
        ],
    ),
    (
        "Internal red team exercise",
        1,
        "2026-11-09",
        4,
        &["tlp:red"],
        &[("domain", "not-real.example", true, "")],
    ),
    (
        "Sinkholed botnet, for correlation only",
        2,
        "2026-11-05",
        4,
        &["tlp:green", "workflow:state=\"incomplete\""],
        &[
            ("domain", "sink-1.example", false, ""),
            ("ip-dst", "203.0.113.99", false, "sinkhole"),
        ],
    ),
    (
        "Watering hole on a trade association's site",
        3,
        "2026-11-02",
        2,
        &["tlp:amber"],
        &[
            ("hostname", "news.trade-association.example", true, ""),
            (
                "url",
                "https://news.trade-association.example/w.js",
                true,
                "",
            ),
        ],
    ),
];

/// The MISP with all of them.
pub(super) fn believable() -> World {
    let mut world = World::new();
    let names = [
        "Example Corp CERT",
        "CERT-Exampleland",
        "Example Bank SOC",
        "Open Threat Watch",
    ];
    world
        .organisations
        .iter_mut()
        .zip(names)
        .for_each(|(organisation, name)| name.clone_into(&mut organisation.name));
    for (place, short) in EVENTS.iter().rev().enumerate() {
        add(&mut world, 1_200 + place as u64 * 7, short);
    }
    world
}

fn add(world: &mut World, id: u64, short: &Short) {
    let (info, organisation, date, threat_level, tags, attributes) = *short;
    let tags = tags.iter().map(|tag| world.attached(tag)).collect();
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(kind, value, to_ids, comment)| misp::Attribute {
            to_ids: *to_ids,
            comment: (*comment).to_owned(),
            ..attribute(world.next_id(), kind, value)
        })
        .collect();
    let now = world.tick();
    world.events.push(Event {
        id,
        uuid: format!("7c1f0d52-4b0e-4c3a-9a55-{id:012}"),
        org: 1,
        orgc: organisation,
        info: info.to_owned(),
        date: date.to_owned(),
        threat_level,
        analysis: 2,
        distribution: 1,
        published: true,
        timestamp: now,
        publish_timestamp: now,
        attribute_count: i64::try_from(attributes.len()).unwrap(),
        tags,
        attributes,
        ..Event::default()
    });
}
