//! Documents that are made from the code: manifests, the schema of reports. The page of options is in `options.rs`. `BLESS=1 cargo nextest run documents` writes them; without it a difference is a failure.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cortex_misp::config::schema;
use cortex_misp::cortex::manifest::{self, WorkerKind};
use cortex_misp::export::{self, Export};
use cortex_misp::import::{self, Import};
use cortex_misp::{report, worker};
use regex::Regex;
use serde_json::{Value, json};

use crate::program::Program;

#[test]
fn manifests_are_those_of_the_configuration_types() {
    for (path, made) in manifests() {
        compare(
            &Path::new("manifests").join(path),
            &manifest::to_json_text(&made),
        );
    }
}

#[test]
fn the_programs_print_their_manifests() {
    for (program, (_, made)) in [Program::Export, Program::Import]
        .into_iter()
        .zip(manifests())
    {
        let output = program.command().arg("--manifest").output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            manifest::to_json_text(&made)
        );
    }
}

#[test]
fn the_programs_tell_version_and_usage() {
    for program in [Program::Export, Program::Import] {
        let print = |argument: &str| {
            String::from_utf8(program.command().arg(argument).output().unwrap().stdout).unwrap()
        };
        assert!(print("--version").contains(env!("CARGO_PKG_VERSION")));
        assert!(print("--help").contains("JOB_DIR"));
    }
}

/// A manifest as Cortex 4 reads it (its `WorkerDefinition.scala`): none if a text is missing, and no items at all if one of them
/// is wrong; neither is said anywhere.
fn as_cortex_reads(manifest: &Value) -> Option<Vec<String>> {
    for text in ["name", "version", "description", "author", "url", "license"] {
        manifest[text].as_str()?;
    }
    let is_list_of_texts = |list: &Value| {
        list.as_array()
            .is_some_and(|list| list.iter().all(Value::is_string))
    };
    let (types, config) = (&manifest["dataTypeList"], &manifest["config"]);
    if !(types.is_null() || is_list_of_texts(types)) || !(config.is_null() || config.is_object()) {
        return None;
    }
    let item = |item: &Value| {
        let kind = item["type"]
            .as_str()
            .filter(|kind| ["text", "string", "number", "boolean"].contains(kind))?;
        let flags = ["multi", "required"].map(|flag| &item[flag]);
        let is_good = |value: &Value| match kind {
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            _ => value.is_string(),
        };
        let default = item.get("defaultValue");
        let is_fine = flags.iter().all(|flag| flag.is_null() || flag.is_boolean())
            && default.is_none_or(is_good);
        item["description"].as_str()?;
        item["name"]
            .as_str()
            .filter(|_| is_fine)
            .map(ToOwned::to_owned)
    };
    let items = manifest["configurationItems"]
        .as_array()?
        .iter()
        .map(item)
        .collect::<Option<Vec<_>>>();
    Some(items.unwrap_or_default())
}

#[test]
fn cortex_reads_every_item_of_the_manifests() {
    for (_, manifest) in manifests() {
        let items = as_cortex_reads(&manifest).unwrap();
        assert_eq!(
            items.len(),
            manifest["configurationItems"].as_array().unwrap().len()
        );
        assert_eq!(
            items.iter().collect::<BTreeSet<_>>().len(),
            items.len(),
            "an item stands there twice"
        );
        for broken in [
            json!({"type": "choice"}),
            json!({"multi": "yes"}),
            json!({"name": null}),
            json!({"defaultValue": []}),
        ] {
            let mut manifest = manifest.clone();
            manifest["configurationItems"][3]
                .as_object_mut()
                .unwrap()
                .extend(broken.as_object().unwrap().clone());
            assert_eq!(
                as_cortex_reads(&manifest),
                Some(Vec::new()),
                "one wrong item costs all: {broken}"
            );
        }
    }
}

