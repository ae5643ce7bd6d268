//! Words from outside in a message that TheHive may show as Markdown, and that reads well as plain text too.

/// What Markdown (CommonMark and GitHub's), or HTML in it, makes something of.
const ACTIVE: [&str; 12] = ["*", "_", "[", "]", "<", ">", "`", "~", "\\", "|", "&", "@"];
/// What begins a link wherever it stands.
const LINKS: [&str; 3] = ["://", "mailto:", "xmpp:"];

/// The text as it is, if Markdown leaves it alone; else as a span of code, in which nothing is emphasised, linked or loaded:
/// an IOC must not become a link to click on. A backtick in it becomes an apostrophe,
/// which is what it mostly is; a line break becomes a blank.
#[must_use]
pub fn inert(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = text.to_lowercase();
    if ACTIVE.iter().chain(&LINKS).any(|active| lower.contains(active)) || has_name(&lower) {
        format!("`{}`", text.replace('`', "'"))
    } else {
        text
    }
}

/// True if something in it looks like the name of a host, which many renderers turn into a link.
fn has_name(text: &str) -> bool {
    let mut around = text.chars().zip(text.chars().skip(1)).zip(text.chars().skip(2));
    around.any(|((before, dot), after)| dot == '.' && before.is_alphanumeric() && after.is_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay() {
        for text in ["#42", "misp-corp", "1.2.3.999 (ip): IP address has an invalid format", "1337", "tlp", ""] {
            assert_eq!(inert(text), text);
        }
    }

    #[test]
    fn what_would_be_a_link_or_an_image_is_code() {
        assert_eq!(inert("https://evil.example/x (url): refused"), "`https://evil.example/x (url): refused`");
        assert_eq!(inert("WWW.evil.example"), "`WWW.evil.example`");
        assert_eq!(inert("evil.example (domain): refused"), "`evil.example (domain): refused`");
        assert_eq!(inert("bücher.example"), "`bücher.example`");
        assert_eq!(inert("![x](//evil.example)"), "`![x](//evil.example)`");
        assert_eq!(inert("<img src=x onerror=alert(1)>"), "`<img src=x onerror=alert(1)>`");
        assert_eq!(inert("`` `\n\n<b>"), "`'' ' <b>`");
    }
}
