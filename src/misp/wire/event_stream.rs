//! An event, and a feed's manifest, walked piece by piece: nothing is held but the piece in hand.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use uuid::Uuid;

use super::{Attribute, Event, Object, Report, Sightings};
use crate::json::{Element, JsonStream};

/// Attributes of an object that are kept, and the bytes of their texts.
pub(super) const MOST_IN_OBJECT: usize = 20_000;
const MOST_TEXT_IN_OBJECT: usize = 8 << 20;

/// What stands in an event: an attribute, an object with its own, a report.
#[derive(Debug)]
pub enum EventPart {
    /// An attribute of the event itself.
    Attribute(Box<Element<Attribute>>),
    /// An object, with its first 20,000 attributes, of at most 8 MiB of text: they are kept until
    /// all of it was read, since what says that it is deleted may come last.
    Object(Element<Object>),
    /// A report.
    Report(Element<Report>),
}

impl EventPart {
    /// About the bytes that it takes in memory.
    pub fn size(&self) -> usize {
        let attribute = |row: &Element<Attribute>| match row {
            Element::Good(attribute) => size_of::<Attribute>() + attribute.text_size(),
            Element::Bad(_) => size_of::<Attribute>(),
        };
        match self {
            Self::Attribute(row) => attribute(row),
            Self::Object(Element::Good(object)) => object.attributes.iter().map(attribute).sum(),
            Self::Report(Element::Good(report)) => report.name.len() + report.content.len(),
            Self::Object(Element::Bad(_)) | Self::Report(Element::Bad(_)) => 0,
        }
    }

    /// Without its sightings: a feed carries none that could be relied on.
    pub fn forget_sightings(&mut self) {
        let rows = match self {
            Self::Attribute(row) => std::slice::from_mut(&mut **row),
            Self::Object(Element::Good(object)) => object.attributes.as_mut_slice(),
            Self::Object(Element::Bad(_)) | Self::Report(_) => &mut [],
        };
        for row in rows {
            if let Element::Good(attribute) = row {
                attribute.sightings = Sightings::default();
            }
        }
    }
}

/// Reads an event piece by piece, and gives its head:
/// `{"Event":{"Attribute":[…],"Object":[…],"EventReport":[…]}}`, also inside `response` or a list,
/// as feeds of other producers have it. Proposals (`ShadowAttribute`), notes and all else are
/// passed over. An event without a uuid is taken for the one that was asked for.
///
/// # Errors
/// That it is no event, or another one, or that its head cannot be read; or the handler's own
/// error.
pub fn read_event(
    source: &mut JsonStream<'_>,
    asked: &Uuid,
    on: &mut dyn FnMut(EventPart) -> Result<()>,
) -> Result<Event> {
    source.check_encoding()?;
    find_event(source, asked, on)?.context("there is no event in it")
}

fn find_event(
    source: &mut JsonStream<'_>,
    asked: &Uuid,
    on: &mut dyn FnMut(EventPart) -> Result<()>,
) -> Result<Option<Event>> {
    let mut event = None;
    if source.is_list()? {
        read_single(source, &mut |source| {
            event = find_event(source, asked, on)?;
            Ok(())
        })?;
        return Ok(event);
    }

    source.visit_fields(&mut |key, source| {
        match key {
            "Event" => event = Some(read_event_value(source, asked, on)?),
            "response" => event = find_event(source, asked, on)?,
            _ => source.skip_value()?,
        }

        Ok(())
    })?;

    Ok(event)
}

