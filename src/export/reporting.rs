//! What an export tells of one connection: the event, and every observable's, file's and
//! retraction's verdict.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::connection::{ConnectionExport, ExportResult};
use super::diff::{self, EventIndex};
use super::draft::EventDraft;
use super::file_objects::is_file;
use super::mapping::{Decision, MappedEvent};
use super::options::Attachments;
use super::plan::{Action, Plan};
use super::verdicts::{AttributeResult, Remark};
use super::{case, event_tags};
use crate::config::connections::Target;
use crate::markings::Tlp;
use crate::misp::draft::AttributeDraft;
use crate::misp::server::Server;
use crate::misp::wire::Event;
use crate::misp::write_log::WriteLog;
use crate::misp::{EventContent, Misp};
use crate::report::Operation;
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{EventRow, ObservableRow, RetractionRow};
use crate::text::{format_count, join_first};
use crate::types::{self, equal};

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

/// What is said of an attribute that is closed and not retracted.
const CLOSED: &str = "it may not go out any more: for its organisation only";
/// What a report calls an event that is another case's, whose title is for those who may see that
/// case.
const NOT_THE_CASES: &str = "(the event of another case)";
/// Names given in a text, before their number is.
pub const NAMED: usize = 10;

impl ConnectionExport<'_> {
    /// A publication that a write took back, be it an old one or one that came meanwhile; and open
    /// proposals.
    pub fn warn_of_unpublication(&self, before: Option<&Event>, after: Option<&EventContent>) {
        let (Some(before), Some(after)) = (before, after) else {
            return;
        };
        let moment = |event: &Event| event.publish_timestamp.unwrap_or(0);
        let was_published = before.published == Some(true);
        let meanwhile = moment(&after.event) > moment(before);

        if after.event.published != Some(true) && (was_published || meanwhile) {
            let when = if was_published {
                "was published"
            } else {
                "was published while this export ran"
            };

            self.part.warn(format!(
                "the event {when}; MISP took that back when it was changed: review and publish it \
                 again"
            ));
        }
    }

    /// Values that MISP rewrote when it took them, as its import rules do.
    pub fn note_rewritten_values(&self, wanted: &EventDraft, results: &[AttributeResult]) {
        let mut stored = Vec::new();
        for (draft, result) in wanted.attributes.iter().zip(results) {
            for remark in &result.remarks {
                if let Remark::Stored(fields) = remark {
                    let value = self.part.run.report_text(&draft.value);
                    stored.push(format!("{value}: {fields}"));
                }
            }
        }

        self.note_iocs("MISP stored otherwise than it was sent", &stored);
    }

    /// IOCs for which MISP holds something else: somebody changed the value, or it is not for
    /// detection. What is unchanged by this export is not there as the case has it, and nobody may
    /// take it for that.
    pub fn report_differing_iocs(
        &self,
        wanted: &EventDraft,
        results: &[AttributeResult],
        there: Option<&EventContent>,
    ) {
        let Some(index) = there.map(|there| EventIndex::new(there, self.ids)) else {
            return;
        };
        let is_there = |verdict: &Verdict| matches!(verdict, Verdict::Unchanged | Verdict::Updated);
        let (mut changed, mut quiet, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let is_seen =
            !self.is_public() && there.is_some_and(|there| there.event.distribution != Some(0));
        for (one, _) in wanted
            .attributes
            .iter()
            .zip(results)
            .filter(|(_, result)| is_there(&result.verdict))
        {
            let Some(there) = index.find_counterpart(one).filter(|_| one.file.is_none()) else {
                continue;
            };
            let (is, has) = (
                self.part.run.report_text(&one.value),
                self.part.run.report_text(&there.value),
            );
            if is_seen
                && one.tlp.forbids_sharing()
                && there.distribution != Some(0)
                && !self.job.dry_run
            {
                open.push(format!("{is} ({})", one.tlp.word()));
            }
            if !one.to_ids {
                continue;
            }
            if equal::equality_key(&types::normalise(&there.kind, &there.value))
                != equal::equality_key(&one.value)
            {
                changed.push(format!("{is} (there is {has})"));
            } else if there.to_ids == Some(false) {
                quiet.push(is);
            }
        }

        self.note_iocs(
            "MISP holds another value for these IOCs, since somebody or one of its import rules \
             changed it, and it is left as it is",
            &changed,
        );
        self.note_iocs(
            "these IOCs are not for detection in MISP, since somebody said so there, and that is \
             left as it is",
            &quiet,
        );

        if !open.is_empty() {
            self.part.add_failure(format!(
                "in attributes that somebody else added, more than your organisation sees what is \
                 RED or AMBER+STRICT here: {}; \
                 close them in MISP",
                join_first(&open, NAMED)
            ));
        }
    }

    fn note_iocs(&self, what: &str, iocs: &[String]) {
        if iocs.is_empty() {
            return;
        }
        let iocs = join_first(iocs, NAMED);
        self.part.add_note(format!("{what}: {iocs}"));
    }

    /// What MISP did not take of the event itself, and of files that are not wanted any more.
    pub fn report_unapplied_changes(&self, plan: &Plan, again: Option<&Plan>) {
        if let Some(again) = again.filter(|again| !plan.head.is_empty() && !again.head.is_empty()) {
            self.part.add_failure(format!(
                "MISP did not take the change of the event's {}",
                again.head.changed_fields()
            ));
        }

        let open = again.map_or(0, Plan::count_retained);
        if open > 0 && plan.count_retained() > 0 {
            self.part.add_failure(format!(
                "MISP did not take the stricter TLP of {open} attributes that went out before"
            ));
        }

        let open = again.map_or(0, |again| {
            again
                .closed_objects
                .intersection(&plan.closed_objects)
                .count()
        });

        if open > 0 {
            self.part.add_failure(format!(
                "MISP did not close {}",
                format_count(open as u64, "object", "objects")
            ));
        }
    }

    /// The line of an event that is there or, in a dry run, would be. How many attributes it holds
    /// is not known if nobody looked.
    pub fn build_event_row(
        &self,
        wanted: &EventDraft,
        event: Option<&Event>,
        attributes: Option<usize>,
        done: (&Plan, &Verdict),
    ) -> EventRow {
        let run = &self.part.run;
        let (plan, verdict) = done;
        let changes = (!plan.head.is_empty())
            .then(|| format!("{}{}", super::CHANGES, plan.head.changed_fields()));
        let reasons: Vec<_> = wanted
            .extends
            .map(|uuid| format!("extends event {uuid}"))
            .into_iter()
            .chain(changes)
            .collect();

        EventRow {
            uuid: wanted.uuid.to_string(),
            id: event
                .map(|event| run.report_text(&event.id))
                .filter(|id| !id.is_empty()),
            title: if self.is_guest {
                NOT_THE_CASES.to_owned()
            } else {
                run.report_text(event.map_or(&wanted.info, |one| &one.info))
            },
            link: match &self.connection.target {
                Target::Server { url, .. } => Some(Server::event_url(url, &wanted.uuid)),
                Target::Feed { .. } | Target::WebFeed { .. } => None,
            },
            organisation: event
                .map_or_else(String::new, |event| run.report_text(event.creator_name())),
            date: event.map_or_else(|| wanted.date.clone(), |event| run.report_text(&event.date)),
            tlp: self
                .event_tlp(wanted, event, plan)
                .map_or("not set", Tlp::word)
                .to_owned(),
            visible_to: Some(self.describe_audience(wanted, event, plan)),
            attributes: attributes.map(|attributes| attributes as u64),
            verdict: verdict.word().to_owned(),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            ..EventRow::default()
        }
    }

    /// Shows the event's line, and asks for the tag by which the case is known to be the event's.
    pub fn report_event(&self, report: &ReportData<'_>) {
        let Some(line) = report.event else { return };
        self.part.update(|part| part.events.push(line.clone()));

        if !self.job.dry_run {
            let tag = event_tags::build(
                self.ids,
                self.connection_identity(),
                &report.mapped.wanted.uuid,
                self.case_name(),
            );

            self.part.request_operation(Operation::AddTagToCase { tag });
        }
    }

    /// Says what is to be told if the run is stopped before a request is answered: what was read as
    /// there is there, what was not sent is not, and only of what is on its way nobody knows.
    pub fn set_fallback_from_plan(
        &self,
        mapped: &MappedEvent,
        (plan, next): (&Plan, &Plan),
        sending: &WriteLog,
        before: Option<&Event>,
    ) {
        let results = &plan.results(&mapped.wanted, sending, Some(next));
        let event = before.or(sending.event.as_ref());

        let line = event.map(|event| {
            self.build_event_row(
                &mapped.wanted,
                Some(event),
                None,
                (plan, &plan.event_verdict(sending)),
            )
        });

        // MISP was asked to make it, and nobody has read the answer: it may be there.
        let unknown = line.is_none() && plan.create && sending.had_effect();

        let unknown = unknown.then(|| EventRow {
            reason: Some(
                "not verified: MISP was asked to make it and did not answer yet".to_owned(),
            ),
            ..self.build_event_row(
                &mapped.wanted,
                None,
                None,
                (plan, &Verdict::Failed(String::new())),
            )
        });

        let event = line.as_ref();

        let report = ReportData {
            mapped,
            plan,
            results,
            after: None,
            event,
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
        ConnectionExport {
            part: &apart,
            ..*self
        }
        .write_rows(report, &HashMap::new());

        apart.update(|part| part.events.extend(unknown));
        self.part.set_report_if_stopped(&apart);
    }

    /// The TLP of the event as it is there for everybody; of a dry run as it would be.
    fn event_tlp(&self, wanted: &EventDraft, event: Option<&Event>, plan: &Plan) -> Option<Tlp> {
        let Some(event) = event else {
            return Some(wanted.tlp);
        };
        let held = Tlp::from_plain_tags(diff::shared_tags(event.tags_with_local_flag()));
        let added = Tlp::from_plain_tags(plan.head.add_tags.iter().map(String::as_str));
        held.max(added.filter(|_| self.job.dry_run))
    }

    /// Who may see an event: the word of MISP for its distribution.
    fn describe_audience(&self, wanted: &EventDraft, event: Option<&Event>, plan: &Plan) -> String {
        if self.is_public() {
            return "everyone who pulls this feed".to_owned();
        }
        let group = event.map_or(
            wanted.sharing_group.map(|group| group.to_string()),
            |event| Some(self.part.run.report_text(&event.sharing_group_id)),
        );
        let held = event
            .and_then(|event| event.distribution)
            .and_then(|held| u64::try_from(held).ok());

        distribution_text(
            if self.job.dry_run && plan.head.close {
                0
            } else {
                held.unwrap_or(wanted.distribution)
            },
            group,
        )
    }

    /// Writes every verdict into ledger and report, in place of what was foreseen.
    pub fn write_report(&self, report: &ReportData<'_>, hits: &HashMap<String, Vec<String>>) {
        let apart = self.part.separate_part();
        ConnectionExport {
            part: &apart,
            ..*self
        }
        .write_rows(report, hits);

        self.part.merge_part(&apart);
    }

    fn write_rows(&self, report: &ReportData<'_>, hits: &HashMap<String, Vec<String>>) {
        let ReportData {
            mapped,
            results,
            is_stopped,
            ..
        } = *report;

        self.report_event(report);
        mapped
            .warnings
            .iter()
            .for_each(|warning| self.part.warn(warning.clone()));
        mapped
            .refused
            .values()
            .for_each(|verdict| self.part.record(ItemKind::Observables, verdict, 1));
        let is_as_wanted = |result: &AttributeResult| {
            result.remarks.is_empty()
                && matches!(
                    result.verdict,
                    Verdict::Created | Verdict::Updated | Verdict::Unchanged
                )
        };

        // An event can be large: it is searched only if something in it is not as it was wanted.
        let of_wanted = results.iter().take(mapped.wanted.attributes.len());
        let differs = !of_wanted.into_iter().all(is_as_wanted);
        let results = results_by_observable(mapped, results);
        let held = report
            .after
            .filter(|_| differs)
            .map(|after| EventIndex::new(after, self.ids));

        for (index, (one, decided)) in self.input.observables.iter().zip(self.decided).enumerate() {
            let refused = || mapped.refused.get(&index).cloned();
            let decided = decided.verdict().or_else(refused);
            let result = self.observable_result(decided, results.get(&index));
            let (data_type, data) = self.type_and_value(one, index);
            if let (Verdict::Failed(reason), false) = (&result.verdict, is_stopped) {
                self.part
                    .add_failure(format!("{data} ({data_type}): {reason}"));
            }

            let remark = describe_closed_with(one, result.attribute)
                .into_iter()
                .chain(result.remark)
                .reduce(|closed, remark| format!("{closed}; {remark}"));
            let (attribute, uuid) = result
                .attribute
                .map(|wanted| self.describe_attribute(wanted, held.as_ref()))
                .unzip();

            self.part.show_observable(ObservableRow {
                data_type,
                data,
                verdict: result.verdict.word().to_owned(),
                reason: result.verdict.reason().map(ToOwned::to_owned).or(remark),
                attribute,
                uuid: uuid.flatten(),
                warninglists: result
                    .attribute
                    .and_then(|wanted| hits.get(&wanted.value))
                    .cloned()
                    .unwrap_or_default(),
            });
        }

        self.report_files(report);
        self.report_retractions(report);
    }

    /// What became of an observable. What was decided before is in the ledger already.
    fn observable_result<'r>(
        &self,
        decided: Option<Verdict>,
        result: Option<&(&'r AttributeDraft, &'r AttributeResult)>,
    ) -> ObservableResult<'r> {
        if let Some(verdict) = decided {
            return ObservableResult::without_attribute(verdict);
        }

        let result = match result {
            Some((attribute, result)) => ObservableResult {
                verdict: result.verdict.clone(),
                remark: result.describe_remarks(),
                attribute: Some(attribute),
            },
            None => ObservableResult::without_attribute(Verdict::Failed("not mapped".to_owned())),
        };

        self.part.record(ItemKind::Observables, &result.verdict, 1);
        result
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

        let ReportData {
            mapped,
            results,
            is_stopped,
            ..
        } = *report;

        let wanted = &mapped.wanted;
        let object_of: HashMap<usize, Option<Uuid>> = wanted
            .attributes
            .iter()
            .flat_map(|one| one.from.iter().map(|index| (*index, one.object())))
            .collect();

        let carriers: HashMap<Option<Uuid>, &AttributeResult> = wanted
            .attributes
            .iter()
            .zip(results)
            .filter(|(attribute, _)| attribute.file.is_some())
            .map(|(attribute, result)| (attribute.object(), result))
            .collect();

        for (index, (one, decided)) in self.input.observables.iter().zip(self.decided).enumerate() {
            let is_open = *decided == Decision::Send;
            let Some(ioc) = one.as_ref().ok().filter(|ioc| is_open && is_file(ioc)) else {
                continue;
            };
            let carrier = object_of
                .get(&index)
                .and_then(|object| carriers.get(object));
            let verdict = mapped
                .files
                .get(&index)
                .cloned()
                .or_else(|| carrier.map(|result| result.verdict.clone()));

            let verdict = verdict.unwrap_or_else(|| Verdict::Failed(super::NOT_SENT.to_owned()));
            self.part.count_fetched(ItemKind::Files, 1);
            self.part.record(ItemKind::Files, &verdict, 1);

            if let (Verdict::Failed(reason), false) = (&verdict, is_stopped) {
                let name = ioc
                    .observable
                    .attachment
                    .as_ref()
                    .map_or("", |attachment| &attachment.name);

                self.part.add_failure(format!(
                    "{} (the file itself): {reason}",
                    self.part.run.report_text(name)
                ));
            }
        }
    }

    pub fn report_retractions(&self, report: &ReportData<'_>) {
        // An object counts once: its attributes are one observable.
        let mut counted: BTreeMap<(ItemKind, Uuid), &Verdict> = BTreeMap::new();

        let retractions = || {
            let all = report.plan.attributes.iter().zip(report.results);
            all.filter_map(|(planned, result)| {
                Some((planned, planned.unwanted()?, &result.verdict))
            })
        };

        for (planned, unwanted, verdict) in retractions() {
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

        for (planned, unwanted, verdict) in retractions() {
            if matches!(planned.action, Action::Skip(_)) && self.input.is_shared() {
                // It may be of an observable that this organisation does not see in TheHive.
                self.part.count_left_out("retractions", 1);
                continue;
            }
            let value = self.part.run.report_text(&unwanted.value);

            if let (Verdict::Failed(reason), false) = (verdict, report.is_stopped) {
                let doing = if unwanted.is_closing {
                    "closing"
                } else {
                    "retracting"
                };

                self.part.add_failure(format!("{doing} {value}: {reason}"));
            }

            let closed = unwanted.is_closing.then(|| CLOSED.to_owned());

            self.part.show_retraction(RetractionRow {
                uuid: planned.uuid.to_string(),
                attribute: self.part.run.report_text(&unwanted.attribute),
                value,
                verdict: verdict.word().to_owned(),
                reason: verdict
                    .reason()
                    .map(ToOwned::to_owned)
                    .or_else(|| closed.clone()),
            });
        }
    }

    /// Proposals of other organisations wait for a decision in MISP, and nobody looks there without
    /// being told. To an event that no other organisation sees, none makes any.
    pub fn count_proposals(&self, misp: &Misp, done: &ExportResult) {
        if done
            .after
            .as_ref()
            .is_none_or(|after| after.event.distribution == Some(0))
        {
            return;
        }

        match misp.count_proposals(&done.mapped.wanted.uuid, &|uuid| {
            self.ids.is_case_part(&done.mapped.wanted.uuid, uuid)
        }) {
            Ok(open) => self.part.update(|part| part.proposals = open),
            Err(error) => self.part.warn(format!(
                "whether there are open proposals is not known: {error:#}"
            )),
        }
    }

    /// Type and value of an observable, or of what stands in its place.
    pub fn type_and_value(
        &self,
        one: &Result<case::CaseObservable, String>,
        index: usize,
    ) -> (String, String) {
        let Ok(ioc) = one else {
            return ("no observable".to_owned(), format!("element {}", index + 1));
        };
        let observable = &ioc.observable;
        let value = observable
            .attachment
            .as_ref()
            .map_or(&observable.data, |attachment| &attachment.name);
        (
            self.part.run.report_text(&observable.data_type),
            self.part.run.report_text(value),
        )
    }
}

