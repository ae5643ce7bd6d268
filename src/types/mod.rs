//! The one table between TheHive's observable types and MISP's attribute types, both directions,
//! with MISP's own normalisation and validation. Everything here takes values and gives values:
//! reading, writing and what is asked of which server is elsewhere.

mod capabilities;
mod composites;
mod detect;
pub mod equal;
mod forms;
mod mapped;
mod misp_types;
mod networks;
mod normalise;
mod observable_types;
mod overrides;
mod patterns;
mod refang;
mod related;
mod rules;
mod search_value;
mod to_misp;
mod to_thehive;
mod validate;

pub use capabilities::{MispCapabilities, ObservableTypeSet};
pub use forms::{Check, ValueForm};
pub use mapped::{MappedAttribute, ObservableInput};
pub use misp_types::{
    CATEGORIES as MISP_CATEGORIES, MispType, ObservableTarget, TABLE as MISP_TYPES,
};
pub use normalise::replace_astral;
pub use observable_types::{
    CHOICES as OBSERVABLE_TYPES, ObservableTypeRow, TypeRule, canonical_type,
};
pub use overrides::Overrides;
pub use related::{RelatedValues, Relation};
pub use search_value::{Likeness, SearchValue};
pub use to_misp::{Mapping, to_attributes};
pub use to_thehive::{AttributeInput, Observable, file_tags, to_observables, type_tag_of};
pub use validate::{ValidationError, normalise, validate};

/// A value without what keeps people from clicking on it, whatever its type.
pub fn refang_value(value: &str) -> String {
    refang::mail(&refang::url(value))
}
