//! Observables of alerts and cases: adding one value or many of a kind, changing, deleting.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::body::{File, Sent};
use super::world::{Version, World, label, sight};
use super::{Refused, Reply, Who, alerts, files, json_reply, nothing};

/// What an observable is added to, by its id or name.
pub(super) enum Parent<'a> {
    Alert(&'a str),
    Case(&'a str),
}

impl Parent<'_> {
    /// The `_id`, if the organisation of the user sees it and the user may add to it.
    fn id(&self, world: &World, who: &Who) -> Option<String> {
        let (found, permission) = match (self, world.version) {
            (Self::Alert(id), Version::Four) => (world.alert_of(&who.organisation, id), "manageAlert"),
            (Self::Alert(id), Version::Five) => (world.alert_of(&who.organisation, id), "manageObservable"),
            (Self::Case(id), _) => {
                (world.case(id).filter(|case| world.shows(&who.organisation, case)), "manageObservable")
            }
        };
        who.need(permission, "").ok()?;
        found.and_then(|record| record["_id"].as_str()).map(ToOwned::to_owned)
    }
}

/// One value that was not stored.
pub(super) struct Failure {
    kind: &'static str,
    message: &'static str,
    data: String,
}

impl Failure {
    fn duplicate(data: String) -> Self {
        Self { kind: "CreateError", message: "Observable already exists", data }
    }

    fn refused(data: String) -> Self {
        Self { kind: "BadRequest", message: "the value is not accepted", data }
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.kind == "CreateError"
    }

    /// As an answer lists it.
    fn listed(self) -> Value {
        json!({"type": self.kind, "message": self.message, "object": {"data": self.data}})
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::new(400, failure.kind, failure.message)
    }
}

/// `POST …/alert/{id}/artifact` of 4, `…/alert/{id}/observable` of 5, `…/case/{id}/observable` of both: 201 with all, or
/// 207 with `success` and `failure`.
pub(super) fn add(
    world: &mut World,
    who: &Who,
    parent: &Parent<'_>,
    sent: &Sent,
    v0_shape: bool,
) -> Result<Reply, Refused> {
    // A missing parent and a missing permission look alike.
    let denied = || Refused::new(403, "AuthorizationError", "Operation not permitted");
    let id = parent.id(world, who).ok_or_else(denied)?;
    let of_alert = matches!(parent, Parent::Alert(_));
    let before = world.observables.len();
    let (_, failed) = store(world, who, (&id, of_alert), &sent.json, sent)?;
    let records = world.observables[before..].iter().map(|one| &one.record);
    let success: Vec<Value> = records.map(|record| if v0_shape { v0(record) } else { record.clone() }).collect();
    if failed.is_empty() {
        return Ok(json_reply(201, &success.into()));
    }
    let failure: Vec<Value> = failed.into_iter().map(Failure::listed).collect();
    Ok(json_reply(207, &json!({"success": success, "failure": failure})))
}

/// Stores every value of one observable of a request; the ids stored and the values refused. The parent is named by its
/// `_id`, with whether it is an alert.
pub(super) fn store(
    world: &mut World,
    who: &Who,
    (parent, of_alert): (&str, bool),
    from: &Value,
    sent: &Sent,
) -> Result<(Vec<String>, Vec<Failure>), Refused> {
    let kind = from["dataType"].as_str().unwrap_or("file").to_owned();
    let Some(is_file) = world.observable_types.iter().find(|(name, _)| *name == kind).map(|(_, file)| *file) else {
        return Err(Refused::not_found(&format!("ObservableType {kind} not found")));
    };
    let values = values(from);
    if world.version == Version::Five {
        limits(from)?;
        if let Some(data) = values.iter().find(|value| world.refuses.contains(value)) {
            return Err(Failure::refused(data.clone()).into());
        }
    }
    let (mut stored, mut failed) = (Vec::new(), Vec::new());
    let mut keep = |one: Result<String, Failure>| match one {
        Ok(id) => stored.push(id),
        Err(failure) => failed.push(failure),
    };
    if is_file {
        for file in uploaded(world, of_alert, from, sent)? {
            keep(file_value(world, who, parent, from, &file));
        }
    } else {
        let of_kind = world.observables_of(parent).filter(|record| record["dataType"] == kind.as_str());
        let given: HashSet<String> = values.iter().flat_map(|value| [value.clone(), value.to_lowercase()]).collect();
        let known = of_kind.filter_map(|record| record["data"].as_str()).filter(|data| given.contains(*data));
        let mut there: HashSet<String> = known.map(ToOwned::to_owned).collect();
        for value in values.iter().filter(|value| !value.trim().is_empty()) {
            keep(text_value(world, who, parent, from, (&kind, value), &mut there));
        }
    }
    count(world, parent);
    Ok((stored, failed))
}

