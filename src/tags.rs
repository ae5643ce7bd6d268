//! Tag names: the vocabulary of this program, which of a tag's spellings belong to it, and
//! wildcards.
//!
//! A tag of the vocabulary steers an export or says what an import wrote, so it counts only when it
//! was set here: by this program, or by an analyst. One that comes with an event or an attribute of
//! MISP is left out ([`is_reserved`]).

use std::cmp::Ordering;
use std::fmt;

use icu_normalizer::DecomposingNormalizerBorrowed;
use uuid::Uuid;

use crate::text::is_hidden;

/// On a case: the event that it is exported to, `misp:event="<connection>:<uuid>"`.
pub const EVENT: &str = "misp:event";
/// On a case: the connection that it is exported to.
pub const TO: &str = "misp:to";
/// On an observable: the attribute type that it has in MISP.
pub const TYPE: &str = "misp:type";
/// On an observable: the attribute category that it has in MISP.
pub const CATEGORY: &str = "misp:category";
/// On an observable: the composite that it is a half of,
/// `misp:composite="<type>:<event>:<attribute>[:<port>]"`.
pub const COMPOSITE: &str = "misp:composite";
/// On an observable: the object that it stands in, `misp:object="<name>:<event>:<object>"`.
pub const OBJECT: &str = "misp:object";
/// On an observable: its place in that object.
pub const OBJECT_RELATION: &str = "misp:object-relation";
/// On an observable: when it was seen first.
pub const FIRST_SEEN: &str = "misp:first-seen";
/// On an observable: when it was seen last.
pub const LAST_SEEN: &str = "misp:last-seen";
/// On a file: the attribute that it was read from.
pub const ATTRIBUTE: &str = "misp:attribute";
/// On an observable: a warninglist of MISP that its value is on.
pub const WARNINGLIST: &str = "misp:warninglist";
/// On an alert whose event is gone from MISP.
pub const WITHDRAWN: &str = "misp:withdrawn";
/// On an alert that got an IOC after it was created.
pub const UPDATED: &str = "misp:updated";
/// How the tag begins that names the creator organisation of an alert's event.
pub const SOURCE: &str = "src:";

/// On a case: the event of MISP that its IOCs go into in place of one of its own,
/// `misp:into="<connection>:<uuid or number>"`.
pub const INTO: &str = "misp:into";
/// On an observable: what an export says of its attribute, `misp:sighting="false-positive"`.
pub const SIGHTING: &str = "misp:sighting";
/// On an observable: how often its attribute was sighted as a false positive.
pub const FALSE_POSITIVES: &str = "misp:false-positives";
/// On an observable: the day on which its attribute expires, or did.
pub const EXPIRATION: &str = "misp:expiration";

/// The vocabulary, but for [`SOURCE`]. No word of MISP's own taxonomy `misp` is in it
/// (`misp:confidence-level`, `misp:threat-level`, `misp:automation-level`, `misp:tool`, …).
const OWN: [&str; 17] = [
    EVENT,
    TO,
    TYPE,
    CATEGORY,
    COMPOSITE,
    OBJECT,
    OBJECT_RELATION,
    FIRST_SEEN,
    LAST_SEEN,
    ATTRIBUTE,
    WARNINGLIST,
    WITHDRAWN,
    UPDATED,
    INTO,
    SIGHTING,
    FALSE_POSITIVES,
    EXPIRATION,
];

/// The tag `<name>="<value>"`.
pub fn build(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

/// What a tag `<name>="<value>"` says, with or without quotes, and with blanks around each part;
/// none if it is another tag. The name is one of the vocabulary, such as [`TO`].
pub fn parse_value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (written, value) = tag.split_once('=')?;
    let (namespace, word) = written.split_once(':')?;
    let (own_namespace, own_word) = name.split_once(':')?;
    let is_name = namespace.trim().eq_ignore_ascii_case(own_namespace)
        && word.trim().eq_ignore_ascii_case(own_word);
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let bare = quoted.unwrap_or(value).trim();

    (is_name && !bare.is_empty()).then_some(bare)
}

