//! A case that is exported to a [`World`], and a TheHive that imports from it. In front of the MISP stands a proxy, which
//! knows what was asked and can cut.

use serde_json::{Value, json};

use super::hive::Hive;
use super::world::{Stored, TITLE, World};
use crate::misp;
use crate::program::{Program, counts, full};
use crate::proxy::Proxy;
use crate::thehive;

/// A case in TheHive 5, and the MISP that it goes to.
pub(crate) struct Exporter<'w> {
    pub(crate) world: &'w World,
    pub(crate) proxy: Proxy,
    pub(crate) thehive: thehive::Fake,
    pub(crate) case: String,
    pub(crate) config: Value,
}

impl<'w> Exporter<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let mut hive = thehive::World::five();
        let title = format!("{TITLE} {}", world.mark);
        let case = hive.add_case(42, &title, &json!({"tlp": 2, "pap": 2, "severity": 2}));
        let (proxy, thehive) = (Proxy::start(world.url()), thehive::Fake::start(hive));
        let config = json!({
            "name": ["misp-corp"], "url": [proxy.url()], "key": [world.key("orgadmin")],
            // Every uuid follows from it, so that no two scenarios share one.
            "instance": format!("{}.example", world.mark),
            "thehive_url": thehive.url(), "thehive_key": thehive::KEY, "check_tlp": false, "check_pap": false,
        });
        Self {
            world,
            proxy,
            thehive,
            case,
            config,
        }
    }

    /// Sets configuration items.
    pub(crate) fn with(mut self, items: &Value) -> Self {
        self.config
            .as_object_mut()
            .unwrap()
            .extend(items.as_object().unwrap().clone());
        self
    }

    /// Adds an IOC and gives its `_id`.
    pub(crate) fn ioc(&self, data_type: &str, data: &str) -> String {
        self.add(&json!({"dataType": data_type, "data": data}))
    }

    /// The same with more fields.
    pub(crate) fn add(&self, fields: &Value) -> String {
        let mut record = json!({"ioc": true, "tlp": 2});
        record
            .as_object_mut()
            .unwrap()
            .extend(self.world.marked_in(fields).as_object().unwrap().clone());
        self.thehive.world().add_observable(&self.case, &record)
    }

    /// Changes an observable.
    pub(crate) fn change(&self, id: &str, field: &str, value: Value) {
        let mut world = self.thehive.world();
        let known = world
            .observables
            .iter_mut()
            .find(|known| known.record["_id"] == id)
            .unwrap();
        known
            .record
            .as_object_mut()
            .unwrap()
            .shift_remove(&format!("{field}Label"));
        known.record[field] = value;
    }

    /// Changes the case.
    pub(crate) fn change_case(&self, field: &str, value: Value) {
        let mut world = self.thehive.world();
        let known = world
            .cases
            .iter_mut()
            .find(|known| known["_id"] == self.case.as_str())
            .unwrap();
        known
            .as_object_mut()
            .unwrap()
            .shift_remove(&format!("{field}Label"));
        known[field] = value;
    }

    pub(crate) fn job(&self) -> Value {
        json!({
            "dataType": "thehive:case", "tlp": 2, "pap": 2, "data": {"_id": self.case},
            "parameters": {"organisation": "cert"}, "config": self.config,
        })
    }

    /// Exports the case; what MISP was asked before is forgotten.
    pub(crate) fn run(&self) -> Report {
        self.proxy.forget();
        Report {
            report: self.world.report(Program::Export, &self.job()),
            mark: self.world.mark.clone(),
        }
    }

    /// Exports the case once more, which must find nothing to write, and leave the event as it is.
    pub(crate) fn rests(&self) -> Report {
        let before = self.event();
        let report = self.run();
        assert_eq!(self.writes(), [""; 0], "{:#}", report.report);
        let after = self.event();
        assert_eq!(
            (before.head(), before.lines()),
            (after.head(), after.lines())
        );
        assert_eq!(before.event["timestamp"], after.event["timestamp"]);
        for verdict in ["created", "updated"] {
            let ledger = full(&report.report)["ledger"].as_object().unwrap().values();
            assert_eq!(
                ledger
                    .map(|count| count[verdict].as_u64().unwrap())
                    .sum::<u64>(),
                0,
                "{:#}",
                report.report
            );
        }
        report
    }

    /// What MISP was asked that could change something, as `POST /events/add`.
    pub(crate) fn writes(&self) -> Vec<String> {
        writes(&self.proxy)
    }

    /// The one event that the exports made.
    pub(crate) fn event(&self) -> Stored {
        self.world.event(&self.world.only())
    }
}

fn writes(proxy: &Proxy) -> Vec<String> {
    let path = |line: &String| line.split_once(' ').map_or("", |(_, path)| path).to_owned();
    proxy
        .asked()
        .into_iter()
        .filter(|line| !misp::is_read(&path(line)))
        .collect()
}

/// A TheHive that imports from a MISP.
pub(crate) struct Importer<'w> {
    pub(crate) world: &'w World,
    pub(crate) proxy: Proxy,
    pub(crate) thehive: Hive,
    pub(crate) config: Value,
}

