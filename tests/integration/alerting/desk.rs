//! A MISP, a TheHive, and what the imports between them change.

use cortex_misp::import::Import;
use cortex_misp::worker;
use serde_json::{Value, json};

use crate::http_fake::Logged;
use crate::misp::{self, key};
use crate::program::{Program, judged, search};
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
        Self { misp: misp::Fake::start(misp), thehive: thehive::Fake::start(thehive), options: json!({}) }
    }

    /// The corpus, for both TheHives.
    pub(crate) fn both() -> [Self; 2] {
        [thehive::World::four(), thehive::World::five()].map(|hive| Self::new(misp::World::with_corpus(), hive))
    }

    pub(crate) fn with(mut self, options: Value) -> Self {
        self.options.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
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
        job["config"].as_object_mut().unwrap().extend(self.options.as_object().unwrap().clone());
        job
    }

    /// Imports, and forgets what was asked before.
    pub(crate) fn import(&self) -> Value {
        self.run(&self.job())
    }

    /// Runs a job, and forgets what was asked before. An import never writes to MISP.
    pub(crate) fn run(&self, job: &Value) -> Value {
        self.misp.forget_requests();
        self.thehive.forget_requests();
        let report = worker::report_at_once::<Import>(job.clone());
        let text = report.to_string();
        search(job, &text);
        assert_eq!(misp::writes(&self.misp), [""; 0]);
        let report = judged(Program::Import, text.as_bytes());
        if report["success"] == true {
            let asked = self.misp.requests().len() + self.thehive.requests().len();
            assert_eq!(report["full"]["requests"], asked, "{report:#}");
        }
        report
    }

    /// The requests that could change something in TheHive.
    pub(crate) fn writes(&self) -> Vec<Logged> {
        let requests = self.thehive.requests().into_iter();
        requests.filter(|request| request.method != "GET" && !request.path.starts_with("/api/v1/query")).collect()
    }

    /// The same, as `POST /api/v1/alert`.
    pub(crate) fn written(&self) -> Vec<String> {
        self.writes().into_iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    pub(crate) fn wrote_nothing(&self) {
        assert_eq!(self.written(), [""; 0]);
    }

    /// The alert of an event, by the event's number or uuid.
    pub(crate) fn alert(&self, event: &str) -> Value {
        let uuid = self.misp.world().event(event).map_or(event.to_owned(), |event| event.uuid.clone());
        let world = self.thehive.world();
        let mut found = world.alerts.iter().filter(|alert| alert["sourceRef"] == uuid.as_str());
        let alert = found.next().unwrap_or_else(|| panic!("there is no alert of event {event}")).clone();
        assert!(found.next().is_none(), "event {event} has two alerts");
        alert
    }

    /// The observables of an alert.
    pub(crate) fn observables(&self, alert: &Value) -> Vec<Value> {
        self.thehive.world().observables_of(alert["_id"].as_str().unwrap()).cloned().collect()
    }

    /// The observable of an alert with this data.
    pub(crate) fn observable(&self, alert: &Value, data: &str) -> Option<Value> {
        self.observables(alert).into_iter().find(|one| one["data"] == data)
    }

    /// Lets a person change a field of an alert.
    pub(crate) fn edit(&self, event: &str, field: &str, value: Value) {
        let id = self.alert(event)["_id"].clone();
        let mut world = self.thehive.world();
        let now = world.tick();
        let alert = world.alerts.iter_mut().find(|alert| alert["_id"] == id).unwrap();
        alert[field] = value;
        alert["_updatedBy"] = json!("analyst.jane@example.org");
        alert["_updatedAt"] = json!(now);
    }

    /// Lets somebody change an event on MISP, and publish it again.
    pub(crate) fn change(&self, event: &str, change: impl FnOnce(&mut misp::Event)) {
        let mut world = self.misp.world();
        let now = world.tick();
        let event = world.event_mut(event).unwrap();
        change(event);
        (event.timestamp, event.publish_timestamp, event.published) = (now, now, true);
    }
}
