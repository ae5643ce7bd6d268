//! What happens before the first answer: certificates, and waiting.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cortex_misp::config::connections::Connections;
use cortex_misp::cortex::job::Job;
use cortex_misp::export::Export;
use cortex_misp::full::Run;
use cortex_misp::import::Import;
use cortex_misp::time::Clock;
use cortex_misp::worker::Worker;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, failure, full};

/// Serves TLS on a free port, for as many connections as come; every answer is the same.
fn tls_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let chain = CertificateDer::pem_file_iter("fixtures/tls/server.pem").unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file("fixtures/tls/server.key").unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            // A client that does not trust the certificate ends the connection here.
            let mut request = [0; 4_096];
            if stream.read(&mut request).is_ok() {
                let body = "{\"version\": 1}";
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
                drop(write!(stream, "{head}: {}\r\n\r\n{body}", body.len()));
            }
        }
    });
    port
}

#[test]
fn certificates_are_checked_and_further_ones_can_be_trusted() {
    let port = tls_server();
    let said = |host: &str, more: Value| {
        let mut config = json!({"name": ["a"], "url": [format!("https://{host}:{port}")], "key": ["canary-key-0123"]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        failure(&Program::Import.report(&json!({"dataType": "other", "data": "misp:sync", "config": config})))
            .to_owned()
    };
    // The server's version is a number, which no MISP answers: so far a trusted connection comes.
    const TRUSTED: &str = "names no version: this is no MISP";
    assert!(
        said("localhost", json!({}))
            .contains("an authority that is not trusted here: give its certificate in \"cert_path\"")
    );
    assert!(said("localhost", json!({"cert_path": ["fixtures/tls/ca.pem"]})).contains(TRUSTED));
    assert!(
        said("127.0.0.1", json!({"cert_path": ["fixtures/tls/ca.pem"]}))
            .contains("the certificate is for another host name")
    );
    assert!(said("localhost", json!({"cert_check": false})).contains(TRUSTED));
    assert!(said("127.0.0.1", json!({"cert_check": "no"})).contains(TRUSTED));
    assert!(
        said("localhost", json!({"cert_path": ["fixtures/tls/server.key"]}))
            .contains("there is no certificate in PEM form in it")
    );
}

#[test]
fn plain_http_on_a_tls_port_and_the_reverse_are_explained() {
    let misp = Fake::start(World::new());
    let config = json!({"name": ["a"], "url": [misp.url().replace("http:", "https:")], "key": [key("admin")]});
    let report = Program::Import.report(&json!({"dataType": "other", "data": "misp:sync", "config": config}));
    assert!(failure(&report).contains("the port does not speak TLS: is it http?"), "{}", failure(&report));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let misp = Fake::start(World::new());
    misp.fault(Fault { on: "/servers/getVersion", nth: Nth::Always, what: What::Hang });
    let config =
        json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")], "read_timeout": 1, "connect_timeout": "1"});
    let report = Program::Import.report(&json!({"dataType": "other", "data": "misp:sync", "config": config}));
    assert!(failure(&report).contains("\"read_timeout\" is too short"), "{}", failure(&report));
}

#[test]
fn a_proxy_of_cortex_is_used_and_its_password_is_not_shown() {
    let proxy = Fake::start(World::new());
    let url = proxy.url().replace("http://", "http://user:canary-password@");
    let config = json!({"name": ["a"], "url": ["http://misp.invalid"], "key": [key("admin")], "proxy": {"http": url}, "proxy_http": url});
    let report = Program::Import.report(&json!({"dataType": "other", "data": "misp:sync", "config": config}));
    assert_eq!(full(&report)["connections"][0]["version"], "2.5.1");
    assert!(proxy.requests().iter().all(|request| request.header("host") == Some("misp.invalid")));
    assert!(!report.to_string().contains("canary-password"));
}

/// The deadline is tested in the library, with a clock that has run out already.
#[test]
fn after_the_deadline_nothing_is_sent_and_the_rest_is_told() {
    let misp = Fake::start(World::with_corpus());
    let config = json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")]});
    let run = Run::default();
    let over = Clock::until(Some(Duration::ZERO));
    let job = json!({"dataType": "other", "data": "misp:sync", "config": config});
    let job = Job::new(job, Import::DATA_TYPES).unwrap();
    let config = serde_json::from_value(json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")]})).unwrap();
    Import::run(&job, &config, over, &run).unwrap();
    let error = run.draft().full.connections[0].error.clone().unwrap();
    assert!(error.contains("not sent: the deadline of the run has passed"), "{error}");
    let case = json!({"_id": "~1", "startDate": 1, "tlp": 0, "observables": [{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]});
    let job = Job::new(json!({"dataType": "thehive:case", "data": case}), Export::DATA_TYPES).unwrap();
    let config = serde_json::from_value(json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")]})).unwrap();
    let run = Run::default();
    Export::run(&job, &config, over, &run).unwrap();
    assert!(run.draft().full.ledger.counts().next().is_none());
    let ledger = run.draft().full.connections[0].ledger.to_string();
    assert_eq!(ledger, "observables 1 fetched: 1 failed (1: not sent)");
    assert!(misp.requests().is_empty());
}

#[test]
fn the_configuration_of_the_public_misp_analyzer_is_read_as_it_is() {
    let theirs = json!({"name": ["misp"], "url": ["https://misp.example.org"], "key": ["key"], "cert_check": true, "cert_path": [""]});
    let (lists, warnings) = cortex_misp::config::read::<Connections>(
        theirs.as_object().unwrap(),
        cortex_misp::config::Table::Configuration,
    )
    .unwrap();
    assert_eq!((lists.checked().unwrap().0.len(), warnings.len()), (1, 0));
}
