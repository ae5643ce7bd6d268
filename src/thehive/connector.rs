//! The Cortex behind TheHive, as TheHive shows it: the responders that a case can be given to, a
//! run of one, and which cases changed. TheHive 4 has these routes below `api/connector/cortex`
//! (its connector's `ActionCtrl.scala`), TheHive 5 below `api/v1/connector/cortex`
//! (its API documentation, "Cortex").

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cases::{filter, is, is_one_of, page};
use super::{TheHive, explain_failure, is_id};
use crate::http::HttpError;
use crate::json::{self, Element};

/// Cases that carry a tag which are read at the most, and changes.
const MOST: usize = 100_000;
/// Only v0 tells what an audit is about (`fixtures/wire/schedule/002-audits-of-changes.json`).
const V0_QUERY: &str = "api/v0/query?name=cortex-misp";

/// A responder that a case can be given to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Responder {
    /// What it is called by.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// `MISPExport_1_0`, unless the administrator named it otherwise.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// The Cortexes that have it, by their names in TheHive's configuration.
    #[serde(rename = "cortexIds", deserialize_with = "json::texts")]
    pub cortexes: Vec<String>,
}

/// A run of a responder, as it stands on a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Action {
    #[serde(rename = "_id", alias = "id", deserialize_with = "json::text")]
    id: String,
    #[serde(rename = "cortexJobId", deserialize_with = "json::text")]
    job: String,
    /// `Waiting`, `InProgress`, `Success`, `Failure`.
    #[serde(deserialize_with = "json::text")]
    pub status: String,
    /// The report: JSON as a text.
    #[serde(deserialize_with = "json::text")]
    pub report: String,
}

/// What tells a case from others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CaseName {
    /// `~12368`.
    #[serde(rename = "_id", deserialize_with = "json::text")]
    pub id: String,
    /// The number that people know it by.
    pub number: Value,
    #[serde(rename = "_createdAt")]
    created: Value,
    #[serde(rename = "_updatedAt")]
    updated: Value,
}

impl CaseName {
    fn changed_since(&self, moment: i64) -> bool {
        [&self.created, &self.updated]
            .iter()
            .any(|at| at.as_i64().is_some_and(|at| at >= moment))
    }
}

