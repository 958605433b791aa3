//! Where does a secret come from, and can everybody else read it there too?

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

use super::model::SecretRef;
use crate::secret::Secret;

/// A secret of more bytes is refused.
pub const LARGEST_BYTES: usize = 64 * 1024;

/// Why a secret could not be read; carries names of files and variables, never a byte of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}: {remedy}")]
pub struct SecretFault {
    place: String,
    problem: String,
    remedy: String,
}

impl SecretFault {
    fn new(place: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.to_owned(), problem: problem.into(), remedy: remedy.into() }
    }

    /// The file or variable.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What would be right.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl SecretRef {
    /// Reads the secret as it is now; one trailing newline (`\n` or `\r\n`) is not part of it.
    ///
    /// A file is judged after it was opened, at the target of its links (Kubernetes mounts are links):
    /// it is regular, not empty, has at most [`LARGEST_BYTES`], and neither everybody nor a group that
    /// the gateway is not in can read it (of a credential, systemd decides on the groups).
    ///
    /// # Errors
    ///
    /// [`SecretFault`], with what would be right.
    pub fn read(&self) -> Result<Secret, SecretFault> {
        match self {
            Self::File(path) => read_file(path, GroupAccess::OwnOnly),
            Self::Env(variable) => read_variable(variable),
            Self::Credential(name) => {
                let path = credential_path(name, std::env::var_os("CREDENTIALS_DIRECTORY"))?;
                read_file(&path, GroupAccess::Any)
            }
        }
    }
}

impl SecretRef {
    /// Whether there is something of that name; not whether it can be read.
    pub(super) fn exists(&self) -> bool {
        match self {
            Self::File(path) => path.exists(),
            // What is given is a copy of the secret, which is cleared again.
            Self::Env(variable) => {
                std::env::var_os(&**variable).map(|value| Secret::new(value.into_vec())).is_some()
            }
            Self::Credential(name) => credential_path(name, std::env::var_os("CREDENTIALS_DIRECTORY"))
                .is_ok_and(|path| path.exists()),
        }
    }
}

/// How often secrets that are being exchanged are read again.
const MOST_READS: usize = 10;

/// Reads all `references` as they are at one instant: again and again, until two rounds have read the same. A mount
/// of Kubernetes is exchanged by one rename, and so is what a careful operator writes; in between, one of two files
/// would be read before that and the other after it.
pub(super) fn read_together<'r>(
    references: impl Iterator<Item = &'r SecretRef> + Clone,
) -> Vec<Result<Secret, SecretFault>> {
    let round = || -> Vec<_> { references.clone().map(SecretRef::read).collect() };
    let mut before = round();
    for _ in 1..MOST_READS {
        let now = round();
        let same = now.iter().zip(&before).all(|pair| match pair {
            (Ok(now), Ok(before)) => now.expose() == before.expose(),
            (Err(now), Err(before)) => now == before,
            _ => false,
        });
        before = now;
        if same {
            break;
        }
    }
    before
}

impl SecretRef {
    /// The file that it names, where it names one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Env(_) => None,
            Self::Credential(name) => credential_path(name, std::env::var_os("CREDENTIALS_DIRECTORY")).ok(),
        }
    }
}

/// Which groups may have access to the file of a secret.
#[derive(Clone, Copy)]
enum GroupAccess {
    /// Those that the gateway is in.
    OwnOnly,
    /// Any: systemd (since 254) shares a credential by an access control list, whose mask stands where
    /// the bits of the group do (`systemd.exec(5)`, "Credentials").
    Any,
}

/// Whether `path` is a private file that can be opened now, without reading it.
pub(super) fn judge_private_file(path: &Path) -> Result<(), SecretFault> {
    open_private(path, GroupAccess::OwnOnly).map(|_| ())
}

fn credential_path(name: &str, folder: Option<OsString>) -> Result<PathBuf, SecretFault> {
    let place = format!("the credential {name}");
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(SecretFault::new(
            &place,
            "has no plain file name",
            "name a file of $CREDENTIALS_DIRECTORY",
        ));
    }
    let folder = folder.filter(|folder| !folder.is_empty()).ok_or_else(|| {
        let remedy = "start the gateway by systemd with LoadCredential=, or use { file = \"…\" }";
        SecretFault::new(&place, "is not available: $CREDENTIALS_DIRECTORY is not set", remedy)
    })?;
    Ok(Path::new(&folder).join(name))
}

