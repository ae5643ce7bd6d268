//! Names in filters: those that do not exist on a server, and what it is asked for.

use serde_json::{Value, json};

use super::{job, report, varied};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, Tag, World, key};
use crate::program::{Program, counts, failure, full, of};

fn run(misp: &Fake, options: &Value) -> Value {
    report(job(misp, options.as_object().unwrap()))
}

fn part(report: &Value) -> &Value {
    &full(report)["connections"][0]
}

fn warnings(report: &Value) -> Vec<&str> {
    part(report)["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The bodies of the questions for events.
fn asked(misp: &Fake) -> Vec<Value> {
    misp.requests()
        .into_iter()
        .filter(|one| one.path.starts_with("/events/index"))
        .map(|one| one.body)
        .collect()
}

/// The questions for names.
fn looked_up(misp: &Fake) -> Vec<String> {
    let paths = misp.requests().into_iter().map(|request| request.path);
    paths
        .filter(|path| path.starts_with("/organisations") || path.starts_with("/tags"))
        .collect()
}

fn by(world: &World, orgc: u64) -> u64 {
    world
        .events
        .iter()
        .filter(|event| event.orgc == orgc)
        .count() as u64
}

#[test]
fn an_unknown_organisation_is_a_warning_and_the_others_are_imported() {
    let misp = Fake::start(varied());
    let report = run(
        &misp,
        &json!({"include_organisations": ["Nobody", "partnerorg"]}),
    );
    let partners = by(&misp.world(), 2);
    assert!(partners > 5);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", partners), ("created", partners)])
    );
    assert_eq!(
        warnings(&report),
        ["include_organisations: \"Nobody\" does not exist on this server"]
    );
    assert_eq!(
        part(&report)["asked_for"],
        json!(["organisations: PartnerOrg (2)"])
    );
    assert!(
        asked(&misp).iter().all(|body| body["org"] == json!(["2"])),
        "{:?}",
        asked(&misp)
    );
}

#[test]
fn an_include_list_of_which_nothing_exists_imports_nothing() {
    for (options, option) in [
        (
            json!({"include_organisations": ["Nobody", "99"]}),
            "include_organisations",
        ),
        (
            json!({"include_tags": ["no:such", "nor:*:such"]}),
            "include_tags",
        ),
    ] {
        let misp = Fake::start(varied());
        let report = run(&misp, &options);
        let error = failure(&report);
        assert!(
            error.contains(&format!("nothing of \"{option}\" exists on this server")),
            "{error}"
        );
        assert!(
            options[option]
                .as_array()
                .unwrap()
                .iter()
                .all(|name| error.contains(name.as_str().unwrap())),
            "{error}"
        );
        assert!(asked(&misp).is_empty());
    }
}

#[test]
fn a_connection_that_lacks_the_names_does_not_stop_the_others() {
    let (known, unknown) = (Fake::start(varied()), Fake::start(varied()));
    unknown.world().organisations[1].name = "Another".into();
    let mut both = job(
        &unknown,
        json!({"include_organisations": ["PartnerOrg"]})
            .as_object()
            .unwrap(),
    );
    both["config"]["name"] = json!(["first", "second"]);
    both["config"]["url"] = json!([unknown.url(), known.url()]);
    both["config"]["key"] = json!([key("admin"), key("partner")]);
    let report = report(both);
    let full = full(&report);
    assert!(
        full["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: "),
        "{}",
        full["message"]
    );
    assert!(
        full["connections"][0]["error"]
            .as_str()
            .unwrap()
            .contains("nothing of \"include_organisations\"")
    );
    assert_eq!(
        full["connections"][1]["ledger"]["events"]["created"],
        by(&known.world(), 2)
    );
}

#[test]
fn unknown_names_in_exclude_lists_are_warnings_only() {
    let misp = Fake::start(varied());
    let report = run(
        &misp,
        &json!({"exclude_organisations": ["Nobody"], "exclude_tags": ["no:such", "nor:*", "tlp:*"]}),
    );
    let expected = [
        "exclude_organisations: \"Nobody\" does not exist on this server",
        "exclude_tags: \"no:such\" does not exist on this server",
        "exclude_tags: \"nor:*\" does not exist on this server",
    ];
    assert_eq!(warnings(&report), expected);
    assert!(counts(full(&report), "events")["created"] > 5);
    assert_eq!(
        part(&report)["asked_for"],
        Value::Null,
        "what is excluded is not pushed, so that the ledger names it"
    );
}

#[test]
fn tags_are_asked_for_by_number_in_every_spelling_and_patterns_not_at_all() {
    let misp = Fake::start(varied());
    let report = run(&misp, &json!({"include_tags": ["TLP:GREEN"]}));
    assert_eq!(
        part(&report)["asked_for"],
        json!(["tags: tlp:green (72), TLP:Green (9001)"])
    );
    assert!(
        asked(&misp)
            .iter()
            .all(|body| body["tag"] == json!(["72", "9001"]))
    );
    let before = asked(&misp).len();
    for tags in [
        json!(["TLP:GREEN", "pap:*"]),
        json!(["tlp:green", "no:such"]),
    ] {
        let report = run(&misp, &json!({"include_tags": tags}));
        assert_eq!(part(&report)["asked_for"], Value::Null);
    }
    assert!(
        asked(&misp).len() > before + 1
            && asked(&misp)[before..]
                .iter()
                .all(|body| body.get("tag").is_none())
    );
}

#[test]
fn what_was_asked_for_stands_in_the_report_once() {
    let misp = Fake::start(varied());
    let options = json!({
        "include_organisations": ["1", "ORGNAME", "PartnerOrg"], "min_threat_level": "medium",
        "include_analysis": ["initial", "ongoing"], "include_distributions": [0, 3], "window_days": 200,
    });
    let report = run(&misp, &options);
    let lines = json!([
        "organisations: ORGNAME (1), PartnerOrg (2)",
        "threat level: medium or higher",
        "analysis: initial, ongoing",
        "distribution: 0, 3"
    ]);
    assert_eq!(part(&report)["asked_for"], lines);
    let bodies = asked(&misp);
    assert_eq!(bodies.len(), 2, "a window is asked for twice");
    for body in bodies {
        assert_eq!(
            (&body["org"], &body["threatlevel"]),
            (&json!(["1", "2"]), &json!(["1", "2"]))
        );
        assert_eq!(
            (&body["analysis"], &body["distribution"]),
            (&json!(["0", "1"]), &json!(["0", "3"]))
        );
    }
}

#[test]
fn names_are_looked_up_once_and_only_if_there_are_any() {
    let misp = Fake::start(varied());
    run(
        &misp,
        &json!({"min_threat_level": "low", "max_age_days": 100, "include_event_info": "a"}),
    );
    assert_eq!(looked_up(&misp), Vec::<String>::new());
    let options = json!({
        "include_organisations": ["1", "2"], "exclude_organisations": ["3"], "include_tags": ["tlp:green", "tlp:red"],
        "exclude_tags": ["PAP:RED"], "window_days": 200,
    });
    run(&misp, &options);
    assert_eq!(
        looked_up(&misp),
        ["/organisations/index/scope:all", "/tags/search"]
    );
}

/// `Security.hide_organisation_index_from_users`, or a version that knows no such question.
#[test]
fn lists_that_are_not_shown_are_no_reason_to_import_nothing() {
    let misp = Fake::start(World {
        hides_organisations: true,
        ..varied()
    });
    let mut hidden = job(
        &misp,
        json!({"include_organisations": ["PartnerOrg", "Nobody"]})
            .as_object()
            .unwrap(),
    );
    hidden["config"]["key"] = json!([key("partner")]);
    let shown = report(hidden);
    let partners = by(&misp.world(), 2);
    let found = counts(full(&shown), "events");
    assert_eq!(found["created"], partners);
    assert!(found["skipped"] > 5, "the server was not asked to filter");
    assert!(
        matches!(warnings(&shown).as_slice(), [one] if one.contains("does not show its list of organisations"))
    );
    for status in [404, 405] {
        misp.heal();
        misp.fault(Fault {
            on: "/tags/",
            nth: Nth::Always,
            what: What::Status(status, "{}".into(), "application/json"),
        });
        let report = run(&misp, &json!({"exclude_tags": ["no:such"]}));
        let told = warnings(&report);
        assert!(
            told.iter()
                .any(|one| one.contains("does not show its list of tags")),
            "{told:?}"
        );
    }
    misp.heal();
    misp.fault(Fault {
        on: "/tags/",
        nth: Nth::Always,
        what: What::Status(500, "{}".into(), "application/json"),
    });
    let report = run(&misp, &json!({"exclude_tags": ["no:such"]}));
    assert!(
        failure(&report).contains("/tags/search: 500"),
        "{}",
        failure(&report)
    );
}

#[test]
fn many_tags_that_are_alike_are_compared_here() {
    let misp = Fake::start(varied());
    let alike = |id: u64, name: &str| Tag {
        id,
        name: name.into(),
        ..Tag::default()
    };
    misp.world().tags.extend([
        alike(9_100, "100x surexxreally"),
        alike(9_101, "notlp:green"),
    ]);
    let report = run(&misp, &json!({"include_tags": ["100% sure_\\really"]}));
    assert_eq!(
        part(&report)["asked_for"],
        json!(["tags: 100% sure_\\really (9002)"])
    );
    let report = run(
        &misp,
        &json!({"include_tags": ["100x_surexxreally", "tlp:red"], "exclude_tags": ["otlp:gr*"]}),
    );
    let expected = [
        "include_tags: \"100x_surexxreally\" does not exist on this server",
        "exclude_tags: \"otlp:gr*\" does not exist on this server",
    ];
    assert_eq!(warnings(&report), expected);
}

#[test]
fn a_feed_has_no_lists_to_look_into() {
    let folder = tempfile::tempdir().unwrap();
    let uuid = "5f0e5b5c-0000-4000-8000-000000000001";
    let head = json!({"uuid": uuid, "info": "of a feed", "date": "2024-02-29", "timestamp": "1709200000", "Orgc": {"name": "CIRCL"}});
    let write = |name: &str, body: Value| {
        std::fs::write(folder.path().join(name), body.to_string()).unwrap()
    };
    write("manifest.json", json!({uuid: head}));
    write(&format!("{uuid}.json"), json!({"Event": head}));
    let created = |options: Value| {
        let mut config = json!({"name": ["feed"], "url": [format!("file://{}", folder.path().display())], "max_age_days": 0, "window_days": 0});
        config
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        let report = Program::Import
            .report(&json!({"dataType": "other", "data": "misp:sync", "config": config}));
        assert_eq!(warnings(&report), Vec::<&str>::new());
        assert_eq!(part(&report)["asked_for"], Value::Null);
        full(&report)["ledger"]["events"]["created"].clone()
    };
    assert_eq!(
        created(
            json!({"include_organisations": ["circl", "Nobody"], "skip_own_organisation": true})
        ),
        1
    );
    assert_eq!(created(json!({"include_organisations": ["Nobody"]})), 0);
    assert_eq!(
        created(json!({"exclude_tags": ["no:such"], "min_threat_level": "low"})),
        0
    );
}

#[test]
fn events_of_our_own_organisation_are_those_of_the_keys_user() {
    for (user, orgc) in [("admin", 1), ("partner", 2)] {
        let misp = Fake::start(varied());
        misp.world()
            .events
            .iter_mut()
            .for_each(|event| event.distribution = 3);
        let mut own = job(
            &misp,
            json!({"skip_own_organisation": "true"})
                .as_object()
                .unwrap(),
        );
        own["config"]["key"] = json!([key(user)]);
        let report = report(own);
        let skipped = full(&report)["ledger"]["events"]["skipped_by"].clone();
        assert_eq!(
            skipped,
            json!({"of our own organisation": by(&misp.world(), orgc)})
        );
    }
}