/// Of several tags that say how often an attribute was sighted as a false positive, or when it
/// expires, the one that says most is kept: a value that several attributes have is tagged alike in
/// whatever order they are read, and again when it is read again.
pub fn keep_greatest(tags: &mut Vec<String>) {
    let number = |value: &str| value.parse::<u64>().unwrap_or(0);
    keep_one(tags, FALSE_POSITIVES, |left, right| {
        number(left).cmp(&number(right))
    });
    keep_one(tags, EXPIRATION, str::cmp);
}

fn keep_one(tags: &mut Vec<String>, name: &str, compare: impl Fn(&str, &str) -> Ordering) {
    let values = tags.iter().filter_map(|tag| parse_value(tag, name));
    let Some(kept) = values
        .max_by(|left, right| compare(left, right))
        .map(ToOwned::to_owned)
    else {
        return;
    };
    let mut is_there = false;
    tags.retain(|tag| match parse_value(tag, name) {
        Some(value) if value == kept => !std::mem::replace(&mut is_there, true),
        Some(_) => false,
        None => true,
    });
}

/// What a tag [`COMPOSITE`] or [`OBJECT`] says: what its observables were together in MISP. Only
/// the whole identity joins them; the first 8 digits of a uuid, which version 1.0 wrote, are chosen
/// by whoever sends it, and join nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The composite's type, or the object's name.
    pub name: &'a str,
    /// The event, and the attribute or object in it; none if the tag does not say both.
    pub whole: Option<(Uuid, Uuid)>,
    /// A composite's port.
    pub port: Option<&'a str>,
}

impl<'a> Link<'a> {
    /// Reads the value of such a tag; none if it names nothing.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (name, rest) = value.split_once(':')?;
        // The parser also reads spellings that this program never writes.
        let uuid = |text: &str| Uuid::parse_str(text).ok().filter(|_| text.len() == 36);
        let mut parts = rest.splitn(3, ':');
        let whole = parts.next().and_then(uuid).zip(parts.next().and_then(uuid));
        // Version 1.0 wrote 8 digits there, and the port behind them.
        let port = if whole.is_some() {
            parts.next()
        } else {
            rest.split_once(':').map(|(_, port)| port)
        };

        Some(Self { name, whole, port })
    }
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.whole
            .iter()
            .try_for_each(|(event, part)| write!(f, ":{event}:{part}"))?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

/// True for a tag of the vocabulary, and for any spelling that TheHive, MISP or a person would take
/// for one: in any case, with blanks and quotes anywhere or none, with characters that are not
/// seen, accents, full-width letters and letters of other alphabets that look alike.
///
/// TheHive reads `misp.to` as `misp:to`, takes a colour such as `#ff0000` off the end, and shows no
/// namespace that begins with `_` (`Tag.fromString` and `Tag.toString` in TheHive 4's `Tag.scala`);
/// MISP looks a tag up in any case (`Tag.php`, `captureTag`), and otherwise by its letters
/// (`tags.name` is `utf8mb3_bin`).
pub fn is_reserved(tag: &str) -> bool {
    reserved_word(tag).is_some()
}

/// The word of the vocabulary that a tag is, in any of the spellings of [`is_reserved`].
fn reserved_word(tag: &str) -> Option<&'static str> {
    let plain = fold_name(tag);
    if plain.starts_with(SOURCE) {
        return Some(SOURCE);
    }
    let (namespace, rest) = split_namespace(&plain)?;
    // The word ends at its value, or at a colour such as `#ff0000`.
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '-')
        .unwrap_or(rest.len());
    let word = rest.get(..end).filter(|_| namespace == "misp")?;

    OWN.into_iter()
        .find(|own| own.strip_prefix("misp:") == Some(word))
}

