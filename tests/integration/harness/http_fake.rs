//! What both fakes share: a real HTTP server on a port of the system's choosing, the log of what it received, and the faults a
//! test can order. What a server answers is decided by the [`Site`] behind it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio::sync::watch;

/// The state of a server and its way of answering.
pub(crate) trait Site: Send + 'static {
    /// The address it is reachable at, told once before the first call.
    fn reachable_at(&mut self, url: &str);
    /// Answers one call; may change the state.
    fn answer(&mut self, call: &Call) -> Reply;
    /// Where the answer to the call just made will come, if it comes later than [`Site::answer`] returns.
    fn later(&mut self) -> Option<watch::Receiver<Option<Reply>>> {
        None
    }
}

/// One request as it came off the wire.
#[derive(Clone)]
pub(crate) struct Call {
    /// Upper-case HTTP method.
    pub(crate) method: String,
    /// Path with query string, undecoded.
    pub(crate) path: String,
    /// Lower-case names and values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, still compressed if it was.
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// The same call as the application sees it that lives below this path; none if it is another's.
    pub(crate) fn below(&self, base: &str) -> Option<Self> {
        let path = self.path.strip_prefix(base)?.to_owned();
        let (method, headers, body) =
            (self.method.clone(), self.headers.clone(), self.body.clone());
        Some(Self {
            method,
            path,
            headers,
            body,
        })
    }

    /// The value of the header with this lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer before faults are laid over it.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection breaks after this many bytes of the body.
    pub(crate) cut_after: Option<usize>,
}

impl Reply {
    /// A compact JSON answer.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(
            status,
            "application/json; charset=UTF-8",
            body.to_string().into_bytes(),
        )
    }

    /// An answer of any content type.
    pub(crate) fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body,
            cut_after: None,
        }
    }

    /// The same answer with one more header.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

/// A request the server has received, in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Lower-case names and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as JSON, or null if it is not JSON.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) raw: Vec<u8>,
    /// 0 while, or if, no status was sent.
    pub(crate) status: u16,
}

impl Logged {
    /// The value of the header with this lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Something that goes wrong on purpose.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Part of the path (with query) of the requests concerned; or of their bodies, if it begins with a quotation mark.
    pub(crate) on: &'static str,
    pub(crate) nth: Nth,
    pub(crate) what: What,
}

/// Which of the matching requests a fault hits, counted from the moment it is ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nth {
    Always,
    /// Only this one; the first is 1.
    Only(usize),
    /// The first so many.
    First(usize),
    /// This one and all after it.
    From(usize),
}

impl Nth {
    /// Whether the matching request with this number, from 1, is meant.
    pub(crate) fn hits(self, seen: usize) -> bool {
        match self {
            Self::Always => true,
            Self::Only(n) => seen == n,
            Self::First(n) => seen <= n,
            Self::From(n) => seen >= n,
        }
    }
}

