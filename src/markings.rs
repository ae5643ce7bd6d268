//! TLP and PAP: words, order, MISP tags, and the numbers of TheHive and Cortex, whose scales
//! differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tags;

/// The traffic light protocol, version 2, from open to closed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Tlp {
    /// No limit.
    Clear,
    /// The community.
    Green,
    /// The organisation and its clients.
    Amber,
    /// The organisation only.
    #[serde(rename = "AMBER+STRICT")]
    AmberStrict,
    /// The recipients only.
    Red,
}

/// How many TLP levels a TheHive knows: TheHive 4, 5.0 and 5.1 have four (3 is RED), 5.2 and later
/// five (3 is AMBER+STRICT, 4 is RED; TheHive's release notes of 5.2.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 0 WHITE to 3 RED.
    Four,
    /// 0 CLEAR to 4 RED.
    Five,
}

impl Tlp {
    /// Reads TheHive's number; anything outside the scale is none.
    pub fn from_number(number: i64, scale: Scale) -> Option<Self> {
        match (number, scale) {
            (3, Scale::Four) => Some(Self::Red),
            _ => TLP.read_number(number),
        }
    }

    /// Reads TheHive's label (`tlpLabel`), or a word.
    pub fn from_word(word: &str) -> Option<Self> {
        TLP.read_word(word)
    }

    /// Reads a tag as people write it: `tlp:amber`, `TLP:AMBER+STRICT`, `tlp:"white"`, `tlp="red"`,
    /// ` tlp : red`, `TLP-RED`, `TLP|RED`, `TLP RED ONLY`. What says a TLP and cannot be read is
    /// RED ([`unreadable_tags`] tells which tags are meant).
    pub fn from_tag(tag: &str) -> Option<Self> {
        TLP.read_tag(tag)
    }

    /// The strictest of the TLP tags in a list; none if there is none.
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// The strictest of the tags that every MISP reads as a TLP: spelt as in its `tlp` taxonomy, in
    /// any case.
    pub fn from_plain_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        TLP.read_plain_tags(tags)
    }

    /// The word, in capitals.
    pub fn word(self) -> &'static str {
        TLP.row(self).map_or("", |row| row.word)
    }

    /// The tag of MISP's `tlp` taxonomy.
    pub fn tag(self) -> &'static str {
        TLP.row(self).map_or("", |row| row.tag)
    }

    /// TheHive's number on the scale of five.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The number that Cortex takes in an artifact, 0 to 3: AMBER+STRICT and RED are both 3.
    pub fn cortex_number(self) -> u8 {
        self.number().min(3)
    }

    /// True for what may not be passed on: RED and AMBER+STRICT.
    pub fn forbids_sharing(self) -> bool {
        self >= Self::AmberStrict
    }
}

/// The permissible actions protocol, from open to closed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Pap {
    /// No limit.
    Clear,
    /// Active actions allowed.
    Green,
    /// Passive cross-checks only.
    Amber,
    /// Nothing that could be detected.
    Red,
}

impl Pap {
    /// Reads TheHive's number, 0 to 3 in every version.
    pub fn from_number(number: i64) -> Option<Self> {
        PAP.read_number(number)
    }

    /// Reads a tag as people write it, in the forms of [`Tlp::from_tag`]: `PAP:RED`, `pap:white`.
    /// What says a PAP and cannot be read is RED.
    pub fn from_tag(tag: &str) -> Option<Self> {
        PAP.read_tag(tag)
    }

    /// The strictest of the PAP tags in a list; none if there is none.
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// The strictest of the tags that every MISP reads as a PAP: spelt as in its `PAP` taxonomy, in
    /// any case.
    pub fn from_plain_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        PAP.read_plain_tags(tags)
    }

    /// The word, in capitals.
    pub fn word(self) -> &'static str {
        PAP.row(self).map_or("", |row| row.word)
    }

    /// The tag of MISP's `PAP` taxonomy, whose names are in capitals.
    pub fn tag(self) -> &'static str {
        PAP.row(self).map_or("", |row| row.tag)
    }

    /// TheHive's number.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// A marking, as tags say it.
