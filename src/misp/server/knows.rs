//! What a server knows beside its events: who we are, its attribute types, its tags, its warninglists.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::account::Account;
use super::{Server, elements};
use crate::json::Element;
use crate::misp::tags::{Rights, Row, TagNames};
use crate::misp::wire::Event;
use crate::types::ServerTypes;

/// Who we are there.
#[derive(Clone, Debug)]
pub struct Me {
    /// The uuid of our organisation.
    pub organisation: String,
    /// What we may do with tags.
    pub rights: Rights,
}

impl Server {
    /// Who we are, asked once (`fixtures/wire/misp/013-users-view-me-partner.json`).
    ///
    /// # Errors
    /// That the server does not say.
    pub fn me(&self) -> Result<&Me> {
        if let Some(me) = self.me.get() {
            return Ok(me);
        }
        let Account { user, role, organisation } = self.account()?;
        let rights = Rights {
            user: user.id,
            organisation: organisation.id,
            makes: role.may(role.tag_editor),
            sets: role.may(role.tagger),
        };
        let organisation = organisation.uuid;
        Ok(self.me.get_or_init(|| Me { organisation, rights }))
    }

    /// True if an event's organisation is that of the key's user.
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn owns(&self, event: &Event) -> Result<bool> {
        let own = &self.me()?.organisation;
        Ok(event.orgc.as_ref().is_none_or(|orgc| orgc.uuid.eq_ignore_ascii_case(own)))
    }

    /// What these tags are called here (`fixtures/wire/misp/401-tags-search-list.json`). Who we are is asked only if that
    /// decides something.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn tag_names(&self, wanted: &[&str]) -> Result<TagNames> {
        const NAMES: usize = 500;
        const MOST: usize = 10_000;
        let mut rows: Vec<Row> = Vec::new();
        for names in TagNames::asked(wanted).chunks(NAMES) {
            let body = json!({"tag": names});
            let found = self.ask("tags/search", &body, |answer| elements::<Row>(answer, &[], MOST))?;
            rows.extend(found.into_iter().filter_map(|row| match row {
                Element::Good(row) => Some(row),
                Element::Bad(_) => None,
            }));
        }
        let nobody = Rights::default();
        let rights = if TagNames::depends_on_rights(wanted, &rows) { &self.me()?.rights } else { &nobody };
        Ok(TagNames::new(wanted, &rows, rights))
    }

    /// The attribute types of this server, by category (`fixtures/wire/misp/describeTypes.json`).
    ///
    /// # Errors
    /// That the server does not describe them.
    pub fn types(&self, version: &str) -> Result<ServerTypes> {
        let (line, described) =
            self.get("attributes/describeTypes.json", |answer| Ok((answer.line().to_owned(), answer.value()?)))?;
        let mappings = described.pointer("/result/category_type_mappings").and_then(Value::as_object);
        let mappings = mappings.with_context(|| format!("{line}: the answer has no category_type_mappings"))?;
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        };
        Ok(ServerTypes::new(mappings.iter().map(|(category, list)| (category, texts(list))), version))
    }

    /// The warninglists that have one of these values, by value (`fixtures/wire/misp/244-warninglist-check.json`; without a
    /// hit the answer is an empty list, `fixtures/wire/misp/245-warninglist-check-nomatch.json`).
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn warninglists(&self, values: &[&str]) -> Result<HashMap<String, Vec<String>>> {
        const VALUES: usize = 5_000;
        let mut hits = HashMap::new();
        for values in values.chunks(VALUES) {
            let found = self.ask("warninglists/checkValue", &json!(values), |answer| answer.read::<Value>())?;
            let Value::Object(found) = found else { continue };
            for (value, lists) in found {
                // PHP writes a list with gaps as an object.
                let lists: Vec<Value> = match lists {
                    Value::Array(lists) => lists,
                    Value::Object(lists) => lists.into_iter().map(|(_, list)| list).collect(),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => continue,
                };
                let names = lists.iter().filter_map(|list| list.get("name")?.as_str()).map(ToOwned::to_owned);
                hits.insert(value, names.collect());
            }
        }
        Ok(hits)
    }
}
