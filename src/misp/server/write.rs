//! Writing to a MISP server. MISP answers 200 and leaves out what it dislikes, so what is told here
//! is what was sent and what was refused; what arrived is looked at afterwards.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Server, error_mentions, explain_error};
use crate::http::{self, HttpError, HttpErrorKind};
use crate::json::{self, Element};
use crate::misp::changes::{AttachmentPayload, AttachmentSource, EventChanges, ReportChange};
use crate::misp::draft::AttributeDraft;
use crate::misp::request_bodies;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::wire::{Event, Row, SOURCE, SightingKind, unwrap_row};
use crate::misp::write_log::{WriteLog, WriteStop};

/// Attributes sent at once: MISP takes about four seconds for a thousand.
pub const BATCH: usize = 1_000;
/// No list is made shorter than this after a timeout.
const SHORTEST: usize = 50;

impl Server {
    /// Adds one sighting of an attribute. MISP answers 200 to a failure too
    /// (`fixtures/wire/misp/251-sighting-add-unknown.json`). An expiration whose type is a text
    /// takes the place of all others of the organisation, one whose type is a number does not (its
    /// `Sighting.php`, `saveSightings`; `594-sighting-expiration-replaces.json`).
    ///
    /// # Errors
    /// That it was not added.
    pub fn add_sighting(
        &self,
        attribute: &Uuid,
        kind: SightingKind,
        moment: Option<i64>,
    ) -> anyhow::Result<()> {
        let mut body = json!({"source": SOURCE, "type": kind.number()});
        if let Some(moment) = moment {
            json::set(&mut body, "timestamp", json!(moment));
        }
        let answer = self
            .client
            .post(&format!("sightings/add/{attribute}"), &body)
            .map_err(explain_error)?;
        let said = answer.read_value()?;
        let message = said
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or("MISP does not say why");
        ensure!(said.get("Sighting").is_some(), "{message}");

        Ok(())
    }
}

/// A new object with these attributes. It hides what is in it: it is closed only if all of that is.
fn object_body(attributes: &[&AttributeDraft], bodies: Vec<Value>) -> Value {
    let Some(place) = attributes.first().and_then(|one| one.place.as_ref()) else {
        return Value::Null;
    };
    let is_closed = attributes.iter().all(|one| one.is_closed);
    let mut body = request_bodies::object(&place.object, bodies);
    json::set(
        &mut body,
        "distribution",
        json!(if is_closed { "0" } else { "5" }),
    );
    body
}

/// An attribute, the object that it is in, and what an edit says of it; nothing of an object that is
/// closed.
type AttributeChange = (Uuid, Option<Uuid>, Value);

/// The changes of one event on their way to a server.
pub struct ServerWriter<'a> {
    /// Where they go.
    pub server: &'a Server,
    /// The changes.
    pub changes: &'a EventChanges<'a>,
    /// What the tags are called there.
    pub names: &'a TagResolution,
    /// Where the files come from.
    pub attachments: &'a dyn AttachmentSource,
    /// Is told before each request how things stand if no answer comes.
    pub underway: &'a dyn Fn(&WriteLog),
}

