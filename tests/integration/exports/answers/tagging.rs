//! Tags that cannot be set: unknown ones, restricted ones, and users who may not tag. They never are a reason to write.

use serde_json::{Value, json};

use super::{domains, job, message, run, warnings, writes_nothing};
use crate::misp::{Fake, Tag, World, writes};
use crate::program::{counts, full, of};

fn tagged(misp: &Fake, user: &str, tags: &Value) -> Value {
    let mut job = job(misp, user, domains(1));
    job["data"]["tags"] = tags.clone();
    job["config"]["export_case_tags"] = json!(true);
    job
}

#[test]
fn a_tag_that_misp_does_not_know_is_one_warning_and_never_a_reason_to_write() {
    let misp = Fake::start(World::new());
    let job = tagged(&misp, "partner", &json!(["our-own-tag", "tlp:green"]));
    for is_first in [true, false] {
        misp.forget_requests();
        let report = run(&job);
        assert_eq!(writes(&misp).is_empty(), !is_first);
        let warnings = warnings(&report);
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("the tags our-own-tag stay here"),
            "{warnings:?}"
        );
        assert!(warnings[0].contains("tag editor"), "{warnings:?}");
        assert!(!message(&report).starts_with("INCOMPLETE"));
    }
    let world = misp.world();
    assert_eq!(
        world.names(&world.events[0].tags),
        ["tlp:amber", "PAP:AMBER"]
    );
    assert!(world.tag_named("our-own-tag").is_none());
}

#[test]
fn a_tag_kept_for_others_stays_here() {
    let mut world = World::new();
    let kept = |id: u64, name: &str| Tag {
        id,
        name: name.into(),
        colour: "#000000".into(),
        ..Tag::default()
    };
    world.tags.extend([
        Tag {
            org_id: 3,
            ..kept(901, "theirs")
        },
        Tag {
            local_only: true,
            ..kept(902, "local")
        },
        Tag {
            org_id: 2,
            ..kept(903, "ours")
        },
    ]);
    let misp = Fake::start(world);
    let job = tagged(&misp, "partner", &json!(["theirs", "local", "ours"]));
    let report = run(&job);
    let said = warnings(&report);
    // Each stays for a reason of its own.
    for tag in ["theirs", "local"] {
        assert!(
            said.iter()
                .any(|one| one.starts_with(&format!("the tags {tag} stay here: "))),
            "{said:?}"
        );
    }
    assert_eq!(said.len(), 2, "{said:?}");
    let names = |misp: &Fake| {
        let world = misp.world();
        world.names(&world.events[0].tags)
    };
    assert_eq!(names(&misp), ["tlp:amber", "PAP:AMBER", "ours"]);
    assert_eq!(warnings(&writes_nothing(&misp, &job)), said);
}

/// A user without the permission to set tags: the export goes on without them, and says so each time.
#[test]
fn a_user_who_may_not_tag_is_told_and_the_iocs_go_out() {
    let misp = Fake::start(World::new());
    let partner = |world: &mut World, tagger: bool| {
        world
            .users
            .iter_mut()
            .find(|user| user.name == "partner")
            .unwrap()
            .role
            .tagger = tagger;
    };
    run(&tagged(&misp, "partner", &json!([])));
    partner(&mut misp.world(), false);
    let mut job = tagged(&misp, "partner", &json!([]));
    job["data"]["tlp"] = json!(3);
    job["config"]["check_tlp"] = json!(false);
    job["data"]["observables"] = domains(2);
    let report = run(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("updated", 1)])
    );
    let said = warnings(&report);
    assert!(
        said.iter()
            .any(|one| one.contains("role permission tagger")),
        "{said:?}"
    );
    assert!(
        !message(&report).starts_with("INCOMPLETE"),
        "{}",
        message(&report)
    );
    let again = writes_nothing(&misp, &job);
    assert!(
        warnings(&again)
            .iter()
            .any(|one| one.contains("role permission tagger")),
        "{:?}",
        warnings(&again)
    );
    let world = misp.world();
    assert_eq!(
        (
            world.events[0].distribution,
            world.names(&world.events[0].tags)
        ),
        (0, vec!["tlp:amber".into(), "PAP:AMBER".into()])
    );
}
