//! Jobs that cannot be read, reports that cannot be written, and the jobs as Cortex writes them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::{Program, failure, judged};

const BOTH: [Program; 2] = [Program::Export, Program::Import];

#[test]
fn what_is_no_job_gets_a_failure_that_says_why() {
    let cases: [(&[u8], &str); 10] = [
        (b"", "no job: the standard input is empty"),
        (b" \n", "no job: the standard input is empty"),
        (
            b"not json",
            "the job is not JSON: expected ident at line 1 column 2",
        ),
        (
            br#"{"dataType": "other", "data": "#,
            "the job is cut off at line 1, column 30",
        ),
        (b"[1, 2]", "the job is a list, not an object"),
        (b"\xff{}", "the job is not JSON"),
        (b"\xff\xfe{\0}\0", "the job is UTF-16"),
        (
            br#"{"url": ["https://misp.example.org"]}"#,
            "Missing dataType field: this is a configuration",
        ),
        (br#"{"data": "misp:sync"}"#, "Missing dataType field"),
        (
            br#"{"dataType": 7, "data": 1}"#,
            "the job's dataType is a number, not a text",
        ),
    ];
    for program in BOTH {
        for (input, message) in cases {
            let report = judged(program, &program.streams(input).stdout);
            assert!(
                failure(&report).starts_with(message),
                "{}",
                failure(&report)
            );
        }
    }
}

#[test]
fn missing_data_and_wrong_data_types_are_named() {
    let of = |program: Program, job: Value| failure(&program.report(&job)).to_owned();
    assert_eq!(
        of(Program::Export, json!({"dataType": "thehive:case"})),
        "Missing data field"
    );
    assert_eq!(
        of(Program::Import, json!({"dataType": "other", "data": null})),
        "Missing data field"
    );
    let unsupported = "the data type \"thehive:case_task\" is not supported: supported are thehive:case, thehive:case_artifact, thehive:alert";
    assert_eq!(
        of(
            Program::Export,
            json!({"dataType": "thehive:case_task", "data": {}})
        ),
        unsupported
    );
    let refused = of(
        Program::Import,
        json!({"dataType": "thehive:case", "data": {}}),
    );
    assert!(refused.starts_with(
        "the data type \"thehive:case\" is not supported: supported are other, domain, "
    ));
}

#[test]
fn a_job_of_200_mb_is_refused_before_it_fills_the_memory() {
    for program in BOTH {
        let mut child = program.command().arg("/nonexistent").spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let megabyte = vec![b'a'; 1 << 20];
        drop(stdin.write_all(b"{\"dataType\":\"other\",\"data\":\""));
        for _ in 0..200 {
            if stdin.write_all(&megabyte).is_err() {
                break;
            }
        }
        drop(stdin);
        let report = judged(program, &child.wait_with_output().unwrap().stdout);
        assert!(
            failure(&report).contains("the job has more than 10 MiB"),
            "{report}"
        );
    }
}

#[test]
fn deep_nesting_and_duplicate_keys_break_nothing() {
    let deep = format!(
        "{{\"dataType\":\"other\",\"data\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for program in BOTH {
        let report = judged(program, &program.streams(deep.as_bytes()).stdout);
        assert!(failure(&report).contains("recursion limit"), "{report}");
    }
    let twice = br#"{"dataType":"thehive:alert","dataType":"other","data":"x","data":"misp:sync","config":{}}"#;
    let report = judged(Program::Import, &Program::Import.streams(twice).stdout);
    assert!(failure(&report).contains("\"name\" is not set"), "{report}");
}

#[test]
fn a_job_folder_that_cannot_be_written_gets_one_line_and_status_1() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("input")).unwrap();
    fs::write(folder.path().join("input/input.json"), "{}").unwrap();
    // A file where the folder should be: it stops a privileged user too.
    fs::write(folder.path().join("output"), "").unwrap();
    let output = Program::Import
        .command()
        .arg(folder.path())
        .output()
        .unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (
            output.status.code(),
            output.stdout.len(),
            line.lines().count()
        ),
        (Some(1), 0, 1),
        "{line}"
    );
    assert!(line.starts_with("writing the report to "), "{line}");
}

#[test]
fn a_closed_standard_output_gets_one_line_and_status_1() {
    let mut child = Program::Import
        .command()
        .arg("/nonexistent")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
}

#[test]
fn the_report_can_be_read_by_cortex_whoever_ran_the_program() {
    let folder = tempfile::tempdir().unwrap();
    Program::Import.folder(&json!({"dataType": "other", "data": "x"}), folder.path());
    let mode = |name: &str| {
        fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode()
    };
    // What the administrator's umask takes away from every file is taken from this one.
    fs::write(folder.path().join("plain"), "").unwrap();
    assert_eq!(mode("output/output.json"), mode("plain"));
}

