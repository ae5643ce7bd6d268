//! A MISP, the tests' fake or a real one. Everything is done by MISP's own API, so that one code serves both, and the fake has
//! to answer as the real one does. What a scenario makes bears the world's mark, and goes with the world.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::cortex::Cortex;
use crate::misp;
use crate::program::Program;

/// Begins every title, so that whoever finds it knows where it comes from.
pub(crate) const TITLE: &str = "cortex-misp test";

/// The users that a MISP has to have: a site admin; an organisation's admin, who exports; a user of the same organisation,
/// who reviews; a user of another organisation.
const ROLES: [&str; 4] = ["admin", "orgadmin", "user", "other"];

/// A MISP for one scenario.
pub(crate) struct World {
    url: String,
    keys: BTreeMap<String, String>,
    /// Stands in every title, tag and name that the scenario makes; fit for the name of a host.
    pub(crate) mark: String,
    /// What a setting was before the scenario changed it.
    settings: Mutex<Vec<(String, Value)>>,
    /// Where alerts go, with the key of an analyst; without it to a fake of each scenario.
    thehive: Option<(String, String)>,
    /// What jobs go through; without it to the program itself.
    cortex: Option<Cortex>,
    /// The numbers of tags that the scenario made and that do not bear the mark.
    tags: Mutex<Vec<String>>,
    fake: Option<misp::Fake>,
}

