//! Attribute to observables, and two of the same into one.

use uuid::Uuid;

use super::limits::{LONGEST_SHOWN, MOST_TAGS, Tags, is_within, shorten_name, shorten_text};
use super::{Markings, is_laxer};
use crate::cortex::markdown::{neutralise_line, neutralise_lines, unquote};
use crate::import::attachments;
use crate::import::chunk_mapping::ChunkContext;
use crate::import::command::{OF_COMMANDS, STAND_IN};
use crate::markings::{Pap, Tlp};
use crate::misp::wire::Attribute;
use crate::report::AlertObservable;
use crate::report::Artifact;
use crate::secret::Scrubber;
use crate::tags::{self, Link};
use crate::text::{has_hidden, is_hidden, reveal_hidden};
use crate::thehive::FILE;
use crate::types::{self, AttributeInput};

/// The longest value of an observable that TheHive 5 takes, in characters (`InputCreateObservable`
/// in its OpenAPI).
const LONGEST_DATA: usize = 4_096;
/// The longest message, in bytes: TheHive's index takes texts of at most 32,766 (Lucene's
/// `MAX_TERM_LENGTH`).
const LONGEST_MESSAGE: usize = 32_000;
/// Room for what is put around a message that is quoted, in bytes.
const QUOTATION: usize = 64;
const NOTE: &str = "… (shortened, read it in MISP)";
/// What is said of a value that would be a command.
const COMMAND: &str =
    "\n\n(This value is a command of cortex-misp, so it is not that of the observable.)";
/// The longest object name in a tag, in characters: so much do `misp:object=":<event>:<object>"`
/// leave.
const LONGEST_OBJECT: usize = 40;

/// An observable as an attribute wants it, within the limits of every TheHive.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservableDraft {
    /// TheHive's type.
    pub data_type: String,
    /// The value: whole and never changed to fit.
    pub data: String,
    /// The attribute's comment, of which Markdown makes nothing.
    pub message: String,
    /// The strictest of the attribute's TLP tags, else the event's.
    pub tlp: Tlp,
    /// The same of its PAP tags; TheHive 4 has none for observables.
    pub pap: Pap,
    /// True when MISP says `to_ids`.
    pub ioc: bool,
    /// Where it came from, the attribute's tags, the configured ones: at most 100, none twice.
    pub tags: Vec<String>,
    /// True if each of its attributes says that MISP looks for none alike; only TheHive 5 is told.
    pub ignore_similarity: bool,
    /// When the oldest of its attributes was last changed, in seconds since 1970; none if that
    /// cannot be read.
    pub changed: Option<i64>,
}

impl ObservableDraft {
    /// The observable as a report shows it.
    pub fn to_report_observable(&self, scrubber: &Scrubber) -> AlertObservable {
        AlertObservable {
            data_type: self.data_type.clone(),
            data: self.data.clone(),
            shown: has_hidden(&self.data).then(|| reveal_hidden(&self.data).into_owned()),
            message: shorten_message(&self.message, scrubber),
            tlp: self.tlp.number(),
            ioc: self.ioc,
            tags: self.tags.clone(),
        }
    }
}

/// The observables of an attribute: several for a composite. `within` is the name and uuid of the
/// object it stands in.
///
/// A value that is too long for TheHive, or that would be a command of this program, becomes an
/// `other` observable that names its attribute and has the value in its message: a shortened IOC
/// would be a wrong one, and what MISP holds is never an order. Control characters inside a value
/// stay, since without them it would be another.
///
/// # Errors
/// Why it becomes none: TheHive drops what is blank without a word (`ObservableCtrl.scala` of
/// TheHive 4).
pub fn draft_observables(
    attribute: &Attribute,
    within: Option<(&str, &str)>,
    setup: &ChunkContext<'_>,
) -> Result<Vec<ObservableDraft>, String> {
    let input = AttributeInput {
        kind: &attribute.kind,
        category: &attribute.category,
        value: &attribute.value,
        uuid: &attribute.uuid,
        event: setup.uuid,
    };

    let mut observables =
        types::to_observables(&input, setup.data_types).map_err(|reason| reason.to_string())?;
    observables.retain(|observable| !is_blank(&observable.data));
    if observables.is_empty() {
        return Err("its value is blank".to_owned());
    }
    let markings = Markings::from_attribute(attribute, setup.event);
    let mut drafts: Vec<ObservableDraft> = Vec::with_capacity(observables.len());

    // The halves of a composite may become the same observable, as `other` for instance.
    for observable in observables {
        let draft = draft_observable(observable, attribute, markings, within, setup);
        match drafts
            .iter_mut()
            .find(|known| known.data_type == draft.data_type && known.data == draft.data)
        {
            Some(known) => merge(known, draft),
            None => drafts.push(draft),
        }
    }

    Ok(drafts)
}

