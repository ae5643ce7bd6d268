//! Who knows a value: a search in a feed. What `hashes.csv` points at comes first: its lines are
//! the md5 of a value and an event's uuid, of a composite for each half (PyMISP's `mispevent.py`,
//! `attributes_hashes`). A hash finds a value only as it is written there, so the other events of
//! the manifest are read too, as far as that can be done while somebody waits.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Result, anyhow};
use uuid::Uuid;

use super::{Feed, HASHES, is_missing, md5_hex, read_pieces};
use crate::http::ReadError;
use crate::json::Element;
use crate::misp::search::{Hit, SearchCoverage};
use crate::misp::wire::{Attribute, Event, EventPart};
use crate::misp::{IndexEntry, Window};
use crate::text::format_count;
use crate::types::SearchValue;

/// Events that are read for one value, in a folder.
const MOST: usize = 5_000;
/// The same on the web, beside those that `hashes.csv` points at: each is a request.
const MOST_OF_WEB: usize = 100;
/// Bytes that are read of events that `hashes.csv` does not point at.
const MOST_BYTES: u64 = 256 << 20;
/// What is named of that which cannot be read.
const SHOWN_FLAWS: usize = 3;
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
    pub fn search(
        &self,
        sought: &SearchValue,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<SearchCoverage> {
        let hashes = hashes_of(sought);
        if hashes.is_empty() {
            return Ok(SearchCoverage::Not("the value is empty".to_owned()));
        }
        let index = match self.read_file_with(HASHES, |file| {
            Index::from_csv(BufReader::new(file), &hashes)
                .map_err(|error| ReadError::Again(error.into()))
        }) {
            Err(error) if is_missing(&error) => None,
            index => Some(index?),
        };

        let mut reading = Reading {
            feed: self,
            sought,
            flaws: Vec::new(),
            more: 0,
            left: MOST_BYTES,
        };

        let named = index
            .as_ref()
            .map(|index| index.events.clone())
            .unwrap_or_default();

        for (event, spelled) in &named {
            if let Err(error) = reading.search_event(event, spelled, on)? {
                on(Hit::Unreadable {
                    event: *event,
                    reason: format!("{error:#}"),
                })?;
            }
        }

        let rest = reading.search_rest(&named, on)?;
        if reading.more > 0 {
            reading
                .flaws
                .push(format!("and {} more like these", reading.more));
        }

        Ok(search_coverage(index.as_ref(), rest, reading.flaws))
    }
}

/// The md5 of every way of writing the value, in the case that was given and in those that a
/// producer may have chosen: a hash finds nothing else.
fn hashes_of(sought: &SearchValue) -> HashSet<String> {
    sought
        .search_terms()
        .iter()
        .flat_map(|term| [(*term).to_owned(), term.to_lowercase(), term.to_uppercase()])
        .map(|term| md5_hex(&term))
        .collect()
}

/// What became of the events that `hashes.csv` does not point at.
enum Rest {
    /// All were read; so many events are in the manifest.
    Read(usize),
    /// Not all were, for this reason.
    Unread(String),
}

/// What was searched, of all. Where every event was read, nothing that the index says matters.
fn search_coverage(index: Option<&Index>, rest: Rest, flaws: Vec<String>) -> SearchCoverage {
    let has_named = index.is_some_and(|index| !index.events.is_empty());
    let flaw_of_index = match index {
        None => Some(format!("not searchable: the feed has no {HASHES}")),
        Some(index) => index.describe_flaw(),
    };
    let is_part = has_named || !flaws.is_empty() || flaw_of_index.is_none();

    let why = match rest {
        Rest::Read(1..) => flaws.join("; "),
        Rest::Read(0) => flaw_of_index.unwrap_or_default(),
        Rest::Unread(unread) => flaw_of_index
            .into_iter()
            .chain([unread])
            .chain(flaws)
            .collect::<Vec<_>>()
            .join("; "),
    };

    match (why.is_empty(), is_part) {
        (true, _) => SearchCoverage::All,
        (false, true) => SearchCoverage::Part(why),
        (false, false) => SearchCoverage::Not(why),
    }
}

/// A feed while its events are read for a value.
struct Reading<'a> {
    feed: &'a Feed,
    sought: &'a SearchValue,
    /// What could not be understood, the first of it.
    flaws: Vec<String>,
    /// How much more there is of it.
    more: u64,
    /// Bytes that may yet be read.
    left: u64,
}

