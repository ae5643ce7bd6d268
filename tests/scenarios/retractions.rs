//! What is no IOC of the case any more is marked so in MISP, and comes back with its flag.

use serde_json::json;

use super::desks::Exporter;
use super::{World, scenarios};

scenarios!(
    an_ioc_without_its_flag_is_marked_and_comes_back,
    an_observable_that_is_gone_is_marked,
    too_many_at_once_are_left_alone,
    a_retraction_reaches_a_published_event,
    an_attribute_that_somebody_deleted_is_not_made_again,
);

const MARKED: &str = "# [retracted by cortex-misp]";

fn exported<'w>(world: &'w World, names: &[&str]) -> (Exporter<'w>, Vec<String>) {
    let desk = Exporter::new(world);
    let ids = names
        .iter()
        .map(|name| desk.ioc("domain", &format!("{name}.MARK.example")))
        .collect();
    desk.run();
    (desk, ids)
}

fn an_ioc_without_its_flag_is_marked_and_comes_back(world: &World) {
    let (desk, ids) = exported(world, &["a", "b"]);
    let before = desk.event().lines();
    desk.change(&ids[0], "ioc", json!(false));
    let report = desk.run();
    assert_eq!(report.counts("retractions"), "fetched 1, updated 1");
    assert_eq!(
        desk.event().lines(),
        [
            format!("Network activity/domain a.MARK.example {MARKED}"),
            "Network activity/domain b.MARK.example ids".to_owned()
        ]
    );
    desk.rests();
    desk.change(&ids[0], "ioc", json!(true));
    assert_eq!(
        desk.run().counts("observables"),
        "fetched 2, updated 1, unchanged 1"
    );
    assert_eq!(desk.event().lines(), before);
    desk.rests();
}

fn an_observable_that_is_gone_is_marked(world: &World) {
    let (desk, ids) = exported(world, &["a", "b"]);
    desk.thehive
        .world()
        .observables
        .retain(|one| one.record["_id"] != ids[1].as_str());
    let report = desk.run();
    assert_eq!(report.counts("retractions"), "fetched 1, updated 1");
    assert_eq!(
        desk.event().lines(),
        [
            "Network activity/domain a.MARK.example ids".to_owned(),
            format!("Network activity/domain b.MARK.example {MARKED}")
        ]
    );
    desk.rests();
}

fn too_many_at_once_are_left_alone(world: &World) {
    let names: Vec<String> = (0..12).map(|n| format!("n{n}")).collect();
    let (desk, ids) = exported(world, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let before = desk.event().lines();
    ids.iter()
        .take(11)
        .for_each(|id| desk.change(id, "ioc", json!(false)));
    let report = desk.rests();
    assert!(
        report.message().starts_with("INCOMPLETE: "),
        "{}",
        report.message()
    );
    assert_eq!(report.counts("retractions"), "fetched 11, skipped 11");
    assert_eq!(desk.event().lines(), before);
}

fn a_retraction_reaches_a_published_event(world: &World) {
    let (desk, ids) = exported(world, &["a", "b"]);
    world.publish("orgadmin", &world.only());
    desk.change(&ids[0], "ioc", json!(false));
    desk.run();
    assert_eq!(
        desk.event().lines(),
        [
            format!("Network activity/domain a.MARK.example {MARKED}"),
            "Network activity/domain b.MARK.example ids".to_owned()
        ]
    );
    assert!(
        desk.event().head().contains(" unpublished "),
        "{}",
        desk.event().head()
    );
    desk.rests();
}

fn an_attribute_that_somebody_deleted_is_not_made_again(world: &World) {
    let (desk, _) = exported(world, &["a", "b"]);
    let uuid = desk.event().uuid_of("a.MARK.example");
    world.done("user", &format!("/attributes/delete/{uuid}"), &json!({}));
    let report = desk.rests();
    assert_eq!(
        report.observables(),
        [
            "a.MARK.example: skipped (deleted in MISP)",
            "b.MARK.example: unchanged"
        ]
    );
    assert_eq!(
        desk.event().lines(),
        [
            "Network activity/domain a.MARK.example ids deleted",
            "Network activity/domain b.MARK.example ids"
        ]
    );
}
