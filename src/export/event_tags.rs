//! The tags by which a case names its events,
//! `misp:event="<connection>:<uuid>:<case>:<check value>"`. Anybody who can write a tag of the
//! case, of its alert or of the MISP event behind that can write such a tag, so it counts only
//! where its check value shows that this installation wrote it, for this case or for one that was
//! merged into it. Pure, but for the question whether another case is still there.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::Value;
use uuid::Uuid;

use crate::ids::{EventRole, Ids};
use crate::secret::Secret;
use crate::types::replace_astral;
use crate::{tags, text};

/// The longest tag that every TheHive takes, in characters (`InputCreateCase` in TheHive 5's
/// OpenAPI).
const LONGEST_TAG: usize = 128;
/// How many other cases TheHive is asked for.
const MOST_CASES: usize = 20;
/// What ends the name of a case in the tag of an event that is another's.
const GUEST: &str = ".guest";
/// What ends the name of an alert.
const ALERT: &str = ".alert";
/// What ends it in the tag of an event that a tag `misp:into` named.
const INTO: &str = ".into";
/// What TheHive puts between the titles of cases that it merges (`CaseSrv.merge` of TheHive 4).
const BETWEEN_TITLES: &str = " / ";

/// Titles that a title may be joined of.
const MOST_TITLES: usize = 32;
/// The shortest title that shows by itself that a case was merged, in characters: of one word, and
/// of several.
const TELLING: [usize; 2] = [12, 8];

/// The case of an export, as far as its tags say which it is.
#[derive(Clone, Copy, Debug)]
pub struct CaseName<'a> {
    /// `~25313328`.
    pub id: &'a str,
    /// When it was created, in milliseconds; empty if that is not known.
    pub created: &'a str,
    /// The organisation of TheHive that the export is for; empty if that is not known. What one
    /// organisation sees of another's cases is nothing, so a tag proves nothing beyond it.
    pub organisation: &'a str,
    /// Its title.
    pub title: &'a str,
    /// How the info line of its event is made of that, the option `event_info`.
    pub event_info: &'a str,
    /// Whose the event is.
    pub role: EventRole,
    /// True for an alert.
    pub is_alert: bool,
}

/// A tag that names an event on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTag {
    /// The tag as the case has it.
    pub tag: String,
    /// The event.
    pub uuid: Uuid,
    /// The case that was exported to it, and the check value; none in a tag of version 1.0 or of
    /// somebody else.
    claim: Option<(String, String)>,
}

/// What is known of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This installation wrote it, for this case or one that was merged into it.
    Proven,
    /// This installation wrote it, since somebody confirmed that the case's IOCs go to that event,
    /// which is another's.
    Confirmed,
    /// This installation wrote it, since a tag `misp:into` named the event.
    Into,
    /// Nothing shows that; the text says why.
    Doubtful(String),
}

impl CaseName<'_> {
    /// The case in a tag: its id and the moment of its creation, in digits and letters; and whether
    /// it is a guest there.
    fn to_tag_part(self) -> String {
        let role = match self.role {
            EventRole::Own => "",
            EventRole::Guest => GUEST,
            EventRole::Into => INTO,
        };
        let alert = if self.is_alert { ALERT } else { "" };
        match self.created.parse::<u64>() {
            Ok(created) => format!("{}.{}{alert}{role}", self.id, to_base_36(created)),
            Err(_) => format!("{}{alert}{role}", self.id),
        }
    }
}

impl EventTag {
    /// The id of the case that the tag says to have been exported to the event.
    pub fn case_id(&self) -> Option<&str> {
        self.claim
            .as_ref()
            .and_then(|(case, _)| case.split('.').next())
    }
}

fn to_base_36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(
            u32::try_from(number % 36)
                .ok()
                .and_then(|digit| char::from_digit(digit, 36))
                .unwrap_or('0'),
        );

        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// True if a tag of a job's case names an event, whoever set it.
pub fn names_an_event(case: &Value) -> bool {
    let tags = case.get("tags").and_then(Value::as_array);
    let mut texts = tags.into_iter().flatten().filter_map(Value::as_str);
    texts.any(|tag| tags::parse_value(tag, tags::EVENT).is_some())
}

