//! What people did to an alert survives every later import.

use serde_json::{Value, json};

use super::desk::{Desk, PERSON};
use crate::program::{counts, full};
use crate::thehive::Version;

const SKIPPED: &str = "updates are switched off in TheHive (follow)";

/// Everything about the event 1 changes: title, level, tags, a new IOC, a changed comment, a deleted attribute.
fn shake(desk: &Desk, round: usize) {
    let tag = desk.tag(&format!("round:{round}"));
    desk.change("1", |event| {
        event.info = format!("Round {round}");
        event.threat_level = 1 + (round as u64 % 2);
        event.tags.push(tag);
    });
    desk.add("1", "domain", &format!("round-{round}.example"), |one| {
        one.to_ids = true
    });
    desk.alter("1", "Text 1", |one| one.comment = format!("Round {round}"));
}

fn is_five(desk: &Desk) -> bool {
    desk.thehive.world().version == Version::Five
}

fn description(desk: &Desk) -> String {
    desk.alert("1")["description"].as_str().unwrap().to_owned()
}

#[test]
fn fields_that_a_person_edited_stay() {
    for desk in Desk::imported(2, &json!({})) {
        let edited = [
            ("title", json!("Ours")),
            ("severity", json!(4)),
            ("tlp", json!(0)),
            ("pap", json!(3)),
            ("date", json!(7)),
        ];
        for (field, value) in &edited {
            desk.edit("1", field, value.clone());
        }
        desk.edit("1", "tags", json!(["src:ORGNAME", "ours"]));
        for round in 1..=3 {
            shake(&desk, round);
            desk.import();
            let alert = desk.alert("1");
            for (field, value) in &edited {
                assert_eq!(&alert[field], value, "{field}");
            }
            assert!(desk.has_tag("1", "ours") && desk.has_tag("1", &format!("round:{round}")));
            assert!(
                desk.observable(&alert, &format!("round-{round}.example"))
                    .is_some()
            );
            desk.rests();
        }
    }
}

#[test]
fn a_description_that_a_person_edited_stays_around_the_line() {
    let edits: [fn(&str) -> String; 4] = [
        |text| format!("Note above\n\n{text}\n\nNote below"),
        |text| format!("{text}\nNote right below"),
        |text| {
            let (before, line) = text.split_once("[cortex-misp]").unwrap();
            format!("[cortex-misp]{line}\r\n\r\n{before}and more")
        },
        |text| {
            format!(
                "Nothing of what was there\n{}",
                text.lines().last().unwrap()
            )
        },
    ];
    for edit in edits {
        for desk in Desk::imported(1, &json!({})) {
            let text = edit(&description(&desk));
            let without = |text: &str| {
                let lines: Vec<_> = text
                    .lines()
                    .filter(|line| !line.starts_with("[cortex-misp]"))
                    .collect();
                lines.join("\n")
            };
            desk.edit("1", "description", json!(text));
            for round in 1..=2 {
                shake(&desk, round);
                let before = desk.line("1");
                desk.import();
                assert_eq!(without(&description(&desk)), without(&text));
                assert_ne!(desk.line("1"), before);
                desk.rests();
            }
            let place = |text: &str| {
                text.lines()
                    .position(|line| line.starts_with("[cortex-misp]"))
            };
            assert_eq!(place(&description(&desk)), place(&text));
        }
    }
}

#[test]
fn a_line_that_was_only_moved_leaves_the_text_ours() {
    for desk in Desk::imported(1, &json!({})) {
        let text = description(&desk);
        let (before, line) = text.split_once("[cortex-misp]").unwrap();
        desk.edit(
            "1",
            "description",
            json!(format!(
                "[cortex-misp] {}\n\n{}",
                line.trim(),
                before.trim()
            )),
        );
        desk.change("1", |event| event.analysis = 2);
        desk.import();
        assert!(description(&desk).contains("Analysis: completed"));
        desk.rests();
    }
}

