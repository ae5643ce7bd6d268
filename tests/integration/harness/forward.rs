//! A forward proxy, as stands between many a network and the world: `CONNECT`, requests with a whole URL, and SOCKS 5, on
//! one port. It knows names that nobody else knows, so that what arrives behind them has come through it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `CONNECT misp.test:443`, `GET http://misp.test/servers/getVersion`, `SOCKS misp.test:80`.
    pub(crate) what: String,
    /// The header `Proxy-Authorization`, or user and password as SOCKS has them; empty if none came.
    pub(crate) who: String,
}

#[derive(Default)]
struct State {
    hosts: BTreeMap<String, SocketAddr>,
    /// `user:password`; anybody may if there is none.
    user: Option<String>,
    /// What it answers to everybody: the first line and the headers.
    refusal: Option<String>,
    asked: Vec<Asked>,
}

/// A running proxy.
pub(crate) struct Forward {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Forward {
    /// Starts one that lets everybody through and knows no names.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, state) = (client.unwrap(), Arc::clone(&serving));
                // Whatever breaks, the client sees a connection that ends.
                std::thread::spawn(move || drop(serve(&client, &state)));
            }
        });
        Self { address, state }
    }

    /// Tells it the address of a host, by the URL of what serves it.
    pub(crate) fn knows(self, host: &str, url: &str) -> Self {
        let port = url
            .rsplit(':')
            .next()
            .unwrap()
            .trim_end_matches('/')
            .parse()
            .unwrap();
        self.state()
            .hosts
            .insert(host.to_owned(), SocketAddr::from(([127, 0, 0, 1], port)));
        self
    }

    /// Has it let through one user only.
    pub(crate) fn for_user(self, user: &str) -> Self {
        self.state().user = Some(user.to_owned());
        self
    }

    /// Has it refuse everybody with this first line and these headers, as `403 Blocked\r\nVia: x`. `{who}` is what came
    /// as `Proxy-Authorization`.
    pub(crate) fn refusing(self, refusal: &str) -> Self {
        self.state().refusal = Some(refusal.to_owned());
        self
    }

    /// `<scheme>://<user@>127.0.0.1:<port>`
    pub(crate) fn url(&self, scheme: &str, user: &str) -> String {
        let user = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        format!("{scheme}://{user}{}", self.address)
    }

    /// All that it was asked for so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(client: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    if reader.fill_buf()?.first() == Some(&5) {
        return socks(client, reader, state);
    }
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let Some((first, headers)) = lines.split_first() else {
        return Ok(());
    };
    let is_who = |line: &str| line.to_lowercase().starts_with("proxy-authorization:");
    let who = headers
        .iter()
        .find(|line| is_who(line))
        .and_then(|line| line.split_once(':'));
    let who = who.map_or_else(String::new, |(_, who)| who.trim().to_owned());
    let mut words = first.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    lock(state).asked.push(Asked {
        what: format!("{method} {target}"),
        who: who.clone(),
    });
    if let Some(refusal) = refusal(state, &who) {
        return answer(client, &refusal);
    }
    let rest = target.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(server) = found(state, host) else {
        return answer(client, "503 Service Unavailable");
    };
    let mut server = TcpStream::connect(server)?;
    if method == "CONNECT" {
        answer(client, "200 Connection established")?;
    } else {
        let kept: Vec<_> = headers
            .iter()
            .filter(|line| !is_who(line))
            .map(String::as_str)
            .collect();
        write!(
            server,
            "{method} /{path} HTTP/1.1\r\nConnection: close\r\n{}\r\n\r\n",
            kept.join("\r\n")
        )?;
    }
    pipe(client, reader, &server)
}

/// Why a client is not let through, if so.
fn refusal(state: &Mutex<State>, who: &str) -> Option<String> {
    let state = lock(state);
    if let Some(refusal) = &state.refusal {
        return Some(refusal.replace("{who}", who));
    }
    let wanted = state
        .user
        .as_ref()
        .map(|user| format!("Basic {}", STANDARD.encode(user)))?;
    let asks = "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"";
    (wanted != who).then(|| asks.to_owned())
}

fn answer(mut client: &TcpStream, head: &str) -> std::io::Result<()> {
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let length = if first.starts_with("200") {
        ""
    } else {
        "Connection: close\r\nContent-Length: 0\r\n"
    };
    let headers = if headers.is_empty() {
        String::new()
    } else {
        format!("{headers}\r\n")
    };
    write!(client, "HTTP/1.1 {first}\r\n{headers}{length}\r\n")
}

/// The address of a host, with or without a port; without a name of that kind, what the address is that it says.
fn found(state: &Mutex<State>, host: &str) -> Option<SocketAddr> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    lock(state)
        .hosts
        .get(name)
        .copied()
        .or_else(|| host.parse().ok())
}

/// Hands on bytes in both directions until both sides have ended.
fn pipe(
    client: &TcpStream,
    mut from: BufReader<TcpStream>,
    server: &TcpStream,
) -> std::io::Result<()> {
    let (mut up, mut down, mut back) = (
        server.try_clone()?,
        server.try_clone()?,
        client.try_clone()?,
    );
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut up));
        drop(up.shutdown(Shutdown::Write));
    });
    let copied = std::io::copy(&mut down, &mut back);
    client.shutdown(Shutdown::Both).and(copied.map(drop))
}

/// RFC 1928, with the password of RFC 1929.
fn socks(
    mut client: &TcpStream,
    mut reader: BufReader<TcpStream>,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let methods = reader_bytes(&mut reader, 2)?[1];
    reader_bytes(&mut reader, methods.into())?;
    let user = lock(state).user.clone();
    let mut who = String::new();
    client.write_all(&[5, if user.is_some() { 2 } else { 0 }])?;
    if user.is_some() {
        let mut part = |skip: usize| -> std::io::Result<String> {
            let length = reader_bytes(&mut reader, skip + 1)?[skip];
            Ok(String::from_utf8_lossy(&reader_bytes(&mut reader, length.into())?).into_owned())
        };
        who = format!("{}:{}", part(1)?, part(0)?);
        client.write_all(&[1, u8::from(Some(&who) != user.as_ref())])?;
    }
    let kind = reader_bytes(&mut reader, 4)?[3];
    let host = match kind {
        1 => reader_bytes(&mut reader, 4)?
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join("."),
        _ => {
            let length = reader_bytes(&mut reader, 1)?[0];
            String::from_utf8_lossy(&reader_bytes(&mut reader, length.into())?).into_owned()
        }
    };
    let port = reader_bytes(&mut reader, 2)?;
    let target = format!("{host}:{}", u16::from_be_bytes([port[0], port[1]]));
    lock(state).asked.push(Asked {
        what: format!("SOCKS {target}"),
        who,
    });
    let server = found(state, &target);
    client.write_all(&[
        5,
        if server.is_some() { 0 } else { 4 },
        0,
        1,
        127,
        0,
        0,
        1,
        0,
        0,
    ])?;
    let Some(server) = server else { return Ok(()) };
    pipe(client, reader, &TcpStream::connect(server)?)
}

fn reader_bytes(reader: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).map(|()| bytes)
}
