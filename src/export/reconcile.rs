//! A plan on its way: apply, look again, and go on with what is missing until the plan is empty or
//! nothing moves.

use std::collections::HashSet;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use anyhow::{Result, ensure};
use uuid::Uuid;

use super::attachments::Contents;
use super::connection::ConnectionExport;
use super::draft::EventDraft;
use super::mapping::MappedEvent;
use super::plan::{DiffContext, Plan};
use super::verdicts::SkipRule;
use crate::http::{self, HttpError};
use crate::ids::EventRole;
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
/// Looks in a row that MISP refused, while it is waited for, after which it is not asked again: a
/// key that is refused is a failed login each time.
const REFUSALS: usize = 3;

/// An event on its way to what is wanted.
pub struct Reconciler<'a, 'o> {
    pub export: &'a ConnectionExport<'o>,
    pub misp: &'a Misp,
    /// What is wanted, with the uuids that everything has unless that is held elsewhere.
    pub first: EventDraft,
    /// What the case becomes, with the uuids that are used.
    pub mapped: MappedEvent,
    /// True for the event that the report is about: it is kept ready what to tell if the run is
    /// stopped.
    pub is_main: bool,
    /// The uuids that are held elsewhere.
    pub taken: HashSet<Uuid>,
    pub tags: TagResolution,
    pub look: ContentOptions,
    /// Why nothing may be retracted, if so.
    pub whole: Result<(), SkipRule>,
    pub log: WriteLog,
    /// Attempts since the last one that changed something.
    pub fruitless: usize,
    /// True once it was written again though nothing had stopped the writing.
    pub has_repeated: bool,
}

/// The event in the end, and what stopped the writing.
pub type EventResult = (Option<EventContent>, Option<anyhow::Error>);

