//! What we ask of a MISP, as functions named after the question. A MISP is a server or a feed;
//! which one is decided here and nowhere else.

pub mod changes;
pub mod chunks;
pub mod draft;
pub mod feed;
pub mod request_bodies;
pub mod search;
pub mod server;
pub mod tag_resolution;
pub mod wire;
pub mod write_log;

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail};
use uuid::Uuid;

use crate::config::connections::{Connection, Target};
use crate::http::HttpContext;
use crate::ids::Ids;
use crate::report::{ConnectionKind, ConnectionReporter};
use crate::types::MispCapabilities;
use changes::{AttachmentSource, EventChanges};
pub use chunks::{AttributeRow, Chunk, Missing, ParentObject};
use feed::{Feed, Folder, Web};
use search::{Hit, SearchCoverage, Sought};
use server::Server;
use tag_resolution::TagResolution;
pub use wire::Report;
use wire::{Attribute, Event, Object, SightingKind};
use write_log::{WriteLog, WriteStop};

/// A MISP that can be asked.
pub enum Misp {
    /// A server, over HTTP.
    Server(Box<Server>),
    /// A feed, in a folder or on a web server.
    Feed(Feed),
}

/// Whose an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Our organisation's, who made it here: ours to write.
    Ours,
    /// Our organisation's, who made it on another MISP: it is read only here.
    CameBack,
    /// It names our organisation as its creator, and another one brought it here: by
    /// synchronisation, or by an upload, which names whom it likes (`addMISPExportFile` in MISP's
    /// `Event.php`).
    Brought,
    /// Somebody else's.
    Theirs,
}

/// Which events are listed.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Published or changed since this moment, in seconds since 1970; 0 for all.
    pub since: i64,
    /// Published ones only. What stands in a feed counts as published.
    pub published_only: bool,
    /// What else a server is asked for, so that less is read. Whether it kept to it is for the
    /// caller to check; a feed takes no notice.
    pub only: Vec<IndexFilter>,
}

/// A filter of `events/index`, of whose values one must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFilter {
    /// Its name there: `org`, `tag`, `threatlevel`, `analysis`, `distribution`.
    pub filter: &'static str,
    /// Numbers, as texts: MISP looks at the first sign of each (its `EventsController.php`,
    /// `__setIndexFilterConditions`).
    pub values: Vec<String>,
}

/// What an event on a MISP holds, as far as an export has to know.
#[derive(Clone, Debug, Default)]
pub struct EventContent {
    /// The event's head.
    pub event: Event,
    /// Its attributes, soft-deleted ones included, those in objects too.
    pub attributes: Vec<Attribute>,
    /// Its objects: the uuid by what `object_id` of their attributes says.
    pub objects: HashMap<String, Uuid>,
    /// Those of them that may be seen beyond the own organisation, or would be if somebody shared
    /// the event.
    pub open_objects: HashSet<Uuid>,
    /// Its reports, as far as they were asked for.
    pub reports: Vec<Report>,
    /// What is wrong with attributes of it that cannot be read.
    pub unreadable: Vec<String>,
}

impl EventContent {
    /// The event's uuid.
    pub fn uuid(&self) -> Uuid {
        Uuid::parse_str(&self.event.uuid).unwrap_or_default()
    }

    /// The object that an attribute is in.
    pub fn object_of(&self, attribute: &Attribute) -> Option<Uuid> {
        self.objects.get(&attribute.object_id).copied()
    }

    /// Notes an object.
    pub fn add_object(&mut self, object: &Object) {
        let Ok(uuid) = Uuid::parse_str(&object.uuid) else {
            return;
        };
        if object.deleted != Some(true) && !matches!(object.distribution, Some(0) | None) {
            self.open_objects.insert(uuid);
        }
        self.objects.insert(object.id.clone(), uuid);
    }

    /// True if two looks saw the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.event.timestamp == other.event.timestamp
            && self.attributes == other.attributes
            && self.objects == other.objects
            && self.open_objects == other.open_objects
            && self.reports == other.reports
    }
}

