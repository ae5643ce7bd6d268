//! The responder's flow: case → wanted event → plan → apply → look again → ledger, for each connection by itself.

pub mod case;
pub mod map;
pub mod plan;

use anyhow::{Result, anyhow, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::connections::{self, Connection, Connections, Target};
use crate::config::{self, Limits, Table};
use crate::cortex::job::Job;
use crate::cortex::report::{Operation, Taxonomy};
use crate::full::{EventLine, Full, Kind, ObservableLine, Part, PartOf, Run};
use crate::http::Network;
use crate::ids::Ids;
use crate::ledger::{Item, Ledger, Verdict};
use crate::misp::server::Server;
use crate::misp::{Held, Misp};
use crate::thehive::TheHive;
use crate::time::Clock;
use crate::types::ServerTypes;
use crate::worker::{self, Flavour, Worker};
use case::Input;
use map::{Mapped, shortened};
use plan::{Plan, Refusals, Wanted};

/// The configuration of `misp-export`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The MISP connections.
    #[serde(flatten)]
    pub connections: Connections,
    /// The URL of TheHive, such as `https://thehive.example.org`: the case's observables are read there. Its host is the default of `instance`.
    #[serde(default)]
    pub thehive_url: Option<String>,
    /// The API key of a TheHive user who may read the cases.
    #[serde(default)]
    pub thehive_key: Option<String>,
    /// A name of this installation, the same for both workers and for ever: it is part of every uuid made. Default: the host of `thehive_url`, else `thehive`.
    #[serde(default)]
    pub instance: Option<String>,
    /// Report what would be written, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The limits in time.
    #[serde(flatten)]
    pub limits: Limits,
}

/// What a job may ask for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
struct Parameters {
    /// Only the connection of this name.
    #[serde(default)]
    connection: Option<String>,
    /// Report what would be written, and write nothing.
    #[serde(default)]
    dry_run: bool,
}

/// The responder.
#[derive(Clone, Copy, Debug)]
pub struct Export;

impl Worker for Export {
    const NAME: &'static str = "MISPExport";
    const PROGRAM: &'static str = "misp-export";
    const FLAVOUR: Flavour = Flavour::Responder;
    const DESCRIPTION: &'static str =
        "Export the IOC observables of a case to one MISP event: all IOCs, only IOCs, never published.";
    const DATA_TYPES: &'static [&'static str] = &["thehive:case"];
    type Config = Config;

    fn limits(config: &Config) -> &Limits {
        &config.limits
    }

    fn run(job: &Job, config: &Config, clock: Clock, run: &Run) -> Result<()> {
        let (parameters, warnings) = config::read::<Parameters>(&job.parameters, Table::Parameters)?;
        let (connections, more) = config.connections.checked()?;
        warnings.into_iter().chain(more).for_each(|warning| run.warn(warning));
        let exporting: Vec<_> = connections.into_iter().filter(|connection| connection.purpose.exports()).collect();
        if exporting.is_empty() {
            return Err(worker::no_connection("export"));
        }
        let exporting = connections::narrowed(exporting, parameters.connection.as_deref())?;
        let ids = Ids::new(&instance(config.instance.as_deref(), config.thehive_url.as_deref())?);
        let network = Network::new(&config.limits, &job.config, clock);
        let dry_run = config.dry_run || parameters.dry_run;
        let input = input(job, config, &network, run)?;
        run.draft().full.dry_run = dry_run;
        run.draft().full.case = Some(subject(&input));
        input.warnings.iter().for_each(|warning| run.warn(warning.clone()));
        for connection in &exporting {
            let part = open_part(connection, run);
            let export = One { connection, network: &network, ids: &ids, input: &input, part: &part, dry_run };
            let started = clock.seconds();
            let ended = export.run();
            part.with(|part| part.seconds = clock.seconds() - started);
            part.end(ended.err().map(|error| worker::line(&error)));
        }
        Ok(())
    }

    fn message(full: &Full) -> String {
        message(full)
    }

    fn taxonomies(_: &Full) -> Vec<Taxonomy> {
        Vec::new()
    }
}

/// The installation's name.
///
/// # Errors
/// A `thehive_url` that is no URL.
pub fn instance(instance: Option<&str>, thehive_url: Option<&str>) -> Result<String> {
    if let Some(instance) = instance {
        return Ok(instance.to_owned());
    }
    let Some(url) = thehive_url else { return Ok("thehive".to_owned()) };
    Ok(thehive_base(url)?.host_str().unwrap_or("thehive").to_owned())
}

