//! An event in chunks: its attributes in lists that fit into memory, however large the event is.

use std::sync::Arc;

use anyhow::Result;

use super::wire::{Attribute, EventPart, Object, Report};
use crate::http::ReadError;
use crate::json::{Element, Flaw};

/// The most rows of a chunk.
const MOST_ROWS: usize = 5_000;
/// The most text in the rows of a chunk, in bytes. A larger row is a chunk by itself.
const MOST_TEXT: usize = 4 << 20;
/// The most text in the reports of an event, in bytes. What comes after it is left out.
const MOST_IN_REPORTS: usize = 4 << 20;

/// A part of an event: at most 5,000 attributes with about 4 MiB of text.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Attributes, those in objects too.
    pub rows: Vec<AttributeRow>,
    /// The event's reports, all of them in the last chunk, none before. Of more than 4 MiB the
    /// first are kept.
    pub reports: Vec<Report>,
    /// How many more reports there are, and how many that cannot be read.
    pub reports_left_out: u64,
    /// In the last chunk: why it is not known which objects the attributes are in, if so.
    pub without_objects: Option<String>,
    /// The same of how the attributes were sighted.
    pub without_sightings: Option<Missing>,
    /// True once, at the end of an event that was read to its end. This chunk may be without rows.
    pub is_last: bool,
}

/// What an event should have and could not be read.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Why.
    pub why: String,
    /// True if a later run may read it.
    pub may_come: bool,
}

/// An attribute of an event.
#[derive(Debug)]
pub struct AttributeRow {
    /// The attribute, with as much of its sightings as `Sightings::verdicts` gives. In an object that is soft-deleted it counts as
    /// soft-deleted. What is no attribute, or no object, is [`Element::Bad`].
    pub attribute: Element<Attribute>,
    /// The object that it is in.
    pub within: Option<ParentObject>,
}

impl AttributeRow {
    /// True for an attribute that is soft-deleted.
    pub fn is_deleted(&self) -> bool {
        matches!(&self.attribute, Element::Good(attribute) if attribute.deleted == Some(true))
    }
}

/// The object that an attribute is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentObject {
    /// The name of its template.
    pub name: Arc<str>,
    /// Its uuid, as it is written there.
    pub uuid: Arc<str>,
}

impl ParentObject {
    /// The name and uuid of an object.
    pub fn new(object: &Object) -> Self {
        Self {
            name: object.name.as_str().into(),
            uuid: object.uuid.as_str().into(),
        }
    }
}

/// Gathers rows and hands them over in chunks.
pub struct ChunkBuffer<'c> {
    gathered: Chunk,
    text: usize,
    in_reports: usize,
    progress: Delivery,
    on: &'c mut dyn FnMut(Chunk) -> Result<()>,
}

/// What was handed over so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// Nothing: reading can begin anew.
    Nothing,
    /// Chunks, with attributes up to this number; 0 if they have no numbers.
    UpTo(u64),
    /// The handler wants no more.
    Stopped,
}

impl<'c> ChunkBuffer<'c> {
    /// Nothing is gathered yet; `on` gets the chunks.
    pub fn new(on: &'c mut dyn FnMut(Chunk) -> Result<()>) -> Self {
        Self {
            gathered: Chunk::default(),
            text: 0,
            in_reports: 0,
            progress: Delivery::Nothing,
            on,
        }
    }

    /// Takes what stands in an event.
    pub fn add_piece(&mut self, piece: EventPart) -> Result<()> {
        match piece {
            EventPart::Attribute(element) => self.add_row(*element, None),
            EventPart::Object(Element::Good(object)) => self.add_object(object),
            EventPart::Object(Element::Bad(flaw)) => self.add_row(Element::Bad(flaw), None),
            EventPart::Report(report) => {
                self.add_report(report);
                Ok(())
            }
        }
    }

    fn add_object(&mut self, object: Object) -> Result<()> {
        let within = ParentObject::new(&object);
        // Each that is left out counts as one that cannot be read, so that none is lost in silence.
        let beyond = (0..object.beyond).map(|_| {
            Element::Bad(Flaw::unreadable(
                "the object that it is in has more attributes, or longer ones, than are read of \
                 one",
            ))
        });

        object
            .into_attributes()
            .chain(beyond)
            .try_for_each(|element| self.add_row(element, Some(within.clone())))
    }

    /// Takes an attribute. What no longer fits goes into the next chunk.
    pub fn add_row(
        &mut self,
        mut attribute: Element<Attribute>,
        within: Option<ParentObject>,
    ) -> Result<()> {
        let text = match &mut attribute {
            Element::Good(attribute) => {
                // Only one way of reading brings the event.
                attribute.event = None;
                attribute.event_uuid.clear();
                attribute.sightings = attribute.sightings.verdicts();
                attribute.text_size()
            }
            Element::Bad(_) => 0,
        };

        if self.gathered.rows.len() == MOST_ROWS || self.text + text > MOST_TEXT {
            self.deliver_rows()?;
        }
        self.text += text;
        self.gathered.rows.push(AttributeRow { attribute, within });

        Ok(())
    }

