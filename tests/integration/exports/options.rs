//! What the options of an export make of the event: who sees it, how it is called, its tags and its link to the case.

use serde_json::{Value, json};

use crate::desk::{Desk, warnings};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, failure, full, of};
use crate::thehive::World;

fn desk(case: &Value) -> Desk {
    let desk = Desk::new(World::five(), case);
    desk.ioc("domain", "a.example", &json!({}));
    desk
}

/// The names of the event's tags.
fn tags(desk: &Desk) -> Vec<String> {
    let event = desk.event();
    desk.misp.world().names(&event.tags)
}

#[test]
fn a_new_event_is_seen_by_whom_the_configuration_says() {
    let words = [
        "your organisation only",
        "this community only",
        "connected communities",
        "all communities",
    ];
    for (distribution, words) in words.into_iter().enumerate() {
        let mut desk = desk(&json!({}));
        desk.set(&json!({"distribution": distribution.to_string()}));
        let report = desk.run();
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["visible_to"],
            words
        );
        assert_eq!(
            (
                desk.event().distribution,
                desk.attribute("a.example").distribution
            ),
            (distribution as u64, 5)
        );
        // On an event that is there it is left as people set it.
        desk.misp.world().events[0].distribution = 2;
        let report = desk.runs_empty();
        assert_eq!(
            warnings(&report).contains("left as it is: distribution"),
            distribution != 2
        );
        assert_eq!(
            full(&report)["connections"][0]["events"][0]["visible_to"],
            "connected communities"
        );
    }
}

#[test]
fn a_sharing_group_is_named_by_its_number_and_one_that_is_not_ours_is_refused_by_misp() {
    let mut desk = desk(&json!({}));
    desk.set(&json!({"distribution": 4, "sharing_group": 7}));
    let report = desk.run();
    assert!(
        failure(&report).contains("Invalid Sharing Group or not authorised:"),
        "{report:#}"
    );
    assert!(desk.misp.world().events.is_empty());
    desk.misp
        .world()
        .sharing_groups
        .push(json!({"id": "7", "org_id": "1"}));
    let report = desk.run();
    assert_eq!(
        full(&report)["connections"][0]["events"][0]["visible_to"],
        "sharing group 7"
    );
    assert_eq!(
        (desk.event().distribution, desk.event().sharing_group),
        (4, 7)
    );
    desk.runs_empty();
}

#[test]
fn a_wrong_value_is_told_by_the_name_of_its_item_and_nothing_is_sent() {
    let wrong = [
        ("distribution", json!({"distribution": 5})),
        ("distribution", json!({"distribution": "everyone"})),
        ("distribution", json!({"distribution": -1})),
        ("sharing_group", json!({"distribution": 4})),
        (
            "sharing_group",
            json!({"distribution": 3, "sharing_group": 7}),
        ),
        (
            "sharing_group",
            json!({"distribution": 4, "sharing_group": "seven"}),
        ),
        ("event_info", json!({"event_info": "{name}"})),
        ("export_case_tags", json!({"export_case_tags": "perhaps"})),
        (
            "export_observable_tags",
            json!({"export_observable_tags": "perhaps"}),
        ),
        (
            "exclude_export_tags",
            json!({"exclude_export_tags": [["x"]]}),
        ),
        ("export_case_url", json!({"export_case_url": "perhaps"})),
        ("export_attachments", json!({"export_attachments": "zip"})),
        ("max_attachment_mb", json!({"max_attachment_mb": -1})),
        ("max_attachment_mb", json!({"max_attachment_mb": "large"})),
        ("max_export_tlp", json!({"max_export_tlp": "PURPLE"})),
        ("max_export_pap", json!({"max_export_pap": "AMBER+STRICT"})),
        ("removed_iocs", json!({"removed_iocs": "purge"})),
        ("warninglists", json!({"warninglists": "on"})),
        ("export_sightings", json!({"export_sightings": "perhaps"})),
        ("type_mapping", json!({"type_mapping": ["ip"]})),
        ("dry_run", json!({"dry_run": "perhaps"})),
    ];
    for (item, config) in wrong {
        let mut desk = desk(&json!({}));
        desk.set(&config);
        let report = desk.run();
        assert!(failure(&report).contains(item), "{config}: {report:#}");
        assert!(desk.misp.requests().is_empty(), "{config}");
    }
}

