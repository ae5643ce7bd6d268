//! The responder: its configuration, its input, and what it says in the end. What happens on each
//! connection is in `connection.rs`.

mod addressing;
mod attachments;
pub mod case;
mod case_report;
mod certain;
mod comments;
mod connection;
mod diff;
mod draft;
mod event_report;
pub mod event_tags;
mod external_link;
mod file_objects;
mod into;
pub mod load;
mod mapping;
mod options;
mod outlook;
mod plan;
mod procedures;
mod reconcile;
mod refused;
mod reporting;
mod retraction;
mod setting_tags;
mod sides;
mod sighting_tags;
mod sightings;
mod target;
mod verdicts;

use anyhow::{Context, Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::connections::{Connection, Connections, Purpose};
use crate::config::{self, OptionSource, TimeLimits, overrides, urls};
use crate::cortex::job::Job;
use crate::cortex::markdown::neutralise_line;
use crate::http::HttpContext;
use crate::ids::Ids;
use crate::misp::Misp;
use crate::report::ledger::{ItemCounts, ItemKind, VerdictKind};
use crate::report::{ConnectionReport, ConnectionReporter, ReportBody, RunReport, Taxonomy};
use crate::secret::{Secret, truncate_text};
use crate::text::format_count;
use crate::thehive::{CaseQuestions, TheHive};
use crate::worker::requirements::{MispRequirements, Outlook, Requirements, TheHiveRequirements};
use crate::worker::{self, DoctorInput, Session, Worker, WorkerKind};
use case::ExportInput;
use connection::{ConnectionExport, ExportJob};
use options::Settings;
use verdicts::SkipRule;

/// The configuration of `misp-export`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The MISP connections.
    #[serde(flatten)]
    pub connections: Connections,
    /// The URL of TheHive, such as `https://thehive.example.org`: the case's observables are read
    /// there. Its host is the default of `instance`.
    #[serde(default)]
    pub thehive_url: Option<String>,
    /// The API key of a TheHive user who may read the cases; no other permission is needed.
    #[serde(default)]
    pub thehive_key: Option<Secret>,
    /// A name of this installation, such as `soc.example.org`, the same for both workers and for
    /// ever: it is part of every uuid made. Default: the host of `thehive_url`, else `thehive`.
    #[serde(default)]
    pub instance: Option<String>,
    /// A secret of this installation, at least 16 random characters, the same for both workers and
    /// for ever: uuids and check values follow from it, so that nobody else can compute them.
    /// `misp-export check` proposes one.
    #[serde(default)]
    pub instance_secret: Option<Secret>,
    /// What goes out, and how.
    #[serde(flatten)]
    pub settings: Settings,
    /// Report what would be written, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The limits in time.
    #[serde(flatten)]
    pub limits: TimeLimits,
}

/// The data type of a case.
const CASE: &str = "thehive:case";

/// What a job may ask for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
struct Parameters {
    /// Only the connection of this name.
    #[serde(default)]
    connection: Option<String>,
    /// Report what would be written, and write nothing.
    #[serde(default)]
    dry_run: bool,
    /// The uuid of an event that a tag of the case names: it is this case's, though nothing shows
    /// that.
    #[serde(default)]
    confirm_event: Option<String>,
    /// What a job on an observable is about: `observable` or `case`. TheHive 5's notifiers start a
    /// job on the observable that changed, where the whole case is meant.
    #[serde(default)]
    scope: Scope,
}

/// What a job on an observable is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// That observable, which joins the event of its case.
    #[default]
    Observable,
    /// The whole case.
    Case,
}

impl Parameters {
    /// The event that is to be taken for this case's.
    ///
    /// # Errors
    /// That what is given is no uuid.
    fn confirmed_event(&self) -> Result<Option<Uuid>> {
        let uuid = self.confirm_event.as_deref().map(|text| {
            Uuid::parse_str(text.trim()).context(
                "parameter \"confirm_event\" is no uuid: give that of the event that a tag names",
            )
        });

        uuid.transpose()
    }
}

