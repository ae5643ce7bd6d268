//! What the fake TheHive shows to whom: attachments as zips, extra data, organisations, and pages that lack something.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::bearer;
use crate::thehive::{Fake, Version, World};

fn both() -> [World; 2] {
    [World::four(), World::five()]
}

/// One call for an organisation: status, header lines in lower case, body.
fn send(
    fake: &Fake,
    method: &str,
    path: &str,
    organisation: &str,
    body: &Value,
) -> (u16, String, Vec<u8>) {
    let url = fake.url();
    let host = url.trim_start_matches("http://");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\nAuthorization: {}\r\n",
        bearer()
    );
    let length = body.len();
    let head = format!(
        "{head}X-Organisation: {organisation}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    );
    let mut stream = TcpStream::connect(host).expect("the fake");
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("the end of the headers");
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    (status, head, answer[end + 4..].to_vec())
}

/// The answer to a query, and its headers.
fn query(fake: &Fake, organisation: &str, operations: Value) -> (Value, String) {
    let (status, head, body) = send(
        fake,
        "POST",
        "/api/v1/query",
        organisation,
        &json!({ "query": operations }),
    );
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    (serde_json::from_slice(&body).expect("JSON"), head)
}

fn get(number: &str) -> Value {
    json!({"_name": "getCase", "idOrName": number})
}

fn op(name: &str) -> Value {
    json!({ "_name": name })
}

fn page(extra: Value) -> Value {
    json!({"_name": "page", "from": 0, "to": 100, "extraData": extra})
}

/// The only entry of a zip, opened with a password.
fn entry(packed: &[u8], password: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(packed)).expect("a zip");
    assert_eq!(archive.len(), 1);
    let mut entry = archive.by_index_decrypt(0, password).ok()?;
    let mut content = Vec::new();
    entry.read_to_end(&mut content).ok()?;
    let name = entry.name().ok()?.into_owned();
    Some((name, content))
}

#[test]
fn attachments_come_as_zips_with_a_password() {
    for mut world in both() {
        let case = world.add_case(7, "files", &Value::Null);
        let hash = "ab".repeat(32);
        let observable = world.add_file(&case, "evil.exe", &hash, b"MZ content", &Value::Null);
        let (plain, named, name) = match world.version {
            Version::Four => (
                format!("/api/datastorezip/{hash}"),
                "?name=a%2Fb+c.exe",
                "a_b c.exe",
            ),
            Version::Five => {
                let path = format!(
                    "/api/v1/observable/{observable}/attachment/{hash}/download?asZip=true"
                );
                (path, "&name=evil.exe", "evil.exe")
            }
        };
        world.zip_password = "infected".into();
        let fake = Fake::start(world);
        for (path, name) in [
            (plain.clone(), hash.as_str()),
            (format!("{plain}{named}"), name),
        ] {
            let (status, _, body) = send(&fake, "GET", &path, "cert", &Value::Null);
            assert_eq!(status, 200);
            assert!(!body.windows(10).any(|part| part == b"MZ content"));
            assert_eq!(entry(&body, b"wrong"), None);
            assert_eq!(
                entry(&body, b"infected"),
                Some((name.to_owned(), b"MZ content".to_vec()))
            );
        }
        assert_eq!(
            send(
                &fake,
                "GET",
                &plain.replace(&hash, "00"),
                "cert",
                &Value::Null
            )
            .0,
            404
        );
    }
}

#[test]
fn extra_data_is_what_was_asked_for() {
    for mut world in both() {
        world.add_case(1, "own", &Value::Null);
        let shared = world.add_case(2, "shared", &Value::Null);
        world.share(&shared, "soc");
        let fake = Fake::start(world);
        let extra = |number: &str, organisation: &str, wanted: Value| {
            let (found, head) = query(&fake, organisation, json!([get(number), page(wanted)]));
            (found[0]["extraData"].clone(), head.contains("x-total: 1"))
        };
        let both = || json!(["shareCount", "isOwner", "permissions"]);
        assert_eq!(
            extra("1", "cert", both()),
            (json!({"shareCount": 0, "isOwner": true}), false)
        );
        assert_eq!(
            extra("2", "cert", both()).0,
            json!({"shareCount": 1, "isOwner": true})
        );
        assert_eq!(
            extra("2", "soc", both()).0,
            json!({"shareCount": 1, "isOwner": false})
        );
        assert_eq!(extra("2", "cert", json!(["total"])), (json!({}), true));
        assert_eq!(extra("2", "cert", Value::Null), (json!({}), false));
    }
}

