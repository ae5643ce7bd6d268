//! Alerts: creating (v1 on both, v0 with artifacts on 4), changing, viewing, deleting.

use serde_json::{Map, Value, json};

use super::body::Sent;
use super::observables::Place;
use super::records::{label, lay, tag_set};
use super::refused::{Refused, integers};
use super::users::Who;
use super::world::{Version, World};
use super::{Reply, json_reply, nothing, observables, procedures};

/// `POST /api/v1/alert`. That of TheHive 4 takes no observables, and goes to the first of the user's organisations where the
/// user may create alerts, whatever `X-Organisation` says.
pub(super) fn create(world: &mut World, who: &Who, sent: &Sent) -> Result<Reply, Refused> {
    let is_four = world.version == Version::Four;
    if !is_four {
        who.need("manageAlert", "create alert")?;
    }
    complete(&sent.json, is_four.then_some("date"))?;
    let organisation = if is_four {
        first_of(world, who)?
    } else {
        who.organisation.clone()
    };
    let id = store(world, who, &organisation, &sent.json)?;
    if world.version == Version::Five {
        let list = |name: &str| sent.json[name].as_array().cloned().unwrap_or_default();
        all_observables(world, who, &id, &list("observables"), sent)?;
        for procedure in list("procedures") {
            procedures::store(world, who, &id, &procedure)
                .map_err(|refused| taken_back(world, &id, refused))?;
        }
    }
    let alert = world.alert(&id).cloned().unwrap_or_default();
    Ok(json_reply(201, &alert))
}

