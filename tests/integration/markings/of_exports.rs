//! What TLP and PAP allow: who may see an item on a server, what no feed may hold, and what never goes anywhere.

use serde_json::{Value, json};

use crate::desk::{Desk, MARK, failures, laid, warnings};
use crate::misp::writes;
use crate::program::{counts, failure, full, of};
use crate::thehive::World;

/// Both TheHives, each with the numbers of its closed levels and the tags that stand for them.
fn scales() -> [(World, Vec<(u64, &'static str)>); 2] {
    [
        (World::four(), vec![(3, "tlp:red")]),
        (World::five(), vec![(3, "tlp:amber+strict"), (4, "tlp:red")]),
    ]
}

/// The distributions of the event's attributes, by value.
fn distributions(desk: &Desk) -> Vec<(String, u64)> {
    desk.event()
        .attributes
        .into_iter()
        .map(|one| (one.value, one.distribution))
        .collect()
}

#[test]
fn closed_items_stay_in_their_organisation_whoever_sees_the_event() {
    for (world, closed) in scales() {
        let mut desk = Desk::new(world, &json!({}));
        desk.set(&json!({"distribution": 1}));
        desk.ioc("ip", "192.0.2.1", &json!({}));
        desk.file("open.txt", b"open", &json!({}));
        for (tlp, _) in &closed {
            desk.ioc(
                "domain",
                &format!("tlp-{tlp}.example"),
                &json!({"tlp": tlp}),
            );
            desk.file(
                &format!("tlp-{tlp}.txt"),
                tlp.to_string().repeat(10).as_bytes(),
                &json!({"tlp": tlp}),
            );
        }
        let report = desk.run();
        let all = 2 + 2 * closed.len() as u64;
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", all), ("created", all)])
        );
        let event = desk.event();
        assert_eq!(event.distribution, 1);
        let is_closed = |id: u64| {
            event
                .objects
                .iter()
                .any(|object| object.id == id && object.distribution == 0)
        };
        let in_objects = event
            .attributes
            .iter()
            .filter(|one| is_closed(one.object))
            .count();
        assert_eq!(in_objects, 5 * closed.len());
        for one in &event.attributes {
            let closed = one.value.starts_with("tlp-") || is_closed(one.object);
            assert_eq!(
                one.distribution,
                if closed { 0 } else { 5 },
                "{}",
                one.value
            );
        }
        for (tlp, tag) in &closed {
            assert_eq!(desk.tags(&format!("tlp-{tlp}.example")), [*tag]);
            assert_eq!(desk.tags(&format!("tlp-{tlp}.txt")), [*tag]);
        }
        assert_eq!(desk.tags("192.0.2.1"), [""; 0]);
        desk.runs_empty();
    }
}

#[test]
fn a_closed_case_makes_an_event_for_its_organisation_only() {
    for (world, closed) in scales() {
        let mut desk = Desk::new(world, &json!({"tlp": closed[0].0}));
        desk.misp
            .world()
            .sharing_groups
            .push(json!({"id": "7", "org_id": "1"}));
        desk.set(&json!({"distribution": 4, "sharing_group": 7}));
        desk.ioc("ip", "192.0.2.1", &json!({"tlp": 0}));
        let report = desk.run();
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["visible_to"],
            "your organisation only"
        );
        let event = desk.event();
        assert_eq!((event.distribution, event.sharing_group), (0, 0));
        assert_eq!(distributions(&desk), [("192.0.2.1".to_owned(), 0)]);
        assert!(
            desk.misp
                .world()
                .names(&event.tags)
                .contains(&closed[0].1.to_owned())
        );
        desk.runs_empty();
    }
}

