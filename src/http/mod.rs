//! The only room that knows the HTTP client. A request goes to the configured origin and nowhere else: redirects are
//! never followed, since a redirected POST loses its body and the key must not travel. Errors carry method, URL, status
//! and the server's own words.

mod again;
mod failure;
mod form;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::blocking::{self, ClientBuilder, RequestBuilder};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Method, Proxy, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use crate::config::Limits;
use crate::json::LARGEST_ELEMENT;
use crate::secret::{Scrubber, Secret};
use crate::time::Clock;
pub use again::{Page, again, broke_down};
use failure::{BROKE_OFF, WORDS, chain, one_line, plain, unescaped, unreachable};
pub use failure::{Cause, Failure, is_refusal, words};
pub use form::FormFile;

/// The largest answer, or file, that is read as one value, in bytes.
const LARGEST_VALUE: u64 = 4 << 20;
/// As much is read of a refusal.
const LARGEST_REFUSAL: u64 = 1 << 20;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// What the network around us asks for, the same for every server of a job.
#[derive(Clone, Debug)]
pub struct Network {
    clock: Clock,
    connect_timeout: Duration,
    read_timeout: Duration,
    proxies: Vec<(&'static str, Secret)>,
    authorities: Option<String>,
    scrubber: Arc<Scrubber>,
}

impl Network {
    /// Takes the limits from the worker's configuration, and from where Cortex puts them (its `JobRunnerSrv.scala`) the
    /// proxies, `config.proxy.http` and `config.proxy.https`, and further certificates, `config.cacerts`. Without proxies
    /// there those of the environment hold.
    #[must_use]
    pub fn new(limits: &Limits, config: &Map<String, Value>, clock: Clock, scrubber: Arc<Scrubber>) -> Self {
        let text = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
            text.map(ToOwned::to_owned)
        };
        let proxy = |scheme| {
            let url = text(config.get("proxy").and_then(|proxy| proxy.get(scheme)))?;
            Some((scheme, Secret::new(&url)))
        };
        Self {
            clock,
            connect_timeout: Duration::from_secs(limits.connect_timeout),
            read_timeout: Duration::from_secs(limits.read_timeout),
            proxies: ["http", "https"].into_iter().filter_map(proxy).collect(),
            authorities: text(config.get("cacerts")),
            scrubber,
        }
    }

    /// A server's own words, without a key that it may repeat, on one line.
    fn said(&self, words: &str) -> String {
        one_line(&self.scrubber.beginning(words, WORDS))
    }

    /// The run's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }
}

/// How a server is talked to.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The base URL; its path ends with a slash.
    pub url: &'a Url,
    /// Headers sent with every request, the key among them.
    pub headers: Vec<(&'static str, Secret)>,
    /// Our name. MISP streams long answers only to a name that begins with `MISP` (its `RestResponseComponent.php`).
    pub user_agent: String,
    /// Further certificates to trust, a PEM file.
    pub cert_path: Option<&'a Path>,
    /// False if certificates are not checked.
    pub cert_check: bool,
}

/// A client of one server.
pub struct Client {
    agent: blocking::Client,
    base: Url,
    network: Network,
    on_request: Box<dyn Fn() + Send + Sync>,
}

impl Client {
    /// Makes ready; nothing is sent yet. `on_request` is told of each request.
    ///
    /// # Errors
    /// A certificate file that cannot be read, a proxy that is no URL, a key that no header can carry.
    pub fn new(origin: &Origin<'_>, network: &Network, on_request: Box<dyn Fn() + Send + Sync>) -> Result<Self> {
        let mut builder = blocking::Client::builder()
            .user_agent(&origin.user_agent)
            .default_headers(headers(origin)?)
            .redirect(redirect::Policy::none())
            .connect_timeout(network.connect_timeout)
            .timeout(network.read_timeout);
        builder = trusting(builder, origin, network)?;
        for (scheme, url) in &network.proxies {
            let url = url.expose();
            let proxy = if *scheme == "http" { Proxy::http(url) } else { Proxy::https(url) };
            builder = builder.proxy(
                proxy.map_err(|_| anyhow::anyhow!("the proxy for {scheme} is no URL: write it as http://host:port"))?,
            );
        }
        let agent = builder.build().map_err(|error| anyhow::anyhow!("preparing the connection: {}", chain(&error)))?;
        Ok(Self { agent, base: origin.url.clone(), network: network.clone(), on_request })
    }

