//! How a secret may be spelt in a text that somebody else wrote: each character as it is, in the other case, or escaped
//! for a URL, for HTML or for JSON, once or several times over; the whole in base64 or in hexadecimal digits. And where it
//! counts as that secret: a long one anywhere, a short one only where it stands as one, for a short password is a word that
//! anybody may write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A secret of so many characters is nobody else's word: it counts wherever it stands.
const LONG: usize = 16;
/// An encoding of a short secret is not searched for if it is shorter: it would be found in others' texts by chance.
const SHORTEST_ENCODED: usize = 8;
/// At most so many characters spell one: `&amp;#x0041;`.
const LONGEST_SPELLING: usize = 12;
/// How often an escape is escaped again, and how many blanks are one.
const MOST_SIGNS: usize = 16;
/// Where the needles that begin with another character than an ASCII one stand.
const OTHERS: usize = 128;

/// The texts that are searched for, found by their first characters.
#[derive(Clone, Default)]
pub(super) struct Needles {
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
    fn of(secret: &str) -> (Self, Self) {
        let is_number = secret.chars().all(|one| one.is_ascii_digit()) && secret.len() < SHORTEST_ENCODED;
        match secret.chars().count() {
            LONG.. => (Self::Anywhere, Self::Anywhere),
            _ if is_number || secret.chars().all(char::is_alphabetic) => (Self::Credential, Self::Credential),
            _ => (Self::Alone, Self::Said),
        }
    }

    /// True if what stands between these two places counts.
    fn is_met(self, text: &str, at: usize, end: usize) -> bool {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(end..).unwrap_or_default());
        match self {
            Self::Anywhere | Self::Said => true,
            Self::Alone => begins_alone(before) && ends_alone(after),
            Self::Credential => is_credential(before, after),
        }
    }
}

/// What a credential is called where it is told.
const CALLED: [&str; 9] =
    ["password", "passwd", "passphrase", "pass", "pwd", "key", "token", "secret", "authorization"];

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
    let is_called =
        (joined.contains(['=', ':']) && ends(&CALLED)) || (!joined.is_empty() && ends(&["basic", "bearer"]));
    is_userinfo || is_escaped || (is_called && ends_alone(after))
}

/// True for a character of a longer word, name or address.
fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || "-_.~/".contains(character)
}

fn begins_alone(before: &str) -> bool {
    let is_escape =
        || before.len() > 2 && before.get(before.len() - 3..).is_some_and(|escape| percent(escape, 0).is_some());
    !before.ends_with(is_of_a_word) || before.ends_with("//") || is_escape()
}

fn ends_alone(after: &str) -> bool {
    let after = after.strip_prefix('.').filter(|rest| !rest.starts_with(char::is_alphanumeric)).unwrap_or(after);
    !after.starts_with(is_of_a_word)
}

