//! What holds for every event and every list of attributes.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::limits::shorten_name;
use super::{AlertDraft, AlertOptions, EventSource, Markings, ObservableDraft, draft_alert, merge};
use crate::import::chunk_mapping::{BatchRow, ChunkContext, MappedChunk, RowOutcome, map_rows};
use crate::import::command::Commands;
use crate::markings::{Pap, Tlp};
use crate::misp::wire::Report;
use crate::secret::Scrubber;
use crate::tags::{self, tests::reserved_tag};
use crate::types::ObservableTypeSet;

/// Texts of any length, with what is special in them: line ends, blanks, characters of two halves,
/// the state line.
fn any_text(most: usize) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z]{1,30}",
        1 => "[ \n\r\t\0]{1,3}",
        1 => "[é😀]{1,50}",
        1 => Just("\n[cortex-misp] event=".to_owned()),
        1 => "[x]{200,400}",
    ];

    prop::collection::vec(part, 0..most).prop_map(|parts| parts.concat())
}

fn tag() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{0,2}", 1 => "tlp:(red|green|clear)", 1 => any_text(4), 1 => "misp:type=\"(md5|text)\"", 1 => "misp:tool=\"(a|b)\""]
}

fn tags() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(tag().prop_map(|name| json!({"name": name})), 0..8)
}

fn attribute() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![
        "domain",
        "ip-dst",
        "ip-src|port",
        "filename|md5",
        "text",
        "no-such",
        "regkey|value",
    ]);

    let value = prop_oneof![
        4 => prop::sample::select(vec!["a.example", "A.example", "192.0.2.1", "192.0.2.1|80", "a|44d88612fea8a8f36de82e1278abb02f", "a|a", ""]).prop_map(ToOwned::to_owned),
        1 => any_text(30),
    ];
    (kind, value, tags(), any::<bool>(), prop::option::weighted(0.1, any::<bool>()), any_text(3)).prop_map(
        |(kind, value, tags, to_ids, deleted, comment)| {
            json!({"type": kind, "category": "Other", "value": value, "Tag": tags, "to_ids": to_ids, "deleted": deleted, "comment": comment, "uuid": "1a2b3c4d"})
        },
    )
}

fn rows() -> impl Strategy<Value = Vec<BatchRow>> {
    let element = prop_oneof![9 => attribute(), 1 => Just(json!("no attribute"))];
    let within = prop::option::of((any_text(3), "[a-f0-9]{0,12}"));
    let row = (element, within).prop_map(|(element, within)| {
        let within = within.map(|(name, uuid)| (name.as_str().into(), uuid.as_str().into()));
        (serde_json::from_value(element).unwrap(), within)
    });
    prop::collection::vec(row, 0..12)
}

fn map_with_marks(rows: Vec<BatchRow>, marks: &AlertOptions) -> MappedChunk {
    let setup = ChunkContext {
        uuid: Uuid::nil(),
        commands: Commands { connections: &[] },
        event: Markings::explicit(Tlp::Amber, Pap::Amber),
        data_types: &ObservableTypeSet::thehive4(),
        marks,
        has_files: false,
        scrubber: &Scrubber::default(),
        key: &|data_type, data| (data_type.to_owned(), data.to_lowercase()),
        is_own_export: &|_| false,
    };

    let choice = serde_json::from_value(json!({"exclude_attribute_tags": ["tlp:red"]})).unwrap();
    map_rows(rows, &choice, &setup, &mut |_, _, _| {})
}

fn are_valid_tags(tags: &[String]) -> bool {
    let unique: HashSet<_> = tags.iter().collect();
    let fits = |tag: &String| !tag.trim().is_empty() && tag.encode_utf16().count() <= 128;
    unique.len() == tags.len() && tags.len() <= 100 && tags.iter().all(fits)
}

/// What does not depend on the order in which observables are merged.
fn order_free_parts(one: &ObservableDraft) -> (bool, Tlp, BTreeSet<&str>) {
    (
        one.ioc,
        one.tlp,
        one.tags.iter().map(String::as_str).collect(),
    )
}

/// An attribute, and where among its tags a tag of ours is put.
fn any_steered_attribute() -> impl Strategy<Value = (Value, Vec<String>)> {
    (attribute(), prop::collection::vec(reserved_tag(), 0..4))
}

/// The same with these tags among its own.
fn with_tags(attribute: &Value, tags: &[String]) -> Value {
    let mut attribute = attribute.clone();
    let list = attribute["Tag"].as_array_mut().unwrap();
    for (at, name) in tags.iter().enumerate() {
        list.insert((at * 2).min(list.len()), json!({"name": name}));
    }
    attribute
}

