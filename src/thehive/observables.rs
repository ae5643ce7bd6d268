//! Observables of alerts and cases: which ones there are, adding, changing and deleting them.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::cases::{filter, is, is_one_of, oldest_first, page};
use super::wire::{Attachment, Observable};
use super::{FILE, Refusal, TheHive, ensure_id, is_id};
use crate::http::{FormFile, HttpError, PagedList, RowOrder};
use crate::json::{self, Element};

/// Observables of a page.
pub const OBSERVABLES_PAGE: usize = 1_000;
/// Values that are asked for at once.
const VALUES: usize = 1_900;
/// As much of a body is not values, in bytes.
const AROUND: usize = 1_000;
/// So many observables of one alert may have the same value: one of each type that TheHive has, and
/// not nearly.
const SAME: usize = 100;

/// Observables that differ in nothing but their value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservableBatch {
    /// The type of all.
    pub data_type: String,
    /// The value of each. TheHive passes blank ones over without a word.
    pub data: Vec<String>,
    /// The TLP of all, on this TheHive's scale.
    pub tlp: u8,
    /// The tags of all, each once.
    pub tags: Vec<String>,
    /// The comment of all; none if empty.
    pub message: String,
    /// Whether they are indicators of compromise.
    pub ioc: bool,
    /// Its PAP; only TheHive 5 has one for observables.
    pub pap: u8,
    /// True if nothing alike is looked for; only TheHive 5 is told.
    pub ignore_similarity: bool,
}

/// What became of observables that were to be added. What is in neither list was not answered for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddResult {
    /// The values that are there now by this call, as TheHive stores them (see
    /// [`super::ObservableTypes::identity_key`]). `file:` and its name for a file.
    pub there: Vec<String>,
    /// The values that are not, each with TheHive's reason.
    pub refused: Vec<(String, Refusal)>,
}

/// What observables are added to, by its `_id`.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// An alert.
    Alert(&'a str),
    /// A case.
    Case(&'a str),
}

impl<'a> Holder<'a> {
    /// Its `_id`.
    pub fn id(self) -> &'a str {
        let (Self::Alert(id) | Self::Case(id)) = self;
        id
    }

    /// The operation of a query that begins with it.
    pub(super) fn operation(self) -> Value {
        let name = match self {
            Self::Alert(_) => "getAlert",
            Self::Case(_) => "getCase",
        };
        json!({"_name": name, "idOrName": self.id()})
    }
}

/// A file that goes with a group without values.
#[derive(Clone, Copy)]
pub struct FileUpload<'a> {
    /// The file.
    pub file: &'a FormFile,
    /// With a password it is taken as a zip, and each file in it becomes an observable (both
    /// versions understand that: TheHive 4's `v1/ObservableCtrl.scala`).
    pub zip_password: Option<&'a str>,
}

