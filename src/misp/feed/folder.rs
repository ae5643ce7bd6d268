//! A feed in a folder, and what an export does in it. Files appear whole, by a rename, under a
//! lock; the manifest is rebuilt from the event files, so that a run that died between two files is
//! mended by the next one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{HASHES, MANIFEST, event_file_name, md5_hex, read_pieces};
use crate::files;
use crate::http::ReadError;
use crate::json::{self, Element};
use crate::misp::changes::{
    AttachmentSource, AttributePatch, EventChanges, EventPatch, ReportChange,
};
use crate::misp::draft::AttributeDraft;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::wire::{Attribute, Event, EventPart, Report};
use crate::misp::write_log::WriteLog;
use crate::misp::{EventContent, request_bodies};
use crate::time::Clock;

/// The file by which a run holds a feed's folder.
pub const LOCK: &str = ".cortex-misp.lock";
/// The largest event file that is read as a whole, in bytes: one of ours.
const LARGEST_FILE: u64 = 256 << 20;
/// How long another run may hold the folder.
const PATIENCE: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// A feed's folder.
pub struct Folder {
    folder: PathBuf,
    clock: Clock,
    /// See [`Misp::set_decisive_tags`](crate::misp::Misp::set_decisive_tags).
    pub decisive: Vec<String>,
}

