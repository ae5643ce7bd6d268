//! What became of an event's attributes and files, until it stands in the ledger.

use uuid::Uuid;

use crate::report::ConnectionReporter;
use crate::report::ledger::{ItemKind, Verdict};
use crate::text::format_count;

/// Verdicts, each with the number of items that have it.
#[derive(Default)]
pub struct VerdictCounts(Vec<Entry>);

struct Entry {
    item: ItemKind,
    verdict: Verdict,
    number: u64,
    /// Of a failure, a value that shows what is meant.
    value: String,
}

impl VerdictCounts {
    /// Counts items with a verdict. `value` names the first of them that failed for this reason.
    pub fn count_items(
        &mut self,
        item: ItemKind,
        verdict: Verdict,
        number: u64,
        value: impl FnOnce() -> String,
    ) {
        match self
            .0
            .iter_mut()
            .find(|known| known.item == item && known.verdict == verdict)
        {
            Some(known) => known.number += number,
            None => {
                let value = if matches!(verdict, Verdict::Failed(_)) {
                    value()
                } else {
                    String::new()
                };

                self.0.push(Entry {
                    item,
                    verdict,
                    number,
                    value,
                });
            }
        }
    }

    /// Writes what was counted into the ledger, each verdict as `of` makes it. Files that failed
    /// are named already.
    pub fn record(
        &mut self,
        part: &ConnectionReporter,
        event: &Uuid,
        of: impl Fn(Verdict) -> Verdict,
    ) {
        for Entry {
            item,
            verdict,
            number,
            value,
        } in std::mem::take(&mut self.0)
        {
            let verdict = of(verdict);

            if let (ItemKind::Attributes, Verdict::Failed(reason)) = (item, &verdict) {
                let value = if value.is_empty() {
                    value
                } else {
                    format!(" ({value})")
                };

                let number = format_count(number, "attribute", "attributes");
                part.add_failure(format!("event {event}: {number}: {reason}{value}"));
            }

            part.record(item, &verdict, number);
        }
    }
}
