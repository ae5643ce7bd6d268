//! What the library writes to TheHive, and what it reads to know what to write, call by call: alerts, observables and
//! files. What it reads of cases is in `asking.rs`.

mod refusals;

use std::time::Duration;

use cortex_misp::config::TimeLimits;
use cortex_misp::http::{FormFile, HttpContext};
use cortex_misp::report::RunReport;
use cortex_misp::sample;
use cortex_misp::secret::Secret;
use cortex_misp::thehive::wire::Observable;
use cortex_misp::thehive::{
    ALERTS_PAGE, Alert, FileUpload, Holder, NewAlert, ObservableBatch, Procedure, TheHive,
    WriteError,
};
use cortex_misp::time::Clock;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::http_fake::{Fault, Logged, Nth, What};
use crate::thehive::{Fake, KEY, Version, World};

fn open_as(fake: &Fake, key: &str, organisation: Option<&str>) -> TheHive {
    let limits = TimeLimits {
        deadline_minutes: 1,
        connect_timeout: 5,
        read_timeout: 5,
    };
    let clock = Clock::start_with_limit(Some(Duration::from_secs(60))).without_waiting();
    let network = HttpContext::new(
        limits.timeouts(),
        &Map::new(),
        None,
        clock,
        RunReport::default().http_context(),
    );
    let url = Url::parse(&format!("{}/", fake.url())).unwrap();
    TheHive::open(
        &url,
        &Secret::new(key),
        organisation,
        &network,
        &RunReport::default(),
    )
    .unwrap()
}

fn open(fake: &Fake) -> TheHive {
    open_as(fake, KEY, None)
}

fn both() -> [Fake; 2] {
    [Fake::start(World::four()), Fake::start(World::five())]
}

fn is_five(fake: &Fake) -> bool {
    fake.world().version == Version::Five
}

/// The requests but for those that ask for the version.
fn asked(fake: &Fake) -> Vec<Logged> {
    fake.requests()
        .into_iter()
        .filter(|request| !request.path.contains("status"))
        .collect()
}

fn fields(change: Value) -> Map<String, Value> {
    serde_json::from_value(change).unwrap()
}

