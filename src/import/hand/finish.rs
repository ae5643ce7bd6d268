//! The end of an alert's import: what the event has no more goes, and the state line is written.

use anyhow::{Result, anyhow, bail, ensure};

use super::{ATTEMPTS, Ended, Extent, Hand, NO_TIME, PAUSE};
use crate::http::Failure;
use crate::import::batch::{Digest, digest};
use crate::import::compare::{self, Outcome};
use crate::import::files;
use crate::import::live::Live;
use crate::import::map::AlertWanted;
use crate::import::plan;
use crate::ledger::Verdict;
use crate::thehive::Trouble;
use crate::thehive::wire::{Alert, Observable};

impl Hand<'_> {
    /// Takes out what the event has no more, and writes down what the alert was made from.
    pub(in crate::import) fn finish(mut self, alert: &AlertWanted, extent: Extent<'_>) -> Ended {
        let done = match self.stopped.take() {
            Some(reason) => Err(reason),
            None => {
                let done = self.end(alert, extent);
                done.map_err(|error| self.reason(&error))
            }
        };
        if self.is_unsure {
            // Nobody could look: it counts as written.
            self.desk.arrived();
        }
        let verdict = match done {
            Err(reason) => Verdict::Failed(reason),
            Ok(_) if self.is_new => Verdict::Created,
            Ok(is_real) if is_real || self.is_changed => Verdict::Updated,
            Ok(_) => Verdict::Unchanged,
        };
        let link = self.alert.as_ref().map(|alert| self.desk.hive.alert_link(&alert.id));
        Ended { verdict, link, removed: self.removed }
    }

    fn end(&mut self, alert: &AlertWanted, extent: Extent<'_>) -> Result<bool> {
        let Extent { is_paged, is_flawed, live, is_same } = extent;
        if self.is_new && self.common.dry_run {
            return Ok(true);
        }
        let mut is_complete = !self.is_open;
        let gone = if self.is_new || is_flawed { Vec::new() } else { self.gone(live)? };
        if (is_paged || !gone.is_empty()) && !is_same()? {
            is_complete = false;
        } else {
            self.remove(gone, live)?;
        }
        self.tell(alert, is_complete)
    }

    /// Removes observables; what is not answered is looked at, and done again if it was not done.
    fn remove(&mut self, mut gone: Vec<String>, live: &Live) -> Result<()> {
        for attempt in 1.. {
            let (mut unclear, mut why) = (Vec::new(), None);
            for id in gone {
                if let Some(failure) = self.remove_one(&id)? {
                    unclear.push(id);
                    why = Some(failure);
                }
            }
            match why {
                None => break,
                Some(failure) if attempt == ATTEMPTS => return Err(failure.into()),
                Some(_) => self.common.clock.pause(PAUSE),
            }
            gone = self.gone(live)?;
            self.is_unsure = false;
            self.removed += unclear.iter().filter(|id| !gone.contains(id)).count() as u64;
        }
        Ok(())
    }

    /// The observables that no attribute of the event stands for any more: ours, untouched, and not sighted.
    fn gone(&self, live: &Live) -> Result<Vec<String>> {
        let Some(alert) = &self.alert else { return Ok(Vec::new()) };
        let (mut gone, mut is_empty) = (Vec::new(), true);
        self.desk.hive.each_observable(&alert.id, &mut |one| {
            is_empty = false;
            let is_live = live.has_any(&self.names(&one));
            if !is_live && !one.sighted && plan::is_ours(&one, &self.desk.login) {
                gone.push(one.id);
            }
            Ok(())
        })?;
        ensure!(!(is_empty && self.is_filled), "TheHive lists no observables of an alert that has some");
        Ok(gone)
    }

    /// Under which digests an observable may be live: its value; of a file what [`files::names`] says.
    fn names(&self, one: &Observable) -> Vec<Digest> {
        let of = |data: &str| {
            let (data_type, data) = self.desk.types.key(&one.data_type, data);
            digest(&data_type, &data)
        };
        match &one.attachment {
            Some(file) => files::names(file, &one.tags).iter().map(|name| of(name)).collect(),
            None => vec![of(&one.data)],
        }
    }

    /// Removes an observable. Gives the failure if it may or may not be gone.
    fn remove_one(&mut self, id: &str) -> Result<Option<Failure>> {
        if self.common.clock.is_near_the_end() {
            bail!(NO_TIME);
        }
        let removed = match self.common.dry_run {
            true => Ok(()),
            false => self.desk.write(|hive| hive.delete_observable(id)),
        };
        self.is_changed = true;
        match removed.map_err(Trouble::of) {
            Ok(()) => {
                self.removed += 1;
                Ok(None)
            }
            Err(Trouble::Gone(_)) => Ok(None),
            Err(Trouble::Unclear(failure)) => {
                self.is_unsure = true;
                Ok(Some(failure))
            }
            Err(Trouble::Content(failure) | Trouble::Duplicate(failure) | Trouble::Denied(failure)) => {
                Err(failure.into())
            }
        }
    }

    /// The last write: fields, tags and the state line, on the alert as it is now.
    fn tell(&mut self, wanted: &AlertWanted, is_complete: bool) -> Result<bool> {
        let settings = self.common.settings;
        let outcome = Outcome {
            scale: self.desk.scale,
            is_five: self.desk.is_five,
            is_complete,
            has_new_ioc: self.has_new_ioc,
            reopens: settings.reopen,
        };
        let mut is_real = false;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let Some(alert) = self.look()? else { bail!("the alert is gone from TheHive") };
            if alert.follow == Some(false) {
                // Somebody switched it off a moment ago.
                return Ok(is_real);
            }
            let change = compare::change(wanted, self.from.event, self.from.uuid, &alert, outcome);
            is_real |= change.is_real;
            if change.body.is_empty() || self.common.dry_run {
                self.reopen(&alert, outcome);
                return Ok(is_real);
            }
            match self.desk.write(|hive| hive.change_alert(&alert.id, &change.body.into())).map_err(Trouble::of) {
                Ok(()) => {
                    self.reopen(&alert, outcome);
                    return Ok(is_real);
                }
                Err(Trouble::Unclear(failure)) => {
                    self.is_unsure = true;
                    self.common.clock.pause(PAUSE);
                    last = Some(failure);
                }
                Err(
                    Trouble::Content(failure)
                    | Trouble::Duplicate(failure)
                    | Trouble::Gone(failure)
                    | Trouble::Denied(failure),
                ) => return Err(failure.into()),
            }
        }
        Err(last.map_or_else(|| anyhow!("TheHive did not change the alert"), Into::into))
    }

    /// TheHive 5: a closed alert is opened by its status, for which there is a permission of its own.
    fn reopen(&self, alert: &Alert, outcome: Outcome) {
        let is_closed = outcome.is_five && alert.stage == "Closed";
        if !is_closed || !outcome.has_new_ioc || !outcome.reopens || self.common.dry_run {
            return;
        }
        let status = serde_json::json!({"status": "New"});
        if let Err(failure) = self.desk.write(|hive| hive.change_alert(&alert.id, &status)) {
            self.common.part.warn(format!("event {}: its alert is not opened again: {failure}", self.from.uuid));
        }
    }
}
