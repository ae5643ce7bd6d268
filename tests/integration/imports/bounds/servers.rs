//! What others write on a MISP server: rows of lists, events, objects, reports, notes, sightings, proposals, tags.

use serde_json::{Value, json};

use super::{ELEMENT, TEXT, always, first, flaws, ignored, job, partner, too_long, uuid, with};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, key};
use crate::program::{Program, counts, full, of};

fn row(number: u64) -> Value {
    json!({"id": number.to_string(), "uuid": uuid(number), "date": "2026-01-01", "timestamp": "1795294129", "published": true, "attribute_count": "1"})
}

fn attribute(number: u64) -> Value {
    let value = format!("host-{number}.example");
    json!({"id": number.to_string(), "uuid": uuid(900 + number), "type": "domain", "category": "Network activity", "value": value, "to_ids": true, "event_uuid": uuid(1)})
}

/// Lists these rows, and shows each event with what stands in it.
fn listed(misp: &Fake, rows: &[String], content: &str) {
    first(misp, "/events/index", format!("[{}]", rows.join(",")));
    always(
        misp,
        "/events/view/",
        format!("{{\"Event\": {{{content}}}}}"),
    );
}

fn content() -> String {
    format!("\"Attribute\": [{}]", attribute(1))
}

fn import(misp: &Fake, more: &Value) -> Value {
    Program::Import.report(&job(misp, "other", "misp:sync", more))
}

fn failures(report: &Value) -> String {
    full(report)["connections"][0]["failures"].to_string()
}

fn warnings(report: &Value) -> String {
    full(report)["connections"][0]["warnings"].to_string()
}

#[test]
fn a_bad_row_of_the_list_costs_itself() {
    let misp = partner();
    for (flaw, why) in flaws("info").into_iter().chain([too_long()]) {
        misp.heal();
        listed(
            &misp,
            &[row(1).to_string(), with(&row(2), &flaw), row(3).to_string()],
            &content(),
        );
        let report = import(&misp, &json!({}));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("created", 2), ("failed", 1)]),
            "{report:#}"
        );
        assert!(
            failures(&report).contains(why) && failures(&report).contains(&uuid(2)),
            "{}",
            failures(&report)
        );
    }
    // At the bound it is an event like any other.
    misp.heal();
    let info = format!("\"info\": \"{}\"", "x".repeat(TEXT));
    listed(&misp, &[with(&row(1), &info)], &content());
    assert_eq!(
        counts(full(&import(&misp, &json!({}))), "events"),
        of([("fetched", 1), ("created", 1)])
    );
}

#[test]
fn what_is_ignored_costs_nothing_in_a_list_and_in_an_event() {
    let misp = partner();
    for more in ignored() {
        misp.heal();
        let content = format!(
            "{more}, \"Attribute\": [{}], \"Object\": [{}]",
            with(&attribute(1), &more),
            with(&json!({"uuid": uuid(50)}), &more)
        );
        listed(&misp, &[with(&row(1), &more), row(2).to_string()], &content);
        let report = import(&misp, &json!({}));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 2)])
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 2), ("created", 2)])
        );
    }
}

#[test]
fn tags_beyond_a_cap_are_cut_and_named_and_filters_have_seen_all() {
    let misp = partner();
    let event = |more: &[&str]| {
        let names = (0..20_001)
            .map(|n| format!("t{n}"))
            .chain(more.iter().map(|name| (*name).to_owned()));
        let tags: Vec<_> = names
            .map(|name| json!({"id": "1", "Tag": {"name": name, "colour": "#ffffff"}}))
            .collect();
        let mut row = row(1);
        row["EventTag"] = tags.into();
        row.to_string()
    };
    let run = |tags: &[&str], more: Value| {
        misp.heal();
        listed(&misp, &[event(tags), row(2).to_string()], &content());
        import(&misp, &more)
    };
    let report = run(&["tlp:green", "TLP:RED", "PAP:RED"], json!({}));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("created", 2)])
    );
    let alert = &full(&report)["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["sourceRef"] == uuid(1))
        .unwrap()
        .clone();
    assert_eq!(
        (
            &alert["tlp"],
            &alert["pap"],
            alert["tags"].as_array().unwrap().len()
        ),
        (&json!(4), &json!(3), 100)
    );
    assert!(
        warnings(&report).contains(&format!(
            "event {}: 19904 of its tags are left out",
            uuid(1)
        )),
        "{}",
        warnings(&report)
    );
    let skipped = |tags: &[&str], more: Value| {
        full(&run(tags, more))["ledger"]["events"]["skipped_by"].clone()
    };
    assert_eq!(
        skipped(&["workflow:draft"], json!({"exclude_tags": ["workflow:*"]})),
        json!({"tag workflow:* is excluded": 1})
    );
    assert_eq!(
        skipped(&["tlp:green"], json!({"include_tags": ["TLP:GREEN"]})),
        json!({"no tag is included": 1}),
        "only the second"
    );
}

