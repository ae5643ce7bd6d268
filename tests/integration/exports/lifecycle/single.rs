//! A click on one observable: it joins the event of its case, and nothing is taken back for it.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain};
use crate::misp::Event;
use crate::program::{counts, failure, full, of};

/// Type, value and uuid of every attribute.
fn held(event: &Event) -> Vec<(String, String, String)> {
    let mut held: Vec<_> = event
        .attributes
        .iter()
        .map(|one| (one.kind.clone(), one.value.clone(), one.uuid.clone()))
        .collect();
    held.sort();
    held
}

#[test]
fn a_single_ioc_joins_the_event_of_its_case_and_retracts_nothing() {
    for desk in Desk::both() {
        desk.add_domains(3);
        desk.export();
        let before = desk.event();
        desk.unflag_first(2);
        desk.add(&domain("new.example"));
        let report = desk.run(&desk.click(3));
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(full(&report)["ledger"].get("retractions"), None);
        assert_eq!(changes(&before, &desk.event()), ["+ new.example"]);
        let report = desk.run(&desk.click(3));
        desk.wrote_nothing();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("unchanged", 1)])
        );
        // The whole case meets the same attribute, and retracts what the click left.
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("unchanged", 2)])
        );
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 2), ("updated", 2)])
        );
    }
}

#[test]
fn a_single_ioc_makes_the_event_that_the_case_then_meets() {
    for desk in Desk::both() {
        desk.add_domains(3);
        desk.run(&desk.click(1));
        let single = desk.event();
        assert_eq!(
            (single.attributes.len(), single.info.as_str()),
            (1, "Phishing wave")
        );
        desk.export();
        assert_eq!(
            changes(&single, &desk.event()),
            ["+ host-0.example", "+ host-2.example"]
        );
    }
}

#[test]
fn a_single_observable_that_is_no_ioc_is_refused() {
    for desk in Desk::both() {
        desk.add_domains(2);
        desk.export();
        let before = desk.event();
        for ioc in [json!(false), json!(null), json!("true"), json!(1)] {
            desk.set(0, "ioc", ioc);
            let report = desk.run(&desk.click(0));
            assert!(
                failure(&report)
                    .starts_with("the observable is not flagged as IOC: only IOCs are exported")
            );
            assert!(desk.misp.requests().is_empty());
        }
        // What TheHive has now counts, not what it had when the job was made.
        let stale = desk.click(1);
        desk.set(0, "ioc", json!(true));
        desk.set(1, "ioc", json!(false));
        assert!(failure(&desk.run(&stale)).starts_with("the observable is not flagged as IOC"));
        let mut forged = desk.click(0);
        (forged["data"]["data"], forged["data"]["tlp"]) = (json!("forged.example"), json!(0));
        desk.run(&forged);
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
    }
}

/// What is said of them fits together, whatever people do meanwhile. What a TheHive 5 would answer was never seen.
#[test]
fn a_single_observable_and_its_case_are_read_by_one_question() {
    for (desk, questions) in [(Desk::four(), 1), (Desk::five(), 2)] {
        desk.add_domains(1);
        desk.run(&desk.click(0));
        let asked = desk.thehive.requests();
        let of_it = asked
            .iter()
            .filter(|one| one.body.to_string().contains("getObservable"))
            .count();
        assert_eq!(of_it, questions);
        assert_eq!(desk.event().attributes.len(), 1);
    }
}

#[test]
fn an_observable_of_no_case_that_can_be_seen_is_refused() {
    let desk = Desk::five();
    desk.add_domains(1);
    let mut click = desk.click(0);
    click["data"]["_id"] = json!("~999999");
    assert!(failure(&desk.run(&click)).contains("the observable does not exist, or the user"));
    desk.thehive.world().give(&desk.case, "elsewhere");
    let report = desk.run(&desk.click(0));
    assert!(
        failure(&report).contains("(organisation?)"),
        "{}",
        failure(&report)
    );
    assert!(desk.misp.requests().is_empty() && desk.misp.world().events.is_empty());
}

fn tagged(data_type: &str, data: &str, tag: &str) -> Value {
    json!({"dataType": data_type, "data": data, "ioc": true, "tlp": 2, "tags": [tag]})
}

/// Halves of a composite, the parts of one file, and what has nothing to do with either.
fn linked(desk: &Desk) {
    let (composite, file) = (
        "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:00000001-0000-4000-8000-000000000000\"",
        "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
    );
    desk.add(&tagged("domain", "c2.example", composite));
    desk.add(&tagged("ip", "192.0.2.1", composite));
    desk.add(&tagged("filename", "a.exe", file));
    desk.add(&tagged("hash", &"a".repeat(64), file));
    desk.add(&tagged(
        "domain",
        "other.example",
        "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:00000002-0000-4000-8000-000000000000\"",
    ));
    desk.add(&domain("plain.example"));
}

#[test]
fn a_half_goes_out_as_it_would_with_the_whole_case() {
    for version in [Desk::four, Desk::five] {
        let whole = version();
        linked(&whole);
        whole.export();
        let all = held(&whole.event());
        let kinds: Vec<_> = all.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(
            kinds,
            ["domain", "domain", "domain|ip", "filename", "sha256"]
        );
        for (at, parts) in [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1), (5, 1)] {
            let desk = version();
            linked(&desk);
            let report = desk.run(&desk.click(at));
            assert_eq!(
                counts(full(&report), "observables"),
                of([("fetched", parts), ("created", parts)])
            );
            let single = held(&desk.event());
            assert!(
                !single.is_empty() && single.iter().all(|one| all.contains(one)),
                "{at}: {single:?}"
            );
            assert!(
                !single
                    .iter()
                    .any(|(_, value, _)| value == "plain.example" && at != 5),
                "{at}: {single:?}"
            );
            desk.export();
            assert_eq!(
                (held(&desk.event()), desk.event().objects.len()),
                (all.clone(), 1),
                "{at}"
            );
        }
    }
}

/// Its other half is no IOC: the half goes out alone, also with the whole case.
#[test]
fn a_half_whose_other_half_is_no_ioc_goes_out_alone() {
    let (single, whole) = (Desk::five(), Desk::five());
    for desk in [&single, &whole] {
        linked(desk);
        desk.flag(1, false);
    }
    whole.export();
    single.run(&single.click(0));
    let held_alone = held(&single.event());
    assert_eq!(held_alone.len(), 1);
    assert_eq!(
        (held_alone[0].0.as_str(), held_alone[0].1.as_str()),
        ("domain", "c2.example")
    );
    assert!(held(&whole.event()).contains(&held_alone[0]));
    for request in single.misp.requests().iter().chain(&whole.misp.requests()) {
        assert!(
            !String::from_utf8_lossy(&request.raw).contains("192.0.2.1"),
            "{}",
            request.path
        );
    }
}
