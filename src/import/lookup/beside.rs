//! The values that stand beside what a look-up found, as artifacts to go on from: mapped as the
//! observables of an import are, those beside hits of the value itself before those beside related
//! ones, and of each those that are meant for detection first.

use std::collections::HashMap;

use anyhow::Result;
use uuid::Uuid;

use super::{LookupEvent, LookupSetup};
use crate::config::LookupArtifacts;
use crate::cortex::markdown::neutralise_words;
use crate::import::chunk_mapping::{self, BatchRow, ChunkContext, RowOutcome};
use crate::import::mapping::{self, Markings, ObservableDraft};
use crate::misp::Misp;
use crate::misp::search::{HitName, KnownHit, MOST_BESIDE, Neighbours, Surroundings};
use crate::misp::server::Server;
use crate::report::ledger::Verdict;
use crate::report::{Artifact, ConnectionReporter, Match};
use crate::text::format_count;
use crate::types::ObservableTypeSet;

/// Hits that are asked for what stands beside them.
const MOST_HITS: usize = 300;

/// Offers the values that stand beside the hits of the events that are shown. `read` is what was
/// read of them with the search. What goes wrong here changes no answer: it is a warning.
pub fn offer_artifacts(
    setup: &LookupSetup<'_>,
    part: &ConnectionReporter,
    misp: &Misp,
    shown: &[LookupEvent],
    read: Surroundings,
) {
    let beside = match misp {
        Misp::Feed(_) => Ok(read),
        Misp::Server(server) => read_from_server(server, setup.artifacts, shown),
    };
    let beside = match beside {
        Ok(beside) => beside,
        Err(error) => {
            let warning = format!("the values beside what was found were not read: {error:#}");
            return part.warn(warning);
        }
    };

    let unread = beside.count_beyond();
    let mut offers = Offers::new(setup, part);
    for (place, group) in sort_groups(beside.groups, shown) {
        offers.add_group(place, group);
    }
    offers.write_to_report(unread);
}

/// What stands beside the hits on a server: by one request for objects, by two for events; by none
/// if there is nothing to be asked.
fn read_from_server(
    server: &Server,
    wanted: LookupArtifacts,
    shown: &[LookupEvent],
) -> Result<Surroundings> {
    match wanted {
        LookupArtifacts::Off => Ok(Surroundings::default()),
        LookupArtifacts::Object => {
            let hits = choose_hits(shown);
            if hits.is_empty() {
                return Ok(Surroundings::default());
            }
            server.read_objects_of(&hits)
        }
        LookupArtifacts::Event => {
            let (events, unread) = choose_events(shown);
            if events.is_empty() {
                return Ok(Surroundings::default());
            }
            let mut read = server.read_first_attributes(&events)?;
            read.count_unread(unread);
            Ok(read)
        }
    }
}

/// The hits that stand in objects, of those that are shown: first those that have the value.
fn choose_hits(shown: &[LookupEvent]) -> Vec<KnownHit> {
    let of_event = |is_exact: bool| {
        shown.iter().flat_map(move |found| {
            let matches = match is_exact {
                true => &found.known.matches,
                false => &found.known.related,
            };
            matches.iter().filter_map(|hit| {
                let attribute = Uuid::parse_str(&hit.uuid).ok();
                Some(KnownHit {
                    event: found.uuid,
                    attribute: attribute.filter(|_| hit.is_in_object)?,
                    name: name_of(hit),
                })
            })
        })
    };

    of_event(true)
        .chain(of_event(false))
        .take(MOST_HITS)
        .collect()
}

/// The events of which all attributes find room in one page, in order, and if that is none the
/// first; and how many attributes are in the others.
fn choose_events(shown: &[LookupEvent]) -> (Vec<(Uuid, HitName)>, u64) {
    let (mut chosen, mut room, mut unread) = (Vec::new(), MOST_BESIDE as u64, 0);
    for found in shown {
        let Some(hit) = found.known.matches.first().or(found.known.related.first()) else {
            continue;
        };
        let count = found
            .event
            .attribute_count
            .and_then(|n| u64::try_from(n).ok());
        let count = count.unwrap_or(room.max(1));
        if count <= room || chosen.is_empty() {
            unread += count.saturating_sub(room);
            room = room.saturating_sub(count);
            chosen.push((found.uuid, name_of(hit)));
        } else {
            unread += count;
        }
    }
    (chosen, unread)
}

fn name_of(hit: &Match) -> HitName {
    HitName::new(&hit.value, &hit.related)
}

/// What stands beside the hits of events that are shown, each with its event: first what stands
/// beside a hit of the value itself, and of each what is in an event that is shown before others.
fn sort_groups(groups: Vec<Neighbours>, shown: &[LookupEvent]) -> Vec<(&LookupEvent, Neighbours)> {
    let places: HashMap<Uuid, usize> = (0..).zip(shown).map(|(at, one)| (one.uuid, at)).collect();
    let mut sorted: Vec<(usize, Neighbours)> = groups
        .into_iter()
        .filter_map(|group| Some((*places.get(&group.event)?, group)))
        .collect();
    sorted.sort_by_key(|(place, group)| (!group.hit.is_exact, *place));

    sorted
        .into_iter()
        .filter_map(|(place, group)| Some((shown.get(place)?, group)))
        .collect()
}

