//! Configuration items as data, read from the schema of a configuration type: for loose reading,
//! the manifests and `docs/options.md`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::json;
use crate::text::{did_you_mean, one_line};

/// One item of a configuration.
#[derive(Clone, Debug)]
pub struct OptionSpec {
    /// Its name.
    pub name: String,
    /// What it is for: the doc comment of the field.
    pub description: String,
    /// What its values are.
    pub kind: OptionKind,
    /// True for a list.
    pub multi: bool,
    /// True where an empty element keeps its place, since the lists beside it are counted along.
    pub positional: bool,
    /// True if a run cannot start without it.
    pub required: bool,
    /// What holds when it is not set.
    pub default: Option<Value>,
}

/// What the values of an item are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// A text.
    Text,
    /// A whole number, not below `least`.
    Number {
        /// The least number accepted.
        least: u64,
    },
    /// True or false.
    Boolean,
    /// An object with members of its own, or the text of one.
    Object,
    /// One of these words.
    Choice(Vec<String>),
}

impl OptionKind {
    /// What is wrong with a value of another kind, and what to write in its place: words that
    /// follow the item's name. The value may be a secret and is not repeated.
    pub fn describe_problem(&self, value: &Value, default: Option<&Value>) -> String {
        let kind = json::describe_kind(value);
        match self {
            Self::Text => format!("is {kind}, not a text: write one text in quotes"),
            Self::Number { least } => {
                let example = default
                    .and_then(Value::as_u64)
                    .filter(|number| number >= least)
                    .unwrap_or(7);
                let problem = match is_numeric(value) {
                    true => format!("is no whole number from {least} on"),
                    false => format!("is {kind}, not a number"),
                };
                format!("{problem}: write a whole number from {least} on, such as {example}")
            }
            Self::Boolean => "is neither true nor false: write one of these".to_owned(),
            Self::Object => {
                let problem = match value.as_str().map(serde_json::from_str::<Value>) {
                    // What is no JSON is told by its place alone.
                    Some(Err(error)) => format!(
                        "is a text that is no JSON (line {}, column {})",
                        error.line(),
                        error.column()
                    ),
                    Some(Ok(_)) | None => format!("is {kind}, not a JSON object"),
                };
                format!(
                    "{problem}: write one such as {{\"name\": \"partner\", \"max_age_days\": 7}}"
                )
            }
            Self::Choice(words) => {
                let typed = value.as_str().unwrap_or_default();
                let hint = did_you_mean(typed, words.iter().map(String::as_str));
                format!(
                    "is none of its words{hint}: write one of {}",
                    words.join(", ")
                )
            }
        }
    }
}

fn is_numeric(value: &Value) -> bool {
    let is_of_text = |text: &str| text.trim().parse::<f64>().is_ok();
    value.is_number() || value.as_str().is_some_and(is_of_text)
}

/// The items of a configuration type, in the order of its fields.
pub fn for_config<C: JsonSchema>() -> Vec<OptionSpec> {
    let schema = inline_schema::<C>();
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
    let properties = schema.get("properties").and_then(Value::as_object);

    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| build_spec(name, property, is_required(name)))
        .collect()
}

/// The schema of a type with every part in place, so that it can be read without following
/// references.
pub fn inline_schema<C: JsonSchema>() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<C>()
}

fn build_spec(name: &str, property: &Value, required: bool) -> OptionSpec {
    let multi = has_type(property, "array");
    let value = if multi {
        property.get("items").unwrap_or(property)
    } else {
        property
    };

    OptionSpec {
        name: name.to_owned(),
        description: one_line(
            property
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        ),
        // Of an optional value one alternative is null, which reads as a text.
        kind: schema_alternatives(value)
            .map(detect_kind)
            .find(|kind| *kind != OptionKind::Text)
            .unwrap_or(OptionKind::Text),
        multi,
        positional: multi
            && schema_alternatives(value).any(|alternative| has_type(alternative, "null")),
        required,
        default: property
            .get("default")
            .filter(|default| !default.is_null())
            .cloned(),
    }
}

/// The schemas under `anyOf`, by which an optional enum is written; else the schema itself.
fn schema_alternatives(value: &Value) -> impl Iterator<Item = &Value> {
    let any_of = value.get("anyOf").and_then(Value::as_array);
    any_of
        .into_iter()
        .flatten()
        .chain(any_of.is_none().then_some(value))
}

fn detect_kind(value: &Value) -> OptionKind {
    if has_type(value, "boolean") {
        return OptionKind::Boolean;
    }
    if has_type(value, "object") {
        return OptionKind::Object;
    }
    if has_type(value, "integer") {
        return OptionKind::Number {
            least: value.get("minimum").and_then(Value::as_u64).unwrap_or(0),
        };
    }

    let words = enum_words(value);

    if words.is_empty() {
        OptionKind::Text
    } else {
        OptionKind::Choice(words)
    }
}

fn enum_words(value: &Value) -> Vec<String> {
    let plain = value
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();

    // So schemars writes an enum whose words have doc comments.
    let described = value
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|alternative| alternative.get("const"));

    plain
        .chain(described)
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

fn has_type(value: &Value, name: &str) -> bool {
    match value.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    }
}
