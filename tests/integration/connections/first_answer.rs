//! What happens before the first answer: waiting, and a proxy. Certificates have tests of their own.

use std::time::Duration;

use cortex_misp::config::connections::Connections;
use cortex_misp::cortex::job::Job;
use cortex_misp::export::Export;
use cortex_misp::import::Import;
use cortex_misp::report::RunReport;
use cortex_misp::runtime::connection_options;
use cortex_misp::time::Clock;
use cortex_misp::worker::{Session, Worker};
use serde_json::json;

use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::{Program, failure};

#[test]
fn a_server_that_never_answers_is_given_up() {
    let misp = Fake::start(World::new());
    misp.fault(Fault {
        on: "/servers/getVersion",
        nth: Nth::Always,
        what: What::Hang,
    });
    let config = json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")], "read_timeout": 1, "connect_timeout": "1"});
    let report = Program::Import
        .report(&json!({"dataType": "other", "data": "misp:sync", "config": config}));
    assert!(
        failure(&report).contains("\"read_timeout\" is too short"),
        "{}",
        failure(&report)
    );
}

/// The deadline is tested in the library, with a clock that has run out already.
#[test]
fn after_the_deadline_nothing_is_sent_and_the_rest_is_told() {
    let misp = Fake::start(World::with_corpus());
    let config = json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")]});
    let run = RunReport::default();
    let over = Clock::start_with_limit(Some(Duration::ZERO));
    let job = json!({"dataType": "other", "data": "misp:sync", "config": config});
    let options = connection_options();
    let job = Job::new(job, Import::DATA_TYPES).unwrap();
    let config =
        serde_json::from_value(json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")]}))
            .unwrap();
    Import::run(
        &Session {
            job: &job,
            connection_options: &options,
            clock: over,
            run: &run,
        },
        &config,
    )
    .unwrap();
    let error = run.draft().full.connections[0].error.clone().unwrap();
    assert!(
        error.contains("not sent: the deadline of the run has passed"),
        "{error}"
    );
    let case = json!({"_id": "~1", "startDate": 1, "tlp": 0, "observables": [{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]});
    let job = Job::new(
        json!({"dataType": "thehive:case", "data": case}),
        Export::DATA_TYPES,
    )
    .unwrap();
    let config =
        serde_json::from_value(json!({"name": ["a"], "url": [misp.url()], "key": [key("admin")]}))
            .unwrap();
    let run = RunReport::default();
    Export::run(
        &Session {
            job: &job,
            connection_options: &options,
            clock: over,
            run: &run,
        },
        &config,
    )
    .unwrap();
    assert!(run.draft().full.ledger.counts().next().is_none());
    let ledger = run.draft().full.connections[0].ledger.to_string();
    assert_eq!(ledger, "observables 1 fetched: 1 failed (1: not sent)");
    assert!(misp.requests().is_empty());
}

#[test]
fn the_configuration_of_the_public_misp_analyzer_is_read_as_it_is() {
    let theirs = json!({"name": ["misp"], "url": ["https://misp.example.org"], "key": ["key"], "cert_check": true, "cert_path": [""]});
    let (lists, warnings) = cortex_misp::config::parse_options::<Connections>(
        theirs.as_object().unwrap(),
        cortex_misp::config::OptionSource::Configuration,
    )
    .unwrap();
    assert_eq!(
        (lists.to_connections(&[]).unwrap().0.len(), warnings.len()),
        (1, 0)
    );
}
