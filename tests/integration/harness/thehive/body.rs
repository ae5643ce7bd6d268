//! The body of a request: JSON, or a multipart form with the JSON in its part `_json` and files in the others.

use serde_json::Value;

use super::refused::Refused;
use super::world::World;
use crate::http_fake::Call;

/// A body taken apart.
pub(super) struct Sent {
    pub(super) json: Value,
    pub(super) files: Vec<File>,
}

/// One file of a form.
#[derive(Clone)]
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
            return form(&call.body, boundary.trim_matches('"'), world.body_limit);
        }
        if call.body.len() > world.body_limit {
            return Err(too_large());
        }
        if call.body.is_empty() {
            return Ok(Self {
                json: Value::Null,
                files: Vec::new(),
            });
        }
        if !content_type.contains("json") {
            return Err(Refused::bad("Expecting text/json or application/json body"));
        }
        let json = serde_json::from_slice(&call.body)
            .map_err(|error| Refused::bad(&format!("Invalid Json: {error}")))?;
        Ok(Self {
            json,
            files: Vec::new(),
        })
    }
}

fn too_large() -> Refused {
    Refused::new(413, "Unknown", "Request Entity Too Large")
}

/// The limit is that of the JSON; files may be far larger.
fn form(body: &[u8], boundary: &str, limit: usize) -> Result<Sent, Refused> {
    let mut sent = Sent {
        json: Value::Null,
        files: Vec::new(),
    };
    let mark = format!("--{boundary}");
    let broken = || Refused::bad("Unexpected end of input");
    let mut rest = body.strip_prefix(mark.as_bytes()).ok_or_else(broken)?;
    let mark = format!("\r\n{mark}");
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
        let end = find(part, mark.as_bytes()).ok_or_else(broken)?;
        take(&mut sent, &part[..end], limit)?;
        rest = &part[end + mark.len()..];
    }
    Ok(sent)
}

fn take(sent: &mut Sent, part: &[u8], limit: usize) -> Result<(), Refused> {
    let Some(end) = find(part, b"\r\n\r\n") else {
        return Ok(());
    };
    let head = String::from_utf8_lossy(&part[..end]).into_owned();
    let content = &part[end + 4..];
    let quoted = |name: &str| {
        head.split(&format!(" {name}=\""))
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .map(ToOwned::to_owned)
    };
    let part = quoted("name").unwrap_or_default();
    if part == "_json" {
        if content.len() > limit {
            return Err(too_large());
        }
        sent.json = serde_json::from_slice(content)
            .map_err(|error| Refused::bad(&format!("Invalid Json: {error}")))?;
        return Ok(());
    }
    let line = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-type: ")
            .map(ToOwned::to_owned)
    });
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