#[test]
fn a_case_that_becomes_closed_closes_what_is_there_and_does_not_open_it_again() {
    for (world, closed) in scales() {
        let mut desk = Desk::new(world, &json!({"tlp": 1}));
        desk.set(&json!({"distribution": 3, "export_attachments": "plain"}));
        desk.ioc("ip", "192.0.2.1", &json!({"tlp": 1}));
        desk.file("notes.txt", b"notes", &json!({"tlp": 1}));
        desk.file("evil.exe", b"MZ evil", &json!({"tlp": 1}));
        desk.run();
        let held = distributions(&desk);
        assert_eq!(
            (
                held.len(),
                held.iter().all(|(_, distribution)| *distribution == 5)
            ),
            (1 + 6 + 6, true)
        );
        desk.misp.world().events[0].published = true;
        desk.change_case(&json!({"tlp": closed[0].0}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("updated", 3)]),
            "{report:#}"
        );
        assert!(warnings(&report).contains("MISP took that back"));
        let event = desk.event();
        assert_eq!((event.distribution, event.published), (0, false));
        assert_eq!(
            desk.misp.world().names(&event.tags),
            ["PAP:AMBER", closed[0].1]
        );
        assert_eq!(
            distributions(&desk)
                .iter()
                .filter(|(_, distribution)| *distribution != 0)
                .count(),
            0
        );
        desk.runs_empty();
        desk.change_case(&json!({"tlp": 1}));
        let report = desk.runs_empty();
        assert!(
            warnings(&report)
                .contains("TLP is stricter in MISP than GREEN, the case's; it is left as it is")
        );
        assert_eq!(desk.event().distribution, 0);
    }
}

#[test]
fn an_observable_is_raised_and_never_lowered() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 0}));
    desk.set(&json!({"distribution": 1}));
    let id = desk.ioc("domain", "a.example", &json!({"tlp": 0}));
    desk.run();
    assert_eq!(
        (
            desk.tags("a.example"),
            desk.attribute("a.example").distribution
        ),
        (vec![], 5)
    );
    for (tlp, tag, distribution) in [
        (1, "tlp:green", 5),
        (2, "tlp:amber", 5),
        (3, "tlp:amber+strict", 0),
        (4, "tlp:red", 0),
    ] {
        desk.change(&id, &json!({"tlp": tlp}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("updated", 1)])
        );
        assert_eq!(
            (
                desk.tags("a.example"),
                desk.attribute("a.example").distribution
            ),
            (vec![tag.to_owned()], distribution)
        );
        desk.runs_empty();
    }
    for tlp in [3, 2, 0] {
        desk.change(&id, &json!({"tlp": tlp}));
        let report = desk.runs_empty();
        assert_eq!(desk.tags("a.example"), ["tlp:red"]);
        if tlp < 3 {
            let line = full(&report)["connections"][0]["observables"][0]["reason"].to_string();
            assert!(
                line.contains("differs in MISP, left as it is: distribution"),
                "{line}"
            );
        }
    }
    assert_eq!(desk.event().distribution, 1);
}

#[test]
fn a_file_that_becomes_closed_is_closed_as_a_whole_whatever_the_option_says_by_then() {
    for (before, after) in [
        ("sample", "sample"),
        ("sample", "hashes"),
        ("plain", "plain"),
        ("plain", "hashes"),
    ] {
        let mut desk = Desk::new(World::four(), &json!({}));
        desk.set(&json!({"distribution": 1, "export_attachments": before}));
        let ids = [
            desk.file("a.txt", b"text", &json!({})),
            desk.file("b.exe", b"MZ program", &json!({})),
        ];
        desk.run();
        assert_eq!(
            desk.event()
                .attributes
                .iter()
                .filter(|one| one.data.is_some())
                .count(),
            2
        );
        desk.set(&json!({"export_attachments": after}));
        ids.iter()
            .for_each(|id| desk.change(id, &json!({"tlp": 3})));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("updated", 2)]),
            "{report:#}"
        );
        let held = distributions(&desk);
        assert_eq!(
            (
                held.len(),
                held.iter()
                    .filter(|(_, distribution)| *distribution != 0)
                    .count()
            ),
            (12, 0),
            "{held:?}"
        );
        desk.runs_empty();
    }
}

