//! The events to be imported, between the list that they come from and the threads that read and
//! write them. Small events of a server wait in lists, since a list costs it little more than one
//! event.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::event_import::ImportTask;
use super::warninglists::WarninglistHits;
use crate::misp::Chunk;

/// An event with more attributes, as MISP counts them, is in no list; and so many events with fewer
/// in all are one list.
pub const SMALL_EVENT: u64 = 5_000;
/// About the attributes of a list of many, and the most. Each list costs MISP as much as some 5,000
/// attributes more.
const LIST_ATTRIBUTES: u64 = 8_000;
const MOST_ATTRIBUTES: u64 = 10_000;
/// The most events of a list.
const LIST_EVENTS: usize = 500;
/// Lists that wait; whoever has one more waits too.
const MOST_WAITING: usize = 2;
/// Lists that are read at the same time: MISP makes two in the time of one. No other is begun
/// before the events of those are taken, so that few are in memory.
const MOST_READING: usize = 2;

/// Makes lists of events: about as many attributes in each, and an even number of lists, so that
/// none is read alone at the end.
pub struct Lists {
    /// With so many attributes a list is full.
    enough: u64,
    list: Vec<ImportTask>,
    attributes: u64,
}

impl Lists {
    /// Events with so many attributes in all will be added.
    pub fn new(attributes: u64) -> Self {
        let pairs = attributes.div_ceil(LIST_ATTRIBUTES * MOST_READING as u64);
        let enough = match attributes {
            0..=SMALL_EVENT => SMALL_EVENT,
            _ => attributes.div_ceil(pairs * MOST_READING as u64),
        };
        Self {
            enough,
            list: Vec::new(),
            attributes: 0,
        }
    }

    /// Adds an event with so many attributes. Gives a list that is full.
    pub fn add(&mut self, task: ImportTask, attributes: u64) -> Option<Vec<ImportTask>> {
        let is_full = self.attributes >= self.enough
            || self.attributes + attributes > MOST_ATTRIBUTES
            || self.list.len() >= LIST_EVENTS;
        let full = is_full.then(|| std::mem::take(&mut self.list));
        self.attributes = attributes + if is_full { 0 } else { self.attributes };
        self.list.push(task);
        full
    }

    /// The last list, which may be empty.
    pub fn finish(self) -> Vec<ImportTask> {
        self.list
    }
}

/// What was read of an event along with others.
#[derive(Default)]
pub struct ListedContent {
    /// All of it.
    pub whole: Option<Chunk>,
    /// What MISP's warninglists say of the values of the list.
    pub warninglists: Option<Arc<WarninglistHits>>,
}

/// What a thread is to do next.
pub enum Work {
    /// Read these events by as few questions as possible, and give them back.
    Read(Vec<ImportTask>),
    /// Import this event, of which this was read already.
    Import(Box<ImportTask>, ListedContent),
}

/// The events to be imported.
#[derive(Default)]
pub struct TaskQueue {
    state: Mutex<State>,
    changed: Condvar,
}

/// Closes a queue when it goes.
pub struct Closing<'q>(&'q TaskQueue);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.changed.notify_all();
    }
}

#[derive(Default)]
struct State {
    lists: VecDeque<Vec<ImportTask>>,
    /// Events that were read, by their turn: the first comes first, since others may wait for it.
    read: BTreeMap<u64, (ImportTask, ListedContent)>,
    reading: usize,
    is_closed: bool,
}

impl TaskQueue {
    /// Takes a list, once there is room for it.
    pub fn push(&self, list: Vec<ImportTask>) {
        if list.is_empty() {
            return;
        }
        let wait = |state: &mut State| state.lists.len() >= MOST_WAITING;
        let state = self.changed.wait_while(self.state(), wait);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.lists.push_back(list);
        self.changed.notify_all();
    }

