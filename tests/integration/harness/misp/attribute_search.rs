//! `attributes/restSearch`.

use serde_json::{Value, json};

use super::ask::{Ask, int, number, text, truthy};
use super::filter::{self, Filter, in_window};
use super::proposals;
use super::render::{self, Deleted};
use super::search::{attribute_filters, attribute_passes, envelope, event_wanted};
use super::world::{Attribute, Event, World};
use crate::http_fake::Reply;

type Row<'a> = (&'a Event, &'a Attribute);

/// Answers one page of attributes.
pub(super) fn rest_search(world: &World, ask: &Ask) -> Reply {
    let filters = &world.with_default_filters(&ask.body);
    let mut rows = rows(world, ask, filters);
    let all = rows.len();
    let sees_proposals = ["includeProposals", "allow_proposal_blocking"]
        .iter()
        .any(|name| truthy(&filters[*name]));
    rows.retain(|(event, attribute)| {
        !(sees_proposals && proposals::block(world, event, attribute))
    });
    let skipped = all - rows.len();
    sort(&mut rows, filter::order(&filters["order"]));
    let mut rows = filter::page(rows, &filters["limit"], &filters["page"]);
    let limit = number(&filters["limit"])
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(0);
    // Not a total: one more than the rows of a full or an empty page, recorded as `212-ars-page1`, `213-ars-past-end`,
    // `342-ars-big50k-page-51`.
    let more = limit > 0 && (rows.len() == limit || rows.is_empty());
    let count = rows.len() + usize::from(more);
    rows.retain(|(_, attribute)| !world.is_allowed(&attribute.value));
    match text(&filters["returnFormat"]).as_deref() {
        None | Some("json") => {
            let shown: Vec<Value> = rows
                .into_iter()
                .map(|row| show(world, row, filters))
                .collect();
            let body = json!({"response": {"Attribute": shown}});
            skipping(
                envelope(Reply::json(200, &body), count, "json", "json"),
                skipped,
            )
        }
        Some("text") => {
            let lines: String = rows
                .iter()
                .map(|(_, attribute)| format!("{}\n", attribute.value))
                .collect();
            envelope(
                Reply::bytes(200, "text/plain; charset=UTF-8", lines.into_bytes()),
                count,
                "text",
                "txt",
            )
        }
        Some("count") => {
            let body = rows.len().to_string().into_bytes();
            envelope(
                Reply::bytes(200, "text/plain; charset=UTF-8", body),
                count,
                "count",
                "txt",
            )
        }
        Some(_) => ask.refuse(404, "Invalid output format."),
    }
}

/// The same answer, of which so many elements were left out.
fn skipping(mut reply: Reply, skipped: usize) -> Reply {
    let header = reply
        .headers
        .iter_mut()
        .find(|(name, _)| name == "X-Skipped-Elements-Count");
    header
        .into_iter()
        .for_each(|(_, value)| *value = skipped.to_string());
    reply
}

fn rows<'a>(world: &'a World, ask: &Ask, filters: &Value) -> Vec<Row<'a>> {
    let names = ["value", "type", "category", "object_relation", "to_ids"];
    let parsed = attribute_filters(names, filters);
    let deleted = Deleted::from(&filters["deleted"]);
    let events = world
        .events
        .iter()
        .filter(|event| world.sees(&ask.user, event) && event_wanted(world, event, filters));
    let pairs = events.flat_map(|event| {
        event
            .attributes
            .iter()
            .map(move |attribute| (event, attribute))
    });
    let is_blocked = |event: &Event, attribute: &Attribute| {
        let proposals = render::proposals_of(event, attribute);
        let quiets = proposals
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one["to_ids"] == false);
        world.blocks_by_proposals
            && truthy(&filters["includeProposals"])
            && attribute.to_ids
            && quiets
    };
    let wanted = |(event, attribute): &Row<'_>| {
        deleted.wants(attribute)
            && !is_blocked(event, attribute)
            && world.sees_attribute(&ask.user, event, attribute)
            && parsed
                .iter()
                .all(|(name, filter)| attribute_passes(attribute, name, filter))
            && in_window(&filters["timestamp"], attribute.timestamp, world.now)
            && in_window(
                &filters["attribute_timestamp"],
                attribute.timestamp,
                world.now,
            )
            && Filter::parse(&filters["uuid"])
                .is_none_or(|filter| filter.passes(&[&attribute.uuid, &event.uuid]))
            && tags_wanted(world, event, attribute, filters)
    };
    pairs.filter(wanted).collect()
}

