//! What all records have in common: tags that are a set, fields laid over others, and what TheHive 5 adds by itself.

use md5::{Digest, Md5};
use serde_json::{Map, Value};

/// Tags as TheHive 4 keeps them: each once, and more than four in an order of their own (`034-create-alert-odd-values`).
pub(super) fn tag_set(tags: &Value) -> Value {
    let mut set: Vec<&Value> = Vec::new();
    for tag in tags.as_array().into_iter().flatten() {
        if !set.contains(&tag) {
            set.push(tag);
        }
    }
    if set.len() > 4 {
        set.sort_by_cached_key(|tag| md5(tag.to_string().as_bytes()));
    }
    set.into_iter().cloned().collect()
}

/// Lays the fields of one object over another.
pub(super) fn lay(over: &mut Map<String, Value>, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        over.insert(name.clone(), value.clone());
    }
}

/// When an observable was sighted, which TheHive 5 notes by itself.
pub(super) fn sight(record: &mut Map<String, Value>) {
    let now = record
        .get("_updatedAt")
        .or_else(|| record.get("_createdAt"))
        .cloned()
        .unwrap_or_default();
    if record.get("sighted") == Some(&Value::Bool(true)) {
        record.entry("sightedAt").or_insert(now);
    }
}

/// The label fields that TheHive 5 adds to numbers.
pub(super) fn label(record: &mut Map<String, Value>) {
    let tables: [(&str, &[&str]); 3] = [
        ("tlp", &["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]),
        ("pap", &["CLEAR", "GREEN", "AMBER", "RED"]),
        ("severity", &["", "LOW", "MEDIUM", "HIGH", "CRITICAL"]),
    ];
    for (name, labels) in tables {
        let level = record
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|level| usize::try_from(level).ok());
        if let Some(text) = level.and_then(|level| labels.get(level)) {
            record.insert(format!("{name}Label"), (*text).into());
        }
    }
}

/// The md5 in lower-case hex.
pub(crate) fn md5(content: &[u8]) -> String {
    Md5::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
