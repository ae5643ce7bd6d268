//! Values that MISP takes for one and the same: it compares without case and accents, and stores none twice.

use serde_json::json;

use super::desk::{Desk, domain, lines, warnings};
use crate::program::{counts, full, of};

impl Desk {
    fn add_filenames(&self, names: &[&str]) {
        names
            .iter()
            .for_each(|name| drop(self.add(&filename(name))));
    }
}

/// An IOC of the type `filename`, whose values MISP stores as they are written.
fn filename(name: &str) -> serde_json::Value {
    json!({"dataType": "filename", "data": name, "ioc": true, "tlp": 2})
}

#[test]
fn iocs_that_differ_only_in_case_or_accents_are_one_attribute() {
    for desk in Desk::both() {
        desk.add_filenames(&[
            "Evil.exe",
            "evil.EXE",
            "Réc.exe",
            "rec.exe",
            "straße.txt",
            "STRASSE.TXT",
        ]);
        let report = desk.export();
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 6), ("created", 6)]),
            "{report:#}"
        );
        let event = desk.event();
        let values: Vec<_> = event
            .attributes
            .iter()
            .map(|one| one.value.as_str())
            .collect();
        assert_eq!(values, ["Evil.exe", "Réc.exe", "STRASSE.TXT"]);
        assert!(
            warnings(&report)
                .iter()
                .any(|warning| warning.contains("MISP takes evil.EXE for the same value")),
            "{report:#}"
        );
        desk.export();
        desk.wrote_nothing();
    }
}

#[test]
fn a_spelling_that_goes_leaves_the_attribute_of_the_other() {
    let desk = Desk::five();
    desk.add_filenames(&["Evil.exe", "evil.EXE"]);
    desk.export();
    desk.flag(0, false);
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 1), ("unchanged", 1)])
    );
    assert_eq!(
        lines(&report, "observables", "data")[0],
        "evil.EXE: unchanged (there already, in an attribute that was exported for another IOC, written Evil.exe)"
    );
    desk.wrote_nothing();
    assert!(desk.event().attributes[0].to_ids);
}

#[test]
fn a_value_that_a_reviewer_wrote_in_another_case_is_there_already() {
    let desk = Desk::five();
    desk.add(&filename("first.exe"));
    desk.export();
    {
        let mut world = desk.misp.world();
        let mut other = world.events[0].attributes[0].clone();
        (other.id, other.uuid, other.value) = (
            99_999,
            "5f0e5b5c-0000-4000-8000-000000000001".into(),
            "Réviewed.EXE".into(),
        );
        world.events[0].attributes.push(other);
    }
    desk.add(&filename("reviewed.exe"));
    let report = desk.export();
    let line = "reviewed.exe: unchanged (added by somebody else, written Réviewed.EXE)";
    assert_eq!(lines(&report, "observables", "data")[1], line);
    desk.wrote_nothing();
}

/// An IOC that MISP refuses at every run is no reason to touch a published event: a changed title waits.
#[test]
fn a_refused_ioc_takes_no_publication_back() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.export();
    {
        let mut world = desk.misp.world();
        world
            .refused
            .insert("refused.example".into(), "a rule of this MISP".into());
        (world.events[0].published, world.events[0].publish_timestamp) = (true, 1_795_297_500);
    }
    let published = desk.event();
    desk.add(&domain("refused.example"));
    desk.entitle("Another title");
    for _ in 0..2 {
        let report = desk.export();
        assert_eq!(super::desk::changes(&published, &desk.event()), [""; 0]);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 3), ("unchanged", 2), ("failed", 1)])
        );
        let line = "refused.example: failed (refused by MISP: a rule of this MISP)";
        assert_eq!(lines(&report, "observables", "data")[2], line);
        let waits =
            "the event is published, so 1 differences wait for the next change of its IOCs: info";
        assert!(warnings(&report).contains(&waits), "{report:#}");
    }
    // One that is taken brings the title along.
    desk.add(&domain("taken.example"));
    let report = desk.export();
    assert_eq!(
        super::desk::changes(&published, &desk.event()),
        ["+ taken.example", "event: info, published"]
    );
    assert_eq!(
        counts(full(&report), "observables"),
        of([
            ("fetched", 4),
            ("created", 1),
            ("unchanged", 2),
            ("failed", 1)
        ])
    );
}

#[test]
fn open_proposals_hide_no_attribute_and_cause_no_write() {
    let desk = Desk::five();
    desk.add_domains(2);
    desk.export();
    {
        let mut world = desk.misp.world();
        let ours = world.events[0].attributes[0].uuid.clone();
        world.blocks_by_proposals = true;
        world.events[0].distribution = 1;
        world.events[0].proposals = json!([{"uuid": ours, "to_ids": false, "deleted": false}]);
        (world.events[0].published, world.events[0].publish_timestamp) = (true, 1_795_297_500);
    }
    let report = desk.export();
    desk.wrote_nothing();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("unchanged", 2)]),
        "{report:#}"
    );
    assert_eq!(full(&report)["connections"][0]["proposals"], 1);
    desk.flag(0, false);
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "retractions"),
        of([("fetched", 1), ("updated", 1)])
    );
    assert!(!desk.event().attributes[0].to_ids);
}

/// As MISP's import rules do with paths of Windows (`fixtures/wire/misp/447-events-add-import-regexp.json`).
#[test]
fn what_misp_stores_otherwise_is_told_with_both_values() {
    let desk = Desk::five();
    desk.misp.world().rewritten.insert(
        "C:\\Users\\bob\\x.exe".into(),
        "%USERPROFILE%\\x.exe".into(),
    );
    desk.add(&filename("C:\\Users\\bob\\x.exe"));
    desk.add(&domain("plain.example"));
    let report = desk.export();
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 2), ("created", 2)])
    );
    let stored = "MISP stored it otherwise than it was sent: value (%USERPROFILE%\\x.exe)";
    assert_eq!(
        lines(&report, "observables", "data")[0],
        format!("C:\\Users\\bob\\x.exe: created ({stored})")
    );
    let note = "MISP stored otherwise than it was sent: C:\\Users\\bob\\x.exe: value (%USERPROFILE%\\x.exe)";
    assert_eq!(full(&report)["connections"][0]["notes"], json!([note]));
    let report = desk.export();
    desk.wrote_nothing();
    let differs = "differs in MISP, left as it is: value (%USERPROFILE%\\x.exe)";
    assert_eq!(
        lines(&report, "observables", "data")[0],
        format!("C:\\Users\\bob\\x.exe: unchanged ({differs})")
    );
}