/// The tags by which cases are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseTag {
    /// Exactly this one.
    Named(String),
    /// All that begin so.
    StartingWith(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Audit {
    #[serde(deserialize_with = "json::object")]
    base: Option<AuditBase>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuditBase {
    #[serde(rename = "rootId", deserialize_with = "json::text")]
    root: String,
}

impl TheHive {
    fn connector(&self, path: &str) -> Result<String> {
        let version = if self.is_five()? { "v1/" } else { "" };
        Ok(format!("api/{version}connector/cortex/{path}"))
    }

    fn ask_connector<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        let path = self.connector(path)?;
        self.client.retry(|| {
            let answer = self.client.get(&path).map_err(explain_failure)?;
            answer.read_as()
        })
    }

    /// The responders that this case can be given to, and that this user may see.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn responders_for_case(&self, case: &str) -> Result<Vec<Responder>> {
        ensure!(is_id(case), "the id that TheHive gives the case is none");
        self.ask_connector(&format!("responder/case/{case}"))
    }

    /// Has Cortex run a responder on a case, as a click does. It is sent once, and never again:
    /// each is a run of its own.
    ///
    /// # Errors
    /// What TheHive says against it, or that nobody knows whether it runs.
    pub fn run_responder(&self, responder: &Responder, case: &str) -> Result<Action> {
        let mut body = json!({"responderId": responder.id, "objectType": "case", "objectId": case});
        if let Some(cortex) = responder.cortexes.first() {
            json::set(&mut body, "cortexId", json!(cortex));
        }
        let answer = self
            .client
            .post(&self.connector("action")?, &body)
            .map_err(explain_failure)?;
        let line = answer.request_line().to_owned();
        answer
            .read_as()
            .map_err(|error| HttpError::unreadable_answer(line, &error).into())
    }

    /// The same run as it stands now; none if the case does not list it.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_action(&self, case: &str, started: &Action) -> Result<Option<Action>> {
        let actions: Vec<Action> = self.ask_connector(&format!("action/case/{case}"))?;
        // TheHive 4 gives its actions no `_id` (`fixtures/wire/schedule/004-action-begun.json`).
        let is_it = |action: &Action| match started.job.is_empty() {
            true => action.id == started.id && !action.id.is_empty(),
            false => action.job == started.job,
        };
        Ok(actions.into_iter().find(is_it))
    }

    /// A case by the number that people know it by; none if the user does not see such a case.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn case_by_number(&self, number: u64) -> Result<Option<CaseName>> {
        let is_it = filter(&[is("number", number)]);
        let cases = self.read_cases(json!([{"_name": "listCase"}, is_it, page(0, 1)]))?;
        Ok(cases.into_iter().next())
    }

    /// The cases that carry a tag, by their numbers.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn cases_with_tag(&self, tag: &CaseTag) -> Result<Vec<CaseName>> {
        let condition = match tag {
            CaseTag::Named(name) => is("tags", name.as_str()),
            CaseTag::StartingWith(start) => {
                json!({"_startsWith": {"_field": "tags", "_value": start}})
            }
        };
        let query = json!([{"_name": "listCase"}, filter(&[condition]), page(0, MOST)]);
        let mut cases = self.read_cases(query)?;
        cases.sort_by_key(|case| case.number.as_u64());
        Ok(cases)
    }

    fn read_cases(&self, query: Value) -> Result<Vec<CaseName>> {
        let cases = self.list::<CaseName>(query, MOST)?;
        check_complete(cases.len())?;
        cases
            .into_iter()
            .map(|case| match case {
                Element::Good(case) => {
                    ensure!(
                        is_id(&case.id),
                        "TheHive lists a case whose \"_id\" is none"
                    );
                    Ok(case)
                }
                // One that cannot be read may be one that has to be exported.
                Element::Bad(flaw) => Err(anyhow::anyhow!(flaw.describe("the list of cases"))),
            })
            .collect()
    }

    /// Those of these cases that changed since a moment, in milliseconds since 1970: the case
    /// itself, or an observable of it. A TheHive 4 tells it by its audits, those of removed
    /// observables too (`fixtures/wire/schedule/002-audits-of-changes.json`); of a TheHive 5
    /// a removed observable alone is not seen.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn keep_changed(&self, cases: Vec<CaseName>, since: i64) -> Result<Vec<CaseName>> {
        if cases.is_empty() {
            return Ok(cases);
        }
        let changed = match self.is_five()? {
            true => self.cases_of_changed_observables(since)?,
            false => self.audited_cases(since)?,
        };
        let is_changed = |case: &CaseName| changed.contains(&case.id) || case.changed_since(since);
        Ok(cases.into_iter().filter(is_changed).collect())
    }

    fn audited_cases(&self, since: i64) -> Result<BTreeSet<String>> {
        let conditions = [
            at_least("createdAt", since),
            is_one_of("objectType", &["case", "case_artifact"]),
        ];
        let query = json!([{"_name": "listAudit"}, filter(&conditions), page(0, MOST)]);
        let audits = self
            .list_by::<Audit>(V0_QUERY, &query, MOST)
            .context("asking for what changed")?;
        check_complete(audits.len())?;
        let roots = audits.into_iter().map(|audit| match audit {
            Element::Good(Audit { base: Some(base) }) => Ok(base.root),
            Element::Good(Audit { base: None }) => anyhow::bail!("an audit says nothing"),
            // One that cannot be read may be of a case that changed.
            Element::Bad(flaw) => anyhow::bail!(flaw.describe("the list of audits")),
        });
        roots.collect()
    }

    fn cases_of_changed_observables(&self, since: i64) -> Result<BTreeSet<String>> {
        let is_changed = json!({"_name": "filter", "_or": [
            at_least("_createdAt", since),
            at_least("_updatedAt", since),
        ]});
        let query = json!([
            {"_name": "listObservable"},
            is_changed,
            {"_name": "case"},
            page(0, MOST),
        ]);
        let cases = self.read_cases(query).context("asking for what changed")?;
        Ok(cases.into_iter().map(|case| case.id).collect())
    }
}

/// A list that reaches its limit may lack a case that has to be exported.
fn check_complete(rows: usize) -> Result<()> {
    ensure!(
        rows < MOST,
        "TheHive lists {MOST} or more: take a shorter --changed-since, or `all`, or a tag that fewer \
         cases have"
    );
    Ok(())
}

/// The condition that a moment, in milliseconds since 1970, is not before this one.
fn at_least(field: &str, moment: i64) -> Value {
    json!({"_gte": {"_field": field, "_value": moment}})
}
