//! How many are they?

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;
use rusqlite::Connection;

use super::super::entry::Entry;
use super::super::filter::{Filter, NONE};
use super::super::segments::Segment;
use super::fault::IndexFault;
use super::list::{Found, Order, list};
use super::select::{Selection, listed};
use super::tables::{DIMENSIONS, HOUR_US};

/// By what requests are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// By caller.
    Caller,
    /// By service.
    Service,
    /// By outcome.
    Outcome,
    /// By code of the refusal.
    Code,
    /// By HTTP status.
    Status,
    /// By credential.
    Credential,
    /// By the hour in which they began, UTC.
    Hour,
    /// By the day on which they began, UTC.
    Day,
}

impl Group {
    /// Its name, which is that of the member.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Service => "service",
            Self::Outcome => "outcome",
            Self::Code => "code",
            Self::Status => "status",
            Self::Credential => "credential",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn is_time(self) -> bool {
        matches!(self, Self::Hour | Self::Day)
    }

    /// As SQL of a number, and of what is shown for it.
    fn sql(self) -> (String, String) {
        match self {
            Self::Hour => ("hour".to_owned(), "hour".to_owned()),
            Self::Day => ("hour / 24".to_owned(), "hour / 24".to_owned()),
            Self::Status => ("status".to_owned(), "nullif(status, 0)".to_owned()),
            named => {
                let column = named.name();
                (column.to_owned(), format!("(SELECT text FROM name WHERE name.id = {column})"))
            }
        }
    }

    fn of(self, entry: &Entry<'_>, open: bool) -> String {
        let text = |text: Option<&str>| text.unwrap_or(NONE).to_owned();
        let hour = entry.time_us().unwrap_or(0).div_euclid(HOUR_US);
        match self {
            Self::Caller => text(entry.caller),
            Self::Service => text(entry.service),
            Self::Outcome => text(entry.outcome.or(open.then_some("open"))),
            Self::Code => text(entry.code),
            Self::Status => text(entry.status.map(|status| status.to_string()).as_deref()),
            Self::Credential => text(entry.credential.map(|credential| credential.0)),
            Self::Hour => shown_hour(hour),
            Self::Day => shown_day(hour.div_euclid(24)),
        }
    }
}

/// What was counted apart, and how many of it there are.
pub type Counted = (Vec<String>, u64);

/// The largest first; times in their order where the first group is one.
pub(super) fn count(
    connection: &Connection,
    segments: &[Segment],
    filter: &Filter,
    by: &[Group],
) -> Result<Vec<Counted>, IndexFault> {
    // The index holds parts of ids and fingerprints: the lines decide.
    if filter.has_identity() {
        count_lines(connection, segments, filter, by)
    } else {
        count_rows(connection, filter, by)
    }
}

fn count_lines(
    connection: &Connection,
    segments: &[Segment],
    filter: &Filter,
    by: &[Group],
) -> Result<Vec<Counted>, IndexFault> {
    let mut counts = BTreeMap::<Vec<String>, u64>::new();
    let mut take = |found: &Found<'_>| {
        let key = by.iter().map(|group| group.of(&found.entry, found.open)).collect();
        *counts.entry(key).or_default() += 1;
        ControlFlow::Continue(())
    };
    list(connection, segments, filter, Order::Oldest, u64::MAX, &mut take)?;
    if by.is_empty() {
        return Ok(vec![(Vec::new(), counts.values().sum())]);
    }
    let mut counts: Vec<Counted> = counts.into_iter().collect();
    if !by.first().is_some_and(|group| group.is_time()) {
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }
    Ok(counts)
}

