//! Who knows a value: a search for attributes on a server, and the row of an event by its number.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{ROWS, Server, elements};
use crate::http::Page;
use crate::json::{self, Element};
use crate::misp::Listed;
use crate::misp::search::{Hit, Searched};
use crate::misp::wire::{Attribute, Event};
use crate::types::Sought;

/// Attributes asked for at once; each may bring many sightings along.
const HITS: usize = 1_000;

/// The type of a sighting that says that it was seen (MISP's `Sighting.php`; 1 is a false positive, 2 an expiration).
const SEEN: &str = "0";

impl Server {
    /// Searches for a value, in loose attributes, composites and objects, and hands over what has it. Every spelling stands
    /// in one `OR` list, where MISP takes `!` for a letter and not for an operator, as it does in a bare text
    /// (`fixtures/wire/misp/420-value-search-or.json`, `fixtures/wire/misp/421-value-search-bang-is-operator.json`); `%` at
    /// an end stays one, so such a spelling is not sent. Characters above U+FFFF are not stored there.
    ///
    /// # Errors
    /// What stopped the search; or the handler's own error.
    pub fn search(&self, sought: &Sought, on: &mut dyn FnMut(Hit) -> Result<()>) -> Result<Searched> {
        let asked = sought.asked();
        let is_plain = |one: &&str| !one.starts_with('%') && !one.ends_with('%');
        let is_pattern = asked.first().is_some_and(|given| !is_plain(given));
        let asked: Vec<_> =
            asked.into_iter().filter(is_plain).filter(|one| one.chars().all(|c| c <= '\u{ffff}')).collect();
        if is_pattern || asked.is_empty() {
            let why = "the value is empty, or begins or ends with %, which stands for any text there";
            return Ok(Searched::Not(why.to_owned()));
        }
        self.hits(&asked, &mut |hit| match hit {
            Hit::Attribute { ref attribute, .. } if !sought.is(&attribute.kind, &attribute.value) => Ok(()),
            Hit::Attribute { .. } | Hit::Unreadable { .. } | Hit::Bad(_) => on(hit),
        })?;
        Ok(Searched::All)
    }

    /// Pages until one is empty: a page may be short for reasons of its own, and the count in its header is no total
    /// (`fixtures/wire/misp/212-ars-page1.json`).
    fn hits(&self, asked: &[&str], on: &mut dyn FnMut(Hit) -> Result<()>) -> Result<()> {
        let mut highest = 0;
        let mut page = Page::first(HITS);
        let body = |page: Page| {
            json!({
                "returnFormat": "json", "value": {"OR": asked}, "includeEventUuid": 1, "includeSightings": 1,
                "limit": page.limit, "page": page.number, "order": "Attribute.id asc",
            })
        };
        loop {
            let rows = self.page::<Row>("attributes/restSearch", &["response", "Attribute"], &mut page, &body)?.rows;
            if rows.is_empty() {
                return Ok(());
            }
            let last = rows.iter().filter_map(number).max();
            ensure!(
                page.number == 1 || last > Some(highest),
                "searching for a value: the server sends the same page again and again"
            );
            let new = rows.into_iter().filter(|row| number(row).is_none_or(|number| number > highest));
            new.map(hit).try_for_each(&mut *on)?;
            highest = last.unwrap_or(highest);
            page = page.next();
        }
    }

    /// The event of this number; none if there is none, or it is not shown to us.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn numbered(&self, number: u64) -> Result<Option<(Uuid, Event)>> {
        let body = json!({"eventid": [number]});
        let rows = self.ask("events/index", &body, |answer| elements::<Event>(answer, &[], ROWS))?;
        let wanted = number.to_string();
        let found = rows.into_iter().find_map(|row| match Listed::new(row) {
            Listed::Event(event, uuid) if event.id == wanted => Some((uuid, *event)),
            Listed::Event(..) | Listed::Bad(_) => None,
        });
        Ok(found)
    }
}

/// A row of `attributes/restSearch` (`fixtures/wire/misp/422-attribute-include-sightings.json`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Row {
    #[serde(deserialize_with = "json::text")]
    id: String,
    #[serde(deserialize_with = "json::text")]
    event_uuid: String,
    #[serde(rename = "Event", deserialize_with = "json::object")]
    event: Option<Event>,
    #[serde(rename = "Sighting", deserialize_with = "json::objects")]
    sightings: Vec<Seen>,
    #[serde(flatten)]
    attribute: Attribute,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    #[serde(rename = "type", deserialize_with = "json::text")]
    kind: String,
}

fn number(row: &Element<Row>) -> Option<u64> {
    match row {
        Element::Good(row) => row.id.parse().ok(),
        Element::Bad(_) => None,
    }
}

fn hit(row: Element<Row>) -> Hit {
    let row = match row {
        Element::Good(row) => row,
        Element::Bad(kind) => return Hit::Bad(format!("an attribute of the answer is {kind}, not an object")),
    };
    let of_event = row.event.as_ref().map_or("", |event| &event.uuid);
    match [row.event_uuid.as_str(), of_event].into_iter().find_map(|uuid| Uuid::parse_str(uuid).ok()) {
        Some(event) => {
            let sightings = row.sightings.iter().filter(|seen| seen.kind == SEEN).count() as u64;
            Hit::Attribute { event, attribute: Box::new(row.attribute), sightings }
        }
        None => Hit::Bad("an attribute of the answer names no event".to_owned()),
    }
}
