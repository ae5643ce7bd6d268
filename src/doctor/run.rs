//! The round: configuration, each connection, the targets of an export together, TheHive.

use anyhow::{Context, Error, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::connectivity::CONNECTION;
use super::misp::{Probe, ProbedServer};
use super::{Finding, Findings, Verdict, export_targets, feed, render, stop_at, thehive};
use crate::config::connections::{self, Connection, Purpose, Target};
use crate::config::overrides::{self, ConnectionConfig};
use crate::config::schema::OptionSpec;
use crate::config::{self, OptionSource, TimeLimits};
use crate::cortex::job::{JobSource, MarkingRefusal};
use crate::environment::Environment;
use crate::http::HttpContext;
use crate::misp::Misp;
use crate::misp::feed::Feed;
use crate::report::RunReport;
use crate::text;
use crate::time::Clock;
use crate::worker::requirements::{MispRequirements, Outlook, Requirements};
use crate::worker::{self, DoctorInput, Session, Worker, WorkerKind};

const CONFIGURATION: &str = "configuration";
const THEHIVE: &str = "TheHive";
const ITEMS: &str = "items";

/// The doctor's whole word on a job or configuration, as a table or as JSON, and whether anything
/// failed.
pub fn run_check<W: Worker>(
    place: &JobSource,
    as_json: bool,
    options: Vec<OptionSpec>,
) -> (String, bool) {
    const WANTED: &str = "`check` takes a job, or the worker's configuration alone, as JSON";

    let input = place
        .read_job()
        .context(WANTED)
        .and_then(|given| DoctorInput::new(given, options));
    let findings = examine_input::<W>(
        input,
        place,
        &RunReport::with_environment(Environment::from_process()),
    );

    let text = match as_json {
        true => text::escape_json(format!("{:#}", render::to_json(W::PROGRAM, &findings))),
        false => render::to_text(W::PROGRAM, &findings),
    };

    (
        text,
        findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Failed),
    )
}

/// Looks at everything that the configuration names. Every text is cleaned of its secrets.
fn examine_input<W: Worker>(
    input: Result<DoctorInput>,
    place: &JobSource,
    run: &RunReport,
) -> Vec<Finding> {
    let mut findings = Findings::for_subject(CONFIGURATION);

    let found = match input {
        Ok(input) => {
            run.set_scrubber(input.scrubber(run.environment()));
            examine_config::<W>(&input, place, run, findings)
        }
        Err(error) => {
            findings.fail_with("input", &error);
            findings.all
        }
    };

    let scrubber = run.scrubber();
    // Cleaned in one place at the end, so that no finding is forgotten.
    let cleaned = |finding: Finding| Finding {
        subject: scrubber.clean(&finding.subject),
        words: scrubber.clean_truncated(&finding.words, LONGEST),
        ..finding
    };

    found.into_iter().map(cleaned).collect()
}

/// The longest words of a finding, in characters.
const LONGEST: usize = 1_500;

/// The longest wait for an answer, in seconds: what is asked here is small, and a person waits for
/// the result.
const PATIENCE: u64 = 60;

fn cap_read_timeout(limits: &TimeLimits) -> TimeLimits {
    TimeLimits {
        read_timeout: limits.read_timeout.min(PATIENCE),
        ..limits.clone()
    }
}

fn examine_config<W: Worker>(
    input: &DoctorInput,
    place: &JobSource,
    run: &RunReport,
    mut findings: Findings,
) -> Vec<Finding> {
    let Some((wants, config)) = read_requirements::<W>(input, &mut findings) else {
        return findings.all;
    };
    thehive::check_instance(&wants, &mut findings);
    thehive::check_secret(&wants, &mut findings);
    for doubt in W::doubts(&config) {
        findings.warn(ITEMS, doubt);
    }
    check_deadline(W::limits(&config), &input.config, &mut findings);
    let limits = cap_read_timeout(W::limits(&config));
    let network = HttpContext::new(
        limits.timeouts(),
        &input.config,
        place.folder(),
        Clock::start(limits.deadline_minutes),
        run.http_context(),
    );

    let (working, idle) = select_connections(&wants, input, &config, &mut findings);

    // Before the connections: their organisations are compared with those of TheHive's user.
    let mut of_thehive = Findings::for_subject(THEHIVE);
    let home = thehive::examine(&wants.thehive, &network, run, &mut of_thehive);
    // Without an answer from TheHive only what it would be asked for is missing.
    let is_answered = home.is_some() || wants.thehive.key.is_none();
    let of_job = check_job::<W>(&config, input, is_answered, &network, run);
    let acting = acting_organisations(&wants, input, home);
    let (of_connections, servers): (Vec<_>, Vec<_>) = worker::in_parallel(&working, |connection| {
        visit_connection::<W>(connection, input, &acting, &network, run)
    })
    .into_iter()
    .unzip();

    let targets: Vec<_> = servers
        .into_iter()
        .flatten()
        .filter(|server| server.is_target)
        .collect();
    export_targets::compare(&targets, wants.event, &mut findings);
    add_network_findings(run, &mut findings);

    let of_idle = idle
        .iter()
        .map(|connection| skip_idle_connection(connection, wants.work));
    // TheHive was asked first, and is shown last.
    let of_others = of_connections.into_iter().chain(of_idle).flatten();
    findings
        .all
        .into_iter()
        .chain(of_others)
        .chain(of_thehive.all)
        .chain(of_job.all)
        .collect()
}

