//! A case in a fake TheHive, a fake MISP, and what the exports between them change.

use cortex_misp::export::{Export, event_tags};
use cortex_misp::ids::{EventRole, Ids};
use cortex_misp::runtime;
use cortex_misp::secret::Secret;
use serde_json::{Value, json};

use crate::misp::{self, Attribute, Event, key};
use crate::program::{Program, full, judged, search};
use crate::thehive;

/// One case, and the MISP that it goes to.
pub(super) struct Desk {
    pub(super) thehive: thehive::Fake,
    pub(super) misp: misp::Fake,
    pub(super) case: String,
}

impl Desk {
    pub(super) fn four() -> Self {
        Self::with(thehive::World::four())
    }

    pub(super) fn five() -> Self {
        Self::with(thehive::World::five())
    }

    pub(super) fn both() -> [Self; 2] {
        [Self::four(), Self::five()]
    }

    fn with(mut world: thehive::World) -> Self {
        let case = world.add_case(
            42,
            "Phishing wave",
            &json!({"tlp": 2, "pap": 2, "severity": 2}),
        );
        let (thehive, misp) = (
            thehive::Fake::start(world),
            misp::Fake::start(misp::World::new()),
        );
        Self {
            thehive,
            misp,
            case,
        }
    }

    /// Adds an observable and gives its `_id`.
    pub(super) fn add(&self, observable: &Value) -> String {
        self.thehive.world().add_observable(&self.case, observable)
    }

    /// Adds the IOCs `host-0.example`, `host-1.example` and so on.
    pub(super) fn add_domains(&self, number: usize) {
        (0..number).for_each(|n| drop(self.add(&domain(&format!("host-{n}.example")))));
    }

    /// Changes one field of the observable at this place.
    pub(super) fn set(&self, at: usize, field: &str, value: Value) {
        let mut world = self.thehive.world();
        let record = &mut world.observables[at].record;
        record
            .as_object_mut()
            .unwrap()
            .shift_remove(&format!("{field}Label"));
        record[field] = value;
    }

    /// Sets or takes the IOC flag of the observable at this place.
    pub(super) fn flag(&self, at: usize, ioc: bool) {
        self.set(at, "ioc", json!(ioc));
    }

    /// Takes the IOC flag of the first so many.
    pub(super) fn unflag_first(&self, number: usize) {
        (0..number).for_each(|at| self.flag(at, false));
    }

    pub(super) fn entitle(&self, title: &str) {
        self.thehive.world().cases[0]["title"] = json!(title);
    }

    pub(super) fn tag(&self, tags: &[String]) {
        self.thehive.world().cases[0]["tags"] = json!(tags);
    }

    /// The case as TheHive sends it: the observables are to be read.
    pub(super) fn job(&self) -> Value {
        json!({
            "dataType": "thehive:case", "tlp": 2, "pap": 2, "data": {"_id": self.case},
            "parameters": {"organisation": "cert", "user": "analyst@example.org"},
            "config": {
                "name": ["misp-corp"], "url": [self.misp.url()], "key": [key("orgadmin")], "instance": "test.example",
                "thehive_url": self.thehive.url(), "thehive_key": thehive::KEY, "check_tlp": false, "check_pap": false,
            },
        })
    }

    /// The same with one more option.
    pub(super) fn job_with(&self, option: &str, value: Value) -> Value {
        let mut job = self.job();
        job["config"][option] = value;
        job
    }

    /// A click on a single observable, which the job carries as TheHive holds it.
    pub(super) fn click(&self, at: usize) -> Value {
        let mut job = self.job();
        job["dataType"] = json!("thehive:case_artifact");
        job["data"] = self.thehive.world().observables[at].record.clone();
        job
    }

    /// Exports the case, and forgets what was asked before.
    pub(super) fn export(&self) -> Value {
        self.run(&self.job())
    }

