//! Where a case goes: to which connections, to which event there, and which event a new one extends.

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain, run};
use crate::misp::{self, Event, Fake, key};
use crate::program::{counts, failure, full, of};

/// The desk's MISP as "one", a second as "two", and a third that is for look-ups only.
fn two(desk: &Desk, second: &Fake) -> Value {
    let mut job = desk.job();
    job["config"]["name"] = json!(["one", "two", "look-ups"]);
    job["config"]["url"] = json!([desk.misp.url(), second.url(), "http://127.0.0.1:9"]);
    job["config"]["key"] = json!([key("orgadmin"), key("orgadmin"), key("partner")]);
    job["config"]["purpose"] = json!(["ExportOnly", "ImportAndExport", null]);
    job
}

fn names(report: &Value) -> Vec<&str> {
    full(report)["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect()
}

fn to(names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| format!("misp:to=\"{name}\""))
        .collect()
}

#[test]
fn one_click_goes_to_every_connection_and_each_has_its_part() {
    for desk in Desk::both() {
        let second = Fake::start(misp::World::new());
        desk.add_domains(3);
        let job = two(&desk, &second);
        let report = run(&job);
        assert_eq!(names(&report), ["one", "two"]);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 6), ("created", 6)])
        );
        let uuid = desk.event().uuid;
        let uuids: Vec<_> = second
            .world()
            .events
            .iter()
            .map(|event| event.uuid.clone())
            .collect();
        assert_eq!(uuids, [uuid.as_str()]);
        let tag = |name: &str| json!({"type": "AddTagToCase", "tag": desk.event_tag(name, &uuid)});
        assert_eq!(report["operations"], json!([tag("one"), tag("two")]));
        for part in full(&report)["connections"].as_array().unwrap() {
            assert_eq!(part["ledger"]["observables"]["created"], 3);
            assert_eq!(part["events"][0]["uuid"], json!(uuid));
        }
        assert_eq!(
            full(&report)["connections"][1]["requests"],
            second.requests().len()
        );
        // The tags that TheHive then has lead back to the same events.
        desk.tag(&["one", "two"].map(|name| desk.event_tag(name, &uuid)));
        second.forget_requests();
        desk.misp.forget_requests();
        let report = run(&job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 6), ("unchanged", 6)])
        );
        desk.wrote_nothing();
        assert_eq!(misp::writes(&second), [""; 0]);
        assert_eq!(report["operations"], json!([tag("one"), tag("two")]));
    }
}

#[test]
fn only_a_connection_that_holds_the_event_gets_its_tag() {
    let (desk, second) = (Desk::five(), Fake::start(misp::World::new()));
    desk.add_domains(1);
    let mut job = two(&desk, &second);
    job["config"]["key"][0] = json!(key("disabled"));
    let report = run(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("failed", 1)])
    );
    let uuid = second.world().events[0].uuid.clone();
    let tag = desk.event_tag("two", &uuid);
    assert_eq!(
        report["operations"],
        json!([{"type": "AddTagToCase", "tag": tag}])
    );
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: ")
    );
    // A case without an IOC has no event, and no tag.
    let (empty, second) = (Desk::five(), Fake::start(misp::World::new()));
    let report = run(&two(&empty, &second));
    assert_eq!(
        (
            full(&report)["connections"].as_array().unwrap().len(),
            &report["operations"]
        ),
        (2, &json!([]))
    );
}

#[test]
fn tags_and_parameters_narrow_and_parameters_win() {
    let (desk, second) = (Desk::four(), Fake::start(misp::World::new()));
    desk.add_domains(1);
    let mut job = two(&desk, &second);
    for (tags, parameter, expected) in [
        (vec![], None, vec!["one", "two"]),
        (vec!["two"], None, vec!["two"]),
        (vec!["two", "one"], None, vec!["one", "two"]),
        (vec!["two"], Some("one"), vec!["one"]),
        (vec!["nobody"], Some("two"), vec!["two"]),
        (vec![], Some("one"), vec!["one"]),
    ] {
        desk.tag(&to(&tags));
        job["parameters"]["connection"] = json!(parameter);
        let report = run(&job);
        assert_eq!(names(&report), expected, "{tags:?} {parameter:?}");
        let told = full(&report)["warnings"]
            .to_string()
            .contains("nothing goes to \\\"one\\\": the case's tags narrow");
        assert_eq!(told, tags == ["two"] && parameter.is_none(), "{report:#}");
    }
    // The tag is a word between TheHive and this program: it does not go out.
    desk.tag(&[to(&["two"]), vec!["phishing".to_owned()]].concat());
    job["config"]["export_case_tags"] = json!(true);
    job["parameters"]["connection"] = Value::Null;
    run(&job);
    let world = second.world();
    assert_eq!(
        world.names(&world.events[0].tags),
        ["tlp:amber", "PAP:AMBER", "phishing"]
    );
}

