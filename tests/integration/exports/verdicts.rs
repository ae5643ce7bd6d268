//! What analysts say of IOCs for MISP: the tags `misp:sighting="…"`, the flag *sighted* with its moment, and that nothing
//! alike is to be looked for.

use serde_json::{Value, json};

use crate::desk::{Desk, failures, warnings};
use crate::misp::{Sighting, writes};
use crate::program::{counts, full, of};
use crate::thehive::World;

const HARMLESS: &str = "misp:sighting=\"false-positive\"";
const EXPIRES: &str = "misp:sighting=\"expiration\"";
const EXPIRES_IN_2027: &str = "misp:sighting=\"expiration:2027-01-31\"";
/// 2027-01-31.
const IN_2027: i64 = 1_801_353_600;

fn desk(world: World) -> Desk {
    let mut desk = Desk::new(world, &json!({}));
    desk.set(&json!({"export_sightings": true, "distribution": 1}));
    desk
}

fn tagged(tags: &[&str]) -> Value {
    json!({ "tags": tags })
}

/// Value, type, moment and source of every sighting that the MISP holds, sorted.
fn sightings(desk: &Desk) -> Vec<(String, String, i64, String)> {
    let world = desk.misp.world();
    let row = |row: &Sighting| {
        let (_, attribute) = world.attribute(&row.attribute.to_string()).unwrap();
        let (kind, source) = (row.kind.clone(), row.source.clone());
        (attribute.value.clone(), kind, row.date, source)
    };
    let mut all: Vec<_> = world.sightings.iter().map(row).collect();
    all.sort();
    all
}

/// The same without moments and sources.
fn kinds(desk: &Desk) -> Vec<(String, String)> {
    let all = sightings(desk).into_iter();
    all.map(|(value, kind, ..)| (value, kind)).collect()
}

fn kind(value: &str, kind: &str) -> (String, String) {
    (value.to_owned(), kind.to_owned())
}

fn ledger(report: &Value) -> std::collections::BTreeMap<String, u64> {
    counts(full(report), "sightings")
}

fn skipped(report: &Value) -> &Value {
    &full(report)["ledger"]["sightings"]["skipped_by"]
}

#[test]
fn each_verdict_of_an_analyst_is_one_sighting_of_its_type_and_stays_one() {
    for world in [World::four(), World::five()] {
        let desk = desk(world);
        desk.ioc("domain", "harmless.example", &tagged(&[HARMLESS]));
        desk.ioc("domain", "over.example", &tagged(&[EXPIRES_IN_2027]));
        desk.ioc("domain", "today.example", &tagged(&[EXPIRES]));
        let both = json!({"sighted": true, "sightedAt": 1_795_200_000_000_i64, "tags": [HARMLESS]});
        desk.ioc("domain", "both.example", &both);
        desk.ioc("domain", "plain.example", &json!({}));
        desk.file("evil.exe", b"MZ", &tagged(&[HARMLESS]));

        let report = desk.run();
        assert_eq!(
            ledger(&report),
            of([("fetched", 6), ("created", 6)]),
            "{report:#}"
        );
        let sha256 = cortex_misp::sample::sha256(b"MZ");
        let mut expected = vec![
            kind(&sha256, "1"),
            kind("both.example", "0"),
            kind("both.example", "1"),
            kind("harmless.example", "1"),
            kind("over.example", "2"),
            kind("today.example", "2"),
        ];
        expected.sort();
        assert_eq!(kinds(&desk), expected);
        for (value, kind, moment, source) in sightings(&desk) {
            assert_eq!(source, "cortex-misp");
            match (value.as_str(), kind.as_str()) {
                ("over.example", _) => assert_eq!(moment, IN_2027),
                ("both.example", "0") => assert_eq!(moment, 1_795_200_000),
                _ => assert!(moment > 0),
            }
        }

        let report = desk.runs_empty();
        assert_eq!(ledger(&report), of([("fetched", 6), ("unchanged", 6)]));
    }
}

#[test]
fn a_dry_run_foretells_the_verdicts() {
    let mut desk = desk(World::five());
    desk.ioc("domain", "harmless.example", &tagged(&[HARMLESS, EXPIRES]));
    desk.set(&json!({"dry_run": true}));
    let report = desk.run();
    assert_eq!(ledger(&report), of([("fetched", 2), ("created", 2)]));
    assert_eq!((writes(&desk.misp), sightings(&desk)), (vec![], vec![]));
    desk.set(&json!({"dry_run": false}));
    assert_eq!(ledger(&desk.run()), of([("fetched", 2), ("created", 2)]));
}