#[test]
fn two_observables_of_one_file_are_as_strict_as_the_stricter() {
    for tlps in [[2, 3], [3, 2]] {
        let mut desk = Desk::new(World::four(), &json!({}));
        desk.set(&json!({"distribution": 1, "export_attachments": "sample"}));
        for (number, tlp) in tlps.iter().enumerate() {
            desk.file(
                &format!("name-{number}.exe"),
                b"MZ program",
                &json!({"tlp": tlp}),
            );
        }
        desk.run();
        for one in desk.event().attributes {
            let is_open = one.value
                == format!(
                    "name-{}.exe",
                    tlps.iter().position(|tlp| *tlp == 2).unwrap()
                );
            assert_eq!(
                one.distribution,
                if is_open { 5 } else { 0 },
                "{tlps:?} {} {}",
                one.kind,
                one.value
            );
        }
        desk.runs_empty();
    }
}

#[test]
fn the_strictest_tlp_that_may_go_out_is_asked_of_the_case_and_of_each_observable() {
    let mut desk = Desk::new(World::five(), &json!({"tlp": 2, "pap": 2}));
    desk.ioc("domain", "amber.example", &json!({"tlp": 2}));
    desk.ioc("domain", "strict.example", &json!({"tlp": 3}));
    for (item, most, word) in [
        ("max_export_tlp", "GREEN", "TLP:AMBER"),
        ("max_export_pap", "GREEN", "PAP:AMBER"),
    ] {
        let before = desk.config.clone();
        desk.set(&json!({item: most}));
        let report = desk.run();
        let message = failure(&report);
        assert!(
            message.contains(&format!(
                "the case is {word}, and \"{item}\" is GREEN: nothing is exported"
            )),
            "{message}"
        );
        assert_eq!(writes(&desk.misp), [""; 0]);
        desk.config = before;
    }
    desk.set(&json!({"max_export_tlp": "AMBER", "max_export_pap": "AMBER"}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("skipped", 1)])
    );
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"tlp": 1})
    );
    assert!(!desk.sent().contains("strict.example"));
    desk.runs_empty();
}

#[test]
fn what_went_out_before_the_limit_forbade_it_is_closed() {
    let mut desk = Desk::new(World::four(), &json!({"tlp": 0}));
    desk.set(&json!({"distribution": 1}));
    desk.ioc("domain", "green.example", &json!({"tlp": 1}));
    desk.ioc(
        "domain",
        "amber.example",
        &json!({"tlp": 2, "message": "C2"}),
    );
    desk.file("amber.txt", b"amber", &json!({"tlp": 2}));
    desk.run();
    desk.set(&json!({"max_export_tlp": "GREEN"}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("unchanged", 1), ("skipped", 2)])
    );
    assert_eq!(
        counts(full(&report), "closings"),
        of([("fetched", 2), ("updated", 2)]),
        "{report:#}"
    );
    for one in desk.event().attributes {
        let is_open = one.value == "green.example";
        assert_eq!(
            (one.distribution, one.comment.ends_with(MARK)),
            (if is_open { 5 } else { 0 }, false)
        );
    }
    assert_eq!(
        (
            desk.attribute("amber.example").comment.as_str(),
            desk.attribute("amber.example").to_ids
        ),
        ("C2", true)
    );
    desk.runs_empty();
    desk.set(&json!({"max_export_tlp": "AMBER"}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 3), ("unchanged", 3)])
    );
    let back = desk.attribute("amber.example");
    assert_eq!(
        (back.to_ids, back.distribution, back.comment.as_str()),
        (true, 0, "C2")
    );
    desk.runs_empty();
}

/// Everything that can be told of the observables that became closed.
const SECRETS: [&str; 6] = [
    "closed.example",
    "192.0.2.66",
    "secret.exe",
    "half.example",
    "192.0.2.77",
    "linked.exe",
];

