//! A person at a terminal: what is shown while a run works, what is said without a job, and that none of it is seen elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::alerts::writing::desk::events;
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, key};
use crate::program::{Program, full, judged, search};

/// A terminal: what a program prints on it is read from here.
struct Terminal {
    screen: File,
    device: std::path::PathBuf,
}

impl Terminal {
    fn new() -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let device = Path::new(std::ffi::OsStr::from_bytes(
            ptsname(&screen, Vec::new()).unwrap().as_bytes(),
        ))
        .to_owned();
        Self {
            screen: File::from(screen),
            device,
        }
    }

    /// One of a program's three streams, connected with it.
    fn stream(&self) -> Stdio {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(&self.device)
            .unwrap()
            .into()
    }

    /// What is printed until it is so.
    fn read_until(&mut self, is_enough: impl Fn(&str) -> bool) -> String {
        let mut text = Vec::new();
        while !is_enough(&String::from_utf8_lossy(&text)) {
            let mut some = [0; 512];
            // The last program that had it open is gone.
            let Ok(number @ 1..) = self.screen.read(&mut some) else {
                break;
            };
            text.extend_from_slice(&some[..number]);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn job(misp: &Fake) -> Value {
    let config = json!({
        "name": ["partner"], "url": [misp.url()], "key": [key("admin")],
        "max_age_days": 0, "published_only": false, "max_parallel": 1,
    });
    json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config})
}

fn give(child: &mut Child, job: &Value) {
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.to_string().as_bytes())
        .unwrap();
}

#[test]
fn a_line_says_how_far_a_run_is_and_goes_with_it() {
    let misp = Fake::start(events(3));
    // Each event is read by itself.
    misp.fault(Fault {
        on: "/events/restSearch",
        nth: Nth::Always,
        what: What::Status(500, "{}".to_owned(), "application/json"),
    });
    misp.fault(Fault {
        on: "/events/view/",
        nth: Nth::Only(3),
        what: What::Hang,
    });
    let mut terminal = Terminal::new();
    let mut child = Program::Import
        .command()
        .arg("/nonexistent")
        .stderr(terminal.stream())
        .spawn()
        .unwrap();
    give(&mut child, &job(&misp));
    let seen = terminal.read_until(|text| text.contains("2 created"));
    assert!(
        Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let report = judged(Program::Import, &output.stdout);
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .starts_with("INCOMPLETE: 3 events read"),
        "{report:#}"
    );
    let seen = seen + &terminal.read_until(|_| false);
    let line = seen
        .rsplit("\r\x1b[K")
        .find(|line| line.contains("created"))
        .unwrap();
    assert!(
        line.starts_with("misp-import: ") && line.contains(" requests, 3 events, 2 created, 6"),
        "{seen:?}"
    );
    assert!(seen.ends_with("\r\x1b[K"), "the line is wiped: {seen:?}");
    search(&job(&misp), &seen);
}

#[test]
fn a_job_folder_is_worked_on_in_silence_even_at_a_terminal() {
    let misp = Fake::start(events(1));
    misp.fault(Fault {
        on: "/events/view/",
        nth: Nth::Always,
        what: What::Hang,
    });
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("input")).unwrap();
    fs::write(
        folder.path().join("input/input.json"),
        job(&misp).to_string(),
    )
    .unwrap();
    let mut terminal = Terminal::new();
    let (out, err) = (terminal.stream(), terminal.stream());
    let mut child = Program::Import
        .command()
        .arg(folder.path())
        .stdout(out)
        .stderr(err)
        .spawn()
        .unwrap();
    while !misp
        .requests()
        .iter()
        .any(|request| request.path.contains("/events/view/"))
    {
        std::thread::yield_now();
    }
    assert!(
        Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
    assert_eq!(terminal.read_until(|_| false), "");
    judged(
        Program::Import,
        &fs::read(folder.path().join("output/output.json")).unwrap(),
    );
}

#[test]
fn whoever_starts_it_without_a_job_is_told_what_to_do() {
    let mut terminal = Terminal::new();
    let [stdin, stdout, stderr] = [terminal.stream(), terminal.stream(), terminal.stream()];
    let mut command = Program::Export.command();
    let mut child = command
        .arg("/nonexistent")
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    drop(command);
    assert!(child.wait().unwrap().success());
    let text = terminal.read_until(|_| false);
    assert!(
        text.starts_with("misp-export: FAILURE\r\n  no job: ") && text.contains("--help shows one"),
        "{text:?}"
    );
}

#[test]
fn a_report_can_be_read_as_text_beside_the_one_in_the_job_folder() {
    let misp = Fake::start(events(1));
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("input")).unwrap();
    fs::write(
        folder.path().join("input/input.json"),
        job(&misp).to_string(),
    )
    .unwrap();
    let output = Program::Import
        .command()
        .arg("--pretty")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("misp-import: 1 event read, 1 would become an alert with 3 attributes"),
        "{text}"
    );
    assert!(
        text.contains("1 IOC can be imported") && text.contains("TLP:AMBER  3 attributes  Event 1"),
        "{text}"
    );
    let report = judged(
        Program::Import,
        &fs::read(folder.path().join("output/output.json")).unwrap(),
    );
    assert_eq!(full(&report)["ledger"]["events"]["created"], 1);
}

/// The example of a job is one: it is understood, and fails only for want of the servers that it names.
#[test]
fn help_explains_itself_by_a_job_that_works() {
    for (program, name) in [
        (Program::Export, "misp-export"),
        (Program::Import, "misp-import"),
    ] {
        let help =
            String::from_utf8(program.command().arg("--help").output().unwrap().stdout).unwrap();
        let usage = format!("Usage: {name} ");
        for words in [
            usage.as_str(),
            "check",
            "--pretty",
            "--manifest",
            "Exit status:",
            "JOB_DIR/input/input.json",
        ] {
            assert!(help.contains(words), "{help}");
        }
        let from = help.split_once("such as\n").unwrap().1;
        let example: Value = serde_json::Deserializer::from_str(from)
            .into_iter()
            .next()
            .unwrap()
            .unwrap();
        // Nothing listens on port 9, and no name has to be looked up.
        let example = ["https://misp.example.org", "https://thehive.example.org"]
            .iter()
            .fold(example.to_string(), |job, url| {
                job.replace(url, "http://127.0.0.1:9")
            });
        let report = program.report(&serde_json::from_str(&example).unwrap());
        let message = report["errorMessage"].as_str().unwrap();
        assert!(message.contains("nothing listens there"), "{message}");
        let version =
            String::from_utf8(program.command().arg("--version").output().unwrap().stdout).unwrap();
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}
