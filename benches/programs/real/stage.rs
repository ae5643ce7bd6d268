//! What the benchmark makes on a real MISP, and takes away: events whose title begins with [`TITLE`], and their tags. All of it is
//! done by curl, so that one tool is the measure.

use std::io::Write;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::delayed::{attribute, ordinary};
use crate::page::grouped;
use crate::process::{Run, run};

/// Begins every title and tag.
const TITLE: &str = "cortex-misp bench";
/// So many events of usual sizes, and so many of them that a smaller set has.
const ORDINARY: [usize; 2] = [60, 175];
/// So many attributes are sent at once.
const LIST: usize = 10_000;

/// A MISP of this machine with the events that are read.
pub(crate) struct Stage {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) version: String,
    /// The headers of each request, in a file, since the arguments of a program are anybody's to read.
    headers: NamedTempFile,
    /// Stands in every value: nothing that is there already has it, or one of an earlier round.
    mark: String,
    large: Vec<usize>,
}

/// Some of the events, known by their tags.
pub(crate) struct Events {
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) number: usize,
    pub(crate) attributes: usize,
}

impl Stage {
    /// Makes the events, and one of each of these sizes. What an earlier run left that was ended is taken away before.
    pub(crate) fn new(url: &str, key: String, large: &[usize]) -> Result<Self, String> {
        let url = url.trim_end_matches('/').to_owned();
        check_near(&url)?;
        let mut headers = NamedTempFile::new().unwrap();
        // Without the last, curl asks before it sends a large body.
        write!(
            headers,
            "Authorization: {key}\nAccept: application/json\nContent-Type: application/json\nExpect:\n"
        )
        .unwrap();
        let mark = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
        let mut stage = Self {
            url,
            key,
            version: String::new(),
            headers,
            mark,
            large: large.to_vec(),
        };
        let version = stage.ask("/servers/getVersion", None)["version"].clone();
        let version = version.as_str().ok_or(format!(
            "{} does not tell its version: is the key right?",
            stage.url
        ))?;
        version.clone_into(&mut stage.version);
        stage.clean();
        stage.make();
        Ok(stage)
    }

    fn make(&self) {
        println!("real: making events at {}, which takes a while", self.url);
        for (number, size) in ordinary(ORDINARY[1]).enumerate() {
            let is_of = |count: &&usize| number < **count;
            let tags: Vec<_> = ORDINARY
                .iter()
                .filter(is_of)
                .map(|count| tag(*count))
                .collect();
            let attributes = self.attributes(&format!("event-{number}"), 0..size);
            self.add(&format!("event {number}"), &tags, &attributes);
        }
        for &size in &self.large {
            let id = self.add(&format!("{size} attributes"), &[tag(size)], &[]);
            for from in (0..size).step_by(LIST) {
                let range = from..size.min(from + LIST);
                let list = self.attributes(&format!("large-{size}"), range);
                self.ask(&format!("/attributes/add/{id}"), Some(&json!(list)));
            }
        }
    }

    fn attributes(&self, name: &str, range: std::ops::Range<usize>) -> Vec<Value> {
        let mark = format!("{name}-{}", self.mark);
        let each = range.map(|number| {
            let (kind, category, value) = attribute(&mark, number);
            // What MISP compares with nothing it stores sooner; no two values are the same anyway.
            json!({"type": kind, "category": category, "value": value, "to_ids": true, "disable_correlation": true})
        });
        each.collect()
    }

    fn add(&self, title: &str, tags: &[String], attributes: &[Value]) -> String {
        let tags: Vec<_> = tags.iter().map(|name| json!({ "name": name })).collect();
        let event = json!({
            "info": format!("{TITLE} {title}"), "distribution": 0, "threat_level_id": 2, "analysis": 2,
            "Tag": tags, "Attribute": attributes,
        });
        let added = self.ask("/events/add", Some(&json!({ "Event": event })));
        let id = added["Event"]["id"].as_str();
        id.unwrap_or_else(|| panic!("{added:#}")).to_owned()
    }

