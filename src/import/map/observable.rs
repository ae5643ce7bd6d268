//! Attribute to observables, and two of the same into one.

use super::limits::{LONGEST_SHOWN, MOST_TAGS, Tags, is_within, name, text};
use super::{Levels, Marks};
use crate::cortex::report::Artifact;
use crate::full::AlertObservable;
use crate::import::files;
use crate::markings::{Pap, Tlp};
use crate::misp::wire::Attribute;
use crate::secret::Scrubber;
use crate::tags;
use crate::thehive::FILE;
use crate::types::{self, DataTypes, Found};

/// The longest value of an observable that TheHive 5 takes, in characters (`InputCreateObservable` in its OpenAPI).
const LONGEST_DATA: usize = 4_096;
/// The longest message, in bytes: TheHive's index takes texts of at most 32,766 (Lucene's `MAX_TERM_LENGTH`).
const LONGEST_MESSAGE: usize = 32_000;
const NOTE: &str = "… (shortened, read it in MISP)";
/// The longest object name in a tag, in characters: so much do `misp:object=":<8>"` leave.
const LONGEST_OBJECT: usize = 105;

/// An observable as an attribute wants it, within the limits of every TheHive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// TheHive's type.
    pub data_type: String,
    /// The value: whole and never changed to fit.
    pub data: String,
    /// The attribute's comment.
    pub message: String,
    /// The strictest of the attribute's TLP tags, else the event's.
    pub tlp: Tlp,
    /// The same of its PAP tags; TheHive 4 has none for observables.
    pub pap: Pap,
    /// True when MISP says `to_ids`.
    pub ioc: bool,
    /// Where it came from, the attribute's tags, the configured ones: at most 100, none twice.
    pub tags: Vec<String>,
}

impl Wanted {
    /// The observable as a report shows it.
    #[must_use]
    pub fn shown(&self, scrubber: &Scrubber) -> AlertObservable {
        AlertObservable {
            data_type: self.data_type.clone(),
            data: self.data.clone(),
            message: text(&self.message, LONGEST_SHOWN, "…", scrubber),
            tlp: self.tlp.number(),
            ioc: self.ioc,
            tags: self.tags.clone(),
        }
    }
}

/// The observables of an attribute: several for a composite. `within` is the name and uuid of the object it stands in.
///
/// A value that is too long for TheHive becomes an `other` observable that names its attribute and has the value in its
/// message: a shortened IOC would be a wrong one. Control characters inside a value stay, for the same reason.
///
/// # Errors
/// Why it becomes none: TheHive drops what is blank without a word (`ObservableCtrl.scala` of TheHive 4).
pub fn observables(
    attribute: &Attribute,
    within: Option<(&str, &str)>,
    event: Levels,
    data_types: &DataTypes,
    marks: &Marks,
    scrubber: &Scrubber,
) -> Result<Vec<Wanted>, String> {
    let found =
        Found { kind: &attribute.kind, category: &attribute.category, value: &attribute.value, uuid: &attribute.uuid };
    let mut observables = types::observables(&found, data_types).map_err(|reason| reason.to_string())?;
    observables.retain(|one| !is_blank(&one.data));
    if observables.is_empty() {
        return Err("its value is blank".to_owned());
    }
    let Levels { tlp, pap, .. } = Levels::of(attribute, event);
    let mut wanted: Vec<Wanted> = Vec::with_capacity(observables.len());
    for one in observables {
        let tags = tags(one.tags, attribute, within, marks, scrubber);
        let is_whole = is_within(&one.data, LONGEST_DATA);
        let (data_type, data, message) = if is_whole {
            let message = text(&attribute.comment, LONGEST_MESSAGE, NOTE, scrubber);
            (one.data_type.into_owned(), one.data, message)
        } else {
            ("other".to_owned(), stand_in(attribute, scrubber), value_in_words(attribute, scrubber))
        };
        let one = Wanted { data_type, data, message, tlp, pap, ioc: is_whole && attribute.to_ids == Some(true), tags };
        match wanted.iter_mut().find(|known| known.data_type == one.data_type && known.data == one.data) {
            Some(known) => merge(known, one),
            None => wanted.push(one),
        }
    }
    Ok(wanted)
}

