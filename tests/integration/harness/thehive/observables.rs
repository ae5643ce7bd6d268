//! Observables of alerts and cases: adding one value or many of a kind, changing, deleting.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::body::{File, Sent};
use super::records::{label, sight, tag_set};
use super::refused::{Refused, integers};
use super::users::Who;
use super::world::{Version, World};
use super::{Reply, alerts, files, json_reply, nothing};

/// What an observable is added to, by its id or name.
pub(super) enum Parent<'a> {
    Alert(&'a str),
    Case(&'a str),
}

impl Parent<'_> {
    /// The `_id`, if the organisation of the user sees it and the user may add to it.
    fn id(&self, world: &World, who: &Who) -> Option<String> {
        let (found, permission) = match (self, world.version) {
            (Self::Alert(id), Version::Four) => {
                (world.alert_of(&who.organisation, id), "manageAlert")
            }
            (Self::Alert(id), Version::Five) => {
                (world.alert_of(&who.organisation, id), "manageObservable")
            }
            (Self::Case(id), _) => (
                world
                    .case(id)
                    .filter(|case| world.shows(&who.organisation, case)),
                "manageObservable",
            ),
        };
        if !who.may(permission) {
            return None;
        }
        found
            .and_then(|record| record["_id"].as_str())
            .map(ToOwned::to_owned)
    }
}

/// Where an observable goes.
pub(super) struct Place<'a> {
    parent: &'a str,
    is_alert: bool,
    /// Whether it comes with the alert that is being created.
    is_inline: bool,
}

impl<'a> Place<'a> {
    pub(super) fn inline(alert: &'a str) -> Self {
        Self {
            parent: alert,
            is_alert: true,
            is_inline: true,
        }
    }
}

/// One value that was not stored.
pub(super) struct Failure {
    kind: &'static str,
    message: String,
    object: Value,
}

impl Failure {
    fn duplicate(object: Value) -> Self {
        Self {
            kind: "CreateError",
            message: "Observable already exists".to_owned(),
            object,
        }
    }

    fn refused(data: &str) -> Self {
        Self {
            kind: "BadRequest",
            message: "the value is not accepted".to_owned(),
            object: json!({"data": data}),
        }
    }

    fn lost(name: &str) -> Self {
        let message = format!(
            "/opt/thehive/tmp/playtemp18425191352565749306/zip{}",
            name.len()
        );
        Self {
            kind: "java.nio.file.NoSuchFileException",
            message,
            object: of_file(name),
        }
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.kind == "CreateError"
    }

    /// As an answer lists it.
    fn listed(self) -> Value {
        json!({"type": self.kind, "message": self.message, "object": self.object})
    }
}

fn of_file(name: &str) -> Value {
    json!({"data": format!("file:{name}"), "attachment": {"name": name}})
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::new(400, failure.kind, &failure.message)
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
    let id = parent.id(world, who).ok_or_else(Refused::not_permitted)?;
    let place = Place {
        parent: &id,
        is_alert: matches!(parent, Parent::Alert(_)),
        is_inline: false,
    };
    let before = world.observables.len();
    let (_, failed) = store(world, who, &place, &sent.json, sent)?;
    let records = world.observables[before..].iter().map(|one| &one.record);
    let success: Vec<Value> = records
        .map(|record| if v0_shape { v0(record) } else { record.clone() })
        .collect();
    if failed.is_empty() {
        return Ok(json_reply(201, &success.into()));
    }
    let failure: Vec<Value> = failed.into_iter().map(Failure::listed).collect();
    Ok(json_reply(
        207,
        &json!({"success": success, "failure": failure}),
    ))
}

