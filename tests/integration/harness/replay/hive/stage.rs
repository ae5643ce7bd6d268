//! A TheHive, the fake or a real one, and what was there before a recorded exchange: made by its API, under ids of its own that
//! take the place of those recorded. What is made bears a mark and goes with the stage.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::replay::wire::{Answer, Exchange, exchanged};

/// Keys by role.
pub(crate) type Keys = BTreeMap<String, String>;

/// The users that a TheHive has to have: the platform's admin; an analyst, an administrator and a user without permissions of
/// one organisation; an analyst of another.
pub(crate) const ROLES: [&str; 5] = ["admin", "analyst", "orgadmin", "readonly", "other"];

/// Where exchanges are replayed.
pub(crate) struct Stage {
    url: String,
    keys: Keys,
    /// Stands in every source of an alert and title of a case.
    mark: String,
    /// The names of the two organisations.
    home: String,
    other: String,
    /// Recorded ids and those here.
    ids: BTreeMap<String, String>,
    cases: Vec<String>,
    /// Exchanges so far: each has sources of its own.
    number: usize,
    /// Whether the exchange at hand was recorded as a user of the organisation `cortexsoc`.
    is_cortexsoc: bool,
}

/// The beginnings of the sources in the recordings.
const SOURCES: [&str; 3] = ["acc-first", "acc-rec-b4f6b", "acc-upd-9bfa6"];

