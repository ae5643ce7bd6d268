//! A case that becomes RED closes all that is there of it, whatever became of it since.

use serde_json::json;

use crate::desk::{Desk, MARK};
use crate::misp::writes;
use crate::program::full;
use crate::thehive::World;

fn desk() -> Desk {
    let mut desk = Desk::new(World::four(), &json!({"tlp": 1}));
    desk.set(&json!({"distribution": 1}));
    desk
}

#[test]
fn what_was_retracted_is_closed_with_its_case_and_so_are_objects() {
    let desk = desk();
    let gone = desk.ioc("domain", "gone.example", &json!({"tlp": 1}));
    let file = desk.file("gone.exe", b"MZ gone", &json!({"tlp": 1}));
    desk.ioc("domain", "kept.example", &json!({"tlp": 1}));
    desk.file("kept.exe", b"MZ kept", &json!({"tlp": 1}));
    desk.ioc("domain", "deleted.example", &json!({"tlp": 1}));
    desk.run();
    [gone, file]
        .iter()
        .for_each(|id| desk.change(id, &json!({"ioc": false})));
    let report = desk.run();
    let message = full(&report)["message"].as_str().unwrap();
    assert!(message.contains("2 retracted"), "{message}");
    assert_eq!(full(&report)["ledger"]["retractions"]["updated"], 2);
    let is_deleted = |value: &str| value == "deleted.example";
    for one in &mut desk.misp.world().events[0].attributes {
        one.deleted = is_deleted(&one.value);
    }
    desk.change_case(&json!({"tlp": 3}));
    desk.run();
    let event = desk.event();
    assert_eq!(
        event
            .objects
            .iter()
            .map(|object| object.distribution)
            .collect::<Vec<_>>(),
        [0, 0]
    );
    for one in &event.attributes {
        assert_eq!(
            one.distribution,
            if is_deleted(&one.value) { 5 } else { 0 },
            "{}",
            one.value
        );
    }
    assert_eq!(
        event
            .attributes
            .iter()
            .filter(|one| one.comment.ends_with(MARK))
            .count(),
        6
    );
    desk.runs_empty();
}

#[test]
fn what_somebody_opens_in_a_closed_event_is_closed_again() {
    let desk = desk();
    let gone = desk.ioc("domain", "gone.example", &json!({"tlp": 1}));
    desk.file("kept.exe", b"MZ kept", &json!({"tlp": 1}));
    desk.run();
    desk.change(&gone, &json!({"ioc": false}));
    desk.change_case(&json!({"tlp": 3}));
    desk.run();
    desk.runs_empty();
    for of in ["attribute", "object"] {
        {
            let event = &mut desk.misp.world().events[0];
            match of {
                "attribute" => {
                    event
                        .attributes
                        .iter_mut()
                        .find(|one| one.value == "gone.example")
                        .unwrap()
                        .distribution = 3
                }
                _ => event.objects[0].distribution = 3,
            }
        }
        desk.run();
        assert_eq!(writes(&desk.misp).len(), 1, "{of}");
        assert_eq!(
            (
                desk.attribute("gone.example").distribution,
                desk.event().objects[0].distribution
            ),
            (0, 0)
        );
        desk.runs_empty();
    }
}

#[test]
fn a_file_that_becomes_closed_closes_its_object() {
    let desk = desk();
    let file = desk.file("secret.exe", b"MZ secret", &json!({"tlp": 1}));
    desk.file("open.exe", b"MZ open", &json!({"tlp": 1}));
    desk.run();
    desk.change(&file, &json!({"tlp": 3}));
    desk.run();
    let event = desk.event();
    assert_eq!(
        event
            .objects
            .iter()
            .map(|object| object.distribution)
            .collect::<Vec<_>>(),
        [0, 5]
    );
    desk.runs_empty();
}