/// The responder.
#[derive(Clone, Copy, Debug)]
pub struct Export;

impl Worker for Export {
    const NAME: &'static str = "MISPExport";
    const PROGRAM: &'static str = "misp-export";
    const KIND: WorkerKind = WorkerKind::Responder;
    const DESCRIPTION: &'static str = "Export the IOC observables of a case or an alert to one \
        MISP event: all IOCs, only IOCs, never published.";
    const DATA_TYPES: &'static [&'static str] = &[CASE, load::ONE, load::ALERT];
    const SCREENSHOTS: &'static [(&'static str, &'static str)] = &[(
        "assets/export.png",
        "An export, of which MISP refused one value, as a person at a terminal reads it",
    )];
    const EXAMPLE: &'static str = r#"{"dataType": "thehive:case", "data": {"_id": "~4128", "title": "A case"}, "parameters": {"dry_run": true},
   "config": {"name": ["misp-corp"], "url": ["https://misp.example.org"], "key": ["MISP's API key"],
              "thehive_url": "https://thehive.example.org", "thehive_key": "TheHive's API key"}}"#;
    type Config = Config;

    fn limits(config: &Config) -> &TimeLimits {
        &config.limits
    }

    fn run(session: &Session<'_>, config: &Config) -> Result<()> {
        let &Session {
            job, clock, run, ..
        } = session;

        let (parameters, warnings) =
            config::parse_options::<Parameters>(&job.parameters, OptionSource::Parameters)?;
        let requested = parameters.connection.as_deref();
        let (exporting, more) = select_for_export(session, config, requested)?;
        let (all, _) = select_for_export(session, config, None)?;
        let exporting =
            validate_settings(overrides::configure_each(exporting, &job.config, config)?)?;
        let warnings = warnings.into_iter().chain(more);
        warnings.for_each(|warning| run.warn(warning));
        let ids = build_ids(config)?;
        let confirmed = parameters.confirmed_event()?;

        let network = session.open_network(&config.limits);
        let dry_run = config.dry_run || parameters.dry_run;
        let thehive = open_thehive(session, config, &network)?;
        let asked = CaseQuestions {
            alerts: false,
            procedures: exporting
                .iter()
                .any(|one| one.config.settings.export_procedures),
            links: exporting
                .iter()
                .any(|one| one.config.settings.add_external_link),
        };
        let input =
            load_allowed_input(session, config, thehive.as_ref(), (parameters.scope, asked))?;
        addressing::warn_of_mistyped_tags(&input, run);
        into::validate_tags(&input, &all)?;

        let exporting = addressing::select_connections(exporting, &input, requested, run)?;
        let exporting = select_allowed(exporting, job.organisation(), run)?;
        into::warn_of_other_connections(&input, &exporting, &all, run);
        let several = addressing::describe_several_targets(&exporting, &input);
        run.draft().full.dry_run = dry_run;
        report_case(&input, job, run);
        let export = ExportJob {
            network: &network,
            ids: &ids,
            input: &input,
            thehive: thehive.as_ref(),
            url: case_page_url(config, &input)?,
            dry_run,
            confirmed,
            named: select_named(&exporting, &input, confirmed.as_ref()),
            all: &all,
            organisation: job.organisation().unwrap_or_default(),
        };
        let items = [(ItemKind::Observables, input.observables.len())];

        worker::for_each_connection(&exporting, &items, clock, run, |connection, part| {
            // These remarks name all connections, so that they are told with the first alone.
            let first = exporting.first().map(|first| &first.connection.name);
            if first == Some(&connection.connection.name) {
                let remarks = several.iter().cloned();
                remarks.for_each(|remark| part.add_note(remark));
            }

            let overrides = connection.config.settings.validate()?;
            ConnectionExport::new(&export, connection, &overrides, part).run()
        });

        Ok(())
    }

    fn explain_refusal(session: &Session<'_>, refusal: anyhow::Error) -> anyhow::Error {
        match config::parse_options::<Config>(&session.job.config, OptionSource::Configuration) {
            Ok((config, _)) => refused::with_existing_events(refusal, session, &config),
            Err(_) => refusal,
        }
    }

    fn requirements(config: &Config, input: &DoctorInput) -> Result<Requirements> {
        config.settings.validate()?;
        let ids = build_ids(config)?;
        let case = input.job_data(CASE);
        let (connections, _) = config.connections.to_connections(&input.options)?;

        let thehive = TheHiveRequirements {
            url: config.thehive_url.clone(),
            key: config.thehive_key.clone(),
            organisations: input
                .organisation()
                .map(ToOwned::to_owned)
                .into_iter()
                .collect(),
            rights: config.settings.thehive_rights(),
            case_template: None,
            has_types: false,
            without: "a case's observables cannot be read, and TheHive sends none with a case: no \
                case can be exported",
        };

        let installation =
            config::installation_name(config.instance.as_deref(), config.thehive_url.as_deref())?;

        Ok(Requirements {
            work: "export",
            connections,
            may: Purpose::allows_export,
            instance: config.instance.clone(),
            installation,
            has_secret: config.instance_secret.is_some(),
            thehive,
            misp: MispRequirements {
                organisations: config.connections.organisations.clone(),
                ..config.settings.misp_requirements()
            },
            event: case.and_then(|case| {
                let id = case::read_id(case).ok()?;
                Some(ids.event_uuid(&id, &case::created_millis(case)))
            }),
            is_for_jobs_organisation: true,
        })
    }

    fn look_ahead(
        session: &Session<'_>,
        config: &Config,
        network: &HttpContext,
    ) -> Result<Option<Outlook>> {
        if session.job.data.is_null() {
            return Ok(None);
        }
        outlook::of_job(session, config, network).map(Some)
    }

    fn doubts(_: &Config) -> Vec<String> {
        Vec::new()
    }

    fn check_filter_names(_: &Config, _: &Misp, _: &ConnectionReporter) -> Result<bool> {
        Ok(false)
    }

    fn summarise(full: &ReportBody) -> String {
        summarise(full)
    }

    fn taxonomies(_: &ReportBody) -> Vec<Taxonomy> {
        Vec::new()
    }
}

