//! Objects: `objects/add`, `objects/restSearch`, `objects/delete`, `objects/view`, and objects inside events.

use serde_json::{Value, json};

use super::ask::{Ask, int, number, text, truthy};
use super::capture::{self, Place};
use super::filter::{self, Filter};
use super::render;
use super::search::{envelope, event_wanted};
use super::users::User;
use super::validate::Refused;
use super::world::{Event, Object, World};
use crate::http_fake::Reply;

/// Stores an object of an event that is added or edited: invalid attributes are left out, an object left without any is not
/// stored (recorded as `261-event-add-object-invalid-attr`, `263-event-add-object-no-attrs`). `Err` is a crash.
pub(super) fn capture(
    world: &mut World,
    user: &User,
    from: &Value,
    place: Place,
) -> Result<(), ()> {
    let object = draft(world, from, place.now);
    let taken = world
        .events
        .iter()
        .any(|event| event.objects.iter().any(|known| known.uuid == object.uuid));
    if taken || object.name.is_empty() {
        return Ok(());
    }
    let inside = Place {
        object: object.id,
        unique: false,
        ..place
    };
    let mut stored = 0;
    for attribute in from["Attribute"].as_array().into_iter().flatten() {
        match capture::attribute(world, user, attribute, inside) {
            Ok(_) => stored += 1,
            Err(Refused::Crash) => return Err(()),
            Err(Refused::Field(..) | Refused::Silent) => {}
        }
    }
    if stored > 0 {
        world.events[place.event].objects.push(object);
    }
    Ok(())
}

fn draft(world: &mut World, from: &Value, now: i64) -> Object {
    let of = |field: &str| text(&from[field]).unwrap_or_default();
    let (first_seen, last_seen) = (text(&from["first_seen"]), text(&from["last_seen"]));
    let uuid = text(&from["uuid"]).unwrap_or_else(|| capture::fresh_uuid(world));
    let file = of("template_uuid") == "688c46fb-5edb-40a3-8273-1af7923e2215";
    Object {
        id: world.next_id(),
        uuid,
        name: of("name"),
        meta_category: of("meta-category"),
        description: if file {
            "File object describing a file with meta-information".into()
        } else {
            of("description")
        },
        template_uuid: of("template_uuid"),
        template_version: of("template_version"),
        timestamp: number(&from["timestamp"]).unwrap_or(now),
        distribution: number(&from["distribution"])
            .and_then(|level| u64::try_from(level).ok())
            .unwrap_or(0),
        comment: of("comment"),
        first_seen,
        last_seen,
        ..Object::default()
    }
}

/// `objects/add/<event>[/<template id>]`: one refused attribute refuses the whole (recorded as
/// `429-objects-add-known-attribute-uuid-2`), then a template that is neither known nor described (`570-objects-add-asks`).
pub(super) fn add(world: &mut World, ask: &Ask) -> Reply {
    let Some(at) = world
        .events
        .iter()
        .position(|event| event.is(ask.first()) && world.sees(&ask.user, event))
    else {
        return ask.refuse(404, "Invalid event");
    };
    let event = &world.events[at];
    if !may_change(&ask.user, event) {
        return ask.refuse(403, "You do not have permission to do that.");
    }
    let event_id = event.id;
    let from = ask.unwrapped("Object").clone();
    if let Some(refused) = duplicate(world, ask, at, &from) {
        return refused;
    }
    let now = world.tick();
    let mut object = draft(world, &from, now);
    object.distribution = number(&from["distribution"])
        .and_then(|level| u64::try_from(level).ok())
        .unwrap_or(0);
    let place = Place {
        event: at,
        object: object.id,
        unique: false,
        now,
    };
    let before = (
        world.events[at].attributes.len(),
        world.events[at].attribute_count,
    );
    for attribute in from["Attribute"].as_array().into_iter().flatten() {
        let refused = match capture::attribute(world, &ask.user, attribute, place) {
            Ok(_) | Err(Refused::Silent) => continue,
            Err(refused) => refused,
        };
        let event = &mut world.events[at];
        event.attributes.truncate(before.0);
        event.attribute_count = before.1;
        let Refused::Field(field, message) = refused else {
            return super::add::crash(ask);
        };
        let relation = text(&attribute["object_relation"]).unwrap_or_default();
        let errors = format!(
            "Could not save object as at least one attribute has failed validation ({relation}). {}",
            json!({field: [message]})
        );
        let mut reply = json!({"saved": false, "name": "Could not add object", "message": "Could not add object"});
        reply["url"] = format!("/objects/add/{event_id}/").into();
        reply["errors"] = errors.into();
        reply["id"] = format!("{event_id}/").into();
        return Reply::json(403, &reply);
    }
    let event = &mut world.events[at];
    if let Some(lacking) = [
        "name",
        "meta-category",
        "description",
        "template_version",
        "template_uuid",
    ]
    .into_iter()
    .find(|field| from[*field].is_null())
    {
        event.attributes.truncate(before.0);
        event.attribute_count = before.1;
        let why = format!(
            "Object could not be saved.\ntemplate: No valid template found and object lacking template information. ({lacking})"
        );
        return ask.not_saved("add Object", "/objects/add", &why.into());
    }
    event.objects.push(object);
    event.touch(now);
    let object = event.objects.last().expect("just stored");
    let mut out = render::object(event, object);
    out["Attribute"] = inside(event, object).collect();
    Reply::json(200, &json!({ "Object": out }))
}

