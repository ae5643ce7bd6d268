//! Which attributes become observables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event_filter::NameList;
use crate::misp::wire::Attribute;
use crate::tags::matches;
use crate::text::did_you_mean;
use crate::types::{MISP_CATEGORIES, MISP_TYPES};

/// The filters on attributes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttributeFilters {
    /// Only attributes of these MISP types, such as `ip-dst`; `*` stands for any text.
    pub attribute_types: Vec<String>,
    /// No attributes of these MISP types, such as `text` or `email-*`; `*` stands for any text.
    pub exclude_attribute_types: Vec<String>,
    /// Only attributes of these MISP categories, such as `Network activity`; `*` stands for any
    /// text.
    pub attribute_categories: Vec<String>,
    /// Only attributes with at least one of these tags of their own, such as `kill-chain:*`, in any
    /// case; `*` stands for any text.
    pub attribute_tags: Vec<String>,
    /// No attributes with one of these tags of their own, such as `false-positive:*`, in any case,
    /// however disguised; `*` stands for any text.
    pub exclude_attribute_tags: Vec<String>,
    /// Only attributes that are meant for detection (`to_ids`).
    pub ids_only: bool,
    /// No attributes that were sighted as a false positive more often than this, such as `2`; `0`
    /// leaves out each that ever was. Not set: no limit.
    pub max_false_positives: Option<u64>,
}

impl AttributeFilters {
    /// Warnings on types and categories that no MISP that is known here has, each once. A pattern
    /// is not judged, and a newer MISP may have more.
    pub fn warnings(&self) -> Vec<String> {
        let types = || MISP_TYPES.iter().map(|row| row.kind);
        let categories = || MISP_CATEGORIES.iter().copied();
        let lists: [(_, &[String], Vec<&str>, Vec<&str>); 3] = [
            (
                "attribute_types",
                &self.attribute_types,
                types().collect(),
                categories().collect(),
            ),
            (
                "exclude_attribute_types",
                &self.exclude_attribute_types,
                types().collect(),
                categories().collect(),
            ),
            (
                "attribute_categories",
                &self.attribute_categories,
                categories().collect(),
                types().collect(),
            ),
        ];

        lists
            .into_iter()
            .flat_map(|(option, values, known, others)| {
                let mistyped = values.iter().filter(|value| !value.contains('*'));
                mistyped
                    .filter_map(|value| describe_mistyped(option, value, &known, &others))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The rule that keeps an attribute out; none if it passes.
    pub fn find_skip_rule(&self, attribute: &Attribute) -> Option<String> {
        if self.ids_only && attribute.to_ids != Some(true) {
            return Some("not meant for detection".to_owned());
        }
        let most = self.max_false_positives.unwrap_or(u64::MAX);
        if attribute.sightings.false_positives > most {
            return Some(format!(
                "sighted as a false positive more than max_false_positives ({most})"
            ));
        }
        let list = |include, exclude| NameList { include, exclude };
        let types = list(&self.attribute_types, &self.exclude_attribute_types);
        let categories = list(&self.attribute_categories, &[]);
        let tags = list(&self.attribute_tags, &self.exclude_attribute_tags);

        types
            .rule("type", || std::iter::once(attribute.kind.as_str()))
            .or_else(|| {
                categories.rule("category", || std::iter::once(attribute.category.as_str()))
            })
            .or_else(|| {
                let names = || attribute.tags.iter().map(|tag| tag.name.as_str());
                tags.rule("attribute tag", names)
            })
    }
}

/// What is said of a value that is none of those that are known; `others` are those that the other
/// option takes.
fn describe_mistyped(option: &str, value: &str, known: &[&str], others: &[&str]) -> Option<String> {
    let is_in = |names: &[&str]| names.iter().any(|name| matches(value, name));
    if is_in(known) {
        return None;
    }
    let hint = if is_in(others) {
        " (a type is not a category: it belongs into the other option)".to_owned()
    } else {
        did_you_mean(value, known.iter().copied())
    };
    Some(format!(
        "\"{option}\": \"{value}\" is nothing that MISP is known to have{hint}: correct it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rule(choice: Value, attribute: Value) -> Option<String> {
        let mut whole = json!({"type": "ip-dst", "category": "Network activity", "to_ids": true, "Tag": [{"name": "TLP:Green"}]});
        whole
            .as_object_mut()
            .unwrap()
            .extend(attribute.as_object().unwrap().clone());
        let choice: AttributeFilters = serde_json::from_value(choice).unwrap();
        choice.find_skip_rule(&serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn without_filters_every_attribute_passes() {
        assert_eq!(rule(json!({}), json!({"to_ids": "0", "Tag": []})), None);
    }

    #[test]
    fn each_filter_has_its_rule() {
        for (choice, passes, attribute, expected) in [
            (
                json!({"ids_only": true}),
                json!({"to_ids": 1}),
                json!({"to_ids": false}),
                "not meant for detection",
            ),
            (
                json!({"max_false_positives": 1}),
                json!({"Sighting": [{"type": "0"}, {"type": 1}, {"type": "0"}]}),
                json!({"Sighting": [{"type": "1"}, {"type": 1}]}),
                "sighted as a false positive more than max_false_positives (1)",
            ),
            (
                json!({"attribute_types": ["ip-*"]}),
                json!({}),
                json!({"type": "domain"}),
                "type is not included",
            ),
            (
                json!({"exclude_attribute_types": ["MD5"]}),
                json!({}),
                json!({"type": "md5\u{200b} "}),
                "type MD5 is excluded",
            ),
            (
                json!({"attribute_categories": ["network activity"]}),
                json!({}),
                json!({"category": "Other"}),
                "category is not included",
            ),
            (
                json!({"attribute_tags": ["tlp:green"]}),
                json!({}),
                json!({"Tag": []}),
                "no attribute tag is included",
            ),
            (
                json!({"exclude_attribute_tags": ["tlp:red"]}),
                json!({}),
                json!({"Tag": [{"name": "TL\u{ad}P: RЕD"}]}),
                "attribute tag tlp:red is excluded",
            ),
        ] {
            assert_eq!(rule(choice.clone(), passes), None, "{choice}");
            assert_eq!(rule(choice, attribute).as_deref(), Some(expected));
        }
    }
}
