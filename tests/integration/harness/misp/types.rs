//! The table of MISP's attribute types: category and `to_ids` by default, allowed categories, composite or not, pattern.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// One attribute type.
pub(crate) struct Type {
    pub(crate) default_category: String,
    pub(crate) to_ids: bool,
    pub(crate) categories: Vec<String>,
    pub(crate) composite: bool,
    pub(crate) lower: bool,
    pub(crate) upper: bool,
    /// Part of the rule; the rest is in `validate.rs`.
    pub(crate) pattern: Option<Regex>,
}

static TYPES: LazyLock<HashMap<String, Type>> = LazyLock::new(|| {
    let table: Value =
        serde_json::from_str(include_str!("../../../../fixtures/wire/misp/types.json"))
            .expect("JSON");
    let rows = table["types"].as_object().expect("types by name");
    rows.iter()
        .map(|(name, row)| (name.clone(), one(row)))
        .collect()
});

fn one(row: &Value) -> Type {
    let list = |name: &str| {
        row[name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    };
    let norm = |word: &str| list("norm").any(|rule| rule.contains(word));
    Type {
        default_category: row["default_category"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        to_ids: row["to_ids"] == 1 || row["to_ids"] == true,
        categories: list("categories").map(ToOwned::to_owned).collect(),
        composite: row["composite"] == true,
        lower: norm("lowercase"),
        upper: norm("uppercase"),
        pattern: row["re"]
            .as_str()
            .map(|pattern| Regex::new(pattern).expect("a pattern")),
    }
}

/// The type of this name, if MISP 2.5.1 has it.
pub(crate) fn known(name: &str) -> Option<&'static Type> {
    // In the table, but younger than 2.5.1.
    if ["suricata", "edge-extension-id", "uuid"].contains(&name) {
        return None;
    }
    TYPES.get(name)
}

/// Whether values of this type are two halves with `|` between.
pub(crate) fn is_composite(name: &str) -> bool {
    TYPES.get(name).is_some_and(|kind| kind.composite)
}