#[test]
fn the_info_line_follows_its_pattern_and_the_title() {
    let mut desk = desk(&json!({"title": "About {number} and {x}"}));
    desk.set(&json!({"event_info": "[SOC {number}] {title}"}));
    desk.run();
    assert_eq!(desk.event().info, "[SOC 42] About {number} and {x}");
    desk.change_case(&json!({"title": "New \u{1f600}"}));
    let report = desk.run();
    assert_eq!(desk.event().info, "[SOC 42] New ?");
    let message = full(&report)["message"].to_string();
    assert!(
        message.contains("the event's own info changed"),
        "{message}"
    );
    assert!(warnings(&report).contains("characters that MISP cannot store"));
    desk.runs_empty();
    desk.change_case(&json!({"title": "  "}));
    desk.run();
    assert_eq!(desk.event().info, "[SOC 42] Case #42");
    // Somebody's own words are replaced: the title is the case's.
    desk.misp.world().events[0].info = "better".to_owned();
    desk.run();
    assert_eq!(desk.event().info, "[SOC 42] Case #42");
    desk.runs_empty();
}

#[test]
fn tags_go_out_where_that_is_configured_and_some_never_do() {
    let never = [
        "misp:to=\"misp-corp\"",
        "MISP:first-seen=\"2026\"",
        "src:CIRCL",
        "tlp:clear",
        "PAP:GREEN",
        " Tlp:ex:chr",
        "internal-7",
        "x:secret:y",
    ];
    let with = |more: &str| json!({"tags": never.iter().chain(&[more]).collect::<Vec<_>>()});
    let exclude = json!({"exclude_export_tags": ["Internal*", "x:*:y", "nothing"]});
    let mut desk = Desk::new(World::four(), &with("apt:one"));
    desk.set(&exclude);
    let id = desk.ioc("domain", "a.example", &with("sandbox:yes"));
    desk.run();
    assert_eq!(
        (tags(&desk), desk.tags("a.example")),
        (vec!["tlp:amber".to_owned(), "PAP:AMBER".to_owned()], vec![])
    );
    desk.set(&json!({"export_case_tags": true, "export_observable_tags": true}));
    desk.run();
    assert_eq!(
        (tags(&desk)[2..].to_vec(), desk.tags("a.example")),
        (vec!["apt:one".to_owned()], vec!["sandbox:yes".to_owned()])
    );
    desk.runs_empty();
    let requests = desk.misp.requests();
    let asked = requests
        .iter()
        .find(|one| one.path == "/tags/search")
        .unwrap();
    assert_eq!(
        asked.body["tag"].as_array().unwrap().len(),
        4,
        "{}",
        asked.body
    );
    // Tags are added, and never taken off.
    desk.change_case(&with("apt:two"));
    desk.change(&id, &with("SANDBOX:YES"));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("unchanged", 1)])
    );
    assert_eq!(
        (tags(&desk)[2..].to_vec(), desk.tags("a.example").len()),
        (vec!["apt:one".to_owned(), "apt:two".to_owned()], 1)
    );
    // They are no reason to unpublish an event.
    desk.misp.world().events[0].published = true;
    desk.change_case(&with("apt:three"));
    let report = desk.runs_empty();
    assert!(
        warnings(&report).contains("wait for the next change of its IOCs: tags"),
        "{}",
        warnings(&report)
    );
    desk.ioc("domain", "b.example", &json!({}));
    desk.run();
    assert_eq!(tags(&desk).len(), 5);
}

