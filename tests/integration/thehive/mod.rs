//! A fake TheHive, 4.1.24 or 5.7.3: status, cases, observables and alerts, for reading and for writing. What it answers follows
//! the published sources and API descriptions; where those are silent on 5 it does what 4 does.

mod alerts;
mod body;
mod files;
mod filter;
mod observables;
mod procedures;
mod query;
mod world;

use serde_json::{Value, json};

use crate::http_fake::{Call, Reply, Server, Site};
use body::Sent;
use world::User;

pub(crate) use world::{KEY, READER_KEY, Version, World, md5};

/// A running fake TheHive.
pub(crate) type Fake = Server<World>;

/// An error answer: status, `type`, `message`.
pub(crate) struct Refused {
    status: u16,
    kind: &'static str,
    message: String,
}

impl Refused {
    fn new(status: u16, kind: &'static str, message: &str) -> Self {
        Self { status, kind, message: message.to_owned() }
    }

    fn bad(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    fn not_found(message: &str) -> Self {
        Self::new(404, "NotFoundError", message)
    }

    fn reply(&self) -> Reply {
        json_reply(self.status, &json!({"type": self.kind, "message": self.message}))
    }
}

/// Who asks, in which organisation.
pub(crate) struct Who {
    login: String,
    organisation: String,
    /// The organisation of a user who names none.
    home: String,
    permissions: Vec<String>,
}

impl Who {
    fn need(&self, permission: &str, action: &str) -> Result<(), Refused> {
        if self.permissions.iter().any(|held| held == permission) {
            return Ok(());
        }
        let message = format!("Your are not authorized to {action}, you haven't the permission {permission}");
        Err(Refused::new(403, "AuthorizationError", &message))
    }
}

fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::bytes(status, "application/json", body.to_string().into_bytes())
}

fn nothing() -> Reply {
    Reply { status: 204, headers: Vec::new(), body: Vec::new(), cut_after: None }
}

