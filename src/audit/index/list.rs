//! Which lines are they, in order of time?

use std::ops::ControlFlow;

use rusqlite::{Connection, params};

use super::super::entry::Entry;
use super::super::filter::Filter;
use super::super::segments::Segment;
use super::fault::IndexFault;
use super::read_back::ReadBack;
use super::select::{Selection, listed};
use super::tables::HOUR_US;

/// Which comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

impl Order {
    fn sql(self) -> &'static str {
        match self {
            Self::Newest => "DESC",
            Self::Oldest => "ASC",
        }
    }
}

/// A line that was asked for.
pub struct Found<'a> {
    /// Its bytes, with the line feed.
    pub line: &'a [u8],
    /// Its members.
    pub entry: Entry<'a>,
    /// It is an intent, and the outcome is not known yet.
    pub open: bool,
}

/// Where a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pointer {
    time: i64,
    seq: i64,
    offset: i64,
    open: bool,
}

/// Shows the lines that `filter` asks for, at most `limit`; how many were shown.
pub(super) fn list(
    connection: &Connection,
    segments: &[Segment],
    filter: &Filter,
    order: Order,
    limit: u64,
    show: &mut dyn FnMut(&Found<'_>) -> ControlFlow<()>,
) -> Result<u64, IndexFault> {
    let selection = Selection::of(filter, connection)?;
    let mut events = events(connection, &selection, order, limit)?;
    // The next one is the last.
    events.reverse();
    let mut pages = Pages::of(connection, &selection, order, limit)?;
    let mut lines = ReadBack::new(segments);
    let mut shown = 0;
    loop {
        let page = pages.next(limit - shown)?;
        let last_page = page.is_none();
        let mut page = page.unwrap_or_default();
        let after = |event: &Pointer| match order {
            _ if last_page => true,
            Order::Newest => page.last().is_some_and(|last| event > last),
            Order::Oldest => page.last().is_some_and(|last| event < last),
        };
        let between = events.iter().rev().take_while(|event| after(event)).count();
        page.extend(events.split_off(events.len() - between));
        page.sort_unstable();
        if order == Order::Newest {
            page.reverse();
        }
        for pointer in &page {
            let Some(line) = lines.line(pointer.seq, pointer.offset)? else { continue };
            let Some(entry) = Entry::read(line) else {
                return Err(IndexFault::Unfit("a line changed since"));
            };
            match judged(filter, pointer, &entry) {
                Judged::Asked => {}
                Judged::Other => continue,
                Judged::Unfit => {
                    return Err(IndexFault::Unfit("a line is not what the index says of it"));
                }
            }
            if shown == limit || show(&Found { line, entry, open: pointer.open }).is_break() {
                return Ok(shown);
            }
            shown += 1;
        }
        if last_page || shown == limit {
            return Ok(shown);
        }
    }
}

/// What a line that was read back turns out to be.
enum Judged {
    /// What was asked for.
    Asked,
    /// Something else, which the index cannot tell from it.
    Other,
    /// Something else, and the index should have known.
    Unfit,
}

/// The index only says where to look: the line decides. Of a request that was asked for by its outcome, the intent
/// does not say it: what it does say must fit.
fn judged(filter: &Filter, pointer: &Pointer, entry: &Entry<'_>) -> Judged {
    let is_intent = entry.kind == "intent";
    let mut known = Filter { ids: Vec::new(), fingerprints: Vec::new(), ..filter.clone() };
    let mut line = entry.clone();
    if pointer.open {
        line.outcome = Some("open");
    } else if is_intent {
        let (callers, services) = (known.callers, known.services);
        known = Filter { callers, services, kinds: known.kinds, ..Filter::default() };
    }
    // Without kinds, a request is asked for, which is one line.
    let of_kind = match (pointer.open, filter.kinds.is_empty()) {
        (true, _) => is_intent,
        (false, true) => entry.kind == "outcome",
        (false, false) => true,
    };
    let in_place = match entry.time_us() {
        Some(time) => is_intent && !pointer.open || time == pointer.time,
        None => {
            // It stands where the line before it stands.
            (known.since_us, known.until_us) = (None, None);
            true
        }
    };
    match () {
        () if !of_kind || !in_place || !known.accepts(&line) => Judged::Unfit,
        () if !filter.accepts_identity(entry) => Judged::Other,
        () => Judged::Asked,
    }
}

/// Requests, in pieces that fit in memory: the index is free for others between them.
struct Pages<'a> {
    connection: &'a Connection,
    selection: &'a Selection,
    order: Order,
    /// The next one is the last. `None` where all come at once.
    hours: Option<Vec<i64>>,
    done: bool,
}

