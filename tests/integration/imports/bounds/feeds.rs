//! Feeds: the manifest only says what to open, a bad entry or file costs itself, and `hashes.csv` never gives a false
//! all-clear.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{entry, feed, flaws, ignored, on_feed, too_long, uuid, with};
use crate::program::{Program, counts, full, of};

/// Runs the job of a folder of `fixtures/faults`.
fn fault(name: &str) -> Value {
    let folder = fs::canonicalize(Path::new("fixtures/faults").join(name)).unwrap();
    let job = fs::read_to_string(folder.join("job.json"))
        .unwrap()
        .replace("@HERE@", folder.to_str().unwrap());
    Program::Import.report(&serde_json::from_str(&job).unwrap())
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

#[test]
fn the_event_file_decides_about_tlp_tags_and_filters() {
    let report = fault("01-manifest-without-tags");
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"tag workflow:* is excluded": 1})
    );
    assert_eq!(full(&report)["connections"][0]["events"][0]["tlp"], "RED");
}

#[test]
fn a_manifest_says_what_to_open_and_nothing_else() {
    let folder = feed(1);
    let tagged = json!({"Tag": [{"name": "tlp:red"}, {"name": "fresh"}], "info": "As the file has it", "date": "2020-02-02", "threat_level_id": "1"});
    let mut stale = entry(folder.path(), 1, &tagged);
    stale["Tag"] = json!([{"name": "tlp:clear"}, {"name": "stale"}]);
    stale["Orgc"] = json!({"name": "Nobody"});
    fs::write(
        folder.path().join("manifest.json"),
        json!({uuid(1): stale}).to_string(),
    )
    .unwrap();
    let events = |more: Value| {
        let report = Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &more));
        full(&report)["ledger"]["events"].clone()
    };
    let report = Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
    let alert = &full(&report)["alerts"][0];
    assert_eq!(
        (&alert["title"], &alert["tlp"], &alert["severity"]),
        (&json!("As the file has it"), &json!(4), &json!(3))
    );
    assert_eq!(alert["tags"], json!(["tlp:red", "fresh"]));
    assert_eq!(events(json!({"include_tags": ["fresh"]}))["created"], 1);
    assert_eq!(events(json!({"exclude_tags": ["stale"]}))["created"], 1);
    assert_eq!(events(json!({"exclude_tags": ["fresh"]}))["skipped"], 1);
    assert_eq!(
        events(json!({"include_organisations": ["Nobody"]}))["skipped"],
        1
    );
    assert_eq!(
        events(json!({"max_age_days": 90}))["skipped_by"],
        json!({"older than 90 days": 1})
    );
}

#[test]
fn tags_in_every_shape_that_misp_takes_count() {
    let report = fault("02-tag-as-object");
    let alert = &full(&report)["alerts"][0];
    assert_eq!(
        (&alert["tlp"], &alert["tags"]),
        (&json!(4), &json!(["src:Example Org", "tlp:red"]))
    );
    for (tags, organisation) in [
        (json!(["tlp:red"]), json!({"orgc": {"name": "Lower"}})),
        (
            json!([{"Tag": {"name": "tlp:red"}}]),
            json!({"Orgc": {"name": "Lower"}}),
        ),
        (
            json!({"3": {"name": "tlp:red"}}),
            json!({"Orgc": {"name": "Lower"}, "orgc": {"name": "other"}}),
        ),
    ] {
        let folder = feed(1);
        let mut event = organisation;
        event["Tag"] = tags;
        entry(folder.path(), 1, &event);
        let report =
            Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
        let alert = &full(&report)["alerts"][0];
        assert_eq!(
            (&alert["tlp"], &alert["tags"][0]),
            (&json!(4), &json!("src:Lower")),
            "{event}"
        );
    }
}

#[test]
fn an_index_of_something_else_is_no_all_clear() {
    let report = fault("04a-file-hashes");
    assert_eq!(
        message(&report),
        "1 event knows 192.0.2.1 on 1 connection (1 with an IDS attribute)"
    );
    // Where the events cannot be read in its place, nothing was searched.
    let (folder, from) = (
        tempfile::tempdir().unwrap(),
        "fixtures/faults/04a-file-hashes/feed/hashes.csv",
    );
    fs::copy(from, folder.path().join("hashes.csv")).unwrap();
    let report = Program::Import.report(&on_feed(folder.path(), "ip", "192.0.2.1", &json!({})));
    assert_eq!(
        message(&report),
        "192.0.2.1 was not looked up: no connection could be searched for it"
    );
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        warnings.contains("1 of 1 lines of hashes.csv are not the md5 of a value"),
        "{warnings}"
    );
}