#[test]
fn a_link_leads_to_the_case_is_for_the_organisation_only_and_stays() {
    for (world, page) in [
        (World::four(), "index.html#!/case/{}/details"),
        (World::five(), "cases/{}/details"),
    ] {
        let mut desk = Desk::new(world, &json!({}));
        desk.set(&json!({"distribution": 3}));
        desk.ioc("domain", "a.example", &json!({}));
        desk.run();
        desk.set(&json!({"export_case_url": true}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("unchanged", 1)])
        );
        let url = format!("{}/{}", desk.thehive.url(), page.replace("{}", &desk.case));
        let link = desk.attribute(&url);
        assert_eq!(
            (link.kind.as_str(), link.category.as_str()),
            ("link", "Internal reference")
        );
        assert_eq!(
            (link.to_ids, link.distribution, link.comment.as_str()),
            (false, 0, "Case #42 in TheHive")
        );
        desk.runs_empty();
        desk.set(&json!({"export_case_url": false}));
        let report = desk.runs_empty();
        assert!(full(&report)["ledger"].get("retractions").is_none());
        assert!(!desk.attribute(&url).deleted);
        // What a reviewer deleted does not come back.
        desk.misp.world().events[0].attributes[1].deleted = true;
        desk.set(&json!({"export_case_url": true}));
        desk.runs_empty();
    }
}

#[test]
fn no_feed_links_to_the_case() {
    let mut desk = Desk::with_feed(World::five(), &json!({}));
    desk.set(&json!({"export_case_url": true}));
    desk.ioc("domain", "a.example", &json!({}));
    let report = desk.run();
    assert!(
        warnings(&report)
            .contains("the case is not linked: everyone who pulls this feed could read the link")
    );
    assert!(
        desk.files()
            .values()
            .all(|text| !text.contains("Internal reference") && !text.contains("/details"))
    );
    desk.runs_empty();
}

#[test]
fn threat_level_and_analysis_only_rise() {
    for (world, open, resolved) in [
        (
            World::four(),
            json!({"status": "Open"}),
            json!({"status": "Resolved"}),
        ),
        (
            World::five(),
            json!({"stage": "InProgress", "status": "InProgress"}),
            json!({"stage": "Closed", "status": "TruePositive"}),
        ),
    ] {
        let desk = Desk::new(world, &json!({"severity": 1}));
        desk.ioc("domain", "a.example", &json!({}));
        let now = |desk: &Desk| (desk.event().threat_level, desk.event().analysis);
        for (change, expected) in [
            (json!({}), (3, 0)),
            (json!({"severity": 2}), (2, 0)),
            (json!({"severity": 4}), (1, 0)),
            (json!({"severity": 1}), (1, 0)),
            (resolved, (1, 2)),
            (open, (1, 2)),
        ] {
            desk.change_case(&change);
            desk.run();
            assert_eq!(now(&desk), expected, "{change}");
            desk.runs_empty();
        }
        // What people raised stays, and the undefined counts as less than anything.
        desk.misp.world().events[0].threat_level = 4;
        desk.run();
        assert_eq!(now(&desk), (3, 2));
    }
}

#[test]
fn markings_are_spelled_as_this_misp_spells_them() {
    let rename = |desk: &Desk, from: &str, to: &str| {
        desk.misp
            .world()
            .tags
            .iter_mut()
            .filter(|tag| tag.name.eq_ignore_ascii_case(from))
            .for_each(|tag| to.clone_into(&mut tag.name));
    };
    let desk = desk(&json!({"tlp": 0, "pap": 0}));
    desk.misp
        .world()
        .tags
        .retain(|tag| !["pap:clear", "tlp:clear"].contains(&tag.name.to_lowercase().as_str()));
    rename(&desk, "tlp:white", "TLP:WHITE");
    rename(&desk, "pap:green", "pap:green");
    if !desk
        .misp
        .world()
        .tags
        .iter()
        .any(|tag| tag.name == "PAP:WHITE")
    {
        let id = desk.misp.world().next_id();
        desk.misp.world().tags.push(crate::misp::Tag {
            id,
            name: "PAP:WHITE".into(),
            ..crate::misp::Tag::default()
        });
    }
    desk.run();
    assert_eq!(tags(&desk), ["TLP:WHITE", "PAP:WHITE"]);
    desk.runs_empty();
    desk.change_case(&json!({"pap": 1}));
    desk.run();
    assert_eq!(tags(&desk), ["TLP:WHITE", "pap:green"]);
    desk.change_case(&json!({"pap": 3}));
    desk.run();
    assert_eq!(tags(&desk), ["TLP:WHITE", "PAP:RED"]);
    desk.change_case(&json!({"pap": 0}));
    let report = desk.runs_empty();
    assert!(warnings(&report).contains("PAP is stricter in MISP than CLEAR"));
}