fn event(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn group(data_type: &str, data: &[&str]) -> ObservableBatch {
    let data = data.iter().map(ToString::to_string).collect();
    ObservableBatch {
        data_type: data_type.to_owned(),
        data,
        tlp: 1,
        tags: vec!["a".to_owned()],
        message: String::new(),
        ioc: true,
        pap: 2,
        ignore_similarity: false,
    }
}

fn new_alert(source: &str, source_ref: &str, observables: Vec<ObservableBatch>) -> NewAlert {
    NewAlert {
        source: source.to_owned(),
        source_ref: source_ref.to_owned(),
        title: "#7 phishing".to_owned(),
        description: "from a MISP".to_owned(),
        external_link: Some("https://misp.example.org/events/view/7".to_owned()),
        severity: 3,
        date: 1_795_000_000_000,
        tlp: 2,
        pap: 1,
        tags: vec!["src:CERT".to_owned()],
        case_template: Some("phishing".to_owned()),
        procedures: vec![Procedure {
            pattern: "T1566".to_owned(),
            date: 1_795_000_000_001,
        }],
        observables,
    }
}

/// An alert without observables.
fn made(thehive: &TheHive) -> String {
    thehive
        .create_alert(&new_alert("m", &event(1).to_string(), Vec::new()))
        .unwrap()
        .id
}

/// Puts an alert into the world, created and changed at these times.
fn put(world: &mut World, source: &str, source_ref: &str, created: i64, updated: Option<i64>) {
    let id = world.next_id();
    let mut alert = json!({"_id": id, "_type": "Alert", "_createdAt": created, "type": "misp", "source": source,
        "sourceRef": source_ref, "title": source_ref});
    if let Some(updated) = updated {
        alert["_updatedAt"] = updated.into();
    }
    world.alerts.push(alert);
}

#[test]
fn an_alert_is_made_with_all_that_it_has() {
    for fake in both() {
        let five = is_five(&fake);
        let mut noted = group("domain", &["a.example", "b.example"]);
        noted.message = "a note".to_owned();
        let wanted = new_alert(
            "m",
            &event(1).to_string(),
            vec![noted, group("ip", &["192.0.2.1"])],
        );
        let alert = open_as(&fake, KEY, Some("soc"))
            .create_alert(&wanted)
            .unwrap();
        assert_eq!(
            (alert.observable_count, alert.title.as_str(), alert.follow),
            (Some(3), "#7 phishing", Some(true))
        );
        assert_eq!((alert.case.as_str(), alert.status.as_str()), ("", "New"));
        let world = fake.world();
        assert!(world.owns("soc", &alert.id));
        let stored = &world.alerts[0];
        let sent = json!({"type": "misp", "source": "m", "sourceRef": event(1).to_string(), "title": "#7 phishing",
            "description": "from a MISP", "externalLink": "https://misp.example.org/events/view/7", "severity": 3,
            "date": 1_795_000_000_000_i64, "tlp": 2, "pap": 1, "tags": ["src:CERT"], "caseTemplate": "phishing"});
        for (name, value) in sent.as_object().unwrap() {
            assert_eq!(&stored[name], value, "{name}");
        }
        let observables: Vec<Value> = world.observables_of(&alert.id).cloned().collect();
        let data: Vec<&Value> = observables.iter().map(|one| &one["data"]).collect();
        assert_eq!(data, ["a.example", "b.example", "192.0.2.1"]);
        assert_eq!(
            (&observables[0]["message"], observables[2].get("message")),
            (&json!("a note"), None)
        );
        for (name, value) in [
            ("tlp", json!(1)),
            ("tags", json!(["a"])),
            ("ioc", json!(true)),
        ] {
            assert_eq!(observables[0][name], value);
        }
        let procedures: Vec<&Value> = world
            .procedures
            .iter()
            .map(|(_, one)| &one["patternId"])
            .collect();
        assert_eq!(procedures, if five { vec!["T1566"] } else { Vec::new() });
        drop(world);
        assert_eq!(asked(&fake).len(), 1);
    }
}

#[test]
fn alerts_are_found_by_their_events_in_one_query() {
    for mut world in [World::four(), World::five()] {
        for (source, source_ref) in [
            ("m", event(1)),
            ("m", event(2)),
            ("m", event(4)),
            ("other", event(3)),
        ] {
            put(&mut world, source, &source_ref.to_string(), 5, None);
        }
        put(&mut world, "m", "1311", 5, None);
        world.alerts[1]["type"] = "external".into();
        world.alerts[0]["caseId"] = "~8".into();
        let fake = Fake::start(world);
        let thehive = open(&fake);
        let events: Vec<Uuid> = [1, 2, 3].into_iter().chain(5..502).map(event).collect();
        fake.fault(Fault {
            on: "query",
            nth: Nth::Only(1),
            what: What::Status(503, String::new(), "text/html"),
        });
        let found = thehive.fetch_alerts_of_events("m", &events).unwrap().0;
        let names: Vec<&str> = found
            .iter()
            .map(|alert| alert.source_ref.as_str())
            .collect();
        assert_eq!(
            (names, found[0].case.as_str()),
            (vec![event(1).to_string().as_str()], "~8")
        );
        assert_eq!(asked(&fake).len(), 2);
        let one = |number| {
            thehive
                .fetch_alerts_of_event("m", &event(number))
                .unwrap()
                .pop()
                .map(|alert| alert.source_ref)
        };
        assert_eq!((one(4), one(3)), (Some(event(4).to_string()), None));
        fake.forget_requests();
        assert_eq!(thehive.fetch_alerts_of_events("m", &[]).unwrap().0, []);
        assert!(asked(&fake).is_empty());
    }
}

#[test]
fn alerts_come_in_pages_the_oldest_first() {
    for mut world in [World::four(), World::five()] {
        for number in (0..ALERTS_PAGE as i64 + 2).rev() {
            put(
                &mut world,
                "m",
                &format!("{number:04}"),
                1_000 + number / 2,
                (number == 0).then_some(9_000),
            );
        }
        put(&mut world, "other", "x", 5_000, None);
        let fake = Fake::start(world);
        let thehive = open(&fake);
        let read = |since, left_out: &[Uuid]| {
            let mut pages: Vec<Vec<Alert>> = Vec::new();
            thehive
                .for_each_page_of_alerts_since("m", since, left_out, &mut |alerts| {
                    let alerts = alerts.into_iter().map(|alert| alert.into_option().unwrap());
                    pages.push(alerts.collect());
                    Ok(())
                })
                .unwrap();
            pages
        };
        let pages = read(0, &[]);
        assert_eq!(
            pages.iter().map(Vec::len).collect::<Vec<_>>(),
            [ALERTS_PAGE, 2]
        );
        let mut names: Vec<String> = pages
            .concat()
            .into_iter()
            .map(|alert| alert.source_ref)
            .collect();
        assert_eq!(
            (&names[..2].contains(&"0000".to_owned()), &names[501][..2]),
            (&true, "05")
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALERTS_PAGE + 2);
        // Created since then, or changed since then.
        let since: Vec<String> = read(1_249, &[])
            .concat()
            .into_iter()
            .map(|alert| alert.source_ref)
            .collect();
        assert_eq!((since.len(), since[0].as_str()), (5, "0000"));
    }
}

#[test]
fn alerts_of_known_events_are_not_listed() {
    for mut world in [World::four(), World::five()] {
        for number in 1..=3 {
            put(&mut world, "m", &event(number).to_string(), 5, None);
        }
        put(&mut world, "m", "1311", 6, None);
        let fake = Fake::start(world);
        let thehive = open(&fake);
        for since in [0, 5] {
            let mut listed = Vec::new();
            thehive
                .for_each_page_of_alerts_since("m", since, &[event(1), event(3)], &mut |alerts| {
                    let alerts = alerts.into_iter().filter_map(|alert| alert.into_option());
                    listed.extend(alerts.map(|alert| alert.source_ref));
                    Ok(())
                })
                .unwrap();
            assert_eq!(listed, [event(2).to_string(), "1311".to_owned()], "{since}");
        }
    }
}

#[test]
fn a_list_that_is_not_whole_is_none() {
    for mut world in [World::four(), World::five()] {
        put(&mut world, "m", &event(1).to_string(), 5, None);
        let fake = Fake::start(world);
        let thehive = open(&fake);
        let found = || {
            thehive
                .fetch_alerts_of_events("m", &[event(1)])
                .map(|found| found.0.len())
                .map_err(|error| format!("{error:#}"))
        };
        fake.fault(Fault {
            on: "query",
            nth: Nth::Only(1),
            what: What::CutAfter(20),
        });
        assert_eq!(found(), Ok(1));
        // One for the event, and 500 for twins.
        let many = format!("[{}]", vec!["{}"; 502].join(","));
        for (body, says) in [
            ("[7]", "a number"),
            (many.as_str(), "more than the 501"),
            ("{\"a\":1}", "reading"),
            ("[{}", "EOF"),
        ] {
            fake.heal();
            fake.fault(Fault {
                on: "query",
                nth: Nth::Always,
                what: What::Body(body.to_owned()),
            });
            let error = found().unwrap_err();
            assert!(error.contains(says), "{body}: {error}");
        }
    }
}

#[test]
fn alerts_that_were_not_asked_for_are_left_out() {
    for fake in both() {
        let body = json!([{"sourceRef": "1311"}, {"sourceRef": event(1).to_string()}, {"sourceRef": event(3).to_string()}]);
        fake.fault(Fault {
            on: "query",
            nth: Nth::Always,
            what: What::Body(body.to_string()),
        });
        let found = open(&fake)
            .fetch_alerts_of_events("m", &[event(1), event(2), event(4)])
            .unwrap();
        assert_eq!(
            found
                .0
                .iter()
                .map(|alert| alert.source_ref.clone())
                .collect::<Vec<_>>(),
            [event(1).to_string()]
        );
    }
}

#[test]
fn the_login_and_the_types_are_asked_for_once() {
    for fake in both() {
        let five = is_five(&fake);
        fake.world()
            .observable_types
            .push(("jarm".to_owned(), false));
        fake.world()
            .observable_types
            .push(("sample".to_owned(), true));
        let thehive = open(&fake);
        for _ in 0..2 {
            assert_eq!(thehive.login().unwrap(), "analyst@example.org");
            let types = thehive.observable_types().unwrap();
            assert!(
                types.data_types.has("jarm")
                    && types.data_types.has("file")
                    && !types.data_types.has("sample")
            );
            let stored = if five { "a.example" } else { "A.example" };
            assert_eq!(types.is_case_sensitive("domain"), !five);
            assert_eq!(
                types.identity_key("domain", "A.example"),
                ("domain".to_owned(), stored.to_owned())
            );
            assert_eq!(
                types.identity_key("other", "A"),
                ("other".to_owned(), "A".to_owned())
            );
        }
        assert_eq!(asked(&fake).len(), 2);
        for body in ["[]", "[{}]", "null", "[7]"] {
            fake.heal();
            fake.fault(Fault {
                on: "query",
                nth: Nth::Always,
                what: What::Body(body.to_owned()),
            });
            assert!(open(&fake).observable_types().is_err(), "{body}");
        }
        fake.fault(Fault {
            on: "current",
            nth: Nth::Always,
            what: What::Body("{\"login\":\"\"}".to_owned()),
        });
        assert!(open(&fake).login().is_err());
    }
}

#[test]
fn values_are_asked_for_within_the_limits() {
    for fake in both() {
        let five = is_five(&fake);
        let thehive = open(&fake);
        let alert = made(&thehive);
        let long = "x".repeat(100);
        let data: Vec<String> = (0..2_500)
            .map(|number| format!("{number}.{long}.example"))
            .collect();
        for value in [&data[0], &data[2_499]] {
            for kind in ["domain", "other"] {
                fake.world()
                    .add_observable(&alert, &json!({"dataType": kind, "data": value}));
            }
        }
        fake.world()
            .add_observable(&alert, &json!({"dataType": "ip", "data": "192.0.2.1"}));
        fake.forget_requests();
        let asked_for: Vec<&str> = data.iter().map(String::as_str).collect();
        let found = thehive
            .fetch_observables_by_value(&alert, &asked_for)
            .unwrap();
        assert_eq!(
            found.iter().filter(|one| one.data == data[2_499]).count(),
            2
        );
        assert_eq!(
            (
                found.len(),
                found[0].created_by.as_str(),
                found[0].updated_by.as_str()
            ),
            (4, "analyst@example.org", "")
        );
        let limit = thehive.body_limit().unwrap();
        assert_eq!(limit, if five { 8_000_000 } else { 200_000 });
        let asked = asked(&fake);
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|request| request.raw.len() <= limit));
        let values = |request: &Logged| {
            request.body["query"][2]["_in"]["_values"]
                .as_array()
                .map_or(0, Vec::len)
        };
        assert!(asked.iter().all(|request| values(request) < 2_000));
        assert_eq!(asked.iter().map(values).sum::<usize>(), 2_500);
        assert_eq!(thehive.fetch_observables_by_value(&alert, &[]).unwrap(), []);
    }
}

