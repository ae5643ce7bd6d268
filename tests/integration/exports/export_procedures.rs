//! `export_procedures`: techniques of a case as tags of MISP's ATT&CK galaxy.

use serde_json::{Value, json};

use crate::desk::{Desk, warnings};
use crate::misp::{self, key};
use crate::thehive::World;

const PHISHING: &str = "misp-galaxy:mitre-attack-pattern=\"Phishing - T1566\"";
const ATTACHMENT: &str =
    "misp-galaxy:mitre-attack-pattern=\"Spearphishing Attachment - T1566.001\"";

/// A case with an IOC and these procedures.
fn desk(world: World, numbers: &[&str]) -> Desk {
    with(Desk::new(world, &json!({})), numbers)
}

fn with(mut desk: Desk, numbers: &[&str]) -> Desk {
    desk.set(&json!({"export_procedures": true}));
    desk.ioc("domain", "a.example", &json!({}));
    for number in numbers {
        add(&desk, &json!({"patternId": number}));
    }
    desk
}

fn add(desk: &Desk, procedure: &Value) {
    let mut procedure = procedure.clone();
    procedure["extraData"] = json!({});
    let mut world = desk.thehive.world();
    let id = world.next_id();
    procedure["_id"] = json!(id);
    world.procedures.push((desk.case.clone(), procedure));
}

/// The galaxy tags of the event.
fn techniques(desk: &Desk) -> Vec<String> {
    let tags = desk.event().tags;
    assert!(tags.iter().all(|tag| !tag.local));
    let mut names = desk.misp.world().names(&tags);
    names.retain(|name| name.starts_with("misp-galaxy:"));
    names.sort();
    names
}

fn asked(desk: &Desk) -> usize {
    let requests = desk.misp.requests();
    requests
        .iter()
        .filter(|one| one.path.contains("galaxies"))
        .count()
}

#[test]
fn procedures_become_the_tags_of_this_misp_and_unknown_ones_are_named() {
    for world in [World::four(), World::five()] {
        let desk = desk(world, &["T1566", "T1566.001", "T1566", "T9999", "phishing"]);
        let report = desk.run();
        assert_eq!(techniques(&desk), [PHISHING, ATTACHMENT], "{report:#}");
        assert!(
            warnings(&report).contains(
                "the procedures T9999, phishing stay here: they are not in the galaxy mitre-attack-pattern of this MISP"
            ),
            "{report:#}"
        );
        desk.runs_empty();
    }
}

#[test]
fn a_technique_is_no_part_of_another_and_each_is_asked_for_once() {
    let desk = desk(World::five(), &["T1566"]);
    desk.run();
    assert_eq!(
        (techniques(&desk), asked(&desk)),
        (vec![PHISHING.to_owned()], 1)
    );
    desk.runs_empty();
    assert_eq!(asked(&desk), 0);
    add(&desk, &json!({"patternId": "T1566.001"}));
    desk.run();
    assert_eq!((techniques(&desk).len(), asked(&desk)), (2, 1));
    // What is no procedure of the case any more stays, as a tag of the case would.
    desk.thehive.world().procedures.clear();
    desk.runs_empty();
    assert_eq!(techniques(&desk).len(), 2);
}

#[test]
fn a_cluster_of_people_and_one_of_another_name_count_by_their_number() {
    let desk = desk(World::five(), &["T1566.001", "T1193"]);
    let cluster = |tag: &str, default: bool| {
        json!({
            "tag_name": tag, "default": default, "deleted": false,
            "GalaxyElement": [{"key": "external_id", "value": "T1566.001"}, {"key": "refs", "value": "T1193"}],
        })
    };
    desk.misp.world().galaxy = json!([
        cluster(
            "misp-galaxy:mitre-attack-pattern=\"4d1c2f3a-0000-4000-8000-000000000000\"",
            false
        ),
        cluster("misp-galaxy:mitre-ics-techniques=\"A - T1566.001\"", true),
        cluster("misp-galaxy:mitre-attack-pattern=\"Z - T1566.001\"", true),
        Value::Null,
    ]);
    desk.run();
    let deprecated = "misp-galaxy:mitre-attack-pattern=\"Spearphishing Attachment - T1193\"";
    assert_eq!(techniques(&desk), [deprecated, ATTACHMENT]);
}

