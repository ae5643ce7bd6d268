//! The filters and sorts of queries. TheHive 4 knows fewer operators and fields than 5, and refuses the others.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::refused::Refused;
use super::world::{Version, World};

/// What kind of records a query is about.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Alert,
    Case,
    Observable,
    Other,
}

/// Fields of TheHive 4 that can be asked for, of everything.
const OF_ALL: [&str; 5] = [
    "_id",
    "_createdBy",
    "_createdAt",
    "_updatedBy",
    "_updatedAt",
];

impl Kind {
    /// Its name in TheHive 4's messages.
    fn name(self) -> &'static str {
        match self {
            Self::Alert => "Alert",
            Self::Case => "Case",
            Self::Observable => "Observable",
            Self::Other => "Vertex",
        }
    }

    /// Fields of its own that can be asked for.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Alert => &[
                "type",
                "source",
                "sourceRef",
                "title",
                "description",
                "severity",
                "date",
                "lastSyncDate",
                "tags",
                "flag",
                "tlp",
                "pap",
                "read",
                "follow",
                "status",
                "imported",
                "summary",
                "user",
                "case",
                "importDate",
            ],
            Self::Case => &[
                "number",
                "title",
                "description",
                "severity",
                "startDate",
                "endDate",
                "tags",
                "flag",
                "tlp",
                "pap",
                "status",
                "summary",
                "assignee",
                "user",
            ],
            Self::Observable => &[
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
            ],
            Self::Other => &["name"],
        }
    }
}

/// Where a filter looks: the version decides the operators, the kind the fields.
#[derive(Clone, Copy)]
struct On(Version, Kind);

/// The records that pass the filter of this operation.
pub(super) fn filter(
    world: &World,
    kind: Kind,
    records: Vec<Value>,
    operation: &Value,
) -> Result<Vec<Value>, Refused> {
    let on = On(world.version, kind);
    let condition = unnamed(operation);
    // Nothing that is asked is passed by all.
    if condition.as_object().is_some_and(Map::is_empty) && world.version == Version::Four {
        return Ok(records);
    }
    let mut kept = Vec::new();
    // An empty list shows nothing of a wrong filter; a made-up record does.
    passes(on, &Value::Null, &condition)?;
    let texts = texts(&condition);
    for record in records {
        let is_kept = match (
            &texts,
            texts
                .as_ref()
                .and_then(|(name, _)| at(&record, name).as_str()),
        ) {
            (Some((_, texts)), Some(text)) => texts.contains(text),
            _ => passes(on, &record, &condition)?,
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
    let only = condition
        .as_object()
        .filter(|fields| fields.len() == 1)?
        .get("_in")?;
    let texts = only["_values"]
        .as_array()?
        .iter()
        .map(Value::as_str)
        .collect::<Option<_>>()?;
    Some((only["_field"].as_str()?, texts))
}

fn passes(on: On, record: &Value, condition: &Value) -> Result<bool, Refused> {
    let Some(fields) = condition.as_object() else {
        return Err(odd(condition));
    };
    if fields.contains_key("_field") && fields.contains_key("_value") {
        let (name, value) = operands(on, condition)?;
        return Ok(same(at(record, &name), &value));
    }
    let mut one = fields.iter();
    let (Some((operator, operand)), None) = (one.next(), one.next()) else {
        return Err(odd(condition));
    };
    match operator.as_str() {
        "_any" => Ok(true),
        "_and" => all_of(operand)?
            .iter()
            .try_fold(true, |so_far, part| Ok(passes(on, record, part)? && so_far)),
        "_or" => all_of(operand)?.iter().try_fold(false, |so_far, part| {
            Ok(passes(on, record, part)? || so_far)
        }),
        "_not" => Ok(!passes(on, record, operand)?),
        "_id" => Ok(record["_id"] == *operand),
        "_contains" | "_has" if on.0 == Version::Five || operator == "_contains" => {
            let name = operand
                .as_str()
                .or_else(|| operand["_field"].as_str())
                .unwrap_or_default();
            Ok(!at(record, name).is_null())
        }
        "_eq" | "_match" if on.0 == Version::Five => compare(on, record, operator, operand),
        "_is" | "_ne" | "_lt" | "_gt" | "_lte" | "_gte" | "_like" | "_wildcard" | "_startsWith"
        | "_endsWith" => compare(on, record, operator, operand),
        "_in" => {
            let (_, field) = named(on, operand, record)?;
            let values = operand["_values"]
                .as_array()
                .ok_or_else(|| Refused::missing(&[""]))?;
            Ok(values.iter().any(|value| same(field, value)))
        }
        "_between" => {
            let (_, field) = named(on, operand, record)?;
            Ok(order(field, &operand["_from"]).is_some_and(Ordering::is_ge)
                && order(field, &operand["_to"]).is_some_and(Ordering::is_lt))
        }
        other if !other.starts_with('_') => Ok(same(at(record, known(on, other)?), operand)),
        _ => Err(odd(condition)),
    }
}

/// An operation without its name.
fn unnamed(operation: &Value) -> Value {
    let mut rest = operation.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.shift_remove("_name");
    }
    rest
}

fn odd(condition: &Value) -> Refused {
    Refused::format("", "empty", &["query", "parentChildFilter"], condition)
}

fn all_of(operand: &Value) -> Result<&Vec<Value>, Refused> {
    operand.as_array().ok_or_else(|| odd(operand))
}

fn named<'a>(on: On, operand: &Value, record: &'a Value) -> Result<(String, &'a Value), Refused> {
    let name = operand["_field"]
        .as_str()
        .ok_or_else(|| Refused::missing(&["_field"]))?;
    Ok((name.to_owned(), at(record, known(on, name)?)))
}

