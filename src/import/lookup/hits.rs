//! What a search came upon, by event: counts, and the first attributes as the report shows them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::misp::search::Hit;
use crate::misp::wire::{Attribute, Event};
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReporter, Match};
use crate::types::Likeness;

/// Events told apart for one value on one connection.
const MOST_EVENTS: usize = 5_000;
/// Attributes shown of each event.
const SHOWN_MATCHES: usize = 20;
/// Tags shown of each attribute.
const SHOWN_TAGS: usize = 20;
/// Attributes shown in all, so that what is kept is bounded.
const MOST_MATCHES: usize = 10_000;

/// The events that know a value.
pub type Events = BTreeMap<Uuid, EventHits>;

/// What is known of one event.
#[derive(Default)]
pub struct EventHits {
    /// Its attributes that have the value.
    pub attributes: u64,
    /// Those of them that are meant for detection.
    pub ids_attributes: u64,
    /// True if one of them has it as it was looked up.
    pub is_same: bool,
    /// The first of them.
    pub matches: Vec<Match>,
    /// Why it could not be read, if so.
    pub unreadable: Option<String>,
}

/// What a search came upon so far.
pub struct HitCollector<'a> {
    part: &'a ConnectionReporter,
    events: Events,
    /// The heads of events that were read with their attributes.
    heads: Vec<(Uuid, Event)>,
    matches: usize,
    beyond: u64,
    is_flawed: bool,
}

impl<'a> HitCollector<'a> {
    pub fn new(part: &'a ConnectionReporter) -> Self {
        Self {
            part,
            events: Events::new(),
            heads: Vec::new(),
            matches: 0,
            beyond: 0,
            is_flawed: false,
        }
    }

    /// Takes what the search came upon. A deleted attribute makes no event known.
    pub fn add_hit(&mut self, hit: Hit) {
        let part = self.part;
        match hit {
            Hit::Attribute { attribute, .. } if attribute.deleted == Some(true) => {
                part.count_fetched(ItemKind::Attributes, 1);
                part.record(
                    ItemKind::Attributes,
                    &Verdict::Skipped("deleted".to_owned()),
                    1,
                );
            }
            Hit::Attribute {
                event,
                attribute,
                likeness,
                sightings,
            } => {
                part.count_fetched(ItemKind::Attributes, 1);
                self.add_attribute(&event, &attribute, likeness, sightings);
            }
            Hit::Event { event, head } => {
                if self.events.contains_key(&event) {
                    self.heads.push((event, *head));
                }
            }
            Hit::Unreadable { event, reason } => {
                if let Some(known) = self.event_entry(&event) {
                    known.unreadable = Some(reason);
                }
            }
            Hit::Bad(problem) => {
                part.count_fetched(ItemKind::Attributes, 1);
                self.is_flawed = true;
                part.record(ItemKind::Attributes, &Verdict::Failed(problem.clone()), 1);
                part.add_failure(problem);
            }
        }
    }

    fn add_attribute(
        &mut self,
        event: &Uuid,
        attribute: &Attribute,
        likeness: Likeness,
        sightings: u64,
    ) {
        let is_shown = self.matches < MOST_MATCHES;
        let shown = is_shown.then(|| Match {
            differs: likeness.describe(),
            ..self.build_match(attribute, sightings)
        });
        let Some(known) = self.event_entry(event) else {
            self.beyond += 1;
            let rule = format!("in more than {MOST_EVENTS} events");
            return self
                .part
                .record(ItemKind::Attributes, &Verdict::Skipped(rule), 1);
        };

        known.attributes += 1;
        known.is_same |= likeness == Likeness::Same;
        known.ids_attributes += u64::from(attribute.to_ids == Some(true));

        if let Some(shown) = shown.filter(|_| known.matches.len() < SHOWN_MATCHES) {
            known.matches.push(shown);
            self.matches += 1;
        }
    }

    /// What is known of an event; none if it is one too many.
    fn event_entry(&mut self, event: &Uuid) -> Option<&mut EventHits> {
        if !self.events.contains_key(event) {
            if self.events.len() >= MOST_EVENTS {
                return None;
            }
            self.part.count_fetched(ItemKind::Events, 1);
        }

        Some(self.events.entry(*event).or_default())
    }

    fn build_match(&self, attribute: &Attribute, sightings: u64) -> Match {
        let run = &self.part.run;
        Match {
            uuid: run.report_text(&attribute.uuid),
            attribute: run.report_text(&format!("{}/{}", attribute.category, attribute.kind)),
            value: run.report_text(&attribute.value),
            differs: "",
            to_ids: attribute.to_ids == Some(true),
            tags: attribute
                .tags
                .iter()
                .take(SHOWN_TAGS)
                .map(|tag| run.report_text(&tag.name))
                .collect(),
            sightings,
            comment: run.report_text(&attribute.comment),
            object_relation: run.report_text(&attribute.object_relation),
        }
    }

    /// True if not all that it came upon could be understood, or kept.
    pub fn is_incomplete(&self) -> bool {
        self.beyond > 0 || self.is_flawed
    }

    /// The events, once the search is over, and the heads that came with them.
    pub fn finish(self) -> (Events, Vec<(Uuid, Event)>) {
        if self.beyond > 0 {
            self.part.warn(format!(
                "the value is in more than {MOST_EVENTS} events: {} attributes of further events \
                 are counted and not shown",
                self.beyond
            ));
        }

        (self.events, self.heads)
    }
}
