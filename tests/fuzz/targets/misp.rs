//! What a MISP answers: an event walked piece by piece, a manifest, and each kind of element.
#![no_main]

use cortex_misp::json::Source;
use cortex_misp::misp::wire::{self, Attribute, Event, Object, Report};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    drop(wire::event(&mut Source::new(data), &Uuid::nil(), &mut |_| Ok(())));
    drop(wire::entries(&mut Source::listing(data), &mut |_, _| Ok(())));
    one::<Event>(data);
    one::<Attribute>(data);
    one::<Object>(data);
    one::<Report>(data);
});

fn one<T: DeserializeOwned>(data: &[u8]) {
    drop(serde_json::from_slice::<T>(data));
}
