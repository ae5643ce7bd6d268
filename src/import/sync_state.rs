//! The state line: what an alert was made from stands in its description, in the line that begins
//! `[cortex-misp]`, and nowhere else. By it the next run tells a changed event from an unchanged
//! one, and a field that this program wrote from one that an analyst edited. Pure.

use std::fmt;

use sha1_smol::Sha1;
use uuid::Uuid;

use crate::misp::wire::Event;

/// What the line begins with.
pub const MARK: &str = "[cortex-misp]";

/// A field of an alert that people may edit, and that is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field {
    /// The title.
    Title,
    /// The description, without the state line.
    Description,
    /// The severity, as a number.
    Severity,
    /// The date, in milliseconds.
    Date,
    /// The TLP, as this TheHive numbers it.
    Tlp,
    /// The PAP, as a number.
    Pap,
    /// The external link.
    Link,
}

impl Field {
    /// All of them, in the order of the line.
    pub const ALL: [Self; 7] = [
        Self::Title,
        Self::Description,
        Self::Severity,
        Self::Date,
        Self::Tlp,
        Self::Pap,
        Self::Link,
    ];

    /// The word in the line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Description => "description",
            Self::Severity => "severity",
            Self::Date => "date",
            Self::Tlp => "tlp",
            Self::Pap => "pap",
            Self::Link => "link",
        }
    }
}

/// The hash of a field's value, 8 hex digits of SHA-1: trimmed, and with one way of ending lines.
pub fn hash(value: &str) -> String {
    let digest = Sha1::from(value.replace("\r\n", "\n").trim())
        .digest()
        .to_string();
    digest.get(..8).unwrap_or_default().to_owned()
}

/// What an alert was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncState {
    /// The event.
    pub event: Uuid,
    /// Its last change, as it was then; none if it could not be read, which is never equal to
    /// another.
    pub timestamp: Option<i64>,
    /// Its last publication, as it was then: 0 if it was never published; none if it could not be
    /// read.
    pub publish_timestamp: Option<i64>,
    /// True if every observable is in, or refused for good.
    pub is_complete: bool,
    /// Of each field the hash of the value that was wanted, written or not.
    pub hashes: Vec<(Field, String)>,
}

impl SyncState {
    /// The state after an import of the event as it is now.
    pub fn new(
        event: &Event,
        uuid: &Uuid,
        is_complete: bool,
        hashes: Vec<(Field, String)>,
    ) -> Self {
        Self {
            event: *uuid,
            timestamp: event.timestamp,
            publish_timestamp: event.publish_timestamp,
            is_complete,
            hashes,
        }
    }

    /// Reads the line of a description; none if there is none that says all this of the event.
    pub fn find(description: &str, event: &Uuid) -> Option<Self> {
        let mut states = lines(description)
            .filter(|line| is_state(line))
            .filter_map(|line| Self::parse(&strip_markdown(line)));
        states.find(|state| state.event == *event)
    }

    fn parse(line: &str) -> Option<Self> {
        let words = || line.split_whitespace();
        // A word has to begin so, since `timestamp=` also ends `publish_timestamp=`.
        let value =
            |name: &str| words().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let pairs = value("fields")
            .unwrap_or_default()
            .split(',')
            .filter_map(|pair| pair.split_once(':'));
        let field = |word: &str| Field::ALL.into_iter().find(|field| field.as_str() == word);

        Some(Self {
            event: Uuid::parse_str(value("event")?).ok()?,
            timestamp: parse_moment(value("timestamp")?)?,
            publish_timestamp: parse_moment(value("publish_timestamp")?)?,
            is_complete: value("complete")? == "yes",
            hashes: pairs
                .filter_map(|(word, hash)| Some((field(word)?, hash.to_owned())))
                .collect(),
        })
    }

    /// True if the event is now as it was, and all of it is in.
    pub fn is_current(&self, event: &Event) -> bool {
        self.is_complete
            && self
                .timestamp
                // A change at 0 is no moment, and proves nothing.
                .is_some_and(|then| then > 0 && event.timestamp == Some(then))
            && self
                .publish_timestamp
                .is_some_and(|then| event.publish_timestamp == Some(then))
    }

