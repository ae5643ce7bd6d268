//! Two imports at the same time: the same alerts as by one, nothing twice, and no failure for what is there.

use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use super::{Stage, Start, difference, is_complete, report, told};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, full, of};
use crate::thehive::{self, Version};

/// Two at once, with one and with two readers each.
fn race((mut stage, start): (Stage, Start), rounds: usize) {
    let (done, _) = stage.undisturbed(&start);
    for round in 0..rounds {
        stage.reset(&start);
        stage.options = json!({"max_parallel": 1 + round % 2});
        let job = stage.job();
        let reports: Vec<Value> = thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| report(&job)));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let different = difference(&stage.state(), &done);
        assert!(
            different.is_empty(),
            "round {round}: {different:#?} {:#} {:#}",
            told(&reports[0]),
            told(&reports[1])
        );
        for report in &reports {
            assert!(is_complete(report), "round {round}: {:#}", told(report));
            let events = counts(full(report), "events");
            assert_eq!(
                (events["fetched"], events.get("failed")),
                (4, None),
                "round {round}: {report:#}"
            );
        }
        // Every change was somebody's.
        let made = |verdict: &str| {
            reports
                .iter()
                .map(|one| {
                    counts(full(one), "events")
                        .get(verdict)
                        .copied()
                        .unwrap_or(0)
                })
                .sum::<u64>()
        };
        assert!(made("created") + made("updated") >= 3, "round {round}");
        stage.completes(&done).unwrap();
    }
}

#[test]
fn two_first_imports_at_once_make_each_alert_once() {
    race(Stage::first(Version::Four), 8);
    race(Stage::first(Version::Five), 8);
}

#[test]
fn two_updates_at_once_do_what_one_does() {
    race(Stage::changed(Version::Four), 8);
    race(Stage::changed(Version::Five), 8);
}

/// While one run is held before an exchange, each in turn, another one does its whole work.
fn overtake_each((stage, start): (Stage, Start)) {
    let (done, asked) = stage.undisturbed(&start);
    let job = stage.job();
    let mut wrong = Vec::new();
    for (side, asked) in asked.iter().enumerate() {
        for (number, path) in asked.iter().enumerate() {
            stage.reset(&start);
            let (sender, receiver) = mpsc::channel();
            let (proxy, job) = (stage.sides()[side], job.clone());
            proxy.meanwhile(proxy.exchanges() + number + 1, move || {
                drop(sender.send(report(&job)))
            });
            let slow = stage.run();
            let fast = receiver.recv().unwrap();
            let place = format!("{} {path}, side {side}", number + 1);
            for (who, report) in [("slow", slow), ("fast", fast)] {
                let failed = counts(full(&report), "events").get("failed").copied();
                if !is_complete(&report) || failed.is_some() {
                    wrong.push(format!("{place}: {who}: {:#}", told(&report)));
                }
            }
            let different = difference(&stage.state(), &done);
            wrong.extend(different.into_iter().map(|one| format!("{place}: {one}")));
            wrong.extend(
                stage
                    .completes(&done)
                    .err()
                    .map(|one| format!("{place}: {one}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_first_import_that_is_overtaken_changes_nothing_more() {
    overtake_each(Stage::first(Version::Four));
    overtake_each(Stage::first(Version::Five));
}

#[test]
fn an_update_that_is_overtaken_changes_nothing_more() {
    overtake_each(Stage::changed(Version::Four));
    overtake_each(Stage::changed(Version::Five));
}

/// The run is told that there are no alerts, though another run has made all of them, or some of them in part.
#[test]
fn a_run_that_comes_second_goes_on_from_what_is_there() {
    for version in [Version::Four, Version::Five] {
        let (stage, start) = Stage::first(version);
        let (done, _) = stage.undisturbed(&start);
        let listing = |stage: &Stage| {
            // TheHive lists its observable types before.
            let what = What::Body("[]".to_owned());
            stage.thehive.fault(Fault {
                on: "/api/v1/query",
                nth: Nth::Only(2),
                what,
            });
            let report = stage.run();
            stage.thehive.heal();
            report
        };
        let report = listing(&stage);
        assert!(is_complete(&report), "{:#}", told(&report));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 4), ("unchanged", 4)]),
            "{report:#}"
        );
        stage.completes(&done).unwrap();
        part_of(&mut stage.thehive.world());
        let report = listing(&stage);
        assert!(is_complete(&report), "{:#}", told(&report));
        assert_eq!(difference(&stage.state(), &done), [""; 0]);
        let attributes = counts(full(&report), "attributes");
        assert!(
            attributes["created"] >= 4 && attributes["unchanged"] >= 4,
            "{attributes:?}"
        );
        stage.completes(&done).unwrap();
    }
}

/// What another run has written when it is half-way: every second observable is missing, and each line says so.
fn part_of(world: &mut thehive::World) {
    let mut number = 0;
    world.observables.retain(|_| {
        number += 1;
        number % 2 == 0
    });
    for alert in &mut world.alerts {
        let description = alert["description"]
            .as_str()
            .unwrap()
            .replace("complete=yes", "complete=no");
        alert["description"] = description.into();
        alert["observableCount"] = 0.into();
    }
}
