//! How many alerts a run makes, of which events, and what it only tells.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, full, of};

fn titles(desk: &Desk) -> Vec<String> {
    let world = desk.thehive.world();
    world
        .alerts
        .iter()
        .map(|alert| alert["title"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_newest_come_first_and_the_rest_with_the_next_runs() {
    for desk in Desk::small(5) {
        let desk = desk.with(json!({"max_new_alerts": 2, "max_parallel": 1}));
        let report = desk.import();
        let told = full(&report);
        assert_eq!(
            counts(told, "events"),
            of([("fetched", 5), ("created", 2), ("skipped", 3)])
        );
        assert_eq!(
            told["ledger"]["events"]["skipped_by"],
            json!({"max_new_alerts": 3})
        );
        assert_eq!(titles(&desk), ["#5 Event 5", "#4 Event 4"]);
        desk.change("4", |event| event.info = "Renamed".into());
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([
                ("fetched", 5),
                ("created", 2),
                ("updated", 1),
                ("unchanged", 1),
                ("skipped", 1)
            ])
        );
        assert_eq!(
            titles(&desk),
            ["#5 Event 5", "#4 Renamed", "#3 Event 3", "#2 Event 2"]
        );
        // Known alerts are looked after before new ones are made.
        assert_eq!(desk.verbs()[0], "PATCH alert");
        desk.import();
        assert_eq!(titles(&desk)[4..], ["#1 Event 1"]);
        desk.rests();
    }
}

#[test]
fn a_jobs_limit_narrows_and_never_widens() {
    for desk in Desk::small(4) {
        let desk = desk.with(json!({"max_new_alerts": 2}));
        let mut job = desk.job();
        job["parameters"]["limit"] = json!(1);
        let report = desk.run(&job);
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({"limit of this job": 3})
        );
        job["parameters"]["limit"] = json!(3);
        let report = desk.run(&job);
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({"max_new_alerts": 1})
        );
        assert_eq!(desk.thehive.world().alerts.len(), 3);
    }
}

#[test]
fn a_dry_run_tells_what_the_real_one_does_and_writes_nothing() {
    for desk in Desk::small(3) {
        let mut parameter = desk.job();
        parameter["parameters"]["dry_run"] = json!(true);
        let mut option = desk.job();
        option["config"]["dry_run"] = json!(true);
        for round in 0..2 {
            let dry = [&parameter, &option].map(|job| {
                let report = desk.run(job);
                desk.wrote_nothing();
                assert_eq!(full(&report)["dry_run"], true);
                assert!(
                    full(&report)["message"]
                        .as_str()
                        .unwrap()
                        .ends_with("(dry run: nothing was written)")
                );
                full(&report)["ledger"].clone()
            });
            let real = full(&desk.import())["ledger"].clone();
            assert_eq!(dry, [real.clone(), real], "round {round}");
            desk.rests();
            desk.change("1", |event| {
                (event.info, event.attributes[1].deleted) = ("Renamed".into(), true)
            });
            desk.add("1", "text", "More", |_| ());
            desk.alter("2", "Text 2", |one| one.comment = "Better".into());
            desk.misp.world().events[2].publish_timestamp += 1;
        }
    }
}

#[test]
fn age_and_size_count_for_new_alerts_only() {
    for desk in Desk::small(3) {
        let desk = desk.with(json!({"max_age_days": 3_650, "max_attributes": 3}));
        desk.import();
        assert_eq!(desk.thehive.world().alerts.len(), 3);
        desk.change("1", |event| event.date = "2001-01-01".into());
        desk.add("2", "text", "One too many", |_| ());
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("updated", 2), ("unchanged", 1)]),
            "{report:#}"
        );
        assert_eq!(
            (&desk.alert("1")["date"], desk.data("2").len()),
            (&json!(978_307_200_000_i64), 4)
        );
        desk.rests();
        desk.thehive.world().alerts.clear();
        let report = desk.import();
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({"older than 3650 days": 1, "more than 3 attributes": 1})
        );
    }
}

#[test]
fn one_event_is_imported_by_its_name() {
    for desk in Desk::small(3) {
        let uuid = desk.misp.world().event("2").unwrap().uuid.clone();
        let mut job = desk.job();
        for name in [
            format!("misp:event:{uuid}"),
            format!("{}/events/view/2", desk.misp.url()),
        ] {
            job["data"] = json!(name);
            desk.change("2", |event| event.info.push('!'));
            let report = desk.run(&job);
            assert_eq!(counts(full(&report), "events")["fetched"], 1, "{report:#}");
            assert!(!desk.writes().is_empty());
            desk.run(&job);
            desk.wrote_nothing();
        }
        assert_eq!(titles(&desk), ["#2 Event 2!!"]);
        job["data"] = json!("misp:event:00000000-0000-4000-8000-000000000000");
        let report = desk.run(&job);
        assert!(
            full(&report)
                .to_string()
                .contains("the event that was asked for is not there"),
            "{report:#}"
        );
        desk.wrote_nothing();
    }
}

