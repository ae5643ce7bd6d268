//! The analyzer: its configuration, and its flow: list → filter → compare → read → map → plan →
//! write → report, for each connection by itself. Without access to TheHive the alerts are only
//! reported.

pub mod alert_diff;
mod alert_writer;
mod attachments;
mod attribute_filter;
pub mod chunk_mapping;
pub mod command;
mod event_filter;
mod event_import;
mod filter_resolution;
mod lookup;
mod loop_guard;
pub mod mapping;
mod observable_diff;
mod observable_index;
mod options;
mod ordering;
mod patience;
mod report_only;
mod reporting;
mod share_of_time;
mod strangers;
mod sync;
pub mod sync_state;
mod target;
mod task_queue;
mod twins;
mod twins_removed;
mod unlisted_alerts;
pub mod users;
mod verdict_counts;
mod warninglists;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::connections::{Connection, Connections, Purpose};
use crate::config::schema::OptionSpec;
use crate::config::{self, LookupArtifacts, OptionSource, TimeLimits, overrides};
use crate::cortex::job::Job;
use crate::http::HttpContext;
use crate::ids::Ids;
use crate::misp::Misp;
use crate::misp::wire::Event;
use crate::report::ledger::ItemKind;
use crate::report::{ConnectionReporter, ReportBody, RunReport};
use crate::report::{Taxonomy, TaxonomyLevel};
use crate::text::format_count;
use crate::time::DAY;
use crate::types::{RelatedValues, SearchValue};
use crate::worker::requirements::{MispRequirements, Outlook, Requirements, TheHiveRequirements};
use crate::worker::{self, DoctorInput, Session, Worker, WorkerKind};
use attribute_filter::AttributeFilters;
use command::{Command, Commands, EventRef, Parameters, Request};
use event_filter::EventFilters;
use lookup::{LookupSetup, SoughtFile};
use mapping::AlertOptions;
use options::{Attachments, Destination, Settings};
use ordering::Sequencer;
use share_of_time::ShareOfTime;
use strangers::Strangers;
use sync::ConnectionImport;
use target::AlertTarget;
use twins_removed::Suspects;

/// The configuration of `misp-import`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The MISP connections.
    #[serde(flatten)]
    pub connections: Connections,
    /// Where alerts go.
    #[serde(flatten)]
    pub destination: Destination,
    /// How many days back a run looks for events that were published or changed; 0 for all. Keep it
    /// well above the time between two runs. A job's parameter `since` takes its place.
    #[serde(default = "thirty")]
    pub window_days: u64,
    /// The filters on events.
    #[serde(flatten)]
    pub filters: EventFilters,
    /// The filters on attributes.
    #[serde(flatten)]
    pub choice: AttributeFilters,
    /// What is said of every event.
    #[serde(flatten)]
    pub marks: AlertOptions,
    /// How alerts are written.
    #[serde(flatten)]
    pub settings: Settings,
    /// How many IOCs a report offers as artifacts for an analyst to import, if the alerts are only
    /// reported, in turn by connection, organisation and event, and how many values beside what a
    /// look-up finds; at most 300. Cortex stores about ten in a second.
    #[serde(default = "three_hundred")]
    pub max_artifacts: u64,
    /// Follow a command that stands on an observable when the analyzer is run on it in TheHive or
    /// MISP. What is on an observable may have come from MISP; a job's parameter `command` is
    /// followed in any case.
    #[serde(default)]
    pub observable_commands: bool,
    /// Seconds that a look-up takes on each connection at most; what was not searched by then is
    /// reported as not searched. 0 for as long as the run may take.
    #[serde(default = "sixty")]
    pub look_up_seconds: u64,
    /// Look also for what is related to a value: the networks that hold an address, the parent
    /// domains of a name, the host of a URL and the URL without its query, the domain of a mail
    /// address, a registry key with the other name of its hive. Such a hit is marked, and never
    /// counts as one of the value itself. It takes up to three requests more.
    #[serde(default = "yes")]
    pub lookup_related: bool,
    /// Offer the values that stand beside what a look-up finds as artifacts, at most
    /// `max_artifacts`: those of the same object (`object`, one request more), of the whole event
    /// (`event`, the first 1,000 attributes, two requests more), or none (`off`). The filters on
    /// attributes hold for them.
    #[serde(default)]
    pub lookup_artifacts: LookupArtifacts,
    /// The limits in time.
    #[serde(flatten)]
    pub limits: TimeLimits,
}

