//! What is asked of TheHive by `POST /api/v1/query`: a list of operations, each working on what the one before gave.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{Observable, Origin};
use super::{TheHive, explained, is_id};
use crate::http::{Answer, Failure};
use crate::json::{Element, Source};

/// Observables asked for at once.
const PAGE: usize = 500;
/// Observables that are exported at the most.
const MOST: usize = 100_000;
/// Alerts of a case that are named.
const ALERTS: usize = 10;
/// What is said of a case that is not shown.
pub const NO_CASE: &str = "the case does not exist, or the user of \"thehive_key\" may not see it (organisation?)";
const QUERY: &str = "api/v1/query?name=cortex-misp";

/// The IOC observables of a case.
#[derive(Clone, Debug)]
pub struct Observables {
    /// As TheHive gave them, the oldest first.
    pub all: Vec<Element<Observable>>,
    /// Why they may not be all, in words; none if TheHive's own count agrees before and after.
    pub incomplete: Option<String>,
}

impl TheHive {
    /// A case, by its id, with `extraData.shareCount` and `extraData.isOwner`, which tell whether the case is shared and
    /// whose it is. It is asked for as TheHive 4's own web interface does, since `GET /api/v1/case` has no extra data
    /// there. For an unknown case both versions answer with an empty list, or 404.
    ///
    /// # Errors
    /// That it does not exist for this user.
    pub fn case(&self, id: &str) -> Result<Value> {
        ensure!(is_id(id), "the job's \"_id\" is not that of a case");
        self.one_case(vec![json!({"_name": "getCase", "idOrName": id})], NO_CASE)
    }