/// The file of an attribute as an observable: named by the attribute, with its comment, TLP, tags and flag. See
/// [`crate::import::files`] for which attributes have one.
pub fn file(
    attribute: &Attribute,
    within: Option<(&str, &str)>,
    event: Levels,
    marks: &Marks,
    scrubber: &Scrubber,
) -> Wanted {
    let mut way_back = types::file_tags(&attribute.kind, &attribute.category);
    way_back.extend(files::mark(attribute));
    let Levels { tlp, pap, .. } = Levels::of(attribute, event);
    Wanted {
        data_type: FILE.to_owned(),
        data: files::file_name(attribute),
        message: text(&attribute.comment, LONGEST_MESSAGE, NOTE, scrubber),
        tlp,
        pap,
        ioc: attribute.to_ids == Some(true),
        tags: tags(way_back, attribute, within, marks, scrubber),
    }
}

fn is_blank(data: &str) -> bool {
    data.chars().all(|c| c.is_whitespace() || c.is_control())
}

/// What stands for a value that is too long.
fn stand_in(attribute: &Attribute, scrubber: &Scrubber) -> String {
    let uuid = attribute.uuid.trim();
    if uuid.is_empty() {
        return format!("misp-attribute:{}", sha1_smol::Sha1::from(&attribute.value).digest());
    }
    format!("misp-attribute:{}", name(uuid, 36, scrubber))
}

fn value_in_words(attribute: &Attribute, scrubber: &Scrubber) -> String {
    let comment = text(&attribute.comment, LONGEST_MESSAGE / 2, NOTE, scrubber);
    let gap = if comment.trim().is_empty() { "" } else { "\n\n" };
    let value = text(&attribute.value, LONGEST_MESSAGE - comment.len() - gap.len(), NOTE, scrubber);
    format!("{comment}{gap}{value}")
}

/// The tags of one observable; `way_back` are those that the table gives. The configured ones always find room.
fn tags(
    way_back: Vec<String>,
    attribute: &Attribute,
    within: Option<(&str, &str)>,
    marks: &Marks,
    scrubber: &Scrubber,
) -> Vec<String> {
    let mut tags = Tags::new(scrubber);
    let room = MOST_TAGS.saturating_sub(marks.observable_tags.len());
    tags.names.reserve(way_back.len() + attribute.tags.len() + marks.observable_tags.len() + 2);
    for tag in way_back {
        tags.add(tag, MOST_TAGS);
    }
    if let Some((object, uuid)) = within {
        let id = uuid.char_indices().nth(8).and_then(|(end, _)| uuid.get(..end)).unwrap_or(uuid);
        let id = format!("{}:{id}", name(object, LONGEST_OBJECT, scrubber));
        tags.add(tags::with(tags::OBJECT, &id), room);
    }
    let facts = [
        (tags::OBJECT_RELATION, &attribute.object_relation),
        (tags::FIRST_SEEN, &attribute.first_seen),
        (tags::LAST_SEEN, &attribute.last_seen),
    ];
    for (fact, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        tags.add(tags::with(fact, value), room);
    }
    for tag in &attribute.tags {
        tags.add(tag.name.as_str(), room);
    }
    for tag in &marks.observable_tags {
        tags.add(tag, MOST_TAGS);
    }
    tags.names
}

/// Adds a tag to an observable, within TheHive's limits and unless it is there.
pub fn add_tag(tags: &mut Vec<String>, tag: &str, scrubber: &Scrubber) {
    let mut all = Tags::new(scrubber);
    all.names = std::mem::take(tags);
    all.add(tag, MOST_TAGS);
    *tags = all.names;
}

