//! Exports over HTTP: to the fake MISP, from the job or from the fake TheHive.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key, writes};
use crate::program::{Program, counts, failure, full, of};
use crate::thehive;

/// A case with these observables in the job, to this MISP as this user.
fn job(misp: &Fake, user: &str, observables: Value) -> Value {
    json!({
        "dataType": "thehive:case", "tlp": 2, "pap": 2,
        "data": {
            "_id": "~25313328", "caseId": 42, "title": "Phishing wave", "createdAt": 1_630_917_246_993_i64, "severity": 3,
            "startDate": 1_630_917_180_000_i64, "tlp": 2, "pap": 2, "status": "Open", "observables": observables,
        },
        "config": {"name": ["misp-corp"], "url": [misp.url()], "key": [key(user)], "instance": "test.example", "check_tlp": false},
    })
}

fn ioc(data_type: &str, data: &str) -> Value {
    json!({"dataType": data_type, "data": data, "ioc": true, "tlp": 2, "tags": []})
}

fn numbered(number: usize) -> Value {
    (0..number)
        .map(|n| ioc("domain", &format!("host-{n}.example")))
        .collect()
}

#[test]
fn a_case_becomes_an_event_with_its_iocs_and_nothing_else() {
    let misp = Fake::start(World::new());
    let observables = json!([
        {"dataType": "ip", "data": "203.0.113.7", "ioc": true, "tlp": 3, "message": "C2", "tags": []},
        ioc("fqdn", "C2.Example.COM"), ioc("url", "hxxps://evil[.]example/a"), ioc("hash", "44D88612FEA8A8F36DE82E1278ABB02F"),
        {"dataType": "domain", "data": "internal.example", "ioc": false}, {"dataType": "mail", "data": "victim@corp.example"},
    ]);
    let report = Program::Export.report(&job(&misp, "admin", observables));
    let full = full(&report);
    assert_eq!(
        counts(full, "observables"),
        of([("fetched", 6), ("created", 4), ("skipped", 2)])
    );
    assert_eq!(
        full["ledger"]["observables"]["skipped_by"],
        json!({"not an IOC": 2})
    );
    let world = misp.world();
    let [event] = world.events.as_slice() else {
        panic!("{} events", world.events.len())
    };
    assert_eq!(
        (event.info.as_str(), event.date.as_str(), event.published),
        ("Phishing wave", "2021-09-06", false)
    );
    assert_eq!(
        (event.threat_level, event.analysis, event.distribution),
        (1, 0, 0)
    );
    let held: Vec<_> = event
        .attributes
        .iter()
        .map(|a| (a.kind.as_str(), a.value.as_str(), a.to_ids, a.distribution))
        .collect();
    let expected = [
        ("ip-dst", "203.0.113.7", true, 0),
        ("hostname", "c2.example.com", true, 5),
        ("url", "https://evil.example/a", true, 5),
        ("md5", "44d88612fea8a8f36de82e1278abb02f", true, 5),
    ];
    assert_eq!(held, expected);
    assert_eq!(world.names(&event.tags), ["tlp:amber", "PAP:AMBER"]);
    assert_eq!(world.names(&event.attributes[0].tags), ["tlp:red"]);
    assert_eq!(event.attributes[0].comment, "C2");
    let operations = report["operations"].as_array().unwrap();
    let tag = format!("misp:event=\"misp-corp:{}:~25313328.", event.uuid);
    assert!(
        operations.len() == 1 && operations[0]["tag"].as_str().unwrap().starts_with(&tag),
        "{operations:?}"
    );
    drop(world);
    for request in misp.requests() {
        assert!(
            !String::from_utf8_lossy(&request.raw).contains("victim@corp"),
            "{}",
            request.path
        );
    }
}

#[test]
fn a_second_run_sends_no_write_request() {
    let misp = Fake::start(World::new());
    for number in [1, 10, 500, 1_500] {
        *misp.world() = World {
            url: misp.url(),
            ..World::new()
        };
        let first = Program::Export.report(&job(&misp, "admin", numbered(number)));
        assert_eq!(
            counts(full(&first), "observables"),
            of([("fetched", number as u64), ("created", number as u64)])
        );
        misp.forget_requests();
        let second = Program::Export.report(&job(&misp, "admin", numbered(number)));
        assert_eq!(
            counts(full(&second), "observables"),
            of([("fetched", number as u64), ("unchanged", number as u64)])
        );
        assert_eq!(writes(&misp), [""; 0]);
        assert_eq!(
            full(&second)["connections"][0]["requests"],
            misp.requests().len()
        );
    }
}

