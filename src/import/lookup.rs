//! A click: which events of a connection know a value, by the filters on events that do not look at
//! age or size. Nothing is written.

mod hits;

use std::cmp::Reverse;

use anyhow::{Result, ensure};
use uuid::Uuid;

use super::command::COMMANDS;
use super::event_filter::EventFilters;
use super::filter_resolution::{self, ResolvedFilters};
use super::loop_guard::is_own_export;
use super::mapping::AlertOptions;
use super::reporting;
use crate::config::connections::Connection;
use crate::http::HttpContext;
use crate::ids::Ids;
use crate::misp::Misp;
use crate::misp::search::SearchCoverage;
use crate::misp::wire::Event;
use crate::report::ledger::{ItemCounts, ItemKind, Ledger, Verdict};
use crate::report::{
    ConnectionReporter, EventRow, LookupSummary, ReportBody, Taxonomy, TaxonomyLevel,
};
use crate::text::format_count;
use crate::types::SearchValue;
use hits::{EventHits, HitCollector};

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
    /// The observable's type.
    pub data_type: &'a str,
    /// Its data.
    pub value: &'a str,
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
/// that know it and that no filter hides.
///
/// # Errors
/// What stopped the search.
pub fn run(
    setup: &LookupSetup<'_>,
    connection: &Connection,
    part: &ConnectionReporter,
) -> Result<Vec<(Uuid, Event)>> {
    let misp = filter_resolution::open_misp(connection, setup.network, setup.filters, part)?;
    let mut hits = HitCollector::new(part);
    let sought = SearchValue::new(setup.data_type, setup.value);

    let coverage = misp.search(&sought, &mut |hit| {
        ensure!(
            !setup.network.clock().is_over(),
            "the search did not end in time"
        );
        hits.add_hit(hit);
        Ok(())
    })?;

    let mut in_part = hits.is_incomplete();

    match coverage {
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

    let (events, heads) = hits.finish();
    let uuids: Vec<_> = events.keys().copied().collect();
    let rows = match &misp {
        // A feed's manifest may say something else than the event's file, and the file decides.
        Misp::Feed(_) => heads,
        Misp::Server(_) => misp.fetch_index_entries(&uuids)?,
    };

    let report = LookupReport {
        setup,
        connection,
        part,
        misp: &misp,
        names: filter_resolution::resolve_own_organisation(&misp, setup.filters)?,
        in_part,
    };

    Ok(report.report_events(rows, events))
}

/// What the report says of the events of one connection.
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
}

impl LookupEvent {
    fn is_shown(&self) -> bool {
        self.verdict == Verdict::Unchanged
    }
}