#[test]
fn an_event_file_is_opened_as_the_manifest_spells_it() {
    let report = fault("05-uppercase-uuid");
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(
        full(&report)["alerts"][0]["sourceRef"],
        "56f47ef6-794a-5d53-8306-ae908dda366c"
    );
    // The file in lower case, and in lower case with dashes.
    for spelled in [
        uuid(1).to_uppercase(),
        uuid(1).to_uppercase().replace('-', ""),
    ] {
        let folder = feed(1);
        let manifest = fs::read_to_string(folder.path().join("manifest.json")).unwrap();
        fs::write(
            folder.path().join("manifest.json"),
            manifest.replace(&uuid(1), &spelled),
        )
        .unwrap();
        let report =
            Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)]),
            "{spelled}"
        );
    }
}

#[test]
fn one_uuid_spelled_five_ways_is_one_alert() {
    let folder = feed(1);
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let one = &manifest[uuid(1)];
    let plain = uuid(1);
    let spelled = [
        plain.clone(),
        plain.to_uppercase(),
        plain.replace('-', ""),
        format!("{{{plain}}}"),
        format!("urn:uuid:{plain}"),
    ];
    let manifest: serde_json::Map<_, _> =
        spelled.into_iter().map(|key| (key, one.clone())).collect();
    fs::write(
        folder.path().join("manifest.json"),
        Value::from(manifest).to_string(),
    )
    .unwrap();
    let report = Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 5), ("created", 1), ("skipped", 4)])
    );
    assert_eq!(full(&report)["alerts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bad_entry_of_a_manifest_costs_itself_and_is_named() {
    let folder = feed(2);
    let good: Value =
        serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let head = json!({"date": "2026-01-01", "timestamp": "1795294129"});
    let spoilt = flaws("info")
        .into_iter()
        .chain([too_long()])
        .map(|(flaw, why)| (uuid(3), with(&head, &flaw), why));
    let others = [
        (uuid(3), "7".to_owned(), "is a number, not an object"),
        (uuid(3), "[[]]".to_owned(), "is a list, not an object"),
        (uuid(3), "nonsense".to_owned(), "cannot be read"),
        (
            "no uuid".to_owned(),
            head.to_string(),
            "the manifest's key \"no uuid\" is no uuid",
        ),
        (
            format!("\\u001b[2J{}", "k".repeat(1 << 16)),
            head.to_string(),
            "the manifest's key \"\\u{1b}[2Jkkk",
        ),
    ];
    for (key, bad, why) in spoilt.chain(others) {
        let manifest = format!("{{\"{key}\": {bad}, {}", good.to_string().split_at(1).1);
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        let report =
            Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 3), ("created", 2), ("failed", 1)]),
            "{why}"
        );
        let failures = full(&report)["connections"][0]["failures"]
            .to_string()
            .replace("\\\\", "\\");
        let is_named = !key.contains('-') || failures.contains(&uuid(3));
        assert!(
            failures.replace("\\\"", "\"").contains(why) && is_named,
            "{why}: {failures}"
        );
    }
}

#[test]
fn what_is_ignored_in_a_manifest_or_an_event_costs_nothing() {
    for more in ignored() {
        let folder = feed(2);
        let read = |name: &str| {
            serde_json::from_slice::<Value>(&fs::read(folder.path().join(name)).unwrap()).unwrap()
        };
        let manifest = read("manifest.json");
        let entries =
            [1, 2].map(|n| format!("\"{}\": {}", uuid(n), with(&manifest[uuid(n)], &more)));
        fs::write(
            folder.path().join("manifest.json"),
            format!("{{{}}}", entries.join(",")),
        )
        .unwrap();
        let name = format!("{}.json", uuid(1));
        let event = format!(
            "{{\"Event\": {}, {more}}}",
            with(&read(&name)["Event"], &more)
        );
        fs::write(folder.path().join(name), event).unwrap();
        let report =
            Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 2)])
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 2), ("created", 2)])
        );
    }
}

#[test]
fn a_bad_event_file_costs_itself() {
    for (flaw, why) in flaws("info").into_iter().chain([too_long()]) {
        let folder = feed(2);
        let head = json!({"uuid": uuid(1), "date": "2026-01-01"});
        fs::write(
            folder.path().join(format!("{}.json", uuid(1))),
            format!("{{\"Event\": {}}}", with(&head, &flaw)),
        )
        .unwrap();
        let report =
            Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 2), ("created", 1), ("failed", 1)])
        );
        let failures = full(&report)["connections"][0]["failures"].to_string();
        assert!(
            failures.contains(&uuid(1)) && failures.contains(why),
            "{why}: {failures}"
        );
    }
}

/// As a server hands it over that has packed files and does not say so.
fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_packed_event_is_read_within_the_same_bounds() {
    let folder = feed(1);
    let mut files = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let path = files
        .find(|path| path.file_stem().unwrap().len() == 36)
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, packed(&text)).unwrap();
    let report = Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)])
    );
}

