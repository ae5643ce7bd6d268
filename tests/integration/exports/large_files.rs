//! A large file, sent by the real program, whose memory is watched.

use std::fs;
use std::io::{Read, Write};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cortex_misp::sample;
use serde_json::json;

use crate::desk::Desk;
use crate::program::{Program, counts, full, judged, of};
use crate::thehive::World;

/// So many bytes that no compressor makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The report of a job, and the most memory that the program held, in kB.
fn watched(job: &str) -> (Vec<u8>, u64) {
    let empty = tempfile::tempdir().unwrap();
    let mut child = Program::Export.command().arg(empty.path()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.as_bytes())
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut report = Vec::new();
        stdout.read_to_end(&mut report).unwrap();
        report
    });
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line
            .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(peak);
        thread::yield_now();
    }
    (reader.join().unwrap(), peak)
}

#[test]
fn a_file_of_25_mb_goes_out_and_is_the_same_afterwards() {
    let mut desk = Desk::new(World::five(), &json!({}));
    desk.set(&json!({"export_attachments": "sample"}));
    let content = noise(25_000_000);
    desk.file("large.bin", &content, &json!({}));
    let (report, peak) = watched(&desk.job().to_string());
    let report = judged(Program::Export, &report);
    println!(
        "the program held {} MiB at most for a file of 25 MB",
        peak >> 10
    );
    assert_eq!(
        counts(full(&report), "files"),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
    let held = desk
        .event()
        .attributes
        .into_iter()
        .find_map(|one| one.data)
        .unwrap();
    let zip = STANDARD.decode(held).unwrap();
    let back = sample::unpack(&zip, sample::PASSWORD, 25_000_000).unwrap();
    assert_eq!(sample::sha256(&back), sample::sha256(&content));
    desk.runs_empty();
    assert!(desk.downloads().is_empty());
}