impl LookupReport<'_> {
    /// Puts the events into the report, and gives those that are shown.
    fn report_events(
        &self,
        rows: Vec<(Uuid, Event)>,
        mut events: hits::Events,
    ) -> Vec<(Uuid, Event)> {
        let judged = self.judge_events(rows, &mut events);
        let summary = self.summarise_search(&judged, !events.is_empty());
        self.part.update(|part| part.look_up = Some(summary));

        let shown = judged
            .into_iter()
            .filter_map(|judged| self.record_event(judged))
            .collect();

        // These have the value, and yet nothing was said of the events themselves.
        for (uuid, known) in events {
            let unlisted = || "an event that has the value is not in the list of events".to_owned();
            let verdict = Verdict::Failed(known.unreadable.clone().unwrap_or_else(unlisted));
            self.record_event(LookupEvent {
                uuid,
                event: Event::default(),
                known,
                verdict,
            });
        }

        shown
    }

    /// The events with their verdicts. Those that are shown come first, of them those with an
    /// attribute for detection, and the newest of each. What has no row stays in `events`.
    fn judge_events(
        &self,
        rows: Vec<(Uuid, Event)>,
        events: &mut hits::Events,
    ) -> Vec<LookupEvent> {
        let mut judged: Vec<LookupEvent> = rows
            .into_iter()
            .filter_map(|(uuid, event)| {
                let known = events.remove(&uuid)?;
                let verdict = self.decide_verdict(&uuid, &event, &known);
                Some(LookupEvent {
                    uuid,
                    event,
                    known,
                    verdict,
                })
            })
            .collect();

        judged.sort_by_cached_key(|judged| {
            (
                !judged.is_shown(),
                judged.known.ids_attributes == 0,
                Reverse(judged.event.date.clone()),
                judged.uuid,
            )
        });

        judged
    }

    fn summarise_search(&self, judged: &[LookupEvent], has_unlisted: bool) -> LookupSummary {
        let count_shown = |is_counted: fn(&EventHits) -> bool| {
            judged
                .iter()
                .filter(|judged| judged.is_shown() && is_counted(&judged.known))
                .count() as u64
        };

        LookupSummary {
            searched: true,
            in_part: self.in_part
                || has_unlisted
                || judged
                    .iter()
                    .any(|judged| matches!(judged.verdict, Verdict::Failed(_))),
            events_with_ids: count_shown(|known| known.ids_attributes > 0),
            events_differing: count_shown(|known| !known.is_same),
        }
    }

    fn decide_verdict(&self, uuid: &Uuid, event: &Event, known: &EventHits) -> Verdict {
        let LookupSetup { filters, ids, .. } = *self.setup;
        let is_own = is_own_export(filters, self.misp, ids, self.part, event, uuid, true);
        let rule = filters
            .find_skip_rule(event, is_own)
            .or_else(|| self.names.find_skip_rule(event));
        match (rule, &known.unreadable) {
            (Some(rule), _) => Verdict::Skipped(rule),
            (None, Some(reason)) => Verdict::Failed(reason.clone()),
            (None, None) => Verdict::Unchanged,
        }
    }

    /// Records an event and its attributes, which share its fate; gives it back if it is shown.
    fn record_event(&self, judged: LookupEvent) -> Option<(Uuid, Event)> {
        let LookupEvent {
            uuid,
            event,
            known,
            verdict,
        } = judged;

        let verdict_of_attributes = match &verdict {
            Verdict::Failed(_) => Verdict::Failed("its event could not be shown".to_owned()),
            other => other.clone(),
        };
        let row = self.build_event_row(&uuid, &event, &known, &verdict);
        reporting::record_event(self.part, &verdict, row);
        self.part.record(
            ItemKind::Attributes,
            &verdict_of_attributes,
            known.attributes,
        );
        if verdict != Verdict::Unchanged {
            return None;
        }
        self.part.count_left_out(
            "matches",
            known.attributes.saturating_sub(known.matches.len() as u64),
        );

        Some((uuid, event))
    }

    fn build_event_row(
        &self,
        uuid: &Uuid,
        event: &Event,
        known: &EventHits,
        verdict: &Verdict,
    ) -> EventRow {
        let matches = if *verdict == Verdict::Unchanged {
            known.matches.clone()
        } else {
            Vec::new()
        };

        EventRow {
            matches,
            ids_attributes: known.ids_attributes,
            ..reporting::build_event_row(
                (self.part, self.connection, self.setup.marks),
                (event, uuid),
                verdict,
                Some(known.attributes),
            )
        }
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

    let totals = SearchTotals::new(full);
    if totals.unsearched == totals.asked {
        return format!(
            "{value} was not looked up: no connection could be searched for it{}",
            hint(value)
        );
    }

    let events = count_events(full, true);
    let mut text = describe_found(&events, &totals, value);
    text.push_str(&describe_matches(&totals));
    if events.unchanged > 0 && events.skipped > 0 {
        text.push_str(&format!(
            "; {} by filters",
            format_count(events.skipped, "more is hidden", "more are hidden")
        ));
    }

    for (number, how) in [
        (totals.unsearched, "could not be searched"),
        (totals.in_part, "could be searched in part only"),
    ] {
        if number > 0 {
            text.push_str(&format!("; {number} of {} connections {how}", totals.asked));
        }
    }

    if events.unchanged == 0 {
        text.push_str(&hint(value));
    }
    text.push_str(&summarise_imported(full));

    text
}

