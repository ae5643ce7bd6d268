//! What a MISP may answer to an export, and what happens meanwhile: each is told in words that an analyst understands, and
//! nothing is said to be there that is not.

mod tagging;

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Attribute, Fake, Meanwhile, World, key, writes};
use crate::program::{Program, counts, failure, full, judged, of, search};

fn job(misp: &Fake, user: &str, observables: Value) -> Value {
    json!({
        "dataType": "thehive:case",
        "data": {
            "_id": "~7", "caseId": 7, "title": "Phishing wave", "createdAt": 1_795_000_000_000_i64,
            "startDate": 1_795_000_000_000_i64, "tlp": 2, "pap": 2, "observables": observables,
        },
        "config": {"name": ["corp"], "url": [misp.url()], "key": [key(user)], "instance": "test.example"},
    })
}

fn domains(number: usize) -> Value {
    (0..number)
        .map(|n| json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true, "tlp": 2}))
        .collect()
}

fn file() -> Value {
    let part = |data_type: &str, data: &str| json!({"dataType": data_type, "data": data, "ioc": true, "tlp": 2, "tags": ["misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:5e6f7a8b-0000-4000-8000-000000000000\""]});
    json!([
        part("filename", "invoice.exe"),
        part("hash", &"5".repeat(64)),
        part("hash", &"6".repeat(32))
    ])
}

/// A run in this process, judged like one of the program.
fn run(job: &Value) -> Value {
    let report =
        cortex_misp::runtime::report_without_waiting::<cortex_misp::export::Export>(job.clone());
    let text = report.to_string();
    search(job, &text);
    judged(Program::Export, text.as_bytes())
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

/// Verdict and reason of each observable.
fn lines(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = full(report)["connections"][0]["observables"]
        .as_array()
        .unwrap();
    lines
        .iter()
        .map(|line| (text(&line["verdict"]), text(&line["reason"])))
        .collect()
}

fn line(verdict: &str, reason: &str) -> (String, String) {
    (verdict.to_owned(), reason.to_owned())
}

fn warnings(report: &Value) -> Vec<String> {
    let list = full(report)["connections"][0]["warnings"].as_array();
    list.into_iter()
        .flatten()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect()
}

fn values(misp: &Fake) -> Vec<String> {
    let world = misp.world();
    world
        .events
        .iter()
        .flat_map(|event| event.live().map(|one| one.value.clone()))
        .collect()
}

fn meanwhile(misp: &Fake, before: &'static str, change: fn(&mut World)) {
    misp.world().meanwhile = Some(Meanwhile { before, change });
}

fn always(misp: &Fake, on: &'static str, what: What) {
    misp.fault(Fault {
        on,
        nth: Nth::Always,
        what,
    });
}

/// Nothing is written by a run that finds all as it should be.
fn writes_nothing(misp: &Fake, job: &Value) -> Value {
    misp.forget_requests();
    let report = run(job);
    assert_eq!(writes(misp), [""; 0], "{report:#}");
    report
}

#[test]
fn what_misp_drops_in_silence_is_lost_and_said_to_be() {
    let misp = Fake::start(World {
        dropped: vec!["host-1.example".into(), "6".repeat(32)],
        ..World::new()
    });
    let mut iocs = domains(3);
    iocs.as_array_mut()
        .unwrap()
        .extend(file().as_array().unwrap().clone());
    let report = run(&job(&misp, "admin", iocs));
    let lost = line(
        "failed",
        "lost: MISP took it without an error and does not hold it",
    );
    let created = line("created", "");
    assert_eq!(
        lines(&report),
        [&created, &lost, &created, &created, &created, &lost].map(Clone::clone)
    );
    assert!(
        message(&report).starts_with("INCOMPLETE: Exported 4 of 6 IOCs"),
        "{}",
        message(&report)
    );
    assert!(
        message(&report).contains("host-1.example (domain): lost"),
        "{}",
        message(&report)
    );
    assert_eq!(
        values(&misp),
        [
            "invoice.exe".to_owned(),
            "5".repeat(64),
            "host-0.example".into(),
            "host-2.example".into()
        ]
    );
}

#[test]
fn what_misp_refuses_is_named_and_the_rest_arrives() {
    let refused = [(
        "host-1.example".to_owned(),
        "Blocked by the administrator.".to_owned(),
    )];
    let misp = Fake::start(World {
        refused: refused.into(),
        ..World::new()
    });
    let reason = "refused by MISP: Blocked by the administrator.";
    let report = run(&job(&misp, "admin", domains(3)));
    assert_eq!(
        lines(&report),
        [
            line("created", ""),
            line("failed", reason),
            line("created", "")
        ]
    );
    assert_eq!(
        full(&report)["ledger"]["observables"]["failed_by"],
        json!({reason: 1})
    );
    assert!(
        message(&report).contains(&format!("host-1.example (domain): {reason}")),
        "{}",
        message(&report)
    );
    assert_eq!(values(&misp), ["host-0.example", "host-2.example"]);
    let again = run(&job(&misp, "admin", domains(3)));
    assert_eq!(
        lines(&again),
        [
            line("unchanged", ""),
            line("failed", reason),
            line("unchanged", "")
        ]
    );
}

#[test]
fn one_refused_attribute_does_not_cost_the_others_of_its_object() {
    let refused = [("6".repeat(32), "Blocked by the administrator.".to_owned())];
    let misp = Fake::start(World {
        refused: refused.into(),
        ..World::new()
    });
    let report = run(&job(&misp, "admin", file()));
    let lines = lines(&report);
    assert_eq!(lines[..2], [line("created", ""), line("created", "")]);
    assert!(
        lines[2].0 == "failed" && lines[2].1.contains("Blocked by the administrator."),
        "{lines:?}"
    );
    assert_eq!(values(&misp), ["invoice.exe".to_owned(), "5".repeat(64)]);
    assert_eq!(misp.world().events[0].objects.len(), 1);
    misp.world().refused.clear();
    let again = run(&job(&misp, "admin", file()));
    assert_eq!(
        counts(full(&again), "observables"),
        of([("fetched", 3), ("created", 1), ("unchanged", 2)])
    );
    writes_nothing(&misp, &job(&misp, "admin", file()));
}

/// What was refused of an object is no reason to stop before the rest of the event is there.
#[test]
fn a_refused_object_and_a_broken_list_do_not_end_the_export_early() {
    let refused = [("6".repeat(32), "Blocked by the administrator.".to_owned())];
    let misp = Fake::start(World {
        refused: refused.into(),
        ..World::new()
    });
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Only(1),
        what: What::Status(502, "<html>".into(), "text/html"),
    });
    let mut iocs = domains(2);
    iocs.as_array_mut()
        .unwrap()
        .extend(file().as_array().unwrap().clone());
    let report = run(&job(&misp, "admin", iocs));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 5), ("created", 4), ("failed", 1)]),
        "{report:#}"
    );
    assert_eq!(values(&misp).len(), 4);
}

