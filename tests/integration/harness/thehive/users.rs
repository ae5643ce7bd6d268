//! Who asks, and in which organisation. TheHive 4.1.24 does not check that a user belongs to the organisation that a request
//! names: nothing may be written there that needs a permission, but all is read (`520-query-other-organisation-by-header`),
//! and even a name that no organisation has is taken (`021-organisation-unknown`). TheHive 5 refuses both.

use serde_json::{Value, json};

use super::json_reply;
use super::refused::Refused;
use super::world::{User, Version, World};
use crate::http_fake::{Call, Reply};

/// Who asks, in which organisation.
pub(crate) struct Who {
    pub(super) login: String,
    pub(super) organisation: String,
    /// The organisation of a user who names none.
    pub(super) home: String,
    /// What the user may do in this organisation; nothing in one that is not the user's.
    pub(super) permissions: Vec<String>,
    /// Whether there is such an organisation.
    pub(super) is_known: bool,
}

impl Who {
    pub(super) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }

    pub(super) fn need(&self, permission: &str, action: &str) -> Result<(), Refused> {
        if self.may(permission) {
            return Ok(());
        }
        let message =
            format!("Your are not authorized to {action}, you haven't the permission {permission}");
        Err(Refused::new(403, "AuthorizationError", &message))
    }

    /// Whoever reads in an organisation that is not there is told so (`523-query-unknown-organisation`).
    pub(super) fn known(&self) -> Result<(), Refused> {
        if self.is_known {
            Ok(())
        } else {
            Err(Refused::not_found("Organisation not found"))
        }
    }
}

pub(super) fn who(world: &World, call: &Call) -> Result<Who, Refused> {
    let refused = || Refused::new(401, "AuthenticationError", "Authentication failure");
    let key = call
        .header("authorization")
        .and_then(|given| given.strip_prefix("Bearer "))
        .ok_or_else(refused)?;
    let user: &User = world
        .users
        .iter()
        .find(|user| user.key == key && !user.locked)
        .ok_or_else(refused)?;
    let home = user.organisations.first().ok_or_else(refused)?;
    let known = world.organisations();
    let wanted = call.header("x-organisation").unwrap_or(home);
    // By name, or by `_id`, which is made of it here.
    let organisation = known
        .iter()
        .find(|one| *one == wanted || id_of(one) == wanted);
    let is_member = organisation.is_some_and(|one| user.organisations.contains(one));
    if world.version == Version::Five && !is_member {
        return Err(refused());
    }
    let organisation = organisation.map_or(wanted, String::as_str).to_owned();
    let held = if is_member {
        permissions(world, user, &organisation)
    } else {
        Vec::new()
    };
    let is_known = known.contains(&organisation);
    Ok(Who {
        login: user.login.clone(),
        organisation,
        home: home.clone(),
        permissions: held,
        is_known,
    })
}

fn permissions(world: &World, user: &User, organisation: &str) -> Vec<String> {
    if world.barred.iter().any(|barred| barred == organisation) {
        Vec::new()
    } else {
        user.permissions.clone()
    }
}

/// The `_id` of an organisation.
fn id_of(organisation: &str) -> String {
    format!("~of-{organisation}")
}

fn profile(permissions: &[String]) -> &'static str {
    let has = |name: &str| permissions.iter().any(|held| held == name);
    match () {
        () if permissions.is_empty() => "read-only",
        () if has("managePlatform") => "admin",
        () if has("manageUser") => "org-admin",
        () => "analyst",
    }
}

/// `GET /api/v1/user/current`. Of an organisation that is not the user's, TheHive 4 tells the user's own profile, with `***` in
/// place of its name; the name of the user's own if the two are linked (`521-current-user-other-organisation-by-header`).
pub(super) fn current(world: &World, who: &Who, call: &Call) -> Reply {
    let Some(user) = world.users.iter().find(|user| user.login == who.login) else {
        return json_reply(200, &json!({}));
    };
    let is_member = user.organisations.contains(&who.organisation);
    let at = if is_member {
        &who.organisation
    } else {
        &who.home
    };
    let held = permissions(world, user, at);
    let named: Vec<String> = held
        .iter()
        .flat_map(|held| named(world.version, held))
        .collect();
    let is_linked = world
        .linked
        .iter()
        .any(|pair| pair.contains(&who.organisation) && pair.contains(&who.home));
    let organisation = if is_member || is_linked { at } else { "***" };
    let each = user.organisations.iter().map(|one| {
        json!({"organisationId": id_of(one), "organisation": one, "profile": profile(&permissions(world, user, one))})
    });
    let mut out = json!({
        "_id": "~1",
        "_createdBy": "system@thehive.local",
        "_updatedBy": "system@thehive.local",
        "_createdAt": 1_630_000_000_000_i64,
        "_updatedAt": 1_630_000_000_001_i64,
        "login": who.login,
        "name": who.login,
        "hasKey": true,
        "hasPassword": true,
        "hasMFA": false,
        "locked": false,
        "profile": profile(&held),
        "permissions": named,
        "organisation": organisation,
        "organisations": each.collect::<Vec<Value>>(),
        "extraData": {},
    });
    if world.version == Version::Five {
        out["_type"] = "User".into();
    }
    let shown = call
        .header("x-organisation")
        .map_or_else(|| id_of(&who.home), ToOwned::to_owned);
    json_reply(200, &out)
        .with("X-Organisation", shown)
        .with("X-Permissions", named.join(","))
}

/// A permission as the version names it: TheHive 5 has cut two of them into parts.
fn named(version: Version, held: &str) -> Vec<String> {
    let parts: &[&str] = match (version, held) {
        (Version::Five, "manageAlert") => &["create", "update", "delete", "reopen", "import"],
        (Version::Five, "manageCase") => &["create", "update", "delete", "reopen", "merge"],
        _ => return vec![held.to_owned()],
    };
    parts.iter().map(|part| format!("{held}/{part}")).collect()
}
