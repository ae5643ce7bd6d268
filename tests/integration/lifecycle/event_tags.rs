//! `misp:event="…"` on a case: it leads only where this installation can be shown to have exported the case, whoever set it.

use std::fs;

use serde_json::{Value, json};

use super::desk::{Desk, changes, domain, run};
use crate::misp::{Event, key};
use crate::program::{Program, counts, full, of};

/// A second case, with an IOC of its own and these tags; the first one was exported before, and a person released its event.
fn released_and_second(tags: impl Fn(&Desk) -> Vec<String>) -> (Desk, Event) {
    let mut desk = Desk::four();
    desk.add_domains(2);
    desk.export();
    {
        let mut world = desk.misp.world();
        (world.events[0].distribution, world.events[0].published) = (3, true);
    }
    let released = desk.event();
    let tags = tags(&desk);
    desk.case = desk.thehive.world().add_case(43, "Secret", &json!({"tags": tags, "tlp": 2, "pap": 2, "severity": 2}));
    desk.add(&domain("secret.example"));
    (desk, released)
}

fn released(desk: &Desk, uuid: &str) -> Event {
    desk.misp.world().events.iter().find(|event| event.uuid == uuid).unwrap().clone()
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

/// Nothing of the second case reaches the first one's event, and the headline says which tag was not followed.
fn is_left_alone(desk: &Desk, before: &Event, report: &Value, tag: &str) {
    assert_eq!(changes(before, &released(desk, &before.uuid)), [""; 0]);
    for request in desk.misp.requests() {
        let body = request.body.to_string();
        let is_write = desk.writes().contains(&request.path);
        assert!(!is_write || !format!("{} {body}", request.path).contains(&before.uuid), "{} {body}", request.path);
    }
    assert_eq!(counts(full(report), "observables"), of([("fetched", 1), ("created", 1)]));
    let message = message(report);
    for said in [
        tag,
        "\"Phishing wave\"",
        "nothing shows that this is an event of the case",
        "can have set it",
        "confirm_event",
    ] {
        assert!(message.contains(said), "{said}: {message}");
    }
    let world = desk.misp.world();
    let own = world.events.iter().find(|event| event.uuid != before.uuid).unwrap();
    assert_eq!((own.info.as_str(), own.attributes.len()), ("Secret", 1));
}

#[test]
fn a_tag_without_a_check_value_leads_nowhere() {
    let tag = |desk: &Desk| format!("misp:event=\"misp-corp:{}\"", desk.event().uuid);
    let (desk, before) = released_and_second(|desk| vec![tag(desk), "src:PartnerOrg".to_owned()]);
    let report = desk.export();
    is_left_alone(&desk, &before, &report, &before.uuid);
    let report = desk.export();
    desk.wrote_nothing();
    assert!(message(&report).contains("it has no check value"), "{}", message(&report));
}

#[test]
fn a_tag_with_a_made_up_check_value_leads_nowhere() {
    for end in ["~1:0123456789abcdef", "~8:0123456789abcdef", "~1:", ":", "~1:0123456789abcdef:x"] {
        let (desk, before) =
            released_and_second(|desk| vec![format!("misp:event=\"misp-corp:{}:{end}\"", desk.event().uuid)]);
        let report = desk.export();
        is_left_alone(&desk, &before, &report, &before.uuid);
    }
}

#[test]
fn a_tag_copied_from_a_case_that_is_still_there_leads_nowhere() {
    let copied = |desk: &Desk| vec![desk.event_tag("misp-corp", &desk.event().uuid)];
    let (desk, before) = released_and_second(copied);
    let report = desk.export();
    is_left_alone(&desk, &before, &report, &before.uuid);
    // Even if the titles look as after a merge.
    let (desk, before) = released_and_second(copied);
    desk.thehive.world().cases[1]["title"] = json!("Phishing wave / Secret");
    let report = desk.export();
    assert_eq!(changes(&before, &released(&desk, &before.uuid)), [""; 0]);
    assert!(message(&report).contains("which is still there"), "{}", message(&report));
}

/// That a case is not to be seen does not prove that it was merged: it may be deleted, or another organisation's.
#[test]
fn a_tag_of_a_case_that_is_deleted_or_of_another_organisation_leads_nowhere() {
    let (desk, before) = released_and_second(|desk| vec![desk.event_tag("misp-corp", &desk.event().uuid)]);
    desk.thehive.world().cases.remove(0);
    let report = desk.export();
    is_left_alone(&desk, &before, &report, &before.uuid);
    let of_csirt = |desk: &Desk| vec![desk.tag_of("csirt", "misp-corp", &desk.event().uuid)];
    let (desk, before) = released_and_second(of_csirt);
    {
        let mut world = desk.thehive.world();
        world.cases.remove(0);
        world.cases[0]["title"] = json!("Phishing wave / Secret");
    }
    let report = desk.export();
    assert_eq!(changes(&before, &released(&desk, &before.uuid)), [""; 0]);
    assert!(message(&report).contains("its key and this organisation"), "{}", message(&report));
}

/// A stranger who knows the event's uuid puts a tag before the true one.
#[test]
fn a_forged_tag_does_not_hide_the_true_one() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.run(&desk.job_with("instance", json!("old.example")));
    let uuid = desk.event().uuid;
    let forged = format!("misp:event=\"misp-corp:{uuid}:~0.x:0000000000000000\"");
    desk.tag(&[forged, desk.event_tag("misp-corp", &uuid)]);
    let report = desk.export();
    desk.wrote_nothing();
    assert!(!message(&report).contains("nothing shows"), "{}", message(&report));
}

