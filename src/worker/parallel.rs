//! Connections are worked on at the same time, each in its own part of the report.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Result;

use super::error_line;
use crate::config::overrides::ConnectionConfig;
use crate::misp::Misp;
use crate::report::ledger::{ItemKind, Ledger};
use crate::report::{ConnectionReport, ConnectionReporter, RunReport};
use crate::time::Clock;

/// Connections that are worked on at the same time.
const AT_ONCE: usize = 8;

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
        items
            .iter()
            .for_each(|(item, known)| ledger.count_fetched(*item, *known as u64));
        let (name, url) = (connection.name.clone(), connection.url().to_string());
        run.open(ConnectionReport {
            name,
            url,
            kind: Misp::kind(connection),
            ledger,
            ..ConnectionReport::default()
        })
    };

    let parts: Vec<_> = connections.iter().map(open).collect();
    let one = |(connection, part): (&ConnectionConfig<C>, &ConnectionReporter)| {
        let started = clock.elapsed_seconds();
        let ended = work(connection, part);
        part.update(|part| part.seconds = clock.elapsed_seconds() - started);
        part.finish(ended.err().map(|error| error_line(&error)));
    };

    if let ([connection], [part]) = (connections, parts.as_slice()) {
        return one((connection, part));
    }
    let next = AtomicUsize::new(0);

    let several = || {
        let number = || next.fetch_add(1, Ordering::Relaxed);
        while let Some(work) =
            Some(number()).and_then(|number| connections.get(number).zip(parts.get(number)))
        {
            one(work);
        }
    };

    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter()
            .take(AT_ONCE)
            .map(|_| scope.spawn(several))
            .collect();

        // A panic is passed on with its cause, once the others are done.
        let ended: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
        if let Some(cause) = ended.into_iter().find_map(Result::err) {
            resume_unwind(cause);
        }
    });
}