#[test]
fn an_organisation_sees_its_own() {
    for mut world in both() {
        let unknown = if world.version == Version::Four {
            404
        } else {
            401
        };
        let ours = world.add_case(1, "ours", &Value::Null);
        let theirs = world.add_case(2, "theirs", &Value::Null);
        world.give(&theirs, "soc");
        let observable =
            world.add_observable(&ours, &json!({"dataType": "ip", "data": "192.0.2.1"}));
        let fake = Fake::start(world);
        let status =
            |organisation: &str, path: &str| send(&fake, "GET", path, organisation, &Value::Null).0;
        for (organisation, seen) in [("cert", [200, 404]), ("soc", [404, 200])] {
            let found =
                [&ours, &theirs].map(|id| status(organisation, &format!("/api/v1/case/{id}")));
            assert_eq!(found, seen);
            let (cases, _) = query(&fake, organisation, json!([op("listCase")]));
            assert_eq!(cases.as_array().map(Vec::len), Some(1));
        }
        assert_eq!(status("stranger", "/api/v1/case/1"), unknown);
        let first = json!({"_name": "getObservable", "idOrName": observable});
        for operations in [
            json!([get("1"), op("observables")]),
            json!([op("listObservable")]),
            json!([first]),
        ] {
            assert_eq!(
                query(&fake, "cert", operations.clone()).0[0]["data"],
                "192.0.2.1"
            );
            assert_eq!(query(&fake, "soc", operations).0, json!([]));
        }
        let path = format!("/api/v1/observable/{observable}");
        assert_eq!(
            send(&fake, "PATCH", &path, "soc", &json!({"ioc": true})).0,
            404
        );
    }
}

/// An alert to be made.
fn alert(source_ref: &str, more: Value) -> Value {
    let mut alert = json!({"type": "misp", "source": "m", "sourceRef": source_ref, "title": "t", "description": "d"});
    alert
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    alert
}

