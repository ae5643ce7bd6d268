//! Files of attachments and samples on their way into alerts: read once, checked, and never read again without need.

mod faults;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cortex_misp::sample;
use serde_json::{Value, json};

use super::desk::{Desk, PERSON};
use crate::desk::md5;
use crate::misp::{self, Attribute, Event};
use crate::program::{counts, full, of};
use crate::thehive::World;

const PROGRAM: &[u8] = b"MZ\x90\x00 this program cannot be run";
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n not really a picture";
const DOWNLOAD: &str = "/attributes/download/";

/// Both TheHives, and one published event without attributes; files are wanted.
fn both() -> [Desk; 2] {
    [World::four(), World::five()]
        .map(|hive| desk(hive).with(json!({"import_attachments": "download"})))
}

fn desk(hive: World) -> Desk {
    let mut world = misp::World::new();
    let now = world.tick();
    world.events.push(Event {
        id: 1,
        uuid: "5f0e5b5c-0000-4000-8000-000000000001".to_owned(),
        org: 1,
        orgc: 1,
        info: "Files".to_owned(),
        date: "2026-11-01".to_owned(),
        distribution: 3,
        published: true,
        timestamp: now,
        publish_timestamp: now,
        ..Event::default()
    });
    Desk::new(world, hive)
}

/// Adds an attribute with a file to the event. Answers its id.
fn add(desk: &Desk, kind: &str, value: &str, content: &[u8]) -> u64 {
    let id = desk.misp.world().next_id();
    let attribute = Attribute {
        id,
        uuid: format!("{id:08x}-0000-4000-8000-000000000002"),
        kind: kind.to_owned(),
        category: "Payload delivery".to_owned(),
        value: value.to_owned(),
        comment: "dropped by the mail".to_owned(),
        distribution: 5,
        data: Some(STANDARD.encode(content)),
        to_ids: kind == "malware-sample",
        timestamp: desk.misp.world().tick(),
        ..Attribute::default()
    };
    desk.change("1", |event| {
        event.attributes.push(attribute);
        event.attribute_count += 1;
    });
    id
}

fn sample_of(desk: &Desk, name: &str, content: &[u8]) -> u64 {
    add(
        desk,
        "malware-sample",
        &format!("{name}|{}", md5(content)),
        content,
    )
}

/// The file observables of the alert.
fn files(desk: &Desk) -> Vec<Value> {
    desk.observables(&desk.alert("1"))
        .into_iter()
        .filter(|one| one["dataType"] == "file")
        .collect()
}

fn content(desk: &Desk, file: &Value) -> Vec<u8> {
    desk.thehive.world().attachments[file["attachment"]["id"].as_str().unwrap()].clone()
}

/// Names and contents of the files, sorted.
fn held(desk: &Desk) -> Vec<(String, Vec<u8>)> {
    let name = |file: &Value| file["attachment"]["name"].as_str().unwrap().to_owned();
    let mut held: Vec<_> = files(desk)
        .iter()
        .map(|file| (name(file), content(desk, file)))
        .collect();
    held.sort();
    held
}

/// What was asked of MISP for files.
fn downloads(desk: &Desk) -> Vec<String> {
    desk.misp
        .requests()
        .into_iter()
        .map(|one| one.path)
        .filter(|path| path.starts_with(DOWNLOAD))
        .collect()
}

/// Lets the event change in something that is no matter of files.
fn rename(desk: &Desk) {
    desk.change("1", |event| event.info.push('!'));
}

fn files_of(report: &Value) -> std::collections::BTreeMap<String, u64> {
    counts(full(report), "files")
}

fn is_complete(desk: &Desk) -> bool {
    desk.alert("1")["description"]
        .as_str()
        .unwrap()
        .contains(" complete=yes ")
}

