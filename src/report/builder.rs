//! A report under construction: the body, and for each connection what stands beside its part until
//! the end. Connections are worked on at the same time, so nothing here depends on which of them
//! was first.

use std::collections::BTreeMap;

use super::{
    Alert, Artifact, EventRow, Operation, ReportBody, SHOWN_FAILURES, SHOWN_LINES, push_once,
};
use crate::share;

/// Alerts shown in a report.
const SHOWN_ALERTS: usize = 50;
/// So many more than find room are kept until a list is cut, so that it is not cut for each.
const SLACK: usize = 100;

/// A report under construction.
#[derive(Debug, Default)]
pub struct ReportBuilder {
    /// The body.
    pub full: ReportBody,
    /// What stands beside each part of the body, in the same order.
    pub sides: Vec<Side>,
    /// True once anything was changed anywhere.
    pub wrote: bool,
    /// The most artifacts that a report may have.
    pub most_artifacts: usize,
}

/// What stands beside the part of one connection.
#[derive(Debug, Default)]
pub struct Side {
    /// True if the work is over, well or badly.
    pub has_ended: bool,
    /// Writes under way: what they changed is not known yet.
    pub writing: u32,
    /// Alerts that are only reported.
    pub alerts: Vec<Of<Alert>>,
    /// IOCs for the analyst to import (analyzer only).
    pub artifacts: Vec<Of<Artifact>>,
    /// Operations that TheHive is asked to do (responder only).
    pub operations: Vec<Operation>,
    /// What is reported of this connection if the run is stopped before its work is over.
    pub foreseen: Option<Box<ReportBuilder>>,
}

