//! One value that several observables have, or that is in MISP under another type's uuid: it is as strict as the strictest,
//! wherever it goes.

use cortex_misp::ids::Ids;
use serde_json::{Value, json};

use crate::desk::{Desk, MARK, warnings};
use crate::misp::writes;
use crate::program::{counts, full, of};
use crate::thehive::World;

/// A case whose one IOC went out as a `url`, and is then a `domain` with these fields.
fn moved(option: &Value, first: &Value, then: &Value) -> (Desk, Value) {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1, "max_tlp": 4}));
    desk.set(option);
    let id = desk.ioc("url", "one.example", first);
    (0..12)
        .for_each(|n| drop(desk.ioc("domain", &format!("other-{n}.example"), &json!({"tlp": 1}))));
    desk.run();
    desk.remove(&id);
    desk.ioc("domain", "one.example", then);
    let report = desk.run();
    (desk, report)
}

fn line(report: &Value, data: &str) -> String {
    let lines = full(report)["connections"][0]["observables"]
        .as_array()
        .unwrap();
    let line = lines.iter().find(|line| line["data"] == data).unwrap();
    format!(
        "{} {}",
        line["verdict"].as_str().unwrap(),
        line["reason"].as_str().unwrap_or_default()
    )
}

#[test]
fn a_stricter_tlp_reaches_a_value_that_is_there_under_another_type() {
    let (desk, report) = moved(&json!({}), &json!({"tlp": 1}), &json!({"tlp": 4}));
    let attribute = desk.attribute("one.example");
    assert_eq!(
        (
            desk.tags("one.example"),
            attribute.distribution,
            attribute.to_ids
        ),
        (vec!["tlp:red".to_owned()], 0, true)
    );
    assert_eq!(
        line(&report, "one.example"),
        "updated there already, in an attribute that was exported for another IOC"
    );
    desk.runs_empty();
}

#[test]
fn a_retracted_value_comes_back_under_another_type() {
    for option in [json!({}), json!({"removed_iocs": "delete"})] {
        let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
        desk.set(&option);
        let id = desk.ioc("url", "one.example", &json!({"tlp": 1}));
        desk.ioc("domain", "other.example", &json!({"tlp": 1}));
        desk.run();
        desk.remove(&id);
        desk.run();
        assert!(desk.attribute("one.example").comment.contains(MARK));
        desk.ioc("domain", "one.example", &json!({"tlp": 1}));
        let report = desk.run();
        let attribute = desk.attribute("one.example");
        assert_eq!(
            (
                attribute.to_ids,
                attribute.deleted,
                attribute.comment.as_str()
            ),
            (true, false, ""),
            "{report:#}"
        );
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)])
        );
        desk.runs_empty();
    }
}

#[test]
fn what_a_reviewer_deleted_does_not_come_back_under_another_type() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1}));
    let id = desk.ioc("url", "one.example", &json!({"tlp": 1}));
    desk.run();
    desk.misp.world().events[0].attributes[0].deleted = true;
    desk.remove(&id);
    desk.ioc("domain", "one.example", &json!({"tlp": 1}));
    let report = desk.run();
    assert_eq!(line(&report, "one.example"), "skipped deleted in MISP");
    assert_eq!(writes(&desk.misp), [""; 0]);
}

#[test]
fn a_value_that_one_observable_withholds_goes_out_for_no_other() {
    let red = json!({"tlp": 4});
    let twins: [[(&str, &str, Value); 2]; 4] = [
        [
            ("url", "twin.example", json!({"tlp": 1})),
            ("domain", "TWIN.example", red.clone()),
        ],
        [
            (
                "ip",
                "192.0.2.7",
                json!({"tlp": 1, "tags": ["misp:type=\"ip-src\""]}),
            ),
            (
                "other",
                "192.0.2.7",
                json!({"tlp": 4, "tags": ["misp:type=\"ip-dst\""]}),
            ),
        ],
        [
            (
                "other",
                "d41d8cd98f00b204e9800998ecf8427e",
                json!({"tlp": 1, "tags": ["misp:type=\"md5\""]}),
            ),
            ("hash", "D41D8CD98F00B204E9800998ECF8427E", red.clone()),
        ],
        [
            (
                "other",
                "twin.example|192.0.2.7",
                json!({"tlp": 1, "tags": ["misp:type=\"domain|ip\""]}),
            ),
            ("ip", "192.0.2.7", red),
        ],
    ];
    for [(kind, data, fields), (strict_kind, strict, strict_fields)] in twins {
        let mut desk = Desk::with_feed(World::five(), &json!({"tlp": 1}));
        desk.set(&json!({"max_tlp": 4}));
        desk.ioc(kind, data, &fields);
        desk.ioc(strict_kind, strict, &strict_fields);
        desk.ioc("domain", "open.example", &json!({"tlp": 1}));
        let report = desk.run();
        let files = format!("{:?}", desk.files()).to_lowercase();
        for part in data.split('|') {
            assert!(
                part == "twin.example" && data.contains('|')
                    || !files.contains(&part.to_lowercase()),
                "{part}: {files}"
            );
        }
        assert!(files.contains("open.example"), "{files}");
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("created", 1), ("skipped", 2)]),
            "{report:#}"
        );
    }
}

