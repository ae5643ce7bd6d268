//! Servers behind TLS: every way of trusting one, every way in which it fails, and what is said of that.

mod certificates;
mod front;

use serde_json::json;

pub(crate) use self::certificates::Authority;
pub(crate) use self::front::Front;
use crate::misp::{Fake, World, key};
use crate::program::{Program, full};

#[test]
fn an_authority_given_by_cert_path_is_trusted() {
    let (misp, authority) = (Fake::start(World::new()), Authority::new("Example CA"));
    let front = Front::before(authority.server().serves(), &misp.url());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let config =
        json!({"name": ["a"], "url": [front.url()], "key": [key("admin")], "cert_path": [file.path().to_str()]});
    let report = Program::Import.report(&json!({"dataType": "other", "data": "misp:sync", "config": config}));
    assert_eq!(full(&report)["connections"][0]["version"], "2.5.1");
}
