//! The integration tests: the real programs against stateful fakes of MISP and TheHive, and the proof that the fake MISP
//! is honest.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "these are tests: a panic is a failure, and the fakes offer more than the tests of one moment use"
)]

mod alerts;
#[path = "harness/canaries.rs"]
mod canaries;
mod connections;
#[path = "harness/desk.rs"]
mod desk;
mod doctor;
mod documents;
mod exports;
#[path = "harness/fakes/mod.rs"]
mod fakes;
mod feeds;
#[path = "harness/forward.rs"]
mod forward;
#[path = "harness/http_fake.rs"]
mod http_fake;
mod imports;
mod jobs;
mod lookups;
mod markings;
#[path = "harness/misp/mod.rs"]
mod misp;
#[path = "harness/program.rs"]
mod program;
#[path = "harness/proxy.rs"]
mod proxy;
#[path = "harness/replay/mod.rs"]
mod replay;
#[path = "../scenarios/mod.rs"]
mod scenarios;
#[path = "harness/thehive/mod.rs"]
mod thehive;
mod trust;
mod types;
