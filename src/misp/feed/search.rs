//! Who knows a value: a search in a feed. What `hashes.csv` points at comes first: its lines are
//! the md5 of a value and an event's uuid, of a composite for each half (PyMISP's `mispevent.py`,
//! `attributes_hashes`). A hash finds a value only as it is written there, so the other events of
//! the manifest are read too, as far as that can be done while somebody waits.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Result, bail};
use uuid::Uuid;

use super::{Feed, HASHES, is_missing, md5_hex, read_pieces};
use crate::config::LookupArtifacts;
use crate::http::ReadError;
use crate::json::Element;
use crate::misp::search::{Hit, HitName, Neighbours, SearchCoverage, Sought, Surroundings};
use crate::misp::wire::{Attribute, EventPart, Object, Sightings};
use crate::misp::{IndexEntry, Window};
use crate::text::format_count;

/// Events that are read for one value, in a folder.
const MOST: usize = 5_000;
/// The same on the web, beside those that `hashes.csv` points at: each is a request.
const MOST_OF_WEB: usize = 100;
/// Events that are read since they have a related value, as `hashes.csv` says.
const MOST_RELATED: usize = 100;
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
        sought: &Sought<'_>,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<SearchCoverage> {
        let asked = sought.value.search_terms();
        if asked.is_empty() {
            return Ok(SearchCoverage::Not("the value is empty".to_owned()));
        }
        let asked = asked.into_iter().map(str::to_owned);
        let hashes = [
            hash_spellings(asked),
            hash_spellings(sought.related.search_terms()),
        ];
        let index = match self.read_file_with(HASHES, |file| {
            Index::from_csv(BufReader::new(file), &hashes)
                .map_err(|error| ReadError::Again(error.into()))
        }) {
            // Not every producer writes this file; without it the events are read.
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

        let (mut named, mut related) = index
            .as_ref()
            .map(|index| (index.events.clone(), index.related.clone()))
            .unwrap_or_default();
        // An event with the value itself is not one that is only related.
        related.retain(|event, _| !named.contains_key(event));

        for (event, spelled) in named.iter().chain(&related) {
            if let Err(error) = reading.search_event(event, spelled, on)? {
                on(Hit::Unreadable {
                    event: *event,
                    reason: format!("{error:#}"),
                })?;
            }
        }

        named.extend(related);
        let rest = reading.search_rest(&named, on)?;
        if reading.more > 0 {
            reading
                .flaws
                .push(format!("and {} more like these", reading.more));
        }

        Ok(search_coverage(index.as_ref(), rest, reading.flaws))
    }
}

