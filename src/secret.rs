//! Secrets: a text that cannot be printed, and the scrubber through which every text leaves the process.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// What stands where a secret stood.
pub const REMOVED: &str = "[removed]";
/// A shorter secret is never printed by us, but is not searched for in others' texts: it would remove half of them.
const SHORTEST: usize = 4;
/// Forms that are searched for; a configuration with more secrets is no real one.
const MOST_FORMS: usize = 10_000;
/// As much of a file is searched for private keys, in bytes.
const LARGEST_KEY: u64 = 1 << 20;

/// A key or password. It has no way to be printed or written by accident; [`Secret::expose`] is for the one place that
/// sends it.
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

/// Removes a run's secrets from texts, in the encodings in which a server may send them back.
#[derive(Clone, Debug, Default)]
pub struct Scrubber {
    forms: Vec<String>,
}

impl Scrubber {
    /// Learns the secrets of a job: every value below a configuration item whose name speaks of a key, password,
    /// secret or token, and what stands before the `@` in any URL.
    #[must_use]
    pub fn of_config(config: &Value) -> Self {
        let mut scrubber = Self::default();
        scrubber.learn(config, false);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            std::env::var(name).iter().for_each(|url| scrubber.add_userinfo(url));
        }
        scrubber.learn_private_keys(config.get("client_cert_path"));
        scrubber.forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        scrubber.forms.dedup();
        scrubber
    }

    /// Learns the secrets of a job's configuration, whatever the job's shape.
    #[must_use]
    pub fn of_job(job: &Value) -> Self {
        job.get("config").map(Self::of_config).unwrap_or_default()
    }

    fn learn(&mut self, value: &Value, is_secret: bool) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    if let (Value::String(url), true) = (value, name.to_ascii_lowercase().contains("proxy")) {
                        self.add_userinfo(url);
                    }
                    let is_proxy = name == "proxy";
                    let urls = value.as_object().filter(|_| is_proxy).into_iter().flat_map(Map::values);
                    urls.filter_map(Value::as_str).for_each(|url| self.add_userinfo(url));
                    self.learn(value, is_secret || speaks_of_secret(name));
                }
            }
            Value::Array(list) => list.iter().for_each(|value| self.learn(value, is_secret)),
            Value::String(text) if is_secret => self.add(text),
            Value::String(text) if text.contains("://") => self.add_userinfo(text),
            Value::Number(number) if is_secret => self.add(&number.to_string()),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// Learns the lines of the private keys in the files that are named. A file that cannot be read is for whoever needs
    /// it to complain of.
    fn learn_private_keys(&mut self, files: Option<&Value>) {
        let files = files.map(|files| files.as_array().map_or(std::slice::from_ref(files), Vec::as_slice));
        for path in files.unwrap_or_default().iter().filter_map(Value::as_str) {
            let mut text = Vec::new();
            let file = crate::files::open(Path::new(path.trim()));
            drop(file.and_then(|file| file.take(LARGEST_KEY).read_to_end(&mut text)));
            let mut is_key = false;
            for line in String::from_utf8_lossy(&text).lines().map(str::trim) {
                if line.starts_with("-----") {
                    is_key = line.contains("BEGIN") && line.contains("PRIVATE KEY");
                } else if is_key && line.len() > SHORTEST {
                    // A line is base64 itself: whoever sends it back encodes no more than the signs in it.
                    let forms = [line.to_owned(), line.replace('/', "\\/"), percent_encoded(line)];
                    self.forms.extend(forms.into_iter().take(MOST_FORMS.saturating_sub(self.forms.len())));
                }
            }
        }
    }

    fn add_userinfo(&mut self, text: &str) {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((userinfo, _)) = authority.rsplit_once('@') else { return };
        let (_, password) = userinfo.split_once(':').unwrap_or(("", userinfo));
        self.add(userinfo);
        self.add(password);
        self.add(&percent_decoded(password));
        self.add(&percent_decoded(userinfo));
    }

    fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SHORTEST || self.forms.len() > MOST_FORMS {
            return;
        }
        let json = Value::from(secret).to_string();
        self.forms.push(json.trim_matches('"').replace('/', "\\/"));
        self.forms.push(json.trim_matches('"').to_owned());
        self.forms.push(percent_encoded(secret));
        self.forms.push(hex(secret));
        for (before, radix, after) in [("%", 16, ""), ("&#", 10, ";"), ("&#x", 16, ";"), ("\\u00", 16, "")] {
            let number = |byte: u8| if radix == 16 { format!("{byte:02x}") } else { byte.to_string() };
            self.forms.push(secret.bytes().map(|byte| format!("{before}{}{after}", number(byte))).collect());
        }
        self.forms.extend(base64_forms(secret));
        self.forms.push(secret.to_owned());
    }

    /// The text without any secret.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.forms.iter().fold(
            text.to_owned(),
            |text, form| {
                if find(&text, form).is_some() { replace(&text, form) } else { text }
            },
        )
    }

    /// The beginning of a text, without any secret: cleaned before it is cut, since a cut may leave half a secret that is
    /// not recognised any more. Of a text without end only as much is cleaned as can matter.
    #[must_use]
    pub fn beginning(&self, text: &str, most: usize) -> String {
        let Some((end, _)) = text.char_indices().nth(most.saturating_add(ENOUGH)) else {
            return shortened(&self.clean(text), most);
        };
        // The end of what is cleaned may be half a secret, and cleaning may draw it forward: it goes.
        let clean = self.clean(text.get(..end).unwrap_or_default());
        let longest = self.forms.iter().map(String::len).max().unwrap_or(0);
        let whole: String = clean.chars().take(clean.chars().count().saturating_sub(longest)).collect();
        shortened(&format!("{whole}…"), most)
    }

    /// Cleans every text inside a value from outside, the names of its members included.
    #[must_use]
    pub fn clean_foreign(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.beginning(&text, LONGEST_TEXT)),
            Value::Array(list) => list.into_iter().map(|value| self.clean_foreign(value)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(name, value)| (self.clean(&name), self.clean_foreign(value))).collect()
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    /// Cleans every text inside a report. Its own words stay, or a key called `success` would break it: the names of its
    /// members, save where these are reasons, and the values that are words of a fixed list.
    #[must_use]
    pub fn clean_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.beginning(&text, LONGEST_TEXT)),
            Value::Array(list) => list.into_iter().map(|value| self.clean_value(value)).collect(),
            Value::Object(map) => map.into_iter().map(|(name, value)| self.clean_member(name, value)).collect(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    fn clean_member(&self, name: String, value: Value) -> (String, Value) {
        let value = match value {
            Value::Object(reasons) if OF_REASONS.contains(&name.as_str()) => Value::Object(
                reasons.into_iter().map(|(reason, number)| (self.clean(&reason), number)).collect::<Map<_, _>>(),
            ),
            word if OF_WORDS.contains(&name.as_str()) => word,
            value => self.clean_value(value),
        };
        (name, value)
    }
}

