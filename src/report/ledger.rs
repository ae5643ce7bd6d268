//! The ledger: what became of every item read. Sums match by construction: an item is counted when
//! it is read, and once more, under one verdict, when its fate is known; [`Ledger::close_open`]
//! closes what a broken run left open.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What is counted: `events` and `attributes` for an import, `observables` for an export, with
/// lines of their own for the files that are carried over themselves, the attributes that are
/// wanted no more, sightings, the observables that are taken out of an alert, and what is related
/// to a value that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// MISP events.
    Events,
    /// MISP attributes, those inside objects included.
    Attributes,
    /// TheHive observables.
    Observables,
    /// Files that are carried over themselves, beside their hashes.
    Files,
    /// Attributes of earlier exports that the case does not want any more.
    Retractions,
    /// Attributes of earlier exports whose TLP or PAP, or a setting, lets them go out no more: they
    /// stay, for their organisation only.
    Closings,
    /// Sightings of sighted observables.
    Sightings,
    /// Observables of an alert that its event has no more.
    Removals,
    /// MISP attributes that do not have the value that was looked up, and are related to it.
    Relations,
}

impl ItemKind {
    /// The word that stands in the report, in the plural.
    pub fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Attributes => "attributes",
            Self::Observables => "observables",
            Self::Files => "files",
            Self::Retractions => "retractions",
            Self::Closings => "closings",
            Self::Sightings => "sightings",
            Self::Removals => "removals",
            Self::Relations => "relations",
        }
    }
}

/// What became of one item. The text of a skip or failure is the rule or reason under which it is
/// counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// New on the other side.
    Created,
    /// Already there, and changed.
    Updated,
    /// Already there, nothing to do.
    Unchanged,
    /// What a look-up was to find: nothing is written of it.
    Found,
    /// Left out by a rule.
    Skipped(String),
    /// Meant to arrive, and did not.
    Failed(String),
}

/// Which verdict it is, without its reason: what the row of an event has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// New on the other side.
    Created,
    /// Already there, and changed.
    Updated,
    /// Already there, nothing to do.
    Unchanged,
    /// What a look-up was to find.
    Found,
    /// Left out by a rule.
    Skipped,
    /// Meant to arrive, and did not.
    #[default]
    Failed,
}

impl VerdictKind {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Found => "found",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Verdict {
    /// Which verdict it is.
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Created => VerdictKind::Created,
            Self::Updated => VerdictKind::Updated,
            Self::Unchanged => VerdictKind::Unchanged,
            Self::Found => VerdictKind::Found,
            Self::Skipped(_) => VerdictKind::Skipped,
            Self::Failed(_) => VerdictKind::Failed,
        }
    }

    /// The word that stands in the report.
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    /// Of several verdicts on one item the one with the lowest rank counts: failed, created,
    /// updated, unchanged, found, skipped.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Failed(_) => 0,
            Self::Created => 1,
            Self::Updated => 2,
            Self::Unchanged => 3,
            Self::Found => 4,
            Self::Skipped(_) => 5,
        }
    }

    /// The rule or the reason, where there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skipped(reason) | Self::Failed(reason) => Some(reason),
            Self::Created | Self::Updated | Self::Unchanged | Self::Found => None,
        }
    }
}

/// The counts of one kind of item. `fetched` is always the sum of the verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ItemCounts {
    /// Items read.
    pub fetched: u64,
    /// Items new on the other side (in a dry run or without a target: that would be new).
    pub created: u64,
    /// Items that were there and were changed.
    pub updated: u64,
    /// Items that were there as wanted.
    pub unchanged: u64,
    /// Import only, where a value was looked up: items that have it, or are related to it.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub found: u64,
    /// Items left out by a rule, see `skipped_by`.
    pub skipped: u64,
    /// Items that did not arrive, see `failed_by`.
    pub failed: u64,
    /// How many each rule left out.
    pub skipped_by: BTreeMap<String, u64>,
    /// How many failed for each reason.
    pub failed_by: BTreeMap<String, u64>,
}

/// Rules and reasons named singly; further ones are counted together, so that hostile data cannot
/// grow a report.
const NAMED_REASONS: usize = 50;
const OTHER_REASONS: &str = "other reasons";

impl ItemCounts {
    /// Records what became of `number` items that were fetched before.
    pub fn record(&mut self, verdict: &Verdict, number: u64) {
        match verdict {
            Verdict::Created => self.created += number,
            Verdict::Updated => self.updated += number,
            Verdict::Unchanged => self.unchanged += number,
            Verdict::Found => self.found += number,
            Verdict::Skipped(rule) => {
                self.skipped += number;
                add_reason(&mut self.skipped_by, rule, number);
            }
            Verdict::Failed(reason) => {
                self.failed += number;
                add_reason(&mut self.failed_by, reason, number);
            }
        }
    }

    /// Items that arrived, were there already, or were found.
    pub fn count_done(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.found
    }

    /// Items read whose fate is not recorded yet.
    pub fn count_open(&self) -> u64 {
        self.fetched
            .saturating_sub(self.count_done() + self.skipped + self.failed)
    }

    fn add(&mut self, other: &Self) {
        self.fetched += other.fetched;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.found += other.found;
        self.skipped += other.skipped;
        self.failed += other.failed;
        for (rule, number) in &other.skipped_by {
            add_reason(&mut self.skipped_by, rule, *number);
        }

        for (reason, number) in &other.failed_by {
            add_reason(&mut self.failed_by, reason, *number);
        }
    }
}

