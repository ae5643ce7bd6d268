//! One connection of an export: find the event, plan, and hand the plan over to be carried out
//! (`reconcile.rs`). What is then told is in `reporting.rs`.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, anyhow};
use uuid::Uuid;

use super::ConnectionConfig;
use super::case::ExportInput;
use super::case_report::{self, ReportText};
use super::event_report::count_live;
use super::into;
use super::mapping::{self, Decision, MappedEvent, MappingContext};
use super::options::{ReportSource, Settings};
use super::plan::Plan;
use super::reconcile::{EventResult, Reconciler};
use super::reporting::ReportData;
use super::setting_tags;
use super::target::{self, Target, Targets};
use super::verdicts::AttributeResult;
use crate::config::connections::{self, Connection};
use crate::http::{self, HttpContext};
use crate::ids::{EventRole, Ids};
use crate::misp::wire::Event;
use crate::misp::write_log::WriteLog;
use crate::misp::{ContentOptions, EventContent, FoundEvent, Misp};
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReporter, EventRow};
use crate::thehive::TheHive;
use crate::types::{MispCapabilities, Overrides};

/// What the exports to the connections of a job have in common.
pub struct ExportJob<'a> {
    pub network: &'a HttpContext,
    pub ids: &'a Ids,
    pub input: &'a ExportInput,
    pub thehive: Option<&'a TheHive>,
    /// The case's page.
    pub url: Option<String>,
    pub dry_run: bool,
    /// An event that the job says to be this case's.
    pub confirmed: Option<Uuid>,
    /// The connections on which a tag of the case names that event.
    pub named: Vec<String>,
    /// The connections that export, whether the case goes there or not.
    pub all: &'a [Connection],
    /// The organisation of TheHive that the export is for; empty if the job does not say it.
    pub organisation: &'a str,
}

/// The export to one connection.
#[derive(Clone, Copy)]
pub struct ConnectionExport<'a> {
    pub job: &'a ExportJob<'a>,
    pub connection: &'a Connection,
    pub settings: &'a Settings,
    pub overrides: &'a Overrides,
    pub part: &'a ConnectionReporter,
    /// Those of the event that is written to: they tell apart what other cases and organisations
    /// of TheHive add.
    pub ids: &'a Ids,
    pub input: &'a ExportInput,
    /// Whose the event is that is written to.
    pub role: EventRole,
    /// What is decided about each observable.
    pub decided: &'a [Decision],
    /// The types that this MISP has.
    pub types: &'a MispCapabilities,
}

/// What was wanted, what became of it, and what stopped the writing, if anything did.
pub struct ExportResult {
    pub mapped: MappedEvent,
    pub plan: Plan,
    /// What became of each attribute of the plan.
    pub results: Vec<AttributeResult>,
    /// The event afterwards.
    pub after: Option<EventContent>,
    /// The event's line in the report; none if there is no event.
    pub event: Option<EventRow>,
    pub stopped: Option<anyhow::Error>,
}

impl ExportResult {
    /// Nothing was there, and nothing was added.
    fn without_event(mapped: MappedEvent) -> Self {
        Self {
            mapped,
            plan: Plan::default(),
            results: Vec::new(),
            after: None,
            event: None,
            stopped: None,
        }
    }

    fn to_report_data(&self) -> ReportData<'_> {
        ReportData {
            mapped: &self.mapped,
            plan: &self.plan,
            results: &self.results,
            after: self.after.as_ref(),
            event: self.event.as_ref(),
            is_stopped: self.stopped.is_some(),
        }
    }
}

/// How the writing of one event ended.
enum WriteOutcome {
    Done(Box<ExportResult>),
    /// Our uuid is taken by an event that we cannot see.
    Hidden(anyhow::Error),
}

