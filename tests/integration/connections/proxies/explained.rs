//! What is said of a proxy that refuses, fails, or sends back what it was told.

use serde_json::{Value, json};

use super::{Secured, job, report, version};
use crate::canaries::forms;
use crate::connections::tls::{Authority, Front, named};
use crate::forward::Forward;
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World};
use crate::program::failure;

/// What is said, with the proxy's port taken out.
fn said(proxy: &Forward, job: &Value) -> String {
    failure(&report(job)).replace(proxy.url("", "").trim_start_matches("://"), "proxy:3128")
}

#[test]
fn a_proxy_that_refuses_a_tunnel_is_named_with_what_to_do() {
    let secured = Secured::new();
    let locked = || {
        secured
            .known_to(Forward::start())
            .for_user("user:right-word")
    };
    let refusing = |refusal: &str| secured.known_to(Forward::start()).refusing(refusal);
    let mut all = Vec::new();
    for (proxy, user) in [
        (locked(), ""),
        (locked(), "user:wrong-word"),
        (
            refusing("407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM abc"),
            "",
        ),
        (refusing("403 Blocked by policy"), ""),
        (refusing("503 Service Unavailable"), "user:wrong-word"),
        (refusing("502 Bad Gateway"), ""),
        (refusing("500 {who}"), "user:echoed-word"),
        (refusing("404"), ""),
        (refusing("nonsense"), ""),
        (Forward::start(), ""),
    ] {
        all.push(said(
            &proxy,
            &secured.job(&json!({"proxy": {"https": proxy.url("http", user)}})),
        ));
    }
    assert!(secured.misp.requests().is_empty());
    insta::assert_snapshot!(all.join("\n"), @r#"
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) wants a user and a password: give them in configuration item "proxy_https", before the host: http://user:password@proxy:3128
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) does not take the user and password that are given in configuration item "proxy_https": correct them there (signs such as @ : / % escaped, as in %40), or have it take Basic, the only way that is spoken here
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) wants a user and a password: give them in configuration item "proxy_https", before the host: http://user:password@proxy:3128
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    GET https://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) makes no tunnel to misp.test:443: allow it there, check that it can reach that host, correct its user and password in configuration item "proxy_https", or name the server's host in NO_PROXY to go around it
    "#);
}