fn count_rows(connection: &Connection, filter: &Filter, by: &[Group]) -> Result<Vec<Counted>, IndexFault> {
    let selection = Selection::of(filter, connection)?;
    let parts = parts(&selection);
    if parts.is_empty() {
        return Ok(if by.is_empty() { vec![(Vec::new(), 0)] } else { Vec::new() });
    }
    let all = parts.join(" UNION ALL ");
    let (numbers, texts): (Vec<_>, Vec<_>) = by.iter().map(|group| group.sql()).unzip();
    let sql = if by.is_empty() {
        format!("SELECT coalesce(sum(n), 0) FROM ({all})")
    } else {
        let order = if by.first().is_some_and(|group| group.is_time()) { "" } else { "sum(n) DESC, " };
        format!(
            "SELECT sum(n), {} FROM ({all}) GROUP BY {} HAVING sum(n) > 0 ORDER BY {order}{}",
            texts.join(", "),
            numbers.join(", "),
            (2..by.len() + 2).map(|column| column.to_string()).collect::<Vec<_>>().join(", "),
        )
    };
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut counted = Vec::new();
    while let Some(row) = rows.next()? {
        let mut key = Vec::with_capacity(by.len());
        for (column, group) in (1..).zip(by) {
            key.push(match group {
                Group::Hour => shown_hour(row.get(column)?),
                Group::Day => shown_day(row.get(column)?),
                Group::Status => {
                    row.get::<_, Option<i64>>(column)?.map_or(NONE.to_owned(), |status| status.to_string())
                }
                _ => row.get::<_, Option<String>>(column)?.unwrap_or_else(|| NONE.to_owned()),
            });
        }
        counted.push((key, u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0)));
    }
    Ok(counted)
}

/// Rows of dimensions, hour and number that together hold what is asked for. Whole hours are counted already.
fn parts(selection: &Selection) -> Vec<String> {
    let Selection { dimensions, since_us, until_us, .. } = selection;
    let rows = |from: i64, to: i64, condition: &str| {
        format!(
            "SELECT {DIMENSIONS}, time / {HOUR_US} AS hour, 1 AS n FROM request INDEXED BY {} \
             WHERE {dimensions} AND {condition} AND time >= {from} AND time < {to}",
            selection.by_time
        )
    };
    let mut parts = Vec::new();
    if selection.outcomes {
        let first_whole = since_us.saturating_add(HOUR_US - 1).div_euclid(HOUR_US);
        let end_whole = until_us.div_euclid(HOUR_US);
        // Intents that are asked for beside outcomes are counted below.
        let condition = if selection.open { "1" } else { &format!("outcome <> {}", selection.open_number) };
        if first_whole >= end_whole {
            parts.push(rows(*since_us, *until_us, condition));
        } else {
            parts.push(format!(
                "SELECT {DIMENSIONS}, hour, count AS n FROM hourly \
                 WHERE {dimensions} AND {condition} AND hour >= {first_whole} AND hour < {end_whole}"
            ));
            if *since_us > i64::MIN {
                parts.push(rows(*since_us, first_whole * HOUR_US, condition));
            }
            if *until_us < i64::MAX {
                parts.push(rows(end_whole * HOUR_US, *until_us, condition));
            }
        }
    }
    if selection.intents {
        let condition = format!("(intent_seq IS NOT NULL OR outcome = {})", selection.open_number);
        parts.push(rows(*since_us, *until_us, &condition));
    }
    if !selection.events.is_empty() {
        let nothing =
            DIMENSIONS.split(", ").map(|column| format!("0 AS {column}")).collect::<Vec<_>>().join(", ");
        parts.push(format!(
            "SELECT {nothing}, time / {HOUR_US} AS hour, 1 AS n FROM event INDEXED BY event_kind \
             WHERE kind IN ({}) AND time >= {since_us} AND time < {until_us}",
            listed(&selection.events)
        ));
    }
    parts
}

fn shown_hour(hour: i64) -> String {
    shown(hour.saturating_mul(3600), "%Y-%m-%dT%H:00:00Z")
}

fn shown_day(day: i64) -> String {
    shown(day.saturating_mul(86_400), "%Y-%m-%d")
}

fn shown(second: i64, form: &str) -> String {
    Timestamp::from_second(second).map_or_else(|_| NONE.to_owned(), |time| time.strftime(form).to_string())
}
