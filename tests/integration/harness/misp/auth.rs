//! Who is asking, and whether the request is let in at all: headers, keys, maintenance mode, compression, the JSON of the body,
//! permissions, the rate limit.

use std::io::Read;

use serde_json::Value;

use super::ask::{Ask, Path, refusal};
use super::users::{Refusal, User, key};
use super::world::World;
use crate::http_fake::{Call, Reply};

/// Turns a call into a request of a known user, or refuses it.
pub(super) fn admit(world: &mut World, call: &Call) -> Result<Ask, Reply> {
    let url = call.path.split('?').next().unwrap_or_default().to_owned();
    let path = Path::parse(&call.path);
    if !is_rest(&path, call) {
        return Err(to_login(world));
    }
    let user = user(world, call, &url)?;
    if !world.live && !user.role.site_admin {
        return Err(to_login(world));
    }
    let (body, has_body) = body(call, &url)?;
    let ask = Ask {
        method: call.method.clone(),
        url,
        controller: path.controller,
        action: path.action,
        args: path.args,
        named: path.named,
        body,
        has_body,
        user,
    };
    permitted(&ask)?;
    Ok(ask)
}

/// Anything else is taken for a browser, even with a valid key and a JSON `Content-Type` (recorded as
/// `326-accept-any-json-ct`); searches are automation whatever the headers (`328-accept-any-no-ct-restsearch`).
fn is_rest(path: &Path, call: &Call) -> bool {
    let automation = ["restsearch", "describetypes"].contains(&path.action.as_str());
    automation
        || path.dot_json
        || call
            .header("accept")
            .is_some_and(|accept| accept.contains("application/json"))
}

fn to_login(world: &World) -> Reply {
    Reply::bytes(302, "text/html; charset=UTF-8", Vec::new())
        .with("Location", format!("{}/users/login", world.url))
}

fn user(world: &World, call: &Call, url: &str) -> Result<User, Reply> {
    let unknown = "Authentication failed. Please make sure you pass the API key of an API enabled user along in the Authorization header.";
    let given = call.header("authorization").unwrap_or_default();
    let is_key = |part: &&str| part.len() == 40 && part.chars().all(|c| c.is_ascii_alphanumeric());
    let mut parts = given.split(',').map(str::trim).filter(is_key);
    let found = parts.find_map(|part| world.users.iter().find(|user| key(&user.name) == part));
    let user = found.ok_or_else(|| refusal(403, unknown, url))?;
    let message = match user.refusal {
        None => return Ok(user.masked()),
        Some(Refusal::Expired) => unknown,
        Some(Refusal::Disabled) => "Authentication failed. Your user account has been disabled.",
        Some(Refusal::OtherAddress) => {
            "It is not possible to use this Auth key from your IP address"
        }
    };
    Err(refusal(403, message, url))
}

/// The body as JSON, and whether there was one. Without a JSON `Content-Type` it is not read.
fn body(call: &Call, url: &str) -> Result<(Value, bool), Reply> {
    let bytes = match call.header("content-encoding") {
        None => call.body.clone(),
        Some("gzip") => {
            unzipped(&call.body).ok_or_else(|| refusal(400, "Invalid compressed data.", url))?
        }
        Some(_) => {
            return Err(refusal(
                400,
                "This server doesn&#039;t support brotli compressed requests.",
                url,
            ));
        }
    };
    let content_type = call.header("content-type").unwrap_or_default();
    if bytes.is_empty() || content_type.is_empty() {
        return Ok((Value::Null, false));
    }
    if !content_type.contains("json") {
        return Ok((Value::Null, true));
    }
    let blocked = "Invalid JSON input. Make sure that the JSON input is a correctly formatted JSON string. This request has been blocked to avoid an unfiltered request.";
    let value = serde_json::from_slice(&bytes).map_err(|_| refusal(405, blocked, url))?;
    Ok((value, true))
}

fn unzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .ok()?;
    Some(plain)
}

/// The permission each action asks of the role.
fn permitted(ask: &Ask) -> Result<(), Reply> {
    let role = ask.user.role;
    let enough = match (ask.controller.as_str(), ask.action.as_str()) {
        ("events", "add" | "edit" | "delete" | "unpublish")
        | ("attributes", "add" | "edit" | "delete" | "restore") => role.add,
        ("objects", "add" | "delete") => role.add,
        ("events", "publish") => role.publish,
        ("events" | "attributes", "addtag" | "removetag")
        | ("tags", "attachtagtoobject" | "removetagfromobject") => role.tagger,
        ("tags", "add") => role.tag_editor,
        ("sightings", "add") => role.sighting,
        _ => true,
    };
    if enough {
        Ok(())
    } else {
        Err(ask.not_permitted())
    }
}

/// Counts a search against the user's limit; the headers of a counted answer, or the refusal (recorded as
/// `288-ratelimit-2`, `291-ratelimit-5`).
pub(super) fn rate_limit(
    world: &mut World,
    ask: &Ask,
) -> Result<Vec<(&'static str, String)>, Reply> {
    let limit = ask.user.role.rate_limit;
    let counted =
        ask.action == "restsearch" && ["events", "attributes"].contains(&ask.controller.as_str());
    if limit == 0 || !counted {
        return Ok(Vec::new());
    }
    let used = world.searches.entry(ask.user.name.clone()).or_default();
    *used += 1;
    let headers = vec![
        ("X-Rate-Limit-Limit", limit.to_string()),
        (
            "X-Rate-Limit-Remaining",
            limit.saturating_sub(*used).to_string(),
        ),
        ("X-Rate-Limit-Reset", "900".to_owned()),
    ];
    if *used > limit {
        let refused = ask.refuse(429, "Rate limit exceeded.");
        return Err(headers
            .iter()
            .fold(refused, |reply, (name, value)| reply.with(name, value)));
    }
    Ok(headers)
}
