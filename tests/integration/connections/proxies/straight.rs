//! Which way is taken: the connection's own, Cortex's, the environment's, or none.

use std::sync::Arc;
use std::time::Duration;

use cortex_misp::config::TimeLimits;
use cortex_misp::http::{Client, Endpoint, HttpContext, RequestObserver};
use cortex_misp::http::{ProxyChoice, ServerAccess};
use cortex_misp::report::RunReport;
use cortex_misp::secret::Secret;
use cortex_misp::time::Clock;
use serde_json::{Value, json};
use url::Url;

use super::{job, report, version};
use crate::forward::Forward;
use crate::misp::{Fake, World, key};
use crate::program::{Program, failure};

#[test]
fn the_environments_proxy_is_taken_where_cortex_names_none() {
    let misp = Fake::start(World::new());
    let proxy = Forward::start().knows("misp.test", &misp.url());
    let url = proxy.url("http", "user:pass-word");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let mut environment = vec![("NO_PROXY", ""), ("HTTP_PROXY", ""), ("all_proxy", "")];
        environment.retain(|(known, _)| *known != name);
        environment.push((name, &url));
        let before = proxy.asked().len();
        let report = Program::Import.report_in(
            &environment,
            &job("http://misp.test", &json!({"proxy": {"http": null}})),
        );
        assert_eq!(version(&report), "2.5.1", "{name}");
        assert!(proxy.asked().len() > before, "{name}");
        assert!(!report.to_string().contains("pass-word"));
    }
    let before = proxy.asked().len();
    let other = Forward::start().knows("misp.test", &misp.url());
    let config = json!({"proxy_http": other.url("http", "")});
    Program::Import.report_in(
        &[("NO_PROXY", ""), ("HTTP_PROXY", &url)],
        &job("http://misp.test", &config),
    );
    assert_eq!(
        (proxy.asked().len(), other.asked().is_empty()),
        (before, false)
    );
}

/// The fake has an address only, which the proxy can reach as well: what it was asked for tells the ways apart.
#[test]
fn no_proxy_names_servers_by_suffix_address_and_network() {
    let misp = Fake::start(World::new());
    let url = misp.url().replace("127.0.0.1", "localhost");
    let port = misp.url().rsplit(':').next().unwrap().to_owned();
    let proxy = Forward::start().knows("localhost", &misp.url());
    let config = json!({"proxy": {"http": proxy.url("http", "")}});
    let is_straight = |url: &str, no_proxy: (&str, &str)| {
        let before = proxy.asked().len();
        let environment = [("NO_PROXY", ""), no_proxy];
        assert_eq!(
            version(&Program::Import.report_in(&environment, &job(url, &config))),
            "2.5.1"
        );
        proxy.asked().len() == before
    };
    for (no_proxy, expected) in [
        ("", false),
        ("*", true),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("10.0.0.0/8, 127.0.0.0/8", true),
        ("10.0.0.0/8 192.0.2.1", false),
        (&format!("127.0.0.1:{port}"), true),
        ("127.0.0.1:1", false),
    ] {
        assert_eq!(
            is_straight(&misp.url(), ("NO_PROXY", no_proxy)),
            expected,
            "{no_proxy}"
        );
    }
    for (no_proxy, expected) in [
        ("example.org,localhost", true),
        ("alhost", false),
        (".LOCALHOST", true),
    ] {
        assert_eq!(
            is_straight(&url, ("no_proxy", no_proxy)),
            expected,
            "{no_proxy}"
        );
    }
}

struct Nobody;

impl RequestObserver for Nobody {
    fn on_request(&self) {}
    fn on_retry(&self, _: &str) {}
    fn on_warning(&self, _: String) {}
}

