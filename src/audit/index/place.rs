//! Where is the index kept, and who may write it now?

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::object::hex;
use super::fault::{IndexFault, Notice};
use crate::digest::sha256;

const NAME: &str = "index.sqlite";

/// The index's file, beside which one process at a time writes.
pub(super) struct Place {
    pub(super) path: PathBuf,
    lock: File,
    /// A folder that is removed with this.
    temporary: Option<PathBuf>,
}

impl Place {
    /// `explicit`, or in the user's private cache, or in a folder of its own that is gone afterwards. Never beside the
    /// log: who may write there could choose what is found, and a copy of the log would bring its index along.
    pub(super) fn choose(
        folder: &Path,
        chain: &str,
        explicit: Option<&Path>,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Self, IndexFault> {
        if let Some(path) = explicit {
            return Self::at(path, None).map_err(|error| place_fault(path, error));
        }
        if let Some(place) = Self::cached(folder, chain) {
            return Ok(place);
        }
        let place = Self::temporary()?;
        notify(Notice::Temporary(place.path.clone()));
        Ok(place)
    }

    /// Whether nobody but this user can have written what stands here.
    ///
    /// # Errors
    ///
    /// [`IndexFault::Unfit`]: somebody else can.
    pub(super) fn prove_own(&self) -> Result<(), IndexFault> {
        // SQLite plays a journal that it finds back into the index.
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let path = with_suffix(&self.path, suffix);
            match fs::symlink_metadata(&path) {
                Err(gone) if gone.kind() == ErrorKind::NotFound => {}
                Ok(file) if file.is_file() && is_own(&file) => {}
                Ok(_) => return Err(IndexFault::Unfit("others than this user could have written it")),
                Err(error) => return Err(place_fault(&path, error)),
            }
        }
        Ok(())
    }

    /// Waits until no other process writes the index. Until [`Self::unlock`].
    pub(super) fn lock(&self, notify: &mut dyn FnMut(Notice)) -> Result<(), IndexFault> {
        let locked = match self.lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                notify(Notice::Waiting);
                self.lock.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        locked.map_err(|error| place_fault(&self.path, error))
    }

    /// Lets another process write it.
    pub(super) fn unlock(&self) {
        // It ends with the file at the latest.
        let _ = self.lock.unlock();
    }

    /// Where it is made before it takes the place of the one before.
    pub(super) fn draft(&self) -> PathBuf {
        with_suffix(&self.path, ".new")
    }

    /// An empty file to make the index in; the draft of a process that was ended is removed.
    pub(super) fn begin_draft(&self) -> Result<PathBuf, IndexFault> {
        let draft = self.draft();
        let begun = remove(&draft).and_then(|()| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map(drop)
        });
        begun.map_err(|error| place_fault(&draft, error))?;
        Ok(draft)
    }

    /// The draft becomes the index. Who reads the one before reads on; its journal must not be taken for the new
    /// one's.
    pub(super) fn adopt_draft(&self) -> Result<(), IndexFault> {
        let adopted = remove(&self.path)
            .and_then(|()| remove(&with_suffix(&self.path, "-journal")))
            .and_then(|()| remove(&with_suffix(&self.path, "-wal")))
            .and_then(|()| remove(&with_suffix(&self.path, "-shm")))
            .and_then(|()| fs::rename(self.draft(), &self.path));
        adopted.map_err(|error| place_fault(&self.path, error))
    }

    fn at(path: &Path, temporary: Option<PathBuf>) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Without links, which SQLite is told not to follow.
        let path = folder.canonicalize()?.join(name);
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow)
            .open(with_suffix(&path, "-lock"))?;
        Ok(Self { path, lock, temporary })
    }

    /// Another folder or another chain in it has another index.
    fn cached(folder: &Path, chain: &str) -> Option<Self> {
        let cache = private_cache()?;
        let whole = folder.canonicalize().ok()?;
        let digest = hex(&sha256([whole.as_os_str().as_encoded_bytes(), b"\0", chain.as_bytes()]));
        Self::at(&cache.join(format!("audit-{}.sqlite", digest.get(..32)?)), None).ok()
    }

    fn temporary() -> Result<Self, IndexFault> {
        let mut random = [0; 8];
        let filled = aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random bytes"));
        let temporary = std::env::temp_dir().join(format!("dcams-gateway-audit-{}", hex(&random)));
        let made = filled.and_then(|()| DirBuilder::new().mode(0o700).create(&temporary));
        made.and_then(|()| Self::at(&temporary.join(NAME), Some(temporary.clone())))
            .map_err(|error| place_fault(&temporary, error))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            // What stays behind is readable by its user only.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// A folder that nobody else may look into or write to; `None` where there is none.
fn private_cache() -> Option<PathBuf> {
    let cache = cache()?;
    DirBuilder::new().recursive(true).mode(0o700).create(&cache).ok()?;
    let made = fs::symlink_metadata(&cache).ok()?;
    // A link is no folder here: it may lead anywhere.
    if !made.is_dir() || made.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    if made.mode() & 0o777 != 0o700 {
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).ok()?;
    }
    Some(cache)
}

/// This user's, and not to be written by anybody else.
fn is_own(file: &fs::Metadata) -> bool {
    file.uid() == rustix::process::geteuid().as_raw() && file.mode() & 0o022 == 0
}

fn cache() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(absolute);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")).filter(absolute);
    cache.or_else(home).map(|cache| cache.join("dcams-gateway"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn place_fault(path: &Path, error: io::Error) -> IndexFault {
    IndexFault::Place { path: path.to_owned(), error }
}
