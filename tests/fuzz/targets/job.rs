//! A job as anybody may write it: read as both workers read it, and worked on with a feed as the only connection.
#![no_main]

use cortex_misp::config::{self, OptionSource};
use cortex_misp::cortex::job::Job;
use cortex_misp::export::{self, Export};
use cortex_misp::import::{self, Import};
use cortex_misp::runtime::report_without_waiting;
use cortex_misp::worker::Worker;
use cortex_misp_fuzz::{config, judge};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(job) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(read) = Job::new(job.clone(), Export::DATA_TYPES) {
        drop(read.check_markings());
        drop(
            config::parse_options::<export::Config>(&read.config, OptionSource::Configuration)
                .map(|(config, _)| config.connections.to_connections(&[])),
        );
    }
    if let Ok(read) = Job::new(job.clone(), Import::DATA_TYPES) {
        drop(
            config::parse_options::<import::Config>(&read.config, OptionSource::Configuration)
                .map(|(config, _)| config.connections.to_connections(&[])),
        );
    }
    // Nothing of the job's own configuration is used here: it could lead anywhere.
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job;
    let Some(parts) = job.as_object_mut() else {
        return;
    };
    parts.insert("config".to_owned(), config(folder.path()));
    judge(&report_without_waiting::<Export>(job.clone()));
    judge(&report_without_waiting::<Import>(job));
});