fn tags_wanted(world: &World, event: &Event, attribute: &Attribute, filters: &Value) -> bool {
    let Some(filter) = Filter::parse(&filters["tags"]) else {
        return true;
    };
    let names: Vec<String> = world
        .names(&event.tags)
        .into_iter()
        .chain(world.names(&attribute.tags))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    filter.passes(&names)
}

fn sort(rows: &mut [Row<'_>], order: Option<filter::Order>) {
    let (column, upwards) = order.unwrap_or_else(|| ("id".to_owned(), true));
    let known = |(event, attribute): &Row<'_>| match column.as_str() {
        "timestamp" => Some((attribute.timestamp, String::new())),
        "publish_timestamp" => Some((event.publish_timestamp, String::new())),
        "value" => Some((0, attribute.value.clone())),
        "type" => Some((0, attribute.kind.clone())),
        "category" => Some((0, attribute.category.clone())),
        _ => None,
    };
    rows.sort_by(|a, b| {
        let order = known(a).cmp(&known(b)).then(if column == "event_id" {
            a.0.id.cmp(&b.0.id)
        } else {
            a.1.id.cmp(&b.1.id)
        });
        if upwards { order } else { order.reverse() }
    });
}

fn show(world: &World, (event, attribute): Row<'_>, filters: &Value) -> Value {
    let context = truthy(&filters["includeContext"]);
    let mut out = render::attribute_row(event, attribute);
    if truthy(&filters["includeEventUuid"]) {
        out["event_uuid"] = event.uuid.as_str().into();
    }
    if let (true, Some(data)) = (truthy(&filters["withAttachments"]), &attribute.data) {
        out["data"] = data.as_str().into();
    }
    if truthy(&filters["includeSightings"]) {
        let rows = render::sightings_of(world, attribute)
            .map(|row| render::sighting_in_event(world, row, attribute));
        out["Sighting"] = rows.collect();
    }
    if truthy(&filters["includeProposals"]) && !world.proposals_block_attributes {
        out["ShadowAttribute"] = render::proposals_of(event, attribute);
    }
    out["Event"] = if context {
        context_of(world, event)
    } else {
        short(event)
    };
    if let Some(object) = event
        .objects
        .iter()
        .find(|object| object.id == attribute.object)
    {
        let (distribution, group) = (int(object.distribution), int(object.sharing_group));
        out["Object"] =
            json!({"id": int(object.id), "distribution": distribution, "sharing_group_id": group});
    }
    let mut tags: Vec<Value> = attribute
        .tags
        .iter()
        .map(|attached| tag(world, attached))
        .collect();
    if truthy(&filters["includeEventTags"]) {
        tags.extend(event.tags.iter().map(|attached| inherited(world, attached)));
    }
    if !tags.is_empty() {
        out["Tag"] = tags.into();
    }
    out
}

fn short(event: &Event) -> Value {
    json!({
        "org_id": int(event.org),
        "distribution": int(event.distribution),
        "publish_timestamp": int(event.publish_timestamp),
        "id": int(event.id),
        "info": event.info,
        "orgc_id": int(event.orgc),
        "uuid": event.uuid,
    })
}

/// Recorded as `216-ars-context`.
fn context_of(world: &World, event: &Event) -> Value {
    let tag = |attached: &super::world::Attached| {
        let tag = world.tag(attached.tag);
        json!({"local": attached.local, "id": int(tag.id), "name": tag.name, "colour": tag.colour, "numerical_value": tag.numerical_value})
    };
    json!({
        "id": int(event.id),
        "orgc_id": int(event.orgc),
        "org_id": int(event.org),
        "date": event.date,
        "threat_level_id": int(event.threat_level),
        "info": event.info,
        "published": event.published,
        "uuid": event.uuid,
        "analysis": int(event.analysis),
        "timestamp": int(event.timestamp),
        "distribution": int(event.distribution),
        "publish_timestamp": int(event.publish_timestamp),
        "sharing_group_id": int(event.sharing_group),
        "extends_uuid": event.extends_uuid,
        "Tag": event.tags.iter().map(tag).collect::<Vec<Value>>(),
        "Orgc": render::organisation(world, event.orgc, true),
    })
}

fn tag(world: &World, attached: &super::world::Attached) -> Value {
    let tag = world.tag(attached.tag);
    json!({
        "id": int(tag.id),
        "name": tag.name,
        "colour": tag.colour,
        "numerical_value": tag.numerical_value,
        "is_galaxy": tag.is_galaxy,
        "local": attached.local,
    })
}

fn inherited(world: &World, attached: &super::world::Attached) -> Value {
    let tag = world.tag(attached.tag);
    json!({"id": int(tag.id), "name": tag.name, "colour": tag.colour, "numerical_value": tag.numerical_value, "inherited": 1})
}
