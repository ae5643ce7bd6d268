//! What a reviewer changes in MISP stays, is named, and makes no export write.

use serde_json::{Value, json};

use super::desks::{Exporter, Report};
use super::{World, scenarios};

scenarios!(
    what_a_reviewer_changes_stays_and_is_named,
    what_a_reviewer_adds_stays,
    a_value_that_was_there_in_another_category_is_not_doubled,
    an_open_proposal_changes_nothing,
    an_open_proposal_hides_nothing_from_an_export,
    a_local_tag_is_left_alone,
    an_attribute_that_was_moved_into_an_object_is_not_made_again,
);

/// An export of `a` to `f`, after which somebody does something, and what a further one says.
fn reviewed(world: &World, review: impl FnOnce(&Exporter<'_>)) -> (Vec<String>, Report) {
    let desk = Exporter::new(world);
    ["a", "b", "c", "d", "e"]
        .iter()
        .for_each(|name| drop(desk.ioc("domain", &format!("{name}.MARK.example"))));
    desk.run();
    review(&desk);
    let before = desk.event().lines();
    let report = desk.rests();
    assert_eq!(desk.event().lines(), before);
    (before, report)
}

fn edit(desk: &Exporter<'_>, value: &str, fields: &Value) {
    let uuid = desk.event().uuid_of(value);
    desk.world
        .done("user", &format!("/attributes/edit/{uuid}"), fields);
}

fn what_a_reviewer_changes_stays_and_is_named(world: &World) {
    let (lines, report) = reviewed(world, |desk| {
        edit(
            desk,
            "a.MARK.example",
            &json!({"category": "Payload delivery"}),
        );
        edit(
            desk,
            "b.MARK.example",
            &json!({"comment": "checked by hand"}),
        );
        edit(desk, "c.MARK.example", &json!({"to_ids": 0}));
        edit(desk, "d.MARK.example", &json!({"distribution": 3}));
        edit(desk, "e.MARK.example", &json!({"type": "hostname"}));
    });
    assert_eq!(
        lines,
        [
            "Network activity/domain b.MARK.example ids # checked by hand",
            "Network activity/domain c.MARK.example",
            "Network activity/domain d.MARK.example ids distribution 3",
            "Network activity/hostname e.MARK.example ids",
            "Payload delivery/domain a.MARK.example ids",
        ]
    );
    let left = "unchanged (differs in MISP, left as it is:";
    assert_eq!(
        report.observables(),
        [
            format!("a.MARK.example: {left} category (Payload delivery))"),
            format!("b.MARK.example: {left} comment)"),
            format!("c.MARK.example: {left} to_ids)"),
            format!("d.MARK.example: {left} distribution)"),
            format!("e.MARK.example: {left} type (hostname))"),
        ]
    );
}

fn what_a_reviewer_adds_stays(world: &World) {
    let (lines, report) = reviewed(world, |desk| {
        let event = world.only();
        let theirs = json!({"type": "domain", "category": "External analysis", "value": "theirs.MARK.example"});
        world.add_attribute("user", &event, &theirs);
        world.tag("orgadmin", &event, "MARK:reviewed", false);
        world.tag(
            "orgadmin",
            &desk.event().uuid_of("a.MARK.example"),
            "MARK:reviewed",
            false,
        );
    });
    assert_eq!(lines.len(), 6);
    assert!(
        lines.contains(&"Network activity/domain a.MARK.example ids [MARK:reviewed]".to_owned()),
        "{lines:#?}"
    );
    assert_eq!(
        report.observables()[0],
        "a.MARK.example: unchanged (differs in MISP, left as it is: tags)"
    );
    assert!(
        report
            .remarks()
            .iter()
            .any(|remark| remark.contains("left as it is: tags")),
        "{:?}",
        report.remarks()
    );
}

/// The uniqueness rule of MISP includes the category: it would store the value a second time.
fn a_value_that_was_there_in_another_category_is_not_doubled(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    let theirs = json!({"type": "domain", "category": "External analysis", "value": "later.MARK.example", "to_ids": false});
    world.add_attribute("user", &world.only(), &theirs);
    desk.ioc("domain", "later.MARK.example");
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 2, unchanged 2",
        "{:?}",
        report.observables()
    );
    assert_eq!(
        desk.event().lines(),
        [
            "External analysis/domain later.MARK.example",
            "Network activity/domain a.MARK.example ids"
        ]
    );
    desk.rests();
}

/// The event is made visible to the other organisation, which proposes to take an IDS flag.
fn propose(desk: &Exporter<'_>) {
    let world = desk.world;
    world.done(
        "orgadmin",
        &format!("/events/edit/{}", world.only()),
        &json!({"Event": {"distribution": 1}}),
    );
    let mut attribute = desk.event().attribute("a.MARK.example");
    let id = attribute["id"].as_str().unwrap().to_owned();
    attribute["to_ids"] = json!(false);
    let fields = json!({
        "type": "domain", "category": "Network activity", "value": "a.MARK.example", "to_ids": false,
    });
    world.done(
        "other",
        &format!("/shadow_attributes/edit/{id}"),
        &json!({ "ShadowAttribute": fields }),
    );
}

fn an_open_proposal_changes_nothing(world: &World) {
    let (lines, report) = reviewed(world, propose);
    assert_eq!(lines[0], "Network activity/domain a.MARK.example ids");
    assert_eq!(report.observables()[0], "a.MARK.example: unchanged");
    assert_eq!(report.full()["connections"][0]["proposals"], 1);
}

/// With this setting MISP leaves such an attribute out of `attributes/restSearch` (its `Attribute.php`).
fn an_open_proposal_hides_nothing_from_an_export(world: &World) {
    let (lines, report) = reviewed(world, |desk| {
        propose(desk);
        world.set("MISP.proposals_block_attributes", &json!(true));
    });
    assert_eq!(lines[0], "Network activity/domain a.MARK.example ids");
    assert_eq!(report.observables()[0], "a.MARK.example: unchanged");
}

fn a_local_tag_is_left_alone(world: &World) {
    let (lines, _) = reviewed(world, |desk| {
        world.tag("admin", &world.only(), "MARK:ours", true);
        world.tag(
            "admin",
            &desk.event().uuid_of("b.MARK.example"),
            "MARK:ours",
            true,
        );
    });
    assert!(
        lines
            .contains(&"Network activity/domain b.MARK.example ids [MARK:ours (local)]".to_owned()),
        "{lines:#?}"
    );
}

fn an_attribute_that_was_moved_into_an_object_is_not_made_again(world: &World) {
    let (lines, _) = reviewed(world, |desk| {
        let uuid = desk.event().uuid_of("a.MARK.example");
        world.done("user", &format!("/attributes/delete/{uuid}"), &json!({}));
        let object = json!({
            "name": "domain-ip", "meta-category": "network", "description": "A domain and its address",
            "template_uuid": "43b3b146-77eb-4931-b4cc-b66c60f28734", "template_version": "10",
            "Attribute": [{
                "type": "domain", "category": "Network activity", "value": "a.MARK.example", "to_ids": true,
                "object_relation": "domain",
            }],
        });
        world.done(
            "user",
            &format!("/objects/add/{}", world.only()),
            &json!({ "Object": object }),
        );
    });
    let alive = lines
        .iter()
        .filter(|line| line.contains(" a.MARK.example") && !line.contains("deleted"))
        .count();
    assert_eq!(alive, 1, "{lines:#?}");
}