/// Holds the folder until it goes.
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Folder {
    /// Looks at the folder.
    ///
    /// # Errors
    /// That it is not there: in a container a missing mount must not look like an empty feed.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self> {
        ensure!(
            folder.is_dir(),
            "the feed's folder {} does not exist: create it, or mount it into the container, or \
             correct \"url\"",
            folder.display()
        );

        Ok(Self {
            folder: folder.to_owned(),
            clock,
            decisive: Vec::new(),
        })
    }

    /// See [`super::Feed::read_file_with`].
    pub fn read_file_with<T>(
        &self,
        name: &str,
        mut read: impl FnMut(&mut dyn Read) -> Result<T, ReadError>,
    ) -> Result<T> {
        let path = self.folder.join(name);
        let what = if name == MANIFEST {
            "the feed's manifest "
        } else {
            ""
        };

        let reading = || format!("reading {what}{}", path.display());
        let mut file = files::open_no_follow(&path).with_context(reading)?;

        read(&mut file)
            .map_err(ReadError::into_error)
            .with_context(reading)
    }

    /// True if neither a manifest nor an event is in it: a feed that nothing was exported to yet.
    pub fn is_empty(&self) -> Result<bool> {
        let path = self.folder.join(MANIFEST);
        Ok(!is_there(&path)? && self.list_event_files()?.is_empty())
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
                    // Under the lock nobody writes here, so what is not whole was left by a run
                    // that died.
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

        bail!(
            "the feed's folder is held by another run, or by whoever else has {} open: try again \
             later, and take the file away if no run is under way",
            path.display()
        )
    }

    /// Which of these events have a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn find_events(&self, uuids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        let mut there = Vec::new();
        for uuid in uuids {
            let path = self.event_path(uuid);
            if is_there(&path)? {
                there.push((*uuid, self.read_head(uuid)?));
            }
        }

        Ok(there)
    }

    /// What an event file holds. Its objects have no numbers, so their uuids stand for these.
    ///
    /// # Errors
    /// A file that is broken.
    pub fn read_content(&self, uuid: &Uuid, event: Event) -> Result<EventContent> {
        let (mut attributes, mut reports) = (Vec::new(), Vec::new());
        let (mut objects, mut unreadable) = (HashMap::new(), Vec::new());

        let mut on = |element| {
            let attribute: Attribute = match element {
                Element::Good(attribute) => attribute,
                Element::Bad(flaw) => return unreadable.push(flaw.describe("an attribute")),
            };
            if let Ok(object) = Uuid::parse_str(&attribute.object_id) {
                objects.insert(attribute.object_id.clone(), object);
            }
            attributes.push(attribute);
        };

        self.for_each_part(uuid, &mut on, &mut |report| reports.push(report))?;

        Ok(EventContent {
            event,
            attributes,
            objects,
            open_objects: HashSet::new(),
            reports,
            unreadable,
        })
    }

    fn read_head(&self, uuid: &Uuid) -> Result<Event> {
        self.for_each_part(uuid, &mut drop, &mut drop)
    }

    /// Every attribute of an event file, those in objects too, with the object's uuid as
    /// `object_id`, and every report; gives the event's head.
    fn for_each_part(
        &self,
        uuid: &Uuid,
        on: &mut dyn FnMut(Element<Attribute>),
        on_report: &mut dyn FnMut(Report),
    ) -> Result<Event> {
        let mut each = |element: Element<Attribute>, object: &str| {
            on(element.map(|attribute| Attribute {
                object_id: object.to_owned(),
                ..attribute
            }));
        };

        let mut on = |piece| {
            match piece {
                EventPart::Attribute(element) => each(*element, ""),
                EventPart::Object(Element::Good(object)) => {
                    object
                        .attributes
                        .into_iter()
                        .for_each(|element| each(element, &object.uuid));
                }
                EventPart::Object(Element::Bad(flaw)) => each(Element::Bad(flaw), ""),
                EventPart::Report(report) => {
                    report.into_option().into_iter().for_each(&mut *on_report)
                }
            }

            Ok(())
        };

        self.read_file_with(&event_file_name(uuid), |file| {
            Ok(read_pieces(file, uuid, &mut on)?)
        })
    }

    /// Writes the changes, then brings manifest and hashes in line with the event files. A file
    /// that would not change is not written.
    ///
    /// # Errors
    /// What could not be read or written.
    pub fn apply(
        &self,
        changes: &EventChanges<'_>,
        attachments: &dyn AttachmentSource,
        sending: &mut WriteLog,
    ) -> Result<()> {
        if !changes.is_empty() {
            let path = self.event_path(&changes.uuid);
            let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            let mut file = read_json_file(&path)?.unwrap_or_else(|| self.new_event(changes));
            let no_event = || anyhow!("{} is no event file", path.display());
            let event = file
                .get_mut("Event")
                .and_then(Value::as_object_mut)
                .with_context(no_event)?;
            let room = LARGEST_FILE.saturating_sub(size) / 2;
            let edit = EventFileEditor {
                timestamp: self.clock.now.to_string(),
                event,
                room,
            };

            let done = edit
                .apply_all(changes, attachments, sending)
                .with_context(no_event)?;
            // A file is there whole or not at all, so an error means that nothing was changed.
            self.write_if_changed(&event_file_name(&changes.uuid), &format!("{file:#}\n"))?;
            sending.record_sent(done, true);
        }

        self.write_manifest_and_hashes(sending)
    }

    fn new_event(&self, changes: &EventChanges<'_>) -> Value {
        let header = &changes.header;
        let extends = header.extends.map(|uuid| uuid.to_string());
        // A feed has no list of tags: every name is taken as it is.
        let mut event = request_bodies::event(&changes.uuid, header, &TagResolution::default());
        json::set(&mut event, "publish_timestamp", json!("0"));
        json::set(&mut event, "timestamp", json!(self.clock.now.to_string()));
        json::set(
            &mut event,
            "extends_uuid",
            json!(extends.unwrap_or_default()),
        );
        json::set(&mut event, "Orgc", header.organisation.clone());
        json::set(&mut event, "Attribute", json!([]));
        json::set(&mut event, "Object", json!([]));

        json!({"Event": event})
    }

    /// Rebuilds `manifest.json` and `hashes.csv` from the event files, each read as a stream.
    fn write_manifest_and_hashes(&self, sending: &mut WriteLog) -> Result<()> {
        let mut manifest = Map::new();
        let mut hashes = String::new();

        for uuid in self.list_event_files()? {
            match self.build_manifest_entry(&uuid, &mut hashes) {
                Ok(entry) => drop(manifest.insert(uuid.to_string(), entry)),
                Err(error) => {
                    sending.remarks.push(format!(
                        "{uuid}.json is left out of the feed's manifest: {error:#}"
                    ));
                }
            }
        }

        self.write_if_changed(HASHES, &hashes)?;

        self.write_if_changed(MANIFEST, &format!("{:#}\n", Value::Object(manifest)))
    }

    /// The manifest's entry of an event file; its hashes are added to `hashes`.
    fn build_manifest_entry(&self, uuid: &Uuid, hashes: &mut String) -> Result<Value> {
        let mut lines = BTreeSet::new();

        let mut add_hashes = |element| {
            let Element::Good(attribute) = element else {
                return;
            };
            let attribute: Attribute = attribute;
            if attribute.deleted != Some(true) {
                lines.extend(
                    value_halves(&attribute).map(|half| format!("{},{uuid}\n", md5_hex(half))),
                );
            }
        };
        let event = self.for_each_part(uuid, &mut add_hashes, &mut drop)?;

        hashes.extend(lines);
        Ok(event.to_manifest_entry())
    }

    /// A file that would not change is not written.
    fn write_if_changed(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        let mut present = Vec::new();
        // One byte more than the new text is enough to see that the file has another.
        let most = text.len() as u64 + 1;
        let read =
            files::open_no_follow(&path).and_then(|file| file.take(most).read_to_end(&mut present));
        if read.is_ok() && present == text.as_bytes() {
            return Ok(());
        }

        files::write_atomically(&self.folder, name, text.as_bytes())
            .with_context(|| format!("writing {}", path.display()))
    }

    /// The event files, by uuid; other files of the folder are not ours to read.
    fn list_event_files(&self) -> Result<Vec<Uuid>> {
        let reading = || format!("reading the folder {}", self.folder.display());
        let mut uuids = Vec::new();

        for entry in fs::read_dir(&self.folder).with_context(reading)? {
            let name = entry.with_context(reading)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            uuids.extend(
                // Only names that this program gives: the parser reads other spellings of a uuid,
                // too.
                stem.filter(|stem| stem.len() == 36)
                    .and_then(|stem| Uuid::parse_str(stem).ok()),
            );
        }

        uuids.sort_unstable();

        Ok(uuids)
    }

    fn event_path(&self, event: &Uuid) -> PathBuf {
        self.folder.join(event_file_name(event))
    }
}

