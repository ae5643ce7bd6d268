//! A case comes to MISP, grows and changes there, and a second run of each export writes nothing.

use serde_json::json;

use super::desks::Exporter;
use super::{World, scenarios};

scenarios!(
    a_case_becomes_an_event_attribute_by_attribute,
    a_file_becomes_an_object,
    what_joins_the_case_joins_the_event,
    what_changes_in_the_case_changes_in_the_event,
    a_comment_that_changes_later_stays_as_it_is,
    a_published_event_stays_so_until_something_new_comes,
    more_iocs_than_a_list_holds,
    a_single_observable_joins_its_event,
    a_value_that_misp_refuses_is_named_and_the_others_go,
    what_analysts_say_of_iocs_is_said_once,
    iocs_join_an_event_that_a_tag_names_and_leave_it_with_the_case,
    an_event_of_another_organisation_is_not_added_to,
);

/// Observable type, data, and the line of the attribute that it becomes.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "domain",
        "a.MARK.example",
        "Network activity/domain a.MARK.example ids",
    ),
    (
        "domain",
        "BIG.MARK[.]example",
        "Network activity/domain big.MARK.example ids",
    ),
    (
        "fqdn",
        "www.MARK.example",
        "Network activity/hostname www.MARK.example ids",
    ),
    (
        "ip",
        "198.51.100.7",
        "Network activity/ip-dst 198.51.100.7 ids",
    ),
    (
        "ip",
        "2001:DB8:0:0::7",
        "Network activity/ip-dst 2001:db8::7 ids",
    ),
    (
        "ip",
        "198.51.100.0/24",
        "Network activity/ip-dst 198.51.100.0/24 ids",
    ),
    (
        "ip",
        "198.51.100.8:8080",
        "Network activity/ip-dst|port 198.51.100.8|8080 ids",
    ),
    (
        "url",
        "hxxps://MARK[.]example/a?b=c#d",
        "Network activity/url https://MARK.example/a?b=c#d ids",
    ),
    (
        "mail",
        "someone@MARK.example",
        "Payload delivery/email-src someone@MARK.example ids",
    ),
    (
        "mail-subject",
        "Invoice MARK, ünïcödé",
        "Payload delivery/email-subject Invoice MARK, ünïcödé ids",
    ),
    (
        "hash",
        "D41D8CD98F00B204E9800998ECF8427E",
        "Payload delivery/md5 d41d8cd98f00b204e9800998ecf8427e ids",
    ),
    (
        "hash",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Payload delivery/sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ids",
    ),
    (
        "filename",
        "MARK report.docx",
        "Payload delivery/filename MARK report.docx ids",
    ),
    (
        "registry",
        "HKLM\\Software\\MARK",
        "Persistence mechanism/regkey HKLM\\Software\\MARK ids",
    ),
    (
        "user-agent",
        "MARK/1.0 (X11)",
        "Network activity/user-agent MARK/1.0 (X11) ids",
    ),
    (
        "uri_path",
        "/MARK/gate.php",
        "Network activity/uri /MARK/gate.php ids",
    ),
    (
        "autonomous-system",
        "AS64496",
        "Network activity/AS 64496 ids",
    ),
    (
        "other",
        "CVE-2026-0001",
        "External analysis/vulnerability CVE-2026-0001 ids",
    ),
    (
        "mutex",
        "Global\\MARK",
        "Artifacts dropped/mutex Global\\MARK ids",
    ),
    ("regexp", "^MARK[0-9]+$", "Other/text ^MARK[0-9]+$ ids"),
];

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn a_case_becomes_an_event_attribute_by_attribute(world: &World) {
    let desk = Exporter::new(world);
    TABLE
        .iter()
        .for_each(|(kind, data, _)| drop(desk.ioc(kind, data)));
    desk.add(&json!({"dataType": "domain", "data": "no-ioc.MARK.example", "ioc": false}));
    let report = desk.run();
    let number = TABLE.len();
    assert_eq!(
        report.counts("observables"),
        format!("fetched {number}, created {number}")
    );
    // What a MISP's warninglists hold is its own affair.
    let remarks = report
        .remarks()
        .into_iter()
        .filter(|remark| !remark.starts_with("on warninglists"));
    assert_eq!(remarks.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(
        desk.event().lines(),
        sorted(TABLE.iter().map(|(.., line)| (*line).to_owned()).collect())
    );
    assert_eq!(
        desk.event().head(),
        "cortex-misp test MARK: distribution 0, threat 2, analysis 0, unpublished [PAP:AMBER, tlp:amber]"
    );
    let again = desk.rests();
    assert_eq!(
        again.counts("observables"),
        format!("fetched {number}, unchanged {number}")
    );
}

fn a_file_becomes_an_object(world: &World) {
    let desk = Exporter::new(world);
    let content = format!("the content of {}", world.mark);
    let sha256 = cortex_misp::sample::sha256(content.as_bytes());
    let fields = json!({"ioc": true, "tlp": 2});
    let name = world.marked("MARK loader.exe");
    desk.thehive
        .world()
        .add_file(&desk.case, &name, &sha256, content.as_bytes(), &fields);
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 1, created 1",
        "{:#}",
        report.report
    );
    let lines = desk.event().lines();
    let expected = |line: &str| lines.iter().any(|one| one == line);
    assert!(
        expected("Payload delivery/filename MARK loader.exe ids in file as filename"),
        "{lines:#?}"
    );
    assert!(
        expected(&format!(
            "Payload delivery/sha256 {sha256} ids in file as sha256"
        )),
        "{lines:#?}"
    );
    assert!(
        lines.iter().all(|line| line.contains(" in file as ")),
        "{lines:#?}"
    );
    desk.rests();
}

