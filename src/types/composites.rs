//! Finding the halves of composites again by their `misp:composite` tags. What MISP says to the
//! composite is asked elsewhere.

use std::collections::HashMap;

use uuid::Uuid;

use super::capabilities::MispCapabilities;
use super::detect;
use super::mapped::ObservableInput;
use super::misp_types::{self, MispType, ObservableTarget};
use super::normalise::normalise_fully;
use super::observable_types;
use super::tags::MispTags;
use super::validate;

/// A composite whose parts are all there.
pub(super) struct Composite<'a> {
    pub(super) kind: &'a str,
    pub(super) value: String,
    pub(super) from: Vec<usize>,
}

/// The observables that are the first half of a composite, and the second.
type Sides = [Vec<usize>; 2];

/// Every complete composite, each half used once for each composite that it is a half of. Of a
/// composite that has one half more than once nobody knows which belong together: it is none.
pub(super) fn find_pairs<'a>(
    given: &[ObservableInput<'_>],
    words: &[MispTags<'a>],
) -> Vec<Composite<'a>> {
    let mut found = Vec::new();
    let mut open: Vec<(&'a str, Sides)> = Vec::new();
    let mut places: HashMap<(&'a str, (Uuid, Uuid)), usize> = HashMap::new();

    for (at, (one, words)) in given.iter().zip(words).enumerate() {
        for link in &words.composites {
            match (
                misp_types::find_row(link.name).map(|row| row.import),
                link.whole,
                link.port,
            ) {
                (Some(ObservableTarget::Ported(_)), _, Some(port)) => {
                    found.push(Composite {
                        kind: link.name,
                        value: format!("{}|{port}", one.data.trim()),
                        from: vec![at],
                    });
                }

                (Some(ObservableTarget::Halves(left, right)), Some(whole), _) => {
                    let place = *places.entry((link.name, whole)).or_insert(open.len());
                    if place == open.len() {
                        open.push((link.name, Sides::default()));
                    }

                    if let Some((_, [first, second])) = open.get_mut(place) {
                        let mine = if half_index(one, words, [left, right]) == 0 {
                            first
                        } else {
                            second
                        };

                        mine.push(at);
                    }
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
    sides: &Sides,
) -> Option<Composite<'a>> {
    let [first, second] = sides;
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
fn half_index(one: &ObservableInput<'_>, words: &MispTags<'_>, kinds: [&'static str; 2]) -> usize {
    let [left, right] = kinds;
    if observable_types::canonical_type(one.data_type) == "other" {
        return match tagged_kind(words, kinds) {
            Some(kind) => usize::from(kind != left),
            None => usize::from(right == "other" || could_be(right, one.data)),
        };
    }

    usize::from(!is_of_type(one.data_type, left))
}

fn is_of_type(data_type: &str, kind: &str) -> bool {
    let usual = misp_types::find_row(kind).map(|row| row.import);
    usual.is_some_and(|usual| {
        usual
            == ObservableTarget::Is(observable_types::find(data_type).map_or("", |line| line.fold))
    }) || detect::guess(data_type, "").kind == kind
}

fn could_be(kind: &str, data: &str) -> bool {
    let is = |row: &MispType| {
        validate::is_valid(
            row,
            &normalise_fully(row.form, data),
            &MispCapabilities::newest(),
        )
    };

    misp_types::find_row(kind).is_some_and(is)
}

fn tagged_kind(words: &MispTags<'_>, kinds: [&'static str; 2]) -> Option<&'static str> {
    kinds.into_iter().find(|kind| words.types.contains(kind))
}

/// The `misp:type` tag by which an observable `other` only says which half it is.
pub(super) fn half_marker(one: &ObservableInput<'_>, words: &MispTags<'_>) -> Option<&'static str> {
    if observable_types::canonical_type(one.data_type) != "other" {
        return None;
    }
    words
        .composites
        .iter()
        .find_map(|link| match misp_types::find_row(link.name)?.import {
            ObservableTarget::Halves(left, right) => tagged_kind(words, [left, right]),
            ObservableTarget::Ported(left) => words.types.contains(&left).then_some(left),
            _ => None,
        })
}

/// What a half is without its other half.
pub(super) fn half_kind(one: &ObservableInput<'_>, words: &MispTags<'_>) -> Option<&'static str> {
    words
        .composites
        .iter()
        .find_map(|link| match misp_types::find_row(link.name)?.import {
            ObservableTarget::Halves(left, right) => {
                Some(match half_index(one, words, [left, right]) {
                    0 => left,
                    _ => right,
                })
            }
            ObservableTarget::Ported(left) => Some(left),
            _ => None,
        })
}