/// Stores every value of one observable of a request; the ids stored and the values refused.
pub(super) fn store(
    world: &mut World,
    who: &Who,
    place: &Place<'_>,
    from: &Value,
    sent: &Sent,
) -> Result<(Vec<String>, Vec<Failure>), Refused> {
    let parent = place.parent;
    let kind = from["dataType"]
        .as_str()
        .ok_or_else(|| Refused::missing(&["dataType"]))?
        .to_owned();
    integers(from, &["tlp", "pap"])?;
    let mut known = world
        .observable_types
        .iter()
        .filter(|(name, _)| !world.lacks.contains(name));
    let Some(is_file) = known.find(|(name, _)| *name == kind).map(|(_, file)| *file) else {
        return Err(Refused::not_found(&format!(
            "ObservableType {kind} not found"
        )));
    };
    let values = values(from);
    if world.version == Version::Five {
        limits(from)?;
        if let Some(data) = values.iter().find(|value| world.refuses.contains(value)) {
            return Err(Failure::refused(data).into());
        }
    }
    let (mut stored, mut failed) = (Vec::new(), Vec::new());
    let mut keep = |one: Result<String, Failure>| match one {
        Ok(id) => stored.push(id),
        Err(failure) => failed.push(failure),
    };
    if is_file {
        for file in uploaded(world, place.is_alert, from, sent)? {
            keep(file_value(world, who, parent, from, &file));
        }
    } else {
        let of_kind = world
            .observables_of(parent)
            .filter(|record| record["dataType"] == kind.as_str());
        let given: HashSet<String> = values
            .iter()
            .flat_map(|value| [value.clone(), value.to_lowercase()])
            .collect();
        let known = of_kind
            .filter_map(|record| record["data"].as_str())
            .filter(|data| given.contains(*data));
        let mut there: HashSet<String> = known.map(ToOwned::to_owned).collect();
        for value in values
            .iter()
            .filter(|value| place.is_inline || value.contains(|c| c != ' '))
        {
            keep(text_value(
                world,
                who,
                parent,
                from,
                (&kind, value),
                &mut there,
            ));
        }
    }
    world.recount(parent);
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
    let is_caseless =
        world.version == Version::Five && world.caseless.iter().any(|name| name == kind);
    let value = if is_caseless {
        value.to_lowercase()
    } else {
        value.to_owned()
    };
    if world.refuses.contains(&value) {
        return Err(Failure::refused(&value));
    }
    if !there.insert(value.clone()) {
        return Err(Failure::duplicate(json!({"data": value})));
    }
    let mut fields = fields(world.version, who, from);
    fields["dataType"] = kind.into();
    fields["data"] = value.into();
    Ok(world.add_observable(parent, &fields))
}

fn file_value(
    world: &mut World,
    who: &Who,
    parent: &str,
    from: &Value,
    file: &File,
) -> Result<String, Failure> {
    if from["isZip"] == true && world.losing > 0 {
        world.losing -= 1;
        return Err(Failure::lost(&file.name));
    }
    let hash = cortex_misp::sample::sha256(&file.content);
    if world
        .observables_of(parent)
        .any(|record| record["attachment"]["id"] == hash.as_str())
    {
        return Err(Failure::duplicate(of_file(&file.name)));
    }
    Ok(world.add_file(
        parent,
        &file.name,
        &hash,
        &file.content,
        &fields(world.version, who, from),
    ))
}

/// `data`, one value or many.
fn values(from: &Value) -> Vec<String> {
    match &from["data"] {
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        one => one.as_str().map(ToOwned::to_owned).into_iter().collect(),
    }
}

/// The fields that a request may set.
fn fields(version: Version, who: &Who, from: &Value) -> Value {
    let mut out = json!({"_createdBy": who.login});
    for name in [
        "message",
        "tlp",
        "pap",
        "tags",
        "ioc",
        "sighted",
        "sightedAt",
        "ignoreSimilarity",
    ] {
        if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
            let is_set = version == Version::Four && name == "tags";
            out[name] = if is_set {
                tag_set(value)
            } else {
                value.clone()
            };
        }
    }
    out
}

/// Files come as parts of a form, in a zip or not, or on 4 for an alert as `name;type;base64`.
fn uploaded(
    world: &World,
    of_alert: bool,
    from: &Value,
    sent: &Sent,
) -> Result<Vec<File>, Refused> {
    let named: Vec<&str> = match &from["attachment"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(name) => vec![name],
        _ => vec!["attachment"],
    };
    let parts = sent
        .files
        .iter()
        .filter(|file| named.contains(&file.part.as_str()));
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
            Some(File {
                part: String::new(),
                name,
                content_type,
                content,
            })
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
        let long = texts
            .iter()
            .map(|text| text.chars().count())
            .find(|length| *length > most);
        long.map_or(Ok(()), |length| Err(wrong(name, length, most)))
    };
    let values = values(from);
    most_of(
        "data",
        &values.iter().map(String::as_str).collect::<Vec<_>>(),
        4096,
    )?;
    let tags: Vec<&str> = from["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    most_of("tags", &tags, 128)
}

