//! A MISP feed in a folder: `manifest.json`, one `<uuid>.json` for each event, and `hashes.csv`. Any MISP can pull it. How
//! it is written is in `folder.rs`.

mod edit;
mod folder;
mod search;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use md5::{Digest, Md5};
use uuid::Uuid;

use super::chunks::{Chunk, Chunks};
use super::wire::{Entries, Event, Piece, Pieces};
use super::{Listed, Window};
use crate::files;
use crate::json::{Element, Source};
use crate::time::Clock;
pub use folder::Lock;

const MANIFEST: &str = "manifest.json";
const HASHES: &str = "hashes.csv";

/// A feed's folder.
pub struct Feed {
    folder: PathBuf,
    clock: Clock,
}

impl Feed {
    /// Looks at the folder.
    ///
    /// # Errors
    /// That it is not there: in a container a missing mount must not look like an empty feed.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self> {
        ensure!(
            folder.is_dir(),
            "the feed's folder {} does not exist: create it, or mount it into the container, or correct \"url\"",
            folder.display()
        );
        Ok(Self { folder: folder.to_owned(), clock })
    }

    /// The events of the manifest. What stands in a feed counts as published.
    ///
    /// # Errors
    /// A manifest that is missing beside other files, or broken.
    pub fn list(&self, window: &Window, on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        let path = self.folder.join(MANIFEST);
        let file = match files::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.event_files()?.is_empty() => return Ok(()),
            Err(error) => return Err(error).context(format!("reading the feed's manifest {}", path.display())),
        };
        let mut entry = |uuid: String, entry: Element<Event>| match entry {
            Element::Good(event) if event.timestamp.unwrap_or(i64::MAX) < window.since => Ok(()),
            Element::Good(mut event) => {
                event.uuid = uuid;
                event.published = Some(true);
                on(Listed::new(Element::Good(event)))
            }
            bad @ Element::Bad(_) => on(Listed::new(bad)),
        };
        let read = Source::new(file).read(|hand| Entries { hand, on: &mut entry });
        read.with_context(|| format!("reading the feed's manifest {}", path.display()))
    }

    /// Reads an event file piece by piece.
    ///
    /// # Errors
    /// A file that is missing or broken.
    pub fn read(&self, event: &Uuid, on: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let path = self.file(event);
        let reading = || format!("reading {}", path.display());
        let file = files::open(&path).with_context(reading)?;
        Source::new(file).read(|hand| Pieces { is_inside: false, event: *event, hand, on }).with_context(reading)
    }

    /// Hands over what an event file holds.
    ///
    /// # Errors
    /// A file that is missing or broken; or the handler's own error.
    pub fn chunks(&self, event: &Uuid, on: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let mut chunks = Chunks::new(on);
        self.read(event, &mut |piece| chunks.piece(piece))?;
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

    fn file(&self, event: &Uuid) -> PathBuf {
        self.folder.join(format!("{event}.json"))
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
