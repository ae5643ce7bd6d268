//! The tags by which a case names its events, `misp:event="<connection>:<uuid>:<case id>:<check value>"`. Anybody who can
//! write a tag of the case, of its alert or of the MISP event behind that can write such a tag, so it counts only where its
//! check value shows that this installation wrote it, for this case or for one that was merged into it. Pure, but for the
//! question whether another case is still there.

use std::collections::HashMap;

use anyhow::Result;
use uuid::Uuid;

use crate::ids::Ids;
use crate::secret::Secret;
use crate::tags;

/// The longest tag that every TheHive takes, in characters (`InputCreateCase` in TheHive 5's OpenAPI).
const LONGEST_TAG: usize = 128;
/// How many other cases TheHive is asked for.
const MOST_CASES: usize = 20;

/// A tag that names an event on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTag {
    /// The tag as the case has it.
    pub tag: String,
    /// The event.
    pub uuid: Uuid,
    /// The case that was exported to it, and the check value; none in a tag of version 1.0 or of somebody else.
    claim: Option<(String, String)>,
}

/// What is known of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This installation wrote it, for this case or one that was merged into it.
    Proven,
    /// Nothing shows that; the text says why.
    Doubtful(String),
}

/// The tags of a case that name events on a connection, each event once.
#[must_use]
pub fn of_connection(tags: &[String], connection: &str) -> Vec<EventTag> {
    let mut all: Vec<EventTag> = Vec::new();
    for tag in tags {
        let Some(named) = read(tag, connection) else { continue };
        match all.iter_mut().find(|known| known.uuid == named.uuid) {
            // The one with a check value counts.
            Some(known) if known.claim.is_none() => *known = named,
            Some(_) => {}
            None => all.push(named),
        }
    }
    all
}

fn read(tag: &str, connection: &str) -> Option<EventTag> {
    let value = tags::value(tag, tags::EVENT)?;
    let mut parts = value.strip_prefix(connection)?.strip_prefix(':')?.split(':');
    let uuid = Uuid::parse_str(parts.next()?.trim()).ok()?;
    let claim = match (parts.next(), parts.next(), parts.next()) {
        (Some(case), Some(check), None) => Some((case.to_owned(), check.to_owned())),
        _ => None,
    };
    Some(EventTag { tag: tag.to_owned(), uuid, claim })
}

/// The tag for an event of a case. Without a check value, or where the tag would become too long for TheHive, it only names
/// the event.
#[must_use]
pub fn written(ids: &Ids, connection: (&str, Option<&Secret>), event: &Uuid, case_id: &str) -> String {
    let plain = format!("{}:{event}", connection.0);
    let is_plain_id = !case_id.is_empty() && case_id.chars().all(|c| c.is_ascii_alphanumeric() || "~-_".contains(c));
    let check = ids.check_value(connection, event, case_id).filter(|_| is_plain_id);
    let full = check.map(|check| tags::with(tags::EVENT, &format!("{plain}:{case_id}:{check}")));
    full.filter(|tag| tag.chars().count() <= LONGEST_TAG).unwrap_or_else(|| tags::with(tags::EVENT, &plain))
}

/// Tells for each tag whether it can be followed. `is_there` says whether TheHive still has a case: TheHive takes the sources
/// of a merge away (`CaseSrv.merge` of TheHive 4), so a tag of a case that is still there was copied.
#[must_use]
pub fn standings(
    tags: &[EventTag],
    ids: &Ids,
    connection: (&str, Option<&Secret>),
    case_id: &str,
    is_there: impl Fn(&str) -> Option<Result<bool>>,
) -> Vec<Standing> {
    let mut known: HashMap<&str, Standing> = HashMap::new();
    let mut standings = Vec::with_capacity(tags.len());
    for tag in tags {
        standings.push(match &tag.claim {
            None => Standing::Doubtful("it has no check value".to_owned()),
            Some((case, check)) if ids.check_value(connection, &tag.uuid, case).as_ref() != Some(check) => {
                Standing::Doubtful("its check value is not one of this installation and its key".to_owned())
            }
            Some((case, _)) if case == case_id => Standing::Proven,
            Some((case, _)) if known.len() < MOST_CASES || known.contains_key(case.as_str()) => {
                known.entry(case).or_insert_with(|| merged(case, is_there(case))).clone()
            }
            Some(_) => Standing::Doubtful(format!("the case names events of more than {MOST_CASES} other cases")),
        });
    }
    standings
}