impl Needles {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.needles.len()
    }

    /// Takes a secret, with its encodings.
    pub(super) fn add(&mut self, secret: &str) {
        let (counts, encoded_counts) = Counts::of(secret);
        self.push(secret, counts);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for encoded in base64_forms(secret.as_bytes()).into_iter().chain([hex]) {
            if encoded.len() >= SHORTEST_ENCODED {
                self.push(&encoded, encoded_counts);
            }
        }
    }

    fn push(&mut self, text: &str, counts: Counts) {
        let needle: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().map(folded).collect();
        let Some(first) = needle.first().copied() else { return };
        self.by_first.resize_with(OTHERS + 1, Vec::new);
        let Some(same) = self.by_first.get_mut(place(first)) else { return };
        let is_known = |known: &Needle| known.text == needle && known.counts <= counts;
        if !same.iter().any(|known| self.needles.get(*known).is_some_and(is_known)) {
            same.push(self.needles.len());
            self.pairs.resize((OTHERS + 1) * (OTHERS + 1), false);
            let pair = place(first) * OTHERS + needle.get(1).copied().map_or(OTHERS, place);
            self.pairs.get_mut(pair).into_iter().for_each(|pair| *pair = true);
            self.needles.push(Needle { text: needle, counts });
        }
    }

    /// True if a text is as long as a long secret, and there is one.
    pub(super) fn may_hold(&self, text: &str) -> bool {
        text.len() >= LONG && self.needles.iter().any(|needle| needle.counts == Counts::Anywhere)
    }

    /// The most characters that any of them may take in a text.
    pub(super) fn reach(&self) -> usize {
        self.needles.iter().map(|needle| needle.text.len()).max().unwrap_or(0).saturating_mul(LONGEST_SPELLING)
    }

    /// Where they stand in a text, in bytes, from and to, in order; what overlaps is one place. In what came from outside
    /// only long ones count.
    pub(super) fn places(&self, text: &str, is_foreign: bool) -> Vec<(usize, usize)> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        if self.needles.is_empty() {
            return places;
        }
        for (at, rest) in text.char_indices().filter_map(|(at, _)| Some((at, text.get(at..)?))) {
            if !self.may_begin(rest.as_bytes()) {
                continue;
            }
            let Some(end) = self.longest(text, at, is_foreign).map(|length| at + length) else { continue };
            match places.last_mut() {
                Some((_, last)) if at < *last => *last = end.max(*last),
                _ => places.push((at, end)),
            }
        }
        places
    }

    /// False if none of them can begin where these bytes do, as is the case nearly everywhere.
    fn may_begin(&self, text: &[u8]) -> bool {
        let [first, second, ..] = text else { return true };
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && is_plain(char::from(*byte));
        let place = |byte: &u8| usize::from(byte.to_ascii_lowercase());
        let is_pair = || self.pairs.get(place(first) * OTHERS + place(second)) == Some(&true);
        !is_plain(first) || !is_plain(second) || is_pair()
    }

    /// The length in bytes of the longest of them that begins at a place and counts there.
    fn longest(&self, text: &str, at: usize, is_foreign: bool) -> Option<usize> {
        let mut longest = None;
        let rest = text.get(at..)?;
        units(rest, |first, length| {
            let first = folded(first);
            let same =
                self.by_first.get(place(first)).into_iter().flatten().filter_map(|needle| self.needles.get(*needle));
            for needle in same.filter(|needle| !is_foreign || needle.counts == Counts::Anywhere) {
                if let Some((_, more)) = needle.text.split_first().filter(|(known, _)| **known == first)
                    && let Some(length) = spelt(rest, length, more)
                    && needle.counts.is_met(text, at, at + length)
                {
                    longest = longest.max(Some(length));
                }
            }
        });
        longest
    }
}

fn place(first: char) -> usize {
    usize::try_from(u32::from(first)).unwrap_or(OTHERS).min(OTHERS)
}

