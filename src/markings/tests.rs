//! What tags say of TLP and PAP, and what they do not.

use proptest::prelude::*;

use super::*;

#[test]
fn three_is_red_or_amber_strict_by_scale() {
    assert_eq!(Tlp::from_number(3, Scale::Four), Some(Tlp::Red));
    assert_eq!(Tlp::from_number(3, Scale::Five), Some(Tlp::AmberStrict));
    assert_eq!(Tlp::from_number(4, Scale::Four), Some(Tlp::Red));
    assert_eq!(Tlp::from_number(5, Scale::Five), None);
    assert_eq!(Tlp::from_number(-1, Scale::Five), None);
}

#[test]
fn tags_are_read_in_every_spelling_and_the_strictest_counts() {
    assert_eq!(
        Tlp::from_tags(["TLP:White", "tlp:amber+strict", "osint"]),
        Some(Tlp::AmberStrict)
    );
    assert_eq!(Tlp::from_tags(["tlp:ex:chr", "type:OSINT"]), None);
    assert_eq!(Pap::from_tags(["pap:white", "PAP:GREEN"]), Some(Pap::Green));
}

#[test]
fn a_tag_is_read_however_people_write_it() {
    for tag in [
        "tlp:red",
        "TLP:RED",
        "tlp:\"red\"",
        " tlp : red",
        "tlp=\"red\"",
        "tlp=red",
        "TLP: Red",
        "TLP RED",
        "tlp-red",
        "tlp_red",
        "\u{200b}tlp:red",
        "tlp:red\u{feff}",
        "ＴＬＰ：ＲＥＤ",
        "tlp:“red”",
        "t\u{61c}lp:red",
        "tlp\u{180e}:red",
        "TLP – RED",
        "tlp∶red",
        "tlp﹕red",
        "ТLP:RЕD",
        "[TLP:RED]",
        "𝐭𝐥𝐩:𝐫𝐞𝐝",
        "tlp:\u{a0}red",
        "TLP|RED",
        "tlp;red",
        "tlp,red",
        "tlp~red",
        "tlp#red",
        "tlp->red",
        "tlp=>red",
        "tlp→red",
        "tlp (red)",
        "tlp[:]red",
        "TLP RED ONLY",
        "TLP:RED ONLY",
        "TLP – RED – no sharing",
        "TLP AMBER or RED",
        "TLP2.0:RED",
        "TLP 2.0 RED",
        "tlpv2|red",
        "ТLP | RЕ\u{ad}D",
    ] {
        assert_eq!(Tlp::from_tag(tag), Some(Tlp::Red), "{tag:?}");
    }
}

#[test]
fn tlp_amber_strict_is_read_however_people_write_it() {
    for tag in [
        "tlp:amber+strict",
        "TLP:AMBER STRICT",
        "tlp:amber-strict",
        "tlp:\"amber+strict\"",
        "TLP:AMBER:STRICT",
        "TLP|AMBER (strict)",
        "TLP AMBER+STRICT ONLY",
    ] {
        assert_eq!(Tlp::from_tag(tag), Some(Tlp::AmberStrict), "{tag:?}");
    }
}

#[test]
fn pap_red_is_read_however_people_write_it() {
    for tag in [
        "pap:red",
        "PAP:\"RED\"",
        " PAP : red",
        "pap=\"red\"",
        "PAP RED ONLY",
        "PAP|RED",
    ] {
        assert_eq!(Pap::from_tag(tag), Some(Pap::Red), "{tag:?}");
    }
}

