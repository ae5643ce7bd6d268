//! A tag `misp:into` names an event that people made: the case's IOCs go there, nothing else of it changes, and what may not
//! be written to is refused before anything is.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain, failures, warnings};
use crate::misp::{Attribute, Event, key};
use crate::program::{counts, failure, full, of};

const UUID: &str = "7d0d4c6e-1a2b-4c3d-8e4f-5a6b7c8d9e0f";
const NUMBER: u64 = 1337;

/// Adds an event that a person of the exporting organisation made, with one attribute.
fn add_event(desk: &Desk) {
    let mut world = desk.misp.world();
    let moment = world.tick();
    let tags = vec![world.attached("tlp:green"), world.attached("campaign:x")];
    let attribute = Attribute {
        id: 5,
        uuid: "11111111-1a2b-4c3d-8e4f-5a6b7c8d9e0f".into(),
        kind: "domain".into(),
        category: "Network activity".into(),
        value: "theirs.example".into(),
        distribution: 5,
        timestamp: moment,
        ..Attribute::default()
    };
    world.events.push(Event {
        id: NUMBER,
        uuid: UUID.into(),
        org: 2,
        orgc: 2,
        creator: "partner@partner.test".into(),
        info: "A campaign".into(),
        date: "2026-11-01".into(),
        threat_level: 3,
        analysis: 1,
        timestamp: moment,
        attribute_count: 1,
        attributes: vec![attribute],
        tags,
        ..Event::default()
    });
}

fn change(desk: &Desk, change: impl Fn(&mut Event)) {
    desk.misp.world().events.iter_mut().for_each(change);
}

fn desk_with(tag: &str) -> Desk {
    let desk = Desk::five();
    desk.add_domains(2);
    add_event(&desk);
    desk.tag(&[tag.to_owned()]);
    desk
}

fn named(event: &str) -> String {
    format!("misp:into=\"misp-corp:{event}\"")
}

/// Puts the tags on the case that a report asks for, as TheHive does.
fn follow(desk: &Desk, report: &Value) {
    let mut world = desk.thehive.world();
    let tags = world.cases[0]["tags"].as_array_mut().unwrap();
    for operation in report["operations"].as_array().unwrap() {
        if !tags.contains(&operation["tag"]) {
            tags.push(operation["tag"].clone());
        }
    }
}

fn event(desk: &Desk, uuid: &str) -> Event {
    desk.misp.world().event(uuid).unwrap().clone()
}

/// A case that is refused: nothing is written, and this is said.
fn refused(desk: &Desk, said: &str) {
    let before = desk.misp.world().events.clone();
    let report = desk.export();
    desk.wrote_nothing();
    assert!(report.to_string().contains(said), "{said}: {report:#}");
    let after = desk.misp.world().events.clone();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(changes(before, after), [""; 0], "{said}");
    }
    assert_eq!(before.len(), after.len(), "{said}");
}

#[test]
fn iocs_join_the_event_and_nothing_else_of_it_changes() {
    let upper = UUID.to_uppercase();
    let spellings = [
        named("1337"),
        named(UUID),
        named(&upper),
        format!("MISP:Into = misp-corp: {UUID} "),
    ];
    for desk in Desk::both() {
        for tag in &spellings {
            let five = desk.thehive.world().version == crate::thehive::Version::Five;
            let desk = if five { Desk::five() } else { Desk::four() };
            desk.add_domains(2);
            add_event(&desk);
            desk.tag(std::slice::from_ref(tag));
            let before = desk.event();

            let report = desk.export();
            assert_eq!(
                changes(&before, &desk.event()),
                ["+ host-0.example", "+ host-1.example"],
                "{tag}"
            );
            let done = of([("fetched", 2), ("created", 2)]);
            assert_eq!(counts(full(&report), "observables"), done);

            // The event says GREEN, and the case is AMBER.
            let world = desk.misp.world();
            let added = &world.events[0].attributes[1];
            assert_eq!(world.names(&added.tags), ["tlp:amber", "PAP:AMBER"]);
            assert_eq!(added.distribution, 5);
            drop(world);

            follow(&desk, &report);
            desk.export();
            desk.wrote_nothing();
        }
    }
}

