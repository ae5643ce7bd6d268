//! Streaming JSON: a body is walked element by element and never held whole. What nobody asks for
//! is passed over unread: it costs no memory, however long or deep it is. What is wrong with one
//! element costs that element: the walk goes on behind it. Where things begin and end is found in
//! `scan.rs`; what lenient fields read is in `lenient.rs`. Texts and numbers are read by
//! `serde_json`, and what is kept is counted.

mod scan;

use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::element::{Broken, Element, Flaw, LONGEST_NAME, NAMES};
use scan::{Next, parser_flaw};

/// The largest body that is read, in bytes: what is passed over has to end too.
const LARGEST_BODY: u64 = 4 << 30;
/// The largest list of a feed's events, in bytes.
const LARGEST_LIST: u64 = 256 << 20;
/// What an element of a collected list may keep in any case, in bytes; and what all larger ones may
/// keep together.
const SMALL_ELEMENT: usize = 64 << 10;
const LARGE_ELEMENTS: usize = 32 << 20;
const BUFFER: usize = 64 << 10;

/// Stands before a list whose elements are counted and not kept. See
/// [`super::lenient::fold_objects`].
pub(super) const COUNTED: &str = "cortex-misp: counted";

/// A JSON body that is read as a stream.
pub struct JsonStream<'s> {
    reader: BufReader<Bounded<'s>>,
    /// Lists and objects that were opened and not closed yet.
    depth: usize,
    /// What was kept of the element in hand, in bytes.
    kept: usize,
    /// The depth at which the element in hand stands, and the names found in it.
    element: usize,
    names: [Option<String>; NAMES.len()],
    /// The place in [`NAMES`] of the field whose value comes next.
    naming: Option<usize>,
    /// The next list is one whose elements are counted and not kept.
    counts: bool,
    scratch: Vec<u8>,
}

struct Bounded<'s> {
    body: Box<dyn Read + 's>,
    most: u64,
    left: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = loop {
            match self.body.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };

        let over = || io::Error::other(format!("it has more than {} MiB", self.most >> 20));
        self.left = self.left.checked_sub(read as u64).ok_or_else(over)?;
        Ok(read)
    }
}

fn bounded_reader<'s>(body: impl Read + 's, most: u64) -> BufReader<Bounded<'s>> {
    let body = Box::new(body);
    BufReader::with_capacity(
        BUFFER,
        Bounded {
            body,
            most,
            left: most,
        },
    )
}

impl<'s> JsonStream<'s> {
    /// Takes a body, which may have 4 GiB.
    pub fn new(body: impl Read + 's) -> Self {
        Self::with_limit(body, LARGEST_BODY)
    }

    /// Takes a list of a feed's events, which may have 256 MiB.
    pub fn for_feed_list(body: impl Read + 's) -> Self {
        Self::with_limit(body, LARGEST_LIST)
    }

    fn with_limit(body: impl Read + 's, most: u64) -> Self {
        Self {
            reader: bounded_reader(body, most),
            depth: 0,
            kept: 0,
            element: 0,
            names: Default::default(),
            naming: None,
            counts: false,
            scratch: Vec::new(),
        }
    }

    /// Says of an encoding that is not UTF-8 what it is, unpacks what is compressed, and passes
    /// over a byte order mark. Only before all else.
    ///
    /// # Errors
    /// That it is UTF-16, or cannot be unpacked.
    pub fn check_encoding(&mut self) -> Result<()> {
        if self.reader.fill_buf()?.starts_with(b"\x1f\x8b") {
            let most = self.reader.get_ref().most;
            let packed = std::mem::replace(&mut self.reader, bounded_reader(io::empty(), 0));
            // The limit holds for what is packed, and anew for what comes out of it.
            self.reader = bounded_reader(MultiGzDecoder::new(packed), most);
            self.reader
                .fill_buf()
                .context("it is compressed (gzip) and cannot be unpacked")?;
        }

        let start = self.reader.fill_buf()?;
        ensure!(
            !start.starts_with(b"\xff\xfe")
                && !start.starts_with(b"\xfe\xff")
                // UTF-16 without a mark is known by its first brace.
                && ![b"{\0", b"\0{"].iter().any(|mark| start.starts_with(*mark)),
            "it is UTF-16, as some editors and shells write: JSON is UTF-8"
        );

        let mark = "\u{feff}".as_bytes();
        if start.starts_with(mark) {
            self.reader.consume(mark.len());
        }

        Ok(())
    }

    /// Reads one value, with all that `T` takes of it, to the end of the body.
    ///
    /// # Errors
    /// What the body lacks.
    pub fn read_whole<T: for<'de> Deserialize<'de>>(mut self) -> Result<T> {
        let value = T::deserialize(&mut self)?;
        self.require_end()?;
        Ok(value)
    }

