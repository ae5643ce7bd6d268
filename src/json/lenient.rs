//! Lenient JSON: a value of the wrong type is read as absent, since MISP writes numbers as texts or
//! as numbers, depending on how its database is set up
//! (`fixtures/wire/misp/001-getversion-admin.json` and its neighbours show the texts).

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::element::{ByShape, Element, Scalar, Shape, skip_list};
use super::stream::{COUNTED, is_list_index};

/// The longest text that is kept, in bytes: MISP stores at most 65,535 in a value.
const LONGEST_TEXT: usize = 1 << 20;
/// The longest text that decides something by being one of a few words, in bytes.
const LONGEST_WORD: usize = 200;

/// Names the kind of a value for a message: the kind, never the value, which may be a secret.
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

/// Sets a member of an object.
pub fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// A scalar; a list or an object with nothing in it is null, since PHP writes what is empty in many
/// ways, and what is in one is passed over.
struct ScalarShape<F> {
    /// The longest text, in bytes.
    most: usize,
    /// Takes the scalar; none for a list or an object with something in it.
    read: F,
}

impl<'de, T, F: FnOnce(Option<Scalar<'_>>) -> T> Shape<'de> for ScalarShape<F> {
    type Value = T;

    fn scalar<E: de::Error>(self, scalar: Scalar<'_>) -> Result<T, E> {
        match scalar {
            Scalar::Text(text) if text.len() > self.most => Err(E::custom(format!(
                "a text has more than {} KiB",
                self.most >> 10
            ))),
            scalar => Ok((self.read)(Some(scalar))),
        }
    }

    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        let is_filled = skip_list(seq)?;
        Ok((self.read)((!is_filled).then_some(Scalar::Null)))
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut empty = Some(Scalar::Null);
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            empty = None;
        }
        Ok((self.read)(empty))
    }
}

/// What is read of a scalar, whose text may have so many bytes.
fn read_up_to<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    most: usize,
    read: impl FnOnce(Option<Scalar<'_>>) -> T,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(ByShape(ScalarShape { most, read }))
}

/// The same with the bound of all texts.
fn read<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    read: impl FnOnce(Option<Scalar<'_>>) -> T,
) -> Result<T, D::Error> {
    read_up_to(deserializer, LONGEST_TEXT, read)
}

/// A scalar as text; what is none as the empty text.
fn to_text(scalar: Option<Scalar<'_>>) -> String {
    scalar.map_or_else(String::new, Scalar::to_text)
}

/// Reads a scalar as text; `null`, lists and objects as the empty text.
///
/// # Errors
/// Where the JSON itself is broken; a text of more than a mebibyte.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read(deserializer, to_text)
}

/// Reads a word; a longer text than any word, and what is no text, as the empty text.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn short_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read_up_to(deserializer, usize::MAX, |scalar| match scalar {
        Some(Scalar::Text(text)) if text.len() > LONGEST_WORD => String::new(),
        scalar => to_text(scalar),
    })
}

/// Reads what people write at length, with pictures in it: its first 64 KiB, of which 31 are shown.
///
/// # Errors
/// Where the JSON itself is broken.
pub fn leading_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read_up_to(deserializer, usize::MAX, |scalar| match scalar {
        Some(Scalar::Text(text)) => {
            let end = text.floor_char_boundary(64 << 10);
            text.get(..end).unwrap_or_default().to_owned()
        }
        scalar => to_text(scalar),
    })
}

/// The same as [`text`] for what may be long and is wanted as a whole: up to 16 MiB.
///
/// # Errors
/// Where the JSON itself is broken; a longer text.
pub fn long_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read_up_to(deserializer, LONGEST_TEXT << 4, to_text)
}

/// Reads a number, written as a number or as text, without what stands behind its point, as MISP
/// reads it; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, |scalar| match scalar? {
        Scalar::Int(value) => Some(value),
        Scalar::Float(value) => float_to_integer(value.trunc()),
        Scalar::Text(value) => parse_number(value),
        Scalar::Bool(_) | Scalar::Large(_) | Scalar::Null => None,
    })
}

