//! Clicks: an analyst has a value looked up, and the report shows which events know it. Nothing is written by any of them.

mod alike;
mod commands;
mod default_filters;
mod feeds;
mod hostile;

use cortex_misp::import::Import;
use cortex_misp::runtime;
use serde_json::{Value, json};

use crate::misp::{self, Attribute, Event, Fake, World, key};
use crate::program::{Program, counts, full, judged, of, search};

/// A click on a value alone, on a MISP of which everything may be shown. `lookup_related.rs` has what is related to it,
/// `lookup_artifacts.rs` what stands beside it.
fn click(misp: &Fake, data_type: &str, data: &str) -> Value {
    json!({
        "dataType": data_type, "data": data, "tlp": 2, "pap": 2,
        "config": {"name": ["partner"], "url": [misp.url()], "key": [key("admin")], "published_only": false, "lookup_related": false, "lookup_artifacts": "off"},
    })
}

/// The same of one that has nothing to offer.
pub(super) fn run(misps: &[&Fake], job: &Value) -> Value {
    let report = answer(misps, job);
    if report["success"] == true {
        assert_eq!(report["artifacts"], json!([]));
    }
    report
}

/// Runs a job in this process; its report is judged, and no request of it may change anything.
pub(super) fn answer(misps: &[&Fake], job: &Value) -> Value {
    misps.iter().for_each(|misp| misp.forget_requests());
    let text = runtime::report_without_waiting::<Import>(job.clone()).to_string();
    search(job, &text);
    misps
        .iter()
        .for_each(|misp| assert_eq!(misp::writes(misp), [""; 0]));
    let report = judged(Program::Import, text.as_bytes());
    if report["success"] == true {
        assert_eq!(report["operations"], json!([]));
        assert!(report["full"].get("alerts").is_none());
    }
    report
}

pub(super) fn look_up(misp: &Fake, data_type: &str, data: &str, config: &Value) -> Value {
    let mut job = click(misp, data_type, data);
    job["config"]
        .as_object_mut()
        .unwrap()
        .extend(config.as_object().unwrap().clone());
    run(&[misp], &job)
}

pub(super) fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

/// Level, predicate and value of each mini report.
pub(super) fn taxonomies(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = report["summary"]["taxonomies"].as_array().unwrap();
    list.iter()
        .map(|one| {
            (
                text(&one["level"]),
                text(&one["predicate"]),
                text(&one["value"]),
            )
        })
        .collect()
}

pub(super) fn taxonomy(level: &str, predicate: &str, value: &str) -> (String, String, String) {
    (level.to_owned(), predicate.to_owned(), value.to_owned())
}

