//! Several alerts of one event, or several observables of one value. TheHive 4 looks for what is
//! there inside a transaction of its own and so does not see a write that is still running: two
//! imports at once, or a write that is sent again after a gateway gave up on it, make twins. Which
//! of them stays is always the same. Pure.

use std::collections::HashMap;

use uuid::Uuid;

use super::alert_diff;
use super::observable_diff;
use super::users::Users;
use crate::markings::{Pap, Tlp};
use crate::tags::{UPDATED, WITHDRAWN};
use crate::thehive::wire::{Alert, Observable};

/// Of several alerts of an event the one that counts: one of our own; of those one that a person
/// touched; and else the one that was created last, as TheHive 4 itself chooses when it cleans up
/// (`AlertIntegrityCheck` in its `AlertSrv.scala`). Whoever created the last one is most likely
/// still at work on it.
pub fn choose_alert(
    alerts: impl IntoIterator<Item = Alert>,
    event: &Uuid,
    users: &Users,
) -> Option<Alert> {
    let rank = |alert: &Alert| {
        let is_touched = is_touched(alert, event, users);
        (
            users.has(&alert.created_by),
            is_touched,
            alert.created_at,
            parse_id(&alert.id),
            alert.id.clone(),
        )
    };

    alerts.into_iter().max_by_key(rank)
}

/// `~4096` as a number: TheHive 4 counts, so that a longer id is a later one.
fn parse_id(id: &str) -> Option<u64> {
    id.trim_start_matches('~').parse().ok()
}

/// True for an alert to which a person did something that TheHive shows: it is in a case, read,
/// assigned, closed, has custom fields, updates are switched off, somebody else changed it last, or
/// a field is not as this program wrote it.
pub fn is_touched(alert: &Alert, event: &Uuid, users: &Users) -> bool {
    let has_custom_fields = match &alert.custom_fields {
        serde_json::Value::Array(fields) => !fields.is_empty(),
        serde_json::Value::Object(fields) => !fields.is_empty(),
        _ => false,
    };

    let is_edited = || {
        alert_diff::known_state(alert, event, users)
            .is_some_and(|state| alert_diff::is_edited(alert, &state))
    };

    !alert.case.is_empty()
        || !alert.assignee.is_empty()
        || has_custom_fields
        || alert.read == Some(true)
        || alert.follow == Some(false)
        || !["", "New"].contains(&alert.stage.as_str())
        || !["", "New"].contains(&alert.status.as_str())
        || !(alert.updated_by.is_empty() || users.has(&alert.updated_by))
        || is_edited()
}

/// True if an alert may be removed for the sake of another: it is ours, no person touched it, and
/// it has no tag that the other lacks. Its observables are asked for [`can_remove_observable`].
pub fn can_remove_alert(alert: &Alert, kept: &Alert, event: &Uuid, users: &Users) -> bool {
    // What this program sets by itself may differ.
    let is_ours = |tag: &str| {
        Tlp::from_tag(tag).is_some()
            || Pap::from_tag(tag).is_some()
            || [UPDATED, WITHDRAWN].contains(&tag)
    };

    let lacks = |tag: &String| !is_ours(tag) && !kept.tags.contains(tag);
    users.has(&alert.created_by)
        && !is_touched(alert, event, users)
        && !alert.tags.iter().any(lacks)
}

/// True for an observable that may go with its alert, or as a double: no person touched it.
pub fn can_remove_observable(observable: &Observable, users: &Users) -> bool {
    observable_diff::is_ours(observable, users) && !observable.sighted
}

