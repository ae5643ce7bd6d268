//! One connection of an export: find the event, plan, and hand the plan over to be carried out
//! (`reconcile.rs`). What is then told is in `reporting.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::{Result, anyhow};
use uuid::Uuid;

use super::case::ExportInput;
use super::draft::EventDraft;
use super::exclusive;
use super::mapping::{self, Decision, MappedEvent, MappingContext};
use super::options::Settings;
use super::plan::{DiffContext, Plan};
use super::reconcile::{EventResult, Reconciler};
use super::reporting::{self, ReportData};
use super::target::{Target, Targets};
use super::verdicts::{AttributeResult, SkipRule};
use crate::config::connections::{self, Connection};
use crate::http::HttpContext;
use crate::ids::Ids;
use crate::markings::Pap;
use crate::misp::tag_resolution::{TagResolution, Why};
use crate::misp::wire::Event;
use crate::misp::write_log::WriteLog;
use crate::misp::{ContentOptions, EventContent, Misp};
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReporter, EventRow};
use crate::text;
use crate::text::format_count;
use crate::thehive::TheHive;
use crate::types::{MispCapabilities, Overrides};

/// The export to one connection.
#[derive(Clone, Copy)]
pub struct ConnectionExport<'a> {
    pub connection: &'a Connection,
    pub network: &'a HttpContext,
    pub ids: &'a Ids,
    pub settings: &'a Settings,
    pub overrides: &'a Overrides,
    pub input: &'a ExportInput,
    pub thehive: Option<&'a TheHive>,
    pub url: Option<&'a str>,
    pub part: &'a ConnectionReporter,
    pub dry_run: bool,
    /// An event that the job says to be this case's.
    pub confirmed: Option<Uuid>,
    /// True if a tag of the case names that event on another connection of this export.
    pub is_confirmed_elsewhere: bool,
    /// True inside an event that is another case's.
    pub is_guest: bool,
    /// The connection's name, if it is not the first one to its MISP: its events there are its own.
    pub named: Option<&'a str>,
    /// The organisation of TheHive that the export is for; empty if the job does not say it.
    pub organisation: &'a str,
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
    /// Nothing was there, and nothing was to be added.
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