    /// True if a field still has the value that this program wanted it to have.
    pub fn is_ours(&self, field: Field, value: &str) -> bool {
        self.hashes
            .iter()
            .any(|(known, hash)| *known == field && *hash == self::hash(value))
    }

    /// The description with this line: in the place of the one that is there, else at the end.
    pub fn insert_into(&self, description: &str) -> String {
        let mut is_in = false;
        let mut kept: Vec<String> = Vec::new();

        for line in lines(description) {
            match (is_state(line), is_in) {
                (false, _) => kept.push(line.to_owned()),
                // There is one line only: a second one goes.
                (true, true) => {}
                (true, false) => {
                    kept.push(self.to_string());
                    is_in = true;
                }
            }
        }

        let text = kept.join("\n");

        match (is_in, text.trim_end()) {
            (true, _) => text,
            (false, "") => self.to_string(),
            (false, text) => format!("{text}\n\n{self}"),
        }
    }
}

/// What stands in the line for a moment that could not be read.
const UNREAD: &str = "?";

fn format_moment(moment: Option<i64>) -> String {
    moment.map_or_else(|| UNREAD.to_owned(), |moment| moment.to_string())
}

fn parse_moment(word: &str) -> Option<Option<i64>> {
    if word == UNREAD {
        Some(None)
    } else {
        word.parse().ok().map(Some)
    }
}

/// A description without the state line: what people read and edit.
pub fn strip_state_line(description: &str) -> String {
    let lines: Vec<&str> = lines(description).filter(|line| !is_state(line)).collect();
    lines.join("\n").trim().to_owned()
}

/// The lines, however they end.
fn lines(description: &str) -> impl Iterator<Item = &str> {
    description
        .split('\n')
        .map(|line| line.trim_end_matches('\r'))
}

/// True for a line that is, or was, a state line. Writer and reader both go by this alone.
fn is_state(line: &str) -> bool {
    strip_markdown(line).starts_with(MARK)
}

/// A text as it may stand in a description beside the state line: lines end in one way, and none is
/// taken for a state line, since its mark stands in round brackets. An escape would not do: the
/// reader looks through those of an editor.
pub fn disarm_state_lines(text: &str) -> String {
    let line = |line: &str| match is_state(line) {
        true => line.replacen('[', "(", 1).replacen(']', ")", 1),
        false => line.to_owned(),
    };
    lines(text).map(line).collect::<Vec<_>>().join("\n")
}

/// A line without what an editor of Markdown may put around or into it: a quote, a list, emphasis,
/// escapes.
fn strip_markdown(line: &str) -> String {
    let line = line.replace('\\', "");
    line.trim_matches(|c: char| c.is_whitespace() || ">*+-`".contains(c))
        .to_owned()
}

