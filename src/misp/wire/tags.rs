//! The tags of an event or attribute: in every shape in which MISP takes them, and within bounds
//! that leave out none that decides something.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess};

use super::Tag;
use crate::json::{self, ByShape, Scalar, Shape};
use crate::markings::{Pap, Tlp};
use crate::tags::{excludes, matches};

/// Tags of an event that are kept in any case, and their bytes. An alert gets 100 of them.
pub(super) const MOST: usize = 500;
const MOST_TEXT: usize = 32 << 10;

/// Takes out what is beyond so many tags, or 32 KiB of them, and says how many. What decides is
/// kept: the strictest marking among them, and the first that fits each of the filters' patterns.
pub(super) fn truncate(tags: &mut Vec<Tag>, most: usize, decisive: &[String]) -> usize {
    let mut text = 0;
    let mut fits = |tag: &Tag| {
        text += tag.name.len();
        text <= MOST_TEXT
    };
    let room = tags.iter().take(most).take_while(|tag| fits(tag)).count();
    let beyond = tags.split_off(room.min(tags.len()));
    let mut kept: Vec<Tag> = Vec::new();
    let mut keep = |tag: Option<&Tag>| {
        if let Some(tag) = tag.filter(|tag| !kept.contains(tag)) {
            kept.push(tag.clone());
        }
    };

    keep(strictest(&beyond, Tlp::from_tag));
    keep(strictest(&beyond, Pap::from_tag));
    // What lets in and what keeps out are compared differently (`tags.rs`).
    for pattern in decisive {
        keep(beyond.iter().find(|tag| matches(pattern, &tag.name)));
        keep(beyond.iter().find(|tag| excludes(pattern, &tag.name)));
    }
    let cut = beyond.len().saturating_sub(kept.len());
    tags.extend(kept);
    tags.shrink_to_fit();

    cut
}

/// The tag that says the strictest marking.
fn strictest<L: Ord>(tags: &[Tag], read: fn(&str) -> Option<L>) -> Option<&Tag> {
    tags.iter()
        .filter_map(|tag| Some((read(&tag.name)?, tag)))
        .max_by(|(level, _), (other, _)| level.cmp(other))
        .map(|(_, tag)| tag)
}

/// Reads a list of tags, a single one, or a list of their names; each tag as it is or within `Tag`,
/// as `EventTag` has it (MISP's `Event.php` takes a single object for a list of one). A number is a
/// name as well: none of them gets lost. What is empty is no tag.
pub(super) fn read_any_shape<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Tag>, D::Error> {
    deserializer.deserialize_any(ByShape(Tags))
}

struct Tags;

/// An element of a list: a tag, or its name; none if it is empty.
struct ListedTag(Option<Tag>);

impl<'de> Deserialize<'de> for ListedTag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_any_shape(deserializer).map(|mut tags| Self(tags.pop()))
    }
}