type ConnectionConfig = overrides::ConnectionConfig<Config>;

/// The connections that may export, or the one of this name, and what there is to warn of.
fn select_for_export(
    session: &Session<'_>,
    config: &Config,
    name: Option<&str>,
) -> Result<(Vec<Connection>, Vec<String>)> {
    config.connections.select_for_work(
        Purpose::allows_export,
        "export",
        name,
        session.connection_options,
    )
}

fn build_ids(config: &Config) -> Result<Ids> {
    let instance =
        config::installation_name(config.instance.as_deref(), config.thehive_url.as_deref())?;
    config::build_ids(&instance, config.instance_secret.as_ref())
}

/// TheHive, if it may be asked.
fn open_thehive(
    session: &Session<'_>,
    config: &Config,
    network: &HttpContext,
) -> Result<Option<TheHive>> {
    let access =
        session.thehive_access(config.thehive_url.as_deref(), config.thehive_key.as_ref())?;
    access
        .map(|(url, key)| {
            TheHive::open(&url, key, session.job.organisation(), network, session.run)
        })
        .transpose()
}

/// Says in the report which case it is, for whom, and what is wrong with it.
fn report_case(input: &ExportInput, job: &Job, run: &RunReport) {
    run.draft().full.case = Some(case_label(input));
    run.draft().full.is_alert = input.case.is_alert;

    // What is told of a shared case holds for what one organisation sees of it.
    let seen_by = job.organisation().filter(|_| input.is_shared());
    run.draft().full.seen_by = seen_by.map(ToOwned::to_owned);
    let warnings = input.warnings.iter().cloned();
    warnings.for_each(|warning| run.warn(warning));
}