#[test]
fn a_bad_attribute_object_or_report_costs_itself() {
    let misp = partner();
    for (flaw, why) in flaws("comment").into_iter().chain([too_long()]) {
        misp.heal();
        let bad = with(&attribute(2), &flaw);
        let object = |attributes: &str| {
            format!(
                "{{\"uuid\": \"{}\", \"name\": \"file\", \"Attribute\": [{attributes}]}}",
                uuid(50)
            )
        };
        let content = format!(
            "\"Attribute\": [{}, {bad}], \"Object\": [{}, {{\"uuid\": \"{}\", \"name\": 1e999, \"Attribute\": [{}]}}, {}]",
            attribute(1),
            object(&format!("{}, {bad}", attribute(3))),
            uuid(51),
            attribute(4),
            object(&attribute(5).to_string())
        );
        listed(&misp, &[row(1).to_string()], &content);
        let report = import(&misp, &json!({}));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 6), ("created", 3), ("failed", 3)]),
            "{report:#}"
        );
        let ledger = full(&report)["ledger"]["attributes"]["failed_by"].to_string();
        assert!(
            ledger.contains(why) && ledger.contains("(uuid …)"),
            "{ledger}"
        );
    }
    misp.heal();
    let report = |length: usize| {
        json!({"uuid": uuid(60), "name": "r", "content": "x".repeat(length)}).to_string()
    };
    let reports = [
        report(10),
        report(ELEMENT + 1),
        "7".to_owned(),
        report(15 << 20),
    ]
    .join(",");
    listed(
        &misp,
        &[row(1).to_string()],
        &format!("{}, \"EventReport\": [{reports}]", content()),
    );
    let report = import(&misp, &json!({}));
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(
        warnings(&report).contains("2 of its event reports are left out"),
        "{}",
        warnings(&report)
    );
}

#[test]
fn an_object_has_20000_attributes_and_what_is_beyond_is_named() {
    let misp = partner();
    for (number, beyond) in [(20_000, 0), (20_001, 1)] {
        misp.heal();
        let attributes = vec![attribute(1).to_string(); number].join(",");
        listed(
            &misp,
            &[row(1).to_string()],
            &format!(
                "\"Object\": [{{\"Attribute\": [{attributes}]}}], {}",
                content()
            ),
        );
        let report = import(&misp, &json!({}));
        let ledger = &full(&report)["ledger"]["attributes"];
        assert_eq!(
            (&ledger["fetched"], &ledger["failed"]),
            (&json!(number + 1), &json!(beyond))
        );
    }
}

#[test]
fn sightings_are_counted_however_many_and_a_bad_hit_stops_no_look_up() {
    let misp = partner();
    let many = format!(
        "\"Sighting\": [{}{{\"type\": \"1\"}}, 7, {{\"type\": \"{}\"}}]",
        "{\"type\": \"0\", \"source\": \"s\"},".repeat(20_001),
        "x".repeat(TEXT)
    );
    let spoilt = flaws("comment");
    let rows: Vec<String> = spoilt
        .iter()
        .map(|(flaw, _)| with(&attribute(1), flaw))
        .collect();
    let hits = format!("{}, {}", with(&attribute(1), &many), rows.join(","));
    first(
        &misp,
        "/attributes/restSearch",
        format!("{{\"response\": {{\"Attribute\": [{hits}]}}}}"),
    );
    always(&misp, "/events/index", format!("[{}]", row(1)));
    let report = Program::Import.report(&job(&misp, "domain", "host-1.example", &json!({})));
    let part = &full(&report)["connections"][0];
    assert_eq!(
        part["events"][0]["matches"][0]["sightings"], 20_001,
        "{report:#}"
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 6), ("found", 1), ("failed", 5)])
    );
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .contains("1 event knows host-1.example")
    );
}

#[test]
fn a_bad_row_of_one_event_hides_no_other_from_a_look_up() {
    let misp = partner();
    let mut other = attribute(1);
    (other["id"], other["event_uuid"]) = (json!("2"), json!(uuid(2)));
    let hits = json!({"response": {"Attribute": [attribute(1), other]}});
    first(&misp, "/attributes/restSearch", hits.to_string());
    always(
        &misp,
        "/events/index",
        format!("[{}, {}]", row(1), with(&row(2), "\"info\": 1e999")),
    );
    let report = Program::Import.report(&job(&misp, "domain", "host-1.example", &json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("found", 1), ("failed", 1)]),
        "{report:#}"
    );
}

