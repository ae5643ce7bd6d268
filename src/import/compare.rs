//! What an alert has to be told, given the event and the alert as they are now: which fields, which tags. A field that an
//! analyst edited stays, a tag is only added. Pure.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::map::AlertWanted;
use super::state::{self, Field, State};
use crate::markings::{Pap, Scale, Tlp};
use crate::misp::wire::Event;
use crate::thehive::wire::Alert;

/// The tag of an alert whose event is gone from MISP.
pub const WITHDRAWN: &str = "misp:withdrawn";
/// The tag of an alert that got an IOC after it was created.
pub const UPDATED: &str = "misp:updated";

/// What an event is to an organisation of TheHive.
#[derive(Clone, Debug)]
pub enum Fate {
    /// There is no alert yet.
    New,
    /// The alert is as the event is.
    Unchanged(Box<Alert>),
    /// The event has changed since, or is not wholly in.
    Changed(Box<Alert>),
    /// It has changed, and people do not want to hear of it.
    Unfollowed(Box<Alert>),
}

/// Compares an event of the list with its alert, by the alert's state line alone.
#[must_use]
pub fn fate(event: &Event, uuid: &Uuid, alert: Option<Alert>) -> Fate {
    let Some(alert) = alert.map(Box::new) else { return Fate::New };
    let is_current = State::find(&alert.description, uuid).is_some_and(|state| state.is_current(event));
    match (is_current && !alert.tags.iter().any(|tag| tag == WITHDRAWN), alert.follow) {
        (true, _) => Fate::Unchanged(alert),
        (false, Some(false)) => Fate::Unfollowed(alert),
        (false, _) => Fate::Changed(alert),
    }
}

/// TheHive's number for a TLP. On a scale of four AMBER+STRICT is written as RED, so that nobody reads it as less.
#[must_use]
pub fn tlp_number(tlp: Tlp, scale: Scale) -> u8 {
    match scale {
        Scale::Four => tlp.cortex(),
        Scale::Five => tlp.number(),
    }
}

/// What is known of the alert beside its fields when it is told how the import went.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
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
pub struct Change {
    /// The body of the PATCH; empty for nothing.
    pub body: Map<String, Value>,
    /// True if more than the state line changes.
    pub is_real: bool,
}

/// The fields as they are wanted, each with the value that TheHive takes.
fn values(wanted: &AlertWanted, scale: Scale, is_five: bool) -> Vec<(Field, Value)> {
    let link = wanted.link.as_ref().filter(|_| is_five).map(|link| (Field::Link, json!(link)));
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
#[must_use]
pub fn state(
    wanted: &AlertWanted,
    event: &Event,
    uuid: &Uuid,
    is_complete: bool,
    scale: Scale,
    is_five: bool,
) -> State {
    let values = values(wanted, scale, is_five);
    let hashes = values.iter().map(|(field, value)| (*field, state::hash(&text(value)))).collect();
    State::new(event, uuid, is_complete, hashes)
}

/// What is to be written to an alert that is there.
#[must_use]
pub fn change(wanted: &AlertWanted, event: &Event, uuid: &Uuid, alert: &Alert, outcome: Outcome) -> Change {
    let Outcome { scale, is_five, is_complete, .. } = outcome;
    let old = State::find(&alert.description, uuid);
    let new = state(wanted, event, uuid, is_complete, scale, is_five);
    let mut change = Change::default();
    let mut description = alert.description.clone();
    for (field, value) in values(wanted, scale, is_five) {
        let now = current(alert, field);
        let is_ours = old.as_ref().is_some_and(|old| old.is_ours(field, &now));
        if !is_ours || state::hash(&now) == state::hash(&text(&value)) {
            continue;
        }
        change.is_real = true;
        match name(field) {
            Some(name) => drop(change.body.insert(name.to_owned(), value)),
            None => description = wanted.description.clone(),
        }
    }
    tags(&mut change, wanted, alert, old.as_ref(), outcome);
    let is_ignored = alert.read == Some(true) && (!alert.case.is_empty() || outcome.reopens);
    if !is_five && outcome.has_new_ioc && is_ignored {
        change.body.insert("read".to_owned(), json!(false));
    }
    let description = new.put(&description);
    if description.trim() != alert.description.trim() {
        change.body.insert("description".to_owned(), json!(description));
    }
    change
}

/// Tags are only added, except that TLP and PAP tags follow the event as long as the alert's own TLP and PAP do.
fn tags(change: &mut Change, wanted: &AlertWanted, alert: &Alert, old: Option<&State>, outcome: Outcome) {
    let is_ours = |field| old.is_some_and(|old| old.is_ours(field, &current(alert, field)));
    let names = |is: fn(&str) -> bool| wanted.tags.iter().any(|tag| is(tag));
    let is_tlp: fn(&str) -> bool = |tag| Tlp::from_tag(tag).is_some();
    let is_pap: fn(&str) -> bool = |tag| Pap::from_tag(tag).is_some();
    let (tlp, pap) = (names(is_tlp) && is_ours(Field::Tlp), names(is_pap) && is_ours(Field::Pap));
    let (no_tlp, no_pap) = (!is_ours(Field::Tlp) && old.is_some(), !is_ours(Field::Pap) && old.is_some());
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
        change.body.extend(lists.map(|(name, tags)| (name.to_owned(), json!(tags))));
    } else {
        let kept = alert.tags.iter().filter(|tag| !is_over(tag));
        change.body.insert("tags".to_owned(), kept.chain(added.iter().copied()).cloned().collect());
    }
}

/// TheHive's name of a field; none for the description, which is written with the state line.
fn name(field: Field) -> Option<&'static str> {
    match field {
        Field::Title => Some("title"),
        Field::Description => None,
        Field::Severity => Some("severity"),
        Field::Date => Some("date"),
        Field::Tlp => Some("tlp"),
        Field::Pap => Some("pap"),
        Field::Link => Some("externalLink"),
    }
}

fn current(alert: &Alert, field: Field) -> String {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    match field {
        Field::Title => alert.title.clone(),
        Field::Description => state::without(&alert.description),
        Field::Severity => number(alert.severity),
        Field::Date => number(alert.date),
        Field::Tlp => number(alert.tlp),
        Field::Pap => number(alert.pap),
        Field::Link => alert.external_link.clone(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
