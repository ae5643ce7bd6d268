//! A case that is not known to be read as a whole, and to be ours alone, retracts nothing; the rest goes out all the same.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain, failures};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, full, of};

/// The first questions for the case and for the page of its IOCs, by what stands in their bodies.
const CASE: &str = "\"shareCount\"";
const PAGE: &str = "\"total\"";
/// The question for the number of its IOCs, if that did not come with the page.
const COUNT: &str = "\"count\"";

/// Said of a case that is another organisation's.
const NOT_OURS: &str = "not ours";

fn answer(desk: &Desk, on: &'static str, body: &Value) {
    desk.thehive.fault(Fault {
        on,
        nth: Nth::Only(1),
        what: What::Body(body.to_string()),
    });
}

/// Exports four IOCs, lets one go and one come, spoils something, and exports again: the new one arrives, nothing is
/// retracted, and the ledger names the rule. Unspoilt, it is retracted.
fn keeps(desk: &Desk, spoil: impl Fn(&Desk), heal: impl Fn(&Desk), rule: &str) {
    desk.add_domains(4);
    desk.export();
    let before = desk.event();
    desk.flag(0, false);
    desk.add(&domain("new.example"));
    spoil(desk);
    let report = desk.export();
    desk.thehive.heal();
    assert_eq!(changes(&before, &desk.event()), ["+ new.example"], "{rule}");
    if rule == NOT_OURS {
        // What the owner put there is not this organisation's to take back, nor to see.
        assert!(
            full(&report)["ledger"]["retractions"].is_null(),
            "{report:#}"
        );
        assert!(!report.to_string().contains("host-0.example"));
        heal(desk);
        desk.export();
        assert_eq!(
            changes(&before, &desk.event()),
            ["+ new.example", "host-0.example: comment, to_ids"]
        );
        return;
    }
    let retractions = full(&report)["ledger"]["retractions"]["skipped_by"]
        .as_object()
        .unwrap();
    let rules: Vec<_> = retractions
        .iter()
        .map(|(rule, number)| (rule.as_str(), number.as_u64()))
        .collect();
    assert!(
        matches!(rules[..], [(told, Some(1))] if told.starts_with(rule)),
        "{rules:?} is not {rule}"
    );
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("skipped", 1)])
    );
    if rule == cortex_misp::export::load::SHARED {
        // It may be of an observable that this organisation does not see.
        assert_eq!(full(&report)["left_out"]["retractions"], 1, "{report:#}");
        assert!(!report.to_string().contains("host-0.example"));
    } else {
        let line = &full(&report)["connections"][0]["retractions"][0];
        assert_eq!(
            (&line["value"], &line["verdict"]),
            (&json!("host-0.example"), &json!("skipped"))
        );
        assert!(line["reason"].as_str().unwrap().starts_with(rule), "{line}");
    }
    heal(desk);
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("updated", 1)]),
        "{rule}"
    );
    assert_eq!(
        changes(&before, &desk.event()),
        ["+ new.example", "host-0.example: comment, to_ids"]
    );
    assert_eq!(failures(&report), [""; 0]);
}

fn nothing(_: &Desk) {}

#[test]
fn a_shared_case_retracts_nothing() {
    for desk in Desk::both() {
        let share = |desk: &Desk| desk.thehive.world().share(&desk.case, "soc");
        let unshare = |desk: &Desk| desk.thehive.world().owners.clear();
        keeps(
            &desk,
            share,
            unshare,
            "the case is shared with other organisations",
        );
    }
}

#[test]
fn a_case_of_another_organisation_retracts_nothing() {
    for desk in Desk::both() {
        let give = |desk: &Desk| {
            let mut world = desk.thehive.world();
            world.give(&desk.case, "soc");
            world.share(&desk.case, "cert");
        };
        let take = |desk: &Desk| desk.thehive.world().owners.clear();
        keeps(&desk, give, take, NOT_OURS);
    }
}

/// Others may see more of it.
#[test]
fn a_shared_case_without_iocs_says_who_sees_none() {
    for desk in Desk::both() {
        desk.add_domains(1);
        desk.flag(0, false);
        let says = |who: &str| {
            format!(
                "No observable of case #42{who} is flagged as IOC: nothing to export to misp-corp"
            )
        };
        let told = |report: Value| full(&report)["message"].as_str().unwrap().to_owned();
        assert!(told(desk.export()).starts_with(&says("")));
        desk.thehive.world().share(&desk.case, "soc");
        assert!(told(desk.export()).starts_with(&says(" that cert sees")));
        desk.thehive.world().give(&desk.case, "soc");
        desk.thehive.world().share(&desk.case, "cert");
        assert!(told(desk.export()).starts_with(&says(" that cert sees")));
    }
}

