//! The server's version, the user's own account, organisations, and the attribute types.

use serde_json::{Value, json};

use super::ask::{Ask, int};
use super::users::{Organisation, User};
use super::world::World;
use crate::http_fake::Reply;

/// `servers/getVersion`, which shows the permissions that a read-only key leaves (recorded as `281-readonly-authkey-get`).
pub(super) fn version(world: &World, ask: &Ask) -> Reply {
    let role = ask.user.role;
    let uuid = if role.sync {
        "151b2cdf-bcca-4299-a618-226d92eb85b0"
    } else {
        "-"
    };
    let body = json!({
        "version": world.version,
        "pymisp_recommended_version": world.version,
        "perm_sync": role.sync,
        "perm_sighting": role.sighting,
        "perm_galaxy_editor": role.add,
        "perm_analyst_data": role.add,
        "uuid": uuid,
        "request_encoding": ["gzip"],
        "filter_sightings": true,
    });
    Reply::json(200, &body)
}

/// `users/view/me`, which shows the role as it is, whatever the key.
pub(super) fn me(world: &World, ask: &Ask) -> Reply {
    if ask.first() != "me" && ask.first() != ask.user.id.to_string() {
        return ask.refuse(404, "Invalid user");
    }
    let user = world
        .users
        .iter()
        .find(|user| user.id == ask.user.id)
        .unwrap_or(&ask.user);
    let body = json!({"User": account(user), "Role": role(user), "UserSetting": [], "Organisation": full(world.organisation(user.org))});
    Reply::json(200, &body)
}

fn account(user: &User) -> Value {
    json!({
        "id": int(user.id),
        "password": "*****",
        "org_id": int(user.org),
        "email": user.email(),
        "autoalert": false,
        "invited_by": "1",
        "gpgkey": "",
        "certif_public": "",
        "nids_sid": "1176930",
        "termsaccepted": true,
        "newsread": "0",
        "role_id": int(user.role.id),
        "change_pw": false,
        "contactalert": false,
        "disabled": false,
        "expiration": null,
        "current_login": "0",
        "last_login": "0",
        "force_logout": false,
        "date_created": "1795293257",
        "date_modified": "1795294911",
        "sub": null,
        "external_auth_required": false,
        "external_auth_key": "",
        "last_api_access": "1795294125",
        "notification_daily": false,
        "notification_weekly": false,
        "notification_monthly": false,
        "totp": "*****",
        "hotp_counter": null,
        "last_pw_change": "1795293257",
        "totp_is_set": "0",
    })
}

fn role(user: &User) -> Value {
    let role = user.role;
    let (permission, described) = match (role.add, role.publish) {
        (false, _) => ("0", "read_only"),
        (true, false) => ("2", "manage_org"),
        (true, true) => ("3", "publish"),
    };
    json!({
        "id": int(role.id),
        "name": role.name,
        "created": "2026-11-21 20:32:33",
        "modified": "2026-11-21 20:32:33",
        "perm_add": role.add,
        "perm_modify": role.add,
        "perm_modify_org": role.add,
        "perm_publish": role.publish,
        "perm_delegate": role.publish,
        "perm_sync": role.sync,
        "perm_admin": role.admin,
        "perm_audit": true,
        "perm_auth": true,
        "perm_site_admin": role.site_admin,
        "perm_regexp_access": role.site_admin,
        "perm_tagger": role.tagger,
        "perm_template": role.admin,
        "perm_sharing_group": role.admin,
        "perm_tag_editor": role.tag_editor,
        "perm_sighting": role.sighting,
        "perm_object_template": role.site_admin,
        "default_role": role.name == "User",
        "memory_limit": null,
        "max_execution_time": null,
        "restricted_to_site_admin": false,
        "perm_publish_zmq": false,
        "perm_publish_kafka": false,
        "perm_decaying": role.add,
        "enforce_rate_limit": role.rate_limit > 0,
        "rate_limit_count": int(role.rate_limit),
        "perm_galaxy_editor": role.add,
        "perm_warninglist": role.site_admin,
        "perm_view_feed_correlations": role.site_admin,
        "perm_analyst_data": role.add,
        "perm_skip_otp": false,
        "permission": permission,
        "permission_description": described,
    })
}

fn full(organisation: &Organisation) -> Value {
    json!({
        "id": int(organisation.id),
        "name": organisation.name,
        "date_created": "2026-11-21 20:34:16",
        "date_modified": "2026-11-21 20:34:16",
        "description": null,
        "type": "",
        "nationality": "Germany",
        "sector": "Testing",
        "created_by": "1",
        "uuid": organisation.uuid,
        "contacts": null,
        "local": organisation.local,
        "restricted_to_domain": null,
        "landingpage": null,
    })
}

/// `sharing_groups/view/<id>`: to members and the owner (MISP's `Model/SharingGroup.php`, `checkIfAuthorised`).
pub(super) fn sharing_group(world: &World, ask: &Ask) -> Reply {
    let group = world
        .sharing_groups
        .iter()
        .find(|group| group["id"] == ask.first());
    let is_shown = |group: &&Value| {
        let is_owner = group["org_id"] == ask.user.org.to_string().as_str();
        ask.user.role.site_admin || is_owner || world.in_sharing_group(ask.user.org, id_of(group))
    };
    let Some(group) = group.filter(is_shown) else {
        return ask.refuse(
            405,
            "Sharing group doesn&#039;t exist or you do not have permission to access it.",
        );
    };
    let owner = organisation_of(world, group);
    let short = json!({"id": int(owner.id), "name": owner.name, "uuid": owner.uuid});
    let mut shown = group_fields(group);
    for (field, value) in [
        ("organisation_uuid", json!(owner.uuid)),
        ("org_id", group["org_id"].clone()),
        ("sync_user_id", json!("1")),
    ] {
        shown[field] = value;
    }
    for (field, value) in [
        ("created", MADE.into()),
        ("modified", MADE.into()),
        ("sync_org_name", short["name"].clone()),
        ("sync_org", short),
    ] {
        shown[field] = value;
    }
    let mut members = members(world, group);
    members
        .iter_mut()
        .for_each(|row| row["Organisation"]["local"] = true.into());
    let here = json!({"id": "1", "sharing_group_id": group["id"], "server_id": "0", "all_orgs": false, "Server": {"id": "0", "name": "Local instance", "url": world.url}});
    let mut owner = full(owner);
    owner["description"] = "Automatically generated admin organisation".into();
    let answer = json!({"SharingGroup": shown, "Organisation": owner, "SharingGroupOrg": members, "SharingGroupServer": [here]});
    Reply::json(200, &answer)
}