impl Stage {
    pub(crate) fn new(url: String, keys: Keys) -> Self {
        let mark = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..11]);
        let (home, other, ids, cases) = (String::new(), String::new(), BTreeMap::new(), Vec::new());
        let mut stage = Self {
            url,
            keys,
            mark,
            home,
            other,
            ids,
            cases,
            number: 0,
            is_cortexsoc: false,
        };
        let organisation = |role: &str| {
            let user = stage.done("GET", role, "/api/v1/user/current", &Value::Null);
            user["organisation"]
                .as_str()
                .expect("an organisation")
                .to_owned()
        };
        (stage.home, stage.other) = (organisation("analyst"), organisation("other"));
        stage
    }

    /// The first role that these keys lack.
    pub(crate) fn lacking(keys: &Keys) -> Option<&'static str> {
        ROLES.into_iter().find(|role| !keys.contains_key(*role))
    }

    pub(super) fn begin(&mut self, exchange: &Exchange) {
        self.number += 1;
        self.ids.clear();
        self.is_cortexsoc = exchange.name.starts_with('5');
    }

    fn key(&self, role: &str) -> &str {
        self.keys
            .get(role)
            .unwrap_or_else(|| panic!("THEHIVE_KEYS names no {role}"))
    }

    /// A request of our own: status and body.
    pub(super) fn ask(&self, method: &str, role: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(&self.url, self.key(role), method, path, body)
    }

    fn done(&self, method: &str, role: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, role, path, body);
        assert!(status < 300, "{role} {method} {path}: {status} {answer:#}");
        answer
    }

    /// What was recorded, as it is here: ids, sources.
    pub(super) fn here(&self, text: &str) -> String {
        let source = |text: String, source: &&str| text.replace(*source, &self.source(source));
        let text = SOURCES.iter().fold(text.to_owned(), source);
        let mut parts = text.split('~');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            let recorded = format!("~{}", &part[..digits]);
            out += self.ids.get(&recorded).unwrap_or(&recorded);
            out += &part[digits..];
        }
        out
    }

    fn source(&self, recorded: &str) -> String {
        format!("{recorded}-{}-{}", self.mark, self.number)
    }

    /// What is here, as it was recorded.
    pub(super) fn recorded(&self, text: &str) -> String {
        let text = SOURCES.iter().fold(text.to_owned(), |text, source| {
            text.replace(&self.source(source), source)
        });
        let organisation = if self.is_cortexsoc {
            "cortexsoc"
        } else {
            "soc"
        };
        ["organisation ", "\"organisation\":\""]
            .iter()
            .fold(text, |text, before| {
                text.replace(
                    &format!("{before}{}", self.home),
                    &format!("{before}{organisation}"),
                )
            })
    }

    fn known(&mut self, recorded: &str, made: &Value) {
        let id = made["_id"].as_str().expect("an id").to_owned();
        self.ids.insert(recorded.to_owned(), id);
    }

    /// Whether something with this recorded id was made.
    pub(super) fn has(&self, recorded: &str) -> bool {
        self.ids.contains_key(recorded)
    }

    /// Makes an alert that the recordings call so.
    pub(super) fn alert(&mut self, recorded: &str, fields: &Value) {
        let mut alert = json!({
            "type": "misp", "source": SOURCES[1], "sourceRef": recorded, "title": "t", "description": "d", "severity": 2,
            "date": 1_795_219_200_000_i64, "tlp": 2, "pap": 2, "tags": ["a"],
        });
        let texts = [
            "type",
            "source",
            "sourceRef",
            "title",
            "description",
            "externalLink",
        ];
        for name in texts
            .into_iter()
            .chain(["severity", "date", "tlp", "pap", "tags"])
        {
            if !fields[name].is_null() {
                alert[name] = fields[name].clone();
            }
        }
        // A creation at any other TheHive than the recorded one has a source that nothing else has.
        let source = alert["source"].as_str().unwrap_or_default().to_owned();
        let is_ours = SOURCES.contains(&source.as_str());
        alert["source"] = if is_ours {
            self.source(&source)
        } else {
            format!("{source}-{}", self.source(SOURCES[1]))
        }
        .into();
        let made = self.done("POST", "analyst", "/api/alert", &alert);
        self.known(recorded, &made);
    }

    /// Makes a case.
    pub(super) fn case(&mut self, recorded: &str, fields: &Value) {
        self.case_of("analyst", recorded, fields);
    }

    /// Makes a case of this user's organisation.
    pub(super) fn case_of(&mut self, role: &str, recorded: &str, fields: &Value) {
        let mut case =
            json!({"title": format!("cortex-misp test {}", self.mark), "description": "x"});
        for name in ["title", "description", "severity", "tags", "tlp", "pap"] {
            if !fields[name].is_null() {
                case[name] = fields[name].clone();
            }
        }
        let made = self.done("POST", role, "/api/v1/case", &case);
        self.known(recorded, &made);
        self.keep(&made);
    }

    /// A case that is to go with the stage.
    pub(super) fn keep(&mut self, case: &Value) {
        self.cases
            .extend(case["_id"].as_str().map(ToOwned::to_owned));
    }

    /// Adds an observable to an alert or a case, each by the id it was recorded with.
    pub(super) fn observable(
        &mut self,
        (kind, parent): (&str, &str),
        recorded: &str,
        fields: &Value,
    ) {
        let mut observable = json!({"dataType": "ip", "data": "192.0.2.1"});
        for name in [
            "dataType", "data", "tlp", "tags", "ioc", "sighted", "message",
        ] {
            if !fields[name].is_null() {
                observable[name] = fields[name].clone();
            }
        }
        let path = format!(
            "/api/v1/{kind}/{}/{}",
            self.here(parent),
            if kind == "alert" {
                "artifact"
            } else {
                "observable"
            }
        );
        let made = self.done("POST", "analyst", &path, &observable);
        self.known(recorded, &made[0]);
    }

    /// Adds a file to a case.
    pub(super) fn file(&mut self, case: &str, name: &str, content: &str, fields: &Value) {
        let mut json = json!({"dataType": "file", "ioc": true});
        for name in ["message", "tlp", "tags"]
            .into_iter()
            .filter(|name| !fields[*name].is_null())
        {
            json[name] = fields[name].clone();
        }
        assert_eq!(
            Self::upload(
                &self.url,
                self.key("analyst"),
                &self.here(case),
                &json,
                [name, content]
            )
            .0,
            201
        );
    }

    /// Adds a file, by its name and content, to a case: status and body.
    pub(crate) fn upload(
        url: &str,
        key: &str,
        case: &str,
        fields: &Value,
        file: [&str; 2],
    ) -> (u16, Value) {
        let host = url.trim_start_matches("http://");
        let head = format!(
            "POST /api/v1/case/{case}/observable HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n"
        );
        let [name, content] = file;
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"_json\"\r\nContent-Type: application/json\r\n\r\n{fields}\r\n--b\r\n\
             Content-Disposition: form-data; name=\"attachment\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{content}\r\n--b--\r\n"
        );
        let answer = exchanged(host, &head, body.as_bytes());
        (
            answer.status,
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        )
    }

    /// Asks something else of what is there, as an analyst would.
    pub(super) fn act(&mut self, method: &str, role: &str, path: &str, body: &Value) -> Value {
        let path = self.here(path);
        self.done(method, role, &path, body)
    }

    /// Sends a recorded request as the user who is here in the place of the one who sent it.
    pub(super) fn send(&mut self, exchange: &Exchange) -> Answer {
        let request = &exchange.request;
        let host = self.url.trim_start_matches("http://").to_owned();
        let path = self.here(request["path"].as_str().expect("a path"));
        let mut head = format!(
            "{} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
            request["method"].as_str().expect("a method")
        );
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            match name.to_lowercase().as_str() {
                "authorization" if exchange.name.contains("no-key") => {}
                "authorization" => {
                    head += &format!("Authorization: {}\r\n", self.authorization(exchange))
                }
                "x-organisation" => {
                    head += &format!("X-Organisation: {}\r\n", self.organisation(value))
                }
                "content-length" | "connection" | "accept-encoding" => {}
                _ => head += &format!("{name}: {value}\r\n"),
            }
        }
        let answer = exchanged(&host, &head, &self.body(exchange));
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if ["case", "Case"].iter().any(|kind| made["_type"] == *kind) {
            self.keep(&made);
        }
        answer
    }

    fn authorization(&self, exchange: &Exchange) -> String {
        let role = match exchange.request["as"].as_str().unwrap_or("analyst") {
            "cx-readonly" => "readonly",
            other => other,
        };
        match () {
            () if exchange.name.contains("wrong-key") => format!("Bearer {}", "x".repeat(32)),
            () if exchange.name.contains("no-scheme") => self.key(role).to_owned(),
            () => format!("Bearer {}", self.key(role)),
        }
    }

    fn organisation(&self, recorded: &str) -> String {
        match recorded {
            "cortexsoc" => self.home.clone(),
            "soc" => self.other.clone(),
            unknown => format!("{unknown}-{}", self.mark),
        }
    }

    fn body(&self, exchange: &Exchange) -> Vec<u8> {
        match &exchange.request["body"] {
            Value::Null => Vec::new(),
            Value::String(cut) if cut.starts_with("{'") => self.here(&long(exchange)).into_bytes(),
            // Bytes were recorded as one character each.
            Value::String(raw) => raw
                .chars()
                .filter_map(|c| u8::try_from(u32::from(c)).ok())
                .collect(),
            body => self.here(&body.to_string()).into_bytes(),
        }
    }
}

