//! What does the line say that the index points to?

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::super::segments::{LINE_BYTES, Segment};
use super::fault::IndexFault;

/// Read at once: most lines are shorter.
const PIECE_BYTES: usize = 4096;

/// Reads single lines from their segments; the segment of the last one stays open.
pub(super) struct ReadBack<'s> {
    segments: &'s [Segment],
    open: Option<(u64, File)>,
    buffer: Vec<u8>,
}

impl<'s> ReadBack<'s> {
    pub(super) fn new(segments: &'s [Segment]) -> Self {
        Self { segments, open: None, buffer: Vec::new() }
    }

    /// The line `seq`, with its line feed, which begins at `offset` of its segment. `None` where its segment is gone:
    /// retention removes the oldest at any time.
    ///
    /// # Errors
    ///
    /// [`IndexFault::Unfit`]: another line stands there.
    pub(super) fn line(&mut self, seq: i64, offset: i64) -> Result<Option<&[u8]>, IndexFault> {
        const MOVED: IndexFault = IndexFault::Unfit("a line is not where it was when it was indexed");

        let (Ok(seq), Ok(offset)) = (u64::try_from(seq), u64::try_from(offset)) else { return Err(MOVED) };
        let after = self.segments.partition_point(|segment| segment.first_seq <= seq);
        let Some(segment) = after.checked_sub(1).and_then(|index| self.segments.get(index)) else {
            return Ok(None);
        };
        let file = match self.open.take().filter(|(first_seq, _)| *first_seq == segment.first_seq) {
            Some((_, file)) => file,
            None => match segment.open() {
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file.map_err(|error| IndexFault::Log { path: segment.path.clone(), error })?,
            },
        };
        let (_, file) = self.open.insert((segment.first_seq, file));
        let length = read_line(file, offset, &mut self.buffer)
            .map_err(|error| IndexFault::Log { path: segment.path.clone(), error })?;
        let line =
            length.and_then(|length| self.buffer.get(..length)).filter(|line| seq_of(line) == Some(seq));
        line.map(Some).ok_or(MOVED)
    }
}

/// The number that a line begins with.
fn seq_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"seq\":")?;
    let end = digits.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

/// The length of the line at `offset`, which then stands in `buffer`.
fn read_line(file: &File, offset: u64, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut filled = 0;
    while filled < LINE_BYTES {
        if buffer.len() < filled + PIECE_BYTES {
            buffer.resize(filled + PIECE_BYTES, 0);
        }
        let room = buffer.get_mut(filled..filled + PIECE_BYTES).unwrap_or_default();
        let read = match file.read_at(room, offset + filled as u64) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', room.get(..read).unwrap_or_default());
        if let Some(end) = end {
            return Ok(Some(filled + end + 1));
        }
        filled += read;
    }
    Ok(None)
}
