//! The event's address as an external link of the case, which TheHive has since 5.5. An operation of
//! a responder for it there is not, so that TheHive is asked to add it.

use serde_json::Value;

use super::connection::ConnectionExport;
use super::event_tags;
use crate::report::EventRow;

/// What TheHive shows as the kind of the link.
const KIND: &str = "MISP";

impl ConnectionExport<'_> {
    /// Adds the event's page to the links of the case, unless it is among them. That it cannot be
    /// added stops nothing: a tag names the event all the same.
    pub fn add_external_link(&self, event: Option<&EventRow>) {
        // An alert has no such links.
        if self.input.case.is_alert {
            return;
        }
        let page = event.and_then(|event| Some((event.link.as_deref()?, &event.uuid)));
        let (Some((page, uuid)), true) = (page, self.settings.add_external_link) else {
            return;
        };
        let (Some(thehive), Some(links)) = (self.job.thehive, &self.input.links) else {
            self.part
                .warn("the event is no external link of the case: TheHive cannot be asked");
            return;
        };
        // A TheHive that does not say which links there are is asked to add it once.
        let tags = event_tags::of_connection(&self.input.case.tags, &self.connection.name);
        let is_named = || tags.iter().any(|tag| tag.uuid.to_string() == *uuid);
        if has_text(links, page) || (links.is_null() && is_named()) {
            return;
        }

        if self.job.dry_run {
            self.part
                .add_note("the event would be added to the case as an external link");
            return;
        }
        match thehive.add_external_link(&self.input.case.id, KIND, page) {
            Ok(()) => self
                .part
                .add_note("the event was added to the case as an external link"),
            Err(error) => self.part.warn(format!(
                "the event was not added to the case as an external link: {error:#}"
            )),
        }
    }
}

/// True if a text stands somewhere in the links of a case, whatever else is said of them.
fn has_text(links: &Value, text: &str) -> bool {
    match links {
        Value::String(held) => held == text,
        Value::Array(list) => list.iter().any(|link| has_text(link, text)),
        Value::Object(members) => members.values().any(|link| has_text(link, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
