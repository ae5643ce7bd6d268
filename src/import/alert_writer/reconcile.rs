//! After a write whose outcome is unclear: looks, until TheHive cannot be at work on it any more.

use std::time::Duration;

use anyhow::Result;

use super::AlertWriter;
use crate::http::HttpError;
use crate::import::patience::{self, Next, Watch};

/// Why a write failed in a way that leaves open whether it was done.
#[derive(Debug)]
pub(super) struct Doubt {
    /// In words.
    pub(super) reason: String,
    /// How long TheHive may still be at work on it.
    needed: Duration,
    /// It never reached TheHive.
    is_unsent: bool,
}

/// A write that never reached TheHive is sent again after so long.
const BEFORE_ANOTHER: Duration = Duration::from_secs(2);

impl Doubt {
    fn new(failure: &HttpError, values: usize) -> Self {
        let needed = if failure.may_still_run() {
            patience::max_write_time(values)
        } else {
            Duration::ZERO
        };

        Self {
            reason: failure.to_string(),
            needed,
            is_unsent: !failure.was_sent(),
        }
    }

    /// A doubt about what is over: it has to be looked at, and not waited for.
    pub(super) fn without_wait(reason: String) -> Self {
        Self {
            reason,
            needed: Duration::ZERO,
            is_unsent: false,
        }
    }

    /// The words for what stays in doubt.
    pub(super) fn describe_unsettled(&self) -> String {
        format!(
            "{}: TheHive may still be at work on it; the next run looks again",
            self.reason
        )
    }
}

impl AlertWriter<'_> {
    /// Takes note of a failed write of so many values that may have been done all the same.
    pub(super) fn note_unclear_write(&mut self, failure: &HttpError, values: usize) -> Doubt {
        self.is_unsure |= failure.was_sent();
        Doubt::new(failure, values)
    }

    /// Looks until it is done, or until two looks agree for longer than the write may take, and
    /// gives the last look; none if there is no time for that. Only then may it be sent again.
    ///
    /// # Errors
    /// What stopped the looking.
    pub(super) fn reconcile<T: PartialEq>(
        &mut self,
        doubt: &Doubt,
        look: impl Fn(&Self) -> Result<T>,
        is_done: impl Fn(&T) -> bool,
    ) -> Result<Option<T>> {
        // A run that is stopped meanwhile reports what was being written as in doubt.
        self.common.part.mark_writing(true);
        let settled = self.wait_until_stable(doubt, look, is_done);
        self.common.part.mark_writing(false);
        settled
    }

    fn wait_until_stable<T: PartialEq>(
        &mut self,
        doubt: &Doubt,
        look: impl Fn(&Self) -> Result<T>,
        is_done: impl Fn(&T) -> bool,
    ) -> Result<Option<T>> {
        let clock = self.common.clock;
        clock.pause(BEFORE_ANOTHER);
        let mut watch = Watch::new(doubt.needed);
        let mut last: Option<T> = None;

        loop {
            let now = look(self)?;
            let has_moved = last.as_ref().is_none_or(|last| *last != now);
            if doubt.is_unsent || is_done(&now) {
                self.is_unsure = false;
                return Ok(Some(now));
            }

            match watch.next_step(has_moved, clock.left_to_begin()) {
                Next::Settled => {
                    self.is_unsure = false;
                    return Ok(Some(now));
                }
                Next::NoTime => return Ok(None),
                Next::Pause(pause) => clock.pause(pause),
            }

            last = Some(now);
        }
    }
}
