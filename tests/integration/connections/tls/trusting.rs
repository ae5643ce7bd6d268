//! The ways in which a server comes to be trusted.

use std::fs;
use std::sync::Arc;

use cortex_misp::config::TimeLimits;
use cortex_misp::http::ServerAccess;
use cortex_misp::http::{Client, Endpoint, HttpContext, ServerCertificate};
use cortex_misp::report::RunReport;
use cortex_misp::time::Clock;
use rcgen::{BasicConstraints, IsCa, date_time_ymd};
use rustls::version::{TLS12, TLS13};
use serde_json::{Map, json};
use url::Url;

use super::certificates::{named, self_signed};
use super::{Authority, Secured, assert_reached, report_in};
use crate::alerts::writing::desk::Desk;
use crate::program::{Program, full};

#[test]
fn an_authority_given_in_any_of_four_ways_is_trusted() {
    let authority = Authority::new("Example CA");
    let all = Secured::new(&authority.server().serves());
    let (file, misp) = (all.file("ca.pem", &authority.pem()), &all.desk.misp);
    assert_reached(
        &Program::Import.report(&all.job(json!({"cert_path": [file]}))),
        misp,
    );
    assert_reached(
        &Program::Import.report(&all.job(json!({"cacerts": authority.pem()}))),
        misp,
    );
    let job = all.folder.path().join("job");
    fs::create_dir_all(job.join("input")).unwrap();
    fs::write(job.join("input/cacerts"), authority.pem()).unwrap();
    assert_reached(&Program::Import.folder(&all.job(json!({})), &job), misp);
    assert_reached(
        &report_in(&all.job(json!({})), &[("REQUESTS_CA_BUNDLE", file.clone())]),
        misp,
    );
    let folder = all.folder.path().join("authorities");
    fs::create_dir(&folder).unwrap();
    fs::copy(&file, folder.join("one.pem")).unwrap();
    fs::write(folder.join("README"), "no certificate").unwrap();
    assert_reached(
        &Program::Import.report(&all.job(json!({"cert_path": [folder]}))),
        misp,
    );
    assert_reached(
        &report_in(&all.job(json!({})), &[("REQUESTS_CA_BUNDLE", folder)]),
        misp,
    );
    assert_reached(
        &report_in(&all.job(json!({})), &[("SSL_CERT_FILE", file)]),
        misp,
    );
}

#[test]
fn thehive_is_trusted_by_the_authorities_of_cortex() {
    let authority = Authority::new("Example CA");
    let new = || Secured::new(&authority.server().serves());
    let all = new();
    assert_reached(
        &Program::Import.report(&all.to_thehive(json!({"cacerts": authority.pem()}))),
        &all.desk.thehive,
    );
    let (all, bundle) = (new(), all.file("ca.pem", &authority.pem()));
    assert_reached(
        &report_in(
            &all.to_thehive(json!({})),
            &[("REQUESTS_CA_BUNDLE", bundle)],
        ),
        &all.desk.thehive,
    );
    let all = new();
    let job = all.folder.path().join("job");
    fs::create_dir_all(job.join("input")).unwrap();
    fs::write(job.join("input/cacerts"), authority.pem()).unwrap();
    assert_reached(
        &Program::Import.folder(&all.to_thehive(json!({})), &job),
        &all.desk.thehive,
    );
}

