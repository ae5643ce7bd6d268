//! What a search for a value gives, whichever MISP is asked.

use uuid::Uuid;

use super::wire::{Attribute, Event, Object};
use super::{AttributeRow, ParentObject};
use crate::config::LookupArtifacts;
use crate::json::Element;
use crate::types::{Likeness, RelatedValues, Relation, SearchValue};

/// Attributes beside the hits of one object, or of one event, that are kept, and the bytes of their
/// texts.
pub const MOST_BESIDE: usize = 1_000;
const MOST_TEXT_BESIDE: usize = 2 << 20;
/// As much of a hit's value is kept to name it, in bytes.
const LONGEST_NAME: usize = 4 << 10;
/// The same as for one of them, for all.
const MOST_ROWS: usize = 5_000;
const MOST_TEXT: usize = 8 << 20;

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
    /// What stands beside a hit, where it was read with it.
    Beside(Surroundings),
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
    /// Which values beside a hit are wanted.
    pub beside: LookupArtifacts,
}

/// A hit, as it is named where something stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HitName {
    /// Its value, and how it is related to what was looked up, if it is not that.
    pub text: String,
    /// True if it has the value itself.
    pub is_exact: bool,
}

impl HitName {
    /// The name of a hit by its value; `how` it is related, if it is no more than that.
    pub fn new(value: &str, how: &str) -> Self {
        let is_exact = how.is_empty();
        let value = value
            .get(..value.floor_char_boundary(LONGEST_NAME))
            .unwrap_or_default();
        let text = match is_exact {
            true => value.to_owned(),
            false => format!("{value}, related: {how},"),
        };
        Self { text, is_exact }
    }

    /// The name of the first of the hits among attributes, one that has the value before any other.
    /// One that is deleted is none.
    pub fn of_first<'r>(
        rows: impl Iterator<Item = &'r Element<Attribute>> + Clone,
        asked: &Sought<'_>,
    ) -> Option<Self> {
        let live = rows.filter_map(|row| match row {
            Element::Good(attribute) if attribute.deleted != Some(true) => Some(attribute),
            Element::Good(_) | Element::Bad(_) => None,
        });
        let exact = |one: &&Attribute| {
            let likeness = asked.value.compare_attribute(&one.kind, &one.value);
            likeness.is_some()
        };
        if let Some(found) = live.clone().find(exact) {
            return Some(Self::new(&found.value, ""));
        }
        let mut related = live.filter_map(|one| {
            let relation = asked.related.compare_attribute(&one.kind, &one.value)?;
            Some(Self::new(&one.value, &relation.how))
        });
        related.next()
    }
}

/// A hit on a server, by which what stands beside it can be asked for.
#[derive(Clone, Debug)]
pub struct KnownHit {
    /// Its event.
    pub event: Uuid,
    /// The attribute.
    pub attribute: Uuid,
    /// How it is named.
    pub name: HitName,
}

/// The attributes of an object, or of an event, in which there is a hit: within bounds.
#[derive(Debug)]
pub struct Neighbours {
    /// The event.
    pub event: Uuid,
    /// The hit.
    pub hit: HitName,
    /// The first of the attributes, the hit among them.
    pub rows: Vec<AttributeRow>,
    /// How many more there are.
    pub beyond: u64,
    text: usize,
}

impl Neighbours {
    /// Those of a hit, none yet.
    pub fn new(event: Uuid, hit: HitName) -> Self {
        Self {
            event,
            hit,
            rows: Vec::new(),
            beyond: 0,
            text: 0,
        }
    }

    /// Takes one in, or counts it if there is no room.
    pub fn add(&mut self, attribute: &Element<Attribute>, within: Option<&ParentObject>) {
        let text = match attribute {
            Element::Good(attribute) => attribute.text_size(),
            Element::Bad(_) => 0,
        };
        if self.rows.len() < MOST_BESIDE && self.text + text <= MOST_TEXT_BESIDE {
            self.text += text;
            self.rows.push(AttributeRow {
                attribute: attribute.clone(),
                within: within.cloned(),
            });
        } else {
            self.beyond += 1;
        }
    }

    /// Takes an object in, with all that it holds, unless it is deleted.
    pub fn add_object(&mut self, object: &Object) {
        if object.deleted == Some(true) {
            return;
        }
        let within = ParentObject::new(object);
        self.beyond += object.beyond;
        for attribute in &object.attributes {
            self.add(attribute, Some(&within));
        }
    }
}

/// What stands beside the hits of a search: within bounds, which those of hits that are only
/// related to the value have for themselves.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// By hit, in the order in which they came.
    pub groups: Vec<Neighbours>,
    /// Attributes for which there was no room.
    dropped: u64,
    /// Attributes and bytes of those beside hits that have the value, and of the others.
    kept: [(usize, usize); 2],
}

impl Surroundings {
    /// Takes in what stands beside one hit, or counts it if there is no room.
    pub fn add(&mut self, group: Neighbours) {
        let [exact, related] = &mut self.kept;
        let kept = if group.hit.is_exact { exact } else { related };
        let (rows, text) = (kept.0 + group.rows.len(), kept.1 + group.text);
        if rows <= MOST_ROWS && text <= MOST_TEXT {
            *kept = (rows, text);
            self.groups.push(group);
        } else {
            self.dropped += group.beyond + group.rows.len() as u64;
        }
    }

    /// Takes in what was gathered elsewhere.
    pub fn append(&mut self, other: Self) {
        self.dropped += other.dropped;
        other.groups.into_iter().for_each(|group| self.add(group));
    }

    /// Counts attributes that were not read.
    pub fn count_unread(&mut self, number: u64) {
        self.dropped += number;
    }

    /// Attributes beside the hits that are not here.
    pub fn count_beyond(&self) -> u64 {
        self.dropped + self.groups.iter().map(|group| group.beyond).sum::<u64>()
    }
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
