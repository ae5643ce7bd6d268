//! `POST /api/v1/query`: a list of operations, each working on what the one before gave.

use serde_json::{Value, json};

use super::filter::Kind;
use super::refused::Refused;
use super::users::Who;
use super::world::{Version, World};
use super::{alerts, cases, filter, json_reply, procedures};
use crate::http_fake::Reply;

/// What a query of TheHive 4 can begin with, in its own order (`053-query-unknown-operation`).
const BEGINNINGS: [&str; 58] = [
    "listObservable",
    "currentUser",
    "listShare",
    "countCaseObservable",
    "getPattern",
    "getProcedure",
    "getLog",
    "listTag",
    "getProfile",
    "listAnalyzerTemplate",
    "getTaxonomy",
    "countUnreadAlert",
    "listCustomField",
    "getTask",
    "countFreetags",
    "getObservable",
    "getAlert",
    "getObservableType",
    "waitingTask",
    "countAlert",
    "freetags",
    "getOrganisation",
    "myTasks",
    "listTask",
    "listJob",
    "getCase",
    "countTask",
    "listDashboard",
    "getAudit",
    "listCase",
    "listAudit",
    "listCaseTemplate",
    "tagAutoComplete",
    "getCaseTemplate",
    "waitingTasks",
    "countAlertObservable",
    "listAction",
    "countImportedAlert",
    "listAuditFromObject",
    "getTag",
    "getUser",
    "listTaxonomy",
    "getShare",
    "listPattern",
    "listUser",
    "listLog",
    "getJob",
    "listProfile",
    "listProcedure",
    "listObservableType",
    "countCase",
    "getReportTemplate",
    "getDashboard",
    "getAction",
    "countRelatedAlert",
    "listOrganisation",
    "getCustomField",
    "listAlert",
];

/// What can follow on alerts, the same.
const OF_ALERTS: [&str; 13] = [
    "count",
    "page",
    "observables",
    "filter",
    "aggregation",
    "similarCases",
    "audits",
    "auditsFromContext",
    "actions",
    "output",
    "case",
    "sort",
    "limitedCount",
];

/// What flows from one operation to the next.
enum Flow {
    Records(Vec<Value>),
    Number(usize),
}

/// Runs a query. What the organisation of the user does not see is as if it were not there.
pub(super) fn query(world: &World, who: &Who, body: &Value) -> Result<Reply, Refused> {
    let operations = match &body["query"] {
        Value::Array(operations) => operations,
        Value::Null => return Err(Refused::missing(&["query"])),
        other => return Err(Refused::format("query", "query", &["query"], other)),
    };
    let mut flow = None;
    let mut total = None;
    let mut kind = Kind::Other;
    for operation in operations {
        let name = operation["_name"].as_str().unwrap_or_default();
        kind = kind_after(name).unwrap_or(kind);
        flow = Some(match (name, flow) {
            (name, None) => Flow::Records(start(world, who, name, operation)?),
            ("filter", Some(Flow::Records(records))) => {
                Flow::Records(filter::filter(world, kind, records, operation)?)
            }
            ("sort", Some(Flow::Records(records))) => {
                Flow::Records(filter::sort(world, kind, records, operation)?)
            }
            ("page", Some(Flow::Records(records))) => {
                let wants = |list: &Vec<Value>| list.iter().any(|name| name == "total");
                total = operation["extraData"]
                    .as_array()
                    .is_some_and(|list| wants(list) && !world.without_totals)
                    .then_some(records.len());
                Flow::Records(page(world, who, records, operation)?)
            }
            ("count" | "limitedCount", Some(Flow::Records(records))) => Flow::Number(records.len()),
            (_, Some(Flow::Records(records))) => {
                Flow::Records(further(world, who, operation, &records)?)
            }
            (_, Some(Flow::Number(_))) => return Err(unknown(operation, &[])),
        });
    }
    let reply = match flow {
        // A list comes in pieces, so that nobody knows its length; what was asked for by its id does not.
        Some(Flow::Records(records))
            if operations.len() > 1 || operations[0]["_name"] == "listObservableType" =>
        {
            json_reply(200, &records.into()).with("Transfer-Encoding", "chunked")
        }
        Some(Flow::Records(records)) => json_reply(200, &records.into()),
        Some(Flow::Number(number)) => json_reply(200, &number.into()),
        None => {
            return Err(Refused::new(
                500,
                "java.util.NoSuchElementException",
                "head of empty list",
            ));
        }
    };
    Ok(match total {
        Some(total) => reply.with("X-Total", total_of(world, total)),
        None => reply,
    })
}

/// What the records are after an operation; nothing if they stay what they were.
fn kind_after(name: &str) -> Option<Kind> {
    match name {
        "getAlert" | "listAlert" | "alerts" => Some(Kind::Alert),
        "getObservable" | "listObservable" | "observables" => Some(Kind::Observable),
        "getCase" | "listCase" | "case" => Some(Kind::Case),
        _ => None,
    }
}

