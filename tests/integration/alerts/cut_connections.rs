//! Imports over a network that breaks: one exchange after the other, with MISP and with TheHive, goes wrong in every way
//! there is. Whatever goes wrong, the report says what is true, the next run completes the alerts, and the one after it
//! writes nothing.

mod faults;
mod killed;
mod racing;
mod slow;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::http_fake::Logged;
use crate::misp::{self, key};
use crate::program::{Program, judged, search};
use crate::proxy::Proxy;
use crate::thehive::{self, Version};

/// Both servers, and proxies in front of them.
struct Stage {
    misp: misp::Fake,
    thehive: thehive::Fake,
    to_misp: Proxy,
    to_thehive: Proxy,
    options: Value,
}

/// What both servers hold at the beginning.
#[derive(Clone)]
struct Start {
    misp: misp::World,
    thehive: thehive::World,
}

fn hive(version: Version) -> thehive::World {
    match version {
        Version::Four => thehive::World::four(),
        Version::Five => thehive::World::five(),
    }
}

impl Stage {
    fn new(start: &Start) -> Self {
        let (misp, thehive) = (
            misp::Fake::start(start.misp.clone()),
            thehive::Fake::start(start.thehive.clone()),
        );
        let (to_misp, to_thehive) = (Proxy::start(&misp.url()), Proxy::start(&thehive.url()));
        Self {
            misp,
            thehive,
            to_misp,
            to_thehive,
            options: json!({"max_parallel": 1}),
        }
    }

    /// No alerts yet.
    fn first(version: Version) -> (Self, Start) {
        let start = Start {
            misp: world::misp(),
            thehive: hive(version),
        };
        (Self::new(&start), start)
    }

    /// No alerts yet, and a TheHive that refuses one of the values: the alert is created without observables at first.
    fn refusing(version: Version) -> (Self, Start) {
        let (_, mut start) = Self::first(version);
        start
            .thehive
            .refuses
            .push("https://evil.example/a".to_owned());
        // Techniques that were not set with the alert are told of and not set later.
        start.misp.event_mut("101").unwrap().tags.truncate(1);
        (Self::new(&start), start)
    }

    /// All alerts are there, and three of the events have changed since.
    fn changed(version: Version) -> (Self, Start) {
        let (stage, _) = Self::first(version);
        assert!(is_complete(&stage.run()));
        world::change(&mut stage.misp.world());
        // What comes now is not taken for what came with its alert.
        stage.thehive.world().now += 3_600_000;
        let start = Start {
            misp: stage.misp.world().clone(),
            thehive: stage.thehive.world().clone(),
        };
        (stage, start)
    }

    /// The same, with an alert that was imported into a case, which gets what is new.
    fn in_case(version: Version) -> (Self, Start) {
        let (mut stage, mut start) = Self::changed(version);
        stage.options["update_cases"] = json!(true);
        let case = start.thehive.add_case(7, "Wave", &json!({}));
        let alert = start
            .thehive
            .alerts
            .iter_mut()
            .find(|alert| alert["title"] == "#101 Phishing wave")
            .unwrap();
        let id = alert["_id"].as_str().unwrap().to_owned();
        let imported = match version {
            Version::Four => json!({"caseId": case, "read": true}),
            Version::Five => json!({"caseId": case, "status": "Imported", "stage": "Imported"}),
        };
        alert
            .as_object_mut()
            .unwrap()
            .extend(imported.as_object().unwrap().clone());
        let inside: Vec<Value> = start.thehive.observables_of(&id).cloned().collect();
        for mut observable in inside {
            observable["_id"] = json!(start.thehive.next_id());
            start.thehive.add_observable(&case, &observable);
        }
        (stage, start)
    }

    fn job(&self) -> Value {
        let mut job = json!({
            "dataType": "other", "data": "misp:sync", "tlp": 0, "pap": 0, "parameters": {"since": "all"},
            "config": {
                "name": ["partner"], "url": [self.to_misp.url()], "key": [key("admin")], "instance": "test.example",
                "thehive_url": self.to_thehive.url(), "thehive_key": thehive::KEY, "max_age_days": 0, "max_attributes": 0,
            },
        });
        job["config"]
            .as_object_mut()
            .unwrap()
            .extend(self.options.as_object().unwrap().clone());
        job
    }

    /// One run in this process.
    fn run(&self) -> Value {
        report(&self.job())
    }