fn draft_observable(
    observable: types::Observable,
    attribute: &Attribute,
    markings: Markings,
    within: Option<(&str, &str)>,
    setup: &ChunkContext<'_>,
) -> ObservableDraft {
    let scrubber = setup.scrubber;
    let is_command =
        observable.data_type == OF_COMMANDS && setup.commands.is_command_like(&observable.data);
    let is_whole = is_within(&observable.data, LONGEST_DATA) && !is_command;
    let tags = tags(observable.tags, attribute, markings, within, setup);

    let (data_type, data, message) = if is_whole {
        let message = quote_shortened(&attribute.comment, LONGEST_MESSAGE, NOTE, scrubber);
        (observable.data_type.into_owned(), observable.data, message)
    } else {
        (
            OF_COMMANDS.to_owned(),
            build_stand_in(attribute, scrubber),
            message_with_value(attribute, is_command, scrubber),
        )
    };

    ObservableDraft {
        data_type,
        data,
        message,
        tlp: markings.tlp,
        pap: markings.pap,
        ioc: is_whole && attribute.to_ids == Some(true),
        tags,
        ignore_similarity: attribute.disable_correlation == Some(true),
        changed: changed(attribute),
    }
}

/// The file of an attribute as an observable: named by the attribute, with its comment, TLP, tags
/// and flag. `attachments.rs` says which attributes have one.
pub fn draft_file(
    attribute: &Attribute,
    within: Option<(&str, &str)>,
    setup: &ChunkContext<'_>,
) -> ObservableDraft {
    let mut way_back = types::file_tags(&attribute.kind, &attribute.category);
    way_back.extend(attachments::attachment_tag(attribute));
    let markings = Markings::from_attribute(attribute, setup.event);

    ObservableDraft {
        data_type: FILE.to_owned(),
        data: attachments::file_name(attribute),
        message: quote_shortened(&attribute.comment, LONGEST_MESSAGE, NOTE, setup.scrubber),
        tlp: markings.tlp,
        pap: markings.pap,
        ioc: attribute.to_ids == Some(true),
        tags: tags(way_back, attribute, markings, within, setup),
        ignore_similarity: attribute.disable_correlation == Some(true),
        changed: changed(attribute),
    }
}

fn changed(attribute: &Attribute) -> Option<i64> {
    attribute.timestamp.filter(|moment| *moment > 0)
}

/// A text of at most so many bytes, ending in the note if it had to be cut, of which Markdown makes
/// nothing: TheHive shows an observable's message as Markdown. It is cut before it is quoted, since
/// a cut would free what is quoted.
fn quote_shortened(words: &str, most: usize, note: &str, scrubber: &Scrubber) -> String {
    let short = shorten_text(words, most, note, scrubber);
    let quoted = neutralise_lines(&short);
    if quoted.len() <= most {
        return quoted;
    }
    let short = shorten_text(words, most.saturating_sub(QUOTATION), note, scrubber);
    let quoted = neutralise_lines(&short);

    // So many backticks that what stands around them is longer than there is room for.
    if quoted.len() <= most {
        quoted
    } else {
        neutralise_line(&short.replace('`', "'"))
    }
}

/// A message as a report shows it.
fn shorten_message(message: &str, scrubber: &Scrubber) -> String {
    if is_within(message, LONGEST_SHOWN) {
        return message.to_owned();
    }
    quote_shortened(unquote(message), LONGEST_SHOWN, "…", scrubber)
}

fn is_blank(data: &str) -> bool {
    data.chars().all(|c| c.is_whitespace() || is_hidden(c))
}

/// What stands for a value that cannot be an observable's.
fn build_stand_in(attribute: &Attribute, scrubber: &Scrubber) -> String {
    let uuid = attribute.uuid.trim();
    if uuid.is_empty() {
        return format!(
            "{STAND_IN}{}",
            sha1_smol::Sha1::from(&attribute.value).digest()
        );
    }

    format!("{STAND_IN}{}", shorten_name(uuid, 36, scrubber))
}

