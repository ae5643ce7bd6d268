//! An alert that is not there yet.

use anyhow::{Result, anyhow, bail};

use super::{ATTEMPTS, AlertWriter, Page, PendingWrites, set};
use crate::http::HttpError;
use crate::import::alert_diff;
use crate::import::mapping::AlertDraft;
use crate::import::target::AlertTarget;
use crate::import::{observable_diff, twins};
use crate::report::ledger::Verdict;
use crate::thehive::{Alert, NewAlert, ObservableBatch, Procedure, WriteError};

impl AlertWriter<'_> {
    /// Creates the alert with what fits into one call. One that has all of it then is complete at
    /// once: TheHive makes it whole or not at all.
    pub(super) fn create(
        &mut self,
        alert: &AlertDraft,
        page: Page<'_>,
        verdicts: &mut [Option<Verdict>],
        sent: &mut PendingWrites,
    ) -> Result<()> {
        let mut creation = self.prepare_creation(alert, page, verdicts)?;
        let mut last = None;

        for _ in 0..ATTEMPTS {
            let failure = match self
                .desk
                .write(self.common.part, |hive| hive.create_alert(&creation.new))
            {
                Ok(made) => return self.finish_creation(made, creation, verdicts, sent),
                Err(failure) => failure,
            };

            match WriteError::from_http_error(failure) {
                WriteError::Content(failure) if creation.omit_next_part(&failure) => {
                    creation.is_whole &= page.wanted.is_empty();
                    creation.new.description =
                        self.description_with_state(alert, creation.is_whole);
                }
                WriteError::Content(failure)
                | WriteError::Denied(failure)
                | WriteError::Gone(failure) => {
                    return Err(failure.into());
                }
                WriteError::Duplicate(failure) => {
                    let found = self
                        .fetch_current_alert()?
                        .ok_or_else(|| anyhow!(failure))?;
                    match last {
                        // Another run made it in the meantime.
                        None => self.adopt_alert(found),
                        // After an attempt that was not answered a duplicate is most likely its
                        // late effect.
                        Some(_) => self.adopt_unconfirmed_alert(found, creation, sent),
                    }
                    return Ok(());
                }
                WriteError::Unclear(failure) => {
                    let doubt = self.note_unclear_write(&failure, creation.carried.len());
                    let Some(found) =
                        self.reconcile(&doubt, Self::fetch_all_alerts, |found| !found.is_empty())?
                    else {
                        bail!(doubt.describe_unsettled());
                    };

                    if let Some(found) =
                        twins::choose_alert(found, self.from.uuid, &self.desk.users)
                    {
                        self.adopt_unconfirmed_alert(found, creation, sent);
                        return Ok(());
                    }
                    last = Some(failure);
                }
            }
        }

        Err(last.map_or_else(|| anyhow!("TheHive did not create the alert"), Into::into))
    }

    fn prepare_creation(
        &mut self,
        alert: &AlertDraft,
        page: Page<'_>,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<Creation> {
        let mut places: Vec<usize> = (0..page.wanted.len()).collect();
        self.skip_over_capacity(&mut places, verdicts);
        let limit = self.desk.hive.body_limit()?;
        // The description counts twice, since JSON's escapes make it longer; the rest is for the
        // other fields.
        let room = limit.saturating_sub(2 * alert.description.len() + 4_000);
        let (inline, rest) = observable_diff::split_inline(
            observable_diff::group_additions(page.wanted, &places, self.desk.scale, limit / 2),
            room,
        );

        let is_whole = page.is_all && rest.is_empty() && !self.is_open;
        let observables = inline.iter().map(|parcel| parcel.group.clone()).collect();

        Ok(Creation {
            new: self.build_new_alert(alert, observables, is_whole),
            is_whole,
            carried: inline
                .into_iter()
                .flat_map(|parcel| parcel.places)
                .collect(),
            left_out: OmittedParts::default(),
        })
    }

    /// Goes on with an alert that TheHive made.
    fn finish_creation(
        &mut self,
        made: Alert,
        creation: Creation,
        verdicts: &mut [Option<Verdict>],
        sent: &mut PendingWrites,
    ) -> Result<()> {
        self.adopt_created_alert(made, creation.carried, verdicts, sent);
        self.is_told = creation.is_whole && self.is_fresh;
        self.handle_omitted_parts(creation.left_out);

        if creation.is_whole {
            Ok(())
        } else {
            self.yield_to_another(verdicts)
        }
    }

    /// Takes the alert in hand that a creation made, with what it has.
    fn adopt_created_alert(
        &mut self,
        made: Alert,
        carried: Vec<usize>,
        verdicts: &mut [Option<Verdict>],
        sent: &mut PendingWrites,
    ) {
        self.is_fresh = made.observable_count == i64::try_from(carried.len()).ok();

        for place in carried {
            match self.is_fresh {
                true => {
                    self.note_added(1);
                    set(verdicts, place, Verdict::Created);
                }
                false => drop(sent.insert(place, Verdict::Created)),
            }
        }

        self.alert = Some(made);
    }

    /// Takes the alert in hand that a creation made whose answer was lost.
    fn adopt_unconfirmed_alert(
        &mut self,
        found: Alert,
        creation: Creation,
        sent: &mut PendingWrites,
    ) {
        self.desk.note_write_arrived();
        self.alert = Some(found);
        let carried = creation.carried.into_iter();
        sent.extend(carried.map(|place| (place, Verdict::Created)));
        self.handle_omitted_parts(creation.left_out);
    }

    /// Before more is put into a new alert: if another import made one of the same event at the
    /// same time, and that is the one that counts, it is taken in hand in place of ours.
    fn yield_to_another(&mut self, verdicts: &mut [Option<Verdict>]) -> Result<()> {
        let counts =
            twins::choose_alert(self.fetch_all_alerts()?, self.from.uuid, &self.desk.users);
        let id = self.alert.as_ref().map(|alert| &alert.id);
        if let Some(other) = counts.filter(|other| Some(&other.id) != id) {
            self.adopt_alert(other);
            super::reset_written_verdicts(verdicts);
        }
        Ok(())
    }

    fn description_with_state(&self, alert: &AlertDraft, is_whole: bool) -> String {
        let AlertTarget { scale, is_five, .. } = *self.desk;
        alert_diff::build_state(
            alert,
            self.from.event,
            self.from.uuid,
            is_whole,
            scale,
            is_five,
        )
        .insert_into(&alert.description)
    }

    fn build_new_alert(
        &self,
        alert: &AlertDraft,
        observables: Vec<ObservableBatch>,
        is_whole: bool,
    ) -> NewAlert {
        let AlertTarget { scale, is_five, .. } = *self.desk;
        let procedures = alert.procedures.iter().filter(|_| is_five);

        NewAlert {
            source: alert.source.clone(),
            source_ref: alert.source_ref.clone(),
            title: alert.title.clone(),
            description: self.description_with_state(alert, is_whole),
            external_link: alert.link.clone(),
            severity: alert.severity,
            date: alert.date,
            tlp: alert_diff::tlp_number(alert.tlp, scale),
            pap: alert.pap.number(),
            tags: alert.tags.clone(),
            case_template: self.common.case_template.map(ToOwned::to_owned),
            procedures: procedures
                .map(|pattern| Procedure {
                    pattern: pattern.clone(),
                    date: alert.date,
                })
                .collect(),
            observables,
        }
    }

    /// What a creation was refused for follows singly, so that one bad value does not cost the
    /// alert.
    fn handle_omitted_parts(&mut self, left_out: OmittedParts) {
        let Some(alert) = &self.alert else { return };
        let OmittedParts {
            procedures,
            template,
            is_bare: _,
        } = left_out;

        let uuid = self.from.uuid;
        if let Some((template, failure)) = template {
            self.common.part.warn(format!(
                "event {uuid}: its alert was created without the case template \"{template}\": \
                 {failure}"
            ));
        }

        for procedure in procedures {
            if let Err(failure) = self.desk.write(self.common.part, |hive| {
                hive.add_procedure(&alert.id, &procedure)
            }) {
                self.common.part.warn(format!(
                    "event {uuid}: technique {} is not set: {failure}",
                    procedure.pattern
                ));
            }
        }
    }
}

