//! Observables of alerts: adding one value or many of a kind, changing, deleting.

use serde_json::{Value, json};

use super::body::{File, Sent};
use super::world::{Version, World, sight};
use super::{Refused, Reply, Who, json_reply, nothing};

/// One value that was not stored, as the answer lists it.
pub(super) struct Failure(Value);

/// `POST …/alert/{id}/artifact` of 4, `…/observable` of 5: 201 with all, or 207 with `success` and `failure`.
pub(super) fn add(world: &mut World, who: &Who, id: &str, sent: &Sent, v0_shape: bool) -> Result<Reply, Refused> {
    // A missing alert and a missing permission look alike.
    let denied = || Refused::new(403, "AuthorizationError", "Operation not permitted");
    let id = world
        .alert_of(&who.organisation, id)
        .and_then(|alert| alert["_id"].as_str())
        .map(ToOwned::to_owned)
        .ok_or_else(denied)?;
    who.need("manageAlert", "").map_err(|_| denied())?;
    let (stored, failed) = store(world, who, &id, &sent.json, sent)?;
    let shown = |id: &String| {
        let record =
            world.observables.iter().map(|observable| &observable.record).find(|record| record["_id"] == id.as_str());
        record.map(|record| if v0_shape { v0(record) } else { record.clone() })
    };
    let success: Vec<Value> = stored.iter().filter_map(shown).collect();
    if failed.is_empty() {
        return Ok(json_reply(201, &success.into()));
    }
    let failure: Vec<Value> = failed.into_iter().map(|failure| failure.0).collect();
    Ok(json_reply(207, &json!({"success": success, "failure": failure})))
}

/// Stores every value of one observable of a request; the ids stored and the values refused.
pub(super) fn store(
    world: &mut World,
    who: &Who,
    parent: &str,
    from: &Value,
    sent: &Sent,
) -> Result<(Vec<String>, Vec<Failure>), Refused> {
    let kind = from["dataType"].as_str().unwrap_or("file").to_owned();
    let Some(is_file) = world.observable_types.iter().find(|(name, _)| *name == kind).map(|(_, file)| *file) else {
        return Err(Refused::not_found(&format!("ObservableType {kind} not found")));
    };
    if world.version == Version::Five {
        limits(from)?;
    }
    let (mut stored, mut failed) = (Vec::new(), Vec::new());
    if is_file {
        for file in files(world.version, from, sent) {
            keep(&mut stored, &mut failed, file_value(world, who, parent, from, &file));
        }
        return Ok((stored, failed));
    }
    let values: Vec<String> = match &from["data"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        one => one.as_str().map(ToOwned::to_owned).into_iter().collect(),
    };
    for value in values.iter().filter(|value| !value.trim().is_empty()) {
        keep(&mut stored, &mut failed, text_value(world, who, parent, from, &kind, value));
    }
    Ok((stored, failed))
}

fn keep(stored: &mut Vec<String>, failed: &mut Vec<Failure>, one: Result<String, String>) {
    match one {
        Ok(id) => stored.push(id),
        Err(data) => failed.push(Failure(
            json!({"type": "CreateError", "message": "Observable already exists", "object": {"data": data}}),
        )),
    }
}

fn text_value(
    world: &mut World,
    who: &Who,
    parent: &str,
    from: &Value,
    kind: &str,
    value: &str,
) -> Result<String, String> {
    if world.observables_of(parent).any(|record| record["dataType"] == kind && record["data"] == value) {
        return Err(value.to_owned());
    }
    let mut fields = fields(who, from);
    fields["dataType"] = kind.into();
    fields["data"] = value.into();
    let id = world.add_observable(parent, &fields);
    count(world, parent);
    Ok(id)
}

fn file_value(world: &mut World, who: &Who, parent: &str, from: &Value, file: &File) -> Result<String, String> {
    let hash = digest(&file.content);
    if world.observables_of(parent).any(|record| record["attachment"]["id"] == hash.as_str()) {
        return Err(format!("file:{}", file.name));
    }
    let id = world.add_file(parent, &file.name, &hash, &file.content, &fields(who, from));
    count(world, parent);
    Ok(id)
}

/// The fields that a request may set.
fn fields(who: &Who, from: &Value) -> Value {
    let mut out = json!({"_createdBy": who.login});
    for name in ["message", "tlp", "pap", "tags", "ioc", "sighted", "sightedAt", "ignoreSimilarity"] {
        if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
            out[name] = value.clone();
        }
    }
    out
}

