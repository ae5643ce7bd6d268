//! Cases: viewing, making, changing and deleting them, and what an analyst makes of alerts and of two cases.

use serde_json::{Map, Value, json};

use super::records::tag_set;
use super::refused::{Refused, integers};
use super::users::Who;
use super::world::{Version, World};
use super::{alerts, json_reply, nothing};
use crate::http_fake::Reply;

const FIELDS: [&str; 10] = [
    "title",
    "description",
    "severity",
    "startDate",
    "tags",
    "flag",
    "tlp",
    "pap",
    "status",
    "assignee",
];

/// `GET /api/v1/case/{idOrName}`.
pub(super) fn view(world: &World, who: &Who, id: &str) -> Result<Reply, Refused> {
    who.known()?;
    world
        .case(&seen(world, who, id)?)
        .map(|case| json_reply(200, case))
        .ok_or_else(missing)
}

fn missing() -> Refused {
    Refused::not_found("Case not found")
}

/// The `_id` of a case that the organisation of the user sees.
fn seen(world: &World, who: &Who, id: &str) -> Result<String, Refused> {
    let case = world
        .case(id)
        .filter(|case| world.shows(&who.organisation, case));
    case.and_then(|case| case["_id"].as_str())
        .map(ToOwned::to_owned)
        .ok_or_else(missing)
}

/// `POST /api/v1/case`.
pub(super) fn create(world: &mut World, who: &Who, from: &Value) -> Result<Reply, Refused> {
    let lacking: Vec<&str> = ["title", "description"]
        .into_iter()
        .filter(|name| from[*name].is_null())
        .collect();
    if !lacking.is_empty() {
        return Err(Refused::missing(&lacking));
    }
    who.need("manageCase", "create case")?;
    let fields: Map<String, Value> = FIELDS.iter().filter_map(|name| given(from, name)).collect();
    Ok(json_reply(201, &add(world, who, &fields.into())))
}

/// A field of a request; tags are a set.
fn given(from: &Value, name: &str) -> Option<(String, Value)> {
    let value = from.get(name).filter(|value| !value.is_null())?;
    Some((
        name.to_owned(),
        if name == "tags" {
            tag_set(value)
        } else {
            value.clone()
        },
    ))
}

fn add(world: &mut World, who: &Who, fields: &Value) -> Value {
    let number = world
        .cases
        .iter()
        .filter_map(|case| case["number"].as_u64())
        .max()
        .unwrap_or_default()
        + 1;
    let id = world.add_case(number, "", fields);
    world.give(&id, &who.organisation);
    let mut case = world.case(&id).cloned().unwrap_or_default();
    for name in ["_createdBy", "assignee"] {
        case[name] = who.login.as_str().into();
    }
    if let Some(kept) = world.cases.last_mut() {
        kept.clone_from(&case);
    }
    case
}

/// `POST /api/v1/case/{id}/link/external/add`, which TheHive has since 5.5.
pub(super) fn add_link(
    world: &mut World,
    who: &Who,
    id: &str,
    from: &Value,
) -> Result<Reply, Refused> {
    who.need("manageCase", "update case")?;
    let id = seen(world, who, id)?;
    let lacking: Vec<&str> = ["type", "url"]
        .into_iter()
        .filter(|name| from[*name].as_str().is_none_or(str::is_empty))
        .collect();
    if !lacking.is_empty() || from["type"].as_str().is_some_and(|kind| kind.len() > 64) {
        return Err(Refused::missing(&lacking));
    }
    world.links.push((id, from.clone()));
    Ok(nothing())
}

/// `PATCH /api/v1/case/{idOrName}`. Who has the permission changes what the organisation sees; who has it not changes any case
/// that there is, and is told that it was done (`530-no-right-patch-case`).
pub(super) fn patch(
    world: &mut World,
    who: &Who,
    id: &str,
    from: &Value,
) -> Result<Reply, Refused> {
    if world.version == Version::Five {
        who.need("manageCase", "update case")?;
    }
    integers(from, &["severity", "tlp", "pap"])?;
    let id = if who.may("manageCase") {
        seen(world, who, id)?
    } else {
        id.to_owned()
    };
    let (now, login) = (world.tick(), who.login.as_str());
    let number = id.parse::<u64>().ok();
    let is_meant = |case: &&mut Value| {
        case["_id"] == id || (number.is_some() && case["number"].as_u64() == number)
    };
    let case = world.cases.iter_mut().find(is_meant).ok_or_else(missing)?;
    for (name, value) in FIELDS.iter().filter_map(|name| given(from, name)) {
        case[name] = value;
    }
    (case["_updatedBy"], case["_updatedAt"]) = (login.into(), now.into());
    Ok(nothing())
}

/// `DELETE /api/v1/case/{idOrName}` with its observables.
pub(super) fn delete(world: &mut World, who: &Who, id: &str) -> Result<Reply, Refused> {
    if !who.may("manageCase") {
        return Err(missing());
    }
    let id = seen(world, who, id)?;
    world.cases.retain(|case| case["_id"] != id.as_str());
    world
        .observables
        .retain(|observable| observable.parent != id);
    Ok(nothing())
}

