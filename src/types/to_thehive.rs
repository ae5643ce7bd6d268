//! Import: one MISP attribute as TheHive's observables, with the tags that lead back to it. TLP,
//! flags, comments and the attribute's own tags are not looked at here.

use std::borrow::Cow;

use uuid::Uuid;

use super::capabilities::ObservableTypeSet;
use super::composites::{self, MispTags, push_once};
use super::detect;
use super::mapped::ObservableInput;
use super::misp_types::{self, MispType};
use super::validate::{self, ValidationError};
use crate::tags::{self, Link};

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
            push_once(&mut self.tags, tags::build(tags::TYPE, usual));
        }
        for tag in other.tags {
            push_once(&mut self.tags, tag);
        }
    }
}

/// The tags of a file that lead back to the attribute whose file it is: its type always, since a
/// file in TheHive may be either, and its category unless the type has it by itself.
pub fn file_tags(kind: &str, category: &str) -> Vec<String> {
    let mut tags = vec![tags::build(tags::TYPE, kind)];
    tags.extend(category_tag(misp_types::find_row(kind), category));
    tags
}

/// The tag that an observable needs once it is `other`, since TheHive refused its type, so that it
/// goes back as what it is; none if its tags say that already.
pub fn type_tag_of(data_type: &str, data: &str, tags: &[String]) -> Option<String> {
    let words = MispTags::from_tags(tags);
    let observable = ObservableInput {
        data_type,
        data,
        tags,
    };
    let kind = composites::half_kind(&observable, &words)
        .unwrap_or_else(|| detect::guess(data_type, data).kind);

    (words.types.is_empty() && kind != "other").then(|| tags::build(tags::TYPE, kind))
}

fn is_plain(tags: &[String]) -> bool {
    let words = MispTags::from_tags(tags);
    words.types.is_empty() && words.composites.is_empty()
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

    // A type that is not known here keeps its name in the tag.
    let Some(row) = misp_types::find_row(attribute.kind) else {
        let value = check_filled(attribute.value.trim().to_owned())?;
        let tags = vec![tags::build(tags::TYPE, attribute.kind)];
        return Ok(vec![build(attribute, None, "other".into(), value, tags)]);
    };
    let value = check_filled(row.form.normalise(attribute.value))?;

    if !validate::is_valid(row, &value) && !is_storable(row, &value) {
        return Ok(vec![map_whole(attribute, row, value, "other".into())]);
    }
    Ok(match row.halves() {
        None => {
            let data_type = data_types.observable_type(row.kind);
            vec![map_whole(attribute, row, value, data_type)]
        }
        Some(halves) => map_halves(attribute, row, &value, halves, data_types),
    })
}

fn check_filled(value: String) -> Result<String, ValidationError> {
    match value.is_empty() {
        true => Err(ValidationError::new("Value cannot be empty.")),
        false => Ok(value),
    }
}

/// `filename|impfuzzy`, which no known MISP checks without an error, may still stand in a feed.
fn is_storable(row: &MispType, value: &str) -> bool {
    row.kind == "filename|impfuzzy"
        && value
            .split_once('|')
            .is_some_and(|(name, hash)| !name.is_empty() && !hash.contains('|'))
}

fn map_whole(
    attribute: &AttributeInput<'_>,
    row: &MispType,
    value: String,
    data_type: Cow<'static, str>,
) -> Observable {
    // Of `other` people see no type, even where its value tells the way back.
    let says_little = data_type == "other" && row.kind != "other";
    let needs_tag = says_little || detect::guess(&data_type, &value).kind != row.kind;
    let tags = needs_tag.then(|| tags::build(tags::TYPE, row.kind));

    build(
        attribute,
        Some(row),
        data_type,
        value,
        tags.into_iter().collect(),
    )
}

/// The halves of a composite that are there, each with the tag that links them. A port is no
/// observable: it stands in the tag.
fn map_halves(
    attribute: &AttributeInput<'_>,
    row: &MispType,
    value: &str,
    (left, right): (&'static str, Option<&'static str>),
    data_types: &ObservableTypeSet,
) -> Vec<Observable> {
    let (first, second) = value.split_once('|').unwrap_or((value, ""));
    let link = Link {
        name: attribute.kind,
        whole: Some(attribute.identity()),
        port: right.is_none().then_some(second),
    };
    let map_half = |(data, kind): (&str, Option<&'static str>)| {
        // A half that is empty is no observable.
        let kind = kind.filter(|_| !data.is_empty())?;
        let data_type = data_types.observable_type(kind);
        let mut tags = vec![tags::build(tags::COMPOSITE, &link.to_string())];
        if data_type == "other" && kind != "other" {
            tags.push(tags::build(tags::TYPE, kind));
        }
        Some(build(
            attribute,
            Some(row),
            data_type,
            data.to_owned(),
            tags,
        ))
    };

    [(first, Some(left)), (second, right)]
        .into_iter()
        .filter_map(map_half)
        .collect()
}

/// The observable, with a tag for its category unless that is the one that the type has by itself,
/// which is also what MISP takes where none is said
/// (`fixtures/wire/misp/086-add-attr-no-category.json`).
fn build(
    attribute: &AttributeInput<'_>,
    row: Option<&MispType>,
    data_type: Cow<'static, str>,
    data: String,
    mut tags: Vec<String>,
) -> Observable {
    tags.extend(category_tag(row, attribute.category));
    Observable {
        data_type,
        data,
        tags,
    }
}

fn category_tag(row: Option<&MispType>, category: &str) -> Option<String> {
    let usual = row.map(MispType::default_category);
    let is_said = !category.trim().is_empty() && usual != Some(category);
    is_said.then(|| tags::build(tags::CATEGORY, category))
}
