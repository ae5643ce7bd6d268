//! Attributes one by one or in lists: `attributes/add`, `attributes/edit`, `attributes/view`, `attributes/delete`.

use serde_json::{Map, Value, json};

use super::add::crash;
use super::ask::{Ask, number, text};
use super::capture::{self, Place};
use super::objects::may_change;
use super::render;
use super::validate::Refused;
use super::world::{Pending, World};
use crate::http_fake::Reply;

/// `attributes/add/<event>`: one, a list, or one with a list of values.
pub(super) fn add(world: &mut World, ask: &Ask) -> Reply {
    let Some(at) = world
        .events
        .iter()
        .position(|event| event.is(ask.first()) && world.sees(&ask.user, event))
    else {
        return ask.refuse(404, "Invalid event");
    };
    if !may_change(&ask.user, &world.events[at]) {
        return ask.refuse(403, "You do not have permission to do that.");
    }
    let event = world.events[at].id;
    if world.pending.iter().any(|pending| pending.event == event) {
        // Two writers in one event: the database gives up on the second.
        return crash(ask);
    }
    let (mut wanted, single) = wanted(ask);
    let later = world
        .slow_add
        .filter(|now| wanted.len() > *now)
        .map(|now| wanted.split_off(now));
    let Some((stored, errors)) = store(world, ask, at, &wanted) else {
        return crash(ask);
    };
    if let Some(attributes) = later {
        world.pending.push(Pending { event, attributes });
        let mut reply = answer(world, ask, at, &stored, errors, single);
        reply.cut_after = Some(0);
        return reply;
    }
    answer(world, ask, at, &stored, errors, single)
}

/// The attributes of the body, and whether it was just one.
fn wanted(ask: &Ask) -> (Vec<Value>, bool) {
    let body = ask.unwrapped("Attribute");
    if let Value::Array(list) = body {
        return (list.clone(), false);
    }
    match &body["value"] {
        Value::Array(values) => {
            let one = |value: &Value| {
                let mut one = body.clone();
                one["value"] = value.clone();
                one
            };
            (values.iter().map(one).collect(), false)
        }
        _ => (vec![body.clone()], true),
    }
}

type Errors = Map<String, Value>;

/// The ids stored and the errors by position; nothing when the server crashes.
fn store(world: &mut World, ask: &Ask, at: usize, wanted: &[Value]) -> Option<(Vec<u64>, Errors)> {
    let now = world.tick();
    let place = Place {
        event: at,
        object: 0,
        unique: true,
        now,
    };
    let (mut stored, mut errors) = (Vec::new(), Errors::new());
    for (number, from) in wanted.iter().enumerate() {
        match capture::attribute(world, &ask.user, from, place) {
            Ok(id) => stored.push(id),
            Err(Refused::Crash) => return None,
            Err(Refused::Silent) => {}
            Err(Refused::Field(field, message)) => {
                errors.insert(format!("attribute_{number}"), json!({field: [message]}));
            }
        }
    }
    if !stored.is_empty() {
        world.events[at].touch(now);
    }
    Some((stored, errors))
}

/// What was dropped silently is no error. Exactly one success is shown as one object, even out of a list (recorded as `106-attr-add-list`).
fn answer(
    world: &World,
    ask: &Ask,
    at: usize,
    stored: &[u64],
    mut errors: Errors,
    single: bool,
) -> Reply {
    let silent = errors.is_empty() && !world.dropped.is_empty();
    if stored.is_empty() && !silent {
        let errors = if single {
            errors.remove("attribute_0").unwrap_or_default()
        } else {
            errors.into()
        };
        return ask.not_saved("add Attribute", "/attributes/add", &errors);
    }
    let event = &world.events[at];
    let shown = event
        .attributes
        .iter()
        .filter(|attribute| stored.contains(&attribute.id));
    let mut rows: Vec<Value> = shown
        .map(|attribute| render::attribute_stored(event, attribute))
        .collect();
    let mut body = if rows.len() == 1 {
        json!({"Attribute": rows.remove(0), "AttributeTag": []})
    } else {
        json!({ "Attribute": rows })
    };
    if !errors.is_empty() {
        body["errors"] = errors.into();
    }
    Reply::json(200, &body)
}

