//! A file is looked up by its hashes. Jobs are as a real Cortex 4.1.0 wrote them (`fixtures/jobs/analyzer_file_cortex41.json`).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::misp::{Attribute, Event, Fake, World, key};
use crate::program::{Program, failure, full};

const CONTENT: &[u8] = b"abc";
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

fn misp(kind: &str, value: &str) -> Fake {
    let mut world = World::new();
    let attribute = Attribute {
        id: 1,
        uuid: "6f0e5b5c-1901-4000-8000-000000000001".into(),
        kind: kind.into(),
        category: "Payload delivery".into(),
        value: value.into(),
        distribution: 5,
        to_ids: true,
        ..Attribute::default()
    };
    world.events.push(Event {
        id: 1,
        uuid: "5f0e5b5c-1901-4000-8000-000000000001".into(),
        org: 1,
        orgc: 1,
        published: true,
        date: "2026-01-01".into(),
        attributes: vec![attribute],
        ..Event::default()
    });
    Fake::start(world)
}

fn job(misp: &Fake) -> Value {
    let text = fs::read_to_string("fixtures/jobs/analyzer_file_cortex41.json").unwrap();
    let mut job: Value = serde_json::from_str(&text).unwrap();
    job["config"]["url"] = json!([misp.url()]);
    job["config"]["key"] = json!([key("admin")]);
    job
}

/// Runs a job whose file has this content, if it has one.
fn run(job: &Value, content: Option<&[u8]>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let name = job["file"].as_str().unwrap_or("x");
    if let Some(content) = content {
        let input = folder.path().join("input");
        fs::create_dir_all(&input).unwrap();
        fs::write(input.join(Path::new(name).file_name().unwrap()), content).unwrap();
    }
    Program::Import.folder(job, folder.path())
}

#[test]
fn a_file_is_found_by_each_of_its_hashes() {
    for (kind, value) in [
        ("md5", MD5.to_owned()),
        (
            "sha1",
            "a9993e364706816aba3e25717850c26c9cd0d89d".to_owned(),
        ),
        ("sha256", SHA256.to_owned()),
        ("sha512", SHA512.to_owned()),
        ("filename|sha256", format!("x.exe|{SHA256}")),
        ("malware-sample", format!("x.exe|{MD5}")),
        ("text", SHA256.to_uppercase()),
    ] {
        let misp = misp(kind, &value);
        let report = run(&job(&misp), Some(CONTENT));
        assert_eq!(
            full(&report)["message"],
            format!(
                "1 event knows {SHA256} (évil job.bin) on 1 connection (1 with an IDS attribute)"
            ),
            "{kind}"
        );
        let shown = &full(&report)["connections"][0]["events"][0]["matches"][0];
        assert_eq!(shown["value"], value);
        // One search for all hashes.
        let requests = misp.requests();
        let searches = requests
            .iter()
            .filter(|ask| ask.path == "/attributes/restSearch");
        assert_eq!(searches.count(), 1);
    }
}

#[test]
fn a_file_that_nobody_knows_is_told_so_and_its_name_is_not_looked_up() {
    let misp = misp("filename", "évil job.bin");
    let report = run(&job(&misp), Some(CONTENT));
    assert_eq!(
        full(&report)["message"],
        format!("no event knows {SHA256} (évil job.bin)")
    );
}

#[test]
fn a_job_without_its_file_is_an_error_and_asks_nobody() {
    let misp = misp("md5", MD5);
    let job = job(&misp);
    let with = |name: &str, value: Value| {
        let mut job = job.clone();
        job[name] = value;
        job
    };
    for (job, content, told) in [
        (job.clone(), None, "reading the file that the job carries, "),
        (with("file", json!(null)), None, "the job carries no file"),
        (with("file", json!(7)), None, "the job carries no file"),
        (
            with("file", json!("../input.json")),
            Some(CONTENT),
            "the job's \"file\" is no name of a file",
        ),
        (
            with("file", json!("/etc/passwd")),
            None,
            "the job's \"file\" is no name of a file",
        ),
        (with("file", json!(".")), None, "is no name of a file"),
    ] {
        let report = run(&job, content);
        assert!(failure(&report).contains(told), "{report:#}");
        assert_eq!(misp.requests().len(), 0);
    }
    let report = Program::Import.report(&job);
    assert!(
        failure(&report).contains("came without a job folder"),
        "{report:#}"
    );
}