fn what_joins_the_case_joins_the_event(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    let first = desk.event();
    desk.ioc("domain", "b.MARK.example");
    desk.add(&json!({"dataType": "domain", "data": "c.MARK.example", "message": "the third"}));
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 3, created 2, unchanged 1"
    );
    assert_eq!(
        desk.event().lines(),
        [
            "Network activity/domain a.MARK.example ids",
            "Network activity/domain b.MARK.example ids",
            "Network activity/domain c.MARK.example ids # the third",
        ]
    );
    assert_eq!(
        first.attribute("a.MARK.example"),
        desk.event().attribute("a.MARK.example")
    );
    desk.rests();
}

fn what_changes_in_the_case_changes_in_the_event(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    desk.change_case(
        "title",
        json!(world.marked("cortex-misp test MARK, renamed")),
    );
    desk.change_case("severity", json!(3));
    let report = desk.run();
    assert_eq!(report.counts("observables"), "fetched 1, unchanged 1");
    assert_eq!(
        desk.event().lines(),
        ["Network activity/domain a.MARK.example ids"]
    );
    let head = desk.event().head();
    assert!(
        head.starts_with("cortex-misp test MARK, renamed: distribution 0, threat 1, "),
        "{head}"
    );
    desk.rests();
}

fn a_comment_that_changes_later_stays_as_it_is(world: &World) {
    let desk = Exporter::new(world);
    let id =
        desk.add(&json!({"dataType": "domain", "data": "a.MARK.example", "message": "at first"}));
    desk.run();
    desk.change(&id, "message", json!("and then"));
    let report = desk.rests();
    assert_eq!(
        report.observables(),
        ["a.MARK.example: unchanged (differs in MISP, left as it is: comment)"]
    );
    assert_eq!(
        desk.event().lines(),
        ["Network activity/domain a.MARK.example ids # at first"]
    );
}

fn a_published_event_stays_so_until_something_new_comes(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    world.publish("orgadmin", &world.only());
    desk.change_case(
        "title",
        json!(world.marked("cortex-misp test MARK, renamed")),
    );
    desk.rests();
    assert!(
        desk.event().head().contains(" published "),
        "{}",
        desk.event().head()
    );
    desk.ioc("domain", "b.MARK.example");
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 2, created 1, unchanged 1"
    );
    let head = desk.event().head();
    assert!(
        head.contains("renamed: ") && head.contains(" unpublished "),
        "{head}"
    );
    desk.rests();
}

fn more_iocs_than_a_list_holds(world: &World) {
    let desk = Exporter::new(world);
    (0..1_100).for_each(|n| drop(desk.ioc("domain", &format!("n{n}.MARK.example"))));
    let report = desk.run();
    assert_eq!(report.counts("observables"), "fetched 1100, created 1100");
    let expected = (0..1_100)
        .map(|n| format!("Network activity/domain n{n}.MARK.example ids"))
        .collect();
    assert_eq!(desk.event().lines(), sorted(expected));
    desk.rests();
}

fn a_single_observable_joins_its_event(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.run();
    desk.ioc("domain", "b.MARK.example");
    desk.ioc("domain", "c.MARK.example");
    let mut job = desk.job();
    job["dataType"] = json!("thehive:case_artifact");
    job["data"] = desk.thehive.world().observables[1].record.clone();
    let report = world.report(crate::program::Program::Export, &job);
    assert_eq!(report["success"], true, "{report:#}");
    assert_eq!(
        desk.event().lines(),
        [
            "Network activity/domain a.MARK.example ids",
            "Network activity/domain b.MARK.example ids"
        ]
    );
}

fn a_value_that_misp_refuses_is_named_and_the_others_go(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    // MISP stores no phone number of one digit, and says nothing of it (its `AttributeValidationTool.php`).
    desk.ioc("phone", "0");
    let report = desk.run();
    assert_eq!(
        desk.event().lines(),
        ["Network activity/domain a.MARK.example ids"]
    );
    assert_eq!(
        report.counts("observables"),
        "fetched 2, created 1, failed 1",
        "{:#?}",
        report.observables()
    );
    assert!(
        report.message().starts_with("INCOMPLETE: ") && report.message().contains("0 (phone)"),
        "{}",
        report.message()
    );
}

