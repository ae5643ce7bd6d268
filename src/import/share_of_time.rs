//! How the time of a run is shared. Alerts that are there are updated before new ones are made, but
//! not for more than half of the time; and of that each organisation gets a part of its own, once
//! there are several. Whoever has had it waits until the new alerts are made. Where a run has no
//! deadline, nobody waits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An organisation gets this part of a connection's time before others had their turn.
const PART_OF_ONE: u32 = 4;
/// Known alerts get this part.
const PART_OF_KNOWN: u32 = 2;

/// The time of one connection.
#[derive(Default)]
pub struct ShareOfTime {
    /// All that there was at the start; none if there is no deadline.
    whole: Option<Duration>,
    /// What the updates of each organisation for which there is something to do took.
    used: Mutex<HashMap<String, Duration>>,
}

/// Organisations told apart; those beyond share one part.
const MOST_ORGANISATIONS: usize = 10_000;

/// What an update may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// As much as there is.
    All,
    /// So much.
    Part(Duration),
    /// Nothing now: others come first.
    Later,
}

impl ShareOfTime {
    /// The time from now on; none if there is no deadline.
    pub fn new(whole: Option<Duration>) -> Self {
        Self {
            whole,
            used: Mutex::default(),
        }
    }

    /// Takes note of an organisation for which there is something to do.
    pub fn register_organisation(&self, organisation: String) {
        self.add_used_time(organisation, Duration::ZERO);
    }

    /// What an update of an organisation's event may take, when so much is left. `is_again` says
    /// that it waited already: then it may take half of that, and leaves the other half to those
    /// behind it.
    pub fn allot_share(&self, organisation: &str, left: Option<Duration>, is_again: bool) -> Share {
        let (Some(whole), Some(left)) = (self.whole, left) else {
            return Share::All;
        };
        if is_again {
            return Share::Part(left / 2);
        }
        let of_known = left.saturating_sub(whole / PART_OF_KNOWN);
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alone = used.keys().all(|known| known == organisation);
        let of_one = (whole / PART_OF_ONE)
            .saturating_sub(used.get(organisation).copied().unwrap_or_default());

        match if is_alone {
            of_known
        } else {
            of_one.min(of_known)
        } {
            Duration::ZERO => Share::Later,
            part => Share::Part(part),
        }
    }

    /// Takes note of what an update took.
    pub fn add_used_time(&self, organisation: String, time: Duration) {
        if self.whole.is_none() {
            return;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = used.len() >= MOST_ORGANISATIONS && !used.contains_key(&organisation);
        *used
            .entry(if is_full { String::new() } else { organisation })
            .or_default() += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_organisation_that_had_its_share_waits_for_the_others() {
        let time = ShareOfTime::new(Some(24 * MINUTE));
        assert_eq!(
            time.allot_share("a", Some(24 * MINUTE), false),
            Share::Part(12 * MINUTE)
        );
        time.register_organisation("b".into());
        assert_eq!(
            time.allot_share("a", Some(24 * MINUTE), false),
            Share::Part(6 * MINUTE)
        );
        time.add_used_time("a".into(), 5 * MINUTE);
        assert_eq!(
            time.allot_share("a", Some(19 * MINUTE), false),
            Share::Part(MINUTE)
        );
        time.add_used_time("a".into(), 2 * MINUTE);
        assert_eq!(
            time.allot_share("a", Some(17 * MINUTE), false),
            Share::Later
        );
        assert_eq!(
            time.allot_share("b", Some(17 * MINUTE), false),
            Share::Part(5 * MINUTE)
        );
        // Half of the time is for new alerts, however many organisations change theirs.
        assert_eq!(
            time.allot_share("c", Some(12 * MINUTE), false),
            Share::Later
        );
        assert_eq!(
            time.allot_share("a", Some(8 * MINUTE), true),
            Share::Part(4 * MINUTE)
        );
    }

    #[test]
    fn without_a_deadline_nobody_waits() {
        let time = ShareOfTime::new(None);
        time.add_used_time("a".into(), 1_000 * MINUTE);

        assert_eq!(
            (
                time.allot_share("a", None, false),
                time.allot_share("a", None, true)
            ),
            (Share::All, Share::All)
        );
    }
}
