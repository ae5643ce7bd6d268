//! What is said of a server that is not trusted, and of a port that speaks something else.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use serde_json::{Value, json};

use super::certificates::{named, self_signed};
use super::{Authority, Secured};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::key;
use crate::program::{Program, failure};

/// What is said of a server whose certificate comes from a trusted authority, but is made so.
fn of(change: impl FnOnce(&mut CertificateParams)) -> String {
    let authority = Authority::new("Example CA");
    let mut params = named("localhost", &["localhost"]);
    change(&mut params);
    let all = Secured::new(&authority.signs(params).serves());
    all.refused(&all.job(json!({"cacerts": authority.pem()})))
}

#[test]
fn certificates_that_are_none_are_told() {
    let all = Secured::new(&Authority::new("Example CA").server().serves());
    let own = Authority::new("Example CA").server();
    insta::assert_snapshot!(all.refused(&all.job(json!({"cert_path": [all.file("key.pem", &own.key())]}))), @r#"reading the certificates in FOLDER/key.pem ("cert_path"): there is no certificate in PEM form in it"#);
    let broken = own.pem.replace("MII", "M!I");
    insta::assert_snapshot!(all.refused(&all.job(json!({"cert_path": [all.file("broken.pem", &broken)]}))), @r#"reading the certificates in FOLDER/broken.pem ("cert_path"): a certificate in it is broken or cut off"#);
    insta::assert_snapshot!(all.refused(&all.job(json!({"cert_path": [all.folder.path()]}))), @r#"reading the certificates in FOLDER ("cert_path"): no file in this folder holds a certificate in PEM form"#);
    insta::assert_snapshot!(all.refused(&all.job(json!({"cacerts": "/etc/ssl/ca.pem"}))), @r#"reading the certificates in "cacerts": there is no certificate in PEM form in it"#);
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    insta::assert_snapshot!(all.refused(&all.job(json!({"cacerts": other}))), @r#"reading the certificates in "cacerts": a certificate in it is broken or cut off"#);
}

#[test]
fn an_unknown_authority_is_named() {
    let all = Secured::new(&Authority::new("Example CA").server().serves());
    insta::assert_snapshot!(all.refused(&all.job(json!({}))), @r#"GET https://localhost:PORT/servers/getVersion: the server's certificate comes from an authority that is not trusted here (CN=Example CA): give that authority's certificate in "cert_path", or in Cortex's "cacerts""#);
    insta::assert_snapshot!(all.refused(&all.to_thehive(json!({}))), @r#"TheHive: GET https://localhost:PORT/api/v1/status/public: the server's certificate comes from an authority that is not trusted here (CN=Example CA): give that authority's certificate in Cortex's "cacerts""#);
}

#[test]
fn a_self_signed_certificate_is_told_from_an_unknown_authority() {
    let mut params = named("misp.example.org", &["localhost"]);
    let said = [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)].map(|is_ca| {
        params.is_ca = is_ca;
        let all = Secured::new(&self_signed(&params).serves());
        let said = all.refused(&all.job(json!({})));
        (said, all.refused(&all.to_thehive(json!({}))))
    });
    assert_eq!(said[0], said[1]);
    insta::assert_snapshot!(said[0].0, @r#"GET https://localhost:PORT/servers/getVersion: the server's certificate is self-signed (CN=misp.example.org): if it is the right one, it suffices to give this certificate in "cert_path", or in Cortex's "cacerts""#);
    insta::assert_snapshot!(said[0].1, @r#"TheHive: GET https://localhost:PORT/api/v1/status/public: the server's certificate is self-signed (CN=misp.example.org): if it is the right one, it suffices to give this certificate in Cortex's "cacerts""#);
}

#[test]
fn an_authority_that_was_made_anew_is_no_longer_the_same() {
    let all = Secured::new(&Authority::new("Example CA").server().serves());
    let said = all.refused(&all.job(json!({"cacerts": Authority::new("Example CA").pem()})));
    insta::assert_snapshot!(said, @r#"GET https://localhost:PORT/servers/getVersion: the server's certificate was signed by another authority of the same name (CN=Example CA): if that was made anew, give its new certificate in "cert_path", or in Cortex's "cacerts""#);
}

#[test]
fn dates_are_told() {
    insta::assert_snapshot!(of(|params| params.not_after = date_time_ymd(2020, 2, 3)), @"GET https://localhost:PORT/servers/getVersion: the server's certificate expired on 2020-02-03 00:00 UTC: it must be renewed there, or this machine's clock is wrong");
    insta::assert_snapshot!(of(|params| params.not_before = date_time_ymd(2199, 2, 3)), @"GET https://localhost:PORT/servers/getVersion: the server's certificate is valid only from 2199-02-03 00:00 UTC on: that is still to come, or this machine's clock is wrong");
}

#[test]
fn the_names_that_a_certificate_has_are_told() {
    let names = |names: &'static [&str]| of(move |params| *params = named("localhost", names));
    insta::assert_snapshot!(names(&["misp.example.org", "*.corp.example", "192.0.2.7"]), @r#"GET https://localhost:PORT/servers/getVersion: the server's certificate is for another host name: it is for misp.example.org, *.corp.example, 192.0.2.7, not for localhost: correct the host in "url", or the certificate"#);
    insta::assert_snapshot!(names(&["a.example", "b.example", "c.example", "d.example", "e.example", "f.example"]), @r#"GET https://localhost:PORT/servers/getVersion: the server's certificate is for another host name: it is for a.example, b.example, c.example, d.example, e.example and 1 more, not for localhost: correct the host in "url", or the certificate"#);
    insta::assert_snapshot!(names(&[]), @"GET https://localhost:PORT/servers/getVersion: the server's certificate is for no host name at all: it needs localhost as a subject alternative name");
}

#[test]
fn a_certificate_for_clients_is_none_for_servers() {
    insta::assert_snapshot!(of(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), @"GET https://localhost:PORT/servers/getVersion: the server's certificate was not made for servers: its extended key usage needs serverAuth");
}

#[test]
fn the_names_in_a_certificate_are_anyones_words() {
    let canary = key("admin");
    let name = format!("\u{1b}[31m\n{canary} {}", "x".repeat(10_000));
    let all = Secured::new(&self_signed(&named(&name, &["localhost"])).serves());
    let said = all.refused(&all.job(json!({})));
    assert!(
        said.contains("[removed]") && said.len() < 1_000 && !said.contains('\u{1b}'),
        "{said}"
    );
    let names = ["x".repeat(10_000), canary];
    let said = of(|params| *params = named("localhost", &names.each_ref().map(String::as_str)));
    assert!(said.contains("[removed]") && said.len() < 1_000, "{said}");
}

#[test]
fn plain_http_on_a_port_for_tls_and_the_reverse_are_told() {
    let all = Secured::new(&Authority::new("Example CA").server().serves());
    let said =
        |url: String, job: &dyn Fn(Value) -> Value, item: &str, value: fn(String) -> Value| {
            let report = Program::Import.report(&job(json!({item: value(url.clone())})));
            let port = url.rsplit(':').next().unwrap().to_owned();
            failure(&report).replace(&port, "PORT")
        };
    let [misp, thehive] =
        [all.desk.misp.url(), all.desk.thehive.url()].map(|url| url.replace("http:", "https:"));
    insta::assert_snapshot!(said(misp, &|more| all.job(more), "url", |url| json!([url])), @r#"GET https://127.0.0.1:PORT/servers/getVersion: the port speaks plain http: write http:// in "url", or correct the port"#);
    insta::assert_snapshot!(said(thehive, &|more| all.to_thehive(more), "thehive_url", |url| json!(url)), @r#"TheHive: GET https://127.0.0.1:PORT/api/v1/status/public: the port speaks plain http: write http:// in "thehive_url", or correct the port"#);
    let plain = all.misp.url().replace("https:", "http:");
    insta::assert_snapshot!(said(plain, &|more| all.job(more), "url", |url| json!([url])), @"GET http://localhost:PORT/servers/getVersion: the port speaks TLS, or something else that is not http: write https:// in the URL, or correct the port");
    assert!(all.desk.misp.requests().is_empty());
}

/// The pages of nginx, Apache, Go's and Tomcat's servers.
#[test]
fn pages_of_web_servers_about_tls_are_understood() {
    let all = Secured::new(&Authority::new("Example CA").server().serves());
    let said = |page: &str| {
        all.desk.misp.heal();
        let what = What::Status(400, page.to_owned(), "text/html");
        all.desk.misp.fault(Fault {
            on: "/servers/getVersion",
            nth: Nth::Always,
            what,
        });
        let url = all.desk.misp.url();
        let report = Program::Import.report(&all.job(json!({"url": [url]})));
        failure(&report).replace(&url, "URL")
    };
    let pages = [
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        "Client sent an HTTP request to an HTTPS server.\n",
        "Bad Request\r\nThis combination of host and port requires TLS.\r\n",
    ];
    for page in pages {
        insta::allow_duplicates! { insta::assert_snapshot!(said(page), @"GET URL/servers/getVersion: 400: the port speaks TLS: write https:// in the URL, or correct the port") }
    }
    insta::assert_snapshot!(said("<html><center>No required SSL certificate was sent</center></html>"), @r#"GET URL/servers/getVersion: 400: the server demands a client certificate: for MISP, give it in "client_cert_path""#);
    insta::assert_snapshot!(said("<html><center>The SSL certificate error</center></html>"), @"GET URL/servers/getVersion: 400: the server refuses our client certificate: it must be one by an authority that this server trusts");
}