const COLUMNS: &str = "time, seq, offset, outcome, intent_seq, intent_offset";

impl<'a> Pages<'a> {
    fn of(
        connection: &'a Connection,
        selection: &'a Selection,
        order: Order,
        limit: u64,
    ) -> Result<Self, IndexFault> {
        let by_hour = selection.is_about_requests() && selection.identified(COLUMNS).is_none();
        let hours = if by_hour { Some(hours(connection, selection, order, limit)?) } else { None };
        Ok(Self { connection, selection, order, hours, done: !selection.is_about_requests() })
    }

    fn next(&mut self, limit: u64) -> Result<Option<Vec<Pointer>>, IndexFault> {
        let Selection { dimensions, by_time, since_us, until_us, .. } = self.selection;
        match &mut self.hours {
            Some(hours) => {
                let Some(hour) = hours.pop() else { return Ok(None) };
                let (from, to) =
                    (hour.saturating_mul(HOUR_US), hour.saturating_add(1).saturating_mul(HOUR_US));
                let (from, to) = (from.max(*since_us), to.min(*until_us));
                let way = self.order.sql();
                let sql = format!(
                    "SELECT {COLUMNS} FROM request INDEXED BY {by_time} WHERE {dimensions} \
                     AND time >= {from} AND time < {to} ORDER BY time {way}, seq {way} LIMIT ?1"
                );
                // A request shows as no line at all where intents are asked for and it has none.
                let limit = if self.selection.outcomes && self.selection.open { limit } else { u64::MAX };
                self.pointers(&sql, limit).map(Some)
            }
            None if self.done => Ok(None),
            None => {
                self.done = true;
                let sql = self.selection.identified(COLUMNS).unwrap_or_default();
                self.pointers(&format!("{sql} LIMIT ?1"), u64::MAX).map(Some)
            }
        }
    }

    fn pointers(&self, sql: &str, limit: u64) -> Result<Vec<Pointer>, IndexFault> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(params![i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut pointers = Vec::new();
        while let Some(row) = rows.next()? {
            let (time, seq, offset) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let open = row.get::<_, i64>(3)? == self.selection.open_number;
            let line = Pointer { time, seq, offset, open };
            let asked =
                if open { self.selection.open || self.selection.intents } else { self.selection.outcomes };
            let intent: Option<(i64, i64)> = row.get::<_, Option<i64>>(4)?.zip(row.get(5)?);
            if let Some((seq, offset)) = intent.filter(|_| self.selection.intents) {
                pointers.push(Pointer { time, seq, offset, open: false });
            }
            pointers.extend(asked.then_some(line));
        }
        Ok(pointers)
    }
}

/// The hours in which such requests began, as far as `limit` of them need.
fn hours(
    connection: &Connection,
    selection: &Selection,
    order: Order,
    limit: u64,
) -> Result<Vec<i64>, IndexFault> {
    let sql = format!(
        "SELECT hour, sum(count) FROM hourly WHERE hour >= {} AND hour <= {} AND {} GROUP BY hour ORDER BY hour {}",
        selection.since_us.div_euclid(HOUR_US),
        selection.until_us.div_euclid(HOUR_US),
        selection.dimensions,
        order.sql(),
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let (mut hours, mut enough) = (Vec::new(), 0_u64);
    while let Some(row) = rows.next()? {
        let (hour, count): (i64, i64) = (row.get(0)?, row.get(1)?);
        hours.push(hour);
        // The first hour may be cut by the time that is asked for.
        let exact = selection.outcomes && selection.open && hours.len() > 1;
        enough += u64::try_from(count).unwrap_or(0) * u64::from(exact);
        if enough >= limit {
            break;
        }
    }
    hours.reverse();
    Ok(hours)
}

fn events(
    connection: &Connection,
    selection: &Selection,
    order: Order,
    limit: u64,
) -> Result<Vec<Pointer>, IndexFault> {
    if selection.events.is_empty() {
        return Ok(Vec::new());
    }
    let way = order.sql();
    let sql = format!(
        "SELECT time, seq, offset FROM event INDEXED BY event_kind WHERE kind IN ({}) \
         AND time >= {} AND time < {} ORDER BY time {way}, seq {way} LIMIT ?1",
        listed(&selection.events),
        selection.since_us,
        selection.until_us,
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Pointer { time: row.get(0)?, seq: row.get(1)?, offset: row.get(2)?, open: false })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
