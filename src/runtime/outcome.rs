//! How what a run recorded becomes a report, however the run ended.

use super::RunEnd;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cortex::envelope::Report;
use crate::cortex::markdown;
use crate::report::ledger::ItemKind;
use crate::report::{Artifact, ReportBody, ReportBuilder};
use crate::secret::Scrubber;
use crate::worker::{Worker, WorkerKind};

/// Failures named in the message.
const NAMED_FAILURES: usize = 3;
/// The longest of them in a responder's message, in characters; the report's `failures` have the
/// whole.
const LONGEST_FAILURE: usize = 1_000;

/// Turns what a run recorded, and how it ended, into a report. A failure is reported as such only
/// if nothing was written anywhere and nothing was achieved; a run that did a part of its work is
/// an incomplete success.
pub fn build_report<W: Worker>(
    mut draft: ReportBuilder,
    end: RunEnd,
    scrubber: &Scrubber,
) -> Report {
    let stop = describe_stop(end);
    merge_foreseen_parts(&mut draft);
    // Before the parts are gathered, which empties them.
    let mut parts = draft.full.connections.iter();
    let is_writing = parts.any(|part| part.beside.writing > 0);
    close_unfinished_parts(&mut draft, stop.as_deref());
    let (mut artifacts, operations) = draft.gather_parts();
    let full = &mut draft.full;
    full.connections
        .iter()
        .for_each(|part| full.ledger.add(&part.ledger));
    let failures = collect_failures(full, stop);
    if !failures.is_empty() && !draft.wrote && !is_writing && !has_achieved(full) {
        return Report::Failure {
            message: failure_message::<W>(full, &failures, scrubber),
        };
    }

    withhold_artifacts(&mut artifacts, full, scrubber);
    full.artifacts = artifacts.len() as u64;
    full.is_incomplete = !failures.is_empty();
    full.message = W::summarise(full);
    if full.is_incomplete {
        let failures = join_failures(full, &failures, |failure| {
            failure_text::<W>(failure, scrubber)
        });
        full.message = format!("INCOMPLETE: {}. {failures}", full.message);
    }

    Report::Success {
        taxonomies: to_values(&W::taxonomies(full)),
        artifacts: to_values(&artifacts),
        operations: to_values(&operations),
        full: json!(full),
    }
}

/// What stopped a run before its end, in words.
fn describe_stop(end: RunEnd) -> Option<String> {
    match end {
        RunEnd::Finished(Ok(())) => None,
        RunEnd::Finished(Err(error)) => Some(format!("{error:#}")),
        RunEnd::Panicked(defect) => Some(defect),
        RunEnd::Stopped(reason) => Some(reason.to_owned()),
    }
}

/// Takes up, for each connection that did not end, what was foreseen for that case.
fn merge_foreseen_parts(draft: &mut ReportBuilder) {
    let parts = draft.full.connections.iter_mut();
    let foreseen: Vec<_> = parts
        .map(|part| {
            part.beside
                .foreseen
                .take()
                .filter(|_| !part.beside.has_ended)
        })
        .collect();

    for (part, foreseen) in foreseen.into_iter().enumerate() {
        foreseen
            .into_iter()
            .for_each(|foreseen| draft.merge_part(part, *foreseen));
    }
}

/// Gives a verdict to whatever is open in the connections that did not end: in doubt where a write
/// was under way, else not reached.
fn close_unfinished_parts(draft: &mut ReportBuilder, stop: Option<&str>) {
    let reason = stop.unwrap_or("the run ended before");
    let parts = draft.full.connections.iter_mut();

    for part in parts.filter(|part| !part.beside.has_ended) {
        let writing = part.beside.writing;
        let word = if writing > 0 {
            "not verified"
        } else {
            "not reached"
        };

        let reason_of = |word: &str| format!("{word}: {reason}");
        if writing > 0 {
            // Of an import's events only those are in doubt that are being written, each by one
            // write; nobody wrote the rest.
            part.ledger
                .close_some_open(ItemKind::Events, writing.into(), &reason_of(word));
            part.ledger
                .close_some_open(ItemKind::Events, u64::MAX, &reason_of("not sent"));
        }

        part.ledger.close_open(&reason_of(word));
        part.error = part.error.take().or_else(|| Some(reason.to_owned()));
    }
}

