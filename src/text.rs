//! Characters that nobody sees: controls, marks that turn the direction of writing, and what has no
//! width. In a name they are taken out, in a value that is shown they are named, and a value that
//! is data keeps them. Pure.

use std::borrow::Cow;

/// True for a character that is not seen where it stands, or that changes how others are seen:
/// controls, line and paragraph separators, bidirectional marks, what has no width, fillers, tag
/// characters (Unicode's categories Cc, Zl and Zp, and its property `Default_Ignorable_Code_Point`
/// but for the 16 variation selectors that emoji have).
pub fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        _ if c.is_control() => true,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// True if a text has a hidden character.
pub fn has_hidden(text: &str) -> bool {
    text.contains(is_hidden)
}

/// A value without what was pasted with it: blanks and hidden characters at either end. What stands
/// inside is the value's.
pub fn trim_pasted(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || is_hidden(c))
}

/// The question that follows a name that is not known, ` (did you mean "ip-dst"?)`; nothing if none
/// of those that are known is like it. The typed name may be a secret and is never repeated.
pub fn did_you_mean<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    /// Of strsim's likeness, 0 to 1: `ipdst` and `ip-dst` are 0.95, `cropp` and `corp` 0.87.
    const ALIKE: f64 = 0.86;

    let typed = typed.trim().to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&typed, &name.to_lowercase());
    known
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| format!(" (did you mean \"{name}\"?)"))
        .unwrap_or_default()
}

/// A name in one line, without blanks around it: controls and line ends in it are blanks, other
/// hidden characters go.
pub fn clean_name(text: Cow<'_, str>) -> String {
    // Nearly no name has one.
    if !has_hidden(&text) {
        return text.trim().to_owned();
    }
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let kept = text
        .chars()
        .map(|c| if is_break(c) { ' ' } else { c })
        .filter(|c| !is_hidden(*c));
    kept.collect::<String>().trim().to_owned()
}

/// A text of several lines without hidden characters; lines end in `\n`, and tabs stay.
pub fn clean_lines(text: &str) -> Cow<'_, str> {
    if !has_hidden(text) {
        return Cow::Borrowed(text);
    }
    let text = text
        .replace("\r\n", "\n")
        .replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    Cow::Owned(
        text.chars()
            .filter(|c| is_layout(*c) || !is_hidden(*c))
            .collect(),
    )
}

/// A text in which each hidden character is named, as `<U+202E>`: so it can neither disguise a
/// value nor steer a terminal.
pub fn reveal_hidden(text: &str) -> Cow<'_, str> {
    reveal_unless(text, |_| false)
}

/// The same, but for tabs and the ends of lines.
pub fn reveal_hidden_in_lines(text: &str) -> Cow<'_, str> {
    reveal_unless(text, is_layout)
}

fn reveal_unless(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    replace_hidden(text, stays, |c| format!("<U+{:04X}>", u32::from(c)))
}

/// A text with its hidden characters spelt, but for those that stay.
fn replace_hidden(
    text: &str,
    stays: impl Fn(char) -> bool,
    spell: impl Fn(char) -> String,
) -> Cow<'_, str> {
    let is_replaced = |c: char| is_hidden(c) && !stays(c);
    if !text.contains(is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut all = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        match is_replaced(c) {
            true => all.push_str(&spell(c)),
            false => all.push(c),
        }
    }

    Cow::Owned(all)
}

fn is_layout(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

/// JSON that means the same and has no hidden character as it is: a report is read in terminals
/// too.
pub fn escape_json(json: String) -> String {
    let escape = |c: char| {
        let mut halves = [0; 2];
        let halves = c.encode_utf16(&mut halves).iter();
        halves.map(|half| format!("\\u{half:04x}")).collect()
    };
    // A line end is JSON's own layout: those inside texts are escaped already.
    replace_hidden(&json, |c| c == '\n', escape).into_owned()
}

/// A number and its word: `1 event`, `3 events`.
pub fn format_count(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Bytes as hexadecimal digits, in small letters.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The words of a text in one line, with a blank between each two.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first names of a list, and how many more there are.
#[must_use]
pub fn join_first(names: &[impl AsRef<str>], most: usize) -> String {
    let first: Vec<_> = names.iter().take(most).map(AsRef::as_ref).collect();
    let first = first.join(", ");

    match names.len().saturating_sub(most) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_has_nothing_that_cannot_be_seen() {
        let text = "\u{feff}\n in\u{202e}voice\u{200b}_fdp\r\n\u{1b}[31m.exe\u{e0041}\0 ";
        assert_eq!(clean_name(text.into()), "invoice_fdp   [31m.exe");
        assert_eq!(
            clean_name(" CERT é 😀❤\u{fe0f} ".into()),
            "CERT é 😀❤\u{fe0f}"
        );
    }

    #[test]
    fn a_value_shows_what_is_hidden_in_it() {
        assert_eq!(
            reveal_hidden("invoice_\u{202e}fdp.exe\n"),
            "invoice_<U+202E>fdp.exe<U+000A>"
        );
        assert_eq!(
            reveal_hidden_in_lines("a\n\tb\u{9b}2J\u{e0041}"),
            "a\n\tb<U+009B>2J<U+E0041>"
        );
        assert!(matches!(reveal_hidden("plain é"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_the_ends_of_a_value_are_cut() {
        assert_eq!(
            trim_pasted("\u{feff} a\u{200b}b\u{a0}\u{200b}\n"),
            "a\u{200b}b"
        );
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(
            clean_lines("a\r\nb\rc\u{2028}d\u{200d}e\tf"),
            "a\nb\nc\nde\tf"
        );
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in "[\\PC\\pC]{0,40}") {
            prop_assert!(!has_hidden(&clean_name(text.as_str().into())));
            prop_assert!(!has_hidden(&reveal_hidden(&text)));
            let json = serde_json::json!({ text.as_str(): text.as_str() });
            let escaped = escape_json(json.to_string());
            prop_assert!(!has_hidden(&escaped));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
        }
    }
}