/// The rules of the public catalogue, which Cortex does not look at.
#[test]
fn manifests_keep_the_rules_of_the_catalogue() {
    for (path, manifest) in manifests() {
        for key in [
            "name",
            "version",
            "description",
            "author",
            "url",
            "license",
            "command",
            "baseConfig",
        ] {
            assert!(
                manifest[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key}"
            );
        }
        let name = manifest["name"].as_str().unwrap();
        assert!(!name.contains(|c: char| c.is_whitespace() || "/\\.".contains(c)));
        assert!(
            manifest["command"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{name}/"))
        );
        let file = Path::new("manifests").join(path);
        let folder = file.parent().unwrap().to_owned();
        assert_eq!(file.file_stem().unwrap(), name);
        assert_eq!(folder.file_name().unwrap(), name);
        for flag in [
            "registration_required",
            "subscription_required",
            "free_subscription",
        ] {
            assert!(manifest[flag].is_boolean(), "{flag}");
        }
        assert!(
            ["external_api", "local"].contains(&manifest["integration_type"].as_str().unwrap())
        );
        let homepage = manifest["service_homepage"].as_str().unwrap();
        assert!(homepage.starts_with("https://"));
        keeps_the_rules_of_a_folder(&folder, name, manifest["command"].as_str().unwrap());
        let pictures = manifest["screenshots"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&manifest["service_logo"]]);
        for picture in pictures {
            let file = folder.join(picture["path"].as_str().unwrap());
            let bytes = fs::read(&file).unwrap_or_default();
            assert!(
                bytes.starts_with(b"\x89PNG") && bytes.len() < 512 << 10,
                "{}",
                file.display()
            );
            assert!(
                picture["caption"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
        }
    }
}

/// What the catalogue expects beside a manifest: its pages set the README's headings below their own, what installs it gives
/// every `requirements.txt` to pip, and its images are built from the folder alone.
fn keeps_the_rules_of_a_folder(folder: &Path, name: &str, command: &str) {
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let page = read("README.md");
    let mut headings = page.lines().filter(|line| line.starts_with('#'));
    assert_eq!(headings.next(), Some(format!("### {name}").as_str()));
    assert!(headings.all(|line| line.starts_with("###")));
    assert!(
        read("requirements.txt")
            .lines()
            .all(|line| line.starts_with('#'))
    );

    let program = command.strip_prefix(&format!("{name}/")).unwrap();
    let dockerfile = read("Dockerfile");
    let instructions = dockerfile.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(
        instructions.collect::<Vec<_>>(),
        [
            "FROM scratch",
            &format!("COPY {program} /{program}"),
            &format!("ENTRYPOINT [\"/{program}\"]"),
        ]
    );
}

/// Images are named as the catalogue names its own, and with this version, wherever one is named.
#[test]
fn images_have_the_names_of_the_catalogue() {
    let images = manifests().map(|(_, manifest)| {
        let name = manifest["name"].as_str().unwrap().to_lowercase();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
        format!("{name}:{}", env!("CARGO_PKG_VERSION"))
    });
    let image = Regex::new(r"soc/([\w-]+:[\w.-]+)").unwrap();
    for page in ["docs/administrators.md", "manifests/schedule/cronjob.yaml"] {
        let text = fs::read_to_string(page).unwrap();
        let named: BTreeSet<_> = image
            .captures_iter(&text)
            .map(|found| found[1].to_owned())
            .collect();
        assert_eq!(named, images.iter().cloned().collect(), "{page}");
    }
}

/// Whoever fills in the form sees the description and nothing else.
#[test]
fn every_item_says_what_to_write() {
    for (_, manifest) in manifests() {
        for item in manifest["configurationItems"].as_array().unwrap() {
            let words = item["description"].as_str().unwrap();
            assert!(words.ends_with('.') && words.len() > 30, "{item}");
            let is_secret = item["name"].as_str().unwrap().contains("key");
            let shows = words.contains('`') || words.contains("named in the same way") || is_secret;
            assert!(item["type"] != "string" || shows, "no example: {item}");
            assert!(
                item["multi"] == false || item.get("defaultValue").is_none(),
                "{item}"
            );
        }
    }
}

#[test]
fn the_schema_of_reports_is_that_of_the_code() {
    compare(
        Path::new("manifests/schemas/report.schema.json"),
        &manifest::to_json_text(&report::schema()),
    );
}

/// The pages that people read.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir("docs")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs.chain([PathBuf::from("README.md")]).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Every text in the source, without comments and tests, with its lines joined and its escapes undone as in the program; and
/// what MISP was seen to say.
fn words_of_the_programs() -> String {
    fn collect(folder: &Path, all: &mut String) {
        for path in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                collect(&path, all);
            } else if !path.ends_with("tests.rs") {
                let text = fs::read_to_string(path).unwrap();
                let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines = program
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                lines.for_each(|line| all.extend([line, "\n"]));
            }
        }
    }
    let mut all = String::new();
    [Path::new("src"), Path::new("fixtures/wire/misp")]
        .iter()
        .for_each(|folder| collect(folder, &mut all));
    Regex::new(r"\\\n\s*")
        .unwrap()
        .replace_all(&all, "")
        .replace("\\\"", "\"")
}

