//! TheHive: version, key, organisations, permissions, observable types, clock.

use serde_json::{Value, json};

use super::{Told, access, minutes_off, no_alert_was_touched, told};
use crate::http_fake::{Fault, Nth, What};
use crate::program::Program;
use crate::thehive::{Fake, KEY, READER_KEY, World};

/// The doctor's word on a TheHive; the feed beside it is always good.
fn on(program: Program, hive: &Fake, key: &str, more: &Value, has_failed: bool) -> Told {
    let feed = tempfile::tempdir().unwrap();
    let mut config =
        json!({"name": ["feed"], "url": [format!("file://{}", feed.path().display())]});
    for items in [&access(hive, key), more] {
        config
            .as_object_mut()
            .unwrap()
            .extend(items.as_object().unwrap().clone());
    }
    let told = told(program, &config, has_failed);
    no_alert_was_touched(hive);
    told
}

fn import(world: World, key: &str, more: &Value, has_failed: bool) -> Told {
    on(Program::Import, &Fake::start(world), key, more, has_failed)
}

#[test]
fn both_versions_are_told_with_their_scale_of_tlp() {
    for (world, version) in [
        (
            World::four(),
            "ok: TheHive 4.1.24-1, four TLP levels, 3 is RED",
        ),
        (
            World::five(),
            "ok: TheHive 5.7.3-1, five TLP levels, 3 is AMBER+STRICT",
        ),
    ] {
        let told = import(world, KEY, &json!({}), false);
        assert_eq!(told.line("TheHive", "version"), version);
        assert_eq!(
            told.line("TheHive", "key"),
            "ok: good: analyst@example.org, of organisation \"cert\""
        );
        assert_eq!(
            told.line("TheHive", "types"),
            "ok: it has every observable type that is used"
        );
        assert!(told.line("TheHive", "clock").starts_with("ok: "));
    }
}

#[test]
fn a_case_template_that_is_not_there_is_told() {
    let template = |name: &str| {
        let told = import(World::four(), KEY, &json!({"case_template": name}), false);
        told.line("TheHive", "template")
    };
    assert_eq!(
        template("phishing"),
        "ok: \"cert\" has the case template \"phishing\""
    );
    assert!(template("missing").starts_with("warning: \"cert\" has no case template \"missing\""));
}

#[test]
fn permissions_are_named_as_the_version_names_them() {
    let permissions =
        |world: World, more: &Value| import(world, KEY, more, false).line("TheHive", "permissions");
    assert_eq!(
        permissions(World::four(), &json!({"update_cases": true})),
        "ok: in \"cert\" the user may create alerts, change alerts, add observables to cases"
    );
    assert_eq!(
        permissions(World::five(), &json!({"reopen": true})),
        "ok: in \"cert\" the user may create alerts, change alerts, add observables, set ATT&CK techniques, open alerts again"
    );
    let four = import(World::four(), READER_KEY, &json!({}), true).lines("TheHive", "permissions");
    assert_eq!(
        four,
        [
            "failed: in \"cert\" the user may not create alerts: the profile lacks manageAlert",
            "failed: in \"cert\" the user may not change alerts: the profile lacks manageAlert"
        ]
    );
    let five = import(World::five(), READER_KEY, &json!({}), true).lines("TheHive", "permissions");
    assert_eq!(
        five[0],
        "failed: in \"cert\" the user may not create alerts: the profile lacks manageAlert/create"
    );
    assert_eq!(
        five[2],
        "failed: in \"cert\" the user may not add observables: the profile lacks manageObservable"
    );
    assert_eq!(
        five[3],
        "warning: in \"cert\" the user may not set ATT&CK techniques: the profile lacks manageProcedure"
    );
}

#[test]
fn an_export_needs_no_more_than_to_read() {
    for world in [World::four(), World::five()] {
        let hive = Fake::start(world);
        let told = on(Program::Export, &hive, READER_KEY, &json!({}), false);
        assert_eq!(
            told.line("TheHive", "permissions"),
            "ok: a user who may read is enough"
        );
        assert!(told.lines("TheHive", "types").is_empty());
    }
}

#[test]
fn each_organisation_is_tried_by_itself() {
    let named = json!({"thehive_organisations": ["cert", "soc", "elsewhere"]});
    let mut world = World::five();
    world.barred.push("soc".to_owned());
    let told = import(world, KEY, &named, true);
    let lines = told.lines("TheHive", "organisation");
    assert_eq!(
        lines[..2],
        [
            "ok: \"cert\" is one of this user's",
            "ok: \"soc\" is one of this user's"
        ]
    );
    assert!(
        lines[2].starts_with("failed: \"elsewhere\": GET ")
            && lines[2].contains("401: Authentication failure"),
        "{}",
        lines[2]
    );
    let lines = told.lines("TheHive", "permissions");
    assert!(lines[0].starts_with("ok: in \"cert\" the user may create alerts"));
    assert!(lines[1].starts_with("failed: in \"soc\" the user may not create alerts"));
}

