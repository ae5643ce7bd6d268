//! What goes into the mapping of observables to attributes, and what comes out.

use std::borrow::Cow;

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
