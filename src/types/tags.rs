//! The tags by which an observable remembers what it is in MISP: `misp:type="…"`,
//! `misp:category="…"`, `misp:composite="<type>:<id>[:<port>]"`. Nothing is decided here.

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
    format!("misp:type=\"{kind}\"")
}

pub(super) fn category_tag(category: &str) -> String {
    format!("misp:category=\"{category}\"")
}

pub(super) fn composite_tag(kind: &str, uuid: &str, port: Option<&str>) -> String {
    let id = uuid.get(..8).unwrap_or(uuid);
    match port {
        Some(port) => format!("misp:composite=\"{kind}:{id}:{port}\""),
        None => format!("misp:composite=\"{kind}:{id}\""),
    }
}

impl<'a> Words<'a> {
    pub(super) fn of(tags: &'a [String]) -> Self {
        let mut words = Self::default();
        for tag in tags {
            let Some(rest) = after(tag.trim(), "misp:") else {
                continue;
            };
            if let Some(kind) = value(rest, "type=") {
                add(&mut words.types, kind);
            } else if let Some(category) = value(rest, "category=") {
                add(&mut words.categories, category);
            } else if let Some(link) = value(rest, "composite=").and_then(link) {
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

/// The value after a name, with or without quotes.
fn value<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    let value = after(rest, name)?.trim();
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).trim();
    (!bare.is_empty()).then_some(bare)
}

fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(beginning.len())?;
    start.eq_ignore_ascii_case(beginning).then_some(rest)
}

fn link(value: &str) -> Option<Link<'_>> {
    let (kind, rest) = value.split_once(':')?;
    let (id, port) = match rest.split_once(':') {
        Some((id, port)) => (id, Some(port)),
        None => (rest, None),
    };
    Some(Link { kind, id, port })
}