/// The tags of a case that name events on a connection, none twice.
pub fn of_connection(tags: &[String], connection: &str) -> Vec<EventTag> {
    let mut all: Vec<EventTag> = Vec::new();
    for named in tags.iter().filter_map(|tag| parse_tag(tag, connection)) {
        if !all.contains(&named) {
            all.push(named);
        }
    }

    all
}

fn parse_tag(tag: &str, connection: &str) -> Option<EventTag> {
    let value = tags::parse_value(tag, tags::EVENT)?;
    let mut parts = value
        .strip_prefix(connection)?
        .strip_prefix(':')?
        .split(':');
    let uuid = Uuid::parse_str(parts.next()?.trim()).ok()?;
    let claim = match (parts.next(), parts.next(), parts.next()) {
        (Some(case), Some(check), None) => Some((case.to_owned(), check.to_owned())),
        _ => None,
    };

    Some(EventTag {
        tag: tag.to_owned(),
        uuid,
        claim,
    })
}

/// The tag for an event of a case. Without a check value, or where the tag would become too long
/// for TheHive, it only names the event.
pub fn build(
    ids: &Ids,
    connection: (&str, Option<&Secret>),
    event: &Uuid,
    case: CaseName<'_>,
) -> String {
    let plain = format!("{}:{event}", connection.0);
    let name = case.to_tag_part();
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "~-_.".contains(c))
        && !case.id.is_empty();
    let check = ids
        .check_value(connection, event, &[&name, case.organisation])
        .filter(|_| is_plain);
    let full = check.map(|check| tags::build(tags::EVENT, &format!("{plain}:{name}:{check}")));

    full.filter(|tag| tag.chars().count() <= LONGEST_TAG)
        .unwrap_or_else(|| tags::build(tags::EVENT, &plain))
}

/// True if a tag has a check value that this installation made, for whatever case of the
/// organisation.
pub fn is_signed(
    tag: &EventTag,
    ids: &Ids,
    connection: (&str, Option<&Secret>),
    case: CaseName<'_>,
) -> bool {
    let Some((claimed, check)) = &tag.claim else {
        return false;
    };
    ids.check_value(connection, &tag.uuid, &[claimed, case.organisation])
        .as_ref()
        == Some(check)
}

/// True if this installation wrote a tag for this very case.
pub fn is_of_case(
    tag: &EventTag,
    ids: &Ids,
    connection: (&str, Option<&Secret>),
    case: CaseName<'_>,
) -> bool {
    is_signed(tag, ids, connection, case)
        && tag
            .claim
            .as_ref()
            .is_some_and(|(claimed, _)| *claimed == case.to_tag_part())
}

/// Tells for each tag whether it can be followed. A tag of another case counts only if that case
/// was merged into this one: TheHive takes the sources of a merge away and joins their titles, so
/// the other case must be gone (`is_there`, as far as TheHive can be asked), and the info line of
/// its event (`info`) must be what one title of those that this one is joined of gives, or several
/// in a row. That a case is not to be seen proves nothing by itself: it may have been deleted. A tag
/// of an alert, which TheHive puts on the case that is made of it, counts if the alert went into
/// this case (`is_of_case`).
pub fn assess(
    tags: &[EventTag],
    ids: &Ids,
    connection: (&str, Option<&Secret>),
    case: CaseName<'_>,
    info: impl Fn(&Uuid) -> Option<String>,
    is_there: impl Fn(&str) -> Option<Result<bool>>,
    is_of_case: impl Fn(&str) -> Option<Result<bool>>,
) -> Vec<Standing> {
    let mut known: HashMap<&str, Standing> = HashMap::new();
    let mut standings = Vec::with_capacity(tags.len());

    for tag in tags {
        standings.push(match &tag.claim {
            None => Standing::Doubtful("it has no check value".to_owned()),
            Some(_) if !is_signed(tag, ids, connection, case) => {
                Standing::Doubtful("its check value is not one of this installation, its key and \
                    this organisation".to_owned())
            }
            Some((claimed, _)) if *claimed == case.to_tag_part() => Standing::Proven,
            Some((claimed, _)) if claimed.strip_suffix(GUEST) == Some(&case.to_tag_part()) => Standing::Confirmed,
            Some((claimed, _)) if claimed.strip_suffix(INTO) == Some(&case.to_tag_part()) => Standing::Into,
            Some((claimed, _)) if claimed.ends_with(ALERT) && !case.is_alert => {
                let id = claimed.split('.').next().unwrap_or_default();
                let standing = known.get(claimed.as_str()).cloned();
                let standing = standing.unwrap_or_else(|| match known.len() < MOST_CASES {
                    true => assess_alert(id, is_of_case(id)),
                    false => Standing::Doubtful("the case names events of too many alerts".to_owned()),
                });
                known.insert(claimed, standing.clone());
                standing
            }
            Some(_) if !info(&tag.uuid).is_some_and(|info| has_merged_title(case, &info)) => Standing::Doubtful(
                "it is the tag of another case, and the title of its event is not one of those \
                 that this case's is joined of, \
                 as it would be after a merge, or too short to show that"
                    .to_owned(),
            ),
            Some((claimed, _)) if known.len() < MOST_CASES || known.contains_key(claimed.as_str()) => {
                let id = claimed.split('.').next().unwrap_or_default();
                match known.entry(claimed).or_insert_with(|| assess_merged_case(id, is_there(id))) {
                    Standing::Proven if claimed.ends_with(GUEST) => Standing::Confirmed,
                    standing => standing.clone(),
                }
            }
            Some(_) => Standing::Doubtful(format!("the case names events of more than \
                {MOST_CASES} other cases")),
        });
    }

    standings
}

