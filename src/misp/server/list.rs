//! Which events a server has: a window of them, or some by their uuids, and what one of them holds
//! for an export.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{ROWS, Server, explain_error, for_each_element, read_list};
use crate::http::PageRequest;
use crate::json::{self, Element};
use crate::misp::request_bodies;
use crate::misp::wire::{Attribute, Event, Object, Proposal};
use crate::misp::{ContentOptions, EventContent, IndexEntry, Window};

/// Attributes asked for at once.
const ATTRIBUTES: usize = 5_000;
/// Objects asked for at once.
const OBJECTS: usize = 500;
/// Attributes that an event of ours may hold.
const MOST_HELD: usize = 200_000;

impl Server {
    /// The union of what was published and what was changed since the window opens. A publication
    /// does not change `timestamp`, and an edit with `published` leaves `publish_timestamp` at 0
    /// (`fixtures/wire/misp/410-edit-published-true-keeps-publish-timestamp.json`), so both are
    /// asked for. Of what the first list had, the numbers are remembered: eight bytes for each
    /// event. A moment that cannot be read keeps no event out here: whoever asked decides.
    ///
    /// # Errors
    /// What stopped the list.
    pub fn list_events(
        &self,
        window: &Window,
        on: &mut dyn FnMut(IndexEntry) -> Result<()>,
    ) -> Result<()> {
        if window.since == 0 {
            return self.list_pages(window, &[], on);
        }
        let since = Value::from(window.since);
        let is_before = |moment: i64| (0..window.since).contains(&moment);
        let mut seen: Vec<u64> = Vec::new();

        self.list_pages(
            window,
            &[("publish_timestamp", since.clone())],
            &mut |listed| match &listed {
                IndexEntry::Event(event, _) if event.publish_timestamp.is_some_and(is_before) => {
                    Ok(())
                }
                IndexEntry::Event(event, _) => {
                    seen.extend(event.id.parse::<u64>());
                    on(listed)
                }
                IndexEntry::Bad(_) => on(listed),
            },
        )?;

        self.list_pages(
            window,
            &[("timestamp", since)],
            &mut |listed| match &listed {
                IndexEntry::Event(event, _)
                    if event
                        .timestamp
                        .is_some_and(|moment| moment > 0 && is_before(moment)) =>
                {
                    Ok(())
                }
                IndexEntry::Event(event, _)
                    if event
                        .id
                        .parse()
                        .is_ok_and(|id| seen.binary_search(&id).is_ok()) =>
                {
                    Ok(())
                }
                IndexEntry::Event(..) | IndexEntry::Bad(_) => on(listed),
            },
        )
    }

    /// Sorted by id, so that a row that slips onto the next page, because an event came in before
    /// it, is known by its number. The last page is one that is not full and, by the count in the
    /// header, has nothing behind it.
    fn list_pages(
        &self,
        window: &Window,
        filters: &[(&str, Value)],
        on: &mut dyn FnMut(IndexEntry) -> Result<()>,
    ) -> Result<()> {
        let mut highest = 0;
        let mut page = PageRequest::first(ROWS);

        let body = |page: PageRequest| {
            let mut body = Map::from_iter([
                ("sort".to_owned(), json!("id")),
                ("direction".to_owned(), json!("asc")),
            ]);
            body.extend([
                ("limit".to_owned(), json!(page.limit)),
                ("page".to_owned(), json!(page.number)),
            ]);
            if window.published_only {
                body.insert("published".to_owned(), json!(1));
            }

            body.extend(
                window
                    .only
                    .iter()
                    .map(|only| (only.filter.to_owned(), json!(only.values))),
            );

            body.extend(
                filters
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone())),
            );

