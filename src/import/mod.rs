//! The analyzer: its configuration, and its flow: list → filter → read → map → report, for each connection by itself.
//! This version reports the alerts and does not write them to TheHive.

pub mod batch;
pub mod choose;
pub mod command;
pub mod filter;
pub mod map;
mod reading;

use anyhow::{Result, anyhow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::connections::{Connection, Connections, Purpose, Target};
use crate::config::{self, Limits, Table};
use crate::cortex::job::Job;
use crate::cortex::report::{Level, Taxonomy};
use crate::full::{EventLine, Full, PartOf, Run};
use crate::http::Network;
use crate::ids::{self, Ids};
use crate::ledger::{Item, Verdict};
use crate::misp::server::Server;
use crate::misp::wire::Event;
use crate::misp::{Listed, Misp, Window};
use crate::time::{Clock, DAY};
use crate::worker::{self, Flavour, Worker};
use choose::Choice;
use command::{Command, Parameters};
use filter::Filters;
use map::{Marks, Origin};
use reading::Reading;

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
    /// The URL of TheHive. Its host is the default of `instance`; alerts are not written there by this version, only reported.
    #[serde(default)]
    pub thehive_url: Option<String>,
    /// A name of this installation, the same for both workers and for ever: by it the loop guard knows its own exports. Default: the host of `thehive_url`, else `thehive`.
    #[serde(default)]
    pub instance: Option<String>,
    /// How many IOCs a report offers as artifacts for an analyst to import, at most 300.
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
    MOST_ARTIFACTS
}

/// Cortex stores each artifact by a call of its own, so more would be slow.
const MOST_ARTIFACTS: u64 = 300;

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
        let ids = Ids::new(&config::instance(config.instance.as_deref(), config.thehive_url.as_deref())?);
        let network = Network::new(&config.limits, &job.config, clock, run.scrubber());
        let since = command.since.unwrap_or_else(|| window_start(config.window_days, clock.now));
        run.draft().full.dry_run = true;
        worker::each(&importing, &[(Item::Events, 0), (Item::Attributes, 0)], clock, run, |connection, part| {
            One { connection, network: &network, ids: &ids, config, since, part }.run()
        });
        Ok(())
    }

    fn message(full: &Full) -> String {
        let events = full.ledger.count(Item::Events);
        let attributes = full.ledger.count(Item::Attributes);
        let mut told = vec![format!(
            "{} events read, {} would become alerts with {} attributes",
            events.fetched, events.created, attributes.created
        )];
        told.extend((events.skipped > 0).then(|| format!("{} skipped", events.skipped)));
        told.extend((events.failed > 0).then(|| format!("{} failed", events.failed)));
        format!("{} (report only: this version writes no alerts to TheHive)", told.join(", "))
    }

    fn taxonomies(full: &Full) -> Vec<Taxonomy> {
        let count = full.ledger.count(Item::Events);
        let taxonomy = |predicate, value: u64| Taxonomy {
            level: Level::Info,
            namespace: "MISP",
            predicate,
            value: value.to_string(),
        };
        vec![taxonomy("Events", count.fetched), taxonomy("Alerts", count.created)]
    }
}

fn window_start(days: u64, now: i64) -> i64 {
    match i64::try_from(days) {
        Ok(0) | Err(_) => 0,
        Ok(days) => now.saturating_sub(days.saturating_mul(DAY)).max(0),
    }
}

/// The import from one connection.
struct One<'a> {
    connection: &'a Connection,
    network: &'a Network,
    ids: &'a Ids,
    config: &'a Config,
    since: i64,
    part: &'a PartOf,
}

impl One<'_> {
    fn run(&self) -> Result<()> {
        let misp = Misp::open(self.connection, self.network, self.part)?;
        let version = misp.version()?;
        let version = version.map(|version| self.part.run.shown(&version));
        self.part.with(|part| part.version = version);
        let window = Window { since: self.since, published_only: self.config.filters.published_only };
        misp.list(window, &mut |listed| self.event(&misp, listed))
    }

    /// One event of the list. What goes wrong with it stays with it; only the deadline stops the list.
    fn event(&self, misp: &Misp, listed: Listed) -> Result<()> {
        self.part.fetched(Item::Events, 1);
        let (event, uuid) = match listed {
            Listed::Event(event, uuid) => (event, uuid),
            Listed::Bad(problem) => {
                self.part.record(Item::Events, &Verdict::Failed(problem.clone()), 1);
                self.part.fail(problem);
                return Ok(());
            }
        };
        if self.network.clock().is_over() {
            return Err(anyhow!("the deadline has passed (\"deadline_minutes\"): the rest comes with the next run"));
        }
        let (verdict, attributes) = match self.config.filters.rule(&event, &uuid, self.ids, self.network.clock().now) {
            Some(rule) => (Verdict::Skipped(rule), event.attribute_count.unwrap_or(0).unsigned_abs()),
            None => self.alert(misp, &event, &uuid),
        };
        self.note_foreign(&uuid);
        self.part.record(Item::Events, &verdict, 1);
        self.part.show_event(self.line(&event, &uuid, &verdict, attributes));
        Ok(())
    }

    /// An export of another installation is an event like any other; if it is this one under another name, the loop
    /// guard cannot know, so the reader is told.
    fn note_foreign(&self, uuid: &Uuid) {
        if self.config.filters.loop_guard && ids::is_ours(uuid) && !self.ids.is_mine(uuid) {
            let instance = self.ids.instance();
            self.part.warn(format!(
                "some events were exported by cortex-misp under another instance name than \"{instance}\": if they are your own, \
                 set \"instance\" to the same name in both workers"
            ));
        }
    }

    /// Reads an event and makes its alert. Its attributes share its fate: they count as arrived only if it was read to
    /// its end.
    fn alert(&self, misp: &Misp, event: &Event, uuid: &Uuid) -> (Verdict, u64) {
        let scrubber = self.part.run.scrubber();
        let origin = Origin { connection: &self.connection.name, link: self.link(uuid), scrubber: &scrubber };
        let wanted = map::alert(event, uuid, &origin, &Marks::default(), &[]);
        let mut reading = Reading::new(self, wanted.shown(), wanted.tlp);
        let read = misp.read(uuid, &mut |piece| reading.piece(piece));
        let attributes = reading.attributes;
        let verdict = match read {
            Ok(()) => Verdict::Created,
            Err(_) if reading.is_too_large() => Verdict::Skipped(self.config.filters.too_large()),
            Err(error) => Verdict::Failed(worker::line(&error)),
        };
        if let Verdict::Failed(reason) = &verdict {
            self.part.fail(format!("event {uuid}: {reason}"));
        }
        reading.end(&verdict);
        (verdict, attributes)
    }

    fn link(&self, uuid: &Uuid) -> Option<String> {
        match &self.connection.target {
            Target::Server { url, .. } => Some(Server::link(url, uuid)),
            Target::Feed { .. } => None,
        }
    }

    fn line(&self, event: &Event, uuid: &Uuid, verdict: &Verdict, attributes: u64) -> EventLine {
        let run = &self.part.run;
        EventLine {
            visible_to: None,
            uuid: uuid.to_string(),
            id: Some(run.shown(&event.id)).filter(|id| !id.is_empty()),
            title: run.shown(&event.info),
            link: self.link(uuid),
            organisation: run.shown(event.organisation()),
            date: run.shown(&event.date),
            tlp: map::tlp(event, &Marks::default()).word().to_owned(),
            attributes,
            verdict: verdict.word().to_owned(),
            reason: verdict.reason().map(ToOwned::to_owned),
        }
    }
}
