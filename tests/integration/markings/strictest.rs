//! Markings are the strictest of what is said in field and tags, of an item and of what it belongs to, in and out.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::misp::Attached;
use crate::program::{Program, counts, failure, full, of};
use crate::thehive::World;

/// The job of a folder in `fixtures/faults/`, to be run in another folder.
fn fault(folder: &Path, name: &str) -> Value {
    let text = fs::read_to_string(Path::new("fixtures/faults").join(name)).unwrap();
    fs::create_dir_all(folder.join("out")).unwrap();
    serde_json::from_str(&text.replace("@HERE@", folder.to_str().unwrap())).unwrap()
}

fn files(folder: &Path) -> String {
    let entries = fs::read_dir(folder.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn a_tag_stricter_than_its_field_counts_on_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = fault(folder.path(), "10-stricter-tlp-tag/job.json");
    assert!(
        failure(&Program::Export.report(&job))
            .starts_with("TLP is higher than allowed. The tag \"tlp:amber+strict\" is stricter")
    );
    job["config"]["check_tlp"] = json!(false);
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("skipped", 2)])
    );
    assert!(
        full(&report)["warnings"]
            .to_string()
            .contains("says TLP:AMBER+STRICT, and its TLP is AMBER"),
        "{report:#}"
    );
    assert_eq!(files(folder.path()), "");
    // The observable's own tag, in a case that says nothing of the kind.
    job["data"]["tags"] = json!([]);
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 1), ("skipped", 1)])
    );
    assert!(
        full(&report)["warnings"]
            .to_string()
            .contains("192.0.2.5 (tlp:red)"),
        "{report:#}"
    );
    assert!(
        files(folder.path()).contains("strict.example")
            && !files(folder.path()).contains("192.0.2.5")
    );
}

#[test]
fn guards_tags_and_distributions_go_by_the_strictest() {
    for tag in [
        "tlp:red",
        "TLP: \"RED\"",
        "tlp=red",
        "tlp:rde",
        "TLP|RED",
        "TLP – RED – no sharing",
    ] {
        let mut desk = Desk::new(
            World::four(),
            &json!({"tlp": 1, "tags": ["PAP:GREEN"], "pap": 0}),
        );
        desk.set(&json!({"distribution": 1, "export_observable_tags": true}));
        desk.ioc(
            "domain",
            "open.example",
            &json!({"tlp": 0, "tags": ["tlp:clear"]}),
        );
        desk.ioc(
            "domain",
            "closed.example",
            &json!({"tlp": 0, "tags": [tag, "pap:amber"]}),
        );
        desk.run();
        let tags = |desk: &Desk| {
            let event = desk.event();
            desk.misp.world().names(&event.tags)
        };
        assert_eq!(tags(&desk), ["tlp:green", "PAP:GREEN"]);
        assert_eq!(desk.tags("open.example"), [""; 0]);
        assert_eq!(
            desk.tags("closed.example"),
            ["tlp:red", "PAP:AMBER"],
            "{tag}"
        );
        assert_eq!(
            (
                desk.attribute("open.example").distribution,
                desk.attribute("closed.example").distribution
            ),
            (5, 0)
        );
        desk.runs_empty();
        // The case's own tag closes all of it.
        desk.change_case(&json!({"tags": ["PAP:GREEN", tag]}));
        desk.run();
        assert_eq!(
            (desk.event().distribution, tags(&desk)),
            (0, vec!["PAP:GREEN".to_owned(), "tlp:red".to_owned()])
        );
        desk.set(&json!({"max_export_tlp": "AMBER"}));
        assert!(
            desk.run().to_string().contains("the case is TLP:RED"),
            "{tag}"
        );
    }
    let mut desk = Desk::new(World::four(), &json!({"tlp": 1, "pap": 1}));
    desk.set(&json!({"max_export_pap": "AMBER", "max_export_tlp": "AMBER"}));
    desk.ioc("domain", "pap.example", &json!({"tags": ["PAP:RED"]}));
    desk.ioc(
        "domain",
        "tlp.example",
        &json!({"tags": ["tlp:amber+strict"]}),
    );
    desk.ioc("domain", "fine.example", &json!({"tags": ["tlp:amber"]}));
    let report = desk.run();
    assert_eq!(
        full(&report)["ledger"]["observables"]["skipped_by"],
        json!({"pap": 1, "tlp": 1})
    );
    assert_eq!(desk.event().attributes.len(), 1);
}

#[test]
fn a_local_tag_never_stands_in_for_the_shared_one() {
    let desk = Desk::new(World::four(), &json!({"tlp": 1}));
    let id = desk.ioc("domain", "a.example", &json!({"tlp": 1}));
    desk.run();
    let local = |name: &str| {
        let mut world = desk.misp.world();
        let tag = world.tag_named(name).unwrap().id;
        Attached {
            id: world.next_id(),
            tag,
            local: true,
        }
    };
    let (amber, red) = (local("tlp:amber"), local("tlp:red"));
    desk.misp.world().events[0].tags.push(amber);
    desk.misp.world().events[0].tags.push(red);
    desk.change_case(&json!({"tlp": 2}));
    desk.run();
    let tags: Vec<_> = {
        let world = desk.misp.world();
        let tags = world.events[0]
            .tags
            .iter()
            .map(|one| (world.tag(one.tag).name.clone(), one.local));
        tags.filter(|(name, _)| name.starts_with("tlp")).collect()
    };
    assert!(
        tags.contains(&("tlp:amber".to_owned(), false))
            && tags.contains(&("tlp:red".to_owned(), true)),
        "{tags:?}"
    );
    assert!(
        !tags
            .iter()
            .any(|(name, local)| name == "tlp:green" || (name == "tlp:amber" && *local)),
        "{tags:?}"
    );
    desk.runs_empty();
    let red = local("tlp:red");
    desk.misp.world().events[0].attributes[0].tags.push(red);
    desk.change(&id, &json!({"tlp": 3}));
    desk.run();
    let tags = desk.attribute("a.example").tags;
    assert_eq!(
        (tags.len(), tags[0].local, desk.tags("a.example")),
        (1, false, vec!["tlp:red".to_owned()])
    );
    desk.runs_empty();
}

