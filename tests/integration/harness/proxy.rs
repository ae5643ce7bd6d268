//! A proxy between a program and a fake that breaks one exchange at a place of a test's choosing. It counts exchanges, each a
//! request and its answer, over all connections. An answer is passed on once it is there as a whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Where an exchange breaks. The client's connection ends with it; the ones after it are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The request arrives at the proxy and no further.
    BeforeRequest,
    /// The server gets the request and does its work; nothing of its answer comes back.
    AfterRequest,
    /// The status, the headers and the first half of the body come back; without a body, half of the headers.
    InBody,
    /// Another answer comes back. Whether the server gets the request and does its work is said with it.
    Instead(&'static Answer),
}

/// What a proxy says in a server's stead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The content type; empty for none.
    pub(crate) kind: &'static str,
    pub(crate) body: &'static str,
    /// Whether the server has done what it was asked to.
    pub(crate) is_done: bool,
}

/// A running proxy. Dropping it closes its connections and waits for its threads.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Host and port of the server.
    upstream: String,
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    exchanges: usize,
    /// What was asked, as `POST /events/add`.
    asked: Vec<String>,
    /// The first exchange that breaks, the last one, and how.
    cut: Option<(usize, usize, How)>,
    /// What happens just before an exchange goes on.
    meanwhile: Option<(usize, Box<dyn FnOnce() + Send>)>,
    /// The connections that are open, to be closed at the end.
    open: Vec<TcpStream>,
}

impl Proxy {
    /// Starts a proxy to the server at `upstream`, such as `http://127.0.0.1:1234`.
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let upstream = upstream
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let shared = Arc::new(Shared {
            upstream,
            stopping: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &serving));
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests have arrived so far.
    pub(crate) fn exchanges(&self) -> usize {
        self.shared.state().exchanges
    }

    /// What was asked since it was last forgotten, as `POST /events/add`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.state().asked.clone()
    }

    /// Forgets what was asked; exchanges are counted on.
    pub(crate) fn forget(&self) {
        self.shared.state().asked.clear();
    }

    /// Breaks one exchange; `at` counts from the start of the proxy, the first is 1. Replaces what was ordered before.
    pub(crate) fn cut(&self, at: usize, how: How) {
        self.shared.state().cut = Some((at, at, how));
    }

    /// The same for this exchange and all after it.
    pub(crate) fn cut_from(&self, at: usize, how: How) {
        self.shared.state().cut = Some((at, usize::MAX, how));
    }

    /// Holds one exchange before the server gets the request, until this is done. `at` counts as for [`Self::cut`].
    pub(crate) fn meanwhile(&self, at: usize, done: impl FnOnce() + Send + 'static) {
        self.shared.state().meanwhile = Some((at, Box::new(done)));
    }

    /// Breaks nothing any more.
    pub(crate) fn heal(&self) {
        self.shared.state().cut = None;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The thread waits for a connection; here it is.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.state().open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection in mind until it ends; false when the proxy is stopping.
    fn keep(&self, stream: &TcpStream) -> bool {
        if let Ok(copy) = stream.try_clone() {
            self.state().open.push(copy);
        }
        // Looked at after the push: whoever stops the proxy either closes this connection or has already said so.
        !self.stopping.load(Ordering::SeqCst)
    }

    /// Closes a connection and forgets it.
    fn close(&self, stream: &TcpStream) {
        let ends = |stream: &TcpStream| (stream.local_addr().ok(), stream.peer_addr().ok());
        let its = ends(stream);
        self.state().open.retain(|known| ends(known) != its);
        drop(stream.shutdown(Shutdown::Both));
    }

    /// Counts one exchange; how it breaks, if it does.
    fn count(&self, request: &Message) -> Option<How> {
        let mut state = self.state();
        state.asked.push(request.line());
        state.exchanges += 1;
        let number = state.exchanges;
        if let Some((_, done)) = state.meanwhile.take_if(|(at, _)| *at == number) {
            drop(state);
            done();
            return None;
        }
        state
            .cut
            .filter(|(first, last, _)| (*first..=*last).contains(&number))
            .map(|(_, _, how)| how)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let serving = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            if serving.keep(&client) {
                // Whatever breaks, the client sees a connection that ends.
                drop(serve(&client, &serving));
            }
            serving.close(&client);
        }));
    }
    for thread in threads {
        drop(thread.join());
    }
}

