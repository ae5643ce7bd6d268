//! What the fakes do beyond the recorded exchanges: faults, slow writing, integers as numbers, and the fake TheHive. What
//! the fake MISP does with what is written to it is in `writing.rs`.

mod hives;
mod proxying;
mod rights;
mod running;
mod writing;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::{misp, thehive};

/// One call over a plain socket: status and body; status 0 when the connection broke before one came.
fn call(url: &str, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let (status, text) = raw(url, method, path, key, body);
    (status, serde_json::from_str(&text).unwrap_or_default())
}

fn raw(url: &str, method: &str, path: &str, key: &str, body: &Value) -> (u16, String) {
    let host = url.trim_start_matches("http://");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\nAccept: application/json\r\n"
    );
    let head = format!(
        "{head}Content-Type: application/json\r\nAuthorization: {key}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(host).expect("the fake");
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    (status, body.to_owned())
}

fn bearer() -> String {
    format!("Bearer {}", thehive::KEY)
}

fn domains(count: usize) -> Value {
    (0..count)
        .map(|n| json!({"type": "domain", "value": format!("d{n}.example")}))
        .collect()
}

#[test]
fn faults_strike_the_calls_they_are_ordered_for() {
    let fake = misp::Fake::start(misp::World::new());
    let key = misp::key("admin");
    let version = |fake: &misp::Fake| {
        call(
            &fake.url(),
            "GET",
            "/servers/getVersion",
            &key,
            &Value::Null,
        )
    };
    fake.fault(Fault {
        on: "getVersion",
        nth: Nth::Only(2),
        what: What::Status(503, "later".into(), "text/html"),
    });
    assert_eq!(
        [version(&fake).0, version(&fake).0, version(&fake).0],
        [200, 503, 200]
    );
    fake.fault(Fault {
        on: "getVersion",
        nth: Nth::Always,
        what: What::CutAfter(5),
    });
    assert_eq!(
        raw(
            &fake.url(),
            "GET",
            "/servers/getVersion",
            &key,
            &Value::Null
        )
        .1,
        "{\"ver"
    );
    fake.heal();
    assert_eq!(version(&fake).1["version"], "2.5.1");
    let statuses: Vec<u16> = fake
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [200, 503, 200, 200, 200]);
}

#[test]
fn a_slow_list_goes_on_after_the_client_has_gone() {
    let fake = misp::Fake::start(misp::World::new());
    let (url, key) = (fake.url(), misp::key("partner"));
    let (_, added) = call(&url, "POST", "/events/add", &key, &json!({"info": "slow"}));
    let path = format!(
        "/attributes/add/{}",
        added["Event"]["uuid"].as_str().expect("a uuid")
    );
    fake.world().slow_add = Some(4);
    let stored = |fake: &misp::Fake| fake.world().events[0].attributes.len();
    let (_, cut) = raw(&url, "POST", &path, &key, &domains(10));
    assert_eq!((cut.as_str(), stored(&fake)), ("", 4));
    assert_eq!(call(&url, "POST", &path, &key, &domains(10)).0, 500);
    assert_eq!(stored(&fake), 8);
    call(&url, "GET", "/servers/getVersion", &key, &Value::Null);
    assert_eq!(stored(&fake), 10);
}

#[test]
fn integers_can_be_numbers() {
    let mut world = misp::World::with_corpus();
    world.numbers = true;
    let fake = misp::Fake::start(world);
    let (_, event) = call(
        &fake.url(),
        "GET",
        "/events/view/25",
        &misp::key("admin"),
        &Value::Null,
    );
    assert_eq!(event["Event"]["id"], 25);
    assert_eq!(event["Event"]["Attribute"][0]["event_id"], 25);
}

#[test]
fn both_hives_give_the_observables_of_a_case_in_pages() {
    for mut world in [thehive::World::four(), thehive::World::five()] {
        let case = world.add_case(7, "phishing", &Value::Null);
        for n in 0..1200 {
            world.add_observable(
                &case,
                &json!({"dataType": "domain", "data": format!("d{n}.example"), "ioc": n % 2 == 0}),
            );
        }
        let total = if world.version == thehive::Version::Four {
            "-1000"
        } else {
            "1200"
        };
        let fake = thehive::Fake::start(world);
        let ioc = json!({"_name": "filter", "_is": {"_field": "ioc", "_value": true}});
        let sort = json!({"_name": "sort", "_fields": [{"_createdAt": "desc"}]});
        let page = json!({"_name": "page", "from": 0, "to": 2, "extraData": ["total"]});
        let get = json!({"_name": "getCase", "idOrName": "7"});
        let ask = |query: Value| {
            call(
                &fake.url(),
                "POST",
                "/api/v1/query",
                &bearer(),
                &json!({ "query": query }),
            )
        };
        let (status, found) = ask(json!([get, {"_name": "observables"}, ioc, sort, page]));
        assert_eq!(
            (status, &found[0]["data"], &found[1]["data"]),
            (200, &json!("d1198.example"), &json!("d1196.example"))
        );
        assert_eq!(
            ask(json!([get, {"_name": "observables"}, {"_name": "count"}])),
            (200, json!(1200))
        );
        assert_eq!(
            ask(json!([{"_name": "getCase", "idOrName": "8"}, {"_name": "observables"}])),
            (200, json!([]))
        );
        let all = json!([get, {"_name": "observables"}, page]);
        let head = whole(&fake.url(), "/api/v1/query", &json!({ "query": all }));
        assert!(
            head.to_lowercase().contains(&format!("x-total: {total}")),
            "{head}"
        );
    }
}

