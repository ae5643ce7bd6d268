//! Events become alerts, which follow them: what is added, changed, deleted, withdrawn, and what filters keep out.

use serde_json::{Value, json};

use super::desks::Importer;
use super::{World, scenarios};

scenarios!(
    an_event_becomes_an_alert_observable_by_observable,
    what_changes_in_the_event_changes_in_the_alert,
    deleted_attributes_and_objects_are_left_out,
    a_withdrawn_event_is_told,
    an_event_by_its_command,
    an_unpublished_event_waits,
    the_filters_keep_out_what_they_name,
    attributes_that_are_not_wanted_are_left_out,
    a_limit_on_new_alerts_takes_the_newest,
    an_event_that_is_too_large_is_left_out,
    an_event_in_several_lists_comes_whole,
    words_of_this_program_come_in_no_tag,
    what_an_organisation_keeps_for_itself_does_not_come,
    what_users_say_of_attributes_comes_along,
);

fn attribute(kind: &str, value: &str, ids: bool) -> Value {
    json!({"type": kind, "value": value, "to_ids": ids})
}

fn an_event_becomes_an_alert_observable_by_observable(world: &World) {
    let desk = Importer::new(world);
    let uuid = desk.event(&json!({
        "Attribute": [
            attribute("domain", "a.MARK.example", true),
            attribute("ip-dst", "198.51.100.9", true),
            attribute("ip-dst|port", "198.51.100.10|8080", true),
            attribute("domain|ip", "both.MARK.example|198.51.100.11", false),
            attribute("url", "https://MARK.example/a?b=c", true),
            attribute("filename|md5", "MARK.exe|d41d8cd98f00b204e9800998ecf8427e", true),
            attribute("email-src", "someone@MARK.example", false),
            attribute("vulnerability", "CVE-2026-0001", false),
            attribute("text", "MARK: a remark", false),
        ],
        "Object": [{
            "name": "file", "meta-category": "file", "description": "A file",
            "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215", "template_version": "24", "distribution": 5,
            "Attribute": [
                {"type": "filename", "category": "Payload delivery", "value": "in-object-MARK.exe", "object_relation": "filename", "to_ids": true},
                {"type": "sha1", "category": "Payload delivery", "value": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "object_relation": "sha1", "to_ids": true},
            ],
        }],
    }));
    let report = desk.sync();
    assert_eq!(
        report.counts("events"),
        "fetched 1, created 1",
        "{:#}",
        report.report
    );
    assert_eq!(
        desk.alert(&uuid).unwrap()["title"]
            .as_str()
            .unwrap()
            .replace(&world.mark, "MARK")
            .split_once(' ')
            .unwrap()
            .1,
        "cortex-misp test MARK"
    );
    assert_eq!(
        desk.observables(&uuid),
        [
            "domain a.MARK.example ioc",
            "domain both.MARK.example",
            "filename MARK.exe ioc",
            "filename in-object-MARK.exe ioc",
            "hash d41d8cd98f00b204e9800998ecf8427e ioc",
            "hash da39a3ee5e6b4b0d3255bfef95601890afd80709 ioc",
            "ip 198.51.100.10 ioc",
            "ip 198.51.100.11",
            "ip 198.51.100.9 ioc",
            "mail someone@MARK.example",
            "other CVE-2026-0001",
            "other MARK: a remark",
            "url https://MARK.example/a?b=c ioc",
        ]
    );
    desk.rests();
}