pub(super) fn events(report: &Value) -> Vec<Value> {
    full(report)["connections"][0]["events"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

pub(super) fn warnings(report: &Value) -> String {
    full(report)["connections"][0]["warnings"].to_string()
}

/// The paths asked for, without the version.
pub(super) fn paths(misp: &Fake) -> Vec<String> {
    let paths = misp.requests().into_iter().map(|request| request.path);
    paths.filter(|path| !path.contains("getVersion")).collect()
}

/// The uuids of the live attributes of the world that are a value or have it as a half, port or not.
fn expected(misp: &Fake, value: &str) -> Vec<String> {
    let world = misp.world();
    let live = world.events.iter().flat_map(Event::live);
    let has =
        |one: &&Attribute| one.value == value || one.halves().0 == value || one.halves().1 == value;
    live.filter(has).map(|one| one.uuid.clone()).collect()
}

fn matches(report: &Value) -> Vec<String> {
    let lists = events(report);
    let shown = lists
        .iter()
        .flat_map(|event| event["matches"].as_array().cloned().unwrap_or_default());
    shown
        .map(|one| one["uuid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn values_are_found_alone_in_composites_and_in_objects() {
    let misp = Fake::start(World::with_corpus());
    for (data_type, data, stored, at_least) in [
        ("ip", "203.0.113.77", "203.0.113.77", 3),
        ("ip", "198.51.100.2", "198.51.100.2", 2),
        ("ip", "198.51.100.3", "198.51.100.3", 1),
        ("ip", "2001:0DB8:0:0::77", "2001:db8::77", 1),
        (
            "hash",
            "A45996261299F7D30E22E7A2528473CF",
            "a45996261299f7d30e22e7a2528473cf",
            2,
        ),
        (
            "hash",
            "727CEEF6A51773D8FBDEFB5D1E712F21",
            "727ceef6a51773d8fbdefb5d1e712f21",
            1,
        ),
        (
            "url",
            "hxxps://alltypes[.]example/a?b=c",
            "https://alltypes.example/a?b=c",
            1,
        ),
        ("domain", "AllTypes[.]example", "alltypes.example", 2),
        ("fqdn", "c2.example.net", "c2.example.net", 2),
        (
            "hostname",
            "www.alltypes.example",
            "www.alltypes.example",
            2,
        ),
        ("filename", "dropper.exe", "dropper.exe", 2),
        (
            "mail",
            "Attacker[@]evil.example",
            "attacker@evil.example",
            1,
        ),
        ("mail_subject", "Invoice ünïcödé", "Invoice ünïcödé", 1),
        (
            "registry",
            "HKLM\\Software\\Evil",
            "HKLM\\Software\\Evil",
            2,
        ),
        ("uri_path", "/a/b.php", "/a/b.php", 1),
        ("user-agent", "Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)", 1),
        ("autonomous-system", "AS64512", "64512", 1),
        ("other", "Global\\evil", "Global\\evil", 1),
    ] {
        let report = look_up(&misp, data_type, data, &json!({}));
        let (mut found, mut expected) = (matches(&report), expected(&misp, stored));
        found.sort();
        expected.sort();
        assert!(expected.len() >= at_least, "{data}: {expected:?}");
        assert_eq!(found, expected, "{data}");
        let number = expected.len() as u64;
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", number), ("found", number)])
        );
        assert_eq!(full(&report)["dry_run"], false);
        assert!(
            !paths(&misp)
                .iter()
                .any(|path| path.contains("/events/view")),
            "{:?}",
            paths(&misp)
        );
    }
}

#[test]
fn a_click_shows_the_event_and_what_matched_in_it() {
    let misp = Fake::start(World::with_corpus());
    let change = |one: &mut Attribute| one.comment = "seen in a phishing mail".into();
    misp.world()
        .event_mut("24")
        .unwrap()
        .attributes
        .iter_mut()
        .for_each(change);
    let report = look_up(&misp, "domain", "tagged.example.org", &json!({}));
    assert_eq!(
        message(&report),
        "1 event knows tagged.example.org on 1 connection (1 with an IDS attribute)"
    );
    assert_eq!(taxonomies(&report), [taxonomy("malicious", "Events", "1")]);
    let [event] = events(&report).try_into().unwrap();
    let world = misp.world();
    let source = world.event("24").unwrap();
    assert_eq!(event["uuid"], source.uuid.as_str());
    assert_eq!(
        event["link"],
        format!("{}/events/view/{}", misp.url(), source.uuid)
    );
    assert_eq!(
        (&event["verdict"], &event["tlp"]),
        (&json!("found"), &json!("AMBER"))
    );
    assert_eq!(
        (&event["organisation"], &event["attributes"]),
        (&json!("ORGNAME"), &json!(1))
    );
    let attribute = source
        .live()
        .find(|one| one.value == "tagged.example.org")
        .unwrap();
    assert_eq!(
        event["matches"],
        json!([{
            "uuid": attribute.uuid, "attribute": "Network activity/domain", "value": "tagged.example.org", "to_ids": true,
            "tags": world.names(&attribute.tags), "sightings": 1, "false_positives": 1, "expiration": "2027-01-15",
            "comment": "seen in a phishing mail",
        }])
    );
    drop(world);
    let report = look_up(&misp, "ip", "203.0.113.77", &json!({}));
    let [event] = events(&report).try_into().unwrap();
    let relations: Vec<_> = event["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["object_relation"].clone())
        .collect();
    assert_eq!(relations, [json!(null), json!("ip"), json!("ip-dst")]);
}

#[test]
fn what_is_not_meant_for_detection_is_suspicious() {
    let misp = Fake::start(World::with_corpus());
    let report = look_up(&misp, "ip", "198.51.0.0", &json!({}));
    assert_eq!(message(&report), "1 event knows 198.51.0.0 on 1 connection");
    assert_eq!(taxonomies(&report), [taxonomy("suspicious", "Events", "1")]);
}

#[test]
fn what_nobody_knows_is_told_so() {
    let misp = Fake::start(World::with_corpus());
    for (data_type, data) in [
        ("domain", "absent.example.org"),
        ("ip", "203.0.113.9"),
        ("domain", "todelete.example.org"),
    ] {
        let report = look_up(&misp, data_type, data, &json!({}));
        assert_eq!(message(&report), format!("no event knows {data}"));
        assert_eq!(taxonomies(&report), [taxonomy("info", "Events", "0")]);
        assert_eq!(counts(full(&report), "events"), of([]));
        // Only the second, without a limit, tells what MISP counts from what it shows.
        assert_eq!(paths(&misp), ["/attributes/restSearch"; 2]);
    }
}

/// In all 20 events of the matrix.
const SHARED: &str = "ffec6f5346b75a4a6339a67682e437a5c9d8ddee31b92673850e856d1304b6a9";

#[test]
fn filters_hide_events_and_are_named() {
    let misp = Fake::start(World::with_corpus());
    let count = |is: &dyn Fn(&Event) -> bool| {
        let world = misp.world();
        let matrix = world
            .events
            .iter()
            .filter(|event| event.live().any(|one| one.value == SHARED));
        matrix.filter(|event| is(event)).count() as u64
    };
    assert_eq!(count(&|_| true), 20);
    for (config, rule, hidden) in [
        (
            json!({"published_only": null}),
            "not published",
            count(&|event| !event.published),
        ),
        (
            json!({"exclude_organisations": ["PartnerOrg"]}),
            "organisation PartnerOrg is excluded",
            count(&|event| event.orgc == 2),
        ),
        (
            json!({"include_organisations": ["Nobody"]}),
            "organisation is not included",
            20,
        ),
        (
            json!({"min_threat_level": "high"}),
            "threat level below high",
            count(&|event| event.threat_level > 1),
        ),
        (
            json!({"exclude_tags": ["TLP:*"]}),
            "tag TLP:* is excluded",
            17,
        ),
    ] {
        let report = look_up(&misp, "hash", SHARED, &config);
        let shown = 20 - hidden;
        assert_eq!(counts(full(&report), "events")["skipped"], hidden);
        assert_eq!(
            full(&report)["ledger"]["events"]["skipped_by"],
            json!({rule: hidden})
        );
        assert_eq!(
            full(&report)["ledger"]["attributes"]["skipped_by"],
            json!({rule: hidden})
        );
        let found = counts(full(&report), "attributes").get("found").copied();
        assert_eq!(found.unwrap_or(0), shown);
        let of_shown = taxonomy(
            if shown == 0 { "info" } else { "malicious" },
            "Events",
            &shown.to_string(),
        );
        assert_eq!(
            taxonomies(&report),
            [of_shown, taxonomy("info", "Hidden", &hidden.to_string())]
        );
        let lines = events(&report);
        assert!(
            lines
                .iter()
                .skip(shown as usize)
                .all(|line| line["reason"] == rule && line.get("matches").is_none())
        );
        let told = match shown {
            0 => format!("20 events that know {SHARED} are hidden by filters"),
            _ => format!(
                "{shown} events know {SHARED} on 1 connection ({shown} with an IDS attribute); {hidden} more are hidden by filters"
            ),
        };
        assert_eq!(message(&report), told);
    }
}

#[test]
fn age_size_and_the_choice_of_attributes_hide_nothing_from_a_click() {
    let misp = Fake::start(World::with_corpus());
    let config = json!({
        "max_age_days": 1, "max_attributes": 1, "ids_only": true, "exclude_attribute_types": ["*"], "window_days": 1,
    });
    let report = look_up(&misp, "ip", "198.51.0.0", &config);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 1), ("found", 1)])
    );
    // An export of our own is hidden by the loop guard alone.
    let uuid = cortex_misp::ids::Ids::new("here.example", None)
        .event_uuid("~1", "")
        .to_string();
    misp.world().event_mut("4").unwrap().uuid = uuid;
    let report = look_up(
        &misp,
        "ip",
        "198.51.0.0",
        &json!({"instance": "here.example"}),
    );
    assert_eq!(
        message(&report),
        "no event of others knows 198.51.0.0; 1 export of this installation has it"
    );
    assert_eq!(
        full(&report)["ledger"]["events"]["skipped_by"],
        json!({"exported by this installation (loop guard)": 1})
    );
    assert_eq!(
        taxonomies(&report),
        [
            taxonomy("info", "Events", "0"),
            taxonomy("info", "Own", "1")
        ]
    );
    assert_eq!(events(&report)[0]["is_own"], true);
}

