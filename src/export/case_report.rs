//! The case's description as a report of the event: what goes out, and what becomes of the report
//! that is there. Pure. What is there is ours as long as nobody changed it: its last line is made
//! from all before it, and no reader shows that line.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::case::Case;
use super::options::{ReportSource, Settings};
use crate::cortex::report_text;
use crate::ids::Ids;
use crate::markings::Tlp;
use crate::misp::changes::{ReportChange, ReportPatch};
use crate::misp::wire::Report;
use crate::text::to_hex;
use crate::types;

/// What the report is called.
const NAME: &str = "Case description";
/// The longest report that goes out, in bytes, so that it is read back whole (`leading_text`).
/// MISP itself takes 16 MiB (`fixtures/wire/misp/608-edit-adds-a-report.json`).
const LONGEST: usize = 60_000;
/// What the last line begins with: the definition of a link that is not used.
const MARK: &str = "[//]: # (cortex-misp ";
/// As the event.
const INHERITED: i64 = 5;

/// What an event's report should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportDraft {
    /// Computed from the event, so that every export meets the same report.
    pub uuid: Uuid,
    /// Its text.
    pub text: ReportText,
}

/// The text that a report should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReportText {
    /// None is wanted: what is there only becomes stricter.
    #[default]
    NotWanted,
    /// One is wanted, and the case has no description.
    Empty,
    /// This one, with its last line.
    Content(String),
}

/// What is to be done with a report.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReportPlan {
    /// What is to be written.
    pub change: Option<ReportChange>,
    /// True if a published event is touched for it.
    pub is_reason: bool,
    /// What is left as it is.
    pub remark: Option<String>,
}

/// The report that an event should have by these settings, and what is not as it stands in the
/// case.
pub fn draft(
    event: &Uuid,
    case: &Case,
    ids: &Ids,
    settings: &Settings,
) -> (ReportDraft, Option<String>) {
    let (text, remark) = match (settings.export_report, &case.description) {
        (ReportSource::Off, _) => (ReportText::NotWanted, None),
        (ReportSource::Description, None) => {
            let held_back = "the case's description carries a key of this program's own \
                configuration: it is left out; change that key";
            (ReportText::NotWanted, Some(held_back.to_owned()))
        }
        (ReportSource::Description, Some(description)) => render(description),
    };
    let uuid = ids.for_event(event).part_uuid(event, &["report"]);

    (ReportDraft { uuid, text }, remark)
}

/// The description written anew, so that it stays readable and can do nothing: neither a picture
/// that a browser loads, nor a reference of MISP's own (`@[tag](…)`).
fn render(description: &str) -> (ReportText, Option<String>) {
    let beginning = description.get(..description.floor_char_boundary(LONGEST));
    let beginning = beginning.unwrap_or_default();
    let storable = types::replace_astral(beginning);
    let (body, is_whole) = report_text::render_within(&storable, LONGEST);
    if body.trim().is_empty() {
        return (ReportText::Empty, None);
    }

    let is_cut = !is_whole || beginning.len() < description.len();
    let changes = [
        (is_cut, format!("is cut to {LONGEST} bytes")),
        (
            storable != beginning,
            "has characters that MISP cannot store, which are replaced".to_owned(),
        ),
    ];
    let changes = changes.into_iter().filter(|(holds, _)| *holds);
    let changes: Vec<_> = changes.map(|(_, what)| what).collect();
    let remark = format!(
        "the case's description {} in the event's report",
        changes.join(", and ")
    );
    let is_changed = !changes.is_empty();

    (
        ReportText::Content(with_mark(&body)),
        is_changed.then_some(remark),
    )
}

fn with_mark(body: &str) -> String {
    const BYTES: usize = 8;

    let digest = Sha256::digest(body.as_bytes());
    let digest = to_hex(
        digest
            .first_chunk::<BYTES>()
            .map_or(&[], |bytes| &bytes[..]),
    );
    format!("{body}\n{MARK}{digest})\n")
}

/// True if an export wrote a text, and nobody changed it since.
fn is_unchanged(content: &str) -> bool {
    let body = content.rfind(MARK).and_then(|at| content.get(..at));
    let body = body.and_then(|body| body.strip_suffix('\n'));
    body.is_some_and(|body| with_mark(body) == content)
}

/// Compares the report that an event should have with those that it has. One that is RED or
/// AMBER+STRICT is for the own organisation only, so that a later rise of the event's distribution
/// releases nothing; in a feed (`is_public`) it does not stay.
pub fn compare(draft: &ReportDraft, tlp: Tlp, held: &[Report], is_public: bool) -> ReportPlan {
    let is_ours =
        |report: &&Report| Uuid::parse_str(&report.uuid).is_ok_and(|uuid| uuid == draft.uuid);
    let there = held.iter().find(is_ours);
    if is_public && tlp.forbids_sharing() {
        return ReportPlan {
            change: there.map(|_| ReportChange::Remove(draft.uuid)),
            is_reason: there.is_some(),
            remark: None,
        };
    }

    match (there, &draft.text) {
        (None, ReportText::Content(content)) => {
            let distribution = if tlp.forbids_sharing() { 0 } else { INHERITED };
            let patch = ReportPatch {
                uuid: draft.uuid,
                name: NAME.to_owned(),
                content: Some(content.clone()),
                distribution,
            };
            ReportPlan {
                change: Some(ReportChange::Write(patch)),
                ..ReportPlan::default()
            }
        }
        (None, ReportText::NotWanted | ReportText::Empty) => ReportPlan::default(),
        (Some(there), text) => change(there, draft.uuid, text, tlp.forbids_sharing()),
    }
}

fn change(there: &Report, uuid: Uuid, text: &ReportText, is_closed: bool) -> ReportPlan {
    let is_deleted = there.deleted == Some(true);
    let (content, remark) = match text {
        ReportText::NotWanted => (None, None),
        ReportText::Content(_) if is_deleted => (None, Some("was deleted in MISP, and stays so")),
        ReportText::Content(content) if *content == there.content => (None, None),
        ReportText::Content(content) if is_unchanged(&there.content) => {
            (Some(content.clone()), None)
        }
        ReportText::Content(_) => (None, Some("was changed in MISP, and is left as it is")),
        ReportText::Empty if is_deleted => (None, None),
        ReportText::Empty => (
            None,
            Some("stays in MISP, though the case has no description any more"),
        ),
    };
    let closes = is_closed && !is_deleted && there.distribution != Some(0);
    let held = there.distribution.unwrap_or(INHERITED);
    let patch = ReportPatch {
        uuid,
        name: there.name.clone(),
        content,
        distribution: if is_closed { 0 } else { held },
    };

    ReportPlan {
        change: (closes || patch.content.is_some()).then_some(ReportChange::Write(patch)),
        is_reason: closes,
        remark: remark.map(|what| format!("the report with the case's description {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_ours_until_somebody_changes_it() {
        let ours = with_mark("# A\n\nb\n");
        assert!(is_unchanged(&ours), "{ours}");
        let changed = [
            ours.replace('b', "c"),
            ours.replace('\n', "\r\n"),
            ours.trim_end().to_owned(),
            format!("{ours}more"),
            format!("more\n{ours}"),
            "text\n".to_owned(),
            MARK.to_owned(),
            String::new(),
        ];
        for text in changed {
            assert!(!is_unchanged(&text), "{text}");
        }
    }
}