/// The gate once more, by what was read: a job may say less of a case than TheHive does.
fn recheck_markings(job: &Job, input: &ExportInput) -> Result<()> {
    let of_items = input
        .observables
        .iter()
        .flatten()
        .map(|ioc| ioc.tlp)
        .max()
        .filter(|_| !input.is_case);

    job.check_case_markings(
        input.case.tlp.max(of_items.unwrap_or(input.case.tlp)),
        input.case.pap,
    )
}

/// The case and its observables without secrets, if its markings let it out.
fn load_allowed_input(
    session: &Session<'_>,
    config: &Config,
    thehive: Option<&TheHive>,
    asked: (Scope, CaseQuestions),
) -> Result<ExportInput> {
    let input = load_input(session.job, thehive, asked)?;
    let input = input.without_secrets(&session.run.scrubber())?;
    recheck_markings(session.job, &input)
        .map_err(|refusal| refused::with_existing_events(refusal, session, config))?;

    Ok(input)
}

/// The case and its observables: from TheHive if it can be asked, else from the job if it carries
/// observables.
fn load_input(
    job: &Job,
    thehive: Option<&TheHive>,
    (scope, asked): (Scope, CaseQuestions),
) -> Result<ExportInput> {
    match (job.data_type.as_str(), scope) {
        (load::ONE, Scope::Observable) => return load::resolve_observable(&job.data, thehive),
        (load::ONE, Scope::Case) => return load::fetch_case_around(&job.data, thehive, asked),
        (load::ALERT, _) => return load::resolve_alert(&job.data, thehive),
        (_, Scope::Observable | Scope::Case) => {}
    }
    let id = case::read_id(&job.data)?;

    match (case::parse_observables(&job.data)?, thehive) {
        // What a job says of a case may be older than what TheHive has, or somebody else's word.
        (_, Some(thehive)) => {
            let alerts = !event_tags::names_an_event(&job.data);
            load::fetch_case(&id, thehive, CaseQuestions { alerts, ..asked })
        }
        (Some(observables), None) => ExportInput::new(&job.data, observables, None),
        (None, None) => bail!(load::NO_OBSERVABLES),
    }
}

/// Connections whose options are right.
fn validate_settings(connections: Vec<ConnectionConfig>) -> Result<Vec<ConnectionConfig>> {
    for one in &connections {
        let wrong = || format!("the settings of connection \"{}\"", one.connection.name);
        let checked = one.config.settings.validate().map(drop);
        if one.connection.own.is_empty() {
            checked?
        } else {
            checked.with_context(wrong)?
        }
    }

    Ok(connections)
}

/// The connections that the organisation of the job may use.
fn select_allowed(
    connections: Vec<ConnectionConfig>,
    organisation: Option<&str>,
    run: &RunReport,
) -> Result<Vec<ConnectionConfig>> {
    let mut denials = Vec::new();

    let allowed: Vec<_> = connections
        .into_iter()
        .filter(|ConnectionConfig { connection, config }| {
            let denied = config.connections.organisations.denial_reason(organisation);
            denials.extend(
                denied
                    .as_ref()
                    .map(|why| format!("connection \"{}\" {why}", connection.name)),
            );

            denied.is_none()
        })
        .collect();

    ensure!(
        !allowed.is_empty(),
        "nothing is exported: {}",
        denials.join("; ")
    );

    denials
        .into_iter()
        .for_each(|denial| run.warn(format!("{denial}: nothing is exported to it")));

    Ok(allowed)
}

/// The names of the connections on which a tag of the case names this event.
fn select_named(
    connections: &[ConnectionConfig],
    input: &ExportInput,
    event: Option<&Uuid>,
) -> Vec<String> {
    connections
        .iter()
        .map(|one| &one.connection.name)
        .filter(|name| target::has_event_tag(input, name, event))
        .cloned()
        .collect()
}