/// A reason without what names one item: a uuid, or an `_id` of TheHive's. So what failed alike is
/// counted as one reason.
pub fn strip_identifiers(reason: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-~".contains(c);
    let mut words = String::with_capacity(reason.len());

    for piece in reason.split_inclusive(|c| !is_part(c)) {
        let word = piece.trim_end_matches(|c| !is_part(c));
        let is_id = word
            .strip_prefix('~')
            .is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()));
        let is_name = is_id || (word.len() == UUID && Uuid::try_parse(word).is_ok());
        words.push_str(if is_name { "…" } else { word });
        words.push_str(piece.get(word.len()..).unwrap_or_default());
    }

    words
}

/// The length of a uuid as it is usually written, in characters.
const UUID: usize = 36;

fn add_reason(reasons: &mut BTreeMap<String, u64>, reason: &str, number: u64) {
    if number == 0 {
        return;
    }
    let known = reasons.contains_key(reason) || reasons.len() < NAMED_REASONS;
    let name = if known { reason } else { OTHER_REASONS };
    *reasons.entry(name.to_owned()).or_default() += number;
}

/// "12 fetched: 9 created, 3 skipped (3: not an IOC)".
impl fmt::Display for ItemCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fetched", self.fetched)?;

        let verdicts = [
            (self.created, "created", None),
            (self.updated, "updated", None),
            (self.unchanged, "unchanged", None),
            (self.found, "found", None),
            (self.skipped, "skipped", Some(&self.skipped_by)),
            (self.failed, "failed", Some(&self.failed_by)),
        ];

        let named = verdicts.iter().filter(|(number, ..)| *number > 0);

        for (index, (number, word, reasons)) in named.enumerate() {
            write!(f, "{}{number} {word}", if index == 0 { ": " } else { ", " })?;
            let reasons: Vec<_> = reasons
                .iter()
                .flat_map(|r| r.iter())
                .map(|(reason, n)| format!("{n}: {reason}"))
                .collect();

            if !reasons.is_empty() {
                write!(f, " ({})", reasons.join("; "))?;
            }
        }

        Ok(())
    }
}

/// The counts of a connection, or of a whole run, by kind of item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Ledger(BTreeMap<ItemKind, ItemCounts>);

impl Ledger {
    /// Counts items as read. With none it opens their line, so that zeros are shown too.
    pub fn count_fetched(&mut self, item: ItemKind, number: u64) {
        self.0.entry(item).or_default().fetched += number;
    }

    /// Records what became of items that were counted as read before.
    pub fn record(&mut self, item: ItemKind, verdict: &Verdict, number: u64) {
        self.0.entry(item).or_default().record(verdict, number);
    }

    /// The counts of one kind of item.
    pub fn count(&self, item: ItemKind) -> ItemCounts {
        self.0.get(&item).cloned().unwrap_or_default()
    }

    /// Every kind of item with its counts.
    pub fn counts(&self) -> impl Iterator<Item = (ItemKind, &ItemCounts)> {
        self.0.iter().map(|(item, count)| (*item, count))
    }

    /// Adds another ledger, line by line.
    pub fn add(&mut self, other: &Self) {
        for (item, count) in &other.0 {
            self.0.entry(*item).or_default().add(count);
        }
    }

    /// Gives every item whose fate is unknown the verdict failed, with this reason.
    pub fn close_open(&mut self, reason: &str) {
        for count in self.0.values_mut() {
            let open = count.count_open();
            count.record(&Verdict::Failed(strip_identifiers(reason)), open);
        }
    }

    /// Gives so many of the items of one kind whose fate is unknown the verdict failed, with this
    /// reason.
    pub fn close_some_open(&mut self, item: ItemKind, number: u64, reason: &str) {
        if let Some(count) = self.0.get_mut(&item) {
            let number = count.count_open().min(number);
            count.record(&Verdict::Failed(strip_identifiers(reason)), number);
        }
    }
}

/// "observables 12 fetched: 9 created, 3 skipped (3: not an IOC)".
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self
            .0
            .iter()
            .map(|(item, count)| format!("{} {count}", item.word()))
            .collect();

        f.write_str(&lines.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_match_after_settling() {
        let mut ledger = Ledger::default();
        ledger.count_fetched(ItemKind::Observables, 5);
        ledger.record(ItemKind::Observables, &Verdict::Created, 2);
        ledger.record(
            ItemKind::Observables,
            &Verdict::Skipped("not an IOC".into()),
            1,
        );

        ledger.close_open("stopped");
        let count = ledger.count(ItemKind::Observables);
        assert_eq!((count.count_open(), count.failed), (0, 2));
        assert_eq!(
            ledger.to_string(),
            "observables 5 fetched: 2 created, 1 skipped (1: not an IOC), 2 failed (2: stopped)"
        );
    }

    #[test]
    fn what_failed_alike_is_one_reason() {
        let reason = |uuid: &str, id: &str| {
            strip_identifiers(&format!(
                "GET https://h/events/view/{uuid}: 500: é. PATCH /alert/{id}?x: (~) a-b"
            ))
        };

        let one = reason("5f0e5b5c-0000-4000-8000-000000000001", "~4128");
        assert_eq!(
            one,
            "GET https://h/events/view/…: 500: é. PATCH /alert/…?x: (~) a-b"
        );
        assert_eq!(one, reason("5f0e5b5c-0000-4000-8000-000000000002", "~99"));
    }

    #[test]
    fn reasons_are_bounded_and_still_counted() {
        let mut count = ItemCounts::default();
        for number in 0..200 {
            count.fetched += 1;
            count.record(&Verdict::Skipped(format!("rule {number}")), 1);
        }
        assert_eq!(count.skipped_by.len(), NAMED_REASONS + 1);
        assert_eq!(count.skipped_by.values().sum::<u64>(), 200);
    }
}
