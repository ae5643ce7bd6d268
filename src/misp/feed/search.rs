//! Who knows a value: a search in a feed, through `hashes.csv`, whose lines are the md5 of a value and an event's uuid; of a
//! composite each half has a line (PyMISP's `mispevent.py`, `attributes_hashes`). What it points at is read and compared.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, BufRead, BufReader, Read};

use anyhow::Result;
use uuid::Uuid;

use super::{Feed, HASHES, event_file, md5, pieces};
use crate::http::Failure;
use crate::json::Element;
use crate::misp::search::{Hit, Searched};
use crate::misp::wire::{Attribute, Piece};
use crate::types::Sought;

/// Events that are read for one value.
const MOST: usize = 5_000;
/// The longest line of the file that says anything, in bytes.
const LONGEST_LINE: u64 = 200;

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
        let (events, beyond) = match self.file(HASHES, |file| Ok(Ok(named(BufReader::new(file), &hashes)?))) {
            Err(error) if is_missing(&error) => {
                return Ok(Searched::Not(format!("not searchable: the feed has no {HASHES}")));
            }
            named => named?,
        };
        for event in &events {
            self.search_event(event, sought, on)?;
        }
        Ok(match beyond {
            0 => Searched::All,
            beyond => Searched::Part(format!("{beyond} lines of {HASHES} name further events, which were not read")),
        })
    }

    /// An event file that cannot be read stops nothing.
    fn search_event(&self, event: &Uuid, sought: &Sought, on: &mut dyn FnMut(Hit) -> Result<()>) -> Result<()> {
        let (mut stopped, mut is_untouched) = (None, true);
        let read = self.file(&event_file(event), |file| {
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
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => on(Hit::Unreadable { event: *event, reason: format!("{error:#}") }),
        }
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let is_no_file = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let is_404 = |failure: &Failure| failure.status() == Some(404);
        cause.downcast_ref().is_some_and(is_no_file) || cause.downcast_ref().is_some_and(is_404)
    })
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

/// The events that lines with these hashes name, and how many lines name further ones.
fn named(mut file: impl BufRead, hashes: &HashSet<String>) -> io::Result<(BTreeSet<Uuid>, u64)> {
    let (mut events, mut beyond) = (BTreeSet::new(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok((events, beyond));
        }
        if line.last() != Some(&b'\n') {
            file.skip_until(b'\n')?;
        }
        let text = String::from_utf8_lossy(&line);
        let Some((hash, uuid)) = text.trim().split_once(',') else { continue };
        if !hashes.contains(&unquoted(hash).to_ascii_lowercase()) {
            continue;
        }
        let Ok(event) = Uuid::parse_str(unquoted(uuid)) else { continue };
        if events.len() < MOST || events.contains(&event) {
            events.insert(event);
        } else {
            beyond += 1;
        }
    }
}

fn unquoted(field: &str) -> &str {
    field.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_shape_are_passed_over() {
        let hash = md5("evil.example");
        let (one, two) = ("5f0e5b5c-0000-4000-8000-000000000001", "5f0e5b5c-0000-4000-8000-000000000002");
        let long = "x".repeat(10_000);
        let text = format!(
            "{hash},{one}\r\n\n{long}\n,\n{hash}\n{hash},../../etc/passwd\n\"{}\",\"{two}\"\n{},{one}\n\u{0}\n{hash},{one}",
            hash.to_uppercase(),
            md5("other.example")
        );
        let (events, beyond) = named(text.as_bytes(), &HashSet::from([hash])).unwrap();
        let named: Vec<_> = events.iter().map(ToString::to_string).collect();
        assert_eq!((named, beyond), (vec![one.to_owned(), two.to_owned()], 0));
    }
}
