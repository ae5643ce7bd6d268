//! What is looked at in a feed: the folder, whether it may be written, or the way to its web
//! server; its manifest.

use std::fs;
use std::path::Path;

use super::connectivity::Way;
use super::{Findings, Stop, stop_at};
use crate::config::connections::{self, Connection};
use crate::files;
use crate::misp::feed::{Feed, Folder, LOCK};
use crate::misp::{IndexEntry, Window};
use crate::text::format_count;
use crate::time::Clock;

pub const FOLDER: &str = "folder";
pub const MANIFEST: &str = "manifest";
/// A name that no reader of a feed takes notice of, and that a run takes away if it is left.
const TRIAL: &str = "check";

/// Looks at a feed's folder. Where an export is to write, a file is made there and taken away
/// again.
pub fn check_folder(
    folder: &Path,
    writes: bool,
    clock: Clock,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let feed = Feed::Folder(Folder::open(folder, clock).map_err(stop_at(FOLDER))?);
    let place = folder.display();

    match writes.then(|| files::try_writing(folder, TRIAL, LOCK)) {
        None => findings.ok(FOLDER, format!("{place} is there")),
        Some(Ok(())) => findings.ok(FOLDER, format!("{place} is there and can be written")),
        Some(Err(error)) => findings.fail(
            FOLDER,
            format!(
                "{place} cannot be written ({error}): let the user that Cortex runs this as \
                write there"
            ),
        ),
    }

    match count_entries(&feed) {
        // An export may begin in an empty folder; an import finds nothing there.
        Ok((0, 0)) if !writes => findings.warn(
            MANIFEST,
            "nothing is in it: is this the folder of the feed?",
        ),
        Ok(count) => report_count(count, findings),
        Err(error) if writes && fs::read_dir(folder).is_ok() => findings.warn(
            MANIFEST,
            format!("{error:#}: the next export writes it anew"),
        ),
        Err(error) => findings.fail_with(MANIFEST, &error),
    }

    Ok(())
}

/// Looks at a feed on the web: as far as its manifest.
pub fn check_web_feed(
    feed: &Feed,
    connection: &Connection,
    clock: Clock,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let Feed::Web(web) = feed else { return Ok(()) };
    let way = Way {
        url: connection.url(),
        client: web.client(),
        clock,
        remarks: connections::security_warnings(connection),
    };
    way.check_proxy_and_name(findings)?;
    let count = way.take_first_answer(count_entries(feed), MANIFEST, MANIFEST, findings)?;
    report_count(count, findings);
    Ok(())
}

/// How many events a manifest has, and how many entries that are none.
fn count_entries(feed: &Feed) -> anyhow::Result<(u64, u64)> {
    let (mut good, mut bad) = (0u64, 0u64);
    feed.list_events(&Window::default(), &mut |listed| {
        match listed {
            IndexEntry::Event(..) => good += 1,
            IndexEntry::Bad(_) => bad += 1,
        }
        Ok(())
    })?;

    Ok((good, bad))
}

fn report_count(count: (u64, u64), findings: &mut Findings) {
    match count {
        (good, 0) => findings.ok(MANIFEST, format_count(good, "event", "events")),
        (good, bad) => findings.warn(
            MANIFEST,
            format!("{good} events, and {bad} entries that are none"),
        ),
    }
}
