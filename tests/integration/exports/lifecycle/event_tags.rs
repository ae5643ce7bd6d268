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
    desk.case = desk.thehive.world().add_case(
        43,
        "Secret",
        &json!({"tags": tags, "tlp": 2, "pap": 2, "severity": 2}),
    );
    desk.add(&domain("secret.example"));
    (desk, released)
}

fn released(desk: &Desk, uuid: &str) -> Event {
    desk.misp
        .world()
        .events
        .iter()
        .find(|event| event.uuid == uuid)
        .unwrap()
        .clone()
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
        assert!(
            !is_write || !format!("{} {body}", request.path).contains(&before.uuid),
            "{} {body}",
            request.path
        );
    }
    assert_eq!(
        counts(full(report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    let message = message(report);
    for said in [
        tag,
        "nothing shows that this is an event of the case",
        "can have set it",
        "confirm_event",
    ] {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert!(
        !report.to_string().contains("Phishing wave"),
        "its title is for those who may see its case: {message}"
    );
    let world = desk.misp.world();
    let own = world
        .events
        .iter()
        .find(|event| event.uuid != before.uuid)
        .unwrap();
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
    assert!(
        message(&report).contains("it has no check value"),
        "{}",
        message(&report)
    );
}

#[test]
fn a_tag_with_a_made_up_check_value_leads_nowhere() {
    for end in [
        "~1:0123456789abcdef",
        "~8:0123456789abcdef",
        "~1:",
        ":",
        "~1:0123456789abcdef:x",
    ] {
        let (desk, before) = released_and_second(|desk| {
            vec![format!(
                "misp:event=\"misp-corp:{}:{end}\"",
                desk.event().uuid
            )]
        });
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
    assert!(
        message(&report).contains("which is still there"),
        "{}",
        message(&report)
    );
}

/// That a case is not to be seen does not prove that it was merged: it may be deleted, or another organisation's.
#[test]
fn a_tag_of_a_case_that_is_deleted_or_of_another_organisation_leads_nowhere() {
    let (desk, before) =
        released_and_second(|desk| vec![desk.event_tag("misp-corp", &desk.event().uuid)]);
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
    assert!(
        message(&report).contains("its key and this organisation"),
        "{}",
        message(&report)
    );
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
    assert!(
        !message(&report).contains("nothing shows"),
        "{}",
        message(&report)
    );
}

#[test]
fn a_tag_of_another_connection_or_key_leads_nowhere() {
    let (desk, before) = released_and_second(|desk| {
        vec![
            desk.event_tag("misp-corp", &desk.event().uuid)
                .replace("misp-corp", "elsewhere"),
        ]
    });
    desk.export();
    assert_eq!(changes(&before, &released(&desk, &before.uuid)), [""; 0]);
    let (desk, before) =
        released_and_second(|desk| vec![desk.event_tag("misp-corp", &desk.event().uuid)]);
    desk.thehive.world().cases.remove(0);
    let mut job = desk.job();
    job["config"]["key"] = json!([key("partner")]);
    let report = desk.run(&job);
    is_left_alone(&desk, &before, &report, &before.uuid);
    assert!(
        message(&report).contains("not one of this installation, its key"),
        "{}",
        message(&report)
    );
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
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("unchanged", 2)])
    );
    assert!(
        !message(&report).contains("confirm_event"),
        "{}",
        message(&report)
    );
}

/// Titles that have words in common are no merge, and one short title is none either.
#[test]
fn a_copied_tag_of_a_deleted_case_needs_its_whole_title() {
    for title in [
        "Phishing / Secret",
        "Phishing wave at ACME / Secret",
        "wave / Secret",
        "Phishing wave",
    ] {
        let (desk, before) =
            released_and_second(|desk| vec![desk.event_tag("misp-corp", &desk.event().uuid)]);
        desk.thehive.world().cases.remove(0);
        desk.entitle(title);
        let report = desk.export();
        assert_eq!(
            changes(&before, &released(&desk, &before.uuid)),
            [""; 0],
            "{title}"
        );
        assert!(
            message(&report).contains("or too short to show that"),
            "{}",
            message(&report)
        );
    }
    let mut desk = Desk::four();
    desk.entitle("Phishing");
    desk.add_domains(1);
    desk.export();
    let (before, tags) = (
        desk.event(),
        [desk.event_tag("misp-corp", &desk.event().uuid)],
    );
    let fields = json!({"tags": tags, "tlp": 2, "pap": 2, "severity": 2});
    desk.case = desk
        .thehive
        .world()
        .add_case(43, "Phishing / Contoso", &fields);
    desk.thehive.world().cases.remove(0);
    desk.add(&domain("secret.example"));
    desk.export();
    assert_eq!(changes(&before, &released(&desk, &before.uuid)), [""; 0]);
}

/// A case whose tag without a check value names the first case's event, and the job that confirms it.
fn confirming() -> (Desk, Event, Value) {
    let (desk, before) =
        released_and_second(|desk| vec![format!("misp:event=\"misp-corp:{}\"", desk.event().uuid)]);
    let mut job = desk.job();
    job["parameters"]["confirm_event"] = json!(before.uuid);
    (desk, before, job)
}

/// Each of the two cases has its own IOCs in the event, and takes back only those.
#[test]
fn an_event_that_the_job_confirms_is_followed_and_neither_case_retracts_the_others_iocs() {
    let (mut desk, before, mut job) = confirming();
    let report = desk.run(&job);
    assert_eq!(desk.misp.world().events.len(), 1);
    assert_eq!(
        changes(&before, &desk.event()),
        ["+ secret.example", "event: published"]
    );
    assert!(
        full(&report)["ledger"]["retractions"].is_null(),
        "{report:#}"
    );
    for theirs in ["Phishing wave", "host-0.example"] {
        assert!(!report.to_string().contains(theirs), "{report:#}");
    }
    let tag = report["operations"][0]["tag"].as_str().unwrap().to_owned();
    let shape = format!("misp:event=\"misp-corp:{}:{}.", before.uuid, desk.case);
    assert!(tag.starts_with(&shape) && tag.contains(".guest:"), "{tag}");
    job["parameters"]["confirm_event"] = json!("1337");
    let refused = run(&job);
    assert!(
        refused["errorMessage"]
            .as_str()
            .unwrap()
            .contains("\"confirm_event\" is no uuid"),
        "{refused}"
    );

    desk.thehive.world().cases[1]["tags"] = json!([tag]);
    let (first, second) = (
        desk.thehive.world().cases[0]["_id"]
            .as_str()
            .unwrap()
            .to_owned(),
        desk.case.clone(),
    );
    for case in [&second, &first, &second] {
        desk.case.clone_from(case);
        let report = desk.export();
        desk.wrote_nothing();
        assert!(
            full(&report)["ledger"]["retractions"].is_null(),
            "{report:#}"
        );
    }
    desk.flag(2, false);
    let both = desk.event();
    desk.export();
    assert_eq!(
        changes(&both, &desk.event()),
        ["secret.example: comment, to_ids"]
    );
    desk.case = first;
    desk.flag(0, false);
    let both = desk.event();
    desk.export();
    assert_eq!(
        changes(&both, &desk.event()),
        ["host-0.example: comment, to_ids"]
    );
}

#[test]
fn what_the_job_confirms_is_refused_with_the_reason_where_it_cannot_be_the_cases() {
    type Spoil = fn(&Desk);
    let spoils: [(Spoil, &str); 5] = [
        (
            |desk| desk.thehive.world().cases[1]["tags"] = json!([]),
            "no tag misp:event of the case names it",
        ),
        (
            |desk| {
                let tag = format!(
                    "misp:event=\"another:{}\"",
                    desk.misp.world().events[0].uuid
                );
                desk.thehive.world().cases[1]["tags"] = json!([tag]);
            },
            "no tag misp:event of the case names it on this connection",
        ),
        (
            |desk| desk.misp.world().events[0].locked = true,
            "managed on another MISP",
        ),
        (
            |desk| desk.misp.world().events[0].org = 3,
            "another organisation's",
        ),
        (
            |desk| {
                let (uuid, case) = (
                    desk.misp.world().events[0].uuid.clone(),
                    desk.thehive.world().cases[0]["_id"].clone(),
                );
                let tag = format!(
                    "misp:event=\"misp-corp:{uuid}:{}:0123456789abcdef\"",
                    case.as_str().unwrap()
                );
                desk.thehive.world().cases[1]["tags"] = json!([tag]);
            },
            "which is still there",
        ),
    ];
    for (spoil, why) in spoils {
        let (desk, _, job) = confirming();
        spoil(&desk);
        let before = desk.misp.world().events[0].clone();
        let report = desk.run(&job);
        assert_eq!(
            changes(&before, &released(&desk, &before.uuid)),
            [""; 0],
            "{why}"
        );
        assert!(
            message(&report).contains("\"confirm_event\"") && message(&report).contains(why),
            "{}",
            message(&report)
        );
        assert!(!report.to_string().contains("Phishing wave"), "{report:#}");
    }
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
        let asked = desk
            .misp
            .requests()
            .into_iter()
            .map(|request| (request.path, request.body));
        let mut asked: Vec<_> = asked
            .filter(|(path, _)| !path.contains("events/restSearch"))
            .collect();
        // Some are made at the same time.
        asked.sort_by(|(one, _), (other, _)| one.cmp(other));
        asked
    };
    let plain = requests(&[]);
    for tags in [
        &[
            "misp:event=\"misp-corp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2\"",
            "misp:withdrawn",
            "misp:updated",
        ][..],
        &["MISP:EVENT=\"misp-corp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2:~1:0123456789abcdef\""],
        &[
            "misp:type=\"ip-src\"",
            "misp:category=\"Other\"",
            "misp:object=\"file:1a2b3c4d\"",
            "src:CERT-EU",
        ],
        &[
            "misp:to=\"misp-corp\"",
            "misp:composite=\"ip-dst|port:1a2b3c4d:443\"",
        ],
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
        let text = text
            .replace("@HERE@", folder.path().to_str().unwrap())
            .replace("@UUID_OF_A@", uuid);
        serde_json::from_str(&text).unwrap()
    };
    let first = Program::Export.report(&job("job-offline-a.json", ""));
    let uuid = full(&first)["connections"][0]["events"][0]["uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = folder.path().join(format!("ourfeed/{uuid}.json"));
    let before = fs::read_to_string(&file).unwrap();
    let second = Program::Export.report(&job("job-offline-b.json", &uuid));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert!(before.contains("a.example") && !before.contains("b-secret.example"));
    let own = full(&second)["connections"][0]["events"][0]["uuid"]
        .as_str()
        .unwrap();
    assert_ne!(own, uuid);
    assert_eq!(
        counts(full(&second), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    let message = message(&second);
    assert!(
        message.contains(&uuid)
            && message.contains("nothing shows that this is an event of the case"),
        "{message}"
    );
}

/// In a feed's folder lie other organisations' files too.
#[test]
fn a_feeds_event_that_somebody_else_made_is_not_written_whoever_confirms_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ourfeed")).unwrap();
    let job = |name: &str, uuid: &str| -> Value {
        let text = fs::read_to_string(format!("fixtures/faults/16-steering-tags/{name}")).unwrap();
        let text = text
            .replace("@HERE@", folder.path().to_str().unwrap())
            .replace("@UUID_OF_A@", uuid);
        serde_json::from_str(&text).unwrap()
    };
    let first = Program::Export.report(&job("job-offline-a.json", ""));
    let uuid = full(&first)["connections"][0]["events"][0]["uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = folder.path().join(format!("ourfeed/{uuid}.json"));
    let mut event: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    event["Event"]["Orgc"] =
        json!({"name": "CIRCL", "uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f"});
    fs::write(&file, event.to_string()).unwrap();
    let mut second = job("job-offline-b.json", &uuid);
    second["parameters"]["confirm_event"] = json!(uuid);
    let report = Program::Export.report(&second);
    assert!(
        message(&report).contains("it is another organisation's"),
        "{}",
        message(&report)
    );
    // Nor is it the case's own whose uuid it has.
    let again = Program::Export.report(&job("job-offline-a.json", ""));
    assert!(
        full(&again)["connections"][0]["warnings"]
            .to_string()
            .contains("it is left alone"),
        "{again:#}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), event.to_string());
}
