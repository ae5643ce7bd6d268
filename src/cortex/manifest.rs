//! The manifest by which Cortex lists a worker, generated from its configuration type. Cortex drops
//! the whole list of items if one of them is wrong (its `WorkerDefinition.scala`), so nothing here
//! is written by hand.

use serde_json::{Value, json};

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

/// Where people find what each option means.
const OPTIONS_PAGE: &str = "https://github.com/cortex-misp/cortex-misp/blob/main/docs/options.md";

/// The manifest of a worker.
pub fn build(worker: &WorkerInfo) -> Value {
    let screenshots: Vec<_> = worker
        .screenshots
        .iter()
        .map(|(path, caption)| json!({"path": path, "caption": caption}))
        .collect();

    json!({
        "name": worker.name,
        "version": MANIFEST_VERSION,
        "author": "The cortex-misp developers",
        "url": "https://github.com/cortex-misp/cortex-misp",
        "license": "AGPL-V3",
        "description": format!("{} Its options: {OPTIONS_PAGE}", worker.description),
        "dataTypeList": worker.data_types,
        "command": format!("{}/{}", worker.name, worker.program),
        "baseConfig": "MISP",
        "registration_required": true,
        "subscription_required": false,
        "free_subscription": true,
        "integration_type": "external_api",
        "service_homepage": "https://www.misp-project.org",
        "service_logo": {"path": "assets/logo.png", "caption": "cortex-misp"},
        "screenshots": screenshots,
        "config": {"check_tlp": CHECKED, "max_tlp": MOST, "check_pap": CHECKED, "max_pap": MOST},
        "configurationItems": worker.options.iter().map(build_item).collect::<Vec<_>>(),
    })
}

fn build_item(spec: &OptionSpec) -> Value {
    let mut item = json!({
        "name": spec.name,
        "description": spec.description,
        "type": match spec.kind {
            // Cortex knows three types of items and no other.
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

/// A JSON document as it is committed: indented, with a line end.
pub fn to_json_text(value: &Value) -> String {
    format!("{value:#}\n")
}
