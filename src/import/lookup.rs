//! A click: which events of a connection know a value, by the filters on events that do not look at
//! age or size. Nothing is written.

mod beside;
mod file;
mod hits;

use anyhow::{Result, ensure};
use uuid::Uuid;

use super::attribute_filter::AttributeFilters;
use super::command::{COMMANDS, Commands};
use super::event_filter::EventFilters;
use super::filter_resolution::{self, ResolvedFilters};
use super::loop_guard::is_own_export;
use super::mapping::AlertOptions;
use super::reporting;
use crate::config::LookupArtifacts;
use crate::config::connections::Connection;
use crate::http::HttpContext;
use crate::ids::Ids;
use crate::misp::Misp;
use crate::misp::search::{SearchCoverage, Sought};
use crate::misp::wire::Event;
use crate::report::ledger::{ItemCounts, ItemKind, Ledger, Verdict};
use crate::report::{ConnectionReport, ConnectionReporter, EventRow, LookupSummary, ReportBody};
use crate::report::{Taxonomy, TaxonomyLevel};
use crate::text::format_count;
use crate::types::{RelatedValues, SearchValue};
pub use file::SoughtFile;
use hits::{EventHits, HitCollector};

/// Ways in which events are related to a value that the message names.
const TOLD_RELATIONS: usize = 3;

/// What is looked up, the same on every connection.
#[derive(Clone, Copy)]
pub struct LookupSetup<'a> {
    /// How servers are reached.
    pub network: &'a HttpContext,
    /// Which events are our own.
    pub ids: &'a Ids,
    /// The filters on events. `max_age_days` and `max_attributes` do not hold here.
    pub filters: &'a EventFilters,
    /// What an event without TLP is taken for.
    pub marks: &'a AlertOptions,
    /// The value.
    pub value: &'a SearchValue,
    /// The values that are related to it; none if they are not wanted.
    pub related: &'a RelatedValues,
    /// Which values beside a hit are offered as artifacts.
    pub artifacts: LookupArtifacts,
    /// The filters on attributes: they choose artifacts, and hide no hit.
    pub choice: &'a AttributeFilters,
    /// Which texts are commands, and so never artifacts.
    pub commands: Commands<'a>,
}

/// Opens the part of a connection that a value is to be looked up on: not searched yet.
pub fn begin_report(value: &str, part: &ConnectionReporter) {
    let value = part
        .run
        .report_text(value)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");

    part.run.draft().full.value = Some(value);
    part.update(|part| part.look_up = Some(LookupSummary::default()));
}

/// Looks a value up on one connection and writes into its part what was found. Gives the events
/// that know it and that no filter hides; what has only a related value knows it not.
///
/// # Errors
/// What stopped the search.
pub fn run(
    setup: &LookupSetup<'_>,
    connection: &Connection,
    part: &ConnectionReporter,
) -> Result<Vec<(Uuid, Event)>> {
    let misp = filter_resolution::open_misp(connection, setup.network, setup.filters, part)?;
    let mut found = HitCollector::new(part);
    let sought = Sought {
        value: setup.value,
        related: setup.related,
        beside: setup.artifacts,
    };

    let searched = misp.search(&sought, &mut |hit| {
        ensure!(
            !setup.network.clock().is_over(),
            "the search did not end in time"
        );
        found.add_hit(hit);
        Ok(())
    })?;

    let mut in_part = found.is_incomplete();

    match searched {
        SearchCoverage::All => {}
        SearchCoverage::Part(why) => {
            in_part = true;
            part.warn(why);
        }
        SearchCoverage::Not(why) => {
            part.warn(why);
            return Ok(Vec::new());
        }
    }

    let found = found.finish();
    let uuids: Vec<_> = found.events.keys().copied().collect();
    let rows = match &misp {
        // What stands in an event's file decides about it.
        Misp::Feed(_) => found.heads,
        Misp::Server(_) if uuids.is_empty() => Vec::new(),
        Misp::Server(_) => misp.fetch_index_entries(&uuids)?,
    };

    let names = filter_resolution::resolve_own_organisation(&misp, setup.filters)?;

    let telling = LookupReport {
        setup,
        connection,
        part,
        misp: &misp,
        names,
        in_part,
    };

    let shown = telling.report_events(rows, found.events);
    beside::offer_artifacts(setup, part, &misp, &shown, found.beside);

    let known = shown.into_iter().filter(|shown| shown.known.is_known());
    Ok(known.map(|shown| (shown.uuid, shown.event)).collect())
}

