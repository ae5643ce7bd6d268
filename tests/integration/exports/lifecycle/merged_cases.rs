//! A case that was merged from two exported ones: new IOCs go to one event, and both are kept in line with the case.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain};
use crate::misp::Event;
use crate::program::{counts, full, of};

/// Two exported cases, and the one that TheHive made of them: their observables, their tags, and the sources gone.
fn merged(mut desk: Desk) -> (Desk, [String; 2]) {
    let first = desk.case.clone();
    let mut job = desk.job_with("distribution", json!(1));
    desk.add_domains(2);
    desk.run(&job);
    let one = desk.event().uuid;
    let mut tags = vec![desk.event_tag("misp-corp", &one)];
    desk.case = desk.thehive.world().add_case(
        43,
        "Second wave",
        &json!({"tlp": 2, "pap": 2, "severity": 2}),
    );
    let second = desk.case.clone();
    desk.add(&domain("second.example"));
    job["data"]["_id"] = json!(second);
    desk.run(&job);
    let two = desk.misp.world().events[1].uuid.clone();
    tags.push(desk.event_tag("misp-corp", &two));
    let case = {
        let mut world = desk.thehive.world();
        let fields = json!({"tags": tags, "tlp": 2, "pap": 2, "severity": 2});
        let case = world.add_case(44, "Phishing wave / Second wave", &fields);
        world.cases.retain(|one| one["_id"] == json!(case));
        world
            .observables
            .iter_mut()
            .for_each(|one| one.parent.clone_from(&case));
        case
    };
    assert_ne!(first, second);
    desk.case = case;
    (desk, [one, two])
}

fn event(desk: &Desk, uuid: &str) -> Event {
    desk.misp
        .world()
        .events
        .iter()
        .find(|event| event.uuid == uuid)
        .unwrap()
        .clone()
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

#[test]
fn new_iocs_go_to_the_oldest_event_and_the_other_is_named() {
    for desk in Desk::both() {
        let (desk, [one, two]) = merged(desk);
        let before = [event(&desk, &one), event(&desk, &two)];
        desk.add(&domain("new.example"));
        let report = desk.export();
        assert_eq!(desk.misp.world().events.len(), 2);
        assert_eq!(
            changes(&before[0], &event(&desk, &one)),
            ["+ new.example", "+ second.example", "event: info"]
        );
        assert_eq!(changes(&before[1], &event(&desk, &two)), [""; 0]);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 4), ("created", 2), ("unchanged", 2)])
        );
        let lines: Vec<_> = full(&report)["connections"][0]["events"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(
            [&lines[0]["uuid"], &lines[1]["uuid"]],
            [&json!(one), &json!(two)]
        );
        assert!(
            message(&report).contains("is this case's too: unchanged"),
            "{}",
            message(&report)
        );
        // TheHive does not keep the order of tags.
        desk.thehive.world().cases[0]["tags"]
            .as_array_mut()
            .unwrap()
            .reverse();
        desk.export();
        desk.wrote_nothing();
    }
}

#[test]
fn a_merged_case_that_becomes_red_and_loses_iocs_closes_and_retracts_in_both_events() {
    for desk in Desk::both() {
        let (desk, [one, two]) = merged(desk);
        {
            let mut world = desk.thehive.world();
            let five = world.version == crate::thehive::Version::Five;
            let case = world.cases[0].as_object_mut().unwrap();
            case.shift_remove("tlpLabel");
            case.insert("tlp".to_owned(), json!(if five { 4 } else { 3 }));
        }
        desk.flag(0, false);
        desk.flag(2, false);
        let report = desk.export();
        for (uuid, gone) in [(&one, "host-0.example"), (&two, "second.example")] {
            let event = event(&desk, uuid);
            let world = desk.misp.world();
            assert_eq!(event.distribution, 0, "{uuid}");
            assert!(
                world.names(&event.tags).contains(&"tlp:red".to_owned()),
                "{uuid}"
            );
            let retracted = event
                .attributes
                .iter()
                .find(|one| one.value == gone)
                .unwrap();
            assert_eq!(
                (retracted.to_ids, retracted.comment.as_str()),
                (false, "[retracted by cortex-misp]")
            );
            assert!(
                event.attributes.iter().all(|one| one.distribution == 0),
                "{uuid}"
            );
        }
        assert_eq!(
            event(&desk, &two).info,
            "Second wave",
            "the title of an event that is only kept in line stays"
        );
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 2), ("updated", 2)])
        );
        assert!(
            message(&report).contains("is this case's too: updated"),
            "{}",
            message(&report)
        );
        desk.export();
        desk.wrote_nothing();
        // The flag back undoes it in both.
        desk.flag(2, true);
        desk.export();
        assert!(event(&desk, &two).attributes[0].to_ids);
    }
}

#[test]
fn a_dry_run_tells_of_both_events_and_writes_nothing() {
    let (desk, [one, two]) = merged(Desk::five());
    desk.flag(2, false);
    let report = desk.run(&desk.job_with("dry_run", json!(true)));
    desk.wrote_nothing();
    let uuids: Vec<_> = full(&report)["connections"][0]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["uuid"].clone())
        .collect();
    assert_eq!(uuids, [json!(one), json!(two)]);
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("updated", 1)])
    );
}

/// An event that was deleted, or is of another organisation now, holds nothing of the case up.
#[test]
fn an_event_that_is_gone_or_managed_elsewhere_is_passed_over() {
    let (desk, [one, two]) = merged(Desk::five());
    desk.misp.world().events.retain(|event| event.uuid != one);
    let before = event(&desk, &two);
    desk.export();
    assert_eq!(
        changes(&before, &event(&desk, &two)),
        ["+ host-0.example", "+ host-1.example", "event: info"]
    );
    let (desk, [one, two]) = merged(Desk::five());
    desk.misp.world().events[0].locked = true;
    let before = [event(&desk, &one), event(&desk, &two)];
    let report = desk.export();
    assert_eq!(changes(&before[0], &event(&desk, &one)), [""; 0]);
    assert_eq!(event(&desk, &two).attributes.len(), 3);
    let told = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        told.contains(&format!(
            "event {one}, which is this case's too, is managed on another MISP"
        )),
        "{told}"
    );
}

/// TheHive joins the titles of three cases in a row, and a merged case may be merged again.
#[test]
fn a_case_of_three_titles_follows_the_events_of_each() {
    for title in [
        "Another case / Phishing wave / Second wave",
        "Phishing wave / Another case / Second wave",
    ] {
        let (desk, [one, two]) = merged(Desk::four());
        desk.entitle(title);
        desk.add(&domain("new.example"));
        let report = desk.export();
        assert_eq!(desk.misp.world().events.len(), 2, "{title}");
        let lines: Vec<_> = full(&report)["connections"][0]["events"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(
            [&lines[0]["uuid"], &lines[1]["uuid"]],
            [&json!(one), &json!(two)],
            "{title}"
        );
    }
}
