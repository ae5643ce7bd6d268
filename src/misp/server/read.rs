//! What an event on a server holds, in chunks: a small event by one answer, a big one by pages.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::list::ObjectRow;
use super::{Server, WITHOUT, explain_error, for_each_element};
use crate::http::{self, HttpError, PageRequest, Response};
use crate::json::{self, Element, JsonStream};
use crate::misp::chunks::{self, Chunk, ChunkBuffer, ParentObject};
use crate::misp::wire::{self, Attribute, Event, Report};

/// An event with no more attributes than this does not break a server down.
const SMALL: i64 = 1_000;
/// The most attributes of an event that is asked for as a whole, and of a page of a bigger one.
const ATTRIBUTES: usize = 5_000;
/// Objects asked for at once.
const OBJECTS: usize = 5_000;
/// Objects that an event may have: as many are remembered, each with 32 bytes.
const MOST_OBJECTS: usize = 500_000;
/// Bytes of all different object names of an event.
const MOST_NAMES: usize = 1 << 20;

impl Server {
    /// Hands over what an event holds, soft-deleted attributes and proposals not included. An event
    /// that counts more than 5,000 attributes is read in pages; what was handed over of it does not
    /// come twice, whatever goes wrong.
    ///
    /// # Errors
    /// What stopped the reading; or the handler's own error.
    pub fn read_chunks(
        &self,
        uuid: &Uuid,
        event: &Event,
        on: &mut dyn FnMut(Chunk) -> Result<()>,
    ) -> Result<()> {
        let mut chunks = ChunkBuffer::new(on);
        let is_big = event
            .attribute_count
            .is_some_and(|count| count > ATTRIBUTES as i64);
        let is_small = event.attribute_count.is_some_and(|count| count <= SMALL);
        let whole = if is_big {
            None
        } else {
            Some(self.read_whole(uuid, &mut chunks))
        };

        match whole {
            Some(Ok(())) => {}
            // What is too much for the server at once may come in pages.
            Some(Err(error))
                if is_small || !chunks.is_untouched() || !http::is_breakdown(&error) =>
            {
                return Err(error);
            }
            Some(Err(_)) | None => {
                self.read_paged(uuid, event, &mut chunks)?;
                self.read_reports(event, &mut chunks)?;
            }
        }

        chunks.finish()
    }

    /// The event in one answer. It is asked for again as long as nothing of it was handed over.
    fn read_whole(&self, uuid: &Uuid, chunks: &mut ChunkBuffer<'_>) -> Result<()> {
        self.get(&format!("events/view/{uuid}/{WITHOUT}"), |answer| {
            chunks.clear_pending();
            let line = answer.request_line().to_owned();
            let mut source = JsonStream::new(answer.into_body());
            let read = wire::read_event(&mut source, uuid, &mut |piece| chunks.add_piece(piece))
                .and_then(|_| source.require_end());
            let read = read.with_context(|| format!("{line}: reading the event"));
            if chunks.is_untouched() {
                read.map(Ok)
            } else {
                Ok(read)
            }
        })?
    }

    /// Pages of attributes until one is empty, since a page may be short for reasons of its own and
    /// the count in its header is no total (`fixtures/wire/misp/212-ars-page1.json`). They are
    /// sorted by number, so that an attribute that slips onto the next page, because another one
    /// came in before it, is known by its number.
    fn read_paged(&self, uuid: &Uuid, event: &Event, chunks: &mut ChunkBuffer<'_>) -> Result<()> {
        let mut objects = match self.fetch_object_index(uuid) {
            // Their attributes come all the same.
            Err(error) if http::is_breakdown(&error) => {
                chunks.note_missing_objects(format!("{error:#}"));
                ObjectIndex::default()
            }
            named => named?,
        };

        let mut page = PageRequest::first(ATTRIBUTES);
        let mut highest = 0;

        loop {
            let seen = self.read_attribute_page((uuid, event), &mut page, &mut objects, chunks)?;
            if seen.rows == 0 {
                return Ok(());
            }
            chunks.deliver_rows()?;
            ensure!(
                seen.highest > highest,
                "reading event {uuid}: the server sends the same page of attributes again and again"
            );
            highest = seen.highest;
            page = page.next();
        }
    }

