//! Which calls change the disk?

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The calls that may fail on a worn, full or slow disk, or be lost in a crash. Tests and simulations make them fail;
/// all else around them stays the same.
pub trait Medium: Send {
    /// Writes some of `bytes` at `offset`; returns how many.
    ///
    /// # Errors
    ///
    /// None of it was written.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Makes the contents of `file` durable, and its size (fdatasync).
    ///
    /// # Errors
    ///
    /// Any part of what was written since the last sync may be lost.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Makes the names in `folder` durable.
    ///
    /// # Errors
    ///
    /// Any of the names made since the last sync may be lost.
    fn sync_folder(&self, folder: &File) -> io::Result<()> {
        folder.sync_all()
    }
}

/// The real one.
pub(super) struct Disk;

impl Medium for Disk {}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at(medium: &dyn Medium, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match medium.write_at(file, rest, offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
