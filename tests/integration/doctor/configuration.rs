//! What the doctor is given, and how it answers: a job, a configuration, neither; the table of a good one.

use std::process::Stdio;

use regex::Regex;
use serde_json::json;

use super::{access, config, no_alert_was_touched, nothing_was_changed, printed, told};
use crate::misp::{self, key};
use crate::program::Program;
use crate::thehive;

#[test]
fn the_table_of_a_good_configuration() {
    let (misp, hive) = (
        misp::Fake::start(misp::World::new()),
        thehive::Fake::start(thehive::World::five()),
    );
    let mut given = config(&misp, "orgadmin", &access(&hive, thehive::KEY));
    let ports = Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let export = told(Program::Export, &given, false);
    insta::assert_snapshot!(ports.replace_all(&export.text, "127.0.0.1:PORT"), @r#"
    misp-export check: nothing failed, 2 warnings

    configuration
      ok       items        all are known and good
      ok       instance     "hive.example.org"
      ok       secret       "instance_secret" is set

    corp
      ok       proxy        none: straight to the server
      ok       name         127.0.0.1 is an address
      WARNING  connection   http://127.0.0.1:PORT/ answers; connection "corp" sends its API key unencrypted: use https in "url"
      ok       version      MISP 2.5.1
      ok       key          good: orgadmin@partner.test, role "Org Admin", organisation "PartnerOrg" (5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e5f)
      ok       permissions  the role may add, change, tag
      ok       tags         those for TLP and PAP can be set
      ok       clock        the same as here, to within five minutes

    TheHive
      ok       proxy        none: straight to the server
      ok       name         127.0.0.1 is an address
      WARNING  connection   http://127.0.0.1:PORT/ answers; the key is sent unencrypted: use https in "thehive_url"
      ok       version      TheHive 5.7.3-1, five TLP levels, 3 is AMBER+STRICT
      ok       key          good: analyst@example.org, of organisation "cert"
      ok       permissions  a user who may read is enough
      ok       clock        the same as here, to within five minutes
    "#);
    given["include_tags"] = json!(["tlp:*"]);
    let import = told(Program::Import, &given, false);
    insta::assert_snapshot!(ports.replace_all(&import.text, "127.0.0.1:PORT"), @r#"
    misp-import check: nothing failed, 2 warnings

    configuration
      ok       items        all are known and good
      ok       instance     "hive.example.org"
      ok       secret       "instance_secret" is set

    corp
      ok       proxy        none: straight to the server
      ok       name         127.0.0.1 is an address
      WARNING  connection   http://127.0.0.1:PORT/ answers; connection "corp" sends its API key unencrypted: use https in "url"
      ok       version      MISP 2.5.1
      ok       key          good: orgadmin@partner.test, role "Org Admin", organisation "PartnerOrg" (5e0b5c1a-7d2b-4a8e-9d6a-0a1b2c3d4e5f)
      ok       permissions  any key that may read is enough
      ok       clock        the same as here, to within five minutes
      ok       names        all organisations and tags of the filters exist there

    TheHive
      ok       proxy        none: straight to the server
      ok       name         127.0.0.1 is an address
      WARNING  connection   http://127.0.0.1:PORT/ answers; the key is sent unencrypted: use https in "thehive_url"
      ok       version      TheHive 5.7.3-1, five TLP levels, 3 is AMBER+STRICT
      ok       key          good: analyst@example.org, of organisation "cert"
      ok       permissions  in "cert" the user may create alerts, change alerts, add observables, set ATT&CK techniques
      ok       types        it has every observable type that is used
      ok       clock        the same as here, to within five minutes
    "#);
    nothing_was_changed(&misp);
    no_alert_was_touched(&hive);
}

#[test]
fn a_job_folder_does_as_well() {
    let misp = misp::Fake::start(misp::World::new());
    let job = json!({"dataType": "other", "data": "misp:sync", "config": config(&misp, "partner", &json!({}))});
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("input")).unwrap();
    std::fs::write(folder.path().join("input/input.json"), job.to_string()).unwrap();
    let output = Program::Import
        .command()
        .arg("check")
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("ok       version      MISP 2.5.1"),
        "{text}"
    );
    assert!(!folder.path().join("output").exists());
}

