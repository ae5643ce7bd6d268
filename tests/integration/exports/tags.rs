//! Tags of an export: why one stays here, what a local one means, and which exclude each other.

use std::fs;

use serde_json::{Value, json};

use crate::desk::{Desk, laid, warnings};
use crate::misp::{self, Attached, Fake, Tag, key, writes};
use crate::program::{Program, full};
use crate::thehive::World;

fn desk(tags: &Value) -> Desk {
    let mut desk = Desk::new(World::five(), &json!({"tags": tags}));
    desk.set(&json!({"export_case_tags": true, "export_observable_tags": true}));
    desk.ioc("domain", "a.example", &json!({"tags": tags}));
    desk
}

/// The names of the event's tags, local ones with a star.
fn tags_of_event(desk: &Desk) -> Vec<String> {
    named(desk, &desk.event().tags)
}

fn named(desk: &Desk, tags: &[Attached]) -> Vec<String> {
    let world = desk.misp.world();
    let name = |one: &Attached| {
        format!(
            "{}{}",
            world.names(std::slice::from_ref(one))[0],
            if one.local { "*" } else { "" }
        )
    };
    let mut names: Vec<_> = tags.iter().map(name).collect();
    names.sort();
    names
}

/// `fixtures/faults/15-tag-reasons`
#[test]
fn a_tag_that_misp_cannot_store_is_told_from_one_that_nobody_may_make() {
    let misp = Fake::start(misp::World::new());
    let job = fs::read_to_string("fixtures/faults/15-tag-reasons/job.json").unwrap();
    for (user, makes) in [("partner", false), ("admin", true)] {
        let job = job
            .replace("@MISP@", &misp.url())
            .replace("@KEY@", &key(user));
        let mut job: Value = serde_json::from_str(&job).unwrap();
        let tags = job["data"]["tags"].as_array_mut().unwrap();
        tags.extend([json!("0"), json!("new")]);
        let report = Program::Export.report(&job);
        let told = full(&report)["connections"][0]["warnings"].to_string();
        assert!(
            told.contains(
                "…, 🚨 urgent stay here: MISP cannot store them: a tag has at most 255 bytes"
            ),
            "{told}"
        );
        assert!(
            told.contains("the tags line<U+000A>break stay here: they have line ends"),
            "{told}"
        );
        assert_eq!(
            told.contains("the tags new stay here: this MISP does not have them"),
            !makes,
            "{told}"
        );
        misp.world().events.clear();
    }
}

#[test]
fn why_a_tag_of_this_misp_is_not_set_is_told() {
    let desk = desk(&json!([
        "hidden",
        "for us",
        "quiet",
        "of another",
        "100% sure",
        "back\\slash"
    ]));
    let of = |id: u64, name: &str| Tag {
        id,
        name: name.into(),
        colour: "#000000".into(),
        ..Tag::default()
    };
    desk.misp.world().tags.extend([
        Tag {
            hide_tag: true,
            ..of(801, "hidden")
        },
        Tag {
            local_only: true,
            ..of(802, "for us")
        },
        Tag {
            is_mute: true,
            ..of(803, "quiet")
        },
        Tag {
            org_id: 77,
            ..of(804, "of another")
        },
        of(805, "100% sure"),
        of(806, "back\\slash"),
        of(807, "100 or more not sure"),
    ]);
    let mut job = desk.job();
    job["config"]["key"] = json!([key("partner")]);
    let report = desk.report(job);
    for told in [
        "the tags hidden stay here: they are hidden on this MISP",
        "the tags for us stay here: this MISP keeps them for local use",
        "the tags quiet stay here: they are not exportable on this MISP",
        "the tags of another stay here: this MISP keeps them for another organisation or user",
    ] {
        assert!(warnings(&report).contains(told), "{told}: {report:#}");
    }
    assert!(
        !warnings(&report).contains("does not have them"),
        "{report:#}"
    );
    assert_eq!(
        tags_of_event(&desk),
        ["100% sure", "PAP:AMBER", "back\\slash", "tlp:amber"]
    );
}

#[test]
fn a_tag_that_is_there_locally_is_set_for_everybody() {
    let desk = desk(&json!(["kept:for=\"us\"", "other"]));
    desk.run();
    let all = ["PAP:AMBER", "kept:for=\"us\"", "other", "tlp:amber"];
    assert_eq!(tags_of_event(&desk), all);
    for event in &mut desk.misp.world().events {
        let of_attributes = event.attributes.iter_mut().flat_map(|one| &mut one.tags);
        event
            .tags
            .iter_mut()
            .chain(of_attributes)
            .for_each(|tag| tag.local = true);
    }
    desk.run();
    assert_eq!(tags_of_event(&desk), all);
    let of_attribute = desk.attribute("a.example").tags;
    assert_eq!(named(&desk, &of_attribute), ["kept:for=\"us\"", "other"]);
    desk.runs_empty();
}

