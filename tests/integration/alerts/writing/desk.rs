//! A MISP, a TheHive, and what the imports between them change.

use cortex_misp::import::Import;
use cortex_misp::runtime;
use cortex_misp::time::Clock;
use serde_json::{Value, json};

use crate::http_fake::Logged;
use crate::misp::{self, key};
use crate::program::{Program, counts, full, judged, of, search};
use crate::thehive;

/// The MISP that is read, and the TheHive that gets the alerts.
pub(crate) struct Desk {
    pub(crate) misp: misp::Fake,
    pub(crate) thehive: thehive::Fake,
    /// Options laid over the usual ones.
    pub(crate) options: Value,
}

impl Desk {
    pub(crate) fn new(misp: misp::World, thehive: thehive::World) -> Self {
        Self {
            misp: misp::Fake::start(misp),
            thehive: thehive::Fake::start(thehive),
            options: json!({}),
        }
    }

    /// So many small events, for both TheHives.
    pub(crate) fn small(number: u64) -> [Self; 2] {
        [thehive::World::four(), thehive::World::five()].map(|hive| Self::new(events(number), hive))
    }

    /// The same, imported once.
    pub(crate) fn imported(number: u64, options: &Value) -> [Self; 2] {
        Self::small(number).map(|desk| {
            let desk = desk.with(options.clone());
            let report = desk.import();
            assert_eq!(
                counts(full(&report), "events"),
                of([("fetched", number), ("created", number)]),
                "{report:#}"
            );
            desk
        })
    }

    pub(crate) fn with(mut self, options: Value) -> Self {
        self.options
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        self
    }

    /// An import of everything, without limits.
    pub(crate) fn job(&self) -> Value {
        let mut job = json!({
            "dataType": "other", "data": "misp:sync", "tlp": 0, "pap": 0, "parameters": {"since": "all"},
            "config": {
                "name": ["partner"], "url": [self.misp.url()], "key": [key("admin")], "instance": "test.example",
                "thehive_url": self.thehive.url(), "thehive_key": thehive::KEY,
                "max_age_days": 0, "max_attributes": 0, "max_new_alerts": 0, "published_only": false,
            },
        });
        job["config"]
            .as_object_mut()
            .unwrap()
            .extend(self.options.as_object().unwrap().clone());
        job
    }

    /// Imports, and forgets what was asked before.
    pub(crate) fn import(&self) -> Value {
        self.run(&self.job())
    }

    /// Imports with so little time left that nothing new is begun.
    pub(crate) fn run_near_the_end(&self) -> Value {
        self.by(&self.job(), Clock::near_its_end)
    }

    /// Runs a job that asks others too, so that its requests are not counted.
    pub(crate) fn run_uncounted(&self, job: &Value) -> Value {
        self.by(job, Clock::without_waiting)
    }

    fn by(&self, job: &Value, clock: fn(Clock) -> Clock) -> Value {
        self.misp.forget_requests();
        self.thehive.forget_requests();
        let report = runtime::report_with_clock::<Import>(job.clone(), clock);
        let text = report.to_string();
        search(job, &text);
        assert_eq!(misp::writes(&self.misp), [""; 0]);
        judged(Program::Import, text.as_bytes())
    }

    /// Runs a job, and forgets what was asked before. An import never writes to MISP.
    pub(crate) fn run(&self, job: &Value) -> Value {
        let report = self.by(job, Clock::without_waiting);
        if report["success"] == true {
            let asked = self.misp.requests().len() + self.thehive.requests().len();
            assert_eq!(report["full"]["requests"], asked, "{report:#}");
        }
        report
    }

    /// The requests that could change something in TheHive.
    pub(crate) fn writes(&self) -> Vec<Logged> {
        let requests = self.thehive.requests().into_iter();
        requests
            .filter(|request| request.method != "GET" && !request.path.starts_with("/api/v1/query"))
            .collect()
    }