const MADE: &str = "2026-11-30 09:04:05";

fn organisation_of<'w>(world: &'w World, group: &Value) -> &'w Organisation {
    let is = |one: &&Organisation| group["org_id"] == one.id.to_string().as_str();
    world
        .organisations
        .iter()
        .find(is)
        .unwrap_or(&world.organisations[0])
}

fn group_fields(group: &Value) -> Value {
    json!({
        "id": group["id"], "uuid": "9d34019f-af10-4539-8fdc-3653fe5f4505", "name": group["name"], "description": "", "releasability": "x", "local": false,
        "active": true, "roaming": false,
    })
}

fn members(world: &World, group: &Value) -> Vec<Value> {
    let rows = group["SharingGroupOrg"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate();
    let one = |(number, row): (usize, &Value)| {
        let is = |one: &&Organisation| row["org_id"] == one.id.to_string().as_str();
        let organisation = world
            .organisations
            .iter()
            .find(is)
            .map(|one| json!({"id": int(one.id), "name": one.name, "uuid": one.uuid}));
        json!({"id": number.to_string(), "sharing_group_id": group["id"], "org_id": row["org_id"], "extend": false, "Organisation": organisation})
    };
    rows.map(one).collect()
}

/// `sharing_groups/index`: to members only, the owner may be none (`fixtures/wire/misp/481-index-sharing-groups.json`).
pub(super) fn sharing_groups(world: &World, ask: &Ask) -> Reply {
    let is_shown = |group: &&Value| {
        ask.user.role.site_admin || world.in_sharing_group(ask.user.org, id_of(group))
    };
    let rows = world.sharing_groups.iter().filter(is_shown).map(|group| {
        let (owner, members) = (organisation_of(world, group), members(world, group));
        let mut shown = group_fields(group);
        shown["org_count"] = members.len().to_string().into();
        let here = json!({"all_orgs": false, "server_id": "0", "sharing_group_id": group["id"], "Server": []});
        json!({
            "SharingGroup": shown, "Organisation": {"id": int(owner.id), "name": owner.name, "uuid": owner.uuid},
            "SharingGroupOrg": members, "SharingGroupServer": [here], "editable": false, "deletable": false,
        })
    });
    Reply::json(200, &json!({"response": rows.collect::<Vec<_>>()}))
}

fn id_of(group: &Value) -> u64 {
    group["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .unwrap_or_default()
}

/// `organisations/view/<id or uuid>`; a name is not known here.
pub(super) fn organisation(world: &World, ask: &Ask) -> Reply {
    let is = |organisation: &&Organisation| {
        organisation.uuid == ask.first() || organisation.id.to_string() == ask.first()
    };
    match world.organisations.iter().find(is) {
        Some(found) => Reply::json(200, &json!({"Organisation": full(found)})),
        None => ask.refuse(404, "Invalid organisation"),
    }
}

/// `organisations` and `organisations/index`: the local ones, the others (`scope:external`) or all (`scope:all`). They may be
/// hidden from those who may not make sharing groups (MISP's `OrganisationsController.php`, `index`).
pub(super) fn organisations(world: &World, ask: &Ask) -> Reply {
    if world.hides_organisations && !ask.user.role.admin {
        return ask.not_permitted();
    }
    let is_wanted = |row: &&Organisation| match ask.named("scope") {
        Some("all") => true,
        Some("external") => !row.local,
        _ => row.local,
    };
    let rows = world.organisations.iter().filter(is_wanted);
    let rows: Vec<Value> = rows.map(|row| json!({"Organisation": full(row)})).collect();
    Reply::json(200, &rows.into())
}

/// `attributes/describeTypes`, the whole answer of MISP 2.5.1 unless a test took types away.
pub(super) fn describe_types(world: &World) -> Reply {
    let body = include_bytes!("../../../../fixtures/wire/misp/describeTypes.json");
    if world.without_types.is_empty() {
        return Reply::bytes(200, "application/json; charset=UTF-8", body.to_vec());
    }
    let mut body: Value = serde_json::from_slice(body).expect("JSON");
    let gone = |kind: &Value| world.without_types.iter().any(|name| kind == name.as_str());
    let result = &mut body["result"];
    if let Some(kinds) = result["types"].as_array_mut() {
        kinds.retain(|kind| !gone(kind));
    }
    if let Some(defaults) = result["sane_defaults"].as_object_mut() {
        defaults.retain(|kind, _| !world.without_types.contains(kind));
    }
    for (_, kinds) in result["category_type_mappings"]
        .as_object_mut()
        .into_iter()
        .flatten()
    {
        if let Some(kinds) = kinds.as_array_mut() {
            kinds.retain(|kind| !gone(kind));
        }
    }
    Reply::json(200, &body)
}