/// What is told of the events of one connection.
struct LookupReport<'a> {
    setup: &'a LookupSetup<'a>,
    connection: &'a Connection,
    part: &'a ConnectionReporter,
    misp: &'a Misp,
    /// The names in the filters, as the server knows them.
    names: ResolvedFilters,
    /// Not all that may have the value was looked at.
    in_part: bool,
}

/// An event that knows the value, and what becomes of it.
struct LookupEvent {
    uuid: Uuid,
    event: Event,
    known: EventHits,
    verdict: Verdict,
    /// This installation exported it.
    is_own: bool,
}

impl LookupEvent {
    /// Shown ones first, of these exact ones, those meant for detection, the newest.
    fn display_order(&self) -> impl Ord + use<> {
        let known = &self.known;
        let is_quiet = match known.is_known() {
            true => known.ids_attributes == 0,
            false => known.ids_relations == 0,
        };
        (
            !self.is_shown(),
            !known.is_known(),
            is_quiet,
            std::cmp::Reverse(self.event.date.clone()),
            self.uuid,
        )
    }

    /// True unless a filter hides it, or it could not be read.
    fn is_shown(&self) -> bool {
        self.verdict == Verdict::Found
    }
}

impl LookupReport<'_> {
    /// Those that are shown come first, of them those that have the value itself, those with an
    /// attribute for detection, and the newest of each. Gives those that are shown.
    fn report_events(
        &self,
        rows: Vec<(Uuid, Event)>,
        mut events: hits::Events,
    ) -> Vec<LookupEvent> {
        let mut judged: Vec<LookupEvent> = Vec::new();

        for (uuid, event) in rows {
            if let Some(known) = events.remove(&uuid) {
                let (verdict, is_own) = self.decide_verdict(&uuid, &event, &known);
                judged.push(LookupEvent {
                    uuid,
                    event,
                    known,
                    verdict,
                    is_own,
                });
            }
        }

        judged.sort_by_cached_key(LookupEvent::display_order);

        let in_part = self.in_part
            || !events.is_empty()
            || judged.iter().any(|found| is_failed(&found.verdict));
        self.part.update(|part| {
            part.look_up = Some(LookupSummary {
                in_part,
                ..summarise_events(&judged)
            });
        });

        judged.iter().for_each(|found| self.record_event(found));
        judged.retain(LookupEvent::is_shown);

        for (uuid, known) in events {
            let missing = || "an event that has the value is not in the list of events".to_owned();
            let verdict = Verdict::Failed(known.unreadable.clone().unwrap_or_else(missing));
            self.record_event(&LookupEvent {
                uuid,
                event: Event::default(),
                known,
                verdict,
                is_own: false,
            });
        }

        judged
    }

    /// What becomes of an event, and whether it is an export of this installation.
    fn decide_verdict(&self, uuid: &Uuid, event: &Event, known: &EventHits) -> (Verdict, bool) {
        let LookupSetup { filters, ids, .. } = *self.setup;
        let is_own = is_own_export(filters, self.misp, ids, self.part, event, uuid, true);
        let rule = filters
            .find_skip_rule(event, is_own)
            .or_else(|| self.names.find_skip_rule(event));
        let verdict = match (rule, &known.unreadable) {
            (Some(rule), _) => Verdict::Skipped(rule),
            (None, Some(reason)) => Verdict::Failed(reason.clone()),
            (None, None) => Verdict::Found,
        };
        (verdict, is_own)
    }

    /// Records an event and its attributes, which share its fate.
    fn record_event(&self, judged: &LookupEvent) {
        let LookupEvent { known, verdict, .. } = judged;

        self.record_relations(known, verdict);
        let row = self.build_event_row(judged);
        if !known.is_known() {
            return self.part.show_event(row);
        }

        let of_attributes = match verdict {
            Verdict::Failed(_) => Verdict::Failed("its event could not be shown".to_owned()),
            other => other.clone(),
        };
        reporting::record_event(self.part, verdict, row);
        self.part
            .record(ItemKind::Attributes, &of_attributes, known.attributes);
        if judged.is_shown() {
            self.part.count_left_out(
                "matches",
                known.attributes.saturating_sub(known.matches.len() as u64),
            );
        }
    }

    /// Records the related attributes of an event, which share its fate.
    fn record_relations(&self, known: &EventHits, verdict: &Verdict) {
        let verdict = match verdict {
            Verdict::Failed(_) => &Verdict::Failed("its event could not be shown".to_owned()),
            other => other,
        };
        if known.relations > 0 {
            self.part
                .record(ItemKind::Relations, verdict, known.relations);
        }
        if *verdict == Verdict::Found {
            self.part.count_left_out(
                "related matches",
                known.relations.saturating_sub(known.related.len() as u64),
            );
        }
    }

    fn build_event_row(&self, judged: &LookupEvent) -> EventRow {
        let LookupEvent {
            uuid,
            event,
            known,
            verdict,
            is_own,
        } = judged;
        let matches = if judged.is_shown() {
            [known.matches.clone(), known.related.clone()].concat()
        } else {
            Vec::new()
        };

        let of = (self.part, self.connection, self.setup.marks);
        let line = reporting::build_event_row(of, (event, uuid), verdict, Some(known.attributes));
        EventRow {
            matches,
            ids_attributes: known.ids_attributes,
            relations: known.relations,
            is_own: *is_own,
            ..line
        }
    }
}

