//! The grammar of search filters: what one value, a list, or `{"OR","AND","NOT"}` asks for, and time windows.

use std::net::Ipv6Addr;

use cortex_misp::types::equal::{are_equal, equality_key};
use serde_json::Value;

use super::ask::{text, truthy};
use super::tags;

/// A filter taken apart.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) or: Vec<String>,
    pub(crate) and: Vec<String>,
    pub(crate) not: Vec<String>,
}

impl Filter {
    /// Nothing for an absent, false or empty filter, which filters nothing.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let mut filter = Self::default();
        match value {
            Value::Null | Value::Bool(false) => return None,
            Value::Object(parts) => {
                let of = |name: &str| parts.get(name).map(literal).unwrap_or_default();
                (filter.or, filter.and, filter.not) = (of("OR"), of("AND"), of("NOT"));
            }
            Value::Array(items) => items
                .iter()
                .filter_map(text)
                .for_each(|item| filter.add(&item)),
            scalar => text(scalar)?.split("&&").for_each(|item| filter.add(item)),
        }
        let empty = [&filter.or, &filter.and, &filter.not]
            .into_iter()
            .all(|list| list.iter().all(String::is_empty));
        (!empty).then_some(filter)
    }

    /// `!` means not, except inside a dictionary.
    fn add(&mut self, item: &str) {
        match item.strip_prefix('!') {
            Some(not) => self.not.push(not.to_owned()),
            None if !item.is_empty() => self.or.push(item.to_owned()),
            None => {}
        }
    }

    /// Whether something known by several texts (id, name, uuid) passes.
    pub(crate) fn passes(&self, texts: &[&str]) -> bool {
        self.passes_by(texts, like)
    }

    /// The same for values.
    pub(crate) fn passes_values(&self, texts: &[&str]) -> bool {
        self.passes_by(texts, like_value)
    }

    fn passes_by(&self, texts: &[&str], is_it: fn(&str, &str) -> bool) -> bool {
        let known = |pattern: &String| texts.iter().any(|text| is_it(pattern, text));
        !self.not.iter().any(known)
            && self.and.iter().all(known)
            && (self.or.is_empty() || self.or.iter().any(known))
    }
}

/// A value, or half of one, equal by the collation of MISP's columns (recorded as `463-value-search-percent-behind-weightless`
/// and its neighbours).
fn like_value(pattern: &str, text: &str) -> bool {
    match (
        pattern.parse::<Ipv6Addr>(),
        pattern.starts_with('%') || pattern.ends_with('%'),
    ) {
        // Recorded as `466-value-search-ipv6-is-compressed`.
        (Ok(ip), _) => are_equal(&ip.to_string(), text),
        // Recorded as `584-value-search-networks`: within the text `%` and `_` stand for others too.
        (Err(_), true) => tags::like(&equality_key(pattern), &equality_key(text)),
        (Err(_), false) => are_equal(pattern, text),
    }
}

/// One text or several, as they are.
fn literal(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

/// Equal, or with `%` at an end a prefix, suffix or part.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('%'), pattern.strip_suffix('%')) {
        (Some(""), _) => true,
        (Some(_), Some(_)) => text.contains(&pattern[1..pattern.len() - 1]),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}

/// Whether `stamp` lies in the window of a time filter. Digits are epoch seconds, `5d` is that long before `now`, anything
/// else matches nothing (recorded as `185-rs-timestamp-bad`).
pub(crate) fn in_window(window: &Value, stamp: i64, now: i64) -> bool {
    let bound = |value: &Value| text(value).map_or(0, |text| moment(&text, now));
    match window {
        Value::Array(two) if two.len() == 2 => {
            let (mut from, mut to) = (bound(&two[0]), bound(&two[1]));
            if from > to {
                (from, to) = (to, from);
            }
            (from..=to).contains(&stamp)
        }
        value if truthy(value) => stamp >= bound(value),
        _ => true,
    }
}

fn moment(text: &str, now: i64) -> i64 {
    if let Ok(epoch) = text.parse() {
        return epoch;
    }
    let unit = match text.chars().last() {
        Some('d') => 86_400,
        Some('h') => 3_600,
        Some('m') => 60,
        Some('s') => 1,
        _ => return now + 1,
    };
    text[..text.len() - 1]
        .parse::<i64>()
        .map_or(now + 1, |count| now - count * unit)
}

/// Whether `YYYY-MM-DD` lies in the window.
pub(crate) fn in_days(window: &Value, day: &str) -> bool {
    match window {
        Value::Array(two) if two.len() == 2 => {
            let bound = |value: &Value| text(value).unwrap_or_default();
            (bound(&two[0])..=bound(&two[1])).contains(&day.to_owned())
        }
        value => text(value).is_none_or(|from| day >= from.as_str()),
    }
}

/// The page's rows. A page without a limit is ignored, page 0 is page 1 (recorded as `165-rs-page0`, `169-rs-page-no-limit`).
pub(crate) fn page<T>(rows: Vec<T>, limit: &Value, page: &Value) -> Vec<T> {
    let limit = super::ask::number(limit)
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(0);
    if limit == 0 {
        return rows;
    }
    let page = super::ask::number(page)
        .and_then(|page| usize::try_from(page).ok())
        .unwrap_or(1)
        .max(1);
    rows.into_iter()
        .skip((page - 1).saturating_mul(limit))
        .take(limit)
        .collect()
}

/// A column to sort by and whether upwards.
pub(crate) type Order = (String, bool);

/// `"timestamp desc"`, `"Attribute.id asc"`; nothing if absent.
pub(crate) fn order(value: &Value) -> Option<Order> {
    let value = text(value)?;
    let mut words = value.split_whitespace();
    let column = words.next()?;
    let column = column.split_once('.').map_or(column, |(_, column)| column);
    let upwards = !words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("desc"));
    Some((column.to_owned(), upwards))
}