#[test]
fn a_type_that_the_server_lacks_goes_out_as_another_with_a_warning() {
    let misp = Fake::start(World {
        without_types: vec!["mutex".into()],
        ..World::new()
    });
    let iocs = json!([{"dataType": "mutex", "data": "Global-7", "ioc": true, "tlp": 2}]);
    let report = run(&job(&misp, "admin", iocs.clone()));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_ne!(misp.world().events[0].attributes[0].kind, "mutex");
    assert_eq!(misp.world().events[0].attributes[0].value, "Global-7");
    let warnings = warnings(&report);
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("Global-7: "),
        "{warnings:?}"
    );
    writes_nothing(&misp, &job(&misp, "admin", iocs));
}

#[test]
fn another_organisations_event_is_left_alone() {
    let misp = Fake::start(World::new());
    run(&job(&misp, "partner", domains(1)));
    {
        let mut world = misp.world();
        let event = &mut world.events[0];
        (event.org, event.orgc, event.distribution) = (3, 3, 1);
    }
    let before = format!("{:?}", misp.world().events[0]);
    let report = run(&job(&misp, "partner", domains(2)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    assert!(
        warnings(&report)
            .iter()
            .any(|one| one.contains("it is left alone")),
        "{:?}",
        warnings(&report)
    );
    assert_eq!(format!("{:?}", misp.world().events[0]), before);
    // One that came by synchronisation is ours, and read only.
    let misp = Fake::start(World::new());
    run(&job(&misp, "partner", domains(1)));
    misp.world().events[0].locked = true;
    let report = writes_nothing(&misp, &job(&misp, "partner", domains(2)));
    let skipped = line("skipped", "managed on another MISP");
    assert_eq!(lines(&report), [skipped.clone(), skipped]);
    assert!(
        warnings(&report)
            .iter()
            .any(|one| one.contains("nothing is written")),
        "{:?}",
        warnings(&report)
    );
}

/// Faults of the network's making, and a server too busy: what was sent and what was not is told apart.
#[test]
fn refusals_of_a_write_stop_it_and_say_what_to_do() {
    let cases = [
        (
            What::Redirect("https://misp.example/users/login".into()),
            "MISP is in maintenance mode",
        ),
        (
            What::Status(
                429,
                json!({"message": "Rate limit exceeded."}).to_string(),
                "application/json",
            ),
            "429: Rate limit exceeded.",
        ),
        (
            What::Status(
                403,
                json!({"message": "You do not have permission to do that."}).to_string(),
                "application/json",
            ),
            "lacks a permission",
        ),
    ];
    for (what, words) in cases {
        let misp = Fake::start(World::new());
        always(&misp, "/attributes/add", what);
        let report = run(&job(&misp, "admin", domains(2)));
        assert_eq!(
            lines(&report),
            [line("failed", "not sent"), line("failed", "not sent")]
        );
        assert!(
            message(&report).starts_with("INCOMPLETE: No IOC of case #7"),
            "{}",
            message(&report)
        );
        assert!(
            message(&report).contains("adding attributes: POST")
                && message(&report).contains(words),
            "{}",
            message(&report)
        );
        let held = values(&misp);
        assert_eq!((misp.world().events.len(), held.len()), (1, 0));
        misp.heal();
        assert_eq!(
            counts(full(&run(&job(&misp, "admin", domains(2)))), "observables"),
            of([("fetched", 2), ("created", 2)])
        );
    }
}

#[test]
fn an_answer_that_is_none_is_looked_after_and_gone_on_with() {
    let web = || What::Status(200, "<html>proxy</html>".into(), "text/html");
    let broken = || {
        What::Status(
            500,
            json!({"message": "An Internal Error Has Occurred."}).to_string(),
            "application/json",
        )
    };
    for on in ["/events/add", "/attributes/add", "/objects/add"] {
        for what in [
            web(),
            broken(),
            What::Status(502, "<html>".into(), "text/html"),
        ] {
            let misp = Fake::start(World::new());
            misp.fault(Fault {
                on,
                nth: Nth::Only(1),
                what: what.clone(),
            });
            let mut iocs = domains(2);
            iocs.as_array_mut()
                .unwrap()
                .extend(file().as_array().unwrap().clone());
            let job = job(&misp, "admin", iocs);
            let report = run(&job);
            assert_eq!(
                counts(full(&report), "observables"),
                of([("fetched", 5), ("created", 5)]),
                "{on} {what:?}"
            );
            assert!(
                message(&report).starts_with("Exported 5 IOCs"),
                "{on} {what:?}: {}",
                message(&report)
            );
            assert_eq!(values(&misp).len(), 5);
            writes_nothing(&misp, &job);
        }
    }
}

#[test]
fn a_server_that_always_fails_is_given_up_after_some_attempts() {
    let misp = Fake::start(World::new());
    always(
        &misp,
        "/attributes/add",
        What::Status(
            500,
            json!({"message": "An Internal Error Has Occurred."}).to_string(),
            "application/json",
        ),
    );
    let report = run(&job(&misp, "admin", domains(2)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("failed", 2)])
    );
    assert!(
        message(&report).contains("500: An Internal Error Has Occurred."),
        "{}",
        message(&report)
    );
    let attempts = writes(&misp)
        .iter()
        .filter(|path| path.starts_with("/attributes/add"))
        .count();
    assert!((2..=5).contains(&attempts), "{attempts}");
    let misp = Fake::start(World::new());
    always(
        &misp,
        "/events/add",
        What::Status(
            500,
            json!({"message": "An Internal Error Has Occurred."}).to_string(),
            "application/json",
        ),
    );
    let report = run(&job(&misp, "admin", domains(2)));
    assert!(
        report.to_string().contains("adding the event: POST"),
        "{report:#}"
    );
    assert!(
        report
            .to_string()
            .contains("500: An Internal Error Has Occurred."),
        "{report:#}"
    );
    assert!(misp.world().events.is_empty());
}

#[test]
fn an_address_that_is_no_misp_is_explained_and_nothing_is_sent() {
    let cases = [
        (
            What::Status(200, "<html>".into(), "text/html"),
            "the answer is text/html, not JSON",
        ),
        (What::Body("{\"ok\": true}".into()), "this is no MISP"),
        (
            What::Redirect("https://misp.example/users/login".into()),
            "maintenance mode",
        ),
    ];
    for (what, words) in cases {
        let misp = Fake::start(World::new());
        always(&misp, "/events/restSearch", what);
        let report = run(&job(&misp, "admin", domains(2)));
        assert!(failure(&report).contains(words), "{}", failure(&report));
        assert!(
            failure(&report).ends_with("observables 2 fetched: 2 failed (2: not sent)"),
            "{}",
            failure(&report)
        );
        assert_eq!(writes(&misp), [""; 0]);
    }
}

#[test]
fn a_publication_that_came_meanwhile_is_told_since_the_export_took_it_back() {
    let misp = Fake::start(World::new());
    run(&job(&misp, "admin", domains(1)));
    meanwhile(&misp, "/attributes/add", |world| {
        world.events[0].published = true;
        world.events[0].publish_timestamp = world.now;
    });
    let report = run(&job(&misp, "admin", domains(2)));
    assert_eq!(lines(&report), [line("unchanged", ""), line("created", "")]);
    let warnings = warnings(&report);
    assert!(
        warnings
            .iter()
            .any(|one| one.contains("was published while this export ran")),
        "{warnings:?}"
    );
    assert!(!misp.world().events[0].published);
    writes_nothing(&misp, &job(&misp, "admin", domains(2)));
}

/// Somebody types the value into MISP between our look and our write.
#[test]
fn a_value_that_somebody_adds_meanwhile_is_not_told_as_ours() {
    let misp = Fake::start(World::new());
    meanwhile(&misp, "/attributes/add", |world| {
        let theirs = Attribute {
            id: 77_000,
            uuid: "5f0e5b5c-0000-4000-8000-000000000001".into(),
            kind: "domain".into(),
            category: "Network activity".into(),
            value: "host-1.example".into(),
            to_ids: true,
            distribution: 5,
            ..Attribute::default()
        };
        world.events[0].attributes.push(theirs);
        world.events[0].attribute_count += 1;
    });
    let report = run(&job(&misp, "admin", domains(3)));
    let theirs = line("unchanged", "added by somebody else");
    assert_eq!(
        lines(&report),
        [line("created", ""), theirs, line("created", "")]
    );
    assert!(
        message(&report).starts_with("Exported 3 IOCs"),
        "{}",
        message(&report)
    );
    assert_eq!(values(&misp).len(), 3);
    writes_nothing(&misp, &job(&misp, "admin", domains(3)));
}

#[test]
fn what_somebody_deletes_while_it_is_written_is_deleted_in_misp() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Only(1),
        what: What::CutAfter(5),
    });
    meanwhile(&misp, "/events/view", |world| {
        world.events[0].attributes[1].deleted = true;
        world.events[0].attribute_count -= 1;
    });
    let report = run(&job(&misp, "admin", domains(3)));
    let deleted = line("skipped", "deleted in MISP");
    assert_eq!(
        lines(&report),
        [line("created", ""), deleted.clone(), line("created", "")]
    );
    let again = writes_nothing(&misp, &job(&misp, "admin", domains(3)));
    assert_eq!(
        lines(&again),
        [line("unchanged", ""), deleted, line("unchanged", "")]
    );
}

