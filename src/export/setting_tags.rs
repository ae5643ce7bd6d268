//! Which of the wanted tags are set on a MISP: none that cannot be set there, that must not become
//! known, or that another excludes. Of some predicates, and of whole taxonomies, MISP allows one
//! value on an event or attribute, such as `workflow:state`. Its pages refuse a second one, and an
//! edit of an event does not look
//! (`fixtures/wire/misp/505-edit-adds-a-second-exclusive-value.json`).

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use uuid::Uuid;

use super::connection::ConnectionExport;
use super::diff::shared_tags;
use super::draft::EventDraft;
use super::reporting::NAMED;
use crate::markings::Pap;
use crate::misp::tag_resolution::{TagResolution, predicate_of};
use crate::misp::{EventContent, Misp};
use crate::text::{format_count, join_first, reveal_hidden};

impl ConnectionExport<'_> {
    /// Which tags can be set on this MISP; those that must not become known there are taken out.
    fn resolve_tag_names(&self, misp: &Misp, wanted: &mut EventDraft) -> Result<TagResolution> {
        let every = wanted.event_and_attribute_tags();
        let names = misp.ask_server(|server| server.resolve_tag_names(&every))?;

        for (why, tags) in names.group_refused(&every) {
            let shown = |tag: &&str| reveal_hidden(&self.part.run.report_text(tag)).into_owned();
            let tags: Vec<_> = tags.iter().map(shown).collect();
            self.part.warn(format!(
                "the tags {} stay here: {}",
                join_first(&tags, NAMED),
                why.describe()
            ));
        }
        self.withhold_new_tags(wanted, &names);

        Ok(names)
    }

    /// Which tags can be set, as far as the event does not show it by those that are set already; and
    /// takes out those that cannot, or must not become known, or that another excludes.
    pub fn settle_tags(
        &self,
        misp: &Misp,
        wanted: &mut EventDraft,
        held: Option<&EventContent>,
    ) -> Result<TagResolution> {
        let mut tags = self.resolve_tag_names(misp, wanted)?;
        // Which tags exclude each other is asked only where the event or the case has several of a
        // taxonomy.
        self.resolve_exclusive_tags(misp, wanted, held, &mut tags);
        Ok(tags)
    }

    /// Everybody on a MISP can read the names of its tags, so that nothing that stays in its
    /// organisation makes a new one.
    fn withhold_new_tags(&self, wanted: &mut EventDraft, names: &TagResolution) {
        if self.is_public() {
            return;
        }
        let mut left: BTreeSet<String> = BTreeSet::new();
        let mut only_known = |tags: &mut Vec<String>| {
            let is_kept_in = |tag: &mut String| names.is_new(tag) && Pap::from_tag(tag).is_none();
            left.extend(tags.extract_if(.., is_kept_in));
        };

        if wanted.tlp.forbids_sharing() {
            only_known(&mut wanted.tags);
        }
        for draft in wanted.attributes.iter_mut().filter(|draft| draft.is_closed) {
            only_known(&mut draft.tags);
        }

        if !left.is_empty() {
            self.part.warn(format!(
                "{} stay here: this MISP does not have them, and everybody there could read the \
                 names of new ones, which the TLP forbids",
                format_count(left.len() as u64, "tag", "tags")
            ));
        }
    }

    /// Asks for what excludes each other only where it may.
    fn resolve_exclusive_tags(
        &self,
        misp: &Misp,
        wanted: &mut EventDraft,
        held: Option<&EventContent>,
        names: &mut TagResolution,
    ) {
        let namespaces = namespaces_to_check(wanted, held);
        if namespaces.is_empty() {
            return;
        }

        match misp.ask_server(|server| server.fetch_exclusive_predicates(&namespaces)) {
            Ok(predicates) => names.add_exclusive(predicates),
            Err(error) => self.part.warn(format!(
                "which tags exclude each other is not known: {error:#}"
            )),
        }

        for remark in drop_rivals(wanted, names) {
            self.part.warn(self.part.run.clean(&remark));
        }
    }
}

/// What the wanted tags are called where an event has them already. Nothing has to be asked as long
/// as no other is to be set.
pub fn tags_that_are_set(wanted: &EventDraft, held: &EventContent) -> TagResolution {
    let of_attributes = held
        .attributes
        .iter()
        .flat_map(|attribute| shared_tags(attribute.tags_with_local_flag()));
    let set = shared_tags(held.event.tags_with_local_flag()).chain(of_attributes);
    TagResolution::of_tags_that_are_set(&wanted.event_and_attribute_tags(), set)
}

/// The namespaces of which tags that are wanted may exclude each other, or others that are there.
fn namespaces_to_check(wanted: &EventDraft, held: Option<&EventContent>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let of_event = held.map(|held| shared_tags(held.event.tags_with_local_flag()).collect());
    collect_rival_namespaces(&wanted.tags, of_event.unwrap_or_default(), &mut found);

    let attributes = held.into_iter().flat_map(EventContent::attributes_by_uuid);
    let there: HashMap<Uuid, _> = attributes
        .filter(|(_, attribute)| !attribute.tags.is_empty())
        .collect();
    for draft in wanted
        .attributes
        .iter()
        .filter(|draft| !draft.tags.is_empty())
    {
        let held = there
            .get(&draft.uuid)
            .map(|held| shared_tags(held.tags_with_local_flag()).collect());
        collect_rival_namespaces(&draft.tags, held.unwrap_or_default(), &mut found);
    }

    found
}

fn collect_rival_namespaces(wanted: &[String], held: Vec<&str>, found: &mut BTreeSet<String>) {
    for tag in wanted {
        // Of a galaxy an event may have several clusters.
        let Some(key) = predicate_of(tag).filter(|_| !tag.starts_with("misp-galaxy:")) else {
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
fn drop_rivals(wanted: &mut EventDraft, names: &TagResolution) -> BTreeSet<String> {
    let mut remarks = BTreeSet::new();
    let of_attributes = wanted.attributes.iter_mut().map(|draft| &mut draft.tags);

    for tags in std::iter::once(&mut wanted.tags).chain(of_attributes) {
        let mut kept: Vec<String> = Vec::new();
        for tag in tags.drain(..) {
            match names.find_rival(&tag, kept.iter().map(String::as_str)) {
                Some(rival) => drop(remarks.insert(describe_conflict(&tag, rival))),
                None => kept.push(tag),
            }
        }

        *tags = kept;
    }

    remarks
}

/// What is said of a tag that is not set beside another.
pub fn describe_conflict(tag: &str, rival: &str) -> String {
    format!(
        "the tag {tag} is not set beside {rival}: MISP allows one value of {}",
        predicate_of(tag).unwrap_or(tag)
    )
}
