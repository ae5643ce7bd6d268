//! The only module that knows the HTTP client. A request with a key goes to the configured origin
//! and nowhere else: its redirects are never followed, since a redirected POST loses its body and
//! the key must not travel (`follow.rs` is about files that need no key). Errors carry method, URL,
//! status and the server's own words.

mod at_once;
mod context;
mod error;
mod follow;
mod multipart;
mod paging;
mod proxy;
mod response;
mod retry;
mod tls;

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use reqwest::blocking::{self, RequestBuilder};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, redirect};
use serde::Serialize;
use url::Url;

use crate::secret::Secret;
use crate::time::Clock;
pub use at_once::at_once;
pub use context::{HttpContext, ProxyChoice, RequestObserver, RunContext, ServerAccess, Timeouts};
pub use error::{HttpError, HttpErrorKind, RefusalKind, describe_errors, is_breakdown};
use error::{describe_unreachable, join_causes};
pub use multipart::FormFile;
pub use paging::{PageRequest, PagedList, RowOrder, for_each_page};
use proxy::ProxyRoute;
pub use response::{Body, Response};
pub use retry::ReadError;
pub use tls::ServerCertificate;
use tls::TlsState;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// How a server is talked to.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// The base URL; its path ends with a slash.
    pub url: &'a Url,
    /// Headers sent with every request, the key among them.
    pub headers: Vec<(&'static str, Secret)>,
    /// Our name. MISP streams long answers only to a name that begins with `MISP` (its
    /// `RestResponseComponent.php`).
    pub user_agent: String,
    /// Certificates and proxy.
    pub access: &'a ServerAccess,
}

/// A client of one server.
pub struct Client {
    agent: blocking::Client,
    base: Url,
    trust: TlsState,
    way: Option<ProxyRoute>,
    network: HttpContext,
    observer: Arc<dyn RequestObserver>,
    user_agent: String,
    access: ServerAccess,
    /// It shows a key, or a certificate of ours.
    has_secret: bool,
    /// The server that files were last found on, if they are not here. See `follow.rs`.
    elsewhere: Mutex<Option<Arc<Self>>>,
}

impl Client {
    /// Makes ready; nothing is sent yet. `observer` learns of each request.
    ///
    /// # Errors
    /// A certificate file that cannot be read, a proxy that is no URL or of no known kind, a key
    /// that no header can carry.
    pub fn new(
        origin: &Endpoint<'_>,
        network: &HttpContext,
        observer: Arc<dyn RequestObserver>,
    ) -> Result<Self> {
        let builder = blocking::Client::builder()
            .user_agent(&origin.user_agent)
            .default_headers(headers(origin)?)
            .redirect(redirect::Policy::none())
            .connect_timeout(network.timeouts.connect)
            .timeout(network.timeouts.read);

        let way = network.proxies.route(origin)?;
        let (builder, trust) = tls::configure_tls(builder, origin, way.as_ref(), network)?;
        let builder = proxy::apply_route(builder, way.as_ref())?;
        let agent = builder.build().map_err(|error| {
            anyhow::anyhow!("preparing the connection: {}", join_causes(&error))
        })?;

        Ok(Self {
            agent,
            base: origin.url.clone(),
            trust,
            way,
            network: network.clone(),
            observer,
            user_agent: origin.user_agent.clone(),
            access: origin.access.clone(),
            has_secret: !origin.headers.is_empty() || origin.access.client_cert_path.is_some(),
            elsewhere: Mutex::default(),
        })
    }

    /// The run's clock.
    pub fn clock(&self) -> Clock {
        self.network.clock
    }

    /// The proxy that the server is reached through and where it is configured,
    /// `http://proxy:3128 (proxy of Cortex)`, without its user and password; none if it is reached
    /// directly.
    pub fn describe_proxy(&self) -> Option<String> {
        self.way.as_ref().map(ProxyRoute::describe_standalone)
    }

    /// What the server showed at the last handshake, be it trusted or not; none over plain http.
    pub fn server_certificate(&self) -> Option<ServerCertificate> {
        self.trust.server_certificate()
    }

    /// Does what asks and reads the answer, and does it again if the server was overloaded (429,
    /// 502, 503, 504), or if the connection or the answer broke off. After a 429 it waits as long
    /// as the server says (MISP: `X-Rate-Limit-Reset`, in seconds,
    /// `fixtures/wire/misp/291-ratelimit-5.json`).
    ///
    /// # Errors
    /// The error of the last attempt.
    pub fn retry<T>(&self, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
        self.retry_reading(|| Ok(ask()?))
            .map_err(ReadError::into_error)
    }