fn yes() -> bool {
    true
}

fn sixty() -> u64 {
    60
}

fn thirty() -> u64 {
    30
}

fn three_hundred() -> u64 {
    report_only::MOST_ARTIFACTS
}

/// The analyzer.
#[derive(Clone, Copy, Debug)]
pub struct Import;

impl Worker for Import {
    const NAME: &'static str = "MISPImport";
    const PROGRAM: &'static str = "misp-import";
    const KIND: WorkerKind = WorkerKind::Analyzer;
    const DESCRIPTION: &'static str = "Show which MISP events know an observable; or import MISP \
        events as alerts through filters: send `misp:sync`, `misp:sync:<connection>` or \
        `misp:event:<uuid>` as the parameter `command` of a job of type other.";
    const DATA_TYPES: &'static [&'static str] = &[
        "other",
        "domain",
        "fqdn",
        "hostname",
        "ip",
        "url",
        "uri_path",
        "user-agent",
        "hash",
        "file",
        "filename",
        "mail",
        "mail-subject",
        "mail_subject",
        "registry",
        "autonomous-system",
    ];
    const SCREENSHOTS: &'static [(&'static str, &'static str)] = &[
        ("assets/import.png", "An import: what became of every event"),
        (
            "assets/click.png",
            "A look-up: which events know the observable",
        ),
        ("assets/incomplete.png", "An import of which a part failed"),
        (
            "assets/report-only.png",
            "An import without access to TheHive: the alerts as they would be",
        ),
    ];
    const EXAMPLE: &'static str = r#"{"dataType": "other", "data": "misp:sync", "parameters": {"since": "7d", "dry_run": true},
   "config": {"name": ["misp-corp"], "url": ["https://misp.example.org"], "key": ["MISP's API key"],
              "thehive_url": "https://thehive.example.org", "thehive_key": "TheHive's API key"}}"#;
    type Config = Config;

    fn limits(config: &Config) -> &TimeLimits {
        &config.limits
    }

    fn run(session: &Session<'_>, config: &Config) -> Result<()> {
        let &Session {
            job,
            connection_options: options,
            clock,
            run,
        } = session;

        let (parameters, warnings) =
            config::parse_options::<Parameters>(&job.parameters, OptionSource::Parameters)?;
        let select = |name| select_for_import(config, options, name);
        let (all, _) = select(None)?;
        let is_followed = config.observable_commands;
        let command = Command::new(job, &parameters, &all, is_followed, clock.now)?;
        let (importing, more) = select(command.requested_connection())?;
        let importing = overrides::configure_each(importing, &job.config, config)?;
        check_filters(&importing, run)?;
        warnings
            .into_iter()
            .chain(more)
            .for_each(|warning| run.warn(warning));

        let ids = config::build_ids(
            &installation(&config.destination)?,
            config.destination.instance_secret.as_ref(),
        )?;
        let network = session.open_network(&config.limits);

        let is_click = matches!(command.asked, Request::Value(_));
        let file = (is_click && job.file.is_some()).then(|| SoughtFile::read(job));
        let file = file.transpose()?;
        let dry_run = config.settings.dry_run || parameters.dry_run;
        let (opened, no_target) = open_if_needed(&importing, is_click, || {
            open_targets(session, config, dry_run, &network)
        })?;
        let targets = opened.open;

        mark_report(run, is_click, dry_run, !targets.is_empty());
        run.draft().most_artifacts = report_only::artifact_limit(config.max_artifacts);
        let import = ImportRun {
            job,
            commands: Commands { connections: &all },
            network: &network,
            ids: &ids,
            targets: &targets,
            refused: opened.refused,
            no_target,
            dry_run,
            command: &command,
            file: file.as_ref(),
        };

        let items = counted_items(&importing, is_click);
        worker::for_each_connection(&importing, &items, clock, run, |connection, part| {
            let done = import.follow_command(connection, part);
            reporting::warn_of_omissions(part);
            done
        });

        Ok(())
    }

    fn requirements(config: &Config, input: &DoctorInput) -> Result<Requirements> {
        config.filters.validate()?;
        let (connections, _) = config.connections.to_connections(&input.options)?;
        Ok(Requirements {
            work: "import",
            connections,
            may: Purpose::allows_import,
            instance: config.destination.instance.clone(),
            installation: installation(&config.destination)?,
            has_secret: config.destination.instance_secret.is_some(),
            thehive: TheHiveRequirements {
                case_template: config.marks.case_template.clone(),
                ..config.settings.thehive_requirements(&config.destination)
            },
            misp: MispRequirements {
                organisations: config.connections.organisations.clone(),
                ..MispRequirements::default()
            },
            event: None,
            is_for_jobs_organisation: config.destination.thehive_key.is_none(),
        })
    }

    fn look_ahead(
        session: &Session<'_>,
        config: &Config,
        _: &HttpContext,
    ) -> Result<Option<Outlook>> {
        let &Session {
            job,
            connection_options: options,
            clock,
            ..
        } = session;
        if job.data.is_null() {
            return Ok(None);
        }
        let (parameters, remarks) =
            config::parse_options::<Parameters>(&job.parameters, OptionSource::Parameters)?;
        let select = |name| select_for_import(config, options, name);
        let (all, _) = select(None)?;
        let command = Command::new(
            job,
            &parameters,
            &all,
            config.observable_commands,
            clock.now,
        )?;
        select(command.requested_connection())?;
        let does = match &command.asked {
            Request::Sync { .. } => "it imports the events of the window",
            Request::Event { .. } => "it imports one event",
            Request::Value(_) => "it looks a value up",
        };

        Ok(Some(Outlook {
            does: does.to_owned(),
            remarks,
        }))
    }

    fn doubts(config: &Config) -> Vec<String> {
        config.choice.warnings()
    }

    fn check_filter_names(config: &Config, misp: &Misp, part: &ConnectionReporter) -> Result<bool> {
        filter_resolution::resolve(misp, &config.filters, part)?;
        Ok(config.filters.has_names())
    }

    fn summarise(full: &ReportBody) -> String {
        match &full.value {
            Some(value) => lookup::summarise(full, value),
            None => reporting::summarise_import(full),
        }
    }

    fn taxonomies(full: &ReportBody) -> Vec<Taxonomy> {
        if full.value.is_some() {
            return lookup::taxonomies(full);
        }
        let count = full.ledger.count(ItemKind::Events);
        let taxonomy = |predicate, value: u64| Taxonomy {
            level: TaxonomyLevel::Info,
            namespace: "MISP",
            predicate,
            value: value.to_string(),
        };

        vec![
            taxonomy("Events", count.fetched),
            taxonomy("Alerts", count.created + count.updated),
        ]
    }
}