fn thehive_base(url: &str) -> Result<url::Url> {
    connections::server_url(url).map_err(|problem| anyhow!("configuration item \"thehive_url\" {problem}"))
}

/// The case and its observables: from the job if it carries observables, else from TheHive.
fn input(job: &Job, config: &Config, network: &Network, run: &Run) -> Result<Input> {
    let id = case::id(&job.data)?;
    let organisation = job.parameters.get("organisation").and_then(serde_json::Value::as_str);
    let thehive = match (&config.thehive_url, &config.thehive_key) {
        (Some(url), Some(key)) => {
            let url = thehive_base(url)?;
            if url.scheme() == "http" {
                run.warn("TheHive's API key is sent unencrypted: use https in \"thehive_url\"");
            }
            Some(TheHive::open(&url, key, organisation, network, run)?)
        }
        (None, Some(_)) => {
            bail!("configuration item \"thehive_key\" is set and \"thehive_url\" is not: set both, or none")
        }
        (Some(_) | None, None) => None,
    };
    match (case::carried(&job.data), &thehive) {
        (Some(observables), thehive) => Input::new(&job.data, observables, thehive.as_ref()),
        (None, Some(thehive)) => {
            let case = thehive.case(&id)?;
            let observables = thehive.ioc_observables(&id)?;
            Input::new(&case, observables, Some(thehive))
        }
        (None, None) => bail!(
            "the job carries no observables, as is usual, and TheHive cannot be asked for them: set \"thehive_url\" and \
             \"thehive_key\" in the responder's configuration"
        ),
    }
}

fn subject(input: &Input) -> String {
    match input.case.number.as_str() {
        "" => shortened(&input.case.title),
        number => format!("#{number} {}", shortened(&input.case.title)),
    }
}

fn open_part(connection: &Connection, run: &Run) -> PartOf {
    run.open(Part {
        name: connection.name.clone(),
        url: connection.url().to_string(),
        kind: Misp::kind(connection),
        ledger: Ledger::of(&[Item::Observables]),
        ..Part::default()
    })
}

/// The export to one connection.
struct One<'a> {
    connection: &'a Connection,
    network: &'a Network,
    ids: &'a Ids,
    input: &'a Input,
    part: &'a PartOf,
    dry_run: bool,
}

