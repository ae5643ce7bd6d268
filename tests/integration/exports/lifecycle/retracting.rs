//! Retraction: what is no IOC of the case any more, how it is taken back, and how it comes back.

use serde_json::json;

use super::desk::{Desk, changes, domain, failures, lines, run};
use crate::misp::Attribute;
use crate::program::{counts, full, of};

const MARK: &str = "[retracted by cortex-misp]";

/// A case with these many IOCs that was exported once.
fn exported(desk: Desk, number: usize) -> Desk {
    desk.add_domains(number);
    desk.export();
    desk
}

/// The comment, to_ids and deletion of the attribute at this place.
fn state(desk: &Desk, at: usize) -> (String, bool, bool) {
    let one = &desk.event().attributes[at];
    (one.comment.clone(), one.to_ids, one.deleted)
}

#[test]
fn as_many_as_are_allowed_are_retracted_and_one_more_retracts_nothing() {
    for (number, most) in [(12, 10), (50, 10), (55, 11), (100, 20)] {
        let desk = exported(Desk::five(), number);
        let before = desk.event();
        desk.unflag_first(most + 1);
        let report = desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
        let rule = format!("more than {most} at once");
        let too_many = most as u64 + 1;
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", too_many), ("skipped", too_many)])
        );
        assert_eq!(
            full(&report)["ledger"]["retractions"]["skipped_by"],
            json!({rule.clone(): too_many})
        );
        let told = lines(&report, "retractions", "value");
        let expected: Vec<_> = (0..=most)
            .map(|n| format!("host-{n}.example: skipped ({rule})"))
            .collect();
        assert_eq!(told, expected);
        let [alarm] = failures(&report)[..] else {
            panic!("one alarm: {report:#}")
        };
        let start = format!(
            "{too_many} attributes are no IOCs of the case any more, {rule}: nothing is retracted"
        );
        assert!(
            alarm.starts_with(&start) && alarm.contains("host-0.example, host-1.example"),
            "{alarm}"
        );
        let message = full(&report)["message"].as_str().unwrap();
        assert!(message.starts_with("INCOMPLETE: "), "{message}");

        desk.flag(0, true);
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", most as u64), ("updated", most as u64)])
        );
        let mut expected: Vec<_> = (1..=most)
            .map(|n| format!("host-{n}.example: comment, to_ids"))
            .collect();
        expected.sort();
        assert_eq!(changes(&before, &desk.event()), expected);
        assert_eq!(desk.writes().len(), 1);
    }
}

/// What was retracted before neither counts against the limit nor is it written again.
#[test]
fn what_is_retracted_already_is_done() {
    let desk = exported(Desk::four(), 30);
    desk.unflag_first(10);
    desk.export();
    let before = desk.event();
    desk.unflag_first(15);
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 15), ("unchanged", 10), ("updated", 5)])
    );
    let expected: Vec<_> = (10..15)
        .map(|n| format!("host-{n}.example: comment, to_ids"))
        .collect();
    assert_eq!(changes(&before, &desk.event()), expected);
    desk.export();
    desk.wrote_nothing();
}

#[test]
fn an_unflagged_ioc_loses_its_detection_and_gets_it_back() {
    for desk in Desk::both() {
        desk.add(&json!({"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 2, "message": "C2 server"}));
        let desk = exported(desk, 2);
        let before = desk.event();
        desk.unflag_first(2);
        desk.export();
        assert_eq!(state(&desk, 0), (format!("C2 server {MARK}"), false, false));
        assert_eq!(state(&desk, 1), (MARK.to_owned(), false, false));
        assert_eq!(
            changes(&before, &desk.event()),
            [
                "a.example: comment, to_ids",
                "host-0.example: comment, to_ids"
            ]
        );
        desk.export();
        desk.wrote_nothing();
        (0..2).for_each(|at| desk.flag(at, true));
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("updated", 2), ("unchanged", 1)])
        );
        assert_eq!(
            changes(&before, &desk.event()),
            ["a.example: timestamp", "host-0.example: timestamp"]
        );
        assert_eq!(counts_of_retractions(&report), 0);
        desk.export();
        desk.wrote_nothing();
    }
}

