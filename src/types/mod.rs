//! The one table between TheHive's observable types and MISP's attribute types, both directions,
//! with MISP's own normalisation and validation. Everything here takes values and gives values:
//! reading, writing and what is asked of which server is elsewhere.

mod capabilities;
mod composites;
mod described;
mod detect;
pub mod equal;
mod mapped;
mod merge;
mod misp_types;
mod normalise;
mod observable_types;
mod overrides;
mod page;
mod patterns;
mod refang;
mod resolve;
mod rules;
mod search_value;
mod tags;
mod time;
mod to_misp;
mod to_thehive;
mod validate;

pub use capabilities::{MispCapabilities, ObservableTypeSet};
pub use mapped::{MappedAttribute, ObservableInput};
pub use normalise::{normalise, replace_astral};
pub use overrides::Overrides;
pub use page::render_mapping_page;
pub use search_value::{Likeness, SearchValue};
pub use to_misp::{Mapping, to_attributes};
pub use to_thehive::{AttributeInput, Observable, file_tags, to_observables, type_tag_of};
pub use validate::{ValidationError, validate};

/// What an observable type counts as: `fqdn` as `hostname`, `mail_subject` as `mail-subject`.
pub fn canonical_type(data_type: &str) -> std::borrow::Cow<'_, str> {
    observable_types::canonical_type(data_type)
}

/// All MISP types of the table, in alphabetical order, with default category and `to_ids`.
pub fn misp_types() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    misp_types::TABLE
        .iter()
        .map(|row| (row.kind, row.default_category(), row.to_ids))
}

/// A value without what keeps people from clicking on it, whatever its type.
#[must_use]
pub fn refang_value(value: &str) -> String {
    refang::mail(&refang::url(value)).into_owned()
}
