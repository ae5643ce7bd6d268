//! Servers behind TLS: the certificate that was shown, how long it holds, and what is not looked at without one.

use rcgen::CertificateParams;
use serde_json::{Value, json};

use super::{config, nothing_was_changed, told};
use crate::connections::tls::{Authority, Front};
use crate::misp::{Fake, World};
use crate::program::{Program, search};

/// A configuration for what stands at this address, trusting this authority by `cacerts`.
fn behind(misp: &Fake, front: &Front, authority: Option<&Authority>) -> Value {
    let url = format!("https://localhost:{}", front.address().port());
    let mut config = config(misp, "partner", &json!({"url": [url]}));
    config["cacerts"] = json!(authority.map(Authority::pem));
    config
}

#[test]
fn a_certificate_is_told_and_its_last_days_are_a_warning() {
    let (misp, authority) = (Fake::start(World::new()), Authority::new("Example CA"));
    let line = |days: i64| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after =
            (std::time::SystemTime::now() + std::time::Duration::from_secs(3_600)).into();
        params.not_after += std::time::Duration::from_secs(86_400 * days.unsigned_abs());
        let front = Front::before(authority.signs(params).serves(), &misp.url());
        let told = told(
            Program::Export,
            &behind(&misp, &front, Some(&authority)),
            false,
        );
        assert_eq!(told.line("corp", "version"), "ok: MISP 2.5.1");
        told.line("corp", "connection")
    };
    let near = line(20);
    assert!(
        near.starts_with("warning: https://localhost:")
            && near.contains(", by CN=Example CA, valid until 2"),
        "{near}"
    );
    assert!(
        near.ends_with("; that is in 20 days, replace it in time"),
        "{near}"
    );
    let far = line(22);
    assert!(
        far.starts_with("ok: https://localhost:") && !far.contains("replace"),
        "{far}"
    );
    nothing_was_changed(&misp);
}

#[test]
fn without_trust_nothing_is_sent_and_the_line_says_why() {
    let (misp, authority) = (Fake::start(World::new()), Authority::new("Example CA"));
    let front = Front::before(authority.server().serves(), &misp.url());
    let told = told(Program::Import, &behind(&misp, &front, None), true);
    let line = told.line("corp", "connection");
    assert!(
        line.starts_with("failed: ") && line.contains("not trusted here (CN=Example CA)"),
        "{line}"
    );
    assert_eq!(
        told.line("corp", "not looked at"),
        "skipped: version, key, permissions, clock, names"
    );
    assert!(misp.requests().is_empty());
}

#[test]
fn a_file_of_certificates_that_cannot_be_read_is_a_warning() {
    let (misp, authority) = (Fake::start(World::new()), Authority::new("Example CA"));
    let front = Front::before(authority.server().serves(), &misp.url());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("input")).unwrap();
    let job = json!({"config": behind(&misp, &front, None)});
    std::fs::write(folder.path().join("input/input.json"), job.to_string()).unwrap();
    std::fs::write(folder.path().join("input/cacerts"), "no certificate").unwrap();
    let output = Program::Import
        .command()
        .arg("check")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    search(&job, &text);
    assert!(
        text.contains("WARNING  network ") && text.contains("cacerts"),
        "{text}"
    );
}
