//! A request as MISP understands it: controller, action, arguments, named parameters, JSON body and user; and the bodies of
//! its refusals.

use serde_json::{Value, json};

use super::users::User;
use crate::http_fake::Reply;

/// A request that has been let in.
pub(crate) struct Ask {
    pub(crate) method: String,
    /// The path as sent, for the `url` of error bodies.
    pub(crate) url: String,
    pub(crate) controller: String,
    pub(crate) action: String,
    /// Path segments after the action without a colon.
    pub(crate) args: Vec<String>,
    /// Path segments `name:value`, Cake's named parameters.
    pub(crate) named: Vec<(String, String)>,
    /// Null when there was none or it was not declared as JSON.
    pub(crate) body: Value,
    /// Whether there were any bytes in the body.
    pub(crate) has_body: bool,
    pub(crate) user: User,
}

/// A path taken apart.
pub(crate) struct Path {
    pub(crate) controller: String,
    pub(crate) action: String,
    pub(crate) args: Vec<String>,
    pub(crate) named: Vec<(String, String)>,
    pub(crate) dot_json: bool,
}

impl Path {
    /// Controller and action are known in any case, slashes may double or trail (recorded as `332-double-slash`,
    /// `333-trailing-slash`, `335-uppercase-controller`).
    pub(crate) fn parse(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let (path, dot_json) = path
            .strip_suffix(".json")
            .map_or((path, false), |path| (path, true));
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decoded);
        let controller = parts.next().unwrap_or_default().to_lowercase();
        let action = parts.next().unwrap_or_default().to_lowercase();
        let mut args = Vec::new();
        let mut named = Vec::new();
        for part in parts {
            match part.split_once(':') {
                Some((name, value)) => named.push((name.to_owned(), value.to_owned())),
                None => args.push(part),
            }
        }
        Self {
            controller,
            action,
            args,
            named,
            dot_json,
        }
    }
}

impl Ask {
    /// The first argument of the action, often an id or uuid.
    pub(crate) fn first(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// The named parameter, if it is there.
    pub(crate) fn named(&self, name: &str) -> Option<&str> {
        self.named
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether `name:1` was given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.named(name) == Some("1")
    }

    /// The body without its wrapper, if it has one.
    pub(crate) fn unwrapped(&self, wrapper: &str) -> &Value {
        self.body.get(wrapper).unwrap_or(&self.body)
    }

    /// A refusal in the shape of an exception.
    pub(crate) fn refuse(&self, status: u16, message: &str) -> Reply {
        refusal(status, message, &self.url)
    }

    /// The refusal of the access control.
    pub(crate) fn not_permitted(&self) -> Reply {
        self.refuse(403, "You do not have permission to use this functionality.")
    }

    /// A refusal in the shape of a failed save. `url` is Cake's, not the one asked for.
    pub(crate) fn not_saved(&self, what: &str, url: &str, errors: &Value) -> Reply {
        let name = format!("Could not {what}");
        Reply::json(
            403,
            &json!({"saved": false, "name": name, "message": name, "url": url, "errors": errors}),
        )
    }

    /// The answer to a successful action that stores nothing to show.
    pub(crate) fn saved(&self, message: &str, url: &str) -> Value {
        json!({"saved": true, "success": true, "name": message, "message": message, "url": url})
    }
}

/// A refusal in the shape of an exception.
pub(crate) fn refusal(status: u16, message: &str, url: &str) -> Reply {
    Reply::json(
        status,
        &json!({"name": message, "message": message, "url": url}),
    )
}

/// An integer as MISP gives it: a string.
pub(crate) fn int(number: impl ToString) -> Value {
    Value::String(number.to_string())
}

/// A scalar as PHP would turn it into a string; nothing for null, lists and objects.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "1" } else { "" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether PHP takes the value for true.
pub(crate) fn truthy(value: &Value) -> bool {
    text(value).is_some_and(|text| !text.is_empty() && text != "0" && text != "false")
}

/// A scalar as a number.
pub(crate) fn number(value: &Value) -> Option<i64> {
    text(value)?.parse().ok()
}

fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = part
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
