//! Points in time as MISP stores them in `datetime` attributes. Only ISO 8601 is read, none of the
//! other spellings ("yesterday") that PHP takes.

/// `2024-01-02T03:04:05.678901+0000`; a time without a zone is GMT, a date without a time midnight.
pub(super) fn to_misp_datetime(value: &str) -> Option<String> {
    let (date, rest) = value.split_at_checked(10)?;
    let [year, month, day] = parse_fields(date, '-')?;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00.000000+0000"));
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "Z"),
    };

    Some(format!(
        "{date}T{}{}",
        parse_time(clock.trim_end())?,
        parse_offset(zone)?
    ))
}

fn parse_time(clock: &str) -> Option<String> {
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let [hour, minute, second] = match whole.len() {
        5 => parse_fields(&format!("{whole}:00"), ':')?,
        8 => parse_fields(whole, ':')?,
        _ => return None,
    };

    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();

    (hour < 24 && minute < 60 && second < 60)
        .then(|| format!("{hour:02}:{minute:02}:{second:02}.{micros}"))
}

fn parse_offset(zone: &str) -> Option<String> {
    if zone.eq_ignore_ascii_case("z") {
        return Some("+0000".to_owned());
    }
    let digits = zone.get(1..)?.replace(':', "");
    let hours: u32 = parse_two_digits(digits.get(..2)?)?;
    let minutes: u32 = match digits.get(2..)? {
        "" => 0,
        minutes => parse_two_digits(minutes)?,
    };

    (hours <= 14 && minutes < 60)
        .then(|| format!("{}{hours:02}{minutes:02}", zone.get(..1).unwrap_or("+")))
}

fn parse_two_digits(digits: &str) -> Option<u32> {
    if digits.len() != 2 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Three numbers with a mark between, the last two of two digits.
fn parse_fields(text: &str, mark: char) -> Option<[u32; 3]> {
    let mut parts = text.split(mark);
    let first = parts.next()?;
    if !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let found = [
        first.parse().ok()?,
        parse_two_digits(parts.next()?)?,
        parse_two_digits(parts.next()?)?,
    ];

    parts.next().is_none().then_some(found)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}
