//! Two exports of one case at the same time: one event, nothing twice, and no failure for what is there.

use std::thread;

use serde_json::{Value, json};

use super::{Stage, is_complete, report};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{World, writes};
use crate::program::{counts, full, of};

/// The first list that a run asks for is empty, though another run has made the event with a part of the attributes.
#[test]
fn a_run_that_comes_second_goes_on_from_what_is_there() {
    for answer in [None, Some(404), Some(500), Some(403)] {
        let stage = Stage::new();
        let (done, _) = stage.undisturbed(&World::new());
        let start = World {
            duplicate_add: answer,
            ..World::new()
        };
        stage.reset(&start);
        let whole = std::mem::take(&mut stage.thehive.world().observables);
        for observable in super::observables().into_iter().skip(4) {
            stage
                .thehive
                .world()
                .add_observable(&stage.case, &observable);
        }
        assert!(is_complete(&stage.run()));
        stage.thehive.world().observables = whole;
        stage.misp.forget_requests();
        stage.misp.fault(Fault {
            on: "/events/restSearch",
            nth: Nth::Only(1),
            what: What::Body("{\"response\": []}".into()),
        });
        let report = stage.run();
        stage.misp.heal();
        assert!(is_complete(&report), "{answer:?}: {report:#}");
        assert_eq!(stage.state(), done, "{answer:?}");
        // What the other run made is not told as made by this one.
        let expected = of([("fetched", 17), ("created", 4), ("unchanged", 13)]);
        assert_eq!(
            counts(full(&report), "observables"),
            expected,
            "{answer:?}: {report:#}"
        );
        // By a 500 nobody knows who made the event.
        let verdict = if answer == Some(500) {
            "created"
        } else {
            "updated"
        };
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["verdict"],
            verdict,
            "{answer:?}"
        );
        let sent = writes(&stage.misp);
        assert!(
            sent.iter().any(|path| path.starts_with("/events/add")),
            "{answer:?}: {sent:?}"
        );
        stage.completes(&done, &format!("{answer:?}"));
    }
}

/// The other run has made all of it.
#[test]
fn a_run_that_comes_too_late_changes_nothing() {
    for answer in [404, 500, 403] {
        let stage = Stage::new();
        let (done, _) = stage.undisturbed(&World::new());
        stage.misp.world().duplicate_add = Some(answer);
        stage.misp.forget_requests();
        stage.misp.fault(Fault {
            on: "/events/restSearch",
            nth: Nth::Only(1),
            what: What::Body("{\"response\": []}".into()),
        });
        let report = stage.run();
        stage.misp.heal();
        let expected = of([("fetched", 17), ("unchanged", 17)]);
        assert_eq!(
            counts(full(&report), "observables"),
            expected,
            "{answer}: {report:#}"
        );
        let verdict = if answer == 500 {
            "created"
        } else {
            "unchanged"
        };
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["verdict"],
            verdict,
            "{answer}"
        );
        assert!(is_complete(&report));
        assert_eq!(
            (stage.state() == done, writes(&stage.misp)),
            (true, vec!["/events/add/metadata:1".to_owned()])
        );
        stage.completes(&done, &answer.to_string());
    }
}

#[test]
fn two_runs_at_once_make_one_event() {
    let stage = Stage::new();
    let (done, _) = stage.undisturbed(&World::new());
    for round in 0..12 {
        let answer = [404, 500, 403][round % 3];
        stage.reset(&World {
            duplicate_add: Some(answer),
            ..World::new()
        });
        let job = stage.job();
        let reports: Vec<Value> = thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| report(&job)));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(stage.state(), done, "round {round}");
        let mut created = 0;
        for report in &reports {
            assert!(is_complete(report), "round {round}: {report:#}");
            let counts = counts(full(report), "observables");
            assert_eq!(
                (counts["fetched"], counts.get("failed")),
                (17, None),
                "round {round}"
            );
            created += counts.get("created").unwrap_or(&0);
        }
        assert!(created >= 17, "round {round}: {created} created");
        stage.completes(&done, &format!("round {round}"));
    }
}

#[test]
fn two_runs_at_once_over_different_halves_of_a_case_lose_nothing() {
    let stage = Stage::new();
    let (done, _) = stage.undisturbed(&World::new());
    for round in 0..6 {
        stage.reset(&World::new());
        let mut jobs = [stage.job(), stage.job()];
        for (half, job) in jobs.iter_mut().enumerate() {
            let iocs: Vec<Value> = super::observables()
                .into_iter()
                .enumerate()
                .filter(|(n, _)| *n > 11 || n % 2 == half)
                .map(|(_, one)| one)
                .collect();
            let case = stage.thehive.world().cases[0].clone();
            job["data"] = case;
            job["data"]["observables"] = json!(iocs);
        }
        let reports: Vec<Value> = thread::scope(|scope| {
            let threads = jobs.each_ref().map(|job| scope.spawn(|| report(job)));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            reports.iter().all(is_complete),
            "round {round}: {reports:#?}"
        );
        assert_eq!(stage.state(), done, "round {round}");
    }
}
