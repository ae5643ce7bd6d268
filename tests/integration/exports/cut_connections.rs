//! Exports over a network that breaks: one exchange after the other is cut, at each of three places. Whatever is cut, the
//! report says what is true, the next run completes the event, and the one after it writes nothing.

mod killed;
mod racing;
mod reading;

use std::collections::BTreeMap;

use cortex_misp::export::Export;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::misp::{Attribute, Event, Fake, World, key, writes};
use crate::program::{Program, judged, search};
use crate::proxy::{How, Proxy};
use crate::thehive;

const PLACES: [How; 3] = [How::BeforeRequest, How::AfterRequest, How::InBody];

/// A case in TheHive, a MISP, and proxies in front of both.
struct Stage {
    thehive: thehive::Fake,
    case: String,
    misp: Fake,
    to_misp: Proxy,
    to_thehive: Proxy,
}

impl Stage {
    /// Twelve IOCs beside a composite and the parts of one file.
    fn new() -> Self {
        let (thehive, misp) = (
            thehive::Fake::start(thehive::World::four()),
            Fake::start(World::new()),
        );
        let (to_thehive, to_misp) = (Proxy::start(&thehive.url()), Proxy::start(&misp.url()));
        let case = thehive
            .world()
            .add_case(42, "Phishing wave", &json!({"tlp": 2, "severity": 3}));
        for observable in observables() {
            thehive.world().add_observable(&case, &observable);
        }
        Self {
            thehive,
            case,
            misp,
            to_misp,
            to_thehive,
        }
    }

    fn job(&self) -> Value {
        json!({
            "dataType": "thehive:case", "tlp": 2, "pap": 2,
            "data": {"_id": self.case, "caseId": 42, "title": "Phishing wave", "startDate": 1_795_300_000_000_i64},
            "parameters": {"organisation": "cert"},
            "config": {
                "check_tlp": false,
                "name": ["misp-corp"], "url": [self.to_misp.url()], "key": [key("admin")], "instance": "test.example",
                "thehive_url": self.to_thehive.url(), "thehive_key": thehive::KEY,
            },
        })
    }

    /// One run in this process.
    fn run(&self) -> Value {
        report(&self.job())
    }

    /// Changes the case: one IOC more, one less, another title, a stricter TLP.
    fn change_the_case(&self) {
        let mut world = self.thehive.world();
        world.add_observable(
            &self.case,
            &json!({"dataType": "domain", "data": "new.example", "ioc": true, "tlp": 2}),
        );
        let gone = world
            .observables
            .iter_mut()
            .find(|one| one.record["data"] == "host-1.example")
            .unwrap();
        gone.record["ioc"] = json!(false);
        world.cases[0]["title"] = json!("Another title");
        world.cases[0]["tlp"] = json!(3);
    }

    /// Makes the MISP what it was.
    fn reset(&self, start: &World) {
        let url = self.misp.url();
        *self.misp.world() = World {
            url,
            ..start.clone()
        };
        self.misp.forget_requests();
    }

    fn state(&self) -> State {
        state(&self.misp.world())
    }

    /// The state after an undisturbed run from this start, and how many exchanges with MISP that takes.
    fn undisturbed(&self, start: &World) -> (State, usize) {
        self.reset(start);
        let before = self.to_misp.exchanges();
        let report = self.run();
        assert!(is_complete(&report), "{report:#}");
        (self.state(), self.to_misp.exchanges() - before)
    }

    /// The next run completes the event, and the one after it has nothing to write.
    fn completes(&self, done: &State, told: &str) {
        let was_done = self.state() == *done;
        self.misp.forget_requests();
        let second = self.run();
        assert!(is_complete(&second), "{told}: {second:#}");
        assert_eq!(self.state(), *done, "{told}");
        assert!(
            !was_done || writes(&self.misp).is_empty(),
            "{told}: {:?}",
            writes(&self.misp)
        );
        self.misp.forget_requests();
        assert!(is_complete(&self.run()), "{told}");
        assert_eq!(writes(&self.misp), [""; 0], "{told}");
    }
}

