//! The body of a request: JSON, or a multipart form with the JSON in its part `_json` and files in the others.

use serde_json::Value;

use super::Refused;
use super::world::World;
use crate::http_fake::Call;

/// A body taken apart.
pub(super) struct Sent {
    pub(super) json: Value,
    pub(super) files: Vec<File>,
}

/// One file of a form.
pub(super) struct File {
    /// Name of the part.
    pub(super) part: String,
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) content: Vec<u8>,
}

impl Sent {
    pub(super) fn of(world: &World, call: &Call) -> Result<Self, Refused> {
        let content_type = call.header("content-type").unwrap_or_default();
        if let Some(boundary) = content_type.split("boundary=").nth(1) {
            return form(&call.body, boundary.trim_matches('"'));
        }
        if call.body.len() > world.body_limit {
            return Err(Refused::new(413, "Unknown", "Request Entity Too Large"));
        }
        if call.body.is_empty() {
            return Ok(Self { json: Value::Null, files: Vec::new() });
        }
        if !content_type.contains("json") {
            return Err(Refused::bad("Expecting text/json or application/json body"));
        }
        let json =
            serde_json::from_slice(&call.body).map_err(|error| Refused::bad(&format!("Invalid Json: {error}")))?;
        Ok(Self { json, files: Vec::new() })
    }
}

fn form(body: &[u8], boundary: &str) -> Result<Sent, Refused> {
    let mut sent = Sent { json: Value::Null, files: Vec::new() };
    let mark = format!("--{boundary}");
    let mut rest = body;
    while let Some(start) = find(rest, mark.as_bytes()) {
        let part = &rest[start + mark.len()..];
        let Some(end) = find(part, mark.as_bytes()) else { break };
        take(&mut sent, &part[..end])?;
        rest = &part[end..];
    }
    Ok(sent)
}

fn take(sent: &mut Sent, part: &[u8]) -> Result<(), Refused> {
    let Some(end) = find(part, b"\r\n\r\n") else { return Ok(()) };
    let head = String::from_utf8_lossy(&part[..end]).into_owned();
    let content = part[end + 4..].strip_suffix(b"\r\n").unwrap_or(&part[end + 4..]);
    let quoted = |name: &str| {
        head.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).map(ToOwned::to_owned)
    };
    let part = quoted("name").unwrap_or_default();
    if part == "_json" {
        sent.json = serde_json::from_slice(content).map_err(|error| Refused::bad(&format!("Invalid Json: {error}")))?;
        return Ok(());
    }
    let line = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-type: ").map(ToOwned::to_owned));
    let content_type = line.unwrap_or_else(|| "application/octet-stream".to_owned());
    sent.files.push(File {
        part,
        name: quoted("filename").unwrap_or_default(),
        content_type,
        content: content.to_vec(),
    });
    Ok(())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