fn unknown(operation: &Value, accepted: &[&str]) -> Refused {
    Refused::format("_name", "query", accepted, operation)
}

/// TheHive 4 stops counting at a thousand and says so with a negative number.
fn total_of(world: &World, total: usize) -> String {
    match world.version {
        Version::Four if total >= 1000 => "-1000".to_owned(),
        Version::Four | Version::Five => total.to_string(),
    }
}

/// An unknown case or alert is an empty answer, not an error.
fn start(world: &World, who: &Who, name: &str, operation: &Value) -> Result<Vec<Value>, Refused> {
    let id_or_name = match &operation["idOrName"] {
        Value::String(text) => text.clone(),
        Value::Null if name.starts_with("get") => return Err(Refused::missing(&["idOrName"])),
        other if name.starts_with("get") => {
            return Err(Refused::format("idOrName", "string", &["string"], other));
        }
        _ => String::new(),
    };
    if name != "listObservableType" {
        who.known()?;
    }
    let visible = |record: &&Value| world.shows(&who.organisation, record);
    let observables = || {
        let seen = world
            .observables
            .iter()
            .filter(|one| world.sees(&who.organisation, &one.parent));
        seen.map(|observable| &observable.record)
    };
    Ok(match name {
        "getCase" => world
            .case(&id_or_name)
            .filter(visible)
            .cloned()
            .into_iter()
            .collect(),
        "listCase" => world.cases.iter().filter(visible).cloned().collect(),
        "getAlert" => world
            .alert_of(&who.organisation, &id_or_name)
            .cloned()
            .into_iter()
            .collect(),
        "listAlert" => world.alerts.iter().filter(visible).cloned().collect(),
        "listCaseTemplate" => world
            .case_templates
            .iter()
            .map(|name| json!({"_id": format!("~{name}"), "name": name}))
            .collect(),
        "listObservable" => observables().cloned().collect(),
        "getObservable" => observables()
            .filter(|record| record["_id"] == id_or_name.as_str())
            .cloned()
            .collect(),
        "listObservableType" => {
            let row = |(name, file): &(String, bool)| {
                let mut row = json!({
                    "_id": format!("~{name}"), "_type": "ObservableType", "_createdAt": 1_630_000_000_000_i64,
                    "_createdBy": "system@thehive.local", "name": name, "isAttachment": file,
                });
                if world.version == Version::Five {
                    row["isCaseSensitive"] = (!world.caseless.contains(name)).into();
                }
                row
            };
            world.observable_types.iter().map(row).collect()
        }
        _ => return Err(unknown(operation, &BEGINNINGS)),
    })
}

fn further(
    world: &World,
    who: &Who,
    operation: &Value,
    records: &[Value],
) -> Result<Vec<Value>, Refused> {
    let name = operation["_name"].as_str().unwrap_or_default();
    let ids: Vec<&str> = records
        .iter()
        .filter_map(|record| record["_id"].as_str())
        .collect();
    let visible = |record: &&Value| world.shows(&who.organisation, record);
    match name {
        "observables" => {
            let inside = world
                .observables
                .iter()
                .filter(|observable| ids.contains(&observable.parent.as_str()));
            Ok(inside.map(|observable| observable.record.clone()).collect())
        }
        "alerts" => {
            let linked =
                |alert: &&Value| alert["caseId"].as_str().is_some_and(|id| ids.contains(&id));
            Ok(world
                .alerts
                .iter()
                .filter(linked)
                .filter(visible)
                .cloned()
                .collect())
        }
        "procedures"
            if world.version == Version::Five
                || records.iter().all(|record| record["_type"] == "Case") =>
        {
            Ok(procedures::of(world, &ids))
        }
        "case" => {
            let named = records
                .iter()
                .filter_map(|record| record["caseId"].as_str());
            let around = world.observables.iter().filter(|one| {
                one.record["_id"]
                    .as_str()
                    .is_some_and(|id| ids.contains(&id))
            });
            let cases: Vec<&str> = named.chain(around.map(|one| one.parent.as_str())).collect();
            let wanted = |case: &&Value| case["_id"].as_str().is_some_and(|id| cases.contains(&id));
            Ok(world
                .cases
                .iter()
                .filter(wanted)
                .filter(visible)
                .cloned()
                .collect())
        }
        _ => Err(unknown(operation, &OF_ALERTS)),
    }
}

