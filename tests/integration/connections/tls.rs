//! Servers behind TLS: every way of trusting one, every way in which it fails, and what is said of that.

mod certificates;
mod clients;
mod failing;
mod front;
mod trusting;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::certificates::{Authority, named, self_signed};
pub(crate) use self::front::Front;
use crate::alerts::writing::desk::Desk;
use crate::http_fake::{Server, Site};
use crate::program::{Program, failure, full, judged, search};

/// A MISP with one event and a TheHive, both plain, and before each a front with the same certificate.
struct Secured {
    desk: Desk,
    misp: Front,
    thehive: Front,
    folder: TempDir,
}

impl Secured {
    fn new(config: &Arc<ServerConfig>) -> Self {
        let [_, desk] = Desk::small(1);
        let misp = Front::before(Arc::clone(config), &desk.misp.url());
        let thehive = Front::before(Arc::clone(config), &desk.thehive.url());
        Self {
            desk,
            misp,
            thehive,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A file of this content.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    /// An import from the MISP behind its front, without a TheHive.
    fn job(&self, more: Value) -> Value {
        let mut config = self.desk.job()["config"].take();
        let items = config.as_object_mut().unwrap();
        items.retain(|item, _| !item.starts_with("thehive_"));
        items.insert("url".to_owned(), json!([self.misp.url()]));
        laid(config, more)
    }

    /// An import from the plain MISP into the TheHive behind its front.
    fn to_thehive(&self, more: Value) -> Value {
        let job = laid(
            self.desk.job()["config"].take(),
            json!({"thehive_url": self.thehive.url()}),
        );
        laid(job["config"].clone(), more)
    }

    /// What is said of a server that is not trusted. It has seen nothing, the key least of all.
    fn refused(&self, job: &Value) -> String {
        self.desk.misp.forget_requests();
        let report = Program::Import.report(job);
        let is_of_misp = job["config"]["url"][0] == self.misp.url();
        assert!(
            !is_of_misp || self.desk.misp.requests().is_empty(),
            "{:?}",
            self.desk.misp.requests()
        );
        assert!(
            self.desk.thehive.requests().is_empty(),
            "{:?}",
            self.desk.thehive.requests()
        );
        self.placed(failure(&report))
    }

    /// A text whose ports and paths are the same in every run.
    fn placed(&self, text: &str) -> String {
        let ports =
            [&self.misp, &self.thehive].map(|front| format!(":{}/", front.address().port()));
        let text = ports
            .iter()
            .fold(text.to_owned(), |text, port| text.replace(port, ":PORT/"));
        text.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// A job of this configuration, other items laid over it.
fn laid(mut config: Value, more: Value) -> Value {
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config})
}

/// Runs in an environment with these variables.
fn report_in(job: &Value, environment: &[(&str, PathBuf)]) -> Value {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Program::Import.command();
    command
        .arg(empty.path())
        .envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(job.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    search(job, &String::from_utf8_lossy(&output.stdout));
    judged(Program::Import, &output.stdout)
}

/// That a report is of a MISP that was reached, and of a TheHive if one was given.
fn assert_reached<S: Site>(report: &Value, server: &Server<S>) {
    let full = full(report);
    assert_eq!(
        (
            &full["connections"][0]["version"],
            &full["ledger"]["events"]["created"]
        ),
        (&json!("2.5.1"), &json!(1))
    );
    assert!(!server.requests().is_empty());
    server.forget_requests();
}
