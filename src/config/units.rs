//! How much is "30s", "20MiB", "16KiB/s" or "25%"?

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::canonical::Canonical;
use super::findings::Findings;
use super::reader::{Limits, Written};
use super::shown::is_amount;
use super::text::{Text, Wrong};
use super::tree::{Kind, Node};

/// A unit and how many of the smallest unit it is worth.
type Unit = (&'static str, u64);

const TIME: [Unit; 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE: [Unit; 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const SPEED: [Unit; 4] = [("B/s", 1), ("KiB/s", 1 << 10), ("MiB/s", 1 << 20), ("GiB/s", 1 << 30)];
const SHARE: [Unit; 1] = [("%", 1)];

/// A time.
pub(super) struct Time(pub(super) Duration);

/// An amount of bytes.
pub(super) struct Size(pub(super) u64);

/// Bytes per second.
pub(super) struct Speed(pub(super) u64);

/// A part of the whole, in percent.
pub(super) struct Share(pub(super) u64);

/// A whole number.
pub(super) struct Count(pub(super) u64);

/// Yes or no.
pub(super) struct Flag(pub(super) bool);

impl Text for Time {
    const FORM: &str = "a time such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"";
    const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

    fn parse(text: &str, limits: Limits) -> Result<Self, Wrong> {
        quantity(text, &TIME, limits).map(|ms| Self(Duration::from_millis(ms)))
    }

    fn canonical(&self) -> String {
        format!("{}ms", self.0.as_millis())
    }
}

impl Text for Size {
    const FORM: &str = "a size such as \"4096B\", \"64KiB\", \"20MiB\" or \"1GiB\"";
    const PATTERN: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

    fn parse(text: &str, limits: Limits) -> Result<Self, Wrong> {
        quantity(text, &SIZE, limits).map(Self)
    }

    fn canonical(&self) -> String {
        format!("{}B", self.0)
    }
}

impl Text for Speed {
    const FORM: &str = "a rate of bytes such as \"512B/s\", \"16KiB/s\" or \"1MiB/s\"";
    const PATTERN: &str = "^[0-9]+(B|KiB|MiB|GiB)/s$";

    fn parse(text: &str, limits: Limits) -> Result<Self, Wrong> {
        quantity(text, &SPEED, limits).map(Self)
    }

    fn canonical(&self) -> String {
        format!("{}B/s", self.0)
    }
}

impl Text for Share {
    const FORM: &str = "a share such as \"25%\"";
    const PATTERN: &str = "^[0-9]+%$";

    fn parse(text: &str, limits: Limits) -> Result<Self, Wrong> {
        quantity(text, &SHARE, limits).map(Self)
    }

    fn canonical(&self) -> String {
        format!("{}%", self.0)
    }
}

/// A whole number and one of `units`, within `limits`.
fn quantity(text: &str, units: &[Unit], limits: Limits) -> Result<u64, Wrong> {
    let Some((least, most)) = limits else { return Ok(worth(text, units)?) };
    let range = |problem| Wrong::new(problem).remedy(format!("it ranges from {least} to {most}"));
    let low = worth(least, units)?;
    let high = worth(most, units)?;
    match worth(text, units) {
        Ok(value) if value < low => Err(range("is too small")),
        Ok(value) if value <= high => Ok(value),
        Ok(_) | Err(NotWorth::TooLarge) => Err(range("is too large")),
        Err(wrong) => Err(Wrong::from(wrong).concealed_if(!text.split_whitespace().all(is_amount))),
    }
}

/// Why a text is no quantity.
enum NotWorth {
    Because(&'static str),
    /// More of the smallest unit than can be counted.
    TooLarge,
}

impl From<NotWorth> for Wrong {
    fn from(wrong: NotWorth) -> Self {
        match wrong {
            NotWorth::Because(problem) => Self::new(problem),
            NotWorth::TooLarge => Self::new("is too large"),
        }
    }
}

fn worth(text: &str, units: &[Unit]) -> Result<u64, NotWorth> {
    use NotWorth::Because;

    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    if number.is_empty() {
        return Err(Because("does not start with a whole number"));
    }
    if unit.is_empty() {
        return Err(Because("has no unit"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(Because(match unit.starts_with('.') {
            true => "is not a whole number with a unit",
            false => "has an unknown unit",
        }));
    };
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    value.ok_or(NotWorth::TooLarge)
}

impl Written for Count {
    fn read(node: &Node, key: &str, limits: Limits, findings: &mut Findings) -> Option<Self> {
        let Kind::Integer(integer) = node.kind else {
            if matches!(node.kind, Kind::Text(_) | Kind::List(_) | Kind::Table(_)) {
                findings.conceal(node);
            }
            let problem = format!("expected a whole number, found {}", node.kind_name());
            findings.error(key, &node.place, &problem, "write a whole number without quotes or unit");
            return None;
        };
        let value = integer.and_then(|integer| u64::try_from(integer).ok());
        let (least, most) = bounds(limits);
        match value.filter(|value| (least..=most).contains(value)) {
            Some(value) => Some(Self(value)),
            None => {
                let problem = match integer {
                    Some(integer) if integer < i64::try_from(least).unwrap_or(i64::MAX) => "is too small",
                    _ => "is too large",
                };
                findings.error(key, &node.place, problem, &format!("it ranges from {least} to {most}"));
                None
            }
        }
    }

    fn schema(_generator: &mut SchemaGenerator, limits: Limits) -> Schema {
        let (least, most) = bounds(limits);
        json_schema!({ "type": "integer", "minimum": least, "maximum": most })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        canonical.line(key, &self.0.to_string());
    }
}

fn bounds(limits: Limits) -> (u64, u64) {
    let (least, most) = limits.unwrap_or(("0", "4294967295"));
    (least.parse().unwrap_or(0), most.parse().unwrap_or(u64::from(u32::MAX)))
}

impl Written for Flag {
    fn read(node: &Node, key: &str, _limits: Limits, findings: &mut Findings) -> Option<Self> {
        if let Kind::Flag(flag) = node.kind {
            return Some(Self(flag));
        }
        if matches!(node.kind, Kind::Text(_) | Kind::List(_) | Kind::Table(_)) {
            findings.conceal(node);
        }
        let problem = format!("expected true or false, found {}", node.kind_name());
        findings.error(key, &node.place, &problem, "write true or false without quotes");
        None
    }

    fn schema(_generator: &mut SchemaGenerator, _limits: Limits) -> Schema {
        json_schema!({ "type": "boolean" })
    }

    fn feed(&self, key: &str, canonical: &mut Canonical) {
        canonical.line(key, if self.0 { "true" } else { "false" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_worth_what_it_says() {
        let cases: [(&str, &[Unit], u64); 13] = [
            ("500ms", &TIME, 500),
            ("30s", &TIME, 30_000),
            ("5m", &TIME, 300_000),
            ("1h", &TIME, 3_600_000),
            ("7d", &TIME, 604_800_000),
            ("0s", &TIME, 0),
            ("4096B", &SIZE, 4096),
            ("64KiB", &SIZE, 65_536),
            ("20MiB", &SIZE, 20_971_520),
            ("1GiB", &SIZE, 1_073_741_824),
            ("16KiB/s", &SPEED, 16_384),
            ("25%", &SHARE, 25),
            ("18446744073709551615B", &SIZE, u64::MAX),
        ];
        for (text, units, expected) in cases {
            assert_eq!(worth(text, units).ok(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_with_a_known_unit_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "30 s",
            " 30s",
            "30s ",
            "1.5s",
            "-1s",
            "+1s",
            "1e3s",
            "30S",
            "30sec",
            "0x1s",
            "1_000s",
            "٣s",
            "5w",
            "1m30s",
            "18446744073709551615s",
            "99999999999999999999ms",
        ] {
            assert!(worth(text, &TIME).is_err(), "{text}");
        }
        for text in ["1KB", "1MB", "1kib", "1K", "1M", "1TiB", "17179869184GiB", "1KiB/s"] {
            assert!(worth(text, &SIZE).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = Some(("100ms", "10m"));
        for (text, accepted) in
            [("99ms", false), ("100ms", true), ("600s", true), ("600001ms", false), ("0s", false)]
        {
            assert_eq!(quantity(text, &TIME, limits).is_ok(), accepted, "{text}");
        }
    }
}
