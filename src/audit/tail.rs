//! Which lines stand last, and which come next?

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::filter::Filter;
use super::regular::regular;
use super::segments::{Ending, Segment, Segments};

/// Looked through from the end, first; then eight times as much, until it is enough.
const WINDOW_BYTES: u64 = 1 << 20;

/// The last `count` lines of the log that `filter` accepts, oldest first.
///
/// # Errors
///
/// A segment cannot be read.
pub fn last_lines(segments: &[Segment], filter: &Filter, count: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut last = VecDeque::new();
    for segment in segments.iter().rev() {
        let missing = count - last.len();
        if missing == 0 {
            break;
        }
        for line in last_of_segment(segment, filter, missing)?.into_iter().rev() {
            last.push_front(line);
        }
    }
    Ok(last.into())
}

fn last_of_segment(segment: &Segment, filter: &Filter, count: usize) -> io::Result<VecDeque<Vec<u8>>> {
    let mut window = WINDOW_BYTES;
    loop {
        let start = segment.bytes.saturating_sub(window);
        let mut lines = match segment.lines_from(start) {
            Err(error) if is_no_segment(&error) => return Ok(VecDeque::new()),
            lines => lines?,
        };
        if start > 0 {
            // The end of a line that began earlier.
            lines.read_line()?;
        }
        let mut last = VecDeque::new();
        while let Some(line) = lines.read_line()?.filter(|line| line.offset < segment.bytes) {
            if line.ending == Ending::LineFeed && accepted(line.bytes, filter) {
                if last.len() == count {
                    last.pop_front();
                }
                last.push_back(line.bytes.to_vec());
            }
        }
        if last.len() == count || start == 0 {
            return Ok(last);
        }
        window = window.saturating_mul(8);
    }
}

/// Retention removes segments at any time; and what took the place of one meanwhile is no part of the log.
fn is_no_segment(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData)
}

/// Everything is shown where nothing is asked for: also a line that is none of the log's form.
fn accepted(line: &[u8], filter: &Filter) -> bool {
    *filter == Filter::default() || Entry::read(line).is_some_and(|entry| filter.accepts(&entry))
}

/// The end of a log, as it grows.
pub struct Follower {
    folder: PathBuf,
    /// The number that the name of the segment at the end has.
    first_seq: u64,
    offset: u64,
}

impl Follower {
    /// Begins behind what `segments` held when they were listed.
    #[must_use]
    pub fn behind(folder: &Path, segments: &[Segment]) -> Self {
        let last = segments.last();
        Self {
            folder: folder.to_owned(),
            first_seq: last.map_or(0, |segment| segment.first_seq),
            offset: last.map_or(0, |segment| segment.bytes),
        }
    }

    /// Shows the lines that were written since, also in segments that were begun since. `pass_over` is told of what
    /// has a segment's name and is none, each time.
    ///
    /// # Errors
    ///
    /// The folder or a segment cannot be read.
    pub fn new_lines(
        &mut self,
        filter: &Filter,
        pass_over: &mut dyn FnMut(&Segment),
        show: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        // Listed before the present segment is read to its end: what follows it is complete then.
        let segments = regular(&Segments::open(&self.folder)?, pass_over);
        for segment in &segments {
            if segment.first_seq < self.first_seq {
                continue;
            }
            if segment.first_seq > self.first_seq {
                (self.first_seq, self.offset) = (segment.first_seq, 0);
            }
            // Cut after a crash: what comes next stands at its new end.
            self.offset = self.offset.min(segment.bytes);
            let mut lines = match segment.lines_from(self.offset) {
                Err(error) if is_no_segment(&error) => continue,
                lines => lines?,
            };
            while let Some(line) = lines.read_line()?.filter(|line| line.ending != Ending::Torn) {
                self.offset = line.offset + line.bytes.len() as u64;
                if line.ending == Ending::LineFeed && accepted(line.bytes, filter) {
                    show(line.bytes)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn line(seq: u64, kind: &str) -> String {
        format!("{{\"seq\":{seq},\"v\":1,\"kind\":\"{kind}\"}}\n")
    }

    fn write(folder: &Path, first_seq: u64, text: &str) {
        let path = folder.join(Segment::name_of(first_seq));
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn last(folder: &Path, kinds: &[&str], count: usize) -> Vec<String> {
        let filter =
            Filter { kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..Filter::default() };
        let segments = regular(&Segments::open(folder).unwrap(), &mut |_| panic!("it is a file"));
        let lines = last_lines(&segments, &filter, count).unwrap();
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn the_last_lines_are_found_across_segments_and_behind_many_others() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1, &(line(1, "start") + &line(2, "loss")));
        // More than is looked through at first.
        let many: String = (3..60_003).map(|seq| line(seq, "intent")).collect();
        assert!(many.len() as u64 > WINDOW_BYTES);
        write(folder.path(), 3, &many);
        assert_eq!(last(folder.path(), &[], 2), [line(60_001, "intent"), line(60_002, "intent")]);
        assert_eq!(last(folder.path(), &["start", "loss"], 9), [line(1, "start"), line(2, "loss")]);
        assert_eq!(last(folder.path(), &["loss"], 1), [line(2, "loss")]);
        assert_eq!(last(folder.path(), &[], 0), [""; 0]);
    }

    #[test]
    fn new_lines_are_followed_through_rotation_a_torn_line_and_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, 1, &line(1, "start"));
        let mut follower = Follower::behind(path, &Segments::open(path).unwrap());
        let mut new = || {
            let mut lines = String::new();
            let mut show = |line: &[u8]| {
                lines.push_str(std::str::from_utf8(line).unwrap());
                Ok(())
            };
            follower.new_lines(&Filter::default(), &mut |_| {}, &mut show).unwrap();
            lines
        };
        assert_eq!(new(), "");
        write(path, 1, &(line(2, "loss") + "{\"seq\":3"));
        assert_eq!(new(), line(2, "loss"));
        write(path, 1, &line(3, "loss")["{\"seq\":3".len()..]);
        write(path, 4, &line(4, "segment"));
        write(path, 5, &line(5, "segment"));
        assert_eq!(new(), [line(3, "loss"), line(4, "segment"), line(5, "segment")].concat());
        fs::remove_file(path.join(Segment::name_of(1))).unwrap();
        fs::write(path.join(Segment::name_of(5)), "").unwrap();
        assert_eq!(new(), "");
        write(path, 5, &line(5, "repair"));
        assert_eq!(new(), line(5, "repair"));
    }
}
