//! Large events of a MISP that is short of memory, breaks down, or does not show all that it counts: they arrive whole, or
//! what is missing has a line.

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Attribute, Event, Fake, Object, World, key};
use crate::program::{Program, counts, failure, full, of};

const EVENT: &str = "5f0e5b5c-0000-4000-8000-00000000000b";
const NUMBER: u64 = 6_000;

/// An event of 6,000 attributes, one in ten of them in an object.
fn large() -> World {
    let mut world = World::new();
    let one = |number: u64| Attribute {
        id: 1_000 + number,
        uuid: format!("5f0e5b5c-0000-4000-8000-{number:012}"),
        kind: "domain".to_owned(),
        category: "Network activity".to_owned(),
        value: format!("host-{number}.example"),
        to_ids: true,
        distribution: 5,
        object: if number.is_multiple_of(10) { 7 } else { 0 },
        ..Attribute::default()
    };
    let object = Object {
        id: 7,
        uuid: "5f0e5b5c-0000-4000-8000-0000000000b7".into(),
        name: "domain-ip".into(),
        ..Object::default()
    };
    world.events.push(Event {
        id: 11,
        uuid: EVENT.to_owned(),
        org: 2,
        orgc: 2,
        info: "Large".to_owned(),
        date: "2026-11-01".to_owned(),
        timestamp: 1_795_294_129,
        publish_timestamp: 1_795_294_130,
        published: true,
        distribution: 3,
        attribute_count: i64::try_from(NUMBER).unwrap(),
        attributes: (0..NUMBER).map(one).collect(),
        objects: vec![object],
        ..Event::default()
    });
    world
}

fn import(misp: &Fake) -> Value {
    let config = json!({
        "name": ["corp"], "url": [misp.url()], "key": [key("admin")], "max_age_days": 0, "max_attributes": 0,
        "warninglists": "off", "max_artifacts": 5,
    });
    Program::Import.report(
        &json!({"dataType": "other", "data": format!("misp:event:{EVENT}"), "config": config}),
    )
}

fn broken(on: &'static str, nth: Nth, what: What) -> Fault {
    Fault { on, nth, what }
}

/// What a MISP answers whose PHP ran out of memory, seen on MISP 2.5.1 with a memory_limit of 64 MiB.
fn out_of_memory() -> What {
    let message = "An Internal Error Has Occurred.";
    What::Status(
        500,
        json!({"name": message, "message": message, "url": "/"}).to_string(),
        "application/json",
    )
}

fn arrives(misp: &Fake) -> Value {
    let report = import(misp);
    let all = of([("fetched", NUMBER), ("created", NUMBER)]);
    assert_eq!(
        counts(full(&report), "attributes"),
        all,
        "{}",
        full(&report)["message"]
    );
    report
}

#[test]
fn a_page_over_which_misp_runs_out_of_memory_is_halved_down_to_a_floor() {
    let misp = Fake::start(large());
    arrives(&misp);
    for what in [
        out_of_memory(),
        What::Status(502, "<html>".into(), "text/html"),
        What::Body("{\"response\": {".into()),
    ] {
        misp.heal();
        misp.forget_requests();
        // A page may be asked for while the one before is read, so that these are known by their size.
        for limit in [
            "\"limit\":20480,",
            "\"limit\":10240,",
            "\"limit\":5120,",
            "\"limit\":2560,",
        ] {
            misp.fault(broken(limit, Nth::Always, what.clone()));
        }
        arrives(&misp);
        let mut pages = misp
            .requests()
            .into_iter()
            .filter(|asked| asked.path.starts_with("/attributes/restSearch"));
        assert_eq!(pages.next_back().unwrap().body["limit"], 1_280);
    }
    misp.heal();
    misp.fault(broken(
        "/attributes/restSearch",
        Nth::Always,
        out_of_memory(),
    ));
    let report = import(&misp);
    let said = failure(&report);
    assert!(
        said.contains(EVENT) && said.contains("MISP breaks down even over 160 attributes"),
        "{said}"
    );
    assert!(said.contains("raise PHP's memory_limit"), "{said}");
}

#[test]
fn an_event_whose_objects_cannot_be_read_arrives_whole_and_says_so() {
    let misp = Fake::start(large());
    let tags = |report: &Value| full(report)["alerts"][0]["observables"][0]["tags"].to_string();
    let report = arrives(&misp);
    assert!(
        tags(&report).contains("misp:object=")
            && full(&report)["connections"][0]["warnings"].is_null()
    );
    for what in [
        out_of_memory(),
        What::Body("{\"response\": [{\"Object\"".into()),
    ] {
        misp.heal();
        misp.fault(broken("/objects/restSearch", Nth::Always, what));
        let report = arrives(&misp);
        assert!(!tags(&report).contains("misp:object="));
        let warnings = full(&report)["connections"][0]["warnings"].to_string();
        assert!(
            warnings.contains(EVENT) && warnings.contains("its objects cannot be read"),
            "{warnings}"
        );
    }
    // A server that refuses is another matter.
    misp.heal();
    misp.fault(broken(
        "/objects/restSearch",
        Nth::Always,
        What::Status(403, "{}".into(), "application/json"),
    ));
    assert!(failure(&import(&misp)).contains("403"));
}

#[test]
fn attributes_that_misp_counts_and_does_not_send_are_told() {
    let mut world = large();
    world.events[0].attributes.truncate(5_990);
    for (attributes, is_paged) in [(5_990, true), (90, false)] {
        world.events[0].attributes.truncate(attributes);
        world.events[0].attribute_count = if is_paged { 6_000 } else { 100 };
        let misp = Fake::start(world.clone());
        let report = import(&misp);
        let part = &full(&report)["connections"][0];
        assert_eq!(
            (&part["not_shown"], &part["events"][0]["not_shown"]),
            (&json!(10), &json!(10)),
            "{part:#}"
        );
        let warnings = part["warnings"].to_string();
        assert!(
            warnings.contains(
                "10 attributes that MISP counts were not sent: the key's user may not see them"
            ),
            "{warnings}"
        );
    }
}
