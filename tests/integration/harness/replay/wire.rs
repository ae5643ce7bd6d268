//! Recorded exchanges: reading them, and sending their requests byte for byte over a plain socket, as no client library would, and
//! by HTTP/1.0, so that an answer is what comes until the end of the connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::misp;

/// One recorded request and its answer.
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) request: Value,
    pub(super) response: Value,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Lower-case names and values.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The value of the header with this name in any case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        self.headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }
}

fn folder(server: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/wire")
        .join(server)
}

/// The names of all copied exchanges with `misp` or `thehive`.
pub(super) fn names(server: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder(server)).expect("the folder");
    let names = files.map(|file| {
        file.expect("a file")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let numbered = names.filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    numbered
        .map(|name| name.trim_end_matches(".json").to_owned())
        .collect()
}

impl Exchange {
    pub(super) fn read(name: &str) -> Self {
        Self::with("misp", name)
    }

    /// An exchange with `misp` or `thehive`.
    pub(super) fn with(server: &str, name: &str) -> Self {
        let path = folder(server).join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let all: Value = serde_json::from_str(&text).expect("JSON");
        Self {
            name: name.to_owned(),
            request: all["request"].clone(),
            response: all["response"].clone(),
        }
    }

    pub(super) fn send(&self, url: &str) -> Answer {
        self.send_as(url, &self.key(), &self.body())
    }

    /// The same with another key and another body.
    pub(super) fn send_as(&self, url: &str, key: &str, body: &[u8]) -> Answer {
        let host = url.trim_start_matches("http://");
        let (method, path) = (
            self.request["method"].as_str().expect("a method"),
            self.request["path"].as_str().expect("a path"),
        );
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in self.request["headers"].as_object().into_iter().flatten() {
            match name.to_lowercase().as_str() {
                "authorization" => head += &format!("Authorization: {key}\r\n"),
                "content-length" => {}
                _ => head += &format!("{name}: {}\r\n", value.as_str().unwrap_or_default()),
            }
        }
        exchanged(host, &head, body)
    }

    pub(super) fn body(&self) -> Vec<u8> {
        if let Some(raw) = self.request["body_raw"].as_str() {
            return raw.as_bytes().to_vec();
        }
        if let Some(packed) = self.request["body_base64"].as_str() {
            return misp::base64(packed);
        }
        match &self.request["body"] {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        }
    }

    /// Keys were not recorded; the users of the fake have theirs.
    fn key(&self) -> String {
        match self.request["as"].as_str() {
            Some(user) => misp::key(user),
            None if self.name.contains("short") => "short".to_owned(),
            None if self.name.contains("bearer") => format!("Bearer {}", misp::key("admin")),
            None => "x".repeat(40),
        }
    }
}

/// Sends a request whose length the head does not tell yet.
pub(super) fn exchanged(host: &str, head: &str, body: &[u8]) -> Answer {
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    let mut stream = TcpStream::connect(host).expect("the server");
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body))
        .expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parsed(&answer)
}

fn parsed(answer: &[u8]) -> Answer {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("the end of the headers");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .expect("a status");
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let mut answered = Answer {
        status,
        headers: headers.collect(),
        body: answer[end + 4..].to_vec(),
    };
    if answered.header("Transfer-Encoding") == Some("chunked") {
        answered.body = whole(&answered.body);
    }
    answered
}

/// A body out of its pieces, each behind its length.
fn whole(mut pieces: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = pieces.windows(2).position(|two| two == b"\r\n") {
        let length =
            usize::from_str_radix(&String::from_utf8_lossy(&pieces[..end]), 16).expect("a length");
        body.extend(&pieces[end + 2..end + 2 + length]);
        pieces = &pieces[(end + 2 + length + 2).min(pieces.len())..];
    }
    body
}