/// TheHive 4 itself shows it to whoever names it.
#[test]
fn an_organisation_that_is_not_the_users_fails_on_thehive_4_as_it_does_in_a_run() {
    let named = json!({"thehive_organisations": ["cert", "elsewhere"]});
    let told = import(World::four(), KEY, &named, true);
    let lines = told.lines("TheHive", "organisation");
    assert_eq!(lines[0], "ok: \"cert\" is one of this user's");
    assert!(
        lines[1].contains("is no user of the organisation \"elsewhere\""),
        "{}",
        lines[1]
    );
}

#[test]
fn another_server_behind_thehives_address_is_told_as_in_a_run() {
    let misp = crate::misp::Fake::start(crate::misp::World::new());
    let (hive, feed) = (Fake::start(World::four()), tempfile::tempdir().unwrap());
    for (program, url) in [
        (Program::Import, misp.url()),
        (Program::Export, misp.url()),
        (Program::Import, format!("{}/elsewhere", hive.url())),
        (Program::Export, format!("{}/elsewhere", hive.url())),
    ] {
        let mut config =
            json!({"name": ["feed"], "url": [format!("file://{}", feed.path().display())]});
        config
            .as_object_mut()
            .unwrap()
            .extend(access(&hive, KEY).as_object().unwrap().clone());
        config["thehive_url"] = json!(url);
        let told = told(program, &config, true);
        let line = told.line("TheHive", "version");
        assert!(
            line.contains("is this the address of a TheHive 4.1 or 5?")
                || line.contains("this is a MISP, not a TheHive"),
            "{line}"
        );
    }
}

#[test]
fn a_text_in_cacerts_that_holds_no_certificate_is_a_warning_without_tls_too() {
    for program in [Program::Import, Program::Export] {
        let told = on(
            program,
            &Fake::start(World::four()),
            KEY,
            &json!({"cacerts": "none"}),
            false,
        );
        let says =
            "reading the certificates in \"cacerts\": there is no certificate in PEM form in it";
        assert!(told.text.contains(says), "{}", told.text);
    }
}

#[test]
fn a_wrong_key_and_another_website_are_told_apart() {
    let told = import(World::five(), "wrong-key-0123456789", &json!({}), true);
    let line = told.line("TheHive", "key");
    assert!(
        line.starts_with("failed: ") && line.contains("check \"thehive_key\""),
        "{line}"
    );
    assert_eq!(
        told.line("TheHive", "not looked at"),
        "skipped: permissions, types"
    );
    let hive = Fake::start(World::five());
    let page = What::Status(200, "<html></html>".to_owned(), "text/html");
    hive.fault(Fault {
        on: "/",
        nth: Nth::Always,
        what: page,
    });
    let told = on(Program::Import, &hive, KEY, &json!({}), true);
    assert!(
        told.line("TheHive", "version")
            .contains("this is no TheHive, or something stands before it"),
        "{}",
        told.text
    );
}

#[test]
fn a_thehive_that_is_too_old_is_a_failure() {
    let hive = Fake::start(World::four());
    let old = What::Body("{\"versions\": {\"TheHive\": \"3.5.1-1\"}}".to_owned());
    hive.fault(Fault {
        on: "/api/status",
        nth: Nth::Always,
        what: old,
    });
    let told = on(Program::Import, &hive, KEY, &json!({}), true);
    assert!(
        told.line("TheHive", "version")
            .starts_with("failed: TheHive 3.5.1-1: 4.1 is the oldest")
    );
}

#[test]
fn types_that_it_lacks_and_a_clock_that_is_off_are_warnings() {
    let mut world = World::five();
    world
        .observable_types
        .retain(|(name, _)| name != "registry" && name != "file");
    world.date = minutes_off(-10);
    let told = import(world, KEY, &json!({}), false);
    assert!(
        told.line("TheHive", "types")
            .starts_with("warning: it lacks file, registry: "),
        "{}",
        told.text
    );
    assert!(
        told.line("TheHive", "clock")
            .starts_with("warning: the server's is 10 minutes behind ours: ")
    );
}

