//! Several small events in one answer: a question costs MISP more than most events do.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use serde_json::json;
use uuid::Uuid;

use super::Server;
use super::rest_search::without_default_filters;
use crate::http::{self, ReadError};
use crate::json::JsonStream;
use crate::misp::chunks::{Chunk, ChunkBuffer};
use crate::misp::wire::{self, Event, EventPart, ListedPart};

/// The most memory that the events of a list may take, in bytes.
const MOST_MEMORY: usize = 32 << 20;
/// No list of fewer events is halved: they are read by themselves.
const SMALLEST: usize = 20;
/// Lists that fail in a row, after which none is asked for any more: each may cost several
/// attempts.
const MOST_FAILED: u32 = 4;

/// The content of each event of a list that came whole.
pub type Contents = HashMap<Uuid, Chunk>;

impl Server {
    /// What these events hold, of those that came whole; none of them may be large. Whatever is
    /// wrong with one, or with the answer, leaves it out, and it is to be read by itself: MISP
    /// leaves out without a word what it does not show
    /// (`fixtures/wire/misp/439-restsearch-several-with-unknown.json`,
    /// `440-restsearch-several-hidden.json`), and attributes that its allowed list names
    /// (`579-events-restsearch-with-allowed-list.json`). A list over which it breaks down is
    /// halved; if several fail in a row, none is asked for any more.
    pub fn read_small_events(&self, events: &[(Uuid, &Event)]) -> Contents {
        let mut contents = Contents::new();
        self.read_or_halve(events, &mut 0, &mut contents);
        contents
    }

    /// `memory` is what the events so far take.
    fn read_or_halve(
        &self,
        events: &[(Uuid, &Event)],
        memory: &mut usize,
        contents: &mut Contents,
    ) {
        let has_failed = self.failed_lists.load(Ordering::Relaxed) >= MOST_FAILED;
        // A list of one is no cheaper than the event by itself.
        if events.len() < 2 || has_failed || self.client.clock().is_near_the_end() {
            return;
        }
        let read = self.read_list_of_events(events, *memory);
        match &read {
            Ok(_) => self.failed_lists.store(0, Ordering::Relaxed),
            Err(_) => drop(self.failed_lists.fetch_add(1, Ordering::Relaxed)),
        }
        match read {
            Ok(list) => {
                *memory = list.memory;
                contents.extend(list.contents);
            }
            Err(error) if http::is_breakdown(&error) && events.len() >= SMALLEST => {
                let (first, second) = events.split_at(events.len() / 2);
                self.read_or_halve(first, memory, contents);
                self.read_or_halve(second, memory, contents);
            }
            Err(_) => {}
        }
    }

    fn read_list_of_events(&self, events: &[(Uuid, &Event)], memory: usize) -> Result<ReadList> {
        let uuids: Vec<&Uuid> = events.iter().map(|(uuid, _)| uuid).collect();
        // Local tags are left out for the key of a user who may synchronise, unless this is named.
        let body = without_default_filters(json!({
            "eventid": uuids, "excludeLocalTags": false, "excludeGalaxy": 1,
            "noShadowAttributes": 1, "includeAttachments": 0,
        }));
        let counts: HashMap<Uuid, i64> = events
            .iter()
            .filter_map(|(uuid, event)| Some((*uuid, event.attribute_count?)))
            .collect();

        let read = self.client.retry_reading(|| {
            let answer = self.client.post("events/restSearch", &body);
            let answer = answer.map_err(|failure| self.explain_error(failure))?;
            let line = answer.request_line().to_owned();
            let mut source = JsonStream::new(answer.into_body());
            let mut list = ListReader::new(&counts, memory);
            wire::read_events(&mut source, &mut |part| list.take(part))
                .and_then(|()| source.require_end())
                .with_context(|| format!("{line}: reading several events"))?;
            Ok(ReadList {
                memory: list.memory,
                contents: list.contents,
            })
        });

        read.map_err(ReadError::into_error)
    }
}

/// The events of an answer, and what those of all answers so far take in memory.
struct ReadList {
    memory: usize,
    contents: Contents,
}

/// The events of an answer, while they come.
struct ListReader<'a> {
    /// How many attributes each has, by MISP's list.
    counts: &'a HashMap<Uuid, i64>,
    /// The parts of the event in hand.
    parts: Vec<EventPart>,
    memory: usize,
    contents: Contents,
}

impl<'a> ListReader<'a> {
    fn new(counts: &'a HashMap<Uuid, i64>, memory: usize) -> Self {
        Self {
            counts,
            parts: Vec::new(),
            memory,
            contents: Contents::new(),
        }
    }

    fn take(&mut self, part: ListedPart<'_>) -> Result<()> {
        match part {
            ListedPart::Begin(_) | ListedPart::Bad => self.parts.clear(),
            ListedPart::Part(part) if self.memory <= MOST_MEMORY => {
                self.memory += part.size().max(1);
                self.parts.push(part);
            }
            // There is no room: this event, and those that follow, are read by themselves.
            ListedPart::Part(_) => {}
            ListedPart::End(event) => self.finish(&event)?,
        }
        Ok(())
    }

    /// Keeps an event that came whole: one chunk, with as many attributes as MISP counts.
    fn finish(&mut self, event: &Event) -> Result<()> {
        let parts = std::mem::take(&mut self.parts);
        let Some((uuid, count)) = Uuid::parse_str(&event.uuid)
            .ok()
            .and_then(|uuid| Some((uuid, *self.counts.get(&uuid)?)))
        else {
            return Ok(());
        };
        if self.memory > MOST_MEMORY {
            return Ok(());
        }

        let mut whole = None;
        let mut keep = |chunk: Chunk| {
            whole = Some(chunk);
            Ok(())
        };
        let mut chunks = ChunkBuffer::new(&mut keep);
        parts
            .into_iter()
            .try_for_each(|part| chunks.add_piece(part))?;
        let is_one_chunk = chunks.is_untouched();
        chunks.finish()?;

        if let Some(whole) = whole.filter(|whole| is_one_chunk && whole.rows.len() as i64 == count)
        {
            self.contents.insert(uuid, whole);
        }
        Ok(())
    }
}
