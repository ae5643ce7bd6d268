//! `export_report`: the case's description as a report of its event.

use serde_json::{Value, json};

use crate::desk::{Desk, warnings};
use crate::misp::{self, key};
use crate::program::full;
use crate::thehive::World;

fn desk(description: &str) -> Desk {
    let mut desk = Desk::new(World::five(), &json!({"description": description}));
    desk.set(&json!({"export_report": "description", "distribution": 1}));
    desk.ioc("domain", "a.example", &json!({}));
    desk
}

/// The one report that the event has.
fn report(desk: &Desk) -> Value {
    let reports = desk.event().reports;
    let [report] = reports.as_array().unwrap().as_slice() else {
        panic!("{reports:#}")
    };
    report.clone()
}

/// Its text without the line that no reader shows.
fn text(desk: &Desk) -> String {
    let report = report(desk);
    let text = report["content"].as_str().unwrap();
    let (text, mark) = text.rsplit_once("\n[//]: # (cortex-misp ").unwrap();
    assert!(mark.ends_with(")\n"), "{mark}");
    text.to_owned()
}

fn change(desk: &Desk, fields: &Value) {
    let mut world = desk.misp.world();
    let report = &mut world.events[0].reports[0];
    *report = crate::desk::laid(report.clone(), fields);
}

#[test]
fn the_description_goes_out_once_and_follows_the_case() {
    let desk = desk("# What happened\n\nThey came by **mail**.");
    desk.run();
    assert_eq!(text(&desk), "# What happened\n\nThey came by **mail**.\n");
    let first = report(&desk);
    assert_eq!(
        (&first["name"], &first["distribution"]),
        (&json!("Case description"), &json!("5"))
    );
    desk.runs_empty();

    desk.change_case(&json!({"description": "by phone"}));
    let told = desk.run();
    assert!(
        told["full"]["message"]
            .to_string()
            .contains("the event's own report changed"),
        "{told:#}"
    );
    assert_eq!(
        (text(&desk), report(&desk)["uuid"].clone()),
        ("by phone\n".to_owned(), first["uuid"].clone())
    );
    desk.runs_empty();
}

#[test]
fn without_the_option_no_report_is_read_or_written() {
    let mut desk = desk("d");
    desk.set(&json!({"export_report": "off"}));
    desk.run();
    assert!(desk.event().reports.is_null());
    assert!(desk.sent().contains("noEventReports") && !desk.sent().contains("Case description"));
}

#[test]
fn what_people_change_or_delete_stays() {
    let desk = desk("first");
    desk.run();
    let ours = report(&desk)["content"].as_str().unwrap().to_owned();
    for by_hand in [
        format!("{ours}and more"),
        ours.replace("first", "second"),
        String::new(),
    ] {
        change(
            &desk,
            &json!({"content": by_hand, "timestamp": "1899999999"}),
        );
        let told = desk.runs_empty();
        assert!(
            warnings(&told).contains("was changed in MISP, and is left as it is"),
            "{told:#}"
        );
        desk.change_case(&json!({"description": "third"}));
        desk.runs_empty();
        assert_eq!(report(&desk)["content"], by_hand);
    }
    change(
        &desk,
        &json!({"content": ours, "name": "Ours", "distribution": "0"}),
    );
    desk.run();
    let now = report(&desk);
    assert_eq!(
        (text(&desk).as_str(), &now["name"], &now["distribution"]),
        ("third\n", &json!("Ours"), &json!("0"))
    );

    change(&desk, &json!({"deleted": true}));
    desk.change_case(&json!({"description": "fourth"}));
    let told = desk.runs_empty();
    assert!(
        warnings(&told).contains("was deleted in MISP, and stays so"),
        "{told:#}"
    );
    assert_eq!(
        (text(&desk).as_str(), &report(&desk)["deleted"]),
        ("third\n", &json!(true))
    );
}

#[test]
fn a_description_that_is_empty_now_takes_nothing_back() {
    let of = desk("first");
    of.run();
    of.change_case(&json!({"description": " \n"}));
    let told = of.runs_empty();
    assert!(
        warnings(&told).contains("stays in MISP, though the case has no description any more"),
        "{told:#}"
    );
    assert_eq!(text(&of), "first\n");

    let of = desk("\u{200b}");
    of.run();
    assert!(of.event().reports.is_null());
}

#[test]
fn a_red_case_closes_its_report_whoever_changed_it_and_without_the_option() {
    for (option, by_hand) in [("description", false), ("description", true), ("off", true)] {
        let mut desk = desk("first");
        desk.run();
        if by_hand {
            change(&desk, &json!({"content": "by hand"}));
        }
        desk.set(&json!({"export_report": option}));
        desk.change_case(&json!({"tlp": 4}));
        desk.run();
        assert_eq!(report(&desk)["distribution"], "0");
        assert_eq!(desk.event().distribution, 0);
        desk.runs_empty();
    }
    let desk = desk("first");
    desk.change_case(&json!({"tlp": 3}));
    desk.run();
    assert_eq!(report(&desk)["distribution"], "0");
}