/// More than the longest form of a secret has, in characters.
const ENOUGH: usize = 20_000;
/// The longest text of a report, in characters.
const LONGEST_TEXT: usize = 8_000;

/// The beginning of a text; what is left out is shown by an ellipsis.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() { text.to_owned() } else { text.chars().take(most).chain(['…']).collect() }
}

/// Members whose own members are named by reasons.
const OF_REASONS: [&str; 2] = ["skipped_by", "failed_by"];
/// Members whose values are words of ours, or were cleaned when they were put there.
const OF_WORDS: [&str; 7] = ["dataType", "kind", "level", "namespace", "predicate", "type", "verdict"];

fn speaks_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "password", "secret", "token"].iter().any(|word| name.contains(word))
}

/// Finds a form in any case: servers change the case of what they echo.
fn find(text: &str, form: &str) -> Option<usize> {
    let (text, form) = (text.as_bytes(), form.as_bytes());
    let [first, ..] = form else { return None };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let starts = text.iter().enumerate().filter(|(_, byte)| **byte == lower || **byte == upper);
    starts
        .map(|(at, _)| at)
        .find(|at| text.get(*at..at + form.len()).is_some_and(|window| window.eq_ignore_ascii_case(form)))
}

fn replace(text: &str, form: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = find(rest, form) {
        clean.push_str(rest.get(..at).unwrap_or_default());
        clean.push_str(REMOVED);
        rest = rest.get(at + form.len()..).unwrap_or_default();
    }
    clean + rest
}