/// Cortex ends a job after its own time (`jobTimeout`), of which the job says nothing unless
/// somebody wrote it into the configuration: a run that is ended so reports nothing.
fn check_deadline(
    TimeLimits {
        deadline_minutes, ..
    }: &TimeLimits,
    config: &Map<String, Value>,
    findings: &mut Findings,
) {
    const DEADLINE: &str = "deadline";
    const OF_CORTEX: u64 = 30;

    let given = config.get("jobTimeout").and_then(Value::as_u64);
    let timeout = given.filter(|minutes| *minutes > 0).unwrap_or(OF_CORTEX);
    if (1..timeout).contains(deadline_minutes) {
        return;
    }
    let of_cortex = match given {
        Some(_) => format!("{timeout} minutes"),
        None => format!("{timeout} minutes unless it was changed there"),
    };
    findings.warn(
        DEADLINE,
        format!(
            "\"deadline_minutes\" is {deadline_minutes}{}, and Cortex ends a job after its \
             \"jobTimeout\", {of_cortex}: a run that is ended so reports nothing; set it below \
             that, or raise \"jobTimeout\" in Cortex",
            if *deadline_minutes == 0 {
                " (none)"
            } else {
                ""
            }
        ),
    );
}

/// What a run of the job would meet before it asks a MISP: its markings, then what it is about.
fn check_job<W: Worker>(
    config: &W::Config,
    input: &DoctorInput,
    is_answered: bool,
    network: &HttpContext,
    run: &RunReport,
) -> Findings {
    const MARKINGS: &str = "markings";
    let about = match W::KIND {
        WorkerKind::Responder => "case",
        WorkerKind::Analyzer => "command",
    };
    let mut findings = Findings::for_subject("job");

    let job = match input.to_job(W::DATA_TYPES) {
        Ok(job) => job,
        Err(error) => {
            findings.fail_with(about, &error);
            return findings;
        }
    };
    if let Err(error) = job.check_markings() {
        findings.fail(MARKINGS, describe_refusal(&error));
        return findings;
    }
    if !is_answered {
        if input.is_job() {
            findings.skip(about, "not looked at: TheHive was not reached");
        }
        return findings;
    }

    // What a run would warn of is told elsewhere in the table.
    let apart = run.with_separate_report();
    let session = Session {
        job: &job,
        connection_options: &input.options,
        clock: network.clock(),
        run: &apart,
    };
    match W::look_ahead(&session, config, network) {
        Ok(None) => {}
        Ok(Some(Outlook { does, remarks })) => {
            findings.ok(about, does);
            remarks
                .into_iter()
                .for_each(|remark| findings.warn(about, remark));
        }
        Err(error) => findings.fail(about, describe_refusal(&error)),
    }

    findings
}

/// An error; that of markings, in Cortex's own words, with what can be done about it.
fn describe_refusal(error: &Error) -> String {
    match error.downcast_ref::<MarkingRefusal>() {
        Some(refusal) => format!(
            "{error:#} Raise \"{}\" of the worker in Cortex, if such jobs may run",
            refusal.max_option()
        ),
        None => format!("{error:#}"),
    }
}

/// What the configuration wants, and the configuration; none if it cannot be read, so that nothing
/// else can be looked at.
fn read_requirements<W: Worker>(
    input: &DoctorInput,
    findings: &mut Findings,
) -> Option<(Requirements, W::Config)> {
    let stages = ["connections", THEHIVE];
    let (wants, config, warnings) = findings.look(&stages, |_| {
        config::parse_options::<W::Config>(&input.config, OptionSource::Configuration)
            .and_then(|(config, warnings)| Ok((W::requirements(&config, input)?, config, warnings)))
            .map_err(stop_at(ITEMS))
    })?;

    if warnings.is_empty() {
        findings.ok(ITEMS, "all are known and good");
    }
    for warning in warnings {
        findings.warn(ITEMS, warning);
    }

    Some((wants, config))
}

/// The connections that take part in the work, each with its configuration; and the others.
fn select_connections<C: Clone + DeserializeOwned + JsonSchema>(
    wants: &Requirements,
    input: &DoctorInput,
    config: &C,
    findings: &mut Findings,
) -> (Vec<ConnectionConfig<C>>, Vec<Connection>) {
    let (working, idle): (Vec<_>, Vec<_>) = wants
        .connections
        .iter()
        .cloned()
        .partition(|connection| (wants.may)(connection.purpose));
    let working =
        overrides::configure_each(working, &input.config, config).unwrap_or_else(|error| {
            findings.fail_with(ITEMS, &error);
            Vec::new()
        });
    if idle.len() == wants.connections.len() {
        findings.fail("purpose", connections::no_connection_may(wants.work));
    }

    (working, idle)
}

