//! Uuids that follow from what others know can be claimed by them: the event, its attributes and its objects get others then,
//! and every IOC goes out all the same. With a secret nobody can claim any.

use cortex_misp::ids::Ids;
use cortex_misp::secret::Secret;
use serde_json::json;
use uuid::Uuid;

use super::desk::{Desk, changes, domain, warnings};
use crate::misp::{Attribute, Event, Object};
use crate::program::{counts, full, of};

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn computed(desk: &Desk) -> Uuid {
    let created = desk.thehive.world().cases[0]["_createdAt"]
        .as_i64()
        .unwrap()
        .to_string();
    Ids::new("test.example", None).event_uuid(&desk.case, &created)
}

/// An event of another organisation that holds these attributes and objects, or one attribute of its own.
fn claim(desk: &Desk, uuid: &str, distribution: u64, attributes: &[String], objects: &[String]) {
    let other = ["5f0e5b5c-0000-4000-8000-0000000000fe".to_owned()];
    let attributes = if attributes.is_empty() {
        other.as_slice()
    } else {
        attributes
    };
    let attribute = |uuid: &String| Attribute {
        id: 9_000,
        uuid: uuid.clone(),
        kind: "domain".into(),
        category: "Network activity".into(),
        value: "claimed.example".into(),
        ..Attribute::default()
    };
    let object = |uuid: &String| Object {
        id: 9_000,
        uuid: uuid.clone(),
        name: "file".into(),
        ..Object::default()
    };
    let event = Event {
        id: 9_000,
        uuid: uuid.to_owned(),
        info: "claimed".into(),
        org: 3,
        orgc: 3,
        distribution,
        attributes: attributes.iter().map(attribute).collect(),
        objects: objects.iter().map(object).collect(),
        ..Event::default()
    };
    desk.misp.world().events.push(event);
}

fn own(desk: &Desk) -> Event {
    desk.misp
        .world()
        .events
        .iter()
        .find(|event| event.orgc != 3)
        .unwrap()
        .clone()
}

/// Exports until nothing is written any more, and gives what the first run did.
fn settles(desk: &Desk, expected: usize) {
    let number = expected as u64;
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", number), ("created", number)]),
        "{report:#}"
    );
    assert_eq!(
        own(desk).attributes.iter().filter(|one| one.to_ids).count(),
        expected
    );
    let before = own(desk);
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", number), ("unchanged", number)]),
        "{report:#}"
    );
    assert_eq!(changes(&before, &own(desk)), [""; 0]);
}

#[test]
fn an_attribute_whose_uuid_is_claimed_gets_another_and_lives_on_as_any() {
    for claimed in [1, 3] {
        let desk = Desk::five();
        desk.add_domains(3);
        let event = computed(&desk);
        let ids = Ids::new("test.example", None);
        let uuid = ids.part_uuid(&event, &["domain", "host-1.example"]);
        let uuids: Vec<_> = [uuid]
            .into_iter()
            .chain(ids.fallback_uuids(&uuid))
            .map(|uuid| uuid.to_string())
            .collect();
        claim(
            &desk,
            "5f0e5b5c-0000-4000-8000-00000000000a",
            0,
            &uuids[..claimed],
            &[],
        );
        settles(&desk, 3);
        // It is retracted and brought back as any other.
        desk.flag(1, false);
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "retractions"),
            of([("fetched", 1), ("updated", 1)])
        );
        desk.flag(1, true);
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("updated", 1), ("unchanged", 2)])
        );
        desk.set(1, "tlp", json!(4));
        desk.export();
        let event = own(&desk);
        let attribute = event
            .attributes
            .iter()
            .find(|one| one.value == "host-1.example")
            .unwrap();
        assert_eq!((attribute.distribution, attribute.to_ids), (0, true));
    }
}

#[test]
fn an_attribute_whose_every_uuid_is_claimed_says_what_helps() {
    let desk = Desk::five();
    desk.add_domains(2);
    let ids = Ids::new("test.example", None);
    let uuid = ids.part_uuid(&computed(&desk), &["domain", "host-1.example"]);
    let uuids: Vec<_> = [uuid]
        .into_iter()
        .chain(ids.fallback_uuids(&uuid))
        .map(|uuid| uuid.to_string())
        .collect();
    claim(
        &desk,
        "5f0e5b5c-0000-4000-8000-00000000000a",
        0,
        &uuids,
        &[],
    );
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("failed", 1)])
    );
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message.contains("\"instance_secret\" makes uuids that nobody else can claim"),
        "{message}"
    );
    desk.run(&desk.job_with("instance_secret", json!(SECRET)));
    assert_eq!(
        own(&desk).attributes.len(),
        1,
        "the event is older than the secret, and so are the uuids in it"
    );
}

#[test]
fn an_event_whose_uuid_is_claimed_gets_another() {
    for (distribution, remark) in [
        (0, "extends the one that cannot be seen"),
        (1, "was made by organisation"),
    ] {
        let desk = Desk::five();
        desk.add_domains(2);
        claim(&desk, &computed(&desk).to_string(), distribution, &[], &[]);
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        assert!(
            warnings(&report).iter().any(|told| told.contains(remark)),
            "{:?}",
            warnings(&report)
        );
        let before = own(&desk);
        assert_ne!(before.uuid, computed(&desk).to_string());
        desk.export();
        desk.wrote_nothing();
        assert_eq!(changes(&before, &own(&desk)), [""; 0]);
    }
}

