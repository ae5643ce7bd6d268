//! Sightings and warning lists.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ask::{Ask, number, text};
use super::render;
use super::search::envelope;
use super::world::{Sighting, World};
use crate::http_fake::Reply;

/// `sightings/add[/<attribute>]`: by value one row in every visible event that has it, by attribute one row (recorded as
/// `250-sighting-add-value`, `423-sighting-by-own-attribute-uuid`). Failure is a 200 (`251-sighting-add-unknown`).
pub(super) fn add(world: &mut World, ask: &Ask) -> Reply {
    let from = ask.unwrapped("Sighting");
    let attribute = [
        ask.first().to_owned(),
        text(&from["uuid"]).unwrap_or_default(),
        text(&from["id"]).unwrap_or_default(),
    ];
    let attribute = attribute.into_iter().find(|given| !given.is_empty());
    let mut values: Vec<String> = from["values"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(text)
        .collect();
    values.extend(text(&from["value"]));
    let events = world
        .events
        .iter()
        .filter(|event| world.sees(&ask.user, event));
    let pairs = events.flat_map(|event| event.live().map(move |attribute| (event.id, attribute)));
    let wanted = |known: &super::world::Attribute| match &attribute {
        Some(one) => known.is(one),
        None => values.iter().any(|value| {
            known.value == *value || known.halves().0 == value || known.halves().1 == value
        }),
    };
    let found: Vec<(u64, u64)> = pairs
        .filter(|(_, known)| wanted(known))
        .map(|(event, known)| (event, known.id))
        .collect();
    if found.is_empty() {
        let message = "Could not add the Sighting. Reason: No valid attributes found that match the criteria.";
        return Reply::json(200, &json!({ "message": message }));
    }
    let kind = text(&from["type"]).unwrap_or_else(|| "0".into());
    if !["0", "1", "2"].contains(&kind.as_str()) {
        let message = "Could not add the Sighting. Reason: Invalid type, please change it before you POST 1000000 sightings.";
        return Reply::json(200, &json!({ "message": message }));
    }
    let date = number(&from["timestamp"]).unwrap_or_else(|| world.tick());
    for (event, attribute) in found {
        // Recorded as `594-sighting-expiration-replaces`: only the text.
        if from["type"] == "2" {
            world.sightings.retain(|row| {
                (row.attribute, row.org, row.kind.as_str()) != (attribute, ask.user.org, "2")
            });
        }
        let row = Sighting {
            id: world.next_id(),
            uuid: super::capture::fresh_uuid(world),
            event,
            attribute,
            org: ask.user.org,
            date,
            source: text(&from["source"]).unwrap_or_default(),
            kind: kind.clone(),
        };
        world.sightings.push(row);
    }
    let last = world.sightings.last().expect("just added");
    Reply::json(200, &json!({"Sighting": render::sighting(last)}))
}

/// `sightings/restSearch/<event|attribute>`, which counts nothing in its header (recorded as `254-sightings-restsearch`),
/// and answers 500 to the uuid of an event (`595-sightings-of-an-event-by-uuid`). Without a window those of the last 30
/// days come, with one all of it (`596-sightings-of-an-event`).
pub(super) fn rest_search(world: &World, ask: &Ask) -> Reply {
    const THIRTY_DAYS: i64 = 30 * 86_400;

    if ask.first() == "event" && !ask.body["uuid"].is_null() {
        return ask.refuse(500, "An Internal Error Has Occurred.");
    }
    let kinds: Option<Vec<String>> = match &ask.body["type"] {
        Value::Null => None,
        Value::Array(list) => Some(list.iter().filter_map(text).collect()),
        one => Some(text(one).into_iter().collect()),
    };
    let window = (number(&ask.body["from"]), number(&ask.body["to"]));
    let wanted: Vec<String> = ["id", "uuid"]
        .into_iter()
        .filter_map(|name| text(&ask.body[name]))
        .collect();
    let is = |row: &&Sighting| {
        let (Some(event), Some((_, attribute))) = (
            world.event(&row.event.to_string()),
            world.attribute(&row.attribute.to_string()),
        ) else {
            return false;
        };
        let hit = wanted.iter().any(|one| {
            if ask.first() == "attribute" {
                attribute.is(one)
            } else {
                event.is(one)
            }
        });
        let is_in_window = match window {
            (Some(from), Some(to)) => (from..=to).contains(&row.date),
            _ => row.date >= world.now - THIRTY_DAYS,
        };
        let is_kind = kinds.as_ref().is_none_or(|kinds| kinds.contains(&row.kind));
        world.sees(&ask.user, event) && (wanted.is_empty() || hit) && is_in_window && is_kind
    };
    let show = |row: &Sighting| {
        let mut out = render::sighting(row);
        out["value"] = world
            .attribute(&row.attribute.to_string())
            .map_or("", |(_, attribute)| attribute.value.as_str())
            .into();
        out["Organisation"] = render::organisation(world, row.org, false);
        json!({ "Sighting": out })
    };
    let rows: Vec<Value> = world.sightings.iter().filter(is).map(show).collect();
    envelope(
        Reply::json(200, &json!({ "response": rows })),
        0,
        "json",
        "json",
    )
}

/// A few values of the recording and the lists they are on.
pub(super) fn warninglists() -> BTreeMap<String, Vec<String>> {
    let rows = [
        ("8.8.8.8", vec!["List of known IPv4 public DNS resolvers"]),
        ("1.1.1.1", vec!["List of known IPv4 public DNS resolvers"]),
        (
            "10.0.0.1",
            vec![
                "List of RFC 1918 CIDR blocks",
                "List of RFC 5735 CIDR blocks",
            ],
        ),
        ("203.0.113.5", vec!["List of RFC 5735 CIDR blocks"]),
        (
            "google.com",
            vec![
                "Top 1000 website from Alexa",
                "Top 1000 websites from Cisco Umbrella",
            ],
        ),
    ];
    rows.into_iter()
        .map(|(value, lists)| {
            (
                value.to_owned(),
                lists.into_iter().map(ToOwned::to_owned).collect(),
            )
        })
        .collect()
}

/// `warninglists/checkValue`: an object, or an empty list when nothing matches (recorded as `244-warninglist-check`,
/// `245-warninglist-check-nomatch`).
pub(super) fn check_value(world: &World, ask: &Ask) -> Reply {
    let values: Vec<String> = match &ask.body {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    let row = |name: &String, matched: &String| json!({"id": name.len().to_string(), "name": name, "matched": matched});
    let mut out = serde_json::Map::new();
    for value in values {
        if let Some(lists) = world.warninglists.get(&value) {
            let rows: Vec<Value> = lists.iter().map(|name| row(name, &value)).collect();
            out.insert(value, rows.into());
        }
    }
    let body = if out.is_empty() {
        json!([])
    } else {
        Value::Object(out)
    };
    Reply::json(200, &body)
}