/// The word of MISP for a distribution, with the sharing group of an event that has one.
pub fn distribution_text(distribution: u64, group: Option<String>) -> String {
    let group = group.filter(|group| !["", "0"].contains(&group.as_str()));
    match distribution {
        0 => "your organisation only".to_owned(),
        1 => "this community only".to_owned(),
        2 => "connected communities".to_owned(),
        3 => "all communities".to_owned(),
        4 => group.map_or("a sharing group".to_owned(), |group| {
            format!("sharing group {group}")
        }),
        other => format!("distribution {other}"),
    }
}

/// What became of one observable.
struct ObservableResult<'a> {
    verdict: Verdict,
    remark: Option<String>,
    attribute: Option<&'a AttributeDraft>,
}

impl ObservableResult<'_> {
    fn without_attribute(verdict: Verdict) -> Self {
        Self {
            verdict,
            remark: None,
            attribute: None,
        }
    }
}

/// That an observable is one attribute with a stricter one, if it is.
fn describe_closed_with(
    observable: &Result<case::CaseObservable, String>,
    attribute: Option<&AttributeDraft>,
) -> Option<String> {
    let is_stricter = |wanted: &&AttributeDraft| {
        wanted.tlp.forbids_sharing() && observable.as_ref().is_ok_and(|ioc| ioc.tlp < wanted.tlp)
    };
    let wanted = attribute.filter(is_stricter)?;

    Some(format!(
        "one attribute with an IOC that is {}, and as closed as that",
        wanted.tlp.word()
    ))
}

/// What each observable became. One that became several attributes takes the first verdict of
/// [`Verdict::rank`].
fn results_by_observable<'a>(
    mapped: &'a MappedEvent,
    results: &'a [AttributeResult],
) -> HashMap<usize, (&'a AttributeDraft, &'a AttributeResult)> {
    let mut became: HashMap<usize, (&AttributeDraft, &AttributeResult)> = HashMap::new();

    for (attribute, result) in mapped.wanted.attributes.iter().zip(results) {
        for index in &attribute.from {
            let known = became.entry(*index).or_insert((attribute, result));
            if result.verdict.rank() < known.1.verdict.rank() {
                *known = (attribute, result);
            }
        }
    }

    became
}

/// How many attributes an event holds that are not deleted.
pub fn count_live(held: &EventContent) -> usize {
    held.attributes
        .iter()
        .filter(|attribute| attribute.deleted != Some(true))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_event() {
        assert_eq!(
            Server::event_url(&"https://h/misp/".parse().unwrap(), &Uuid::nil()),
            "https://h/misp/events/view/00000000-0000-0000-0000-000000000000"
        );
    }
}