/// What a summary counts of the events of a connection that was searched.
fn summarise_events(judged: &[LookupEvent]) -> LookupSummary {
    let count =
        |is: &dyn Fn(&LookupEvent) -> bool| judged.iter().filter(|found| is(found)).count() as u64;
    let knows = |found: &LookupEvent| found.is_shown() && found.known.is_known();
    let relates = |found: &LookupEvent| found.is_shown() && !found.known.is_known();

    LookupSummary {
        searched: true,
        in_part: false,
        events_with_ids: count(&|found| knows(found) && found.known.ids_attributes > 0),
        events_differing: count(&|found| knows(found) && !found.known.is_same),
        related_events: count(&|found| relates(found)),
        related_events_with_ids: count(&|found| relates(found) && found.known.ids_relations > 0),
        related_events_hidden: count(&|found| !found.known.is_known() && !found.is_shown()),
        own_events: count(&|found| found.known.is_known() && found.is_own),
    }
}

/// The outcome of a look-up in one sentence:
/// `3 events know evil.example on 2 connections (2 with an IDS attribute)`.
pub fn summarise(full: &ReportBody, value: &str) -> String {
    let value = if value.trim().is_empty() {
        "an empty value"
    } else {
        value
    };

    let asked: Vec<&ConnectionReport> = full
        .connections
        .iter()
        .filter(|part| part.look_up.is_some())
        .collect();

    let searched = asked
        .iter()
        .filter(|part| is_searched(part.look_up))
        .count();
    if searched == 0 {
        return format!(
            "{value} was not looked up: no connection could be searched for it{}",
            hint(value)
        );
    }

    let unsearched = asked.len() - searched;
    let in_part = asked
        .iter()
        .filter(|part| part.look_up.is_some_and(|found| found.in_part))
        .count();
    let all = asked.len();
    let events = count_events(full, true);

    let mut text = describe_answer(&events, &asked, unsearched + in_part == 0, value);
    text.push_str(&describe_related(full, &asked));
    text.push_str(&describe_artifacts(full));
    for (number, how) in [
        (unsearched, "not be searched"),
        (in_part, "be searched in part only"),
    ] {
        if number > 0 {
            text.push_str(&format!("; {number} of {all} connections could {how}"));
        }
    }
    if events.found == 0 {
        text.push_str(&hint(value));
    }
    text.push_str(&summarise_imported(full));

    text
}

/// Which events know the value, which more filters hide, and which this installation exported
/// itself.
fn describe_answer(
    events: &ItemCounts,
    asked: &[&ConnectionReport],
    is_all_searched: bool,
    value: &str,
) -> String {
    let own = sum_up(asked, |summary| summary.own_events);
    let hidden = events.skipped.saturating_sub(own);
    let nobody = match (is_all_searched, own) {
        (true, 0) => format!("no event knows {value}"),
        (true, _) => format!("no event of others knows {value}"),
        // Where not all was searched, it is not known that no event has it.
        (false, 0) => format!("no event that was looked at knows {value}"),
        (false, _) => format!("no event of others that was looked at knows {value}"),
    };

    let mut text = describe_found(events.found, hidden, asked, nobody, value);
    text.push_str(&describe_matches(asked));
    if hidden > 0 && events.found > 0 {
        let more = format_count(hidden, "more is hidden", "more are hidden");
        text.push_str(&format!("; {more} by filters"));
    }
    if own > 0 {
        let exports = format_count(
            own,
            "export of this installation has it",
            "exports of this installation have it",
        );
        text.push_str(&format!("; {exports}"));
    }

    text
}

