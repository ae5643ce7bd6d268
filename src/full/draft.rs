//! A report under construction: the body, and for each connection what stands beside its part until the end. Connections
//! are worked on at the same time, so nothing here depends on which of them was first.

use super::{Alert, Full};
use crate::cortex::report::{Artifact, Operation};

/// Alerts shown in a report.
pub(super) const SHOWN_ALERTS: usize = 50;

/// A report under construction.
#[derive(Debug, Default)]
pub struct Draft {
    /// The body.
    pub full: Full,
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
    /// Writes under way, of which nobody knows yet what they changed.
    pub writing: u32,
    /// Alerts that are only reported.
    pub alerts: Vec<Alert>,
    /// IOCs for the analyst to import (analyzer only).
    pub artifacts: Vec<Artifact>,
    /// Operations that TheHive is asked to do (responder only).
    pub operations: Vec<Operation>,
}

impl Draft {
    /// Counts what a list of the report leaves out.
    pub fn leave_out(&mut self, list: &str, number: u64) {
        if number > 0 {
            *self.full.left_out.entry(list.to_owned()).or_default() += number;
        }
    }

    /// Adds an artifact that no part of this side has yet; one too many is counted.
    pub fn offer(&mut self, side: usize, artifact: Artifact) {
        let most = self.most_artifacts;
        let Some(side) = self.sides.get_mut(side) else { return };
        if side.artifacts.iter().any(|known| is_same(known, &artifact)) {
            return;
        }
        if side.artifacts.len() < most {
            return side.artifacts.push(artifact);
        }
        self.leave_out("artifacts", 1);
    }

    /// Shows an alert; one too many is counted.
    pub fn show_alert(&mut self, side: usize, alert: Alert) {
        match self.sides.get_mut(side) {
            Some(side) if side.alerts.len() < SHOWN_ALERTS => side.alerts.push(alert),
            _ => self.leave_out("alerts", 1),
        }
    }

    /// Puts the parts into the order of the configuration, each part that was opened later behind that of the same
    /// connection, and gathers what stands beside them. Gives the artifacts and the operations.
    #[must_use]
    pub fn gathered(&mut self) -> (Vec<Artifact>, Vec<Operation>) {
        let names: Vec<_> = self.full.connections.iter().map(|part| part.name.clone()).collect();
        let place = |name: &String| names.iter().position(|known| known == name);
        self.full.connections.sort_by_key(|part| place(&part.name));
        let mut sides: Vec<_> = names.iter().zip(std::mem::take(&mut self.sides)).collect();
        sides.sort_by_key(|(name, _)| place(name));
        let (mut artifacts, mut operations): (Vec<Artifact>, Vec<Operation>) = (Vec::new(), Vec::new());
        for (_, side) in sides {
            for artifact in side.artifacts {
                match artifacts.len() < self.most_artifacts {
                    _ if artifacts.iter().any(|known| is_same(known, &artifact)) => {}
                    true => artifacts.push(artifact),
                    false => self.leave_out("artifacts", 1),
                }
            }
            let room = SHOWN_ALERTS.saturating_sub(self.full.alerts.len());
            self.leave_out("alerts", side.alerts.len().saturating_sub(room) as u64);
            self.full.alerts.extend(side.alerts.into_iter().take(room));
            operations.extend(side.operations);
        }
        (artifacts, operations)
    }
}

fn is_same(one: &Artifact, other: &Artifact) -> bool {
    one.data == other.data && one.data_type == other.data_type
}
