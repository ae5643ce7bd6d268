//! Undoing what people do to an indicator so that nobody clicks on it, for the types where MISP
//! does so (ComplexTypeTool.php). Nothing else is changed here.
//!
//! More is undone than MISP would: any case (`[DOT]`), and in composites and every mail type. What
//! we then send is what MISP stores.

use std::borrow::Cow;

const SCHEMES: [&str; 5] = ["hxxp", "hxtp", "htxp", "meow", "h[tt]p"];
const DOTS: [(&str, &str); 3] = [("[.]", "."), ("[dot]", "."), ("(dot)", ".")];

/// `hxxp://a[.]b` as `http://a.b`.
pub fn url(value: &str) -> String {
    let hidden = SCHEMES
        .iter()
        .find_map(|scheme| strip_prefix_ignore_case(value, scheme));
    let marks = [("[hxxp://]", "http://"), ("[:]", ":")];
    match hidden {
        Some(rest) => replace_bracketed(&format!("http{rest}"), &marks).into_owned(),
        None => replace_bracketed(value, &marks).into_owned(),
    }
}

/// `a[.]b` as `a.b`, for addresses and names.
pub fn dots(value: &str) -> Cow<'_, str> {
    replace_bracketed(value, &[])
}

/// `a[@]b[.]c` as `a@b.c`.
pub fn mail(value: &str) -> String {
    replace_bracketed(value, &[("[@]", "@"), ("[at]", "@")]).into_owned()
}

/// Replaces hidden dots, and what is hidden in `more` ways, in any case.
fn replace_bracketed<'v>(value: &'v str, more: &[(&str, &str)]) -> Cow<'v, str> {
    // Nearly no value has one.
    if !value.contains(['[', '(']) {
        return Cow::Borrowed(value);
    }
    let (mut done, mut rest) = (String::with_capacity(value.len()), value);

    while let Some(at) = rest.find(['[', '(']) {
        let (before, tail) = rest.split_at(at);
        let (bracket, behind) = tail.split_at(1);
        let hidden = DOTS
            .iter()
            .chain(more)
            .find_map(|(written, meant)| Some((*meant, strip_prefix_ignore_case(tail, written)?)));
        // A bracket that hides nothing stays.
        let (meant, behind) = hidden.unwrap_or((bracket, behind));

        done.push_str(before);
        done.push_str(meant);
        rest = behind;
    }

    Cow::Owned(done + rest)
}

/// What follows a beginning, in any case.
pub fn strip_prefix_ignore_case<'a>(value: &'a str, beginning: &str) -> Option<&'a str> {
    let (start, rest) = value.split_at_checked(beginning.len())?;
    start.eq_ignore_ascii_case(beginning).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_every_way_of_writing_that_misp_knows() {
        assert_eq!(
            url("hxxps://evil[.]example[:]8080/a(dot)b"),
            "https://evil.example:8080/a.b"
        );
        assert_eq!(url("[hxxp://]evil[dot]example"), "http://evil.example");
        assert_eq!(url("h[tt]p://x"), "http://x");
        assert_eq!(url("meow://x"), "http://x");
        assert_eq!(dots("1[.]2[.]3[DOT]4"), "1.2.3.4");
        assert_eq!(mail("a[at]b[.]c"), "a@b.c");
    }

    #[test]
    fn leaves_brackets_that_hide_nothing() {
        for same in ["http://[2001:db8::1]/a(b)[c]", "ä[ö]", "[", "(["] {
            assert_eq!([url(same), dots(same).into_owned(), mail(same)], [same; 3]);
        }
    }
}
