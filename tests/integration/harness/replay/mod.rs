//! The proof that the fake MISP is honest: recorded exchanges with a real MISP 2.5.1 are sent again, to the fake, and the answers
//! compared. All differences are reported at once. Which exchanges, and what had happened before them, is in
//! `table.rs` and `seeds.rs`; how
//! answers are compared in `compare.rs`.

mod compare;
pub(crate) mod hive;
mod later_seeds;
pub(crate) mod real;
mod seeds;
mod table;
mod wire;

use crate::misp;
use wire::Exchange;

/// Below this the proof has shrunk by accident.
const AT_LEAST: usize = 80;

#[test]
fn the_fake_misp_answers_as_the_recorded_one() {
    let mut differences = Vec::new();
    for row in table::ROWS {
        let found = replay(row);
        differences.extend(
            found
                .into_iter()
                .map(|difference| format!("{}: {difference}", row.name)),
        );
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
fn every_copied_exchange_is_replayed() {
    let mut copied: Vec<String> = wire::names("misp");
    copied.retain(|name| {
        !table::ROWS
            .iter()
            .any(|row| row.name == name || row.after.contains(&name.as_str()))
    });
    assert!(copied.is_empty(), "not in the table: {copied:?}");
}

/// What differs between a recorded answer and the fake's.
fn replay(row: &table::Row) -> Vec<String> {
    let mut world = misp::World::with_corpus();
    (row.seed)(&mut world);
    let fake = misp::Fake::start(world);
    for before in row.after {
        Exchange::read(before).send(&fake.url());
    }
    let exchange = Exchange::read(row.name);
    let answer = exchange.send(&fake.url());
    compare::differences(&exchange, &answer)
}
