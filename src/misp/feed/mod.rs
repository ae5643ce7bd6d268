//! A MISP feed, in a folder or on a web server: `manifest.json`, one `<uuid>.json` for each event,
//! and `hashes.csv`. Any MISP can pull it. How both are read is here, how a folder is written in
//! `folder.rs`.

mod folder;
mod search;
mod web;

use std::collections::HashSet;
use std::io::{self, Read};

use anyhow::{Result, bail};
use uuid::Uuid;

use super::chunks::{Chunk, ChunkBuffer};
use super::wire::{self, Event, EventPart};
use super::{IndexEntry, Opened, Window};
use crate::http::{HttpError, ReadError};
use crate::json::{Element, JsonStream};
pub use folder::{Folder, LOCK, Lock};
pub use web::Web;

const MANIFEST: &str = "manifest.json";
const HASHES: &str = "hashes.csv";

/// A feed.
pub enum Feed {
    /// In a folder of this machine.
    Folder(Folder),
    /// On a web server: it is only read.
    Web(Box<Web>),
}

impl Feed {
    /// The folder that an export works in.
    ///
    /// # Errors
    /// That the feed is on the web.
    pub fn folder(&self) -> Result<&Folder> {
        match self {
            Self::Folder(folder) => Ok(folder),
            Self::Web(_) => bail!("a feed over http is read only"),
        }
    }

    /// The events of the manifest, which may have 256 MiB. It only says what to open: what stands
    /// in an event's file decides about it, as for MISP (its `Feed.php`), so that without a time
    /// that can be read it is opened. What stands in a feed counts as published. The uuid is as the
    /// manifest spells it.
    ///
    /// # Errors
    /// A manifest that is missing, in a folder beside other files, or broken; or the handler's own
    /// error.
    pub fn list_events(
        &self,
        window: &Window,
        on: &mut dyn FnMut(IndexEntry) -> Result<()>,
    ) -> Result<()> {
        // A feed that nothing was exported to yet has no manifest, which is no error.
        if let Self::Folder(folder) = self
            && folder.is_empty()?
        {
            return Ok(());
        }
        let mut is_untouched = true;

        self.read_file_with(MANIFEST, |file| {
            let mut entry = |key: &str, entry: Element<Event>| {
                is_untouched = false;
                to_index_entry(key, entry, window.since).map_or(Ok(()), &mut *on)
            };
            let mut source = JsonStream::for_feed_list(file);
            wire::read_manifest(&mut source, &mut entry)
                .and_then(|()| source.require_end())
                .map_err(|error| ReadError::new(error, is_untouched))
        })
    }

    /// Hands over what an event file holds. `event` is its entry in the list.
    ///
    /// # Errors
    /// A file that is missing or broken; or the handler's own error.
    pub fn read_chunks(
        &self,
        uuid: &Uuid,
        event: &Event,
        on: &mut dyn FnMut(Chunk) -> Result<()>,
    ) -> Result<()> {
        let mut chunks = ChunkBuffer::new(on);

        self.read_event_file(uuid, &event.uuid, |file| {
            // What an attempt that broke off had gathered comes again.
            chunks.clear_pending();
            read_pieces(file, uuid, &mut |piece| chunks.add_piece(piece))
                .map_err(|error| chunks.read_error(error))
        })?;

        chunks.finish()
    }

    /// See [`crate::misp::Misp::open_event_file`].
    ///
    /// # Errors
    /// A file that is missing or broken; or the error of `check`.
    pub fn open_event_file(
        &self,
        uuid: &Uuid,
        event: &Event,
        check: &dyn Fn(u64) -> Result<()>,
    ) -> Result<Opened> {
        self.read_event_file(uuid, &event.uuid, |file| {
            let (mut number, mut parts, mut whole) = (0, 0, None);
            let mut on = |chunk: Chunk| {
                number += chunk.rows.iter().filter(|row| !row.is_deleted()).count() as u64;
                parts += 1;
                // An event of one chunk is kept, so that it need not be read a second time.
                whole = (parts == 1 && chunk.is_last).then_some(chunk);
                check(number)
            };

            let mut chunks = ChunkBuffer::new(&mut on);
            let head = read_pieces(file, uuid, &mut |piece| chunks.add_piece(piece))?;
            chunks.finish()?;
            let mut head = self.compact_head(&event.uuid, head);
            head.attribute_count = i64::try_from(number).ok();
            Ok(Opened { head, whole })
        })
    }

    /// The head of an event file as it is kept.
    fn compact_head(&self, spelled: &str, head: Event) -> Event {
        let decisive = match self {
            Self::Folder(folder) => &folder.decisive,
            Self::Web(web) => &web.decisive,
        };
        head.compact(decisive).into_feed_event(spelled)
    }