/// Something, and what it comes from: where not all of it finds room, connections, organisations
/// and events take turns.
#[derive(Clone, Debug)]
pub struct Of<T> {
    /// The number of the side.
    side: usize,
    origin: RowSource,
    /// What it is.
    what: T,
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
fn cut_fairly<T>(list: &mut Vec<Of<T>>, most: usize) -> u64 {
    let event = |one: &Of<T>| {
        (
            one.side,
            Some((
                one.origin.organisation.clone(),
                Some(one.origin.event.clone()),
            )),
        )
    };

    let organisation = |one: &Of<T>| (one.side, Some((one.origin.organisation.clone(), None)));
    let side = |one: &Of<T>| (one.side, None);
    share::truncate_fairly(list, most, &[&event, &organisation, &side]).len() as u64
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
        let class = match line.verdict.as_str() {
            "skipped" | "unchanged" if line.matches.is_empty() => 2,
            "skipped" | "unchanged" => 1,
            _ => 0,
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

    /// Adds an artifact that no part of this side has yet; one too many is counted.
    pub fn add_artifact(&mut self, side: usize, origin: &RowSource, artifact: Artifact) {
        let most = self.most_artifacts;
        let Some(Side { artifacts, .. }) = self.sides.get_mut(side) else {
            return;
        };
        if artifacts
            .iter()
            .any(|known| is_same_artifact(&known.what, &artifact))
        {
            return;
        }
        artifacts.push(Of {
            side,
            origin: origin.clone(),
            what: artifact,
        });

        if artifacts.len() > most + SLACK {
            let beyond = cut_fairly(artifacts, most);
            self.count_left_out("artifacts", beyond);
        }
    }

    /// Shows an alert; one too many is counted.
    pub fn show_alert(&mut self, side: usize, origin: &RowSource, alert: Alert) {
        let Some(Side { alerts, .. }) = self.sides.get_mut(side) else {
            return;
        };
        alerts.push(Of {
            side,
            origin: origin.clone(),
            what: alert,
        });

        if alerts.len() > SHOWN_ALERTS + SLACK {
            let beyond = cut_fairly(alerts, SHOWN_ALERTS);
            self.count_left_out("alerts", beyond);
        }
    }

    /// Shows an event of a part; one too many is counted.
    pub fn show_event(&mut self, part: usize, line: EventRow) {
        let Some(events) = self
            .full
            .connections
            .get_mut(part)
            .map(|part| &mut part.events)
        else {
            return;
        };

        events.push(line);
        if events.len() > SHOWN_LINES + SLACK {
            let beyond = cut_events(events, SHOWN_LINES);
            self.count_left_out("events", beyond);
        }
    }

    /// Adds what was recorded apart of the connection with this number; its events come first.
    pub fn merge_part(&mut self, part: usize, apart: Self) {
        let Self {
            full:
                ReportBody {
                    connections,
                    left_out,
                    ..
                },
            sides,
            ..
        } = apart;

        left_out
            .iter()
            .for_each(|(list, number)| self.count_left_out(list, *number));
        if let Some(side) = self.sides.get_mut(part) {
            side.operations
                .extend(sides.into_iter().flat_map(|side| side.operations));
        }
        let (full, Some(recorded)) = (&mut self.full, connections.into_iter().next()) else {
            return;
        };
        let Some(part) = full.connections.get_mut(part) else {
            return;
        };
        part.ledger.add(&recorded.ledger);
        part.events.splice(0..0, recorded.events);
        recorded
            .warnings
            .into_iter()
            .for_each(|text| push_once(&mut part.warnings, &mut full.left_out, text));
        recorded
            .notes
            .into_iter()
            .for_each(|text| push_once(&mut part.notes, &mut full.left_out, text));
        let left_out = &mut full.left_out;
        append_bounded(
            &mut part.failures,
            recorded.failures,
            SHOWN_FAILURES,
            left_out,
            "failures",
        );

        append_bounded(
            &mut part.observables,
            recorded.observables,
            SHOWN_LINES,
            left_out,
            "observables",
        );

        append_bounded(
            &mut part.retractions,
            recorded.retractions,
            SHOWN_LINES,
            left_out,
            "retractions",
        );
    }

    /// Puts the parts into the order of the configuration, each part that was opened later behind
    /// that of the same connection, and gathers what stands beside them. Gives the artifacts and
    /// the operations.
    #[must_use]
    pub fn gather_parts(&mut self) -> (Vec<Artifact>, Vec<Operation>) {
        let names: Vec<_> = self
            .full
            .connections
            .iter()
            .map(|part| part.name.clone())
            .collect();

        let place = |name: &String| names.iter().position(|known| known == name);
        self.full.connections.sort_by_key(|part| place(&part.name));
        let mut sides: Vec<_> = names.iter().zip(std::mem::take(&mut self.sides)).collect();
        sides.sort_by_key(|(name, _)| place(name));
        let (mut artifacts, mut alerts, mut operations) =
            (Vec::<Of<Artifact>>::new(), Vec::new(), Vec::new());

        for (_, side) in sides {
            for artifact in side.artifacts {
                if !artifacts
                    .iter()
                    .any(|known| is_same_artifact(&known.what, &artifact.what))
                {
                    artifacts.push(artifact);
                }
            }

            alerts.extend(side.alerts);
            operations.extend(side.operations);
        }

        let beyond = cut_fairly(&mut artifacts, self.most_artifacts);
        self.count_left_out("artifacts", beyond);
        let beyond = cut_fairly(&mut alerts, SHOWN_ALERTS);
        self.count_left_out("alerts", beyond);
        self.full.alerts = alerts.into_iter().map(|one| one.what).collect();

        let beyond = self
            .full
            .connections
            .iter_mut()
            .map(|part| cut_events(&mut part.events, SHOWN_LINES))
            .sum();

        self.count_left_out("events", beyond);

        (
            artifacts.into_iter().map(|one| one.what).collect(),
            operations,
        )
    }
}

/// Adds to a list of a report what finds room in it, and counts the rest.
fn append_bounded<T>(
    list: &mut Vec<T>,
    more: Vec<T>,
    most: usize,
    left_out: &mut BTreeMap<String, u64>,
    name: &str,
) {
    let room = most.saturating_sub(list.len());
    let beyond = more.len().saturating_sub(room) as u64;
    list.extend(more.into_iter().take(room));
    if beyond > 0 {
        *left_out.entry(name.to_owned()).or_default() += beyond;
    }
}

fn is_same_artifact(one: &Artifact, other: &Artifact) -> bool {
    one.data == other.data && one.data_type == other.data_type
}
