//! Which forms of text does JSON Schema not know, but the services need?

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// The `format` of a date of birth as DCAMS writes it.
pub(super) const PAST_DATE: &str = "past-date-yyyymmdd";

/// Whether `text` is eight digits that name a day of the calendar which has begun somewhere on earth.
pub(super) fn is_past_date(text: &str) -> bool {
    is_date_until(text, latest_date_on_earth(Timestamp::now()))
}

/// The date where the day begins first (UTC+14): nobody's birthday is refused for their time zone.
fn latest_date_on_earth(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::fixed(Offset::constant(14))).date()
}

fn is_date_until(text: &str, last: Date) -> bool {
    parse_date(text).is_some_and(|date| date <= last)
}

fn parse_date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year = text.get(..4)?.parse().ok()?;
    let month = text.get(4..6)?.parse().ok()?;
    let day = text.get(6..)?.parse().ok()?;
    Date::new(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_of_the_calendar_up_to_the_last_one_are_accepted() {
        let last = date(2026, 11, 20);
        for text in ["19690820", "20000229", "20261119", "20261120"] {
            assert!(is_date_until(text, last), "{text}");
        }
    }

    #[test]
    fn days_after_the_last_one_are_refused() {
        let last = date(2026, 11, 20);
        for text in ["20261121", "20270101", "99991231"] {
            assert!(!is_date_until(text, last), "{text}");
        }
    }

    #[test]
    fn what_is_no_day_of_the_calendar_is_refused() {
        let last = date(2026, 11, 20);
        for text in [
            "",
            "1969082",
            "196908200",
            "19690230",
            "19000229",
            "19691301",
            "19690800",
            "19690020",
            "1969-8-1",
            "+1690820",
            "１９６９",
        ] {
            assert!(!is_date_until(text, last), "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_ten_o_clock_utc_of_the_day_before() {
        let at = |text: &str| latest_date_on_earth(text.parse().unwrap());
        assert_eq!(at("2026-11-20T09:59:59Z"), date(2026, 11, 20));
        assert_eq!(at("2026-11-20T10:00:00Z"), date(2026, 11, 21));
    }
}