/// Passes on the exchanges of one client until one side ends the connection.
fn serve(mut client: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    while let Some(request) = Message::read(&mut reader, &Length::of_request)? {
        let how = shared.count(&request);
        if how == Some(How::BeforeRequest) {
            return Ok(());
        }
        if let Some(How::Instead(answer)) = how {
            if answer.is_done {
                forward(&request, shared)?;
            }
            client.write_all(&answer.bytes())?;
            continue;
        }
        let answer = forward(&request, shared)?;
        match how {
            Some(How::InBody) if answer.body.is_empty() => {
                return client.write_all(half(&answer.head));
            }
            Some(How::InBody) => {
                client.write_all(&answer.head)?;
                return client.write_all(half(&answer.body));
            }
            Some(_) => return Ok(()),
            None => client.write_all(&[answer.head.as_slice(), answer.body.as_slice()].concat())?,
        }
        if !answer.whole || request.closes() || answer.closes() {
            return Ok(());
        }
    }
    Ok(())
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        let Self {
            status, kind, body, ..
        } = self;
        let kind = if kind.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {kind}\r\n")
        };
        let length = if *status == 204 {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        format!("HTTP/1.1 {status} Said\r\n{kind}{length}\r\n{body}").into_bytes()
    }
}

fn half(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() / 2]
}

/// Sends a request to the server over a connection of its own, and reads the answer.
fn forward(request: &Message, shared: &Shared) -> std::io::Result<Message> {
    let mut server = TcpStream::connect(&shared.upstream)?;
    if !shared.keep(&server) {
        shared.close(&server);
        return Err(std::io::Error::other("stopping"));
    }
    let of_head = request.head.starts_with(b"HEAD ");
    let sent = server
        .write_all(&request.head)
        .and_then(|()| server.write_all(&request.body));
    let answer = sent.and_then(|()| {
        Message::read(&mut BufReader::new(&server), &|head| {
            Length::of_answer(head, of_head)
        })
    });
    shared.close(&server);
    answer?.ok_or_else(|| std::io::Error::other("no answer"))
}

/// A request or an answer as it came, byte for byte.
struct Message {
    /// The first line and the headers with the empty line after them.
    head: Vec<u8>,
    /// The body, with the lengths of its chunks if it has any.
    body: Vec<u8>,
    /// False when the body ended before its length, or had none and lasted until the end of the connection.
    whole: bool,
}

/// How long a body is.
enum Length {
    Bytes(u64),
    Chunks,
    UntilTheEnd,
}

impl Length {
    fn of_request(head: &[u8]) -> Self {
        Self::given(head).unwrap_or(Self::Bytes(0))
    }

    /// Some answers have no body whatever their headers say.
    fn of_answer(head: &[u8], of_head: bool) -> Self {
        let line = String::from_utf8_lossy(head);
        let status = line.split(' ').nth(1).unwrap_or_default();
        if of_head || status.starts_with('1') || status == "204" || status == "304" {
            return Self::Bytes(0);
        }
        Self::given(head).unwrap_or(Self::UntilTheEnd)
    }

    fn given(head: &[u8]) -> Option<Self> {
        if header(head, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return Some(Self::Chunks);
        }
        header(head, "content-length")?
            .parse()
            .ok()
            .map(Self::Bytes)
    }
}

impl Message {
    /// The next message of a connection; nothing when there is none.
    fn read(
        reader: &mut impl BufRead,
        length: &dyn Fn(&[u8]) -> Length,
    ) -> std::io::Result<Option<Self>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(None);
            }
        }
        let mut body = Vec::new();
        let whole = match length(&head) {
            Length::Bytes(bytes) => exactly(reader, bytes, &mut body),
            Length::Chunks => chunks(reader, &mut body),
            // The bytes that came before a connection broke are passed on as well.
            Length::UntilTheEnd => {
                drop(reader.read_to_end(&mut body));
                false
            }
        };
        Ok(Some(Self { head, body, whole }))
    }

    /// Method and path of a request.
    fn line(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        head.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Whether its sender ends the connection after it.
    fn closes(&self) -> bool {
        header(&self.head, "connection").is_some_and(|value| value.contains("close"))
    }
}

/// The value of a header in lower case.
fn header(head: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(head).to_lowercase();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .into_iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim().to_owned())
}

/// Reads so many bytes; false when the connection ended before.
fn exactly(reader: &mut impl BufRead, bytes: u64, into: &mut Vec<u8>) -> bool {
    let before = into.len() as u64;
    let read = reader.take(bytes).read_to_end(into);
    read.is_ok() && into.len() as u64 - before == bytes
}

/// Reads chunks, their lengths and the lines after the last one; false when the connection ended before.
fn chunks(reader: &mut impl BufRead, into: &mut Vec<u8>) -> bool {
    loop {
        let Some(line) = line(reader, into) else {
            return false;
        };
        let digits = line.split(';').next().unwrap_or_default().trim();
        match u64::from_str_radix(digits, 16) {
            Ok(0) => break,
            Ok(bytes) if exactly(reader, bytes + 2, into) => {}
            _ => return false,
        }
    }
    loop {
        match line(reader, into).as_deref().map(str::trim) {
            Some("") => return true,
            Some(_) => {}
            None => return false,
        }
    }
}

/// Reads one line; nothing when the connection ended before its end.
fn line(reader: &mut impl BufRead, into: &mut Vec<u8>) -> Option<String> {
    let before = into.len();
    reader.read_until(b'\n', into).ok()?;
    let line = String::from_utf8_lossy(&into[before..]).into_owned();
    line.ends_with('\n').then_some(line)
}
