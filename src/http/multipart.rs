//! A form with files (`multipart/form-data`).

use std::io::Read;

use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Client, HttpError, Response, request_line};

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
    /// Posts a form to a path below the base URL: JSON in its part `_json`, as TheHive calls it
    /// (ScalliGraph's `Fields.scala`), and files.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn post_form(
        &self,
        path: &str,
        json: &Value,
        files: &[FormFile],
    ) -> Result<Response, HttpError> {
        let unusable = |error: &dyn std::error::Error| {
            let line = request_line(&Method::POST, &self.resolve_url(path));
            HttpError::not_sent(line, &error.to_string())
        };
        let json = Part::text(json.to_string()).mime_str("application/json");
        // Names of files go as they are: TheHive would show the escapes.
        let mut form = Form::new()
            .percent_encode_noop()
            .part("_json", json.map_err(|error| unusable(&error))?);
        for file in files {
            let part = Part::bytes(file.content.clone())
                .file_name(clean_file_name(&file.name))
                .mime_str(&file.content_type)
                .map_err(|error| unusable(&error))?;
            form = form.part(file.part.clone(), part);
        }

        // Sent as a whole, so that a refusal is read that comes before all is sent.
        let content_type = format!("multipart/form-data; boundary={}", form.boundary());
        let mut body = Vec::new();
        let read = form.into_reader().read_to_end(&mut body);
        read.map_err(|error| unusable(&error))?;
        self.send(Method::POST, path, |request| {
            request.header(CONTENT_TYPE, content_type).body(body)
        })?
        .require_json()
    }
}

/// What would end the header, or the quotes in it, as `_`.
fn clean_file_name(name: &str) -> String {
    let clean = name.replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "_");
    if clean.trim().is_empty() {
        "file".to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_no_header() {
        assert_eq!(
            clean_file_name("a\"; x=\r\nSet: \\1\0.exe"),
            "a_; x=__Set: _1_.exe"
        );
        assert_eq!(
            (clean_file_name(" "), clean_file_name("Lebenslauf ü.pdf")),
            ("file".to_owned(), "Lebenslauf ü.pdf".to_owned())
        );
    }
}
