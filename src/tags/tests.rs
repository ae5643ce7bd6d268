//! Which spellings of a tag are ours, and which patterns it fits.

use proptest::prelude::*;

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
fn no_disguise_brings_a_tag_past_a_pattern_that_excludes() {
    for tag in [
        "internal:x",
        " INTERNAL : x",
        "\u{200b}internal:x",
        "іnternal:x",
        "ＩＮＴＥＲＮＡＬ:x",
        "internal\u{ad}:x",
        "\"internal:x\"",
        "“internal”:x",
        "int\u{301}ernal:x",
        "𝐢𝐧𝐭𝐞𝐫𝐧𝐚𝐥∶x",
    ] {
        assert!(
            excludes("internal:*", tag) && excludes("\"Internal : *\"", tag),
            "{tag:?}"
        );
    }

    for (pattern, tag) in [
        ("internal:*", "internals:x"),
        ("\"*\"", "x"),
        (" ", "x"),
        ("🔒*", "x"),
        ("e:🔒", "e:"),
    ] {
        assert!(!excludes(pattern, tag), "{pattern} {tag}");
    }

    assert!(
        are_alike("CIRCL", "СIRCL\u{200b} ")
            && !are_alike("", " ")
            && !are_alike("CIRCL", "CIRCLE")
    );

    assert!(excludes("*", "x") && excludes("🔒*", "🔒\u{fe0f} x") && excludes("日本:*", "日本:x"));
}

#[test]
fn words_between_thehive_and_misp_are_no_free_tags() {
    for tag in [
        "MISP:to=\"x\"",
        "src:CIRCL",
        "TLP:green",
        " pap:red",
        "",
        "\u{200b}misp:to=\"x\"",
        "ＴＬＰ：red",
    ] {
        assert!(!is_exportable(tag), "{tag}");
    }

    assert!(
        is_exportable("type:OSINT")
            && is_exportable("misplaced")
            && is_exportable("misp-galaxy:tool=\"x\"")
    );
}

#[test]
fn a_value_is_read_with_or_without_quotes() {
    assert_eq!(parse_value("misp:to=\"misp-corp\"", TO), Some("misp-corp"));
    assert_eq!(parse_value(" MISP : TO = \" x \" ", TO), Some("x"));
    assert_eq!(parse_value("Misp:To=x", TO), Some("x"));
    assert_eq!(parse_value("misp:to=\"\"", TO), None);
    assert_eq!(parse_value("misp:tool=\"x\"", TO), None);
    assert_eq!(
        parse_value(&build(OBJECT, "file:1"), OBJECT),
        Some("file:1")
    );
}

#[test]
fn a_word_whose_value_cannot_be_read_is_known_for_what_it_was_meant_to_be() {
    for tag in [
        "misp.to=\"x\"",
        "misp:to:x",
        "misp:to",
        "misp:to=\"\"",
        "misp-to=x",
        "misp:to \"x\"",
        "\u{200b}misp:to=x",
        "м\u{456}ѕр:tо=x",
    ] {
        assert_eq!(mistyped_word(tag), Some(TO), "{tag}");
    }

    assert_eq!(mistyped_word("misp:type"), Some(TYPE));

    for tag in [
        "misp:to=x",
        "misp:to = \"x\"",
        "misp:withdrawn",
        "src:CIRCL",
        "misp:tool=\"x\"",
        "to",
        "misp: to do",
        "mist=to",
    ] {
        assert_eq!(mistyped_word(tag), None, "{tag}");
    }
}

#[test]
fn what_thehive_or_a_person_takes_for_a_word_of_ours_is_ours() {
    for tag in [
        "misp:event=\"corp:1\"",
        "MISP:Event=corp",
        " misp : event = x",
        "misp.to=\"x\"",
        "\"misp:to\"=x",
        "misp:withdrawn",
        "misp:withdrawn#ff0000",
        "_free:misp:to=\"x\"",
        "src:CERT-EU",
        "SRC: x",
        "\u{200b}misp:to=\"x\"",
        "mi\u{ad}sp:\u{2060}to=\"x\"",
        "\u{202e}misp:to",
        "ｍｉｓｐ：ｔｏ＝x",
        "𝐦𝐢𝐬𝐩:𝐭𝐨=x",
        "mísp:to=x",
        "mi\u{301}sp:to=x",
        "м\u{456}ѕр:tо=x",
        "ΜISP:to=x",
        "misp∶object‑relation=x",
        "misp:into=\"x\"",
    ] {
        assert!(is_reserved(tag), "{tag}");
    }
}

