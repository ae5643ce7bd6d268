//! Servers behind a proxy: the traffic goes through it and nowhere else, and what a proxy refuses is explained.

mod explained;
mod straight;

use serde_json::{Value, json};

use crate::connections::tls::{Authority, Front, named};
use crate::forward::Forward;
use crate::misp::{Fake, World, key};
use crate::program::{Program, full};

/// A job for a MISP of this URL.
pub(crate) fn job(url: &str, more: &Value) -> Value {
    let mut config = json!({"name": ["a"], "url": [url], "key": [key("admin")]});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": "other", "data": "misp:sync", "config": config})
}

/// The report on a job in an environment that sends nothing straight.
fn report(job: &Value) -> Value {
    Program::Import.report_in(&[("NO_PROXY", "")], job)
}

/// The version that a good report names.
fn version(report: &Value) -> &Value {
    &full(report)["connections"][0]["version"]
}

/// A MISP behind TLS, the proxy that alone knows it as `misp.test`, and the configuration that trusts it.
pub(crate) struct Secured {
    pub(crate) misp: Fake,
    front: Front,
    pub(crate) authority: Authority,
}

impl Secured {
    pub(crate) fn new() -> Self {
        let (misp, authority) = (Fake::start(World::new()), Authority::new("Example CA"));
        let front = Front::before(
            authority.signs(named("misp.test", &["misp.test"])).serves(),
            &misp.url(),
        );
        Self {
            misp,
            front,
            authority,
        }
    }

    pub(crate) fn known_to(&self, proxy: Forward) -> Forward {
        proxy.knows("misp.test", &self.front.url())
    }

    pub(crate) fn job(&self, more: &Value) -> Value {
        let mut job = job("https://misp.test", more);
        job["config"]["cacerts"] = json!(self.authority.pem());
        job
    }
}

/// That every request came through the proxy, with who asked.
fn came_through(proxy: &Forward, requests: usize, who: &str) {
    let asked = proxy.asked();
    assert!(!asked.is_empty() && requests > 0);
    assert!(
        asked
            .iter()
            .all(|one| one.who == who && one.what.contains("misp.test")),
        "{asked:?}"
    );
}

#[test]
fn plain_http_goes_through_the_proxy_of_cortex_with_its_password() {
    let misp = Fake::start(World::new());
    let proxy = Forward::start()
        .knows("misp.test", &misp.url())
        .for_user("us er:p@ss/word");
    let url = proxy.url("http", "us%20er:p%40ss%2Fword");
    for config in [
        json!({"proxy": {"http": url}, "proxy_http": "http://nowhere.invalid"}),
        json!({"proxy_http": url}),
    ] {
        assert_eq!(
            version(&report(&job("http://misp.test/", &config))),
            "2.5.1"
        );
        came_through(&proxy, misp.requests().len(), "Basic dXMgZXI6cEBzcy93b3Jk");
    }
    assert_eq!(proxy.asked().len(), misp.requests().len());
    // It is the proxy's affair, and no server's.
    assert!(
        misp.requests()
            .iter()
            .all(|request| request.header("proxy-authorization").is_none())
    );
}

#[test]
fn https_goes_through_a_tunnel_and_only_there() {
    let secured = Secured::new();
    let proxy = secured
        .known_to(Forward::start())
        .for_user("user:pass-word");
    let config = json!({"proxy": {"https": proxy.url("http", "user:pass-word"), "http": "http://nowhere.invalid"}});
    assert_eq!(version(&report(&secured.job(&config))), "2.5.1");
    assert!(
        proxy
            .asked()
            .iter()
            .all(|one| one.what == "CONNECT misp.test:443"),
        "{:?}",
        proxy.asked()
    );
    came_through(
        &proxy,
        secured.misp.requests().len(),
        "Basic dXNlcjpwYXNzLXdvcmQ=",
    );
}

#[test]
fn socks_proxies_are_spoken_to() {
    let secured = Secured::new();
    let proxy = secured
        .known_to(Forward::start())
        .knows("plain.test", &secured.misp.url())
        .for_user("user:pa:ss");
    let url = proxy.url("socks5h", "user:pa%3Ass");
    let config = json!({"proxy": {"https": url, "http": url}});
    assert_eq!(version(&report(&secured.job(&config))), "2.5.1");
    assert_eq!(
        version(&report(&job("http://plain.test", &config))),
        "2.5.1"
    );
    let mut asked: Vec<_> = proxy
        .asked()
        .into_iter()
        .map(|one| format!("{} {}", one.what, one.who))
        .collect();
    asked.dedup();
    assert_eq!(
        asked,
        [
            "SOCKS misp.test:443 user:pa:ss",
            "SOCKS plain.test:80 user:pa:ss"
        ]
    );
}