/// A tag's name.
#[derive(Deserialize)]
struct Name(#[serde(deserialize_with = "json::name")] String);

/// A field of a tag.
#[derive(Deserialize)]
struct Text(#[serde(deserialize_with = "json::text")] String);

/// A field of a tag.
#[derive(Deserialize)]
struct Flag(#[serde(deserialize_with = "json::flag")] Option<bool>);

fn keep_if_named(tag: Tag) -> Option<Tag> {
    Some(tag).filter(|tag| !tag.name.is_empty())
}

impl<'de> Shape<'de> for Tags {
    type Value = Vec<Tag>;

    fn scalar<E>(self, scalar: Scalar<'_>) -> Result<Vec<Tag>, E> {
        let tag = Tag {
            name: scalar.to_text(),
            ..Tag::default()
        };
        Ok(keep_if_named(tag).into_iter().collect())
    }

    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Tag>, A::Error> {
        let mut tags = Vec::new();
        while let Some(ListedTag(tag)) = seq.next_element()? {
            tags.extend(tag);
        }
        Ok(tags)
    }

    /// A tag; or a list whose places are written out. What says of the tag within it that it is
    /// local counts more.
    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Tag>, A::Error> {
        let (mut own, mut tags) = (Tag::default(), Vec::new());

        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => Name(own.name) = map.next_value()?,
                "colour" => Text(own.colour) = map.next_value()?,
                "local" => Flag(own.local) = map.next_value()?,
                key if key == "Tag" || json::is_list_index(key) => {
                    let ListedTag(tag) = map.next_value()?;
                    tags.extend(tag);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }

        tags.iter_mut()
            .for_each(|tag: &mut Tag| tag.local = own.local.or(tag.local));
        tags.extend(keep_if_named(own));

        Ok(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::JsonStream;
    use serde_json::{Value, json};

    fn read_names(of: Value) -> Vec<String> {
        let tags: Vec<Tag> = read_any_shape(of).unwrap();
        tags.into_iter().map(|tag| tag.name).collect()
    }

    #[test]
    fn tags_are_read_in_every_shape_that_misp_takes() {
        let tag = json!({"id": "7", "name": "tlp:red", "colour": "#ff0000", "exportable": true});

        for of in [
            json!([tag]),
            tag.clone(),
            json!({"0": tag}),
            json!({"2": tag}),
            json!([{"Tag": tag}]),
            json!({"Tag": tag}),
            json!(["tlp:red"]),
            json!("tlp:red"),
            json!([{"id": "1", "Tag": tag, "local": false}, [], null, {}, {"name": ""}, {"Tag": []}]),
        ] {
            assert_eq!(read_names(of.clone()), ["tlp:red"], "{of}");
        }

        for of in [json!([]), json!({}), json!(null), json!("")] {
            assert!(read_names(of).is_empty());
        }
        assert_eq!(
            read_names(json!([7, {"name": 8}, true])),
            ["7", "8", "true"]
        );

        for of in [
            json!([{"name": ["tlp:red"]}]),
            json!({"Tag": {"name": {"tlp": "red"}}}),
        ] {
            assert!(
                read_any_shape(of)
                    .unwrap_err()
                    .to_string()
                    .contains("a name is a list or an object")
            );
        }
    }

    #[test]
    fn beyond_500_tags_or_32_kib_only_what_decides_is_kept() {
        let of = |names: &mut dyn Iterator<Item = String>, decisive: &[&str]| {
            let mut tags: Vec<Tag> = names
                .map(|name| Tag {
                    name,
                    ..Tag::default()
                })
                .collect();

            let decisive: Vec<String> = decisive
                .iter()
                .map(|pattern| (*pattern).to_owned())
                .collect();
            let number = truncate(&mut tags, MOST, &decisive);
            (tags, number)
        };

        let plain = |number: usize| (0..number).map(|n| format!("t{n}"));
        assert_eq!(of(&mut plain(MOST), &["*"]).1, 0);
        let (tags, number) = of(&mut plain(MOST + 1), &["x"]);
        assert_eq!((tags.len(), number), (MOST, 1));

        let late = [
            "tlp:green",
            "workflow:state=\"draft\"",
            "TLP:RED",
            "PAP:RED",
            "оther",
            "other",
        ];

        let (tags, number) = of(
            &mut plain(MOST).chain(late.map(str::to_owned)),
            &["workflow:*", "OTHER"],
        );
        let kept: Vec<_> = tags[MOST..].iter().map(|tag| tag.name.as_str()).collect();

        assert_eq!(
            (kept, number),
            (
                vec![
                    "TLP:RED",
                    "PAP:RED",
                    "workflow:state=\"draft\"",
                    "other",
                    "оther"
                ],
                1
            )
        );

        assert_eq!(
            of(&mut std::iter::repeat_n("x".repeat(1 << 10), 33), &[]).1,
            1
        );
        assert_eq!(
            of(&mut std::iter::repeat_n("x".repeat(1 << 10), 32), &[]).1,
            0
        );
    }

    #[test]
    fn a_tag_that_is_too_long_is_a_flaw_of_what_carries_it() {
        let read = |length: usize| {
            let list = format!(
                "[{{\"uuid\": \"u\", \"Tag\": [{{\"name\": \"{}\"}}]}}]",
                "x".repeat(length)
            );
            let mut elements = Vec::new();
            let mut source = JsonStream::new(list.as_bytes());
            source
                .for_each_at(&[], &mut |element: json::Element<super::super::Event>| {
                    elements.push(element);
                    Ok(())
                })
                .unwrap();

            elements.pop().unwrap()
        };

        assert!(matches!(read(1 << 20), json::Element::Good(_)));
        let json::Element::Bad(flaw) = read((1 << 20) + 1) else {
            panic!()
        };
        assert_eq!(
            flaw.describe("an event"),
            "an event (uuid u) cannot be read: a text has more than 1024 KiB"
        );
    }
}
