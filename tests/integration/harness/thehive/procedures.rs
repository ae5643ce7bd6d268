//! Procedures of cases; and of alerts, which only TheHive 5 has: with an alert that is made, or by themselves.

use serde_json::{Value, json};

use super::refused::Refused;
use super::users::Who;
use super::world::{Version, World};
use super::{Reply, alerts, json_reply};

/// `POST /api/v1/alert/{id}/procedure`.
pub(super) fn add(world: &mut World, who: &Who, id: &str, from: &Value) -> Result<Reply, Refused> {
    who.need("manageProcedure", "create procedure")?;
    let id = alerts::seen(world, who, id)?;
    let stored = store(world, who, &id, from)?;
    Ok(json_reply(201, &stored))
}

/// `POST /api/v1/procedure`, of TheHive 4: a procedure of a case.
pub(super) fn add_to_case(world: &mut World, who: &Who, from: &Value) -> Result<Reply, Refused> {
    who.need("manageProcedure", "create procedure")?;
    let case = from["caseId"].as_str().unwrap_or_default();
    let id = world
        .case(case)
        .filter(|case| world.shows(&who.organisation, case));
    let id = id.ok_or_else(|| Refused::not_found("Case not found"))?["_id"].clone();
    let stored = store(world, who, id.as_str().unwrap_or_default(), from)?;
    Ok(json_reply(201, &stored))
}

/// What ATT&CK calls a pattern.
fn name(pattern: &str) -> &'static str {
    match pattern {
        "T1566" => "Phishing",
        "T1566.001" => "Spearphishing Attachment",
        "T1059.001" => "PowerShell",
        _ => "Made up",
    }
}

/// The procedures of these cases or alerts. TheHive 5 names the pattern of each.
pub(super) fn of(world: &World, parents: &[&str]) -> Vec<Value> {
    let of_them = world
        .procedures
        .iter()
        .filter(|(of, _)| parents.contains(&of.as_str()));
    let shown = of_them.map(|(_, procedure)| {
        let mut procedure = procedure.clone();
        if world.version == Version::Five
            && procedure.is_object()
            && procedure["patternName"].is_null()
        {
            procedure["patternName"] =
                name(procedure["patternId"].as_str().unwrap_or_default()).into();
        }
        procedure
    });
    shown.collect()
}

/// The pattern of a procedure (recorded as `595-query-procedures-of-case`).
pub(super) fn pattern(procedure: &Value) -> Value {
    let number = procedure["patternId"].as_str().unwrap_or_default();
    json!({
        "_id": "~8000", "_type": "Pattern", "_createdBy": "admin@thehive.local", "_createdAt": 1_630_000_000_000_i64,
        "patternId": number, "name": name(number), "description": "d", "tactics": ["initial-access"],
        "url": format!("https://attack.mitre.org/techniques/{}", number.replace('.', "/")), "patternType": "attack-pattern",
        "revoked": false, "dataSources": [], "defenseBypassed": [], "permissionsRequired": [], "platforms": ["Windows"],
        "remoteSupport": false, "systemRequirements": [], "version": "1.0", "extraData": {},
    })
}

/// Keeps a procedure of an alert or case. That an unknown pattern is refused is described, with which words is a guess.
pub(super) fn store(
    world: &mut World,
    who: &Who,
    parent: &str,
    from: &Value,
) -> Result<Value, Refused> {
    let pattern = from["patternId"].as_str().unwrap_or_default().to_owned();
    if pattern.is_empty() || !from["occurDate"].is_i64() {
        return Err(Refused::bad(
            "Error while decoding input {body as json}(patternId, occurDate-> Missing value)",
        ));
    }
    if !world.patterns.contains(&pattern) {
        return Err(Refused::not_found(&format!("Pattern {pattern} not found")));
    }
    let mut procedure = Value::from(world.stamped("Procedure", &who.login));
    for (name, value) in [
        ("patternId", pattern.into()),
        ("occurDate", from["occurDate"].clone()),
    ] {
        procedure[name] = value;
    }
    procedure["extraData"] = json!({});
    if !from["tactic"].is_null() {
        procedure["tactic"] = from["tactic"].clone();
    }
    if world.version == Version::Four {
        procedure
            .as_object_mut()
            .into_iter()
            .for_each(|fields| drop(fields.remove("_type")));
    }
    world
        .procedures
        .push((parent.to_owned(), procedure.clone()));
    Ok(procedure)
}
