//! What TheHive answers: an alert compared with an event and changed, a case with its observables.
#![no_main]

use cortex_misp::export::case::{self, ExportInput};
use cortex_misp::import::sync_state::{self, SyncState};
use cortex_misp::import::users::Users;
use cortex_misp::misp::wire::Event;
use cortex_misp::thehive::wire::{Alert, AlertOrigin, Observable};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use uuid::Uuid;

fuzz_target!(|data: &[u8]| {
    let uuid = Uuid::nil();
    if let Ok(alert) = serde_json::from_slice::<Alert>(data) {
        let description = alert.description.clone();
        if let Some(state) = SyncState::find(&description, &uuid) {
            // What is put in place is found again, and once.
            let put = state.insert_into(&description);
            assert!(SyncState::find(&put, &uuid).is_some(), "{put}");
            assert!(
                SyncState::find(&sync_state::strip_state_line(&put), &uuid).is_none(),
                "{put}"
            );
        }
        drop(cortex_misp::import::alert_diff::determine_status(
            &Event::default(),
            &uuid,
            Some(alert),
            &Users::new("", &[]),
        ));
    }
    drop(serde_json::from_slice::<Observable>(data));
    drop(serde_json::from_slice::<AlertOrigin>(data));
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    drop(case::read_id(&value));
    drop(case::created_millis(&value));
    if let Ok(Some(observables)) = case::parse_observables(&value) {
        drop(ExportInput::new(&value, observables, None));
    }
});
