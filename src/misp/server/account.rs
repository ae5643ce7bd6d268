//! What a server says to a key: its version, the account behind the key and its role, the sharing
//! groups it may use.

use anyhow::{Context, Error, Result, ensure};
use serde::Deserialize;

use super::{Server, advise_shorter_url, for_each_row};
use crate::http::HttpError;
use crate::json;
use crate::misp::wire::Organisation;
use crate::time;

/// The answer to the first question, `servers/getVersion`.
#[derive(Clone, Debug, Default)]
pub struct VersionInfo {
    /// `2.5.1`.
    pub version: String,
    /// The server's clock, in seconds since 1970, from the header `Date`.
    pub date: Option<i64>,
    /// When the key expires, in seconds since 1970, from the header `X-Auth-Key-Expiration`, which
    /// comes with keys that do (MISP's `AppController.php`).
    pub expires: Option<i64>,
    /// What the key leaves of the role's permissions.
    left: Role,
}

/// The account behind the key, `users/view/me`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The user.
    #[serde(rename = "User", deserialize_with = "json::object_or_default")]
    pub user: User,
    /// The user's role as it is, whatever the key.
    #[serde(rename = "Role", deserialize_with = "json::object_or_default")]
    pub role: Role,
    /// The user's organisation.
    #[serde(rename = "Organisation", deserialize_with = "json::object_or_default")]
    pub organisation: Organisation,
}

/// A user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// The number.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// The e-mail address, which is the login.
    #[serde(deserialize_with = "json::text")]
    pub email: String,
}

/// A role, as far as it matters here. A permission that the server does not name is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Role {
    /// Its name.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// May add events and attributes.
    #[serde(rename = "perm_add", deserialize_with = "json::flag")]
    pub add: Option<bool>,
    /// May change what the user added.
    #[serde(rename = "perm_modify", deserialize_with = "json::flag")]
    pub modify: Option<bool>,
    /// May change what the organisation added.
    #[serde(rename = "perm_modify_org", deserialize_with = "json::flag")]
    pub modify_org: Option<bool>,
    /// May set tags on what is there.
    #[serde(rename = "perm_tagger", deserialize_with = "json::flag")]
    pub tagger: Option<bool>,
    /// May make new tags.
    #[serde(rename = "perm_tag_editor", deserialize_with = "json::flag")]
    pub tag_editor: Option<bool>,
    /// May add sightings.
    #[serde(rename = "perm_sighting", deserialize_with = "json::flag")]
    pub sighting: Option<bool>,
    /// May everything.
    #[serde(rename = "perm_site_admin", deserialize_with = "json::flag")]
    pub site_admin: Option<bool>,
    #[serde(rename = "perm_sync", deserialize_with = "json::flag")]
    sync: Option<bool>,
    #[serde(rename = "perm_galaxy_editor", deserialize_with = "json::flag")]
    galaxy_editor: Option<bool>,
    #[serde(rename = "perm_analyst_data", deserialize_with = "json::flag")]
    analyst_data: Option<bool>,
    /// Its searches are counted.
    #[serde(deserialize_with = "json::flag")]
    pub enforce_rate_limit: Option<bool>,
    /// Searches in 15 minutes (MISP's `RateLimitComponent.php`).
    #[serde(deserialize_with = "json::number")]
    pub rate_limit_count: Option<i64>,
}

impl Role {
    /// True if it may make new tags.
    pub fn makes_tags(&self) -> bool {
        self.has_right(self.tag_editor)
    }

    /// True if it may set tags on what is there.
    pub fn sets_tags(&self) -> bool {
        self.has_right(self.tagger)
    }

    /// True if it has this permission, or all.
    pub fn has_right(&self, right: Option<bool>) -> bool {
        right == Some(true) || self.site_admin == Some(true)
    }
}

