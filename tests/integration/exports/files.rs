//! Files: their hashes, the file itself as a sample or as it is, and what happens if TheHive does not give it.

use std::io::{Cursor, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cortex_misp::sample;
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::desk::{Desk, failures, md5, warnings};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Attribute, writes};
use crate::program::{counts, full, of};
use crate::thehive::World;

const PROGRAM: &[u8] = b"MZ\x90\x00 this program cannot be run";
const TEXT: &[u8] = b"just a few words";

/// The file in a sample as MISP stores it: opened with its password, found under its md5.
fn opened(data: &str) -> Vec<u8> {
    let mut zip = ZipArchive::new(Cursor::new(STANDARD.decode(data).unwrap())).unwrap();
    assert!(zip.by_index_data(0).unwrap().encrypted());
    let mut bytes = Vec::new();
    zip.by_index_decrypt(0, b"infected")
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(
        zip.by_index_decrypt(0, b"infected")
            .unwrap()
            .name()
            .unwrap(),
        md5(&bytes)
    );
    bytes
}

/// The attributes of the only object, by role.
fn roles(desk: &Desk) -> Vec<(String, String)> {
    let event = desk.event();
    assert_eq!(event.objects.len(), 1);
    let inside = event
        .attributes
        .iter()
        .filter(|one| one.object == event.objects[0].id);
    inside
        .map(|one| (one.object_relation.clone().unwrap(), one.value.clone()))
        .collect()
}

fn hashes(name: &str, content: &[u8]) -> Vec<(String, String)> {
    let sha1 = sha1_smol::Sha1::from(content).digest().to_string();
    let rows = [
        ("filename", name.to_owned()),
        ("md5", md5(content)),
        ("sha1", sha1),
        ("sha256", sample::sha256(content)),
        ("size-in-bytes", content.len().to_string()),
    ];
    rows.into_iter()
        .map(|(role, value)| (role.to_owned(), value))
        .collect()
}

/// The only attribute that carries a file.
fn carrier(desk: &Desk) -> Attribute {
    let carriers: Vec<_> = desk
        .event()
        .attributes
        .into_iter()
        .filter(|one| one.data.is_some())
        .collect();
    let [one] = carriers.as_slice() else {
        panic!("{} carry a file", carriers.len())
    };
    one.clone()
}

fn desk(world: World, option: &str) -> Desk {
    let mut desk = Desk::new(world, &json!({}));
    desk.set(&json!({"export_attachments": option}));
    desk
}

#[test]
fn a_file_goes_out_by_its_hashes_and_is_not_downloaded() {
    for world in [World::four(), World::five()] {
        let desk = Desk::new(world, &json!({}));
        desk.file(
            "evil.exe",
            PROGRAM,
            &json!({"message": "dropped by the mail"}),
        );
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("created", 1)])
        );
        assert!(full(&report)["ledger"].get("files").is_none());
        assert_eq!(roles(&desk), hashes("evil.exe", PROGRAM));
        let event = desk.event();
        let object = &event.objects[0];
        let template = (
            object.name.as_str(),
            object.template_uuid.as_str(),
            object.distribution,
        );
        assert_eq!(
            template,
            ("file", "688c46fb-5edb-40a3-8273-1af7923e2215", 5)
        );
        for one in &event.attributes {
            assert_eq!(
                (one.kind.as_str(), one.to_ids),
                (
                    one.object_relation.as_deref().unwrap(),
                    one.kind != "size-in-bytes"
                )
            );
            assert_eq!(one.comment, "dropped by the mail");
        }
        assert!(desk.downloads().is_empty());
        desk.runs_empty();
        assert!(desk.downloads().is_empty());
    }
}