/// The jobs of `fixtures/jobs/` are as Cortex writes them, with our configuration names and no server behind them.
#[test]
fn every_job_as_cortex_writes_it_gets_a_report() {
    let mut seen = 0;
    for entry in fs::read_dir("fixtures/jobs").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let program = if name.starts_with("responder") {
            Program::Export
        } else {
            Program::Import
        };
        let job: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let report = program.folder(&job, folder.path());
        if name == "responder_case_thehive5_tlp_red" {
            assert_eq!(failure(&report), "TLP is higher than allowed.");
        }
        assert_eq!(program.report(&job)["success"], report["success"], "{name}");
        seen += 1;
    }
    assert_eq!(seen, 20);
}

#[test]
fn wrong_configurations_are_explained_and_nothing_is_sent() {
    let cases = [
        (
            json!({"name": ["a", "b"], "url": ["https://a.invalid"], "key": ["canary-key-1", "canary-key-2"]}),
            "have 2 and 1 elements",
        ),
        (
            json!({"name": ["a", "b"], "url": ["https://a.invalid", "https://b.invalid"], "key": [null, "canary-key-2"]}),
            "configuration item \"key\": element 1 is empty",
        ),
        (
            json!({"name": ["a", "a"], "url": ["https://a.invalid", "https://b.invalid"], "key": ["canary-key-1", "canary-key-2"]}),
            "are both \"a\"",
        ),
        (
            json!({"name": ["a"], "url": ["misp.invalid"], "key": ["canary-key-1"]}),
            "has no scheme: write it as https://host",
        ),
        (
            json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"], "purpose": ["Both"]}),
            "write one of ImportOnly, ExportOnly, ImportAndExport",
        ),
        (
            json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"], "read_timeout": -5}),
            "\"read_timeout\" is no whole number from 1 on: write a whole number from 1 on, such as 300",
        ),
        (
            json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"], "cert_check": "perhaps"}),
            "\"cert_check\" is neither true nor false: write one of these",
        ),
        (
            json!({"url": ["https://a.invalid"]}),
            "configuration item \"name\" is not set",
        ),
        (
            json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"], "cert_path": ["/nonexistent.pem"]}),
            "reading the certificates in /nonexistent.pem",
        ),
        (
            json!({"name": ["a"], "url": ["file:///nonexistent/feed"]}),
            "the feed's folder /nonexistent/feed does not exist: create it, or mount it",
        ),
        (
            json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary\nkey-1"]}),
            "the key has a character that no HTTP header",
        ),
    ];
    for (config, message) in cases {
        let case = json!({"_id": "~1", "createdAt": 1, "startDate": 1, "title": "T", "tlp": 0, "observables": [{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]});
        for (program, job) in [
            (
                Program::Export,
                json!({"dataType": "thehive:case", "data": case, "config": config}),
            ),
            (
                Program::Import,
                json!({"dataType": "other", "data": "misp:sync", "config": config}),
            ),
        ] {
            let report = program.report(&job);
            // A responder's may be shown as Markdown: addresses are quoted in it.
            let said = failure(&report).replace('`', "");
            assert!(
                said.contains(&message.replace('`', "")),
                "{message} is not in {said}"
            );
            assert!(!report.to_string().contains("canary"));
        }
    }
}

#[test]
fn a_purpose_that_forbids_the_work_is_named() {
    let config = |purpose: &str| json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"], "purpose": [purpose]});
    let case = json!({"_id": "~1", "startDate": 1});
    let report = Program::Export
        .report(&json!({"dataType": "thehive:case", "data": case, "config": config("ImportOnly")}));
    assert!(failure(&report).starts_with("no connection may export: set its \"purpose\""));
    let report = Program::Import
        .report(&json!({"dataType": "other", "data": "misp:sync", "config": config("ExportOnly")}));
    assert!(failure(&report).starts_with("no connection may import: set its \"purpose\""));
}

#[test]
fn a_case_without_observables_names_the_two_options_to_set() {
    let config = json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"]});
    for data in [
        json!({"_id": "~1"}),
        json!({"_id": "~1", "observables": [], "artifacts": []}),
    ] {
        let report = Program::Export
            .report(&json!({"dataType": "thehive:case", "data": data, "config": config}));
        assert!(failure(&report).contains("set \"thehive_url\" and \"thehive_key\""));
    }
}

#[test]
fn commands_that_cannot_be_followed_are_explained() {
    let config = json!({"name": ["a"], "url": ["https://a.invalid"], "key": ["canary-key-1"]});
    let report = Program::Import
        .report(&json!({"dataType": "other", "data": "misp:event:42", "config": config}));
    assert!(
        failure(&report)
            .starts_with("misp:event: is followed by no uuid: commands are misp:sync, ")
    );
    let report = Program::Import
        .report(&json!({"dataType": "other", "data": "misp:sync:b", "config": config}));
    assert!(failure(&report).ends_with("the names are \"a\""));
    let parameters = json!({"since": "the day before yesterday"});
    let report = Program::Import
        .report(&json!({"dataType": "other", "data": "misp:sync", "config": config, "parameters": parameters}));
    assert!(failure(&report).starts_with("parameter \"since\" is not understood"));
}
