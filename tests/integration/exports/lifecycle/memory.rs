//! The memory of the real program over a large case.

use std::fs;
use std::io::{Read, Write};
use std::process::Child;

use super::desk::{Desk, domain};
use crate::program::{Program, counts, full, judged, of, search};

/// The most memory that the program may take at any moment beside its own text, in KiB. Of the release's text some 5 MiB are
/// read (`docs/performance.md` has both together), so that both stay below 32; that of the unoptimised build that is tried here
/// says nothing.
const MOST: u64 = 25 << 10;

/// What a pipe takes before its writer has to wait.
const PIPE: usize = 64 << 10;

/// 5,000 IOCs that TheHive sends page by page, first written and then found as they are. The report is larger than a
/// pipe takes at once, so the program waits in the middle of it, with all its work done, while the system is asked for the
/// peak: there is nothing to be missed by asking too late or too early.
#[test]
fn a_case_of_5000_takes_less_than_32_mib() {
    let desk = Desk::five();
    (0..5_000).for_each(|n| {
        drop(desk.add(&domain(&format!(
            "host-{n}.{0}.{0}.example",
            "label".repeat(10)
        ))))
    });
    for verdict in ["created", "unchanged"] {
        let job = desk.job();
        let folder = tempfile::tempdir().unwrap();
        let mut child = Program::Export
            .command()
            .arg(folder.path())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(job.to_string().as_bytes())
            .unwrap();
        let mut report = vec![0];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut report).unwrap();
        let peak = peak(&child);
        stdout.read_to_end(&mut report).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(
            report.len() > PIPE + 1,
            "{} bytes: too few to wait with",
            report.len()
        );
        search(&job, &String::from_utf8_lossy(&report));
        let report = judged(Program::Export, &report);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 5_000), (verdict, 5_000)])
        );
        assert!(peak < MOST, "{peak} KiB");
    }
}

/// The most that the program had in memory at any moment, without the pages of its file, in KiB. One that has ended has none.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a program that has not ended");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    field("VmHWM:").saturating_sub(field("RssFile:"))
}
