//! `null`, `[]`, `[null]`, `""` and a missing key mean the same: what the manifest states.

use cortex_misp::config::connections::Connections;
use cortex_misp::config::{self, OptionSource, overrides, schema};
use cortex_misp::cortex::manifest;
use cortex_misp::export::{self, Export};
use cortex_misp::import::{self, Import};
use cortex_misp::runtime::{connection_options, report_without_waiting};
use cortex_misp::worker;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::program::failure;

fn unset() -> [Value; 5] {
    [json!(null), json!([]), json!(""), json!([null]), json!(" ")]
}

fn base() -> Map<String, Value> {
    let base = json!({"name": ["one"], "url": ["https://one.example"], "key": ["k"], "max_export_tlp": "GREEN", "max_age_days": 7,
        "exclude_tags": ["x"], "published_only": false, "distribution": 1, "cert_check": false, "instance": "here.example"});
    base.as_object().unwrap().clone()
}

/// What a configuration is read as; or why it is not.
fn read<C: DeserializeOwned + JsonSchema + Serialize>(
    raw: &Map<String, Value>,
) -> Result<(Value, Vec<String>), String> {
    let (config, warnings) = config::parse_options::<C>(raw, OptionSource::Configuration)
        .map_err(|error| error.to_string())?;
    Ok((serde_json::to_value(config).unwrap(), warnings))
}

fn every_option_is_as_left_out<C: DeserializeOwned + JsonSchema + Serialize>() {
    for spec in schema::for_config::<C>() {
        let mut without = base();
        without.shift_remove(&spec.name);
        let expected = read::<C>(&without);
        for value in unset() {
            // In the parallel lists a null is an empty element.
            if spec.positional && value == json!([null]) {
                continue;
            }
            let mut with = without.clone();
            with.insert(spec.name.clone(), value.clone());
            assert_eq!(read::<C>(&with), expected, "{} {value}", spec.name);
        }
    }
}

#[test]
fn every_option_that_is_not_set_has_its_default() {
    every_option_is_as_left_out::<export::Config>();
    every_option_is_as_left_out::<import::Config>();
}

#[test]
fn what_the_manifest_states_is_what_holds() {
    fn states<C: DeserializeOwned + JsonSchema + Serialize>(manifest: &Value) {
        let (config, _) = read::<C>(
            json!({"name": ["one"], "url": ["https://one.example"], "key": ["k"]})
                .as_object()
                .unwrap(),
        )
        .unwrap();
        for item in manifest["configurationItems"].as_array().unwrap() {
            if let (Some(default), Some(name)) = (item.get("defaultValue"), item["name"].as_str()) {
                assert_eq!(config[name], *default, "{name}");
            }
        }
    }
    states::<export::Config>(&manifest::build(&worker::info::<Export>()));
    states::<import::Config>(&manifest::build(&worker::info::<Import>()));
}

#[test]
fn parallel_lists_keep_their_positions() {
    let lists = json!({"name": ["one", "two"], "url": ["https://one.example", "https://two.example"], "key": ["k", "l"], "cert_path": [null, "/x"], "purpose": ["", "ExportOnly"]});
    let (lists, _) = config::parse_options::<Connections>(
        lists.as_object().unwrap(),
        OptionSource::Configuration,
    )
    .unwrap();
    assert_eq!(
        (
            lists.cert_path.len(),
            lists.cert_path[0].is_none(),
            lists.purpose.len()
        ),
        (2, true, 2)
    );
    let lost = json!({"name": ["one", "two"], "url": ["https://one.example", "https://two.example"], "key": [null, "l"]});
    let (lost, _) = config::parse_options::<Connections>(
        lost.as_object().unwrap(),
        OptionSource::Configuration,
    )
    .unwrap();
    assert!(
        lost.to_connections(&[]).is_err(),
        "the second server's key must not go to the first"
    );
}

