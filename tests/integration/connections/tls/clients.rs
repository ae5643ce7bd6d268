//! Our own certificate, where a server asks for one.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use cortex_misp::import::Import;
use cortex_misp::runtime;
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};

use super::certificates::{Identity, named};
use super::{Authority, Secured, assert_reached};
use crate::program::{Program, failure};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A server of this version that asks for a client certificate; and the authority of its own.
fn asking(
    version: &'static SupportedProtocolVersion,
    clients: Arc<RootCertStore>,
) -> (Secured, Authority) {
    let authority = Authority::new("Example CA");
    (
        Secured::new(
            &authority
                .server()
                .serves_with(&[version], Some((clients, true))),
        ),
        authority,
    )
}

fn client(authority: &Authority) -> Identity {
    let mut params = named("cortex", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    authority.signs(params)
}

/// Breaks if any line of a file stands in a report.
fn search_for(file: &str, report: &Value) {
    let report = report.to_string();
    assert!(
        file.lines()
            .filter(|line| line.len() > 8)
            .all(|line| !report.contains(line)),
        "{report}"
    );
}

#[test]
fn a_client_certificate_is_shown_to_whoever_asks() {
    let clients = Authority::new("Client CA");
    for version in VERSIONS {
        let (all, authority) = asking(version, clients.roots());
        let file = client(&clients).file();
        let path = all.file("client.pem", &file);
        let report = Program::Import
            .report(&all.job(json!({"cacerts": authority.pem(), "client_cert_path": [path]})));
        assert_reached(&report, &all.desk.misp);
        search_for(&file, &report);
    }
}

#[test]
fn keys_of_the_older_forms_are_read() {
    let clients = super::certificates::roots_of_file("fixtures/tls/clients.pem");
    let (all, authority) = asking(&TLS13, clients);
    for file in [
        "fixtures/tls/client-pkcs1.pem",
        "fixtures/tls/client-sec1.pem",
    ] {
        let report = Program::Import
            .report(&all.job(json!({"cacerts": authority.pem(), "client_cert_path": [file]})));
        assert_reached(&report, &all.desk.misp);
    }
}

#[test]
fn a_server_that_demands_a_certificate_is_told() {
    let clients = Authority::new("Client CA");
    let said = VERSIONS.map(|version| {
        let (all, authority) = asking(version, clients.roots());
        let misp =
            all.refused(&all.job(json!({"cacerts": authority.pem(), "client_cert_path": null})));
        (
            misp,
            all.refused(&all.to_thehive(json!({"cacerts": authority.pem()}))),
        )
    });
    assert_eq!(said[0], said[1]);
    insta::assert_snapshot!(said[0].0, @r#"GET https://localhost:PORT/servers/getVersion: the server demands a client certificate: give it, with its private key, in "client_cert_path""#);
    insta::assert_snapshot!(said[0].1, @"TheHive: GET https://localhost:PORT/api/v1/status/public: the server demands a client certificate, which can be given for MISP only: let it accept API keys alone");
}

#[test]
fn a_certificate_that_is_refused_is_told() {
    let clients = Authority::new("Client CA");
    let mut params = named("cortex", &[]);
    params.not_after = date_time_ymd(2020, 1, 1);
    let [unknown, expired] =
        [client(&Authority::new("Another CA")), clients.signs(params)].map(|own| {
            let said = VERSIONS.map(|version| {
                let (all, authority) = asking(version, clients.roots());
                let path = all.file("client.pem", &own.file());
                all.refused(
                    &all.job(json!({"cacerts": authority.pem(), "client_cert_path": [path]})),
                )
            });
            assert_eq!(said[0], said[1]);
            said[0].clone()
        });
    insta::assert_snapshot!(unknown, @r#"GET https://localhost:PORT/servers/getVersion: the server refuses our client certificate ("client_cert_path"): it does not know the authority that signed it (UnknownCA)"#);
    insta::assert_snapshot!(expired, @r#"GET https://localhost:PORT/servers/getVersion: the server refuses our client certificate ("client_cert_path"): it has expired, or is not valid yet (CertificateExpired)"#);
}

#[test]
fn a_file_that_lacks_something_is_told() {
    let clients = Authority::new("Client CA");
    let (all, authority) = asking(&TLS13, clients.roots());
    let (own, other) = (client(&clients), client(&clients));
    let said = |content: &str| {
        let path = all.file("client.pem", content);
        let report = Program::Import
            .report(&all.job(json!({"cacerts": authority.pem(), "client_cert_path": [path]})));
        search_for(content, &report);
        assert!(all.desk.misp.requests().is_empty());
        all.placed(failure(&report))
    };
    insta::assert_snapshot!(said(&own.pem), @r#"reading FOLDER/client.pem ("client_cert_path"): there is no private key in it: add the private key that belongs to it, in PEM form (-----BEGIN PRIVATE KEY-----)"#);
    insta::assert_snapshot!(said(&own.key()), @r#"reading FOLDER/client.pem ("client_cert_path"): there is no certificate in PEM form in it: put it before its private key"#);
    insta::assert_snapshot!(said(&(own.pem.clone() + &other.key())), @r#"reading FOLDER/client.pem ("client_cert_path"): the private key in it belongs to another certificate: the first certificate must be our own"#);
    insta::assert_snapshot!(said(&own.file().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")), @r#"reading FOLDER/client.pem ("client_cert_path"): its private key is encrypted: nobody could give the passphrase, so store it without one"#);
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAACanaryCanaryCanary\n-----END PRIVATE KEY-----\n";
    insta::assert_snapshot!(said(&(own.pem + broken)), @r#"reading FOLDER/client.pem ("client_cert_path"): the private key in it is broken, or of no kind that can be used: RSA, ECDSA or Ed25519"#);
    std::fs::remove_file(all.folder.path().join("client.pem")).unwrap();
    let path = all.folder.path().join("client.pem");
    let report = Program::Import.report(&all.job(json!({"client_cert_path": [path]})));
    insta::assert_snapshot!(all.placed(failure(&report)), @r#"reading FOLDER/client.pem ("client_cert_path"): No such file or directory (os error 2)"#);
}

/// Each of two connections has its own, and TheHive, which asks as well, gets neither.
#[test]
fn a_client_certificate_goes_to_its_own_connection_only() {
    let (first, second) = (Authority::new("First"), Authority::new("Second"));
    let ((one, one_ca), (two, two_ca)) = (
        asking(&TLS13, first.roots()),
        asking(&TLS13, second.roots()),
    );
    let files = [
        one.file("one.pem", &client(&first).file()),
        one.file("two.pem", &client(&second).file()),
    ];
    let mut job = one.job(json!({
        "name": ["one", "two"], "url": [one.misp.url(), two.misp.url()], "key": [crate::misp::key("admin"), crate::misp::key("admin")],
        "cacerts": one_ca.pem() + &two_ca.pem(), "client_cert_path": files,
    }));
    let versions = |job: &Value| {
        let report = Program::Import.report(job);
        let parts = report["full"]["connections"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        parts
            .iter()
            .map(|part| part["version"].as_str().map(ToOwned::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        versions(&job),
        [Some("2.5.1".to_owned()), Some("2.5.1".to_owned())]
    );
    job["config"]["client_cert_path"] = json!([files[0], null]);
    assert_eq!(versions(&job), [Some("2.5.1".to_owned()), None]);
    job["config"]["client_cert_path"] = json!([files[1], files[1]]);
    assert_eq!(versions(&job), [None, Some("2.5.1".to_owned())]);
}

/// Some servers end a connection without the alert that would say why.
#[test]
fn a_connection_that_breaks_off_may_be_for_want_of_a_certificate() {
    let clients = Authority::new("Client CA");
    let authority = Authority::new("Example CA");
    let config = authority
        .server()
        .serves_with(&[&TLS13], Some((clients.roots(), false)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(
                ServerConnection::new(Arc::clone(&config)).unwrap(),
                stream.unwrap(),
            );
            // The handshake and the request; then both ends of the connection go.
            let _ = stream.read(&mut [0; 4_096]);
        }
    });
    let config = json!({"name": ["a"], "url": [url], "key": [crate::misp::key("admin")], "cacerts": authority.pem()});
    let job = json!({"dataType": "other", "data": "misp:sync", "config": config});
    let report = runtime::report_without_waiting::<Import>(job);
    let said = failure(&report);
    let wanted = ": perhaps the server demands a client certificate: give it, with its private key, in \"client_cert_path\"";
    assert!(said.ends_with(wanted), "{said}");
}
