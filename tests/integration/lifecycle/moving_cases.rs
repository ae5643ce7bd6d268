//! A case that is worked on, merged or deleted while it is exported: what is flagged before, during and after the export stays what
//! it is in MISP, and what goes was asked for by itself.

use serde_json::{Value, json};

use super::desk::{domain, run};
use crate::http_fake::{Call, Reply, Server, Site};
use crate::misp::{self, Event, key};
use crate::program::full;
use crate::thehive::{KEY, World};

/// What happens to the case.
type Change = fn(&mut World, &str);

/// A TheHive in which something happens before one of its answers.
struct Moving {
    world: World,
    case: String,
    /// Before the answer of this number, counted from 1, since the last [`FailureStage::export`].
    before: usize,
    change: Change,
    answered: usize,
}

impl Site for Moving {
    fn reachable_at(&mut self, url: &str) {
        self.world.reachable_at(url);
    }

    fn answer(&mut self, call: &Call) -> Reply {
        self.answered += 1;
        if self.answered == self.before {
            (self.change)(&mut self.world, &self.case);
        }
        self.world.answer(call)
    }
}

struct Stage {
    thehive: Server<Moving>,
    misp: misp::Fake,
}

impl Stage {
    /// A case whose IOCs `host-0.example` and so on were exported.
    fn exported(mut world: World, number: usize) -> Self {
        let case = world.add_case(42, "Phishing wave", &json!({"tlp": 2, "pap": 2}));
        (0..number).for_each(|n| drop(world.add_observable(&case, &domain(&format!("host-{n}.example")))));
        let moving = Moving { world, case, before: 0, change: |_, _| (), answered: 0 };
        let stage = Self { thehive: Server::start(moving), misp: misp::Fake::start(misp::World::new()) };
        stage.export(0, |_, _| ());
        assert_eq!(stage.event().attributes.len(), number);
        stage
    }

    /// Exports the case; before TheHive's answer of this number, this happens to it. Gives how many answers there were, too.
    fn export(&self, before: usize, change: Change) -> (Value, usize) {
        let case = {
            let mut moving = self.thehive.world();
            (moving.before, moving.change, moving.answered) = (before, change, 0);
            moving.case.clone()
        };
        let report = run(&json!({
            "dataType": "thehive:case", "tlp": 2, "pap": 2, "data": {"_id": case}, "parameters": {"organisation": "cert"},
            "config": {
                "name": ["misp-corp"], "url": [self.misp.url()], "key": [key("orgadmin")], "instance": "test.example",
                "thehive_url": self.thehive.url(), "thehive_key": KEY, "check_tlp": false, "check_pap": false,
            },
        }));
        (report, self.thehive.world().answered)
    }

    fn event(&self) -> Event {
        self.misp.world().events[0].clone()
    }

    /// The values that are not for detection any more.
    fn retracted(&self) -> Vec<String> {
        let event = self.event();
        event.attributes.iter().filter(|one| !one.to_ids).map(|one| one.value.clone()).collect()
    }

    fn flag(&self, value: &str, ioc: bool) {
        flag(&mut self.thehive.world().world, value, ioc);
    }
}

fn flag(world: &mut World, value: &str, ioc: bool) {
    world.observables.iter_mut().find(|one| one.record["data"] == value).unwrap().record["ioc"] = json!(ioc);
}

/// One loses its flag, another is added.
fn swap(world: &mut World, case: &str) {
    flag(world, "host-1.example", false);
    world.add_observable(case, &domain("new.example"));
}

/// As the sources of a merge are.
fn delete(world: &mut World, _: &str) {
    world.cases.clear();
    world.observables.clear();
}

fn flag_again(world: &mut World, _: &str) {
    flag(world, "host-0.example", true);
}

#[test]
fn whenever_the_case_changes_nothing_that_stays_an_ioc_is_retracted() {
    let worlds: [fn() -> World; 2] = [World::four, World::five];
    for world in worlds {
        // `host-0.example` has lost its flag before; the rest may only be retracted if it was so at some time of the run.
        let allowed: [(Change, &[&str]); 3] = [
            (swap, &["host-0.example", "host-1.example"]),
            (delete, &["host-0.example"]),
            (flag_again, &["host-0.example"]),
        ];
        for (change, may_go) in allowed {
            let mut at = 1;
            loop {
                let stage = Stage::exported(world(), 4);
                stage.flag("host-0.example", false);
                let (report, answers) = stage.export(at, change);
                let retracted = stage.retracted();
                assert!(
                    retracted.iter().all(|value| may_go.contains(&value.as_str())),
                    "{at}: {retracted:?}: {report:#}"
                );
                if at > answers {
                    assert_eq!(retracted, ["host-0.example"]);
                    break;
                }
                at += 1;
            }
            assert!(at > 5, "{at}");
        }
    }
}

#[test]
fn a_case_that_is_deleted_while_it_is_read_retracts_nothing() {
    let stage = Stage::exported(World::four(), 4);
    // After the case was read, before its observables are.
    let (report, _) = stage.export(3, delete);
    assert_eq!(stage.retracted(), [""; 0], "{report:#}");
    let skipped = &full(&report)["ledger"]["retractions"]["skipped_by"];
    assert_eq!(skipped, &json!({"the case is not there any more": 4}));
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .contains("4 no longer wanted and left (the case is not there any more)")
    );
}

#[test]
fn what_is_flagged_again_while_the_export_runs_is_not_retracted() {
    let stage = Stage::exported(World::five(), 4);
    stage.flag("host-0.example", false);
    let (_, answers) = stage.export(0, |_, _| ());
    assert_eq!(stage.retracted(), ["host-0.example"]);
    stage.flag("host-0.example", true);
    stage.export(0, |_, _| ());
    assert_eq!(stage.retracted(), [""; 0]);
    stage.flag("host-0.example", false);
    // The last two questions are whether the case is there, and whether the value is an IOC.
    let (report, _) = stage.export(answers, flag_again);
    assert_eq!((stage.retracted(), full(&report)["ledger"].get("retractions")), (Vec::new(), None), "{report:#}");
}

/// By position, the second page would begin one too late, and one that is still flagged would be taken for one that is not; the
/// numbers before and after are the same.
#[test]
fn one_that_loses_its_flag_between_two_pages_takes_no_other_with_it() {
    let stage = Stage::exported(World::four(), 502);
    let questions = stage.export(0, |_, _| ()).1;
    for at in 1..=questions {
        stage.export(at, swap);
        let retracted = stage.retracted();
        assert!(retracted.iter().all(|value| value == "host-1.example"), "{at}: {retracted:?}");
        let mut moving = stage.thehive.world();
        flag(&mut moving.world, "host-1.example", true);
        moving.world.observables.retain(|one| one.record["data"] != "new.example");
    }
}
