//! `events/edit`.

use serde_json::{Value, json};

use super::add::{bad_field, crash};
use super::ask::{Ask, int, number, text, truthy};
use super::capture::{self, Place, four_bytes};
use super::objects;
use super::render::{self, Shown};
use super::reports;
use super::tags;
use super::users::User;
use super::validate::Refused;
use super::world::{Attached, Attribute, Event, Object, World};
use crate::http_fake::Reply;

/// Changes an event. Whatever the body says, an edit without `published` unpublishes (recorded as
/// `407-edit-noop-unpublishes`, `408-edit-unknown-tag-only-unpublishes`).
pub(super) fn edit(world: &mut World, ask: &Ask) -> Reply {
    let from = ask.unwrapped("Event").clone();
    let Some(at) = position(world, ask, &from) else {
        return ask.refuse(404, "Invalid event");
    };
    let event = &world.events[at];
    let may_sync = ask.user.role.sync && event.locked;
    if !objects::may_change(&ask.user, event) && !may_sync {
        return ask.refuse(403, "You are not authorised to do that.");
    }
    if let Some(refused) = unfit(event, &from) {
        return refused;
    }
    if text(&from["info"]).is_some_and(|info| four_bytes(&info)) {
        return crash(ask);
    }
    let now = world.tick();
    header(&mut world.events[at], &ask.user, &from, now);
    let place = Place {
        event: at,
        object: 0,
        unique: true,
        now,
    };
    if contents(world, ask, &from, place).is_err() {
        return crash(ask);
    }
    let shown = if ask.flag("metadata") {
        Shown::METADATA
    } else {
        Shown::ALL
    };
    Reply::json(
        200,
        &render::event(world, &ask.user, &world.events[at], shown),
    )
}

/// A uuid in the body counts more than what is in the path.
fn position(world: &World, ask: &Ask, from: &Value) -> Option<usize> {
    let wanted = text(&from["uuid"]).unwrap_or_else(|| ask.first().to_owned());
    world
        .events
        .iter()
        .position(|event| event.is(&wanted) && world.sees(&ask.user, event))
}

fn unfit(event: &Event, from: &Value) -> Option<Reply> {
    let refused = |errors: Value| {
        let name = "Could not edit Event";
        let url = format!("/events/edit/{}", event.id);
        let body = json!({"saved": false, "name": name, "message": name, "url": url, "errors": errors, "id": int(event.id)});
        Some(Reply::json(403, &body))
    };
    if number(&from["timestamp"]).is_some_and(|given| given <= event.timestamp) {
        // Recorded as `141-edit-older-timestamp` and `142-edit-same-timestamp`.
        return refused(
            "Event could not be saved: Event in the request not newer than the local copy.".into(),
        );
    }
    let (field, message) = bad_field(from)?;
    refused(json!({"Event": {field: [message]}}))
}

fn header(event: &mut Event, user: &User, from: &Value, now: i64) {
    if let Some(info) = text(&from["info"]).filter(|info| !info.is_empty()) {
        event.info = info;
    }
    if let Some(date) = text(&from["date"]) {
        event.date = date;
    }
    let unsigned = |field: &str| number(&from[field]).and_then(|value| u64::try_from(value).ok());
    event.threat_level = unsigned("threat_level_id").unwrap_or(event.threat_level);
    event.analysis = unsigned("analysis").unwrap_or(event.analysis);
    event.distribution = unsigned("distribution").unwrap_or(event.distribution);
    event.sharing_group = unsigned("sharing_group_id").unwrap_or(event.sharing_group);
    // Recorded as `410-edit-published-true-keeps-publish-timestamp`.
    event.published = truthy(&from["published"]) && user.role.publish;
    event.timestamp = number(&from["timestamp"]).unwrap_or(now);
}

fn contents(world: &mut World, ask: &Ask, from: &Value, place: Place) -> Result<(), ()> {
    for attribute in from["Attribute"].as_array().into_iter().flatten() {
        one_attribute(world, ask, attribute, place)?;
    }
    for object in from["Object"].as_array().into_iter().flatten() {
        one_object(world, ask, object, place)?;
    }
    for report in from["EventReport"].as_array().into_iter().flatten() {
        reports::capture(world, report, place)?;
    }
    let mut event_tags = std::mem::take(&mut world.events[place.event].tags);
    let done = change_tags(world, &ask.user, &mut event_tags, &from["Tag"], true);
    world.events[place.event].tags = event_tags;
    done.ok_or(())
}