/// An answer of MISP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl World {
    /// A fake of its own.
    pub(crate) fn fake() -> Self {
        let fake = misp::Fake::start(misp::World {
            import_rules: true,
            ..misp::World::new()
        });
        let names = ["admin", "orgadmin", "partner", "thirduser"];
        let keys = ROLES
            .into_iter()
            .zip(names)
            .map(|(role, name)| (role.to_owned(), misp::key(name)))
            .collect();
        let mut world = Self::real(fake.url(), keys);
        world.fake = Some(fake);
        world
    }

    /// A real one, at `http://host:port`.
    pub(crate) fn real(url: String, keys: BTreeMap<String, String>) -> Self {
        let mark = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..11]);
        let (settings, tags) = (Mutex::default(), Mutex::default());
        Self {
            url,
            keys,
            mark,
            settings,
            thehive: None,
            cortex: None,
            tags,
            fake: None,
        }
    }

    /// The same beside a real TheHive and a real Cortex, each by its address and a key, if there is one.
    pub(crate) fn beside(
        mut self,
        thehive: Option<(String, String)>,
        cortex: Option<(String, String)>,
    ) -> Self {
        self.cortex = cortex.map(|(url, key)| Cortex::new(url, key, &self.mark));
        self.thehive = thehive;
        self
    }

    /// The address of a real TheHive, and a key.
    pub(crate) fn thehive(&self) -> Option<(&str, &str)> {
        self.thehive
            .as_ref()
            .map(|(url, key)| (url.as_str(), key.as_str()))
    }

    /// The Cortex that jobs go through.
    pub(crate) fn cortex(&self) -> Option<&Cortex> {
        self.cortex.as_ref()
    }

    /// Runs a job and gives the judged report.
    pub(crate) fn report(&self, program: Program, job: &Value) -> Value {
        self.cortex
            .as_ref()
            .map_or_else(|| program.report(job), |cortex| cortex.report(program, job))
    }

    /// The first role that these keys lack.
    pub(crate) fn lacking(keys: &BTreeMap<String, String>) -> Option<&'static str> {
        ROLES.into_iter().find(|role| !keys.contains_key(*role))
    }

    /// `http://host:port`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The key of the user with this role.
    pub(crate) fn key(&self, role: &str) -> &str {
        self.keys
            .get(role)
            .unwrap_or_else(|| panic!("MISP_KEYS names no {role}"))
    }

    /// A text with the mark in place of `MARK`.
    pub(crate) fn marked(&self, text: &str) -> String {
        text.replace("MARK", &self.mark)
    }

    /// The same in every text of a value.
    pub(crate) fn marked_in(&self, value: &Value) -> Value {
        serde_json::from_str(&self.marked(&value.to_string())).unwrap()
    }

    /// Asks as the user with this role. Without a body it is a GET.
    pub(crate) fn ask(&self, role: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            self.marked(&body.to_string())
        };
        let method = if body.is_empty() { "GET" } else { "POST" };
        let (host, key) = (self.url.trim_start_matches("http://"), self.key(role));
        let path = self.marked(path);
        // By HTTP/1.0 an answer is what comes until the end of the connection.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: {key}\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{host}: {error}"));
        stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("the end of the headers");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let body = serde_json::from_slice(&answer[end + 4..]).unwrap_or_default();
        Answer { status, body }
    }

    /// The same, which must be done.
    pub(crate) fn done(&self, role: &str, path: &str, body: &Value) -> Value {
        let Answer {
            status,
            body: answer,
        } = self.ask(role, path, body);
        assert!(
            status == 200 && answer["saved"] != false,
            "{role} {path}: {status} {answer:#}"
        );
        answer
    }

    /// Adds an event, with the mark in its title, and gives its uuid.
    pub(crate) fn add_event(&self, role: &str, fields: &Value) -> String {
        let mut event = json!({
            "info": format!("{TITLE} MARK"), "distribution": 1, "threat_level_id": 2, "analysis": 1, "date": "2026-01-31",
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let added = self.done(role, "/events/add", &json!({ "Event": event }));
        added["Event"]["uuid"].as_str().unwrap().to_owned()
    }

    /// Publishes an event.
    pub(crate) fn publish(&self, role: &str, uuid: &str) {
        self.done(role, &format!("/events/publish/{uuid}"), &json!({}));
    }

    /// Adds an attribute to an event and gives its uuid.
    pub(crate) fn add_attribute(&self, role: &str, event: &str, fields: &Value) -> String {
        let added = self.done(role, &format!("/attributes/add/{event}"), fields);
        added["Attribute"]["uuid"].as_str().unwrap().to_owned()
    }

    /// Puts a tag on an event or attribute; `local` keeps it on this server.
    pub(crate) fn tag(&self, role: &str, uuid: &str, tag: &str, local: bool) {
        let body = json!({"uuid": uuid, "tag": tag, "local": local});
        self.done(role, "/tags/attachTagToObject", &body);
    }

    /// Makes a tag without the mark, such as one of a taxonomy, unless it is there; it goes with the world.
    pub(crate) fn make_tag(&self, name: &str) {
        let made = self
            .ask(
                "admin",
                "/tags/add",
                &json!({"name": name, "colour": "#112233"}),
            )
            .body;
        self.tags
            .lock()
            .unwrap()
            .extend(made["Tag"]["id"].as_str().map(ToOwned::to_owned));
    }

    /// Changes a setting of the server until the end of the scenario.
    pub(crate) fn set(&self, name: &str, value: &Value) {
        let before = self.done(
            "admin",
            &format!("/servers/getSetting/{name}"),
            &Value::Null,
        )["value"]
            .clone();
        self.settings
            .lock()
            .unwrap()
            .push((name.to_owned(), before));
        self.change_setting(name, value);
    }

    fn change_setting(&self, name: &str, value: &Value) {
        self.ask(
            "admin",
            &format!("/servers/serverSettingsEdit/{name}"),
            &json!({ "value": value }),
        );
    }

    /// The rows of the events with the mark.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let found = self.done("admin", "/events/index", &json!({"eventinfo": self.mark}));
        found.as_array().cloned().unwrap_or_default()
    }

    /// The uuid of the only event with the mark.
    pub(crate) fn only(&self) -> String {
        let rows = self.rows();
        let [row] = rows.as_slice() else {
            panic!("{} events: {rows:#?}", rows.len())
        };
        row["uuid"].as_str().unwrap().to_owned()
    }

    /// What MISP holds of an event, deleted attributes and objects among it.
    pub(crate) fn event(&self, uuid: &str) -> Stored {
        let path = format!("/events/view/{uuid}/deleted:1/excludeGalaxy:1/includeAttachments:0");
        let event = self.done("admin", &path, &Value::Null)["Event"].clone();
        Stored {
            event,
            mark: self.mark.clone(),
        }
    }

    /// Takes away what bears the mark.
    fn clean(&self) {
        for row in self.rows() {
            let (id, uuid) = (row["id"].as_str().unwrap(), row["uuid"].as_str().unwrap());
            self.ask("admin", &format!("/events/delete/{id}"), &json!({}));
            let listed = self
                .ask("admin", "/eventBlocklists/index", &Value::Null)
                .body;
            for entry in listed
                .as_array()
                .into_iter()
                .flatten()
                .filter(|entry| entry["event_uuid"] == uuid)
            {
                self.ask(
                    "admin",
                    &format!("/eventBlocklists/delete/{}", entry["id"].as_str().unwrap()),
                    &json!({}),
                );
            }
        }
        let tags = self
            .ask("admin", "/tags/index", &json!({"searchall": self.mark}))
            .body;
        let marked = tags["Tag"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|tag| tag["id"].as_str());
        let made = std::mem::take(&mut *self.tags.lock().unwrap());
        for number in marked.map(ToOwned::to_owned).chain(made) {
            self.ask("admin", &format!("/tags/delete/{number}"), &json!({}));
        }
    }
}

