//! An analyst's desk: one case in a TheHive, a MISP or a feed to export it to, and the responder's configuration. Runs are
//! made in this process, and their reports judged as those of the real programs are.

use std::collections::BTreeMap;
use std::fs;

use cortex_misp::export::Export;
use cortex_misp::runtime;
use cortex_misp::sample;
use serde_json::{Value, json};

use crate::canaries::search_feeds;
use crate::misp::{self, Fake, key};
use crate::program::{Program, full, judged, search};
use crate::thehive;
pub(crate) use crate::thehive::md5;

/// The mark that ends the comment of a retracted attribute.
pub(crate) const MARK: &str = "[retracted by cortex-misp]";

pub(crate) struct Desk {
    pub(crate) thehive: thehive::Fake,
    pub(crate) misp: Fake,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) case: String,
    pub(crate) config: Value,
}

impl Desk {
    /// A case with these fields in such a TheHive, to be exported to a MISP.
    pub(crate) fn new(world: thehive::World, case: &Value) -> Self {
        let (thehive, misp) = (thehive::Fake::start(world), Fake::start(misp::World::new()));
        let config = json!({
            "name": ["misp-corp"], "url": [misp.url()], "key": [key("admin")], "instance": "test.example",
            "thehive_url": thehive.url(), "thehive_key": thehive::KEY,
            // What may go out is what is tried: the job's own gate stands before all of it.
            "check_tlp": false, "check_pap": false,
        });
        let id = thehive.world().add_case(42, "Phishing wave", &json!({}));
        let desk = Self {
            thehive,
            misp,
            folder: tempfile::tempdir().unwrap(),
            case: id,
            config,
        };
        desk.change_case(case);
        desk
    }

    /// The same, to be exported to a feed.
    pub(crate) fn with_feed(world: thehive::World, case: &Value) -> Self {
        let mut desk = Self::new(world, case);
        desk.set(
            &json!({"url": [format!("file://{}", desk.folder.path().display())], "key": ["-"]}),
        );
        desk
    }

    /// Sets configuration items.
    pub(crate) fn set(&mut self, items: &Value) {
        self.config
            .as_object_mut()
            .unwrap()
            .extend(items.as_object().unwrap().clone());
    }

    /// Adds an IOC.
    pub(crate) fn ioc(&self, data_type: &str, data: &str, more: &Value) -> String {
        let fields = laid(
            json!({"dataType": data_type, "data": data, "ioc": true}),
            more,
        );
        self.thehive.world().add_observable(&self.case, &fields)
    }

    /// Adds a file that is an IOC, with its true hashes.
    pub(crate) fn file(&self, name: &str, content: &[u8], more: &Value) -> String {
        let sha256 = sample::sha256(content);
        let sha1 = sha1_smol::Sha1::from(content).digest().to_string();
        let mut world = self.thehive.world();
        let id = world.add_file(
            &self.case,
            name,
            &sha256,
            content,
            &laid(json!({"ioc": true}), more),
        );
        let added = world.observables.last_mut().unwrap();
        added.record["attachment"]["hashes"] = json!([sha256, sha1, md5(content)]);
        id
    }

    /// Changes an observable.
    pub(crate) fn change(&self, id: &str, fields: &Value) {
        let mut world = self.thehive.world();
        let known = world
            .observables
            .iter_mut()
            .find(|known| known.record["_id"] == id)
            .unwrap();
        known.record = labelled(laid(known.record.clone(), fields));
    }

    /// Changes the case.
    pub(crate) fn change_case(&self, fields: &Value) {
        let mut world = self.thehive.world();
        let known = world
            .cases
            .iter_mut()
            .find(|known| known["_id"] == self.case)
            .unwrap();
        *known = labelled(laid(known.clone(), fields));
    }

    /// Takes an observable out of the case.
    pub(crate) fn remove(&self, id: &str) {
        self.thehive
            .world()
            .observables
            .retain(|known| known.record["_id"] != id);
    }

    /// The job as TheHive sends it.
    pub(crate) fn job(&self) -> Value {
        let data = self.thehive.world().case(&self.case).unwrap().clone();
        json!({"dataType": "thehive:case", "data": data, "parameters": {"organisation": "cert"}, "config": self.config})
    }

    /// Runs the responder; what the servers received before is forgotten.
    pub(crate) fn run(&self) -> Value {
        self.report(self.job())
    }

