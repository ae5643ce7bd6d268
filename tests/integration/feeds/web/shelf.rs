//! A web server that shows a feed's folder below `/feed/`, as any file server does, and one that sends without end.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::http_fake::{Call, Reply, Server, Site};

/// A folder on the web. It asks for nothing and knows nobody.
pub(crate) struct Shelf {
    folder: PathBuf,
    /// What it calls its files.
    pub(crate) content_type: &'static str,
    /// Whether it sends them zipped to who takes that.
    pub(crate) zips: bool,
    /// Whether the files of the folder are zipped already.
    pub(crate) already_zipped: bool,
    /// What a file was before it became what stands in the folder: the first answers, by name.
    pub(crate) before: HashMap<&'static str, VecDeque<Vec<u8>>>,
}

impl Shelf {
    pub(crate) fn start(folder: &Path) -> Server<Self> {
        Server::start(Self {
            folder: folder.to_owned(),
            content_type: "application/octet-stream",
            zips: false,
            already_zipped: false,
            before: HashMap::new(),
        })
    }
}

impl Site for Shelf {
    fn reachable_at(&mut self, _: &str) {}

    fn answer(&mut self, call: &Call) -> Reply {
        if call.method != "GET" {
            return Reply::bytes(405, "text/html", b"<h1>Method not allowed</h1>".to_vec());
        }
        let path = call.path.split('?').next().unwrap_or_default();
        let name = path
            .strip_prefix("/feed/")
            .filter(|name| !name.contains('/'))
            .unwrap_or_default();
        let before = self.before.get_mut(name).and_then(VecDeque::pop_front);
        let Some(body) = before.or_else(|| fs::read(self.folder.join(name)).ok()) else {
            return Reply::bytes(
                404,
                "text/html",
                b"<!DOCTYPE html><h1>Not found</h1>".to_vec(),
            );
        };
        if self.already_zipped {
            return Reply::bytes(200, self.content_type, body).with("Content-Encoding", "gzip");
        }
        let takes_zipped = call
            .header("accept-encoding")
            .is_some_and(|takes| takes.contains("gzip"));
        if self.zips && takes_zipped {
            return Reply::bytes(200, self.content_type, zipped(&body))
                .with("Content-Encoding", "gzip");
        }
        Reply::bytes(200, self.content_type, body)
    }
}

pub(crate) fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The folder's address.
pub(crate) fn url(shelf: &Server<Shelf>) -> String {
    format!("{}/feed/", shelf.url())
}

/// Answers one request with `start` and then `piece` again and again, until the client has enough. Gives its address, and in
/// the end how many bytes it got rid of.
pub(crate) fn endless(start: &str, piece: Vec<u8>) -> (String, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{start}"
    );
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        let mut sent = 0;
        if stream.write_all(head.as_bytes()).is_ok() {
            while stream.write_all(&piece).is_ok() {
                sent += piece.len() as u64;
            }
        }
        sent
    });
    (url, thread)
}
