//! An attribute's comment follows the observable's message for as long as nobody changed it in MISP.

use serde_json::{Value, json};

use super::desk::{Desk, lines};
use crate::program::{counts, full, of};
use crate::replay::hive::ask;
use crate::thehive::KEY;

const LEFT: &str = "unchanged (differs in MISP, left as it is: comment)";

/// Adds an IOC with a message.
fn add(desk: &Desk, name: &str, message: &str) {
    desk.add(
        &json!({"dataType": "domain", "data": format!("{name}.example"), "ioc": true, "tlp": 2, "message": message}),
    );
}

/// Lets a person write another message.
fn correct(desk: &Desk, at: usize, message: &str) {
    let id = desk.thehive.world().observables[at].record["_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/observable/{id}");
    assert_eq!(
        ask(
            &desk.thehive.url(),
            KEY,
            "PATCH",
            &path,
            &json!({"message": message})
        )
        .0,
        204
    );
}

fn comments(desk: &Desk) -> Vec<String> {
    desk.event()
        .attributes
        .into_iter()
        .map(|one| one.comment)
        .collect()
}

fn observables(report: &Value) -> Vec<String> {
    lines(report, "observables", "data")
}

#[test]
fn a_corrected_message_goes_out_unless_somebody_changed_the_comment() {
    let desk = Desk::four();
    for (name, message) in [
        ("plain", "C2"),
        ("seen", "C2"),
        ("bare", ""),
        ("twice", "C2"),
        ("emptied", "C2"),
    ] {
        add(&desk, name, message);
    }
    desk.export();
    {
        let mut world = desk.misp.world();
        world.events[0].attributes[1].comment = "Seen by us".to_owned();
        world.events[0].attributes[4].comment = String::new();
    }
    for at in 0..5 {
        correct(&desk, at, "C2 of the wave");
    }
    correct(&desk, 3, "C2 of the second wave");
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 5), ("updated", 3), ("unchanged", 2)]),
        "{report:#}"
    );
    assert_eq!(
        comments(&desk),
        [
            "C2 of the wave",
            "Seen by us",
            "C2 of the wave",
            "C2 of the second wave",
            ""
        ]
    );
    let told = observables(&report);
    assert_eq!(
        (told[1].as_str(), told[4].as_str()),
        (
            &*format!("seen.example: {LEFT}"),
            &*format!("emptied.example: {LEFT}")
        )
    );
    desk.export();
    desk.wrote_nothing();
    // One that comes back after a retraction has the message that it has by then.
    desk.flag(0, false);
    desk.export();
    correct(&desk, 0, "Corrected while it was none");
    desk.flag(0, true);
    desk.export();
    assert_eq!(comments(&desk)[0], "Corrected while it was none");
    // Alone it takes no publication back.
    desk.misp.world().events[0].published = true;
    correct(&desk, 2, "Later");
    let report = desk.export();
    desk.wrote_nothing();
    assert!(
        report
            .to_string()
            .contains("1 differences wait for the next change of its IOCs: domain bare.example"),
        "{report:#}"
    );
    add(&desk, "new", "");
    desk.export();
    assert_eq!(comments(&desk)[2], "Later");
}

/// What a TheHive 5 remembers was never seen, and what a case got from an alert a TheHive 4 does not remember.
#[test]
fn where_former_messages_are_not_known_a_comment_stays() {
    for desk in Desk::both() {
        add(&desk, "plain", "C2");
        desk.export();
        desk.thehive.world().audits.clear();
        correct(&desk, 0, "C2 of the wave");
        let report = desk.export();
        desk.wrote_nothing();
        assert_eq!(
            (observables(&report), comments(&desk)),
            (
                vec![format!("plain.example: {LEFT}")],
                vec!["C2".to_owned()]
            )
        );
    }
}

#[test]
fn a_thehive_that_does_not_answer_for_former_messages_costs_no_export() {
    let desk = Desk::four();
    add(&desk, "plain", "C2");
    desk.export();
    correct(&desk, 0, "C2 of the wave");
    add(&desk, "new", "");
    desk.thehive.fault(crate::http_fake::Fault {
        on: "/api/v0/query",
        nth: crate::http_fake::Nth::Always,
        what: crate::http_fake::What::Status(500, "{}".to_owned(), "application/json"),
    });
    let report = desk.export();
    assert_eq!(comments(&desk), ["C2", ""]);
    assert!(
        report
            .to_string()
            .contains("were changed in MISP is not known, so that they stay"),
        "{report:#}"
    );
}
