//! Event to alert: everything but its observables. What stands in its description is in
//! `description.rs`.

use std::collections::HashSet;
use std::fmt;

use uuid::Uuid;

use super::description::description;
use super::limits::{LONGEST_SHOWN, MOST_TAGS, Tags, shorten_name};
use super::{AlertOptions, EventSource, Markings, is_laxer};
use crate::markings::{Pap, Tlp};
use crate::misp::wire::{Event, Report};
use crate::report::Alert;
use crate::secret::Scrubber;
use crate::tags;
use crate::text::{format_count, is_hidden};
use crate::time;

/// The longest texts that TheHive 5 takes, in characters (`InputCreateAlert` in its OpenAPI).
const LONGEST_SOURCE: usize = 32;
const LONGEST_TITLE: usize = 512;
const LONGEST_LINK: usize = 512;

/// What stands for the info line of an event that has none.
const NO_TITLE: &str = "(no title)";

/// An alert as an event wants it, within the limits of every TheHive. Its type is always `misp`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertDraft {
    /// The connection's name.
    pub source: String,
    /// The event's uuid.
    pub source_ref: String,
    /// `#<id> <info>`.
    pub title: String,
    /// Markdown, without the state line: at most 31,000 bytes, and no line that looks like a state
    /// line.
    pub description: String,
    /// The event's page on its server.
    pub link: Option<String>,
    /// 1 low to 3 high.
    pub severity: u8,
    /// The event's date, in milliseconds since 1970.
    pub date: i64,
    /// The strictest of the event's TLP tags.
    pub tlp: Tlp,
    /// The strictest of the event's PAP tags.
    pub pap: Pap,
    /// `src:<organisation>`, the event's tags, the configured ones: at most 100, none twice.
    pub tags: Vec<String>,
    /// How many of the event's tags found no room.
    pub tags_cut: usize,
    /// The tags of the event and its attributes that are words of this program, and so are left
    /// out.
    pub own_tags: OwnTags,
    /// ATT&CK techniques, such as `T1566.001`, none twice.
    pub procedures: Vec<String>,
}

/// How many tags that come with an event are words of this program: they would steer what becomes
/// of its alert and of a case made of it, so none of them is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnTags {
    /// Of the event.
    pub event: u64,
    /// Of those of its attributes that are imported.
    pub attributes: u64,
}

impl OwnTags {
    /// All of them.
    pub fn total(self) -> u64 {
        self.event.saturating_add(self.attributes)
    }
}

impl fmt::Display for OwnTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<_> = [
            (self.event, "the event"),
            (self.attributes, "its attributes"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, holder)| format!("{} of {holder}", format_count(number, "tag", "tags")))
        .collect();
        let verbs = if self.total() == 1 {
            "is a word of this program and was"
        } else {
            "are words of this program and were"
        };

        write!(f, "{} {verbs} left out", tags.join(" and "))
    }
}

impl AlertDraft {
    /// The alert as a report shows it, without observables yet.
    pub fn to_report_alert(&self) -> Alert {
        Alert {
            kind: "misp",
            source: self.source.clone(),
            source_ref: self.source_ref.clone(),
            external_link: self.link.clone(),
            title: self.title.clone(),
            description: shorten_description(&self.description),
            severity: self.severity,
            date: self.date,
            tlp: self.tlp.number(),
            pap: self.pap.number(),
            tags: self.tags.clone(),
            observable_count: 0,
            observables: Vec::new(),
        }
    }
}

/// The beginning of a description as a report shows it, by whole lines: a cut inside one would free
/// what is quoted in it.
fn shorten_description(description: &str) -> String {
    let Some((end, _)) = description.char_indices().nth(LONGEST_SHOWN) else {
        return description.to_owned();
    };
    let lines = description
        .get(..end)
        .and_then(|text| text.rsplit_once('\n'))
        .map_or("", |(lines, _)| lines);
    format!("{lines}\n…")
}

/// The source of the alerts of a connection: its name, within TheHive's limit.
pub fn source(connection: &str, scrubber: &Scrubber) -> String {
    shorten_name(connection, LONGEST_SOURCE, scrubber)
}

