//! What is written to an alert, read back, is what was written: for every event, whatever its texts
//! say.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::import::mapping::{AlertOptions, EventSource, draft_alert};
use crate::misp::wire::Report;
use crate::secret::Scrubber;

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
