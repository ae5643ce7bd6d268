//! `events/restSearch` and `events/view`.

use serde_json::Value;

use super::ask::{Ask, number, text, truthy};
use super::filter::{self, Filter, in_days, in_window, like};
use super::index;
use super::render::{self, Deleted, Shown};
use super::world::{Attribute, Event, World};
use crate::http_fake::Reply;

/// `events/restSearch`. Unknown filters are ignored, no filter means everything (recorded as `170-rs-unknown-filter`,
/// `177-rs-empty-body`).
pub(super) fn rest_search(world: &World, ask: &Ask) -> Reply {
    let filters = &world.with_default_filters(&ask.body);
    if ask.method == "GET" && ask.named.is_empty() {
        return ask.refuse(
            400,
            "Restsearch queries using GET and no parameters are not allowed.",
        );
    }
    if text(&filters["returnFormat"]).is_some_and(|format| format != "json") {
        return ask.refuse(404, "Invalid output format.");
    }
    let mut rows: Vec<&Event> = world
        .events
        .iter()
        .filter(|event| world.sees(&ask.user, event))
        .collect();
    rows.retain(|event| wanted(world, event, filters));
    // Recorded as `603-events-restsearch-of-an-empty-event`.
    rows.retain(|event| filters["deleted"].is_null() || !event.attributes.is_empty());
    let total = rows.len();
    index::sort(&mut rows, filter::order(&filters["order"]).as_ref());
    let mut rows = filter::page(rows, &filters["limit"], &filters["page"]);
    // Recorded as `295-rs-distribution4` and its neighbour: these two only thin out the page.
    rows.retain(|event| number_filter(&filters["distribution"], event.distribution));
    rows.retain(|event| number_filter(&filters["sharing_group_id"], event.sharing_group));
    // Recorded as `583-events-restsearch-published-false`: so does this one; a search of attributes takes it for no filter.
    rows.retain(|event| filters["published"] != false || !event.published);
    let shown = Shown {
        metadata: truthy(&filters["metadata"]),
        deleted: Deleted::from(&filters["deleted"]),
        data: truthy(&filters["withAttachments"]) || truthy(&filters["includeAttachments"]),
        related: true,
        warnings: truthy(&filters["includeWarninglistHits"]),
        galaxies: !truthy(&filters["excludeGalaxy"]),
        reports: !truthy(&filters["noEventReports"]),
        proposals: !truthy(&filters["noShadowAttributes"]),
    };
    let found: Vec<Value> = rows
        .iter()
        .map(|event| render::event(world, &ask.user, event, shown))
        .map(|event| without_allowed(world, event))
        .collect();
    let body = serde_json::json!({ "response": found });
    let file = number(&filters["eventid"]).map_or("list".to_owned(), |id| id.to_string());
    let disposition = format!("attachment; filename=\"misp.event.{file}.json\"");
    envelope(Reply::json(200, &body), total, "json", "json")
        .with("Content-Disposition", disposition)
}

/// The allowed list keeps values out of an event's own attributes, not of those in objects (MISP's `Allowedlist.php`,
/// `removeAllowedlistedFromArray`).
fn without_allowed(world: &World, mut shown: Value) -> Value {
    if let Some(Value::Array(attributes)) = shown.pointer_mut("/Event/Attribute") {
        attributes.retain(|one| !world.is_allowed(one["value"].as_str().unwrap_or_default()));
    }
    shown
}

/// The headers of every search.
pub(super) fn envelope(reply: Reply, count: usize, module: &str, format: &str) -> Reply {
    let reply = reply
        .with("X-Result-Count", count)
        .with("X-Export-Module-Used", module);
    reply
        .with("X-Response-Format", format)
        .with("X-Skipped-Elements-Count", 0)
}

fn number_filter(filter: &Value, is: u64) -> bool {
    Filter::parse(filter).is_none_or(|filter| filter.passes(&[&is.to_string()]))
}

fn wanted(world: &World, event: &Event, filters: &Value) -> bool {
    header_wanted(world, event, filters)
        && tags_wanted(world, event, filters)
        && content_wanted(event, filters)
}

/// What both searches ask of the event itself, except its times.
pub(super) fn event_wanted(world: &World, event: &Event, filters: &Value) -> bool {
    let passes = |name: &str, texts: &[&str]| {
        Filter::parse(&filters[name]).is_none_or(|filter| filter.passes(texts))
    };
    let orgc = world.organisation(event.orgc);
    let published = |value: &Value| {
        value
            .as_array()
            .is_none_or(|list| list.iter().any(|one| truthy(one) == event.published))
    };
    let published = match &filters["published"] {
        Value::Null | Value::Bool(false) => true,
        Value::Array(_) => published(&filters["published"]),
        scalar => truthy(scalar) == event.published,
    };
    published
        && passes("eventid", &[&event.id.to_string(), &event.uuid])
        && passes("event_ids", &[&event.id.to_string(), &event.uuid])
        && passes("org", &[&orgc.name, &orgc.uuid, &orgc.id.to_string()])
        && passes("threat_level_id", &[&event.threat_level.to_string()])
        && passes("eventinfo", &[&event.info])
        && passes("sharinggroup", &[&event.sharing_group.to_string()])
        && in_window(
            &filters["publish_timestamp"],
            event.publish_timestamp,
            world.now,
        )
        && in_window(&filters["last"], event.publish_timestamp, world.now)
        && in_window(&filters["event_timestamp"], event.timestamp, world.now)
        && in_days(&filters["from"], &event.date)
        && text(&filters["to"]).is_none_or(|to| event.date <= to)
}