/// `POST /api/alert` of TheHive 4, which is the only one with observables there.
pub(super) fn create_v0(world: &mut World, who: &Who, sent: &Sent) -> Result<Reply, Refused> {
    let mut from = sent.json.clone();
    if let Some(fields) = from.as_object_mut() {
        fields
            .entry("customFieldValue")
            .or_insert_with(|| sent.json["customFields"].clone());
    }
    complete(&from, None)?;
    if sent.json["customFields"]
        .as_array()
        .is_some_and(Vec::is_empty)
    {
        return Err(Refused::format(
            "customFields",
            "customFieldValue",
            &["customFieldValue"],
            &sent.json["customFields"],
        ));
    }
    if !who.may("manageAlert") {
        return Err(Refused::not_permitted());
    }
    let id = store(world, who, &who.organisation, &from)?;
    let given: Vec<Value> = sent.json["artifacts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    all_observables(world, who, &id, &given, sent)?;
    Ok(Reply {
        status: 201,
        ..view_v0(world, who, &id)?
    })
}

fn first_of(world: &World, who: &Who) -> Result<String, Refused> {
    who.known()?;
    let user = world.users.iter().find(|user| user.login == who.login);
    let mut may = user
        .into_iter()
        .filter(|user| user.permissions.iter().any(|held| held == "manageAlert"));
    let barred = |one: &&String| !world.barred.contains(one);
    let first = may
        .next()
        .and_then(|user| user.organisations.iter().find(barred));
    first
        .cloned()
        .ok_or_else(|| Refused::not_found("Organisation not found"))
}

/// Whether all is there that an alert has, as text.
fn complete(from: &Value, more: Option<&str>) -> Result<(), Refused> {
    let texts = ["type", "source", "sourceRef", "title", "description"];
    let missing: Vec<&str> = texts
        .into_iter()
        .chain(more)
        .filter(|name| from[*name].is_null())
        .collect();
    if !missing.is_empty() {
        return Err(Refused::missing(&missing));
    }
    let odd = texts.into_iter().find(|name| !from[*name].is_string());
    odd.map_or(Ok(()), |name| {
        Err(Refused::format(name, "string", &["string"], &from[name]))
    })
}

/// Duplicates inside one alert are skipped; anything else wrong takes the alert with it.
fn all_observables(
    world: &mut World,
    who: &Who,
    id: &str,
    given: &[Value],
    sent: &Sent,
) -> Result<(), Refused> {
    let mut all = given.iter();
    let wrong =
        all.find_map(
            |one| match observables::store(world, who, &Place::inline(id), one, sent) {
                Ok((_, failed)) => failed
                    .into_iter()
                    .find(|failure| !failure.is_duplicate())
                    .map(Into::into),
                Err(refused) => Some(refused),
            },
        );
    wrong.map_or(Ok(()), |refused| Err(taken_back(world, id, refused)))
}

/// What was refused is not there afterwards.
fn taken_back(world: &mut World, id: &str, refused: Refused) -> Refused {
    world.alerts.retain(|alert| alert["_id"] != id);
    world
        .observables
        .retain(|observable| observable.parent != id);
    world.procedures.retain(|(alert, _)| alert != id);
    refused
}

fn store(
    world: &mut World,
    who: &Who,
    organisation: &str,
    from: &Value,
) -> Result<String, Refused> {
    if world.version == Version::Five {
        limits(from)?;
    }
    integers(from, &["severity", "date", "tlp", "pap"])?;
    let key = ["type", "source", "sourceRef"].map(|name| from[name].as_str().unwrap_or_default());
    if world
        .alerts
        .iter()
        .filter(|alert| {
            alert["_id"]
                .as_str()
                .is_some_and(|id| world.owns(organisation, id))
        })
        .any(|alert| {
            alert["type"] == key[0] && alert["source"] == key[1] && alert["sourceRef"] == key[2]
        })
    {
        let message = format!(
            "Alert {}:{}:{} already exist in organisation {organisation}",
            key[0], key[1], key[2]
        );
        return Err(Refused::new(400, "CreateError", &message));
    }
    let fields = custom_fields(world, from)?;
    let template = case_template(world, from)?;
    let mut alert = world.stamped("Alert", &who.login);
    let usual = usual(world.version, &alert);
    lay(&mut alert, &usual);
    for name in [
        "type",
        "source",
        "sourceRef",
        "title",
        "description",
        "externalLink",
        "severity",
        "date",
        "tags",
        "tlp",
        "pap",
        "summary",
        "status",
        "assignee",
    ] {
        let given = from.get(name).filter(|value| !value.is_null());
        if let Some(value) = given {
            alert.insert(name.to_owned(), value.clone());
        }
    }
    if world.version == Version::Four {
        alert.insert("tags".into(), tag_set(&from["tags"]));
    }
    alert.insert("customFields".into(), fields);
    alert.extend(template.map(|name| ("caseTemplate".to_owned(), name)));
    if world.version == Version::Five {
        stage(&mut alert)?;
        label(&mut alert);
    }
    let id = alert["_id"].as_str().unwrap_or_default().to_owned();
    world.alerts.push(alert.into());
    world.give(&id, organisation);
    Ok(id)
}

/// One that is not there: TheHive 4 passes over it; that 5 refuses it so is a guess.
fn case_template(world: &World, from: &Value) -> Result<Option<Value>, Refused> {
    match from["caseTemplate"].as_str() {
        Some(name) if world.case_templates.iter().any(|known| known == name) => {
            Ok(Some(name.into()))
        }
        Some(name) if world.version == Version::Five => Err(Refused::not_found(&format!(
            "CaseTemplate {name} not found"
        ))),
        Some(_) | None => Ok(None),
    }
}

fn usual(version: Version, alert: &Map<String, Value>) -> Value {
    let now = &alert["_createdAt"];
    let mut usual = json!({
        "severity": 2, "date": now, "tags": [], "tlp": 2, "pap": 2, "follow": true, "customFields": [], "observableCount": 0, "extraData": {},
    });
    match version {
        Version::Four => usual["read"] = false.into(),
        Version::Five => {
            usual["status"] = "New".into();
            usual["stage"] = "New".into();
            usual["newDate"] = now.clone();
            usual["timeToDetect"] = 0.into();
        }
    }
    usual
}

/// Field lengths and ranges, which only TheHive 5 checks.
fn limits(from: &Value) -> Result<(), Refused> {
    let lengths = [
        ("type", 32),
        ("source", 32),
        ("sourceRef", 128),
        ("title", 512),
        ("description", 1_048_576),
        ("externalLink", 4096),
        ("status", 64),
    ];
    let wrong = |name: &str, length: usize, most: usize| {
        let message = format!(
            "Error while decoding input {{body as json}}({name}-> Predicate ({length} > {most}) did not fail"
        );
        Refused::bad(&message)
    };
    for (name, most) in lengths {
        let length = from[name].as_str().map_or(1, |text| text.chars().count());
        if length > most || (length == 0 && name != "description") {
            return Err(wrong(name, length, most));
        }
    }
    for tag in from["tags"].as_array().into_iter().flatten() {
        let length = tag.as_str().map_or(0, |tag| tag.chars().count());
        if !(1..=128).contains(&length) {
            return Err(wrong("tags", length, 128));
        }
    }
    for (name, range) in [("severity", 1..=4), ("tlp", 0..=4), ("pap", 0..=3)] {
        if !from[name].is_null()
            && !from[name]
                .as_i64()
                .is_some_and(|level| range.contains(&level))
        {
            return Err(Refused::bad(&format!(
                "Error while decoding input {{body as json}}({name}-> value is not allowed)"
            )));
        }
    }
    Ok(())
}

/// TheHive 4 calls them `customFieldValue` in v1. An unknown one refuses the alert.
fn custom_fields(world: &World, from: &Value) -> Result<Value, Refused> {
    let name = if world.version == Version::Four {
        "customFieldValue"
    } else {
        "customFields"
    };
    let pairs: Vec<(String, Value)> = match &from[name] {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|one| {
                (
                    one["name"].as_str().unwrap_or_default().to_owned(),
                    one["value"].clone(),
                )
            })
            .collect(),
        _ => Vec::new(),
    };
    let mut out = Vec::new();
    for (order, (name, value)) in pairs.into_iter().enumerate() {
        if !world.custom_fields.contains(&name) {
            return Err(Refused::not_found(&format!("CustomField {name} not found")));
        }
        out.push(json!({"_id": format!("~cf{order}"), "name": name, "description": name, "type": "string", "value": value, "order": order}));
    }
    Ok(out.into())
}

