//! The corpus in other writings of the same: what PHP and its databases make of numbers, booleans, lists and what is absent. The
//! import must not differ.

use serde_json::{Map, Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::imports::filters::{job, report, varied};
use crate::misp::{Fake, World};
use crate::program::{failure, full};

/// All that an import says, but for the time it took: once of everything, and once with filters that read many fields.
fn told(misp: &Fake) -> Vec<Value> {
    let filters = json!({
        "include_organisations": ["partnerorg", "1", "Nobody"], "exclude_organisations": ["RemoteOrg"], "include_tags": ["tlp:*"],
        "exclude_tags": ["PAP:RED"], "published_only": true, "min_threat_level": "low", "max_age_days": 300,
        "max_age_date": "published", "max_attributes": 200, "window_days": 340,
    });
    let jobs = [json!({}), json!({"skip_own_organisation": true}), filters];
    let told = jobs.iter().map(|options| {
        let report = report(job(misp, options.as_object().unwrap()));
        let full = full(&report);
        let part = &full["connections"][0];
        json!({
            "alerts": full["alerts"], "ledger": full["ledger"], "left_out": full["left_out"], "artifacts": report["artifacts"],
            "summary": report["summary"], "events": part["events"], "warnings": part["warnings"],
            "asked_for": part["asked_for"], "version": part["version"], "requests": part["requests"],
        })
    });
    told.collect()
}

fn changes_nothing(style: fn(&mut Value)) {
    let misp = Fake::start(varied());
    let plain = told(&misp);
    for told in &plain {
        let created = told["ledger"]["attributes"]["created"].as_u64();
        assert!(
            created > Some(10),
            "there is little to compare: {}",
            told["ledger"]
        );
    }
    misp.world().style = Some(style);
    for (plain, loose) in plain.iter().zip(told(&misp)) {
        same("", &loose, plain);
    }
}

/// Breaks at the first difference and says where it is.
fn same(place: &str, loose: &Value, plain: &Value) {
    match (loose, plain) {
        (Value::Array(some), Value::Array(others)) if some.len() == others.len() => {
            for (number, (one, other)) in some.iter().zip(others).enumerate() {
                same(&format!("{place}/{number}"), one, other);
            }
        }
        (Value::Object(some), Value::Object(others)) if some.keys().eq(others.keys()) => {
            for (name, one) in some {
                same(&format!("{place}/{name}"), one, &others[name]);
            }
        }
        _ => assert_eq!(loose, plain, "{place}"),
    }
}

/// Changes every value of a tree, the leaves first.
fn everywhere(value: &mut Value, change: &dyn Fn(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| everywhere(item, change)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| everywhere(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    change(value);
}

/// The same below the answer itself, which stays what it is.
fn within(value: &mut Value, change: &dyn Fn(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| everywhere(item, change)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| everywhere(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[test]
fn numbers_as_texts() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Number(number) = value {
                *value = number.to_string().into();
            }
        });
    });
}

/// Not only in columns that are numbers: a value of digits may come as a number from others than MISP.
#[test]
fn texts_of_digits_as_numbers() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            let number = value.as_str().and_then(|text| {
                text.parse::<i64>()
                    .ok()
                    .filter(|one| one.to_string() == text)
            });
            if let Some(number) = number {
                *value = number.into();
            }
        });
    });
}

#[test]
fn booleans_as_numbers() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Bool(is) = value {
                *value = i64::from(*is).into();
            }
        });
    });
}

#[test]
fn booleans_as_texts() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Bool(is) = value {
                *value = if *is { "1" } else { "0" }.into();
            }
        });
    });
    // What PHP makes of false in a text.
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Bool(is) = value {
                *value = if *is { "1" } else { "" }.into();
            }
        });
    });
}

#[test]
fn what_is_empty_as_null() {
    changes_nothing(|answer| {
        within(answer, &|value| {
            if is_empty(value) {
                *value = Value::Null;
            }
        });
    });
}

#[test]
fn what_is_empty_left_out() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Object(fields) = value {
                fields.retain(|_, field| !is_empty(field));
            }
        });
    });
}

#[test]
fn fields_that_nobody_knows() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Object(fields) = value {
                let unknown = json!({"Event": {"Attribute": [1, null, {"Tag": [{"name": "tlp:red"}]}]}, "uuid": [[]]});
                fields.insert("a_field_of_tomorrow".to_owned(), unknown.clone());
                fields.shift_insert(0, "Unknown".to_owned(), unknown);
            }
        });
    });
}

/// PHP has one kind of array for both, so that an empty one may be written either way.
#[test]
fn empty_lists_as_objects_and_empty_objects_as_lists() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| match value {
            Value::Array(items) if items.is_empty() => *value = json!({}),
            Value::Object(fields) if fields.is_empty() => *value = json!([]),
            _ => {}
        });
    });
}

/// A list of which PHP took out an element is written as an object whose keys are the places.
#[test]
fn lists_with_gaps_as_objects() {
    changes_nothing(|answer| {
        everywhere(answer, &|value| {
            if let Value::Array(items) = value {
                let places = items
                    .drain(..)
                    .enumerate()
                    .map(|(place, item)| ((2 * place).to_string(), item));
                *value = places.collect::<Map<_, _>>().into();
            }
        });
    });
}

#[test]
fn messages_escaped_for_html_are_shown_as_meant() {
    let misp = Fake::start(World::new());
    for (errors, expected) in [
        (Value::Null, "403: It's \"closed\" & <locked>"),
        (
            json!({"Event": ["isn&#039;t"]}),
            "403: It's \"closed\" & <locked> (isn't)",
        ),
    ] {
        misp.heal();
        let message = "It&#039;s &quot;closed&quot; &amp; &lt;locked&gt;";
        let body =
            json!({"name": message, "message": message, "url": "/events/index", "errors": errors})
                .to_string();
        misp.fault(Fault {
            on: "/events/index",
            nth: Nth::Always,
            what: What::Status(403, body, "application/json"),
        });
        let report = report(job(&misp, &Map::new()));
        assert!(failure(&report).contains(expected), "{}", failure(&report));
    }
}
