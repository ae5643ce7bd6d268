//! A fake TheHive, 4.1.24 or 5.7.3: status, cases, observables and alerts, for reading and for writing. What 4 answers is what a
//! real one answered (`fixtures/wire/thehive/`, compared in `replay/`); what 5 answers follows its API description, and where
//! that is silent it does what 4 does.

mod alerts;
mod body;
mod cases;
mod files;
mod filter;
mod observables;
mod procedures;
mod query;
mod records;
mod refused;
mod running;
mod users;
mod world;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::http_fake::{Call, Reply, Server, Site};
use body::Sent;
use refused::Refused;
use users::{Who, current, who};

pub(crate) use records::md5;
pub(crate) use running::{Slow, Takes, Write};
pub(crate) use world::{ADMIN_KEY, KEY, READER_KEY, User, Version, World};

/// A running fake TheHive.
pub(crate) type Fake = Server<World>;

fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::bytes(status, "application/json", body.to_string().into_bytes())
}

fn nothing() -> Reply {
    Reply {
        status: 204,
        headers: Vec::new(),
        body: Vec::new(),
        cut_after: None,
    }
}

impl Site for World {
    fn reachable_at(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    fn answer(&mut self, call: &Call) -> Reply {
        running::go_on(self);
        let reply = running::begin(self, call).unwrap_or_else(|| at_once(self, call));
        match &self.date {
            Some(date) => reply.with("Date", date),
            None => reply,
        }
    }

    fn later(&mut self) -> Option<watch::Receiver<Option<Reply>>> {
        self.later.take()
    }
}

/// The whole call, in one transaction.
fn at_once(world: &mut World, call: &Call) -> Reply {
    let path = call.path.split('?').next().unwrap_or_default();
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(decoded)
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    act(world, call, &parts).unwrap_or_else(|refused| refused.reply())
}

fn act(world: &mut World, call: &Call, parts: &[&str]) -> Result<Reply, Refused> {
    if let Some(reply) = open(world, &call.method, parts) {
        return Ok(reply);
    }
    let who = who(world, call)?;
    let sent = Sent::of(world, call)?;
    match (call.method.as_str(), parts) {
        ("GET", ["api", "v1", "status"]) => Ok(json_reply(200, &status_of_five(world))),
        ("GET", ["api", "v1", "user", "current"]) => Ok(current(world, &who, call)),
        ("POST", ["api", "v1", "query"]) => query::query(world, &who, &sent.json),
        ("GET", ["api", "v1", "case", id]) => cases::view(world, &who, id),
        ("POST", ["api", "v1", "case"]) => cases::create(world, &who, &sent.json),
        ("PATCH", ["api", "v1", "case", id]) => cases::patch(world, &who, id, &sent.json),
        ("DELETE", ["api", "v1", "case", id]) => cases::delete(world, &who, id),
        ("GET", ["api", "v1", "alert", id]) => alerts::view(world, &who, id),
        ("POST", ["api", "v1", "case", id, "observable"]) => {
            observables::add(world, &who, &observables::Parent::Case(id), &sent, false)
        }
        ("POST", ["api", "v1", "alert"]) => alerts::create(world, &who, &sent),
        ("PATCH", ["api", "v1", "alert", id]) => {
            alerts::patch(world, &who, id, &sent.json).map(|_| nothing())
        }
        ("DELETE", ["api", "v1", "observable", id]) => observables::delete(world, &who, id),
        ("PATCH", ["api", "v1", "observable", "_bulk"]) => {
            observables::patch_many(world, &who, &sent.json)
        }
        ("PATCH", ["api", "v1", "observable", id]) => {
            observables::patch(world, &who, id, &sent.json)
        }
        _ => by_version(world, &who, call, parts, &sent),
    }
}

/// The routes that only one of the two has.
fn by_version(
    world: &mut World,
    who: &Who,
    call: &Call,
    parts: &[&str],
    sent: &Sent,
) -> Result<Reply, Refused> {
    match (world.version, call.method.as_str(), parts) {
        (Version::Four, "POST", ["api", "alert"]) => alerts::create_v0(world, who, sent),
        (Version::Four, "PATCH", ["api", "alert", id]) => {
            let id = alerts::patch(world, who, id, &sent.json)?;
            alerts::view_v0(world, who, &id)
        }
        (Version::Four, "POST", ["api", "v0", "query"]) => query::audits(world, who, &sent.json),
        (Version::Four, "GET", ["api", "alert", id]) => alerts::view_v0(world, who, id),
        (Version::Four, "DELETE", ["api", "alert", id])
        | (Version::Five, "DELETE", ["api", "v1", "alert", id]) => alerts::delete(world, who, id),
        (Version::Four, "POST", ["api", "alert", id, "createCase"]) => {
            cases::of_alert(world, who, id)
        }
        (Version::Four, "POST", ["api", "alert", id, "merge", case]) => {
            cases::merge_alert(world, who, id, case)
        }
        (Version::Four, "POST", ["api", "v1", "case", "_merge", ids]) => {
            cases::merge(world, who, ids)
        }
        (Version::Four, "POST", ["api", "v1", "alert", id, "artifact"])
        | (Version::Five, "POST", ["api", "v1", "alert", id, "observable"]) => {
            observables::add(world, who, &observables::Parent::Alert(id), sent, false)
        }
        (Version::Four, "POST", ["api", "alert", id, "artifact"]) => {
            observables::add(world, who, &observables::Parent::Alert(id), sent, true)
        }
        (Version::Four, "POST", ["api", "v1", "procedure"]) => {
            procedures::add_to_case(world, who, &sent.json)
        }
        (Version::Five, "POST", ["api", "v1", "case", id, "link", "external", "add"])
            if world.version_of_five != "5.4.0-1" =>
        {
            cases::add_link(world, who, id, &sent.json)
        }
        (Version::Five, "POST", ["api", "v1", "alert", id, "procedure"]) => {
            procedures::add(world, who, id, &sent.json)
        }
        (Version::Four, "GET", ["api", "datastore", id]) => files::download(world, id),
        (Version::Four, "GET", ["api", "datastorezip", id]) => files::zipped(world, id, &call.path),
        (Version::Five, "GET", ["api", "v1", "attachment", id, "download"]) => {
            attachment(world, call, id)
        }
        (Version::Five, "GET", ["api", "v1", "observable", of, "attachment", id, "download"]) => {
            observables::position(world, who, of)?;
            attachment(world, call, id)
        }
        _ => Err(Refused::not_found(
            call.path.split('?').next().unwrap_or_default(),
        )),
    }
}

fn attachment(world: &World, call: &Call, id: &str) -> Result<Reply, Refused> {
    if call.path.contains("asZip=true") {
        files::zipped(world, id, &call.path)
    } else {
        files::download(world, id)
    }
}

/// What needs no key. Routes that are missing say so before they ask for one.
fn open(world: &World, method: &str, parts: &[&str]) -> Option<Reply> {
    match (world.version, method, parts) {
        (_, "GET", ["api", "status"] | ["api", "v0", "status"]) => {
            Some(json_reply(200, &status(world)))
        }
        (Version::Four, "GET", ["api", "v1", "status"]) => Some(json_reply(200, &status_v1(world))),
        (Version::Four, "GET", ["api", "v1", "status", "public"]) => {
            Some(Refused::not_found("/api/v1/status/public").reply())
        }
        (Version::Five, "GET", ["api", "v1", "status", "public"]) => Some(json_reply(
            200,
            &json!({"sso": false, "ssoProviders": [], "version": world.version_of_five, "imports": {}}),
        )),
        _ => None,
    }
}

fn status(world: &World) -> Value {
    let servers = |server: Value| json!({"enabled": true, "servers": [server], "status": "OK"});
    let url = "http://misp.example.org";
    let misp = json!({"name": "own", "version": "2.5.1", "status": "OK", "url": url, "purpose": "ImportAndExport"});
    let version = match world.version {
        Version::Four => "4.1.24-1",
        Version::Five => world.version_of_five,
    };
    let mut out = json!({
        "versions": {"Scalligraph": version, "TheHive": version, "Play": "2.8.22"},
        "connectors": {
            "misp": servers(misp),
            "cortex": servers(json!({"name": "local", "version": "4.1.0-1", "status": "OK"})),
        },
        "config": {
            "protectDownloadsWith": world.zip_password,
            "authType": ["session", "basic", "local", "key"],
            "capabilities": ["changePassword", "setPassword", "authByKey", "mfa"],
            "ssoAutoLogin": false,
            "pollingDuration": 1000,
            "freeTagDefaultColour": "#000000",
        },
    });
    let schema = |name: &str, version: u8| json!({"name": name, "currentVersion": version, "expectedVersion": version, "error": null});
    match (world.version, out.as_object_mut()) {
        (Version::Four, _) => {
            out["schemaStatus"] = json!([schema("thehive", 99), schema("thehive-cortex", 2)])
        }
        (Version::Five, Some(fields)) => drop(fields.shift_remove("connectors")),
        (Version::Five, None) => {}
    }
    out
}

/// `GET /api/v1/status` of TheHive 4, which tells of its cluster and not of its connectors.
fn status_v1(world: &World) -> Value {
    let mut out = status(world);
    let address = "akka://application@127.0.0.1:2551";
    out["connectors"] = json!({});
    out["cluster"] = json!({
        "members": [{"address": address, "status": "Up", "roles": ["dc-default"]}],
        "unreachable": [], "seenBy": [address], "leader": address, "unreachableDataCenters": [],
    });
    if let Some(config) = out["config"].as_object_mut() {
        config.shift_remove("freeTagDefaultColour");
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