impl ConnectionExport<'_> {
    pub fn run(&self) -> Result<()> {
        if let Some(why) = &self.input.unread {
            self.part
                .add_failure(format!("the case may have more IOCs than were read: {why}"));
        }
        // Decided before anything is sent, so that a run that is stopped tells it too.
        let decided = mapping::decide_observables(self.input, self.settings, self.is_public());
        decided
            .iter()
            .filter_map(Decision::verdict)
            .for_each(|verdict| self.part.record(ItemKind::Observables, &verdict, 1));

        let stopped = match self.open() {
            Ok((misp, types)) => match self.write_case(&misp, &decided, &types) {
                Ok((done, is_guest)) => {
                    self.with_event_ids(is_guest, |one| one.finish(&misp, &decided, done))
                }
                Err(error) => self.report_unsent(&decided, &types, error),
            },
            Err(error) => self.report_unsent(&decided, &MispCapabilities::newest(), error),
        };

        let refusal = mapping::find_refusal(&self.input.case, self.settings)
            .map(|(_, refusal)| anyhow!(refusal));

        stopped.or(refusal).map_or(Ok(()), Err)
    }

    /// What is asked and told once everything is written. Gives what stopped the writing.
    fn finish(
        &self,
        misp: &Misp,
        decided: &[Decision],
        done: ExportResult,
    ) -> Option<anyhow::Error> {
        self.add_sightings(misp, &done);
        let hits = self.check_warninglists(misp, &done);
        self.count_proposals(misp, &done);
        self.write_report(decided, &done.to_report_data(), &hits);

        done.stopped
    }

    pub fn is_public(&self) -> bool {
        !matches!(self.connection.target, connections::Target::Server { .. })
    }

    /// The MISP, and the types it has. One that does not describe them is taken for the newest.
    fn open(&self) -> Result<(Misp, MispCapabilities)> {
        let misp = Misp::open(self.connection, self.network, self.part)?;
        let version = misp.version()?;
        let types = misp.types(version.as_deref()).unwrap_or_else(|error| {
            self.part.warn(format!(
                "the types of this MISP are not known, those of the newest are taken: {error:#}"
            ));
            MispCapabilities::newest()
        });

        let version = version.map(|version| self.part.run.report_text(&version));
        self.part.update(|part| part.version = version);

        Ok((misp, types))
    }

    pub fn map_case(
        &self,
        decided: &[Decision],
        types: &MispCapabilities,
        event: Uuid,
    ) -> MappedEvent {
        let context = MappingContext {
            case: &self.input.case,
            ids: &self.ids.for_event(&event),
            settings: self.settings,
            overrides: self.overrides,
            server: types,
            can_download: self.thehive.is_some(),
            link: self.case_link(),
        };

        mapping::build_event(self.input, decided, event, &context)
    }

    fn first_event_uuid(&self) -> Uuid {
        let case = &self.input.case;
        let events = self.ids.event_uuids(&case.id, &case.created, self.named);
        events.first().copied().unwrap_or_default()
    }

    /// This export inside an event: what it adds is told from what other cases and other
    /// organisations of TheHive add.
    fn with_event_ids<T>(
        &self,
        is_guest: bool,
        write: impl FnOnce(&ConnectionExport<'_>) -> T,
    ) -> T {
        let case = &self.input.case;
        let ids = self
            .ids
            .for_case((&case.id, &case.created), is_guest, self.input.is_owner);
        write(&ConnectionExport {
            ids: &ids,
            is_guest,
            ..*self
        })
    }

    /// Tells that nothing could be sent, and gives the reason back.
    fn report_unsent(
        &self,
        decided: &[Decision],
        types: &MispCapabilities,
        error: anyhow::Error,
    ) -> Option<anyhow::Error> {
        let mapped = self.map_case(decided, types, self.first_event_uuid());
        let unsent = AttributeResult::from(Verdict::Failed(super::NOT_SENT.to_owned()));
        let results = vec![unsent; mapped.wanted.attributes.len()];

        let done = ExportResult {
            mapped,
            plan: Plan::default(),
            results,
            after: None,
            event: None,
            stopped: Some(error),
        };

        self.write_report(decided, &done.to_report_data(), &HashMap::new());

        done.stopped
    }

    /// Writes the case into its event, and brings the other events of the case in line with it,
    /// whatever became of the first. Gives what became of it, and whether the event is another
    /// case's.
    fn write_case(
        &self,
        misp: &Misp,
        decided: &[Decision],
        types: &MispCapabilities,
    ) -> Result<(ExportResult, bool)> {
        let _lock = if self.dry_run { None } else { misp.lock()? };
        let Targets {
            main,
            followed,
            others,
        } = self.select_targets(misp)?;

        let done = self.with_event_ids(main.is_guest, |one| {
            let done = one.write_main_event(misp, &main, others, decided, types);

            if let Ok(done) = &done {
                one.set_fallback_report(
                    decided,
                    &ReportData {
                        is_stopped: true,
                        ..done.to_report_data()
                    },
                );
            }

            done
        });

        for target in followed {
            let uuid = target.uuid;
            if let Err(error) = self.with_event_ids(target.is_guest, |one| {
                one.update_followed_event(misp, &target, decided, types)
            }) {
                self.part.add_failure(format!(
                    "event {uuid}, which is this case's too, was not brought in line: {error:#}"
                ));
            }
        }

        done.map(|done| (done, main.is_guest))
    }

    /// A uuid that is held by an event that we cannot see gives way to the next one.
    fn write_main_event(
        &self,
        misp: &Misp,
        main: &Target,
        others: Vec<Uuid>,
        decided: &[Decision],
        types: &MispCapabilities,
    ) -> Result<ExportResult> {
        let mut others = others.into_iter();
        let (mut uuid, mut extends, mut event) = (main.uuid, main.extends, main.event.clone());

        loop {
            let mut mapped = self.map_case(decided, types, uuid);
            mapped.wanted.extends = extends;
            if self.is_guest {
                mapped.wanted.is_guest = true;
                mapped.wanted.tags.clear();
            }
            let error = match self.write_event(misp, mapped, event, (decided, types), true)? {
                WriteOutcome::Done(done) => return Ok(*done),
                WriteOutcome::Hidden(error) => error,
            };
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
            (uuid, extends, event) = (next, Some(self.first_event_uuid()), None);
        }
    }

    /// Brings an event that is this case's too in line: it becomes as strict as the case, and what
    /// is no IOC any more is retracted. Nothing is added to it.
    fn update_followed_event(
        &self,
        misp: &Misp,
        target: &Target,
        decided: &[Decision],
        types: &MispCapabilities,
    ) -> Result<()> {
        let mut mapped = self.map_case(decided, types, target.uuid);
        mapped.wanted.limit_to_tightening();

        match self.write_event(misp, mapped, target.event.clone(), (decided, types), false)? {
            WriteOutcome::Done(done) => {
                self.report_event(&done.to_report_data());
                self.report_retractions(&done.to_report_data());
                done.stopped.map_or(Ok(()), Err)
            }
            WriteOutcome::Hidden(error) => Err(error),
        }
    }

    /// Which tags can be set on this MISP; those that must not become known there are taken out.
    fn resolve_tag_names(&self, misp: &Misp, wanted: &mut EventDraft) -> Result<TagResolution> {
        let every: Vec<String> = wanted
            .event_and_attribute_tags()
            .into_iter()
            .map(ToOwned::to_owned)
            .collect();

        let every: Vec<&str> = every.iter().map(String::as_str).collect();
        let names = misp.resolve_tag_names(&every)?;
        self.warn_of_refused_tags(&names.group_refused(&every));
        self.withhold_new_tags(wanted, &names);

        Ok(names)
    }

    fn write_event(
        &self,
        misp: &Misp,
        mut mapped: MappedEvent,
        event: Option<Event>,
        (decided, types): (&[Decision], &MispCapabilities),
        is_main: bool,
    ) -> Result<WriteOutcome> {
        let whole = self.input.whole.as_ref().copied();
        if event.is_none() && mapped.wanted.attributes.is_empty() {
            return Ok(WriteOutcome::Done(Box::new(ExportResult::without_event(
                mapped,
            ))));
        }

        if self.is_public() {
            self.part.warn("readable by everyone who pulls this feed");
        }
        let mut names = self.resolve_tag_names(misp, &mut mapped.wanted)?;
        let look = ContentOptions {
            sightings: self.settings.export_sightings,
            objects: !mapped.wanted.objects.is_empty(),
        };
        let uuid = mapped.wanted.uuid;
        let held = event
            .map(|event| misp.read_content(&uuid, event, look))
            .transpose()?;
        self.warn_of_unreadable(held.as_ref());
        // Which tags exclude each other is asked only where the event or the case has several of a
        // taxonomy, so that the event is read before.
        self.resolve_exclusive_tags(misp, &mut mapped.wanted, held.as_ref(), &mut names);
        let mut first = self.adopt_other_side(mapped.wanted, held.as_ref(), decided, types);
        mapped.wanted = first.resolve_uuids(held.as_ref(), &HashSet::new(), self.ids);
        self.note_former(held.as_ref(), &mut mapped.wanted, &mut first);
        let mut plan = self.make_plan(misp, &mapped.wanted, held.as_ref(), &mut names, whole)?;
        let asked = self.recheck_retractions(&plan, decided, types, &mut first);
        let whole = asked
            .as_ref()
            .map_or(whole, |asked| asked.as_ref().copied());
        if asked.is_some() {
            mapped.wanted = first.resolve_uuids(held.as_ref(), &HashSet::new(), self.ids);
            plan = self.make_plan(misp, &mapped.wanted, held.as_ref(), &mut names, whole)?;
        }
        self.report_remarks(&plan);
        self.report_brought_items(plan.brought);

        if self.dry_run {
            let forecast = self.forecast_result(mapped, plan, held);
            return Ok(WriteOutcome::Done(Box::new(forecast)));
        }

        let before = held.as_ref().map(|held| held.event.clone());

        let mut writing = Reconciler {
            one: self,
            misp,
            first,
            mapped,
            foresees: is_main.then_some(decided),
            taken: HashSet::new(),
            names,
            look,
            whole,
            sending: WriteLog::default(),
        };

        Ok(match writing.reconcile(held, &plan) {
            Ok(ended) => {
                let result = self.collect_result(writing, plan, before.as_ref(), ended);
                WriteOutcome::Done(Box::new(result))
            }
            Err(hidden) => WriteOutcome::Hidden(hidden),
        })
    }

    /// What a dry run tells: what the plan would do.
    fn forecast_result(
        &self,
        mapped: MappedEvent,
        plan: Plan,
        held: Option<EventContent>,
    ) -> ExportResult {
        let live = held.as_ref().map_or(0, reporting::count_live);
        let row = self.build_event_row(
            &mapped.wanted,
            held.as_ref().map(|held| &held.event),
            Some(plan.count_live_after(live)),
            (&plan, &plan.forecast_event()),
        );

        let results = plan.forecast_results();
        self.report_differing_iocs(&mapped.wanted, &results, held.as_ref());

        ExportResult {
            mapped,
            plan,
            results,
            after: held,
            event: Some(row),
            stopped: None,
        }
    }

    fn warn_of_unreadable(&self, held: Option<&EventContent>) {
        let unreadable = held.into_iter().flat_map(|held| &held.unreadable);
        unreadable.for_each(|why| self.part.warn(format!("{why}: it counts as not there")));
    }

    /// What a plan leaves as it is, and what a person has to act on.
    fn report_remarks(&self, plan: &Plan) {
        self.warn_of_each(&plan.remarks);
        plan.alarms
            .iter()
            .for_each(|alarm| self.part.add_failure(alarm.clone()));
    }

    fn warn_of_each(&self, remarks: &[String]) {
        remarks
            .iter()
            .for_each(|remark| self.part.warn(remark.clone()));
    }

    /// What became of everything, told by what the event holds in the end.
    fn collect_result(
        &self,
        writing: Reconciler<'_, '_>,
        mut plan: Plan,
        before: Option<&Event>,
        (after, stopped): EventResult,
    ) -> ExportResult {
        let Reconciler {
            mapped,
            names,
            whole,
            sending,
            ..
        } = writing;
        let wanted = &mapped.wanted;

        if sending.waits {
            let known = plan.remarks.len();
            plan.postpone_minor_changes(wanted);
            self.warn_of_each(plan.remarks.get(known..).unwrap_or_default());
        }

        self.warn_of_each(&sending.remarks);
        self.warn_of_unpublication(before, after.as_ref());
        self.note_earlier_publication(before, &plan);

        let there = after
            .as_ref()
            .map(|after| &after.event)
            .or(before)
            .or(sending.event.as_ref());

        let live = after.as_ref().map(reporting::count_live);

        let event = there.map(|there| {
            self.build_event_row(
                wanted,
                Some(there),
                live,
                (&plan, &plan.event_verdict(&sending)),
            )
        });

        // What a second plan would still do is what MISP did not take.
        let rules = self.diff_context(&names, whole);
        let again = after
            .as_ref()
            .map(|after| Plan::compare(wanted, Some(after), &rules));
        let results = plan.results(wanted, &sending, again.as_ref());
        self.note_rewritten_values(wanted, &results);
        self.report_differing_iocs(wanted, &results, after.as_ref());
        self.report_unapplied_changes(&plan, again.as_ref());

        ExportResult {
            mapped,
            plan,
            results,
            after,
            event,
            stopped,
        }
    }

    /// What is closed now and was published before is with others already.
    fn note_earlier_publication(&self, before: Option<&Event>, plan: &Plan) {
        let was_out =
            before.is_some_and(|event| event.publish_timestamp.is_none_or(|moment| moment > 0));
        if !was_out || !plan.restricts_visibility() {
            return;
        }
        let what = if plan.head.close {
            "the case"
        } else {
            "some of it"
        };

        self.part.add_note(format!(
            "the event was published before {what} became RED or AMBER+STRICT: whoever it was \
             shared with may have it \
             already, and keeps it"
        ));
    }

    /// Everybody on a MISP can read the names of its tags, so that nothing that stays in its
    /// organisation makes a new one.
    fn withhold_new_tags(&self, wanted: &mut EventDraft, names: &TagResolution) {
        if self.is_public() {
            return;
        }
        let mut left: BTreeSet<String> = BTreeSet::new();

        let mut only_known = |tags: &mut Vec<String>| {
            tags.retain(|tag| {
                let is_kept_in = names.is_new(tag) && Pap::from_tag(tag).is_none();
                if is_kept_in {
                    left.insert(tag.clone());
                }
                !is_kept_in
            });
        };

        if wanted.tlp.forbids_sharing() {
            only_known(&mut wanted.tags);
        }
        wanted
            .attributes
            .iter_mut()
            .filter(|one| one.is_closed)
            .for_each(|one| only_known(&mut one.tags));

        if !left.is_empty() {
            self.part.warn(format!(
                "{} stay here: this MISP does not have them, and everybody there could read the \
                 names of new ones, which \
                 the TLP forbids",
                format_count(left.len() as u64, "tag", "tags")
            ));
        }
    }

    /// Asks for what excludes each other only where it may.
    fn resolve_exclusive_tags(
        &self,
        misp: &Misp,
        wanted: &mut EventDraft,
        held: Option<&EventContent>,
        names: &mut TagResolution,
    ) {
        let namespaces = exclusive::namespaces_to_check(wanted, held);
        if namespaces.is_empty() {
            return;
        }

        match misp.fetch_exclusive_predicates(&namespaces) {
            Ok(predicates) => names.add_exclusive(predicates),
            Err(error) => self.part.warn(format!(
                "which tags exclude each other is not known: {error:#}"
            )),
        }

        exclusive::drop_rivals(wanted, names)
            .into_iter()
            .for_each(|remark| self.part.warn(self.part.run.clean(&remark)));
    }

    fn warn_of_refused_tags(&self, refused: &BTreeMap<Why, Vec<&str>>) {
        for (why, tags) in refused {
            let tags: Vec<_> = tags
                .iter()
                .map(|tag| text::reveal_hidden(&self.part.run.report_text(tag)).into_owned())
                .collect();
            self.part.warn(format!(
                "the tags {} stay here: {}",
                text::join_first(&tags, reporting::NAMED),
                why.describe()
            ));
        }
    }

    fn diff_context<'r>(
        &'r self,
        tags: &'r TagResolution,
        whole: Result<(), &'r SkipRule>,
    ) -> DiffContext<'r> {
        DiffContext {
            ids: self.ids,
            removed: self.settings.removed_iocs,
            whole,
            is_case: self.input.is_case,
            is_public: self.is_public(),
            tags,
        }
    }

    /// An event that is not ours to write is read only, and what it holds already is no export
    /// either.
    pub fn make_plan(
        &self,
        misp: &Misp,
        wanted: &EventDraft,
        held: Option<&EventContent>,
        names: &mut TagResolution,
        whole: Result<(), &SkipRule>,
    ) -> Result<Plan> {
        let plan = Plan::new(wanted, held, &self.diff_context(names, whole));
        let Some(held) = held else { return Ok(plan) };
        if !misp.may_write(&held.event, self.ids)? {
            return Ok(plan.into_read_only(wanted));
        }

        if !plan.is_empty() && plan.sets_tags() && !misp.may_set_tags()? {
            self.part.warn(
                "tags of the event are not brought in line: the key's user may not change them \
                 (role permission tagger)",
            );
            *names = TagResolution::refuse_all(&wanted.event_and_attribute_tags());
            return Ok(Plan::new(
                wanted,
                Some(held),
                &self.diff_context(names, whole),
            ));
        }

        Ok(plan)
    }
}
