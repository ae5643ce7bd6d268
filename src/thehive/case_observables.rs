//! The IOC observables of a case, or of an alert, while people work on it. A page that is counted off by position
//! shifts under whoever reads it: one that loses its flag on a page that was read takes another,
//! which is still flagged, out of the next. So pages go by the moment of creation, which nobody can
//! change: what is flagged from the first question to the last is in the answer, whatever happens
//! to the others.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::TheHive;
use super::cases::{filter, is, is_one_of, oldest_first, page};
use super::observables::Holder;
use super::wire::Observable;
use crate::json::{self, Element};

/// Observables asked for at once.
const PAGE: usize = 500;
/// Observables that are exported at the most.
const MOST: usize = 100_000;
/// Values asked for at once.
const VALUES: usize = 200;
/// Observables that are no IOCs and that are asked for by a tag.
pub const MOST_OTHERS: usize = 1_000;

type Page = Vec<Element<Observable>>;

/// A page, and how many there are in all as far as TheHive says it with the page.
type Counted = (Page, Option<u64>);

/// The IOC observables of a case.
#[derive(Clone, Debug)]
pub struct CaseObservables {
    /// As TheHive gave them, the oldest first.
    pub all: Page,
    /// Why they may not be all, in words; none if TheHive counts no more.
    pub incomplete: Option<String>,
}

/// What is asked about the IOCs of a case.
trait Asked {
    /// The oldest so many that were created at this moment or later.
    fn fetch_page(&mut self, since: Option<i64>, number: usize) -> Result<Counted>;

    /// How many there are.
    fn count(&mut self) -> Result<u64>;
}

struct Asking<'a> {
    thehive: &'a TheHive,
    holder: Holder<'a>,
}

impl Asked for Asking<'_> {
    fn fetch_page(&mut self, since: Option<i64>, number: usize) -> Result<Counted> {
        let is_first = since.is_none();
        let since = since.map(|since| json!({"_gte": {"_field": "_createdAt", "_value": since}}));
        let mut query = build_ioc_query(self.holder, since);
        let mut page = page(0, number);
        // Counted in the same answer, which spares a question where one page has all.
        if is_first {
            json::set(&mut page, "extraData", json!(["total"]));
        }
        query.extend([oldest_first(), page]);

        self.thehive
            .list_with_total(query.into(), number)
            .context("reading the observables")
    }

    fn count(&mut self) -> Result<u64> {
        let mut query = build_ioc_query(self.holder, None);
        query.push(json!({"_name": "count"}));
        self.thehive.query_count(&query.into())
    }
}

impl TheHive {
    /// The IOC observables of a case or an alert. The filter is repeated by the caller.
    ///
    /// # Errors
    /// What stopped the reading: an export of half a case would look like a whole one.
    pub fn fetch_ioc_observables(&self, holder: Holder<'_>) -> Result<CaseObservables> {
        read_until_complete(&mut Asking {
            thehive: self,
            holder,
        })
    }

    /// Those observables of a case or an alert that are IOCs now and have one of these values; with `files`
    /// also all files, which have none.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_iocs_by_value(
        &self,
        holder: Holder<'_>,
        values: &[&str],
        files: bool,
    ) -> Result<Page> {
        let mut all = Vec::new();
        let files = files.then(|| is("dataType", super::FILE));
        let of_values = values.chunks(VALUES).map(|some| is_one_of("data", some));

        for condition in of_values.chain(files) {
            let mut query = build_ioc_query(holder, Some(condition));
            query.push(page(0, MOST));
            all.extend(
                self.list(query.into(), MOST)
                    .context("asking for observables by their values")?,
            );
        }

        Ok(all)
    }
}

impl TheHive {
    /// Those observables of a case or an alert that are no IOCs and have a tag that begins so, the oldest
    /// [`MOST_OTHERS`] of them
    /// (`fixtures/wire/thehive/587-query-observables-by-the-start-of-a-tag.json`).
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn fetch_tagged_others(&self, holder: Holder<'_>, start: &str) -> Result<Page> {
        let is_tagged = json!({"_startsWith": {"_field": "tags", "_value": start}});
        let query = json!([
            holder.operation(),
            {"_name": "observables"},
            filter(&[is("ioc", false), is_tagged]),
            oldest_first(),
            page(0, MOST_OTHERS),
        ]);
        self.list(query, MOST_OTHERS)
            .context("asking for observables by their tags")
    }
}