#[test]
fn words_that_mean_something_to_misp_are_only_texts_here() {
    let misp = Fake::start(World::with_corpus());
    misp.world().events[0].attributes[0].value = "192.0.2.9|1337".into();
    misp.world().events[0].attributes[0].kind = "ip-dst|port".into();
    for data_type in ["other", "filename", "domain"] {
        for data in [
            "!x", "39/45", "1337", "!", "x&&y", "a%b", "\\", "0", "null", "-1", "%", "%.exe",
            "evil%", " % ",
        ] {
            let report = look_up(&misp, data_type, data, &json!({}));
            assert_eq!(
                message(&report),
                format!("no event knows {}", data.trim()),
                "{data_type}"
            );
            assert_eq!(
                counts(full(&report), "attributes"),
                of([]),
                "{data_type} {data}"
            );
        }
        // MISP takes the last three for an empty value too, which all attributes have as their second half.
        for data in ["", "   ", "\n", "\u{301}", "\u{200b}", "\u{a0}\u{1}"] {
            let report = look_up(&misp, data_type, data, &json!({}));
            assert!(
                message(&report).contains("was not looked up"),
                "{}",
                message(&report)
            );
            assert!(
                warnings(&report).contains("the value is empty"),
                "{}",
                warnings(&report)
            );
            assert_eq!(
                taxonomies(&report),
                [taxonomy("suspicious", "Events", "not searched")]
            );
            assert_eq!(paths(&misp), [""; 0], "{data_type} {data:?}");
        }
    }
    assert_eq!(
        message(&look_up(&misp, "other", "two\nlines", &json!({}))),
        "no event knows two lines"
    );
    // What is there is found, though it looks like an operator.
    misp.world().events[0].attributes[1].value = "!x".into();
    assert_eq!(matches(&look_up(&misp, "other", "!x", &json!({}))).len(), 1);
}