#[test]
fn what_is_meant_as_a_marking_and_cannot_be_read_is_red_and_is_named() {
    let tags = [
        "tlp:rde",
        "tlp:",
        "PAP:purple",
        "tlp:3",
        "TLP2.0:rde",
        "tlp:green",
        "tlp:ex:chr",
        "misp:tlp",
        "tlp-handling",
        "papal",
        "TLP|RED",
    ];

    assert_eq!(
        unreadable_tags(tags).collect::<Vec<_>>(),
        ["tlp:rde", "tlp:", "PAP:purple", "tlp:3", "TLP2.0:rde"]
    );
    assert_eq!(
        (Tlp::from_tag("tlp:rde"), Pap::from_tag("PAP:purple")),
        (Some(Tlp::Red), Some(Pap::Red))
    );

    for tag in [
        "tlp:ex:chr",
        "tlp:EX:CHR",
        "tlp-handling",
        "tlpred",
        "tlp2",
        "tlpx red",
        "misp-galaxy:tlp=\"red\"",
        "tl",
        "",
        "papal red",
        "pap-smear",
        "pap smear",
        "tlp not clear",
        "TLP white paper",
        "tlp|rde",
    ] {
        assert_eq!(
            (Tlp::from_tag(tag), Pap::from_tag(tag)),
            (None, None),
            "{tag:?}"
        );
    }

    assert_eq!(
        (Tlp::from_tag("TLP|WHITE"), Tlp::from_tag("TLP 2.0 (green)")),
        (Some(Tlp::Clear), Some(Tlp::Green))
    );
}

proptest! {
    #[test]
    fn whatever_stands_around_a_level_it_is_never_read_as_less(
        tlp in prop::sample::select(vec![Tlp::Amber, Tlp::AmberStrict, Tlp::Red]),
        before in "[ \\[(#\u{200b}\"]{0,3}",
        version in prop::sample::select(vec!["", "2", "v2", " 2.0"]),
        between in "[-:=|;,~#>/._\\[({→–· ]{1,4}",
        words in "([ /,;|–-][a-z]{1,9}){0,3}",
        more in "([ /,;|–-][a-z]{1,9}){0,3}",
    ) {
        let tag = format!("{before}TLP{version}{between}x{words} {}{more}", tlp.word());
        prop_assert!(Tlp::from_tag(&tag) >= Some(tlp), "{tag:?}");
        let tag = format!("{before}Tlp{version}{between}{}{more}", tlp.word().to_lowercase());
        prop_assert!(Tlp::from_tag(&tag) >= Some(tlp), "{tag:?}");
    }

    #[test]
    fn what_stands_behind_a_colon_is_a_level_or_red(word in "(red|Amber|GREEN|white)?.{0,20}") {
        let plain = tags::fold_name(&word);
        prop_assume!(!plain.trim_start_matches([':', '=']).starts_with("ex:"));
        let level = Tlp::from_tag(&format!("tlp:{word}"));
        let says = |word: &str| plain.contains(word);
        prop_assert!(level == Some(Tlp::Red) || level.is_some() && ["amber", "green", "white", "clear"].into_iter().any(says));
    }
}

#[test]
fn only_a_plain_tag_counts_for_every_other_misp() {
    assert_eq!(
        Tlp::from_plain_tags(["tlp:\"red\"", "TLP:Amber", "tlp:rde"]),
        Some(Tlp::Amber)
    );
    assert_eq!(Tlp::from_plain_tags(["TLP:WHITE"]), Some(Tlp::Clear));

    assert_eq!(
        (
            Tlp::from_plain_tags(["tlp=red"]),
            Pap::from_plain_tags(["pap:red"])
        ),
        (None, Some(Pap::Red))
    );
}

#[test]
fn words_tags_and_numbers_go_round() {
    for tlp in [
        Tlp::Clear,
        Tlp::Green,
        Tlp::Amber,
        Tlp::AmberStrict,
        Tlp::Red,
    ] {
        assert_eq!(Tlp::from_tag(tlp.tag()), Some(tlp));
        assert_eq!(Tlp::from_word(tlp.word()), Some(tlp));
        assert_eq!(
            Tlp::from_number(i64::from(tlp.number()), Scale::Five),
            Some(tlp)
        );
    }

    for pap in [Pap::Clear, Pap::Green, Pap::Amber, Pap::Red] {
        assert_eq!(Pap::from_tag(pap.tag()), Some(pap));
        assert_eq!(Pap::from_number(i64::from(pap.number())), Some(pap));
    }
}
