//! What do the lines that are not indexed yet hold?
//!
//! Reads on a thread of its own, so that reading and inserting share the work of two processors.

use std::io;
use std::sync::mpsc::SyncSender;

use super::super::entry::Entry;
use super::super::segments::{Ending, LINE_BYTES, Segment};
use super::fault::IndexFault;
use super::row::{Names, Role, Row};
use crate::digest::sha256;

/// Large enough that handing over costs nothing, small enough that progress is seen.
const BATCH_LINES: u64 = 8192;

/// A part of a segment that is to be read.
pub(super) struct Task<'a> {
    pub(super) segment: &'a Segment,
    pub(super) from: u64,
    /// A line's number is at least this, and below `end_seq`.
    pub(super) next_seq: u64,
    pub(super) end_seq: u64,
}

/// Some lines.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) new_names: Vec<(i64, Role, Box<str>)>,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) unreadable: Vec<(u64, u64)>,
    /// With the last batch of a segment.
    pub(super) reached: Option<Reached>,
}

/// How far a segment was read, and what stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) first_seq: u64,
    /// Where the next line will begin.
    pub(super) bytes: u64,
    /// The least number that it can have.
    pub(super) next_seq: u64,
    pub(super) last_offset: u64,
    pub(super) last_digest: [u8; 32],
}

/// Reads `tasks` in their order. Ends early when nobody takes the batches any more.
pub(super) fn scan(
    tasks: &[Task<'_>],
    mut names: Names,
    batches: &SyncSender<Batch>,
) -> Result<(), IndexFault> {
    let mut time = 0;
    for task in tasks {
        if !scan_segment(task, &mut names, &mut time, batches)? {
            break;
        }
    }
    Ok(())
}

fn scan_segment(
    task: &Task<'_>,
    names: &mut Names,
    time: &mut i64,
    batches: &SyncSender<Batch>,
) -> Result<bool, IndexFault> {
    let unreadable = |error| IndexFault::Log { path: task.segment.path.clone(), error };
    let mut next_seq = task.next_seq;
    let mut batch = Batch::default();
    let mut lines = match task.segment.lines_from(task.from) {
        // Retention removes segments at any time.
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(true),
        // A link in its place is no part of the log; the other segments still answer.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            batch.unreadable.push((task.segment.first_seq, 0));
            return Ok(hand_over(&mut batch, names, batches));
        }
        lines => lines.map_err(unreadable)?,
    };
    let mut end = None;
    while let Some(line) = lines.read_line().map_err(unreadable)? {
        // What is torn may be about to be written.
        if line.ending == Ending::Torn {
            break;
        }
        batch.lines += 1;
        batch.bytes += line.bytes.len() as u64;
        end = Some((line.offset, line.offset + line.bytes.len() as u64));
        let entry = Entry::read(line.bytes).filter(|_| line.ending == Ending::LineFeed);
        let entry = entry.filter(|entry| (next_seq..task.end_seq).contains(&entry.seq));
        let row = entry.as_ref().and_then(|entry| Row::of(entry, line.offset, *time, names));
        match entry.zip(row) {
            Some((entry, row)) => {
                next_seq = entry.seq + 1;
                *time = row.time();
                batch.rows.push(row);
            }
            None => batch.unreadable.push((task.segment.first_seq, line.offset)),
        }
        if batch.lines >= BATCH_LINES && !hand_over(&mut batch, names, batches) {
            return Ok(false);
        }
    }
    if let Some((last_offset, bytes)) = end {
        let last_digest = digest_of_line(task.segment, last_offset, bytes).map_err(unreadable)?;
        let first_seq = task.segment.first_seq;
        batch.reached = Some(Reached { first_seq, bytes, next_seq, last_offset, last_digest });
    }
    Ok(hand_over(&mut batch, names, batches))
}

fn hand_over(batch: &mut Batch, names: &mut Names, batches: &SyncSender<Batch>) -> bool {
    let mut batch = std::mem::take(batch);
    batch.new_names = std::mem::take(&mut names.new);
    batches.send(batch).is_ok()
}

/// SHA-256 of the line from `offset` up to `end`.
pub(super) fn digest_of_line(segment: &Segment, offset: u64, end: u64) -> io::Result<[u8; 32]> {
    use std::os::unix::fs::FileExt;

    let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(LINE_BYTES).min(LINE_BYTES);
    let mut bytes = vec![0; length];
    segment.open()?.read_exact_at(&mut bytes, offset)?;
    Ok(sha256([bytes]))
}