/// A creation that is tried.
struct Creation {
    new: NewAlert,
    /// It has all of the event.
    is_whole: bool,
    /// The places of the page's observables that it has.
    carried: Vec<usize>,
    left_out: OmittedParts,
}

impl Creation {
    /// Takes something out of it after it was refused; false if nothing is left that could be.
    fn omit_next_part(&mut self, failure: &HttpError) -> bool {
        let is_less = self.left_out.omit_next_part(&mut self.new, failure);
        if is_less {
            // What is taken out first are the observables.
            self.carried.clear();
        }
        is_less
    }
}

/// What a creation is sent without after it was refused.
#[derive(Default)]
struct OmittedParts {
    /// No observables and procedures are sent any more.
    is_bare: bool,
    procedures: Vec<Procedure>,
    /// With the refusal. It goes last: it can be set on a new alert only.
    template: Option<(String, HttpError)>,
}

impl OmittedParts {
    /// Takes something out of a creation that was refused; false if nothing is left that could be.
    fn omit_next_part(&mut self, new: &mut NewAlert, failure: &HttpError) -> bool {
        if !self.is_bare {
            self.is_bare = true;
            self.procedures = std::mem::take(&mut new.procedures);
            new.observables.clear();
            return true;
        }

        self.template = new
            .case_template
            .take()
            .map(|template| (template, failure.clone()));
        self.template.is_some()
    }
}