/// The word that a tag is meant to be and whose value cannot be read from it, of those that need
/// one: it is spelt in a way that [`parse_value`] does not know, or says nothing.
pub fn mistyped_word(tag: &str) -> Option<&'static str> {
    const WITHOUT_VALUE: [&str; 5] = [WITHDRAWN, UPDATED, SOURCE, FALSE_POSITIVES, EXPIRATION];

    let word = reserved_word(tag).or_else(|| misspelt_target(tag))?;
    (!WITHOUT_VALUE.contains(&word) && parse_value(tag, word).is_none()).then_some(word)
}

/// [`TO`] or [`INTO`], where something else stands between its words, such as `misp-to="x"` and
/// `misp:to "x"`: where a case may go is not to be read past.
fn misspelt_target(tag: &str) -> Option<&'static str> {
    let plain: Vec<_> = tag.split_whitespace().map(fold_name).collect();
    let plain = plain.join(" ");
    let mut words = plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let is_word = tag.contains(['=', '"']) && words.next() == Some("misp");
    let word = words.next().filter(|_| is_word)?;
    [TO, INTO]
        .into_iter()
        .find(|own| own.strip_prefix("misp:") == Some(word))
}

/// True for a tag that may go out as it is. What begins with `misp:`, `src:`, `tlp:` or `pap:`,
/// however it is spelt, means something to this program: TLP and PAP go out by their own rules, the
/// others not at all.
pub fn is_exportable(tag: &str) -> bool {
    let plain = fold_name(tag);
    let is_word = ["misp:", SOURCE, "tlp:", "pap:"]
        .iter()
        .any(|beginning| plain.starts_with(beginning));
    !tag.trim().is_empty() && !is_word && !is_reserved(tag)
}

/// What stands before and behind the first `:` or `.`, without the namespaces that TheHive does not
/// show.
fn split_namespace(plain: &str) -> Option<(&str, &str)> {
    let (mut namespace, mut rest) = plain.split_once([':', '.'])?;
    while namespace.starts_with('_') {
        (namespace, rest) = rest.split_once([':', '.'])?;
    }
    Some((namespace, rest))
}

/// The beginning of a text, as far as a word of this program can reach, in the letters in which
/// these are spelt.
pub fn fold_name(tag: &str) -> String {
    const LONGEST: usize = 256;

    // Nearly all tags are ASCII, and need none of Unicode's tables.
    if tag.is_ascii() {
        return tag
            .chars()
            .filter_map(significant_char)
            .map(|c| c.to_ascii_lowercase())
            .take(LONGEST)
            .collect();
    }

    fold_letters(tag)
        .filter_map(significant_char)
        .take(LONGEST)
        .collect()
}

/// The characters of a text, in small letters, each as the one of ASCII that it looks like, if any.
fn fold_letters(text: &str) -> impl Iterator<Item = char> {
    // Looked up before and after each step: each may make another letter that looks like one of
    // ASCII.
    let letters =
        DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(text.chars().map(ascii_lookalike));
    letters
        .flat_map(|c| ascii_lookalike(c).to_lowercase())
        .map(ascii_lookalike)
}

/// True for what makes no difference to a word where it stands: accents, variations, and what
/// nobody sees.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}') || is_hidden(c)
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '\\' | '“' | '”' | '„' | '‘' | '’' | '«' | '»'
    )
}

/// The character as it counts in a tag's name; none for one that does not: blanks, quotes, accents
/// and what is not seen.
fn significant_char(c: char) -> Option<char> {
    let counts = match c {
        _ if is_quote(c) => false,
        _ if c.is_ascii() => c.is_ascii_graphic(),
        // Accents that count as letters, and the fillers of Hangul.
        '\u{300}'..='\u{36f}' | '\u{115f}' | '\u{1160}' => false,
        _ => c.is_alphanumeric(),
    };

    counts.then_some(c)
}

/// The character of ASCII that a character looks like, else the character. What Unicode takes for
/// the same (full-width and mathematical letters) is not here.
fn ascii_lookalike(c: char) -> char {
    let known = SAME_LOOK
        .iter()
        .find(|(_, others)| !c.is_ascii() && others.contains(c));
    known.map_or(c, |(letter, _)| *letter)
}

