//! MISP's searches (`restSearch`) leave out more than they are asked to: what the key's user has
//! set as default filters, and what MISP's allowed list names. Here the first is overridden, and
//! the second is counted.

use serde_json::{Value, json};

use crate::http::{PageRequest, Response};
use crate::json;

/// Every filter that keeps something out of a search of attributes, objects or events, or that adds
/// the tags of an event to its attributes (MISP's `RestSearchComponent.php`).
const FILTERS: [&str; 47] = [
    "attackGalaxy",
    "attribute_timestamp",
    "category",
    "date",
    "deleted",
    "disableSiteAdmin",
    "distribution",
    "enforceWarninglist",
    "event_tags",
    "event_timestamp",
    "event_uuid",
    "eventid",
    "eventinfo",
    "eventsExtendingUuid",
    "excludeDecayed",
    "extensionList",
    "first_seen",
    "flatten",
    "from",
    "idList",
    "includeEventTags",
    "includeProposals",
    "last",
    "last_seen",
    "limit",
    "metadata",
    "noEventReports",
    "object_name",
    "object_relation",
    "object_template_uuid",
    "object_template_version",
    "org",
    "page",
    "publish_timestamp",
    "score",
    "sharing_group_id",
    "sharinggroup",
    "tag",
    "tags",
    "threat_level_id",
    "timestamp",
    "to",
    "to_ids",
    "type",
    "uuid",
    "value",
    "value1",
];

/// A search for just what is asked for. The setting `default_restsearch_parameters` of the key's
/// user adds filters to every search (MISP's `Event.php`, `addFiltersFromUserSettings`;
/// `fixtures/wire/misp/573-value-search-under-default-filters.json`). A filter that is named counts
/// in place of the default, and `false` is none (`574-…` to
/// `576-value-search-false-is-no-filter.json`), but for `published`, of which it is the one value
/// (`583-events-restsearch-published-false.json`).
pub(super) fn without_default_filters(asked: Value) -> Value {
    let mut body = json!({"returnFormat": "json", "published": [0, 1]});
    for filter in FILTERS {
        json::set(&mut body, filter, json!(false));
    }
    if let Value::Object(asked) = asked {
        for (name, value) in asked {
            json::set(&mut body, &name, value);
        }
    }
    body
}

/// What the headers of a page count.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageCounts {
    /// Rows; of attributes see [`count_withheld`], of other lists all rows of all pages.
    pub counted: Option<usize>,
    /// Rows that were left out of the page, such as those that a proposal blocks
    /// (`fixtures/wire/misp/455-ars-with-open-proposal-blocked.json`).
    skipped: Option<usize>,
}

impl PageCounts {
    pub fn read(answer: &Response) -> Self {
        let number = |name| answer.header(name).parse().ok();
        Self {
            counted: number("x-result-count"),
            skipped: number("x-skipped-elements-count"),
        }
    }

    /// True if no page of attributes comes behind this one: MISP found fewer than were asked for,
    /// and left none out (its `MispAttribute.php`, `__iteratedFetch`;
    /// `fixtures/wire/misp/584-value-search-networks.json`). Where a header is missing, it is not
    /// known.
    pub fn is_end(self, rows: usize, page: PageRequest) -> bool {
        let is_short = self.counted.is_some_and(|counted| counted < page.limit);
        rows > 0 && is_short && self.skipped == Some(0)
    }
}

/// How many rows of a page of attributes MISP's allowed list keeps out of it: they are counted in
/// the header all the same (`fixtures/wire/misp/578-attributes-of-event-with-allowed-list.json`).
/// The header counts one more than the rows of a full page, and 1 for an empty one
/// (`582-value-search-unknown-with-limit.json`), so that a single one that is kept out of an empty
/// page is not seen.
pub(super) fn count_withheld(counted: Option<usize>, rows: usize, page: PageRequest) -> usize {
    let counted = counted.unwrap_or(0).min(page.limit);
    if rows == 0 && counted <= 1 {
        0
    } else {
        counted.saturating_sub(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_counts_and_all_else_is_no_filter() {
        let body = without_default_filters(json!({"eventid": "7", "to_ids": 1}));
        assert_eq!(body["eventid"], "7");
        assert_eq!(body["to_ids"], 1);
        assert_eq!(body["published"], json!([0, 1]));
        assert_eq!(body["tags"], false);
    }

    #[test]
    fn rows_that_are_counted_and_do_not_come_are_withheld() {
        let page = PageRequest {
            limit: 50,
            number: 1,
        };
        assert_eq!(count_withheld(Some(3), 2, page), 1);
        assert_eq!(count_withheld(Some(51), 50, page), 0);
        assert_eq!(count_withheld(Some(51), 0, page), 50);
        assert_eq!(count_withheld(Some(1), 0, page), 0);
        assert_eq!(count_withheld(None, 2, page), 0);
    }

    #[test]
    fn a_page_is_the_last_only_if_misp_says_that_it_found_no_more() {
        let page = PageRequest {
            limit: 50,
            number: 1,
        };
        let is_end = |counted, skipped, rows| PageCounts { counted, skipped }.is_end(rows, page);
        assert!(is_end(Some(3), Some(0), 3));
        assert!(
            is_end(Some(3), Some(0), 1),
            "the allowed list keeps two out"
        );
        for (counted, skipped, rows) in [
            (Some(51), Some(0), 50),
            (Some(50), Some(0), 50),
            (Some(3), Some(1), 2),
            (Some(3), None, 3),
            (None, Some(0), 3),
            (Some(1), Some(0), 0),
        ] {
            assert!(!is_end(counted, skipped, rows), "{counted:?} {skipped:?}");
        }
    }
}