impl One<'_> {
    fn run(&self) -> Result<()> {
        self.part.fetched(Item::Observables, self.input.observables.len() as u64);
        let is_public = matches!(self.connection.target, Target::Feed { .. });
        let mapped = map::case(self.input, self.ids, is_public, &ServerTypes::newest());
        mapped.warnings.iter().for_each(|warning| self.part.warn(warning.clone()));
        // Decided before anything is sent, so that a run that is stopped tells them too.
        mapped.verdicts.iter().flatten().for_each(|verdict| self.part.record(Item::Observables, verdict, 1));
        let written = self.write(&mapped, is_public);
        let outcome = match &written {
            Ok(outcome) => outcome.clone(),
            Err(_) => vec![(Verdict::Failed("not sent".to_owned()), None); mapped.wanted.attributes.len()],
        };
        self.tell(&mapped, &outcome, written.as_ref().err());
        written.map(drop)
    }

    fn write(&self, mapped: &Mapped, is_public: bool) -> Result<Vec<(Verdict, Option<String>)>> {
        let misp = Misp::open(self.connection, self.network, self.part)?;
        let version = misp.version()?;
        self.part.with(|part| part.version = version);
        let wanted = &mapped.wanted;
        let _lock = if self.dry_run { None } else { misp.lock()? };
        let held = misp.held(&wanted.uuid)?;
        if held.is_none() && wanted.attributes.is_empty() {
            return Ok(Vec::new());
        }
        if is_public {
            self.part.warn("readable by everyone who pulls this feed");
        }
        let plan = Plan::new(wanted, held.as_ref(), self.ids);
        plan.remarks.iter().for_each(|remark| self.part.warn(remark.clone()));
        if self.dry_run {
            self.tell_event(wanted, held.as_ref(), &plan, plan.forecast().len());
            return Ok(plan.forecast());
        }
        self.carry_out(&misp, wanted, held, &plan)
    }

    /// Applies, then looks: what the event holds afterwards decides, not the answer.
    fn carry_out(
        &self,
        misp: &Misp,
        wanted: &Wanted,
        held: Option<Held>,
        plan: &Plan,
    ) -> Result<Vec<(Verdict, Option<String>)>> {
        if plan.is_empty() {
            // A feed brings its manifest in line; a server is sent nothing, since even an edit without effect unpublishes.
            if let Misp::Feed(feed) = misp {
                feed.apply(wanted, plan)?.remarks.into_iter().for_each(|remark| self.part.warn(remark));
            }
            self.tell_event(wanted, held.as_ref(), plan, live(held.as_ref()));
            return Ok(plan.outcome(wanted, &Refusals::default(), held.as_ref()));
        }
        let wrote_before = self.part.run.writes(true);
        let (refusals, stopped) = match misp.apply(wanted, plan) {
            Ok(refusals) => (refusals, None),
            Err(error) => (Refusals::default(), Some(error)),
        };
        refusals.remarks.iter().for_each(|remark| self.part.warn(remark.clone()));
        let after = match (misp.held(&wanted.uuid), &stopped) {
            (Ok(after), _) => after,
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error.context("reading back what was written")),
        };
        self.check_event(wanted, held.as_ref(), after.as_ref());
        let outcome = plan.outcome(wanted, &refusals, after.as_ref());
        let arrived =
            outcome.iter().any(|(verdict, _)| *verdict == Verdict::Created) || (plan.create && after.is_some());
        if arrived || stopped.is_none() {
            self.tell_event(wanted, after.as_ref().or(held.as_ref()), plan, live(after.as_ref()));
        }
        match stopped {
            Some(error) if !arrived => {
                self.part.run.writes(wrote_before);
                Err(error)
            }
            Some(error) => {
                self.part.fail(worker::line(&error));
                Ok(outcome)
            }
            None => Ok(outcome),
        }
    }

    /// Tags that MISP left out in silence, since the key's user may not make them
    /// (`fixtures/wire/misp/125-event-add-unknown-tag-partner.json`), and a publication that a write took back.
    fn check_event(&self, wanted: &Wanted, before: Option<&Held>, after: Option<&Held>) {
        let Some(after) = after else { return };
        let there: Vec<_> = after.event.tags().map(str::to_lowercase).collect();
        let lacking: Vec<_> =
            wanted.tags.iter().filter(|tag| !there.contains(&tag.to_lowercase())).map(String::as_str).collect();
        let is_server = matches!(self.connection.target, Target::Server { .. });
        if before.is_none() && !lacking.is_empty() && is_server {
            self.part.warn(format!(
                "MISP left out the tags {}: they do not exist there, and the key's user may not make them (role permission tag editor)",
                lacking.join(", ")
            ));
        }
        if before.is_some_and(|before| before.event.published == Some(true)) && after.event.published != Some(true) {
            self.part.warn("the event was published; MISP took that back when the new IOCs were added: review and publish it again");
        }
    }

    fn tell_event(&self, wanted: &Wanted, held: Option<&Held>, plan: &Plan, attributes: usize) {
        let uuid = held.and_then(|held| Uuid::parse_str(&held.event.uuid).ok()).unwrap_or(wanted.uuid);
        let verdict = match (plan.create, plan.is_empty()) {
            (true, _) => Verdict::Created,
            (false, false) => Verdict::Updated,
            (false, true) => Verdict::Unchanged,
        };
        let line = EventLine {
            uuid: uuid.to_string(),
            id: held.map(|held| held.event.id.clone()).filter(|id| !id.is_empty()),
            title: held.map_or(wanted.info.clone(), |held| held.event.info.clone()),
            link: match &self.connection.target {
                Target::Server { url, .. } => Some(Server::link(url, &uuid)),
                Target::Feed { .. } => None,
            },
            organisation: held.map_or_else(String::new, |held| held.event.organisation().to_owned()),
            date: wanted.date.clone(),
            tlp: wanted.tlp.word().to_owned(),
            attributes: attributes as u64,
            verdict: verdict.word().to_owned(),
            reason: None,
        };
        self.part.with(|part| part.events = vec![line]);
        if held.is_some() && !self.dry_run {
            let tag = format!("misp:event=\"{}:{uuid}\"", self.connection.name);
            self.part.run.draft().operations.push(Operation::AddTagToCase { tag });
        }
    }

    /// Writes every observable's verdict into ledger and report.
    fn tell(&self, mapped: &Mapped, outcome: &[(Verdict, Option<String>)], stopped: Option<&anyhow::Error>) {
        for (index, one) in self.input.observables.iter().enumerate() {
            let decided = mapped.verdicts.get(index).cloned().flatten();
            let arrived =
                mapped.wanted.attributes.iter().zip(outcome).filter(|(attribute, _)| attribute.from.contains(&index));
            let first = arrived.min_by_key(|(_, (verdict, _))| rank(verdict));
            let is_open = decided.is_none();
            let (verdict, remark) = match (decided, first) {
                (Some(verdict), _) => (verdict, None),
                (None, Some((_, (verdict, remark)))) => (verdict.clone(), remark.clone()),
                (None, None) => (Verdict::Failed("not mapped".to_owned()), None),
            };
            if is_open {
                self.part.record(Item::Observables, &verdict, 1);
            }
            let (data_type, data) = match one {
                Ok(ioc) => (shortened(&ioc.observable.data_type), value(ioc)),
                Err(_) => (String::new(), format!("element {}", index + 1)),
            };
            if let (Verdict::Failed(reason), None) = (&verdict, stopped) {
                self.part.fail(format!("{data} ({data_type}): {reason}"));
            }
            let line = ObservableLine {
                data_type,
                data,
                verdict: verdict.word().to_owned(),
                reason: verdict.reason().map(ToOwned::to_owned).or(remark),
                attribute: first.map(|(attribute, _)| format!("{}/{}", attribute.category, attribute.kind)),
                uuid: first.map(|(attribute, _)| attribute.uuid.to_string()),
            };
            self.part.show_observable(line);
        }
    }
}

