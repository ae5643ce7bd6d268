//! What an alert has to be told, given the event and the alert as they are now: which fields, which
//! tags. A field that an analyst edited stays, a tag is only added. Pure.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::mapping::{self, AlertDraft};
use super::sync_state::{self, Field, SyncState};
use super::users::Users;
use crate::markings::{Pap, Scale, Tlp};
use crate::misp::wire::Event;
use crate::tags::{UPDATED, WITHDRAWN};
use crate::thehive::wire::Alert;

/// What an event is to an organisation of TheHive.
pub enum AlertStatus {
    /// There is no alert yet.
    New,
    /// The alert is as the event is.
    Unchanged(Box<Alert>),
    /// The event has changed since, or is not wholly in.
    Changed(Box<Alert>),
    /// It has changed, and people do not want to hear of it.
    Unfollowed(Box<Alert>),
}

/// What an alert says it was made from, if a user of this import created it: a line in anybody
/// else's proves nothing.
pub fn known_state(alert: &Alert, uuid: &Uuid, users: &Users) -> Option<SyncState> {
    users
        .has(&alert.created_by)
        .then(|| SyncState::find(&alert.description, uuid))
        .flatten()
}

/// True if a field is not as this program wanted it when it wrote the state line.
pub fn is_edited(alert: &Alert, state: &SyncState) -> bool {
    state
        .hashes
        .iter()
        .any(|(field, _)| !state.is_ours(*field, &current_value(alert, *field)))
}

/// Compares an event of the list with its alert, by the alert's state line alone. That updates are
/// switched off counts for an alert of our own: nobody keeps an event out by an alert that he made
/// first.
pub fn determine_status(
    event: &Event,
    uuid: &Uuid,
    alert: Option<Alert>,
    users: &Users,
) -> AlertStatus {
    let Some(alert) = alert.map(Box::new) else {
        return AlertStatus::New;
    };
    let is_current = known_state(&alert, uuid, users).is_some_and(|state| state.is_current(event));

    match (
        is_current && !alert.tags.iter().any(|tag| tag == WITHDRAWN),
        alert.follow,
    ) {
        (true, _) => AlertStatus::Unchanged(alert),
        (false, Some(false)) if users.has(&alert.created_by) => AlertStatus::Unfollowed(alert),
        (false, _) => AlertStatus::Changed(alert),
    }
}

/// TheHive's number for a TLP. On a scale of four AMBER+STRICT is written as RED, so that nobody
/// reads it as less.
pub fn tlp_number(tlp: Tlp, scale: Scale) -> u8 {
    match scale {
        Scale::Four => tlp.cortex_number(),
        Scale::Five => tlp.number(),
    }
}

/// What is known of the alert beside its fields when it is told how the import went.
#[derive(Clone, Copy)]
pub struct WriteSummary {
    /// How this TheHive counts TLP.
    pub scale: Scale,
    /// True for TheHive 5: links can be changed, tags added one by one.
    pub is_five: bool,
    /// Every observable is in, or refused for good.
    pub is_complete: bool,
    /// An IOC was added to an alert that was there before.
    pub has_new_ioc: bool,
    /// An alert that was ignored is opened again by a new IOC (TheHive 4).
    pub reopens: bool,
}

/// What is to be written to an alert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertPatch {
    /// The body of the PATCH; empty for nothing.
    pub body: Map<String, Value>,
    /// True if more than the state line changes.
    pub is_real: bool,
    /// Fields that somebody edited and that the event has changed since: they stay.
    pub kept: Vec<Field>,
}

/// The fields as they are wanted, each with the value that TheHive takes.
fn values(wanted: &AlertDraft, scale: Scale, is_five: bool) -> Vec<(Field, Value)> {
    let link = wanted
        .link
        .as_ref()
        .filter(|_| is_five)
        .map(|link| (Field::Link, json!(link)));

    let fields = [
        (Field::Title, json!(wanted.title)),
        (Field::Description, json!(wanted.description)),
        (Field::Severity, json!(wanted.severity)),
        (Field::Date, json!(wanted.date)),
        (Field::Tlp, json!(tlp_number(wanted.tlp, scale))),
        (Field::Pap, json!(wanted.pap.number())),
    ];

    fields.into_iter().chain(link).collect()
}

/// The state line for an alert with these fields.
pub fn build_state(
    wanted: &AlertDraft,
    event: &Event,
    uuid: &Uuid,
    is_complete: bool,
    scale: Scale,
    is_five: bool,
) -> SyncState {
    let values = values(wanted, scale, is_five);
    let hashes = values
        .iter()
        .map(|(field, value)| (*field, sync_state::hash(&json_to_text(value))))
        .collect();
    SyncState::new(event, uuid, is_complete, hashes)
}