/// `{"_field": …, "_value": …}` or `{field: value}`.
fn operands(on: On, operand: &Value) -> Result<(String, Value), Refused> {
    if let Some(name) = operand["_field"].as_str() {
        return Ok((known(on, name)?.to_owned(), operand["_value"].clone()));
    }
    let mut pairs = operand.as_object().into_iter().flatten();
    match (pairs.next(), pairs.next()) {
        (Some((name, value)), None) => Ok((known(on, name)?.to_owned(), value.clone())),
        _ => Err(odd(operand)),
    }
}

fn known(on: On, name: &str) -> Result<&str, Refused> {
    let custom = name.starts_with("customFields.") || name.starts_with("computed.");
    let On(version, kind) = on;
    if version == Version::Four
        && !custom
        && !OF_ALL.contains(&name)
        && !kind.fields().contains(&name)
    {
        let kind = format!(
            "org.thp.scalligraph.traversal.Traversal.V[org.thp.thehive.models.{}]",
            kind.name()
        );
        return Err(Refused::bad(&format!(
            "Property {name} for type {kind} not found"
        )));
    }
    Ok(name)
}

fn compare(on: On, record: &Value, operator: &str, operand: &Value) -> Result<bool, Refused> {
    let (name, value) = operands(on, operand)?;
    let field = at(record, &name);
    let text = |value: &Value| value.as_str().map(str::to_lowercase).unwrap_or_default();
    // Of a list, as tags are, one that is so is enough.
    let any = |is: &dyn Fn(&str) -> bool| match field {
        Value::Array(list) => list.iter().any(|one| is(&text(one))),
        one => is(&text(one)),
    };
    let ordered = |wanted: fn(Ordering) -> bool| order(field, &value).is_some_and(wanted);
    Ok(match operator {
        "_is" | "_eq" => same(field, &value),
        "_ne" => !same(field, &value),
        "_lt" => ordered(Ordering::is_lt),
        "_gt" => ordered(Ordering::is_gt),
        "_lte" => ordered(Ordering::is_le),
        "_gte" => ordered(Ordering::is_ge),
        "_startsWith" => any(&|one| one.starts_with(&text(&value))),
        "_endsWith" => any(&|one| one.ends_with(&text(&value))),
        _ => any(&|one| one.contains(text(&value).trim_matches('*'))),
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
pub(super) fn sort(
    world: &World,
    kind: Kind,
    mut records: Vec<Value>,
    operation: &Value,
) -> Result<Vec<Value>, Refused> {
    let wrong = || Refused::format("", "sort-f", &["sort-f"], &unnamed(operation));
    let fields = operation["_fields"].as_array().ok_or_else(wrong)?;
    let mut by = Vec::new();
    for field in fields {
        let pair = match field {
            Value::String(text) => (text.trim_start_matches(['+', '-']), !text.starts_with('-')),
            Value::Object(one) => {
                let (name, direction) = one.iter().next().ok_or_else(wrong)?;
                (name.as_str(), direction != "desc")
            }
            _ => return Err(wrong()),
        };
        known(On(world.version, kind), pair.0)?;
        by.push((pair.0.to_owned(), pair.1));
    }
    records.sort_by(|one, other| {
        let step = |(name, upwards): &(String, bool)| {
            let order = order(at(one, name), at(other, name)).unwrap_or(Ordering::Equal);
            if *upwards { order } else { order.reverse() }
        };
        by.iter()
            .map(step)
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(records)
}
