//! What a reviewer changes in MISP stays, and is named.

use serde_json::json;

use super::desk::{Desk, changes, domain, failures, lines, warnings};
use crate::misp::{Attached, Attribute, Event};
use crate::program::{counts, full, of};

/// The uuid of what the reviewer adds.
const THEIRS: &str = "5f0e5b5c-0000-4000-8000-000000000001";
const THEIRS_TOO: &str = "5f0e5b5c-0000-4000-8000-000000000002";

const fn attached(tag: u64) -> Attached {
    Attached {
        id: 70_000 + tag,
        tag,
        local: false,
    }
}

/// Everything a reviewer may do, once each. Tag 69 is `tlp:red`, 119 `Type:OSINT`.
fn review(event: &mut Event) {
    let [
        category,
        kind,
        comment,
        to_ids,
        distribution,
        deleted,
        tags,
        tlp,
        ..,
    ] = event.attributes.as_mut_slice()
    else {
        panic!("eight attributes")
    };
    category.category = "Payload delivery".to_owned();
    kind.kind = "hostname".to_owned();
    comment.comment = "checked by hand".to_owned();
    to_ids.to_ids = false;
    distribution.distribution = 3;
    deleted.deleted = true;
    tags.tags.push(attached(119));
    tlp.tags.push(attached(69));
    for (uuid, value) in [(THEIRS, "later.example"), (THEIRS_TOO, "theirs.example")] {
        event.attributes.push(Attribute {
            id: 90_000 + event.attributes.len() as u64,
            uuid: uuid.to_owned(),
            kind: "domain".to_owned(),
            category: "External analysis".to_owned(),
            value: value.to_owned(),
            distribution: 5,
            ..Attribute::default()
        });
    }
    event.attribute_count += 1;
    (event.distribution, event.threat_level, event.analysis) = (3, 1, 1);
    "2020-01-01".clone_into(&mut event.date);
    event.tags.push(attached(119));
    event.tags.push(attached(69));
}

/// The lines of the observables after the review.
const LINES: [&str; 9] = [
    "host-0.example: unchanged (differs in MISP, left as it is: category (Payload delivery))",
    "host-1.example: unchanged (differs in MISP, left as it is: type (hostname))",
    "host-2.example: unchanged (differs in MISP, left as it is: comment)",
    "host-3.example: unchanged (differs in MISP, left as it is: to_ids)",
    "host-4.example: unchanged (differs in MISP, left as it is: distribution)",
    "host-5.example: skipped (deleted in MISP)",
    "host-6.example: unchanged (differs in MISP, left as it is: tags)",
    "host-7.example: unchanged (differs in MISP, left as it is: TLP tag)",
    "host-8.example: unchanged",
];

const WARNINGS: [&str; 2] = [
    "the event's TLP is stricter in MISP than AMBER, the case's; it is left as it is",
    "the event differs in MISP, left as it is: date, threat level, analysis, distribution, tags",
];

#[test]
fn what_a_reviewer_changes_stays_and_is_named() {
    for desk in Desk::both() {
        desk.add_domains(9);
        desk.export();
        review(&mut desk.misp.world().events[0]);
        let reviewed = desk.event();
        for _ in 0..2 {
            let report = desk.export();
            desk.wrote_nothing();
            assert_eq!(changes(&reviewed, &desk.event()), [""; 0]);
            assert_eq!(lines(&report, "observables", "data"), LINES);
            assert_eq!(warnings(&report), WARNINGS);
            let message = full(&report)["message"].as_str().unwrap();
            assert!(message.contains("not for detection in MISP"), "{message}");
            assert_eq!(
                counts(full(&report), "observables"),
                of([("fetched", 9), ("unchanged", 8), ("skipped", 1)]),
                "{report:#}"
            );
        }
    }
}

#[test]
fn what_a_reviewer_changed_stays_when_the_case_goes_on() {
    for desk in Desk::both() {
        desk.add_domains(9);
        desk.export();
        review(&mut desk.misp.world().events[0]);
        let reviewed = desk.event();
        desk.add(&domain("later.example"));
        let report = desk.export();
        desk.wrote_nothing();
        let line = "later.example: unchanged (added by somebody else, not for detection)";
        assert_eq!(lines(&report, "observables", "data")[9], line);

        desk.add(&domain("new.example"));
        desk.entitle("Another title");
        desk.set(8, "tlp", json!(3));
        let report = desk.export();
        let told = lines(&report, "observables", "data");
        assert_eq!(
            (&told[..8], warnings(&report)),
            (&LINES.map(ToOwned::to_owned)[..8], WARNINGS.to_vec())
        );
        assert_eq!(
            told[8..],
            ["host-8.example: updated", line, "new.example: created"]
        );
        let expected = [
            "+ new.example",
            "event: info",
            "host-8.example: distribution",
        ];
        assert_eq!(changes(&reviewed, &desk.event()), expected);
        let done = desk.event();
        desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&done, &desk.event()), [""; 0]);
    }
}