/// Changes an alert and answers its `_id`. TheHive 4 ignores what it does not know.
pub(super) fn patch(
    world: &mut World,
    who: &Who,
    id: &str,
    from: &Value,
) -> Result<String, Refused> {
    who.need("manageAlert", "update alert")?;
    let id = &seen(world, who, id)?;
    if world.version == Version::Five {
        limits(from)?;
    }
    integers(from, &["severity", "date", "tlp", "pap"])?;
    let (version, now) = (world.version, world.tick());
    let fields = if from.get("customFields").is_some() {
        let mut wrapped = from.clone();
        wrapped["customFieldValue"] = from["customFields"].clone();
        Some(custom_fields(world, &wrapped)?)
    } else {
        None
    };
    let Some(alert) = world.alert_mut(id).and_then(Value::as_object_mut) else {
        return Err(Refused::not_found("Alert not found"));
    };
    let of_both = [
        "type",
        "source",
        "sourceRef",
        "title",
        "description",
        "severity",
        "date",
        "tags",
        "tlp",
        "pap",
        "follow",
        "summary",
    ];
    let of_one: &[&str] = if version == Version::Four {
        &["read", "flag"]
    } else {
        &["externalLink", "status", "assignee"]
    };
    for name in of_both.iter().chain(of_one) {
        if let Some(value) = from.get(*name) {
            let is_set = version == Version::Four && *name == "tags";
            alert.insert(
                (*name).to_owned(),
                if is_set {
                    tag_set(value)
                } else {
                    value.clone()
                },
            );
        }
    }
    if let Some(fields) = fields {
        alert.insert("customFields".into(), fields);
    }
    if version == Version::Five {
        change_tags(alert, from);
        stage(alert)?;
        label(alert);
    }
    alert.insert("_updatedBy".into(), who.login.as_str().into());
    alert.insert("_updatedAt".into(), now.into());
    Ok(alert["_id"].as_str().unwrap_or_default().to_owned())
}

