//! How a secret may be spelt in a text that somebody else wrote, and where it counts as that
//! secret: a long one anywhere, a short one only where it stands as one, for a short password is a
//! word that anybody may write.
//!
//! A text is searched as it is and once for each time that its escapes can be undone. Each of these
//! readings is searched in small letters, in which letters in bold or of full width are the plain
//! ones, for the secrets themselves; and without blanks and signs, for their base64 and hexadecimal
//! digits, which come in lines and groups. Whoever wants to send a secret that he knows in a code
//! of his own can: this is for what servers do by themselves.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use icu_normalizer::DecomposingNormalizerBorrowed;

use super::escapes::unescape;

/// A shorter secret is never printed by us, but is not searched for in others' texts: it would
/// remove half of them.
const SHORTEST: usize = 4;
/// A secret of so many characters is nobody else's word: it counts wherever it stands.
const LONG: usize = 16;
/// An encoding of a short secret is not searched for if it is shorter: it would be found in others'
/// texts by chance.
const SHORTEST_ENCODED: usize = 8;
/// At most so many characters of a text spell one: `&amp;#x0041;`.
const LONGEST_SPELLING: usize = 12;
/// How often escapes are undone that were escaped again.
const MOST_LEVELS: usize = 8;

/// The texts that are searched for.
#[derive(Clone, Default)]
pub struct SecretPatterns {
    /// The secrets themselves.
    plain: PatternSet,
    /// Their encodings.
    encoded: PatternSet,
    /// The most characters that any of them may take in a text.
    pub reach: usize,
}

/// Texts that are searched for at once, and where each counts.
#[derive(Clone, Default)]
struct PatternSet {
    automaton: Option<AhoCorasick>,
    counts: Vec<Counts>,
}

/// Where a text that is searched for counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Counts {
    /// Anywhere: a long secret, also in what came from outside.
    Anywhere,
    /// In what is said, wherever it stands: the encoding of a short secret.
    Said,
    /// In what is said, if it stands alone: a short secret.
    Alone,
    /// In what is said, if it stands as a credential: a word such as `pass`.
    Credential,
}

impl SecretPatterns {
    /// Takes secrets, with their encodings.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let (mut plain, mut encoded) = (BTreeMap::new(), BTreeMap::new());
        for secret in secrets.filter(|secret| secret.len() >= SHORTEST) {
            // What looks escaped in a secret is undone where something else of it was escaped.
            for reading in Reading::new(secret).levels() {
                if reading.text.len() >= SHORTEST {
                    add(&mut plain, reading.fold().text, Counts::of(&reading.text));
                }
            }

            // The encoding of a word is no word, so it need not stand alone.
            let counts = match Counts::of(secret) {
                Counts::Alone => Counts::Said,
                counts => counts,
            };
            for encoding in encode(secret.as_bytes()) {
                if encoding.len() >= SHORTEST_ENCODED {
                    let text = Reading::new(&encoding).fold_encoded().text;
                    add(&mut encoded, text, counts);
                }
            }
        }

        let longest = plain.keys().chain(encoded.keys()).map(String::len).max();
        Self {
            reach: longest.unwrap_or(0).saturating_mul(LONGEST_SPELLING),
            plain: PatternSet::new(plain),
            encoded: PatternSet::new(encoded),
        }
    }

    /// True if a text is as long as a long secret, and there is one.
    pub fn may_hold(&self, text: &str) -> bool {
        text.len() >= LONG && self.plain.counts.contains(&Counts::Anywhere)
    }

    /// Where they stand in a text, in bytes, in order; what overlaps is one place. In what came
    /// from outside only long ones count.
    pub fn find_all(&self, text: &str, is_foreign: bool) -> Vec<Range<usize>> {
        if self.plain.counts.is_empty() {
            return Vec::new();
        }

        let mut found = Vec::new();
        for reading in Reading::new(text).levels() {
            // What stands behind `key=` may look like an escape of a mail: both readings count.
            for reading in [reading.unescape(&['=']), Some(reading)].iter().flatten() {
                found.extend(self.plain.find_all(reading, reading.fold(), is_foreign));
                found.extend(
                    self.encoded
                        .find_all(reading, reading.fold_encoded(), is_foreign),
                );
            }
        }
        found.sort_unstable_by_key(|place| place.start);

        let mut places: Vec<Range<usize>> = Vec::new();
        for place in found {
            match places.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => places.push(place),
            }
        }

        places
    }
}

