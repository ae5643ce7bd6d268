//! Proposals of other organisations to change attributes, and what a setting makes of them.

use serde_json::{Value, json};

use super::ask::{Ask, int, truthy};
use super::world::{Attribute, Event, World};
use crate::http_fake::Reply;

/// `shadow_attributes/index/<event>/deleted:0`: the proposals to change an event's attributes (recorded as
/// `540-proposals-of-an-event`).
pub(super) fn index(world: &World, ask: &Ask) -> Reply {
    let seen = world
        .event(ask.first())
        .filter(|event| world.sees(&ask.user, event));
    let rows = seen.into_iter().flat_map(|event| {
        let all = event.proposals.as_array().into_iter().flatten();
        all.filter(|one| {
            ask.named("deleted")
                .is_none_or(|deleted| (deleted == "1") == (one["deleted"] == true))
        })
        .map(|one| json!({"ShadowAttribute": row(world, event, one)}))
    });
    Reply::json(200, &rows.collect())
}

fn row(world: &World, event: &Event, one: &Value) -> Value {
    let attribute = event
        .attributes
        .iter()
        .find(|attribute| one["uuid"] == attribute.uuid.as_str());
    let org = world.organisation(
        one["org_id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .unwrap_or(3),
    );
    let mut row = json!({
        "id": "1", "old_id": "0", "event_id": int(event.id), "type": "", "category": "", "uuid": "", "to_ids": false,
        "comment": "", "org_id": int(org.id), "timestamp": int(world.now), "first_seen": null, "last_seen": null,
        "deleted": false, "proposal_to_delete": false, "disable_correlation": false, "value": "",
        "org_uuid": org.uuid,
        "old_uuid": one["uuid"],
        "event_uuid": event.uuid,
        "Org": {"name": org.name, "uuid": org.uuid, "id": int(org.id)},
    });
    if let Some(attribute) = attribute {
        let fields = row.as_object_mut().expect("an object");
        fields.extend([
            ("old_id".to_owned(), int(attribute.id)),
            ("type".to_owned(), attribute.kind.as_str().into()),
            ("category".to_owned(), attribute.category.as_str().into()),
            ("value".to_owned(), attribute.value.as_str().into()),
        ]);
    }
    row.as_object_mut()
        .expect("an object")
        .extend(one.as_object().cloned().unwrap_or_default());
    row
}

/// The proposals of new attributes, which an event shows beside its attributes.
pub(super) fn new_ones(event: &Event) -> Value {
    let known = |one: &Value| {
        event
            .attributes
            .iter()
            .any(|attribute| one["uuid"] == attribute.uuid.as_str())
    };
    event
        .proposals
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| !known(one))
        .cloned()
        .collect()
}

