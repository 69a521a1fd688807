//! Instants and spans as people write them, and how they are shown. Everything is UTC.
//!
//! Does: parse and format. Does not: read the clock; `now` is a parameter.
//! Called by: `filter.rs`, `connect.rs`, `count.rs`, `output/`.
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

/// Parses an instant: RFC 3339, a date (its first instant), `today` (its first instant), or a span
/// back from now like `2h`.
pub fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong =
        || format!("'{text}' is no time: write RFC 3339, a date, today, or a span back like 30m, 2h, 7d");
    if text == "today" {
        return start_of(now.to_zoned(TimeZone::UTC).date());
    }
    if let Ok(span) = span(text) {
        let span = SignedDuration::try_from(span).map_err(|_| wrong())?;
        return now.checked_sub(span).map_err(|_| wrong());
    }
    // A date with a time but without a zone would have to be guessed at, so only bare dates pass here.
    if text.len() == "2026-01-31".len()
        && let Ok(date) = text.parse::<Date>()
    {
        return start_of(date);
    }
    text.parse().map_err(|_| wrong())
}

fn start_of(date: Date) -> Result<Timestamp, String> {
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|error| error.to_string())
}

/// Parses a span: numbers with a unit of w, d, h, m, s or ms, for example `1h30m`. A day is 24 hours.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no span: write numbers with w, d, h, m, s or ms, like 30s or 1h30m");
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let millis: u64 = match unit {
            "w" => 7 * 86_400_000,
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(millis).and_then(|it| total.checked_add(it)).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total)) }
}

/// The same, of something that cannot last no time at all.
pub fn some_span(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err(format!("'{text}' is no time at all: write a span like 30s")),
        span => Ok(span),
    }
}

/// The contract's form of an instant.
pub fn proto(instant: Timestamp) -> pbjson_types::Timestamp {
    // jiff keeps the sign of the nanoseconds equal to that of the seconds; protobuf wants them positive.
    let nanos = instant.subsec_nanosecond();
    let borrow = i32::from(nanos < 0);
    pbjson_types::Timestamp {
        seconds: instant.as_second() - i64::from(borrow),
        nanos: nanos + borrow * 1_000_000_000,
    }
}

/// The contract's form of a span.
pub fn proto_span(span: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        // `span` counts milliseconds in 64 bits, so its seconds always fit.
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        // Below 1,000,000,000.
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

/// RFC 3339 in UTC with the digits that are there; empty for an absent or impossible instant.
pub fn rfc3339(instant: Option<&pbjson_types::Timestamp>) -> String {
    of(instant).map_or_else(String::new, |it| it.to_string())
}

/// `2026-01-31 23:59:59.123` in UTC, one width for every row of a table.
pub fn column(instant: Option<&pbjson_types::Timestamp>) -> String {
    of(instant).map_or_else(String::new, |it| it.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string())
}

/// How long ago an instant was, with its two largest units: `3d4h`, `2m5s`, `0s`. Empty for an absent one;
/// `0s` for one that is still to come by this machine's clock.
pub fn ago(instant: Option<&pbjson_types::Timestamp>, now: Timestamp) -> String {
    let Some(instant) = of(instant) else { return String::new() };
    short(now.duration_since(instant).as_secs())
}

/// A number of seconds with its two largest units: `3d4h`, `2m5s`; `0s` for a negative one.
pub fn short(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    let (m, h, d) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let (large, small) = match (d, h, m) {
        (0, 0, 0) => ((seconds, "s"), (0, "")),
        (0, 0, _) => ((m, "m"), (seconds % 60, "s")),
        (0, _, _) => ((h, "h"), (m % 60, "m")),
        _ => ((d, "d"), (h % 24, "h")),
    };
    let rest = if small.0 > 0 { format!("{}{}", small.0, small.1) } else { String::new() };
    format!("{}{}{rest}", large.0, large.1)
}

fn of(instant: Option<&pbjson_types::Timestamp>) -> Option<Timestamp> {
    instant.and_then(|it| Timestamp::new(it.seconds, it.nanos).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let now = "2026-03-04T05:06:07.5Z".parse().map_err(|error: jiff::Error| error.to_string())?;
        instant(text, now).map(|it| it.to_string())
    }

    #[test]
    fn spans_count_back_from_now() {
        assert_eq!(at("2h").as_deref(), Ok("2026-03-04T03:06:07.5Z"));
        assert_eq!(at("7d").as_deref(), Ok("2026-02-25T05:06:07.5Z"));
        assert_eq!(at("1h30m").as_deref(), Ok("2026-03-04T03:36:07.5Z"));
    }

    #[test]
    fn dates_and_today_are_utc() {
        assert_eq!(at("today").as_deref(), Ok("2026-03-04T00:00:00Z"));
        assert_eq!(at("2026-01-31").as_deref(), Ok("2026-01-31T00:00:00Z"));
        assert_eq!(at("2026-01-31T12:00:00+02:00").as_deref(), Ok("2026-01-31T10:00:00Z"));
    }

    #[test]
    fn what_would_have_to_be_guessed_is_refused() {
        for text in ["", "2", "h", "2x", "yesterday", "2026-01-31T12:00:00", "99999999999999999999d", "-2h"] {
            assert!(at(text).is_err(), "{text}");
        }
        assert!(at("9999999999d").is_err());
    }

    #[test]
    fn a_span_back_has_two_units_at_most() {
        let now = Timestamp::from_second(1_000_000).unwrap_or_default();
        let ago = |seconds: i64| {
            super::ago(Some(&pbjson_types::Timestamp { seconds: 1_000_000 - seconds, nanos: 0 }), now)
        };
        for (seconds, text) in [
            (0, "0s"),
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (125, "2m5s"),
            (3_605, "1h"),
            (93_784, "1d2h"),
            (86_400, "1d"),
        ] {
            assert_eq!(ago(seconds), text);
        }
        assert_eq!(super::ago(None, now), "");
    }

    #[test]
    fn an_instant_before_1970_keeps_positive_nanoseconds() {
        let early = proto(Timestamp::new(-1, -500_000_000).unwrap_or_default());
        assert_eq!((early.seconds, early.nanos), (-2, 500_000_000));
        assert_eq!(rfc3339(Some(&early)), "1969-12-31T23:59:58.5Z");
        assert_eq!(column(Some(&early)), "1969-12-31 23:59:58.500");
    }
}
