//! What the programs need as whole processes, in time, memory and requests: `cargo bench --bench programs [-- NAME]`, where
//! NAME is `processes`, `delayed` or `real`. Figures are printed, nothing is asserted about them. With `BLESS=1` they are written
//! into `docs/performance.md` too, which says how it is done.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "a program for people, with the fakes of the tests"
)]

mod delayed;
#[path = "../../tests/integration/harness/http_fake.rs"]
mod http_fake;
#[path = "../../tests/integration/harness/misp/mod.rs"]
mod misp;
mod page;
mod plot;
mod process;
mod processes;
mod real;
#[path = "../../tests/integration/harness/thehive/mod.rs"]
mod thehive;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    if is_wanted("processes") {
        processes::measure();
    }
    if is_wanted("delayed") {
        delayed::measure();
    }
    if is_wanted("real")
        && let Err(why) = real::measure()
    {
        println!("real: {why}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