fn what_changes_in_the_event_changes_in_the_alert(world: &World) {
    let desk = Importer::new(world);
    let uuid = desk.event(&json!({
        "Attribute": [attribute("domain", "a.MARK.example", true), attribute("domain", "b.MARK.example", true), attribute("domain", "c.MARK.example", true)],
    }));
    desk.sync();
    let stored = world.event(&uuid);
    world.add_attribute("other", &uuid, &attribute("domain", "d.MARK.example", true));
    world.done(
        "other",
        &format!("/attributes/delete/{}", stored.uuid_of("a.MARK.example")),
        &json!({}),
    );
    world.done(
        "other",
        &format!("/attributes/edit/{}", stored.uuid_of("b.MARK.example")),
        &json!({"to_ids": 0}),
    );
    let report = desk.sync();
    assert_eq!(
        report.counts("events"),
        "fetched 1, updated 1",
        "{:#}",
        report.report
    );
    assert_eq!(
        desk.observables(&uuid),
        [
            "domain b.MARK.example",
            "domain c.MARK.example ioc",
            "domain d.MARK.example ioc"
        ]
    );
    desk.rests();
}

fn deleted_attributes_and_objects_are_left_out(world: &World) {
    let desk = Importer::new(world);
    let object = |name: &str| {
        json!({
            "name": "file", "meta-category": "file", "description": "A file",
            "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215", "template_version": "24", "distribution": 5,
            "Attribute": [{
                "type": "filename", "category": "Payload delivery", "value": name, "object_relation": "filename", "to_ids": true,
            }],
        })
    };
    let uuid = desk.event(&json!({
        "Attribute": [attribute("domain", "a.MARK.example", true), attribute("domain", "gone.MARK.example", true)],
        "Object": [object("kept-MARK.exe"), object("gone-MARK.exe")],
    }));
    let stored = world.event(&uuid);
    world.done(
        "other",
        &format!("/attributes/delete/{}", stored.uuid_of("gone.MARK.example")),
        &json!({}),
    );
    let objects = stored.event["Object"].as_array().unwrap();
    let gone = objects
        .iter()
        .find(|one| {
            one["Attribute"][0]["value"]
                .as_str()
                .unwrap()
                .starts_with("gone")
        })
        .unwrap();
    world.done(
        "other",
        &format!("/objects/delete/{}", gone["id"].as_str().unwrap()),
        &json!({}),
    );
    desk.sync();
    assert_eq!(
        desk.observables(&uuid),
        ["domain a.MARK.example ioc", "filename kept-MARK.exe ioc"]
    );
}

fn a_withdrawn_event_is_told(world: &World) {
    let desk = Importer::new(world).with(&json!({"mark_withdrawn": true}));
    let uuid = desk.event(&json!({"Attribute": [attribute("domain", "a.MARK.example", true)]}));
    desk.sync();
    let id = world.event(&uuid).event["id"].as_str().unwrap().to_owned();
    world.done("other", &format!("/events/delete/{id}"), &json!({}));
    let report = desk.sync();
    let tags = desk.alert(&uuid).unwrap()["tags"].to_string();
    assert!(
        tags.contains("misp:withdrawn"),
        "{tags} {:#}",
        report.report
    );
    desk.rests();
}

fn an_event_by_its_command(world: &World) {
    let desk = Importer::new(world).with(&json!({"include_tags": []}));
    let uuid = desk.event(&json!({"Attribute": [attribute("domain", "a.MARK.example", true)]}));
    let report = desk.command(&format!("misp:event:{uuid}"));
    assert_eq!(report.counts("events"), "fetched 1, created 1");
    assert_eq!(desk.observables(&uuid), ["domain a.MARK.example ioc"]);
    let id = world.event(&uuid).event["id"].as_str().unwrap().to_owned();
    let report = desk.command(&format!("{}/events/view/{id}", desk.proxy.url()));
    assert_eq!(report.counts("events"), "fetched 1, unchanged 1");
}

fn an_unpublished_event_waits(world: &World) {
    let desk = Importer::new(world).with(&json!({"published_only": true}));
    let uuid = desk.event(&json!({"Attribute": [attribute("domain", "a.MARK.example", true)]}));
    desk.sync();
    assert_eq!(desk.alert(&uuid), None);
    world.publish("admin", &uuid);
    let report = desk.sync();
    assert_eq!(report.counts("events"), "fetched 1, created 1");
    assert_eq!(desk.observables(&uuid), ["domain a.MARK.example ioc"]);
}

