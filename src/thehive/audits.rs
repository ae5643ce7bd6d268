//! What TheHive remembers of observables.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::TheHive;
use super::cases::{filter, is_one_of, page};
use crate::json::{self, Element};

/// Observables asked for at once.
const OBSERVABLES: usize = 200;
/// Audits of these that are read at the most: an older message that is not read only makes a
/// comment somebody's own.
const MOST: usize = 10_000;
/// Only v0 tells what an audit is about
/// (`fixtures/wire/thehive/582-query-audits-of-observables-v0.json`).
const QUERY: &str = "api/v0/query?name=cortex-misp";

#[derive(Deserialize)]
struct Audit {
    base: Base,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Base {
    #[serde(rename = "objectId", deserialize_with = "json::text")]
    object: String,
    #[serde(deserialize_with = "json::text")]
    operation: String,
    #[serde(deserialize_with = "json::object")]
    details: Option<Details>,
}

/// What changed, or all of a new record.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    message: Option<String>,
}

impl TheHive {
    /// The messages that these observables of a TheHive 4 have or had, by their `_id`, as far as it
    /// remembers: it does not of what a case got from an alert.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn messages_of(&self, observables: &[&str]) -> Result<HashMap<String, Vec<String>>> {
        let mut messages: HashMap<String, Vec<String>> = HashMap::new();

        for some in observables.chunks(OBSERVABLES) {
            let query = json!([
                {"_name": "listAudit"},
                filter(&[is_one_of("objectId", some)]),
                page(0, MOST),
            ]);

            let audits = self
                .list_by::<Audit>(QUERY, &query, MOST)
                .context("asking for the observables' messages")?;

            for Base {
                object,
                operation,
                details,
            } in audits
                .into_iter()
                .filter_map(Element::into_option)
                .map(|audit| audit.base)
            {
                let message = details.and_then(|details| details.message);
                // One that was created without a message had an empty one; a change without
                // a message is one of something else.
                let message = message.or_else(|| (operation == "Creation").then(String::new));
                messages.entry(object).or_default().extend(message);
            }
        }

        Ok(messages)
    }
}
