//! `events/add`.

use serde_json::{Value, json};

use super::ask::{Ask, number, text, truthy};
use super::capture::{self, Place, four_bytes};
use super::objects;
use super::render::{self, Shown};
use super::users::Organisation;
use super::validate::Refused;
use super::world::{Event, World};
use crate::http_fake::Reply;

/// Adds an event with everything in it. There is no transaction: what was stored before a crash stays.
pub(super) fn add(world: &mut World, ask: &Ask) -> Reply {
    if ask.method != "POST" {
        return description(ask);
    }
    if !ask.has_body || ask.body.as_object().is_some_and(serde_json::Map::is_empty) {
        return ask.refuse(405, "No valid event data received.");
    }
    let from = ask.unwrapped("Event").clone();
    let uuid = text(&from["uuid"]).map(|uuid| uuid.to_lowercase());
    if let Some(refused) = uuid.as_deref().and_then(|uuid| taken(world, ask, uuid)) {
        return refused;
    }
    if let Some(refused) = unfit(world, ask, &from) {
        return refused;
    }
    let words = [text(&from["info"]).unwrap_or_default()];
    if words.iter().any(|text| four_bytes(text)) {
        return crash(ask);
    }
    let Some(tags) = capture::event_tags(world, &ask.user, &from) else {
        return crash(ask);
    };
    let now = world.tick();
    let mut event = header(world, ask, &from, now);
    event.uuid = uuid.unwrap_or_else(|| capture::fresh_uuid(world));
    event.tags = tags;
    world.events.push(event);
    let place = Place {
        event: world.events.len() - 1,
        object: 0,
        unique: false,
        now,
    };
    if store(world, ask, &from, place).is_err() {
        return crash(ask);
    }
    let shown = if ask.flag("metadata") {
        Shown::METADATA
    } else {
        Shown::ALL
    };
    Reply::json(
        200,
        &render::event(world, &ask.user, &world.events[place.event], shown),
    )
}

/// MISP's answer when PHP or the database gives up.
pub(super) fn crash(ask: &Ask) -> Reply {
    ask.refuse(500, "An Internal Error Has Occurred.")
}

/// Recorded as `043-events-add-get` and `044-events-add-put`: nothing is created.
fn description(ask: &Ask) -> Reply {
    let fields = [
        "threat_level_id",
        "analysis",
        "distribution",
        "sharing_group_id",
        "uuid",
        "published",
        "timestamp",
        "date",
        "Attribute",
        "Object",
        "Shadow_Attribute",
        "EventTag",
    ];
    let body = json!({
        "name": "/events/add API description",
        "description": "POST an event as JSON to add it.",
        "mandatory_fields": ["info"],
        "optional_fields": fields,
        "url": ask.url,
    });
    Reply::json(200, &body)
}

/// Refusals because of the uuid, recorded as `050-add-duplicate-uuid`, `052-add-duplicate-uuid-hidden-from-partner` and
/// `159-readd-deleted-uuid-partner`; [`World::duplicate_add`] chooses among the answers to a duplicate.
fn taken(world: &World, ask: &Ask, uuid: &str) -> Option<Reply> {
    if world.blocklist.iter().any(|blocked| blocked == uuid) {
        return Some(ask.refuse(403, "Event blocked by event blocklist."));
    }
    let known = world.event(uuid)?;
    match world.duplicate_add {
        Some(500) => return Some(crash(ask)),
        Some(403) => {
            let errors = json!({"Event": {"uuid": ["The UUID provided is not unique"]}});
            return Some(ask.not_saved("add Event", "/events/add", &errors));
        }
        _ => {}
    }
    let message =
        "Event already exists, if you would like to edit it, use the url in the location header.";
    Some(
        ask.refuse(404, message)
            .with("Location", format!("{}/events/{}", world.url, known.id)),
    )
}

fn unfit(world: &World, ask: &Ask, from: &Value) -> Option<Reply> {
    let error = |errors: Value| Some(ask.not_saved("add Event", "/events/add", &errors));
    if number(&from["distribution"]) == Some(4) && !may_share(world, ask, from) {
        return Some(ask.refuse(405, "Invalid Sharing Group or not authorised."));
    }
    let parts = ["Attribute", "Object", "EventReport"];
    let empty = parts
        .iter()
        .all(|part| from[part].as_array().is_none_or(Vec::is_empty));
    if truthy(&from["published"]) && empty {
        return error(
            json!({"Event": "Received a published event that was empty. Event add process blocked."}),
        );
    }
    match from.get("info") {
        None => return error(json!({"Event": {"info": ["valueNotEmpty"]}})),
        Some(info) if text(info).is_none_or(|info| info.is_empty() || info == "0") => {
            return error(json!({"Event": {"info": ["Info cannot be empty."]}}));
        }
        Some(_) => {}
    }
    bad_field(from).and_then(|(field, message)| error(json!({"Event": {field: [message]}})))
}

