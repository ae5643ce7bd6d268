//! Every state of the page, and two of what a responder says.

use std::ops::Deref;

use serde_json::{Value, json};

use super::world::believable;
use super::{keep, keep_text};
use crate::alerts::writing::desk::{Desk, attribute, events};
use crate::connections::tls::{Authority, Front};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{self, Sighting, key};
use crate::program::{Program, counts, failure, full, of};
use crate::thehive;

const PARTNERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/quickstart/partners");

/// A MISP and a TheHive as they are reached in real life: over TLS, by an authority of the house.
struct Office {
    desk: Desk,
    misp_front: Front,
    thehive_front: Front,
}

impl Deref for Office {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Office {
    /// Only the MISP.
    fn single(world: misp::World) -> Self {
        let mut hive = thehive::World::five();
        hive.patterns.push("T1189".to_owned());
        let desk = Desk::new(world, hive);
        let authority = Authority::new("House CA");
        let [misp_front, thehive_front] = [desk.misp.url(), desk.thehive.url()]
            .map(|url| Front::before(authority.server().serves(), &url));
        let options = json!({
            "name": ["misp-corp"], "url": [misp_front.url()], "thehive_url": thehive_front.url(), "cacerts": authority.pem(),
        });
        Self {
            desk: desk.with(options),
            misp_front,
            thehive_front,
        }
    }

    /// A MISP that the team has, and a feed of partners.
    fn new() -> Self {
        let office = Self::single(believable());
        let options = json!({
            "name": ["misp-corp", "partner-feed"],
            "url": [office.misp_front.url(), format!("file://{PARTNERS}")],
            "key": [key("admin"), "-"],
            "exclude_tags": ["tlp:red"], "published_only": true,
        });
        office.with(options)
    }

    fn with(self, options: Value) -> Self {
        Self {
            desk: self.desk.with(options),
            ..self
        }
    }

    fn show(&self, state: &str, job: &Value) -> Value {
        keep(state, Program::Import, job, &self.replaced())
    }

