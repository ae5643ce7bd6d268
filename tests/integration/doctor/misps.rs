//! One MISP: whether it is one, its key, what that may do, its clock, the names in filters.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Told, config, minutes_off, nothing_was_changed, told};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Fake, World, key};
use crate::program::Program;

/// The doctor's word on a world, as one of its users.
fn on(program: Program, world: World, user: &str, more: &Value, has_failed: bool) -> Told {
    let misp = Fake::start(world);
    let told = told(program, &config(&misp, user, more), has_failed);
    nothing_was_changed(&misp);
    assert!(!misp.requests().is_empty());
    told
}

fn export(user: &str, more: &Value, has_failed: bool) -> Told {
    on(Program::Export, World::new(), user, more, has_failed)
}

#[test]
fn a_good_key_is_told_with_its_user_role_and_organisation() {
    let told = export("sync", &json!({}), false);
    assert_eq!(told.line("corp", "version"), "ok: MISP 2.5.1");
    assert_eq!(
        told.line("corp", "key"),
        "ok: good: sync@admin.test, role \"Sync user\", organisation \"ORGNAME\" (8eeb2722-13f4-4a9d-a57b-877e58dfd715)"
    );
    assert_eq!(
        told.line("corp", "permissions"),
        "ok: the role may add, change, tag"
    );
    assert_eq!(
        told.line("corp", "clock"),
        "ok: the same as here, to within five minutes"
    );
    assert_eq!(
        told.checks("corp"),
        [
            "proxy",
            "name",
            "connection",
            "version",
            "key",
            "permissions",
            "tags",
            "clock"
        ]
    );
}

#[test]
fn a_wrong_an_expired_and_a_disabled_key_are_explained() {
    const HELP: &str = "check \"key\": it is wrong, expired, or its user is disabled";
    for (user, words) in [
        ("nobody", HELP),
        ("partner_expired", HELP),
        ("disabled", "Your user account has been disabled"),
        (
            "partner_iprestricted",
            "not possible to use this Auth key from your IP address",
        ),
    ] {
        let told = export(user, &json!({}), true);
        let line = told.line("corp", "key");
        assert!(
            line.starts_with("failed: GET ") && line.contains("403: ") && line.contains(words),
            "{line}"
        );
        assert_eq!(
            told.line("corp", "not looked at"),
            "skipped: version, permissions, clock"
        );
    }
}

#[test]
fn a_read_only_key_fails_an_export_and_does_for_an_import() {
    let told = export("partner_readonlykey", &json!({}), true);
    assert!(
        told.lines("corp", "key")[1].starts_with("failed: it is read-only, and an export writes")
    );
    assert!(
        told.line("corp", "permissions")
            .starts_with("skipped: a read-only key has none")
    );
    let told = on(
        Program::Import,
        World::new(),
        "partner_readonlykey",
        &json!({}),
        false,
    );
    assert_eq!(
        told.lines("corp", "key")[1],
        "ok: it is read-only, which is enough here"
    );
}

#[test]
fn a_role_without_add_fails_an_export_and_does_for_an_import() {
    let told = export("readonly", &json!({}), true);
    let lines = told.lines("corp", "permissions");
    assert_eq!(
        lines[0],
        "failed: the role may not add events: give it \"perm_add\""
    );
    assert!(lines[1].starts_with("failed: the role may not change events"));
    assert!(lines[2].starts_with("warning: the role may not tag what is there"));
    assert_eq!(lines.len(), 3);
    let told = on(Program::Import, World::new(), "readonly", &json!({}), false);
    assert_eq!(
        told.line("corp", "permissions"),
        "ok: any key that may read is enough"
    );
}

#[test]
fn a_key_without_tag_editor_is_warned_of_the_tags_that_are_not_there() {
    let told = export("partner", &json!({}), false);
    assert_eq!(
        told.line("corp", "tags"),
        "ok: those for TLP and PAP can be set"
    );
    let mut world = World::new();
    world
        .tags
        .retain(|tag| tag.name != "tlp:green" && tag.name != "PAP:AMBER");
    let told = on(
        Program::Export,
        world.clone(),
        "partner",
        &json!({"export_case_tags": true}),
        false,
    );
    let lines = told.lines("corp", "tags");
    assert!(
        lines[0].starts_with("warning: tlp:green, PAP:AMBER cannot be set: have them made there"),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with(
        "warning: the role may not make tags: of those that \"export_case_tags\" would send"
    ));
    let told = on(
        Program::Export,
        world,
        "orgadmin",
        &json!({"export_case_tags": true}),
        false,
    );
    assert_eq!(
        told.line("corp", "tags"),
        "ok: those for TLP and PAP can be set"
    );
}