fn read_json_file(path: &Path) -> Result<Option<Value>> {
    let reading = || format!("reading {}", path.display());
    let file = match files::open_no_follow(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(reading),
    };

    let mut text = Vec::new();
    file.take(LARGEST_FILE)
        .read_to_end(&mut text)
        .with_context(reading)?;

    serde_json::from_slice(&text)
        .map(Some)
        .with_context(reading)
}

/// True if something stands at a path, be it a link that leads nowhere.
fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// What a feed's reader searches for: the value, or both halves of a composite.
fn value_halves(attribute: &Attribute) -> impl Iterator<Item = &str> {
    let is_composite = attribute.kind.contains('|') || attribute.kind == "malware-sample";
    let halves = attribute.value.split_once('|').filter(|_| is_composite);
    let (first, second) = halves.map_or((attribute.value.as_str(), None), |(first, second)| {
        (first, Some(second))
    });
    std::iter::once(first).chain(second)
}

/// An event file while it is changed: what a producer wrote beside stays as it is.
struct EventFileEditor<'e> {
    /// Now, in seconds since 1970.
    timestamp: String,
    event: &'e mut Map<String, Value>,
    /// So many more bytes of files may be added.
    room: u64,
}

impl EventFileEditor<'_> {
    /// All of the changes; gives the attributes concerned. None if the file is no event's.
    fn apply_all(
        mut self,
        changes: &EventChanges<'_>,
        attachments: &dyn AttachmentSource,
        sending: &mut WriteLog,
    ) -> Option<Vec<Uuid>> {
        self.patch_event(changes.event);
        let mut done = Vec::new();
        for edit in &changes.edits {
            self.patch_attribute(&edit.uuid, edit.change);
            done.push(edit.uuid);
        }
        for removed in &changes.removals {
            self.remove(removed);
            done.push(*removed);
        }

        for attribute in &changes.additions {
            match self
                .build_attribute(attribute, attachments)
                .and_then(|body| self.reserve_room(body))
            {
                Ok(body) => {
                    self.add(attribute, body)?;
                    done.push(attribute.uuid);
                }
                Err(error) => sending
                    .record_refusal(attribute, format!("the file could not be read: {error:#}")),
            }
        }

        self.event
            .insert("timestamp".to_owned(), Value::from(self.timestamp));

        Some(done)
    }

    fn build_attribute(
        &self,
        attribute: &AttributeDraft,
        attachments: &dyn AttachmentSource,
    ) -> Result<Value> {
        let content = attachments.load_payload(attribute)?;
        let mut body =
            request_bodies::attribute(attribute, content.as_ref(), &TagResolution::default());
        json::set(&mut body, "timestamp", json!(self.timestamp));
        json::set(&mut body, "deleted", json!(false));
        json::set(
            &mut body,
            "disable_correlation",
            json!(attribute.is_uncorrelated),
        );
        Ok(body)
    }

    /// Refuses a file with which the event's file could not be read any more.
    fn reserve_room(&mut self, body: Value) -> Result<Value> {
        let size = body.get("data").and_then(Value::as_str).map_or(0, str::len) as u64;
        ensure!(
            size <= self.room,
            "the event's file in the feed would become too large"
        );
        self.room -= size;
        Ok(body)
    }

    fn add(&mut self, attribute: &AttributeDraft, body: Value) -> Option<()> {
        let kind = match attribute.place {
            Some(_) => "Object",
            None => "Attribute",
        };
        let list = self.event.entry(kind).or_insert_with(|| json!([]));
        let objects = list.as_array_mut()?;
        let Some(place) = &attribute.place else {
            objects.push(body);
            return Some(());
        };

        let uuid = json!(place.object);
        let is_meant = |object: &Value| object.get("uuid") == Some(&uuid);
        let at = match objects.iter().position(is_meant) {
            Some(at) => at,
            None => {
                let mut object = request_bodies::object(&place.object, Vec::new());
                json::set(&mut object, "timestamp", json!(self.timestamp));
                objects.push(object);
                objects.len() - 1
            }
        };

        objects
            .get_mut(at)?
            .get_mut("Attribute")?
            .as_array_mut()?
            .push(body);

        Some(())
    }

    fn patch_event(&mut self, head: &EventPatch) {
        patch_members(self.event, request_bodies::event_patch(head));
        if let Some(change) = &head.report {
            self.change_report(change);
        }
    }

    fn change_report(&mut self, change: &ReportChange) {
        let list = self.event.entry("EventReport").or_insert_with(|| json!([]));
        let Some(reports) = list.as_array_mut() else {
            return;
        };
        let patch = match change {
            ReportChange::Remove(uuid) => return reports.retain(|report| !has_uuid(report, uuid)),
            ReportChange::Write(patch) => patch,
        };

        let at = reports
            .iter()
            .position(|report| has_uuid(report, &patch.uuid));
        let at = at.unwrap_or_else(|| {
            reports.push(json!({"deleted": false}));
            reports.len() - 1
        });
        if let (Some(report), Value::Object(members)) = (
            reports.get_mut(at).and_then(Value::as_object_mut),
            request_bodies::report(patch),
        ) {
            report.extend(members);
            report.insert("timestamp".to_owned(), json!(self.timestamp));
        }
    }

    fn patch_attribute(&mut self, uuid: &Uuid, change: &AttributePatch) {
        let mut patch = request_bodies::attribute_patch(uuid, change);
        json::set(&mut patch, "timestamp", json!(self.timestamp));
        // A feed's file has a boolean where the API takes a number.
        if let Some(deleted) = change.deleted {
            json::set(&mut patch, "deleted", json!(deleted));
        }

        for list in attribute_lists(self.event) {
            for attribute in list
                .iter_mut()
                .filter(|attribute| has_uuid(attribute, uuid))
                .filter_map(Value::as_object_mut)
            {
                patch_members(attribute, patch.clone());
            }
        }
    }

    /// Takes an attribute out, and its object with the last one.
    fn remove(&mut self, uuid: &Uuid) {
        attribute_lists(self.event)
            .into_iter()
            .for_each(|list| list.retain(|attribute| !has_uuid(attribute, uuid)));
        if let Some(objects) = self.event.get_mut("Object").and_then(Value::as_array_mut) {
            let is_emptied = |object: &Value| {
                object
                    .get("Attribute")
                    .and_then(Value::as_array)
                    .is_some_and(Vec::is_empty)
            };

            objects.retain(|object| !is_emptied(object));
        }
    }
}

