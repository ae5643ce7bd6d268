//! The scenarios of `tests/scenarios/` on a real MISP: `MISP_URL=http://127.0.0.1:8080 MISP_KEYS=admin=…,orgadmin=…,user=…,other=…
//! cargo test --locked --test live [name]`. Without the variables it says so and is done.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "these are tests: a panic is a failure, and what is shared with the other tests offers more than is used here"
)]

#[path = "../integration/canaries.rs"]
mod canaries;
#[path = "../integration/http_fake.rs"]
mod http_fake;
#[path = "../integration/misp/mod.rs"]
mod misp;
#[path = "../integration/program.rs"]
mod program;
#[path = "../integration/proxy.rs"]
mod proxy;
#[path = "../integration/replay/mod.rs"]
mod replay;
#[path = "../scenarios/mod.rs"]
mod scenarios;
#[path = "../integration/thehive/mod.rs"]
mod thehive;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use scenarios::{Scenario, World};

/// Where the MISP is, and its users' keys by role.
struct Real {
    url: String,
    keys: BTreeMap<String, String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = arguments.iter().filter(|one| !one.starts_with('-')).collect();
    let is_wanted = |(name, _): &Scenario| names.is_empty() || names.iter().any(|one| name.contains(one.as_str()));
    let contract: Scenario = ("live::contract::a_real_misp_answers_as_the_recorded_one", contract);
    let wanted: Vec<Scenario> = scenarios::all().into_iter().chain([contract]).filter(is_wanted).collect();
    if arguments.iter().any(|one| one == "--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    match Real::given(|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
        Ok(Some(real)) => run(&real, &wanted),
        Ok(None) => {
            println!("live: no MISP was asked for: set MISP_URL and MISP_KEYS, as the README says");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("live: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs scenarios one after the other; each has a world of its own, which cleans up after it whatever happens.
fn run(real: &Real, wanted: &[Scenario]) -> ExitCode {
    let started = Instant::now();
    let mut failed: Vec<&str> = Vec::new();
    for (name, scenario) in wanted {
        let began = Instant::now();
        let world = World::real(real.url.clone(), real.keys.clone());
        let is_done = catch_unwind(AssertUnwindSafe(|| scenario(&world))).is_ok();
        drop(world);
        println!("{name} … {} ({:.1} s)", if is_done { "ok" } else { "FAILED" }, began.elapsed().as_secs_f64());
        failed.extend((!is_done).then_some(*name));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("live: {} of {} scenarios failed at {} in {seconds:.0} s", failed.len(), wanted.len(), real.url);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sends the recorded requests to the fake, and those that need nothing a MISP holds to this one, and prints where an answer is
/// not the recorded one.
fn contract(world: &World) {
    let ([fake, real], differences) = replay::real::compared(world);
    println!("{fake} recorded requests sent to the fake, {real} to this MISP: {} differences", differences.len());
    differences.iter().for_each(|one| println!("  {}", one.line()));
    assert!(differences.iter().all(replay::real::Difference::is_expected), "a difference that no reason is listed for");
}

impl Real {
    /// Reads the variables; nothing if none is set.
    fn given(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let (url, keys) = match (variable("MISP_URL"), variable("MISP_KEYS")) {
            (None, None) => return Ok(None),
            (Some(url), Some(keys)) => (url.trim_end_matches('/').to_owned(), keys),
            _ => return Err("set both, MISP_URL and MISP_KEYS".to_owned()),
        };
        let host = url.strip_prefix("http://").filter(|host| !host.contains('/'));
        let host = host.ok_or("MISP_URL is written as http://host:port, without a path")?;
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let found = with_port.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        let is_near = found.into_iter().all(|address| address.ip().is_loopback());
        if !is_near && variable("MISP_ANYWHERE").as_deref() != Some("1") {
            return Err(format!(
                "{host} is another machine, and these tests write: if you mean it, set MISP_ANYWHERE=1"
            ));
        }
        let pairs = keys.split(',').map(|pair| pair.trim().split_once('='));
        let keys: Option<BTreeMap<String, String>> =
            pairs.map(|pair| pair.map(|(role, key)| (role.to_owned(), key.to_owned()))).collect();
        let keys = keys.ok_or("MISP_KEYS is written as admin=…,orgadmin=…,user=…,other=…")?;
        if let Some(role) = World::lacking(&keys) {
            return Err(format!("MISP_KEYS has no key for {role}"));
        }
        Ok(Some(Self { url: format!("http://{with_port}"), keys }))
    }
}
