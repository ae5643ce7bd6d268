//! The loop guard: exports of this installation do not come back as alerts, and nobody else's event passes for one.

use std::fs;
use std::path::Path;

use cortex_misp::ids::{EventRole, Ids};
use cortex_misp::secret::Secret;
use serde_json::{Value, json};

use crate::misp::{Attribute, Event, Fake, World, key};
use crate::program::{Program, full};

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn report(job: &str, folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join(job)).unwrap();
    let here = fs::canonicalize(folder).unwrap();
    Program::Import
        .report(&serde_json::from_str(&text.replace("@HERE@", here.to_str().unwrap())).unwrap())
}

fn warnings(report: &Value) -> String {
    full(report)["connections"][0]["warnings"].to_string()
}

#[test]
fn a_feeds_event_that_only_carries_our_mark_is_found_by_a_look_up() {
    let report = report("job-look.json", Path::new("fixtures/faults/24-forged-mark"));
    let events = full(&report)["connections"][0]["events"]
        .as_array()
        .unwrap();
    assert_eq!(
        (events.len(), &events[0]["title"]),
        (1, &json!("hidden as ours")),
        "{report:#}"
    );
    assert_eq!(events[0]["verdict"], "found");
    assert!(warnings(&report).contains(
        "carries the mark of this installation's exports, but is by organisation \\\"Partner\\\""
    ));
}

/// Whoever writes a feed names the creator himself: what looks wholly like our own export is shown to who asks for a value.
#[test]
fn a_look_up_hides_nothing_of_a_feed_by_a_creator_that_anybody_can_name() {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new("fixtures/faults/24-forged-mark");
    fs::create_dir(folder.path().join("feed")).unwrap();
    let ours =
        cortex_misp::ids::unsigned_uuid(&["organisation", "thehive.victim.test"]).to_string();
    for entry in fs::read_dir(from.join("feed")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("55f6ea5e-2c60-40e5-964f-47a8950d210f", &ours);
        fs::write(
            folder.path().join("feed").join(path.file_name().unwrap()),
            text,
        )
        .unwrap();
    }
    fs::copy(
        from.join("job-look.json"),
        folder.path().join("job-look.json"),
    )
    .unwrap();
    let report = report("job-look.json", folder.path());
    assert_eq!(
        verdicts(&report),
        [("hidden as ours".to_owned(), "found".to_owned())],
        "{report:#}"
    );
}

/// A MISP with an event of our own uuid by our organisation, and one by another with the mark. The key is the first's.
fn world(ids: &Ids) -> (Fake, String, String) {
    let (own, forged) = (
        ids.event_uuid("~1", "").to_string(),
        ids.event_uuid("~2", "").to_string(),
    );
    let mut world = World::new();
    for (id, uuid, orgc) in [(1, &own, 2), (2, &forged, 1)] {
        let attribute = Attribute {
            id,
            uuid: format!("5f0e5b5c-0000-4000-8000-00000000000{id}"),
            kind: "domain".into(),
            category: "Network activity".into(),
            value: "known.example".into(),
            distribution: 5,
            to_ids: true,
            ..Attribute::default()
        };
        world.events.push(Event {
            id,
            uuid: uuid.clone(),
            org: orgc,
            orgc,
            info: format!("event {id}"),
            date: "2026-11-20".into(),
            distribution: 3,
            published: true,
            timestamp: world.now,
            publish_timestamp: world.now,
            attribute_count: 1,
            attributes: vec![attribute],
            ..Event::default()
        });
    }
    (Fake::start(world), own, forged)
}

fn job(misp: &Fake, data: (&str, &str), secret: Option<&str>) -> Value {
    json!({
        "dataType": data.0, "data": data.1, "tlp": 2, "pap": 2, "parameters": {"command": (data.1 == "misp:sync").then_some(data.1)},
        "config": {
            "name": ["misp"], "url": [misp.url()], "key": [key("partner")], "instance": "here.example",
            "instance_secret": secret, "max_age_days": 0, "window_days": 0, "published_only": false,
        },
    })
}

