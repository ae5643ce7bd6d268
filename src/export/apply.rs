//! One connection of an export: plan, apply, look again, and write every observable's verdict into the report.

use anyhow::Result;
use uuid::Uuid;

use super::case::{self, Input};
use super::map::{self, Mapped, shortened};
use super::plan::{Plan, Refusals, Wanted};
use crate::config::connections::{Connection, Target};
use crate::cortex::report::Operation;
use crate::full::{EventLine, ObservableLine, PartOf};
use crate::http::{Failure, Network};
use crate::ids::Ids;
use crate::ledger::{Item, Verdict};
use crate::misp::server::Server;
use crate::misp::{Held, Misp};
use crate::types::{Overrides, ServerTypes};

/// The export to one connection.
pub(super) struct One<'a> {
    pub(super) connection: &'a Connection,
    pub(super) network: &'a Network,
    pub(super) ids: &'a Ids,
    pub(super) overrides: &'a Overrides,
    pub(super) input: &'a Input,
    pub(super) part: &'a PartOf,
    pub(super) dry_run: bool,
}

impl One<'_> {
    pub(super) fn run(&self) -> Result<()> {
        self.part.fetched(Item::Observables, self.input.observables.len() as u64);
        let is_public = matches!(self.connection.target, Target::Feed { .. });
        // Decided before anything is sent, so that a run that is stopped tells it too.
        let decided = map::decide(self.input, is_public);
        decided.iter().flatten().for_each(|verdict| self.part.record(Item::Observables, verdict, 1));
        let opened = self.open();
        let newest = ServerTypes::newest();
        let types = opened.as_ref().map_or(&newest, |(_, types)| types);
        let mapped = map::case(self.input, &decided, self.ids, self.overrides, types);
        mapped.warnings.iter().for_each(|warning| self.part.warn(warning.clone()));
        mapped.refused.iter().for_each(|(_, verdict)| self.part.record(Item::Observables, verdict, 1));
        let (outcome, stopped) = match opened.and_then(|(misp, _)| self.write(&misp, &mapped, is_public)) {
            Ok(Written { outcome, stopped }) => (outcome, stopped),
            Err(error) => {
                let unsent = (Verdict::Failed(NOT_SENT.to_owned()), None);
                (vec![unsent; mapped.wanted.attributes.len()], Some(error))
            }
        };
        self.tell(&decided, &mapped, &outcome, stopped.is_some());
        stopped.map_or(Ok(()), Err)
    }

    /// The MISP, and the types it has. One that does not describe them is taken for the newest.
    fn open(&self) -> Result<(Misp, ServerTypes)> {
        let misp = Misp::open(self.connection, self.network, self.part)?;
        let version = misp.version()?;
        let types = misp.types(version.as_deref()).unwrap_or_else(|error| {
            self.part.warn(format!("the types of this MISP are not known, those of the newest are taken: {error:#}"));
            ServerTypes::newest()
        });
        self.part.with(|part| part.version = version);
        Ok((misp, types))
    }

    fn write(&self, misp: &Misp, mapped: &Mapped, is_public: bool) -> Result<Written> {
        let wanted = &mapped.wanted;
        let _lock = if self.dry_run { None } else { misp.lock()? };
        let held = misp.held(&wanted.uuid)?;
        if held.is_none() && wanted.attributes.is_empty() {
            return Ok(Written::default());
        }
        if is_public {
            self.part.warn("readable by everyone who pulls this feed");
        }
        let plan = Plan::new(wanted, held.as_ref(), self.ids);
        plan.remarks.iter().for_each(|remark| self.part.warn(remark.clone()));
        if self.dry_run {
            self.tell_event(wanted, held.as_ref(), &plan, plan.forecast().len());
            return Ok(Written { outcome: plan.forecast(), stopped: None });
        }
        self.carry_out(misp, wanted, held, &plan)
    }

    /// Applies, then looks: what the event holds afterwards decides, not the answer.
    fn carry_out(&self, misp: &Misp, wanted: &Wanted, held: Option<Held>, plan: &Plan) -> Result<Written> {
        let is_server = matches!(misp, Misp::Server(_));
        if plan.is_empty() && is_server {
            // Nothing is sent: even an edit without effect would unpublish the event.
            self.tell_event(wanted, held.as_ref(), plan, live(held.as_ref()));
            let outcome = plan.outcome(wanted, &Refusals::default(), held.as_ref());
            return Ok(Written { outcome, stopped: None });
        }
        let wrote_before = self.part.run.writes(!plan.is_empty());
        let mut refusals = Refusals::default();
        let mut stopped = misp.apply(wanted, plan, &mut refusals).err();
        refusals.missing = stopped.as_ref().map(unsent);
        refusals.remarks.iter().for_each(|remark| self.part.warn(remark.clone()));
        let after = misp.held(&wanted.uuid).unwrap_or_else(|error| {
            stopped.get_or_insert(error.context("reading back what was written"));
            None
        });
        self.check_event(wanted, held.as_ref(), after.as_ref());
        let outcome = plan.outcome(wanted, &refusals, after.as_ref());
        let arrived =
            outcome.iter().any(|(verdict, _)| *verdict == Verdict::Created) || (plan.create && after.is_some());
        if arrived || stopped.is_none() {
            self.tell_event(wanted, after.as_ref().or(held.as_ref()), plan, live(after.as_ref()));
        } else if refusals.missing == Some(NOT_SENT) {
            self.part.run.writes(wrote_before);
        }
        Ok(Written { outcome, stopped })
    }

    /// Tags that MISP left out in silence, since the key's user may not make them
    /// (`fixtures/wire/misp/125-event-add-unknown-tag-partner.json`), and a publication that a write took back.
    fn check_event(&self, wanted: &Wanted, before: Option<&Held>, after: Option<&Held>) {
        let Some(after) = after else { return };
        let there: Vec<_> = after.event.tags().map(str::to_lowercase).collect();
        let lacking: Vec<_> =
            wanted.tags.iter().filter(|tag| !there.contains(&tag.to_lowercase())).map(String::as_str).collect();
        let is_server = matches!(self.connection.target, Target::Server { .. });
        if before.is_none() && !lacking.is_empty() && is_server {
            self.part.warn(format!(
                "MISP left out the tags {}: they do not exist there, and the key's user may not make them (role permission tag editor)",
                lacking.join(", ")
            ));
        }
        if before.is_some_and(|before| before.event.published == Some(true)) && after.event.published != Some(true) {
            self.part.warn("the event was published; MISP took that back when the new IOCs were added: review and publish it again");
        }
    }

    fn tell_event(&self, wanted: &Wanted, held: Option<&Held>, plan: &Plan, attributes: usize) {
        let uuid = held.and_then(|held| Uuid::parse_str(&held.event.uuid).ok()).unwrap_or(wanted.uuid);
        let verdict = match (plan.create, plan.is_empty()) {
            (true, _) => Verdict::Created,
            (false, false) => Verdict::Updated,
            (false, true) => Verdict::Unchanged,
        };
        let line = EventLine {
            uuid: uuid.to_string(),
            id: held.map(|held| held.event.id.clone()).filter(|id| !id.is_empty()),
            title: held.map_or(wanted.info.clone(), |held| held.event.info.clone()),
            link: match &self.connection.target {
                Target::Server { url, .. } => Some(Server::link(url, &uuid)),
                Target::Feed { .. } => None,
            },
            organisation: held.map_or_else(String::new, |held| held.event.organisation().to_owned()),
            date: wanted.date.clone(),
            tlp: wanted.tlp.word().to_owned(),
            attributes: attributes as u64,
            verdict: verdict.word().to_owned(),
            reason: None,
        };
        self.part.with(|part| part.events = vec![line]);
        if held.is_some() && !self.dry_run {
            let tag = format!("misp:event=\"{}:{uuid}\"", self.connection.name);
            self.part.run.draft().operations.push(Operation::AddTagToCase { tag });
        }
    }

    /// Writes every observable's verdict into ledger and report.
    fn tell(
        &self,
        decided: &[Option<Verdict>],
        mapped: &Mapped,
        outcome: &[(Verdict, Option<String>)],
        is_stopped: bool,
    ) {
        for (index, one) in self.input.observables.iter().enumerate() {
            let refused =
                mapped.refused.iter().find(|(refused, _)| *refused == index).map(|(_, verdict)| verdict.clone());
            let decided = decided.get(index).cloned().flatten().or(refused);
            let arrived =
                mapped.wanted.attributes.iter().zip(outcome).filter(|(attribute, _)| attribute.from.contains(&index));
            let first = arrived.min_by_key(|(_, (verdict, _))| rank(verdict));
            let is_open = decided.is_none();
            let (verdict, remark) = match (decided, first) {
                (Some(verdict), _) => (verdict, None),
                (None, Some((_, (verdict, remark)))) => (verdict.clone(), remark.clone()),
                (None, None) => (Verdict::Failed("not mapped".to_owned()), None),
            };
            if is_open {
                self.part.record(Item::Observables, &verdict, 1);
            }
            let (data_type, data) = match one {
                Ok(ioc) => (shortened(&ioc.observable.data_type), value(ioc)),
                Err(_) => (String::new(), format!("element {}", index + 1)),
            };
            if let (Verdict::Failed(reason), false) = (&verdict, is_stopped) {
                self.part.fail(format!("{data} ({data_type}): {reason}"));
            }
            let line = ObservableLine {
                data_type,
                data,
                verdict: verdict.word().to_owned(),
                reason: verdict.reason().map(ToOwned::to_owned).or(remark),
                attribute: first.map(|(attribute, _)| format!("{}/{}", attribute.category, attribute.kind)),
                uuid: first.map(|(attribute, _)| attribute.uuid.to_string()),
            };
            self.part.show_observable(line);
        }
    }
}

/// What became of the attributes, and what stopped the writing, if anything did.
#[derive(Default)]
struct Written {
    outcome: Vec<(Verdict, Option<String>)>,
    stopped: Option<anyhow::Error>,
}

const NOT_SENT: &str = "not sent";

/// Why an attribute is not there after an error: a refusal means that nothing was taken; after anything else MISP may
/// still be writing.
fn unsent(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref::<Failure>() {
        Some(failure) if !failure.was_sent() || failure.status().is_some_and(|status| status < 500) => NOT_SENT,
        Some(_) | None => "not verified",
    }
}

fn value(ioc: &case::Ioc) -> String {
    match &ioc.observable.attachment {
        Some(attachment) => shortened(&attachment.name),
        None => shortened(&ioc.observable.data),
    }
}

fn live(held: Option<&Held>) -> usize {
    held.map_or(0, |held| held.attributes.iter().filter(|attribute| attribute.deleted != Some(true)).count())
}

/// An observable that became several attributes takes the first of these that applies.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Failed(_) => 0,
        Verdict::Created => 1,
        Verdict::Updated => 2,
        Verdict::Unchanged => 3,
        Verdict::Skipped(_) => 4,
    }
}