impl ServerWriter<'_> {
    /// Header and tags first, then changes, objects, and the attributes in lists, one list after
    /// the other. Of a published event that only new IOCs are a reason to touch, those go first: a
    /// value that MISP refuses at every run takes no publication back, while an edit does even if
    /// it changes nothing (`fixtures/wire/misp/407-edit-noop-unpublishes.json`).
    ///
    /// # Errors
    /// What stopped the writing, and whether a look may help.
    pub fn write_all(&self, sending: &mut WriteLog) -> Result<(), WriteStop> {
        if self.changes.create {
            self.add_event(sending)?;
        }
        sending.waits = false;
        self.leave_out_refused(sending)?;

        if self.changes.is_additions_first {
            let iocs: Vec<_> = self
                .pending_additions(sending)
                .filter(|one| one.to_ids && one.place.is_none())
                .collect();
            self.add_in_batches(&iocs, sending)?;
            let is_in_object = |one: &AttributeDraft| one.to_ids && one.place.is_some();
            if !iocs.iter().any(|one| sending.may_have_added(&one.uuid))
                && !self.pending_additions(sending).any(is_in_object)
            {
                sending.waits = true;
                return Ok(());
            }
        }

        self.send_edits(sending)?;
        let is_sent = |one: &&AttributeDraft| {
            self.changes.is_additions_first && sending.may_have_added(&one.uuid)
        };
        let additions = self.pending_additions(sending).filter(|one| !is_sent(one));
        let (inside, loose): (Vec<_>, Vec<_>) = additions.partition(|one| one.place.is_some());
        self.add_objects(&inside, sending)?;
        self.add_in_batches(&loose, sending)?;

        self.send_report(sending)
    }

    /// The report comes last: it says nothing beside IOCs that MISP would not take.
    fn send_report(&self, sending: &mut WriteLog) -> Result<(), WriteStop> {
        let Some(ReportChange::Write(report)) = &self.changes.event.report else {
            return Ok(());
        };
        self.check_deadline()?;
        let reports = json!([request_bodies::report(report)]);
        let event = json!({"uuid": self.changes.uuid, "EventReport": reports});
        let path = format!("events/edit/{}/metadata:1", self.changes.uuid);

        self.send(
            &path,
            &json!({"Event": event}),
            [].into_iter(),
            "writing the report",
            sending,
        )
    }

    /// True for what is to join an object that is there, and was not refused.
    pub fn joins_existing_object(&self, attribute: &AttributeDraft, sending: &WriteLog) -> bool {
        let is_there = |object: &Uuid| !self.changes.creates_object(object);
        attribute
            .place
            .as_ref()
            .is_some_and(|place| is_there(&place.object))
            && sending.may_send(&attribute.uuid)
    }

    /// What is to be added and was not refused.
    fn pending_additions(&self, sending: &WriteLog) -> impl Iterator<Item = &AttributeDraft> {
        self.changes
            .additions
            .iter()
            .copied()
            .filter(|one| sending.may_send(&one.uuid))
    }

    fn add_in_batches(
        &self,
        loose: &[&AttributeDraft],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        let batch = sending.batch.unwrap_or(BATCH);
        loose
            .chunks(batch)
            .try_for_each(|batch| self.add_attributes(batch, sending))
    }

    /// Another run may have made the event meanwhile, which MISP tells by 404 with a `Location`,
    /// 403 or 500.
    fn add_event(&self, sending: &mut WriteLog) -> Result<(), WriteStop> {
        let header = &self.changes.header;
        let mut event = request_bodies::event(&self.changes.uuid, header, self.names);
        json::set(
            &mut event,
            "distribution",
            json!(header.distribution.to_string()),
        );
        if let Some(group) = header.sharing_group {
            json::set(&mut event, "sharing_group_id", json!(group.to_string()));
        }
        if let Some(extends) = &header.extends {
            json::set(&mut event, "extends_uuid", json!(extends));
        }
        let body = json!({"Event": event});
        (self.underway)(&sending.as_if_unanswered([]));

        let failure = match self.server.client.post("events/add/metadata:1", &body) {
            Ok(answer) => {
                sending.record_sent([], true);
                // It is there, whatever becomes of the answer.
                let made = answer.read_as::<Element<Row<Event>>>().ok();
                let made = made.and_then(|made| unwrap_row(made, "Event"));
                sending.event = Some(made.unwrap_or_default());
                return Ok(());
            }
            Err(failure) => failure,
        };

        if failure.may_have_written() {
            sending.record_sent([], false);
            return Err(WriteStop::Look(
                explain_error(failure).context("adding the event"),
            ));
        }

        let is_hidden = matches!(
            &failure.cause,
            HttpErrorKind::Refused {
                status: 404,
                has_location: true,
                ..
            }
        );

        let failure = if is_hidden {
            let help = "the uuid {} belongs to an event that this key cannot see: ask the \
                administrator of this MISP who owns it";
            anyhow!(failure.with_help(help.replace("{}", &self.changes.uuid.to_string())))
        } else if error_mentions(&failure, "blocklist") {
            anyhow!(failure.with_help(format!(
                "event {} was deleted on this MISP and is on its blocklist: a user of the host \
                 organisation can lift that at \
                 {}eventBlocklists",
                self.changes.uuid, self.server.url
            )))
        } else {
            explain_error(failure).context("adding the event")
        };

        sending.was_taken = true;

        Err(WriteStop::Taken {
            error: failure,
            is_hidden,
        })
    }

    /// Changes of the event and of attributes that are there, and attributes that join an object
    /// that is there.
    fn send_edits(&self, sending: &mut WriteLog) -> Result<(), WriteStop> {
        let (changes, with_files) = self.pending_edits(sending);
        let mut head = request_bodies::event_patch(self.changes.event);
        let has_head = head.as_object().is_some_and(|head| !head.is_empty());
        if changes.is_empty() && has_head {
            self.send_edit_batch(std::mem::replace(&mut head, json!({})), &[], sending)?;
        }

        changes
            .chunks(sending.batch.unwrap_or(BATCH))
            .try_for_each(|batch| {
                let head = std::mem::replace(&mut head, json!({}));
                self.send_edit_batch(head, batch, sending)
            })?;

        // One file at a time, read just before it is sent.
        with_files.into_iter().try_for_each(|(attribute, object)| {
            match self.attribute_body_with_file(attribute, sending) {
                Some(body) => {
                    let change = (attribute.uuid, Some(object), body);
                    self.send_edit_batch(json!({}), &[change], sending)
                }
                None => Ok(()),
            }
        })
    }

    /// What an edit says of the attributes and objects that are there, and the attributes with
    /// files that join such an object.
    fn pending_edits(
        &self,
        sending: &WriteLog,
    ) -> (Vec<AttributeChange>, Vec<(&AttributeDraft, Uuid)>) {
        let edits = self.changes.edits.iter();
        let edits = edits.filter(|edit| sending.may_send(&edit.uuid));
        let edits = edits.map(|edit| {
            let body = request_bodies::attribute_patch(&edit.uuid, edit.change);
            (edit.uuid, edit.object, body)
        });
        let closed = self.changes.closed_objects.iter();
        let closed = closed.map(|object| (*object, Some(*object), Value::Null));
        let mut changes: Vec<AttributeChange> = edits.chain(closed).collect();
        let mut with_files = Vec::new();

        for attribute in self.changes.additions.iter().copied() {
            let Some(place) = &attribute.place else {
                continue;
            };
            if !self.joins_existing_object(attribute, sending) {
                continue;
            }
            if attribute.file.is_some() {
                with_files.push((attribute, place.object));
            } else {
                let body = self.attribute_body(attribute, None);
                changes.push((attribute.uuid, Some(place.object), body));
            }
        }

        (changes, with_files)
    }

    fn send_edit_batch(
        &self,
        head: Value,
        batch: &[AttributeChange],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        self.check_deadline()?;
        let mut loose = Vec::new();
        let mut objects: BTreeMap<Uuid, Vec<Value>> = BTreeMap::new();
        for (_, object, body) in batch {
            match object {
                Some(object) if body.is_null() => drop(objects.entry(*object).or_default()),
                Some(object) => objects.entry(*object).or_default().push(body.clone()),
                None => loose.push(body.clone()),
            }
        }

        let mut event = head;
        json::set(&mut event, "uuid", json!(self.changes.uuid));
        if !loose.is_empty() {
            json::set(&mut event, "Attribute", json!(loose));
        }
        if !objects.is_empty() {
            let objects = objects.into_iter().map(|(uuid, attributes)| {
                let mut object = json!({"uuid": uuid, "Attribute": attributes});
                if self.changes.closed_objects.contains(&uuid) {
                    json::set(&mut object, "distribution", json!("0"));
                }
                object
            });
            json::set(&mut event, "Object", objects.collect::<Value>());
        }

        let path = format!("events/edit/{}/metadata:1", self.changes.uuid);
        let uuids = batch.iter().map(|(uuid, ..)| *uuid);

        self.send(
            &path,
            &json!({"Event": event}),
            uuids,
            "changing the event",
            sending,
        )
    }

    /// New objects go out in lists, since each request costs MISP more than most objects do. An edit
    /// leaves out what MISP dislikes without a word
    /// (`fixtures/wire/misp/446-events-edit-adds-objects.json`), so that an object of which
    /// something was missing afterwards goes out once more by itself: then MISP says why.
    fn add_objects(
        &self,
        inside: &[&AttributeDraft],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        let batch = sending.batch.unwrap_or(BATCH);
        let mut list: Vec<Vec<&AttributeDraft>> = Vec::new();

        for object in self.group_by_object(inside) {
            let is_single = object
                .iter()
                .any(|one| one.file.is_some() || sending.went_in_list(&one.uuid));
            if is_single {
                self.add_single_object(&object, sending)?;
                continue;
            }

            list.push(object);
            if list.iter().map(Vec::len).sum::<usize>() >= batch {
                self.add_object_list(&std::mem::take(&mut list), sending)?;
            }
        }

        self.add_object_list(&list, sending)
    }

    /// The attributes of each new object that there are, in the order of the objects.
    fn group_by_object<'d>(&self, inside: &[&'d AttributeDraft]) -> Vec<Vec<&'d AttributeDraft>> {
        let mut objects: BTreeMap<Uuid, Vec<&AttributeDraft>> = BTreeMap::new();
        for attribute in inside {
            if let Some(place) = &attribute.place {
                objects.entry(place.object).or_default().push(attribute);
            }
        }
        let new_objects = self.changes.new_objects.iter();
        new_objects
            .filter_map(|object| objects.remove(object))
            .collect()
    }

    fn add_object_list(
        &self,
        list: &[Vec<&AttributeDraft>],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        let attributes = || list.iter().flatten().map(|one| one.uuid);
        if list.is_empty() {
            return Ok(());
        }
        self.check_deadline()?;
        (self.underway)(&sending.as_if_unanswered(attributes()));

        let objects = list.iter().map(|object| {
            let bodies = object.iter().map(|one| self.attribute_body(one, None));
            object_body(object, bodies.collect())
        });
        let event = json!({"uuid": self.changes.uuid, "Object": objects.collect::<Vec<_>>()});
        let path = format!("events/edit/{}/metadata:1", self.changes.uuid);

        match self.server.client.post(&path, &json!({"Event": event})) {
            Ok(_) => {
                sending.in_lists.extend(attributes());
                sending.record_sent(attributes(), true);
                Ok(())
            }
            // What is too much for a gateway at once may pass one by one.
            Err(failure) if failure.status() == Some(413) => list
                .iter()
                .try_for_each(|object| self.add_single_object(object, sending)),
            Err(failure) => {
                sending.in_lists.extend(attributes());
                Err(self.record_failure(failure, attributes(), "adding objects", sending))
            }
        }
    }

    /// MISP refuses an object as a whole, and says why
    /// (`fixtures/wire/misp/429-objects-add-known-attribute-uuid-2.json`). A refused one goes out
    /// once more by way of an edit, which drops only what MISP dislikes.
    fn add_single_object(
        &self,
        object: &[&AttributeDraft],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        let (mut bodies, mut sent) = (Vec::new(), Vec::new());
        for attribute in object {
            if let Some(body) = self.attribute_body_with_file(attribute, sending) {
                bodies.push(body);
                sent.push(*attribute);
            }
        }
        if sent.is_empty() {
            return Ok(());
        }

        self.add_object(&object_body(&sent, bodies), &sent, sending)
    }

    fn add_object(
        &self,
        body: &Value,
        attributes: &[&AttributeDraft],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        self.check_deadline()?;
        let path = format!("objects/add/{}", self.changes.uuid);
        let uuids = || attributes.iter().map(|attribute| attribute.uuid);
        (self.underway)(&sending.as_if_unanswered(uuids()));

        match self.server.client.post(&path, &json!({"Object": body})) {
            Ok(_) => sending.record_sent(uuids(), true),
            Err(HttpError {
                cause:
                    HttpErrorKind::Refused {
                        status: 403,
                        errors,
                        ..
                    },
                ..
            }) if !errors.is_null() => {
                let reason = format!("refused by MISP: {}", http::describe_errors(&errors));
                let path = format!("events/edit/{}/metadata:1", self.changes.uuid);
                let body = json!({"Event": {"uuid": self.changes.uuid, "Object": [body]}});
                self.send(&path, &body, uuids(), "adding an object", sending)?;
                sending
                    .reasons
                    .extend(uuids().map(|uuid| (uuid, reason.clone())));
            }
            // One object that is too large, say, does not keep the others back.
            Err(failure) if failure.is_permanent() => {
                let reason = format!("refused by MISP: {}", explain_error(failure));
                sending
                    .reasons
                    .extend(uuids().map(|uuid| (uuid, reason.clone())));
            }
            Err(failure) => {
                return Err(self.record_failure(failure, uuids(), "adding an object", sending));
            }
        }

        Ok(())
    }

    /// Nothing is begun so late that there is no time left to look at it.
    pub fn check_deadline(&self) -> Result<(), WriteStop> {
        if self.server.client.clock().is_near_the_end() {
            let error = anyhow!(
                "the deadline is near (\"deadline_minutes\"): the rest comes with the next run"
            );
            return Err(WriteStop::No(error));
        }

        Ok(())
    }

    fn send(
        &self,
        path: &str,
        body: &Value,
        uuids: impl Iterator<Item = Uuid> + Clone,
        doing: &'static str,
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        (self.underway)(&sending.as_if_unanswered(uuids.clone()));
        match self.server.client.post(path, body) {
            Ok(_) => {
                sending.record_sent(uuids, true);
                Ok(())
            }
            Err(failure) => Err(self.record_failure(failure, uuids, doing, sending)),
        }
    }

    /// A write without a clear answer may still be going on; one that was refused did nothing.
    fn record_failure(
        &self,
        failure: HttpError,
        uuids: impl Iterator<Item = Uuid>,
        doing: &'static str,
        sending: &mut WriteLog,
    ) -> WriteStop {
        if !failure.may_have_written() {
            return WriteStop::No(explain_error(failure).context(doing));
        }
        sending.record_sent(uuids, false);
        sending.batch = Some((sending.batch.unwrap_or(BATCH) / 2).max(SHORTEST));
        WriteStop::Look(explain_error(failure).context(doing))
    }

    fn add_attributes(
        &self,
        batch: &[&AttributeDraft],
        sending: &mut WriteLog,
    ) -> Result<(), WriteStop> {
        self.check_deadline()?;
        let body: Vec<_> = batch
            .iter()
            .map(|attribute| self.attribute_body(attribute, None))
            .collect();
        let uuids = || batch.iter().map(|attribute| attribute.uuid);
        (self.underway)(&sending.as_if_unanswered(uuids()));
        let (errors, is_refused) = match self
            .server
            .client
            .post(&format!("attributes/add/{}", self.changes.uuid), &body)
        {
            Ok(answer) => {
                // Sent, whatever becomes of the answer.
                sending.record_sent(uuids(), false);
                let added = answer
                    .read_as::<Added>()
                    .context("adding attributes")
                    .map_err(WriteStop::Look)?;
                (added.errors, false)
            }

            // All of them refused: 403 with the same list of errors
            // (`fixtures/wire/misp/107-attr-add-list-all-bad.json`).
            Err(HttpError {
                cause:
                    HttpErrorKind::Refused {
                        status: 403,
                        errors,
                        ..
                    },
                ..
            }) if errors.is_object() => (*errors, true),

            Err(failure) => {
                return Err(self.record_failure(failure, uuids(), "adding attributes", sending));
            }
        };

        let mut reasons = parse_refusals(&errors, batch);
        if is_refused && reasons.is_empty() {
            reasons.extend(uuids().map(|uuid| (uuid, http::describe_errors(&errors))));
        }
        let taken: Vec<_> = uuids().filter(|uuid| !reasons.contains_key(uuid)).collect();
        if !taken.is_empty() {
            sending.record_sent(taken, true);
        }
        sending.reasons.extend(
            reasons
                .into_iter()
                .map(|(uuid, reason)| (uuid, format!("refused by MISP: {reason}"))),
        );

        Ok(())
    }

    /// An attribute with the file that it carries; none, with a reason, if that cannot be read.
    fn attribute_body_with_file(
        &self,
        attribute: &AttributeDraft,
        sending: &mut WriteLog,
    ) -> Option<Value> {
        match self.attachments.load_payload(attribute) {
            Ok(content) => Some(self.attribute_body(attribute, content.as_ref())),
            Err(error) => {
                sending.record_refusal(attribute, format!("the file could not be read: {error:#}"));
                None
            }
        }
    }

    /// An attribute as it is added.
    pub fn attribute_body(
        &self,
        attribute: &AttributeDraft,
        content: Option<&AttachmentPayload>,
    ) -> Value {
        let mut body = request_bodies::attribute(attribute, content, self.names);
        json::set(
            &mut body,
            "distribution",
            json!(attribute.distribution().to_string()),
        );
        body
    }
}

/// The answer to `attributes/add`, as far as it says what was refused; what was stored is looked at
/// afterwards.
#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    errors: Value,
}

/// MISP's errors of an `attributes/add` by our uuid: `{"attribute_1": {"value": ["…"]}}` counts in
/// the order sent; of a single attribute they may stand alone, `{"value": ["…"]}`.
fn parse_refusals(errors: &Value, batch: &[&AttributeDraft]) -> BTreeMap<Uuid, String> {
    let of = |index: usize| errors.get(format!("attribute_{index}"));
    let mut refused: BTreeMap<_, _> = batch
        .iter()
        .enumerate()
        .filter_map(|(index, attribute)| Some((attribute.uuid, http::describe_errors(of(index)?))))
        .collect();

    if let ([single], true, true) = (
        batch,
        refused.is_empty(),
        errors.as_object().is_some_and(|errors| !errors.is_empty()),
    ) {
        refused.insert(single.uuid, http::describe_errors(errors));
    }

    refused
}