            Value::Object(body)
        };

        loop {
            let ResultPage { line, total, rows } =
                self.fetch_page("events/index", &[], &mut page, &body, &mut |row| {
                    Some(self.compact_event(row))
                })?;
            let is_full = rows.len() >= page.limit;
            let ended = rows.is_empty()
                || (!is_full && total.is_some_and(|total| page.number * page.limit >= total));
            let last = rows.iter().filter_map(event_number).max();
            ensure!(
                page.number == 1 || rows.is_empty() || last > Some(highest),
                "{line}: the server sends the same page again and again"
            );
            let numbers: Vec<_> = rows.iter().filter_map(event_number).collect();
            ensure!(
                numbers.is_sorted(),
                "{line}: the server does not sort its events by number as it was asked to"
            );
            let new = rows
                .into_iter()
                .filter(|row| event_number(row).is_none_or(|number| number > highest));
            new.map(IndexEntry::new).try_for_each(&mut *on)?;
            highest = last.unwrap_or(highest);
            if ended {
                return Ok(());
            }
            page = page.next();
        }
    }

    /// One page of a list, asked for again, and made smaller, as far as that helps.
    pub(super) fn fetch_page<T: for<'de> Deserialize<'de>, K>(
        &self,
        path: &str,
        inside: &[&str],
        page: &mut PageRequest,
        body: &dyn Fn(PageRequest) -> Value,
        keep: &mut dyn FnMut(Element<T>) -> Option<K>,
    ) -> Result<ResultPage<K>> {
        loop {
            let asked = self.post_query(path, &body(*page), |answer| {
                let (line, total) = (
                    answer.request_line().to_owned(),
                    answer.header("x-result-count").parse().ok(),
                );
                Ok(ResultPage {
                    line,
                    total,
                    rows: read_list(answer, inside, page.limit, keep)?,
                })
            });

            match asked {
                Ok(rows) => return Ok(rows),
                Err(error) => *page = page.halve_after(&error).ok_or(error)?,
            }
        }
    }

    /// The rows of these events as the list has them, published or not, of those that are shown to
    /// us.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn fetch_index_entries(&self, uuids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        let mut listed = Vec::new();
        for some in uuids.chunks(ROWS) {
            listed.extend(self.find_events(some)?);
        }
        Ok(listed)
    }

    /// Which of these events are shown to us
    /// (`fixtures/wire/misp/424-index-by-uuids-present-and-absent.json`).
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_events(&self, uuids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        let body = json!({"eventid": uuids});
        let rows = self.post_query("events/index", &body, |answer| {
            self.read_events(answer, ROWS)
        })?;

        let there = rows.into_iter().filter_map(|row| match row {
            Element::Good(event) => {
                let uuid = Uuid::parse_str(&event.uuid)
                    .ok()
                    .filter(|uuid| uuids.contains(uuid))?;
                Some((uuid, event))
            }
            Element::Bad(_) => None,
        });

        Ok(there.collect())
    }

    /// What an event holds, soft-deleted attributes included.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn read_content(
        &self,
        uuid: &Uuid,
        event: Event,
        look: ContentOptions,
    ) -> Result<EventContent> {
        let (attributes, unreadable) = self.read_attributes(uuid, &event, look)?;
        let has_objects = look.objects
            || attributes
                .iter()
                .any(|one| !["", "0"].contains(&one.object_id.as_str()));
        let (objects, open_objects) = if has_objects {
            self.read_objects(uuid)?
        } else {
            Default::default()
        };

        Ok(EventContent {
            event,
            attributes,
            objects,
            open_objects,
            unreadable,
        })
    }

    /// How many open proposals there are to change an attribute of an event that `is_ours`
    /// (`fixtures/wire/misp/540-proposals-of-an-event.json`).
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn count_proposals(&self, event: &Uuid, is_ours: &dyn Fn(&Uuid) -> bool) -> Result<u64> {
        let path = format!("shadow_attributes/index/{event}/deleted:0");
        self.client.retry(|| {
            let mut open = 0;
            let answer = self.client.get(&path).map_err(explain_error)?;

            for_each_element::<OfProposal>(answer, &[], &mut |row| {
                let proposal = row
                    .into_option()
                    .and_then(|row| row.proposal)
                    .filter(|one| one.deleted != Some(true));
                let attribute = proposal.and_then(|one| Uuid::parse_str(&one.old_uuid).ok());
                open += u64::from(attribute.is_some_and(|attribute| is_ours(&attribute)));
                Ok(())
            })?;

            Ok(open)
        })
    }

    /// The objects of an event: their uuids by their numbers
    /// (`fixtures/wire/misp/431-objects-restsearch-metadata-2.json`), and which of them are not
    /// closed.
    fn read_objects(&self, uuid: &Uuid) -> Result<(HashMap<String, Uuid>, HashSet<Uuid>)> {
        let (mut objects, mut open) = (HashMap::new(), HashSet::new());
        let mut page = PageRequest::first(OBJECTS);
        let body = |page: PageRequest| json!({"returnFormat": "json", "eventid": uuid, "metadata": 1, "limit": page.limit, "page": page.number});

        loop {
            let before = objects.len();

            let rows = self
                .fetch_page(
                    "objects/restSearch",
                    &["response"],
                    &mut page,
                    &body,
                    &mut Some::<Element<ObjectRow>>,
                )?
                .rows;

            let is_empty = rows.is_empty();

            for row in rows {
                if let Some(object) = ObjectRow::into_object(row)
                    && let Ok(uuid) = Uuid::parse_str(&object.uuid)
                {
                    let is_open = object
                        .distribution
                        .is_some_and(|distribution| distribution != 0);
                    open.extend(Some(uuid).filter(|_| is_open && object.deleted != Some(true)));
                    objects.insert(object.id, uuid);
                }
            }

            if is_empty || objects.len() == before {
                return Ok((objects, open));
            }
            ensure!(
                objects.len() <= MOST_HELD,
                "event {uuid} holds more than {MOST_HELD} objects: it is not exported to"
            );
            page = page.next();
        }
    }

    /// Pages until one is empty, since a page may be short for reasons of its own and the count in
    /// its header is no total (`fixtures/wire/misp/212-ars-page1.json`); or until there are as many
    /// live ones as the event counts. Proposals are not asked for along with them: then a MISP with
    /// `proposals_block_attributes` leaves out the attributes that somebody proposes not to detect
    /// (its `MispAttribute.php`, `__blockAttributeViaProposal`).
    fn read_attributes(
        &self,
        uuid: &Uuid,
        event: &Event,
        look: ContentOptions,
    ) -> Result<(Vec<Attribute>, Vec<String>)> {
        let counted = event
            .attribute_count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(usize::MAX);
        let (mut held, mut unreadable): (Vec<Attribute>, Vec<String>) = (Vec::new(), Vec::new());
        let mut page = PageRequest::first(ATTRIBUTES);

        let body = |page: PageRequest| {
            let body = json!({
                "returnFormat": "json", "eventid": uuid, "deleted": [0, 1],
                "limit": page.limit, "page": page.number, "order": "Attribute.id asc",
            });
            if look.sightings {
                request_bodies::merge_members(body, json!({"includeSightings": 1}))
            } else {
                body
            }
        };

        loop {
            let path = &["response", "Attribute"];
            let keep = &mut Some::<Element<Attribute>>;
            let rows = self
                .fetch_page("attributes/restSearch", path, &mut page, &body, keep)?
                .rows;
            let is_known = matches!((rows.first(), held.first()), (Some(Element::Good(row)), Some(first)) if row == first);
            ensure!(
                !is_known,
                "reading what event {uuid} holds: the server sends the same page again and again"
            );
            let (is_empty, is_full) = (rows.is_empty(), rows.len() == page.limit);

            // Collected in the place of the page: a large event is in memory once.
            let mut read: Vec<Attribute> = rows
                .into_iter()
                .filter_map(|row| match row {
                    Element::Good(attribute) => Some(attribute),
                    Element::Bad(flaw) => {
                        unreadable.push(flaw.describe("an attribute"));
                        None
                    }
                })
                .collect();

            if held.is_empty() {
                held = read;
            } else {
                held.append(&mut read);
            }

            ensure!(
                held.len() + unreadable.len() <= MOST_HELD,
                "event {uuid} holds more than {MOST_HELD} attributes: it is not exported to"
            );
            let live = held
                .iter()
                .filter(|attribute| attribute.deleted != Some(true))
                .count();
            if is_empty || (!is_full && live >= counted) {
                return Ok((held, unreadable));
            }
            page = page.next();
        }
    }
}