#[test]
fn what_is_no_ioc_or_has_no_attribute_is_skipped_with_the_reason() {
    for world in [World::four(), World::five()] {
        let mut desk = desk(world);
        desk.set(&json!({"max_export_tlp": "AMBER"}));
        desk.ioc("domain", "ioc.example", &json!({}));
        desk.ioc(
            "domain",
            "none.example",
            &json!({"ioc": false, "tags": [HARMLESS]}),
        );
        desk.ioc(
            "domain",
            "other.example",
            &json!({"ioc": false, "tags": ["misp:sighting=\"no\"", "x"]}),
        );
        desk.ioc(
            "domain",
            "red.example",
            &json!({"tlp": 3, "tags": [EXPIRES]}),
        );
        let report = desk.run();
        assert_eq!(
            ledger(&report),
            of([("fetched", 2), ("skipped", 2)]),
            "{report:#}"
        );
        assert_eq!(
            skipped(&report),
            &json!({"its attribute is not ours or not there": 1, "not an IOC": 1})
        );
        assert_eq!(sightings(&desk), []);
    }
}

#[test]
fn without_the_option_nothing_is_said_and_that_is_told() {
    let mut desk = desk(World::five());
    desk.set(&json!({"export_sightings": false}));
    desk.ioc("domain", "harmless.example", &tagged(&[HARMLESS]));
    let report = desk.run();
    assert!(full(&report)["ledger"].get("sightings").is_none());
    let told = warnings(&report);
    assert!(
        told.contains("1 observable has a tag misp:sighting") && told.contains("export_sightings"),
        "{told}"
    );
    assert_eq!(sightings(&desk), []);
}

#[test]
fn a_feed_says_nothing_of_its_iocs() {
    let mut desk = Desk::with_feed(World::four(), &json!({}));
    desk.set(&json!({"export_sightings": true}));
    desk.ioc("domain", "harmless.example", &tagged(&[HARMLESS]));
    let report = desk.run();
    assert!(warnings(&report).contains("a feed carries no sightings"));
    assert!(full(&report)["ledger"].get("sightings").is_none());
}

#[test]
fn a_word_that_is_not_known_is_named_with_those_that_are() {
    let desk = desk(World::five());
    let odd = [
        "misp:sighting=\"fp\"",
        "misp:sighting=\"expiration:tomorrow\"",
        "misp.sighting = false-positive",
        "m\u{456}sp:sighting=\"false-positive\"",
    ];
    desk.ioc("domain", "odd.example", &tagged(&odd));
    let report = desk.run();
    let told: Vec<&str> = full(&report)["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let [unread, unknown] = ["cannot be read", "says nothing known"].map(|what| {
        told.iter()
            .find(|line| line.contains(what))
            .copied()
            .unwrap_or_default()
    });
    for tag in &odd[..2] {
        assert!(unknown.contains(tag), "{told:?}");
    }
    for tag in &odd[2..] {
        assert!(unread.contains(tag), "{told:?}");
    }
    for word in ["false-positive", "expiration", "expiration:2027-01-31"] {
        assert!(unknown.contains(&format!("`{word}`")), "{told:?}");
    }
    assert_eq!(sightings(&desk), []);
}

/// MISP keeps one for each organisation, and takes the others away.
#[test]
fn an_expiration_of_a_colleague_stays_and_one_of_a_partner_counts_for_nothing() {
    let desk = desk(World::five());
    let id = desk.ioc("domain", "over.example", &json!({}));
    desk.run();
    for (org, source) in [(3, "cortex-misp"), (1, "")] {
        let mut world = desk.misp.world();
        let (event, attribute) = (world.events[0].id, world.events[0].attributes[0].id);
        world.sightings.push(Sighting {
            event,
            attribute,
            org,
            date: IN_2027,
            source: source.to_owned(),
            kind: "2".to_owned(),
            ..Sighting::default()
        });
        drop(world);
        if org == 1 {
            for (tag, expected) in [
                (EXPIRES, of([("fetched", 1), ("unchanged", 1)])),
                (EXPIRES_IN_2027, of([("fetched", 1), ("unchanged", 1)])),
                (
                    "misp:sighting=\"expiration:2028-01-01\"",
                    of([("fetched", 1), ("skipped", 1)]),
                ),
            ] {
                desk.misp
                    .world()
                    .sightings
                    .retain(|row| (row.org, row.source.as_str()) != (1, "cortex-misp"));
                desk.change(&id, &tagged(&[tag]));
                let report = desk.runs_empty();
                assert_eq!(ledger(&report), expected, "{tag} {report:#}");
            }
        } else {
            desk.change(&id, &tagged(&[EXPIRES]));
            let report = desk.run();
            assert_eq!(
                ledger(&report),
                of([("fetched", 1), ("created", 1)]),
                "{report:#}"
            );
        }
    }
    assert_eq!(
        kinds(&desk),
        [kind("over.example", "2"), kind("over.example", "2")]
    );
}