#[test]
fn every_message_in_troubleshooting_is_one_that_is_given() {
    let words = words_of_the_programs();
    let quoted = Regex::new("`([^`]+)`").unwrap();
    let mut number = 0;
    for (path, text) in pages() {
        let tables = text
            .split("| message | what to do |\n")
            .skip(1)
            .map(|rest| rest.split("\n\n").next().unwrap());
        for row in tables
            .flat_map(str::lines)
            .filter(|row| !row.starts_with("|---"))
        {
            let message = row.split('|').nth(1).unwrap();
            let parts = quoted
                .captures_iter(message)
                .flat_map(|found| found.get(1).unwrap().as_str().split('…'));
            let parts: Vec<_> = parts
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect();
            assert!(
                parts.iter().any(|part| part.len() > 9),
                "{}: {message} tells nothing",
                path.display()
            );
            for part in parts {
                assert!(
                    words.contains(part),
                    "{}: no program says {part:?}",
                    path.display()
                );
            }
            number += 1;
        }
    }
    assert!(number > 60, "{number}");
    assert!(!words.contains("nobody says this, and the search must find out"));
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_matches(['#', ' ']).to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#]*)(#[^)]*)?\)").unwrap();
    for (path, text) in pages() {
        for found in link.captures_iter(&text) {
            let (file, fragment) = (
                found.get(1).unwrap().as_str(),
                found.get(2).map(|one| &one.as_str()[1..]),
            );
            if file.starts_with("http") {
                continue;
            }
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(target.exists(), "{}: there is no {file}", path.display());
            let Some(fragment) = fragment else { continue };
            let text = fs::read_to_string(&target).unwrap();
            let mut headings = text
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(anchor);
            assert!(
                headings.any(|heading| heading == fragment),
                "{}: {file} has no {fragment}",
                path.display()
            );
        }
    }
}

#[test]
fn the_tests_that_the_comparison_names_are_there() {
    let named = Regex::new(r"\((?:`[a-z_/]+`(?:, )?)+\)").unwrap();
    let text = fs::read_to_string("docs/comparison.md").unwrap();
    let modules: BTreeSet<_> = named
        .find_iter(&text)
        .flat_map(|found| found.as_str().split('`').skip(1).step_by(2))
        .collect();
    assert!(modules.len() > 10, "{modules:?}");
    for module in modules {
        let folder = Path::new("tests/integration").join(module);
        assert!(
            folder.is_dir() || folder.with_extension("rs").is_file(),
            "there is no test module {module}"
        );
    }
}