    /// Patterns of tags that decide something: an event keeps such a tag, however many it has.
    pub fn set_decisive_tags(&mut self, patterns: Vec<String>) {
        match self {
            Self::Folder(folder) => folder.decisive = patterns,
            Self::Web(web) => web.decisive = patterns,
        }
    }

    /// The entries of these events in the manifest.
    ///
    /// # Errors
    /// See [`Self::list_events`].
    pub fn fetch_index_entries(&self, uuids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        let mut wanted: HashSet<Uuid> = uuids.iter().copied().collect();
        let mut listed = Vec::new();

        self.list_events(
            &Window {
                published_only: true,
                ..Window::default()
            },
            &mut |entry| {
                if let IndexEntry::Event(event, uuid) = entry
                    && wanted.remove(&uuid)
                {
                    listed.push((uuid, *event));
                }
                Ok(())
            },
        )?;

        Ok(listed)
    }

    /// Opens the file of an event by each of the names that it may have, until one is there.
    fn read_event_file<T>(
        &self,
        uuid: &Uuid,
        spelled: &str,
        mut read: impl FnMut(&mut dyn Read) -> Result<T, ReadError>,
    ) -> Result<T> {
        let mut names = event_file_names(uuid, spelled).into_iter().peekable();
        while let Some(name) = names.next() {
            match self.read_file_with(&name, &mut read) {
                Err(error) if is_missing(&error) && names.peek().is_some() => {}
                read => return read,
            }
        }

        bail!("event {uuid} has no file")
    }

    /// Opens a file of the feed and has it read. A file on the web is opened again where that may
    /// help; what breaks off after something was handed over is left to the next run.
    pub fn read_file_with<T>(
        &self,
        name: &str,
        read: impl FnMut(&mut dyn Read) -> Result<T, ReadError>,
    ) -> Result<T> {
        match self {
            Self::Folder(folder) => folder.read_file_with(name, read),
            Self::Web(web) => web.read_file_with(name, read),
        }
    }
}

fn event_file_name(event: &Uuid) -> String {
    format!("{event}.json")
}

/// The names that the file of an event may have: as its uuid is spelled in the feed, in lower case,
/// with dashes. Nothing but hex digits and dashes becomes a name.
fn event_file_names(uuid: &Uuid, spelled: &str) -> Vec<String> {
    let mut names = Vec::new();
    if spelled
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && !spelled.is_empty()
    {
        names.extend([
            format!("{spelled}.json"),
            format!("{}.json", spelled.to_ascii_lowercase()),
        ]);
    }

    names.push(event_file_name(uuid));
    names.dedup();

    names
}

fn is_missing(error: &anyhow::Error) -> bool {
    let is_no_file = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    HttpError::status_of(error) == Some(404)
        || error
            .chain()
            .any(|cause| cause.downcast_ref().is_some_and(is_no_file))
}

/// The longest part of a manifest's key that is shown, in bytes: a uuid has 36.
const LONGEST_KEY: usize = 80;

/// An entry of the manifest; none if its event did not change in the window.
fn to_index_entry(key: &str, entry: Element<Event>, since: i64) -> Option<IndexEntry> {
    let shown = key
        .get(..key.floor_char_boundary(LONGEST_KEY))
        .unwrap_or_default();
    if Uuid::parse_str(key).is_err() {
        return Some(IndexEntry::Bad(format!(
            "the manifest's key {shown:?} is no uuid"
        )));
    }

    match entry {
        // A moment that cannot be read keeps no event out here: its file decides.
        Element::Good(event)
            if event
                .timestamp
                .is_some_and(|time| (1..since).contains(&time)) =>
        {
            None
        }
        Element::Good(event) => Some(IndexEntry::new(Element::Good(
            event.compact_for_list().into_feed_event(key),
        ))),
        Element::Bad(flaw) => Some(IndexEntry::Bad(
            flaw.describe(&format!("the manifest's entry {shown}")),
        )),
    }
}

/// Reads an event file piece by piece, and gives the event's head.
fn read_pieces(
    file: impl Read,
    event: &Uuid,
    on: &mut dyn FnMut(EventPart) -> Result<()>,
) -> Result<Event> {
    let mut source = JsonStream::new(file);
    let head = wire::read_event(&mut source, event, &mut |mut piece| {
        piece.forget_sightings();
        on(piece)
    })?;
    source.require_end()?;
    Ok(head)
}

fn md5_hex(text: &str) -> String {
    crate::sample::md5(text.as_bytes())
}