fn read_variable(variable: &str) -> Result<Secret, SecretFault> {
    let place = format!("the environment variable {variable}");
    let set =
        if variable.is_empty() || variable.contains(['=', '\0']) { None } else { std::env::var_os(variable) };
    let value = set.ok_or_else(|| SecretFault::new(&place, "is not set", "set it, or refer to a file"))?;
    finish(&place, value.into_vec())
}

fn read_file(path: &Path, groups: GroupAccess) -> Result<Secret, SecretFault> {
    let place = path.display().to_string();
    let (file, metadata) = open_private(path, groups)?;
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > LARGEST_BYTES {
        return Err(too_large(&place));
    }
    // Sized once, with room to see that there is more: growing would leave copies of the secret behind.
    let mut bytes = Vec::with_capacity(LARGEST_BYTES.saturating_add(2));
    let limit = u64::try_from(LARGEST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    if file.take(limit).read_to_end(&mut bytes).is_err() {
        bytes.zeroize();
        return Err(SecretFault::new(
            &place,
            "cannot be read to its end",
            "check the file system that it is on",
        ));
    }
    finish(&place, bytes)
}

/// Opens `path` and judges what was opened: nothing can be swapped between the two.
fn open_private(path: &Path, groups: GroupAccess) -> Result<(File, Metadata), SecretFault> {
    let place = path.display().to_string();
    // Without O_NONBLOCK, a FIFO would hold the start until somebody writes to it.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(|error| unreadable(&place, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&place, &error))?;
    if !metadata.is_file() {
        return Err(SecretFault::new(&place, "is not a regular file", "name the file that holds the secret"));
    }
    let mode = match groups {
        GroupAccess::OwnOnly => metadata.mode(),
        GroupAccess::Any => metadata.mode() & !0o070,
    };
    judge_access(&place, mode, metadata.gid(), &own_groups())?;
    if metadata.len() == 0 {
        return Err(SecretFault::new(&place, "is empty", "write the secret into it"));
    }
    Ok((file, metadata))
}

fn judge_access(place: &str, mode: u32, group: u32, own_groups: &[u32]) -> Result<(), SecretFault> {
    if mode & 0o007 != 0 {
        let problem = format!("is accessible to everybody (mode {:04o})", mode & 0o7777);
        return Err(SecretFault::new(place, problem, format!("chmod o= {place}")));
    }
    if mode & 0o070 != 0 && !own_groups.contains(&group) {
        let problem = format!("is accessible to group {group}, which the gateway is not in");
        let remedy = format!("chmod g= {place}, or give it a group of the gateway");
        return Err(SecretFault::new(place, problem, remedy));
    }
    Ok(())
}

fn own_groups() -> Vec<u32> {
    let mut groups: Vec<_> = rustix::process::getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(rustix::process::Gid::as_raw)
        .collect();
    groups.push(rustix::process::getegid().as_raw());
    groups.push(rustix::process::getgid().as_raw());
    groups
}

fn unreadable(place: &str, error: &std::io::Error) -> SecretFault {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            SecretFault::new(place, "does not exist", "create it, or correct the path")
        }
        std::io::ErrorKind::PermissionDenied => SecretFault::new(
            place,
            "cannot be opened: permission denied",
            "let the gateway's own user or group read it",
        ),
        // The system's message names the kind of fault only, never contents.
        _ => SecretFault::new(place, format!("cannot be opened: {error}"), "correct the path"),
    }
}

fn too_large(place: &str) -> SecretFault {
    SecretFault::new(
        place,
        format!("holds more than {LARGEST_BYTES} bytes"),
        "name the file that holds the secret alone",
    )
}

