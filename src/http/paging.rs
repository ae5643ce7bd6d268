//! Lists that come in pages. A page over which a server breaks down is asked for again in smaller
//! ones; a list whose pages bring nothing new is an error, and not read for ever.

use anyhow::{Result, ensure};

use super::error::is_breakdown;
use super::retry::ReadError;

/// No page is made smaller than this.
const SMALLEST: usize = 100;

/// A page of a list, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Elements of a page.
    pub limit: usize,
    /// Its number, from 1.
    pub number: usize,
}

impl PageRequest {
    /// The elements before it.
    pub fn offset(self) -> usize {
        (self.number - 1) * self.limit
    }

    /// The page behind it.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            number: self.number + 1,
            ..self
        }
    }

    /// The first half of this page, or its first fifth if it has no halves, where the server broke
    /// down over the whole and the part is worth asking for.
    pub fn halve_after(self, error: &anyhow::Error) -> Option<Self> {
        let parts = [2, 5]
            .into_iter()
            .find(|parts| self.limit.is_multiple_of(*parts))?;
        // The part's number is such that it begins with the same element as the whole.
        (is_breakdown(error) && self.limit / parts >= SMALLEST).then(|| Self {
            limit: self.limit / parts,
            number: parts * (self.number - 1) + 1,
        })
    }
}

/// Asks for one page after the other, beginning with this one, until `take` gives true: that was
/// the last.
///
/// # Errors
/// What `ask` gave, unless smaller pages help; or the error of `take`.
pub fn for_each_page<P>(
    first: PageRequest,
    mut ask: impl FnMut(PageRequest) -> Result<P, ReadError>,
    mut take: impl FnMut(PageRequest, P) -> Result<bool>,
) -> Result<()> {
    let mut page = first;
    loop {
        match ask(page) {
            Ok(answer) => {
                if take(page, answer)? {
                    return Ok(());
                }
                page = page.next();
            }
            Err(ReadError::Again(error)) => page = page.halve_after(&error).ok_or(error)?,
            Err(ReadError::Final(error)) => return Err(error),
        }
    }
}

/// A list that is read page by page until one is empty, or is known for the last.
pub struct PagedList<'a, T> {
    /// Elements of a page.
    pub limit: usize,
    /// By what a page is known that comes again.
    pub order: RowOrder<T>,
    /// What is said then.
    pub repeated: &'a str,
}

/// How the rows of a list follow each other.
pub enum RowOrder<T> {
    /// By this number. A row that is not above those of the pages before slipped onto this one,
    /// because another came in before it: it is passed over.
    Number(fn(&T) -> Option<u64>),
    /// In no order that can be relied on. Each row has a name.
    Name(fn(&T) -> Option<&str>),
}

/// What `take` of [`PagedList::for_each_page`] gets.
pub struct Page<T> {
    /// The rows that are new.
    pub rows: Vec<T>,
    /// True if there were as many as were asked for.
    pub is_full: bool,
    /// The page, as it was asked for.
    pub request: PageRequest,
}

