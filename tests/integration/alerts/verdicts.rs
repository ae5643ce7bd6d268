//! What MISP's users say of attributes, in alerts: how often one was sighted as a false positive, when it expires, and that
//! nothing alike is to be looked for.

use serde_json::{Value, json};

use super::writing::desk::{Desk, attribute};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::Sighting;
use crate::program::{counts, full, of};
use crate::thehive::Version;

/// 2026-11-30 and 2027-01-31.
const LAST_YEAR: i64 = 1_796_000_000;
const NEXT_YEAR: i64 = 1_801_353_600;

/// Sights the attribute of event 1 with this value.
fn sight(desk: &Desk, value: &str, kind: &str, date: i64) {
    let mut world = desk.misp.world();
    let event = world.event("1").unwrap();
    let attribute = event
        .attributes
        .iter()
        .rfind(|one| one.value == value)
        .unwrap()
        .id;
    let id = world.next_id();
    world.sightings.push(Sighting {
        id,
        uuid: format!("7f0e5b5c-0000-4000-8000-{id:012}"),
        event: 1,
        attribute,
        org: 2,
        date,
        source: String::new(),
        kind: kind.to_owned(),
    });
}

/// The tags of an observable that say what MISP's users say.
fn said(desk: &Desk, data: &str) -> Vec<String> {
    let one = desk.observable(&desk.alert("1"), data).unwrap();
    let tags = one["tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str);
    let mut said: Vec<String> = tags
        .filter(|tag| tag.contains("false-positives") || tag.contains("expiration"))
        .map(ToOwned::to_owned)
        .collect();
    said.sort();
    said
}

#[test]
fn false_positives_and_expirations_are_tags_of_the_observable() {
    for desk in Desk::small(1) {
        sight(&desk, "host-1.example", "1", LAST_YEAR);
        sight(&desk, "host-1.example", "1", NEXT_YEAR);
        sight(&desk, "host-1.example", "0", LAST_YEAR);
        sight(&desk, "host-1.example", "2", LAST_YEAR);
        sight(&desk, "192.0.2.1", "2", LAST_YEAR);
        sight(&desk, "192.0.2.1", "2", NEXT_YEAR);
        desk.import();
        assert_eq!(
            said(&desk, "host-1.example"),
            [
                "misp:expiration=\"2026-11-30\"",
                "misp:false-positives=\"2\""
            ]
        );
        assert_eq!(said(&desk, "192.0.2.1"), ["misp:expiration=\"2027-01-31\""]);
        assert_eq!(said(&desk, "Text 1"), [""; 0]);
        desk.rests();

        // One more is seen when the event changes next, and an event that is read again changes nothing.
        sight(&desk, "host-1.example", "1", NEXT_YEAR);
        desk.rests();
        desk.alter("1", "Text 1", |one| one.comment = "Another".into());
        desk.import();
        assert_eq!(
            said(&desk, "host-1.example")[1],
            "misp:false-positives=\"3\""
        );
        desk.change("1", |_| {});
        desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"]);
    }
}

#[test]
fn of_several_attributes_of_a_value_the_most_counts() {
    for desk in Desk::small(1) {
        for (id, number) in [(901, 2), (902, 3), (903, 0)] {
            desk.add("1", "domain", "host-1.example", |one| one.id = id);
            (0..number).for_each(|_| sight(&desk, "host-1.example", "1", LAST_YEAR));
        }
        desk.import();
        assert_eq!(
            said(&desk, "host-1.example"),
            ["misp:false-positives=\"3\""]
        );
        desk.rests();
    }
}

#[test]
fn max_false_positives_leaves_out_what_was_sighted_more_often() {
    for (most, skipped) in [
        (json!(0), 2),
        (json!(1), 1),
        (json!(2), 0),
        (json!(null), 0),
    ] {
        let [desk, _] = Desk::small(1);
        let desk = desk.with(json!({ "max_false_positives": most }));
        sight(&desk, "host-1.example", "1", LAST_YEAR);
        sight(&desk, "192.0.2.1", "1", LAST_YEAR);
        sight(&desk, "192.0.2.1", "1", LAST_YEAR);
        let report = desk.import();
        let counted = &full(&report)["ledger"]["attributes"];
        assert_eq!(
            (&counted["skipped"], &counted["fetched"]),
            (&json!(skipped), &json!(3)),
            "{report:#}"
        );
        if skipped > 0 {
            let rule =
                format!("sighted as a false positive more than max_false_positives ({most})");
            assert_eq!(counted["skipped_by"], json!({ rule: skipped }));
        }
        assert_eq!(desk.data("1").len(), 3 - usize::try_from(skipped).unwrap());
    }
}

/// An event that is read in pages, with its first domain once more at the end.
fn large() -> [Desk; 2] {
    Desk::small(1).map(|desk| {
        desk.change("1", |event| {
            let domain = |id: u64| attribute(100_000 + id, "domain", &format!("many-{id}.example"));
            event.attributes.extend((0..5_100).map(domain));
            event
                .attributes
                .push(attribute(200_000, "domain", "host-1.example"));
        });
        desk
    })
}

#[test]
fn an_event_in_pages_has_its_sightings_by_one_question() {
    for desk in large() {
        sight(&desk, "many-7.example", "1", LAST_YEAR);
        sight(&desk, "host-1.example", "1", LAST_YEAR);
        sight(&desk, "192.0.2.1", "2", NEXT_YEAR);
        desk.import();
        let asked = desk.misp.requests();
        let asked: Vec<_> = asked
            .iter()
            .filter(|one| one.path.contains("sightings"))
            .collect();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].body["type"], json!([1, 2]));
        assert!(
            asked
                .iter()
                .all(|one| one.body.get("includeSightings").is_none())
        );
        assert_eq!(
            said(&desk, "many-7.example"),
            ["misp:false-positives=\"1\""]
        );
        assert_eq!(
            said(&desk, "host-1.example"),
            ["misp:false-positives=\"1\""]
        );
        assert_eq!(said(&desk, "192.0.2.1"), ["misp:expiration=\"2027-01-31\""]);
        desk.rests();
    }
}

