//! MISP's JSON, as far as we use it. Every field is read leniently: a number may be a text, a
//! missing list is empty. How an event and a manifest are walked is in `event_stream.rs`, how tags
//! are read in `tags.rs`.

mod event_stream;
mod tags;

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::json::{self, Element};
use crate::time;
pub use event_stream::{
    EventPart, ListedPart, read_event, read_events, read_manifest, read_objects,
};

/// The source that our sightings name.
pub const SOURCE: &str = "cortex-misp";

/// An event without its content: a row of `events/index`, an entry of a feed's manifest, the head
/// of an event file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The number on its server; empty in a feed.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// The uuid, as the server writes it.
    #[serde(deserialize_with = "json::text")]
    pub uuid: String,
    /// The info line.
    #[serde(deserialize_with = "json::text")]
    pub info: String,
    /// `YYYY-MM-DD`.
    #[serde(deserialize_with = "json::text")]
    pub date: String,
    /// True once published.
    #[serde(deserialize_with = "json::flag")]
    pub published: Option<bool>,
    /// 0 initial, 1 ongoing, 2 completed.
    #[serde(deserialize_with = "json::strict_number")]
    pub analysis: Option<i64>,
    /// 1 high, 2 medium, 3 low, 4 undefined.
    #[serde(deserialize_with = "json::strict_number")]
    pub threat_level_id: Option<i64>,
    /// 0 own organisation to 3 all communities, 4 sharing group.
    #[serde(deserialize_with = "json::strict_number")]
    pub distribution: Option<i64>,
    /// The sharing group's number, with distribution 4.
    #[serde(deserialize_with = "json::text")]
    pub sharing_group_id: String,
    /// Attributes, those in objects included, soft-deleted ones not. A feed has no such number.
    #[serde(deserialize_with = "json::number")]
    pub attribute_count: Option<i64>,
    /// Last change, seconds since 1970.
    #[serde(deserialize_with = "json::timestamp")]
    pub timestamp: Option<i64>,
    /// Last publication, seconds since 1970; 0 if never, or if nothing is said; none if it cannot
    /// be read.
    #[serde(
        default = "never_published",
        deserialize_with = "read_publication_time"
    )]
    pub publish_timestamp: Option<i64>,
    /// True if it came by synchronisation.
    #[serde(deserialize_with = "json::flag")]
    pub locked: Option<bool>,
    /// The organisation that created it.
    #[serde(rename = "Orgc", deserialize_with = "json::object")]
    pub orgc: Option<Organisation>,
    /// The organisation that it belongs to on its server: whoever added it there, be it by
    /// synchronisation or an upload. What it says of its creator is that one's word.
    #[serde(rename = "Org", deserialize_with = "json::object")]
    pub org: Option<Organisation>,
    #[serde(rename = "orgc", deserialize_with = "json::object")]
    lower_orgc: Option<Organisation>,
    #[serde(rename = "EventTag", deserialize_with = "tags::read_any_shape")]
    event_tags: Vec<Tag>,
    #[serde(rename = "Tag", deserialize_with = "tags::read_any_shape")]
    plain_tags: Vec<Tag>,
    /// How many of its tags were left out. Those that decide something are kept.
    #[serde(skip)]
    pub tags_cut: usize,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the default of a field that may be unreadable"
)]
fn never_published() -> Option<i64> {
    Some(0)
}

/// Nothing said is no publication; what cannot be read is not known.
fn read_publication_time<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    let text = json::text(deserializer)?;
    Ok(if text.trim().is_empty() {
        never_published()
    } else {
        json::parse_number(&text).map(time::to_seconds)
    })
}

impl Event {
    /// The names of its tags, in order.
    pub fn all_tag_names(&self) -> impl Iterator<Item = &str> {
        self.tags_with_local_flag().map(|(name, _)| name)
    }