    /// The events of usual sizes: few, and all.
    pub(crate) fn ordinary(&self) -> [Events; 2] {
        ORDINARY.map(|count| events(count, &[]))
    }

    /// What is read: these, and all with larger ones among them.
    pub(crate) fn sets(&self) -> Vec<Events> {
        let all = ORDINARY[1];
        let larger = self.large.iter().map(|size| events(all, &[*size]));
        self.ordinary()
            .into_iter()
            .chain(larger)
            .chain((self.large.len() > 1).then(|| events(all, &self.large)))
            .collect()
    }

    /// A job for a case that carries so many IOCs, which are of no other case.
    pub(crate) fn case(&self, title: &str, is_of_files: bool, size: usize) -> Value {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let observables = (0..size).map(|number| {
            let mut observable = json!({"ioc": true, "tlp": 1});
            if is_of_files {
                let content = format!("{id} {number}");
                let bytes = content.as_bytes();
                let sha1 = sha1_smol::Sha1::from(bytes).digest().to_string();
                let sha256 = cortex_misp::sample::sha256(bytes);
                observable["dataType"] = json!("file");
                observable["attachment"] = json!({
                    "name": format!("file-{number}.exe"), "size": bytes.len(), "id": sha256,
                    "hashes": [sha256, sha1, crate::thehive::md5(bytes)], "contentType": "application/octet-stream",
                });
            } else {
                let (kind, _, data) = attribute(&id, number);
                observable["dataType"] = json!(if kind == "sha256" { "hash" } else { kind });
                observable["data"] = json!(data);
            }
            observable
        });
        let data = json!({
            "_id": format!("~{id}"), "startDate": 1_795_000_000_000_i64, "title": format!("{TITLE} {title}"), "tlp": 1,
            "observables": observables.collect::<Vec<_>>(),
        });
        let config = json!({
            "name": ["bench"], "url": [self.url], "key": [self.key], "instance": "bench.example",
            // A bare `events/add` asks for none.
            "warninglists": "off",
        });
        json!({"dataType": "thehive:case", "data": data, "config": config})
    }

    /// Adds once more what an event holds, under other uuids, and gives what that cost and the new event's number.
    pub(crate) fn add_copy(&self, uuid: &str) -> (Run, String) {
        let event = self.ask(&format!("/events/view/{uuid}"), None)["Event"].clone();
        let fields = [
            "info",
            "date",
            "distribution",
            "threat_level_id",
            "analysis",
        ];
        let mut copy = only(&event, &fields);
        copy["Tag"] = tags(&event);
        copy["Attribute"] = attributes(&event);
        let objects = event["Object"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|object| {
                let fields = [
                    "name",
                    "meta-category",
                    "description",
                    "template_uuid",
                    "template_version",
                ];
                let mut copy = only(object, &fields);
                copy["Attribute"] = attributes(object);
                copy
            });
        copy["Object"] = objects.collect();
        let added = self.post(
            "/events/add",
            json!({ "Event": copy }).to_string().as_bytes(),
        );
        let answer: Value = serde_json::from_slice(&added.printed).unwrap_or_default();
        let taken = &answer["Event"];
        let count = |event: &Value| {
            let objects = event["Object"].as_array().unwrap().iter();
            let lists = objects
                .chain([event])
                .map(|one| one["Attribute"].as_array().unwrap().len());
            lists.sum::<usize>()
        };
        assert_eq!(count(taken), count(&event), "MISP took another event");
        let id = taken["id"].as_str().unwrap().to_owned();
        (added, id)
    }