    /// What changes from run to run, and by what it is replaced.
    fn replaced(&self) -> [(String, &'static str); 4] {
        [
            (self.misp_front.url(), "https://misp.example.org"),
            (self.thehive_front.url(), "https://thehive.example.org"),
            (
                "http://127.0.0.1:9".to_owned(),
                "https://misp-of-last-year.example.org",
            ),
            (PARTNERS.to_owned(), "/srv/feeds/partners"),
        ]
    }
}

fn message(report: &Value) -> &str {
    full(report)["message"].as_str().unwrap()
}

/// What happens between two runs: an event is changed, one loses an attribute, one is taken back.
fn go_on(desk: &Desk) {
    desk.add("1256", "domain", "webmail-city.example", |one| {
        one.to_ids = true
    });
    desk.alter("1249", "Global\\vpn-lock-77", |one| one.deleted = true);
    desk.misp.world().event_mut("1200").unwrap().published = false;
    desk.thehive
        .world()
        .alerts
        .retain(|alert| alert["title"] != "#1242 Infostealer in cracked design software");
}

#[test]
fn an_import() {
    let desk = Office::new();
    Program::Import.report(&desk.job());
    go_on(&desk);
    let report = desk.show("import", &desk.job());
    let events = counts(full(&report), "events");
    assert_eq!(
        events,
        of([
            ("fetched", 12),
            ("created", 1),
            ("updated", 2),
            ("unchanged", 7),
            ("skipped", 2)
        ]),
        "{report:#}"
    );
    let lines = full(&report)["connections"][0]["events"]
        .as_array()
        .unwrap()
        .clone();
    let with_alert = lines
        .iter()
        .filter(|line| line["alert"].is_string())
        .count();
    assert_eq!(
        with_alert, 7,
        "each event with an alert names it: {lines:#?}"
    );
    let changed = lines.iter().find(|line| line["id"] == "1256").unwrap();
    assert_eq!(
        (&changed["ids_attributes"], &changed["threat_level"]),
        (&json!(5), &json!("medium"))
    );
}

#[test]
fn a_part_of_an_import() {
    let desk = Office::new();
    desk.thehive
        .world()
        .refuses
        .push("webmail-townhall.example".to_owned());
    let down = What::Status(
        500,
        "{\"message\": \"An Internal Error Has Occurred.\"}".to_owned(),
        "application/json",
    );
    desk.misp.fault(Fault {
        on: "1249",
        nth: Nth::Always,
        what: down,
    });
    let mut job = desk.job();
    for (name, value) in [
        ("name", "misp-of-last-year"),
        ("url", "http://127.0.0.1:9"),
        ("key", "k-of-the-old-misp"),
    ] {
        job["config"][name]
            .as_array_mut()
            .unwrap()
            .push(json!(value));
    }
    job["config"]["include_organisations"] =
        json!(["CERT-Exampleland", "Example Bank SOC", "CERT-Atlantis"]);
    let report = desk.show("incomplete", &job);
    assert!(message(&report).starts_with("INCOMPLETE: "), "{report:#}");
}

#[test]
fn a_failure() {
    let desk = Office::single(believable())
        .with(json!({"key": ["wrong-key-0123456789abcdefghijklmnopqrst"]}));
    let report = desk.show("failure", &desk.job());
    assert!(failure(&report).contains("check \"key\""), "{report:#}");
}

#[test]
fn a_dry_run() {
    let desk = Office::new();
    Program::Import.report(&desk.job());
    go_on(&desk);
    let mut job = desk.job();
    job["parameters"]["dry_run"] = json!(true);
    let report = desk.show("dry-run", &job);
    assert!(
        message(&report).ends_with("(dry run: nothing was written)"),
        "{report:#}"
    );
}

#[test]
fn alerts_that_are_only_reported() {
    let desk = Office::new().with(json!({"thehive_url": null, "thehive_key": null}));
    let report = desk.show("report-only", &desk.job());
    assert_eq!(full(&report)["is_report_only"], true);
    assert_eq!(full(&report)["alerts"].as_array().unwrap().len(), 11);
}

/// A click on an address that many events know.
fn click(desk: &Desk, data: &str) -> Value {
    let mut job = desk.job();
    (job["dataType"], job["data"]) = (json!("ip"), json!(data));
    job
}

#[test]
fn a_click() {
    let desk = Office::new().with(json!({"exclude_tags": ["tlp:red", "workflow:*"]}));
    {
        let mut world = desk.misp.world();
        let tag = world.attached("admiralty-scale:source-reliability=\"b\"");
        let id = world.next_id();
        let event = world.event_mut("1249").unwrap();
        let found = event
            .attributes
            .iter_mut()
            .find(|one| one.value == "203.0.113.99")
            .unwrap();
        found.tags.push(tag);
        let of = found.id;
        let seen = |number: u64| Sighting {
            id: id + number,
            uuid: format!("8c1f0d52-4b0e-4c3a-9a55-{number:012}"),
            event: 1249,
            attribute: of,
            org: 2,
            date: 1_795_290_000,
            source: "sensor".to_owned(),
            kind: "0".to_owned(),
        };
        world.sightings.extend((1..=4).map(seen));
    }
    let report = desk.show("click", &click(&desk, "203.0.113.99"));
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 4), ("found", 3), ("skipped", 1)]),
        "{report:#}"
    );
    assert_eq!(report["summary"]["taxonomies"][0]["level"], "malicious");
    let matches = full(&report)["connections"][0]["events"][0]["matches"]
        .as_array()
        .unwrap();
    assert!(
        matches
            .iter()
            .any(|one| one["sightings"] == 4 && one["tags"].to_string().contains("admiralty"))
    );
}

