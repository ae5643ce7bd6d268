//! An alert that is not there yet.

use anyhow::Result;

use super::reconcile::{ObservableGoal, Slot};
use super::{AlertState, AlertWriter};
use crate::http::HttpError;
use crate::import::alert_diff;
use crate::import::mapping::AlertDraft;
use crate::import::observable_diff;
use crate::import::target::{AlertTarget, failure_of};
use crate::report::ledger::Verdict;
use crate::thehive::{Alert, NewAlert, Procedure, WriteError};

/// A creation.
#[derive(Clone)]
pub struct Creation {
    new: NewAlert,
    /// It has all of the event.
    is_whole: bool,
    /// Which of the page's observables it has.
    carried: Vec<usize>,
    omitted: OmittedParts,
}

/// What a creation is sent without after it was refused.
#[derive(Clone, Default)]
struct OmittedParts {
    /// No observables and procedures are sent any more.
    is_bare: bool,
    procedures: Vec<Procedure>,
    /// With the refusal. It goes last: it can be set on a new alert only.
    template: Option<(String, HttpError)>,
}

impl Creation {
    /// Takes something out of it after it was refused; false if nothing is left that could be.
    fn omit_next_part(&mut self, failure: &HttpError) -> bool {
        let Self {
            new,
            carried,
            omitted,
            ..
        } = self;
        if !omitted.is_bare {
            omitted.is_bare = true;
            omitted.procedures = std::mem::take(&mut new.procedures);
            new.observables.clear();
            carried.clear();
            return true;
        }

        let template = new.case_template.take();
        omitted.template = template.map(|template| (template, failure.clone()));
        omitted.template.is_some()
    }
}

