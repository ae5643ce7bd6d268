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
    pub fn not_object(kind: &str) -> Self {
        Self {
            what: format!("is {kind}, not an object"),
            ..Self::default()
        }
    }

    /// Something that cannot be read, for this reason.
    pub fn unreadable(why: &str) -> Self {
        Self {
            what: format!("cannot be read: {why}"),
            ..Self::default()
        }
    }

    /// The same of an element that is known by these.
    pub fn with_names(self, names: [Option<String>; NAMES.len()]) -> Self {
        Self { names, ..self }
    }

    /// The value of one of the fields that name an element: `uuid`, `sourceRef`, `id`, `_id`.
    pub fn field(&self, name: &str) -> Option<&str> {
        let place = NAMES.iter().position(|known| *known == name)?;
        self.names.get(place)?.as_deref()
    }

    /// True if one of the fields that name an element was read.
    pub fn is_named(&self) -> bool {
        self.names.iter().any(Option::is_some)
    }

    /// A sentence: "an attribute (uuid 5f0e…) cannot be read: …".
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

/// True for the error of a body that ended too early.
pub fn is_cut_short(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        // The error of the body may have been wrapped by the parser, or have come as it is.
        let off = match cause.downcast_ref() {
            Some(Broken::Off(off)) => Some(off),
            _ => cause.downcast_ref(),
        };
        off.is_some_and(|off| off.kind() == io::ErrorKind::UnexpectedEof)
    })
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
        deserializer.deserialize_any(ByShape(ElementShape(PhantomData)))
    }
}

struct ElementShape<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Shape<'de> for ElementShape<T> {
    type Value = Element<T>;

    fn scalar<E>(self, scalar: Scalar<'_>) -> Result<Element<T>, E> {
        Ok(Element::Bad(Flaw::not_object(match scalar {
            Scalar::Null => "null",
            Scalar::Bool(_) => "a boolean",
            Scalar::Int(_) | Scalar::Large(_) | Scalar::Float(_) => "a number",
            Scalar::Text(_) => "a text",
        })))
    }

    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<Element<T>, A::Error> {
        skip_list(seq)?;
        Ok(Element::Bad(Flaw::not_object("a list")))
    }

    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Element<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Element::Good)
    }
}

/// What a value is that is no list and no object.
#[derive(Clone, Copy)]
pub enum Scalar<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is larger than those.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'t str),
}

impl Scalar<'_> {
    /// As text; null is the empty one.
    pub fn to_text(self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Large(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value.to_owned(),
        }
    }
}

/// What is made of a value, whatever it is: a visitor for those who take every kind of value.
pub trait Shape<'de>: Sized {
    /// What it becomes.
    type Value;

    /// Takes what is no list and no object.
    ///
    /// # Errors
    /// That it cannot be read.
    fn scalar<E: de::Error>(self, scalar: Scalar<'_>) -> Result<Self::Value, E>;

    /// Takes a list.
    ///
    /// # Errors
    /// That something in it cannot be read.
    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error>;

    /// Takes an object.
    ///
    /// # Errors
    /// That something in it cannot be read.
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error>;
}

/// Passes over the rest of a list: true if there was any.
pub(super) fn skip_list<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<bool, A::Error> {
    let mut is_filled = false;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        is_filled = true;
    }
    Ok(is_filled)
}

/// The visitor that a [`Shape`] is.
pub struct ByShape<S>(pub S);

impl<'de, S: Shape<'de>> Visitor<'de> for ByShape<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<S::Value, E> {
        self.0.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<S::Value, E> {
        self.0.scalar(Scalar::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<S::Value, E> {
        let number = i64::try_from(value).map_or(Scalar::Large(value), Scalar::Int);
        self.0.scalar(number)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<S::Value, E> {
        self.0.scalar(Scalar::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<S::Value, E> {
        self.0.scalar(Scalar::Text(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Value, E> {
        self.0.scalar(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<S::Value, A::Error> {
        self.0.list(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<S::Value, A::Error> {
        self.0.object(map)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<S::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}