/// What the HTTP client found wrong with its settings, such as a file of certificates: a run would
/// have it among the warnings of its report.
fn add_network_findings(run: &RunReport, findings: &mut Findings) {
    let remarks = std::mem::take(&mut run.draft().full.warnings);
    remarks
        .into_iter()
        .for_each(|remark| findings.warn("network", remark));
}

/// The organisations of TheHive that a run would be for, as far as that is known; none in the place
/// of one that the job does not name. `home` is that of TheHive's user.
fn acting_organisations(
    wants: &Requirements,
    input: &DoctorInput,
    home: Option<String>,
) -> Vec<Option<String>> {
    let named = &wants.thehive.organisations;
    match (wants.is_for_jobs_organisation, input.is_job()) {
        (true, true) => vec![input.organisation().map(ToOwned::to_owned)],
        (true, false) => Vec::new(),
        (false, _) if named.is_empty() => home.into_iter().map(Some).collect(),
        (false, _) => named.iter().cloned().map(Some).collect(),
    }
}

fn visit_connection<W: Worker>(
    ConnectionConfig { connection, config }: &ConnectionConfig<W::Config>,
    input: &DoctorInput,
    acting: &[Option<String>],
    network: &HttpContext,
    run: &RunReport,
) -> (Vec<Finding>, Option<ProbedServer>) {
    let mut findings = Findings::for_subject(&connection.name);
    // The shared configuration is good already; what the connection has of its own may not be.
    let wants = findings.look(&["the connection"], |_| {
        W::requirements(config, input).map_err(stop_at("settings"))
    });
    let Some(Requirements { misp: wants, .. }) = wants else {
        return (findings.all, None);
    };

    let part = run.open(worker::empty_report(connection));
    check_organisations(&wants, acting, &mut findings);
    let probe = Probe {
        connection,
        wants: &wants,
        network,
        part: &part,
        names: &|misp, part| W::check_filter_names(config, misp, part),
    };
    let seen = check_connection(&probe, &mut findings);

    (findings.all, seen)
}

/// Looks at a connection; gives the server if it takes the key.
fn check_connection(probe: &Probe<'_>, findings: &mut Findings) -> Option<ProbedServer> {
    let (clock, connection) = (probe.network.clock(), probe.connection);
    match &connection.target {
        Target::Server { .. } => return probe.check_server(findings),
        Target::Feed { folder, .. } => {
            findings.look(&[feed::MANIFEST], |findings| {
                feed::check_folder(folder, probe.wants.writes, clock, findings)
            });
        }
        Target::WebFeed { .. } => match Misp::open(connection, probe.network, probe.part) {
            Ok(Misp::Feed(feed @ Feed::Web(_))) => {
                findings.look(&[CONNECTION, feed::MANIFEST], |findings| {
                    feed::check_web_feed(&feed, connection, clock, findings)
                });
            }
            Ok(_) => {}
            Err(error) => findings.fail_with(CONNECTION, &error),
        },
    }

    None
}

/// Which organisations of TheHive may use a connection, where not all may. `known` are those that a
/// run would be for.
fn check_organisations(
    MispRequirements { organisations, .. }: &MispRequirements,
    known: &[Option<String>],
    findings: &mut Findings,
) {
    const CHECK: &str = "organisations";

    if organisations.allows_all() {
        return;
    }
    let denials: Vec<_> = known
        .iter()
        .filter_map(|name| organisations.denial_reason(name.as_deref()))
        .collect();

    let denied = format!("it {}", denials.join("; it "));
    let names: Vec<_> = known.iter().flatten().cloned().collect();
    match (known.len(), denials.len()) {
        // A configuration alone does not say for whom it would run.
        (0, _) => findings.ok(CHECK, "it is for certain organisations of TheHive only"),
        (_, 0) => findings.ok(CHECK, format!("{} may use it", names.join(", "))),
        (all, number) if all == number => findings.fail(CHECK, denied),
        _ => findings.warn(CHECK, denied),
    }
}

/// Says of a connection that it is not looked at: one of several is for import only unless it says
/// otherwise, which administrators do not expect.
fn skip_idle_connection(connection: &Connection, work: &str) -> Vec<Finding> {
    let mut findings = Findings::for_subject(&connection.name);
    let purpose = match connection.purpose {
        Purpose::ImportOnly => "import only",
        Purpose::ExportOnly => "export only",
        Purpose::ImportAndExport => "both",
    };

    findings.skip(
        "purpose",
        format!("for {purpose}, so not looked at: it takes no part in an {work}"),
    );
    findings.all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_a_minute_at_most() {
        let waits = |read_timeout| {
            cap_read_timeout(&TimeLimits {
                deadline_minutes: 25,
                connect_timeout: 10,
                read_timeout,
            })
        };

        assert_eq!(
            (waits(300).read_timeout, waits(5).read_timeout),
            (PATIENCE, 5)
        );
        assert_eq!(
            (waits(300).connect_timeout, waits(300).deadline_minutes),
            (10, 25)
        );
    }
}