fn counts_of_retractions(report: &serde_json::Value) -> u64 {
    full(report)["ledger"]["retractions"]["fetched"]
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn a_deleted_ioc_is_soft_deleted_and_revived_by_an_edit() {
    for desk in Desk::both() {
        desk.add(&json!({"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 2, "message": "C2 server"}));
        let desk = exported(desk, 2);
        let (before, job) = (desk.event(), desk.job_with("removed_iocs", json!("delete")));
        desk.flag(0, false);
        let report = desk.run(&job);
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 1), ("updated", 1)])
        );
        assert_eq!(state(&desk, 0), (format!("C2 server {MARK}"), true, true));
        assert_eq!(
            changes(&before, &desk.event()),
            ["a.example: comment, deleted"]
        );
        assert_eq!(
            desk.writes(),
            [format!("/events/edit/{}/metadata:1", before.uuid)]
        );
        desk.run(&job);
        desk.wrote_nothing();
        desk.flag(0, true);
        let report = desk.run(&job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("updated", 1), ("unchanged", 2)])
        );
        assert_eq!(
            desk.writes(),
            [format!("/events/edit/{}/metadata:1", before.uuid)]
        );
        assert_eq!(changes(&before, &desk.event()), ["a.example: timestamp"]);
        desk.run(&job);
        desk.wrote_nothing();
    }
}

/// The flag may come back under another option than it went.
#[test]
fn a_deleted_ioc_comes_back_whatever_the_option_says_then() {
    for option in ["unflag", "keep"] {
        let desk = exported(Desk::five(), 2);
        let before = desk.event();
        desk.flag(0, false);
        desk.run(&desk.job_with("removed_iocs", json!("delete")));
        assert!(desk.event().attributes[0].deleted);
        desk.flag(0, true);
        desk.run(&desk.job_with("removed_iocs", json!(option)));
        assert_eq!(
            changes(&before, &desk.event()),
            ["host-0.example: timestamp"]
        );
    }
}

#[test]
fn keep_keeps() {
    let desk = exported(Desk::four(), 30);
    let before = desk.event();
    desk.unflag_first(20);
    let report = desk.run(&desk.job_with("removed_iocs", json!("keep")));
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0]);
    assert_eq!(
        full(&report)["ledger"]["retractions"]["skipped_by"],
        json!({"removed_iocs is keep": 20})
    );
    assert_eq!(failures(&report), [""; 0]);
}

#[test]
fn what_a_reviewer_put_back_is_not_retracted_again() {
    let desk = exported(Desk::five(), 3);
    desk.unflag_first(2);
    desk.export();
    {
        let mut world = desk.misp.world();
        world.events[0].attributes[0].to_ids = true;
        world.events[0].attributes[1].comment = format!("seen by CIRCL too {MARK}");
    }
    let before = desk.event();
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0]);
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 2), ("unchanged", 2)])
    );
    desk.add(&domain("new.example"));
    desk.export();
    assert_eq!(changes(&before, &desk.event()), ["+ new.example"]);
}

/// A deletion by hand is no retraction, and the flag does not undo it.
#[test]
fn what_a_reviewer_deleted_is_not_revived() {
    let desk = exported(Desk::five(), 3);
    desk.misp.world().events[0].attributes[0].deleted = true;
    let before = desk.event();
    for ioc in [false, true] {
        desk.flag(0, ioc);
        desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
    }
}

/// Of a colleague, by its uuid; of another installation, by its signature.
#[test]
fn attributes_of_others_are_never_touched() {
    use cortex_misp::ids::Ids;
    let desk = exported(Desk::five(), 1);
    let event = uuid::Uuid::parse_str(&desk.event().uuid).unwrap();
    let elsewhere =
        Ids::new("elsewhere.example", None).part_uuid(&event, &["domain", "elsewhere.example"]);
    let uuids = [
        "5f0e5b5c-0000-4000-8000-000000000001".to_owned(),
        elsewhere.to_string(),
    ];
    for (id, uuid) in (90_000..).zip(uuids) {
        desk.misp.world().events[0].attributes.push(Attribute {
            id,
            uuid,
            kind: "domain".to_owned(),
            category: "Network activity".to_owned(),
            value: format!("{id}.example"),
            to_ids: true,
            distribution: 5,
            ..Attribute::default()
        });
    }
    let before = desk.event();
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(counts_of_retractions(&report), 0);
    desk.flag(0, false);
    let report = desk.run(&desk.job_with("removed_iocs", json!("delete")));
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("updated", 1)])
    );
    assert_eq!(
        changes(&before, &desk.event()),
        ["host-0.example: comment, deleted"]
    );
}