    /// The names of its tags, and of each whether it is local: only on this server, and never
    /// passed on with the event.
    pub fn tags_with_local_flag(&self) -> impl Iterator<Item = (&str, bool)> {
        let tags = self.event_tags.iter().chain(&self.plain_tags);
        tags.map(|tag| (tag.name.as_str(), tag.local == Some(true)))
    }

    /// Takes back moments that cannot be true, so that they are neither recent nor equal to any
    /// other.
    pub fn forget_implausible_moments(&mut self, now: i64) {
        self.timestamp = self
            .timestamp
            .filter(|moment| time::is_plausible(*moment, now));
        self.publish_timestamp = self
            .publish_timestamp
            .filter(|moment| *moment == 0 || time::is_plausible(*moment, now));
    }

    /// True if a moment of it cannot be read, and none that can is as late as this: nobody knows
    /// whether it is recent.
    pub fn may_be_older(&self, since: i64) -> bool {
        let is_readable =
            self.timestamp.is_some_and(|moment| moment > 0) && self.publish_timestamp.is_some();
        !is_readable
            && [self.timestamp, self.publish_timestamp]
                .iter()
                .flatten()
                .all(|moment| *moment < since)
    }

    /// As it is kept: its organisation in one place, and its tags within bounds. What is beyond is
    /// counted.
    pub fn compact(mut self, decisive: &[String]) -> Self {
        // A feed may write the name in small letters.
        self.orgc = self.orgc.or(self.lower_orgc.take());
        self.event_tags.append(&mut self.plain_tags);
        self.plain_tags = std::mem::take(&mut self.event_tags);
        self.tags_cut += tags::truncate(&mut self.plain_tags, tags::MOST, decisive);

        self
    }

    /// As it is kept of a feed's manifest, where nothing of it decides: very many may be kept.
    pub fn compact_for_list(mut self) -> Self {
        const TAGS: usize = 20;
        const INFO: usize = 1 << 10;

        self.info.truncate(self.info.floor_char_boundary(INFO));
        self.org = None;
        self = self.compact(&[]);
        tags::truncate(&mut self.plain_tags, TAGS, &[]);

        self
    }

    /// As what a feed has: it counts as published, and as never published anew. Its uuid is as the
    /// feed spells it.
    pub fn into_feed_event(self, spelled: &str) -> Self {
        Self {
            uuid: spelled.to_owned(),
            published: Some(true),
            publish_timestamp: never_published(),
            ..self
        }
    }

    /// Its entry in a feed's manifest.
    pub fn to_manifest_entry(&self) -> Value {
        // What could not be read is `i64::MIN` (`strict_number`), and nothing to be passed on.
        let text = |number: Option<i64>| {
            number
                .filter(|number| *number >= 0)
                .unwrap_or(0)
                .to_string()
        };

        json!({
            "info": self.info,
            "Orgc": self.orgc,
            "analysis": text(self.analysis),
            "timestamp": text(self.timestamp),
            "date": self.date,
            "threat_level_id": text(self.threat_level_id),
            "Tag": self.plain_tags,
        })
    }

    /// The organisation that brought it to its server, if that is not the one that it names as its
    /// creator.
    pub fn brought_by(&self) -> Option<&Organisation> {
        let creator = self.orgc.as_ref().map(|orgc| orgc.uuid.as_str());
        self.org
            .as_ref()
            .filter(|org| creator != Some(org.uuid.as_str()))
    }

    /// The name of the organisation that created it; empty if unknown.
    pub fn creator_name(&self) -> &str {
        self.orgc.as_ref().map_or("", |orgc| &orgc.name)
    }
}

impl Event {
    /// By what the organisation that created it is told from others when they share something: its
    /// uuid, else its name in lower case. What a feed says of it is not proven.
    pub fn creator_key(&self) -> String {
        let orgc = self.orgc.as_ref();
        let names = orgc
            .map(|orgc| [&orgc.uuid, &orgc.name, &orgc.id])
            .into_iter()
            .flatten();
        let mut names = names
            .map(|name| name.trim())
            .filter(|name| !name.is_empty());
        names.next().map(str::to_lowercase).unwrap_or_default()
    }
}

