//! The procedures (TTPs) of a case as ATT&CK galaxy tags of its event. On a server a technique is
//! what MISP's galaxy has under its number; on a feed it is called as MISP's galaxy calls each:
//! its name, ` - `, its number.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::ConnectionExport;
use super::diff::shared_tags;
use super::draft::EventDraft;
use super::reporting::NAMED;
use crate::misp::server::ATTACK_PATTERN_TAG;
use crate::misp::{EventContent, Misp};
use crate::text::{self, join_first, reveal_hidden};
use crate::thehive::CaseProcedure;

impl ConnectionExport<'_> {
    /// Adds the tags of the case's procedures to those that its event should have, and names the
    /// procedures that have none here. The server is asked only for those that the event does not
    /// have.
    pub fn add_procedures(
        &self,
        misp: &Misp,
        wanted: &mut EventDraft,
        held: Option<&EventContent>,
    ) {
        // An alert's are not asked for.
        let is_whole_case = self.input.is_case && !self.input.case.is_alert;
        let is_wanted = self.settings.export_procedures && is_whole_case;
        if !is_wanted || self.role.is_guest() || wanted.only_tightens {
            return;
        }
        let Some(procedures) = &self.input.procedures else {
            self.part.warn(
                "the case's procedures stay here: TheHive cannot be asked for them, or did not \
                 answer",
            );
            return;
        };

        let mut tags = match misp {
            Misp::Server(_) => held
                .map(|held| known_tags(procedures, held))
                .unwrap_or_default(),
            Misp::Feed(_) => named_tags(procedures),
        };
        let numbers = procedures.iter().map(|one| one.number.as_str());
        let open: BTreeSet<&str> = numbers
            .filter(|number| is_number(number) && !tags.contains_key(*number))
            .collect();
        if !open.is_empty() {
            match misp.ask_server(|server| server.find_techniques(&open)) {
                Ok(found) => tags.extend(found),
                Err(error) => self.part.warn(format!(
                    "the ATT&CK galaxy of this MISP was not read, so that new procedures stay \
                     here: {error:#}"
                )),
            }
        }

        self.warn_of_unresolved(procedures, &tags);
        let mut tags: Vec<String> = tags.into_values().collect();
        tags.retain(|tag| self.settings.allows_tag(tag) && !wanted.tags.contains(tag));
        wanted.tags.extend(tags);
    }

    fn warn_of_unresolved(&self, procedures: &[CaseProcedure], tags: &BTreeMap<String, String>) {
        let shown = |number: &str| reveal_hidden(&self.part.run.report_text(number)).into_owned();
        let numbers = procedures.iter().map(|one| &one.number);
        let left: BTreeSet<String> = numbers
            .filter(|number| !tags.contains_key(*number))
            .map(|number| shown(number))
            .collect();
        if left.is_empty() {
            return;
        }
        let left: Vec<String> = left.into_iter().collect();
        let why = if self.is_public() {
            "TheHive does not name them as ATT&CK does"
        } else {
            "they are not in the galaxy mitre-attack-pattern of this MISP"
        };

        self.part.warn(format!(
            "the procedures {} stay here: {why}",
            join_first(&left, NAMED)
        ));
    }
}

/// The techniques that the event has already, whatever they are called there.
fn known_tags(procedures: &[CaseProcedure], held: &EventContent) -> BTreeMap<String, String> {
    let tags: Vec<&str> = shared_tags(held.event.tags_with_local_flag()).collect();
    let find = |number: &str| {
        let mut tags = tags.iter();
        let tag = tags.find(|tag| number_of_tag(tag) == Some(number))?;
        Some((number.to_owned(), (*tag).to_owned()))
    };

    let numbers = procedures.iter().map(|one| one.number.as_str());
    numbers.filter_map(find).collect()
}

/// The number in the tag of a technique.
fn number_of_tag(tag: &str) -> Option<&str> {
    let value = tag.strip_prefix(ATTACK_PATTERN_TAG)?.strip_suffix('"')?;
    let (_, number) = value.rsplit_once(" - ")?;
    Some(number).filter(|number| is_number(number))
}

/// The tags of the techniques that TheHive names.
fn named_tags(procedures: &[CaseProcedure]) -> BTreeMap<String, String> {
    /// A name that no galaxy has may have no end.
    const LONGEST: usize = 150;

    let is_name = |name: &str| {
        let is_plain = |c: char| !c.is_control() && !text::is_hidden(c) && !"\"=".contains(c);
        !name.is_empty() && name.len() <= LONGEST && name.chars().all(is_plain)
    };
    let tag = |procedure: &CaseProcedure| {
        let (number, name) = (&procedure.number, procedure.name.trim());
        (is_number(number) && is_name(name)).then(|| {
            (
                number.clone(),
                format!("{ATTACK_PATTERN_TAG}{name} - {number}\""),
            )
        })
    };

    procedures.iter().filter_map(tag).collect()
}

/// True for the number of an ATT&CK technique, or of a part of one: `T1566`, `T1566.001`.
fn is_number(number: &str) -> bool {
    let is_digits =
        |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    let Some(digits) = number.strip_prefix('T') else {
        return false;
    };
    let (technique, part) = digits
        .split_once('.')
        .map_or((digits, None), |(technique, part)| (technique, Some(part)));

    is_digits(technique, 4) && part.is_none_or(|part| is_digits(part, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technique_is_its_whole_number() {
        let numbers = [
            "T1566",
            "T1566.001",
            "T156",
            "T1566.1",
            "t1566",
            "T1566 ",
            "T1566.0011",
            "%",
            "",
        ];
        let found: Vec<_> = numbers
            .into_iter()
            .filter(|number| is_number(number))
            .collect();
        assert_eq!(found, ["T1566", "T1566.001"]);

        let tag = |value: &str| format!("{ATTACK_PATTERN_TAG}{value}\"");
        let tags = [
            (tag("Phishing - T1566"), Some("T1566")),
            (
                tag("Spearphishing - Attachment - T1566.001"),
                Some("T1566.001"),
            ),
            (tag("T1566"), None),
            (
                "misp-galaxy:mitre-ics-techniques=\"Phishing - T1566\"".to_owned(),
                None,
            ),
        ];
        for (tag, number) in &tags {
            assert_eq!(number_of_tag(tag), *number, "{tag}");
        }
    }

    #[test]
    fn a_feed_has_techniques_by_their_names() {
        let procedure = |number: &str, name: &str| CaseProcedure {
            number: number.to_owned(),
            name: name.to_owned(),
        };
        let procedures = [
            procedure("T1566", "Phishing"),
            procedure("T1059", ""),
            procedure("T1001", "a\" x=\"b"),
            procedure("mine", "Mine"),
        ];
        let tags: Vec<_> = named_tags(&procedures).into_values().collect();
        assert_eq!(
            tags,
            ["misp-galaxy:mitre-attack-pattern=\"Phishing - T1566\""]
        );
    }
}