/// What goes wrong. `Status`, `Redirect` and `Body` stand before the application: it never sees the request. With the
/// others it does its work and only the answer suffers.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Status, body, content type.
    Status(u16, String, &'static str),
    /// The status of [`What::Status`] with one more header, such as `Retry-After`.
    StatusWith(u16, String, (&'static str, String)),
    /// 302 to this address.
    Redirect(String),
    /// 200 with this text, labelled as JSON.
    Body(String),
    /// The right answer, later.
    Delay(Duration),
    /// The work is done, the answer never comes.
    Hang,
    /// The right answer breaks off after so many bytes of its body.
    CutAfter(usize),
    /// The right answer, one byte at a time.
    Drip(Duration),
    /// The right answer, changed.
    Changed(fn(Vec<u8>) -> Vec<u8>),
    /// The right answer, compressed, and what becomes of that on its way.
    Gzip(fn(Vec<u8>) -> Vec<u8>),
}

struct Armed {
    fault: Fault,
    seen: usize,
}

impl Armed {
    fn strikes(&mut self, call: &Call) -> bool {
        let is_meant = match self.fault.on.starts_with('"') {
            true => String::from_utf8_lossy(&call.body).contains(self.fault.on),
            false => call.path.contains(self.fault.on),
        };
        if !is_meant {
            return false;
        }
        self.seen += 1;
        self.fault.nth.hits(self.seen)
    }
}

struct Shared<S> {
    site: Mutex<S>,
    log: Mutex<Vec<Logged>>,
    faults: Mutex<Vec<Armed>>,
}

/// A running server. Dropping it stops it.
pub(crate) struct Server<S: Site> {
    url: String,
    shared: Arc<Shared<S>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Site> Server<S> {
    /// Starts a server for `site` on a free port of the loopback address.
    pub(crate) fn start(mut site: S) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a non-blocking socket");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
        site.reachable_at(&url);
        let shared = Arc::new(Shared {
            site: Mutex::new(site),
            log: Mutex::default(),
            faults: Mutex::default(),
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(listener, serving, stopped));
        Self {
            url,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// What the server holds. No request is answered while the guard lives.
    pub(crate) fn world(&self) -> MutexGuard<'_, S> {
        lock(&self.shared.site)
    }

    /// What the server has received so far.
    pub(crate) fn requests(&self) -> Vec<Logged> {
        lock(&self.shared.log).clone()
    }

    /// Forgets what was received so far.
    pub(crate) fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }

    /// Orders a fault. Of several that hit one request the one ordered first counts.
    pub(crate) fn fault(&self, fault: Fault) {
        lock(&self.shared.faults).push(Armed { fault, seen: 0 });
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        lock(&self.shared.faults).clear();
    }
}

impl<S: Site> Drop for Server<S> {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A panic inside a fake has already failed its request; the others need not fail for it too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve<S: Site>(
    listener: TcpListener,
    shared: Arc<Shared<S>>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let router = axum::Router::new().fallback(handle::<S>).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let _ = stopped.await;
    });
    // Hanging answers would keep a graceful end waiting for ever.
    runtime.shutdown_background();
}

async fn handle<S: Site>(
    State(shared): State<Arc<Shared<S>>>,
    request: Request,
) -> Result<Response<Body>, Infallible> {
    let Ok(call) = receive(request).await else {
        return Ok(send(Reply::bytes(400, "text/plain", Vec::new()), None));
    };
    let number = note(&shared, &call);
    let what = struck(&shared, &call);
    let before = what.as_ref().and_then(instead);
    let mut reply = match before {
        Some(reply) => reply,
        None => answered(&shared, &call).await,
    };
    match &what {
        Some(What::Changed(change)) => reply.body = change(reply.body),
        Some(What::Gzip(change)) => {
            assert_eq!(call.header("accept-encoding"), Some("gzip"));
            reply.body = change(gzip(&reply.body));
            reply = reply.with("Content-Encoding", "gzip");
        }
        _ => {}
    }
    match &what {
        Some(What::Hang) => std::future::pending::<()>().await,
        Some(What::Delay(duration)) => tokio::time::sleep(*duration).await,
        _ => {}
    }
    if let Some(logged) = lock(&shared.log).get_mut(number) {
        logged.status = reply.status;
    }
    Ok(send(reply, what))
}

/// What the site answers, when it does.
async fn answered<S: Site>(shared: &Shared<S>, call: &Call) -> Reply {
    let (reply, later) = {
        let mut site = lock(&shared.site);
        (site.answer(call), site.later())
    };
    let Some(mut later) = later else { return reply };
    match later.wait_for(Option::is_some).await {
        Ok(come) => come.clone().unwrap_or(reply),
        Err(_) => reply,
    }
}

async fn receive(request: Request) -> Result<Call, axum::Error> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?.to_vec();
    let path = parts
        .uri
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    Ok(Call {
        method: parts.method.to_string(),
        path,
        headers,
        body,
    })
}

fn note<S: Site>(shared: &Shared<S>, call: &Call) -> usize {
    let mut log = lock(&shared.log);
    log.push(Logged {
        method: call.method.clone(),
        path: call.path.clone(),
        headers: call.headers.clone(),
        body: serde_json::from_slice(&call.body).unwrap_or_default(),
        raw: call.body.clone(),
        status: 0,
    });
    log.len() - 1
}

fn struck<S: Site>(shared: &Shared<S>, call: &Call) -> Option<What> {
    let mut faults = lock(&shared.faults);
    let mut first = None;
    for armed in faults.iter_mut() {
        if armed.strikes(call) && first.is_none() {
            first = Some(armed.fault.what.clone());
        }
    }
    first
}

fn instead(what: &What) -> Option<Reply> {
    match what {
        What::Status(status, body, content_type) => Some(Reply::bytes(
            *status,
            content_type,
            body.clone().into_bytes(),
        )),
        What::StatusWith(status, body, (name, value)) => {
            Some(Reply::bytes(*status, "text/html", body.clone().into_bytes()).with(name, value))
        }
        What::Redirect(to) => Some(Reply::bytes(302, "text/html", Vec::new()).with("Location", to)),
        What::Body(body) => Some(Reply::bytes(
            200,
            "application/json; charset=UTF-8",
            body.clone().into_bytes(),
        )),
        What::Delay(_)
        | What::Hang
        | What::CutAfter(_)
        | What::Drip(_)
        | What::Changed(_)
        | What::Gzip(_) => None,
    }
}

/// These bytes, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("room");
    packed.finish().expect("room")
}

