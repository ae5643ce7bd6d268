//! Documents that are made from the code: manifests, the schema of reports, the README's table of options. `BLESS=1 cargo nextest run documents` writes them; without it a difference is a failure.

use std::fs;
use std::path::Path;

use cortex_misp::config::items;
use cortex_misp::cortex::manifest;
use cortex_misp::export::{self, Export};
use cortex_misp::import::{self, Import};
use serde_json::Value;

use crate::program::Program;

#[test]
fn manifests_are_those_of_the_configuration_types() {
    for (path, made) in manifests() {
        compare(&Path::new("manifests").join(path), &manifest::document(&made));
    }
}

#[test]
fn the_programs_print_their_manifests() {
    for (program, (_, made)) in [Program::Export, Program::Import].into_iter().zip(manifests()) {
        let output = program.command().arg("--manifest").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), manifest::document(&made));
    }
}

#[test]
fn the_programs_tell_version_and_usage() {
    for program in [Program::Export, Program::Import] {
        let print =
            |argument: &str| String::from_utf8(program.command().arg(argument).output().unwrap().stdout).unwrap();
        assert!(print("--version").contains(env!("CARGO_PKG_VERSION")));
        assert!(print("--help").contains("JOB_DIR"));
    }
}

/// Cortex drops every item if one of them breaks a rule, without a word (its `WorkerDefinition.scala`).
#[test]
fn manifests_keep_the_rules_by_which_cortex_reads_them() {
    for (_, manifest) in manifests() {
        for key in ["name", "version", "description", "author", "url", "license", "command", "baseConfig"] {
            assert!(manifest[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
        }
        let name = manifest["name"].as_str().unwrap();
        assert!(!name.contains(|c: char| c.is_whitespace() || "/\\.".contains(c)));
        assert!(manifest["command"].as_str().unwrap().starts_with(&format!("{name}/")));
        let items = manifest["configurationItems"].as_array().unwrap();
        for item in items {
            let kind = item["type"].as_str().unwrap();
            assert!(["string", "number", "boolean"].contains(&kind), "{item}");
            assert!(item["name"].is_string() && item["multi"].is_boolean() && item["required"].is_boolean());
            assert!(item["description"].as_str().is_some_and(|text| text.len() > 10), "{item}");
            let default = item.get("defaultValue");
            let fits =
                |value: &Value| value.is_string() == (kind == "string") && value.is_boolean() == (kind == "boolean");
            assert!(default.is_none_or(fits), "{item}");
        }
        let mut names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), items.len());
    }
}

#[test]
fn the_schema_of_reports_is_that_of_the_code() {
    compare(Path::new("manifests/schemas/report.schema.json"), &manifest::document(&manifest::report_schema()));
}

#[test]
fn the_readme_lists_every_option() {
    let workers = [("export", items::of::<export::Config>()), ("import", items::of::<import::Config>())];
    let table = manifest::option_table(&workers);
    let readme = fs::read_to_string("README.md").unwrap();
    let (head, rest) = readme.split_once("<!-- options -->\n").unwrap();
    let (_, tail) = rest.split_once("<!-- end of options -->").unwrap();
    compare(Path::new("README.md"), &format!("{head}<!-- options -->\n{table}<!-- end of options -->{tail}"));
}

fn manifests() -> [(String, Value); 2] {
    [(manifest::path::<Export>(), manifest::of::<Export>()), (manifest::path::<Import>(), manifest::of::<Import>())]
}

fn compare(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(committed == text, "{} is not what the code makes: BLESS=1 cargo nextest run documents", path.display());
}