impl<'a> ConnectionExport<'a> {
    pub fn new(
        job: &'a ExportJob<'a>,
        config: &'a ConnectionConfig,
        overrides: &'a Overrides,
        part: &'a ConnectionReporter,
    ) -> Self {
        static NEWEST: MispCapabilities = MispCapabilities::newest();

        Self {
            job,
            connection: &config.connection,
            settings: &config.config.settings,
            overrides,
            part,
            ids: job.ids,
            input: job.input,
            role: EventRole::Own,
            decided: &[],
            types: &NEWEST,
        }
    }
}

impl ConnectionExport<'_> {
    pub fn run(&self) -> Result<()> {
        if let Some(why) = &self.input.unread {
            self.part
                .add_failure(format!("the case may have more IOCs than were read: {why}"));
        }
        // Decided before anything is sent, so that a run that is stopped tells it too.
        let decided = mapping::decide_observables(self.input, self.settings, self.is_public());
        for verdict in decided.iter().filter_map(Decision::verdict) {
            self.part.record(ItemKind::Observables, &verdict, 1);
        }

        let export = ConnectionExport {
            decided: &decided,
            ..*self
        };
        let stopped = match export.open() {
            Ok((misp, types)) => ConnectionExport {
                types: &types,
                ..export
            }
            .export_case(&misp),
            Err(error) => export.report_unsent(error),
        };

        let refusal = mapping::find_refusal(&self.input.case, self.settings)
            .map(|(_, refusal)| anyhow!(refusal));

        stopped.or(refusal).map_or(Ok(()), Err)
    }

    pub fn is_public(&self) -> bool {
        !matches!(self.connection.target, connections::Target::Server { .. })
    }

    /// The MISP, and the types it has: asked for only if the case becomes something that not every
    /// MISP has, or checks alike. One that does not describe them is taken for the newest.
    fn open(&self) -> Result<(Misp, MispCapabilities)> {
        let misp = Misp::open(self.connection, self.job.network, self.part)?;
        let assumed = MispCapabilities::assumed();
        let export = ConnectionExport {
            types: &assumed,
            ..*self
        };
        // Made only to see whether something is decided that another MISP may decide otherwise.
        export.map_case(self.first_event_uuid());
        if !assumed.is_doubtful() {
            return Ok((misp, assumed));
        }

        let (version, types) = http::at_once(|| misp.version(), || misp.types(None));
        let version = version?;
        let types = types.unwrap_or_else(|error| {
            self.part.warn(format!(
                "the types of this MISP are not known, those of the newest are taken: {error:#}"
            ));
            MispCapabilities::newest()
        });
        let types = types.with_version(version.as_deref().unwrap_or_default());

        let version = version.map(|version| self.part.run.report_text(&version));
        self.part.update(|part| part.version = version);

        Ok((misp, types))
    }

    /// Writes the case, and all that goes with it once it is written. Gives what stopped the
    /// writing.
    fn export_case(&self, misp: &Misp) -> Option<anyhow::Error> {
        let (done, role) = match self.write_case(misp) {
            Ok(written) => written,
            Err(error) => return self.report_unsent(error),
        };

        self.with_event_ids(role, |export| {
            export.add_sightings(misp, &done);
            let hits = export.check_warninglists(misp, &done);
            export.count_proposals(misp, &done);
            export.add_external_link(done.event.as_ref());
            export.write_report(&done.to_report_data(), &hits);
        });

        done.stopped
    }

    pub fn map_case(&self, event: Uuid) -> MappedEvent {
        let context = MappingContext {
            case: &self.input.case,
            ids: &self.ids.for_event(&event),
            settings: self.settings,
            overrides: self.overrides,
            server: self.types,
            can_download: self.job.thehive.is_some(),
            link: self.case_link(),
        };

        let mut mapped = mapping::build_event(self.input, self.decided, event, &context);
        self.add_report(&mut mapped);
        mapped
    }

    /// The report that the event should have: with a whole case, which it is about.
    fn add_report(&self, mapped: &mut MappedEvent) {
        let (ids, case) = (self.job.ids, &self.input.case);
        let (report, remark) = case_report::draft(&mapped.wanted.uuid, case, ids, self.settings);
        mapped.wanted.report = report;
        if self.role.is_guest() || !self.input.is_case || mapped.wanted.only_tightens {
            mapped.wanted.report.text = ReportText::NotWanted;
        } else {
            mapped.warnings.extend(remark);
        }
    }

    /// What a look at the case's events is for. Which reports an event has matters only where one
    /// is written, or has to become stricter.
    pub fn content_options(&self) -> ContentOptions {
        ContentOptions {
            sightings: self.settings.export_sightings,
            reports: self.settings.export_report != ReportSource::Off
                || self.input.case.tlp.forbids_sharing(),
        }
    }

    /// The uuids that the case's event can have here by these ids, in their order. Events of a
    /// connection that is not the first one to its MISP are its own.
    pub fn event_uuids(&self, ids: &Ids) -> Vec<Uuid> {
        let case = &self.input.case;
        let name = target::distinguishing_name(self.connection, self.job.all);
        ids.event_uuids(&case.id, &case.created, name)
    }

    pub fn first_event_uuid(&self) -> Uuid {
        let events = self.event_uuids(self.ids);
        // There is always one.
        events.first().copied().unwrap_or_default()
    }

    /// This export inside an event: what it adds is told from what other cases and other
    /// organisations of TheHive add.
    fn with_event_ids<T>(
        &self,
        role: EventRole,
        write: impl FnOnce(&ConnectionExport<'_>) -> T,
    ) -> T {
        let case = &self.input.case;
        let ids = self
            .ids
            .for_case((&case.id, &case.created), role, self.input.is_owner);
        write(&ConnectionExport {
            ids: &ids,
            role,
            ..*self
        })
    }

    /// Tells that nothing could be sent, and gives the reason back.
    fn report_unsent(&self, error: anyhow::Error) -> Option<anyhow::Error> {
        let mapped = self.map_case(self.first_event_uuid());
        let unsent = AttributeResult::from(Verdict::Failed(super::NOT_SENT.to_owned()));

        let done = ExportResult {
            results: vec![unsent; mapped.wanted.attributes.len()],
            stopped: Some(error),
            ..ExportResult::without_event(mapped)
        };
        self.write_report(&done.to_report_data(), &HashMap::new());

        done.stopped
    }

    /// Writes the case into its event, and brings the other events of the case in line with it,
    /// whatever became of the first. Gives what became of it, and whose the event is.
    fn write_case(&self, misp: &Misp) -> Result<(ExportResult, EventRole)> {
        // Another run on the same folder waits until all of this is written.
        let _lock = if self.job.dry_run { None } else { misp.lock()? };
        let Targets {
            main,
            followed,
            others,
        } = self.select_targets(misp)?;

        let done = main.and_then(|main| {
            let role = main.role;
            self.with_event_ids(role, |export| {
                let done = export.write_main_event(misp, main, others)?;
                // What is told if the run is stopped while the other events are brought in line.
                export.set_fallback_report(&ReportData {
                    is_stopped: true,
                    ..done.to_report_data()
                });

                Ok((done, role))
            })
        });

        // Whatever became of the first event: an error of it is given only behind this.
        for target in followed {
            let uuid = target.uuid;
            if let Err(error) = self.with_event_ids(target.role, |export| {
                export.update_followed_event(misp, target)
            }) {
                self.part.add_failure(format!(
                    "event {uuid}, which is this case's too, was not brought in line: {error:#}"
                ));
            }
        }

        done
    }

    /// A uuid that is held by an event that we cannot see gives way to the next one.
    fn write_main_event(
        &self,
        misp: &Misp,
        main: Target,
        others: Vec<Uuid>,
    ) -> Result<ExportResult> {
        let mut others = others.into_iter();
        let Target {
            mut uuid,
            mut extends,
            mut there,
            ..
        } = main;

        loop {
            let mut mapped = self.map_case_into(uuid, there.as_ref());
            mapped.wanted.extends = extends;
            let error = match self.write_event(misp, mapped, there, true)? {
                WriteOutcome::Done(done) => return Ok(*done),
                WriteOutcome::Hidden(error) => error,
            };
            if self.role == EventRole::Into {
                return Err(error);
            }
            let Some(next) = others.next() else {
                return Err(error.context(
                    "every uuid that this case's event can have is held elsewhere \
                     (\"instance_secret\" makes uuids that nobody \
                     else can claim)",
                ));
            };

            self.part.warn(format!(
                "a second event is made, which extends the one that cannot be seen: {error:#}"
            ));
            (uuid, extends, there) = (next, Some(self.first_event_uuid()), None);
        }
    }

    /// What the case becomes in an event, by whose that is.
    fn map_case_into(&self, event: Uuid, there: Option<&FoundEvent>) -> MappedEvent {
        let mut mapped = self.map_case(event);
        mapped.wanted.role = self.role;
        if self.role.is_guest() {
            mapped.wanted.tags.clear();
        }
        if let (EventRole::Into, Some(there)) = (self.role, there) {
            let (tlp, pap) = into::markings_of(&there.head);
            mapped.wanted.mark_each(tlp, pap);
        }

        mapped
    }

    /// Brings an event that is this case's too in line: it becomes as strict as the case, and what
    /// is no IOC any more is retracted. Nothing is added to it.
    fn update_followed_event(&self, misp: &Misp, target: Target) -> Result<()> {
        let mut mapped = self.map_case_into(target.uuid, target.there.as_ref());
        mapped.wanted.limit_to_tightening();

        match self.write_event(misp, mapped, target.there, false)? {
            WriteOutcome::Done(done) => {
                self.report_event(&done.to_report_data());
                self.report_retractions(&done.to_report_data());
                done.stopped.map_or(Ok(()), Err)
            }
            WriteOutcome::Hidden(error) => Err(error),
        }
    }

    fn write_event(
        &self,
        misp: &Misp,
        mut mapped: MappedEvent,
        there: Option<FoundEvent>,
        is_main: bool,
    ) -> Result<WriteOutcome> {
        // No event is made for a case without an IOC that may go out.
        if there.is_none() && mapped.wanted.attributes.is_empty() {
            let done = ExportResult::without_event(mapped);
            return Ok(WriteOutcome::Done(Box::new(done)));
        }

        if self.is_public() {
            self.part.warn("readable by everyone who pulls this feed");
        }
        let look = self.content_options();
        let uuid = mapped.wanted.uuid;
        let held = there.map(|there| self.read_held(misp, &uuid, there));
        let held = held.transpose()?;
        self.add_procedures(misp, &mut mapped.wanted, held.as_ref());
        let mut first = self.adopt_other_side(mapped.wanted, held.as_ref());
        mapped.wanted = first.resolve_uuids(held.as_ref(), &HashSet::new(), self.ids);
        self.note_former(held.as_ref(), &mut mapped.wanted, &mut first);
        let tags = held
            .as_ref()
            .map(|held| setting_tags::tags_that_are_set(&mapped.wanted, held));

        let mut writing = Reconciler {
            export: self,
            misp,
            first,
            mapped,
            is_main,
            taken: HashSet::new(),
            tags: tags.unwrap_or_default(),
            look,
            whole: self.input.whole.clone(),
            log: WriteLog::default(),
            fruitless: 0,
            has_repeated: false,
        };
        // What tags are called there is asked for only if one has to be set.
        if writing.may_set_tags(held.as_ref()) {
            writing.tags = self.settle_tags(misp, &mut writing.first, held.as_ref())?;
            writing.resolve_uuids(held.as_ref());
        }
        let plan = self.plan_certainly(&mut writing, held.as_ref())?;
        if self.role == EventRole::Into {
            self.check_settable_tlp(misp, &writing, &plan)?;
        }

        if self.job.dry_run {
            let forecast = self.forecast_result(writing.mapped, plan, held);
            return Ok(WriteOutcome::Done(Box::new(forecast)));
        }

        let before = held.as_ref().map(|held| held.event.clone());
        Ok(match writing.reconcile(held, &plan) {
            Ok(ended) => {
                let result = self.collect_result(writing, plan, before.as_ref(), ended);
                WriteOutcome::Done(Box::new(result))
            }
            Err(hidden) => WriteOutcome::Hidden(hidden),
        })
    }

    /// What an event holds, of which the search may have brought only the head.
    fn read_held(&self, misp: &Misp, uuid: &Uuid, there: FoundEvent) -> Result<EventContent> {
        let held = match there.content {
            Some(content) => content,
            None => misp.read_content(uuid, there.head, self.content_options())?,
        };
        for why in &held.unreadable {
            self.part.warn(format!("{why}: it counts as not there"));
        }
        Ok(held)
    }

    /// The plan, of which TheHive was asked whether what it retracts is no IOC any more; and tells
    /// what it leaves as it is, and what a person has to act on.
    fn plan_certainly(
        &self,
        writing: &mut Reconciler<'_, '_>,
        held: Option<&EventContent>,
    ) -> Result<Plan> {
        let mut plan = writing.make_plan(held)?;
        if let Some(whole) = self.recheck_retractions(&plan, &mut writing.first) {
            writing.whole = whole;
            writing.resolve_uuids(held);
            plan = writing.make_plan(held)?;
        }

        self.warn_of_each(&plan.remarks);
        plan.alarms
            .iter()
            .for_each(|alarm| self.part.add_failure(alarm));
        self.report_brought_items(plan.brought);

        Ok(plan)
    }

    /// What a dry run tells: what the plan would do.
    fn forecast_result(
        &self,
        mapped: MappedEvent,
        plan: Plan,
        held: Option<EventContent>,
    ) -> ExportResult {
        let live = held.as_ref().map_or(0, count_live);
        let row = self.build_event_row(
            &mapped.wanted,
            held.as_ref().map(|held| &held.event),
            Some(plan.count_live_after(live)),
            (&plan, &plan.forecast_event()),
        );

        let results = plan.forecast_results();
        self.report_differing_iocs(&mapped.wanted, &results, held.as_ref());

        ExportResult {
            plan,
            results,
            after: held,
            event: Some(row),
            ..ExportResult::without_event(mapped)
        }
    }

    fn warn_of_each(&self, remarks: &[String]) {
        remarks.iter().for_each(|remark| self.part.warn(remark));
    }

    /// What became of everything, told by what the event holds in the end.
    fn collect_result(
        &self,
        writing: Reconciler<'_, '_>,
        mut plan: Plan,
        before: Option<&Event>,
        (after, stopped): EventResult,
    ) -> ExportResult {
        let (wanted, log) = (&writing.mapped.wanted, &writing.log);

        // MISP took no new IOC, so that the published event was left alone.
        if log.waits {
            let known = plan.remarks.len();
            plan.postpone_minor_changes(wanted);
            self.warn_of_each(plan.remarks.get(known..).unwrap_or_default());
        }

        self.warn_of_each(&log.remarks);
        self.warn_of_unpublication(before, after.as_ref());
        self.note_earlier_publication(before, &plan);

        // If the event could not be read back, its row tells what was known before.
        let there = after.as_ref().map(|after| &after.event);
        let event = there.or(before).or(log.event.as_ref()).map(|event| {
            let live = after.as_ref().map(count_live);
            self.build_event_row(wanted, Some(event), live, (&plan, &plan.event_verdict(log)))
        });

        // What a second plan would still do is what MISP did not take.
        let again = after
            .as_ref()
            .map(|after| Plan::compare(wanted, Some(after), &writing.diff_context()));
        let results = plan.results(wanted, log, again.as_ref());
        self.note_rewritten_values(wanted, &results);
        self.report_differing_iocs(wanted, &results, after.as_ref());
        self.report_unapplied_changes(&plan, again.as_ref());

        ExportResult {
            mapped: writing.mapped,
            plan,
            results,
            after,
            event,
            stopped,
        }
    }
}
