//! What events hold, for an export: head, attributes and objects of each in one answer.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::json;
use uuid::Uuid;

use super::rest_search::without_default_filters;
use super::{Server, WITHOUT, error_mentions};
use crate::http::{self, HttpError};
use crate::json::{Element, JsonStream};
use crate::misp::wire::{self, Attribute, Event, EventPart, ListedPart};
use crate::misp::{ContentOptions, EventContent, FoundEvents};

/// Attributes of all events together that are held. An event that comes later is read by itself, if
/// it is written to.
const MOST_HELD: usize = 200_000;

impl Server {
    /// Those of these events that are shown to us, and what they hold, soft-deleted attributes and
    /// objects included (`fixtures/wire/misp/590-events-restsearch-with-deleted.json`). One that is
    /// too large, or of which MISP counts more than came, since its allowed list keeps something
    /// out (`579-events-restsearch-with-allowed-list.json`), comes without content. A soft-deleted
    /// attribute that is on that list is missing without a sign: [`Self::find_content`] has it.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_contents(&self, uuids: &[Uuid], look: ContentOptions) -> Result<FoundEvents> {
        // Local tags are left out for the key of a user who may synchronise, unless this is named.
        let body = without_default_filters(json!({
            "eventid": uuids, "deleted": [0, 1], "excludeLocalTags": false, "excludeGalaxy": 1,
            "includeAttachments": 0, "noEventReports": u8::from(!look.reports),
            "noShadowAttributes": 1, "sgReferenceOnly": 1,
        }));

        let read = self.post_query("events/restSearch", &body, |answer| {
            let line = answer.request_line().to_owned();
            let mut source = JsonStream::new(answer.into_body());
            let (mut found, mut reader) = (FoundEvents::default(), ContentReader::default());
            wire::read_events(&mut source, &mut |part| {
                match part {
                    ListedPart::Begin(_) | ListedPart::Bad => reader.clear(),
                    ListedPart::Part(part) => reader.add(part),
                    ListedPart::End(event) => {
                        let event = event.compact(&self.decisive);
                        let uuid = Uuid::parse_str(&event.uuid).ok();
                        if let Some(uuid) = uuid.filter(|uuid| uuids.contains(uuid)) {
                            let content = reader.finish(event.clone());
                            found.heads.push((uuid, event));
                            found
                                .contents
                                .extend(content.map(|content| (uuid, content)));
                        }
                    }
                }
                Ok(())
            })
            .and_then(|()| source.require_end())
            .with_context(|| format!("{line}: reading the events"))?;
            Ok(found)
        });

        match read {
            // What is too much for the server at once is asked for in parts.
            Err(error) if http::is_breakdown(&error) => Ok(FoundEvents {
                heads: self.find_events(uuids)?,
                contents: HashMap::new(),
            }),
            read => read,
        }
    }

    /// What an event holds, as its own page has it, which nothing is kept out of
    /// (`fixtures/wire/misp/591-view-event-with-deleted.json`); none if it is not there, or not
    /// shown to us. If that is too much for the server, in pages.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn find_content(&self, uuid: &Uuid, look: ContentOptions) -> Result<Option<EventContent>> {
        let reports = if look.reports {
            ""
        } else {
            "noEventReports:1/"
        };
        let path = format!("events/view/{uuid}/deleted:1/{reports}noShadowAttributes:1/{WITHOUT}");
        let read = self.client.retry(|| {
            let answer = match self.client.get(&path) {
                Ok(answer) => answer,
                Err(failure) if is_unknown(&failure) => return Ok(None),
                Err(failure) => return Err(self.explain_error(failure)),
            };
            let line = answer.request_line().to_owned();
            let mut source = JsonStream::new(answer.into_body());
            let mut reader = ContentReader::default();
            let head = wire::read_event(&mut source, uuid, &mut |part| {
                reader.add(part);
                Ok(())
            });
            let head = head.and_then(|head| source.require_end().map(|()| head));
            let head = head.with_context(|| format!("{line}: reading the event"))?;
            Ok(Some((reader, head.compact(&self.decisive))))
        });

        let (is_there, whole) = match read {
            Ok(None) => return Ok(None),
            Ok(Some((mut reader, head))) => (true, reader.finish(head)),
            Err(error) if http::is_breakdown(&error) => (false, None),
            Err(error) => return Err(error),
        };
        if is_there && whole.is_some() {
            return Ok(whole);
        }

        let head = self.find_events(&[*uuid])?.pop();
        head.map(|(uuid, head)| self.read_content(&uuid, head, look))
            .transpose()
    }
}

/// MISP knows no such event, or does not show it
/// (`fixtures/wire/misp/034-view-notfound-uuid.json`).
fn is_unknown(failure: &HttpError) -> bool {
    failure.status() == Some(404) && error_mentions(failure, "Invalid event")
}

/// What an event holds, while it is read.
#[derive(Default)]
struct ContentReader {
    content: EventContent,
    /// Attributes of all events so far.
    held: usize,
}

impl ContentReader {
    fn clear(&mut self) {
        self.content = EventContent::default();
    }

    fn add(&mut self, part: EventPart) {
        match part {
            EventPart::Attribute(row) => self.add_row(*row),
            EventPart::Object(Element::Good(object)) => {
                self.content.add_object(&object);
                if object.beyond > 0 {
                    let beyond = format!("object {} has too many attributes", object.uuid);
                    self.content.unreadable.push(beyond);
                }
                object
                    .attributes
                    .into_iter()
                    .for_each(|row| self.add_row(row));
            }
            EventPart::Object(Element::Bad(flaw)) => {
                self.content.unreadable.push(flaw.describe("an object"));
            }
            EventPart::Report(report) => self.content.reports.extend(report.into_option()),
        }
    }

    fn add_row(&mut self, row: Element<Attribute>) {
        self.held += 1;
        match row {
            // Counted on, so that no later event passes for one that came whole.
            _ if self.held > MOST_HELD => {}
            Element::Good(attribute) => self.content.attributes.push(attribute),
            Element::Bad(flaw) => self.content.unreadable.push(flaw.describe("an attribute")),
        }
    }

    /// The event, if it came whole.
    fn finish(&mut self, event: Event) -> Option<EventContent> {
        let mut content = std::mem::take(&mut self.content);
        let number = |attribute: &Attribute| attribute.id.parse().unwrap_or(u64::MAX);
        // Those in objects come apart from the others: by their numbers they are in one order.
        content.attributes.sort_by_key(number);

        let live = content
            .attributes
            .iter()
            .filter(|attribute| attribute.deleted != Some(true));
        // What cannot be read has come too.
        let came = (live.count() + content.unreadable.len()) as i64;
        let is_whole = event.attribute_count.is_none_or(|count| came >= count);
        content.event = event;

        (is_whole && self.held <= MOST_HELD).then_some(content)
    }
}