/// The whole answer as text.
fn whole(url: &str, path: &str, body: &Value) -> String {
    let host = url.trim_start_matches("http://");
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    );
    let mut stream = TcpStream::connect(host).expect("the fake");
    let sent = format!(
        "{head}Authorization: {}\r\nContent-Length: {}\r\n\r\n{body}",
        bearer(),
        body.len()
    );
    stream.write_all(sent.as_bytes()).expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn the_hives_differ_where_they_are_known_to() {
    let (four, five) = (
        thehive::Fake::start(thehive::World::four()),
        thehive::Fake::start(thehive::World::five()),
    );
    let public = |url: String| call(&url, "GET", "/api/v1/status/public", "", &Value::Null).0;
    assert_eq!((public(four.url()), public(five.url())), (404, 200));
    let eq = json!({"query": [{"_name": "listAlert"}, {"_name": "filter", "_eq": {"_field": "type", "_value": "misp"}}]});
    let query = |url: String| call(&url, "POST", "/api/v1/query", &bearer(), &eq).0;
    assert_eq!((query(four.url()), query(five.url())), (400, 200));
    let big = json!({"query": [{"_name": "listAlert", "x": "x".repeat(300_000)}]});
    let query = |url: String| call(&url, "POST", "/api/v1/query", &bearer(), &big).0;
    assert_eq!((query(four.url()), query(five.url())), (413, 200));
    let (status, body) = call(
        &four.url(),
        "GET",
        "/api/v1/user/current",
        "Bearer no",
        &Value::Null,
    );
    assert_eq!(
        (status, &body["type"]),
        (401, &json!("AuthenticationError"))
    );
    assert_eq!(
        call(
            &five.url(),
            "GET",
            "/api/v1/case/9",
            &bearer(),
            &Value::Null
        )
        .0,
        404
    );
    let reader = format!("Bearer {}", thehive::READER_KEY);
    assert_eq!(
        call(&five.url(), "POST", "/api/v1/alert", &reader, &json!({})).0,
        403
    );
}

#[test]
fn alerts_are_kept_once() {
    let alert = json!({"type": "misp", "source": "m", "sourceRef": "1", "title": "t", "description": "d",
        "observables": [{"dataType": "ip", "data": ["192.0.2.1", "192.0.2.1"]}], "artifacts": [{"dataType": "ip", "data": ["192.0.2.1"]}]});
    for (world, create, add) in [
        (thehive::World::four(), "/api/alert", "artifact"),
        (thehive::World::five(), "/api/v1/alert", "observable"),
    ] {
        let fake = thehive::Fake::start(world);
        let post = |path: &str, body: &Value| call(&fake.url(), "POST", path, &bearer(), body);
        let (status, made) = post(create, &alert);
        assert_eq!(status, 201, "{made}");
        let (status, again) = post(create, &alert);
        assert_eq!((status, &again["type"]), (400, &json!("CreateError")));
        let path = format!(
            "/api/v1/alert/{}/{add}",
            made["_id"].as_str().expect("an id")
        );
        let (status, part) = post(
            &path,
            &json!({"dataType": "ip", "data": ["192.0.2.1", "192.0.2.2"]}),
        );
        assert_eq!(
            (status, &part["failure"][0]["object"]["data"]),
            (207, &json!("192.0.2.1"))
        );
        assert_eq!(
            post(&path, &json!({"dataType": "nonsense", "data": "x"})).0,
            404
        );
        let id = part["success"][0]["_id"].as_str().expect("an id");
        assert_eq!(
            call(
                &fake.url(),
                "DELETE",
                &format!("/api/v1/observable/{id}"),
                &bearer(),
                &Value::Null
            )
            .0,
            204
        );
        let patch = call(
            &fake.url(),
            "PATCH",
            "/api/v1/alert/misp;m;1",
            &bearer(),
            &json!({"title": "new"}),
        );
        assert_eq!(patch.0, 204);
        let world = fake.world();
        assert_eq!(
            (
                &world.alerts[0]["title"],
                &world.alerts[0]["observableCount"]
            ),
            (&json!("new"), &json!(1))
        );
    }
}
