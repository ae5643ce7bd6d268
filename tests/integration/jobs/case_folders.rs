//! Cases as folders: `fixtures/<program>/<case>/` holds `job.json`, the feed before (`before/`), the report expected
//! (`report.json`) and the feed afterwards (`after/`). Adding a case is adding files: `BLESS=1 cargo nextest run cases`
//! writes what is expected, to be read like code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use crate::canaries::search_files;
use crate::program::{Program, judged, search};

#[test]
fn every_export_case_gives_the_report_and_the_feed_expected() {
    run_all(Program::Export, "export");
}

#[test]
fn every_import_case_gives_the_report_expected() {
    run_all(Program::Import, "import");
}

fn run_all(program: Program, name: &str) {
    let folder = Path::new("fixtures").join(name);
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let wrong: Vec<_> = cases
        .iter()
        .filter_map(|case| run(program, case).err())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn run(program: Program, case: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("feed");
    fs::create_dir(&feed).unwrap();
    for (name, text) in files(&case.join("before")) {
        fs::write(feed.join(name), text).unwrap();
    }
    let job = fs::read_to_string(case.join("job.json")).unwrap();
    let partners = fs::canonicalize("fixtures/quickstart/partners").unwrap();
    let job = job
        .replace("@FEED@", feed.to_str().unwrap())
        .replace("@PARTNERS@", partners.to_str().unwrap());
    let output = program.streams(job.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    let report = judged(program, text.as_bytes());
    let read = serde_json::from_str(&job).unwrap_or_default();
    search(&read, &text);
    search_files(&read, &feed);
    let told = settled(
        &format!("{report:#}\n"),
        &[(&feed, "@FEED@"), (&partners, "@PARTNERS@")],
    );
    compare(&case.join("report.json"), &told)?;
    let after = files(&feed);
    let expected = case.join("after");
    if std::env::var_os("BLESS").is_some() && !after.is_empty() {
        fs::create_dir_all(&expected).unwrap();
    }
    for (name, text) in &after {
        compare(&expected.join(name), &settled(text, &[]))?;
    }
    let (have, want): (Vec<_>, Vec<_>) = (
        after.into_keys().collect(),
        files(&expected).into_keys().collect(),
    );
    if have == want {
        Ok(())
    } else {
        Err(format!(
            "{}: files {have:?}, expected {want:?}",
            expected.display()
        ))
    }
}

/// The files of a folder that are not hidden; none if there is no such folder.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    named
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
        .collect()
}

/// A text without what changes from run to run: the clock, and where the folders are.
fn settled(text: &str, folders: &[(&PathBuf, &str)]) -> String {
    let text = folders.iter().fold(text.to_owned(), |text, (path, name)| {
        text.replace(path.to_str().unwrap(), name)
    });
    let text = Regex::new(r#""seconds": [0-9.e-]+"#)
        .unwrap()
        .replace_all(&text, r#""seconds": 0"#)
        .into_owned();
    Regex::new(r#""timestamp": "1[7-9][0-9]{8}""#)
        .unwrap()
        .replace_all(&text, r#""timestamp": "@NOW@""#)
        .into_owned()
}

fn compare(path: &Path, text: &str) -> Result<(), String> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == text {
        Ok(())
    } else {
        Err(format!(
            "{}: expected\n{expected}\nfound\n{text}",
            path.display()
        ))
    }
}

#[test]
fn the_comparison_can_fail() {
    let other = tempfile::NamedTempFile::new().unwrap();
    assert!(
        std::env::var_os("BLESS").is_some() || compare(other.path(), "something else").is_err()
    );
    let value: Value = serde_json::from_str(&settled(
        r#"{"seconds": 0.25, "timestamp": "1795297000"}"#,
        &[],
    ))
    .unwrap();
    assert_eq!(
        value,
        serde_json::json!({"seconds": 0, "timestamp": "@NOW@"})
    );
}
