//! A page of an event's attributes as observables: each filtered and mapped, and several of the
//! same value made one. Pure: what of it TheHive has already is not asked here.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::attachments::{self, AlertFileDraft, FileSet};
use super::attribute_filter::AttributeFilters;
use super::command::Commands;
use super::mapping::{self, AlertOptions, Markings, ObservableDraft};
use crate::json::Element;
use crate::misp::wire::{Attribute, Tag};
use crate::report::ledger::Verdict;
use crate::secret::Scrubber;
use crate::tags;
use crate::thehive::FILE;
use crate::types::ObservableTypeSet;

/// An attribute as it was read, and the name and uuid of the object that it stands in.
pub type BatchRow = (Element<Attribute>, Option<(Arc<str>, Arc<str>)>);

/// Stands for an observable's type and value where there are too many to keep: 16 of the 20 bytes
/// of SHA-1.
pub type Digest = [u8; 16];

/// The digest of an observable, its type and data as TheHive compares them.
pub fn digest(data_type: &str, data: &str) -> Digest {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(data_type.as_bytes());
    sha1.update(&[0]);
    sha1.update(data.as_bytes());
    let mut digest = Digest::default();
    digest
        .iter_mut()
        .zip(sha1.digest().bytes())
        .for_each(|(byte, of_sha1)| *byte = of_sha1);

    digest
}

/// What became of the rows.
#[derive(Default, Debug, PartialEq)]
pub struct MappedChunk {
    /// One for each row, in order.
    pub slots: Vec<RowOutcome>,
    /// No two of the same type and value.
    pub observables: Vec<ObservableDraft>,
    /// The files themselves, if they are wanted; no two of the same sample.
    pub files: Vec<AlertFileDraft>,
    /// Tags of the attributes among them that are words of this program, and so are left out.
    pub own_tags: u64,
    /// Tags of the attributes among them that are longer than TheHive takes.
    pub long_tags: u64,
    /// Attributes whose value is not that of their observable, but stands in its message.
    pub stand_ins: u64,
}

/// What became of one row.
#[derive(Debug, PartialEq)]
pub enum RowOutcome {
    /// It is no observable, and this is why.
    Is(Verdict),
    /// It is in these observables of the batch, at least one, each named once.
    Becomes(Vec<usize>),
}

/// What a batch is made by.
pub struct ChunkContext<'a> {
    /// The event's uuid.
    pub uuid: Uuid,
    /// TLP and PAP of an attribute that has none.
    pub event: Markings,
    /// Which texts are commands.
    pub commands: Commands<'a>,
    /// The observable types that TheHive has.
    pub data_types: &'a ObservableTypeSet,
    /// What observables get beside what MISP says.
    pub marks: &'a AlertOptions,
    /// Knows the run's secrets: a text is cleaned before it is cut.
    pub scrubber: &'a Scrubber,
    /// Files are wanted too, not only their names and hashes.
    pub has_files: bool,
    /// Type and data of an observable as TheHive compares them.
    pub key: &'a dyn Fn(&str, &str) -> (String, String),
    /// Tells by its uuid an attribute that an export of this installation put there.
    pub is_own_export: &'a dyn Fn(&str) -> bool,
}

/// Why an attribute of our own export is no observable.
const OWN_EXPORT: &str = "exported by this installation (loop guard)";

/// Makes a batch of the rows. `live` is told the digest of every observable that an attribute
/// becomes which is not deleted, those that a filter leaves out included: what it is not told of
/// has left the event.
pub fn map_rows(
    rows: impl IntoIterator<Item = BatchRow>,
    choice: &AttributeFilters,
    setup: &ChunkContext<'_>,
    live: &mut dyn FnMut(Digest, bool, bool),
) -> MappedChunk {
    let mut batch = MappedChunk::default();
    let (mut places, mut files) = (HashMap::new(), FileSet::default());

    for (element, within) in rows {
        let within = within.as_ref().map(|(name, uuid)| (&**name, &**uuid));
        let slot = match element {
            Element::Bad(flaw) => RowOutcome::Is(Verdict::Failed(flaw.describe("an attribute"))),
            Element::Good(attribute) if attribute.deleted == Some(true) => {
                RowOutcome::Is(Verdict::Skipped("deleted".to_owned()))
            }
            Element::Good(attribute) => {
                let own = (setup.is_own_export)(&attribute.uuid).then(|| OWN_EXPORT.to_owned());
                let rule = own.or_else(|| choice.find_skip_rule(&attribute));
                let is_secret = holds_secret(&attribute, within, setup.scrubber);
                let is_wanted = rule.is_none() && !is_secret;
                let mapped = map_attribute(&attribute, within, setup, is_wanted, live);
                // What is withheld counts as there all the same.
                let mapped = match is_secret {
                    true => Err(HOLDS_SECRET.to_owned()),
                    false => mapped,
                };
                if rule.is_none() {
                    batch.count_tags(&attribute);
                }

                match (rule, mapped) {
                    (Some(rule), _) => RowOutcome::Is(Verdict::Skipped(rule)),
                    (None, Err(reason)) => RowOutcome::Is(Verdict::Failed(reason)),
                    (None, Ok(mapped)) => {
                        let is_stand_in = |(_, draft): &(Key, _)| mapping::is_stand_in(draft);
                        batch.stand_ins += u64::from(mapped.iter().any(is_stand_in));
                        if setup.has_files && attachments::has_file(&attribute) {
                            let observable = mapping::draft_file(&attribute, within, setup);
                            files.add_file(AlertFileDraft::new(&attribute, observable));
                        }
                        RowOutcome::Becomes(batch.add_observables(mapped, &mut places))
                    }
                }
            }
        };
        batch.slots.push(slot);
    }

    batch.files = files.all;
    batch
}