impl<T> PagedList<'_, T> {
    /// Asks for page after page and hands over the rows of each, until one has none, or `take`
    /// gives true.
    ///
    /// # Errors
    /// What `ask` gave, unless smaller pages help; a page that brings nothing new; or the error of
    /// `take`.
    pub fn for_each_page(
        &self,
        mut ask: impl FnMut(PageRequest) -> Result<Vec<T>>,
        mut take: impl FnMut(Page<T>) -> Result<bool>,
    ) -> Result<()> {
        let (mut highest, mut last_name, mut had_nothing_new) = (None, None, false);

        let ask = |page| Ok(ask(page)?);
        let first = PageRequest {
            limit: self.limit,
            number: 1,
        };
        for_each_page(first, ask, |request, mut rows: Vec<T>| {
            if rows.is_empty() {
                return Ok(true);
            }
            let is_full = rows.len() >= request.limit;

            let is_new = match self.order {
                RowOrder::Number(number) => {
                    let before = highest;
                    highest = rows.iter().filter_map(number).max().max(before);
                    // A row without a number is kept: nothing says that it came before.
                    rows.retain(|row| number(row).is_none_or(|number| Some(number) > before));
                    highest > before
                }
                RowOrder::Name(name) => {
                    // A page that ends with the same row as the page before is taken for that page
                    // again.
                    let before = last_name.take();
                    last_name = rows.iter().rev().find_map(name).map(ToOwned::to_owned);
                    last_name != before
                }
            };
            // All rows of one last page may have slipped onto it.
            let may_be_last = !is_full && !had_nothing_new;
            ensure!(
                request.number == 1 || is_new || may_be_last,
                "{}",
                self.repeated
            );
            had_nothing_new = !is_new;

            take(Page {
                rows,
                is_full,
                request,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::{HttpError, HttpErrorKind, RefusalKind};

    use anyhow::{anyhow, bail};

    fn refusal_error(status: u16) -> anyhow::Error {
        let cause = HttpErrorKind::Refused {
            status,
            kind: RefusalKind::Plain,
            message: "no".to_owned(),
            errors: Box::default(),
            has_location: false,
            wait: None,
        };

        anyhow!(HttpError::new("GET https://m/x".into(), cause)).context("asking")
    }

    #[test]
    fn halved_pages_begin_where_the_whole_one_did() {
        let page = PageRequest {
            limit: 400,
            number: 3,
        };
        let halved = page.halve_after(&refusal_error(500)).unwrap();
        assert_eq!(
            (halved.limit, halved.number, halved.offset()),
            (200, 5, 800)
        );
        assert_eq!(halved.halve_after(&refusal_error(504)).unwrap().limit, 100);

        let odd = PageRequest {
            limit: 625,
            number: 3,
        }
        .halve_after(&refusal_error(502))
        .unwrap();
        assert_eq!((odd.limit, odd.number, odd.offset()), (125, 11, 1_250));

        for limit in [100, 125, 199] {
            let small = PageRequest { limit, number: 1 };
            assert_eq!(small.halve_after(&refusal_error(500)), None);
        }
        assert_eq!(page.halve_after(&refusal_error(403)), None);
    }

    fn list<'a>(order: RowOrder<u64>) -> PagedList<'a, u64> {
        PagedList {
            limit: 400,
            order,
            repeated: "again",
        }
    }

    fn number(row: &u64) -> Option<u64> {
        Some(*row)
    }

    /// A list of so many rows by a server that breaks down over more than `most` at once.
    fn read(rows: u64, most: usize) -> (Vec<u64>, Vec<usize>) {
        let (mut read, mut asked) = (Vec::new(), Vec::new());
        let ask = |page: PageRequest| {
            asked.push(page.limit);
            if page.limit > most {
                return Err(refusal_error(500));
            }
            let rows = (1..=rows).skip(page.offset());
            Ok(rows.take(page.limit).collect())
        };

        list(RowOrder::Number(number))
            .for_each_page(ask, |page| {
                read.extend(page.rows);
                Ok(false)
            })
            .unwrap();
        (read, asked)
    }

    #[test]
    fn every_row_comes_once_however_small_the_pages_become() {
        assert_eq!(read(0, 400), (Vec::new(), vec![400]));
        assert_eq!(read(401, 400), ((1..=401).collect(), vec![400; 3]));
        assert_eq!(
            read(250, 100),
            ((1..=250).collect(), vec![400, 200, 100, 100, 100, 100])
        );
    }

    #[test]
    fn a_row_that_slips_onto_the_next_page_comes_once() {
        let mut pages = vec![vec![], vec![3, 4], vec![1, 2, 3]];
        let mut read = Vec::new();
        let ask = |_| Ok(pages.pop().unwrap_or_default());
        let done = list(RowOrder::Number(number)).for_each_page(ask, |page| {
            read.extend(page.rows);
            Ok(false)
        });
        assert!(done.is_ok());
        assert_eq!(read, [1, 2, 3, 4]);
    }

    #[test]
    fn a_last_page_of_nothing_but_slipped_rows_ends_the_list() {
        let full: Vec<u64> = (1..=400).collect();
        let read = |mut pages: Vec<Vec<u64>>| {
            let mut read = 0;
            let done = list(RowOrder::Number(number)).for_each_page(
                |_| Ok(pages.pop().unwrap_or_default()),
                |page| {
                    read += page.rows.len();
                    Ok(false)
                },
            );
            (read, done.is_ok())
        };
        assert_eq!(read(vec![vec![], vec![400], full.clone()]), (400, true));
        assert_eq!(read(vec![vec![400], vec![400], full]), (400, false));
    }

    #[test]
    fn a_page_that_comes_again_and_again_is_an_error() {
        let orders = [
            RowOrder::Number(number),
            RowOrder::Name(|_| Some("the same")),
        ];
        for order in orders {
            let mut pages = 0;
            let error = list(order)
                .for_each_page(
                    |_| Ok(vec![7; 400]),
                    |_| {
                        pages += 1;
                        Ok(false)
                    },
                )
                .unwrap_err();
            assert_eq!((error.to_string().as_str(), pages), ("again", 1));
        }
    }

    #[test]
    fn the_last_page_may_be_known_for_it_and_an_error_is_not_asked_about_again() {
        let mut asked = 0;
        let mut ask = |_| {
            asked += 1;
            Ok(vec![asked; 400])
        };
        list(RowOrder::Number(number))
            .for_each_page(&mut ask, |page| {
                assert!(page.is_full);
                Ok(page.request.number == 2)
            })
            .unwrap();

        let failed = list(RowOrder::Number(number)).for_each_page(&mut ask, |_| bail!("no"));
        assert_eq!((failed.unwrap_err().to_string().as_str(), asked), ("no", 3));
    }
}
