//! How MISP shows events, attributes, objects and tags. Integers are strings here; `mod.rs` turns them back when a test wants.

use serde_json::{Map, Value, json};

use super::ask::int;
use super::users::User;
use super::world::{Attached, Attribute, Event, Object, Sighting, World};

/// Which parts of an event are shown, and what of its attributes.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    /// No attributes, objects, reports.
    pub(crate) metadata: bool,
    pub(crate) deleted: Deleted,
    /// Base64 content of attachments.
    pub(crate) data: bool,
    /// `RelatedEvent`.
    pub(crate) related: bool,
    /// `warnings` of attributes that are on a warning list.
    pub(crate) warnings: bool,
    pub(crate) galaxies: bool,
    pub(crate) reports: bool,
    /// `ShadowAttribute` of the event.
    pub(crate) proposals: bool,
}

impl Shown {
    /// What restSearch and the write calls show.
    pub(crate) const ALL: Self = Self {
        metadata: false,
        deleted: Deleted::No,
        data: false,
        related: true,
        warnings: false,
        galaxies: true,
        reports: true,
        proposals: true,
    };
    /// The header only.
    pub(crate) const METADATA: Self = Self {
        metadata: true,
        ..Self::ALL
    };
}

/// Whether deleted attributes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    No,
    Only,
    Too,
}

impl Deleted {
    /// Absent or 0: not; 1: only; a list of both: too.
    pub(crate) fn from(value: &Value) -> Self {
        match value {
            Value::Array(both) if both.len() > 1 => Self::Too,
            Value::Array(one) => one.first().map_or(Self::No, Self::from),
            value if super::ask::truthy(value) => Self::Only,
            _ => Self::No,
        }
    }

    /// Whether this attribute is wanted.
    pub(crate) fn wants(self, attribute: &Attribute) -> bool {
        match self {
            Self::No => !attribute.deleted,
            Self::Only => attribute.deleted,
            Self::Too => true,
        }
    }
}

/// `{"Event": …}` for `user`.
pub(crate) fn event(world: &World, user: &User, event: &Event, shown: Shown) -> Value {
    let mut out = columns(world, event);
    if !user.role.site_admin && event.orgc != user.org {
        // Recorded as `060-add-orgc-sync` and `282-readonly-authkey-restsearch`.
        out.shift_remove("event_creator_email");
    }
    if event.sharing_group != 0 {
        let id = int(event.sharing_group);
        let group = world.sharing_groups.iter().find(|group| group["id"] == id);
        out.insert("SharingGroup".into(), group.cloned().unwrap_or_default());
    }
    if !shown.metadata {
        let wanted =
            |attribute: &&Attribute| attribute.object == 0 && shown.deleted.wants(attribute);
        out.insert(
            "Attribute".into(),
            attributes(world, user, event, shown, wanted),
        );
        if shown.proposals {
            out.insert("ShadowAttribute".into(), super::proposals::new_ones(event));
        }
    }
    if shown.related {
        out.insert("RelatedEvent".into(), or_empty(&event.related));
    }
    out.insert(
        "Galaxy".into(),
        if shown.galaxies {
            or_empty(&event.galaxies)
        } else {
            json!([])
        },
    );
    if !shown.metadata {
        let seen = event
            .objects
            .iter()
            .filter(|object| world.sees_object(user, event, object));
        let objects = seen.filter(|object| shown.deleted == Deleted::Too || !object.deleted);
        out.insert(
            "Object".into(),
            objects
                .map(|one| object_in_event(world, user, event, one, shown))
                .collect(),
        );
        if shown.reports {
            // Recorded as `612-view-event-with-deleted-report`.
            let reports = event.reports.as_array().into_iter().flatten();
            let reports =
                reports.filter(|one| shown.deleted != Deleted::No || one["deleted"] != true);
            let is_seen = |one: &&Value| user.org == event.org || one["distribution"] != "0";
            out.insert(
                "EventReport".into(),
                reports.filter(is_seen).cloned().collect(),
            );
        }
    }
    out.insert("CryptographicKey".into(), json!([]));
    let tags = event
        .tags
        .iter()
        .filter(|tag| !tag.local || !hides_local(user));
    let tags: Vec<Value> = tags.map(|attached| tag(world, attached)).collect();
    if !tags.is_empty() {
        out.insert("Tag".into(), tags.into());
    }
    json!({ "Event": out })
}

