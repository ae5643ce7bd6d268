//! Streaming JSON: a body is walked element by element and never held whole. What nobody asks for is passed over unread: it
//! costs no memory, however long or deep it is. What is wrong with one element costs that element: the walk goes on behind it.
//! Texts and numbers are read by `serde_json`; where they begin and end is found here. What lenient fields read is in
//! `loose.rs`.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;

use anyhow::{Result, anyhow, bail, ensure};
use memchr::memchr2;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// The most that is kept of a single element (an event row, an attribute, a report), in bytes of its texts and about as much
/// for each value as it takes in memory. What is passed over does not count.
const LARGEST_ELEMENT: usize = 16 << 20;
/// The largest body that is read, in bytes: what is passed over has to end too.
const LARGEST_BODY: u64 = 4 << 30;
/// The largest list of a feed's events, in bytes.
const LARGEST_LIST: u64 = 256 << 20;
/// What an element of a collected list may keep in any case, in bytes; and what all larger ones may keep together.
const SMALL_ELEMENT: usize = 64 << 10;
const LARGE_ELEMENTS: usize = 32 << 20;
/// How deep what is read may be nested.
const DEEPEST: usize = 100;
/// What a value takes in memory beside its text, in bytes.
const VALUE: usize = 48;
const BUFFER: usize = 64 << 10;
/// The longest number or word (`true`) that says anything, in bytes.
const LONGEST_WORD: usize = 100;

/// By these fields an element is named in a message, where it cannot be read: the first that it has.
const NAMES: [&str; 4] = ["uuid", "sourceRef", "id", "_id"];
/// The longest text that is taken for a name, in bytes.
const LONGEST_NAME: usize = 64;

/// Stands before a list whose elements are counted and not kept. See [`super::loose::fold`].
pub(super) const COUNTED: &str = "cortex-misp: counted";

