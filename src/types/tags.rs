//! The tags by which an observable remembers what it is in MISP: `misp:type="…"`,
//! `misp:category="…"`, `misp:composite="<type>:<id>[:<port>]"`. Nothing is decided here.

use crate::tags;

/// The words of one observable's tags, in their order.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    pub(super) types: Vec<&'a str>,
    pub(super) categories: Vec<&'a str>,
    pub(super) composites: Vec<Link<'a>>,
}

/// One end of a composite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link<'a> {
    /// The composite's type, such as `ip-dst|port`.
    pub(super) kind: &'a str,
    /// What its two halves share: the first 8 characters of the attribute's uuid.
    pub(super) id: &'a str,
    pub(super) port: Option<&'a str>,
}

pub(super) fn type_tag(kind: &str) -> String {
    tags::with(tags::TYPE, kind)
}

pub(super) fn category_tag(category: &str) -> String {
    tags::with(tags::CATEGORY, category)
}

pub(super) fn composite_tag(kind: &str, uuid: &str, port: Option<&str>) -> String {
    let id = uuid.get(..8).unwrap_or(uuid);
    match port {
        Some(port) => tags::with(tags::COMPOSITE, &format!("{kind}:{id}:{port}")),
        None => tags::with(tags::COMPOSITE, &format!("{kind}:{id}")),
    }
}

impl<'a> Words<'a> {
    pub(super) fn of(all: &'a [String]) -> Self {
        let mut words = Self::default();
        for tag in all {
            if let Some(kind) = tags::value(tag, tags::TYPE) {
                add(&mut words.types, kind);
            } else if let Some(category) = tags::value(tag, tags::CATEGORY) {
                add(&mut words.categories, category);
            } else if let Some(link) = tags::value(tag, tags::COMPOSITE).and_then(link) {
                add(&mut words.composites, link);
            }
        }
        words
    }
}

fn add<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

fn link(value: &str) -> Option<Link<'_>> {
    let (kind, rest) = value.split_once(':')?;
    let (id, port) = match rest.split_once(':') {
        Some((id, port)) => (id, Some(port)),
        None => (rest, None),
    };
    Some(Link { kind, id, port })
}