/// A file is an object of several attributes, of which the size was never for detection.
#[test]
fn a_file_is_retracted_as_a_whole_and_comes_back_as_it_was() {
    for (desk, option) in Desk::both().into_iter().zip(["unflag", "delete"]) {
        let sha256 = "ab".repeat(32);
        desk.thehive.world().add_file(
            &desk.case,
            "a.exe",
            &sha256,
            b"MZ",
            &json!({"ioc": true, "tlp": 2}),
        );
        let desk = exported(desk, 1);
        let (before, job) = (desk.event(), desk.job_with("removed_iocs", json!(option)));
        assert_eq!((before.objects.len(), before.attributes.len()), (1, 6));
        desk.flag(0, false);
        let report = desk.run(&job);
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 1), ("updated", 1)])
        );
        let retracted = desk.event();
        let mut inside = retracted.attributes.iter().filter(|one| one.object != 0);
        let is_gone = |one: &Attribute| {
            if option == "delete" {
                one.deleted
            } else {
                !one.to_ids
            }
        };
        assert!(
            inside.all(|one| is_gone(one) && one.comment.ends_with(MARK)),
            "{retracted:?}"
        );
        desk.run(&job);
        desk.wrote_nothing();
        desk.flag(0, true);
        let report = desk.run(&job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)])
        );
        let changes = changes(&before, &desk.event());
        assert!(
            changes
                .iter()
                .all(|change| change.ends_with(": timestamp") || change == "objects"),
            "{changes:?}"
        );
        desk.run(&job);
        desk.wrote_nothing();
    }
}

/// Somebody may raise the distribution of the event later: then nothing of a RED case may be released, retracted or not.
#[test]
fn what_was_retracted_before_is_closed_when_its_case_becomes_red() {
    let desk = Desk::four();
    desk.add_domains(3);
    desk.export();
    desk.flag(0, false);
    desk.export();
    assert_eq!(desk.event().attributes[0].distribution, 5);
    desk.thehive.world().cases[0]["tlp"] = json!(3);
    desk.flag(1, false);
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 2), ("unchanged", 1), ("updated", 1)])
    );
    assert!(
        desk.event()
            .attributes
            .iter()
            .all(|one| one.distribution == 0),
        "{:?}",
        desk.event().attributes
    );
    desk.export();
    desk.wrote_nothing();
}

#[test]
fn a_notice_on_one_observable_exports_its_whole_case() {
    for desk in Desk::both() {
        desk.add_domains(3);
        desk.export();
        // What changed is an observable that is no IOC any more; the others go out as they are.
        desk.unflag_first(1);
        desk.add(&domain("new.example"));
        let mut job = desk.click(0);
        let refused = run(&job);
        assert_eq!(refused["success"], false, "{refused:#}");

        job["parameters"]["scope"] = json!("case");
        let report = desk.run(&job);
        let ledger = &report["full"]["ledger"];
        let count = |item: &str, verdict: &str| ledger[item][verdict].as_u64();
        assert_eq!(count("observables", "created"), Some(1), "{report:#}");
        assert_eq!(count("observables", "unchanged"), Some(2), "{report:#}");
        assert_eq!(count("retractions", "updated"), Some(1), "{report:#}");

        // Without TheHive there is no more than the observable.
        job["config"]["thehive_key"] = json!(null);
        job["config"]["thehive_url"] = json!(null);
        let report = run(&job);
        let error = report["errorMessage"].as_str().unwrap_or_default();
        assert!(
            error.contains("\"scope\" asks for the whole case"),
            "{report:#}"
        );
        job["parameters"]["scope"] = json!("everything");
        let report = run(&job);
        let error = report["errorMessage"].as_str().unwrap_or_default();
        assert!(error.contains("scope"), "{report:#}");
    }
}
