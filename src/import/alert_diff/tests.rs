//! What is written to an alert: what changed, never what people edited; and read back it is what was
//! written: for every event, whatever its texts
//! say.

use super::*;
use crate::import::mapping::{AlertOptions, EventSource, draft_alert};
use crate::misp::wire::Report;
use crate::secret::Scrubber;
use proptest::prelude::*;
use serde_json::json;

fn wanted(change: impl FnOnce(&mut AlertDraft)) -> AlertDraft {
    let mut wanted = AlertDraft {
        source: "partner".into(),
        source_ref: Uuid::nil().to_string(),
        title: "#1 Phishing".into(),
        description: "MISP event".into(),
        link: Some("https://misp.example/events/view/1".into()),
        severity: 2,
        date: 1_000,
        tlp: Tlp::AmberStrict,
        pap: Pap::Amber,
        tags: vec!["src:CIRCL".into(), "tlp:amber+strict".into()],
        tags_cut: 0,
        own_tags: mapping::OwnTags::default(),
        procedures: Vec::new(),
    };

    change(&mut wanted);
    wanted
}

fn event(timestamp: i64) -> Event {
    serde_json::from_value(json!({"timestamp": timestamp, "publish_timestamp": timestamp})).unwrap()
}

fn outcome(is_five: bool) -> WriteSummary {
    let scale = if is_five { Scale::Five } else { Scale::Four };
    WriteSummary {
        scale,
        is_five,
        is_complete: true,
        has_new_ioc: false,
        reopens: false,
    }
}

/// The alert as it was written.
fn alert(wanted: &AlertDraft, is_five: bool, change: serde_json::Value) -> Alert {
    let WriteSummary { scale, .. } = outcome(is_five);
    let state = build_state(wanted, &event(1), &Uuid::nil(), true, scale, is_five);
    let mut alert = json!({
        "_id": "~1", "sourceRef": wanted.source_ref, "title": wanted.title, "description": state.insert_into(&wanted.description),
        "severity": wanted.severity, "date": wanted.date, "tlp": tlp_number(wanted.tlp, scale), "pap": wanted.pap.number(),
        "externalLink": wanted.link, "tags": wanted.tags, "follow": true, "_createdBy": "import@example.org",
    });

    alert
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());

    serde_json::from_value(alert).unwrap()
}

fn body(
    wanted: &AlertDraft,
    timestamp: i64,
    alert: &Alert,
    outcome: WriteSummary,
) -> serde_json::Value {
    build_patch_for(wanted, timestamp, alert, outcome)
        .body
        .into()
}

fn build_patch_for(
    wanted: &AlertDraft,
    timestamp: i64,
    alert: &Alert,
    outcome: WriteSummary,
) -> AlertPatch {
    let old = known_state(alert, &Uuid::nil(), &own_users());
    build_patch(
        wanted,
        (&event(timestamp), &Uuid::nil()),
        alert,
        old.as_ref(),
        outcome,
    )
}

fn own_users() -> Users {
    Users::new("import@example.org", &[])
}

#[test]
fn what_did_not_change_is_not_written() {
    for is_five in [false, true] {
        let alert = alert(&wanted(|_| {}), is_five, json!({}));
        assert_eq!(
            body(&wanted(|_| {}), 1, &alert, outcome(is_five)),
            json!({})
        );
        assert!(matches!(
            determine_status(&event(1), &Uuid::nil(), Some(alert.clone()), &own_users()),
            AlertStatus::Unchanged(_)
        ));
        assert!(matches!(
            determine_status(&event(2), &Uuid::nil(), Some(alert), &own_users()),
            AlertStatus::Changed(_)
        ));
    }
}

#[test]
fn a_republication_rewrites_the_line_only() {
    let alert = alert(&wanted(|_| {}), true, json!({}));
    let change = build_patch_for(&wanted(|_| {}), 2, &alert, outcome(true));
    assert_eq!(change.body.keys().collect::<Vec<_>>(), ["description"]);
    assert!(!change.is_real);

    assert!(
        change.body["description"]
            .as_str()
            .unwrap()
            .contains(" timestamp=2 publish_timestamp=2 complete=yes ")
    );
}

#[test]
fn a_line_in_somebody_elses_alert_proves_nothing() {
    let theirs = alert(
        &wanted(|_| {}),
        true,
        json!({"_createdBy": "jane@example.org"}),
    );

    assert!(matches!(
        determine_status(&event(1), &Uuid::nil(), Some(theirs.clone()), &own_users()),
        AlertStatus::Changed(_)
    ));

    assert!(
        known_state(
            &theirs,
            &Uuid::nil(),
            &Users::new("x", &["Jane@example.org".into()])
        )
        .is_some()
    );

    // What they wrote stays, and what was written once is not written again.
    let new = wanted(|wanted| wanted.title = "#1 Worse".into());
    assert_eq!(body(&new, 1, &theirs, outcome(true)).get("title"), None);
    assert_eq!(body(&wanted(|_| {}), 1, &theirs, outcome(true)), json!({}));
}