impl<'w> Importer<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let (proxy, thehive) = (Proxy::start(world.url()), Hive::of(world));
        let config = json!({
            "name": [world.marked("partner-MARK")], "url": [proxy.url()], "key": [world.key("orgadmin")],
            "instance": format!("{}.example", world.mark),
            "thehive_url": thehive.url(), "thehive_key": thehive.key(), "published_only": false, "max_age_days": 0,
            // What others have on the same server is none of ours.
            "include_tags": [world.marked("MARK:event")],
        });
        Self {
            world,
            proxy,
            thehive,
            config,
        }
    }

    /// Sets configuration items.
    pub(crate) fn with(mut self, items: &Value) -> Self {
        let items = self.world.marked_in(items);
        self.config
            .as_object_mut()
            .unwrap()
            .extend(items.as_object().unwrap().clone());
        self
    }

    /// Adds an event of the organisation `other` that an import takes, and gives its uuid.
    pub(crate) fn event(&self, fields: &Value) -> String {
        // A user may not make a tag.
        self.world.ask(
            "admin",
            "/tags/add",
            &json!({"name": "MARK:event", "colour": "#112233"}),
        );
        let mut event = json!({"Tag": [{"name": "MARK:event"}]});
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        self.world.add_event("other", &event)
    }

    /// Looks a value up; what was asked before is forgotten. Nothing is written to MISP.
    pub(crate) fn run(&self, data_type: &str, data: &str) -> Report {
        self.run_with(data_type, data, &json!({}))
    }

    /// Runs a command, such as `misp:sync`.
    pub(crate) fn command(&self, command: &str) -> Report {
        // On an observable it would not be followed.
        self.run_with("other", command, &json!({"command": command}))
    }

    fn run_with(&self, data_type: &str, data: &str, parameters: &Value) -> Report {
        self.proxy.forget();
        self.thehive.forget();
        let job = self.world.marked_in(&json!({
            "dataType": data_type, "data": data, "tlp": 0, "pap": 0, "parameters": parameters, "config": self.config,
        }));
        let report = Report {
            report: self.world.report(Program::Import, &job),
            mark: self.world.mark.clone(),
        };
        assert_eq!(writes(&self.proxy), [""; 0]);
        report
    }

    /// Imports all that is new or changed.
    pub(crate) fn sync(&self) -> Report {
        self.command("misp:sync")
    }

    /// Imports once more, which must find nothing to write.
    pub(crate) fn rests(&self) {
        let report = self.sync();
        assert_eq!(self.written(), [""; 0], "{:#}", report.report);
    }

    /// The requests that could change something in TheHive, as `POST /api/v1/alert`.
    pub(crate) fn written(&self) -> Vec<String> {
        self.thehive.written()
    }

    /// The alert of an event, if there is one.
    pub(crate) fn alert(&self, uuid: &str) -> Option<Value> {
        self.thehive.alert(uuid)
    }

    /// The observables of an event's alert, sorted: `domain a.MARK.example ioc`.
    pub(crate) fn observables(&self, uuid: &str) -> Vec<String> {
        let alert = self
            .alert(uuid)
            .unwrap_or_else(|| panic!("no alert of {uuid}"));
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let line = |one: &Value| {
            let ioc = if one["ioc"] == true { " ioc" } else { "" };
            format!("{} {}{ioc}", text(one, "dataType"), text(one, "data"))
                .replace(&self.world.mark, "MARK")
        };
        let mut lines: Vec<_> = self
            .thehive
            .observables_of(&alert)
            .iter()
            .map(line)
            .collect();
        lines.sort();
        lines
    }
}

/// A report of a program.
pub(crate) struct Report {
    pub(crate) report: Value,
    mark: String,
}

impl Report {
    pub(crate) fn full(&self) -> &Value {
        full(&self.report)
    }

    pub(crate) fn message(&self) -> String {
        self.full()["message"]
            .as_str()
            .unwrap()
            .replace(&self.mark, "MARK")
    }

    /// The counts of one kind of item that are not zero: `fetched 3, created 3`.
    pub(crate) fn counts(&self, item: &str) -> String {
        let counts = counts(self.full(), item);
        let order = [
            "fetched",
            "created",
            "updated",
            "unchanged",
            "skipped",
            "failed",
        ];
        let told = order
            .into_iter()
            .filter_map(|name| Some(format!("{name} {}", counts.get(name)?)));
        told.collect::<Vec<_>>().join(", ")
    }

    /// The lines of a list of the one connection, as `value: verdict (reason)`.
    pub(crate) fn lines(&self, list: &str, value: &str) -> Vec<String> {
        let text = |line: &Value, name: &str| line[name].as_str().map(ToOwned::to_owned);
        let line = |line: &Value| {
            let reason = text(line, "reason")
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default();
            let (value, verdict) = (
                text(line, value).unwrap_or_default(),
                text(line, "verdict").unwrap_or_default(),
            );
            format!("{value}: {verdict}{reason}").replace(&self.mark, "MARK")
        };
        self.full()["connections"][0][list]
            .as_array()
            .into_iter()
            .flatten()
            .map(line)
            .collect()
    }

    /// The lines of an export's observables.
    pub(crate) fn observables(&self) -> Vec<String> {
        self.lines("observables", "data")
    }

    /// Warnings, notes and failures of the one connection.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let part = &self.full()["connections"][0];
        let lists = ["warnings", "notes", "failures"]
            .map(|name| part[name].as_array().cloned().unwrap_or_default());
        let texts = lists.concat();
        texts
            .iter()
            .map(|text| text.as_str().unwrap().replace(&self.mark, "MARK"))
            .collect()
    }
}
