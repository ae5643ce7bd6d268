//! Lenient JSON: a value of the wrong type is read as absent, since MISP writes numbers as texts or
//! as numbers, depending on how its database is set up
//! (`fixtures/wire/misp/001-getversion-admin.json` and its neighbours show the texts).

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::element::Element;
use super::stream::{COUNTED, is_list_index};

/// The longest text that is kept, in bytes: MISP stores at most 65,535 in a value.
const LONGEST_TEXT: usize = 1 << 20;
/// The longest text that decides something by being one of a few words, in bytes.
const LONGEST_WORD: usize = 200;

/// Names the kind of a value for a message: the kind, never the value, which may be a secret.
#[must_use]
pub fn describe_kind(value: &Value) -> &'static str {
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
    /// A list or an object with something in it: PHP writes what is empty in many ways, but not so.
    Filled,
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
            return Err(E::custom(format!(
                "a text has more than {} KiB",
                self.most >> 10
            )));
        }

        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        let mut read = Scalar::None;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            read = Scalar::Filled;
        }
        Ok(read)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        let mut read = Scalar::None;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            read = Scalar::Filled;
        }
        Ok(read)
    }
}

/// Reads a scalar as text; `null`, lists and objects as the empty text.
///
/// # Errors
/// Where the JSON itself is broken; a text of more than a mebibyte.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Scalar::deserialize(deserializer).map(Scalar::into_text)
}

/// Reads a word; a longer text than any word, and what is no text, as the empty text.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn short_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(StartVisitor {
        most: LONGEST_WORD,
        is_cut: false,
    })
}

/// Reads what people write at length, with pictures in it: its first 64 KiB, of which 31 are shown.
///
/// # Errors
/// Where the JSON itself is broken.
pub fn leading_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(StartVisitor {
        most: 64 << 10,
        is_cut: true,
    })
}

/// A text up to some length: its start if it is cut, else nothing of a longer one.
struct StartVisitor {
    most: usize,
    is_cut: bool,
}

impl<'de> Visitor<'de> for StartVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<String, E> {
        let most = if self.is_cut || value.len() <= self.most {
            self.most
        } else {
            0
        };

        Ok(value
            .get(..value.floor_char_boundary(most))
            .unwrap_or_default()
            .to_owned())
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<String, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }
}

/// The same as [`text`] for what may be long and is wanted as a whole: up to 16 MiB.
///
/// # Errors
/// Where the JSON itself is broken; a longer text.
pub fn long_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer
        .deserialize_any(ScalarVisitor {
            most: LONGEST_TEXT << 4,
        })
        .map(Scalar::into_text)
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::None | Self::Filled => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value,
        }
    }
}

/// Reads a number, written as a number or as text, without what stands behind its point, as MISP
/// reads it; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => float_to_integer(value.trunc()),
        Scalar::Text(value) => parse_number(&value),
        Scalar::Bool(_) | Scalar::None | Scalar::Filled => None,
    })
}

/// The same of a number that decides something: what is said and cannot be read is `i64::MIN`,
/// which is equal to no number that anybody means; only what is empty is none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn strict_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::None => None,
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => Some(float_to_integer(value.trunc()).unwrap_or(i64::MIN)),
        Scalar::Text(value) if value.trim().is_empty() => None,
        Scalar::Text(value) => Some(parse_number(&value).unwrap_or(i64::MIN)),
        Scalar::Bool(_) | Scalar::Filled => Some(i64::MIN),
    })
}

/// Reads a name; `null` and what is empty as the empty text.
///
/// # Errors
/// Where the JSON itself is broken; a text of more than a mebibyte; a list or an object with
/// something in it, which is no name.
pub fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Filled => Err(de::Error::custom("a name is a list or an object")),
        scalar => Ok(scalar.into_text()),
    }
}

/// The number that a text is, without what stands behind its point: `1700000000.5`, `1.7e9`.
#[must_use]
pub fn parse_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let is_decimal = || {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
    };
    let decimal = || {
        text.parse::<f64>()
            .ok()
            .filter(|_| is_decimal())
            .and_then(|value| float_to_integer(value.trunc()))
    };

    text.parse().ok().or_else(decimal)
}

/// Reads a moment in seconds since 1970, also where it is written in milliseconds, microseconds or
/// nanoseconds; see [`crate::time::to_seconds`].
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(number(deserializer)?.map(crate::time::to_seconds))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
/// The whole number that a float is, if it is one.
#[must_use]
pub fn float_to_integer(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// Reads `true`, and nothing that merely looks like it: for the flag that decides what leaves the
/// house.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn exactly_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(matches!(
        Scalar::deserialize(deserializer)?,
        Scalar::Bool(true)
    ))
}

/// Reads a marking (TLP, PAP): none if absent, and a number outside every scale if it cannot be
/// read, so that it counts as the strictest.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn marking<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::None => None,
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => Some(float_to_integer(value).unwrap_or(i64::MAX)),
        Scalar::Text(value) => Some(value.trim().parse().unwrap_or(i64::MAX)),
        Scalar::Bool(_) | Scalar::Filled => Some(i64::MAX),
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
        Scalar::Text(value) => parse_bool(&value),
        Scalar::Float(_) | Scalar::None | Scalar::Filled => None,
    })
}

/// Reads "true", "1", "yes", "false", "0", "no" in any case.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
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
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let mut list = Vec::new();
    let mut take = |element: Element<T>| list.extend(element.into_option());
    deserializer.deserialize_any(LenientList(&mut take, PhantomData))?;
    Ok(list)
}

/// Reads a list of texts, leaving out elements that are none; any other value as an empty list.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut list = Vec::new();
    let mut take = |scalar: Scalar| {
        if let Scalar::Text(text) = scalar {
            list.push(text);
        }
    };

    deserializer.deserialize_any(LenientList(&mut take, PhantomData))?;
    Ok(list)
}

/// Reads a list of objects of which only something is counted: none is kept, however many there
/// are.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn fold_objects<'de, T: Deserialize<'de>, C: Default, D: Deserializer<'de>>(
    deserializer: D,
    mut count: impl FnMut(&mut C, T),
) -> Result<C, D::Error> {
    let mut counted = C::default();
    let mut take = |element: Element<T>| {
        if let Element::Good(one) = element {
            count(&mut counted, one);
        }
    };

    deserializer
        .deserialize_newtype_struct(COUNTED, Counted(LenientList(&mut take, PhantomData)))?;
    Ok(counted)
}

/// Reads an object; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Element::deserialize(deserializer).map(Element::into_option)
}

struct Counted<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Counted<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}

/// Hands over the elements of a list; of any other value none.
struct LenientList<'t, T, F>(&'t mut F, PhantomData<T>);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for LenientList<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }

    /// A list whose places are written out; what stands under any other key is passed over.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if is_list_index(&key) {
                (self.0)(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }

        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}
