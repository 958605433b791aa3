//! Which of the segments can be lines at all?

use std::fs;
use std::io::ErrorKind;

use super::segments::{Segment, Segments};

/// The segments that are regular files. Of the others `pass_over` is told: a link, a folder, a pipe or a socket that
/// has a segment's name is no part of the log, and must not keep the segments beside it from answering. One that
/// retention has removed since is neither.
pub fn regular(segments: &Segments, pass_over: &mut dyn FnMut(&Segment)) -> Vec<Segment> {
    let mut files = Vec::with_capacity(segments.len());
    for segment in segments.iter() {
        match fs::symlink_metadata(&segment.path) {
            Ok(metadata) if !metadata.is_file() => pass_over(segment),
            Err(gone) if gone.kind() == ErrorKind::NotFound => {}
            // What cannot be looked at is told when it is read.
            _ => files.push(segment.clone()),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_named_as_a_segment_and_is_no_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = |first_seq| folder.path().join(Segment::name_of(first_seq));
        fs::write(path(1), "one\n").unwrap();
        let _socket = UnixListener::bind(path(2)).unwrap();
        mknodat(CWD, path(3), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(path(4)).unwrap();
        symlink("elsewhere", path(5)).unwrap();
        fs::write(path(6), "six\n").unwrap();
        let mut others = Vec::new();
        let files =
            regular(&Segments::open(folder.path()).unwrap(), &mut |other| others.push(other.first_seq));
        let numbers: Vec<u64> = files.iter().map(|segment| segment.first_seq).collect();
        assert_eq!((numbers, others), (vec![1, 6], vec![2, 3, 4, 5]));
    }
}
