//! Clicks on values that a MISP or a feed holds in another form: what MISP takes for the same is a hit, and whatever an import
//! or an export makes of a value is found by it.

use std::fs;
use std::path::Path;

use cortex_misp::export::Export;
use cortex_misp::import::Import;
use cortex_misp::runtime;
use cortex_misp::types::{MispCapabilities, ObservableInput, Overrides, to_attributes};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{events, look_up, matches, message, run, taxonomies, taxonomy, warnings};
use crate::desk::md5;
use crate::misp::{self, Attribute, Event, Fake, World, key};
use crate::program::{Program, full, judged};

const EVENT: &str = "5f0e5b5c-0000-4000-8000-000000000001";

/// A MISP with one event that has these attributes, as they are.
fn holding(values: &[(&str, &str)]) -> Fake {
    let attribute = |(n, (kind, value)): (usize, &(&str, &str))| Attribute {
        id: n as u64 + 1,
        uuid: format!("5f0e5b5c-0001-4000-8000-{n:012}"),
        kind: (*kind).into(),
        category: "Other".into(),
        value: (*value).into(),
        distribution: 5,
        ..Attribute::default()
    };
    let mut event = Event {
        id: 1,
        uuid: EVENT.into(),
        org: 1,
        orgc: 1,
        distribution: 3,
        ..Event::default()
    };
    event.date = "2026-11-30".into();
    event.attributes = values.iter().enumerate().map(attribute).collect();
    event.attribute_count = values.len() as i64;
    let mut world = World::new();
    world.events.push(event);
    Fake::start(world)
}

