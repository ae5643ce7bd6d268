//! What TheHive answers: an alert compared with an event and changed, a case with its observables.
#![no_main]

use cortex_misp::export::case::{self, Input};
use cortex_misp::import::state::{self, State};
use cortex_misp::import::users::Users;
use cortex_misp::misp::wire::Event;
use cortex_misp::thehive::wire::{Alert, Observable, Origin};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    let uuid = Uuid::nil();
    if let Ok(alert) = serde_json::from_slice::<Alert>(data) {
        let description = alert.description.clone();
        if let Some(state) = State::find(&description, &uuid) {
            // What is put in place is found again, and once.
            let put = state.put(&description);
            assert!(State::find(&put, &uuid).is_some(), "{put}");
            assert!(State::find(&state::without(&put), &uuid).is_none(), "{put}");
        }
        drop(cortex_misp::import::compare::fate(&Event::default(), &uuid, Some(alert), &Users::default()));
    }
    drop(serde_json::from_slice::<Observable>(data));
    drop(serde_json::from_slice::<Origin>(data));
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    drop(case::id(&value));
    drop(case::created(&value));
    if let Ok(Some(observables)) = case::carried(&value) {
        drop(Input::new(&value, observables, None));
    }
});