#[test]
fn a_field_that_an_analyst_edited_stays_and_the_others_follow() {
    let new = wanted(|wanted| (wanted.title, wanted.severity) = ("#1 Worse".into(), 3));
    let edited = alert(&wanted(|_| {}), true, json!({"title": "Ours"}));
    assert_eq!(
        build_patch_for(&new, 2, &edited, outcome(true)).kept,
        [Field::Title]
    );
    let first = body(&new, 2, &edited, outcome(true));
    assert_eq!(
        (&first["title"], &first["severity"]),
        (&json!(null), &json!(3))
    );
    // The line now has the hash of the title that was wanted: it stays theirs.
    let again = alert(
        &wanted(|_| {}),
        true,
        json!({"title": "Ours", "severity": 3, "description": first["description"]}),
    );

    assert_eq!(
        build_patch_for(&new, 2, &again, outcome(true)),
        AlertPatch::default()
    );
}

#[test]
fn without_the_line_fields_stay_and_the_line_is_written() {
    let bare = alert(
        &wanted(|_| {}),
        true,
        json!({"description": "Notes only", "title": "?"}),
    );

    let change = build_patch_for(&wanted(|_| {}), 2, &bare, outcome(true));
    assert_eq!(change.body.keys().collect::<Vec<_>>(), ["description"]);

    assert!(
        change.body["description"]
            .as_str()
            .unwrap()
            .starts_with("Notes only\n\n[cortex-misp] event=")
    );
}

#[test]
fn tags_are_added_and_tlp_tags_follow_as_long_as_the_tlp_is_ours() {
    let red = wanted(|wanted| {
        (wanted.tlp, wanted.tags) = (Tlp::Red, vec!["tlp:red".into(), "new".into()])
    });
    let as_written = alert(
        &wanted(|_| {}),
        true,
        json!({"tags": ["src:CIRCL", "tlp:amber+strict", "ours"]}),
    );

    let written = body(&red, 2, &as_written, outcome(true));
    assert_eq!(
        (&written["addTags"], &written["removeTags"]),
        (&json!(["tlp:red", "new"]), &json!(["tlp:amber+strict"]))
    );
    let lowered = alert(
        &wanted(|_| {}),
        true,
        json!({"tlp": 1, "tags": ["tlp:green"]}),
    );

    let written = body(&red, 2, &lowered, outcome(true));
    assert_eq!(
        (&written["addTags"], &written["removeTags"], &written["tlp"]),
        (&json!(["new"]), &json!(null), &json!(null))
    );
    let of_four = alert(
        &wanted(|_| {}),
        false,
        json!({"tags": ["ours", "tlp:amber+strict", WITHDRAWN]}),
    );

    assert_eq!(
        body(&red, 2, &of_four, outcome(false))["tags"],
        json!(["ours", "tlp:red", "new"])
    );
}

#[test]
fn thehive_4_keeps_its_link_and_hears_of_iocs_in_cases_only() {
    let moved = wanted(|wanted| wanted.link = Some("https://elsewhere.example".into()));
    let read = |case: &str| {
        alert(
            &wanted(|_| {}),
            false,
            json!({"read": true, "caseId": case}),
        )
    };

    let new_ioc = WriteSummary {
        has_new_ioc: true,
        ..outcome(false)
    };
    let written = body(&moved, 2, &read("~7"), new_ioc);
    assert_eq!(
        (&written["externalLink"], &written["read"]),
        (&json!(null), &json!(false))
    );

    assert!(
        written["tags"]
            .as_array()
            .unwrap()
            .contains(&json!(UPDATED))
    );

    assert_eq!(body(&moved, 2, &read(""), new_ioc)["read"], json!(null));

    assert_eq!(
        body(
            &moved,
            2,
            &read(""),
            WriteSummary {
                reopens: true,
                ..new_ioc
            }
        )["read"],
        false
    );
}

#[test]
fn whoever_does_not_follow_is_left_alone() {
    let alert = alert(&wanted(|_| {}), true, json!({"follow": false}));
    assert!(matches!(
        determine_status(&event(2), &Uuid::nil(), Some(alert), &own_users()),
        AlertStatus::Unfollowed(_)
    ));
    assert!(matches!(
        determine_status(&event(2), &Uuid::nil(), None, &own_users()),
        AlertStatus::New
    ));
}