/// Of observables those that may go since another of the same value stays: one that a person
/// touched, else the oldest. `key` is by what TheHive compares them.
pub fn find_duplicates<'o>(
    observables: &'o [Observable],
    users: &Users,
    key: impl Fn(&Observable) -> (String, String),
) -> Vec<&'o Observable> {
    let mut groups: HashMap<(String, String), Vec<&Observable>> = HashMap::new();
    for observable in observables {
        groups.entry(key(observable)).or_default().push(observable);
    }
    let mut all = Vec::new();
    for mut group in groups.into_values() {
        let is_kept = group
            .iter()
            .any(|observable| !can_remove_observable(observable, users));
        group.retain(|observable| can_remove_observable(observable, users));
        group.sort_by_key(|observable| {
            (
                observable.created_at,
                parse_id(&observable.id),
                &observable.id,
            )
        });
        all.extend(group.into_iter().skip(usize::from(!is_kept)));
    }

    // The map gives its groups in no order.
    all.sort_by_key(|observable| {
        (
            observable.created_at,
            parse_id(&observable.id),
            &observable.id,
        )
    });

    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn own_users() -> Users {
        Users::new("import@example.org", &[])
    }

    fn alert(id: u64, created: i64, more: &Value) -> Alert {
        let mut alert = json!({
            "_id": format!("~{id}"), "_createdAt": created, "_createdBy": "import@example.org", "tags": ["a", "tlp:amber"],
            "read": false, "follow": true, "customFields": [],
        });
        alert
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(alert).unwrap()
    }

    fn chosen(alerts: Vec<Alert>) -> String {
        choose_alert(alerts, &Uuid::nil(), &own_users()).unwrap().id
    }

    #[test]
    fn the_last_one_counts_unless_a_person_touched_another() {
        let two = |more: Value| vec![alert(1, 10, &more), alert(2, 20, &json!({}))];
        assert_eq!(chosen(two(json!({}))), "~2");

        for touched in [
            json!({"caseId": "~7"}),
            json!({"read": true}),
            json!({"follow": false}),
            json!({"assignee": "jane@example.org"}),
            json!({"stage": "InProgress", "status": "Mine"}),
            json!({"customFields": [{"name": "ticket"}]}),
            json!({"_updatedBy": "jane@example.org"}),
        ] {
            assert_eq!(chosen(two(touched.clone())), "~1", "{touched}");
            assert!(
                !can_remove_alert(
                    &alert(1, 10, &touched),
                    &alert(2, 20, &json!({})),
                    &Uuid::nil(),
                    &own_users()
                ),
                "{touched}"
            );
        }

        assert_eq!(
            chosen(two(json!({"_updatedBy": "import@example.org"}))),
            "~2"
        );

        assert_eq!(
            chosen(vec![
                alert(1, 10, &json!({})),
                alert(2, 20, &json!({"_createdBy": "jane"}))
            ]),
            "~1"
        );

        // The same moment: the higher number.
        assert_eq!(
            chosen(vec![
                alert(4096, 10, &json!({})),
                alert(999, 10, &json!({}))
            ]),
            "~4096"
        );
    }

    #[test]
    fn an_alert_with_a_tag_of_its_own_stays() {
        let kept = alert(2, 20, &json!({}));

        let may_go = |tags: Value| {
            can_remove_alert(
                &alert(1, 10, &json!({"tags": tags})),
                &kept,
                &Uuid::nil(),
                &own_users(),
            )
        };

        assert!(may_go(json!(["a", "tlp:red", UPDATED])));
        assert!(!may_go(json!(["a", "ours"])));
    }

    fn observable(id: u64, data: &str, more: &Value) -> Observable {
        let mut one = json!({
            "_id": format!("~{id}"), "_createdAt": id, "_createdBy": "import@example.org", "dataType": "ip", "data": data,
        });
        one.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(one).unwrap()
    }

    fn gone(observables: &[Observable]) -> Vec<&str> {
        let key = |one: &Observable| (one.data_type.clone(), one.data.clone());
        find_duplicates(observables, &own_users(), key)
            .into_iter()
            .map(|one| one.id.as_str())
            .collect()
    }

    #[test]
    fn the_oldest_of_a_value_stays_or_those_that_people_touched() {
        let plain = json!({});

        assert_eq!(
            gone(&[
                observable(2, "a", &plain),
                observable(1, "a", &plain),
                observable(3, "b", &plain)
            ]),
            ["~2"]
        );

        for touched in [
            json!({"_updatedBy": "jane"}),
            json!({"_createdBy": "jane"}),
            json!({"sighted": true}),
        ] {
            assert_eq!(
                gone(&[observable(1, "a", &plain), observable(2, "a", &touched)]),
                ["~1"],
                "{touched}"
            );

            assert_eq!(
                gone(&[observable(1, "a", &touched), observable(2, "a", &touched)]),
                [""; 0],
                "{touched}"
            );
        }

        assert_eq!(
            gone(&[
                observable(1, "a", &plain),
                observable(2, "a", &json!({"dataType": "other"}))
            ]),
            [""; 0]
        );
    }

    proptest! {
        /// Runs that see different parts of what is there, since writes are still running, never
        /// remove all of it: whatever one of them removes, the one that counts among all stays.
        #[test]
        fn whatever_is_seen_the_one_that_counts_in_the_end_stays(
            created in proptest::collection::vec((0_i64..4, any::<bool>()), 1..6),
            seen in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 6), 1..5),
        ) {
            let all: Vec<Alert> = created.iter().enumerate().map(|(number, (at, is_touched))| {
                alert(number as u64 + 1, *at, &json!({"read": *is_touched}))
            }).collect();
            let last = chosen(all.clone());
            for seen in seen {
                let part: Vec<Alert> = all.iter().zip(&seen).filter(|(_, seen)| **seen).map(|(one, _)| one.clone()).collect();
                let Some(kept) = choose_alert(part.clone(), &Uuid::nil(), &own_users()) else { continue };
                let removed = part.iter().filter(|one| one.id != kept.id && can_remove_alert(one, &kept, &Uuid::nil(), &own_users()));
                prop_assert!(removed.clone().all(|one| one.id != last));
            }
        }

        #[test]
        fn one_of_each_value_stays(values in proptest::collection::vec((0_u8..4, any::<bool>()), 0..20)) {
            let all: Vec<Observable> = values.iter().enumerate().map(|(number, (value, is_touched))| {
                observable(number as u64, &value.to_string(), &json!({"sighted": is_touched}))
            }).collect();
            let gone = gone(&all);
            for value in 0_u8..4 {
                let of_value: Vec<_> = all.iter().filter(|one| one.data == value.to_string()).collect();
                let stay = of_value.iter().filter(|one| !gone.contains(&one.id.as_str())).count();
                let touched = of_value.iter().filter(|one| one.sighted).count();
                prop_assert_eq!(stay, touched.max(usize::from(!of_value.is_empty())));
            }
        }
    }
}
