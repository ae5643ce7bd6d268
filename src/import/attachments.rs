//! Files of attributes: which attributes bring one, what it is called in TheHive, and how it is
//! known there again. Pure: the files are read and written elsewhere.

use std::collections::HashMap;

use uuid::Uuid;

use super::mapping::{self, ObservableDraft};
use crate::misp::wire::Attribute;
use crate::sample;
use crate::tags;
use crate::thehive::wire::{Attachment, Observable};

/// The type of an attribute whose file is an encrypted zip (MISP's `AttachmentTool.php`).
const SAMPLE: &str = "malware-sample";
/// The type of an attribute whose file is as it is.
const PLAIN: &str = "attachment";

/// A file that an alert is to have, as an observable of type `file`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertFileDraft {
    /// The attribute that it is read by, without what the observable has of it.
    pub attribute: Attribute,
    /// The observable: its data is the file's name, its tags and flags are those of the attribute.
    pub observable: ObservableDraft,
    /// The file's md5 in lower-case hex, which a sample's value names.
    pub md5: Option<String>,
    /// How many attributes bring it.
    pub attributes: u64,
    /// The tags by which an attachment is known, the one that is written first.
    marks: Vec<String>,
}

impl AlertFileDraft {
    /// The file of an attribute. `observable` is what a text observable would have of it.
    pub fn new(attribute: &Attribute, observable: ObservableDraft) -> Self {
        Self {
            md5: md5(attribute),
            marks: attachment_tags(attribute),
            attribute: Attribute {
                id: attribute.id.clone(),
                uuid: attribute.uuid.clone(),
                kind: attribute.kind.clone(),
                value: attribute.value.clone(),
                ..Attribute::default()
            },
            observable,
            attributes: 1,
        }
    }

    /// True if it comes as an encrypted zip.
    pub fn is_sample(&self) -> bool {
        self.attribute.kind == SAMPLE
    }

    /// What it is known by in TheHive: a sample by its md5, an attachment by the tag that names its
    /// attribute. Empty for a sample whose value names no md5.
    pub fn file_key(&self) -> &str {
        self.md5
            .as_ref()
            .or(self.marks.first())
            .map_or("", String::as_str)
    }

    /// True if an observable is this file.
    pub fn is_same_file(&self, there: &Observable) -> bool {
        let Some(file) = &there.attachment else {
            return false;
        };
        match &self.md5 {
            Some(md5) => file.md5().as_ref() == Some(md5),
            None => there.tags.iter().any(|tag| self.marks.contains(tag)),
        }
    }

    /// True if an observable is also the file of another attribute, so that what that one says of
    /// it stays.
    pub fn is_shared(&self, there: &Observable) -> bool {
        filter_attachment_tags(&there.tags).any(|mark| !self.marks.contains(mark))
    }
}

/// True for an attribute with a file.
pub fn has_file(attribute: &Attribute) -> bool {
    [SAMPLE, PLAIN].contains(&attribute.kind.as_str())
}

/// What the file of an attribute is called in TheHive: no path, and nothing that a form cannot
/// carry.
pub fn file_name(attribute: &Attribute) -> String {
    let name = match attribute.kind == SAMPLE {
        true => attribute.value.split('|').next().unwrap_or_default(),
        false => &attribute.value,
    };
    sample::plain_name(name).replace('"', "_")
}

/// The tag of an attachment; none for another attribute.
pub fn attachment_tag(attribute: &Attribute) -> Option<String> {
    attachment_tags(attribute).into_iter().next()
}

/// The tags of an attachment: the one that is written, and that of version 1.0, which named 8
/// digits.
fn attachment_tags(attribute: &Attribute) -> Vec<String> {
    const LONGEST: usize = 36;

    let uuid = attribute.uuid.trim();
    if attribute.kind != PLAIN || uuid.is_empty() {
        return Vec::new();
    }
    let beginning = |length| -> String { uuid.chars().take(length).collect() };
    let whole = Uuid::parse_str(uuid).map_or_else(|_| beginning(LONGEST), |uuid| uuid.to_string());

    vec![
        tags::build(tags::ATTRIBUTE, &whole),
        tags::build(tags::ATTRIBUTE, &beginning(8)),
    ]
}

