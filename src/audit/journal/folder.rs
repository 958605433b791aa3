//! Is the folder still there, and is it ours alone?

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::medium::Medium;
use crate::audit::trail::{Failure, Fault};
use crate::audit::{AuditFault, Segments};

/// Mode of segments: of the others, the group may read.
const SEGMENT_MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);
/// Mode of what holds a key.
const SECRET_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How often, and after what pause, a lock is tried that another start or a check may hold for an instant.
const LOCK_TRIES: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
const FOLDER_MODE: u32 = 0o750;

/// The folder of a chain, locked as long as this lives. The lock is on the folder itself: no file in it can be removed
/// to get round it.
pub(super) struct Folder {
    path: PathBuf,
    names: File,
    place: Place,
}

/// What tells one file of a machine from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

impl Folder {
    /// Opens `path`, which is made if only its last part is missing, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, AuditFault> {
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        for _ in 1..LOCK_TRIES {
            match Self::locked(path) {
                Err(AuditFault::Locked) => std::thread::sleep(LOCK_PAUSE),
                opened => return opened,
            }
        }
        Self::locked(path)
    }

    fn locked(path: &Path) -> Result<Self, AuditFault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let names = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
        let place = Place::of(&rustix::fs::fstat(&names).map_err(io::Error::from)?);
        match rustix::fs::flock(&names, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), names, place }),
            Err(Errno::WOULDBLOCK) => Err(AuditFault::Locked),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// In the stead of this folder, which is gone: another at the same path, if it has neither segments nor a chain.
    pub(super) fn successor(&self) -> Result<Self, Failure> {
        let usable = Self::locked(&self.path).ok().filter(|folder| {
            let segments = Segments::open(&folder.path);
            segments.is_ok_and(|segments| segments.is_empty())
                && !folder.path.join(super::state::NAME).exists()
        });
        usable.ok_or(Failure::from(Fault::FolderGone))
    }

    /// Whether this folder, and no other, is at its path.
    pub(super) fn is_there(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|stat| Place::of(&stat) == self.place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A new segment, or an old file emptied.
    pub(super) fn create_segment(&self, name: &str) -> io::Result<File> {
        self.create(name, SEGMENT_MODE)
    }

    /// As [`Self::create_segment`], for what nobody else may read.
    pub(super) fn create_secret(&self, name: &str) -> io::Result<File> {
        self.create(name, SECRET_MODE)
    }

    fn create(&self, name: &str, mode: Mode) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.names, name, flags, mode)?.into())
    }

    /// A file that is there, and is neither a link nor a pipe.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.names, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Gives a file another name, in place of what has it.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.names, from, &self.names, to)?)
    }

    /// Gives a file a name that no other has.
    pub(super) fn rename_to_new(&self, from: &str, to: &str) -> io::Result<()> {
        use rustix::fs::RenameFlags;
        match rustix::fs::renameat_with(&self.names, from, &self.names, to, RenameFlags::NOREPLACE) {
            // A file system that cannot promise it. The folder is locked: nobody else makes names here.
            Err(Errno::INVAL | Errno::NOSYS) if !self.path_of(to).exists() => self.rename(from, to),
            done => Ok(done?),
        }
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.names, name, rustix::fs::AtFlags::empty())?)
    }

    /// Makes the names durable.
    pub(super) fn sync(&self, medium: &dyn Medium) -> io::Result<()> {
        medium.sync_folder(&self.names)
    }

    /// Bytes that may still be written.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.names)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_gateway_is_refused_and_another_folder_is_not_this_one() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("audit");
        let folder = Folder::open(&path).unwrap();
        assert!(matches!(Folder::open(&path), Err(AuditFault::Locked)));
        assert!(folder.is_there());
        std::fs::rename(&path, outer.path().join("moved")).unwrap();
        assert!(!folder.is_there());
        assert!(folder.successor().is_err(), "nothing is at the path");
        std::fs::create_dir(&path).unwrap();
        assert!(!folder.is_there());
        std::fs::write(path.join("audit-0000000000000001.jsonl"), "").unwrap();
        assert!(folder.successor().is_err(), "what is there is not empty");
        std::fs::remove_file(path.join("audit-0000000000000001.jsonl")).unwrap();
        assert!(folder.successor().unwrap().is_there());
    }
}