proptest! {
    #[test]
    fn no_tag_of_a_stranger_that_is_a_word_of_ours_changes_an_observable(all in prop::collection::vec(any_steered_attribute(), 0..8)) {
        let rows = |is_steered: bool| -> Vec<BatchRow> {
            let of = |(attribute, tags): &(Value, Vec<String>)| {
                let tags: &[String] = if is_steered { tags } else { &[] };
                (serde_json::from_value(with_tags(attribute, tags)).unwrap(), None)
            };
            all.iter().map(of).collect()
        };

        let (steered, plain) = (map_with_marks(rows(true), &AlertOptions::default()), map_with_marks(rows(false), &AlertOptions::default()));
        prop_assert_eq!(&steered.observables, &plain.observables);
        prop_assert_eq!(steered.slots, plain.slots);
        prop_assert!(steered.own_tags >= plain.own_tags);
    }

    #[test]
    fn no_tag_of_a_stranger_that_is_a_word_of_ours_changes_an_alert(tags in tags(), ours in prop::collection::vec(reserved_tag(), 0..6)) {
        let alert = |ours: &[String]| {
            let event = with_tags(&json!({"info": "x", "Tag": tags}), ours);
            let origin = EventSource { connection: "c", link: None, scrubber: &Scrubber::default() };
            draft_alert(&serde_json::from_value(event).unwrap(), &Uuid::nil(), &origin, &AlertOptions::default(), &[], 0)
        };

        let (steered, plain) = (alert(&ours), alert(&[]));
        prop_assert_eq!(steered.own_tags.event, plain.own_tags.event + ours.len() as u64);
        prop_assert!(steered.tags.iter().all(|tag| !tags::is_reserved(tag)));
        prop_assert_eq!(AlertDraft { description: String::new(), own_tags: plain.own_tags, ..steered }, AlertDraft { description: String::new(), ..plain });
    }

    #[test]
    fn every_row_has_a_slot_and_every_observable_a_row(rows in rows(), mark in tag()) {
        let number = rows.len();
        let marks = AlertOptions { observable_tags: vec![mark], ..AlertOptions::default() };
        let batch = map_with_marks(rows, &marks);
        prop_assert_eq!(batch.slots.len(), number);
        let mut pointed = BTreeSet::new();
        for slot in &batch.slots {
            if let RowOutcome::Becomes(places) = slot {
                prop_assert!(!places.is_empty());
                pointed.extend(places.iter().copied());
            }
        }

        prop_assert!(pointed.into_iter().eq(0..batch.observables.len()));
        let keys: HashSet<_> = batch.observables.iter().map(|one| (&one.data_type, one.data.to_lowercase())).collect();
        prop_assert_eq!(keys.len(), batch.observables.len());

        for one in &batch.observables {
            prop_assert!(are_valid_tags(&one.tags), "{:?}", one.tags);
            prop_assert!(!one.data.trim().is_empty() && one.data.encode_utf16().count() <= 4_096);
            prop_assert!(one.message.len() <= 32_000);
        }
    }

    #[test]
    fn merging_knows_no_order(all in prop::collection::vec((prop::collection::hash_set(tag(), 0..5), any::<bool>(), 0..3_usize), 2..6), turn in 0..6_usize) {
        let all: Vec<ObservableDraft> = all.into_iter().map(|(tags, ioc, tlp)| ObservableDraft {
            data_type: "hash".into(),
            data: "44d88612fea8a8f36de82e1278abb02f".into(),
            message: String::new(),
            tlp: [Tlp::Clear, Tlp::Amber, Tlp::Red][tlp],
            pap: Pap::Amber,
            ioc,
            tags: tags.into_iter().collect(),
            ignore_similarity: false,
            changed: None,
        }).collect();

        let merged = |mut all: Vec<ObservableDraft>| {
            let mut first = all.remove(0);
            all.into_iter().for_each(|one| merge(&mut first, one));
            first
        };

        let mut turned: Vec<ObservableDraft> = all.iter().rev().cloned().collect();
        let length = turned.len();
        turned.rotate_left(turn % length);
        let (one, other) = (merged(all), merged(turned));
        prop_assert_eq!(order_free_parts(&one), order_free_parts(&other));
    }

    #[test]
    fn an_alert_is_within_every_limit(
        texts in prop::collection::vec(any_text(12), 5),
        tags in prop::collection::vec(tag(), 0..150),
        reports in prop::collection::vec((any_text(8), any_text(200)), 0..4),
    ) {
        let [info, organisation, date, connection, link] = &texts[..] else { unreachable!() };
        let tags: Vec<Value> = tags.into_iter().map(|name| json!({"name": name})).collect();
        let event = serde_json::from_value(json!({"id": date, "info": info, "date": date, "Orgc": {"name": organisation}, "Tag": tags})).unwrap();
        let reports: Vec<Report> = reports.into_iter().map(|(name, content)| Report { name, content, ..Report::default() }).collect();
        let origin = EventSource { connection: &format!("c{connection}"), link: Some(format!("h{link}")), scrubber: &Scrubber::default() };
        let marks = AlertOptions { alert_tags: vec![info.clone()], ..AlertOptions::default() };
        let alert = draft_alert(&event, &Uuid::nil(), &origin, &marks, &reports, 0);
        let long = |text: &str, most: usize| text.is_empty() || text.encode_utf16().count() > most;
        prop_assert!(!long(&alert.source, 32) && !long(&alert.title, 512) && !long(&alert.link.unwrap(), 512));
        prop_assert!(are_valid_tags(&alert.tags), "{:?}", alert.tags);
        prop_assert!(alert.description.len() <= 31_000, "{}", alert.description.len());
        let is_like = |line: &str| line.trim_start().starts_with("[cortex-misp]");
        prop_assert!(!alert.description.split(['\n', '\r']).any(is_like), "{}", alert.description);
    }

    #[test]
    fn shortening_keeps_names_apart_and_is_the_same_twice(start in any_text(8), ends in prop::collection::hash_set("[a-z]{1,12}", 2..20)) {
        let scrubber = Scrubber::default();
        let long = |end: &String| format!("{}{start}{end}", "x".repeat(128));
        let short: HashSet<String> = ends.iter().map(|end| shorten_name(long(end), 128, &scrubber)).collect();
        prop_assert_eq!(short.len(), ends.len());

        for end in &ends {
            prop_assert!(short.contains(&shorten_name(long(end), 128, &scrubber)));
        }
    }
}
