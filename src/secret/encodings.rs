//! How a secret may be spelt in a text that somebody else wrote: each character as it is, in the
//! other case, in full width or another of its forms, or escaped for a URL, for HTML, for a mail or
//! for JSON and programs, once or several times over; the whole in base64 or in hexadecimal digits,
//! with something between them or not. Whoever wants to send a secret that he knows in a code of
//! his own can: this is for what servers do by themselves. And where it counts as that secret: a
//! long one anywhere, a short one only where it stands as one, for a short password is a word that
//! anybody may write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use icu_normalizer::DecomposingNormalizerBorrowed;

use super::escapes::{MOST_SIGNS, decode_percent_byte, for_each_reading};

/// A secret of so many characters is nobody else's word: it counts wherever it stands.
const LONG: usize = 16;
/// An encoding of a short secret is not searched for if it is shorter: it would be found in others'
/// texts by chance.
const SHORTEST_ENCODED: usize = 8;
/// At most so many characters spell one: `&amp;#x0041;`.
const LONGEST_SPELLING: usize = 12;
/// Where the needles that begin with another character than an ASCII one stand.
const OTHERS: usize = 128;

/// The texts that are searched for, found by their first characters.
#[derive(Clone, Default)]
pub(super) struct SecretPatterns {
    needles: Vec<Needle>,
    /// Which of them begin with a character of ASCII; last, with any other.
    by_first: Vec<Vec<usize>>,
    /// Whether any begins with these two characters of ASCII: `first * OTHERS + second`.
    pairs: Vec<bool>,
}

/// One text that is searched for.
#[derive(Clone)]
struct Needle {
    text: Vec<char>,
    counts: Counts,
    /// What may stand between its characters.
    between: Between,
}

/// What may stand between the characters of a text that is searched for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Nothing.
    Nothing,
    /// Blanks and line ends: base64 is broken into lines.
    Blanks,
    /// These, signs, and `0x`, after every second one: bytes in hexadecimal digits.
    Signs,
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

impl Counts {
    /// Where a secret counts, and its encodings.
    fn for_secret(secret: &str) -> (Self, Self) {
        let is_number =
            secret.chars().all(|one| one.is_ascii_digit()) && secret.len() < SHORTEST_ENCODED;
        match secret.chars().count() {
            LONG.. => (Self::Anywhere, Self::Anywhere),
            _ if is_number || secret.chars().all(char::is_alphabetic) => {
                (Self::Credential, Self::Credential)
            }
            _ => (Self::Alone, Self::Said),
        }
    }

    /// True if what stands between these two places counts.
    fn is_counted_at(self, text: &str, at: usize, end: usize) -> bool {
        let (before, after) = (
            text.get(..at).unwrap_or_default(),
            text.get(end..).unwrap_or_default(),
        );
        match self {
            Self::Anywhere | Self::Said => true,
            Self::Alone => begins_alone(before) && ends_alone(after),
            Self::Credential => is_credential(before, after),
        }
    }
}

/// What a credential is called where it is told.
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
    let is_escaped = before.to_ascii_lowercase().ends_with("%3a") && after.starts_with("%40");
    let name = before.trim_end_matches(|c: char| c.is_whitespace() || "\"'\\:=".contains(c));
    let joined = before.get(name.len()..).unwrap_or_default();
    let ends = |names: &[&str]| {
        let from = name.floor_char_boundary(name.len().saturating_sub(20));
        let name = name.get(from..).unwrap_or_default().to_ascii_lowercase();
        names.iter().any(|known| name.ends_with(known))
    };

    let is_called = (joined.contains(['=', ':']) && ends(&CALLED))
        || (!joined.is_empty() && ends(&["basic", "bearer"]));
    is_userinfo || is_escaped || (is_called && ends_alone(after))
}

/// True for a character of a longer word, name or address.
fn is_word_char(character: char) -> bool {
    character.is_alphanumeric() || "-_.~/".contains(character)
}

fn begins_alone(before: &str) -> bool {
    let is_escape = || {
        before.len() > 2
            && before
                .get(before.len() - 3..)
                .is_some_and(|escape| decode_percent_byte(escape, 0).is_some())
    };

    !before.ends_with(is_word_char) || before.ends_with("//") || is_escape()
}