/// Why an item of a server that knows our key is withheld: it is nobody's indicator, and everybody
/// would read it.
pub const HOLDS_SECRET: &str =
    "it holds a key of this program's own configuration: change that key";

/// True if one of the texts that an attribute brings holds a long secret of ours.
fn holds_secret(attribute: &Attribute, within: Option<(&str, &str)>, scrubber: &Scrubber) -> bool {
    let own = [
        &attribute.value,
        &attribute.comment,
        &attribute.kind,
        &attribute.category,
        &attribute.object_relation,
        &attribute.first_seen,
        &attribute.last_seen,
        &attribute.uuid,
    ];

    let tags = attribute.tags.iter().map(|tag| &tag.name);
    let mut texts = own
        .into_iter()
        .chain(tags)
        .map(String::as_str)
        .chain(within.map(|(name, _)| name));

    texts.any(|text| scrubber.has_secret_in(text))
}

/// Type and data as TheHive compares them.
type Key = (String, String);

/// The observables of one attribute, each with its key; `live` is told of each, and of the file
/// that may be in TheHive, wanted or not.
fn map_attribute(
    attribute: &Attribute,
    within: Option<(&str, &str)>,
    setup: &ChunkContext<'_>,
    is_wanted: bool,
    live: &mut dyn FnMut(Digest, bool, bool),
) -> Result<Vec<(Key, ObservableDraft)>, String> {
    for resolve in attachments::keys_of_attribute(attribute) {
        let (data_type, name) = (setup.key)(FILE, &resolve);
        live(
            digest(&data_type, &name),
            is_wanted,
            attribute.to_ids == Some(true),
        );
    }

    let wanted = mapping::draft_observables(attribute, within, setup)?;
    let key = |draft: ObservableDraft| {
        let key = (setup.key)(&draft.data_type, &draft.data);
        live(digest(&key.0, &key.1), is_wanted, draft.ioc);
        (key, draft)
    };

    Ok(wanted.into_iter().map(key).collect())
}

impl MappedChunk {
    /// Counts the tags of an attribute that are not passed on as they are.
    fn count_tags(&mut self, attribute: &Attribute) {
        for Tag { name, .. } in &attribute.tags {
            if tags::is_reserved(name) {
                self.own_tags += 1;
            } else if mapping::is_long_tag(name) {
                self.long_tags += 1;
            }
        }
    }

