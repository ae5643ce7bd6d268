//! What ends a run before its time: signals, in the middle of whatever it does.

use std::io::Write;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cortex_misp::export::Export;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, failure, full, judged, of};

/// A stopped run has this long to leave a complete report: the one time limit that tests hold.
const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn sigterm_in_a_slow_answer_leaves_a_complete_report() {
    const LIST: &str = "/events/restSearch";
    // In the answer with the fourth event that is read by itself, or in that with all of them.
    for (on, nth) in [("/events/view/", 4), (LIST, 1)] {
        let misp = Fake::start(World::with_corpus());
        if on != LIST {
            misp.fault(Fault {
                on: LIST,
                nth: Nth::Always,
                what: What::Status(500, "{}".to_owned(), "application/json"),
            });
        }
        misp.fault(Fault {
            on,
            nth: Nth::Only(nth),
            what: What::Hang,
        });
        let config = json!({"name": ["partner"], "url": [misp.url()], "key": [key("admin")], "max_age_days": 0, "published_only": false, "max_parallel": 1});
        let job = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
        let report = terminated(Program::Import, &job, || {
            let requests = misp.requests();
            requests.iter().filter(|r| r.path.contains(on)).count() == nth
        });
        if on == LIST {
            let message = report["errorMessage"].as_str().unwrap();
            assert!(
                message.contains("34 failed (34: not reached: stopped by a signal)"),
                "{message}"
            );
            continue;
        }

        let full = full(&report);
        let message = full["message"].as_str().unwrap();
        assert!(message.starts_with("INCOMPLETE: "), "{message}");
        let events = counts(full, "events");
        // The list is read ahead of the events.
        assert_eq!(
            (events["created"], events["failed"]),
            (3, events["fetched"] - 3)
        );
        assert_eq!(full["connections"][0]["error"], "stopped by a signal");
    }
}

#[test]
fn sigterm_in_an_unanswered_write_says_not_verified() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Always,
        what: What::Hang,
    });
    let observables = json!([{"dataType": "ip", "data": "192.0.2.1", "ioc": true}, {"dataType": "ip", "data": "192.0.2.2", "ioc": false}]);
    let case = json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 2, "observables": observables});
    let config = json!({"name": ["corp"], "url": [misp.url()], "key": [key("admin")]});
    let job = json!({"dataType": "thehive:case", "data": case, "config": config});
    let report = terminated(Program::Export, &job, || {
        misp.requests()
            .iter()
            .any(|request| request.path.contains("/attributes/add"))
    });
    let full = full(&report);
    assert!(
        full["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: "),
        "{}",
        full["message"]
    );
    assert_eq!(
        counts(full, "observables"),
        of([("fetched", 2), ("failed", 1), ("skipped", 1)])
    );
    assert_eq!(
        full["ledger"]["observables"]["failed_by"],
        json!({"not verified": 1})
    );
    // The event is known to be there, so that it is named, and the case gets its tag.
    assert_eq!(full["connections"][0]["events"][0]["verdict"], "created");
    assert_eq!(report["operations"][0]["type"], "AddTagToCase");
}

#[test]
fn sigterm_while_the_event_is_made_names_it_as_not_verified() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/events/add",
        nth: Nth::Always,
        what: What::Hang,
    });
    let config = json!({"name": ["corp"], "url": [misp.url()], "key": [key("admin")]});
    let job = json!({"dataType": "thehive:case", "data": case_of(3), "config": config});
    let report = terminated(Program::Export, &job, || {
        misp.requests()
            .iter()
            .any(|request| request.path.contains("/events/add"))
    });
    let full = full(&report);
    assert_eq!(
        full["ledger"]["observables"]["failed_by"],
        json!({"not sent": 3})
    );
    let event = &full["connections"][0]["events"][0];
    assert_eq!(event["verdict"], "failed");
    assert!(
        event["reason"]
            .as_str()
            .unwrap()
            .starts_with("not verified"),
        "{event:#}"
    );
    // It may not be there: the case gets no tag that names it.
    assert_eq!(report["operations"], json!([]));
}

/// So many IOCs of a case.
fn case_of(iocs: usize) -> Value {
    let ioc =
        |n: usize| json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true});
    let observables: Vec<_> = (0..iocs).map(ioc).collect();
    json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 2, "observables": observables})
}

