//! What is said of a case that its markings refuse (`max_tlp`, `max_pap`) and that was exported
//! before: its events on the MISPs stay as they are, be they open to everyone. The servers are
//! asked for that, and nothing is written.

use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use serde_json::Value;
use uuid::Uuid;

use super::case::{self, ExportInput};
use super::connection::{ConnectionExport, ExportJob};
use super::event_report::distribution_text;
use super::{
    Config, build_ids, event_tags, load, open_thehive, select_allowed, select_for_export,
    validate_settings,
};
use crate::config::connections::Target;
use crate::config::overrides;
use crate::cortex::job::{Job, MarkingRefusal};
use crate::misp::server::Server;
use crate::misp::wire::Event;
use crate::misp::{Misp, Whose};
use crate::report::ConnectionReport;
use crate::thehive::TheHive;
use crate::worker::Session;

/// How long all this may take.
const ALLOWED: Duration = Duration::from_secs(20);

/// The refusal, with what is said of the case's events. What cannot be found out changes nothing
/// about it.
pub fn with_existing_events(refusal: Error, session: &Session<'_>, config: &Config) -> Error {
    let Some(limit) = refusal.downcast_ref().map(MarkingRefusal::max_option) else {
        return refusal;
    };
    let run = session.run.with_separate_report();
    let apart = Session {
        clock: session.clock.limited_to(ALLOWED),
        run: &run,
        ..*session
    };

    let sentences = describe_existing_events(&apart, config).unwrap_or_default();
    if sentences.is_empty() {
        return refusal;
    }
    let refusal = refusal.to_string();

    anyhow!(
        "{} {}. To have it brought in line, run the export once with a \"{limit}\" that lets the \
         case pass, or change it by hand",
        refusal,
        sentences.join(". ")
    )
}

/// What is there of the case on each connection that it may be exported to.
fn describe_existing_events(session: &Session<'_>, config: &Config) -> Result<Vec<String>> {
    let &Session { job, run, .. } = session;

    let (all, _) = select_for_export(session, config, None)?;
    let exporting =
        validate_settings(overrides::configure_each(all.clone(), &job.config, config)?)?;
    let exporting = select_allowed(exporting, job.organisation(), run)?;
    let ids = build_ids(config)?;
    let network = session.open_network(&config.limits);
    let thehive = open_thehive(session, config, &network)?;
    let input = ExportInput::new(&read_case(job, thehive.as_ref())?, Vec::new(), None)?;
    let mut sentences = Vec::new();

    let export = ExportJob {
        network: &network,
        ids: &ids,
        input: &input,
        thehive: thehive.as_ref(),
        url: None,
        dry_run: true,
        confirmed: None,
        named: Vec::new(),
        all: &all,
        organisation: job.organisation().unwrap_or_default(),
    };

    for connection in &exporting {
        let name = connection.connection.name.clone();
        let overrides = connection.config.settings.validate()?;
        let part = run.open(ConnectionReport {
            name: name.clone(),
            ..ConnectionReport::default()
        });
        let one = ConnectionExport::new(&export, connection, &overrides, &part);

        match one.list_existing_events() {
            Ok(events) => sentences.extend(events),
            Err(error) => sentences.push(format!(
                "What may be there of it on \"{name}\" stays as it is, and that could not be \
                 asked: {error:#}"
            )),
        }
    }

    Ok(sentences)
}

/// The case, as TheHive shows it to the job's organisation: what a job says of a case is not to
/// tell where it is.
fn read_case(job: &Job, thehive: Option<&TheHive>) -> Result<Value> {
    let id = case::read_id(&job.data)?;
    match (thehive, job.data_type == load::ONE) {
        (Some(thehive), _) if job.data_type == load::ALERT => case::from_alert(thehive.alert(&id)?),
        (None, _) if job.data_type == load::ALERT => case::from_alert(job.data.clone()),
        (Some(thehive), true) => thehive.fetch_case_of_observable(&id),
        (Some(thehive), false) => thehive.case(&id),
        (None, true) => Ok(job.data.get("case").cloned().unwrap_or_default()),
        (None, false) => Ok(job.data.clone()),
    }
}

impl ConnectionExport<'_> {
    /// The events of the case that are there: those with a uuid computed from it, and those that a
    /// tag of ours names.
    fn list_existing_events(&self) -> Result<Vec<String>> {
        let misp = Misp::open(self.connection, self.job.network, self.part)?;
        let (new, old) = self.computed_uuids();
        let tags = event_tags::of_connection(&self.input.case.tags, &self.connection.name);
        let is_signed = |tag: &&event_tags::EventTag| {
            event_tags::is_signed(tag, self.ids, self.connection_identity(), self.case_name())
        };
        let mut asked: Vec<Uuid> = new.into_iter().chain(old).collect();
        asked.extend(tags.iter().filter(is_signed).map(|tag| tag.uuid));
        asked.sort_unstable();
        asked.dedup();
        let mut sentences = Vec::new();

        for (uuid, event) in misp.find_events(&asked)? {
            if matches!(
                misp.owner_of(&event, self.ids)?,
                Whose::Ours | Whose::CameBack
            ) {
                sentences.push(self.describe_existing_event(&uuid, &event));
            }
        }

        Ok(sentences)
    }

    fn describe_existing_event(&self, uuid: &Uuid, event: &Event) -> String {
        let (name, run) = (&self.connection.name, &self.part.run);
        let seen = match event.distribution.and_then(|held| u64::try_from(held).ok()) {
            _ if self.is_public() => "everyone who pulls this feed".to_owned(),
            Some(distribution) => {
                distribution_text(distribution, Some(run.report_text(&event.sharing_group_id)))
            }
            None => "nobody knows whom".to_owned(),
        };

        let published = if event.published == Some(true) {
            ", published"
        } else {
            ""
        };

        match &self.connection.target {
            Target::Server { url, .. } => {
                let (id, link) = (run.report_text(&event.id), Server::event_url(url, uuid));
                format!(
                    "Event {id} of this case on \"{name}\" ({link}) stays as it is, visible to \
                     {seen}{published}"
                )
            }
            Target::Feed { .. } | Target::WebFeed { .. } => {
                format!("Event {uuid} of this case in \"{name}\" stays as it is, visible to {seen}")
            }
        }
    }
}