/// Six kinds of observables in a feed, which then become closed; gives the ids.
fn closing(desk: &Desk) -> Vec<String> {
    desk.ioc("domain", "open.example", &json!({}));
    let half = json!({"tags": ["misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\""]});
    let linked = json!({"tags": ["misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:5e6f7a8b-0000-4000-8000-000000000000\""]});
    desk.ioc("filename", "linked.exe", &linked);
    desk.ioc("ip", "192.0.2.77", &half);
    vec![
        desk.ioc("domain", "closed.example", &json!({})),
        desk.ioc("ip", "192.0.2.66", &json!({})),
        desk.file("secret.exe", b"MZ secret", &json!({})),
        desk.ioc("domain", "half.example", &half),
        desk.ioc("hash", &"ab".repeat(32), &linked),
    ]
}

#[test]
fn a_feed_holds_nothing_closed_and_loses_what_became_closed() {
    for (later, removed) in [
        ("sample", "unflag"),
        ("hashes", "unflag"),
        ("hashes", "keep"),
        ("plain", "delete"),
    ] {
        let mut desk = Desk::with_feed(World::four(), &json!({"tlp": 1}));
        desk.set(&json!({"export_attachments": if later == "plain" { "plain" } else { "sample" }}));
        let ids = closing(&desk);
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 8), ("created", 8)]),
            "{report:#}"
        );
        let before = desk.files();
        let text: String = before.values().cloned().collect();
        assert!(SECRETS.iter().all(|secret| text.contains(secret)), "{text}");
        desk.set(&json!({"export_attachments": later, "removed_iocs": removed}));
        ids.iter()
            .for_each(|id| desk.change(id, &json!({"tlp": 3})));
        let report = desk.run();
        assert_eq!(
            full(&report)["ledger"]["observables"]["skipped_by"],
            json!({"tlp": 5})
        );
        assert!(
            failures(&report).contains("they are taken out of the feed now"),
            "{report:#}"
        );
        for (name, text) in desk.files() {
            for secret in [
                "closed.example",
                "192.0.2.66",
                "secret.exe",
                "half.example",
                &"ab".repeat(32),
            ] {
                let hidden = crate::desk::md5(secret.as_bytes());
                assert!(
                    !text.contains(secret) && !text.contains(&hidden),
                    "{later} {removed} {name} {secret}: {text}"
                );
            }
            assert!(!text.contains("\"data\""), "{text}");
        }
        assert_eq!(desk.feed_attribute("open.example")["to_ids"], true);
        desk.runs_empty();
    }
}

#[test]
fn a_feed_refuses_a_closed_case_and_is_emptied_of_one_that_became_closed() {
    for (world, closed) in scales() {
        let desk = Desk::with_feed(world, &json!({"tlp": closed[0].0}));
        closing(&desk);
        let report = desk.run();
        assert_eq!(
            full(&report)["ledger"]["observables"]["skipped_by"],
            json!({"tlp": 8})
        );
        assert_eq!(desk.files().len(), 0);
        desk.change_case(&json!({"tlp": 1}));
        desk.run();
        assert_eq!(desk.files().len(), 3);
        desk.change_case(&json!({"tlp": closed[0].0}));
        let report = desk.run();
        assert!(
            failures(&report).contains("the title of its event can be read by everyone"),
            "{report:#}"
        );
        let event = desk.feed_event();
        let objects = event["Object"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|one| one["Attribute"].as_array().unwrap());
        assert_eq!(
            (
                event["Attribute"].as_array().unwrap().len(),
                objects.count()
            ),
            (0, 0),
            "{event:#}"
        );
        let again = desk.runs_empty();
        assert!(full(&again)["ledger"].get("retractions").is_none());
    }
}

/// What an observable without the flag could give away.
const CANARY: &str = "canary";