#[test]
fn a_sample_and_an_attachment_become_files_once() {
    for desk in both() {
        sample_of(&desk, "evil.exe", PROGRAM);
        add(&desk, "attachment", "picture.png", PICTURE);
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 2), ("created", 2)])
        );
        let wanted = [("evil.exe", PROGRAM), ("picture.png", PICTURE)];
        assert_eq!(
            held(&desk),
            wanted.map(|(name, content)| (name.to_owned(), content.to_vec()))
        );
        let of_name = |name: &str| {
            files(&desk)
                .into_iter()
                .find(|one| one["attachment"]["name"] == name)
                .unwrap()
        };
        let evil = of_name("evil.exe");
        assert_eq!(
            (&evil["ioc"], &evil["message"], &evil["tlp"]),
            (&json!(true), &json!("dropped by the mail"), &json!(2))
        );
        assert!(
            evil["tags"]
                .as_array()
                .unwrap()
                .contains(&json!("misp:type=\"malware-sample\"")),
            "{evil:#}"
        );
        let picture = of_name("picture.png");
        assert_eq!(picture["ioc"], false);
        assert!(
            picture["tags"]
                .as_array()
                .unwrap()
                .contains(&json!("misp:type=\"attachment\"")),
            "{picture:#}"
        );
        // The hashes and names are there beside it.
        assert!(desk.observable(&desk.alert("1"), &md5(PROGRAM)).is_some());
        assert!(desk.observable(&desk.alert("1"), "picture.png").is_some() && is_complete(&desk));
        // No malware crosses the network in the clear.
        let has = |raw: &[u8], part: &[u8]| raw.windows(part.len()).any(|window| window == part);
        assert!(desk.writes().iter().all(|one| !has(&one.raw, PROGRAM)));
        assert!(desk.writes().iter().any(|one| has(&one.raw, PICTURE)));

        let report = desk.import();
        assert_eq!(files_of(&report), of([]), "{report:#}");
        desk.wrote_nothing();
        rename(&desk);
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 2), ("unchanged", 2)]),
            "{report:#}"
        );
        assert_eq!(
            (downloads(&desk).len(), desk.written().len()),
            (0, 1),
            "{:?}",
            desk.written()
        );
    }
}

#[test]
fn without_the_option_nothing_is_downloaded_and_what_is_there_stays() {
    for mut desk in both() {
        sample_of(&desk, "evil.exe", PROGRAM);
        let picture = add(&desk, "attachment", "picture.png", PICTURE);
        desk.import();
        desk.options = json!({});
        rename(&desk);
        let report = desk.import();
        assert!(full(&report)["ledger"].get("files").is_none(), "{report:#}");
        assert_eq!((downloads(&desk).len(), files(&desk).len()), (0, 2));
        // A file goes with its attribute, by whatever option.
        desk.change("1", |event| {
            event
                .attributes
                .iter_mut()
                .find(|one| one.id == picture)
                .unwrap()
                .deleted = true
        });
        desk.import();
        assert_eq!(held(&desk), [("evil.exe".to_owned(), PROGRAM.to_vec())]);
        desk.change("1", |event| event.attributes.clear());
        desk.import();
        assert_eq!(desk.observables(&desk.alert("1")), [Value::Null; 0]);
    }
    let desk = desk(World::five());
    sample_of(&desk, "evil.exe", PROGRAM);
    desk.import();
    assert_eq!((downloads(&desk).len(), files(&desk).len()), (0, 0));
}

#[test]
fn a_filter_keeps_a_file_out_and_takes_none_away() {
    for desk in both() {
        sample_of(&desk, "evil.exe", PROGRAM);
        desk.import();
        let desk = desk.with(json!({"exclude_attribute_types": ["malware-sample"]}));
        rename(&desk);
        let report = desk.import();
        assert_eq!(
            (files_of(&report), files(&desk).len()),
            (of([]), 1),
            "{report:#}"
        );
    }
}