fn observables() -> Vec<Value> {
    let ioc = |data_type: &str, data: &str| json!({"dataType": data_type, "data": data, "ioc": true, "tlp": 2});
    let linked = |data_type: &str, data: &str, tag: &str| json!({"dataType": data_type, "data": data, "ioc": true, "tlp": 2, "tags": [tag]});
    let mut all: Vec<_> = (0..7)
        .map(|n| ioc("domain", &format!("host-{n}.example")))
        .collect();
    all.extend([
        ioc("url", "https://evil.example/a"),
        ioc("mail", "evil@example.org"),
        ioc("hash", "44d88612fea8a8f36de82e1278abb02f"),
        ioc("fqdn", "c2.example.com"),
        json!({"dataType": "ip", "data": "203.0.113.7", "ioc": true, "tlp": 3, "message": "C2"}),
        json!({"dataType": "domain", "data": "victim.example", "ioc": false, "tlp": 2}),
        linked(
            "domain",
            "pair.example",
            "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        ),
        linked(
            "ip",
            "192.0.2.77",
            "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        ),
        linked(
            "filename",
            "invoice.exe",
            "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:5e6f7a8b-0000-4000-8000-000000000000\"",
        ),
        linked(
            "hash",
            &"5".repeat(64),
            "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:5e6f7a8b-0000-4000-8000-000000000000\"",
        ),
        linked(
            "hash",
            &"6".repeat(32),
            "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:5e6f7a8b-0000-4000-8000-000000000000\"",
        ),
    ]);
    all
}

/// A report of one run in this process, judged like one of the program.
fn report(job: &Value) -> Value {
    let report = runtime::report_without_waiting::<Export>(job.clone());
    let text = report.to_string();
    search(job, &text);
    judged(Program::Export, text.as_bytes())
}

fn is_complete(report: &Value) -> bool {
    report["success"] == true
        && !report["full"]["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE")
}

/// The heads of events, and their attributes and objects by uuid; without numbers and times.
#[derive(Debug, PartialEq)]
struct State {
    heads: Vec<Value>,
    parts: BTreeMap<String, Value>,
}

/// What a MISP holds. Breaks if anything is there twice.
fn state(world: &World) -> State {
    let mut state = State {
        heads: Vec::new(),
        parts: BTreeMap::new(),
    };
    for event in &world.events {
        state.heads.push(json!({
            "uuid": event.uuid, "info": event.info, "date": event.date, "threat": event.threat_level,
            "analysis": event.analysis, "distribution": event.distribution, "published": event.published,
            "extends": event.extends_uuid, "tags": tags(world, &event.tags), "count": event.attribute_count,
        }));
        let attributes = event
            .attributes
            .iter()
            .map(|one| (one.uuid.clone(), attribute(world, event, one)));
        let objects = event.objects.iter().map(|one| {
            (
                one.uuid.clone(),
                json!({"name": one.name, "distribution": one.distribution, "deleted": one.deleted}),
            )
        });
        for (uuid, part) in attributes.chain(objects) {
            assert!(
                !state.parts.values().any(|known| *known == part),
                "twice: {part}"
            );
            assert_eq!(state.parts.insert(uuid, part), None);
        }
    }
    let uuids: std::collections::BTreeSet<_> =
        world.events.iter().map(|event| &event.uuid).collect();
    assert_eq!(uuids.len(), world.events.len());
    state
}

fn tags(world: &World, attached: &[crate::misp::Attached]) -> Vec<String> {
    let mut names = world.names(attached);
    names.sort_unstable();
    names
}

fn attribute(world: &World, event: &Event, one: &Attribute) -> Value {
    let object = event
        .objects
        .iter()
        .find(|object| object.id == one.object)
        .map(|object| object.uuid.as_str());
    assert!(
        one.object == 0 || object.is_some(),
        "an attribute of an object that is not there"
    );
    json!({
        "object": object, "relation": one.object_relation, "type": one.kind, "category": one.category,
        "value": one.value, "to_ids": one.to_ids, "comment": one.comment, "distribution": one.distribution,
        "deleted": one.deleted, "tags": tags(world, &one.tags),
    })
}

/// Breaks if a report says what is not true. A failure has changed nothing; whatever is said to be there is as it should
/// be; whatever failed is not, unless nobody could look; and a run that does not say it is incomplete is complete.
fn judge(report: &Value, before: &State, now: &State, done: &State, told: &str) {
    if report["success"] == false {
        assert_eq!(now, before, "{told}: {report:#}");
        return;
    }
    let part = &report["full"]["connections"][0];
    let lines = ["observables", "retractions"]
        .iter()
        .filter_map(|list| part[*list].as_array())
        .flatten();
    for line in lines {
        let uuid = line["uuid"].as_str().unwrap();
        let is_done = now.parts.get(uuid) == done.parts.get(uuid);
        match line["verdict"].as_str().unwrap() {
            "created" => assert!(
                is_done && !before.parts.contains_key(uuid),
                "{told}: {line}"
            ),
            "updated" => assert!(
                is_done && now.parts.get(uuid) != before.parts.get(uuid),
                "{told}: {line}"
            ),
            "unchanged" => assert!(is_done, "{told}: {line}"),
            "failed" => {
                let reason = line["reason"].as_str().unwrap();
                assert!(
                    reason.starts_with("not verified") || !is_done,
                    "{told}: {line}"
                );
            }
            other => panic!("{told}: {other}: {line}"),
        }
    }
    assert!(
        !is_complete(report) || now == done,
        "{told}: {report:#}\n{now:#?}\n{done:#?}"
    );
    // The case's tag names an event that is there; it may be missing only if nobody could look.
    let tag = report["operations"][0]["tag"].as_str();
    let is_named = |tag: &str| {
        now.heads
            .iter()
            .any(|head| tag.contains(head["uuid"].as_str().unwrap()))
    };
    assert!(
        tag.map_or(!is_complete(report), is_named),
        "{told}: {}",
        report["operations"]
    );
}

/// Cuts each exchange with MISP of an export that starts from this, at each place.
fn cut_each(stage: &Stage, start: &World) {
    let (done, number) = stage.undisturbed(start);
    let mut completed = 0;
    for at in 1..=number {
        for how in PLACES {
            let told = format!("exchange {at} of {number}, {how:?}");
            stage.reset(start);
            let (before, first) = (stage.state(), stage.to_misp.exchanges());
            stage.to_misp.cut(first + at, how);
            let report = stage.run();
            stage.to_misp.heal();
            assert!(stage.to_misp.exchanges() >= first + at, "{told}");
            judge(&report, &before, &stage.state(), &done, &told);
            completed += usize::from(is_complete(&report));
            stage.completes(&done, &told);
        }
    }
    // A cut write is looked after and gone on with in the same run.
    assert!(completed >= 3 * 3, "{completed}");
}

#[test]
fn a_first_export_survives_every_cut() {
    cut_each(&Stage::new(), &World::new());
}

#[test]
fn a_first_export_survives_every_cut_at_a_misp_that_goes_on_writing() {
    cut_each(
        &Stage::new(),
        &World {
            slow_add: Some(3),
            ..World::new()
        },
    );
}

/// A MISP with the event of a case, published; the case has changed since.
fn changed(slow_add: Option<usize>) -> (Stage, World) {
    let stage = Stage::new();
    assert!(is_complete(&stage.run()));
    stage.change_the_case();
    let mut start = stage.misp.world().clone();
    start.events[0].published = true;
    start.events[0].publish_timestamp = start.now;
    start.slow_add = slow_add;
    (stage, start)
}

#[test]
fn a_changing_export_survives_every_cut() {
    let (stage, start) = changed(None);
    cut_each(&stage, &start);
    let world = stage.misp.world();
    let event = &world.events[0];
    assert_eq!(
        (event.info.as_str(), event.distribution, event.published),
        ("Another title", 0, false)
    );
    let gone = event
        .attributes
        .iter()
        .find(|one| one.value == "host-1.example")
        .unwrap();
    assert_eq!(
        (gone.to_ids, gone.comment.as_str()),
        (false, "[retracted by cortex-misp]")
    );
    assert!(
        event
            .live()
            .any(|one| one.value == "new.example" && one.distribution == 0)
    );
}

#[test]
fn a_changing_export_survives_every_cut_at_a_misp_that_goes_on_writing() {
    let (stage, start) = changed(Some(3));
    // More new ones than are stored at once.
    for n in 0..8 {
        let more = json!({"dataType": "domain", "data": format!("more-{n}.example"), "ioc": true, "tlp": 2});
        stage.thehive.world().add_observable(&stage.case, &more);
    }
    cut_each(&stage, &start);
}