/// A client of `misp.test` with a way of its own, in a job with this configuration.
fn client(url: &str, proxy: ProxyChoice, config: &Value) -> anyhow::Result<Client> {
    let limits = TimeLimits {
        deadline_minutes: 1,
        connect_timeout: 5,
        read_timeout: 5,
    };
    let clock = Clock::start_with_limit(Some(Duration::from_secs(60))).without_waiting();
    let network = HttpContext::new(
        limits.timeouts(),
        config.as_object().unwrap(),
        None,
        clock,
        RunReport::default().http_context(),
    );
    let access = ServerAccess {
        proxy: Some(proxy),
        ..ServerAccess::default()
    };
    let (url, headers) = (
        Url::parse(url).unwrap(),
        vec![("authorization", Secret::new(&key("admin")))],
    );
    let origin = Endpoint {
        url: &url,
        headers,
        user_agent: "MISP test".to_owned(),
        access: &access,
    };
    Client::new(&origin, &network, Arc::new(Nobody))
}

#[test]
fn a_connections_own_proxy_comes_first() {
    let misp = Fake::start(World::new());
    let proxy = Forward::start()
        .knows("misp.test", &misp.url())
        .for_user("user:pass-word");
    let cortex = json!({"proxy": {"http": "http://nowhere.invalid:1"}});
    let own = ProxyChoice::Through(Secret::new(&proxy.url("http", "user:pass-word")));
    let client_of = client("http://misp.test/", own, &cortex).unwrap();
    assert_eq!(
        client_of.describe_proxy().unwrap(),
        format!("{} (proxy of the connection)", proxy.url("http", ""))
    );
    client_of.get("servers/getVersion").unwrap();
    assert_eq!(
        proxy.asked()[0].what,
        "GET http://misp.test/servers/getVersion"
    );
    let straight = client(&format!("{}/", misp.url()), ProxyChoice::Direct, &cortex).unwrap();
    assert_eq!(straight.describe_proxy(), None);
    straight.get("servers/getVersion").unwrap();
    assert_eq!((proxy.asked().len(), misp.requests().len()), (1, 2));
}

#[test]
fn what_is_no_proxy_is_named_by_where_it_was_given_and_never_shown() {
    let mut said = Vec::new();
    for url in [
        "http://user:pass-word@",
        "ftp://user:pass-word@proxy",
        "http://user:pass/word@proxy",
        "proxy:port",
        "http://u:p@ss#w@proxy",
    ] {
        let config = json!({"proxy": {"http": url}});
        said.push(failure(&report(&job("http://misp.test", &config))).to_owned());
    }
    let environment = [
        ("NO_PROXY", ""),
        ("http_proxy", "gopher://user:pass-word@proxy"),
    ];
    said.push(
        failure(&Program::Import.report_in(&environment, &job("http://misp.test", &json!({}))))
            .to_owned(),
    );
    let own = client(
        "http://misp.test/",
        ProxyChoice::Through(Secret::new("x://u:pass-word@h")),
        &json!({}),
    );
    said.push(own.err().unwrap().to_string());
    assert!(
        !["s-word", "s/word", "ss#w"]
            .iter()
            .any(|part| said.join("").contains(part))
    );
    insta::assert_snapshot!(said.join("\n"), @r#"
    configuration item "proxy_http" is no URL (empty host): write it as http://host:port, or with https, socks5 or socks5h
    configuration item "proxy_http" has the scheme ftp: write it as http://host:port, or with https, socks5 or socks5h
    configuration item "proxy_http" is no URL (invalid port number): write it as http://host:port, or with https, socks5 or socks5h
    configuration item "proxy_http" is no URL (invalid port number): write it as http://host:port, or with https, socks5 or socks5h
    configuration item "proxy_http" goes on behind the host: write it as http://host:port, or with https, socks5 or socks5h, and a /, ? or # in a password as %2F, %3F or %23
    environment variable HTTP_PROXY has the scheme gopher: write it as http://host:port, or with https, socks5 or socks5h
    "proxy" of the connection has the scheme x: write it as http://host:port, or with https, socks5 or socks5h
    "#);
}
