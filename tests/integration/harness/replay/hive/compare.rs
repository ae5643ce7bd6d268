//! How an answer is compared with the recorded one: status, headers and every value, but for ids, moments, and what a user or a
//! server is called. Tags are a set; records that were not sorted are compared in the order of their values.

use serde_json::Value;

use super::stage::Stage;
use crate::replay::compare::kind;
use crate::replay::wire::{Answer, Exchange};

/// Headers whose value must be the recorded one.
const HEADERS: [&str; 5] = [
    "Content-Type",
    "X-Total",
    "WWW-Authenticate",
    "Content-Disposition",
    "Content-Transfer-Encoding",
];

/// Fields that are another's at every server: only their kind is compared.
const VARY: [&str; 23] = [
    "_id",
    "id",
    "_createdBy",
    "createdBy",
    "_updatedBy",
    "updatedBy",
    "_createdAt",
    "createdAt",
    "_updatedAt",
    "updatedAt",
    "owner",
    "assignee",
    "login",
    "name",
    "number",
    "caseId",
    "startDate",
    "source",
    "sourceRef",
    "organisationId",
    "objectId",
    "rootId",
    "requestId",
];

/// Fields of which only that they are there is compared: what a user may do, and what a server consists of.
const OPEN: [&str; 11] = [
    "permissions",
    "profile",
    "connectors",
    "cluster",
    "capabilities",
    "authType",
    "versions",
    "organisations",
    "schemaStatus",
    "config",
    "hashes",
];

/// Fields that a record may have or not: whether somebody changed it since, and alerts of which kind were made.
const MAY_LACK: [&str; 4] = ["_updatedBy", "_updatedAt", "case", "externalLink"];

/// Every difference in words.
pub(super) fn differences(stage: &Stage, exchange: &Exchange, answer: &Answer) -> Vec<String> {
    let text = String::from_utf8_lossy(&answer.body);
    if exchange.response["status"] != answer.status {
        let body: String = text.chars().take(300).collect();
        return vec![format!(
            "status {} instead of {}: {body}",
            answer.status, exchange.response["status"]
        )];
    }
    let mut found = Vec::new();
    headers(exchange, answer, &mut found);
    match &exchange.response["body"] {
        Value::Null => {}
        Value::String(plain) if !plain.starts_with('{') => {
            if *plain != text {
                found.push(format!("the content is {text:?} instead of {plain:?}"));
            }
        }
        // Too long to have been recorded, or no JSON.
        Value::String(_) => {}
        recorded if recorded["base64"].is_string() => {}
        recorded => match serde_json::from_str(&stage.recorded(&text)) {
            Ok(body) => same("", recorded, &body, &mut found),
            Err(error) => found.push(format!("no JSON: {error}")),
        },
    }
    found
}

fn headers(exchange: &Exchange, answer: &Answer, found: &mut Vec<String>) {
    let recorded = |name: &str| {
        let all = exchange.response["headers"].as_object();
        let one = all.and_then(|all| all.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)));
        one.and_then(|(_, value)| value.as_str())
    };
    for name in HEADERS {
        if recorded(name) != answer.header(name) {
            found.push(format!(
                "{name} {:?} instead of {:?}",
                answer.header(name),
                recorded(name)
            ));
        }
    }
    // Lists come in pieces, which have no length.
    let (one, other) = (
        recorded("Content-Length").is_some(),
        answer.header("Content-Length").is_some(),
    );
    if one != other && answer.status != 204 {
        found.push(format!("a length is told: {other} instead of {one}"));
    }
}

fn same(at: &str, recorded: &Value, body: &Value, found: &mut Vec<String>) {
    let name = at.rsplit('/').next().unwrap_or_default();
    match (recorded, body) {
        _ if OPEN.contains(&name) && kind(recorded) == kind(body) => {}
        _ if VARY.contains(&name)
            && (kind(recorded) == kind(body) || body.is_null() == recorded.is_null()) => {}
        (Value::Object(one), Value::Object(other)) => {
            let is_free = |name: &str| MAY_LACK.contains(&name);
            let lacking: Vec<&String> = one
                .keys()
                .filter(|name| !other.contains_key(*name) && !is_free(name))
                .collect();
            let extra: Vec<&String> = other
                .keys()
                .filter(|name| !one.contains_key(*name) && !is_free(name))
                .collect();
            if !lacking.is_empty() || !extra.is_empty() {
                found.push(format!("{at} lacks {lacking:?}, has {extra:?} too much"));
            }
            for (name, value) in one {
                let other = body.get(name).filter(|_| !is_free(name));
                other
                    .into_iter()
                    .for_each(|other| same(&format!("{at}/{name}"), value, other, found));
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in sorted(one).into_iter().zip(sorted(other)).enumerate() {
                same(&format!("{at}/{number}"), one, other, found);
            }
        }
        (Value::String(one), Value::String(other)) if plain(one) == plain(other) => {}
        _ if recorded == body => {}
        _ => found.push(format!(
            "{at} is {} instead of {}",
            short(body),
            short(recorded)
        )),
    }
}

/// By what stands in them, whatever their ids.
fn sorted(list: &[Value]) -> Vec<&Value> {
    let mut list: Vec<&Value> = list.iter().collect();
    list.sort_by_key(|one| match one {
        Value::Object(_) => {
            let audit = &one["base"];
            let all = ["name", "data", "title", "sourceRef", "type"]
                .map(|name| &one[name])
                .into_iter();
            let all = all.chain([
                &audit["operation"],
                &audit["details"]["data"],
                &audit["details"]["message"],
            ]);
            all.map(|value| value.as_str().unwrap_or_default())
                .collect()
        }
        other => other.to_string(),
    });
    list
}

/// Numbers and ids stand for themselves no longer.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            other => out.push(other),
        }
    }
    out.replace("~#", "#")
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(160).collect()
}