#[test]
fn a_wrong_configuration_is_named_by_its_item() {
    for (given, words) in [
        (
            json!({"name": ["a"], "url": ["https://misp.invalid"]}),
            "\"key\" is not set: give the API key of each MISP's user",
        ),
        (
            json!({"name": ["a"], "url": ["x"], "key": ["k"], "read_timeout": "soon"}),
            "\"read_timeout\" is a text, not a number",
        ),
        (
            json!({"name": ["a"], "url": ["file:///tmp"], "distribution": 9}),
            "\"distribution\" is above 4",
        ),
        (
            json!({"name": ["a"], "url": ["file:///tmp"], "thehive_url": "thehive"}),
            "\"thehive_url\" has no scheme",
        ),
        (
            json!({"dataType": "thehive:case", "config": {}}),
            "\"name\" is not set",
        ),
    ] {
        let told = told(Program::Export, &given, true);
        let line = told.line("configuration", "items");
        assert!(
            line.starts_with("failed: ") && line.contains(words),
            "{line}"
        );
        assert_eq!(
            told.line("configuration", "not looked at"),
            "skipped: connections, TheHive"
        );
    }
    let unknown = json!({"name": ["a"], "url": ["file:///tmp"], "colour": 1});
    let told = told(Program::Export, &unknown, false);
    assert_eq!(
        told.line("configuration", "items"),
        "warning: configuration item \"colour\" is not known and is ignored"
    );
}

#[test]
fn what_is_no_configuration_is_told_what_is_wanted() {
    for (given, words) in [
        (json!([1]), "what was given is a list, not an object"),
        (
            json!({"config": "x"}),
            "the job's config is a text, not an object",
        ),
    ] {
        assert!(
            told(Program::Import, &given, true)
                .line("configuration", "input")
                .contains(words)
        );
    }
    let empty = tempfile::tempdir().unwrap();
    let mut command = Program::Import.command();
    let output = command
        .arg("check")
        .arg(empty.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("takes a job, or the worker's configuration alone, as JSON: no job: "),
        "{text}"
    );
}

#[test]
fn without_thehive_it_says_what_that_means_and_warns_of_the_installations_name() {
    let given = json!({"name": ["a"], "url": ["file:///tmp"]});
    let export = told(Program::Export, &given, false);
    assert!(
        export
            .line("TheHive", "access")
            .ends_with("no case can be exported"),
        "{}",
        export.text
    );
    assert!(
        export
            .line("configuration", "instance")
            .starts_with("warning: it is not set, and \"thehive\"")
    );
    let proposed = |told: &str| told.rsplit_once(' ').unwrap().1.to_owned();
    let secret = export.line("configuration", "secret");
    assert!(
        secret.starts_with("warning: \"instance_secret\" is not set")
            && proposed(&secret).len() == 64,
        "{secret}"
    );
    let again = told(Program::Export, &given, false).line("configuration", "secret");
    assert_ne!(proposed(&secret), proposed(&again));
    let import = told(Program::Import, &given, false);
    assert!(
        import
            .line("TheHive", "access")
            .ends_with("alerts are not written, only reported")
    );
    let half = json!({"name": ["a"], "url": ["file:///tmp"], "thehive_key": "canary-key-0123", "instance": "a"});
    let half = told(Program::Import, &half, true);
    assert!(
        half.line("TheHive", "access")
            .starts_with("failed: \"thehive_key\" is set and \"thehive_url\" is not")
    );
    assert_eq!(half.line("configuration", "instance"), "ok: \"a\"");
}

/// What a server says may carry the key that it was sent.
#[test]
fn a_key_that_a_server_repeats_is_not_shown() {
    let mut world = misp::World::new();
    world.version = format!("2.5.1 {}", key("partner"));
    world.organisations[1].name = key("partner");
    let misp = misp::Fake::start(world);
    let told = told(
        Program::Import,
        &config(&misp, "partner", &json!({})),
        false,
    );
    assert_eq!(told.line("corp", "version"), "ok: MISP 2.5.1 [removed]");
    assert!(
        told.line("corp", "key")
            .contains("organisation \"[removed]\"")
    );
}

#[test]
fn the_help_says_what_the_exit_status_means() {
    for program in [Program::Export, Program::Import] {
        let help = program
            .command()
            .args(["check", "--help"])
            .output()
            .unwrap()
            .stdout;
        let help = String::from_utf8(help)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            help.contains("The exit status is 0 if nothing failed, and 1 if something did"),
            "{help}"
        );
        assert!(help.contains("--json"));
    }
    drop(printed(Program::Export, &json!({}), &["--json"]));
}