/// `[cortex-misp] event=<uuid> timestamp=<t> publish_timestamp=<p> complete=yes|no
/// fields=title:<h>,…`.
impl fmt::Display for SyncState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = if self.is_complete { "yes" } else { "no" };
        let fields: Vec<_> = self
            .hashes
            .iter()
            .map(|(field, hash)| format!("{}:{hash}", field.as_str()))
            .collect();

        write!(
            f,
            "{MARK} event={} timestamp={} publish_timestamp={} complete={complete} fields={}",
            self.event,
            format_moment(self.timestamp),
            format_moment(self.publish_timestamp),
            fields.join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn state(is_complete: bool) -> SyncState {
        let hashes = Field::ALL.map(|field| (field, hash(field.as_str())));
        SyncState {
            event: Uuid::from_u128(7),
            timestamp: Some(12),
            publish_timestamp: Some(34),
            is_complete,
            hashes: hashes.to_vec(),
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let description = state(true).insert_into("MISP event\r\nof CIRCL\n");
        insta::assert_snapshot!(description, @r"
        MISP event
        of CIRCL

        [cortex-misp] event=00000000-0000-0000-0000-000000000007 timestamp=12 publish_timestamp=34 complete=yes fields=title:3c6de1b7,description:cb329146,severity:35a24ef0,date:e927d067,tlp:932ead64,pap:627a1957,link:4f0aa52d
        ");

        assert_eq!(
            SyncState::find(&description, &Uuid::from_u128(7)),
            Some(state(true))
        );
        assert_eq!(SyncState::find(&description, &Uuid::from_u128(8)), None);
        assert_eq!(strip_state_line(&description), "MISP event\nof CIRCL");
    }

    #[test]
    fn the_line_is_replaced_where_people_moved_it() {
        let moved = format!("Seen by us.\n  {}\nMore notes.", state(false));
        assert_eq!(
            state(true).insert_into(&moved),
            format!("Seen by us.\n{}\nMore notes.", state(true))
        );
        let twice = format!("{}\n{}", state(false), state(false));
        assert_eq!(state(true).insert_into(&twice), state(true).to_string());
    }

    /// As the rich editors of Markdown write it back.
    #[test]
    fn a_line_that_an_editor_dressed_up_is_still_the_line() {
        let line = state(false).to_string();
        let escaped = line
            .replace('[', r"\[")
            .replace(']', r"\]")
            .replace('_', r"\_")
            .replace('-', r"\-");

        for dressed in [
            escaped.clone(),
            format!("> {line}"),
            format!("- {escaped}  "),
            format!("`{line}`"),
            format!("**{line}**"),
        ] {
            let description = format!("Notes.\n\n{dressed}");
            assert_eq!(
                SyncState::find(&description, &Uuid::from_u128(7)),
                Some(state(false)),
                "{dressed}"
            );

            assert_eq!(
                state(true).insert_into(&description),
                format!("Notes.\n\n{}", state(true))
            );
            assert_eq!(strip_state_line(&description), "Notes.");
        }
    }

    #[test]
    fn a_moment_that_cannot_be_read_is_equal_to_none() {
        for moment in [
            json!("soon"),
            json!(null),
            json!(""),
            json!(0),
            json!(-5),
            json!([1]),
        ] {
            let event: Event =
                serde_json::from_value(json!({"timestamp": moment, "publish_timestamp": 0}))
                    .unwrap();
            let state = SyncState::new(&event, &Uuid::from_u128(7), true, Vec::new());
            let read = SyncState::find(&state.insert_into(""), &Uuid::from_u128(7)).unwrap();
            assert_eq!(read, state);
            assert!(!read.is_current(&event), "{moment}");
        }

        let old = format!(
            "{MARK} event={} timestamp=0 publish_timestamp=0 complete=yes fields=",
            Uuid::from_u128(7)
        );
        assert!(
            !SyncState::find(&old, &Uuid::from_u128(7))
                .unwrap()
                .is_current(&Event::default())
        );

        let event: Event =
            serde_json::from_value(json!({"timestamp": "1700000000.5", "publish_timestamp": 0}))
                .unwrap();
        assert!(SyncState::new(&event, &Uuid::from_u128(7), true, Vec::new()).is_current(&event));
    }

    #[test]
    fn a_broken_line_is_none_and_is_replaced() {
        let broken = "text\n[cortex-misp] event=x timestamp=";
        assert_eq!(SyncState::find(broken, &Uuid::from_u128(7)), None);
        assert_eq!(
            state(true).insert_into(broken),
            format!("text\n{}", state(true))
        );
    }

    #[test]
    fn only_an_edit_makes_a_field_somebody_elses() {
        assert!(state(true).is_ours(Field::Title, " title\r\n"));
        assert!(!state(true).is_ours(Field::Title, "Title"));
    }

    proptest! {
        #[test]
        fn whatever_people_wrote_stays(text in "(?s).{0,200}") {
            let put = state(true).insert_into(&text);
            prop_assert_eq!(strip_state_line(&put), strip_state_line(&text));
            prop_assert_eq!(SyncState::find(&put, &Uuid::from_u128(7)), Some(state(true)));
            prop_assert_eq!(state(true).insert_into(&put), put);
        }
    }
}