#[test]
fn names_that_repeat_are_files_of_their_own() {
    for desk in both() {
        for number in 0..3_u8 {
            add(
                &desk,
                "attachment",
                "image.png",
                &[PICTURE, &[number]].concat(),
            );
        }
        desk.import();
        assert_eq!(files(&desk).len(), 3);
        rename(&desk);
        let report = desk.import();
        assert_eq!(
            (files_of(&report), downloads(&desk).len()),
            (of([("fetched", 3), ("unchanged", 3)]), 0)
        );
        // The same file anew: another attribute, the same name.
        desk.change("1", |event| event.attributes.remove(0).deleted = true);
        add(&desk, "attachment", "image.png", b"another picture");
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 3), ("created", 1), ("unchanged", 2)]),
            "{report:#}"
        );
        let contents: Vec<_> = held(&desk)
            .into_iter()
            .map(|(_, content)| content)
            .collect();
        assert_eq!(
            contents,
            [
                b"another picture".to_vec(),
                [PICTURE, &[1]].concat(),
                [PICTURE, &[2]].concat()
            ]
        );
        assert_eq!(downloads(&desk).len(), 1);
    }
}

#[test]
fn the_same_content_twice_is_one_file() {
    for desk in both() {
        sample_of(&desk, "a.exe", PROGRAM);
        sample_of(&desk, "b.exe", PROGRAM);
        add(&desk, "attachment", "a.png", PICTURE);
        add(&desk, "attachment", "b.png", PICTURE);
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 4), ("created", 3), ("updated", 1)]),
            "{report:#}"
        );
        assert_eq!((files(&desk).len(), downloads(&desk).len()), (2, 3));
        rename(&desk);
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 4), ("unchanged", 4)]),
            "{report:#}"
        );
        assert_eq!(
            (downloads(&desk).len(), desk.written().len()),
            (0, 1),
            "{:?}",
            desk.written()
        );
        desk.change("1", |event| {
            event.attributes.retain(|one| one.value != "a.png")
        });
        desk.import();
        assert_eq!(files(&desk).len(), 2);
    }
}

#[test]
fn a_file_that_an_analyst_uploaded_or_touched_is_left_alone() {
    for desk in both() {
        add(&desk, "attachment", "first.png", b"the first");
        desk.import();
        let alert = desk.alert("1")["_id"].as_str().unwrap().to_owned();
        let jane = json!({"_createdBy": "jane@example.org", "tags": ["ours"], "tlp": 3});
        desk.thehive
            .world()
            .add_file(&alert, "mine.png", &sample::sha256(PICTURE), PICTURE, &jane);
        desk.thehive
            .world()
            .add_file(&alert, "evil.png", &sample::sha256(PROGRAM), PROGRAM, &jane);
        add(&desk, "attachment", "picture.png", PICTURE);
        sample_of(&desk, "evil.exe", PROGRAM);
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 3), ("unchanged", 3)]),
            "{report:#}"
        );
        assert_eq!((files(&desk).len(), downloads(&desk).len()), (3, 1));
        let touched = files(&desk)
            .iter()
            .filter(|one| one.get("_updatedBy").is_some())
            .count();
        assert_eq!(touched, 0);
        desk.change("1", |event| event.attributes.clear());
        desk.import();
        assert_eq!(files(&desk).len(), 2);
    }
}

#[test]
fn a_file_that_a_person_deleted_or_edited_is_told_as_any_observable_is() {
    for desk in both() {
        add(&desk, "attachment", "notes.txt", PICTURE);
        add(&desk, "attachment", "more.txt", PROGRAM);
        desk.import();
        let is = |one: &Value, name: &str| one["attachment"]["name"] == name;
        desk.thehive
            .world()
            .observables
            .retain(|one| !is(&one.record, "notes.txt"));
        for one in desk
            .thehive
            .world()
            .observables
            .iter_mut()
            .filter(|one| is(&one.record, "more.txt"))
        {
            one.record["message"] = json!("ours");
            one.record["_updatedBy"] = json!(PERSON);
        }
        desk.change("1", |event| event.info = "Worse".to_owned());
        let report = desk.import().to_string();
        for says in [
            "into the alert again, which the event had before: somebody deleted them in TheHive, or a filter kept them out \
             then: notes.txt",
            "left as somebody edited it in TheHive, though the event says otherwise: 1 observable (more.txt)",
        ] {
            assert!(report.contains(says), "{says}: {report}");
        }
    }
}

