//! Procedures of alerts, which only TheHive 5 has: with an alert that is made, or by themselves.

use serde_json::{Value, json};

use super::refused::Refused;
use super::users::Who;
use super::world::World;
use super::{Reply, alerts, json_reply};

/// `POST /api/v1/alert/{id}/procedure`.
pub(super) fn add(world: &mut World, who: &Who, id: &str, from: &Value) -> Result<Reply, Refused> {
    who.need("manageProcedure", "create procedure")?;
    let id = alerts::seen(world, who, id)?;
    let stored = store(world, who, &id, from)?;
    Ok(json_reply(201, &stored))
}

/// Keeps a procedure of an alert. That an unknown pattern is refused is described, with which words is a guess.
pub(super) fn store(
    world: &mut World,
    who: &Who,
    alert: &str,
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
    world.procedures.push((alert.to_owned(), procedure.clone()));
    Ok(procedure)
}
