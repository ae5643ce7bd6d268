//! One connection of an export: plan, apply, look again. What is then told is in `tell.rs`.

use anyhow::Result;

use super::case::Input;
use super::map::{self, Mapped};
use super::plan::{Outcome, Plan, Wanted};
use super::sending::Sending;
use super::tell;
use crate::config::connections::{Connection, Target};
use crate::full::PartOf;
use crate::http::Network;
use crate::ids::Ids;
use crate::ledger::{Item, Verdict};
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

/// What became of the attributes, and what stopped the writing, if anything did.
#[derive(Default)]
struct Written {
    outcome: Vec<Outcome>,
    stopped: Option<anyhow::Error>,
}

impl One<'_> {
    pub(super) fn run(&self) -> Result<()> {
        // Decided before anything is sent, so that a run that is stopped tells it too.
        let decided = map::decide(self.input, self.is_public());
        decided.iter().flatten().for_each(|verdict| self.part.record(Item::Observables, verdict, 1));
        let opened = self.open();
        let newest = ServerTypes::newest();
        let types = opened.as_ref().map_or(&newest, |(_, types)| types);
        let mapped = map::case(self.input, &decided, self.ids, self.overrides, types);
        mapped.warnings.iter().for_each(|warning| self.part.warn(warning.clone()));
        mapped.refused.values().for_each(|verdict| self.part.record(Item::Observables, verdict, 1));
        let Written { outcome, stopped } =
            opened.and_then(|(misp, _)| self.write(&misp, &mapped)).unwrap_or_else(|error| {
                let unsent = (Verdict::Failed(super::NOT_SENT.to_owned()), None);
                Written { outcome: vec![unsent; mapped.wanted.attributes.len()], stopped: Some(error) }
            });
        self.tell(&decided, &mapped, &outcome, stopped.is_some());
        stopped.map_or(Ok(()), Err)
    }

    pub(super) fn is_public(&self) -> bool {
        matches!(self.connection.target, Target::Feed { .. })
    }

    /// The MISP, and the types it has. One that does not describe them is taken for the newest.
    fn open(&self) -> Result<(Misp, ServerTypes)> {
        let misp = Misp::open(self.connection, self.network, self.part)?;
        let version = misp.version()?;
        let types = misp.types(version.as_deref()).unwrap_or_else(|error| {
            self.part.warn(format!("the types of this MISP are not known, those of the newest are taken: {error:#}"));
            ServerTypes::newest()
        });
        let version = version.map(|version| self.part.run.shown(&version));
        self.part.with(|part| part.version = version);
        Ok((misp, types))
    }

    fn write(&self, misp: &Misp, mapped: &Mapped) -> Result<Written> {
        let wanted = &mapped.wanted;
        let _lock = if self.dry_run { None } else { misp.lock()? };
        let held = misp.held(&wanted.uuid)?;
        if held.is_none() && wanted.attributes.is_empty() {
            return Ok(Written::default());
        }
        if self.is_public() {
            self.part.warn("readable by everyone who pulls this feed");
        }
        let plan = self.plan(misp, wanted, held.as_ref())?;
        plan.remarks.iter().for_each(|remark| self.part.warn(remark.clone()));
        plan.alarms.iter().for_each(|alarm| self.part.fail(alarm.clone()));
        if self.dry_run {
            self.tell_event(wanted, held.as_ref(), &plan, plan.steps.len());
            return Ok(Written { outcome: plan.forecast(), stopped: None });
        }
        Ok(self.carry_out(misp, wanted, held, &plan))
    }

    /// An event with our uuid that another organisation owns came by synchronisation, whatever it says of itself: it is
    /// read only. Who we are is asked only before something is added.
    fn plan(&self, misp: &Misp, wanted: &Wanted, held: Option<&Held>) -> Result<Plan> {
        let plan = Plan::new(wanted, held, self.ids);
        match held {
            Some(held) if !plan.is_empty() && !misp.owns(&held.event)? => Ok(Plan::managed_elsewhere(wanted)),
            Some(_) | None => Ok(plan),
        }
    }

    /// Applies, then looks: what the event holds afterwards decides, not the answer.
    fn carry_out(&self, misp: &Misp, wanted: &Wanted, held: Option<Held>, plan: &Plan) -> Written {
        let mut sending = Sending::default();
        if plan.is_empty() && matches!(misp, Misp::Server(_)) {
            // Nothing is sent: even an edit without effect would unpublish the event.
            self.tell_event(wanted, held.as_ref(), plan, tell::live(held.as_ref()));
            return Written { outcome: plan.outcome(wanted, &sending, held.as_ref()), stopped: None };
        }
        self.part.run.writes(!plan.is_empty());
        let mut stopped = misp.apply(wanted, plan, &mut sending).err();
        self.part.run.writes(false);
        if sending.had_effect() {
            self.part.run.wrote();
        }
        sending.remarks.iter().for_each(|remark| self.part.warn(remark.clone()));
        let after = misp.held(&wanted.uuid).unwrap_or_else(|error| {
            stopped.get_or_insert(error.context("reading back what was written"));
            sending.is_unseen = true;
            None
        });
        self.check_event(wanted, held.as_ref(), after.as_ref());
        let there = after.as_ref().or(held.as_ref());
        if there.is_some() {
            self.tell_event(wanted, there, plan, tell::live(there));
        }
        Written { outcome: plan.outcome(wanted, &sending, after.as_ref()), stopped }
    }
}