/// The alert of an event, with what its reports say. `of_attributes` of its attributes' tags are
/// words of this program.
pub fn draft_alert(
    event: &Event,
    uuid: &Uuid,
    origin: &EventSource<'_>,
    marks: &AlertOptions,
    reports: &[Report],
    of_attributes: u64,
) -> AlertDraft {
    let scrubber = origin.scrubber;
    let own_tags = OwnTags {
        event: event
            .all_tag_names()
            .filter(|tag| tags::is_reserved(tag))
            .count() as u64,
        attributes: of_attributes,
    };
    let (tags, tags_cut) = build_tags(event, origin, marks);
    let Markings { tlp, pap, .. } = Markings::from_event(event, marks);

    AlertDraft {
        source: source(origin.connection, scrubber),
        source_ref: uuid.to_string(),
        title: title(event, origin),
        description: description(event, uuid, reports, own_tags, scrubber),
        link: origin
            .link
            .as_ref()
            .map(|link| shorten_name(link, LONGEST_LINK, scrubber)),
        // MISP counts from high to low, TheHive from low to high; what is undefined is medium.
        severity: match event.threat_level_id {
            Some(1) => 3,
            Some(3) => 1,
            _ => 2,
        },
        date: date(event),
        tlp,
        pap,
        tags,
        tags_cut,
        own_tags,
        procedures: procedures(event),
    }
}

/// `#<id> <info>`; a feed has no id.
fn title(event: &Event, origin: &EventSource<'_>) -> String {
    let is_blank = |info: &&str| info.chars().all(|c| c.is_whitespace() || is_hidden(c));
    let info = Some(event.info.as_str())
        .filter(|info| !is_blank(info))
        .unwrap_or(NO_TITLE);
    let id = event.id.trim();
    let title = if id.is_empty() {
        info.to_owned()
    } else {
        format!("#{id} {info}", info = info.trim_start())
    };

    shorten_name(title, LONGEST_TITLE, origin.scrubber)
}

/// The event's own date; of one that has none that can be read, the day of its last change. In
/// milliseconds.
fn date(event: &Event) -> i64 {
    time::parse_day(&event.date)
        .or(event.timestamp)
        .unwrap_or(0)
        .saturating_mul(1_000)
}

/// The tags, and how many of the event's were left out. The configured ones always find room:
/// somebody relies on them.
fn build_tags(
    event: &Event,
    origin: &EventSource<'_>,
    marks: &AlertOptions,
) -> (Vec<String>, usize) {
    let mut tags = Tags::new(origin.scrubber);
    let mut beyond = HashSet::new();
    // However many are configured, the one that names the creator finds room.
    let room = MOST_TAGS.saturating_sub(marks.alert_tags.len()).max(1);
    let organisation = event.creator_name().trim();
    if !organisation.is_empty() {
        tags.add(format!("{}{organisation}", tags::SOURCE), room);
    }
    let holds = Markings::from_event(event, marks);
    let passed_on = |(tag, is_local): &(&str, bool)| {
        !tags::is_reserved(tag) && !is_laxer(tag, *is_local, holds)
    };
    for (tag, _) in event.tags_with_local_flag().filter(passed_on) {
        if tags.is_full(room) {
            beyond.insert(tag.trim());
        }
        tags.add(tag, room);
    }

    marks
        .alert_tags
        .iter()
        .for_each(|tag| tags.add(tag, MOST_TAGS));
    let cut = beyond
        .iter()
        .filter(|tag| !tag.is_empty() && !tags.names.iter().any(|name| name == *tag))
        .count();

    (tags.names, cut)
}

/// The techniques that the event's ATT&CK galaxy tags name.
fn procedures(event: &Event) -> Vec<String> {
    let mut known = HashSet::new();
    event
        .all_tag_names()
        .filter_map(technique)
        .filter(|id| known.insert(*id))
        .map(ToOwned::to_owned)
        .collect()
}

/// `T1566.001` of `misp-galaxy:mitre-attack-pattern="Spearphishing Attachment - T1566.001"`, and of
/// the galaxies of the single matrices (`mitre-enterprise-attack-attack-pattern`, …), which older
/// MISPs have.
fn technique(tag: &str) -> Option<&str> {
    let (galaxy, cluster) = tag.trim().split_once('=')?;
    let (head, galaxy) = galaxy.trim().split_at_checked(GALAXY.len())?;
    let is_attack =
        head.eq_ignore_ascii_case(GALAXY) && galaxy.to_ascii_lowercase().contains("attack-pattern");
    let (_, id) = cluster
        .trim()
        .trim_matches('"')
        .rsplit_once(" - ")
        .filter(|_| is_attack)?;

    let id = id.trim();

    is_technique(id).then_some(id)
}