    /// One page of attributes, asked for again, and made smaller, as far as that helps. If a part
    /// of it was handed over already, that part is passed over.
    fn read_attribute_page(
        &self,
        (uuid, event): (&Uuid, &Event),
        page: &mut PageRequest,
        objects: &mut ObjectIndex,
        chunks: &mut ChunkBuffer<'_>,
    ) -> Result<PageStats> {
        const PATH: &str = "attributes/restSearch";

        loop {
            let body = json!({
                "returnFormat": "json", "eventid": uuid,
                "limit": page.limit, "page": page.number, "order": "Attribute.id asc",
            });

            let asked = self.post_query(PATH, &body, |answer| {
                chunks.clear_pending();
                let read =
                    PageStats::default().read_page(answer, (page.limit, event), objects, chunks);
                if chunks.is_stopped() {
                    Ok(read)
                } else {
                    read.map(Ok)
                }
            });

            match asked {
                Ok(read) => return read,
                Err(error) => match page.halve_after(&error) {
                    Some(half) => *page = half,
                    None if http::is_breakdown(&error) => {
                        let most = page.limit;
                        return Err(error.context(format!(
                            "MISP breaks down even over {most} attributes of the event at once: \
                             raise PHP's memory_limit there"
                        )));
                    }
                    None => return Err(error),
                },
            }
        }
    }

    /// The names and uuids of an event's objects, which the rows of its attributes lack.
    /// Soft-deleted objects come too, so that what is left in them is known for deleted: they are
    /// shown unless `deleted` is named, to any value of which MISP answers 500
    /// (`fixtures/wire/misp/433-objects-restsearch-deleted-0-1.json`,
    /// `436-objects-restsearch-without-deleted.json`).
    fn fetch_object_index(&self, uuid: &Uuid) -> Result<ObjectIndex> {
        let mut naming = ObjectIndexBuilder::default();
        let mut page = PageRequest::first(OBJECTS);
        let body = |page: PageRequest| json!({"returnFormat": "json", "eventid": uuid, "metadata": 1, "limit": page.limit, "page": page.number});

        loop {
            let rows = self
                .fetch_page(
                    "objects/restSearch",
                    &["response"],
                    &mut page,
                    &body,
                    &mut Some::<Element<ObjectRow>>,
                )?
                .rows;

            if rows.is_empty() {
                return Ok(naming.into_index());
            }
            let last = rows.iter().rev().find_map(ObjectRow::object_id);
            ensure!(
                page.number == 1 || last != naming.last.as_deref(),
                "reading event {uuid}: the server sends the same page of objects again and again"
            );
            naming.last = last.map(ToOwned::to_owned);
            rows.into_iter()
                .filter_map(ObjectRow::into_object)
                .try_for_each(|object| naming.add_object(&object))
                .with_context(|| format!("reading event {uuid}"))?;
            page = page.next();
        }
    }

    /// The reports of an event that is read in pages
    /// (`fixtures/wire/misp/274-event-report-index.json`). By number only: MISP would take a uuid
    /// for the number that it begins with (its `EventReportsController.php`). If the server refuses
    /// to show them, there are none.
    fn read_reports(&self, event: &Event, chunks: &mut ChunkBuffer<'_>) -> Result<()> {
        if event.id.parse::<u64>().is_err() {
            return Ok(());
        }

        let asked = self.get(
            &format!("eventReports/index/event_id:{}", event.id),
            |answer| {
                chunks.clear_pending();
                for_each_element(answer, &[], &mut |element: Element<ReportRow>| {
                    match element {
                        Element::Good(ReportRow {
                            report: Some(report),
                        }) if report.event_id == event.id => {
                            chunks.add_report(Element::Good(report));
                        }
                        Element::Good(_) => {}
                        Element::Bad(flaw) => chunks.add_report(Element::Bad(flaw)),
                    }

                    Ok(())
                })
            },
        );

        match asked {
            Err(error) if HttpError::of(&error).is_some_and(HttpError::is_hidden) => Ok(()),
            asked => asked,
        }
    }

    /// The file of an attachment, or the zip of a sample, with at most `most` bytes: what MISP's
    /// `AttributesController.php` sends for `download`. That it is what the attribute says is for
    /// the caller to check.
    ///
    /// # Errors
    /// That there is none, that it is not shown, or that it is larger.
    pub fn download_attachment(&self, attribute: &Attribute, most: u64) -> Result<Vec<u8>> {
        ensure!(
            attribute.id.parse::<u64>().is_ok(),
            "the attribute has no number by which its file can be asked for"
        );
        let path = format!("attributes/download/{}", attribute.id);

        let told = |failure: HttpError| match failure.status() {
            Some(404) => failure
                .with_help("MISP does not hold the file, or does not show it")
                .into(),
            _ => explain_error(failure),
        };

        self.client.retry(|| {
            self.client
                .download_accepting_json(&path, most)
                .map_err(told)
        })
    }
}

/// What an answer with a page of attributes had.
#[derive(Clone, Copy, Debug, Default)]
struct PageStats {
    rows: usize,
    /// The highest number of an attribute.
    highest: u64,
}