#[test]
fn a_new_ioc_joins_the_event_and_what_changed_is_brought_in_line() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(3)));
    let mut again = job(
        &misp,
        "admin",
        json!([
            ioc("domain", "host-0.example"),
            ioc("domain", "new.example")
        ]),
    );
    again["data"]["title"] = json!("Another title");
    again["data"]["tlp"] = json!(3);
    let report = Program::Export.report(&again);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("updated", 1)])
    );
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 2), ("skipped", 2)])
    );
    let rules = json!({"the job brought the observables, so the case was not read as a whole": 2});
    assert_eq!(full(&report)["ledger"]["retractions"]["skipped_by"], rules);
    let world = misp.world();
    let event = &world.events[0];
    assert_eq!(
        (
            event.info.as_str(),
            event.attributes.len(),
            event.distribution
        ),
        ("Another title", 4, 0)
    );
    assert_eq!(world.names(&event.tags), ["PAP:AMBER", "tlp:red"]);
    assert_eq!(
        (
            event.attributes[0].distribution,
            event.attributes[3].distribution
        ),
        (0, 0)
    );
}

#[test]
fn what_misp_refuses_is_named_with_its_reason() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Always,
        what: What::Body(
            json!({"Attribute": [], "errors": {"attribute_1": {"value": ["Blocked by the administrator."]}}})
                .to_string(),
        ),
    });
    let report = Program::Export.report(&job(&misp, "admin", numbered(2)));
    let full = full(&report);
    assert_eq!(
        counts(full, "observables"),
        of([("fetched", 2), ("failed", 2)])
    );
    let reasons = full["ledger"]["observables"]["failed_by"]
        .as_object()
        .unwrap();
    assert!(reasons.contains_key("refused by MISP: Blocked by the administrator."));
    assert!(reasons.contains_key("lost: MISP took it without an error and does not hold it"));
    assert!(
        full["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: ")
    );
}

#[test]
fn values_that_misp_would_drop_are_refused_before() {
    let misp = Fake::start(World::new());
    let report = Program::Export.report(&job(
        &misp,
        "admin",
        json!([ioc("ip", "1.2.3.999"), ioc("domain", "good.example")]),
    ));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("failed", 1)])
    );
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message
            .contains("1.2.3.999 (ip): refused before sending: IP address has an invalid format."),
        "{message}"
    );
    assert!(
        !misp
            .requests()
            .iter()
            .any(|request| String::from_utf8_lossy(&request.raw).contains("1.2.3.999"))
    );
}

#[test]
fn a_colleagues_value_and_a_deleted_one_are_left_alone() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(3)));
    {
        let mut world = misp.world();
        let event = &mut world.events[0];
        event.attributes[0].deleted = true;
        event.attributes[1].uuid = "5f0e5b5c-0000-4000-8000-000000000001".to_owned();
        event.attributes[2].comment = "reviewed".to_owned();
    }
    misp.forget_requests();
    let report = Program::Export.report(&job(&misp, "admin", numbered(3)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("unchanged", 2), ("skipped", 1)])
    );
    let reasons: Vec<_> = full(&report)["connections"][0]["observables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["reason"].clone())
        .collect();
    assert_eq!(
        reasons,
        [
            json!("deleted in MISP"),
            json!("added by somebody else"),
            json!("differs in MISP, left as it is: comment")
        ]
    );
    assert_eq!(writes(&misp), [""; 0]);
}

#[test]
fn a_published_event_is_taken_back_by_misp_only_for_a_new_ioc_and_the_report_says_so() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(1)));
    misp.world().events[0].published = true;
    Program::Export.report(&job(&misp, "admin", numbered(1)));
    assert!(misp.world().events[0].published);
    let report = Program::Export.report(&job(&misp, "admin", numbered(2)));
    assert!(!misp.world().events[0].published);
    assert!(
        full(&report)["connections"][0]["warnings"]
            .to_string()
            .contains("the event was published; MISP took that back")
    );
}

