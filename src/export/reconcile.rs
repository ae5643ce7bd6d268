//! A plan on its way: apply, look again, and go on with what is missing until the plan is empty or
//! nothing moves.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use uuid::Uuid;

use super::attachments::Contents;
use super::connection::ConnectionExport;
use super::draft::EventDraft;
use super::mapping::{Decision, MappedEvent};
use super::plan::Plan;
use super::verdicts::SkipRule;
use crate::http::HttpError;
use crate::misp::draft::AttributeDraft;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::wire::Event;
use crate::misp::write_log::{WriteLog, WriteStop};
use crate::misp::{ContentOptions, EventContent, Misp};

/// The time between two looks at an event that MISP may still be working on.
const PAUSE: Duration = Duration::from_secs(2);
/// Looks until MISP is taken to be done: a minute.
const LOOKS: usize = 31;
/// Attempts that change nothing, after which the writing stops.
const ATTEMPTS: usize = 3;
/// Looks in a row that MISP refused, after which it is not asked again: a key that is refused is a
/// failed login each time.
const REFUSALS: usize = 3;

/// A plan on its way.
pub struct Reconciler<'a, 'o> {
    pub one: &'a ConnectionExport<'o>,
    pub misp: &'a Misp,
    /// What is wanted, with the uuids that everything has unless that is held elsewhere.
    pub first: EventDraft,
    /// What the case becomes, with the uuids that are used.
    pub mapped: MappedEvent,
    /// What was decided on the observables before, if this is the event that the report is about:
    /// then it is kept ready what to tell if the run is stopped.
    pub foresees: Option<&'a [Decision]>,
    /// The uuids that are held elsewhere.
    pub taken: HashSet<Uuid>,
    pub names: TagResolution,
    pub look: ContentOptions,
    pub whole: Result<(), &'a SkipRule>,
    pub sending: WriteLog,
}

impl Reconciler<'_, '_> {
    /// Applies, looks, and goes on with what is missing. A write that was not answered is never
    /// repeated blindly: MISP goes on writing for seconds after a client is gone, so it is looked
    /// at until two looks agree, and only what is missing then is sent. Gives the event as it is in
    /// the end, and what stopped the writing.
    ///
    /// # Errors
    /// That our uuid is taken by an event that we cannot see, or that is not ours.
    pub fn reconcile(&mut self, held: Option<EventContent>, plan: &Plan) -> Result<EventResult> {
        if plan.is_empty() && matches!(self.misp, Misp::Server(_)) {
            // Nothing is sent: even an edit without effect would unpublish the event.
            return Ok((held, None));
        }
        let one = self.one;
        one.part.mark_writing(!plan.is_empty());
        let before = held.map(|held| held.event);
        let mut next = plan.clone();
        let (mut fruitless, mut is_second) = (0, false);

        let ended = loop {
            let left = next.count_pending(&self.sending);
            let stop = self.apply(plan, &next, before.as_ref());

            let (error, is_hidden) = match stop {
                None => match self.read_back(None) {
                    (held, None) if self.needs_second_round(held.as_ref(), &next, is_second) => {
                        is_second = true;

                        match self.plan_rest(held.as_ref()) {
                            Ok(plan) if plan.is_empty() => break (held, None),
                            Ok(plan) => next = plan,
                            Err(error) => break (held, Some(error)),
                        }

                        continue;
                    }
                    ended => break ended,
                },
                Some(WriteStop::No(error)) => break self.read_back(Some(error)),
                Some(WriteStop::Look(error)) => (error, false),
                Some(WriteStop::Taken { error, is_hidden }) => (error, is_hidden),
            };

            let Some(held) = self.wait_until_stable() else {
                break (None, Some(self.mark_unverified(error)));
            };
            if held
                .as_ref()
                .map_or(is_hidden, |held| self.is_foreign(held))
            {
                one.part.mark_writing(false);
                return Err(error);
            }
            if held.is_none() && self.sending.effects == 0 {
                break (None, Some(error));
            }
            self.reassign_refused_uuids(held.as_ref());

            // What stopped the writing says more than why there is no further plan.
            next = match self.plan_rest(held.as_ref()) {
                Ok(next) => next,
                Err(_) => break (held, Some(error)),
            };

            let rest = next.count_pending(&self.sending);
            fruitless = if rest < left { 0 } else { fruitless + 1 };
            if rest == 0 {
                break (held, None);
            }
            if fruitless >= ATTEMPTS || one.network.clock().is_over() {
                break (held, Some(error));
            }
        };

        one.part.mark_writing(false);

        Ok(ended)
    }

    /// True if something is left though nothing stopped the writing: what MISP refused by its uuid,
    /// which gets another one here; or a tag that was there locally, which only a second edit sets
    /// for everybody.
    fn needs_second_round(
        &mut self,
        held: Option<&EventContent>,
        done: &Plan,
        is_second: bool,
    ) -> bool {
        self.reassign_refused_uuids(held) || (!is_second && done.replaces_local_tags())
    }

    /// What is missing in the event as it is there.
    fn plan_rest(&mut self, held: Option<&EventContent>) -> Result<Plan> {
        let wanted = &self.mapped.wanted;
        self.one
            .make_plan(self.misp, wanted, held, &mut self.names, self.whole)
    }

