//! Feeds whose files are somewhere else: no key goes along, so that redirections are followed, within bounds.

use std::fs;

use serde_json::{Value, json};

use super::shelf::{Shelf, url};
use super::{at_once, event, import, uuid};
use crate::connections::tls::{Authority, Front, named};
use crate::http_fake::{Fault, Nth, Server, What};
use crate::program::{counts, failure, full, of};

/// A feed whose manifest is here, and one where its files are; the folders live as long as they.
struct Moved {
    here: Server<Shelf>,
    there: Server<Shelf>,
    _folders: [tempfile::TempDir; 2],
}

fn moved() -> Moved {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let manifest =
        json!({uuid(1): event(folders[1].path(), &uuid(1), &["one.example"])}).to_string();
    fs::write(folders[1].path().join("manifest.json"), manifest).unwrap();
    let (here, there) = (
        Shelf::start(folders[0].path()),
        Shelf::start(folders[1].path()),
    );
    Moved {
        here,
        there,
        _folders: folders,
    }
}

fn redirect(shelf: &Server<Shelf>, on: &'static str, to: String) {
    shelf.fault(Fault {
        on,
        nth: Nth::Always,
        what: What::Redirect(to),
    });
}

#[test]
fn a_feed_without_a_key_is_read_where_its_files_are() {
    let Moved {
        here,
        there,
        _folders,
    } = moved();
    redirect(
        &here,
        "/manifest.json",
        format!("{}manifest.json", url(&there)),
    );
    redirect(
        &here,
        "/5f0e5b5c",
        format!("{}{}.json?signature=canary", url(&there), uuid(1)),
    );
    let report = at_once(import(&url(&here), &json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 1), ("created", 1)])
    );
    assert_eq!(full(&report)["connections"][0]["requests"], 4);
    assert_eq!(there.requests().len(), 2);
    let headers = ["authorization", "cookie", "referer"];
    assert!(
        there
            .requests()
            .iter()
            .all(|asked| headers.iter().all(|name| asked.header(name).is_none()))
    );
    // An address on the same server is one as well.
    here.heal();
    redirect(
        &here,
        "/manifest.json",
        format!("{}manifest.json", url(&there).replace("/feed/", "/old/")),
    );
    redirect(
        &there,
        "/old/manifest.json",
        "../feed/manifest.json".to_owned(),
    );
    redirect(
        &here,
        "/5f0e5b5c",
        format!("{}{}.json", url(&there), uuid(1)),
    );
    let report = at_once(import(&url(&here), &json!({})));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("created", 1)]),
        "{report:#}"
    );
}

#[test]
fn what_is_not_found_elsewhere_is_named_with_both_addresses() {
    let Moved {
        here,
        there,
        _folders,
    } = moved();
    redirect(
        &here,
        "/manifest.json",
        format!("{}gone.json?signature=canary", url(&there)),
    );
    let report = at_once(import(&url(&here), &json!({})));
    let said = failure(&report);
    let both = format!(
        "GET {}manifest.json, redirected to {}gone.json: 404: ",
        url(&here),
        url(&there)
    );
    assert!(
        said.starts_with(&both) && said.contains("is \"url\" the folder of a manifest.json?"),
        "{said}"
    );
    assert!(!report.to_string().contains("canary"));
}

#[test]
fn redirections_without_end_come_to_one() {
    let Moved {
        here,
        there,
        _folders,
    } = moved();
    redirect(
        &here,
        "/manifest.json",
        format!("{}manifest.json", url(&there)),
    );
    redirect(
        &there,
        "/manifest.json",
        format!("{}manifest.json", url(&here)),
    );
    let report = at_once(import(&url(&here), &json!({})));
    assert!(
        failure(&report).contains("after 5 others: nobody follows more"),
        "{report:#}"
    );
    assert_eq!(here.requests().len() + there.requests().len(), 6);
}

#[test]
fn nobody_is_led_from_https_to_http_or_shown_a_certificate_elsewhere() {
    let Moved {
        here,
        there,
        _folders,
    } = moved();
    redirect(
        &here,
        "/manifest.json",
        format!("{}manifest.json", url(&there)),
    );
    let authority = Authority::new("Example CA");
    let front = Front::before(authority.server().serves(), &here.url());
    let secure = format!("{}/feed/", front.url());
    let report = at_once(import(&secure, &json!({"cacerts": authority.pem()})));
    assert!(
        failure(&report).contains("from https to http, which is not followed"),
        "{report:#}"
    );
    let own = tempfile::NamedTempFile::new().unwrap();
    let client = authority.signs(named("client", &[]));
    fs::write(own.path(), client.file()).unwrap();
    let report = at_once(import(
        &url(&here),
        &json!({"client_cert_path": [own.path()]}),
    ));
    assert!(
        failure(&report).contains("which is not followed: give the final URL"),
        "{report:#}"
    );
    assert!(there.requests().is_empty());
    // To https, and from one https to another, it goes on.
    let elsewhere = Front::before(authority.server().serves(), &there.url());
    here.heal();
    for on in ["/manifest.json", "/5f0e5b5c"] {
        let name = if on == "/manifest.json" {
            "manifest.json".to_owned()
        } else {
            format!("{}.json", uuid(1))
        };
        redirect(&here, on, format!("{}/feed/{name}", elsewhere.url()));
    }
    for from in [secure, url(&here)] {
        let report: Value = at_once(import(&from, &json!({"cacerts": authority.pem()})));
        assert_eq!(
            counts(full(&report), "events"),
            of([("fetched", 1), ("created", 1)]),
            "{report:#}"
        );
    }
}