/// MISP leaves an event without attributes out of a search that names `deleted`.
#[test]
fn an_event_that_is_empty_yet_takes_iocs() {
    for tag in [named("1337"), named(UUID)] {
        let desk = desk_with(&tag);
        change(&desk, |event| event.attributes.clear());
        let before = desk.event();
        let report = desk.export();
        assert_eq!(
            changes(&before, &desk.event()),
            ["+ host-0.example", "+ host-1.example"]
        );
        follow(&desk, &report);
        desk.export();
        desk.wrote_nothing();
    }
}

#[test]
fn what_left_the_case_is_retracted_and_what_others_added_stays() {
    let desk = desk_with(&named("1337"));
    desk.add(&domain("theirs.example"));
    let report = desk.export();
    let done = of([("fetched", 3), ("created", 2), ("unchanged", 1)]);
    assert_eq!(counts(full(&report), "observables"), done);
    follow(&desk, &report);
    let before = desk.event();
    desk.unflag_first(1);
    desk.flag(2, false);
    desk.export();
    assert_eq!(
        changes(&before, &desk.event()),
        ["host-0.example: comment, to_ids"]
    );
    desk.export();
    desk.wrote_nothing();
}

/// The case has an event of its own already: it stays, and is kept in line; the named one gets all of the case.
#[test]
fn a_case_that_was_exported_before_goes_into_the_named_event_as_a_whole() {
    let desk = Desk::five();
    desk.add_domains(2);
    let report = desk.export();
    follow(&desk, &report);
    let own = desk.event();
    add_event(&desk);
    let mut tags: Vec<String> =
        serde_json::from_value(desk.thehive.world().cases[0]["tags"].clone()).unwrap();
    tags.push(named(UUID));
    desk.tag(&tags);
    desk.add(&domain("new.example"));
    desk.flag(0, false);

    let report = desk.export();
    assert_eq!(
        changes(&own, &event(&desk, &own.uuid)),
        ["host-0.example: comment, to_ids"]
    );
    let values: Vec<_> = event(&desk, UUID)
        .attributes
        .into_iter()
        .map(|one| one.value)
        .collect();
    assert_eq!(values, ["theirs.example", "host-1.example", "new.example"]);
    follow(&desk, &report);
    desk.export();
    desk.wrote_nothing();
}

/// Without the tag, what was put there is still known for the case's: it is retracted there, and told.
#[test]
fn an_event_that_no_tag_names_any_more_gets_nothing_more_and_is_kept_in_line() {
    let desk = desk_with(&named(UUID));
    let report = desk.export();
    desk.tag(&[]);
    follow(&desk, &report);
    desk.add(&domain("new.example"));
    desk.flag(0, false);
    let before = event(&desk, UUID);

    let report = desk.export();
    assert_eq!(
        changes(&before, &event(&desk, UUID)),
        ["host-0.example: comment, to_ids"]
    );
    let told = warnings(&report).join("\n");
    assert!(
        told.contains(&format!("no tag misp:into names event {UUID} any more")),
        "{told}"
    );
    let world = desk.misp.world();
    let own = world.events.iter().find(|one| one.uuid != UUID).unwrap();
    let values: Vec<_> = own
        .attributes
        .iter()
        .map(|one| one.value.as_str())
        .collect();
    assert_eq!(
        (own.info.as_str(), values),
        ("Phishing wave", vec!["host-1.example", "new.example"])
    );
    drop(world);
    follow(&desk, &report);
    desk.export();
    desk.wrote_nothing();
}

