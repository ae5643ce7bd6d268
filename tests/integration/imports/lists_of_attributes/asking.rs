//! Which events there are, and the files of attachments.

use std::fs;

use cortex_misp::misp::wire;
use cortex_misp::sample;
use serde_json::json;
use uuid::Uuid;

use super::{crowd, feed, server, uuid};
use crate::http_fake::{Fault, Nth, What, gzip};
use crate::misp::{Attribute, Fake, World};

#[test]
fn events_are_asked_for_by_500_published_or_not() {
    let fake = Fake::start(World::with_corpus());
    let misp = server(&fake);
    let known: Vec<_> = fake
        .world()
        .events
        .iter()
        .map(|event| (uuid(&event.uuid), event.published))
        .collect();
    let unknown = (0..600).map(|n| Uuid::from_u64_pair(9, n));
    let asked: Vec<_> = unknown.chain(known.iter().map(|(uuid, _)| *uuid)).collect();
    let listed = misp.fetch_index_entries(&asked).unwrap();
    let mut told: Vec<_> = listed
        .iter()
        .map(|(uuid, event)| (*uuid, event.published.unwrap()))
        .collect();
    let mut known = known;
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known);
    assert!(
        known.iter().any(|(_, published)| *published)
            && known.iter().any(|(_, published)| !published)
    );
    let bodies: Vec<_> = fake
        .requests()
        .iter()
        .map(|request| request.body.clone())
        .collect();
    assert_eq!(
        bodies,
        [
            json!({"eventid": asked[..500]}),
            json!({"eventid": asked[500..]})
        ]
    );
    // No filter would be a question for everything.
    fake.forget_requests();
    assert!(misp.fetch_index_entries(&[]).unwrap().is_empty() && fake.requests().is_empty());
}

#[test]
fn a_feed_lists_what_its_manifest_has() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two, three) = (
        Uuid::from_u64_pair(1, 1),
        Uuid::from_u64_pair(1, 2),
        Uuid::from_u64_pair(1, 3),
    );
    assert!(
        feed(folder.path())
            .fetch_index_entries(&[one])
            .unwrap()
            .is_empty()
    );
    let entry = |info: &str| json!({"info": info, "timestamp": "5", "date": "2026-01-01", "published": false});
    let manifest = json!({one.to_string(): entry("one"), two.to_string().to_uppercase(): entry("two"), "x": 7});
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let listed = feed(folder.path())
        .fetch_index_entries(&[two, three, two])
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (
            listed[0].0,
            listed[0].1.info.as_str(),
            listed[0].1.published
        ),
        (two, "two", Some(true))
    );
    fs::write(folder.path().join("manifest.json"), "{").unwrap();
    assert!(
        format!(
            "{:#}",
            feed(folder.path()).fetch_index_entries(&[one]).unwrap_err()
        )
        .contains("reading the feed's manifest")
    );
}

#[test]
fn files_come_as_they_are_and_samples_in_their_zip() {
    let (fake, _) = crowd(1, 5);
    let misp = server(&fake);
    let content = b"MZ\x90\x00 this program cannot be run";
    for (id, kind) in [(1, "attachment"), (2, "malware-sample")] {
        fake.world().events[0].attributes.push(Attribute {
            id,
            kind: kind.to_owned(),
            value: "evil.exe|0".to_owned(),
            data: Some(sample::to_base64(content)),
            distribution: 5,
            ..Attribute::default()
        });
    }
    let attribute = |id: &str| wire::Attribute {
        id: id.to_owned(),
        ..wire::Attribute::default()
    };
    let length = content.len() as u64;
    let said = |id: &str, most| {
        format!(
            "{:#}",
            misp.download_attachment(&attribute(id), most).unwrap_err()
        )
    };
    assert_eq!(
        misp.download_attachment(&attribute("1"), length).unwrap(),
        content
    );
    let zip = misp.download_attachment(&attribute("2"), 10_000).unwrap();
    assert_eq!(
        sample::unpack(&zip, sample::PASSWORD, length).unwrap(),
        content
    );
    assert!(said("1", length - 1).contains("the answer is larger than"));
    // What is compressed counts by what comes of it.
    fake.fault(Fault {
        on: "/attributes/download",
        nth: Nth::Always,
        what: What::Gzip(|_| gzip(&vec![b'x'; 64 << 20])),
    });
    assert!(said("1", 100 << 10).contains("the answer is larger than 102400 bytes"));
    fake.heal();
    fake.fault(Fault {
        on: "/servers/getVersion",
        nth: Nth::Always,
        what: What::Gzip(|_| gzip(&[b"{\"version\": \"".as_slice(), &[b'x'; 8 << 20]].concat())),
    });
    let version = format!("{:#}", misp.version().unwrap_err());
    assert!(
        version.contains("the answer is larger than 4194304 bytes"),
        "{version}"
    );
    fake.heal();
    assert!(said("99", 100).contains("/attributes/download/99: 401: Attribute does not exist"));
    fake.forget_requests();
    for id in ["", "../users", "7/8"] {
        assert!(said(id, 100).contains("the attribute has no number"));
    }
    assert!(fake.requests().is_empty());
    let later = What::Status(503, "{}".to_owned(), "application/json");
    fake.fault(Fault {
        on: "/attributes/download",
        nth: Nth::Only(1),
        what: later,
    });
    assert_eq!(
        misp.download_attachment(&attribute("1"), length).unwrap(),
        content
    );
    let folder = tempfile::tempdir().unwrap();
    let refused = feed(folder.path())
        .download_attachment(&attribute("1"), 100)
        .unwrap_err();
    assert_eq!(refused.to_string(), "a feed's attachments are not read");
}
