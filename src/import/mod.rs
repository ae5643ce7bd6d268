//! The analyzer: its configuration, and its flow: list → filter → compare → read → map → plan → write → report, for each
//! connection by itself. Without access to TheHive the alerts are only reported.

pub mod batch;
pub mod choose;
pub mod command;
pub mod compare;
mod desk;
mod event;
pub mod filter;
mod hand;
pub mod map;
pub mod names;
pub mod plan;
mod revisit;
pub mod settings;
mod show;
pub mod state;
mod sync;
mod turns;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::connections::{self, Connection, Connections, Purpose};
use crate::config::{self, Limits, Table};
use crate::cortex::job::Job;
use crate::cortex::report::{Level, Taxonomy};
use crate::full::{Full, PartOf, Run};
use crate::http::Network;
use crate::ids::Ids;
use crate::ledger::Item;
use crate::misp::{Misp, Window};
use crate::time::{Clock, DAY};
use crate::worker::{self, Flavour, Worker};
use choose::Choice;
use command::{Command, Parameters};
use desk::Desk;
use filter::Filters;
use map::Marks;
use settings::Settings;
use sync::Sync;
use turns::Turns;

/// The configuration of `misp-import`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The MISP connections.
    #[serde(flatten)]
    pub connections: Connections,
    /// How many days back a run looks for events that were published or changed; 0 for all. A job's parameter `since` takes its place.
    #[serde(default = "thirty")]
    pub window_days: u64,
    /// The filters on events.
    #[serde(flatten)]
    pub filters: Filters,
    /// The filters on attributes.
    #[serde(flatten)]
    pub choice: Choice,
    /// What is said of every event.
    #[serde(flatten)]
    pub marks: Marks,
    /// How alerts are written.
    #[serde(flatten)]
    pub settings: Settings,
    /// A name of this installation, the same for both workers and for ever: by it the loop guard knows its own exports. Default: the host of `thehive_url`, else `thehive`.
    #[serde(default)]
    pub instance: Option<String>,
    /// How many IOCs a report offers as artifacts for an analyst to import, if the alerts are only reported; at most 300.
    #[serde(default = "three_hundred")]
    pub max_artifacts: u64,
    /// The limits in time.
    #[serde(flatten)]
    pub limits: Limits,
}

fn thirty() -> u64 {
    30
}

fn three_hundred() -> u64 {
    show::MOST_ARTIFACTS
}

/// The analyzer.
#[derive(Clone, Copy, Debug)]
pub struct Import;

impl Worker for Import {
    const NAME: &'static str = "MISPImport";
    const PROGRAM: &'static str = "misp-import";
    const FLAVOUR: Flavour = Flavour::Analyzer;
    const DESCRIPTION: &'static str = "Import MISP events as alerts through filters: send `misp:sync`, or `misp:sync:<connection>`, as an observable of type other.";
    const DATA_TYPES: &'static [&'static str] = &["other"];
    type Config = Config;

    fn limits(config: &Config) -> &Limits {
        &config.limits
    }

    fn run(job: &Job, config: &Config, clock: Clock, run: &Run) -> Result<()> {
        let (parameters, warnings) = config::read::<Parameters>(&job.parameters, Table::Parameters)?;
        let command = Command::new(&job.data, &parameters, clock.now)?;
        let (importing, more) = config.connections.chosen(Purpose::imports, "import", command.connection.as_deref())?;
        warnings.into_iter().chain(more).for_each(|warning| run.warn(warning));
        let ids = Ids::new(&config::instance(config.instance.as_deref(), config.settings.thehive_url.as_deref())?);
        let network = Network::new(&config.limits, &job.config, clock, run.scrubber());
        let desks = desks(config, &network, run)?;
        let dry_run = config.settings.dry_run || parameters.dry_run;
        run.draft().full.dry_run = dry_run || desks.is_empty();
        run.draft().full.is_report_only = desks.is_empty();
        let since = command.since.unwrap_or_else(|| window_start(config.window_days, clock.now));
        let all = All { network: &network, ids: &ids, config, desks: &desks, dry_run, since };
        worker::each(&importing, &[(Item::Events, 0), (Item::Attributes, 0)], clock, run, |connection, part| {
            all.import(connection, part)
        });
        Ok(())
    }

    fn message(full: &Full) -> String {
        message(full)
    }

    fn taxonomies(full: &Full) -> Vec<Taxonomy> {
        let count = full.ledger.count(Item::Events);
        let taxonomy = |predicate, value: u64| Taxonomy {
            level: Level::Info,
            namespace: "MISP",
            predicate,
            value: value.to_string(),
        };
        vec![taxonomy("Events", count.fetched), taxonomy("Alerts", count.created + count.updated)]
    }
}