/// Texts around what the state line begins with: as it is, as editors of Markdown write it, in
/// quotes and lists, with line ends of all kinds, and with characters that nobody sees.
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => Just("[cortex-misp]".to_owned()),
        2 => prop::sample::select(vec![r"\[cortex\-misp\]", "[CORTEX-MISP]", "(cortex-misp)", "[cortex-misp", "cortex-misp]"])
            .prop_map(ToOwned::to_owned),
        2 => Just("[cortex-misp] event=00000000-0000-0000-0000-000000000000 timestamp=9 \
            publish_timestamp=9 complete=yes fields=".to_owned()),
        4 => prop::sample::select(vec!["\n", "\r\n", "\r", "\r\r\n", "\n\n", "\u{2028}", "\u{b}", "\t", " "]).prop_map(ToOwned::to_owned),
        3 => prop::sample::select(vec!["\\", "\u{200b}", "\u{feff}", "\u{202e}", "> ", "- ", "* ", "**", "`", "```", "# ", "|", "[", "]"])
            .prop_map(ToOwned::to_owned),
        2 => "[a-zé ]{0,12}",
        1 => "(?s).{0,12}",
    ];

    prop::collection::vec(part, 0..10).prop_map(|parts| parts.concat())
}

fn draft_from_texts(
    texts: &[String; 6],
    timestamp: i64,
    marks: &AlertOptions,
) -> (Event, AlertDraft) {
    let [info, organisation, date, tag, name, content] = texts;
    let event: Event = serde_json::from_value(json!({
        "id": "7", "info": info, "Orgc": {"name": organisation}, "date": date, "Tag": [{"name": tag}],
        "timestamp": timestamp, "publish_timestamp": timestamp,
    }))
    .unwrap();

    let report = Report {
        name: name.clone(),
        content: content.clone(),
        ..Report::default()
    };

    let origin = EventSource {
        connection: "partner",
        link: None,
        scrubber: &Scrubber::default(),
    };
    let wanted = draft_alert(&event, &Uuid::nil(), &origin, marks, &[report], 0);
    (event, wanted)
}

/// The alert as TheHive gives it back, its description with these line ends.
fn stored(wanted: &AlertDraft, description: &str) -> Alert {
    serde_json::from_value(json!({
        "_id": "~1", "_createdBy": "import", "sourceRef": wanted.source_ref, "title": wanted.title, "description": description,
        "severity": wanted.severity, "date": wanted.date, "tlp": wanted.tlp.number(), "pap": wanted.pap.number(), "tags": wanted.tags,
        "follow": true,
    }))
    .unwrap()
}

proptest! {
    #[test]
    fn what_is_written_and_read_back_is_what_was_written(texts in prop::array::uniform6(any_text()), is_crlf: bool) {
        let (marks, users, outcome) = (AlertOptions::default(), Users::new("import", &[]), WriteSummary {
            scale: Scale::Five, is_five: true, is_complete: true, has_new_ioc: false, reopens: false,
        });
        let (event, wanted) = draft_from_texts(&texts, 1, &marks);
        let written = build_state(&wanted, &event, &Uuid::nil(), true, Scale::Five, true);
        let description = written.insert_into(&wanted.description);
        let description = if is_crlf { description.replace('\n', "\r\n") } else { description };
        let alert = stored(&wanted, &description);
        // The state read is the state written, and every field has the hash that stands there.
        prop_assert_eq!(known_state(&alert, &Uuid::nil(), &users), Some(written.clone()));
        for field in [Field::Title, Field::Description] {
            prop_assert!(written.is_ours(field, &current_value(&alert, field)), "{field:?}: \
                {description:?}");
        }
        // The next run finds nothing to do.
        prop_assert!(matches!(determine_status(&event, &Uuid::nil(), Some(alert.clone()), &users), AlertStatus::Unchanged(_)));
        prop_assert_eq!(build_patch(&wanted, (&event, &Uuid::nil()), &alert, Some(&written), outcome).body, Map::new());
        // A change of the event arrives.
        let mut texts = texts;
        texts[5].push_str("\nSECOND TEXT");
        let (event, wanted) = draft_from_texts(&texts, 2, &marks);
        let change = build_patch(&wanted, (&event, &Uuid::nil()), &alert, Some(&written), outcome);
        let description = change.body.get("description").and_then(Value::as_str).unwrap();
        prop_assert!(change.is_real && description.contains("SECOND TEXT"), "{description:?}");
        prop_assert_eq!(sync_state::strip_state_line(description), wanted.description.trim());
    }
}
