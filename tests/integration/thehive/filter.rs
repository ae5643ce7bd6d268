//! The filters and sorts of queries. TheHive 4 knows fewer operators and fields than 5, and refuses the others.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::Refused;
use super::world::{Version, World};

/// Fields of TheHive 4 that can be asked for; of alerts and observables together.
const FIELDS_OF_FOUR: [&str; 40] = [
    "status",
    "startDate",
    "ioc",
    "sighted",
    "ignoreSimilarity",
    "tags",
    "message",
    "tlp",
    "dataType",
    "data",
    "attachment.name",
    "attachment.hashes",
    "attachment.size",
    "attachment.contentType",
    "attachment.id",
    "_id",
    "_createdBy",
    "_createdAt",
    "_updatedBy",
    "_updatedAt",
    "type",
    "source",
    "sourceRef",
    "title",
    "description",
    "severity",
    "date",
    "lastSyncDate",
    "flag",
    "pap",
    "read",
    "follow",
    "imported",
    "summary",
    "user",
    "case",
    "importDate",
    "number",
    "assignee",
    "endDate",
];

/// The records that pass the filter of this operation.
pub(super) fn filter(world: &World, records: Vec<Value>, operation: &Value) -> Result<Vec<Value>, Refused> {
    let mut condition = operation.clone();
    if let Some(fields) = condition.as_object_mut() {
        fields.shift_remove("_name");
    }
    let mut kept = Vec::new();
    // An empty list shows nothing of a wrong filter; a made-up record does.
    passes(world.version, &Value::Null, &condition)?;
    let texts = texts(&condition);
    for record in records {
        let is_kept = match (&texts, texts.as_ref().and_then(|(name, _)| at(&record, name).as_str())) {
            (Some((_, texts)), Some(text)) => texts.contains(text),
            _ => passes(world.version, &record, &condition)?,
        };
        if is_kept {
            kept.push(record);
        }
    }
    Ok(kept)
}

/// The field and the values of a condition that is nothing but `_in`, for which one look in a set is enough: thousands of
/// values are asked for of thousands of observables.
fn texts(condition: &Value) -> Option<(&str, HashSet<&str>)> {
    let only = condition.as_object().filter(|fields| fields.len() == 1)?.get("_in")?;
    let texts = only["_values"].as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    Some((only["_field"].as_str()?, texts))
}

fn passes(version: Version, record: &Value, condition: &Value) -> Result<bool, Refused> {
    let Some(fields) = condition.as_object() else {
        return Err(Refused::bad("Invalid filter: an object is expected"));
    };
    if fields.contains_key("_field") && fields.contains_key("_value") {
        let (name, value) = operands(version, condition)?;
        return Ok(same(at(record, &name), &value));
    }
    let mut one = fields.iter();
    let (Some((operator, operand)), None) = (one.next(), one.next()) else {
        return Err(Refused::bad("Invalid filter: exactly one operator is expected"));
    };
    match operator.as_str() {
        "_any" => Ok(true),
        "_and" => all_of(operand)?.iter().try_fold(true, |so_far, part| Ok(passes(version, record, part)? && so_far)),
        "_or" => all_of(operand)?.iter().try_fold(false, |so_far, part| Ok(passes(version, record, part)? || so_far)),
        "_not" => Ok(!passes(version, record, operand)?),
        "_id" => Ok(record["_id"] == *operand),
        "_contains" | "_has" if version == Version::Five || operator == "_contains" => {
            let name = operand.as_str().or_else(|| operand["_field"].as_str()).unwrap_or_default();
            Ok(!at(record, name).is_null())
        }
        "_eq" | "_match" if version == Version::Five => compare(version, record, operator, operand),
        "_is" | "_ne" | "_lt" | "_gt" | "_lte" | "_gte" | "_like" | "_wildcard" | "_startsWith" | "_endsWith" => {
            compare(version, record, operator, operand)
        }
        "_in" => {
            let (name, field) = named(version, operand, record)?;
            let values = operand["_values"]
                .as_array()
                .ok_or_else(|| Refused::bad(&format!("Invalid filter on {name}: _values is missing")))?;
            Ok(values.iter().any(|value| same(field, value)))
        }
        "_between" => {
            let (_, field) = named(version, operand, record)?;
            Ok(order(field, &operand["_from"]).is_some_and(Ordering::is_ge)
                && order(field, &operand["_to"]).is_some_and(Ordering::is_lt))
        }
        other if !other.starts_with('_') => Ok(same(at(record, known(version, other)?), operand)),
        other => Err(Refused::bad(&format!("Invalid filter: operator {other} is not recognized"))),
    }
}

