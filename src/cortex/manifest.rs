//! The manifest by which Cortex lists a worker, generated from its configuration type. Cortex drops
//! the whole list of items if one of them is wrong (its `WorkerDefinition.scala`), so nothing here
//! is written by hand.

use serde_json::{Value, json};

use crate::config::overrides;
use crate::config::schema::{OptionKind, OptionSpec};
use crate::cortex::job::{CHECKED, MOST};

/// The two kinds of Cortex worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerKind {
    /// Looks things up.
    Analyzer,
    /// Does things.
    Responder,
}

/// What the catalogue says of a worker.
#[derive(Debug)]
pub struct WorkerInfo {
    /// Its name in the catalogue.
    pub name: &'static str,
    /// The program's file name.
    pub program: &'static str,
    /// What it is.
    pub kind: WorkerKind,
    /// One sentence.
    pub description: &'static str,
    /// The data types it takes.
    pub data_types: &'static [&'static str],
    /// Pictures, in its folder there: file and caption.
    pub screenshots: &'static [(&'static str, &'static str)],
    /// Its options.
    pub options: Vec<OptionSpec>,
}

/// Which report templates belong to it: the first two numbers of the version, as is the custom of
/// the catalogue.
const MANIFEST_VERSION: &str = "1.0";

/// The manifest of a worker.
#[must_use]
pub fn build(worker: &WorkerInfo) -> Value {
    json!({
        "name": worker.name,
        "version": MANIFEST_VERSION,
        "author": "The cortex-misp developers",
        "url": "https://github.com/cortex-misp/cortex-misp",
        "license": "AGPL-V3",
        "description": worker.description,
        "dataTypeList": worker.data_types,
        "command": format!("{}/{}", worker.name, worker.program),
        "baseConfig": "MISP",
        "registration_required": true,
        "subscription_required": false,
        "free_subscription": false,
        "service_homepage": "https://www.misp-project.org",
        "service_logo": {"path": "assets/logo.png", "caption": "cortex-misp"},
        "screenshots": worker.screenshots.iter().map(|(path, caption)| json!({"path": path, "caption": caption})).collect::<Vec<_>>(),
        "config": {"check_tlp": CHECKED, "max_tlp": MOST, "check_pap": CHECKED, "max_pap": MOST},
        "configurationItems": worker.options.iter().map(build_item).collect::<Vec<_>>(),
    })
}

/// Where the manifest stands in the catalogue, below `manifests/`.
#[must_use]
pub fn path(worker: &WorkerInfo) -> String {
    let folder = match worker.kind {
        WorkerKind::Analyzer => "analyzers",
        WorkerKind::Responder => "responders",
    };
    format!("{folder}/{name}/{name}.json", name = worker.name)
}

fn build_item(spec: &OptionSpec) -> Value {
    let mut item = json!({
        "name": spec.name,
        "description": spec.description,
        "type": match spec.kind {
            OptionKind::Text | OptionKind::Choice(_) | OptionKind::Object => "string",
            OptionKind::Number { .. } => "number",
            OptionKind::Boolean => "boolean",
        },
        "multi": spec.multi,
        "required": spec.required,
    });

    if let (Some(item), Some(default)) = (
        item.as_object_mut(),
        spec.default.clone().filter(|_| !spec.multi),
    ) {
        item.insert("defaultValue".to_owned(), default);
    }

    item
}

/// The README's table of options: both workers' items, once each. Where an item means something
/// else to each of them, both meanings stand there. A star marks what no connection can have of its
/// own.
#[must_use]
pub fn render_option_table(workers: &[(&str, Vec<OptionSpec>)]) -> String {
    let mut rows: Vec<(OptionSpec, Vec<&str>, Vec<String>)> = Vec::new();

    for (worker, specs) in workers {
        for spec in specs {
            match rows.iter_mut().find(|(known, ..)| known.name == spec.name) {
                Some((_, users, meanings)) => {
                    users.push(worker);
                    meanings.push(spec.description.clone());
                }
                None => rows.push((spec.clone(), vec![worker], vec![spec.description.clone()])),
            }
        }
    }

    let rows = rows.iter().map(|(spec, users, meanings)| {
        let list = if spec.multi { "[]" } else { "" };
        let is_one = meanings.iter().all(|meaning| *meaning == spec.description);
        let each = users
            .iter()
            .zip(meanings)
            .map(|(user, meaning)| format!("**{user}**: {meaning}"));
        let meaning = if is_one {
            spec.description.clone()
        } else {
            each.collect::<Vec<_>>().join(" ")
        };

        let of_all = if overrides::is_overridable(&spec.name) {
            ""
        } else {
            " *"
        };

        format!(
            "| `{}{list}`{of_all} | {} | {} | {meaning} |\n",
            spec.name,
            users.join(", "),
            default_word(spec)
        )
    });

    let head = "| option | worker | default | meaning |\n|---|---|---|---|\n";

    head.to_owned() + &rows.collect::<String>()
}

fn default_word(spec: &OptionSpec) -> String {
    match &spec.default {
        _ if spec.required => "required".to_owned(),
        Some(Value::Array(_)) | None => "–".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

/// A JSON document as it is committed: indented, with a line end.
#[must_use]
pub fn to_json_text(value: &Value) -> String {
    format!("{value:#}\n")
}
