//! Import: one MISP attribute as TheHive's observables, with the tags that lead back to it. TLP,
//! flags, comments and the attribute's own tags are not looked at here.

use std::borrow::Cow;

use uuid::Uuid;

use super::capabilities::{MispCapabilities, ObservableTypeSet};
use super::composites;
use super::detect;
use super::mapped::ObservableInput;
use super::misp_types::{self, MispType, ObservableTarget};
use super::normalise::normalise_fully;
use super::tags::{MispTags, category_tag, composite_tag, type_tag};
use super::validate::{self, ValidationError};

/// A MISP attribute as it was read.
#[derive(Clone, Copy, Debug)]
pub struct AttributeInput<'a> {
    /// MISP type.
    pub kind: &'a str,
    /// MISP category.
    pub category: &'a str,
    /// The value; of a composite, both halves.
    pub value: &'a str,
    /// The attribute's uuid, which links the halves of a composite within the event.
    pub uuid: &'a str,
    /// The event's uuid.
    pub event: Uuid,
}

impl AttributeInput<'_> {
    /// What tells the attribute from all others: the event, and the attribute in it. One without a
    /// uuid is told by its type and value.
    fn identity(&self) -> (Uuid, Uuid) {
        let uuid = Uuid::parse_str(self.uuid.trim())
            .ok()
            .filter(|uuid| !uuid.is_nil());
        let of_value = || {
            Uuid::new_v5(
                &self.event,
                format!("{}\0{}", self.kind, self.value).as_bytes(),
            )
        };

        (self.event, uuid.unwrap_or_else(of_value))
    }
}

/// An observable to be: TheHive's type, the data, and the tags that lead back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observable {
    /// One of the observable types TheHive has.
    pub data_type: Cow<'static, str>,
    /// The value, refanged and written as MISP stores it.
    pub data: String,
    /// `misp:type`, `misp:category` and `misp:composite`, as far as the table's way back would give
    /// something else without them.
    pub tags: Vec<String>,
}

impl Observable {
    /// Takes the tags of a second observable of the same type and data, so that both attributes
    /// find their way back. An observable without `misp:type` and `misp:composite` means what the
    /// table says; beside one with such tags it must say so itself.
    pub fn merge(&mut self, other: Self) {
        let (mine, theirs) = (is_plain(&self.tags), is_plain(&other.tags));
        if mine != theirs {
            let usual = detect::guess(&self.data_type, &self.data).kind;
            push_once(&mut self.tags, type_tag(usual));
        }
        for tag in other.tags {
            push_once(&mut self.tags, tag);
        }
    }
}

/// The tags of a file that lead back to the attribute whose file it is: its type always, since a
/// file in TheHive may be either, and its category unless the type has it by itself.
pub fn file_tags(kind: &str, category: &str) -> Vec<String> {
    let mut tags = vec![type_tag(kind)];

    tag_category(
        &mut tags,
        &AttributeInput {
            kind,
            category,
            value: "",
            uuid: "",
            event: Uuid::nil(),
        },
    );

    tags
}

/// The tag that an observable needs once it is `other`, since TheHive refused its type, so that it
/// goes back as what it is; none if its tags say that already.
#[must_use]
pub fn type_tag_of(data_type: &str, data: &str, tags: &[String]) -> Option<String> {
    let words = MispTags::from_tags(tags);

    let half = composites::half_kind(
        &ObservableInput {
            data_type,
            data,
            tags,
        },
        &words,
    );

    let kind = half.unwrap_or_else(|| detect::guess(data_type, data).kind);

    (words.types.is_empty() && kind != "other").then(|| type_tag(kind))
}

fn is_plain(tags: &[String]) -> bool {
    let words = MispTags::from_tags(tags);
    words.types.is_empty() && words.composites.is_empty()
}

fn push_once(tags: &mut Vec<String>, tag: String) {
    if !tags.contains(&tag) {
        tags.push(tag);
    }
}