/// `PATCH /api/v1/observable/{id}`. Who may write changes what the organisation sees; who may not changes any observable that
/// there is, as of cases (`530-no-right-patch-case`).
pub(super) fn patch(
    world: &mut World,
    who: &Who,
    id: &str,
    from: &Value,
) -> Result<Reply, Refused> {
    if world.version == Version::Five {
        who.need("manageObservable", "update observable")?;
        limits(from)?;
    }
    integers(from, &["tlp", "pap"])?;
    let at = writable(world, who, id)?;
    change(world, who, at, from);
    Ok(nothing())
}

/// `PATCH /api/v1/observable/_bulk`: fields for many `ids`, all or nothing (`056-patch-observables-bulk`).
pub(super) fn patch_many(world: &mut World, who: &Who, from: &Value) -> Result<Reply, Refused> {
    if world.version == Version::Five {
        who.need("manageObservable", "update observable")?;
    }
    integers(from, &["tlp", "pap"])?;
    let ids = from["ids"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let all: Vec<usize> = ids
        .map(|id| writable(world, who, id))
        .collect::<Result<_, _>>()?;
    for at in all {
        change(world, who, at, from);
    }
    Ok(nothing())
}

fn writable(world: &World, who: &Who, id: &str) -> Result<usize, Refused> {
    if world.version == Version::Five || who.may("manageObservable") || who.may("manageAlert") {
        return position(world, who, id);
    }
    world
        .observables
        .iter()
        .position(|one| one.record["_id"] == id)
        .ok_or_else(missing)
}

fn missing() -> Refused {
    Refused::not_found("Observable not found")
}

fn change(world: &mut World, who: &Who, at: usize, from: &Value) {
    let (now, version) = (world.tick(), world.version);
    let mut details = from.clone();
    details
        .as_object_mut()
        .and_then(|fields| fields.shift_remove("ids"));
    let id = world.observables[at].record["_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    world.audits.push((id, "Update", details));
    let record = &mut world.observables[at].record;
    for name in [
        "ioc",
        "sighted",
        "ignoreSimilarity",
        "tags",
        "message",
        "tlp",
        "pap",
        "sightedAt",
    ] {
        if let Some(value) = from.get(name) {
            let is_set = version == Version::Four && name == "tags";
            record[name] = if is_set {
                tag_set(value)
            } else {
                value.clone()
            };
        }
    }
    record["_updatedBy"] = who.login.as_str().into();
    record["_updatedAt"] = now.into();
    if let (Version::Five, Some(fields)) = (version, record.as_object_mut()) {
        alerts::change_tags(fields, from);
        sight(fields);
        label(fields);
    }
}

/// `DELETE /api/v1/observable/{id}`. To who may not, TheHive 4 says that there is none.
pub(super) fn delete(world: &mut World, who: &Who, id: &str) -> Result<Reply, Refused> {
    match world.version {
        Version::Four if !who.may("manageObservable") && !who.may("manageAlert") => {
            return Err(missing());
        }
        Version::Four => {}
        Version::Five => who.need("manageObservable", "delete observable")?,
    }
    let at = position(world, who, id)?;
    let gone = world.observables.remove(at);
    world.recount(&gone.parent);
    Ok(nothing())
}

/// Where the observable is, if the organisation of the user sees what it belongs to.
pub(super) fn position(world: &World, who: &Who, id: &str) -> Result<usize, Refused> {
    let mut all = world.observables.iter();
    let at =
        all.position(|one| one.record["_id"] == id && world.sees(&who.organisation, &one.parent));
    at.ok_or_else(missing)
}

/// An observable in the shape of v0.
pub(super) fn v0(record: &Value) -> Value {
    let of = |name: &str| record.get(name).cloned().unwrap_or_default();
    let mut out = json!({
        "_id": of("_id"), "id": of("_id"), "createdBy": of("_createdBy"), "createdAt": of("_createdAt"), "_type": "case_artifact",
        "reports": {}, "stats": {},
    });
    for name in [
        "dataType",
        "data",
        "attachment",
        "startDate",
        "tlp",
        "tags",
        "ioc",
        "sighted",
        "message",
    ] {
        if let Some(value) = record.get(name) {
            out[name] = value.clone();
        }
    }
    out
}
