//! Words from outside where TheHive shows Markdown: in the description of an alert, the message of
//! an observable, the message of a responder. They read well as plain text too. What an event
//! report may have, which is Markdown itself, is in `import/mapping/reports.rs`.
//!
//! TheHive 4 renders with marked 0.3, which escapes HTML and loads pictures (its `app.js`); how
//! TheHive 5 does it is not published. So nothing here relies on a renderer: what could be markup
//! stands in code, which all of them leave alone.

use std::borrow::Cow;

use crate::text;

/// What Markdown (CommonMark and GitHub's), or HTML in it, makes something of, beside `_`.
const ACTIVE: [char; 12] = ['$', '*', '[', ']', '<', '>', '`', '~', '\\', '|', '&', '@'];
/// What begins a link wherever it stands.
const LINKS: [&str; 4] = ["://", "www.", "mailto:", "xmpp:"];

/// The text in one line as it is, if Markdown leaves it alone; else as a span of code, in which
/// nothing is emphasised, linked or loaded: an IOC must not become a link to click on. A backtick
/// in it becomes an apostrophe, which is what it mostly is; a line break becomes a blank, and what
/// cannot be seen is named.
pub fn neutralise_line(text: &str) -> String {
    let text = text::one_line(text);
    let text = text::reveal_hidden(&text);
    if has_markup(&text) {
        code_span(&text)
    } else {
        text.into_owned()
    }
}

/// The same for a sentence of ours in which words from outside stand: only the words that could be
/// markup become code.
pub fn neutralise_words(sentence: &str) -> String {
    let mut all = String::with_capacity(sentence.len() + 16);
    let mut quoted: Vec<&str> = Vec::new();
    let sentence = text::reveal_hidden_in_lines(sentence);

    for (place, word) in sentence.split_whitespace().enumerate() {
        if has_inline_markup(word) || place == 0 && begins_block(word) {
            quoted.push(word);
            continue;
        }
        for part in [quote_words(&mut quoted), word.to_owned()]
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            all.push_str(if all.is_empty() { "" } else { " " });
            all.push_str(&part);
        }
    }

    let rest = quote_words(&mut quoted);
    let gap = if all.is_empty() || rest.is_empty() {
        ""
    } else {
        " "
    };

    all + gap + &rest
}

/// The words as code, but for what ends a clause behind them; what our sentence quotes already is
/// quoted once.
fn quote_words(words: &mut Vec<&str>) -> String {
    let words = std::mem::take(words).join(" ");
    let quoted = words.trim_end_matches([':', ',', '.', ';']);
    let end = words.get(quoted.len()..).unwrap_or_default();
    if quoted.is_empty() {
        words
    } else {
        code_span(unquote(quoted)) + end
    }
}

/// The same for a text whose lines stay: if Markdown would make something of it, it becomes a block
/// of code. Hidden characters go, and backticks stay. [`unquote`] gives it back.
pub fn neutralise_lines(text: &str) -> String {
    let text = text::clean_lines(text);
    let text = text.trim();
    if !text.contains(['\n', '`']) {
        return neutralise_line(text);
    }
    if !text
        .lines()
        // An indented line may become code.
        .any(|line| has_markup(line) || line.starts_with([' ', '\t']))
    {
        return text.to_owned();
    }
    let fence = code_fence(text);

    format!("{fence}\n{text}\n{fence}")
}

/// A message without what [`neutralise_lines`] put around it.
pub fn unquote(message: &str) -> &str {
    let span = message
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    if let Some(span) = span.filter(|span| !span.is_empty() && !span.contains('`')) {
        return span.trim();
    }
    let ticks = message.len() - message.trim_start_matches('`').len();
    let Some((fence, rest)) = message
        .split_at_checked(ticks)
        .filter(|(fence, _)| fence.len() > 2)
    else {
        return message;
    };

    let block = rest
        .strip_prefix('\n')
        .and_then(|rest| rest.strip_suffix(fence)?.strip_suffix('\n'));

    block
        .filter(|block| !block.contains(fence))
        .unwrap_or(message)
}

/// A span of code. A backtick in it would end it, and becomes an apostrophe. Around an address of
/// mail stand blanks, which are not shown: marked takes the backtick for a part of the address
/// else, and makes a link of it.
pub fn code_span(text: &str) -> String {
    let blank = if text.contains('@') { " " } else { "" };
    format!("`{blank}{}{blank}`", text.replace('`', "'"))
}

/// What stands around a block of code: more backticks than any line of it has.
pub fn code_fence(code: &str) -> String {
    // A fence has three backticks at least.
    let (mut longest, mut run) = (2, 0);
    for c in code.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest + 1)
}

/// True if some renderer may make a link of the word.
pub fn is_linkable(word: &str) -> bool {
    let word: Cow<'_, str> = if word.chars().any(char::is_uppercase) {
        word.to_lowercase().into()
    } else {
        word.into()
    };

    let has_mail = || {
        word.match_indices('@')
            .any(|(at, _)| at > 0 && at + 1 < word.len())
    };
    LINKS.iter().any(|link| word.contains(link)) || has_mail()
}

fn has_markup(text: &str) -> bool {
    has_inline_markup(text) || begins_block(text)
}

fn has_inline_markup(text: &str) -> bool {
    text.contains(ACTIVE) || has_emphasis(text) || is_linkable(text) || has_host(text)
}

/// True for a `_` that does not stand inside a word, where it means nothing.
fn has_emphasis(text: &str) -> bool {
    let around = |piece: &str, edge: fn(&str) -> Option<char>| {
        edge(piece).is_some_and(|c| c.is_ascii_alphanumeric())
    };
    let mut pieces = text.split('_').peekable();
    std::iter::from_fn(|| Some((pieces.next()?, pieces.peek().copied()?))).any(|(before, after)| {
        !around(before, |piece| piece.chars().next_back())
            || !around(after, |piece| piece.chars().next())
    })
}

