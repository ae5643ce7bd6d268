//! The end of an alert's import: what the event has no more goes, and the state line is written.

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::json;

use super::{ATTEMPTS, Ended, Extent, Hand, PAUSE};
use crate::http::Failure;
use crate::import::batch::{Digest, digest};
use crate::import::compare::{self, Outcome};
use crate::import::files;
use crate::import::map::AlertWanted;
use crate::import::plan;
use crate::ledger::Verdict;
use crate::thehive::Trouble;
use crate::thehive::wire::{Alert, Observable};

/// An observable that is over, or only its IOC flag.
#[derive(Debug, PartialEq, Eq)]
struct Over {
    id: String,
    is_whole: bool,
}

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
        Ended { verdict, link, removed: self.removed, left_out: self.left_out }
    }

    fn end(&mut self, alert: &AlertWanted, extent: Extent<'_>) -> Result<bool> {
        let Extent { is_paged, is_flawed, is_same, .. } = extent;
        if self.is_new && self.common.dry_run {
            return Ok(true);
        }
        let mut is_complete = !self.is_open;
        let over = if self.is_new || is_flawed { Vec::new() } else { self.over(extent)? };
        if (is_paged || !over.is_empty()) && !is_same()? {
            is_complete = false;
        } else {
            self.put_right(over, extent)?;
        }
        self.tell(alert, is_complete)
    }

    /// Puts right what is over; what is not answered is looked at, and done again if it was not done.
    fn put_right(&mut self, mut over: Vec<Over>, extent: Extent<'_>) -> Result<()> {
        for attempt in 1.. {
            let (mut unclear, mut why) = (Vec::new(), None);
            for one in over {
                if let Some(failure) = self.put_one_right(&one)? {
                    unclear.push(one);
                    why = Some(failure);
                }
            }
            match why {
                None => break,
                Some(failure) if attempt == ATTEMPTS => return Err(failure.into()),
                Some(_) => self.common.clock.pause(PAUSE),
            }
            over = self.over(extent)?;
            self.is_unsure = false;
            let is_done = |one: &&Over| one.is_whole && !over.contains(one);
            self.removed += unclear.iter().filter(is_done).count() as u64;
        }
        Ok(())
    }

    /// The observables, ours and untouched, that no attribute of the event stands for any more, unless they are sighted; and
    /// the IOCs that none means for detection any more, which of an event in several pages is known only after the last.
    fn over(&self, extent: Extent<'_>) -> Result<Vec<Over>> {
        let Some(alert) = &self.alert else { return Ok(Vec::new()) };
        let (mut over, mut is_empty) = (Vec::new(), true);
        self.desk.hive.each_observable(&alert.id, &mut |one| {
            is_empty = false;
            if !plan::is_ours(&one, &self.desk.users) {
                return Ok(());
            }
            let said = extent.live.said(&self.names(&one));
            let is_gone = !said.is_live && !one.sighted;
            if is_gone || (extent.is_paged && one.ioc && said.is_wanted && !said.is_ioc) {
                over.push(Over { id: one.id, is_whole: is_gone });
            }
            Ok(())
        })?;
        ensure!(!(is_empty && self.is_filled), "TheHive lists no observables of an alert that has some");
        Ok(over)
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

    /// Removes an observable, or its flag. Gives the failure if it may or may not be done.
    fn put_one_right(&mut self, over: &Over) -> Result<Option<Failure>> {
        self.common.has_time()?;
        let done = match (self.common.dry_run, over.is_whole) {
            (true, _) => Ok(()),
            (false, true) => self.desk.write(self.common.part, |hive| hive.delete_observable(&over.id)),
            (false, false) => {
                self.desk.write(self.common.part, |hive| hive.change_observable(&over.id, &json!({"ioc": false})))
            }
        };
        self.is_changed = true;
        match done.map_err(Trouble::of) {
            Ok(()) => {
                self.removed += u64::from(over.is_whole);
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
            let old = compare::known_state(&alert, self.from.uuid, &self.desk.users);
            let of = (self.from.event, self.from.uuid);
            let change = compare::change(wanted, of, &alert, old.as_ref(), outcome);
            is_real |= change.is_real;
            if change.body.is_empty() || self.common.dry_run {
                self.reopen(&alert, outcome);
                return Ok(is_real);
            }
            match self
                .desk
                .write(self.common.part, |hive| hive.change_alert(&alert.id, &change.body.into()))
                .map_err(Trouble::of)
            {
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
        let status = json!({"status": "New"});
        if let Err(failure) = self.desk.write(self.common.part, |hive| hive.change_alert(&alert.id, &status)) {
            self.common.part.warn(format!("event {}: its alert is not opened again: {failure}", self.from.uuid));
        }
    }
}
