//! Event 1 of the corpus holds one attribute of nearly every type, as MISP 2.5.1 stored them: each
//! finds its way to TheHive and back.

use std::collections::BTreeSet;

use cortex_misp::types::{
    AttributeInput, MISP_TYPES, Mapping, MispCapabilities, Observable, ObservableInput,
    ObservableTypeSet, Overrides, normalise, to_attributes, to_observables, type_tag_of, validate,
};
use serde_json::Value;
use uuid::Uuid;

const CORPUS: &str = include_str!("../../../fixtures/corpus/attributes/01.json");

pub struct Stored {
    pub kind: String,
    category: String,
    pub value: String,
    uuid: String,
}

pub fn corpus() -> Vec<Stored> {
    let whole: Value = serde_json::from_str(CORPUS).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let all = whole["response"]["Attribute"].as_array().unwrap();
    all.iter()
        .map(|one| Stored {
            kind: text(one, "type"),
            category: text(one, "category"),
            value: text(one, "value"),
            uuid: text(one, "uuid"),
        })
        .collect()
}

fn imported(one: &Stored, data_types: &ObservableTypeSet) -> Vec<Observable> {
    let Stored {
        kind,
        category,
        value,
        uuid,
    } = one;
    to_observables(
        &AttributeInput {
            kind,
            category,
            value,
            uuid,
            event: Uuid::nil(),
        },
        data_types,
    )
    .unwrap()
}

fn exported(all: &[Observable]) -> Mapping {
    let given: Vec<ObservableInput<'_>> = all
        .iter()
        .map(|one| ObservableInput {
            data_type: &one.data_type,
            data: &one.data,
            tags: &one.tags,
        })
        .collect();
    to_attributes(&given, &Overrides::default(), &MispCapabilities::newest())
}

fn assert_comes_back(data_types: &ObservableTypeSet) {
    assert_come_back(&|one| imported(one, data_types));
}

fn assert_come_back(imported: &dyn Fn(&Stored) -> Vec<Observable>) {
    for one in corpus() {
        let there = imported(&one);
        let back = exported(&there);
        assert!(back.refused.is_empty(), "{}: {:?}", one.kind, back.refused);
        let found: Vec<_> = back
            .wanted
            .iter()
            .map(|wanted| {
                (
                    wanted.kind.as_ref(),
                    wanted.category.as_ref(),
                    wanted.value.as_str(),
                )
            })
            .collect();
        let expected = [(one.kind.as_str(), one.category.as_str(), one.value.as_str())];
        assert_eq!(found, expected, "through {there:?}");
    }
}

#[test]
fn every_stored_attribute_comes_back_the_same_through_thehive_4() {
    assert_eq!(corpus().len(), 189);
    assert_comes_back(&ObservableTypeSet::thehive4());
}

#[test]
fn every_stored_attribute_comes_back_the_same_through_a_thehive_with_custom_types() {
    let custom = [
        "ip",
        "domain",
        "hostname",
        "url",
        "hash",
        "mail",
        "filename",
        "other",
        "cve",
        "asn",
        "mac",
        "btc",
        "yara",
        "user-account",
        "mail_subject",
        "md5",
        "ja3",
        "port",
        "text",
        "Credit_Card",
    ];
    assert_comes_back(&ObservableTypeSet::new(custom));
}

#[test]
fn every_stored_attribute_comes_back_the_same_through_a_thehive_that_has_only_other() {
    assert_comes_back(&ObservableTypeSet::new(["other"]));
}

/// It lists its types, and refuses the values of one when they come.
#[test]
fn every_stored_attribute_comes_back_the_same_through_a_thehive_that_lists_types_and_does_not_know_them()
 {
    assert_come_back(&|one| {
        let mut there = imported(one, &ObservableTypeSet::thehive4());
        for one in there.iter_mut().filter(|one| one.data_type != "other") {
            one.tags
                .extend(type_tag_of(&one.data_type, &one.data, &one.tags));
            one.data_type = "other".into();
        }
        there
    });
}

#[test]
fn the_whole_event_comes_back_when_equal_observables_are_merged() {
    let mut merged: Vec<Observable> = Vec::new();
    for one in corpus() {
        for new in imported(&one, &ObservableTypeSet::thehive4()) {
            let same =
                |old: &&mut Observable| old.data_type == new.data_type && old.data == new.data;
            match merged.iter_mut().find(same) {
                Some(old) => old.merge(new),
                None => merged.push(new),
            }
        }
    }
    let back = exported(&merged);
    assert!(back.refused.is_empty(), "{:?}", back.refused);
    let found: BTreeSet<_> = back
        .wanted
        .iter()
        .map(|one| (one.kind.to_string(), one.value.clone()))
        .collect();
    let expected: BTreeSet<_> = corpus()
        .into_iter()
        .map(|one| (one.kind, one.value))
        .collect();
    assert_eq!(found, expected);
    let ids: BTreeSet<_> = back
        .wanted
        .iter()
        .map(|one| (&one.fold, &one.value))
        .collect();
    assert_eq!(
        ids.len(),
        back.wanted.len(),
        "fold and value name one attribute"
    );
    let places: BTreeSet<usize> = back
        .wanted
        .iter()
        .flat_map(|one| one.from.clone())
        .collect();
    assert_eq!(places.len(), merged.len());
}

#[test]
fn what_misp_stored_is_normal_and_valid() {
    for one in corpus() {
        assert_eq!(normalise(&one.kind, &one.value), one.value, "{}", one.kind);
        assert_eq!(
            validate(&one.kind, &one.value, &MispCapabilities::newest()),
            Ok(()),
            "{}",
            one.kind
        );
    }
}

#[test]
fn the_corpus_has_every_type_but_five() {
    let stored: BTreeSet<String> = corpus().into_iter().map(|one| one.kind).collect();
    let missing: Vec<&str> = MISP_TYPES
        .iter()
        .map(|row| row.kind)
        .filter(|kind| !stored.contains(*kind))
        .collect();
    assert_eq!(
        missing,
        [
            "edge-extension-id",
            "filename|impfuzzy",
            "integer",
            "suricata",
            "uuid"
        ]
    );
}