impl Site for World {
    fn reachable_at(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    fn answer(&mut self, call: &Call) -> Reply {
        let path = call.path.split('?').next().unwrap_or_default().to_owned();
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let reply = act(self, call, &parts).unwrap_or_else(|refused| refused.reply());
        match &self.date {
            Some(date) => reply.with("Date", date),
            None => reply,
        }
    }
}

fn act(world: &mut World, call: &Call, parts: &[&str]) -> Result<Reply, Refused> {
    if let Some(reply) = open(world, &call.method, parts) {
        return Ok(reply);
    }
    let who = who(world, call)?;
    let sent = Sent::of(world, call)?;
    match (call.method.as_str(), parts) {
        ("GET", ["api", "v1", "status"]) => Ok(json_reply(200, &status_of_five(world))),
        ("GET", ["api", "v1", "user", "current"]) => Ok(json_reply(200, &current(world, &who))),
        ("POST", ["api", "v1", "query"]) => query::query(world, &who, &sent.json),
        ("GET", ["api", "v1", "case", id]) => case(world, &who, id),
        ("GET", ["api", "v1", "alert", id]) => alerts::view(world, &who, id),
        ("POST", ["api", "v1", "case", id, "observable"]) => {
            observables::add(world, &who, &observables::Parent::Case(id), &sent, false)
        }
        ("POST", ["api", "v1", "alert"]) => alerts::create(world, &who, &sent),
        ("PATCH", ["api", "v1", "alert", id]) => alerts::patch(world, &who, id, &sent.json).map(|_| nothing()),
        ("DELETE", ["api", "v1", "alert", id]) => alerts::delete(world, &who, id),
        ("DELETE", ["api", "v1", "observable", id]) => observables::delete(world, &who, id),
        ("PATCH", ["api", "v1", "observable", id]) => observables::patch(world, &who, id, &sent.json),
        _ => by_version(world, &who, call, parts, &sent),
    }
}

/// The routes that only one of the two has.
fn by_version(world: &mut World, who: &Who, call: &Call, parts: &[&str], sent: &Sent) -> Result<Reply, Refused> {
    match (world.version, call.method.as_str(), parts) {
        (Version::Four, "POST", ["api", "alert"]) => alerts::create_v0(world, who, sent),
        (Version::Four, "PATCH", ["api", "alert", id]) => {
            let id = alerts::patch(world, who, id, &sent.json)?;
            alerts::view_v0(world, who, &id)
        }
        (Version::Four, "GET", ["api", "alert", id]) => alerts::view_v0(world, who, id),
        (Version::Four, "POST", ["api", "v1", "alert", id, "artifact"])
        | (Version::Five, "POST", ["api", "v1", "alert", id, "observable"]) => {
            observables::add(world, who, &observables::Parent::Alert(id), sent, false)
        }
        (Version::Four, "POST", ["api", "alert", id, "artifact"]) => {
            observables::add(world, who, &observables::Parent::Alert(id), sent, true)
        }
        (Version::Five, "POST", ["api", "v1", "alert", id, "procedure"]) => procedures::add(world, who, id, &sent.json),
        (Version::Four, "GET", ["api", "datastore", id]) => files::download(world, id),
        (Version::Four, "GET", ["api", "datastorezip", id]) => files::zipped(world, id, &call.path),
        (Version::Five, "GET", ["api", "v1", "attachment", id, "download"]) => attachment(world, call, id),
        (Version::Five, "GET", ["api", "v1", "observable", of, "attachment", id, "download"]) => {
            observables::position(world, who, of)?;
            attachment(world, call, id)
        }
        _ => Err(Refused::not_found(&format!("/{}", parts.join("/")))),
    }
}

fn attachment(world: &World, call: &Call, id: &str) -> Result<Reply, Refused> {
    if call.path.contains("asZip=true") { files::zipped(world, id, &call.path) } else { files::download(world, id) }
}

/// What needs no key. Routes that are missing say so before they ask for one.
fn open(world: &World, method: &str, parts: &[&str]) -> Option<Reply> {
    match (world.version, method, parts) {
        (_, "GET", ["api", "status"] | ["api", "v0", "status"]) => Some(json_reply(200, &status(world))),
        (Version::Four, "GET", ["api", "v1", "status"]) => Some(json_reply(200, &status(world))),
        (Version::Four, "GET", ["api", "v1", "status", "public"]) => {
            Some(Refused::not_found("/api/v1/status/public").reply())
        }
        (Version::Five, "GET", ["api", "v1", "status", "public"]) => {
            Some(json_reply(200, &json!({"sso": false, "ssoProviders": [], "version": "5.7.3-1", "imports": {}})))
        }
        _ => None,
    }
}

fn who(world: &World, call: &Call) -> Result<Who, Refused> {
    let refused = || Refused::new(401, "AuthenticationError", "Authentication failure");
    let key = call.header("authorization").and_then(|given| given.strip_prefix("Bearer ")).ok_or_else(refused)?;
    let user: &User = world.users.iter().find(|user| user.key == key && !user.locked).ok_or_else(refused)?;
    let home = user.organisations.first().ok_or_else(refused)?;
    let organisation = match call.header("x-organisation") {
        None => Some(home),
        // By name, or by `_id`, which is made of it here.
        Some(wanted) => user.organisations.iter().find(|one| *one == wanted || format!("~of-{one}") == wanted),
    };
    let organisation = organisation.ok_or_else(refused)?.clone();
    let permissions = if world.barred.contains(&organisation) { Vec::new() } else { user.permissions.clone() };
    Ok(Who { login: user.login.clone(), organisation, home: home.clone(), permissions })
}

fn status(world: &World) -> Value {
    let version = match world.version {
        Version::Four => "4.1.24-1",
        Version::Five => "5.7.3-1",
    };
    let mut out = json!({
        "versions": {"Scalligraph": version, "TheHive": version, "Play": "2.8.x"},
        "connectors": {"cortex": {"enabled": true, "servers": [{"name": "interne", "version": "2.x.x", "status": "OK"}], "status": "OK"}},
        "config": {
            "protectDownloadsWith": world.zip_password,
            "authType": ["local", "key"],
            "capabilities": ["changePassword", "setPassword", "authByKey"],
            "ssoAutoLogin": false,
            "pollingDuration": 1000,
            "freeTagDefaultColour": "#000000",
        },
    });
    match (world.version, out.as_object_mut()) {
        (Version::Four, _) => {
            out["schemaStatus"] =
                json!([{"name": "thehive", "currentVersion": 99, "expectedVersion": 99, "error": null}])
        }
        (Version::Five, Some(fields)) => drop(fields.shift_remove("connectors")),
        (Version::Five, None) => {}
    }
    out
}

fn status_of_five(world: &World) -> Value {
    let status = status(world);
    json!({
        "version": "5.7.3-1",
        "gitDescription": "",
        "connectors": {},
        "config": status["config"],
        "license": {"isValid": true, "quotas": []},
    })
}

fn current(world: &World, who: &Who) -> Value {
    let permissions: Vec<String> = who.permissions.iter().flat_map(|held| named(world.version, held)).collect();
    json!({
        "_id": "~1",
        "_type": "User",
        "_createdBy": "system@thehive.local",
        "_createdAt": 1_630_000_000_000_i64,
        "login": who.login,
        "name": who.login,
        "hasKey": true,
        "hasPassword": true,
        "hasMFA": false,
        "locked": false,
        "profile": "analyst",
        "permissions": permissions,
        "organisation": who.organisation,
        "organisations": [{"organisationId": "~2", "organisation": who.organisation, "profile": "analyst"}],
    })
}

/// A permission as the version names it: TheHive 5 has cut two of them into parts.
fn named(version: Version, held: &str) -> Vec<String> {
    let parts: &[&str] = match (version, held) {
        (Version::Five, "manageAlert") => &["create", "update", "delete", "reopen", "import"],
        (Version::Five, "manageCase") => &["create", "update", "delete", "reopen", "merge"],
        _ => return vec![held.to_owned()],
    };
    parts.iter().map(|part| format!("{held}/{part}")).collect()
}

fn case(world: &World, who: &Who, id: &str) -> Result<Reply, Refused> {
    let seen = world.case(id).filter(|case| world.shows(&who.organisation, case));
    seen.map(|case| json_reply(200, case)).ok_or_else(|| Refused::not_found("Case not found"))
}

fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = 0..bytes.len();
    while let Some(at) = rest.next() {
        let hex = part.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest.nth(1);
            }
            None => out.push(bytes[at]),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
