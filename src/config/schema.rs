//! Configuration items as data, read from the schema of a configuration type: for loose reading,
//! the manifests and `docs/options.md`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::text::one_line;

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
    /// What is accepted, for a message.
    pub fn describe_accepted(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Number { least } => format!("a whole number from {least}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Object => {
                "a JSON object, such as {\"name\": \"partner\", \"max_age_days\": 7},".to_owned()
            }
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
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