#[test]
fn tags_that_the_key_may_not_make_are_a_warning() {
    let misp = Fake::start(World {
        tags: Vec::new(),
        ..World::new()
    });
    let report = Program::Export.report(&job(&misp, "partner", numbered(1)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        warnings.contains("the tags PAP:AMBER, tlp:amber stay here"),
        "{warnings}"
    );
    misp.forget_requests();
    Program::Export.report(&job(&misp, "partner", numbered(1)));
    assert_eq!(writes(&misp), [""; 0]);
}

#[test]
fn an_event_that_came_by_synchronisation_is_not_written() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(1)));
    misp.world().events[0].locked = true;
    misp.forget_requests();
    let report = Program::Export.report(&job(&misp, "admin", numbered(2)));
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"managed on another MISP": 2})
    );
    assert_eq!(writes(&misp), [""; 0]);
}

#[test]
fn keys_and_permissions_that_do_not_suffice_are_explained() {
    let misp = Fake::start(World::new());
    let mut wrong = job(&misp, "admin", numbered(2));
    wrong["config"]["key"] = json!(["WrongKey00000000000000000000000000000000"]);
    let message = failure(&Program::Export.report(&wrong)).to_owned();
    assert!(
        message.contains("/events/restSearch`: 403: Authentication failed"),
        "{message}"
    );
    assert!(
        message.contains("check \"key\"")
            && message.ends_with("Ledger: observables 2 fetched: 2 failed (2: not sent)"),
        "{message}"
    );
    let message = failure(&Program::Export.report(&job(&misp, "readonly", numbered(2)))).to_owned();
    assert!(message.contains("adding the event: POST"), "{message}");
    assert!(
        message.contains("403: You do not have permission to use this functionality:"),
        "{message}"
    );
    assert!(misp.world().events.is_empty());
}

#[test]
fn a_deleted_event_on_the_blocklist_is_explained() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(1)));
    let uuid = misp.world().events.remove(0).uuid;
    misp.world().blocklist.push(uuid.clone());
    let message = failure(&Program::Export.report(&job(&misp, "admin", numbered(1)))).to_owned();
    assert!(
        message.contains(&format!(
            "event {uuid} was deleted on this MISP and is on its blocklist"
        )),
        "{message}"
    );
}

#[test]
fn an_event_of_that_uuid_that_the_key_cannot_see_is_extended() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(2)));
    let report = Program::Export.report(&job(&misp, "thirduser", numbered(2)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        warnings.contains("belongs to an event that this key cannot see"),
        "{warnings}"
    );
    {
        let world = misp.world();
        let [first, second] = world.events.as_slice() else {
            panic!("{} events", world.events.len())
        };
        assert_eq!(
            (&second.extends_uuid, second.attributes.len()),
            (&first.uuid, 2)
        );
    }
    misp.forget_requests();
    let again = Program::Export.report(&job(&misp, "thirduser", numbered(2)));
    assert_eq!(
        counts(full(&again), "observables"),
        of([("fetched", 2), ("unchanged", 2)])
    );
    assert_eq!(writes(&misp), [""; 0]);
}

#[test]
fn an_answer_that_breaks_off_is_looked_after() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/attributes/add",
        nth: Nth::Only(1),
        what: What::CutAfter(20),
    });
    let report = Program::Export.report(&job(&misp, "admin", numbered(3)));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 3)])
    );
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("Exported 3 IOCs")
    );
    misp.forget_requests();
    let again = Program::Export.report(&job(&misp, "admin", numbered(3)));
    assert_eq!(
        counts(full(&again), "observables"),
        of([("fetched", 3), ("unchanged", 3)])
    );
    assert_eq!(writes(&misp), [""; 0]);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let misp = Fake::start(World::new());
    for place in ["config", "parameters"] {
        let mut dry = job(&misp, "admin", numbered(2));
        dry[place]["dry_run"] = json!("true");
        let report = Program::Export.report(&dry);
        assert_eq!(
            (
                &full(&report)["dry_run"],
                counts(full(&report), "observables")
            ),
            (&json!(true), of([("fetched", 2), ("created", 2)]))
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .contains("2 would be added")
        );
    }
    assert_eq!(writes(&misp), [""; 0]);
}

#[test]
fn no_ioc_and_no_event_yet_is_a_success_without_an_event() {
    let misp = Fake::start(World::new());
    let report = Program::Export.report(&job(
        &misp,
        "admin",
        json!([{"dataType": "ip", "data": "192.0.2.1", "ioc": false}]),
    ));
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("No observable of case #42 is flagged as IOC: nothing to export")
    );
    assert_eq!(
        (
            misp.world().events.len(),
            writes(&misp).len(),
            report["operations"].as_array().unwrap().len()
        ),
        (0, 0, 0)
    );
}