/// What was searched and found on all connections that a value was looked up on.
#[derive(Default)]
struct SearchTotals {
    /// The connections.
    asked: usize,
    /// Those of them that could not be searched.
    unsearched: usize,
    /// Those of them that could be searched in part only.
    in_part: usize,
    /// Those of them that have an event which knows the value and is shown.
    with_events: u64,
    events_with_ids: u64,
    events_differing: u64,
}

impl SearchTotals {
    fn new(full: &ReportBody) -> Self {
        let mut totals = Self::default();

        for part in &full.connections {
            let Some(look_up) = part.look_up else {
                continue;
            };
            let events = part.ledger.count(ItemKind::Events).unchanged;
            totals.asked += 1;
            totals.unsearched += usize::from(!look_up.searched);
            totals.in_part += usize::from(look_up.in_part);
            totals.with_events += u64::from(events > 0);
            totals.events_with_ids += look_up.events_with_ids;
            totals.events_differing += look_up.events_differing;
        }

        totals
    }

    fn is_all_searched(&self) -> bool {
        self.unsearched + self.in_part == 0
    }
}

/// How many events know the value, and how many of the connections that were asked have one.
fn describe_found(events: &ItemCounts, totals: &SearchTotals, value: &str) -> String {
    match (events.unchanged, events.skipped) {
        // Where not all was searched, it is not known that no event has it.
        (0, 0) if !totals.is_all_searched() => {
            format!("no event that was looked at knows {value}")
        }
        (0, 0) => format!("no event knows {value}"),
        (0, 1) => format!("1 event that knows {value} is hidden by filters"),
        (0, hidden) => format!("{hidden} events that know {value} are hidden by filters"),
        (number, _) => format!(
            "{} {value} on {}",
            format_count(number, "event knows", "events know"),
            format_count(totals.with_events, "connection", "connections")
        ),
    }
}

/// ` (2 with an IDS attribute)`, or nothing.
fn describe_matches(totals: &SearchTotals) -> String {
    let remarks: Vec<String> = [
        (totals.events_with_ids, "with an IDS attribute"),
        (
            totals.events_differing,
            "only in another case or as MISP's import rules write it",
        ),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, remark)| format!("{number} {remark}"))
    .collect();

    if remarks.is_empty() {
        String::new()
    } else {
        format!(" ({})", remarks.join(", "))
    }
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
    let is_command_like = value
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("misp:"))
        || value.contains("/events/view/");
    if is_command_like {
        format!(". It is no command: commands are {COMMANDS}")
    } else {
        String::new()
    }
}

/// How many events know the value, malicious if an attribute for detection does, suspicious if only
/// others do; and how many more filters hide. As long as a connection was not searched, or not
/// wholly, no number of events reads as a clean no: what was not searched has a label of its own,
/// which is suspicious.
pub fn taxonomies(full: &ReportBody) -> Vec<Taxonomy> {
    let events = count_events(full, true);
    let taxonomy = |level, predicate, value: String| Taxonomy {
        level,
        namespace: "MISP",
        predicate,
        value,
    };

    let totals = SearchTotals::new(full);
    let all = totals.asked;
    let unsearched = match (totals.unsearched, totals.in_part) {
        (number, _) if number == all => Some("not searched".to_owned()),
        (0, 0) => None,
        (0, number) => Some(format!("searched in part: {number} of {all}")),
        (number, _) => Some(format!("not searched: {number} of {all}")),
    };

    let level = match (totals.events_with_ids, events.unchanged) {
        (1.., _) => TaxonomyLevel::Malicious,
        (0, 0) => TaxonomyLevel::Info,
        (0, _) => TaxonomyLevel::Suspicious,
    };

    let is_number_known = unsearched.is_none() || events.unchanged > 0;
    let number = is_number_known.then(|| taxonomy(level, "Events", events.unchanged.to_string()));
    let unsearched =
        unsearched.map(|coverage| taxonomy(TaxonomyLevel::Suspicious, "Events", coverage));
    let hidden = (events.skipped > 0)
        .then(|| taxonomy(TaxonomyLevel::Info, "Hidden", events.skipped.to_string()));

    [number, unsearched, hidden].into_iter().flatten().collect()
}
