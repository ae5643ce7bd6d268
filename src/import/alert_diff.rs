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
#[derive(Clone, Debug)]
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
#[must_use]
pub fn known_state(alert: &Alert, uuid: &Uuid, users: &Users) -> Option<SyncState> {
    users
        .has(&alert.created_by)
        .then(|| SyncState::find(&alert.description, uuid))
        .flatten()
}

/// True if a field is not as this program wanted it when it wrote the state line.
#[must_use]
pub fn is_edited(alert: &Alert, state: &SyncState) -> bool {
    state
        .hashes
        .iter()
        .any(|(field, _)| !state.is_ours(*field, &current_value(alert, *field)))
}

/// Compares an event of the list with its alert, by the alert's state line alone. That updates are
/// switched off counts for an alert of our own: nobody keeps an event out by an alert that he made
/// first.
#[must_use]
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
#[must_use]
pub fn tlp_number(tlp: Tlp, scale: Scale) -> u8 {
    match scale {
        Scale::Four => tlp.cortex_number(),
        Scale::Five => tlp.number(),
    }
}

/// What is known of the alert beside its fields when it is told how the import went.
#[derive(Clone, Copy, Debug)]
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
#[must_use]
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
#[must_use]
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
        Field::Title => Some("title"),
        Field::Description => None,
        Field::Severity => Some("severity"),
        Field::Date => Some("date"),
        Field::Tlp => Some("tlp"),
        Field::Pap => Some("pap"),
        Field::Link => Some("externalLink"),
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
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted(change: impl FnOnce(&mut AlertDraft)) -> AlertDraft {
        let mut wanted = AlertDraft {
            source: "partner".into(),
            source_ref: Uuid::nil().to_string(),
            title: "#1 Phishing".into(),
            description: "MISP event".into(),
            link: Some("https://misp.example/events/view/1".into()),
            severity: 2,
            date: 1_000,
            tlp: Tlp::AmberStrict,
            pap: Pap::Amber,
            tags: vec!["src:CIRCL".into(), "tlp:amber+strict".into()],
            tags_cut: 0,
            own_tags: mapping::OwnTags::default(),
            procedures: Vec::new(),
        };

        change(&mut wanted);
        wanted
    }

    fn event(timestamp: i64) -> Event {
        serde_json::from_value(json!({"timestamp": timestamp, "publish_timestamp": timestamp}))
            .unwrap()
    }

    fn outcome(is_five: bool) -> WriteSummary {
        let scale = if is_five { Scale::Five } else { Scale::Four };
        WriteSummary {
            scale,
            is_five,
            is_complete: true,
            has_new_ioc: false,
            reopens: false,
        }
    }

    /// The alert as it was written.
    fn alert(wanted: &AlertDraft, is_five: bool, change: serde_json::Value) -> Alert {
        let WriteSummary { scale, .. } = outcome(is_five);
        let state = build_state(wanted, &event(1), &Uuid::nil(), true, scale, is_five);
        let mut alert = json!({
            "_id": "~1", "sourceRef": wanted.source_ref, "title": wanted.title, "description": state.insert_into(&wanted.description),
            "severity": wanted.severity, "date": wanted.date, "tlp": tlp_number(wanted.tlp, scale), "pap": wanted.pap.number(),
            "externalLink": wanted.link, "tags": wanted.tags, "follow": true, "_createdBy": "import@example.org",
        });

        alert
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());

        serde_json::from_value(alert).unwrap()
    }

    fn body(
        wanted: &AlertDraft,
        timestamp: i64,
        alert: &Alert,
        outcome: WriteSummary,
    ) -> serde_json::Value {
        build_patch_for(wanted, timestamp, alert, outcome)
            .body
            .into()
    }

    fn build_patch_for(
        wanted: &AlertDraft,
        timestamp: i64,
        alert: &Alert,
        outcome: WriteSummary,
    ) -> AlertPatch {
        let old = known_state(alert, &Uuid::nil(), &own_users());
        build_patch(
            wanted,
            (&event(timestamp), &Uuid::nil()),
            alert,
            old.as_ref(),
            outcome,
        )
    }

    fn own_users() -> Users {
        Users::new("import@example.org", &[])
    }

    #[test]
    fn what_did_not_change_is_not_written() {
        for is_five in [false, true] {
            let alert = alert(&wanted(|_| {}), is_five, json!({}));
            assert_eq!(
                body(&wanted(|_| {}), 1, &alert, outcome(is_five)),
                json!({})
            );
            assert!(matches!(
                determine_status(&event(1), &Uuid::nil(), Some(alert.clone()), &own_users()),
                AlertStatus::Unchanged(_)
            ));
            assert!(matches!(
                determine_status(&event(2), &Uuid::nil(), Some(alert), &own_users()),
                AlertStatus::Changed(_)
            ));
        }
    }

    #[test]
    fn a_republication_rewrites_the_line_only() {
        let alert = alert(&wanted(|_| {}), true, json!({}));
        let change = build_patch_for(&wanted(|_| {}), 2, &alert, outcome(true));
        assert_eq!(change.body.keys().collect::<Vec<_>>(), ["description"]);
        assert!(!change.is_real);

        assert!(
            change.body["description"]
                .as_str()
                .unwrap()
                .contains(" timestamp=2 publish_timestamp=2 complete=yes ")
        );
    }

    #[test]
    fn a_line_in_somebody_elses_alert_proves_nothing() {
        let theirs = alert(
            &wanted(|_| {}),
            true,
            json!({"_createdBy": "jane@example.org"}),
        );

        assert!(matches!(
            determine_status(&event(1), &Uuid::nil(), Some(theirs.clone()), &own_users()),
            AlertStatus::Changed(_)
        ));

        assert!(
            known_state(
                &theirs,
                &Uuid::nil(),
                &Users::new("x", &["Jane@example.org".into()])
            )
            .is_some()
        );

        // What they wrote stays, and what was written once is not written again.
        let new = wanted(|wanted| wanted.title = "#1 Worse".into());
        assert_eq!(body(&new, 1, &theirs, outcome(true)).get("title"), None);
        assert_eq!(body(&wanted(|_| {}), 1, &theirs, outcome(true)), json!({}));
    }

    #[test]
    fn a_field_that_an_analyst_edited_stays_and_the_others_follow() {
        let new = wanted(|wanted| (wanted.title, wanted.severity) = ("#1 Worse".into(), 3));
        let edited = alert(&wanted(|_| {}), true, json!({"title": "Ours"}));
        assert_eq!(
            build_patch_for(&new, 2, &edited, outcome(true)).kept,
            [Field::Title]
        );
        let first = body(&new, 2, &edited, outcome(true));
        assert_eq!(
            (&first["title"], &first["severity"]),
            (&json!(null), &json!(3))
        );
        // The line now has the hash of the title that was wanted: it stays theirs.
        let again = alert(
            &wanted(|_| {}),
            true,
            json!({"title": "Ours", "severity": 3, "description": first["description"]}),
        );

        assert_eq!(
            build_patch_for(&new, 2, &again, outcome(true)),
            AlertPatch::default()
        );
    }

    #[test]
    fn without_the_line_fields_stay_and_the_line_is_written() {
        let bare = alert(
            &wanted(|_| {}),
            true,
            json!({"description": "Notes only", "title": "?"}),
        );

        let change = build_patch_for(&wanted(|_| {}), 2, &bare, outcome(true));
        assert_eq!(change.body.keys().collect::<Vec<_>>(), ["description"]);

        assert!(
            change.body["description"]
                .as_str()
                .unwrap()
                .starts_with("Notes only\n\n[cortex-misp] event=")
        );
    }

    #[test]
    fn tags_are_added_and_tlp_tags_follow_as_long_as_the_tlp_is_ours() {
        let red = wanted(|wanted| {
            (wanted.tlp, wanted.tags) = (Tlp::Red, vec!["tlp:red".into(), "new".into()])
        });
        let as_written = alert(
            &wanted(|_| {}),
            true,
            json!({"tags": ["src:CIRCL", "tlp:amber+strict", "ours"]}),
        );

        let written = body(&red, 2, &as_written, outcome(true));
        assert_eq!(
            (&written["addTags"], &written["removeTags"]),
            (&json!(["tlp:red", "new"]), &json!(["tlp:amber+strict"]))
        );
        let lowered = alert(
            &wanted(|_| {}),
            true,
            json!({"tlp": 1, "tags": ["tlp:green"]}),
        );

        let written = body(&red, 2, &lowered, outcome(true));
        assert_eq!(
            (&written["addTags"], &written["removeTags"], &written["tlp"]),
            (&json!(["new"]), &json!(null), &json!(null))
        );
        let of_four = alert(
            &wanted(|_| {}),
            false,
            json!({"tags": ["ours", "tlp:amber+strict", WITHDRAWN]}),
        );

        assert_eq!(
            body(&red, 2, &of_four, outcome(false))["tags"],
            json!(["ours", "tlp:red", "new"])
        );
    }

    #[test]
    fn thehive_4_keeps_its_link_and_hears_of_iocs_in_cases_only() {
        let moved = wanted(|wanted| wanted.link = Some("https://elsewhere.example".into()));
        let read = |case: &str| {
            alert(
                &wanted(|_| {}),
                false,
                json!({"read": true, "caseId": case}),
            )
        };

        let new_ioc = WriteSummary {
            has_new_ioc: true,
            ..outcome(false)
        };
        let written = body(&moved, 2, &read("~7"), new_ioc);
        assert_eq!(
            (&written["externalLink"], &written["read"]),
            (&json!(null), &json!(false))
        );

        assert!(
            written["tags"]
                .as_array()
                .unwrap()
                .contains(&json!(UPDATED))
        );

        assert_eq!(body(&moved, 2, &read(""), new_ioc)["read"], json!(null));

        assert_eq!(
            body(
                &moved,
                2,
                &read(""),
                WriteSummary {
                    reopens: true,
                    ..new_ioc
                }
            )["read"],
            false
        );
    }

    #[test]
    fn whoever_does_not_follow_is_left_alone() {
        let alert = alert(&wanted(|_| {}), true, json!({"follow": false}));
        assert!(matches!(
            determine_status(&event(2), &Uuid::nil(), Some(alert), &own_users()),
            AlertStatus::Unfollowed(_)
        ));
        assert!(matches!(
            determine_status(&event(2), &Uuid::nil(), None, &own_users()),
            AlertStatus::New
        ));
    }
}