#[test]
fn all_observables_of_an_alert_are_handed_over() {
    for fake in both() {
        let thehive = open(&fake);
        let alert = made(&thehive);
        for number in 0..2_000 {
            fake.world().add_observable(
                &alert,
                &json!({"dataType": "other", "data": number.to_string()}),
            );
        }
        fake.forget_requests();
        let mut seen = Vec::new();
        let mut on = |one: Observable| {
            seen.push(one.data);
            Ok(())
        };
        fake.fault(Fault {
            on: "query",
            nth: Nth::Only(2),
            what: What::CutAfter(5_000),
        });
        thehive.for_each_observable(&alert, &mut on).unwrap();
        assert_eq!(
            seen,
            (0..2_000)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
        );
        assert_eq!(asked(&fake).len(), 4);
        let mut stop = |_: Observable| Err(anyhow::anyhow!("enough"));
        assert_eq!(
            thehive
                .for_each_observable(&alert, &mut stop)
                .unwrap_err()
                .to_string(),
            "enough"
        );
        let page: Vec<Value> = (0..1_000)
            .map(|number| json!({"_id": format!("~{number}")}))
            .collect();
        fake.fault(Fault {
            on: "query",
            nth: Nth::Always,
            what: What::Body(Value::from(page).to_string()),
        });
        let error = thehive
            .for_each_observable(&alert, &mut |_| Ok(()))
            .unwrap_err();
        assert!(error.to_string().contains("same page"), "{error}");
    }
}