fn ends_alone(after: &str) -> bool {
    let after = after
        .strip_prefix('.')
        .filter(|rest| !rest.starts_with(char::is_alphanumeric))
        .unwrap_or(after);
    !after.starts_with(is_word_char)
}

impl SecretPatterns {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.needles.len()
    }

    /// Takes a secret, with its encodings.
    pub(super) fn add(&mut self, secret: &str) {
        let (counts, encoded_counts) = Counts::for_secret(secret);
        self.push(secret, counts, Between::Nothing);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let forms = base64_forms(secret.as_bytes())
            .into_iter()
            .map(|form| (form, Between::Blanks));

        for (encoded, between) in forms.chain([(hex, Between::Signs)]) {
            if encoded.len() >= SHORTEST_ENCODED {
                self.push(&encoded, encoded_counts, between);
            }
        }
    }

    fn push(&mut self, text: &str, counts: Counts, between: Between) {
        let needle: Vec<char> = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .map(fold_char)
            .collect();

        let Some(first) = needle.first().copied() else {
            return;
        };
        self.by_first.resize_with(OTHERS + 1, Vec::new);
        let Some(same) = self.by_first.get_mut(bucket_index(first)) else {
            return;
        };
        let is_known = |known: &Needle| known.text == needle && known.counts <= counts;
        if !same
            .iter()
            .any(|known| self.needles.get(*known).is_some_and(is_known))
        {
            same.push(self.needles.len());
            self.pairs.resize((OTHERS + 1) * (OTHERS + 1), false);
            let pair =
                bucket_index(first) * OTHERS + needle.get(1).copied().map_or(OTHERS, bucket_index);
            self.pairs
                .get_mut(pair)
                .into_iter()
                .for_each(|pair| *pair = true);
            self.needles.push(Needle {
                text: needle,
                counts,
                between,
            });
        }
    }

    /// True if a text is as long as a long secret, and there is one.
    pub(super) fn may_hold(&self, text: &str) -> bool {
        text.len() >= LONG
            && self
                .needles
                .iter()
                .any(|needle| needle.counts == Counts::Anywhere)
    }

    /// The most characters that any of them may take in a text.
    pub(super) fn max_spelling_length(&self) -> usize {
        self.needles
            .iter()
            .map(|needle| needle.text.len())
            .max()
            .unwrap_or(0)
            .saturating_mul(LONGEST_SPELLING)
    }

    /// Where they stand in a text, in bytes, from and to, in order; what overlaps is one place. In
    /// what came from outside only long ones count.
    pub(super) fn find_all(&self, text: &str, is_foreign: bool) -> Vec<(usize, usize)> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        if self.needles.is_empty() {
            return places;
        }
        for (at, rest) in text
            .char_indices()
            .filter_map(|(at, _)| Some((at, text.get(at..)?)))
        {
            if !self.may_begin(rest.as_bytes()) {
                continue;
            }

            let Some(end) = self
                .longest_match(text, at, is_foreign)
                .map(|length| at + length)
            else {
                continue;
            };

            match places.last_mut() {
                Some((_, last)) if at < *last => *last = end.max(*last),
                _ => places.push((at, end)),
            }
        }

        places
    }

    /// False if none of them can begin where these bytes do, as is the case nearly everywhere.
    fn may_begin(&self, text: &[u8]) -> bool {
        let [first, second, ..] = text else {
            return true;
        };
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && is_unambiguous(char::from(*byte));
        let place = |byte: &u8| usize::from(byte.to_ascii_lowercase());
        let is_pair = || self.pairs.get(place(first) * OTHERS + place(second)) == Some(&true);

        !is_plain(first) || !is_plain(second) || is_pair()
    }

    /// The length in bytes of the longest of them that begins at a place and counts there.
    fn longest_match(&self, text: &str, at: usize, is_foreign: bool) -> Option<usize> {
        let mut longest = None;
        let rest = text.get(at..)?;

        for_each_reading(rest, |first, length| {
            let first = fold_char(first);
            let same = self
                .by_first
                .get(bucket_index(first))
                .into_iter()
                .flatten()
                .filter_map(|needle| self.needles.get(*needle));

            for needle in same.filter(|needle| !is_foreign || needle.counts == Counts::Anywhere) {
                if let Some((_, more)) = needle
                    .text
                    .split_first()
                    .filter(|(known, _)| **known == first)
                    && let Some(length) = match_spelling(rest, length, more, needle.between)
                    && needle.counts.is_counted_at(text, at, at + length)
                {
                    longest = longest.max(Some(length));
                }
            }
        });

        longest
    }
}