    /// The end of the body: nothing may stand behind what was read.
    ///
    /// # Errors
    /// What stands there.
    pub fn require_end(mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => bail!("trailing characters stand behind its end"),
        }
    }

    /// Hands over each element of the list that stands below the keys of `path`, such as
    /// `["response", "Attribute"]`; other keys are passed over. The list may be written as an
    /// object of places, and null is an empty one.
    ///
    /// # Errors
    /// That there is no such list, or that the body breaks off; or the handler's own error.
    pub fn for_each_at<T: for<'de> Deserialize<'de>>(
        &mut self,
        path: &[&str],
        on: &mut dyn FnMut(Element<T>) -> Result<()>,
    ) -> Result<()> {
        self.walk(path, &mut |source| on(source.read_element()?))
    }

    /// Collects the list that stands below the keys of `path`, which may have so many elements.
    /// Each may keep 64 KiB; the larger ones 32 MiB in all, and what is beyond that cannot be read.
    /// `keep` may make an element smaller, or drop it.
    ///
    /// # Errors
    /// That there is no such list, that it has more elements, or that the body breaks off.
    pub fn collect<T: for<'de> Deserialize<'de>, K>(
        mut self,
        path: &[&str],
        most: usize,
        keep: &mut dyn FnMut(Element<T>) -> Option<K>,
    ) -> Result<Vec<K>> {
        let (mut list, mut came, mut left) = (Vec::new(), 0, LARGE_ELEMENTS);

        self.walk(path, &mut |source| {
            ensure!(
                came < most,
                "the server sends more than the {most} elements asked for"
            );
            came += 1;
            let mut element = source.read_element()?;
            if source.kept > SMALL_ELEMENT {
                match left.checked_sub(source.kept) {
                    Some(less) => left = less,
                    None => {
                        element = Element::Bad(
                            source.make_flaw("there is no room for it beside other large ones"),
                        )
                    }
                }
            }

            list.extend(keep(element));
            Ok(())
        })?;

        self.require_end()?;
        Ok(list)
    }

    /// Goes to the list below a path and stops at each of its elements.
    fn walk(&mut self, path: &[&str], on: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let Some((wanted, rest)) = path.split_first() else {
            return self.visit_items(on);
        };
        ensure!(
            self.peek_kind()? == Next::Object,
            "expected an object with the key {wanted}"
        );
        let mut is_there = false;
        self.visit_fields(&mut |key, source| {
            // Of a key that comes twice the first counts.
            if key != *wanted || is_there {
                return source.skip_value();
            }
            is_there = true;
            source.walk(rest, on)
        })?;

        ensure!(is_there, "the answer has no \"{wanted}\"");

        Ok(())
    }

    /// Stops at each element of a list, be it written as an object of places; null is an empty
    /// list.
    ///
    /// # Errors
    /// That it is no list, or breaks off; or the handler's own error.
    pub fn visit_items(&mut self, on: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let no_list = || anyhow!(Broken::Flawed("expected a list".to_owned()));
        match self.peek_kind()? {
            Next::List => {
                self.open()?;
                let mut is_first = true;
                while self.has_more(b']', &mut is_first)? {
                    on(self)?;
                }
                Ok(())
            }
            Next::Object => self.visit_fields(&mut |key, source| {
                ensure!(is_list_index(key), no_list());
                on(source)
            }),
            Next::Word => match self.read_word()? {
                b"null" => Ok(()),
                _ => Err(no_list()),
            },
            Next::Text => Err(no_list()),
        }
    }

    /// The same of a list that may be none: what stands in its place, or under a key of it that is
    /// no place, is a flaw of its own, so that it costs nothing around it.
    ///
    /// # Errors
    /// That the body breaks off; or the handler's own error.
    pub fn visit_items_lenient<T: for<'de> Deserialize<'de>>(
        &mut self,
        read: &mut dyn FnMut(&mut Self) -> Result<Element<T>>,
        on: &mut dyn FnMut(Element<T>) -> Result<()>,
    ) -> Result<()> {
        let no_list = |what: &str| {
            Element::Bad(Flaw::unreadable(&format!(
                "where its list should be is {what}"
            )))
        };

        let what = match (self.peek_kind()?, self.peek()?) {
            // `n` is the beginning of null, which is an empty list.
            (Next::List, _) | (_, Some(b'n')) => {
                return self.visit_items(&mut |source| on(read(source)?));
            }
            (Next::Object, _) => {
                return self.visit_fields(&mut |key, source| {
                    if is_list_index(key) {
                        return on(read(source)?);
                    }
                    source.skip_value()?;
                    on(no_list("an object"))
                });
            }
            (Next::Text, _) => "a text",
            (Next::Word, Some(b't' | b'f')) => "a boolean",
            (Next::Word, _) => "a number",
        };
        self.skip_value()?;
        on(no_list(what))
    }

    /// True if a list stands next.
    ///
    /// # Errors
    /// That the body breaks off, or that no value stands next.
    pub fn is_list(&mut self) -> Result<bool> {
        Ok(self.peek_kind()? == Next::List)
    }

    /// True if an object stands next.
    ///
    /// # Errors
    /// That the body breaks off, or that no value stands next.
    pub fn is_object(&mut self) -> Result<bool> {
        Ok(self.peek_kind()? == Next::Object)
    }

    /// Hands over each field of an object. `on` reads its value, or passes it over
    /// ([`Self::skip_value`]).
    ///
    /// # Errors
    /// That it is no object, or breaks off; or the handler's own error.
    pub fn visit_fields(
        &mut self,
        on: &mut dyn FnMut(&str, &mut Self) -> Result<()>,
    ) -> Result<()> {
        ensure!(self.peek_kind()? == Next::Object, "expected an object");

        self.open()?;
        let mut is_first = true;
        while self.has_more(b'}', &mut is_first)? {
            let key = self.read_key()?;
            on(&key, self)?;
        }

        Ok(())
    }

    /// Reads an element as `T`, but for those of its fields whose values `on` reads: for these it
    /// gives true.
    ///
    /// # Errors
    /// That the body breaks off; or the handler's own error.
    pub fn read_object<T: for<'de> Deserialize<'de>>(
        &mut self,
        on: &mut dyn FnMut(&str, &mut Self) -> Result<bool>,
    ) -> Result<Element<T>> {
        if self.peek_kind()? != Next::Object {
            return self.read_element();
        }
        self.begin_element();
        let depth = self.depth;
        let opened = self.open();
        let mut walk = Walk {
            source: self,
            on,
            is_first: true,
            stopped: None,
            uuid: None,
            is_own: true,
        };
        let read = opened.and_then(|()| T::deserialize(MapAccessDeserializer::new(&mut walk)));
        let (stopped, uuid) = (walk.stopped, walk.uuid);

        // What `on` could not read as it should be is a flaw too.
        let read = match stopped.map(anyhow::Error::downcast) {
            Some(Err(error)) => return Err(error),
            Some(Ok(broken)) => Err(broken),
            None => read,
        };

        match read {
            Ok(value) => Ok(Element::Good(value)),
            Err(Broken::Off(error)) => Err(error.into()),
            Err(Broken::Flawed(why)) => {
                // What `on` read were elements themselves.
                (self.element, self.names) = (depth, [uuid, None, None, None]);
                self.recover()?;
                Ok(Element::Bad(self.make_flaw(&why)))
            }
        }
    }

    /// Reads an element. What is wrong with it is told, and is in the way of nothing that comes
    /// behind it.
    ///
    /// # Errors
    /// That the body breaks off.
    pub fn read_element<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Element<T>> {
        self.read_value()
            .map(|read| read.unwrap_or_else(Element::Bad))
    }

    /// The same for a value of any kind.
    ///
    /// # Errors
    /// That the body breaks off.
    pub fn read_value<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Result<T, Flaw>> {
        self.begin_element();
        match T::deserialize(&mut *self) {
            Ok(value) => Ok(Ok(value)),
            Err(Broken::Off(error)) => Err(error.into()),
            Err(Broken::Flawed(why)) => {
                self.recover()?;
                Ok(Err(self.make_flaw(&why)))
            }
        }
    }

    /// Passes over a value.
    ///
    /// # Errors
    /// That the body breaks off, or that there is no value.
    pub fn skip_value(&mut self) -> Result<()> {
        Ok(self.skip()?)
    }

    /// The uuid of the element in hand, as far as it was read.
    pub fn uuid(&self) -> Option<&str> {
        let [uuid, ..] = &self.names;
        uuid.as_deref()
    }

    fn make_flaw(&self, why: &str) -> Flaw {
        Flaw::unreadable(why).with_names(self.names.clone())
    }

    /// An element begins here.
    fn begin_element(&mut self) {
        (self.kept, self.element, self.counts) = (0, self.depth, false);
        (self.names, self.naming) = (Default::default(), None);
    }
}

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

        // The visitor may have stopped before the end.
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

        // A number of JSON is one of these three: serde_json keeps none as text here.
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
        // What the elements before this one kept is dropped by now.
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
struct Walk<'r, 's> {
    source: &'r mut JsonStream<'s>,
    on: &'r mut dyn FnMut(&str, &mut JsonStream<'s>) -> Result<bool>,
    is_first: bool,
    /// What a handler gave.
    stopped: Option<anyhow::Error>,
    /// Its uuid, as far as it was read before others read elements in it.
    uuid: Option<String>,
    is_own: bool,
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
                // What `on` read does not count as this element's; the names in hand are now those
                // of the elements in it.
                Ok(true) => (self.is_own, self.source.kept) = (false, kept),
                Ok(false) => {
                    self.source.naming = (key == "uuid").then_some(0);
                    return seed.deserialize(key.into_deserializer()).map(Some);
                }
                Err(error) => {
                    self.stopped = Some(error);
                    // This only ends serde's walk: `read_object` gives the handler's own error.
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

/// True for a key that is a place in a list: PHP writes a list as an object once an element in its
/// middle was taken out (MISP's `EventsController.php` does so with tags), and may write an empty
/// one as `{}`.
pub fn is_list_index(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
