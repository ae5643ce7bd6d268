//! What an export would meet before it asks a MISP, for a check: the case and its markings, its
//! IOCs, its addressees. The same questions to TheHive as an export's, and the same words.

use anyhow::{Result, bail, ensure};

use super::case::ExportInput;
use super::mapping::{self, Decision};
use super::options::{Attachments, Settings};
use super::{
    Config, ConnectionConfig, Parameters, addressing, case_label, into, load_input, open_thehive,
    recheck_markings, select_allowed, select_for_export, validate_settings,
};
use crate::config::connections::Target;
use crate::config::overrides;
use crate::config::overrides::quote_names;
use crate::config::{self, OptionSource};
use crate::http::HttpContext;
use crate::text::format_count;
use crate::thehive::CaseQuestions;
use crate::worker::Session;
use crate::worker::requirements::Outlook;

/// What would go out of the case that a job is about, and to where.
///
/// # Errors
/// Why nothing would.
pub fn of_job(session: &Session<'_>, config: &Config, network: &HttpContext) -> Result<Outlook> {
    let &Session { job, run, .. } = session;

    let (parameters, mut remarks) =
        config::parse_options::<Parameters>(&job.parameters, OptionSource::Parameters)?;
    let requested = parameters.connection.as_deref();
    let (exporting, _) = select_for_export(session, config, requested)?;
    let exporting = validate_settings(overrides::configure_each(exporting, &job.config, config)?)?;
    parameters.confirmed_event()?;

    let thehive = open_thehive(session, config, network)?;
    let input = load_input(
        job,
        thehive.as_ref(),
        (parameters.scope, CaseQuestions::default()),
    )?;
    let input = input.without_secrets(&run.scrubber())?;
    recheck_markings(job, &input)?;
    let (all, _) = select_for_export(session, config, None)?;
    into::validate_tags(&input, &all)?;
    let exporting = addressing::select_connections(exporting, &input, requested, run)?;
    let exporting = select_allowed(exporting, job.organisation(), run)?;
    remarks.extend(input.warnings.iter().chain(&input.unread).cloned());

    let iocs = input.observables.iter().flatten();
    let iocs = iocs.filter(|ioc| ioc.observable.ioc).count() as u64;
    ensure!(
        iocs > 0,
        "no observable of the case {} is flagged as IOC, so that there is nothing to export: set \
         the flag in TheHive of those that are to go out",
        case_label(&input)
    );
    let names = select_open(&exporting, &input, &mut remarks)?;

    Ok(Outlook {
        does: format!(
            "{}, with {}, can be exported to {}",
            case_label(&input),
            format_count(iocs, "IOC", "IOCs"),
            quote_names(names)
        ),
        remarks,
    })
}

/// The names of the connections that something of the case may go to. What keeps it from the others,
/// and files that are too large, are remarks.
///
/// # Errors
/// That there is none.
fn select_open<'c>(
    exporting: &'c [ConnectionConfig],
    input: &ExportInput,
    remarks: &mut Vec<String>,
) -> Result<Vec<&'c str>> {
    let mut refusals = Vec::new();
    let mut open = Vec::new();

    for ConnectionConfig { connection, config } in exporting {
        let (name, settings) = (connection.name.as_str(), &config.settings);
        match find_obstacle(input, settings, &connection.target) {
            Some(obstacle) => refusals.push(format!("connection \"{name}\": {obstacle}")),
            None => open.push(name),
        }
        remarks.extend(
            describe_large_files(input, settings)
                .map(|remark| format!("connection \"{name}\": {remark}")),
        );
    }

    if open.is_empty() {
        bail!(refusals.join("; "));
    }
    remarks.append(&mut refusals);

    Ok(open)
}

/// Why nothing of the case may go to a connection.
fn find_obstacle(input: &ExportInput, settings: &Settings, target: &Target) -> Option<String> {
    if let Some((_, refusal)) = mapping::find_refusal(&input.case, settings) {
        return Some(refusal);
    }
    let is_public = !matches!(target, Target::Server { .. });
    let decisions = mapping::decide_observables(input, settings, is_public);
    (!decisions.contains(&Decision::Send)).then(|| {
        "none of the IOCs may go out: RED and AMBER+STRICT ones go into no feed, others are \
         stricter than \"max_export_tlp\" or \"max_export_pap\", or cannot be read"
            .to_owned()
    })
}

/// The files that stay here since they are too large, where files go out at all.
fn describe_large_files(input: &ExportInput, settings: &Settings) -> Option<String> {
    let most = settings.max_attachment_bytes();
    let is_large = |size: i64| u64::try_from(size).is_ok_and(|size| size > most);
    let sizes = input
        .observables
        .iter()
        .flatten()
        .filter_map(|ioc| ioc.observable.attachment.as_ref()?.size);
    let large = sizes.filter(|size| is_large(*size)).count() as u64;

    (large > 0 && settings.export_attachments != Attachments::Hashes).then(|| {
        format!(
            "{} above \"max_attachment_mb\" ({}) will go out as hashes only: raise it, if they \
             shall go",
            format_count(large, "file", "files"),
            settings.max_attachment_mb
        )
    })
}