fn every_setting_is_as_left_out<C: Clone + DeserializeOwned + JsonSchema + Serialize>(
    connections: fn(&C) -> &Connections,
) {
    let of = |settings: Value| {
        let mut raw = base();
        raw.insert("connection_settings".to_owned(), json!([settings]));
        let (config, _) = config::parse_options::<C>(&raw, OptionSource::Configuration).unwrap();
        let (checked, _) = connections(&config)
            .to_connections(&connection_options())
            .unwrap();
        let configured = overrides::configure_each(checked, &raw, &config)
            .unwrap()
            .remove(0);
        let access = (
            configured.connection.purpose,
            configured.connection.access.cert_check,
            configured.connection.access.proxy.is_some(),
        );
        (serde_json::to_value(configured.config).unwrap(), access)
    };
    let expected = of(json!({"name": "one"}));
    let names = schema::for_config::<C>()
        .into_iter()
        .map(|spec| spec.name)
        .filter(|name| overrides::is_overridable(name));
    for name in names.chain(["cert_check", "purpose", "proxy"].map(ToOwned::to_owned)) {
        for value in unset() {
            assert_eq!(
                of(json!({"name": "one", name.clone(): value})),
                expected,
                "{name} {value}"
            );
        }
    }
}

#[test]
fn a_setting_of_one_connection_that_is_not_set_is_as_for_all() {
    every_setting_is_as_left_out::<export::Config>(|config| &config.connections);
    every_setting_is_as_left_out::<import::Config>(|config| &config.connections);
}

fn without_times(mut report: Value) -> Value {
    for part in report["full"]["connections"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        part["seconds"] = json!(0);
    }
    report
}

#[test]
fn a_parameter_that_is_not_set_is_as_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"name": ["feed"], "url": [format!("file://{}", folder.path().display())], "key": ["-"], "purpose": ["ImportAndExport"]});
    let run = |name: &str, value: Option<&Value>, is_import: bool| {
        let parameters = value.map_or(json!({}), |value| json!({name: value}));
        let case = json!({"_id": "~1", "caseId": 1, "title": "T", "startDate": 1_795_000_000_000_i64, "tlp": 1, "observables": [{"dataType": "ip", "data": "192.0.2.1"}]});
        let import = json!({"dataType": "other", "data": "misp:sync", "parameters": parameters, "config": config});
        let export = json!({"dataType": "thehive:case", "data": case, "parameters": parameters, "config": config});
        without_times(if is_import {
            report_without_waiting::<Import>(import)
        } else {
            report_without_waiting::<Export>(export)
        })
    };
    for is_import in [true, false] {
        let expected = run("", None, is_import);
        assert_eq!(expected["success"], true, "{expected:#}");
        for name in [
            "connection",
            "dry_run",
            "since",
            "event",
            "command",
            "limit",
            "organisation",
            "user",
        ] {
            if !is_import && ["since", "event", "command", "limit"].contains(&name) {
                continue;
            }
            for value in unset() {
                assert_eq!(
                    run(name, Some(&value), is_import),
                    expected,
                    "{name} {value}"
                );
            }
        }
    }
}

#[test]
fn a_red_case_with_nothing_but_nulls_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config: Map<String, Value> = schema::for_config::<export::Config>()
        .into_iter()
        .map(|spec| (spec.name, json!(null)))
        .collect();
    let gate = [
        "check_tlp",
        "max_tlp",
        "check_pap",
        "max_pap",
        "proxy_http",
        "proxy_https",
        "cacerts",
        "jobTimeout",
    ];
    config.extend(gate.map(|name| (name.to_owned(), json!(null))));
    config.extend(
        json!({"name": ["feed"], "url": [format!("file://{}", folder.path().display())], "key": ["-"]})
            .as_object()
            .unwrap()
            .clone(),
    );
    let case = |tlp: u64, pap: u64| {
        let data = json!({"_id": "~1", "caseId": 1, "title": "T", "startDate": 1_795_000_000_000_i64, "tlp": tlp, "pap": pap, "observables": [{"dataType": "ip", "data": "192.0.2.1", "ioc": true}]});
        report_without_waiting::<Export>(
            json!({"dataType": "thehive:case", "data": data, "tlp": tlp, "pap": pap, "message": "", "parameters": {"organisation": "soc", "user": "a@b.example"}, "config": config}),
        )
    };
    assert_eq!(failure(&case(3, 2)), "TLP is higher than allowed.");
    assert_eq!(failure(&case(2, 3)), "PAP is higher than allowed.");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(case(2, 2)["success"], true);
}