#[test]
fn what_others_mark_for_themselves_is_no_difference() {
    let desk = desk(&json!([]));
    desk.run();
    // `tlp:red` and `Type:OSINT`
    let local = [69, 119].map(|tag| Attached {
        id: 70_000 + tag,
        tag,
        local: true,
    });
    {
        let event = &mut desk.misp.world().events[0];
        event.tags.extend(local.clone());
        event.attributes[0].tags.extend(local);
    }
    let report = desk.runs_empty();
    assert_eq!(full(&report)["connections"][0]["events"][0]["tlp"], "AMBER");
    assert!(!report.to_string().contains("differs"), "{report:#}");
}

#[test]
fn of_an_exclusive_predicate_there_is_one_value() {
    let (draft, complete) = ("workflow:state=\"draft\"", "workflow:state=\"complete\"");
    let todo = ["workflow:todo=\"review\"", "workflow:todo=\"expansion\""];
    let desk = desk(&json!([draft, todo[0]]));
    desk.run();
    let tags = json!([complete, todo[1]]);
    desk.change_case(&json!({"tags": tags}));
    let id = desk.thehive.world().observables[0].record["_id"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.change(&id, &json!({"tags": tags}));
    let report = desk.run();
    let told = warnings(&report);
    let refused =
        "the tag workflow:state=\\\"complete\\\" is not set beside workflow:state=\\\"draft\\\"";
    assert!(
        told.contains(refused) && told.contains("take it off in MISP"),
        "{told}"
    );
    assert!(
        full(&report)["connections"][0]["observables"]
            .to_string()
            .contains(refused),
        "{report:#}"
    );
    let expected = ["PAP:AMBER", "tlp:amber", draft, todo[1], todo[0]];
    assert_eq!(tags_of_event(&desk), expected);
    desk.runs_empty();
    // Taken off by a reviewer, the case's is set.
    let number = desk
        .misp
        .world()
        .tags
        .iter()
        .find(|tag| tag.name == draft)
        .unwrap()
        .id;
    desk.misp.world().events[0]
        .tags
        .retain(|tag| tag.tag != number);
    desk.run();
    assert_eq!(
        tags_of_event(&desk),
        ["PAP:AMBER", "tlp:amber", complete, todo[1], todo[0]]
    );
}

#[test]
fn of_two_exclusive_values_in_one_case_the_first_goes_out() {
    let desk = desk(&json!([
        "workflow:state=\"draft\"",
        "workflow:state=\"complete\"",
        "unknown:a=\"1\"",
        "unknown:a=\"2\""
    ]));
    let report = desk.run();
    assert!(
        warnings(&report).contains("is not set beside"),
        "{report:#}"
    );
    let expected = [
        "PAP:AMBER",
        "tlp:amber",
        "unknown:a=\"1\"",
        "unknown:a=\"2\"",
        "workflow:state=\"draft\"",
    ];
    assert_eq!(tags_of_event(&desk), expected);
    desk.runs_empty();
    assert_eq!(writes(&desk.misp), [""; 0]);
}

#[test]
fn without_tags_that_may_exclude_each_other_no_taxonomy_is_asked_for() {
    let desk = desk(&json!(["workflow:state=\"draft\"", "plain"]));
    desk.run();
    desk.runs_empty();
    let asked = desk
        .misp
        .requests()
        .into_iter()
        .any(|one| one.path.contains("taxonomies"));
    assert!(
        !asked,
        "{}",
        laid(json!({}), &json!({"requests": desk.misp.requests().len()}))
    );
}

#[test]
fn no_disguise_lets_an_excluded_tag_out_and_nothing_hidden_goes_out_in_a_tag() {
    let disguised = [
        "internal:a",
        "internal :b",
        "\u{200b}internal:c",
        "іnternal:d",
        "ＩＮＴＥＲＮＡＬ:e",
        "internal\u{ad}:f",
        "\"internal:g\"",
    ];
    let free = ["ok:fine", "hid\u{202e}den\u{200b}", "hidden"];
    let mut desk = desk(&json!([&disguised[..], &free[..]].concat()));
    desk.set(&json!({"exclude_export_tags": ["internal:*"]}));
    let report = desk.run();
    assert_eq!(
        tags_of_event(&desk),
        ["PAP:AMBER", "hidden", "ok:fine", "tlp:amber"]
    );
    assert_eq!(desk.tags("a.example"), ["ok:fine", "hidden"]);
    assert!(
        warnings(&report).contains("2 tags have characters that nobody sees: they are left out"),
        "{report:#}"
    );
    desk.runs_empty();
}
