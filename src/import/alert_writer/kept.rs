//! What of an alert is otherwise than the event alone would have it, since people worked on it:
//! every such thing is told.

use crate::import::sync_state::Field;

/// Names that are told, before their number is.
const NAMED: usize = 3;

/// What people did to an alert, and what became of that.
#[derive(Debug, Default)]
pub(in crate::import) struct KeptParts {
    /// Fields that stay as somebody edited them, though the event says otherwise.
    pub(in crate::import) fields: Vec<Field>,
    /// Observables that stay as somebody edited them, though the event says otherwise.
    pub(in crate::import) edited: Named,
    /// Observables that stay since somebody edited or sighted them, though the event has them no
    /// more.
    pub(in crate::import) over: Named,
    /// Observables that the event had before and the alert had no more: they are in again.
    pub(in crate::import) back: Named,
}

/// So many, and the first of them by name.
#[derive(Debug, Default)]
pub(in crate::import) struct Named {
    number: u64,
    first: Vec<String>,
}

impl Named {
    /// Takes note of one more.
    pub(super) fn note(&mut self, name: &str) {
        self.number += 1;
        if self.first.len() < NAMED {
            self.first.push(name.to_owned());
        }
    }

    /// How many there are.
    pub(in crate::import) fn number(&self) -> u64 {
        self.number
    }

    /// The first ones as `shown`, and how many more there are.
    pub(in crate::import) fn names(&self, shown: impl Fn(&str) -> String) -> String {
        let named: Vec<_> = self.first.iter().map(|name| shown(name)).collect();
        let more = self.number - self.first.len() as u64;
        let named = named.join(", ");
        if more > 0 {
            format!("{named} and {more} more")
        } else {
            named
        }
    }
}
