//! Which moment is meant?

use jiff::{SignedDuration, Timestamp};

/// What a time may be written as.
pub(super) const FORMS: &str = "a time is a length before now (90s, 30m, 2h, 7d, 4w), a day in UTC (2026-11-20), or \
                                RFC 3339 (2026-11-20T14:00:00Z)";

const UNITS: [(char, i64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// Microseconds since 1970; `None` for any other text.
pub(super) fn read(text: &str, now: Timestamp) -> Option<i64> {
    let moment = before(text, now).or_else(|| text.parse().ok()).or_else(|| {
        let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    moment.map(Timestamp::as_microsecond)
}

fn before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = UNITS.iter().find(|(name, _)| unit.starts_with(*name))?.1;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<i64>().ok()?.checked_mul(seconds)?;
    now.checked_sub(SignedDuration::from_secs(seconds)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_length_before_now_a_day_or_rfc_3339() {
        let now: Timestamp = "2026-11-20T14:00:00Z".parse().unwrap();
        let shown = |text: &str| {
            read(text, now).map(|microsecond| Timestamp::from_microsecond(microsecond).unwrap().to_string())
        };
        for (text, expected) in [
            ("90s", "2026-11-20T13:58:30Z"),
            ("30m", "2026-11-20T13:30:00Z"),
            ("2h", "2026-11-20T12:00:00Z"),
            ("7d", "2026-11-13T14:00:00Z"),
            ("4w", "2026-10-23T14:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T14:03:07.123456Z", "2026-11-20T14:03:07.123456Z"),
            ("2026-11-20T14:00:00+02:00", "2026-11-20T12:00:00Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", "h", "2", "2 h", "-2h", "2y", "yesterday", "2026-11-20T14:00:00", "٣h", "99999999999999999w"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
