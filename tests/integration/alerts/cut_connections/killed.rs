//! The real program killed in the middle of an exchange, and stopped in the middle of a write.

use std::io::Write;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Stage, Start, lies};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{Program, counts, full, judged};
use crate::thehive::Version;

/// A stopped run has this long to leave a complete report.
const LIMIT: Duration = Duration::from_secs(2);

fn started(job: &Value) -> Child {
    let mut child = Program::Import
        .command()
        .arg("/nonexistent")
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.to_string().as_bytes())
        .unwrap();
    child
}

fn until(reached: impl Fn() -> bool, place: &str) {
    let started = Instant::now();
    while !reached() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{place}: it never came there"
        );
        thread::yield_now();
    }
}

/// Kills the program while the answer to one exchange is held, at ten places with each server: what was asked is done, and
/// nobody heard of it.
fn kill_at_ten((stage, start): (Stage, Start)) {
    const PLACES: usize = 10;
    let (done, asked) = stage.undisturbed(&start);
    let mut began = 0;
    for (side, asked) in asked.iter().enumerate() {
        for tenth in 0..PLACES {
            let at = 1 + tenth * (asked.len() - 1) / (PLACES - 1);
            let place = format!(
                "killed at {at} of {}, side {side}, {}",
                asked.len(),
                asked[at - 1]
            );
            stage.reset(&start);
            let before = stage.state();
            let hold = Fault {
                on: "",
                nth: Nth::Only(at),
                what: What::Hang,
            };
            if side == 0 {
                stage.misp.fault(hold)
            } else {
                stage.thehive.fault(hold)
            }
            let mut child = started(&stage.job());
            let number = || {
                if side == 0 {
                    stage.misp.requests().len()
                } else {
                    stage.thehive.requests().len()
                }
            };
            until(|| number() >= at, &place);
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(
                output.stdout.is_empty() && !output.status.success(),
                "{place}"
            );
            stage.misp.heal();
            stage.thehive.heal();
            let now = stage.state();
            began += usize::from(now != before && now != done);
            assert_eq!(stage.completes(&done), Ok(()), "{place}");
        }
    }
    assert!(began >= 3, "{began} kills left half an import");
}

#[test]
fn after_a_kill_the_next_run_completes_a_first_import() {
    kill_at_ten(Stage::first(Version::Five));
}

#[test]
fn after_a_kill_the_next_run_completes_an_update() {
    kill_at_ten(Stage::changed(Version::Four));
}

/// Stops the program while the answer to a write is held that was done; gives its report.
fn stopped(stage: &Stage, on: &'static str) -> Value {
    let before = stage.state();
    stage.thehive.fault(Fault {
        on,
        nth: Nth::Only(1),
        what: What::Hang,
    });
    let job = stage.job();
    let child = started(&job);
    let is_struck = || {
        stage
            .thehive
            .requests()
            .iter()
            .any(|one| one.method != "GET" && one.path.contains(on))
    };
    until(|| is_struck() && stage.state() != before, on);
    let (sender, receiver) = mpsc::channel();
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver
        .recv_timeout(LIMIT)
        .expect("a report within two seconds")
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    stage.thehive.heal();
    judged(Program::Import, &output.stdout)
}

#[test]
fn sigterm_in_an_unanswered_write_says_not_verified() {
    let writes = |version: Version| match version {
        Version::Four => ("/api/alert", "/artifact"),
        Version::Five => ("/api/v1/alert", "/observable"),
    };
    for version in [Version::Four, Version::Five] {
        let (creates, adds) = writes(version);
        for ((stage, start), on) in [
            (Stage::first(version), creates),
            (Stage::changed(version), adds),
        ] {
            let (done, _) = stage.undisturbed(&start);
            stage.reset(&start);
            let before = stage.state();
            let report = stopped(&stage, on);
            let told = full(&report);
            assert!(
                told["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("INCOMPLETE: "),
                "{told:#}"
            );
            assert_eq!(told["connections"][0]["error"], "stopped by a signal");
            let failed =
                json!({"not verified: stopped by a signal": counts(told, "attributes")["failed"]});
            assert_eq!(
                told["ledger"]["attributes"]["failed_by"], failed,
                "{version:?} {on}: {told:#}"
            );
            assert_eq!(
                lies(&report, &before, &stage.state(), &done),
                [""; 0],
                "{version:?} {on}"
            );
            assert_eq!(stage.completes(&done), Ok(()), "{version:?} {on}");
        }
    }
}
