//! What a search came upon, by event: counts, and the first attributes as the report shows them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::misp::search::{Hit, Surroundings};
use crate::misp::server::beside::is_object_number;
use crate::misp::wire::{Attribute, Event};
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReporter, Match};
use crate::types::{Likeness, Relation};

/// Events told apart for one value on one connection.
const MOST_EVENTS: usize = 5_000;
/// Events told apart that have only a related value: each costs a row of a list.
const MOST_RELATED_EVENTS: usize = 500;
/// Attributes shown of each event.
const SHOWN_MATCHES: usize = 20;
/// Related attributes shown of each event.
const SHOWN_RELATED: usize = 5;
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
    /// Its attributes that have a related value, and not this one.
    pub relations: u64,
    /// Those of them that are meant for detection.
    pub ids_relations: u64,
    /// The first of them.
    pub related: Vec<Match>,
    /// Why it could not be read, if so.
    pub unreadable: Option<String>,
}

impl EventHits {
    /// True if it has the value, or it is not known whether it has: related values alone make no
    /// event known.
    pub fn is_known(&self) -> bool {
        self.attributes > 0 || self.unreadable.is_some()
    }
}

/// What a search came upon so far.
pub struct HitCollector<'a> {
    part: &'a ConnectionReporter,
    events: Events,
    /// The heads of events that were read with their attributes.
    heads: Vec<(Uuid, Event)>,
    /// Those of the events that have the value.
    known: usize,
    matches: usize,
    /// What stands beside them, as far as it was read with them.
    beside: Surroundings,
    beyond: u64,
    related_beyond: u64,
    is_flawed: bool,
}

/// What a search came upon.
pub struct Found {
    pub events: Events,
    /// The heads of events that were read with their attributes.
    pub heads: Vec<(Uuid, Event)>,
    /// What stands beside the hits, as far as it was read with them.
    pub beside: Surroundings,
}

impl<'a> HitCollector<'a> {
    pub fn new(part: &'a ConnectionReporter) -> Self {
        Self {
            part,
            events: Events::new(),
            heads: Vec::new(),
            known: 0,
            matches: 0,
            beside: Surroundings::default(),
            beyond: 0,
            related_beyond: 0,
            is_flawed: false,
        }
    }

    /// Takes what the search came upon. A deleted attribute makes no event known.
    pub fn add_hit(&mut self, hit: Hit) {
        let part = self.part;
        match hit {
            Hit::Attribute { attribute, .. } if attribute.deleted == Some(true) => {
                self.skip(ItemKind::Attributes, "deleted");
            }
            Hit::Related { attribute, .. } if attribute.deleted == Some(true) => {
                self.skip(ItemKind::Relations, "deleted");
            }
            Hit::Related {
                event,
                attribute,
                relation,
                sightings,
            } => self.add_related(&event, &attribute, relation, sightings),
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
            Hit::Beside(beside) => self.beside.append(beside),
            Hit::Unreadable { event, reason } => {
                if let Some(known) = self.known_entry(&event) {
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

    /// Counts an item that says nothing.
    fn skip(&self, item: ItemKind, rule: &str) {
        self.part.count_fetched(item, 1);
        self.part
            .record(item, &Verdict::Skipped(rule.to_owned()), 1);
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
        let Some(known) = self.known_entry(event) else {
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

    /// What is known of an event that has the value; none if it is one too many. What is known of
    /// it by related values alone is no reason to turn it away.
    fn known_entry(&mut self, event: &Uuid) -> Option<&mut EventHits> {
        let is_new = !self.events.get(event).is_some_and(EventHits::is_known);
        if is_new && self.known >= MOST_EVENTS {
            return None;
        }
        if is_new {
            self.known += 1;
            self.part.count_fetched(ItemKind::Events, 1);
        }

        Some(self.events.entry(*event).or_default())
    }

    fn add_related(
        &mut self,
        event: &Uuid,
        attribute: &Attribute,
        relation: Relation,
        sightings: u64,
    ) {
        let is_one_too_many = !self.events.contains_key(event)
            && self.events.len().saturating_sub(self.known) >= MOST_RELATED_EVENTS;
        if is_one_too_many {
            self.related_beyond += 1;
            let rule = format!("in more than {MOST_RELATED_EVENTS} related events");
            return self.skip(ItemKind::Relations, &rule);
        }

        let shown = Match {
            related: self.part.run.report_text(&relation.how),
            distance: relation.distance,
            ..self.build_match(attribute, sightings)
        };
        self.part.count_fetched(ItemKind::Relations, 1);
        let found = self.events.entry(*event).or_default();
        found.relations += 1;
        found.ids_relations += u64::from(attribute.to_ids == Some(true));
        // The nearest are shown.
        let place = found
            .related
            .partition_point(|known| known.distance <= shown.distance);
        found.related.insert(place, shown);
        found.related.truncate(SHOWN_RELATED);
    }

    fn build_match(&self, attribute: &Attribute, sightings: u64) -> Match {
        let run = &self.part.run;
        Match {
            uuid: run.report_text(&attribute.uuid),
            attribute: run.report_text(&format!("{}/{}", attribute.category, attribute.kind)),
            value: run.report_text(&attribute.value),
            differs: "",
            related: String::new(),
            distance: 0,
            to_ids: attribute.to_ids == Some(true),
            tags: attribute
                .tags
                .iter()
                .take(SHOWN_TAGS)
                .map(|tag| run.report_text(&tag.name))
                .collect(),
            sightings,
            false_positives: attribute.sightings.false_positives,
            expiration: attribute.sightings.expiration_day(),
            comment: run.report_text(&attribute.comment),
            object_relation: run.report_text(&attribute.object_relation),
            is_in_object: is_object_number(&attribute.object_id),
        }
    }

    /// True if not all that it came upon could be understood, or kept.
    pub fn is_incomplete(&self) -> bool {
        self.beyond > 0 || self.related_beyond > 0 || self.is_flawed
    }

    /// All of it, once the search is over.
    pub fn finish(self) -> Found {
        if self.beyond > 0 {
            self.part.warn(format!(
                "the value is in more than {MOST_EVENTS} events: {} attributes of further events \
                 are counted and not shown",
                self.beyond
            ));
        }

        if self.related_beyond > 0 {
            self.part.warn(format!(
                "related values are in more than {MOST_RELATED_EVENTS} events: {} attributes of \
                 further events are counted and not shown",
                self.related_beyond
            ));
        }

        Found {
            events: self.events,
            heads: self.heads,
            beside: self.beside,
        }
    }
}
