//! Several events are read at once, and whoever is done first is not always the first of the list.
//! Where the order of what is shown matters, each waits for its turn.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Hands out turns in the order of their numbers, from 0 without a gap.
#[derive(Default)]
pub struct Sequencer {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// All before it are over.
    next: u64,
    over: BTreeSet<u64>,
}

/// A turn; it is over when this goes, by whatever way.
pub struct Ticket<'a> {
    turns: &'a Sequencer,
    number: u64,
}

impl Sequencer {
    pub fn take_ticket(&self, number: u64) -> Ticket<'_> {
        Ticket {
            turns: self,
            number,
        }
    }

    /// Waits until all turns before this number are over.
    pub fn wait_until(&self, number: u64) {
        drop(
            self.changed
                .wait_while(self.state(), |state| state.next < number),
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Waits until all turns before it are over.
    pub fn wait(&self) {
        self.turns.wait_until(self.number);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.over.insert(self.number);
        while state.over.first() == Some(&state.next) {
            state.over.pop_first();
            state.next += 1;
        }
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_done_first_waits_for_what_was_first() {
        let turns = Sequencer::default();
        let done = Mutex::new(Vec::new());

        thread::scope(|scope| {
            for number in (0..8).rev() {
                let (turns, done) = (&turns, &done);
                scope.spawn(move || {
                    let turn = turns.take_ticket(number);
                    turn.wait();
                    done.lock().unwrap().push(number);
                });
            }
        });

        assert_eq!(done.into_inner().unwrap(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_turn_that_is_never_waited_for_holds_nobody_up() {
        let turns = Sequencer::default();
        drop(turns.take_ticket(0));
        turns.take_ticket(1).wait();
    }
}
