//! What a run that writes no alerts shows of them: the alerts as they would be, and their IOCs as
//! artifacts.

use std::collections::HashMap;

use super::mapping::{self, AlertDraft, ObservableDraft};
use super::sync::ConnectionImport;
use crate::report::{Alert, RowSource};

/// Observables shown of each alert.
const SHOWN_OBSERVABLES: usize = 50;
/// Observables kept of one event: enough for all artifacts of a report.
const KEPT_OBSERVABLES: usize = 2_000;
/// Cortex stores each artifact by a call of its own, so more would be slow.
pub const MOST_ARTIFACTS: u64 = 300;

/// How many artifacts a report has at the most, by the option `max_artifacts`.
pub fn artifact_limit(option: u64) -> usize {
    let most = if option == 0 {
        MOST_ARTIFACTS
    } else {
        option.min(MOST_ARTIFACTS)
    };

    usize::try_from(most).unwrap_or(0)
}

/// The observables of one event, as far as the report can show them.
#[derive(Default)]
pub struct PreviewAlert {
    observables: Vec<ObservableDraft>,
    places: HashMap<(String, String), usize>,
    count: u64,
    iocs_beyond: u64,
}

impl PreviewAlert {
    /// Takes the observables of a chunk; all are counted.
    pub fn add_observables(&mut self, observables: Vec<ObservableDraft>) {
        for draft in observables {
            let key = (draft.data_type.clone(), draft.data.clone());
            if let Some(known) = self
                .places
                .get(&key)
                .and_then(|place| self.observables.get_mut(*place))
            {
                mapping::merge(known, draft);
                continue;
            }
            self.count += 1;

            if self.observables.len() < KEPT_OBSERVABLES {
                self.places.insert(key, self.observables.len());
                self.observables.push(draft);
            } else {
                self.iocs_beyond += u64::from(draft.ioc);
            }
        }
    }

    /// Writes them into the report.
    pub fn write_to_report(
        self,
        alert: &AlertDraft,
        organisation: String,
        sync: &ConnectionImport<'_>,
    ) {
        let scrubber = sync.part.run.scrubber();
        let iocs = self.observables.iter().filter(|draft| draft.ioc);
        let artifacts = iocs
            .map(|draft| mapping::artifact(draft.to_report_observable(&scrubber)))
            .collect();
        let shown = self
            .observables
            .iter()
            .take(SHOWN_OBSERVABLES)
            .map(|draft| draft.to_report_observable(&scrubber))
            .collect();

        let alert = Alert {
            observable_count: self.count,
            observables: shown,
            ..alert.to_report_alert()
        };

        let origin = RowSource {
            organisation,
            event: alert.source_ref.clone(),
        };
        sync.part
            .show_alert(&origin, alert, artifacts, self.iocs_beyond);
    }
}