fn inside<'a>(event: &'a Event, object: &'a Object) -> impl Iterator<Item = Value> + 'a {
    event
        .live()
        .filter(move |attribute| attribute.object == object.id)
        .map(move |attribute| render::attribute_stored(event, attribute))
}

/// An object's uuid is its own on the whole server; a duplicate by contents is refused on demand only (recorded as
/// `259-object-add-dup`).
fn duplicate(world: &World, ask: &Ask, at: usize, from: &Value) -> Option<Reply> {
    let uuid = text(&from["uuid"]).map(|uuid| uuid.to_lowercase());
    let mut objects = world.events.iter().flat_map(|event| event.objects.iter());
    if objects.any(|known| Some(&known.uuid) == uuid.as_ref()) {
        let reason = "Object could not be saved.\nuuid: The UUID provided is not unique";
        return Some(ask.not_saved("add Object", "/objects/add", &reason.into()));
    }
    if !ask.flag("breakOnDuplicate") {
        return None;
    }
    let event = &world.events[at];
    let mut wanted: Vec<String> = from["Attribute"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| text(&one["value"]))
        .collect();
    wanted.sort();
    let same = |object: &&Object| {
        let mut values: Vec<String> = event
            .live()
            .filter(|one| one.object == object.id)
            .map(|one| one.value.clone())
            .collect();
        values.sort();
        values == wanted
    };
    let known = event.objects.iter().find(same)?;
    let reason = format!(
        "Object could not be saved.\nvalue: Duplicate object found (id: {}, uuid: {}). Since breakOnDuplicate is set the object will not be added.",
        known.id, known.uuid
    );
    Some(ask.not_saved("add Object", "/objects/add", &reason.into()))
}

/// Whether the user may change the event: site admins, and everyone with the right to add in the creator organisation.
pub(super) fn may_change(user: &User, event: &Event) -> bool {
    user.role.site_admin || (user.role.add && event.orgc == user.org)
}