impl VersionInfo {
    /// True for a key that is read-only: `servers/getVersion` shows the permissions that the key
    /// leaves (`fixtures/wire/misp/281-readonly-authkey-get.json`), `users/view/me` those of the
    /// role. A role that has none of the permissions that are shown does not tell.
    pub fn is_read_only(&self, role: &Role) -> bool {
        let pairs = [
            (self.left.sighting, role.sighting),
            (self.left.sync, role.sync),
            (self.left.galaxy_editor, role.galaxy_editor),
            (self.left.analyst_data, role.analyst_data),
        ];
        pairs.contains(&(Some(false), Some(true)))
    }
}

/// A sharing group.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Group {
    #[serde(deserialize_with = "json::text")]
    id: String,
    #[serde(deserialize_with = "json::text")]
    name: String,
}

/// What is said of a first answer that is none.
const UNREADABLE: &str =
    "no answer of a MISP can be read there: check \"url\", and what stands before it";

/// Adds what can be done about a server that does not even say its version.
fn explain_breakdown(error: Error) -> Error {
    let help = match HttpError::status_of(&error) {
        Some(429) => {
            "the role of the key's user may search no more for now: wait, or have its rate limit \
             raised in MISP"
        }
        Some(500) => "MISP's own log says why (app/tmp/logs/error.log there)",
        Some(502..=504) => {
            "MISP does not run, is too busy, or is being maintained: have that looked at, or try \
             again later"
        }
        _ => return error,
    };

    match error.downcast::<HttpError>() {
        Ok(failure) => failure.with_help(help).into(),
        Err(error) => error,
    }
}

impl Server {
    /// The cheapest question that needs a good key.
    ///
    /// # Errors
    /// That the server cannot be reached, refuses the key, or is no MISP.
    pub fn fetch_version_info(&self) -> Result<VersionInfo> {
        let greeting = self.get("servers/getVersion", |answer| {
            let line = answer.request_line().to_owned();
            let date = time::parse_http_date(&answer.header("date"));
            let expires = time::parse_iso(&answer.header("x-auth-key-expiration"));
            let said = answer.read_value().context(UNREADABLE)?;
            let version = said
                .get("version")
                .and_then(|version| version.as_str())
                .map(ToOwned::to_owned);
            let version = version.with_context(|| {
                let help = self.page_in_url().map_or_else(
                    || "this is no MISP: correct \"url\"".to_owned(),
                    advise_shorter_url,
                );
                format!("{line}: the answer names no version: {help}")
            })?;

            Ok(VersionInfo {
                version,
                date,
                expires,
                left: Role::deserialize(said).unwrap_or_default(),
            })
        });

        greeting.map_err(explain_breakdown)
    }

    /// The account behind the key (`fixtures/wire/misp/013-users-view-me-partner.json`).
    ///
    /// # Errors
    /// That the server does not say.
    pub fn fetch_account(&self) -> Result<Account> {
        self.get("users/view/me.json", |answer| {
            let line = answer.request_line().to_owned();
            let account: Account = answer.read_as()?;
            ensure!(
                !account.organisation.uuid.is_empty(),
                "{line}: the answer names no organisation"
            );
            Ok(account)
        })
    }

    /// The name of a sharing group that events of this key may go to: what MISP's index lists is
    /// what `events/add` takes. A group whose owner the key's organisation is, without being a
    /// member, is shown by its number and refused all the same
    /// (`fixtures/wire/misp/480-view-sharing-group-of-others.json` to
    /// `482-add-event-to-sharing-group-of-others.json`).
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_sharing_group(&self, number: u64) -> Result<Option<String>> {
        let number = number.to_string();
        self.get("sharing_groups/index/limit:9999.json", |answer| {
            let mut name = None;
            for_each_row(
                answer,
                &["response"],
                "SharingGroup",
                &mut |group: Group| {
                    if name.is_none() && group.id == number {
                        name = Some(group.name);
                    }
                },
            )?;
            Ok(name)
        })
    }
}
