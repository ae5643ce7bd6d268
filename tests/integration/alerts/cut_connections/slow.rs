//! Servers that take a request and never answer: the time limit of a read ends the waiting, and what was written all the
//! same is found.

use std::thread;

use serde_json::json;

use super::{Stage, Start, lies};
use crate::http_fake::{Fault, Nth, What};
use crate::thehive::Version;

/// One request of each kind is held; each at a stage of its own, all at once.
fn hold_each((_, start): (Stage, Start), misp: &[&'static str], thehive: &[(&'static str, usize)]) {
    let hold = |on: &'static str, nth: usize| Fault {
        on,
        nth: Nth::Only(nth),
        what: What::Hang,
    };
    let faults = misp
        .iter()
        .map(|on| (0, hold(on, 1)))
        .chain(thehive.iter().map(|(on, nth)| (1, hold(on, *nth))));
    let wrong: Vec<String> = thread::scope(|scope| {
        let start = &start;
        let held = |(side, fault): (usize, Fault)| {
            move || {
                let mut stage = Stage::new(start);
                let (done, _) = stage.undisturbed(start);
                stage.reset(start);
                let before = stage.state();
                stage.options = json!({"max_parallel": 1, "read_timeout": 1});
                let place = format!("{fault:?}");
                if side == 0 {
                    stage.misp.fault(fault)
                } else {
                    stage.thehive.fault(fault)
                }
                let report = stage.run();
                let struck = if side == 0 {
                    stage.misp.requests()
                } else {
                    stage.thehive.requests()
                };
                assert!(
                    struck.iter().any(|one| one.status == 0),
                    "{place}: nothing was held"
                );
                stage.misp.heal();
                stage.thehive.heal();
                stage.options = json!({"max_parallel": 1});
                let mut wrong = lies(&report, &before, &stage.state(), &done);
                wrong.extend(stage.completes(&done).err());
                wrong
                    .into_iter()
                    .map(|one| format!("{place}: {one}"))
                    .collect::<Vec<_>>()
            }
        };
        let mut threads = Vec::new();
        for fault in faults {
            threads.push(scope.spawn(held(fault)));
        }
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const OF_MISP: [&str; 4] = [
    "/events/index",
    "/events/restSearch",
    "/attributes/restSearch",
    "/warninglists",
];

#[test]
fn a_first_import_survives_servers_that_do_not_answer() {
    let of_thehive = [
        ("/api/v1/user/current", 1),
        ("/api/v1/query", 2),
        ("/api/v1/alert", 1),
        ("/api/v1/alert", 2),
    ];
    hold_each(Stage::first(Version::Five), &OF_MISP, &of_thehive);
}

#[test]
fn an_update_survives_servers_that_do_not_answer() {
    let of_thehive = [
        ("/artifact", 1),
        ("/api/v1/observable/", 1),
        ("/api/v1/alert/", 2),
        ("/api/v1/query", 5),
    ];
    hold_each(Stage::changed(Version::Four), &OF_MISP, &of_thehive);
}