#[test]
fn sightings_and_sharing_groups_are_looked_at_when_they_are_wanted() {
    let mut world = World::new();
    world.users[1].role.sighting = false;
    let told = on(
        Program::Export,
        world,
        "partner",
        &json!({"export_sightings": true}),
        true,
    );
    let lines = told.lines("corp", "permissions");
    assert!(lines[0].starts_with(
        "failed: the role may not add sightings, which \"export_sightings\" asks for"
    ));
    let told = export("partner", &json!({"export_sightings": true}), false);
    assert_eq!(
        told.line("corp", "permissions"),
        "ok: the role may add, change, tag, add sightings"
    );
    let mut world = World::new();
    let member = json!([{"sharing_group_id": "7", "org_id": "2"}]);
    world
        .sharing_groups
        .push(json!({"id": "7", "name": "CERTs", "org_id": "2", "SharingGroupOrg": member}));
    let group = json!({"distribution": 4, "sharing_group": 7});
    let told = on(Program::Export, world.clone(), "partner", &group, false);
    assert_eq!(told.line("corp", "sharing group"), "ok: 7 is \"CERTs\"");
    let told = on(Program::Export, world, "thirduser", &group, true);
    let line = told.line("corp", "sharing group");
    assert!(
        line.starts_with(
            "failed: 7 is not among the groups that the key's organisation may share with"
        ),
        "{line}"
    );
}

#[test]
fn a_sharing_group_that_the_organisation_made_and_is_no_member_of_is_a_failure() {
    let mut world = World::new();
    let member = json!([{"sharing_group_id": "7", "org_id": "3"}]);
    world
        .sharing_groups
        .push(json!({"id": "7", "name": "CERTs", "org_id": "2", "SharingGroupOrg": member}));
    let told = on(
        Program::Export,
        world,
        "partner",
        &json!({"distribution": 4, "sharing_group": 7}),
        true,
    );
    let line = told.line("corp", "sharing group");
    assert!(
        line.contains("correct \"sharing_group\", or have the organisation made a member"),
        "{line}"
    );
}

#[test]
fn a_key_that_expires_soon_is_a_warning() {
    let mut world = World::new();
    world.users[1].expires =
        Some((jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 9 + 1)).to_string());
    let line = on(Program::Export, world.clone(), "partner", &json!({}), false)
        .lines("corp", "key")[1]
        .clone();
    assert!(
        line.starts_with("warning: it expires on 2")
            && line.ends_with("that is in 9 days, replace it in time"),
        "{line}"
    );
    world.users[1].expires = Some("2222-11-30T00:00:00+00:00".to_owned());
    let told = on(Program::Export, world, "partner", &json!({}), false);
    assert_eq!(told.lines("corp", "key")[1], "ok: it expires on 2222-11-30");
}

#[test]
fn maintenance_mode_is_told_from_a_wrong_key() {
    let mut world = World::new();
    world.live = false;
    let told = on(Program::Import, world, "partner", &json!({}), true);
    let line = told.line("corp", "version");
    assert!(
        line.starts_with("failed: ") && line.contains("MISP is in maintenance mode"),
        "{line}"
    );
    assert_eq!(
        told.line("corp", "not looked at"),
        "skipped: key, permissions, clock, names"
    );
}

#[test]
fn another_website_is_no_misp() {
    let site = |what: What, word: &str| {
        let misp = Fake::start(World::new());
        misp.fault(Fault {
            on: "/",
            nth: Nth::Always,
            what,
        });
        let told = told(Program::Export, &config(&misp, "partner", &json!({})), true);
        let line = told.line("corp", "version");
        assert!(
            line.starts_with("failed: ") && line.contains(word),
            "{line}"
        );
        assert!(told.line("corp", "connection").contains(" answers; "));
    };
    let page = || "<html>Welcome</html>".to_owned();
    site(
        What::Status(200, page(), "text/html"),
        "text/html, not JSON: this URL is not that of an API",
    );
    site(
        What::Status(404, page(), "text/html"),
        "check \"url\": is this the address of a MISP?",
    );
    site(
        What::Status(403, page(), "text/html"),
        "a web page, not an API's answer",
    );
    site(
        What::Body("{\"cluster_name\": \"elastic\"}".to_owned()),
        "names no version: this is no MISP",
    );
    site(
        What::Redirect("https://portal.example.org/".to_owned()),
        "redirects to https://portal.example.org/",
    );
}

#[test]
fn a_misp_below_a_path_is_found_there_and_nowhere_else() {
    let mut world = World::new();
    world.below = "/misp";
    let misp = Fake::start(world);
    let with_path = |path: &str| {
        config(
            &misp,
            "partner",
            &json!({"url": [format!("{}{path}", misp.url())]}),
        )
    };
    let found = told(Program::Export, &with_path("/misp"), false);
    assert_eq!(found.line("corp", "version"), "ok: MISP 2.5.1");
    let missed = told(Program::Export, &with_path(""), true);
    assert!(
        missed.line("corp", "version").contains("404: "),
        "{}",
        missed.text
    );
}

