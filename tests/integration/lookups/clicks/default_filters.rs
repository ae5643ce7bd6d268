//! What MISP keeps out of every search without a word: what the key's user has set as default filters, and what its allowed
//! list names. Neither makes a look-up say that nobody knows a value.

use serde_json::json;

use super::{look_up, message, taxonomies, taxonomy};
use crate::misp::{Fake, World};
use crate::program::full;

#[test]
fn default_filters_of_the_keys_user_hide_nothing() {
    for filters in [
        json!({"to_ids": 1}),
        json!({"tags": "nosuch"}),
        json!({"type": "md5", "category": "Payload delivery"}),
        json!({"last": "1m", "from": "2030-01-01", "eventid": 9999}),
        json!({"limit": 1, "page": 5}),
        json!({"deleted": [1]}),
    ] {
        let misp = Fake::start(World::with_corpus());
        misp.world().default_filters = filters.clone();
        let report = look_up(&misp, "ip", "198.51.0.0", &json!({}));
        assert_eq!(
            message(&report),
            "1 event knows 198.51.0.0 on 1 connection",
            "{filters}"
        );
    }
}

#[test]
fn a_value_on_misps_allowed_list_is_no_all_clear() {
    let misp = Fake::start(World::with_corpus());
    misp.world().allowed_list = vec!["198.51.0".into()];
    let report = look_up(&misp, "ip", "198.51.0.0", &json!({}));
    assert_eq!(
        full(&report)["connections"][0]["warnings"],
        json!([
            "1 attribute is not shown with the value: MISP's allowed list (its page Administration, Allowedlist) keeps it \
             out of every search; look for it in MISP itself"
        ])
    );
    assert_ne!(taxonomies(&report), [taxonomy("info", "Events", "0")]);
    assert_ne!(message(&report), "no event knows 198.51.0.0");
}
