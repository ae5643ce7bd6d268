//! What is asked of TheHive by `POST /api/v1/query`: a list of operations, each working on what the
//! one before gave.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::case_observables::CaseObservables;
use super::observables::Holder;
use super::wire::{AlertOrigin, Observable};
use super::write_error::is_not_found;
use super::{TheHive, explain_failure, is_id};
use crate::http::{self, HttpError, Response};
use crate::json::{self, Element, JsonStream};

/// An observable with what it belongs to.
#[derive(Deserialize)]
struct Linked {
    #[serde(flatten)]
    observable: Observable,
    #[serde(rename = "extraData", default)]
    extra: Extra,
}

/// What is told beside an observable.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Extra {
    links: Value,
    #[serde(rename = "isOwner")]
    is_owner: Value,
}

impl Extra {
    /// The case, whose owner the observable's is, if it is as v0 writes it: in another form
    /// something of it may be lacking.
    fn fetch_case(mut self) -> Option<Value> {
        let mut case = self.links.get_mut("case")?.take();
        let fields = case.as_object_mut()?;
        let is_v0 = fields.get("_type").is_some_and(|kind| kind == "case");
        let has = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
        if !is_v0
            || !["_id", "title", "createdAt", "tlp", "pap", "tags"]
                .iter()
                .all(has)
        {
            return None;
        }
        // As a case that is asked for has it (`query_one_case`), so that both are read alike.
        fields.insert("extraData".to_owned(), json!({"isOwner": self.is_owner}));
        Some(case)
    }
}

/// A case, and what it holds.
pub struct CaseWithIocs {
    /// The case.
    pub case: Value,
    /// Its IOC observables.
    pub observables: CaseObservables,
    /// The alerts that it was made of, if they were asked for.
    pub alerts: Option<Result<Vec<Element<AlertOrigin>>>>,
    /// Its procedures, if they were asked for.
    pub procedures: Option<Result<Vec<Element<CaseProcedure>>>>,
}

/// What is asked of a case beside its IOC observables.
#[derive(Clone, Copy, Debug, Default)]
pub struct CaseQuestions {
    /// The alerts that it was made of.
    pub alerts: bool,
    /// Its procedures.
    pub procedures: bool,
    /// Its links.
    pub links: bool,
}

/// A procedure (TTP) of a case: an ATT&CK technique.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, from = "ProcedureRow")]
pub struct CaseProcedure {
    /// The technique's number, `T1566.001`.
    pub number: String,
    /// What TheHive's catalogue calls it; empty if TheHive does not say.
    pub name: String,
}

