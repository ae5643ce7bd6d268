//! The jobs that a real Cortex 4.1.0 wrote for clicks in a real TheHive 4.1.24 (`fixtures/jobs/*_cortex41.json`), with the fakes in
//! place of the servers: they do what the click did.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Program, counts, failure, full, of};
use crate::scenarios::World;
use crate::thehive::{self, KEY};

/// The case that was clicked on, and its observables, where the jobs say they are.
const CASE: &str = "~13410328";

struct Desk {
    misp: World,
    thehive: thehive::Fake,
}

impl Desk {
    /// A TheHive with the case as it was when it was clicked on: TheHive sends no observables along.
    fn new() -> Self {
        let mut world = thehive::World::four();
        world.users[0].organisations = vec!["cortexsoc".to_owned()];
        let case = job_of("responder_case_cortex41")["data"].clone();
        world.add_case(
            case["caseId"].as_u64().unwrap(),
            case["title"].as_str().unwrap(),
            &fields(&case, &[]),
        );
        world.give(CASE, "cortexsoc");
        for name in [
            "responder_case_artifact_cortex41",
            "responder_case_artifact_file_cortex41",
        ] {
            world.add_observable(
                CASE,
                &fields(&job_of(name)["data"], &["case", "stats", "reports"]),
            );
        }
        Self {
            misp: World::fake(),
            thehive: thehive::Fake::start(world),
        }
    }

    /// The job with the addresses and keys of these servers.
    fn job(&self, name: &str) -> Value {
        let mut job = job_of(name);
        let config = job["config"].as_object_mut().unwrap();
        config.insert("url".to_owned(), json!([self.misp.url()]));
        config.insert("key".to_owned(), json!([self.misp.key("orgadmin")]));
        if config.contains_key("thehive_url") {
            config.insert("thehive_url".to_owned(), json!(self.thehive.url()));
            config.insert("thehive_key".to_owned(), json!(KEY));
        }
        job
    }

    /// Runs the job as Cortex does.
    fn run(&self, name: &str) -> Value {
        let program = if name.starts_with("responder") {
            Program::Export
        } else {
            Program::Import
        };
        program.folder(&self.job(name), tempfile::tempdir().unwrap().path())
    }

    /// What the only event holds.
    fn lines(&self) -> (String, Vec<String>) {
        let rows = self.misp.done("admin", "/events/index", &json!({}));
        let [row] = rows.as_array().unwrap().as_slice() else {
            panic!("{rows:#}")
        };
        let stored = self.misp.event(row["uuid"].as_str().unwrap());
        (stored.head(), stored.lines())
    }
}

fn job_of(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("fixtures/jobs/{name}.json")).unwrap())
        .unwrap()
}

/// What TheHive holds of something that it sent, but for these fields.
fn fields(sent: &Value, but: &[&str]) -> Value {
    let mut fields = sent.as_object().unwrap().clone();
    fields.retain(|name, value| {
        !value.is_null()
            && !["id", "_type", "caseId", "permissions", "customFields"].contains(&name.as_str())
            && !but.contains(&name.as_str())
    });
    fields.into()
}

const DOMAIN: &str = "Network activity/domain jobs.jobs.example ids # Nachricht é";

#[test]
fn a_click_on_a_case_exports_its_iocs() {
    let desk = Desk::new();
    let report = desk.run("responder_case_cortex41");
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    let (head, lines) = desk.lines();
    assert!(
        head.starts_with("Fall – job inputs « é »: distribution 0, threat 1, "),
        "{head}"
    );
    assert_eq!((lines.len(), lines[0].as_str()), (6, DOMAIN), "{lines:#?}");
    let tag = report["operations"][0]["tag"].as_str().unwrap();
    assert!(
        tag.starts_with("misp:event=\"misp-corp:")
            && report["operations"].as_array().unwrap().len() == 1
    );
    // The second click.
    let report = desk.run("responder_case_cortex41");
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("unchanged", 2)])
    );
}

#[test]
fn a_click_on_an_observable_exports_it_alone() {
    let desk = Desk::new();
    let report = desk.run("responder_case_artifact_cortex41");
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(desk.lines().1, [DOMAIN]);
}

#[test]
fn a_click_on_a_file_exports_its_hashes() {
    let desk = Desk::new();
    let report = desk.run("responder_case_artifact_file_cortex41");
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    let lines = desk.lines().1;
    assert!(
        lines
            .iter()
            .any(|line| line.contains("filename évil job.bin ids # sample in file as filename")),
        "{lines:#?}"
    );
    for hash in [
        "8e47648acc27f9c73bd0b0f5df3667f5",
        "55869ba21a582215775a301bfd39a259f6383731",
    ] {
        assert!(lines.iter().any(|line| line.contains(hash)), "{lines:#?}");
    }
}

/// What Cortex hands over of an alert has no observables: it is read from TheHive, where this one is not, or which is not set.
#[test]
fn a_click_on_an_alert_wants_that_alert_in_thehive() {
    let cases = [
        (
            "responder_alert_cortex41",
            "the alert does not exist, or the user of",
        ),
        (
            "responder_alert_nulls_cortex41",
            "the job carries no observables, as is usual",
        ),
    ];
    for (name, words) in cases {
        let desk = Desk::new();
        let report = desk.run(name);
        assert!(failure(&report).contains(words), "{report:#}");
        assert_eq!(desk.misp.rows().len(), 0);
    }
}

#[test]
fn a_click_on_an_address_looks_it_up() {
    let desk = Desk::new();
    let event =
        json!({"Attribute": [{"type": "ip-dst", "value": "198.51.100.222", "to_ids": true}]});
    let uuid = desk.misp.add_event("other", &event);
    desk.misp.publish("admin", &uuid);
    let report = desk.run("analyzer_ip_cortex41");
    assert_eq!(
        full(&report)["message"],
        "1 event knows 198.51.100.222 on 1 connection (1 with an IDS attribute)"
    );
    assert_eq!(full(&report)["connections"][0]["events"][0]["uuid"], uuid);
}
