//! How strict an item is, on its way out and in.

use serde_json::json;

use super::desks::{Exporter, Importer};
use super::{World, scenarios};

scenarios!(
    a_case_that_becomes_red_closes_its_event,
    a_stricter_observable_carries_its_own_marking,
    what_is_above_the_limit_stays_home,
    a_local_marking_is_not_shared,
    an_alert_is_as_strict_as_the_event,
    a_stricter_case_takes_the_place_of_its_earlier_markings,
    a_laxer_case_loosens_nothing_and_is_told,
    another_value_of_an_exclusive_tag_is_told_and_the_first_stays,
);

fn a_case_that_becomes_red_closes_its_event(world: &World) {
    let desk = Exporter::new(world).with(&json!({"distribution": 1}));
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    assert!(
        desk.event().head().contains("distribution 1, "),
        "{}",
        desk.event().head()
    );
    desk.change_case("tlp", json!(4));
    desk.run();
    let head = desk.event().head();
    assert!(
        head.contains("distribution 0, ")
            && head.contains("tlp:red")
            && !head.contains("tlp:amber"),
        "{head}"
    );
    desk.rests();
}

fn a_stricter_observable_carries_its_own_marking(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.add(&json!({"dataType": "domain", "data": "b.MARK.example", "tlp": 4}));
    desk.run();
    assert_eq!(
        desk.event().lines(),
        [
            "Network activity/domain a.MARK.example ids",
            "Network activity/domain b.MARK.example ids [tlp:red] distribution 0",
        ]
    );
    desk.rests();
}

fn what_is_above_the_limit_stays_home(world: &World) {
    let desk = Exporter::new(world).with(&json!({"max_export_tlp": "AMBER"}));
    desk.ioc("domain", "a.MARK.example");
    desk.add(&json!({"dataType": "domain", "data": "b.MARK.example", "tlp": 4}));
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 2, created 1, skipped 1"
    );
    assert_eq!(
        desk.event().lines(),
        ["Network activity/domain a.MARK.example ids"]
    );
    desk.rests();
}

/// A local tag is not synchronised: it is no marking of what is shared.
fn a_local_marking_is_not_shared(world: &World) {
    let desk = Exporter::new(world);
    desk.change_case("tlp", json!(1));
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    world.tag("admin", &world.only(), "tlp:amber", true);
    desk.change_case("tlp", json!(2));
    desk.run();
    let head = desk.event().head();
    assert!(head.ends_with("[PAP:AMBER, tlp:amber]"), "{head}");
    desk.rests();
}

fn an_alert_is_as_strict_as_the_event(world: &World) {
    let desk = Importer::new(world);
    let attributes = json!([
        {"type": "domain", "value": "a.MARK.example"},
        {"type": "domain", "value": "b.MARK.example", "Tag": [{"name": "tlp:red"}]},
    ]);
    let uuid = desk.event(&json!({
        "Tag": [{"name": "MARK:event"}, {"name": "tlp:amber"}, {"name": "PAP:RED"}], "Attribute": attributes,
    }));
    desk.sync();
    let alert = desk.alert(&uuid).unwrap();
    assert_eq!((&alert["tlp"], &alert["pap"]), (&json!(2), &json!(3)));
    let mut tlps: Vec<_> = desk
        .thehive
        .observables_of(&alert)
        .iter()
        .map(|one| one["tlp"].clone())
        .collect();
    tlps.sort_by_key(|tlp| tlp.as_u64());
    assert_eq!(tlps, [json!(2), json!(desk.thehive.red())]);
}

fn a_stricter_case_takes_the_place_of_its_earlier_markings(world: &World) {
    let desk = Exporter::new(world);
    desk.change_case("tlp", json!(1));
    desk.change_case("pap", json!(1));
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    assert!(
        desk.event().head().ends_with("[PAP:GREEN, tlp:green]"),
        "{}",
        desk.event().head()
    );
    world.publish("orgadmin", &world.only());
    desk.change_case("tlp", json!(2));
    desk.change_case("pap", json!(3));
    desk.run();
    let head = desk.event().head();
    assert!(
        head.ends_with(" unpublished [PAP:RED, tlp:amber]"),
        "{head}"
    );
    desk.rests();
}

/// Whoever made the case laxer may not know what a reviewer in MISP knows, and what was shared as AMBER stays so with others.
fn a_laxer_case_loosens_nothing_and_is_told(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    world.publish("orgadmin", &world.only());
    desk.change_case("tlp", json!(1));
    desk.change_case("pap", json!(1));
    let remarks = desk.rests().remarks();
    for marking in ["TLP", "PAP"] {
        let told = format!(
            "the event's {marking} is stricter in MISP than GREEN, the case's; it is left as it is"
        );
        assert!(remarks.contains(&told), "{remarks:#?}");
    }
    let head = desk.event().head();
    assert!(
        head.ends_with(" published [PAP:AMBER, tlp:amber]"),
        "{head}"
    );
    // What joins is as strict as the event.
    desk.add(&json!({"dataType": "domain", "data": "b.MARK.example", "tlp": 1, "pap": 1}));
    desk.run();
    assert!(
        desk.event().head().ends_with("[PAP:AMBER, tlp:amber]"),
        "{}",
        desk.event().head()
    );
    assert_eq!(
        desk.event().lines()[1],
        "Network activity/domain b.MARK.example ids"
    );
    desk.rests();
}

/// MISP does not say who set a tag of an event: what an earlier export set may be what a reviewer agreed to.
fn another_value_of_an_exclusive_tag_is_told_and_the_first_stays(world: &World) {
    let (first, second) = ("workflow:state=\"draft\"", "workflow:state=\"complete\"");
    [first, second].iter().for_each(|tag| world.make_tag(tag));
    let desk = Exporter::new(world).with(&json!({"export_case_tags": true}));
    desk.change_case("tags", json!([first]));
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    let expected = format!("[PAP:AMBER, tlp:amber, {first}]");
    assert!(
        desk.event().head().ends_with(&expected),
        "{}",
        desk.event().head()
    );
    desk.change_case("tags", json!([second]));
    let remarks = desk.rests().remarks().join("\n");
    let told = format!(
        "the tag {second} is not set beside {first}: MISP allows one value of workflow:state"
    );
    assert!(
        remarks.contains(&told) && remarks.contains("take it off in MISP"),
        "{remarks}"
    );
    assert!(
        desk.event().head().ends_with(&expected),
        "{}",
        desk.event().head()
    );
}