impl TheHive {
    /// Those observables of an alert that can be read and have one of these values, in the form in
    /// which TheHive stores them (see [`super::ObservableTypes::identity_key`]), whatever their
    /// type. Asked for in as many queries as the values need.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_observables_by_value(
        &self,
        alert: &str,
        data: &[&str],
    ) -> Result<Vec<Observable>> {
        let limit = self.body_limit()?.saturating_sub(AROUND);
        let mut found = Vec::new();
        for some in split(data, limit) {
            let most = some.len().saturating_mul(SAME);
            let filter = filter(&[is_one_of("data", some)]);
            let listed = self.query_observables(alert, &[filter], 0, most)?;
            found.extend(listed.into_iter().filter_map(Element::into_option));
        }

        Ok(found)
    }

    /// Hands over all observables of an alert that can be read, the oldest first, a thousand at a
    /// time. None may be added or deleted meanwhile: that would shift the pages.
    ///
    /// # Errors
    /// What stopped the reading, or the error of `on`.
    pub fn for_each_observable(
        &self,
        alert: &str,
        on: &mut dyn FnMut(Observable) -> Result<()>,
    ) -> Result<()> {
        self.for_each_matching(alert, None, on)
    }

    /// The observables of an alert that are files.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_file_observables(&self, alert: &str) -> Result<Vec<Observable>> {
        let filter = filter(&[is("dataType", FILE)]);
        let mut files = Vec::new();
        self.for_each_matching(alert, Some(filter), &mut |file| {
            files.push(file);
            Ok(())
        })?;
        Ok(files)
    }

    fn for_each_matching(
        &self,
        alert: &str,
        filter: Option<Value>,
        on: &mut dyn FnMut(Observable) -> Result<()>,
    ) -> Result<()> {
        let operations: Vec<Value> = filter.into_iter().chain([oldest_first()]).collect();
        let list = PagedList {
            limit: OBSERVABLES_PAGE,
            order: RowOrder::Name(|row: &Element<Observable>| row.id(|observable| &observable.id)),
            repeated: "TheHive sends the same page again and again",
        };

        list.for_each_page(
            |page| self.query_observables(alert, &operations, page.offset(), page.limit),
            |page| {
                let mut rows = page.rows.into_iter().filter_map(Element::into_option);
                rows.try_for_each(&mut *on)?;
                Ok(!page.is_full)
            },
        )
    }

    fn query_observables(
        &self,
        alert: &str,
        operations: &[Value],
        from: usize,
        number: usize,
    ) -> Result<Vec<Element<Observable>>> {
        ensure!(is_id(alert), "the id that TheHive gave an alert is none");
        let mut query = vec![
            json!({"_name": "getAlert", "idOrName": alert}),
            json!({"_name": "observables"}),
        ];
        query.extend_from_slice(operations);
        query.push(page(from, number));

        self.named_list(query.into(), number)
            .context("reading the observables of an alert")
    }

    /// Adds observables to an alert or a case, in one call, each by itself: some may be refused
    /// while others are added. With a file, what a group without values says of it.
    ///
    /// # Errors
    /// See [`super::WriteError`]; TheHive 5 refuses the whole group for one value that is too long.
    pub fn add_observables(
        &self,
        holder: Holder<'_>,
        group: &ObservableBatch,
        file: Option<FileUpload<'_>>,
    ) -> Result<AddResult, HttpError> {
        let is_five = self.is_five_for_write()?;
        let path = match holder {
            Holder::Case(id) => format!("api/v1/case/{}/observable", ensure_id(id)?),
            Holder::Alert(id) if is_five => format!("api/v1/alert/{}/observable", ensure_id(id)?),
            // TheHive 4 has the route by this name.
            Holder::Alert(id) => format!("api/v1/alert/{}/artifact", ensure_id(id)?),
        };
        let mut observable = batch_to_json(group, is_five);

        let answer = match file {
            None => self.client.post(&path, &observable)?,
            Some(FileUpload { file, zip_password }) => {
                if let Some(password) = zip_password {
                    json::set(&mut observable, "isZip", json!(true));
                    json::set(&mut observable, "zipPassword", json!(password));
                }
                self.client
                    .post_form(&path, &observable, std::slice::from_ref(file))?
            }
        };

        let line = answer.request_line().to_owned();
        let Answered(added) = answer
            .read_as()
            .map_err(|error| HttpError::unreadable_answer(line, &error))?;
        Ok(added)
    }

    /// Changes fields of many observables alike: all of them, or none if one is not there (404;
    /// TheHive 4's `v1/ObservableCtrl.scala`, `bulkUpdate`, and TheHive 5's OpenAPI,
    /// `InputUpdateObservableWithIds`).
    ///
    /// # Errors
    /// See [`super::WriteError`].
    pub fn change_observables(
        &self,
        ids: &[&str],
        change: &Map<String, Value>,
    ) -> Result<(), HttpError> {
        if let [id] = ids {
            return self
                .client
                .patch(&format!("api/v1/observable/{}", ensure_id(id)?), change);
        }

        ids.iter().try_for_each(|id| ensure_id(id).map(drop))?;
        let mut body = change.clone();
        body.insert("ids".to_owned(), json!(ids));

        self.client.patch("api/v1/observable/_bulk", &body)
    }

    /// Deletes an observable.
    ///
    /// # Errors
    /// See [`super::WriteError`].
    pub fn delete_observable(&self, id: &str) -> Result<(), HttpError> {
        self.client
            .delete(&format!("api/v1/observable/{}", ensure_id(id)?))
    }
}