fn build_ioc_query(holder: Holder<'_>, more: Option<Value>) -> Vec<Value> {
    let conditions: Vec<Value> = [is("ioc", true)].into_iter().chain(more).collect();
    vec![
        holder.operation(),
        json!({"_name": "observables"}),
        filter(&conditions),
    ]
}

/// Reads until TheHive counts no more than was read: first to the page that is not full, then to
/// one that brings nothing new. A count that is smaller shows nothing but that one lost its flag
/// meanwhile.
fn read_until_complete(asked: &mut impl Asked) -> Result<CaseObservables> {
    let mut is_patient = false;
    loop {
        let mut read = Read::default();
        read.read_pages(asked, is_patient)?;
        let Read { all, total, .. } = read;

        let incomplete = match total.map_or_else(|| asked.count(), Ok) {
            Ok(count) if count <= all.len() as u64 => None,
            Ok(_) if !is_patient => {
                // Some may have been flagged while it was read: it is read once more, to a page
                // with nothing new.
                is_patient = true;
                continue;
            }
            Ok(count) => Some(format!(
                "TheHive counts {count} IOC observables, and gave {}",
                all.len()
            )),
            Err(error) => Some(format!(
                "TheHive does not say how many IOC observables the case has: {error:#}"
            )),
        };
        return Ok(CaseObservables { all, incomplete });
    }
}

#[derive(Default)]
struct Read {
    all: Page,
    /// Where each is, by its `_id`.
    places: HashMap<String, usize>,
    /// How many TheHive counts in the same answer, if one had all.
    total: Option<u64>,
}

impl Read {
    fn read_pages(&mut self, asked: &mut impl Asked, is_patient: bool) -> Result<()> {
        let (mut since, mut number) = (None, PAGE);
        loop {
            let (page, total) = asked.fetch_page(since, number)?;
            let (length, known) = (page.len(), self.all.len());
            self.total = total.filter(|_| since.is_none() && length < number);
            let last = page.iter().rev().find_map(|row| match row {
                Element::Good(observable) => observable.created_at,
                Element::Bad(_) => None,
            });

            for row in page {
                self.insert_or_replace(row, since.is_some());
            }
            ensure!(
                self.all.len() <= MOST,
                "the case has more than {MOST} IOC observables: it is not exported"
            );
            let is_last = if is_patient {
                self.all.len() == known && length < number
            } else {
                length < number
            };

            if is_last {
                return Ok(());
            }
            if last > since {
                // Pages overlap in the moment at which one ends, since others may have been created
                // then too.
                (since, number) = (last, PAGE);
            } else {
                // More of one moment than a page holds.
                number *= 2;
            }

            ensure!(
                number <= 2 * MOST,
                "TheHive sends the same page of observables again and again"
            );
        }
    }