#[test]
fn without_the_line_fields_stay_and_observables_go_on() {
    for desk in Desk::imported(1, &json!({})) {
        desk.edit("1", "title", json!("Ours"));
        desk.edit("1", "description", json!("All new"));
        shake(&desk, 1);
        desk.import();
        let alert = desk.alert("1");
        assert_eq!(
            (&alert["title"], &alert["severity"]),
            (&json!("Ours"), &json!(1))
        );
        assert!(description(&desk).starts_with("All new\n\n[cortex-misp] event="));
        assert!(desk.line("1").unwrap().contains("complete=yes"));
        assert!(desk.observable(&alert, "round-1.example").is_some());
        desk.rests();
        shake(&desk, 2);
        desk.import();
        assert_eq!(desk.alert("1")["title"], "Ours");
        assert!(description(&desk).starts_with("All new\n\n[cortex-misp] event="));
        desk.rests();
        // Without a change in MISP the line comes back too, since nothing else tells what the alert was made from.
        desk.edit("1", "description", json!(""));
        desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"]);
        assert!(description(&desk).starts_with("[cortex-misp] event="));
        desk.rests();
    }
}

#[test]
fn observables_that_a_person_touched_are_left_wholly_alone() {
    for desk in Desk::imported(1, &json!({})) {
        desk.touch("1", "host-1.example", "ioc", json!(false));
        desk.touch("1", "192.0.2.1", "sighted", json!(true));
        desk.touch("1", "Text 1", "tags", json!(["ours"]));
        desk.own("1", "Our own");
        let all = ["host-1.example", "192.0.2.1", "Text 1", "Our own"];
        let look = || all.map(|data| desk.observable(&desk.alert("1"), data).unwrap());
        let before = look();
        let tag = desk.tag("late");
        shake(&desk, 1);
        desk.alter("1", "192.0.2.1", |one| {
            (one.comment, one.tags) = ("More".into(), vec![tag])
        });
        let report = desk.import();
        assert_eq!(look(), before);
        let says = "left as somebody edited it in TheHive, though the event says otherwise: 3 observables \
                    (host-1.example, 192.0.2.1, Text 1)";
        assert!(report.to_string().contains(says), "{report:#}");
        // What MISP has no more stays as well.
        desk.change("1", |event| {
            event
                .attributes
                .iter_mut()
                .for_each(|one| one.deleted = true)
        });
        let report = desk.import();
        assert_eq!(look(), before);
        let says = "3 observables left in the alert, though the event has no such thing any more, since somebody edited or \
                    sighted it in TheHive: ";
        let told = report.to_string();
        assert!(
            told.contains(says) && !told.contains("Our own"),
            "{report:#}"
        );
        assert_eq!(desk.data("1").len(), 4);
        desk.rests();
    }
}

#[test]
fn an_observable_that_a_person_deleted_comes_back_with_the_next_change() {
    for desk in Desk::imported(1, &json!({})) {
        desk.drop("1", "192.0.2.1");
        desk.rests();
        assert_eq!(desk.data("1").len(), 2);
        desk.add("1", "domain", "late.example", |_| ());
        let told = |report: &Value, put: &str| {
            let says = format!(
                "1 observable {put} into the alert again, which the event had before: somebody deleted them in TheHive, or a \
                 filter kept them out then: 192.0.2.1"
            );
            assert!(report.to_string().contains(&says), "{report:#}");
        };
        let mut job = desk.job();
        job["parameters"]["dry_run"] = json!(true);
        told(&desk.run(&job), "would be put");
        told(&desk.import(), "put");
        assert_eq!(
            desk.data("1"),
            ["192.0.2.1", "Text 1", "host-1.example", "late.example"]
        );
        desk.rests();
    }
}

#[test]
fn a_value_that_a_person_added_first_is_not_added_again() {
    for desk in Desk::imported(1, &json!({})) {
        desk.own("1", "Late text");
        desk.add("1", "text", "Late text", |one| one.comment = "Ours".into());
        let report = desk.import();
        assert_eq!(desk.verbs(), ["PATCH alert"], "{report:#}");
        let one = desk.observable(&desk.alert("1"), "Late text").unwrap();
        assert_eq!(
            (&one["_createdBy"], one.get("message")),
            (&json!(PERSON), None)
        );
        assert_eq!(desk.data("1").len(), 4);
    }
}

