//! What an export says of an event that it cannot take back: one that another MISP manages, and one that was published.

use serde_json::json;

use super::desk::Desk;
use crate::program::full;

/// A case of three IOCs, exported for the community.
fn shared() -> (Desk, serde_json::Value) {
    let desk = Desk::five();
    desk.add_domains(3);
    let job = desk.job_with("distribution", json!(1));
    desk.run(&job);
    (desk, job)
}

fn becomes_red(desk: &Desk) {
    let mut world = desk.thehive.world();
    let case = world.cases[0].as_object_mut().unwrap();
    case.shift_remove("tlpLabel");
    case.insert("tlp".to_owned(), json!(4));
}

#[test]
fn what_is_not_done_to_an_event_that_is_managed_elsewhere_is_in_the_headline() {
    let (desk, job) = shared();
    desk.misp.world().events[0].locked = true;
    becomes_red(&desk);
    desk.flag(0, false);
    let report = desk.run(&job);
    desk.wrote_nothing();
    let full = full(&report);
    let message = full["message"].as_str().unwrap();
    assert!(message.starts_with("INCOMPLETE: "), "{message}");
    let told = full["connections"][0]["failures"].to_string();
    for said in [
        "what became RED is still open to others",
        "1 attribute that is no IOC any more stays as it was",
    ] {
        assert!(told.contains(said), "{said}: {told}");
        assert!(message.contains("change it there"), "{message}");
    }
}

#[test]
fn what_became_red_after_its_publication_may_be_known_already() {
    let (desk, job) = shared();
    desk.misp.world().events[0].published = true;
    desk.misp.world().events[0].publish_timestamp = 1_795_297_500;
    becomes_red(&desk);
    let report = desk.run(&job);
    assert_eq!(desk.event().distribution, 0);
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message
            .contains("published before the case became RED or AMBER+STRICT: whoever it was shared with may have it"),
        "{message}"
    );
    // So may a single one.
    let (desk, job) = shared();
    desk.misp.world().events[0].publish_timestamp = 1_795_297_500;
    desk.set(0, "tlp", json!(4));
    let report = desk.run(&job);
    assert!(
        full(&report)["message"]
            .to_string()
            .contains("published before some of it became RED"),
        "{report:#}"
    );
    // Of one that was never out nothing of the kind is said.
    let (desk, job) = shared();
    becomes_red(&desk);
    let report = desk.run(&job);
    assert!(
        !full(&report)["message"].to_string().contains("may have it"),
        "{report:#}"
    );
}