/// A name that one event knows, of which two know the parent, and that this installation exported too.
fn neighbours() -> misp::World {
    let mut world = believable();
    let name = "cdn.free-design-suite.example";
    let own = cortex_misp::ids::Ids::new("thehive.example.org", None).event_uuid("~42", "");
    let [object, first, second, third, exported] = std::array::from_fn(|_| world.next_id());
    let clear = world.attached("tlp:clear");
    let event = world.event_mut("1200").unwrap();
    let inside = |id, kind: &str, value: &str| misp::Attribute {
        object,
        object_relation: Some(kind.to_owned()),
        to_ids: true,
        ..attribute(id, kind, value)
    };
    event.attributes.extend([
        inside(first, "hostname", name),
        inside(second, "ip-dst", "198.51.100.99"),
        inside(
            third,
            "url",
            "https://cdn.free-design-suite.example/setup.exe",
        ),
    ]);
    event.attribute_count += 3;
    event.objects.push(misp::Object {
        id: object,
        uuid: "8c1f0d52-4b0e-4c3a-9a55-000000000042".to_owned(),
        name: "domain-ip".to_owned(),
        distribution: 5,
        ..misp::Object::default()
    });
    let exported = misp::Event {
        id: 1_260,
        uuid: own.to_string(),
        orgc: 1,
        info: "Cracked software at the agency".to_owned(),
        tags: vec![clear],
        attributes: vec![attribute(exported, "hostname", name)],
        objects: Vec::new(),
        attribute_count: 1,
        ..world.event("1249").unwrap().clone()
    };
    world.events.push(exported);
    world
}

