//! Connections are worked on at the same time, each in its own part of the report.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Result;

use super::error_line;
use crate::config::connections::Connection;
use crate::config::overrides::ConnectionConfig;
use crate::misp::Misp;
use crate::report::ledger::{ItemKind, Ledger};
use crate::report::{ConnectionReport, ConnectionReporter, RunReport};
use crate::time::Clock;

/// Connections that are worked on at the same time.
const AT_ONCE: usize = 8;

/// A connection's part of the report, empty.
pub fn empty_report(connection: &Connection) -> ConnectionReport {
    ConnectionReport {
        name: connection.name.clone(),
        url: connection.url().to_string(),
        kind: Misp::kind(connection),
        ..ConnectionReport::default()
    }
}

/// Works on the connections, several at the same time, so that one that hangs keeps no other
/// waiting. Each has a part of the report, open from the beginning, with a line for each kind of
/// item and how many of them are known already; what goes wrong with one stays there.
pub fn for_each_connection<C: Sync>(
    connections: &[ConnectionConfig<C>],
    items: &[(ItemKind, usize)],
    clock: Clock,
    run: &RunReport,
    work: impl Fn(&ConnectionConfig<C>, &ConnectionReporter) -> Result<()> + Sync,
) {
    let open = |ConnectionConfig { connection, .. }: &ConnectionConfig<C>| {
        let mut ledger = Ledger::default();
        for (item, known) in items {
            ledger.count_fetched(*item, *known as u64);
        }
        run.open(ConnectionReport {
            ledger,
            ..empty_report(connection)
        })
    };

    let opened: Vec<_> = connections
        .iter()
        .map(|connection| (connection, open(connection)))
        .collect();

    in_parallel(&opened, |(connection, part)| {
        let started = clock.elapsed_seconds();
        let ended = work(connection, part);
        part.update(|part| part.seconds = clock.elapsed_seconds() - started);
        part.finish(ended.err().map(|error| error_line(&error)));
    });
}

/// Works on all, several at the same time; gives what came of each, in their order.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [only] = items {
        return vec![work(only)];
    }
    let next = AtomicUsize::new(0);
    let work_off = || {
        let mut done = Vec::new();
        loop {
            // Whoever is free takes the next one, so that one that is slow holds up no other.
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return done;
            };
            done.push((index, work(item)));
        }
    };

    let ended: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter()
            .take(AT_ONCE)
            .map(|_| scope.spawn(work_off))
            .collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect()
    });

    // A panic is passed on with its cause, once the others are done.
    let mut done: Vec<_> = ended
        .into_iter()
        .flat_map(|end| end.unwrap_or_else(|cause| resume_unwind(cause)))
        .collect();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