impl AlertWriter<'_> {
    /// The creation of the alert with what of these observables fits into one call. One that has
    /// all of it then is complete at once: TheHive makes it whole or not at all.
    pub fn prepare_creation(
        &self,
        goal: &ObservableGoal<'_>,
        places: &[usize],
        full: &[usize],
    ) -> Result<Box<Creation>> {
        // The same once more, since what was sent before may yet arrive.
        if let Some(creation) = &goal.creation {
            return Ok(creation.clone());
        }
        let (draft, scale) = (goal.draft, self.target.scale);
        let limit = self.target.client.body_limit()?;
        // The description counts twice, since JSON's escapes make it longer; the rest is for the
        // other fields.
        let room = limit.saturating_sub(2 * draft.description.len() + 4_000);
        let (inline, rest) = observable_diff::split_inline(
            observable_diff::group_additions(&goal.taken, places, scale, limit / 2),
            room,
        );
        let is_whole = goal.page.is_all && rest.is_empty() && full.is_empty() && !self.is_open;
        let (observables, carried): (_, Vec<Vec<usize>>) = inline
            .into_iter()
            .map(|batch| (batch.group, batch.places))
            .unzip();
        let procedures = draft.procedures.iter().filter(|_| self.target.is_five);

        let new = NewAlert {
            source: draft.source.clone(),
            source_ref: draft.source_ref.clone(),
            title: draft.title.clone(),
            description: self.description_with_state(draft, is_whole),
            external_link: draft.link.clone(),
            severity: draft.severity,
            date: draft.date,
            tlp: alert_diff::tlp_number(draft.tlp, scale),
            pap: draft.pap.number(),
            tags: draft.tags.clone(),
            case_template: self.context.case_template.map(ToOwned::to_owned),
            procedures: procedures
                .map(|pattern| Procedure {
                    pattern: pattern.clone(),
                    date: draft.date,
                })
                .collect(),
            observables,
        };

        Ok(Box::new(Creation {
            new,
            is_whole,
            carried: carried.concat(),
            omitted: OmittedParts::default(),
        }))
    }

    fn description_with_state(&self, draft: &AlertDraft, is_whole: bool) -> String {
        let AlertTarget { scale, is_five, .. } = *self.target;
        let (event, uuid) = (self.source.event, self.source.uuid);
        alert_diff::build_state(draft, event, uuid, is_whole, scale, is_five)
            .insert_into(&draft.description)
    }

    /// Creates the alert, without what it is refused for.
    pub fn create(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        mut creation: Box<Creation>,
    ) -> Result<()> {
        loop {
            match self.write(|client| client.create_alert(&creation.new)) {
                Ok(made) => return self.adopt_created_alert(goal, made, *creation),
                Err(WriteError::Content(failure)) if creation.omit_next_part(&failure) => {
                    // Without its observables it is whole only if there were none to put in.
                    creation.is_whole &= goal.page.wanted.is_empty();
                    creation.new.description =
                        self.description_with_state(goal.draft, creation.is_whole);
                }
                Err(WriteError::Duplicate(failure)) => {
                    let Some(found) = self.fetch_current_alert()? else {
                        return Err(failure.into());
                    };
                    if goal.creation.is_some() {
                        // After an attempt that was not answered a duplicate is most likely its
                        // late effect.
                        self.adopt_unconfirmed_alert(goal, found);
                    } else {
                        // Another run made it in the meantime.
                        self.adopt_alert(found);
                    }
                    return Ok(());
                }
                Err(WriteError::Unclear(failure)) => {
                    let values = creation.carried.len();
                    goal.creation = Some(creation);
                    return Err(self.doubt(&failure, values));
                }
                Err(error) => return Err(failure_of(error).into()),
            }
        }
    }

    /// Goes on with the alert that a creation made. Before more is put into it: if another import
    /// made one of the same event at the same time, and that is the one that counts, the work goes
    /// on with that one.
    fn adopt_created_alert(
        &mut self,
        goal: &mut ObservableGoal<'_>,
        made: Alert,
        creation: Creation,
    ) -> Result<()> {
        let Creation {
            is_whole,
            carried,
            omitted,
            ..
        } = creation;
        // If TheHive counts another number than was sent, a look tells what is in it.
        let is_fresh = made.observable_count == i64::try_from(carried.len()).ok();
        let id = made.id.clone();
        self.state = AlertState::Created {
            alert: made,
            is_fresh,
            is_whole,
        };
        // It has no files yet.
        self.files = Some(Vec::new());
        for place in carried {
            self.added += u64::from(is_fresh);
            goal.set(
                place,
                if is_fresh {
                    Slot::Done(Verdict::Created)
                } else {
                    Slot::Sent(Verdict::Created)
                },
            );
        }
        self.add_omitted_parts(omitted);

        if !is_whole {
            let counts = self.fetch_all_alerts()?;
            if let Some(other) = self.choose_alert(counts).filter(|other| other.id != id) {
                self.adopt_alert(other);
                goal.reopen_written();
            }
        }
        Ok(())
    }

    /// Goes on with the alert that a creation made whose answer was lost.
    pub fn adopt_unconfirmed_alert(&mut self, goal: &mut ObservableGoal<'_>, found: Alert) {
        self.target.note_write_arrived();
        self.state = AlertState::Created {
            alert: found,
            is_fresh: false,
            is_whole: false,
        };
        self.files = Some(Vec::new());
        if let Some(creation) = goal.creation.take() {
            for place in creation.carried {
                goal.set(place, Slot::Sent(Verdict::Created));
            }
            self.add_omitted_parts(creation.omitted);
        }
    }

    /// What a creation was refused for follows singly, so that one bad value does not cost the
    /// alert.
    fn add_omitted_parts(&self, omitted: OmittedParts) {
        let Some(alert) = self.alert() else { return };
        if let Some((template, failure)) = omitted.template {
            self.warn(&format!(
                "its alert was created without the case template \"{template}\": {failure}"
            ));
        }

        for procedure in omitted.procedures {
            let added = self.target.write(self.context.part, |client| {
                client.add_procedure(&alert.id, &procedure)
            });
            if let Err(failure) = added {
                self.warn(&format!(
                    "technique {} is not set: {failure}",
                    procedure.pattern
                ));
            }
        }
    }
}