#[test]
fn what_changes_of_an_attribute_changes_its_file() {
    for desk in both() {
        let id = sample_of(&desk, "evil.exe", PROGRAM);
        desk.import();
        desk.change("1", |event| {
            let one = event
                .attributes
                .iter_mut()
                .find(|one| one.id == id)
                .unwrap();
            (one.comment, one.to_ids) = ("a loader".to_owned(), false);
        });
        let report = desk.import();
        assert_eq!(
            (files_of(&report), downloads(&desk).len()),
            (of([("fetched", 1), ("updated", 1)]), 0)
        );
        let file = files(&desk).remove(0);
        assert_eq!(
            (&file["message"], &file["ioc"]),
            (&json!("a loader"), &json!(false))
        );
    }
}

#[test]
fn a_file_above_the_limit_is_left_out_by_a_rule() {
    let [_, desk] = both();
    let desk = desk.with(json!({"max_attachment_mb": 1}));
    let of_length = |length: usize, byte: u8| vec![byte; length];
    add(
        &desk,
        "attachment",
        "large.bin",
        &of_length((1 << 20) + 1, b'x'),
    );
    add(&desk, "attachment", "limit.bin", &of_length(1 << 20, b'y'));
    // Small as a zip, large in it.
    sample_of(&desk, "large.exe", &of_length((1 << 20) + 1, b'z'));
    sample_of(&desk, "limit.exe", &of_length(1 << 20, b'w'));
    let report = desk.import();
    assert_eq!(
        files_of(&report),
        of([("fetched", 4), ("created", 2), ("skipped", 2)]),
        "{report:#}"
    );
    let rules = &full(&report)["ledger"]["files"]["skipped_by"];
    assert_eq!(rules, &json!({"larger than max_attachment_mb (1 MiB)": 2}));
    let names: Vec<_> = held(&desk).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["limit.bin", "limit.exe"]);
    assert!(is_complete(&desk));
    let desk = desk.with(json!({"max_attachment_mb": 0}));
    rename(&desk);
    let report = desk.import();
    assert_eq!(
        files_of(&report),
        of([("fetched", 4), ("created", 2), ("unchanged", 2)]),
        "{report:#}"
    );
}