fn md5(attribute: &Attribute) -> Option<String> {
    let (_, md5) = attribute
        .value
        .rsplit_once('|')
        .filter(|_| attribute.kind == SAMPLE)?;
    let md5 = md5.trim().to_ascii_lowercase();
    (md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(md5)
}

/// By what the file of a live attribute may be known in TheHive, see [`keys_of_stored_file`];
/// nothing for an attribute without one.
pub fn keys_of_attribute(attribute: &Attribute) -> Vec<String> {
    if !has_file(attribute) {
        return Vec::new();
    }
    let names = [Some(file_name(attribute)), md5(attribute)]
        .into_iter()
        .flatten();
    names.chain(attachment_tags(attribute)).collect()
}

/// By what a file in TheHive may belong to a live attribute: the tag of the attribute that it was
/// read from, else its name; and its hashes.
pub fn keys_of_stored_file(file: &Attachment, tags: &[String]) -> Vec<String> {
    let mut names: Vec<String> = filter_attachment_tags(tags).cloned().collect();
    if names.is_empty() {
        names.push(file.name.clone());
    }
    names.extend(
        file.hashes
            .iter()
            .map(|hash| hash.trim().to_ascii_lowercase()),
    );

    names
}

fn filter_attachment_tags(tags: &[String]) -> impl Iterator<Item = &String> {
    tags.iter()
        .filter(|tag| tags::parse_value(tag, tags::ATTRIBUTE).is_some())
}

/// Files of which no two are the same sample.
#[derive(Default)]
pub struct FileSet {
    /// In the order of their attributes.
    pub all: Vec<AlertFileDraft>,
    samples: HashMap<String, usize>,
}

impl FileSet {
    /// Takes a file in: with a sample that is there already its tags and flags are joined.
    pub fn add_file(&mut self, file: AlertFileDraft) {
        let Some(md5) = &file.md5 else {
            return self.all.push(file);
        };
        let place = *self.samples.entry(md5.clone()).or_insert(self.all.len());
        match self.all.get_mut(place) {
            Some(known) => {
                mapping::merge(&mut known.observable, file.observable);
                known.attributes += 1;
            }
            None => self.all.push(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markings::{Pap, Tlp};
    use serde_json::json;

    const MD5: &str = "44d88612fea8a8f36de82e1278abb02f";
    const UUID: &str = "1a2b3c4d-0000-4000-8000-000000000002";

    fn attribute(kind: &str, value: &str) -> Attribute {
        serde_json::from_value(json!({"id": "7", "uuid": UUID, "type": kind, "value": value}))
            .unwrap()
    }

    fn file(kind: &str, value: &str, tag: &str) -> AlertFileDraft {
        let attribute = attribute(kind, value);
        let data = file_name(&attribute);

        let observable = ObservableDraft {
            pap: Pap::Amber,
            data_type: "file".into(),
            data,
            message: String::new(),
            tlp: Tlp::Amber,
            ioc: false,
            tags: vec![tag.into()],
            ignore_similarity: false,
            changed: None,
        };

        AlertFileDraft::new(&attribute, observable)
    }

    fn stored_file(name: &str, md5: &str, tags: &[&str]) -> Observable {
        let attachment = json!({"name": name, "hashes": ["a".repeat(64), md5.to_uppercase()]});
        serde_json::from_value(json!({"dataType": "file", "attachment": attachment, "tags": tags}))
            .unwrap()
    }

    #[test]
    fn a_sample_is_known_by_its_md5_whatever_it_is_called() {
        let sample = file(SAMPLE, &format!("a.exe|{}", MD5.to_uppercase()), "t");
        assert!(sample.is_sample() && sample.is_same_file(&stored_file("b.exe", MD5, &[])));
        assert!(!sample.is_same_file(&stored_file(
            "a.exe",
            &"0".repeat(32),
            &["misp:attribute=\"1a2b3c4d\""]
        )));

        assert_eq!(
            (sample.file_key(), keys_of_attribute(&sample.attribute)),
            (MD5, vec!["a.exe".to_owned(), MD5.to_owned()])
        );
        assert_eq!(file(SAMPLE, "a.exe|beef", "t").file_key(), "");
    }

    #[test]
    fn an_attachment_is_known_by_its_attribute() {
        let mark = "misp:attribute=\"1a2b3c4d-0000-4000-8000-000000000002\"";
        let short = "misp:attribute=\"1a2b3c4d\"";
        let plain = file(PLAIN, "a.png", "t");
        assert!(!plain.is_sample() && plain.file_key() == mark);
        assert!(
            [mark, short]
                .into_iter()
                .all(|mark| plain.is_same_file(&stored_file("renamed.png", MD5, &["x", mark])))
        );

        assert!(!plain.is_same_file(&stored_file("a.png", MD5, &["misp:attribute=\"99999999\""])));
        assert!(!plain.is_shared(&stored_file("a.png", MD5, &[mark])));
        assert!(plain.is_shared(&stored_file(
            "a.png",
            MD5,
            &[mark, "misp:attribute=\"99999999\""]
        )));

        assert_eq!(keys_of_attribute(&plain.attribute), ["a.png", mark, short]);
    }

    #[test]
    fn a_file_in_thehive_lives_by_its_attributes_or_by_its_name_and_hashes() {
        let of = |tags: &[&str]| {
            let there = stored_file("a.png", MD5, tags);
            keys_of_stored_file(&there.attachment.unwrap(), &there.tags)
        };
        assert_eq!(
            of(&["x"]),
            ["a.png".to_owned(), "a".repeat(64), MD5.to_owned()]
        );
        let mark = "misp:attribute=\"1a2b3c4d\"";
        assert_eq!(
            of(&[mark]),
            [mark.to_owned(), "a".repeat(64), MD5.to_owned()]
        );
        assert!(keys_of_attribute(&attribute("filename|md5", "a|b")).is_empty());
    }

    #[test]
    fn names_have_no_path_and_no_quotes() {
        for (kind, value, name) in [
            (SAMPLE, "../../etc/passwd|44", "passwd"),
            (PLAIN, "C:\\x\\say \"hi\".txt", "say _hi_.txt"),
            (PLAIN, "a|b.txt", "a_b.txt"),
            (PLAIN, "..", "file"),
        ] {
            assert_eq!(file_name(&attribute(kind, value)), name);
        }
    }

    #[test]
    fn one_sample_of_several_attributes_is_one_file() {
        let mut files = FileSet::default();
        files.add_file(file(SAMPLE, &format!("a.exe|{MD5}"), "a"));
        files.add_file(file(PLAIN, "a.exe", "p"));
        files.add_file(file(SAMPLE, &format!("b.exe|{}", MD5.to_uppercase()), "b"));

        let told: Vec<_> = files
            .all
            .iter()
            .map(|one| {
                (
                    one.observable.data.as_str(),
                    one.attributes,
                    one.observable.tags.len(),
                )
            })
            .collect();

        assert_eq!(told, [("a.exe", 2, 2), ("a.exe", 1, 1)]);
    }
}
