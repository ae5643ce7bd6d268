//! MISP's events as alerts in TheHive 4 and 5: created once, updated when the event changes, never written without need.

mod analysts;
pub(crate) mod desk;
mod life;
mod limits;
mod removing;

use serde_json::json;

use crate::program::{counts, full, of};
use desk::Desk;

#[test]
fn the_corpus_becomes_alerts_and_a_second_run_writes_nothing() {
    for desk in Desk::both() {
        let report = desk.import();
        let told = full(&report);
        assert_eq!(counts(told, "events"), of([("fetched", 34), ("created", 34)]), "{told:#}");
        assert_eq!(desk.thehive.world().alerts.len(), 34);
        let attributes = counts(told, "attributes");
        assert_eq!(attributes["fetched"], attributes["created"], "{told:#}");
        let again = desk.import();
        assert_eq!(counts(full(&again), "events"), of([("fetched", 34), ("unchanged", 34)]), "{again:#}");
        desk.wrote_nothing();
    }
}

#[test]
fn exactly_what_changed_in_misp_reaches_thehive() {
    for desk in Desk::both() {
        desk.import();
        let before = desk.observables(&desk.alert("4")).len();
        let gone = desk.misp.world().event("4").unwrap().live().next().unwrap().value.clone();
        desk.change("4", |event| event.attributes.iter_mut().find(|one| !one.deleted).unwrap().deleted = true);
        desk.change("5", |event| event.info = "Renamed".into());
        let report = desk.import();
        let told = full(&report);
        assert_eq!(counts(told, "events"), of([("fetched", 34), ("updated", 2), ("unchanged", 32)]), "{told:#}");
        assert_eq!(desk.alert("5")["title"], "#5 Renamed");
        assert_eq!(desk.observables(&desk.alert("4")).len(), before - 1, "{gone}");
        desk.import();
        desk.wrote_nothing();
    }
}

#[test]
fn what_analysts_did_stays() {
    for desk in Desk::both() {
        desk.import();
        desk.edit("5", "title", json!("Our own title"));
        desk.edit("5", "tags", json!(["ours"]));
        desk.change("5", |event| (event.info, event.threat_level) = ("Renamed".into(), 1));
        desk.import();
        let alert = desk.alert("5");
        assert_eq!((&alert["title"], &alert["severity"]), (&json!("Our own title"), &json!(3)));
        assert!(alert["tags"].as_array().unwrap().contains(&json!("ours")), "{alert:#}");
        desk.import();
        desk.wrote_nothing();
    }
}
