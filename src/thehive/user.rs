//! What TheHive says to a key: its version, and who the user is and may do.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{TheHive, explain_failure, parse_version};
use crate::json;
use crate::markings::Scale;
use crate::secret::truncate_text;
use crate::time;

/// TheHive's answer to the first question, which needs no key.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// `5.7.3-1`.
    pub version: String,
    /// Its clock, in seconds since 1970, from the header `Date`.
    pub date: Option<i64>,
    /// The password of its zips, where it says that at once, as TheHive 4 does.
    pub password: Option<String>,
}

impl Greeting {
    /// True for TheHive 5 and later.
    pub fn is_five(&self) -> bool {
        parse_version(&self.version) >= vec![5]
    }

    /// True for a version that has all that is asked for: 4.1 brought the v1 API in which this
    /// program asks.
    pub fn is_supported(&self) -> bool {
        parse_version(&self.version) >= vec![4, 1]
    }

    /// True for a version that can restrict a case to users that are named (TheHive's release notes
    /// of 5.5.0).
    pub fn has_restricted_cases(&self) -> bool {
        parse_version(&self.version) >= vec![5, 5]
    }

    /// How many TLP levels it has.
    pub fn scale(&self) -> Scale {
        if parse_version(&self.version) >= vec![5, 2] {
            Scale::Five
        } else {
            Scale::Four
        }
    }
}

/// A permission of TheHive's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Its name in TheHive 4; none if it needs none for this.
    pub four: Option<&'static str>,
    /// Its name in TheHive 5; none if it has no such thing.
    pub five: Option<&'static str>,
    /// What it is for: `create alerts`.
    pub to: &'static str,
    /// False if the work is done without it, and only a part of it left out.
    pub is_vital: bool,
}

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
    /// What the user may do there: `manageAlert` (TheHive 4's `Permissions.scala`),
    /// `manageAlert/create` (TheHive 5).
    #[serde(deserialize_with = "json::texts")]
    pub permissions: Vec<String>,
    /// All organisations that the user belongs to:
    /// `[{"organisationId": "~2", "organisation": "cert", …}]`.
    organisations: Value,
}

impl User {
    /// Names and `_id`s of the organisations that the user belongs to; none where TheHive does not
    /// list them.
    fn organisations(&self) -> Vec<(&str, &str)> {
        let all = self.organisations.as_array().into_iter().flatten();

        let named = all.filter_map(|entry| {
            let name = entry
                .get("organisation")?
                .as_str()
                .filter(|name| !name.is_empty())?;
            Some((
                name,
                entry
                    .get("organisationId")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            ))
        });

        named.collect()
    }

    /// The user in the organisation that was asked for. TheHive 5 refuses whom it does not belong
    /// to. TheHive 4 does not: it shows everything to whoever names the organisation, and calls one
    /// that is not there `***`
    /// (`fixtures/wire/thehive/520-query-other-organisation-by-header.json`, `521-…`, `522-…`).
    ///
    /// # Errors
    /// That the user does not belong to it.
    fn resolve_organisation(self, asked: &str) -> Result<Self> {
        let all = self.organisations();
        let own = all
            .iter()
            .find(|(name, id)| *name == asked || *id == asked)
            .map(|(name, _)| (*name).to_owned());
        // An `_id` is no name to compare with: that TheHive names some organisation shows that it
        // took it.
        let is_taken = self.organisation == asked
            || (asked.starts_with('~') && !["", NONE].contains(&&*self.organisation));

        let organisation = match own {
            Some(name) => name,
            None if all.is_empty() && is_taken => self.organisation.clone(),
            None => {
                let all: Vec<_> = all
                    .iter()
                    .map(|(name, _)| format!("\"{}\"", truncate_text(name, 100)))
                    .collect();
                let belongs_to = if all.is_empty() {
                    String::new()
                } else {
                    format!(" (it is one of {})", all.join(", "))
                };

                bail!(
                    "the user {} of \"thehive_key\" is no user of the organisation \"{}\"\
                     {belongs_to}, or there is no such organisation: set the key of a user of that \
                     organisation, or add this one to it",
                    truncate_text(&self.login, 100),
                    truncate_text(asked, 100)
                )
            }
        };

        Ok(Self {
            organisation,
            ..self
        })
    }

    /// Those of these permissions that the user does not have in the organisation, each with its
    /// name there.
    pub fn missing_permissions<'r>(
        &self,
        rights: &'r [Permission],
        is_five: bool,
    ) -> Vec<(&'r Permission, &'static str)> {
        let named =
            |right: &'r Permission| Some((right, if is_five { right.five } else { right.four }?));
        rights
            .iter()
            .filter_map(named)
            .filter(|(_, name)| !self.has_permission(name))
            .collect()
    }

    /// A permission as a whole holds all its parts: `manageAlert` is more than
    /// `manageAlert/create`.
    pub fn has_permission(&self, wanted: &str) -> bool {
        let whole = wanted.split('/').next().unwrap_or(wanted);
        self.permissions
            .iter()
            .any(|held| held == wanted || held == whole)
    }
}

/// What TheHive 4 calls an organisation that is not there, or not the user's.
const NONE: &str = "***";

impl TheHive {
    /// TheHive 5 answers `api/v1/status/public`; TheHive 4 has no such route and answers
    /// `api/status`.
    ///
    /// # Errors
    /// That it cannot be reached, or is no TheHive.
    pub fn fetch_greeting(&self) -> Result<Greeting> {
        let (line, date, status, path) = self.client.retry(|| {
            let (answer, path) = match self.client.get("api/v1/status/public") {
                Ok(answer) => (answer, ["version"].as_slice()),
                Err(failure) if failure.status() == Some(404) => (
                    self.client.get("api/status").map_err(explain_failure)?,
                    ["versions", "TheHive"].as_slice(),
                ),
                Err(failure) => return Err(explain_failure(failure)),
            };

            let date = time::parse_http_date(&answer.header("date"));
            Ok((
                answer.request_line().to_owned(),
                date,
                answer.read_value()?,
                path,
            ))
        })?;

        let version = path
            .iter()
            .try_fold(&status, |value, key| value.get(key))
            .and_then(Value::as_str);
        let version = version.map(ToOwned::to_owned).with_context(|| {
            // Cortex answers `api/status` as TheHive 4 does, with its own name.
            let is_cortex = status.pointer("/versions/Cortex").is_some();
            let what = if is_cortex { "a Cortex, and " } else { "" };
            format!(
                "{line}: the answer names no version: this is {what}no TheHive: correct \
                 \"thehive_url\""
            )
        })?;
        Ok(Greeting {
            version,
            date,
            password: super::files::find_zip_password(&status),
        })
    }

    /// The user, in the organisation that is asked for. Asked once.
    ///
    /// # Errors
    /// That TheHive cannot be reached, refuses the key, names no login, or that the user does not
    /// belong to the organisation.
    pub fn user(&self) -> Result<&User> {
        if let Some(user) = self.user.get() {
            return Ok(user);
        }

        let (line, user): (String, User) = self.client.retry(|| {
            let answer = self
                .client
                .get("api/v1/user/current")
                .map_err(explain_failure)?;
            Ok((answer.request_line().to_owned(), answer.read_as()?))
        })?;

        ensure!(!user.login.is_empty(), "{line}: the answer names no login");
        let user = match &self.asked {
            Some(asked) => user.resolve_organisation(asked)?,
            None => user,
        };

        Ok(self.user.get_or_init(|| user))
    }
}