/// The end of the text's characters that spell these, the first of which stands at `at`. A text can be read in several
/// ways (`%2541` is `%41` or `A`): each is followed.
fn spelt(text: &str, at: usize, wanted: &[char]) -> Option<usize> {
    let mut ends = vec![at];
    for wanted in wanted {
        if let [end] = ends.as_mut_slice()
            && let Some(plain) = text.get(*end..)?.chars().next().filter(|next| is_plain(*next))
        {
            if folded(plain) != *wanted {
                return None;
            }
            *end += plain.len_utf8();
            continue;
        }
        let mut next = Vec::new();
        for end in ends {
            units(text.get(end..)?, |found, length| {
                if folded(found) == *wanted && !next.contains(&(end + length)) {
                    next.push(end + length);
                }
            });
        }
        // Several blanks of the secret became one, so those of the text count as one as well, however each is written.
        let mut at = 0;
        while let Some(end) = next.get(at).copied().filter(|_| *wanted == ' ' && next.len() < MOST_SIGNS) {
            at += 1;
            units(text.get(end..)?, |found, length| {
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

/// True for a character that can be read in one way only.
fn is_plain(character: char) -> bool {
    !matches!(character, '+' | '%' | '&' | '\\') && !character.is_whitespace()
}

/// Servers change the case of what they echo.
fn folded(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let mut lower = character.to_lowercase();
    if lower.len() == 1 { lower.next().unwrap_or(character) } else { character }
}

/// What a text may begin with: characters, and the bytes that spell each.
fn units(text: &str, mut found: impl FnMut(char, usize)) {
    let Some(first) = text.chars().next() else { return };
    if first.is_whitespace() {
        return found(
            ' ',
            text.chars().take(MOST_SIGNS).take_while(|one| one.is_whitespace()).map(char::len_utf8).sum(),
        );
    }
    found(first, first.len_utf8());
    match first {
        '+' => found(' ', 1),
        '%' => of_url(text, found),
        '&' => of_html(text, found),
        '\\' => of_json(text, found),
        _ => {}
    }
}

/// `%2F`, `%252F`, `%C3%A4`, and `%E4` of an old server.
fn of_url(text: &str, mut found: impl FnMut(char, usize)) {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some((byte, end)) = percent(text, at).filter(|_| bytes.len() < 4) {
        bytes.push(byte);
        at = end;
        match std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()) {
            Some(character) => return found_of_url(text, character, at, found),
            None if bytes.len() == 1 => found(char::from(byte), at),
            None => {}
        }
    }
}

fn found_of_url(text: &str, character: char, end: usize, mut found: impl FnMut(char, usize)) {
    found(if character.is_whitespace() { ' ' } else { character }, end);
    // A percent sign that was escaped, before two digits that were not.
    let signs =
        text.as_bytes().get(1..).unwrap_or_default().chunks(2).take(MOST_SIGNS).take_while(|two| *two == b"25").count();
    (1..=signs).map(|signs| 1 + 2 * signs).filter(|length| *length != end).for_each(|length| found('%', length));
}

/// The byte of an escape, and where it ends.
fn percent(text: &str, at: usize) -> Option<(u8, usize)> {
    let mut digits = text.get(at..)?.strip_prefix('%')?;
    let mut end = at + 3;
    while let Some(rest) =
        digits.strip_prefix("25").filter(|rest| end < at + 2 * MOST_SIGNS && number(rest, 2, 16).is_some())
    {
        digits = rest;
        end += 2;
    }
    Some((u8::try_from(number(digits, 2, 16)?).ok()?, end))
}

/// `&#47;`, `&#x2F;`, `&quot;`, `&amp;quot;`.
fn of_html(text: &str, mut found: impl FnMut(char, usize)) {
    let mut rest = text.get(1..).unwrap_or_default();
    while let Some(more) = rest.strip_prefix("amp;").filter(|_| text.len() - rest.len() < 4 * MOST_SIGNS) {
        rest = more;
        found('&', text.len() - rest.len());
    }
    let Some((name, after)) = rest.split_once(';').filter(|(name, _)| name.len() <= 8) else { return };
    let named = [("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("sol", '/'), ("plus", '+'), ("nbsp", ' ')];
    let code = |digits: &str| match digits.strip_prefix(['x', 'X']) {
        Some(digits) => number(digits, digits.len(), 16),
        None => number(digits, digits.len(), 10),
    };
    let character = match name.strip_prefix('#') {
        Some(digits) => code(digits).and_then(char::from_u32),
        None => named.iter().find(|(known, _)| *known == name).map(|(_, character)| *character),
    };
    if let Some(character) = character {
        found(character, text.len() - after.len());
    }
}

/// `\"`, `\/`, `\u002f`, `\x2f`, and the same with more backslashes.
fn of_json(text: &str, mut found: impl FnMut(char, usize)) {
    let signs = text.bytes().take(MOST_SIGNS).take_while(|byte| *byte == b'\\').count();
    let rest = text.get(signs..).unwrap_or_default();
    [2, 4, 8].into_iter().filter(|length| *length <= signs).for_each(|length| found('\\', length));
    let Some(next) = rest.chars().next() else { return };
    let code = |digits: &str, length: usize| number(digits.get(1..)?, length, 16);
    match next {
        'u' | 'U' => {
            let Some(code) = code(rest, 4) else { return found(next, signs + 1) };
            let low = || {
                let low = rest.get(5..)?.strip_prefix(text.get(..signs)?)?.strip_prefix('u')?;
                char::decode_utf16([u16::try_from(code).ok()?, u16::try_from(number(low, 4, 16)?).ok()?]).next()?.ok()
            };
            match (char::from_u32(code), low()) {
                (Some(character), _) => found(character, signs + 5),
                (None, Some(character)) => found(character, 2 * signs + 10),
                (None, None) => {}
            }
        }
        'x' => match code(rest, 2).and_then(char::from_u32) {
            Some(character) => found(character, signs + 3),
            None => found(next, signs + 1),
        },
        'n' | 'r' | 't' => {
            found(' ', signs + 1);
            found(next, signs + 1);
        }
        _ => found(next, signs + next.len_utf8()),
    }
}

/// The number that so many digits at the beginning of a text spell.
fn number(text: &str, length: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..length).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))?;
    u32::from_str_radix(digits, radix).ok()
}

/// The secret inside base64, at each of the three offsets at which it may stand, without the characters at either end
/// that its neighbours decide.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let forms = (0..3).filter_map(|offset| {
        let bytes: Vec<u8> = std::iter::repeat_n(0, offset).chain(secret.iter().copied()).collect();
        let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        STANDARD_NO_PAD.encode(&bytes).get(first..last).map(ToOwned::to_owned)
    });
    forms.flat_map(|form| [form.replace('+', "-").replace('/', "_"), form]).collect()
}