fn export(misp: &Fake, more: &Value) -> Value {
    let observables = json!([{"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 1}]);
    let mut job = json!({
        "dataType": "thehive:case",
        "data": {"_id": "~1", "caseId": 1, "title": "T", "startDate": 1_795_000_000_000_i64, "tlp": 1, "tags": ["mine"], "observables": observables},
        "config": {"name": ["corp"], "url": [misp.url()], "key": [key("admin")], "instance": "test.example"},
    });
    job["config"]
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Program::Export.report(&job)
}

#[test]
fn proposals_are_counted_however_many_and_stop_no_export() {
    let misp = Fake::start(crate::misp::World::new());
    export(&misp, &json!({"distribution": 1}));
    let held = {
        let world = misp.world();
        let (event, one) = (&world.events[0], &world.events[0].attributes[0]);
        json!({"id": one.id.to_string(), "event_id": event.id.to_string(), "uuid": one.uuid, "type": one.kind, "category": one.category, "value": one.value, "to_ids": true})
    };
    let one =
        json!({"ShadowAttribute": {"old_uuid": held["uuid"], "deleted": false, "value": "x"}})
            .to_string();
    let many = format!(
        "[{}{{\"ShadowAttribute\": {{\"deleted\": true}}}}, 7]",
        format!("{one},").repeat(20_001)
    );
    let bad = with(
        &json!({"id": "9999", "uuid": uuid(7), "event_id": held["event_id"]}),
        "\"comment\": 1e999",
    );
    for more in [many.as_str(), "[]"] {
        misp.heal();
        always(&misp, "/shadow_attributes/index", more.to_owned());
        // So that the event is read in pages.
        for on in ["/events/restSearch", "/events/view"] {
            misp.fault(Fault {
                on,
                nth: Nth::Always,
                what: What::Status(500, "{}".into(), "application/json"),
            });
        }
        always(
            &misp,
            "/attributes/restSearch",
            format!(
                "{{\"response\": {{\"Attribute\": [{}, {bad}]}}}}",
                with(&held, &ignored()[0])
            ),
        );
        let report = export(&misp, &json!({}));
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("unchanged", 1)]),
            "{report:#}"
        );
        assert!(
            warnings(&report).contains(&uuid(7)),
            "{}",
            warnings(&report)
        );
        let message = full(&report)["message"].as_str().unwrap();
        assert_eq!(
            message.contains("20001 open proposals"),
            more == many,
            "{message}"
        );
    }
}

#[test]
fn tags_that_others_made_stop_no_export() {
    let misp = Fake::start(crate::misp::World::new());
    let others: Vec<String> = (0..20_001)
        .map(|n| json!({"Tag": {"name": format!("m_ne{n}")}}).to_string())
        .collect();
    let bad: Vec<String> = flaws("colour")
        .into_iter()
        .map(|(flaw, _)| with(&json!({"Tag": {"name": "mine"}}), &flaw))
        .collect();
    let name = json!({"Tag": {"name": "Mine", "hide_tag": true}});
    always(
        &misp,
        "/tags/search",
        format!("[{}, {}, {name}]", others.join(","), bad[1..4].join(",")),
    );
    let report = export(&misp, &json!({"export_case_tags": true}));
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
    assert!(
        warnings(&report).contains("mine"),
        "a hidden tag stays here: {}",
        warnings(&report)
    );
}

#[test]
fn a_bad_warninglist_costs_itself() {
    let misp = partner();
    let content = format!("\"Attribute\": [{}, {}]", attribute(1), attribute(2));
    listed(&misp, &[row(1).to_string()], &content);
    let many = format!(
        "[{}{{\"name\": \"many\"}}]",
        "{\"name\": \"many\"},".repeat(20_000)
    );
    let lists = format!(
        "{{\"host-9.example\": {many}, \"host-1.example\": [{{\"name\": 1e999}}], \"x\": 7, \"host-2.example\": {many}}}"
    );
    always(&misp, "/warninglists/checkValue", lists);
    let report = import(&misp, &json!({}));
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 2), ("created", 2)])
    );
    let observables = full(&report)["alerts"][0]["observables"].to_string();
    assert_eq!(
        observables.matches("misp:warninglist=").count(),
        1,
        "{observables}"
    );
}

#[test]
fn a_bad_organisation_or_tag_hides_no_other_from_the_filters() {
    let misp = partner();
    let rows: Vec<String> = flaws("name")
        .iter()
        .map(|(flaw, _)| format!("{{\"Organisation\": {{\"id\": \"1\", {flaw}}}}}"))
        .collect();
    let many = json!({"Organisation": {"id": "2", "name": "Other"}}).to_string() + ",";
    let good = json!({"Organisation": {"id": "3", "name": "Meant", "uuid": uuid(3)}});
    always(
        &misp,
        "/organisations/index",
        format!("[7, {}, {}{good}]", rows.join(","), many.repeat(20_001)),
    );
    let tags = json!([7, {"Tag": {"id": 1, "name": "x".repeat(TEXT + 1)}}, {"Tag": {"id": "5", "name": "meant"}}]);
    always(&misp, "/tags/search", tags.to_string());
    let report = import(
        &misp,
        &json!({"include_organisations": ["Meant"], "exclude_tags": ["meant"]}),
    );
    assert_eq!(
        full(&report)["connections"][0]["asked_for"],
        json!(["organisations: Meant (3)"]),
        "{report:#}"
    );
    assert!(
        !warnings(&report).contains("does not exist"),
        "{}",
        warnings(&report)
    );
}