/// A JSON body that is read as a stream.
pub struct Source<'s> {
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
    pub fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(_) => None,
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
    pub fn kind(kind: &str) -> Self {
        Self { what: format!("is {kind}, not an object"), ..Self::default() }
    }

    /// Something that cannot be read, for this reason.
    #[must_use]
    pub fn unreadable(why: &str) -> Self {
        Self { what: format!("cannot be read: {why}"), ..Self::default() }
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
    pub fn of(&self, subject: &str) -> String {
        let known = NAMES.iter().zip(&self.names).find_map(|(field, name)| Some((field, name.as_ref()?)));
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

/// For the walk itself both ends are errors.
fn ended(broken: Broken) -> anyhow::Error {
    match broken {
        Broken::Off(error) => error.into(),
        flawed @ Broken::Flawed(_) => anyhow!(flawed),
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "EOF while parsing: it ends too early")
}

/// What stands next in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Text,
    List,
    Object,
    Word,
}

impl<'s> Source<'s> {
    /// Takes a body, which may have 4 GiB.
    pub fn new(body: impl Read + 's) -> Self {
        Self::within(body, LARGEST_BODY)
    }

    /// Takes a list of a feed's events, which may have 256 MiB.
    pub fn listing(body: impl Read + 's) -> Self {
        Self::within(body, LARGEST_LIST)
    }

    fn within(body: impl Read + 's, most: u64) -> Self {
        let bounded = Bounded { body: Box::new(body), most, left: most };
        Self {
            reader: BufReader::with_capacity(BUFFER, bounded),
            depth: 0,
            kept: 0,
            element: 0,
            names: Default::default(),
            naming: None,
            counts: false,
            scratch: Vec::new(),
        }
    }

    /// Says of an encoding that is not UTF-8 what it is, and passes over a byte order mark. Only before all else.
    ///
    /// # Errors
    /// That it is UTF-16, or compressed.
    pub fn check_encoding(&mut self) -> Result<()> {
        let start = self.reader.fill_buf()?;
        ensure!(
            !start.starts_with(b"\xff\xfe") && !start.starts_with(b"\xfe\xff") && start.get(..2) != Some(b"{\0"),
            "it is UTF-16, as some editors and shells write: JSON is UTF-8"
        );
        ensure!(!start.starts_with(b"\x1f\x8b"), "it is compressed (gzip): unpack it");
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
    pub fn whole<T: for<'de> Deserialize<'de>>(mut self) -> Result<T> {
        let value = T::deserialize(&mut self).map_err(ended)?;
        self.end()?;
        Ok(value)
    }

    /// The end of the body: nothing may stand behind what was read.
    ///
    /// # Errors
    /// What stands there.
    pub fn end(mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => bail!("trailing characters stand behind its end"),
        }
    }

    /// Hands over each element of a list, be it written as an object of places; null is an empty list.
    ///
    /// # Errors
    /// That it is no list, or breaks off; or the handler's own error.
    pub fn each<T: for<'de> Deserialize<'de>>(&mut self, on: &mut dyn FnMut(Element<T>) -> Result<()>) -> Result<()> {
        self.walk(&[], &mut |source| on(source.element()?))
    }

    /// Hands over each element of the list that stands below the keys of `path`, `["response", "Attribute"]` for instance;
    /// other keys are passed over.
    ///
    /// # Errors
    /// That there is no such list, or that the body breaks off; or the handler's own error.
    pub fn each_below<T: for<'de> Deserialize<'de>>(
        &mut self,
        path: &[&str],
        on: &mut dyn FnMut(Element<T>) -> Result<()>,
    ) -> Result<()> {
        self.walk(path, &mut |source| on(source.element()?))
    }

    /// Collects the list that stands below the keys of `path`, which may have so many elements. Each may keep 64 KiB; the
    /// larger ones 32 MiB in all, and what is beyond that cannot be read. `keep` may make an element smaller, or drop it.
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
            ensure!(came < most, "the server sends more than the {most} elements asked for");
            came += 1;
            let mut element = source.element()?;
            if source.kept > SMALL_ELEMENT {
                match left.checked_sub(source.kept) {
                    Some(less) => left = less,
                    None => element = Element::Bad(source.flaw("there is no room for it beside other large ones")),
                }
            }
            list.extend(keep(element));
            Ok(())
        })?;
        self.end()?;
        Ok(list)
    }

    /// Goes to the list below a path and stops at each of its elements.
    fn walk(&mut self, path: &[&str], on: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let Some((wanted, rest)) = path.split_first() else { return self.items(on) };
        ensure!(self.next().map_err(ended)? == Next::Object, "expected an object with the key {wanted}");
        let mut is_there = false;
        self.fields(&mut |key, source| {
            if key != *wanted || is_there {
                return source.pass();
            }
            is_there = true;
            source.walk(rest, on)
        })?;
        ensure!(is_there, "the answer has no \"{wanted}\"");
        Ok(())
    }

    /// Stops at each element of a list, be it written as an object of places; null is an empty list.
    ///
    /// # Errors
    /// That it is no list, or breaks off; or the handler's own error.
    pub fn items(&mut self, on: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let no_list = || anyhow!(Broken::Flawed("expected a list".to_owned()));
        match self.next().map_err(ended)? {
            Next::List => {
                self.open().map_err(ended)?;
                let mut is_first = true;
                while self.more(b']', &mut is_first).map_err(ended)? {
                    on(self)?;
                }
                Ok(())
            }
            Next::Object => self.fields(&mut |key, source| {
                ensure!(is_place(key), no_list());
                on(source)
            }),
            Next::Word => match self.word().map_err(ended)? {
                b"null" => Ok(()),
                _ => Err(no_list()),
            },
            Next::Text => Err(no_list()),
        }
    }

    /// True if a list stands next.
    ///
    /// # Errors
    /// That the body breaks off, or that no value stands next.
    pub fn is_list(&mut self) -> Result<bool> {
        Ok(self.next().map_err(ended)? == Next::List)
    }

    /// True if an object stands next.
    ///
    /// # Errors
    /// That the body breaks off, or that no value stands next.
    pub fn is_object(&mut self) -> Result<bool> {
        Ok(self.next().map_err(ended)? == Next::Object)
    }

    /// Hands over each field of an object. `on` reads its value, or passes it over ([`Self::pass`]).
    ///
    /// # Errors
    /// That it is no object, or breaks off; or the handler's own error.
    pub fn fields(&mut self, on: &mut dyn FnMut(&str, &mut Self) -> Result<()>) -> Result<()> {
        ensure!(self.next().map_err(ended)? == Next::Object, "expected an object");
        self.open().map_err(ended)?;
        let mut is_first = true;
        while self.more(b'}', &mut is_first).map_err(ended)? {
            let key = self.key().map_err(ended)?;
            on(&key, self)?;
        }
        Ok(())
    }

    /// Reads an element as `T`, but for those of its fields whose values `on` reads: for these it gives true.
    ///
    /// # Errors
    /// That the body breaks off; or the handler's own error.
    pub fn object<T: for<'de> Deserialize<'de>>(
        &mut self,
        on: &mut dyn FnMut(&str, &mut Self) -> Result<bool>,
    ) -> Result<Element<T>> {
        if self.next().map_err(ended)? != Next::Object {
            return self.element();
        }
        self.begin();
        let (depth, mut stopped, mut uuid) = (self.depth, None, None);
        let read = match self.open() {
            Ok(()) => {
                let mut walk = Walk { source: self, on, is_first: true, stopped: None, uuid: None, is_own: true };
                let read = T::deserialize(MapAccessDeserializer::new(&mut walk));
                (stopped, uuid) = (walk.stopped, walk.uuid);
                read
            }
            Err(broken) => Err(broken),
        };
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
                Ok(Element::Bad(self.flaw(&why)))
            }
        }
    }

    /// Reads an element. What is wrong with it is told, and is in the way of nothing that comes behind it.
    ///
    /// # Errors
    /// That the body breaks off.
    pub fn element<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Element<T>> {
        self.value().map(|read| read.unwrap_or_else(Element::Bad))
    }

    /// The same for a value of any kind.
    ///
    /// # Errors
    /// That the body breaks off.
    pub fn value<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Result<T, Flaw>> {
        self.begin();
        match T::deserialize(&mut *self) {
            Ok(value) => Ok(Ok(value)),
            Err(Broken::Off(error)) => Err(error.into()),
            Err(Broken::Flawed(why)) => {
                self.recover()?;
                Ok(Err(self.flaw(&why)))
            }
        }
    }

    /// Passes over a value.
    ///
    /// # Errors
    /// That the body breaks off, or that there is no value.
    pub fn pass(&mut self) -> Result<()> {
        self.skip().map_err(ended)
    }

    /// The uuid of the element in hand, as far as it was read.
    #[must_use]
    pub fn uuid(&self) -> Option<&str> {
        let [uuid, ..] = &self.names;
        uuid.as_deref()
    }

    fn flaw(&self, why: &str) -> Flaw {
        Flaw { names: self.names.clone(), ..Flaw::unreadable(why) }
    }

    /// An element begins here.
    fn begin(&mut self) {
        (self.kept, self.element, self.counts) = (0, self.depth, false);
        (self.names, self.naming) = (Default::default(), None);
    }

    /// Goes on behind an element that could not be read, and looks for its name on the way.
    fn recover(&mut self) -> io::Result<()> {
        self.leave(self.element)?;
        loop {
            match self.peek()? {
                None | Some(b',' | b']' | b'}') => return Ok(()),
                Some(b'"') => self.skip_text()?,
                Some(b'[' | b'{') => {
                    self.enter();
                    self.leave(self.element)?;
                }
                Some(_) => self.reader.consume(1),
            }
        }
    }

    /// Passes over the rest of all lists and objects that are deeper than this. The name of the element in hand is taken
    /// where it stands.
    fn leave(&mut self, depth: usize) -> io::Result<()> {
        while self.depth > depth {
            let buffer = self.reader.fill_buf()?;
            let is_sign = |byte: &u8| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}');
            let Some(at) = buffer.iter().position(is_sign) else {
                let number = buffer.len();
                if number == 0 {
                    return Err(cut_off());
                }
                self.reader.consume(number);
                continue;
            };
            let sign = buffer.get(at).copied();
            self.reader.consume(at);
            match sign {
                Some(b'"') if self.depth == self.element + 1 && depth == self.element => self.take_name()?,
                Some(b'"') => self.skip_text()?,
                Some(b'[' | b'{') => self.enter(),
                _ => {
                    self.reader.consume(1);
                    self.depth -= 1;
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self) {
        self.reader.consume(1);
        self.depth += 1;
    }

    /// Passes over a text; if it is the key of a name, this is taken.
    fn take_name(&mut self) -> io::Result<()> {
        let key = self.short()?;
        let place = key.and_then(|key| NAMES.iter().position(|name| *name == key));
        let Some(place) = place else { return Ok(()) };
        if self.peek()? != Some(b':') {
            return Ok(());
        }
        self.reader.consume(1);
        self.take_value(place).map(drop)
    }

    /// Takes the name that stands next: true, unless something else stands there, which is left.
    fn take_value(&mut self, place: usize) -> io::Result<bool> {
        let name = match self.peek()? {
            Some(b'"') => self.short()?,
            Some(b'0'..=b'9') => match self.word() {
                Ok(word) => Some(String::from_utf8_lossy(word).into_owned()),
                Err(Broken::Off(error)) => return Err(error),
                Err(Broken::Flawed(_)) => None,
            },
            _ => return Ok(false),
        };
        if let Some(name) = name {
            self.name(place, &name);
        }
        Ok(true)
    }

    /// Reads the text that stands next, if it is short and no other flaw is in it.
    fn short(&mut self) -> io::Result<Option<String>> {
        match self.text(|text| Ok((text.len() <= LONGEST_NAME).then(|| text.to_owned()))) {
            Ok(text) => Ok(text),
            Err(Broken::Off(error)) => Err(error),
            Err(Broken::Flawed(_)) => Ok(None),
        }
    }

    /// The first of several counts.
    fn name(&mut self, place: usize, name: &str) {
        if let Some(known) = self.names.get_mut(place).filter(|known| known.is_none() && name.len() <= LONGEST_NAME) {
            *known = Some(name.to_owned());
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let number = buffer.len();
            let is_sign = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            let at = buffer.iter().position(is_sign);
            let sign = at.and_then(|at| buffer.get(at).copied());
            self.reader.consume(at.unwrap_or(number));
            if sign.is_some() || number == 0 {
                return Ok(sign);
            }
        }
    }

    fn next(&mut self) -> Result<Next, Broken> {
        match self.peek()?.ok_or_else(cut_off)? {
            b'"' => Ok(Next::Text),
            b'[' => Ok(Next::List),
            b'{' => Ok(Next::Object),
            b',' | b':' | b']' | b'}' => Err(Broken::Flawed("expected value".to_owned())),
            _ => Ok(Next::Word),
        }
    }

    /// Opens the list or object that stands next.
    fn open(&mut self) -> Result<(), Broken> {
        self.enter();
        if self.depth > DEEPEST {
            return Err(Broken::Flawed("it is nested too deep".to_owned()));
        }
        self.keep(0)
    }

    /// True if another element stands next; else the list or object is closed.
    fn more(&mut self, close: u8, is_first: &mut bool) -> Result<bool, Broken> {
        let sign = self.peek()?.ok_or_else(cut_off)?;
        if sign == close {
            self.reader.consume(1);
            self.depth -= 1;
            return Ok(false);
        }
        if !std::mem::replace(is_first, false) {
            if sign != b',' {
                return Err(Broken::Flawed(format!("expected `,` or `{}`", char::from(close))));
            }
            self.reader.consume(1);
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<String, Broken> {
        if self.next()? != Next::Text {
            return Err(Broken::Flawed("expected a key".to_owned()));
        }
        let key = self.text(|key| Ok(key.to_owned()))?;
        if self.peek()? != Some(b':') {
            return Err(Broken::Flawed("expected `:`".to_owned()));
        }
        self.reader.consume(1);
        Ok(key)
    }

    /// Counts what is kept.
    fn keep(&mut self, bytes: usize) -> Result<(), Broken> {
        self.kept = self.kept.saturating_add(bytes).saturating_add(VALUE);
        if self.kept > LARGEST_ELEMENT {
            return Err(Broken::Flawed(format!("it has more than {} MiB", LARGEST_ELEMENT >> 20)));
        }
        Ok(())
    }

    /// Reads the text that stands next. Most stand in the buffer as they are.
    fn text<V>(&mut self, take: impl FnOnce(&str) -> Result<V, Broken>) -> Result<V, Broken> {
        self.reader.consume(1);
        let buffer = self.reader.fill_buf()?;
        if let Some(at) = memchr2(b'"', b'\\', buffer)
            && buffer.get(at) == Some(&b'"')
        {
            let taken = utf8(buffer.get(..at).unwrap_or_default()).and_then(take);
            self.reader.consume(at + 1);
            return taken;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.push(b'"');
        let is_plain = self.gather(&mut scratch)?;
        let plain = scratch.get(1..scratch.len() - 1).unwrap_or_default();
        let taken = match is_plain {
            _ if scratch.len() > LARGEST_ELEMENT => {
                Err(Broken::Flawed(format!("a text has more than {} MiB", LARGEST_ELEMENT >> 20)))
            }
            true => utf8(plain).and_then(take),
            false => {
                serde_json::from_slice::<String>(&scratch).map_err(|error| flawed(&error)).and_then(|text| take(&text))
            }
        };
        if scratch.capacity() <= 2 * BUFFER {
            self.scratch = scratch;
        }
        taken
    }

    /// The rest of a text as it is written, with its last quotation mark; of one that is too long only a part. True if
    /// nothing in it is escaped.
    fn gather(&mut self, scratch: &mut Vec<u8>) -> Result<bool, Broken> {
        let mut is_plain = true;
        loop {
            let buffer = self.reader.fill_buf()?;
            let found = memchr2(b'"', b'\\', buffer);
            let number = found.map_or(buffer.len(), |at| at + 1);
            let part = buffer.get(..number).unwrap_or_default();
            let last = part.last().copied().ok_or_else(cut_off)?;
            if scratch.len() <= LARGEST_ELEMENT {
                scratch.extend_from_slice(part);
            }
            self.reader.consume(number);
            match (found, last) {
                (None, _) => {}
                (Some(_), b'"') => return Ok(is_plain),
                (Some(_), _) => {
                    is_plain = false;
                    let escaped = self.reader.fill_buf()?.first().copied().ok_or_else(cut_off)?;
                    if scratch.len() <= LARGEST_ELEMENT {
                        scratch.push(escaped);
                    }
                    self.reader.consume(1);
                }
            }
        }
    }

    /// Reads the number or word that stands next.
    fn word(&mut self) -> Result<&[u8], Broken> {
        self.scratch.clear();
        loop {
            let buffer = self.reader.fill_buf()?;
            let is_end = |byte: &u8| b",:[]{}\" \t\r\n".contains(byte);
            let end = buffer.iter().position(is_end);
            let number = end.unwrap_or(buffer.len());
            let room = (LONGEST_WORD + 1).saturating_sub(self.scratch.len());
            self.scratch.extend_from_slice(buffer.get(..number.min(room)).unwrap_or_default());
            self.reader.consume(number);
            if end.is_some() || number == 0 {
                break;
            }
        }
        if self.scratch.is_empty() || self.scratch.len() > LONGEST_WORD {
            return Err(Broken::Flawed("expected value".to_owned()));
        }
        Ok(&self.scratch)
    }

    /// Passes over a value, whatever it is.
    fn skip(&mut self) -> Result<(), Broken> {
        match self.next()? {
            Next::Text => self.skip_text()?,
            Next::List | Next::Object => {
                let depth = self.depth;
                self.enter();
                self.leave(depth)?;
            }
            Next::Word => drop(self.word()?),
        }
        Ok(())
    }

    fn skip_text(&mut self) -> io::Result<()> {
        self.reader.consume(1);
        loop {
            let buffer = self.reader.fill_buf()?;
            let number = buffer.len();
            if number == 0 {
                return Err(cut_off());
            }
            match memchr2(b'"', b'\\', buffer) {
                None => self.reader.consume(number),
                Some(at) => {
                    let is_end = buffer.get(at) == Some(&b'"');
                    self.reader.consume(at + 1);
                    if is_end {
                        return Ok(());
                    }
                    let is_over = self.reader.fill_buf()?.is_empty();
                    self.reader.consume(usize::from(!is_over));
                }
            }
        }
    }
}

fn utf8(text: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(text).map_err(|_| Broken::Flawed("a text is no UTF-8".to_owned()))
}

/// What the parser of texts and numbers says, without the place in them.
fn flawed(error: &serde_json::Error) -> Broken {
    let said = error.to_string();
    Broken::Flawed(said.split(" at line ").next().unwrap_or_default().to_owned())
}

impl<'de> Deserializer<'de> for &mut Source<'_> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let (naming, counts) = (self.naming.take(), std::mem::take(&mut self.counts));
        let depth = self.depth;
        let value = match self.next()? {
            Next::Text => return self.value_of_text(naming, visitor),
            Next::Word => return self.value_of_word(naming, visitor),
            Next::List => {
                self.open()?;
                visitor.visit_seq(Inside::new(self, counts))
            }
            Next::Object => {
                self.open()?;
                visitor.visit_map(Inside::new(self, counts))
            }
        }?;
        self.leave(depth)?;
        Ok(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.peek()? {
            Some(b'n') => self.value_of_word(None, visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Broken> {
        self.counts = name == COUNTED;
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.counts = false;
        let is_taken = match self.naming.take() {
            Some(place) => self.take_value(place)?,
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

impl Source<'_> {
    fn value_of_text<'de, V: Visitor<'de>>(&mut self, naming: Option<usize>, visitor: V) -> Result<V::Value, Broken> {
        let (mut length, mut name) = (0, None);
        let value = self.text(|text| {
            length = text.len();
            name = naming.filter(|_| text.len() <= LONGEST_NAME).map(|place| (place, text.to_owned()));
            visitor.visit_str(text)
        })?;
        if let Some((place, name)) = name {
            self.name(place, &name);
        }
        self.keep(length)?;
        Ok(value)
    }

    fn value_of_word<'de, V: Visitor<'de>>(&mut self, naming: Option<usize>, visitor: V) -> Result<V::Value, Broken> {
        self.keep(0)?;
        match self.word()? {
            b"null" => return visitor.visit_unit(),
            b"true" => return visitor.visit_bool(true),
            b"false" => return visitor.visit_bool(false),
            _ => {}
        }
        let number: Number = serde_json::from_slice(&self.scratch).map_err(|error| flawed(&error))?;
        if let Some(place) = naming {
            self.name(place, &number.to_string());
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
    source: &'r mut Source<'s>,
    is_first: bool,
    /// What was kept before a list whose elements are not.
    before: Option<usize>,
}

impl<'r, 's> Inside<'r, 's> {
    fn new(source: &'r mut Source<'s>, counts: bool) -> Self {
        let before = counts.then_some(source.kept);
        Self { source, is_first: true, before }
    }

    fn more(&mut self, close: u8) -> Result<bool, Broken> {
        self.source.kept = self.before.unwrap_or(self.source.kept);
        self.source.more(close, &mut self.is_first)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, '_> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Broken> {
        if self.more(b']')? { seed.deserialize(&mut *self.source).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Inside<'_, '_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Broken> {
        if self.more(b'}')? { self.source.next_key(seed).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        seed.deserialize(&mut *self.source)
    }
}

impl Source<'_> {
    /// The next key, and whether its value names the element in hand.
    fn next_key<'de, K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<K::Value, Broken> {
        if self.next()? != Next::Text {
            return Err(Broken::Flawed("expected a key".to_owned()));
        }
        let is_own = self.depth == self.element + 1;
        let (mut naming, mut value) = (None, None);
        let read = self.text(|key| {
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
    source: &'r mut Source<'s>,
    on: &'r mut dyn FnMut(&str, &mut Source<'s>) -> Result<bool>,
    is_first: bool,
    /// What a handler gave.
    stopped: Option<anyhow::Error>,
    /// Its uuid, as far as it was read before others read elements in it.
    uuid: Option<String>,
    is_own: bool,
}

impl<'de> MapAccess<'de> for Walk<'_, '_> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Broken> {
        while self.source.more(b'}', &mut self.is_first)? {
            let key = self.source.key()?;
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
        Ok(Element::Bad(Flaw::kind("a list")))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::kind("a text")))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::kind("a boolean")))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::kind("a number")))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::kind("a number")))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::kind("a number")))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element::Bad(Flaw::kind("null")))
    }
}

/// True for a key that is a place in a list: PHP writes a list as an object once an element in its middle was taken out
/// (MISP's `EventsController.php` does so with tags), and may write an empty one as `{}`.
#[must_use]
pub fn is_place(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