    /// Takes observables in, and says where they are.
    fn add_observables(
        &mut self,
        mapped: Vec<(Key, ObservableDraft)>,
        places: &mut HashMap<Key, usize>,
    ) -> Vec<usize> {
        let mut taken = Vec::with_capacity(mapped.len());

        for (key, wanted) in mapped {
            let place = *places.entry(key).or_insert(self.observables.len());
            match self.observables.get_mut(place) {
                Some(known) => mapping::merge(known, wanted),
                None => self.observables.push(wanted),
            }
            if !taken.contains(&place) {
                taken.push(place);
            }
        }

        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markings::{Pap, Tlp};
    use serde_json::{Value, json};

    fn row(value: Value) -> BatchRow {
        (serde_json::from_value(value).unwrap(), None)
    }

    /// A batch on a TheHive that compares in lower case, and the digests that lived.
    fn map_with_digests(rows: Vec<BatchRow>, choice: Value) -> (MappedChunk, Vec<Digest>) {
        let setup = ChunkContext {
            uuid: Uuid::nil(),
            commands: Commands { connections: &[] },
            event: Markings::explicit(Tlp::Amber, Pap::Amber),
            data_types: &ObservableTypeSet::thehive4(),
            marks: &AlertOptions::default(),
            scrubber: &Scrubber::default(),
            has_files: false,
            key: &|data_type, data| (data_type.to_owned(), data.to_lowercase()),
            is_own_export: &|_| false,
        };

        let mut live = Vec::new();
        let choice = serde_json::from_value(choice).unwrap();
        let batch = map_rows(rows, &choice, &setup, &mut |digest, _, _| live.push(digest));

        (batch, live)
    }

    #[test]
    fn every_row_has_a_slot_that_says_what_became_of_it() {
        let rows = vec![
            row(json!({"type": "text", "value": "A", "to_ids": false})),
            row(json!("text")),
            row(json!({"type": "text", "value": "gone", "deleted": true})),
            row(json!({"type": "text", "value": "a", "to_ids": true})),
            row(json!({"type": "text", "value": ""})),
            row(json!({"type": "md5", "value": "44d88612fea8a8f36de82e1278abb02f"})),
            row(
                json!({"type": "filename|md5", "value": "a.exe|44d88612fea8a8f36de82e1278abb02f", "uuid": "1a2b3c4d"}),
            ),
        ];

        let (batch, live) = map_with_digests(rows, json!({"exclude_attribute_types": ["md5"]}));

        assert_eq!(
            batch.slots,
            [
                RowOutcome::Becomes(vec![0]),
                RowOutcome::Is(Verdict::Failed(
                    "an attribute is a text, not an object".into()
                )),
                RowOutcome::Is(Verdict::Skipped("deleted".into())),
                RowOutcome::Becomes(vec![0]),
                RowOutcome::Is(Verdict::Failed("Value cannot be empty.".into())),
                RowOutcome::Is(Verdict::Skipped("type md5 is excluded".into())),
                RowOutcome::Becomes(vec![1, 2]),
            ]
        );

        let data: Vec<_> = batch
            .observables
            .iter()
            .map(|one| (one.data.as_str(), one.ioc))
            .collect();

        assert_eq!(
            data,
            [
                ("A", true),
                ("a.exe", false),
                ("44d88612fea8a8f36de82e1278abb02f", false)
            ]
        );

        let hash = digest("hash", "44d88612fea8a8f36de82e1278abb02f");

        assert_eq!(
            live,
            [
                digest("other", "a"),
                digest("other", "a"),
                hash,
                digest("filename", "a.exe"),
                hash
            ]
        );
    }

    #[test]
    fn a_composite_of_equal_halves_names_its_observable_once() {
        let setup = ChunkContext {
            uuid: Uuid::nil(),
            commands: Commands { connections: &[] },
            event: Markings::explicit(Tlp::Amber, Pap::Amber),
            data_types: &ObservableTypeSet::new(["other"]),
            marks: &AlertOptions::default(),
            scrubber: &Scrubber::default(),
            has_files: false,
            key: &|data_type, data| (data_type.to_owned(), data.to_owned()),
            is_own_export: &|_| false,
        };
        let choice = serde_json::from_value(json!({})).unwrap();
        let rows = [row(
            json!({"type": "regkey|value", "value": "same|same", "uuid": "1a2b3c4d"}),
        )];

        let batch = map_rows(rows, &choice, &setup, &mut |_, _, _| {});
        assert_eq!(
            (batch.slots, batch.observables.len()),
            (vec![RowOutcome::Becomes(vec![0])], 1)
        );
    }

    #[test]
    fn the_object_of_a_row_is_in_the_tags() {
        let row = (
            row(json!({"type": "text", "value": "a"})).0,
            Some((
                Arc::from("file"),
                Arc::from("99887766-0000-4000-8000-000000000003"),
            )),
        );

        let (batch, _) = map_with_digests(vec![row], json!({}));
        assert!(batch.observables[0].tags.contains(&format!(
            "misp:object=\"file:{}:99887766-0000-4000-8000-000000000003\"",
            Uuid::nil()
        )));
    }

    #[test]
    fn a_digest_is_of_type_and_data_apart() {
        let sha1 = sha1_smol::Sha1::from("ip\x00192.0.2.1").digest().bytes();
        assert_eq!(digest("ip", "192.0.2.1")[..], sha1[..16]);
        assert_ne!(digest("a", "bc"), digest("ab", "c"));
    }
}