fn text_value(
    world: &mut World,
    who: &Who,
    parent: &str,
    from: &Value,
    (kind, value): (&str, &str),
    there: &mut HashSet<String>,
) -> Result<String, Failure> {
    let is_caseless = world.version == Version::Five && world.caseless.iter().any(|name| name == kind);
    let value = if is_caseless { value.to_lowercase() } else { value.to_owned() };
    if world.refuses.contains(&value) {
        return Err(Failure::refused(value));
    }
    if !there.insert(value.clone()) {
        return Err(Failure::duplicate(value));
    }
    let mut fields = fields(who, from);
    fields["dataType"] = kind.into();
    fields["data"] = value.into();
    Ok(world.add_observable(parent, &fields))
}

fn file_value(world: &mut World, who: &Who, parent: &str, from: &Value, file: &File) -> Result<String, Failure> {
    let hash = cortex_misp::sample::sha256(&file.content);
    if world.observables_of(parent).any(|record| record["attachment"]["id"] == hash.as_str()) {
        return Err(Failure::duplicate(format!("file:{}", file.name)));
    }
    Ok(world.add_file(parent, &file.name, &hash, &file.content, &fields(who, from)))
}

/// `data`, one value or many.
fn values(from: &Value) -> Vec<String> {
    match &from["data"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        one => one.as_str().map(ToOwned::to_owned).into_iter().collect(),
    }
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

/// Files come as parts of a form, in a zip or not, or on 4 for an alert as `name;type;base64`.
fn uploaded(world: &World, of_alert: bool, from: &Value, sent: &Sent) -> Result<Vec<File>, Refused> {
    let named: Vec<&str> = match &from["attachment"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        _ => vec!["attachment"],
    };
    let parts = sent.files.iter().filter(|file| named.contains(&file.part.as_str()));
    if from["isZip"] == true {
        let password = from["zipPassword"].as_str().unwrap_or(&world.zip_password);
        let all: Result<Vec<_>, _> = parts.map(|file| files::unzipped(file, password)).collect();
        return Ok(all?.concat());
    }
    let mut all: Vec<File> = parts.cloned().collect();
    if world.version == Version::Four && of_alert {
        all.extend(values(from).iter().filter_map(|text| {
            let mut parts = text.splitn(3, ';');
            let (name, content_type) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            let content = crate::misp::base64(parts.next().unwrap_or_default());
            Some(File { part: String::new(), name, content_type, content })
        }));
    }
    Ok(all)
}

/// Lengths that only TheHive 5 checks.
fn limits(from: &Value) -> Result<(), Refused> {
    let wrong = |name: &str, length: usize, most: usize| {
        Refused::bad(&format!(
            "Error while decoding input {{body as json}}({name}-> Predicate ({length} > {most}) did not fail"
        ))
    };
    let most_of = |name: &str, texts: &[&str], most: usize| {
        let long = texts.iter().map(|text| text.chars().count()).find(|length| *length > most);
        long.map_or(Ok(()), |length| Err(wrong(name, length, most)))
    };
    let values = values(from);
    most_of("data", &values.iter().map(String::as_str).collect::<Vec<_>>(), 4096)?;
    let tags: Vec<&str> = from["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    most_of("tags", &tags, 128)
}

/// `PATCH /api/v1/observable/{id}`.
pub(super) fn patch(world: &mut World, who: &Who, id: &str, from: &Value) -> Result<Reply, Refused> {
    who.need("manageObservable", "update observable")?;
    let now = world.tick();
    let at = position(world, who, id)?;
    let version = world.version;
    if version == Version::Five {
        limits(from)?;
    }
    let record = &mut world.observables[at].record;
    for name in ["ioc", "sighted", "ignoreSimilarity", "tags", "message", "tlp", "pap", "sightedAt"] {
        if let Some(value) = from.get(name) {
            record[name] = value.clone();
        }
    }
    record["_updatedBy"] = who.login.as_str().into();
    record["_updatedAt"] = now.into();
    if let (Version::Five, Some(fields)) = (version, record.as_object_mut()) {
        alerts::change_tags(fields, from);
        sight(fields);
        label(fields);
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
pub(super) fn position(world: &World, who: &Who, id: &str) -> Result<usize, Refused> {
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