impl Reconciler<'_, '_> {
    pub fn diff_context(&self) -> DiffContext<'_> {
        let export = self.export;
        DiffContext {
            ids: export.ids,
            removed: export.settings.removed_iocs,
            whole: self.whole.as_ref().copied(),
            is_case: export.input.is_case,
            is_public: export.is_public(),
            tags: &self.tags,
        }
    }

    /// True if tags may have to be set, whether that waits or not.
    pub fn may_set_tags(&self, held: Option<&EventContent>) -> bool {
        let wanted = &self.mapped.wanted;
        let plan = Plan::compare(wanted, held, &self.diff_context());
        let mut additions = plan.additions(wanted);
        plan.create || plan.sets_tags() || additions.any(|draft| draft.all_tags().next().is_some())
    }

    /// What is missing in the event as it is there. An event that is not ours to write is read
    /// only, and what it holds already is no export either.
    pub fn make_plan(&mut self, held: Option<&EventContent>) -> Result<Plan> {
        let wanted = &self.mapped.wanted;
        let plan = Plan::new(wanted, held, &self.diff_context());
        let Some(held) = held else {
            ensure!(
                wanted.role != EventRole::Into,
                "the event is gone from MISP, and is not made anew"
            );
            return Ok(plan);
        };
        if !self.misp.may_write(&held.event, self.export.ids)? {
            return Ok(plan.into_read_only(wanted));
        }

        if plan.is_empty() || !plan.sets_tags() || self.misp.may_set_tags()? {
            return Ok(plan);
        }
        self.export.part.warn(
            "tags of the event are not brought in line: the key's user may not change them \
             (role permission tagger)",
        );
        self.tags = TagResolution::refuse_all(&wanted.event_and_attribute_tags());

        Ok(Plan::new(wanted, Some(held), &self.diff_context()))
    }

    /// Gives everything the uuid that it has in the event, or gets there.
    pub fn resolve_uuids(&mut self, held: Option<&EventContent>) {
        let ids = self.export.ids;
        self.mapped.wanted = self.first.resolve_uuids(held, &self.taken, ids);
    }

    /// Applies, looks, and goes on with what is missing. A write that was not answered is never
    /// repeated blindly: MISP goes on writing for seconds after a client is gone, so it is looked
    /// at until two looks agree, and only what is missing then is sent. Gives the event as it is in
    /// the end, and what stopped the writing.
    ///
    /// # Errors
    /// That our uuid is taken by an event that we cannot see, or that is not ours.
    pub fn reconcile(&mut self, held: Option<EventContent>, plan: &Plan) -> Result<EventResult> {
        // In a feed even an empty plan goes on: it mends the manifest that a run which died left
        // behind.
        if plan.is_empty() && matches!(self.misp, Misp::Server(_)) {
            // Nothing is sent: even an edit without effect would unpublish the event.
            return Ok((held, None));
        }

        let part = self.export.part;
        part.mark_writing(!plan.is_empty());
        let ended = self.write_all(plan, held.map(|held| held.event).as_ref());
        part.mark_writing(false);

        ended
    }

    fn write_all(&mut self, plan: &Plan, before: Option<&Event>) -> Result<EventResult> {
        let mut next = plan.clone();

        loop {
            let open = next.count_pending(&self.log);
            let step = match self.apply(plan, &next, before) {
                None => self.finish_written(&next),
                Some(WriteStop::No(error)) => Break(self.read_back(Some(error))),
                Some(WriteStop::Look(error)) => self.look_again(error, false, open)?,
                Some(WriteStop::Taken { error, is_hidden }) => {
                    self.look_again(error, is_hidden, open)?
                }
            };

            match step {
                Continue(plan) => next = plan,
                Break(ended) => return Ok(ended),
            }
        }
    }

    /// Sends what is next, and keeps ready what to tell if no answer comes. Gives what stopped it.
    fn apply(&mut self, plan: &Plan, next: &Plan, before: Option<&Event>) -> Option<WriteStop> {
        let export = self.export;
        let contents = Contents {
            thehive: export.job.thehive,
            input: export.input,
            most: export.settings.max_attachment_bytes(),
        };

        let (mapped, is_main) = (&self.mapped, self.is_main);
        let underway = |log: &WriteLog| {
            if is_main {
                export.set_fallback_from_plan(mapped, (plan, next), log, before);
            }
        };

        let sent = self.misp.apply(
            &next.to_event_changes(&mapped.wanted),
            &self.tags,
            &contents,
            &mut self.log,
            &underway,
        );

        if self.log.had_effect() {
            export.part.run.mark_written();
        }

        sent.err()
    }

    /// After a write that nothing stopped: the end, or what is to be written now. Something may be
    /// left all the same: what MISP refused by its uuid, which gets another one here; a tag that
    /// was there locally, which only a second edit sets for everybody; or what MISP left out of a
    /// list of objects, of which it says why if it is asked once more.
    fn finish_written(&mut self, written: &Plan) -> ControlFlow<EventResult, Plan> {
        let (mut held, error) = self.read_back(None);
        let is_left = error.is_none()
            && (self.reassign_refused_uuids(held.as_mut())
                || (!self.has_repeated
                    && (written.replaces_local_tags() || self.misses_of_lists(held.as_ref()))));
        if !is_left {
            return Break((held, error));
        }

        // So that what MISP never takes is not sent for ever.
        self.has_repeated = true;
        match self.make_plan(held.as_ref()) {
            Ok(plan) if plan.is_empty() => Break((held, None)),
            Ok(plan) => Continue(plan),
            Err(error) => Break((held, Some(error))),
        }
    }

    /// True if an attribute that went out in a list of objects is not there.
    fn misses_of_lists(&self, held: Option<&EventContent>) -> bool {
        let in_lists = &self.log.in_lists;
        let there = held.map_or(0, |held| {
            let uuids = held.attributes_by_uuid().map(|(uuid, _)| uuid);
            uuids.filter(|uuid| in_lists.contains(uuid)).count()
        });
        there < in_lists.len()
    }

    /// After a write that was not answered well, and that MISP may still be at work on: waits for
    /// that, and gives the end, or what is to be written now. `open` is how much was to be written.
    fn look_again(
        &mut self,
        error: anyhow::Error,
        is_hidden: bool,
        open: usize,
    ) -> Result<ControlFlow<EventResult, Plan>> {
        let Some(mut held) = self.wait_until_stable() else {
            return Ok(Break((None, Some(self.mark_unverified(error)))));
        };
        let is_foreign = match &held {
            Some(held) => self.is_foreign(held),
            None => is_hidden,
        };
        if is_foreign {
            return Err(error);
        }
        if held.is_none() && !self.log.had_effect() {
            return Ok(Break((None, Some(error))));
        }

        self.reassign_refused_uuids(held.as_mut());
        // What stopped the writing says more than why there is no further plan.
        let Ok(next) = self.make_plan(held.as_ref()) else {
            return Ok(Break((held, Some(error))));
        };

        let rest = next.count_pending(&self.log);
        self.fruitless = if rest < open { 0 } else { self.fruitless + 1 };
        let is_over = self.fruitless >= ATTEMPTS || self.export.job.network.clock().is_over();

        Ok(match rest {
            0 => Break((held, None)),
            _ if is_over => Break((held, Some(error))),
            _ => Continue(next),
        })
    }

    /// True if somebody took the event's uuid since the first look, so that nothing of ours is in
    /// it.
    fn is_foreign(&self, held: &EventContent) -> bool {
        let is_ours = || self.misp.may_write(&held.event, self.export.ids);
        !self.log.had_effect() && is_ours().is_ok_and(|is_ours| !is_ours)
    }

    /// Gives what MISP refused because its uuid is held by another event the next uuid it can have;
    /// true if there was one.
    fn reassign_refused_uuids(&mut self, held: Option<&mut EventContent>) -> bool {
        let Some(held) = held else { return false };
        let attributes: HashSet<_> = held.attributes_by_uuid().map(|(uuid, _)| uuid).collect();
        let refused = self.mapped.wanted.attributes.iter().filter(|draft| {
            !attributes.contains(&draft.uuid) && self.log.is_held_elsewhere(&draft.uuid)
        });
        let refused: Vec<_> = refused.collect();
        if refused.iter().any(|draft| draft.place.is_some()) {
            // An object of which every attribute was refused is there all the same.
            if let Err(error) = self.misp.add_empty_objects(held) {
                self.export.part.warn(format!(
                    "which objects the event holds is not known: {error:#}"
                ));
            }
        }
        let objects: HashSet<_> = held.objects.values().collect();

        // MISP does not say whether it means the object or an attribute in it: the object goes
        // first.
        let refused: Vec<Uuid> = refused
            .into_iter()
            .map(|draft| {
                let object = draft.object().filter(|object| !objects.contains(object));
                object.unwrap_or(draft.uuid)
            })
            .collect();
        if refused.is_empty() {
            return false;
        }
        let held = &*held;

        // These are not tried again.
        self.taken.extend(refused);
        let place = |draft: &AttributeDraft| (draft.uuid, draft.object());
        let before: HashSet<_> = self.mapped.wanted.attributes.iter().map(place).collect();
        self.resolve_uuids(Some(held));

        let mut is_any_moved = false;
        for draft in &self.mapped.wanted.attributes {
            if !before.contains(&place(draft)) {
                self.log.clear_refusal(&draft.uuid);
                is_any_moved = true;
            }
        }

        is_any_moved
    }

    /// What there is after the last write. A look that fails is repeated.
    fn read_back(&mut self, stopped: Option<anyhow::Error>) -> EventResult {
        let wanted = &self.mapped.wanted;
        let (first, ()) = http::at_once(
            || self.misp.find_content(&wanted.uuid, self.look),
            || {
                if stopped.is_none() && self.is_main {
                    self.export
                        .check_warninglists_ahead(self.misp, &wanted.attributes);
                }
            },
        );
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
        self.log.is_unseen = true;
        error
    }

    /// Looks until two looks agree, or for a minute, or until MISP refuses to show it: then what
    /// was seen last counts. None if nothing was seen. What is planned by a look that is too early,
    /// MISP refuses by its uuids.
    fn wait_until_stable(&self) -> Option<Option<EventContent>> {
        let clock = self.export.job.network.clock();
        let mut before: Option<Option<EventContent>> = None;
        let mut refusals = 0;

        for _ in 0..LOOKS {
            match self.misp.find_content(&self.mapped.wanted.uuid, self.look) {
                Ok(now) => {
                    refusals = 0;
                    let is_same = match (&before, &now) {
                        (Some(Some(before)), Some(now)) => before.is_same(now),
                        (Some(None), None) => true,
                        (Some(_) | None, _) => false,
                    };
                    before = Some(now);
                    if is_same {
                        break;
                    }
                }
                // MISP may go on saying that it does not show the event.
                Err(error) if HttpError::of(&error).is_some_and(HttpError::is_permanent) => {
                    refusals += 1;
                }
                Err(_) => refusals = 0,
            }

            if refusals >= REFUSALS || clock.is_over() {
                break;
            }
            clock.pause(PAUSE);
        }

        before
    }
}
