//! Lenient JSON: a value of the wrong type is read as absent, since MISP writes numbers as texts or as numbers, depending
//! on how its database is set up (`fixtures/wire/misp/001-getversion-admin.json` and its neighbours show the texts).

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::stream::{Element, is_place};

/// The longest list inside one element: the tags of an attribute, the attributes of an object.
const LONGEST_LIST: usize = 20_000;
/// The longest text that is kept, in bytes: MISP stores at most 65,535 in a value.
const LONGEST_TEXT: usize = 1 << 20;

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
        deserializer.deserialize_any(ScalarVisitor { most: LONGEST_TEXT })
    }
}

struct ScalarVisitor {
    /// The longest text, in bytes.
    most: usize,
}

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

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
        if value.len() > self.most {
            return Err(E::custom(format!("a text has more than {} KiB", self.most >> 10)));
        }
        Ok(Scalar::Text(value.to_owned()))
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
/// Where the JSON itself is broken; a text of more than a mebibyte.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Scalar::deserialize(deserializer).map(Scalar::text)
}

/// The same for what people write at length, with pictures in it: up to 16 MiB.
///
/// # Errors
/// Where the JSON itself is broken; a longer text.
pub fn long_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(ScalarVisitor { most: LONGEST_TEXT << 4 }).map(Scalar::text)
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value,
        }
    }
}

/// Reads a number, written as a number or as text, without what stands behind its point, as MISP reads it; anything else as
/// none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => whole(value.trunc()),
        Scalar::Text(value) => number_in(&value),
        Scalar::Bool(_) | Scalar::None => None,
    })
}

/// The number that a text is, without what stands behind its point: `1700000000.5`, `1.7e9`.
#[must_use]
pub fn number_in(text: &str) -> Option<i64> {
    let text = text.trim();
    let is_decimal = || text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let decimal = || text.parse::<f64>().ok().filter(|_| is_decimal()).and_then(|value| whole(value.trunc()));
    text.parse().ok().or_else(decimal)
}

/// Reads a moment in seconds since 1970, also where it is written in milliseconds, microseconds or nanoseconds; see
/// [`crate::time::seconds`].
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(number(deserializer)?.map(crate::time::seconds))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
/// The whole number that a float is, if it is one.
#[must_use]
pub fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// Reads `true`, and nothing that merely looks like it: for the flag that decides what leaves the house.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn exactly_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(matches!(Scalar::deserialize(deserializer)?, Scalar::Bool(true)))
}

/// Reads a marking (TLP, PAP): none if absent, and a number outside every scale if it cannot be read, so that it counts
/// as the strictest.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn marking<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::None => None,
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => Some(whole(value).unwrap_or(i64::MAX)),
        Scalar::Text(value) => Some(value.trim().parse().unwrap_or(i64::MAX)),
        Scalar::Bool(_) => Some(i64::MAX),
    })
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

fn push<T, E: de::Error>(list: &mut Vec<T>, element: T) -> Result<(), E> {
    if list.len() == LONGEST_LIST {
        return Err(de::Error::custom(format!("a list has more than {LONGEST_LIST} elements")));
    }
    list.push(element);
    Ok(())
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            push(&mut list, element)?;
        }
        Ok(list)
    }

    /// A list whose places are written out; what stands under any other key is passed over.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if is_place(&key) {
                push(&mut list, map.next_value()?)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(list)
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
