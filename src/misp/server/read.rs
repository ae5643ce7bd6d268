//! What an event on a server holds, in chunks: a small event by one answer, a big one by pages.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rest_search::{count_withheld, without_default_filters};
use super::{ATTRIBUTE_ROWS, Server, WITHOUT, explain_error, for_each_element, for_each_row};
use crate::http::{self, HttpError, PageRequest, ReadError, Response};
use crate::json::{Element, Flaw, JsonStream};
use crate::misp::chunks::{self, Chunk, ChunkBuffer, Missing, ParentObject};
use crate::misp::wire::{
    self, Attribute, Event, Object, Report, Row, Sighting, SightingKind, Sightings, unwrap_row,
};

/// An event with no more attributes than this does not break a server down.
const SMALL: i64 = 1_000;
/// The most attributes of an event that is asked for as a whole, and of a page of a bigger one.
const ATTRIBUTES: usize = 5_000;
/// Attributes of a page where each page is done with as soon as it is read. MISP gathers such a
/// page in parts of 50 attributes for each MiB of its memory, and gives too much if the parts are
/// just as many (its `MispAttribute.php`, `__iteratedFetch`): this is no multiple of 50.
const LARGE_PAGE: usize = 20_480;
/// Objects asked for at once.
const OBJECTS: usize = 5_000;
/// Objects that an event may have: as many are remembered, each with 32 bytes.
const MOST_OBJECTS: usize = 500_000;
/// Why an attribute that MISP counts did not come.
const WITHHELD: &str =
    "MISP's allowed list (its page Administration, Allowedlist) keeps it out of every search";