/// Opens the organisations that get alerts, if any are to be written. Gives beside them why a click
/// cannot import what it finds.
fn open_if_needed(
    importing: &[ConnectionConfig],
    is_click: bool,
    open: impl FnOnce() -> Result<AlertTargets>,
) -> Result<(AlertTargets, Option<String>)> {
    let click_imports = |configured: &ConnectionConfig| configured.config.settings.click_imports;
    if is_click && !importing.iter().any(click_imports) {
        return Ok((AlertTargets::default(), None));
    }

    match open() {
        // A click is a question first: it is answered, whatever becomes of what it finds.
        Err(error) if is_click => Ok((AlertTargets::default(), Some(worker::error_line(&error)))),
        opened => Ok((opened?, None)),
    }
}

/// Has the report say whether alerts are written, or only shown. A click that writes none is no dry
/// run: nobody expects alerts of it.
fn mark_report(run: &RunReport, is_click: bool, dry_run: bool, writes: bool) {
    let mut draft = run.draft();
    draft.full.is_report_only = !is_click && !writes;
    draft.full.dry_run = if is_click {
        dry_run && writes
    } else {
        dry_run || !writes
    };
}

/// What the report counts: files only where they are put into the alerts themselves.
fn counted_items(importing: &[ConnectionConfig], is_click: bool) -> Vec<(ItemKind, usize)> {
    let downloads = |configured: &ConnectionConfig| {
        configured.config.settings.import_attachments == Attachments::Download
    };
    let has_files = !is_click && importing.iter().any(downloads);
    let items = [
        Some(ItemKind::Events),
        Some(ItemKind::Attributes),
        has_files.then_some(ItemKind::Files),
    ];

    items.into_iter().flatten().map(|item| (item, 0)).collect()
}

