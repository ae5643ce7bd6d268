//! What starts an import, and what only looks like it.

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use super::{click, message, run};
use crate::misp::{Fake, World};
use crate::program::{Program, counts, failure, full, judged, of};

/// An import in this process; the fakes take no writes here either, since this version writes nothing.
fn import(job: &Value) -> Value {
    judged(
        Program::Import,
        runtime::report_without_waiting::<Import>(job.clone())
            .to_string()
            .as_bytes(),
    )
}

fn open(misp: &Fake, data: &str) -> Value {
    let mut job = click(misp, "other", data);
    job["config"].as_object_mut().unwrap().extend([
        ("max_age_days".into(), 0.into()),
        ("max_attributes".into(), 0.into()),
    ]);
    job
}

#[test]
fn one_event_is_imported_by_its_uuid_or_its_address() {
    let misp = Fake::start(World::with_corpus());
    let uuid = misp.world().event("25").unwrap().uuid.clone();
    let live = misp.world().event("25").unwrap().live().count() as u64;
    for data in [
        format!("misp:event:{uuid}"),
        format!("{}/events/view/{uuid}", misp.url()),
        format!("{}/events/view/25/", misp.url()),
        format!("{}/events/25#tags", misp.url()),
    ] {
        let report = import(&open(&misp, &data));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)]),
            "{data}"
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", live), ("created", live)])
        );
        assert_eq!(full(&report)["alerts"][0]["sourceRef"], uuid.as_str());
    }
    let mut narrowed = open(&misp, "misp:sync");
    narrowed["parameters"] = json!({"event": uuid, "since": "all"});
    assert_eq!(
        full(&import(&narrowed))["alerts"][0]["sourceRef"],
        uuid.as_str()
    );
    let mut filtered = open(&misp, &format!("misp:event:{uuid}"));
    filtered["config"]["exclude_tags"] = json!(["tlp:green"]);
    assert_eq!(
        full(&import(&filtered))["ledger"]["events"]["skipped_by"],
        json!({"tag tlp:green is excluded": 1})
    );
}

#[test]
fn an_event_that_is_not_there_is_told_so() {
    let misp = Fake::start(World::with_corpus());
    for data in [
        "misp:event:00000000-0000-4000-8000-000000000000".to_owned(),
        format!("{}/events/view/999", misp.url()),
    ] {
        let report = import(&open(&misp, &data));
        assert_eq!(counts(full(&report), "events"), of([]));
        assert!(super::warnings(&report).contains("is not there, or not shown to us"));
    }
}

#[test]
fn a_limit_narrows_an_import() {
    let misp = Fake::start(World::with_corpus());
    let mut job = open(&misp, "misp:sync");
    job["parameters"] = json!({"since": "all", "limit": "3"});
    let report = import(&job);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 34), ("created", 3), ("skipped", 31)])
    );
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"limit of this job": 31})
    );
}

#[test]
fn what_only_looks_like_a_command_is_an_error_and_no_look_up() {
    let misp = Fake::start(World::with_corpus());
    let page = |path: &str| format!("{}{path}", misp.url());
    for data in [
        "misp:synchronise",
        "misp:sync:",
        "MISP:sync",
        &page("/events/index"),
        "https://other.example/events/view/25",
    ] {
        let report = run(&[&misp], &click(&misp, "other", data));
        assert!(
            failure(&report).contains("commands are misp:sync, "),
            "{}",
            failure(&report)
        );
        assert!(misp.requests().is_empty());
    }
}

#[test]
fn only_the_type_other_carries_commands() {
    let misp = Fake::start(World::with_corpus());
    let address = format!("{}/events/view/25", misp.url());
    for (data_type, data) in [
        ("url", address.as_str()),
        ("domain", "misp:sync"),
        ("filename", "misp:event:x"),
    ] {
        let report = run(&[&misp], &click(&misp, data_type, data));
        let told = message(&report);
        assert!(
            told.starts_with(&format!(
                "no event knows {data}. It is no command: commands are misp:sync, "
            )),
            "{told}"
        );
    }
}

#[test]
fn commands_that_name_nothing_are_errors_before_anything_is_asked() {
    let misp = Fake::start(World::with_corpus());
    for (data, told) in [
        ("misp:sync:nobody", "the names are \"partner\""),
        ("misp:event:", "misp:event:<uuid>"),
        ("misp:event:25", "misp:event:<uuid>"),
    ] {
        let report = run(&[&misp], &click(&misp, "other", data));
        assert!(failure(&report).contains(told), "{}", failure(&report));
        assert!(misp.requests().is_empty());
    }
}
