//! TLP and PAP: words, order, MISP tags, and the numbers of TheHive and Cortex, whose scales differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tags;

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
            "amber+strict" | "amber-strict" | "amber strict" | "amber_strict" | "amber:strict" | "amberstrict" => {
                Some(Self::AmberStrict)
            }
            "red" => Some(Self::Red),
            _ => None,
        }
    }

    /// Reads a tag as people write it: `tlp:amber`, `TLP:AMBER+STRICT`, `tlp:"white"`, `tlp="red"`, ` tlp : red`, `TLP-RED`,
    /// `TLP|RED`, `TLP RED ONLY`.
    /// What says a TLP and cannot be read is RED ([`unreadable`] tells which tags are meant).
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        match said(tag, &TLP) {
            Said::Level(tlp) => Some(tlp),
            Said::Unreadable => Some(Self::Red),
            Said::Nothing => None,
        }
    }

    /// The strictest of the TLP tags in a list; none if there is none.
    #[must_use]
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// The strictest of the tags that every MISP reads as a TLP: spelt as in its `tlp` taxonomy, in any case.
    #[must_use]
    pub fn from_plain_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let is_plain = |tag: &&str, tlp: Self| {
            let white = (tlp == Self::Clear).then_some("tlp:white");
            std::iter::once(tlp.tag()).chain(white).any(|name| name.eq_ignore_ascii_case(tag.trim()))
        };
        tags.into_iter().filter_map(|tag| Self::from_tag(tag).filter(|tlp| is_plain(&tag, *tlp))).max()
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

    /// The strictest of the PAP tags in a list; none if there is none.
    #[must_use]
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        tags.into_iter().filter_map(Self::from_tag).max()
    }

    /// Reads a tag as people write it, in the forms of [`Tlp::from_tag`]: `PAP:RED`, `pap:white`. What says a PAP and cannot
    /// be read is RED.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        match said(tag, &PAP) {
            Said::Level(pap) => Some(pap),
            Said::Unreadable => Some(Self::Red),
            Said::Nothing => None,
        }
    }

    /// Reads a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "white" | "clear" => Some(Self::Clear),
            "green" => Some(Self::Green),
            "amber" => Some(Self::Amber),
            "red" => Some(Self::Red),
            _ => None,
        }
    }

    /// The strictest of the tags that every MISP reads as a PAP: spelt as in its `PAP` taxonomy, in any case.
    #[must_use]
    pub fn from_plain_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let is_plain = |tag: &&str, pap: Self| {
            let white = (pap == Self::Clear).then_some("PAP:WHITE");
            std::iter::once(pap.tag()).chain(white).any(|name| name.eq_ignore_ascii_case(tag.trim()))
        };
        tags.into_iter().filter_map(|tag| Self::from_tag(tag).filter(|pap| is_plain(&tag, *pap))).max()
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

/// A marking, as tags say it.
struct Marking<L> {
    name: &'static str,
    read: fn(&str) -> Option<L>,
    amber: L,
}

const TLP: Marking<Tlp> = Marking { name: "tlp", read: Tlp::from_word, amber: Tlp::Amber };
const PAP: Marking<Pap> = Marking { name: "pap", read: Pap::from_word, amber: Pap::Amber };

/// What a tag says of one marking.
enum Said<L> {
    Level(L),
    /// It is meant as one, and its word is none that is known.
    Unreadable,
    Nothing,
}

