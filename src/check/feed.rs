//! What is looked at in a feed: the folder, whether it may be written, its manifest.

use std::path::Path;

use super::Findings;
use crate::files;
use crate::misp::feed::Feed;
use crate::misp::{Listed, Window};
use crate::time::Clock;

const FOLDER: &str = "folder";
const MANIFEST: &str = "manifest";
/// A name that no reader of a feed takes notice of, and that a run takes away if it is left.
const TRIAL: &str = "check";

/// Looks at a feed's folder. Where an export is to write, a file is made there and taken away again.
pub(super) fn examine(folder: &Path, writes: bool, clock: Clock, findings: &mut Findings) {
    let feed = match Feed::open(folder, clock) {
        Ok(feed) => feed,
        Err(error) => {
            findings.fail(FOLDER, format!("{error:#}"));
            return findings.leave_out(&[MANIFEST]);
        }
    };
    let place = folder.display();
    match writes.then(|| files::try_writing(folder, TRIAL)) {
        None => findings.ok(FOLDER, format!("{place} is there")),
        Some(Ok(())) => findings.ok(FOLDER, format!("{place} is there and can be written")),
        Some(Err(error)) => findings.fail(
            FOLDER,
            format!("{place} cannot be written ({error}): let the user that Cortex runs this as write there"),
        ),
    }
    manifest(&feed, findings);
}

fn manifest(feed: &Feed, findings: &mut Findings) {
    let (mut good, mut bad) = (0u64, 0u64);
    let listed = feed.list(&Window::default(), &mut |listed| {
        match listed {
            Listed::Event(..) => good += 1,
            Listed::Bad(_) => bad += 1,
        }
        Ok(())
    });
    match (listed, bad) {
        (Err(error), _) => findings.fail(MANIFEST, format!("{error:#}")),
        (Ok(()), 0) => findings.ok(MANIFEST, format!("{good} events")),
        (Ok(()), bad) => findings.warn(MANIFEST, format!("{good} events, and {bad} entries that are none")),
    }
}