/// Known at this place of the event: changed unless the request is older; known elsewhere, be it in an object of the same
/// event: left alone, as a uuid is only taken once; unknown: added if it is valid and
/// the event does not have its like (recorded as `147-edit-add-attribute`, `148-edit-attr-older-ts`,
/// `150-edit-attr-no-uuid-dup`).
fn one_attribute(world: &mut World, ask: &Ask, from: &Value, place: Place) -> Result<(), ()> {
    let uuid = text(&from["uuid"]).map(|uuid| uuid.to_lowercase());
    let at = uuid.as_ref().and_then(|uuid| {
        world.events[place.event]
            .attributes
            .iter()
            .position(|known| known.uuid == *uuid)
    });
    let Some(at) = at else {
        let mut from = from.clone();
        if !ask.user.role.tagger {
            from["Tag"] = Value::Null;
        }
        return match capture::attribute(world, &ask.user, &from, place) {
            Err(Refused::Crash) => Err(()),
            Ok(_) | Err(Refused::Field(..) | Refused::Silent) => Ok(()),
        };
    };
    let known = &world.events[place.event].attributes[at];
    let older = number(&from["timestamp"]).is_some_and(|given| given <= known.timestamp);
    if known.object != place.object || older || capture::unknown_type(world, from) {
        return Ok(());
    }
    let mut changed = known.clone();
    match capture::update(&mut changed, from, place.now, world.import_rules) {
        Err(Refused::Crash) => return Err(()),
        Err(Refused::Field(..) | Refused::Silent) => return Ok(()),
        Ok(()) => {}
    }
    let fewer = delete_or_revive(&mut changed, &from["deleted"]);
    let mut attribute_tags = std::mem::take(&mut changed.tags);
    change_tags(world, &ask.user, &mut attribute_tags, &from["Tag"], false).ok_or(())?;
    changed.tags = attribute_tags;
    let event = &mut world.events[place.event];
    event.attribute_count -= i64::from(fewer);
    event.attributes[at] = changed;
    Ok(())
}

/// Whether the event has one attribute less. MISP does not count a revived one (recorded as `414-edit-undelete-attribute`).
fn delete_or_revive(attribute: &mut Attribute, deleted: &Value) -> bool {
    let before = attribute.deleted;
    if !deleted.is_null() {
        attribute.deleted = truthy(deleted);
    }
    attribute.deleted && !before
}

fn one_object(world: &mut World, ask: &Ask, from: &Value, place: Place) -> Result<(), ()> {
    let uuid = text(&from["uuid"]).unwrap_or_default();
    let event = &mut world.events[place.event];
    let Some(known) = event.objects.iter_mut().find(|known| known.uuid == uuid) else {
        return objects::capture(world, &ask.user, from, place);
    };
    if number(&from["timestamp"]).is_some_and(|given| given <= known.timestamp) {
        return Ok(());
    }
    object_fields(known, from);
    known.timestamp = number(&from["timestamp"]).unwrap_or(place.now);
    let inside = Place {
        object: known.id,
        unique: false,
        ..place
    };
    if !from["deleted"].is_null() {
        known.deleted = truthy(&from["deleted"]);
    }
    if known.deleted {
        for attribute in event
            .attributes
            .iter_mut()
            .filter(|attribute| attribute.object == inside.object && !attribute.deleted)
        {
            attribute.deleted = true;
            event.attribute_count -= 1;
        }
    }
    for attribute in from["Attribute"].as_array().into_iter().flatten() {
        one_attribute(world, ask, attribute, inside)?;
    }
    Ok(())
}

/// Takes over what the request has of the object itself.
fn object_fields(known: &mut Object, from: &Value) {
    let change = |field: &mut String, name: &str| {
        if let Some(given) = text(&from[name]) {
            *field = given;
        }
    };
    change(&mut known.name, "name");
    change(&mut known.meta_category, "meta-category");
    change(&mut known.description, "description");
    change(&mut known.template_version, "template_version");
    change(&mut known.comment, "comment");
    if let Some(level) = number(&from["distribution"]).and_then(|level| u64::try_from(level).ok()) {
        known.distribution = level;
    }
}

/// Adds the tags named, removes those with `deleted`; for a user who may tag only, others are not told. Nothing for a name that crashes the server.
fn change_tags(
    world: &mut World,
    user: &User,
    tags: &mut Vec<Attached>,
    from: &Value,
    of_event: bool,
) -> Option<()> {
    if !user.role.tagger {
        return Some(());
    }
    // Those of an event in turn; of an attribute all are added before any is taken off, so that one which is there locally is
    // only taken off (recorded as `461-edit-shares-a-local-tag`).
    let rows = from.as_array().into_iter().flatten();
    let (dropped, added): (Vec<_>, Vec<_>) = rows.partition(|row| truthy(&row["deleted"]));
    let in_turn = from.as_array().into_iter().flatten().collect();
    for row in if of_event {
        in_turn
    } else {
        [added, dropped].concat()
    } {
        if truthy(&row["deleted"]) {
            let id = world
                .tag_named(&text(&row["name"]).unwrap_or_default())
                .map(|tag| tag.id);
            tags.retain(|known| Some(known.tag) != id);
            continue;
        }
        for added in tags::captured(world, user, &json!([row]))? {
            if !tags.iter().any(|known| known.tag == added.tag) {
                tags.push(added);
            }
        }
    }
    Some(())
}