/// `from` inclusive, `to` exclusive, both required.
fn page(
    world: &World,
    who: &Who,
    records: Vec<Value>,
    operation: &Value,
) -> Result<Vec<Value>, Refused> {
    if let Some(missing) = ["from", "to"]
        .into_iter()
        .find(|name| operation[*name].is_null())
    {
        return Err(Refused::missing(&[missing]));
    }
    let bound = |name: &str| {
        let bound = operation[name]
            .as_u64()
            .and_then(|bound| usize::try_from(bound).ok());
        bound.ok_or_else(|| Refused::format(name, "long", &["long"], &operation[name]))
    };
    let (from, to) = (bound("from")?, bound("to")?);
    let observables = records
        .first()
        .is_some_and(|record| record["_type"] == "Observable");
    let hidden = if observables {
        world.hide_from_pages
    } else {
        0
    };
    let shown = records.len().saturating_sub(hidden);
    let wanted = &operation["extraData"];
    Ok(records
        .into_iter()
        .take(to.min(shown))
        .skip(from)
        .map(|record| with_extra(world, who, record, wanted))
        .collect())
}

/// `extraData` has what was asked for of a case or an observable, and is empty otherwise.
fn with_extra(world: &World, who: &Who, mut record: Value, wanted: &Value) -> Value {
    let id = record["_id"].as_str().unwrap_or_default().to_owned();
    let parent = world
        .observables
        .iter()
        .find(|one| one.record["_id"] == id.as_str())
        .map(|one| one.parent.clone());
    if !record["patternId"].is_null()
        && wanted
            .as_array()
            .is_some_and(|all| all.contains(&"pattern".into()))
    {
        record["extraData"]["pattern"] = procedures::pattern(&record);
        return record;
    }
    if record["_type"] != "Case" && parent.is_none() {
        return record;
    }
    for name in wanted
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        match (name, &parent) {
            // What a TheHive 5 writes there was never seen.
            ("links", Some(parent)) if world.version == Version::Four => {
                record["extraData"][name] = links(world, who, parent);
            }
            ("isOwner", Some(parent)) => {
                let is_case = world.case(parent).is_some();
                record["extraData"][name] =
                    (is_case && world.owns(&who.organisation, parent)).into();
            }
            (_, Some(_)) => {}
            // What a TheHive 5 writes there was never seen: an object, by its description.
            ("links", None) if world.version == Version::Five => {
                let links = world.links.iter().filter(|(case, _)| *case == id);
                record["extraData"][name] = links.map(|(_, link)| link.clone()).collect();
            }
            ("shareCount", None) => record["extraData"][name] = world.shares(&id).into(),
            ("isOwner", None) => {
                record["extraData"][name] = world.owns(&who.organisation, &id).into()
            }
            _ => {}
        }
    }
    record
}

/// What an observable belongs to, as v0 writes it (recorded as `580-query-observable-with-its-case`).
fn links(world: &World, who: &Who, parent: &str) -> Value {
    match (
        world.case(parent),
        world.alert_of(&who.organisation, parent),
    ) {
        (Some(_), _) => {
            let mut case = cases::v0(world, who, parent);
            case["permissions"] = json!([]);
            json!({"case": case})
        }
        (None, Some(alert)) => json!({"alert": alerts::v0(alert, Vec::new())}),
        (None, None) => json!({}),
    }
}

/// `POST /api/v0/query` for the audits of some objects, the only one that is needed (`582-query-audits-of-observables-v0`): TheHive
/// gives them in no order.
pub(super) fn audits(world: &World, who: &Who, body: &Value) -> Result<Reply, Refused> {
    let operations = body["query"].as_array().cloned().unwrap_or_default();
    let of = |name: &str| {
        operations
            .iter()
            .find(|one| one["_name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let filter = of("filter")["_in"].clone();
    if of("listAudit").is_null() || filter["_field"] != "objectId" || of("page")["to"].is_null() {
        return Err(unknown(body, &BEGINNINGS));
    }
    who.known()?;
    let wanted = filter["_values"].as_array().cloned().unwrap_or_default();
    let parent = |id: &str| world.observables.iter().find(|one| one.record["_id"] == id);
    let seen = world.audits.iter().rev().filter(|(id, ..)| wanted.contains(&json!(id))).filter_map(|(id, operation, details)| {
        let one = parent(id).filter(|one| world.sees(&who.organisation, &one.parent))?;
        let object = &one.record;
        Some(json!({
            "base": {
                "_id": format!("~1{}", id.trim_start_matches('~')), "id": format!("~1{}", id.trim_start_matches('~')),
                "createdBy": object["_createdBy"], "createdAt": object["_createdAt"], "_type": "audit", "base": true, "details": details,
                "objectId": id, "objectType": "case_artifact", "operation": operation, "requestId": "1", "rootId": one.parent,
                "startDate": object["_createdAt"],
                "object": {
                    "_type": "Observable", "_id": id, "_createdAt": object["_createdAt"], "_createdBy": object["_createdBy"],
                    "_updatedAt": object["_createdAt"], "_updatedBy": object["_createdBy"],
                },
            },
            "summary": {"case_artifact": {(*operation): 1}}, "_type": "audit",
        }))
    });
    let seen: Vec<Value> = seen.collect();
    let total = seen.len().to_string();
    Ok(json_reply(200, &seen.into())
        .with("Transfer-Encoding", "chunked")
        .with("X-Total", total))
}