    /// Runs a job, and forgets what was asked before. Whatever it was, nothing was published by it, and the report knows
    /// how many requests it took.
    pub(super) fn run(&self, job: &Value) -> Value {
        self.misp.forget_requests();
        self.thehive.forget_requests();
        let report = run(job);
        for request in self.misp.requests() {
            assert!(!request.path.contains("publish"), "{}", request.path);
            assert_ne!(request.body["Event"]["published"], true, "{}", request.path);
        }
        if let [part] = report["full"]["connections"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
        {
            assert_eq!(part["requests"], self.misp.requests().len(), "{report:#}");
        }
        report
    }

    /// The tag that an export leaves on the case for an event.
    pub(super) fn event_tag(&self, connection: &str, uuid: &str) -> String {
        self.tag_of("cert", connection, uuid)
    }

    /// The same, if it was done for this organisation of TheHive.
    pub(super) fn tag_of(&self, organisation: &str, connection: &str, uuid: &str) -> String {
        let key = Secret::new(&key("orgadmin"));
        let world = self.thehive.world();
        let case = world
            .cases
            .iter()
            .find(|case| case["_id"] == json!(self.case))
            .unwrap();
        let created = case["_createdAt"].as_i64().unwrap().to_string();
        let name = event_tags::CaseName {
            id: &self.case,
            created: &created,
            organisation,
            title: "",
            event_info: "",
            role: EventRole::Own,
            is_alert: false,
        };
        event_tags::build(
            &Ids::new("test.example", None),
            (connection, Some(&key)),
            &uuid.parse().unwrap(),
            name,
        )
    }

    /// The one event of the MISP.
    pub(super) fn event(&self) -> Event {
        let world = self.misp.world();
        let [event] = world.events.as_slice() else {
            panic!("{} events", world.events.len())
        };
        event.clone()
    }

    pub(super) fn writes(&self) -> Vec<String> {
        misp::writes(&self.misp)
    }

    /// The MISP was asked so often at the most.
    pub(super) fn asked_at_most(&self, most: usize) {
        let paths: Vec<_> = self
            .misp
            .requests()
            .into_iter()
            .map(|request| request.path)
            .collect();
        assert!(paths.len() <= most, "{} requests: {paths:#?}", paths.len());
    }

    pub(super) fn wrote_nothing(&self) {
        assert_eq!(self.writes(), [""; 0]);
    }
}

/// Runs a job in this process and judges the report.
pub(super) fn run(job: &Value) -> Value {
    let report = runtime::report_without_waiting::<Export>(job.clone()).to_string();
    search(job, &report);
    judged(Program::Export, report.as_bytes())
}

/// An IOC.
pub(super) fn domain(name: &str) -> Value {
    json!({"dataType": "domain", "data": name, "ioc": true, "tlp": 2})
}

/// The warnings of the one connection.
pub(super) fn warnings(report: &Value) -> Vec<&str> {
    texts(&full(report)["connections"][0]["warnings"])
}

/// The failures of the one connection.
pub(super) fn failures(report: &Value) -> Vec<&str> {
    texts(&full(report)["connections"][0]["failures"])
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The lines of a list of the one connection, as `value: verdict (reason)`.
pub(super) fn lines(report: &Value, list: &str, value: &str) -> Vec<String> {
    let text = |line: &Value, name: &str| line[name].as_str().map(ToOwned::to_owned);
    let line = |line: &Value| {
        let reason = text(line, "reason")
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        format!(
            "{}: {}{reason}",
            text(line, value).unwrap(),
            text(line, "verdict").unwrap()
        )
    };
    full(report)["connections"][0][list]
        .as_array()
        .into_iter()
        .flatten()
        .map(line)
        .collect()
}

/// What differs between two looks at an event, sorted: `host-0.example: comment, to_ids`, `+ new.example`. The event's own
/// moment and its count of attributes, which drifts in MISP, are left aside; an attribute whose moment alone differs was
/// touched, and is named.
pub(super) fn changes(before: &Event, after: &Event) -> Vec<String> {
    let mut changes = Vec::new();
    let head = differing(&head(before), &head(after));
    changes.extend((!head.is_empty()).then(|| format!("event: {head}")));
    for new in &after.attributes {
        let Some(old) = before.attributes.iter().find(|old| old.uuid == new.uuid) else {
            changes.push(format!("+ {}", new.value));
            continue;
        };
        let mut fields = differing(&fields(old), &fields(new));
        if fields.is_empty() && old.timestamp != new.timestamp {
            fields = "timestamp".to_owned();
        }
        changes.extend((!fields.is_empty()).then(|| format!("{}: {fields}", old.value)));
    }
    let is_gone = |old: &&Attribute| after.attributes.iter().all(|new| new.uuid != old.uuid);
    changes.extend(
        before
            .attributes
            .iter()
            .filter(is_gone)
            .map(|old| format!("- {}", old.value)),
    );
    let objects = |event: &Event| format!("{:?}", event.objects);
    changes.extend((objects(before) != objects(after)).then(|| "objects".to_owned()));
    changes.sort();
    changes
}

type Fields = Vec<(&'static str, String)>;

fn differing(before: &Fields, after: &Fields) -> String {
    let pairs = before
        .iter()
        .zip(after)
        .filter(|(before, after)| before != after);
    pairs
        .map(|(before, _)| before.0)
        .collect::<Vec<_>>()
        .join(", ")
}

fn head(event: &Event) -> Fields {
    vec![
        ("analysis", event.analysis.to_string()),
        ("creator", event.creator.clone()),
        ("date", event.date.clone()),
        ("distribution", event.distribution.to_string()),
        ("extends_uuid", event.extends_uuid.clone()),
        ("id", format!("{} {}", event.id, event.uuid)),
        ("info", event.info.clone()),
        ("locked", event.locked.to_string()),
        ("organisation", format!("{} {}", event.org, event.orgc)),
        ("publish_timestamp", event.publish_timestamp.to_string()),
        ("published", event.published.to_string()),
        ("sharing_group", event.sharing_group.to_string()),
        ("tags", format!("{:?}", event.tags)),
        ("threat_level", event.threat_level.to_string()),
    ]
}

fn fields(one: &Attribute) -> Fields {
    let Attribute {
        id,
        uuid: _,
        object,
        object_relation,
        kind,
        category,
        value,
        to_ids,
        comment,
        ..
    } = one;
    let Attribute {
        distribution,
        sharing_group,
        timestamp: _,
        deleted,
        disable_correlation,
        ..
    } = one;
    let Attribute {
        first_seen,
        last_seen,
        data,
        tags,
        galaxies,
        ..
    } = one;
    vec![
        ("category", category.clone()),
        ("comment", comment.clone()),
        ("content", format!("{data:?}")),
        ("deleted", deleted.to_string()),
        ("distribution", distribution.to_string()),
        ("id", id.to_string()),
        (
            "other",
            format!(
                "{sharing_group} {disable_correlation} {first_seen:?} {last_seen:?} {galaxies:?}"
            ),
        ),
        ("place", format!("{object} {object_relation:?}")),
        ("tags", format!("{tags:?}")),
        ("to_ids", to_ids.to_string()),
        ("type", kind.clone()),
        ("value", value.clone()),
    ]
}