impl PageStats {
    /// Reads a page. Attributes whose number is not above that of the last one handed over are
    /// passed over.
    fn read_page(
        mut self,
        answer: Response,
        (most, event): (usize, &Event),
        objects: &mut ObjectIndex,
        chunks: &mut ChunkBuffer<'_>,
    ) -> Result<Self> {
        for_each_element(
            answer,
            &["response", "Attribute"],
            &mut |element: Element<Attribute>| {
                self.rows += 1;

                ensure!(
                    is_of_event(&element, event),
                    "the server sends attributes of other events than the one asked for"
                );
                ensure!(
                    self.rows <= most,
                    "the server sends more than the {most} elements asked for"
                );

                if let Some(number) = chunks::attribute_number(&element) {
                    ensure!(
                        number > self.highest,
                        "the server does not sort attributes by number as it was asked to"
                    );
                    self.highest = number;
                    if number <= chunks.highest_delivered() {
                        return Ok(());
                    }
                }

                let (element, within) = objects.with_parent(element);
                chunks.add_row(element, within)
            },
        )?;

        Ok(self)
    }
}

/// True unless an attribute says that it is another event's: a filter that is ignored gives
/// everything (`fixtures/wire/misp/214-ars-unknown-filter.json`).
fn is_of_event(element: &Element<Attribute>, event: &Event) -> bool {
    match element {
        Element::Good(one) => {
            one.event_id.is_empty() || event.id.is_empty() || one.event_id == event.id
        }
        Element::Bad(_) => true,
    }
}

/// What is remembered of an object.
struct ObjectRef {
    number: u64,
    uuid: Uuid,
    /// The place of its name among the names.
    name: u32,
    is_deleted: bool,
}

/// The objects of an event, by their numbers.
#[derive(Default)]
struct ObjectIndex {
    /// Sorted by number.
    known: Vec<ObjectRef>,
    names: Vec<Arc<str>>,
    /// The object asked for last, since attributes of one object mostly follow each other.
    last: Option<(u64, ParentObject)>,
}

impl ObjectIndex {
    /// An attribute, and the object that it is in. One that came in after the objects were asked
    /// for, or that is not shown, is none; the attribute keeps its `object_id` and its role.
    fn with_parent(
        &mut self,
        element: Element<Attribute>,
    ) -> (Element<Attribute>, Option<ParentObject>) {
        let Element::Good(mut attribute) = element else {
            return (element, None);
        };
        let number = attribute
            .object_id
            .parse::<u64>()
            .ok()
            .filter(|number| *number > 0);

        let place = number.and_then(|number| {
            self.known
                .binary_search_by_key(&number, |known| known.number)
                .ok()
        });

        let Some(known) = place.and_then(|place| self.known.get(place)) else {
            return (Element::Good(attribute), None);
        };
        if known.is_deleted {
            attribute.deleted = Some(true);
        }
        if self
            .last
            .as_ref()
            .is_none_or(|(number, _)| *number != known.number)
        {
            let name = usize::try_from(known.name)
                .ok()
                .and_then(|place| self.names.get(place));
            let within = ParentObject {
                name: name.cloned().unwrap_or_default(),
                uuid: known.uuid.to_string().into(),
            };
            self.last = Some((known.number, within));
        }

        (
            Element::Good(attribute),
            self.last.as_ref().map(|(_, within)| within.clone()),
        )
    }
}

/// Objects while they come in.
#[derive(Default)]
struct ObjectIndexBuilder {
    objects: ObjectIndex,
    /// The places of the names.
    places: HashMap<Arc<str>, u32>,
    text: usize,
    /// The number of the last object on the page before.
    last: Option<String>,
}

impl ObjectIndexBuilder {
    fn add_object(&mut self, object: &crate::misp::wire::Object) -> Result<()> {
        let (Ok(number), Ok(uuid)) = (object.id.parse(), Uuid::parse_str(&object.uuid)) else {
            return Ok(());
        };
        let name = match self.places.get(object.name.as_str()) {
            Some(place) => *place,
            None => self.intern_name(&object.name)?,
        };
        ensure!(
            self.objects.known.len() < MOST_OBJECTS,
            "it has more than {MOST_OBJECTS} objects"
        );

        self.objects.known.push(ObjectRef {
            number,
            uuid,
            name,
            is_deleted: object.deleted == Some(true),
        });

        Ok(())
    }

    fn intern_name(&mut self, name: &str) -> Result<u32> {
        self.text += name.len();
        ensure!(
            self.text <= MOST_NAMES,
            "the names of its objects have more than {MOST_NAMES} bytes"
        );
        let name: Arc<str> = name.into();
        let place = u32::try_from(self.objects.names.len())?;
        self.objects.names.push(name.clone());
        self.places.insert(name, place);

        Ok(place)
    }

    /// An object that slipped onto the next page came twice.
    fn into_index(self) -> ObjectIndex {
        let mut objects = self.objects;
        objects.known.sort_unstable_by_key(|known| known.number);
        objects.known.dedup_by_key(|known| known.number);
        objects
    }
}

/// A row of `eventReports/index`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReportRow {
    #[serde(rename = "EventReport", deserialize_with = "json::object")]
    report: Option<Report>,
}