/// A call as the organisation `cert`: status and body.
fn act(fake: &Fake, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (status, _, body) = send(fake, method, path, "cert", body);
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[test]
fn an_alert_is_its_organisations() {
    for world in both() {
        let path = if world.version == Version::Four {
            "/api/alert"
        } else {
            "/api/v1/alert"
        };
        let fake = Fake::start(world);
        let make =
            |organisation: &str| send(&fake, "POST", path, organisation, &alert("1", json!({}))).0;
        assert_eq!([make("soc"), make("soc"), make("cert")], [201, 400, 201]);
        let id = fake.world().alerts[0]["_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let path = format!("/api/v1/alert/{id}");
        for (method, body) in [
            ("GET", Value::Null),
            ("PATCH", json!({"title": "new"})),
            ("DELETE", Value::Null),
        ] {
            assert_eq!(send(&fake, method, &path, "cert", &body).0, 404, "{method}");
        }
        assert_eq!(
            send(
                &fake,
                "PATCH",
                "/api/v1/alert/misp;m;1",
                "cert",
                &json!({"title": "new"})
            )
            .0,
            204
        );
        assert_eq!(
            query(&fake, "soc", json!([op("listAlert")])).0[0]["title"],
            "t"
        );
        assert_eq!(
            query(&fake, "cert", json!([op("listAlert")])).0[0]["title"],
            "new"
        );
    }
}

#[test]
fn queries_go_from_a_case_to_its_alerts_and_back_from_an_observable() {
    for mut world in both() {
        let case = world.add_case(1, "linked", &Value::Null);
        let seen = json!({"dataType": "ip", "data": "192.0.2.1", "ioc": true, "sighted": true});
        let observable = world.add_observable(&case, &seen);
        world.add_observable(&case, &json!({"dataType": "ip", "data": "192.0.2.2"}));
        world
            .alerts
            .push(json!({"_id": "~9", "_type": "Alert", "title": "t", "caseId": case}));
        let five = world.version == Version::Five;
        let fake = Fake::start(world);
        let ask = |operations: Value| query(&fake, "cert", operations).0;
        assert_eq!(ask(json!([get("1"), op("alerts")]))[0]["_id"], "~9");
        assert_eq!(ask(json!([get("1"), op("alerts"), op("count")])), 1);
        let back = json!([{"_name": "getObservable", "idOrName": observable}, op("case")]);
        assert_eq!(ask(back)[0]["title"], "linked");
        let ioc = json!({"_name": "filter", "_is": {"_field": "ioc", "_value": true}});
        assert_eq!(
            ask(json!([get("1"), op("observables"), ioc, op("count")])),
            1
        );
        let found = ask(json!([get("1"), op("observables")]));
        assert_eq!(
            (&found[0]["sighted"], &found[1]["sighted"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (found[0]["sightedAt"].is_i64(), found[1].get("sightedAt")),
            (five, None)
        );
    }
}

#[test]
fn pages_can_lack_what_is_counted() {
    for mut world in both() {
        let case = world.add_case(1, "short", &Value::Null);
        for n in 0..5 {
            world.add_observable(
                &case,
                &json!({"dataType": "ip", "data": format!("192.0.2.{n}")}),
            );
        }
        world.hide_from_pages = 2;
        let fake = Fake::start(world);
        let (found, head) = query(
            &fake,
            "cert",
            json!([get("1"), op("observables"), page(json!(["total"]))]),
        );
        assert_eq!(
            (found.as_array().map(Vec::len), head.contains("x-total: 5")),
            (Some(3), true)
        );
        assert_eq!(
            query(
                &fake,
                "cert",
                json!([get("1"), op("observables"), op("count")])
            )
            .0,
            5
        );
        assert_eq!(
            query(&fake, "cert", json!([get("1"), page(Value::Null)]))
                .0
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}

#[test]
fn v1_of_four_makes_alerts_in_the_users_own_organisation_and_without_observables() {
    let fake = Fake::start(World::four());
    let observables = json!([{"dataType": "ip", "data": "192.0.2.1"}]);
    let make = |more: Value| send(&fake, "POST", "/api/v1/alert", "soc", &alert("1", more)).0;
    assert_eq!(
        make(json!({"observables": observables})),
        400,
        "it has no date"
    );
    let status = make(json!({"observables": observables, "date": 5}));
    let world = fake.world();
    assert_eq!(
        (status, world.alerts.len(), world.observables.len()),
        (201, 1, 0)
    );
    assert!(world.shows("cert", &world.alerts[0]) && !world.shows("soc", &world.alerts[0]));
}

#[test]
fn a_refused_part_takes_the_alert_with_it() {
    let pattern = |id: &str| json!([{"patternId": id, "occurDate": 5}]);
    let refused = json!([{"dataType": "ip", "data": ["192.0.2.1", "bad"]}]);
    for mut world in both() {
        world.refuses = vec!["bad".to_owned()];
        let (path, observables, five) = match world.version {
            Version::Four => ("/api/alert", "artifacts", false),
            Version::Five => ("/api/v1/alert", "observables", true),
        };
        let fake = Fake::start(world);
        let make = |more: Value| act(&fake, "POST", path, &alert("1", more)).0;
        assert_eq!(make(json!({observables: refused.clone()})), 400);
        let held = || {
            let world = fake.world();
            world.alerts.len() + world.observables.len() + world.procedures.len()
        };
        assert_eq!(held(), 0);
        // What TheHive 4 does not know, it passes over.
        let odd = json!({"caseTemplate": "nonsense", "procedures": pattern("T1")});
        assert_eq!(make(odd), if five { 404 } else { 201 });
        assert_eq!(
            make(json!({"procedures": pattern("T1")})),
            if five { 404 } else { 400 }
        );
        if five {
            assert_eq!(held(), 0);
            assert_eq!(
                make(json!({"procedures": pattern("T1566"), "caseTemplate": "phishing"})),
                201
            );
            let found = query(&fake, "cert", json!([op("listAlert"), op("procedures")])).0;
            assert_eq!(
                (&found[0]["patternId"], found.as_array().map(Vec::len)),
                (&json!("T1566"), Some(1))
            );
            assert_eq!(fake.world().alerts[0]["caseTemplate"], "phishing");
        }
    }
}

#[test]
fn values_are_added_each_by_itself_to_alerts_and_cases() {
    for mut world in both() {
        world.refuses = vec!["bad".to_owned()];
        let case = world.add_case(7, "phishing", &Value::Null);
        let theirs = world.add_case(8, "theirs", &Value::Null);
        world.give(&theirs, "soc");
        let five = world.version == Version::Five;
        let fake = Fake::start(world);
        let add = |case: &str, data: Value| {
            act(
                &fake,
                "POST",
                &format!("/api/v1/case/{case}/observable"),
                &json!({"dataType": "domain", "data": data}),
            )
        };
        let (status, added) = add(&case, json!(["A.example", "b.example"]));
        let stored = if five { "a.example" } else { "A.example" };
        assert_eq!(
            (status, &added[0]["data"], &added[1]["data"]),
            (201, &json!(stored), &json!("b.example"))
        );
        let (status, part) = add(&case, json!(["c.example", "A.example"]));
        assert_eq!(
            (status, &part["success"][0]["data"]),
            (207, &json!("c.example"))
        );
        assert_eq!(part["failure"][0]["message"], "Observable already exists");
        let (status, part) = add(&case, json!(["d.example", "bad"]));
        assert_eq!(
            (status, part["failure"][0]["type"].as_str()),
            if five {
                (400, None)
            } else {
                (207, Some("BadRequest"))
            }
        );
        assert_eq!(add(&theirs, json!("a.example")).0, 403);
        assert_eq!(fake.world().observables.len(), if five { 3 } else { 4 });
        let types = query(&fake, "cert", json!([op("listObservableType")])).0;
        let domain = types
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["name"] == "domain")
            .expect("a type");
        assert_eq!(domain["isCaseSensitive"].as_bool(), five.then_some(false));
    }
}

#[test]
fn five_adds_and_removes_tags_and_knows_stages() {
    for mut world in both() {
        let five = world.version == Version::Five;
        let fields = json!({"dataType": "ip", "data": "192.0.2.1", "tags": ["a", "b"]});
        world
            .alerts
            .push(json!({"_id": "~9", "_type": "Alert", "tags": ["a", "b"], "status": "New"}));
        let observable = world.add_observable("~9", &fields);
        let fake = Fake::start(world);
        let tags = json!({"addTags": ["b", "c"], "removeTags": ["a"]});
        let wanted = if five {
            json!(["b", "c"])
        } else {
            json!(["a", "b"])
        };
        for path in [
            "/api/v1/alert/~9".to_owned(),
            format!("/api/v1/observable/{observable}"),
        ] {
            assert_eq!(act(&fake, "PATCH", &path, &tags).0, 204);
        }
        assert_eq!(fake.world().alerts[0]["tags"], wanted);
        assert_eq!(fake.world().observables[0].record["tags"], wanted);
        let patch = |change: Value| act(&fake, "PATCH", "/api/v1/alert/~9", &change).0;
        assert_eq!(
            patch(json!({"follow": false, "read": true, "status": "Ignored"})),
            204
        );
        let stored = fake.world().alerts[0].clone();
        assert_eq!(stored["follow"], false);
        let of_one = (stored["read"].as_bool(), stored["stage"].as_str());
        assert_eq!(
            of_one,
            if five {
                (None, Some("Closed"))
            } else {
                (Some(true), None)
            }
        );
        assert_eq!(
            patch(json!({"status": "nonsense"})),
            if five { 404 } else { 204 }
        );
    }
}