fn percent_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn percent_decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The secret inside base64, at each of the three offsets at which it may stand, without the characters at either end
/// that its neighbours decide.
fn base64_forms(secret: &str) -> Vec<String> {
    let forms = (0..3).filter_map(|offset| {
        let mut bytes = vec![0u8; offset];
        bytes.extend(secret.bytes());
        let first = (offset * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        base64(&bytes).get(first..last).map(ToOwned::to_owned)
    });
    forms.flat_map(|form| [form.replace('+', "-").replace('/', "_"), form]).collect()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = bytes.chunks(3).flat_map(|chunk| {
        let word = chunk.iter().chain([0u8, 0].iter()).take(3).fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        [18, 12, 6, 0].map(|shift| (word >> shift & 63) as usize)
    });
    sextets.filter_map(|sextet| ALPHABET.get(sextet)).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrubber() -> Scrubber {
        Scrubber::of_config(&json!({
            "key": [null, "Canary/Key+0123\"x", "-"],
            "nested": [{"api_token": 987_654_321}],
            "proxy": {"http": "http://user:pass%21word@proxy:3128"},
            "url": ["https://misp.example.org"],
        }))
    }

    #[test]
    fn secrets_are_removed_in_every_encoding() {
        let key = "Canary/Key+0123\"x";
        let basic = |prefix: &str| base64(format!("{prefix}{key}").as_bytes());
        for text in [
            format!("Authorization: {key}!"),
            Value::from(key).to_string(),
            percent_encoded(key),
            hex(key).to_uppercase(),
            key.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            key.bytes().map(|byte| format!("&#{byte};")).collect(),
            key.bytes().map(|byte| format!("\\u00{byte:02x}")).collect(),
            basic(""),
            basic("a"),
            basic("ab"),
            key.to_uppercase(),
        ] {
            let clean = scrubber().clean(&text);
            assert!(clean.contains(REMOVED), "{text} became {clean}");
            assert!(!clean.to_lowercase().contains("canary"), "{clean}");
        }
    }

    #[test]
    fn numbers_and_passwords_in_urls_are_secrets_too() {
        let clean = scrubber().clean("987654321 user:pass%21word pass!word https://misp.example.org -");
        assert_eq!(clean, "[removed] [removed] [removed] https://misp.example.org -");
    }

    #[test]
    fn a_value_is_cleaned_to_its_member_names() {
        let clean = scrubber().clean_value(json!({"skipped_by": {"987654321": 1}, "987654321": ["x 987654321"]}));
        assert_eq!(clean, json!({"skipped_by": {REMOVED: 1}, "987654321": [format!("x {REMOVED}")]}));
    }

    #[test]
    fn a_key_that_is_a_word_of_the_report_does_not_break_it() {
        let scrubber = Scrubber::of_config(&json!({"key": ["success", "AddTagToCase", "domain"]}));
        let report = json!({"success": true, "operations": [{"type": "AddTagToCase", "tag": "x"}], "artifacts": [{"dataType": "domain"}]});
        assert_eq!(scrubber.clean_value(report.clone()), report);
    }

    #[test]
    fn the_lines_of_a_private_key_are_secrets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "-----BEGIN CERTIFICATE-----\nPublicLine0\n-----END CERTIFICATE-----\r\n-----BEGIN EC PRIVATE KEY-----\r\n\
                    Canary/Line+1\r\nAw==\r\n-----END EC PRIVATE KEY-----\nmore text";
        std::fs::write(file.path(), text).unwrap();
        let clean = |config: Value| {
            Scrubber::of_config(&config).clean("canary/line+1 Canary%2FLine%2B1 Canary\\/Line+1 PublicLine0 more text")
        };
        let wanted = "[removed] [removed] [removed] PublicLine0 more text";
        assert_eq!(clean(json!({"client_cert_path": [null, "/nowhere", file.path()]})), wanted);
        assert_eq!(clean(json!({"client_cert_path": file.path()})), wanted);
    }

    #[test]
    fn an_address_in_a_name_makes_no_secret() {
        let scrubber =
            Scrubber::of_config(&json!({"name": ["misp@cert"], "proxy": {"http": "user:pass-word@proxy:3128"}}));
        assert_eq!(scrubber.clean("misp.example pass-word"), "misp.example [removed]");
    }

    #[test]
    fn a_long_text_of_secrets_ends_in_none() {
        let key = "Zq8Canary7Key6Zq8Canary7Key6Zq8Canary7Key";
        let scrubber = Scrubber::of_config(&json!({"key": [key]}));
        for before in 0..50 {
            let text = scrubber.beginning(&("x".repeat(before) + &key.repeat(2_000)), 8_000);
            assert!(!text.contains("Zq8"), "{before}");
        }
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret::new(" abc ")), REMOVED);
        assert_eq!(Secret::new(" abc\n").expose(), "abc");
    }
}
