//! Streaming and lenient JSON. A body is walked element by element and never held whole; a value of the wrong type is
//! read as absent, since MISP writes numbers as strings or as numbers, depending on how its database is set up
//! (`fixtures/wire/misp/001-getversion-admin.json` and its neighbours show the strings).

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::marker::PhantomData;
use std::rc::Rc;

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The largest single element (an event row, an attribute, an object) that is read, in bytes.
pub const LARGEST_ELEMENT: u64 = 64 << 20;
const BUFFER: usize = 64 << 10;

/// A JSON body that is read as a stream. Each element may have [`LARGEST_ELEMENT`] bytes; the body has no limit.
pub struct Source<R: Read> {
    reader: BufReader<Metered<R>>,
    meter: Meter,
}

impl<R: Read> Source<R> {
    /// Takes the body.
    pub fn new(body: R) -> Self {
        let meter = Meter::default();
        Self { reader: BufReader::with_capacity(BUFFER, Metered { body, meter: meter.clone() }), meter }
    }

    /// Reads the body with a seed that knows its shape, to its very end.
    ///
    /// # Errors
    /// What the body lacks, as the parser says it; or the error that a handler returned.
    pub fn read<S: for<'de> DeserializeSeed<'de, Value = ()>>(self, seed: impl FnOnce(Hand) -> S) -> Result<()> {
        let hand = Hand { meter: self.meter, stopped: Rc::default() };
        let stopped = Rc::clone(&hand.stopped);
        let mut deserializer = serde_json::Deserializer::from_reader(self.reader);
        let read = seed(hand).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        match (stopped.take(), read) {
            (Some(error), _) => Err(error),
            (None, read) => read.map_err(|error| anyhow!(error)),
        }
    }
}

#[derive(Clone, Default)]
struct Meter(Rc<Cell<u64>>);

struct Metered<R> {
    body: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        let seen = self.meter.0.get() + read as u64;
        self.meter.0.set(seen);
        if seen > LARGEST_ELEMENT {
            return Err(io::Error::other(format!("one element has more than {} MiB", LARGEST_ELEMENT >> 20)));
        }
        Ok(read)
    }
}

/// What a seed holds while it reads: it tells the meter of each element, and carries a handler's error past serde.
#[derive(Clone)]
pub struct Hand {
    meter: Meter,
    stopped: Rc<Cell<Option<anyhow::Error>>>,
}

impl Hand {
    /// Call after each element.
    pub fn element<E: de::Error>(&self, handled: Result<()>) -> Result<(), E> {
        self.meter.0.set(0);
        handled.map_err(|error| {
            self.stopped.set(Some(error));
            E::custom("stopped")
        })
    }
}

/// An element of a stream: read as `T`, or of another shape altogether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element<T> {
    /// An object, read.
    Good(T),
    /// Something that is no object; the text names it ("a string").
    Bad(&'static str),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor(PhantomData))
    }
}

struct ElementVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ElementVisitor<T> {
    type Value = Element<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Element::Good)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Element::Bad("a list"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Element::Bad("a text"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Element::Bad("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Element::Bad("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Element::Bad("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Element::Bad("a number"))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element::Bad("null"))
    }
}

/// Hands over each element of a list; any other value is passed over, and [`Each::deserialize`] tells whether there
/// was a list.
pub struct Each<'h, T> {
    /// Who is told of each element.
    pub hand: Hand,
    /// What to do with an element.
    pub on: &'h mut dyn FnMut(Element<T>) -> Result<()>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Each<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            self.hand.element((self.on)(element))?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the list that stands below the keys of `path`, `["response", "Attribute"]` for instance; other keys are
/// passed over.
pub struct Path<'p, 'h, T> {
    /// The keys still to follow.
    pub path: &'p [&'p str],
    /// What is done at its end.
    pub each: Each<'h, T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Path<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path {
            [] => self.each.deserialize(deserializer),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Path<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the key {}", self.path.first().unwrap_or(&""))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Ok(()) };
        let mut each = Some(self.each);
        while let Some(key) = map.next_key::<String>()? {
            match each.take_if(|_| key == *wanted) {
                Some(each) => map.next_value_seed(Path { path: rest, each })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        match each {
            Some(_) => Err(de::Error::custom(format!("the answer has no \"{wanted}\""))),
            None => Ok(()),
        }
    }
}

/// Names the kind of a value for a message: the kind, never the value, which may be a secret.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.as_i64().is_some_and(|n| n < 0) => "a negative number",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A scalar as the parser hands it over; lists and objects are passed over.
enum Scalar {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(value).map_or(Scalar::Text(value.to_string()), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
}

/// Reads a scalar as text; `null`, lists and objects as the empty text.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::None => String::new(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(value) => value,
    })
}

/// Reads a whole number, written as a number or as text; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => whole(value),
        Scalar::Text(value) => value.trim().parse().ok(),
        Scalar::Bool(_) | Scalar::None => None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(crate) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// Reads a boolean, written as such, as 0/1 or as text; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Bool(value) => Some(value),
        Scalar::Int(value) => Some(value != 0),
        Scalar::Text(value) => truth(&value),
        Scalar::Float(_) | Scalar::None => None,
    })
}

/// Reads "true", "1", "yes", "false", "0", "no" in any case.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// Reads a list of objects, leaving out elements that are none; any other value as an empty list.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(elements(deserializer)?.into_iter().filter_map(good).collect())
}

/// Reads a list element by element, each good or bad by itself; any other value as an empty list.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn elements<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Element<T>>, D::Error> {
    deserializer.deserialize_any(List(PhantomData))
}

/// Reads a list of texts, leaving out elements that are none; any other value as an empty list.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list: Vec<Scalar> = deserializer.deserialize_any(List(PhantomData))?;
    Ok(list.into_iter().filter_map(|scalar| if let Scalar::Text(text) = scalar { Some(text) } else { None }).collect())
}

/// Reads an object; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Element::deserialize(deserializer).map(good)
}

fn good<T>(element: Element<T>) -> Option<T> {
    match element {
        Element::Good(value) => Some(value),
        Element::Bad(_) => None,
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            list.push(element);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
}
