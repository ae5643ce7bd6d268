//! What of the event is ours: its title; threat level and analysis upwards; TLP and PAP towards the stricter; distribution
//! down to 0. The other way nothing is written, and the report says so.

use serde_json::{Value, json};

use super::desk::{Desk, changes, lines, warnings};
use crate::misp;

/// Changes the case and exports it: these changes, and these warnings.
fn step(desk: &Desk, fields: Value, expected: &[&str], told: &[&str]) {
    for (name, value) in fields.as_object().unwrap() {
        let mut world = desk.thehive.world();
        let case = world.cases[0].as_object_mut().unwrap();
        case.shift_remove(&format!("{name}Label"));
        case.insert(name.clone(), value.clone());
    }
    let before = desk.event();
    let report = desk.export();
    assert_eq!(changes(&before, &desk.event()), expected, "{fields}");
    assert_eq!(
        desk.writes().len(),
        usize::from(!expected.is_empty()),
        "{fields}"
    );
    assert_eq!(warnings(&report), told, "{fields}");
    let before = desk.event();
    desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0], "{fields}");
}

#[test]
fn threat_level_and_analysis_go_upwards_only() {
    for desk in Desk::both() {
        let (open, closed) = match desk.thehive.world().version {
            crate::thehive::Version::Four => {
                (json!({"status": "Open"}), json!({"status": "Resolved"}))
            }
            crate::thehive::Version::Five => {
                (json!({"stage": "InProgress"}), json!({"stage": "Closed"}))
            }
        };
        desk.add_domains(1);
        desk.export();
        step(&desk, json!({"severity": 3}), &["event: threat_level"], &[]);
        step(&desk, json!({"severity": 4}), &[], &[]);
        step(
            &desk,
            json!({"severity": 1}),
            &[],
            &["the event differs in MISP, left as it is: threat level"],
        );
        step(&desk, json!({"severity": 3}), &[], &[]);
        step(&desk, closed, &["event: analysis"], &[]);
        step(
            &desk,
            open,
            &[],
            &["the event differs in MISP, left as it is: analysis"],
        );
    }
}

#[test]
fn markings_go_towards_the_stricter_only() {
    let desk = Desk::five();
    desk.add_domains(1);
    desk.set(0, "tlp", json!(1));
    let job = desk.job_with("distribution", json!(1));
    desk.run(&job);
    let names = |desk: &Desk| {
        let world = desk.misp.world();
        (
            world.names(&world.events[0].tags),
            world.events[0].distribution,
        )
    };
    assert_eq!(
        names(&desk),
        (vec!["tlp:amber".to_owned(), "PAP:AMBER".to_owned()], 1)
    );
    let other = "the event differs in MISP, left as it is: distribution";
    step(&desk, json!({"pap": 3}), &["event: tags"], &[other]);
    let attribute = "host-0.example: distribution";
    step(
        &desk,
        json!({"tlp": 4}),
        &["event: distribution, tags", attribute],
        &[],
    );
    assert_eq!(
        names(&desk),
        (vec!["PAP:RED".to_owned(), "tlp:red".to_owned()], 0)
    );
    let laxer = [
        "the event's PAP is stricter in MISP than GREEN, the case's; it is left as it is",
        "the event's TLP is stricter in MISP than GREEN, the case's; it is left as it is",
    ];
    step(&desk, json!({"tlp": 1, "pap": 1}), &[], &laxer);
    assert_eq!(
        names(&desk),
        (vec!["PAP:RED".to_owned(), "tlp:red".to_owned()], 0)
    );
}

/// One that was stricter in TheHive, and is not any more, keeps what it has, and the report says so.
#[test]
fn an_observable_whose_tlp_was_lowered_keeps_the_stricter_one() {
    for desk in Desk::both() {
        desk.add_domains(1);
        desk.set(0, "tlp", json!(3));
        desk.export();
        let before = desk.event();
        desk.set(0, "tlp", json!(1));
        let report = desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
        const CLOSED: &str =
            "distribution (its organisation only, as an earlier export or a person set it)";
        let line = format!(
            "host-0.example: unchanged (differs in MISP, left as it is: {CLOSED}, TLP tag)"
        );
        assert_eq!(lines(&report, "observables", "data"), [line]);
    }
}

/// A MISP without the tags, and a key that may not make them: nothing is written for their sake, ever.
#[test]
fn tags_that_cannot_be_set_are_no_reason_to_write() {
    let desk = Desk::five();
    *desk.misp.world() = misp::World {
        url: desk.misp.url(),
        tags: Vec::new(),
        ..misp::World::new()
    };
    desk.add_domains(1);
    let mut job = desk.job();
    job["config"]["key"] = json!([misp::key("partner")]);
    desk.run(&job);
    let before = desk.event();
    desk.thehive.world().cases[0]["pap"] = json!(3);
    desk.run(&job);
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0]);
}
