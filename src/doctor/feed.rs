//! What is looked at in a feed: the folder, whether it may be written, or the way to its web
//! server; its manifest.

use std::fs;
use std::path::Path;

use anyhow::Result;
use url::Url;

use super::Findings;
use super::connectivity::{self, CONNECTION, FailureStage};
use super::probe::Probe;
use crate::config::connections;
use crate::files;
use crate::misp::feed::{Feed, Folder, LOCK};
use crate::misp::{IndexEntry, Window};
use crate::time::Clock;

const FOLDER: &str = "folder";
const MANIFEST: &str = "manifest";
/// A name that no reader of a feed takes notice of, and that a run takes away if it is left.
const TRIAL: &str = "check";

/// Looks at a feed's folder. Where an export is to write, a file is made there and taken away
/// again.
pub(super) fn check_folder(folder: &Path, writes: bool, clock: Clock, findings: &mut Findings) {
    let feed = match Folder::open(folder, clock) {
        Ok(feed) => Feed::Folder(feed),
        Err(error) => {
            findings.fail(FOLDER, format!("{error:#}"));
            return findings.mark_unchecked(&[MANIFEST]);
        }
    };

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
        Ok((0, 0)) if !writes => findings.warn(
            MANIFEST,
            "nothing is in it: is this the folder of the feed?",
        ),
        Ok(count) => report_count(count, findings),
        Err(error) if writes && fs::read_dir(folder).is_ok() => findings.warn(
            MANIFEST,
            format!("{error:#}: the next export writes it anew"),
        ),
        Err(error) => findings.fail(MANIFEST, format!("{error:#}")),
    }
}

/// Looks at a feed on the web: as far as its manifest.
pub(super) fn check_web_feed(feed: &Feed, url: &Url, visit: &Probe<'_>, findings: &mut Findings) {
    let Feed::Web(web) = feed else { return };
    if !connectivity::check_proxy_and_name(url, web.client(), findings) {
        return findings.mark_unchecked(&[CONNECTION, MANIFEST]);
    }

    let connected = |findings: &mut Findings| {
        let remarks = connections::security_warnings(visit.connection);
        connectivity::report_connection(
            url,
            web.client(),
            &visit.network.clock(),
            remarks,
            findings,
        );
    };

    match count_entries(feed) {
        Ok(count) => {
            connected(findings);
            report_count(count, findings);
        }
        Err(error) if connectivity::failure_stage(&error) == FailureStage::Connection => {
            findings.fail(CONNECTION, format!("{error:#}"));
            findings.mark_unchecked(&[MANIFEST]);
        }
        Err(error) => {
            connected(findings);
            findings.fail(MANIFEST, format!("{error:#}"));
        }
    }
}

/// How many events a manifest has, and how many entries that are none.
fn count_entries(feed: &Feed) -> Result<(u64, u64)> {
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
        (good, 0) => findings.ok(
            MANIFEST,
            if good == 1 {
                "1 event".to_owned()
            } else {
                format!("{good} events")
            },
        ),
        (good, bad) => findings.warn(
            MANIFEST,
            format!("{good} events, and {bad} entries that are none"),
        ),
    }
}
