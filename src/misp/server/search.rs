//! Who knows a value: a search for attributes on a server.

use std::cell::Cell;
use std::net::Ipv6Addr;

use anyhow::Result;
use serde_json::{Value, json};

use super::rest_search::{count_withheld, without_default_filters};
use super::{ATTRIBUTE_ROWS, Server, read_list};
use crate::http::{PagedList, RowOrder};
use crate::json::Element;
use crate::misp::chunks::attribute_number;
use crate::misp::search::{Hit, SearchCoverage};
use crate::misp::wire::Attribute;
use crate::text::format_count;
use crate::types::SearchValue;

const PATH: &str = "attributes/restSearch";
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
        let withheld = match self.search_pages(&asked, sought, on)? {
            (0, 0) => self.count_withheld_values(&asked)?,
            (_, withheld) => withheld,
        };

        Ok(match withheld {
            0 => SearchCoverage::All,
            number => SearchCoverage::Part(format!(
                "{} with the value: MISP's allowed list (its page Administration, Allowedlist) \
                 keeps it out of every search; look for it in MISP itself",
                format_count(
                    number as u64,
                    "attribute is not shown",
                    "attributes are not shown"
                )
            )),
        })
    }

    /// Pages until one is empty: a page may be short for reasons of its own, and the count in its
    /// header is no total (`fixtures/wire/misp/212-ars-page1.json`). Gives how many attributes came,
    /// and how many more were seen to be withheld.
    fn search_pages(
        &self,
        asked: &[String],
        sought: &SearchValue,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<(usize, usize)> {
        let body = without_default_filters(json!({
            "value": {"OR": asked}, "includeEventUuid": 1, "includeSightings": 1,
            "order": "Attribute.id asc",
        }));
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

        let (mut came, withheld) = (0, Cell::new(0));
        list.for_each_page(
            |page| {
                let (rows, counted) =
                    self.fetch_page(PATH, ATTRIBUTE_ROWS, &body, page, &mut keep)?;
                withheld.set(withheld.get() + count_withheld(counted, rows.len(), page));
                Ok(rows)
            },
            |page| {
                came += page.rows.len();
                page.rows
                    .into_iter()
                    .filter_map(|row| to_hit(row, sought))
                    .try_for_each(&mut *on)?;
                Ok(false)
            },
        )?;

        Ok((came, withheld.get()))
    }

    /// How many attributes with the value are withheld where none is shown. Only an answer without
    /// a limit tells none (`fixtures/wire/misp/581-value-search-unknown-without-limit.json`) from
    /// one that is withheld (`577-value-search-on-allowed-list.json`).
    fn count_withheld_values(&self, asked: &[String]) -> Result<usize> {
        let body = without_default_filters(json!({"value": {"OR": asked}}));
        self.post_query(PATH, &body, |answer| {
            let counted = answer.header("x-result-count").parse().unwrap_or(0);
            let rows: Vec<()> =
                read_list(answer, ATTRIBUTE_ROWS, HITS, &mut |_: Element<Value>| {
                    Some(())
                })?;
            // One that came in since the pages were read is none that is withheld.
            Ok(usize::saturating_sub(counted, rows.len()))
        })
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