#[test]
fn observables_are_added_each_by_itself() {
    for mut world in [World::four(), World::five()] {
        let case = world.add_case(7, "phishing", &Value::Null);
        let fake = Fake::start(world);
        let five = is_five(&fake);
        let thehive = open(&fake);
        let alert = made(&thehive);
        let there = |data: &[&str]| data.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (first, second) = (
            group("ip", &["192.0.2.1"]),
            group("ip", &["192.0.2.2", "192.0.2.1"]),
        );
        for to_case in [false, true] {
            let add = |group: &ObservableBatch| match to_case {
                true => thehive
                    .add_observables(Holder::Case(&case), group, None)
                    .unwrap(),
                false => thehive
                    .add_observables(Holder::Alert(&alert), group, None)
                    .unwrap(),
            };
            let added = add(&first);
            assert_eq!(
                (added.there, added.refused),
                (there(&["192.0.2.1"]), Vec::new())
            );
            let added = add(&second);
            assert_eq!(added.there, there(&["192.0.2.2"]));
            assert_eq!(added.refused[0].0, "192.0.2.1");
            assert!(
                added.refused[0].1.is_duplicate(),
                "{:?}",
                added.refused[0].1
            );
            let stored = if five { "a.example" } else { "A.example" };
            assert_eq!(
                add(&group("domain", &["A.example", " "])).there,
                there(&[stored])
            );
        }
        let world = fake.world();
        assert_eq!(world.observables_of(&case).count(), 3);
        assert_eq!(world.alerts[0]["observableCount"], 3);
        drop(world);
        thehive
            .change_alert(&alert, &json!({"title": "new", "follow": false}))
            .unwrap();
        let stored = &fake.world().alerts[0];
        assert_eq!(
            (&stored["title"], &stored["follow"]),
            (&json!("new"), &json!(false))
        );
    }
}

