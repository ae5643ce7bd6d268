//! What an observable's tags say it is in MISP: `misp:type="…"`, `misp:category="…"`,
//! `misp:composite="<type>:<event>:<attribute>[:<port>]"`; and composites found again by them. What
//! MISP says to a composite is asked elsewhere.

use std::collections::HashMap;

use uuid::Uuid;

use super::detect;
use super::mapped::ObservableInput;
use super::misp_types::find_row;
use super::observable_types::canonical_type;
use super::validate::could_be;
use crate::tags::{self, Link};

/// The words of one observable's tags, in their order.
#[derive(Debug, Default)]
pub struct MispTags<'a> {
    pub types: Vec<&'a str>,
    pub categories: Vec<&'a str>,
    pub composites: Vec<Link<'a>>,
}

impl<'a> MispTags<'a> {
    pub fn from_tags(all: &'a [String]) -> Self {
        let mut words = Self::default();

        for tag in all {
            if let Some(kind) = tags::parse_value(tag, tags::TYPE) {
                push_once(&mut words.types, kind);
            } else if let Some(category) = tags::parse_value(tag, tags::CATEGORY) {
                push_once(&mut words.categories, category);
            } else if let Some(link) = tags::parse_value(tag, tags::COMPOSITE).and_then(Link::parse)
            {
                push_once(&mut words.composites, link);
            }
        }

        words
    }
}

pub fn push_once<T: PartialEq>(all: &mut Vec<T>, item: T) {
    if !all.contains(&item) {
        all.push(item);
    }
}

/// A composite whose parts are all there.
pub struct Composite<'a> {
    pub kind: &'a str,
    pub value: String,
    pub from: Vec<usize>,
}

/// The observables that are the first half of a composite, and the second.
type Sides = [Vec<usize>; 2];

/// Every complete composite, each half used once for each composite that it is a half of. Of a
/// composite that has one half more than once nobody knows which belong together: it is none.
pub fn find_pairs<'a>(given: &[ObservableInput<'_>], words: &[MispTags<'a>]) -> Vec<Composite<'a>> {
    let mut found = Vec::new();
    let mut open: Vec<(&'a str, Sides)> = Vec::new();
    let mut places: HashMap<(&'a str, (Uuid, Uuid)), usize> = HashMap::new();

    for (index, (observable, words)) in given.iter().zip(words).enumerate() {
        for link in &words.composites {
            let halves = find_row(link.name).and_then(|row| row.halves());
            match (halves, link.whole, link.port) {
                // The port stands in the tag, so the address alone is the whole composite.
                (Some((_, None)), _, Some(port)) => found.push(Composite {
                    kind: link.name,
                    value: format!("{}|{port}", observable.data.trim()),
                    from: vec![index],
                }),

                (Some((left, Some(right))), Some(whole), _) => {
                    let place = *places.entry((link.name, whole)).or_insert(open.len());
                    if place == open.len() {
                        open.push((link.name, Sides::default()));
                    }
                    let half = half_index(observable, words, left, right);
                    let side = open
                        .get_mut(place)
                        .and_then(|(_, sides)| sides.get_mut(half));
                    side.into_iter().for_each(|side| side.push(index));
                }

                _ => {}
            }
        }
    }

    found.extend(
        open.into_iter()
            .filter_map(|(kind, sides)| join_halves(given, kind, &sides)),
    );

    found
}

/// The composite, if there is one of each half.
fn join_halves<'a>(
    given: &[ObservableInput<'_>],
    kind: &'a str,
    [first, second]: &Sides,
) -> Option<Composite<'a>> {
    let ([first], [second]) = (first.as_slice(), second.as_slice()) else {
        return None;
    };
    let (left, right) = (given.get(*first)?, given.get(*second)?);

    Some(Composite {
        kind,
        value: format!("{}|{}", left.data, right.data),
        from: vec![*first, *second],
    })
}

/// Which half an observable is: by its type, by the type it says, or by what its value could be.
fn half_index(
    observable: &ObservableInput<'_>,
    words: &MispTags<'_>,
    left: &str,
    right: &str,
) -> usize {
    let is_second = if canonical_type(observable.data_type) != "other" {
        !is_of_type(observable.data_type, left)
    } else if let Some(kind) = [left, right]
        .into_iter()
        .find(|kind| words.types.contains(kind))
    {
        kind != left
    } else {
        // The second half of `regkey|value` may be any text.
        right == "other" || could_be(right, observable.data)
    };

    usize::from(is_second)
}

fn is_of_type(data_type: &str, kind: &str) -> bool {
    let usual = find_row(kind).and_then(|row| row.observable_type());
    usual.is_some_and(|usual| usual == canonical_type(data_type))
        // Without a value, to hear what the type's name alone says.
        || detect::guess(data_type, "").kind == kind
}

/// The `misp:type` tag by which an observable `other` only says which half it is.
pub fn half_marker(observable: &ObservableInput<'_>, words: &MispTags<'_>) -> Option<&'static str> {
    if canonical_type(observable.data_type) != "other" {
        return None;
    }
    words.composites.iter().find_map(|link| {
        let (left, right) = find_row(link.name)?.halves()?;
        [Some(left), right]
            .into_iter()
            .flatten()
            .find(|kind| words.types.contains(kind))
    })
}

/// What a half is without its other half.
pub fn half_kind(observable: &ObservableInput<'_>, words: &MispTags<'_>) -> Option<&'static str> {
    words.composites.iter().find_map(|link| {
        let (left, right) = find_row(link.name)?.halves()?;
        Some(match right {
            Some(right) if half_index(observable, words, left, right) == 1 => right,
            _ => left,
        })
    })
}
