//! A MISP feed, in a folder or on a web server: `manifest.json`, one `<uuid>.json` for each event, and `hashes.csv`. Any MISP
//! can pull it. How both are read is here, how a folder is written in `folder.rs`.

mod edit;
mod folder;
mod search;
mod web;

use std::collections::HashSet;
use std::io::Read;

use anyhow::{Result, bail};
use md5::{Digest, Md5};
use uuid::Uuid;

use super::chunks::{Chunk, Chunks};
use super::wire::{Entries, Event, Piece, Pieces};
use super::{Listed, Window};
use crate::json::{Element, Source};
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

    /// The events of the manifest, which may have 256 MiB. What stands in a feed counts as published.
    ///
    /// # Errors
    /// A manifest that is missing, in a folder beside other files, or broken; or the handler's own error.
    pub fn list(&self, window: &Window, on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        if let Self::Folder(folder) = self
            && folder.is_empty()?
        {
            return Ok(());
        }
        let mut is_untouched = true;
        self.file(MANIFEST, |file| {
            let mut entry = |uuid: String, entry: Element<Event>| {
                is_untouched = false;
                match entry {
                    // A moment that cannot be read keeps no event out here: whoever asked decides.
                    Element::Good(event) if event.timestamp.is_some_and(|at| (1..window.since).contains(&at)) => Ok(()),
                    Element::Good(mut event) => {
                        event.uuid = uuid;
                        event.published = Some(true);
                        on(Listed::new(Element::Good(event)))
                    }
                    bad @ Element::Bad(_) => on(Listed::new(bad)),
                }
            };
            let read = Source::collected(file).read(|hand| Entries { hand, on: &mut entry });
            if is_untouched { read.map(Ok) } else { Ok(read) }
        })
    }

    /// Hands over what an event file holds.
    ///
    /// # Errors
    /// A file that is missing or broken; or the handler's own error.
    pub fn chunks(&self, event: &Uuid, on: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let mut chunks = Chunks::new(on);
        self.file(&event_file(event), |file| {
            chunks.forget();
            let read = pieces(file, event, &mut |piece| chunks.piece(piece));
            if chunks.is_untouched() { read.map(Ok) } else { Ok(read) }
        })?;
        chunks.finish()
    }

    /// The entries of these events in the manifest.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub fn listed(&self, uuids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        let mut wanted: HashSet<Uuid> = uuids.iter().copied().collect();
        let mut listed = Vec::new();
        self.list(&Window { published_only: true, ..Window::default() }, &mut |entry| {
            if let Listed::Event(event, uuid) = entry
                && wanted.remove(&uuid)
            {
                listed.push((uuid, *event));
            }
            Ok(())
        })?;
        Ok(listed)
    }

    /// Opens a file of the feed and has it read. A file on the web is opened again where that may help, as long as `read`
    /// gives its error as the outer one: until something of the file was handed over, since that would come twice. What
    /// breaks off later is left to the next run.
    fn file<T>(&self, name: &str, read: impl FnMut(&mut dyn Read) -> Result<Result<T>>) -> Result<T> {
        match self {
            Self::Folder(folder) => folder.file(name, read),
            Self::Web(web) => web.file(name, read),
        }
    }
}

fn event_file(event: &Uuid) -> String {
    format!("{event}.json")
}

/// Reads an event file piece by piece.
fn pieces(file: impl Read, event: &Uuid, on: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
    Source::new(file).read(|hand| Pieces { is_inside: false, event: *event, hand, on })
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