#[test]
fn a_case_of_which_thehive_does_not_tell_the_shares_retracts_nothing() {
    let silences = [
        json!({}),
        json!(null),
        json!([]),
        json!({"shareCount": 0}),
        json!({"isOwner": true}),
        json!({"shareCount": "0", "isOwner": "true"}),
        json!({"shareCount": null, "isOwner": true}),
    ];
    for extra in silences {
        let desk = Desk::five();
        let silence = |desk: &Desk| {
            let mut case = desk.thehive.world().cases[0].clone();
            case["extraData"] = extra.clone();
            answer(desk, CASE, &json!([case]));
        };
        keeps(
            &desk,
            silence,
            nothing,
            "TheHive does not say whether the case is shared",
        );
    }
}

#[test]
fn a_case_with_a_share_or_another_owner_alone_retracts_nothing() {
    for extra in [
        json!({"shareCount": 1, "isOwner": true}),
        json!({"shareCount": 0, "isOwner": false}),
    ] {
        let desk = Desk::four();
        let told = |desk: &Desk| {
            let mut case = desk.thehive.world().cases[0].clone();
            case["extraData"] = extra.clone();
            answer(desk, CASE, &json!([case]));
        };
        let is_owner = extra["isOwner"] == json!(true);
        let rule = if is_owner {
            "the case is shared with other organisations"
        } else {
            NOT_OURS
        };
        keeps(&desk, told, nothing, rule);
    }
}

/// One is counted and in no page: the last, so that it looks like the one that lost its flag.
#[test]
fn a_case_with_a_page_missing_retracts_nothing() {
    for desk in Desk::both() {
        desk.add_domains(3);
        desk.export();
        let before = desk.event();
        desk.thehive.world().hide_from_pages = 1;
        let report = desk.export();
        desk.wrote_nothing();
        let rule = "TheHive counts 3 IOC observables, and gave 2";
        assert_eq!(
            full(&report)["ledger"]["retractions"]["skipped_by"],
            json!({rule: 1})
        );
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("unchanged", 2)])
        );
        assert_eq!(
            failures(&report),
            [format!(
                "the case may have more IOCs than were read: {rule}"
            )]
        );
        desk.thehive.world().hide_from_pages = 0;
        desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
    }
}

#[test]
fn a_count_that_is_none_retracts_nothing() {
    for number in [json!(-1_000), json!([]), json!(null)] {
        let rule = "TheHive does not say how many IOC observables the case has";
        keeps(
            &Desk::four(),
            |desk| {
                desk.thehive.world().without_totals = true;
                answer(desk, COUNT, &number);
            },
            nothing,
            rule,
        );
    }
}

/// More were counted than read: somebody flagged one meanwhile, perhaps. It is read again.
#[test]
fn a_count_that_passes_costs_nothing() {
    for number in [5, 3] {
        let desk = Desk::four();
        desk.add_domains(4);
        desk.export();
        desk.flag(0, false);
        desk.thehive.world().without_totals = true;
        answer(&desk, COUNT, &json!(number));
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        assert_eq!(failures(&report), [""; 0]);
    }
}

#[test]
fn a_case_with_an_observable_that_cannot_be_read_retracts_nothing() {
    let desk = Desk::five();
    desk.add_domains(4);
    desk.export();
    let before = desk.event();
    desk.flag(0, false);
    desk.add(&domain("new.example"));
    let mut page: Vec<_> = desk
        .thehive
        .world()
        .observables_of(&desk.case)
        .skip(1)
        .cloned()
        .collect();
    page[1] = json!("host-2.example");
    answer(&desk, PAGE, &page.into());
    let report = desk.export();
    assert_eq!(changes(&before, &desk.event()), ["+ new.example"]);
    let rule = "an observable of the case cannot be read";
    assert_eq!(
        full(&report)["ledger"]["retractions"]["skipped_by"],
        json!({rule: 2})
    );
    let expected = of([
        ("fetched", 4),
        ("created", 1),
        ("unchanged", 2),
        ("failed", 1),
    ]);
    assert_eq!(counts(full(&report), "observables"), expected);
}