#[test]
fn an_event_that_is_not_our_own_is_refused() {
    let desk = desk_with(&named("1337"));
    change(&desk, |event| event.locked = true);
    refused(&desk, "came here by synchronisation");
    change(&desk, |event| {
        (event.locked, event.org, event.orgc) = (false, 3, 3)
    });
    change(&desk, |event| event.distribution = 3);
    refused(&desk, "which organisation \\\"ThirdOrg\\\" made");
    change(&desk, |event| event.distribution = 0);
    refused(&desk, "was deleted, or is not shown to the key's user");
    desk.misp.world().events.clear();
    refused(&desk, "was deleted, or is not shown to the key's user");
    desk.tag(&[named(UUID)]);
    refused(&desk, "was deleted, or is not shown to the key's user");
}

#[test]
fn a_tag_that_names_no_event_stops_the_export() {
    let wrong = [
        "0",
        "2147483648",
        "99999999999999999999",
        "1337%",
        "!1337",
        "../1337",
        "13/37",
        "x",
        "-1",
        "12345678901234567890123456789012",
        " ",
    ];
    let wrong = wrong.map(named).into_iter().chain([
        "misp:into=\"other:1337\"".to_owned(),
        "misp:into=1337".to_owned(),
        "misp:into".to_owned(),
        "misp.into=\"misp-corp:1337\"".to_owned(),
        "misp-into=\"misp-corp:1337\"".to_owned(),
    ]);
    for tag in wrong {
        let desk = desk_with(&tag);
        refused(&desk, "the number or the uuid of an event there");
        assert!(desk.misp.requests().is_empty(), "{tag}");
    }

    let desk = desk_with("");
    desk.tag(&[named("1337"), named(UUID)]);
    refused(&desk, "name 2 events here");
    desk.tag(&vec![named("12a"); 100_000]);
    refused(&desk, "is no uuid and no number");
    desk.tag(
        &(1..20_000)
            .map(|number| named(&number.to_string()))
            .collect::<Vec<_>>(),
    );
    refused(&desk, "name 19999 events here");
}

#[test]
fn a_key_that_may_change_no_event_is_refused_before_anything_is_sent() {
    let desk = desk_with(&named(UUID));
    change(&desk, |event| {
        (event.org, event.orgc, event.distribution) = (3, 3, 0)
    });
    let mut job = desk.job();
    job["config"]["key"] = json!([key("readonly")]);
    let report = desk.run(&job);
    desk.wrote_nothing();
    let said = report.to_string();
    assert!(
        said.contains("the role of the key's user, \\\"Read Only\\\", may not change events"),
        "{said}"
    );
}

/// No more see the event than would see one of the case's own.
#[test]
fn an_event_that_more_may_see_than_the_case_is_refused() {
    let desk = desk_with(&named(UUID));
    for distribution in 1..=4 {
        change(&desk, |event| event.distribution = distribution);
        refused(
            &desk,
            "by the option \\\"distribution\\\" what cases hold is for your organisation only",
        );
    }
    change(&desk, |event| event.distribution = 1);
    let before = desk.event();
    let job = desk.job_with("distribution", json!(2));
    let report = desk.run(&job);
    assert_eq!(changes(&before, &desk.event()).len(), 2, "{report:#}");
    follow(&desk, &report);

    // What it brought there becomes as strict as the case.
    let before = desk.event();
    desk.thehive.world().cases[0]
        .as_object_mut()
        .unwrap()
        .extend(
            json!({"tlp": 4, "tlpLabel": "RED"})
                .as_object()
                .unwrap()
                .clone(),
        );
    let report = desk.run(&job);
    let closed = [
        "host-0.example: distribution, tags",
        "host-1.example: distribution, tags",
    ];
    assert_eq!(changes(&before, &desk.event()), closed);
    let said = full(&report)["message"].as_str().unwrap();
    assert!(
        said.contains("the case is RED, so that what it holds is for your organisation only"),
        "{said}"
    );
    desk.run(&job);
    desk.wrote_nothing();

    // An event that only its organisation sees takes it.
    change(&desk, |event| event.distribution = 0);
    desk.add(&domain("red.example"));
    let before = desk.event();
    desk.run(&job);
    assert_eq!(changes(&before, &desk.event()), ["+ red.example"]);
}

