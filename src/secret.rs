//! Secrets: a text that cannot be printed, and the scrubber through which every text leaves the
//! process.
//!
//! What is said (messages, what servers answer) is cleaned of every secret. What came from outside
//! as content (a title, a value, a tag) is no leak of ours: it is never rewritten, or a password
//! that is a word would make wrong indicators, and tell everybody what the word is. It is withheld
//! where it holds a whole long secret, which nobody writes by chance.

mod encodings;
mod escapes;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::environment::Environment;
use encodings::SecretPatterns;

/// What stands where a secret stood.
pub const REMOVED: &str = "[removed]";
/// A shorter secret is never printed by us, but is not searched for in others' texts: it would
/// remove half of them.
const SHORTEST: usize = 4;
/// Texts that are searched for; a configuration with more secrets is no real one.
const MOST_NEEDLES: usize = 10_000;

/// As much of a file is searched for private keys, in bytes.
const LARGEST_KEY: u64 = 1 << 20;

/// A key or password. It has no way to be printed or written by accident; [`Secret::expose`] is for
/// the one place that sends it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(String);

impl Secret {
    /// Takes a secret, without the white space that was pasted with it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself, to be sent to the server it belongs to.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REMOVED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REMOVED)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Removes a run's secrets from texts, however a server may spell what it sends back.
#[derive(Clone, Default)]
pub struct Scrubber {
    needles: SecretPatterns,
    /// Files with private keys that are still to be learnt.
    key_files: Vec<String>,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber of {} texts", self.needles.len())
    }
}

/// What a value in the configuration is, by the names above it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Proxy,
    Secret,
    /// A file with a private key.
    KeyFile,
}

impl Scrubber {
    /// Learns the secrets of a job: every value below a configuration item whose name speaks of a
    /// key, password, secret or token, the private keys in the files of `client_cert_path`, and
    /// what stands before the `@` in any URL; also where they stand in a text that is JSON itself,
    /// as the elements of `connection_settings` may be. The proxies of the environment are learnt
    /// too.
    fn new(config: &Value, environment: &Environment) -> Self {
        let mut scrubber = Self::default();
        scrubber.collect_from_value(config, Kind::Plain);
        // Last, since a long file must not leave the keys themselves without a place.
        let files = std::mem::take(&mut scrubber.key_files);

        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            environment
                .var(name)
                .iter()
                .for_each(|url| scrubber.collect_from_text(url, Kind::Proxy));
        }

        files
            .iter()
            .for_each(|path| scrubber.collect_private_keys(path));