/// TLP and PAP of the alert, and the TLP of its observable, of an event of a feed with these tags.
fn imported(event: &Value, attribute: &Value, config: &Value) -> (Vec<u64>, Value) {
    let (levels, warnings, _) = imported_with_tags(event, attribute, config);
    (levels, warnings)
}

/// The same, and the tags of the observable.
fn imported_with_tags(
    event: &Value,
    attribute: &Value,
    config: &Value,
) -> (Vec<u64>, Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let uuid = "5f0e5b5c-0000-4000-8000-000000000001";
    // MISP writes an attribute's tags in two ways, and takes both.
    let (attribute, attribute_tags) = match attribute.get("AttributeTag") {
        Some(tags) => (&Value::Null, tags),
        None => (attribute, &Value::Null),
    };
    let whole = json!({"Event": {"uuid": uuid, "info": "x", "date": "2026-01-01", "timestamp": "1767225600", "Tag": event, "Attribute": [
        {"AttributeTag": attribute_tags, "uuid": "5f0e5b5c-0000-4000-8000-000000000002", "type": "domain", "category": "Network activity", "value": "a.example", "to_ids": true, "Tag": attribute},
    ]}});
    let entry =
        json!({uuid: {"info": "x", "date": "2026-01-01", "timestamp": "1767225600", "Tag": event}});
    fs::write(folder.path().join("manifest.json"), entry.to_string()).unwrap();
    fs::write(
        folder.path().join(format!("{uuid}.json")),
        whole.to_string(),
    )
    .unwrap();
    let mut job = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
    job["config"]["name"] = json!(["feed"]);
    job["config"]["url"] = json!([format!("file://{}", folder.path().display())]);
    job["config"]["max_age_days"] = json!(0);
    let report = Program::Import.report(&job);
    let alert = &full(&report)["alerts"][0];
    let artifact = report["artifacts"][0]["tlp"].as_u64().unwrap();
    let levels = [
        &alert["tlp"],
        &alert["pap"],
        &alert["observables"][0]["tlp"],
    ]
    .map(|level| level.as_u64().unwrap());
    assert_eq!(artifact, levels[2].min(3), "{report:#}");
    let tags = alert["observables"][0]["tags"].clone();
    (
        levels.to_vec(),
        full(&report)["connections"][0]["warnings"].clone(),
        tags,
    )
}

#[test]
fn the_strictest_tag_counts_on_the_way_in_however_it_is_written() {
    let tag = |name: &str| json!({"name": name});
    let none = json!({});
    for name in [
        "tlp:red",
        "TLP:RED",
        "tlp:\"red\"",
        " tlp : red",
        "tlp=\"red\"",
        "tlp:rde",
    ] {
        let (levels, warnings) = imported(
            &json!([tag("tlp:green"), tag(name)]),
            &json!([tag("tlp:clear")]),
            &none,
        );
        assert_eq!(levels, [4, 2, 4], "{name}");
        assert_eq!(
            warnings.to_string().contains("taken for RED: tlp:rde"),
            name == "tlp:rde",
            "{warnings}"
        );
    }
    let levels = |event: Value, attribute: Value| imported(&event, &attribute, &none).0;
    assert_eq!(
        levels(json!([tag("tlp:ex:chr")]), json!([tag("tlp:green")])),
        [2, 2, 1]
    );
    assert_eq!(
        levels(
            json!([tag("tlp:green"), tag("PAP:RED")]),
            json!([tag("tlp:amber+strict")])
        ),
        [1, 3, 3]
    );
    assert_eq!(
        levels(
            json!([tag("tlp:green")]),
            json!({"AttributeTag": [{"Tag": tag("tlp:red")}]})
        ),
        [1, 2, 4]
    );
    // A local tag makes stricter, and never laxer.
    let local = |name: &str| json!({"name": name, "local": "1"});
    assert_eq!(levels(json!([local("tlp:clear")]), json!([])), [2, 2, 2]);
    assert_eq!(
        levels(json!([tag("tlp:clear"), local("tlp:red")]), json!([])),
        [4, 2, 4]
    );
    assert_eq!(
        levels(json!([tag("tlp:amber")]), json!([local("tlp:clear")])),
        [2, 2, 2]
    );
    assert_eq!(
        imported(
            &json!([local("tlp:clear")]),
            &json!([]),
            &json!({"default_tlp": "RED"})
        )
        .0,
        [4, 2, 4]
    );
}

#[test]
fn a_local_marking_of_an_attribute_is_passed_on_only_where_it_is_stricter() {
    let local = |name: &str| json!({"name": name, "local": true});
    let event = json!([{"name": "tlp:amber"}]);
    let (levels, _, tags) = imported_with_tags(
        &event,
        &json!([local("tlp:clear"), local("mine")]),
        &json!({}),
    );
    assert_eq!((levels[2], tags), (2, json!(["mine"])));
    let (levels, _, tags) = imported_with_tags(&event, &json!([local("tlp:red")]), &json!({}));
    assert_eq!((levels[2], tags), (4, json!(["tlp:red"])));
}