fn all_of(operand: &Value) -> Result<&Vec<Value>, Refused> {
    operand.as_array().ok_or_else(|| Refused::bad("Invalid filter: a list is expected"))
}

fn named<'a>(version: Version, operand: &Value, record: &'a Value) -> Result<(String, &'a Value), Refused> {
    let name = operand["_field"].as_str().ok_or_else(|| Refused::bad("Invalid filter: _field is missing"))?;
    Ok((name.to_owned(), at(record, known(version, name)?)))
}

/// `{"_field": …, "_value": …}` or `{field: value}`.
fn operands(version: Version, operand: &Value) -> Result<(String, Value), Refused> {
    if let Some(name) = operand["_field"].as_str() {
        return Ok((known(version, name)?.to_owned(), operand["_value"].clone()));
    }
    let mut pairs = operand.as_object().into_iter().flatten();
    match (pairs.next(), pairs.next()) {
        (Some((name, value)), None) => Ok((known(version, name)?.to_owned(), value.clone())),
        _ => Err(Refused::bad("Invalid filter: one field is expected")),
    }
}

fn known(version: Version, name: &str) -> Result<&str, Refused> {
    let custom = name.starts_with("customFields.") || name.starts_with("computed.");
    if version == Version::Four && !custom && !FIELDS_OF_FOUR.contains(&name) {
        return Err(Refused::bad(&format!("Property {name} for type Observable not found")));
    }
    Ok(name)
}

fn compare(version: Version, record: &Value, operator: &str, operand: &Value) -> Result<bool, Refused> {
    let (name, value) = operands(version, operand)?;
    let field = at(record, &name);
    let text = |value: &Value| value.as_str().map(str::to_lowercase).unwrap_or_default();
    let ordered = |wanted: fn(Ordering) -> bool| order(field, &value).is_some_and(wanted);
    Ok(match operator {
        "_is" | "_eq" => same(field, &value),
        "_ne" => !same(field, &value),
        "_lt" => ordered(Ordering::is_lt),
        "_gt" => ordered(Ordering::is_gt),
        "_lte" => ordered(Ordering::is_le),
        "_gte" => ordered(Ordering::is_ge),
        "_startsWith" => text(field).starts_with(&text(&value)),
        "_endsWith" => text(field).ends_with(&text(&value)),
        _ => text(field).contains(text(&value).trim_matches('*')),
    })
}

/// A field by its path; null if there is none.
fn at<'a>(record: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(record, |record, part| &record[part])
}

/// Equal, or a list that has the value.
fn same(field: &Value, value: &Value) -> bool {
    field == value || field.as_array().is_some_and(|list| list.contains(value))
}

fn order(field: &Value, value: &Value) -> Option<Ordering> {
    match (field, value) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Sorts by the fields of the operation, the first counting most.
pub(super) fn sort(mut records: Vec<Value>, operation: &Value) -> Result<Vec<Value>, Refused> {
    let fields = operation["_fields"].as_array().ok_or_else(|| Refused::bad("Invalid sort: _fields is missing"))?;
    let mut by = Vec::new();
    for field in fields {
        let pair = match field {
            Value::String(text) => (text.trim_start_matches(['+', '-']), !text.starts_with('-')),
            Value::Object(one) => {
                let (name, direction) =
                    one.iter().next().ok_or_else(|| Refused::bad("Invalid sort: an empty object"))?;
                (name.as_str(), direction != "desc")
            }
            _ => return Err(Refused::bad("Invalid sort")),
        };
        by.push((pair.0.to_owned(), pair.1));
    }
    records.sort_by(|one, other| {
        let step = |(name, upwards): &(String, bool)| {
            let order = order(at(one, name), at(other, name)).unwrap_or(Ordering::Equal);
            if *upwards { order } else { order.reverse() }
        };
        by.iter().map(step).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(records)
}