#[test]
fn several_connections_are_told_apart() {
    let (good, bad) = (Fake::start(World::new()), Fake::start(World::new()));
    let mut both = job(&good, "admin", numbered(2));
    both["config"]["name"] = json!(["good", "bad", "look-ups"]);
    both["config"]["url"] = json!([good.url(), bad.url(), "http://127.0.0.1:9"]);
    both["config"]["key"] = json!([
        key("admin"),
        "WrongKey00000000000000000000000000000000",
        key("partner")
    ]);
    both["config"]["purpose"] = json!(["ImportAndExport", "ExportOnly", null]);
    let report = Program::Export.report(&both);
    let full_report = full(&report);
    assert_eq!(
        counts(full_report, "observables"),
        of([("fetched", 4), ("created", 2), ("failed", 2)])
    );
    let names: Vec<_> = full_report["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["name"].clone())
        .collect();
    assert_eq!(names, ["good", "bad"]);
    assert!(
        full_report["connections"][1]["error"]
            .as_str()
            .unwrap()
            .contains("Authentication failed")
    );
    assert!(
        full_report["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: ")
    );
    both["parameters"] = json!({"connection": "good"});
    assert_eq!(
        full(&Program::Export.report(&both))["connections"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn requests_carry_the_headers_that_misp_demands() {
    let misp = Fake::start(World::new());
    Program::Export.report(&job(&misp, "admin", numbered(1)));
    for request in misp.requests() {
        assert_eq!(request.header("authorization"), Some(key("admin").as_str()));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("user-agent").unwrap().starts_with("MISP-"));
        assert!(request.path != "/events/add" && request.header("expect").is_none());
    }
}

/// A case without observables in the job, as TheHive sends it, which the program reads from this TheHive.
fn job_of(thehive: &thehive::Fake, misp: &Fake, case: &str) -> Value {
    let mut job = job(misp, "admin", json!([]));
    job["data"]["_id"] = json!(case);
    job["parameters"] = json!({"organisation": "cert", "user": "analyst@example.org"});
    job["config"]["thehive_url"] = json!(thehive.url());
    job["config"]["thehive_key"] = json!(thehive::KEY);
    job
}

#[test]
fn observables_are_read_from_both_thehives_page_by_page() {
    for world in [thehive::World::four(), thehive::World::five()] {
        let (thehive, misp) = (thehive::Fake::start(world), Fake::start(World::new()));
        let case = thehive
            .world()
            .add_case(42, "Phishing wave", &json!({"tlp": 2}));
        for n in 0..1_203 {
            let observable = json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": n % 3 == 0, "tlp": 1});
            thehive.world().add_observable(&case, &observable);
        }
        let report = Program::Export.report(&job_of(&thehive, &misp, &case));
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 401), ("created", 401)])
        );
        assert_eq!(misp.world().events[0].attributes.len(), 401);
        assert!(
            thehive
                .requests()
                .iter()
                .all(|request| request.header("x-organisation") == Some("cert"))
        );
        assert!(
            thehive
                .requests()
                .iter()
                .all(|request| request.method == "GET" || request.path.starts_with("/api/v1/query"))
        );
        let again = Program::Export.report(&job_of(&thehive, &misp, &case));
        assert_eq!(
            counts(full(&again), "observables"),
            of([("fetched", 401), ("unchanged", 401)])
        );
    }
}

#[test]
fn the_ioc_filter_is_checked_again() {
    let (thehive, misp) = (
        thehive::Fake::start(thehive::World::four()),
        Fake::start(World::new()),
    );
    let case = thehive.world().add_case(7, "T", &json!({"tlp": 2}));
    let answer = json!([{"_id": "~1", "dataType": "ip", "data": "192.0.2.1", "ioc": true}, {"_id": "~2", "dataType": "ip", "data": "192.0.2.2", "ioc": false}]);
    thehive.fault(Fault {
        on: "\"total\"",
        nth: Nth::Only(1),
        what: What::Body(answer.to_string()),
    });
    let report = Program::Export.report(&job_of(&thehive, &misp, &case));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("skipped", 1)])
    );
    assert_eq!(misp.world().events[0].attributes.len(), 1);
}

