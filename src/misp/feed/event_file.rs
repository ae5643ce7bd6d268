//! An event file while it is changed: changes done to its JSON. What a producer wrote beside stays
//! as it is.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::misp::changes::{AttachmentSource, AttributePatch, EventChanges, EventPatch};
use crate::misp::draft::AttributeDraft;
use crate::misp::request_bodies;
use crate::misp::tag_resolution::TagResolution;
use crate::misp::write_log::WriteLog;

/// An event file while it is changed.
pub(super) struct EventFileEditor<'e> {
    /// Now, in seconds since 1970.
    pub(super) timestamp: String,
    pub(super) event: &'e mut Map<String, Value>,
    /// So many more bytes of files may be added.
    pub(super) room: u64,
}

impl EventFileEditor<'_> {
    /// All of the changes; gives the attributes concerned. None if the file is no event's.
    pub(super) fn apply_all(
        mut self,
        changes: &EventChanges<'_>,
        attachments: &dyn AttachmentSource,
        sending: &mut WriteLog,
    ) -> Option<Vec<Uuid>> {
        self.patch_event(changes.event);
        let mut done = Vec::new();
        for edit in &changes.edits {
            self.patch_attribute(&edit.uuid, edit.change);
            done.push(edit.uuid);
        }
        for removed in &changes.removals {
            self.remove(removed);
            done.push(*removed);
        }

        for attribute in &changes.additions {
            match self
                .build_attribute(attribute, attachments)
                .and_then(|body| self.reserve_room(body))
            {
                Ok(body) => {
                    self.add(attribute, body)?;
                    done.push(attribute.uuid);
                }
                Err(error) => sending
                    .record_refusal(attribute, format!("the file could not be read: {error:#}")),
            }
        }

        self.event
            .insert("timestamp".to_owned(), Value::from(self.timestamp));

        Some(done)
    }

    fn build_attribute(
        &self,
        attribute: &AttributeDraft,
        attachments: &dyn AttachmentSource,
    ) -> Result<Value> {
        let more =
            json!({"timestamp": self.timestamp, "deleted": false, "disable_correlation": false});
        let content = attachments.load_payload(attribute)?;
        Ok(request_bodies::attribute(
            attribute,
            content.as_ref(),
            &TagResolution::default(),
            more,
        ))
    }

    /// Refuses a file with which the event's file could not be read any more.
    fn reserve_room(&mut self, body: Value) -> Result<Value> {
        let size = body.get("data").and_then(Value::as_str).map_or(0, str::len) as u64;
        ensure!(
            size <= self.room,
            "the event's file in the feed would become too large"
        );
        self.room -= size;
        Ok(body)
    }

    fn add(&mut self, attribute: &AttributeDraft, body: Value) -> Option<()> {
        let Some(place) = &attribute.place else {
            let list = self
                .event
                .entry("Attribute")
                .or_insert_with(|| json!([]))
                .as_array_mut()?;

            list.push(body);
            return Some(());
        };

        let objects = self
            .event
            .entry("Object")
            .or_insert_with(|| json!([]))
            .as_array_mut()?;

        let is_it = |object: &Value| {
            object.get("uuid").and_then(Value::as_str) == Some(&place.object.to_string())
        };

        let at = match objects.iter().position(is_it) {
            Some(at) => at,
            None => {
                objects.push(request_bodies::object(
                    &place.object,
                    Vec::new(),
                    json!({"timestamp": self.timestamp}),
                ));

                objects.len() - 1
            }
        };

        objects
            .get_mut(at)?
            .get_mut("Attribute")?
            .as_array_mut()?
            .push(body);

        Some(())
    }

    fn patch_event(&mut self, head: &EventPatch) {
        let Value::Object(mut sent) = request_bodies::event_patch(head) else {
            return;
        };
        let tags = sent.shift_remove("Tag");
        self.event.extend(sent);
        set_tags(self.event, tags);
    }

    fn patch_attribute(&mut self, uuid: &Uuid, change: &AttributePatch) {
        let Value::Object(mut sent) = request_bodies::attribute_patch(uuid, change) else {
            return;
        };
        let tags = sent.shift_remove("Tag");
        sent.insert("timestamp".to_owned(), Value::from(self.timestamp.clone()));
        if let Some(deleted) = change.deleted {
            sent.insert("deleted".to_owned(), Value::from(deleted));
        }

        for list in attribute_lists(self.event) {
            for attribute in list
                .iter_mut()
                .filter(|one| has_uuid(one, uuid))
                .filter_map(Value::as_object_mut)
            {
                attribute.extend(sent.clone());
                set_tags(attribute, tags.clone());
            }
        }
    }

    /// Takes an attribute out, and its object with the last one.
    fn remove(&mut self, uuid: &Uuid) {
        attribute_lists(self.event)
            .into_iter()
            .for_each(|list| list.retain(|one| !has_uuid(one, uuid)));
        if let Some(objects) = self.event.get_mut("Object").and_then(Value::as_array_mut) {
            let is_emptied = |object: &Value| {
                object
                    .get("Attribute")
                    .and_then(Value::as_array)
                    .is_some_and(Vec::is_empty)
            };

            objects.retain(|object| !is_emptied(object));
        }
    }
}

/// The lists of attributes in an event: its own, and those of its objects.
fn attribute_lists(event: &mut Map<String, Value>) -> Vec<&mut Vec<Value>> {
    let mut lists = Vec::new();

    for (name, value) in event.iter_mut() {
        match (name.as_str(), value) {
            ("Attribute", Value::Array(list)) => lists.push(list),
            ("Object", Value::Array(objects)) => {
                let of_objects = objects
                    .iter_mut()
                    .filter_map(|object| object.get_mut("Attribute")?.as_array_mut());
                lists.extend(of_objects);
            }
            _ => {}
        }
    }

    lists
}

fn has_uuid(attribute: &Value, uuid: &Uuid) -> bool {
    let written = attribute
        .get("uuid")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Uuid::parse_str(written).is_ok_and(|written| written == *uuid)
}

/// Adds tags and takes off those with `deleted`.
fn set_tags(holder: &mut Map<String, Value>, tags: Option<Value>) {
    let Some(Value::Array(tags)) = tags else {
        return;
    };
    let list = holder.entry("Tag").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else {
        return;
    };
    let name = |tag: &Value| {
        tag.get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    };

    for tag in tags {
        list.retain(|known| name(known) != name(&tag));
        if tag.get("deleted").is_none() {
            list.push(tag);
        }
    }
}
