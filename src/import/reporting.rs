//! What the report says of one event, and of the whole run.

use uuid::Uuid;

use super::alert_writer::FULL;
use super::command::STAND_IN;
use super::event_filter::ThreatLevel;
use super::mapping::{AlertOptions, Markings};
use crate::config::connections::{Connection, Target};
use crate::misp::server::Server;
use crate::misp::wire::Event;
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReport, ConnectionReporter, EventRow, ReportBody};
use crate::text::format_count;

/// What is said of an event that was asked for by name.
pub const NOT_THERE: &str = "the event that was asked for is not there, or not shown to us";
/// The longest reason of a line, in characters.
const LONGEST_REASON: usize = 300;

/// The page of an event on its server; a feed has none.
pub fn event_link(connection: &Connection, uuid: &Uuid) -> Option<String> {
    match &connection.target {
        Target::Server { url, .. } => Some(Server::event_url(url, uuid)),
        Target::Feed { .. } | Target::WebFeed { .. } => None,
    }
}

/// An event, and what became of it.
pub fn build_event_row(
    (part, connection, marks): (&ConnectionReporter, &Connection, &AlertOptions),
    (event, uuid): (&Event, &Uuid),
    verdict: &Verdict,
    attributes: Option<u64>,
) -> EventRow {
    let run = &part.run;
    EventRow {
        uuid: uuid.to_string(),
        id: Some(run.report_text(&event.id)).filter(|id| !id.is_empty()),
        title: run.report_text(&event.info),
        link: event_link(connection, uuid),
        organisation: run.report_text(event.creator_name()),
        date: run.report_text(&event.date),
        tlp: Markings::from_event(event, marks).tlp.word().to_owned(),
        threat_level: ThreatLevel::word_of(event.threat_level_id).to_owned(),
        attributes,
        verdict: verdict.kind(),
        reason: verdict
            .reason()
            .map(|reason| run.scrubber().clean_truncated(reason, LONGEST_REASON)),
        ..EventRow::default()
    }
}

/// Records an event, and shows its row.
pub fn record_event(part: &ConnectionReporter, verdict: &Verdict, row: EventRow) {
    if let Verdict::Failed(reason) = verdict {
        part.add_failure(format!("event {}: {reason}", row.uuid));
    }
    part.record(ItemKind::Events, verdict, 1);
    part.show_event(row);
}

/// Says of a connection what of its events was not passed on as it is.
pub fn warn_of_omissions(part: &ConnectionReporter) {
    let (mut own_tags, mut stand_ins, mut not_shown) = (0, 0, 0);
    part.update(|part| {
        (own_tags, stand_ins, not_shown) = (part.own_tags, part.stand_ins, part.not_shown)
    });
    let warnings = [
        format_some(
            own_tags,
            "tag of an event or attribute is a word",
            "tags of events and attributes are words",
        )
        .map(|tags| {
            format!(
                "{tags} of this program and left out: the line of each event gives their number"
            )
        }),
        format_some(
            not_shown,
            "attribute that MISP counts was not sent",
            "attributes that MISP counts were not sent",
        )
        .map(|attributes| {
            format!(
                "{attributes}: the key's user may not see them, or a setting leaves them out; the \
                 line of each event gives their number"
            )
        }),
        format_some(stand_ins, "value is", "values are").map(|values| {
            format!(
                "{values} too long for TheHive or a command of this program: the observable is \
                 {STAND_IN}<uuid>, and its message has the value"
            )
        }),
    ];
    warnings
        .into_iter()
        .flatten()
        .for_each(|warning| part.warn(warning));
}

/// The outcome of an import in one sentence.
pub fn summarise_import(full: &ReportBody) -> String {
    let events = full.ledger.count(ItemKind::Events);
    let some = |number: u64, word: &str| (number > 0).then(|| format!("{number} {word}"));
    let mut parts = vec![format_count(events.fetched, "event read", "events read")];

    parts.extend(summarise_alerts(full));
    parts.extend(some(events.unchanged, "unchanged"));
    parts.extend(some(events.skipped, "skipped"));
    parts.extend(some(events.failed, "failed"));
    parts.extend(summarise_observables(full));

    if is_requested_event_missing(full) {
        parts.push(NOT_THERE.to_owned());
    }

    format!("{}{}", parts.join(", "), describe_mode(full))
}

/// What became of attributes and observables.
fn summarise_observables(full: &ReportBody) -> impl Iterator<Item = String> {
    let attributes = full.ledger.count(ItemKind::Attributes);
    // A dry run names its attributes with the alerts that they would be in.
    let [created, updated] = match full.dry_run {
        true => [0, 0],
        false => [attributes.created, attributes.updated],
    };
    let removed = if full.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    let beyond = attributes.skipped_by.get(FULL).copied().unwrap_or(0);
    let beyond = format_some(beyond, "attribute", "attributes").map(|number| {
        format!("{number} left out of alerts that may not grow any more (\"max_attributes\")")
    });

    [
        format_some(created, "attribute added", "attributes added"),
        format_some(updated, "attribute updated", "attributes updated"),
        format_some(
            full.ledger.count(ItemKind::Removals).updated,
            &format!("observable {removed}"),
            &format!("observables {removed}"),
        ),
        beyond,
    ]
    .into_iter()
    .flatten()
}

fn format_some(number: u64, one: &str, several: &str) -> Option<String> {
    (number > 0).then(|| format_count(number, one, several))
}

/// The alerts that were created and updated, or would be.
fn summarise_alerts(full: &ReportBody) -> impl Iterator<Item = String> {
    let events = full.ledger.count(ItemKind::Events);
    let (created, updated) = if full.dry_run {
        let attributes = full.ledger.count(ItemKind::Attributes).created;
        let attributes = format_count(attributes, "attribute", "attributes");
        let [one, several] =
            ["an alert", "alerts"].map(|what| format!("would become {what} with {attributes}"));
        (
            format_some(events.created, &one, &several),
            format_some(
                events.updated,
                "alert would be updated",
                "alerts would be updated",
            ),
        )
    } else {
        (
            format_some(events.created, "alert created", "alerts created"),
            format_some(events.updated, "alert updated", "alerts updated"),
        )
    };

    created.into_iter().chain(updated)
}

/// True if a job asked for one event, and no connection has it.
fn is_requested_event_missing(full: &ReportBody) -> bool {
    let is_missed =
        |part: &ConnectionReport| part.warnings.iter().any(|warning| warning == NOT_THERE);

    full.ledger.count(ItemKind::Events).fetched == 0
        && !full.connections.is_empty()
        && full.connections.iter().all(is_missed)
}

/// Why nothing was written, where nothing was to be.
fn describe_mode(full: &ReportBody) -> &'static str {
    match (full.is_report_only, full.dry_run) {
        (true, _) => {
            " (report only: set \"thehive_url\" and \"thehive_key\" to have alerts written)"
        }
        (false, true) => " (dry run: nothing was written)",
        (false, false) => "",
    }
}
