//! Tags that exclude each other: of some predicates, and of whole taxonomies, MISP allows one value
//! on an event or attribute, such as `workflow:state`. Its pages refuse a second one, and an edit
//! of an event does not look (`fixtures/wire/misp/505-edit-adds-a-second-exclusive-value.json`).
//! Pure.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::diff::shared_tags;
use super::draft::EventDraft;
use crate::misp::EventContent;
use crate::misp::tag_resolution::{TagResolution, predicate_of};

/// The namespaces of which tags that are wanted may exclude each other, or others that are there.
pub fn namespaces_to_check(wanted: &EventDraft, held: Option<&EventContent>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let of_event = held
        .map(|held| shared_tags(held.event.tags_with_local_flag()).collect())
        .unwrap_or_default();
    collect_rival_namespaces(&wanted.tags, of_event, &mut found);
    let tagged = held
        .iter()
        .flat_map(|held| &held.attributes)
        .filter(|attribute| !attribute.tags.is_empty());
    let there: HashMap<Uuid, _> = tagged
        .filter_map(|attribute| Some((Uuid::parse_str(&attribute.uuid).ok()?, attribute)))
        .collect();
    for attribute in wanted
        .attributes
        .iter()
        .filter(|attribute| !attribute.tags.is_empty())
    {
        let held = there
            .get(&attribute.uuid)
            .map(|held| shared_tags(held.tags_with_local_flag()).collect());
        collect_rival_namespaces(&attribute.tags, held.unwrap_or_default(), &mut found);
    }

    found
}

fn collect_rival_namespaces(wanted: &[String], held: Vec<&str>, found: &mut BTreeSet<String>) {
    for tag in wanted {
        let Some(key) = predicate_of(tag) else {
            continue;
        };
        let mut others = wanted
            .iter()
            .map(String::as_str)
            .chain(held.iter().copied());
        if others.any(|other| {
            predicate_of(other) == Some(key) && other.to_lowercase() != tag.to_lowercase()
        }) {
            found.insert(key.split(':').next().unwrap_or(key).to_owned());
        }
    }
}

/// Leaves one tag of those that exclude each other in the case itself, and says which go.
pub fn drop_rivals(wanted: &mut EventDraft, names: &TagResolution) -> Vec<String> {
    let mut told = BTreeSet::new();
    let of_attributes = wanted
        .attributes
        .iter_mut()
        .map(|attribute| &mut attribute.tags);

    for tags in std::iter::once(&mut wanted.tags).chain(of_attributes) {
        let mut kept: Vec<String> = Vec::new();
        for tag in tags.drain(..) {
            match names.find_rival(&tag, kept.iter().map(String::as_str)) {
                Some(rival) => drop(told.insert(describe_conflict(&tag, rival))),
                None => kept.push(tag),
            }
        }

        *tags = kept;
    }

    told.into_iter().collect()
}

/// What is said of a tag that is not set beside another.
pub fn describe_conflict(tag: &str, rival: &str) -> String {
    format!(
        "the tag {tag} is not set beside {rival}: MISP allows one value of {}",
        predicate_of(tag).unwrap_or(tag)
    )
}