    fn reset(&self, start: &Start) {
        let url = self.misp.url();
        *self.misp.world() = misp::World {
            url,
            ..start.misp.clone()
        };
        let mut thehive = start.thehive.clone();
        thehive.url = self.thehive.url();
        *self.thehive.world() = thehive;
        self.forget();
    }

    fn forget(&self) {
        self.misp.forget_requests();
        self.thehive.forget_requests();
    }

    fn state(&self) -> State {
        state(&self.thehive.world())
    }

    /// The requests that could have changed something.
    fn writes(&self) -> Vec<String> {
        assert_eq!(misp::writes(&self.misp), [""; 0]);
        let requests = self.thehive.requests().into_iter();
        let writes =
            requests.filter(|one| one.method != "GET" && !one.path.starts_with("/api/v1/query"));
        writes
            .map(|one| format!("{} {}", one.method, one.path))
            .collect()
    }

    /// The state after an undisturbed run from this start, and what is asked of MISP and of TheHive.
    fn undisturbed(&self, start: &Start) -> (State, [Vec<String>; 2]) {
        self.reset(start);
        let report = self.run();
        let path = |one: Logged| {
            format!(
                "{} {}",
                one.method,
                one.path.split(['?', ':']).next().unwrap_or_default()
            )
        };
        let asked = [self.misp.requests(), self.thehive.requests()]
            .map(|all| all.into_iter().map(path).collect());
        assert!(report["success"] == true, "{report:#}");
        let done = self.state();
        assert!(done.0.values().all(Alert::is_complete), "{done:#?}");
        let is_in_case = done
            .0
            .get("case")
            .is_none_or(|case| case.observables.contains_key("ip 198.51.100.99"));
        assert!(is_in_case, "{done:#?}");
        self.forget();
        self.run();
        assert_eq!(self.writes(), [""; 0]);
        (done, asked)
    }

    fn sides(&self) -> [&Proxy; 2] {
        [&self.to_misp, &self.to_thehive]
    }

    /// The next run completes the alerts, and the one after it has nothing to write; else what is wrong.
    fn completes(&self, done: &State) -> Result<(), String> {
        self.forget();
        let report = self.run();
        let difference = difference(&self.state(), done);
        if report["success"] != true || !difference.is_empty() {
            return Err(format!(
                "is not completed: {difference:?} {:?} {:#}",
                self.writes(),
                told(&report)
            ));
        }
        if self.writes().is_empty() {
            return Ok(());
        }
        self.forget();
        self.run();
        let writes = self.writes();
        if writes.is_empty() {
            Ok(())
        } else {
            Err(format!("writes again: {writes:?}"))
        }
    }
}

/// What a report says in a few lines.
fn told(report: &Value) -> Value {
    let part = &report["full"]["connections"][0];
    json!([
        report["errorMessage"],
        report["full"]["message"],
        part["error"],
        part["warnings"]
    ])
}

/// How what is there differs from what should be.
fn difference(now: &State, done: &State) -> Vec<String> {
    let mut all = Vec::new();
    let empty = Alert {
        fields: json!({}),
        observables: BTreeMap::new(),
    };
    let events: BTreeSet<_> = now.0.keys().chain(done.0.keys()).collect();
    for event in events {
        let [one, other] = [now, done].map(|state| state.0.get(event).unwrap_or(&empty));
        let fields: BTreeSet<_> = [one, other]
            .iter()
            .flat_map(|alert| alert.fields.as_object().unwrap().keys())
            .collect();
        let fields = fields
            .into_iter()
            .map(|name| (name, &one.fields[name], &other.fields[name]));
        let names: BTreeSet<_> = one
            .observables
            .keys()
            .chain(other.observables.keys())
            .collect();
        let parts = names.into_iter().map(|name| {
            (
                name,
                one.observables.get(name).unwrap_or(&Value::Null),
                other.observables.get(name).unwrap_or(&Value::Null),
            )
        });
        let differs = fields.chain(parts).filter(|(_, now, done)| now != done);
        all.extend(differs.map(|(name, now, done)| {
            format!("{} {name}: {now} and not {done}", &event[event.len() - 2..])
        }));
    }
    all
}

/// A report of one run in this process, judged like one of the program.
fn report(job: &Value) -> Value {
    let report = runtime::report_without_waiting::<Import>(job.clone());
    let text = report.to_string();
    search(job, &text);
    judged(Program::Import, text.as_bytes())
}

fn is_complete(report: &Value) -> bool {
    report["success"] == true
        && !report["full"]["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE")
}