#[test]
fn sightings_that_cannot_be_read_leave_nothing_out_and_come_with_the_next_run_if_they_may() {
    for (desk, status) in large().into_iter().zip([504, 500]) {
        let desk = desk.with(json!({"max_false_positives": 0}));
        sight(&desk, "host-1.example", "2", NEXT_YEAR);
        desk.misp.fault(Fault {
            on: "/sightings/restSearch",
            nth: Nth::First(9),
            what: What::Status(status, "{}".to_owned(), "application/json"),
        });
        let report = desk.import();
        let told = full(&report)["connections"][0]["warnings"].to_string();
        assert!(told.contains("its sightings cannot be read"), "{told}");
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 5_104), ("created", 5_103), ("unchanged", 1)])
        );
        assert_eq!(said(&desk, "host-1.example"), [""; 0]);

        desk.misp.heal();
        if status == 500 {
            desk.rests();
            continue;
        }
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("updated", 1)]),
            "{report:#}"
        );
        assert_eq!(
            said(&desk, "host-1.example"),
            ["misp:expiration=\"2027-01-31\""]
        );
        desk.rests();
    }
}

#[test]
fn sightings_by_the_thousand_and_odd_moments_are_counted() {
    let [_, desk] = Desk::small(1);
    for number in 0..100_000 {
        sight(
            &desk,
            "host-1.example",
            if number % 2 == 0 { "1" } else { "0" },
            number,
        );
    }
    for date in [i64::MIN, -1, 0, i64::MAX] {
        sight(&desk, "host-1.example", "2", date);
        sight(&desk, "192.0.2.1", "7", date);
    }
    let report = desk.import();
    assert_eq!(
        said(&desk, "host-1.example"),
        ["misp:false-positives=\"50000\""]
    );
    assert_eq!(said(&desk, "192.0.2.1"), [""; 0]);
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 3), ("created", 3)])
    );
}

/// A tag in our words says nothing that its author is not asked.
#[test]
fn a_partners_tag_says_no_verdict_of_ours() {
    for desk in Desk::small(1) {
        for name in [
            "misp:sighting=\"false-positive\"",
            "MISP : sighting = expiration",
            "misp:false-positives=\"99\"",
            "misp:expiration=\"2020-01-01\"",
        ] {
            let tag = desk.tag(name);
            desk.alter("1", "host-1.example", |one| one.tags.push(tag));
        }
        desk.import();
        let one = desk.observable(&desk.alert("1"), "host-1.example").unwrap();
        assert_eq!(one["tags"], json!([]), "{one:#}");
    }
}

/// What TheHive is told of each value: whether nothing alike is to be looked for.
fn ignored(desk: &Desk, data: &str) -> Value {
    desk.observable(&desk.alert("1"), data).unwrap()["ignoreSimilarity"].clone()
}

#[test]
fn what_misp_does_not_correlate_is_not_compared_in_thehive_5() {
    for desk in Desk::small(1) {
        let is_five = desk.thehive.world().version == Version::Five;
        desk.alter("1", "192.0.2.1", |one| one.disable_correlation = true);
        // One value twice: only if both say so.
        desk.alter("1", "host-1.example", |one| one.disable_correlation = true);
        desk.add("1", "domain", "host-1.example", |_| {});
        desk.import();
        let sent: String = desk
            .writes()
            .iter()
            .map(|one| one.body.to_string())
            .collect();
        if !is_five {
            assert!(!sent.contains("ignoreSimilarity"), "{sent}");
            continue;
        }
        assert_eq!(ignored(&desk, "192.0.2.1"), true);
        assert_eq!(ignored(&desk, "host-1.example"), false);
        assert_eq!(ignored(&desk, "Text 1"), false);
        desk.rests();

        desk.alter("1", "Text 1", |one| one.disable_correlation = true);
        desk.alter("1", "192.0.2.1", |one| one.disable_correlation = false);
        desk.import();
        assert_eq!(
            (ignored(&desk, "Text 1"), ignored(&desk, "192.0.2.1")),
            (json!(true), json!(false))
        );
        desk.rests();

        // A person's word stays.
        desk.touch("1", "Text 1", "ignoreSimilarity", json!(false));
        desk.change("1", |_| {});
        desk.import();
        assert_eq!(ignored(&desk, "Text 1"), false);
    }
}
