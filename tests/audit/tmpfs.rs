//! Which disk can be filled, and is never slow because of others?

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// A small file system of its own at a path, gone when this is dropped.
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of `bytes` at `path`, a folder.
    pub fn mount(path: &Path, bytes: u64) -> Self {
        let options = std::ffi::CString::new(format!("size={bytes},mode=0750")).unwrap();
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap_or_else(|error| {
            panic!("a tmpfs cannot be mounted ({error}): this test needs root (CAP_SYS_ADMIN)")
        });
        Self { path: path.to_owned() }
    }

    /// Takes all space that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        // The last bytes go one by one.
        for size in [64 << 10, 4 << 10, 1] {
            loop {
                match filler.write_all(&vec![0; size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the disk cannot be filled: {error}"),
                }
            }
        }
    }

    /// Nothing can be written any more; nobody may have a file open for writing.
    pub fn make_read_only(&self) {
        mount_remount(&*self.path, MountFlags::RDONLY, "").unwrap();
    }

    /// Gives back what [`fill`](Self::fill) took.
    pub fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // A process that still lives in it keeps it until it ends.
        let _ = unmount(&*self.path, UnmountFlags::DETACH);
    }
}
