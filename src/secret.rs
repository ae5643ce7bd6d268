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

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::environment::Environment;
use encodings::SecretPatterns;

/// What stands where a secret stood.
pub const REMOVED: &str = "[removed]";
/// A key or password. It has no way to be printed or written by accident; [`Secret::expose`] is for
/// the one place that sends it.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(inline)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret, without the white space that was pasted with it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself, to be sent to the server it belongs to.
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

/// Removes a run's secrets from texts, however a server may spell what it sends back.
#[derive(Clone, Default)]
pub struct Scrubber(SecretPatterns);

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrubber")
    }
}

/// What a value in the configuration is, by the names above it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Proxy,
    Secret,
}

impl Kind {
    /// What a member of that name is.
    fn refine_by_name(self, name: &str) -> Self {
        const OF_SECRETS: [&str; 7] = [
            "key",
            "password",
            "passwd",
            "passphrase",
            "secret",
            "token",
            "credential",
        ];

        let name = name.to_ascii_lowercase();
        if self == Self::Secret || OF_SECRETS.iter().any(|word| name.contains(word)) {
            Self::Secret
        } else if name.contains("proxy") {
            Self::Proxy
        } else {
            self
        }
    }
}

/// Collects the secrets of a configuration.
#[derive(Default)]
struct Secrets(BTreeSet<String>);

impl Secrets {
    fn collect_from_value(&mut self, value: &Value, kind: Kind) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                self.collect_from_value(value, kind.refine_by_name(name))
            }),
            Value::Array(list) => list
                .iter()
                .for_each(|value| self.collect_from_value(value, kind)),
            Value::String(text) => self.collect_from_text(text, kind),
            // A password or key of digits may be written without quotation marks.
            Value::Number(number) if kind == Kind::Secret => self.add(&number.to_string()),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn collect_from_text(&mut self, text: &str, kind: Kind) {
        let is_json = text.trim_start().starts_with(['{', '[', '"']);
        if let Some(value) = serde_json::from_str(text).ok().filter(|_| is_json) {
            self.collect_from_value(&value, kind);
        }

        match kind {
            Kind::Secret => self.add(text),
            // A proxy may be given without a scheme.
            Kind::Proxy if !text.contains("://") => self.add_userinfo(text),
            Kind::Proxy | Kind::Plain => text
                .split("://")
                .skip(1)
                .for_each(|rest| self.add_userinfo(rest)),
        }
    }

    /// Takes the user and password at the beginning of a URL without its scheme. Both the part
    /// before the path and all before the last `@` may be meant: many a password has a `/` or a `#`
    /// that should have been escaped.
    fn add_userinfo(&mut self, rest: &str) {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let authority = word.split(['/', '?', '#']).next().unwrap_or_default();

        for part in [authority, word] {
            let Some((userinfo, _)) = part
                .rsplit_once('@')
                // Behind a path an `@` need not follow a user: there it counts only with a colon
                // before it.
                .filter(|(userinfo, _)| userinfo.contains(':') || part == authority)
            else {
                continue;
            };

            // What stands there without a colon may be a token.
            let (_, password) = userinfo.split_once(':').unwrap_or(("", userinfo));
            for text in [userinfo, password] {
                self.add(text);
                self.add(&percent_decode_str(text).decode_utf8_lossy());
            }
            // A proxy may send back the header as it came, and as it encodes things.
            let decoded: Vec<u8> = percent_decode_str(userinfo).collect();
            self.add(&STANDARD.encode(decoded));
        }
    }

    fn add(&mut self, secret: &str) {
        self.0.insert(secret.trim().to_owned());
    }
}

impl Scrubber {
    /// Learns the secrets of a job: every value below a configuration item whose name speaks of a
    /// key, password, secret or token, and what stands before the `@` in any URL; also where they
    /// stand in a text that is JSON itself, as the elements of `connection_settings` may be. The
    /// proxies of the environment are learnt too.
    pub fn from_job(job: &Value, environment: &Environment) -> Self {
        let Some(config) = job.get("config") else {
            return Self::default();
        };
        let mut secrets = Secrets::default();
        secrets.collect_from_value(config, Kind::Plain);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            for name in [name.to_owned(), name.to_ascii_lowercase()] {
                if let Some(url) = environment.var(&name) {
                    secrets.collect_from_text(&url, Kind::Proxy);
                }
            }
        }

        Self(SecretPatterns::new(secrets.0.iter().map(String::as_str)))
    }

    /// What is said, without any secret.
    pub fn clean(&self, text: &str) -> String {
        self.replace_secrets(text, false)
    }

    /// True if what came from outside holds a long secret as a whole, however it is spelt.
    pub fn has_secret_in(&self, text: &str) -> bool {
        self.0.may_hold(text) && !self.0.find_all(text, true).is_empty()
    }

    fn replace_secrets(&self, text: &str, is_foreign: bool) -> String {
        let (mut clean, mut kept) = (String::with_capacity(text.len()), 0);
        for place in self.0.find_all(text, is_foreign) {
            clean.push_str(text.get(kept..place.start).unwrap_or_default());
            clean.push_str(REMOVED);
            kept = place.end;
        }

        clean + text.get(kept..).unwrap_or_default()
    }

    /// The beginning of what is said, without any secret: cleaned before it is cut, since a cut may
    /// leave half a secret that is not recognised any more. Of a text without end only as much is
    /// cleaned as can matter.
    pub fn clean_truncated(&self, text: &str, most: usize) -> String {
        self.replace_and_truncate(text, most, false)
    }

    /// The same of what came from outside, without a long secret.
    pub fn clean_content_truncated(&self, text: &str, most: usize) -> String {
        self.replace_and_truncate(text, most, true)
    }

    fn replace_and_truncate(&self, text: &str, most: usize, is_foreign: bool) -> String {
        let reach = self.0.reach;
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
    pub fn clean_server_value(&self, value: Value) -> Value {
        let clean = |text: &str| self.clean_truncated(text, LONGEST_TEXT);
        clean_texts(value, &clean, &|name, value| {
            (self.clean(&name), self.clean_server_value(value))
        })
    }

    /// Cleans every text inside a report. Its own words stay, or a key called `success` would break
    /// it: the names of its members, save where these are reasons, and the values that are words of
    /// a fixed list. What came from outside as content is cleaned of long secrets only.
    pub fn clean_report(&self, value: Value) -> Value {
        self.clean_report_value(value, false)
    }

    fn clean_report_value(&self, value: Value, is_foreign: bool) -> Value {
        let clean = |text: &str| self.replace_and_truncate(text, LONGEST_TEXT, is_foreign);
        clean_texts(value, &clean, &|name, value| {
            self.clean_member(name, value, is_foreign)
        })
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

/// A value with its texts cleaned, and the members of its objects.
fn clean_texts(
    value: Value,
    text: &dyn Fn(&str) -> String,
    member: &dyn Fn(String, Value) -> (String, Value),
) -> Value {
    match value {
        Value::String(found) => Value::String(text(&found)),
        Value::Array(list) => list
            .into_iter()
            .map(|value| clean_texts(value, text, member))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| member(name, value))
            .collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

/// What is cleaned beyond the cut, in characters.
const ENOUGH: usize = 20_000;
/// The longest text of a report, in characters.
const LONGEST_TEXT: usize = 8_000;

/// The beginning of a text; what is left out is shown by an ellipsis.
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