    /// Sends what is next, and keeps ready what to tell if no answer comes. Gives what stopped it.
    fn apply(&mut self, plan: &Plan, next: &Plan, before: Option<&Event>) -> Option<WriteStop> {
        let one = self.one;
        let contents = Contents {
            thehive: one.thehive,
            input: one.input,
            most: one.settings.max_attachment_bytes(),
        };

        let (mapped, foresees) = (&self.mapped, self.foresees);
        let underway = |sending: &WriteLog| {
            if let Some(decided) = foresees {
                one.set_fallback_from_plan(mapped, decided, (plan, next), sending, before);
            }
        };

        let sent = self.misp.apply(
            &next.to_event_changes(&mapped.wanted),
            &self.names,
            &contents,
            &mut self.sending,
            &underway,
        );

        if self.sending.had_effect() {
            one.part.run.mark_written();
        }

        sent.err()
    }

    /// True if somebody took the event's uuid since the first look, so that nothing of ours is in
    /// it.
    fn is_foreign(&self, held: &EventContent) -> bool {
        self.sending.effects == 0
            && self
                .misp
                .may_write(&held.event, self.one.ids)
                .is_ok_and(|is_ours| !is_ours)
    }

    /// Gives what MISP refused because its uuid is held by another event the next uuid it can have;
    /// true if there was one.
    fn reassign_refused_uuids(&mut self, held: Option<&EventContent>) -> bool {
        let Some(held) = held else { return false };
        let attributes: HashSet<_> = held
            .attributes
            .iter()
            .filter_map(|one| Uuid::parse_str(&one.uuid).ok())
            .collect();

        let objects: HashSet<_> = held.objects.values().collect();

        let refused: Vec<_> = self
            .mapped
            .wanted
            .attributes
            .iter()
            .filter(|one| {
                !attributes.contains(&one.uuid) && self.sending.is_held_elsewhere(&one.uuid)
            })
            .map(|one| {
                (
                    one.uuid,
                    one.place
                        .as_ref()
                        .map(|place| place.object)
                        .filter(|object| !objects.contains(object)),
                )
            })
            .collect();

        if refused.is_empty() {
            return false;
        }
        // MISP does not say whether it means the object or an attribute in it: the object goes
        // first.
        self.taken.extend(
            refused
                .iter()
                .map(|(attribute, object)| object.unwrap_or(*attribute)),
        );

        let before: HashSet<_> = self
            .mapped
            .wanted
            .attributes
            .iter()
            .map(|one| (one.uuid, object_uuid(one)))
            .collect();

        self.mapped.wanted = self
            .first
            .resolve_uuids(Some(held), &self.taken, self.one.ids);
        let is_moved = |one: &&AttributeDraft| !before.contains(&(one.uuid, object_uuid(one)));

        let moved: Vec<_> = self
            .mapped
            .wanted
            .attributes
            .iter()
            .filter(is_moved)
            .map(|one| one.uuid)
            .collect();

        moved
            .iter()
            .for_each(|uuid| self.sending.clear_refusal(uuid));

        !moved.is_empty()
    }

    /// What there is after the last write. A look that breaks off is repeated.
    fn read_back(&mut self, stopped: Option<anyhow::Error>) -> EventResult {
        let first = self.misp.find_content(&self.mapped.wanted.uuid, self.look);
        match first.or_else(|error| self.wait_until_stable().ok_or(error)) {
            Ok(held) => (held, stopped),
            Err(error) => {
                let error =
                    stopped.unwrap_or_else(|| error.context("reading back what was written"));
                (None, Some(self.mark_unverified(error)))
            }
        }
    }

    fn mark_unverified(&mut self, error: anyhow::Error) -> anyhow::Error {
        self.sending.is_unseen = true;
        error
    }

    /// Looks until two looks agree, or for a minute; none if there was nothing to be seen.
    fn wait_until_stable(&self) -> Option<Option<EventContent>> {
        let clock = self.one.network.clock();
        let mut before: Option<Option<EventContent>> = None;
        let mut refusals = 0;

        for _ in 0..LOOKS {
            match self.misp.find_content(&self.mapped.wanted.uuid, self.look) {
                Ok(now) => {
                    let is_same = match (&before, &now) {
                        (Some(Some(before)), Some(now)) => before.is_same(now),
                        (Some(None), None) => true,
                        _ => false,
                    };

                    (before, refusals) = (Some(now), 0);
                    if is_same {
                        break;
                    }
                }
                Err(error) => refusals = if is_refused(&error) { refusals + 1 } else { 0 },
            }

            if refusals >= REFUSALS || clock.is_over() {
                break;
            }
            clock.pause(PAUSE);
        }

        before
    }
}

/// True if MISP said that it does not show the event, which it may go on saying.
fn is_refused(error: &anyhow::Error) -> bool {
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<HttpError>());
    failure
        .and_then(HttpError::status)
        .is_some_and(|status| (400..500).contains(&status) && status != 429)
}

fn object_uuid(one: &AttributeDraft) -> Option<Uuid> {
    one.place.as_ref().map(|place| place.object)
}

/// The event in the end, and what stopped the writing.
pub type EventResult = (Option<EventContent>, Option<anyhow::Error>);