/// Checks the filters of each connection, and warns once of what is doubtful in them.
fn check_filters(importing: &[overrides::ConnectionConfig<Config>], run: &RunReport) -> Result<()> {
    let mut doubts = BTreeSet::new();
    for each in importing {
        each.config.filters.validate()?;
        doubts.extend(Import::doubts(&each.config));
    }
    doubts.into_iter().for_each(|doubt| run.warn(doubt));

    Ok(())
}

/// This installation's name.
fn installation(destination: &Destination) -> Result<String> {
    config::installation_name(
        destination.instance.as_deref(),
        destination.thehive_url.as_deref(),
    )
}

fn window_start(days: u64, now: i64) -> i64 {
    match i64::try_from(days) {
        Ok(0) | Err(_) => 0,
        Ok(days) => now.saturating_sub(days.saturating_mul(DAY)).max(0),
    }
}

/// The organisations of TheHive that get the alerts; none if TheHive may not be written to.
#[derive(Default)]
struct AlertTargets {
    open: Vec<AlertTarget>,
    /// Why the others get none.
    refused: Vec<String>,
}

fn open_targets(
    session: &Session<'_>,
    config: &Config,
    dry_run: bool,
    network: &HttpContext,
) -> Result<AlertTargets> {
    let Destination {
        thehive_url,
        thehive_key,
        thehive_organisations,
        thehive_former_users,
        ..
    } = &config.destination;

    let access = session.thehive_access(thehive_url.as_deref(), thehive_key.as_ref())?;
    let Some((url, key)) = access else {
        return Ok(AlertTargets::default());
    };

    // Who writes nothing needs no more than to read.
    let rights = if dry_run {
        Vec::new()
    } else {
        config
            .settings
            .thehive_requirements(&config.destination)
            .rights
    };

    let (open, refused) = open_each(thehive_organisations, |name| {
        AlertTarget::open(
            &url,
            key,
            name,
            thehive_former_users,
            &rights,
            network,
            session.run,
        )
    })?;

    if let Some(template) = &config.marks.case_template {
        open.iter()
            .for_each(|target| target.check_case_template(template));
    }

    Ok(AlertTargets { open, refused })
}

/// Each of the organisations once, or that of the key if none is named, and why the others get no
/// alerts. An error if none is left.
fn open_each(
    names: &[String],
    open: impl Fn(Option<&str>) -> Result<AlertTarget>,
) -> Result<(Vec<AlertTarget>, Vec<String>)> {
    if names.is_empty() {
        return Ok((vec![open(None)?], Vec::new()));
    }
    let mut targets: Vec<AlertTarget> = Vec::new();
    let mut refused: Vec<anyhow::Error> = Vec::new();

    for name in names {
        match open(Some(name)) {
            // One may be named twice, by its name and by its `_id`.
            Ok(target)
                if targets
                    .iter()
                    .any(|known| known.organisation() == target.organisation()) => {}
            Ok(target) => targets.push(target),
            Err(error) => refused.push(error),
        }
    }

    if targets.is_empty() && !refused.is_empty() {
        return Err(refused.swap_remove(0));
    }
    let refused = refused
        .iter()
        .map(|error| format!("no alerts are written there: {}", worker::error_line(error)));

    Ok((targets, refused.collect()))
}