#[test]
fn what_misp_says_in_its_own_taxonomy_is_not_ours() {
    // The predicates of `misp` in MISP's taxonomies, version 14.
    let predicates = [
        "ui",
        "api",
        "expansion",
        "contributor",
        "confidence-level",
        "threat-level",
        "automation-level",
        "should-not-sync",
        "tool",
        "misp2yara",
        "event-type",
        "ids",
    ];

    for tag in predicates
        .into_iter()
        .flat_map(|one| [format!("misp:{one}"), format!("misp:{one}=\"event\"")])
    {
        assert!(!is_reserved(&tag), "{tag}");
    }

    for tag in [
        "",
        "misp",
        "misp:",
        "tlp:red",
        "misp-galaxy:tool=\"x\"",
        "type:OSINT",
        "to=\"misp:to\"",
        "日本:to",
    ] {
        assert!(!is_reserved(tag), "{tag}");
    }
}

#[test]
fn only_a_whole_identity_links() {
    let (event, part) = (Uuid::from_u128(1), Uuid::from_u128(2));

    for (name, port) in [("file", None), ("ip-dst|port", Some("443"))] {
        let link = Link {
            name,
            whole: Some((event, part)),
            port,
        };

        assert_eq!(Link::parse(&link.to_string()), Some(link));
        assert_eq!(
            Link::parse(&link.to_string().to_uppercase()).unwrap().whole,
            Some((event, part))
        );
    }

    let short = Link {
        name: "file",
        whole: None,
        port: None,
    };

    for text in [
        "file:12345678",
        &format!("file:{event}"),
        &format!("file:12345678:{part}")
            .replace(':', " ")
            .replacen(' ', ":", 1),
    ] {
        assert_eq!(Link::parse(text), Some(short), "{text}");
    }

    assert_eq!(
        Link::parse("ip-dst|port:1a2b3c4d:443").unwrap().port,
        Some("443")
    );
    assert_eq!(
        Link::parse("file:12345678\" x=\":99999999").unwrap().whole,
        None
    );
    assert_eq!(Link::parse("file"), None);
}

/// A character as somebody could write it who wants it to be taken for another.
fn disguised_letter(c: char) -> impl Strategy<Value = String> {
    let wide = char::from_u32(u32::from(c) + 0xfee0)
        .filter(|_| c.is_ascii_graphic())
        .unwrap_or(c);
    let others: Vec<char> = SAME_LOOK
        .iter()
        .filter(|(letter, _)| *letter == c)
        .flat_map(|(_, all)| all.chars())
        .collect();

    let alike = if others.is_empty() { vec![c] } else { others };
    let letter = prop_oneof![
        4 => Just(c),
        2 => Just(c.to_ascii_uppercase()),
        1 => Just(wide),
        1 => prop::sample::select(alike),
    ];

    let around = prop::sample::select(vec![
        "", "", "", "", " ", "\t", "\u{a0}", "\"", "'", "\u{200b}", "\u{feff}", "\u{301}",
        "\u{2064}", "\u{fe0f}",
    ]);

    (around.clone(), letter, around)
        .prop_map(|(before, letter, after)| format!("{before}{letter}{after}"))
}

/// A tag of the vocabulary, as somebody could write it who wants it to be taken for none.
pub(crate) fn reserved_tag() -> impl Strategy<Value = String> {
    let name = prop_oneof![8 => prop::sample::select(OWN.to_vec()), 1 => Just(SOURCE)];
    let value = prop_oneof!["", "=\"[a-z:]{0,9}\"", "=[a-z]{0,9}", " ?= ?\"[ -~]{0,9}"];
    let name = name.prop_flat_map(|name| name.chars().map(disguised_letter).collect::<Vec<_>>());
    (name, value).prop_map(|(name, value)| name.concat() + &value)
}

proptest! {
    #[test]
    fn no_disguise_hides_a_word_of_ours(tag in reserved_tag()) {
        prop_assert!(is_reserved(&tag) && !is_exportable(&tag), "{tag:?}");
    }

    #[test]
    fn no_text_is_too_odd(tag in any::<String>(), pattern in any::<String>()) {
        prop_assert!(!is_reserved(&tag) || !is_exportable(&tag));
        prop_assert!(!matches(&pattern, &tag) || excludes(&pattern, &tag));
    }

    #[test]
    fn no_disguise_hides_a_tag_from_a_pattern_that_excludes_it(
        name in "[a-z]{3,9}",
        tag in "[a-z]{3,9}".prop_flat_map(|name| (Just(name.clone()), name.chars().map(disguised_letter).collect::<Vec<_>>())),
    ) {
        let (pattern, tag) = (format!("{}:*", tag.0), format!("{}:{name}", tag.1.concat()));
        prop_assert!(excludes(&pattern, &tag), "{tag:?}");
    }

    #[test]
    fn what_is_written_is_read_back(value in "[a-z0-9][a-z0-9:|-]{0,30}") {
        for name in OWN {
            let tag = build(name, &value);
            prop_assert_eq!(super::parse_value(&tag, name), Some(value.as_str()));
            prop_assert!(is_reserved(&tag));
        }
    }
}
