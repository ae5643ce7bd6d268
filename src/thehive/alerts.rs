//! Alerts: which ones an import made, making one, changing it.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::cases::{filter, is, is_one_of, oldest_first, page};
use super::observables::{ObservableBatch, batch_to_json};
use super::{Alert, TheHive, ensure_id};
use crate::http::{HttpError, PagedList, Response, RowOrder};
use crate::json::{self, Element};

/// Alerts of a page of [`TheHive::for_each_page_of_alerts_since`].
pub const ALERTS_PAGE: usize = 500;

/// So many events can be left out of a list of alerts: their names fit into the body that a TheHive
/// 4 takes.
pub const MOST_LEFT_OUT: usize = 4_000;

/// So many alerts may be of events that have one already: TheHive 4 does not see an alert that is
/// still being created (its `AlertSrv.scala` looks for it in its own transaction).
const TWINS: usize = 500;

/// The `type` of our alerts, as of TheHive's own from a MISP.
pub(super) const TYPE: &str = "misp";

/// An alert that is to be. Its type is `misp`. TheHive 5 refuses what is longer than it allows, and
/// the same tag twice (its OpenAPI description, `InputCreateAlert`): the caller sees to both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// The name of what it comes from, of at most 32 characters.
    pub source: String,
    /// Its name there, unique within the source and organisation.
    pub source_ref: String,
    /// Of at most 512 characters.
    pub title: String,
    /// In Markdown.
    pub description: String,
    /// Where it can be read at its source.
    pub external_link: Option<String>,
    /// 1 (low) to 4 (critical).
    pub severity: u8,
    /// In milliseconds since 1970.
    pub date: i64,
    /// On this TheHive's scale.
    pub tlp: u8,
    /// 0 (clear) to 3 (red).
    pub pap: u8,
    /// Each of at most 128 characters.
    pub tags: Vec<String>,
    /// The name of the template for a case that is made of it. One that is not there is ignored by
    /// TheHive 4.
    pub case_template: Option<String>,
    /// Techniques that were seen. Only TheHive 5 has them on alerts; they are not sent to TheHive
    /// 4.
    pub procedures: Vec<Procedure>,
    /// What it has; within one alert, and over all groups, each type and value once.
    pub observables: Vec<ObservableBatch>,
}

/// A technique of an attacker, seen at a certain time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// Its id in the catalogue, `T1059.001` for instance.
    pub pattern: String,
    /// When, in milliseconds since 1970.
    pub date: i64,
}

