//! Finding the halves of composites again by their `misp:composite` tags. What MISP says to the
//! composite is asked elsewhere.

use std::collections::HashMap;

use super::attributes::Given;
use super::choices;
use super::form;
use super::normalise::settled;
use super::server::ServerTypes;
use super::table::{self, Import, Row};
use super::tags::{Link, Words};
use super::validate;

/// A composite whose parts are all there.
pub(super) struct Pair<'a> {
    pub(super) kind: &'a str,
    pub(super) value: String,
    pub(super) from: Vec<usize>,
}

/// Every complete composite, each half used once for each composite that it is a half of.
pub(super) fn pairs<'a>(given: &[Given<'_>], words: &[Words<'a>]) -> Vec<Pair<'a>> {
    let mut found = Vec::new();
    let mut open: HashMap<(&'a str, &'a str), [Option<usize>; 2]> = HashMap::new();
    for (at, (one, words)) in given.iter().zip(words).enumerate() {
        for link in &words.composites {
            match (table::row(link.kind).map(|row| row.import), link.port) {
                (Some(Import::Ported(_)), Some(port)) => {
                    found.push(Pair { kind: link.kind, value: format!("{}|{port}", one.data.trim()), from: vec![at] })
                }
                (Some(Import::Halves(left, right)), _) => {
                    let sides = open.entry((link.kind, link.id)).or_default();
                    let side = side(one, words, [left, right]);
                    let [first, second] = sides;
                    let mine = if side == 0 { first } else { second };
                    mine.get_or_insert(at);
                    if let Some(pair) = joined(given, link, sides, at) {
                        found.push(pair);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The composite, once the half that was just found is the second of the two.
fn joined<'a>(given: &[Given<'_>], link: &Link<'a>, sides: &[Option<usize>; 2], at: usize) -> Option<Pair<'a>> {
    let [Some(first), Some(second)] = *sides else {
        return None;
    };
    if first != at && second != at {
        return None;
    }
    let (left, right) = (given.get(first)?, given.get(second)?);
    let value = format!("{}|{}", left.data, right.data);
    Some(Pair { kind: link.kind, value, from: vec![first, second] })
}

/// Which half an observable is: by its type, by the type it says, or by what its value could be.
fn side(one: &Given<'_>, words: &Words<'_>, kinds: [&'static str; 2]) -> usize {
    let [left, right] = kinds;
    if choices::fold(one.data_type) == "other" {
        return match mark_of(words, kinds) {
            Some(kind) => usize::from(kind != left),
            None => usize::from(right == "other" || could_be(right, one.data)),
        };
    }
    usize::from(!is_of(one.data_type, left))
}

fn is_of(data_type: &str, kind: &str) -> bool {
    let usual = table::row(kind).map(|row| row.import);
    usual.is_some_and(|usual| usual == Import::Is(choices::of(data_type).map_or("", |line| line.fold)))
        || form::guess(data_type, "").kind == kind
}

fn could_be(kind: &str, data: &str) -> bool {
    let is = |row: &Row| validate::is_valid(row, &settled(row.form, data), &ServerTypes::newest());
    table::row(kind).is_some_and(is)
}

fn mark_of(words: &Words<'_>, kinds: [&'static str; 2]) -> Option<&'static str> {
    kinds.into_iter().find(|kind| words.types.contains(kind))
}

/// The `misp:type` tag by which an observable `other` only says which half it is.
pub(super) fn mark(one: &Given<'_>, words: &Words<'_>) -> Option<&'static str> {
    if choices::fold(one.data_type) != "other" {
        return None;
    }
    words.composites.iter().find_map(|link| match table::row(link.kind)?.import {
        Import::Halves(left, right) => mark_of(words, [left, right]),
        Import::Ported(left) => words.types.contains(&left).then_some(left),
        _ => None,
    })
}

/// What a half is without its other half.
pub(super) fn half(one: &Given<'_>, words: &Words<'_>) -> Option<&'static str> {
    words.composites.iter().find_map(|link| match table::row(link.kind)?.import {
        Import::Halves(left, right) => Some(match side(one, words, [left, right]) {
            0 => left,
            _ => right,
        }),
        Import::Ported(left) => Some(left),
        _ => None,
    })
}
