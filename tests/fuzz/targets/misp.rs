//! What a MISP answers: an event walked piece by piece, a manifest, and each kind of element.
#![no_main]

use cortex_misp::json::Source;
use cortex_misp::misp::wire::{Attribute, Entries, Event, Object, Pieces, Proposal, Report, Sighting};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    let event = Uuid::nil();
    let mut on = |_| Ok(());
    drop(Source::new(data).read(|hand| Pieces { is_inside: false, event, hand, on: &mut on }));
    let mut on = |_, _| Ok(());
    drop(Source::new(data).read(|hand| Entries { hand, on: &mut on }));
    one::<Event>(data);
    one::<Attribute>(data);
    one::<Object>(data);
    one::<Proposal>(data);
    one::<Report>(data);
    one::<Sighting>(data);
});

fn one<T: DeserializeOwned>(data: &[u8]) {
    drop(serde_json::from_slice::<T>(data));
}
