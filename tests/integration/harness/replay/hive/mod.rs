//! The proof that the fake TheHive is honest: recorded exchanges with a real TheHive 4.1.24 are sent again, and the answers
//! compared. What was there before each is made by TheHive's own API, so that the same goes to a real one (`tests/live/`).

mod compare;
mod made;
mod stage;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::wire::{self, Exchange};
use crate::thehive;
pub(crate) use stage::{Stage, ask};

/// Below this the proof has shrunk by accident.
const AT_LEAST: usize = 95;

#[test]
fn the_fake_thehive_answers_as_the_recorded_one() {
    let mut differences = Vec::new();
    for row in table::ROWS {
        let fake = thehive::Fake::start(world());
        fake.world().losing = usize::from(row.name.contains("file-207"));
        fake.world().patterns.push("T9999".to_owned());
        let mut stage = Stage::new(fake.url(), thehives_keys());
        let found = replay(row, &mut stage).into_iter();
        let found = found.filter(|one| !is_known(table::OF_THE_FAKE, row.name, one));
        differences.extend(found.map(|difference| format!("{}: {difference}", row.name)));
    }
    assert!(
        table::ROWS.len() >= AT_LEAST,
        "only {} exchanges",
        table::ROWS.len()
    );
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn every_copied_exchange_with_thehive_is_replayed() {
    let mut copied = wire::names("thehive");
    copied.retain(|name| !table::ROWS.iter().any(|row| row.name == name));
    assert!(copied.is_empty(), "not in the table: {copied:?}");
}

/// Sends what can be sent to a real one, too; how many, and where the three differ.
pub(crate) fn differences(stage: &mut Stage) -> (usize, Vec<String>) {
    let mut differences = Vec::new();
    let mut sent = 0;
    for row in table::ROWS {
        if table::NOT_FOR_A_REAL_ONE
            .iter()
            .any(|(name, _)| *name == row.name)
        {
            continue;
        }
        sent += 1;
        // What could not be made before one does not keep the others from being sent.
        let found = catch_unwind(AssertUnwindSafe(|| replay(row, stage)));
        let found = found
            .unwrap_or_else(|_| vec!["it was not sent: see above".to_owned()])
            .into_iter();
        let found = found.filter(|one| !is_known(table::OF_ANOTHER, row.name, one));
        differences.extend(found.map(|difference| format!("{}: {difference}", row.name)));
    }
    (sent, differences)
}

fn is_known(known: &[(&str, &str, &str)], name: &str, difference: &str) -> bool {
    known
        .iter()
        .any(|(of, start, _)| *of == name && difference.starts_with(start))
}

fn replay(row: &table::Row, stage: &mut Stage) -> Vec<String> {
    let exchange = Exchange::with("thehive", row.name);
    stage.begin(&exchange);
    (row.made)(stage, &exchange);
    let answer = stage.send(&exchange);
    compare::differences(stage, &exchange, &answer)
}

/// Two organisations; the first is called as the recorded one, and its other users are there.
fn world() -> thehive::World {
    let mut world = thehive::World::four();
    let all = [
        "manageShare",
        "manageAnalyse",
        "manageTask",
        "manageCase",
        "manageProcedure",
        "managePage",
        "manageObservable",
        "manageAlert",
        "accessTheHiveFS",
        "manageAction",
    ];
    let user = |login: &str, organisation: &str, permissions: &[&str]| thehive::User {
        login: format!("{login}@example.org"),
        key: format!("{login}-key"),
        organisations: vec![organisation.to_owned()],
        permissions: permissions.iter().map(ToString::to_string).collect(),
        locked: false,
    };
    world.users = vec![
        user("analyst", "soc", &all),
        user(
            "orgadmin",
            "soc",
            &[&all[..], &["manageUser", "manageConfig"]].concat(),
        ),
        user("readonly", "soc", &[]),
        user("other", "csirt", &all),
        user(
            "admin",
            "admin",
            &["managePlatform", "manageOrganisation", "manageUser"],
        ),
    ];
    world.linked = vec![["soc".to_owned(), "csirt".to_owned()]];
    world
}

fn thehives_keys() -> stage::Keys {
    stage::ROLES
        .into_iter()
        .map(|role| (role.to_owned(), format!("{role}-key")))
        .collect()
}