#[test]
fn what_somebody_edits_meanwhile_stays() {
    let misp = Fake::start(World::new());
    run(&job(&misp, "admin", domains(2)));
    meanwhile(&misp, "/attributes/add", |world| {
        world.events[0].attributes[0].comment = "reviewed".into();
        world.events[0].attributes[0].to_ids = false;
        world.events[0].analysis = 2;
    });
    let report = run(&job(&misp, "admin", domains(3)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 1), ("unchanged", 2)])
    );
    {
        let world = misp.world();
        let event = &world.events[0];
        let first = &event.attributes[0];
        assert_eq!(
            (first.comment.as_str(), first.to_ids, event.analysis),
            ("reviewed", false, 2)
        );
    }
    let again = writes_nothing(&misp, &job(&misp, "admin", domains(3)));
    assert_eq!(
        lines(&again)[0],
        line(
            "unchanged",
            "differs in MISP, left as it is: to_ids, comment"
        )
    );
}

/// TheHive may show the message as Markdown: a text without end must not break out of its quotation.
#[test]
fn a_long_refusal_stays_in_its_quotation() {
    let misp = Fake::start(World::new());
    let words = format!("x ![p](http://evil.example/p.png) {}", "A".repeat(9_000));
    let refusal = json!({"saved": false, "name": "no", "message": "no", "url": "/attributes/add", "errors": {"value": [words]}});
    always(
        &misp,
        "/attributes/add",
        What::Status(403, refusal.to_string(), "application/json"),
    );
    let report = run(&job(&misp, "admin", domains(1)));
    let message = message(&report);
    assert!(message.contains("evil.example"), "{message}");
    assert!(
        message.matches('`').count().is_multiple_of(2) && message.chars().count() < 8_000,
        "{message}"
    );
    assert!(
        !message
            .split('`')
            .step_by(2)
            .any(|outside| outside.contains("evil.example")),
        "{message}"
    );
}
