//! What TheHive says to a key: its version, and who the user is and may do.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{TheHive, explained, numbers};
use crate::json;
use crate::markings::Scale;
use crate::time;

/// TheHive's answer to the first question, which needs no key.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// `5.7.3-1`.
    pub version: String,
    /// Its clock, in seconds since 1970, from the header `Date`.
    pub date: Option<i64>,
}

impl Greeting {
    /// True for TheHive 5 and later.
    #[must_use]
    pub fn is_five(&self) -> bool {
        numbers(&self.version) >= vec![5]
    }

    /// True for a version that has all that is asked for: 4.1 brought the v1 API in which this program asks.
    #[must_use]
    pub fn is_known(&self) -> bool {
        numbers(&self.version) >= vec![4, 1]
    }

    /// How many TLP levels it has.
    #[must_use]
    pub fn scale(&self) -> Scale {
        if numbers(&self.version) >= vec![5, 2] { Scale::Five } else { Scale::Four }
    }
}

/// What TheHive 4 tells for the name of an organisation that is not the user's; it refuses none
/// (`fixtures/wire/thehive/021-organisation-unknown.json`).
const NOT_THEIRS: &str = "***";

/// The user behind the key, in one organisation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// The login: what the user created has it as `_createdBy`.
    #[serde(deserialize_with = "json::text")]
    pub login: String,
    /// The name of the organisation.
    #[serde(deserialize_with = "json::text")]
    pub organisation: String,
    /// What the user may do there: `manageAlert` (TheHive 4's `Permissions.scala`), `manageAlert/create` (TheHive 5).
    #[serde(deserialize_with = "json::texts")]
    pub permissions: Vec<String>,
}

impl TheHive {
    /// TheHive 5 answers `api/v1/status/public`; TheHive 4 has no such route and answers `api/status`.
    ///
    /// # Errors
    /// That it cannot be reached, or is no TheHive.
    pub fn greeting(&self) -> Result<Greeting> {
        let (line, date, status, path) = self.client.again(|| {
            let (answer, path) = match self.client.get("api/v1/status/public") {
                Ok(answer) => (answer, ["version"].as_slice()),
                Err(failure) if failure.status() == Some(404) => {
                    (self.client.get("api/status").map_err(explained)?, ["versions", "TheHive"].as_slice())
                }
                Err(failure) => return Err(explained(failure)),
            };
            let date = time::http_date(&answer.header("date"));
            Ok((answer.line().to_owned(), date, answer.value()?, path))
        })?;
        let version = path.iter().try_fold(&status, |value, key| value.get(key)).and_then(Value::as_str);
        let version = version
            .map(ToOwned::to_owned)
            .with_context(|| format!("{line}: the answer names no version: this is no TheHive"))?;
        Ok(Greeting { version, date })
    }

    /// The user, in the organisation that is asked for. Asked once.
    ///
    /// # Errors
    /// That TheHive cannot be reached, refuses the key or the organisation, or names no login.
    pub fn user(&self) -> Result<&User> {
        if let Some(user) = self.user.get() {
            return Ok(user);
        }
        let (line, user): (String, User) = self.client.again(|| {
            let answer = self.client.get("api/v1/user/current").map_err(explained)?;
            Ok((answer.line().to_owned(), answer.read()?))
        })?;
        ensure!(!user.login.is_empty(), "{line}: the answer names no login");
        ensure!(
            user.organisation != NOT_THEIRS,
            "{line}: the user of \"thehive_key\" does not belong to this organisation, or there is none of this name"
        );
        Ok(self.user.get_or_init(|| user))
    }
}
