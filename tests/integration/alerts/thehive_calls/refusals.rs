//! Writes to TheHive that go wrong: what each means, and that none is repeated.

use super::*;
use crate::thehive::READER_KEY;
use cortex_misp::http::HttpError;

fn meant<T: std::fmt::Debug>(result: Result<T, HttpError>) -> &'static str {
    match WriteError::from_http_error(result.unwrap_err()) {
        WriteError::Content(_) => "content",
        WriteError::Duplicate(_) => "duplicate",
        WriteError::Gone(_) => "gone",
        WriteError::Denied(_) => "denied",
        WriteError::Unclear(_) => "unclear",
    }
}

#[test]
fn an_alert_that_is_refused_is_not_there() {
    for mut world in [World::four(), World::five()] {
        world.refuses = vec!["bad".to_owned()];
        let fake = Fake::start(world);
        let five = is_five(&fake);
        let thehive = open(&fake);
        let alert = |observables| new_alert("m", &event(1).to_string(), observables);
        assert_eq!(
            meant(thehive.create_alert(&alert(vec![
                group("ip", &["192.0.2.1"]),
                group("other", &["bad"])
            ]))),
            "content"
        );
        assert_eq!(
            meant(thehive.create_alert(&alert(vec![group("jarm", &["x"])]))),
            "content"
        );
        let large = "x".repeat(3_000);
        let many: Vec<&str> = vec![&large; if five { 3_600 } else { 100 }];
        assert_eq!(
            meant(thehive.create_alert(&alert(vec![group("other", &many)]))),
            "content"
        );
        let mut odd = alert(Vec::new());
        odd.case_template = Some("nonsense".to_owned());
        odd.procedures.push(Procedure {
            pattern: "T9999".to_owned(),
            date: 1,
        });
        if five {
            assert_eq!(meant(thehive.create_alert(&odd)), "content");
            odd.case_template = None;
            assert_eq!(meant(thehive.create_alert(&odd)), "content");
            odd.procedures.pop();
        }
        {
            let world = fake.world();
            assert_eq!(
                (
                    world.alerts.len(),
                    world.observables.len(),
                    world.procedures.len()
                ),
                (0, 0, 0)
            );
        }
        thehive.create_alert(&odd).unwrap();
        assert_eq!(meant(thehive.create_alert(&odd)), "duplicate");
        assert_eq!(fake.world().alerts.len(), 1);
    }
}

#[test]
fn an_observable_that_is_refused_is_told_by_its_value_or_refuses_its_group() {
    for mut world in [World::four(), World::five()] {
        world.refuses = vec!["bad".to_owned()];
        let fake = Fake::start(world);
        let five = is_five(&fake);
        let thehive = open(&fake);
        let alert = made(&thehive);
        let result = thehive.add_observables(
            Holder::Alert(&alert),
            &group("other", &["good", "bad"]),
            None,
        );
        if five {
            assert_eq!(meant(result), "content");
        } else {
            let added = result.unwrap();
            assert_eq!(
                (added.there, added.refused[0].0.as_str()),
                (vec!["good".to_owned()], "bad")
            );
            assert!(!added.refused[0].1.is_duplicate() && added.refused[0].1.is_final());
        }
        assert_eq!(
            meant(thehive.add_observables(Holder::Alert(&alert), &group("jarm", &["x"]), None)),
            "content"
        );
        assert_eq!(fake.world().observables.len(), usize::from(!five));
    }
}

#[test]
fn what_is_gone_and_what_is_denied() {
    for fake in both() {
        let five = is_five(&fake);
        let thehive = open(&fake);
        let alert = made(&thehive);
        thehive
            .add_observables(Holder::Alert(&alert), &group("ip", &["192.0.2.1"]), None)
            .unwrap();
        let observable = thehive
            .fetch_observables_by_value(&alert, &["192.0.2.1"])
            .unwrap()[0]
            .id
            .clone();
        let change = json!({"tags": ["new"]});
        assert_eq!(meant(thehive.change_alert("~999", &change)), "gone");
        assert_eq!(
            meant(thehive.change_observables(&["~999"], &fields(change.clone()))),
            "gone"
        );
        assert_eq!(meant(thehive.delete_observable("~999")), "gone");
        assert_eq!(
            meant(thehive.add_observables(
                Holder::Alert("~999"),
                &group("ip", &["192.0.2.2"]),
                None
            )),
            "denied"
        );
        assert_eq!(
            meant(thehive.add_observables(
                Holder::Case("~999"),
                &group("ip", &["192.0.2.2"]),
                None
            )),
            "denied"
        );
        let reader = open_as(&fake, READER_KEY, None);
        let stranger = open_as(&fake, KEY, Some("nobody"));
        for denied in [reader, stranger] {
            assert_eq!(
                meant(denied.create_alert(&new_alert("m", "2", Vec::new()))),
                "denied"
            );
            assert_eq!(meant(denied.change_alert(&alert, &change)), "denied");
            assert_eq!(
                meant(denied.add_observables(
                    Holder::Alert(&alert),
                    &group("ip", &["192.0.2.2"]),
                    None
                )),
                "denied"
            );
            if five {
                assert_eq!(
                    meant(denied.change_observables(&[&observable], &fields(change.clone()))),
                    "denied"
                );
                assert_eq!(meant(denied.delete_observable(&observable)), "denied");
            } else {
                // TheHive 4 does the one without the permission, and of the other says that there is none.
                denied
                    .change_observables(&[&observable], &fields(change.clone()))
                    .unwrap();
                assert_eq!(meant(denied.delete_observable(&observable)), "gone");
            }
        }
        let world = fake.world();
        assert_eq!(
            (
                world.alerts.len(),
                &world.alerts[0]["tags"],
                &world.observables[0].record["tags"]
            ),
            (
                1,
                &json!(["src:CERT"]),
                &json!([if five { "a" } else { "new" }])
            )
        );
    }
}