/// Texts that are searched for, and where each counts. Of two secrets that are spelt alike the
/// wider rule holds.
type Patterns = BTreeMap<String, Counts>;

fn add(patterns: &mut Patterns, text: String, counts: Counts) {
    if !text.trim().is_empty() {
        let known = patterns.entry(text).or_insert(counts);
        *known = counts.min(*known);
    }
}

impl PatternSet {
    fn new(patterns: Patterns) -> Self {
        // The kind that is made fast: most runs have little to search.
        let mut builder = AhoCorasick::builder();
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));

        Self {
            // It could fail beyond 2^31 states, more than any job can ask for.
            automaton: builder.build(patterns.keys()).ok(),
            counts: patterns.into_values().collect(),
        }
    }

    /// Where they stand in the text that a folded reading was made of.
    fn find_all(&self, reading: &Reading, folded: Reading, is_foreign: bool) -> Vec<Range<usize>> {
        let hits = self.automaton.iter();
        let hits = hits.flat_map(|automaton| automaton.find_overlapping_iter(&folded.text));
        let places = hits.filter_map(|hit| {
            let counts = *self.counts.get(hit.pattern().as_usize())?;
            let start = folded.start(hit.start());
            // What was folded away behind the last character is no part of the secret.
            let last = folded.start(hit.end() - 1);
            let end = last + reading.text.get(last..)?.chars().next()?.len_utf8();

            let (before, after) = (reading.text.get(..start)?, reading.text.get(end..)?);
            let does_count = match is_foreign {
                true => counts == Counts::Anywhere,
                false => counts.is_counted_between(before, after),
            };
            does_count.then(|| reading.start(start)..reading.start(end))
        });

        places.collect()
    }
}

/// One way to read a text.
#[derive(Default)]
struct Reading {
    text: String,
    /// For each byte, and perhaps for the end, where its character began in what was read; empty if
    /// this is the text itself.
    starts: Vec<usize>,
}

impl Reading {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// Where what was read has what is at this place.
    fn start(&self, at: usize) -> usize {
        self.starts.get(at).copied().unwrap_or(at)
    }

    /// This reading, and those with one level of escapes undone after the other.
    fn levels(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |reading| reading.unescape(&['%', '&', '\\']))
            .take(1 + MOST_LEVELS)
    }

    /// The same of the text itself, with the escapes undone that begin with these signs, if there
    /// are any.
    fn unescape(&self, signs: &[char]) -> Option<Self> {
        let (mut text, mut starts) = (String::new(), Vec::new());
        let mut rest = self.text.as_str();
        // Nearly no text has one.
        if !rest.contains(signs) {
            return None;
        }
        while let Some(plain) = rest.chars().next() {
            let escaped = signs.contains(&plain).then(|| unescape(rest)).flatten();
            let (character, length) = escaped.unwrap_or((plain, plain.len_utf8()));
            text.push(character);
            // One place for each byte of the character.
            starts.resize(text.len(), self.start(self.text.len() - rest.len()));
            rest = rest.get(length..)?;
        }
        starts.push(self.start(self.text.len()));

        // A text without escapes is the last level.
        (text != self.text).then_some(Self { text, starts })
    }

    /// For secrets as they are: blanks, which a form writes as `+`, are one blank.
    fn fold(&self) -> Self {
        let mut is_behind_blank = false;
        self.fold_with(|character| {
            let letter = fold_char(character);
            let is_blank = letter == '+' || letter.is_whitespace();
            let is_repeated = is_blank && is_behind_blank;
            is_behind_blank = is_blank;
            (!is_repeated).then_some(if is_blank { ' ' } else { letter })
        })
    }

    /// For encodings: without the blanks and signs that may stand in them.
    fn fold_encoded(&self) -> Self {
        self.fold_with(|character| match character {
            ':' | ',' | ';' | '-' | '_' | '+' | '/' => None,
            _ => (!character.is_whitespace()).then(|| fold_char(character)),
        })
    }

    fn fold_with(&self, mut fold: impl FnMut(char) -> Option<char>) -> Self {
        let mut folded = Self::default();
        for (at, character) in self.text.char_indices() {
            if let Some(letter) = fold(character) {
                folded.text.push(letter);
                folded.starts.resize(folded.text.len(), at);
            }
        }

        folded
    }
}