struct Marking<L: 'static> {
    name: &'static str,
    amber: L,
    /// From open to closed, by TheHive's number.
    rows: &'static [Row<L>],
}

/// How a level is written.
struct Row<L> {
    level: L,
    word: &'static str,
    tag: &'static str,
    /// Other words for it, in small letters.
    others: &'static [&'static str],
}

const fn row<L: Copy>(
    level: L,
    word: &'static str,
    tag: &'static str,
    others: &'static [&'static str],
) -> Row<L> {
    Row {
        level,
        word,
        tag,
        others,
    }
}

const TLP: Marking<Tlp> = Marking {
    name: "tlp",
    amber: Tlp::Amber,
    rows: &[
        row(Tlp::Clear, "CLEAR", "tlp:clear", &["white"]),
        row(Tlp::Green, "GREEN", "tlp:green", &[]),
        row(Tlp::Amber, "AMBER", "tlp:amber", &[]),
        row(
            Tlp::AmberStrict,
            "AMBER+STRICT",
            "tlp:amber+strict",
            &[
                "amber-strict",
                "amber strict",
                "amber_strict",
                "amber:strict",
                "amberstrict",
            ],
        ),
        row(Tlp::Red, "RED", "tlp:red", &[]),
    ],
};

const PAP: Marking<Pap> = Marking {
    name: "pap",
    amber: Pap::Amber,
    rows: &[
        row(Pap::Clear, "CLEAR", "PAP:CLEAR", &["white"]),
        row(Pap::Green, "GREEN", "PAP:GREEN", &[]),
        row(Pap::Amber, "AMBER", "PAP:AMBER", &[]),
        row(Pap::Red, "RED", "PAP:RED", &[]),
    ],
};

impl<L: Copy + Ord> Marking<L> {
    fn row(&self, level: L) -> Option<&Row<L>> {
        self.rows.iter().find(|row| row.level == level)
    }

    fn read_number(&self, number: i64) -> Option<L> {
        let row = self.rows.get(usize::try_from(number).ok()?)?;
        Some(row.level)
    }

    fn read_word(&self, word: &str) -> Option<L> {
        let word = word.trim().to_ascii_lowercase();
        let is_meant = |row: &&Row<L>| {
            row.word.eq_ignore_ascii_case(&word) || row.others.contains(&word.as_str())
        };
        self.rows.iter().find(is_meant).map(|row| row.level)
    }

    fn read_tag(&self, tag: &str) -> Option<L> {
        match parse_tag(tag, self) {
            TagMeaning::Level(level) => Some(level),
            TagMeaning::Unreadable => self.rows.last().map(|row| row.level),
            TagMeaning::Nothing => None,
        }
    }

    fn read_plain_tags<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<L> {
        // White is the older word for CLEAR, which MISP's taxonomies still have.
        let white = format!("{}:white", self.name);
        let plain = tags.into_iter().filter_map(|tag| {
            let row = self.row(self.read_tag(tag)?)?;
            let is_name = |name: &str| name.eq_ignore_ascii_case(tag.trim());
            (is_name(row.tag) || is_name(&white)).then_some(row.level)
        });

        plain.max()
    }
}

/// What a tag says of one marking.
enum TagMeaning<L> {
    Level(L),
    /// It is meant as one, and its word is none that is known.
    Unreadable,
    Nothing,
}

