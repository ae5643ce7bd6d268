//! What we ask of TheHive, by the calls that TheHive 4.1 and TheHive 5 both understand.

pub mod wire;

use std::cell::OnceCell;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use url::Url;

use crate::full::Run;
use crate::http::{Cause, Client, Failure, Network, Origin};
use crate::json::{Each, Element, Source};
use crate::markings::Scale;
use crate::secret::Secret;
use wire::Observable;

/// Observables asked for at once.
const PAGE: usize = 500;
/// Observables that are exported at the most.
const MOST: usize = 100_000;

/// A TheHive, asked as one user.
pub struct TheHive {
    client: Client,
    scale: OnceCell<Scale>,
}

impl TheHive {
    /// Makes ready; nothing is sent. `organisation` is the one that the user acts for; without it TheHive takes the
    /// user's default.
    ///
    /// # Errors
    /// A key or organisation that no header can carry.
    pub fn open(url: &Url, key: &Secret, organisation: Option<&str>, network: &Network, run: &Run) -> Result<Self> {
        let mut headers = vec![("authorization", Secret::new(&format!("Bearer {}", key.expose())))];
        headers.extend(organisation.map(|name| ("x-organisation", Secret::new(name))));
        let user_agent = format!("cortex-misp/{}", env!("CARGO_PKG_VERSION"));
        let origin = Origin { url, headers, user_agent, cert_path: None, cert_check: true };
        let run = run.clone();
        let client = Client::new(&origin, network, Box::new(move || run.request()))?;
        Ok(Self { client, scale: OnceCell::new() })
    }

    /// How many TLP levels this TheHive has. Asked once, when it matters.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    pub fn scale(&self) -> Result<Scale> {
        if let Some(scale) = self.scale.get() {
            return Ok(*scale);
        }
        let version = self.version()?;
        let numbers: Vec<u32> = version.split(['.', '-']).map_while(|part| part.parse().ok()).collect();
        ensure!(!numbers.is_empty(), "TheHive names a version that is none");
        let scale = if numbers >= vec![5, 2] { Scale::Five } else { Scale::Four };
        Ok(*self.scale.get_or_init(|| scale))
    }

    /// TheHive 5 answers `api/v1/status/public`; TheHive 4 has no such route and answers `api/status`.
    fn version(&self) -> Result<String> {
        let (answer, path) = match self.client.get("api/v1/status/public") {
            Ok(answer) => (answer, ["version"].as_slice()),
            Err(failure) if failure.status() == Some(404) => {
                (self.client.get("api/status").map_err(explained)?, ["versions", "TheHive"].as_slice())
            }
            Err(failure) => return Err(explained(failure)),
        };
        let line = answer.line().to_owned();
        let status = answer.value()?;
        let version = path.iter().try_fold(&status, |value, key| value.get(key)).and_then(Value::as_str);
        version
            .map(ToOwned::to_owned)
            .with_context(|| format!("{line}: the answer names no version: this is no TheHive"))
    }

    /// A case, by its id. TheHive 4 answers a question about the observables of an unknown case with an empty list, so
    /// this one is asked first.
    ///
    /// # Errors
    /// That it does not exist for this user.
    pub fn case(&self, id: &str) -> Result<Value> {
        let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "~-_".contains(c));
        ensure!(is_id, "the job's \"_id\" is not that of a case");
        let answer = self.client.get(&format!("api/v1/case/{id}")).map_err(|failure| match failure.status() {
            Some(404) => anyhow!(
                "{failure}: the case does not exist, or the user of \"thehive_key\" may not see it (organisation?)"
            ),
            _ => explained(failure),
        })?;
        answer.value()
    }

    /// The IOC observables of a case, page by page. The filter is repeated by the caller.
    ///
    /// # Errors
    /// What stopped the reading: an export of half a case would look like a whole one.
    pub fn ioc_observables(&self, case: &str) -> Result<Vec<Element<Observable>>> {
        let mut observables: Vec<Element<Observable>> = Vec::new();
        for page in 0.. {
            let (from, to) = (page * PAGE, (page + 1) * PAGE);
            let query = json!({"query": [
                {"_name": "getCase", "idOrName": case},
                {"_name": "observables"},
                {"_name": "filter", "_is": {"_field": "ioc", "_value": true}},
                {"_name": "sort", "_fields": [{"_createdAt": "asc"}, {"_id": "asc"}]},
                {"_name": "page", "from": from, "to": to},
            ]});
            let answer = self.client.post("api/v1/query?name=cortex-misp", &query).map_err(explained)?;
            let line = answer.line().to_owned();
            let mut on = |element| {
                ensure!(observables.len() < to, "TheHive sends more than the {PAGE} observables asked for");
                observables.push(element);
                Ok(())
            };
            Source::collected(answer.body())
                .read(|hand| Each { hand, on: &mut on })
                .with_context(|| format!("{line}: reading the observables"))?;
            let is_repeated = from > 0 && observables.first() == observables.get(from);
            ensure!(!is_repeated, "{line}: TheHive sends the same page again and again");
            ensure!(to <= MOST, "the case has more than {MOST} IOC observables: it is not exported");
            if observables.len() < to {
                return Ok(observables);
            }
        }
        Ok(observables)
    }
}

fn explained(failure: Failure) -> anyhow::Error {
    let help = match &failure.cause {
        Cause::Refused { status: 401, .. } => "check \"thehive_key\", and whether its user belongs to the organisation",
        Cause::Refused { status: 403, .. } => "the user of \"thehive_key\" lacks a permission",
        Cause::Refused { status: 404, .. } | Cause::NotJson(_) | Cause::Redirected { .. } => {
            "check \"thehive_url\": is this the address of a TheHive 4.1 or 5?"
        }
        Cause::Refused { .. } | Cause::Unreachable(_) | Cause::Deadline => return anyhow!(failure),
    };
    anyhow!(failure.with_help(help))
}