#[test]
fn a_click_imports_only_what_it_finds_and_only_if_it_may() {
    for desk in Desk::small(3) {
        let click = |desk: &Desk| {
            let mut job = desk.job();
            (job["dataType"], job["data"], job["parameters"]) =
                (json!("domain"), json!("host-2.example"), json!({}));
            job
        };
        let report = desk.run(&click(&desk));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("found", 1)])
        );
        desk.wrote_nothing();
        let desk = desk.with(json!({"click_imports": true}));
        let report = desk.run(&click(&desk));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 1), ("found", 1)]),
            "{report:#}"
        );
        assert_eq!(titles(&desk), ["#2 Event 2"]);
        assert!(desk.line("2").unwrap().contains("complete=yes"));
        desk.run(&click(&desk));
        desk.wrote_nothing();
        // What a filter hides is not imported.
        let desk = desk.with(json!({"exclude_organisations": ["ORGNAME"]}));
        desk.thehive.world().alerts.clear();
        desk.run(&click(&desk));
        desk.wrote_nothing();
    }
}

#[test]
fn events_of_ones_own_organisation_are_left_out_on_request() {
    for desk in Desk::small(3) {
        let desk = desk.with(json!({"skip_own_organisation": true}));
        desk.misp.world().event_mut("2").unwrap().orgc = 2;
        let report = desk.import();
        let own = &full(&report)["ledger"]["events"]["skipped_by"];
        assert_eq!(
            own.as_object().unwrap().values().collect::<Vec<_>>(),
            [&json!(2)],
            "{own}"
        );
        assert_eq!(titles(&desk), ["#2 Event 2"]);
    }
}

#[test]
fn near_the_end_of_the_time_nothing_is_begun() {
    for desk in Desk::imported(3, &json!({})) {
        desk.change("1", |event| event.info = "Renamed".into());
        let new = desk.misp.world().event("3").unwrap().uuid.clone();
        desk.thehive
            .world()
            .alerts
            .retain(|alert| alert["sourceRef"] != new.as_str());
        let report = desk.run_near_the_end();
        desk.wrote_nothing();
        assert!(
            !desk
                .misp
                .requests()
                .iter()
                .any(|request| request.path.contains("/events/view"))
        );
        assert_eq!(report["success"], false);
        let message = report["errorMessage"].as_str().unwrap();
        assert!(
            message.contains("the deadline is near") && message.contains("failed"),
            "{message}"
        );
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([
                ("fetched", 3),
                ("created", 1),
                ("updated", 1),
                ("unchanged", 1)
            ])
        );
        desk.rests();
    }
}

#[test]
fn several_connections_have_alerts_of_their_own() {
    for desk in Desk::small(2) {
        let other = crate::misp::Fake::start(super::desk::events(1));
        other.world().event_mut("1").unwrap().info = "Of the other".into();
        let mut job = desk.job();
        let lists = json!({
            "name": ["partner", "other"], "url": [desk.misp.url(), other.url()],
            "key": [crate::misp::key("admin"), crate::misp::key("admin")],
        });
        job["config"]
            .as_object_mut()
            .unwrap()
            .extend(lists.as_object().unwrap().clone());
        let told = |report: &Value| {
            let parts = full(report)["connections"].as_array().unwrap().clone();
            parts
                .iter()
                .map(|part| counts(part, "events"))
                .collect::<Vec<_>>()
        };
        let report = desk.run_uncounted(&job);
        assert_eq!(
            told(&report),
            [
                of([("fetched", 2), ("created", 2)]),
                of([("fetched", 1), ("created", 1)])
            ]
        );
        let mut sources: Vec<_> = desk
            .thehive
            .world()
            .alerts
            .iter()
            .map(|alert| alert["source"].as_str().unwrap().to_owned())
            .collect();
        sources.sort();
        assert_eq!(sources, ["other", "partner", "partner"]);
        // One that cannot be reached does not stop the other.
        let what = What::Status(403, "{}".into(), "application/json");
        other.fault(Fault {
            on: "/",
            nth: Nth::Always,
            what,
        });
        desk.change("1", |event| event.info = "Renamed".into());
        let report = desk.run_uncounted(&job);
        assert_eq!(
            told(&report)[0],
            of([("fetched", 2), ("updated", 1), ("unchanged", 1)])
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE:"),
            "{report:#}"
        );
        other.heal();
        desk.run_uncounted(&job);
        desk.wrote_nothing();
    }
}

/// A click is a question first: that its finds cannot be imported takes nothing from the answer.
#[test]
fn a_click_is_answered_though_thehive_is_not_there() {
    for desk in Desk::small(2) {
        let desk = desk.with(json!({"click_imports": true, "thehive_key": "wrong-key-0123456789"}));
        let value = desk.misp.world().event("1").unwrap().attributes[0]
            .value
            .clone();
        let mut job = desk.job();
        job["dataType"] = json!("domain");
        job["data"] = json!(value);
        let report = desk.run_uncounted(&job);
        let told = full(&report);
        let message = told["message"].as_str().unwrap();
        assert!(
            message.starts_with("INCOMPLETE: ") && message.contains("knows")
                || message.contains("know "),
            "{message}"
        );
        assert!(
            message.contains("not imported") && message.contains("check \"thehive_key\""),
            "{message}"
        );
        assert!(
            told["ledger"]["events"]["found"].as_u64().unwrap() > 0,
            "{report:#}"
        );
        job["data"] = json!("nobody-knows.example");
        let message = full(&desk.run_uncounted(&job))["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(message, "no event knows nobody-knows.example");
    }
}