/// The open proposals to change an attribute, as an event shows them inside it (recorded as
/// `456-view-with-open-proposal-blocked`).
pub(super) fn inside(world: &World, event: &Event, attribute: &Attribute) -> Value {
    const SHOWN: [&str; 15] = [
        "id",
        "type",
        "category",
        "to_ids",
        "uuid",
        "event_uuid",
        "event_id",
        "old_id",
        "comment",
        "org_id",
        "proposal_to_delete",
        "timestamp",
        "first_seen",
        "last_seen",
        "value",
    ];
    let of = |one: &&Value| one["uuid"] == attribute.uuid.as_str() && one["deleted"] != true;
    let all = event.proposals.as_array().into_iter().flatten().filter(of);
    let one = |one: &Value| {
        let row = row(world, event, one);
        let mut out: serde_json::Map<String, Value> = SHOWN
            .into_iter()
            .map(|name| (name.to_owned(), row[name].clone()))
            .collect();
        let org = row["Org"]["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .unwrap_or(3);
        out.insert(
            "Org".to_owned(),
            super::render::organisation(world, org, true),
        );
        Value::from(out)
    };
    all.map(one).collect()
}

/// `shadow_attributes/add/<event>`: proposes a new attribute (recorded as `336-shadow-add`).
pub(super) fn add(world: &mut World, ask: &Ask) -> Reply {
    let Some(event) = world
        .event(ask.first())
        .filter(|event| world.sees(&ask.user, event))
    else {
        return ask.refuse(404, "Invalid event");
    };
    let (event, org) = (event.id, event.orgc);
    let from = ask.unwrapped("ShadowAttribute");
    let uuid = super::capture::fresh_uuid(world);
    let proposal = json!({
        "id": int(world.last_id),
        "old_id": "0",
        "event_id": int(event),
        "type": from["type"],
        "category": from["category"],
        "comment": from["comment"].as_str().unwrap_or_default(),
        "to_ids": from["to_ids"] != false,
        "uuid": uuid,
        "event_org_id": int(org),
        "email": ask.user.email(),
        "deleted": false,
        "timestamp": int(world.tick()),
        "first_seen": null,
        "last_seen": null,
        "value": from["value"],
    });
    Reply::json(200, &json!({ "ShadowAttribute": proposal }))
}

/// `shadow_attributes/edit/<attribute>`: proposes another form of an attribute that the user sees; what is not given stays
/// (MISP's `ShadowAttributesController.php`).
pub(super) fn edit(world: &mut World, ask: &Ask) -> Reply {
    let found = world
        .attribute(ask.first())
        .filter(|(event, _)| world.sees(&ask.user, event));
    let Some((event, attribute)) = found else {
        return ask.refuse(404, "Invalid Attribute.");
    };
    let from = ask.unwrapped("ShadowAttribute");
    let or = |name: &str, stored: Value| {
        if from[name].is_null() {
            stored
        } else {
            from[name].clone()
        }
    };
    let (event, id) = (event.uuid.clone(), world.last_id + 1);
    let proposal = json!({
        "id": int(id),
        "old_id": int(attribute.id),
        "type": or("type", attribute.kind.as_str().into()),
        "category": or("category", attribute.category.as_str().into()),
        "value": or("value", attribute.value.as_str().into()),
        "comment": or("comment", attribute.comment.as_str().into()),
        "to_ids": or("to_ids", attribute.to_ids.into()),
        "uuid": attribute.uuid,
        "org_id": int(ask.user.org),
        "email": ask.user.email(),
        "deleted": false,
        "proposal_to_delete": false,
        "timestamp": int(world.now),
        "first_seen": null,
        "last_seen": null,
    });
    world.last_id = id;
    let event = world.event_mut(&event).expect("it was just found");
    match event.proposals.as_array_mut() {
        Some(all) => all.push(proposal.clone()),
        None => event.proposals = json!([proposal]),
    }
    Reply::json(200, &json!({ "ShadowAttribute": proposal }))
}

/// Whether an open proposal keeps an attribute for detection out of `attributes/restSearch`: with the setting on, one that only
/// takes its flag (MISP's `MispAttribute.php`, `__blockAttributeViaProposal`; recorded as `455-ars-with-open-proposal-blocked`).
pub(super) fn block(world: &World, event: &Event, attribute: &Attribute) -> bool {
    let same =
        |one: &Value, name: &str, stored: &str| one.get(name).is_none_or(|given| given == stored);
    let takes_the_flag = |one: &Value| {
        one["uuid"] == attribute.uuid.as_str()
            && one["deleted"] != true
            && !truthy(&one["to_ids"])
            && same(one, "value", &attribute.value)
            && same(one, "type", &attribute.kind)
            && same(one, "category", &attribute.category)
    };
    let mut all = event.proposals.as_array().into_iter().flatten();
    world.proposals_block_attributes && attribute.to_ids && all.any(takes_the_flag)
}

/// `servers/getSetting` and `servers/serverSettingsEdit`, of the one setting that this fake knows.
pub(super) fn setting(world: &mut World, ask: &Ask) -> Reply {
    if !ask.user.role.site_admin {
        return ask.refuse(403, "You do not have permission to use this functionality.");
    }
    if ask.first() != "MISP.proposals_block_attributes" {
        return ask.refuse(404, "Setting is not found.");
    }
    if ask.action == "serversettingsedit" {
        world.proposals_block_attributes = ask.body["value"] == true;
        return Reply::json(
            200,
            &ask.saved("Field updated", "/servers/serverSettingsEdit"),
        );
    }
    let name = "MISP.proposals_block_attributes";
    Reply::json(
        200,
        &json!({"name": name, "type": "boolean", "value": world.proposals_block_attributes}),
    )
}
