//! Which events a server has: a window of them, or some by their uuids, and what one of them holds
//! for an export.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::rest_search::{PageCounts, count_withheld, without_default_filters};
use super::{ATTRIBUTE_ROWS, ROWS, Server, WITHOUT, for_each_row, read_list};
use crate::http::{PageRequest, PagedList, RowOrder};
use crate::json::{self, Element, JsonStream};
use crate::misp::chunks::attribute_id;
use crate::misp::wire::{self, Attribute, Event, EventPart, Object, Proposal, unwrap_row};
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
        let since = window.since;
        // From the beginning on, one list has all.
        if since == 0 {
            return self.list_pages(window, None, on);
        }
        let mut seen: Vec<u64> = Vec::new();

        self.list_pages(window, Some("publish_timestamp"), &mut |listed| {
            if let IndexEntry::Event(event, _) = &listed {
                // One that was never published has 0 there: the second list has it.
                if event
                    .publish_timestamp
                    .is_some_and(|moment| (0..since).contains(&moment))
                {
                    return Ok(());
                }
                seen.extend(event.id.parse::<u64>());
            }
            on(listed)
        })?;

        self.list_pages(window, Some("timestamp"), &mut |listed| {
            if let IndexEntry::Event(event, _) = &listed {
                let is_older = event
                    .timestamp
                    .is_some_and(|moment| (1..since).contains(&moment));
                // The numbers are sorted, since the list came in their order, which `list_pages`
                // checks.
                let number = event.id.parse();
                if is_older || number.is_ok_and(|number| seen.binary_search(&number).is_ok()) {
                    return Ok(());
                }
            }
            on(listed)
        })
    }

    /// Sorted by number, so that a row that slips onto the next page, because an event came in
    /// before it, is known by it. The last page is one that is not full and, by the count in the
    /// header, has nothing behind it. `since` names the field that is compared with the window.
    fn list_pages(
        &self,
        window: &Window,
        since: Option<&str>,
        on: &mut dyn FnMut(IndexEntry) -> Result<()>,
    ) -> Result<()> {
        const PATH: &str = "events/index";

        let mut body = json!({"sort": "id", "direction": "asc"});
        if window.published_only {
            json::set(&mut body, "published", json!(1));
        }
        for only in &window.only {
            json::set(&mut body, only.filter, json!(only.values));
        }
        if let Some(field) = since {
            json::set(&mut body, field, json!(window.since));
        }

        let line = format!("POST {}{PATH}", self.url);
        let list = PagedList {
            limit: ROWS,
            order: RowOrder::Number(event_number),
            repeated: &format!("{line}: the server sends the same page again and again"),
        };
        let total = Cell::new(None);

        list.for_each_page(
            |page| {
                let mut keep = |row| Some(self.compact_event(row));
                let (rows, counts) = self.fetch_page(PATH, &[], &body, page, &mut keep)?;
                ensure!(
                    rows.iter().filter_map(event_number).is_sorted(),
                    "{line}: the server does not sort its events by number as it was asked to"
                );
                total.set(counts.counted);
                Ok(rows)
            },
            |page| {
                let read = page.request.number * page.request.limit;
                page.rows
                    .into_iter()
                    .map(IndexEntry::new)
                    .try_for_each(&mut *on)?;
                Ok(!page.is_full && total.get().is_some_and(|total| read >= total))
            },
        )
    }

    /// One page of a list, and what its headers count.
    pub fn fetch_page<T: for<'de> Deserialize<'de>, K>(
        &self,
        path: &str,
        inside: &[&str],
        body: &Value,
        page: PageRequest,
        keep: &mut dyn FnMut(Element<T>) -> Option<K>,
    ) -> Result<(Vec<K>, PageCounts)> {
        let mut body = body.clone();
        json::set(&mut body, "limit", json!(page.limit));
        json::set(&mut body, "page", json!(page.number));

        self.post_query(path, &body, |answer| {
            let counts = PageCounts::read(&answer);
            Ok((read_list(answer, inside, page.limit, keep)?, counts))
        })
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
        let rows = self.query_events(&json!(uuids))?;
        Ok(rows
            .into_iter()
            .filter(|(uuid, _)| uuids.contains(uuid))
            .collect())
    }

    /// The event of this number; none if there is none, or it is not shown to us.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_event_by_number(&self, number: u64) -> Result<Option<(Uuid, Event)>> {
        let rows = self.query_events(&json!([number]))?;
        let wanted = number.to_string();
        Ok(rows.into_iter().find(|(_, event)| event.id == wanted))
    }

    /// The events of a list that can be read, asked for by uuids or numbers.
    fn query_events(&self, ids: &Value) -> Result<Vec<(Uuid, Event)>> {
        self.post_query("events/index", &json!({"eventid": ids}), |answer| {
            read_list(
                answer,
                &[],
                ROWS,
                &mut |row| match IndexEntry::new(self.compact_event(row)) {
                    IndexEntry::Event(event, uuid) => Some((uuid, *event)),
                    // One that cannot be read counts as not shown.
                    IndexEntry::Bad(_) => None,
                },
            )
        })
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
        let mut content = EventContent {
            event,
            attributes,
            objects: HashMap::new(),
            open_objects: HashSet::new(),
            reports: Vec::new(),
            unreadable,
        };
        if look.reports {
            let keep = &mut content.reports;
            self.for_each_report(&content.event, "/context:all", &mut |report| match report {
                Some(report) => keep.extend(report.into_option()),
                None => keep.clear(),
            })?;
        }

        // MISP writes 0 for no object.
        let is_in_object =
            |attribute: &Attribute| !["", "0"].contains(&attribute.object_id.as_str());
        if content.attributes.iter().any(is_in_object) {
            self.add_objects_to(uuid, &mut content)?;
        }

        Ok(content)
    }

    /// The objects of an event: their uuids by their numbers
    /// (`fixtures/wire/misp/431-objects-restsearch-metadata-2.json`), and which of them are not
    /// closed.
    pub fn add_objects_to(&self, uuid: &Uuid, content: &mut EventContent) -> Result<()> {
        self.for_each_object(uuid, OBJECTS, &mut |object| {
            content.add_object(&object);
            ensure!(
                content.objects.len() <= MOST_HELD,
                "event {} holds more than {MOST_HELD} objects: it is not exported to",
                content.event.uuid
            );
            Ok(())
        })
    }

    /// Hands over the objects of an event, without their attributes, so many at once. Soft-deleted
    /// ones come too, so that what is left in them is known for deleted: they are shown unless
    /// `deleted` is named, to any value of which MISP answers 500
    /// (`fixtures/wire/misp/433-objects-restsearch-deleted-0-1.json`,
    /// `436-objects-restsearch-without-deleted.json`). One may come twice.
    pub fn for_each_object(
        &self,
        event: &Uuid,
        limit: usize,
        on: &mut dyn FnMut(Object) -> Result<()>,
    ) -> Result<()> {
        let body = without_default_filters(json!({"eventid": event, "metadata": 1}));
        let list = PagedList {
            limit,
            order: RowOrder::Name(|row: &Option<Object>| Some(&row.as_ref()?.id)),
            repeated: &format!(
                "reading event {event}: the server sends the same page of objects again and again"
            ),
        };
        let mut keep = |row| Some(unwrap_row(row, "Object"));

        list.for_each_page(
            |page| {
                let path = "objects/restSearch";
                Ok(self
                    .fetch_page(path, &["response"], &body, page, &mut keep)?
                    .0)
            },
            |page| {
                page.rows.into_iter().flatten().try_for_each(&mut *on)?;
                // Only an empty page is known for the last.
                Ok(false)
            },
        )
    }

    /// How many open proposals there are to change an attribute of an event that `is_ours`
    /// (`fixtures/wire/misp/540-proposals-of-an-event.json`).
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn count_proposals(&self, event: &Uuid, is_ours: &dyn Fn(&Uuid) -> bool) -> Result<u64> {
        let path = format!("shadow_attributes/index/{event}/deleted:0");
        self.get(&path, |answer| {
            let mut open = 0;
            for_each_row(answer, &[], "ShadowAttribute", &mut |proposal: Proposal| {
                let attribute = Uuid::parse_str(&proposal.old_uuid);
                let is_open = proposal.deleted != Some(true);
                open += u64::from(is_open && attribute.is_ok_and(|attribute| is_ours(&attribute)));
            })?;
            Ok(open)
        })
    }

    /// Pages until one is empty, since a page may be short for reasons of its own and the count in
    /// its header is no total (`fixtures/wire/misp/212-ars-page1.json`); or until there are as many
    /// live ones as the event counts. Proposals are not asked for along with them: then a MISP with
    /// `proposals_block_attributes` leaves out the attributes that somebody proposes not to detect
    /// (its `MispAttribute.php`, `__blockAttributeViaProposal`). If its allowed list withholds
    /// some, the event's own page has them.
    fn read_attributes(
        &self,
        uuid: &Uuid,
        event: &Event,
        look: ContentOptions,
    ) -> Result<(Vec<Attribute>, Vec<String>)> {
        // Without a count pages are asked for until one is empty.
        let counted = event
            .attribute_count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(usize::MAX);
        let mut body = without_default_filters(json!({
            "eventid": uuid, "deleted": [0, 1], "order": "Attribute.id asc",
        }));
        if look.sightings {
            json::set(&mut body, "includeSightings", json!(1));
        }

        let list = PagedList {
            limit: ATTRIBUTES,
            order: RowOrder::Name(attribute_id),
            repeated: &format!(
                "reading what event {uuid} holds: the server sends the same page again and again"
            ),
        };
        let (mut held, withheld) = (HeldAttributes::of(uuid), Cell::new(0));
        let mut keep = Some::<Element<Attribute>>;

        list.for_each_page(
            |page| {
                let path = "attributes/restSearch";
                let (rows, counts) =
                    self.fetch_page(path, ATTRIBUTE_ROWS, &body, page, &mut keep)?;
                let missing = count_withheld(counts.counted, rows.len(), page);
                withheld.set(withheld.get() + missing);
                Ok(rows)
            },
            |page| {
                page.rows.into_iter().try_for_each(|row| held.add(row))?;
                let live = held
                    .attributes
                    .iter()
                    .filter(|attribute| attribute.deleted != Some(true))
                    .count();
                Ok(!page.is_full && live >= counted)
            },
        )?;

        // Of a single attribute that is withheld the header says nothing (`count_withheld`).
        let is_empty_but_counted = held.attributes.is_empty() && (1..usize::MAX).contains(&counted);
        if withheld.get() > 0 || is_empty_but_counted {
            held = self.read_attributes_of_view(uuid)?;
        }

        Ok((held.attributes, held.unreadable))
    }

    /// The attributes of an event as its own page has them: MISP's allowed list keeps nothing out
    /// of it (`fixtures/wire/misp/580-view-event-with-allowed-list.json`).
    fn read_attributes_of_view(&self, uuid: &Uuid) -> Result<HeldAttributes> {
        self.get(
            &format!("events/view/{uuid}/deleted:1/{WITHOUT}"),
            |answer| {
                let line = answer.request_line().to_owned();
                let mut source = JsonStream::new(answer.into_body());
                let mut held = HeldAttributes::of(uuid);
                wire::read_event(&mut source, uuid, &mut |part| match part {
                    EventPart::Attribute(row) => held.add(*row),
                    EventPart::Object(Element::Good(object)) => object
                        .attributes
                        .into_iter()
                        .try_for_each(|row| held.add(row)),
                    EventPart::Object(Element::Bad(flaw)) => held.add(Element::Bad(flaw)),
                    EventPart::Report(_) => Ok(()),
                })
                .and_then(|_| source.require_end())
                .with_context(|| format!("{line}: reading the event"))?;
                Ok(held)
            },
        )
    }
}

/// What an event holds, while it is read.
struct HeldAttributes {
    event: Uuid,
    attributes: Vec<Attribute>,
    unreadable: Vec<String>,
}

impl HeldAttributes {
    fn of(event: &Uuid) -> Self {
        Self {
            event: *event,
            attributes: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    fn add(&mut self, row: Element<Attribute>) -> Result<()> {
        match row {
            Element::Good(attribute) => self.attributes.push(attribute),
            Element::Bad(flaw) => self.unreadable.push(flaw.describe("an attribute")),
        }
        ensure!(
            self.attributes.len() + self.unreadable.len() <= MOST_HELD,
            "event {} holds more than {MOST_HELD} attributes: it is not exported to",
            self.event
        );
        Ok(())
    }
}

fn event_number(row: &Element<Event>) -> Option<u64> {
    row.id(|event| &event.id)?.parse().ok()
}