/// True for an observable that stands for a value which is in its message.
pub fn is_stand_in(observable: &ObservableDraft) -> bool {
    observable.data_type == OF_COMMANDS && observable.data.starts_with(STAND_IN)
}

fn message_with_value(attribute: &Attribute, is_command: bool, scrubber: &Scrubber) -> String {
    let comment = quote_shortened(&attribute.comment, LONGEST_MESSAGE / 2, NOTE, scrubber);
    let gap = if comment.is_empty() { "" } else { "\n\n" };
    let why = if is_command { COMMAND } else { "" };
    let value = quote_shortened(
        &attribute.value,
        LONGEST_MESSAGE - comment.len() - gap.len() - why.len(),
        NOTE,
        scrubber,
    );

    format!("{comment}{gap}{value}{why}")
}

/// The tags of one observable; `way_back` are those that the table gives. The configured ones
/// always find room; of the attribute's those that are words of this program are left out.
fn tags(
    way_back: Vec<String>,
    attribute: &Attribute,
    markings: Markings,
    within: Option<(&str, &str)>,
    setup: &ChunkContext<'_>,
) -> Vec<String> {
    let configured = &setup.marks.observable_tags;
    let room = MOST_TAGS.saturating_sub(configured.len());
    let mut tags = Tags::new(setup.scrubber);
    tags.names
        .reserve(way_back.len() + attribute.tags.len() + configured.len() + 4);
    for tag in way_back {
        tags.add(tag, MOST_TAGS);
    }
    if let Some((object, uuid)) = within {
        tags.add(object_tag(object, uuid, setup), room);
    }

    let facts = [
        (tags::OBJECT_RELATION, &attribute.object_relation),
        (tags::FIRST_SEEN, &attribute.first_seen),
        (tags::LAST_SEEN, &attribute.last_seen),
    ];

    for (fact, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        tags.add(tags::build(fact, value), room);
    }
    let sightings = &attribute.sightings;
    if sightings.false_positives > 0 {
        let number = sightings.false_positives.to_string();
        tags.add(tags::build(tags::FALSE_POSITIVES, &number), room);
    }
    if let Some(day) = sightings.expiration_day() {
        tags.add(tags::build(tags::EXPIRATION, &day), room);
    }
    let is_passed_on = |(tag, is_local): &(&str, bool)| {
        !tags::is_reserved(tag) && !is_laxer(tag, *is_local, markings)
    };
    for (tag, _) in attribute.tags_with_local_flag().filter(is_passed_on) {
        tags.add(tag, room);
    }
    for tag in configured {
        tags.add(tag, MOST_TAGS);
    }

    tags.names
}

/// The tag of the object that an attribute stands in. An object whose uuid cannot be read is named
/// alone, which joins nothing.
fn object_tag(object: &str, uuid: &str, setup: &ChunkContext<'_>) -> String {
    // These signs part the tag's own parts.
    let plain = object.replace([':', '"'], "_");
    let whole = Uuid::parse_str(uuid.trim())
        .ok()
        .filter(|uuid| !uuid.is_nil())
        .map(|uuid| (setup.uuid, uuid));
    let link = Link {
        name: &shorten_name(plain, LONGEST_OBJECT, setup.scrubber),
        whole,
        port: None,
    };

    tags::build(tags::OBJECT, &link.to_string())
}

/// Adds a tag to an observable, within TheHive's limits and unless it is there.
pub fn add_tag(tags: &mut Vec<String>, tag: &str, scrubber: &Scrubber) {
    let mut all = Tags::new(scrubber);
    all.names = std::mem::take(tags);
    all.add(tag, MOST_TAGS);
    *tags = all.names;
}

/// Adds a tag that has to find room, whatever other has to go for it.
pub fn put_tag_first(tags: &mut Vec<String>, tag: String) {
    tags.insert(0, tag);
    tags.truncate(MOST_TAGS);
}

/// Takes a second observable of the same type and data into the first: tags and flags of both, the
/// stricter TLP, and the first message that says something. Tags beyond the hundredth are left out.
/// Of how often they were sighted as false positives, and when they expire, the most counts.
pub fn merge(first: &mut ObservableDraft, second: ObservableDraft) {
    if first.tags.len() < MOST_TAGS && first.tags != second.tags {
        let with_tags = |data: String, tags| types::Observable {
            data_type: first.data_type.clone().into(),
            data,
            tags,
        };

        let mut merged = with_tags(
            std::mem::take(&mut first.data),
            std::mem::take(&mut first.tags),
        );
        merged.merge(with_tags(String::new(), second.tags));
        (first.data, first.tags) = (merged.data, merged.tags);
        tags::keep_greatest(&mut first.tags);
        first.tags.truncate(MOST_TAGS);
    }

    first.ioc |= second.ioc;
    first.tlp = first.tlp.max(second.tlp);
    first.pap = first.pap.max(second.pap);
    first.ignore_similarity &= second.ignore_similarity;
    first.changed = first.changed.into_iter().chain(second.changed).min();

    if first.message.is_empty() {
        first.message = second.message;
    }
}

