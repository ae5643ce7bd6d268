//! Several small events in one answer: each comes as it does by itself, or is left for that.

use std::collections::HashMap;

use cortex_misp::misp::wire::Event;
use cortex_misp::misp::{Chunk, Misp};
use uuid::Uuid;

use super::{Came, asked, read, row, server, uuid};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World};

const LIST: &str = "/events/restSearch";

/// The events of the corpus, as the list of events has them, but for one whose attributes MISP counts wrongly.
fn listed(fake: &Fake, misp: &Misp) -> Vec<(Uuid, Event)> {
    let mut uuids = Vec::new();
    for event in &fake.world().events {
        if event.attribute_count == event.live().count() as i64 {
            uuids.push(uuid(&event.uuid));
        }
    }
    uuids
        .into_iter()
        .map(|uuid| (uuid, row(misp, &uuid)))
        .collect()
}

fn in_lists(misp: &Misp, events: &[(Uuid, Event)]) -> HashMap<Uuid, Chunk> {
    let events: Vec<(Uuid, &Event)> = events.iter().map(|(uuid, event)| (*uuid, event)).collect();
    misp.read_small_events(&events)
}

fn came(chunk: Chunk) -> Came {
    let mut came = Came::default();
    came.take(chunk);
    came
}

#[test]
fn the_corpus_comes_by_one_question_as_it_does_event_by_event() {
    let fake = Fake::start(World::with_corpus());
    let misp = server(&fake);
    let events = listed(&fake, &misp);
    fake.forget_requests();
    let contents = in_lists(&misp, &events);
    assert_eq!(asked(&fake), [(LIST.to_owned(), 1)]);
    assert_eq!(contents.len(), events.len());
    for (uuid, chunk) in contents {
        let event = &events.iter().find(|(known, _)| *known == uuid).unwrap().1;
        let (one, other) = (came(chunk), read(&misp, &uuid, event));
        assert_eq!(one.reports, other.reports, "{uuid}");
        assert_eq!(one.sorted(), other.sorted(), "{uuid}");
    }
}

#[test]
fn what_does_not_come_whole_is_left_out() {
    let fake = Fake::start(World::with_corpus());
    let misp = server(&fake);
    let mut events = listed(&fake, &misp);
    let kept_out = {
        let mut world = fake.world();
        let event = &world.events[0];
        let value = event
            .live()
            .find(|one| one.object == 0)
            .unwrap()
            .value
            .clone();
        let kept_out = uuid(&event.uuid);
        world.allowed_list = vec![value];
        kept_out
    };
    events[5].1.attribute_count = Some(99_999);
    events[6].1.attribute_count = None;
    let unknown = uuid("11111111-1111-4111-8111-111111111111");
    events.push((unknown, events[0].1.clone()));
    let contents = in_lists(&misp, &events);
    for uuid in [kept_out, events[5].0, events[6].0, unknown] {
        assert!(!contents.contains_key(&uuid), "{uuid}");
    }
    assert!(contents.len() > 20);
}

#[test]
fn a_list_that_fails_once_or_is_too_much_at_once_comes_all_the_same() {
    let fake = Fake::start(World::with_corpus());
    let misp = server(&fake);
    let events = listed(&fake, &misp);
    let status = |status| What::Status(status, "{}".to_owned(), "application/json");
    for what in [
        status(500),
        status(503),
        What::CutAfter(0),
        What::CutAfter(30_000),
    ] {
        fake.heal();
        fake.fault(Fault {
            on: LIST,
            nth: Nth::Only(1),
            what: what.clone(),
        });
        assert_eq!(in_lists(&misp, &events).len(), events.len(), "{what:?}");
    }
}

#[test]
fn an_answer_that_is_no_list_of_events_leaves_all_out() {
    let fake = Fake::start(World::with_corpus());
    let events = listed(&fake, &server(&fake));
    for body in [
        "<html>",
        "[]",
        "{}",
        r#"{"response": []}"#,
        r#"{"response": [7, {"Event": 7}, {"Event": []}, {"Event": {"uuid": "x", "Attribute": 7}}]}"#,
        r#"{"response": {"Event": {}}}"#,
    ] {
        fake.heal();
        fake.fault(Fault {
            on: LIST,
            nth: Nth::Always,
            what: What::Body(body.to_owned()),
        });
        assert_eq!(in_lists(&server(&fake), &events).len(), 0, "{body}");
    }
}

#[test]
fn a_server_that_answers_no_list_is_asked_a_few_times() {
    let fake = Fake::start(World::with_corpus());
    let misp = server(&fake);
    let events = listed(&fake, &misp);
    fake.fault(Fault {
        on: LIST,
        nth: Nth::Always,
        what: What::Status(500, "{}".to_owned(), "application/json"),
    });
    fake.forget_requests();
    for _ in 0..3 {
        assert_eq!(in_lists(&misp, &events).len(), 0);
    }
    assert_eq!(asked(&fake), [(LIST.to_owned(), 4)]);
    // Each event comes by itself all the same.
    let (uuid, event) = &events[0];
    assert!(!read(&misp, uuid, event).rows.is_empty());
}