/// Pages and counts agree on nothing: the case was emptied, or TheHive lost its index. Few may go, many may not.
#[test]
fn an_emptied_case_is_too_much_at_once() {
    let desk = Desk::five();
    desk.add_domains(11);
    desk.export();
    let before = desk.event();
    desk.unflag_first(11);
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0]);
    assert_eq!(
        full(&report)["ledger"]["retractions"]["skipped_by"],
        json!({"more than 10 at once": 11})
    );
}

/// A page that is refused, or a case, stops the run before MISP is asked anything.
#[test]
fn half_a_case_is_not_exported() {
    for on in [CASE, PAGE] {
        let desk = Desk::four();
        desk.add_domains(3);
        desk.export();
        let before = desk.event();
        desk.flag(0, false);
        let refusal = What::Status(403, "{}".into(), "application/json");
        desk.thehive.fault(Fault {
            on,
            nth: Nth::Only(1),
            what: refusal,
        });
        let report = desk.export();
        assert_eq!(report["success"], false, "{report:#}");
        assert!(desk.misp.requests().is_empty());
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
    }
}

/// An export of the case for another organisation of TheHive.
fn export_for(desk: &Desk, organisation: &str) -> Value {
    let mut job = desk.job();
    job["parameters"]["organisation"] = json!(organisation);
    desk.run(&job)
}

fn notes(report: &Value) -> String {
    full(report)["connections"][0]["notes"].to_string()
}

#[test]
fn what_others_added_to_a_shared_case_stays_when_it_is_shared_no_longer() {
    for desk in Desk::both() {
        desk.add_domains(2);
        desk.export();
        let before = desk.event();
        desk.thehive.world().share(&desk.case, "soc");
        desk.add(&domain("soc.example"));
        export_for(&desk, "soc");
        assert_eq!(changes(&before, &desk.event()), ["+ soc.example"]);
        let report = export_for(&desk, "soc");
        desk.wrote_nothing();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("unchanged", 3)])
        );
        assert_eq!(notes(&report), "null");
        // The owner does not see it in TheHive.
        let soc = desk.thehive.world().observables.pop().unwrap();
        desk.export();
        desk.wrote_nothing();
        desk.thehive.world().owners.clear();
        let report = desk.export();
        desk.wrote_nothing();
        assert!(
            notes(&report)
                .contains("1 attribute or object in the event came from other organisations"),
            "{report:#}"
        );
        assert!(!report.to_string().contains("soc.example"), "{report:#}");
        desk.flag(0, false);
        desk.export();
        assert_eq!(
            changes(&before, &desk.event()),
            ["+ soc.example", "host-0.example: comment, to_ids"]
        );
        // What both see is there once, and becomes as strict as either says.
        desk.thehive.world().observables.push(soc);
        desk.set(2, "tlp", json!(3));
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)])
        );
        assert_eq!(desk.event().attributes.len(), 3);
        assert_eq!(desk.event().attributes[2].distribution, 0);
        assert_eq!(notes(&report), "null");
    }
}

#[test]
fn files_of_a_shared_case_are_there_once_whoever_exports_first() {
    for (first, second) in [("cert", "soc"), ("soc", "cert")] {
        let desk = Desk::four();
        let tag = "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"";
        for (kind, value) in [
            ("filename", "evil.exe"),
            (
                "hash",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
        ] {
            desk.add(
                &json!({"dataType": kind, "data": value, "ioc": true, "tlp": 2, "tags": [tag]}),
            );
        }
        desk.thehive.world().share(&desk.case, "soc");
        export_for(&desk, first);
        let before = desk.event();
        let report = export_for(&desk, second);
        desk.wrote_nothing();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("unchanged", 2)]),
            "{second}"
        );
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
        // A hash that joins goes into the object that is there.
        desk.add(&json!({"dataType": "hash", "data": "d41d8cd98f00b204e9800998ecf8427e", "ioc": true, "tlp": 2, "tags": [tag]}));
        export_for(&desk, second);
        let after = desk.event();
        assert_eq!(after.objects.len(), 1, "{first}: {:?}", after.attributes);
        // A case that became RED closes all that is there of it, whoever brought it.
        desk.thehive.world().cases[0]["tlp"] = json!(3);
        desk.thehive.world().owners.clear();
        desk.export();
        let after = desk.event();
        assert_eq!((after.distribution, after.objects[0].distribution), (0, 0));
        assert!(
            after
                .attributes
                .iter()
                .all(|one| one.distribution == 0 && one.to_ids),
            "{:?}",
            after.attributes
        );
    }
}