fn value(ioc: &case::Ioc) -> String {
    match &ioc.observable.attachment {
        Some(attachment) => shortened(&attachment.name),
        None => shortened(&ioc.observable.data),
    }
}

fn live(held: Option<&Held>) -> usize {
    held.map_or(0, |held| held.attributes.iter().filter(|attribute| attribute.deleted != Some(true)).count())
}

/// An observable that became several attributes takes the first of these that applies.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Failed(_) => 0,
        Verdict::Created => 1,
        Verdict::Updated => 2,
        Verdict::Unchanged => 3,
        Verdict::Skipped(_) => 4,
    }
}

/// "Exported 12 IOCs of case #42 to misp-corp as event 1337: 9 added, 3 unchanged".
fn message(full: &Full) -> String {
    let number = full.case.as_deref().and_then(|case| case.split(' ').next()).unwrap_or_default();
    let parts: Vec<_> = full.connections.iter().map(|part| sentence(part, full.dry_run)).collect();
    let verb = if full.dry_run { "Dry run for" } else { "Exported" };
    match parts.as_slice() {
        [] => format!("No export of case {number}"),
        parts => format!("{verb} case {number} to {}", parts.join("; to ")),
    }
}

fn sentence(part: &Part, dry_run: bool) -> String {
    let count = part.ledger.count(Item::Observables);
    let where_to = match part.events.first() {
        Some(event) => format!("{} as event {}", part.name, event.id.as_ref().unwrap_or(&event.uuid)),
        None => part.name.clone(),
    };
    let iocs = count.fetched - count.skipped_by.get("not an IOC").copied().unwrap_or(0);
    if iocs == 0 && part.error.is_none() {
        return format!("{where_to}: no observable is flagged as IOC, nothing to export");
    }
    let added = if dry_run { "would be added" } else { "added" };
    let words =
        [(count.created, added), (count.updated, "updated"), (count.unchanged, "unchanged"), (count.failed, "failed")];
    let mut told: Vec<_> =
        words.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    told.extend(
        count
            .skipped_by
            .iter()
            .filter(|(rule, _)| *rule != "not an IOC")
            .map(|(rule, number)| format!("{number} left out ({rule})")),
    );
    let readable = if part.kind == Kind::Feed { " (readable by everyone who pulls this feed)" } else { "" };
    format!("{where_to}: of {iocs} IOCs {}{readable}", told.join(", "))
}