fn bucket_index(first: char) -> usize {
    usize::try_from(u32::from(first))
        .unwrap_or(OTHERS)
        .min(OTHERS)
}

/// The end of the text's characters that spell these, the first of which stands at `at`. A text can
/// be read in several ways (`%2541` is `%41` or `A`): each is followed.
fn match_spelling(text: &str, at: usize, wanted: &[char], between: Between) -> Option<usize> {
    let mut ends = vec![at];

    for (place, wanted) in wanted.iter().enumerate() {
        if let [end] = ends.as_mut_slice()
            && let Some(plain) = text
                .get(*end..)?
                .chars()
                .next()
                .filter(|next| is_unambiguous(*next))
        {
            if fold_char(plain) == *wanted {
                *end += plain.len_utf8();
                continue;
            }
            if between == Between::Nothing {
                return None;
            }
        }

        let mut next = Vec::new();
        let behind: Vec<usize> = ends
            .iter()
            .filter_map(|end| between.end_of_gap(text, *end, place + 1))
            .collect();
        for end in ends.into_iter().chain(behind) {
            for_each_reading(text.get(end..)?, |found, length| {
                if fold_char(found) == *wanted && !next.contains(&(end + length)) {
                    next.push(end + length);
                }
            });
        }

        // Several blanks of the secret became one, so those of the text count as one as well,
        // however each is written.
        let mut at = 0;
        while let Some(end) = next
            .get(at)
            .copied()
            .filter(|_| *wanted == ' ' && next.len() < MOST_SIGNS)
        {
            at += 1;
            for_each_reading(text.get(end..)?, |found, length| {
                if found == ' ' && !next.contains(&(end + length)) {
                    next.push(end + length);
                }
            });
        }

        if next.is_empty() {
            return None;
        }
        ends = next;
    }

    ends.into_iter().max()
}

impl Between {
    /// Where that ends which stands between two characters, the second of which is at this place of
    /// the needle; none if there is no such thing.
    fn end_of_gap(self, text: &str, at: usize, place: usize) -> Option<usize> {
        if self == Self::Nothing || (self == Self::Signs && place % 2 == 1) {
            return None;
        }
        let mut end = at;

        for _ in 0..2 {
            let rest = text.get(end..)?;
            let mut blank = 0;
            for_each_reading(rest, |found, length| {
                blank = if found == ' ' {
                    length.max(blank)
                } else {
                    blank
                }
            });

            end += match rest.chars().next() {
                _ if blank > 0 => blank,
                Some(':' | ',' | ';' | '-') if self == Self::Signs => 1,
                _ => 0,
            };
        }

        let is_number = self == Self::Signs && text.get(end..)?.starts_with("0x");
        let end = if is_number { end + 2 } else { end };

        (end > at && end - at < LONGEST_SPELLING).then_some(end)
    }
}

/// True for a character that can be read in one way only.
fn is_unambiguous(character: char) -> bool {
    !matches!(character, '+' | '%' | '&' | '\\' | '=') && !character.is_whitespace()
}

/// Servers change the case of what they echo; and letters of full width, in bold or in circles are
/// the same to Unicode.
fn fold_char(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let mut forms =
        DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(std::iter::once(character));
    let (same, more) = (forms.next().unwrap_or(character), forms.next());
    let character = if more.is_none() { same } else { character };
    let mut lower = character.to_lowercase();

    if lower.len() == 1 {
        lower.next().unwrap_or(character)
    } else {
        character
    }
}

/// The secret inside base64, at each of the three offsets at which it may stand, without the
/// characters at either end that its neighbours decide.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let forms = (0..3).filter_map(|offset| {
        let bytes: Vec<u8> = std::iter::repeat_n(0, offset)
            .chain(secret.iter().copied())
            .collect();
        let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        STANDARD_NO_PAD
            .encode(&bytes)
            .get(first..last)
            .map(ToOwned::to_owned)
    });

    forms
        .flat_map(|form| [form.replace('+', "-").replace('/', "_"), form])
        .collect()
}
