//! A report under construction: the body, with what stands beside each part until the end.
//! Connections are worked on at the same time, so nothing here depends on which of them
//! was first.

use super::ledger::VerdictKind;
use super::{
    Alert, Artifact, ConnectionReport, EventRow, LeftOut, Operation, ReportBody, SHOWN_LINES,
};
use crate::share;

/// Alerts shown in a report.
const SHOWN_ALERTS: usize = 50;
/// Bytes that the texts of all artifacts may have.
const MOST_TEXT_OF_ARTIFACTS: usize = 400 << 10;
/// So many more than find room are kept until a list is cut, so that it is not cut for each.
const SLACK: usize = 100;

/// A report under construction.
#[derive(Clone, Debug, Default)]
pub struct ReportBuilder {
    /// The body.
    pub full: ReportBody,
    /// True once anything was changed anywhere.
    pub wrote: bool,
    /// The most artifacts that a report may have.
    pub most_artifacts: usize,
}

/// Something, and what it comes from: where not all of it finds room, connections, organisations
/// and events take turns.
#[derive(Clone, Debug)]
pub struct Sourced<T> {
    /// The number of the connection's part.
    part: usize,
    source: RowSource,
    row: T,
}

/// The event that something comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSource {
    /// The organisation that created it.
    pub organisation: String,
    /// Its uuid.
    pub event: String,
}

/// Cuts a list to what finds room if all take turns. Gives the number of what does not.
fn cut_fairly<T>(list: &mut Vec<Sourced<T>>, most: usize) -> u64 {
    let key = |sourced: &Sourced<T>, has_event: bool| {
        let RowSource {
            organisation,
            event,
        } = &sourced.source;
        let event = has_event.then(|| event.clone());
        (sourced.part, Some((organisation.clone(), event)))
    };

    let event = |sourced: &Sourced<T>| key(sourced, true);
    let organisation = |sourced: &Sourced<T>| key(sourced, false);
    let part = |sourced: &Sourced<T>| (sourced.part, None);
    // The innermost first: within an event, within an organisation, and then the connections.
    share::truncate_fairly(list, most, &[&event, &organisation, &part]).len() as u64
}

/// Adds an artifact; of one that is there already the stricter TLP holds.
fn add_once(artifacts: &mut Vec<Sourced<Artifact>>, artifact: Sourced<Artifact>) {
    let known = artifacts
        .iter_mut()
        .find(|known| known.row.is_same(&artifact.row));
    match known {
        Some(known) => known.row.tlp = known.row.tlp.max(artifact.row.tlp),
        None => artifacts.push(artifact),
    }
}

/// Cuts artifacts to those that leave a report room for all else. Gives the number of the others.
fn cut_large(artifacts: &mut Vec<Sourced<Artifact>>) -> u64 {
    let (before, mut text) = (artifacts.len(), 0);
    artifacts.retain(|artifact| {
        text += artifact.row.text_size();
        text <= MOST_TEXT_OF_ARTIFACTS
    });
    (before - artifacts.len()) as u64
}

/// Cuts a connection's events to what finds room: first those that were written or failed, then
/// what knows a value that was looked up, then the others; of each, the organisations take turns.
/// Gives the number of what does not.
fn cut_events(lines: &mut Vec<EventRow>, most: usize) -> u64 {
    if lines.len() <= most {
        return 0;
    }
    let (mut room, mut dropped) = (most, 0);
    let mut classes: [Vec<(usize, EventRow)>; 3] = Default::default();

    for (place, line) in std::mem::take(lines).into_iter().enumerate() {
        let class = match line.verdict {
            VerdictKind::Created | VerdictKind::Updated | VerdictKind::Failed => 0,
            VerdictKind::Skipped | VerdictKind::Unchanged | VerdictKind::Found
                if line.matches.is_empty() =>
            {
                2
            }
            VerdictKind::Skipped | VerdictKind::Unchanged | VerdictKind::Found => 1,
        };

        if let Some(class) = classes.get_mut(class) {
            class.push((place, line));
        }
    }

    let mut kept = Vec::with_capacity(most);

    for mut class in classes {
        dropped += share::truncate_fairly(
            &mut class,
            room,
            &[&|(_, line): &(usize, EventRow)| line.organisation.clone()],
        )
        .len();

        room -= class.len();
        kept.append(&mut class);
    }

    // Back in the order in which they came.
    kept.sort_by_key(|(place, _)| *place);
    lines.extend(kept.into_iter().map(|(_, line)| line));

    dropped as u64
}

impl ReportBuilder {
    /// Counts what a list of the report leaves out.
    pub fn count_left_out(&mut self, list: &str, number: u64) {
        if number > 0 {
            *self.full.left_out.entry(list.to_owned()).or_default() += number;
        }
    }