/// A page of a list.
pub(super) struct ResultPage<T> {
    /// What was asked, for messages.
    line: String,
    /// How many there are in all, if the server says it.
    total: Option<usize>,
    pub(super) rows: Vec<T>,
}

fn event_number(row: &Element<Event>) -> Option<u64> {
    match row {
        Element::Good(event) => event.id.parse().ok(),
        Element::Bad(flaw) => flaw.field("id")?.parse().ok(),
    }
}

/// A row of `shadow_attributes/index`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OfProposal {
    #[serde(rename = "ShadowAttribute", deserialize_with = "json::object")]
    proposal: Option<Proposal>,
}

/// A row of `objects/restSearch`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ObjectRow {
    #[serde(rename = "Object", deserialize_with = "json::object")]
    object: Option<Object>,
}

impl ObjectRow {
    /// The number of a row's object.
    pub(super) fn object_id(row: &Element<Self>) -> Option<&str> {
        match row {
            Element::Good(Self { object }) => object.as_ref().map(|object| object.id.as_str()),
            Element::Bad(_) => None,
        }
    }

    /// The object of a row, if it is one.
    pub(super) fn into_object(row: Element<Self>) -> Option<Object> {
        match row {
            Element::Good(Self { object }) => object,
            Element::Bad(_) => None,
        }
    }
}