/// `POST /api/alert/{id}/createCase`: the case has copies of the alert's observables.
pub(super) fn of_alert(world: &mut World, who: &Who, id: &str) -> Result<Reply, Refused> {
    who.need("manageAlert", "create case from alert")?;
    let id = alerts::seen(world, who, id)?;
    let alert = world.alert(&id).cloned().unwrap_or_default();
    let fields: Map<String, Value> = ["title", "description", "severity", "tags", "tlp", "pap"]
        .iter()
        .filter_map(|name| given(&alert, name))
        .collect();
    let case = add(world, who, &fields.into());
    let case = case["_id"].as_str().unwrap_or_default().to_owned();
    link(world, who, &id, &case);
    Ok(json_reply(201, &v0(world, who, &case)))
}

/// `POST /api/alert/{id}/merge/{case}`.
pub(super) fn merge_alert(
    world: &mut World,
    who: &Who,
    id: &str,
    case: &str,
) -> Result<Reply, Refused> {
    who.need("manageAlert", "merge alert with case")?;
    let (id, case) = (alerts::seen(world, who, id)?, seen(world, who, case)?);
    let alert = world.alert(&id).cloned().unwrap_or_default();
    link(world, who, &id, &case);
    let now = world.tick();
    if let Some(kept) = world
        .cases
        .iter_mut()
        .find(|kept| kept["_id"] == case.as_str())
    {
        let of = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let (old, title, text) = (
            of(kept, "description"),
            of(&alert, "title"),
            of(&alert, "description"),
        );
        let merged = format!(
            "{old}\n  \n#### Merged with alert #{} {title}\n\n{text}",
            of(&alert, "sourceRef")
        );
        kept["description"] = merged.into();
        (kept["_updatedBy"], kept["_updatedAt"]) = (who.login.as_str().into(), now.into());
    }
    Ok(json_reply(200, &v0(world, who, &case)))
}

/// The alert is read and the case's; what it has is in the case too.
fn link(world: &mut World, who: &Who, alert: &str, case: &str) {
    let now = world.tick();
    if let Some(kept) = world.alert_mut(alert) {
        (kept["caseId"], kept["read"]) = (case.into(), true.into());
        (kept["_updatedBy"], kept["_updatedAt"]) = (who.login.as_str().into(), now.into());
    }
    copy(world, alert, case);
}

fn copy(world: &mut World, from: &str, to: &str) {
    let same = |one: &Value, other: &Value| {
        ["dataType", "data"]
            .iter()
            .all(|name| one[*name] == other[*name])
            && one["attachment"]["id"] == other["attachment"]["id"]
    };
    let records: Vec<Value> = world.observables_of(from).cloned().collect();
    for mut record in records {
        if world.observables_of(to).any(|there| same(there, &record)) {
            continue;
        }
        if let Some(fields) = record.as_object_mut() {
            fields.shift_remove("_id");
        }
        world.add_observable(to, &record);
        world.audits.pop();
    }
}

/// `POST /api/v1/case/_merge/{ids}`: one case of several, which are gone.
pub(super) fn merge(world: &mut World, who: &Who, ids: &str) -> Result<Reply, Refused> {
    who.need("manageCase", "merge cases")?;
    let ids: Vec<String> = ids
        .split(',')
        .map(|id| seen(world, who, id))
        .collect::<Result<_, _>>()?;
    let cases: Vec<Value> = ids
        .iter()
        .filter_map(|id| world.case(id).cloned())
        .collect();
    let texts = |name: &str| {
        cases
            .iter()
            .filter_map(|case| case[name].as_str())
            .collect::<Vec<_>>()
    };
    let tags: Vec<Value> = cases
        .iter()
        .filter_map(|case| case["tags"].as_array())
        .flatten()
        .cloned()
        .collect();
    let most = |name: &str| {
        cases
            .iter()
            .filter_map(|case| case[name].as_u64())
            .max()
            .unwrap_or(2)
    };
    let fields = json!({
        "title": texts("title").join(" / "), "description": texts("description").join("\n\n"), "tags": tag_set(&tags.into()),
        "severity": most("severity"), "tlp": most("tlp"), "pap": most("pap"),
    });
    let merged = add(world, who, &fields);
    let into = merged["_id"].as_str().unwrap_or_default();
    for id in &ids {
        copy(world, id, into);
        world.cases.retain(|case| case["_id"] != id.as_str());
        world
            .observables
            .retain(|observable| observable.parent != *id);
        world
            .alerts
            .iter_mut()
            .filter(|alert| alert["caseId"] == id.as_str())
            .for_each(|alert| alert["caseId"] = into.into());
    }
    Ok(json_reply(201, &merged))
}

/// A case in the shape of v0.
pub(super) fn v0(world: &World, who: &Who, id: &str) -> Value {
    let case = world.case(id).cloned().unwrap_or_default();
    let of = |name: &str| case.get(name).cloned().unwrap_or_default();
    let mut out = json!({
        "_id": of("_id"), "id": of("_id"), "createdBy": of("_createdBy"), "updatedBy": of("_updatedBy"),
        "createdAt": of("_createdAt"), "updatedAt": of("_updatedAt"), "_type": "case", "caseId": of("number"), "endDate": null,
        "impactStatus": null, "resolutionStatus": null, "summary": null, "owner": of("assignee"), "customFields": {}, "stats": {},
        "permissions": who.permissions,
    });
    for name in [
        "title",
        "description",
        "severity",
        "startDate",
        "tags",
        "flag",
        "tlp",
        "pap",
        "status",
    ] {
        out[name] = of(name);
    }
    out
}