#[test]
fn green_parts_of_a_file_are_seen_beside_a_red_one() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1, "max_tlp": 4}));
    let whole = "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001\"";
    desk.ioc("filename", "green.exe", &json!({"tlp": 1, "tags": [whole]}));
    desk.ioc(
        "hash",
        "d41d8cd98f00b204e9800998ecf8427e",
        &json!({"tlp": 4, "tags": [whole]}),
    );
    desk.run();
    let event = desk.event();
    for object in &event.objects {
        assert_eq!(object.distribution, 5);
    }
    assert_eq!(desk.attribute("green.exe").distribution, 5);
    assert_eq!(
        desk.attribute("d41d8cd98f00b204e9800998ecf8427e")
            .distribution,
        0
    );
}

#[test]
fn what_somebody_else_added_is_told_as_it_is() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1, "max_tlp": 4}));
    desk.ioc("domain", "ours.example", &json!({"tlp": 1}));
    desk.run();
    {
        let mut world = desk.misp.world();
        let event = &mut world.events[0];
        for (n, (value, to_ids, distribution)) in
            [("quiet.example", false, 0), ("red.example", true, 5)]
                .into_iter()
                .enumerate()
        {
            let mut other = event.attributes[0].clone();
            (other.id, other.uuid) = (
                99_000 + n as u64,
                format!("5f0e5b5c-0000-4000-8000-00000000000{n}"),
            );
            (other.value, other.to_ids, other.distribution) = (value.into(), to_ids, distribution);
            event.attributes.push(other);
        }
    }
    desk.ioc("domain", "quiet.example", &json!({"tlp": 1}));
    desk.ioc("domain", "red.example", &json!({"tlp": 4}));
    let report = desk.run();
    let quiet = "unchanged added by somebody else, not for detection, for its organisation only";
    assert_eq!(line(&report, "quiet.example"), quiet);
    assert_eq!(
        line(&report, "red.example"),
        "unchanged added by somebody else, seen by more than its TLP allows"
    );
}

/// Everybody on a MISP can read the names of its tags.
#[test]
fn what_stays_in_its_organisation_makes_no_tag() {
    let mut desk = Desk::new(
        World::five(),
        &json!({"tlp": 4, "tags": ["operation:nightfall", "tlp:known"]}),
    );
    desk.set(&json!({"max_tlp": 4, "export_case_tags": true, "export_observable_tags": true}));
    desk.ioc(
        "domain",
        "a.example",
        &json!({"tlp": 4, "tags": ["victim:acme"]}),
    );
    let report = desk.run();
    let sent = desk.sent();
    let requests = sent
        .lines()
        .filter(|line| !line.starts_with("/tags/search"))
        .collect::<String>();
    assert!(
        !requests.contains("nightfall") && !requests.contains("victim"),
        "{requests}"
    );
    assert!(
        warnings(&report).contains(
            "tags stay here: this MISP does not have them, and everybody there could read"
        ),
        "{report:#}"
    );
    desk.change_case(&json!({"tlp": 2}));
    desk.run();
    assert!(desk.sent().contains("nightfall"));
}

#[test]
fn a_dry_run_shows_no_value_to_a_warninglist() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"dry_run": true}));
    desk.ioc("domain", "secret.example", &json!({"tlp": 1}));
    desk.run();
    assert!(!desk.sent().contains("secret.example"), "{}", desk.sent());
}

/// The job's copy of a case counts for nothing where TheHive can be asked.
#[test]
fn a_job_cannot_lower_a_case_that_thehive_knows() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 4}));
    desk.set(&json!({"distribution": 3, "max_tlp": 4}));
    desk.ioc("domain", "red.example", &json!({"tlp": 4}));
    let mut job = desk.job();
    job["data"]["tlp"] = json!(0);
    job["data"]["tlpLabel"] = json!("CLEAR");
    job["data"]["observables"] = json!([{"_id": "~9", "dataType": "domain", "data": "forged.example", "ioc": true, "tlp": 0}]);
    desk.report(job);
    assert_eq!(
        (
            desk.event().distribution,
            desk.attribute("red.example").distribution
        ),
        (0, 0)
    );
    assert!(!desk.sent().contains("forged.example"));
}