/// Asks a TheHive: status and body, which is a text where it is no JSON.
pub(crate) fn ask(url: &str, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let host = url.trim_start_matches("http://");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\n"
    );
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let answer = exchanged(host, &head, &body);
    let text = || {
        (!answer.body.is_empty()).then(|| String::from_utf8_lossy(&answer.body).into_owned().into())
    };
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| text().unwrap_or_default()),
    )
}

/// The bodies that were too long to be recorded.
fn long(exchange: &Exchange) -> String {
    let mut alert = json!({
        "type": "misp", "source": SOURCES[1], "sourceRef": "long", "title": "t", "description": "d", "severity": 2,
        "date": 1_795_219_200_000_i64, "tlp": 2, "pap": 2, "tags": ["a"],
    });
    if exchange.name.contains("too-large") {
        alert["description"] = "x".repeat(300_000).into();
    } else {
        alert["artifacts"] = json!([{"dataType": "other", "data": ["z".repeat(60_000)]}]);
    }
    alert.to_string()
}

impl Drop for Stage {
    fn drop(&mut self) {
        for role in ["analyst", "other"] {
            let all = json!({"query": [
                {"_name": "listAlert"}, {"_name": "sort", "_fields": [{"_createdAt": "desc"}]},
                {"_name": "page", "from": 0, "to": 400},
            ]});
            let (_, alerts) = self.ask("POST", role, "/api/v1/query", &all);
            let ours = alerts.as_array().into_iter().flatten().filter(|alert| {
                alert["source"]
                    .as_str()
                    .is_some_and(|source| source.contains(&self.mark))
            });
            for id in ours.filter_map(|alert| alert["_id"].as_str()) {
                self.ask("DELETE", role, &format!("/api/alert/{id}"), &Value::Null);
            }
        }
        for id in &self.cases {
            for role in ["orgadmin", "other"] {
                self.ask("DELETE", role, &format!("/api/v1/case/{id}"), &Value::Null);
            }
        }
    }
}
