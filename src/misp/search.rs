//! What a search for a value gives, whichever MISP is asked.

use uuid::Uuid;

use super::wire::{Attribute, Event};
use crate::types::Likeness;

/// Something that a search came upon.
#[derive(Debug)]
pub enum Hit {
    /// An attribute that has the value.
    Attribute {
        /// Its event.
        event: Uuid,
        /// The attribute.
        attribute: Box<Attribute>,
        /// How its value is what was searched for.
        likeness: Likeness,
        /// How often it was sighted; what was sighted as false positive or expiration does not
        /// count.
        sightings: u64,
    },
    /// The head of an event that has the value, where it was read with it.
    Event {
        /// The event.
        event: Uuid,
        /// Its head.
        head: Box<Event>,
    },
    /// An event that should have the value and could not be read.
    Unreadable {
        /// The event.
        event: Uuid,
        /// Why.
        reason: String,
    },
    /// An element of the answer that is no attribute of an event; the text says what is wrong with
    /// it.
    Bad(String),
}

/// Whether a search took place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchCoverage {
    /// The whole MISP was searched.
    All,
    /// Not all that may have the value was looked at, for this reason.
    Part(String),
    /// Nothing was searched, for this reason.
    Not(String),
}