#[test]
fn a_sample_is_stored_as_it_was_and_fetched_once() {
    for world in [World::four(), World::five()] {
        let desk = desk(world, "sample");
        desk.file("notes.txt", TEXT, &json!({}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(desk.downloads().len(), 1);
        let held = carrier(&desk);
        assert_eq!((held.kind.as_str(), held.to_ids), ("malware-sample", true));
        assert_eq!(
            (held.value.clone(), opened(&held.data.unwrap())),
            (format!("notes.txt|{}", md5(TEXT)), TEXT.to_vec())
        );
        assert_eq!(roles(&desk)[..5], hashes("notes.txt", TEXT));
        let report = desk.runs_empty();
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 1), ("unchanged", 1)])
        );
        assert!(desk.downloads().is_empty());
    }
}

#[test]
fn a_plain_file_goes_as_it_is_and_a_program_never() {
    for world in [World::four(), World::five()] {
        let desk = desk(world, "plain");
        let text = desk.file("notes.txt", TEXT, &json!({}));
        desk.run();
        let held = carrier(&desk);
        assert_eq!(
            (held.kind.as_str(), held.value.as_str(), held.to_ids),
            ("attachment", "notes.txt", false)
        );
        assert_eq!(STANDARD.decode(held.data.unwrap()).unwrap(), TEXT);
        desk.remove(&text);
        desk.misp.world().events.clear();
        desk.file("report.pdf", PROGRAM, &json!({}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 1), ("created", 1)])
        );
        let held = carrier(&desk);
        assert_eq!((held.kind.as_str(), held.to_ids), ("malware-sample", true));
        assert_eq!(held.object_relation.as_deref(), Some("malware-sample"));
        assert_eq!(
            (held.value, opened(&held.data.unwrap())),
            (format!("report.pdf|{}", md5(PROGRAM)), PROGRAM.to_vec())
        );
        desk.runs_empty();
        assert!(desk.downloads().is_empty());
    }
}

#[test]
fn a_file_above_the_limit_stays_and_its_hashes_go() {
    let mut desk = desk(World::five(), "sample");
    desk.set(&json!({"max_attachment_mb": 1}));
    let large = vec![b'x'; (1 << 20) + 1];
    desk.file("large.bin", &large, &json!({}));
    desk.file("limit.bin", &vec![b'y'; 1 << 20], &json!({}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    assert_eq!(
        counts(full(&report), "files"),
        of([("fetched", 2), ("created", 1), ("skipped", 1)])
    );
    assert_eq!(
        full(&report)["ledger"]["files"]["skipped_by"],
        json!({"larger than max_attachment_mb (1 MiB)": 1})
    );
    assert!(carrier(&desk).value.starts_with("limit.bin|"));
    assert_eq!(
        (
            desk.downloads().len(),
            desk.attribute(&sample::sha256(&large)).kind.as_str()
        ),
        (1, "sha256")
    );
    desk.runs_empty();
    desk.set(&json!({"max_attachment_mb": 0}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "files"),
        of([("fetched", 2), ("created", 1), ("unchanged", 1)])
    );
}

/// What a TheHive does that does not give a file.
fn faults() -> Vec<(&'static str, Option<What>)> {
    vec![
        (
            "TheHive does not hold the file",
            Some(What::Status(404, "{}".into(), "application/json")),
        ),
        (
            "the answer is not the file but something else",
            Some(What::Body("other bytes".into())),
        ),
        (
            "the answer is not the file but a web page",
            Some(What::Body("<html>log in</html>".into())),
        ),
        ("the answer broke off", Some(What::CutAfter(5))),
        ("TheHive may not be asked", None),
    ]
}

#[test]
fn a_file_that_thehive_does_not_give_is_a_failure_and_its_hashes_go() {
    for (world, said) in
        (0..2).flat_map(|five| faults().into_iter().map(move |said| (five == 1, said)))
    {
        let (reason, what) = said;
        // TheHive 4 tells no length: what broke off there looks like the whole answer.
        let is_short = matches!(what, Some(What::CutAfter(_))) && !world;
        let reason = if is_short {
            "the answer is not the file but something else"
        } else {
            reason
        };
        let desk = desk(if world { World::five() } else { World::four() }, "sample");
        desk.file("evil.exe", PROGRAM, &json!({}));
        let mut job = desk.job();
        match what {
            Some(what) => ["datastore", "download"].into_iter().for_each(|on| {
                desk.thehive.fault(Fault {
                    on,
                    nth: Nth::Always,
                    what: what.clone(),
                })
            }),
            None => {
                job["data"]["observables"] = desk
                    .thehive
                    .world()
                    .observables_of(&desk.case)
                    .cloned()
                    .collect();
                job["config"]["thehive_url"] = json!(null);
                job["config"]["thehive_key"] = json!(null);
            }
        }
        let report = desk.report(job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 1), ("failed", 1)])
        );
        let told = failures(&report);
        assert!(
            told.contains("evil.exe (the file itself)") && told.contains(reason),
            "{told}"
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE: ")
        );
        assert_eq!(roles(&desk), hashes("evil.exe", PROGRAM));
        desk.thehive.heal();
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 1), ("created", 1)])
        );
        assert_eq!(opened(&carrier(&desk).data.unwrap()), PROGRAM);
        assert_eq!(roles(&desk).len(), 6);
        desk.runs_empty();
    }
}

