//! What would make an export write at every run, and does not: values that MISP takes for equal, that its import rules rewrite,
//! or that it refuses.

use serde_json::{Value, json};

use super::desks::Exporter;
use super::{World, scenarios};

scenarios!(
    values_that_misp_takes_for_equal_are_one,
    values_that_import_rules_rewrite_are_there,
    a_refused_ioc_touches_nothing_of_a_published_event,
    a_refused_ioc_of_an_object_touches_nothing_of_a_published_event,
    what_misp_takes_at_last_joins_its_object,
);

/// Kept out by a rule that every MISP begins with (the table `regexp` in its `MYSQL.sql`).
const BLOCKED: &str = "%LOCALAPPDATA%\\Microsoft\\Windows\\Temporary Internet Files\\MARK.exe";
/// The same for a file's name: any character stands for the backslash.
const BLOCKED_NAME: &str = "%USERPROFILE% Local Settings History MARK.exe";

fn values_that_misp_takes_for_equal_are_one(world: &World) {
    let desk = Exporter::new(world);
    for value in [
        "Global\\MARK-Ärger",
        "global\\MARK-arger",
        "GLOBAL\\MARK-ÅRGER",
    ] {
        desk.ioc("mutex", value);
    }
    let report = desk.run();
    assert_eq!(desk.event().lines().len(), 1, "{:#?}", desk.event().lines());
    assert_eq!(
        report.counts("observables"),
        "fetched 3, created 3",
        "{:#?}",
        report.observables()
    );
    let again = desk.rests();
    assert_eq!(
        again.counts("observables"),
        "fetched 3, unchanged 3",
        "{:#?}",
        again.observables()
    );
    world.publish("orgadmin", &world.only());
    desk.rests();
    assert!(
        desk.event().head().contains(" published "),
        "{}",
        desk.event().head()
    );
}

fn values_that_import_rules_rewrite_are_there(world: &World) {
    let desk = Exporter::new(world);
    for (kind, value) in [
        ("filename", "C:\\Users\\bob\\AppData\\Roaming\\MARK.exe"),
        ("registry", "\\REGISTRY\\MACHINE\\Software\\MARK"),
        ("other", "cmd /c C:\\ProgramData\\MARK.exe"),
    ] {
        desk.ioc(kind, value);
    }
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 3, created 3",
        "{:#?}",
        report.observables()
    );
    let lines = desk.event().lines().join("\n");
    for stored in [
        "%APPDATA%\\MARK.exe",
        "HKLM\\Software\\MARK",
        "cmd /c %ALLUSERSPROFILE%\\MARK.exe",
    ] {
        assert!(lines.contains(stored), "{lines}");
    }
    let again = desk.rests();
    assert_eq!(
        again.counts("observables"),
        "fetched 3, unchanged 3",
        "{:#?}",
        again.observables()
    );
    world.publish("orgadmin", &world.only());
    desk.rests();
    assert!(
        desk.event().head().contains(" published "),
        "{}",
        desk.event().head()
    );
}

/// All that says when an event was changed and published, and what is in it.
fn state(desk: &Exporter<'_>) -> Value {
    let mut event = desk.event().event;
    let fields = [
        "timestamp",
        "published",
        "publish_timestamp",
        "attribute_count",
        "Attribute",
        "Object",
        "Tag",
        "info",
    ];
    fields
        .iter()
        .map(|field| ((*field).to_owned(), event[*field].take()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// To ask whether MISP would take a value is as much of a request as to send it, and nowhere may be kept that it was refused
/// where others do not see it: so the value goes out again, alone, and MISP refuses it without touching the event.
fn a_refused_ioc_touches_nothing_of_a_published_event(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    desk.ioc("mutex", BLOCKED);
    let report = desk.run();
    assert_eq!(
        report.counts("observables"),
        "fetched 2, created 1, failed 1",
        "{:#?}",
        report.observables()
    );
    let event = world.only();
    world.publish("orgadmin", &event);
    desk.change_case(
        "title",
        json!(world.marked("cortex-misp test MARK, renamed")),
    );
    let before = state(&desk);
    for _ in 0..2 {
        let report = desk.run();
        assert_eq!(state(&desk), before);
        assert_eq!(desk.writes(), [format!("POST /attributes/add/{event}")]);
        assert_eq!(
            report.counts("observables"),
            "fetched 2, unchanged 1, failed 1"
        );
        assert_eq!(
            report.observables()[1],
            format!(
                "{BLOCKED}: failed (refused by MISP: This value is blocked by a regular expression in the import filters.)"
            )
        );
        assert!(
            report.message().starts_with("INCOMPLETE: "),
            "{}",
            report.message()
        );
    }
}

fn file(desk: &Exporter<'_>, name: &str) {
    let content = format!("the content of {}", desk.world.mark);
    let sha256 = cortex_misp::sample::sha256(content.as_bytes());
    let fields = json!({"ioc": true, "tlp": 2});
    desk.thehive.world().add_file(
        &desk.case,
        &desk.world.marked(name),
        &sha256,
        content.as_bytes(),
        &fields,
    );
}

/// An object is added without what MISP refuses of it. Whether that would be taken now is asked without storing anything.
fn a_refused_ioc_of_an_object_touches_nothing_of_a_published_event(world: &World) {
    let desk = Exporter::new(world);
    desk.ioc("domain", "a.MARK.example");
    file(&desk, BLOCKED_NAME);
    let report = desk.run();
    assert!(
        report.message().starts_with("INCOMPLETE: "),
        "{}",
        report.message()
    );
    let lines = desk.event().lines();
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with(" in file as sha256")),
        "{lines:#?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("Local Settings")),
        "{lines:#?}"
    );
    let event = world.only();
    world.publish("orgadmin", &event);
    let before = state(&desk);
    for _ in 0..2 {
        let report = desk.run();
        assert_eq!(state(&desk), before, "{:#?}", desk.writes());
        assert_eq!(desk.writes(), [format!("POST /objects/add/{event}")]);
        assert!(
            report.message().starts_with("INCOMPLETE: "),
            "{}",
            report.message()
        );
        let lines = report.observables().join("\n");
        assert!(
            lines.contains("blocked by a regular expression in the import filters"),
            "{lines}"
        );
    }
}

/// What an object lacks, because somebody deleted it for good, say, is asked about and then added.
fn what_misp_takes_at_last_joins_its_object(world: &World) {
    let desk = Exporter::new(world);
    file(&desk, "MARK loader.exe");
    desk.run();
    let before = desk.event().lines();
    let uuid = desk.event().uuid_of("MARK loader.exe");
    world.done(
        "orgadmin",
        &format!("/attributes/delete/{uuid}/1"),
        &json!({}),
    );
    assert_eq!(desk.event().lines().len() + 1, before.len());
    desk.run();
    assert_eq!(desk.event().lines(), before);
    desk.rests();
}