/// The first field with a value that MISP does not take, and its message.
pub(super) fn bad_field(from: &Value) -> Option<(&'static str, &'static str)> {
    let outside = |field: &str, range: std::ops::RangeInclusive<i64>| {
        !from[field].is_null() && !number(&from[field]).is_some_and(|value| range.contains(&value))
    };
    let date = text(&from["date"]);
    let is_date = |date: &String| date.len() == 10 && date.split('-').map(str::len).eq([4, 2, 2]);
    if date.is_some_and(|date| !is_date(&date)) {
        return Some(("date", "Expected date format: YYYY-MM-DD"));
    }
    if outside("distribution", 0..=4) {
        let levels = "Options : Your organisation only, This community only, Connected communities, All communities";
        return Some(("distribution", levels));
    }
    if outside("threat_level_id", 1..=4) {
        return Some((
            "threat_level_id",
            "Options : 1, 2, 3, 4 (for High, Medium, Low, Undefined)",
        ));
    }
    if outside("analysis", 0..=2) {
        return Some((
            "analysis",
            "Options : 0, 1, 2 (for Initial, Ongoing, Completed)",
        ));
    }
    let uuid = text(&from["uuid"]);
    uuid.is_some_and(|uuid| uuid::Uuid::try_parse(&uuid).is_err())
        .then_some(("uuid", "Please provide a valid RFC 4122 UUID"))
}

fn may_share(world: &World, ask: &Ask, from: &Value) -> bool {
    let group = number(&from["sharing_group_id"])
        .and_then(|group| u64::try_from(group).ok())
        .unwrap_or(0);
    let known = world
        .sharing_groups
        .iter()
        .any(|known| known["id"] == group.to_string().as_str());
    known && (ask.user.role.site_admin || world.in_sharing_group(ask.user.org, group))
}

fn header(world: &mut World, ask: &Ask, from: &Value, now: i64) -> Event {
    let or = |field: &str, default: u64| {
        number(&from[field])
            .and_then(|value| u64::try_from(value).ok())
            .unwrap_or(default)
    };
    let published = truthy(&from["published"]) && ask.user.role.publish;
    let orgc = creator(world, ask, from);
    Event {
        id: world.next_event_id(),
        org: ask.user.org,
        orgc,
        creator: ask.user.email(),
        info: text(&from["info"]).unwrap_or_default(),
        date: text(&from["date"]).unwrap_or_else(|| "2026-11-22".into()),
        threat_level: or("threat_level_id", 4),
        analysis: or("analysis", 0),
        distribution: or("distribution", 1),
        sharing_group: or("sharing_group_id", 0),
        published,
        locked: orgc != ask.user.org,
        timestamp: number(&from["timestamp"]).unwrap_or(now),
        publish_timestamp: if published { now } else { 0 },
        extends_uuid: text(&from["extends_uuid"]).unwrap_or_default(),
        ..Event::default()
    }
}

/// Only synchronisation may name another creator (recorded as `059-add-orgc-spoof-partner` and `060-add-orgc-sync`).
fn creator(world: &mut World, ask: &Ask, from: &Value) -> u64 {
    let (Some(uuid), true) = (text(&from["Orgc"]["uuid"]), ask.user.role.sync) else {
        return ask.user.org;
    };
    if let Some(known) = world.organisations.iter().find(|known| known.uuid == uuid) {
        return known.id;
    }
    let id = world
        .organisations
        .iter()
        .map(|known| known.id)
        .max()
        .unwrap_or(0)
        + 1;
    let name = text(&from["Orgc"]["name"]).unwrap_or_else(|| uuid.clone());
    world.organisations.push(Organisation {
        id,
        name,
        uuid,
        local: false,
    });
    id
}

/// Stores attributes and objects. What is invalid is left out without a word; byte-equal repetitions count once (recorded as
/// `081-add-invalid-value`, `091-add-dup-attr`).
fn store(world: &mut World, ask: &Ask, from: &Value, place: Place) -> Result<(), ()> {
    let mut seen = Vec::new();
    for attribute in from["Attribute"].as_array().into_iter().flatten() {
        let raw = [
            &attribute["value"],
            &attribute["type"],
            &attribute["category"],
        ]
        .map(text);
        if seen.contains(&raw) {
            continue;
        }
        seen.push(raw);
        if capture::attribute(world, &ask.user, attribute, place) == Err(Refused::Crash) {
            return Err(());
        }
    }
    for object in from["Object"].as_array().into_iter().flatten() {
        objects::capture(world, &ask.user, object, place)?;
    }
    Ok(())
}
