//! What a MISP answers: an event walked piece by piece, a manifest, and each kind of element.
#![no_main]

use cortex_misp::json::JsonStream;
use cortex_misp::misp::wire::{self, Attribute, Event, Object, Report};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    drop(wire::read_event(
        &mut JsonStream::new(data),
        &Uuid::nil(),
        &mut |_| Ok(()),
    ));
    drop(wire::read_manifest(
        &mut JsonStream::for_feed_list(data),
        &mut |_, _| Ok(()),
    ));
    one::<Event>(data);
    one::<Attribute>(data);
    one::<Object>(data);
    one::<Report>(data);
});

fn one<T: DeserializeOwned>(data: &[u8]) {
    drop(serde_json::from_slice::<T>(data));
}
