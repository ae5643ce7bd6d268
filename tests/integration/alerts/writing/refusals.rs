//! What TheHive does not take: one bad value, technique or template never costs the alert, nor is it tried for ever.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::program::{counts, full, of};
use crate::thehive::Version;

fn is_five(desk: &Desk) -> bool {
    desk.thehive.world().version == Version::Five
}

fn technique(name: &str) -> String {
    format!("misp-galaxy:mitre-attack-pattern=\"{name}\"")
}

fn procedures(desk: &Desk) -> Vec<Value> {
    desk.thehive
        .world()
        .procedures
        .iter()
        .map(|(_, one)| one["patternId"].clone())
        .collect()
}

#[test]
fn a_refused_value_costs_neither_the_alert_nor_its_neighbours() {
    for desk in Desk::small(1) {
        desk.add("1", "domain", "bad.example", |one| one.to_ids = true);
        desk.add("1", "domain", "good.example", |one| one.to_ids = true);
        desk.thehive.world().refuses.push("bad.example".into());
        let report = desk.import();
        let told = full(&report);
        assert_eq!(
            desk.data("1"),
            ["192.0.2.1", "Text 1", "good.example", "host-1.example"]
        );
        assert_eq!(counts(told, "events"), of([("fetched", 1), ("created", 1)]));
        assert_eq!(
            counts(told, "attributes"),
            of([("fetched", 5), ("created", 4), ("failed", 1)])
        );
        assert!(
            told["message"].as_str().unwrap().starts_with("INCOMPLETE:"),
            "{told:#}"
        );
        assert!(
            told["message"].as_str().unwrap().contains("bad.example"),
            "{told:#}"
        );
        assert!(desk.line("1").unwrap().contains("complete=yes"));
        assert!(!desk.has_tag("1", "misp:updated"));
        desk.rests();
        // With the next change it is tried once more, and the rest is not touched.
        desk.change("1", |event| event.info = "Renamed".into());
        desk.import();
        assert_eq!(desk.verbs(), ["POST observable", "PATCH alert"]);
        desk.thehive.world().refuses.clear();
        desk.change("1", |_| ());
        desk.import();
        assert!(desk.observable(&desk.alert("1"), "bad.example").is_some());
        desk.rests();
    }
}

#[test]
fn an_observable_type_that_thehive_lost_costs_only_its_own() {
    for desk in Desk::small(1) {
        desk.thehive
            .world()
            .observable_types
            .retain(|(name, _)| name != "ip");
        desk.import();
        // Its types are asked for, so that it goes as what is there.
        let one = desk.observable(&desk.alert("1"), "192.0.2.1").unwrap();
        assert_eq!(one["dataType"], "other");
        assert!(one["tags"].to_string().contains("misp:type"), "{one:#}");
        desk.rests();
    }
}

#[test]
fn known_techniques_become_procedures_and_unknown_ones_are_told() {
    for desk in Desk::small(2) {
        let (known, unknown) = (
            desk.tag(&technique("Phishing - T1566")),
            desk.tag(&technique("New - T9999")),
        );
        desk.change("1", |event| event.tags = vec![known.clone()]);
        desk.change("2", |event| event.tags = vec![known, unknown]);
        let report = desk.with(json!({"max_parallel": 1}));
        let desk = report;
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 2)])
        );
        let told = full(&report)["connections"][0]["warnings"].to_string();
        if is_five(&desk) {
            assert_eq!(procedures(&desk), ["T1566", "T1566"]);
            assert!(told.contains("technique T9999 is not set"), "{told}");
        } else {
            assert!(
                procedures(&desk).is_empty() && !told.contains("technique"),
                "{told}"
            );
        }
        assert_eq!((desk.data("1").len(), desk.data("2").len()), (3, 3));
        assert!(desk.has_tag("2", &technique("New - T9999")));
        desk.rests();
        // Only a new alert gets them.
        desk.change("1", |event| event.tags.clear());
        desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"]);
    }
}

#[test]
fn a_case_template_is_set_if_it_is_there() {
    for desk in Desk::imported(1, &json!({"case_template": "phishing"})) {
        assert_eq!(desk.alert("1")["caseTemplate"], "phishing");
        desk.rests();
    }
    for desk in Desk::imported(1, &json!({"case_template": "missing"})) {
        assert_eq!(
            (&desk.alert("1")["caseTemplate"], desk.data("1").len()),
            (&Value::Null, 3)
        );
        let told = desk.import().to_string();
        assert!(told.contains("TheHive has no case template"), "{told}");
        desk.rests();
    }
    // One bad value costs neither the alert nor its template.
    for desk in Desk::small(1) {
        let desk = desk.with(json!({"case_template": "phishing"}));
        desk.thehive.world().refuses.push("192.0.2.1".into());
        desk.import();
        assert_eq!(
            (
                desk.alert("1")["caseTemplate"].clone(),
                desk.data("1").len()
            ),
            (json!("phishing"), 2)
        );
    }
}