#[test]
fn without_the_option_nothing_is_asked() {
    let mut desk = desk(World::five(), &["T1566"]);
    desk.set(&json!({"export_procedures": false}));
    desk.run();
    assert!(techniques(&desk).is_empty() && asked(&desk) == 0);
    let asked = desk.thehive.requests();
    assert!(!asked.iter().any(|one| one.path.contains("procedures")
        || one.raw.windows(10).any(|part| part == b"procedures")));
}

#[test]
fn a_technique_that_is_excluded_stays_here() {
    let mut desk = desk(World::five(), &["T1566", "T1566.001"]);
    desk.set(&json!({"exclude_export_tags": ["MISP-galaxy:*T1566.*"]}));
    desk.run();
    assert_eq!(techniques(&desk), [PHISHING]);
    desk.runs_empty();
}

#[test]
fn a_dry_run_says_what_a_run_does() {
    let mut desk = desk(World::five(), &["T1566", "T9999"]);
    desk.set(&json!({"dry_run": true}));
    let dry = desk.run();
    assert_eq!(misp::writes(&desk.misp), [""; 0]);
    desk.set(&json!({"dry_run": false}));
    assert_eq!(warnings(&dry), warnings(&desk.run()));
    assert_eq!(techniques(&desk), [PHISHING]);
}

#[test]
fn a_server_that_cannot_be_asked_stops_nothing() {
    let mut of = desk(World::five(), &["T1566"]);
    of.misp.world().galaxy = json!(false);
    let report = of.run();
    assert!(
        techniques(&of).is_empty() && warnings(&report).contains("the procedures T1566 stay here")
    );

    // Who may not make tags is told so.
    of = desk(World::five(), &["T1566"]);
    of.set(&json!({"key": [key("partner")]}));
    let report = of.run();
    assert!(techniques(&of).is_empty());
    assert!(
        warnings(&report).contains("this MISP does not have them"),
        "{report:#}"
    );

    // In the job's own word there are none.
    let mut job = of.job();
    job["data"]["observables"] =
        json!([{"dataType": "domain", "data": "b.example", "ioc": true, "tags": [], "tlp": 2}]);
    for item in ["thehive_url", "thehive_key"] {
        job["config"].as_object_mut().unwrap().remove(item);
    }
    let report = of.report(job);
    assert!(
        warnings(&report).contains("the case's procedures stay here"),
        "{report:#}"
    );
}

#[test]
fn a_feed_has_them_by_the_names_in_thehive() {
    for world in [World::four(), World::five()] {
        let desk = with(Desk::with_feed(world, &json!({})), &["T1566", "bad"]);
        add(
            &desk,
            &json!({"patternId": "T1566.001", "patternName": "Spearphishing Attachment"}),
        );
        let report = desk.run();
        let event = desk.feed_event();
        let tags: Vec<&str> = event["Tag"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|tag| tag["name"].as_str())
            .collect();
        assert!(
            tags.contains(&PHISHING) && tags.contains(&ATTACHMENT),
            "{tags:?}"
        );
        assert!(
            warnings(&report).contains("the procedures bad stay here: TheHive does not name them"),
            "{report:#}"
        );
        desk.runs_empty();
    }
}

#[test]
fn hostile_procedures_are_bounded_and_counted() {
    let desk = desk(
        World::five(),
        &["%", "T1566%", "T1566!", "", "T1566\u{202e}"],
    );
    add(&desk, &json!({"patternId": "T".repeat(100_000)}));
    {
        let mut world = desk.thehive.world();
        let many = (0..10_000).map(|number| {
            let procedure = json!({"_id": format!("~9{number}"), "patternId": format!("T{number:04}"), "extraData": {}});
            (desk.case.clone(), procedure)
        });
        world.procedures.extend(many);
        world
            .procedures
            .insert(0, (desk.case.clone(), json!("no procedure")));
    }
    let report = desk.run();
    let told = warnings(&report) + &crate::program::full(&report)["warnings"].to_string();
    assert!(
        told.contains("the case has 1000 procedures or more") && told.len() < 20_000,
        "{told}"
    );
    assert!(
        told.contains("1 procedure of the case cannot be read"),
        "{told}"
    );
    assert!(techniques(&desk).len() <= 4);
    desk.runs_empty();
}