#[test]
fn old_versions_are_a_warning_and_too_old_ones_a_failure() {
    for (version, verdict, has_failed) in [
        ("2.4.132", "failed", true),
        ("2.4.133", "warning", false),
        ("2.4.200", "warning", false),
        ("2.5.0", "ok", false),
        ("3.0", "ok", false),
    ] {
        let mut world = World::new();
        world.version = version.to_owned();
        let line =
            on(Program::Export, world, "partner", &json!({}), has_failed).line("corp", "version");
        assert!(
            line.starts_with(&format!("{verdict}: MISP {version}")),
            "{line}"
        );
    }
}

#[test]
fn a_clock_that_is_off_is_told_with_its_direction() {
    for (minutes, words) in [
        (10, "10 minutes ahead of ours"),
        (-10, "10 minutes behind ours"),
        (-300, "5 hours behind ours"),
    ] {
        let mut world = World::new();
        world.date = minutes_off(minutes);
        let line = on(Program::Export, world, "partner", &json!({}), false).line("corp", "clock");
        assert!(
            line.starts_with(&format!(
                "warning: the server's is {words}: what is asked and noted by time"
            )),
            "{line}"
        );
    }
    let mut world = World::new();
    world.date = minutes_off(4);
    assert!(
        on(Program::Export, world, "partner", &json!({}), false)
            .line("corp", "clock")
            .starts_with("ok: ")
    );
}

#[test]
fn names_in_filters_that_do_not_exist_are_told_as_in_a_run() {
    let filters = json!({
        "include_organisations": ["PartnerOrg", "Nobody"], "exclude_tags": ["no:such:*", "tlp:red"], "include_tags": ["tlp:*"],
    });
    let told = on(Program::Import, World::new(), "partner", &filters, false);
    assert_eq!(
        told.lines("corp", "names"),
        [
            "warning: include_organisations: \"Nobody\" does not exist on this server",
            "warning: exclude_tags: \"no:such:*\" does not exist on this server"
        ]
    );
    let told = on(
        Program::Import,
        World::new(),
        "partner",
        &json!({"include_tags": ["no:such"]}),
        true,
    );
    assert!(
        told.line("corp", "names")
            .starts_with("failed: nothing of \"include_tags\" exists on this server")
    );
    let told = on(
        Program::Import,
        World::new(),
        "partner",
        &json!({"include_tags": ["tlp:red"]}),
        false,
    );
    assert_eq!(
        told.line("corp", "names"),
        "ok: all organisations and tags of the filters exist there"
    );
    assert!(
        on(Program::Import, World::new(), "partner", &json!({}), false)
            .lines("corp", "names")
            .is_empty()
    );
}

#[test]
fn a_limit_on_searches_is_told() {
    let told = on(
        Program::Import,
        World::new(),
        "ratelimited",
        &json!({}),
        false,
    );
    assert_eq!(
        told.line("corp", "rate limit"),
        "ok: 3 searches in 15 minutes: a run that needs more waits"
    );
}

#[test]
fn where_nothing_listens_the_rest_is_not_looked_at() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config =
        json!({"name": ["corp"], "url": [format!("https://{free}")], "key": [key("admin")]});
    let told = told(Program::Export, &config, true);
    assert_eq!(told.line("corp", "name"), "ok: 127.0.0.1 is an address");
    assert!(
        told.line("corp", "connection")
            .contains("nothing listens there"),
        "{}",
        told.text
    );
    assert_eq!(
        told.line("corp", "not looked at"),
        "skipped: version, key, permissions, clock"
    );
}

#[test]
fn a_name_that_is_not_known_is_a_failure_of_its_own() {
    let config = json!({"name": ["corp"], "url": ["https://misp.invalid"], "key": [key("admin")]});
    let told = told(Program::Import, &config, true);
    let line = told.line("corp", "name");
    assert!(
        line.starts_with("failed: misp.invalid is not known here ("),
        "{line}"
    );
    assert_eq!(
        told.line("corp", "not looked at"),
        "skipped: connection, version, key, permissions, clock, names"
    );
}

#[test]
fn a_proxy_is_named_without_its_password_and_looked_up_in_the_servers_place() {
    let proxy = Fake::start(World::new());
    let url = proxy
        .url()
        .replace("http://", "http://user:canary-password@");
    let own = json!([{"name": "corp", "proxy": url}]);
    let config = json!({
        "name": ["corp"], "url": ["http://misp.invalid"], "key": [key("partner")], "connection_settings": own,
    });
    let told = told(Program::Import, &config, false);
    assert_eq!(
        told.line("corp", "proxy"),
        format!("ok: {} (proxy of the connection)", proxy.url())
    );
    assert_eq!(told.line("corp", "name"), "ok: 127.0.0.1 is an address");
    assert_eq!(told.line("corp", "version"), "ok: MISP 2.5.1");
    assert!(!told.text.contains("canary-password"));
}
