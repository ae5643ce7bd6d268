//! Who knows a value: a search in a feed, through `hashes.csv`, whose lines are the md5 of a value and an event's uuid; of a
//! composite each half has a line (PyMISP's `mispevent.py`, `attributes_hashes`). What it points at is read and compared.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader, Read};

use anyhow::Result;
use uuid::Uuid;

use super::{Feed, HASHES, is_missing, md5, pieces};
use crate::json::Element;
use crate::misp::search::{Hit, Searched};
use crate::misp::wire::{Attribute, Piece};
use crate::types::Sought;

/// Events that are read for one value.
const MOST: usize = 5_000;
/// The longest line of the file that says anything, in bytes.
const LONGEST_LINE: u64 = 200;
/// As much of the file is read, in bytes, also where it came compressed.
const LARGEST: u64 = 512 << 20;
/// A first line may begin so, and names the columns.
const NAMES: [&str; 4] = ["md5", "hash", "value", "#"];

impl Feed {
    /// Searches for a value and hands over what has it.
    ///
    /// # Errors
    /// That `hashes.csv` cannot be read; or the handler's own error.
    pub fn search(&self, sought: &Sought, on: &mut dyn FnMut(Hit) -> Result<()>) -> Result<Searched> {
        if sought.asked().is_empty() {
            return Ok(Searched::Not("the value is empty".to_owned()));
        }
        let hashes: HashSet<String> = sought.asked().into_iter().map(md5).collect();
        let index = match self.file(HASHES, |file| Ok(Ok(Index::read(BufReader::new(file), &hashes)?))) {
            Err(error) if is_missing(&error) => {
                return Ok(Searched::Not(format!("not searchable: the feed has no {HASHES}")));
            }
            index => index?,
        };
        for (event, spelled) in &index.events {
            self.search_event(event, spelled, sought, on)?;
        }
        Ok(index.searched())
    }

    /// An event file that cannot be read stops nothing.
    fn search_event(
        &self,
        event: &Uuid,
        spelled: &str,
        sought: &Sought,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<()> {
        let (mut stopped, mut is_untouched) = (None, true);
        let read = self.event_file(event, spelled, |file| {
            let read = pieces(file, event, &mut |piece| {
                for attribute in attributes(piece).filter(|attribute| sought.is(&attribute.kind, &attribute.value)) {
                    is_untouched = false;
                    let handled = on(Hit::Attribute { event: *event, attribute: Box::new(attribute), sightings: 0 });
                    if let Err(error) = handled {
                        stopped = Some(error);
                        anyhow::bail!("stopped");
                    }
                }
                Ok(())
            });
            if is_untouched { read.map(Ok) } else { Ok(read) }
        });
        match (stopped, read) {
            (Some(error), _) => Err(error),
            (None, Ok(_)) if is_untouched => Ok(()),
            (None, Ok(head)) => on(Hit::Event { event: *event, head: Box::new(self.head(spelled, head)) }),
            (None, Err(error)) => on(Hit::Unreadable { event: *event, reason: format!("{error:#}") }),
        }
    }
}

/// The attributes of a piece; those of a deleted object count as deleted.
fn attributes(piece: Piece) -> impl Iterator<Item = Attribute> {
    let (elements, is_deleted) = match piece {
        Piece::Attribute(element) => (vec![*element], false),
        Piece::Object(Element::Good(object)) => (object.attributes, object.deleted == Some(true)),
        Piece::Object(Element::Bad(_)) | Piece::Report(_) => (Vec::new(), false),
    };
    elements.into_iter().filter_map(move |element| match element {
        Element::Good(attribute) if is_deleted => Some(Attribute { deleted: Some(true), ..attribute }),
        Element::Good(attribute) => Some(attribute),
        Element::Bad(_) => None,
    })
}

/// What `hashes.csv` says of some hashes.
#[derive(Debug, Default)]
struct Index {
    /// The events that their lines name, as the file spells them.
    events: BTreeMap<Uuid, String>,
    /// Lines that name further events.
    beyond: u64,
    /// Lines, and those of them that are not the md5 of a value and an event's uuid.
    lines: u64,
    unusable: u64,
    /// It is larger than is read.
    is_cut: bool,
}

impl Index {
    fn read(file: impl BufRead, hashes: &HashSet<String>) -> io::Result<Self> {
        let (mut index, mut file) = (Self::default(), file.take(LARGEST));
        let mut line = Vec::new();
        loop {
            line.clear();
            if file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                index.is_cut = file.limit() == 0;
                return Ok(index);
            }
            if line.last() != Some(&b'\n') {
                file.skip_until(b'\n')?;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_start_matches('\u{feff}').trim();
            let is_head = index.lines == 0 && NAMES.iter().any(|name| text.to_ascii_lowercase().starts_with(name));
            if !text.is_empty() && !is_head {
                index.line(text, hashes);
            }
        }
    }