#[test]
fn tlp_three_is_asked_of_thehives_version() {
    for (world, expected) in [
        (thehive::World::four(), "RED"),
        (thehive::World::five(), "AMBER+STRICT"),
    ] {
        let (thehive, misp) = (thehive::Fake::start(world), Fake::start(World::new()));
        let case = thehive
            .world()
            .add_case(42, "Phishing wave", &json!({"tlp": 3}));
        thehive.world().cases[0]
            .as_object_mut()
            .unwrap()
            .shift_remove("tlpLabel");
        let mut job = job_of(&thehive, &misp, &case);
        job["data"]["tlp"] = json!(3);
        job["config"]["check_tlp"] = json!(false);
        thehive
            .world()
            .add_observable(&case, &ioc("ip", "192.0.2.1"));
        let report = Program::Export.report(&job);
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["tlp"],
            expected
        );
        assert_eq!(misp.world().events[0].attributes[0].distribution, 0);
    }
}

#[test]
fn a_thehive_that_does_not_answer_as_one_is_explained_and_nothing_is_sent() {
    let (thehive, misp) = (
        thehive::Fake::start(thehive::World::four()),
        Fake::start(World::new()),
    );
    let case = thehive.world().add_case(7, "T", &json!({"tlp": 2}));
    thehive.world().add_observable(
        &case,
        &json!({"dataType": "ip", "data": "192.0.2.1", "ioc": true}),
    );
    let said = |change: &dyn Fn(&mut Value), what: Option<(&'static str, What)>| {
        thehive.heal();
        if let Some((on, what)) = what {
            thehive.fault(Fault {
                on,
                nth: Nth::Always,
                what,
            });
        }
        let mut job = job_of(&thehive, &misp, &case);
        change(&mut job);
        failure(&Program::Export.report(&job)).to_owned()
    };
    let unchanged = |_: &mut Value| {};
    assert!(
        said(&|job| job["data"]["_id"] = json!("~999999"), None)
            .contains("the case does not exist, or the user of \"thehive_key\" may not see it")
    );
    assert!(
        said(
            &|job| job["config"]["thehive_key"] = json!("wrong-key-0123"),
            None
        )
        .contains("401: Authentication failure: check \"thehive_key\"")
    );
    assert!(
        said(&|job| job["config"]["thehive_key"] = json!(null), None)
            .contains("set \"thehive_url\" and \"thehive_key\"")
    );
    assert!(
        said(&|job| job["config"]["thehive_url"] = json!(null), None)
            .contains("\"thehive_key\" is set and \"thehive_url\" is not")
    );
    assert!(
        said(&|job| job["config"]["thehive_url"] = json!("thehive"), None)
            .contains("\"thehive_url\" has no scheme")
    );
    let cut = said(&unchanged, Some(("/api/v1/query", What::CutAfter(40))));
    assert!(
        cut.contains("/api/v1/query?name=cortex-misp`: reading the answer"),
        "{cut}"
    );
    let cut = said(&unchanged, Some(("\"observables\"", What::CutAfter(40))));
    assert!(
        cut.contains("reading the observables: POST `http://"),
        "{cut}"
    );
    assert!(
        said(
            &unchanged,
            Some((
                "/api/v1/query",
                What::Status(500, "{}".into(), "application/json")
            ))
        )
        .contains("500: {}")
    );
    assert!(
        said(
            &unchanged,
            Some((
                "/api/v1/query",
                What::Status(200, "<html>".into(), "text/html")
            ))
        )
        .contains("this is no TheHive, or something stands before it")
    );
    assert!(misp.requests().is_empty());
}

#[test]
fn the_types_of_the_server_decide() {
    let misp = Fake::start(World::new());
    let onion = ioc(
        "domain",
        "expyuzz4wqqyqhjnaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad.onion",
    );
    let cve = ioc("other", "GHSA-jfh8-c2jp-5v3q");
    let tagged = |data: &str, kind: &str| json!({"dataType": "other", "data": data, "ioc": true, "tags": [format!("misp:type=\"{kind}\"")]});
    let observables = json!([
        onion,
        cve,
        tagged("dGVzdA==", "suricata"),
        tagged("7", "integer")
    ]);
    let report = Program::Export.report(&job(&misp, "admin", observables));
    let part = &full(&report)["connections"][0];
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 4), ("created", 4)]),
        "{part:#}"
    );
    assert!(
        part["warnings"].to_string().contains("2.5.1"),
        "{}",
        part["warnings"]
    );
    let world = misp.world();
    let kinds: Vec<_> = world.events[0]
        .attributes
        .iter()
        .map(|attribute| attribute.kind.as_str())
        .collect();
    assert!(
        !kinds.contains(&"suricata") && !kinds.contains(&"integer"),
        "{kinds:?}"
    );
}