/// An alert and what it has, without numbers and times.
#[derive(Clone, Debug, PartialEq)]
struct Alert {
    fields: Value,
    observables: BTreeMap<String, Value>,
}

impl Alert {
    fn is_complete(&self) -> bool {
        self.fields["description"]
            .as_str()
            .is_none_or(|text| text.contains(" complete=yes "))
    }
}

/// The alerts by the uuids of their events; and a case, of which only what is in it counts.
#[derive(Clone, Debug, PartialEq)]
struct State(BTreeMap<String, Alert>);

/// What a TheHive holds. Breaks if anything is there twice.
fn state(world: &thehive::World) -> State {
    let mut alerts = BTreeMap::new();
    for alert in &world.alerts {
        let id = alert["_id"].as_str().unwrap();
        let names = [
            "title",
            "description",
            "severity",
            "date",
            "tlp",
            "pap",
            "externalLink",
            "read",
            "status",
            "follow",
        ];
        let mut fields: Value = names
            .iter()
            .map(|name| ((*name).to_owned(), alert[*name].clone()))
            .collect();
        fields["tags"] = sorted(&alert["tags"]);
        let procedures = world.procedures.iter().filter(|(of, _)| of == id);
        fields["procedures"] = procedures
            .map(|(_, one)| one["patternId"].clone())
            .collect();
        let observables = observables(world, id);
        let event = alert["sourceRef"].as_str().unwrap().to_owned();
        assert!(
            alerts
                .insert(
                    event.clone(),
                    Alert {
                        fields,
                        observables
                    }
                )
                .is_none(),
            "twice: {event}"
        );
    }
    if let Some(case) = world.cases.first() {
        let observables = observables(world, case["_id"].as_str().unwrap());
        alerts.insert(
            "case".to_owned(),
            Alert {
                fields: json!({}),
                observables,
            },
        );
    }
    State(alerts)
}

/// What is in an alert or a case, by type and value.
fn observables(world: &thehive::World, parent: &str) -> BTreeMap<String, Value> {
    let mut observables = BTreeMap::new();
    for one in world.observables_of(parent) {
        let name = format!(
            "{} {}",
            one["dataType"].as_str().unwrap(),
            one["data"].as_str().unwrap()
        );
        let is = json!({
            "tlp": one["tlp"], "ioc": one["ioc"], "sighted": one["sighted"], "message": one["message"], "tags": sorted(&one["tags"]),
        });
        assert_eq!(observables.insert(name.clone(), is), None, "twice: {name}");
    }
    observables
}

fn sorted(tags: &Value) -> Value {
    let mut tags: Vec<&str> = tags
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    let number = tags.len();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), number, "a tag is there twice: {tags:?}");
    json!(tags)
}

/// What a report says that is not true. A failure has changed nothing; an alert that is said to be there is as it should
/// be; one that failed is not, unless nobody could look; and a run that does not say it is incomplete is complete.
fn lies(report: &Value, before: &State, now: &State, done: &State) -> Vec<String> {
    if report["success"] == false {
        return difference(now, before)
            .into_iter()
            .map(|one| format!("a failure changed {one}"))
            .collect();
    }
    let part = &report["full"]["connections"][0];
    let warnings = part["warnings"].as_array().into_iter().flatten();
    // Without their tags nobody claims that the alerts are complete.
    let is_warned = warnings
        .into_iter()
        .any(|one| one.to_string().contains("MISP's warninglists"));
    let is_wrong = |line: &&Value| {
        let uuid = line["uuid"].as_str().unwrap();
        let [before, now, done] = [before, now, done].map(|state| state.0.get(uuid));
        let is_done = is_warned || now == done;
        match line["verdict"].as_str().unwrap() {
            "created" => !is_done || before.is_some() || now.is_none(),
            "updated" => !is_done || now == before,
            "unchanged" => !is_done,
            "failed" => !line["reason"].as_str().unwrap().contains("not verified") && now == done,
            "skipped" => now != before,
            other => panic!("{other}: {line}"),
        }
    };
    let lines = part["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(is_wrong);
    let mut lies: Vec<_> = lines.map(ToString::to_string).collect();
    if is_complete(report) && !is_warned && now != done {
        lies.push("it says that it is complete".to_owned());
    }
    if !lies.is_empty() {
        lies.push(format!("{:?} {:#}", difference(now, done), told(report)));
    }
    lies
}
