//! One connection that is refused, one that hangs and one that is good: each has its part.

use std::net::TcpListener;
use std::time::Duration;

use cortex_misp::export::Export;
use cortex_misp::import::Import;
use cortex_misp::runtime::report_with_clock;
use cortex_misp::time::Clock;
use serde_json::{Value, json};

use crate::alerts::writing;
use crate::desk::Desk;
use crate::misp::key;
use crate::program::{Program, counts, full, judged, of};
use crate::thehive::World;

/// What hangs has this long.
fn soon(_: Clock) -> Clock {
    Clock::start_with_limit(Some(Duration::from_secs(6)))
}

/// A port where nothing listens, and one where everybody is let in and nobody is answered.
fn bad() -> (String, TcpListener) {
    let refused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    (
        format!("http://{refused}"),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    )
}

/// The job with two bad connections before its good one.
fn beside_bad_ones(mut job: Value, refused: &str, hanging: &TcpListener) -> Value {
    let config = &mut job["config"];
    let good = config["url"][0].clone();
    config["name"] = json!(["refused", "hanging", "good"]);
    config["url"] = json!([
        refused,
        format!("http://{}", hanging.local_addr().unwrap()),
        good
    ]);
    config["key"] = json!([key("admin"), key("admin"), key("admin")]);
    config["purpose"] = json!(["ImportAndExport"]);
    job
}

fn errors(report: &Value) -> Vec<(&str, &str)> {
    let parts = full(report)["connections"].as_array().unwrap();
    parts
        .iter()
        .map(|part| {
            (
                part["name"].as_str().unwrap(),
                part["error"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

fn check(report: &Value) {
    let [(_, refused), (_, hanging), (_, good)] = errors(report).try_into().unwrap();
    assert!(refused.contains("nothing listens there"), "{refused}");
    assert!(
        hanging.contains("no answer before the deadline of the run"),
        "{hanging}"
    );
    assert_eq!(good, "");
    let names: Vec<_> = errors(report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["refused", "hanging", "good"]);
    let message = full(report)["message"].as_str().unwrap();
    assert!(
        message.starts_with("INCOMPLETE: ") && message.contains("refused: "),
        "{message}"
    );
    assert!(message.contains("hanging: "), "{message}");
}

#[test]
fn an_import_from_the_good_one_is_done_in_time() {
    for desk in writing::desk::Desk::small(2) {
        let (refused, hanging) = bad();
        let job = beside_bad_ones(desk.job(), &refused, &hanging);
        let report = judged(
            Program::Import,
            report_with_clock::<Import>(job, soon)
                .to_string()
                .as_bytes(),
        );
        check(&report);
        assert_eq!(
            counts(&full(&report)["connections"][2], "events"),
            of([("fetched", 2), ("created", 2)])
        );
        assert_eq!(desk.thehive.world().alerts.len(), 2);
    }
}

#[test]
fn an_export_to_the_good_one_is_done_in_time() {
    let desk = Desk::new(World::five(), &json!({}));
    desk.ioc("domain", "evil.example", &json!({}));
    let (refused, hanging) = bad();
    let job = beside_bad_ones(desk.job(), &refused, &hanging);
    let report = judged(
        Program::Export,
        report_with_clock::<Export>(job, soon)
            .to_string()
            .as_bytes(),
    );
    check(&report);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 1), ("failed", 2)])
    );
    assert_eq!(desk.event().attributes.len(), 1);
    // Only the good one holds the event.
    assert_eq!(report["operations"].as_array().unwrap().len(), 1);
}

#[test]
fn a_run_fails_only_if_every_connection_does() {
    let desk = Desk::new(World::four(), &json!({}));
    desk.ioc("domain", "evil.example", &json!({}));
    let (refused, hanging) = bad();
    let mut job = beside_bad_ones(desk.job(), &refused, &hanging);
    job["config"]["url"][2] = json!(refused);
    let report = judged(
        Program::Export,
        report_with_clock::<Export>(job, soon)
            .to_string()
            .as_bytes(),
    );
    assert_eq!(report["success"], false);
    let message = report["errorMessage"].as_str().unwrap();
    for part in ["refused: ", "hanging: ", "good: ", "Ledger: "] {
        assert!(message.contains(part), "{message}");
    }
}