impl TheHive {
    /// Those alerts of a source that stand for one of these events, of which there are at most 500.
    /// One query. Beside them what is wrong with those that cannot be read, by their events.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_alerts_of_events(
        &self,
        source: &str,
        events: &[Uuid],
    ) -> Result<(Vec<Alert>, HashMap<Uuid, String>)> {
        let (mut alerts, mut unreadable) = (Vec::new(), HashMap::new());
        if events.is_empty() {
            return Ok((alerts, unreadable));
        }
        let names: Vec<String> = events.iter().map(Uuid::to_string).collect();
        let filter = own_alerts_filter(source, Some(is_one_of("sourceRef", &names)));
        let listed = self.query_alerts(vec![filter], 0, events.len() + TWINS)?;
        let events: HashSet<&Uuid> = events.iter().collect();
        let known_event = |source_ref: &str| {
            Uuid::try_parse(source_ref)
                .ok()
                .filter(|uuid| events.contains(uuid))
        };

        for alert in listed {
            match alert {
                Element::Good(alert) => alerts
                    .extend(Some(alert).filter(|alert| known_event(&alert.source_ref).is_some())),
                Element::Bad(flaw) => {
                    let event = flaw.field("sourceRef").and_then(known_event);
                    unreadable
                        .extend(event.map(|event| (event, flaw.describe("its alert in TheHive"))));
                }
            }
        }

        Ok((alerts, unreadable))
    }

    /// Hands over the alerts of a source that were created or changed since then (milliseconds
    /// since 1970; 0 for all), the oldest first, in pages of [`ALERTS_PAGE`]. Left out are those of
    /// these events, of which there are at most [`MOST_LEFT_OUT`]
    /// (`fixtures/wire/thehive/583-query-alerts-but-for-some.json`). Alerts whose `source_ref` is
    /// no uuid are among them.
    ///
    /// # Errors
    /// What stopped the reading, or the error of `on`.
    pub fn for_each_page_of_alerts_since(
        &self,
        source: &str,
        since_ms: i64,
        left_out: &[Uuid],
        on: &mut dyn FnMut(Vec<Element<Alert>>) -> Result<()>,
    ) -> Result<()> {
        // An alert that was never changed has no `_updatedAt`.
        let since = |field: &str| json!({"_gte": {"_field": field, "_value": since_ms}});
        let date = json!({"_or": [since("_createdAt"), since("_updatedAt")]});
        let date = (since_ms > 0).then_some(date);
        let names: Vec<String> = left_out.iter().map(Uuid::to_string).collect();
        let others = json!({"_not": is_one_of("sourceRef", &names)});
        let others = (!names.is_empty()).then_some(others);
        let filter = own_alerts_filter(source, date.into_iter().chain(others));
        let list = PagedList {
            limit: ALERTS_PAGE,
            order: RowOrder::Name(|row: &Element<Alert>| row.id(|alert| &alert.id)),
            repeated: "TheHive sends the same page of alerts again and again",
        };

        list.for_each_page(
            |page| {
                let operations = vec![filter.clone(), oldest_first()];
                self.query_alerts(operations, page.offset(), page.limit)
            },
            |page| {
                on(page.rows)?;
                Ok(!page.is_full)
            },
        )
    }

    /// The alerts of a source that stand for an event: there should be one at most.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_alerts_of_event(&self, source: &str, event: &Uuid) -> Result<Vec<Alert>> {
        // One that cannot be read may be the one that counts.
        let (alerts, unreadable) = self.fetch_alerts_of_events(source, &[*event])?;
        ensure!(
            unreadable.is_empty(),
            unreadable.into_values().next().unwrap_or_default()
        );
        Ok(alerts)
    }

    fn query_alerts(
        &self,
        operations: Vec<Value>,
        from: usize,
        number: usize,
    ) -> Result<Vec<Element<Alert>>> {
        let mut query = vec![json!({"_name": "listAlert"})];
        query.extend(operations);
        query.push(page(from, number));
        self.named_list(query.into(), number)
            .context("reading the alerts")
    }

    /// Makes an alert with its observables, whole or not at all. It goes to TheHive 4 by v0, since
    /// there v1 takes no observables and does not heed `X-Organisation` (TheHive 4's
    /// `v1/AlertCtrl.scala`).
    ///
    /// # Errors
    /// See [`super::WriteError`]; a value of another type than it is said to be refuses the whole
    /// alert.
    pub fn create_alert(&self, alert: &NewAlert) -> Result<Alert, HttpError> {
        let is_five = self.is_five_for_write()?;
        let (path, observables) = if is_five {
            ("api/v1/alert", "observables")
        } else {
            ("api/alert", "artifacts")
        };

        let mut body = json!({
            "type": TYPE, "source": alert.source, "sourceRef": alert.source_ref, "title": alert.title,
            "description": alert.description, "severity": alert.severity, "date": alert.date, "tlp": alert.tlp,
            "pap": alert.pap, "tags": alert.tags,
            observables: alert.observables.iter().map(|group| batch_to_json(group, is_five)).collect::<Vec<_>>(),
        });

        if let Some(link) = &alert.external_link {
            json::set(&mut body, "externalLink", json!(link));
        }
        if let Some(name) = &alert.case_template {
            json::set(&mut body, "caseTemplate", json!(name));
        }
        if is_five {
            json::set(
                &mut body,
                "procedures",
                alert.procedures.iter().map(procedure).collect::<Value>(),
            );
        }

        parse_created_alert(self.client.post(path, &body)?)
    }

    /// Changes fields of an alert, by the names of the v1 API. TheHive 4 ignores those that it
    /// cannot change.
    ///
    /// # Errors
    /// See [`super::WriteError`].
    pub fn change_alert(&self, id: &str, change: &Value) -> Result<(), HttpError> {
        self.client
            .patch(&format!("api/v1/alert/{}", ensure_id(id)?), change)
    }

    /// Deletes an alert and its observables. TheHive 4 has a route for it in v0 only
    /// (`fixtures/wire/thehive/059-delete-alert-v1.json`).
    ///
    /// # Errors
    /// See [`super::WriteError`].
    pub fn delete_alert(&self, id: &str) -> Result<(), HttpError> {
        let kind = if self.is_five_for_write()? {
            "api/v1/alert"
        } else {
            "api/alert"
        };

        self.client.delete(&format!("{kind}/{}", ensure_id(id)?))
    }

    /// Adds a technique to an alert. Only TheHive 5 can.
    ///
    /// # Errors
    /// See [`super::WriteError`]; that this is a TheHive 4.
    pub fn add_procedure(&self, alert: &str, added: &Procedure) -> Result<(), HttpError> {
        let path = format!("api/v1/alert/{}/procedure", ensure_id(alert)?);
        if !self.is_five_for_write()? {
            return Err(HttpError::not_sent(
                path,
                "the alerts of TheHive 4 have no procedures",
            ));
        }

        self.client.post(&path, &procedure(added)).map(drop)
    }
}

/// The filter for our alerts of a source, and what else they must be.
fn own_alerts_filter(source: &str, more: impl IntoIterator<Item = Value>) -> Value {
    let mut conditions = vec![is("type", TYPE), is("source", source)];
    conditions.extend(more);
    filter(&conditions)
}

fn procedure(procedure: &Procedure) -> Value {
    json!({"patternId": procedure.pattern, "occurDate": procedure.date})
}

/// The alert that was made. TheHive 4 lists its observables where TheHive 5 gives their number.
fn parse_created_alert(answer: Response) -> Result<Alert, HttpError> {
    let line = answer.request_line().to_owned();

    let read = |answer: Response| -> Result<Alert> {
        let value: Value = answer.read_as()?;
        let count = value
            .get("artifacts")
            .and_then(Value::as_array)
            .and_then(|list| i64::try_from(list.len()).ok());
        let alert: Alert = serde_json::from_value(value)?;
        // Without an id nothing could be added to it, so that it counts as not answered.
        ensure_id(&alert.id).map_err(|_| anyhow!("it names no alert"))?;
        Ok(Alert {
            observable_count: count.or(alert.observable_count),
            ..alert
        })
    };

    read(answer).map_err(|error| HttpError::unreadable_answer(line, &error))
}
