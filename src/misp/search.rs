//! What a search for a value gives, whichever MISP is asked.

use uuid::Uuid;

use super::wire::{Attribute, Event};
use crate::types::{Likeness, RelatedValues, Relation, SearchValue};

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
    /// An attribute that does not have the value, and says something of it.
    Related {
        /// Its event.
        event: Uuid,
        /// The attribute.
        attribute: Box<Attribute>,
        /// How it is related to the value.
        relation: Relation,
        /// How often it was sighted, as above.
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

impl Hit {
    /// What an attribute of an event is, if it has the value, or says something of it. One that has
    /// it is never taken for a related one.
    pub fn from_attribute(event: Uuid, attribute: Attribute, asked: &Sought<'_>) -> Option<Self> {
        let sightings = attribute.sightings.seen;
        let (kind, value) = (&attribute.kind, &attribute.value);

        if let Some(likeness) = asked.value.compare_attribute(kind, value) {
            return Some(Self::Attribute {
                event,
                likeness,
                sightings,
                attribute: Box::new(attribute),
            });
        }
        let relation = asked.related.compare_attribute(kind, value)?;
        Some(Self::Related {
            event,
            relation,
            sightings,
            attribute: Box::new(attribute),
        })
    }
}

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// The value.
    pub value: &'a SearchValue,
    /// The values that are related to it; none if they are not wanted.
    pub related: &'a RelatedValues,
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
