//! How much is "30s", "20MiB", "16KiB/s" or "25%"?

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::canonical::Canonical;
use super::findings::Findings;
use super::reader::{Limits, Written};
use super::text::{Text, Wrong};
use super::tree::{Kind, Node};

/// A unit and how many of the smallest unit it is worth.
type Unit = (&'static str, u64);

const TIME: [Unit; 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
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
    const FORM: &str = "a time such as \"500ms\", \"30s\", \"5m\" or \"1h\"";
    const PATTERN: &str = "^[0-9]+(ms|s|m|h)$";

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
    let value = worth(text, units)?;
    if let Some((least, most)) = limits {
        let low = worth(least, units)?;
        let high = worth(most, units)?;
        if !(low..=high).contains(&value) {
            let problem = if value < low { "is too small" } else { "is too large" };
            return Err(Wrong::new(problem).remedy(format!("it ranges from {least} to {most}")));
        }
    }
    Ok(value)
}

fn worth(text: &str, units: &[Unit]) -> Result<u64, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    if number.is_empty() {
        return Err(Wrong::new("does not start with a whole number"));
    }
    if unit.is_empty() {
        return Err(Wrong::new("has no unit"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(Wrong::new(match unit.starts_with('.') {
            true => "is not a whole number with a unit",
            false => "has an unknown unit",
        }));
    };
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    value.ok_or_else(|| Wrong::new("is too large"))
}

impl Written for Count {
    fn read(node: &Node, key: &str, limits: Limits, findings: &mut Findings) -> Option<Self> {
        let Kind::Integer(integer) = node.kind else {
            if matches!(node.kind, Kind::List(_) | Kind::Table(_)) {
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
        if matches!(node.kind, Kind::List(_) | Kind::Table(_)) {
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
