//! Who knows a value: a search for attributes on a server.

use std::cell::Cell;
use std::net::Ipv6Addr;
use std::thread;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::rest_search::{count_withheld, without_default_filters};
use super::{ATTRIBUTE_ROWS, Server, read_list};
use crate::http::{PagedList, RowOrder};
use crate::json::Element;
use crate::misp::chunks::attribute_number;
use crate::misp::search::{Hit, SearchCoverage, Sought};
use crate::misp::wire::Attribute;
use crate::text::format_count;

const PATH: &str = "attributes/restSearch";
/// Attributes asked for at once; each may bring many sightings along.
const HITS: usize = 1_000;

/// Pages of related values that are read.
const RELATED_PAGES: usize = 2;

/// Tags of an attribute that are kept: no more are shown.
const MOST_TAGS: usize = 100;
/// Bytes of its comment that are kept: no more are shown.
const LONGEST_COMMENT: usize = 4 << 10;

impl Server {
    /// Searches for a value, in loose attributes, composites and objects, and hands over what has
    /// it; at the same time for what is related to it, which comes behind. Every spelling stands in
    /// one `OR` list, where MISP takes `!` for a letter and not for an operator, as it does in a
    /// bare text (`fixtures/wire/misp/420-value-search-or.json`,
    /// `fixtures/wire/misp/421-value-search-bang-is-operator.json`). MISP compares as
    /// [`crate::types::equal`] does. Characters above U+FFFF are not stored there.
    ///
    /// # Errors
    /// What stopped the search for the value; or the handler's own error.
    pub fn search(
        &self,
        sought: &Sought<'_>,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<SearchCoverage> {
        let asked = escape_terms(sought.value.search_terms());
        if asked.is_empty() {
            return Ok(SearchCoverage::Not("the value is empty".to_owned()));
        }

        thread::scope(|threads| {
            let related =
                (!sought.related.is_empty()).then(|| threads.spawn(|| self.search_related(sought)));

            let rows =
                self.search_pages(&asked, usize::MAX, &mut |row| match to_hit(row, sought) {
                    // These come by the search for related values.
                    Some(Hit::Related { .. }) | None => Ok(()),
                    Some(hit) => on(hit),
                })?;
            let of_value = self.describe_withheld(&asked, &rows, "the value")?;

            let of_related = related.and_then(|related| {
                // A panic there costs the related values, and not the search.
                let found = related.join().unwrap_or_else(|_| bail!("it broke off"));
                hand_over_related(found, on).transpose()
            });
            let of_related = of_related.transpose()?;

            let reasons: Vec<String> = of_value.into_iter().chain(of_related).collect();
            Ok(match reasons.is_empty() {
                true => SearchCoverage::All,
                false => SearchCoverage::Part(reasons.join("; ")),
            })
        })
    }

    /// What is related to a value, and why not all of it was looked at, if so. An event that is
    /// known by related values alone costs a row of a list, so there is a bound.
    fn search_related(&self, sought: &Sought<'_>) -> Result<(Vec<Hit>, Option<String>)> {
        let terms = sought.related.search_terms();
        let mut asked = escape_terms(terms.iter().map(String::as_str));
        asked.extend(sought.related.search_patterns());
        let mut hits = Vec::new();

        let rows = self.search_pages(&asked, RELATED_PAGES, &mut |row| {
            match to_hit(row, sought) {
                // These come by the search for the value.
                Some(Hit::Attribute { .. }) | None => {}
                Some(hit) => hits.push(hit),
            }
            Ok(())
        })?;
        let unread = match rows.is_cut {
            true => Some(format!(
                "only {} that may have a related value were looked at",
                format_count(rows.came as u64, "attribute", "attributes")
            )),
            false => self.describe_withheld(&asked, &rows, "a related value")?,
        };

        Ok((hits, unread))
    }