/// Letters of the Latin, Greek, Cyrillic, Armenian, Cherokee and Lisu alphabets that look like one
/// of ASCII, by Unicode's `confusables.txt`; and signs that look like those between a tag's parts.
const SAME_LOOK: [(char, &str); 29] = [
    (':', "ːˑ˸։׃܃܄᛬᠄⁚∶⸱ꓽ꞉"),
    ('=', "᐀⹀゠꓿꞊"),
    ('-', "˗۔‐‑‒–—―⁃−➖Ⲻⲻꟷ"),
    ('a', "аАαΑɑᴀⱭᎪꓮ"),
    ('b', "ЬьвВβΒʙƄᏴᏏꓐ"),
    ('c', "сСςϲϹᴄⲥⲤᏟꓚ"),
    ('d', "ԁԀᴅɗᎠᏧꓓꓒ"),
    ('e', "еЕєЄεΕҽᴇɛ℮Ꭼꓰ"),
    ('f', "ƒꜰϝϜғքꓝ"),
    ('g', "ɡցɢԍԌᎶᏀꓖ"),
    ('h', "һҺнНΗʜհᎻᏂꓧ"),
    ('i', "іІιΙıɪɩӀⵏᎥᏆꓲ"),
    ('j', "јЈϳͿᴊȷᎫꓙ"),
    ('k', "кКκΚᴋĸԟᏦꓗ"),
    ('l', "ӏʟƖɭᏞꓡ"),
    ('m', "мМμΜᴍϺⲘᎷꓟ"),
    ('n', "пηΝոռɴꓠ"),
    ('o', "оОοΟσօՕᴏөƟⲟⲞꓳ"),
    ('p', "рРρΡᴘⲣⲢᏢꓑ"),
    ('q', "ԛԚգզ"),
    ('r', "гᴦʀᎡᏒꓣ"),
    ('s', "ѕЅꜱʂƽƼՏᏚꓢ"),
    ('t', "тТτΤᴛᎢꓔ"),
    ('u', "υսՍᴜʋꓴ"),
    ('v', "νѵѴᴠⴸᏙꓦ"),
    ('w', "ѡѠԝԜωᴡɯᎳᏔꓪ"),
    ('x', "хХχΧⲭⲬ᙮ꓫ"),
    ('y', "уУүҮγΥʏƴᎩꓬ"),
    ('z', "ᴢΖʐᏃꓜ"),
];

/// True if a tag fits a pattern, in any case; `*` stands for any text. What lets something in is
/// compared so.
pub fn matches(pattern: &str, tag: &str) -> bool {
    matches_glob(&pattern.trim().to_lowercase(), &tag.trim().to_lowercase())
}

/// True if a tag fits a pattern that keeps something out: also by its look, so that no blank,
/// quote, accent, character that nobody sees, or letter that looks like another gets it past. To
/// MISP these are several tags (its column is `utf8mb3_bin`), to whoever reads them they are one.
pub fn excludes(pattern: &str, tag: &str) -> bool {
    let alike = || {
        let pattern = fold_look(pattern);
        // A pattern of nothing but what counts for nothing would fit everything.
        pattern.contains(|c| c != '*') && matches_glob(&pattern, &fold_look(tag))
    };
    matches(pattern, tag) || alike()
}

/// True for two names that look the same, in the same sense: for lists that keep something out.
pub fn are_alike(one: &str, other: &str) -> bool {
    let one = fold_look(one);
    !one.is_empty() && one == fold_look(other)
}

/// The whole of a text as it looks, without blanks, quotes, accents and what is not seen.
fn fold_look(text: &str) -> String {
    let is_dropped = |c: char| c.is_whitespace() || is_invisible(c) || is_quote(c);
    fold_letters(text).filter(|c| !is_dropped(*c)).collect()
}

fn matches_glob(pattern: &str, tag: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| tag.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // The first place of each part leaves the most text for the parts behind it.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }

    rest.ends_with(last)
}

#[cfg(test)]
pub(crate) mod tests;
