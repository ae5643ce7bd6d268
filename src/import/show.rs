//! What a run that writes no alerts shows of them: the alerts as they would be, and their IOCs as artifacts.

use std::collections::HashMap;

use super::map::{self, AlertWanted, Wanted};
use super::sync::Sync;
use crate::cortex::report::Artifact;
use crate::full::Alert;

/// Alerts shown in a report.
const SHOWN_ALERTS: usize = 50;
/// Observables shown of each alert.
const SHOWN_OBSERVABLES: usize = 50;
/// Observables kept of one event: enough for all artifacts of a report.
const KEPT_OBSERVABLES: usize = 2_000;
/// Cortex stores each artifact by a call of its own, so more would be slow.
pub(super) const MOST_ARTIFACTS: u64 = 300;

/// The observables of one event, as far as the report can show them.
#[derive(Default)]
pub(super) struct Shown {
    observables: Vec<Wanted>,
    places: HashMap<(String, String), usize>,
    count: u64,
    iocs_beyond: u64,
}

impl Shown {
    /// Takes the observables of a chunk; all are counted.
    pub(super) fn take(&mut self, observables: Vec<Wanted>) {
        for one in observables {
            let key = (one.data_type.clone(), one.data.clone());
            if let Some(known) = self.places.get(&key).and_then(|place| self.observables.get_mut(*place)) {
                map::merge(known, one);
                continue;
            }
            self.count += 1;
            if self.observables.len() < KEPT_OBSERVABLES {
                self.places.insert(key, self.observables.len());
                self.observables.push(one);
            } else {
                self.iocs_beyond += u64::from(one.ioc);
            }
        }
    }

    /// Writes them into the report.
    pub(super) fn show(self, alert: &AlertWanted, sync: &Sync<'_>) {
        let most = match sync.config.max_artifacts {
            0 => MOST_ARTIFACTS,
            some => some.min(MOST_ARTIFACTS),
        };
        let most = usize::try_from(most).unwrap_or(0);
        let scrubber = sync.part.run.scrubber();
        let mut draft = sync.part.run.draft();
        let mut cut = self.iocs_beyond;
        for one in self.observables.iter().filter(|one| one.ioc) {
            let is_same = |known: &Artifact| known.data == one.data && known.data_type == one.data_type;
            match draft.artifacts.len() < most {
                _ if draft.artifacts.iter().any(is_same) => {}
                true => draft.artifacts.push(map::artifact(&one.shown(&scrubber))),
                false => cut += 1,
            }
        }
        let left_out = &mut draft.full.left_out;
        if cut > 0 {
            *left_out.entry("artifacts".to_owned()).or_default() += cut;
        }
        if draft.full.alerts.len() >= SHOWN_ALERTS {
            *draft.full.left_out.entry("alerts".to_owned()).or_default() += 1;
            return;
        }
        let shown = self.observables.iter().take(SHOWN_OBSERVABLES).map(|one| one.shown(&scrubber));
        draft.full.alerts.push(Alert { observable_count: self.count, observables: shown.collect(), ..alert.shown() });
    }
}