impl Reading<'_> {
    fn note_flaw(&mut self, flaw: String) {
        match self.flaws.len() {
            ..SHOWN_FLAWS => self.flaws.push(flaw),
            _ => self.more += 1,
        }
    }

    /// Reads what else is in the manifest. An event file that cannot be read stops nothing.
    fn search_rest(
        &mut self,
        named: &BTreeMap<Uuid, String>,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<Rest> {
        let most = match self.feed {
            Feed::Web(_) => MOST_OF_WEB,
            Feed::Folder(_) => MOST,
        };
        let (events, all) = match self.list_others(named, most) {
            Ok(listed) => listed,
            Err(error) => {
                return Ok(Rest::Unread(format!("its events are not known: {error:#}")));
            }
        };

        let by_hash = |number: usize| {
            Rest::Unread(format!(
                "{} searched by {HASHES} alone, which finds a value only as it is written there, \
                 in this case",
                format_count(number as u64, "event was", "events were")
            ))
        };
        if all > most {
            return Ok(by_hash(all));
        }

        for (read, (event, spelled)) in events.iter().enumerate() {
            if self.left == 0 {
                return Ok(by_hash(all - read));
            }
            if let Err(error) = self.search_event(event, spelled, on)? {
                self.note_flaw(format!("event {event}: {error:#}"));
            }
        }

        Ok(Rest::Read(named.len() + all))
    }

    /// The events of the manifest that are not `named`, at most so many, as the manifest spells
    /// their uuids; and how many there are.
    fn list_others(
        &mut self,
        named: &BTreeMap<Uuid, String>,
        most: usize,
    ) -> Result<(Vec<(Uuid, String)>, usize)> {
        let (mut events, mut all) = (Vec::new(), 0);
        let feed = self.feed;

        feed.list_events(&Window::default(), &mut |entry| {
            match entry {
                IndexEntry::Event(event, uuid) if !named.contains_key(&uuid) => {
                    all += 1;
                    events.extend((events.len() < most).then_some((uuid, event.uuid)));
                }
                IndexEntry::Event(..) => {}
                IndexEntry::Bad(problem) => self.note_flaw(problem),
            }

            Ok(())
        })?;

        Ok((events, all))
    }

    /// Hands over what has the value in an event; the inner error is one of its file.
    fn search_event(
        &mut self,
        event: &Uuid,
        spelled: &str,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<Result<()>> {
        let mut matches = Matches::default();
        let read = self.read_matches(event, spelled, &mut matches, on);

        if matches.unreadable > 0 {
            let some = "of its attributes or objects";
            let number = format_count(matches.unreadable, some, some);
            self.note_flaw(format!("event {event}: {number} cannot be read"));
        }

        // The handler's own error is none of the file's, and ends the search.
        if let Some(error) = matches.stopped {
            return Err(error);
        }
        let hit = match read {
            Ok(_) if !matches.has_some => return Ok(Ok(())),
            Err(error) if !matches.has_some => return Ok(Err(error)),
            Ok(head) => Hit::Event {
                event: *event,
                head: Box::new(self.feed.compact_head(spelled, head)),
            },
            Err(error) => Hit::Unreadable {
                event: *event,
                reason: format!("{error:#}"),
            },
        };
        on(hit).map(Ok)
    }

    /// Hands over the attributes of an event that have the value, and gives the event's head.
    fn read_matches(
        &mut self,
        event: &Uuid,
        spelled: &str,
        matches: &mut Matches,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<Event> {
        let (sought, left) = (self.sought, &mut self.left);

        self.feed.read_event_file(event, spelled, |file| {
            // A file on the web may be read a second time.
            matches.unreadable = 0;
            let mut counting = Counting { file, left };

            read_pieces(&mut counting, event, &mut |piece| {
                for attribute in into_attributes(piece, &mut matches.unreadable) {
                    let likeness = sought.compare_attribute(&attribute.kind, &attribute.value);
                    let Some(likeness) = likeness else { continue };

                    matches.has_some = true;
                    on(Hit::Attribute {
                        event: *event,
                        attribute: Box::new(attribute),
                        likeness,
                        sightings: 0,
                    })
                    .map_err(|error| {
                        matches.stopped = Some(error);
                        anyhow!("stopped")
                    })?;
                }

                Ok(())
            })
            .map_err(|error| ReadError::new(error, !matches.has_some))
        })
    }
}

/// What came of the attributes of one event.
#[derive(Default)]
struct Matches {
    /// True if one was handed over.
    has_some: bool,
    /// How many could not be read.
    unreadable: u64,
    /// The handler's error.
    stopped: Option<anyhow::Error>,
}

/// A file whose bytes are counted.
struct Counting<'a> {
    file: &'a mut dyn Read,
    left: &'a mut u64,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        *self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The attributes of a piece. What cannot be read is counted.
fn into_attributes(piece: EventPart, bad: &mut u64) -> Vec<Attribute> {
    let elements: Vec<Element<Attribute>> = match piece {
        EventPart::Attribute(element) => vec![*element],
        EventPart::Object(Element::Good(object)) => object.into_attributes().collect(),
        EventPart::Object(Element::Bad(flaw)) => vec![Element::Bad(flaw)],
        EventPart::Report(_) => Vec::new(),
    };
    let all = elements.len();
    let read: Vec<_> = elements
        .into_iter()
        .filter_map(Element::into_option)
        .collect();
    *bad += (all - read.len()) as u64;

    read
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
    fn from_csv(file: impl BufRead, hashes: &HashSet<String>) -> io::Result<Self> {
        let (mut index, mut file) = (Self::default(), file.take(LARGEST));
        let mut line = Vec::new();

        loop {
            line.clear();
            if file
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)?
                == 0
            {
                index.is_cut = file.limit() == 0;
                return Ok(index);
            }
            if line.last() != Some(&b'\n') {
                file.skip_until(b'\n')?;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_start_matches('\u{feff}').trim();
            let is_head = index.lines == 0
                && NAMES
                    .iter()
                    .any(|name| text.to_ascii_lowercase().starts_with(name));
            if !text.is_empty() && !is_head {
                index.add_line(text, hashes);
            }
        }
    }

    fn add_line(&mut self, text: &str, hashes: &HashSet<String>) {
        self.lines += 1;
        let Some((hash, spelled, event)) = parse_line(text) else {
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

    /// Why a value that no line names may yet be there: it may stand behind one that says nothing.
    fn describe_flaw(&self) -> Option<String> {
        let Self {
            events: _,
            beyond,
            lines,
            unusable,
            is_cut,
        } = self;

        match (lines, unusable) {
            (0, _) => Some(format!("{HASHES} is empty")),
            (_, 0) if *is_cut => Some(format!(
                "{HASHES} has more than {} MiB, and the rest was not read",
                LARGEST >> 20
            )),
            (_, 0) if *beyond > 0 => Some(format!(
                "{beyond} lines of {HASHES} name further events, which were not read"
            )),
            (_, 0) => None,
            (lines, unusable) => Some(format!(
                "{unusable} of {lines} lines of {HASHES} are not the md5 of a value and the uuid \
                 of an event"
            )),
        }
    }
}

/// A line's md5, its uuid as it is spelled, and as it is.
fn parse_line(line: &str) -> Option<(&str, &str, Uuid)> {
    let (hash, uuid) = line.split_once(',')?;
    let (hash, uuid) = (strip_quotes(hash), strip_quotes(uuid));
    let is_md5 = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((hash, uuid, Uuid::parse_str(uuid).ok().filter(|_| is_md5)?))
}

fn strip_quotes(field: &str) -> &str {
    field.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_index(text: &[u8]) -> Index {
        Index::from_csv(text, &HashSet::from([md5_hex("evil.example")])).unwrap()
    }

    #[test]
    fn lines_of_any_shape_are_passed_over_and_counted() {
        let hash = md5_hex("evil.example");
        let (one, two) = (
            "5f0e5b5c-0000-4000-8000-000000000001",
            "5F0E5B5C-0000-4000-8000-000000000002",
        );
        let long = "x".repeat(10_000);
        let text = format!(
            "\u{feff}{hash},{one}\r\n\n{long}\n,\n{hash}\n{hash},../../etc/passwd\n\"{}\",\"{two}\"\n{},{one}\n\u{0}\n{hash},{one}",
            hash.to_uppercase(),
            md5_hex("other.example")
        );

        let index = parse_index(text.as_bytes());
        let named: Vec<_> = index.events.values().map(String::as_str).collect();
        assert_eq!(
            (named, index.beyond, index.lines, index.unusable),
            (vec![one, two], 0, 9, 5)
        );
    }

    #[test]
    fn what_was_not_searched_never_says_that_no_event_knows() {
        let other = format!(
            "{},5f0e5b5c-0000-4000-8000-000000000001\n",
            md5_hex("other.example")
        );
        assert_eq!(parse_index(other.as_bytes()).describe_flaw(), None);
        assert_eq!(
            parse_index(format!("md5,uuid\n{other}").as_bytes()).describe_flaw(),
            None
        );
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
            let unread = || Rest::Unread("its manifest is broken".into());
            let told = search_coverage(Some(&parse_index(&text)), unread(), Vec::new());
            assert!(matches!(told, SearchCoverage::Not(_)), "{told:?}: {text:?}");
            let told = search_coverage(Some(&parse_index(&text)), Rest::Read(0), Vec::new());
            assert!(matches!(told, SearchCoverage::Not(_)), "{told:?}: {text:?}");
            assert_eq!(search_coverage(Some(&parse_index(&text)), Rest::Read(3), Vec::new()), SearchCoverage::All);
        }

        let found = format!(
            "{},5f0e5b5c-0000-4000-8000-000000000001\nrubbish\n",
            md5_hex("evil.example")
        );
        let told = search_coverage(
            Some(&parse_index(found.as_bytes())),
            Rest::Unread("too many".into()),
            Vec::new(),
        );

        assert!(matches!(told, SearchCoverage::Part(_)), "{told:?}");
        let told = search_coverage(
            Some(&parse_index(other.as_bytes())),
            Rest::Unread("too many".into()),
            Vec::new(),
        );

        assert!(matches!(told, SearchCoverage::Part(_)), "{told:?}");
        let told = search_coverage(None, Rest::Read(2), vec!["an event is broken".into()]);
        assert!(matches!(told, SearchCoverage::Part(_)), "{told:?}");
    }
}