fn count(world: &mut World, parent: &str) {
    let count = world.observables_of(parent).count();
    if let Some(alert) = world.alert_mut(parent) {
        alert["observableCount"] = count.into();
    }
}

/// Stands for a sha256: as long, and different for different contents.
fn digest(content: &[u8]) -> String {
    let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, content).simple().to_string();
    format!("{name}{name}")
}

/// Files come as parts of a form, or on 4 as `name;type;base64`.
fn files(version: Version, from: &Value, sent: &Sent) -> Vec<File> {
    let copy = |file: &File| File {
        part: file.part.clone(),
        name: file.name.clone(),
        content_type: file.content_type.clone(),
        content: file.content.clone(),
    };
    let named: Vec<&str> = match &from["attachment"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        _ => vec!["attachment"],
    };
    let mut all: Vec<File> = sent.files.iter().filter(|file| named.contains(&file.part.as_str())).map(copy).collect();
    if version == Version::Four {
        let inline: Vec<&str> = match &from["data"] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        all.extend(inline.into_iter().filter_map(|text| {
            let mut parts = text.splitn(3, ';');
            let (name, content_type) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            let content = crate::misp::base64(parts.next().unwrap_or_default());
            Some(File { part: String::new(), name, content_type, content })
        }));
    }
    all
}

/// Lengths that only TheHive 5 checks.
fn limits(from: &Value) -> Result<(), Refused> {
    let wrong = |name: &str, length: usize, most: usize| {
        Refused::bad(&format!(
            "Error while decoding input {{body as json}}({name}-> Predicate ({length} > {most}) did not fail"
        ))
    };
    let values: Vec<&str> = match &from["data"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let most_of = |name: &str, texts: &[&str], most: usize| {
        let long = texts.iter().map(|text| text.chars().count()).find(|length| *length > most);
        long.map_or(Ok(()), |length| Err(wrong(name, length, most)))
    };
    most_of("data", &values, 4096)?;
    let tags: Vec<&str> = from["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    most_of("tags", &tags, 128)
}

/// `PATCH /api/v1/observable/{id}`.
pub(super) fn patch(world: &mut World, who: &Who, id: &str, from: &Value) -> Result<Reply, Refused> {
    who.need("manageObservable", "update observable")?;
    let now = world.tick();
    let at = position(world, who, id)?;
    let version = world.version;
    let record = &mut world.observables[at].record;
    for name in ["ioc", "sighted", "ignoreSimilarity", "tags", "message", "tlp", "pap", "sightedAt"] {
        if let Some(value) = from.get(name) {
            record[name] = value.clone();
        }
    }
    record["_updatedBy"] = who.login.as_str().into();
    record["_updatedAt"] = now.into();
    if let (Version::Five, Some(fields)) = (version, record.as_object_mut()) {
        sight(fields);
    }
    Ok(nothing())
}

/// `DELETE /api/v1/observable/{id}`.
pub(super) fn delete(world: &mut World, who: &Who, id: &str) -> Result<Reply, Refused> {
    who.need("manageObservable", "delete observable")?;
    let at = position(world, who, id)?;
    let gone = world.observables.remove(at);
    count(world, &gone.parent);
    Ok(nothing())
}

/// Where the observable is, if the organisation of the user sees what it belongs to.
fn position(world: &World, who: &Who, id: &str) -> Result<usize, Refused> {
    let mut all = world.observables.iter();
    let at = all.position(|one| one.record["_id"] == id && world.sees(&who.organisation, &one.parent));
    at.ok_or_else(|| Refused::not_found("Observable not found"))
}

/// An observable in the shape of v0.
pub(super) fn v0(record: &Value) -> Value {
    let of = |name: &str| record.get(name).cloned().unwrap_or_default();
    let mut out = json!({
        "_id": of("_id"), "id": of("_id"), "createdBy": of("_createdBy"), "createdAt": of("_createdAt"), "_type": "case_artifact",
        "reports": {}, "stats": {}, "ignoreSimilarity": record["ignoreSimilarity"] == true,
    });
    for name in ["dataType", "data", "attachment", "startDate", "tlp", "tags", "ioc", "sighted", "message"] {
        if let Some(value) = record.get(name) {
            out[name] = value.clone();
        }
    }
    out
}