    /// The run's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.network.clock
    }

    /// Gets a path below the base URL.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, |request| request)?.json()
    }

    /// Gets a file below the base URL, of any content type and at most `most` bytes long. That it is the file that was
    /// asked for, and not a proxy's page, is for the caller to check.
    ///
    /// # Errors
    /// See [`Failure`]; a file that breaks off is [`Cause::Broken`], one that is too large [`Cause::TooLarge`].
    pub fn download(&self, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
        self.send(Method::GET, path, |request| request.header(ACCEPT, ANYTHING))?.bytes(most)
    }

    /// The same from a server that lets an API key in only with a request for JSON, as MISP does, whatever it then sends
    /// (`fixtures/wire/misp/326-accept-any-json-ct.json`).
    ///
    /// # Errors
    /// See [`Self::download`].
    pub fn file(&self, path: &str, most: u64) -> Result<Vec<u8>, Failure> {
        self.send(Method::GET, path, |request| request)?.bytes(most)
    }

    /// Posts JSON to a path below the base URL.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, Failure> {
        self.carry(Method::POST, path, body)?.json()
    }

    /// Patches what is at a path below the base URL. Any 2xx is good; what is answered is not looked at.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn patch(&self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        self.carry(Method::PATCH, path, body).map(drop)
    }

    /// Deletes what is at a path below the base URL. Any 2xx is good; what is answered is not looked at.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, |request| request).map(drop)
    }

    fn carry(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Answer, Failure> {
        let bytes = serde_json::to_vec(body);
        self.send(method, path, |request| match bytes {
            Ok(bytes) => request.body(bytes),
            Err(_) => request,
        })
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, Failure> {
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        let line = format!("{method} {url}");
        let fail = |cause| Failure::new(line.clone(), cause);
        if self.network.clock.is_over() {
            return Err(fail(Cause::Deadline));
        }
        (self.on_request)();
        let mut request = finish(self.agent.request(method, url));
        // The client's own timeout is for the next bytes. Near the end of the run the whole request has what is left.
        if let Some(left) = self.network.clock.left().filter(|left| *left < self.network.read_timeout) {
            request = request.timeout(left);
        }
        let response = request.send().map_err(|error| match self.network.clock.is_over() {
            true => fail(Cause::Unreachable("no answer before the deadline of the run".to_owned())),
            false => {
                let why = self.network.scrubber.clean(&unreachable(&error));
                let is_broken = !error.is_connect() && !error.is_timeout();
                fail(if is_broken { Cause::Broken(why) } else { Cause::Unreachable(why) })
            }
        })?;
        let answer = Answer { line: line.clone(), network: self.network.clone(), response };
        answer.good().map_err(fail)
    }
}

fn headers(origin: &Origin<'_>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]);
    for (name, value) in &origin.headers {
        let name = HeaderName::from_static(name);
        // The name of an organisation may have letters of any script; a key has none.
        let header = match name == AUTHORIZATION {
            true => HeaderValue::from_str(value.expose()),
            false => HeaderValue::from_bytes(value.expose().as_bytes()),
        };
        let mut value = header.ok().with_context(|| match name == AUTHORIZATION {
            true => "the key has a character that no HTTP header can carry: paste it anew",
            false => "the organisation's name has a character that no HTTP header can carry",
        })?;
        value.set_sensitive(name == AUTHORIZATION);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Trust: the built-in web roots, the system's, and the configured file. For plain http none is loaded, which is also
/// what lets the program run where there is no certificate file at all.
fn trusting(builder: ClientBuilder, origin: &Origin<'_>, network: &Network) -> Result<ClientBuilder> {
    // A second call finds the provider in place already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    if origin.url.scheme() == "http" {
        return Ok(builder.tls_certs_only([]));
    }
    let web = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|root| Certificate::from_der(root).ok());
    let own = origin.cert_path.map_or(Ok(Vec::new()), certificates)?;
    let given = network
        .authorities
        .as_deref()
        .map_or(Ok(Vec::new()), |text| parsed(text.as_bytes()).context("reading the certificates in \"cacerts\""))?;
    let builder = builder.tls_certs_merge(web.chain(own).chain(given));
    Ok(builder.tls_danger_accept_invalid_certs(!origin.cert_check))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    let reading = || format!("reading the certificates in {} (\"cert_path\")", path.display());
    let mut text = Vec::new();
    crate::files::open(path).with_context(reading)?.take(LARGEST_VALUE).read_to_end(&mut text).with_context(reading)?;
    parsed(&text).with_context(reading)
}

fn parsed(text: &[u8]) -> Result<Vec<Certificate>> {
    let certificates = Certificate::from_pem_bundle(text).map_err(|error| anyhow::anyhow!(chain(&error)))?;
    ensure!(!certificates.is_empty(), "there is no certificate in PEM form in it");
    Ok(certificates)
}

/// A good answer whose body has not been read yet.
pub struct Answer {
    line: String,
    network: Network,
    response: blocking::Response,
}

impl Answer {
    fn good(self) -> Result<Self, Cause> {
        let status = self.response.status();
        if status.is_redirection() {
            return Err(Cause::Redirected { status: status.as_u16(), to: self.said(&self.header(LOCATION.as_str())) });
        }
        if !status.is_success() {
            return Err(self.refused());
        }
        Ok(self)
    }

    fn json(self) -> Result<Self, Failure> {
        let kind = self.header(CONTENT_TYPE.as_str());
        if kind.to_ascii_lowercase().contains("json") {
            return Ok(self);
        }
        Err(Failure::new(self.line.clone(), Cause::NotJson(self.said(&kind))))
    }

    fn bytes(self, most: u64) -> Result<Vec<u8>, Failure> {
        let (line, network) = (self.line.clone(), self.network.clone());
        let fail = |cause| Failure::new(line.clone(), cause);
        // What a server says of the length spares reading all that is allowed of what is too large.
        if self.response.content_length().is_some_and(|length| length > most) {
            return Err(fail(Cause::TooLarge(most)));
        }
        let mut bytes = Vec::new();
        let mut body = self.body().take(most.saturating_add(1));
        let read = body.read_to_end(&mut bytes);
        read.map_err(|error| fail(Cause::Broken(network.scrubber.clean(&error.to_string()))))?;
        if bytes.len() as u64 > most { Err(fail(Cause::TooLarge(most))) } else { Ok(bytes) }
    }

    /// A server's own words, without a key that it may repeat; only then may they be cut.
    fn said(&self, words: &str) -> String {
        self.network.said(words)
    }

    fn refused(self) -> Cause {
        let status = self.response.status().as_u16();
        let location = Some(self.header(LOCATION.as_str())).filter(|location| !location.is_empty()).map(Into::into);
        let wait = ["x-rate-limit-reset", "retry-after"].iter().find_map(|name| self.header(name).trim().parse().ok());
        let network = self.network.clone();
        let mut text = Vec::new();
        drop(self.body().take(LARGEST_REFUSAL).read_to_end(&mut text));
        let said: Value = serde_json::from_slice(&text).unwrap_or_default();
        let kind = said.get("type").and_then(Value::as_str).unwrap_or_default();
        let message = said.get("message").and_then(Value::as_str).map_or_else(|| plain(&text), unescaped);
        let errors = network.scrubber.clean_foreign(said.get("errors").cloned().unwrap_or_default());
        let (kind, message) = (network.said(kind).into(), network.said(&message));
        Cause::Refused { status, kind, message, errors: Box::new(errors), location, wait }
    }

    /// A header, or the empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The body, as a stream that ends with an error at the deadline.
    #[must_use]
    pub fn body(self) -> Body {
        Body { clock: self.network.clock, response: self.response }
    }

    /// The whole body as one value.
    ///
    /// # Errors
    /// That it broke off, is too large, or is no JSON.
    pub fn value(self) -> Result<Value> {
        let line = self.line.clone();
        let body = self.body().take(LARGEST_VALUE);
        serde_json::from_reader(io::BufReader::new(body)).with_context(|| format!("{line}: reading the answer"))
    }

    /// What a type takes of the body; the rest is passed over.
    ///
    /// # Errors
    /// That it broke off, is too large, or is no JSON of that shape.
    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        let line = self.line.clone();
        let body = self.body().take(LARGEST_ELEMENT);
        serde_json::from_reader(io::BufReader::new(body)).with_context(|| format!("{line}: reading the answer"))
    }

    /// What was asked, for messages: `GET https://misp.example.org/servers/getVersion`.
    #[must_use]
    pub fn line(&self) -> &str {
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
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the deadline of the run has passed"));
        }
        self.response
            .read(buffer)
            .map_err(|error| io::Error::new(error.kind(), format!("{BROKE_OFF}: {}", chain(&error))))
    }
}