/// The hashes of values. The case that the producer chose has to be met.
fn hash_spellings(values: impl IntoIterator<Item = String>) -> HashSet<String> {
    let cases = values
        .into_iter()
        .flat_map(|value| [value.to_lowercase(), value.to_uppercase(), value]);
    cases.map(|value| md5_hex(&value)).collect()
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
    let found = index.is_some_and(|index| !index.events.is_empty() || !index.related.is_empty());
    let of_index = match index {
        None => Err(format!("not searchable: the feed has no {HASHES}")),
        Some(index) => index.describe_flaw().map_or(Ok(()), Err),
    };
    let is_part = found || !flaws.is_empty() || of_index.is_ok();

    let why = match (rest, of_index) {
        (Rest::Read(1..), _) => flaws.join("; "),
        (Rest::Read(0), Ok(())) => String::new(),
        (Rest::Read(0), Err(why)) => why,
        (Rest::Unread(unread), of_index) => of_index
            .err()
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
    sought: &'a Sought<'a>,
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
        let (mut events, mut all) = (Vec::new(), 0);
        let most = if matches!(self.feed, Feed::Web(_)) {
            MOST_OF_WEB
        } else {
            MOST
        };

        let feed = self.feed;

        let listed = feed.list_events(&Window::default(), &mut |entry| {
            match entry {
                IndexEntry::Event(event, uuid) if !named.contains_key(&uuid) => {
                    all += 1;
                    // One more than are read, which shows that there are too many.
                    events.extend((events.len() <= most).then_some((uuid, event.uuid)));
                }
                IndexEntry::Event(..) => {}
                IndexEntry::Bad(problem) => self.note_flaw(problem),
            }

            Ok(())
        });

        if let Err(error) = listed {
            return Ok(Rest::Unread(format!("its events are not known: {error:#}")));
        }

        let by_hash = |number: usize| {
            Rest::Unread(format!(
                "{} searched by {HASHES} alone, which finds a value only as it is written there, \
                 in this case",
                format_count(number as u64, "event was", "events were")
            ))
        };

        if events.len() > most {
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

    /// Hands over what has the value in an event; the inner error is one of its file.
    fn search_event(
        &mut self,
        event: &Uuid,
        spelled: &str,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<Result<()>> {
        let Self {
            feed, sought, left, ..
        } = self;
        let (mut stopped, mut is_untouched, mut bad) = (None, true, 0);
        let mut beside = EventBeside::default();

        let read = feed.read_event_file(event, spelled, |file| {
            bad = 0;
            beside = EventBeside::new(event, sought);
            let mut counting = Counting { file, left };

            read_pieces(&mut counting, event, &mut |piece| {
                beside.look_at(event, &piece, sought);
                for mut attribute in into_attributes(piece, &mut bad) {
                    // A feed carries none that could be relied on.
                    attribute.sightings = Sightings::default();
                    let Some(hit) = Hit::from_attribute(*event, attribute, sought) else {
                        continue;
                    };

                    is_untouched = false;
                    if let Err(error) = on(hit) {
                        stopped = Some(error);
                        // This only ends the reading: the handler's own error is in `stopped`.
                        bail!("stopped");
                    }
                }

                Ok(())
            })
            .map_err(|error| ReadError::new(error, is_untouched))
        });

        self.note_unreadable(event, bad);
        let feed = self.feed;

        match (stopped, read) {
            (Some(error), _) => Err(error),
            // Nothing in it has the value, so its head is not wanted.
            (None, Ok(_)) if is_untouched => Ok(Ok(())),
            (None, Ok(head)) => {
                on(Hit::Event {
                    event: *event,
                    head: Box::new(feed.compact_head(spelled, head)),
                })?;
                on(Hit::Beside(beside.finish())).map(Ok)
            }
            (None, Err(error)) if is_untouched => Ok(Err(error)),
            (None, Err(error)) => on(Hit::Unreadable {
                event: *event,
                reason: format!("{error:#}"),
            })
            .map(Ok),
        }
    }

    fn note_unreadable(&mut self, event: &Uuid, bad: u64) {
        const WHAT: &str = "of its attributes or objects";

        if bad > 0 {
            let what = format_count(bad, WHAT, WHAT);
            self.note_flaw(format!("event {event}: {what} cannot be read"));
        }
    }
}

/// What stands beside the hits of an event, while its file is read: of every object with a hit, or
/// of the event, of which it is not known before its end whether it has one.
#[derive(Default)]
struct EventBeside {
    objects: Surroundings,
    whole: Option<Neighbours>,
    /// The first hit of the event.
    hit: Option<HitName>,
}

impl EventBeside {
    fn new(event: &Uuid, sought: &Sought<'_>) -> Self {
        let whole = (sought.beside == LookupArtifacts::Event)
            .then(|| Neighbours::new(*event, HitName::new("", "")));
        Self {
            whole,
            ..Self::default()
        }
    }

    fn look_at(&mut self, event: &Uuid, piece: &EventPart, sought: &Sought<'_>) {
        match (piece, &mut self.whole) {
            (EventPart::Report(_) | EventPart::Object(Element::Bad(_)), _) => {}
            (EventPart::Attribute(row), Some(whole)) => {
                whole.add(row, None);
                self.note_hit(HitName::of_first(std::iter::once(&**row), sought));
            }
            (EventPart::Object(Element::Good(object)), Some(whole)) => {
                whole.add_object(object);
                self.note_hit(find_hit(object, sought));
            }
            (EventPart::Object(Element::Good(object)), None)
                if sought.beside == LookupArtifacts::Object =>
            {
                if let Some(hit) = find_hit(object, sought) {
                    let mut group = Neighbours::new(*event, hit);
                    group.add_object(object);
                    self.objects.add(group);
                }
            }
            (EventPart::Object(_) | EventPart::Attribute(_), None) => {}
        }
    }

    /// Keeps the first hit, and the first that has the value before any other.
    fn note_hit(&mut self, hit: Option<HitName>) {
        let is_better = |hit: &HitName| match &self.hit {
            Some(known) => hit.is_exact && !known.is_exact,
            None => true,
        };
        if let Some(hit) = hit.filter(is_better) {
            self.hit = Some(hit);
        }
    }

    fn finish(mut self) -> Surroundings {
        if let (Some(mut whole), Some(hit)) = (self.whole, self.hit) {
            whole.hit = hit;
            self.objects.add(whole);
        }
        self.objects
    }
}

fn find_hit(object: &Object, sought: &Sought<'_>) -> Option<HitName> {
    let is_live = object.deleted != Some(true);
    is_live
        .then(|| HitName::of_first(object.attributes.iter(), sought))
        .flatten()
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
    /// Those that name only events with a related value, of them.
    related: BTreeMap<Uuid, String>,
    /// Lines that name further events.
    beyond: u64,
    /// Lines, and those of them that are not the md5 of a value and an event's uuid.
    lines: u64,
    unusable: u64,
    /// It is larger than is read.
    is_cut: bool,
}

impl Index {
    /// `hashes` are those of the value, and of what is related to it.
    fn from_csv(file: impl BufRead, hashes: &[HashSet<String>; 2]) -> io::Result<Self> {
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
            // What goes on is the rest of a line that is too long to say anything.
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

    fn add_line(&mut self, text: &str, [hashes, related]: &[HashSet<String>; 2]) {
        self.lines += 1;
        let Some((hash, spelled, event)) = parse_line(text) else {
            self.unusable += 1;
            return;
        };
        let hash = hash.to_ascii_lowercase();
        let (events, most) = if hashes.contains(&hash) {
            (&mut self.events, MOST)
        } else if related.contains(&hash) {
            (&mut self.related, MOST_RELATED)
        } else {
            return;
        };

        if events.len() < most {
            events.entry(event).or_insert_with(|| spelled.to_owned());
        } else if !events.contains_key(&event) {
            self.beyond += 1;
        }
    }

    /// Why a value that no line names may yet be there: it may stand behind one that says nothing.
    fn describe_flaw(&self) -> Option<String> {
        let Self {
            events: _,
            related: _,
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
        let hashes = [
            HashSet::from([md5_hex("evil.example")]),
            HashSet::from([md5_hex("example")]),
        ];
        Index::from_csv(text, &hashes).unwrap()
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
