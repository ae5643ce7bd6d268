//! Undoing what people do to an indicator so that nobody clicks on it, for the types where MISP
//! does so (ComplexTypeTool.php). Nothing else is changed here.
//!
//! More is undone than MISP would: any case (`[DOT]`), and in composites and every mail type. What
//! we then send is what MISP stores.

use std::borrow::Cow;

const SCHEMES: [&str; 5] = ["hxxp", "hxtp", "htxp", "meow", "h[tt]p"];
const DOTS: [&str; 3] = ["[.]", "[dot]", "(dot)"];
const ATS: [&str; 2] = ["[@]", "[at]"];

/// `hxxp://a[.]b` as `http://a.b`.
pub(super) fn url(value: &str) -> Cow<'_, str> {
    let mut found = refang_scheme(value);
    for (written, meant) in [("[hxxp://]", "http://"), ("[:]", ":")] {
        found = map_cow(found, |text| replace_bracketed(text, &[written], meant));
    }
    map_cow(found, dots)
}

/// `a[.]b` as `a.b`, for addresses and names.
pub(super) fn dots(value: &str) -> Cow<'_, str> {
    replace_bracketed(value, &DOTS, ".")
}

/// `a[@]b[.]c` as `a@b.c`.
pub(super) fn mail(value: &str) -> Cow<'_, str> {
    map_cow(dots(value), |text| replace_bracketed(text, &ATS, "@"))
}

/// A further change of a text that may already be a changed one.
pub(super) fn map_cow<'a>(
    value: Cow<'a, str>,
    change: impl for<'b> Fn(&'b str) -> Cow<'b, str>,
) -> Cow<'a, str> {
    match value {
        Cow::Borrowed(text) => change(text),
        Cow::Owned(text) => match change(&text) {
            Cow::Owned(changed) => Cow::Owned(changed),
            Cow::Borrowed(same) if same.len() == text.len() => Cow::Owned(text),
            Cow::Borrowed(part) => Cow::Owned(part.to_owned()),
        },
    }
}

fn refang_scheme(value: &str) -> Cow<'_, str> {
    for fanged in SCHEMES {
        if let Some(rest) = strip_prefix_ignore_case(value, fanged) {
            return Cow::Owned(format!("http{rest}"));
        }
    }

    Cow::Borrowed(value)
}

fn replace_bracketed<'a>(value: &'a str, written: &[&str], meant: &str) -> Cow<'a, str> {
    let Some(first) = value.find(['[', '(']) else {
        return Cow::Borrowed(value);
    };
    let (mut done, mut rest) = (String::new(), value);
    let mut at = first;
    let mut changed = false;

    while let Some((before, tail)) = rest.split_at_checked(at) {
        done.push_str(before);
        rest = match written
            .iter()
            .find_map(|form| strip_prefix_ignore_case(tail, form))
        {
            Some(tail) => {
                done.push_str(meant);
                changed = true;
                tail
            }

            None => {
                let (bracket, tail) = tail.split_at_checked(1).unwrap_or((tail, ""));
                done.push_str(bracket);
                tail
            }
        };

        let Some(next) = rest.find(['[', '(']) else {
            break;
        };
        at = next;
    }

    if changed {
        Cow::Owned(done + rest)
    } else {
        Cow::Borrowed(value)
    }
}

/// What follows a beginning, in any case.
fn strip_prefix_ignore_case<'a>(value: &'a str, beginning: &str) -> Option<&'a str> {
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
    fn leaves_brackets_that_hide_nothing_and_allocates_nothing_for_them() {
        assert!(matches!(
            url("http://[2001:db8::1]/a(b)[c]"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(dots("ä[ö]"), Cow::Borrowed(_)));
    }
}
