//! Texts within TheHive's limits. A name that is too long is shortened so that it stays unique and
//! is the same at every run; a text that people read is cut, and says so.
//!
//! TheHive 5 refuses what is longer; TheHive 4 has no limits, but gets the same names, so that an
//! upgrade changes none.

use std::borrow::Cow;

use crate::secret::Scrubber;
use crate::text::to_hex;

/// The longest tag, in characters (`InputCreateAlert` in TheHive's OpenAPI).
pub const LONGEST_TAG: usize = 128;
/// The most tags of an alert or observable. TheHive names no limit, but people have to read them.
pub const MOST_TAGS: usize = 100;
/// The longest description or comment that a report shows, in characters.
pub const LONGEST_SHOWN: usize = 2_000;

/// `~` and eight hex digits.
const MARK: usize = 9;

/// A name in one line, without hidden characters. One that is too long ends in `~` and the first
/// eight hex digits of SHA-1 of the whole; secrets are cleaned out of it before, since a cut may
/// leave half a secret. The limit counts as TheHive's JVM does: a character above U+FFFF is two.
pub fn shorten_name<'a>(text: impl Into<Cow<'a, str>>, most: usize, scrubber: &Scrubber) -> String {
    let line = crate::text::clean_name(text.into());
    if is_within(&line, most) {
        return line;
    }
    let digest = sha1_smol::Sha1::from(&line).digest().bytes();
    let mark = to_hex(digest.first_chunk::<4>().map_or(&[], |first| first));

    format!(
        "{}~{mark}",
        utf16_prefix(
            &scrubber.clean_content_truncated(&line, most),
            most.saturating_sub(MARK)
        )
    )
}

/// True if a text has at most so many characters, as TheHive's JVM counts them.
pub fn is_within(text: &str, most: usize) -> bool {
    text.len() <= most || text.encode_utf16().nth(most).is_none()
}

/// True for a tag that TheHive does not take whole.
pub fn is_long_tag(tag: &str) -> bool {
    !is_within(tag, LONGEST_TAG) && !is_within(&crate::text::clean_name(tag.into()), LONGEST_TAG)
}

fn utf16_prefix(text: &str, most: usize) -> &str {
    let mut used = 0;
    let beyond = text.char_indices().find(|(_, c)| {
        used += c.len_utf16();
        used > most
    });
    text.get(..beyond.map_or(text.len(), |(at, _)| at))
        .unwrap_or_default()
}

/// A text of at most so many bytes, ending in the note if it had to be cut; cleaned before it is.
pub fn shorten_text(text: &str, most: usize, note: &str, scrubber: &Scrubber) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let clean = scrubber.clean_content_truncated(text, most);
    let end = clean.floor_char_boundary(most.saturating_sub(note.len()));
    format!("{}{note}", clean.get(..end).unwrap_or_default())
}

/// Tags in order, none blank, none twice, each within TheHive's limit.
pub struct Tags<'a> {
    pub names: Vec<String>,
    scrubber: &'a Scrubber,
}

impl<'a> Tags<'a> {
    pub fn new(scrubber: &'a Scrubber) -> Self {
        Self {
            names: Vec::new(),
            scrubber,
        }
    }

    /// True once there are so many that no other finds room.
    pub fn is_full(&self, most: usize) -> bool {
        self.names.len() >= most
    }

    /// Adds a tag unless it is there, or there are so many already.
    pub fn add<'t>(&mut self, tag: impl Into<Cow<'t, str>>, most: usize) {
        if self.is_full(most) {
            return;
        }
        let tag = shorten_name(tag, LONGEST_TAG, self.scrubber);
        if !tag.is_empty() && !self.names.contains(&tag) {
            self.names.push(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_long_name_keeps_its_beginning_and_a_mark_of_the_whole() {
        let none = Scrubber::default();
        let long = "x".repeat(40);
        let short = shorten_name(long.as_str(), 32, &none);
        assert_eq!(short, format!("{}~47372a7b", "x".repeat(23)));
        assert_eq!(shorten_name(long.clone(), 40, &none), long);
        assert_ne!(shorten_name(format!("{long}y"), 32, &none), short);
    }

    #[test]
    fn a_character_above_the_plane_counts_twice_and_is_never_halved() {
        let none = Scrubber::default();
        let short = shorten_name("😀".repeat(17), 32, &none);
        assert_eq!(short.chars().filter(|c| *c == '😀').count(), 11);
        assert_eq!(shorten_name("😀".repeat(16), 32, &none), "😀".repeat(16));
    }

    #[test]
    fn names_have_one_line() {
        assert_eq!(
            shorten_name("\n a\r\nb\0 ", 32, &Scrubber::default()),
            "a  b"
        );
    }

    #[test]
    fn no_cut_leaves_half_a_secret() {
        let scrubber = Scrubber::from_config(&json!({"key": ["Zq8Canary7KeyZq8"]}));
        for before in 0..60 {
            let long = "x".repeat(before) + "Zq8Canary7KeyZq8" + &"y".repeat(60);
            let cut = [
                shorten_name(long.as_str(), 40, &scrubber),
                shorten_text(&long, 40, "…", &scrubber),
            ];
            assert!(cut.iter().all(|cut| !cut.contains("Zq8")), "{cut:?}");
        }
    }

    #[test]
    fn a_text_that_is_cut_says_so_within_its_limit() {
        let cut = shorten_text(&"é".repeat(40), 21, " (cut)", &Scrubber::default());
        assert_eq!(cut, format!("{} (cut)", "é".repeat(7)));
        assert_eq!(
            shorten_text("short", 5, " (cut)", &Scrubber::default()),
            "short"
        );
    }

    #[test]
    fn tags_are_neither_blank_nor_twice_nor_too_many() {
        let none = Scrubber::default();
        let mut tags = Tags::new(&none);
        ["a", "", " a ", "b", "c"]
            .into_iter()
            .for_each(|tag| tags.add(tag, 2));
        assert_eq!(tags.names, ["a", "b"]);
        assert!(tags.is_full(2) && !tags.is_full(3));
    }
}