    /// Gives the next thing to do, once there is one; none when all is done.
    pub fn take(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            // What was read takes memory, so that it goes first.
            if let Some((_, (task, content))) = state.read.pop_first() {
                return Some(Work::Import(Box::new(task), content));
            }
            if state.reading < MOST_READING
                && let Some(mut list) = state.lists.pop_front()
            {
                self.changed.notify_all();
                if list.len() > 1 {
                    state.reading += 1;
                    return Some(Work::Read(list));
                }
                if let Some(task) = list.pop() {
                    return Some(Work::Import(Box::new(task), ListedContent::default()));
                }
                continue;
            }
            // A list that is being read gives its events back yet.
            if state.is_closed && state.reading == 0 && state.lists.is_empty() {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the events of a list back, each with what came of it.
    pub fn give_back(&self, read: impl IntoIterator<Item = (ImportTask, ListedContent)>) {
        let mut state = self.state();
        state.reading -= 1;
        state.read.extend(
            read.into_iter()
                .map(|(task, content)| (task.turn, (task, content))),
        );
        self.changed.notify_all();
    }

    /// Says that no more lists come, once what it gives goes, by whatever way: else those who take
    /// would wait for ever after a panic.
    pub fn close_when_dropped(&self) -> Closing<'_> {
        Closing(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use uuid::Uuid;

    fn task(turn: u64) -> ImportTask {
        ImportTask {
            turn,
            ..ImportTask::new(turn, 0, Box::default(), Uuid::nil())
        }
    }

    #[test]
    fn every_event_is_imported_once_whoever_reads_it() {
        for threads in [1, 4] {
            let queue = TaskQueue::default();
            let done = Mutex::new(Vec::new());

            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        while let Some(work) = queue.take() {
                            match work {
                                Work::Read(list) => {
                                    queue.give_back(
                                        list.into_iter()
                                            .map(|task| (task, ListedContent::default())),
                                    );
                                }
                                Work::Import(task, _) => done.lock().unwrap().push(task.turn),
                            }
                        }
                    });
                }
                queue.push(vec![task(0), task(1), task(2)]);
                queue.push(vec![task(3)]);
                queue.push(Vec::new());
                queue.push(vec![task(4), task(5)]);
                drop(queue.close_when_dropped());
            });

            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn lists_are_as_few_as_fit_and_an_even_number_of_equal_ones() {
        let sizes = |events: u64, attributes: u64| {
            let mut lists = Lists::new(events * attributes);
            let full = (0..events).filter_map(|turn| lists.add(task(turn), attributes));
            let mut sizes: Vec<usize> = full.map(|list| list.len()).collect();
            sizes.push(lists.finish().len());
            sizes
        };
        assert_eq!(sizes(0, 0), [0]);
        assert_eq!(sizes(100, 50), [100]);
        assert_eq!(sizes(101, 50), [51, 50]);
        assert_eq!(sizes(175, 90), [88, 87]);
        assert_eq!(sizes(400, 90), [67, 67, 67, 67, 67, 65]);
        assert_eq!(sizes(3, 5_000), [2, 1]);
        assert_eq!(sizes(600, 1), [500, 100]);
    }

    #[test]
    fn of_the_events_that_were_read_the_first_comes_first() {
        let queue = TaskQueue::default();
        queue.push(vec![task(7), task(9)]);
        queue.push(vec![task(1), task(2)]);
        let lists = [queue.take(), queue.take()];
        for work in lists {
            let Some(Work::Read(list)) = work else {
                panic!("a list")
            };
            queue.give_back(
                list.into_iter()
                    .map(|task| (task, ListedContent::default())),
            );
        }
        drop(queue.close_when_dropped());
        let mut turns = Vec::new();
        while let Some(Work::Import(task, _)) = queue.take() {
            turns.push(task.turn);
        }
        assert_eq!(turns, [1, 2, 7, 9]);
    }

    #[test]
    fn a_panic_of_whoever_lists_ends_the_work() {
        let queue = TaskQueue::default();
        let ended = std::panic::catch_unwind(|| {
            thread::scope(|scope| {
                scope.spawn(|| assert!(queue.take().is_none()));
                let _closing = queue.close_when_dropped();
                panic!("the list");
            });
        });
        assert!(ended.is_err());
    }
}