#[test]
fn what_is_too_long_is_shortened_where_that_is_safe() {
    for desk in Desk::small(2) {
        let desk =
            desk.with(json!({"name": ["A connection with a name beyond the limit of TheHive"]}));
        let tags = ["x", "y"].map(|end| desk.tag(&format!("{}{end}", "t".repeat(200))));
        let long = format!("https://a.example/{}", "p".repeat(5_000));
        desk.change("1", |event| {
            (event.info, event.tags) = ("i".repeat(600), tags.to_vec())
        });
        desk.add("1", "url", &long, |one| {
            (one.to_ids, one.comment) = (true, "Long".into())
        });
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        let alert = desk.alert("1");
        let length = |value: &Value| value.as_str().unwrap().len();
        assert_eq!(
            (length(&alert["title"]), length(&alert["source"])),
            (512, 32)
        );
        let tags = alert["tags"].as_array().unwrap();
        assert!(
            tags.len() == 3 && tags[1] != tags[2] && tags.iter().all(|tag| length(tag) <= 128),
            "{tags:?}"
        );
        let all = desk.observables(&alert);
        let stand_in = all
            .iter()
            .find(|one| one["data"].as_str().unwrap().starts_with("misp-attribute:"))
            .unwrap();
        assert_eq!(
            (&stand_in["ioc"], &stand_in["dataType"]),
            (&json!(false), &json!("other"))
        );
        assert_eq!(stand_in["message"], format!("Long\n\n`{long}`"));
        desk.rests();
        desk.change("1", |event| event.analysis = 2);
        desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"]);
        desk.alter("1", &long, |one| one.deleted = true);
        desk.import();
        assert_eq!(desk.data("1").len(), 3);
        desk.rests();
    }
}

#[test]
fn configured_tags_and_tlp_are_on_everything() {
    let options = json!({"alert_tags": ["from-misp"], "observable_tags": ["seen-by-misp"], "default_tlp": "green"});
    for desk in Desk::imported(2, &options) {
        let red = desk.tag("tlp:red");
        let alert = desk.alert("1");
        assert_eq!(
            (&alert["tlp"], &alert["tags"]),
            (&json!(1), &json!(["src:ORGNAME", "from-misp"]))
        );
        for one in desk.observables(&alert) {
            assert!(
                one["tlp"] == 1
                    && one["tags"]
                        .as_array()
                        .unwrap()
                        .contains(&json!("seen-by-misp")),
                "{one:#}"
            );
        }
        desk.alter("1", "Text 1", |one| one.tags = vec![red]);
        desk.import();
        let tlp = |data: &str| {
            desk.observable(&desk.alert("1"), data).unwrap()["tlp"]
                .as_i64()
                .unwrap()
        };
        assert!(tlp("Text 1") >= 3 && tlp("192.0.2.1") == 1 && desk.alert("1")["tlp"] == 1);
        desk.rests();
    }
}

#[test]
fn hits_on_warninglists_are_told_and_take_nothing_out() {
    for desk in Desk::small(1) {
        desk.add("1", "domain", "google.com", |one| one.to_ids = true);
        let off = desk.run(&{
            let mut job = desk.job();
            job["config"]["warninglists"] = json!("off");
            job
        });
        assert_eq!(
            full(&off)["connections"][0]["events"][0]["warninglisted"],
            Value::Null,
            "{off:#}"
        );
        assert!(
            !desk
                .misp
                .requests()
                .iter()
                .any(|request| request.path.contains("warninglists"))
        );
        let tags = |desk: &Desk| {
            desk.observable(&desk.alert("1"), "google.com").unwrap()["tags"].to_string()
        };
        assert!(!tags(&desk).contains("warninglist"));
        desk.change("1", |_| ());
        let report = desk.import();
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["warninglisted"],
            1,
            "{report:#}"
        );
        assert!(
            tags(&desk).contains(r#"misp:warninglist=\"Top 1000 website from Alexa\""#),
            "{}",
            tags(&desk)
        );
        assert_eq!(
            desk.observable(&desk.alert("1"), "google.com").unwrap()["ioc"],
            true
        );
        desk.rests();
        // A MISP that cannot be asked for them takes no tag away.
        desk.misp.fault(crate::http_fake::Fault {
            on: "/warninglists",
            nth: crate::http_fake::Nth::Always,
            what: crate::http_fake::What::Status(403, "{}".into(), "application/json"),
        });
        desk.change("1", |_| ());
        desk.import();
        assert!(tags(&desk).contains("warninglist"));
    }
}
