//! Which values MISP takes for one and the same. Its columns for values have the collation
//! `utf8mb3_unicode_ci` (its `MYSQL.sql`): case, accents, width and characters that nobody sees
//! make no difference, nor do blanks at the end.
//!
//! `equal.txt` is what a real MISP's database weighs each character by; `fixtures/collation/make`
//! writes it. It follows the Unicode collation algorithm 4.0.0, so that letters which are younger
//! are equal to nothing but themselves, and looks at one character at a time: `й` is another letter
//! than `и` with a breve.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Characters that others stand for. All others stand for themselves.
static STANDS: LazyLock<HashMap<char, String>> = LazyLock::new(|| {
    let character = |code: &str| u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
    let class = |line: &'static str| {
        let (stands, members) = line.split_once('\t')?;
        let stands: String = stands.split('+').filter_map(character).collect();
        Some(
            members
                .split(' ')
                .filter_map(character)
                .map(move |member| (member, stands.clone())),
        )
    };
    include_str!("equal.txt")
        .lines()
        .filter_map(class)
        .flatten()
        .collect()
});

/// True if MISP takes both for the same value: it does not store the second beside the first, and
/// finds each by the other.
pub fn are_equal(one: &str, other: &str) -> bool {
    one == other || equality_key(one) == equality_key(other)
}

/// What equal values have in common: two keys are the same where [`are_equal`] says so.
pub fn equality_key(value: &str) -> String {
    let mut key = String::with_capacity(value.len());

    for c in value.chars() {
        match c {
            ' '..='~' => key.push(c.to_ascii_lowercase()),
            // What the columns cannot hold is stored as a question mark.
            '\u{10000}'.. => key.push('?'),
            _ => match STANDS.get(&c) {
                Some(stands) => key.push_str(stands),
                None => key.push(c),
            },
        }
    }

    key.truncate(key.trim_end_matches(' ').len());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was tried on the database of a MISP 2.5.1.
    #[test]
    fn case_accents_width_and_what_nobody_sees_make_no_difference() {
        for (one, other) in [
            ("http://Evil.example/A", "HTTP://evil.example/a"),
            ("Réc2.exe", "Rec2.EXE"),
            ("straße", "STRASSE"),
            ("İstanbul", "istanbul"),
            ("ſ", "S"),
            ("\u{212a}", "k"),
            ("ЯЁ", "яе"),
            ("Σς", "σΣ"),
            ("œuvre", "OEuvre"),
            ("ﬁle", "file"),
            ("ｅｖｉｌ", "evil"),
            ("①", "1"),
            ("が", "カ"),
            ("e\u{301}", "e"),
            ("a\u{200b}\u{feff}\u{2060}b\u{1}", "ab"),
            ("a \u{a0}\u{3000}", "a"),
            ("a\u{a0}b", "a b"),
            ("\u{200b} ", ""),
            ("report 😀.doc", "report ?.doc"),
        ] {
            assert!(are_equal(one, other), "{one} and {other}");
        }
    }

    /// Each was tried on the database of a MISP 2.5.1.
    #[test]
    fn other_letters_signs_and_blanks_do() {
        for (one, other) in [
            ("æ", "ae"),
            ("Ł", "L"),
            ("ø", "o"),
            ("đ", "d"),
            ("ı", "i"),
            ("й", "и"),
            ("й", "и\u{306}"),
            ("а", "a"),
            ("a-b", "ab"),
            ("a\u{ad}b", "ab"),
            ("½", "1/2"),
            ("`", "´"),
            ("a\t", "a"),
            (" a", "a"),
            ("a  b", "a b"),
            ("evil.exe", "evil.ex"),
            ("ა", "Ა"),
            ("漢", "字"),
        ] {
            assert!(!are_equal(one, other), "{one} and {other}");
        }
    }
}