/// What a tag says of a marking, in the letters in which [`tags::fold_name`] reads it: blanks,
/// quotes, characters that nobody sees and brackets around it count for nothing, and letters count
/// by their look.
///
/// It speaks of the marking if it begins with its name, perhaps with a version (`TLP2.0`), and
/// something else than a letter or digit stands behind that. Then it says the level that is left;
/// behind `:` or `=` anything else is meant as one and cannot be read, but for `tlp:ex:chr` of
/// MISP's taxonomy, which is about naming the source. Otherwise it says the strictest level among
/// its words (`TLP|RED`, `TLP RED ONLY`), if any: `tlp-handling` is a tag like any other. Beside
/// further words CLEAR and GREEN count for nothing, so that a sentence (`tlp not clear`) lowers no
/// default.
fn parse_tag<L: Copy + Ord>(tag: &str, marking: &Marking<L>) -> TagMeaning<L> {
    let name = marking.name;
    // Nearly no tag is meant, and all of them are looked at.
    let begins = |tag: &str| {
        tag.get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name))
    };
    if tag.is_ascii() && !begins(tag) && tag.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return TagMeaning::Nothing;
    }
    let plain = tags::fold_name(tag);
    let plain = plain
        .trim_start_matches(|c: char| !c.is_alphanumeric())
        .trim_end_matches([']', ')', '}', '>', ';', ',', '.']);
    let Some(rest) = plain.get(name.len()..).filter(|_| begins(plain)) else {
        return TagMeaning::Nothing;
    };

    let Some(word) = strip_version(rest).strip_prefix([':', '=']) else {
        return level_without_sign(tag, rest, marking)
            .map_or(TagMeaning::Nothing, TagMeaning::Level);
    };
    let word = word.trim_matches([':', '=']);

    match marking.read_word(word) {
        Some(level) => TagMeaning::Level(level),
        None if word.to_ascii_lowercase().starts_with("ex:") => TagMeaning::Nothing,
        None => TagMeaning::Unreadable,
    }
}

/// The level that a tag says without `:` or `=`; `rest` is what stands behind the marking's name.
fn level_without_sign<L: Copy + Ord>(tag: &str, rest: &str, marking: &Marking<L>) -> Option<L> {
    let is_parted = tag
        .trim()
        .chars()
        .nth(marking.name.len())
        .is_some_and(|c| !c.is_alphanumeric());

    marking
        .read_word(rest.trim_start_matches(['-', '_', '.', '/']))
        .filter(|_| is_parted)
        .or_else(|| level_among_words(tag, marking))
}

/// What stands behind a version, such as `2.0` or `v2`.
fn strip_version(rest: &str) -> &str {
    let version = rest.strip_prefix('v').unwrap_or(rest);
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        version.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    } else {
        rest
    }
}

/// The strictest level among the words of a tag that begins with this one.
fn level_among_words<L: Copy + Ord>(tag: &str, marking: &Marking<L>) -> Option<L> {
    let read = |word: &str| marking.read_word(word);
    let is_between = |c: char| !c.is_alphanumeric() && !tags::is_invisible(c);
    let words: Vec<String> = tag.split(is_between).map(tags::fold_name).collect();
    let words = words
        .iter()
        .flat_map(|part| part.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty());
    let mut words = words.peekable();
    if !strip_version(words.next()?.strip_prefix(marking.name)?).is_empty() {
        return None;
    }
    // The parts of a version that stands apart, as in `TLP 2.0 RED`.
    while words
        .next_if(|word| strip_version(word).is_empty())
        .is_some()
    {}
    let words: Vec<&str> = words.collect();
    let pairs = words.windows(2).filter_map(|pair| read(&pair.join(" ")));
    let level = words
        .iter()
        .filter_map(|word| read(word))
        .chain(pairs)
        .max()?;

    (level >= marking.amber || read(&words.join(" ")).is_some()).then_some(level)
}

/// The tags that are meant as a TLP or PAP and cannot be read, so that they count as RED.
pub fn unreadable_tags<'a>(
    tags: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = &'a str> {
    tags.into_iter().filter(|tag| {
        matches!(parse_tag(tag, &TLP), TagMeaning::Unreadable)
            || matches!(parse_tag(tag, &PAP), TagMeaning::Unreadable)
    })
}

#[cfg(test)]
mod tests;