type ConnectionConfig = overrides::ConnectionConfig<Config>;

/// The connections that may import, or the one of this name, and what there is to warn of.
fn select_for_import(
    config: &Config,
    options: &[OptionSpec],
    name: Option<&str>,
) -> Result<(Vec<Connection>, Vec<String>)> {
    let allows = Purpose::allows_import;
    config
        .connections
        .select_for_work(allows, "import", name, options)
}

/// What is the same for all connections.
struct ImportRun<'a> {
    job: &'a Job,
    commands: Commands<'a>,
    network: &'a HttpContext,
    ids: &'a Ids,
    targets: &'a [AlertTarget],
    /// Why other organisations that should get the alerts get none.
    refused: Vec<String>,
    /// Why TheHive cannot be written to, where a click is answered all the same.
    no_target: Option<String>,
    dry_run: bool,
    command: &'a Command,
    /// The file that is looked up, if it is one.
    file: Option<&'a SoughtFile>,
}

impl<'a> ImportRun<'a> {
    /// Does on a connection what the job asks for.
    fn follow_command(
        &self,
        configured: &ConnectionConfig,
        part: &ConnectionReporter,
    ) -> Result<()> {
        match &self.command.asked {
            Request::Value(value) => self.look_up(value, configured, part),
            Request::Sync { .. } => self
                .prepare_import(configured, part)
                .and_then(|sync| sync.import_window(self.effective_since(configured))),
            Request::Event { uuid_or_id, .. } => {
                self.import_one_event(uuid_or_id, configured, part)
            }
        }
    }