    /// Runs a job.
    pub(crate) fn report(&self, job: Value) -> Value {
        self.misp.forget_requests();
        self.thehive.forget_requests();
        let report = runtime::report_without_waiting::<Export>(job.clone()).to_string();
        search(&job, &report);
        search_feeds(&job);
        judged(Program::Export, report.as_bytes())
    }

    /// Runs the responder once more, which must find nothing to do.
    pub(crate) fn runs_empty(&self) -> Value {
        let files = self.files();
        let report = self.run();
        assert_eq!(misp::writes(&self.misp), [""; 0], "{report:#}");
        assert_eq!(self.files(), files);
        for verdict in ["created", "updated", "failed"] {
            let ledger = full(&report)["ledger"].as_object().unwrap().values();
            assert_eq!(
                ledger
                    .map(|count| count[verdict].as_u64().unwrap())
                    .sum::<u64>(),
                0,
                "{report:#}"
            );
        }
        report
    }

    /// The one event that the MISP holds.
    pub(crate) fn event(&self) -> misp::Event {
        let world = self.misp.world();
        assert_eq!(world.events.len(), 1);
        world.events[0].clone()
    }

    /// The one attribute with this value that the MISP holds.
    pub(crate) fn attribute(&self, value: &str) -> misp::Attribute {
        let of = self
            .event()
            .attributes
            .into_iter()
            .filter(|one| one.value == value)
            .collect::<Vec<_>>();
        let [one] = of.as_slice() else {
            panic!("{} attributes have the value {value}", of.len())
        };
        one.clone()
    }

    /// The tags of that attribute.
    pub(crate) fn tags(&self, value: &str) -> Vec<String> {
        let attribute = self.attribute(value);
        self.misp.world().names(&attribute.tags)
    }

    /// Everything the MISP received, as text.
    pub(crate) fn sent(&self) -> String {
        let requests = self.misp.requests().into_iter();
        requests
            .map(|one| format!("{} {}\n", one.path, String::from_utf8_lossy(&one.raw)))
            .collect()
    }

    /// The feed's files but the lock, as text.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap());
        let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
        let visible = named.filter(|(name, _)| !name.starts_with('.'));
        visible
            .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
            .collect()
    }

    /// The feed's one event.
    pub(crate) fn feed_event(&self) -> Value {
        let files = self.files();
        let events: Vec<_> = files.iter().filter(|(name, _)| name.len() == 41).collect();
        let [(_, text)] = events.as_slice() else {
            panic!("{} events", events.len())
        };
        serde_json::from_str::<Value>(text).unwrap()["Event"].clone()
    }

    /// The attribute with this value in the feed, in an object or not.
    pub(crate) fn feed_attribute(&self, value: &str) -> Value {
        let event = self.feed_event();
        let lists = event["Object"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&event])
            .map(|of| &of["Attribute"]);
        let of: Vec<_> = lists
            .flat_map(|list| list.as_array().unwrap())
            .filter(|one| one["value"] == value)
            .collect();
        let [one] = of.as_slice() else {
            panic!("{} attributes have the value {value}", of.len())
        };
        (*one).clone()
    }

    /// What was downloaded from TheHive.
    pub(crate) fn downloads(&self) -> Vec<String> {
        let paths = self.thehive.requests().into_iter().map(|one| one.path);
        paths
            .filter(|path| path.contains("datastore") || path.contains("download"))
            .collect()
    }
}

/// One object's members laid over another's.
pub(crate) fn laid(mut under: Value, over: &Value) -> Value {
    under
        .as_object_mut()
        .unwrap()
        .extend(over.as_object().unwrap().clone());
    under
}

/// The TLP's label follows its number, where there is one.
fn labelled(mut record: Value) -> Value {
    if record.get("tlpLabel").is_some() {
        let labels = ["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"];
        let at = usize::try_from(record["tlp"].as_u64().unwrap()).unwrap();
        record["tlpLabel"] = json!(labels[at]);
    }
    record
}

/// The warnings of the first connection, as text.
pub(crate) fn warnings(report: &Value) -> String {
    full(report)["connections"][0]["warnings"].to_string()
}

/// The failures of the first connection, as text.
pub(crate) fn failures(report: &Value) -> String {
    full(report)["connections"][0]["failures"].to_string()
}
