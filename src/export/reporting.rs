//! What an export tells of the observables, files and retractions of one connection, each with its
//! verdict. What it tells of the event is in `event_report.rs`.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::case::CaseObservable;
use super::connection::ConnectionExport;
use super::diff::EventIndex;
use super::file_objects::is_file;
use super::mapping::{Decision, MappedEvent};
use super::options::Attachments;
use super::plan::{Action, Plan, Planned, Unwanted};
use super::verdicts::AttributeResult;
use crate::misp::EventContent;
use crate::misp::draft::AttributeDraft;
use crate::misp::wire::Event;
use crate::misp::write_log::WriteLog;
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReporter, EventRow, ObservableRow, RetractionRow};

/// What is told of the export to one connection.
#[derive(Clone, Copy)]
pub struct ReportData<'a> {
    pub mapped: &'a MappedEvent,
    pub plan: &'a Plan,
    /// What became of each attribute of the plan, the wanted ones first.
    pub results: &'a [AttributeResult],
    /// The event as the last look saw it; none if nobody looked.
    pub after: Option<&'a EventContent>,
    /// The event's line; none if there is no event.
    pub event: Option<&'a EventRow>,
    /// True if something stopped the writing: its reason then stands for the failures of all that
    /// did not go out.
    pub is_stopped: bool,
}

impl<'a> ReportData<'a> {
    /// What became of each wanted attribute.
    fn wanted_results(&self) -> impl Iterator<Item = (&'a AttributeDraft, &'a AttributeResult)> {
        self.mapped.wanted.attributes.iter().zip(self.results)
    }

    /// What became of each attribute that is not wanted any more.
    fn retractions(&self) -> impl Iterator<Item = (&'a Planned, &'a Unwanted, &'a Verdict)> {
        let all = self.plan.attributes.iter().zip(self.results);
        all.filter_map(|(planned, result)| Some((planned, planned.unwanted()?, &result.verdict)))
    }

    /// What each observable became. One that became several attributes takes the first verdict of
    /// [`Verdict::rank`].
    fn results_by_observable(&self) -> HashMap<usize, (&'a AttributeDraft, &'a AttributeResult)> {
        let mut became = HashMap::new();

        for (draft, result) in self.wanted_results() {
            for index in &draft.from {
                let known = became.entry(*index).or_insert((draft, result));
                if result.verdict.rank() < known.1.verdict.rank() {
                    *known = (draft, result);
                }
            }
        }

        became
    }

    /// True if something in the event is not as it was wanted.
    fn differs(&self) -> bool {
        self.wanted_results().any(|(_, result)| {
            let is_missing = matches!(result.verdict, Verdict::Skipped(_) | Verdict::Failed(_));
            is_missing || !result.remarks.is_empty()
        })
    }
}

/// Names given in a text, before their number is.
pub const NAMED: usize = 10;

