//! Asking again: a question that failed for a reason that passes is put once more, after a pause,
//! within the deadline. A write never is: what became of it is looked at first.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::context::RequestObserver;
use super::error::{is_breakdown, retry_reason};
use crate::time::Clock;

/// How often a question is put.
const ATTEMPTS: u32 = 4;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// No server is waited for longer, even by a run without a deadline. MISP's window is a quarter of
/// an hour.
const LONGEST: Duration = Duration::from_secs(3_600);

/// See `Client::retry`.
pub(super) fn retry<T>(
    clock: Clock,
    observer: &dyn RequestObserver,
    mut ask: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut attempt = 1;
    loop {
        let error = match ask() {
            Err(error) if attempt < ATTEMPTS => error,
            result => return result,
        };
        let Some((pause, why)) = retry_delay(&error, attempt) else {
            return Err(error);
        };
        if pause > LONGEST || clock.time_left().is_some_and(|left| left <= pause) {
            return Err(error);
        }
        clock.pause(pause);
        observer.on_retry(&why);
        attempt += 1;
    }
}

/// How long to wait before it may go better, and what went wrong in a word; none if it will not.
fn retry_delay(error: &anyhow::Error, attempt: u32) -> Option<(Duration, String)> {
    let (why, wait) = retry_reason(error)?;
    let next = add_jitter(PAUSE * 2u32.pow(attempt - 1));

    Some((
        Duration::from_secs(wait.unwrap_or_default().into()) + next,
        why,
    ))
}

/// Half to one and a half of it, so that many runs do not ask in step.
fn add_jitter(pause: Duration) -> Duration {
    let random = Timestamp::now().subsec_nanosecond().unsigned_abs() % 1_000;
    pause / 2 + pause * random / 1_000
}

/// A page of a list, which can be made smaller if the server cannot make a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Elements of a page.
    pub limit: usize,
    /// Its number, from 1.
    pub number: usize,
}

/// No page is made smaller than this.
const SMALLEST: usize = 100;

impl PageRequest {
    /// The first page.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { limit, number: 1 }
    }

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            number: self.number + 1,
            ..self
        }
    }

    /// The first half of this page, or its first fifth if it has no halves, where the server broke
    /// down over the whole and the part is worth asking for.
    #[must_use]
    pub fn halve_after(self, error: &anyhow::Error) -> Option<Self> {
        let parts = [2, 5]
            .into_iter()
            .find(|parts| self.limit.is_multiple_of(*parts))?;
        (is_breakdown(error) && self.limit / parts >= SMALLEST).then(|| Self {
            limit: self.limit / parts,
            number: parts * (self.number - 1) + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::{BROKE_OFF, HttpError, HttpErrorKind, RefusalKind};
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::anyhow;

    /// Counts what it is told.
    #[derive(Default)]
    struct Counter(AtomicU32);

    impl RequestObserver for Counter {
        fn on_request(&self) {}

        fn on_retry(&self, _: &str) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn on_warning(&self, _: String) {}
    }

    fn refusal_error(status: u16, wait: Option<u32>) -> anyhow::Error {
        let cause = HttpErrorKind::Refused {
            status,
            kind: RefusalKind::Plain,
            message: "no".to_owned(),
            errors: Box::default(),
            location: None,
            wait,
        };

        anyhow!(HttpError::new("GET https://m/x".into(), cause)).context("asking")
    }

    fn count_attempts(error: impl Fn() -> anyhow::Error) -> u32 {
        let mut attempts = 0;
        let counter = Counter::default();
        let failed = retry::<()>(Clock::start(0).without_waiting(), &counter, || {
            attempts += 1;
            Err(error())
        });
        assert!(failed.is_err());
        assert_eq!(counter.0.into_inner(), attempts - 1);

        attempts
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        for status in [429, 502, 503, 504] {
            assert_eq!(
                count_attempts(|| refusal_error(status, None)),
                ATTEMPTS,
                "{status}"
            );
        }

        for status in [400, 401, 403, 404, 500] {
            assert_eq!(
                count_attempts(|| refusal_error(status, None)),
                1,
                "{status}"
            );
        }

        assert_eq!(
            count_attempts(|| anyhow!("reading: {BROKE_OFF}: reset")),
            ATTEMPTS
        );
        assert_eq!(count_attempts(|| anyhow!("the answer is no JSON")), 1);

        let unreachable = || {
            anyhow!(HttpError::new(
                "GET x".into(),
                HttpErrorKind::Unreachable("refused".into())
            ))
        };

        assert_eq!(count_attempts(unreachable), 1);
    }

    #[test]
    fn the_second_attempt_may_do() {
        let mut attempts = 0;

        let answer = retry(
            Clock::start(0).without_waiting(),
            &Counter::default(),
            || {
                attempts += 1;
                if attempts == 1 {
                    Err(refusal_error(503, None))
                } else {
                    Ok(attempts)
                }
            },
        );

        assert_eq!(answer.unwrap(), 2);
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let clock = Clock::start_with_limit(Some(Duration::from_secs(60))).without_waiting();
        let mut attempts = 0;
        drop(retry::<()>(clock, &Counter::default(), || {
            attempts += 1;
            Err(refusal_error(429, Some(900)))
        }));
        assert_eq!(attempts, 1);
    }

    #[test]
    fn nobody_is_waited_for_a_year() {
        assert_eq!(count_attempts(|| refusal_error(429, Some(365 * 86_400))), 1);
        assert_eq!(count_attempts(|| refusal_error(429, Some(900))), ATTEMPTS);
    }

    #[test]
    fn halved_pages_begin_where_the_whole_one_did() {
        let page = PageRequest::first(400).next().next();
        let halved = page.halve_after(&refusal_error(500, None)).unwrap();

        assert_eq!(
            (halved, (halved.number - 1) * halved.limit),
            (
                PageRequest {
                    limit: 200,
                    number: 5
                },
                800
            )
        );

        assert_eq!(
            halved.halve_after(&refusal_error(504, None)).unwrap().limit,
            100
        );

        let odd = PageRequest {
            limit: 625,
            number: 3,
        }
        .halve_after(&refusal_error(502, None))
        .unwrap();

        assert_eq!(
            (odd, (odd.number - 1) * odd.limit),
            (
                PageRequest {
                    limit: 125,
                    number: 11
                },
                1_250
            )
        );

        for limit in [100, 125, 199] {
            assert_eq!(
                PageRequest::first(limit).halve_after(&refusal_error(500, None)),
                None
            );
        }

        assert_eq!(page.halve_after(&refusal_error(403, None)), None);
    }
}
