//! How many requests the exports make that are made most, and faults in those that are made at the same time.

use serde_json::{Value, json};

use super::desk::{Desk, domain};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, failure, full, of};

/// Exports with the case's tags in the job, as TheHive sends them, and gives what was asked of TheHive and of MISP.
fn asked(desk: &Desk) -> (Vec<String>, Vec<String>) {
    let mut job = desk.job();
    job["data"] = desk.thehive.world().cases[0].clone();
    let report = desk.run(&job);
    assert_eq!(report["success"], true, "{report:#}");
    let path = |path: String| match path.split('/').nth(2) {
        Some(action) if !path.starts_with("/api/") => {
            let action = action.to_owned();
            format!("{}/{action}", path.split('/').nth(1).unwrap())
        }
        _ => path,
    };
    let sorted = |mut paths: Vec<String>| {
        paths.sort_unstable();
        paths
    };
    let of_thehive = desk.thehive.requests().into_iter();
    let of_misp = desk.misp.requests().into_iter();
    (
        sorted(of_thehive.map(|request| path(request.path)).collect()),
        sorted(of_misp.map(|request| path(request.path)).collect()),
    )
}

#[test]
fn a_plain_case_is_exported_by_few_requests() {
    for desk in Desk::both() {
        desk.add_domains(10);
        let (thehive, misp) = asked(&desk);
        assert_eq!(thehive.len(), 4, "{thehive:?}");
        let expected = [
            "attributes/add",
            "events/add",
            "events/restSearch",
            "events/view",
            "tags/search",
            "warninglists/checkValue",
        ];
        assert_eq!(misp, expected);
        desk.tag(&[desk.event_tag("misp-corp", &desk.event().uuid)]);

        let unchanged = ["events/restSearch", "users/view", "warninglists/checkValue"];
        let (thehive, misp) = asked(&desk);
        assert_eq!(
            (thehive.len(), &*misp),
            (3, &unchanged.map(str::to_owned)[..])
        );

        desk.add(&domain("more.example"));
        let added = [
            "attributes/add",
            "events/restSearch",
            "events/view",
            "users/view",
            "warninglists/checkValue",
        ];
        let (thehive, misp) = asked(&desk);
        assert_eq!((thehive.len(), &*misp), (3, &added.map(str::to_owned)[..]));

        // That it is no IOC any more is asked once more, and whether the case is still there.
        desk.flag(10, false);
        let removed = [
            "events/edit",
            "events/restSearch",
            "events/view",
            "users/view",
            "warninglists/checkValue",
        ];
        let (thehive, misp) = asked(&desk);
        assert_eq!(
            (thehive.len(), &*misp),
            (5, &removed.map(str::to_owned)[..])
        );

        let (thehive, misp) = asked(&desk);
        assert_eq!(
            (thehive.len(), &*misp),
            (3, &unchanged.map(str::to_owned)[..])
        );
    }
}

/// What is asked ahead is asked again when it is needed, so that an export fails, or goes on, as if it had not been.
#[test]
fn a_fault_in_one_of_two_requests_at_once_is_told_as_that_of_one() {
    let refusal = || {
        What::Status(
            403,
            json!({"message": "Not today."}).to_string(),
            "application/json",
        )
    };
    let faults: [(&str, What, &str); 6] = [
        (
            "/events/restSearch",
            refusal(),
            "/events/restSearch`: 403: Not today.",
        ),
        (
            "/events/restSearch",
            What::Status(500, "{}".into(), "application/json"),
            "",
        ),
        ("/tags/search", refusal(), "/tags/search`: 403: Not today."),
        (
            "/tags/search",
            What::Status(500, "{}".into(), "application/json"),
            "/tags/search`: 500",
        ),
        ("/tags/search", What::CutAfter(5), "/tags/search`: "),
        ("/warninglists/checkValue", refusal(), ""),
    ];
    for (on, what, words) in faults {
        let desk = Desk::five();
        desk.add_domains(3);
        desk.misp.fault(Fault {
            on,
            nth: Nth::Always,
            what,
        });
        let report = desk.export();
        if words.is_empty() {
            let created = of([("fetched", 3), ("created", 3)]);
            assert_eq!(counts(full(&report), "observables"), created, "{on}");
            continue;
        }
        assert!(
            failure(&report).contains(words),
            "{on}: {}",
            failure(&report)
        );
        desk.wrote_nothing();
    }
}

#[test]
fn a_fault_in_one_of_the_questions_to_thehive_is_told_as_that_of_one() {
    let refusal = || What::Status(403, "{}".into(), "application/json");
    let said = |on: &'static str, what: What| -> Value {
        let desk = Desk::four();
        desk.add_domains(3);
        desk.thehive.fault(Fault {
            on,
            nth: Nth::Always,
            what,
        });
        let report = desk.export();
        if report["success"] == false {
            assert!(desk.misp.requests().is_empty());
        }
        report
    };

    for (on, words) in [
        ("user/current", "/api/v1/user/current`: 403"),
        ("\"shareCount\"", "/api/v1/query?name=cortex-misp`: 403"),
        ("\"total\"", "reading the observables: POST `"),
    ] {
        let report = said(on, refusal());
        assert!(
            failure(&report).contains(words),
            "{on}: {}",
            failure(&report)
        );
        let report = said(on, What::CutAfter(7));
        assert_eq!(report["success"], false, "{on}: {report:#}");
    }

    let report = said("\"alerts\"", refusal());
    let warnings = full(&report)["warnings"].to_string();
    assert!(
        warnings.contains("whether the case was made of a MISP alert is not known: POST"),
        "{report:#}"
    );
    assert_eq!(full(&report)["ledger"]["observables"]["created"], 3);
}
