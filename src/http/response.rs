//! An answer: its status and headers, what a refusal says, and its body, read as a stream or as a
//! whole within bounds.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{StatusCode, blocking};
use serde::Deserialize;
use serde_json::Value;

use super::context::HttpContext;
use super::error::{
    BROKE_OFF, HttpError, HttpErrorKind, RefusalKind, describe_body, join_causes, unescape_html,
};
use crate::json::JsonStream;
use crate::time::Clock;

/// The largest answer that is read as one value, in bytes.
pub const LARGEST_VALUE: u64 = 4 << 20;
/// How much of a refusal is read, in bytes.
const LARGEST_REFUSAL: u64 = 1 << 20;

/// A good answer whose body has not been read yet.
pub struct Response {
    pub(super) line: String,
    pub(super) network: HttpContext,
    pub(super) response: blocking::Response,
}

impl Response {
    pub(super) fn check_status(self) -> Result<Self, HttpErrorKind> {
        let status = self.response.status();
        if status.is_redirection() {
            return Err(HttpErrorKind::Redirected {
                status: status.as_u16(),
                to: self.clean_words(&self.header(LOCATION.as_str())),
            });
        }

        if !status.is_success() {
            return Err(self.into_refusal());
        }
        Ok(self)
    }

    pub(super) fn require_json(self) -> Result<Self, HttpError> {
        let kind = self.header(CONTENT_TYPE.as_str());
        if kind.to_ascii_lowercase().contains("json") {
            return Ok(self);
        }
        Err(HttpError::new(
            self.line.clone(),
            HttpErrorKind::NotJson(self.clean_words(&kind)),
        ))
    }

    /// What says that a change is made: nothing, and that it is nothing (204), or JSON.
    pub(super) fn require_done(self) -> Result<(), HttpError> {
        if self.response.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let answer = self.require_json()?;
        let line = answer.line.clone();
        answer
            .read_value()
            .map(drop)
            .map_err(|error| HttpError::unreadable_answer(line, &error))
    }

    pub(super) fn read_bytes(self, most: u64) -> Result<Vec<u8>, HttpError> {
        let (line, network) = (self.line.clone(), self.network.clone());
        let fail = |cause| HttpError::new(line.clone(), cause);
        // What a server says of the length spares reading all that is allowed of what is too large.
        if self
            .response
            .content_length()
            .is_some_and(|length| length > most)
        {
            return Err(fail(HttpErrorKind::TooLarge(most)));
        }
        let mut bytes = Vec::new();
        // One byte more than is allowed tells a file that is too large from one that just fits.
        let mut body = self.into_body().take(most.saturating_add(1));
        let read = body.read_to_end(&mut bytes);
        read.map_err(|error| {
            fail(HttpErrorKind::Broken(
                network.run.scrubber.clean(&error.to_string()),
            ))
        })?;

        if bytes.len() as u64 > most {
            Err(fail(HttpErrorKind::TooLarge(most)))
        } else {
            Ok(bytes)
        }
    }

    /// A server's own words, without a key that it may repeat; only then may they be cut.
    fn clean_words(&self, words: &str) -> String {
        self.network.clean_words(words)
    }

    fn into_refusal(self) -> HttpErrorKind {
        let status = self.response.status().as_u16();
        let has_location = !self.header(LOCATION.as_str()).is_empty();
        // MISP's own header first. A `Retry-After` that is a date is passed over.
        let wait = ["x-rate-limit-reset", "retry-after"]
            .iter()
            .find_map(|name| self.header(name).trim().parse().ok());
        let network = self.network.clone();
        let mut text = Vec::new();
        // A refusal whose body breaks off is still one; what has come is shown.
        drop(
            self.into_body()
                .take(LARGEST_REFUSAL)
                .read_to_end(&mut text),
        );
        let said: Value = serde_json::from_slice(&text).unwrap_or_default();
        let (mut kind, message) = said.get("message").and_then(Value::as_str).map_or_else(
            || describe_body(&text),
            |message| (RefusalKind::Plain, unescape_html(message)),
        );
        let name = said.get("type").and_then(Value::as_str).unwrap_or_default();
        if !name.is_empty() {
            kind = RefusalKind::Named(network.clean_words(name).into());
        }
        let errors = network
            .run
            .scrubber
            .clean_server_value(said.get("errors").cloned().unwrap_or_default());
        let message = network.clean_words(&message);

        HttpErrorKind::Refused {
            status,
            kind,
            message,
            errors: Box::new(errors),
            has_location,
            wait,
        }
    }

    /// A header, or the empty text.
    pub fn header(&self, name: &str) -> String {
        self.response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    }

    /// The body, as a stream that ends with an error at the deadline.
    pub fn into_body(self) -> Body {
        Body {
            clock: self.network.clock,
            response: self.response,
        }
    }

    /// The whole body as one value.
    ///
    /// # Errors
    /// That it broke off, is too large, or is no JSON.
    pub fn read_value(self) -> Result<Value> {
        let line = self.line.clone();
        let mut body = self.into_body().take(LARGEST_VALUE);

        let read = serde_json::from_reader(io::BufReader::new(&mut body));
        // The limit ended the text, and not the server.
        if read.is_err() && body.limit() == 0 {
            bail!(HttpError::new(line, HttpErrorKind::TooLarge(LARGEST_VALUE)));
        }
        read.with_context(|| format!("{line}: reading the answer"))
    }

    /// What a type takes of the body; the rest is passed over.
    ///
    /// # Errors
    /// That it broke off, is too large, or is no JSON of that shape.
    pub fn read_as<T: for<'de> Deserialize<'de>>(self) -> Result<T> {
        let line = self.line.clone();
        JsonStream::new(self.into_body())
            .read_whole()
            .with_context(|| format!("{line}: reading the answer"))
    }

    /// What was asked, for messages: `GET https://misp.example.org/servers/getVersion`.
    pub fn request_line(&self) -> &str {
        &self.line
    }
}

/// The body of an answer.
pub struct Body {
    clock: Clock,
    response: blocking::Response,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.clock.is_over() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the deadline of the run has passed",
            ));
        }

        self.response.read(buffer).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{BROKE_OFF}: {}", join_causes(&error)),
            )
        })
    }
}
