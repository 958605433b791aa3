//! Where does a secret come from, and can everybody else read it there too?

use std::fs::{File, Metadata};
use std::io::Read;
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
    /// the gateway is not in can read it.
    ///
    /// # Errors
    ///
    /// [`SecretFault`], with what would be right.
    pub fn read(&self) -> Result<Secret, SecretFault> {
        match self {
            Self::File(path) => read_file(path),
            Self::Env(variable) => read_variable(variable),
            Self::Credential(name) => read_file(&credential_path(name)?),
        }
    }
}

/// Whether `path` is a private file that can be opened now, without reading it.
pub(super) fn judge_private_file(path: &Path) -> Result<(), SecretFault> {
    open_private(path).map(|_| ())
}

fn credential_path(name: &str) -> Result<PathBuf, SecretFault> {
    let place = format!("the credential {name}");
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(SecretFault::new(
            &place,
            "has no plain file name",
            "name a file of $CREDENTIALS_DIRECTORY",
        ));
    }
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    let folder = folder.ok_or_else(|| {
        let remedy = "start the gateway by systemd with LoadCredential=, or use { file = \"…\" }";
        SecretFault::new(&place, "is not available: $CREDENTIALS_DIRECTORY is not set", remedy)
    })?;
    Ok(Path::new(&folder).join(name))
}

fn read_variable(variable: &str) -> Result<Secret, SecretFault> {
    use std::os::unix::ffi::OsStringExt;

    let place = format!("the environment variable {variable}");
    let set =
        if variable.is_empty() || variable.contains(['=', '\0']) { None } else { std::env::var_os(variable) };
    let value = set.ok_or_else(|| SecretFault::new(&place, "is not set", "set it, or refer to a file"))?;
    finish(&place, value.into_vec())
}

fn read_file(path: &Path) -> Result<Secret, SecretFault> {
    let place = path.display().to_string();
    let (file, metadata) = open_private(path)?;
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
fn open_private(path: &Path) -> Result<(File, Metadata), SecretFault> {
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
    if metadata.mode() & 0o007 != 0 {
        let problem = format!("is accessible to everybody (mode {:04o})", metadata.mode() & 0o7777);
        return Err(SecretFault::new(&place, problem, format!("chmod o= {place}")));
    }
    if metadata.mode() & 0o070 != 0 && !own_groups().contains(&metadata.gid()) {
        let problem = format!("is accessible to group {}, which the gateway is not in", metadata.gid());
        return Err(SecretFault::new(
            &place,
            problem,
            format!("chmod g= {place}, or give it a group of the gateway"),
        ));
    }
    if metadata.len() == 0 {
        return Err(SecretFault::new(&place, "is empty", "write the secret into it"));
    }
    Ok((file, metadata))
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
