//! Two questions at the same time, of which neither needs the other's answer.

use std::panic::resume_unwind;
use std::thread;

/// Does both at the same time, and gives what came of each.
pub fn at_once<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        // A panic of the thread goes on in the caller's, whose run then reports it.
        let first = first.join().unwrap_or_else(|panic| resume_unwind(panic));
        (first, second)
    })
}
