//! MISP's allowed list and the default filters of the key's user keep attributes out of every search. What an export wrote is
//! seen all the same, and what is no IOC any more is retracted.

use serde_json::json;

use crate::desk::Desk;
use crate::program::{counts, full, of};
use crate::thehive::World;

#[test]
fn what_the_allowed_list_keeps_out_of_searches_is_verified_and_retracted() {
    for (allowed, filters) in [
        (vec!["allowed".to_owned()], json!(null)),
        (vec!["example".to_owned()], json!(null)),
        (vec![], json!({"to_ids": 0, "tags": "nosuch"})),
    ] {
        let desk = Desk::new(World::five(), &json!({"tlp": 1}));
        let listed = desk.ioc("domain", "allowed.example", &json!({}));
        desk.ioc("domain", "other.example", &json!({}));
        desk.misp.world().allowed_list = allowed;
        desk.misp.world().default_filters = filters;

        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        desk.runs_empty();

        desk.change(&listed, &json!({"ioc": false}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        let world = desk.misp.world();
        let retracted = world.events[0]
            .attributes
            .iter()
            .find(|attribute| attribute.value == "allowed.example");
        assert!(!retracted.unwrap().to_ids);
    }
}