fn window_start(days: u64, now: i64) -> i64 {
    match i64::try_from(days) {
        Ok(0) | Err(_) => 0,
        Ok(days) => now.saturating_sub(days.saturating_mul(DAY)).max(0),
    }
}

/// The organisations of TheHive that get the alerts; none if TheHive may not be written to.
fn desks(config: &Config, network: &Network, run: &Run) -> Result<Vec<Desk>> {
    let Settings { thehive_url, thehive_key, thehive_organisations, .. } = &config.settings;
    let (url, key) = match (thehive_url, thehive_key) {
        (Some(url), Some(key)) => (connections::thehive_url(url)?, key),
        (None, Some(_)) => {
            bail!("configuration item \"thehive_key\" is set and \"thehive_url\" is not: set both, or none")
        }
        (Some(_) | None, None) => return Ok(Vec::new()),
    };
    if url.scheme() == "http" {
        run.warn("TheHive's API key is sent unencrypted: use https in \"thehive_url\"");
    }
    if thehive_organisations.is_empty() {
        return Ok(vec![Desk::open(&url, key, None, network, run)?]);
    }
    let mut names: Vec<&String> = Vec::new();
    thehive_organisations.iter().for_each(|name| {
        if !names.contains(&name) {
            names.push(name)
        }
    });
    names.into_iter().map(|name| Desk::open(&url, key, Some(name), network, run)).collect()
}

/// What is the same for all connections.
struct All<'a> {
    network: &'a Network,
    ids: &'a Ids,
    config: &'a Config,
    desks: &'a [Desk],
    dry_run: bool,
    since: i64,
}

impl All<'_> {
    fn import(&self, connection: &Connection, part: &PartOf) -> Result<()> {
        let misp = Misp::open(connection, self.network, part)?;
        let version = misp.version()?.map(|version| part.run.shown(&version));
        part.with(|part| part.version = version);
        let names = names::resolve(&misp, &self.config.filters, part)?;
        let published_only = self.config.filters.published_only;
        let window = Window { since: self.since, published_only, only: names.only.clone() };
        let most_new = if self.desks.is_empty() { 0 } else { self.config.settings.max_new_alerts };
        let sync = Sync {
            connection,
            network: self.network,
            ids: self.ids,
            config: self.config,
            part,
            misp,
            desks: self.desks,
            dry_run: self.dry_run,
            most_new,
            names,
            turns: Turns::default(),
        };
        sync.window(window)
    }
}

/// The outcome in one sentence.
fn message(full: &Full) -> String {
    let events = full.ledger.count(Item::Events);
    let attributes = full.ledger.count(Item::Attributes);
    let count = |number: u64, word: &str| (number > 0).then(|| format!("{number} {word}"));
    let mut told = vec![format!("{} events read", events.fetched)];
    if full.dry_run {
        told.extend(count(events.created, &format!("would become alerts with {} attributes", attributes.created)));
        told.extend(count(events.updated, "alerts would be updated"));
    } else {
        told.extend(count(events.created, "alerts created"));
        told.extend(count(events.updated, "alerts updated"));
    }
    told.extend(count(events.unchanged, "unchanged"));
    told.extend(count(events.skipped, "skipped"));
    told.extend(count(events.failed, "failed"));
    if !full.dry_run {
        told.extend(count(attributes.created, "attributes added"));
    }
    let why = match (full.is_report_only, full.dry_run) {
        (true, _) => " (report only: set \"thehive_url\" and \"thehive_key\" to have alerts written)",
        (false, true) => " (dry run: nothing was written)",
        (false, false) => "",
    };
    format!("{}{why}", told.join(", "))
}
