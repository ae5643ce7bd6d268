//! A fake MISP 2.5.1: a server that keeps what it is given and answers the way the recorded server did. Which exchanges prove
//! that is in `replay/`. Behaviour nobody recorded is as simple as it can be.

mod account;
mod add;
mod ask;
mod attribute_search;
mod attributes;
mod auth;
mod capture;
mod corpus;
mod edit;
mod filter;
mod index;
mod lifecycle;
mod objects;
mod proposals;
mod render;
mod reports;
mod rules;
mod search;
mod sightings;
mod tags;
mod types;
mod users;
mod validate;
mod world;

use serde_json::Value;

use crate::http_fake::{Call, Reply, Server, Site};
use ask::Ask;

pub(crate) use capture::base64;
pub(crate) use users::key;
pub(crate) use world::{Attached, Attribute, Event, Meanwhile, Object, Sighting, Tag, World};

/// A running fake MISP.
pub(crate) type Fake = Server<World>;

/// A value as MISP stores it for an attribute; none if it refuses it.
pub(crate) fn stored(kind: &str, category: &str, value: &str) -> Option<String> {
    validate::value(kind, category, value, false).ok()
}

/// Controllers whose actions the access control lists.
const KNOWN: [&str; 6] = [
    "attributes",
    "events",
    "objects",
    "servers",
    "tags",
    "users",
];

/// What only reads, by the beginning of its path.
const READS: [&str; 21] = [
    "/servers/getVersion",
    "/attributes/describeTypes",
    "/events/index",
    "/events/restSearch",
    "/events/getEditStrategy",
    "/attributes/restSearch",
    "/objects/restSearch",
    "/eventReports/index",
    "/galaxies/view",
    "/attributes/download",
    "/events/view",
    "/users/view",
    "/tags/search",
    "/tags/index",
    "/organisations/index",
    "/shadow_attributes/index",
    "/warninglists/checkValue",
    "/sightings/restSearch",
    "/sharing_groups/view",
    "/sharing_groups/index",
    "/taxonomies/view",
];

/// Whether a request for this path can change nothing.
pub(crate) fn is_read(path: &str) -> bool {
    READS.iter().any(|read| path.starts_with(read))
}

/// The paths of the requests that could change something.
pub(crate) fn writes(misp: &Fake) -> Vec<String> {
    let requests = misp.requests().into_iter().map(|request| request.path);
    requests.filter(|path| !is_read(path)).collect()
}

