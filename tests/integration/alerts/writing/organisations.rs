//! Alerts in several organisations of TheHive.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::program::{counts, failure, full, of};

const TWO: [&str; 2] = ["cert", "soc"];

/// The organisations that have an alert of an event, by title.
fn holders(desk: &Desk, title: &str) -> Vec<String> {
    let world = desk.thehive.world();
    let of_title = world.alerts.iter().filter(|alert| alert["title"] == title);
    let id = |alert: &Value| alert["_id"].as_str().unwrap().to_owned();
    let mut all: Vec<_> = of_title
        .map(|alert| world.owners[&id(alert)].organisation.clone())
        .collect();
    all.sort();
    all
}

#[test]
fn each_organisation_has_an_alert_of_its_own() {
    for desk in Desk::imported(2, &json!({"thehive_organisations": TWO})) {
        assert_eq!(
            (holders(&desk, "#1 Event 1"), holders(&desk, "#2 Event 2")),
            (
                TWO.map(String::from).to_vec(),
                TWO.map(String::from).to_vec()
            )
        );
        assert_eq!(desk.thehive.world().observables.len(), 12);
        desk.rests();
        desk.change("1", |event| event.info = "Renamed".into());
        desk.add("1", "text", "More", |_| ());
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)])
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 4), ("created", 1), ("unchanged", 3)])
        );
        assert_eq!(holders(&desk, "#1 Renamed"), TWO);
        assert_eq!(desk.thehive.world().observables.len(), 14);
        desk.rests();
    }
}

#[test]
fn an_organisation_that_comes_later_gets_what_is_there() {
    for desk in Desk::imported(2, &json!({})) {
        let desk = desk.with(json!({"thehive_organisations": TWO}));
        desk.change("1", |event| event.info = "Renamed".into());
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        assert_eq!(
            (holders(&desk, "#1 Renamed"), holders(&desk, "#2 Event 2")),
            (
                TWO.map(String::from).to_vec(),
                TWO.map(String::from).to_vec()
            )
        );
        desk.rests();
    }
}

#[test]
fn one_that_lacks_the_right_is_told_before_an_event_is_read() {
    for desk in Desk::small(1) {
        let desk = desk.with(json!({"thehive_organisations": TWO}));
        desk.thehive.world().barred.push("soc".into());
        let report = desk.import();
        let told = full(&report);
        assert_eq!(counts(told, "events"), of([("fetched", 1), ("created", 1)]));
        let message = told["message"].as_str().unwrap();
        assert!(
            message.starts_with("INCOMPLETE") && message.contains("organisation \"soc\""),
            "{message}"
        );
        assert!(
            message.contains("may not create alerts")
                && message.contains("lacks the permission manageAlert"),
            "{message}"
        );
        let requests = desk.thehive.requests();
        assert!(
            !requests
                .iter()
                .any(|one| one.header("x-organisation") == Some("soc") && one.method != "GET")
        );
        assert_eq!(holders(&desk, "#1 Event 1"), ["cert"]);
        let complete = |desk: &Desk| {
            let world = desk.thehive.world();
            world
                .alerts
                .iter()
                .filter(|alert| {
                    alert["description"]
                        .as_str()
                        .unwrap()
                        .contains("complete=yes")
                })
                .count()
        };
        assert_eq!(complete(&desk), 1);
        desk.thehive.world().barred.clear();
        desk.import();
        assert_eq!(
            (holders(&desk, "#1 Event 1"), complete(&desk)),
            (TWO.map(String::from).to_vec(), 2)
        );
        desk.rests();
    }
}

#[test]
fn one_denied_or_unknown_organisation_keeps_no_other_from_its_alerts() {
    for desk in Desk::small(1) {
        // There is an organisation `theirs`, and none that is called `elsewhere`.
        desk.thehive.world().give("~4711", "theirs");
        let desk = desk.with(json!({"thehive_organisations": ["elsewhere", "theirs", "cert"]}));
        let report = desk.import();
        let message = full(&report)["message"].as_str().unwrap();
        assert!(message.starts_with("INCOMPLETE"), "{message}");
        for name in ["elsewhere", "theirs"] {
            assert!(
                message.contains(&format!(
                    "no alerts are written there: TheHive, organisation \"{name}\": "
                )),
                "{message}"
            );
        }
        assert_eq!(holders(&desk, "#1 Event 1"), ["cert"]);
        let desk = desk.with(json!({"thehive_organisations": ["elsewhere"]}));
        assert!(failure(&desk.import()).contains("organisation \"elsewhere\""));
    }
}

/// TheHive takes an organisation's `_id` for its name; what the lists say holds for it all the same.
#[test]
fn an_organisation_by_its_id_is_the_one_of_that_name() {
    for desk in Desk::small(1) {
        let desk = desk.with(json!({"thehive_organisations": ["~of-soc", "cert", "~of-cert"]}));
        let desk = desk.with(json!({"exclude_thehive_organisations": ["SOC"]}));
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(holders(&desk, "#1 Event 1"), ["cert"]);
        assert!(
            full(&report)["connections"][0]["warnings"][0]
                .as_str()
                .unwrap()
                .contains("\"soc\""),
            "{report:#}"
        );
        desk.rests();
    }
}
