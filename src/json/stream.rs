//! Streaming JSON: a body is walked element by element and never held whole. What lenient fields read is in `loose.rs`.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::marker::PhantomData;
use std::rc::Rc;

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The largest single element (an event row, an attribute, an object) that is read, in bytes.
pub const LARGEST_ELEMENT: u64 = 64 << 20;
const BUFFER: usize = 64 << 10;

/// The largest body whose elements are collected, in bytes: what is kept of it cannot be more.
const LARGEST_LIST: u64 = 256 << 20;

/// A JSON body that is read as a stream. Each element may have [`LARGEST_ELEMENT`] bytes.
pub struct Source<R: Read> {
    reader: BufReader<Metered<R>>,
    meter: Meter,
}

impl<R: Read> Source<R> {
    /// Takes a body whose elements are handled one by one: it may be of any size.
    pub fn new(body: R) -> Self {
        Self::within(body, u64::MAX)
    }

    /// Takes a body whose elements are collected: it may have 256 MiB.
    pub fn collected(body: R) -> Self {
        Self::within(body, LARGEST_LIST)
    }

    fn within(body: R, left: u64) -> Self {
        let meter = Meter::default();
        let metered = Metered { body, left, meter: meter.clone() };
        Self { reader: BufReader::with_capacity(BUFFER, metered), meter }
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
    left: u64,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            return Err(io::Error::other(format!("the list has more than {} MiB", LARGEST_LIST >> 20)));
        };
        self.left = left;
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

/// True for a key that is a place in a list: PHP writes a list as an object once an element in its middle was taken out
/// (MISP's `EventsController.php` does so with tags), and may write an empty one as `{}`.
pub(super) fn is_place(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Hands over each element of a list, be it written as an object of places; null is an empty list.
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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if !is_place(&key) {
                return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
            }
            let element = map.next_value()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::misp::wire::Tag;

    fn read(source: Source<impl Read>) -> Result<usize> {
        let mut number = 0;
        let mut on = |_: Element<Tag>| {
            number += 1;
            Ok(())
        };
        source.read(|hand| Each { hand, on: &mut on }).map(|()| number)
    }

    /// A list without end, of elements of a mebibyte.
    fn endless() -> impl Read {
        let element = format!("{{\"name\":\"{}\"}},", "x".repeat((1 << 20) - 20)).into_bytes();
        Bytes(std::iter::once(b'[').chain(std::iter::repeat(element).flatten()))
    }

    struct Bytes<I>(I);

    impl<I: Iterator<Item = u8>> Read for Bytes<I> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.iter_mut().zip(&mut self.0).for_each(|(to, from)| *to = from);
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_list_that_is_collected_has_a_limit_and_an_element_too() {
        let error = read(Source::within(endless(), 3 << 20)).unwrap_err();
        assert!(error.to_string().contains("the list has more than"), "{error}");
        let element = format!("[{{\"a\":\"{}", "x".repeat(LARGEST_ELEMENT as usize + BUFFER));
        assert!(
            read(Source::new(element.as_bytes())).unwrap_err().to_string().contains("one element has more than 64 MiB")
        );
    }

    #[test]
    fn a_list_may_be_written_as_an_object_of_places() {
        assert_eq!(read(Source::new("{\"0\": {}, \"2\": {\"name\": 7}, \"3\": 1}".as_bytes())).unwrap(), 3);
        assert_eq!(read(Source::new("{}".as_bytes())).unwrap(), 0);
        for body in ["{\"message\": \"no\"}", "{\"\": 1}", "{\"0\": {}, \"-1\": {}}"] {
            let error = read(Source::new(body.as_bytes())).unwrap_err();
            assert!(error.to_string().contains("expected a list"), "{error}");
        }
    }

    #[test]
    fn a_body_goes_on_to_its_very_end() {
        assert_eq!(read(Source::new("[{}, 1, null, {\"name\": 7}] ".as_bytes())).unwrap(), 4);
        assert!(read(Source::new("[{}] x".as_bytes())).is_err());
        assert!(read(Source::new("[{}".as_bytes())).is_err());
    }
}
