//! How long TheHive is looked at after a write whose outcome is unclear. Pure.

use std::time::Duration;

/// A TheHive 4 on two busy cores takes up to 0.35 s for each value that is added, and up to 0.15 s
/// for each that comes with its alert; an idle one a tenth of that. It may also have to wait for
/// its turn.
const FOR_ITS_TURN: Duration = Duration::from_secs(10);
const FOR_A_VALUE: Duration = Duration::from_millis(350);
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// So long a write of so many values may take.
pub fn max_write_time(values: usize) -> Duration {
    FOR_ITS_TURN + FOR_A_VALUE.saturating_mul(u32::try_from(values).unwrap_or(u32::MAX))
}

/// Looks that are made until nothing has moved for longer than a write may take.
pub struct Watch {
    needed: Duration,
    quiet: Duration,
    pause: Duration,
}

/// What comes after a look.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Nothing moves any more.
    Settled,
    /// Look again after so long.
    Pause(Duration),
    /// The time that is left is too short to find out.
    NoTime,
}

impl Watch {
    /// Begins to watch a write that may take so long.
    pub fn new(needed: Duration) -> Self {
        Self {
            needed,
            quiet: Duration::ZERO,
            pause: FIRST_PAUSE,
        }
    }

    /// Says what comes after a look, before which something moved or not; `left` is the time that
    /// the run has.
    pub fn next_step(&mut self, has_moved: bool, left: Option<Duration>) -> Next {
        if has_moved {
            self.quiet = Duration::ZERO;
            self.pause = FIRST_PAUSE;
        }
        let missing = self.needed.saturating_sub(self.quiet);
        if missing.is_zero() {
            return Next::Settled;
        }
        // Waiting for a part of it would tell nothing.
        if left.is_some_and(|left| left <= missing) {
            return Next::NoTime;
        }
        let pause = self.pause.min(missing);
        self.quiet += pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);

        Next::Pause(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pauses(watch: &mut Watch, mut has_moved: impl FnMut(usize) -> bool) -> Vec<u64> {
        let mut pauses = Vec::new();
        for look in 0..1_000 {
            match watch.next_step(has_moved(look), None) {
                Next::Settled => break,
                Next::Pause(pause) => pauses.push(pause.as_secs()),
                Next::NoTime => panic!("no end is set"),
            }
        }

        pauses
    }

    #[test]
    fn a_write_is_waited_for_by_its_size_and_anew_whenever_something_moves() {
        assert_eq!(
            (max_write_time(0), max_write_time(1_000)),
            (Duration::from_secs(10), Duration::from_secs(360))
        );
        assert_eq!(
            pauses(&mut Watch::new(max_write_time(0)), |_| false),
            [2, 4, 4]
        );
        assert_eq!(
            pauses(&mut Watch::new(max_write_time(200)), |_| false),
            [2, 4, 8, 16, 16, 16, 16, 2]
        );
        assert_eq!(
            pauses(&mut Watch::new(max_write_time(0)), |look| look == 2),
            [2, 4, 2, 4, 4]
        );
        assert_eq!(pauses(&mut Watch::new(Duration::ZERO), |_| true), [0; 0]);
    }

    #[test]
    fn nobody_waits_for_what_the_deadline_would_cut() {
        let mut watch = Watch::new(max_write_time(0));
        assert_eq!(
            watch.next_step(false, Some(Duration::from_secs(10))),
            Next::NoTime
        );
        assert_eq!(
            watch.next_step(false, Some(Duration::from_secs(11))),
            Next::Pause(FIRST_PAUSE)
        );
    }

    proptest! {
        #[test]
        fn the_last_quiet_time_is_exactly_as_long_as_the_write_may_take(values in 0_usize..500, moves in 0_usize..20) {
            let mut watch = Watch::new(max_write_time(values));
            let mut quiet = Duration::ZERO;

            for look in 0..10_000 {
                if look <= moves { quiet = Duration::ZERO; }
                match watch.next_step(look <= moves, None) {
                    Next::Settled => break,
                    Next::Pause(pause) => quiet += pause,
                    Next::NoTime => panic!("no end is set"),
                }
            }

            prop_assert_eq!(quiet, max_write_time(values));
        }
    }
}