/// A row of most of MISP's lists, `{"Tag": {…}}`: what it shows of each model, by the model's name.
pub type Row<T> = HashMap<String, Element<T>>;

/// The part of a row that is of this model.
pub fn unwrap_row<T>(row: Element<Row<T>>, model: &str) -> Option<T> {
    row.into_option()?.remove(model)?.into_option()
}

/// An organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Organisation {
    /// The number on its server.
    #[serde(deserialize_with = "json::text", skip_serializing)]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// Its uuid.
    #[serde(deserialize_with = "json::text")]
    pub uuid: String,
}

impl Organisation {
    /// True if it is meant by this text: its name in any case, its uuid, or its number.
    pub fn is_called(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        !text.is_empty()
            && [&self.name, &self.uuid, &self.id]
                .iter()
                .any(|known| known.to_lowercase() == text)
    }
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tag {
    /// Its name, as written.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// Its colour, `#rrggbb`; empty if not told.
    #[serde(
        deserialize_with = "json::text",
        skip_serializing_if = "String::is_empty"
    )]
    pub colour: String,
    /// True for a tag that stands on this server only and is not passed on with what it is on.
    #[serde(deserialize_with = "json::flag", skip_serializing)]
    pub local: Option<bool>,
}

/// An attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Attribute {
    /// The number on its server; empty in a feed.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// Its event's number on its server; empty in a feed.
    #[serde(deserialize_with = "json::text")]
    pub event_id: String,
    /// Its event's uuid, where it was asked for.
    #[serde(deserialize_with = "json::text")]
    pub event_uuid: String,
    /// The event as `attributes/restSearch` shows it beside each attribute
    /// (`fixtures/wire/misp/224-ars-attribute-timestamp.json`).
    #[serde(rename = "Event", deserialize_with = "json::object")]
    pub event: Option<OfEvent>,
    /// Its uuid.
    #[serde(deserialize_with = "json::text")]
    pub uuid: String,
    /// Its type: `ip-dst`, `filename|md5`, …
    #[serde(rename = "type", deserialize_with = "json::text")]
    pub kind: String,
    /// Its category: `Network activity`, …
    #[serde(deserialize_with = "json::text")]
    pub category: String,
    /// Its value; the halves of a composite are joined by `|`.
    #[serde(deserialize_with = "json::text")]
    pub value: String,
    /// True if it is meant for detection.
    #[serde(deserialize_with = "json::flag")]
    pub to_ids: Option<bool>,
    /// Its comment.
    #[serde(deserialize_with = "json::text")]
    pub comment: String,
    /// True if it was soft-deleted.
    #[serde(deserialize_with = "json::flag")]
    pub deleted: Option<bool>,
    /// True if MISP looks for no other attributes with its value.
    #[serde(deserialize_with = "json::flag")]
    pub disable_correlation: Option<bool>,
    /// 0 to 4 as for events, 5 as the event.
    #[serde(deserialize_with = "json::strict_number")]
    pub distribution: Option<i64>,
    /// When it was first seen, as the server writes it.
    #[serde(deserialize_with = "json::text")]
    pub first_seen: String,
    /// When it was last seen.
    #[serde(deserialize_with = "json::text")]
    pub last_seen: String,
    /// Its object's number on its server; `0` for none. In a feed, the object's uuid.
    #[serde(deserialize_with = "json::text")]
    pub object_id: String,
    /// Its role in its object.
    #[serde(deserialize_with = "json::text")]
    pub object_relation: String,
    /// When it was last changed, in seconds since 1970.
    #[serde(deserialize_with = "json::timestamp")]
    pub timestamp: Option<i64>,
    /// Its tags.
    #[serde(rename = "Tag", deserialize_with = "tags::read_any_shape")]
    pub tags: Vec<Tag>,
    /// The same as MISP's export writes them too, each within `Tag`. [`Attribute::merge_tag_lists`]
    /// puts both into one list.
    #[serde(rename = "AttributeTag", deserialize_with = "tags::read_any_shape")]
    pub attribute_tags: Vec<Tag>,
    /// Its sightings, where they were asked for
    /// (`fixtures/wire/misp/422-attribute-include-sightings.json`).
    #[serde(rename = "Sighting", deserialize_with = "count_sightings")]
    pub sightings: Sightings,
}

