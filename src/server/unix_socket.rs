//! How is a unix socket opened that nobody else can take over, and how is it left?

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The file of a socket that was opened here. It is removed when this is dropped, which must be before its socket.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: Option<Inode>,
}

/// What tells a file from another at the same path: device and number. Neither is used again while the socket that
/// was bound to it is open.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Inode(u64, u64);

/// A socket of mode 0660 in a folder that only our own user can change and only our group can enter.
pub(super) fn open(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let folder = folder_of(path);
    if !folder.exists() {
        DirBuilder::new().mode(0o750).create(folder)?;
    }
    let metadata = std::fs::metadata(folder)?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !own || metadata.permissions().mode() & 0o027 != 0 {
        let problem =
            "the folder of a unix socket must belong to the gateway's own user, with mode 0750 or stricter";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    let _alone = lock(path)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok((listener, SocketFile { path: path.to_owned(), inode: Inode::at(path) }))
}

/// Opens `path` as a trial and leaves nothing behind.
pub(super) fn try_open(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    let is_new = !folder.exists();
    let tried = open(path).map(|(listener, file)| {
        drop(file);
        drop(listener);
    });
    if is_new {
        // Made by the trial, perhaps as another user than the gateway's. It may not have been made.
        let _ = std::fs::remove_file(lock_of(path));
        let _ = std::fs::remove_dir(folder);
    }
    tried
}

/// A passed socket's file, and its folder, may be root's; nobody else may use or change them.
pub(super) fn judge_passed(path: &Path) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let is_safe = |path: &Path, forbidden: u32| {
        let file = std::fs::metadata(path)?;
        io::Result::Ok([0, own].contains(&file.uid()) && file.mode() & forbidden == 0)
    };
    if is_safe(path, 0o007)? && is_safe(folder_of(path), 0o022)? {
        return Ok(());
    }
    let problem = "a passed unix socket must be root's or the gateway's own user's, with mode 0660 or stricter \
                   (SocketMode=), in a folder that nobody else can write to";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Held between a look at the socket's file and what follows from it: of two gateways that see a stale one, the second
/// would remove the fresh socket of the first. Not on the folder, which callers of our group could lock as well.
fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(lock_of(path))?;
    file.lock()?;
    Ok(file)
}

/// It stays: who removed it would let two hold locks on two files.
fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// A socket file that nobody listens on is left over from a process that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is in the way"));
    }
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // Else a listener that accepts nothing, and has as many waiting as it takes, would be waited for.
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

impl Inode {
    fn at(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|file| Self(file.dev(), file.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _alone = lock(&self.path);
        // Another gateway may listen there by now.
        if self.inode.is_some() && self.inode == Inode::at(&self.path) {
            // It may be gone already; a socket file without a listener is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Barrier;

    use super::*;

    fn private_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        folder
    }

    #[test]
    fn a_socket_file_is_removed_with_its_listener_and_never_that_of_another() {
        let folder = private_folder();
        let path = folder.path().join("data.sock");
        let (listener, file) = open(&path).unwrap();
        drop(file);
        drop(listener);
        assert!(!path.exists());

        let (_old, old_file) = open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _new = open(&path).unwrap();
        drop(old_file);
        assert!(path.exists());
    }

    #[test]
    fn a_trial_leaves_nothing_behind() {
        let folder = private_folder();
        let path = folder.path().join("new").join("data.sock");
        try_open(&path).unwrap();
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn of_two_that_find_a_stale_socket_one_listens_and_the_other_is_told() {
        let folder = private_folder();
        let path = folder.path().join("data.sock");
        for _ in 0..200 {
            drop(UnixListener::bind(&path).unwrap());
            let both = Barrier::new(2);
            let start = || {
                both.wait();
                open(&path)
            };
            let opened = std::thread::scope(|scope| {
                [scope.spawn(start), scope.spawn(start)].map(|started| started.join().unwrap())
            });
            let faults: Vec<_> = opened.iter().filter_map(|opened| opened.as_ref().err()).collect();
            assert_eq!(
                faults.iter().map(|fault| fault.kind()).collect::<Vec<_>>(),
                [io::ErrorKind::AddrInUse]
            );
            assert!(UnixStream::connect(&path).is_ok(), "who listens is found there");
            for (listener, file) in opened.into_iter().flatten() {
                drop(file);
                drop(listener);
            }
        }
    }
}
