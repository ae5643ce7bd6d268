//! A feed on a web server. Whoever serves it may be anyone: no key is sent, so that a redirect can
//! be followed, and what comes is read as a stream within the bounds of every other answer.

use std::io::Read;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use url::Url;

use super::MANIFEST;
use crate::config::connections::Connection;
use crate::http::{Client, Endpoint, HttpContext, HttpError, ReadError};
use crate::report::ConnectionReporter;

const NO_FEED: &str = "is \"url\" the folder of a manifest.json? With the key \"-\" it is read as a \
    feed on the web: if a MISP server is meant, give its API key in \"key\"";

/// So much of a file is read before any of it is handed over, in bytes: hardly a file is larger. A
/// web server does not wait for long while events are written, and what broke off within can be
/// asked for again.
const BEFOREHAND: u64 = 8 << 20;

/// A feed on a web server.
pub struct Web {
    client: Client,
    /// See [`Misp::set_decisive_tags`](crate::misp::Misp::set_decisive_tags).
    pub decisive: Vec<String>,
}

impl Web {
    /// Makes ready; nothing is sent. `url` is that of the feed's folder.
    ///
    /// # Errors
    /// A certificate file that cannot be read, a proxy that is no URL.
    pub fn open(
        url: &Url,
        connection: &Connection,
        network: &HttpContext,
        part: &ConnectionReporter,
    ) -> Result<Self> {
        let user_agent = format!("MISP-cortex-misp/{}", env!("CARGO_PKG_VERSION"));
        let origin = Endpoint {
            url,
            headers: Vec::new(),
            user_agent,
            access: &connection.access,
        };

        let client = Client::new(&origin, network, Arc::new(part.clone()))?;
        Ok(Self {
            client,
            decisive: Vec::new(),
        })
    }

    /// The way to the server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// See [`super::Feed::read_file_with`]. The content type says nothing: web servers call event
    /// files what they like.
    pub fn read_file_with<T>(
        &self,
        name: &str,
        mut read: impl FnMut(&mut dyn Read) -> Result<T, ReadError>,
    ) -> Result<T> {
        let read = self.client.retry_reading(|| {
            let answer = self
                .client
                .open_following_redirects(name)
                .map_err(|failure| explain_error(failure, name))?;

            let reading = format!("{}: reading the answer", answer.request_line());
            let (mut body, mut start) = (answer.into_body(), Vec::new());
            body.by_ref()
                .take(BEFOREHAND)
                .read_to_end(&mut start)
                .with_context(|| reading.clone())?;
            // Neither JSON nor `hashes.csv` begins so.
            if start.trim_ascii_start().starts_with(b"<") {
                let what = match name {
                    MANIFEST => format!("no feed: {NO_FEED}"),
                    _ => "and no file of a feed".to_owned(),
                };
                return Err(anyhow!("{reading}: this is a web page, {what}").into());
            }

            read(&mut start.as_slice().chain(body)).map_err(|error| error.context(reading))
        });
        read.map_err(ReadError::into_error)
    }
}

/// Adds what can be done about it.
fn explain_error(failure: HttpError, name: &str) -> anyhow::Error {
    let help = match failure.status() {
        Some(404) if name == MANIFEST => NO_FEED,
        Some(401 | 403) => {
            "a feed is read without any key, so it has to be open to everyone; if a MISP server is \
             meant, give its API key in \"key\""
        }
        _ => "",
    };

    anyhow!(failure.with_help(help))
}