impl Site for World {
    fn reachable_at(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    fn answer(&mut self, call: &Call) -> Reply {
        let reply = match call.below(self.below) {
            Some(call) => answered(self, &call),
            None => Reply::bytes(404, "text/html", b"<html>nothing here</html>".to_vec()),
        };
        match &self.date {
            Some(date) => reply.with("Date", date),
            None => reply,
        }
    }
}

fn answered(world: &mut World, call: &Call) -> Reply {
    attributes::go_on(world);
    if let Some(due) = world
        .meanwhile
        .take_if(|one| call.path.starts_with(one.before))
    {
        (due.change)(world);
    }
    let reply = match auth::admit(world, call) {
        Ok(ask) => {
            let reply = limited(world, &ask);
            // MISP's `AppController.php` tells it to each key that expires.
            ask.user.expires.iter().fold(reply, |reply, expires| {
                reply.with("X-Auth-Key-Expiration", expires)
            })
        }
        Err(refused) => refused,
    };
    // PHP opens a session for everyone.
    let reply = reply.with("Set-Cookie", "CAKEPHP=0; path=/; HttpOnly");
    let reply = if world.numbers {
        rewritten(reply, numbered)
    } else {
        reply
    };
    match world.style {
        Some(style) => rewritten(reply, style),
        None => reply,
    }
}

fn limited(world: &mut World, ask: &Ask) -> Reply {
    match auth::rate_limit(world, ask) {
        Err(refused) => refused,
        Ok(headers) => headers
            .into_iter()
            .fold(act(world, ask), |reply, (name, value)| {
                reply.with(name, value)
            }),
    }
}

fn act(world: &mut World, ask: &Ask) -> Reply {
    match (ask.controller.as_str(), ask.action.as_str()) {
        ("servers", "getversion") => account::version(world, ask),
        ("users", "view") => account::me(world, ask),
        ("organisations", "view") => account::organisation(world, ask),
        ("organisations", "" | "index") => account::organisations(world, ask),
        ("attributes", "describetypes") => account::describe_types(world),
        ("events", "" | "index") => index::index(world, ask),
        ("events", "restsearch") => search::rest_search(world, ask),
        ("events", "view") => search::view(world, ask),
        ("events", "add") => add::add(world, ask),
        ("events", "edit") => edit::edit(world, ask),
        ("events", "publish" | "alert") => lifecycle::publish(world, ask),
        ("events", "unpublish") => lifecycle::unpublish(world, ask),
        ("events", "delete") => lifecycle::delete(world, ask),
        ("events", "geteditstrategy") => lifecycle::edit_strategy(world, ask),
        ("events" | "attributes", "addtag" | "removetag") => tags::add_or_remove(world, ask),
        ("attributes", "restsearch") => attribute_search::rest_search(world, ask),
        ("attributes", "add") => attributes::add(world, ask),
        ("attributes", "edit") => attributes::edit(world, ask),
        ("attributes", "view") => attributes::view(world, ask),
        ("attributes", "delete") => attributes::delete(world, ask),
        ("attributes", "restore") => attributes::restore(world, ask),
        ("attributes", "download") => reports::download(world, ask),
        ("eventreports", "" | "index") => reports::index(world, ask),
        ("galaxies", "view") => reports::galaxy(world, ask),
        ("shadow_attributes", "" | "index") => proposals::index(world, ask),
        ("shadow_attributes", "add") => proposals::add(world, ask),
        ("shadow_attributes", "edit") => proposals::edit(world, ask),
        ("servers", "getsetting" | "serversettingsedit") => proposals::setting(world, ask),
        ("objects", "add") => objects::add(world, ask),
        ("objects", "restsearch") => objects::rest_search(world, ask),
        ("objects", "view") => objects::view(world, ask),
        ("objects", "delete") => objects::delete(world, ask),
        ("taxonomies", "view") => tags::taxonomy(ask),
        ("tags", "search") => tags::search(world, ask),
        ("tags", "" | "index") => tags::index(world, ask),
        ("tags", "view") => tags::view(world, ask),
        ("tags", "add") => tags::add(world, ask),
        ("tags", "attachtagtoobject") => tags::attach(world, ask),
        ("tags", "removetagfromobject") => tags::remove(world, ask),
        ("sightings", "add") => sightings::add(world, ask),
        ("sightings", "restsearch") => sightings::rest_search(world, ask),
        ("sharing_groups", "view") => account::sharing_group(world, ask),
        ("sharing_groups", "index") => account::sharing_groups(world, ask),
        ("warninglists", "checkvalue") => sightings::check_value(world, ask),
        // An action that nobody knows is nobody's but a site admin's (recorded as `046-unknown-action`,
        // `453-events-below-wrong-root`).
        (controller, _) if KNOWN.contains(&controller) && !ask.user.role.site_admin => {
            ask.refuse(403, "You do not have permission to use this functionality.")
        }
        _ => ask.refuse(404, "Not Found"),
    }
}

/// Columns that are integers in the database.
const INTEGERS: [&str; 26] = [
    "id",
    "org_id",
    "orgc_id",
    "event_id",
    "object_id",
    "attribute_id",
    "tag_id",
    "user_id",
    "role_id",
    "sharing_group_id",
    "threat_level_id",
    "analysis",
    "distribution",
    "timestamp",
    "publish_timestamp",
    "sighting_timestamp",
    "attribute_count",
    "date_sighting",
    "referenced_id",
    "referenced_type",
    "template_version",
    "invited_by",
    "galaxy_id",
    "taxonomy_id",
    "sync_user_id",
    "rate_limit_count",
];

fn rewritten(mut reply: Reply, how: fn(&mut Value)) -> Reply {
    if let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) {
        how(&mut body);
        reply.body = body.to_string().into_bytes();
    }
    reply
}

fn numbered(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(numbered),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let number = field.as_str().and_then(|text| text.parse::<i64>().ok());
                match number {
                    Some(number) if INTEGERS.contains(&name.as_str()) => *field = number.into(),
                    _ => numbered(field),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
