//! How serde takes a value from a body: texts and numbers are read by `serde_json`, and what is
//! kept is counted.

use std::io::BufRead;

use anyhow::Result;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::scan::{Next, parser_flaw};
use super::{COUNTED, JsonStream};
use crate::json::element::{Broken, LONGEST_NAME, NAMES};

impl<'de> Deserializer<'de> for &mut JsonStream<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let (naming, counts) = (self.naming.take(), std::mem::take(&mut self.counts));
        let depth = self.depth;

        let value = match self.peek_kind()? {
            Next::Text => return self.deserialize_text(naming, visitor),
            Next::Word => return self.deserialize_word(naming, visitor),
            Next::List => {
                self.open()?;
                visitor.visit_seq(Inside::new(self, counts))
            }
            Next::Object => {
                self.open()?;
                visitor.visit_map(Inside::new(self, counts))
            }
        }?;

        self.skip_to_depth(depth)?;

        Ok(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.peek()? {
            Some(b'n') => self.deserialize_word(None, visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        self.counts = name == COUNTED;
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.counts = false;
        let is_taken = match self.naming.take() {
            Some(place) => self.take_name_value(place)?,
            None => false,
        };
        if !is_taken {
            self.skip()?;
        }
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

impl JsonStream<'_> {
    fn deserialize_text<'de, V: Visitor<'de>>(
        &mut self,
        naming: Option<usize>,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        let (mut length, mut name) = (0, None);
        let value = self.read_text(|text| {
            length = text.len();
            name = naming
                .filter(|_| text.len() <= LONGEST_NAME)
                .map(|place| (place, text.to_owned()));
            visitor.visit_str(text)
        })?;

        if let Some((place, name)) = name {
            self.record_name(place, &name);
        }
        self.count_kept(length)?;

        Ok(value)
    }

    fn deserialize_word<'de, V: Visitor<'de>>(
        &mut self,
        naming: Option<usize>,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        self.count_kept(0)?;

        match self.read_word()? {
            b"null" => return visitor.visit_unit(),
            b"true" => return visitor.visit_bool(true),
            b"false" => return visitor.visit_bool(false),
            _ => {}
        }

        let number: Number =
            serde_json::from_slice(&self.scratch).map_err(|error| parser_flaw(&error))?;
        if let Some(place) = naming {
            self.record_name(place, &number.to_string());
        }

        match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => visitor.visit_i64(number),
            (None, Some(number), _) => visitor.visit_u64(number),
            (None, None, number) => visitor.visit_f64(number.unwrap_or_default()),
        }
    }
}

/// The inside of a list or an object.
struct Inside<'r, 's> {
    source: &'r mut JsonStream<'s>,
    is_first: bool,
    /// What was kept before a list whose elements are not.
    before: Option<usize>,
}

impl<'r, 's> Inside<'r, 's> {
    fn new(source: &'r mut JsonStream<'s>, counts: bool) -> Self {
        let before = counts.then_some(source.kept);
        Self {
            source,
            is_first: true,
            before,
        }
    }

    fn has_more(&mut self, close: u8) -> Result<bool, Broken> {
        self.source.kept = self.before.unwrap_or(self.source.kept);
        self.source.has_more(close, &mut self.is_first)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, '_> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Broken> {
        if self.has_more(b']')? {
            seed.deserialize(&mut *self.source).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<'de> MapAccess<'de> for Inside<'_, '_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Broken> {
        if self.has_more(b'}')? {
            self.source.next_key(seed).map(Some)
        } else {
            Ok(None)
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        seed.deserialize(&mut *self.source)
    }
}

impl JsonStream<'_> {
    /// The next key, and whether its value names the element in hand.
    fn next_key<'de, K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<K::Value, Broken> {
        if self.peek_kind()? != Next::Text {
            return Err(Broken::Flawed("expected a key".to_owned()));
        }
        let is_own = self.depth == self.element + 1;
        let (mut naming, mut value) = (None, None);
        let read = self.read_text(|key| {
            naming = NAMES.iter().position(|name| is_own && *name == key);
            let key: StrDeserializer<'_, Broken> = key.into_deserializer();
            value = Some(seed.deserialize(key)?);
            Ok(())
        });

        read?;
        if self.peek()? != Some(b':') {
            return Err(Broken::Flawed("expected `:`".to_owned()));
        }
        self.reader.consume(1);
        self.naming = naming;

        value.ok_or_else(|| Broken::Flawed("expected a key".to_owned()))
    }
}

/// An object of which some fields are read by others.
pub(super) struct Walk<'r, 's> {
    pub(super) source: &'r mut JsonStream<'s>,
    pub(super) on: &'r mut dyn FnMut(&str, &mut JsonStream<'s>) -> Result<bool>,
    pub(super) is_first: bool,
    /// What a handler gave.
    pub(super) stopped: Option<anyhow::Error>,
    /// Its uuid, as far as it was read before others read elements in it.
    pub(super) uuid: Option<String>,
    pub(super) is_own: bool,
}

impl<'de> MapAccess<'de> for Walk<'_, '_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Broken> {
        while self.source.has_more(b'}', &mut self.is_first)? {
            let key = self.source.read_key()?;
            if self.is_own {
                self.uuid = self.source.uuid().map(ToOwned::to_owned);
            }
            let kept = self.source.kept;

            match (self.on)(&key, self.source) {
                Ok(true) => (self.is_own, self.source.kept) = (false, kept),
                Ok(false) => {
                    self.source.naming = (key == "uuid").then_some(0);
                    return seed.deserialize(key.into_deserializer()).map(Some);
                }
                Err(error) => {
                    self.stopped = Some(error);
                    return Err(Broken::Flawed("stopped".to_owned()));
                }
            }
        }

        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        seed.deserialize(&mut *self.source)
    }
}
