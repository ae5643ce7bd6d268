//! Asking again: a question that failed for a reason that passes is put once more, after a pause,
//! within the deadline. A write never is: what became of it is looked at first.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::context::RequestObserver;
use super::error::retry_reason;
use crate::time::Clock;

/// How often a question is put.
const ATTEMPTS: u32 = 4;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// No server is waited for longer, even by a run without a deadline. MISP's window is a quarter of
/// an hour.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Why an answer was not read to its end.
#[derive(Debug)]
pub enum ReadError {
    /// It may be asked for again.
    Again(anyhow::Error),
    /// It may not: something of it was handed over, which would come twice.
    Final(anyhow::Error),
}

impl ReadError {
    /// An error that is no reason to ask again if something was handed over.
    pub fn new(error: anyhow::Error, is_untouched: bool) -> Self {
        match is_untouched {
            true => Self::Again(error),
            false => Self::Final(error),
        }
    }

    /// The same, with what was being done.
    pub fn context(self, doing: String) -> Self {
        match self {
            Self::Again(error) => Self::Again(error.context(doing)),
            Self::Final(error) => Self::Final(error.context(doing)),
        }
    }

    /// The error itself.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Again(error) | Self::Final(error) => error,
        }
    }
}

impl From<anyhow::Error> for ReadError {
    fn from(error: anyhow::Error) -> Self {
        Self::Again(error)
    }
}

/// See `Client::retry`.
pub(super) fn retry<T>(
    clock: Clock,
    observer: &dyn RequestObserver,
    mut ask: impl FnMut() -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let mut attempt = 1;
    loop {
        let error = match ask() {
            Err(ReadError::Again(error)) if attempt < ATTEMPTS => error,
            result => return result,
        };
        let Some((pause, why)) = retry_delay(&error, attempt) else {
            return Err(error.into());
        };
        // Waiting for longer than the run lasts would only delay the report.
        if pause > LONGEST || clock.time_left().is_some_and(|left| left <= pause) {
            return Err(error.into());
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

    // On top of what the server wants, so that not all come back at the moment it lets them in.
    Some((
        Duration::from_secs(wait.unwrap_or_default().into()) + next,
        why,
    ))
}

/// Half to one and a half of it, so that many runs do not ask in step.
fn add_jitter(pause: Duration) -> Duration {
    // No secret hangs on it, so the clock is random enough.
    let random = Timestamp::now().subsec_nanosecond().unsigned_abs() % 1_000;
    pause / 2 + pause * random / 1_000
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
            has_location: false,
            wait,
        };

        anyhow!(HttpError::new("GET https://m/x".into(), cause)).context("asking")
    }

    fn count_attempts(error: impl Fn() -> anyhow::Error) -> u32 {
        let mut attempts = 0;
        let counter = Counter::default();
        let failed = retry::<()>(Clock::start(0).without_waiting(), &counter, || {
            attempts += 1;
            Err(error().into())
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
                    Err(refusal_error(503, None).into())
                } else {
                    Ok(attempts)
                }
            },
        );

        assert_eq!(answer.unwrap(), 2);
    }

    #[test]
    fn what_was_handed_over_is_not_asked_for_again() {
        let mut attempts = 0;
        let clock = Clock::start(0).without_waiting();
        let failed = retry::<()>(clock, &Counter::default(), || {
            attempts += 1;
            Err(ReadError::new(refusal_error(503, None), false))
        });
        assert!(matches!(failed, Err(ReadError::Final(_))));
        assert_eq!(attempts, 1);
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let clock = Clock::start_with_limit(Some(Duration::from_secs(60))).without_waiting();
        let mut attempts = 0;
        drop(retry::<()>(clock, &Counter::default(), || {
            attempts += 1;
            Err(refusal_error(429, Some(900)).into())
        }));
        assert_eq!(attempts, 1);
    }

    #[test]
    fn nobody_is_waited_for_a_year() {
        assert_eq!(count_attempts(|| refusal_error(429, Some(365 * 86_400))), 1);
        assert_eq!(count_attempts(|| refusal_error(429, Some(900))), ATTEMPTS);
    }
}