impl Drop for World {
    /// A scenario that failed is cleaned up after as well: a panic here must not meet its own.
    fn drop(&mut self) {
        let cleaned = catch_unwind(AssertUnwindSafe(|| {
            let settings: Vec<_> = self.settings.get_mut().unwrap().drain(..).rev().collect();
            settings
                .iter()
                .for_each(|(name, value)| self.change_setting(name, value));
            if self.fake.is_none() {
                self.clean();
            }
        }));
        if cleaned.is_err() {
            println!(
                "what bears the mark {} could not be taken away from {}",
                self.mark, self.url
            );
        }
    }
}

/// An event as MISP holds it.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) event: Value,
    mark: String,
}

impl Stored {
    /// One line for each attribute, sorted: `Network activity/domain a.MARK.example ids`, then what is not as usual: the
    /// comment, the tags, another distribution, the object it is in, that it is deleted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.attributes().iter().map(|one| self.line(one)).collect();
        lines.sort();
        lines
    }

    /// The attributes, those of objects with the object's name as `of`.
    pub(crate) fn attributes(&self) -> Vec<Value> {
        let list = |of: &Value| of["Attribute"].as_array().cloned().unwrap_or_default();
        let mut all = list(&self.event);
        for object in self.event["Object"].as_array().into_iter().flatten() {
            all.extend(list(object).into_iter().map(|mut one| {
                one["of"] = object["name"].clone();
                one
            }));
        }
        all
    }

    /// The attribute with this value.
    pub(crate) fn attribute(&self, value: &str) -> Value {
        let value = value.replace("MARK", &self.mark);
        let found: Vec<_> = self
            .attributes()
            .into_iter()
            .filter(|one| one["value"] == value.as_str())
            .collect();
        let [one] = found.as_slice() else {
            panic!("{} attributes {value}: {:#?}", found.len(), self.lines())
        };
        one.clone()
    }

    /// The uuid of that attribute.
    pub(crate) fn uuid_of(&self, value: &str) -> String {
        self.attribute(value)["uuid"].as_str().unwrap().to_owned()
    }

    fn line(&self, one: &Value) -> String {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let mut line = format!("{}/{} {}", text("category"), text("type"), text("value"));
        line += if one["to_ids"] == true { " ids" } else { "" };
        if !text("comment").is_empty() {
            line += &format!(" # {}", text("comment"));
        }
        let tags = tags(one);
        if !tags.is_empty() {
            line += &format!(" [{}]", tags.join(", "));
        }
        if text("distribution") != "5" {
            line += &format!(" distribution {}", text("distribution"));
        }
        if let Some(object) = one["of"].as_str() {
            line += &format!(" in {object} as {}", text("object_relation"));
        }
        line += if one["deleted"] == true {
            " deleted"
        } else {
            ""
        };
        line.replace(&self.mark, "MARK")
    }

    /// The event itself in a line: title, distribution, threat level, analysis, whether it is published, and its tags.
    pub(crate) fn head(&self) -> String {
        let text = |name: &str| self.event[name].as_str().unwrap_or_default();
        let published = if self.event["published"] == true {
            "published"
        } else {
            "unpublished"
        };
        let (info, distribution) = (text("info"), text("distribution"));
        let (threat, analysis) = (text("threat_level_id"), text("analysis"));
        let tags = tags(&self.event).join(", ");
        format!("{info}: distribution {distribution}, threat {threat}, analysis {analysis}, {published} [{tags}]")
            .replace(&self.mark, "MARK")
    }
}

/// The names of the tags of an event or attribute, sorted, local ones marked.
fn tags(of: &Value) -> Vec<String> {
    let list = of["Tag"].as_array().into_iter().flatten();
    let name = |tag: &Value| {
        let local = if tag["local"] == true || tag["local"] == 1 {
            " (local)"
        } else {
            ""
        };
        format!("{}{local}", tag["name"].as_str().unwrap_or_default())
    };
    let mut names: Vec<String> = list.map(name).collect();
    names.sort();
    names
}