    /// Takes a report, if there is room for it.
    pub fn add_report(&mut self, report: Element<Report>) {
        let size = |report: &Report| report.name.len() + report.content.len();
        let fits = |report: &Report| self.in_reports + size(report) <= MOST_IN_REPORTS;
        match report.into_option().filter(fits) {
            Some(report) => {
                self.in_reports += size(&report);
                self.gathered.reports.push(report);
            }
            None => self.gathered.reports_left_out += 1,
        }
    }

    /// Notes why the objects of the event cannot be read.
    pub fn note_missing_objects(&mut self, why: String) {
        self.gathered.without_objects = Some(why);
    }

    /// Notes why the sightings of the event cannot be read.
    pub fn note_missing_sightings(&mut self, missing: Missing) {
        self.gathered.without_sightings = Some(missing);
    }

    /// Hands over the rows there are, if any.
    pub fn deliver_rows(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.gathered.rows);
        if rows.is_empty() {
            return Ok(());
        }

        let highest = rows
            .iter()
            .filter_map(|row| attribute_number(&row.attribute))
            .max()
            .unwrap_or(0);

        let progress = Delivery::UpTo(self.highest_delivered().max(highest));
        self.text = 0;
        let handed = (self.on)(Chunk {
            rows,
            ..Chunk::default()
        });
        // What the handler refuses is not asked for again.
        self.progress = if handed.is_ok() {
            progress
        } else {
            Delivery::Stopped
        };

        handed
    }

    /// Hands over the last chunk.
    pub fn finish(self) -> Result<()> {
        (self.on)(Chunk {
            is_last: true,
            ..self.gathered
        })
    }

    /// Forgets what was gathered and not handed over, since it comes again.
    pub fn clear_pending(&mut self) {
        self.gathered.rows.clear();
        self.gathered.reports.clear();
        self.gathered.reports_left_out = 0;
        (self.text, self.in_reports) = (0, 0);
    }

    /// The highest number of an attribute that was handed over; 0 for none.
    pub fn highest_delivered(&self) -> u64 {
        match self.progress {
            Delivery::UpTo(number) => number,
            Delivery::Nothing | Delivery::Stopped => 0,
        }
    }

    /// True as long as nothing was handed over.
    pub fn is_untouched(&self) -> bool {
        self.progress == Delivery::Nothing
    }

    /// An error of reading, which is no reason to read again if something was handed over.
    pub fn read_error(&self, error: anyhow::Error) -> ReadError {
        ReadError::new(error, self.is_untouched())
    }

    /// The same of a page, of which what was handed over is passed over. An error of the handler is
    /// no reason to ask a server again.
    pub fn page_error(&self, error: anyhow::Error) -> ReadError {
        ReadError::new(error, self.progress != Delivery::Stopped)
    }
}

/// The number of an attribute on its server.
pub fn attribute_number(element: &Element<Attribute>) -> Option<u64> {
    attribute_id(element)?.parse().ok()
}

/// The same as the server writes it.
pub fn attribute_id(element: &Element<Attribute>) -> Option<&str> {
    element.id(|attribute| &attribute.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the chunks in which attributes with values of these lengths come, and which is
    /// the last.
    fn chunk_sizes(lengths: &[usize]) -> Vec<(usize, bool)> {
        let mut sizes = Vec::new();
        let mut on = |chunk: Chunk| {
            sizes.push((chunk.rows.len(), chunk.is_last));
            Ok(())
        };
        let mut chunks = ChunkBuffer::new(&mut on);

        for length in lengths {
            chunks
                .add_row(
                    Element::Good(Attribute {
                        value: "x".repeat(*length),
                        ..Attribute::default()
                    }),
                    None,
                )
                .unwrap();
        }

        chunks.finish().unwrap();

        sizes
    }

    #[test]
    fn a_chunk_has_5000_rows_or_4_mib_and_the_last_may_be_empty() {
        assert_eq!(chunk_sizes(&[]), [(0, true)]);
        assert_eq!(chunk_sizes(&[1; 5_000]), [(5_000, true)]);
        assert_eq!(chunk_sizes(&[1; 5_001]), [(5_000, false), (1, true)]);
        assert_eq!(chunk_sizes(&[1 << 20; 5]), [(4, false), (1, true)]);
        assert_eq!(
            chunk_sizes(&[7, 5 << 20, 7]),
            [(1, false), (1, false), (1, true)]
        );
    }

    #[test]
    fn reports_above_4_mib_are_left_out() {
        let (mut kept, mut left_out) = (Vec::new(), 0);
        let mut on = |chunk: Chunk| {
            (kept, left_out) = (chunk.reports, chunk.reports_left_out);
            Ok(())
        };
        let mut chunks = ChunkBuffer::new(&mut on);
        for length in [3 << 20, 2 << 20, 1 << 20] {
            chunks.add_report(Element::Good(Report {
                content: "x".repeat(length),
                ..Report::default()
            }));
        }

        chunks.add_report(Element::Bad(Flaw::not_object("a text")));
        chunks.finish().unwrap();

        assert_eq!(
            kept.iter()
                .map(|report| report.content.len() >> 20)
                .collect::<Vec<_>>(),
            [3, 1]
        );

        assert_eq!(left_out, 2);
    }
}