/// The page of a case in TheHive's web interface, whose addresses changed with TheHive 5.
fn case_page_url(config: &Config, input: &ExportInput) -> Result<Option<String>> {
    let Some(thehive) = &config.thehive_url else {
        return Ok(None);
    };
    let thehive = urls::parse_thehive(thehive)?;
    let id = &input.case.id;

    Ok(Some(match (input.case.is_five, input.case.is_alert) {
        (true, true) => format!("{thehive}alerts/{id}/details"),
        (true, false) => format!("{thehive}cases/{id}/details"),
        // Its web interface has no page of a single alert.
        (false, true) => format!("{thehive}index.html#!/alert/list"),
        (false, false) => format!("{thehive}index.html#!/case/{id}/details"),
    }))
}

fn case_label(input: &ExportInput) -> String {
    match input.case.number.as_str() {
        // A reference may have blanks.
        number if input.case.is_alert => truncate_text(number, 100),
        "" => truncate_text(&input.case.title, 100),
        number => format!(
            "#{} {}",
            truncate_text(number, 20),
            truncate_text(&input.case.title, 100)
        ),
    }
}

const NOT_SENT: &str = "not sent";

/// "Exported 12 IOCs of case #42 to misp-corp as event 1337: 9 added, 3 unchanged". The number is
/// that of the IOCs that are there now; where it is not the same for all connections, each has its
/// own.
fn summarise(full: &ReportBody) -> String {
    let case = short_case_name(full);
    let iocs = full.connections.iter().map(count_iocs).max().unwrap_or(0);
    let done: Vec<_> = full
        .connections
        .iter()
        .map(|part| part.ledger.count(ItemKind::Observables).count_done())
        .collect();

    let least = done.iter().min().copied().unwrap_or(0);
    let parts: Vec<_> = full
        .connections
        .iter()
        .map(|part| describe_connection(part, full.dry_run))
        .collect();

    let is_all_unchanged = full.connections.iter().all(|part| {
        let count = part.ledger.count(ItemKind::Observables);
        count.unchanged == iocs
    });
    let all = format_count(iocs, "IOC", "IOCs");
    if is_all_unchanged && iocs > 0 && !full.dry_run {
        let all = match iocs {
            1 => format!("The IOC of {case} was"),
            _ => format!("All {all} of {case} were"),
        };
        let sentence = format!("{all} already in {}", parts.join("; in "));
        return std::iter::once(sentence).chain(notes(full)).collect();
    }
    let parts = parts.join("; to ");

    let sentence = match (iocs, least, full.dry_run) {
        (0, ..) => {
            // Others may see more of a case that is shared.
            let seen = full
                .seen_by
                .as_deref()
                .map(|name| format!(" that {} sees", neutralise_line(name)))
                .unwrap_or_default();
            format!(
                "No observable of {case}{seen} is flagged as IOC: nothing to export to \
                 {parts}"
            )
        }
        (.., true) => format!("Dry run: export of {all} of {case} to {parts}"),
        (_, 0, _) if done.iter().all(|done| *done == 0) => {
            format!("No IOC of {case} was exported to {parts}")
        }
        (_, least, _) if least == iocs => format!("Exported {all} of {case} to {parts}"),
        (_, least, _) if done.iter().all(|done| *done == least) => {
            format!("Exported {least} of {all} of {case} to {parts}")
        }
        _ => format!("Exported a part of the {all} of {case} to {parts}"),
    };

    std::iter::once(sentence).chain(notes(full)).collect()
}

/// Which case or alert it is, in a sentence.
fn short_case_name(full: &ReportBody) -> String {
    let label = full.case.as_deref().unwrap_or_default();
    match full.is_alert {
        true => format!("alert {}", neutralise_line(label)),
        false => format!(
            "case {}",
            neutralise_line(label.split(' ').next().unwrap_or_default())
        ),
    }
}

/// What else is worth a sentence, of each connection.
fn notes(full: &ReportBody) -> impl Iterator<Item = String> {
    let notes = full
        .connections
        .iter()
        .flat_map(|part| part.notes.iter().map(move |note| (part, note)));
    notes.map(|(part, note)| {
        format!(
            ". {}: {}",
            neutralise_line(&part.name),
            neutralise_line(note)
        )
    })
}

