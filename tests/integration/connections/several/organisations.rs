//! Which TheHive organisations may use a connection.

use serde_json::{Value, json};

use crate::alerts::writing::desk::Desk as Imports;
use crate::desk::Desk;
use crate::misp::{self, Fake, key};
use crate::program::{counts, failure, full, of};
use crate::thehive::World;

fn names(report: &Value) -> Vec<&str> {
    full(report)["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect()
}

#[test]
fn an_export_goes_only_where_its_organisation_may() {
    for world in [World::four(), World::five()] {
        let desk = Desk::new(world, &json!({}));
        desk.ioc("domain", "evil.example", &json!({}));
        let second = Fake::start(misp::World::new());
        let mut job = desk.job();
        let config = job["config"].as_object_mut().unwrap();
        let lists = json!({
            "name": ["one", "two"], "url": [desk.misp.url(), second.url()], "key": [key("admin"), key("admin")],
            "purpose": ["ExportOnly"],
            "connection_settings": [{"name": "two", "include_thehive_organisations": ["soc"]}],
        });
        config.extend(lists.as_object().unwrap().clone());
        let report = desk.report(job.clone());
        assert_eq!(names(&report), ["one"]);
        let warning = "connection \"two\" is not for TheHive's organisation \"cert\" (\"include_thehive_organisations\"): \
                       nothing is exported to it";
        assert!(
            full(&report)["warnings"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one == warning),
            "{report:#}"
        );
        assert!(second.requests().is_empty());
        // All are denied: nothing is asked of any MISP.
        job["config"]["exclude_thehive_organisations"] = json!(["CERT"]);
        job["config"]["connection_settings"] = json!(null);
        let report = desk.report(job.clone());
        let message = failure(&report);
        assert!(
            message.contains("connection \"one\" is not for TheHive's organisation \"cert\""),
            "{message}"
        );
        assert!(desk.misp.requests().is_empty() && second.requests().is_empty());
        // Where it is not known who asks, nobody may.
        job["parameters"] = json!({});
        let report = desk.report(job.clone());
        assert!(
            failure(&report).contains("it is not known for which one this job runs"),
            "{report:#}"
        );
        // A case that its organisation cannot see is an error.
        job["config"]["exclude_thehive_organisations"] = json!(null);
        job["parameters"] = json!({"organisation": "soc"});
        let report = desk.report(job);
        assert!(failure(&report).contains("may not see it"), "{report:#}");
    }
}

/// TheHive 4 shows the case to whoever names its organisation (`fixtures/wire/thehive/520-query-other-organisation-by-header.json`).
#[test]
fn a_key_of_another_organisation_exports_nothing() {
    for theirs in ["theirs", "nowhere"] {
        let desk = Desk::new(World::four(), &json!({}));
        desk.ioc("domain", "evil.example", &json!({}));
        desk.thehive.world().give(&desk.case, "theirs");
        let mut job = desk.job();
        job["parameters"] = json!({"organisation": theirs});
        let report = desk.report(job);
        let message = failure(&report);
        assert!(
            message.contains("is no user of the organisation") && message.contains(theirs),
            "{message}"
        );
        assert!(
            message.contains("thehive_key") && message.contains("cert"),
            "{message}"
        );
        assert!(
            desk.thehive
                .requests()
                .iter()
                .all(|request| request.path == "/api/v1/user/current")
        );
        assert!(desk.misp.requests().is_empty());
    }
}

#[test]
fn an_import_writes_only_for_organisations_that_may() {
    for desk in Imports::small(1) {
        let desk =
            desk.with(json!({"thehive_organisations": ["cert", "soc"], "exclude_thehive_organisations": ["soc"]}));
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)])
        );
        let owners: Vec<_> = desk
            .thehive
            .world()
            .owners
            .values()
            .map(|owner| owner.organisation.clone())
            .collect();
        assert!(owners.iter().all(|owner| owner == "cert"), "{owners:?}");
        let warning = &full(&report)["connections"][0]["warnings"][0];
        assert!(
            warning
                .as_str()
                .unwrap()
                .contains("not for TheHive's organisation \"soc\""),
            "{warning}"
        );
        let denied = desk.with(json!({"exclude_thehive_organisations": ["soc", "cert"]}));
        let report = denied.import();
        let message = failure(&report);
        assert!(
            message.contains("none of those that get the alerts may use it"),
            "{message}"
        );
        assert!(
            message.contains("\"soc\"") && message.contains("\"cert\""),
            "{message}"
        );
    }
}

/// Without `thehive_organisations` it is the one of the key's user.
#[test]
fn the_users_own_organisation_counts_too() {
    for desk in Imports::small(1) {
        let desk = desk.with(json!({"include_thehive_organisations": ["cert"]}));
        assert_eq!(
            counts(full(&desk.import()), "events"),
            of([("fetched", 1), ("created", 1)])
        );
        let desk = desk.with(json!({"include_thehive_organisations": ["soc"]}));
        let report = desk.import();
        assert!(
            failure(&report).contains("is not for TheHive's organisation \"cert\""),
            "{report:#}"
        );
        desk.wrote_nothing();
    }
}

#[test]
fn reports_and_clicks_are_for_the_organisation_that_the_job_names() {
    let [desk, _] = Imports::small(1);
    let desk = desk.with(json!({"include_thehive_organisations": ["cert"], "thehive_url": null, "thehive_key": null}));
    let said = |data_type: &str, data: &str, organisation: Value| {
        let mut job = desk.job();
        job["dataType"] = json!(data_type);
        job["data"] = json!(data);
        job["parameters"] = json!({"organisation": organisation});
        let report = desk.run(&job);
        let denied = report["errorMessage"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            denied.is_empty() || desk.misp.requests().is_empty(),
            "{denied}"
        );
        denied
    };
    for (data_type, data) in [("other", "misp:sync"), ("domain", "evil.example")] {
        assert_eq!(said(data_type, data, json!("cert")), "");
        assert!(
            said(data_type, data, json!("soc"))
                .contains("is not for TheHive's organisation \"soc\"")
        );
        assert!(
            said(data_type, data, json!(null))
                .contains("it is not known for which one this job runs")
        );
    }
}