#[test]
fn sigterm_while_iocs_join_an_event_tells_what_is_there() {
    let misp = Fake::start(World::new());
    let job = |iocs: usize| {
        let config = json!({"name": ["corp"], "url": [misp.url()], "key": [key("admin")]});
        json!({"dataType": "thehive:case", "data": case_of(iocs), "config": config})
    };
    let first = Program::Export.report(&job(50));
    assert_eq!(
        counts(full(&first), "observables"),
        of([("fetched", 50), ("created", 50)])
    );
    misp.forget_requests();
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Only(1),
        what: What::Hang,
    });
    // One list is on its way, the rest was never sent.
    let report = terminated(Program::Export, &job(1_250), || {
        misp.requests()
            .iter()
            .any(|request| request.path.contains("/attributes/add"))
    });
    let part = full(&report);
    assert!(
        part["message"]
            .as_str()
            .unwrap()
            .contains(" of 1250 IOCs of case"),
        "{}",
        part["message"]
    );
    assert_eq!(
        counts(part, "observables"),
        of([("fetched", 1_250), ("unchanged", 50), ("failed", 1_200)])
    );
    assert_eq!(
        part["ledger"]["observables"]["failed_by"],
        json!({"not verified": 1_000, "not sent": 200})
    );
    let event = &part["connections"][0]["events"][0];
    let held = misp.world().events[0].clone();
    assert_eq!(
        (&event["uuid"], &event["id"]),
        (&json!(held.uuid), &json!(held.id.to_string()))
    );
    assert_eq!(report["operations"], first["operations"]);
    assert_eq!(
        part["connections"][0]["observables"]
            .as_array()
            .unwrap()
            .len(),
        300
    );
}

/// Nothing was answered on what the event holds now, though it is known to be there.
#[test]
fn a_refused_look_back_says_what_was_there_and_what_is_not_known() {
    let misp = Fake::start(World::new());
    let job = |iocs: usize| {
        let config = json!({"name": ["corp"], "url": [misp.url()], "key": [key("admin")]});
        json!({"dataType": "thehive:case", "data": case_of(iocs), "config": config})
    };
    for (iocs, known) in [(3, 0), (5, 3)] {
        misp.heal();
        misp.fault(Fault {
            on: "/events/view",
            nth: Nth::Always,
            what: What::Status(405, "{}".into(), "application/json"),
        });
        misp.forget_requests();
        let report = runtime::report_without_waiting::<Export>(job(iocs)).to_string();
        let report = judged(Program::Export, report.as_bytes());
        let part = full(&report);
        assert!(
            part["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE: "),
            "{report:#}"
        );
        // What refuses a look goes on doing so: it is not asked for a minute.
        let looks = misp
            .requests()
            .iter()
            .filter(|request| request.path.contains("/events/view"))
            .count();
        assert!(looks <= 6, "{looks} looks");
        let (iocs, known) = (iocs as u64, known as u64);
        let expected = [
            ("fetched", iocs),
            ("unchanged", known),
            ("failed", iocs - known),
        ];
        let expected = expected.into_iter().filter(|(_, number)| *number > 0);
        assert_eq!(
            counts(part, "observables"),
            expected
                .map(|(name, number)| (name.to_owned(), number))
                .collect()
        );
        assert_eq!(
            part["ledger"]["observables"]["failed_by"],
            json!({"not verified": iocs - known})
        );
        assert_eq!(
            part["connections"][0]["events"][0]["uuid"],
            json!(misp.world().events[0].uuid)
        );
        assert!(
            part["connections"][0]["events"][0]
                .get("attributes")
                .is_none(),
            "{report:#}"
        );
        assert_eq!(report["operations"][0]["type"], "AddTagToCase");
    }
}

#[test]
fn sigterm_at_the_first_of_two_connections_tells_of_both() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/events/restSearch",
        nth: Nth::Always,
        what: What::Hang,
    });
    let observables = json!([{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]);
    let case = json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 2, "observables": observables});
    let config = json!({"name": ["a", "b"], "url": [misp.url(), misp.url()], "key": [key("admin"), key("sync")], "purpose": ["ExportOnly"]});
    let job = json!({"dataType": "thehive:case", "data": case, "config": config});
    let report = terminated(Program::Export, &job, || !misp.requests().is_empty());
    let message = failure(&report);
    assert!(message.starts_with("stopped by a signal"), "{message}");
    assert!(
        message.ends_with("observables 2 fetched: 2 failed (2: not reached: stopped by a signal)"),
        "{message}"
    );
}

#[test]
fn sigterm_before_the_job_has_come_is_a_failure_report() {
    let mut child = Program::Import
        .command()
        .arg("/nonexistent")
        .spawn()
        .unwrap();
    // Held open until the end: the end of the input would be another reason to stop.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{").unwrap();
    until(|| listens(&child));
    assert_eq!(
        failure(&judged(Program::Import, &end(child))),
        "stopped by a signal"
    );
}

/// True once the program would not die of a signal any more: the system lists the signals that it handles.
fn listens(child: &Child) -> bool {
    const SIGTERM: u64 = 1 << 14;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & SIGTERM != 0
}

fn until(reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the program never came there"
        );
        thread::yield_now();
    }
}

/// Starts a program, waits until the fake sees what it waits for, and stops it.
fn terminated(program: Program, job: &Value, reached: impl Fn() -> bool) -> Value {
    let mut child = program.command().arg("/nonexistent").spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.to_string().as_bytes())
        .unwrap();
    until(reached);
    judged(program, &end(child))
}

fn end(child: Child) -> Vec<u8> {
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
    output.stdout
}