/// What a tag says of a marking, in the letters in which [`tags::plain`] reads it: blanks, quotes, characters that nobody sees
/// and brackets around it count for nothing, and letters count by their look.
///
/// It speaks of the marking if it begins with its name, perhaps with a version (`TLP2.0`), and something else than a letter
/// or digit stands behind that. Then it says the level that is left; behind `:` or `=` anything else is meant as one and
/// cannot be read, but for `tlp:ex:chr` of MISP's taxonomy, which is about naming the source. Otherwise it says the
/// strictest level among its words (`TLP|RED`, `TLP RED ONLY`), if any: `tlp-handling` is a tag like any other. Beside
/// further words CLEAR and GREEN count for nothing, so that a sentence (`tlp not clear`) lowers no default.
fn said<L: Copy + Ord>(tag: &str, marking: &Marking<L>) -> Said<L> {
    let Marking { name, read, .. } = marking;
    // Nearly no tag is meant, and all of them are looked at.
    let begins = |tag: &str| tag.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    if tag.is_ascii() && !begins(tag) && tag.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Said::Nothing;
    }
    let plain = tags::plain(tag);
    let plain =
        plain.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end_matches([']', ')', '}', '>', ';', ',', '.']);
    let Some(rest) = plain.get(name.len()..).filter(|_| begins(plain)) else { return Said::Nothing };
    let Some(word) = without_version(rest).strip_prefix([':', '=']) else {
        let is_parted = tag.trim().chars().nth(name.len()).is_some_and(|c| !c.is_alphanumeric());
        let level = read(rest.trim_start_matches(['-', '_', '.', '/'])).filter(|_| is_parted);
        return level.or_else(|| among_words(tag, marking)).map_or(Said::Nothing, Said::Level);
    };
    let word = word.trim_matches([':', '=']);
    match read(word) {
        Some(level) => Said::Level(level),
        None if word.to_ascii_lowercase().starts_with("ex:") => Said::Nothing,
        None => Said::Unreadable,
    }
}

/// What stands behind a version, such as `2.0` or `v2`.
fn without_version(rest: &str) -> &str {
    let version = rest.strip_prefix('v').unwrap_or(rest);
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        version.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    } else {
        rest
    }
}

/// The strictest level among the words of a tag that begins with this one.
fn among_words<L: Copy + Ord>(tag: &str, marking: &Marking<L>) -> Option<L> {
    let Marking { name, read, amber } = marking;
    let is_between = |c: char| !c.is_alphanumeric() && !tags::is_unseen(c);
    let words: Vec<String> = tag.split(is_between).map(tags::plain).collect();
    let words =
        words.iter().flat_map(|part| part.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty());
    let mut words = words.peekable();
    if !without_version(words.next()?.strip_prefix(*name)?).is_empty() {
        return None;
    }
    while words.next_if(|word| without_version(word).is_empty()).is_some() {}
    let words: Vec<&str> = words.collect();
    let pairs = words.windows(2).filter_map(|pair| read(&pair.join(" ")));
    let level = words.iter().filter_map(|word| read(word)).chain(pairs).max()?;
    (level >= *amber || read(&words.join(" ")).is_some()).then_some(level)
}

