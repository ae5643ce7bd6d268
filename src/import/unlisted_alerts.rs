//! After the list: the alerts of this source that were created or changed in the window, and whose
//! events were not listed, are looked after. Their events are asked for by name, without any
//! filter, so that an event that slipped off a page, one that is being edited and one that is gone
//! are told apart.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use super::event_import::ImportTask;
use super::sync::{ConnectionImport, ListState, event_of_alert};
use super::twins;
use super::{mapping, reporting};
use crate::json::Element;
use crate::misp::IndexEntry;
use crate::misp::wire::Event;
use crate::report::EventRow;
use crate::report::ledger::{ItemKind, Verdict};
use crate::tags::WITHDRAWN;
use crate::thehive::{Alert, MOST_LEFT_OUT};
use crate::worker;

const GONE: &str = "gone from MISP";
const EDITED: &str = "being edited (not published at the moment)";

/// The alerts of events that are gone.
#[derive(Default)]
pub struct MissingEvents {
    /// By event: the target's number and the alert.
    alerts: BTreeMap<Uuid, Vec<(usize, Alert)>>,
    /// Events that were asked for, gone or not.
    asked: BTreeSet<Uuid>,
}

impl ConnectionImport<'_> {
    /// Looks after the alerts whose events were not listed, and gives those whose events are gone.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn check_unlisted_alerts(
        &self,
        listing: &mut ListState<'_>,
        since: i64,
    ) -> Result<MissingEvents> {
        let source = mapping::source(&self.connection.name, &self.part.run.scrubber());
        let mut gone = MissingEvents::default();

        // Most alerts are of events that were listed: TheHive need not send them again.
        let handled: Vec<Uuid> = listing
            .handled
            .iter()
            .copied()
            .take(MOST_LEFT_OUT)
            .collect();
        let since_ms = since.saturating_mul(1_000);

        for (number, target) in self.targets.iter().enumerate() {
            let client = &target.client;
            client.for_each_page_of_alerts_since(&source, since_ms, &handled, &mut |alerts| {
                let alerts = self.keep_readable_alerts(alerts);
                self.check_alert_page(listing, number, alerts, &mut gone)
            })?;
        }

        self.compare(listing)?;

        Ok(gone)
    }

    /// The alerts of a page that can be read; the others are told of.
    fn keep_readable_alerts(&self, alerts: Vec<Element<Alert>>) -> Vec<Alert> {
        let good = |alert| match alert {
            Element::Good(alert) => Some(alert),
            Element::Bad(flaw) => {
                self.part.warn(format!(
                    "{}: it is left as it is",
                    flaw.describe("an alert in TheHive")
                ));
                None
            }
        };

        alerts.into_iter().filter_map(good).collect()
    }

    fn check_alert_page(
        &self,
        listing: &mut ListState<'_>,
        target: usize,
        alerts: Vec<Alert>,
        gone: &mut MissingEvents,
    ) -> Result<()> {
        // An alert that somebody else created may name any event.
        let users = self.targets.get(target).map(|target| &target.users);
        let is_ours = |alert: &Alert| users.is_some_and(|users| users.has(&alert.created_by));
        let is_unknown =
            |uuid: &Uuid| gone.alerts.contains_key(uuid) || !listing.handled.contains(uuid);
        let mut unknown: BTreeMap<Uuid, Alert> = alerts
            .into_iter()
            .filter(is_ours)
            .filter_map(|alert| Some((event_of_alert(&alert)?, alert)))
            .filter(|(uuid, _)| is_unknown(uuid))
            .collect();

        // What was found gone for another organisation is not asked for again.
        let is_asked = |uuid: &&Uuid| !gone.alerts.contains_key(*uuid);
        let uuids: Vec<Uuid> = unknown.keys().filter(is_asked).copied().collect();
        let there = match uuids.is_empty() {
            true => Vec::new(),
            false => self.misp.fetch_index_entries(&uuids)?,
        };
        gone.asked.extend(&uuids);

        for (uuid, event) in there {
            if unknown.remove(&uuid).is_none() {
                continue;
            }
            if self.config.filters.published_only && event.published != Some(true) {
                listing.handled.insert(uuid);
                self.part.count_fetched(ItemKind::Events, 1);

                // Shown behind all that were listed.
                let task = ImportTask::new(u64::MAX, 0, Box::new(event), uuid);
                self.record_unread_event(&task, Verdict::Skipped(EDITED.to_owned()));
            } else {
                self.handle_listed_event(listing, IndexEntry::Event(Box::new(event), uuid))?;
            }
        }

        for (uuid, alert) in unknown {
            if listing.handled.insert(uuid) {
                self.part.count_fetched(ItemKind::Events, 1);
            }
            gone.alerts.entry(uuid).or_default().push((target, alert));
        }

        Ok(())
    }

    /// Reports the events that are gone, and tags their alerts if that is wanted. If very many are
    /// gone at once, it is more likely that they are hidden from us for a while, so none is tagged.
    pub fn report_missing_events(&self, gone: MissingEvents) {
        const FEW: usize = 3;

        let MissingEvents {
            alerts: gone,
            asked,
        } = gone;
        let asked = asked.len();
        // More than three, and more than a tenth of those that were asked for.
        let is_many = gone.len() > FEW.max(asked / 10);
        let marks = self.config.settings.mark_withdrawn;

        if is_many && marks {
            self.part.warn(format!(
                "{} of {asked} events that have alerts are not to be seen in MISP any more: none \
                 of these alerts is tagged {WITHDRAWN}, \
                 since the key may see less than before",
                gone.len()
            ));
        }

        for (uuid, alerts) in gone {
            let title = alerts
                .first()
                .map(|(_, alert)| alert.title.clone())
                .unwrap_or_default();
            let verdict = match marks && !is_many {
                true => self.tag(&uuid, &alerts),
                false => Verdict::Skipped(GONE.to_owned()),
            };
            let link = alerts.first();
            let link = link.and_then(|(target, alert)| self.alert_link(*target, alert));
            let reason = verdict
                .reason()
                .unwrap_or("gone from MISP: the alert is tagged")
                .to_owned();
            // Of an event that is gone only its alert's title is known.
            let mut event = Event::default();
            event.info = title;
            let task = ImportTask::new(u64::MAX, 0, Box::new(event), uuid);
            let row = EventRow {
                alert: link,
                reason: Some(reason),
                tlp: String::new(),
                threat_level: String::new(),
                ..self.build_event_row(&task, &verdict, None)
            };
            reporting::record_event(self.part, &verdict, row);
        }
    }

    fn tag(&self, uuid: &Uuid, alerts: &[(usize, Alert)]) -> Verdict {
        let source = mapping::source(&self.connection.name, &self.part.run.scrubber());
        let mut verdict = Verdict::Skipped(GONE.to_owned());

        for (target, _) in alerts {
            let Some(target) = self.targets.get(*target).copied() else {
                continue;
            };
            // Much time may have passed since it was listed.
            let alert = match target.client.fetch_alerts_of_event(&source, uuid) {
                Ok(alerts) => twins::choose_alert(alerts, uuid, &target.users),
                Err(error) => return Verdict::Failed(worker::error_line(&error)),
            };
            let Some(alert) = alert else { continue };
            if alert.follow == Some(false) || alert.tags.iter().any(|tag| tag == WITHDRAWN) {
                continue;
            }

            let body = match target.is_five {
                true => json!({"addTags": [WITHDRAWN]}),
                // TheHive 4 takes the whole list only.
                false => {
                    json!({"tags": alert.tags.iter().map(String::as_str).chain([WITHDRAWN]).collect::<Vec<_>>()})
                }
            };

            let tagged = match self.dry_run {
                true => Ok(()),
                false => target.write(self.part, |client| client.change_alert(&alert.id, &body)),
            };
            match tagged {
                Ok(()) => verdict = Verdict::Updated,
                Err(failure) => return Verdict::Failed(failure.to_string()),
            }
        }

        verdict
    }
}