    /// The same, as `POST /api/v1/alert`.
    pub(crate) fn written(&self) -> Vec<String> {
        self.writes()
            .into_iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    pub(crate) fn wrote_nothing(&self) {
        assert_eq!(self.written(), [""; 0]);
    }

    /// The alert of an event, by the event's number or uuid.
    pub(crate) fn alert(&self, event: &str) -> Value {
        let uuid = self
            .misp
            .world()
            .event(event)
            .map_or(event.to_owned(), |event| event.uuid.clone());
        let world = self.thehive.world();
        let mut found = world
            .alerts
            .iter()
            .filter(|alert| alert["sourceRef"] == uuid.as_str());
        let alert = found
            .next()
            .unwrap_or_else(|| panic!("there is no alert of event {event}"))
            .clone();
        assert!(found.next().is_none(), "event {event} has two alerts");
        alert
    }

    /// The observables of an alert.
    pub(crate) fn observables(&self, alert: &Value) -> Vec<Value> {
        self.thehive
            .world()
            .observables_of(alert["_id"].as_str().unwrap())
            .cloned()
            .collect()
    }

    /// The observable of an alert with this data.
    pub(crate) fn observable(&self, alert: &Value, data: &str) -> Option<Value> {
        self.observables(alert)
            .into_iter()
            .find(|one| one["data"] == data)
    }

    /// Lets a person change a field of an alert.
    pub(crate) fn edit(&self, event: &str, field: &str, value: Value) {
        let id = self.alert(event)["_id"].clone();
        let mut world = self.thehive.world();
        let now = world.tick();
        let alert = world
            .alerts
            .iter_mut()
            .find(|alert| alert["_id"] == id)
            .unwrap();
        alert[field] = value;
        alert["_updatedBy"] = json!(PERSON);
        alert["_updatedAt"] = json!(now);
    }

    /// Lets somebody change an event on MISP, and publish it again.
    pub(crate) fn change(&self, event: &str, change: impl FnOnce(&mut misp::Event)) {
        let mut world = self.misp.world();
        let now = world.tick();
        let event = world.event_mut(event).unwrap();
        change(event);
        (event.timestamp, event.publish_timestamp, event.published) = (now, now, true);
        event.attribute_count = i64::try_from(event.live().count()).unwrap();
    }

    /// Adds an attribute to an event, and publishes the event again.
    pub(crate) fn add(
        &self,
        event: &str,
        kind: &str,
        value: &str,
        more: impl FnOnce(&mut misp::Attribute),
    ) {
        let mut added = attribute(self.misp.world().next_id(), kind, value);
        added.timestamp = self.misp.world().tick();
        more(&mut added);
        self.change(event, |event| event.attributes.push(added));
    }

    /// Changes the attribute of an event that has this value, and publishes the event again.
    pub(crate) fn alter(
        &self,
        event: &str,
        value: &str,
        change: impl FnOnce(&mut misp::Attribute),
    ) {
        self.change(event, |event| {
            let found = event
                .attributes
                .iter_mut()
                .find(|one| one.value == value && !one.deleted);
            change(found.unwrap_or_else(|| panic!("no attribute {value}")));
        });
    }

    /// A tag to be attached, made if MISP has none of this name.
    pub(crate) fn tag(&self, name: &str) -> misp::Attached {
        self.misp.world().attached(name)
    }

    /// Lets a person change an observable of an alert.
    pub(crate) fn touch(&self, event: &str, data: &str, field: &str, value: Value) {
        let id = self.observable(&self.alert(event), data).unwrap()["_id"].clone();
        let mut world = self.thehive.world();
        let now = world.tick();
        let one = world
            .observables
            .iter_mut()
            .find(|one| one.record["_id"] == id)
            .unwrap();
        one.record[field] = value;
        one.record["_updatedBy"] = json!(PERSON);
        one.record["_updatedAt"] = json!(now);
    }

    /// Lets a person add an observable to an alert.
    pub(crate) fn own(&self, event: &str, data: &str) {
        let id = self.alert(event)["_id"].as_str().unwrap().to_owned();
        let fields = json!({"dataType": "other", "data": data, "_createdBy": PERSON});
        self.thehive.world().add_observable(&id, &fields);
    }

    /// Lets a person delete an observable of an alert.
    pub(crate) fn drop(&self, event: &str, data: &str) {
        let id = self.observable(&self.alert(event), data).unwrap()["_id"].clone();
        self.thehive
            .world()
            .observables
            .retain(|one| one.record["_id"] != id);
    }

    /// The data of all observables of an event's alert, sorted.
    pub(crate) fn data(&self, event: &str) -> Vec<String> {
        let all = self.observables(&self.alert(event)).into_iter();
        let mut data: Vec<_> = all
            .map(|one| one["data"].as_str().unwrap_or_default().to_owned())
            .collect();
        data.sort();
        data
    }

    /// What was written, each as `PATCH alert` with its body; of a description is only told that it has the state line once.
    pub(crate) fn changes(&self) -> Vec<(String, Value)> {
        let one = |logged: Logged| {
            let mut words = logged
                .path
                .split('/')
                .filter(|word| !["", "api", "v1"].contains(word));
            let kind = words
                .next_back()
                .filter(|word| !word.starts_with('~'))
                .or(words.next_back())
                .unwrap_or_default();
            let kind = if kind == "artifact" {
                "observable"
            } else {
                kind
            };
            let mut body = logged.body;
            if let Some(text) = body
                .as_object_mut()
                .and_then(|body| body.shift_remove("description"))
            {
                assert_eq!(
                    text.as_str()
                        .unwrap()
                        .matches("[cortex-misp] event=")
                        .count(),
                    1,
                    "{text}"
                );
            }
            (format!("{} {kind}", logged.method), body)
        };
        self.writes().into_iter().map(one).collect()
    }

    /// The same without bodies.
    pub(crate) fn verbs(&self) -> Vec<String> {
        self.changes().into_iter().map(|(verb, _)| verb).collect()
    }

    /// Whether an alert has this tag.
    pub(crate) fn has_tag(&self, event: &str, tag: &str) -> bool {
        self.alert(event)["tags"]
            .as_array()
            .unwrap()
            .contains(&json!(tag))
    }

    /// The line of an alert that says what it was made from; none if there is none.
    pub(crate) fn line(&self, event: &str) -> Option<String> {
        let alert = self.alert(event);
        let mut lines = alert["description"]
            .as_str()
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("[cortex-misp]"));
        let line = lines.next().map(ToOwned::to_owned);
        assert_eq!(lines.next(), None, "two state lines");
        line
    }

