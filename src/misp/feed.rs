//! A MISP feed in a folder: `manifest.json`, one `<uuid>.json` for each event, and `hashes.csv`. Any MISP can pull it.
//! Files appear whole, by a rename, under a lock; the manifest is rebuilt from the event files, so that a run that died
//! between two files is mended by the next one.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::wire::{self, Attribute, Entries, Event, Piece, Pieces};
use super::{Held, Listed, Window};
use crate::export::plan::{Plan, Wanted, WantedAttribute};
use crate::export::sending::Sending;
use crate::files;
use crate::json::{self, Element, Source};
use crate::time::Clock;

const MANIFEST: &str = "manifest.json";
const HASHES: &str = "hashes.csv";
const LOCK: &str = ".cortex-misp.lock";
/// The largest event file that is read as a whole, in bytes: one of ours.
const LARGEST_FILE: u64 = 256 << 20;
/// How long another run may hold the folder.
const PATIENCE: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// A feed's folder.
pub struct Feed {
    folder: PathBuf,
    clock: Clock,
}

/// Holds the folder until it goes.
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

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

    /// Waits until no other run holds the folder, then holds it.
    ///
    /// # Errors
    /// That the folder cannot be written, or is held for too long.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.folder.join(LOCK);
        let locking = || format!("locking the feed: writing {}", path.display());
        let file = files::open_lock(&path).with_context(locking)?;
        for _ in 0..PATIENCE {
            match file.try_lock() {
                Ok(()) => {
                    files::clear_unfinished(&self.folder).with_context(locking)?;
                    return Ok(Lock(file));
                }
                Err(TryLockError::WouldBlock) if !self.clock.is_over() => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(error).context(format!("locking the feed: {}", path.display()));
                }
            }
        }
        bail!("the feed {} is locked by another run: try again later", self.folder.display())
    }

    /// The events of the manifest. What stands in a feed counts as published.
    ///
    /// # Errors
    /// A manifest that is missing beside other files, or broken.
    pub fn list(&self, window: Window, on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
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
        Source::new(file).read(|hand| Pieces { is_inside: false, hand, on }).with_context(reading)
    }

    /// What an event file holds.
    ///
    /// # Errors
    /// A file that is broken.
    pub fn held(&self, uuid: &Uuid) -> Result<Option<Held>> {
        let path = self.file(uuid);
        if !path.try_exists().with_context(|| format!("reading {}", path.display()))? {
            return Ok(None);
        }
        let event = self.head(uuid)?;
        let mut attributes = Vec::new();
        self.each_attribute(uuid, &mut |attribute| attributes.push(attribute))?;
        Ok(Some(Held { event, attributes }))
    }

    fn head(&self, uuid: &Uuid) -> Result<Event> {
        let path = self.file(uuid);
        let reading = || format!("reading {}", path.display());
        let reader = BufReader::new(files::open(&path).with_context(reading)?);
        let Head { event } = serde_json::from_reader(reader).with_context(reading)?;
        event.with_context(|| format!("{}: there is no event in it", reading()))
    }

    /// Every attribute of an event file, those in objects too.
    fn each_attribute(&self, uuid: &Uuid, on: &mut dyn FnMut(Attribute)) -> Result<()> {
        let mut good = |element| {
            if let Element::Good(attribute) = element {
                on(attribute);
            }
        };
        self.read(uuid, &mut |piece| {
            match piece {
                Piece::Attribute(element) => good(element),
                Piece::Object(Element::Good(object)) => object.attributes.into_iter().for_each(&mut good),
                Piece::Object(Element::Bad(_)) => {}
            }
            Ok(())
        })
    }

    /// Writes what a plan adds, then brings manifest and hashes in line with the event files. A file that would not
    /// change is not written.
    ///
    /// # Errors
    /// What could not be read or written.
    pub fn apply(&self, wanted: &Wanted, plan: &Plan, sending: &mut Sending) -> Result<()> {
        let additions: Vec<_> = plan.additions(wanted).collect();
        if plan.create || !additions.is_empty() {
            let path = self.file(&wanted.uuid);
            let mut file = read_file(&path)?.unwrap_or_else(|| self.new_event(wanted));
            self.append(&mut file, &additions).ok_or_else(|| anyhow!("{} is no event file", path.display()))?;
            // A file is there whole or not at all, so an error means that nothing was changed.
            self.write(&format!("{}.json", wanted.uuid), &format!("{file:#}\n"))?;
            sending.sent(additions.iter().copied(), true);
        }
        self.write_index(sending)
    }

    fn new_event(&self, wanted: &Wanted) -> Value {
        let more = json!({
            "publish_timestamp": "0",
            "timestamp": self.clock.now.to_string(),
            "extends_uuid": "",
            "Orgc": wanted.organisation,
            "Attribute": [],
            "Object": [],
        });
        wire::wanted_event(wanted, more)
    }

    fn append(&self, file: &mut Value, additions: &[&WantedAttribute]) -> Option<()> {
        let event = file.get_mut("Event")?.as_object_mut()?;
        let list = event.entry("Attribute").or_insert_with(|| json!([])).as_array_mut()?;
        list.extend(additions.iter().map(|attribute| self.attribute(attribute)));
        if !additions.is_empty() {
            event.insert("timestamp".to_owned(), Value::from(self.clock.now.to_string()));
        }
        Some(())
    }

    fn attribute(&self, attribute: &WantedAttribute) -> Value {
        let timestamp = self.clock.now.to_string();
        wire::wanted_attribute(
            attribute,
            json!({"timestamp": timestamp, "deleted": false, "disable_correlation": false}),
        )
    }

    /// Rebuilds `manifest.json` and `hashes.csv` from the event files, each read as a stream.
    fn write_index(&self, sending: &mut Sending) -> Result<()> {
        let mut manifest = Map::new();
        let mut hashes = String::new();
        for uuid in self.event_files()? {
            match self.index_entry(&uuid, &mut hashes) {
                Ok(entry) => drop(manifest.insert(uuid.to_string(), entry)),
                Err(error) => {
                    sending.remarks.push(format!("{uuid}.json is left out of the feed's manifest: {error:#}"));
                }
            }
        }
        self.write(HASHES, &hashes)?;
        self.write(MANIFEST, &format!("{:#}\n", Value::Object(manifest)))
    }

    /// The manifest's entry of an event file; its hashes are added to `hashes`.
    fn index_entry(&self, uuid: &Uuid, hashes: &mut String) -> Result<Value> {
        let event = self.head(uuid)?;
        let mut lines = BTreeSet::new();
        self.each_attribute(uuid, &mut |attribute| {
            if attribute.deleted != Some(true) {
                lines.extend(halves(&attribute).map(|half| format!("{},{uuid}\n", md5(half))));
            }
        })?;
        hashes.extend(lines);
        Ok(event.manifest_entry())
    }

    /// A file that would not change is not written.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        let mut present = Vec::new();
        let most = text.len() as u64 + 1;
        let read = files::open(&path).and_then(|file| file.take(most).read_to_end(&mut present));
        if read.is_ok() && present == text.as_bytes() {
            return Ok(());
        }
        files::replace(&self.folder, name, text.as_bytes()).with_context(|| format!("writing {}", path.display()))
    }

    /// The event files, by uuid; other files of the folder are not ours to read.
    fn event_files(&self) -> Result<Vec<Uuid>> {
        let reading = || format!("reading the folder {}", self.folder.display());
        let mut uuids = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(reading)? {
            let name = entry.with_context(reading)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            uuids.extend(stem.filter(|stem| stem.len() == 36).and_then(|stem| Uuid::parse_str(stem).ok()));
        }
        uuids.sort_unstable();
        Ok(uuids)
    }

    fn file(&self, event: &Uuid) -> PathBuf {
        self.folder.join(format!("{event}.json"))
    }
}

fn read_file(path: &Path) -> Result<Option<Value>> {
    let reading = || format!("reading {}", path.display());
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(reading),
    };
    let mut text = Vec::new();
    file.take(LARGEST_FILE).read_to_end(&mut text).with_context(reading)?;
    serde_json::from_slice(&text).map(Some).with_context(reading)
}

/// The head of an event file.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "Event", default, deserialize_with = "json::object")]
    event: Option<Event>,
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a feed's reader searches for: the value, or both halves of a composite.
fn halves(attribute: &Attribute) -> impl Iterator<Item = &str> {
    let is_composite = attribute.kind.contains('|') || attribute.kind == "malware-sample";
    let halves = attribute.value.split_once('|').filter(|_| is_composite);
    let (first, second) = halves.map_or((attribute.value.as_str(), None), |(first, second)| (first, Some(second)));
    std::iter::once(first).chain(second)
}
