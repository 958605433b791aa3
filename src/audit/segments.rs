//! Which files are the log, in which order, and where do their lines stand?

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Longest line of a log, bytes, its line feed included.
pub const LINE_BYTES: usize = 1 << 20;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 16;

/// The segments of a folder as they were when it was listed, oldest first. Any other name in the folder is not the
/// log's and is passed over.
#[derive(Debug)]
pub struct Segments {
    list: Vec<Segment>,
    lookalikes: usize,
}

/// One file of the log: `audit-` and the number of its first line in 16 digits, `.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// The number of its first line, as its name says.
    pub first_seq: u64,
    /// Its size when the folder was listed, bytes.
    pub bytes: u64,
}

impl Segments {
    /// Lists `folder`.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let (mut list, mut lookalikes) = (Vec::new(), 0);
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let Some(first_seq) = first_seq(name) else {
                lookalikes += usize::from(name.starts_with(PREFIX));
                continue;
            };
            match fs::symlink_metadata(entry.path()) {
                Ok(metadata) => {
                    list.push(Segment { path: entry.path(), first_seq, bytes: metadata.len() });
                }
                // Retention removes segments at any time.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        list.sort_unstable_by_key(|segment| segment.first_seq);
        Ok(Self { list, lookalikes })
    }

    /// How many names begin as a segment's and are none: copies that somebody made.
    #[must_use]
    pub fn lookalikes(&self) -> usize {
        self.lookalikes
    }

    /// The size of all, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        // A sparse file may claim any size.
        self.list.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.bytes))
    }
}

impl Deref for Segments {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        &self.list
    }
}

/// The number in a segment's name; `None` where the name is no segment's.
fn first_seq(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let exact = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| exact)
}

impl Segment {
    /// The name of the segment that begins with the line `first_seq`.
    #[must_use]
    pub fn name_of(first_seq: u64) -> String {
        format!("{PREFIX}{first_seq:0DIGITS$}{SUFFIX}")
    }

    /// Its name, without its folder.
    #[must_use]
    pub fn name(&self) -> String {
        Self::name_of(self.first_seq)
    }

    /// Its lines, from the first.
    ///
    /// # Errors
    ///
    /// As [`Self::lines_from`].
    pub fn lines(&self) -> io::Result<Lines<File>> {
        self.lines_from(0)
    }

    /// Its lines from `offset` on, which is where a line begins.
    ///
    /// # Errors
    ///
    /// It cannot be opened. `InvalidData`: it is a link, or not a regular file.
    pub fn lines_from(&self, offset: u64) -> io::Result<Lines<File>> {
        let mut file = self.open()?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Lines::new(file, offset))
    }

    /// Opened to be read. A link could name a file that is no part of the log, and a pipe would block.
    pub(super) fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let no_file = |_| io::Error::new(io::ErrorKind::InvalidData, "a segment is not a regular file");
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            // A link; a socket, or a device without a driver.
            Err(none @ (rustix::io::Errno::LOOP | rustix::io::Errno::NXIO)) => return Err(no_file(none)),
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.is_file() { Ok(file) } else { Err(no_file(rustix::io::Errno::INVAL)) }
    }
}

/// The lines of one segment, one after the other, with at most [`LINE_BYTES`] of it in memory.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of `buffer` that was not handed out yet.
    start: usize,
    end: usize,
    offset: u64,
    in_long: bool,
}

