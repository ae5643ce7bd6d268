//! An event, and a feed's manifest, walked piece by piece: nothing is held but the piece in hand.

use std::fmt;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

use super::{Attribute, Event, Object, Report};
use crate::json::{self, Each, Element, Hand};

/// What stands in an event: an attribute, an object with its own, a report.
#[derive(Debug)]
pub enum Piece {
    /// An attribute of the event itself.
    Attribute(Box<Element<Attribute>>),
    /// An object.
    Object(Element<Object>),
    /// A report.
    Report(Element<Report>),
}

/// Reads an event's content piece by piece: `{"Event":{"Attribute":[…],"Object":[…],"EventReport":[…]}}`, also inside
/// `response` or a list, as feeds of other producers have it. Proposals (`ShadowAttribute`) are passed over.
pub struct Pieces<'h> {
    /// True inside the event; before, its absence is an error: the body is no event then.
    pub is_inside: bool,
    /// The event that it has to be, if it names its uuid.
    pub event: Uuid,
    /// Who is told of each element.
    pub hand: Hand,
    /// What to do with a piece.
    pub on: &'h mut dyn FnMut(Piece) -> Result<()>,
}

impl<'de> DeserializeSeed<'de> for Pieces<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pieces<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { is_inside, event, hand, on } = self;
        let mut is_event = is_inside;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "Event" | "response" if !is_inside => {
                    is_event = true;
                    map.next_value_seed(Pieces { is_inside: key == "Event", event, hand: hand.clone(), on: &mut *on })?;
                }
                _ if !is_inside => map.next_value::<IgnoredAny>().map(drop)?,
                "uuid" => hand.element(named(&map.next_value::<Named>()?.0, event))?,
                "Attribute" => map.next_value_seed(Each {
                    hand: hand.clone(),
                    on: &mut |element| on(Piece::Attribute(Box::new(element))),
                })?,
                "Object" => {
                    map.next_value_seed(Each { hand: hand.clone(), on: &mut |element| on(Piece::Object(element)) })?
                }
                "EventReport" => {
                    map.next_value_seed(Each { hand: hand.clone(), on: &mut |element| on(Piece::Report(element)) })?
                }
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        if is_event { Ok(()) } else { Err(de::Error::custom("there is no event in it")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { is_inside, event, hand, on } = self;
        let mut number = 0;
        while seq.next_element_seed(Pieces { is_inside, event, hand: hand.clone(), on: &mut *on })?.is_some() {
            number += 1;
        }
        if number == 1 { Ok(()) } else { Err(de::Error::custom(format!("there are {number} events in it, not one"))) }
    }
}

/// The uuid in an event.
#[derive(Deserialize)]
struct Named(#[serde(deserialize_with = "json::text")] String);

/// An event without a uuid is taken for the one that was asked for.
fn named(uuid: &str, asked: Uuid) -> Result<()> {
    let is_other = !uuid.is_empty() && Uuid::parse_str(uuid).ok() != Some(asked);
    ensure!(!is_other, "what came is not event {asked} but another");
    Ok(())
}

/// Reads an object of objects entry by entry: a feed's manifest, keyed by uuid.
pub struct Entries<'h> {
    /// Who is told of each element.
    pub hand: Hand,
    /// What to do with an entry.
    pub on: &'h mut dyn FnMut(String, Element<Event>) -> Result<()>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest: an object with an entry for each event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((uuid, entry)) = map.next_entry()? {
            self.hand.element((self.on)(uuid, entry))?;
        }
        Ok(())
    }
}