#[test]
fn authorities_of_cortex_that_cannot_be_read_are_a_warning() {
    let authority = Authority::new("Example CA");
    let all = Secured::new(&authority.server().serves());
    let file = all.file("ca.pem", &authority.pem());
    let said = |bundle: &str, content: &str| {
        let bundle = all.file(bundle, content);
        let report = report_in(
            &all.job(json!({"cert_path": [file]})),
            &[("REQUESTS_CA_BUNDLE", bundle)],
        );
        assert_reached(&report, &all.desk.misp);
        all.placed(full(&report)["warnings"][0].as_str().unwrap())
    };
    insta::assert_snapshot!(said("empty.pem", "no certificate"), @"the environment variable REQUESTS_CA_BUNDLE: reading the certificates in FOLDER/empty.pem: there is no certificate in PEM form in it: mend that, or give none there");
    insta::assert_snapshot!(said("cut.pem", authority.pem().get(..200).unwrap()), @"the environment variable REQUESTS_CA_BUNDLE: reading the certificates in FOLDER/cut.pem: a certificate in it is broken or cut off: mend that, or give none there");
    let nowhere = all.folder.path().join("nowhere.pem");
    let report = report_in(
        &all.job(json!({"cert_path": [file]})),
        &[("REQUESTS_CA_BUNDLE", nowhere)],
    );
    insta::assert_snapshot!(all.placed(full(&report)["warnings"][0].as_str().unwrap()), @"the environment variable REQUESTS_CA_BUNDLE: reading the certificates in FOLDER/nowhere.pem: No such file or directory (os error 2): mend that, or give none there");
    let job = all.folder.path().join("job");
    fs::create_dir_all(job.join("input/cacerts")).unwrap();
    let report = Program::Import.folder(&all.job(json!({"cert_path": [file]})), &job);
    insta::assert_snapshot!(all.placed(full(&report)["warnings"][0].as_str().unwrap()), @r#"Cortex's "cacerts": reading the certificates in FOLDER/job/input/cacerts: no file in this folder holds a certificate in PEM form: mend that, or give none there"#);
}

/// Neither a pipe, nor a device without end, nor a folder with such things may keep us.
#[test]
fn files_of_the_environment_that_never_end_are_a_warning() {
    let authority = Authority::new("Example CA");
    let all = Secured::new(&authority.server().serves());
    let file = all.file("ca.pem", &authority.pem());
    let (pipe, junk) = (
        all.folder.path().join("pipe"),
        all.folder.path().join("junk"),
    );
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    fs::create_dir(&junk).unwrap();
    std::os::unix::fs::symlink("/dev/zero", junk.join("zero.pem")).unwrap();
    fs::File::create(junk.join("huge.pem"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(junk.join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let nowhere = all.folder.path().join("nowhere");
    let mut said = Vec::new();
    for (name, path) in [
        ("SSL_CERT_FILE", nowhere.clone()),
        ("SSL_CERT_DIR", nowhere),
        ("REQUESTS_CA_BUNDLE", "/dev/zero".into()),
        ("REQUESTS_CA_BUNDLE", pipe),
        ("REQUESTS_CA_BUNDLE", junk.clone()),
    ] {
        let report = report_in(&all.job(json!({"cert_path": [file]})), &[(name, path)]);
        assert_reached(&report, &all.desk.misp);
        said.push(all.placed(full(&report)["warnings"][0].as_str().unwrap()));
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    the system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR: failed to read PEM from file: No such file or directory (os error 2) at 'FOLDER/nowhere': mend that
    the system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR: opening directory: No such file or directory (os error 2) at 'FOLDER/nowhere': mend that
    the environment variable REQUESTS_CA_BUNDLE: reading the certificates in /dev/zero: it is no regular file: mend that, or give none there
    the environment variable REQUESTS_CA_BUNDLE: reading the certificates in FOLDER/pipe: it is no regular file: mend that, or give none there
    the environment variable REQUESTS_CA_BUNDLE: reading the certificates in FOLDER/junk: no file in this folder holds a certificate in PEM form: mend that, or give none there
    ");
    // What is good in such a folder is taken.
    fs::copy(&file, junk.join("good.pem")).unwrap();
    assert_reached(
        &report_in(&all.job(json!({})), &[("REQUESTS_CA_BUNDLE", junk)]),
        &all.desk.misp,
    );
    let good = all.folder.path().join("good");
    fs::create_dir(&good).unwrap();
    fs::copy(&file, good.join("good.pem")).unwrap();
    assert_reached(
        &report_in(&all.job(json!({})), &[("SSL_CERT_DIR", good)]),
        &all.desk.misp,
    );
}

/// As `openssl req -x509` makes one: it signed itself, and says that it is an authority.
#[test]
fn a_certificate_that_was_itself_given_is_trusted_for_its_names_and_dates() {
    let mut params = named("localhost", &["localhost"]);
    for is_ca in [
        IsCa::Ca(BasicConstraints::Unconstrained),
        IsCa::ExplicitNoCa,
        IsCa::NoCa,
    ] {
        params.is_ca = is_ca;
        let own = self_signed(&params);
        let all = Secured::new(&own.serves());
        let file = all.file("own.pem", &own.pem);
        assert_reached(
            &Program::Import.report(&all.job(json!({"cert_path": [file]}))),
            &all.desk.misp,
        );
        assert_reached(
            &Program::Import.report(&all.to_thehive(json!({"cacerts": own.pem}))),
            &all.desk.thehive,
        );
        let address = all.misp.url().replace("localhost", "127.0.0.1");
        let said = all.refused(&all.job(json!({"cert_path": [file], "url": [address]})));
        assert!(
            said.contains("is for another host name: it is for localhost, not for 127.0.0.1"),
            "{said}"
        );
    }
    params.not_after = date_time_ymd(2020, 1, 1);
    let own = self_signed(&params);
    let all = Secured::new(&own.serves());
    let said = all.refused(&all.job(json!({"cert_path": [all.file("own.pem", &own.pem)]})));
    assert!(said.contains("expired on 2020-01-01 00:00 UTC"), "{said}");
}

#[test]
fn a_certificate_that_was_itself_given_needs_no_authority() {
    let server = Authority::new("Example CA").server();
    let all = Secured::new(&server.serves());
    assert_reached(
        &Program::Import.report(&all.job(json!({"cacerts": server.pem}))),
        &all.desk.misp,
    );
    let other = Authority::new("Example CA").server();
    let said = all.refused(&all.job(json!({"cacerts": other.pem})));
    assert!(
        said.contains("an authority that is not trusted here (CN=Example CA)"),
        "{said}"
    );
}

#[test]
fn a_chain_leads_to_the_authority_above() {
    let root = Authority::new("Example Root");
    let (below, certificate) = root.below("Example Issuing");
    let mut server = below.server();
    server.chain.push(certificate);
    let all = Secured::new(&server.serves());
    assert_reached(
        &Program::Import.report(&all.job(json!({"cacerts": root.pem()}))),
        &all.desk.misp,
    );
    let said = all.refused(&all.job(json!({})));
    assert!(said.contains("(CN=Example Root)"), "{said}");
}

#[test]
fn servers_of_one_version_of_tls_are_spoken_to() {
    let authority = Authority::new("Example CA");
    for version in [&TLS12, &TLS13] {
        let all = Secured::new(&authority.server().serves_with(&[version], None));
        assert_reached(
            &Program::Import.report(&all.job(json!({"cacerts": authority.pem()}))),
            &all.desk.misp,
        );
    }
}

#[test]
fn unchecked_certificates_are_taken_with_a_warning() {
    let mut params = named("elsewhere", &["elsewhere.example"]);
    params.not_after = date_time_ymd(2020, 1, 1);
    let old = super::certificates::of_file("fixtures/tls/version-1.pem");
    for version in [&TLS12, &TLS13] {
        for config in [
            self_signed(&params).serves_with(&[version], None),
            old(&[version]),
        ] {
            let all = Secured::new(&config);
            let report = Program::Import.report(&all.job(json!({"cert_check": "no"})));
            assert_reached(&report, &all.desk.misp);
            let warning = "connection \"partner\": the server's certificate is not checked (\"cert_check\" is false)";
            assert!(
                full(&report)["warnings"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(warning)),
                "{report:#}"
            );
            assert!(!all.refused(&all.job(json!({}))).is_empty());
        }
    }
}

/// The doctor shows it.
#[test]
fn what_a_server_shows_is_kept_be_it_trusted_or_not() {
    let mut params = named("localhost", &["localhost", "misp.example.org"]);
    params.not_after = date_time_ymd(2020, 1, 1);
    let all = Secured::new(&Authority::new("Example CA").signs(params).serves());
    let run = RunReport::default();
    let limits = TimeLimits {
        deadline_minutes: 1,
        connect_timeout: 5,
        read_timeout: 5,
    };
    let network = HttpContext::new(
        limits.timeouts(),
        &Map::new(),
        None,
        Clock::start(1).without_waiting(),
        run.http_context(),
    );
    let url = Url::parse(&format!("{}/", all.misp.url())).unwrap();
    let (headers, user_agent) = (Vec::new(), "test".to_owned());
    for cert_check in [true, false] {
        let access = ServerAccess {
            cert_check,
            ..ServerAccess::default()
        };
        let origin = Endpoint {
            url: &url,
            headers: headers.clone(),
            user_agent: user_agent.clone(),
            access: &access,
        };
        let client = Client::new(&origin, &network, Arc::new(run.clone())).unwrap();
        assert_eq!(client.server_certificate(), None);
        let answered = client.get("servers/getVersion");
        // A MISP refuses who has no key, but only once the certificate is passed over.
        assert_eq!(
            answered.err().and_then(|failure| failure.status()),
            (!cert_check).then_some(403)
        );
        let shown = ServerCertificate {
            subject: "CN=localhost".to_owned(),
            issuer: "CN=Example CA".to_owned(),
            names: vec!["localhost".to_owned(), "misp.example.org".to_owned()],
            not_before: 157_766_400,
            not_after: 1_577_836_800,
        };
        assert_eq!(client.server_certificate(), Some(shown));
    }
}

#[test]
fn authorities_that_are_none_are_told_also_where_nothing_is_encrypted() {
    for desk in Desk::small(1) {
        let told = desk
            .with(json!({"cacerts": "/etc/ssl/ca.pem"}))
            .import()
            .to_string();
        assert!(
            told.contains("there is no certificate in PEM form in it"),
            "{told}"
        );
        assert!(told.contains("1 alert created"), "{told}");
    }
}
