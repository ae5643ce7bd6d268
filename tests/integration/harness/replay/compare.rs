//! How an answer of the fake is compared with the recorded one: status and headers exactly, messages exactly but for ids,
//! bodies by shape, and of single events also what they say.

use serde_json::Value;

use super::table;
use super::wire::{Answer, Exchange};

/// Fields that may be null here and a value there.
const NULLABLE: [&str; 6] = [
    "first_seen",
    "last_seen",
    "object_relation",
    "relationship_type",
    "numerical_value",
    "colour",
];

/// Fields that the real server gives as a string once and as a number the next time, from its cache (recorded as
/// `406-view-published-before-noop` and `409-view-after-unknown-tag-edit`).
const EITHER: [&str; 1] = ["warninglist_id"];

/// Lists whose length depends on the other contents of the recorded server.
const ANY_LENGTH: [&str; 2] = ["RelatedEvent", "Sighting"];

/// Headers whose value must be the recorded one.
const HEADERS: [&str; 8] = [
    "Content-Type",
    "X-Rate-Limit-Limit",
    "X-Rate-Limit-Remaining",
    "X-Rate-Limit-Reset",
    "X-Export-Module-Used",
    "X-Response-Format",
    "X-Skipped-Elements-Count",
    "Content-Disposition",
];

/// Every difference in words.
pub(super) fn differences(exchange: &Exchange, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if exchange.response["status"] != answer.status {
        let body = String::from_utf8_lossy(&answer.body);
        let body: String = body.chars().take(300).collect();
        return vec![format!(
            "status {} instead of {}: {body}",
            answer.status, exchange.response["status"]
        )];
    }
    headers(exchange, answer, &mut found);
    if let Some(recorded) = exchange.response.get("body") {
        if recorded.is_null() {
            return found;
        }
        match serde_json::from_slice(&answer.body) {
            Ok(body) => bodies(exchange, recorded, &body, &mut found),
            Err(error) => found.push(format!("no JSON: {error}")),
        }
    }
    found
}

fn headers(exchange: &Exchange, answer: &Answer, found: &mut Vec<String>) {
    let recorded = |name: &str| {
        exchange.response["headers"]
            .get(name)
            .and_then(Value::as_str)
    };
    for name in HEADERS {
        if recorded(name).is_some() && recorded(name) != answer.header(name) {
            found.push(format!(
                "{name} {:?} instead of {:?}",
                answer.header(name),
                recorded(name)
            ));
        }
    }
    let count = table::SAME_COUNT.contains(&exchange.name.as_str());
    match (recorded("X-Result-Count"), answer.header("X-Result-Count")) {
        (Some(one), Some(other)) if count && one != other => {
            found.push(format!("X-Result-Count {other} instead of {one}"))
        }
        (Some(_), Some(_)) | (None, None) => {}
        (one, other) => found.push(format!("X-Result-Count {other:?} instead of {one:?}")),
    }
    let path = |location: &str| without_ids(location.splitn(4, '/').nth(3).unwrap_or_default());
    let (one, other) = (
        recorded("Location").map(path),
        answer.header("Location").map(path),
    );
    if one != other {
        found.push(format!("Location {other:?} instead of {one:?}"));
    }
}

fn bodies(exchange: &Exchange, recorded: &Value, body: &Value, found: &mut Vec<String>) {
    if table::EXACT.contains(&exchange.name.as_str()) {
        exact("", recorded, body, found);
        return;
    }
    shape("", recorded, body, found);
    messages(recorded, body, found);
    if recorded["Event"].is_object() {
        events(&recorded["Event"], &body["Event"], found);
    }
}