/// How many values the report offers to go on from.
fn describe_artifacts(full: &ReportBody) -> String {
    match full.artifacts {
        0 => String::new(),
        number => format!(
            "; {} beside it in the report's observables",
            format_count(number, "value", "values")
        ),
    }
}

/// How many events know the value, and how many of the connections that were asked have one;
/// `nobody` says that none does.
fn describe_found(
    found: u64,
    hidden: u64,
    asked: &[&ConnectionReport],
    nobody: String,
    value: &str,
) -> String {
    let knows = |part: &&&ConnectionReport| part.ledger.count(ItemKind::Events).found > 0;
    match (found, hidden) {
        (0, 0) => nobody,
        (0, 1) => format!("1 event that knows {value} is hidden by filters"),
        (0, hidden) => format!("{hidden} events that know {value} are hidden by filters"),
        (number, _) => format!(
            "{} {value} on {}",
            format_count(number, "event knows", "events know"),
            format_count(
                asked.iter().filter(knows).count() as u64,
                "connection",
                "connections"
            )
        ),
    }
}

/// A number of all connections together.
fn sum_up(asked: &[&ConnectionReport], count: fn(LookupSummary) -> u64) -> u64 {
    let searched = asked.iter().filter_map(|part| part.look_up);
    searched.map(count).sum()
}

/// ` (2 with an IDS attribute)`, or nothing.
fn describe_matches(asked: &[&ConnectionReport]) -> String {
    let sum = |count| sum_up(asked, count);
    let with_ids = sum(|summary| summary.events_with_ids);
    let differing = sum(|summary| summary.events_differing);
    let with_ids = (with_ids > 0).then(|| format!("{with_ids} with an IDS attribute"));
    let differing = (differing > 0)
        .then(|| format!("{differing} only in another case or as MISP's import rules write it"));
    let remarks: Vec<String> = with_ids.into_iter().chain(differing).collect();

    if remarks.is_empty() {
        String::new()
    } else {
        format!(" ({})", remarks.join(", "))
    }
}

/// `; related: 2 events (1 with an IDS attribute): in 203.0.113.0/24, in 203.0.0.0/16`, or nothing.
fn describe_related(full: &ReportBody, asked: &[&ConnectionReport]) -> String {
    let sum = |count| sum_up(asked, count);
    let events = sum(|summary| summary.related_events);
    let with_ids = sum(|summary| summary.related_events_with_ids);
    let hidden = sum(|summary| summary.related_events_hidden);
    if events + hidden == 0 {
        return String::new();
    }

    let remarks = [
        (with_ids > 0).then(|| format!("{with_ids} with an IDS attribute")),
        (hidden > 0).then(|| format!("{hidden} more hidden by filters")),
    ];
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    let remarks = if remarks.is_empty() {
        String::new()
    } else {
        format!(" ({})", remarks.join(", "))
    };
    let ways = nearest_relations(full, TOLD_RELATIONS).join(", ");
    let ways = if ways.is_empty() {
        ways
    } else {
        format!(": {ways}")
    };

    format!(
        "; related: {}{remarks}{ways}",
        format_count(events, "event", "events")
    )
}

/// The ways in which events are related to the value, the nearest first, each once. Events that have
/// the value itself do not count.
fn nearest_relations(full: &ReportBody, most: usize) -> Vec<String> {
    let rows = full.connections.iter().flat_map(|part| &part.events);
    let of_related = rows.filter(|row| row.attributes == Some(0));
    let mut ways: Vec<(u8, &str)> = of_related
        .flat_map(|row| &row.matches)
        .filter(|found| !found.related.is_empty())
        .map(|found| (found.distance, found.related.as_str()))
        .collect();
    ways.sort_unstable();
    ways.dedup();

    ways.into_iter()
        .take(most)
        .map(|(_, how)| how.to_owned())
        .collect()
}

