//! The import's filters, alone and in pairs, against an answer that is worked out here from what the fake MISP holds; and the
//! names in them that do not exist there.

mod names;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Map, Value, json};

use crate::misp::{Fake, World, key};
use crate::program::{Program, counts, full, judged, of};
use settings::{Setting, settings};

pub(crate) use settings::varied;

/// A job that imports all, but for these options.
pub(crate) fn job(misp: &Fake, options: &Map<String, Value>) -> Value {
    let mut job = json!({
        "dataType": "other", "data": "misp:sync", "tlp": 0, "pap": 0,
        "config": {
            "name": ["partner"], "url": [misp.url()], "key": [key("admin")], "instance": "here", "window_days": 0,
            "max_age_days": 0, "max_attributes": 0, "published_only": false, "loop_guard": false,
        },
    });
    job["config"]
        .as_object_mut()
        .unwrap()
        .extend(options.clone());
    job
}

/// The judged report of a job, worked on in this process.
pub(crate) fn report(job: Value) -> Value {
    judged(
        Program::Import,
        runtime::report_without_waiting::<Import>(job)
            .to_string()
            .as_bytes(),
    )
}

/// What comes of an import.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    alerts: BTreeSet<String>,
    events: BTreeMap<String, u64>,
    attributes: BTreeMap<String, u64>,
}

fn outcome(report: &Value) -> Outcome {
    let full = full(report);
    let alerts = full
        .get("alerts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    Outcome {
        alerts: alerts
            .map(|alert| alert["sourceRef"].as_str().unwrap().to_owned())
            .collect(),
        events: counts(full, "events"),
        attributes: counts(full, "attributes"),
    }
}

/// The same from the world alone. A server that filters hands over only what passes the filters it was asked for.
fn expected(world: &World, settings: &[&Setting]) -> Outcome {
    let handed: Vec<_> = world
        .events
        .iter()
        .filter(|event| {
            world.ignores_filters
                || settings
                    .iter()
                    .all(|one| !one.pushed || (one.event)(world, event))
        })
        .collect();
    let passed: Vec<_> = handed
        .iter()
        .filter(|event| settings.iter().all(|one| (one.event)(world, event)))
        .copied()
        .collect();
    let live: Vec<_> = passed.iter().flat_map(|event| event.live()).collect();
    let chosen = live
        .iter()
        .filter(|one| {
            settings
                .iter()
                .all(|setting| (setting.attribute)(world, one))
        })
        .count();
    let nonzero = |all: u64, created: u64| {
        let mut counts = of([
            ("fetched", all),
            ("created", created),
            ("skipped", all - created),
        ]);
        counts.retain(|_, number| *number > 0);
        counts
    };
    Outcome {
        alerts: passed.iter().map(|event| event.uuid.clone()).collect(),
        events: nonzero(handed.len() as u64, passed.len() as u64),
        attributes: nonzero(live.len() as u64, chosen as u64),
    }
}

fn options(settings: &[&Setting]) -> Map<String, Value> {
    settings
        .iter()
        .flat_map(|one| one.options.as_object().unwrap().clone())
        .collect()
}

#[test]
fn each_filter_alone_does_what_it_says_also_if_the_server_ignores_it() {
    let misp = Fake::start(varied());
    for ignores in [false, true] {
        misp.world().ignores_filters = ignores;
        for setting in &settings() {
            let found = outcome(&report(job(&misp, &options(&[setting]))));
            let expected = expected(&misp.world(), &[setting]);
            if ignores && setting.options.get("window_days").is_some() {
                // What is outside of the window is no item at all.
                assert_eq!(found.alerts, expected.alerts);
                continue;
            }
            assert_eq!(found, expected, "{}, ignored: {ignores}", setting.options);
            let live = misp
                .world()
                .events
                .iter()
                .flat_map(|event| event.live())
                .count();
            let narrows = found.alerts.len() < 34 || found.attributes["created"] < live as u64;
            assert!(
                narrows && found.attributes["created"] > 0,
                "{} decides nothing here",
                setting.options
            );
        }
    }
}

/// Every pair of filters, in four parts that run beside each other.
fn pairs(part: usize) {
    let misp = Fake::start(varied());
    let settings = settings();
    for (index, first) in settings.iter().enumerate() {
        for (other, second) in settings.iter().enumerate().skip(index + 1) {
            let says = |key: &String| second.options.get(key).is_some();
            if (index + other) % 4 != part || first.options.as_object().unwrap().keys().any(says) {
                continue;
            }
            let pair = [first, second];
            let found = outcome(&report(job(&misp, &options(&pair))));
            assert_eq!(
                found,
                expected(&misp.world(), &pair),
                "{} {}",
                first.options,
                second.options
            );
        }
    }
}

#[test]
fn pairs_of_filters_do_what_both_say_first_part() {
    pairs(0);
}

#[test]
fn pairs_of_filters_do_what_both_say_second_part() {
    pairs(1);
}

#[test]
fn pairs_of_filters_do_what_both_say_third_part() {
    pairs(2);
}

#[test]
fn pairs_of_filters_do_what_both_say_fourth_part() {
    pairs(3);
}