/// Goes on with the lists of clients that are gone. Each call stores one portion of each.
pub(super) fn go_on(world: &mut World) {
    let Some(portion) = world.slow_add else {
        return;
    };
    let pending = std::mem::take(&mut world.pending);
    for mut one in pending {
        let Some(at) = world.events.iter().position(|event| event.id == one.event) else {
            continue;
        };
        let creator = world.events[at].creator.clone();
        let Some(user) = world
            .users
            .iter()
            .find(|user| user.email() == creator)
            .cloned()
        else {
            continue;
        };
        let rest = one.attributes.split_off(portion.min(one.attributes.len()));
        let now = world.tick();
        let place = Place {
            event: at,
            object: 0,
            unique: true,
            now,
        };
        for from in &one.attributes {
            // A refusal has nobody to be told to.
            let _ = capture::attribute(world, &user, from, place);
        }
        world.events[at].touch(now);
        if !rest.is_empty() {
            world.pending.push(Pending {
                event: one.event,
                attributes: rest,
            });
        }
    }
}

/// `attributes/view`: 405 for what is unknown or deleted (recorded as `112-attr-view-notfound`).
pub(super) fn view(world: &World, ask: &Ask) -> Reply {
    let found = world
        .attribute(ask.first())
        .filter(|(event, attribute)| !attribute.deleted && world.sees(&ask.user, event));
    let Some((event, attribute)) = found else {
        return ask.refuse(405, "Invalid attribute");
    };
    let mut row = render::attribute_row(event, attribute);
    row["event_uuid"] = event.uuid.as_str().into();
    if !attribute.tags.is_empty() {
        row["Tag"] = attribute
            .tags
            .iter()
            .map(|tag| render::tag(world, tag))
            .collect();
    }
    Reply::json(200, &json!({ "Attribute": row }))
}

/// Where the attribute is that the user wants to change, or the refusal.
fn own(world: &World, ask: &Ask) -> Result<(usize, usize), Reply> {
    let found = world.events.iter().enumerate().find_map(|(at, event)| {
        let inside = event
            .attributes
            .iter()
            .position(|attribute| attribute.is(ask.first()))?;
        world.sees(&ask.user, event).then_some((at, inside))
    });
    let (event, attribute) = found.ok_or_else(|| ask.refuse(404, "Invalid attribute"))?;
    if !may_change(&ask.user, &world.events[event]) {
        return Err(ask.refuse(403, "You do not have permission to do that."));
    }
    Ok((event, attribute))
}

/// `attributes/edit`.
pub(super) fn edit(world: &mut World, ask: &Ask) -> Reply {
    let (event, at) = match own(world, ask) {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let from = ask.unwrapped("Attribute");
    let mut changed = world.events[event].attributes[at].clone();
    if number(&from["timestamp"]).is_some_and(|given| given <= changed.timestamp) {
        return ask.refuse(
            405,
            "Attribute could not be saved: Attribute in the request not newer than the local copy.",
        );
    }
    let now = world.tick();
    match capture::update(&mut changed, from, now, world.import_rules) {
        Err(Refused::Crash | Refused::Silent) => return crash(ask),
        Err(Refused::Field(field, message)) => {
            return ask.not_saved(
                "edit Attribute",
                "/attributes/edit",
                &json!({field: [message]}),
            );
        }
        Ok(()) => {}
    }
    let event = &mut world.events[event];
    if text(&from["deleted"]).is_some_and(|deleted| deleted == "0" || deleted.is_empty()) {
        changed.deleted = false;
    }
    event.attributes[at] = changed;
    event.touch(now);
    Reply::json(
        200,
        &json!({"Attribute": render::attribute_row(event, &event.attributes[at])}),
    )
}

/// `attributes/delete/<attribute>[/1]`, soft unless told otherwise (recorded as `113-attr-delete`, `118-attr-delete-hard`).
pub(super) fn delete(world: &mut World, ask: &Ask) -> Reply {
    let (event, at) = match own(world, ask) {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let now = world.tick();
    let event = &mut world.events[event];
    if !event.attributes[at].deleted {
        event.attribute_count -= 1;
    }
    if ask.args.get(1).is_some_and(|hard| hard == "1") {
        event.attributes.remove(at);
    } else {
        event.attributes[at].deleted = true;
        event.attributes[at].timestamp = now;
    }
    event.touch(now);
    Reply::json(200, &json!({"message": "Attribute deleted."}))
}

/// `attributes/restore` redirects even though JSON was asked for (recorded as `117-attr-restore`).
pub(super) fn restore(world: &mut World, ask: &Ask) -> Reply {
    let (event, at) = match own(world, ask) {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let now = world.tick();
    let event = &mut world.events[event];
    event.attributes[at].deleted = false;
    event.attribute_count += 1;
    event.touch(now);
    let to = format!("{}/attributes/view/{}", world.url, ask.first());
    Reply::bytes(302, "application/json; charset=UTF-8", Vec::new()).with("Location", to)
}