/// Type, moment and source of the sightings of the attribute with this value.
fn sightings(desk: &Exporter<'_>, value: &str) -> Vec<String> {
    let attribute = desk.event().attribute(value);
    let rows = attribute["Sighting"].as_array().into_iter().flatten();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or("?").to_owned();
    let line = |row: &serde_json::Value| {
        let moment = match (text(row, "type").as_str(), text(row, "date_sighting")) {
            ("1", _) => "now".to_owned(),
            (_, moment) => moment,
        };
        format!("{} {moment} {}", text(row, "type"), text(row, "source"))
    };
    sorted(rows.map(line).collect())
}

fn what_analysts_say_of_iocs_is_said_once(world: &World) {
    let desk = Exporter::new(world).with(&json!({"export_sightings": true}));
    let tags = [
        "misp:sighting=\"false-positive\"",
        "misp:sighting=\"expiration:2027-01-31\"",
    ];
    desk.add(&json!({
        "dataType": "domain", "data": "a.MARK.example", "tags": tags, "sighted": true,
        "sightedAt": 1_795_200_000_000_i64, "ignoreSimilarity": true,
    }));
    let other = desk.ioc("domain", "b.MARK.example");
    let report = desk.run();
    assert_eq!(
        report.counts("sightings"),
        "fetched 3, created 3",
        "{:#}",
        report.report
    );
    let said = [
        "0 1795200000 cortex-misp",
        "1 now cortex-misp",
        "2 1801353600 cortex-misp",
    ];
    assert_eq!(sightings(&desk, "a.MARK.example"), said);
    let report = desk.rests();
    assert_eq!(report.counts("sightings"), "fetched 3, unchanged 3");
    assert_eq!(sightings(&desk, "a.MARK.example"), said);

    let correlated = |value: &str| desk.event().attribute(value)["disable_correlation"].clone();
    let of_both = || ["a.MARK.example", "b.MARK.example"].map(correlated);
    assert_eq!(of_both(), [true, false]);
    desk.change(&other, "ignoreSimilarity", json!(true));
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 2, updated 1, unchanged 1"
    );
    assert_eq!(of_both(), [true, true]);
    desk.change(&other, "ignoreSimilarity", json!(false));
    desk.rests();
}

fn iocs_join_an_event_that_a_tag_names_and_leave_it_with_the_case(world: &World) {
    let desk = Exporter::new(world);
    let theirs = json!({
        "distribution": 0,
        "Attribute": [{"type": "domain", "value": "theirs.MARK.example", "comment": "of a person"}],
    });
    let uuid = world.add_event("user", &theirs);
    world.tag("user", &uuid, "tlp:green", false);
    let before = world.event(&uuid);
    let number = before.event["id"].as_str().unwrap();
    desk.change_case("tags", json!([format!("misp:into=\"misp-corp:{number}\"")]));
    let gone = desk.ioc("domain", "a.MARK.example");
    desk.ioc("domain", "b.MARK.example");
    let report = desk.run();
    assert_eq!(report.counts("observables"), "fetched 2, created 2");
    let person = before.lines();
    let [person] = person.as_slice() else {
        panic!("{person:?}")
    };
    let line = |value: &str| {
        format!("Network activity/domain {value}.MARK.example ids [PAP:AMBER, tlp:amber]")
    };
    assert_eq!(desk.event().lines(), [line("a"), line("b"), person.clone()]);
    assert_eq!(desk.event().head(), before.head());
    desk.rests();

    desk.change(&gone, "ioc", json!(false));
    desk.run();
    let retracted = line("a").replace(" ids ", " # [retracted by cortex-misp] ");
    assert_eq!(desk.event().lines(), [retracted, line("b"), person.clone()]);
    assert_eq!(desk.event().head(), before.head());
    let untouched = |stored: &super::world::Stored| {
        stored.attribute("theirs.MARK.example")["timestamp"].clone()
    };
    assert_eq!(untouched(&desk.event()), untouched(&before));
}

fn an_event_of_another_organisation_is_not_added_to(world: &World) {
    let desk = Exporter::new(world).with(&json!({"distribution": 3}));
    let uuid = world.add_event("other", &json!({"distribution": 3}));
    desk.change_case("tags", json!([format!("misp:into=\"misp-corp:{uuid}\"")]));
    desk.ioc("domain", "a.MARK.example");
    let before = world.event(&uuid);
    let report = desk.run();
    assert_eq!(desk.writes(), [""; 0]);
    let text = report.report.to_string();
    assert!(
        text.contains("observables 1 fetched: 1 failed (1: not sent)"),
        "{text}"
    );
    assert!(
        text.contains("adds only to events that the organisation of its key made here"),
        "{text}"
    );
    let after = world.event(&uuid);
    assert_eq!(
        (before.lines(), &before.event["timestamp"]),
        (after.lines(), &after.event["timestamp"])
    );
}