#[test]
fn open_proposals_on_our_attributes_are_counted() {
    let desk = desk(&json!({}));
    desk.run();
    let ours = desk.attribute("a.example").uuid;
    let theirs = "5f0e5b5c-0000-4000-8000-000000000001";
    let proposal =
        |uuid: &str, deleted: bool| json!({"uuid": uuid, "to_ids": false, "deleted": deleted});
    {
        let mut world = desk.misp.world();
        let mut other = world.events[0].attributes[0].clone();
        (other.uuid, other.value, other.id) = (theirs.to_owned(), "b.example".to_owned(), 99_999);
        world.events[0].attributes.push(other);
        world.events[0].attribute_count += 1;
        world.events[0].distribution = 1;
        let proposals = [
            (ours.as_str(), false),
            (&ours, false),
            (&ours, true),
            (theirs, false),
        ];
        world.events[0].proposals = proposals
            .into_iter()
            .map(|(uuid, deleted)| proposal(uuid, deleted))
            .collect();
    }
    let report = desk.runs_empty();
    assert_eq!(full(&report)["connections"][0]["proposals"], 2);
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .contains("2 open proposals in MISP")
    );
}

#[test]
fn warninglist_hits_are_named_and_hinder_nothing() {
    let mut desk = Desk::new(World::four(), &json!({}));
    for (data_type, data) in [
        ("ip", "8.8.8.8"),
        ("domain", "google.com"),
        ("domain", "a.example"),
    ] {
        desk.ioc(data_type, data, &json!({}));
    }
    desk.ioc("ip", "10.0.0.1", &json!({"tags": ["misp:composite=\"ip-dst|port:5f0e5b5c-0000-4000-8000-000000000001:1a2b3c4d-0000-4000-8000-000000000000:443\""]}));
    let asks = |desk: &Desk| {
        desk.misp
            .requests()
            .iter()
            .filter(|one| one.path.contains("warninglists"))
            .count()
    };
    desk.set(&json!({"warninglists": "off"}));
    let off = desk.run();
    assert_eq!(
        (counts(full(&off), "observables"), asks(&desk)),
        (of([("fetched", 4), ("created", 4)]), 0)
    );
    assert!(!warnings(&off).contains("warninglist"));
    desk.set(&json!({"warninglists": "annotate"}));
    let report = desk.runs_empty();
    assert_eq!(asks(&desk), 1);
    let told = warnings(&report);
    for value in [
        "8.8.8.8 (List of known IPv4",
        "google.com (Top 1000",
        "10.0.0.1|443 (List of RFC 1918",
    ] {
        assert!(told.contains(value), "{told}");
    }
    let lines = full(&report)["connections"][0]["observables"]
        .as_array()
        .unwrap()
        .clone();
    let hits: Vec<_> = lines
        .iter()
        .map(|line| line["warninglists"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(hits, [1, 2, 0, 2]);
    desk.misp.fault(Fault {
        on: "warninglists",
        nth: Nth::Always,
        what: What::Status(404, "{}".into(), "application/json"),
    });
    let report = desk.runs_empty();
    assert!(warnings(&report).contains("the warninglists were not asked"));
}
