//! Writing to a MISP server. MISP answers 200 and leaves out what it dislikes, so what is told here is what was sent and
//! what was refused; what arrived is looked at afterwards.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Server, explained, says};
use crate::export::plan::{Plan, Wanted, WantedAttribute};
use crate::export::sending::Sending;
use crate::http::{self, Cause, Failure};
use crate::misp::wire;

/// Attributes sent at once: MISP takes about four seconds for them.
const BATCH: usize = 1_000;

impl Server {
    /// Header and tags first, then the attributes in lists, one list after the other. MISP answers 200 and leaves out
    /// what it dislikes, so this tells what was refused, and the caller looks.
    ///
    /// # Errors
    /// What stopped the writing.
    pub fn apply(&self, wanted: &Wanted, plan: &Plan, sending: &mut Sending) -> Result<()> {
        if plan.create {
            self.add_event(wanted, sending)?;
        }
        let additions: Vec<_> = plan.additions(wanted).collect();
        additions.chunks(BATCH).try_for_each(|batch| self.add_attributes(&wanted.uuid, batch, sending))
    }

    /// Any refusal is followed by a look: another run may have made the event meanwhile, which MISP tells by 404 with a
    /// `Location`, 403 or 500, and then this run goes on with what is there.
    fn add_event(&self, wanted: &Wanted, sending: &mut Sending) -> Result<()> {
        let body = wire::wanted_event(wanted, json!({"distribution": "0"}));
        let Err(failure) = self.client.post("events/add/metadata:1", &body) else {
            sending.sent([], true);
            return Ok(());
        };
        if !is_refusal(&failure) {
            sending.sent([], false);
        }
        if failure.status().is_some() && self.held(&wanted.uuid)?.is_some() {
            return Ok(());
        }
        let failure = if is_known(&failure) {
            failure.with_help(format!(
                "the uuid {} belongs to an event that this key cannot see: ask the administrator of this MISP who owns it",
                wanted.uuid
            ))
        } else if says(&failure, "blocklist") {
            failure.with_help(format!(
                "event {} was deleted on this MISP and is on its blocklist: a user of the host organisation can lift that at \
                 {}eventBlocklists",
                wanted.uuid, self.url
            ))
        } else {
            return Err(explained(failure)).context("adding the event");
        };
        Err(anyhow!(failure))
    }

    fn add_attributes(&self, event: &Uuid, batch: &[&WantedAttribute], sending: &mut Sending) -> Result<()> {
        let more = |attribute: &WantedAttribute| json!({"distribution": attribute.distribution().to_string()});
        let body: Vec<_> = batch.iter().map(|attribute| wire::wanted_attribute(attribute, more(attribute))).collect();
        let errors = match self.client.post(&format!("attributes/add/{event}"), &body) {
            Ok(answer) => {
                // Sent, whatever becomes of the answer.
                sending.sent(batch.iter().copied(), false);
                answer.read::<Added>()?.errors
            }
            // All of them refused: 403 with the same list of errors (`fixtures/wire/misp/107-attr-add-list-all-bad.json`).
            Err(Failure { cause: Cause::Refused { status: 403, errors, .. }, .. }) if errors.is_object() => *errors,
            Err(failure) => {
                if !is_refusal(&failure) {
                    sending.sent(batch.iter().copied(), false);
                }
                return Err(explained(failure)).context("adding attributes");
            }
        };
        let reasons = refused(&errors, batch);
        let taken: Vec<_> = batch.iter().copied().filter(|attribute| !reasons.contains_key(&attribute.uuid)).collect();
        if !taken.is_empty() {
            sending.sent(taken, true);
        }
        sending.reasons.extend(reasons);
        Ok(())
    }
}

/// The answer to `attributes/add`, as far as it says what was refused; what was stored is looked at afterwards.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Added {
    errors: Value,
}

/// True if the server said no, and so took nothing; false if it may still be working on it.
fn is_refusal(failure: &Failure) -> bool {
    match failure.cause {
        Cause::Refused { status, .. } => status < 500,
        Cause::Redirected { .. } | Cause::Deadline => true,
        Cause::Unreachable(_) | Cause::NotJson(_) => false,
    }
}

/// MISP's errors of an `attributes/add` by our uuid: `{"attribute_1": {"value": ["…"]}}` counts in the order sent; of a
/// single attribute they may stand alone, `{"value": ["…"]}`.
fn refused(errors: &Value, batch: &[&WantedAttribute]) -> BTreeMap<Uuid, String> {
    let of = |index: usize| errors.get(format!("attribute_{index}"));
    let mut refused: BTreeMap<_, _> = batch
        .iter()
        .enumerate()
        .filter_map(|(index, attribute)| Some((attribute.uuid, http::words(of(index)?))))
        .collect();
    if let ([single], true, true) =
        (batch, refused.is_empty(), errors.as_object().is_some_and(|errors| !errors.is_empty()))
    {
        refused.insert(single.uuid, http::words(errors));
    }
    refused
}

fn is_known(failure: &Failure) -> bool {
    matches!(&failure.cause, Cause::Refused { status: 404, location: Some(_), .. }) || says(failure, "not unique")
}