/// Attributes of an event whose sightings are counted.
const MOST_SIGHTED: usize = 500_000;
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
                self.for_each_report(event, "", &mut |report| match report {
                    Some(report) => chunks.add_report(report),
                    None => chunks.clear_pending(),
                })?;
            }
        }

        chunks.finish()
    }

    /// The event in one answer. It is asked for again as long as nothing of it was handed over.
    fn read_whole(&self, uuid: &Uuid, chunks: &mut ChunkBuffer<'_>) -> Result<()> {
        let path = format!("events/view/{uuid}/{WITHOUT}");
        let read = self.client.retry_reading(|| {
            let answer = self.client.get(&path);
            let answer = answer.map_err(|failure| self.explain_error(failure))?;
            chunks.clear_pending();
            let line = answer.request_line().to_owned();
            let mut source = JsonStream::new(answer.into_body());
            wire::read_event(&mut source, uuid, &mut |piece| chunks.add_piece(piece))
                .and_then(|_| source.require_end())
                .with_context(|| format!("{line}: reading the event"))
                .map_err(|error| chunks.read_error(error))
        });
        read.map_err(ReadError::into_error)
    }

    /// Pages of attributes until all that the event counts have come, or one is empty, since a page
    /// may be short for reasons of its own and the count in its header is no total
    /// (`fixtures/wire/misp/212-ars-page1.json`). They are sorted by number, so that an attribute
    /// that slips onto the next page, because another one came in before it, is known by its
    /// number.
    fn read_paged(&self, uuid: &Uuid, event: &Event, chunks: &mut ChunkBuffer<'_>) -> Result<()> {
        thread::scope(|scope| {
            let mut pages = EventPages {
                server: self,
                scope,
                uuid,
                event,
                objects: ObjectIndex::default(),
                sightings: HashMap::new(),
                chunks,
                ahead: None,
                came: 0,
                highest: 0,
                had_nothing_new: false,
            };
            let page = |limit, number| PageRequest { limit, number };
            // Something is written between two pages: one that was asked for ahead would wait
            // unread.
            if !self.reads_ahead {
                pages.fetch_objects()?;
                pages.fetch_sightings()?;
                return pages.read_from(page(ATTRIBUTES, 1), false);
            }

            // MISP makes the first page while the objects are asked for.
            pages.ask_ahead(page(LARGE_PAGE, 1));
            pages.fetch_objects()?;
            pages.fetch_sightings()?;
            pages.read_from(page(LARGE_PAGE, 1), true)?;
            if pages.has_all() {
                return Ok(());
            }
            // Where proposals block attributes, MISP ends a page that it gathers in parts with the
            // first part that is not full (its `MispAttribute.php`, `__iteratedFetch`).
            let number = pages.came / ATTRIBUTES + 1;
            pages.read_from(page(ATTRIBUTES, number), false)
        })
    }

    /// The names and uuids of an event's objects, which the rows of its attributes lack.
    fn fetch_object_index(&self, uuid: &Uuid) -> Result<ObjectIndex> {
        let mut objects = ObjectIndex::default();
        let mut places = HashMap::new();
        self.for_each_object(uuid, OBJECTS, &mut |object| {
            objects
                .add(&object, &mut places)
                .with_context(|| format!("reading event {uuid}"))
        })?;
        // An object that slipped onto the next page came twice.
        objects.known.sort_unstable_by_key(|known| known.number);
        objects.known.dedup_by_key(|known| known.number);
        Ok(objects)
    }

    /// How the attributes of an event were sighted, by their numbers: as false positives, and when
    /// they expire. One question for all: a page that is to have sightings costs MISP two questions
    /// to its database for each attribute (its `MispAttribute.php`, `__iteratedFetch`). By number
    /// only: a uuid is answered with 500 (`595-sightings-of-an-event-by-uuid.json`), and without
    /// a window only those of the last 30 days come (`596-sightings-of-an-event.json`).
    fn count_sightings(&self, event: &Event) -> Result<HashMap<u64, Sightings>> {
        const LATEST: u64 = 99_999_999_999;

        let Ok(number) = event.id.parse::<u64>() else {
            return Ok(HashMap::new());
        };
        let types = [SightingKind::FalsePositive, SightingKind::Expiration];
        let body = json!({
            "id": number, "from": 0, "to": LATEST, "type": types.map(SightingKind::number),
        });

        self.post_query("sightings/restSearch/event", &body, |answer| {
            let mut all: HashMap<u64, Sightings> = HashMap::new();
            let mut is_cut = false;
            for_each_row(
                answer,
                &["response"],
                "Sighting",
                &mut |sighting: Sighting| {
                    let Ok(attribute) = sighting.attribute_id.parse() else {
                        return;
                    };
                    if all.len() >= MOST_SIGHTED && !all.contains_key(&attribute) {
                        is_cut = true;
                        return;
                    }
                    let counted = all.entry(attribute).or_default();
                    counted.add(&sighting);
                    *counted = counted.verdicts();
                },
            )?;
            ensure!(
                !is_cut,
                "more than {MOST_SIGHTED} of its attributes were sighted"
            );
            Ok(all)
        })
    }

    /// The reports of an event that is read in pages
    /// (`fixtures/wire/misp/274-event-report-index.json`), soft-deleted ones too if `which` is
    /// `/context:all`. By number only: MISP would take a uuid for the number that it begins with
    /// (its `EventReportsController.php`). If the server refuses to show them, there are none. Of
    /// each answer `on` gets none first: what came before does not count.
    pub fn for_each_report(
        &self,
        event: &Event,
        which: &str,
        on: &mut dyn FnMut(Option<Element<Report>>),
    ) -> Result<()> {
        if event.id.parse::<u64>().is_err() {
            return Ok(());
        }

        let path = format!("eventReports/index/event_id:{}{which}", event.id);
        let asked = self.get(&path, |answer| {
            on(None);
            for_each_element(answer, &[], &mut |row: Element<Row<Report>>| {
                match row {
                    Element::Bad(flaw) => on(Some(Element::Bad(flaw))),
                    row => {
                        let report = unwrap_row(row, "EventReport");
                        let report = report.filter(|report| report.event_id == event.id);
                        report
                            .into_iter()
                            .for_each(|report| on(Some(Element::Good(report))));
                    }
                }
                Ok(())
            })
        });

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

/// A page that is asked for while something else is read, and the answer that is waited for.
type Ahead<'scope> = (
    PageRequest,
    ScopedJoinHandle<'scope, Option<Result<Response, HttpError>>>,
);

/// The pages of an event's attributes, while they are read.
struct EventPages<'r, 'scope, 'env, 'c> {
    server: &'env Server,
    scope: &'scope Scope<'scope, 'env>,
    uuid: &'env Uuid,
    event: &'env Event,
    objects: ObjectIndex,
    /// By the numbers of the attributes.
    sightings: HashMap<u64, Sightings>,
    chunks: &'r mut ChunkBuffer<'c>,
    ahead: Option<Ahead<'scope>>,
    /// Attributes that came, and those that are withheld.
    came: usize,
    /// The highest number of an attribute.
    highest: u64,
    had_nothing_new: bool,
}