#[test]
fn a_key_that_sets_no_tags_adds_nothing_where_the_event_is_laxer_than_the_case() {
    let desk = desk_with(&named(UUID));
    for user in &mut desk.misp.world().users {
        user.role.tagger = false;
    }
    refused(&desk, "names an event that does not say TLP:AMBER");
    let amber = desk.misp.world().attached("tlp:amber");
    change(&desk, |event| event.tags = vec![amber.clone()]);
    let before = desk.event();
    desk.export();
    assert_eq!(changes(&before, &desk.event()).len(), 2);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let desk = desk_with(&named("1337"));
    let report = desk.run(&desk.job_with("dry_run", json!(true)));
    desk.wrote_nothing();
    let done = of([("fetched", 2), ("created", 2)]);
    assert_eq!(counts(full(&report), "observables"), done);
    let row = &full(&report)["connections"][0]["events"][0];
    assert_eq!(
        (&row["uuid"], &row["title"]),
        (&json!(UUID), &json!("(the event of a tag misp:into)"))
    );
    assert_eq!(
        row["reason"],
        "only attributes of the case are added and changed"
    );
}

/// MISP takes a publication back, as for whatever is added by hand.
#[test]
fn a_published_event_is_unpublished_by_misp_and_that_is_told() {
    let desk = desk_with(&named("1337"));
    change(&desk, |event| event.published = true);
    let report = desk.export();
    let told = warnings(&report).join("\n");
    assert!(
        told.contains("MISP took that back when it was changed"),
        "{told}"
    );
    assert!(failures(&report).is_empty());
}

/// The event goes while the run is on its way: it is not made anew.
#[test]
fn an_event_that_is_deleted_meanwhile_is_not_made_anew() {
    let desk = desk_with(&named(UUID));
    desk.misp.world().meanwhile = Some(crate::misp::Meanwhile {
        before: "/attributes/add",
        change: |world| world.events.clear(),
    });
    let report = desk.export();
    assert!(desk.misp.world().events.is_empty());
    assert!(
        failure(&report).contains("404: Invalid event"),
        "{report:#}"
    );
}

#[test]
fn a_feed_has_no_event_that_people_made() {
    let desk = desk_with(&named(UUID));
    let folder = tempfile::tempdir().unwrap();
    let mut job = desk.job();
    job["config"]["url"] = json!([format!("file://{}", folder.path().display())]);
    job["config"]["key"] = json!(["-"]);
    let report = desk.run(&job);
    assert!(
        report
            .to_string()
            .contains("this is a feed, in which exports alone write events"),
        "{report:#}"
    );
}

/// Only a tag of the case counts, and one that names another connection goes nowhere.
#[test]
fn a_tag_elsewhere_is_named_and_counts_for_nothing() {
    let desk = desk_with("x");
    let mut ioc = domain("tagged.example");
    ioc["tags"] = json!([named(UUID)]);
    desk.add(&ioc);
    let report = desk.export();
    assert!(
        report.to_string().contains("which counts on a case only"),
        "{report:#}"
    );
    assert_eq!(desk.misp.world().events.len(), 2);
}

#[test]
fn a_tag_for_a_connection_that_the_export_does_not_go_to_is_told() {
    let desk = desk_with(&named(UUID));
    desk.tag(&[named(UUID), "misp:to=\"other\"".to_owned()]);
    let before = event(&desk, UUID);
    let mut job = desk.job();
    for option in ["url", "key"] {
        let first = job["config"][option][0].clone();
        job["config"][option] = json!([first, first]);
    }
    job["config"]["name"] = json!(["misp-corp", "other"]);
    job["config"]["purpose"] = json!(["ExportOnly", "ExportOnly"]);
    let report = desk.run(&job);
    let told = full(&report)["warnings"].to_string();
    assert!(told.contains("to which this export does not go"), "{told}");
    assert_eq!(changes(&before, &event(&desk, UUID)), [""; 0]);
    assert_eq!(desk.misp.world().events.len(), 2);
}
