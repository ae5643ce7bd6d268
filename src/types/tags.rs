//! The tags by which an observable remembers what it is in MISP: `misp:type="…"`,
//! `misp:category="…"`, `misp:composite="<type>:<event>:<attribute>[:<port>]"`. Nothing is decided
//! here.

use uuid::Uuid;

use crate::tags::{self, Link};

/// The words of one observable's tags, in their order.
#[derive(Debug, Default)]
pub(super) struct MispTags<'a> {
    pub(super) types: Vec<&'a str>,
    pub(super) categories: Vec<&'a str>,
    pub(super) composites: Vec<Link<'a>>,
}

pub(super) fn type_tag(kind: &str) -> String {
    tags::build(tags::TYPE, kind)
}

pub(super) fn category_tag(category: &str) -> String {
    tags::build(tags::CATEGORY, category)
}

pub(super) fn composite_tag(kind: &str, whole: (Uuid, Uuid), port: Option<&str>) -> String {
    tags::build(
        tags::COMPOSITE,
        &Link {
            name: kind,
            whole: Some(whole),
            port,
        }
        .to_string(),
    )
}

impl<'a> MispTags<'a> {
    pub(super) fn from_tags(all: &'a [String]) -> Self {
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

fn push_once<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}
