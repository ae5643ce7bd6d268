//! Which values stand on MISP's warninglists: asked for those of several events at once, and for
//! what is not among them by event.

use std::collections::HashMap;

use anyhow::Result;

use crate::json::Element;
use crate::misp::{Chunk, Misp};

/// No observable that a warninglist may have is longer, in bytes.
const LONGEST: usize = 2_048;

/// The warninglists of values that were asked about.
#[derive(Default)]
pub struct WarninglistHits {
    lists: HashMap<String, Vec<String>>,
}

impl WarninglistHits {
    /// Asks about the values of these events, and the halves of composite ones.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn of_events<'c>(misp: &Misp, events: impl Iterator<Item = &'c Chunk>) -> Result<Self> {
        let rows = events.flat_map(|event| &event.rows);
        let values = rows.filter_map(|row| match &row.attribute {
            Element::Good(attribute) => Some(attribute.value.as_str()),
            Element::Bad(_) => None,
        });
        let halves = |value: &'c str| value.split_once('|').map(|(one, other)| [one, other]);
        let values = values.flat_map(|value| {
            let halves = halves(value).into_iter().flatten();
            std::iter::once(value).chain(halves)
        });

        let mut hits = Self::default();
        hits.ask(misp, values.filter(|value| value.len() <= LONGEST))?;
        Ok(hits)
    }

    /// Asks about the values that were not asked about yet.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn ask<'v>(&mut self, misp: &Misp, values: impl Iterator<Item = &'v str>) -> Result<()> {
        let mut new: Vec<&str> = values.filter(|value| !self.has(value)).collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return Ok(());
        }

        let mut found = misp.ask_server(|server| server.check_warninglists(&new))?;
        for value in new {
            let lists = found.remove(value).unwrap_or_default();
            self.lists.insert(value.to_owned(), lists);
        }
        Ok(())
    }

    /// True if a value was asked about.
    pub fn has(&self, value: &str) -> bool {
        self.lists.contains_key(value)
    }

    /// The warninglists that have a value.
    pub fn lists_of(&self, value: &str) -> &[String] {
        self.lists.get(value).map_or(&[], Vec::as_slice)
    }
}