    /// What MISP's allowed list keeps out of a search.
    fn describe_withheld(
        &self,
        asked: &[String],
        rows: &Rows,
        what: &str,
    ) -> Result<Option<String>> {
        let withheld = match (rows.came, rows.withheld) {
            // Where no row came, the pages do not tell whether one is withheld.
            (0, 0) => self.count_withheld_values(asked)?,
            (_, withheld) => withheld,
        };

        Ok((withheld > 0).then(|| {
            format!(
                "{} with {what}: MISP's allowed list (its page Administration, Allowedlist) keeps \
                 it out of every search; look for it in MISP itself",
                format_count(
                    withheld as u64,
                    "attribute is not shown",
                    "attributes are not shown"
                )
            )
        }))
    }

    /// Pages until one is empty, or the last by what MISP counts, or so many are read: a page may be
    /// short for reasons of its own, and the count in its header is no total
    /// (`fixtures/wire/misp/212-ars-page1.json`).
    fn search_pages(
        &self,
        asked: &[String],
        most_pages: usize,
        on: &mut dyn FnMut(Element<Attribute>) -> Result<()>,
    ) -> Result<Rows> {
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

        let (mut rows, withheld, mut pages) = (Rows::default(), Cell::new(0), 0);
        let is_end = Cell::new(false);
        list.for_each_page(
            |page| {
                let (rows, counts) =
                    self.fetch_page(PATH, ATTRIBUTE_ROWS, &body, page, &mut keep)?;
                let missing = count_withheld(counts.counted, rows.len(), page);
                withheld.set(withheld.get() + missing);
                is_end.set(counts.is_end(rows.len(), page));
                Ok(rows)
            },
            |page| {
                rows.came += page.rows.len();
                pages += 1;
                page.rows.into_iter().try_for_each(&mut *on)?;
                rows.is_cut = pages >= most_pages && !is_end.get();
                Ok(rows.is_cut || is_end.get())
            },
        )?;
        rows.withheld = withheld.get();

        Ok(rows)
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

/// What came of the pages of a search.
#[derive(Default)]
struct Rows {
    /// Attributes.
    came: usize,
    /// Attributes that were seen to be withheld.
    withheld: usize,
    /// There may be more.
    is_cut: bool,
}

/// Hands over what was found of related values. What stopped that search stops no other: it is a
/// reason why not all was looked at.
fn hand_over_related(
    found: Result<(Vec<Hit>, Option<String>)>,
    on: &mut dyn FnMut(Hit) -> Result<()>,
) -> Result<Option<String>> {
    match found {
        Ok((hits, unread)) => {
            hits.into_iter().try_for_each(on)?;
            Ok(unread)
        }
        Err(error) => Ok(Some(format!("related values were not searched: {error:#}"))),
    }
}

fn escape_terms<'t>(terms: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let stored = |term: &&str| term.chars().all(|c| c <= '\u{ffff}');
    terms
        .into_iter()
        .filter(stored)
        .map(escape_operators)
        .collect()
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

/// What a row of the answer is, if it is what was sought, or related to it.
fn to_hit(row: Element<Attribute>, sought: &Sought<'_>) -> Option<Hit> {
    let attribute = match row {
        Element::Good(attribute) => attribute,
        Element::Bad(flaw) => return Some(Hit::Bad(flaw.describe("an attribute of the answer"))),
    };
    let Some(event) = attribute.parse_event_uuid() else {
        return Some(Hit::Bad(
            "an attribute of the answer names no event".to_owned(),
        ));
    };

    Hit::from_attribute(event, attribute, sought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_for_related_values_that_fails_stops_no_look_up_and_is_told() {
        let mut nothing = |_: Hit| Ok(());
        let told = hand_over_related(Err(anyhow::anyhow!("it is down")), &mut nothing).unwrap();
        assert_eq!(
            told.as_deref(),
            Some("related values were not searched: it is down")
        );
        assert_eq!(
            hand_over_related(Ok((Vec::new(), None)), &mut nothing).unwrap(),
            None
        );
    }
}