    fn line(&mut self, text: &str, hashes: &HashSet<String>) {
        self.lines += 1;
        let Some((hash, spelled, event)) = fields(text) else {
            self.unusable += 1;
            return;
        };
        if !hashes.contains(&hash.to_ascii_lowercase()) || self.events.contains_key(&event) {
            return;
        }
        if self.events.len() < MOST {
            self.events.insert(event, spelled.to_owned());
        } else {
            self.beyond += 1;
        }
    }

    /// A value that no line names may stand behind one that says nothing: then it was not searched for.
    fn searched(&self) -> Searched {
        let Self { events, beyond, lines, unusable, is_cut } = self;
        let why = match (lines, unusable) {
            (0, _) => format!("{HASHES} is empty"),
            (_, 0) if *is_cut => format!("{HASHES} has more than {} MiB, and the rest was not read", LARGEST >> 20),
            (_, 0) if *beyond > 0 => format!("{beyond} lines of {HASHES} name further events, which were not read"),
            (_, 0) => return Searched::All,
            (lines, unusable) => {
                format!("{unusable} of {lines} lines of {HASHES} are not the md5 of a value and the uuid of an event")
            }
        };
        if events.is_empty() { Searched::Not(why) } else { Searched::Part(why) }
    }
}

/// A line's md5, its uuid as it is spelled, and as it is.
fn fields(line: &str) -> Option<(&str, &str, Uuid)> {
    let (hash, uuid) = line.split_once(',')?;
    let (hash, uuid) = (unquoted(hash), unquoted(uuid));
    let is_md5 = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((hash, uuid, Uuid::parse_str(uuid).ok().filter(|_| is_md5)?))
}

fn unquoted(field: &str) -> &str {
    field.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &[u8]) -> Index {
        Index::read(text, &HashSet::from([md5("evil.example")])).unwrap()
    }

    #[test]
    fn lines_of_any_shape_are_passed_over_and_counted() {
        let hash = md5("evil.example");
        let (one, two) = ("5f0e5b5c-0000-4000-8000-000000000001", "5F0E5B5C-0000-4000-8000-000000000002");
        let long = "x".repeat(10_000);
        let text = format!(
            "\u{feff}{hash},{one}\r\n\n{long}\n,\n{hash}\n{hash},../../etc/passwd\n\"{}\",\"{two}\"\n{},{one}\n\u{0}\n{hash},{one}",
            hash.to_uppercase(),
            md5("other.example")
        );
        let index = index(text.as_bytes());
        let named: Vec<_> = index.events.values().map(String::as_str).collect();
        assert_eq!((named, index.beyond, index.lines, index.unusable), (vec![one, two], 0, 9, 5));
    }

    #[test]
    fn rubbish_is_not_searched_and_never_says_that_no_event_knows() {
        let other = format!("{},5f0e5b5c-0000-4000-8000-000000000001\n", md5("other.example"));
        assert_eq!(index(other.as_bytes()).searched(), Searched::All);
        assert_eq!(index(format!("md5,uuid\n{other}").as_bytes()).searched(), Searched::All);
        let utf16: Vec<u8> = other.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [
            Vec::new(),
            b"\n\r\n \n".to_vec(),
            b"<html><body>blocked</body></html>".to_vec(),
            other.replace(',', ";").into_bytes(),
            other.replace(',', "\t").into_bytes(),
            utf16,
            format!("{}{}", "a".repeat(64), &other[32..]).into_bytes(),
            b"6538f20c-8672-5943-ac76-abf021d31677.json,00000000000000000000000000000000,1111111111\n".to_vec(),
            format!("{other}rubbish\n").into_bytes(),
        ] {
            let searched = index(&text).searched();
            assert!(matches!(searched, Searched::Not(_)), "{searched:?}: {text:?}");
        }
        let found = format!("{},5f0e5b5c-0000-4000-8000-000000000001\nrubbish\n", md5("evil.example"));
        assert!(matches!(index(found.as_bytes()).searched(), Searched::Part(_)));
    }
}
