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

pub use attributes::{Mapping, attributes};
pub use mapped::{MappedAttribute, ObservableInput};
pub use normalise::{normalise, without_astral};
pub use observables::{AttributeInput, Observable, file_tags, observables, type_tag_of};
pub use overrides::Overrides;
pub use page::page;
pub use server::{MispCapabilities, ObservableTypeSet};
pub use sought::{Likeness, SearchValue};
pub use validate::{ValidationError, validate};

/// What an observable type counts as: `fqdn` as `hostname`, `mail_subject` as `mail-subject`.
pub fn fold(data_type: &str) -> std::borrow::Cow<'_, str> {
    choices::fold(data_type)
}

/// All MISP types of the table, in alphabetical order, with default category and `to_ids`.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    table::TABLE.iter().map(|row| (row.kind, row.category(), row.to_ids))
}

/// A value without what keeps people from clicking on it, whatever its type.
#[must_use]
pub fn refanged(value: &str) -> String {
    refang::mail(&refang::url(value)).into_owned()
}