/// Takes a second observable of the same type and data into the first: tags and flags of both, the stricter TLP, and
/// the first message that says something. Tags beyond the hundredth are left out.
pub fn merge(first: &mut Wanted, second: Wanted) {
    if first.tags.len() < MOST_TAGS && first.tags != second.tags {
        let told = |data: String, tags| types::Observable { data_type: first.data_type.clone().into(), data, tags };
        let mut merged = told(std::mem::take(&mut first.data), std::mem::take(&mut first.tags));
        merged.merge(told(String::new(), second.tags));
        (first.data, first.tags) = (merged.data, merged.tags);
        first.tags.truncate(MOST_TAGS);
    }
    first.ioc |= second.ioc;
    first.tlp = first.tlp.max(second.tlp);
    first.pap = first.pap.max(second.pap);
    if first.message.is_empty() {
        first.message = second.message;
    }
}

/// An IOC as an artifact of the report.
#[must_use]
pub fn artifact(observable: &AlertObservable) -> Artifact {
    Artifact {
        data_type: observable.data_type.clone(),
        data: observable.data.clone(),
        tlp: observable.tlp.min(3),
        tags: observable.tags.clone(),
        message: observable.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wanted(attribute: Value, within: Option<(&str, &str)>, marks: &Marks) -> Result<Vec<Wanted>, String> {
        let attribute = serde_json::from_value(attribute).unwrap();
        observables(
            &attribute,
            within,
            Levels::said(Tlp::Green, Pap::Amber),
            &DataTypes::thehive4(),
            marks,
            &Scrubber::default(),
        )
    }

    fn plain(attribute: Value) -> Vec<Wanted> {
        wanted(attribute, None, &Marks::default()).unwrap()
    }

    #[test]
    fn an_attribute_keeps_what_it_says_as_tags() {
        let attribute = json!({
            "type": "ip-dst|port", "category": "Network activity", "value": "203.0.113.7|443", "uuid": "1a2b3c4d-0000-4000-8000-000000000002",
            "to_ids": "1", "comment": "C2", "object_relation": "ip", "first_seen": "2024-01-01T00:00:00.000000+00:00",
            "Tag": [{"name": "tlp:red"}, {"name": " tlp:red "}, {"name": " "}]
        });
        let within = ("network-connection", "99887766-0000-4000-8000-000000000003");
        let marks = Marks { observable_tags: vec!["from-misp".into(), "tlp:red".into()], ..Marks::default() };
        let wanted = wanted(attribute, Some(within), &marks).unwrap();
        let shown: Vec<_> = wanted.iter().map(|one| one.shown(&Scrubber::default())).collect();
        insta::assert_json_snapshot!(shown, @r#"
        [
          {
            "dataType": "ip",
            "data": "203.0.113.7",
            "message": "C2",
            "tlp": 4,
            "ioc": true,
            "tags": [
              "misp:composite=\"ip-dst|port:1a2b3c4d:443\"",
              "misp:object=\"network-connection:99887766\"",
              "misp:object-relation=\"ip\"",
              "misp:first-seen=\"2024-01-01T00:00:00.000000+00:00\"",
              "tlp:red",
              "from-misp"
            ]
          }
        ]
        "#);
    }

    #[test]
    fn without_a_tlp_of_its_own_an_attribute_has_the_events() {
        let one = plain(json!({"type": "domain", "category": "Network activity", "value": "a.example"}));
        assert_eq!((one[0].tlp, one[0].ioc), (Tlp::Green, false));
    }

    #[test]
    fn a_value_too_long_for_thehive_is_told_and_is_no_ioc() {
        let uuid = "1a2b3c4d-0000-4000-8000-000000000002";
        let url = |length: usize| format!("https://a.example/{}", "p".repeat(length - 18));
        let of = |value: &str, comment: &str| {
            plain(json!({"type": "url", "category": "Network activity", "value": value, "uuid": uuid, "to_ids": true,
                "comment": comment, "Tag": [{"name": "kept"}]}))
            .remove(0)
        };
        let fits = of(&url(4_096), "said");
        assert_eq!((fits.data_type.as_str(), fits.ioc, fits.message.as_str()), ("url", true, "said"));
        let long = of(&url(4_097), "said");
        assert_eq!((long.data_type.as_str(), long.ioc), ("other", false));
        assert_eq!(long.data, format!("misp-attribute:{uuid}"));
        assert_eq!((long.message, long.tags), (format!("said\n\n{}", url(4_097)), vec!["kept".to_owned()]));
        let longer = of(&url(60_000), &"c".repeat(40_000));
        assert!(longer.message.len() <= 32_000 && longer.message.ends_with("read it in MISP)"));
        assert!(longer.message.contains("read it in MISP)\n\nhttps://a.example/pp"));
    }

    #[test]
    fn long_values_without_a_uuid_stay_apart() {
        let of = |letter: &str| plain(json!({"type": "text", "value": letter.repeat(5_000)})).remove(0).data;
        assert_ne!(of("a"), of("b"));
        assert_eq!(of("a"), of("a"));
    }

    #[test]
    fn two_long_halves_are_one_observable() {
        let value = format!("HKLM\\{}|{}", "k".repeat(5_000), "v".repeat(5_000));
        let wanted =
            plain(json!({"type": "regkey|value", "category": "Persistence mechanism", "value": value, "uuid": "u"}));
        assert_eq!((wanted.len(), wanted[0].message.as_str()), (1, value.as_str()));
    }

    #[test]
    fn a_long_comment_is_cut_and_says_so() {
        let of = |length: usize| {
            plain(json!({"type": "domain", "value": "a.example", "comment": "c".repeat(length)})).remove(0)
        };
        assert_eq!(of(32_000).message.len(), 32_000);
        assert_eq!(of(32_001).message.len(), 32_000);
        assert!(of(32_001).message.ends_with(NOTE));
    }

    #[test]
    fn blank_values_are_refused_and_odd_ones_kept() {
        let of = |value: &str| wanted(json!({"type": "text", "value": value}), None, &Marks::default());
        for blank in ["", " \n", "\u{a0}\u{2003}", "\u{85}\0"] {
            assert!(of(blank).is_err(), "{blank:?}");
        }
        assert_eq!(of("a\0b").unwrap()[0].data, "a\0b");
    }

    #[test]
    fn a_long_object_name_leaves_the_objects_id() {
        let tag = |name: &str, uuid: &str| {
            let attribute = json!({"type": "domain", "category": "Network activity", "value": "a.example"});
            wanted(attribute, Some((name, uuid)), &Marks::default()).unwrap().remove(0).tags.remove(0)
        };
        let long = tag(&"n".repeat(300), "99887766-0000");
        assert!(long.len() == 128 && long.ends_with(":99887766\""), "{long}");
        assert_eq!(tag("o", "ééééééééé"), "misp:object=\"o:éééééééé\"");
    }

    #[test]
    fn configured_tags_find_room_before_the_attributes() {
        let tags: Vec<Value> = (0..150).map(|number| json!({"name": format!("t{number}")})).collect();
        let marks = Marks { observable_tags: vec!["mine".into()], ..Marks::default() };
        let attribute = json!({"type": "domain", "category": "Network activity", "value": "a.example", "Tag": tags});
        let wanted = wanted(attribute, None, &marks).unwrap().remove(0);
        assert_eq!((wanted.tags.len(), wanted.tags[99].as_str()), (100, "mine"));
    }

    #[test]
    fn two_of_the_same_value_become_one() {
        let one = |tlp, ioc, message: &str, tag: &str| Wanted {
            data_type: "ip".into(),
            data: "192.0.2.1".into(),
            message: message.into(),
            tlp,
            pap: Pap::Amber,
            ioc,
            tags: vec!["a".into(), tag.into()],
        };
        let mut first = one(Tlp::Green, false, "", "b");
        merge(&mut first, one(Tlp::Red, true, "said", "c"));
        let tags = vec!["a".into(), "b".into(), "c".into()];
        assert_eq!(first, Wanted { tags, ..one(Tlp::Red, true, "said", "c") });
        merge(&mut first, one(Tlp::Clear, false, "more", "misp:type=\"ip-src\""));
        assert_eq!((first.tlp, first.ioc, first.message.as_str()), (Tlp::Red, true, "said"));
        assert_eq!(first.tags[3..], ["misp:type=\"ip-dst\"", "misp:type=\"ip-src\""]);
    }
}
