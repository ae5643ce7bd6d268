//! What we ask of TheHive, by the calls that TheHive 4.1 and TheHive 5 both understand.

pub mod files;
mod query;
pub mod wire;

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use url::Url;

use crate::full::Run;
use crate::http::{self, Cause, Client, Failure, Network, again};
use crate::markings::Scale;
use crate::secret::Secret;
pub use query::Observables;
pub use wire::Origin;

/// A TheHive, asked as one user.
pub struct TheHive {
    client: Client,
    version: OnceLock<Vec<u32>>,
    password: OnceLock<String>,
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
        let origin = http::Origin { url, headers, user_agent, cert_path: None, cert_check: true };
        let run = run.clone();
        let client = Client::new(&origin, network, Box::new(move || run.request()))?;
        Ok(Self { client, version: OnceLock::new(), password: OnceLock::new() })
    }

    /// How many TLP levels this TheHive has.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    pub fn scale(&self) -> Result<Scale> {
        Ok(if self.numbers()? >= [5, 2].as_slice() { Scale::Five } else { Scale::Four })
    }

    /// True for TheHive 5 and later.
    ///
    /// # Errors
    /// That TheHive cannot be reached or names no version.
    pub fn is_five(&self) -> Result<bool> {
        Ok(self.numbers()? >= [5].as_slice())
    }

    /// The numbers of the version, 4, 1, 24, 1 for instance. Asked once, when it matters.
    fn numbers(&self) -> Result<&[u32]> {
        if let Some(numbers) = self.version.get() {
            return Ok(numbers);
        }
        let version = self.version()?;
        let numbers: Vec<u32> = version.split(['.', '-']).map_while(|part| part.parse().ok()).collect();
        ensure!(!numbers.is_empty(), "TheHive names a version that is none");
        Ok(self.version.get_or_init(|| numbers))
    }

    /// TheHive 5 answers `api/v1/status/public`; TheHive 4 has no such route and answers `api/status`.
    fn version(&self) -> Result<String> {
        let (line, status, path) = again(self.client.clock(), || {
            let (answer, path) = match self.client.get("api/v1/status/public") {
                Ok(answer) => (answer, ["version"].as_slice()),
                Err(failure) if failure.status() == Some(404) => {
                    (self.client.get("api/status").map_err(explained)?, ["versions", "TheHive"].as_slice())
                }
                Err(failure) => return Err(explained(failure)),
            };
            Ok((answer.line().to_owned(), answer.value()?, path))
        })?;
        let version = path.iter().try_fold(&status, |value, key| value.get(key)).and_then(Value::as_str);
        version
            .map(ToOwned::to_owned)
            .with_context(|| format!("{line}: the answer names no version: this is no TheHive"))
    }
}

/// True for what can be an id, and as such part of a path.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "~-_".contains(c))
}

fn explained(failure: Failure) -> anyhow::Error {
    let help = match &failure.cause {
        Cause::Refused { status: 401, .. } => "check \"thehive_key\", and whether its user belongs to the organisation",
        Cause::Refused { status: 403, .. } => "the user of \"thehive_key\" lacks a permission",
        Cause::Refused { status: 404, .. } | Cause::NotJson(_) | Cause::Redirected { .. } => {
            "check \"thehive_url\": is this the address of a TheHive 4.1 or 5?"
        }
        Cause::Refused { .. } | Cause::Unreachable(_) | Cause::Broken(_) | Cause::Deadline => return anyhow!(failure),
    };
    anyhow!(failure.with_help(help))
}