/// One line, or a piece of what is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it begins in its segment, bytes.
    pub offset: u64,
    /// Its bytes, with the line feed if there is one.
    pub bytes: &'a [u8],
    /// How it ends.
    pub ending: Ending,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a line feed: it is whole.
    LineFeed,
    /// With the end of the file: the rest was not written, or not yet.
    Torn,
    /// It is longer than [`LINE_BYTES`] and comes in pieces, which all say so, the last one too.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// The lines of `input`, whose first byte stands at `offset` of its segment.
    pub fn new(input: R, offset: u64) -> Self {
        Self { input, buffer: vec![0; LINE_BYTES], start: 0, end: 0, offset, in_long: false }
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        let (length, ending) = loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            let feed = memchr::memchr(b'\n', unread.get(searched..).unwrap_or_default());
            if let Some(feed) = feed {
                break (searched + feed + 1, Ending::LineFeed);
            }
            searched = unread.len();
            if searched == self.buffer.len() {
                break (searched, Ending::TooLong);
            }
            if self.fill()? == 0 {
                break (searched, Ending::Torn);
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let ending = if self.in_long { Ending::TooLong } else { ending };
        let (start, offset) = (self.start, self.offset);
        self.start += length;
        self.offset += length as u64;
        let bytes = self.buffer.get(start..self.start).unwrap_or_default();
        self.in_long = ending == Ending::TooLong && !bytes.ends_with(b"\n");
        Ok(Some(Line { offset, bytes, ending }))
    }

    /// Reads more behind what was not handed out; 0 at the end of the file.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: impl Read) -> Vec<(u64, usize, Ending)> {
        let (mut lines, mut all) = (Lines::new(input, 0), Vec::new());
        while let Some(line) = lines.read_line().unwrap() {
            all.push((line.offset, line.bytes.len(), line.ending));
        }
        all
    }

    #[test]
    fn segments_are_listed_oldest_first_and_other_names_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["audit-0000000000000200.jsonl", "audit-0000000000000001.jsonl"];
        let others = ["audit-1.jsonl", "audit-0000000000000001.jsonl.bak", "chain", "lock", "index.sqlite"];
        for name in names.iter().chain(&others) {
            fs::write(folder.path().join(name), "12345").unwrap();
        }
        let segments = Segments::open(folder.path()).unwrap();
        let expected = [(1, names[1]), (200, names[0])].map(|(first_seq, name)| Segment {
            path: folder.path().join(name),
            first_seq,
            bytes: 5,
        });
        assert_eq!(&*segments, expected);
        assert_eq!((segments.bytes(), segments.lookalikes()), (10, 2));
        assert_eq!(segments[1].name(), names[0]);
    }

    #[test]
    fn each_line_comes_with_its_place_and_its_ending() {
        use Ending::{LineFeed, Torn};
        assert_eq!(all(&b""[..]), []);
        assert_eq!(all(&b"one\n\nthree"[..]), [(0, 4, LineFeed), (4, 1, LineFeed), (5, 5, Torn)]);
        // In reads of one byte each.
        let slowly = b"one\ntwo\n"
            .iter()
            .map(std::slice::from_ref)
            .fold(Box::new(io::empty()) as Box<dyn Read>, |before, byte| Box::new(before.chain(byte)));
        assert_eq!(all(slowly), [(0, 4, LineFeed), (4, 4, LineFeed)]);
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces_and_the_next_one_whole() {
        use Ending::{LineFeed, TooLong};
        let longest = [vec![b'x'; LINE_BYTES - 1], b"\n".to_vec()].concat();
        let longer = [vec![b'x'; LINE_BYTES], b"\n".to_vec()].concat();
        let text = [&longest[..], &longer, b"next\n"].concat();
        let mib = LINE_BYTES as u64;
        let expected = [
            (0, LINE_BYTES, LineFeed),
            (mib, LINE_BYTES, TooLong),
            (2 * mib, 1, TooLong),
            (2 * mib + 1, 5, LineFeed),
        ];
        assert_eq!(all(&text[..]), expected);
    }

    #[test]
    fn lines_are_read_from_where_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Segment::name_of(1));
        fs::write(&path, "one\ntwo\n").unwrap();
        let segments = Segments::open(folder.path()).unwrap();
        let mut lines = segments[0].lines_from(4).unwrap();
        let expected = Line { offset: 4, bytes: b"two\n", ending: Ending::LineFeed };
        assert_eq!(lines.read_line().unwrap(), Some(expected));
        assert_eq!(lines.read_line().unwrap(), None);
    }

    #[test]
    fn sizes_that_no_disk_has_do_not_overflow() {
        let huge = Segment { path: PathBuf::new(), first_seq: 1, bytes: 1 << 63 };
        let segments = Segments { list: vec![huge.clone(), huge], lookalikes: 0 };
        assert_eq!(segments.bytes(), u64::MAX);
    }

    #[test]
    fn a_socket_is_no_segment() {
        let folder = tempfile::tempdir().unwrap();
        let _socket =
            std::os::unix::net::UnixListener::bind(folder.path().join(Segment::name_of(1))).unwrap();
        let segments = Segments::open(folder.path()).unwrap();
        assert_eq!(segments[0].lines().err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
    }

    #[test]
    fn a_link_is_no_segment() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("elsewhere"), "one\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.path().join(Segment::name_of(1))).unwrap();
        let segments = Segments::open(folder.path()).unwrap();
        assert_eq!(segments[0].lines().err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
    }
}