/// A group as it is sent.
pub(super) fn batch_to_json(group: &ObservableBatch, is_five: bool) -> Value {
    let ObservableBatch {
        data_type,
        data,
        tlp,
        tags,
        message,
        ioc,
        pap,
        ignore_similarity,
    } = group;

    let mut out = json!({"dataType": data_type, "tlp": tlp, "tags": tags, "ioc": ioc});
    if is_five {
        json::set(&mut out, "pap", json!(pap));
    }
    if is_five && *ignore_similarity {
        json::set(&mut out, "ignoreSimilarity", json!(true));
    }
    if !data.is_empty() {
        json::set(&mut out, "data", json!(data));
    }
    if !message.is_empty() {
        json::set(&mut out, "message", json!(message));
    }

    out
}

/// Parts of a list of values that take at most so many bytes as JSON, and are at most so many.
fn split<'d>(data: &'d [&'d str], limit: usize) -> Vec<&'d [&'d str]> {
    let mut parts = Vec::new();
    let mut rest = data;

    while !rest.is_empty() {
        let mut left = limit;
        let fits = |value: &&&str| {
            let bytes = json!(value).to_string().len() + 1;
            left.checked_sub(bytes).map(|less| left = less).is_some()
        };
        let number = rest.iter().take(VALUES).take_while(fits).count();
        // A single value that is too long goes by itself: TheHive says what is wrong with it.
        let (part, others) = rest.split_at(number.max(1));
        parts.push(part);
        rest = others;
    }

    parts
}

/// The answer to observables that were added: a list of them, or what was added and what was not
/// (TheHive 4's `v1/ObservableCtrl.scala`).
struct Answered(AddResult);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Partly {
    #[serde(deserialize_with = "json::objects")]
    success: Vec<Stored>,
    #[serde(deserialize_with = "json::objects")]
    failure: Vec<Refused>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    #[serde(deserialize_with = "json::text")]
    data: String,
    #[serde(deserialize_with = "json::object")]
    attachment: Option<Attachment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    #[serde(rename = "type", deserialize_with = "json::text")]
    kind: String,
    #[serde(deserialize_with = "json::text")]
    message: String,
    #[serde(deserialize_with = "json::object")]
    object: Option<Stored>,
}

impl Stored {
    fn into_stored_value(self) -> String {
        self.attachment
            .filter(|_| self.data.is_empty())
            .map_or(self.data, |file| format!("file:{}", file.name))
    }
}

impl<'de> Deserialize<'de> for Answered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnsweredVisitor)
    }
}

struct AnsweredVisitor;

impl<'de> Visitor<'de> for AnsweredVisitor {
    type Value = Answered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the observables that were added")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Answered, A::Error> {
        let stored: Vec<Stored> = json::objects(SeqAccessDeserializer::new(seq))?;
        Ok(Answered(AddResult {
            there: stored.into_iter().map(Stored::into_stored_value).collect(),
            refused: Vec::new(),
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Answered, A::Error> {
        let Partly { success, failure } = Partly::deserialize(MapAccessDeserializer::new(map))?;

        let refused = failure.into_iter().map(|entry| {
            let Refused {
                kind,
                message,
                object,
            } = entry;

            (
                object.unwrap_or_default().into_stored_value(),
                Refusal { kind, message },
            )
        });

        Ok(Answered(AddResult {
            there: success.into_iter().map(Stored::into_stored_value).collect(),
            refused: refused.collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_by_bytes_and_number() {
        let lengths = |data: &[&str], limit| {
            split(data, limit)
                .iter()
                .map(|part| part.len())
                .collect::<Vec<_>>()
        };

        // Four bytes each, with quotes and comma; the last has nine.
        assert_eq!(lengths(&["a", "b", "c", "d", "\"\n\"1"], 8), [2, 2, 1]);
        assert_eq!(lengths(&["a"; 3], 1), [1, 1, 1]);
        assert_eq!(
            lengths(&["a"; 2 * VALUES + 1], usize::MAX),
            [VALUES, VALUES, 1]
        );
        assert_eq!(lengths(&[], 8), [0; 0]);
    }
}
