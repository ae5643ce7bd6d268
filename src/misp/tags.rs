//! The names that tags have on a MISP, and those that cannot be set there. MISP drops a tag that it may not make in
//! silence, and an edit that carries nothing else unpublishes the event
//! (`fixtures/wire/misp/408-edit-unknown-tag-only-unpublishes.json`); so it is known before a plan is made. Pure.

use std::collections::HashMap;

use serde::Deserialize;

use crate::json;

/// One row of `tags/search` (`fixtures/wire/misp/401-tags-search-list.json`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    #[serde(rename = "Tag", deserialize_with = "json::object")]
    tag: Option<Found>,
}

impl Row {
    /// The tag's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.tag.as_ref().map(|tag| tag.name.as_str())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    #[serde(deserialize_with = "json::text")]
    name: String,
    #[serde(deserialize_with = "json::number")]
    org_id: Option<i64>,
    #[serde(deserialize_with = "json::number")]
    user_id: Option<i64>,
    #[serde(deserialize_with = "json::flag")]
    hide_tag: Option<bool>,
    #[serde(deserialize_with = "json::flag")]
    local_only: Option<bool>,
    #[serde(deserialize_with = "json::flag")]
    exportable: Option<bool>,
}

/// What the key's user may do with tags (`users/view/me`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The user's number.
    pub user: String,
    /// The number of the user's organisation.
    pub organisation: String,
    /// May make new tags.
    pub makes: bool,
    /// May set tags on what is there already.
    pub sets: bool,
}

/// Two names of one marking: MISP's taxonomies knew the second before the first.
const SYNONYMS: [(&str, &str); 2] = [("tlp:clear", "tlp:white"), ("PAP:CLEAR", "PAP:WHITE")];
/// The longest name that MISP keeps whole, in bytes.
const LONGEST: usize = 255;

/// The names of tags on a MISP.
#[derive(Clone, Debug, Default)]
pub struct TagNames {
    /// By the wanted name in lower case: the name there; none if it cannot be set. A name that is not among them may be
    /// made.
    names: HashMap<String, Option<String>>,
}

impl TagNames {
    /// True if there is a tag of this name: nobody learns of it by its being made.
    #[must_use]
    pub fn exists(&self, wanted: &str) -> bool {
        matches!(self.names.get(&wanted.to_lowercase()), Some(Some(_)))
    }

    /// Compares the wanted names with those that a MISP knows.
    #[must_use]
    pub fn new(wanted: &[&str], rows: &[Row], rights: &Rights) -> Self {
        let usable: HashMap<_, _> = rows
            .iter()
            .filter_map(|row| row.tag.as_ref())
            .map(|tag| (tag.name.to_lowercase(), tag.is_usable(rights).then(|| tag.name.clone())))
            .collect();
        let of = |name: &str| -> Option<Option<String>> {
            let synonym =
                SYNONYMS.iter().find(|(first, _)| first.eq_ignore_ascii_case(name)).map(|(_, second)| *second);
            let known = usable.get(&name.to_lowercase());
            known.or_else(|| usable.get(&synonym?.to_lowercase())).cloned()
        };
        let named = wanted.iter().map(|name| {
            let there = match of(name) {
                Some(there) => there,
                None => (rights.makes && is_storable(name)).then(|| (*name).to_owned()),
            };
            (name.to_lowercase(), there)
        });
        Self { names: named.collect() }
    }

    /// The names to ask for: the wanted ones and their synonyms. `%` stands for any text in a question, so that a name with
    /// it is not asked for.
    #[must_use]
    pub fn asked<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
        let synonyms = SYNONYMS.iter().filter(|(first, _)| wanted.contains(first)).map(|(_, second)| *second);
        wanted.iter().copied().chain(synonyms).filter(|name| !name.contains('%')).collect()
    }

    /// True if MISP lacks one of the names, or restricts it, so that the user's rights count.
    #[must_use]
    pub fn depends_on_rights(wanted: &[&str], rows: &[Row]) -> bool {
        let strict = Self::new(wanted, rows, &Rights::default());
        wanted.iter().any(|name| strict.name(name).is_none())
    }

    /// What a tag is called there; none if it cannot be set.
    #[must_use]
    pub fn name(&self, wanted: &str) -> Option<String> {
        let there = self.names.get(&wanted.to_lowercase());
        there.map_or_else(|| Some(wanted.to_owned()), Clone::clone)
    }

    /// The wanted names that cannot be set.
    #[must_use]
    pub fn missing<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().copied().filter(|name| self.name(name).is_none()).collect()
    }

    /// The same for an event that is there, whose tags the user may not set: none can be.
    #[must_use]
    pub fn none_of(wanted: &[&str]) -> Self {
        Self { names: wanted.iter().map(|name| (name.to_lowercase(), None)).collect() }
    }
}

impl Found {
    /// MISP leaves out a tag that is hidden, local, or another's (its `Model/Tag.php`, `captureTag`), and does not show one
    /// that is not exportable in its lists, so that it would be missed for ever (`EventsController.php`, `index`).
    fn is_usable(&self, rights: &Rights) -> bool {
        let is_free =
            |owner: Option<i64>, mine: &str| owner.is_none_or(|owner| owner == 0 || owner.to_string() == mine);
        self.hide_tag != Some(true)
            && self.local_only != Some(true)
            && self.exportable != Some(false)
            && is_free(self.org_id, &rights.organisation)
            && is_free(self.user_id, &rights.user)
    }
}

/// True for a name that MISP can store: no longer than its column, without characters that the column cannot hold
/// (`fixtures/wire/misp/309-add-emoji-tag.json`).
fn is_storable(name: &str) -> bool {
    name.len() <= LONGEST && name.chars().all(|c| c <= '\u{ffff}' && !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(rows: serde_json::Value) -> Vec<Row> {
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn a_tag_is_named_as_misp_names_it_and_made_only_by_who_may() {
        let rows = rows(json!([
            {"Tag": {"name": "TLP:Amber", "org_id": "0", "user_id": "0"}}, {"Tag": {"name": "PAP:WHITE"}}, {"Tag": []},
            {"Tag": {"name": "theirs", "org_id": "7"}}, {"Tag": {"name": "local", "local_only": true}},
            {"Tag": {"name": "mute", "exportable": false}},
        ]));
        let wanted = ["tlp:amber", "PAP:CLEAR", "new", "theirs", "local", "mute", "emoji 😀"];
        let poor = TagNames::new(&wanted, &rows, &Rights::default());
        assert_eq!(poor.name("tlp:amber").as_deref(), Some("TLP:Amber"));
        assert_eq!(poor.name("PAP:CLEAR").as_deref(), Some("PAP:WHITE"));
        assert_eq!(poor.missing(&wanted), ["new", "theirs", "local", "mute", "emoji 😀"]);
        let rights = Rights { organisation: "7".into(), makes: true, ..Rights::default() };
        assert_eq!(TagNames::new(&wanted, &rows, &rights).missing(&wanted), ["local", "mute", "emoji 😀"]);
        assert!(TagNames::depends_on_rights(&wanted, &rows) && !TagNames::depends_on_rights(&["tlp:amber"], &rows));
        assert_eq!(TagNames::asked(&["tlp:clear", "x", "100%"]), ["tlp:clear", "x", "tlp:white"]);
    }
}
