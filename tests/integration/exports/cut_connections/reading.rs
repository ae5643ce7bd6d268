//! Cuts between the program and TheHive: half a case is never exported, and what was not read is never retracted.

use serde_json::json;

use super::{PLACES, Stage, is_complete};
use crate::misp::{World, writes};

/// Cuts each exchange with TheHive; gives how many runs failed, and how many left the retraction for another time.
fn cut_each(stage: &Stage, start: &World) -> (usize, usize) {
    stage.reset(start);
    let first = stage.to_thehive.exchanges();
    assert!(is_complete(&stage.run()));
    let (done, number) = (stage.state(), stage.to_thehive.exchanges() - first);
    let (mut failed, mut waited) = (0, 0);
    for at in 1..=number {
        for how in PLACES {
            let told = format!("exchange {at} of {number} with TheHive, {how:?}");
            stage.reset(start);
            let before = stage.state();
            stage.to_thehive.cut(stage.to_thehive.exchanges() + at, how);
            let report = stage.run();
            stage.to_thehive.heal();
            let mut now = stage.state();
            if report["success"] == false {
                assert_eq!(
                    (now == before, writes(&stage.misp).len()),
                    (true, 0),
                    "{told}"
                );
                failed += 1;
            } else {
                // All is there; what is not wanted any more is as it was, or retracted, as the report says.
                let retraction = &report["full"]["connections"][0]["retractions"][0];
                if retraction["verdict"] == "skipped" {
                    let uuid = retraction["uuid"].as_str().unwrap();
                    assert!(
                        retraction["reason"]
                            .as_str()
                            .unwrap()
                            .starts_with("TheHive does not say how many"),
                        "{told}"
                    );
                    assert_eq!(now.parts.get(uuid), before.parts.get(uuid), "{told}");
                    now.parts.insert(uuid.to_owned(), done.parts[uuid].clone());
                    waited += 1;
                }
                assert_eq!(now, done, "{told}: {report:#}");
            }
            stage.completes(&done, &told);
        }
    }
    (failed, waited)
}

#[test]
fn a_cut_while_a_new_case_is_read_changes_nothing() {
    let (failed, waited) = cut_each(&Stage::new(), &World::new());
    // One question that breaks off is put again.
    assert_eq!((failed, waited), (0, 0));
}

#[test]
fn a_cut_while_a_changed_case_is_read_changes_nothing() {
    let stage = Stage::new();
    assert!(is_complete(&stage.run()));
    let start = stage.misp.world().clone();
    {
        let mut world = stage.thehive.world();
        for observable in &mut world.observables {
            let is_gone = observable.record["data"] == "host-1.example";
            observable.record["ioc"] = json!(observable.record["ioc"] == true && !is_gone);
        }
        let new = json!({"dataType": "domain", "data": "new.example", "ioc": true, "tlp": 2});
        world.add_observable(&stage.case, &new);
    }
    let (failed, waited) = cut_each(&stage, &start);
    assert_eq!((failed, waited), (0, 0));
}