/// The lists of attributes in an event: its own, and those of its objects.
fn attribute_lists(event: &mut Map<String, Value>) -> Vec<&mut Vec<Value>> {
    let mut lists = Vec::new();

    for (name, value) in event.iter_mut() {
        match (name.as_str(), value) {
            ("Attribute", Value::Array(list)) => lists.push(list),
            ("Object", Value::Array(objects)) => {
                let of_objects = objects
                    .iter_mut()
                    .filter_map(|object| object.get_mut("Attribute")?.as_array_mut());
                lists.extend(of_objects);
            }
            _ => {}
        }
    }

    lists
}

fn has_uuid(attribute: &Value, uuid: &Uuid) -> bool {
    let written = attribute
        .get("uuid")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Uuid::parse_str(written).is_ok_and(|written| written == *uuid)
}

/// Sets what a patch names; its tags are added, or taken off by `deleted`.
fn patch_members(holder: &mut Map<String, Value>, patch: Value) {
    let Value::Object(mut patch) = patch else {
        return;
    };
    // Tags are added or taken off one by one; all else replaces what is there.
    let tags = patch.shift_remove("Tag");
    holder.extend(patch);
    let Some(Value::Array(tags)) = tags else {
        return;
    };
    let list = holder.entry("Tag").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else {
        return;
    };
    let name = |tag: &Value| {
        tag.get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    };

    for tag in tags {
        list.retain(|known| name(known) != name(&tag));
        if tag.get("deleted").is_none() {
            list.push(tag);
        }
    }
}
