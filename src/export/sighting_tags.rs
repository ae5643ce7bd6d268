//! What an analyst says of an observable for MISP: the tags `misp:sighting="…"`, and the flag that
//! it was sighted. Pure.

use crate::misp::wire::SightingKind;
use crate::tags;
use crate::thehive::wire::Observable;
use crate::time;

/// What is accepted, as a warning names it.
pub const ACCEPTED: &str = "`false-positive`, `expiration` (today) and `expiration:2027-01-31`";

const FALSE_POSITIVE: &str = "false-positive";
const EXPIRATION: &str = "expiration";

/// What is said of an observable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is.
    pub kind: SightingKind,
    /// When, in seconds since 1970; none for now.
    pub moment: Option<i64>,
    /// True for a tag, false for the flag.
    pub is_tag: bool,
}

/// All that is said of an observable, each kind once; of several expirations the latest.
pub fn statements_of(observable: &Observable) -> Vec<Statement> {
    let seen = observable.sighted.then(|| Statement {
        kind: SightingKind::Seen,
        moment: observable.sighted_at.map(time::to_seconds),
        is_tag: false,
    });

    let mut all: Vec<Statement> = Vec::new();
    for said in seen
        .into_iter()
        .chain(observable.tags.iter().filter_map(|tag| parse(tag)))
    {
        match all.iter_mut().find(|known| known.kind == said.kind) {
            Some(known) => known.moment = known.moment.max(said.moment),
            None => all.push(said),
        }
    }
    all
}

/// True for a tag `misp:sighting="…"` that says nothing known.
pub fn is_unknown(tag: &str) -> bool {
    tags::parse_value(tag, tags::SIGHTING).is_some() && parse(tag).is_none()
}

/// Reads such a tag; none if it is another, or says nothing known.
fn parse(tag: &str) -> Option<Statement> {
    let said = tags::parse_value(tag, tags::SIGHTING)?;
    let (word, day) = match said.split_once(':') {
        Some((word, day)) => (word.trim(), Some(day)),
        None => (said, None),
    };
    let is_word = |known: &str| word.eq_ignore_ascii_case(known);
    let statement = |kind, moment| Statement {
        kind,
        moment,
        is_tag: true,
    };

    match day {
        None if is_word(FALSE_POSITIVE) => Some(statement(SightingKind::FalsePositive, None)),
        None if is_word(EXPIRATION) => Some(statement(SightingKind::Expiration, None)),
        Some(day) if is_word(EXPIRATION) => {
            let moment = time::parse_day(day)?;
            Some(statement(SightingKind::Expiration, Some(moment)))
        }
        None | Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn said(observable: Value) -> Vec<(u8, Option<i64>)> {
        let observable: Observable = serde_json::from_value(observable).unwrap();
        let all = statements_of(&observable);
        all.iter()
            .map(|said| (said.kind.number(), said.moment))
            .collect()
    }

    #[test]
    fn each_kind_is_said_once() {
        let tags = |tags: &[&str]| said(json!({"tags": tags}));

        assert_eq!(
            tags(&[
                "misp:sighting=\"false-positive\"",
                "MISP:Sighting=False-Positive"
            ]),
            [(1, None)]
        );
        assert_eq!(tags(&["misp:sighting = \" expiration \""]), [(2, None)]);
        assert_eq!(
            tags(&[
                "misp:sighting=\"expiration\"",
                "misp:sighting=\"expiration:2027-01-31\"",
                "misp:sighting=expiration:2026-12-31"
            ]),
            [(2, Some(1_801_353_600))]
        );
        assert_eq!(
            said(
                json!({"sighted": true, "sightedAt": 1_795_200_000_000_i64, "tags": ["misp:sighting=\"false-positive\""]})
            ),
            [(0, Some(1_795_200_000)), (1, None)]
        );
    }

    #[test]
    fn what_is_no_known_word_says_nothing() {
        for tag in [
            "misp:sighting=\"seen\"",
            "misp:sighting=\"false positive\"",
            "misp:sighting=\"false-positive:2027-01-31\"",
            "misp:sighting=\"expiration:soon\"",
            "misp:sighting=\"expiration:-1\"",
            "misp:sighting=\"expiration:99999-01-01\"",
        ] {
            assert_eq!(
                (said(json!({"tags": [tag]})), is_unknown(tag)),
                (vec![], true),
                "{tag}"
            );
        }
        assert!(!is_unknown("misp:type=\"domain\"") && !is_unknown("misp:sighting"));
    }
}
