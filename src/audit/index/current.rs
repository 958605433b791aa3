//! Does the index fit the log, and how is it brought up to date?

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::super::entry::Entry;
use super::super::segments::Segment;
use super::fault::{IndexFault, Notice, Progress};
use super::load::{Loader, Open};
use super::place::Place;
use super::read_back::ReadBack;
use super::row::{Names, Request, Role};
use super::scan::{Batch, Reached, Task, digest_of_line, scan};
use super::tables::{DIMENSIONS, FORMAT, HOUR_US, INDICES, TABLES};

/// Batches that wait for the other thread, each side.
const BATCHES: usize = 8;
/// Readers hold the index only while they take some rows out of it.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Opens the index at `place` and brings it up to date; makes it again where it does not fit, or when `again` is
/// asked for.
pub(super) fn open_current(
    place: &Place,
    segments: &[Segment],
    again: bool,
    notify: &mut dyn FnMut(Notice),
) -> Result<Connection, IndexFault> {
    if !again && place.path.exists() {
        match update(place, segments, notify) {
            Err(IndexFault::Unfit(reason)) => notify(Notice::MadeAgain(reason)),
            done => return done,
        }
    }
    make(place, segments, notify)
}

fn update(
    place: &Place,
    segments: &[Segment],
    notify: &mut dyn FnMut(Notice),
) -> Result<Connection, IndexFault> {
    place.prove_own()?;
    let connection = connect(&place.path)?;
    let reached = reached(&connection)?;
    judge(&connection, &reached, segments)?;
    let tasks = tasks(segments, &reached);
    let removed = segments.first().filter(|first| reached.iter().any(|old| old.first_seq < first.first_seq));
    if tasks.is_empty() && removed.is_none() {
        return Ok(connection);
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    if let Some(first) = removed {
        forget(&connection, i64::try_from(first.first_seq).unwrap_or(i64::MAX))?;
    }
    let open = open_intents(&connection, segments)?;
    load(&connection, &tasks, open, notify)?;
    connection.execute_batch("COMMIT")?;
    Ok(connection)
}

fn make(
    place: &Place,
    segments: &[Segment],
    notify: &mut dyn FnMut(Notice),
) -> Result<Connection, IndexFault> {
    let draft = place.begin_draft()?;
    let connection = connect(&draft)?;
    // Nobody else sees the draft, and one that is cut off is never used.
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -131072; PRAGMA threads = 2; PRAGMA temp_store = FILE; BEGIN;",
    )?;
    connection.execute_batch(TABLES)?;
    let chain = chain(segments);
    connection.execute("INSERT INTO log(format, chain) VALUES(?1, ?2)", params![FORMAT, chain])?;
    let tasks = tasks(segments, &[]);
    let large = load(&connection, &tasks, HashMap::new(), notify)?;
    if large {
        notify(Notice::Sorting);
    }
    for index in INDICES {
        connection.execute_batch(index)?;
    }
    connection.execute_batch("COMMIT")?;
    drop(connection);
    place.adopt_draft()?;
    connect(&place.path)
}

pub(super) fn connect(path: &Path) -> Result<Connection, IndexFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // The file may be anybody's work: no function runs because its schema says so.
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA synchronous = NORMAL;
         PRAGMA mmap_size = 0; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