/// True if something in it looks like the name of a host, which many renderers turn into a link: a
/// full stop, also a Chinese or a wide one, between what is neither a blank nor punctuation, and
/// what may begin a label that is no number.
fn has_host(text: &str) -> bool {
    let is_dot = |c: char| matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}');
    let ends_label = |c: char| c.is_alphanumeric() || !c.is_ascii() && !c.is_whitespace();
    let begins_label =
        // An ellipsis behind a full stop is only where a text was cut.
        |c: char| c.is_alphabetic() || !c.is_ascii() && !c.is_whitespace() && c != '…';
    let mut around = text
        .chars()
        .zip(text.chars().skip(1))
        .zip(text.chars().skip(2));

    around.any(|((before, dot), after)| is_dot(dot) && ends_label(before) && begins_label(after))
}

/// True for a line that would become a heading, a list, a line or the like.
fn begins_block(line: &str) -> bool {
    let is_mark = |word: &str| {
        word.chars()
            .all(|c| matches!(c, '#' | '-' | '+' | '=' | ':'))
    };
    let is_number = |word: &str| {
        let digits = word.trim_end_matches(['.', ')']);
        digits.len() < word.len() && digits.chars().all(|c| c.is_ascii_digit())
    };
    line.split_whitespace()
        .next()
        .is_some_and(|word| is_mark(word) || is_number(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    /// What Markdown makes of a text, beside paragraphs and code.
    fn parse_harmful_events(text: &str) -> Vec<Event<'_>> {
        let is_plain = |event: &Event<'_>| {
            matches!(
                event,
                Event::Text(_)
                    | Event::Code(_)
                    | Event::SoftBreak
                    | Event::End(_)
                    | Event::Start(Tag::Paragraph | Tag::CodeBlock(_))
            )
        };

        Parser::new_ext(text, Options::all())
            .filter(|event| !is_plain(event))
            .collect()
    }

    #[test]
    fn plain_words_stay() {
        for text in [
            "#42",
            "misp-corp",
            "1.2.3.999 (ip): IP address has an invalid format",
            "1337",
            "tlp",
            "",
            "so… it",
        ] {
            assert_eq!(neutralise_line(text), text);
        }

        assert_eq!(
            neutralise_lines("seen twice\r\nby us \n"),
            "seen twice\nby us"
        );
    }

    #[test]
    fn what_would_be_a_link_or_an_image_is_code() {
        assert_eq!(
            neutralise_line("https://evil.example/x (url): refused"),
            "`https://evil.example/x (url): refused`"
        );
        assert_eq!(neutralise_line("WWW.evil.example"), "`WWW.evil.example`");
        assert_eq!(
            neutralise_line("evil.example (domain): refused"),
            "`evil.example (domain): refused`"
        );
        assert_eq!(neutralise_line("bücher.example"), "`bücher.example`");
        assert_eq!(
            neutralise_line("![x](//evil.example)"),
            "`![x](//evil.example)`"
        );
        assert_eq!(
            neutralise_line("<img src=x onerror=alert(1)>"),
            "`<img src=x onerror=alert(1)>`"
        );
        assert_eq!(neutralise_line("`` `\n\n<b>"), "`'' ' <b>`");
        assert_eq!(neutralise_line("# a"), "`# a`");
        assert_eq!(neutralise_line("misp_corp"), "misp_corp");
        assert_eq!(neutralise_line("_a_ __"), "`_a_ __`");
        assert_eq!(
            neutralise_words("no file /a/b.json. See [x y](z) there"),
            "no file `/a/b.json`. See `[x y](z)` there"
        );
    }

    #[test]
    fn a_host_is_code_whatever_stands_around_its_dots() {
        for host in [
            "💩.example",
            "a\u{200b}.example",
            "evil。example",
            "evil.\u{202e}elpmaxe",
            "xn--p1ai．рф",
        ] {
            assert!(neutralise_line(host).starts_with('`'), "{host}");
        }

        assert_eq!(neutralise_line("a\u{200b}b"), "`a<U+200B>b`");
    }

    #[test]
    fn a_message_keeps_its_lines_and_comes_back_without_the_quotation() {
        let text = "see http://evil.example\n```\n![x](y)\n  <b>";
        assert_eq!(neutralise_lines(text), format!("````\n{text}\n````"));

        for text in [
            text,
            "see http://evil.example",
            "plain",
            "two\nlines",
            "a`b",
            "`",
            "",
        ] {
            assert_eq!(unquote(&neutralise_lines(text)), text);
        }

        assert_eq!(neutralise_lines("run `x`"), "```\nrun `x`\n```");
        assert_eq!(unquote("`a` and `b`"), "`a` and `b`");
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in "([\\PC]|[\\[\\]()<>!`*_~#|&;:/.@\\\\ \
            \\n\\t=+-]|http://|www\\.|<b>|&#106;){0,40}") {
            for inert in [neutralise_line(&text), neutralise_words(&text), neutralise_lines(&text)] {
                prop_assert_eq!(parse_harmful_events(&inert), Vec::new(), "{}", inert);
                let within = format!("- said {inert}, and more\n");
                let is_list = |event: &Event<'_>| matches!(event, Event::Start(Tag::List(_) | Tag::Item));
                let is_only_ours = inert.contains('\n') || parse_harmful_events(&within).iter().all(is_list);
                prop_assert!(is_only_ours, "{}", within);
            }
        }

        #[test]
        fn a_message_comes_back(text in "[a-z.<\\[\\n /:]{0,40}") {
            let inert = neutralise_lines(&text);
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(unquote(&inert)), words(&text));
        }
    }
}