#[test]
fn an_unknown_name_is_an_error_that_names_the_names() {
    let (desk, second) = (Desk::five(), Fake::start(misp::World::new()));
    desk.add_domains(1);
    let mut job = two(&desk, &second);
    for name in ["nobody", "One", "look-ups"] {
        desk.tag(&to(&["one", name]));
        let report = run(&job);
        let message = failure(&report);
        let tag = format!(
            "the case has the tag misp:to=\"{name}\", and no connection for export has that name"
        );
        assert!(
            message.starts_with(&tag) && message.contains("\"one\", \"two\""),
            "{message}"
        );
    }
    desk.tag(&[]);
    for (name, said) in [
        ("nobody", "the names are \"one\", \"two\""),
        (
            "look-ups",
            "connection \"look-ups\" may not export: its \"purpose\" is ImportOnly",
        ),
    ] {
        job["parameters"]["connection"] = json!(name);
        let report = run(&job);
        let message = failure(&report);
        assert!(message.contains(said), "{message}");
    }
    assert!(desk.misp.requests().is_empty() && second.requests().is_empty());
}

/// A tag that was meant to keep a case in must not let it out everywhere.
#[test]
fn a_tag_that_is_meant_to_name_a_connection_and_cannot_be_read_is_an_error() {
    let (desk, second) = (Desk::five(), Fake::start(misp::World::new()));
    desk.add_domains(1);
    let mut job = two(&desk, &second);
    for tag in [
        "misp.to=\"one\"",
        "misp:to:one",
        "misp:to=\"\"",
        "\u{200b}misp:to=\"one\"",
        "ｍｉｓｐ：ｔｏ＝one",
    ] {
        desk.tag(&[tag.to_owned(), "misp:to=\"two\"".to_owned()]);
        let report = run(&job);
        let message = failure(&report);
        assert!(
            message.contains("no name can be read from it: correct it to"),
            "{message}"
        );
    }
    // Nobody types this, so that it stops no export that another tag narrows; by itself it must not widen.
    let long = format!("misp:to=\"{}\"", "x".repeat(101));
    desk.tag(std::slice::from_ref(&long));
    let report = run(&job);
    assert!(
        failure(&report).contains("no other tag says where the case may go"),
        "{report:#}"
    );
    assert!(desk.misp.requests().is_empty() && second.requests().is_empty());
    desk.tag(&[long, " misp : to = \"two\" ".to_owned()]);
    let report = run(&job);
    assert_eq!(names(&report), ["two"]);
    assert!(
        full(&report)["warnings"]
            .to_string()
            .contains("it is passed over"),
        "{report:#}"
    );
    desk.tag(&["misp:to".to_owned()]);
    job["parameters"]["connection"] = json!("one");
    assert_eq!(names(&run(&job)), ["one"]);
}

#[test]
fn several_names_and_tags_that_say_nothing_are_told() {
    let (desk, second) = (Desk::five(), Fake::start(misp::World::new()));
    let mut observable = domain("tagged.example");
    observable["tags"] = json!(["misp:to=\"one\"", "misp.type=\"hostname\""]);
    desk.add(&observable);
    desk.tag(&[to(&["one", "two"]), vec!["misp.event=x".to_owned()]].concat());
    let report = run(&two(&desk, &second));
    let told = full(&report)["warnings"].to_string();
    for said in [
        "the case's tag misp.event=x cannot be read",
        "cannot be read, so that it counts for nothing: tagged.example (misp.type=",
        "which counts on a case only: they go wherever their case goes: tagged.example (misp:to=",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message.contains("all of it goes to each: \"one\", \"two\""),
        "{message}"
    );
}

