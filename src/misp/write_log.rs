//! What was sent to a MISP and what it said: by this, and by a look at the event, every missing
//! attribute is told from the others. Pure.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::draft::AttributeDraft;
use super::wire::Event;

/// How MISP says that a uuid is in use
/// (`fixtures/wire/misp/416-attributes-add-known-uuid-in-list.json`).
const NOT_UNIQUE: &str = "UUID provided is not unique";

/// What was sent, and what was said about it.
#[derive(Clone, Debug, Default)]
pub struct WriteLog {
    /// Requests that were answered well, or not at all: something may have changed.
    pub effects: u64,
    /// Attributes that were sent, and whether the request was answered.
    pub sent: BTreeMap<Uuid, bool>,
    /// Attributes that went out in a list of new objects, of which MISP leaves out what it dislikes
    /// without a word.
    pub in_lists: BTreeSet<Uuid>,
    /// Attributes that did not go out or were refused, and why.
    pub reasons: BTreeMap<Uuid, String>,
    /// Attributes sent at once, if a longer list was not answered in time.
    pub batch: Option<usize>,
    /// The event as MISP answered when it made it.
    pub event: Option<Event>,
    /// True if MISP would not make the event; if it is there all the same, another run was faster.
    pub was_taken: bool,
    /// True if the event could not be looked at afterwards.
    pub is_unseen: bool,
    /// True if all but new IOCs waits: the event is published, and MISP took none of them.
    pub waits: bool,
    /// What else is worth telling.
    pub remarks: Vec<String>,
}

/// Why a write stopped.
#[derive(Debug)]
pub enum WriteStop {
    /// It was not answered: MISP may still be working on it, so a look tells how to go on.
    Look(anyhow::Error),
    /// The event was not made: somebody may have made it already, so a look tells how to go on.
    Taken {
        /// What was answered.
        error: anyhow::Error,
        /// True if MISP says that there is such an event.
        is_hidden: bool,
    },
    /// It was refused.
    No(anyhow::Error),
}

impl WriteStop {
    /// The error, whatever may be done about it.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Look(error) | Self::Taken { error, .. } | Self::No(error) => error,
        }
    }
}

impl From<anyhow::Error> for WriteStop {
    fn from(error: anyhow::Error) -> Self {
        Self::No(error)
    }
}

impl WriteLog {
    /// True if something may have changed.
    pub fn had_effect(&self) -> bool {
        self.effects > 0
    }

    /// Remembers a request and the attributes it carried; `answered` is false if MISP may still be
    /// working on it.
    pub fn record_sent(&mut self, attributes: impl IntoIterator<Item = Uuid>, answered: bool) {
        self.effects += 1;
        self.sent
            .extend(attributes.into_iter().map(|uuid| (uuid, answered)));
    }

    /// How it would be if these attributes were sent and the run ended before an answer came.
    pub fn as_if_unanswered(&self, attributes: impl IntoIterator<Item = Uuid>) -> Self {
        let mut underway = Self {
            is_unseen: true,
            ..self.clone()
        };
        underway.record_sent(attributes, false);
        underway
    }

    /// Remembers why an attribute did not go out.
    pub fn record_refusal(&mut self, attribute: &AttributeDraft, reason: String) {
        self.reasons.insert(attribute.uuid, reason);
    }

    /// False for what was refused before.
    pub fn may_send(&self, attribute: &Uuid) -> bool {
        !self.reasons.contains_key(attribute)
    }

    /// True for what went out in a list of new objects: if it is missing, MISP has not said why.
    pub fn went_in_list(&self, attribute: &Uuid) -> bool {
        self.in_lists.contains(attribute)
    }

    /// True for what was refused because its uuid is in use already.
    pub fn is_held_elsewhere(&self, attribute: &Uuid) -> bool {
        self.reasons
            .get(attribute)
            .is_some_and(|reason| reason.contains(NOT_UNIQUE))
    }

    /// Forgets that an attribute was refused: it goes out with another uuid, or in another object.
    pub fn clear_refusal(&mut self, attribute: &Uuid) {
        self.reasons.remove(attribute);
    }

    /// True if an attribute that is there can be of our making: it was sent, and MISP did not say
    /// that it had it already.
    pub fn may_have_added(&self, uuid: &Uuid) -> bool {
        self.sent.contains_key(uuid) && !self.is_held_elsewhere(uuid)
    }
}