#[test]
fn a_file_is_added_as_it_is_or_out_of_a_zip() {
    const CONTENT: &[u8] = b"MZ\x90\r\n--cortex-misp-\0";
    for fake in both() {
        let thehive = open(&fake);
        let alert = made(&thehive);
        let file = |name: &str, content: &[u8]| FormFile {
            part: "attachment".to_owned(),
            name: name.to_owned(),
            content_type: "application/octet-stream".to_owned(),
            content: content.to_vec(),
        };
        let mut files = group("file", &[]);
        files.message = "a sample".to_owned();
        let added = thehive
            .add_observables(
                Holder::Alert(&alert),
                &files,
                Some(FileUpload {
                    file: &file("ev\"il\r\n.exe", CONTENT),
                    zip_password: None,
                }),
            )
            .unwrap();
        assert_eq!(added.there, ["file:ev_il__.exe"]);
        let again = thehive
            .add_observables(
                Holder::Alert(&alert),
                &files,
                Some(FileUpload {
                    file: &file("b.exe", CONTENT),
                    zip_password: None,
                }),
            )
            .unwrap();
        assert_eq!(
            (again.there.len(), again.refused[0].0.as_str()),
            (0, "file:b.exe")
        );
        let zip = sample::pack("c.exe", &"0".repeat(32), b"content").unwrap();
        let zipped = |password| {
            thehive.add_observables(
                Holder::Alert(&alert),
                &files,
                Some(FileUpload {
                    file: &file("c.zip", &zip),
                    zip_password: Some(password),
                }),
            )
        };
        assert!(matches!(
            WriteError::from_http_error(zipped("wrong").unwrap_err()),
            WriteError::Unclear(_)
        ));
        let added = zipped(sample::PASSWORD).unwrap();
        let world = fake.world();
        let stored: Vec<&Value> = world.observables_of(&alert).collect();
        assert_eq!(
            (added.there.len(), stored.len()),
            (stored.len() - 1, world.attachments.len())
        );
        let (sha256, unzipped) = (sample::sha256(CONTENT), sample::sha256(b"content"));
        let sha1 = sha1_smol::Sha1::from(CONTENT).digest().to_string();
        assert_eq!(
            stored[0]["attachment"]["hashes"],
            json!([sha256, sha1, crate::desk::md5(CONTENT)])
        );
        assert_eq!(
            (world.attachments[&sha256].as_slice(), &stored[0]["message"]),
            (CONTENT, &json!("a sample"))
        );
        assert!(
            stored
                .iter()
                .any(|one| one["attachment"]["id"] == unzipped.as_str()),
            "{stored:?}"
        );
        assert!(stored[0].get("data").is_none());
    }
}

#[test]
fn observables_are_changed_and_deleted() {
    for fake in both() {
        let thehive = open(&fake);
        let alert = made(&thehive);
        thehive
            .add_observables(
                Holder::Alert(&alert),
                &group("ip", &["192.0.2.1", "192.0.2.2"]),
                None,
            )
            .unwrap();
        let ids: Vec<String> = thehive
            .fetch_observables_by_value(&alert, &["192.0.2.1", "192.0.2.2"])
            .unwrap()
            .into_iter()
            .map(|one| one.id)
            .collect();
        thehive
            .change_observables(&[&ids[0]], &fields(json!({"tags": ["b"], "tlp": 3})))
            .unwrap();
        thehive.delete_observable(&ids[1]).unwrap();
        let left = thehive
            .fetch_observables_by_value(&alert, &["192.0.2.1", "192.0.2.2"])
            .unwrap();
        assert_eq!(
            (left.len(), left[0].tlp, left[0].tags.as_slice()),
            (1, Some(3), ["b".to_owned()].as_slice())
        );
        assert_eq!(left[0].updated_by, "analyst@example.org");
    }
}

#[test]
fn an_alert_has_a_page_on_five_and_a_list_on_four() {
    for fake in both() {
        let page = if is_five(&fake) {
            "alerts/~8/details"
        } else {
            "index.html#!/alert/list"
        };
        assert_eq!(
            open(&fake).alert_link("~8"),
            format!("{}/{page}", fake.url())
        );
    }
}
