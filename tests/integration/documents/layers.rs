//! The layers of the program: every module of the top level uses only those below it, and the files of the mapping and of
//! the doctor do not use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules of the top level, from the bottom up. `docs/ARCHITECTURE.md` draws them.
const LAYERS: [&[&str]; 14] = [
    &["environment", "share", "text", "time"],
    &["files", "json"],
    &["secret", "tags"],
    &["ids", "markings", "types"],
    &["sample"],
    &["http"],
    &["report"],
    &["config"],
    &["misp", "thehive"],
    &["cortex"],
    &["worker"],
    &["export", "import"],
    &["doctor"],
    &["runtime"],
];

/// Every Rust file below a folder, by its path there.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, program_text(&fs::read_to_string(&path).unwrap())));
            }
        }
    }
    found.sort();
    found
}

/// A file without its comments and its own tests, which may use everything.
fn program_text(text: &str) -> String {
    let program = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    program
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules named after each `start`, those in braces too.
fn used(text: &str, start: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in text.split(start).skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => elements(list),
            None => vec![rest],
        };
        let word = |name: &&str| {
            name.trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
        };
        used.extend(names.iter().filter_map(word));
    }
    used
}

/// The elements of a list in braces, each with all that stands in its own braces.
fn elements(list: &str) -> Vec<&str> {
    let (mut elements, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, sign) in list.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => {
                elements.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                elements.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    elements
}

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.ends_with("properties.rs") || name.contains("/tests/")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// What is used upward, as `module -> module (file)`.
fn upward(files: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| !is_test(name)) {
        let module = name.split('/').next().unwrap().trim_end_matches(".rs");
        let Some(own) = layer(module) else {
            assert!(
                ["bin", "lib"].contains(&module),
                "{module} has no place among the layers"
            );
            continue;
        };
        for other in used(text, "crate::") {
            let place = layer(&other)
                .unwrap_or_else(|| panic!("{name}: crate::{other} has no place among the layers"));
            if other != module && place >= own {
                wrong.push(format!("{module} -> {other} ({name})"));
            }
        }
    }
    wrong
}

#[test]
fn no_module_uses_one_beside_or_above_it() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 100, "the sources were not found");
    assert_eq!(upward(&files), Vec::<String>::new());
}

#[test]
fn an_upward_use_is_noticed() {
    let uses = [
        "use crate::export::Export;",
        "use crate::{\n    json,\n    report::{Run, ledger},\n};",
        "crate::worker::line(&error)",
    ];
    for text in uses {
        let file = ("http/mod.rs".to_owned(), program_text(text));
        assert_eq!(upward(&[file]).len(), 1, "{text}");
    }
    let beside = (
        "misp/mod.rs".to_owned(),
        "use crate::thehive::TheHive;".to_owned(),
    );
    assert_eq!(upward(&[beside]), ["misp -> thehive (misp/mod.rs)"]);
}

#[test]
fn the_files_of_the_mapping_and_of_the_doctor_use_each_other_in_one_direction() {
    for folder in ["types", "doctor"] {
        let files = files(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src")
                .join(folder),
        );
        let names: BTreeSet<_> = files
            .iter()
            .map(|(name, _)| name.trim_end_matches(".rs").to_owned())
            .collect();
        let uses: BTreeMap<_, BTreeSet<_>> = files
            .iter()
            .filter(|(name, _)| name != "mod.rs" && !is_test(name))
            .map(|(name, text)| {
                let own = name.trim_end_matches(".rs").to_owned();
                let mut used = used(text, "super::");
                used.retain(|other| names.contains(other) && *other != own);
                (own, used)
            })
            .collect();
        assert!(
            uses.values()
                .any(|used: &BTreeSet<String>| !used.is_empty()),
            "{folder}"
        );
        let mut open = uses;
        // What uses nothing that is still open is taken away; what remains is in a circle or above one.
        while let Some(free) = open
            .iter()
            .find(|(_, used)| !used.iter().any(|one| open.contains_key(one)))
        {
            let free = free.0.clone();
            open.remove(&free);
        }
        assert!(
            open.is_empty(),
            "{folder}: in a circle, or above one: {:?}",
            open.keys()
        );
    }
}