#[test]
fn a_click_on_what_has_neighbours() {
    let desk = Office::single(neighbours()).with(json!({"instance": "thehive.example.org"}));
    let mut job = click(&desk, "cdn.free-design-suite.example");
    job["dataType"] = json!("hostname");
    let report = desk.show("click-related", &job);
    assert_eq!(
        message(&report),
        "1 event knows cdn.free-design-suite.example on 1 connection (1 with an IDS attribute); 1 export of this installation has it; related: 1 event (1 with an IDS attribute): parent domain free-design-suite.example; 2 values beside it in the report's observables"
    );
    let verdicts = full(&report)["connections"][0]["events"]
        .as_array()
        .unwrap();
    let verdicts: Vec<_> = verdicts.iter().map(|line| &line["verdict"]).collect();
    assert_eq!(verdicts, ["found", "found", "skipped"], "{report:#}");
    let text = keep_text(
        "look-up",
        Program::Import,
        "misp-import --pretty < click.json",
        &job,
        &desk.replaced(),
    );
    for words in [
        "found     event",
        "related   event",
        "own       event",
        "0 matches  1 related",
        "[parent domain free-design-suite.example]",
        "found 1   hidden 1   failed 0",
        "2 values beside it can be imported",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn a_click_on_what_nobody_knows() {
    let desk = Office::new();
    let report = desk.show("click-none", &click(&desk, "198.51.100.250"));
    assert!(message(&report).starts_with("no event knows"), "{report:#}");
}

#[test]
fn a_click_on_a_value_that_reads_like_a_state() {
    let office = Office::new();
    let mut job = click(
        &office,
        "INCOMPLETE: \u{202e}delaf gnihton\u{202c} {{1 + 1}}",
    );
    job["dataType"] = json!("other");
    let report = office.show("odd", &job);
    assert!(
        message(&report).contains("INCOMPLETE: <U+202E>delaf"),
        "{report:#}"
    );
}

#[test]
fn nothing_at_all() {
    let desk = Office::single(misp::World::new());
    let report = desk.show("empty", &desk.job());
    assert_eq!(counts(full(&report), "events"), of([]));
}

#[test]
fn one_event() {
    let desk = Office::single(believable());
    let mut job = desk.job();
    job["data"] = json!("misp:event:7c1f0d52-4b0e-4c3a-9a55-000000001249");
    let report = desk.show("one", &job);
    assert_eq!(
        message(&report),
        "1 event read, 1 alert created, 4 attributes added"
    );
}

#[test]
fn more_than_a_page_shows() {
    let mut world = events(420);
    for (place, event) in world.events.iter_mut().enumerate() {
        event.info = format!("Weekly phishing digest, part {}", place + 1);
        event.threat_level = place as u64 % 3 + 1;
        event.orgc = place as u64 % 4 + 1;
    }
    let desk = Office::single(world).with(json!({"max_new_alerts": 40, "min_threat_level": "low"}));
    let report = desk.show("huge", &desk.job());
    assert_eq!(
        full(&report)["connections"][0]["events"]
            .as_array()
            .unwrap()
            .len(),
        300
    );
    assert_eq!(full(&report)["left_out"]["events"], 120);
}

/// The quick start's case, to a MISP that has one of its IOCs already.
#[test]
fn an_export_at_a_terminal() {
    let mut world = believable();
    world.refused.insert(
        "Facture_4471.pdf.js".to_owned(),
        "File name has an invalid format.".to_owned(),
    );
    let office = Office::single(world);
    let job = std::fs::read_to_string("fixtures/quickstart/case-thehive5.json").unwrap();
    let mut job: Value = serde_json::from_str(&job).unwrap();
    job["config"] = json!({"name": ["misp-corp"], "url": [office.misp_front.url()], "key": [key("publisher")], "cacerts": office.options["cacerts"], "instance": "thehive.example.org"});
    let command = "misp-export --pretty < case.json";
    let text = keep_text(
        "export",
        Program::Export,
        command,
        &job,
        &[(office.misp_front.url(), "https://misp.example.org")],
    );
    assert!(text.contains("11 added, 1 failed"), "{text}");
}

/// Texts that would be run, loaded or followed by a page that is not careful.
const HOSTILE: [&str; 8] = [
    "{{constructor.constructor('alert(1)')()}}",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "\"><svg/onload=alert(1)>",
    "{{$on.constructor('alert(1)')()}}",
    "javascript:alert(1)",
    "' onmouseover='alert(1)' style='position:fixed;inset:0",
    "\u{202e}moc.elpmaxe\u{202c} <a href=javascript:alert(1)>click</a>",
];

/// Every text that a report takes from a MISP is one of them.
fn hostile() -> misp::World {
    let mut world = events(HOSTILE.len() as u64 + 1);
    world
        .organisations
        .iter_mut()
        .zip(HOSTILE)
        .for_each(|(organisation, text)| organisation.name = text.to_owned());
    for (place, text) in HOSTILE.iter().enumerate() {
        let (tag, id) = (world.attached(text), world.next_id());
        let event = &mut world.events[place];
        event.info = (*text).to_owned();
        event.orgc = place as u64 % 4 + 1;
        event.tags.push(tag.clone());
        let mut added = attribute(id, "text", text);
        (added.comment, added.tags) = ((*text).to_owned(), vec![tag]);
        event.attributes.push(added);
        let mut shared = attribute(id + 10_000, "ip-dst", "203.0.113.99");
        (shared.comment, shared.to_ids) = ((*text).to_owned(), true);
        event.attributes.push(shared);
        event.attribute_count += 2;
    }
    world
}

fn hostile_desk(name: &str) -> Office {
    Office::single(hostile())
        .with(json!({"name": [name], "exclude_tags": [HOSTILE[2]], "exclude_organisations": [HOSTILE[3]]}))
}

#[test]
fn hostile_texts_in_an_import() {
    let desk = hostile_desk(HOSTILE[0])
        .with(json!({"include_event_info": "*", "alert_tags": [HOSTILE[4]]}));
    let words = format!("{{\"message\": {}}}", json!(HOSTILE.concat()));
    let refused = What::Status(500, words, "application/json");
    desk.misp.fault(Fault {
        on: "000000000009",
        nth: Nth::Always,
        what: refused,
    });
    let report = desk.show("hostile-import", &desk.job());
    assert!(
        full(&report)
            .to_string()
            .contains("constructor.constructor")
    );
}

#[test]
fn hostile_texts_in_alerts_that_are_only_reported() {
    let desk = hostile_desk(HOSTILE[4]).with(json!({"thehive_url": null, "thehive_key": null}));
    let report = desk.show("hostile-report-only", &desk.job());
    assert!(full(&report)["alerts"].to_string().contains("onerror"));
}

#[test]
fn hostile_texts_in_a_click() {
    let desk = hostile_desk(HOSTILE[2]);
    let report = desk.show("hostile-click", &click(&desk, "203.0.113.99"));
    let matches = full(&report)["connections"][0]["events"][0]["matches"]
        .as_array()
        .unwrap();
    assert!(!matches.is_empty());
}

#[test]
fn hostile_texts_in_a_failure() {
    let desk = Office::single(hostile());
    let words = format!("{{\"message\": {}}}", json!(HOSTILE.concat()));
    desk.misp.fault(Fault {
        on: "",
        nth: Nth::Always,
        what: What::Status(403, words, "application/json"),
    });
    let mut job = desk.job();
    job["data"] = json!("misp:sync");
    let report = desk.show("hostile-failure", &job);
    assert!(failure(&report).contains("onerror"), "{report:#}");
}