/// A sync user that is no site admin is not shown local tags.
fn hides_local(user: &User) -> bool {
    user.role.sync && !user.role.site_admin
}

fn columns(world: &World, event: &Event) -> Map<String, Value> {
    let columns = json!({
        "id": int(event.id),
        "orgc_id": int(event.orgc),
        "org_id": int(event.org),
        "date": event.date,
        "threat_level_id": int(event.threat_level),
        "info": event.info,
        "published": event.published,
        "uuid": event.uuid,
        "attribute_count": int(event.attribute_count),
        "analysis": int(event.analysis),
        "timestamp": int(event.timestamp),
        "distribution": int(event.distribution),
        "proposal_email_lock": false,
        "locked": event.locked,
        "publish_timestamp": int(event.publish_timestamp),
        "sharing_group_id": int(event.sharing_group),
        "disable_correlation": false,
        "extends_uuid": event.extends_uuid,
        "protected": null,
        "event_creator_email": event.creator,
        "Org": organisation(world, event.org, true),
        "Orgc": organisation(world, event.orgc, true),
    });
    let Value::Object(columns) = columns else {
        unreachable!("an object literal")
    };
    columns
}

/// An organisation as part of something else.
pub(crate) fn organisation(world: &World, id: u64, local: bool) -> Value {
    let organisation = world.organisation(id);
    let mut out = json!({"id": int(id), "name": organisation.name, "uuid": organisation.uuid});
    if local {
        out["local"] = organisation.local.into();
    }
    out
}

fn attributes(
    world: &World,
    user: &User,
    event: &Event,
    shown: Shown,
    wanted: impl Fn(&&Attribute) -> bool,
) -> Value {
    let visible = event
        .attributes
        .iter()
        .filter(|attribute| world.sees_attribute(user, event, attribute));
    visible
        .filter(wanted)
        .map(|attribute| attribute_in_event(world, event, attribute, shown))
        .collect()
}

fn attribute_in_event(world: &World, event: &Event, attribute: &Attribute, shown: Shown) -> Value {
    let mut out = json!({
        "id": int(attribute.id),
        "type": attribute.kind,
        "category": attribute.category,
        "to_ids": attribute.to_ids,
        "uuid": attribute.uuid,
        "event_id": int(event.id),
        "distribution": int(attribute.distribution),
        "timestamp": int(attribute.timestamp),
        "comment": attribute.comment,
        "sharing_group_id": int(attribute.sharing_group),
        "deleted": attribute.deleted,
        "disable_correlation": attribute.disable_correlation,
        "object_id": int(attribute.object),
        "object_relation": attribute.object_relation,
        "first_seen": attribute.first_seen,
        "last_seen": attribute.last_seen,
        "value": attribute.value,
        "Galaxy": or_empty(&attribute.galaxies),
        "ShadowAttribute": super::proposals::inside(world, event, attribute),
    });
    if let (true, Some(data)) = (shown.data, &attribute.data) {
        out["data"] = data.as_str().into();
    }
    if let (true, Some(lists)) = (shown.warnings, world.warninglists.get(&attribute.value)) {
        out["warnings"] = lists
            .iter()
            .map(|list| warning(list, &attribute.value))
            .collect();
    }
    if !attribute.tags.is_empty() {
        out["Tag"] = attribute
            .tags
            .iter()
            .map(|attached| tag(world, attached))
            .collect();
    }
    let sightings: Vec<Value> = sightings_of(world, attribute)
        .map(|row| sighting_in_event(world, row, attribute))
        .collect();
    if !sightings.is_empty() {
        out["Sighting"] = sightings.into();
    }
    out
}

fn warning(list: &str, value: &str) -> Value {
    json!({"value": value, "match": value, "warninglist_id": list.len().to_string(), "warninglist_name": list, "warninglist_category": "false_positive"})
}

