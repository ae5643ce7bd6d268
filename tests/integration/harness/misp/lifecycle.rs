//! What happens to an event as a whole: publishing, unpublishing, deleting, and how it may be edited.

use serde_json::json;

use super::add::crash;
use super::ask::{Ask, int};
use super::objects::may_change;
use super::world::World;
use crate::http_fake::Reply;

/// `events/publish`; a GET lacks its view (recorded as `023-publish-get`), and another organisation's event is refused with 405.
pub(super) fn publish(world: &mut World, ask: &Ask) -> Reply {
    if ask.method == "GET" {
        return crash(ask);
    }
    let now = world.now;
    let Some(at) = world
        .events
        .iter()
        .position(|event| event.is(ask.first()) && world.sees(&ask.user, event))
    else {
        return ask.refuse(404, "Invalid event.");
    };
    let event = &mut world.events[at];
    if !ask.user.role.site_admin && event.orgc != ask.user.org {
        return ask.refuse(405, "You do not have the permission to do that.");
    }
    event.published = true;
    event.publish_timestamp = now;
    let mut body = ask.saved(
        "Event published without alerts",
        &format!("/events/publish/{}", event.id),
    );
    body["id"] = int(event.id);
    world.tick();
    Reply::json(200, &body)
}

/// `events/unpublish`.
pub(super) fn unpublish(world: &mut World, ask: &Ask) -> Reply {
    let now = world.tick();
    let Some(event) = world
        .events
        .iter_mut()
        .find(|event| event.is(ask.first()) && may_change(&ask.user, event))
    else {
        return ask.refuse(404, "Invalid event");
    };
    event.touch(now);
    let mut body = ask.saved(
        "Event unpublished.",
        &format!("/events/unpublish/{}", event.id),
    );
    body["id"] = int(event.id);
    Reply::json(200, &body)
}

/// `events/delete`, hard: the uuid goes on the blocklist (recorded as `154-delete-ok`, `155-delete-again`,
/// `161-delete-method-uuid`).
pub(super) fn delete(world: &mut World, ask: &Ask) -> Reply {
    if ask.method == "GET" {
        return crash(ask);
    }
    let Some(at) = world
        .events
        .iter()
        .position(|event| event.is(ask.first()) && may_change(&ask.user, event))
    else {
        return ask.not_saved(
            "delete Event",
            "/events/delete",
            &"Event was not deleted.".into(),
        );
    };
    let event = world.events.remove(at);
    world
        .sightings
        .retain(|sighting| sighting.event != event.id);
    world.blocklist.push(event.uuid);
    world.tick();
    let mut body = ask.saved("Event deleted.", &format!("/events/delete/{}", ask.first()));
    body["id"] = ask.first().into();
    Reply::json(200, &body)
}

/// `events/getEditStrategy`: `extend` for what the user may not edit, seen or not (recorded as
/// `404-edit-strategy-invisible`).
pub(super) fn edit_strategy(world: &World, ask: &Ask) -> Reply {
    let Some(event) = world.event(ask.first()) else {
        return ask.refuse(404, "Invalid event");
    };
    let extending = |other: &&super::world::Event| {
        other.extends_uuid == event.uuid && world.sees(&ask.user, other)
    };
    let extensions: Vec<serde_json::Value> = world
        .events
        .iter()
        .filter(extending)
        .map(|other| json!({"id": int(other.id), "uuid": other.uuid}))
        .collect();
    let strategy = if may_change(&ask.user, event) {
        "edit"
    } else {
        "extend"
    };
    Reply::json(
        200,
        &json!({"extensions": extensions, "strategy": strategy}),
    )
}