    /// One that was read before is as TheHive has it now.
    fn insert_or_replace(&mut self, row: Element<Observable>, overlaps: bool) {
        let id = match &row {
            Element::Good(observable) => Some(observable.id.clone()).filter(|id| !id.is_empty()),
            Element::Bad(flaw) => flaw.field("_id").map(ToOwned::to_owned),
        };
        let place = id.as_ref().and_then(|id| self.places.get(id)).copied();
        if let Some(known) = place.and_then(|place| self.all.get_mut(place)) {
            *known = row;
        // Without an id only the whole shows whether it came before.
        } else if id.is_some() || !overlaps || !self.all.contains(&row) {
            self.places.extend(id.map(|id| (id, self.all.len())));
            self.all.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    /// A case that is worked on between any two answers.
    struct Moving {
        /// Moment of creation, and whether it is flagged.
        all: Vec<(i64, bool)>,
        /// What happens before each answer: the flag of the one at this place is turned, or one is
        /// added.
        changes: Vec<Vec<Option<usize>>>,
        /// Those that were flagged all the time, and at any time.
        always: HashSet<String>,
        ever: HashSet<String>,
        /// Rows that the server gives at the most, whatever it is asked for.
        most: usize,
        /// True for a server that says with a page how many there are.
        counts: bool,
    }

    impl Moving {
        fn flagged(&self) -> HashSet<String> {
            self.all
                .iter()
                .enumerate()
                .filter(|(_, (_, flag))| *flag)
                .map(|(at, _)| format!("~{at}"))
                .collect()
        }

        fn moves(&mut self) {
            let now = self.all.last().map_or(0, |(at, _)| *at);
            for change in self.changes.pop().into_iter().flatten() {
                match change {
                    Some(at) if at < self.all.len() => self.all[at].1 ^= true,
                    Some(_) | None => self.all.push((now + 1, true)),
                }
                let flagged = self.flagged();
                self.always.retain(|id| flagged.contains(id));
                self.ever.extend(flagged);
            }
        }
    }

    impl Asked for Moving {
        fn fetch_page(&mut self, since: Option<i64>, number: usize) -> Result<Counted> {
            self.moves();

            let one = |(at, (created, _)): (usize, &(i64, bool))| {
                let (id, created_at) = (format!("~{at}"), Some(*created));
                Element::Good(Observable {
                    id,
                    created_at,
                    ioc: true,
                    ..Observable::default()
                })
            };

            let all = self
                .all
                .iter()
                .enumerate()
                .filter(|(_, (at, flag))| *flag && since.is_none_or(|since| *at >= since));

            let total =
                Some(self.flagged().len() as u64).filter(|_| since.is_none() && self.counts);
            Ok((all.take(number.min(self.most)).map(one).collect(), total))
        }

        fn count(&mut self) -> Result<u64> {
            self.moves();
            Ok(self.flagged().len() as u64)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_flagged_all_the_time_is_read_and_nothing_that_never_was(
            moments in proptest::collection::vec((0..3_i64, proptest::bool::weighted(0.9)), 0..1_600),
            changes in proptest::collection::vec(
                proptest::collection::vec(proptest::option::weighted(0.8, 0..1_600_usize), 0..40), 0..12,
            ),
            bunched in any::<bool>(),
            counts in any::<bool>(),
            most in prop_oneof![Just(usize::MAX), 100..600_usize],
        ) {
            let mut now = 0;
            let at = |step: i64, now: &mut i64| { *now += if bunched { step / 2 } else { step }; *now };
            let all: Vec<_> = moments.into_iter().map(|(step, flag)| (at(step, &mut now), flag)).collect();
            let mut case = Moving { all, changes, always: HashSet::new(), ever: HashSet::new(), most, counts };
            (case.always, case.ever) = (case.flagged(), case.flagged());
            let Ok(read) = read_until_complete(&mut case) else { return Err(TestCaseError::reject("a server that gives no whole page")) };
            let ids: Vec<_> = read.all.iter().filter_map(|one| one.clone().into_option()).map(|one| one.id).collect();
            let found: HashSet<_> = ids.iter().cloned().collect();
            prop_assert_eq!(ids.len(), found.len(), "each once");
            prop_assert!(found.is_subset(&case.ever));

            if read.incomplete.is_none() {
                let lost: Vec<_> = case.always.difference(&found).collect();
                prop_assert!(lost.is_empty(), "{:?}", lost);
            }
        }
    }

    #[test]
    fn one_question_is_enough_for_a_small_case_at_rest() {
        struct Counting(Moving, usize);

        impl Asked for Counting {
            fn fetch_page(&mut self, since: Option<i64>, number: usize) -> Result<Counted> {
                self.1 += 1;
                self.0.fetch_page(since, number)
            }
            fn count(&mut self) -> Result<u64> {
                self.1 += 1;
                self.0.count()
            }
        }

        let case = |number: i64, counts: bool| Moving {
            all: (0..number).map(|at| (at, true)).collect(),
            changes: Vec::new(),
            always: HashSet::new(),
            ever: HashSet::new(),
            most: usize::MAX,
            counts,
        };

        for (number, questions) in [(0, 1), (10, 1), (499, 1), (500, 3), (1_000, 4)] {
            let mut asked = Counting(case(number, false), 0);
            read_until_complete(&mut asked).unwrap();
            assert_eq!(asked.1, questions.max(2), "a server that does not count");

            let mut asked = Counting(case(number, true), 0);
            let read = read_until_complete(&mut asked).unwrap();
            assert_eq!(
                (read.all.len() as i64, read.incomplete, asked.1),
                (number, None, questions)
            );
        }
    }
}