fn merged(case: &str, is_there: Option<Result<bool>>) -> Standing {
    Standing::Doubtful(match is_there {
        Some(Ok(false)) => return Standing::Proven,
        Some(Ok(true)) => format!("it is the tag of another case, {case}, which is still there"),
        Some(Err(error)) => {
            format!("it is the tag of another case, {case}, and whether that is still there is not known: {error:#}")
        }
        None => format!(
            "it is the tag of another case, {case}, and TheHive cannot be asked whether that was merged into this one: set \
             \"thehive_url\" and \"thehive_key\""
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "the key of the connection";

    fn tags(list: &[&str]) -> Vec<EventTag> {
        of_connection(&list.iter().map(ToString::to_string).collect::<Vec<_>>(), "misp:corp")
    }

    fn judged(list: &[&str], is_there: fn(&str) -> Option<Result<bool>>) -> Vec<Standing> {
        let key = Secret::new(KEY);
        standings(&tags(list), &Ids::new("here", None), ("misp:corp", Some(&key)), "~1", is_there)
    }

    fn own(case: &str, event: &Uuid) -> String {
        written(&Ids::new("here", None), ("misp:corp", Some(&Secret::new(KEY))), event, case)
    }

    #[test]
    fn a_tag_is_read_as_it_was_written_and_in_the_form_of_version_1() {
        let event = Ids::new("here", None).event("~1", "");
        let (new, old) = (own("~1", &event), format!("misp:event=\"misp:corp:{event}\""));
        assert_eq!(new.len(), old.len() + 20);
        assert_eq!(tags(&[&old, &new]), tags(&[&new]));
        assert_eq!(tags(&[&new, &old]).len(), 1);
        let others = [
            "misp:event=\"misp:corp:x\"",
            "misp:event=\"misp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2\"",
            "misp:to=\"misp:corp\"",
        ];
        assert_eq!(tags(&others), []);
    }

    #[test]
    fn only_a_tag_of_this_case_or_of_one_that_is_gone_is_followed() {
        let event = Ids::new("here", None).event("~1", "");
        let (this, other) = (own("~1", &event), own("~2", &event));
        assert_eq!(judged(&[&this], |_| None), [Standing::Proven]);
        assert_eq!(judged(&[&other], |_| Some(Ok(false))), [Standing::Proven]);
        for answer in [|_: &str| Some(Ok(true)), |_: &str| Some(Err(anyhow::anyhow!("broken"))), |_: &str| None] {
            assert!(matches!(judged(&[&other], answer)[..], [Standing::Doubtful(_)]));
        }
    }

    #[test]
    fn a_long_name_of_a_connection_leaves_no_room_for_a_check_value() {
        let name = "n".repeat(60);
        let tag = written(&Ids::new("here", None), (&name, Some(&Secret::new(KEY))), &Uuid::nil(), "~1");
        assert_eq!(tag, format!("misp:event=\"{name}:{}\"", Uuid::nil()));
    }

    proptest! {
        #[test]
        fn nobody_without_the_key_writes_a_tag_that_is_followed(
            case in "~?[0-9]{1,9}", check in "[0-9a-f]{16}", bytes in any::<[u8; 16]>(),
        ) {
            let uuid = Uuid::from_bytes(bytes);
            for tag in [
                format!("misp:event=\"misp:corp:{uuid}\""),
                format!("misp:event=\"misp:corp:{uuid}:{case}:{check}\""),
                format!("misp:event=\"misp:corp:{uuid}:~1:\""),
                written(&Ids::new("here", None), ("misp:corp", Some(&Secret::new("another key"))), &uuid, "~1"),
            ] {
                prop_assert!(matches!(judged(&[&tag], |_| Some(Ok(false)))[..], [Standing::Doubtful(_)]), "{}", tag);
            }
        }
    }
}
