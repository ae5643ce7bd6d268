//! Writes of the fake TheHive that take a while: nobody sees them before their end, whoever waits for them or has given up.

use std::thread;

use serde_json::{Value, json};

use super::{bearer, call};
use crate::http_fake::Nth;
use crate::thehive::{Fake, Slow, Takes, World, Write};

/// A fake where the first so many writes of a kind are slow.
fn slow(on: Write, first: usize, takes: Takes, gateway: bool) -> Fake {
    let mut world = World::four();
    world.slow_down(Slow {
        on,
        nth: Nth::First(first),
        takes,
        gateway,
    });
    Fake::start(world)
}

fn send(fake: &Fake, method: &str, path: &str, body: &Value) -> (u16, Value) {
    call(&fake.url(), method, path, &bearer(), body)
}

fn create(fake: &Fake, values: &[&str]) -> (u16, Value) {
    let mut alert =
        json!({"type": "misp", "source": "m", "sourceRef": "1", "title": "t", "description": "d"});
    alert["artifacts"] = json!([{"dataType": "ip", "data": values}]);
    send(fake, "POST", "/api/alert", &alert)
}

fn count(fake: &Fake, of: &str) -> Value {
    send(
        fake,
        "POST",
        "/api/v1/query",
        &json!({"query": [{"_name": of}, {"_name": "count"}]}),
    )
    .1
}

/// Waits until so many writes are running.
fn wait(fake: &Fake, many: usize) {
    while fake.world().running() < many {
        thread::yield_now();
    }
}

#[test]
fn creations_at_the_same_time_are_all_stored() {
    let fake = slow(Write::Alert, 3, Takes::Together(3), false);
    let statuses = thread::scope(|scope| {
        let all = [(); 3].map(|()| scope.spawn(|| create(&fake, &["192.0.2.1"]).0));
        all.map(|one| one.join().expect("an answer"))
    });
    assert_eq!(statuses, [201, 201, 201]);
    assert_eq!(
        (count(&fake, "listAlert"), count(&fake, "listObservable")),
        (json!(3), json!(3))
    );
    assert_eq!(create(&fake, &[]).0, 400, "what has ended is seen");
    let ids: Vec<Value> = fake
        .world()
        .alerts
        .iter()
        .map(|alert| alert["_id"].clone())
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn a_gateway_gives_up_while_the_creation_goes_on() {
    let fake = slow(Write::Alert, 1, Takes::Requests(3), true);
    assert_eq!(create(&fake, &["192.0.2.1"]).0, 504);
    assert_eq!(
        [count(&fake, "listAlert"), count(&fake, "listObservable")],
        [0, 0]
    );
    assert_eq!(
        [count(&fake, "listAlert"), count(&fake, "listObservable")],
        [1, 1]
    );
}

#[test]
fn what_is_sent_again_too_early_is_there_twice() {
    let fake = slow(Write::Alert, 1, Takes::Requests(2), true);
    assert_eq!(
        (
            create(&fake, &[]).0,
            create(&fake, &[]).0,
            count(&fake, "listAlert")
        ),
        (504, 201, json!(2))
    );
}

#[test]
fn the_values_of_a_list_are_stored_one_by_one() {
    let fake = slow(Write::Observables, 1, Takes::Requests(3), true);
    let made = create(&fake, &["192.0.2.1"]).1;
    let path = format!(
        "/api/v1/alert/{}/artifact",
        made["_id"].as_str().expect("an id")
    );
    let six: Vec<String> = (1..=6).map(|n| format!("192.0.2.{n}")).collect();
    let add = || {
        send(
            &fake,
            "POST",
            &path,
            &json!({"dataType": "ip", "data": six}),
        )
    };
    assert_eq!(add().0, 504);
    let seen: Vec<Value> = (0..4).map(|_| count(&fake, "listObservable")).collect();
    assert_eq!(seen, [2, 4, 6, 6]);
    assert_eq!(fake.world().alerts[0]["observableCount"], 6);
    assert_eq!(add().1["failure"].as_array().map(Vec::len), Some(6));
}

#[test]
fn additions_at_the_same_time_are_all_stored() {
    let fake = slow(Write::Observables, 2, Takes::Together(2), false);
    let made = create(&fake, &[]).1;
    let path = format!(
        "/api/v1/alert/{}/artifact",
        made["_id"].as_str().expect("an id")
    );
    let values = json!({"dataType": "ip", "data": ["192.0.2.1", "192.0.2.2"]});
    let add = || send(&fake, "POST", &path, &values);
    thread::scope(|scope| {
        let other = scope.spawn(add);
        assert_eq!((add().0, other.join().expect("an answer").0), (201, 201));
    });
    assert_eq!(count(&fake, "listObservable"), 4);
}

#[test]
fn an_answer_comes_at_the_end() {
    let fake = slow(Write::Observables, 1, Takes::Told, false);
    let made = create(&fake, &[]).1;
    let path = format!(
        "/api/v1/alert/{}/artifact",
        made["_id"].as_str().expect("an id")
    );
    let values = json!({"dataType": "ip", "data": ["192.0.2.1", "192.0.2.1", "192.0.2.2"]});
    thread::scope(|scope| {
        let added = scope.spawn(|| send(&fake, "POST", &path, &values));
        wait(&fake, 1);
        assert_eq!(count(&fake, "listObservable"), 0);
        fake.world().step();
        assert_eq!(count(&fake, "listObservable"), 1);
        fake.world().finish();
        let (status, answer) = added.join().expect("an answer");
        assert_eq!(
            (status, answer["success"].as_array().map(Vec::len)),
            (207, Some(2))
        );
        assert_eq!(answer["failure"][0]["type"], "CreateError");
    });
}

#[test]
fn a_change_is_seen_at_its_end() {
    let fake = slow(Write::Change, 1, Takes::Requests(2), true);
    let made = create(&fake, &[]).1;
    let path = format!("/api/v1/alert/{}", made["_id"].as_str().expect("an id"));
    let title = || send(&fake, "GET", &path, &Value::Null).1["title"].clone();
    assert_eq!(send(&fake, "PATCH", &path, &json!({"title": "new"})).0, 504);
    assert_eq!([title(), title()], ["t", "new"]);
}

#[test]
fn what_is_refused_is_refused_at_once() {
    let fake = slow(Write::Alert, 9, Takes::Told, true);
    assert_eq!(send(&fake, "POST", "/api/alert", &json!({})).0, 400);
    assert_eq!(fake.world().running(), 0);
}