impl ConnectionExport<'_> {
    /// Says what is to be told if the run is stopped before a request is answered: what was read as
    /// there is there, what was not sent is not, and only of what is on its way nobody knows.
    pub fn set_fallback_from_plan(
        &self,
        mapped: &MappedEvent,
        (plan, next): (&Plan, &Plan),
        log: &WriteLog,
        before: Option<&Event>,
    ) {
        let wanted = &mapped.wanted;
        let row =
            |event, verdict: &Verdict| self.build_event_row(wanted, event, None, (plan, verdict));
        let event = before.or(log.event.as_ref());
        let event = event.map(|event| row(Some(event), &plan.event_verdict(log)));

        // MISP was asked to make it, and nobody has read the answer: it may be there.
        let is_unknown = event.is_none() && plan.create && log.had_effect();
        let unknown = is_unknown.then(|| EventRow {
            reason: Some(
                "not verified: MISP was asked to make it and did not answer yet".to_owned(),
            ),
            ..row(None, &Verdict::Failed(String::new()))
        });

        let report = ReportData {
            mapped,
            plan,
            results: &plan.results(wanted, log, Some(next)),
            after: None,
            event: event.as_ref(),
            is_stopped: true,
        };
        self.set_fallback_with(&report, unknown);
    }

    /// Says what is to be told if the run is stopped from now on.
    pub fn set_fallback_report(&self, report: &ReportData<'_>) {
        self.set_fallback_with(report, None);
    }

    fn set_fallback_with(&self, report: &ReportData<'_>, unknown: Option<EventRow>) {
        let apart = self.part.separate_part();
        self.write_rows_to(&apart, report, &HashMap::new());
        apart.update(|part| part.events.extend(unknown));
        self.part.set_report_if_stopped(&apart);
    }

    /// Writes every verdict into ledger and report, in place of what was foreseen.
    pub fn write_report(&self, report: &ReportData<'_>, hits: &HashMap<String, Vec<String>>) {
        let apart = self.part.separate_part();
        self.write_rows_to(&apart, report, hits);
        self.part.merge_part(&apart);
    }

    fn write_rows_to(
        &self,
        part: &ConnectionReporter,
        report: &ReportData<'_>,
        hits: &HashMap<String, Vec<String>>,
    ) {
        let export = ConnectionExport { part, ..*self };
        export.report_event(report);
        for warning in &report.mapped.warnings {
            part.warn(warning);
        }
        export.report_observables(report, hits);
        export.report_files(report);
        export.report_retractions(report);
    }

    fn report_observables(&self, report: &ReportData<'_>, hits: &HashMap<String, Vec<String>>) {
        let refused = &report.mapped.refused;
        let results = report.results_by_observable();
        // An event can be large: it is searched only if it has to be.
        let held = report
            .after
            .filter(|_| report.differs())
            .map(|after| EventIndex::new(after, self.ids));

        for (index, (ioc, decided)) in self.input.observables.iter().zip(self.decided).enumerate() {
            let became = results
                .get(&index)
                .filter(|_| !refused.contains_key(&index));
            let became = became.filter(|_| *decided == Decision::Send);
            let verdict = match (decided.verdict(), became) {
                (Some(verdict), _) => verdict,
                (None, Some((_, result))) => result.verdict.clone(),
                (None, None) => match refused.get(&index) {
                    Some(verdict) => verdict.clone(),
                    None => Verdict::Failed("not mapped".to_owned()),
                },
            };
            // What was decided before is in the ledger already.
            if *decided == Decision::Send {
                self.part.record(ItemKind::Observables, &verdict, 1);
            }

            let (data_type, data) = self.type_and_value(ioc, index);
            self.name_failure(report, &verdict, || format!("{data} ({data_type})"));

            let draft = became.map(|(draft, _)| *draft);
            let remark = describe_closed_with(ioc, draft)
                .into_iter()
                .chain(became.and_then(|(_, result)| result.describe_remarks()))
                .reduce(|closed, remark| format!("{closed}; {remark}"));
            let (attribute, uuid) = draft
                .map(|draft| self.describe_attribute(draft, held.as_ref()))
                .unzip();
            let warninglists = draft.and_then(|draft| hits.get(&draft.value)).cloned();

            self.part.show_observable(ObservableRow {
                data_type,
                data,
                verdict: verdict.word().to_owned(),
                reason: verdict.reason().map(ToOwned::to_owned).or(remark),
                attribute,
                uuid: uuid.flatten(),
                warninglists: warninglists.unwrap_or_default(),
            });
        }
    }

    fn name_failure(
        &self,
        report: &ReportData<'_>,
        verdict: &Verdict,
        name: impl FnOnce() -> String,
    ) {
        if !report.is_stopped {
            self.part.name_failure(verdict, name);
        }
    }

    /// Category and type of an attribute, and its uuid: as the event has it, where that is known to
    /// be otherwise, else as it is wanted. One that a search did not find has no uuid.
    fn describe_attribute(
        &self,
        wanted: &AttributeDraft,
        held: Option<&EventIndex<'_>>,
    ) -> (String, Option<String>) {
        if let Some(there) = held.and_then(|index| index.find_counterpart(wanted)) {
            let shown = |text: &str| self.part.run.report_text(text);
            return (
                shown(&format!("{}/{}", there.category, there.kind)),
                Some(shown(&there.uuid)),
            );
        }

        // What a dry run would add is not there yet, and gets this uuid all the same.
        let is_missing = held.is_some() && !self.job.dry_run;

        (
            format!("{}/{}", wanted.category, wanted.kind),
            (!is_missing).then(|| wanted.uuid.to_string()),
        )
    }

    /// The files themselves, beside their hashes.
    fn report_files(&self, report: &ReportData<'_>) {
        if self.settings.export_attachments == Attachments::Hashes {
            return;
        }

        let drafts = report.mapped.wanted.attributes.iter();
        let objects: HashMap<usize, Option<Uuid>> = drafts
            .flat_map(|draft| draft.from.iter().map(|index| (*index, draft.object())))
            .collect();
        let carriers: HashMap<Option<Uuid>, &Verdict> = report
            .wanted_results()
            .filter(|(draft, _)| draft.file.is_some())
            .map(|(draft, result)| (draft.object(), &result.verdict))
            .collect();
        let not_sent = Verdict::Failed(super::NOT_SENT.to_owned());

        for (index, (ioc, decided)) in self.input.observables.iter().zip(self.decided).enumerate() {
            let Ok(ioc) = ioc else { continue };
            if *decided != Decision::Send || !is_file(ioc) {
                continue;
            }
            let carrier = || carriers.get(objects.get(&index)?).copied();
            let verdict = report.mapped.files.get(&index);
            let verdict = verdict.or_else(carrier).unwrap_or(&not_sent);

            self.part.count_fetched(ItemKind::Files, 1);
            self.part.record(ItemKind::Files, verdict, 1);
            self.name_failure(report, verdict, || {
                let attachment = ioc.observable.attachment.as_ref();
                let name = attachment.map_or("", |attachment| &attachment.name);
                format!("{} (the file itself)", self.part.run.report_text(name))
            });
        }
    }

    pub fn report_retractions(&self, report: &ReportData<'_>) {
        // An object counts once: its attributes are one observable.
        let mut counted: BTreeMap<(ItemKind, Uuid), &Verdict> = BTreeMap::new();

        for (planned, unwanted, verdict) in report.retractions() {
            let item = if unwanted.is_closing {
                ItemKind::Closings
            } else {
                ItemKind::Retractions
            };

            let known = counted
                .entry((item, planned.object.unwrap_or(planned.uuid)))
                .or_insert(verdict);
            if verdict.rank() < known.rank() {
                *known = verdict;
            }
        }

        for ((item, _), verdict) in counted {
            self.part.count_fetched(item, 1);
            self.part.record(item, verdict, 1);
        }

        for (planned, unwanted, verdict) in report.retractions() {
            if matches!(planned.action, Action::Skip(_)) && self.input.is_shared() {
                // It may be of an observable that this organisation does not see in TheHive.
                self.part.count_left_out("retractions", 1);
                continue;
            }

            let value = self.part.run.report_text(&unwanted.value);
            let (doing, closed) = if unwanted.is_closing {
                (
                    "closing",
                    Some("it may not go out any more: for its organisation only"),
                )
            } else {
                ("retracting", None)
            };
            self.name_failure(report, verdict, || format!("{doing} {value}"));

            self.part.show_retraction(RetractionRow {
                uuid: planned.uuid.to_string(),
                attribute: self.part.run.report_text(&unwanted.attribute),
                value,
                verdict: verdict.word().to_owned(),
                reason: verdict.reason().or(closed).map(ToOwned::to_owned),
            });
        }
    }

    /// Type and value of an observable, or of what stands in its place.
    fn type_and_value(
        &self,
        ioc: &Result<CaseObservable, String>,
        index: usize,
    ) -> (String, String) {
        let Ok(ioc) = ioc else {
            return ("no observable".to_owned(), format!("element {}", index + 1));
        };
        let observable = &ioc.observable;
        let value = match &observable.attachment {
            Some(attachment) => &attachment.name,
            None => &observable.data,
        };
        (
            self.part.run.report_text(&observable.data_type),
            self.part.run.report_text(value),
        )
    }
}

/// That an observable is one attribute with a stricter one, if it is.
fn describe_closed_with(
    ioc: &Result<CaseObservable, String>,
    draft: Option<&AttributeDraft>,
) -> Option<String> {
    let (ioc, draft) = (ioc.as_ref().ok()?, draft?);
    let is_stricter = draft.tlp.forbids_sharing() && ioc.tlp < draft.tlp;

    is_stricter.then(|| {
        format!(
            "one attribute with an IOC that is {}, and as closed as that",
            draft.tlp.word()
        )
    })
}