/// What is closed stays an IOC of the case: it is not retracted, and not opened again by itself.
#[test]
fn an_option_that_restricts_closes_and_does_not_retract() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1}));
    desk.ioc("domain", "a.example", &json!({"tlp": 2}));
    desk.ioc("domain", "b.example", &json!({"tlp": 1}));
    desk.run();
    desk.set(&json!({"max_export_tlp": "GREEN"}));
    let report = desk.run();
    let ledger = full(&report);
    assert_eq!(
        counts(ledger, "closings"),
        of([("fetched", 1), ("updated", 1)])
    );
    assert!(ledger["ledger"].get("retractions").is_none(), "{report:#}");
    assert!(
        ledger["message"]
            .as_str()
            .unwrap()
            .ends_with("1 unchanged, 1 left out (tlp), 1 closed"),
        "{report:#}"
    );
    let attribute = desk.attribute("a.example");
    assert_eq!((attribute.distribution, attribute.to_ids), (0, true));
    desk.set(&json!({"max_export_tlp": null}));
    let report = desk.runs_empty();
    let told = "unchanged differs in MISP, left as it is: distribution (its organisation only, as an earlier export or a person set it)";
    assert_eq!(line(&report, "a.example"), told);
}

#[test]
fn a_feed_keeps_nothing_of_a_case_that_became_red() {
    for removed in ["unflag", "delete", "keep"] {
        let mut desk = Desk::with_feed(World::five(), &json!({"tlp": 1}));
        desk.set(&json!({"max_tlp": 4, "removed_iocs": removed}));
        let ids: Vec<_> = (0..15)
            .map(|n| desk.ioc("domain", &format!("host-{n}.example"), &json!({"tlp": 1})))
            .collect();
        desk.run();
        desk.change(&ids[0], &json!({"ioc": false}));
        desk.run();
        ids.iter()
            .skip(1)
            .for_each(|id| desk.change(id, &json!({"ioc": false})));
        desk.change_case(&json!({"tlp": 4}));
        let report = desk.run();
        assert!(
            !format!("{:?}", desk.files()).contains("host-"),
            "{removed}: {report:#}"
        );
        let failures = full(&report)["connections"][0]["failures"].to_string();
        assert!(
            failures.contains("15 attributes were exported before their TLP forbade it"),
            "{failures}"
        );
    }
}

/// A hash that joins a file's name and md5 makes another object of them: what is still an IOC is not taken back.
#[test]
fn a_file_that_grows_retracts_nothing_of_it() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1}));
    let whole = "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001\"";
    desk.ioc("filename", "grows.exe", &json!({"tags": [whole]}));
    desk.ioc(
        "hash",
        "d41d8cd98f00b204e9800998ecf8427e",
        &json!({"tags": [whole]}),
    );
    desk.run();
    desk.ioc("hash", &"ab".repeat(32), &json!({"tags": [whole]}));
    let report = desk.run();
    assert!(
        full(&report)["ledger"].get("retractions").is_none(),
        "{report:#}"
    );
    assert!(
        desk.event()
            .attributes
            .iter()
            .all(|one| one.to_ids && !one.comment.contains(MARK))
    );
    desk.runs_empty();
}

/// An event that was made with the secret holds nothing of ours whose uuid anybody can compute, such as one that a partner chose
/// for a proposal.
#[test]
fn with_a_secret_an_attribute_whose_uuid_was_computed_by_others_is_theirs() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1, "instance_secret": "a secret of thirty-two characters"}));
    desk.ioc("domain", "ours.example", &json!({}));
    desk.run();
    {
        let mut world = desk.misp.world();
        let event = &mut world.events[0];
        let uuid = Ids::new("test.example", None).part_uuid(
            &event.uuid.parse().unwrap(),
            &["domain", "accepted.example"],
        );
        let mut accepted = event.attributes[0].clone();
        (accepted.id, accepted.uuid, accepted.value) =
            (99_999, uuid.to_string(), "accepted.example".into());
        event.attributes.push(accepted);
    }
    let report = desk.runs_empty();
    assert!(
        full(&report)["ledger"].get("retractions").is_none(),
        "{report:#}"
    );
    let attribute = desk.attribute("accepted.example");
    assert!(attribute.to_ids && !attribute.comment.contains(MARK));
}

#[test]
fn a_value_that_goes_out_without_what_nobody_sees_is_named() {
    let desk = Desk::new(World::five(), &json!({"tlp": 1}));
    for (kind, data) in [
        ("other", "\u{202e}abc"),
        ("domain", "e\u{ad}vil.example"),
        ("url", "http://plain.example/ \n"),
    ] {
        desk.ioc(kind, data, &json!({}));
    }
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 3)]),
        "{report:#}"
    );
    let told = warnings(&report);
    assert!(
        told.contains("without characters that nobody sees: abc (U+202E), evil.example (U+00AD)\""),
        "{told}"
    );
    desk.runs_empty();
}