fn count_iocs(part: &ConnectionReport) -> u64 {
    let count = part.ledger.count(ItemKind::Observables);
    let not_iocs = count.skipped_by.get(&SkipRule::NotAnIoc.to_string());
    count.fetched - not_iocs.copied().unwrap_or(0)
}

fn describe_connection(part: &ConnectionReport, dry_run: bool) -> String {
    let count = part.ledger.count(ItemKind::Observables);

    let done = |verb: &str| describe_done(verb, dry_run);
    let written = [
        (count.created, done("added")),
        (count.updated, done("updated")),
        (count.unchanged, "unchanged".to_owned()),
        (count.failed, "failed".to_owned()),
    ];
    let mut phrases = describe_numbers(written);
    let skipped = count.skipped_by.iter();
    phrases.extend(
        skipped
            .filter(|(rule, _)| **rule != SkipRule::NotAnIoc.to_string())
            .map(|(rule, number)| format!("{number} left out ({})", neutralise_line(rule))),
    );

    let files = part.ledger.count(ItemKind::Files).created;
    let sent = done("sent");
    phrases.extend(describe_numbers([(
        files,
        if files == 1 {
            format!("file {sent}")
        } else {
            format!("files {sent}")
        },
    )]));
    phrases.extend(event_change(part, dry_run));
    let retractions = part.ledger.count(ItemKind::Retractions);
    let closings = part.ledger.count(ItemKind::Closings);
    phrases.extend(describe_numbers([
        (retractions.updated, done("retracted")),
        (closings.updated, done("closed")),
    ]));

    phrases.extend(left_retractions(&retractions));
    if part.proposals > 0 {
        phrases.push(format_count(
            part.proposals,
            "open proposal in MISP",
            "open proposals in MISP",
        ));
    }

    let followed = part.events.iter().skip(1);
    phrases.extend(followed.map(|event| {
        format!(
            "event {} is this case's too: {}",
            neutralise_line(event.id.as_ref().unwrap_or(&event.uuid)),
            event.verdict
        )
    }));

    let place = describe_place(part);
    if phrases.is_empty() {
        place
    } else {
        format!("{place}: {}", phrases.join(", "))
    }
}

/// The connection, and the event there if there is one.
fn describe_place(part: &ConnectionReport) -> String {
    let name = neutralise_line(&part.name);
    match part.events.first() {
        Some(event) => {
            let event = neutralise_line(event.id.as_ref().unwrap_or(&event.uuid));
            format!("{name} as event {event}")
        }
        None => name,
    }
}

/// What was done, or would be.
fn describe_done(verb: &str, dry_run: bool) -> String {
    if dry_run {
        format!("would be {verb}")
    } else {
        verb.to_owned()
    }
}

/// The numbers that are not zero, each with what it counts.
fn describe_numbers(numbers: impl IntoIterator<Item = (u64, String)>) -> Vec<String> {
    let some = numbers.into_iter().filter(|(number, _)| *number > 0);
    some.map(|(number, what)| format!("{number} {what}"))
        .collect()
}

/// What changed on the event itself, or would.
fn event_change(part: &ConnectionReport, dry_run: bool) -> Option<String> {
    let event = part.events.first()?;
    let fields = &event.changed_fields;
    if event.verdict != VerdictKind::Updated || fields.is_empty() {
        return None;
    }

    Some(match dry_run {
        true => format!("the event's own {fields} would change"),
        false => format!("the event's own {fields} changed"),
    })
}

/// What is wanted no more and stays in MISP all the same, and why.
fn left_retractions(count: &ItemCounts) -> Option<String> {
    let rules = count.skipped_by.keys();
    let why: Vec<_> = rules
        .map(|rule| neutralise_line(&truncate_text(rule, 200)))
        .collect();
    let left = count.skipped;

    let what = match left {
        0 => return None,
        1 => "is no IOC of the case any more and stays in MISP",
        _ => "are no IOCs of the case any more and stay in MISP",
    };
    Some(format!("{left} {what} ({})", why.join("; ")))
}