/// `objects/restSearch`. It answers 500 to any value of `deleted`, and shows soft-deleted objects without it (recorded as
/// `433-objects-restsearch-deleted-0-1` and `436-objects-restsearch-without-deleted`).
pub(super) fn rest_search(world: &World, ask: &Ask) -> Reply {
    let filters = &world.with_default_filters(&ask.body);
    let passes = |name: &str, texts: &[&str]| {
        Filter::parse(&filters[name]).is_none_or(|filter| filter.passes(texts))
    };
    let metadata = truthy(&filters["metadata"]);
    if !filters["deleted"].is_null() {
        return ask.refuse(500, "An Internal Error Has Occurred.");
    }
    let events = world
        .events
        .iter()
        .filter(|event| world.sees(&ask.user, event) && event_wanted(world, event, filters));
    let pairs = events.flat_map(|event| event.objects.iter().map(move |object| (event, object)));
    let pairs = pairs.filter(|(event, object)| world.sees_object(&ask.user, event, object));
    // The uuid of an attribute in it, or of its event, and never its own: recorded as
    // `597-objects-restsearch-by-attributes` and `598-objects-restsearch-by-object`.
    let has_uuid = |event: &Event, object: &Object| {
        let attributes = event.attributes.iter();
        let inside = attributes.filter(|attribute| attribute.object == object.id);
        let uuids = inside.map(|attribute| attribute.uuid.as_str());
        passes(
            "uuid",
            &uuids.chain([event.uuid.as_str()]).collect::<Vec<_>>(),
        )
    };
    let wanted = |(event, object): &(&Event, &Object)| {
        passes("object_name", &[&object.name]) && has_uuid(event, object)
    };
    let rows = filter::page(
        pairs.filter(wanted).collect(),
        &filters["limit"],
        &filters["page"],
    );
    let count = rows.len();
    let shown: Vec<Value> = rows
        .into_iter()
        .map(|(event, object)| show(world, event, object, metadata))
        .collect();
    envelope(
        Reply::json(200, &json!({ "response": shown })),
        count,
        "json",
        "json",
    )
}

fn show(world: &World, event: &Event, object: &Object, metadata: bool) -> Value {
    let mut out = render::object(event, object);
    if !metadata {
        // The allowed list counts here too: recorded as
        // `601-objects-restsearch-by-attributes-with-allowed-list`.
        let attributes = event.live().filter(|attribute| {
            attribute.object == object.id && !world.is_allowed(&attribute.value)
        });
        out["Attribute"] = attributes
            .map(|attribute| {
                let mut row = render::attribute_stored(event, attribute);
                row["AttributeTag"] = attribute
                    .tags
                    .iter()
                    .map(|tag| super::tags::attribute_tag(world, event, attribute.id, tag))
                    .collect();
                row
            })
            .collect();
    }
    out["Event"] = json!({"id": int(event.id), "info": event.info, "org_id": int(event.org), "orgc_id": int(event.orgc)});
    json!({ "Object": out })
}

/// `objects/view`, which shows deleted objects without their attributes (recorded as `265-object-view-deleted`).
pub(super) fn view(world: &World, ask: &Ask) -> Reply {
    let pairs = world
        .events
        .iter()
        .flat_map(|event| event.objects.iter().map(move |object| (event, object)));
    let is = |object: &Object| object.uuid == ask.first() || object.id.to_string() == ask.first();
    match pairs
        .into_iter()
        .find(|(event, object)| is(object) && world.sees(&ask.user, event))
    {
        Some((event, object)) => Reply::json(200, &show(world, event, object, object.deleted)),
        None => ask.refuse(404, "Invalid object."),
    }
}

/// `objects/delete`, soft.
pub(super) fn delete(world: &mut World, ask: &Ask) -> Reply {
    let now = world.now;
    let wanted = ask.first().to_owned();
    let is = |object: &Object| object.uuid == wanted || object.id.to_string() == wanted;
    let Some(event) = world
        .events
        .iter_mut()
        .find(|event| may_change(&ask.user, event) && event.objects.iter().any(is))
    else {
        return ask.refuse(404, "Invalid object.");
    };
    let Some(object) = event.objects.iter_mut().find(|object| is(object)) else {
        return ask.refuse(404, "Invalid object.");
    };
    object.deleted = true;
    let id = object.id;
    for attribute in event
        .attributes
        .iter_mut()
        .filter(|attribute| attribute.object == id && !attribute.deleted)
    {
        attribute.deleted = true;
        event.attribute_count -= 1;
    }
    event.touch(now);
    let mut body = ask.saved("Object deleted", &format!("/objects/delete/{}", event.id));
    body["id"] = int(event.id);
    world.tick();
    Reply::json(200, &body)
}