#[test]
fn a_proxy_of_plain_http_that_refuses_is_named_too() {
    let misp = Fake::start(World::new());
    let locked = || {
        Forward::start()
            .knows("misp.test", &misp.url())
            .for_user("user:right-word")
    };
    let mut all = Vec::new();
    for (proxy, user) in [
        (locked(), ""),
        (locked(), "user:wrong-word"),
        (
            Forward::start().refusing("403 Blocked\r\nVia: 1.1 squid\r\nContent-Type: text/html"),
            "",
        ),
        (
            Forward::start().refusing("500 {who}\r\nContent-Type: text/plain"),
            "user:echoed-word",
        ),
    ] {
        all.push(said(
            &proxy,
            &job(
                "http://misp.test",
                &json!({"proxy_http": proxy.url("http", user)}),
            ),
        ));
    }
    // What MISP itself says is MISP's.
    let proxy = Forward::start().knows("misp.test", &misp.url());
    let body = "{\"message\": \"Authentication failed.\"}".to_owned();
    misp.fault(Fault {
        on: "/",
        nth: Nth::Always,
        what: What::Status(403, body, "application/json"),
    });
    all.push(said(
        &proxy,
        &job(
            "http://misp.test",
            &json!({"proxy_http": proxy.url("http", "")}),
        ),
    ));
    insta::assert_snapshot!(all.join("\n"), @r#"
    GET http://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) wants a user and a password: give them in configuration item "proxy_http", before the host: http://user:password@proxy:3128
    GET http://misp.test/servers/getVersion: the proxy http://proxy:3128 (of Cortex) does not take the user and password that are given in configuration item "proxy_http": correct them there (signs such as @ : / % escaped, as in %40), or have it take Basic, the only way that is spoken here
    GET http://misp.test/servers/getVersion: 403: no further words: the answer came through the proxy http://proxy:3128 (of Cortex) and may be its own: name the server's host in NO_PROXY to go around it
    GET http://misp.test/servers/getVersion: 500: no further words: the answer came through the proxy http://proxy:3128 (of Cortex) and may be its own: name the server's host in NO_PROXY to go around it
    GET http://misp.test/servers/getVersion: 403: Authentication failed: check "key": it is wrong, expired, or its user is disabled
    "#);
}

#[test]
fn a_proxy_that_is_not_there_is_told_from_a_server_that_is_not() {
    let secured = Secured::new();
    let proxy = Forward::start();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let closed_socks = format!("socks5h://user:pass-word@127.0.0.1:{closed}");
    let closed_url = format!("http://user:pass-word@127.0.0.1:{closed}");
    let locked = Forward::start().for_user("user:right-word");
    let mut all = Vec::new();
    for (url, scheme) in [
        (closed_url.as_str(), "https"),
        (&closed_url, "http"),
        (&closed_socks, "https"),
        ("http://proxy.invalid", "https"),
        (&secured.misp.url().replace("http:", "https:"), "https"),
        (&secured.misp.url().replace("http:", "socks5:"), "https"),
        (&proxy.url("socks5h", ""), "https"),
        (&locked.url("socks5h", "user:wrong-word"), "https"),
        (&locked.url("socks5h", ""), "https"),
    ] {
        let mut job = secured.job(&json!({"proxy": {scheme: url}}));
        job["config"]["url"] = json!([format!("{scheme}://misp.test")]);
        job["config"]["client_cert_path"] = json!(null);
        let text = said(&proxy, &job).replace(&closed.to_string(), "CLOSED");
        let text = text.replace(locked.url("", "").trim_start_matches("://"), "locked:1080");
        all.push(text.replace(secured.misp.url().trim_start_matches("http://"), "misp:80"));
    }
    insta::assert_snapshot!(all.join("\n"), @r#"
    GET https://misp.test/servers/getVersion: the proxy http://127.0.0.1:CLOSED (of Cortex) cannot be reached: connection refused: check configuration item "proxy_https"
    GET http://misp.test/servers/getVersion: the proxy http://127.0.0.1:CLOSED (of Cortex) cannot be reached: connection refused: check configuration item "proxy_http"
    GET https://misp.test/servers/getVersion: the proxy socks5h://127.0.0.1:CLOSED (of Cortex) cannot be reached: check configuration item "proxy_https"
    GET https://misp.test/servers/getVersion: the proxy http://proxy.invalid (of Cortex) cannot be reached: its host name is not known here: check configuration item "proxy_https"
    GET https://misp.test/servers/getVersion: the proxy https://misp:80 (of Cortex) cannot be used: tunnel error: failed to create underlying connection: received corrupt message of type InvalidContentType: check configuration item "proxy_https"
    GET https://misp.test/servers/getVersion: the host name is not known here: write socks5h in configuration item "proxy_https", and the proxy looks it up (error resolving for socks proxy: error resolving DNS: failed to lookup address information: Name or service not known)
    GET https://misp.test/servers/getVersion: the proxy socks5h://proxy:3128 (of Cortex) cannot reach the server: check configuration item "proxy_https"
    GET https://misp.test/servers/getVersion: the proxy socks5h://locked:1080 (of Cortex) does not take the user and password: check configuration item "proxy_https"
    GET https://misp.test/servers/getVersion: the proxy socks5h://locked:1080 (of Cortex) wants a user and a password: check configuration item "proxy_https"
    "#);
}

#[test]
fn a_proxy_whose_port_speaks_tls_is_not_taken_for_the_server() {
    let secured = Secured::new();
    let port = secured.front.address().port().to_string();
    let config = json!({"proxy_http": format!("http://127.0.0.1:{port}")});
    let text = failure(&report(&job("http://misp.test", &config))).replace(&port, "3128");
    insta::assert_snapshot!(text, @r#"GET http://misp.test/servers/getVersion: the proxy http://127.0.0.1:3128 (of Cortex) does not speak plain http: write https:// in configuration item "proxy_http", or correct the port"#);
}

/// A proxy that is spoken to over TLS, for plain http behind it.
#[test]
fn the_authority_of_a_proxy_may_be_given_as_that_of_a_server() {
    let (misp, authority) = (Fake::start(World::new()), Authority::new("Example CA"));
    let proxy = Forward::start().knows("misp.test", &misp.url());
    let front = Front::before(authority.server().serves(), &proxy.url("http", ""));
    let mut config =
        json!({"proxy_http": front.url().trim_end_matches('/'), "cacerts": authority.pem()});
    assert_eq!(version(&report(&job("http://misp.test", &config))), "2.5.1");
    config["cacerts"] = Value::Null;
    let text = failure(&report(&job("http://misp.test", &config))).to_owned();
    assert!(
        text.contains("the proxy https://localhost:") && text.contains("cannot be used"),
        "{text}"
    );
}

/// The HTTP client would show it to the proxy too, which is no business of the proxy's.
#[test]
fn a_client_certificate_never_goes_to_a_proxy() {
    let (misp, authority, clients) = (
        Fake::start(World::new()),
        Authority::new("CA"),
        Authority::new("Client CA"),
    );
    let asking = |of: &Authority| {
        of.server()
            .serves_with(rustls::ALL_VERSIONS, Some((clients.roots(), true)))
    };
    let server = Front::before(asking(&authority), &misp.url());
    let proxy = Forward::start().knows("localhost", &server.url());
    let front = Front::before(asking(&authority), &proxy.url("http", ""));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), clients.signs(named("cortex", &[])).file()).unwrap();
    let mut config = json!({"proxy_https": front.url().trim_end_matches('/'), "cacerts": authority.pem(), "client_cert_path": file.path()});
    insta::assert_snapshot!(failure(&report(&job(&server.url(), &config))), @r#""client_cert_path" does not go with a proxy that is itself spoken to over TLS, which would be shown the certificate: write the proxy as http://"#);
    assert!(proxy.asked().is_empty());
    config["proxy_https"] = json!(proxy.url("http", ""));
    assert_eq!(version(&report(&job(&server.url(), &config))), "2.5.1");
}

#[test]
fn a_proxy_that_sends_back_the_password_does_not_defeat_the_scrubber() {
    let secured = Secured::new();
    for form in ["canary/Word+1", "dXNlcjpjYW5hcnkvV29yZCsx"]
        .iter()
        .flat_map(|secret| forms(secret))
    {
        let refusal = format!("500 {form}\r\nProxy-Authenticate: {form}\r\nVia: {form}");
        let proxy = Forward::start().refusing(&refusal);
        let url = proxy.url("http", "user:canary%2FWord+1");
        for (server, scheme) in [("https://misp.test", "https"), ("http://misp.test", "http")] {
            let mut job = secured.job(&json!({"proxy": {scheme: url}}));
            job["config"]["url"] = json!([server]);
            let text = said(&proxy, &job).to_lowercase();
            assert!(
                !text.contains(&form.to_lowercase()) && !text.contains("dxnlcjpjyw5hcnkvv29yzcsx"),
                "{text}"
            );
        }
    }
}
