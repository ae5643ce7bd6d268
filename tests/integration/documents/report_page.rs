//! The reports that the page in TheHive is looked at with, each made by the real programs and written to `target/pages/`;
//! `tests/pages/run` shows them in a browser. Here each is checked to be in the state that its name says.

mod states;
mod world;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{Program, search};

/// Runs a job, and keeps its report as the page gets it. What changes from run to run is replaced by `(what, by)`.
fn keep(state: &str, program: Program, job: &Value, replaced: &[(String, &str)]) -> Value {
    let report = program.report(job);
    let page = json!({
        "state": state,
        "report": report,
        "artifact": {"dataType": job["dataType"], "data": job["data"]},
    });
    fs::write(
        folder().join(format!("{state}.json")),
        settled(&format!("{page:#}\n"), replaced),
    )
    .unwrap();
    report
}

/// Runs a job as a person at a terminal does, and keeps what is printed.
fn keep_text(
    state: &str,
    program: Program,
    command: &str,
    job: &Value,
    replaced: &[(String, &str)],
) -> String {
    let mut child = program
        .command()
        .args(["--pretty", "/nonexistent"])
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    search(job, &text);
    let text = settled(&format!("$ {command}\n{text}"), replaced);
    fs::write(folder().join(format!("{state}.txt")), &text).unwrap();
    text
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages/reports");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn settled(text: &str, replaced: &[(String, &str)]) -> String {
    replaced
        .iter()
        .fold(text.to_owned(), |text, (what, by)| text.replace(what, by))
}