/// The tags that are meant as a TLP or PAP and cannot be read, so that they count as RED.
pub fn unreadable<'a>(tags: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    tags.into_iter()
        .filter(|tag| matches!(said(tag, &TLP), Said::Unreadable) || matches!(said(tag, &PAP), Said::Unreadable))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn a_tag_is_read_however_people_write_it() {
        for tag in [
            "tlp:red",
            "TLP:RED",
            "tlp:\"red\"",
            " tlp : red",
            "tlp=\"red\"",
            "tlp=red",
            "TLP: Red",
            "TLP RED",
            "tlp-red",
            "tlp_red",
            "\u{200b}tlp:red",
            "tlp:red\u{feff}",
            "ＴＬＰ：ＲＥＤ",
            "tlp:“red”",
            "t\u{61c}lp:red",
            "tlp\u{180e}:red",
            "TLP – RED",
            "tlp∶red",
            "tlp﹕red",
            "ТLP:RЕD",
            "[TLP:RED]",
            "𝐭𝐥𝐩:𝐫𝐞𝐝",
            "tlp:\u{a0}red",
            "TLP|RED",
            "tlp;red",
            "tlp,red",
            "tlp~red",
            "tlp#red",
            "tlp->red",
            "tlp=>red",
            "tlp→red",
            "tlp (red)",
            "tlp[:]red",
            "TLP RED ONLY",
            "TLP:RED ONLY",
            "TLP – RED – no sharing",
            "TLP AMBER or RED",
            "TLP2.0:RED",
            "TLP 2.0 RED",
            "tlpv2|red",
            "ТLP | RЕ\u{ad}D",
        ] {
            assert_eq!(Tlp::from_tag(tag), Some(Tlp::Red), "{tag:?}");
        }
        for tag in [
            "tlp:amber+strict",
            "TLP:AMBER STRICT",
            "tlp:amber-strict",
            "tlp:\"amber+strict\"",
            "TLP:AMBER:STRICT",
            "TLP|AMBER (strict)",
            "TLP AMBER+STRICT ONLY",
        ] {
            assert_eq!(Tlp::from_tag(tag), Some(Tlp::AmberStrict), "{tag:?}");
        }
        for tag in ["pap:red", "PAP:\"RED\"", " PAP : red", "pap=\"red\"", "PAP RED ONLY", "PAP|RED"] {
            assert_eq!(Pap::from_tag(tag), Some(Pap::Red), "{tag:?}");
        }
    }

    #[test]
    fn what_is_meant_as_a_marking_and_cannot_be_read_is_red_and_is_named() {
        let tags = [
            "tlp:rde",
            "tlp:",
            "PAP:purple",
            "tlp:3",
            "TLP2.0:rde",
            "tlp:green",
            "tlp:ex:chr",
            "misp:tlp",
            "tlp-handling",
            "papal",
            "TLP|RED",
        ];
        assert_eq!(unreadable(tags).collect::<Vec<_>>(), ["tlp:rde", "tlp:", "PAP:purple", "tlp:3", "TLP2.0:rde"]);
        assert_eq!((Tlp::from_tag("tlp:rde"), Pap::from_tag("PAP:purple")), (Some(Tlp::Red), Some(Pap::Red)));
        for tag in [
            "tlp:ex:chr",
            "tlp:EX:CHR",
            "tlp-handling",
            "tlpred",
            "tlp2",
            "tlpx red",
            "misp-galaxy:tlp=\"red\"",
            "tl",
            "",
            "papal red",
            "pap-smear",
            "pap smear",
            "tlp not clear",
            "TLP white paper",
            "tlp|rde",
        ] {
            assert_eq!((Tlp::from_tag(tag), Pap::from_tag(tag)), (None, None), "{tag:?}");
        }
        assert_eq!(
            (Tlp::from_tag("TLP|WHITE"), Tlp::from_tag("TLP 2.0 (green)")),
            (Some(Tlp::Clear), Some(Tlp::Green))
        );
    }

    proptest! {
        #[test]
        fn whatever_stands_around_a_level_it_is_never_read_as_less(
            tlp in prop::sample::select(vec![Tlp::Amber, Tlp::AmberStrict, Tlp::Red]),
            before in "[ \\[(#\u{200b}\"]{0,3}",
            version in prop::sample::select(vec!["", "2", "v2", " 2.0"]),
            between in "[-:=|;,~#>/._\\[({→–· ]{1,4}",
            words in "([ /,;|–-][a-z]{1,9}){0,3}",
            more in "([ /,;|–-][a-z]{1,9}){0,3}",
        ) {
            let tag = format!("{before}TLP{version}{between}x{words} {}{more}", tlp.word());
            prop_assert!(Tlp::from_tag(&tag) >= Some(tlp), "{tag:?}");
            let tag = format!("{before}Tlp{version}{between}{}{more}", tlp.word().to_lowercase());
            prop_assert!(Tlp::from_tag(&tag) >= Some(tlp), "{tag:?}");
        }

        #[test]
        fn what_stands_behind_a_colon_is_a_level_or_red(word in "(red|Amber|GREEN|white)?.{0,20}") {
            let plain = tags::plain(&word);
            prop_assume!(!plain.trim_start_matches([':', '=']).starts_with("ex:"));
            let level = Tlp::from_tag(&format!("tlp:{word}"));
            let says = |word: &str| plain.contains(word);
            prop_assert!(level == Some(Tlp::Red) || level.is_some() && ["amber", "green", "white", "clear"].into_iter().any(says));
        }
    }

    #[test]
    fn only_a_plain_tag_counts_for_every_other_misp() {
        assert_eq!(Tlp::from_plain_tags(["tlp:\"red\"", "TLP:Amber", "tlp:rde"]), Some(Tlp::Amber));
        assert_eq!(Tlp::from_plain_tags(["TLP:WHITE"]), Some(Tlp::Clear));
        assert_eq!((Tlp::from_plain_tags(["tlp=red"]), Pap::from_plain_tags(["pap:red"])), (None, Some(Pap::Red)));
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
