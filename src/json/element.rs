//! An element of a body: read, or what is wrong with it and by which of its fields it is known.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// By these fields an element is named in a message, where it cannot be read: the first that it
/// has.
pub(super) const NAMES: [&str; 4] = ["uuid", "sourceRef", "id", "_id"];
/// The longest text that is taken for a name, in bytes.
pub(super) const LONGEST_NAME: usize = 64;

/// An element of a stream: read as `T`, or not to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element<T> {
    /// An object, read.
    Good(T),
    /// Something that is no object, or one that cannot be read.
    Bad(Flaw),
}

impl<T> Element<T> {
    /// The element, if it could be read.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(_) => None,
        }
    }

    /// The same with what `change` makes of the element.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Element<U> {
        match self {
            Self::Good(value) => Element::Good(change(value)),
            Self::Bad(flaw) => Element::Bad(flaw),
        }
    }

    /// The id of the element, which one that cannot be read may have too.
    pub fn id(&self, id_of: impl FnOnce(&T) -> &str) -> Option<&str> {
        match self {
            Self::Good(value) => Some(id_of(value)),
            Self::Bad(flaw) => flaw.field("id"),
        }
    }
}

/// What is wrong with an element, and by what it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flaw {
    what: String,
    names: [Option<String>; NAMES.len()],
}

impl Flaw {
    /// Something of another kind than an object; the text names it: "a text".
    #[must_use]
    pub fn not_object(kind: &str) -> Self {
        Self {
            what: format!("is {kind}, not an object"),
            ..Self::default()
        }
    }

    /// Something that cannot be read, for this reason.
    #[must_use]
    pub fn unreadable(why: &str) -> Self {
        Self {
            what: format!("cannot be read: {why}"),
            ..Self::default()
        }
    }

    /// The same of an element that is known by these.
    pub(super) fn with_names(self, names: [Option<String>; NAMES.len()]) -> Self {
        Self { names, ..self }
    }

    /// The value of one of the fields that name an element: `uuid`, `sourceRef`, `id`, `_id`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let place = NAMES.iter().position(|known| *known == name)?;
        self.names.get(place)?.as_deref()
    }

    /// True if one of the fields that name an element was read.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.names.iter().any(Option::is_some)
    }

    /// A sentence: "an attribute (uuid 5f0e…) cannot be read: …".
    #[must_use]
    pub fn describe(&self, subject: &str) -> String {
        let known = NAMES
            .iter()
            .zip(&self.names)
            .find_map(|(field, name)| Some((field, name.as_ref()?)));
        match known {
            Some((field, name)) => format!("{subject} ({field} {name}) {}", self.what),
            None => format!("{subject} {}", self.what),
        }
    }
}

/// What is wrong, without a subject: "is a text, not an object".
impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Why reading stopped.
#[derive(Debug)]
pub enum Broken {
    /// The body broke off, or could not be read: there is nothing behind it.
    Off(io::Error),
    /// What is read now is not as it should be: what comes behind it may be.
    Flawed(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off(error) => error.fmt(f),
            Self::Flawed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Broken {}

impl de::Error for Broken {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Flawed(why.to_string())
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Off(error)
    }
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
        Ok(Element::Bad(Flaw::not_object("a list")))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::not_object("a text")))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::not_object("a boolean")))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::not_object("a number")))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::not_object("a number")))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::not_object("a number")))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::not_object("null")))
    }
}
