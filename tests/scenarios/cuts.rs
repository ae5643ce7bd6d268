//! The connection to MISP breaks at each request in turn, and what the report says is what MISP holds.

use serde_json::json;

use super::desks::{Exporter, Importer};
use super::world::TITLE;
use super::{World, scenarios};
use crate::proxy::{Answer, How};

scenarios!(
    an_export_that_breaks_before_any_request_is_made_whole_by_the_next,
    an_export_that_breaks_behind_any_request_is_made_whole_by_the_next,
    an_export_that_breaks_in_any_answer_is_made_whole_by_the_next,
    a_refusal_for_a_moment_costs_nothing,
    an_import_that_breaks_at_any_request_is_made_whole_by_the_next,
);

/// Breaks one request after the other of a first export and of one that adds, changes and retracts.
fn export(world: &World, how: How) {
    let desk = Exporter::new(world);
    let ids: Vec<_> = (0..3)
        .map(|n| desk.ioc("domain", &format!("n{n}.MARK.example")))
        .collect();
    let mut count = 3;
    // A run takes fewer requests than this, whatever breaks.
    for broken in 1..=6 {
        desk.ioc("domain", &format!("later{broken}.MARK.example"));
        count += 1;
        desk.change_case(
            "title",
            json!(desk.world.marked(&format!("{TITLE} MARK, round {broken}"))),
        );
        desk.change(&ids[1], "ioc", json!(broken % 2 == 1));
        desk.proxy.cut(desk.proxy.exchanges() + broken, how);
        let report = desk.run();
        desk.proxy.heal();
        // What is told as done is there.
        let known = world
            .rows()
            .first()
            .map(|row| world.event(row["uuid"].as_str().unwrap()).lines());
        if report.report["success"] == true {
            for line in report.observables() {
                let (value, verdict) = line.split_once(": ").unwrap();
                let is_there = known
                    .iter()
                    .flatten()
                    .any(|one| one.contains(&format!(" {value} ids")));
                let is_told = ["created", "updated", "unchanged"]
                    .iter()
                    .any(|done| verdict.starts_with(done));
                assert!(is_there || !is_told, "{broken}: {line} {known:#?}");
            }
        }
        let report = desk.run();
        assert!(
            !report.message().starts_with("INCOMPLETE"),
            "{broken}: {:#}",
            report.report
        );
        let lines = desk.event().lines();
        assert_eq!(lines.len(), count, "{broken}: {lines:#?}");
        let retracted = lines
            .iter()
            .filter(|line| line.contains("retracted"))
            .count();
        assert_eq!(
            retracted,
            usize::from(broken % 2 == 0),
            "{broken}: {lines:#?}"
        );
        assert!(
            desk.event().head().contains(&format!(", round {broken}: ")),
            "{}",
            desk.event().head()
        );
        desk.rests();
    }
}

fn an_export_that_breaks_before_any_request_is_made_whole_by_the_next(world: &World) {
    export(world, How::BeforeRequest);
}

fn an_export_that_breaks_behind_any_request_is_made_whole_by_the_next(world: &World) {
    export(world, How::AfterRequest);
}

fn an_export_that_breaks_in_any_answer_is_made_whole_by_the_next(world: &World) {
    export(world, How::InBody);
}

fn an_import_that_breaks_at_any_request_is_made_whole_by_the_next(world: &World) {
    let desk = Importer::new(world);
    let mut uuids = Vec::new();
    for broken in 1..=5 {
        let attributes: Vec<_> = (0..3)
            .map(|n| json!({"type": "domain", "value": format!("n{n}-{broken}.MARK.example")}))
            .collect();
        uuids.push(desk.event(&json!({ "Attribute": attributes })));
        desk.proxy
            .cut_from(desk.proxy.exchanges() + broken, How::InBody);
        desk.sync();
        desk.proxy.heal();
        desk.sync();
        for uuid in &uuids {
            assert_eq!(desk.observables(uuid).len(), 3, "{broken}");
        }
        desk.rests();
    }
}

static BUSY: Answer = Answer {
    status: 503,
    kind: "text/html",
    body: "<h1>Busy</h1>",
    is_done: false,
};

fn a_refusal_for_a_moment_costs_nothing(world: &World) {
    let desk = Exporter::new(world);
    for busy in 1..=3 {
        desk.ioc("domain", &format!("n{busy}.MARK.example"));
        desk.proxy
            .cut(desk.proxy.exchanges() + busy, How::Instead(&BUSY));
        let report = desk.run();
        desk.proxy.heal();
        let expected: Vec<_> = (1..=busy)
            .map(|n| format!("Network activity/domain n{n}.MARK.example ids"))
            .collect();
        assert_eq!(
            desk.event().lines(),
            expected,
            "{busy}: {:#}",
            report.report
        );
        assert!(
            !report.message().starts_with("INCOMPLETE"),
            "{}",
            report.message()
        );
    }
    desk.rests();
}