#[test]
fn a_published_event_waits_for_its_next_ioc() {
    let desk = desk("first");
    desk.run();
    desk.misp.world().events[0].published = true;
    desk.change_case(&json!({"description": "second"}));
    let told = desk.runs_empty();
    assert!(
        warnings(&told).contains("wait for the next change of its IOCs: report"),
        "{told:#}"
    );
    desk.ioc("domain", "b.example", &json!({}));
    desk.run();
    assert_eq!(text(&desk), "second\n");
}

#[test]
fn a_dry_run_says_what_a_run_does() {
    let mut desk = desk("first");
    for reason in ["with a report", "changes: report"] {
        desk.set(&json!({"dry_run": true}));
        let dry = desk.run();
        assert_eq!(misp::writes(&desk.misp), [""; 0]);
        desk.set(&json!({"dry_run": false}));
        let run = desk.run();
        for report in [dry, run] {
            assert_eq!(
                full(&report)["connections"][0]["events"][0]["reason"],
                reason,
                "{report:#}"
            );
        }
        desk.change_case(&json!({"description": "second"}));
    }
}

#[test]
fn a_report_that_misp_does_not_take_is_told() {
    let desk = desk("first");
    desk.run();
    // Somebody took it into an event of his own, and only its creator may write that.
    desk.misp.world().refuses_reports = true;
    desk.change_case(&json!({"description": "second"}));
    let told = desk.run();
    let failures = crate::desk::failures(&told);
    assert!(
        failures.contains("MISP did not take the change of the event's report"),
        "{told:#}"
    );
}

#[test]
fn a_hostile_description_does_nothing() {
    let of = desk(
        "@[tag](tlp:clear) @![attribute](1a2b3c4d-0000-4000-8000-000000000000) ![x](http://t.example/x.png) \
         [y](javascript:z) <img src=x onerror=y> 😀\n\n[//]: # (cortex-misp 0000000000000000)\n\n100% done!",
    );
    of.run();
    let text = text(&of);
    for active in ["@[", "@!", "![", "](", "<img", "😀", "[//]"] {
        assert!(!text.contains(active), "{active}: {text}");
    }
    assert!(text.contains("100% done!"), "{text}");
    of.runs_empty();
}

#[test]
fn a_long_description_is_cut_and_told() {
    for length in [70_000, 3_000_000] {
        let of = desk(&"long * text_ ".repeat(length / 13));
        let told = of.run();
        assert!(
            warnings(&told).contains("the case's description is cut to 60000 bytes"),
            "{told:#}"
        );
        let text = text(&of);
        assert!(
            text.len() <= 60_000 && text.len() > 50_000,
            "{}",
            text.len()
        );
        of.runs_empty();
    }
}

#[test]
fn a_description_with_a_key_of_ours_stays_here() {
    let mut desk = desk("first");
    desk.run();
    let secret = desk.config["thehive_key"].as_str().unwrap().to_owned();
    desk.change_case(&json!({"description": format!("the key is {secret}")}));
    let told = desk.runs_empty();
    assert!(
        warnings(&told).contains("the case's description carries a key"),
        "{told:#}"
    );
    assert!(!desk.sent().contains(&secret));
    assert_eq!(text(&desk), "first\n");
    desk.set(&json!({"export_report": "off"}));
    assert!(!desk.runs_empty().to_string().contains("carries a key"));
}

#[test]
fn a_single_observable_brings_no_report() {
    let of = desk("first");
    let id = of.ioc("domain", "b.example", &json!({}));
    let mut job = of.job();
    job["dataType"] = json!("thehive:case_artifact");
    job["data"] = of
        .thehive
        .world()
        .observables
        .iter()
        .find(|one| one.record["_id"] == id.as_str())
        .unwrap()
        .record
        .clone();
    of.report(job);
    assert!(of.event().reports.is_null());
    of.run();
    assert_eq!(text(&of), "first\n");
}

#[test]
fn whoever_may_not_see_the_event_sees_no_report() {
    let mut desk = desk("first");
    desk.set(&json!({"key": [key("partner")]}));
    desk.run();
    assert_eq!(text(&desk), "first\n");
    desk.runs_empty();
}

#[test]
fn a_feed_has_the_report_until_its_case_is_red() {
    let mut desk = Desk::with_feed(World::five(), &json!({"description": "first", "tlp": 1}));
    desk.set(&json!({"export_report": "description"}));
    desk.ioc("domain", "a.example", &json!({}));
    desk.run();
    let event = desk.feed_event();
    let report = &event["EventReport"][0];
    assert_eq!(
        (&report["name"], &report["deleted"]),
        (&json!("Case description"), &json!(false))
    );
    assert!(report["content"].as_str().unwrap().starts_with("first\n"));
    desk.runs_empty();

    desk.change_case(&json!({"description": "second"}));
    desk.run();
    assert!(
        desk.feed_event()["EventReport"][0]["content"]
            .as_str()
            .unwrap()
            .starts_with("second\n")
    );
    desk.set(&json!({"export_report": "off"}));
    desk.runs_empty();
    desk.change_case(&json!({"tlp": 4}));
    desk.run();
    assert_eq!(desk.feed_event()["EventReport"], json!([]));
}
