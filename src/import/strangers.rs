//! Alerts that stand for events of this connection and that somebody else created: what they say of
//! themselves is not believed, so their events are compared anew at every run, and the reader is
//! told whose they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::users::Users;
use crate::report::ConnectionReporter;
use crate::text::format_count;
use crate::thehive::wire::Alert;

/// Users told apart.
const MOST_USERS: usize = 20;
/// Events named of each.
const NAMED: usize = 3;

/// Who created such alerts, how many, and of which events.
#[derive(Default)]
pub struct Strangers(Mutex<BTreeMap<String, (u64, Vec<Uuid>)>>);

impl Strangers {
    /// Takes note of those of these alerts that none of our users created.
    pub fn note_alerts(&self, alerts: &HashMap<Uuid, Alert>, users: &Users) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (uuid, alert) in alerts
            .iter()
            .filter(|(_, alert)| !users.has(&alert.created_by))
        {
            if all.len() >= MOST_USERS && !all.contains_key(&alert.created_by) {
                continue;
            }
            let (number, events) = all.entry(alert.created_by.clone()).or_default();
            *number += 1;
            if events.len() < NAMED {
                events.push(*uuid);
            }
        }
    }

    /// Names them.
    pub fn write_warnings(&self, part: &ConnectionReporter) {
        for (user, (number, events)) in
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
        {
            let events: Vec<String> = events.iter().map(Uuid::to_string).collect();
            let more = if number > NAMED as u64 { ", …" } else { "" };

            part.warn(format!(
                "{} of this connection's events, created by \"{}\" and not by this import (events \
                 {}{more}): what is said \
                 there of the state is not believed, fields stay, and the event is read at every \
                 run; if this import \
                 had that user before, name it in \"thehive_former_users\"",
                format_count(number, "alert", "alerts"),
                part.run.report_text(&user),
                events.join(", ")
            ));
        }
    }
}