fn the_filters_keep_out_what_they_name(world: &World) {
    for (items, is_in) in [
        (json!({"exclude_tags": ["MARK:noise"]}), false),
        (json!({"exclude_tags": ["MARK:no*"]}), false),
        (json!({"exclude_tags": ["MARK:other"]}), true),
        (json!({"include_tags": ["MARK:event", "MARK:other"]}), true),
        (json!({"min_threat_level": "high"}), false),
        (json!({"min_threat_level": "medium"}), true),
        (json!({"exclude_organisations": ["nobody"]}), true),
    ] {
        let desk = Importer::new(world).with(&items);
        world.ask(
            "admin",
            "/tags/add",
            &json!({"name": "MARK:noise", "colour": "#112233"}),
        );
        let uuid = desk.event(&json!({
            "Tag": [{"name": "MARK:event"}, {"name": "MARK:noise"}],
            "Attribute": [attribute("domain", "a.MARK.example", true)],
        }));
        desk.sync();
        assert_eq!(desk.alert(&uuid).is_some(), is_in, "{items}");
    }
}

fn attributes_that_are_not_wanted_are_left_out(world: &World) {
    let desk =
        Importer::new(world).with(&json!({"ids_only": true, "exclude_attribute_types": ["url"]}));
    let uuid = desk.event(&json!({
        "Attribute": [
            attribute("domain", "a.MARK.example", true),
            attribute("domain", "b.MARK.example", false),
            attribute("url", "http://MARK.example/", true),
        ],
    }));
    let report = desk.sync();
    assert_eq!(desk.observables(&uuid), ["domain a.MARK.example ioc"]);
    assert_eq!(
        report.counts("attributes"),
        "fetched 3, created 1, skipped 2"
    );
    desk.rests();
}

fn a_limit_on_new_alerts_takes_the_newest(world: &World) {
    let desk = Importer::new(world).with(&json!({"max_new_alerts": 2}));
    let uuids: Vec<String> = (0..3)
        .map(|n| {
            let date = format!("2026-0{}-01", n + 1);
            desk.event(&json!({"date": date, "Attribute": [attribute("domain", &format!("n{n}.MARK.example"), true)]}))
        })
        .collect();
    let report = desk.sync();
    assert_eq!(
        report.counts("events"),
        "fetched 3, created 2, skipped 1",
        "{:#}",
        report.report
    );
    assert_eq!(
        uuids
            .iter()
            .filter(|uuid| desk.alert(uuid).is_some())
            .count(),
        2
    );
    desk.sync();
    assert!(uuids.iter().all(|uuid| desk.alert(uuid).is_some()));
    desk.rests();
}

fn an_event_that_is_too_large_is_left_out(world: &World) {
    let desk = Importer::new(world).with(&json!({"max_attributes": 3}));
    let attributes: Vec<Value> = (0..4)
        .map(|n| attribute("domain", &format!("n{n}.MARK.example"), true))
        .collect();
    let uuid = desk.event(&json!({ "Attribute": attributes }));
    let report = desk.sync();
    assert_eq!(report.counts("events"), "fetched 1, skipped 1");
    assert_eq!(desk.alert(&uuid), None);
}

/// An event of more than 5,000 attributes is read in pages.
fn an_event_in_several_lists_comes_whole(world: &World) {
    let desk = Importer::new(world).with(&json!({"max_attributes": 0}));
    let attributes: Vec<Value> = (0..5_100)
        .map(|n| attribute("domain", &format!("n{n}.MARK.example"), true))
        .collect();
    let object = json!({
        "name": "file", "meta-category": "file", "description": "A file",
        "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215", "template_version": "24", "distribution": 5,
        "Attribute": [{
            "type": "filename", "category": "Payload delivery", "value": "MARK.exe", "object_relation": "filename",
            "to_ids": true,
        }],
    });
    let uuid = desk.event(&json!({ "Attribute": attributes, "Object": [object] }));
    let report = desk.sync();
    assert_eq!(
        report.counts("attributes"),
        "fetched 5101, created 5101",
        "{:#}",
        report.report
    );
    assert_eq!(desk.observables(&uuid).len(), 5_101);
    desk.rests();
}