        scrubber
    }

    /// Learns the secrets of a job's configuration, whatever the job's shape, and those of the
    /// environment.
    #[must_use]
    pub fn from_job(job: &Value, environment: &Environment) -> Self {
        job.get("config")
            .map(|config| Self::new(config, environment))
            .unwrap_or_default()
    }

    /// The same of a configuration alone.
    #[must_use]
    pub fn from_config(config: &Value) -> Self {
        Self::new(config, &Environment::default())
    }

    fn collect_from_value(&mut self, value: &Value, kind: Kind) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                self.collect_from_value(value, kind.refine_by_name(name))
            }),
            Value::Array(list) => list
                .iter()
                .for_each(|value| self.collect_from_value(value, kind)),
            Value::String(text) => self.collect_from_text(text, kind),
            Value::Number(number) if kind == Kind::Secret => self.add_secret(&number.to_string()),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn collect_from_text(&mut self, text: &str, kind: Kind) {
        let is_json = text.trim_start().starts_with(['{', '[', '"']);
        if let Some(value) = serde_json::from_str(text).ok().filter(|_| is_json) {
            self.collect_from_value(&value, kind);
        }

        match kind {
            Kind::Secret => self.add_secret(text),
            Kind::Proxy if !text.contains("://") => self.add_userinfo(text),
            Kind::KeyFile => self.key_files.push(text.to_owned()),
            Kind::Proxy | Kind::Plain => text
                .split("://")
                .skip(1)
                .for_each(|rest| self.add_userinfo(rest)),
        }
    }

    /// Learns the lines of the private keys in a file. A file that cannot be read is for whoever
    /// needs it to complain of.
    fn collect_private_keys(&mut self, path: &str) {
        let mut text = Vec::new();
        let file = crate::files::open(Path::new(path.trim()));
        drop(file.and_then(|file| file.take(LARGEST_KEY).read_to_end(&mut text)));
        let mut is_key = false;

        for line in String::from_utf8_lossy(&text).lines().map(str::trim) {
            match line.strip_prefix("-----BEGIN ") {
                Some(kind) => is_key = kind.contains("PRIVATE KEY"),
                // A line is base64 itself.
                None if line.starts_with("-----END ") => is_key = false,
                None if is_key && line.len() > SHORTEST => self.add_secret(line),
                None => {}
            }
        }
    }

    /// Learns the user and password at the beginning of a URL without its scheme. Both the part
    /// before the path and all before the last `@` may be meant: many a password has a `/` or a `#`
    /// that should have been escaped.
    fn add_userinfo(&mut self, rest: &str) {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let authority = word.split(['/', '?', '#']).next().unwrap_or_default();

        for part in [authority, word] {
            let Some((userinfo, _)) = part
                .rsplit_once('@')
                .filter(|(userinfo, _)| userinfo.contains(':') || part == authority)
            else {
                continue;
            };

            let (_, password) = userinfo.split_once(':').unwrap_or(("", userinfo));
            for text in [userinfo, password] {
                self.add_secret(text);
                self.add_secret(&percent_decode(text));
            }
            // A proxy may send back the header as it came, and as it encodes things.
            self.add_secret(&STANDARD.encode(percent_decode(userinfo)));
        }
    }

    fn add_secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= SHORTEST && self.needles.len() < MOST_NEEDLES {
            self.needles.add(secret);
        }
    }

    /// What is said, without any secret.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.replace_secrets(text, false)
    }

    /// What came from outside, without a long secret: for a report that shows it.
    #[must_use]
    pub fn clean_content(&self, text: &str) -> String {
        self.replace_secrets(text, true)
    }

    /// True if what came from outside holds a long secret as a whole, however it is spelt.
    #[must_use]
    pub fn has_secret_in(&self, text: &str) -> bool {
        self.needles.may_hold(text) && !self.needles.find_all(text, true).is_empty()
    }

    fn replace_secrets(&self, text: &str, is_foreign: bool) -> String {
        let (mut clean, mut kept) = (String::with_capacity(text.len()), 0);
        for (from, to) in self.needles.find_all(text, is_foreign) {
            clean.push_str(text.get(kept..from).unwrap_or_default());
            clean.push_str(REMOVED);
            kept = to;
        }

        clean + text.get(kept..).unwrap_or_default()
    }

    /// The beginning of what is said, without any secret: cleaned before it is cut, since a cut may
    /// leave half a secret that is not recognised any more. Of a text without end only as much is
    /// cleaned as can matter.
    #[must_use]
    pub fn clean_truncated(&self, text: &str, most: usize) -> String {
        self.replace_and_truncate(text, most, false)
    }

    /// The same of what came from outside, without a long secret.
    #[must_use]
    pub fn clean_content_truncated(&self, text: &str, most: usize) -> String {
        self.replace_and_truncate(text, most, true)
    }

    fn replace_and_truncate(&self, text: &str, most: usize, is_foreign: bool) -> String {
        let reach = self.needles.max_spelling_length();
        let Some((end, _)) = text
            .char_indices()
            .nth(most.saturating_add(reach.max(ENOUGH)))
        else {
            return truncate_text(&self.replace_secrets(text, is_foreign), most);
        };

        // The end of what is cleaned may be half a secret, and cleaning may draw it forward: it
        // goes.
        let clean = self.replace_secrets(text.get(..end).unwrap_or_default(), is_foreign);
        let whole: String = clean
            .chars()
            .take(clean.chars().count().saturating_sub(reach))
            .collect();

        truncate_text(&format!("{whole}…"), most)
    }

    /// Cleans every text inside what a server says, the names of its members included.
    #[must_use]
    pub fn clean_server_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean_truncated(&text, LONGEST_TEXT)),
            Value::Array(list) => list
                .into_iter()
                .map(|value| self.clean_server_value(value))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(name, value)| (self.clean(&name), self.clean_server_value(value)))
                .collect(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    /// Cleans every text inside a report. Its own words stay, or a key called `success` would break
    /// it: the names of its members, save where these are reasons, and the values that are words of
    /// a fixed list. What came from outside as content is cleaned of long secrets only.
    #[must_use]
    pub fn clean_report(&self, value: Value) -> Value {
        self.clean_report_value(value, false)
    }

    fn clean_report_value(&self, value: Value, is_foreign: bool) -> Value {
        match value {
            Value::String(text) => {
                Value::String(self.replace_and_truncate(&text, LONGEST_TEXT, is_foreign))
            }
            Value::Array(list) => list
                .into_iter()
                .map(|value| self.clean_report_value(value, is_foreign))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(name, value)| self.clean_member(name, value, is_foreign))
                .collect(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    fn clean_member(&self, name: String, value: Value, is_foreign: bool) -> (String, Value) {
        let value = match value {
            Value::Object(reasons) if OF_REASONS.contains(&name.as_str()) => Value::Object(
                reasons
                    .into_iter()
                    .map(|(reason, number)| (self.clean(&reason), number))
                    .collect::<Map<_, _>>(),
            ),
            word if OF_WORDS.contains(&name.as_str()) => word,
            value => {
                let is_content = is_foreign || OF_CONTENT.contains(&name.as_str());
                self.clean_report_value(value, is_content)
            }
        };

        (name, value)
    }
}

/// What is cleaned beyond the cut, in characters.
const ENOUGH: usize = 20_000;
/// The longest text of a report, in characters.
const LONGEST_TEXT: usize = 8_000;

/// The beginning of a text; what is left out is shown by an ellipsis.
#[must_use]
pub fn truncate_text(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        text.to_owned()
    } else {
        text.chars().take(most).chain(['…']).collect()
    }
}

/// Members whose own members are named by reasons.
const OF_REASONS: [&str; 2] = ["skipped_by", "failed_by"];
/// Members whose values are words of ours, or were cleaned when they were put there.
const OF_WORDS: [&str; 7] = [
    "dataType",
    "kind",
    "level",
    "namespace",
    "predicate",
    "type",
    "verdict",
];

/// Members whose texts came from outside as content, or name what is in the configuration.
const OF_CONTENT: [&str; 20] = [
    "alert",
    "alerts",
    "artifacts",
    "attribute",
    "case",
    "comment",
    "data",
    "date",
    "id",
    "link",
    "matches",
    "name",
    "operations",
    "organisation",
    "tags",
    "title",
    "uuid",
    "value",
    "visible_to",
    "warninglists",
];

impl Kind {
    /// What a member of that name is.
    fn refine_by_name(self, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let speaks = |words: &[&str]| words.iter().any(|word| name.contains(word));

        match self {
            Self::Secret => Self::Secret,
            _ if name == "client_cert_path" => Self::KeyFile,
            _ if speaks(&[
                "key",
                "password",
                "passwd",
                "passphrase",
                "secret",
                "token",
                "credential",
            ]) =>
            {
                Self::Secret
            }
            Self::Plain if speaks(&["proxy"]) => Self::Proxy,
            Self::Plain | Self::Proxy | Self::KeyFile => self,
        }
    }
}

fn percent_decode(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}