/// Everything equal, except the lists that depend on the rest of the server.
fn exact(at: &str, recorded: &Value, body: &Value, found: &mut Vec<String>) {
    match (recorded, body) {
        (Value::Object(one), Value::Object(_)) => {
            keys(at, recorded, body, found);
            for (name, value) in one
                .iter()
                .filter(|(name, _)| !ANY_LENGTH.contains(&name.as_str()))
            {
                exact(&format!("{at}/{name}"), value, &body[name], found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                exact(&format!("{at}/{number}"), one, other, found);
            }
        }
        _ if recorded == body => {}
        _ => found.push(format!(
            "{at} is {} instead of {}",
            short(body),
            short(recorded)
        )),
    }
}

fn keys(at: &str, recorded: &Value, body: &Value, found: &mut Vec<String>) {
    let names = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    };
    let (one, other) = (names(recorded), names(body));
    let missing: Vec<&String> = one.iter().filter(|name| !other.contains(name)).collect();
    let extra: Vec<&String> = other.iter().filter(|name| !one.contains(name)).collect();
    if !missing.is_empty() || !extra.is_empty() {
        found.push(format!("{at} lacks {missing:?}, has {extra:?} too much"));
    }
}

/// The same keys at every level and the same JSON type at every leaf; lists by their first element.
fn shape(at: &str, recorded: &Value, body: &Value, found: &mut Vec<String>) {
    let name = at.rsplit('/').next().unwrap_or_default();
    match (recorded, body) {
        (Value::Object(one), Value::Object(_)) => {
            keys(at, recorded, body, found);
            for (name, value) in one {
                if let Some(other) = body.get(name) {
                    shape(&format!("{at}/{name}"), value, other, found);
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => match (one.first(), other.first()) {
            (Some(one), Some(other)) => shape(&format!("{at}/0"), one, other, found),
            (None, None) => {}
            _ if ANY_LENGTH.contains(&name) => {}
            _ => found.push(format!(
                "{at} has {} elements instead of {}",
                other.len(),
                one.len()
            )),
        },
        _ if kind(recorded) == kind(body) => {}
        _ if NULLABLE.contains(&name) && (recorded.is_null() || body.is_null()) => {}
        _ if EITHER.contains(&name) && !body.is_null() => {}
        _ => found.push(format!(
            "{at} is {} instead of {}",
            short(body),
            short(recorded)
        )),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn messages(recorded: &Value, body: &Value, found: &mut Vec<String>) {
    let told = recorded.get("message").is_some() || recorded.get("saved").is_some();
    for name in ["name", "message", "errors", "url", "saved", "success"] {
        let (one, other) = (
            without_ids(&recorded[name].to_string()),
            without_ids(&body[name].to_string()),
        );
        if (told || name == "errors") && one != other {
            found.push(format!("{name} is {other} instead of {one}"));
        }
    }
}

/// What a single event says: the fields a client decides by, and its attributes and tags.
fn events(recorded: &Value, body: &Value, found: &mut Vec<String>) {
    for name in [
        "published",
        "attribute_count",
        "distribution",
        "threat_level_id",
        "analysis",
        "info",
        "orgc_id",
        "extends_uuid",
    ] {
        if recorded[name] != body[name] {
            found.push(format!(
                "{name} is {} instead of {}",
                body[name], recorded[name]
            ));
        }
    }
    let attributes = |event: &Value| -> Vec<String> {
        let rows = event["Attribute"].as_array().into_iter().flatten();
        rows.map(|row| {
            format!(
                "{} {} {} {}",
                row["type"], row["category"], row["value"], row["to_ids"]
            )
        })
        .collect()
    };
    let tags = |event: &Value| -> Vec<Value> {
        event["Tag"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|tag| tag["name"].clone())
            .collect()
    };
    if attributes(recorded) != attributes(body) {
        found.push(format!(
            "attributes are {:?} instead of {:?}",
            attributes(body),
            attributes(recorded)
        ));
    }
    if tags(recorded) != tags(body) {
        found.push(format!(
            "tags are {:?} instead of {:?}",
            tags(body),
            tags(recorded)
        ));
    }
}

/// Numbers and uuids stand for themselves no longer.
fn without_ids(text: &str) -> String {
    let uuid = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let words = text
        .split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .map(|word| {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let rest = &word[end.len()..];
            let numeric = !end.is_empty() && end.chars().all(|c| c.is_ascii_digit());
            if numeric || uuid(end) {
                format!("#{rest}")
            } else {
                word.to_owned()
            }
        });
    words.collect()
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}