const GALAXY: &str = "misp-galaxy:mitre-";

/// `T` and four digits, and for a sub-technique a full stop and three more.
fn is_technique(id: &str) -> bool {
    let is_number =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = id.strip_prefix('T') else {
        return false;
    };
    match number.split_once('.') {
        Some((main, sub)) => is_number(main, 4) && is_number(sub, 3),
        None => is_number(number, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Scrubber;
    use serde_json::{Value, json};

    fn wanted(event: Value, marks: &AlertOptions) -> AlertDraft {
        let event = serde_json::from_value(event).unwrap();

        let origin = EventSource {
            connection: "partner",
            link: None,
            scrubber: &Scrubber::default(),
        };
        draft_alert(&event, &Uuid::nil(), &origin, marks, &[], 0)
    }

    fn tagged(tags: impl IntoIterator<Item = impl AsRef<str>>) -> Value {
        let tags: Vec<Value> = tags
            .into_iter()
            .map(|name| json!({"name": name.as_ref()}))
            .collect();

        json!({"info": "x", "Tag": tags})
    }

    #[test]
    fn an_event_becomes_an_alert() {
        let marks = AlertOptions {
            alert_tags: vec!["from-misp".into(), "PAP:RED".into(), " ".into()],
            ..AlertOptions::default()
        };

        let alert = wanted(
            json!({
                "id": 1337, "uuid": "5f0e5b5c-0000-4000-8000-000000000001", "info": " Phishing ", "date": "2024-02-29", "threat_level_id": "1",
                "analysis": 2, "distribution": "3", "timestamp": "1709200000", "publish_timestamp": "0", "Orgc": {"name": "CIRCL"},
                "Tag": [{"name": "TLP:GREEN"}, {"name": "PAP:RED"}, {"name": "tlp:amber+strict"}, {"name": "TLP:GREEN"}]
            }),
            &marks,
        );

        insta::assert_json_snapshot!(alert.to_report_alert(), @r##"
        {
          "type": "misp",
          "source": "partner",
          "sourceRef": "00000000-0000-0000-0000-000000000000",
          "title": "#1337 Phishing",
          "description": "MISP event `00000000-0000-0000-0000-000000000000` of **CIRCL**\n\n- Date: 2024-02-29\n- Changed: 2024-02-29 09:46 UTC\n- Analysis: completed\n- Threat level: high\n- Distribution: all communities\n",
          "severity": 3,
          "date": 1709164800000,
          "tlp": 3,
          "pap": 3,
          "tags": [
            "src:CIRCL",
            "TLP:GREEN",
            "PAP:RED",
            "tlp:amber+strict",
            "from-misp"
          ],
          "observableCount": 0,
          "observables": []
        }
        "##);

        assert_eq!((alert.tags_cut, alert.link), (0, None));
    }

    #[test]
    fn an_event_that_says_nothing_has_defaults() {
        let alert = wanted(
            json!({"timestamp": 1_709_200_000}),
            &AlertOptions {
                default_tlp: Tlp::Red,
                ..AlertOptions::default()
            },
        );

        assert_eq!(
            (alert.title.as_str(), alert.severity, alert.tlp, alert.pap),
            ("(no title)", 2, Tlp::Red, Pap::Amber)
        );
        assert_eq!((alert.date, alert.tags.len()), (1_709_200_000_000, 0));
        assert_eq!(
            wanted(json!({"id": "7", "info": "\n"}), &AlertOptions::default()).title,
            "#7 (no title)"
        );
        assert_eq!(
            wanted(json!({"threat_level_id": 3}), &AlertOptions::default()).severity,
            1
        );
        assert_eq!(
            wanted(json!({"date": "2024-01-01"}), &AlertOptions::default()).tlp,
            Tlp::Amber
        );
    }

    #[test]
    fn a_local_marking_that_is_laxer_is_not_passed_on() {
        let tag = |name: &str, local: bool| json!({"name": name, "local": local});
        let tags = |tags: Value| wanted(json!({"Tag": tags}), &AlertOptions::default()).tags;
        let laxer = [tag("tlp:clear", true), tag("PAP:CLEAR", true)];
        assert_eq!(
            tags(json!([laxer[0], laxer[1], tag("workflow:mine", true)])),
            ["workflow:mine"]
        );

        assert_eq!(
            tags(json!([
                laxer[0],
                tag("tlp:clear", false),
                tag("tlp:red", true)
            ])),
            ["tlp:clear", "tlp:red"]
        );
    }

    #[test]
    fn names_beyond_the_limits_are_shortened() {
        let long = |length: usize| "n".repeat(length);
        let event: Event = serde_json::from_value(
            json!({"info": long(600), "Orgc": {"name": long(200)}, "Tag": [{"name": long(129)}]}),
        )
        .unwrap();
        let link = Some(format!("https://misp.example/{}", long(600)));
        let connection = long(33);
        let origin = EventSource {
            connection: &connection,
            link,
            scrubber: &Scrubber::default(),
        };

        let alert = draft_alert(
            &event,
            &Uuid::nil(),
            &origin,
            &AlertOptions::default(),
            &[],
            0,
        );

        let lengths = [
            &alert.source,
            &alert.title,
            alert.link.as_ref().unwrap(),
            &alert.tags[0],
            &alert.tags[1],
        ];

        assert_eq!(lengths.map(|name| name.len()), [32, 512, 512, 128, 128]);
        assert!(
            lengths
                .iter()
                .all(|name| name.as_bytes()[name.len() - 9] == b'~')
        );
    }

    #[test]
    fn configured_tags_find_room_before_the_events() {
        let marks = AlertOptions {
            alert_tags: vec!["mine".into(), "t149".into()],
            ..AlertOptions::default()
        };
        let alert = wanted(tagged((0..150).map(|number| format!("t{number}"))), &marks);
        assert_eq!((alert.tags.len(), alert.tags_cut), (100, 51));
        assert_eq!(alert.tags[97..], ["t97", "mine", "t149"]);
    }

    #[test]
    fn a_tag_of_ours_on_an_event_is_left_out_counted_and_said() {
        let ours = [
            "misp:event=\"corp:1\"",
            "Misp : To = x",
            "src:CERT-EU",
            "misp:withdrawn",
        ];

        let alert = wanted(
            tagged(
                ours.into_iter()
                    .chain(["misp:confidence-level=\"unconfident\"", "tlp:red"]),
            ),
            &AlertOptions::default(),
        );

        assert_eq!(
            alert.tags,
            ["misp:confidence-level=\"unconfident\"", "tlp:red"]
        );

        assert_eq!(
            alert.own_tags,
            OwnTags {
                event: 4,
                attributes: 0
            }
        );

        assert!(
            alert
                .description
                .contains("\n- 4 tags of the event are words of this program and were left out\n")
        );

        let told = |event, attributes| OwnTags { event, attributes }.to_string();
        assert_eq!(
            told(1, 0),
            "1 tag of the event is a word of this program and was left out"
        );
        assert_eq!(
            told(1, 2),
            "1 tag of the event and 2 tags of its attributes are words of this program and were \
             left out"
        );

        assert!(
            !wanted(json!({}), &AlertOptions::default())
                .description
                .contains("left out")
        );
    }

    #[test]
    fn techniques_are_read_from_attack_galaxies_only() {
        let alert = wanted(
            tagged([
                "misp-galaxy:mitre-attack-pattern=\"Spearphishing - Attachment - T1566.001\"",
                "misp-galaxy:mitre-attack-pattern=\"PowerShell - T1059\"",
                "MISP-Galaxy:mitre-enterprise-attack-attack-pattern=\"PowerShell - T1059\"",
                "misp-galaxy:mitre-attack-pattern=\"T1005\"",
                "misp-galaxy:mitre-attack-pattern=\"Old - PRE-T1005\"",
                "misp-galaxy:mitre-attack-pattern=\"Odd - T1005.1\"",
                "misp-galaxy:mitre-intrusion-set=\"APT - T1007\"",
                "misp-galaxy:é",
            ]),
            &AlertOptions::default(),
        );

        assert_eq!(alert.procedures, ["T1566.001", "T1059"]);
    }
}