/// A value that may be offered.
struct Offer {
    draft: ObservableDraft,
    /// Where it stands.
    place: String,
    is_exact: bool,
}

/// The values beside all hits, none twice.
struct Offers<'a> {
    setup: &'a LookupSetup<'a>,
    part: &'a ConnectionReporter,
    all: Vec<Offer>,
    places: HashMap<(String, String), usize>,
    /// Attributes whose value cannot be an artifact.
    unfit: u64,
}

impl<'a> Offers<'a> {
    fn new(setup: &'a LookupSetup<'a>, part: &'a ConnectionReporter) -> Self {
        Self {
            setup,
            part,
            all: Vec::new(),
            places: HashMap::new(),
            unfit: 0,
        }
    }

    /// Takes in the values of the attributes that pass the filters, but for what was looked up, and
    /// the related value that was the hit.
    fn add_group(&mut self, found: &LookupEvent, group: Neighbours) {
        let LookupSetup {
            value,
            related,
            marks,
            choice,
            commands,
            artifacts,
            ..
        } = *self.setup;
        let scrubber = self.part.run.scrubber();
        let context = ChunkContext {
            uuid: found.uuid,
            commands,
            event: Markings::from_event(&found.event, marks),
            data_types: &ObservableTypeSet::thehive4(),
            marks,
            has_files: false,
            scrubber: &scrubber,
            key: &|data_type, data| (data_type.to_owned(), data.to_owned()),
            // What we exported is known here, and shown all the same.
            is_own_export: &|_| false,
        };
        let object = group.rows.first().and_then(|row| row.within.as_ref());
        let object = object.filter(|_| artifacts == LookupArtifacts::Object);
        let place = self.describe_place(found, &group.hit, object.map(|within| &*within.name));
        let is_exact = group.hit.is_exact;

        let rows = group.rows.into_iter().map(|row| -> BatchRow {
            let within = row.within.map(|within| (within.name, within.uuid));
            (row.attribute, within)
        });
        let mapped = chunk_mapping::map_rows(rows, choice, &context, &mut |_, _, _| {});
        let is_failed = |slot: &&RowOutcome| matches!(slot, RowOutcome::Is(Verdict::Failed(_)));
        self.unfit += mapped.slots.iter().filter(is_failed).count() as u64 + mapped.stand_ins;

        for draft in mapped.observables {
            let (data_type, data) = (&draft.data_type, &draft.data);
            let is_hit = value.is_observable(data_type, data)
                || (!is_exact && related.is_observable(data_type, data));
            if !is_hit && !mapping::is_stand_in(&draft) {
                self.add(draft, &place, is_exact);
            }
        }
    }

    fn add(&mut self, draft: ObservableDraft, place: &str, is_exact: bool) {
        let key = (draft.data_type.clone(), draft.data.clone());
        let at = *self.places.entry(key).or_insert(self.all.len());
        match self.all.get_mut(at) {
            Some(known) => mapping::merge(&mut known.draft, draft),
            None => self.all.push(Offer {
                draft,
                place: place.to_owned(),
                is_exact,
            }),
        }
    }

    /// `beside 198.51.100.7 in object file of event 251 “Phishing wave”`, of which Markdown makes
    /// nothing.
    fn describe_place(&self, found: &LookupEvent, hit: &HitName, object: Option<&str>) -> String {
        let run = &self.part.run;
        let object = object.map_or(String::new(), |name| {
            format!("object {} of ", run.report_text(name))
        });
        let number = run.report_text(&found.event.id);
        let event = match number.is_empty() {
            true => found.uuid.to_string(),
            false => number,
        };

        neutralise_words(&format!(
            "beside {} in {object}event {event} “{}”",
            run.report_text(&hit.text),
            run.report_text(&found.event.info)
        ))
    }

    /// Offers as many as a report may, and says what was left out; `unread` attributes were not
    /// read.
    fn write_to_report(mut self, unread: u64) {
        self.all
            .sort_by_key(|offer| (!offer.is_exact, !offer.draft.ioc));
        let most = self.part.run.draft().most_artifacts;
        let beyond = self.all.len().saturating_sub(most) as u64;
        let artifacts: Vec<Artifact> = self
            .all
            .iter()
            .take(most)
            .map(|one| self.build(one))
            .collect();

        if beyond > 0 {
            self.part.warn(format!(
                "{} of the values beside what was found are offered, and {beyond} more are not \
                 (\"max_artifacts\")",
                artifacts.len()
            ));
        }
        if unread > 0 {
            self.part.warn(format_count(
                unread,
                "more attribute stands beside what was found, and was not read",
                "more attributes stand beside what was found, and were not read",
            ));
        }
        if self.unfit > 0 {
            let attributes = format_count(
                self.unfit,
                "attribute beside what was found cannot be offered",
                "attributes beside what was found cannot be offered",
            );
            self.part.warn(format!(
                "{attributes}: too long for TheHive, a command of this program, or not readable"
            ));
        }
        self.part.offer_artifacts(artifacts, beyond);
    }

    fn build(&self, offer: &Offer) -> Artifact {
        let shown = offer.draft.to_report_observable(&self.part.run.scrubber());
        let comment = match shown.message.is_empty() {
            true => String::new(),
            false => format!("\n\n{}", shown.message),
        };
        Artifact {
            message: format!("{}{comment}", offer.place),
            ..mapping::artifact(shown)
        }
    }
}