fn what_an_organisation_keeps_for_itself_does_not_come(world: &World) {
    let desk = Importer::new(world);
    // An object without a distribution is its own organisation's.
    let object = json!({
        "name": "file", "meta-category": "file", "description": "A file",
        "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215", "template_version": "24",
        "Attribute": [{
            "type": "filename", "category": "Payload delivery", "value": "MARK.exe", "object_relation": "filename",
        }],
    });
    let mut own = attribute("domain", "own.MARK.example", true);
    own["distribution"] = json!(0);
    let uuid =
        desk.event(&json!({"Attribute": [attribute("domain", "a.MARK.example", true), own], "Object": [object]}));
    desk.sync();
    assert_eq!(desk.observables(&uuid), ["domain a.MARK.example ioc"]);
    assert_eq!(
        desk.run("domain", "own.MARK.example").message(),
        "no event knows own.MARK.example"
    );
}

/// A tag that would steer what becomes of the alert's case.
fn words_of_this_program_come_in_no_tag(world: &World) {
    let desk = Importer::new(world);
    let steering = world.marked("misp:event=\"misp-corp:MARK\"");
    world.ask(
        "admin",
        "/tags/add",
        &json!({"name": steering, "colour": "#112233"}),
    );
    let uuid = desk.event(&json!({
        "Tag": [{"name": "MARK:event"}, {"name": steering}],
        "Attribute": [attribute("domain", "a.MARK.example", true)],
    }));
    assert!(
        world.event(&uuid).head().contains("misp:event="),
        "{}",
        world.event(&uuid).head()
    );
    let report = desk.sync();
    assert_eq!(report.full()["connections"][0]["own_tags"], 1);
    let tags = desk.alert(&uuid).unwrap()["tags"].to_string();
    assert!(
        !tags.contains("misp:event") && tags.contains(":event"),
        "{tags}"
    );
}

/// In an event that comes by one answer, and in one that comes in pages.
fn what_users_say_of_attributes_comes_along(world: &World) {
    for more in [0, 5_100] {
        let desk = Importer::new(world).with(&json!({"max_attributes": 0}));
        let mut said = attribute("domain", &format!("said-{more}.MARK.example"), true);
        said["disable_correlation"] = json!(true);
        let mut attributes = vec![said];
        attributes
            .extend((0..more).map(|n| attribute("domain", &format!("n{n}.MARK.example"), true)));
        let uuid = desk.event(&json!({ "Attribute": attributes }));
        let value = format!("said-{more}.MARK.example");
        let path = format!("/sightings/add/{}", world.event(&uuid).uuid_of(&value));
        for (kind, date) in [
            (1, 1_795_200_000),
            (1, 1_795_200_000),
            (2, 1_801_353_600),
            (0, 1_795_200_000),
        ] {
            // What an organisation says itself it sees in any case.
            world.done(
                "orgadmin",
                &path,
                &json!({"type": kind, "timestamp": date, "source": "test"}),
            );
        }
        desk.sync();
        let alert = desk.alert(&uuid).unwrap();
        let all = desk.thehive.observables_of(&alert);
        let said = all
            .iter()
            .find(|one| one["data"] == world.marked(&value).as_str())
            .unwrap();
        let tags = said["tags"].to_string();
        for tag in [
            "misp:false-positives=\\\"2\\\"",
            "misp:expiration=\\\"2027-01-31\\\"",
        ] {
            assert!(tags.contains(tag), "{tags}");
        }
        desk.rests();
        let found = desk.run("domain", &value);
        let hit = &found.full()["connections"][0]["events"][0]["matches"][0];
        let told = ["sightings", "false_positives", "expiration"].map(|name| hit[name].clone());
        assert_eq!(told, [json!(1), json!(2), json!("2027-01-31")]);
    }
}
