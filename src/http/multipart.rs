//! A form with files (`multipart/form-data`), written by hand: the HTTP client's own costs more
//! than these lines.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Client, HttpError, Response};
use crate::sample::sha256;

/// The part that has the JSON, as TheHive calls it (ScalliGraph's `Fields.scala`).
const JSON_PART: &str = "_json";

/// A file of a form.
#[derive(Clone, Debug)]
pub struct FormFile {
    /// Name of the part, `attachment` for instance.
    pub part: String,
    /// Name of the file. What a header cannot carry is sent as `_`.
    pub name: String,
    /// Its content type.
    pub content_type: String,
    /// The file itself.
    pub content: Vec<u8>,
}

impl Client {
    /// Posts a form to a path below the base URL: JSON in its part `_json`, and files.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn post_form(
        &self,
        path: &str,
        json: &Value,
        files: &[FormFile],
    ) -> Result<Response, HttpError> {
        let json = json.to_string();
        let boundary = make_boundary(&json, files);
        let body = encode_form(&boundary, &json, files);
        let content_type = format!("multipart/form-data; boundary={boundary}");

        self.send(Method::POST, path, |request| {
            request.header(CONTENT_TYPE, content_type).body(body)
        })?
        .require_json()
    }
}

/// A line that stands in none of the parts: it is a hash of all of them.
fn make_boundary(json: &str, files: &[FormFile]) -> String {
    let mut hashes = sha256(json.as_bytes());
    hashes.extend(files.iter().map(|file| sha256(&file.content)));
    let mut boundary = format!("cortex-misp-{}", sha256(hashes.as_bytes()));
    // No boundary may be longer than 70 characters (RFC 2046).
    boundary.truncate(70);

    boundary
}

fn encode_form(boundary: &str, json: &str, files: &[FormFile]) -> Vec<u8> {
    let size: usize = files.iter().map(|file| file.content.len() + 512).sum();
    let mut body = Vec::with_capacity(size + json.len() + 512);
    let head = format!(
        "Content-Disposition: form-data; name=\"{JSON_PART}\"\r\nContent-Type: application/json"
    );
    write_part(&mut body, boundary, &head, json.as_bytes());

    for file in files {
        let (part, name, content_type) = (
            clean_header_value(&file.part),
            clean_header_value(&file.name),
            clean_header_value(&file.content_type),
        );

        let head = format!(
            "Content-Disposition: form-data; name=\"{part}\"; \
             filename=\"{name}\"\r\nContent-Type: {content_type}"
        );
        write_part(&mut body, boundary, &head, &file.content);
    }

    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());

    body
}

fn write_part(body: &mut Vec<u8>, boundary: &str, head: &str, content: &[u8]) {
    body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n");
}

/// What would end the header, or the quotes in it, as `_`.
fn clean_header_value(text: &str) -> String {
    let is_bad = |c: char| c.is_control() || matches!(c, '"' | '\\');
    let clean = text.replace(is_bad, "_");
    if clean.trim().is_empty() {
        "file".to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(name: &str, content: &[u8]) -> FormFile {
        FormFile {
            part: "attachment".to_owned(),
            name: name.to_owned(),
            content_type: "application/zip".to_owned(),
            content: content.to_vec(),
        }
    }

    #[test]
    fn a_form_has_the_json_and_the_files() {
        let body = encode_form(
            "b",
            &json!({"tlp": 2}).to_string(),
            &[file("a.zip", b"PK\r\n\0")],
        );

        let wanted = "--b\r\nContent-Disposition: form-data; name=\"_json\"\r\nContent-Type: \
            application/json\r\n\r\n\
                      {\"tlp\":2}\r\n--b\r\nContent-Disposition: form-data; name=\"attachment\"; \
                      filename=\"a.zip\"\r\n\
                      Content-Type: application/zip\r\n\r\nPK\r\n\0\r\n--b--\r\n";

        assert_eq!(String::from_utf8(body).unwrap(), wanted);
    }

    #[test]
    fn a_name_ends_no_header() {
        assert_eq!(
            clean_header_value("a\"; x=\r\nSet: \\1\0.exe"),
            "a_; x=__Set: _1_.exe"
        );
        assert_eq!(
            (
                clean_header_value(" "),
                clean_header_value("Lebenslauf ü.pdf")
            ),
            ("file".to_owned(), "Lebenslauf ü.pdf".to_owned())
        );
    }

    #[test]
    fn a_boundary_stands_in_no_part() {
        let first = make_boundary("{}", &[file("a", b"content")]);
        let second = make_boundary("{}", &[file("a", first.as_bytes())]);
        assert!(first != second && first.len() <= 70);
        assert_ne!(make_boundary("{}", &[]), make_boundary("{ }", &[]));
    }
}
