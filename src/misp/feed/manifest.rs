//! A manifest while it is read, if need be several times: what was handed over once is not handed over again.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use anyhow::{Result, ensure};

use crate::json::{Element, Source};
use crate::misp::wire::{Entries, Event};
use crate::misp::{Listed, Window};

const CHANGED: &str = "the feed's manifest changed while it was read: the rest comes with the next run";

/// A manifest while it is read.
pub(super) struct Reading<'r> {
    since: i64,
    on: &'r mut dyn FnMut(Listed) -> Result<()>,
    handed: Seen,
}

/// The entries of a manifest up to one of them: how many, and a digest of their keys.
#[derive(Clone, Default)]
struct Seen {
    entries: u64,
    keys: DefaultHasher,
}

impl Seen {
    fn note(&mut self, key: &str) {
        self.entries += 1;
        key.hash(&mut self.keys);
    }
}

impl<'r> Reading<'r> {
    pub(super) fn new(window: &Window, on: &'r mut dyn FnMut(Listed) -> Result<()>) -> Self {
        Self { since: window.since, on, handed: Seen::default() }
    }

    /// Reads it from its start, and goes on behind what was handed over. The inner error is one after which reading it once
    /// more cannot help: the handler's own, or that the manifest is not the same any more.
    pub(super) fn attempt(&mut self, manifest: impl Read) -> Result<Result<()>> {
        let Self { since, on, handed } = self;
        let mut seen = Seen::default();
        let mut is_stopped = false;
        let mut entry = |key: String, entry: Element<Event>| {
            seen.note(&key);
            let taken = match seen.entries.cmp(&handed.entries) {
                Ordering::Less => Ok(()),
                Ordering::Equal => is_same(&seen, handed),
                Ordering::Greater => {
                    *handed = seen.clone();
                    hand_over(key, entry, *since, on)
                }
            };
            is_stopped |= taken.is_err();
            taken
        };
        let read = Source::collected(manifest).read(|hand| Entries { hand, on: &mut entry });
        match read {
            Err(error) if !is_stopped => Err(error),
            read => Ok(read.and_then(|()| {
                ensure!(seen.entries >= handed.entries, CHANGED);
                Ok(())
            })),
        }
    }
}

fn is_same(seen: &Seen, handed: &Seen) -> Result<()> {
    ensure!(seen.keys.finish() == handed.keys.finish(), CHANGED);
    Ok(())
}

fn hand_over(uuid: String, entry: Element<Event>, since: i64, on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
    match entry {
        Element::Good(event) if event.timestamp.unwrap_or(i64::MAX) < since => Ok(()),
        Element::Good(mut event) => {
            event.uuid = uuid;
            event.published = Some(true);
            on(Listed::new(Element::Good(event)))
        }
        bad @ Element::Bad(_) => on(Listed::new(bad)),
    }
}