#[test]
fn a_manifest_in_another_encoding_is_read_or_named() {
    let folder = feed(1);
    let path = folder.path().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let run = |bytes: Vec<u8>| {
        fs::write(&path, bytes).unwrap();
        Program::Import.report(&on_feed(folder.path(), "other", "misp:sync", &json!({})))
    };
    let report = run(format!("\u{feff}{text}").into_bytes());
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(
        counts(full(&run(packed(&text))), "events"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(
        run(packed(&text)[..60].to_vec())["errorMessage"]
            .as_str()
            .unwrap()
            .contains("manifest.json")
    );
    assert_eq!(counts(full(&run(b"[]".to_vec())), "events"), of([]));
    let utf16 = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>()
    };
    for bytes in [utf16(&format!("\u{feff}{text}")), utf16(&text)] {
        let report = run(bytes);
        assert!(
            report["errorMessage"]
                .as_str()
                .unwrap()
                .contains("it is UTF-16"),
            "{report}"
        );
    }
}

#[test]
fn a_time_that_is_none_is_opened_and_counted() {
    let folder = feed(1);
    let mut negative = entry(folder.path(), 2, &json!({}));
    negative["timestamp"] = json!("-5");
    let mut none = entry(folder.path(), 3, &json!({}));
    none.as_object_mut().unwrap().shift_remove("timestamp");
    fs::write(
        folder.path().join("manifest.json"),
        json!({uuid(2): negative, uuid(3): none}).to_string(),
    )
    .unwrap();
    for since in ["all", "7d"] {
        let mut job = on_feed(folder.path(), "other", "misp:sync", &json!({}));
        job["parameters"]["since"] = json!(since);
        assert_eq!(
            counts(full(&Program::Import.report(&job)), "events"),
            of([("fetched", 2), ("created", 2)])
        );
    }
}

#[test]
fn links_in_a_feeds_folder_are_not_followed() {
    let (private, folder) = (feed(1), feed(2));
    let secret = fs::read_to_string(private.path().join(format!("{}.json", uuid(1))))
        .unwrap()
        .replace("Event 1", "Private");
    fs::write(private.path().join("secret.json"), secret).unwrap();
    let name = format!("{}.json", uuid(1));
    fs::remove_file(folder.path().join(&name)).unwrap();
    symlink(
        private.path().join("secret.json"),
        folder.path().join(&name),
    )
    .unwrap();
    let job = on_feed(folder.path(), "other", "misp:sync", &json!({}));
    let report = Program::Import.report(&job);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 2), ("created", 1), ("failed", 1)])
    );
    assert!(
        report
            .to_string()
            .contains("symbolic link, which is not followed")
            && !report.to_string().contains("Private")
    );
    // An export leaves it out of the index.
    let mut export = json!({"dataType": "thehive:case", "data": {"_id": "~1", "caseId": 1, "title": "T", "startDate": 1, "tlp": 1,
        "observables": [{"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 1}]}});
    export["config"] = job["config"].clone();
    let report = Program::Export.report(&export);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert!(
        full(&report)["connections"][0]["warnings"]
            .to_string()
            .contains("symbolic link"),
        "{report:#}"
    );
    for file in ["manifest.json", "hashes.csv"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(
            text.contains(&uuid(2)) && !text.contains(&uuid(1)) && !text.contains("Private"),
            "{file}"
        );
    }
    for file in ["manifest.json", "hashes.csv"] {
        fs::rename(folder.path().join(file), private.path().join(file)).unwrap();
        symlink(private.path().join(file), folder.path().join(file)).unwrap();
    }
    for (data_type, data) in [("other", "misp:sync"), ("domain", "host-2.example")] {
        let report = Program::Import.report(&on_feed(folder.path(), data_type, data, &json!({})));
        assert!(
            report
                .to_string()
                .contains("symbolic link, which is not followed"),
            "{report:#}"
        );
        assert!(!report.to_string().contains("no event knows"));
    }
}

#[test]
fn an_input_that_is_no_file_is_an_error_at_once() {
    for make in [["mkfifo", ""], ["ln", "/dev/zero"], ["ln", "/nonexistent"]] {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("input");
        fs::create_dir(&input).unwrap();
        fs::create_dir(folder.path().join("output")).unwrap();
        let input = input.join("input.json");
        match make {
            ["mkfifo", _] => assert!(
                Command::new("mkfifo")
                    .arg(&input)
                    .status()
                    .unwrap()
                    .success()
            ),
            [_, to] => symlink(to, &input).unwrap(),
        }
        for program in [Program::Import, Program::Export] {
            // The standard input stays open: whoever read it would wait for ever.
            let mut child = program.command().arg(folder.path()).spawn().unwrap();
            let open = child.stdin.take();
            assert!(child.wait().unwrap().success());
            drop(open);
            let report = fs::read_to_string(folder.path().join("output/output.json")).unwrap();
            assert!(
                report.contains("input.json") && report.contains("\"success\":false"),
                "{report}"
            );
        }
    }
}