/// What an attribute becomes: one observable, or two for a composite without a port.
///
/// A value that MISP itself would not have stored as its type (a feed holds anything) becomes
/// `other`, with its type in a tag. One without a type is none, as for MISP (its
/// `Model/MispAttribute.php`: a type is required).
pub fn to_observables(
    attribute: &AttributeInput<'_>,
    data_types: &ObservableTypeSet,
) -> Result<Vec<Observable>, ValidationError> {
    if attribute.kind.trim().is_empty() {
        return Err(ValidationError::new("The attribute has no type."));
    }

    let Some(row) = misp_types::find_row(attribute.kind) else {
        return map_unknown_type(attribute);
    };
    let value = normalise_fully(row.form, attribute.value);
    if value.is_empty() {
        return Err(ValidationError::new("Value cannot be empty."));
    }

    if !validate::is_valid(row, &value, &MispCapabilities::newest()) && !is_storable(row, &value) {
        return Ok(vec![map_whole(attribute, value, Cow::Borrowed("other"))]);
    }
    Ok(match row.import {
        ObservableTarget::Is(_) | ObservableTarget::Other => vec![map_whole(
            attribute,
            value,
            data_types.observable_type(row.kind),
        )],
        ObservableTarget::Halves(left, right) => {
            map_halves(attribute, row, &value, [left, right], data_types)
        }
        ObservableTarget::Ported(left) => {
            vec![map_ported(attribute, row, &value, left, data_types)]
        }
    })
}

/// `filename|impfuzzy`, which no known MISP checks without an error, may still stand in a feed.
fn is_storable(row: &MispType, value: &str) -> bool {
    row.form == misp_types::ValueFormat::FileImpfuzzy
        && value
            .split_once('|')
            .is_some_and(|(name, hash)| !name.is_empty() && !hash.contains('|'))
}

fn map_unknown_type(attribute: &AttributeInput<'_>) -> Result<Vec<Observable>, ValidationError> {
    let value = attribute.value.trim();
    if value.is_empty() {
        return Err(ValidationError::new("Value cannot be empty."));
    }

    let mut tags = vec![type_tag(attribute.kind)];
    tag_category(&mut tags, attribute);

    Ok(vec![Observable {
        data_type: Cow::Borrowed("other"),
        data: value.to_owned(),
        tags,
    }])
}

fn map_whole(
    attribute: &AttributeInput<'_>,
    value: Cow<'_, str>,
    data_type: Cow<'static, str>,
) -> Observable {
    let back = detect::guess(&data_type, &value).kind;
    let says_little = data_type == "other" && attribute.kind != "other";

    let mut tags = Vec::new();
    if says_little || back != attribute.kind {
        tags.push(type_tag(attribute.kind));
    }
    tag_category(&mut tags, attribute);

    Observable {
        data_type,
        data: value.into_owned(),
        tags,
    }
}

/// Names the category unless it is the one that the type has by itself, which is also what MISP
/// takes where none is said (`fixtures/wire/misp/086-add-attr-no-category.json`).
fn tag_category(tags: &mut Vec<String>, attribute: &AttributeInput<'_>) {
    if attribute.category.trim().is_empty() {
        return;
    }
    if misp_types::find_row(attribute.kind)
        .is_none_or(|row| row.default_category() != attribute.category)
    {
        tags.push(category_tag(attribute.category));
    }
}

fn map_halves(
    attribute: &AttributeInput<'_>,
    row: &MispType,
    value: &str,
    kinds: [&'static str; 2],
    data_types: &ObservableTypeSet,
) -> Vec<Observable> {
    let (first, second) = value.split_once('|').unwrap_or((value, ""));
    [first, second]
        .into_iter()
        .zip(kinds)
        .filter(|(data, _)| !data.is_empty())
        .map(|(data, kind)| {
            let link = composite_tag(row.kind, attribute.identity(), None);
            map_half(attribute, data, kind, link, data_types)
        })
        .collect()
}

fn map_half(
    attribute: &AttributeInput<'_>,
    data: &str,
    kind: &'static str,
    link: String,
    data_types: &ObservableTypeSet,
) -> Observable {
    let data_type = data_types.observable_type(kind);
    let mut tags = vec![link];
    if data_type == "other" && kind != "other" {
        tags.push(type_tag(kind));
    }
    tag_category(&mut tags, attribute);

    Observable {
        data_type,
        data: data.to_owned(),
        tags,
    }
}

fn map_ported(
    attribute: &AttributeInput<'_>,
    row: &MispType,
    value: &str,
    kind: &'static str,
    data_types: &ObservableTypeSet,
) -> Observable {
    let (data, port) = value.split_once('|').unwrap_or((value, ""));
    let link = composite_tag(row.kind, attribute.identity(), Some(port));
    map_half(attribute, data, kind, link, data_types)
}