/// `addTags` and `removeTags`, which only TheHive 5 knows.
pub(super) fn change_tags(alert: &mut Map<String, Value>, from: &Value) {
    let list = |name: &str| from[name].as_array().cloned().unwrap_or_default();
    let (added, removed) = (list("addTags"), list("removeTags"));
    if let Some(tags) = alert.get_mut("tags").and_then(Value::as_array_mut) {
        tags.retain(|tag| !removed.contains(tag));
        for tag in added {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
}

/// Each status belongs to a stage. That an unknown one is refused so is a guess.
fn stage(alert: &mut Map<String, Value>) -> Result<(), Refused> {
    let status = alert
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let stage = match status {
        "New" => "New",
        "InProgress" | "Pending" => "InProgress",
        "Ignored" | "Duplicate" => "Closed",
        "Imported" => "Imported",
        _ => {
            return Err(Refused::not_found(&format!(
                "AlertStatus {status} not found"
            )));
        }
    };
    alert.insert("stage".into(), stage.into());
    Ok(())
}

/// The `_id` of the alert, if the organisation of the user sees it. A name may be taken once in each organisation.
pub(super) fn seen(world: &World, who: &Who, id_or_name: &str) -> Result<String, Refused> {
    let id = world
        .alert_of(&who.organisation, id_or_name)
        .and_then(|alert| alert["_id"].as_str());
    id.map(ToOwned::to_owned)
        .ok_or_else(|| Refused::not_found("Alert not found"))
}

/// `GET /api/v1/alert/{idOrName}`.
pub(super) fn view(world: &World, who: &Who, id: &str) -> Result<Reply, Refused> {
    who.known()?;
    let alert = world.alert_of(&who.organisation, id);
    alert
        .map(|alert| json_reply(200, alert))
        .ok_or_else(|| Refused::not_found("Alert not found"))
}

/// The alert in the shape of v0, with its observables.
pub(super) fn view_v0(world: &World, who: &Who, id: &str) -> Result<Reply, Refused> {
    who.known()?;
    let alert = world
        .alert_of(&who.organisation, id)
        .ok_or_else(|| Refused::not_found("Alert not found"))?;
    let artifacts: Vec<Value> = world
        .observables_of(alert["_id"].as_str().unwrap_or_default())
        .map(observables::v0)
        .collect();
    Ok(json_reply(200, &v0(alert, artifacts)))
}

/// An alert in the shape of v0.
pub(super) fn v0(alert: &Value, artifacts: Vec<Value>) -> Value {
    let of = |name: &str| alert.get(name).cloned().unwrap_or_default();
    let status = match (of("caseId").is_null(), of("read") == true) {
        (true, false) => "New",
        (true, true) => "Ignored",
        (false, true) => "Imported",
        (false, false) => "Updated",
    };
    let mut out = json!({
        "_id": of("_id"), "id": of("_id"), "createdBy": of("_createdBy"), "updatedBy": of("_updatedBy"), "createdAt": of("_createdAt"),
        "updatedAt": of("_updatedAt"), "_type": "alert", "status": status, "case": of("caseId"), "customFields": {}, "similarCases": [],
        "caseTemplate": of("caseTemplate"), "artifacts": artifacts,
    });
    for name in [
        "type",
        "source",
        "sourceRef",
        "externalLink",
        "title",
        "description",
        "severity",
        "date",
        "tags",
        "tlp",
        "pap",
        "follow",
    ] {
        out[name] = of(name);
    }
    out
}

/// `DELETE /api/alert/{id}` of TheHive 4, which has no such route in v1, `DELETE /api/v1/alert/{id}` of 5; with its observables.
pub(super) fn delete(world: &mut World, who: &Who, id: &str) -> Result<Reply, Refused> {
    who.need("manageAlert", "delete alert")?;
    let id = seen(world, who, id)?;
    world.alerts.retain(|alert| alert["_id"] != id.as_str());
    world
        .observables
        .retain(|observable| id != observable.parent);
    world.procedures.retain(|(alert, _)| *alert != id);
    Ok(nothing())
}