    /// A second run finds nothing to do.
    pub(crate) fn rests(&self) {
        let report = self.import();
        assert_eq!(self.written(), [""; 0], "{report:#}");
    }
}

/// A person who works with TheHive.
pub(crate) const PERSON: &str = "analyst.jane@example.org";

/// A MISP with so many published events. The event `<n>` has an IOC `host-<n>.example`, an address `192.0.2.<n>` and a text.
pub(crate) fn events(number: u64) -> misp::World {
    let mut world = misp::World::new();
    for id in 1..=number {
        let now = world.tick();
        let attributes = [
            ("domain", format!("host-{id}.example")),
            ("ip-dst", format!("192.0.2.{id}")),
            ("text", format!("Text {id}")),
        ];
        let mut attributes = attributes
            .map(|(kind, value)| attribute(world.next_id(), kind, &value))
            .to_vec();
        attributes[0].to_ids = true;
        attributes.iter_mut().for_each(|one| one.timestamp = now);
        world.events.push(misp::Event {
            id,
            uuid: format!("5f0e5b5c-0000-4000-8000-{id:012}"),
            org: 1,
            orgc: 1,
            info: format!("Event {id}"),
            date: "2026-01-01".to_owned(),
            threat_level: 3,
            distribution: 1,
            published: true,
            timestamp: now,
            publish_timestamp: now,
            attribute_count: 3,
            attributes,
            ..misp::Event::default()
        });
    }
    world
}

/// An attribute as a person would add it.
pub(crate) fn attribute(id: u64, kind: &str, value: &str) -> misp::Attribute {
    let category = if kind == "text" {
        "Other"
    } else {
        "Network activity"
    };
    misp::Attribute {
        id,
        uuid: format!("6f0e5b5c-0000-4000-8000-{id:012}"),
        kind: kind.to_owned(),
        category: category.to_owned(),
        value: value.to_owned(),
        distribution: 5,
        ..misp::Attribute::default()
    }
}
