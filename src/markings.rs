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
            (0, _) => Some(Self::Clear),
            (1, _) => Some(Self::Green),
            (2, _) => Some(Self::Amber),
            (3, Scale::Five) => Some(Self::AmberStrict),
            (3, Scale::Four) | (4, _) => Some(Self::Red),
            _ => None,
        }
    }

    /// Reads TheHive's label (`tlpLabel`), or a word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "white" | "clear" => Some(Self::Clear),
            "green" => Some(Self::Green),
            "amber" => Some(Self::Amber),
            "amber+strict" | "amber-strict" | "amber strict" | "amber_strict" | "amber:strict"
            | "amberstrict" => Some(Self::AmberStrict),
            "red" => Some(Self::Red),
            _ => None,
        }
    }

    /// Reads a tag as people write it: `tlp:amber`, `TLP:AMBER+STRICT`, `tlp:"white"`, `tlp="red"`,
    /// ` tlp : red`, `TLP-RED`, `TLP|RED`, `TLP RED ONLY`. What says a TLP and cannot be read is
    /// RED ([`unreadable_tags`] tells which tags are meant).
    pub fn from_tag(tag: &str) -> Option<Self> {
        match parse_tag(tag, &TLP) {
            Said::Level(tlp) => Some(tlp),
            Said::Unreadable => Some(Self::Red),
            Said::Nothing => None,
        }
    }

    /// The strictest of the TLP tags in a list; none if there is none.
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// The strictest of the tags that every MISP reads as a TLP: spelt as in its `tlp` taxonomy, in
    /// any case.
    pub fn from_plain_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let is_plain = |tag: &&str, tlp: Self| {
            let white = (tlp == Self::Clear).then_some("tlp:white");
            std::iter::once(tlp.tag())
                .chain(white)
                .any(|name| name.eq_ignore_ascii_case(tag.trim()))
        };

        tags.into_iter()
            .filter_map(|tag| Self::from_tag(tag).filter(|tlp| is_plain(&tag, *tlp)))
            .max()
    }

    /// The word, in capitals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Green => "GREEN",
            Self::Amber => "AMBER",
            Self::AmberStrict => "AMBER+STRICT",
            Self::Red => "RED",
        }
    }

    /// The tag of MISP's `tlp` taxonomy.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Clear => "tlp:clear",
            Self::Green => "tlp:green",
            Self::Amber => "tlp:amber",
            Self::AmberStrict => "tlp:amber+strict",
            Self::Red => "tlp:red",
        }
    }

    /// TheHive's number on the scale of five.
    pub fn number(self) -> u8 {
        match self {
            Self::Clear => 0,
            Self::Green => 1,
            Self::Amber => 2,
            Self::AmberStrict => 3,
            Self::Red => 4,
        }
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
        match number {
            0 => Some(Self::Clear),
            1 => Some(Self::Green),
            2 => Some(Self::Amber),
            3 => Some(Self::Red),
            _ => None,
        }
    }

    /// The strictest of the PAP tags in a list; none if there is none.
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// Reads a tag as people write it, in the forms of [`Tlp::from_tag`]: `PAP:RED`, `pap:white`.
    /// What says a PAP and cannot be read is RED.
    pub fn from_tag(tag: &str) -> Option<Self> {
        match parse_tag(tag, &PAP) {
            Said::Level(pap) => Some(pap),
            Said::Unreadable => Some(Self::Red),
            Said::Nothing => None,
        }
    }

    /// Reads a word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "white" | "clear" => Some(Self::Clear),
            "green" => Some(Self::Green),
            "amber" => Some(Self::Amber),
            "red" => Some(Self::Red),
            _ => None,
        }
    }

    /// The strictest of the tags that every MISP reads as a PAP: spelt as in its `PAP` taxonomy, in
    /// any case.
    pub fn from_plain_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let is_plain = |tag: &&str, pap: Self| {
            let white = (pap == Self::Clear).then_some("PAP:WHITE");
            std::iter::once(pap.tag())
                .chain(white)
                .any(|name| name.eq_ignore_ascii_case(tag.trim()))
        };

        tags.into_iter()
            .filter_map(|tag| Self::from_tag(tag).filter(|pap| is_plain(&tag, *pap)))
            .max()
    }

    /// The word, in capitals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Green => "GREEN",
            Self::Amber => "AMBER",
            Self::Red => "RED",
        }
    }

    /// The tag of MISP's `PAP` taxonomy, whose names are in capitals.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Clear => "PAP:CLEAR",
            Self::Green => "PAP:GREEN",
            Self::Amber => "PAP:AMBER",
            Self::Red => "PAP:RED",
        }
    }

    /// TheHive's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Clear => 0,
            Self::Green => 1,
            Self::Amber => 2,
            Self::Red => 3,
        }
    }
}

/// A marking, as tags say it.
struct Marking<L> {
    name: &'static str,
    read: fn(&str) -> Option<L>,
    amber: L,
}

const TLP: Marking<Tlp> = Marking {
    name: "tlp",
    read: Tlp::from_word,
    amber: Tlp::Amber,
};
const PAP: Marking<Pap> = Marking {
    name: "pap",
    read: Pap::from_word,
    amber: Pap::Amber,
};

/// What a tag says of one marking.
enum Said<L> {
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
fn parse_tag<L: Copy + Ord>(tag: &str, marking: &Marking<L>) -> Said<L> {
    let Marking { name, read, .. } = marking;
    // Nearly no tag is meant, and all of them are looked at.
    let begins = |tag: &str| {
        tag.get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name))
    };
    if tag.is_ascii() && !begins(tag) && tag.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Said::Nothing;
    }
    let plain = tags::fold_name(tag);
    let plain = plain
        .trim_start_matches(|c: char| !c.is_alphanumeric())
        .trim_end_matches([']', ')', '}', '>', ';', ',', '.']);
    let Some(rest) = plain.get(name.len()..).filter(|_| begins(plain)) else {
        return Said::Nothing;
    };

    let Some(word) = strip_version(rest).strip_prefix([':', '=']) else {
        let is_parted = tag
            .trim()
            .chars()
            .nth(name.len())
            .is_some_and(|c| !c.is_alphanumeric());

        let level = read(rest.trim_start_matches(['-', '_', '.', '/'])).filter(|_| is_parted);
        return level
            .or_else(|| level_among_words(tag, marking))
            .map_or(Said::Nothing, Said::Level);
    };

    let word = word.trim_matches([':', '=']);

    match read(word) {
        Some(level) => Said::Level(level),
        None if word.to_ascii_lowercase().starts_with("ex:") => Said::Nothing,
        None => Said::Unreadable,
    }
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
    let Marking { name, read, amber } = marking;
    let is_between = |c: char| !c.is_alphanumeric() && !tags::is_invisible(c);
    let words: Vec<String> = tag.split(is_between).map(tags::fold_name).collect();
    let words = words
        .iter()
        .flat_map(|part| part.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty());
    let mut words = words.peekable();
    if !strip_version(words.next()?.strip_prefix(*name)?).is_empty() {
        return None;
    }
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

    (level >= *amber || read(&words.join(" ")).is_some()).then_some(level)
}

/// The tags that are meant as a TLP or PAP and cannot be read, so that they count as RED.
pub fn unreadable_tags<'a>(
    tags: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = &'a str> {
    tags.into_iter().filter(|tag| {
        matches!(parse_tag(tag, &TLP), Said::Unreadable)
            || matches!(parse_tag(tag, &PAP), Said::Unreadable)
    })
}

#[cfg(test)]
mod tests;