/// True if the info line of an event is that of a case whose title was joined into this one, by
/// itself or with its neighbours. One short title alone shows nothing: many cases have it.
fn has_merged_title(case: CaseName<'_>, info: &str) -> bool {
    let name = replace_astral(&text::clean_name(case.title.into())).into_owned();
    let parts: Vec<&str> = name.split(BETWEEN_TITLES).map(str::trim).collect();
    if !(2..=MOST_TITLES).contains(&parts.len()) {
        return false;
    }
    let runs =
        (0..parts.len()).flat_map(|first| (first..parts.len()).map(move |last| first..=last));
    let mut runs = runs.filter_map(|run| parts.get(run));

    runs.any(|run| match run {
        [one] => is_distinctive(one) && is_info_of_title(case.event_info, one, info),
        several => is_info_of_title(case.event_info, &several.join(BETWEEN_TITLES), info),
    })
}

fn is_distinctive(title: &str) -> bool {
    let [of_one_word, of_several] = TELLING;
    title.chars().count()
        >= if title.contains(' ') {
            of_several
        } else {
            of_one_word
        }
}

/// True if an info line is what this title gives, with whatever number the case had.
fn is_info_of_title(pattern: &str, title: &str, info: &str) -> bool {
    let mut parts = pattern
        .split("{number}")
        .map(|part| part.replace("{title}", title));
    let first = parts.next().unwrap_or_default();
    let info = info.trim();
    let Some(mut rest) = info
        .strip_prefix(first.trim_start())
        .or_else(|| (info == first.trim()).then_some(""))
    else {
        return false;
    };

    for part in parts {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest
            .strip_prefix(part.as_str())
            .or_else(|| (rest == part.trim_end()).then_some(""))
        {
            Some(after) => rest = after,
            None => return false,
        }
    }

    rest.is_empty()
}

fn assess_alert(alert: &str, is_of_case: Option<Result<bool>>) -> Standing {
    let why = match is_of_case {
        Some(Ok(true)) => return Standing::Proven,
        Some(Ok(false)) => "which did not go into this case".to_owned(),
        Some(Err(error)) => {
            format!("and whether that went into this case is not known: {error:#}")
        }
        None => "and TheHive cannot be asked whether that went into this case: set \
            \"thehive_url\" and \"thehive_key\""
            .to_owned(),
    };
    Standing::Doubtful(format!("it is the tag of alert {alert}, {why}"))
}

