//! The same with the real program, whose pauses take their time; and the program killed in the middle of an exchange.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::{PLACES, Stage, changed, is_complete, judge};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::World;
use crate::program::Program;

/// Ten exchanges, spread over the run and the places; each at a stage of its own, all at once.
#[test]
fn the_program_survives_cuts_all_over_a_first_export() {
    let completed: Vec<bool> = thread::scope(|scope| {
        let cut = |tenth: usize| {
            move || {
                let (stage, start) = (Stage::new(), World::new());
                let (done, number) = stage.undisturbed(&start);
                let (at, how) = (1 + tenth * number / 10, PLACES[tenth % 3]);
                let told = format!("exchange {at} of {number}, {how:?}");
                stage.reset(&start);
                let before = stage.state();
                stage.to_misp.cut(stage.to_misp.exchanges() + at, how);
                let report = Program::Export.report(&stage.job());
                stage.to_misp.heal();
                judge(&report, &before, &stage.state(), &done, &told);
                stage.completes(&done, &told);
                is_complete(&report)
            }
        };
        let threads = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|tenth| scope.spawn(cut(tenth)));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        completed.iter().filter(|completed| **completed).count() >= 3,
        "{completed:?}"
    );
}

/// Kills the program while the answer to each exchange is held: MISP has done what was asked, and nobody heard of it.
fn kill_at_each(stage: &Stage, start: &World) {
    let (done, number) = stage.undisturbed(start);
    let mut began = 0;
    for at in 1..=number {
        let told = format!("killed at exchange {at} of {number}");
        stage.reset(start);
        let before = stage.state();
        stage.misp.fault(Fault {
            on: "",
            nth: Nth::Only(at),
            what: What::Hang,
        });
        let mut child = Program::Export
            .command()
            .arg("/nonexistent")
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stage.job().to_string().as_bytes())
            .unwrap();
        let started = Instant::now();
        while stage.misp.requests().len() < at {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{told}: it never came there"
            );
            thread::yield_now();
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.stdout.is_empty() && !output.status.success(),
            "{told}"
        );
        stage.misp.heal();
        let now = stage.state();
        began += usize::from(now != before && now != done);
        stage.completes(&done, &told);
    }
    assert!(began >= 1, "no kill left half an event");
}

#[test]
fn after_a_kill_the_next_run_completes_a_first_export() {
    kill_at_each(&Stage::new(), &World::new());
}

#[test]
fn after_a_kill_the_next_run_completes_a_changing_export() {
    let (stage, start) = changed(None);
    kill_at_each(&stage, &start);
}

/// The program dies while MISP still stores its list: the next run meets a MISP that is at it, and waits.
#[test]
fn after_a_kill_a_misp_that_goes_on_writing_is_waited_for() {
    let (stage, start) = (
        Stage::new(),
        World {
            slow_add: Some(3),
            ..World::new()
        },
    );
    let (done, _) = stage.undisturbed(&start);
    stage.reset(&start);
    // The list is half stored and its connection broken; what comes next is held, and the program killed.
    stage.misp.fault(Fault {
        on: "/events/view",
        nth: Nth::Only(1),
        what: What::Hang,
    });
    let mut child = Program::Export
        .command()
        .arg("/nonexistent")
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stage.job().to_string().as_bytes())
        .unwrap();
    let started = Instant::now();
    while !stage
        .misp
        .requests()
        .iter()
        .any(|request| request.path.starts_with("/events/view"))
    {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "it never came there"
        );
        thread::yield_now();
    }
    child.kill().unwrap();
    drop(child.wait());
    stage.misp.heal();
    assert!(!stage.misp.world().pending.is_empty() && stage.state() != done);
    stage.completes(&done, "killed while MISP stores the list");
}