fn differs(report: &Value) -> Vec<String> {
    let lists = events(report);
    let shown = lists
        .iter()
        .flat_map(|event| event["matches"].as_array().cloned().unwrap_or_default());
    shown
        .map(|one| one["differs"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn what_misp_takes_for_the_same_is_a_hit_and_marked_where_case_may_mean_something() {
    for (data_type, data, kind, value, differs_by) in [
        ("url", "http://x.example/a", "url", "HTTP://X.example/a", ""),
        (
            "url",
            "http://x.example/a",
            "url",
            "http://x.example/A",
            "other case",
        ),
        (
            "registry",
            "HKLM\\Software\\Evil",
            "regkey",
            "hklm\\software\\evil",
            "",
        ),
        ("filename", "Evil.EXE", "filename", "evil.exe", ""),
        (
            "filename",
            "Rec2.exe",
            "filename|md5",
            "Réc2.exe|d41d8cd98f00b204e9800998ecf8427e",
            "other case",
        ),
        (
            "other",
            "Global\\Evil",
            "mutex",
            "global\\evil",
            "other case",
        ),
        ("user-agent", "Evil/1", "user-agent", "EVIL/1", "other case"),
        (
            "mail-subject",
            "Strasse",
            "email-subject",
            "STRAßE",
            "other case",
        ),
        (
            "other",
            "in\u{200b}visible",
            "text",
            "invisible",
            "other case",
        ),
    ] {
        let misp = holding(&[(kind, value)]);
        let report = look_up(&misp, data_type, data, &json!({"published_only": false}));
        assert_eq!(differs(&report), [differs_by], "{data}");
        let remark = " (1 only in another case or as MISP's import rules write it)";
        assert_eq!(
            message(&report).contains(remark),
            !differs_by.is_empty(),
            "{}",
            message(&report)
        );
        assert_eq!(taxonomies(&report), [taxonomy("suspicious", "Events", "1")]);
        let look_up = &full(&report)["connections"][0]["look_up"];
        assert_eq!(
            look_up["events_differing"].as_u64().unwrap_or(0),
            u64::from(!differs_by.is_empty())
        );
    }
}

#[test]
fn other_letters_are_no_hit() {
    for (data, value) in [("Łodz", "Lodz"), ("и", "й"), ("a\tb", "a b"), ("ae", "æ")] {
        let report = look_up(&holding(&[("text", value)]), "other", data, &json!({}));
        assert!(
            message(&report).starts_with("no event knows"),
            "{}",
            message(&report)
        );
    }
}

/// MISP writes what can be read as an IPv6 address anew before it searches.
#[test]
fn what_only_looks_like_an_address_is_found_as_it_is() {
    let misp = holding(&[
        ("mac-eui-64", "00:11:22:aa:bb:cc:dd:ee"),
        ("text", "2001:DB8:0:0::1"),
        ("ip-dst", "2001:db8::1"),
    ]);
    for (data_type, data, expected) in [
        ("other", "00-11-22-AA-BB-CC-DD-EE", 1),
        ("other", "00:11:22:aa:bb:cc:dd:ee", 1),
        ("ip", "2001:DB8:0:0::1", 2),
        ("ip", "2001:db8::1", 1),
    ] {
        let report = look_up(&misp, data_type, data, &json!({}));
        assert_eq!(
            matches(&report).len(),
            expected,
            "{data}: {}",
            message(&report)
        );
    }
}

#[test]
fn a_percent_sign_is_a_letter_at_either_end() {
    let misp = holding(&[
        ("filename", "%TEMP%\\x.exe"),
        ("text", "100%"),
        ("text", "a"),
        ("filename", "x.exe"),
        ("text", "%"),
    ]);
    for (data_type, data, expected) in [
        ("filename", "%temp%\\x.exe", 1),
        ("other", "100%", 1),
        ("other", "%x.exe", 0),
        ("other", "%", 1),
    ] {
        let report = look_up(&misp, data_type, data, &json!({}));
        assert_eq!(
            matches(&report).len(),
            expected,
            "{data}: {}",
            message(&report)
        );
    }
}

/// `fixtures/faults/14-misp-import-regexp`: what the rules of a MISP made of a value is found by the value.
#[test]
fn what_import_rules_rewrote_is_found_by_what_it_was() {
    let job: Value = serde_json::from_slice(
        &fs::read("fixtures/faults/14-misp-import-regexp/job.json").unwrap(),
    )
    .unwrap();
    let stored = [
        ("filename", "%APPDATA%\\x.exe"),
        ("email-subject", "O%WINDIR%\\update"),
        ("filename", "%WINDIR%\\Temp\\dropper.exe"),
        ("user-agent", "Mozilla/5.0 (compatible; O%WINDIR%\\NT)"),
    ];
    let misp = holding(&stored);
    let mut found = 0;
    for observable in job["data"]["observables"].as_array().unwrap() {
        let (data_type, data) = (
            observable["dataType"].as_str().unwrap(),
            observable["data"].as_str().unwrap(),
        );
        let report = look_up(&misp, data_type, data, &json!({}));
        if data.contains("bob") || data.contains("Windows ") {
            assert_eq!(
                differs(&report),
                ["by an import rule"],
                "{data}: {}",
                message(&report)
            );
            found += 1;
        }
    }
    assert_eq!(found, 3);
}

/// A feed of one event with these attributes, with the hashes that PyMISP makes.
fn feed(folder: &Path, values: &[(String, String)]) {
    let attributes: Vec<Value> = values
        .iter()
        .enumerate()
        .map(|(n, (kind, value))| {
            json!({"type": kind, "category": "Other", "value": value, "to_ids": true,
                "uuid": format!("5f0e5b5c-0001-4000-8000-{n:012}"), "timestamp": "1"})
        })
        .collect();
    let head = json!({"uuid": EVENT, "info": "Ugly", "date": "2026-11-30", "timestamp": "1", "published": true});
    let mut event = json!({"Event": head});
    event["Event"]["Attribute"] = json!(attributes);
    fs::write(folder.join(format!("{EVENT}.json")), event.to_string()).unwrap();
    fs::write(
        folder.join("manifest.json"),
        json!({EVENT: head}).to_string(),
    )
    .unwrap();
    let halves = values
        .iter()
        .flat_map(|(kind, value)| match kind.contains('|') {
            true => value.split('|').collect::<Vec<_>>(),
            false => vec![value.as_str()],
        });
    let lines: String = halves
        .map(|half| format!("{},{EVENT}\n", md5(half.as_bytes())))
        .collect();
    fs::write(folder.join("hashes.csv"), lines).unwrap();
}

/// What an import of the event makes of it: type and data of each observable.
fn imported(url: &str, key: &str) -> Vec<(String, String)> {
    let job = json!({
        "dataType": "other", "data": "", "parameters": {"command": format!("misp:event:{EVENT}")},
        "config": config(url, key),
    });
    let report = runtime::report_without_waiting::<Import>(job).to_string();
    let report = judged(Program::Import, report.as_bytes());
    let observables = full(&report)["alerts"][0]["observables"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    observables
        .iter()
        .map(|one| (text(&one["dataType"]), text(&one["data"])))
        .collect()
}

fn config(url: &str, key: &str) -> Value {
    json!({"name": ["one"], "url": [url], "key": [key], "published_only": false, "max_age_days": 0, "loop_guard": false})
}

fn found(url: &str, key: &str, data_type: &str, data: &str) -> Value {
    run(
        &[],
        &json!({"dataType": data_type, "data": data, "config": config(url, key)}),
    )
}

/// `fixtures/faults/07-imported-but-not-found`: a feed whose values are not in MISP's form.
#[test]
fn what_an_import_of_a_feed_writes_anew_is_found_in_that_feed() {
    let folder = Path::new("fixtures/faults/07-imported-but-not-found");
    let here = fs::canonicalize(folder).unwrap();
    for n in 0..6 {
        let job = fs::read_to_string(folder.join(format!("job-look-{n}.json"))).unwrap();
        let job: Value =
            serde_json::from_str(&job.replace("@HERE@", here.to_str().unwrap())).unwrap();
        let mut job = job;
        job["config"]["lookup_related"] = json!(false);
        let report = run(&[], &job);
        assert_eq!(
            (matches(&report).len(), differs(&report)),
            (1, vec![String::new()]),
            "{}",
            message(&report)
        );
    }
}

/// Values of many types, written in ways that MISP or an import writes anew.
fn ugly() -> impl Strategy<Value = (String, String)> {
    let name = "[a-z]{1,5}[.](evil|münchen|xn--mnchen-3ya)[.]example";
    let pair = |kind: &'static str, value: BoxedStrategy<String>| {
        value.prop_map(move |value| (kind.to_owned(), value))
    };
    let kinds: Vec<(&'static str, String)> = vec![
        ("domain", format!("{name}[.]?")),
        ("domain", "evil(\\[[.]\\]|\\(dot\\)|\\[dot\\]|[.])example".into()),
        ("hostname", format!("www[.]{name}")),
        ("domain|ip", format!("{name}\\|192[.]0[.]2[.][1-9]")),
        ("hostname|port", "w[.]evil[.]example(\\||:)[1-9][0-9]{1,3}".into()),
        ("url", format!("(hxxp|http|https|ftp)s?://(u:P@)?{name}(:8080)?/[a-zA-Z?=%ü]{{0,4}}")),
        ("url", "hxxps?://evil(\\[[.]\\]|\\[DOT\\]|[.])example/x".into()),
        ("link", format!("https://{name}/Report")),
        ("ip-dst", "(192[.]0[.]2[.][1-9]|2001:DB8:0:0:0:0:0:[1-9]|2001:db8::[1-9]/128|198[.]51[.]100[.]0/24)".into()),
        ("ip-src", "192\\[[.]\\]0[.]2[.][1-9](/32)?".into()),
        ("ip-dst|port", "(192[.]0[.]2[.][1-9](:|\\|)|\\[2001:DB8::1\\]:)443".into()),
        ("email-src", "[A-Za-z]{1,4}(@|\\[at\\]|\\[@\\])Evil([.]|\\[[.]\\])example".into()),
        ("email-subject", "(%|!)?[A-Za-zßé ]{1,8}[%!]?".into()),
        ("md5", "[0-9a-fA-F]{32}".into()),
        ("sha256", "[0-9A-F]{64}".into()),
        ("x509-fingerprint-md5", "([0-9A-F]{2}:){15}[0-9A-F]{2}".into()),
        ("filename", "(%TEMP%|C:|dir)?[\\\\/]?[A-Za-zé]{1,6}[.](exe|doc)".into()),
        ("filename|md5", "[A-Za-z]{1,6}[.]exe\\|[0-9A-F]{32}".into()),
        ("regkey", "(hklm|HKCU)\\\\[A-Za-z]{1,6}".into()),
        ("regkey|value", "HKCU\\\\[A-Za-z]{1,4}\\|%[a-z]{2,4}%".into()),
        ("user-agent", "Evil/[0-9] \\(X11; [A-Za-z]{1,4}\\)".into()),
        ("mac-address", "([0-9A-F]{2}[-:]){5}[0-9A-F]{2}".into()),
        ("phone-number", "(tel:)?(\\+|00)49[ -]?\\(0\\)[1-9][0-9]{4,6}".into()),
        ("mac-eui-64", "(00[-:]){6}[0-9A-F]{2}[-:]0[0-9]".into()),
        ("AS", "(AS|as)?[1-9][0-9]{2,4}".into()),
        ("vulnerability", "(cve|CVE)(-|–)20[12][0-9]-[0-9]{4}".into()),
        ("iban", "DE[0-9]{2} [0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4} [0-9]{2}".into()),
        ("mutex", "Global\\\\[A-Za-z]{1,6}".into()),
        ("text", "[A-Za-z0-9ÄöÜß!&%|*'\\\\ ]{1,10}".into()),
        ("other", "[!&%0-9a-zA-Z]{1,6}".into()),
    ];
    let around = (
        select(vec!["", " ", "\t", "\u{a0}"]),
        select(vec!["", " ", "\n", "\u{200b}"]),
    );
    let shapes: Vec<_> = kinds
        .into_iter()
        .map(|(kind, shape)| {
            pair(
                kind,
                proptest::string::string_regex(&shape).unwrap().boxed(),
            )
            .boxed()
        })
        .collect();
    (
        proptest::strategy::Union::new(shapes),
        around,
        any::<bool>(),
    )
        .prop_map(|((kind, value), (before, behind), is_padded)| {
            if is_padded {
                (kind, format!("{before}{value}{behind}"))
            } else {
                (kind, value)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_observable_of_an_imported_event_is_found_by_a_look_up_of_it(values in proptest::collection::vec(ugly(), 10)) {
        let stored: Vec<(String, String)> = values
            .iter()
            .filter_map(|(kind, value)| {
                let category = cortex_misp::types::MISP_TYPES.iter().find(|known| known.kind == kind).unwrap().default_category();
                Some((kind.clone(), misp::stored(kind, category, value)?))
            })
            .collect();
        let misp = holding(&stored.iter().map(|(kind, value)| (kind.as_str(), value.as_str())).collect::<Vec<_>>());
        for (data_type, data) in imported(&misp.url(), &key("admin")) {
            let report = found(&misp.url(), &key("admin"), &data_type, &data);
            prop_assert!(!matches(&report).is_empty(), "{data_type} {data:?}: {} {stored:?}", message(&report));
        }
    }

    #[test]
    fn every_observable_of_an_imported_feed_is_found_by_a_look_up_of_it(values in proptest::collection::vec(ugly(), 10)) {
        let folder = tempfile::tempdir().unwrap();
        feed(folder.path(), &values);
        let url = format!("file://{}", folder.path().display());
        let observables = imported(&url, "-");
        prop_assert!(observables.len() > 4, "{observables:?}");
        for (data_type, data) in observables {
            let report = found(&url, "-", &data_type, &data);
            prop_assert!(!matches(&report).is_empty(), "{data_type} {data:?}: {} {values:?}", message(&report));
            prop_assert_eq!(warnings(&report), "null");
        }
    }

    #[test]
    fn every_ioc_of_an_exported_case_is_found_by_a_look_up_of_it(values in proptest::collection::vec(ugly(), 10)) {
        let folder = tempfile::tempdir().unwrap();
        let misp = Fake::start(World::new());
        let places = [(misp.url(), key("admin")), (format!("file://{}", folder.path().display()), "-".to_owned())];
        let observables: Vec<(&str, &str)> = values.iter().map(|(kind, value)| (data_type(kind), value.as_str())).collect();
        let given: Vec<ObservableInput<'_>> =
            observables.iter().map(|(data_type, data)| ObservableInput { data_type, data, tags: &[] }).collect();
        let mapping = to_attributes(&given, &Overrides::default(), &MispCapabilities::newest());
        for (url, key) in &places {
            let iocs: Vec<Value> = observables
                .iter()
                .enumerate()
                .map(|(n, (data_type, data))| json!({"_id": format!("~{n}"), "dataType": data_type, "data": data, "ioc": true, "tlp": 1}))
                .collect();
            let job = json!({
                "dataType": "thehive:case", "tlp": 1, "pap": 1, "parameters": {},
                "data": {"_id": "~1", "caseId": 1, "title": "Ugly", "startDate": 1_790_000_000_000_i64, "tlp": 1, "pap": 1, "observables": iocs},
                "config": {"name": ["one"], "url": [url], "key": [key], "instance": "here.example"},
            });
            let report = runtime::report_without_waiting::<Export>(job).to_string();
            judged(Program::Export, report.as_bytes());
            for (n, (data_type, data)) in observables.iter().enumerate() {
                if mapping.refused.iter().any(|(refused, _)| *refused == n) {
                    continue;
                }
                let report = found(url, key, data_type, data);
                prop_assert!(!matches(&report).is_empty(), "{url} {data_type} {data:?}: {}", message(&report));
            }
        }
    }
}

/// The observable type that an analyst would give a value of this MISP type.
fn data_type(kind: &str) -> &'static str {
    match kind {
        "domain" => "domain",
        "hostname" => "fqdn",
        "url" | "link" => "url",
        "ip-dst" | "ip-src" | "ip-dst|port" => "ip",
        "email-src" => "mail",
        "email-subject" => "mail-subject",
        "md5" | "sha256" => "hash",
        "filename" => "filename",
        "regkey" => "registry",
        "user-agent" => "user-agent",
        "AS" => "autonomous-system",
        _ => "other",
    }
}