    /// Sends a body and gives what came.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Run {
        self.request(path, Some(body))
    }

    fn request(&self, path: &str, body: Option<&[u8]>) -> Run {
        let headers = format!("@{}", self.headers.path().display());
        let url = format!("{}{path}", self.url);
        let mut arguments = vec![
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--header",
            &headers,
            &url,
        ];
        if body.is_some() {
            arguments.extend(["--data-binary", "@-"]);
        }
        run("curl", &arguments, body.unwrap_or_default())
    }

    /// Asks, by GET if there is no body, and gives the answer.
    fn ask(&self, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string);
        let run = self.request(path, body.as_deref().map(str::as_bytes));
        serde_json::from_slice(&run.printed).unwrap_or_default()
    }

    /// Deletes events by number or uuid.
    pub(crate) fn delete(&self, events: &[&str]) {
        for list in events.chunks(20) {
            self.ask("/events/delete", Some(&json!({ "id": list })));
        }
    }

    /// Takes away everything whose title or name says that it was made here.
    fn clean(&self) {
        let asked = json!({"eventinfo": TITLE, "minimal": 1});
        let rows = self.ask("/events/index", Some(&asked));
        let ids: Vec<&str> = rows
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["id"].as_str())
            .collect();
        self.delete(&ids);
        let listed = self.ask("/eventBlocklists/index/limit:9999", None);
        let listed: Vec<&Value> = listed
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| {
                row["event_info"]
                    .as_str()
                    .is_some_and(|info| info.contains(TITLE))
            })
            .map(|row| &row["id"])
            .collect();
        if !listed.is_empty() {
            let ids = json!(listed).to_string();
            self.ask("/eventBlocklists/massDelete", Some(&json!({ "ids": ids })));
        }
        let tags = self.ask("/tags/index", Some(&json!({"searchall": TITLE})));
        for tag in tags["Tag"].as_array().into_iter().flatten() {
            let id = tag["id"].as_str().unwrap_or_default();
            self.ask(&format!("/tags/delete/{id}"), Some(&json!({})));
        }
    }
}

impl Drop for Stage {
    /// Also after a failure: a panic here must not meet its own.
    fn drop(&mut self) {
        println!("\nreal: removing what was made");
        if catch_unwind(AssertUnwindSafe(|| self.clean())).is_err() {
            println!("real: events titled {TITLE:?} are left at {}", self.url);
        }
    }
}

/// A benchmark that makes and deletes events does so on a server of this machine only.
fn check_near(url: &str) -> Result<(), String> {
    let parsed = url::Url::parse(url).map_err(|error| format!("MISP_URL: {error}"))?;
    let host = parsed.host_str().ok_or("MISP_URL names no host")?;
    let port = parsed.port_or_known_default().unwrap_or(80);
    let host = host.trim_matches(['[', ']']);
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}: {error}"))?;
    if addresses.all(|address| address.ip().is_loopback()) {
        Ok(())
    } else {
        Err(format!(
            "{host} is another machine, and this makes and deletes events: take a MISP for tests on this one"
        ))
    }
}

fn tag(size: usize) -> String {
    format!("{TITLE} {size}")
}

fn events(ordinary_ones: usize, large: &[usize]) -> Events {
    let mut name = format!("{ordinary_ones} events");
    for (number, size) in large.iter().enumerate() {
        name += if number == 0 {
            " and one of "
        } else {
            ", one of "
        };
        name += &grouped(*size);
    }
    let attributes = ordinary(ordinary_ones).chain(large.iter().copied()).sum();
    name += &format!(": {} attributes", grouped(attributes));
    Events {
        name,
        tags: std::iter::once(&ordinary_ones)
            .chain(large)
            .map(|size| tag(*size))
            .collect(),
        number: ordinary_ones + large.len(),
        attributes,
    }
}

fn only(from: &Value, fields: &[&str]) -> Value {
    fields
        .iter()
        .map(|field| ((*field).to_owned(), from[field].clone()))
        .collect()
}

fn tags(from: &Value) -> Value {
    let tags = from["Tag"].as_array().into_iter().flatten();
    tags.map(|tag| json!({"name": tag["name"]})).collect()
}

fn attributes(from: &Value) -> Value {
    let fields = [
        "type",
        "category",
        "value",
        "to_ids",
        "comment",
        "object_relation",
    ];
    let each = from["Attribute"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|attribute| {
            let mut copy = only(attribute, &fields);
            copy["Tag"] = tags(attribute);
            copy
        });
    each.collect()
}