/// Up to where each segment is indexed.
fn reached(connection: &Connection) -> Result<Vec<Reached>, IndexFault> {
    let format: Option<i64> =
        connection.query_row("SELECT format FROM log", [], |row| row.get(0)).optional()?;
    if format != Some(FORMAT) {
        return Err(IndexFault::Unfit("another version of dcams-gateway made it"));
    }
    let mut segments = connection.prepare(
        "SELECT first_seq, bytes, next_seq, last_offset, last_digest FROM segment ORDER BY first_seq",
    )?;
    let number = |row: &rusqlite::Row<'_>, column: usize| {
        row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0))
    };
    let rows = segments.query_map([], |row| {
        Ok(Reached {
            first_seq: number(row, 0)?,
            bytes: number(row, 1)?,
            next_seq: number(row, 2)?,
            last_offset: number(row, 3)?,
            last_digest: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether what was indexed is still there. Of each segment the last line that was indexed is looked at: a log that
/// was put back, or grew differently, differs there.
fn judge(connection: &Connection, reached: &[Reached], segments: &[Segment]) -> Result<(), IndexFault> {
    let indexed: String = connection.query_row("SELECT chain FROM log", [], |row| row.get(0))?;
    if indexed != chain(segments) {
        return Err(IndexFault::Unfit("it is of another log"));
    }
    // Retention removes the oldest segments, and nothing else removes any.
    let oldest = segments.first().map_or(u64::MAX, |segment| segment.first_seq);
    for old in reached.iter().filter(|old| old.first_seq >= oldest) {
        let Some(segment) = segments.iter().find(|segment| segment.first_seq == old.first_seq) else {
            return Err(IndexFault::Unfit("a segment that it knows is missing"));
        };
        let same = segment.bytes >= old.bytes
            && digest_of_line(segment, old.last_offset, old.bytes)
                .is_ok_and(|found| found == old.last_digest);
        if !same {
            return Err(IndexFault::Unfit("the log is not as it was when it was indexed"));
        }
    }
    let newest = reached.last().map_or(0, |reached| reached.first_seq);
    let unknown = |segment: &&Segment| reached.iter().all(|old| old.first_seq != segment.first_seq);
    let mut between = segments.iter().filter(|segment| segment.first_seq < newest).filter(unknown);
    // What is no regular file, or holds nothing, is not indexed.
    if between.any(|segment| segment.bytes > 0 && segment.open().is_ok()) {
        return Err(IndexFault::Unfit("a segment appeared among those that it knows"));
    }
    Ok(())
}

/// The id of the chain that the segments belong to; empty where they do not say.
pub(super) fn chain(segments: &[Segment]) -> String {
    let of_segment = |segment: &Segment| {
        let mut lines = segment.lines().ok()?;
        let line = lines.read_line().ok()??;
        Entry::read(line.bytes)?.chain.map(str::to_owned)
    };
    segments.iter().find_map(of_segment).unwrap_or_default()
}

/// What of the log is not indexed yet.
fn tasks<'a>(segments: &'a [Segment], reached: &[Reached]) -> Vec<Task<'a>> {
    let ends = segments.iter().skip(1).map(|next| next.first_seq).chain(std::iter::once(u64::MAX));
    let task = |(segment, end_seq): (&'a Segment, u64)| {
        let known = reached.iter().find(|reached| reached.first_seq == segment.first_seq);
        let from = known.map_or(0, |known| known.bytes);
        let next_seq = known.map_or(segment.first_seq.max(1), |known| known.next_seq);
        (segment.bytes > from).then_some(Task { segment, from, next_seq, end_seq })
    };
    segments.iter().zip(ends).filter_map(task).collect()
}

/// Reads `tasks` into the index. Whether that was so much that it took a while.
fn load(
    connection: &Connection,
    tasks: &[Task<'_>],
    open: HashMap<u128, Open>,
    notify: &mut dyn FnMut(Notice),
) -> Result<bool, IndexFault> {
    let names = names(connection)?;
    let mut loader = Loader::new(connection, open)?;
    let of_bytes = tasks.iter().map(|task| task.segment.bytes.saturating_sub(task.from)).sum();
    let (sender, batches) = sync_channel(BATCHES);
    let large = std::thread::scope(|scope| {
        let reader = scope.spawn(move || scan(tasks, names, &sender));
        // Taken by value: an error here ends the reader, which finds nobody to hand batches to.
        let taken = take_all(batches, &mut loader, of_bytes, notify);
        let read = reader.join().unwrap_or(Err(IndexFault::Unfit("its reader ended early")));
        taken.and_then(|large| read.map(|()| large))
    })?;
    loader.finish()?;
    Ok(large)
}

fn take_all(
    batches: Receiver<Batch>,
    loader: &mut Loader<'_>,
    of_bytes: u64,
    notify: &mut dyn FnMut(Notice),
) -> Result<bool, IndexFault> {
    let (start, mut told) = (Instant::now(), Instant::now());
    let (mut lines, mut bytes, mut unreadable, mut first) = (0, 0, 0, None);
    for batch in batches {
        loader.take(&batch)?;
        lines += batch.lines;
        bytes += batch.bytes;
        unreadable += batch.unreadable.len() as u64;
        first = first.or(batch.unreadable.first().copied());
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            notify(Notice::Progress(Progress { lines, bytes, of_bytes, elapsed: start.elapsed() }));
        }
    }
    if let Some((first_seq, offset)) = first {
        notify(Notice::Unreadable { lines: unreadable, segment: Segment::name_of(first_seq), offset });
    }
    Ok(start.elapsed() >= PROGRESS_EVERY)
}

fn names(connection: &Connection) -> Result<Names, IndexFault> {
    let mut names = Names::default();
    let mut stored = connection.prepare("SELECT id, role, text FROM name")?;
    let mut rows = stored.query([])?;
    while let Some(row) = rows.next()? {
        names.known(row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(names)
}

/// The intents that have a row because they have no outcome yet. Their whole ids stand in their lines.
fn open_intents(connection: &Connection, segments: &[Segment]) -> Result<HashMap<u128, Open>, IndexFault> {
    let sql = format!(
        "SELECT seq, time, offset, {DIMENSIONS} FROM request INDEXED BY request_outcome WHERE outcome = \
         (SELECT id FROM name WHERE role = {} AND text = 'open')",
        Role::Outcome as i64
    );
    let mut stored = connection.prepare(&sql)?;
    let mut rows = stored.query([])?;
    let mut lines = ReadBack::new(segments);
    let mut open = HashMap::new();
    while let Some(row) = rows.next()? {
        let mut dimensions = [0; 7];
        for (column, dimension) in (3..).zip(&mut dimensions) {
            *dimension = row.get(column)?;
        }
        let (seq, time, offset) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let line = lines.line(seq, offset)?;
        let id = line.and_then(Entry::read).and_then(|entry| entry.request_id());
        if let Some(id) = id {
            let request =
                Request { seq, time, offset, dimensions, id: Some(id), email: None, reference: None };
            open.insert(id, Open { request, stored: true });
        }
    }
    Ok(open)
}

/// Removes what stood in segments before `first_seq`.
fn forget(connection: &Connection, first_seq: i64) -> Result<(), IndexFault> {
    let counts = format!(
        "INSERT INTO hourly(hour, {DIMENSIONS}, count) \
         SELECT time / {HOUR_US}, {DIMENSIONS}, -count(*) FROM request WHERE seq < ?1 \
         GROUP BY time / {HOUR_US}, {DIMENSIONS} ON CONFLICT DO UPDATE SET count = count + excluded.count"
    );
    connection.execute(&counts, [first_seq])?;
    for table in ["request", "event"] {
        connection.execute(&format!("DELETE FROM {table} WHERE seq < ?1"), [first_seq])?;
    }
    connection.execute("DELETE FROM segment WHERE first_seq < ?1", [first_seq])?;
    connection.execute_batch(
        "DELETE FROM hourly WHERE count <= 0;
         DELETE FROM name WHERE role IN (1, 2, 5, 6) AND id NOT IN (
            SELECT caller FROM hourly UNION SELECT service FROM hourly UNION SELECT credential FROM hourly
            UNION SELECT fingerprint_key FROM hourly);",
    )?;
    Ok(())
}