impl Attribute {
    /// As it is kept: its tags in one list.
    pub fn merge_tag_lists(mut self) -> Self {
        let is_new = |tag: &Tag| !self.tags.iter().any(|known| known.name == tag.name);
        let more: Vec<Tag> = std::mem::take(&mut self.attribute_tags)
            .into_iter()
            .filter(is_new)
            .collect();
        self.tags.extend(more);
        self
    }

    /// The names of its tags, and of each whether it is local.
    pub fn tags_with_local_flag(&self) -> impl Iterator<Item = (&str, bool)> {
        self.tags
            .iter()
            .map(|tag| (tag.name.as_str(), tag.local == Some(true)))
    }

    /// The uuid of its event, as the row says it.
    pub fn parse_event_uuid(&self) -> Option<Uuid> {
        let of_event = self.event.as_ref().map_or("", |event| &event.uuid);
        [self.event_uuid.as_str(), of_event]
            .into_iter()
            .find_map(|uuid| Uuid::parse_str(uuid).ok())
    }

    /// The bytes of its texts.
    pub fn text_size(&self) -> usize {
        let texts = [
            &self.value,
            &self.comment,
            &self.kind,
            &self.category,
            &self.first_seen,
            &self.last_seen,
            &self.object_relation,
        ];

        let tags = self
            .tags
            .iter()
            .map(|tag| tag.name.len() + tag.colour.len());
        texts.into_iter().map(String::len).chain(tags).sum()
    }
}

/// The event of an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OfEvent {
    /// Its uuid.
    #[serde(deserialize_with = "json::text")]
    pub uuid: String,
}

/// What a sighting says of an attribute: the types of MISP's `Sighting.php`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SightingKind {
    /// It was seen.
    Seen,
    /// It was seen, and was harmless.
    FalsePositive,
    /// It means nothing any more from a day on.
    Expiration,
}

impl SightingKind {
    /// MISP's number of it.
    pub fn number(self) -> u8 {
        match self {
            Self::Seen => 0,
            Self::FalsePositive => 1,
            Self::Expiration => 2,
        }
    }

    fn parse(number: &str) -> Option<Self> {
        match number {
            "0" => Some(Self::Seen),
            "1" => Some(Self::FalsePositive),
            "2" => Some(Self::Expiration),
            _ => None,
        }
    }
}

/// What is counted of an attribute's sightings, of which there may be any number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// How often it was seen.
    pub seen: u64,
    /// How often it was sighted as a false positive.
    pub false_positives: u64,
    /// When it expires, in seconds since 1970: the latest moment that anybody says.
    pub expiration: Option<i64>,
    /// Whose they are, as far as an export has to know it: the first of them.
    pub named: Vec<NamedSighting>,
}

/// Whose a sighting is. One that was seen, or is a false positive, is kept only if it names this
/// program as the source, as anybody may: whether it is ours is for the caller to say. Of
/// expirations MISP keeps one for each organisation, whoever set it (its `Sighting.php`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSighting {
    /// What it says.
    pub kind: SightingKind,
    /// The number of its organisation.
    pub organisation: String,
    /// The latest that the organisation says, in seconds since 1970; none if that cannot be.
    pub moment: Option<i64>,
}

/// Organisations and kinds that are kept of an attribute's sightings.
const MOST_NAMED: usize = 300;

/// A sighting, in an attribute or by itself.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Sighting {
    #[serde(rename = "type", deserialize_with = "json::short_text")]
    kind: String,
    #[serde(deserialize_with = "json::short_text")]
    source: String,
    #[serde(deserialize_with = "json::short_text")]
    org_id: String,
    #[serde(deserialize_with = "json::number")]
    date_sighting: Option<i64>,
    /// The number of its attribute.
    #[serde(deserialize_with = "json::short_text")]
    pub attribute_id: String,
}