#[test]
fn a_file_of_25_mb_arrives_as_it_was() {
    let [_, desk] = both();
    let large: Vec<u8> = (0..25_000_000_u32)
        .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    add(&desk, "attachment", "large.bin", &large);
    let report = desk.import();
    assert_eq!(
        files_of(&report),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
    assert!(held(&desk) == [("large.bin".to_owned(), large)]);
}

#[test]
fn a_thehive_without_files_a_feed_and_a_report_get_none() {
    for desk in both() {
        desk.thehive
            .world()
            .observable_types
            .retain(|(name, _)| name != "file");
        sample_of(&desk, "evil.exe", PROGRAM);
        let report = desk.import();
        assert_eq!(
            (files_of(&report), downloads(&desk).len()),
            (of([("fetched", 1), ("skipped", 1)]), 0)
        );
        let mut job = desk.job();
        for item in ["thehive_url", "thehive_key"] {
            job["config"].as_object_mut().unwrap().remove(item);
        }
        let report = desk.run(&job);
        assert_eq!(
            (files_of(&report), downloads(&desk).len()),
            (of([("fetched", 1), ("skipped", 1)]), 0)
        );
    }
    for desk in both() {
        let folder = tempfile::tempdir().unwrap();
        let uuid = "5f0e5b5c-0000-4000-8000-000000000009";
        let attribute = json!({
            "uuid": "5f0e5b5c-0000-4000-8000-000000000010", "type": "malware-sample", "category": "Payload delivery",
            "value": format!("evil.exe|{}", md5(PROGRAM)), "to_ids": true, "data": STANDARD.encode(PROGRAM),
        });
        let head = json!({"info": "f", "date": "2026-11-01", "timestamp": "1795300000", "analysis": "0", "threat_level_id": "1",
            "Orgc": {"name": "o", "uuid": "5f0e5b5c-0000-4000-8000-000000000011"}});
        let mut event = head.clone();
        event["uuid"] = json!(uuid);
        event["Attribute"] = json!([attribute]);
        std::fs::write(
            folder.path().join("manifest.json"),
            json!({uuid: head}).to_string(),
        )
        .unwrap();
        std::fs::write(
            folder.path().join(format!("{uuid}.json")),
            json!({"Event": event}).to_string(),
        )
        .unwrap();
        let desk = desk
            .with(json!({"url": [format!("file://{}", folder.path().display())], "key": ["-"]}));
        let report = desk.import();
        let told = full(&report);
        assert_eq!(
            counts(told, "files"),
            of([("fetched", 1), ("skipped", 1)]),
            "{report:#}"
        );
        assert_eq!(
            told["ledger"]["files"]["skipped_by"],
            json!({"a feed's files are not read": 1})
        );
        assert_eq!(
            counts(told, "attributes"),
            of([("fetched", 1), ("created", 1)])
        );
    }
}

#[test]
fn names_do_no_harm() {
    let names = [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.txt", "evil.txt"),
        ("say \"hi\".txt", "say _hi_.txt"),
        ("Lebenslauf Ü.docx", "Lebenslauf Ü.docx"),
        ("..", "file"),
    ];
    for kind in ["attachment", "malware-sample"] {
        for desk in both() {
            for (number, (name, _)) in names.iter().enumerate() {
                let content = format!("content {number}").into_bytes();
                let value = if kind == "attachment" {
                    (*name).to_owned()
                } else {
                    format!("{name}|{}", md5(&content))
                };
                add(&desk, kind, &value, &content);
            }
            let report = desk.import();
            assert_eq!(
                files_of(&report),
                of([("fetched", 5), ("created", 5)]),
                "{report:#}"
            );
            let mut wanted: Vec<_> = names
                .iter()
                .enumerate()
                .map(|(number, (_, plain))| {
                    (
                        (*plain).to_owned(),
                        format!("content {number}").into_bytes(),
                    )
                })
                .collect();
            wanted.sort();
            assert_eq!(held(&desk), wanted);
            rename(&desk);
            let report = desk.import();
            assert_eq!(
                (files_of(&report), downloads(&desk).len()),
                (of([("fetched", 5), ("unchanged", 5)]), 0)
            );
            assert_eq!(files(&desk).len(), 5);
        }
    }
}

#[test]
fn a_dry_run_reads_no_file_and_a_case_gets_what_its_alert_gets() {
    for desk in both() {
        sample_of(&desk, "evil.exe", PROGRAM);
        let desk = desk.with(json!({"dry_run": true}));
        let report = desk.import();
        assert_eq!(
            (files_of(&report), downloads(&desk).len()),
            (of([("fetched", 1), ("created", 1)]), 0),
            "{report:#}"
        );
        desk.wrote_nothing();
        let desk = desk.with(json!({"dry_run": false, "update_cases": true}));
        desk.import();
        let case = desk.thehive.world().add_case(1, "c", &json!({}));
        desk.edit("1", "caseId", json!(case));
        add(&desk, "attachment", "picture.png", PICTURE);
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 2), ("created", 1), ("unchanged", 1)]),
            "{report:#}"
        );
        let world = desk.thehive.world();
        let of_case: Vec<_> = world
            .observables_of(&case)
            .filter(|one| one["dataType"] == "file")
            .collect();
        assert_eq!(
            (of_case.len(), &of_case[0]["attachment"]["name"]),
            (1, &json!("picture.png"))
        );
    }
}