/// An event that is there.
#[derive(Debug)]
pub struct FoundEvent {
    /// Its head.
    pub head: Event,
    /// What it holds, if that came with it.
    pub content: Option<EventContent>,
}

/// Events that there are.
#[derive(Debug, Default)]
pub struct FoundEvents {
    /// Their heads.
    pub heads: Vec<(Uuid, Event)>,
    /// What they hold, as far as that came with them.
    pub contents: HashMap<Uuid, EventContent>,
}

/// What a look at an event is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentOptions {
    /// Sightings are of interest too.
    pub sightings: bool,
    /// Reports are of interest too. Those of a feed's event always come.
    pub reports: bool,
}

impl Misp {
    /// Makes ready to ask; nothing is asked yet, a feed's folder is looked at.
    ///
    /// # Errors
    /// What the connection lacks.
    pub fn open(
        connection: &Connection,
        network: &HttpContext,
        part: &ConnectionReporter,
    ) -> Result<Self> {
        match &connection.target {
            Target::Server { .. } => {
                Server::open(connection, network, part).map(|server| Self::Server(Box::new(server)))
            }
            Target::Feed { folder, .. } => {
                Folder::open(folder, network.clock()).map(|folder| Self::Feed(Feed::Folder(folder)))
            }
            Target::WebFeed { url } => Web::open(url, connection, network, part)
                .map(|web| Self::Feed(Feed::Web(Box::new(web)))),
        }
    }

    /// Names the patterns of tags that decide something: an event keeps such a tag, however many it
    /// has.
    pub fn set_decisive_tags(&mut self, patterns: Vec<String>) {
        match self {
            Self::Server(server) => server.decisive = patterns,
            Self::Feed(feed) => feed.set_decisive_tags(patterns),
        }
    }

    /// Says that what is read is only looked at, and never waits until something else is written: a
    /// server may then be asked for the next part of an event while one is read.
    pub fn read_ahead(&mut self) {
        if let Self::Server(server) = self {
            server.reads_ahead = true;
        }
    }

    /// What it is.
    pub fn kind(connection: &Connection) -> ConnectionKind {
        match connection.target {
            Target::Server { .. } => ConnectionKind::Server,
            Target::Feed { .. } | Target::WebFeed { .. } => ConnectionKind::Feed,
        }
    }

    /// The version that a server names; none for a feed.
    ///
    /// # Errors
    /// That the server cannot be reached, refuses the key, or is no MISP.
    pub fn version(&self) -> Result<Option<String>> {
        self.ask_server(|server| server.version().map(Some))
    }

    /// True if an event may be written by us.
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn may_write(&self, event: &Event, ids: &Ids) -> Result<bool> {
        Ok(self.owner_of(event, ids)? == Whose::Ours)
    }