fn header_wanted(world: &World, event: &Event, filters: &Value) -> bool {
    let uuid = Filter::parse(&filters["uuid"]).is_none_or(|filter| {
        let attributes = event
            .attributes
            .iter()
            .map(|attribute| attribute.uuid.as_str());
        let objects = event.objects.iter().map(|object| object.uuid.as_str());
        let uuids: Vec<&str> = [event.uuid.as_str()]
            .into_iter()
            .chain(attributes)
            .chain(objects)
            .collect();
        filter.passes(&uuids)
    });
    uuid && event_wanted(world, event, filters)
        && in_window(&filters["timestamp"], event.timestamp, world.now)
        && in_days(&filters["date"], &event.date)
}

/// Tags on the event or any attribute; `event_tags` asks for the event's own and counts only without `tags`. Names are
/// case-sensitive; excluded ones are looked for on the event.
fn tags_wanted(world: &World, event: &Event, filters: &Value) -> bool {
    let own = world.names(&event.tags);
    let given = if filters["tags"].is_null() {
        &filters["tag"]
    } else {
        &filters["tags"]
    };
    let (filter, anywhere) = match Filter::parse(given) {
        Some(filter) => (filter, true),
        None => match Filter::parse(&filters["event_tags"]) {
            Some(filter) => (filter, false),
            None => return true,
        },
    };
    let mut all = own.clone();
    if anywhere {
        all.extend(
            event
                .live()
                .flat_map(|attribute| world.names(&attribute.tags)),
        );
    }
    let on = |names: &[String], wanted: &String| names.iter().any(|name| like(wanted, name));
    let excluded = filter.not.iter().any(|wanted| on(&own, wanted))
        || (anywhere && !filter.not.is_empty() && event.attribute_count == 0);
    !excluded
        && filter.and.iter().all(|wanted| on(&all, wanted))
        && (filter.or.is_empty() || filter.or.iter().any(|wanted| on(&all, wanted)))
}

/// Filters on attributes choose events that have such an attribute; the whole event is answered.
fn content_wanted(event: &Event, filters: &Value) -> bool {
    let names = ["value", "type", "category", "object_relation", "to_ids"];
    let parsed = attribute_filters(names, filters);
    parsed.iter().all(|(name, filter)| {
        event
            .live()
            .any(|attribute| attribute_passes(attribute, name, filter))
    })
}

/// The filters on attributes that were given.
pub(super) fn attribute_filters<const N: usize>(
    names: [&'static str; N],
    filters: &Value,
) -> Vec<(&'static str, Filter)> {
    names
        .into_iter()
        .filter_map(|name| Some((name, Filter::parse(&filters[name])?)))
        .collect()
}

/// Whether one attribute passes one filter on attributes; values are equal where MISP's database says so (its collation
/// `utf8mb3_unicode_ci`).
pub(super) fn attribute_passes(attribute: &Attribute, name: &str, filter: &Filter) -> bool {
    let (first, second) = attribute.halves();
    match name {
        "value" => filter.passes_values(&[first, second]),
        "type" => filter.passes(&[&attribute.kind]),
        "category" => filter.passes(&[&attribute.category]),
        "object_relation" => {
            filter.passes(&[attribute.object_relation.as_deref().unwrap_or_default()])
        }
        "to_ids" => filter.passes(&[if attribute.to_ids { "1" } else { "0" }]),
        _ => true,
    }
}

/// `events/view`, also by HEAD, which answers as HTML (recorded as `039-head-event-notfound`).
pub(super) fn view(world: &World, ask: &Ask) -> Reply {
    let found = world
        .event(ask.first())
        .filter(|event| world.sees(&ask.user, event));
    if ask.method == "HEAD" {
        let status = if found.is_some() { 200 } else { 404 };
        return Reply::bytes(status, "text/html; charset=UTF-8", Vec::new());
    }
    let Some(event) = found else {
        return ask.refuse(404, "Invalid event");
    };
    let listed = ask
        .named
        .iter()
        .filter(|(name, _)| name == "deleted[]")
        .count();
    let deleted = match ask.named("deleted") {
        _ if listed > 1 => Deleted::Too,
        Some("1") => Deleted::Too,
        Some("2") => Deleted::Only,
        _ => Deleted::No,
    };
    let shown = Shown {
        metadata: ask.flag("metadata"),
        deleted,
        data: ask.named("includeAttachments") != Some("0"),
        related: ask.named("includeEventCorrelations") != Some("0"),
        warnings: ask.named("includeWarninglistHits") != Some("0"),
        galaxies: !ask.flag("excludeGalaxy"),
        reports: !ask.flag("noEventReports"),
        proposals: !ask.flag("noShadowAttributes"),
    };
    Reply::json(200, &render::event(world, &ask.user, event, shown))
}
