//! `add_external_link`: the event's address among the links of its case, which TheHive has since 5.5.

use serde_json::json;

use crate::desk::{Desk, warnings};
use crate::program::full;
use crate::thehive::World;

fn desk(world: World) -> Desk {
    let mut desk = Desk::new(world, &json!({}));
    desk.set(&json!({"add_external_link": true}));
    desk.ioc("domain", "a.example", &json!({}));
    desk
}

/// What was added to links.
fn added(desk: &Desk) -> usize {
    let requests = desk.thehive.requests();
    requests
        .iter()
        .filter(|one| one.path.contains("/link/"))
        .count()
}

#[test]
fn the_event_is_added_once() {
    let desk = desk(World::five());
    let report = desk.run();
    let page = format!(
        "{}/events/view/{}",
        desk.misp.url().trim_end_matches('/'),
        desk.event().uuid
    );
    assert_eq!(
        desk.thehive.world().links,
        [(desk.case.clone(), json!({"type": "MISP", "url": page}))]
    );
    assert!(
        report
            .to_string()
            .contains("was added to the case as an external link"),
        "{report:#}"
    );
    assert!(
        report["operations"].to_string().contains("AddTagToCase"),
        "{report:#}"
    );
    for _ in 0..2 {
        desk.runs_empty();
        assert_eq!(added(&desk), 0);
    }
    // It comes back where somebody took it out.
    desk.thehive.world().links.clear();
    desk.run();
    assert_eq!(added(&desk), 1);
}

#[test]
fn without_the_option_and_in_a_dry_run_nothing_is_added() {
    let mut desk = desk(World::five());
    desk.set(&json!({"dry_run": true}));
    let report = desk.run();
    assert!(
        report
            .to_string()
            .contains("would be added to the case as an external link")
    );
    assert_eq!(added(&desk), 0);
    desk.set(&json!({"dry_run": false, "add_external_link": false}));
    desk.run();
    let asked = desk.thehive.requests();
    let links = asked
        .iter()
        .filter(|one| String::from_utf8_lossy(&one.raw).contains("links"));
    assert_eq!((added(&desk), links.count()), (0, 0));
}

#[test]
fn an_older_thehive_is_told_and_stops_nothing() {
    let old = desk(World::five());
    old.thehive.world().version_of_five = "5.4.0-1";
    for of in [desk(World::four()), old] {
        let report = of.run();
        assert!(
            warnings(&report).contains("this TheHive is older than 5.5"),
            "{report:#}"
        );
        assert_eq!((added(&of), of.event().attributes.len()), (0, 1));
        assert!(
            full(&report)["connections"][0]["failures"]
                .as_array()
                .is_none_or(Vec::is_empty)
        );
    }
}

#[test]
fn a_refusal_is_a_warning() {
    let desk = desk(World::five());
    desk.thehive.world().barred = vec!["cert".to_owned()];
    let report = desk.run();
    assert!(
        warnings(&report).contains("was not added to the case as an external link: "),
        "{report:#}"
    );
    assert_eq!(report["success"], true);
}

#[test]
fn a_feed_has_no_page_to_link_to() {
    let mut desk = Desk::with_feed(World::five(), &json!({"tlp": 1}));
    desk.set(&json!({"add_external_link": true}));
    desk.ioc("domain", "a.example", &json!({}));
    desk.run();
    assert_eq!(added(&desk), 0);
}