/// Two connections to one MISP with other rules each: what is for the one must not reach the other's readers.
#[test]
fn a_second_connection_to_the_same_misp_has_an_event_of_its_own() {
    let desk = Desk::five();
    desk.add_domains(2);
    let mut job = two(&desk, &desk.misp);
    job["config"]["url"][1] = json!(format!("{}/", desk.misp.url()));
    job["config"]["connection_settings"] = json!([r#"{"name": "two", "distribution": 3}"#]);
    let report = desk.run(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 4), ("created", 4)]),
        "{report:#}"
    );
    let distributions = |desk: &Desk| {
        let mut all: Vec<_> = desk
            .misp
            .world()
            .events
            .iter()
            .map(|event| event.distribution)
            .collect();
        all.sort_unstable();
        all
    };
    assert_eq!(distributions(&desk), [0, 3]);
    desk.run(&job);
    desk.wrote_nothing();
    // Alone, and named by the job, it is still the second.
    job["parameters"]["connection"] = json!("two");
    desk.run(&job);
    desk.wrote_nothing();
    // A case that was exported before this was so keeps the event that its tag proves.
    let desk = Desk::five();
    desk.add_domains(2);
    let mut job = two(&desk, &desk.misp);
    job["parameters"]["connection"] = json!("one");
    desk.run(&job);
    desk.tag(&["one", "two"].map(|name| desk.event_tag(name, &desk.event().uuid)));
    job["parameters"]["connection"] = json!("two");
    desk.run(&job);
    desk.wrote_nothing();
    assert_eq!(distributions(&desk), [0]);
}

/// Exports under an old name of the installation, and gives the event's tag.
fn renamed(desk: &Desk) -> String {
    desk.add_domains(2);
    desk.run(&desk.job_with("instance", json!("old.example")));
    desk.event_tag("misp-corp", &desk.event().uuid)
}

#[test]
fn the_event_that_a_tag_names_wins_over_the_computed_one() {
    for desk in Desk::both() {
        let tag = renamed(&desk);
        desk.tag(&[
            "misp:event=\"elsewhere:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2\"".to_owned(),
            tag.clone(),
        ]);
        let before = desk.event();
        let report = desk.export();
        desk.wrote_nothing();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("unchanged", 2)])
        );
        desk.add(&domain("new.example"));
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("created", 1), ("unchanged", 2)])
        );
        assert_eq!(changes(&before, &desk.event()), ["+ new.example"]);
        assert_eq!(
            report["operations"],
            json!([{"type": "AddTagToCase", "tag": tag}])
        );
        desk.export();
        desk.wrote_nothing();
    }
}

#[test]
fn of_several_tags_the_first_that_leads_to_an_event_wins() {
    let desk = Desk::five();
    let tag = renamed(&desk);
    let gone = cortex_misp::ids::Ids::new("older.example", None).event_uuid("~1", "2");
    desk.tag(&[format!("misp:event=\"misp-corp:{gone}\""), tag.clone()]);
    let before = desk.event();
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&before, &desk.event()), [""; 0]);
    assert_eq!(
        report["operations"],
        json!([{"type": "AddTagToCase", "tag": tag}])
    );
}

/// Exports again, with the tag, and expects a second event beside the first, which stays as it was.
fn ignored(desk: &Desk, tag: String) {
    desk.tag(&[tag]);
    let before = desk.misp.world().events[0].clone();
    let report = desk.export();
    let world = desk.misp.world();
    let [first, second] = world.events.as_slice() else {
        panic!("{} events: {report:#}", world.events.len())
    };
    assert_eq!(changes(&before, first), [""; 0]);
    assert_eq!(
        (second.attributes.len(), second.extends_uuid.as_str()),
        (2, "")
    );
    assert_ne!(first.uuid, second.uuid);
    let tag = desk.event_tag("misp-corp", &second.uuid);
    assert_eq!(
        report["operations"],
        json!([{"type": "AddTagToCase", "tag": tag}])
    );
}

#[test]
fn a_tag_of_an_event_that_is_not_ours_to_write_is_ignored() {
    let foreign = "5f0e5b5c-0000-4000-8000-000000000009";
    type Spoil = fn(&mut Event);
    let spoils: [Spoil; 3] = [
        |event| event.locked = true,
        |event| event.orgc = 1,
        |event| "5f0e5b5c-0000-4000-8000-000000000009".clone_into(&mut event.uuid),
    ];
    for spoil in spoils {
        let desk = Desk::five();
        let tag = renamed(&desk);
        spoil(&mut desk.misp.world().events[0]);
        let uuid = desk.event().uuid;
        ignored(
            &desk,
            if uuid == foreign {
                format!("misp:event=\"misp-corp:{foreign}\"")
            } else {
                tag
            },
        );
    }
}

