//! The life of an export, case by case as TheHive 4 and TheHive 5 give it: made, repeated, changed, reviewed, retracted.
//! What is asserted is what the MISP holds afterwards, attribute by attribute, and what it was sent.

mod addressing;
mod alerts;
mod claimed_uuids;
mod comments;
mod desk;
mod equal_values;
mod event_tags;
mod into;
mod managed_elsewhere;
mod memory;
mod merged_cases;
mod moving_cases;
mod owning;
mod refused;
mod requests;
mod restricted;
mod retracting;
mod reviewing;
mod shares;
mod single;

use serde_json::json;

use crate::program::{counts, full, of};
use desk::{Desk, changes, domain, warnings};

/// Made, repeated without a write, changed in four ways at once, repeated again.
fn lives(desk: &Desk, number: usize) {
    desk.add_domains(number);
    let iocs = number as u64;
    let first = desk.export();
    assert_eq!(
        counts(full(&first), "observables"),
        of([("fetched", iocs), ("created", iocs)])
    );
    desk.asked_at_most(15);
    let made = desk.event();
    assert_eq!(
        (
            made.attributes.len(),
            made.published,
            made.publish_timestamp
        ),
        (number, false, 0)
    );
    assert!(
        made.attributes
            .iter()
            .all(|one| one.to_ids && one.kind == "domain" && one.distribution == 5)
    );
    let second = desk.export();
    assert_eq!(
        counts(full(&second), "observables"),
        of([("fetched", iocs), ("unchanged", iocs)])
    );
    desk.wrote_nothing();
    desk.asked_at_most(9);
    assert_eq!(changes(&made, &desk.event()), [""; 0]);

    desk.flag(0, false);
    if number > 1 {
        desk.set(1, "tlp", json!(3));
    }
    desk.entitle("Another title");
    desk.add(&domain("new.example"));
    let third = desk.export();
    let (updated, unchanged) = (u64::from(number > 1), iocs.saturating_sub(2));
    let expected = [
        ("fetched", iocs),
        ("created", 1),
        ("updated", updated),
        ("unchanged", unchanged),
    ];
    let expected = expected.into_iter().filter(|(_, number)| *number > 0);
    assert_eq!(
        counts(full(&third), "observables"),
        expected
            .map(|(name, number)| (name.to_owned(), number))
            .collect()
    );
    assert_eq!(
        counts(full(&third), "retractions"),
        of([("fetched", 1), ("updated", 1)])
    );
    let mut differ = vec![
        "+ new.example",
        "event: info",
        "host-0.example: comment, to_ids",
    ];
    differ.extend((number > 1).then_some("host-1.example: distribution, tags"));
    let changed = desk.event();
    assert_eq!(changes(&made, &changed), differ);
    assert_eq!(
        desk.writes().len(),
        2,
        "one edit and one list: {:?}",
        desk.writes()
    );
    desk.asked_at_most(if number < 5_000 { 12 } else { 14 });
    assert_eq!(changed.info, "Another title");
    let retracted = &changed.attributes[0];
    assert_eq!(
        (retracted.to_ids, retracted.comment.as_str()),
        (false, "[retracted by cortex-misp]")
    );

    desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&changed, &desk.event()), [""; 0]);
}

#[test]
fn a_case_lives_through_a_few_exports() {
    for number in [1, 10] {
        Desk::both().iter().for_each(|desk| lives(desk, number));
    }
}

#[test]
fn a_case_of_500_lives_through_a_few_exports() {
    Desk::both().iter().for_each(|desk| lives(desk, 500));
}

#[test]
fn a_case_of_5000_on_thehive_4_lives_through_a_few_exports() {
    lives(&Desk::four(), 5_000);
}

#[test]
fn a_case_of_5000_on_thehive_5_lives_through_a_few_exports() {
    lives(&Desk::five(), 5_000);
}

#[test]
fn the_stricter_tlp_arrives_in_the_words_of_each_thehive() {
    for (desk, tag) in Desk::both().iter().zip(["tlp:red", "tlp:amber+strict"]) {
        desk.add_domains(2);
        desk.export();
        desk.set(1, "tlp", json!(3));
        desk.export();
        let world = desk.misp.world();
        let [first, second] = world.events[0].attributes.as_slice() else {
            panic!("two attributes")
        };
        assert_eq!(
            (world.names(&first.tags), first.distribution),
            (Vec::new(), 5)
        );
        assert_eq!(
            (world.names(&second.tags), second.distribution),
            (vec![tag.to_owned()], 0)
        );
    }
}

#[test]
fn a_published_event_waits_with_its_title_and_takes_a_new_ioc_at_once() {
    for desk in Desk::both() {
        desk.add_domains(3);
        desk.export();
        {
            let mut world = desk.misp.world();
            (world.events[0].published, world.events[0].publish_timestamp) = (true, 1_795_297_500);
        }
        let published = desk.event();
        desk.entitle("Another title");
        let report = desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&published, &desk.event()), [""; 0]);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("unchanged", 3)])
        );
        let waits =
            "the event is published, so 1 differences wait for the next change of its IOCs: info";
        assert_eq!(warnings(&report), [waits]);

        desk.add(&domain("new.example"));
        let report = desk.export();
        assert_eq!(
            changes(&published, &desk.event()),
            ["+ new.example", "event: info, published"]
        );
        assert_eq!(
            (desk.event().info.as_str(), desk.event().published),
            ("Another title", false)
        );
        let back = "the event was published; MISP took that back when it was changed: review and publish it again";
        assert_eq!(warnings(&report), [back]);
        desk.export();
        desk.wrote_nothing();
    }
}

#[test]
fn a_retraction_and_a_stricter_tlp_are_reasons_to_touch_a_published_event() {
    type Step = fn(&Desk);
    let steps: [(Step, &str); 3] = [
        (
            |desk| desk.flag(0, false),
            "host-0.example: comment, to_ids",
        ),
        (|desk| desk.flag(0, true), "host-0.example: comment, to_ids"),
        (
            |desk| desk.set(1, "tlp", json!(3)),
            "host-1.example: distribution, tags",
        ),
    ];
    let desk = Desk::five();
    desk.add_domains(3);
    desk.export();
    for (step, change) in steps {
        desk.misp.world().events[0].published = true;
        let published = desk.event();
        step(&desk);
        let report = desk.export();
        assert_eq!(
            changes(&published, &desk.event()),
            ["event: published", change]
        );
        assert!(
            warnings(&report)[0].starts_with("the event was published; MISP took that back"),
            "{report:#}"
        );
    }
}
