//! The proxy breaks exactly the exchange it is told to, at the place it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{call, raw};
use crate::http_fake::{Fault, Nth, What};
use crate::misp;
use crate::program::{Program, counts, full, of};
use crate::proxy::{How, Proxy};

/// A fake, a proxy to it, and the key of a user.
fn started() -> (misp::Fake, Proxy, String) {
    let fake = misp::Fake::start(misp::World::new());
    let proxy = Proxy::start(&fake.url());
    (fake, proxy, misp::key("partner"))
}

fn add(proxy: &Proxy, key: &str) -> (u16, Value) {
    call(
        &proxy.url(),
        "POST",
        "/events/add",
        key,
        &json!({"info": "through a proxy"}),
    )
}

#[test]
fn whole_exchanges_pass_as_they_are() {
    let (fake, proxy, key) = started();
    let (direct, through) = [fake.url(), proxy.url()]
        .map(|url| raw(&url, "GET", "/attributes/describeTypes", &key, &Value::Null))
        .into();
    assert_eq!(direct, through);
    assert_eq!(add(&proxy, &key).0, 200);
    assert_eq!(
        call(&proxy.url(), "HEAD", "/events/view/1", &key, &Value::Null).0,
        200
    );
    assert_eq!(
        (
            proxy.exchanges(),
            fake.requests().len(),
            fake.world().events.len()
        ),
        (3, 4, 1)
    );
}

#[test]
fn before_the_request_nothing_reaches_the_server() {
    let (fake, proxy, key) = started();
    proxy.cut(2, How::BeforeRequest);
    assert_eq!([0; 3].map(|_| add(&proxy, &key).0), [200, 0, 200]);
    assert_eq!(
        (
            proxy.exchanges(),
            fake.requests().len(),
            fake.world().events.len()
        ),
        (3, 2, 2)
    );
}

#[test]
fn after_the_request_the_work_is_done_and_nothing_comes_back() {
    let (fake, proxy, key) = started();
    proxy.cut(2, How::AfterRequest);
    assert_eq!([0; 3].map(|_| add(&proxy, &key).0), [200, 0, 200]);
    assert_eq!(
        (
            proxy.exchanges(),
            fake.requests().len(),
            fake.world().events.len()
        ),
        (3, 3, 3)
    );
}

#[test]
fn in_the_body_half_of_it_comes_back() {
    let (fake, proxy, key) = started();
    let get = |url: String, path: &str, method: &str| raw(&url, method, path, &key, &Value::Null);
    let (_, whole) = get(proxy.url(), "/servers/getVersion", "GET");
    proxy.cut(2, How::InBody);
    let (status, part) = get(proxy.url(), "/servers/getVersion", "GET");
    assert_eq!((status, part.as_str()), (200, &whole[..whole.len() / 2]));
    proxy.cut(3, How::InBody);
    let (_, nothing) = get(proxy.url(), "/events/view/1", "HEAD");
    assert_eq!(nothing, "");
    assert_eq!(get(proxy.url(), "/servers/getVersion", "GET").1, whole);
    assert_eq!((proxy.exchanges(), fake.requests().len()), (4, 4));
}

#[test]
fn a_healed_proxy_breaks_nothing() {
    let (_fake, proxy, key) = started();
    proxy.cut(1, How::BeforeRequest);
    proxy.heal();
    assert_eq!(add(&proxy, &key).0, 200);
}

/// One exchange of a connection that stays: the status and the body.
fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> Option<(String, String)> {
    stream.get_mut().write_all(request.as_bytes()).ok()?;
    let (mut status, mut length) = (String::new(), 0);
    stream.read_line(&mut status).ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        length = line
            .strip_prefix("content-length: ")
            .and_then(|text| text.parse().ok())
            .unwrap_or(length);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

#[test]
fn a_connection_stays_and_chunks_arrive_whole() {
    let (fake, proxy, key) = started();
    let head = |length: &str| {
        format!(
            "POST /events/add HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Type: application/json\r\nAuthorization: {key}\r\n{length}\r\n\r\n"
        )
    };
    let plain = format!("{}{{\"info\":\"a\"}}", head("Content-Length: 12"));
    let chunked = format!(
        "{}7\r\n{{\"info\"\r\n5;x=y\r\n:\"a\"}}\r\n0\r\nTrailer: t\r\n\r\n",
        head("Transfer-Encoding: chunked")
    );
    let mut stream = BufReader::new(
        TcpStream::connect(proxy.url().trim_start_matches("http://")).expect("the proxy"),
    );
    for request in [&plain, &chunked, &plain] {
        let (status, body) = exchange(&mut stream, request).expect("an answer");
        assert!(
            status.contains("200") && body.contains("\"info\":\"a\""),
            "{status}{body}"
        );
    }
    proxy.cut(4, How::AfterRequest);
    assert_eq!(exchange(&mut stream, &chunked), None);
    assert_eq!((proxy.exchanges(), fake.world().events.len()), (4, 4));
    assert!(
        fake.requests()
            .iter()
            .all(|request| request.raw == b"{\"info\":\"a\"}")
    );
}

/// Its HTTP client keeps its connections and uses them again.
#[test]
fn a_program_works_through_it() {
    let (fake, proxy, key) = started();
    let observables = json!([{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]);
    let case = json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 2, "observables": observables});
    let config = json!({"name": ["corp"], "url": [proxy.url()], "key": [key]});
    let job = json!({"dataType": "thehive:case", "data": case, "config": config});
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(
        (proxy.exchanges(), fake.world().events[0].attributes.len()),
        (fake.requests().len(), 1)
    );
}

/// A server that never answers, and a client that waits, keep no test waiting.
#[test]
fn a_dropped_proxy_is_gone() {
    let (fake, proxy, key) = started();
    fake.fault(Fault {
        on: "getVersion",
        nth: Nth::Always,
        what: What::Hang,
    });
    let url = proxy.url();
    let waiting = {
        let url = url.clone();
        std::thread::spawn(move || call(&url, "GET", "/servers/getVersion", &key, &Value::Null).0)
    };
    while fake.requests().is_empty() {
        std::thread::yield_now();
    }
    let mut idle = TcpStream::connect(url.trim_start_matches("http://")).expect("the proxy");
    drop(proxy);
    assert_eq!(waiting.join().expect("no panic"), 0);
    // Closed, or reset when it was never accepted.
    assert!(idle.read(&mut [0]).map_or(true, |bytes| bytes == 0));
}
