//! What the report says of one event, and of the whole run.

use uuid::Uuid;

use super::map::{self, Marks};
use crate::config::connections::{Connection, Target};
use crate::full::{EventLine, Full, PartOf};
use crate::ledger::{Item, Verdict};
use crate::misp::server::Server;
use crate::misp::wire::Event;

/// The longest reason of a line, in characters.
const LONGEST_REASON: usize = 300;

/// The page of an event on its server; a feed has none.
pub(super) fn link(connection: &Connection, uuid: &Uuid) -> Option<String> {
    match &connection.target {
        Target::Server { url, .. } => Some(Server::link(url, uuid)),
        Target::Feed { .. } | Target::WebFeed { .. } => None,
    }
}

/// An event, and what became of it.
pub(super) fn line(
    (part, connection, marks): (&PartOf, &Connection, &Marks),
    (event, uuid): (&Event, &Uuid),
    verdict: &Verdict,
    attributes: u64,
) -> EventLine {
    let run = &part.run;
    EventLine {
        uuid: uuid.to_string(),
        id: Some(run.shown(&event.id)).filter(|id| !id.is_empty()),
        title: run.shown(&event.info),
        link: link(connection, uuid),
        organisation: run.shown(event.organisation()),
        date: run.shown(&event.date),
        tlp: map::tlp(event, marks).word().to_owned(),
        attributes,
        verdict: verdict.word().to_owned(),
        reason: verdict.reason().map(|reason| run.scrubber().beginning(reason, LONGEST_REASON)),
        ..EventLine::default()
    }
}

/// The outcome of an import in one sentence.
pub(super) fn message(full: &Full) -> String {
    let events = full.ledger.count(Item::Events);
    let attributes = full.ledger.count(Item::Attributes);
    let count = |number: u64, word: &str| (number > 0).then(|| format!("{number} {word}"));
    let mut told = vec![format!("{} events read", events.fetched)];
    if full.dry_run {
        told.extend(count(events.created, &format!("would become alerts with {} attributes", attributes.created)));
        told.extend(count(events.updated, "alerts would be updated"));
    } else {
        told.extend(count(events.created, "alerts created"));
        told.extend(count(events.updated, "alerts updated"));
    }
    told.extend(count(events.unchanged, "unchanged"));
    told.extend(count(events.skipped, "skipped"));
    told.extend(count(events.failed, "failed"));
    if !full.dry_run {
        told.extend(count(attributes.created, "attributes added"));
        told.extend(count(attributes.updated, "attributes updated"));
    }
    let removals = full.ledger.count(Item::Removals).updated;
    told.extend(count(removals, if full.dry_run { "observables would be removed" } else { "observables removed" }));
    let why = match (full.is_report_only, full.dry_run) {
        (true, _) => " (report only: set \"thehive_url\" and \"thehive_key\" to have alerts written)",
        (false, true) => " (dry run: nothing was written)",
        (false, false) => "",
    };
    format!("{}{why}", told.join(", "))
}