#[test]
fn an_alert_that_nobody_follows_is_untouched() {
    for desk in Desk::imported(2, &json!({"mark_withdrawn": true})) {
        desk.edit("1", "follow", json!(false));
        let before = (desk.alert("1"), desk.observables(&desk.alert("1")));
        shake(&desk, 1);
        let report = desk.import();
        desk.wrote_nothing();
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({SKIPPED: 1})
        );
        assert_eq!(
            (desk.alert("1"), desk.observables(&desk.alert("1"))),
            before
        );
        let gone = desk.misp.world().events.remove(0);
        desk.import();
        desk.wrote_nothing();
        desk.misp.world().events.push(gone);
        // Who follows again gets all of it.
        desk.edit("1", "follow", json!(true));
        desk.import();
        assert_eq!(desk.alert("1")["title"], "#1 Round 1");
        desk.rests();
    }
}

/// Imports the alert of the event 1 into a case, as TheHive does; the `_id` of the case.
fn into_case(desk: &Desk) -> String {
    let case = desk.thehive.world().add_case(1, "Case", &json!({}));
    desk.edit("1", "caseId", json!(case));
    if is_five(desk) {
        desk.edit("1", "status", json!("Imported"));
        desk.edit("1", "stage", json!("Imported"));
    } else {
        desk.edit("1", "read", json!(true));
    }
    case
}

fn in_case(desk: &Desk, case: &str) -> Vec<Value> {
    desk.thehive
        .world()
        .observables_of(case)
        .map(|one| one["data"].clone())
        .collect()
}

#[test]
fn an_alert_in_a_case_gets_what_is_new_and_the_case_only_on_request() {
    for updates in [false, true] {
        for desk in Desk::imported(1, &json!({"update_cases": updates})) {
            let case = into_case(&desk);
            let number = desk.thehive.world().cases[0].clone();
            shake(&desk, 1);
            let report = desk.import();
            assert_eq!(desk.data("1").len(), 4, "{report:#}");
            let wanted = if updates {
                vec![json!("round-1.example")]
            } else {
                Vec::new()
            };
            assert_eq!(in_case(&desk, &case), wanted);
            assert_eq!(desk.thehive.world().cases[0], number);
            let alert = desk.alert("1");
            assert!(desk.has_tag("1", "misp:updated"));
            if is_five(&desk) {
                assert_eq!(
                    (&alert["status"], &alert["stage"]),
                    (&json!("Imported"), &json!("Imported"))
                );
            } else {
                assert_eq!(alert["read"], false);
            }
            desk.rests();
        }
    }
}

#[test]
fn only_a_new_ioc_makes_an_alert_in_a_case_unread() {
    for desk in Desk::imported(1, &json!({})) {
        into_case(&desk);
        desk.change("1", |event| event.info = "Renamed".into());
        desk.add("1", "text", "More", |_| ());
        desk.import();
        let read = desk.alert("1")["read"].clone();
        assert_eq!(
            read,
            if is_five(&desk) {
                Value::Null
            } else {
                json!(true)
            }
        );
        assert!(!desk.has_tag("1", "misp:updated"));
    }
}

#[test]
fn an_ignored_alert_stays_so_unless_it_is_to_be_reopened() {
    for reopens in [false, true] {
        for desk in Desk::imported(1, &json!({"reopen": reopens})) {
            if is_five(&desk) {
                desk.edit("1", "status", json!("Ignored"));
                desk.edit("1", "stage", json!("Closed"));
            } else {
                desk.edit("1", "read", json!(true));
            }
            let is_open = || {
                let alert = desk.alert("1");
                if is_five(&desk) {
                    alert["stage"] == "New"
                } else {
                    alert["read"] == false
                }
            };
            desk.change("1", |event| event.info = "Renamed".into());
            desk.import();
            assert!(!is_open());
            desk.add("1", "domain", "new.example", |one| one.to_ids = true);
            desk.import();
            assert_eq!(is_open(), reopens);
            assert!(desk.has_tag("1", "misp:updated"));
            desk.rests();
        }
    }
}

#[test]
fn what_a_person_is_working_on_keeps_its_status() {
    for desk in Desk::imported(1, &json!({"reopen": true})) {
        if !is_five(&desk) {
            continue;
        }
        desk.edit("1", "status", json!("InProgress"));
        desk.edit("1", "stage", json!("InProgress"));
        desk.edit("1", "assignee", json!(PERSON));
        shake(&desk, 1);
        let report = desk.import();
        assert_eq!(counts(full(&report), "events")["updated"], 1);
        let alert = desk.alert("1");
        assert_eq!(
            (&alert["status"], &alert["assignee"]),
            (&json!("InProgress"), &json!(PERSON))
        );
    }
}
