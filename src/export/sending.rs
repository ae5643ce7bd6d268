//! What was sent to a MISP and what it said: by this, and by a look at the event, every missing attribute is told from the
//! others. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::plan::WantedAttribute;
use crate::ledger::Verdict;

/// What was sent, and what was said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// Requests that were answered well, or not at all: something may have changed.
    pub effects: u64,
    /// Attributes that were sent, and whether the request was answered.
    pub sent: BTreeMap<Uuid, bool>,
    /// Attributes that were refused, and why.
    pub reasons: BTreeMap<Uuid, String>,
    /// True if the event could not be looked at afterwards.
    pub is_unseen: bool,
    /// What else is worth telling.
    pub remarks: Vec<String>,
}

impl Sending {
    /// True if something may have changed.
    #[must_use]
    pub fn had_effect(&self) -> bool {
        self.effects > 0
    }

    /// Remembers a request and the attributes it carried; `answered` is false if MISP may still be working on it.
    pub fn sent<'a>(&mut self, attributes: impl IntoIterator<Item = &'a WantedAttribute>, answered: bool) {
        self.effects += 1;
        self.sent.extend(attributes.into_iter().map(|attribute| (attribute.uuid, answered)));
    }

    /// What is to be thought of an attribute that is not there.
    pub(super) fn missing(&self, attribute: &WantedAttribute) -> Verdict {
        let refused = self.reasons.get(&attribute.uuid).map(|reason| format!("refused by MISP: {reason}"));
        let sent = match self.sent.get(&attribute.uuid) {
            None => super::NOT_SENT,
            Some(true) if !self.is_unseen => "lost: MISP took it without an error and does not hold it",
            Some(_) => "not verified",
        };
        Verdict::Failed(refused.unwrap_or_else(|| sent.to_owned()))
    }
}