/// A procedure as TheHive writes it: TheHive 5 names the pattern beside its number, TheHive 4 if the
/// pattern is asked for (`fixtures/wire/thehive/595-query-procedures-of-case.json`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProcedureRow {
    #[serde(rename = "patternId", deserialize_with = "json::text")]
    number: String,
    #[serde(rename = "patternName", deserialize_with = "json::text")]
    name: String,
    #[serde(rename = "extraData", deserialize_with = "json::object_or_default")]
    extra: ProcedureExtra,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProcedureExtra {
    #[serde(deserialize_with = "json::object_or_default")]
    pattern: Pattern,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pattern {
    #[serde(deserialize_with = "json::text")]
    name: String,
}

impl From<ProcedureRow> for CaseProcedure {
    fn from(row: ProcedureRow) -> Self {
        let ProcedureRow {
            number,
            name,
            extra,
        } = row;
        let name = if name.is_empty() {
            extra.pattern.name
        } else {
            name
        };
        Self { number, name }
    }
}

/// Procedures that a case is asked for: ATT&CK has no more techniques.
pub const MOST_PROCEDURES: usize = 1_000;
/// Alerts of MISP events that a case is asked for.
const ALERTS: usize = 100;
/// What is said of a case that is not shown.
pub const NO_CASE: &str =
    "the case does not exist, or the user of \"thehive_key\" may not see it (organisation?)";
const QUERY: &str = "api/v1/query?name=cortex-misp";

/// The part of a list that is asked for.
pub(super) fn page(from: usize, number: usize) -> Value {
    json!({"_name": "page", "from": from, "to": from.saturating_add(number)})
}

/// The order in which nothing new comes before what was read.
pub(super) fn oldest_first() -> Value {
    json!({"_name": "sort", "_fields": [{"_createdAt": "asc"}, {"_id": "asc"}]})
}

/// The condition that a field has this value.
pub(super) fn is(field: &str, value: impl Into<Value>) -> Value {
    json!({"_is": {"_field": field, "_value": value.into()}})
}

/// The condition that a field has one of these values.
pub(super) fn is_one_of(field: &str, values: &[impl Serialize]) -> Value {
    json!({"_in": {"_field": field, "_values": values}})
}

/// What all these conditions hold for.
pub(super) fn filter(conditions: &[Value]) -> Value {
    match conditions {
        [condition] => {
            let mut filter = condition.clone();
            json::set(&mut filter, "_name", json!("filter"));
            filter
        }
        conditions => json!({"_name": "filter", "_and": conditions}),
    }
}

fn check_case_id(id: &str) -> Result<()> {
    ensure!(is_id(id), "the job's \"_id\" is not that of a case");
    Ok(())
}

fn read_list<T: for<'de> Deserialize<'de>>(
    answer: Response,
    most: usize,
) -> Result<Vec<Element<T>>> {
    let line = answer.request_line().to_owned();
    let list = JsonStream::new(answer.into_body()).collect(&[], most, &mut Some::<Element<T>>);
    list.with_context(|| format!("{line}: reading the list"))
}

impl TheHive {
    /// A case, by its id, with `extraData.shareCount` and `extraData.isOwner`, which tell whether
    /// the case is shared and whose it is. It is asked for as TheHive 4's own web interface does,
    /// since `GET /api/v1/case` has no extra data there. For an unknown case both versions answer
    /// with an empty list, or 404. Whether the user is one of the organisation is asked before:
    /// TheHive 4 itself shows the case to the user of any.
    ///
    /// # Errors
    /// That it does not exist for this user, or that the user does not belong to the organisation.
    pub fn case(&self, id: &str) -> Result<Value> {
        check_case_id(id)?;
        self.user()?;
        self.query_case(id, false)
    }

    /// The same with its IOC observables and what else is asked of it, by questions that are put at
    /// the same time.
    ///
    /// # Errors
    /// See [`Self::case`]; or what stopped the reading of the observables.
    pub fn case_with_iocs(&self, id: &str, asked: CaseQuestions) -> Result<CaseWithIocs> {
        check_case_id(id)?;
        self.user()?;
        let fetch_case = || self.query_case(id, asked.links);
        let fetch_procedures = || asked.procedures.then(|| self.fetch_procedures(id));
        let fetch_alerts = || asked.alerts.then(|| self.fetch_alerts_of_case(id));
        let ((case, procedures), (observables, alerts)) = http::at_once(
            || http::at_once(fetch_case, fetch_procedures),
            || {
                http::at_once(
                    || self.fetch_ioc_observables(Holder::Case(id)),
                    fetch_alerts,
                )
            },
        );

        Ok(CaseWithIocs {
            // The case first: where it is not shown, the other errors say less.
            case: case?,
            observables: observables?,
            alerts,
            procedures,
        })
    }

    /// TheHive 4 takes no notice of the links that it does not have
    /// (`fixtures/wire/thehive/594-query-case-with-links.json`).
    fn query_case(&self, id: &str, with_links: bool) -> Result<Value> {
        let extra: &[&str] = if with_links { &["links"] } else { &[] };
        self.query_one_case(
            vec![json!({"_name": "getCase", "idOrName": id})],
            NO_CASE,
            extra,
        )
    }

    /// The procedures of a case, each with its pattern, since TheHive 4 names that nowhere else; the
    /// first [`MOST_PROCEDURES`].
    fn fetch_procedures(&self, case: &str) -> Result<Vec<Element<CaseProcedure>>> {
        let mut page = page(0, MOST_PROCEDURES);
        json::set(&mut page, "extraData", json!(["pattern"]));
        let query = json!([
            {"_name": "getCase", "idOrName": case},
            {"_name": "procedures"},
            page,
        ]);

        self.list(query, MOST_PROCEDURES)
    }

    /// Adds an address to the links of a case, which TheHive has since 5.5.
    ///
    /// # Errors
    /// That this TheHive is older, or what it refused.
    pub fn add_external_link(&self, case: &str, kind: &str, address: &str) -> Result<()> {
        ensure!(
            self.has_external_links()?,
            "this TheHive is older than 5.5, which has them first"
        );
        let path = format!("api/v1/case/{case}/link/external/add");
        let link = json!({"type": kind, "url": address});
        self.client
            .post_change(&path, &link)
            .map_err(explain_failure)
    }

    /// An alert, by its id.
    ///
    /// # Errors
    /// That it does not exist for this user, or that the user does not belong to the organisation.
    pub fn alert(&self, id: &str) -> Result<Value> {
        const NO_ALERT: &str = "the alert does not exist, or the user of \"thehive_key\" may not \
            see it (organisation?)";

        ensure!(is_id(id), "the job's \"_id\" is not that of an alert");
        self.user()?;
        self.query_one(vec![Holder::Alert(id).operation(), page(0, 1)], NO_ALERT)
    }

    /// The id of the case that an alert went into, if it did.
    ///
    /// # Errors
    /// See [`Self::alert`].
    pub fn case_of_alert(&self, alert: &str) -> Result<Option<String>> {
        let alert = self.alert(alert)?;
        let case = alert.get("caseId").and_then(Value::as_str);
        Ok(case.map(ToOwned::to_owned))
    }

    /// An alert with its IOC observables, by questions that are put at the same time.
    ///
    /// # Errors
    /// See [`Self::alert`]; or what stopped the reading of the observables.
    pub fn alert_with_iocs(&self, id: &str) -> Result<(Value, CaseObservables)> {
        ensure!(is_id(id), "the job's \"_id\" is not that of an alert");
        self.user()?;
        let (alert, observables) = http::at_once(
            || self.alert(id),
            || self.fetch_ioc_observables(Holder::Alert(id)),
        );
        Ok((alert?, observables?))
    }

    /// True if a case or an alert is there and the user may see it. For one that is not, both
    /// versions answer with an empty list, or 404.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn has(&self, holder: Holder<'_>) -> Result<bool> {
        ensure!(
            is_id(holder.id()),
            "\"{}\" is not the id of a case",
            crate::secret::truncate_text(holder.id(), 40)
        );

        let query = json!([holder.operation(), page(0, 1)]);

        self.client.retry(|| match self.query(&query) {
            Ok(answer) => {
                let line = answer.request_line().to_owned();
                let cases = answer.read_value()?;
                Ok(!cases
                    .as_array()
                    .with_context(|| format!("{line}: the answer is no list"))?
                    .is_empty())
            }
            Err(failure) if is_not_found(&failure) => Ok(false),
            Err(failure) => Err(explain_failure(failure)),
        })
    }

    /// True if the organisation has a case template of this name. TheHive 4 passes over one that is
    /// not there without a word (its `AlertCtrl.scala`).
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn has_case_template(&self, name: &str) -> Result<bool> {
        let is_it = filter(&[is("name", name)]);
        let query = json!([{"_name": "listCaseTemplate"}, is_it, page(0, 1)]);
        // Nothing is read of it, so any type with lenient fields will do.
        Ok(!self.list::<AlertOrigin>(query, 1)?.is_empty())
    }

    /// An observable as TheHive has it now, and its case in the same answer, as far as TheHive
    /// shows it there: TheHive 4 writes it as its v0 does
    /// (`fixtures/wire/thehive/580-query-observable-with-its-case.json`). Else it is to be asked
    /// for ([`TheHive::fetch_case_of_observable`]).
    ///
    /// # Errors
    /// That there is none for this user, that it cannot be read, or that the user does not belong
    /// to the organisation.
    pub fn fetch_observable(&self, id: &str) -> Result<(Observable, Option<Value>)> {
        ensure!(is_id(id), "the job's \"_id\" is not that of an observable");
        self.user()?;
        let mut page = page(0, 1);
        json::set(&mut page, "extraData", json!(["links", "isOwner"]));
        let query = json!([{"_name": "getObservable", "idOrName": id}, page]);

        match self.list::<Linked>(query, 1)?.pop() {
            Some(Element::Good(Linked { observable, extra })) => {
                Ok((observable, extra.fetch_case()))
            }
            Some(Element::Bad(flaw)) => bail!(flaw.describe("the observable")),
            None => {
                let nothing = "the observable does not exist, or the user of \"thehive_key\" may \
                    not see it (organisation?)";
                bail!("{nothing}{}", self.advise_of_restricted_cases())
            }
        }
    }

    /// The case of an observable, as [`TheHive::case`] gives it.
    ///
    /// # Errors
    /// That there is none for this user, as for an observable of an alert.
    pub fn fetch_case_of_observable(&self, observable: &str) -> Result<Value> {
        ensure!(
            is_id(observable),
            "the job's \"_id\" is not that of an observable"
        );
        let nothing = "the observable belongs to no case that the user of \"thehive_key\" may see \
            (organisation?)";
        self.query_one_case(
            vec![
                json!({"_name": "getObservable", "idOrName": observable}),
                json!({"_name": "case"}),
            ],
            nothing,
            &[],
        )
    }

    fn query_one_case(
        &self,
        mut operations: Vec<Value>,
        nothing: &str,
        extra: &[&str],
    ) -> Result<Value> {
        let mut page = page(0, 1);
        let extra = [&["shareCount", "isOwner"], extra].concat();
        json::set(&mut page, "extraData", json!(extra));
        operations.push(page);
        self.query_one(operations, nothing)
    }

    /// What a query gives of which one record is asked for; `nothing` is said if there is none.
    fn query_one(&self, operations: Vec<Value>, nothing: &str) -> Result<Value> {
        let operations = Value::from(operations);
        let nothing = || format!("{nothing}{}", self.advise_of_restricted_cases());
        let (line, mut records) = self.client.retry(|| {
            let answer =
                self.query(&operations)
                    .map_err(|failure| match is_not_found(&failure) {
                        true => failure.with_help(nothing()).into(),
                        false => explain_failure(failure),
                    })?;
            Ok((answer.request_line().to_owned(), answer.read_value()?))
        })?;
        let record = records.as_array_mut().and_then(|list| list.pop());
        record.with_context(|| format!("{line}: {}", nothing()))
    }

    /// What is said beside that a case is not shown, where it may be one of those that only named
    /// users see.
    fn advise_of_restricted_cases(&self) -> String {
        let (version, user) = (self.cached_greeting(), self.user());
        match (version, user) {
            (Ok(version), Ok(user)) if version.has_restricted_cases() => format!(
                "; this may be a restricted case: allow the user {} of \"thehive_key\" to see it",
                user.login
            ),
            _ => String::new(),
        }
    }

    /// The alerts of MISP events that a case was made from, or that were merged into it; the first
    /// 100 of them.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_alerts_of_case(&self, case: &str) -> Result<Vec<Element<AlertOrigin>>> {
        let query = json!([
            {"_name": "getCase", "idOrName": case},
            {"_name": "alerts"},
            filter(&[is("type", super::alerts::TYPE)]),
            page(0, ALERTS),
        ]);

        self.list(query, ALERTS)
    }

    /// The number that a query that ends in a count gives.
    pub fn query_count(&self, operations: &Value) -> Result<u64> {
        let (line, count) = self.client.retry(|| {
            let answer = self.query(operations).map_err(explain_failure)?;
            Ok((answer.request_line().to_owned(), answer.read_value()?))
        })?;
        count
            .as_u64()
            .with_context(|| format!("{line}: the answer is no count"))
    }

    /// The elements of a list, of which a query may ask for so many.
    pub fn list<T: for<'de> Deserialize<'de>>(
        &self,
        operations: Value,
        most: usize,
    ) -> Result<Vec<Element<T>>> {
        self.list_by(QUERY, &operations, most)
    }

    /// The same, and how many the last page would have in all if it had no end, as far as TheHive
    /// says it: it counts to a thousand (`fixtures/wire/thehive/538-x-total-above-1000.json`), and
    /// only if it is asked to (`extraData`).
    pub fn list_with_total<T: for<'de> Deserialize<'de>>(
        &self,
        operations: Value,
        most: usize,
    ) -> Result<(Vec<Element<T>>, Option<u64>)> {
        self.client.retry(|| {
            let answer = self.query(&operations).map_err(explain_failure)?;
            let total = answer.header("x-total").parse().ok();
            Ok((read_list(answer, most)?, total))
        })
    }

    /// The same by this route.
    pub fn list_by<T: for<'de> Deserialize<'de>>(
        &self,
        route: &str,
        operations: &Value,
        most: usize,
    ) -> Result<Vec<Element<T>>> {
        self.client.retry(|| {
            let answer = self
                .client
                .post(route, &json!({"query": operations}))
                .map_err(explain_failure)?;
            read_list(answer, most)
        })
    }

    /// The same for a list whose elements have names. One that has none is no sign of a bad element
    /// but of a bad answer.
    pub fn named_list<T: for<'de> Deserialize<'de>>(
        &self,
        operations: Value,
        most: usize,
    ) -> Result<Vec<Element<T>>> {
        let list = self.list(operations, most)?;
        for element in &list {
            if let Element::Bad(flaw) = element {
                ensure!(flaw.is_named(), "{}", flaw.describe("what TheHive lists"));
            }
        }

        Ok(list)
    }

    fn query(&self, operations: &Value) -> Result<Response, HttpError> {
        self.client.post(QUERY, &json!({"query": operations}))
    }
}