fn verdicts(report: &Value) -> Vec<(String, String)> {
    let events = full(report)["connections"][0]["events"].as_array().unwrap();
    let mut all: Vec<_> = events
        .iter()
        .map(|line| {
            (
                line["title"].as_str().unwrap().to_owned(),
                line["verdict"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn on_a_server_the_creator_counts_beside_the_mark() {
    let (misp, ..) = world(&Ids::new("here.example", None));
    let report = Program::Import.report(&job(&misp, ("other", "misp:sync"), None));
    let all = verdicts(&report);
    assert_eq!(
        all,
        [
            ("event 1".into(), "skipped".into()),
            ("event 2".into(), "created".into())
        ],
        "{report:#}"
    );
    assert!(
        warnings(&report).contains("carries the mark"),
        "{}",
        warnings(&report)
    );
    let report = Program::Import.report(&job(&misp, ("domain", "known.example"), None));
    assert!(
        verdicts(&report).contains(&("event 2".into(), "found".into())),
        "{report:#}"
    );
}

/// Changes one event of the world: who brought it, whose it says to be, and whether it came by an upload or synchronisation.
fn brought(misp: &Fake, id: u64, (org, orgc, locked): (u64, u64, bool)) {
    let mut world = misp.world();
    let event = world
        .events
        .iter_mut()
        .find(|event| event.id == id)
        .unwrap();
    (event.org, event.orgc, event.locked) = (org, orgc, locked);
}

/// With a secret nobody computes a mark, and still a uuid that was seen on one MISP can be used on another.
#[test]
fn with_a_secret_our_own_that_came_back_is_known_and_a_uuid_that_was_copied_is_not() {
    let ids = Ids::new("here.example", Some(&Secret::new(SECRET)));
    let (misp, ..) = world(&ids);
    brought(&misp, 1, (3, 2, true));
    let report = Program::Import.report(&job(&misp, ("other", "misp:sync"), Some(SECRET)));
    let all = verdicts(&report);
    assert_eq!(
        all,
        [
            ("event 1".into(), "skipped".into()),
            ("event 2".into(), "created".into())
        ],
        "{report:#}"
    );
    assert!(
        warnings(&report).contains("name that organisation in \\\"exclude_organisations\\\""),
        "{report:#}"
    );
    let report = Program::Import.report(&job(&misp, ("domain", "known.example"), Some(SECRET)));
    assert!(
        verdicts(&report)
            .iter()
            .all(|(_, verdict)| verdict == "found"),
        "a look-up hides neither: {report:#}"
    );
    // Without the secret nobody can make such a mark.
    let (misp, ..) = world(&Ids::new(
        "here.example",
        Some(&Secret::new("another secret of the same length")),
    ));
    let report = Program::Import.report(&job(&misp, ("other", "misp:sync"), Some(SECRET)));
    assert!(
        verdicts(&report)
            .iter()
            .all(|(_, verdict)| verdict == "created"),
        "{report:#}"
    );
}

/// Whoever sees our event sees the uuids of its attributes.
#[test]
fn with_a_secret_an_attributes_uuid_makes_no_event_ours() {
    let ids = Ids::new("here.example", Some(&Secret::new(SECRET)));
    let (misp, own, _) = world(&ids);
    let attribute = ids.part_uuid(&own.parse().unwrap(), &["domain", "known.example"]);
    brought(&misp, 2, (3, 2, true));
    misp.world().events[1].uuid = attribute.to_string();
    let report = Program::Import.report(&job(&misp, ("other", "misp:sync"), Some(SECRET)));
    let all = verdicts(&report);
    assert_eq!(
        all,
        [
            ("event 1".into(), "skipped".into()),
            ("event 2".into(), "created".into())
        ],
        "{report:#}"
    );
}

/// An upload names any creator, ours too; it belongs to the organisation of who uploads it.
#[test]
fn an_upload_in_our_name_is_hidden_from_no_import_and_no_look_up() {
    let (misp, ..) = world(&Ids::new("here.example", None));
    brought(&misp, 2, (3, 2, true));
    let mut sync = job(&misp, ("other", "misp:sync"), None);
    sync["config"]["skip_own_organisation"] = json!(true);
    let report = Program::Import.report(&sync);
    let all = verdicts(&report);
    assert_eq!(
        all,
        [
            ("event 1".into(), "skipped".into()),
            ("event 2".into(), "created".into())
        ],
        "{report:#}"
    );
    assert!(
        warnings(&report).contains("brought there by"),
        "{}",
        warnings(&report)
    );
    let report = Program::Import.report(&job(&misp, ("domain", "known.example"), None));
    assert!(
        verdicts(&report).contains(&("event 2".into(), "found".into())),
        "{report:#}"
    );
}

/// An attribute that an export put into an event which people of our organisation made is in its case already; what others
/// put there, and what only says so in an event of others, is imported.
#[test]
fn what_an_export_put_into_an_event_that_people_made_does_not_come_back() {
    for secret in [None, Some(SECRET)] {
        let ids = Ids::new("here.example", secret.map(Secret::new).as_ref());
        let of_case = ids.for_case(("~1", "1"), EventRole::Into, true);
        let (misp, ..) = world(&ids);
        for (at, uuid) in [
            "2e5572f1-91c9-42ba-b2ec-58eda96d6677",
            "06b62183-9033-4ffb-b79e-47629f2f4d9a",
        ]
        .iter()
        .enumerate()
        {
            let event = &mut misp.world().events[at];
            event.uuid = (*uuid).to_owned();
            let mut ours = event.attributes[0].clone();
            ours.id += 10;
            ours.uuid = of_case
                .part_uuid(&uuid.parse().unwrap(), &["domain", "ours.example"])
                .to_string();
            ours.value = "ours.example".to_owned();
            event.attributes.push(ours);
            event.attribute_count = 2;
        }
        let report = Program::Import.report(&job(&misp, ("other", "misp:sync"), secret));
        let count = &full(&report)["ledger"]["attributes"];
        assert_eq!(
            (&count["fetched"], &count["created"], &count["skipped"]),
            (&json!(4), &json!(3), &json!(1)),
            "{report:#}"
        );
        let rule = "exported by this installation (loop guard)";
        assert_eq!(count["skipped_by"][rule], 1, "{count:#}");

        let mut job = job(&misp, ("other", "misp:sync"), secret);
        job["config"]["loop_guard"] = json!(false);
        let report = Program::Import.report(&job);
        assert_eq!(full(&report)["ledger"]["attributes"]["created"], 4);
    }
}