#[test]
fn two_observables_with_the_same_file_are_one_object() {
    for names in [["a.exe", "a.exe"], ["a.exe", "b.exe"]] {
        let desk = desk(World::five(), "sample");
        names
            .iter()
            .for_each(|name| drop(desk.file(name, PROGRAM, &json!({}))));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 2), ("created", 2)])
        );
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 2), ("created", 2)])
        );
        assert_eq!(
            (
                desk.downloads().len(),
                opened(&carrier(&desk).data.unwrap())
            ),
            (1, PROGRAM.to_vec())
        );
        let named: Vec<_> = roles(&desk)
            .into_iter()
            .filter(|(role, _)| role == "filename")
            .map(|(_, name)| name)
            .collect();
        let expected = if names[0] == names[1] {
            vec!["a.exe"]
        } else {
            vec!["a.exe", "b.exe"]
        };
        assert_eq!(named, expected);
        desk.runs_empty();
    }
}

#[test]
fn names_are_made_plain_and_do_no_harm() {
    // The name of the observable, and what is beside the hash and in the zip.
    let names = [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("a|b.txt", "a_b.txt"),
        ("\u{1f600}.pdf", "?.pdf"),
        ("two\nlines.txt", "twolines.txt"),
        ("..", "file"),
    ];
    for option in ["sample", "plain"] {
        let desk = desk(World::four(), option);
        for (number, (name, _)) in names.iter().enumerate() {
            desk.file(name, format!("content {number}").as_bytes(), &json!({}));
        }
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 6), ("created", 6)]),
            "{report:#}"
        );
        for told in [
            "\\\"a|b.txt\\\" itself goes by the name \\\"a_b.txt\\\"",
            "\\\"😀.pdf\\\" is called \\\"?.pdf\\\"",
        ] {
            assert!(warnings(&report).contains(told), "{told}: {report:#}");
        }
        let attributes = desk.event().attributes;
        let of_names = attributes
            .iter()
            .filter(|one| one.kind == "filename")
            .map(|one| one.value.as_str());
        let mut of_names: Vec<_> = of_names.collect();
        of_names.sort_unstable();
        assert_eq!(
            of_names,
            [
                "../../etc/passwd",
                "?.pdf",
                "C:\\Windows\\evil.exe",
                "a|b.txt",
                "two lines.txt"
            ]
        );
        for (number, (_, plain)) in names.iter().enumerate() {
            let content = format!("content {number}").into_bytes();
            let sample = format!("{plain}|{}", md5(&content));
            let event = desk.event();
            let is_it = |one: &&Attribute| {
                one.value == sample || (one.kind == "attachment" && one.value == *plain)
            };
            let held = event.attributes.iter().find(is_it).unwrap();
            let data = held.data.clone().unwrap();
            let stored = if held.kind == "attachment" {
                STANDARD.decode(data).unwrap()
            } else {
                opened(&data)
            };
            assert_eq!(stored, content);
        }
        desk.runs_empty();
    }
}

