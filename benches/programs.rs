//! What the programs need as whole processes, in time and memory: `cargo bench --bench programs`. Figures are printed,
//! nothing is asserted.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a program for people, with the fake MISP of the tests"
)]

#[path = "../tests/integration/harness/http_fake.rs"]
mod http_fake;
#[path = "../tests/integration/harness/misp/mod.rs"]
mod misp;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROUNDS: usize = 20;

fn main() {
    println!("{:<44} {:>10} {:>10}", "", "median", "peak");
    let import = env!("CARGO_BIN_EXE_misp-import");
    let export = env!("CARGO_BIN_EXE_misp-export");
    line("empty job, import", import, &json!({}));
    line("empty job, export", export, &json!({}));
    let fake = misp::Fake::start(misp::World::with_corpus());
    let config = json!({
        "name": ["fake"], "url": [fake.url()], "key": [misp::key("admin")],
        "published_only": false, "max_age_days": 0, "max_attributes": 0,
    });
    let sync = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
    line("import of the corpus: 34 events", import, &sync);
    for number in [10, 1_000] {
        let folder = tempfile::tempdir().unwrap();
        line(
            &format!("export of {number} IOCs into a feed, then unchanged"),
            export,
            &case(number, folder.path()),
        );
    }
}

fn case(number: usize, folder: &std::path::Path) -> Value {
    let observable = |n: usize| json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true, "tlp": 1});
    let observables: Vec<_> = (0..number).map(observable).collect();
    let data = json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 1, "observables": observables});
    let config =
        json!({"name": ["feed"], "url": [format!("file://{}", folder.display())], "key": ["-"]});
    json!({"dataType": "thehive:case", "data": data, "config": config})
}

fn line(name: &str, program: &str, job: &Value) {
    let mut runs: Vec<_> = (0..ROUNDS).map(|_| run(program, job)).collect();
    runs.sort();
    let peak = runs.iter().map(|(_, peak)| *peak).max().unwrap();
    let median = runs[ROUNDS / 2].0;
    println!(
        "{name:<44} {:>7.1} ms {:>6.1} MiB",
        median.as_secs_f64() * 1_000.0,
        peak as f64 / 1_024.0
    );
}

/// The time of one run, and the highest peak of memory seen while it ran, in KiB.
fn run(program: &str, job: &Value) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg("/nonexistent")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.to_string().as_bytes())
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
                .unwrap_or(0),
        );
    }
    (started.elapsed(), peak)
}
