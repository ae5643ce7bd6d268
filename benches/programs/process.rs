//! One run of a program: its time, the most memory that it held, and what it printed.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const IMPORT: &str = env!("CARGO_BIN_EXE_misp-import");
pub(crate) const EXPORT: &str = env!("CARGO_BIN_EXE_misp-export");

/// What came of a run.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    /// In MiB; 0 if it ended before anybody looked.
    pub(crate) peak: f64,
    pub(crate) printed: Vec<u8>,
}

impl Run {
    pub(crate) fn seconds(&self) -> f64 {
        self.time.as_secs_f64()
    }
}

/// Runs a program with nothing of this environment but the search path.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Run {
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let status = format!("/proc/{}/status", child.id());
    thread::scope(|scope| {
        let watched = scope.spawn(move || watch(&status));
        // Who does not read all of it says why by what comes out.
        scope.spawn(move || stdin.write_all(input));
        let mut printed = Vec::new();
        stdout.read_to_end(&mut printed).unwrap();
        let status = child.wait().unwrap();
        let time = started.elapsed();
        assert!(status.success(), "{program} {arguments:?}: {status}");
        let peak = watched.join().unwrap();
        Run {
            time,
            peak,
            printed,
        }
    })
}

/// The most memory that a process has held when it ends, in MiB; asked so seldom that it costs the process nothing.
fn watch(status: &str) -> f64 {
    let mut peak = 0.0;
    while let Some(kib) = fs::read_to_string(status).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    }) {
        peak = kib / 1_024.0;
        thread::sleep(Duration::from_micros(500));
    }
    peak
}

/// Runs one of the two programs with a job.
pub(crate) fn run_job(program: &str, job: &Value) -> Run {
    run(program, &["/nonexistent"], job.to_string().as_bytes())
}

/// The report of a job that has to have done what it is measured for: whatever fails is not fast.
pub(crate) fn report(run: &Run) -> Value {
    let report: Value = serde_json::from_slice(&run.printed).unwrap();
    assert_eq!(report["success"], true, "{report:#}");
    let full = report["full"].clone();
    for count in full["ledger"].as_object().unwrap().values() {
        assert_eq!(count["failed"], 0, "{}", full["message"]);
    }
    full
}

/// What lies in the middle of several.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The median time of several runs, in seconds.
pub(crate) fn median_time(runs: &[Run]) -> f64 {
    median(runs.iter().map(Run::seconds).collect())
}

/// The highest peak of several runs, in MiB.
pub(crate) fn highest_peak(runs: &[Run]) -> f64 {
    runs.iter().map(|run| run.peak).fold(0.0, f64::max)
}