impl Sightings {
    /// Counts one more. One of a kind that is not known says nothing.
    pub fn add(&mut self, sighting: &Sighting) {
        let Some(kind) = SightingKind::parse(&sighting.kind) else {
            return;
        };
        let moment = sighting.date_sighting.filter(|date| time::is_day(*date));
        match kind {
            SightingKind::Seen => self.seen += 1,
            SightingKind::FalsePositive => self.false_positives += 1,
            SightingKind::Expiration => self.expiration = self.expiration.max(moment),
        }

        if sighting.source != SOURCE && kind != SightingKind::Expiration {
            return;
        }
        let has_room = self.named.len() < MOST_NAMED;
        let known = self
            .named
            .iter_mut()
            .find(|known| known.kind == kind && known.organisation == sighting.org_id);
        match known {
            Some(known) => known.moment = known.moment.max(moment),
            None if has_room => self.named.push(NamedSighting {
                kind,
                organisation: sighting.org_id.clone(),
                moment,
            }),
            None => {}
        }
    }

    /// What an alert has to know of them.
    pub fn verdicts(&self) -> Self {
        Self {
            false_positives: self.false_positives,
            expiration: self.expiration,
            ..Self::default()
        }
    }

    /// The day on which it expires, `2026-12-01`.
    pub fn expiration_day(&self) -> Option<String> {
        self.expiration.map(time::format_date)
    }
}

fn count_sightings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sightings, D::Error> {
    json::fold_objects(
        deserializer,
        |counted: &mut Sightings, sighting: Sighting| counted.add(&sighting),
    )
}

/// A proposal of another organisation to change an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Proposal {
    /// The uuid of the attribute.
    #[serde(deserialize_with = "json::text")]
    pub old_uuid: String,
    /// True if it was accepted or discarded.
    #[serde(deserialize_with = "json::flag")]
    pub deleted: Option<bool>,
}

/// An object: attributes that belong together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// The number on its server.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// Its template's name.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// Its uuid.
    #[serde(deserialize_with = "json::text")]
    pub uuid: String,
    /// True if it was soft-deleted.
    #[serde(deserialize_with = "json::flag")]
    pub deleted: Option<bool>,
    /// 0 own organisation to 3 all communities, 4 sharing group, 5 as the event.
    #[serde(deserialize_with = "json::number")]
    pub distribution: Option<i64>,
    /// Its attributes, where they were asked for. See [`EventPart::Object`].
    #[serde(skip)]
    pub attributes: Vec<Element<Attribute>>,
    /// How many more it has.
    #[serde(skip)]
    pub beyond: u64,
}

impl Object {
    /// Its attributes. Those of an object that was soft-deleted count as soft-deleted.
    pub fn into_attributes(self) -> impl Iterator<Item = Element<Attribute>> {
        let is_deleted = self.deleted == Some(true);
        self.attributes.into_iter().map(move |element| {
            element.map(|mut attribute| {
                if is_deleted {
                    attribute.deleted = Some(true);
                }
                attribute
            })
        })
    }
}

/// An event report: a text that analysts wrote (`fixtures/wire/misp/274-event-report-index.json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Its uuid.
    #[serde(deserialize_with = "json::text")]
    pub uuid: String,
    /// Its name.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    /// Its text, in Markdown with MISP's own references; of a long one the start.
    #[serde(deserialize_with = "json::leading_text")]
    pub content: String,
    /// Who may see it: 0 own organisation to 4 sharing group, 5 as the event.
    #[serde(deserialize_with = "json::number")]
    pub distribution: Option<i64>,
    /// True if it was soft-deleted.
    #[serde(deserialize_with = "json::flag")]
    pub deleted: Option<bool>,
    /// The number of its event on its server; empty in a feed.
    #[serde(deserialize_with = "json::text")]
    pub event_id: String,
}