/// What is to be written to an alert that is there; `old` is what it was made from, if that is
/// known ([`known_state`]).
pub fn build_patch(
    wanted: &AlertDraft,
    (event, uuid): (&Event, &Uuid),
    alert: &Alert,
    old: Option<&SyncState>,
    outcome: WriteSummary,
) -> AlertPatch {
    let WriteSummary {
        scale,
        is_five,
        is_complete,
        ..
    } = outcome;

    let new = build_state(wanted, event, uuid, is_complete, scale, is_five);
    let mut change = AlertPatch::default();
    let mut description = alert.description.clone();

    for (field, value) in values(wanted, scale, is_five) {
        let now = current_value(alert, field);
        let is_ours = old.is_some_and(|old| old.is_ours(field, &now));
        let is_moved = old.is_some_and(|old| !old.is_ours(field, &json_to_text(&value)));
        if !is_ours && is_moved && sync_state::hash(&now) != sync_state::hash(&json_to_text(&value))
        {
            change.kept.push(field);
        }
        if !is_ours || sync_state::hash(&now) == sync_state::hash(&json_to_text(&value)) {
            continue;
        }

        match thehive_field_name(field) {
            Some(name) => {
                change.is_real = true;
                change.body.insert(name.to_owned(), value);
            }
            None => {
                change.is_real |= strip_moments(&now) != strip_moments(&wanted.description);
                description = wanted.description.clone();
            }
        }
    }

    diff_tags(&mut change, wanted, alert, old, outcome);
    let is_ignored = alert.read == Some(true) && (!alert.case.is_empty() || outcome.reopens);
    if !is_five && outcome.has_new_ioc && is_ignored {
        change.body.insert("read".to_owned(), json!(false));
    }
    let description = new.insert_into(&description);
    if description.trim() != alert.description.replace("\r\n", "\n").trim() {
        change
            .body
            .insert("description".to_owned(), json!(description));
    }

    change
}

/// A description without the moments of the event's last change and publication: an event that says
/// nothing new has new ones all the same.
fn strip_moments(description: &str) -> Vec<&str> {
    let is_moment = |line: &&str| {
        mapping::MOMENTS
            .iter()
            .any(|label| line.starts_with(&format!("- {label}: ")))
    };

    description
        .trim()
        .lines()
        .filter(|line| !is_moment(line))
        .collect()
}

/// Tags are only added, except that TLP and PAP tags follow the event as long as the alert's own
/// TLP and PAP do.
fn diff_tags(
    change: &mut AlertPatch,
    wanted: &AlertDraft,
    alert: &Alert,
    old: Option<&SyncState>,
    outcome: WriteSummary,
) {
    let is_ours = |field| old.is_some_and(|old| old.is_ours(field, &current_value(alert, field)));
    let is_tlp: fn(&str) -> bool = |tag| Tlp::from_tag(tag).is_some();
    let is_pap: fn(&str) -> bool = |tag| Pap::from_tag(tag).is_some();
    let follows = |field, is: fn(&str) -> bool, value: u8| {
        is_ours(field)
            && (wanted.tags.iter().any(|tag| is(tag))
                || current_value(alert, field) != value.to_string())
    };

    let is_theirs = |field, is: fn(&str) -> bool| {
        !is_ours(field) && (old.is_some() || alert.tags.iter().any(|tag| is(tag)))
    };
    let tlp = follows(Field::Tlp, is_tlp, tlp_number(wanted.tlp, outcome.scale));
    let pap = follows(Field::Pap, is_pap, wanted.pap.number());
    let (no_tlp, no_pap) = (is_theirs(Field::Tlp, is_tlp), is_theirs(Field::Pap, is_pap));
    let is_over = |tag: &String| {
        let replaced = (tlp && is_tlp(tag)) || (pap && is_pap(tag));
        tag == WITHDRAWN || (replaced && !wanted.tags.contains(tag))
    };
    let is_new = |tag: &&String| {
        let is_analysts = (no_tlp && is_tlp(tag)) || (no_pap && is_pap(tag));
        !is_analysts && !alert.tags.contains(*tag)
    };
    let updated = UPDATED.to_owned();
    let updated = Some(&updated).filter(|tag| outcome.has_new_ioc && !alert.tags.contains(*tag));
    let added: Vec<&String> = wanted.tags.iter().filter(is_new).chain(updated).collect();
    let removed: Vec<&String> = alert.tags.iter().filter(|tag| is_over(tag)).collect();
    if added.is_empty() && removed.is_empty() {
        return;
    }
    change.is_real = true;

    if outcome.is_five {
        let lists = [("addTags", &added), ("removeTags", &removed)];
        let lists = lists.into_iter().filter(|(_, tags)| !tags.is_empty());
        change
            .body
            .extend(lists.map(|(name, tags)| (name.to_owned(), json!(tags))));
    } else {
        let kept = alert.tags.iter().filter(|tag| !is_over(tag));
        change.body.insert(
            "tags".to_owned(),
            kept.chain(added.iter().copied()).cloned().collect(),
        );
    }
}

/// TheHive's name of a field; none for the description, which is written with the state line.
fn thehive_field_name(field: Field) -> Option<&'static str> {
    match field {
        Field::Description => None,
        Field::Link => Some("externalLink"),
        field => Some(field.as_str()),
    }
}

fn current_value(alert: &Alert, field: Field) -> String {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    match field {
        Field::Title => alert.title.clone(),
        Field::Description => sync_state::strip_state_line(&alert.description),
        Field::Severity => number(alert.severity),
        Field::Date => number(alert.date),
        Field::Tlp => number(alert.tlp),
        Field::Pap => number(alert.pap),
        Field::Link => alert.external_link.clone(),
    }
}

fn json_to_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests;
