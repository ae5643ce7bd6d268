//! Asking a MISP whether it would take an attribute, without storing anything. An edit of an event
//! cannot ask: if MISP takes nothing of it, the event is unpublished and has a new timestamp all
//! the same.

use serde_json::json;

use super::write::{BATCH, ServerWriter};
use crate::http::{self, HttpError, HttpErrorKind};
use crate::misp::draft::AttributeDraft;
use crate::misp::write_log::{WriteLog, WriteStop};

/// How MISP says that the attributes of an object are refused
/// (`fixtures/wire/misp/571-objects-add-asks-blocked.json`).
const REFUSED: &str = "at least one attribute has failed validation";

impl ServerWriter<'_> {
    /// Leaves out, with MISP's reason, what is to join an object that is there and is refused, as
    /// it may be at every run; before new IOCs alone take back a publication, those in new objects
    /// too. A file, whose value is known only when it is read, is no reason to touch a published
    /// event.
    pub fn leave_out_refused(&self, sending: &mut WriteLog) -> Result<(), WriteStop> {
        let joining: Vec<_> = self
            .changes
            .additions
            .iter()
            .copied()
            .filter(|draft| {
                draft.file.is_none() && draft.place.is_some() && sending.may_send(&draft.uuid)
            })
            .filter(|draft| {
                self.changes.is_additions_first || self.joins_existing_object(draft, sending)
            })
            .collect();

        joining
            .chunks(BATCH)
            .try_for_each(|batch| self.probe_batch(batch, sending))
    }

    /// Sends attributes as an object without a template. MISP looks at the attributes first and
    /// then refuses the object (`ObjectsController.php`, `add`;
    /// `fixtures/wire/misp/570-objects-add-asks.json`). Of several it names one, so that they are
    /// asked about in halves. Any other answer says nothing, and they are sent as they would have
    /// been.
    fn probe_batch(
        &self,
        batch: &[&AttributeDraft],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        self.check_deadline()?;
        let attributes: Vec<_> = batch
            .iter()
            .map(|draft| self.attribute_body(draft, None))
            .collect();
        let path = format!("objects/add/{}", self.changes.uuid);
        let answer = self
            .server
            .client
            .post(&path, &json!({"Object": {"Attribute": attributes}}));

        let Err(HttpError {
            cause:
                HttpErrorKind::Refused {
                    status: 403,
                    errors,
                    ..
                },
            ..
        }) = answer
        else {
            return Ok(());
        };

        let why = http::describe_errors(&errors);
        if !why.contains(REFUSED) {
            return Ok(());
        }
        if let [draft] = batch {
            sending.record_refusal(draft, format!("refused by MISP: {why}"));
            return Ok(());
        }
        let (first, second) = batch.split_at(batch.len() / 2);
        self.probe_batch(first, sending)?;

        self.probe_batch(second, sending)
    }
}
