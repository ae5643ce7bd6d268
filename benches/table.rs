//! How many attributes and observables a second the mapping takes on one core: `cargo bench --bench table`. The figures are
//! written as those of `programs` are.
#![allow(
    dead_code,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people"
)]

#[path = "programs/page.rs"]
mod page;

use std::hint::black_box;
use std::time::Instant;

use cortex_misp::import::chunk_mapping::{ChunkContext, map_rows};
use cortex_misp::import::command::Commands;
use cortex_misp::import::mapping::{AlertOptions, Markings};
use cortex_misp::json::Element;
use cortex_misp::markings::{Pap, Tlp};
use cortex_misp::misp::wire::Attribute;
use cortex_misp::secret::Scrubber;
use cortex_misp::types::{
    AttributeInput, MispCapabilities, ObservableInput, ObservableTypeSet, Overrides, to_attributes,
    to_observables,
};
use page::{Table, grouped, made_on, publish};
use serde_json::Value;
use uuid::Uuid;

const CORPUS: &str = include_str!("../fixtures/corpus/attributes/01.json");

fn main() {
    let whole: Value = serde_json::from_str(CORPUS).unwrap();
    let all = whole
        .pointer("/response/Attribute")
        .and_then(Value::as_array)
        .unwrap();
    let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap().to_owned();
    let stored: Vec<[String; 4]> = all
        .iter()
        .map(|one| ["type", "category", "value", "uuid"].map(|key| text(one, key)))
        .collect();
    let attributes: Vec<Attribute> = all
        .iter()
        .map(|one| serde_json::from_value(one.clone()).unwrap())
        .collect();
    let mut table = Table::new(&["mapping, on one core", "a second"]);
    import(&mut table, &stored);
    chunk(&mut table, &attributes);
    export(&mut table, &stored);
    publish("mapping", &made_on(), &[table]);
}

fn import(table: &mut Table, stored: &[[String; 4]]) {
    let data_types = ObservableTypeSet::thehive4();
    let started = Instant::now();
    let rounds = 20_000;
    for _ in 0..rounds {
        for [kind, category, value, uuid] in stored {
            black_box(to_observables(
                &AttributeInput {
                    kind,
                    category,
                    value,
                    uuid,
                    event: Uuid::nil(),
                },
                &data_types,
            ))
            .ok();
        }
    }
    let name = "attributes of MISP to observables";
    report(table, name, rounds * stored.len(), started);
}

/// As `import`, with filters, tags, limits, digests and merging. Copying the attributes is counted too.
fn chunk(table: &mut Table, attributes: &[Attribute]) {
    let setup = ChunkContext {
        has_files: false,
        uuid: Uuid::nil(),
        commands: Commands { connections: &[] },
        event: Markings::explicit(Tlp::Amber, Pap::Amber),
        data_types: &ObservableTypeSet::thehive4(),
        marks: &AlertOptions::default(),
        scrubber: &Scrubber::default(),
        key: &|data_type, data| (data_type.to_owned(), data.to_lowercase()),
        is_own_export: &|_| false,
    };
    let choice = serde_json::from_value(Value::Object(serde_json::Map::new())).unwrap();
    let started = Instant::now();
    let rounds = 5_000;
    for _ in 0..rounds {
        let rows = attributes
            .iter()
            .map(|one| (Element::Good(one.clone()), None));
        black_box(map_rows(rows, &choice, &setup, &mut |digest, _, _| {
            black_box(digest);
        }));
    }
    let name = "the same with filters, tags, limits, merging";
    report(table, name, rounds * attributes.len(), started);
}

fn export(table: &mut Table, stored: &[[String; 4]]) {
    let data_types = ObservableTypeSet::thehive4();
    let there: Vec<_> = stored
        .iter()
        .flat_map(|[kind, category, value, uuid]| {
            to_observables(
                &AttributeInput {
                    kind,
                    category,
                    value,
                    uuid,
                    event: Uuid::nil(),
                },
                &data_types,
            )
            .unwrap_or_default()
        })
        .collect();
    let given: Vec<ObservableInput<'_>> = there
        .iter()
        .map(|one| ObservableInput {
            data_type: &one.data_type,
            data: &one.data,
            tags: &one.tags,
        })
        .collect();
    let started = Instant::now();
    let rounds = 2_000;
    for _ in 0..rounds {
        black_box(to_attributes(
            &given,
            &Overrides::default(),
            &MispCapabilities::newest(),
        ));
    }
    let name = "observables to attributes of MISP";
    report(table, name, rounds * given.len(), started);
}

fn report(table: &mut Table, name: &str, count: usize, started: Instant) {
    let rate = count as f64 / started.elapsed().as_secs_f64();
    table.row(&[name, &grouped(rate as usize)]);
}
