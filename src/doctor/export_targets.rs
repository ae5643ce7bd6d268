//! Two MISPs that an export goes to, and that hold the same event of ours: if they synchronise, an
//! export to one meets what came from the other.

use std::collections::HashMap;

use anyhow::Result;
use uuid::Uuid;

use super::Findings;
use super::misp::ProbedServer;
use crate::ids;
use crate::misp::wire::Event;
use crate::misp::{IndexEntry, IndexFilter, Window};
use crate::text::join_first;

const CHECK: &str = "targets";
/// Events of ours that are looked for on the other servers, the newest ones.
const MOST: usize = 500;
/// Events named.
const NAMED: usize = 3;

/// Compares each two servers. `event` is the one of the case that a job is about; without it the
/// events that each key's organisation created are taken.
pub fn compare(servers: &[ProbedServer], event: Option<Uuid>, findings: &mut Findings) {
    if servers.len() < 2 {
        return;
    }
    match fetch_held_events(servers, event) {
        Err(error) => findings.warn(
            CHECK,
            format!("which events they hold cannot be compared: {error:#}"),
        ),
        Ok(held) => compare_pairs(servers, &held, findings),
    }
}

/// What each of the servers holds of the events of ours that stand on any of them.
fn fetch_held_events(
    servers: &[ProbedServer],
    event: Option<Uuid>,
) -> Result<Vec<HashMap<Uuid, Event>>> {
    let mut ours: Vec<Uuid> = event.into_iter().collect();
    if event.is_none() {
        for server in servers {
            ours.extend(list_our_events(server)?);
        }
        ours.sort_unstable();
        ours.dedup();
    }

    servers
        .iter()
        .map(|server| {
            Ok(server
                .misp
                .fetch_index_entries(&ours)?
                .into_iter()
                .collect())
        })
        .collect()
}

/// The events of ours that the key's organisation created on a server.
fn list_our_events(server: &ProbedServer) -> Result<Vec<Uuid>> {
    let only = vec![IndexFilter {
        filter: "org",
        values: vec![server.organisation.id.clone()],
    }];
    let mut ours = Vec::new();

    server.misp.list_events(
        Window {
            only,
            ..Window::default()
        },
        &mut |listed| {
            if let IndexEntry::Event(_, uuid) = listed
                && ids::is_ours(&uuid)
            {
                ours.push(uuid);
            }
            Ok(())
        },
    )?;

    // They come in the order of their numbers.
    let old = ours.len().saturating_sub(MOST);

    Ok(ours.split_off(old))
}

fn compare_pairs(servers: &[ProbedServer], held: &[HashMap<Uuid, Event>], findings: &mut Findings) {
    let all: Vec<_> = servers.iter().zip(held).collect();
    let mut are_apart = true;

    for (index, first) in all.iter().enumerate() {
        for second in all.iter().skip(index + 1) {
            let (name, other) = (&first.0.name, &second.0.name);
            if first.0.url == second.0.url {
                findings.ok(CHECK, describe_same_server(name, other));
                continue;
            }

            let both = shared_events(first.1, second.1);
            if !both.is_empty() {
                are_apart = false;
                let came_to = [first, second]
                    .into_iter()
                    .find(|(server, held)| came_by_sync(server, held, &both))
                    .map(|(server, _)| server.name.as_str());
                findings.warn(CHECK, describe_shared_events(name, other, &both, came_to));
            }
        }
    }

    if are_apart {
        findings.ok(
            CHECK,
            "no event of ours is on two of the servers for export",
        );
    }
}

/// The events that both servers hold.
fn shared_events(held: &HashMap<Uuid, Event>, other: &HashMap<Uuid, Event>) -> Vec<Uuid> {
    let mut both: Vec<_> = held
        .keys()
        .filter(|uuid| other.contains_key(uuid))
        .copied()
        .collect();
    both.sort_unstable();
    both
}

/// True if one of the events came to this server from another MISP: it is locked then, or another
/// organisation's.
fn came_by_sync(server: &ProbedServer, held: &HashMap<Uuid, Event>, both: &[Uuid]) -> bool {
    let is_foreign = |event: &Event| {
        let orgc = event.orgc.as_ref().map(|orgc| orgc.uuid.as_str());
        event.locked == Some(true)
            || orgc.is_some_and(|orgc| !orgc.eq_ignore_ascii_case(&server.organisation.uuid))
    };

    both.iter()
        .filter_map(|uuid| held.get(uuid))
        .any(is_foreign)
}

fn describe_same_server(one: &str, other: &str) -> String {
    format!(
        "\"{one}\" and \"{other}\" lead to the same MISP: a case gets an event of its own for \
         each of them"
    )
}

fn describe_shared_events(one: &str, other: &str, both: &[Uuid], came_to: Option<&str>) -> String {
    const REMEDY: &str = "let only one of the two export (\"purpose\")";

    let both: Vec<_> = both.iter().map(Uuid::to_string).collect();
    let events = format!(
        "\"{one}\" and \"{other}\" hold the same event: {}",
        join_first(&both, NAMED)
    );

    match came_to {
        Some(name) => format!(
            "{events}. The two synchronise, for on \"{name}\" it came from another MISP: an \
             export to \"{name}\" is refused, or its event is there twice: {REMEDY}"
        ),
        None => format!(
            "{events}. If the two synchronise, one of two exports is refused, or its event is \
             there twice: then {REMEDY}. If they do not, and exports to both made it, all is well"
        ),
    }
}
