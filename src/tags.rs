//! Tag names: wildcards in them, and which of a case's tags are words between TheHive and MISP rather than tags to share.

/// True if a tag fits a pattern, in any case; `*` stands for any text.
#[must_use]
pub fn matches(pattern: &str, tag: &str) -> bool {
    let (pattern, tag) = (pattern.trim().to_lowercase(), tag.trim().to_lowercase());
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| tag.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// True for a tag that may go out as it is. What begins with `misp:`, `src:`, `tlp:` or `pap:` means something to this
/// program: TLP and PAP go out by their own rules, the others not at all.
#[must_use]
pub fn is_free(tag: &str) -> bool {
    !tag.trim().is_empty() && ["misp:", "src:", "tlp:", "pap:"].iter().all(|prefix| after(tag, prefix).is_none())
}

/// What a tag `<name>="<value>"` says, with or without quotes; none if it is another tag. The name is given with its
/// `=`, such as `misp:to=`.
#[must_use]
pub fn value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let value = after(tag, name)?.trim();
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).trim();
    (!bare.is_empty()).then_some(bare)
}

fn after<'a>(tag: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = tag.trim().split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_any_text_and_nothing_else() {
        for (pattern, tag, fits) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "abbd", false),
            ("ab", "abc", false),
            ("*b", "bab", true),
            ("a*a", "a", false),
            ("TLP:red", "tlp:RED", true),
        ] {
            assert_eq!(matches(pattern, tag), fits, "{pattern} {tag}");
        }
    }

    #[test]
    fn words_between_thehive_and_misp_are_no_free_tags() {
        for tag in ["MISP:to=\"x\"", "src:CIRCL", "TLP:green", " pap:red", ""] {
            assert!(!is_free(tag), "{tag}");
        }
        assert!(is_free("type:OSINT") && is_free("misplaced"));
    }

    #[test]
    fn a_value_is_read_with_or_without_quotes() {
        assert_eq!(value("misp:to=\"misp-corp\"", "misp:to="), Some("misp-corp"));
        assert_eq!(value("MISP:TO = x", "misp:to="), None);
        assert_eq!(value("Misp:To=x", "misp:to="), Some("x"));
        assert_eq!(value("misp:to=\"\"", "misp:to="), None);
    }
}
