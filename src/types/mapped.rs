//! What goes into the mapping of observables to attributes, and what comes out: one attribute for
//! each type and value, as MISP tells values apart, however many observables mean it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::equal;
use crate::secret::truncate_text;

/// An observable as TheHive has it.
#[derive(Clone, Copy, Debug)]
pub struct ObservableInput<'a> {
    /// TheHive's observable type.
    pub data_type: &'a str,
    /// Its data.
    pub data: &'a str,
    /// All its tags.
    pub tags: &'a [String],
}

/// An attribute that MISP is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedAttribute {
    /// MISP type.
    pub kind: Cow<'static, str>,
    /// MISP category, one that the type is allowed in.
    pub category: Cow<'static, str>,
    /// The value as MISP will store it.
    pub value: String,
    /// What the analyst should know: a fallback, a changed character, a tag not followed.
    pub warning: Option<String>,
    /// What the attribute counts as when its uuid is made: the observable type with its synonyms
    /// folded, or the MISP type of a composite. No two wanted attributes share fold and value.
    pub fold: String,
    /// The observables it stands for, by their place in the list.
    pub from: Vec<usize>,
}

/// The attributes without doubles, in the order of their first observables; no two share fold and
/// value, so that each gets a uuid of its own.
pub fn merge_duplicates(drafts: Vec<MappedAttribute>) -> Vec<MappedAttribute> {
    let mut places: HashMap<(Cow<'static, str>, String), usize> = HashMap::new();
    let mut all: Vec<MappedAttribute> = Vec::with_capacity(drafts.len());

    for draft in drafts {
        let key = (draft.kind.clone(), equal::equality_key(&draft.value));
        match places.get(&key).and_then(|&at| all.get_mut(at)) {
            Some(known) => merge_into(known, draft),
            None => {
                places.insert(key, all.len());
                all.push(draft);
            }
        }
    }

    make_folds_unique(&mut all);
    // Composites came before the others: in the end the order of the list counts.
    all.sort_by_key(|attribute| attribute.from.iter().min().copied());

    all
}

/// Two types of one value cannot both count as `ip`: the one that is called so goes first, then by
/// name, and the next counts as itself, whatever the order of the list.
fn make_folds_unique(all: &mut [MappedAttribute]) {
    let mut order: Vec<&mut MappedAttribute> = all.iter_mut().collect();
    order.sort_by_key(|attribute| (attribute.kind != attribute.fold, attribute.kind.clone()));
    let mut taken: HashSet<(String, String)> = HashSet::new();

    for attribute in order {
        let kind = attribute.kind.as_ref();
        let names = [
            attribute.fold.clone(),
            kind.to_owned(),
            format!("{kind} {}", attribute.fold),
        ];
        let free = names
            .into_iter()
            .find(|name| taken.insert((name.clone(), attribute.value.clone())));
        if let Some(name) = free {
            attribute.fold = name;
        }
    }
}

/// A second observable for an attribute that is wanted already. Of two folds the one that is not
/// `other` stays, and then the first by name; of two spellings that MISP takes for one value, the
/// first in the order of their characters: whatever the order of the list.
fn merge_into(known: &mut MappedAttribute, mut draft: MappedAttribute) {
    if draft.value < known.value {
        std::mem::swap(&mut known.value, &mut draft.value);
    }

    if draft.value != known.value {
        let quoted = truncate_text(&draft.value, 100);
        known.add_warning(&format!("MISP takes {quoted} for the same value"));
    }

    for at in draft.from {
        if !known.from.contains(&at) {
            known.from.push(at);
        }
    }

    if (draft.fold == "other", &draft.fold) < (known.fold == "other", &known.fold) {
        known.fold = draft.fold;
    }
    if let Some(warning) = draft.warning {
        known.add_warning(&warning);
    }
    if draft.category != known.category {
        known.add_warning(&format!("also asked for in category {}", draft.category));
    }
}

impl MappedAttribute {
    /// Adds a note to the warning, once.
    pub(super) fn add_warning(&mut self, note: &str) {
        self.warning = Some(match self.warning.take() {
            Some(warning) if warning.split("; ").any(|known| known == note) => warning,
            Some(warning) => format!("{warning}; {note}"),
            None => note.to_owned(),
        });
    }
}