    fn part(&mut self, part: usize) -> Option<&mut ConnectionReport> {
        self.full.connections.get_mut(part)
    }

    /// Adds an artifact, once; one too many is counted.
    pub fn add_artifact(&mut self, part: usize, source: &RowSource, artifact: Artifact) {
        let most = self.most_artifacts;
        let Some(artifacts) = self.part(part).map(|part| &mut part.beside.artifacts) else {
            return;
        };
        add_once(
            artifacts,
            Sourced {
                part,
                source: source.clone(),
                row: artifact,
            },
        );

        if artifacts.len() > most + SLACK {
            let beyond = cut_fairly(artifacts, most);
            self.count_left_out("artifacts", beyond);
        }
    }

    /// Shows an alert; one too many is counted.
    pub fn show_alert(&mut self, part: usize, source: &RowSource, alert: Alert) {
        let Some(alerts) = self.part(part).map(|part| &mut part.beside.alerts) else {
            return;
        };
        alerts.push(Sourced {
            part,
            source: source.clone(),
            row: alert,
        });

        if alerts.len() > SHOWN_ALERTS + SLACK {
            let beyond = cut_fairly(alerts, SHOWN_ALERTS);
            self.count_left_out("alerts", beyond);
        }
    }

    /// Shows an event of a part; one too many is counted.
    pub fn show_event(&mut self, part: usize, row: EventRow) {
        let Some(events) = self.part(part).map(|part| &mut part.events) else {
            return;
        };

        events.push(row);
        if events.len() > SHOWN_LINES + SLACK {
            let beyond = cut_events(events, SHOWN_LINES);
            self.count_left_out("events", beyond);
        }
    }

    /// Adds what was recorded apart of the connection with this number; its events come first.
    pub fn merge_part(&mut self, part: usize, apart: Self) {
        for (list, number) in apart.full.left_out {
            self.count_left_out(&list, number);
        }

        let left_out = &mut self.full.left_out;
        let recorded = apart.full.connections.into_iter().next();
        let (Some(part), Some(recorded)) = (self.full.connections.get_mut(part), recorded) else {
            return;
        };
        part.beside.operations.extend(recorded.beside.operations);
        part.ledger.add(&recorded.ledger);
        part.events.splice(0..0, recorded.events);
        for warning in recorded.warnings {
            part.push_warning(warning, left_out);
        }
        for note in recorded.notes {
            part.push_note(note, left_out);
        }
        part.push_failures(recorded.failures, left_out);
        part.push_observables(recorded.observables, left_out);
        part.push_retractions(recorded.retractions, left_out);
    }

    /// Puts the parts into the order of the configuration, each part that was opened later behind
    /// that of the same connection, and gathers what stands beside them. Gives the artifacts and
    /// the operations.
    pub fn gather_parts(&mut self) -> (Vec<Artifact>, Vec<Operation>) {
        let parts = &mut self.full.connections;
        let names: Vec<_> = parts.iter().map(|part| part.name.clone()).collect();
        parts.sort_by_key(|part| names.iter().position(|known| *known == part.name));

        let (mut artifacts, mut alerts) = (Vec::<Sourced<Artifact>>::new(), Vec::new());
        let (mut operations, mut events_beyond) = (Vec::new(), 0);
        for part in parts {
            let beside = std::mem::take(&mut part.beside);
            for artifact in beside.artifacts {
                add_once(&mut artifacts, artifact);
            }
            alerts.extend(beside.alerts);
            operations.extend(beside.operations);
            events_beyond += cut_events(&mut part.events, SHOWN_LINES);
        }

        self.count_left_out("events", events_beyond);
        let beyond = cut_fairly(&mut artifacts, self.most_artifacts) + cut_large(&mut artifacts);
        self.count_left_out("artifacts", beyond);
        let beyond = cut_fairly(&mut alerts, SHOWN_ALERTS);
        self.count_left_out("alerts", beyond);
        self.full.alerts = alerts.into_iter().map(|alert| alert.row).collect();

        (
            artifacts.into_iter().map(|artifact| artifact.row).collect(),
            operations,
        )
    }
}

/// Adds to a list of a report what finds room in it, and counts the rest.
pub fn push_bounded<T>(
    list: &mut Vec<T>,
    more: impl IntoIterator<Item = T>,
    most: usize,
    left_out: &mut LeftOut,
    name: &str,
) {
    for row in more {
        if list.len() < most {
            list.push(row);
        } else {
            *left_out.entry(name.to_owned()).or_default() += 1;
        }
    }
}
