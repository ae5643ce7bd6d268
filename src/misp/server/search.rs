//! Who knows a value: a search for attributes on a server.

use std::net::Ipv6Addr;

use anyhow::Result;
use serde_json::json;

use super::{ATTRIBUTE_ROWS, Server};
use crate::http::{PagedList, RowOrder};
use crate::json::Element;
use crate::misp::chunks::attribute_number;
use crate::misp::search::{Hit, SearchCoverage};
use crate::misp::wire::Attribute;
use crate::types::SearchValue;

/// Attributes asked for at once; each may bring many sightings along.
const HITS: usize = 1_000;

/// Tags of an attribute that are kept: no more are shown.
const MOST_TAGS: usize = 100;
/// Bytes of its comment that are kept: no more are shown.
const LONGEST_COMMENT: usize = 4 << 10;

impl Server {
    /// Searches for a value, in loose attributes, composites and objects, and hands over what has
    /// it. Every spelling stands in one `OR` list, where MISP takes `!` for a letter and not for an
    /// operator, as it does in a bare text (`fixtures/wire/misp/420-value-search-or.json`,
    /// `fixtures/wire/misp/421-value-search-bang-is-operator.json`). MISP compares as
    /// [`crate::types::equal`] does. Characters above U+FFFF are not stored there.
    ///
    /// # Errors
    /// What stopped the search; or the handler's own error.
    pub fn search(
        &self,
        sought: &SearchValue,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<SearchCoverage> {
        let asked = sought
            .search_terms()
            .into_iter()
            .filter(|one| one.chars().all(|c| c <= '\u{ffff}'))
            .map(escape_operators);

        let asked: Vec<String> = asked.collect();
        if asked.is_empty() {
            return Ok(SearchCoverage::Not("the value is empty".to_owned()));
        }
        self.search_pages(&asked, sought, on)?;

        Ok(SearchCoverage::All)
    }

    /// Pages until one is empty: a page may be short for reasons of its own, and the count in its
    /// header is no total (`fixtures/wire/misp/212-ars-page1.json`).
    fn search_pages(
        &self,
        asked: &[String],
        sought: &SearchValue,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<()> {
        let body = json!({
            "returnFormat": "json", "value": {"OR": asked}, "includeEventUuid": 1, "includeSightings": 1,
            "order": "Attribute.id asc",
        });
        let list = PagedList {
            limit: HITS,
            order: RowOrder::Number(attribute_number),
            repeated: "searching for a value: the server sends the same page again and again",
        };
        let mut keep = |row: Element<Attribute>| {
            Some(row.map(|mut attribute| {
                let comment = &mut attribute.comment;
                comment.truncate(comment.floor_char_boundary(LONGEST_COMMENT));
                attribute.tags.truncate(MOST_TAGS);
                attribute
            }))
        };

        list.for_each_page(
            |page| {
                let path = "attributes/restSearch";
                Ok(self
                    .fetch_page(path, ATTRIBUTE_ROWS, &body, page, &mut keep)?
                    .0)
            },
            |page| {
                page.rows
                    .into_iter()
                    .filter_map(|row| to_hit(row, sought))
                    .try_for_each(&mut *on)?;
                Ok(false)
            },
        )
    }
}

/// A text that MISP takes for itself: `%` at an end would stand for anything there (its
/// `AppModel.php`, `generic_add_filter`), and what can be read as an IPv6 address would be written
/// anew, be it a MAC (`Event.php`, `set_filter_value`;
/// `fixtures/wire/misp/466-value-search-ipv6-is-compressed.json`). A character without weight
/// before it keeps the comparison as it is
/// (`fixtures/wire/misp/463-value-search-percent-behind-weightless.json`,
/// `fixtures/wire/misp/467-value-search-ipv6-behind-weightless.json`).
fn escape_operators(text: &str) -> String {
    const WEIGHTLESS: &str = "\u{200b}";

    let is_rewritten = text
        .parse::<Ipv6Addr>()
        .is_ok_and(|ip| ip.to_string() != text);
    let mark = |is_operator: bool| if is_operator { WEIGHTLESS } else { "" };
    format!(
        "{}{text}{}",
        mark(text.starts_with('%') || is_rewritten),
        mark(text.ends_with('%'))
    )
}

/// What a row of the answer is, if it is what was sought.
fn to_hit(row: Element<Attribute>, sought: &SearchValue) -> Option<Hit> {
    let attribute = match row {
        Element::Good(attribute) => attribute,
        Element::Bad(flaw) => return Some(Hit::Bad(flaw.describe("an attribute of the answer"))),
    };
    let Some(event) = attribute.parse_event_uuid() else {
        return Some(Hit::Bad(
            "an attribute of the answer names no event".to_owned(),
        ));
    };

    let likeness = sought.compare_attribute(&attribute.kind, &attribute.value)?;
    Some(Hit::Attribute {
        event,
        likeness,
        sightings: attribute.sightings.seen,
        attribute: Box::new(attribute),
    })
}