#[test]
fn a_tag_that_leads_nowhere_or_elsewhere_is_ignored() {
    let desk = Desk::four();
    let tag = renamed(&desk);
    ignored(&desk, tag.replace("misp-corp", "elsewhere"));
    let desk = Desk::four();
    renamed(&desk);
    let other = cortex_misp::ids::Ids::new("third.example", None).event_uuid("~1", "2");
    ignored(&desk, format!("misp:event=\"misp-corp:{other}\""));
    let desk = Desk::four();
    renamed(&desk);
    ignored(&desk, "misp:event=\"misp-corp:no-uuid\"".to_owned());
}

const ORIGIN: &str = "5f0e5b5c-1111-4000-8000-000000000001";

/// An event of another organisation, with this distribution, and an alert made of it, which the case was made from.
fn with_origin(desk: &Desk, distribution: u64) {
    let event = Event {
        id: 7,
        uuid: ORIGIN.to_owned(),
        org: 1,
        orgc: 1,
        distribution,
        ..Event::default()
    };
    desk.misp.world().events.push(event);
    alert(desk, "misp", "misp-corp", ORIGIN);
    desk.add_domains(1);
}

fn alert(desk: &Desk, kind: &str, source: &str, reference: &str) {
    let mut world = desk.thehive.world();
    let id = world.next_id();
    let alert = json!({
        "_id": id, "_type": "Alert", "type": kind, "source": source, "sourceRef": reference, "title": "t",
        "caseId": desk.case,
    });
    world.alerts.push(alert);
}

/// What the new event extends, after one export, and after a second one that writes nothing.
fn extends(desk: &Desk) -> String {
    desk.export();
    let made = |desk: &Desk| {
        desk.misp
            .world()
            .events
            .iter()
            .find(|event| event.uuid != ORIGIN)
            .unwrap()
            .clone()
    };
    let first = made(desk);
    desk.export();
    desk.wrote_nothing();
    assert_eq!(changes(&first, &made(desk)), [""; 0]);
    first.extends_uuid
}

#[test]
fn a_case_made_from_one_alert_extends_the_event_of_it() {
    for desk in Desk::both() {
        with_origin(&desk, 1);
        assert_eq!(extends(&desk), ORIGIN);
    }
}

#[test]
fn a_case_extends_nothing_that_is_invisible_or_not_certain() {
    let invisible = Desk::five();
    with_origin(&invisible, 0);
    assert_eq!(extends(&invisible), "");
    let desk = Desk::four();
    with_origin(&desk, 1);
    alert(
        &desk,
        "misp",
        "misp-corp",
        "5f0e5b5c-1111-4000-8000-000000000002",
    );
    assert_eq!(extends(&desk), "");
    for (kind, source, reference) in [
        ("siem", "misp-corp", ORIGIN),
        ("misp", "elsewhere", ORIGIN),
        ("misp", "misp-corp", "17"),
    ] {
        let desk = Desk::five();
        with_origin(&desk, 1);
        desk.thehive.world().alerts.clear();
        alert(&desk, kind, source, reference);
        assert_eq!(extends(&desk), "", "{kind} {source} {reference}");
    }
}

/// Alerts of other sources that were merged into the case, and those of TheHive's own connector, which names an event by its number.
#[test]
fn alerts_that_are_not_of_an_import_make_nothing_uncertain() {
    for desk in Desk::both() {
        with_origin(&desk, 1);
        alert(&desk, "siem", "splunk", "17");
        alert(
            &desk,
            "siem",
            "misp-corp",
            "5f0e5b5c-1111-4000-8000-000000000002",
        );
        alert(&desk, "misp", "misp-own", "1337");
        assert_eq!(extends(&desk), ORIGIN);
    }
}

/// The alert is merged into the case later: the event that is there is not made again, and stays what it is.
#[test]
fn an_event_that_is_there_extends_nothing_later() {
    let desk = Desk::five();
    with_origin(&desk, 1);
    desk.thehive.world().alerts.clear();
    assert_eq!(extends(&desk), "");
    alert(&desk, "misp", "misp-corp", ORIGIN);
    desk.add(&domain("new.example"));
    desk.export();
    let event = desk.misp.world().events[1].clone();
    assert_eq!(
        (event.extends_uuid.as_str(), event.attributes.len()),
        ("", 2)
    );
}