    /// The same where something of the answer may be handed over before it was read to its end.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub fn retry_reading<T>(
        &self,
        ask: impl FnMut() -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        retry::retry(self.clock(), &*self.observer, ask)
    }

    /// Gets a path below the base URL.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn get(&self, path: &str) -> Result<Response, HttpError> {
        self.send(Method::GET, path, |request| request)?
            .require_json()
    }

    /// Opens a file below the base URL, of any content type, to be read as a stream. That it is the
    /// file that was asked for is for the caller to check.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn open(&self, path: &str) -> Result<Response, HttpError> {
        self.send(Method::GET, path, |request| {
            request.header(ACCEPT, ANYTHING)
        })
    }

    /// Gets a file below the base URL, of any content type and at most `most` bytes long. That it
    /// is the file that was asked for, and not a proxy's page, is for the caller to check.
    ///
    /// # Errors
    /// See [`HttpError`]; a file that breaks off is [`HttpErrorKind::Broken`], one that is too
    /// large [`HttpErrorKind::TooLarge`].
    pub fn download(&self, path: &str, most: u64) -> Result<Vec<u8>, HttpError> {
        self.open(path)?.read_bytes(most)
    }

    /// The same from a server that lets an API key in only with a request for JSON, as MISP does,
    /// whatever it then sends (`fixtures/wire/misp/326-accept-any-json-ct.json`).
    ///
    /// # Errors
    /// See [`Self::download`].
    pub fn download_accepting_json(&self, path: &str, most: u64) -> Result<Vec<u8>, HttpError> {
        self.send(Method::GET, path, |request| request)?
            .read_bytes(most)
    }

    /// Posts JSON to a path below the base URL.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn post(&self, path: &str, body: &impl Serialize) -> Result<Response, HttpError> {
        self.send_json(Method::POST, path, body)?.require_json()
    }

    /// Patches what is at a path below the base URL. It is done if the answer is 204, or JSON: any
    /// other may be a page of something in between.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn patch(&self, path: &str, body: &impl Serialize) -> Result<(), HttpError> {
        self.send_json(Method::PATCH, path, body)
            .and_then(Response::require_done)
    }

    /// Posts a change, of which nothing comes back. It is done if the answer is as for
    /// [`Self::patch`].
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn post_change(&self, path: &str, body: &impl Serialize) -> Result<(), HttpError> {
        self.send_json(Method::POST, path, body)
            .and_then(Response::require_done)
    }

    /// Deletes what is at a path below the base URL. It is done if the answer is as for
    /// [`Self::patch`].
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn delete(&self, path: &str) -> Result<(), HttpError> {
        self.send(Method::DELETE, path, |request| request)
            .and_then(Response::require_done)
    }

    fn send_json(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Response, HttpError> {
        // What we send is always JSON.
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.send(method, path, |request| request.body(bytes))
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, HttpError> {
        let url = self.resolve_url(path);
        let line = request_line(&method, &url);
        self.send_request(method, url, line, finish)
            .and_then(|answer| self.check_answer(answer))
    }

    fn resolve_url(&self, path: &str) -> Url {
        // Paths are this program's own and relative, so they can always be joined.
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    /// Sends a request; `line` is what messages call it.
    fn send_request(
        &self,
        method: Method,
        url: Url,
        line: String,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, HttpError> {
        let fail = |cause| HttpError::new(line.clone(), cause);
        if self.network.clock.is_over() {
            return Err(fail(HttpErrorKind::Deadline));
        }
        self.observer.on_request();
        let mut request = finish(self.agent.request(method, url));
        // The client's own timeout is for the next bytes. Near the end of the run the whole request
        // has what is left.
        if let Some(left) = self
            .network
            .clock
            .time_left()
            .filter(|left| *left < self.network.timeouts.read)
        {
            request = request.timeout(left);
        }

        let response = request
            .send()
            .map_err(|error| match self.network.clock.is_over() {
                true => fail(HttpErrorKind::Unreachable(
                    "no answer before the deadline of the run".to_owned(),
                )),
                // Without a connection nothing can have been written: the caller need not look.
                false if error.is_connect() => fail(self.classify_error(&error)).mark_unsent(),
                false => fail(self.classify_error(&error)),
            })?;

        Ok(Response {
            line: line.clone(),
            network: self.network.clone(),
            response,
        })
    }

    /// The answer, if its status is good.
    fn check_answer(&self, answer: Response) -> Result<Response, HttpError> {
        let line = answer.line.clone();
        let is_json = answer
            .header(CONTENT_TYPE.as_str())
            .to_ascii_lowercase()
            .contains("json");
        answer.check_status().map_err(|cause| {
            proxy::add_proxy_help(HttpError::new(line, cause), self.way.as_ref(), is_json)
        })
    }

    /// Why there is no answer.
    fn classify_error(&self, error: &reqwest::Error) -> HttpErrorKind {
        let clean = |why: &str| self.network.run.scrubber.clean(why);
        // On the way to plain http, TLS can be the proxy's only.
        let is_its_own =
            |way: &ProxyRoute| !way.is_tunnel || join_causes(error).contains(proxy::PROXY_ITSELF);
        let is_of_proxy = self.way.as_ref().is_some_and(is_its_own);
        // Not for failed connections alone: a server may refuse our certificate only after it was
        // sent a request, which it then has not read.
        if let Some(why) = self.trust.explain_error(error).filter(|_| !is_of_proxy) {
            return HttpErrorKind::Unreachable(clean(&why));
        }

        // A server that speaks TLS ends what it cannot read with an alert, which is no HTTP; the
        // words are of hyper 1.
        if self.base.scheme() == "http" && join_causes(error).contains("invalid HTTP version") {
            return HttpErrorKind::Unreachable(match &self.way {
                // What is no HTTP here came from the proxy, whatever the server speaks.
                Some(way) if !way.is_tunnel => proxy::describe_unexpected_tls(way),
                Some(_) | None => NO_HTTP.to_owned(),
            });
        }

        let of_proxy = self
            .way
            .as_ref()
            .and_then(|way| proxy::describe_connect_error(error, way, &self.base));
        let why = of_proxy.unwrap_or_else(|| describe_unreachable(error));

        // Neither is asked again (`HttpError::retry`); what broke off is.
        if error.is_connect() || error.is_timeout() {
            return HttpErrorKind::Unreachable(clean(&why));
        }
        let hint = self
            .trust
            .disconnect_hint()
            .map_or_else(String::new, |hint| format!(": perhaps {hint}"));

        HttpErrorKind::Broken(clean(&(why + &hint)))
    }
}

/// What is said of a port whose answer is no HTTP: a TLS alert, or the greeting of a database.
const NO_HTTP: &str = "the port speaks TLS, or something else that is not http: write https:// in \
    the URL, or correct the port";

fn headers(origin: &Endpoint<'_>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]);

    for (name, value) in &origin.headers {
        let name = HeaderName::from_static(name);
        // The name of an organisation may have letters of any script; a key has none.
        let is_key = name == AUTHORIZATION;
        let (header, problem) = match is_key {
            true => (
                HeaderValue::from_str(value.expose()),
                "the key has a character that no HTTP header can carry, such as the end of a \
                 line: paste \"key\" (MISP's) or \"thehive_key\" (TheHive's) anew",
            ),
            false => (
                HeaderValue::from_bytes(value.expose().as_bytes()),
                "the organisation's name has a character that no HTTP header can carry",
            ),
        };
        let mut value = header.ok().context(problem)?;
        value.set_sensitive(is_key);
        headers.insert(name, value);
    }

    Ok(headers)
}

/// A request as messages have it.
fn request_line(method: &Method, url: &Url) -> String {
    format!("{method} {}", without_named_parameters(url))
}

/// A URL as messages have it: without the named parameters that MISP takes at the end of a path
/// (`/includeAttachments:0`), which tell nobody anything.
fn without_named_parameters(url: &Url) -> String {
    let segments = url.path().split('/');
    let kept: Vec<_> = segments.take_while(|part| !part.contains(':')).collect();
    let mut url = url.clone();
    url.set_path(&kept.join("/"));
    url.to_string()
}

#[cfg(test)]
mod tests {

    #[test]
    fn named_parameters_are_not_shown() {
        let shown = |url: &str| super::without_named_parameters(&url.parse().unwrap());
        assert_eq!(
            shown("https://h:8443/misp/events/view/5f0e/includeA:0/excludeB:1"),
            "https://h:8443/misp/events/view/5f0e"
        );
        assert_eq!(shown("http://h:8/h:8?q=1"), "http://h:8/?q=1");

        for url in [
            "https://h/",
            "https://h/a?b=c:d",
            "https://h/api/alert/~41/observable",
            "http://[::1]:80/x",
        ] {
            assert_eq!(shown(url), url.replace(":80/", "/"));
        }
    }
}
