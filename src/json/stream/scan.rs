//! The bytes of a body: where a text, a word, a list or an object begins and ends, and what is
//! passed over unread.

use std::io::{self, BufRead};

use memchr::memchr2;

use super::{BUFFER, JsonStream};
use crate::json::element::{Broken, LONGEST_NAME, NAMES};

/// The most that is kept of a single element (an event row, an attribute, a report), in bytes of
/// its texts and about as much for each value as it takes in memory. What is passed over does not
/// count.
pub(super) const LARGEST_ELEMENT: usize = 16 << 20;
/// How deep what is read may be nested.
pub(super) const DEEPEST: usize = 100;
/// What a value takes in memory beside its text, in bytes.
pub(super) const VALUE: usize = 48;
/// The longest number or word (`true`) that says anything, in bytes.
const LONGEST_WORD: usize = 100;

/// What stands next in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Text,
    List,
    Object,
    Word,
}

pub(super) fn unexpected_end() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "EOF while parsing: it ends too early",
    )
}

impl JsonStream<'_> {
    /// Goes on behind an element that could not be read, and looks for its name on the way.
    pub fn recover(&mut self) -> io::Result<()> {
        self.skip_to_depth(self.element)?;
        loop {
            // Of broken syntax whole texts, lists and objects are passed over, so that no sign in
            // them counts.
            match self.peek()? {
                None | Some(b',' | b']' | b'}') => return Ok(()),
                Some(b'"') => self.skip_text()?,
                Some(b'[' | b'{') => {
                    self.enter();
                    self.skip_to_depth(self.element)?;
                }
                Some(_) => self.reader.consume(1),
            }
        }
    }

    /// Passes over the rest of all lists and objects that are deeper than this. The name of the
    /// element in hand is taken where it stands.
    pub fn skip_to_depth(&mut self, depth: usize) -> io::Result<()> {
        while self.depth > depth {
            let buffer = self.reader.fill_buf()?;
            let is_sign = |byte: &u8| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}');

            let Some(at) = buffer.iter().position(is_sign) else {
                let number = buffer.len();
                if number == 0 {
                    return Err(unexpected_end());
                }
                self.reader.consume(number);
                continue;
            };

            let sign = buffer.get(at).copied();
            self.reader.consume(at);

            match sign {
                // Only a key of the element itself names it, and none of what is nested in it.
                Some(b'"') if self.depth == self.element + 1 && depth == self.element => {
                    self.take_name()?
                }
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

    /// Steps into the list or object that stands next.
    pub fn enter(&mut self) {
        self.reader.consume(1);
        self.depth += 1;
    }

    /// Passes over a text; if it is the key of a name, this is taken.
    pub fn take_name(&mut self) -> io::Result<()> {
        let key = self.read_short_text()?;
        let place = key.and_then(|key| NAMES.iter().position(|name| *name == key));
        let Some(place) = place else { return Ok(()) };
        if self.peek()? != Some(b':') {
            return Ok(());
        }
        self.reader.consume(1);

        self.take_name_value(place).map(drop)
    }

    /// Takes the name that stands next: true, unless something else stands there, which is left.
    pub fn take_name_value(&mut self, place: usize) -> io::Result<bool> {
        let name = match self.peek()? {
            Some(b'"') => self.read_short_text()?,
            Some(b'0'..=b'9') => match self.read_word() {
                Ok(word) => Some(String::from_utf8_lossy(word).into_owned()),
                Err(Broken::Off(error)) => return Err(error),
                Err(Broken::Flawed(_)) => None,
            },
            _ => return Ok(false),
        };

        if let Some(name) = name {
            self.record_name(place, &name);
        }
        Ok(true)
    }

    /// Reads the text that stands next, if it is short and no other flaw is in it.
    pub fn read_short_text(&mut self) -> io::Result<Option<String>> {
        match self.read_text(|text| Ok((text.len() <= LONGEST_NAME).then(|| text.to_owned()))) {
            Ok(text) => Ok(text),
            Err(Broken::Off(error)) => Err(error),
            Err(Broken::Flawed(_)) => Ok(None),
        }
    }

    /// The first of several counts.
    pub fn record_name(&mut self, place: usize, name: &str) {
        if let Some(known) = self
            .names
            .get_mut(place)
            .filter(|known| known.is_none() && name.len() <= LONGEST_NAME)
        {
            *known = Some(name.to_owned());
        }
    }

    /// The next byte that is no blank.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
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

    /// What stands next.
    pub fn peek_kind(&mut self) -> Result<Next, Broken> {
        match self.peek()?.ok_or_else(unexpected_end)? {
            b'"' => Ok(Next::Text),
            b'[' => Ok(Next::List),
            b'{' => Ok(Next::Object),
            b',' | b':' | b']' | b'}' => Err(Broken::Flawed("expected value".to_owned())),
            _ => Ok(Next::Word),
        }
    }

    /// Opens the list or object that stands next.
    pub fn open(&mut self) -> Result<(), Broken> {
        self.enter();
        if self.depth > DEEPEST {
            return Err(Broken::Flawed("it is nested too deep".to_owned()));
        }
        self.count_kept(0)
    }

    /// True if another element stands next; else the list or object is closed.
    pub fn has_more(&mut self, close: u8, is_first: &mut bool) -> Result<bool, Broken> {
        let sign = self.peek()?.ok_or_else(unexpected_end)?;
        if sign == close {
            self.reader.consume(1);
            self.depth -= 1;
            return Ok(false);
        }

        if !std::mem::replace(is_first, false) {
            if sign != b',' {
                return Err(Broken::Flawed(format!(
                    "expected `,` or `{}`",
                    char::from(close)
                )));
            }

            self.reader.consume(1);
        }

        Ok(true)
    }

    /// Reads the key that stands next, and its colon.
    pub fn read_key(&mut self) -> Result<String, Broken> {
        if self.peek_kind()? != Next::Text {
            return Err(Broken::Flawed("expected a key".to_owned()));
        }
        let key = self.read_text(|key| Ok(key.to_owned()))?;
        if self.peek()? != Some(b':') {
            return Err(Broken::Flawed("expected `:`".to_owned()));
        }
        self.reader.consume(1);

        Ok(key)
    }

    /// Counts what is kept.
    pub fn count_kept(&mut self, bytes: usize) -> Result<(), Broken> {
        self.kept = self.kept.saturating_add(bytes).saturating_add(VALUE);

        if self.kept > LARGEST_ELEMENT {
            return Err(Broken::Flawed(format!(
                "it has more than {} MiB",
                LARGEST_ELEMENT >> 20
            )));
        }

        Ok(())
    }

    /// Reads the text that stands next. Most stand in the buffer as they are.
    pub fn read_text<V>(
        &mut self,
        take: impl FnOnce(&str) -> Result<V, Broken>,
    ) -> Result<V, Broken> {
        self.reader.consume(1);
        let buffer = self.reader.fill_buf()?;
        if let Some(at) = memchr2(b'"', b'\\', buffer)
            && buffer.get(at) == Some(&b'"')
        {
            let taken = to_utf8(buffer.get(..at).unwrap_or_default()).and_then(take);
            self.reader.consume(at + 1);
            return taken;
        }

        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        // With its quotation marks, as the parser that undoes the escapes wants it.
        scratch.push(b'"');
        let is_plain = self.gather_text(&mut scratch)?;
        let plain = scratch.get(1..scratch.len() - 1).unwrap_or_default();

        let taken = match is_plain {
            _ if scratch.len() > LARGEST_ELEMENT => Err(Broken::Flawed(format!(
                "a text has more than {} MiB",
                LARGEST_ELEMENT >> 20
            ))),
            true => to_utf8(plain).and_then(take),
            false => serde_json::from_slice::<String>(&scratch)
                .map_err(|error| parser_flaw(&error))
                .and_then(|text| take(&text)),
        };

        // The memory of a long text is given back, or it would be held to the end of the body.
        if scratch.capacity() <= 2 * BUFFER {
            self.scratch = scratch;
        }

        taken
    }

    /// The rest of a text as it is written, with its last quotation mark; of one that is too long
    /// only a part. True if nothing in it is escaped.
    pub fn gather_text(&mut self, scratch: &mut Vec<u8>) -> Result<bool, Broken> {
        let mut is_plain = true;
        loop {
            let buffer = self.reader.fill_buf()?;
            let found = memchr2(b'"', b'\\', buffer);
            let number = found.map_or(buffer.len(), |at| at + 1);
            let part = buffer.get(..number).unwrap_or_default();
            let last = part.last().copied().ok_or_else(unexpected_end)?;
            // Reading goes on beyond the bound, since the end of the text has to be found.
            if scratch.len() <= LARGEST_ELEMENT {
                scratch.extend_from_slice(part);
            }
            self.reader.consume(number);

            match (found, last) {
                (None, _) => {}
                (Some(_), b'"') => return Ok(is_plain),
                (Some(_), _) => {
                    is_plain = false;

                    let escaped = self
                        .reader
                        .fill_buf()?
                        .first()
                        .copied()
                        .ok_or_else(unexpected_end)?;

                    if scratch.len() <= LARGEST_ELEMENT {
                        scratch.push(escaped);
                    }
                    self.reader.consume(1);
                }
            }
        }
    }

    /// Reads the number or word that stands next.
    pub fn read_word(&mut self) -> Result<&[u8], Broken> {
        self.scratch.clear();

        loop {
            let buffer = self.reader.fill_buf()?;
            let is_end = |byte: &u8| b",:[]{}\" \t\r\n".contains(byte);
            let end = buffer.iter().position(is_end);
            let number = end.unwrap_or(buffer.len());
            // One byte more than is allowed, which shows that the word is too long.
            let room = (LONGEST_WORD + 1).saturating_sub(self.scratch.len());
            self.scratch
                .extend_from_slice(buffer.get(..number.min(room)).unwrap_or_default());
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
    pub fn skip(&mut self) -> Result<(), Broken> {
        match self.peek_kind()? {
            Next::Text => self.skip_text()?,
            Next::List | Next::Object => {
                let depth = self.depth;
                self.enter();
                self.skip_to_depth(depth)?;
            }
            Next::Word => drop(self.read_word()?),
        }

        Ok(())
    }

    /// Passes over the text that stands next.
    pub fn skip_text(&mut self) -> io::Result<()> {
        self.reader.consume(1);
        loop {
            let buffer = self.reader.fill_buf()?;
            let number = buffer.len();
            if number == 0 {
                return Err(unexpected_end());
            }

            match memchr2(b'"', b'\\', buffer) {
                None => self.reader.consume(number),
                Some(at) => {
                    let is_end = buffer.get(at) == Some(&b'"');
                    self.reader.consume(at + 1);
                    if is_end {
                        return Ok(());
                    }
                    // Whatever is escaped, a quotation mark perhaps, ends no text.
                    let is_over = self.reader.fill_buf()?.is_empty();
                    self.reader.consume(usize::from(!is_over));
                }
            }
        }
    }
}

fn to_utf8(text: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(text).map_err(|_| Broken::Flawed("a text is no UTF-8".to_owned()))
}

/// What the parser of texts and numbers says, without the place in them.
pub(super) fn parser_flaw(error: &serde_json::Error) -> Broken {
    let said = error.to_string();
    Broken::Flawed(
        said.split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned(),
    )
}