/// What became of the events that a click imported.
fn summarise_imported(full: &ReportBody) -> String {
    let count = count_events(full, false);
    if count.fetched == 0 {
        return String::new();
    }
    let would = if full.dry_run { "would be " } else { "" };

    format!(
        "; {} {would}created, {} {would}updated",
        format_count(count.created, "alert", "alerts"),
        count.updated
    )
}

/// The events that were looked up, or those that a click imported.
fn count_events(full: &ReportBody, is_look_up: bool) -> ItemCounts {
    let mut ledger = Ledger::default();
    let parts = full.connections.iter();
    parts
        .filter(|part| part.look_up.is_some() == is_look_up)
        .for_each(|part| ledger.add(&part.ledger));
    ledger.count(ItemKind::Events)
}

/// What looks like a command and is none was looked up as a value; whoever wrote it should know.
fn hint(value: &str) -> String {
    let is_like_one = value
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("misp:"));
    let is_like_one = is_like_one || value.contains("/events/view/");
    if is_like_one {
        format!(". It is no command: commands are {COMMANDS}")
    } else {
        String::new()
    }
}

fn is_searched(look_up: Option<LookupSummary>) -> bool {
    look_up.is_some_and(|found| found.searched)
}

fn is_failed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(_))
}

/// How many events know the value, malicious if an attribute for detection does, suspicious if only
/// others do; and how many more filters hide. As long as a connection was not searched, or not
/// wholly, no number of events reads as a clean no: what was not searched has a label of its own,
/// which is suspicious. So has what is related to the value, which never reads as malicious.
pub fn taxonomies(full: &ReportBody) -> Vec<Taxonomy> {
    let events = count_events(full, true);
    let taxonomy = |level, predicate, value: String| Taxonomy {
        level,
        namespace: "MISP",
        predicate,
        value,
    };

    let asked: Vec<LookupSummary> = full
        .connections
        .iter()
        .filter_map(|part| part.look_up)
        .collect();

    let all = asked.len();
    let (unsearched, in_part) = (
        asked.iter().filter(|found| !found.searched).count(),
        asked.iter().filter(|found| found.in_part).count(),
    );
    let unsearched = match (unsearched, in_part) {
        (number, _) if number == all => Some("not searched".to_owned()),
        (0, 0) => None,
        (0, number) => Some(format!("searched in part: {number} of {all}")),
        (number, _) => Some(format!("not searched: {number} of {all}")),
    };

    let has_ids = full
        .connections
        .iter()
        .any(|part| part.look_up.is_some_and(|found| found.events_with_ids > 0));
    let level = match (has_ids, events.found) {
        (true, _) => TaxonomyLevel::Malicious,
        (false, 0) => TaxonomyLevel::Info,
        (false, _) => TaxonomyLevel::Suspicious,
    };

    let number = (unsearched.is_none() || events.found > 0).then(|| events.found.to_string());
    let mut taxonomies: Vec<Taxonomy> = number
        .map(|number| taxonomy(level, "Events", number))
        .into_iter()
        .collect();
    taxonomies.extend(unsearched.map(|what| taxonomy(TaxonomyLevel::Suspicious, "Events", what)));
    taxonomies.extend(related_taxonomy(full, &asked));
    let own: u64 = asked.iter().map(|found| found.own_events).sum();
    for (predicate, number) in [("Hidden", events.skipped.saturating_sub(own)), ("Own", own)] {
        let is_some = number > 0;
        taxonomies
            .extend(is_some.then(|| taxonomy(TaxonomyLevel::Info, predicate, number.to_string())));
    }

    taxonomies
}

/// `Related: 2 (in 203.0.113.0/24)`.
fn related_taxonomy(full: &ReportBody, asked: &[LookupSummary]) -> Option<Taxonomy> {
    let events: u64 = asked.iter().map(|found| found.related_events).sum();
    let has_ids = asked.iter().any(|found| found.related_events_with_ids > 0);
    let level = if has_ids {
        TaxonomyLevel::Suspicious
    } else {
        TaxonomyLevel::Info
    };
    let way = nearest_relations(full, 1).pop();

    (events > 0).then(|| Taxonomy {
        level,
        namespace: "MISP",
        predicate: "Related",
        value: way.map_or_else(|| events.to_string(), |way| format!("{events} ({way})")),
    })
}