/// An observable as an artifact of the report. A tag by which TheHive 5 would import it without a
/// click (`autoImport:true`, release notes of its 5.1) is left out: nobody in MISP decides that.
pub fn artifact(observable: AlertObservable) -> Artifact {
    let is_order = |tag: &str| tags::fold_name(tag).starts_with("autoimport");
    let mut tags = observable.tags;
    tags.retain(|tag| !is_order(tag));

    Artifact {
        data_type: observable.data_type,
        data: observable.data,
        tlp: observable.tlp.min(3),
        tags,
        message: observable.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::command::Commands;
    use crate::import::mapping::AlertOptions;
    use crate::types::ObservableTypeSet;
    use pulldown_cmark::{Event, Parser, Tag};
    use serde_json::{Value, json};

    const EVENT: Uuid = Uuid::from_u128(1);

    fn wanted(
        attribute: Value,
        within: Option<(&str, &str)>,
        marks: &AlertOptions,
    ) -> Result<Vec<ObservableDraft>, String> {
        let setup = ChunkContext {
            uuid: EVENT,
            commands: Commands { connections: &[] },
            event: Markings::explicit(Tlp::Green, Pap::Amber),
            data_types: &ObservableTypeSet::thehive4(),
            marks,
            has_files: false,
            scrubber: &Scrubber::default(),
            key: &|data_type, data| (data_type.to_owned(), data.to_owned()),
            is_own_export: &|_| false,
        };

        draft_observables(&serde_json::from_value(attribute).unwrap(), within, &setup)
    }

    fn draft_with_defaults(attribute: Value) -> Vec<ObservableDraft> {
        wanted(attribute, None, &AlertOptions::default()).unwrap()
    }

    #[test]
    fn an_attribute_keeps_what_it_says_as_tags() {
        let attribute = json!({
            "type": "ip-dst|port", "category": "Network activity", "value": "203.0.113.7|443", "uuid": "1a2b3c4d-0000-4000-8000-000000000002",
            "to_ids": "1", "comment": "C2", "object_relation": "ip", "first_seen": "2024-01-01T00:00:00.000000+00:00",
            "Tag": [{"name": "tlp:red"}, {"name": " tlp:red "}, {"name": " "}]
        });

        let within = ("network-connection", "99887766-0000-4000-8000-000000000003");
        let marks = AlertOptions {
            observable_tags: vec!["from-misp".into(), "tlp:red".into()],
            ..AlertOptions::default()
        };
        let wanted = wanted(attribute, Some(within), &marks).unwrap();
        let shown: Vec<_> = wanted
            .iter()
            .map(|one| one.to_report_observable(&Scrubber::default()))
            .collect();

        insta::assert_json_snapshot!(shown, @r#"
        [
          {
            "dataType": "ip",
            "data": "203.0.113.7",
            "message": "C2",
            "tlp": 4,
            "ioc": true,
            "tags": [
              "misp:composite=\"ip-dst|port:00000000-0000-0000-0000-000000000001:1a2b3c4d-0000-4000-8000-000000000002:443\"",
              "misp:object=\"network-connection:00000000-0000-0000-0000-000000000001:99887766-0000-4000-8000-000000000003\"",
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
        let one = draft_with_defaults(
            json!({"type": "domain", "category": "Network activity", "value": "a.example"}),
        );
        assert_eq!((one[0].tlp, one[0].ioc), (Tlp::Green, false));
    }

    #[test]
    fn a_value_too_long_for_thehive_is_told_and_is_no_ioc() {
        let uuid = "1a2b3c4d-0000-4000-8000-000000000002";
        let url = |length: usize| format!("https://a.example/{}", "p".repeat(length - 18));
        let of = |value: &str, comment: &str| {
            draft_with_defaults(json!({"type": "url", "category": "Network activity", "value": value, "uuid": uuid, "to_ids": true,
                "comment": comment, "Tag": [{"name": "kept"}]}))
            .remove(0)
        };

        let fits = of(&url(4_096), "said");
        assert_eq!(
            (fits.data_type.as_str(), fits.ioc, fits.message.as_str()),
            ("url", true, "said")
        );
        let long = of(&url(4_097), "said");
        assert_eq!((long.data_type.as_str(), long.ioc), ("other", false));
        assert_eq!(long.data, format!("misp-attribute:{uuid}"));
        assert_eq!(
            (long.message, long.tags),
            (format!("said\n\n`{}`", url(4_097)), vec!["kept".to_owned()])
        );
        let longer = of(&url(60_000), &"c".repeat(40_000));
        assert!(longer.message.len() <= 32_000 && longer.message.ends_with("read it in MISP)`"));
        assert!(
            longer
                .message
                .contains("read it in MISP)\n\n`https://a.example/pp")
        );
    }

    #[test]
    fn long_values_without_a_uuid_stay_apart() {
        let of = |letter: &str| {
            draft_with_defaults(json!({"type": "text", "value": letter.repeat(5_000)}))
                .remove(0)
                .data
        };

        assert_ne!(of("a"), of("b"));
        assert_eq!(of("a"), of("a"));
    }

    #[test]
    fn two_long_halves_are_one_observable() {
        let value = format!("HKLM\\{}|{}", "k".repeat(5_000), "v".repeat(5_000));
        let wanted = draft_with_defaults(
            json!({"type": "regkey|value", "category": "Persistence mechanism", "value": value, "uuid": "u"}),
        );
        assert_eq!(
            (wanted.len(), wanted[0].message.clone()),
            (1, format!("`{value}`"))
        );
    }

    #[test]
    fn a_long_comment_is_cut_and_says_so() {
        let of = |length: usize| {
            draft_with_defaults(
                json!({"type": "domain", "value": "a.example", "comment": "c".repeat(length)}),
            )
            .remove(0)
        };

        assert_eq!(of(32_000).message.len(), 32_000);
        assert_eq!(of(32_001).message.len(), 32_000);
        assert!(of(32_001).message.ends_with(NOTE));
    }

    /// Which is why a message is cut before it is quoted.
    #[test]
    fn no_cut_frees_what_is_quoted() {
        for (length, piece) in [
            (40_000, "![x](http://evil.example/) "),
            (3_000, "```"),
            (20_000, "`\n<b>"),
        ] {
            let comment = piece.repeat(length / piece.len());
            let wanted = draft_with_defaults(
                json!({"type": "domain", "value": "a.example", "comment": comment}),
            )
            .remove(0);
            let shown = wanted.to_report_observable(&Scrubber::default()).message;
            assert!(wanted.message.len() <= LONGEST_MESSAGE && shown.len() <= LONGEST_SHOWN);

            for message in [wanted.message, shown] {
                let is_code = |event: &Event<'_>| {
                    matches!(
                        event,
                        Event::Text(_)
                            | Event::Code(_)
                            | Event::End(_)
                            | Event::Start(Tag::Paragraph | Tag::CodeBlock(_))
                    )
                };

                assert!(
                    Parser::new(&message).all(|event| is_code(&event)),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn blank_values_are_refused_and_odd_ones_kept() {
        let of = |value: &str| {
            wanted(
                json!({"type": "text", "value": value}),
                None,
                &AlertOptions::default(),
            )
        };

        for blank in ["", " \n", "\u{a0}\u{2003}", "\u{85}\0", "\u{200b}\u{feff}"] {
            assert!(of(blank).is_err(), "{blank:?}");
        }
        assert_eq!(of("a\0b").unwrap()[0].data, "a\0b");
    }

    #[test]
    fn an_object_is_named_with_its_event_whatever_it_is_called() {
        let tag = |name: &str, uuid: &str| {
            let attribute =
                json!({"type": "domain", "category": "Network activity", "value": "a.example"});
            wanted(attribute, Some((name, uuid)), &AlertOptions::default())
                .unwrap()
                .remove(0)
                .tags
                .remove(0)
        };

        let uuid = "99887766-0000-4000-8000-00000000000A";
        let long = tag(&"n".repeat(300), uuid);
        let end = format!(":{EVENT}:{}\"", uuid.to_lowercase());
        assert!(long.len() <= 128 && long.ends_with(&end), "{long}");
        assert_eq!(tag("file:\"x", uuid), format!("misp:object=\"file__x{end}"));

        for odd in ["", "1", "99887766", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(tag("file", odd), "misp:object=\"file\"");
        }
    }

    #[test]
    fn a_composite_without_a_uuid_of_its_own_has_one_of_its_value() {
        let tags = |value: &str, uuid: &str| -> Vec<String> {
            let attribute = json!({"type": "filename|md5", "category": "Payload delivery", "value": value, "uuid": uuid});
            draft_with_defaults(attribute)
                .into_iter()
                .map(|mut one| one.tags.remove(0))
                .collect()
        };

        let (one, other) = (
            "a.exe|44d88612fea8a8f36de82e1278abb02f",
            "b.exe|44d88612fea8a8f36de82e1278abb02f",
        );
        for odd in ["", "no uuid", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(tags(one, odd)[0], tags(one, odd)[1]);
            assert_ne!(tags(one, odd)[0], tags(other, odd)[0]);
        }
        let upper = "1A2B3C4D-0000-4000-8000-000000000002";
        assert_eq!(tags(one, upper), tags(one, &upper.to_lowercase()));
    }

    #[test]
    fn a_value_that_would_be_a_command_is_none_of_an_observable() {
        let uuid = "1a2b3c4d-0000-4000-8000-000000000002";
        let of = |value: &str| {
            draft_with_defaults(json!({"type": "text", "category": "Other", "value": value, "uuid": uuid, "to_ids": true, "comment": "said"}))
                .remove(0)
        };

        for value in [
            "misp:sync",
            " MISP:sync:partner",
            "misp:event:1a2b3c4d-0000-4000-8000-000000000002",
            "misp:\u{200b}sync",
            "ｍisp:sync",
        ] {
            let one = of(value);
            assert_eq!(
                (one.data, one.ioc),
                (format!("misp-attribute:{uuid}"), false),
                "{value}"
            );

            let shown = quote_shortened(value, LONGEST_MESSAGE, NOTE, &Scrubber::default());
            assert_eq!(one.message, format!("said\n\n{shown}{COMMAND}"));
        }

        assert_eq!(of("misp:confidence-level").data, "misp:confidence-level");
    }

    #[test]
    fn a_tag_of_ours_on_an_attribute_is_left_out() {
        let tags = [
            "misp:type=\"email-subject\"",
            " MISP:Composite=x",
            "src:CERT-EU",
            "misp:tool=\"x\"",
            "tlp:red",
            "kept",
        ];

        let tags: Vec<Value> = tags.into_iter().map(|name| json!({"name": name})).collect();
        let one = draft_with_defaults(
            json!({"type": "domain", "category": "Network activity", "value": "a.example", "Tag": tags}),
        );
        assert_eq!(one[0].tags, ["misp:tool=\"x\"", "tlp:red", "kept"]);
    }

    #[test]
    fn configured_tags_find_room_before_the_attributes() {
        let tags: Vec<Value> = (0..150)
            .map(|number| json!({"name": format!("t{number}")}))
            .collect();
        let marks = AlertOptions {
            observable_tags: vec!["mine".into()],
            ..AlertOptions::default()
        };
        let attribute = json!({"type": "domain", "category": "Network activity", "value": "a.example", "Tag": tags});
        let wanted = wanted(attribute, None, &marks).unwrap().remove(0);
        assert_eq!((wanted.tags.len(), wanted.tags[99].as_str()), (100, "mine"));
    }

    #[test]
    fn two_of_the_same_value_become_one() {
        let one = |tlp, ioc, message: &str, tag: &str| ObservableDraft {
            data_type: "ip".into(),
            data: "192.0.2.1".into(),
            message: message.into(),
            tlp,
            pap: Pap::Amber,
            ioc,
            tags: vec!["a".into(), tag.into()],
            ignore_similarity: false,
            changed: None,
        };

        let mut first = one(Tlp::Green, false, "", "b");
        merge(&mut first, one(Tlp::Red, true, "said", "c"));
        let tags = vec!["a".into(), "b".into(), "c".into()];
        assert_eq!(
            first,
            ObservableDraft {
                tags,
                ..one(Tlp::Red, true, "said", "c")
            }
        );

        merge(
            &mut first,
            one(Tlp::Clear, false, "more", "misp:type=\"ip-src\""),
        );
        assert_eq!(
            (first.tlp, first.ioc, first.message.as_str()),
            (Tlp::Red, true, "said")
        );
        assert_eq!(
            first.tags[3..],
            ["misp:type=\"ip-dst\"", "misp:type=\"ip-src\""]
        );
    }
}