#[test]
fn techniques_are_added_to_alerts_of_five() {
    for fake in both() {
        let five = is_five(&fake);
        let thehive = open(&fake);
        let alert = made(&thehive);
        fake.forget_requests();
        let add = |pattern: &str, alert: &str| {
            thehive.add_procedure(
                alert,
                &Procedure {
                    pattern: pattern.to_owned(),
                    date: 1_795_000_000_000,
                },
            )
        };
        if !five {
            assert!(
                add("T1566", &alert)
                    .unwrap_err()
                    .to_string()
                    .contains("have no procedures")
            );
            assert!(asked(&fake).is_empty());
            continue;
        }
        add("T1059.001", &alert).unwrap();
        assert_eq!(meant(add("T9999", &alert)), "content");
        assert_eq!(meant(add("T1566", "~999")), "gone");
        let world = fake.world();
        let stored: Vec<(&str, &Value)> = world
            .procedures
            .iter()
            .map(|(of, one)| (of.as_str(), &one["patternId"]))
            .collect();
        assert_eq!(
            stored,
            [
                (alert.as_str(), &json!("T1566")),
                (alert.as_str(), &json!("T1059.001"))
            ]
        );
    }
}

#[test]
fn a_write_is_never_repeated() {
    let status = |status| What::Status(status, "later".to_owned(), "text/html");
    for what in [
        status(429),
        status(500),
        status(502),
        status(503),
        What::CutAfter(0),
        What::CutAfter(10),
        What::Redirect("https://login.example.org/".to_owned()),
        What::Body("[7".to_owned()),
        What::Body("7".to_owned()),
        What::Status(200, "<html>".to_owned(), "text/html"),
    ] {
        for fake in both() {
            let thehive = open(&fake);
            let alert = made(&thehive);
            let new = new_alert(
                "m",
                &event(2).to_string(),
                vec![group("ip", &["192.0.2.1"])],
            );
            fake.forget_requests();
            fake.fault(Fault {
                on: "alert",
                nth: Nth::Always,
                what: what.clone(),
            });
            assert_eq!(meant(thehive.create_alert(&new)), "unclear", "{what:?}");
            assert_eq!(
                meant(thehive.add_observables(
                    Holder::Alert(&alert),
                    &group("ip", &["192.0.2.2"]),
                    None
                )),
                "unclear",
                "{what:?}"
            );
            assert_eq!(asked(&fake).len(), 2, "{what:?}");
        }
    }
}

#[test]
fn an_alert_without_an_id_is_not_taken_for_made() {
    for fake in both() {
        let thehive = open(&fake);
        for body in ["{}", "{\"_id\":\"../case\"}", "[]"] {
            fake.heal();
            thehive.is_five().unwrap();
            fake.fault(Fault {
                on: "alert",
                nth: Nth::Always,
                what: What::Body(body.to_owned()),
            });
            assert_eq!(
                meant(thehive.create_alert(&new_alert("m", "1", Vec::new()))),
                "unclear",
                "{body}"
            );
        }
    }
}

#[test]
fn nothing_is_sent_to_the_path_of_what_is_no_id() {
    for fake in both() {
        let thehive = open(&fake);
        thehive.is_five().unwrap();
        let change = json!({"tags": ["new"]});
        for id in ["", "../case/~8", "~8?x=", "misp;m;1", "~8/x", "%2e"] {
            let (ip, procedure) = (
                group("ip", &["192.0.2.1"]),
                Procedure {
                    pattern: "T1566".to_owned(),
                    date: 1,
                },
            );
            let results = [
                thehive.change_alert(id, &change),
                thehive.change_observables(&[id], &fields(change.clone())),
                thehive.delete_observable(id),
                thehive
                    .add_observables(Holder::Alert(id), &ip, None)
                    .map(drop),
                thehive
                    .add_observables(Holder::Case(id), &ip, None)
                    .map(drop),
                thehive.add_procedure(id, &procedure),
            ];
            assert!(results.iter().all(Result::is_err), "{id}");
            assert!(
                thehive
                    .fetch_observables_by_value(id, &["192.0.2.1"])
                    .is_err()
                    && thehive.for_each_observable(id, &mut |_| Ok(())).is_err()
            );
        }
        assert!(asked(&fake).is_empty());
    }
}