fn assess_merged_case(case: &str, is_there: Option<Result<bool>>) -> Standing {
    Standing::Doubtful(match is_there {
        Some(Ok(false)) => return Standing::Proven,
        Some(Ok(true)) => format!("it is the tag of another case, {case}, which is still there"),
        Some(Err(error)) => {
            format!(
                "it is the tag of another case, {case}, and whether that is still there is not \
                 known: {error:#}"
            )
        }
        None => format!(
            "it is the tag of another case, {case}, and TheHive cannot be asked whether that was \
             merged into this one: set \
             \"thehive_url\" and \"thehive_key\""
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "the key of the connection";
    const MALWARE: &str = "[SOC-7] Malware wave";

    fn sample_case(id: &'static str) -> CaseName<'static> {
        CaseName {
            id,
            created: "1630917246993",
            organisation: "soc",
            title: "Phishing / Malware wave / x",
            event_info: "[SOC-{number}] {title}",
            role: EventRole::Own,
            is_alert: false,
        }
    }

    fn parse_tags(list: &[&str]) -> Vec<EventTag> {
        of_connection(
            &list.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "misp:corp",
        )
    }

    fn assess_tags(
        list: &[&str],
        info: &str,
        is_there: fn(&str) -> Option<Result<bool>>,
    ) -> Vec<Standing> {
        let key = Secret::new(KEY);
        let ids = Ids::new("here", None);

        assess(
            &parse_tags(list),
            &ids,
            ("misp:corp", Some(&key)),
            sample_case("~1"),
            |_| Some(info.to_owned()),
            is_there,
            |alert| Some(Ok(alert == "~7")),
        )
    }

    fn sample_tag(case: CaseName<'_>, event: &Uuid) -> String {
        build(
            &Ids::new("here", None),
            ("misp:corp", Some(&Secret::new(KEY))),
            event,
            case,
        )
    }

    #[test]
    fn a_tag_is_read_as_it_was_written_and_in_the_form_of_version_1() {
        let event = Ids::new("here", None).event_uuid("~1", "");
        let (new, old) = (
            sample_tag(sample_case("~1"), &event),
            format!("misp:event=\"misp:corp:{event}\""),
        );
        assert_eq!(new.len(), old.len() + 29);
        assert_eq!(parse_tags(&[&old, &new, &new]).len(), 2);
        let others = [
            "misp:event=\"misp:corp:x\"",
            "misp:event=\"misp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2\"",
            "misp:to=\"misp:corp\"",
        ];

        assert_eq!(parse_tags(&others), []);
        assert_eq!([0, 35, 36].map(to_base_36), ["0", "z", "10"]);
    }

    #[test]
    fn only_a_tag_of_this_case_or_of_one_that_was_merged_into_it_is_followed() {
        let event = Ids::new("here", None).event_uuid("~1", "");
        let (this, other) = (
            sample_tag(sample_case("~1"), &event),
            sample_tag(sample_case("~2"), &event),
        );
        assert_eq!(
            assess_tags(&[&this], "anything", |_| None),
            [Standing::Proven]
        );
        assert_eq!(
            assess_tags(&[&other], "[SOC-7] Malware wave", |_| Some(Ok(false))),
            [Standing::Proven]
        );
        let still: fn(&str) -> Option<Result<bool>> = |_| Some(Ok(true));
        let broken: fn(&str) -> Option<Result<bool>> = |_| Some(Err(anyhow::anyhow!("broken")));
        let gone: fn(&str) -> Option<Result<bool>> = |_| Some(Ok(false));

        for (info, answer) in [
            (MALWARE, still),
            (MALWARE, broken),
            (MALWARE, |_| None),
            ("[SOC-7] Another title", gone),
        ] {
            assert!(
                matches!(
                    assess_tags(&[&other], info, answer)[..],
                    [Standing::Doubtful(_)]
                ),
                "{info}"
            );
        }

        // Neither a case of another organisation, nor one with this id on another TheHive.
        for name in [
            CaseName {
                organisation: "csirt",
                ..sample_case("~1")
            },
            CaseName {
                created: "1",
                ..sample_case("~1")
            },
        ] {
            let judged = assess_tags(&[&sample_tag(name, &event)], "[SOC-7] Another title", gone);
            assert!(matches!(judged[..], [Standing::Doubtful(_)]), "{name:?}");
        }
    }

    #[test]
    fn a_title_is_joined_of_whole_titles_and_a_short_one_shows_nothing() {
        for info in [
            MALWARE,
            "[SOC-] Malware wave",
            "[SOC-12] Phishing / Malware wave",
            "[SOC-1] Malware wave / x",
        ] {
            assert!(has_merged_title(sample_case("~1"), info), "{info}");
        }

        for info in [
            "[SOC-7] Phishing",
            "[SOC-7] x",
            "Malware wave",
            "[SOC-7] Malware wave at ACME",
            "[SOC-7] Phishing / ACME",
            "[SOC-7] Ransomware at x",
            "[SOC-7] Phishing / x",
        ] {
            assert!(!has_merged_title(sample_case("~1"), info), "{info}");
        }

        assert!(!has_merged_title(
            CaseName {
                title: "Malware wave",
                ..sample_case("~1")
            },
            MALWARE
        ));

        let plain = CaseName {
            event_info: "{title}",
            ..sample_case("~1")
        };
        assert!(has_merged_title(plain, "Malware wave") && !has_merged_title(plain, MALWARE));

        assert!(has_merged_title(
            CaseName {
                event_info: "{title} #{number}",
                ..sample_case("~1")
            },
            "Malware wave #8"
        ));
    }

    #[test]
    fn a_confirmed_event_is_known_for_another_cases() {
        let event = Ids::new("here", None).event_uuid("~9", "");

        let (this, other) = (
            CaseName {
                role: EventRole::Guest,
                ..sample_case("~1")
            },
            CaseName {
                role: EventRole::Guest,
                ..sample_case("~2")
            },
        );

        assert_eq!(
            assess_tags(&[&sample_tag(this, &event)], "x", |_| None),
            [Standing::Confirmed]
        );
        assert_eq!(
            assess_tags(&[&sample_tag(other, &event)], MALWARE, |_| Some(Ok(false))),
            [Standing::Confirmed]
        );
    }

    #[test]
    fn the_tag_of_an_alert_counts_for_the_case_that_it_went_into() {
        let event = Ids::new("here", None).event_uuid("~7", "");
        let tag_of = |id| {
            let alert = CaseName {
                is_alert: true,
                ..sample_case(id)
            };
            sample_tag(alert, &event)
        };
        let judged = assess_tags(&[&tag_of("~7"), &tag_of("~8")], "x", |_| Some(Ok(false)));
        assert!(
            matches!(judged[..], [Standing::Proven, Standing::Doubtful(_)]),
            "{judged:?}"
        );
    }

    #[test]
    fn a_forged_tag_beside_a_true_one_changes_nothing() {
        let event = Ids::new("here", None).event_uuid("~1", "");
        let forged = format!("misp:event=\"misp:corp:{event}:~0.x:0000000000000000\"");
        let all = assess_tags(
            &[&forged, &sample_tag(sample_case("~1"), &event)],
            "",
            |_| None,
        );

        assert!(
            matches!(all[..], [Standing::Doubtful(_), Standing::Proven]),
            "{all:?}"
        );
    }

    #[test]
    fn a_long_name_of_a_connection_leaves_no_room_for_a_check_value() {
        let name = "n".repeat(60);
        let tag = build(
            &Ids::new("here", None),
            (&name, Some(&Secret::new(KEY))),
            &Uuid::nil(),
            sample_case("~1"),
        );

        assert_eq!(tag, format!("misp:event=\"{name}:{}\"", Uuid::nil()));
    }

    proptest! {
        #[test]
        fn nobody_without_the_key_writes_a_tag_that_is_followed(
            case_id in "~?[0-9]{1,9}", check in "[0-9a-f]{16}", bytes in any::<[u8; 16]>(),
        ) {
            let uuid = Uuid::from_bytes(bytes);
            let other = Secret::new("another key");

            for tag in [
                format!("misp:event=\"misp:corp:{uuid}\""),
                format!("misp:event=\"misp:corp:{uuid}:{case_id}:{check}\""),
                format!("misp:event=\"misp:corp:{uuid}:{}:{check}\"", sample_case("~1").to_tag_part()),
                format!("misp:event=\"misp:corp:{uuid}:~1:\""),
                build(&Ids::new("here", None), ("misp:corp", Some(&other)), &uuid, sample_case("~1")),
            ] {
                let judged = assess_tags(&[&tag], MALWARE, |_| Some(Ok(false)));
                prop_assert!(matches!(judged[..], [Standing::Doubtful(_)]), "{}", tag);
            }
        }
    }
}