/// The same of a number that decides something: what is said and cannot be read is `i64::MIN`,
/// which is equal to no number that anybody means; only what is empty is none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn strict_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, |scalar| {
        let number = match scalar {
            Some(Scalar::Null) => return None,
            Some(Scalar::Text(value)) if value.trim().is_empty() => return None,
            Some(Scalar::Int(value)) => Some(value),
            Some(Scalar::Float(value)) => float_to_integer(value.trunc()),
            Some(Scalar::Text(value)) => parse_number(value),
            Some(Scalar::Bool(_) | Scalar::Large(_)) | None => None,
        };
        number.or(Some(i64::MIN))
    })
}

/// Reads a name; `null` and what is empty as the empty text.
///
/// # Errors
/// Where the JSON itself is broken; a text of more than a mebibyte; a list or an object with
/// something in it, which is no name.
pub fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = read(deserializer, |scalar| scalar.map(Scalar::to_text))?;
    name.ok_or_else(|| de::Error::custom("a name is a list or an object"))
}

/// The number that a text is, without what stands behind its point: `1700000000.5`, `1.7e9`.
pub fn parse_number(text: &str) -> Option<i64> {
    let text = text.trim();
    // Rust reads `inf` and `nan` as numbers too.
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
pub fn float_to_integer(value: f64) -> Option<i64> {
    // Beyond 2^53, about 9e15, a float no longer tells whole numbers apart.
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// Reads `true`, and nothing that merely looks like it: for the flag that decides what leaves the
/// house.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn exactly_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    read(deserializer, |scalar| {
        matches!(scalar, Some(Scalar::Bool(true)))
    })
}

/// Reads a marking (TLP, PAP): none if absent, and a number outside every scale if it cannot be
/// read, so that it counts as the strictest.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn marking<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, |scalar| {
        let marking = match scalar {
            Some(Scalar::Null) => return None,
            Some(Scalar::Int(value)) => Some(value),
            Some(Scalar::Float(value)) => float_to_integer(value),
            Some(Scalar::Text(value)) => value.trim().parse().ok(),
            Some(Scalar::Bool(_) | Scalar::Large(_)) | None => None,
        };
        marking.or(Some(i64::MAX))
    })
}

/// Reads a boolean, written as such, as 0/1 or as text; anything else as none.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    read(deserializer, |scalar| match scalar? {
        Scalar::Bool(value) => Some(value),
        Scalar::Int(value) => Some(value != 0),
        Scalar::Text(value) => parse_bool(value),
        Scalar::Large(_) | Scalar::Float(_) | Scalar::Null => None,
    })
}

/// Reads "true", "1", "yes", "false", "0", "no" in any case.
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
    deserializer.deserialize_any(ByShape(LenientList(&mut take, PhantomData)))?;
    Ok(list)
}

/// Reads a list of texts, leaving out elements that are none; any other value as an empty list.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    /// A text, if it is one.
    struct Text(Option<String>);

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            read(deserializer, |scalar| match scalar {
                Some(Scalar::Text(text)) => Self(Some(text.to_owned())),
                _ => Self(None),
            })
        }
    }

    let mut list = Vec::new();
    let mut take = |Text(text)| list.extend(text);
    deserializer.deserialize_any(ByShape(LenientList(&mut take, PhantomData)))?;
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
        if let Element::Good(object) = element {
            count(&mut counted, object);
        }
    };

    let list = ByShape(LenientList(&mut take, PhantomData));
    // Only the name of a struct reaches our deserializer through serde; see `COUNTED`.
    deserializer.deserialize_newtype_struct(COUNTED, list)?;
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

/// Reads an object; anything else as one of which nothing is said.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn object_or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(object(deserializer)?.unwrap_or_default())
}

/// Hands over the elements of a list; of any other value none.
struct LenientList<'t, T, F>(&'t mut F, PhantomData<T>);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Shape<'de> for LenientList<'_, T, F> {
    type Value = ();

    fn scalar<E>(self, _: Scalar<'_>) -> Result<(), E> {
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }

    /// A list whose places are written out; what stands under any other key is passed over.
    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if is_list_index(&key) {
                (self.0)(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }

        Ok(())
    }
}
