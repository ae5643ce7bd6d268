//! What TheHive 4 lets whom do, seen on a real one: who belongs to the organisation of a request is not checked, and a change
//! without the permission is done.

use serde_json::{Value, json};

use super::call;
use crate::thehive::{ADMIN_KEY, Fake, KEY, READER_KEY, World};

/// An alert and a case of `elsewhere`, each with an observable.
struct Held {
    fake: Fake,
    alert: String,
    case: String,
    observables: [String; 2],
}

fn held(organisation: &str) -> Held {
    let mut world = World::four();
    let case = world.add_case(1, "t", &Value::Null);
    let in_case = world.add_observable(&case, &json!({"dataType": "ip", "data": "192.0.2.1"}));
    let alert = "~9".to_owned();
    world
        .alerts
        .push(json!({"_id": alert, "_type": "Alert", "title": "t", "tags": []}));
    let in_alert = world.add_observable(&alert, &json!({"dataType": "ip", "data": "192.0.2.2"}));
    for id in [&case, &alert] {
        world.give(id, organisation);
    }
    Held {
        fake: Fake::start(world),
        alert,
        case,
        observables: [in_case, in_alert],
    }
}

impl Held {
    /// The statuses of: patching the alert, both observables, both at once and the case; deleting an observable and the alert;
    /// adding an observable to the alert.
    fn tried(&self, key: &str) -> [u16; 8] {
        let send = |method: &str, path: &str, body: Value| {
            call(
                &self.fake.url(),
                method,
                path,
                &format!("Bearer {key}"),
                &body,
            )
            .0
        };
        let [one, other] = &self.observables;
        [
            send(
                "PATCH",
                &format!("/api/v1/alert/{}", self.alert),
                json!({"title": key}),
            ),
            send(
                "PATCH",
                &format!("/api/v1/observable/{one}"),
                json!({"message": key}),
            ),
            send(
                "PATCH",
                &format!("/api/v1/observable/{other}"),
                json!({"message": key}),
            ),
            send(
                "PATCH",
                "/api/v1/observable/_bulk",
                json!({"ids": [one, other], "tlp": 3}),
            ),
            send(
                "PATCH",
                &format!("/api/v1/case/{}", self.case),
                json!({"title": key}),
            ),
            send("DELETE", &format!("/api/v1/observable/{one}"), Value::Null),
            send("DELETE", &format!("/api/alert/{}", self.alert), Value::Null),
            send(
                "POST",
                &format!("/api/v1/alert/{}/artifact", self.alert),
                json!({"dataType": "ip", "data": "192.0.2.3"}),
            ),
        ]
    }
}

#[test]
fn who_has_no_permission_is_told_that_changes_were_done_and_they_are() {
    for (key, organisation) in [
        (READER_KEY, "cert"),
        (READER_KEY, "elsewhere"),
        (ADMIN_KEY, "cert"),
    ] {
        let held = held(organisation);
        assert_eq!(held.tried(key), [403, 204, 204, 204, 204, 404, 403, 403]);
        let world = held.fake.world();
        assert_eq!(
            (&world.cases[0]["title"], &world.alerts[0]["title"]),
            (&json!(key), &json!("t"))
        );
        assert!(
            world
                .observables
                .iter()
                .all(|one| one.record["message"] == key && one.record["tlp"] == 3)
        );
    }
}

#[test]
fn who_has_the_permission_changes_what_the_organisation_sees() {
    assert_eq!(
        held("elsewhere").tried(KEY),
        [404, 404, 404, 404, 404, 404, 404, 403]
    );
    assert_eq!(
        held("cert").tried(KEY),
        [204, 204, 204, 204, 204, 204, 204, 403],
        "the alert is gone"
    );
}

#[test]
fn a_list_of_changes_is_done_as_a_whole_or_not() {
    let held = held("cert");
    let body = json!({"ids": [held.observables[0], "~1"], "tlp": 0});
    let (status, answer) = call(
        &held.fake.url(),
        "PATCH",
        "/api/v1/observable/_bulk",
        &format!("Bearer {KEY}"),
        &body,
    );
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("Observable not found"))
    );
    assert_eq!(held.fake.world().observables[0].record["tlp"], 2);
}

#[test]
fn whoever_names_an_organisation_reads_it() {
    let held = held("soc");
    held.fake.world().users[0].organisations = vec!["cert".to_owned()];
    let seen = as_seen_in(&held.fake);
    assert_eq!(seen("soc"), (json!("***"), json!("t")));
    assert_eq!(seen("cert"), (json!("cert"), Value::Null));
    assert_eq!(seen("nowhere"), (json!("***"), Value::Null));
}

/// The organisation that the user is told, and the title of the case that is seen there.
fn as_seen_in(fake: &Fake) -> impl Fn(&str) -> (Value, Value) {
    move |organisation| {
        let send = |method: &str, path: &str, body: &Value| {
            let key = format!("Bearer {KEY}\r\nX-Organisation: {organisation}");
            call(&fake.url(), method, path, &key, body).1
        };
        let query = json!({"query": [{"_name": "getCase", "idOrName": "1"}]});
        let found = send("POST", "/api/v1/query", &query);
        (
            send("GET", "/api/v1/user/current", &Value::Null)["organisation"].clone(),
            found[0]["title"].clone(),
        )
    }
}
