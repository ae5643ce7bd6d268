//! What the fake refuses, in TheHive's words: errors with a message, and fields that are missing or of the wrong kind.

use serde_json::{Value, json};

use super::json_reply;
use crate::http_fake::Reply;

/// An error answer: status, `type`, `message`, and `errors` where fields are wrong.
pub(crate) struct Refused {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
    errors: Vec<Value>,
}

impl Refused {
    pub(super) fn new(status: u16, kind: &'static str, message: &str) -> Self {
        Self {
            status,
            kind,
            message: message.to_owned(),
            errors: Vec::new(),
        }
    }

    pub(super) fn bad(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(404, "NotFoundError", message)
    }

    /// What a missing permission and a missing parent have in common.
    pub(super) fn not_permitted() -> Self {
        Self::new(403, "AuthorizationError", "Operation not permitted")
    }

    /// Fields that are not there (`033-create-alert-missing-title`, `533-bad-page`).
    pub(super) fn missing(names: &[&str]) -> Self {
        let message: Vec<String> = names
            .iter()
            .map(|name| format!("[Attribute {name} is missing]"))
            .collect();
        let errors = names
            .iter()
            .map(|name| json!({"name": name, "type": "MissingAttributeError"}))
            .collect();
        Self {
            errors,
            ..Self::new(400, "AttributeCheckingError", &message.concat())
        }
    }

    /// A field that is something else than expected (`532-bad-query`).
    pub(super) fn format(name: &str, format: &str, accepted: &[&str], field: &Value) -> Self {
        let shown = shown(field);
        let message = format!(
            "[Invalid format for {name}: {shown}, expected {format} ({})]",
            accepted.join(",")
        );
        let error = json!({
            "name": name, "format": format, "acceptedInput": accepted, "field": shown, "type": "InvalidFormatAttributeError",
        });
        Self {
            errors: vec![error],
            ..Self::new(400, "AttributeCheckingError", &message)
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let mut body = json!({"type": self.kind, "message": self.message});
        if !self.errors.is_empty() {
            body["errors"] = self.errors.clone().into();
        }
        let reply = json_reply(self.status, &body);
        if self.status == 401 {
            reply.with("WWW-Authenticate", "Basic realm=\"thehive\"")
        } else {
            reply
        }
    }
}

/// A value as TheHive 4 writes it in a message.
fn shown(field: &Value) -> String {
    match field {
        Value::Null => "FNull".to_owned(),
        Value::Bool(is_so) => format!("FBoolean({is_so})"),
        Value::Number(number) => format!("FNumber({:?})", number.as_f64().unwrap_or_default()),
        Value::String(text) => format!("FString({text})"),
        Value::Array(list) => format!(
            "FSeq(List({}))",
            list.iter().map(shown).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name} -> {}", shown(value)))
                .collect();
            format!("FObject(Map({}))", fields.join(", "))
        }
    }
}

/// Which fields must be whole numbers, if they are there.
pub(super) fn integers(from: &Value, names: &[&str]) -> Result<(), Refused> {
    let wrong = names
        .iter()
        .find(|name| !from[**name].is_null() && !from[**name].is_i64());
    wrong.map_or(Ok(()), |name| {
        Err(Refused::format(name, "int", &["int"], &from[*name]))
    })
}