fn finish(place: &str, mut bytes: Vec<u8>) -> Result<Secret, SecretFault> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let fault = match bytes.len() {
        0 => Some(SecretFault::new(place, "is empty", "write the secret into it")),
        1..=LARGEST_BYTES => None,
        _ => Some(too_large(place)),
    };
    if let Some(fault) = fault {
        bytes.zeroize();
        return Err(fault);
    }
    // An exact copy first: shrinking a larger buffer in place may move it and leave the old one behind.
    let secret = Secret::new(bytes.as_slice().to_vec());
    bytes.zeroize();
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A file of that mode in a folder of its own.
    fn file(contents: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, contents).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        (folder, path)
    }

    fn read(path: &Path) -> Result<Vec<u8>, String> {
        let read = SecretRef::File(path.to_owned()).read();
        read.map(|secret| secret.expose().to_vec()).map_err(|fault| fault.problem().to_owned())
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_a_secret_and_nothing_else_is_stripped() {
        for (contents, secret) in [
            (&b"secret"[..], &b"secret"[..]),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret\n\n", b"secret\n"),
            (b"secret\r", b"secret\r"),
            (b" secret \t\n", b" secret \t"),
            (b"\xff\x00\n", b"\xff\x00"),
        ] {
            let (_folder, path) = file(contents, 0o600);
            assert_eq!(read(&path).as_deref(), Ok(secret));
        }
    }

    #[test]
    fn a_file_is_judged_at_the_target_of_its_links() {
        let (folder, path) = file(b"secret", 0o400);
        let link = folder.path().join("link");
        symlink(&path, &link).expect("a link");
        assert_eq!(read(&link).as_deref(), Ok(&b"secret"[..]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("permissions");
        assert_eq!(read(&link), Err("is accessible to everybody (mode 0644)".to_owned()));
    }

    #[test]
    fn everybody_must_have_no_access_and_a_group_only_when_the_gateway_is_in_it() {
        for (mode, group, accepted) in [
            (0o100_600, 7, true),
            (0o100_400, 7, true),
            (0o100_640, 5, true),
            (0o100_440, 6, true),
            (0o100_640, 7, false),
            (0o100_620, 7, false),
            (0o100_604, 5, false),
            (0o100_602, 5, false),
            (0o100_644, 5, false),
        ] {
            assert_eq!(judge_access("f", mode, group, &[5, 6]).is_ok(), accepted, "{mode:o} {group}");
        }
        let (_folder, path) = file(b"secret", 0o640);
        assert_eq!(read(&path).as_deref(), Ok(&b"secret"[..]), "the group of what we make is our own");
    }

    #[test]
    fn what_is_empty_missing_too_large_or_no_file_is_refused() {
        let (folder, path) = file(b"", 0o600);
        assert_eq!(read(&path), Err("is empty".to_owned()));
        fs::write(&path, b"\n").expect("a file");
        assert_eq!(read(&path), Err("is empty".to_owned()));
        fs::write(&path, vec![b'x'; LARGEST_BYTES]).expect("a file");
        assert_eq!(read(&path).map(|secret| secret.len()), Ok(LARGEST_BYTES));
        fs::write(&path, vec![b'x'; LARGEST_BYTES + 1]).expect("a file");
        assert_eq!(read(&path), Err("holds more than 65536 bytes".to_owned()));
        assert_eq!(read(folder.path()), Err("is not a regular file".to_owned()));
        assert_eq!(read(&folder.path().join("none")), Err("does not exist".to_owned()));
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_a_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).expect("a fifo");
        assert_eq!(read(&path), Err("is not a regular file".to_owned()));
    }

    #[test]
    fn a_variable_is_read_as_it_is_and_an_unset_one_is_named() {
        let read = |name: &str| SecretRef::Env(name.into()).read();
        let expected = std::env::var_os("PATH").expect("a PATH");
        assert_eq!(
            read("PATH").map(|secret| secret.expose().to_vec()).ok(),
            Some(expected.into_encoded_bytes())
        );
        let fault = read("DCAMS_GATEWAY_TEST_IS_NOT_SET").err().expect("a fault");
        assert_eq!(fault.place(), "the environment variable DCAMS_GATEWAY_TEST_IS_NOT_SET");
        assert_eq!(fault.problem(), "is not set");
        for odd in ["", "A=B", "A\0B"] {
            assert!(read(odd).is_err());
        }
    }

    #[test]
    fn a_credential_is_a_plain_file_of_the_credentials_folder() {
        let (folder, path) = file(b"secret", 0o400);
        let directory = || Some(folder.path().as_os_str().to_owned());
        assert_eq!(credential_path("secret", directory()).ok(), Some(path));
        for name in ["", ".", "..", "../secret", "/secret", "a/b", "a\0"] {
            assert!(credential_path(name, directory()).is_err(), "{name:?}");
        }
        for unset in [None, Some(OsString::new())] {
            let fault = credential_path("secret", unset).expect_err("a fault");
            assert!(fault.problem().contains("$CREDENTIALS_DIRECTORY is not set"));
        }
    }
}