/// Servers change the case of what they echo; and letters of full width, in bold or in circles are
/// the same to Unicode.
fn fold_char(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    // What becomes several characters stays as it is.
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    let same = single(normalizer.normalize_iter(std::iter::once(character))).unwrap_or(character);
    single(same.to_lowercase()).unwrap_or(same)
}

/// The only one; none if there are several.
fn single(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    first.filter(|_| characters.next().is_none())
}

/// A secret in hexadecimal digits, the same with `0x` before each byte, and in base64 at each of
/// the three offsets at which it may stand, without the characters at either end that its
/// neighbours decide.
fn encode(secret: &[u8]) -> impl Iterator<Item = String> {
    let base64 = (0..3).filter_map(move |offset: usize| {
        let bytes = [&vec![0; offset], secret].concat();
        let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        let encoded = STANDARD_NO_PAD.encode(bytes);
        encoded.get(first..last).map(ToOwned::to_owned)
    });
    let hex = |before: &str| -> String {
        let bytes = secret.iter();
        bytes.map(|byte| format!("{before}{byte:02x}")).collect()
    };

    base64.chain([hex(""), hex("0x")])
}

impl Counts {
    /// Where a secret counts.
    fn of(secret: &str) -> Self {
        // So few digits are more often a number or an id than a password.
        let is_number =
            secret.len() < SHORTEST_ENCODED && secret.chars().all(|c| c.is_ascii_digit());
        match secret.chars().count() {
            LONG.. => Self::Anywhere,
            _ if is_number || secret.chars().all(char::is_alphabetic) => Self::Credential,
            _ => Self::Alone,
        }
    }

    /// True if what stands between these two texts counts in what is said.
    fn is_counted_between(self, before: &str, after: &str) -> bool {
        match self {
            Self::Anywhere | Self::Said => true,
            Self::Alone => begins_alone(before) && ends_alone(after),
            Self::Credential => is_credential(before, after),
        }
    }
}

/// What credentials are called in texts.
const CALLED: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "key",
    "token",
    "secret",
    "authorization",
];

/// True between `user:` and `@`, and behind `password=`, `"key": "` or `Basic `.
fn is_credential(before: &str, after: &str) -> bool {
    let is_userinfo = (before.ends_with(':') || before.ends_with("//")) && after.starts_with('@');
    let name = before.trim_end_matches(|c: char| c.is_whitespace() || "\"'\\:=".contains(c));
    let joined = before.get(name.len()..).unwrap_or_default();
    let from = name.floor_char_boundary(name.len().saturating_sub(20));
    let name = name.get(from..).unwrap_or_default().to_ascii_lowercase();
    let ends = |names: &[&str]| names.iter().any(|known| name.ends_with(known));

    let is_called = (joined.contains(['=', ':']) && ends(&CALLED))
        || (!joined.is_empty() && ends(&["basic", "bearer"]));
    is_userinfo || (is_called && ends_alone(after))
}

/// True for a character of a longer word, name or address.
fn is_word_char(character: char) -> bool {
    character.is_alphanumeric() || "-_.~/".contains(character)
}

fn begins_alone(before: &str) -> bool {
    !before.ends_with(is_word_char) || before.ends_with("//")
}

fn ends_alone(after: &str) -> bool {
    // A full stop may end a sentence; with a letter behind it the word goes on.
    let after = after
        .strip_prefix('.')
        .filter(|rest| !rest.starts_with(char::is_alphanumeric))
        .unwrap_or(after);
    !after.starts_with(is_word_char)
}
