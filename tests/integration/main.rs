//! The integration tests: the real programs against stateful fakes of MISP and TheHive, and the proof that the fake MISP
//! is honest.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "these are tests: a panic is a failure, and the fakes offer more than the tests of one moment use"
)]

mod alerting;
mod alerting_broken;
mod answering;
mod asking;
mod bounds;
mod broken;
mod canaries;
mod cases;
mod chunks;
mod clicked;
mod clicking;
mod closing;
mod connecting;
mod connections;
mod desk;
mod doctor;
mod documents;
mod echoing;
mod exporting;
mod extras_of_exports;
mod fakes;
mod feeds;
mod feeds_of_exports;
mod files_of_exports;
mod filtering;
mod foreign_tags;
mod forward;
mod growth;
mod hive_client;
mod hostile;
mod http_fake;
mod importing;
mod inert;
mod interruptions;
mod large_events;
mod large_files;
mod layers;
mod lifecycle;
mod lines_of_exports;
mod lookup_time;
mod loop_guard;
mod loose_answers;
mod markings;
mod markings_of_exports;
mod max_artifacts;
mod max_new_alerts;
mod misp;
mod moments;
mod not_set;
mod objects_of_exports;
mod odd_fields;
mod pages;
mod program;
mod proxied;
mod proxy;
mod replay;
mod reviewed;
#[path = "../scenarios/mod.rs"]
mod scenarios;
mod scheduling;
mod secrets_in_content;
mod secure;
mod settings_of_exports;
mod state_line;
mod strangers;
mod tags_of_exports;
mod terminal;
mod thehive;
mod types;
mod unreadable;
mod values_of_exports;
mod web_feeds;
