//! Whatever type an attribute has and however its value is written: what an import or an export makes of it is found by a
//! look-up, on the server and in a feed.

use std::collections::BTreeSet;

use cortex_misp::types::{MispCapabilities, normalise, validate};
use serde_json::{Value, json};

use super::desks::{Exporter, Importer};
use super::feeds::write_feed;
use super::{World, scenarios};

scenarios!(what_an_import_and_an_export_make_of_any_type_is_found);

/// One attribute of nearly every type, as a MISP 2.5.1 stored them.
const STORED: &str = include_str!("../../fixtures/corpus/attributes/01.json");
/// These come with a file, or make MISP 2.5.1 break off (`fixtures/wire/misp/278-add-filename-impfuzzy-500.json`).
const LEFT_OUT: [&str; 3] = ["attachment", "malware-sample", "filename|impfuzzy"];
/// Types of which a value may be as long as MISP's table allows.
const LONG: [&str; 10] = [
    "text",
    "other",
    "comment",
    "url",
    "uri",
    "filename",
    "regkey",
    "user-agent",
    "mutex",
    "email-subject",
];

fn swapped(text: &str) -> String {
    let swap = |c: char| {
        if c.is_lowercase() {
            c.to_uppercase().next()
        } else {
            c.to_lowercase().next()
        }
    };
    text.chars().filter_map(swap).collect()
}

/// A value of this type that is written as oddly as MISP stores it.
fn odd(kind: &str, value: &str) -> String {
    let all = [
        format!("  MARK Straße {value} ÉCLAIR 100%_\\ evil[.]example \u{200b}'q\" "),
        format!(" MARK Straße ÉCLAIR {value} "),
        swapped(value),
    ];
    let newest = MispCapabilities::newest();
    let is_one = |odd: &String| validate(kind, &normalise(kind, odd), &newest).is_ok();
    all.into_iter()
        .find(is_one)
        .unwrap_or_else(|| value.to_owned())
}

fn attributes() -> Vec<Value> {
    let stored: Value = serde_json::from_str(STORED).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let stored = stored["response"]["Attribute"].as_array().unwrap().iter();
    let stored = stored.filter(|one| !LEFT_OUT.contains(&one["type"].as_str().unwrap()));
    let of = |one: &Value| json!({"type": one["type"], "category": one["category"], "value": odd(&text(one, "type"), &text(one, "value"))});
    let long = |kind: &&str| json!({"type": kind, "value": format!("MARK/long-{kind}-{}/end", "Äx".repeat(200))});
    stored.map(of).chain(LONG.iter().map(long)).collect()
}

/// Objects: halves that belong together, and values that stand in several.
fn objects() -> Value {
    let attribute = |relation: &str, kind: &str, value: &str| json!({"object_relation": relation, "type": kind, "value": value, "to_ids": true});
    let object = |name: &str, template: &str, attributes: Vec<Value>| {
        json!({
            "name": name, "meta-category": "network", "description": "An object of a test", "template_uuid": template,
            "template_version": "1", "Attribute": attributes,
        })
    };
    json!([
        object(
            "domain-ip",
            "43b3b146-77eb-4931-b4cc-b66c60f28734",
            vec![
                attribute("domain", "domain", "Ünser.MARK.Example"),
                attribute("ip", "ip-dst", "2001:DB8:0::99"),
                attribute("text", "text", " MARK  Words,\nin two lines "),
            ]
        ),
        object(
            "file",
            "688c46fb-5edb-40a3-8273-1af7923e2215",
            vec![
                attribute("filename", "filename", "MARK (Kopie) Ärger.EXE"),
                attribute("md5", "md5", "D41D8CD98F00B204E9800998ECF84270"),
                attribute("size-in-bytes", "size-in-bytes", "1024"),
            ]
        ),
    ])
}

/// The events in which a look-up finds something, by connection.
fn found(desk: &Importer<'_>, observable: &Value) -> Vec<BTreeSet<String>> {
    let report = desk.run(
        observable["dataType"].as_str().unwrap(),
        observable["data"].as_str().unwrap(),
    );
    let of = |connection: &Value| {
        let events = connection["events"].as_array().into_iter().flatten();
        let events = events.filter(|event| {
            event["matches"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        });
        events
            .map(|event| event["uuid"].as_str().unwrap().to_owned())
            .collect()
    };
    report.full()["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect()
}

fn what_an_import_and_an_export_make_of_any_type_is_found(world: &World) {
    let desk = Importer::new(world).with(&json!({"max_attributes": 0}));
    let uuid = desk.event(&json!({"Attribute": attributes(), "Object": objects()}));
    let stored = world.event(&uuid);
    // MISP 2.5.1 has three types fewer, and takes no `integer`.
    assert!(
        stored.attributes().len() >= attributes().len(),
        "{} stored",
        stored.attributes().len()
    );
    let imported = desk.sync();
    assert!(
        !imported.counts("attributes").contains("failed"),
        "{:#}",
        imported.report
    );
    let alert = desk.alert(&uuid).unwrap();
    let observables = desk.thehive.observables_of(&alert);
    assert!(
        observables.len() >= 160,
        "{} observables",
        observables.len()
    );

    let case = Exporter::new(world);
    for one in &observables {
        case.add(&json!({"dataType": one["dataType"], "data": one["data"], "tags": one["tags"]}));
    }
    let failed = case
        .run()
        .observables()
        .into_iter()
        .filter(|line| !line.contains(": created"));
    assert_eq!(failed.collect::<Vec<_>>(), [""; 0]);
    case.run();
    assert_eq!(case.writes(), [""; 0]);
    let rows = world.rows();
    let exported = rows
        .iter()
        .map(|row| row["uuid"].as_str().unwrap())
        .find(|event| *event != uuid)
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    write_feed(folder.path(), &stored.event);
    let url = json!([
        desk.proxy.url(),
        format!("file://{}", folder.path().display())
    ]);
    let both = json!({
        "name": ["server", "feed"], "url": url, "key": [world.key("orgadmin"), "-"], "include_tags": [], "loop_guard": false,
    });
    let desk = desk.with(&both);
    let mut lost = Vec::new();
    for one in &observables {
        let [of_server, of_feed] = found(&desk, one).try_into().unwrap();
        let is_found = [
            ("the imported event", of_server.contains(&uuid)),
            ("the exported event", of_server.contains(exported)),
            ("the feed", of_feed.contains(&uuid)),
        ];
        let missing = is_found
            .iter()
            .filter(|(_, is_found)| !is_found)
            .map(|(event, _)| *event);
        let missing = missing.collect::<Vec<_>>().join(", ");
        if !missing.is_empty() {
            lost.push(format!(
                "{} {} {}: not found in {missing}",
                one["dataType"], one["data"], one["tags"]
            ));
        }
    }
    assert!(
        lost.is_empty(),
        "{} of {}:\n{}",
        lost.len(),
        observables.len(),
        lost.join("\n")
    );
}
