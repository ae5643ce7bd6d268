//! At the end of an import: where there are several alerts of one event, one stays. TheHive 4 does
//! not see an alert that is still being created, so two imports at once, or a creation that is sent
//! again after a gateway gave up on it, may make two. They are asked for all together, 500 at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use uuid::Uuid;

use super::alert_diff;
use super::mapping;
use super::sync::{ConnectionImport, PAGE, event_of_alert};
use super::target::{AlertTarget, failure_of};
use super::twins;
use crate::text::format_count;
use crate::thehive::WriteError;
use crate::thehive::wire::Alert;
use crate::worker;

/// Alerts named in a warning.
const NAMED: usize = 3;

/// The events of which there may be several alerts, by the target's number.
#[derive(Default)]
pub struct Suspects(Mutex<BTreeSet<(usize, Uuid)>>);

impl Suspects {
    /// Takes note of an event.
    pub fn note(&self, target: usize, event: Uuid) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((target, event));
    }

    fn take(&self) -> BTreeSet<(usize, Uuid)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of the twins, in words for each.
#[derive(Default)]
struct Removals {
    removed: Vec<String>,
    stay: Vec<String>,
}

impl ConnectionImport<'_> {
    /// Looks whether the alerts that this run made, and those that were listed twice, are alone;
    /// removes what is too much.
    pub fn remove_twins(&self) {
        let suspects = self.suspects.take();
        if self.dry_run || suspects.is_empty() || self.network.clock().is_near_the_end() {
            return;
        }
        let mut removals = Removals::default();

        for (number, target) in self.targets.iter().enumerate() {
            let events = suspects.iter().filter(|(index, _)| *index == number);
            let events: Vec<Uuid> = events.map(|(_, event)| *event).collect();
            for events in events.chunks(PAGE) {
                if let Err(error) = self.remove_twins_of(target, events, &mut removals) {
                    let reason = worker::error_line(&error);
                    self.part.warn(format!(
                        "it is not known whether another import made the same alerts: {reason}"
                    ));
                }
            }
        }

        self.warn_of_twins(
            &removals.removed,
            ["alert was", "alerts were"],
            "there twice, made by two imports at once or by a write that was not answered, and \
             removed again",
        );
        self.warn_of_twins(
            &removals.stay,
            ["alert is", "alerts are"],
            "there beside another one of the same event, and not removed",
        );
    }

    fn warn_of_twins(&self, alerts: &[String], [one, several]: [&str; 2], what: &str) {
        if alerts.is_empty() {
            return;
        }
        let number = format_count(alerts.len() as u64, one, several);
        let named: Vec<&str> = alerts.iter().take(NAMED).map(String::as_str).collect();
        let more = if alerts.len() > NAMED { ", …" } else { "" };
        let named = named.join(", ");
        self.part.warn(format!("{number} {what}: {named}{more}"));
    }

    fn remove_twins_of(
        &self,
        target: &AlertTarget,
        events: &[Uuid],
        removals: &mut Removals,
    ) -> Result<()> {
        let source = mapping::source(&self.connection.name, &self.part.run.scrubber());
        let mut of_events: BTreeMap<Uuid, usize> = BTreeMap::new();
        for alert in target.client.fetch_alerts_of_events(&source, events)?.0 {
            // An alert that somebody else made is no twin, and is never removed.
            let event = event_of_alert(&alert).filter(|_| target.users.has(&alert.created_by));
            event
                .into_iter()
                .for_each(|event| *of_events.entry(event).or_default() += 1);
        }

        for (event, _) in of_events.into_iter().filter(|(_, number)| *number > 1) {
            // It may have changed since they were listed.
            let mut alerts = target.client.fetch_alerts_of_event(&source, &event)?;
            let Some(kept) = twins::choose_alert(alerts.clone(), &event, &target.users) else {
                continue;
            };
            alerts.retain(|alert| alert.id != kept.id && target.users.has(&alert.created_by));

            for alert in alerts {
                match self.remove(target, &event, (&alert, &kept))? {
                    None => removals.removed.push(format!(
                        "{} of event {event}, of which {} stays",
                        alert.id, kept.id
                    )),
                    Some(why) => removals
                        .stay
                        .push(format!("{} of event {event} ({why})", alert.id)),
                }
            }
        }

        Ok(())
    }

    /// Removes an alert for the sake of another, or says why not.
    fn remove(
        &self,
        target: &AlertTarget,
        event: &Uuid,
        (alert, kept): (&Alert, &Alert),
    ) -> Result<Option<String>> {
        let is_complete = alert_diff::known_state(kept, event, &target.users)
            .is_some_and(|state| state.is_complete);
        if !is_complete {
            return Ok(Some(format!("{} is not complete yet", kept.id)));
        }
        let mut may_go = twins::can_remove_alert(alert, kept, event, &target.users);
        if may_go {
            target
                .client
                .for_each_observable(&alert.id, &mut |observable| {
                    may_go &= twins::can_remove_observable(&observable, &target.users);
                    Ok(())
                })?;
        }

        if !may_go {
            return Ok(Some("somebody worked on it".to_owned()));
        }

        let done = target.write(self.part, |client| client.delete_alert(&alert.id));
        Ok(match done.map_err(WriteError::from_http_error) {
            // Somebody else may have removed it meanwhile.
            Ok(()) | Err(WriteError::Gone(_)) => None,
            Err(error) => Some(failure_of(error).to_string()),
        })
    }
}
