//! TLP and PAP: words, order, MISP tags, and the numbers of TheHive and Cortex, whose scales differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The traffic light protocol, version 2, from open to closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

/// How many TLP levels a TheHive knows: TheHive 4, 5.0 and 5.1 have four (3 is RED), 5.2 and later five (3 is
/// AMBER+STRICT, 4 is RED; TheHive's release notes of 5.2.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 0 WHITE to 3 RED.
    Four,
    /// 0 CLEAR to 4 RED.
    Five,
}

impl Tlp {
    /// Reads TheHive's number; anything outside the scale is none.
    #[must_use]
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
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "white" | "clear" => Some(Self::Clear),
            "green" => Some(Self::Green),
            "amber" => Some(Self::Amber),
            "amber+strict" | "amber-strict" | "amber strict" => Some(Self::AmberStrict),
            "red" => Some(Self::Red),
            _ => None,
        }
    }

    /// Reads a MISP tag in any case: `tlp:amber`, `TLP:AMBER+STRICT`, `tlp:white`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::from_word(after_prefix(tag, "tlp:")?.trim_matches('"'))
    }

    /// The strictest of the TLP tags in a list; none if there is none.
    #[must_use]
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// The word, in capitals.
    #[must_use]
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
    #[must_use]
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
    #[must_use]
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
    #[must_use]
    pub fn cortex(self) -> u8 {
        self.number().min(3)
    }

    /// True for what may not be passed on: RED and AMBER+STRICT.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self >= Self::AmberStrict
    }
}

/// The permissible actions protocol, from open to closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Clear),
            1 => Some(Self::Green),
            2 => Some(Self::Amber),
            3 => Some(Self::Red),
            _ => None,
        }
    }

    /// The strictest of the PAP tags in a list, in any case; none if there is none.
    #[must_use]
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// Reads a MISP tag in any case: `PAP:RED`, `pap:white`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        match after_prefix(tag, "pap:")?.trim_matches('"').to_ascii_lowercase().as_str() {
            "white" | "clear" => Some(Self::Clear),
            "green" => Some(Self::Green),
            "amber" => Some(Self::Amber),
            "red" => Some(Self::Red),
            _ => None,
        }
    }

    /// The word, in capitals.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Green => "GREEN",
            Self::Amber => "AMBER",
            Self::Red => "RED",
        }
    }

    /// The tag of MISP's `PAP` taxonomy, whose names are in capitals.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Clear => "PAP:CLEAR",
            Self::Green => "PAP:GREEN",
            Self::Amber => "PAP:AMBER",
            Self::Red => "PAP:RED",
        }
    }

    /// TheHive's number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Clear => 0,
            Self::Green => 1,
            Self::Amber => 2,
            Self::Red => 3,
        }
    }
}

fn after_prefix<'a>(tag: &'a str, prefix: &str) -> Option<&'a str> {
    let tag = tag.trim();
    let head = tag.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| tag.get(prefix.len()..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_is_red_or_amber_strict_by_scale() {
        assert_eq!(Tlp::from_number(3, Scale::Four), Some(Tlp::Red));
        assert_eq!(Tlp::from_number(3, Scale::Five), Some(Tlp::AmberStrict));
        assert_eq!(Tlp::from_number(4, Scale::Four), Some(Tlp::Red));
        assert_eq!(Tlp::from_number(5, Scale::Five), None);
        assert_eq!(Tlp::from_number(-1, Scale::Five), None);
    }

    #[test]
    fn tags_are_read_in_every_spelling_and_the_strictest_counts() {
        assert_eq!(Tlp::from_tags(["TLP:White", "tlp:amber+strict", "osint"]), Some(Tlp::AmberStrict));
        assert_eq!(Tlp::from_tags(["tlp:ex:chr", "type:OSINT"]), None);
        assert_eq!(Pap::from_tags(["pap:white", "PAP:GREEN"]), Some(Pap::Green));
    }

    #[test]
    fn words_tags_and_numbers_go_round() {
        for tlp in [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red] {
            assert_eq!(Tlp::from_tag(tlp.tag()), Some(tlp));
            assert_eq!(Tlp::from_word(tlp.word()), Some(tlp));
            assert_eq!(Tlp::from_number(i64::from(tlp.number()), Scale::Five), Some(tlp));
        }
        for pap in [Pap::Clear, Pap::Green, Pap::Amber, Pap::Red] {
            assert_eq!(Pap::from_tag(pap.tag()), Some(pap));
            assert_eq!(Pap::from_number(i64::from(pap.number())), Some(pap));
        }
    }
}