#[test]
fn a_change_of_the_option_retracts_nothing_and_a_file_joins_its_object() {
    let mut desk = desk(World::five(), "hashes");
    desk.file("notes.txt", TEXT, &json!({}));
    desk.run();
    let object = desk.event().objects[0].uuid.clone();
    desk.set(&json!({"export_attachments": "sample"}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("unchanged", 1)])
    );
    assert_eq!(
        counts(full(&report), "files"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(
        writes(&desk.misp)
            .iter()
            .all(|path| path.starts_with("/events/edit/")),
        "{:?}",
        writes(&desk.misp)
    );
    assert_eq!(
        (roles(&desk).len(), &desk.event().objects[0].uuid),
        (6, &object)
    );
    for option in ["hashes", "plain", "sample"] {
        desk.set(&json!({"export_attachments": option}));
        let report = desk.runs_empty();
        assert!(full(&report)["ledger"].get("retractions").is_none());
        assert!(desk.downloads().is_empty());
    }
    assert!(carrier(&desk).to_ids);
}

#[test]
fn files_go_into_a_feed_too() {
    for (option, name, content) in [
        ("sample", "notes.txt", TEXT),
        ("plain", "notes.txt", TEXT),
        ("plain", "evil.exe", PROGRAM),
    ] {
        let mut desk = Desk::with_feed(World::four(), &json!({}));
        desk.set(&json!({"export_attachments": "hashes"}));
        let id = desk.file(name, content, &json!({}));
        desk.run();
        assert!(desk.downloads().is_empty());
        desk.set(&json!({"export_attachments": option}));
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "files"),
            of([("fetched", 1), ("created", 1)])
        );
        let is_plain = option == "plain" && content == TEXT;
        let value = if is_plain {
            name.to_owned()
        } else {
            format!("{name}|{}", md5(content))
        };
        let objects = desk.feed_event()["Object"].clone();
        assert_eq!(objects.as_array().unwrap().len(), 1);
        let inside: Vec<&Value> = objects[0]["Attribute"].as_array().unwrap().iter().collect();
        let carriers: Vec<_> = inside
            .iter()
            .filter(|one| one.get("data").is_some())
            .collect();
        let [held] = carriers.as_slice() else {
            panic!("{objects:#}")
        };
        assert_eq!(
            (held["value"].as_str().unwrap(), &held["to_ids"]),
            (value.as_str(), &json!(!is_plain))
        );
        let data = held["data"].as_str().unwrap();
        assert_eq!(
            if is_plain {
                STANDARD.decode(data).unwrap()
            } else {
                opened(data)
            },
            content
        );
        desk.runs_empty();
        assert!(desk.downloads().is_empty());
        desk.remove(&id);
        let report = desk.run();
        assert_eq!(
            counts(full(&report), "retractions")["fetched"],
            1,
            "{report:#}"
        );
    }
}

#[test]
fn a_file_that_is_sent_later_waits_for_the_next_ioc_of_a_published_event() {
    let mut desk = Desk::new(World::five(), &json!({}));
    desk.file("evil.exe", PROGRAM, &json!({}));
    desk.run();
    desk.misp.world().events[0].published = true;
    desk.set(&json!({"export_attachments": "sample"}));
    let report = desk.runs_empty();
    assert_eq!(
        counts(full(&report), "files"),
        of([("fetched", 1), ("skipped", 1)]),
        "{report:#}"
    );
    assert!(
        warnings(&report)
            .contains("wait for the next change of its IOCs: malware-sample evil.exe|"),
        "{report:#}"
    );
    assert!(desk.event().published);
    desk.ioc("domain", "new.example", &json!({}));
    let report = desk.run();
    let message = full(&report)["message"].as_str().unwrap();
    assert!(
        message.contains("1 added, 1 unchanged, 1 file sent"),
        "{message}"
    );
    assert_eq!(opened(&carrier(&desk).data.unwrap()), PROGRAM);
    desk.runs_empty();
}