/// A list of one.
fn read_single(
    source: &mut JsonStream<'_>,
    on: &mut dyn FnMut(&mut JsonStream<'_>) -> Result<()>,
) -> Result<()> {
    let mut number = 0;
    source.visit_items(&mut |source| {
        number += 1;
        on(source)
    })?;
    ensure!(number == 1, "there are {number} events in it, not one");
    Ok(())
}

/// What comes of a list of events.
#[derive(Debug)]
pub enum ListedPart<'a> {
    /// The content of an event with this uuid, as it is written there, follows.
    Begin(&'a str),
    /// A part of it.
    Part(EventPart),
    /// It was read to its end, and its head is this. One without content has no beginning.
    End(Box<Event>),
    /// An event cannot be read.
    Bad,
}

/// Reads several events, each as [`read_event`] does: `{"response":[{"Event":{…}},…]}`.
///
/// # Errors
/// That the answer is no list of events, or breaks off; or the handler's own error.
pub fn read_events(
    source: &mut JsonStream<'_>,
    on: &mut dyn FnMut(ListedPart<'_>) -> Result<()>,
) -> Result<()> {
    let has_list = visit_listed(
        source,
        "Event",
        &mut |source| match read_event_object(source, on)? {
            Element::Good(event) => on(ListedPart::End(Box::new(event))),
            Element::Bad(_) => on(ListedPart::Bad),
        },
    )?;
    ensure!(has_list, "the answer is no list of events: this is no MISP");
    Ok(())
}

/// Reads each value of this name in `{"response":[{"<name>":{…}},…]}`. False if there is no such
/// list.
fn visit_listed(
    source: &mut JsonStream<'_>,
    name: &str,
    read: &mut dyn FnMut(&mut JsonStream<'_>) -> Result<()>,
) -> Result<bool> {
    source.check_encoding()?;
    let mut has_list = false;
    source.visit_fields(&mut |key, source| {
        if key != "response" {
            return source.skip_value();
        }
        has_list = true;
        source.visit_items(&mut |source| {
            source.visit_fields(&mut |key, source| match key == name {
                true => read(source),
                false => source.skip_value(),
            })
        })
    })?;
    Ok(has_list)
}

/// Reads several objects with their attributes, as `objects/restSearch` answers
/// (`fixtures/wire/misp/597-objects-restsearch-by-attributes.json`):
/// `{"response":[{"Object":{…}},…]}`.
///
/// # Errors
/// That the answer is no list of objects, or breaks off; or the handler's own error.
pub fn read_objects(
    source: &mut JsonStream<'_>,
    on: &mut dyn FnMut(Element<Object>) -> Result<()>,
) -> Result<()> {
    let has_list = visit_listed(source, "Object", &mut |source| on(read_object(source)?))?;
    ensure!(
        has_list,
        "the answer is no list of objects: this is no MISP"
    );
    Ok(())
}

fn read_event_value(
    source: &mut JsonStream<'_>,
    asked: &Uuid,
    on: &mut dyn FnMut(EventPart) -> Result<()>,
) -> Result<Event> {
    if source.is_list()? {
        let mut event = None;
        read_single(source, &mut |source| {
            event = Some(read_event_value(source, asked, on)?);
            Ok(())
        })?;
        return event.context("there is no event in it");
    }

    let head = read_event_object(source, &mut |part| match part {
        ListedPart::Begin(uuid) => check_uuid(uuid, asked),
        ListedPart::Part(part) => on(part),
        ListedPart::End(_) | ListedPart::Bad => Ok(()),
    })?;

    match head {
        Element::Good(event) => {
            check_uuid(&event.uuid, asked)?;
            Ok(event)
        }
        Element::Bad(flaw) => bail!(flaw.describe("the event")),
    }
}

fn read_event_object(
    source: &mut JsonStream<'_>,
    on: &mut dyn FnMut(ListedPart<'_>) -> Result<()>,
) -> Result<Element<Event>> {
    let mut has_begun = false;

    source.read_object::<Event>(&mut |key, source| {
        let is_content = matches!(key, "Attribute" | "Object" | "EventReport");
        // Whose content it is has to be known before any of it is handed over.
        if is_content && !has_begun {
            on(ListedPart::Begin(source.uuid().unwrap_or_default()))?;
            has_begun = true;
        }
        let mut on_part = |part| on(ListedPart::Part(part));

        match key {
            "Attribute" => read_parts(source, &mut |element| {
                on_part(EventPart::Attribute(Box::new(
                    element.map(Attribute::merge_tag_lists),
                )))
            })?,
            "Object" => source.visit_items_lenient(&mut read_object, &mut |element| {
                on_part(EventPart::Object(element))
            })?,
            "EventReport" => {
                read_parts(source, &mut |element| on_part(EventPart::Report(element)))?
            }
            _ => {}
        }

        Ok(is_content)
    })
}

/// The elements of a list of an event. Something else in its place is one that cannot be read.
fn read_parts<T: for<'de> Deserialize<'de>>(
    source: &mut JsonStream<'_>,
    on: &mut dyn FnMut(Element<T>) -> Result<()>,
) -> Result<()> {
    source.visit_items_lenient(&mut |source| source.read_element(), on)
}

fn read_object(source: &mut JsonStream<'_>) -> Result<Element<Object>> {
    let (mut attributes, mut text, mut beyond) = (Vec::new(), 0, 0);

    let object = source.read_object::<Object>(&mut |key, source| {
        if key != "Attribute" {
            return Ok(false);
        }

        read_parts(source, &mut |element: Element<Attribute>| {
            text += if let Element::Good(attribute) = &element {
                attribute.text_size()
            } else {
                0
            };

            if attributes.len() < MOST_IN_OBJECT && text <= MOST_TEXT_IN_OBJECT {
                attributes.push(element.map(Attribute::merge_tag_lists));
            } else {
                beyond += 1;
            }

            Ok(())
        })?;

        Ok(true)
    })?;

    Ok(object.map(|object| Object {
        attributes,
        beyond,
        ..object
    }))
}

fn check_uuid(uuid: &str, asked: &Uuid) -> Result<()> {
    let is_other = !uuid.is_empty() && Uuid::parse_str(uuid).ok() != Some(*asked);

    ensure!(!is_other, "what came is not event {asked} but another");
    Ok(())
}

/// Reads a feed's manifest entry by entry, each with its key; PHP writes an empty one as a list.
///
/// # Errors
/// That it is no manifest, or breaks off; or the handler's own error.
pub fn read_manifest(
    source: &mut JsonStream<'_>,
    on: &mut dyn FnMut(&str, Element<Event>) -> Result<()>,
) -> Result<()> {
    source.check_encoding()?;
    let no_manifest = "expected a manifest: an object with an entry for each event";

    if source.is_list()? {
        return source.visit_items(&mut |_| bail!(no_manifest));
    }
    ensure!(source.is_object()?, no_manifest);

    source.visit_fields(&mut |key, source| on(key, source.read_element()?))
}