    /// True if a case is there and the user may see it. For one that is not, both versions answer with an empty list, or 404.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn has_case(&self, id: &str) -> Result<bool> {
        ensure!(is_id(id), "\"{}\" is not the id of a case", crate::secret::shortened(id, 40));
        let query = json!([{"_name": "getCase", "idOrName": id}, {"_name": "page", "from": 0, "to": 1}]);
        self.client.again(|| match self.query(&query) {
            Ok(answer) => {
                let line = answer.line().to_owned();
                let cases = answer.value()?;
                Ok(!cases.as_array().with_context(|| format!("{line}: the answer is no list"))?.is_empty())
            }
            Err(failure) if failure.status() == Some(404) => Ok(false),
            Err(failure) => Err(explained(failure)),
        })
    }

    /// An observable as TheHive has it now.
    ///
    /// # Errors
    /// That there is none for this user, or that it cannot be read.
    pub fn observable(&self, id: &str) -> Result<Observable> {
        ensure!(is_id(id), "the job's \"_id\" is not that of an observable");
        let query = json!([{"_name": "getObservable", "idOrName": id}, {"_name": "page", "from": 0, "to": 1}]);
        match self.list::<Observable>(query, 1)?.pop() {
            Some(Element::Good(observable)) => Ok(observable),
            Some(Element::Bad(flaw)) => bail!(flaw.of("the observable")),
            None => {
                bail!("the observable does not exist, or the user of \"thehive_key\" may not see it (organisation?)")
            }
        }
    }

    /// The case of an observable, as [`TheHive::case`] gives it.
    ///
    /// # Errors
    /// That there is none for this user, as for an observable of an alert.
    pub fn case_of(&self, observable: &str) -> Result<Value> {
        ensure!(is_id(observable), "the job's \"_id\" is not that of an observable");
        let nothing = "the observable belongs to no case that the user of \"thehive_key\" may see (organisation?)";
        self.one_case(
            vec![json!({"_name": "getObservable", "idOrName": observable}), json!({"_name": "case"})],
            nothing,
        )
    }

    fn one_case(&self, mut operations: Vec<Value>, nothing: &str) -> Result<Value> {
        operations.push(json!({"_name": "page", "from": 0, "to": 1, "extraData": ["shareCount", "isOwner"]}));
        let operations = Value::from(operations);
        let (line, mut cases) = self.client.again(|| {
            let answer = self.query(&operations).map_err(|failure| match failure.status() {
                Some(404) => failure.with_help(nothing).into(),
                _ => explained(failure),
            })?;
            Ok((answer.line().to_owned(), answer.value()?))
        })?;
        let case = cases.as_array_mut().and_then(|list| list.pop());
        case.with_context(|| format!("{line}: {nothing}"))
    }

    /// The alerts that a case was made from, the first 10 of them.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn alerts(&self, case: &str) -> Result<Vec<Origin>> {
        let query = json!([
            {"_name": "getCase", "idOrName": case},
            {"_name": "alerts"},
            {"_name": "page", "from": 0, "to": ALERTS},
        ]);
        // One that cannot be read is one all the same: a case of two is not one of one.
        let alerts = self.list(query, ALERTS)?.into_iter().map(|alert| alert.good().unwrap_or_default());
        Ok(alerts.collect())
    }

    /// The IOC observables of a case, page by page until one is empty, and counted before and after: one that is added
    /// or taken away in between shifts the pages. The filter is repeated by the caller.
    ///
    /// # Errors
    /// What stopped the reading: an export of half a case would look like a whole one.
    pub fn ioc_observables(&self, case: &str) -> Result<Observables> {
        let before = self.count(case);
        let all = self.pages(case)?;
        let incomplete = match (before, self.count(case)) {
            (Ok(before), Ok(after)) => {
                let is_all = [before, after].iter().all(|count| *count == all.len() as u64);
                (!is_all).then(|| {
                    format!("TheHive counts {before} IOC observables before, {after} after, and gave {}", all.len())
                })
            }
            (Err(error), _) | (_, Err(error)) => {
                Some(format!("TheHive does not say how many IOC observables the case has: {error:#}"))
            }
        };
        Ok(Observables { all, incomplete })
    }

    fn pages(&self, case: &str) -> Result<Vec<Element<Observable>>> {
        let mut all: Vec<Element<Observable>> = Vec::new();
        loop {
            let from = all.len();
            let mut query = iocs(case);
            query.push(json!({"_name": "sort", "_fields": [{"_createdAt": "asc"}, {"_id": "asc"}]}));
            query.push(json!({"_name": "page", "from": from, "to": from + PAGE}));
            all.extend(self.list(query.into(), PAGE).context("reading the observables")?);
            if all.len() == from {
                return Ok(all);
            }
            ensure!(
                from == 0 || all.first() != all.get(from),
                "TheHive sends the same page of observables again and again"
            );
            ensure!(all.len() <= MOST, "the case has more than {MOST} IOC observables: it is not exported");
        }
    }

    fn count(&self, case: &str) -> Result<u64> {
        let mut query = iocs(case);
        query.push(json!({"_name": "count"}));
        let query = Value::from(query);
        let (line, count) = self.client.again(|| {
            let answer = self.query(&query).map_err(explained)?;
            Ok((answer.line().to_owned(), answer.value()?))
        })?;
        count.as_u64().with_context(|| format!("{line}: the answer is no count"))
    }

    /// The elements of a list, of which a query may ask for so many.
    pub(super) fn list<T: for<'de> Deserialize<'de>>(&self, operations: Value, most: usize) -> Result<Vec<Element<T>>> {
        self.client.again(|| {
            let answer = self.query(&operations).map_err(explained)?;
            let line = answer.line().to_owned();
            let list = Source::new(answer.body()).collect(&[], most, &mut Some::<Element<T>>);
            list.with_context(|| format!("{line}: reading the list"))
        })
    }

    /// The same for a list whose elements have names. One that has none is no sign of a bad element but of a bad answer.
    pub(super) fn named_list<T: for<'de> Deserialize<'de>>(
        &self,
        operations: Value,
        most: usize,
    ) -> Result<Vec<Element<T>>> {
        let list = self.list(operations, most)?;
        for element in &list {
            if let Element::Bad(flaw) = element {
                ensure!(flaw.is_named(), "{}", flaw.of("what TheHive lists"));
            }
        }
        Ok(list)
    }

    fn query(&self, operations: &Value) -> Result<Answer, Failure> {
        self.client.post(QUERY, &json!({"query": operations}))
    }
}

fn iocs(case: &str) -> Vec<Value> {
    vec![
        json!({"_name": "getCase", "idOrName": case}),
        json!({"_name": "observables"}),
        json!({"_name": "filter", "_is": {"_field": "ioc", "_value": true}}),
    ]
}