fn copies(number: u64, events: u64) -> World {
    let mut world = World::new();
    for n in 0..number {
        let at = n % events;
        if n < events {
            let uuid = format!("5f0e5b5c-0000-4000-8000-{at:012}");
            let event = Event {
                id: at + 1,
                uuid,
                org: 1,
                orgc: 1,
                published: true,
                date: "2026-01-01".into(),
                ..Event::default()
            };
            world.events.push(event);
        }
        let attribute = Attribute {
            id: n + 1,
            uuid: format!("6f0e5b5c-0000-4000-8000-{n:012}"),
            kind: "ip-dst|port".into(),
            category: "Network activity".into(),
            value: format!("192.0.2.1|{}", n % 60_000 + 1),
            distribution: 5,
            ..Attribute::default()
        };
        world.events[usize::try_from(at).unwrap()]
            .attributes
            .push(attribute);
    }
    world
}

#[test]
fn many_matches_are_read_in_pages_and_shown_in_part() {
    let misp = Fake::start(copies(2_500, 2));
    let report = look_up(&misp, "ip", "192.0.2.1", &json!({}));
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 2_500), ("found", 2_500)])
    );
    assert_eq!(matches(&report).len(), 40);
    assert_eq!(full(&report)["left_out"]["matches"], 2_460);
    let searches = paths(&misp)
        .iter()
        .filter(|path| *path == "/attributes/restSearch")
        .count();
    assert_eq!((searches, paths(&misp).len()), (3, 4));
    let bodies = misp
        .requests()
        .into_iter()
        .filter(|one| one.path == "/attributes/restSearch");
    let asked: Vec<Value> = bodies.map(|one| one.body).collect();
    assert!(
        asked
            .iter()
            .all(|body| body["value"] == json!({"OR": ["192.0.2.1"]})
                && body["order"] == "Attribute.id asc")
    );
}

#[test]
fn of_very_many_events_the_first_are_told_apart() {
    let misp = Fake::start(copies(5_020, 5_010));
    let report = look_up(&misp, "ip", "192.0.2.1", &json!({}));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 5_000), ("found", 5_000)])
    );
    assert_eq!(
        counts(full(&report), "attributes"),
        of([("fetched", 5_020), ("found", 5_010), ("skipped", 10)])
    );
    assert!(
        warnings(&report).contains("more than 5000 events: 10 attributes"),
        "{}",
        warnings(&report)
    );
    assert_eq!(
        paths(&misp)
            .iter()
            .filter(|path| *path == "/events/index")
            .count(),
        10
    );
    assert_eq!(
        events(&report).len() as u64 + full(&report)["left_out"]["events"].as_u64().unwrap(),
        5_000
    );
}

#[test]
fn the_program_looks_up_as_a_run_in_process_does() {
    let misp = Fake::start(World::with_corpus());
    let job = click(&misp, "ip", "203.0.113.77");
    let mut reports = [Program::Import.report(&job), run(&[&misp], &job)];
    for report in &mut reports {
        report["full"]["connections"][0]["seconds"] = json!(0);
    }
    assert_eq!(reports[0], reports[1]);
}