/// A row of `attributes/restSearch` without what its options add.
pub(crate) fn attribute_row(event: &Event, attribute: &Attribute) -> Value {
    json!({
        "id": int(attribute.id),
        "event_id": int(event.id),
        "object_id": int(attribute.object),
        "object_relation": attribute.object_relation,
        "category": attribute.category,
        "type": attribute.kind,
        "to_ids": attribute.to_ids,
        "uuid": attribute.uuid,
        "timestamp": int(attribute.timestamp),
        "distribution": int(attribute.distribution),
        "sharing_group_id": int(attribute.sharing_group),
        "comment": attribute.comment,
        "deleted": attribute.deleted,
        "disable_correlation": attribute.disable_correlation,
        "first_seen": attribute.first_seen,
        "last_seen": attribute.last_seen,
        "value": attribute.value,
    })
}

/// A row as the database has it, with both halves of the value; what the add calls show.
pub(crate) fn attribute_stored(event: &Event, attribute: &Attribute) -> Value {
    let mut out = attribute_row(event, attribute);
    let (first, second) = attribute.halves();
    out["value1"] = first.into();
    out["value2"] = second.into();
    out
}

/// A tag inside an event or attribute. The relationship is never set.
pub(crate) fn tag(world: &World, attached: &Attached) -> Value {
    let tag = world.tag(attached.tag);
    json!({
        "id": int(tag.id),
        "name": tag.name,
        "colour": tag.colour,
        "exportable": true,
        "user_id": int(tag.user_id),
        "hide_tag": tag.hide_tag,
        "numerical_value": tag.numerical_value,
        "is_galaxy": tag.is_galaxy,
        "is_custom_galaxy": false,
        "local_only": tag.local_only,
        "local": attached.local,
        "relationship_type": null,
    })
}

/// The columns of an object.
pub(crate) fn object(event: &Event, object: &Object) -> Value {
    json!({
        "id": int(object.id),
        "name": object.name,
        "meta-category": object.meta_category,
        "description": object.description,
        "template_uuid": object.template_uuid,
        "template_version": object.template_version,
        "event_id": int(event.id),
        "uuid": object.uuid,
        "timestamp": int(object.timestamp),
        "distribution": int(object.distribution),
        "sharing_group_id": int(object.sharing_group),
        "comment": object.comment,
        "deleted": object.deleted,
        "first_seen": object.first_seen,
        "last_seen": object.last_seen,
    })
}

fn object_in_event(
    world: &World,
    user: &User,
    event: &Event,
    from: &Object,
    shown: Shown,
) -> Value {
    let mut out = object(event, from);
    out["ObjectReference"] = or_empty(&from.references);
    let wanted =
        |attribute: &&Attribute| attribute.object == from.id && shown.deleted.wants(attribute);
    out["Attribute"] = attributes(world, user, event, shown, wanted);
    out
}

/// The sightings of an attribute.
pub(crate) fn sightings_of<'a>(
    world: &'a World,
    attribute: &Attribute,
) -> impl Iterator<Item = &'a Sighting> {
    let id = attribute.id;
    world
        .sightings
        .iter()
        .filter(move |sighting| sighting.attribute == id)
}

/// The proposals to change an attribute: they carry its uuid.
pub(crate) fn proposals_of(event: &Event, attribute: &Attribute) -> Value {
    let proposals = event.proposals.as_array().into_iter().flatten();
    let its = |proposal: &&Value| {
        proposal["uuid"] == attribute.uuid.as_str() && proposal["deleted"] != true
    };
    proposals.filter(its).cloned().collect()
}

/// The columns of a sighting.
pub(crate) fn sighting(row: &Sighting) -> Value {
    json!({
        "id": int(row.id),
        "attribute_id": int(row.attribute),
        "event_id": int(row.event),
        "org_id": int(row.org),
        "date_sighting": int(row.date),
        "uuid": row.uuid,
        "source": row.source,
        "type": row.kind,
    })
}

/// A sighting inside an attribute.
pub(crate) fn sighting_in_event(world: &World, row: &Sighting, attribute: &Attribute) -> Value {
    let mut out = sighting(row);
    out["attribute_uuid"] = attribute.uuid.as_str().into();
    out["Organisation"] = organisation(world, row.org, false);
    out
}

/// Null stands for an empty list in what was loaded or made without one.
fn or_empty(value: &Value) -> Value {
    if value.is_null() {
        json!([])
    } else {
        value.clone()
    }
}