/// The names of all tests, those beside the code too.
fn tests_in(folder: &Path, all: &mut BTreeSet<String>) {
    let test = Regex::new(r"fn ([a-z0-9_]+)\(").unwrap();
    for path in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if path.is_dir() {
            tests_in(&path, all);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for part in text.split("#[test]").skip(1) {
                all.extend(test.captures(part).map(|found| found[1].to_owned()));
            }
        }
    }
}

#[test]
fn the_tests_that_the_page_on_security_names_are_there() {
    let mut tests = BTreeSet::new();
    ["src", "tests/integration"]
        .iter()
        .for_each(|folder| tests_in(Path::new(folder), &mut tests));
    assert!(
        tests.contains("the_tests_that_the_page_on_security_names_are_there") && tests.len() > 700
    );
    let text = fs::read_to_string("docs/security.md").unwrap();
    let name = Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){2,})`").unwrap();
    let options = schema::for_config::<export::Config>()
        .into_iter()
        .chain(schema::for_config::<import::Config>());
    let options: Vec<_> = options
        .map(|item| item.name)
        .chain(["instance_secret".to_owned()])
        .collect();
    let named: BTreeSet<_> = name
        .captures_iter(&text)
        .map(|found| found[1].to_owned())
        .collect();
    let named: Vec<_> = named
        .into_iter()
        .filter(|name| !options.contains(name))
        .collect();
    assert!(named.len() > 80, "{}", named.len());
    for name in named {
        assert!(tests.contains(&name), "there is no test {name}");
    }
}

#[test]
fn every_json_in_the_documents_is_json() {
    let block = Regex::new(r"(?s)```json\n(.*?)```").unwrap();
    let mut number = 0;
    for (path, text) in pages() {
        for found in block.captures_iter(&text) {
            let json: Value = serde_json::from_str(&found[1])
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(json.is_object());
            number += 1;
        }
    }
    assert!(number > 0);
}

fn manifests() -> [(String, Value); 2] {
    [
        (
            manifest_path(&worker::info::<Export>()),
            manifest::build(&worker::info::<Export>()),
        ),
        (
            manifest_path(&worker::info::<Import>()),
            manifest::build(&worker::info::<Import>()),
        ),
    ]
}

/// Where the manifest stands in the catalogue, below `manifests/`.
fn manifest_path(worker: &manifest::WorkerInfo) -> String {
    let folder = match worker.kind {
        WorkerKind::Analyzer => "analyzers",
        WorkerKind::Responder => "responders",
    };
    format!("{folder}/{name}/{name}.json", name = worker.name)
}

pub(super) fn compare(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is not what the code makes: BLESS=1 cargo nextest run documents",
        path.display()
    );
}

/// What cron, systemd and Kubernetes do is the same, and the page has one try it before.
#[test]
fn every_schedule_starts_the_command_that_is_tried() {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let (cron, page) = (read("manifests/schedule/cron"), read("docs/automation.md"));
    let in_kubernetes = read("manifests/schedule/cronjob.yaml");
    for program in ["misp-import", "misp-export"] {
        let line = cron.lines().find(|line| line.ends_with(program)).unwrap();
        let (_, command) = line.split_once("cortex-misp.env; ").unwrap();
        let (command, _) = command.split_once(" 2>&1").unwrap();
        let service = read(&format!("manifests/schedule/{program}.service"));
        assert!(
            service.contains(&format!("ExecStart={command}\n")),
            "{command}"
        );
        let (_, arguments) = command.split_once(' ').unwrap();
        let arguments: Vec<_> = arguments.split(' ').collect();
        let arguments = format!("args: {}", json!(arguments)).replace(',', ", ");
        assert!(in_kubernetes.contains(&arguments), "{arguments}");
        let tried = command.split(" --").next().unwrap();
        assert!(page.contains(tried), "{tried}");
        if program == "misp-import" {
            assert!(page.contains(line), "{line}");
        }
    }
}