#[test]
fn an_object_or_an_attribute_in_it_whose_uuid_is_claimed_gets_another() {
    let hash = "d41d8cd98f00b204e9800998ecf8427e00998ecf8427ed41d8cd98f00b204e98";
    let file = json!({"dataType": "file", "ioc": true, "tlp": 2, "attachment": {
        "name": "a.exe", "hashes": [hash], "size": 3, "contentType": "x", "id": hash}});
    for of_attribute in [false, true] {
        let desk = Desk::five();
        desk.add(&file);
        let ids = Ids::new("test.example", None);
        let object = ids.part_uuid(&computed(&desk), &["file", hash]);
        let attribute = ids.part_uuid(&object, &["sha256", hash]).to_string();
        let (attributes, objects) = if of_attribute {
            (vec![attribute], Vec::new())
        } else {
            (Vec::new(), vec![object.to_string()])
        };
        claim(
            &desk,
            "5f0e5b5c-0000-4000-8000-00000000000a",
            0,
            &attributes,
            &objects,
        );
        let report = desk.export();
        let event = own(&desk);
        let mut kinds: Vec<_> = event
            .attributes
            .iter()
            .map(|one| one.kind.as_str())
            .collect();
        kinds.sort_unstable();
        assert_eq!(
            (event.objects.len(), kinds),
            (1, vec!["filename", "sha256", "size-in-bytes"]),
            "{report:#}"
        );
        desk.export();
        desk.wrote_nothing();
    }
}

#[test]
fn with_a_secret_no_uuid_can_be_claimed_and_older_events_go_on() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.export();
    let old = desk.event();
    desk.tag(&[desk.event_tag("misp-corp", &old.uuid)]);
    let job = desk.job_with("instance_secret", json!(SECRET));
    desk.add(&domain("new.example"));
    let report = desk.run(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("created", 1), ("unchanged", 2)])
    );
    assert_eq!(changes(&old, &desk.event()), ["+ new.example"]);
    desk.run(&job);
    desk.wrote_nothing();
    // A case that was never exported gets uuids that nobody can compute.
    let desk = Desk::five();
    desk.add_domains(2);
    claim(&desk, &computed(&desk).to_string(), 1, &[], &[]);
    let report = desk.run(&desk.job_with("instance_secret", json!(SECRET)));
    assert_eq!(
        warnings(&report)
            .iter()
            .filter(|told| told.contains("was made by"))
            .count(),
        1
    );
    let created = desk.thehive.world().cases[0]["_createdAt"]
        .as_i64()
        .unwrap()
        .to_string();
    let ids = Ids::new("test.example", Some(&Secret::new(SECRET)));
    assert_eq!(
        own(&desk).uuid,
        ids.event_uuid(&desk.case, &created).to_string()
    );
    desk.run(&desk.job_with("instance_secret", json!(SECRET)));
    desk.wrote_nothing();
}

/// A uuid from before the secret can be computed by anybody, a colleague of the same organisation too.
#[test]
fn with_a_secret_an_older_uuid_counts_only_with_a_tag_or_if_somebody_confirms_it() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.export();
    let old = desk.event();
    let mut job = desk.job_with("instance_secret", json!(SECRET));
    job["parameters"]["confirm_event"] = json!(old.uuid);
    desk.run(&job);
    desk.wrote_nothing();
    job["parameters"]["confirm_event"] = json!(null);
    let report = desk.run(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    assert_eq!(desk.misp.world().events.len(), 2);
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("\"confirm_event\": \"{}\"", old.uuid)),
        "{message}"
    );
}

/// Whoever may upload events names any creator; whoever may synchronise leaves them unlocked.
#[test]
fn an_event_that_others_bring_in_our_name_is_claimed() {
    for (locked, secret) in [
        (true, None),
        (false, None),
        (true, Some(SECRET)),
        (false, Some(SECRET)),
    ] {
        let desk = Desk::five();
        desk.add_domains(2);
        let created = desk.thehive.world().cases[0]["_createdAt"]
            .as_i64()
            .unwrap()
            .to_string();
        let uuid = Ids::new("test.example", secret.map(Secret::new).as_ref())
            .event_uuid(&desk.case, &created)
            .to_string();
        claim(&desk, &uuid, 3, &[], &[]);
        {
            let mut world = desk.misp.world();
            (world.events[0].orgc, world.events[0].locked) = (2, locked);
        }
        let before = desk.event();
        let job = desk.job_with("instance_secret", json!(secret));
        let report = desk.run(&job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        assert!(
            warnings(&report)
                .iter()
                .any(|told| told.contains("or in its name by")),
            "{report:#}"
        );
        let world = desk.misp.world().events.clone();
        assert_eq!(
            (changes(&before, &world[0]), world[1].distribution),
            (Vec::new(), 0)
        );
        desk.run(&job);
        desk.wrote_nothing();
    }
}

/// The event moved to another MISP and came back through its organisation: the case's tag shows that it is the case's.
#[test]
fn an_event_that_came_back_through_others_is_read_only_if_the_case_was_exported_to_it() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.export();
    {
        let mut world = desk.misp.world();
        (world.events[0].org, world.events[0].locked) = (3, true);
    }
    desk.tag(&[desk.event_tag("misp-corp", &desk.event().uuid)]);
    let report = desk.export();
    desk.wrote_nothing();
    let skipped = full(&report)["ledger"]["observables"]["skipped_by"].clone();
    assert_eq!(
        skipped,
        json!({"managed on another MISP": 2}),
        "what it holds already is no export either"
    );
}

#[test]
fn a_secret_that_could_be_guessed_is_an_error() {
    let desk = Desk::five();
    desk.add_domains(1);
    let report = desk.run(&desk.job_with("instance_secret", json!("short")));
    let message = report["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("\"instance_secret\" has fewer than 16 characters"),
        "{message}"
    );
    assert!(desk.misp.requests().is_empty());
}
