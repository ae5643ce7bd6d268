//! A case that its markings refuse, and that was exported before: its event stays as it is, and that is said.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain};
use crate::http_fake::{Fault, Nth, What};
use crate::program::failure;

const WORDS: &str = "TLP is higher than allowed.";

/// The job of a case that is RED now, with the gate as it is by default; `tlp` is what the job itself says.
fn refused(desk: &Desk, tlp: u64) -> Value {
    let mut job = desk.job();
    job["tlp"] = json!(tlp);
    job["config"]["check_tlp"] = json!(null);
    desk.thehive.world().cases[0]["tlp"] = json!(3);
    desk.thehive.world().cases[0]
        .as_object_mut()
        .unwrap()
        .shift_remove("tlpLabel");
    let report = desk.run(&job);
    desk.wrote_nothing();
    json!(failure(&report))
}

#[test]
fn a_case_that_became_red_and_is_refused_names_its_event_that_stays_open() {
    for (tlp, desk) in [(3, Desk::four()), (2, Desk::four())] {
        desk.add_domains(1);
        desk.run(&desk.job_with("distribution", json!(1)));
        desk.misp.world().events[0].published = true;
        let before = desk.event();
        let told = refused(&desk, tlp);
        let told = told.as_str().unwrap();
        let link = format!("/events/view/{}", before.uuid);
        for said in [
            WORDS,
            &link,
            "stays as it is, visible to this community only, published",
            "\"max_tlp\"",
        ] {
            assert!(told.contains(said), "{tlp}: {said}: {told}");
        }
        assert!(
            told.starts_with(WORDS)
                && !told.contains("host-0.example")
                && !told.contains("Phishing wave"),
            "{told}"
        );
        assert_eq!(changes(&before, &desk.event()), [""; 0]);
    }
}

#[test]
fn a_refused_case_that_was_never_exported_says_no_more_than_cortex_does() {
    for tlp in [2, 3] {
        let desk = Desk::five();
        desk.add(&domain("secret.example"));
        assert_eq!(refused(&desk, tlp), WORDS);
        // Nor does a case that TheHive does not show to the job's organisation.
        let mut job = desk.job();
        (job["tlp"], job["data"]["_id"]) = (json!(3), json!("~424242"));
        job["config"]["check_tlp"] = json!(null);
        assert_eq!(failure(&desk.run(&job)), WORDS);
        assert!(desk.misp.requests().is_empty());
    }
}

#[test]
fn where_the_event_of_a_refused_case_cannot_be_looked_for_that_is_said() {
    let desk = Desk::four();
    desk.add_domains(1);
    desk.export();
    desk.misp.fault(Fault {
        on: "/events",
        nth: Nth::Always,
        what: What::Status(403, "{}".into(), "application/json"),
    });
    let told = refused(&desk, 3);
    assert!(
        told.as_str().unwrap().contains("could not be asked"),
        "{told}"
    );
}
