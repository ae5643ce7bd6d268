//! A case that is worked on, merged or deleted while it is exported: what is flagged before, during and after the export stays what
//! it is in MISP, and what goes was asked for by itself.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
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
    /// What happens before each of the next answers.
    script: VecDeque<Vec<Turn>>,
    /// The values that were flagged all the time since the script began, and at any time.
    always: BTreeSet<String>,
    ever: BTreeSet<String>,
    added: usize,
}

/// What a person does.
#[derive(Clone, Debug)]
enum Turn {
    /// Turns the flag of the observable at this place, if there is one.
    Flag(usize),
    /// Adds one, flagged or not.
    Add(bool),
    /// Deletes the observable at this place, if there is one.
    Delete(usize),
    /// Deletes the case.
    DeleteCase,
}

impl Moving {
    fn flagged(&self) -> BTreeSet<String> {
        let flagged = self
            .world
            .observables
            .iter()
            .filter(|one| one.record["ioc"] == true);
        flagged
            .map(|one| one.record["data"].as_str().unwrap().to_owned())
            .collect()
    }

    fn begin(&mut self, script: Vec<Vec<Turn>>) {
        self.script = script.into();
        (self.always, self.ever) = (self.flagged(), self.flagged());
    }

    fn turn(&mut self, turn: &Turn) {
        let number = self.world.observables.len();
        match turn {
            Turn::Flag(at) if number > 0 => {
                let record = &mut self.world.observables[at % number].record;
                record["ioc"] = json!(record["ioc"] != true);
            }
            Turn::Add(ioc) if !self.world.cases.is_empty() => {
                let mut one = domain(&format!("late-{}.example", self.added));
                one["ioc"] = json!(ioc);
                self.added += 1;
                self.world.add_observable(&self.case, &one);
            }
            Turn::Delete(at) if number > 0 => drop(self.world.observables.remove(at % number)),
            Turn::DeleteCase => delete(&mut self.world, ""),
            Turn::Flag(_) | Turn::Add(_) | Turn::Delete(_) => {}
        }
        let flagged = self.flagged();
        self.always.retain(|value| flagged.contains(value));
        self.ever.extend(flagged);
    }
}

impl Site for Moving {
    fn reachable_at(&mut self, url: &str) {
        self.world.reachable_at(url);
    }

    fn answer(&mut self, call: &Call) -> Reply {
        self.answered += 1;
        for turn in self.script.pop_front().into_iter().flatten() {
            self.turn(&turn);
        }
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
        (0..number)
            .for_each(|n| drop(world.add_observable(&case, &domain(&format!("host-{n}.example")))));
        let (script, always, ever) = Default::default();
        let moving = Moving {
            world,
            case,
            before: 0,
            change: |_, _| (),
            answered: 0,
            script,
            always,
            ever,
            added: 0,
        };
        let stage = Self {
            thehive: Server::start(moving),
            misp: misp::Fake::start(misp::World::new()),
        };
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
        event
            .attributes
            .iter()
            .filter(|one| !one.to_ids)
            .map(|one| one.value.clone())
            .collect()
    }

    fn flag(&self, value: &str, ioc: bool) {
        flag(&mut self.thehive.world().world, value, ioc);
    }
}

fn flag(world: &mut World, value: &str, ioc: bool) {
    world
        .observables
        .iter_mut()
        .find(|one| one.record["data"] == value)
        .unwrap()
        .record["ioc"] = json!(ioc);
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
                    retracted
                        .iter()
                        .all(|value| may_go.contains(&value.as_str())),
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
    (0..4).for_each(|n| stage.flag(&format!("host-{n}.example"), false));
    // After the case was read, before it is asked what goes.
    let (report, _) = stage.export(5, delete);
    assert_eq!(stage.retracted(), [""; 0], "{report:#}");
    let skipped = &full(&report)["ledger"]["retractions"]["skipped_by"];
    assert_eq!(skipped, &json!({"the case is not there any more": 4}));
    assert!(full(&report)["message"].as_str().unwrap().contains(
        "4 are no IOCs of the case any more and stay in MISP (the case is not there any more)"
    ));
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
    // The last two questions, put at the same time, are whether the case is there, and whether the value is an IOC.
    let (report, _) = stage.export(answers - 1, flag_again);
    assert_eq!(
        (
            stage.retracted(),
            full(&report)["ledger"].get("retractions")
        ),
        (Vec::new(), None),
        "{report:#}"
    );
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
        assert!(
            retracted.iter().all(|value| value == "host-1.example"),
            "{at}: {retracted:?}"
        );
        let mut moving = stage.thehive.world();
        flag(&mut moving.world, "host-1.example", true);
        moving
            .world
            .observables
            .retain(|one| one.record["data"] != "new.example");
    }
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        12 => (0..12_usize).prop_map(Turn::Flag),
        4 => any::<bool>().prop_map(Turn::Add),
        4 => (0..12_usize).prop_map(Turn::Delete),
        1 => Just(Turn::DeleteCase),
    ];
    proptest::collection::vec(turn, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// However people's work falls between the questions of an export: nothing that is flagged before, during and after it is
    /// retracted, and nothing is added that was flagged at no time of it.
    #[test]
    fn whatever_happens_to_a_case_while_it_is_read_certain_iocs_stay_and_no_others_come(
        is_five in any::<bool>(),
        scripts in proptest::collection::vec(proptest::collection::vec(turns(), 0..10), 1..4),
    ) {
        let stage = Stage::exported(if is_five { World::five() } else { World::four() }, 8);
        for script in scripts {
            let before = stage.event();
            stage.thehive.world().begin(script.clone());
            let (report, _) = stage.export(0, |_, _| ());
            let moving = stage.thehive.world();
            let live = |event: &Event| -> BTreeSet<String> {
                let live = event.attributes.iter().filter(|one| one.to_ids && !one.deleted);
                live.map(|one| one.value.clone()).collect()
            };
            let (old, new) = (live(&before), live(&stage.event()));
            let lost: Vec<_> = old.difference(&new).filter(|value| moving.always.contains(*value)).collect();
            prop_assert!(lost.is_empty(), "{:?} is retracted: {:?}\n{:#}", lost, script, report);
            let come: Vec<_> = new.difference(&old).filter(|value| !moving.ever.contains(*value)).collect();
            prop_assert!(come.is_empty(), "{:?} is added: {:?}\n{:#}", come, script, report);
            if report["success"] == true {
                let missing: Vec<_> = moving.always.difference(&new).collect();
                prop_assert!(missing.is_empty(), "{:?} did not go out: {:?}\n{:#}", missing, script, report);
            }
        }
    }
}
