//! The scenarios of `tests/scenarios/` on a real MISP, and the recorded exchanges with both servers on real ones:
//! `MISP_URL=http://127.0.0.1:8080 MISP_KEYS=admin=…,orgadmin=…,user=…,other=… THEHIVE_URL=http://127.0.0.1:9000
//! THEHIVE_KEYS=admin=…,analyst=…,orgadmin=…,readonly=…,other=… cargo test --locked --test live [name]`. With `CORTEX_URL` and
//! `CORTEX_KEY` the jobs go through a Cortex. Without the variables it says so and is done.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "these are tests: a panic is a failure, and what is shared with the other tests offers more than is used here"
)]

#[path = "../integration/harness/canaries.rs"]
mod canaries;
mod chain;
#[path = "../integration/harness/http_fake.rs"]
mod http_fake;
#[path = "../integration/harness/misp/mod.rs"]
mod misp;
#[path = "../integration/harness/program.rs"]
mod program;
#[path = "../integration/harness/proxy.rs"]
mod proxy;
#[path = "../integration/harness/replay/mod.rs"]
mod replay;
#[path = "../scenarios/mod.rs"]
mod scenarios;
#[path = "../integration/harness/thehive/mod.rs"]
mod thehive;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use replay::hive::Stage;
use scenarios::cortex::{Cortex, JOBS};
use scenarios::{Scenario, World};

/// Where a server is, and its users' keys by role.
struct Real {
    url: String,
    keys: BTreeMap<String, String>,
}

/// The servers that are named.
struct Servers {
    misp: Option<Real>,
    thehive: Option<Real>,
    /// Its address, and the key of an administrator of an organisation.
    cortex: Option<(String, String)>,
}

