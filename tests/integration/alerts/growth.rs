//! How far an alert may grow when its event does, and how a large update goes on.

use serde_json::{Value, json};

use crate::alerts::writing::desk::{Desk, attribute};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, full, of};

/// The event 1 gets so many more attributes.
fn grow(desk: &Desk, by: u64) {
    let mut more = Vec::new();
    for number in 0..by {
        let id = desk.misp.world().next_id();
        more.push(attribute(id, "text", &format!("More {number}")));
    }
    desk.change("1", |event| event.attributes.extend(more));
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

#[test]
fn an_alert_made_from_three_attributes_does_not_grow_to_thousands() {
    for desk in Desk::imported(2, &json!({"max_attributes": 10})) {
        grow(&desk, 4_000);
        let rule = "max_attributes: its alert may not grow any more";
        let report = desk.import();
        assert_eq!(desk.data("1").len(), 20);
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)]),
            "{report:#}"
        );
        assert_eq!(
            full(&report)["ledger"]["attributes"]["skipped_by"],
            json!({rule: 3_983})
        );
        let told =
            "3983 attributes left out of alerts that may not grow any more (\"max_attributes\")";
        assert!(message(&report).contains(told), "{}", message(&report));
        // Nothing is lost silently: the line says that it is not whole, every run tells, and more room lets the rest in.
        assert!(desk.line("1").unwrap().contains("complete=no"));
        let report = desk.import();
        desk.wrote_nothing();
        assert!(message(&report).contains(told), "{}", message(&report));
        let warnings = full(&report)["connections"][0]["warnings"].to_string();
        assert!(
            warnings.contains(&desk.misp.world().event("1").unwrap().uuid),
            "{warnings}"
        );
        let desk = desk.with(json!({"max_attributes": 5_000}));
        desk.import();
        assert_eq!(desk.data("1").len(), 4_003);
        assert!(desk.line("1").unwrap().contains("complete=yes"));
        desk.rests();
    }
}

#[test]
fn an_alert_that_is_full_goes_on_losing_and_changing_observables() {
    for desk in Desk::imported(1, &json!({"max_attributes": 10})) {
        grow(&desk, 30);
        desk.import();
        assert_eq!(desk.data("1").len(), 20);
        desk.change("1", |event| {
            event.info = "Renamed".into();
            let more = event
                .attributes
                .iter_mut()
                .filter(|one| one.value.starts_with("More"));
            more.take(17).for_each(|one| one.deleted = true);
        });
        desk.alter("1", "Text 1", |one| one.comment = "Better".into());
        desk.import();
        desk.import();
        assert_eq!(
            (desk.data("1").len(), &desk.alert("1")["title"]),
            (16, &json!("#1 Renamed"))
        );
        assert_eq!(
            desk.observable(&desk.alert("1"), "Text 1").unwrap()["message"],
            "Better"
        );
        desk.rests();
    }
}

#[test]
fn a_large_update_goes_on_where_it_stopped() {
    for desk in Desk::imported(1, &json!({"max_parallel": 1})) {
        grow(&desk, 3_500);
        // The third call that adds, and all after it, are refused.
        desk.thehive.fault(Fault {
            on: if desk.thehive.world().version == crate::thehive::Version::Five {
                "/observable"
            } else {
                "/artifact"
            },
            nth: Nth::From(3),
            what: What::Status(
                403,
                json!({"type": "AuthorizationError", "message": "no"}).to_string(),
                "application/json",
            ),
        });
        desk.import();
        let before = desk.data("1").len() as u64;
        assert!((203..3_503).contains(&before), "{before}");
        desk.thehive.heal();
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "attributes"),
            of([
                ("fetched", 3_503),
                ("created", 3_503 - before),
                ("unchanged", before)
            ]),
            "{report:#}"
        );
        desk.rests();
    }
}