#[test]
fn a_value_that_somebody_else_has_in_another_category_is_not_doubled() {
    let desk = Desk::five();
    desk.add_domains(1);
    desk.export();
    review_of_one(&mut desk.misp.world().events[0]);
    let before = desk.event();
    desk.add(&json!({"dataType": "domain", "data": "LATER[.]example", "ioc": true, "tlp": 2, "message": "ours"}));
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0]);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("unchanged", 2)])
    );
    // Deleted by its owner, it is ours to add.
    desk.misp.world().events[0].attributes[1].deleted = true;
    let before = desk.event();
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("unchanged", 1)])
    );
    assert_eq!(changes(&before, &desk.event()), ["+ later.example"]);
}

fn review_of_one(event: &mut Event) {
    event.attributes.push(Attribute {
        id: 90_000,
        uuid: THEIRS.to_owned(),
        kind: "domain".to_owned(),
        category: "External analysis".to_owned(),
        value: "later.example".to_owned(),
        distribution: 5,
        ..Attribute::default()
    });
    event.attribute_count += 1;
}

/// What is unchanged by an export is not there for that: somebody may have made another value of it.
#[test]
fn an_ioc_whose_value_was_changed_in_misp_is_in_the_headline() {
    for desk in Desk::both() {
        desk.add_domains(2);
        desk.export();
        desk.misp.world().events[0].attributes[0].value = "benign.example".into();
        for dry_run in [false, true] {
            let report = desk.run(&desk.job_with("dry_run", json!(dry_run)));
            let message = full(&report)["message"].as_str().unwrap();
            for said in [
                "MISP holds another value",
                "host-0.example (there is benign.example)",
            ] {
                assert!(message.contains(said), "{message}");
            }
            assert!(!message.contains("host-1.example"), "{message}");
        }
    }
}

/// What is in an object is seen by nobody whom the object is not for.
#[test]
fn an_object_that_a_reviewer_closed_is_named() {
    let desk = Desk::four();
    let tag = "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"";
    for (kind, value) in [
        ("filename", "evil.exe"),
        ("hash", "d41d8cd98f00b204e9800998ecf8427e"),
    ] {
        desk.add(&json!({"dataType": kind, "data": value, "ioc": true, "tlp": 2, "tags": [tag]}));
    }
    desk.export();
    assert!(
        lines(&desk.export(), "observables", "data")
            .iter()
            .all(|line| line.ends_with(": unchanged"))
    );
    desk.misp.world().events[0].objects[0].distribution = 0;
    let told = lines(&desk.export(), "observables", "data");
    assert!(
        told.iter()
            .all(|line| line.contains("that of its object: its organisation only")),
        "{told:?}"
    );
    desk.wrote_nothing();
}

/// What an export may not show is not well because somebody else showed it.
#[test]
fn a_red_ioc_that_a_colleague_shows_to_others_is_a_failure() {
    for (event, attribute, is_seen) in [(3, 5, true), (3, 0, false), (0, 5, false)] {
        let desk = Desk::four();
        desk.add_domains(1);
        desk.export();
        {
            let mut world = desk.misp.world();
            let there = &mut world.events[0];
            there.distribution = event;
            there.attributes.push(Attribute {
                id: 90_000,
                uuid: THEIRS.to_owned(),
                kind: "domain".to_owned(),
                category: "Network activity".to_owned(),
                value: "red.example".to_owned(),
                to_ids: true,
                distribution: attribute,
                ..Attribute::default()
            });
            there.attribute_count += 1;
        }
        desk.add(&json!({"dataType": "domain", "data": "red.example", "ioc": true, "tlp": 3}));
        let report = desk.export();
        let told = failures(&report)
            .iter()
            .any(|failure| failure.contains("red.example (RED); close them in MISP"));
        assert_eq!(told, is_seen, "{event} {attribute}: {report:#}");
        assert_eq!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE"),
            is_seen
        );
        desk.wrote_nothing();
    }
}

#[test]
fn an_ioc_that_is_closed_with_the_one_it_is_joined_with_says_so() {
    let desk = Desk::four();
    let tag = "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"";
    for (kind, value, tlp) in [("domain", "green.example", 1), ("ip", "192.0.2.66", 3)] {
        desk.add(&json!({"dataType": kind, "data": value, "ioc": true, "tlp": tlp, "tags": [tag]}));
    }
    let told = lines(&desk.export(), "observables", "data");
    assert_eq!(
        told,
        [
            "green.example: created (one attribute with an IOC that is RED, and as closed as that)",
            "192.0.2.66: created"
        ]
    );
}