    /// Makes ready to import from a connection.
    fn prepare_import<'c>(
        &self,
        configured: &'c ConnectionConfig,
        part: &'c ConnectionReporter,
    ) -> Result<ConnectionImport<'c>>
    where
        'a: 'c,
    {
        let overrides::ConnectionConfig { connection, config } = configured;
        self.refused
            .iter()
            .for_each(|why| part.add_failure(why.clone()));
        let targets = self.allowed_targets(configured, part)?;
        let filters = &config.filters;
        let (mut misp, names) =
            filter_resolution::open_and_resolve(connection, self.network, filters, part)?;
        if targets.is_empty() {
            misp.read_ahead();
        }

        Ok(ConnectionImport {
            connection,
            network: self.network,
            ids: self.ids,
            config,
            commands: self.commands,
            part,
            misp,
            targets,
            dry_run: self.dry_run,
            most_new: self.new_alert_limit(&config.settings),
            names,
            turns: Sequencer::default(),
            given_back: AtomicU64::default(),
            strangers: Strangers::default(),
            suspects: Suspects::default(),
            time: ShareOfTime::new(self.network.clock().left_to_begin()),
            waiting: Mutex::default(),
        })
    }

    /// The organisations of TheHive that may use a connection, of those that get the alerts.
    /// Without access to TheHive it is the one that the job names.
    fn allowed_targets(
        &self,
        configured: &ConnectionConfig,
        part: &ConnectionReporter,
    ) -> Result<Vec<&'a AlertTarget>> {
        if self.targets.is_empty() {
            self.ensure_allowed(configured)?;
            return Ok(Vec::new());
        }
        let lists = &configured.config.connections.organisations;
        let mut allowed = Vec::new();
        let mut denials = Vec::new();
        for target in self.targets {
            match lists.denial_reason(Some(target.organisation())) {
                None => allowed.push(target),
                Some(why) => denials.push(format!(
                    "connection \"{}\" {why}",
                    configured.connection.name
                )),
            }
        }

        ensure!(
            !allowed.is_empty(),
            "{}: none of those that get the alerts may use it",
            denials.join("; ")
        );

        denials
            .into_iter()
            .for_each(|denial| part.warn(format!("{denial}: no alerts are written there")));

        Ok(allowed)
    }

    /// Refuses what the organisation that the job names may not do.
    fn ensure_allowed(&self, configured: &ConnectionConfig) -> Result<()> {
        let denied = configured
            .config
            .connections
            .organisations
            .denial_reason(self.job.organisation());

        denied.map_or(Ok(()), |why| {
            bail!("connection \"{}\" {why}", configured.connection.name)
        })
    }

    fn effective_since(&self, configured: &ConnectionConfig) -> i64 {
        self.command.since.unwrap_or_else(|| {
            window_start(configured.config.window_days, self.network.clock().now)
        })
    }

    /// Alerts that are only reported are not limited by the configuration; a job's own limit holds
    /// in any case.
    fn new_alert_limit(&self, settings: &Settings) -> (u64, &'static str) {
        let most = if self.targets.is_empty() {
            0
        } else {
            settings.max_new_alerts
        };

        match self.command.limit {
            Some(limit) if most == 0 || limit < most => (limit, "limit of this job"),
            Some(_) | None => (most, "max_new_alerts"),
        }
    }

    /// The one event that was asked for.
    fn import_one_event(
        &self,
        name: &EventRef,
        configured: &ConnectionConfig,
        part: &ConnectionReporter,
    ) -> Result<()> {
        let sync = self.prepare_import(configured, part)?;
        let found = match name {
            EventRef::Uuid(uuid) => sync.misp.fetch_index_entries(&[*uuid])?.pop(),
            EventRef::Number(number) => sync
                .misp
                .ask_server(|server| server.find_event_by_number(*number))?,
        };
        if found.is_none() {
            part.warn(reporting::NOT_THERE);
        }
        sync.import_events(found.into_iter().collect())
    }

    /// Which events know a value; with `click_imports` those are imported, in a part of the report
    /// of their own.
    fn look_up(
        &self,
        value: &str,
        configured: &ConnectionConfig,
        part: &ConnectionReporter,
    ) -> Result<()> {
        lookup::begin_report(self.file.map_or(value, |file| &file.label), part);
        self.ensure_allowed(configured)?;
        let overrides::ConnectionConfig { connection, config } = configured;
        let (of_run, seconds) = (self.network.clock(), config.look_up_seconds);
        let clock = match seconds {
            0 => of_run,
            seconds => of_run.limited_to(Duration::from_secs(seconds)),
        };
        let data_type = &self.job.data_type;
        let (sought, related) = match self.file {
            Some(file) => (file.to_search_value(), RelatedValues::default()),
            None if config.lookup_related => (
                SearchValue::new(data_type, value),
                RelatedValues::new(data_type, value),
            ),
            None => (SearchValue::new(data_type, value), RelatedValues::default()),
        };
        let setup = LookupSetup {
            network: &self.network.with_clock(clock),
            ids: self.ids,
            filters: &config.filters,
            marks: &config.marks,
            value: &sought,
            related: &related,
            artifacts: config.lookup_artifacts,
            choice: &config.choice,
            commands: self.commands,
        };

        let found = lookup::run(&setup, connection, part).map_err(|error| {
            match clock.is_over() && !of_run.is_over() {
                true => error.context(format!(
                    "not searched within {} (\"look_up_seconds\")",
                    format_count(seconds, "second", "seconds")
                )),
                false => error,
            }
        })?;

        if config.settings.click_imports && !found.is_empty() {
            self.import_found(found, configured, part);
        }
        Ok(())
    }

    /// Imports what a click found.
    fn import_found(
        &self,
        found: Vec<(Uuid, Event)>,
        configured: &ConnectionConfig,
        part: &ConnectionReporter,
    ) {
        if let Some(why) = &self.no_target {
            part.add_failure(format!("what was found is not imported: {why}"));
        }
        if self.targets.is_empty() {
            return;
        }
        let connection = &configured.connection;
        let imported = part.run.open(worker::empty_report(connection));

        let done = self
            .prepare_import(configured, &imported)
            .and_then(|sync| sync.import_events(found));
        reporting::warn_of_omissions(&imported);
        imported.finish(done.err().map(|error| worker::error_line(&error)));
    }
}
