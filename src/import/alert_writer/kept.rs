//! What of an alert is otherwise than the event alone would have it, since people worked on it:
//! every such thing is told.

use crate::import::sync_state::Field;

/// Names that are told, before their number is.
const NAMED: usize = 3;

/// What people did to an alert, and what became of that.
#[derive(Default)]
pub struct KeptParts {
    /// Fields that stay as somebody edited them, though the event says otherwise.
    pub fields: Vec<Field>,
    /// Observables that stay as somebody edited them, though the event says otherwise.
    pub edited: Named,
    /// Observables that stay since somebody edited or sighted them, though the event has them no
    /// more.
    pub over: Named,
    /// Observables that the event had before and the alert had no more: they are in again.
    pub back: Named,
}

/// So many, and the first of them by name.
#[derive(Default)]
pub struct Named {
    pub number: u64,
    first: Vec<String>,
}

impl Named {
    /// Takes note of one more.
    pub fn note(&mut self, name: &str) {
        self.number += 1;
        if self.first.len() < NAMED {
            self.first.push(name.to_owned());
        }
    }

    /// The first ones as `shown`, and how many more there are.
    pub fn names(&self, shown: impl Fn(&str) -> String) -> String {
        let named: Vec<_> = self.first.iter().map(|name| shown(name)).collect();
        let named = named.join(", ");
        match self.number - self.first.len() as u64 {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}
