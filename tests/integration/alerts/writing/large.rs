//! Events that come in several pages, and what they cost.

use serde_json::json;

use super::desk::{Desk, attribute};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, full, of};
use crate::thehive::Version;

/// One event with so many more domains, none of which says more than its value, and its first domain once more at the end.
fn large(number: u64) -> [Desk; 2] {
    Desk::small(1).map(|desk| {
        let tag = desk.tag("again");
        desk.change("1", |event| {
            let domain = |id: u64| attribute(100_000 + id, "domain", &format!("many-{id}.example"));
            event.attributes.extend((0..number).map(domain));
            let mut again = attribute(200_000, "domain", "host-1.example");
            (again.tags, again.comment) = (vec![tag], "Later".into());
            event.attributes.push(again);
        });
        desk
    })
}

#[test]
fn an_event_of_two_pages_is_merged_over_both_and_costs_few_calls() {
    for desk in large(5_100) {
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes")["fetched"],
            5_104,
            "{report:#}"
        );
        assert_eq!(desk.data("1").len(), 5_103);
        let calls = desk.thehive.requests().len();
        assert!(calls <= 60, "{calls}");
        let one = desk.observable(&desk.alert("1"), "host-1.example").unwrap();
        assert_eq!(
            (&one["ioc"], one["tags"].to_string().contains("again")),
            (&json!(true), true),
            "{one:#}"
        );
        assert!(!desk.has_tag("1", "misp:updated"));
        desk.rests();
        // Nothing is written to the merged one when the event changes elsewhere.
        desk.alter("1", "many-7.example", |one| one.deleted = true);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)])
        );
        let mut verbs = desk.verbs();
        verbs.dedup();
        assert_eq!(verbs, ["DELETE observable", "PATCH alert"]);
        assert_eq!(desk.data("1").len(), 5_102);
        // That no page wants an IOC any more is known after the last.
        desk.alter("1", "host-1.example", |one| one.to_ids = false);
        desk.import();
        assert_eq!(
            desk.changes()[0],
            ("PATCH observable".to_owned(), json!({"ioc": false}))
        );
        assert!(desk.writes().len() == 2 && !desk.has_tag("1", "misp:updated"));
    }
}

#[test]
fn a_page_that_does_not_come_removes_nothing() {
    for desk in large(5_100) {
        if desk.thehive.world().version == Version::Four {
            continue;
        }
        desk.import();
        desk.alter("1", "many-7.example", |one| one.deleted = true);
        let what = What::CutAfter(100);
        desk.misp.fault(Fault {
            on: "/attributes/restSearch",
            nth: Nth::From(2),
            what,
        });
        desk.import();
        assert_eq!(desk.data("1").len(), 5_103);
        desk.misp.heal();
        desk.import();
        assert_eq!(desk.data("1").len(), 5_102);
        desk.rests();
    }
}