/// Observables without the flag, some linked to IOCs, one a file.
fn canaries(desk: &Desk) {
    let tags = |link: &str| json!({"ioc": false, "sighted": true, "message": format!("{CANARY}-message"), "tags": [link, format!("{CANARY}-tag")]});
    let (half, linked) = (
        "misp:composite=\"domain|ip:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000\"",
        "misp:object=\"file:5f0e5b5c-0000-4000-8000-000000000001:5e6f7a8b-0000-4000-8000-000000000000\"",
    );
    desk.ioc("ip", "192.0.2.1", &json!({"tags": [half], "sighted": true}));
    desk.ioc("hash", &"ab".repeat(32), &json!({"tags": [linked]}));
    desk.ioc("domain", &format!("{CANARY}.example"), &tags(half));
    desk.ioc("filename", &format!("{CANARY}.exe"), &tags(linked));
    desk.ioc(
        "url",
        &format!("https://example.org/{CANARY}"),
        &tags("misp:type=\"link\""),
    );
    desk.file(&format!("{CANARY}.txt"), CANARY.as_bytes(), &tags("x"));
    desk.file("open.txt", b"open", &json!({}));
}

/// Each option away from its default, and all of them together.
fn configurations() -> Vec<Value> {
    let single = [
        json!({}),
        json!({"export_attachments": "sample"}),
        json!({"export_attachments": "plain", "max_attachment_mb": 0}),
        json!({"export_observable_tags": true}),
        json!({"export_case_tags": true, "export_case_url": true}),
        json!({"export_sightings": true}),
        json!({"removed_iocs": "delete"}),
        json!({"warninglists": "off"}),
        json!({"dry_run": true}),
        json!({"distribution": 3, "max_export_tlp": "RED", "max_export_pap": "RED"}),
        json!({"type_mapping": ["domain=Network activity/hostname", "filename=Payload delivery/filename"]}),
    ];
    let mut all = json!({});
    single
        .iter()
        .filter(|one| one.get("dry_run").is_none())
        .for_each(|one| all = laid(all.clone(), one));
    single
        .into_iter()
        .chain([laid(all, &json!({"warninglists": "annotate"}))])
        .collect()
}

#[test]
fn what_is_no_ioc_is_in_no_request_whatever_is_configured() {
    let mut written = 0;
    for config in configurations() {
        for (world, to_feed) in [
            (World::four(), false),
            (World::five(), false),
            (World::four(), true),
        ] {
            let mut desk = if to_feed {
                Desk::with_feed(world, &json!({}))
            } else {
                Desk::new(world, &json!({}))
            };
            desk.set(&config);
            canaries(&desk);
            for round in 0..2 {
                let mut job = desk.job();
                if round == 1 {
                    // The job's own observables, where the flag may be anything.
                    let observables = desk
                        .thehive
                        .world()
                        .observables_of(&desk.case)
                        .cloned()
                        .collect::<Vec<_>>();
                    let odd = [json!("true"), json!(1), json!(null)];
                    let odd =
                        odd.map(|flag| json!({"dataType": "domain", "data": format!("{CANARY}.test"), "ioc": flag}));
                    job["data"]["observables"] = json!([observables, odd.to_vec()].concat());
                }
                let report = desk.report(job);
                assert_eq!(
                    full(&report)["ledger"]["observables"]["failed"],
                    0,
                    "{report:#}"
                );
                assert!(!desk.sent().contains(CANARY), "{config}");
                let asked = desk.downloads();
                assert!(asked.iter().all(|path| !path.contains(&cortex_misp::sample::sha256(CANARY.as_bytes()))));
                assert!(asked.len() <= 2, "{asked:?}");
                written += writes(&desk.misp).len() + desk.files().len();
            }
            assert!(
                desk.files().values().all(|text| !text.contains(CANARY)),
                "{config}"
            );
        }
    }
    assert!(written > 100, "{written}");
}
