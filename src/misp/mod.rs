//! What we ask of a MISP, as functions named after the question. A MISP is a server or a feed; which one is decided
//! here and nowhere else.

pub mod feed;
pub mod server;
pub mod wire;

use anyhow::Result;
use uuid::Uuid;

use crate::config::connections::{Connection, Target};
use crate::export::plan::{Plan, Wanted};
use crate::export::sending::Sending;
use crate::full::{Kind, PartOf};
use crate::http::Network;
use crate::types::ServerTypes;
use feed::Feed;
use server::Server;
use wire::{Attribute, Event, Piece};

/// A MISP that can be asked.
pub enum Misp {
    /// A server, over HTTP.
    Server(Box<Server>),
    /// A feed, in a folder.
    Feed(Feed),
}

/// Which events are listed.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Published or changed since this moment, in seconds since 1970; 0 for all.
    pub since: i64,
    /// Published ones only. What stands in a feed counts as published.
    pub published_only: bool,
}

/// What an event on a MISP holds, as far as an export has to know.
#[derive(Clone, Debug)]
pub struct Held {
    /// The event's head.
    pub event: Event,
    /// Its attributes, soft-deleted ones included, those in objects too.
    pub attributes: Vec<Attribute>,
}

impl Misp {
    /// Makes ready to ask; a server is not asked anything yet, a feed's folder is looked at.
    ///
    /// # Errors
    /// What the connection lacks.
    pub fn open(connection: &Connection, network: &Network, part: &PartOf) -> Result<Self> {
        match &connection.target {
            Target::Server { .. } => {
                Server::open(connection, network, part).map(|server| Self::Server(Box::new(server)))
            }
            Target::Feed { folder, .. } => Feed::open(folder, network.clock()).map(Self::Feed),
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(connection: &Connection) -> Kind {
        match connection.target {
            Target::Server { .. } => Kind::Server,
            Target::Feed { .. } => Kind::Feed,
        }
    }

    /// The version that a server names; none for a feed.
    ///
    /// # Errors
    /// That the server cannot be reached, refuses the key, or is no MISP.
    pub fn version(&self) -> Result<Option<String>> {
        match self {
            Self::Server(server) => server.version().map(Some),
            Self::Feed(_) => Ok(None),
        }
    }

    /// The attribute types it has, and how it checks them; a feed takes all.
    ///
    /// # Errors
    /// That the server does not describe them.
    pub fn types(&self, version: Option<&str>) -> Result<ServerTypes> {
        match self {
            Self::Server(server) => server.types(version.unwrap_or_default()),
            Self::Feed(_) => Ok(ServerTypes::newest()),
        }
    }

    /// Lists the events of a window, each once, and hands over each that can be read.
    ///
    /// # Errors
    /// What stopped the list; or the handler's own error.
    pub fn list(&self, window: Window, on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        match self {
            Self::Server(server) => server.list(window, on),
            Self::Feed(feed) => feed.list(window, on),
        }
    }

    /// Reads the content of an event, piece by piece.
    ///
    /// # Errors
    /// What stopped the reading; or the handler's own error.
    pub fn read(&self, event: &Uuid, on: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        match self {
            Self::Server(server) => server.read(event, on),
            Self::Feed(feed) => feed.read(event, on),
        }
    }

    /// What an event holds; none if this MISP has no such event, or does not show it to us.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn held(&self, event: &Uuid) -> Result<Option<Held>> {
        match self {
            Self::Server(server) => server.held(event),
            Self::Feed(feed) => feed.held(event),
        }
    }

    /// True if an event may be written by us: a server's event by its own organisation; a feed's by whoever may write
    /// the folder.
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn owns(&self, event: &Event) -> Result<bool> {
        match self {
            Self::Server(server) => server.owns(event),
            Self::Feed(_) => Ok(true),
        }
    }

    /// Carries out a plan. What was refused is told by attribute, also if the writing stops; whether the rest arrived is
    /// for [`Misp::held`] to say. A feed with an empty plan has its manifest brought in line.
    ///
    /// # Errors
    /// What stopped the writing. Some of it may have arrived.
    pub fn apply(&self, wanted: &Wanted, plan: &Plan, sending: &mut Sending) -> Result<()> {
        match self {
            Self::Server(server) => server.apply(wanted, plan, sending),
            Self::Feed(feed) => feed.apply(wanted, plan, sending),
        }
    }

    /// Takes hold of what is to be written, so that no other run writes it at the same time: a feed's folder is locked
    /// until the guard goes. A server orders its writers itself.
    ///
    /// # Errors
    /// That the folder cannot be locked.
    pub fn lock(&self) -> Result<Option<feed::Lock>> {
        match self {
            Self::Server(_) => Ok(None),
            Self::Feed(feed) => feed.lock().map(Some),
        }
    }
}

/// One element of a list of events.
#[derive(Debug)]
pub enum Listed {
    /// An event, with its uuid checked.
    Event(Box<Event>, Uuid),
    /// Something that is no event; the text says what is wrong with it.
    Bad(String),
}

impl Listed {
    /// Checks what was listed.
    #[must_use]
    pub fn new(element: crate::json::Element<Event>) -> Self {
        match element {
            crate::json::Element::Bad(kind) => Self::Bad(format!("an event of the list is {kind}, not an object")),
            crate::json::Element::Good(event) => match Uuid::parse_str(&event.uuid) {
                Ok(uuid) => Self::Event(Box::new(event), uuid),
                Err(_) => Self::Bad("an event of the list has no uuid".to_owned()),
            },
        }
    }
}