#[test]
fn the_case_of_a_job_must_be_there_for_the_jobs_organisation() {
    for world in [World::four(), World::five()] {
        let hive = Fake::start(world);
        let case = hive.world().add_case(42, "Phishing wave", &json!({}));
        let ioc = json!({"dataType": "domain", "data": "evil.example", "ioc": true});
        hive.world().add_observable(&case, &ioc);
        let feed = tempfile::tempdir().unwrap();
        let mut config =
            json!({"name": ["feed"], "url": [format!("file://{}", feed.path().display())]});
        config
            .as_object_mut()
            .unwrap()
            .extend(access(&hive, KEY).as_object().unwrap().clone());
        for (organisation, has_failed) in [("cert", false), ("soc", true)] {
            let mut job =
                json!({"dataType": "thehive:case", "data": {"_id": case}, "config": config});
            job["parameters"] = json!({"organisation": organisation});
            let told = told(Program::Export, &job, has_failed);
            assert_eq!(
                told.line("TheHive", "organisation"),
                format!("ok: \"{organisation}\" is one of this user's")
            );
            let line = told.line("job", "case");
            match has_failed {
                false => assert_eq!(
                    line,
                    "ok: #42 Phishing wave, with 1 IOC, can be exported to \"feed\""
                ),
                true => {
                    assert!(line.contains(
                        "the case does not exist, or the user of \"thehive_key\" may not see it"
                    ))
                }
            }
        }
        no_alert_was_touched(&hive);
    }
}

/// An export's own words, before it is run.
#[test]
fn a_case_that_cannot_be_exported_fails() {
    let hive = Fake::start(World::five());
    let add = |number, fields: Value| hive.world().add_case(number, "Phishing wave", &fields);
    let (red, without, good) = (
        add(1, json!({"tlp": 4, "tlpLabel": "RED"})),
        add(2, json!({"tlp": 2})),
        add(3, json!({"tlp": 2})),
    );
    let ioc = json!({"dataType": "domain", "data": "evil.example", "ioc": true, "tlp": 2});
    let none = json!({"dataType": "domain", "data": "good.example", "ioc": false});
    for (case, observable) in [(&red, &ioc), (&without, &none), (&good, &ioc)] {
        hive.world().add_observable(case, observable);
    }
    let feed = tempfile::tempdir().unwrap();
    let check = |case: &str, more: Value, has_failed: bool| {
        let mut config =
            json!({"name": ["feed"], "url": [format!("file://{}", feed.path().display())]});
        let items = config.as_object_mut().unwrap();
        items.extend(access(&hive, KEY).as_object().unwrap().clone());
        items.extend(more.as_object().unwrap().clone());
        let job = json!({"dataType": "thehive:case", "data": {"_id": case}, "config": config});
        told(Program::Export, &job, has_failed)
    };
    let told = check(&red, json!({}), true);
    assert_eq!(
        told.line("job", "case"),
        "failed: TLP is higher than allowed. Raise \"max_tlp\" of the worker in Cortex, if such jobs may run"
    );
    let told = check(&good, json!({"max_export_tlp": "GREEN"}), true);
    assert!(
        told.line("job", "case")
            .contains("\"max_export_tlp\" is GREEN: nothing is exported"),
        "{}",
        told.text
    );
    let told = check(&without, json!({}), true);
    assert!(
        told.line("job", "case")
            .contains("no observable of the case #2 Phishing wave is flagged as IOC"),
        "{}",
        told.text
    );
    let told = check(&good, json!({"thehive_key": null}), true);
    assert!(
        told.line("job", "case")
            .contains("set \"thehive_url\" and \"thehive_key\""),
        "{}",
        told.text
    );
    let told = check(&good, json!({"thehive_key": "wrong-key-0123456789"}), true);
    assert_eq!(
        told.line("job", "case"),
        "skipped: not looked at: TheHive was not reached"
    );
    assert!(
        check(&good, json!({}), false)
            .line("job", "case")
            .starts_with("ok: #3")
    );
    no_alert_was_touched(&hive);
}

/// Cortex does not tell a job how long it may run.
#[test]
fn a_deadline_that_cortex_does_not_wait_for_is_a_warning() {
    let deadline = |more: Value| {
        let told = on(
            Program::Import,
            &Fake::start(World::five()),
            KEY,
            &more,
            false,
        );
        told.lines("configuration", "deadline")
    };
    for (more, has_warning) in [
        (json!({}), false),
        (json!({"deadline_minutes": 29}), false),
        (json!({"deadline_minutes": 30}), true),
        (json!({"deadline_minutes": 0}), true),
        (json!({"deadline_minutes": 50, "jobTimeout": 60}), false),
        (json!({"deadline_minutes": 25, "jobTimeout": 20}), true),
    ] {
        let lines = deadline(more.clone());
        assert_eq!(lines.len(), usize::from(has_warning), "{more}");
        assert!(
            lines.iter().all(|line| line.contains("\"jobTimeout\"")),
            "{lines:?}"
        );
    }
}
