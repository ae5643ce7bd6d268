//! The clock, the deadline of a run, and dates as MISP and TheHive write them. Seconds since 1970
//! everywhere, as MISP counts; TheHive's milliseconds are turned into them at the border.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Seconds in a day.
pub const DAY: i64 = 86_400;

/// So much time before the deadline of a run nothing new is begun; of a short one a tenth.
const LAST: Duration = Duration::from_secs(60);

/// The moment at which a run started, and the one at which it has to stop.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Now, in seconds since 1970, as it was when the run started.
    pub now: i64,
    started: Instant,
    deadline: Option<Instant>,
    /// So much time before the deadline nothing new is begun.
    last: Duration,
    waits: bool,
}

impl Clock {
    /// Starts the clock. `minutes` 0 means no deadline.
    pub fn start(minutes: u64) -> Self {
        Self::start_with_limit(
            (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60))),
        )
    }

    /// Starts the clock of a run that may take so long; none for no deadline.
    pub fn start_with_limit(allowed: Option<Duration>) -> Self {
        let started = Instant::now();
        // More than can be counted is no deadline.
        let deadline = allowed.and_then(|allowed| started.checked_add(allowed));
        let last = allowed.map_or(LAST, |allowed| LAST.min(allowed / 10));
        Self {
            now: Timestamp::now().as_second(),
            started,
            deadline,
            last,
            waits: true,
        }
    }

    /// The same clock, but a pause takes no time: for tests.
    pub fn without_waiting(self) -> Self {
        Self {
            waits: false,
            ..self
        }
    }

    /// The same clock, so near its end from the start that nothing new is begun: for tests.
    pub fn near_its_end(self) -> Self {
        Self {
            last: Duration::MAX,
            ..self
        }
    }

    /// The same clock for a part of the work that has so much time of its own, or what is left of
    /// the run's, if that is less.
    pub fn limited_to(self, allowed: Duration) -> Self {
        let own = Instant::now().checked_add(allowed);
        match (own, self.deadline) {
            (Some(own), deadline) if deadline.is_none_or(|deadline| own < deadline) => Self {
                deadline: Some(own),
                // So short a part would be near its end from the start.
                last: Duration::ZERO,
                ..self
            },
            _ => self,
        }
    }

    /// The time left until nothing new is begun; none if there is no deadline.
    pub fn left_to_begin(&self) -> Option<Duration> {
        self.time_left().map(|left| left.saturating_sub(self.last))
    }

    /// Waits so long, or until the deadline.
    pub fn pause(&self, pause: Duration) {
        if self.waits {
            thread::sleep(self.time_left().map_or(pause, |left| pause.min(left)));
        }
    }

    /// The time left; none if there is no deadline.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// True once the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// True once so little time is left that nothing new is begun: a minute, or a tenth of a
    /// shorter run.
    pub fn is_near_the_end(&self) -> bool {
        self.time_left().is_some_and(|left| left <= self.last)
    }

    /// Seconds since the run started.
    pub fn elapsed_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// The day of a moment, in UTC, as `YYYY-MM-DD`.
pub fn format_date(seconds: i64) -> String {
    format_utc(seconds, "%F")
}

/// A moment in UTC, as `YYYY-MM-DD HH:MM UTC`.
pub fn format_date_time(seconds: i64) -> String {
    format_utc(seconds, "%F %R UTC")
}

/// Nothing for what is no moment.
fn format_utc(seconds: i64, form: &str) -> String {
    let moment = Timestamp::from_second(seconds);
    moment.map_or_else(
        |_| String::new(),
        |moment| moment.strftime(form).to_string(),
    )
}

/// The first second of a day, in UTC, written in one of the forms that MISP takes for an event's
/// date: `YYYY-MM-DD`, also with `/`, `.` or blanks and without leading zeros (`Validation.php` of
/// its CakePHP, `date`), and with a time behind it.
pub fn parse_day(text: &str) -> Option<i64> {
    let text = text.trim();
    let day = text.split_once(['T', 't']).map_or(text, |(day, _)| day);
    let mut parts = day.split(['-', '/', '.', ' ']);

    let mut number = |longest: usize| {
        let digits = parts
            .next()
            .filter(|part| (1..=longest).contains(&part.len()))?;
        digits
            .parse::<i16>()
            .ok()
            .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };

    let (year, month, day) = (
        number(4).filter(|year| *year >= 1_000)?,
        number(2)?,
        number(2)?,
    );

    // Behind a blank a time may follow.
    let rest = parts.next();
    let is_time = rest
        .is_none_or(|rest| rest.contains(':') && rest.starts_with(|c: char| c.is_ascii_digit()));
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?)
        .ok()
        .filter(|_| is_time)?;

    date.to_zoned_datetime(TimeZone::UTC)
        .ok()
        .map(|day| day.timestamp().as_second())
}

/// The seconds since 1970 that a number means: up to 11 digits are seconds, up to 14 milliseconds,
/// up to 17 microseconds, and more nanoseconds. What is written in milliseconds and lies before
/// March 1973 is taken for seconds: nobody means it.
pub fn to_seconds(number: i64) -> i64 {
    let unit = match number.unsigned_abs() {
        0..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };

    number.div_euclid(unit)
}