/// True if a connection ended well, or any item was done.
fn has_achieved(full: &ReportBody) -> bool {
    let ended_well = full
        .connections
        .iter()
        .any(|part| part.error.is_none() && part.ledger.counts().all(|(_, c)| c.failed == 0));

    ended_well
        || full
            .ledger
            .counts()
            .any(|(_, count)| count.count_done() > 0)
}

fn to_values<T: Serialize>(list: &[T]) -> Vec<Value> {
    list.iter().map(|item| json!(item)).collect()
}

/// Takes out the artifacts that hold a long secret of ours: one that was rewritten would be a wrong
/// indicator.
fn withhold_artifacts(artifacts: &mut Vec<Artifact>, full: &mut ReportBody, scrubber: &Scrubber) {
    let before = artifacts.len();
    artifacts.retain(|artifact| {
        let texts = [&artifact.data, &artifact.message];
        let texts = texts.into_iter().chain(&artifact.tags);
        !texts.into_iter().any(|text| scrubber.has_secret_in(text))
    });
    let withheld = (before - artifacts.len()) as u64;
    if withheld > 0 {
        *full.left_out.entry("artifacts".to_owned()).or_default() += withheld;
    }
}

/// Everything that went wrong, in words: what stopped the run, what stopped a connection, what
/// failed singly.
fn collect_failures(full: &ReportBody, stop: Option<String>) -> Vec<String> {
    let several = full.connections.len() > 1;

    let of_parts = full.connections.iter().flat_map(|part| {
        let error = part
            .error
            .iter()
            // What stopped the whole run is named once.
            .filter(|error| stop.as_ref() != Some(error))
            .cloned();

        let name = if several {
            format!("{}: ", part.name)
        } else {
            String::new()
        };

        error
            .chain(part.failures.iter().cloned())
            .map(move |failure| format!("{name}{failure}"))
    });

    let mut failures: Vec<_> = stop.clone().into_iter().chain(of_parts).collect();

    // Where no failure was named singly, the ledger's reasons say what failed.
    if failures.is_empty() {
        let failed = full
            .ledger
            .counts()
            .flat_map(|(_, count)| count.failed_by.iter());
        failures = failed
            .map(|(reason, number)| format!("{number}: {reason}"))
            .collect();
    }

    failures
}

/// A failure as it stands in a message. TheHive may show a responder's as Markdown, an analyzer's
/// stands in our own page. It is cut before it is quoted, never after: a cut would take the mark
/// that ends the quotation, and free what is in it.
fn failure_text<W: Worker>(failure: &str, scrubber: &Scrubber) -> String {
    match W::KIND {
        WorkerKind::Responder => {
            markdown::neutralise_line(&scrubber.clean_truncated(failure, LONGEST_FAILURE))
        }
        WorkerKind::Analyzer => failure.to_owned(),
    }
}

fn join_failures(full: &ReportBody, failures: &[String], said: impl Fn(&str) -> String) -> String {
    let unlisted = full.left_out.get("failures").copied().unwrap_or(0);
    let more = failures.len().saturating_sub(NAMED_FAILURES) as u64 + unlisted;
    let shown = failures.len().min(NAMED_FAILURES);
    // A full stop stands at the end only.
    let say = |(place, failure): (usize, &String)| match place + 1 < shown || more > 0 {
        true => said(failure.trim_end_matches('.')),
        false => said(failure),
    };
    let first: Vec<_> = failures.iter().take(shown).enumerate().map(say).collect();
    let first = first.join("; ");

    match more {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

fn failure_message<W: Worker>(
    full: &ReportBody,
    failures: &[String],
    scrubber: &Scrubber,
) -> String {
    let has_ledger = full.ledger.counts().any(|(_, count)| count.fetched > 0);
    let named = join_failures(full, failures, ToOwned::to_owned);
    let named = match W::KIND {
        WorkerKind::Responder => markdown::neutralise_words(&scrubber.clean(&named)),
        WorkerKind::Analyzer => named,
    };
    if has_ledger {
        format!("{}. Ledger: {}", named.trim_end_matches('.'), full.ledger)
    } else {
        named
    }
}