impl<'c> EventPages<'_, '_, '_, 'c> {
    /// Asks which objects the attributes are in.
    fn fetch_objects(&mut self) -> Result<()> {
        self.objects = match self.server.fetch_object_index(self.uuid) {
            // Their attributes come all the same.
            Err(error) if http::is_breakdown(&error) => {
                self.chunks.note_missing_objects(format!("{error:#}"));
                ObjectIndex::default()
            }
            named => named?,
        };
        Ok(())
    }

    /// Asks how the attributes were sighted. They come without that where MISP does not show it, or
    /// breaks down over it.
    fn fetch_sightings(&mut self) -> Result<()> {
        let error = match self.server.count_sightings(self.event) {
            Ok(sightings) => {
                self.sightings = sightings;
                return Ok(());
            }
            Err(error) => error,
        };
        let is_hidden = HttpError::of(&error).is_some_and(HttpError::is_hidden);
        if !is_hidden && !http::is_breakdown(&error) {
            return Err(error);
        }
        self.chunks.note_missing_sightings(Missing {
            why: format!("{error:#}"),
            may_come: !is_hidden,
        });
        Ok(())
    }

    /// Reads pages from this one on; `until_short` ends with the first that is not full.
    fn read_from(&mut self, first: PageRequest, until_short: bool) -> Result<()> {
        self.came = first.offset();
        // Both closures need it, though never at the same time.
        let pages = RefCell::new(self);
        http::for_each_page(
            first,
            |page| pages.borrow_mut().read_page(page),
            |page, seen| pages.borrow_mut().is_last(page, seen, until_short),
        )
    }

    /// Notes what a page had: true if none is asked for behind it.
    fn is_last(&mut self, page: PageRequest, seen: PageStats, until_short: bool) -> Result<bool> {
        let is_new = seen.highest > self.highest;
        let is_full = seen.rows + seen.withheld >= page.limit;
        // All attributes of one last page may have slipped onto it.
        let may_be_last = seen.rows < page.limit && !self.had_nothing_new;
        ensure!(
            seen.rows == 0 || is_new || may_be_last,
            "reading event {}: the server sends the same page of attributes again and again",
            self.uuid
        );
        self.had_nothing_new = !is_new;
        self.highest = seen.highest.max(self.highest);
        self.came += seen.rows + seen.withheld;

        let is_empty = seen.rows == 0 && seen.withheld == 0;
        Ok(is_empty || (!is_full && (until_short || self.has_all())))
    }

    /// True once as many came as the event counts.
    fn has_all(&self) -> bool {
        let counted = self.event.attribute_count;
        counted
            .and_then(|count| usize::try_from(count).ok())
            .is_some_and(|count| self.came >= count)
    }

    /// Asks for a page that will be read next, but for one event of a server at a time.
    fn ask_ahead(&mut self, page: PageRequest) {
        let (server, body) = (self.server, attribute_page(self.uuid, page));
        let asking = self.scope.spawn(move || {
            // If another event has the place, the page is asked for when it is needed.
            let _only = server.asking_ahead.try_lock().ok()?;
            Some(server.client.post("attributes/restSearch", &body))
        });
        self.ahead = Some((page, asking));
    }

    /// The answer with a page, if it was asked for already.
    fn take_ahead(&mut self, page: PageRequest) -> Option<Result<Response, HttpError>> {
        let (_, asking) = self.ahead.take_if(|(asked, _)| *asked == page)?;
        match asking.join() {
            Ok(answer) => answer,
            Err(panicked) => panic::resume_unwind(panicked),
        }
    }

    /// One page of attributes. If a part of it was handed over already, that part is passed over.
    fn read_page(&mut self, page: PageRequest) -> Result<PageStats, ReadError> {
        let (server, event) = (self.server, self.event);
        let body = attribute_page(self.uuid, page);

        let read = server.client.retry_reading(|| {
            let answer = match self.take_ahead(page) {
                Some(answer) => answer,
                None => server.client.post("attributes/restSearch", &body),
            };
            let answer = answer.map_err(|failure| server.explain_error(failure))?;
            if self.is_next_wanted(page) {
                self.ask_ahead(page.next());
            }
            self.chunks.clear_pending();
            PageStats::default()
                .read_page(answer, (page, event), self.parts())
                .map_err(|error| self.chunks.page_error(error))
        });

        match read {
            Ok(seen) => {
                self.chunks.deliver_rows().map_err(ReadError::Final)?;
                Ok(seen)
            }
            Err(ReadError::Again(error))
                if http::is_breakdown(&error) && page.halve_after(&error).is_none() =>
            {
                Err(ReadError::Final(error.context(format!(
                    "MISP breaks down even over {} attributes of the event at once: raise PHP's \
                     memory_limit there",
                    page.limit
                ))))
            }
            Err(error) => Err(error),
        }
    }

    fn parts(&mut self) -> PageParts<'_, 'c> {
        (&mut self.objects, &self.sightings, self.chunks)
    }

    /// True if the page behind this one is to be asked for ahead: the event counts attributes
    /// there.
    fn is_next_wanted(&self, page: PageRequest) -> bool {
        let next = page.next();
        let is_asked = self.ahead.as_ref().is_some_and(|(asked, _)| *asked == next);
        let counted = self.event.attribute_count.unwrap_or(0);
        let is_there = i64::try_from(next.offset()).is_ok_and(|offset| counted > offset);
        self.server.reads_ahead && is_there && !is_asked
    }
}

