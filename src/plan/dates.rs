//! Times of the language: Unix seconds, and the texts that convert to them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// Seconds of a day in UTC.
pub(super) const DAY_S: i64 = 86_400;

/// Unix seconds of the year 5138; a larger number is a date in milliseconds.
pub(super) const DATE_MAX_S: i64 = 100_000_000_000;

/// Converts an ISO 8601 date or date-time to Unix seconds. A date means its first second, a time
/// without an offset is in UTC, and a fraction of a second is dropped. The formats that Ruby,
/// Python and SQL print are accepted too: a space in place of the `T` and before the offset, and
/// `UTC` in place of `Z`.
pub(super) fn unix_seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let utc = |time: DateTime| Offset::UTC.to_timestamp(time).ok();
    let (day, rest) = (text.get(..10)?, text.get(10..)?);
    if !day.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() }) {
        return None;
    }
    let date: Date = day.parse().ok()?;
    if rest.is_empty() {
        return utc(date.to_datetime(Time::midnight())).map(Timestamp::as_second);
    }
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b' ' | b'Z' | b'z');
    let time = match time.strip_suffix(" UTC").or_else(|| time.strip_suffix(" GMT")) {
        Some(time) => format!("{time}Z"),
        None => time.replace(" +", "+").replace(" -", "-"),
    };
    if !time.bytes().all(plain) {
        return None;
    }
    let whole = format!("{day}T{time}");
    let timestamp = if time.contains(['+', '-', 'Z', 'z']) {
        whole.parse::<Timestamp>().ok()?
    } else {
        utc(whole.parse::<DateTime>().ok()?)?
    };
    // Round down to whole seconds: `as_second` rounds towards 1970.
    let fraction = timestamp.subsec_nanosecond();
    let second = if fraction < 0 { timestamp - SignedDuration::from_secs(1) } else { timestamp };
    Some(second.as_second())
}

/// Returns the first second of the UTC day of a time.
pub(super) fn day_of(unix_seconds: i64) -> i64 {
    unix_seconds.div_euclid(DAY_S) * DAY_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_dates_and_times_are_parsed() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2016-11-24", 1_479_945_600),
            (" 2016-11-24 ", 1_479_945_600),
            ("2016-11-24T10:05:00Z", 1_479_981_900),
            ("2016-11-24t10:05:00z", 1_479_981_900),
            ("2016-11-24T10:05Z", 1_479_981_900),
            ("2016-11-24T10:05:00.999Z", 1_479_981_900),
            ("2016-11-24T10:05:00", 1_479_981_900),
            ("2016-11-24 10:05:00", 1_479_981_900),
            ("2016-11-24 10:05:00 UTC", 1_479_981_900),
            ("2016-11-24T11:05:00+01:00", 1_479_981_900),
            ("2016-11-24 11:05:00 +0100", 1_479_981_900),
            ("2016-11-24T05:05:00-05:00", 1_479_981_900),
            ("2016-02-29", 1_456_704_000),
            ("1969-12-31T23:59:58.5Z", -2),
        ] {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "24/11/2016",
            "11-24-2016",
            "2016-11",
            "20161124",
            "1479981900",
            "2015-02-29",
            "2016-13-01",
            "2016-11-24T",
            "2016-11-24T25:00:00Z",
            "2016-11-24T10:05:00 Europe/Dublin",
            "2016-11-24x",
            "2016-11-24T10:05:00Z[UTC]",
            "Mon Jan 30 2023 11:27:02 GMT+0000",
            "é016-11-24",
            "today",
        ] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        for (second, day) in [(0, 0), (86_399, 0), (86_400, 86_400), (-1, -86_400)] {
            assert_eq!(day_of(second), day);
        }
    }
}