fn send(reply: Reply, what: Option<What>) -> Response<Body> {
    let length = reply.body.len();
    let cut = match &what {
        Some(What::CutAfter(bytes)) => Some(*bytes),
        _ => reply.cut_after,
    };
    // Where the end of the connection is the end of the body, or pieces are told one by one, no length is.
    let has = |name: &str, value: &str| {
        reply
            .headers
            .iter()
            .any(|(key, held)| key == name && held == value)
    };
    let (is_open_ended, is_chunked) = (
        has("Connection", "close"),
        has("Transfer-Encoding", "chunked"),
    );
    let is_faulty = cut.is_some() || matches!(what, Some(What::Drip(_)));
    let body = match (cut, what) {
        (Some(bytes), _) => Body::new(Piecemeal::cut(&reply.body, bytes)),
        (None, Some(What::Drip(every))) => Body::new(Piecemeal::drip(&reply.body, every)),
        _ if is_open_ended || is_chunked => Body::new(Piecemeal::whole(reply.body)),
        _ => Body::from(reply.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status");
    if is_open_ended {
        *response.version_mut() = Version::HTTP_10;
    }
    let headers = response.headers_mut();
    if !is_open_ended && (!is_chunked || is_faulty) {
        headers.insert("content-length", HeaderValue::from(length));
    }
    for (name, value) in reply
        .headers
        .into_iter()
        .filter(|(name, _)| name != "Transfer-Encoding")
    {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.append(name, HeaderValue::from_str(&value).expect("a header value"));
    }
    response
}

/// A body that comes in pieces, and may end in a broken connection.
struct Piecemeal {
    pieces: VecDeque<Bytes>,
    every: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    breaks: bool,
    /// Whether the server had its chance to send what there is before the break.
    flushed: bool,
}

impl Piecemeal {
    fn cut(body: &[u8], after: usize) -> Self {
        let kept = Bytes::copy_from_slice(&body[..after.min(body.len())]);
        Self {
            pieces: VecDeque::from([kept]),
            every: Duration::ZERO,
            timer: None,
            breaks: true,
            flushed: false,
        }
    }

    /// All at once, of a length that nobody is told.
    fn whole(body: Vec<u8>) -> Self {
        Self {
            pieces: VecDeque::from([body.into()]),
            every: Duration::ZERO,
            timer: None,
            breaks: false,
            flushed: false,
        }
    }

    fn drip(body: &[u8], every: Duration) -> Self {
        let pieces = body
            .iter()
            .map(|byte| Bytes::copy_from_slice(&[*byte]))
            .collect();
        Self {
            pieces,
            every,
            timer: None,
            breaks: false,
            flushed: false,
        }
    }
}

impl HttpBody for Piecemeal {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        if !self.every.is_zero() {
            let every = self.every;
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(every)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(http_body::Frame::data(piece)))),
            None if self.breaks && !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None if self.breaks => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
            None => Poll::Ready(None),
        }
    }
}
