//! How many attributes and observables a second the mapping takes on one core: `cargo bench --bench table`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people"
)]

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
    import(&stored);
    page(
        &all.iter()
            .map(|one| serde_json::from_value(one.clone()).unwrap())
            .collect::<Vec<Attribute>>(),
    );
    export(&stored);
}

fn import(stored: &[[String; 4]]) {
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
    report("import", rounds * stored.len(), started);
}

/// As `import`, with filters, tags, limits, digests and merging. Copying the attributes is counted too.
fn page(attributes: &[Attribute]) {
    let setup = ChunkContext {
        has_files: false,
        uuid: Uuid::nil(),
        commands: Commands { connections: &[] },
        event: Markings::explicit(Tlp::Amber, Pap::Amber),
        data_types: &ObservableTypeSet::thehive4(),
        marks: &AlertOptions::default(),
        scrubber: &Scrubber::default(),
        key: &|data_type, data| (data_type.to_owned(), data.to_lowercase()),
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
    report("page", rounds * attributes.len(), started);
}

fn export(stored: &[[String; 4]]) {
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
    report("export", rounds * given.len(), started);
}

fn report(what: &str, count: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a few digits are enough")]
    let rate = count as f64 / seconds;
    println!("{what}: {count} in {seconds:.2} s, {rate:.0} a second");
}