#[test]
fn a_server_that_does_not_describe_its_types_is_taken_for_the_newest() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "describeTypes",
        nth: Nth::Always,
        what: What::Body("{}".into()),
    });
    let iocs = json!([ioc("mutex", "Global-7")]);
    let report = Program::Export.report(&job(&misp, "admin", iocs));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(
        full(&report)["connections"][0]["warnings"]
            .to_string()
            .contains("those of the newest are taken")
    );
}

#[test]
fn the_administrators_lines_overrule_the_table_and_a_tag_overrules_them() {
    let misp = Fake::start(World::new());
    let mut job = job(
        &misp,
        "admin",
        json!([ioc("ip", "192.0.2.1"), {"dataType": "ip", "data": "192.0.2.2", "ioc": true, "tags": ["misp:type=\"ip-dst\""]}]),
    );
    job["config"]["type_mapping"] = json!(["ip=Payload delivery/ip-src"]);
    Program::Export.report(&job);
    let held: Vec<_> = misp.world().events[0]
        .attributes
        .iter()
        .map(|a| format!("{}/{}", a.category, a.kind))
        .collect();
    assert_eq!(held, ["Payload delivery/ip-src", "Network activity/ip-dst"]);
    job["config"]["type_mapping"] = json!(["ip=Network activity/no-such-type"]);
    let message = failure(&Program::Export.report(&job)).to_owned();
    assert!(
        message.starts_with("configuration item type_mapping `ip=Network activity/no-such-type`"),
        "{message}"
    );
}

/// Every attribute of corpus event 1, imported by the table and exported by the program, is stored as the recorded server
/// stored it.
#[test]
fn what_came_in_goes_out_as_it_was() {
    use cortex_misp::types::{AttributeInput, ObservableTypeSet, to_observables};
    let corpus: Value =
        serde_json::from_str(include_str!("../../../fixtures/corpus/attributes/01.json")).unwrap();
    let stored: Vec<_> = corpus["response"]["Attribute"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    let misp = Fake::start(World::new());
    let mut wrong = Vec::new();
    for (number, one) in stored.iter().enumerate() {
        let [kind, category, value, uuid] =
            ["type", "category", "value", "uuid"].map(|name| text(one, name));
        let found = AttributeInput {
            kind: &kind,
            category: &category,
            value: &value,
            uuid: &uuid,
            event: Uuid::nil(),
        };
        let there = to_observables(&found, &ObservableTypeSet::thehive4()).unwrap();
        let iocs: Value = there
            .iter()
            .map(|o| json!({"dataType": o.data_type, "data": o.data, "tags": o.tags, "ioc": true}))
            .collect();
        let mut job = job(&misp, "admin", iocs);
        job["data"]["_id"] = json!(format!("~{number}"));
        let report = Program::Export.report(&job);
        let world = misp.world();
        let held = world
            .events
            .last()
            .map(|event| event.attributes.clone())
            .unwrap_or_default();
        let held: Vec<_> = held
            .iter()
            .map(|a| (a.kind.clone(), a.category.clone(), a.value.clone()))
            .collect();
        if held != [(kind.clone(), category, value)] {
            wrong.push(format!("{kind}: {held:?} {}", report["full"]["message"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a job says of a case and its markings holds only as far as TheHive says so too.
#[test]
fn a_job_cannot_speak_for_a_case_that_thehive_does_not_show_nor_make_it_laxer() {
    let (thehive, misp) = (
        thehive::Fake::start(thehive::World::four()),
        Fake::start(World::new()),
    );
    let case = thehive
        .world()
        .add_case(42, "Phishing wave", &json!({"tlp": 3}));
    thehive.world().add_observable(
        &case,
        &json!({"dataType": "ip", "data": "192.0.2.1", "ioc": true}),
    );
    let mut job = job_of(&thehive, &misp, &case);
    (job["tlp"], job["pap"]) = (json!(0), json!(0));
    job["config"]["check_tlp"] = json!(true);
    job["config"]["max_tlp"] = json!(1);
    assert_eq!(
        failure(&Program::Export.report(&job)),
        "TLP is higher than allowed."
    );
    assert_eq!(writes(&misp), [""; 0]);
    misp.forget_requests();
    job["config"]["check_tlp"] = json!(false);
    job["data"]["observables"] = json!([ioc("ip", "192.0.2.1")]);
    job["data"]["_id"] = json!("~424242");
    let report = Program::Export.report(&job);
    assert!(
        failure(&report).contains("the case does not exist, or the user"),
        "{}",
        failure(&report)
    );
    assert!(misp.requests().is_empty());
}