/// True for a moment that a change or a publication can have had: after 1970, and not later than
/// tomorrow, since clocks differ.
pub fn is_plausible(moment: i64, now: i64) -> bool {
    moment > 0 && moment <= now.saturating_add(DAY)
}

/// True for a moment that a date of four digits can name: after 1970, and before the year 10000.
pub fn is_day(moment: i64) -> bool {
    const YEAR_10000: i64 = 253_402_300_800;
    (1..YEAR_10000).contains(&moment)
}

/// The moment of an HTTP header `Date`, in seconds since 1970.
pub fn parse_http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text.trim())
        .ok()
        .map(|moment| moment.timestamp().as_second())
}

/// The moment of a text as PHP's `date('c')` writes it, `2026-12-01T00:00:00+01:00`, in seconds
/// since 1970.
pub fn parse_iso(text: &str) -> Option<i64> {
    text.trim()
        .parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_second)
}

/// The moment that a `since` names: `all` (the beginning), `24h`, `7d`, `90m` (before now),
/// `YYYY-MM-DD`, or seconds since 1970.
pub fn parse_since(text: &str, now: i64) -> Option<i64> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("all") {
        return Some(0);
    }

    let unit = match text.chars().last()? {
        'm' => 60,
        'h' => 3_600,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => {
            return parse_day(text).or_else(|| {
                text.parse()
                    .ok()
                    .map(to_seconds)
                    .filter(|seconds| *seconds >= EARLIEST)
            });
        }
    };

    let number: i64 = text.get(..text.len() - 1)?.trim().parse().ok()?;
    let ago = number.checked_mul(unit).filter(|ago| *ago >= 0)?;

    Some(now.saturating_sub(ago).max(0))
}

/// Whoever writes a smaller number means days or hours, not a moment in the early seventies.
const EARLIEST: i64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_reads_what_people_write() {
        let now = 1_000_000_000;
        assert_eq!(parse_since("all", now), Some(0));
        assert_eq!(parse_since(" 24h ", now), Some(now - DAY));
        assert_eq!(parse_since("2001-09-09", now), Some(999_993_600));
        assert_eq!(parse_since("999999999999999999d", now), None);

        assert_eq!(
            (
                parse_since("30", now),
                parse_since("0", now),
                parse_since("900000000", now)
            ),
            (None, None, Some(900_000_000))
        );

        assert_eq!(parse_since("-3d", now), None);
        assert_eq!(parse_since("yesterday", now), None);
        assert_eq!(parse_since("", now), None);
    }

    #[test]
    fn a_number_means_the_seconds_that_its_length_tells() {
        let moment = 1_577_836_800;

        for number in [
            moment,
            moment * 1_000 + 5,
            moment * 1_000_000,
            moment * 1_000_000_000,
        ] {
            assert_eq!(to_seconds(number), moment, "{number}");
        }

        assert_eq!(
            (to_seconds(0), to_seconds(-5), to_seconds(4_294_967_296)),
            (0, -5, 4_294_967_296)
        );
        assert!(is_plausible(moment, moment) && is_plausible(moment + DAY, moment));
        assert!(
            !is_plausible(moment + DAY + 1, moment)
                && !is_plausible(0, moment)
                && !is_plausible(-5, moment)
        );

        assert!(
            !is_plausible(to_seconds(i64::MAX), moment)
                && !is_plausible(to_seconds(i64::MIN), moment)
        );
    }

    #[test]
    fn a_clock_without_minutes_never_ends() {
        assert!(!Clock::start(0).is_over());
        assert_eq!(Clock::start(0).time_left(), None);
    }

    #[test]
    fn the_end_is_near_in_the_last_tenth() {
        assert!(!Clock::start(0).is_near_the_end() && !Clock::start(25).is_near_the_end());
        assert!(Clock::start_with_limit(Some(Duration::ZERO)).is_near_the_end());
    }

    #[test]
    fn dates_are_utc() {
        assert_eq!(format_date(1_630_917_180), "2021-09-06");
        assert_eq!(format_date_time(1_630_917_180), "2021-09-06 08:33 UTC");
        assert_eq!(parse_day("1970-01-02"), Some(DAY));

        for text in [
            "2026-11-10",
            "2026/11/10",
            "2026.11.10",
            "2026 11 10",
            "2026-11-10T12:00:00Z",
            "2026-11-10 23:59:59",
        ] {
            assert_eq!(
                parse_day(text).map(format_date).as_deref(),
                Some("2026-11-10"),
                "{text}"
            );
        }

        assert_eq!(
            parse_day("2026-1-9").map(format_date).as_deref(),
            Some("2026-01-09")
        );

        for text in [
            "",
            "0000-00-00",
            "10.11.2026",
            "1794268800",
            "2026-02-30",
            "2026-11",
            "2026-11-10-12",
            "26-11-10",
            "soon",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }

        assert_eq!(
            parse_http_date("Sat, 21 Nov 2026 21:02:48 GMT")
                .map(format_date_time)
                .as_deref(),
            Some("2026-11-21 21:02 UTC")
        );

        assert_eq!(
            parse_iso("2026-12-01T00:00:00+01:00")
                .map(format_date_time)
                .as_deref(),
            Some("2026-11-30 23:00 UTC")
        );

        assert_eq!((parse_http_date(""), parse_iso("soon")), (None, None));
        assert_eq!(format_date(i64::MAX), "");
    }
}