/// What the scenario about TheHive's answers is called.
const OF_THEHIVE: &str = "live::contract::a_real_thehive_answers_as_the_recorded_one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = arguments
        .iter()
        .filter(|one| !one.starts_with('-'))
        .collect();
    let is_wanted =
        |name: &str| names.is_empty() || names.iter().any(|one| name.contains(one.as_str()));
    let contract: Scenario = (
        "live::contract::a_real_misp_answers_as_the_recorded_one",
        contract,
    );
    let all = scenarios::all().into_iter().chain([contract]);
    let wanted: Vec<Scenario> = all.filter(|(name, _)| is_wanted(name)).collect();
    let chain: Vec<Scenario> = chain::ALL
        .iter()
        .copied()
        .filter(|(name, _)| is_wanted(name))
        .collect();
    if arguments.iter().any(|one| one == "--list") {
        wanted
            .iter()
            .chain(&chain)
            .for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    match Servers::given(|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
        Ok(Servers {
            misp: None,
            thehive: None,
            ..
        }) => {
            println!(
                "live: no server was asked for: set MISP_URL and MISP_KEYS, or THEHIVE_URL and THEHIVE_KEYS, as CONTRIBUTING.md says"
            );
            ExitCode::SUCCESS
        }
        Ok(servers) => run(&servers, &wanted, &chain, is_wanted(OF_THEHIVE)),
        Err(why) => {
            println!("live: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs scenarios one after the other; each has a world of its own, which cleans up after it whatever happens.
fn run(servers: &Servers, wanted: &[Scenario], chain: &[Scenario], asks_thehive: bool) -> ExitCode {
    let started = Instant::now();
    let mut failed: Vec<&str> = Vec::new();
    let mut ran = 0;
    let mut one = |name: &'static str, scenario: &dyn Fn()| {
        let began = Instant::now();
        let is_done = catch_unwind(AssertUnwindSafe(scenario)).is_ok();
        println!(
            "{name} … {} ({:.1} s)",
            if is_done { "ok" } else { "FAILED" },
            began.elapsed().as_secs_f64()
        );
        failed.extend((!is_done).then_some(name));
        ran += 1;
    };
    let Servers {
        misp,
        thehive,
        cortex,
    } = servers;
    let analyst = thehive
        .as_ref()
        .map(|real| (real.url.clone(), real.keys["analyst"].clone()));
    let lacking = chain::lacking(servers);
    if let (Some(why), false) = (&lacking, chain.is_empty()) {
        println!(
            "live: the {} scenarios of the whole chain are left out: {why}",
            chain.len()
        );
    }
    if let Some(real) = misp {
        let chain = if lacking.is_none() { chain } else { &[] };
        for (name, scenario) in wanted.iter().chain(chain) {
            let world = || {
                World::real(real.url.clone(), real.keys.clone())
                    .beside(analyst.clone(), cortex.clone())
            };
            one(name, &|| scenario(&world()));
        }
    }
    if let Some(real) = thehive.as_ref().filter(|_| asks_thehive) {
        one(OF_THEHIVE, &|| contract_of_thehive(real));
    }
    let urls = misp.iter().chain(thehive).map(|real| real.url.as_str());
    let urls: Vec<&str> = urls
        .chain(cortex.as_ref().map(|(url, _)| url.as_str()))
        .collect();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "live: {} of {ran} scenarios failed at {} in {seconds:.0} s",
        failed.len(),
        urls.join(" and ")
    );
    if cortex.is_some() {
        println!(
            "live: {} jobs went through Cortex",
            JOBS.load(Ordering::Relaxed)
        );
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Sends the recorded requests to the fake, and those that need nothing a MISP holds to this one, and prints where an answer is
/// not the recorded one.
fn contract(world: &World) {
    let ([fake, real], differences) = replay::real::compared(world);
    println!(
        "{fake} recorded requests sent to the fake, {real} to this MISP: {} differences",
        differences.len()
    );
    differences
        .iter()
        .for_each(|one| println!("  {}", one.line()));
    assert!(
        differences
            .iter()
            .all(replay::real::Difference::is_expected),
        "a difference that no reason is listed for"
    );
}

/// The same of TheHive: what a recorded exchange needs is made first, and goes afterwards.
fn contract_of_thehive(real: &Real) {
    let mut stage = Stage::new(real.url.clone(), real.keys.clone());
    let (sent, differences) = replay::hive::differences(&mut stage);
    println!(
        "{sent} recorded requests sent, {} differences",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

impl Servers {
    fn given(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let misp = Real::given("MISP", World::lacking, &variable)?;
        let thehive = Real::given("THEHIVE", Stage::lacking, &variable)?;
        let Some((url, key)) = both("CORTEX", "KEY", &variable)? else {
            return Ok(Self {
                misp,
                thehive,
                cortex: None,
            });
        };
        if misp.is_none() {
            return Err(
                "CORTEX_URL is for scenarios on a MISP: set MISP_URL and MISP_KEYS too".to_owned(),
            );
        }
        if let Some(role) = Cortex::lacking(&url, &key) {
            return Err(format!("the user of CORTEX_KEY lacks the role {role}"));
        }
        Ok(Self {
            misp,
            thehive,
            cortex: Some((url, key)),
        })
    }
}

impl Real {
    /// Reads `MISP_URL` and `MISP_KEYS`, or those of TheHive; nothing if none is set.
    fn given(
        name: &str,
        lacking: fn(&BTreeMap<String, String>) -> Option<&'static str>,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let Some((url, keys)) = both(name, "KEYS", variable)? else {
            return Ok(None);
        };
        let pairs = keys.split(',').map(|pair| pair.trim().split_once('='));
        let keys: Option<BTreeMap<String, String>> = pairs
            .map(|pair| pair.map(|(role, key)| (role.to_owned(), key.to_owned())))
            .collect();
        let keys = keys.ok_or(format!("{name}_KEYS is written as role=key,role=key"))?;
        if let Some(role) = lacking(&keys) {
            return Err(format!("{name}_KEYS has no key for {role}"));
        }
        Ok(Some(Self { url, keys }))
    }
}

/// The address of a server, which must be of this machine, and its key or keys; nothing if none is set.
fn both(
    name: &str,
    keys: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<(String, String)>, String> {
    let (url, keys) = match (
        variable(&format!("{name}_URL")),
        variable(&format!("{name}_{keys}")),
    ) {
        (None, None) => return Ok(None),
        (Some(url), Some(keys)) => (url.trim_end_matches('/').to_owned(), keys),
        _ => return Err(format!("set both, {name}_URL and {name}_{keys}")),
    };
    let host = url
        .strip_prefix("http://")
        .filter(|host| !host.contains('/'));
    let host = host.ok_or(format!(
        "{name}_URL is written as http://host:port, without a path"
    ))?;
    let with_port = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let found = with_port
        .to_socket_addrs()
        .map_err(|error| format!("{host}: {error}"))?;
    let is_near = found.into_iter().all(|address| address.ip().is_loopback());
    if !is_near && variable(&format!("{name}_ANYWHERE")).as_deref() != Some("1") {
        return Err(format!(
            "{host} is another machine, and these tests write: if you mean it, set {name}_ANYWHERE=1"
        ));
    }
    Ok(Some((format!("http://{with_port}"), keys)))
}
