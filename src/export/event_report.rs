//! What an export tells of the event on one connection.

use uuid::Uuid;

use super::connection::{ConnectionExport, ExportResult};
use super::diff::{self, EventIndex};
use super::draft::EventDraft;
use super::event_tags;
use super::plan::Plan;
use super::reporting::{NAMED, ReportData};
use super::verdicts::{AttributeResult, Remark};
use crate::config::connections::Target;
use crate::ids::EventRole;
use crate::markings::Tlp;
use crate::misp::server::Server;
use crate::misp::wire::Event;
use crate::misp::{EventContent, Misp};
use crate::report::ledger::Verdict;
use crate::report::{EventRow, Operation};
use crate::text::{format_count, join_first};
use crate::types::{self, equal};

/// What a report calls an event that is another case's, whose title is for those who may see that
/// case.
const NOT_THE_CASES: &str = "(the event of another case)";
/// The same of one that a tag of the case names: whoever may write tags is not shown by that what
/// the organisation's events are called.
const NAMED_BY_A_TAG: &str = "(the event of a tag misp:into)";

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
            !self.is_public() && !self.job.dry_run && index.held.event.distribution != Some(0);
        for (draft, result) in wanted.attributes.iter().zip(results) {
            if !is_there(&result.verdict) || draft.file.is_some() {
                continue;
            }
            let Some(there) = index.find_counterpart(draft) else {
                continue;
            };

            let value = self.part.run.report_text(&draft.value);
            if is_seen && draft.tlp.forbids_sharing() && there.distribution != Some(0) {
                open.push(format!("{value} ({})", draft.tlp.word()));
            }
            if !draft.to_ids {
                continue;
            }
            let held_value = types::normalise(&there.kind, &there.value);
            if equal::equality_key(&held_value) != equal::equality_key(&draft.value) {
                let held_value = self.part.run.report_text(&there.value);
                changed.push(format!("{value} (there is {held_value})"));
            } else if there.to_ids == Some(false) {
                quiet.push(value);
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
        let changed_fields = plan.head.changed_fields();
        let extends = wanted.extends.map(|uuid| format!("extends event {uuid}"));
        let verb = if plan.create { "with a" } else { "changes:" };
        let changes = (!changed_fields.is_empty()).then(|| format!("{verb} {changed_fields}"));
        let into = (self.role == EventRole::Into).then(|| match wanted.only_tightens {
            true => {
                "nothing is added to it, and only what is there of the case is changed".to_owned()
            }
            false => "only attributes of the case are added and changed".to_owned(),
        });
        let reasons: Vec<_> = extends.into_iter().chain(into).chain(changes).collect();

        EventRow {
            uuid: wanted.uuid.to_string(),
            id: event
                .map(|event| run.report_text(&event.id))
                .filter(|id| !id.is_empty()),
            title: match self.role {
                EventRole::Own => run.report_text(event.map_or(&wanted.info, |one| &one.info)),
                EventRole::Guest => NOT_THE_CASES.to_owned(),
                EventRole::Into => NAMED_BY_A_TAG.to_owned(),
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
            verdict: verdict.kind(),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            changed_fields,
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

            self.part.request_operation(match self.input.case.is_alert {
                true => Operation::AddTagToAlert { tag },
                false => Operation::AddTagToCase { tag },
            });
        }
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

        let event = &done.mapped.wanted.uuid;
        let is_ours = |uuid: &Uuid| self.ids.is_case_part(event, uuid);
        match misp.ask_server(|server| server.count_proposals(event, &is_ours)) {
            Ok(open) => self.part.update(|part| part.proposals = open),
            Err(error) => self.part.warn(format!(
                "whether there are open proposals is not known: {error:#}"
            )),
        }
    }

    /// What is closed now and was published before is with others already.
    pub fn note_earlier_publication(&self, before: Option<&Event>, plan: &Plan) {
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
    use uuid::Uuid;

    #[test]
    fn a_link_names_the_event() {
        assert_eq!(
            Server::event_url(&"https://h/misp/".parse().unwrap(), &Uuid::nil()),
            "https://h/misp/events/view/00000000-0000-0000-0000-000000000000"
        );
    }
}