#[test]
fn a_tag_of_another_connection_or_key_leads_nowhere() {
    let (desk, before) = released_and_second(|desk| {
        vec![desk.event_tag("misp-corp", &desk.event().uuid).replace("misp-corp", "elsewhere")]
    });
    desk.export();
    assert_eq!(changes(&before, &released(&desk, &before.uuid)), [""; 0]);
    let (desk, before) = released_and_second(|desk| vec![desk.event_tag("misp-corp", &desk.event().uuid)]);
    desk.thehive.world().cases.remove(0);
    let mut job = desk.job();
    job["config"]["key"] = json!([key("partner")]);
    let report = desk.run(&job);
    is_left_alone(&desk, &before, &report, &before.uuid);
    assert!(message(&report).contains("not one of this installation, its key"), "{}", message(&report));
}

/// After a change of key the case's own event follows from its uuid; of the rest somebody has to say that it is right.
#[test]
fn a_case_keeps_its_own_event_whatever_becomes_of_the_key() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.export();
    desk.tag(&[desk.event_tag("misp-corp", &desk.event().uuid)]);
    let mut job = desk.job();
    job["config"]["key"] = json!([key("partner")]);
    let report = desk.run(&job);
    desk.wrote_nothing();
    assert_eq!(counts(full(&report), "observables"), of([("fetched", 2), ("unchanged", 2)]));
    assert!(!message(&report).contains("confirm_event"), "{}", message(&report));
}

#[test]
fn an_event_that_the_job_confirms_is_followed_and_gets_a_tag_that_proves_it() {
    let (desk, before) = released_and_second(|desk| vec![format!("misp:event=\"misp-corp:{}\"", desk.event().uuid)]);
    let mut job = desk.job();
    job["parameters"]["confirm_event"] = json!(before.uuid);
    let report = desk.run(&job);
    assert_eq!(desk.misp.world().events.len(), 1);
    assert_eq!(changes(&before, &desk.event()), ["+ secret.example", "event: info, published"]);
    let rule = "the parameter confirm_event was given: from the next run on";
    assert_eq!(full(&report)["ledger"]["retractions"]["skipped_by"], json!({rule: 2}));
    let tag = desk.event_tag("misp-corp", &before.uuid);
    assert_eq!(report["operations"], json!([{"type": "AddTagToCase", "tag": tag}]));
    job["parameters"]["confirm_event"] = json!("1337");
    let report = run(&job);
    assert!(report["errorMessage"].as_str().unwrap().contains("\"confirm_event\" is no uuid"), "{report}");
}

/// Tags of an event that came in through another importer: a `misp:to` can only narrow, and none of them changes where the
/// case goes.
#[test]
fn whatever_tags_a_case_has_its_requests_are_those_of_the_case_without() {
    let requests = |tags: &[&str]| {
        let desk = Desk::five();
        desk.add_domains(2);
        desk.tag(&tags.iter().map(ToString::to_string).collect::<Vec<_>>());
        desk.export();
        let asked = desk.misp.requests().into_iter().map(|request| (request.path, request.body));
        asked.filter(|(path, _)| !path.contains("events/index")).collect::<Vec<_>>()
    };
    let plain = requests(&[]);
    for tags in [
        &["misp:event=\"misp-corp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2\"", "misp:withdrawn", "misp:updated"][..],
        &["MISP:EVENT=\"misp-corp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2:~1:0123456789abcdef\""],
        &["misp:type=\"ip-src\"", "misp:category=\"Other\"", "misp:object=\"file:1a2b3c4d\"", "src:CERT-EU"],
        &["misp:to=\"misp-corp\"", "misp:composite=\"ip-dst|port:1a2b3c4d:443\""],
    ] {
        assert_eq!(requests(tags), plain, "{tags:?}");
    }
}

/// The leak of version 1.0 as it was found, with a feed folder alone: the IOCs of case B went into the event of case A.
#[test]
fn a_partners_tag_does_not_lead_a_case_into_another_cases_event() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ourfeed")).unwrap();
    let job = |name: &str, uuid: &str| -> Value {
        let text = fs::read_to_string(format!("fixtures/faults/16-steering-tags/{name}")).unwrap();
        let text = text.replace("@HERE@", folder.path().to_str().unwrap()).replace("@UUID_OF_A@", uuid);
        serde_json::from_str(&text).unwrap()
    };
    let first = Program::Export.report(&job("job-offline-a.json", ""));
    let uuid = full(&first)["connections"][0]["events"][0]["uuid"].as_str().unwrap().to_owned();
    let file = folder.path().join(format!("ourfeed/{uuid}.json"));
    let before = fs::read_to_string(&file).unwrap();
    let second = Program::Export.report(&job("job-offline-b.json", &uuid));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert!(before.contains("a.example") && !before.contains("b-secret.example"));
    let own = full(&second)["connections"][0]["events"][0]["uuid"].as_str().unwrap();
    assert_ne!(own, uuid);
    assert_eq!(counts(full(&second), "observables"), of([("fetched", 1), ("created", 1)]));
    let message = message(&second);
    assert!(
        message.contains(&uuid) && message.contains("nothing shows that this is an event of the case"),
        "{message}"
    );
}