    /// What a server answers. A feed has nothing of what only a server has.
    ///
    /// # Errors
    /// That of `ask`.
    pub fn ask_server<'a, T: Default>(
        &'a self,
        ask: impl FnOnce(&'a Server) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Server(server) => ask(server),
            Self::Feed(_) => Ok(T::default()),
        }
    }

    /// The attribute types it has, and how it checks them; a feed takes all.
    ///
    /// # Errors
    /// That the server does not describe them.
    pub fn types(&self, version: Option<&str>) -> Result<MispCapabilities> {
        match self {
            Self::Server(server) => server.types(version.unwrap_or_default()),
            Self::Feed(_) => Ok(MispCapabilities::newest()),
        }
    }

    /// Lists the events of a window, each once, and hands over each that can be read.
    ///
    /// # Errors
    /// What stopped the list; or the handler's own error.
    pub fn list_events(
        &self,
        window: Window,
        on: &mut dyn FnMut(IndexEntry) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Server(server) => server.list_events(&window, on),
            Self::Feed(feed) => feed.list_events(&window, on),
        }
    }

    /// Reads the content of an event in chunks; `event` is its row in the list. Neither the event
    /// nor an answer is held whole. Exactly one chunk, the last, has `is_last`; after an error
    /// there was none.
    ///
    /// # Errors
    /// What stopped the reading; or the handler's own error.
    pub fn read_chunks(
        &self,
        uuid: &Uuid,
        event: &Event,
        on: &mut dyn FnMut(Chunk) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Server(server) => server.read_chunks(uuid, event, on),
            Self::Feed(feed) => feed.read_chunks(uuid, event, on),
        }
    }

    /// The content of these small events of a server, of those that came whole by few requests; each
    /// other one is to be read by [`Self::read_chunks`].
    pub fn read_small_events(&self, events: &[(Uuid, &Event)]) -> HashMap<Uuid, Chunk> {
        match self {
            Self::Server(server) => server.read_small_events(events),
            Self::Feed(_) => HashMap::new(),
        }
    }

    /// What the file of a feed's event says of it, since that decides about the event. None for a
    /// server, whose list says it. `check` is told the number of attributes so far, soft-deleted
    /// ones not included.
    ///
    /// # Errors
    /// A file that is missing or broken; or the error of `check`.
    pub fn open_event_file(
        &self,
        uuid: &Uuid,
        event: &Event,
        check: &dyn Fn(u64) -> Result<()>,
    ) -> Result<Option<Opened>> {
        match self {
            Self::Server(_) => Ok(None),
            Self::Feed(feed) => feed.open_event_file(uuid, event, check).map(Some),
        }
    }

    /// These events as the list has them, of those that there are and that are shown to us,
    /// published or not. What stands in a feed counts as published.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn fetch_index_entries(&self, uuids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        match self {
            Self::Server(server) => server.fetch_index_entries(uuids),
            Self::Feed(feed) => feed.fetch_index_entries(uuids),
        }
    }

    /// The file of an attachment, or the zip of a sample, with at most `most` bytes.
    ///
    /// # Errors
    /// That there is none, that it is not shown, or that it is larger; for a feed always.
    pub fn download_attachment(&self, attribute: &Attribute, most: u64) -> Result<Vec<u8>> {
        match self {
            Self::Server(server) => server.download_attachment(attribute, most),
            Self::Feed(_) => bail!("a feed's attachments are not read"),
        }
    }

    /// Which of these events there are, and are shown to us.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_events(&self, events: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
        match self {
            Self::Server(server) => server.find_events(events),
            Self::Feed(feed) => feed.folder()?.find_events(events),
        }
    }

    /// The same, with what they hold as far as a server says it at once.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_contents(&self, events: &[Uuid], look: ContentOptions) -> Result<FoundEvents> {
        match self {
            Self::Server(server) => server.find_contents(events, look),
            Self::Feed(_) => Ok(FoundEvents {
                heads: self.find_events(events)?,
                contents: HashMap::new(),
            }),
        }
    }

    /// Asks for the objects that an event holds, those without attributes too, which do not come
    /// with the event.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn add_empty_objects(&self, content: &mut EventContent) -> Result<()> {
        let uuid = content.uuid();
        self.ask_server(|server| server.add_objects_to(&uuid, content))
    }

    /// Searches for a value and hands over each attribute that has it, or says something of it,
    /// compared here once more.
    ///
    /// # Errors
    /// What stopped the search; or the handler's own error.
    pub fn search(
        &self,
        sought: &Sought<'_>,
        on: &mut dyn FnMut(Hit) -> Result<()>,
    ) -> Result<SearchCoverage> {
        match self {
            Self::Server(server) => server.search(sought, on),
            Self::Feed(feed) => feed.search(sought, on),
        }
    }

    /// What an event that is there holds.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn read_content(
        &self,
        uuid: &Uuid,
        event: Event,
        look: ContentOptions,
    ) -> Result<EventContent> {
        match self {
            Self::Server(server) => server.read_content(uuid, event, look),
            Self::Feed(feed) => feed.folder()?.read_content(uuid, event),
        }
    }

    /// What an event holds; none if this MISP has no such event, or does not show it to us.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn find_content(&self, event: &Uuid, look: ContentOptions) -> Result<Option<EventContent>> {
        match self {
            Self::Server(server) => server.find_content(event, look),
            Self::Feed(_) => {
                let there = self.find_events(&[*event])?.pop();
                there
                    .map(|(uuid, head)| self.read_content(&uuid, head, look))
                    .transpose()
            }
        }
    }

    /// Whose an event is. Of a feed's it is this installation's if its file names that as the
    /// creator.
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn owner_of(&self, event: &Event, ids: &Ids) -> Result<Whose> {
        match self {
            Self::Server(server) => server.owner_of(event),
            Self::Feed(_) => {
                let creator = event
                    .orgc
                    .as_ref()
                    .and_then(|orgc| Uuid::parse_str(&orgc.uuid).ok());
                Ok(if creator == Some(ids.organisation_uuid()) {
                    Whose::Ours
                } else {
                    Whose::Theirs
                })
            }
        }
    }

    /// True if the tags of what is there may be changed.
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn may_set_tags(&self) -> Result<bool> {
        match self {
            Self::Server(server) => Ok(server.account()?.role.sets_tags()),
            Self::Feed(_) => Ok(true),
        }
    }

    /// Adds one sighting of an attribute; `moment` is when, in seconds since 1970, now if not
    /// given.
    ///
    /// # Errors
    /// That it was not added.
    pub fn add_sighting(
        &self,
        attribute: &Uuid,
        kind: SightingKind,
        moment: Option<i64>,
    ) -> Result<()> {
        match self {
            Self::Server(server) => server.add_sighting(attribute, kind, moment),
            Self::Feed(_) => bail!("a feed carries no sightings"),
        }
    }

    /// Carries out a plan. What was refused is told by attribute, also if the writing stops;
    /// whether the rest arrived is for [`Misp::find_content`] to say. A feed with an empty plan has
    /// its manifest brought in line. Before each request `underway` is told how things stand if the
    /// run ends without an answer.
    ///
    /// # Errors
    /// What stopped the writing. Some of it may have arrived.
    pub fn apply(
        &self,
        changes: &EventChanges<'_>,
        names: &TagResolution,
        attachments: &dyn AttachmentSource,
        sending: &mut WriteLog,
        underway: &dyn Fn(&WriteLog),
    ) -> Result<(), WriteStop> {
        match self {
            Self::Server(server) => server::write::ServerWriter {
                server,
                changes,
                names,
                attachments,
                underway,
            }
            .write_all(sending),
            Self::Feed(feed) => {
                underway(&sending.as_if_unanswered(changes.attribute_uuids()));
                feed.folder()
                    .and_then(|folder| folder.apply(changes, attachments, sending))
                    .map_err(WriteStop::No)
            }
        }
    }

    /// Takes hold of what is to be written, so that no other run writes it at the same time: a
    /// feed's folder is locked until the guard goes. A server orders its writers itself.
    ///
    /// # Errors
    /// That the folder cannot be locked.
    pub fn lock(&self) -> Result<Option<feed::Lock>> {
        match self {
            Self::Server(_) => Ok(None),
            Self::Feed(feed) => feed.folder()?.lock().map(Some),
        }
    }
}

/// The event of a feed, as its file has it.
#[derive(Debug)]
pub struct Opened {
    /// Its head, with the number of its attributes.
    pub head: Event,
    /// Its content, if that is one chunk.
    pub whole: Option<Chunk>,
}

/// One element of a list of events.
#[derive(Debug)]
pub enum IndexEntry {
    /// An event, with its uuid checked.
    Event(Box<Event>, Uuid),
    /// Something that is no event; the text says what is wrong with it.
    Bad(String),
}

impl IndexEntry {
    /// Checks what was listed.
    pub fn new(element: crate::json::Element<Event>) -> Self {
        match element {
            crate::json::Element::Bad(flaw) => Self::Bad(flaw.describe("an event of the list")),
            crate::json::Element::Good(event) => match Uuid::parse_str(&event.uuid) {
                Ok(uuid) => Self::Event(Box::new(event), uuid),
                Err(_) if event.id.is_empty() => {
                    Self::Bad("an event of the list has no uuid".to_owned())
                }
                Err(_) => Self::Bad(format!("event {} of the list has no uuid", event.id)),
            },
        }
    }
}
