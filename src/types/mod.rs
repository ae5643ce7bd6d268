//! The one table between TheHive's observable types and MISP's attribute types, both directions,
//! with MISP's own normalisation and validation. Everything here takes values and gives values:
//! reading, writing and what is asked of which server is elsewhere.

mod attributes;
mod choices;
mod composites;
mod described;
pub mod equal;
mod form;
mod mapped;
mod normalise;
mod observables;
mod overrides;
mod page;
mod refang;
mod rules;
mod server;
mod settle;
mod shapes;
mod sought;
mod table;
mod tags;
mod time;
mod unify;
mod validate;

pub use attributes::{Mapping, to_attributes};
pub use mapped::{MappedAttribute, ObservableInput};
pub use normalise::{normalise, replace_astral};
pub use observables::{AttributeInput, Observable, file_tags, to_observables, type_tag_of};
pub use overrides::Overrides;
pub use page::render_mapping_page;
pub use server::{MispCapabilities, ObservableTypeSet};
pub use sought::{Likeness, SearchValue};
pub use validate::{ValidationError, validate};

/// What an observable type counts as: `fqdn` as `hostname`, `mail_subject` as `mail-subject`.
pub fn canonical_type(data_type: &str) -> std::borrow::Cow<'_, str> {
    choices::canonical_type(data_type)
}

/// All MISP types of the table, in alphabetical order, with default category and `to_ids`.
pub fn misp_types() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    table::TABLE
        .iter()
        .map(|row| (row.kind, row.default_category(), row.to_ids))
}

/// A value without what keeps people from clicking on it, whatever its type.
#[must_use]
pub fn refang_value(value: &str) -> String {
    refang::mail(&refang::url(value)).into_owned()
}