/// What a page of an event's attributes is asked for with.
fn attribute_page(event: &Uuid, page: PageRequest) -> Value {
    without_default_filters(json!({
        "eventid": event, "limit": page.limit, "page": page.number, "order": "Attribute.id asc",
    }))
}

/// What an answer with a page of attributes had.
#[derive(Clone, Copy, Debug, Default)]
struct PageStats {
    rows: usize,
    /// Attributes that MISP's allowed list keeps out of it.
    withheld: usize,
    /// The highest number of an attribute.
    highest: u64,
}

impl PageStats {
    /// Reads a page. Attributes whose number is not above that of the last one handed over are
    /// passed over.
    fn read_page(
        mut self,
        answer: Response,
        (page, event): (PageRequest, &Event),
        (objects, sightings, chunks): PageParts<'_, '_>,
    ) -> Result<Self> {
        let counted = answer.header("x-result-count").parse().ok();
        for_each_element(answer, ATTRIBUTE_ROWS, &mut |element: Element<
            Attribute,
        >| {
            self.rows += 1;

            ensure!(
                is_of_event(&element, event),
                "the server sends attributes of other events than the one asked for"
            );
            ensure!(
                self.rows <= page.limit,
                "the server sends more than the {} elements asked for",
                page.limit
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

            let mut within = None;
            let element = element.map(|mut attribute| {
                within = objects.find_parent(&mut attribute);
                let number = attribute.id.parse::<u64>().ok();
                let known = number.and_then(|number| sightings.get(&number));
                attribute.sightings = known.cloned().unwrap_or_default();
                attribute
            });
            chunks.add_row(element, within)
        })?;

        self.withheld = count_withheld(counted, self.rows, page);
        // Each counts as an attribute that cannot be read, so that none is lost in silence.
        for _ in 0..self.withheld {
            chunks.add_row(Element::Bad(Flaw::unreadable(WITHHELD)), None)?;
        }

        Ok(self)
    }
}

/// True unless an attribute says that it is another event's: a filter that is ignored gives
/// everything (`fixtures/wire/misp/214-ars-unknown-filter.json`).
fn is_of_event(element: &Element<Attribute>, event: &Event) -> bool {
    match element {
        Element::Good(attribute) => {
            attribute.event_id.is_empty() || event.id.is_empty() || attribute.event_id == event.id
        }
        Element::Bad(_) => true,
    }
}

/// What a page is read with: the event's objects, its sightings, and where the rows go.
type PageParts<'p, 'c> = (
    &'p mut ObjectIndex,
    &'p HashMap<u64, Sightings>,
    &'p mut ChunkBuffer<'c>,
);

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
    /// Bytes of all names.
    text: usize,
    /// The object asked for last, since attributes of one object mostly follow each other.
    last: Option<(u64, ParentObject)>,
}

impl ObjectIndex {
    /// Remembers an object; `places` are those of the names so far.
    fn add(&mut self, object: &Object, places: &mut HashMap<Arc<str>, u32>) -> Result<()> {
        let (Ok(number), Ok(uuid)) = (object.id.parse(), Uuid::parse_str(&object.uuid)) else {
            return Ok(());
        };
        ensure!(
            self.known.len() < MOST_OBJECTS,
            "it has more than {MOST_OBJECTS} objects"
        );

        let name = match places.get(object.name.as_str()) {
            Some(place) => *place,
            None => {
                self.text += object.name.len();
                ensure!(
                    self.text <= MOST_NAMES,
                    "the names of its objects have more than {MOST_NAMES} bytes"
                );
                let place = u32::try_from(self.names.len())?;
                let name: Arc<str> = object.name.as_str().into();
                self.names.push(name.clone());
                places.insert(name, place);
                place
            }
        };

        self.known.push(ObjectRef {
            number,
            uuid,
            name,
            is_deleted: object.deleted == Some(true),
        });
        Ok(())
    }

    /// The object that an attribute is in; in one that is soft-deleted the attribute counts as
    /// soft-deleted. An object that came in after they were asked for, or that is not shown, is
    /// none; the attribute keeps its `object_id` and its role.
    fn find_parent(&mut self, attribute: &mut Attribute) -> Option<ParentObject> {
        let number: u64 = attribute.object_id.parse().ok()?;
        let place = self
            .known
            .binary_search_by_key(&number, |known| known.number);
        let known = self.known.get(place.ok()?)?;
        if known.is_deleted {
            attribute.deleted = Some(true);
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != number) {
            let name = self.names.get(usize::try_from(known.name).ok()?)?;
            let within = ParentObject {
                name: name.clone(),
                uuid: known.uuid.to_string().into(),
            };
            self.last = Some((number, within));
        }

        self.last.as_ref().map(|(_, within)| within.clone())
    }
}