#[test]
fn a_moment_that_cannot_be_is_skipped_and_told() {
    let desk = desk(World::five());
    for (number, moment) in [-1, -999_999_999_999_i64, i64::MIN, 99_999_999_999_999]
        .iter()
        .enumerate()
    {
        let seen = json!({"sighted": true, "sightedAt": moment});
        desk.ioc("domain", &format!("odd-{number}.example"), &seen);
    }
    let report = desk.run();
    assert_eq!(
        ledger(&report),
        of([("fetched", 4), ("skipped", 4)]),
        "{report:#}"
    );
    assert_eq!(skipped(&report), &json!({"its date cannot be true": 4}));
    assert_eq!(sightings(&desk), []);
}

#[test]
fn very_many_tags_are_read_and_say_one_thing() {
    let desk = desk(World::five());
    let long = format!("x:{}", "y".repeat(100));
    let tags: Vec<String> = (0..100_000)
        .map(|number| match number % 3 {
            0 => HARMLESS.to_owned(),
            1 => format!("misp:sighting=\"{number}\""),
            _ => format!("{long}{number}"),
        })
        .collect();
    desk.ioc("domain", "tagged.example", &json!({ "tags": tags }));
    let report = desk.run();
    assert_eq!(ledger(&report), of([("fetched", 1), ("created", 1)]));
    assert!(report.to_string().len() < 100_000);
}

#[test]
fn sightings_by_the_thousand_neither_hide_ours_nor_add_another() {
    let desk = desk(World::five());
    desk.ioc("domain", "harmless.example", &tagged(&[HARMLESS]));
    desk.run();
    {
        let mut world = desk.misp.world();
        let ours = world.sightings.pop().unwrap();
        let others = (0..100_000_u64).map(|number| Sighting {
            org: 2 + number % 2,
            date: i64::try_from(number).unwrap(),
            kind: (number % 3).to_string(),
            ..ours.clone()
        });
        let mut all: Vec<_> = others.collect();
        all.push(ours);
        world.sightings = all;
    }
    assert_eq!(
        ledger(&desk.runs_empty()),
        of([("fetched", 1), ("unchanged", 1)])
    );
}

#[test]
fn a_key_that_may_not_sight_fails_each_verdict_by_name() {
    let desk = desk(World::four());
    let mut users = desk.misp.world().users.clone();
    users.iter_mut().for_each(|user| user.role.sighting = false);
    desk.misp.world().users = users;
    desk.ioc("domain", "harmless.example", &tagged(&[HARMLESS, EXPIRES]));
    let report = desk.run();
    assert_eq!(ledger(&report), of([("fetched", 2), ("failed", 2)]));
    let told = failures(&report);
    for what in [
        "that harmless.example is a false positive",
        "the expiration of harmless.example",
    ] {
        assert!(told.contains(what), "{told}");
    }
}

/// Whether MISP looks for other attributes with each value.
fn uncorrelated(desk: &Desk) -> Vec<(String, bool)> {
    let all = desk.event().attributes.into_iter();
    let mut all: Vec<_> = all
        .map(|one| (one.value, one.disable_correlation))
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_not_to_be_compared_in_thehive_is_not_correlated_in_misp() {
    let desk = Desk::new(World::five(), &json!({}));
    desk.ioc("domain", "a.example", &json!({"ignoreSimilarity": true}));
    let id = desk.ioc("domain", "b.example", &json!({}));
    // One value twice: only if both say so.
    desk.ioc("fqdn", "host.example", &json!({"ignoreSimilarity": true}));
    desk.ioc("hostname", "host.example", &json!({}));
    desk.run();
    let of = |a, b, host| {
        [("a.example", a), ("b.example", b), ("host.example", host)]
            .map(|(value, is)| (value.to_owned(), is))
    };
    assert_eq!(uncorrelated(&desk), of(true, false, false));
    desk.runs_empty();

    desk.change(&id, &json!({"ignoreSimilarity": true}));
    let report = desk.run();
    assert_eq!(
        counts(full(&report), "observables")["updated"],
        1,
        "{report:#}"
    );
    assert_eq!(uncorrelated(&desk), of(true, true, false));
    desk.runs_empty();

    // TheHive compares it again: that takes nothing back which a person may want in MISP.
    desk.change(&id, &json!({"ignoreSimilarity": false}));
    desk.runs_empty();
    assert_eq!(uncorrelated(&desk), of(true, true, false));
}

#[test]
fn a_feed_says_what_is_not_to_be_correlated() {
    let desk = Desk::with_feed(World::five(), &json!({}));
    desk.ioc("domain", "a.example", &json!({"ignoreSimilarity": true}));
    desk.ioc("domain", "b.example", &json!({}));
    desk.run();
    for (value, expected) in [("a.example", true), ("b.example", false)] {
        assert_eq!(desk.feed_attribute(value)["disable_correlation"], expected);
    }
    desk.runs_empty();
}
